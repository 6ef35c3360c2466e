//! `provost ca export FILE`: our authorities as a database of caucase's, whether or not the server runs.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use base::{Clock, Entropy, Explain, Kind, report};
use ca::takeover::{GiveBackError, give_back};
use caucase_files::{DatabaseError, Row, Writer};
use store::{Engine, OpenError, SealError, SealingKey, Sqlite, Still};

use super::import;
use crate::etcd::{self, EtcdError};
use crate::output;
use crate::settings::{Settings, StoreEngine};

/// Where the authorities are.
pub enum Source<'a> {
    /// In the store of these settings.
    Settings(&'a Settings),
    /// In the database of `caucased`, whose key is beside it.
    Database(&'a Path),
}

/// Nothing was exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error("{} is there already", path.display())]
    There { path: PathBuf },
    #[error("there is no database at {}", path.display())]
    NoDatabase { path: PathBuf },
    #[error("{} is there, but {}, which its secrets are sealed with, is not", database.display(), key.display())]
    KeyLost { database: PathBuf, key: PathBuf },
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Etcd(#[from] EtcdError),
    #[error(transparent)]
    Seal(#[from] SealError),
    #[error("not everything has been imported from caucase yet")]
    HalfTaken,
    #[error("could not look at the store")]
    Store(#[from] store::Error),
    #[error(transparent)]
    GiveBack(#[from] GiveBackError<DatabaseError>),
    #[error(transparent)]
    Write(#[from] DatabaseError),
    #[error("could not start the runtime")]
    Runtime(#[source] io::Error),
}

impl Explain for ExportError {
    fn kind(&self) -> Kind {
        match self {
            Self::There { .. } | Self::KeyLost { .. } | Self::HalfTaken => Kind::Conflict,
            Self::NoDatabase { .. } => Kind::NotFound,
            Self::Open(error) => error.kind(),
            Self::Etcd(error) => error.kind(),
            Self::Seal(error) => error.kind(),
            Self::Store(error) => error.kind(),
            Self::GiveBack(error) => error.kind(),
            Self::Write(error) => error.kind(),
            Self::Runtime(_) => Kind::Internal,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::There { .. } => Some("name another file, or move it away".into()),
            Self::NoDatabase { .. } => Some(
                "name the data directory with --data DIR, or the database of caucased with --db FILE".into(),
            ),
            Self::KeyLost { .. } => Some("put the key back from your backup".into()),
            Self::Open(error) => error.help(),
            Self::Etcd(error) => error.help(),
            Self::Seal(error) => error.help(),
            Self::HalfTaken => Some("run `provost ca import` again: it begins anew".into()),
            Self::Store(error) => error.help(),
            Self::GiveBack(error) => error.help(),
            Self::Write(error) => error.help(),
            Self::Runtime(_) => None,
        }
    }
}

/// What was written.
#[derive(Debug, Default)]
struct Written {
    issuers: u64,
    certificates: u64,
    revoked: u64,
}

/// Writes the database of caucase's to `out`, where nothing may be.
pub fn run(out: &Path, from: &Source<'_>) -> ExitCode {
    match exported(out, from) {
        Ok(written) => {
            output::note(format_args!(
                "exported {} CA certificate(s), {} request(s) with what was issued for them, and {} revocation(s) to {}",
                written.issuers,
                written.certificates,
                written.revoked,
                out.display()
            ));
            output::note(format_args!(
                "the CA keys are in it, in clear. stop this server before: caucased --db {}",
                out.display()
            ));
            ExitCode::SUCCESS
        }
        Err(error) => {
            output::error(report(&error), error.help());
            ExitCode::from(error.kind().exit_code())
        }
    }
}

fn exported(out: &Path, from: &Source<'_>) -> Result<Written, ExportError> {
    if out.symlink_metadata().is_ok() {
        return Err(ExportError::There { path: out.to_owned() });
    }
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(ExportError::Runtime)?;
    runtime.block_on(async {
        let (engine, sealing) = open(from).await?;
        if import::is_unfinished(&engine).await? {
            return Err(ExportError::HalfTaken);
        }
        let mut writer = Writer::create(out)?;
        let mut written = Written::default();
        give_back(&engine, &sealing, |prefix, row| {
            match &row {
                Row::Issuer(_) => written.issuers += 1,
                Row::Certificate(_) => written.certificates += 1,
                Row::Revoked(_) => written.revoked += 1,
                Row::Count(_) => {}
            }
            writer.push(prefix, &row)
        })
        .await?;
        writer.finish()?;
        Ok(written)
    })
}

/// Everything as it is at one moment, and the key that the CA keys are sealed with.
async fn open(from: &Source<'_>) -> Result<(Arc<dyn Engine>, Arc<SealingKey>), ExportError> {
    let (clock, entropy) = (Clock::system(), Entropy::system());
    let (database, key) = match from {
        Source::Settings(settings) if settings.store.engine == StoreEngine::Etcd => {
            let (engine, sealing) = etcd::open(settings, &clock, &entropy).await?;
            return Ok((Still::of(engine.snapshot().await?), sealing));
        }
        Source::Settings(settings) => (settings.files.database.clone(), settings.files.store_key.clone()),
        Source::Database(path) => {
            let mut key = path.as_os_str().to_owned();
            key.push(".key");
            (path.to_path_buf(), PathBuf::from(key))
        }
    };
    if !database.exists() {
        return Err(ExportError::NoDatabase { path: database });
    }
    let engine = Still::of(Sqlite::look(&database)?);
    if !key.exists() {
        return Err(ExportError::KeyLost { database, key });
    }
    Ok((engine, Arc::new(SealingKey::load_or_create(&key, &entropy)?)))
}
