//! A cache on memory, and those who use it.

use std::sync::Arc;

use base::{Clock, Entropy, Sha512, Timestamp};
use bytes::Bytes;
use cache::{Cache, EntryKey, EntryList, Ground, Kept, Limits, UploadError};
use entry::Entry;
use futures_executor::block_on;
use identity::{Action, Permit, Principal, Role};
use store::Memory;
use store::blobs::Memory as Blobs;

/// A cache, and what it stands on.
pub(crate) struct World {
    pub(crate) engine: Arc<Memory>,
    pub(crate) blobs: Blobs,
    pub(crate) clock: Clock,
    pub(crate) cache: Arc<Cache>,
}

impl World {
    pub(crate) fn new(limits: Limits) -> Self {
        let (engine, clock) = (Arc::new(Memory::new()), clock());
        let blobs = Blobs::new(clock.clone());
        let cache = Self::on(&engine, &blobs, &clock, limits, 1);
        Self { engine, blobs, clock, cache }
    }

    /// Another process's cache on the same store.
    pub(crate) fn other(&self) -> Arc<Cache> {
        Self::on(&self.engine, &self.blobs, &self.clock, Limits::default(), 2)
    }

    fn on(engine: &Arc<Memory>, blobs: &Blobs, clock: &Clock, limits: Limits, seed: u64) -> Arc<Cache> {
        let ground = Ground {
            engine: engine.clone(),
            blobs: Arc::new(blobs.clone()),
            clock: clock.clone(),
            entropy: Entropy::seeded(seed),
        };
        Arc::new(Cache::new(ground, limits).unwrap())
    }

    /// Keeps `bytes`, in pieces of three.
    pub(crate) fn keep(
        &self,
        who: &str,
        bytes: &[u8],
        expected: Option<Sha512>,
    ) -> Result<Kept, UploadError> {
        block_on(async {
            let mut upload = self.cache.upload(permit(who), None).await?;
            for piece in bytes.chunks(3) {
                upload.write(Bytes::copy_from_slice(piece)).await?;
            }
            self.cache.keep(upload, expected).await
        })
    }

    /// Adds an entry about `artifact` to `key`.
    pub(crate) fn add(&self, key: &str, artifact: &[u8], n: usize) {
        block_on(self.cache.put_entry(permit("alice"), &self::key(key), &entry(artifact, n))).unwrap();
    }

    /// Whether somebody who asks gets the artifact.
    pub(crate) fn has(&self, bytes: &[u8]) -> bool {
        block_on(self.cache.open(permit("a reader"), Sha512::of(bytes))).unwrap().is_some()
    }

    /// All entries of `key`: text and signature.
    pub(crate) fn entries(&self, key: &str) -> Vec<(String, String)> {
        block_on(async {
            let found: Option<EntryList> =
                self.cache.entries(permit("a reader"), &self::key(key)).await.unwrap();
            let mut entries = Vec::new();
            if let Some(mut list) = found {
                while let Some(pair) = list.next().await.unwrap() {
                    entries.push(pair);
                }
            }
            entries
        })
    }

    /// What the history says, the oldest first.
    pub(crate) fn history(&self) -> Vec<String> {
        let history = store::History::new(self.engine.clone()).unwrap();
        let page = block_on(history.page(None, 1000)).unwrap();
        page.entries
            .into_iter()
            .map(|(_, event)| format!("{}: {}", event.record.by, event.record.what))
            .collect()
    }
}

fn clock() -> Clock {
    Clock::manual(Timestamp::from_unix(1_700_000_000))
}

pub(crate) fn permit<A: Action>(who: &str) -> Permit<A> {
    Permit::grant(Principal::pretended(who, Role::Operator, None)).unwrap()
}

pub(crate) fn key(text: &str) -> EntryKey {
    text.parse().unwrap()
}

/// An unsigned entry about `artifact`, told from others by `n`.
pub(crate) fn entry(artifact: &[u8], n: usize) -> Entry {
    let text = format!("{{\"sha512\": \"{}\", \"n\": {n}, \"e\": \"\\u00e9\"}}", Sha512::of(artifact));
    Entry::new(text, String::new()).unwrap()
}
