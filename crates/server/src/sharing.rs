//! Work that several ask for at once, done once for all who came before it began.
//!
//! ```text
//! 1 asks ──► works ───────────► answered
//!    2, 3 and 4 ask ──► wait ──► 2 works ───────────► answered
//!                                3 and 4 wait ──────► answered by what 2 did
//! ```
//! What was begun before somebody asked may have read what was then out of date; what is begun later has not.
//!
//! **Invariant:** nobody is given what was begun before they asked.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Mutex as AsyncMutex;

/// One kind of work, of which one at a time is done.
pub(crate) struct Shared<T> {
    /// How often it was begun.
    begun: AtomicU64,
    turn: AsyncMutex<()>,
    /// How many ask now.
    asking: AtomicUsize,
    /// What came of it last, and which time that was. Kept as long as somebody asks.
    last: Mutex<Option<(u64, T)>>,
}

/// Somebody who asks.
struct Asking<'a, T>(&'a Shared<T>);

impl<T> Drop for Asking<'_, T> {
    fn drop(&mut self) {
        if self.0.asking.fetch_sub(1, Ordering::SeqCst) == 1 {
            // Whoever comes in this moment does without.
            *self.0.last() = None;
        }
    }
}

impl<T: Clone> Shared<T> {
    pub(crate) fn new() -> Self {
        Self {
            begun: AtomicU64::new(0),
            turn: AsyncMutex::new(()),
            asking: AtomicUsize::new(0),
            last: Mutex::new(None),
        }
    }

    /// What came of `work`, or of somebody else's that was begun after this was called. Dropping it while it works
    /// leaves the work to the next.
    ///
    /// # Errors
    /// That of `work`, which nobody shares.
    pub(crate) async fn share<E>(&self, work: impl AsyncFnOnce() -> Result<T, E>) -> Result<T, E> {
        let before = self.begun.load(Ordering::SeqCst);
        self.asking.fetch_add(1, Ordering::SeqCst);
        let _asking = Asking(self);
        let _turn = self.turn.lock().await;
        if let Some((begun, done)) = &*self.last()
            && *begun > before
        {
            return Ok(done.clone());
        }
        let begun = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
        let done = work().await?;
        *self.last() = Some((begun, done.clone()));
        Ok(done)
    }
}

impl<T> Shared<T> {
    fn last(&self) -> MutexGuard<'_, Option<(u64, T)>> {
        // Nothing is half done under this lock when it panics.
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::convert::Infallible;

    use futures_util::FutureExt as _;
    use futures_util::future::{join, join_all};
    use tokio::sync::Semaphore;

    use super::*;

    #[tokio::test]
    async fn who_came_before_it_began_shares_it() {
        let shared = Shared::new();
        let (go, done) = (Semaphore::new(0), Cell::new(0));
        let work = async || {
            go.acquire().await.expect("it is never closed").forget();
            done.set(done.get() + 1);
            Ok::<i32, Infallible>(done.get())
        };
        let mut first = Box::pin(shared.share(work));
        assert!((&mut first).now_or_never().is_none(), "it works");
        let mut others = Box::pin(join_all((0..3).map(|_| shared.share(work))));
        assert!((&mut others).now_or_never().is_none(), "they wait");
        go.add_permits(2);
        assert_eq!(join(first, others).await, (Ok(1), vec![Ok(2); 3]));
        assert_eq!(*shared.last(), None, "nothing is kept");
        go.add_permits(1);
        assert_eq!(shared.share(work).await, Ok(3));
    }

    #[tokio::test]
    async fn what_fails_or_is_given_up_is_left_to_the_next() {
        let shared = Shared::new();
        let mut given_up = Box::pin(shared.share(async || std::future::pending::<Result<i32, i32>>().await));
        assert!((&mut given_up).now_or_never().is_none(), "it works");
        let fails = shared.share(async || Err(1));
        let works = shared.share(async || Ok::<_, i32>(2));
        drop(given_up);
        assert_eq!(join(fails, works).await, (Err(1), Ok(2)));
    }
}
