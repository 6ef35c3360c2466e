//! The embedded engine: one SQLite file.
//!
//! ```text
//! commit ──► queue ──► writer thread ──► what is queued, as one transaction ──► COMMIT ──► answers
//!                                                                                 └──────► changes ──► watch
//! get, list ──► a connection of the pool, which sees what was last committed
//! ```
//! Write-ahead log and `synchronous=FULL`: an answered commit is on the disk. `get` and `list` run on the
//! caller's own thread: a point read takes microseconds while the page is in memory, and a page of a listing
//! is bounded, so that handing them to another thread would cost more than it saves.
//!
//! The layout was measured: records in an ordinary table with an index over the keys take half the time and
//! half the writing of a table that is itself ordered by key, as values longer than a quarter of a page would
//! overflow there, and each put would rewrite a page of values instead of keys. Pages of 8 KiB write twice as
//! much as pages of 4 KiB, and are no faster.
//!
//! What happened is not kept in the file: after reopening, a watch from before that is told to list again.
//!
//! Each record has a checksum beside it, and what does not fit is not given out (`sum.rs`). Before the file is opened it is
//! looked whether it, or its log, was cut off or damaged in ways that SQLite takes for something else (`damage.rs`); a file
//! that is not large is read through then, as SQLite checks it.
//!
//! A file that is deleted, replaced or emptied while it is open takes no more commits, and no listing is made from it:
//! what would be said and stored would be lost with the process. Single records are read as long as there are
//! connections. The same goes for the write-ahead log, which is copied to the file as soon as it is missed.

mod damage;
mod moment;
mod open;
mod place;
mod readers;
mod settled;
mod sum;
mod writer;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::JoinHandle;

use async_lock::Semaphore;
use futures_channel::oneshot;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;

use self::moment::Moment;
pub use self::open::OpenError;
use self::readers::Readers;
use self::settled::Settled;
use self::writer::{Job, Writer};
use crate::changes::Changes;
use crate::{
    Batch, Change, CommitError, Engine, Error, Key, Listing, Page, Prefix, Revision, Snapshot, Versioned,
    WatchError,
};

/// How many commits may wait for the writer; further ones wait for a place.
const QUEUE_BATCHES_MAX: usize = 1024;

/// Records in one SQLite file, which one process at a time has open.
///
/// Beside the file stand SQLite's own `-wal` and `-shm`. Dropping it waits for the commits that are queued, as
/// [`Engine::close`] does.
pub struct Sqlite {
    readers: Readers,
    settled: Arc<Settled>,
    changes: Changes,
    /// Absent once closed.
    jobs: Mutex<Option<mpsc::Sender<Job>>>,
    places: Arc<Semaphore>,
    /// Absent once it has ended. Held while somebody waits for its end.
    writer: async_lock::Mutex<Option<Running>>,
}

/// The writer at work.
struct Running {
    thread: JoinHandle<()>,
    /// Ends, without a word, when the writer has let go of everything.
    ended: oneshot::Receiver<()>,
}

impl Sqlite {
    /// Opens the file at `path`; makes it, readable by its owner only, when there is none or it is empty.
    ///
    /// Touches the disk, on the caller's thread.
    ///
    /// # Errors
    /// See [`OpenError`]. A file that is not ours is left as it is.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        Self::open_with(path, None)
    }

    /// Refuses a path at which no store can be, before anything is made for one.
    ///
    /// # Errors
    /// [`OpenError::NoFile`]. That there is nothing is none.
    pub fn check_path(path: &Path) -> Result<(), OpenError> {
        open::refuse_no_file(path)
    }

    /// What the file at `path` holds now, while another process may have it open and go on writing. Nothing is changed,
    /// but that what is left in the log of a process that died is copied to the file.
    ///
    /// For other processes than the one that has it open, which takes an [`Engine::snapshot`]: SQLite's own locks are
    /// those of a process, and would be lost with this. Touches the disk, on the caller's thread.
    ///
    /// # Errors
    /// See [`OpenError`]. A file that is not ours is left as it is.
    pub fn look(path: &Path) -> Result<Arc<dyn Snapshot>, OpenError> {
        let (connection, place) = open::look(path)?;
        let moment = Moment::begin(connection, Arc::new(place));
        Ok(Arc::new(moment.map_err(|source| OpenError::Store { path: path.into(), source })?))
    }

    /// As [`Self::open`], but the file never grows beyond `pages` pages of 4 KiB: a disk that is soon full.
    ///
    /// # Errors
    /// As [`Self::open`].
    #[cfg(any(test, feature = "conformance"))]
    pub fn open_limited(path: &Path, pages: u32) -> Result<Self, OpenError> {
        Self::open_with(path, Some(pages))
    }

    fn open_with(path: &Path, pages_max: Option<u32>) -> Result<Self, OpenError> {
        let opened = open::open(path, pages_max)?;
        let changes = Changes::since(opened.revision);
        let (jobs, queue) = mpsc::channel();
        let (alive, ended) = oneshot::channel::<()>();
        let settled = Arc::new(Settled::at(opened.revision));
        let place = Arc::new(opened.place);
        let writer =
            Writer::new(opened.connection, place.clone(), opened.revision, settled.clone(), changes.clone());
        let thread = std::thread::Builder::new()
            .name("store".into())
            .spawn(move || {
                writer.run(&queue);
                drop(alive);
            })
            .map_err(|source| OpenError::Files { path: path.into(), doing: "starting its writer", source })?;
        tracing::info!(path = %path.display(), revision = opened.revision.0, "store opened");
        Ok(Self {
            readers: Readers::new(place),
            settled,
            changes,
            jobs: Mutex::new(Some(jobs)),
            places: Arc::new(Semaphore::new(QUEUE_BATCHES_MAX)),
            writer: async_lock::Mutex::new(Some(Running { thread, ended })),
        })
    }

    /// Copies what is in the write-ahead log to the file, which has by itself all that was answered before, then.
    ///
    /// Touches the disk, on the caller's thread, and may keep the writer waiting.
    ///
    /// # Errors
    /// As those of reading; [`Error::Engine`] as well when somebody is still reading what was there before.
    pub fn copy_log(&self) -> Result<(), Error> {
        self.readers.copy_log()
    }

    /// What the store was at when it was last looked at; see [`Engine::revision`].
    ///
    /// # Errors
    /// As those of reading.
    pub fn revision_now(&self) -> Result<Revision, Error> {
        self.settled.revision().map_or_else(|| self.readers.revision(), Ok)
    }

    fn jobs(&self) -> MutexGuard<'_, Option<mpsc::Sender<Job>>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts `batch` in the queue; what comes back tells how it went.
    async fn enqueue(&self, batch: Batch) -> Result<oneshot::Receiver<Result<Revision, CommitError>>, Error> {
        let place = self.places.acquire_arc().await;
        let (answer, answered) = oneshot::channel();
        match self.jobs().as_ref() {
            Some(jobs) => jobs.send(Job { batch, answer, place }).map_err(|_| no_writer())?,
            None => return Err(Error::Closed),
        }
        Ok(answered)
    }
}

