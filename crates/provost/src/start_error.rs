//! Why a house does not stand.

use std::fmt::{self, Display, Formatter};
use std::io;
use std::path::PathBuf;

use base::{Explain, Kind};
use engine::HouseError;
use identity::sign_in::BuildError;
use server::doors::BindError;
use store::SealError;

use crate::another_cache::UpstreamError;
use crate::artifacts::ArtifactsError;
use crate::compat::takeover::TakeOverError;
use crate::etcd::EtcdError;
use crate::hands::HandsError;
use crate::settings::{ResolveError, log_of};

/// The house could not be built. Nothing of it is left running.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A name to listen on leads nowhere.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// An address cannot be listened on.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The store could not be opened.
    #[error(transparent)]
    Store(#[from] store::OpenError),
    /// The place for artifacts could not be opened.
    #[error(transparent)]
    Artifacts(#[from] ArtifactsError),
    /// The cache behind ours cannot be asked.
    #[error(transparent)]
    Upstream(UpstreamError),
    /// The etcd could not be used.
    #[error(transparent)]
    Etcd(#[from] EtcdError),
    /// The database is caucase's, and could not be taken over.
    #[error(transparent)]
    TakeOver(#[from] TakeOverError),
    /// An import from caucase was interrupted.
    #[error("not everything has been imported from caucase yet")]
    HalfTaken,
    /// There is a database, but not the key that its secrets are sealed with.
    #[error("{} is there, but {}, which its secrets are sealed with, is not", database.display(), key.display())]
    KeyLost {
        /// The database.
        database: PathBuf,
        /// The missing file.
        key: PathBuf,
    },
    /// There are files of an earlier start, but not what its database held.
    #[error("{} is there from an earlier start, but {}, the database, {remains}", file.display(), database.display())]
    DatabaseLost {
        /// The missing database.
        database: PathBuf,
        /// What is left.
        file: PathBuf,
        /// What there is of the database.
        remains: Remains,
    },
    /// There is an empty file where the database should be, which no start of ours has made: those make the key first.
    #[error("{} is empty, and no start of this program left it so", database.display())]
    EmptyDatabase {
        /// The file.
        database: PathBuf,
    },
    /// A restore into the data directory did not come to its end.
    #[error("{} is there: a restore into this directory did not come to its end", path.display())]
    HalfRestored {
        /// What it left.
        path: PathBuf,
    },
    /// The key that seals the store's secrets could not be had.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The netloc cannot be written in a certificate.
    #[error("the netloc cannot be written in a certificate: {0}")]
    Name(x509::NameError),
    /// A file for the work on hosts cannot be used.
    #[error(transparent)]
    Hands(#[from] HandsError),
    /// The house does not stand.
    #[error(transparent)]
    House(#[from] HouseError),
    /// An authority's certificates could not be read.
    #[error(transparent)]
    Authority(#[from] ca::IssueError),
    /// A method of sign-in that could be set up when the settings were checked no longer can.
    #[error("{}", listed(.0))]
    SignIn(Vec<BuildError>),
    /// The file with the certificate to show is not there, or holds something else.
    #[error("{} cannot be shown to the clients of the HTTPS port: {reason}", path.display())]
    TlsFile {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// A file could not be written.
    #[error("could not write {}", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Explain for StartError {
    fn kind(&self) -> Kind {
        match self {
            Self::Resolve(error) => error.kind(),
            Self::Bind(error) => error.kind(),
            Self::Store(error) => error.kind(),
            Self::Artifacts(error) => error.kind(),
            Self::Upstream(error) => error.kind(),
            Self::Etcd(error) => error.kind(),
            Self::HalfTaken
            | Self::KeyLost { .. }
            | Self::DatabaseLost { .. }
            | Self::EmptyDatabase { .. }
            | Self::HalfRestored { .. } => Kind::Conflict,
            Self::TakeOver(error) => error.kind(),
            Self::Seal(error) => error.kind(),
            Self::Name(_) => Kind::Invalid,
            Self::Hands(error) => error.kind(),
            Self::House(error) => error.kind(),
            Self::Authority(error) => error.kind(),
            Self::SignIn(_) | Self::TlsFile { .. } => Kind::Invalid,
            Self::File { .. } => Kind::Internal,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Resolve(error) => error.help(),
            Self::Bind(error) => error.help(),
            Self::Store(error) => error.help(),
            Self::Artifacts(error) => error.help(),
            Self::Upstream(error) => error.help(),
            Self::Etcd(error) => error.help(),
            Self::TakeOver(error) => error.help(),
            Self::HalfTaken => Some("run `provost ca import` again: it begins anew".into()),
            Self::DatabaseLost { database, remains: Remains::NoRecords, .. } => {
                let log = log_of(database);
                Some(format!(
                    "what it held may be in its log: put {} beside it, or both from your backup, or begin anew in \
                     another directory",
                    log.display()
                ))
            }
            Self::DatabaseLost { .. } => {
                Some("put the database back from your backup, or begin anew in another directory".into())
            }
            Self::EmptyDatabase { database } => Some(format!(
                "if there was a database in it, put that back from a backup; if not, remove {}, and new authorities are made",
                database.display()
            )),
            Self::HalfRestored { .. } => Some(
                "run `provost restore` again; if it finds the directory not empty, remove what is in it first".into(),
            ),
            Self::KeyLost { .. } => {
                Some("put the key back from your backup; without it the CA keys are lost".into())
            }
            Self::Seal(error) => error.help(),
            Self::Hands(error) => error.help(),
            Self::House(error) => error.help(),
            Self::Authority(error) => error.help(),
            Self::File { .. } => Some("see that its directory may be written and has room".into()),
            Self::SignIn(errors) => errors.iter().find_map(Explain::help),
            Self::TlsFile { .. } => Some(
                "it holds a private key, its certificate, and what is between that and its authority, as PEM"
                    .into(),
            ),
            Self::Name(_) => None,
        }
    }
}

/// What there is of a database that should hold something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remains {
    /// No file.
    Nothing,
    /// A file without a byte.
    NoBytes,
    /// A database in which nothing was ever stored: it all was in the log beside it.
    NoRecords,
}

impl Display for Remains {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Nothing => "is not",
            Self::NoBytes => "is empty: it has 0 bytes",
            Self::NoRecords => "has no records, as without its log (-wal)",
        })
    }
}

fn listed(errors: &[BuildError]) -> String {
    errors.iter().map(|error| base::report(error)).collect::<Vec<_>>().join("; ")
}
