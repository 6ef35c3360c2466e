//! `provost ca import FILE`: a database of caucase's into a store that has no authorities yet.
//!
//! ```text
//! /house/taking-over is put ─► everything is copied ─► /house/taking-over goes
//! ```
//! A store takes no more than a hundred records in one commit, so a record says that not all is there yet: as long as it
//! is, nobody serves from that store, and the next import removes what came and begins again.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use base::{Clock, Entropy, Explain, Kind, report};
use ca::takeover::{TAKING_OVER, first_issuers};
use caucase_files::Database;
use rustix::fs::Mode;
use rustix::process::umask;
use serde_json::json;
use store::{BATCH_OPERATIONS_MAX, Batch, CommitError, Engine, Expect, Key, Page, Prefix};

use super::{Means, TakeOverError, Taken, copy, look};
use crate::data_dir::{self, DataDirError};
use crate::house;
use crate::lock::{Lock, LockError};
use crate::output;
use crate::settings::Settings;
use crate::start_error::StartError;

/// Where everything of the authorities is.
const AUTHORITIES: &str = "/ca/";

/// What an import is told.
pub struct Wanted<'a> {
    /// The database of caucase's.
    pub file: &'a Path,
    /// Whether to print JSON.
    pub json: bool,
}

/// Nothing was imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    TakeOver(#[from] TakeOverError),
    #[error("there are authorities already: `{key}` is one of their records")]
    Occupied { key: Key },
    #[error("the store could not be looked at")]
    Store(#[from] store::Error),
    #[error("the store could not be made ready")]
    Commit(#[from] CommitError),
    #[error("could not start the runtime")]
    Runtime(#[source] io::Error),
    #[error("could not write")]
    Output(#[source] io::Error),
}

impl Explain for ImportError {
    fn kind(&self) -> Kind {
        match self {
            Self::DataDir(error) => error.kind(),
            Self::Lock(error) => error.kind(),
            Self::Start(error) => error.kind(),
            Self::TakeOver(error) => error.kind(),
            Self::Occupied { .. } => Kind::Conflict,
            Self::Store(error) => error.kind(),
            Self::Commit(error) => error.kind(),
            Self::Runtime(_) => Kind::Internal,
            Self::Output(_) => Kind::Unavailable,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::DataDir(error) => error.help(),
            Self::Lock(error) => error.help(),
            Self::Start(error) => error.help(),
            Self::TakeOver(error) => error.help(),
            Self::Occupied { .. } => Some(
                "import before the first start, into a new directory with --data DIR; or give the file to \
                 `caucased --db`"
                    .into(),
            ),
            Self::Store(error) => error.help(),
            Self::Commit(error) => error.help(),
            Self::Runtime(_) | Self::Output(_) => None,
        }
    }
}

/// Tells what is in the database, and does nothing.
pub fn dry_run(wanted: &Wanted<'_>, settings: &Settings) -> ExitCode {
    ended(looked_at(wanted, settings).and_then(|taken| {
        let text = if wanted.json { format!("{:#}\n", told(wanted, &taken, false)) } else { taken.text() };
        output::data(&text).map_err(ImportError::Output)
    }))
}

/// What is in the database, if it could be imported into the store of `settings`.
fn looked_at(wanted: &Wanted<'_>, settings: &Settings) -> Result<Taken, ImportError> {
    let (clock, entropy) = (Clock::system(), Entropy::system());
    let taken = look(wanted.file, &clock, settings.clock_is_right, &entropy)?;
    if let Some(data) = &settings.data {
        data_dir::check(data)?;
        if data.is_dir() {
            drop(Lock::take(data)?);
        }
    }
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(ImportError::Runtime)?;
    runtime.block_on(async {
        let Some(engine) = house::look_any(settings, &clock, &entropy).await? else { return Ok(()) };
        // What was begun and not finished is begun anew.
        match is_unfinished(&engine).await? {
            true => Ok(()),
            false => is_free(&engine).await,
        }
    })?;
    Ok(taken)
}

/// Imports it into the store of `settings`.
pub fn run(wanted: &Wanted<'_>, settings: &Settings) -> ExitCode {
    ended(imported(wanted, settings).and_then(|taken| {
        output::note(format_args!("imported {}: {}", wanted.file.display(), taken.summary()));
        for odd in taken.findings() {
            output::note(format_args!("note: {odd}"));
        }
        output::note(
            "it is unchanged, and caucase must not go on with it. next: provost up, with the same settings",
        );
        if wanted.json {
            output::data(&format!("{:#}\n", told(wanted, &taken, true))).map_err(ImportError::Output)?;
        }
        Ok(())
    }))
}

fn told(wanted: &Wanted<'_>, taken: &Taken, imported: bool) -> serde_json::Value {
    let mut told = taken.json();
    told["file"] = json!(wanted.file.display().to_string());
    told["imported"] = json!(imported);
    told
}

fn ended(done: Result<(), ImportError>) -> ExitCode {
    let Err(error) = done else { return ExitCode::SUCCESS };
    output::error(report(&error), error.help());
    ExitCode::from(error.kind().exit_code())
}

fn imported(wanted: &Wanted<'_>, settings: &Settings) -> Result<Taken, ImportError> {
    // Looked at as a whole first: what is refused leaves no trace.
    look(wanted.file, &Clock::system(), settings.clock_is_right, &Entropy::system())?;
    let is_made = settings.data.as_deref().map(data_dir::prepare).transpose()?.unwrap_or(false);
    let lock = settings.data.as_deref().map(Lock::take).transpose()?;
    umask(Mode::RWXG | Mode::RWXO);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(ImportError::Runtime)?;
    let imported = runtime.block_on(import(wanted.file, settings));
    if let Some(data) = settings.data.as_deref().filter(|_| is_made && imported.is_err()) {
        // If something was kept in it, this does nothing.
        let _ = std::fs::remove_dir(data);
    }
    drop(lock);
    imported
}

async fn import(file: &Path, settings: &Settings) -> Result<Taken, ImportError> {
    let (clock, entropy) = (Clock::system(), Entropy::system());
    let opened = house::open_any(settings, &clock, &entropy).await?;
    let clock_is_right = settings.clock_is_right;
    let means = Means { sealing: &opened.sealing, clock: &clock, clock_is_right, entropy: &entropy };
    let taken = into(file, &opened.engine, &means).await;
    // The first error is the one to tell.
    let closed = opened.engine.close().await;
    let taken = taken?;
    closed?;
    Ok(taken)
}

/// Imports the database at `file` into `engine`; all of it, or nothing.
async fn into(file: &Path, engine: &Arc<dyn Engine>, means: &Means<'_>) -> Result<Taken, ImportError> {
    let mut database = Database::open(file).map_err(TakeOverError::from)?;
    begin(engine, file).await?;
    match copy(&mut database, file, engine, means).await {
        Ok(taken) => {
            end(engine).await?;
            Ok(taken)
        }
        Err(error) => {
            // What may still come to be is not cleared up here; nor if that fails. The record says so.
            let may_come = matches!(error, TakeOverError::Commit(CommitError::Unknown { .. }));
            if !may_come && remove_authorities(engine).await.is_ok() {
                let _ = end(engine).await;
            }
            Err(error.into())
        }
    }
}

/// Whether an import into this store was begun and not finished.
pub async fn is_unfinished(engine: &Arc<dyn Engine>) -> Result<bool, store::Error> {
    Ok(engine.get(&Key::new(TAKING_OVER)?).await?.is_some())
}

/// Refuses a store that has anything of an authority.
async fn is_free(engine: &Arc<dyn Engine>) -> Result<(), ImportError> {
    let listing = engine.list(&Prefix::new(AUTHORITIES)?, Page::first(1)).await?;
    match listing.entries.into_iter().next() {
        Some((key, _)) => Err(ImportError::Occupied { key }),
        None => Ok(()),
    }
}

/// Puts the record, where nothing of an authority is but what an earlier import left.
async fn begin(engine: &Arc<dyn Engine>, file: &Path) -> Result<(), ImportError> {
    if is_unfinished(engine).await? {
        return remove_authorities(engine).await;
    }
    is_free(engine).await?;
    let key = Key::new(TAKING_OVER)?;
    let mut batch = Batch::new();
    batch.expect(key.clone(), Expect::Absent).put(key, file.display().to_string());
    // A server that starts here for the first time may have made some since; or it makes them and finds the record.
    let issuers = first_issuers()?;
    for issuer in &issuers {
        batch.expect(issuer.clone(), Expect::Absent);
    }
    match engine.commit(batch).await {
        Err(CommitError::Conflict { key }) if issuers.contains(&key) => Err(ImportError::Occupied { key }),
        committed => Ok(committed.map(drop)?),
    }
}

async fn remove_authorities(engine: &Arc<dyn Engine>) -> Result<(), ImportError> {
    let prefix = Prefix::new(AUTHORITIES)?;
    loop {
        let listing = engine.list(&prefix, Page::first(BATCH_OPERATIONS_MAX)).await?;
        if listing.entries.is_empty() {
            return Ok(());
        }
        let mut batch = Batch::new();
        for (key, _) in listing.entries {
            batch.delete(key);
        }
        engine.commit(batch).await?;
    }
}

async fn end(engine: &Arc<dyn Engine>) -> Result<(), ImportError> {
    let mut batch = Batch::new();
    batch.delete(Key::new(TAKING_OVER)?);
    match engine.commit(batch).await {
        // What was asked for is so.
        Err(CommitError::Unknown { .. }) if !is_unfinished(engine).await? => Ok(()),
        committed => Ok(committed.map(drop)?),
    }
}

/// The file that somebody named.
pub fn file(matches: &clap::ArgMatches) -> &PathBuf {
    matches.get_one::<PathBuf>("file").expect("clap demands FILE")
}

#[cfg(test)]
mod tests {
    use futures_executor::block_on;
    use store::{Memory, SealingKey};

    use super::super::tests::{REVOKED, original};
    use super::*;

    fn imported(file: &Path, store: &Arc<Memory>) -> Result<Taken, ImportError> {
        let (clock, entropy) = (Clock::system(), Entropy::seeded(1));
        let sealing = SealingKey::generate(&entropy);
        let engine: Arc<dyn Engine> = store.clone();
        let means = Means { sealing: &sealing, clock: &clock, clock_is_right: false, entropy: &entropy };
        block_on(into(file, &engine, &means))
    }

    fn keys(store: &Arc<Memory>, prefix: &str) -> usize {
        let (mut keys, mut next) = (0, Some(Page::full()));
        while let Some(page) = next {
            let listing = block_on(store.list(&Prefix::new(prefix).unwrap(), page)).unwrap();
            keys += listing.entries.len();
            next = listing.next;
        }
        keys
    }

    fn put(store: &Arc<Memory>, key: &str) {
        let mut batch = Batch::new();
        batch.put(Key::new(key).unwrap(), "of before");
        block_on(store.commit(batch)).unwrap();
    }

    /// Killed at any of its commits it leaves a store on which nobody starts, or one on which nothing was begun.
    #[test]
    fn whoever_dies_at_any_commit_leaves_nothing_half_taken() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("db");
        original(&file);
        let mut died = 0;
        loop {
            let store = Arc::new(Memory::shared());
            for _ in 0..died {
                store.before_next_commit(async {});
            }
            let dying = store.clone();
            store.before_next_commit(async move {
                dying.fail_next_commits(usize::MAX, store::Error::Closed);
            });
            let taken = imported(&file, &store);
            let disk = store.reopen();
            let engine: Arc<dyn Engine> = disk.clone();
            if taken.is_ok() {
                assert!(died >= 5, "the mark, the records, the history, the mark: {died}");
                assert_eq!(keys(&disk, "/ca/services/revoked/") as u64, REVOKED);
                return;
            }
            let is_nothing = keys(&disk, "/ca/") == 0 && keys(&disk, "/house/") == 0;
            assert_eq!(block_on(is_unfinished(&engine)).unwrap(), !is_nothing, "after {died} commits");
            imported(&file, &disk).unwrap();
            assert!(!block_on(is_unfinished(&engine)).unwrap());
            assert_eq!(keys(&disk, "/ca/services/revoked/") as u64, REVOKED);
            died += 1;
        }
    }

    #[test]
    fn what_was_interrupted_begins_anew() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("db");
        original(&file);
        let store = Arc::new(Memory::shared());
        let engine: Arc<dyn Engine> = store.clone();
        // As a kill leaves it.
        block_on(begin(&engine, &file)).unwrap();
        put(&store, "/ca/services/revoked/00");
        assert!(block_on(is_unfinished(&engine)).unwrap());
        imported(&file, &store).unwrap();
        assert!(!block_on(is_unfinished(&engine)).unwrap());
        assert_eq!(keys(&store, "/ca/services/revoked/") as u64, REVOKED);
        let refused = imported(&file, &store).unwrap_err();
        assert!(matches!(refused, ImportError::Occupied { .. }), "{refused}");
    }

    /// A server that starts for the first time while an import begins: one of both is too late, whoever looked first.
    #[test]
    fn whoever_makes_an_authority_meanwhile_is_not_mixed_in() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("db");
        original(&file);
        let store = Arc::new(Memory::shared());
        let rival = store.clone();
        let [issuer, ..] = &first_issuers().unwrap()[..] else { panic!("there are authorities") };
        let (mut batch, made) = (Batch::new(), issuer.clone());
        batch.put(made.clone(), "made meanwhile");
        store.before_next_commit(async move {
            rival.commit(batch).await.unwrap();
        });
        let refused = imported(&file, &store).unwrap_err();
        assert!(matches!(&refused, ImportError::Occupied { key } if *key == made), "{refused}");
        assert_eq!((keys(&store, "/ca/"), keys(&store, "/house/")), (1, 0));
    }

    /// What a definite refusal hides may still come, so it is not cleared up as if nothing could.
    #[test]
    fn a_lost_answer_behind_a_refusal_is_not_forgotten() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("db");
        original(&file);
        let broken_key = "UPDATE casrevoked SET serial = 'x' WHERE serial = '240'";
        rusqlite::Connection::open(&file).unwrap().execute_batch(broken_key).unwrap();
        let store = Arc::new(Memory::shared());
        let engine: Arc<dyn Engine> = store.clone();
        block_on(begin(&engine, &file)).unwrap();
        store.lose_next_answers([true]);
        let refused = imported(&file, &store).unwrap_err();
        let is_lost =
            matches!(refused, ImportError::TakeOver(TakeOverError::Commit(CommitError::Unknown { .. })));
        assert!(is_lost, "{refused}");
        assert!(block_on(is_unfinished(&engine)).unwrap());
    }

    /// When it is not known whether something was stored, nobody serves before it is done again.
    #[test]
    fn whose_answer_is_lost_is_done_again() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("db");
        original(&file);
        let store = Arc::new(Memory::shared());
        put(&store, "/fleet/something");
        for is_done in [true, false] {
            // The record is there, or perhaps not.
            store.lose_next_answers([is_done]);
            assert!(matches!(imported(&file, &store), Err(ImportError::Commit(_))));
            assert_eq!((keys(&store, "/ca/"), keys(&store, "/house/")), (0, usize::from(is_done)));
            // And then some of the rest.
            let engine: Arc<dyn Engine> = store.clone();
            block_on(begin(&engine, &file)).unwrap();
            store.lose_next_answers([true]);
            assert!(matches!(imported(&file, &store), Err(ImportError::TakeOver(TakeOverError::Commit(_)))));
            assert!(keys(&store, "/ca/") > 0 && block_on(is_unfinished(&engine)).unwrap());
            block_on(remove_authorities(&engine)).unwrap();
            block_on(end(&engine)).unwrap();
        }
        // What cannot be taken leaves nothing.
        let broken = directory.path().join("broken");
        std::fs::copy(&file, &broken).unwrap();
        let broken_key = "UPDATE casrevoked SET serial = 'x' WHERE serial = '240'";
        rusqlite::Connection::open(&broken).unwrap().execute_batch(broken_key).unwrap();
        assert!(matches!(imported(&broken, &store), Err(ImportError::TakeOver(TakeOverError::Unfit { .. }))));
        assert_eq!((keys(&store, "/ca/"), keys(&store, "/house/")), (0, 0));
        imported(&file, &store).unwrap();
        assert_eq!(keys(&store, "/ca/services/revoked/") as u64, REVOKED);
        assert_eq!(keys(&store, "/fleet/"), 1);
    }
}
