//! What the house fetched from the cache behind it, for whoever asked: how much of the disk that may take, and what of it
//! goes first.
//!
//! Whoever may read decides what is fetched, and that may be anybody. So it takes no more than was said, or half of the
//! room that there is; then what was not read for the longest time goes, since it can be fetched again. What somebody put
//! here as well, or has named in an entry of their own, or pinned, stays.

use std::collections::BinaryHeap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base::{Sha512, Span, Timestamp};
use identity::Principal;
use store::{Loaded, Page, Table};

use crate::error::{MaintainError, UploadError};
use crate::key::EntryKey;
use crate::pin::Pinned;
use crate::record::{ArtifactRecord, EntryRecord, NamedRecord};
use crate::service::{Cache, NAMED};

/// How many artifacts are read at once.
const PAGE: usize = 500;
/// How many are removed, at most, before it is looked again at which are the oldest.
const OLDEST_MAX: usize = 1000;
/// What was read so lately stays: somebody may be about to name it, or to read on.
const STAYS: Span = Span::seconds(600);
/// How long those who fetch are refused without looking, at least and at most, after nothing was found that could go: a look
/// goes through all artifacts, and anybody can ask for one that is not here.
const FULL_FOR: (Span, Span) = (Span::seconds(10), Span::seconds(60));
/// How long ago an artifact came, before it is written down that it came again.
const SENT_AGAIN_GRAIN: Span = Span::seconds(3_600);

/// How much of what is here, and is coming, the house fetched.
#[derive(Clone, Default)]
pub(crate) struct Fetched(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// How many bytes are kept; nothing before they were counted. Others may fetch as well, so that this is about right,
    /// and right again whenever they are counted.
    kept: Option<u64>,
    /// How many are coming.
    coming: u64,
    /// Nothing can go before.
    full_until: Option<Timestamp>,
}

/// What one fetch takes, until this is dropped.
pub(crate) struct Fetching {
    all: Fetched,
    bytes: u64,
}

impl Fetched {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many bytes there are with those that are coming; nothing when that is not known.
    fn bytes(&self) -> Option<u64> {
        let state = self.state();
        state.kept.map(|kept| kept.saturating_add(state.coming))
    }

    /// Whether it is known that nothing can go now.
    fn is_full(&self, now: Timestamp) -> bool {
        self.state().full_until.is_some_and(|until| now < until)
    }
}

impl Fetching {
    /// It has come to so many bytes in all.
    pub(crate) fn grow(&mut self, bytes: u64) {
        let more = bytes.saturating_sub(self.bytes);
        self.bytes += more;
        self.all.state().coming += more;
    }

    /// It is kept.
    pub(crate) fn kept(self) {
        if let Some(kept) = &mut self.all.state().kept {
            *kept = kept.saturating_add(self.bytes);
        }
    }
}

impl Drop for Fetching {
    fn drop(&mut self) {
        let mut state = self.all.state();
        state.coming = state.coming.saturating_sub(self.bytes);
    }
}

/// What could go, the one that was used last on top.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Old {
    used_at: Timestamp,
    digest: Sha512,
}

/// Whether the house fetched it, and nobody put it there.
pub(crate) fn is_fetched(by: &str) -> bool {
    by == Principal::house().name()
}

impl Cache {
    /// Makes room for `bytes` more that the house fetches.
    ///
    /// # Errors
    /// [`UploadError::Fetched`] when there is none to be made.
    pub(crate) async fn fetching(&self, bytes: u64) -> Result<Fetching, UploadError> {
        let mut fetching = Fetching { all: self.fetched.clone(), bytes: 0 };
        fetching.grow(bytes);
        self.hold_fetched().await?;
        Ok(fetching)
    }