/// What is said when the writer is gone though nobody closed the store.
fn no_writer() -> Error {
    Error::Engine { doing: "committing", reason: "its writer has ended unexpectedly".into() }
}

/// What SQLite said, in our words.
fn failed(doing: &'static str) -> impl Fn(rusqlite::Error) -> Error {
    move |error| match error.sqlite_error() {
        Some(error) if error.code == rusqlite::ErrorCode::DiskFull => Error::Full,
        // What SQLite says of a quota, and of a limit on the size of files; seldom of a broken disk. The system's
        // own number would tell which, and is not to be had without `unsafe`.
        // The second is said when the index of the log finds no room.
        Some(error)
            if [rusqlite::ffi::SQLITE_IOERR_WRITE, rusqlite::ffi::SQLITE_IOERR_SHMSIZE]
                .contains(&error.extended_code) =>
        {
            Error::Full
        }
        _ => Error::Engine { doing, reason: error.to_string() },
    }
}

/// Why something was not read.
enum Fault {
    /// SQLite cannot.
    Sql(rusqlite::Error),
    /// It is not what was stored.
    Damaged(Error),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

/// A revision as SQLite keeps it, whose integers are signed.
fn to_sql(revision: Revision) -> i64 {
    i64::try_from(revision.0).expect("a commit each nanosecond would take 292 years to get there")
}

/// A revision as it was kept.
fn from_sql(number: i64) -> Revision {
    Revision(u64::try_from(number).unwrap_or(0))
}

impl Engine for Sqlite {
    fn get<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Option<Versioned>, Error>> {
        async { self.readers.get(key) }.boxed()
    }

    fn list<'a>(&'a self, prefix: &'a Prefix, page: Page) -> BoxFuture<'a, Result<Listing, Error>> {
        async move { self.readers.list(prefix, &page) }.boxed()
    }

    fn revision(&self) -> BoxFuture<'_, Result<Revision, Error>> {
        async { self.revision_now() }.boxed()
    }

    fn snapshot(&self) -> BoxFuture<'_, Result<Arc<dyn Snapshot>, Error>> {
        async { self.readers.moment().map(|moment| moment as Arc<dyn Snapshot>) }.boxed()
    }

    fn commit(&self, batch: Batch) -> BoxFuture<'_, Result<Revision, CommitError>> {
        async move {
            batch.check()?;
            self.enqueue(batch).await?.await.unwrap_or_else(|_| Err(no_writer().into()))
        }
        .boxed()
    }

    fn watch(&self, prefix: Prefix, from: Revision) -> BoxStream<'_, Result<Change, WatchError>> {
        Box::pin(self.changes.watch(prefix, from))
    }

    fn close(&self) -> BoxFuture<'_, Result<(), Error>> {
        async {
            self.settled.close();
            self.readers.close();
            drop(self.jobs().take());
            let mut writer = self.writer.lock().await;
            if let Some(running) = writer.as_mut() {
                // Canceled is how the end is told; a caller that stops waiting here leaves it for the next.
                let _ = (&mut running.ended).await;
            }
            let ended = writer.take().map_or(Ok(()), |running| running.thread.join());
            self.changes.close();
            ended.map_err(|_| no_writer())
        }
        .boxed()
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        self.settled.close();
        self.readers.close();
        drop(self.jobs().take());
        if let Some(running) = self.writer.get_mut().take()
            && running.thread.join().is_err()
        {
            tracing::error!("the store's writer has ended unexpectedly");
        }
        self.changes.close();
    }
}
