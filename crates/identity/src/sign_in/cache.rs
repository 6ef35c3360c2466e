//! Who was found to be right a moment ago, so that they need not be looked at again for each request.
//!
//! What is remembered lies under an HMAC, with a key that only this process has, of everything that the finding
//! depended on: the name, the password or token, and the hash it was compared to. So nothing in here tells the
//! password (what an open connection showed last is in `recent`), and a changed hash is not found: **the cache never outlives a password change**. Only what was right
//! is remembered, never what was wrong.
//!
//! **Invariant:** nothing is remembered for longer than [`SECONDS_MAX`], and the clock is the caller's.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::hmac;
use base::{Entropy, Span, Timestamp};

use super::config::CACHE_SECONDS_MAX;
use super::method::Known;

/// How many are remembered: at most a few hundred bytes each.
const ENTRIES_MAX: usize = 4_096;

/// Those who were right.
pub(crate) struct Cache {
    key: hmac::Key,
    life: Span,
    entries: Mutex<HashMap<CacheKey, Entry>>,
    entries_max: usize,
}

/// Stands for everything that a finding depended on.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct CacheKey([u8; 32]);

struct Entry {
    known: Arc<Known>,
    since: Timestamp,
    until: Timestamp,
}

impl Entry {
    /// Not when the clock was set back behind the finding either.
    fn is_good(&self, now: Timestamp) -> bool {
        self.since <= now && now < self.until
    }
}

impl Cache {
    /// Remembers each for `seconds`, and no longer than [`SECONDS_MAX`].
    pub(crate) fn new(seconds: u32, entropy: &Entropy) -> Self {
        Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, &entropy.bytes::<32>()),
            life: Span::seconds(i64::from(seconds.min(CACHE_SECONDS_MAX))),
            entries: Mutex::default(),
            entries_max: ENTRIES_MAX,
        }
    }

    /// The key for a finding that depends on `parts`.
    pub(crate) fn key(&self, parts: &[&[u8]]) -> CacheKey {
        let mut context = hmac::Context::with_key(&self.key);
        // With all lengths first, `ab` and `c` are not `a` and `bc`; nor can other parts, or more of them, be the same
        // bytes, since what the lengths add up to is the rest.
        let lengths: Vec<u8> = parts.iter().flat_map(|part| (part.len() as u64).to_be_bytes()).collect();
        context.update(&lengths);
        parts.iter().for_each(|part| context.update(part));
        let mut key = [0; 32];
        key.copy_from_slice(context.sign().as_ref());
        CacheKey(key)
    }

    /// Who was found under `key`.
    pub(crate) fn recall(&self, key: &CacheKey, now: Timestamp) -> Option<Arc<Known>> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.get(key).filter(|entry| entry.is_good(now)).map(|entry| entry.known.clone())
    }

    /// Remembers who was found under `key`: not beyond `end`, when there is one.
    pub(crate) fn remember(&self, key: CacheKey, known: &Arc<Known>, now: Timestamp, end: Option<Timestamp>) {
        let until = end.map_or(now + self.life, |end| end.min(now + self.life));
        if until <= now {
            return;
        }
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= self.entries_max {
            entries.retain(|_, entry| entry.is_good(now));
        }
        if entries.len() >= self.entries_max {
            let first = entries.iter().min_by_key(|(_, entry)| entry.until).map(|(key, _)| *key);
            first.and_then(|key| entries.remove(&key));
        }
        entries.insert(key, Entry { known: known.clone(), since: now, until });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Role;

    const START: Timestamp = Timestamp::from_unix(1_800_000_000);

    fn alice() -> Arc<Known> {
        Arc::new(Known::new("alice".into(), Role::Reader))
    }

    #[test]
    fn remembers_for_a_while() {
        let check = |seconds: u32, end: Option<i64>, after: i64, expected: bool| {
            let cache = Cache::new(seconds, &Entropy::seeded(1));
            let key = cache.key(&[b"alice", b"secret"]);
            cache.remember(key, &alice(), START, end.map(|end| START + Span::seconds(end)));
            let found = cache.recall(&key, START + Span::seconds(after));
            assert_eq!(found.is_some(), expected, "{seconds} {end:?} {after}");
        };
        check(60, None, 0, true);
        check(60, None, 59, true);
        check(60, None, 60, false);
        check(9_999, None, 59, true);
        check(9_999, None, 60, false);
        check(0, None, 0, false);
        check(60, Some(10), 9, true);
        check(60, Some(10), 10, false);
        check(60, Some(0), 0, false);
        check(60, Some(-5), 0, false);
        check(60, Some(500), 60, false);
        check(60, None, -1, false); // the clock was set back
    }

    #[test]
    fn every_part_counts() {
        let cache = Cache::new(60, &Entropy::seeded(1));
        let key = cache.key(&[b"alice", b"secret", b"hash"]);
        cache.remember(key, &alice(), START, None);
        for parts in [
            &[&b"alice"[..], b"secret", b"other hash"][..],
            &[b"alice", b"other", b"hash"],
            &[b"bob", b"secret", b"hash"],
            &[b"alices", b"ecret", b"hash"],
            &[b"alice", b"secret"],
        ] {
            assert!(cache.recall(&cache.key(parts), START).is_none(), "{parts:?}");
        }
        let other = Cache::new(60, &Entropy::seeded(2));
        assert!(cache.key(&[b"alice"]) != other.key(&[b"alice"]), "each process has its own key");
    }

    #[test]
    fn room_is_bounded() {
        let cache = Cache { entries_max: 2, ..Cache::new(60, &Entropy::seeded(1)) };
        let keys: Vec<CacheKey> = (0_u8..4).map(|n| cache.key(&[&[n]])).collect();
        let at = |seconds| START + Span::seconds(seconds);
        let known = |now| keys.iter().map(|key| cache.recall(key, now).is_some()).collect::<Vec<_>>();
        for (key, seconds) in keys.iter().zip([0, 1, 2]) {
            cache.remember(*key, &alice(), at(seconds), None);
        }
        assert_eq!(known(at(2)), [false, true, true, false], "the one that ends first goes");
        cache.remember(keys[3], &alice(), at(100), None);
        assert_eq!(cache.entries.lock().unwrap().len(), 1, "those that have ended go");
    }
}
