//! One question for all who want to know the same at the same time.
//!
//! An answer may be given to whoever asked before the question was put, and to nobody who came later: they may know of
//! something that happened since. So those who come while one question is on its way share the next one.

use std::sync::atomic::{AtomicU64, Ordering};

use async_lock::Mutex;

/// What is asked again and again.
pub(super) struct Question<T> {
    /// How many times it was put.
    put: AtomicU64,
    /// The last answer, and to which putting. Held while one is waited for.
    answered: Mutex<Option<(u64, T)>>,
}

impl<T> Default for Question<T> {
    fn default() -> Self {
        Self { put: AtomicU64::new(0), answered: Mutex::new(None) }
    }
}

impl<T: Clone> Question<T> {
    /// The answer to a question that is put, with `ask`, after this was called.
    pub(super) async fn ask<F>(&self, ask: impl FnOnce() -> F) -> T
    where
        F: Future<Output = T>,
    {
        let before = self.put.load(Ordering::SeqCst);
        let mut answered = self.answered.lock().await;
        if let Some((number, answer)) = &*answered
            && *number > before
        {
            return answer.clone();
        }
        let number = self.put.fetch_add(1, Ordering::SeqCst) + 1;
        let answer = ask().await;
        *answered = Some((number, answer.clone()));
        answer
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use futures_channel::oneshot;
    use futures_executor::block_on;
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn who_comes_later_is_answered_later() {
        let question = Question::default();
        let times = Cell::new(0);
        let (first_answer, answered) = oneshot::channel::<u32>();
        let mut first = Box::pin(question.ask(|| async { answered.await.unwrap() }));
        assert!((&mut first).now_or_never().is_none());
        // They come while the first question is on its way, so its answer may be too old for them.
        let next = || {
            question.ask(|| async {
                times.set(times.get() + 1);
                7
            })
        };
        let (mut second, mut third) = (Box::pin(next()), Box::pin(next()));
        assert!((&mut second).now_or_never().is_none());
        assert!((&mut third).now_or_never().is_none());
        first_answer.send(1).unwrap();
        assert_eq!(block_on(first), 1);
        assert_eq!((block_on(second), block_on(third)), (7, 7));
        assert_eq!(times.get(), 1, "both share one question");
        assert_eq!(block_on(next()), 7);
        assert_eq!(times.get(), 2);
    }

    #[test]
    fn who_leaves_leaves_nobody_without_an_answer() {
        let question = Question::default();
        let mut gone = Box::pin(question.ask(std::future::pending::<u32>));
        assert!((&mut gone).now_or_never().is_none());
        let mut stays = Box::pin(question.ask(|| async { 2 }));
        assert!((&mut stays).now_or_never().is_none());
        drop(gone);
        assert_eq!(block_on(stays), 2);
    }
}
