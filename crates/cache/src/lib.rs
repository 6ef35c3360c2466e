//! The artifact cache: artifacts, named by the SHA-512 of their bytes, and entries under keys, each a signed text that
//! says of one artifact what it is (networkcache contract, sections 1 to 4).
//!
//! **Invariant:** an entry's text is kept and given back character for character, since it is what was signed. Bytes are
//! kept before the record that names them, and are seen by nobody without it: a crash leaves at worst bytes that nobody
//! heard of. What was answered is there, until the operator's rules say that it goes. Nothing is ever replaced: entries
//! are added behind those that are there, in an order that stays.

mod append;
mod artifact;
mod blobs_named;
mod collect;
mod error;
mod event;
mod fetched;
mod find;
mod gone;
mod key;
mod list;
mod long;
mod pin;
mod quota;
mod record;
mod refused;
mod resumable;
mod retention;
mod room;
mod scrub;
mod service;
mod small;
mod under_way;
mod upload;
mod used;
mod withdrawn;

pub use append::Added;
pub use artifact::Artifact;
pub use blobs_named::each_blob_named;
pub use collect::{Collected, EntryFacts, How, InForce, Removed, Rules};
pub use error::{MaintainError, OpenError, PutEntryError, ReadError, ResumeError, UploadError};
pub use find::{AfterEntry, Found, FoundArtifact, FoundEntry, FoundKey, PAGE_MAX};
pub use key::{BadKey, EntryKey};
pub use list::EntryList;
pub use pin::{NOTE_BYTES_MAX, NotPinnable, Pinned, PinnedSince};
pub use resumable::{Announced, Appending, SoFarCame, UploadId};
pub use retention::{Keep, Pattern, Retention, RetentionError};
pub use scrub::{Pace, Scrubbed};
pub use service::{Cache, Ground, Limits, Maintain, Pin, PutArtifact, PutEntry, ReadArtifacts, ReadCatalog};
pub use upload::{Kept, Upload};
