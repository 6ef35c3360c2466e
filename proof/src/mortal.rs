//! A store that dies.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use store::{
    Batch, Change, CommitError, Engine, Error, Key, Listing, Page, Prefix, Revision, Snapshot, Versioned,
    WatchError,
};

/// What becomes of the commit at which a store dies. It is never answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Death {
    /// It is done.
    AfterIt,
    /// Nothing of it is done.
    BeforeIt,
}

/// Another engine, up to a certain commit. From then on it is as a disk is to a process that was killed: everything
/// fails, and what was committed is found by whoever opens the other engine again.
pub struct Mortal {
    inner: Arc<dyn Engine>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// How many commits were asked for.
    commits: u64,
    dies: Option<(u64, Death)>,
    is_dead: bool,
    /// Commits that fail next, and do nothing.
    failing: u32,
    /// Commits whose answer is lost next, and whether they are done.
    losing: Option<bool>,
}

impl Mortal {
    /// `inner`, which dies when it is told to.
    #[must_use]
    pub fn new(inner: Arc<dyn Engine>) -> Arc<Self> {
        Arc::new(Self { inner, state: Mutex::default() })
    }

    /// Dies at the `n`-th commit from now, counted from 1.
    pub fn dies_at(&self, n: u64, death: Death) {
        let mut state = self.state();
        state.dies = Some((state.commits + n, death));
    }

    /// It lives on, if it lives.
    pub fn is_spared(&self) {
        self.state().dies = None;
    }

    /// Whether it is dead.
    pub fn is_dead(&self) -> bool {
        self.state().is_dead
    }

    /// Lets the next `n` commits fail, and do nothing.
    pub fn fails_next(&self, n: u32) {
        self.state().failing = n;
    }

    /// Loses the answer of the next commit, which is `done` or not.
    pub fn loses_next(&self, done: bool) {
        self.state().losing = Some(done);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn alive(&self) -> Result<(), Error> {
        if self.state().is_dead { Err(Error::Closed) } else { Ok(()) }
    }

    /// What is to become of the next commit: answered, done but not answered, or neither.
    fn fate(&self) -> Result<Fate, Error> {
        let mut state = self.state();
        if state.is_dead {
            return Err(Error::Closed);
        }
        if state.failing > 0 {
            state.failing -= 1;
            return Err(Error::Engine { doing: "committing", reason: "the simulation says so".into() });
        }
        if let Some(done) = state.losing.take() {
            return Ok(if done { Fate::Unanswered } else { Fate::Lost });
        }
        state.commits += 1;
        match state.dies {
            Some((at, death)) if state.commits >= at => {
                state.is_dead = true;
                Ok(if death == Death::AfterIt { Fate::Unanswered } else { Fate::Lost })
            }
            _ => Ok(Fate::Answered),
        }
    }
}

enum Fate {
    Answered,
    Unanswered,
    Lost,
}

impl Engine for Mortal {
    fn get<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Option<Versioned>, Error>> {
        async move {
            self.alive()?;
            self.inner.get(key).await
        }
        .boxed()
    }

    fn list<'a>(&'a self, prefix: &'a Prefix, page: Page) -> BoxFuture<'a, Result<Listing, Error>> {
        async move {
            self.alive()?;
            self.inner.list(prefix, page).await
        }
        .boxed()
    }

    fn revision(&self) -> BoxFuture<'_, Result<Revision, Error>> {
        async move {
            self.alive()?;
            self.inner.revision().await
        }
        .boxed()
    }

    fn snapshot(&self) -> BoxFuture<'_, Result<Arc<dyn Snapshot>, Error>> {
        async move {
            self.alive()?;
            self.inner.snapshot().await
        }
        .boxed()
    }

    fn commit(&self, batch: Batch) -> BoxFuture<'_, Result<Revision, CommitError>> {
        async move {
            let unknown = || CommitError::Unknown { reason: "the simulation lost the answer".into() };
            match self.fate()? {
                Fate::Answered => self.inner.commit(batch).await,
                Fate::Lost => Err(unknown()),
                Fate::Unanswered => match self.inner.commit(batch).await {
                    Err(error @ CommitError::Conflict { .. }) if !self.is_dead() => Err(error),
                    _ => Err(unknown()),
                },
            }
        }
        .boxed()
    }

    fn watch(&self, prefix: Prefix, from: Revision) -> BoxStream<'_, Result<Change, WatchError>> {
        self.inner.watch(prefix, from)
    }

    fn is_shared(&self) -> bool {
        self.inner.is_shared()
    }

    fn close(&self) -> BoxFuture<'_, Result<(), Error>> {
        self.inner.close()
    }
}
