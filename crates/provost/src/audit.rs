//! `provost audit verify --store`: the history of a store itself, also while a server uses it.
//!
//! A server that lies about its history would lie to whoever asks it. This reads the database as it is in one moment, and
//! its key, and writes nothing into either.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use ::cli::audit::{Told, tell_summary};
use base::{Entropy, Explain, Kind, report};
use chain::{Broken, Head};
use clap::{Arg, ArgAction, ArgMatches, Command};
use engine::audit::{Checked, VerifyError};
use store::{SealingKey, Sqlite, Still};

use crate::output;
use crate::settings::within;

const VERIFY: &str = "verify";
const STORE: &str = "store";

/// What is to be looked at.
pub struct Wanted {
    data: Option<PathBuf>,
    head: Option<Head>,
    key: Option<String>,
    json: bool,
}

/// The store's history could not be checked, or is not what it was.
#[derive(Debug, thiserror::Error)]
enum AuditError {
    #[error("nothing says where the data directory is")]
    NoData,
    #[error("there is no database at {}", path.display())]
    NoDatabase { path: PathBuf },
    #[error("there is no key at {}", path.display())]
    NoKey { path: PathBuf },
    #[error(transparent)]
    Open(#[from] store::OpenError),
    #[error(transparent)]
    Seal(#[from] store::SealError),
    #[error("the history is not found to be what it was")]
    Verify(#[from] VerifyError),
    #[error("the history is not found to be what it was")]
    Key(#[source] Broken),
    #[error("could not start the runtime")]
    Runtime(#[source] io::Error),
    #[error("could not write the result")]
    Output(#[source] io::Error),
}

impl Explain for AuditError {
    fn kind(&self) -> Kind {
        match self {
            Self::NoData => Kind::Invalid,
            Self::NoDatabase { .. } | Self::NoKey { .. } => Kind::NotFound,
            Self::Open(source) => source.kind(),
            Self::Seal(source) => source.kind(),
            Self::Verify(source) => source.kind(),
            Self::Key(source) => source.kind(),
            Self::Runtime(_) => Kind::Internal,
            Self::Output(_) => Kind::Unavailable,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::NoData | Self::NoDatabase { .. } => Some("name its directory with --data DIR".into()),
            Self::NoKey { .. } => Some("without the key of the database nobody can tell who signed".into()),
            Self::Open(source) => source.help(),
            Self::Seal(source) => source.help(),
            Self::Verify(source) => source.help(),
            Self::Key(source) => source.help(),
            Self::Runtime(_) | Self::Output(_) => None,
        }
    }
}

/// `command`, which has `audit verify`, with the option that only this program can offer: commands never open the store.
pub fn with_store(command: Command) -> Command {
    let store = Arg::new(STORE).long(STORE).action(ArgAction::SetTrue).conflicts_with("file").help(
        "Look into the database in the data directory itself, also while a server uses it, and ask none",
    );
    command.mut_subcommand("audit", |audit| audit.mut_subcommand(VERIFY, |verify| verify.arg(store)))
}

/// What is to be looked at, if `audit` asks for the store itself.
pub fn store_to_verify(audit: &ArgMatches) -> Option<Wanted> {
    let verify = audit.subcommand_matches(VERIFY).filter(|verify| verify.get_flag(STORE))?;
    Some(Wanted {
        data: verify.get_one("data").cloned(),
        head: verify.get_one("head").copied(),
        key: verify.get_one("key").cloned(),
        json: verify.get_flag("json"),
    })
}

/// Checks the history of the store that is `wanted`; `data` is where it is when that does not say.
pub fn verify(wanted: &Wanted, data: Option<PathBuf>) -> ExitCode {
    match checked(wanted, data) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::error(report(&error), error.help());
            ExitCode::from(error.kind().exit_code())
        }
    }
}

fn checked(wanted: &Wanted, data: Option<PathBuf>) -> Result<(), AuditError> {
    let data = wanted.data.clone().or(data).ok_or(AuditError::NoData)?;
    let files = within(&data, None, None, None);
    if !files.database.exists() {
        return Err(AuditError::NoDatabase { path: files.database });
    }
    // One that were made now would open nothing.
    if !files.store_key.exists() {
        return Err(AuditError::NoKey { path: files.store_key });
    }
    let sealing = Arc::new(SealingKey::load_or_create(&files.store_key, &Entropy::system())?);
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(AuditError::Runtime)?;
    let Checked { summary, not_linked, key } = runtime.block_on(async {
        let engine = Still::of(Sqlite::look(&files.database)?);
        Ok::<_, AuditError>(engine::audit::verify(engine, sealing, wanted.head).await?)
    })?;
    if wanted.key.as_ref().is_some_and(|expected| !expected.eq_ignore_ascii_case(&key)) {
        return Err(AuditError::Key(Broken::Key { found: key }));
    }
    let told = Told { summary: &summary, key: &key, not_linked: Some(not_linked), json: wanted.json };
    tell_summary(&told).map_err(AuditError::Output)
}
