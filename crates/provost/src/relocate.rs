//! `provost store move`: what the embedded store has, into the etcd of the settings.
//!
//! ```text
//! /house/moving is put ─► everything is copied, what is there already skipped ─► /house/moving goes
//! ```
//! As long as that record is there nobody starts on the etcd. A move that was interrupted is done again, and goes
//! on. The database gets another name at the end, so that nobody goes on with it by mistake.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use base::{Clock, Entropy, Explain, Kind, report};
use store::{BATCH_OPERATIONS_MAX, Batch, CommitError, Engine, Expect, Key, Page, Prefix, Sqlite};

use crate::etcd::{self, EtcdError};
use crate::lock::{Lock, LockError};
use crate::output;
use crate::settings::{Settings, StoreEngine};

/// The record that says that a move is not finished.
const MOVING: &str = "/house/moving";
/// Claims are of those who run.
const LEFT_BEHIND: &str = "/claim/";
/// Half of what a batch may have.
const BATCH_BYTES: usize = store::BATCH_BYTES_MAX / 2;
/// How often a commit is tried whose answer was lost.
const ATTEMPTS_MAX: usize = 5;

/// The move did not come to its end.
#[derive(Debug, thiserror::Error)]
enum MoveError {
    #[error("the settings keep everything in the embedded store")]
    NotEtcd,
    #[error("there is no database at {}", path.display())]
    NoDatabase { path: PathBuf },
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error(transparent)]
    Open(#[from] store::OpenError),
    #[error(transparent)]
    Etcd(#[from] EtcdError),
    #[error("somebody has begun to use the etcd already")]
    InUse,
    #[error("`{key}` is in etcd already, and it is something else")]
    Taken { key: Key },
    #[error("the move was interrupted")]
    Store(#[from] store::Error),
    #[error("the move was interrupted")]
    Commit(#[from] CommitError),
    #[error("everything is in etcd, but {} could not be given another name", path.display())]
    Rename { path: PathBuf, source: io::Error },
    #[error("could not start the runtime")]
    Runtime(#[source] io::Error),
}

impl Explain for MoveError {
    fn kind(&self) -> Kind {
        match self {
            Self::NotEtcd => Kind::Invalid,
            Self::NoDatabase { .. } => Kind::NotFound,
            Self::Lock(source) => source.kind(),
            Self::Open(source) => source.kind(),
            Self::Etcd(source) => source.kind(),
            Self::InUse | Self::Taken { .. } => Kind::Conflict,
            Self::Store(source) => source.kind(),
            Self::Commit(source) => source.kind(),
            Self::Rename { .. } | Self::Runtime(_) => Kind::Internal,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::NotEtcd => Some("say where to move it, with `store.engine` and `store.etcd`".into()),
            Self::NoDatabase { .. } => Some("name its directory with --data DIR".into()),
            Self::InUse | Self::Taken { .. } => {
                Some("name another `store.etcd.namespace`, or empty this one".into())
            }
            Self::Store(_) | Self::Commit(_) => Some("run it again: it goes on where it stopped".into()),
            Self::Rename { path, .. } => Some(format!("move {} out of the way", path.display())),
            Self::Lock(source) => source.help(),
            Self::Open(source) => source.help(),
            Self::Etcd(source) => source.help(),
            Self::Runtime(_) => None,
        }
    }
}

/// Moves what is in the database of `settings` into their etcd.
pub fn run(settings: &Settings) -> ExitCode {
    match moved(settings) {
        Ok(records) => {
            output::note(format_args!(
                "moved {records} records; the database is now {}, a backup",
                backup(settings).display()
            ));
            output::note("next: provost up, with the same settings");
            ExitCode::SUCCESS
        }
        Err(error) => {
            output::error(report(&error), error.help());
            ExitCode::from(error.kind().exit_code())
        }
    }
}

fn backup(settings: &Settings) -> PathBuf {
    let mut name = settings.files.database.clone().into_os_string();
    name.push(".moved");
    PathBuf::from(name)
}

fn moved(settings: &Settings) -> Result<usize, MoveError> {
    if settings.store.engine != StoreEngine::Etcd {
        return Err(MoveError::NotEtcd);
    }
    let database = &settings.files.database;
    if !database.exists() {
        return Err(MoveError::NoDatabase { path: database.clone() });
    }
    let _lock = Lock::take(&settings.files.lock, database)?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(MoveError::Runtime)?;
    let records = runtime.block_on(async {
        let from: Arc<dyn Engine> = Arc::new(Sqlite::open(database)?);
        let to: Arc<dyn Engine> =
            etcd::connect(&settings.store.etcd, &Clock::system(), &Entropy::system()).await?;
        let copied = copy(&from, &to).await;
        // The first error is the one to tell.
        let closed = [from.close().await, to.close().await];
        let records = copied?;
        closed.into_iter().collect::<Result<(), _>>()?;
        Ok::<_, MoveError>(records)
    })?;
    std::fs::rename(database, backup(settings))
        .map_err(|source| MoveError::Rename { path: database.clone(), source })?;
    Ok(records)
}

/// Whether a move into this store was begun and not finished.
pub async fn is_unfinished(engine: &Arc<dyn Engine>) -> Result<bool, store::Error> {
    Ok(engine.get(&Key::new(MOVING)?).await?.is_some())
}

async fn copy(from: &Arc<dyn Engine>, to: &Arc<dyn Engine>) -> Result<usize, MoveError> {
    let moving = Key::new(MOVING)?;
    if !is_unfinished(to).await? {
        if !engine::is_new(to).await? {
            return Err(MoveError::InUse);
        }
        let mut batch = Batch::new();
        batch.expect(moving.clone(), Expect::Absent).put(moving.clone(), "");
        commit(to, &batch, async || is_unfinished(to).await).await?;
    }
    let left_behind = Prefix::new(LEFT_BEHIND)?;
    let (mut records, mut next) = (0, Some(Page::first(BATCH_OPERATIONS_MAX)));
    while let Some(page) = next {
        let listing = from.list(&Prefix::default(), page).await?;
        let mut batch = Batch::new();
        for (key, found) in &listing.entries {
            if left_behind.covers(key) {
                continue;
            }
            records += 1;
            match to.get(key).await? {
                Some(there) if there.value == found.value => {}
                Some(_) => return Err(MoveError::Taken { key: key.clone() }),
                None => {
                    batch.expect(key.clone(), Expect::Absent).put(key.clone(), found.value.clone());
                }
            }
            if batch.bytes() > BATCH_BYTES {
                put(to, &std::mem::take(&mut batch)).await?;
            }
        }
        put(to, &batch).await?;
        next = listing.next;
    }
    let mut batch = Batch::new();
    batch.delete(moving);
    commit(to, &batch, async || is_unfinished(to).await.map(|is_there| !is_there)).await?;
    Ok(records)
}

/// Puts what a batch has, if anything.
async fn put(to: &Arc<dyn Engine>, batch: &Batch) -> Result<(), MoveError> {
    let Some(last) = batch.operations().last() else { return Ok(()) };
    commit(to, batch, async || Ok(to.get(last.key()).await?.is_some())).await
}

/// Commits; when the answer is lost, looks whether it was done and tries again if not.
async fn commit(
    to: &Arc<dyn Engine>,
    batch: &Batch,
    is_done: impl AsyncFn() -> Result<bool, store::Error>,
) -> Result<(), MoveError> {
    let mut attempts = 1;
    loop {
        match to.commit(batch.clone()).await {
            Ok(_) => return Ok(()),
            Err(CommitError::Unknown { .. } | CommitError::Conflict { .. }) if is_done().await? => {
                return Ok(());
            }
            Err(CommitError::Unknown { .. }) if attempts < ATTEMPTS_MAX => attempts += 1,
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_executor::block_on;
    use store::Memory;

    use super::*;

    fn store(keys: impl IntoIterator<Item = String>) -> Arc<Memory> {
        let store = Arc::new(Memory::new());
        for key in keys {
            let mut batch = Batch::new();
            batch.put(Key::new(key).unwrap(), vec![b'x'; 5_000]);
            block_on(store.commit(batch)).unwrap();
        }
        store
    }

    fn keys(store: &Arc<dyn Engine>) -> Vec<String> {
        let (mut keys, mut next) = (Vec::new(), Some(Page::full()));
        while let Some(page) = next {
            let listing = block_on(store.list(&Prefix::default(), page)).unwrap();
            keys.extend(listing.entries.into_iter().map(|(key, _)| key.to_string()));
            next = listing.next;
        }
        keys
    }

    #[test]
    fn everything_arrives_also_when_it_is_interrupted() {
        let names: Vec<String> = (0..450).map(|number| format!("/ca/services/{number:04}")).collect();
        let claim = ["/claim/rollover".to_owned()];
        let from: Arc<dyn Engine> = store(names.iter().cloned().chain(claim));
        let memory = Arc::new(Memory::shared());
        let to: Arc<dyn Engine> = memory.clone();
        memory.lose_next_answers([true, false, true, false, false, false, false, false]);
        assert!(matches!(block_on(copy(&from, &to)), Err(MoveError::Commit(_))));
        assert!(block_on(is_unfinished(&to)).unwrap());
        assert_eq!(block_on(copy(&from, &to)).unwrap(), 450);
        assert!(!block_on(is_unfinished(&to)).unwrap());
        assert_eq!(keys(&to), names);
    }

    #[test]
    fn what_others_use_is_left_alone() {
        let from: Arc<dyn Engine> = store(["/ca/a".to_owned()]);
        let to: Arc<dyn Engine> = store(["/ca/b".to_owned()]);
        assert!(matches!(block_on(copy(&from, &to)), Err(MoveError::InUse)));
        assert_eq!(keys(&to), ["/ca/b"]);
        // Other programs' keys are no reason not to come.
        let to: Arc<dyn Engine> = store(["/registry/b".to_owned()]);
        assert_eq!(block_on(copy(&from, &to)).unwrap(), 1);
        assert_eq!(keys(&to), ["/ca/a", "/registry/b"]);
    }
}
