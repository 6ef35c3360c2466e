//! Trust handed on: a provider says which CA certificates are to be trusted, and every requirer has exactly that set
//! (certificate_transfer contract).
//!
//! ```text
//! provider    provide    the wanted change  ->  what is written into its databags, version 0 and 1
//! requirer    announce   what it can read   ->  its own databag
//!             read       the provider's databags  ->  the set
//!             report     the set, and what was reported before  ->  an event, if it is another one
//! ```
//!
//! **Invariant:** a databag is read and written by pure functions over whatever holds it. A certificate is a text, compared
//! byte for byte, and never altered. The same set is the same bytes, so that nobody is woken for nothing; nothing that
//! cannot be read is taken for an empty set.

mod anchor;
mod databag;
mod json;
mod note;
pub mod on_host;
mod provide;
mod report;
mod require;

pub use anchor::{
    Anchor, Finding, Fingerprint, NotAnchors, OFFER_BYTES_MAX, SET_MAX, findings, read as read_anchors,
};
pub use databag::{Changes, Databag};
pub use note::{Level, Note};
pub use provide::{Change, Provided, Provider, stand_down};
pub use report::{Event, fingerprint, hash, report};
pub use require::{Read, Requirer, Unreadable, announce, is_valid, looks_at_units, read};

/// Certificates as they stand in a databag: in order, none twice.
pub type Certificates = std::collections::BTreeSet<String>;
