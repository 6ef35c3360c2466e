//! What can go wrong with a command about the history.

use std::io;
use std::path::PathBuf;

use base::{Explain, Kind};

use crate::error::CommandError;

/// A command did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub(super) enum AuditCommandError {
    /// Nobody answered, or the answer is no.
    #[error(transparent)]
    Asked(#[from] CommandError),
    /// The history is not what it was.
    #[error("the history is not what it was")]
    Broken(#[from] chain::Broken),
    /// Nothing is linked, so nothing can be checked.
    #[error("nothing of the history is linked yet")]
    NotLinked,
    /// A file is no export.
    #[error("{} is no export of a history: line {line} cannot be read", path.display())]
    NoExport {
        /// The file.
        path: PathBuf,
        /// Which line, from 1 on.
        line: usize,
    },
    /// A file cannot be read.
    #[error("could not read {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

impl From<client::v1::BadAnswer> for AuditCommandError {
    fn from(error: client::v1::BadAnswer) -> Self {
        Self::Asked(error.into())
    }
}

impl AuditCommandError {
    /// The exit code.
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::Asked(error) => error.exit_code(),
            other => other.kind().exit_code(),
        }
    }
}

impl Explain for AuditCommandError {
    fn kind(&self) -> Kind {
        match self {
            Self::Asked(error) => error.kind(),
            Self::Broken(error) => error.kind(),
            Self::NotLinked => Kind::Unavailable,
            Self::NoExport { .. } => Kind::Invalid,
            Self::Unreadable { .. } => Kind::NotFound,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Asked(error) => error.help(),
            Self::Broken(error) => error.help(),
            Self::NotLinked => Some("the server links it within a second of what happens".into()),
            Self::NoExport { .. } => Some("`provost audit export FILE` writes one".into()),
            Self::Unreadable { .. } => None,
        }
    }
}
