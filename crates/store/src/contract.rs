//! What every engine promises: the intersection of what an embedded engine and etcd do well.

use std::collections::HashSet;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use base::{Explain, Kind};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;

use crate::{Key, Prefix, SNAPSHOTS_MAX, Snapshot};

/// The most operations (and the most expectations) in one batch; etcd's own limit is 128.
pub const BATCH_OPERATIONS_MAX: usize = 100;
/// The most bytes of keys and values in one batch; etcd's own limit is 1.5 MiB.
pub const BATCH_BYTES_MAX: usize = 1024 * 1024;
/// The longest value, in bytes.
pub const VALUE_BYTES_MAX: usize = 512 * 1024;
/// The most entries in one page of a listing.
pub const PAGE_ENTRIES_MAX: usize = 1000;

/// How many bytes of keys and values end a page early, whatever its limit; what gRPC takes in one message.
pub const PAGE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// How many commits the store had seen; grows by at least one with each that changed anything. 0 is the empty
/// store.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Revision(pub u64);

/// The revision at which a key was last written. Never given twice to one key, also after it was deleted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub Revision);

/// A value and the version it was read at.
#[derive(Clone, PartialEq, Eq)]
pub struct Versioned {
    /// The value, at most [`VALUE_BYTES_MAX`] long.
    pub value: Bytes,
    /// Which write it comes from.
    pub version: Version,
}

/// Which part of a listing is wanted.
#[derive(Clone, Debug)]
pub struct Page {
    /// Begin behind this key; from the start when absent.
    pub after: Option<Key>,
    /// At most so many entries; held to 1 ..= [`PAGE_ENTRIES_MAX`]. Fewer come when the values are large
    /// ([`PAGE_BYTES_MAX`]): only [`Listing::next`] tells whether there are more.
    pub limit: usize,
}

impl Page {
    /// The first `limit` entries.
    #[must_use]
    pub fn first(limit: usize) -> Self {
        Self { after: None, limit }
    }

    /// As many entries from the start as a page holds.
    #[must_use]
    pub fn full() -> Self {
        Self::first(PAGE_ENTRIES_MAX)
    }

    /// The limit within its bounds.
    pub(crate) fn held(&self) -> usize {
        self.limit.clamp(1, PAGE_ENTRIES_MAX)
    }
}

/// A page of a listing, ordered by key. All of one page was true at one revision.
#[derive(Clone, Debug)]
pub struct Listing {
    /// The entries.
    pub entries: Vec<(Key, Versioned)>,
    /// The page that follows; absent on the last.
    pub next: Option<Page>,
    /// The revision at which all this was true: watching from here misses nothing.
    pub revision: Revision,
}

impl Listing {
    /// The page that `rows` begin with: as many as it holds. `rows` may stop after one more than
    /// `limit`, which shows that another page follows.
    pub(crate) fn of<E>(
        rows: impl Iterator<Item = Result<(Key, Versioned), E>>,
        limit: usize,
        revision: Revision,
    ) -> Result<Self, E> {
        let mut entries: Vec<(Key, Versioned)> = Vec::new();
        let mut bytes = 0;
        for row in rows {
            let (key, versioned) = row?;
            bytes += key.as_str().len() + versioned.value.len();
            if entries.len() == limit || (bytes > PAGE_BYTES_MAX && !entries.is_empty()) {
                let after = entries.last().map(|(key, _)| key.clone());
                return Ok(Self { entries, next: Some(Page { after, limit }), revision });
            }
            entries.push((key, versioned));
        }
        Ok(Self { entries, next: None, revision })
    }
}

/// What must be so for a batch to be taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Expect {
    /// The key does not exist.
    Absent,
    /// The key was last written at this version.
    At(Version),
}

/// One change to one key.
#[derive(Clone, PartialEq, Eq)]
pub enum Operation {
    /// Write this value.
    Put(Key, Bytes),
    /// Remove the key; nothing when it does not exist.
    Delete(Key),
}

impl Operation {
    /// Which key it changes.
    #[must_use]
    pub fn key(&self) -> &Key {
        match self {
            Self::Put(key, _) | Self::Delete(key) => key,
        }
    }

    /// How long the key and the value are.
    fn bytes(&self) -> usize {
        match self {
            Self::Put(key, value) => key.as_str().len() + value.len(),
            Self::Delete(key) => key.as_str().len(),
        }
    }
}

/// Changes that happen together or not at all, provided the expectations hold.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    expectations: Vec<(Key, Expect)>,
    operations: Vec<Operation>,
}

