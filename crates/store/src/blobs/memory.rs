//! Blobs that are forgotten with the process, for tests; they can be made to fail, to rot, and to let a rival go first.

use std::collections::{BTreeMap, VecDeque};
use std::ops::{Bound, Range};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base::{Clock, Sha512, Sha512Hasher, Timestamp};
use bytes::{Bytes, BytesMut};
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use futures_util::{FutureExt, StreamExt};

use super::contract::{Blob, Blobs, CHUNK_BYTES, Error, Found, Kept, LIST_MAX, Source, Staged};

/// Blobs in memory, under the same contract as those of the other engines; cloning shares them.
#[derive(Clone)]
pub struct Memory {
    held: Arc<Mutex<Held>>,
    clock: Clock,
}

/// What can be made to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Call {
    /// [`Blobs::stage`].
    Stage,
    /// [`Staged::write`].
    Write,
    /// [`Staged::keep`].
    Keep,
    /// [`Blobs::open`].
    Open,
    /// A piece of [`Blob::read`].
    Read,
    /// [`Blobs::remove`].
    Remove,
    /// [`Blobs::list`].
    List,
}

struct Held {
    objects: BTreeMap<Sha512, Object>,
    aside: BTreeMap<Sha512, Object>,
    /// How many bytes are staged.
    staged: u64,
    /// How many bytes may be kept and staged together.
    bytes_max: Option<u64>,
    closed: bool,
    failures: BTreeMap<Call, (usize, Error)>,
    /// What is run before the next keeps are looked at, one each.
    hooks: VecDeque<BoxFuture<'static, ()>>,
}

#[derive(Clone)]
struct Object {
    bytes: Bytes,
    kept_at: Timestamp,
}

impl Memory {
    /// Nothing is kept yet.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        let held = Held {
            objects: BTreeMap::new(),
            aside: BTreeMap::new(),
            staged: 0,
            bytes_max: None,
            closed: false,
            failures: BTreeMap::new(),
            hooks: VecDeque::new(),
        };
        Self { held: Arc::new(Mutex::new(held)), clock }
    }

    /// As [`Self::new`], with room for so many bytes.
    #[must_use]
    pub fn with_room(clock: Clock, bytes_max: u64) -> Self {
        let memory = Self::new(clock);
        memory.held().bytes_max = Some(bytes_max);
        memory
    }

    /// Lets the next `n` calls of this kind fail with `error`, and do nothing.
    pub fn fail_next(&self, call: Call, n: usize, error: Error) {
        self.held().failures.insert(call, (n, error));
    }

    /// Runs `hook` when the next keep was called for, right before it is looked at: what a rival does there comes
    /// first. Each keep, also one made by a hook, runs one hook at most.
    pub fn before_next_keep(&self, hook: impl Future<Output = ()> + Send + 'static) {
        self.held().hooks.push_back(hook.boxed());
    }

    /// Changes the last byte of the object. Tells whether there was one to change.
    pub fn rot(&self, digest: Sha512) -> bool {
        let mut held = self.held();
        let Some(object) = held.objects.get_mut(&digest) else { return false };
        let mut bytes = object.bytes.to_vec();
        let Some(last) = bytes.last_mut() else { return false };
        *last ^= 1;
        object.bytes = bytes.into();
        true
    }

    /// What was put aside.
    #[must_use]
    pub fn aside(&self) -> Vec<Sha512> {
        self.held().aside.keys().copied().collect()
    }

    /// How many bytes are staged.
    #[must_use]
    pub fn staged_bytes(&self) -> u64 {
        self.held().staged
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        // Nothing panics under this lock.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// Whether `call` may be done.
    fn admit(&mut self, call: Call) -> Result<(), Error> {
        if let Some((n, error)) = self.failures.get_mut(&call)
            && *n > 0
        {
            *n -= 1;
            return Err(error.clone());
        }
        if self.closed { Err(Error::Closed) } else { Ok(()) }
    }

    fn room(&self) -> Option<u64> {
        let kept: u64 = self.objects.values().map(|object| object.bytes.len() as u64).sum();
        self.bytes_max.map(|max| max.saturating_sub(kept + self.staged))
    }
}

