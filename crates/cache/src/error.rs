//! What can go wrong, one enum for each operation.

use base::{Explain, Kind};
use store::{CommitError, blobs};

/// Why an artifact could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// It is larger than any may be.
    #[error("an artifact may have {bytes_max} bytes at most")]
    TooLarge {
        /// How many.
        bytes_max: u64,
    },
    /// Whoever puts it there has put enough there.
    #[error("{who} may keep {bytes_max} bytes here, and has {bytes}")]
    Quota {
        /// The principal.
        who: String,
        /// How many are theirs.
        bytes: u64,
        /// How many may be.
        bytes_max: u64,
    },
    /// No more is left than is kept free.
    #[error("there is no room for it: {bytes} bytes would be left, and {reserve_bytes} are kept free")]
    NoRoom {
        /// How many would be left, with all that is coming in.
        bytes: u64,
        /// How many are kept free.
        reserve_bytes: u64,
    },
    /// The bytes could not be kept.
    #[error("could not keep the bytes")]
    Blobs(#[from] blobs::Error),
    /// What was kept before could not be looked up.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The store failed.
    #[error("could not write down what was kept")]
    Store(#[from] CommitError),
}

impl Explain for UploadError {
    fn kind(&self) -> Kind {
        match self {
            Self::TooLarge { .. } => Kind::TooLarge,
            Self::Quota { .. } | Self::NoRoom { .. } => Kind::Full,
            Self::Blobs(source) => source.kind(),
            Self::Open(source) => source.kind(),
            Self::Store(source) => of_store(source),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::TooLarge { .. } => Some("the server's setting is `cache.artifact_bytes_max`".into()),
            Self::Quota { .. } => Some("the server's setting is `cache.writer_bytes_max`".into()),
            Self::NoRoom { .. } => {
                Some("free some space on the disk; the server's setting is `cache.reserve_bytes`".into())
            }
            Self::Blobs(source) => source.help(),
            Self::Open(source) => source.help(),
            Self::Store(source) => source.help(),
        }
    }
}

/// Why an artifact could not be read.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The bytes could not be read.
    #[error("could not read the artifact")]
    Blobs(#[from] blobs::Error),
    /// The store failed.
    #[error("could not look the artifact up")]
    Store(#[from] store::Error),
}

impl Explain for OpenError {
    fn kind(&self) -> Kind {
        match self {
            Self::Blobs(source) => source.kind(),
            Self::Store(source) => source.kind(),
        }
    }
}

/// Why an entry was not taken.
#[derive(Debug, thiserror::Error)]
pub enum PutEntryError {
    /// There are enough of them.
    #[error("the key `{key}` has {entries_max} entries, which is as many as a key may have")]
    TooMany {
        /// Which key.
        key: String,
        /// How many.
        entries_max: u64,
    },
    /// Whoever puts it there has put enough there.
    #[error("{who} may keep {bytes_max} bytes here, and has {bytes}")]
    Quota {
        /// The principal.
        who: String,
        /// How many are theirs.
        bytes: u64,
        /// How many may be.
        bytes_max: u64,
    },
    /// No more is left than is kept free.
    #[error("there is no room for it: {bytes} bytes would be left, and {reserve_bytes} are kept free")]
    NoRoom {
        /// How many would be left, with all that is coming in.
        bytes: u64,
        /// How many are kept free.
        reserve_bytes: u64,
    },
    /// It is too long for a record, and could not be kept elsewhere.
    #[error("could not keep the entry")]
    Blobs(#[from] blobs::Error),
    /// The store failed.
    #[error("could not write the entry")]
    Store(#[from] CommitError),
}

impl Explain for PutEntryError {
    fn kind(&self) -> Kind {
        match self {
            Self::TooMany { .. } | Self::Quota { .. } | Self::NoRoom { .. } => Kind::Full,
            Self::Blobs(source) => source.kind(),
            Self::Store(source) => of_store(source),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::TooMany { .. } => None,
            Self::Quota { .. } => Some("the server's setting is `cache.writer_bytes_max`".into()),
            Self::NoRoom { .. } => {
                Some("free some space on the disk; the server's setting is `cache.reserve_bytes`".into())
            }
            Self::Blobs(source) => source.help(),
            Self::Store(source) => source.help(),
        }
    }
}

/// Why entries could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// One that is too long for a record could not be read.
    #[error("could not read an entry")]
    Blobs(#[from] blobs::Error),
    /// The store failed.
    #[error("could not read the entries")]
    Store(#[from] store::Error),
}

impl Explain for ReadError {
    fn kind(&self) -> Kind {
        match self {
            Self::Blobs(source) => source.kind(),
            Self::Store(source) => source.kind(),
        }
    }
}

impl From<store::Error> for PutEntryError {
    fn from(error: store::Error) -> Self {
        Self::Store(error.into())
    }
}

impl From<store::Error> for UploadError {
    fn from(error: store::Error) -> Self {
        Self::Store(error.into())
    }
}

/// When others were faster again and again, it is worth trying once more.
fn of_store(error: &CommitError) -> Kind {
    match error {
        CommitError::Conflict { .. } => Kind::Unavailable,
        error => error.kind(),
    }
}
