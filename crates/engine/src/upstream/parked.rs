//! What came of artifacts before upstream was gone, or all who wanted them: for whoever asks for the same soon, so that it
//! need not come again. That it fits to what comes then is seen at its end, in the digest of all of it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base::Sha512;
use cache::Upload;

use super::Relay;

/// How many wait at once. They take room on the disk.
const PARKED_MAX: usize = 8;
/// How long each waits.
const PARKED_FOR: Duration = Duration::from_secs(1_800);
/// What is shorter comes again as fast as it is asked for.
const BYTES_MIN: u64 = 1024 * 1024;

/// The beginning of an artifact.
pub(super) struct Parked {
    pub(super) upload: Upload,
    /// How many bytes it is said to have in all.
    pub(super) bytes: Option<u64>,
    /// How many have come.
    pub(super) received: u64,
}

/// All that wait.
#[derive(Default)]
pub(super) struct Parking(Mutex<State>);

#[derive(Default)]
struct State {
    /// Each with a number of its own.
    parked: HashMap<Sha512, (u64, Parked)>,
    next: u64,
}

impl Parking {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What came of `digest`, if that waits: it is the caller's then.
    pub(super) fn take(&self, digest: Sha512) -> Option<Parked> {
        self.state().parked.remove(&digest).map(|(_, parked)| parked)
    }

    /// Has it wait; under which number. Where there is no place, the shortest goes.
    fn put(&self, digest: Sha512, parked: Parked) -> u64 {
        let mut state = self.state();
        let number = state.next;
        state.next += 1;
        state.parked.insert(digest, (number, parked));
        if state.parked.len() > PARKED_MAX {
            let shortest = state.parked.iter().min_by_key(|(_, (_, parked))| parked.received);
            if let Some(digest) = shortest.map(|(digest, _)| *digest) {
                state.parked.remove(&digest);
            }
        }
        number
    }

    /// It has waited for long enough, if it still does.
    fn forget(&self, digest: Sha512, number: u64) {
        let mut state = self.state();
        if state.parked.get(&digest).is_some_and(|(found, _)| *found == number) {
            state.parked.remove(&digest);
        }
    }
}

impl Relay {
    /// Has the beginning of `digest` wait for a while, where that is worth it. What is all here and did not fit is not.
    pub(super) fn park(self: &Arc<Self>, digest: Sha512, parked: Parked) {
        if parked.received < BYTES_MIN || parked.bytes.is_some_and(|bytes| parked.received >= bytes) {
            return;
        }
        let number = self.parking.put(digest, parked);
        let relay = Arc::clone(self);
        self.tasks.spawn(async move {
            tokio::select! {
                () = tokio::time::sleep(PARKED_FOR) => {}
                () = relay.stop.asked() => {}
            }
            relay.parking.forget(digest, number);
        });
    }
}
