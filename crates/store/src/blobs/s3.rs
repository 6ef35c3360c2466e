//! Blobs in an S3-compatible object store.
//!
//! ```text
//! PREFIX/ab34…                   the objects, by their digests
//! PREFIX/rotten/ab34…            what was put aside
//! PREFIX/staged/OWNER/1f…        large ones between their last part and their name
//! PREFIX/staged/OWNER/1f….upload how the bucket calls an upload that was begun (`multipart.rs`)
//!
//! short enough for one part      put under its digest, once that is known
//! longer                         parts ──► completed as staged/… ──► copied to its digest ──► staged/… deleted
//! ```
//! S3 makes each of put, complete and copy all or nothing, and answers once it is durable. The same object again is
//! written over with the same bytes, which dates it anew. What a crash cut off is nobody's to see; it goes at the next
//! start of the same owner, or of one who knows that it is over, or at anybody's after a day.
//!
//! What S3 cannot do: look and remove in one step ([`Blobs::remove`] with a date looks first), keep what is read when
//! it is removed meanwhile, and copy more than 5 GiB at once, so larger objects are refused. In memory are a few
//! parts of all uploads together, and two pieces of each download; what comes beyond that waits in temporary files.

mod failure;
mod hand;
mod multipart;
mod settings;
mod spilled;
mod staged;

use std::fs::File;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base::{Clock, Entropy, Sha512, Timestamp};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::{BoxStream, poll_fn};
use futures_util::{FutureExt, StreamExt, TryStreamExt};
use object_store::aws::AmazonS3;
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};

use self::failure::{failed, is_missing};
use self::hand::Hand;
pub use self::settings::{ConnectError, S3Addressing, S3Key, S3KeySource, S3Settings};
use super::contract::{Blob, Blobs, CHUNK_BYTES, Error, Found, LIST_MAX, Source, Staged};
use super::local::pool::Pool;

/// How much is asked for at once when an object is read. What is cut is asked for again for as long as there is patience
/// since the question, so that a long answer has less of it than several short ones.
const QUESTION_BYTES: u64 = 64 * 1024 * 1024;

/// How many threads there are at most for what waits on the disk.
const DISK_THREADS_MAX: usize = 4;

/// Objects in a bucket, or under a prefix of one. Several processes may use the same.
pub struct S3 {
    remote: Arc<Remote>,
    entropy: Entropy,
}

/// The bucket.
struct Remote {
    store: AmazonS3,
    prefix: Path,
    /// Under which what is staged is ours.
    owner: String,
    /// Those of earlier starts that are over.
    over: Vec<String>,
    _lock: Option<Arc<File>>,
    hand: Hand,
    /// Who may send a part.
    parts: Arc<Semaphore>,
    /// Who may have a part in memory.
    buffers: Arc<Semaphore>,
    /// Where what comes waits when nobody may have more in memory.
    temporary: PathBuf,
    /// Who writes it there.
    disk: Pool,
    /// How long one waits for that.
    patience: Duration,
    closed: watch::Sender<bool>,
}

impl S3 {
    /// The most bytes of an object: what S3 copies at once. (Its limit of 10,000 parts is ten times as far.)
    pub const OBJECT_BYTES_MAX: u64 = 5 * 1024 * 1024 * 1024;

    /// Connects to the bucket, sees that it may be written to, and removes what crashes left there. Needs no runtime: it
    /// has one of its own.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub async fn connect(
        settings: &S3Settings,
        clock: Clock,
        entropy: Entropy,
    ) -> Result<Self, ConnectError> {
        let remote = Arc::new(Remote {
            store: settings::store(settings, clock.clone())?,
            prefix: settings::prefix(settings)?,
            owner: settings.owner.clone(),
            over: settings.over.clone(),
            _lock: settings.lock.clone(),
            hand: Hand::new().map_err(ConnectError::Thread)?,
            parts: Arc::new(Semaphore::new(multipart::PARTS_MAX)),
            buffers: Arc::new(Semaphore::new(staged::BUFFERS_MAX)),
            temporary: settings.temporary.clone().unwrap_or_else(std::env::temp_dir),
            disk: Pool::new("blobs-s3-disk", DISK_THREADS_MAX).map_err(ConnectError::Thread)?,
            patience: settings.patience,
            closed: watch::Sender::new(false),
        });
        let now = clock.now();
        let begun = remote.on_hand(move |remote| async move {
            let left = remote.clean(now).await?;
            remote.try_out().await?;
            Ok(left)
        });
        let left = begun.await.map_err(ConnectError::Store)?;
        tracing::info!(bucket = settings.bucket, left, "objects' bucket opened");
        Ok(Self { remote, entropy })
    }
}

impl Remote {
    fn still_open(&self) -> Result<(), Error> {
        if *self.closed.borrow() { Err(Error::Closed) } else { Ok(()) }
    }