impl Blobs for Memory {
    fn stage(&self) -> BoxFuture<'_, Result<Box<dyn Staged>, Error>> {
        async {
            self.held().admit(Call::Stage)?;
            let staged = Bytestream { memory: self.clone(), bytes: BytesMut::new(), failed: None };
            Ok(Box::new(staged) as Box<dyn Staged>)
        }
        .boxed()
    }

    fn open(&self, digest: Sha512) -> BoxFuture<'_, Result<Option<Blob>, Error>> {
        async move {
            let mut held = self.held();
            held.admit(Call::Open)?;
            let Some(object) = held.objects.get(&digest) else { return Ok(None) };
            let bytes = object.bytes.clone();
            Ok(Some(Blob::new(bytes.len() as u64, Arc::new(Opened { memory: self.clone(), bytes }))))
        }
        .boxed()
    }

    fn remove(&self, digest: Sha512, kept_by: Option<Timestamp>) -> BoxFuture<'_, Result<bool, Error>> {
        async move {
            let mut held = self.held();
            held.admit(Call::Remove)?;
            match held.objects.get(&digest) {
                Some(object) if kept_by.is_none_or(|by| object.kept_at <= by) => {
                    held.objects.remove(&digest);
                    Ok(true)
                }
                _ => Ok(false),
            }
        }
        .boxed()
    }

    fn set_aside(&self, digest: Sha512) -> BoxFuture<'_, Result<bool, Error>> {
        async move {
            let mut held = self.held();
            held.admit(Call::Remove)?;
            let Some(object) = held.objects.remove(&digest) else { return Ok(false) };
            held.aside.insert(digest, object);
            Ok(true)
        }
        .boxed()
    }

    fn list(&self, after: Option<Sha512>, limit: usize) -> BoxFuture<'_, Result<Vec<Found>, Error>> {
        async move {
            let mut held = self.held();
            held.admit(Call::List)?;
            let from = after.map_or(Bound::Unbounded, Bound::Excluded);
            let objects = held.objects.range((from, Bound::Unbounded)).take(limit.clamp(1, LIST_MAX));
            let found = |(digest, object): (&Sha512, &Object)| Found {
                digest: *digest,
                size: object.bytes.len() as u64,
                kept_at: object.kept_at,
            };
            Ok(objects.map(found).collect())
        }
        .boxed()
    }

    fn room(&self) -> BoxFuture<'_, Result<Option<u64>, Error>> {
        async { Ok(self.held().room()) }.boxed()
    }

    fn close(&self) -> BoxFuture<'_, Result<(), Error>> {
        async {
            self.held().closed = true;
            Ok(())
        }
        .boxed()
    }
}

/// Bytes on their way in.
struct Bytestream {
    memory: Memory,
    bytes: BytesMut,
    failed: Option<Error>,
}

impl Bytestream {
    fn take(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let mut held = self.memory.held();
        let taken = held.admit(Call::Write).and_then(|()| {
            if held.room().is_some_and(|room| room < bytes.len() as u64) {
                return Err(Error::Full);
            }
            held.staged += bytes.len() as u64;
            Ok(())
        });
        drop(held);
        match &taken {
            Ok(()) => self.bytes.extend_from_slice(bytes),
            Err(error) => self.failed = Some(error.clone()),
        }
        taken
    }

    fn finish(&mut self, announced: Option<Sha512>) -> Result<Kept, Error> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let mut hasher = Sha512Hasher::new();
        hasher.update(&self.bytes);
        let digest = hasher.finish();
        let size = self.bytes.len() as u64;
        let mut held = self.memory.held();
        held.admit(Call::Keep)?;
        if let Some(announced) = announced
            && announced != digest
        {
            return Err(Error::Differs { found: digest });
        }
        let kept_at = self.memory.clock.now();
        let was_there = match held.objects.get_mut(&digest) {
            Some(object) => {
                object.kept_at = kept_at;
                true
            }
            None => {
                held.staged -= size;
                held.objects.insert(digest, Object { bytes: self.bytes.split().freeze(), kept_at });
                false
            }
        };
        Ok(Kept { digest, size, was_there })
    }
}

