//! Takes turns, and serves everyone who waits in one go.
//!
//! Every new request changes the authority's ledger. One by one, each would wait for the disk alone, or
//! conflict with the others; so whoever's turn it is decides for all who wait, in the order they came, and
//! commits once.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::{Mutex, PoisonError};

use async_lock::{Mutex as AsyncMutex, MutexGuard};
use futures_channel::oneshot;
use futures_util::future::{Either, select};

/// A queue before one clerk. Jobs are `J`, answers `A`.
pub(crate) struct Desk<J, A> {
    waiting: Mutex<VecDeque<(J, oneshot::Sender<A>)>>,
    turn: AsyncMutex<()>,
}

impl<J, A> Desk<J, A> {
    pub(crate) fn new() -> Self {
        Self { waiting: Mutex::new(VecDeque::new()), turn: AsyncMutex::new(()) }
    }

    /// Whose turn it is may change what the desk guards; for jobs of another kind.
    pub(crate) async fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// Puts `job` in the queue and waits for its answer. Whoever's turn it is serves groups that `take`
    /// cuts off the front of the queue. `None` when the one who served it was interrupted.
    pub(crate) async fn ask<F>(
        &self,
        job: J,
        take: impl Fn(&mut VecDeque<(J, oneshot::Sender<A>)>) -> Vec<(J, oneshot::Sender<A>)>,
        serve: impl Fn(Vec<J>) -> F,
    ) -> Option<A>
    where
        F: Future<Output = Vec<A>>,
    {
        let (sender, mut answer) = oneshot::channel();
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push_back((job, sender));
        loop {
            // Whoever is answered goes, and does not wait for a turn that is not needed any more.
            let _turn = match select(&mut answer, pin!(self.turn.lock())).await {
                Either::Left((answer, _)) => return answer.ok(),
                Either::Right((turn, _)) => turn,
            };
            match answer.try_recv() {
                Ok(Some(answer)) => return Some(answer),
                Ok(None) => {}
                Err(oneshot::Canceled) => return None,
            }
            let group = take(&mut self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
            let (jobs, senders): (Vec<J>, Vec<_>) = group.into_iter().unzip();
            for (sender, answer) in senders.into_iter().zip(serve(jobs).await) {
                // Nobody listens any more when the one who asked went away; the work is done all the same.
                let _ = sender.send(answer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use futures_util::future::join_all;

    use super::*;

    #[test]
    fn everyone_who_waits_is_served_in_one_go_and_in_order() {
        let desk = Desk::<u32, u32>::new();
        let groups = Mutex::new(Vec::new());
        let ask = |job| {
            desk.ask(
                job,
                |waiting| waiting.drain(..waiting.len().min(3)).collect(),
                |jobs| {
                    groups.lock().expect("not poisoned").push(jobs.clone());
                    async move { jobs.into_iter().map(|job| job * 10).collect() }
                },
            )
        };
        let answers = futures_executor::block_on(async {
            // While somebody holds the turn, four come.
            let turn = desk.turn().await;
            let (answers, ()) = futures_util::join!(join_all([1, 2, 3, 4].map(ask)), async { drop(turn) });
            answers
        });
        assert_eq!(answers, [Some(10), Some(20), Some(30), Some(40)]);
        assert_eq!(*groups.lock().expect("not poisoned"), [vec![1, 2, 3], vec![4]]);
    }

    /// Who is answered does not wait for whoever has the turn then.
    #[test]
    fn who_is_answered_goes() {
        let desk = Desk::<u32, u32>::new();
        let (let_go, held) = oneshot::channel::<()>();
        let held = held.shared();
        // The first serves itself and the third; the second is served while it is held.
        let ask = |job| {
            desk.ask(
                job,
                |waiting| match waiting.len() {
                    3 => [waiting.pop_front(), waiting.pop_back()].into_iter().flatten().collect(),
                    _ => waiting.drain(..).collect(),
                },
                |jobs| {
                    let held = held.clone();
                    async move {
                        if jobs == [2] {
                            let _ = held.await;
                        }
                        jobs
                    }
                },
            )
        };
        futures_executor::block_on(async {
            let turn = desk.turn().await;
            let third = async {
                assert_eq!(ask(3).await, Some(3));
                let_go.send(()).expect("the second waits");
            };
            let (first, second, (), ()) = futures_util::join!(ask(1), ask(2), third, async { drop(turn) });
            assert_eq!((first, second), (Some(1), Some(2)));
        });
    }
}
