//! `provost store move`: what the embedded store has, into the etcd of the settings.
//!
//! ```text
//! /house/moving is put ─► everything is copied, what is there already skipped ─► /house/moving goes
//! ```
//! As long as that record is there nobody starts on the etcd. A move that was interrupted is done again, and goes
//! on; the record says of which database, so that no other is mixed in. The database gets another name at the end, so that nobody goes on with it by mistake.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use base::{Clock, Entropy, Explain, Kind, report};
use bytes::Bytes;
use engine::MOVING;
use store::{BATCH_OPERATIONS_MAX, Batch, CommitError, Engine, Expect, Key, Page, Prefix, Sqlite};

use crate::etcd::{self, EtcdError};
use crate::lock::{Lock, LockError};
use crate::output;
use crate::settings::{Settings, StoreEngine};

/// The record by which databases are told apart (`engine`'s seal).
const SEAL: &str = "/house/seal";
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
    #[error("the move of another database into this etcd was interrupted")]
    OfAnother,
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
            Self::InUse | Self::OfAnother | Self::Taken { .. } => Kind::Conflict,
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
            Self::OfAnother => Some("finish that one, or name another `store.etcd.namespace`".into()),
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
    // Without a data directory, the store's own lock has to do.
    let _lock = settings.data.as_deref().map(Lock::take).transpose()?;
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

/// What [`MOVING`] says while a copy is put back.
const RESTORING: &[u8] = b"restore";

