//! Why there is nothing to report.

use std::io;
use std::path::{Path, PathBuf};

/// A measurement that could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The command line is not understood.
    #[error("{0}")]
    Usage(String),
    /// Something is not on this machine; the text says how to get it.
    #[error("{0}")]
    Missing(String),
    /// A program could not be run, or did not do what it was to do.
    #[error("{program}: {what}")]
    Program {
        /// Which one.
        program: String,
        /// What happened.
        what: String,
    },
    /// A file or folder could not be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A server did not answer.
    #[error("asking {address}: {source}")]
    Ask {
        /// Which server.
        address: std::net::SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// A server answered, but not what was to be measured.
    #[error("asking {address} for {path}: {status} instead of {expected}")]
    Answer {
        /// Which server.
        address: std::net::SocketAddr,
        /// What was asked for.
        path: String,
        /// What it said.
        status: u16,
        /// What it was to say.
        expected: u16,
    },
    /// The authority did not do what was asked.
    #[error("the authority, in process: {0}")]
    Authority(String),
    /// The fleet did not do what was asked.
    #[error("the fleet, in process: {0}")]
    Fleet(String),
}

impl Failure {
    /// For `map_err` on what was done to the file or folder at `path`.
    pub(crate) fn file(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { path, source }
    }

    /// For `map_err` on what the fleet itself says.
    pub(crate) fn fleet(error: impl std::error::Error) -> Self {
        Self::Fleet(base::report(&error))
    }

    /// For `map_err` on what the authority itself says.
    pub(crate) fn authority(error: impl std::error::Error) -> Self {
        Self::Authority(base::report(&error))
    }
}
