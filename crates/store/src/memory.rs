//! An engine that forgets everything, for tests; it can be made to fail, and to let a rival go first.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_lock::{Semaphore, SemaphoreGuardArc};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;

use crate::changes::Changes;
use crate::{
    Batch, Change, CommitError, Engine, Error, Expect, Key, Listing, Operation, Page, Prefix, Revision,
    SNAPSHOTS_MAX, Snapshot, Version, Versioned, WatchError,
};

/// Records in memory, under the same contract as those of the other engines.
pub struct Memory {
    held: Arc<Mutex<Held>>,
    changes: Changes,
    is_shared: bool,
    snapshots: Arc<Semaphore>,
}

struct Held {
    records: BTreeMap<Key, Versioned>,
    revision: Revision,
    closed: bool,
    /// So many commits fail next, with this.
    failures: Option<(usize, Error)>,
    /// So many commits conflict next.
    conflicts: usize,
    /// The answers of the next commits are lost; whether each is done.
    lost: VecDeque<bool>,
    /// What is run before the next commits are looked at, one each.
    hooks: VecDeque<BoxFuture<'static, ()>>,
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

impl Memory {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        let held = Held {
            records: BTreeMap::new(),
            revision: Revision(0),
            closed: false,
            failures: None,
            conflicts: 0,
            lost: VecDeque::new(),
            hooks: VecDeque::new(),
        };
        Self {
            held: Arc::new(Mutex::new(held)),
            changes: Changes::since(Revision(0)),
            is_shared: false,
            snapshots: Arc::new(Semaphore::new(SNAPSHOTS_MAX)),
        }
    }

    /// An empty store that says of itself that other processes use it too.
    #[must_use]
    pub fn shared() -> Self {
        Self { is_shared: true, ..Self::new() }
    }

    /// What a closed store held, in a new one: as a disk is opened again.
    #[must_use]
    pub fn reopen(&self) -> Arc<Self> {
        let fresh = Self::new();
        let (records, revision) = {
            let held = self.held();
            (held.records.clone(), held.revision)
        };
        {
            let mut held = fresh.held();
            held.records = records;
            held.revision = revision;
        }
        Arc::new(Self { changes: Changes::since(revision), is_shared: self.is_shared, ..fresh })
    }

    /// Lets the next `n` commits fail with `error`, and do nothing.
    pub fn fail_next_commits(&self, n: usize, error: Error) {
        self.held().failures = Some((n, error));
    }

    /// Lets the next `n` commits that expect anything be refused, as if somebody had been faster: each for the
    /// first key of which it expects something.
    pub fn conflict_next_commits(&self, n: usize) {
        self.held().conflicts = n;
    }

    /// Loses the answers of the next commits: each is done, provided its expectations hold, where `done` says so.
    pub fn lose_next_answers(&self, done: impl IntoIterator<Item = bool>) {
        self.held().lost = done.into_iter().collect();
    }

    /// Runs `hook` when the next commit was called for, right before it is looked at: what a rival commits
    /// there comes first. Each commit, also one made by a hook, runs one hook at most.
    pub fn before_next_commit(&self, hook: impl Future<Output = ()> + Send + 'static) {
        self.held().hooks.push_back(hook.boxed());
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        locked(&self.held)
    }
}

fn locked(held: &Mutex<Held>) -> MutexGuard<'_, Held> {
    // Nothing panics under this lock.
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

/// All records as they were.
struct Copied {
    records: BTreeMap<Key, Versioned>,
    revision: Revision,
    /// Where they were.
    held: Arc<Mutex<Held>>,
    #[expect(dead_code, reason = "held for its end")]
    place: SemaphoreGuardArc,
}

impl Copied {
    fn still_open(&self) -> Result<(), Error> {
        locked(&self.held).open()
    }
}

impl Snapshot for Copied {
    fn revision(&self) -> Revision {
        self.revision
    }

    fn get<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Option<Versioned>, Error>> {
        async { self.still_open().map(|()| self.records.get(key).cloned()) }.boxed()
    }

    fn list<'a>(&'a self, prefix: &'a Prefix, page: Page) -> BoxFuture<'a, Result<Listing, Error>> {
        async move {
            self.still_open()?;
            page_of(&self.records, prefix, &page, self.revision)
        }
        .boxed()
    }
}

/// One page of what is under `prefix`.
fn page_of(
    records: &BTreeMap<Key, Versioned>,
    prefix: &Prefix,
    page: &Page,
    revision: Revision,
) -> Result<Listing, Error> {
    let from = match &page.after {
        Some(after) if after.as_str() >= prefix.as_str() => Bound::Excluded(after.as_str()),
        _ => Bound::Included(prefix.as_str()),
    };
    let rows = records
        .range::<str, _>((from, Bound::Unbounded))
        .take_while(|(key, _)| prefix.covers(key))
        .map(|(key, versioned)| Ok((key.clone(), versioned.clone())));
    Listing::of(rows, page.held(), revision)
}

impl Held {
    fn open(&self) -> Result<(), Error> {
        if self.closed { Err(Error::Closed) } else { Ok(()) }
    }

    /// The failure that a test asked for.
    fn injected(&mut self, batch: &Batch) -> Result<(), CommitError> {
        if let Some((n, error)) = &mut self.failures
            && *n > 0
        {
            *n -= 1;
            return Err(error.clone().into());
        }
        if let Some((key, _)) = batch.expectations().first()
            && self.conflicts > 0
        {
            self.conflicts -= 1;
            return Err(CommitError::Conflict { key: key.clone() });
        }
        Ok(())
    }

