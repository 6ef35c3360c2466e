//! Small artifacts that were asked for a moment ago, with their bytes: what many ask for at a time is looked up once a
//! second, and not each time.
//!
//! ```text
//! put ──► young ── a second later, or when it is full ──► old ── the same again ──► forgotten
//! get ──► from either, and moves nothing: whatever it gives was looked up two seconds ago at most
//! ```
//! What another process removes from a store that both use is therefore gone from here two seconds later. What is removed
//! here is forgotten at once, also by whoever is looking it up in that moment.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use base::Sha512;
use store::blobs::Blob;

/// The largest ones that are held, in bytes.
pub(crate) const BYTES_MAX: u64 = 16 * 1024;
/// How many bytes the young ones have at most, and the old ones as well.
const ALL_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// What each takes besides its bytes, or a little more.
const EACH_BYTES: u64 = 512;
/// How long they are young, in milliseconds.
const YOUNG_MS: i64 = 1_000;

/// The small ones of late.
#[derive(Default)]
pub(crate) struct SmallOnes(Mutex<State>);

#[derive(Default)]
struct State {
    young: HashMap<Sha512, Blob>,
    old: HashMap<Sha512, Blob>,
    /// When the first of the young ones may have come, in milliseconds.
    since: i64,
    /// How many bytes the young ones take.
    bytes: u64,
    /// How often something was forgotten.
    forgotten: u64,
}

/// Says that nothing was forgotten since it was given.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ticket(u64);

impl SmallOnes {
    /// The one with this name, at the time `now`, in milliseconds.
    ///
    /// # Errors
    /// What whoever looks it up brings along, for putting it here.
    pub(crate) fn get(&self, digest: Sha512, now: i64) -> Result<Blob, Ticket> {
        let mut state = self.state();
        state.age(now);
        let found = state.young.get(&digest).or_else(|| state.old.get(&digest));
        found.cloned().ok_or(Ticket(state.forgotten))
    }

    /// Takes one that was looked up since the `ticket` was given, at the time `now`, and gives it back: from now on in
    /// memory, where it is small and was there anyway.
    pub(crate) fn put(&self, ticket: Ticket, digest: Sha512, blob: Blob, now: i64) -> Blob {
        let at_hand =
            |blob: &Blob| if blob.size() <= BYTES_MAX { blob.at_hand(0..blob.size()) } else { None };
        let Some(bytes) = at_hand(&blob) else { return blob };
        let blob = Blob::in_memory(bytes);
        let mut state = self.state();
        state.age(now);
        if state.forgotten == ticket.0 {
            let more = blob.size() + EACH_BYTES;
            if state.bytes + more > ALL_BYTES_MAX {
                state.grow_old(now);
            }
            if state.young.insert(digest, blob.clone()).is_none() {
                state.bytes += more;
            }
        }
        blob
    }

    /// It is not there any more.
    pub(crate) fn forget(&self, digest: Sha512) {
        let mut state = self.state();
        state.forgotten += 1;
        state.young.remove(&digest);
        state.old.remove(&digest);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics under this lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Forgets what is too old at the time `now`. A clock that was set back makes everything old; one thread may only be
    /// a little behind another.
    fn age(&mut self, now: i64) {
        if (self.since - YOUNG_MS..self.since + YOUNG_MS).contains(&now) {
            return;
        }
        let next = self.since + YOUNG_MS;
        if (next..next + YOUNG_MS).contains(&now) {
            self.grow_old(next);
        } else {
            *self = Self { since: now, forgotten: self.forgotten, ..Self::default() };
        }
    }

    /// Those that come from `since` on are young.
    fn grow_old(&mut self, since: i64) {
        self.old = std::mem::take(&mut self.young);
        (self.since, self.bytes) = (since, 0);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn blob(bytes: usize) -> Blob {
        Blob::in_memory(Bytes::from(vec![7; bytes]))
    }

    fn digest(number: usize) -> Sha512 {
        Sha512::of(&number.to_le_bytes())
    }

    #[test]
    fn what_is_here_was_looked_up_two_seconds_ago_at_most() {
        for (put_at, asked_at, expected) in [
            (0, 0, true),
            (0, 999, true),
            (0, 1_000, true),
            (999, 1_500, true),
            (0, 2_000, false),
            (999, 2_999, false),
            (0, 1_000_000, false),
            (5_000, 3_000, false),
        ] {
            // Whoever asks in between keeps nothing alive.
            for step in [100, 1_999] {
                let small = SmallOnes::default();
                let ticket = small.get(digest(1), put_at).err().unwrap();
                small.put(ticket, digest(1), blob(10), put_at);
                for at in (put_at..asked_at.min(10_000)).step_by(step) {
                    let _ = small.get(digest(1), at);
                }
                assert_eq!(small.get(digest(1), asked_at).is_ok(), expected, "{put_at} {asked_at}");
            }
        }
    }

    #[test]
    fn what_is_removed_is_not_here() {
        let small = SmallOnes::default();
        let ticket = small.get(digest(1), 0).err().unwrap();
        small.put(ticket, digest(1), blob(10), 0);
        let late = small.get(digest(2), 0).err().unwrap();
        small.forget(digest(1));
        assert!(small.get(digest(1), 0).is_err());
        // Whoever looked something up before that cannot know.
        small.put(late, digest(1), blob(10), 0);
        assert!(small.get(digest(1), 0).is_err());
    }

    #[test]
    fn few_and_small_ones_are_held() {
        let small = SmallOnes::default();
        let put = |number: usize, bytes: usize| {
            small.put(Ticket(0), digest(number), blob(bytes), 0);
            small.get(digest(number), 0).is_ok()
        };
        assert!(!put(0, 16 * 1024 + 1) && !put(0, 0));
        for number in 1..2_000 {
            assert!(put(number, 16 * 1024));
        }
        let held = (1..2_000).filter(|number| small.get(digest(*number), 0).is_ok()).count();
        assert!((248..=496).contains(&held), "{held}");
    }
}