impl Staged for Bytestream {
    fn write(&mut self, bytes: Bytes) -> BoxFuture<'_, Result<(), Error>> {
        async move { self.take(&bytes) }.boxed()
    }

    fn keep(mut self: Box<Self>, announced: Option<Sha512>) -> BoxFuture<'static, Result<Kept, Error>> {
        async move {
            let hook = self.memory.held().hooks.pop_front();
            if let Some(hook) = hook {
                hook.await;
            }
            self.finish(announced)
        }
        .boxed()
    }
}

impl Drop for Bytestream {
    fn drop(&mut self) {
        self.memory.held().staged -= self.bytes.len() as u64;
    }
}

/// An object that is open: also when it is removed, these are its bytes.
struct Opened {
    memory: Memory,
    bytes: Bytes,
}

impl Opened {
    fn slice(&self, range: Range<u64>) -> Bytes {
        let place = |at: u64| usize::try_from(at).expect("an object in memory is no longer than memory is");
        self.bytes.slice(place(range.start)..place(range.end))
    }
}

impl Source for Opened {
    fn at_hand(&self, range: Range<u64>) -> Option<Bytes> {
        Some(self.slice(range))
    }

    fn read(&self, range: Range<u64>) -> BoxStream<'static, Result<Bytes, Error>> {
        let mut rest = self.slice(range);
        let memory = self.memory.clone();
        let mut failed = false;
        let pieces = std::iter::from_fn(move || {
            if rest.is_empty() || failed {
                return None;
            }
            let admitted = memory.held().admit(Call::Read);
            failed = admitted.is_err();
            Some(admitted.map(|()| rest.split_to(rest.len().min(CHUNK_BYTES))))
        });
        futures_util::stream::iter(pieces).boxed()
    }
}

#[cfg(test)]
mod tests {
    use futures_executor::block_on;
    use futures_util::TryStreamExt;

    use super::*;

    fn memory() -> Memory {
        Memory::new(Clock::manual(Timestamp::from_unix(0)))
    }

    async fn keep(blobs: &Memory, bytes: &'static [u8]) -> Result<Kept, Error> {
        let mut staged = blobs.stage().await?;
        staged.write(Bytes::from_static(bytes)).await?;
        staged.keep(None).await
    }

    #[test]
    fn fails_when_told_to_and_does_nothing_then() {
        for call in [Call::Stage, Call::Write, Call::Keep] {
            let blobs = memory();
            blobs.fail_next(call, 1, Error::Full);
            assert_eq!(block_on(keep(&blobs, b"a")), Err(Error::Full), "{call:?}");
            assert_eq!(block_on(blobs.list(None, 10)).unwrap(), []);
            assert_eq!(blobs.staged_bytes(), 0);
            assert!(block_on(keep(&blobs, b"a")).is_ok());
        }
        let blobs = memory();
        let kept = block_on(keep(&blobs, b"abc")).unwrap();
        let blob = block_on(blobs.open(kept.digest)).unwrap().unwrap();
        blobs.fail_next(Call::Read, 1, Error::Gone);
        let read: Vec<_> = block_on(blob.read(0..3).collect());
        assert_eq!(read, [Err(Error::Gone)]);
    }

    #[test]
    fn is_full_and_rots_when_told_to() {
        let blobs = Memory::with_room(Clock::manual(Timestamp::from_unix(0)), 4);
        let kept = block_on(keep(&blobs, b"abc")).unwrap();
        assert_eq!(block_on(keep(&blobs, b"de")), Err(Error::Full));
        assert!(block_on(keep(&blobs, b"f")).is_ok());
        assert!(blobs.rot(kept.digest));
        let blob = block_on(blobs.open(kept.digest)).unwrap().unwrap();
        let read: Vec<Bytes> = block_on(blob.read(0..9).try_collect()).unwrap();
        assert_eq!(read.concat(), b"abb");
        assert!(block_on(blobs.set_aside(kept.digest)).unwrap());
        assert_eq!(blobs.aside(), [kept.digest]);
    }

    #[test]
    fn a_rival_can_be_let_in_first() {
        let blobs = memory();
        let rival = blobs.clone();
        blobs.before_next_keep(async move {
            keep(&rival, b"same").await.unwrap();
        });
        assert!(block_on(keep(&blobs, b"same")).unwrap().was_there);
    }
}
