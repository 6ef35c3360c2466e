//! What every engine for blobs promises.

use std::fmt;
use std::fs::File;
use std::iter::from_fn;
use std::ops::Range;
use std::sync::Arc;

use base::{Explain, Kind, Sha512, Timestamp};
use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, ready};
use futures_util::stream::{BoxStream, StreamExt as _, iter};

/// How many bytes come in one piece when an object is read; the last piece is shorter.
pub const CHUNK_BYTES: usize = 64 * 1024;
/// The most objects that one listing tells of.
pub const LIST_MAX: usize = 1000;

/// A place where blobs are kept.
pub trait Blobs: Send + Sync {
    /// Begins to take bytes in. Nobody sees them before they are kept.
    ///
    /// # Errors
    /// [`Error::Closed`]; those of a remote engine. What stands against writing may show only later.
    fn stage(&self) -> BoxFuture<'_, Result<Box<dyn Staged>, Error>>;

    /// The object, when it is there. Reads nothing of its bytes: asking and letting go is how to see whether it is.
    ///
    /// Who has it open reads it to its end, also when it is removed meanwhile, where the engine can do that: a
    /// remote one ends the stream with [`Error::Gone`] then.
    fn open(&self, digest: Sha512) -> BoxFuture<'_, Result<Option<Blob>, Error>>;

    /// Removes the object; with `kept_by`, only when it was not kept again later than that, so that who reaps what
    /// nobody names does not take away what somebody is just about to name. Tells whether it was removed.
    ///
    /// After a power cut it may be there again. (It is not called `drop`, which every pointer to an engine has.)
    fn remove(&self, digest: Sha512, kept_by: Option<Timestamp>) -> BoxFuture<'_, Result<bool, Error>>;

    /// Puts the object aside, since its bytes are not those of its name any more: it is not opened or listed again,
    /// and can be kept anew. What was put aside under the same name before is replaced. Tells whether it was there.
    fn set_aside(&self, digest: Sha512) -> BoxFuture<'_, Result<bool, Error>>;

    /// The objects behind `after`, or from the first one on, in the order of their digests; at most `limit` of them,
    /// which is held to 1 ..= [`LIST_MAX`]. None means that there are no more. What comes or goes meanwhile is in it
    /// or not.
    fn list(&self, after: Option<Sha512>, limit: usize) -> BoxFuture<'_, Result<Vec<Found>, Error>>;

    /// How many more bytes can be taken, when that is known.
    fn room(&self) -> BoxFuture<'_, Result<Option<u64>, Error>>;

    /// Waits until what was begun is done, and lets go of the place, so that another may open it. What is staged then
    /// is lost, and later calls fail with [`Error::Closed`]; what is open can be read on or fails with it. Closing
    /// again is nothing.
    fn close(&self) -> BoxFuture<'_, Result<(), Error>>;
}

/// Bytes on their way in. Dropped without being kept, everything of it goes.
pub trait Staged: Send {
    /// Takes these too. Answers as soon as there is room for more: hashing and storing them goes on meanwhile. Who
    /// stops waiting has not given them.
    ///
    /// # Errors
    /// What went wrong with these bytes or with earlier ones; nothing more is taken after that, and it cannot be kept.
    fn write(&mut self, bytes: Bytes) -> BoxFuture<'_, Result<(), Error>>;

    /// Makes an object of it, and answers once that is durable and seen by everybody. An object that is there already
    /// stays, and counts as kept now. Of several who keep the same one at the same time each has its answer, and one
    /// copy stays.
    ///
    /// Who stops waiting for the answer does not take it back: the object is kept or not, unseen.
    ///
    /// # Errors
    /// [`Error::Differs`] when another digest was `announced`; [`Error::Full`]; what else went wrong. Nothing of it is
    /// left then; only where the disk itself failed may it be seen without being durable.
    fn keep(self: Box<Self>, announced: Option<Sha512>) -> BoxFuture<'static, Result<Kept, Error>>;

