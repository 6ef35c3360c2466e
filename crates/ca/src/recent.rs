//! Which requests were lately seen to be known.
//!
//! Looking in the store whether a request is known costs as much as half of what surrounds a signature: after each
//! commit nothing of the file is at hand. Nearly all that come are new, so only those that may be known are looked
//! up before they are signed. A request that is known, but was forgotten here, is signed in vain; that is seen as it
//! is stored, and its serial is void.

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How many requests are remembered.
const REMEMBERED_MAX: usize = 4096;

/// The digests of the latest requests that are on record.
#[derive(Default)]
pub(crate) struct Recent(Mutex<State>);

#[derive(Default)]
struct State {
    digests: HashSet<String>,
    /// From the oldest on.
    order: VecDeque<String>,
}

impl Recent {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the request with this digest was lately on record.
    pub(crate) fn has(&self, digest: &str) -> bool {
        self.state().digests.contains(digest)
    }

    /// Notes that the request with this digest is on record.
    pub(crate) fn note(&self, digest: &str) {
        let mut state = self.state();
        if !state.digests.insert(digest.to_owned()) {
            return;
        }
        state.order.push_back(digest.to_owned());
        if state.order.len() > REMEMBERED_MAX
            && let Some(oldest) = state.order.pop_front()
        {
            state.digests.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_are_remembered() {
        let recent = Recent::default();
        assert!(!recent.has("0"));
        for number in 0..=REMEMBERED_MAX {
            recent.note(&number.to_string());
            recent.note(&number.to_string());
        }
        assert!(!recent.has("0"));
        assert!(recent.has("1") && recent.has(&REMEMBERED_MAX.to_string()));
        assert_eq!(recent.state().digests.len(), REMEMBERED_MAX);
    }
}
