//! Blobs in an S3-compatible object store.
//!
//! ```text
//! PREFIX/ab34…           the objects, by their digests
//! PREFIX/staged/1f…      large ones between their last part and their name; removed after a day, should any be left
//! PREFIX/rotten/ab34…    what was put aside
//!
//! short enough for one part    put under its digest, once that is known
//! longer                       parts ──► completed as staged/1f… ──► copied to its digest ──► staged/1f… deleted
//! ```
//! S3 makes each of put, complete and copy all or nothing, and answers once it is durable. The same object again is
//! written over with the same bytes, which dates it anew. Parts of an upload that a crash cut off are nobody's: tell
//! the bucket to abort incomplete uploads after some days (a lifecycle rule).
//!
//! What S3 cannot do: look and remove in one step ([`Blobs::remove`] with a date looks first), keep what is read when
//! it is removed meanwhile, and copy more than 5 GiB at once, so larger objects are refused. In memory are two parts
//! of each upload, and two pieces of each download.

mod failure;
mod hand;
mod settings;
mod staged;

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base::{Clock, Entropy, Sha512, Span, Timestamp};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::{BoxStream, poll_fn};
use futures_util::{FutureExt, StreamExt, TryStreamExt};
use object_store::aws::AmazonS3;
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt};
use tokio::sync::mpsc;

use self::failure::{failed, is_missing};
use self::hand::Hand;
pub use self::settings::{ConnectError, S3Addressing, S3Key, S3Settings};
use super::contract::{Blob, Blobs, CHUNK_BYTES, Error, Found, LIST_MAX, Source, Staged};

/// How long a staged object is let be: another process may be about to copy it, which takes minutes at most.
const LEFT_AFTER: Span = Span::seconds(24 * 60 * 60);

/// Objects in a bucket, or under a prefix of one. Several processes may use the same.
pub struct S3 {
    remote: Arc<Remote>,
    entropy: Entropy,
}

/// The bucket.
struct Remote {
    store: AmazonS3,
    prefix: Path,
    hand: Hand,
    closed: AtomicBool,
}

impl S3 {
    /// Connects to the bucket, and removes what crashes left there. Needs no runtime: it has one of its own.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub async fn connect(
        settings: &S3Settings,
        clock: Clock,
        entropy: Entropy,
    ) -> Result<Self, ConnectError> {
        let store = settings::store(settings, clock.clone())?;
        let prefix = settings::prefix(settings)?;
        let hand = Hand::new().map_err(ConnectError::Thread)?;
        let remote = Arc::new(Remote { store, prefix, hand, closed: AtomicBool::new(false) });
        let left = remote.clean(clock.now()).await.map_err(ConnectError::Store)?;
        tracing::info!(bucket = settings.bucket, left, "objects' bucket opened");
        Ok(Self { remote, entropy })
    }
}

impl Remote {
    fn still_open(&self) -> Result<(), Error> {
        if self.closed.load(Ordering::Acquire) { Err(Error::Closed) } else { Ok(()) }
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

    fn rotten(&self, digest: Sha512) -> Path {
        self.prefix.clone().join("rotten").join(digest.to_string())
    }

    fn staged(&self) -> Path {
        self.prefix.clone().join("staged")
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

    /// Removes what was staged long ago, and tells how many there were.
    async fn clean(self: &Arc<Self>, now: Timestamp) -> Result<usize, Error> {
        self.on_hand(|remote| async move {
            let staged = remote.staged();
            let mut listed = remote.store.list(Some(&staged));
            let mut count = 0;
            while let Some(found) = listed.try_next().await.map_err(failed("listing"))? {
                if kept_at(&found) < now - LEFT_AFTER {
                    remote.delete(&found.location).await?;
                    count += 1;
                }
            }
            Ok(count)
        })
        .await
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
            let name = about.location.filename().unwrap_or_default();
            // What was put aside has such a name too, one level deeper.
            match Sha512::parse(name).filter(|digest| about.location == self.path(*digest)) {
                Some(digest) => found.push(Found { digest, size: about.size, kept_at: kept_at(&about) }),
                // All digests come before this one, and whatever others put there is not ours.
                None if about.location.prefix_matches(&self.staged()) => break,
                None => {}
            }
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
            let temporary = self.remote.staged().join(name);
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
            self.remote.closed.store(true, Ordering::Release);
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
            let told = sender.clone();
            let work = async move {
                if let Err(error) = send(&working, digest, range, sender).await {
                    // Whoever reads may have stopped.
                    let _ = told.send(Err(error)).await;
                }
                Ok(())
            };
            match remote.hand.begin(work) {
                Ok(_) => poll_fn(move |context| pieces.poll_recv(context)).left_stream(),
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
    range: Range<u64>,
    pieces: mpsc::Sender<Result<Bytes, Error>>,
) -> Result<(), Error> {
    let mut missing = range.end - range.start;
    let options = GetOptions { range: Some(GetRange::Bounded(range)), ..GetOptions::default() };
    let missing_is_gone = |error| if is_missing(&error) { Error::Gone } else { failed("reading")(error) };
    let got = remote.store.get_opts(&remote.path(digest), options).await.map_err(missing_is_gone)?;
    let mut stream = got.into_stream();
    while let Some(mut bytes) = stream.try_next().await.map_err(missing_is_gone)? {
        missing = missing.saturating_sub(bytes.len() as u64);
        while !bytes.is_empty() {
            let piece = bytes.split_to(bytes.len().min(CHUNK_BYTES));
            if pieces.send(Ok(piece)).await.is_err() {
                return Ok(());
            }
        }
    }
    if missing > 0 {
        return Err(Error::Damaged { reason: "it has become shorter".into() });
    }
    Ok(())
}