    /// Does `batch`; gives what changed.
    fn apply(&mut self, batch: &Batch) -> Result<Vec<Change>, CommitError> {
        for (key, expectation) in batch.expectations() {
            let found = self.records.get(key).map(|versioned| versioned.version);
            let holds = match expectation {
                Expect::Absent => found.is_none(),
                Expect::At(version) => found == Some(*version),
            };
            if !holds {
                return Err(CommitError::Conflict { key: key.clone() });
            }
        }
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        let revision = Revision(self.revision.0 + 1);
        self.revision = revision;
        let mut changes = Vec::with_capacity(batch.len());
        for operation in batch.operations() {
            match operation {
                Operation::Put(key, value) => {
                    let versioned = Versioned { value: value.clone(), version: Version(revision) };
                    self.records.insert(key.clone(), versioned);
                    changes.push(Change { key: key.clone(), value: Some(value.clone()), revision });
                }
                Operation::Delete(key) => {
                    if self.records.remove(key).is_some() {
                        changes.push(Change { key: key.clone(), value: None, revision });
                    }
                }
            }
        }
        Ok(changes)
    }
}

impl Engine for Memory {
    fn get<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Option<Versioned>, Error>> {
        async {
            let held = self.held();
            held.open()?;
            Ok(held.records.get(key).cloned())
        }
        .boxed()
    }

    fn list<'a>(&'a self, prefix: &'a Prefix, page: Page) -> BoxFuture<'a, Result<Listing, Error>> {
        async move {
            let held = self.held();
            held.open()?;
            page_of(&held.records, prefix, &page, held.revision)
        }
        .boxed()
    }

    fn snapshot(&self) -> BoxFuture<'_, Result<Arc<dyn Snapshot>, Error>> {
        async {
            let held = self.held();
            held.open()?;
            let place = self.snapshots.try_acquire_arc().ok_or(Error::TooManySnapshots)?;
            let (records, revision) = (held.records.clone(), held.revision);
            Ok(Arc::new(Copied { records, revision, held: Arc::clone(&self.held), place })
                as Arc<dyn Snapshot>)
        }
        .boxed()
    }

    fn revision(&self) -> BoxFuture<'_, Result<Revision, Error>> {
        async {
            let held = self.held();
            held.open().map(|()| held.revision)
        }
        .boxed()
    }

    fn commit(&self, batch: Batch) -> BoxFuture<'_, Result<Revision, CommitError>> {
        async move {
            batch.check()?;
            let hook = self.held().hooks.pop_front();
            if let Some(hook) = hook {
                hook.await;
            }
            let mut held = self.held();
            held.open()?;
            held.injected(&batch)?;
            let lost = held.lost.pop_front();
            let reason = || "the test lost its answer".to_owned();
            if lost == Some(false) {
                return Err(CommitError::Unknown { reason: reason() });
            }
            let applied = held.apply(&batch);
            if lost.is_some() {
                self.changes.add(applied.ok());
                return Err(CommitError::Unknown { reason: reason() });
            }
            // Told under the lock: otherwise two commits could be told in the wrong order.
            self.changes.add([applied?]);
            Ok(held.revision)
        }
        .boxed()
    }

    fn watch(&self, prefix: Prefix, from: Revision) -> BoxStream<'_, Result<Change, WatchError>> {
        Box::pin(self.changes.watch(prefix, from))
    }

    fn is_shared(&self) -> bool {
        self.is_shared
    }

    fn close(&self) -> BoxFuture<'_, Result<(), Error>> {
        async {
            self.held().closed = true;
            self.changes.close();
            Ok(())
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use futures_executor::block_on;

    use super::*;

    fn key() -> Key {
        Key::new("/k").unwrap()
    }

    fn create(value: &'static str) -> Batch {
        let mut batch = Batch::new();
        batch.expect(key(), Expect::Absent).put(key(), value);
        batch
    }

    #[test]
    fn fails_when_told_to_and_does_nothing_then() {
        let store = Memory::new();
        store.fail_next_commits(2, Error::Full);
        for _ in 0..2 {
            assert!(matches!(block_on(store.commit(create("a"))), Err(CommitError::Store(Error::Full))));
            assert_eq!(block_on(store.get(&key())).unwrap(), None);
        }
        assert_eq!(block_on(store.commit(create("a"))).unwrap(), Revision(1));
    }

    #[test]
    fn conflicts_when_told_to_where_there_is_something_to_conflict_with() {
        let store = Memory::new();
        store.conflict_next_commits(1);
        let mut unconditional = Batch::new();
        unconditional.delete(key());
        assert!(block_on(store.commit(unconditional)).is_ok());
        assert!(matches!(block_on(store.commit(create("a"))), Err(CommitError::Conflict { .. })));
        assert!(block_on(store.commit(create("a"))).is_ok());
    }

    #[test]
    fn a_rival_can_be_let_in_first() {
        let store = Arc::new(Memory::new());
        let rival = Arc::clone(&store);
        store.before_next_commit(async move {
            rival.commit(create("rival's")).await.unwrap();
        });
        assert!(matches!(block_on(store.commit(create("ours"))), Err(CommitError::Conflict { .. })));
        assert_eq!(&block_on(store.get(&key())).unwrap().unwrap().value[..], b"rival's");
    }
}
