//! A look at everything as it was at one moment, while others go on writing.
//!
//! What is read page by page from an engine is of as many moments as there are pages. Whoever has to have all of it as it
//! was at once (a backup, an export, a proof over a chain) takes a snapshot. It costs the engine something as long as it
//! is held, so there are few of them, and they are let go of soon: SQLite's log cannot begin anew, etcd must not have
//! forgotten, memory has everything twice.
//!
//! Rooms read through [`Still`], which is an engine, so that a `Table` over it reads the same records: there is no second
//! way to read them that could read them differently. It takes no commits.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt};

use crate::{
    Batch, Change, CommitError, Engine, Error, Key, Listing, Page, Prefix, Revision, Versioned, WatchError,
};

/// How many snapshots of an engine there may be at a time.
pub const SNAPSHOTS_MAX: usize = 4;

/// What a store held at one revision. Dropping it lets go of it.
pub trait Snapshot: Send + Sync {
    /// The revision whose commit is the last that it shows.
    fn revision(&self) -> Revision;

    /// The value that `key` had, if it existed.
    ///
    /// # Errors
    /// Those of [`Engine::get`]; [`Error::Forgotten`] when the engine does not know any more what it held then;
    /// [`Error::Closed`] when the engine was closed.
    fn get<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Option<Versioned>, Error>>;

    /// One page of the entries that there were under `prefix`, ordered by key. Every page is of the same moment, and
    /// says so with its revision.
    ///
    /// # Errors
    /// As for [`Self::get`].
    fn list<'a>(&'a self, prefix: &'a Prefix, page: Page) -> BoxFuture<'a, Result<Listing, Error>>;
}

/// A snapshot as an engine, for whoever reads records through tables. Nothing ever happens in it: commits fail with
/// [`Error::ReadOnly`], and watches wait for ever.
pub struct Still {
    snapshot: Arc<dyn Snapshot>,
    closed: AtomicBool,
}

impl Still {
    /// The records of `snapshot`.
    #[must_use]
    pub fn of(snapshot: Arc<dyn Snapshot>) -> Arc<dyn Engine> {
        Arc::new(Self { snapshot, closed: AtomicBool::new(false) })
    }

    fn still_open(&self) -> Result<(), Error> {
        if self.closed.load(Ordering::SeqCst) { Err(Error::Closed) } else { Ok(()) }
    }
}

impl Engine for Still {
    fn get<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Option<Versioned>, Error>> {
        async {
            self.still_open()?;
            self.snapshot.get(key).await
        }
        .boxed()
    }

    fn list<'a>(&'a self, prefix: &'a Prefix, page: Page) -> BoxFuture<'a, Result<Listing, Error>> {
        async move {
            self.still_open()?;
            self.snapshot.list(prefix, page).await
        }
        .boxed()
    }

    fn revision(&self) -> BoxFuture<'_, Result<Revision, Error>> {
        async { self.still_open().map(|()| self.snapshot.revision()) }.boxed()
    }

    fn snapshot(&self) -> BoxFuture<'_, Result<Arc<dyn Snapshot>, Error>> {
        async { self.still_open().map(|()| Arc::clone(&self.snapshot)) }.boxed()
    }

    fn commit(&self, batch: Batch) -> BoxFuture<'_, Result<Revision, CommitError>> {
        async move {
            batch.check()?;
            self.still_open()?;
            Err(Error::ReadOnly.into())
        }
        .boxed()
    }

    fn watch(&self, _: Prefix, _: Revision) -> BoxStream<'_, Result<Change, WatchError>> {
        stream::pending().boxed()
    }

    fn close(&self) -> BoxFuture<'_, Result<(), Error>> {
        async {
            self.closed.store(true, Ordering::SeqCst);
            Ok(())
        }
        .boxed()
    }
}
