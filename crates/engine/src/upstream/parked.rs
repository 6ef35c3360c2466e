//! What came of artifacts before upstream was gone, or all who wanted them: for whoever asks for the same soon, so that it
//! need not come again. That it fits to what comes then is seen at its end, in the digest of all of it. It takes of the room
//! there is, and is the first to go where that is short.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base::Sha512;
use cache::Upload;
use tokio::time::Instant;

use super::{Incoming, Relay};

/// How many wait at once. They take room on the disk.
const PARKED_MAX: usize = 8;
/// How many of those that cannot be read as they come, which have memory of a bucket's that all uploads share.
const UNSHOWN_MAX: usize = 2;
/// How long each waits for more.
const PARKED_FOR: Duration = Duration::from_secs(1_800);
/// How often it is looked which have waited for that long.
const LOOKED_AT_EACH: Duration = Duration::from_secs(60);
/// What is shorter comes again as fast as it is asked for.
const BYTES_MIN: u64 = 1024 * 1024;

/// The beginning of an artifact.
pub(super) struct Parked {
    pub(super) upload: Upload,
    /// How many bytes it is said to have in all.
    pub(super) bytes: Option<u64>,
    /// How many have come.
    pub(super) received: u64,
    /// Until when it waits, once it does.
    pub(super) until: Option<Instant>,
}

impl Parked {
    /// Nothing of it has come.
    pub(super) fn new(upload: Upload, bytes: Option<u64>) -> Self {
        Self { upload, bytes, received: 0, until: None }
    }

    pub(super) fn extent(&self) -> Extent {
        Extent { bytes: self.bytes, received: self.received }
    }

    fn is_shown(&self) -> bool {
        self.upload.so_far().is_some()
    }

    fn is_due(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| until <= now)
    }
}

/// How much of an artifact is here.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extent {
    bytes: Option<u64>,
    pub(super) received: u64,
}

impl Extent {
    /// Whether `incoming` is what is missing.
    pub(super) fn is_followed_by(self, incoming: &Incoming) -> bool {
        let is_another = match (self.bytes, incoming.bytes) {
            (Some(before), Some(now)) => before != now,
            (None, Some(now)) => self.received > now,
            (_, None) => false,
        };
        incoming.begins == self.received && !is_another
    }
}

/// All that wait.
#[derive(Default)]
pub(super) struct Parking(Mutex<State>);

#[derive(Default)]
struct State {
    parked: HashMap<Sha512, Parked>,
    /// Whether somebody looks which have waited for long enough.
    is_watched: bool,
}

impl Parking {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What came of `digest`, if that waits: it is the caller's then.
    pub(super) fn take(&self, digest: Sha512) -> Option<Parked> {
        let parked = self.state().parked.remove(&digest);
        parked.filter(|parked| !parked.is_due(Instant::now()))
    }

    /// Has it wait. Where there is no place, the shortest goes. Whether somebody is to look from now on when it goes.
    fn put(&self, digest: Sha512, parked: Parked) -> bool {
        let mut state = self.state();
        state.parked.insert(digest, parked);
        let unshown = state.parked.values().filter(|parked| !parked.is_shown()).count();
        if state.parked.len() > PARKED_MAX || unshown > UNSHOWN_MAX {
            let may_go = |parked: &Parked| unshown <= UNSHOWN_MAX || !parked.is_shown();
            let those = state.parked.iter().filter(|(_, parked)| may_go(parked));
            let shortest = those.min_by_key(|(_, parked)| parked.received);
            if let Some(digest) = shortest.map(|(digest, _)| *digest) {
                state.parked.remove(&digest);
            }
        }
        !std::mem::replace(&mut state.is_watched, true)
    }

    /// Forgets those that have waited for long enough. Whether others wait: if not, nobody looks any more.
    fn forget_due(&self, now: Instant) -> bool {
        let mut state = self.state();
        state.parked.retain(|_, parked| !parked.is_due(now));
        state.is_watched = !state.parked.is_empty();
        state.is_watched
    }

    /// Forgets all of them; whether there were some.
    pub(super) fn clear(&self) -> bool {
        !std::mem::take(&mut self.state().parked).is_empty()
    }
}

impl Relay {
    /// Has the beginning of `digest` wait for a while, where that is worth it. What is all here and did not fit is not.
    pub(super) fn park(self: &Arc<Self>, digest: Sha512, mut parked: Parked) {
        if parked.received < BYTES_MIN || parked.bytes.is_some_and(|bytes| parked.received >= bytes) {
            return;
        }
        parked.until.get_or_insert_with(|| Instant::now() + PARKED_FOR);
        if !self.parking.put(digest, parked) {
            return;
        }
        let relay = Arc::clone(self);
        self.tasks.spawn(async move {
            loop {
                tokio::select! {
                    () = tokio::time::sleep(LOOKED_AT_EACH) => {}
                    () = relay.stop.asked() => {
                        relay.parking.clear();
                        return;
                    }
                }
                if !relay.parking.forget_due(Instant::now()) {
                    return;
                }
            }
        });
    }
}
