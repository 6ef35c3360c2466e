//! A history that cannot be rewritten unseen.
//!
//! Events are covered by *links*, some at a time and each by one. A link names the SHA-256 of each of its events and that
//! of the link before, and is signed. Whoever keeps the number and the hash of one link (a [`Head`]) elsewhere can tell
//! later that nothing up to it was changed, added, removed or moved; and without that, that nothing was but by somebody who
//! has the key.
//!
//! ```text
//! anchor 50 ◄── link 51 ◄── link 52 ◄── … ◄── link 70     the head is 70:HASH
//! (what was      │││          │││              │
//!  dropped)    events       events           events
//! ```
//! What is old is dropped whole links at a time, with their events; a signed *anchor* says up to which.
//!
//! A link is text, so that others can check it with other means: its hash is that of the text, the signature is Ed25519 over
//! it (`openssl pkeyutl -verify -rawin -pubin`). Times are milliseconds since 1970, digests hexadecimal, every line ends:
//!
//! ```text
//! provost-audit-link 1
//! number 51
//! previous 5feceb66ffc86f38d952786c6d696c79c2dbc239dd4e91b46729d73a27fb57e9
//! at 1700000000999
//! total 4802
//! event 6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b 00000001700000000123-910a2dec89025cc1
//! event d4735e3a265e16eee03f59718b9b5d03019c07d8b6c51f90da3a666eec13ab35 00000001700000000124-0badc0de0badc0de
//! ```
//! `total` counts the events of this link and of all before it. An anchor has the number, hash and total of the last
//! link that was dropped, and when that was.
//!
//! **Invariant:** nothing here waits, reads a clock or knows where links are kept, and no input makes it panic.

mod error;
mod hash;
mod link;
mod walk;

pub use error::{Broken, Malformed};
pub use hash::{BadHead, Hash, Head};
pub use link::{Anchor, EVENTS_MAX, EventMark, Link, Signed, is_event_id, moment_of};
pub use walk::{Kept, LATE_MILLISECONDS, Summary, Walk, fingerprint};
