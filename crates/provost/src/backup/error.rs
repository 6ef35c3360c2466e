//! Why there is no copy, or no house out of one.

use std::io;
use std::path::PathBuf;

use archive::age::{HeaderError, KeyError};
use archive::read::ReadError;
use base::{Explain, Kind};
use store::blobs;

use crate::etcd::EtcdError;
use crate::secret_file::SecretFileError;

/// A copy was not made, or not put back. Nothing of it is left that anybody could take for whole.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error("the settings name no data directory")]
    NoData,
    #[error("there is no database at {}", path.display())]
    NoDatabase { path: PathBuf },
    #[error("{} is there already", path.display())]
    Exists { path: PathBuf },
    #[error("another backup is being written to {}", path.display())]
    InUse { path: PathBuf },
    #[error("{} is not empty", path.display())]
    NotEmpty { path: PathBuf },
    #[error("{} holds a part of what another restore was to put there", path.display())]
    HalfRestored { path: PathBuf },
    #[error("somebody has begun to use the etcd already")]
    EtcdInUse,
    #[error("not everything has been imported from caucase yet")]
    HalfTaken,
    #[error("could not {doing} {}", path.display())]
    File { path: PathBuf, doing: &'static str, source: io::Error },
    #[error("could not write the backup")]
    Write(#[source] io::Error),
    #[error("could not write")]
    Output(#[source] io::Error),
    #[error("could not start the runtime")]
    Runtime(#[source] io::Error),
    #[error("there is no terminal to ask for the passphrase at")]
    NoTerminal,
    #[error("could not ask for the passphrase")]
    Terminal(#[source] io::Error),
    #[error("it was interrupted at the question for the passphrase")]
    Interrupted,
    #[error("the passphrase is no UTF-8")]
    PassphraseIsNoText,
    #[error("the two passphrases are not the same")]
    PassphrasesDiffer,
    #[error("the passphrase is empty")]
    NoPassphrase,
    #[error("{what} cannot be used")]
    Key { what: String, source: KeyError },
    #[error(transparent)]
    Secret(#[from] SecretFileError),
    #[error(transparent)]
    Open(#[from] store::OpenError),
    #[error(transparent)]
    Etcd(#[from] EtcdError),
    #[error(transparent)]
    OpenBlobs(#[from] blobs::OpenError),
    #[error("could not read the records")]
    Store(#[source] store::Error),
    #[error("could not read the artifacts")]
    ReadBlobs(#[source] blobs::Error),
    #[error("artifacts went away faster than they could be copied")]
    Restless,
    #[error("the backup cannot be opened")]
    Header(#[source] HeaderError),
    #[error("{} is no backup of Provost's", path.display())]
    Foreign { path: PathBuf },
    #[error("the backup is not whole")]
    Read(#[source] ReadError),
    #[error("the backup is not whole: {what}")]
    NotWhole { what: String },
    #[error("the backup was made by a newer version: its format is {format}, and {known} is known here")]
    Newer { format: u64, known: u64 },
    #[error("could not put the records back")]
    Commit(#[source] store::CommitError),
    #[error("could not put the artifacts back")]
    WriteBlobs(#[source] blobs::Error),
}

impl Explain for BackupError {
    fn kind(&self) -> Kind {
        match self {
            Self::NoData
            | Self::PassphraseIsNoText
            | Self::PassphrasesDiffer
            | Self::NoPassphrase
            | Self::NoTerminal
            | Self::Key { .. }
            | Self::Header(_)
            | Self::Foreign { .. }
            | Self::Read(_)
            | Self::NotWhole { .. }
            | Self::Newer { .. } => Kind::Invalid,
            Self::NoDatabase { .. } => Kind::NotFound,
            Self::Exists { .. }
            | Self::InUse { .. }
            | Self::NotEmpty { .. }
            | Self::HalfRestored { .. }
            | Self::HalfTaken
            | Self::EtcdInUse => Kind::Conflict,
            Self::File { source, .. } | Self::Write(source) if is_full(source) => Kind::Full,
            Self::File { .. }
            | Self::Write(_)
            | Self::Output(_)
            | Self::Terminal(_)
            | Self::Interrupted
            | Self::Restless => Kind::Unavailable,
            Self::Runtime(_) => Kind::Internal,
            Self::Secret(source) => source.kind(),
            Self::Open(source) => source.kind(),
            Self::Etcd(source) => source.kind(),
            Self::OpenBlobs(source) => source.kind(),
            Self::Store(source) => source.kind(),
            Self::ReadBlobs(source) | Self::WriteBlobs(source) => source.kind(),
            Self::Commit(source) => source.kind(),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::NoData | Self::NoDatabase { .. } => {
                Some("name the directory with --data DIR, and other settings as for `provost up`".into())
            }
            Self::Exists { .. } => Some("name another file; this one was not changed".into()),
            Self::InUse { .. } => Some("wait for it, or name another file".into()),
            Self::NotEmpty { .. } => Some("name a directory that does not exist, or an empty one".into()),
            Self::HalfRestored { path } => {
                Some(format!("remove what is in {}, and run it again", path.display()))
            }
            Self::HalfTaken => Some(
                "wait for `provost ca import`, or run it again if it was interrupted: it begins anew".into(),
            ),
            Self::EtcdInUse => Some("name another `store.etcd.namespace`, or empty this one".into()),
            Self::File { source, .. } | Self::Write(source) if is_full(source) => {
                Some("free some space; nothing was left of it".into())
            }
            Self::NoTerminal | Self::NoPassphrase => {
                Some("put it into a file of mode 0600, and name that with --passphrase-file".into())
            }
            Self::PassphrasesDiffer => Some("try again".into()),
            Self::Header(HeaderError::WantsIdentity) => {
                Some("name the file with the identity with --identity FILE".into())
            }
            Self::Header(HeaderError::WantsPassphrase) => {
                Some("leave --identity out, or name a file with --passphrase-file".into())
            }
            Self::Read(_)
            | Self::NotWhole { .. }
            | Self::Header(HeaderError::Damaged | HeaderError::Changed) => {
                Some("use another copy; nothing was put back".into())
            }
            Self::Newer { .. } => Some("use that version, or a later one".into()),
            Self::Restless => Some("run it again".into()),
            Self::Secret(source) => source.help(),
            Self::Open(source) => source.help(),
            Self::Etcd(source) => source.help(),
            Self::OpenBlobs(source) => source.help(),
            Self::Store(source) => source.help(),
            Self::ReadBlobs(source) | Self::WriteBlobs(source) => source.help(),
            Self::Commit(source) => source.help(),
            Self::File { .. }
            | Self::Write(_)
            | Self::Output(_)
            | Self::Runtime(_)
            | Self::Terminal(_)
            | Self::Interrupted
            | Self::PassphraseIsNoText
            | Self::Key { .. }
            | Self::Foreign { .. }
            | Self::Header(_) => None,
        }
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}