impl Batch {
    /// An empty batch.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an expectation.
    pub fn expect(&mut self, key: Key, expectation: Expect) -> &mut Self {
        self.expectations.push((key, expectation));
        self
    }

    /// Adds a write.
    pub fn put(&mut self, key: Key, value: impl Into<Bytes>) -> &mut Self {
        self.operations.push(Operation::Put(key, value.into()));
        self
    }

    /// Adds a removal.
    pub fn delete(&mut self, key: Key) -> &mut Self {
        self.operations.push(Operation::Delete(key));
        self
    }

    /// What must be so.
    #[must_use]
    pub fn expectations(&self) -> &[(Key, Expect)] {
        &self.expectations
    }

    /// What is to be done, in order.
    #[must_use]
    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }

    /// How many operations it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.operations.len()
    }

    /// Whether it would change nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    /// How many bytes of keys and values it writes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.operations.iter().map(Operation::bytes).sum()
    }

    /// Whether it keeps to the limits above; each engine asks before it does anything.
    ///
    /// # Errors
    /// [`CommitError::TooLarge`] naming the limit. A key written twice in one batch is refused as well,
    /// as etcd refuses it.
    pub fn check(&self) -> Result<(), CommitError> {
        let too_large = |what| Err(CommitError::TooLarge { what });
        if self.operations.len() > BATCH_OPERATIONS_MAX || self.expectations.len() > BATCH_OPERATIONS_MAX {
            return too_large("100 operations or expectations in one batch");
        }
        let mut keys = HashSet::new();
        for operation in &self.operations {
            if let Operation::Put(_, value) = operation
                && value.len() > VALUE_BYTES_MAX
            {
                return too_large("512 KiB in one value");
            }
            if !keys.insert(operation.key()) {
                return Err(CommitError::Twice { key: operation.key().clone() });
            }
        }
        if self.bytes() > BATCH_BYTES_MAX {
            return too_large("1 MiB in one batch");
        }
        Ok(())
    }
}

/// Something that happened to one key.
#[derive(Clone, PartialEq, Eq)]
pub struct Change {
    /// Which key.
    pub key: Key,
    /// What it was given; absent when it was removed.
    pub value: Option<Bytes>,
    /// The commit that did it; all changes of one commit carry the same.
    pub revision: Revision,
}

/// A place where records are kept. Durable when [`Engine::commit`] has answered.
pub trait Engine: Send + Sync {
    /// The value of `key`, if it exists.
    fn get<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Option<Versioned>, Error>>;

    /// One page of the entries under `prefix`, ordered by key.
    fn list<'a>(&'a self, prefix: &'a Prefix, page: Page) -> BoxFuture<'a, Result<Listing, Error>>;

    /// The revision that the store is at: what was committed before this was called is in it. What is read after this
    /// was called, and before it gives something else, is all of that one moment.
    fn revision(&self) -> BoxFuture<'_, Result<Revision, Error>>;

    /// A look at everything as it is now, which stays as it is while others write. What was committed before this was
    /// called is in it.
    ///
    /// # Errors
    /// [`Error::TooManySnapshots`] when there are [`SNAPSHOTS_MAX`] already; those of reading.
    fn snapshot(&self) -> BoxFuture<'_, Result<Arc<dyn Snapshot>, Error>>;

    /// Does all of `batch` or nothing, and answers once it is durable, with the version that the keys it put
    /// now have. An empty batch only checks its expectations, and gives the revision the store is at.
    ///
    /// A caller that stops waiting does not take the batch back: it is done or not done, unseen.
    fn commit(&self, batch: Batch) -> BoxFuture<'_, Result<Revision, CommitError>>;

    /// Changes under `prefix` after `from`, in order. Ends with [`WatchError::Compacted`] when they are no
    /// longer all known: list again, and watch from the listing's revision. What one commit did comes
    /// together, in the order of its operations; removing what did not exist is no change.
    fn watch(&self, prefix: Prefix, from: Revision) -> BoxStream<'_, Result<Change, WatchError>>;

    /// Whether other processes may read and write the same records. Who keeps what it read has to look again then.
    fn is_shared(&self) -> bool {
        false
    }

    /// Waits until what was taken is done, and lets go of the files. Later calls fail with [`Error::Closed`],
    /// and watches end with it once they have told what happened before; closing again is nothing.
    fn close(&self) -> BoxFuture<'_, Result<(), Error>>;
}