    /// A place in memory for one part, if there is one.
    fn free_buffer(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.buffers).try_acquire_owned().ok()
    }

    /// A place in memory for one part, once there is one.
    async fn buffer(self: &Arc<Self>) -> Result<OwnedSemaphorePermit, Error> {
        // There, as that thread knows how long it takes.
        let wait = |remote: Arc<Self>| async move {
            tokio::select! {
                taken = Arc::clone(&remote.buffers).acquire_owned() => taken.map_err(|_| Error::Closed),
                () = remote.closing() => Err(Error::Closed),
                () = tokio::time::sleep(remote.patience) => {
                    let reason = "too many uploads come in at once".to_owned();
                    Err(Error::Unavailable { doing: "taking an upload in", reason })
                }
            }
        };
        self.on_hand(wait).await
    }

    /// Waits until it is closed.
    async fn closing(&self) {
        // The sender is ours: it is not gone.
        let _ = self.closed.subscribe().wait_for(|closed| *closed).await;
    }

    /// What `work` gives, done on the thread that talks to the bucket: to its end, also when nobody waits for it.
    async fn on_hand<T: Send + 'static, F: Future<Output = Result<T, Error>> + Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(Arc<Self>) -> F,
    ) -> Result<T, Error> {
        self.hand.run(work(Arc::clone(self))).await
    }

    fn path(&self, digest: Sha512) -> Path {
        self.prefix.clone().join(digest.to_string())
    }

    /// The object that is kept there. What was put aside has such a name too, one level deeper.
    fn digest_at(&self, path: &Path) -> Option<Sha512> {
        let digest = Sha512::parse(path.filename()?)?;
        (*path == self.path(digest)).then_some(digest)
    }

    fn rotten_ones(&self) -> Path {
        self.prefix.clone().join("rotten")
    }

    fn rotten(&self, digest: Sha512) -> Path {
        self.rotten_ones().join(digest.to_string())
    }

    fn staged(&self) -> Path {
        self.prefix.clone().join("staged")
    }

    /// Where what we stage is.
    fn ours(&self) -> Path {
        self.staged().join(self.owner.as_str())
    }

    /// Whether what is staged at `path` is ours, or an earlier start's that is over.
    fn is_left(&self, path: &Path) -> bool {
        let owners = std::iter::once(&self.owner).chain(&self.over);
        owners.map(|owner| self.staged().join(owner.as_str())).any(|theirs| path.prefix_matches(&theirs))
    }

    async fn is_there(&self, digest: Sha512, size: u64) -> Result<bool, Error> {
        Ok(self.look(digest).await?.is_some_and(|about| about.size == size))
    }

    /// Whether writing is allowed. That there is no room is no reason not to begin: what is there can be read.
    async fn try_out(&self) -> Result<(), Error> {
        let path = self.ours().join("tried");
        match self.store.put(&path, Bytes::new().into()).await.map_err(failed("trying to write")) {
            Ok(_) => self.delete(&path).await,
            Err(error @ Error::Full) => {
                tracing::warn!(%error, "nothing can be kept in the objects' bucket");
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// What there is to say about the object, when it is there.
    async fn look(&self, digest: Sha512) -> Result<Option<ObjectMeta>, Error> {
        match self.store.head(&self.path(digest)).await {
            Ok(about) => Ok(Some(about)),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(failed("looking for an object")(error)),
        }
    }

    /// Removes the object; nothing when it is not there.
    async fn delete(&self, path: &Path) -> Result<(), Error> {
        match self.store.delete(path).await {
            Err(error) if !is_missing(&error) => Err(failed("removing")(error)),
            _ => Ok(()),
        }
    }

    async fn list(&self, after: Option<Sha512>, limit: usize) -> Result<Vec<Found>, Error> {
        let prefix = (!self.prefix.is_root()).then_some(&self.prefix);
        let mut listed = match after {
            Some(after) => self.store.list_with_offset(prefix, &self.path(after)),
            None => self.store.list(prefix),
        };
        let mut found = Vec::new();
        while found.len() < limit
            && let Some(about) = listed.try_next().await.map_err(failed("listing"))?
        {
            let Some(digest) = self.digest_at(&about.location) else {
                // All digests come before this one, and whatever others put there is not ours.
                if about.location >= self.rotten_ones() {
                    break;
                }
                continue;
            };
            found.push(Found { digest, size: about.size, kept_at: kept_at(&about) });
        }
        Ok(found)
    }
}

fn kept_at(about: &ObjectMeta) -> Timestamp {
    Timestamp::from_unix(about.last_modified.timestamp())
}

impl Blobs for S3 {
    fn stage(&self) -> BoxFuture<'_, Result<Box<dyn Staged>, Error>> {
        async {
            self.remote.still_open()?;
            let name = format!("{:016x}{:016x}", self.entropy.number(), self.entropy.number());
            let temporary = self.remote.ours().join(name);
            Ok(Box::new(staged::Upload::new(Arc::clone(&self.remote), temporary)) as Box<dyn Staged>)
        }
        .boxed()
    }

    fn open(&self, digest: Sha512) -> BoxFuture<'_, Result<Option<Blob>, Error>> {
        async move {
            let about = self.remote.on_hand(|remote| async move { remote.look(digest).await }).await?;
            Ok(about
                .map(|about| Blob::new(about.size, Arc::new(Opened { remote: self.remote.clone(), digest }))))
        }
        .boxed()
    }

    fn remove(&self, digest: Sha512, kept_by: Option<Timestamp>) -> BoxFuture<'_, Result<bool, Error>> {
        self.remote
            .on_hand(move |remote| async move {
                match remote.look(digest).await? {
                    Some(about) if kept_by.is_none_or(|by| kept_at(&about) <= by) => {
                        remote.delete(&remote.path(digest)).await.map(|()| true)
                    }
                    _ => Ok(false),
                }
            })
            .boxed()
    }

    fn set_aside(&self, digest: Sha512) -> BoxFuture<'_, Result<bool, Error>> {
        self.remote
            .on_hand(move |remote| async move {
                let path = remote.path(digest);
                match remote.store.copy(&path, &remote.rotten(digest)).await {
                    Ok(()) => remote.delete(&path).await.map(|()| true),
                    Err(error) if is_missing(&error) => Ok(false),
                    Err(error) => Err(failed("putting aside")(error)),
                }
            })
            .boxed()
    }

    fn list(&self, after: Option<Sha512>, limit: usize) -> BoxFuture<'_, Result<Vec<Found>, Error>> {
        let limit = limit.clamp(1, LIST_MAX);
        self.remote.on_hand(move |remote| async move { remote.list(after, limit).await }).boxed()
    }

    /// Nobody knows.
    fn room(&self) -> BoxFuture<'_, Result<Option<u64>, Error>> {
        async { self.remote.still_open().map(|()| None) }.boxed()
    }

    fn close(&self) -> BoxFuture<'_, Result<(), Error>> {
        async {
            self.remote.closed.send_replace(true);
            self.remote.hand.close().await;
            Ok(())
        }
        .boxed()
    }
}

