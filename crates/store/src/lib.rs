//! What is remembered: records under keys, all or nothing, watched; and the sealing of secrets.
//!
//! **Invariant:** a commit that was answered survives `kill -9` and a power cut. Rooms see
//! [`Table`], never an engine's own types.

pub mod blobs;
mod changes;
mod claim;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod contract;
#[cfg(feature = "etcd")]
mod etcd;
mod files;
mod history;
mod key;
mod memory;
pub mod private_file;
pub mod regular_file;
mod seal;
mod snapshot;
mod sqlite;
mod table;

pub use claim::{Claim, Claims, Vacancy};
pub use contract::{
    BATCH_BYTES_MAX, BATCH_OPERATIONS_MAX, Batch, Change, CommitError, Engine, Error, Expect, Listing,
    Operation, PAGE_BYTES_MAX, PAGE_ENTRIES_MAX, Page, Revision, VALUE_BYTES_MAX, Version, Versioned,
    WatchError,
};
#[cfg(feature = "etcd")]
pub use etcd::{ConnectError, Etcd, EtcdIdentity, EtcdPassword, EtcdSettings, EtcdUser, read_v2};
pub use history::{Event, History, Retention, Trimmed};
pub use key::{KEY_BYTES_MAX, Key, Prefix};
pub use memory::Memory;
pub use seal::{SealError, SealingKey};
pub use snapshot::{SNAPSHOTS_MAX, Snapshot, Still};
pub use sqlite::{OpenError, Sqlite};
pub use table::{Loaded, Record, Stored, Table, TablePage, decode, encode};