/// Why the store could not be read or written.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// A key that no engine takes.
    #[error(
        "a key of {bytes} bytes does not begin with a /, is longer than {} or has a NUL in it",
        crate::key::KEY_BYTES_MAX
    )]
    Key {
        /// Its length.
        bytes: usize,
    },
    /// The engine failed.
    #[error("the store failed while {doing}: {reason}")]
    Engine {
        /// What was being done, as a gerund: "reading".
        doing: &'static str,
        /// What the engine said.
        reason: String,
    },
    /// The engine is remote, and could not be reached or did not answer in time.
    #[error("the store is out of reach, while {doing}: {reason}")]
    Unavailable {
        /// What was being done, as a gerund: "reading".
        doing: &'static str,
        /// What happened at the last attempt.
        reason: String,
    },
    /// The engine is remote, and does not let us in or do this: the user, its password or its role is not right.
    #[error("the store does not let us, while {doing}: {reason}")]
    Refused {
        /// What was being done, as a gerund: "reading".
        doing: &'static str,
        /// What the engine said.
        reason: String,
    },
    /// There is no room left on the disk, or no more may be taken.
    #[error("the store's disk is full")]
    Full,
    /// The disk that the file is on takes nothing any more: somebody mounted it so, or the system did because it fails.
    #[error("the store's file {} is on a disk that became read-only", path.display())]
    ReadOnlyDisk {
        /// The file.
        path: PathBuf,
    },
    /// The file was deleted or moved while it was open, or another one was put in its place. What would be written
    /// would be lost.
    #[error("the store's file {} was deleted or replaced while it was open", path.display())]
    Gone {
        /// Where it was.
        path: PathBuf,
    },
    /// The file was emptied or written over while it was open. What would be written would not be found again.
    #[error("the store's file {} is no database any more: it was emptied or written over while it was open", path.display())]
    Overwritten {
        /// Where it is.
        path: PathBuf,
    },
    /// The file's log, where the newest of what is stored may be alone, was deleted or moved while it was open, or what
    /// belongs to it was. What would be written would be lost.
    #[error("the store's log {} was deleted or replaced while it was open", path.display())]
    LogGone {
        /// Where it was.
        path: PathBuf,
    },
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
    /// There are as many snapshots of it as there may be.
    #[error("{SNAPSHOTS_MAX} others look at the store as it was at one moment already")]
    TooManySnapshots,
    /// The engine does not know any more what it held when the snapshot was taken.
    #[error("the store has forgotten what it held at the moment that is looked at: {reason}")]
    Forgotten {
        /// What the engine said.
        reason: String,
    },
    /// What is looked at is a snapshot, which nothing is written to.
    #[error("the store as it was at one moment cannot be written to")]
    ReadOnly,
    /// What is stored is not what this program wrote.
    #[error("the record `{key}` cannot be read: {reason}")]
    Record {
        /// Which record.
        key: Key,
        /// What is wrong with it.
        reason: String,
    },
}

impl Explain for Error {
    fn kind(&self) -> Kind {
        match self {
            Self::Key { .. } => Kind::Invalid,
            Self::Full => Kind::Full,
            Self::Closed
            | Self::ReadOnlyDisk { .. }
            | Self::Gone { .. }
            | Self::Overwritten { .. }
            | Self::LogGone { .. }
            | Self::TooManySnapshots
            | Self::Forgotten { .. }
            | Self::Unavailable { .. }
            | Self::Refused { .. } => Kind::Unavailable,
            Self::Engine { .. } | Self::Record { .. } | Self::ReadOnly => Kind::Internal,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Full => Some(
                "free some space, or raise the limit on it; nothing that was acknowledged is lost".into(),
            ),
            Self::ReadOnlyDisk { .. } => Some(
                "look at what the system says of the disk, and mount it for writing again; nothing that was acknowledged \
                 is lost"
                    .into(),
            ),
            Self::Refused { .. } => {
                Some("look at the user, its password and its role, here and in the store".into())
            }
            Self::Gone { .. } => {
                Some("move it back if it was moved; else stop this process, and put a backup there".into())
            }
            Self::Overwritten { .. } => Some("stop this process, and put a backup there".into()),
            Self::LogGone { .. } => {
                Some("stop this process as usual, which saves what was in it, and start it again".into())
            }
            Self::Record { .. } => {
                Some("the database is damaged: put it and its key back from one backup".into())
            }
            // What the TLS says of it is all that is known of a handshake that failed. An alert is what the other side
            // says of ours (RFC 8446 §6.2).
            Self::Unavailable { reason, .. }
                if reason.contains("fatal alert")
                    && ["Certificate", "UnknownCA"].iter().any(|sign| reason.contains(sign)) =>
            {
                Some(
                    "the store wants a client certificate of an authority that it trusts: name it as \
                     `certificate_file`, and its key as `key_file`"
                        .into(),
                )
            }
            Self::Unavailable { reason, .. } if reason.contains("certificate") => Some(
                "see that the store's certificate is of an authority in `ca_file`, for the name it is reached by"
                    .into(),
            ),
            Self::Unavailable { .. } => {
                Some("see that the store's servers run and most of them reach each other".into())
            }
            Self::TooManySnapshots => Some("wait until one of them is done".into()),
            Self::Forgotten { .. } => {
                Some("do it again, and have etcd keep its history for longer if it is short".into())
            }
            Self::Key { .. } | Self::Engine { .. } | Self::Closed | Self::ReadOnly => None,
        }
    }
}