/// An object that was there when it was opened.
struct Opened {
    remote: Arc<Remote>,
    digest: Sha512,
}

impl Source for Opened {
    fn read(&self, range: Range<u64>) -> BoxStream<'static, Result<Bytes, Error>> {
        if range.is_empty() {
            return futures_util::stream::empty().boxed();
        }
        let (remote, digest) = (Arc::clone(&self.remote), self.digest);
        let begun = async move {
            // One waits here while the next one comes.
            let (sender, mut pieces) = mpsc::channel(1);
            let working = Arc::clone(&remote);
            match remote.hand.begin(async move { send(&working, digest, range, sender).await }) {
                Ok(sent) => {
                    // That no more pieces come means nothing: it was all, or something was wrong.
                    let wrong =
                        hand::answer(sent).map(|sent| futures_util::stream::iter(sent.err().map(Err)));
                    let pieces = poll_fn(move |context| pieces.poll_recv(context)).map(Ok);
                    pieces.chain(wrong.flatten_stream()).left_stream()
                }
                Err(error) => futures_util::stream::iter([Err(error)]).right_stream(),
            }
        };
        futures_util::stream::once(begun).flatten().boxed()
    }
}

/// Sends the bytes in `range` to `pieces`, as fast as they are taken.
async fn send(
    remote: &Remote,
    digest: Sha512,
    mut range: Range<u64>,
    pieces: mpsc::Sender<Bytes>,
) -> Result<(), Error> {
    let missing_is_gone = |error| if is_missing(&error) { Error::Gone } else { failed("reading")(error) };
    while !range.is_empty() {
        let end = range.end.min(range.start + QUESTION_BYTES);
        let options =
            GetOptions { range: Some(GetRange::Bounded(range.start..end)), ..GetOptions::default() };
        let got = remote.store.get_opts(&remote.path(digest), options).await.map_err(missing_is_gone)?;
        let mut stream = got.into_stream();
        while let Some(mut bytes) = stream.try_next().await.map_err(missing_is_gone)? {
            range.start += bytes.len() as u64;
            while !bytes.is_empty() {
                let piece = bytes.split_to(bytes.len().min(CHUNK_BYTES));
                tokio::select! {
                    taken = pieces.send(piece) => if taken.is_err() { return Ok(()) },
                    // Who closes does not wait for who reads slowly.
                    () = remote.closing() => return Err(Error::Closed),
                }
            }
        }
        if range.start != end {
            return Err(Error::Damaged { reason: "it has become shorter".into() });
        }
    }
    Ok(())
}
