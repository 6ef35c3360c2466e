//! One question for all who want to know the same at the same time.
//!
//! An answer may be given to whoever asked before the question was put, and to nobody who came later: they may know of
//! something that happened since. So those who come while one question is on its way share the next one, which one of
//! them puts as soon as that is answered.
//!
//! Two on their way at the same time, or one that waits for a moment until as many have come as shared the last one,
//! made no difference that could be told from noise: the answers take etcd more than anything else here takes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_channel::oneshot;

/// What is asked again and again.
pub(super) struct Question<T>(Arc<Mutex<State<T>>>);

struct State<T> {
    /// Whether one is on its way, or about to be put.
    is_put: bool,
    /// Those who share the next one.
    waiting: Vec<oneshot::Sender<News<T>>>,
}

/// What those who wait are told. When they are told nothing, whoever put their question has left.
enum News<T> {
    Answer(T),
    /// They are the ones to put the next question.
    Turn(Turn<T>),
}

/// Leave to put a question; whoever waits gets it next when it is dropped.
struct Turn<T>(Arc<Mutex<State<T>>>);

impl<T: Clone> Question<T> {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(State { is_put: false, waiting: Vec::new() })))
    }

    /// The answer to a question that is put, with `ask`, after this was called.
    pub(super) async fn ask<F>(&self, ask: impl FnOnce() -> F) -> T
    where
        F: Future<Output = T>,
    {
        let turn = loop {
            let news = match turn_or_place(&self.0) {
                Ok(turn) => break turn,
                Err(place) => place.await,
            };
            match news {
                Ok(News::Answer(answer)) => return answer,
                Ok(News::Turn(turn)) => break turn,
                Err(oneshot::Canceled) => {}
            }
        };
        // Everybody who has come by now; nothing was put yet.
        let others = std::mem::take(&mut lock(&turn.0).waiting);
        let answer = ask().await;
        drop(turn);
        for other in others {
            // Those who have left need no answer.
            let _ = other.send(News::Answer(answer.clone()));
        }
        answer
    }
}

fn lock<T>(state: &Mutex<State<T>>) -> MutexGuard<'_, State<T>> {
    // Nothing panics under this lock.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Leave to put a question now, or a place among those who share the next one.
fn turn_or_place<T>(shared: &Arc<Mutex<State<T>>>) -> Result<Turn<T>, oneshot::Receiver<News<T>>> {
    let mut state = lock(shared);
    if !state.is_put {
        state.is_put = true;
        return Ok(Turn(Arc::clone(shared)));
    }
    let (tell, told) = oneshot::channel();
    state.waiting.push(tell);
    Err(told)
}

impl<T> Drop for Turn<T> {
    fn drop(&mut self) {
        let mut state = lock(&self.0);
        let next = state.waiting.iter().position(|waits| !waits.is_canceled());
        let Some(next) = next else {
            state.waiting.clear();
            state.is_put = false;
            return;
        };
        let next = state.waiting.swap_remove(next);
        drop(state);
        // If it has left meanwhile, what it was sent is dropped, and so passed on.
        let _ = next.send(News::Turn(Turn(Arc::clone(&self.0))));
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
        let question = Question::new();
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
        for leaves_at in 0..3 {
            let question = Question::new();
            let mut gone = Box::pin(question.ask(std::future::pending::<u32>));
            assert!((&mut gone).now_or_never().is_none());
            let mut next = Box::pin(question.ask(std::future::pending::<u32>));
            assert!((&mut next).now_or_never().is_none());
            let mut stays = Box::pin(question.ask(|| async { 2 }));
            assert!((&mut stays).now_or_never().is_none());
            // The next one leaves while it waits, once it is told that it has the turn, or once it has put its question.
            if leaves_at == 0 {
                drop(next);
                drop(gone);
            } else {
                drop(gone);
                if leaves_at == 2 {
                    assert!((&mut next).now_or_never().is_none());
                }
                drop(next);
            }
            assert_eq!(block_on(stays), 2, "{leaves_at}");
            assert_eq!(block_on(question.ask(|| async { 3 })), 3, "{leaves_at}");
        }
    }
}
