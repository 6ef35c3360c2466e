//! The artifact cache: artifacts, named by the SHA-512 of their bytes, and entries under keys, each a signed text that
//! says of one artifact what it is (networkcache contract, sections 1 to 4).
//!
//! **Invariant:** an entry's text is kept and given back character for character, since it is what was signed. Bytes are
//! kept before the record that names them, and are seen by nobody without it: a crash leaves at worst bytes that nobody
//! heard of. What was answered is there. Nothing is ever replaced: entries are added behind those that are there, in an
//! order that stays.

mod append;
mod artifact;
mod error;
mod event;
mod key;
mod list;
mod long;
mod quota;
mod record;
mod room;
mod service;
mod under_way;
mod upload;

pub use append::Added;
pub use artifact::Artifact;
pub use error::{OpenError, PutEntryError, ReadError, UploadError};
pub use key::{BadKey, EntryKey};
pub use list::EntryList;
pub use service::{Cache, Ground, Limits, PutArtifact, PutEntry, ReadArtifacts};
pub use upload::{Kept, Upload};
