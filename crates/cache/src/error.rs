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
    /// The house fetched it for somebody, and enough of what it fetched is in use.
    #[error("no more than {bytes_max} bytes are kept of what comes from the upstream cache")]
    Fetched {
        /// How many.
        bytes_max: u64,
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
            Self::Quota { .. } | Self::NoRoom { .. } | Self::Fetched { .. } => Kind::Full,
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
            Self::Fetched { .. } => Some("the server's setting is `cache.upstream_bytes_max`".into()),
            Self::Blobs(source) => source.help(),
            Self::Open(source) => source.help(),
            Self::Store(source) => source.help(),
        }
    }
}

/// Why an upload that comes in several pieces does not go on.
#[derive(Debug, thiserror::Error)]
pub enum ResumeError {
    /// It is none, or somebody else's.
    #[error(
        "there is no such upload: it is over, was idle for too long, or the server has been started again"
    )]
    NoSuchUpload,
    /// Enough of them are open.
    #[error("{open_max} uploads are open already, which is as many as may be{}", of_whom(.is_all))]
    TooManyOpen {
        /// How many may be.
        open_max: usize,
        /// Whether that is for all writers together.
        is_all: bool,
    },
    /// More of it has come, or less.
    #[error("{expected} bytes have come, so that nothing can be added at {said}")]
    Offset {
        /// How many have come.
        expected: u64,
        /// Where something was to be added.
        said: u64,
    },
    /// It was said to be of another length.
    #[error("the upload was said to have {length} bytes in all")]
    Length {
        /// Which one.
        length: u64,
    },
    /// Somebody else goes on with it, or asked how far it is.
    #[error("another request came for the same upload")]
    CutOff,
    /// It cannot be taken.
    #[error(transparent)]
    Upload(#[from] UploadError),
}

fn of_whom(is_all: &bool) -> &'static str {
    if *is_all { "" } else { " for one writer" }
}

impl Explain for ResumeError {
    fn kind(&self) -> Kind {
        match self {
            Self::NoSuchUpload => Kind::NotFound,
            // Their writer can end one; those of others end some time.
            Self::TooManyOpen { is_all: false, .. } | Self::Offset { .. } | Self::CutOff => Kind::Conflict,
            Self::TooManyOpen { is_all: true, .. } => Kind::Unavailable,
            Self::Length { .. } => Kind::Invalid,
            Self::Upload(source) => source.kind(),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::NoSuchUpload => Some("begin a new one".into()),
            Self::TooManyOpen { .. } => Some("end one, or post the bytes at once".into()),
            Self::Offset { .. } | Self::CutOff => Some("ask how far it is".into()),
            Self::Length { .. } => None,
            Self::Upload(source) => source.help(),
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
    Store(#[from] CommitError),
}

impl Explain for OpenError {
    fn kind(&self) -> Kind {
        match self {
            Self::Blobs(source) => source.kind(),
            Self::Store(source) => of_store(source),
        }
    }
}

/// Why the cache could not be looked after.
#[derive(Debug, thiserror::Error)]
pub enum MaintainError {
    /// The bytes could not be read or removed.
    #[error("could not look after the artifacts")]
    Blobs(#[from] blobs::Error),
    /// The store failed.
    #[error("could not look after the entries")]
    Store(#[from] CommitError),
}

impl Explain for MaintainError {
    fn kind(&self) -> Kind {
        match self {
            Self::Blobs(source) => source.kind(),
            Self::Store(source) => of_store(source),
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

impl From<store::Error> for OpenError {
    fn from(error: store::Error) -> Self {
        Self::Store(error.into())
    }
}

impl From<store::Error> for MaintainError {
    fn from(error: store::Error) -> Self {
        Self::Store(error.into())
    }
}

impl From<MaintainError> for UploadError {
    fn from(error: MaintainError) -> Self {
        match error {
            MaintainError::Blobs(error) => error.into(),
            MaintainError::Store(error) => error.into(),
        }
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