    /// What was written so far, where the engine can show it: for whoever wants to read along before it is kept. Nobody
    /// knows yet whether it is right.
    fn so_far(&self) -> Option<Arc<dyn SoFar>> {
        None
    }
}

/// The beginning of something that is being written.
pub trait SoFar: Send + Sync {
    /// How many bytes can be read while it is being written. Never becomes less.
    fn bytes(&self) -> u64;

    /// The bytes in `range`, as far as there are any by now, in pieces of at most [`CHUNK_BYTES`]; none any more when it was
    /// kept or forgotten.
    fn read(&self, range: Range<u64>) -> BoxStream<'static, Result<Bytes, Error>>;
}

/// An object that was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its name.
    pub digest: Sha512,
    /// How many bytes it has.
    pub size: u64,
    /// Whether it had been there already.
    pub was_there: bool,
}

/// An object in a listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its name.
    pub digest: Sha512,
    /// How many bytes it has.
    pub size: u64,
    /// When it was last kept, by the clock of whoever did.
    pub kept_at: Timestamp,
}

/// An object that is open. Cloning it opens nothing.
#[derive(Clone)]
pub struct Blob {
    size: u64,
    source: Arc<dyn Source>,
}

/// Where the bytes of an open object come from; for engines.
pub trait Source: Send + Sync {
    /// The bytes in `range`, which lies within the object.
    fn read(&self, range: Range<u64>) -> BoxStream<'static, Result<Bytes, Error>>;

    /// The bytes in `range`, which lies within the object and is not empty, when all of them are in memory already.
    fn at_hand(&self, _range: Range<u64>) -> Option<Bytes> {
        None
    }

    /// The file that the object is, when it is one.
    fn file(&self) -> Option<Arc<File>> {
        None
    }

    /// Has the bytes in `range` of the file in memory, for a moment at least.
    fn fetch(&self, _range: Range<u64>) -> BoxFuture<'static, Result<(), Error>> {
        ready(Ok(())).boxed()
    }
}

/// An object that is in memory.
struct InMemory(Bytes);

impl InMemory {
    fn slice(&self, Range { start, end }: Range<u64>) -> Bytes {
        let place = |at: u64| usize::try_from(at).map_or(self.0.len(), |at| at.min(self.0.len()));
        self.0.slice(place(start)..place(end))
    }
}

impl Source for InMemory {
    fn read(&self, range: Range<u64>) -> BoxStream<'static, Result<Bytes, Error>> {
        let mut rest = self.slice(range);
        let piece = move || (!rest.is_empty()).then(|| Ok(rest.split_to(rest.len().min(CHUNK_BYTES))));
        iter(from_fn(piece)).boxed()
    }

    fn at_hand(&self, range: Range<u64>) -> Option<Bytes> {
        Some(self.slice(range))
    }
}

impl Blob {
    /// The object that `bytes` are.
    #[must_use]
    pub fn in_memory(bytes: Bytes) -> Self {
        Self { size: bytes.len() as u64, source: Arc::new(InMemory(bytes)) }
    }

    /// The object of `size` bytes that `source` has.
    pub fn new(size: u64, source: Arc<dyn Source>) -> Self {
        Self { size, source }
    }