/// Why a batch was not taken. Nothing of it was done, unless this is [`CommitError::Unknown`].
#[derive(Debug, Clone, thiserror::Error)]
pub enum CommitError {
    /// An expectation did not hold: somebody else was faster.
    #[error("`{key}` is not as it was expected to be")]
    Conflict {
        /// The first key that was not as expected.
        key: Key,
    },
    /// The batch is larger than all engines take.
    #[error("the batch is larger than {what}")]
    TooLarge {
        /// The limit.
        what: &'static str,
    },
    /// The batch writes a key twice.
    #[error("the batch writes `{key}` twice")]
    Twice {
        /// Which key.
        key: Key,
    },
    /// The batch was sent to a remote engine, and no answer came. It is done or not done, as a whole, or may even
    /// be done later: read again what it was about before deciding anything.
    #[error("whether the store took the batch is not known: {reason}")]
    Unknown {
        /// What happened at the last attempt.
        reason: String,
    },
    /// The store failed. Whether the batch was taken is not known only where the disk itself failed in the middle
    /// of the commit and the program then died.
    #[error(transparent)]
    Store(#[from] Error),
}

impl CommitError {
    /// For batches that expect nothing and are small: only the store itself can have failed.
    pub fn into_store(self, doing: &'static str) -> Error {
        match self {
            Self::Store(error) => error,
            Self::Unknown { .. } => Error::Unavailable { doing, reason: self.to_string() },
            Self::Conflict { .. } | Self::TooLarge { .. } | Self::Twice { .. } => {
                Error::Engine { doing, reason: self.to_string() }
            }
        }
    }
}

impl Explain for CommitError {
    fn kind(&self) -> Kind {
        match self {
            Self::Conflict { .. } => Kind::Conflict,
            Self::TooLarge { .. } => Kind::TooLarge,
            Self::Twice { .. } => Kind::Internal,
            Self::Unknown { .. } => Kind::Unavailable,
            Self::Store(error) => error.kind(),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Store(error) => error.help(),
            Self::Unknown { .. } => Some("look whether it was done before trying again".into()),
            Self::Conflict { .. } | Self::TooLarge { .. } | Self::Twice { .. } => None,
        }
    }
}

/// Why a watch ended.
#[derive(Debug, Clone, thiserror::Error)]
pub enum WatchError {
    /// The changes asked for are no longer all known.
    #[error("the changes since the revision asked for are no longer all known")]
    Compacted,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] Error),
}

impl Explain for WatchError {
    fn kind(&self) -> Kind {
        match self {
            Self::Compacted => Kind::Unavailable,
            Self::Store(error) => error.kind(),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Compacted => None,
            Self::Store(error) => error.help(),
        }
    }
}

impl fmt::Debug for Change {
    /// Without the value, which may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(f, "put {} ({} bytes) at {:?}", self.key, value.len(), self.revision),
            None => write!(f, "delete {} at {:?}", self.key, self.revision),
        }
    }
}

impl fmt::Debug for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "r{}", self.0)
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}", self.0.0)
    }
}

impl fmt::Debug for Versioned {
    /// Without the value, which may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes at {:?}", self.value.len(), self.version)
    }
}

impl fmt::Debug for Operation {
    /// Without the value, which may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Put(key, value) => write!(f, "put {key} ({} bytes)", value.len()),
            Self::Delete(key) => write!(f, "delete {key}"),
        }
    }
}
