//! Why `caucased-manage` did not do what it was asked to.

use std::io;
use std::path::PathBuf;

use base::{Explain, Kind};
use ca::takeover::{BroughtError, RestoredError};
use caucase_files::DatabaseError;
use caucase_files::backup::ReadError;
use caucase_files::dump::RestoreError;
use store::{OpenError, SealError};
use x509::{KeyError, ParseError};

use crate::compat::takeover::TakeOverError;
use crate::lock::LockError;

/// Nothing was done, or not everything.
#[derive(Debug, thiserror::Error)]
pub enum ManageError {
    /// Where a database is to be made there is something.
    #[error("{} exists, not restoring.", python(path))]
    Exists { path: PathBuf },
    /// Where something is to be exported to there is something.
    #[error("file exists: {}", python(path))]
    ExportExists { path: PathBuf },
    /// There is nothing to work on.
    #[error("there is no database at {}", path.display())]
    NoDatabase { path: PathBuf },
    /// The database is there without the key that seals its secrets.
    #[error("{} is there, but {}, which its secrets are sealed with, is not", database.display(), key.display())]
    KeyLost { database: PathBuf, key: PathBuf },
    #[error("could not read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("could not write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("{} has no private key that can be used", path.display())]
    Key { path: PathBuf, source: KeyError },
    #[error("{} has to hold one signing request and nothing else", path.display())]
    Request { path: PathBuf },
    #[error("{} cannot be restored", path.display())]
    Backup { path: PathBuf, source: ReadError },
    #[error("{} cannot be restored", path.display())]
    Dump { path: PathBuf, source: RestoreError },
    #[error("the restored authority cannot be opened")]
    Authority(#[from] ca::OpenError),
    #[error("{} was not restored", path.display())]
    Restored { path: PathBuf, source: Box<RestoredError> },
    #[error("{place} is no PEM that can be read: {reason}")]
    Pem { place: String, reason: String },
    #[error("{place} is of unsupported type {label:?}")]
    Unsupported { place: String, label: String },
    #[error("{place} cannot be read")]
    Certificate { place: String, source: ParseError },
    #[error("{place} cannot be read")]
    PrivateKey { place: String, source: KeyError },
    #[error("No CA certificate imported")]
    NothingImported,
    #[error("an export needs a passphrase")]
    NoPassphrase,
    #[error("could not ask for a passphrase")]
    Passphrase(#[source] io::Error),
    #[error("could not encrypt a key")]
    Encrypt(#[source] KeyError),
    #[error(transparent)]
    Brought(#[from] BroughtError),
    #[error(transparent)]
    TakeOver(#[from] TakeOverError),
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Seal(#[from] SealError),
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error("the store could not be closed")]
    Store(#[from] store::Error),
    #[error("could not start the runtime")]
    Runtime(#[source] io::Error),
    #[error("could not write to standard output")]
    Output(#[source] io::Error),
}

impl Explain for ManageError {
    fn kind(&self) -> Kind {
        match self {
            Self::Exists { .. } | Self::ExportExists { .. } | Self::KeyLost { .. } => Kind::Conflict,
            Self::NoDatabase { .. } => Kind::NotFound,
            Self::Read { .. } | Self::Write { .. } | Self::Passphrase(_) | Self::Output(_) => {
                Kind::Unavailable
            }
            Self::Backup { source, .. } => source.kind(),
            Self::Dump { source, .. } => source.kind(),
            Self::Authority(error) => error.kind(),
            Self::Restored { source, .. } => source.kind(),
            Self::Key { .. }
            | Self::Request { .. }
            | Self::Pem { .. }
            | Self::Unsupported { .. }
            | Self::Certificate { .. }
            | Self::PrivateKey { .. }
            | Self::NothingImported
            | Self::NoPassphrase => Kind::Invalid,
            Self::Encrypt(_) | Self::Runtime(_) => Kind::Internal,
            Self::Brought(error) => error.kind(),
            Self::TakeOver(error) => error.kind(),
            Self::Database(error) => error.kind(),
            Self::Open(error) => error.kind(),
            Self::Seal(error) => error.kind(),
            Self::Lock(error) => error.kind(),
            Self::Store(error) => error.kind(),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Exists { .. } => Some("name another one with --db, or move it away".into()),
            Self::ExportExists { .. } => Some("name another file, or move it away".into()),
            Self::NoDatabase { .. } => Some("name it with --db".into()),
            Self::KeyLost { .. } => Some("put the key back from your backup".into()),
            Self::Key { source, .. } | Self::PrivateKey { source, .. } => source.help(),
            Self::Backup { source, .. } => source.help(),
            Self::Authority(error) => error.help(),
            Self::Restored { source, .. } => source.help(),
            Self::Brought(error) => error.help(),
            Self::TakeOver(error) => error.help(),
            Self::Database(error) => error.help(),
            Self::Open(error) => error.help(),
            Self::Seal(error) => error.help(),
            Self::Lock(error) => error.help(),
            Self::Store(error) => error.help(),
            Self::Read { .. }
            | Self::Write { .. }
            | Self::Request { .. }
            | Self::Dump { .. }
            | Self::Pem { .. }
            | Self::Unsupported { .. }
            | Self::Certificate { .. }
            | Self::NothingImported
            | Self::NoPassphrase
            | Self::Passphrase(_)
            | Self::Encrypt(_)
            | Self::Runtime(_)
            | Self::Output(_) => None,
        }
    }
}

/// A path as the original shows it: in Python's quotes.
pub fn python(path: &std::path::Path) -> String {
    let text = path.display().to_string();
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut shown = String::from(quote);
    for character in text.chars() {
        match character {
            '\\' => shown.push_str("\\\\"),
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\t' => shown.push_str("\\t"),
            _ if character == quote => shown.extend(['\\', quote]),
            _ => shown.push(character),
        }
    }
    shown.push(quote);
    shown
}
