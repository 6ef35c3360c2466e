//! Whether a fetch goes on: whoever sends it has to send something, and somebody has to want it.

use std::time::Duration;

use tokio::time::Instant;

use super::{NotFetched, RelayError};

/// What is to come at least in each [`WITHIN`]: a modem brings more.
const BYTES_MIN: u64 = 128 * 1024;
/// See there.
const WITHIN: Duration = Duration::from_secs(60);
/// For how long it goes on when nobody reads it any more: whoever was cut off comes back for it.
const UNREAD_MAX: Duration = Duration::from_secs(120);
/// The same where nobody can read along: old clients give up after a minute of silence, and come back later.
const UNSHOWN_MAX: Duration = Duration::from_secs(1800);
/// What is as good as here is fetched to its end, in bytes.
const LITTLE: u64 = 16 * 1024 * 1024;

/// How far a fetch is, as seen by whoever asks whether it is worth going on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    /// How many bytes have come.
    pub(super) received: u64,
    /// How many it is said to have.
    pub(super) bytes: Option<u64>,
    /// Whether somebody waits for it or reads it.
    pub(super) is_read: bool,
    /// Whether it can be read while it comes.
    pub(super) is_shown: bool,
}

/// The course of one fetch.
pub(super) struct Course {
    /// Since when, and behind which byte, it is looked at whether enough comes.
    since: (Instant, u64),
    unread_since: Option<Instant>,
}

impl Course {
    /// It begins now, behind so many bytes.
    pub(super) fn new(now: Instant, received: u64) -> Self {
        Self { since: (now, received), unread_since: None }
    }

    /// Whether it goes on; the reason when not.
    pub(super) fn goes_on(&mut self, now: Instant, seen: Seen) -> Result<(), RelayError> {
        if now - self.since.0 >= WITHIN {
            let came = seen.received - self.since.1;
            if came < BYTES_MIN {
                return Err(NotFetched::Slow { bytes: came, seconds: (now - self.since.0).as_secs() }.into());
            }
            self.since = (now, seen.received);
        }
        if seen.is_read {
            self.unread_since = None;
            return Ok(());
        }
        let unread_since = *self.unread_since.get_or_insert(now);
        let is_nearly_here = seen.bytes.is_some_and(|bytes| bytes - seen.received.min(bytes) <= LITTLE);
        let unread_max = if seen.is_shown { UNREAD_MAX } else { UNSHOWN_MAX };
        if now - unread_since > unread_max && !is_nearly_here { Err(RelayError::Unread) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    /// Each looks every ten seconds at what has come by then.
    fn goes_on_for(received: impl Fn(u64) -> u64, is_read: bool, is_shown: bool) -> u64 {
        let begun = Instant::now();
        let mut course = Course::new(begun, 0);
        let end = (0..1000).map(|n| n * 10).find(|second| {
            let seen = Seen { received: received(*second), bytes: Some(10_000 * MIB), is_read, is_shown };
            course.goes_on(begun + Duration::from_secs(*second), seen).is_err()
        });
        end.unwrap_or(10_000)
    }

    #[test]
    fn a_fetch_goes_on_while_it_makes_sense() {
        assert_eq!(goes_on_for(|second| second * MIB / 10, true, true), 10_000);
        assert_eq!(goes_on_for(|_| 0, true, true), 60, "nothing comes");
        assert_eq!(goes_on_for(|second| second, true, true), 60, "a byte a second");
        assert_eq!(goes_on_for(|second| (second * MIB).min(100 * MIB), true, true), 180, "no more comes");
        assert_eq!(goes_on_for(|second| second * MIB / 10, false, true), 130, "nobody reads it");
        assert_eq!(goes_on_for(|second| second * MIB / 10, false, false), 1810, "nobody can");
        assert_eq!(
            goes_on_for(|second| second * MIB / 10 + 9_990 * MIB, false, true),
            10_000,
            "it is nearly here"
        );
    }
}
