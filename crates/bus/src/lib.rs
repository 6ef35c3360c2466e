//! Hints that something changed.
//!
//! The bus carries hints, the store carries truth: lose every message and the house still converges, only
//! later. Here is the engine that needs nothing installed; brokers come with the services that use them.
//!
//! **Invariant:** nothing is stored here, and no hint carries what only the store may say.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll};

use futures_util::stream::Stream;
use futures_util::task::AtomicWaker;

/// The most hints that wait for one listener; a slower one loses the oldest and is told that it did.
const WAITING_MAX: usize = 256;

/// Something changed: what is said of it in the history's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hint {
    /// What happened: `certificate issued`.
    pub what: String,
    /// To what: `services request 42`.
    pub about: String,
}

/// What a listener hears next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// A hint.
    Hint(Hint),
    /// Some hints were lost: look at everything.
    Lost,
}

/// The in-process bus. Cloning shares it.
#[derive(Clone, Default)]
pub struct InProcess(Arc<Mutex<Vec<Weak<Letters>>>>);

/// One listener's letter box.
#[derive(Default)]
struct Letters {
    waiting: Mutex<Waiting>,
    waker: AtomicWaker,
}

#[derive(Default)]
struct Waiting {
    hints: std::collections::VecDeque<Hint>,
    lost: bool,
}

impl InProcess {
    /// A bus without listeners.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Tells every listener. Never waits.
    pub fn publish(&self, hint: &Hint) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|listener| {
            let Some(letters) = listener.upgrade() else { return false };
            {
                let mut waiting = letters.waiting.lock().unwrap_or_else(PoisonError::into_inner);
                if waiting.hints.len() == WAITING_MAX {
                    waiting.hints.pop_front();
                    waiting.lost = true;
                }
                waiting.hints.push_back(hint.clone());
            }
            letters.waker.wake();
            true
        });
    }

    /// Tells every listener that hints were lost.
    pub fn lost(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|listener| {
            let Some(letters) = listener.upgrade() else { return false };
            letters.waiting.lock().unwrap_or_else(PoisonError::into_inner).lost = true;
            letters.waker.wake();
            true
        });
    }

    /// Hears every hint published from now on. Never ends.
    #[must_use]
    pub fn listen(&self) -> Listener {
        let letters = Arc::new(Letters::default());
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(&letters));
        Listener(letters)
    }
}

/// A stream of hints.
pub struct Listener(Arc<Letters>);

impl Stream for Listener {
    type Item = Heard;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Heard>> {
        // Registered before looking, so that a hint published in between wakes us.
        self.0.waker.register(context.waker());
        let mut waiting = self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::take(&mut waiting.lost) {
            return Poll::Ready(Some(Heard::Lost));
        }
        match waiting.hints.pop_front() {
            Some(hint) => Poll::Ready(Some(Heard::Hint(hint))),
            None => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use futures_util::stream::StreamExt as _;

    use super::*;

    fn hint(what: &str) -> Hint {
        Hint { what: what.into(), about: "x".into() }
    }

    #[test]
    fn every_listener_hears_what_is_said_after_it_came() {
        let bus = InProcess::new();
        bus.publish(&hint("before"));
        let (mut one, mut two) = (bus.listen(), bus.listen());
        bus.publish(&hint("after"));
        assert_eq!(one.next().now_or_never().flatten(), Some(Heard::Hint(hint("after"))));
        assert_eq!(two.next().now_or_never().flatten(), Some(Heard::Hint(hint("after"))));
        assert_eq!(one.next().now_or_never(), None);
    }

    #[test]
    fn a_slow_listener_loses_the_oldest_and_is_told() {
        let bus = InProcess::new();
        let mut slow = bus.listen();
        for number in 0..=WAITING_MAX {
            bus.publish(&hint(&number.to_string()));
        }
        assert_eq!(slow.next().now_or_never().flatten(), Some(Heard::Lost));
        assert_eq!(slow.next().now_or_never().flatten(), Some(Heard::Hint(hint("1"))));
    }
}
