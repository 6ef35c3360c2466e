//! Signed statements about bytes: the entries of the artifact cache, as its clients of today and of long ago write and
//! read them.
//!
//! ```text
//! entry.rs      [text, signature]: read at the door, kept character for character, listed
//! signature.rs  RSA (and ECDSA) with SHA-1, which is all that old readers know
//! trust.rs      whose signatures count
//! json.rs       JSON as Python reads it, within bounds      value.rs  its values
//! python.rs     JSON as Python writes it
//! ```
//! The rules are those of slapos.libnetworkcache 0.30; section numbers are of the networkcache contract.
//!
//! **Invariant:** the signed text is kept character for character; nothing here waits, reads a clock, rolls dice or
//! touches a file, and no input makes it panic.

mod base64;
mod entry;
pub mod json;
pub mod python;
mod signature;
mod trust;
mod value;
#[cfg(test)]
mod vector;

pub use entry::{
    BODY_BYTES_MAX, Entry, EntryError, LIST_ENTRIES_MAX, List, ListError, Statement, read_list, render,
    render_pairs,
};
pub use signature::{SigningKey, SigningKeyError};
pub use trust::{NoMatchingCertificate, PieceError, TrustError, TrustList, Trusted};
pub use value::{Int, Object, Text, Value};