/// Writes down that a copy is being put back into this store, as long as which nobody starts on it. Whether that was
/// done: it is not where somebody has begun to use it, or a move or another restore has.
pub async fn begin_restoring(to: &Arc<dyn Engine>) -> Result<bool, CommitError> {
    let (moving, seal) = (Key::new(MOVING)?, Key::new(SEAL)?);
    if !engine::is_new(to).await? {
        return Ok(false);
    }
    let mut batch = Batch::new();
    batch.expect(seal, Expect::Absent).expect(moving.clone(), Expect::Absent).put(moving, RESTORING);
    match to.commit(batch).await {
        Ok(_) => Ok(true),
        Err(CommitError::Conflict { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Everything is there. When the answer is lost, looks whether it was done and tries again if not: the files of the house
/// are at their place by now, and without this nobody could start on them.
pub async fn end_restoring(to: &Arc<dyn Engine>) -> Result<(), CommitError> {
    let mut batch = Batch::new();
    batch.delete(Key::new(MOVING)?);
    let mut attempts = 1;
    loop {
        match to.commit(batch.clone()).await {
            Ok(_) => return Ok(()),
            Err(CommitError::Unknown { .. }) if !is_unfinished(to).await? => return Ok(()),
            Err(CommitError::Unknown { .. }) if attempts < ATTEMPTS_MAX => attempts += 1,
            Err(error) => return Err(error),
        }
    }
}

/// Whether a move into this store, or a restore, was begun and not finished.
pub async fn is_unfinished(engine: &Arc<dyn Engine>) -> Result<bool, store::Error> {
    Ok(engine.get(&Key::new(MOVING)?).await?.is_some())
}

async fn copy(from: &Arc<dyn Engine>, to: &Arc<dyn Engine>) -> Result<usize, MoveError> {
    begin(from, to).await?;
    let left_behind = Prefix::new(LEFT_BEHIND)?;
    let (mut records, mut next) = (0, Some(Page::first(BATCH_OPERATIONS_MAX)));
    while let Some(page) = next {
        let listing = from.list(&Prefix::default(), page).await?;
        let mut missing = Missing::default();
        for (key, found) in listing.entries {
            if left_behind.covers(&key) {
                continue;
            }
            records += 1;
            if !is_there(to, &key, &found.value).await? {
                missing.batch.expect(key.clone(), Expect::Absent).put(key.clone(), found.value.clone());
                missing.records.push((key, found.value));
            }
            if missing.batch.bytes() > BATCH_BYTES {
                std::mem::take(&mut missing).put(to).await?;
            }
        }
        missing.put(to).await?;
        next = listing.next;
    }
    let mut batch = Batch::new();
    batch.delete(Key::new(MOVING)?);
    commit(to, &batch, async || Ok(!is_unfinished(to).await?)).await?;
    Ok(records)
}

/// Puts the record that says that a move is under way, and of which database.
async fn begin(from: &Arc<dyn Engine>, to: &Arc<dyn Engine>) -> Result<(), MoveError> {
    let (moving, seal) = (Key::new(MOVING)?, Key::new(SEAL)?);
    let ours = from.get(&seal).await?.map(|found| found.value).unwrap_or_default();
    let ours_is_under_way = async || match to.get(&moving).await? {
        Some(there) if there.value == ours => Ok(true),
        Some(_) => Err(MoveError::OfAnother),
        None => Ok(false),
    };
    if ours_is_under_way().await? {
        return Ok(());
    }
    if !engine::is_new(to).await? {
        return Err(MoveError::InUse);
    }
    let mut batch = Batch::new();
    batch
        .expect(seal, Expect::Absent)
        .expect(moving.clone(), Expect::Absent)
        .put(moving.clone(), ours.clone());
    commit(to, &batch, ours_is_under_way).await
}

/// Whether the record is there already.
async fn is_there(to: &Arc<dyn Engine>, key: &Key, value: &Bytes) -> Result<bool, MoveError> {
    match to.get(key).await? {
        Some(there) if there.value == *value => Ok(true),
        Some(_) => Err(MoveError::Taken { key: key.clone() }),
        None => Ok(false),
    }
}

/// Records that are not there yet, and the batch that puts them.
#[derive(Default)]
struct Missing {
    batch: Batch,
    records: Vec<(Key, Bytes)>,
}

impl Missing {
    async fn put(self, to: &Arc<dyn Engine>) -> Result<(), MoveError> {
        if self.records.is_empty() {
            return Ok(());
        }
        let all_are_there = async || {
            for (key, value) in &self.records {
                if !is_there(to, key, value).await? {
                    return Ok(false);
                }
            }
            Ok(true)
        };
        commit(to, &self.batch, all_are_there).await
    }
}

/// Commits; when the answer is lost, looks whether it was done and tries again if not.
async fn commit(
    to: &Arc<dyn Engine>,
    batch: &Batch,
    is_done: impl AsyncFn() -> Result<bool, MoveError>,
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
    fn a_restore_ends_although_answers_are_lost() {
        for lost in [&[true][..], &[false, true], &[false, false, false]] {
            let memory = Arc::new(Memory::shared());
            let to: Arc<dyn Engine> = memory.clone();
            assert!(block_on(begin_restoring(&to)).unwrap());
            memory.lose_next_answers(lost.iter().copied());
            block_on(end_restoring(&to)).unwrap();
            assert!(!block_on(is_unfinished(&to)).unwrap(), "{lost:?}");
        }
    }

    /// As [`store`], of a house whose seal is `seal`.
    fn sealed(seal: &str, keys: &[&str]) -> Arc<dyn Engine> {
        let store = store(keys.iter().map(|key| (*key).to_owned()));
        let mut batch = Batch::new();
        batch.put(Key::new(SEAL).unwrap(), seal.as_bytes().to_vec());
        block_on(store.commit(batch)).unwrap();
        store
    }

    #[test]
    fn an_interrupted_move_is_gone_on_with_by_the_same_database_alone() {
        let (ours, another) = (sealed("ours", &["/ca/a"]), sealed("another", &["/ca/b"]));
        let memory = Arc::new(Memory::shared());
        let to: Arc<dyn Engine> = memory.clone();
        block_on(begin(&ours, &to)).unwrap();
        assert!(matches!(block_on(copy(&another, &to)), Err(MoveError::OfAnother)));
        assert_eq!(keys(&to), [MOVING]);
        assert_eq!(block_on(copy(&ours, &to)).unwrap(), 2);
        assert_eq!(keys(&to), ["/ca/a", SEAL]);
    }

    #[test]
    fn what_somebody_else_put_in_between_is_not_taken_for_ours() {
        let to: Arc<dyn Engine> = store(["/ca/b".to_owned()]);
        let mut missing = Missing::default();
        for (key, value) in [("/ca/a", b"a".to_vec()), ("/ca/b", vec![b'x'; 5_000])] {
            let key = Key::new(key).unwrap();
            missing.batch.expect(key.clone(), Expect::Absent).put(key.clone(), value.clone());
            missing.records.push((key, value.into()));
        }
        assert!(matches!(block_on(missing.put(&to)), Err(MoveError::Commit(CommitError::Conflict { .. }))));
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
