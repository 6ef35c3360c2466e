//! Signed statements about bytes: the entries of the artifact cache, as its clients of today and of long ago write and
//! read them.
//!
//! ```text
//! entry.rs      [text, signature]: read at the door, kept character for character, listed
//! signature.rs  RSA (and ECDSA) with SHA-1, which is all that old readers know
//! trust.rs      whose signatures count
//! json.rs       JSON as Python reads it, within bounds      value.rs  its values
//! python.rs     JSON as Python writes it                compare.rs  and how it compares
//! filter.rs     which entries are wanted
//! new.rs        new ones
//! attestation.rs  Provost's own signature, inside the text    canonical.rs  the form in which it is signed
//! policy.rs     whom to believe                               policy_file.rs   how that is written down
//! verdict.rs    which entries of a key count (examine.rs: one by itself)      reason.rs  and why not the others
//! keys.rs       what entries are filed under                  platform.rs   which machines a release fits
//! ```
//! The rules are those of slapos.libnetworkcache 0.30; section numbers are of the networkcache contract.
//!
//! **Invariant:** the signed text is kept character for character; nothing here waits, reads a clock, rolls dice or
//! touches a file, and no input makes it panic.

pub mod attestation;
mod base64;
mod canonical;
pub mod compare;
mod entry;
mod examine;
mod filter;
pub mod json;
pub mod keys;
pub mod new;
pub mod platform;
mod policy;
pub mod policy_file;
pub mod python;
mod reason;
mod signature;
mod trust;
mod value;
#[cfg(test)]
mod vector;
pub mod verdict;

pub use attestation::{Attestation, AttestationError, Claims, SignerId};
pub use canonical::{CanonicalError, canonical};
pub use entry::{
    BODY_BYTES_MAX, Entry, EntryError, LIST_ENTRIES_MAX, List, ListError, Statement, read_list, render,
    render_pairs,
};
pub use filter::{Filter, FilterError};
pub use new::{New, NewError};
pub use platform::Platform;
pub use policy::{KeyPattern, Policy, Signer, Trust};
pub use policy_file::PolicyError;
pub use reason::Reason;
pub use signature::{SigningKey, SigningKeyError};
pub use trust::{NoMatchingCertificate, PieceError, TrustError, TrustList, Trusted};
pub use value::{Int, Object, Text, Value};
pub use verdict::{Believed, Circumstances, Judgement, Strength, Verdict, judge};
