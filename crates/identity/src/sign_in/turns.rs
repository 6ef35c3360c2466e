//! Who may look at a password or ask another server now, who waits, and who has to come back later.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_lock::{Semaphore, SemaphoreGuardArc};

/// How many wait for their turn before the next is turned away.
const WAITING_MAX: usize = 128;

/// A bounded number of turns at once, and a bounded queue for them.
pub(crate) struct Turns {
    free: Arc<Semaphore>,
    waiting: AtomicUsize,
    waiting_max: usize,
}

/// Somebody's turn, until it is dropped. It goes where the work goes: when whoever waited for the work hangs up,
/// the turn lasts as long as the work does.
pub(crate) struct Turn(#[expect(dead_code, reason = "held, not looked at")] SemaphoreGuardArc);

impl Turns {
    /// At most `at_once` turns.
    pub(crate) fn new(at_once: usize) -> Self {
        Self {
            free: Arc::new(Semaphore::new(at_once)),
            waiting: AtomicUsize::new(0),
            waiting_max: WAITING_MAX,
        }
    }

    /// Waits for a turn; nothing when too many wait already.
    pub(crate) async fn take(&self) -> Option<Turn> {
        if let Some(guard) = self.free.try_acquire_arc() {
            return Some(Turn(guard));
        }
        let _place = Place::take(&self.waiting, self.waiting_max)?;
        Some(Turn(self.free.acquire_arc().await))
    }
}

/// A place in the queue, until it is dropped.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn take(waiting: &'a AtomicUsize, max: usize) -> Option<Self> {
        let place = Self(waiting);
        // Given back by `drop` when it was one too many.
        (waiting.fetch_add(1, Ordering::Relaxed) < max).then_some(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;

    #[test]
    fn turns_and_places_are_bounded() {
        let turns = Turns { waiting_max: 1, ..Turns::new(2) };
        let first = turns.take().now_or_never().flatten();
        let second = turns.take().now_or_never().flatten();
        assert!(first.is_some() && second.is_some());
        let mut third = Box::pin(turns.take());
        assert!(third.as_mut().now_or_never().is_none(), "waits");
        assert!(matches!(turns.take().now_or_never(), Some(None)), "no place left");
        assert!(matches!(turns.take().now_or_never(), Some(None)), "and the one turned away takes none");
        drop(first);
        assert!(third.as_mut().now_or_never().flatten().is_some());
        drop(third);
        let fifth = Box::pin(turns.take());
        assert!(fifth.now_or_never().is_some(), "places are given back");
    }
}