    /// Sees that what the house fetched is no more than it may be.
    ///
    /// # Errors
    /// [`UploadError::Fetched`] when it is, and nothing more of it can go.
    pub(crate) async fn hold_fetched(&self) -> Result<(), UploadError> {
        // What nobody waits for goes before what is whole.
        if self.is_held().await? || (self.spare.give_up() && self.is_held().await?) {
            return Ok(());
        }
        self.refuse_full().await?;
        let _turn = self.trimming.lock().await;
        loop {
            // Who had the turn before may have made room, or found that there is none.
            if self.is_held().await? {
                return Ok(());
            }
            self.refuse_full().await?;
            let (oldest, next_at) = self.oldest_fetched().await?;
            let Some(bytes_max) = self.fetched_bytes_max().await? else { return Ok(()) };
            let mut is_less = false;
            for Old { digest, .. } in oldest {
                // With some room to spare, so that this is not done for each artifact that comes.
                if self.fetched.bytes().is_none_or(|bytes| bytes <= bytes_max - bytes_max / 10) {
                    break;
                }
                is_less |= self.remove_fetched(digest).await?;
            }
            // When nothing went, it was only counted.
            if !is_less && !self.is_held().await? {
                let (now, (shortest, longest)) = (self.ground.clock.now(), FULL_FOR);
                let until = next_at.map_or(now + longest, |at| at.clamp(now + shortest, now + longest));
                self.fetched.state().full_until = Some(until);
                tracing::warn!(bytes_max, "what is fetched is not kept for now: nothing of it may go yet");
                return Err(UploadError::Fetched { bytes_max });
            }
        }
    }

    /// Refuses more where it was found of late that nothing can go.
    async fn refuse_full(&self) -> Result<(), UploadError> {
        if self.fetched.is_full(self.ground.clock.now())
            && let Some(bytes_max) = self.fetched_bytes_max().await?
        {
            return Err(UploadError::Fetched { bytes_max });
        }
        Ok(())
    }

    /// Whether it is known to be no more than it may be.
    async fn is_held(&self) -> Result<bool, UploadError> {
        let Some(bytes_max) = self.fetched_bytes_max().await? else { return Ok(true) };
        Ok(self.fetched.bytes().is_some_and(|bytes| bytes <= bytes_max))
    }

    /// How many bytes there may be of it; nothing where nobody said so, and nobody knows how much room there is.
    async fn fetched_bytes_max(&self) -> Result<Option<u64>, UploadError> {
        if let Some(bytes_max) = self.limits.fetched_bytes_max {
            return Ok(Some(bytes_max));
        }
        let room = self.ground.blobs.room().await?;
        let kept = self.fetched.state().kept.unwrap_or_default();
        Ok(room.map(|room| room.saturating_sub(self.limits.reserve_bytes).saturating_add(kept) / 2))
    }

    /// Counts what the house fetched, and says what of it was not read for the longest time, that first; and from when on
    /// something more may go.
    async fn oldest_fetched(&self) -> Result<(Vec<Old>, Option<Timestamp>), MaintainError> {
        let before = self.ground.clock.now() - STAYS;
        let (mut kept, mut oldest, mut next_at) = (0_u64, BinaryHeap::new(), None::<Timestamp>);
        let mut next = Some(Page::first(PAGE));
        while let Some(page) = next {
            let found = self.tables.artifact.list(page).await?;
            for (id, loaded) in found.entries {
                let Some(digest) = Sha512::parse(&id).filter(|_| is_fetched(&loaded.record.by)) else {
                    continue;
                };
                kept = kept.saturating_add(loaded.record.bytes);
                let used_at = self.used_at(digest, &loaded.record).await?;
                if used_at <= before {
                    oldest.push(Old { used_at, digest });
                    if oldest.len() > OLDEST_MAX {
                        oldest.pop();
                    }
                } else {
                    let at = used_at + STAYS;
                    next_at = Some(next_at.map_or(at, |next| next.min(at)));
                }
            }
            next = found.next;
        }
        self.fetched.state().kept = Some(kept);
        Ok((oldest.into_sorted_vec(), next_at))
    }

    /// Removes an artifact, if it is still one that the house alone wants. Whether it is gone.
    async fn remove_fetched(&self, digest: Sha512) -> Result<bool, MaintainError> {
        let Some(found) = self.tables.artifact.get(&digest.to_string()).await? else { return Ok(false) };
        if !is_fetched(&found.record.by)
            || self.is_pinned(&Pinned::Artifact(digest)).await?
            || self.is_named_by_somebody(digest).await?
        {
            return Ok(false);
        }
        let (bytes, before) = (found.record.bytes, self.ground.clock.now() - STAYS);
        let is_gone = self.remove_artifact(&Principal::house(), digest, found, before).await?;
        if is_gone && let Some(kept) = &mut self.fetched.state().kept {
            *kept = kept.saturating_sub(bytes);
        }
        Ok(is_gone)
    }