    /// How many bytes it has.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The bytes in `range`, as far as there are any, in pieces of at most [`CHUNK_BYTES`]. Nothing is read before the
    /// first piece is asked for, and none ahead where the bytes are at hand: whoever bounds the pieces that it holds
    /// bounds the memory that reading takes.
    ///
    /// # Errors
    /// [`Error::Damaged`] when it has become shorter; [`Error::Gone`] when a remote one was removed; what else went
    /// wrong. It is the last thing that comes.
    pub fn read(&self, range: Range<u64>) -> BoxStream<'static, Result<Bytes, Error>> {
        let end = range.end.min(self.size);
        self.source.read(range.start.min(end)..end)
    }

    /// The bytes in `range`, when all of them are to be had without waiting for anything; nothing otherwise, and where it
    /// is not known. For few bytes: they are copied on the caller's thread.
    #[must_use]
    pub fn at_hand(&self, range: Range<u64>) -> Option<Bytes> {
        if range.is_empty() || range.end > self.size { None } else { self.source.at_hand(range) }
    }

    /// The file that the object is, byte for byte from its beginning, where the engine keeps files and the system tells
    /// what of it is in memory: for sending it from the kernel. It is open for reading, never changes, and its position
    /// is nobody's: read at an offset.
    #[must_use]
    pub fn file(&self) -> Option<Arc<File>> {
        self.source.file()
    }

    /// Waits until the bytes in `range` of that file are in memory, so that whoever sends them next does not wait for a
    /// disk. Costs next to nothing when they are.
    ///
    /// # Errors
    /// Those of [`Self::read`].
    pub async fn fetch(&self, range: Range<u64>) -> Result<(), Error> {
        let end = range.end.min(self.size);
        if range.start < end { self.source.fetch(range.start..end).await } else { Ok(()) }
    }
}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Blob({} bytes)", self.size)
    }
}

/// Why blobs could not be read or kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is no room left on the disk, or no more may be taken.
    #[error("there is no room left for the object")]
    Full,
    /// The bytes are not those that were announced.
    #[error("the bytes are not those that were announced, but those of {found}")]
    Differs {
        /// Which ones came.
        found: Sha512,
    },
    /// More bytes came than the engine takes as one object.
    #[error("the object is larger than the {bytes_max} bytes that are kept as one")]
    TooLarge {
        /// The limit.
        bytes_max: u64,
    },
    /// The object was removed while it was read.
    #[error("the object was removed while it was read")]
    Gone,
    /// What is kept is not what was kept: somebody else changed it, or the disk did.
    #[error("the object is damaged: {reason}")]
    Damaged {
        /// What is wrong with it.
        reason: String,
    },
    /// The engine failed.
    #[error("the objects' store failed while {doing}: {reason}")]
    Engine {
        /// What was being done, as a gerund: "reading".
        doing: &'static str,
        /// What the system said.
        reason: String,
    },
    /// The engine is remote, and could not be reached or did not answer in time.
    #[error("the objects' store is out of reach, while {doing}: {reason}")]
    Unavailable {
        /// What was being done, as a gerund: "reading".
        doing: &'static str,
        /// What happened at the last attempt.
        reason: String,
    },
    /// The engine is remote, and does not let us in or do this.
    #[error("the objects' store does not let us, while {doing}: {reason}")]
    Refused {
        /// What was being done, as a gerund: "reading".
        doing: &'static str,
        /// What it said.
        reason: String,
    },
    /// It was closed.
    #[error("the objects' store is closed")]
    Closed,
}

impl Explain for Error {
    fn kind(&self) -> Kind {
        match self {
            Self::Full => Kind::Full,
            Self::Differs { .. } => Kind::Invalid,
            Self::TooLarge { .. } => Kind::TooLarge,
            Self::Gone => Kind::NotFound,
            Self::Damaged { .. } | Self::Engine { .. } => Kind::Internal,
            Self::Unavailable { .. } | Self::Refused { .. } | Self::Closed => Kind::Unavailable,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Full => {
                Some("free some space, or remove objects; nothing that was acknowledged is lost".into())
            }
            Self::Differs { .. } => Some("send it again: nothing of it was kept".into()),
            Self::Damaged { .. } => Some("upload it again, and look at the disk".into()),
            Self::Refused { .. } => {
                Some("look at the bucket, the access key and what it may do, here and in the store".into())
            }
            Self::TooLarge { .. }
            | Self::Gone
            | Self::Engine { .. }
            | Self::Unavailable { .. }
            | Self::Closed => None,
        }
    }
}
