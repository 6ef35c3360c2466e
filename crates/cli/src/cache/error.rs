//! What can go wrong with a command about the cache.

use std::io;
use std::path::PathBuf;

use base::{Explain, Kind, Sha512};
use client::networkcache::{AccessError, CacheError};
use client::origin::OriginError;
use entry::json::JsonError;
use entry::{FilterError, NewError, PolicyError, Reason};

use super::seen::SeenError;
use super::signing_file::SigningFileError;
use super::unpacking::ReleaseError;
use crate::connection::ConnectionError;
use crate::error::CommandError;

/// A command did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CacheCommandError {
    /// Nobody can be asked.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    /// What is to be shown to a server, or of it, cannot be read.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// Nobody answered, or the answer is no.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// The same, of what the server tells about itself.
    #[error(transparent)]
    Asked(#[from] CommandError),
    /// It could not be had from where it comes from either.
    #[error(transparent)]
    Origin(#[from] OriginError),
    /// What came from there is not what was to come.
    #[error("{url} has the {what} {found}, and {expected} was expected")]
    Checksum {
        /// Where it came from.
        url: String,
        /// Which digest.
        what: &'static str,
        /// What it is.
        found: String,
        /// What it should be.
        expected: String,
    },
    /// A release cannot be packed, or is not to be unpacked.
    #[error(transparent)]
    Release(#[from] ReleaseError),
    /// What was to be selected is not understood.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// Nobody says whom to believe.
    #[error("nothing says whom to believe")]
    NoTrust,
    /// What says whom to believe does not.
    #[error("{} does not say whom to believe", path.display())]
    Trust {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: PolicyError,
    },
    /// A file is unreadable.
    #[error("could not read {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A file was not written.
    #[error("could not write {}", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Another file has this name.
    #[error("{} is there already, and is something else", .0.display())]
    Exists(PathBuf),
    /// Nobody signs.
    #[error(transparent)]
    SigningFile(#[from] SigningFileError),
    /// The metadata cannot be read.
    #[error("{} is not metadata", path.display())]
    Metadata {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: BadMetadata,
    },
    /// The entry cannot be made.
    #[error(transparent)]
    New(#[from] NewError),
    /// What is said at the command does not fit together.
    #[error("{0}")]
    Usage(&'static str),
    /// A file has no name of its own.
    #[error("{} has no name that could stand behind `{under}`", path.display())]
    NoName {
        /// The file.
        path: PathBuf,
        /// What was to stand before it.
        under: String,
    },
    /// A release is wanted, and nobody knows for what machine.
    #[error("this machine does not say what it is (os-release, architecture), so no release is known to fit")]
    NoPlatform,
    /// It takes longer than the cache may take.
    #[error("it was not done within {seconds} s")]
    Late {
        /// How long it may take.
        seconds: u64,
    },
    /// What was seen before is not known.
    #[error(transparent)]
    Seen(#[from] SeenError),
    /// There is less than its signer says, though the digest is right.
    #[error("{sha512} has {bytes} bytes, and {told} were signed")]
    Length {
        /// The bytes' digest.
        sha512: Sha512,
        /// How many there are.
        bytes: u64,
        /// How many there should be.
        told: u64,
    },
    /// No entry at all.
    #[error("there is nothing under `{key}`")]
    Absent {
        /// The key.
        key: String,
    },
    /// There are entries that count, and none that was asked for.
    #[error("nothing that was asked for is under `{key}`")]
    Nothing {
        /// The key.
        key: String,
    },
    /// There are entries, and none counts.
    #[error("no entry under `{key}` counts: of the first one, {}", base::report(.reason))]
    NoneCounts {
        /// The key.
        key: String,
        /// Why the first one does not.
        reason: Reason,
    },
    /// The same, after each was told of.
    #[error("nothing under `{key}` counts")]
    NothingCounts {
        /// The key.
        key: String,
        /// What the first one failed of.
        kind: Kind,
    },
    /// A file is not what entries tell of.
    #[error("{} is not what is told of under `{key}`", path.display())]
    Differs {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
    },
    /// Nothing was signed by this key.
    #[error("nothing that could be withdrawn is under `{key}`")]
    NothingToWithdraw {
        /// The key.
        key: String,
    },
    /// Some of many things failed, and it was said which.
    #[error("{failed} of {of} failed")]
    Some {
        /// How many.
        failed: usize,
        /// Of how many.
        of: usize,
        /// What the first one failed of.
        kind: Kind,
    },
    /// Standard output is out of order.
    #[error("could not write the result")]
    Output(#[source] io::Error),
    /// The system refuses what every program needs.
    #[error("could not start")]
    Runtime(#[source] io::Error),
}

/// Why a file is not metadata.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BadMetadata {
    /// Not JSON.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// JSON of another shape.
    #[error("it is not a JSON object")]
    Shape,
}

impl CacheCommandError {
    /// The exit code: that of the kind, or of the signal that ended a question.
    pub(crate) fn exit_code(&self) -> u8 {
        if let Self::Asked(error) = self {
            return error.exit_code();
        }
        let interrupted = match self {
            Self::Connection(ConnectionError::Input(error)) => error.interrupted(),
            _ => None,
        };
        interrupted.unwrap_or_else(|| self.kind().exit_code())
    }
}

impl Explain for CacheCommandError {
    fn kind(&self) -> Kind {
        match self {
            Self::Connection(error) => error.kind(),
            // A file that is not there is no server that would be there later (sysexits.h, EX_NOINPUT).
            Self::Cache(CacheError::File { .. }) | Self::Unreadable { .. } => Kind::NotFound,
            Self::Access(error) => error.kind(),
            Self::Cache(error) => error.kind(),
            Self::Asked(error) => error.kind(),
            Self::Origin(error) => error.kind(),
            Self::Seen(error) => error.kind(),
            Self::Late { .. } => Kind::TimedOut,
            Self::Checksum { .. } | Self::Length { .. } => Kind::Internal,
            Self::Release(error) => error.kind(),
            Self::Filter(error) => error.kind(),
            Self::Trust { source, .. } => source.kind(),
            Self::SigningFile(error) => error.kind(),
            Self::New(error) => error.kind(),
            Self::NoTrust | Self::Metadata { .. } | Self::Usage(_) | Self::NoName { .. } => Kind::Invalid,
            Self::Exists(_) | Self::Differs { .. } => Kind::Conflict,
            Self::Absent { .. } | Self::Nothing { .. } | Self::NothingToWithdraw { .. } => Kind::NotFound,
            Self::NoneCounts { reason, .. } => reason.kind(),
            Self::Some { kind, .. } | Self::NothingCounts { kind, .. } => *kind,
            Self::Unwritable { source, .. } if source.kind() == io::ErrorKind::AlreadyExists => {
                Kind::Conflict
            }
            Self::Unwritable { .. } | Self::Output(_) | Self::Runtime(_) | Self::NoPlatform => {
                Kind::Unavailable
            }
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Connection(error) => error.help(),
            Self::Cache(CacheError::Refused { status: 401 | 403, .. }) => {
                Some("say who you are, with --certificate FILE or --user NAME".to_owned())
            }
            Self::Cache(error) => error.help(),
            Self::Asked(error) => error.help(),
            Self::Origin(error) => error.help(),
            Self::Release(error) => error.help(),
            Self::Filter(error) => error.help(),
            Self::NoTrust => Some(
                "name a file with --trust FILE; `provost cache sign-key` prints what stands in one"
                    .to_owned(),
            ),
            Self::Trust { source, .. } => source.help(),
            Self::SigningFile(error) => error.help(),
            Self::New(error) => error.help(),
            Self::Seen(error) => error.help(),
            Self::NoPlatform => Some("--any-platform takes releases for whatever machine".to_owned()),
            Self::Exists(_) => Some("--force replaces it; --out FILE names another one".to_owned()),
            Self::NoneCounts { key, .. } => Some(format!(
                "`provost cache explain '{}'` tells of each entry why",
                crate::table::one_line(key)
            )),
            Self::NothingToWithdraw { .. } => Some(
                "only what this key signed is withdrawn with it; `provost cache explain` tells who signed"
                    .to_owned(),
            ),
            Self::Unwritable { source, .. } if source.kind() == io::ErrorKind::AlreadyExists => {
                Some("name another one with --out FILE".to_owned())
            }
            Self::Access(_)
            | Self::Unreadable { .. }
            | Self::Checksum { .. }
            | Self::Length { .. }
            | Self::Late { .. }
            | Self::Unwritable { .. }
            | Self::Metadata { .. }
            | Self::Usage(_)
            | Self::NoName { .. }
            | Self::Absent { .. }
            | Self::Nothing { .. }
            | Self::NothingCounts { .. }
            | Self::Differs { .. }
            | Self::Some { .. }
            | Self::Output(_)
            | Self::Runtime(_) => None,
        }
    }
}
