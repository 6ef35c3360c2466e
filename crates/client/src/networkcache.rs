//! Asks servers of artifacts and of entries, whoever runs them: ours, the public one, slapos.core's proxy, or a test server
//! in Python (networkcache contract, sections 2, 3 and 15).
//!
//! ```text
//! Artifacts   GET base/DIGEST   HEAD base/DIGEST   POST base        bytes under their SHA-512
//! Entries     GET base/KEY      PUT base/KEY                        signed statements under a key
//! ```
//! Each has a base URL of its own, and says there who asks: `http://user:password@host/base`, percent-encoded, or with a
//! client certificate. Proxies are passed by, and redirections are refused. Bytes stream in both directions: memory does
//! not grow with an object. A download that is cut off goes on where it was, and what was wrong is said at its end, when the
//! digest is known: whoever takes bytes keeps them apart until then. An upload goes on as well, where the server is one of
//! ours ([`Artifacts::send`]).

mod access;
mod artifacts;
mod download;
mod entries;
mod error;
mod file_body;
mod relay;
mod service;
mod service_url;
#[cfg(test)]
mod tests;
mod tls;
mod uploads;

use std::time::Duration;

pub use access::{Access, AccessError};
pub use artifacts::{Artifacts, Sent, Source};
pub use download::Download;
pub use entries::{Entries, KEY_BYTES_MAX, LIST_BYTES_MAX};
pub use error::CacheError;
pub use service_url::{BadServiceUrl, ServiceUrl};

/// How long is waited, and how often something is tried.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For a connection, TLS included.
    connect: Duration,
    /// How long a server may be silent where bytes are to come from it.
    read: Duration,
    /// The same where bytes went to it: it may take long to digest them before it answers.
    write: Duration,
    /// For the whole of a list, however slowly it trickles.
    list: Duration,
    /// Before the second time that something is tried. Each further pause is twice as long.
    pause: Duration,
    /// No pause is longer, whatever a server would like.
    pause_max: Duration,
    /// How often something is tried while nothing comes of it: each byte of a download begins the count anew.
    tries: u32,
    /// From which size on a file is sent so that what has arrived counts when the connection is cut, in bytes.
    in_pieces: u64,
}

impl Patience {
    /// For whoever has nowhere else to go.
    pub const LONG: Self = Self {
        connect: Duration::from_secs(10),
        read: Duration::from_secs(60),
        write: Duration::from_secs(3600),
        list: Duration::from_secs(600),
        pause: Duration::from_millis(250),
        pause_max: Duration::from_secs(15),
        tries: 6,
        in_pieces: 8 << 20,
    };
    /// For whoever can do without: a server that is silent for 10 s is passed over.
    pub const SHORT: Self = Self {
        connect: Duration::from_secs(5),
        read: Duration::from_secs(10),
        write: Duration::from_secs(60),
        list: Duration::from_secs(30),
        pause: Duration::from_millis(250),
        pause_max: Duration::from_secs(2),
        tries: 3,
        in_pieces: 8 << 20,
    };

    /// The pause after the try of this number, counted from 1, of which a server said how long it would like it.
    fn pause_after(&self, tried: u32, wanted: Option<Duration>) -> Duration {
        let doubled = self.pause.saturating_mul(1 << tried.saturating_sub(1).min(10));
        wanted.map_or(doubled, |wanted| wanted.max(doubled)).min(self.pause_max)
    }
}
