//! Stands before a method that compares passwords or asks another server: remembers, queues, slows.

use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use base::{Clock, Entropy, Timestamp};

use super::cache::{Cache, CacheKey};
use super::method::{Known, Verdict};
use super::throttle::Throttle;
use super::turns::{Turn, Turns};

/// What those are told for whom there is no place in the queue.
const COME_BACK_IN: Duration = Duration::from_secs(1);

/// One method's guard.
pub(crate) struct Guard {
    clock: Clock,
    cache: Cache,
    turns: Turns,
    throttle: Option<Arc<Throttle>>,
}

/// What a method found when it looked.
pub(crate) enum Found {
    /// Somebody, and until when at most that may be remembered, when that is known.
    Known(Known, Option<Timestamp>),
    /// Nobody.
    Nobody,
    /// It could not find out. The method has logged why.
    #[cfg(feature = "services")]
    Unknown,
}

impl Guard {
    /// Remembers for `cache_seconds`, lets `at_once` look at the same time, and slows guesses by `throttle`, when
    /// they are such as one guesses.
    pub(crate) fn new(
        cache_seconds: u32,
        at_once: usize,
        throttle: Option<Arc<Throttle>>,
        clock: &Clock,
        entropy: &Entropy,
    ) -> Self {
        Self {
            clock: clock.clone(),
            cache: Cache::new(cache_seconds, entropy),
            turns: Turns::new(at_once),
            throttle,
        }
    }

    /// The key for a finding that depends on `parts`: see [`Cache::key`].
    pub(crate) fn key(&self, parts: &[&[u8]]) -> CacheKey {
        self.cache.key(parts)
    }

    /// What is remembered under `key`, or else what `look` finds when it is its turn. Somebody at `source` offers it
    /// as `user`.
    pub(crate) async fn judge<F>(
        &self,
        source: Option<IpAddr>,
        user: &str,
        key: CacheKey,
        look: impl FnOnce(Turn) -> F,
    ) -> Verdict
    where
        F: Future<Output = Found>,
    {
        if let Some(verdict) = self.at_once(source, user, &key) {
            return verdict;
        }
        let Some(turn) = self.turns.take().await else {
            return Verdict::TooSoon(COME_BACK_IN);
        };
        // While we waited, somebody with the same password may have been let in, and many wrong ones may have
        // come from the same source.
        if let Some(verdict) = self.at_once(source, user, &key) {
            return verdict;
        }
        match look(turn).await {
            Found::Known(known, end) => {
                let known = Arc::new(known);
                self.cache.remember(key, &known, self.clock.now(), end);
                self.was_right(source, user);
                Verdict::Success(known)
            }
            Found::Nobody if self.throttle.is_some() => Verdict::WrongGuess,
            Found::Nobody => Verdict::Failure,
            #[cfg(feature = "services")]
            Found::Unknown => Verdict::Failure,
        }
    }

    /// What can be said without looking.
    fn at_once(&self, source: Option<IpAddr>, user: &str, key: &CacheKey) -> Option<Verdict> {
        let now = self.clock.now();
        if let Some(throttle) = &self.throttle
            && let Some(wait) = throttle.wait(throttle.guesser(source, user), now)
        {
            return Some(Verdict::TooSoon(wait));
        }
        let known = self.cache.recall(key, now)?;
        self.was_right(source, user);
        Some(Verdict::Success(known))
    }

    fn was_right(&self, source: Option<IpAddr>, user: &str) {
        if let Some(throttle) = &self.throttle {
            throttle.was_right(throttle.guesser(source, user));
        }
    }
}