    /// Whether an entry names it that somebody put here, or whose key is pinned.
    async fn is_named_by_somebody(&self, digest: Sha512) -> Result<bool, store::Error> {
        let named = Table::<NamedRecord>::new(self.ground.engine.clone(), &format!("{NAMED}{digest}/"))?;
        let mut next = Some(Page::first(PAGE));
        while let Some(page) = next {
            let found = named.list(page).await?;
            for (place, Loaded { record: NamedRecord { key }, .. }) in found.entries {
                let entry: Option<Loaded<EntryRecord>> = self.tables.entry.get(&place).await?;
                if entry.is_some_and(|entry| !is_fetched(&entry.record.by)) {
                    return Ok(true);
                }
                if let Ok(key) = key.parse::<EntryKey>()
                    && self.is_pinned(&Pinned::Key(key)).await?
                {
                    return Ok(true);
                }
            }
            next = found.next;
        }
        Ok(false)
    }

    /// What is to be written of an artifact that `by` has sent again: it is as young as what came now, and theirs where the
    /// house had fetched it. Nothing when that is so.
    pub(crate) fn sent_again(
        &self,
        found: &ArtifactRecord,
        by: &Principal,
    ) -> Option<(ArtifactRecord, bool)> {
        let now = self.ground.clock.now();
        let is_adopted = is_fetched(&found.by) && !is_fetched(by.name());
        if !is_adopted && Timestamp::from_unix(found.at) + SENT_AGAIN_GRAIN > now {
            return None;
        }
        let by = if is_adopted { by.name().to_owned() } else { found.by.clone() };
        let unnamed_since = found.unnamed_since.map(|_| now.as_unix());
        Some((ArtifactRecord { at: now.as_unix(), by, unnamed_since, ..found.clone() }, is_adopted))
    }
}

#[cfg(test)]
mod tests {
    use base::{Clock, Entropy};
    use futures_executor::block_on;
    use futures_util::FutureExt as _;

    use super::*;
    use crate::{Ground, Limits};

    /// Whoever asks for what is not here is refused at once where nothing can go, and not before somebody has looked again.
    #[test]
    fn what_is_full_is_not_looked_through_for_each_who_asks() {
        let clock = Clock::manual(Timestamp::from_unix(1_790_000_000));
        let ground = Ground {
            engine: Arc::new(store::Memory::new()),
            blobs: Arc::new(store::blobs::Memory::new(clock.clone())),
            clock: clock.clone(),
            entropy: Entropy::seeded(1),
        };
        let limits = Limits { fetched_bytes_max: Some(10), ..Limits::default() };
        let cache = Cache::new(ground, limits).unwrap();
        let keep = |bytes: &'static [u8]| {
            block_on(async {
                let upload = cache.upload(identity::Permit::house(), Some(bytes.len() as u64)).await?;
                let upload = cache.take(upload, bytes::Bytes::from_static(bytes)).await?;
                cache.keep(upload, None).await
            })
        };
        keep(b"first").unwrap();
        clock.advance(Span::seconds(580));
        keep(b"again").unwrap();
        let is_refused =
            |asked: Result<Fetching, UploadError>| matches!(asked, Err(UploadError::Fetched { .. }));
        assert!(is_refused(block_on(cache.fetching(5))));
        let looking = block_on(cache.trimming.lock());
        for seconds in [0, 19] {
            clock.advance(Span::seconds(seconds));
            let refused = cache.fetching(5).now_or_never().expect("nobody looks");
            assert!(is_refused(refused), "{seconds}");
        }
        // Then the first may go.
        clock.advance(Span::seconds(1));
        assert!(cache.fetching(5).now_or_never().is_none(), "it waits to look");
        drop(looking);
        assert!(block_on(cache.fetching(5)).is_ok());
    }
}
