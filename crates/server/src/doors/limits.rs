//! How much of everything one peer may take.

use std::time::Duration;

/// What the doors put up with. `Default` gives values fit for a small server on the open internet.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections at a time over all doors; at least 1. Lowered when the process may not open that
    /// many files. When all are taken, whoever has kept us waiting longest makes room (see
    /// [`super::Doors`]).
    pub connections_max: usize,
    /// How long a TLS handshake may take.
    pub handshake: Duration,
    /// How long the head of a request may take: from its first byte, or, on a new connection, from when
    /// it was opened.
    pub head: Duration,
    /// How long a connection may stay open between two requests.
    pub idle: Duration,
    /// How long a request's body may stand still while somebody waits for it, or rather how far it may
    /// fall behind `bytes_per_second_min`. 408 when further.
    pub body_stall: Duration,
    /// How long a peer may leave an answer unread, or rather how far it may fall behind
    /// `bytes_per_second_min`.
    pub write_stall: Duration,
    /// The slowest transfer, of a body or an answer, that counts as one: each byte makes up for its part
    /// of a second, so that whoever sends or reads in drips falls behind nearly as fast as the silent.
    /// At least 1; 1024 unless told.
    pub bytes_per_second_min: u32,
    /// All request bodies being read at a time, over all connections. 503 for whoever sends more. One that is read
    /// piece by piece has 512 KiB of it, and waits for them.
    /// 256 MiB unless told.
    pub bodies_bytes_max: usize,
    /// How long closing may take once the last answer is written. Meanwhile what the peer still sends
    /// is read and thrown away, so that it finds the answer and not a reset. HTTP/2: how long an answer waits
    /// for more of a body that nobody wants.
    pub closing: Duration,
    /// The longest request line: `METHOD TARGET HTTP/x.y`, without the end of line. 414 when longer.
    pub request_line_bytes_max: usize,
    /// All header lines of a request together. 431 when longer.
    pub header_bytes_max: usize,
    /// How many header lines a request may have. 431 when more.
    pub headers_max: usize,
    /// HTTP/2: requests at a time on one connection.
    pub streams_max: u32,
    /// HTTP/2: how often a silent peer is asked whether it is still there, and how long it may take to
    /// say so.
    pub ping: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 1024,
            handshake: Duration::from_secs(10),
            head: Duration::from_secs(10),
            idle: Duration::from_secs(60),
            body_stall: Duration::from_secs(15),
            write_stall: Duration::from_secs(30),
            bytes_per_second_min: 1024,
            bodies_bytes_max: 256 * 1024 * 1024,
            closing: Duration::from_secs(3),
            request_line_bytes_max: 65_536,
            header_bytes_max: 65_536,
            headers_max: 100,
            streams_max: 100,
            ping: Duration::from_secs(20),
        }
    }
}

impl Limits {
    /// For how much waiting `bytes` make up.
    pub(super) fn worth(&self, bytes: usize) -> Duration {
        Duration::from_secs(bytes as u64) / self.bytes_per_second_min.max(1)
    }

    /// How often overdue connections are looked for: often enough that no limit is overstepped by more
    /// than a tenth of the shortest, or by a second.
    pub(super) fn rounds(&self) -> Duration {
        let shortest =
            [self.handshake, self.head, self.idle, self.write_stall, self.closing].into_iter().min();
        (shortest.unwrap_or(Duration::ZERO) / 10).clamp(Duration::from_millis(5), Duration::from_secs(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_makes_up_for_its_part_of_a_second() {
        let check = |bytes_per_second_min: u32, bytes: usize, expected: Duration| {
            let limits = Limits { bytes_per_second_min, ..Limits::default() };
            assert_eq!(limits.worth(bytes), expected, "{bytes} at {bytes_per_second_min}");
        };
        check(1000, 0, Duration::ZERO);
        check(1000, 1, Duration::from_millis(1));
        check(1000, 10_000_000, Duration::from_secs(10_000));
        check(0, 3, Duration::from_secs(3));
    }

    #[test]
    fn rounds_follow_the_shortest_limit() {
        let check = |head: Duration, expected: Duration| {
            assert_eq!(Limits { head, ..Limits::default() }.rounds(), expected, "{head:?}");
        };
        check(Duration::from_secs(10), Duration::from_millis(300));
        check(Duration::from_millis(200), Duration::from_millis(20));
        check(Duration::ZERO, Duration::from_millis(5));
        let patient = Duration::from_secs(3600);
        let limits = Limits {
            handshake: patient,
            head: patient,
            idle: patient,
            write_stall: patient,
            closing: patient,
            ..Limits::default()
        };
        assert_eq!(limits.rounds(), Duration::from_secs(1));
    }
}
