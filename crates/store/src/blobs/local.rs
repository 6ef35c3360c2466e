//! Blobs as files in one directory.
//!
//! ```text
//! DIR/lock                held by the one process that has the directory open
//! DIR/staged/…            what comes in; removed at the next start after a crash
//! DIR/ab/ab34…            the objects: 256 directories by the first byte of the digest, named by all of it
//! DIR/rotten/ab34…        what was put aside
//!
//! write ──► queue ──► a thread: hash, write ──► …     meanwhile another: fdatasync, each 16 MiB
//! keep  ──► fdatasync the file ──► rename it ──► fsync the directory ──► answer
//! ```
//! A name comes from a digest and from nothing else. What is renamed is never written to again, so that it may be
//! mapped or sent from the kernel; a reader has it to the end, whatever becomes of its name.
//!
//! Many small objects at once are on as many threads at once, whose fdatasyncs the file system's journal merges; the
//! fsyncs of one directory are merged here (`shard.rs`). Opening, and asking for room, touch the disk on the caller's
//! thread: looking a name up takes microseconds, and handing it over would cost more than it saves.

mod list;
mod look;
mod open;
mod place;
pub(super) mod pool;
mod read;
mod shard;
mod staged;

use std::io;
use std::path::Path;
use std::sync::Arc;

use base::{Clock, Sha512, Timestamp};
use futures_channel::oneshot;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

pub use self::look::LocalLook;
pub use self::open::OpenError;
use self::place::Place;
use self::pool::Pool;
use super::contract::{Blob, Blobs, Error, Found, Staged};

/// How many objects are written, synced or removed at once; further ones wait for a thread. What waits costs no
/// processor, and the more of them wait in fdatasync together, the more of them one write of the journal is for.
const WRITERS_MAX: usize = 32;
/// How many pieces are read at once.
const READERS_MAX: usize = 16;

/// Objects in one directory, which one process at a time has open.
pub struct Local {
    place: Arc<Place>,
    writers: Arc<Pool>,
    readers: Arc<Pool>,
}

impl Local {
    /// Opens the directory at `root`; makes it, for its owner only, when there is none. What a process that died left
    /// half written there goes.
    ///
    /// Touches the disk, on the caller's thread.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(root: &Path, clock: Clock) -> Result<Self, OpenError> {
        let threads = |source| OpenError::Files { path: root.into(), doing: "starting its threads", source };
        let place = Arc::new(open::open(root, clock)?);
        let writers = Arc::new(Pool::new("blobs-write", WRITERS_MAX).map_err(threads)?);
        let readers = Arc::new(Pool::new("blobs-read", READERS_MAX).map_err(threads)?);
        tracing::info!(path = %root.display(), "objects' directory opened");
        Ok(Self { place, writers, readers })
    }

    /// What `work` gives, from a thread of `pool`.
    async fn on<T: Send + 'static>(
        &self,
        pool: &Pool,
        work: impl FnOnce(&Place) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let place = Arc::clone(&self.place);
        let (answer, answered) = oneshot::channel();
        let job = move || {
            // Whoever asked may have stopped waiting.
            let _ = answer.send(work(&place));
        };
        pool.run(job).map_err(|_| Error::Closed)?;
        answered.await.unwrap_or_else(|_| Err(no_thread()))
    }
}

/// What is said when a thread went away with what it was to do.
fn no_thread() -> Error {
    Error::Engine { doing: "working on it", reason: "its thread has ended unexpectedly".into() }
}

/// What the system said, in our words.
fn failed(doing: &'static str) -> impl Fn(io::Error) -> Error {
    move |error| match error.kind() {
        // A quota, and a limit on the size of files, are told like a full disk: there is no room for it.
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            Error::Full
        }
        _ => Error::Engine { doing, reason: error.to_string() },
    }
}

impl Blobs for Local {
    fn stage(&self) -> BoxFuture<'_, Result<Box<dyn Staged>, Error>> {
        async {
            self.place.still_open()?;
            let upload = {
                let (place, readers) = (Arc::clone(&self.place), Arc::clone(&self.readers));
                staged::Upload::new(place, Arc::clone(&self.writers), readers)
            };
            Ok(Box::new(upload) as Box<dyn Staged>)
        }
        .boxed()
    }

    fn open(&self, digest: Sha512) -> BoxFuture<'_, Result<Option<Blob>, Error>> {
        async move {
            self.place.still_open()?;
            let Some((file, size)) = self.place.object(digest)? else { return Ok(None) };
            Ok(Some(Blob::new(size, Arc::new(read::Opened::new(file, Arc::clone(&self.readers))))))
        }
        .boxed()
    }

    fn remove(&self, digest: Sha512, kept_by: Option<Timestamp>) -> BoxFuture<'_, Result<bool, Error>> {
        self.on(&self.writers, move |place| place.remove(digest, kept_by)).boxed()
    }

    fn set_aside(&self, digest: Sha512) -> BoxFuture<'_, Result<bool, Error>> {
        self.on(&self.writers, move |place| place.set_aside(digest)).boxed()
    }

    fn list(&self, after: Option<Sha512>, limit: usize) -> BoxFuture<'_, Result<Vec<Found>, Error>> {
        self.on(&self.readers, move |place| list::list(place, after, limit)).boxed()
    }

    fn room(&self) -> BoxFuture<'_, Result<Option<u64>, Error>> {
        async { self.place.room().map(Some) }.boxed()
    }

    fn close(&self) -> BoxFuture<'_, Result<(), Error>> {
        async {
            self.place.close();
            for pool in [&self.writers, &self.readers] {
                // Canceled is how the end is told.
                let _ = pool.close().await;
            }
            self.place.unlock();
            Ok(())
        }
        .boxed()
    }
}
