//! Closes connections to hosts that nobody has used for long: when nothing is done on hosts any more, nobody else does.

use std::sync::Arc;

use base::{Clock, Span};
use futures_util::future::BoxFuture;
use ssh::Remote;

use crate::reconciler::{Next, Reconciler, StepError};
use crate::tasks::Stop;

const EVERY: Span = Span::seconds(30);

pub(crate) struct CloseIdle {
    pub(crate) remote: Arc<dyn Remote>,
    pub(crate) clock: Clock,
}

impl Reconciler for CloseIdle {
    fn name(&self) -> &'static str {
        "close-idle"
    }

    fn step<'a>(&'a mut self, _: &'a Stop) -> BoxFuture<'a, Result<Next, StepError>> {
        Box::pin(async {
            self.remote.close_idle();
            Ok(Next::At(self.clock.now() + EVERY))
        })
    }

    /// Each process has connections of its own.
    fn is_own(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use base::Timestamp;
    use ssh::{Command, Error, HostKey, Output, Target, Upload};

    use super::*;

    /// Counts how often it is asked to close what is idle.
    #[derive(Default)]
    struct Kept(AtomicUsize);

    impl Remote for Kept {
        fn meet<'a>(&'a self, _: &'a Target) -> BoxFuture<'a, Result<HostKey, Error>> {
            unreachable!("nobody is met")
        }

        fn run<'a>(&'a self, _: &'a Target, _: &'a Command) -> BoxFuture<'a, Result<Output, Error>> {
            unreachable!("nothing is run")
        }

        fn close_idle(&self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }

        fn put<'a>(&'a self, _: &'a Target, _: &'a Upload) -> BoxFuture<'a, Result<(), Error>> {
            unreachable!("nothing is put")
        }
    }

    #[tokio::test]
    async fn what_is_idle_is_closed_again_and_again() {
        let (kept, clock) = (Arc::new(Kept::default()), Clock::manual(Timestamp::from_unix(1_790_000_000)));
        let mut reconciler = CloseIdle { remote: kept.clone(), clock: clock.clone() };
        for times in 1..3 {
            let Next::At(at) = reconciler.step(&Stop::new()).await.unwrap();
            assert_eq!((at, kept.0.load(Ordering::SeqCst)), (clock.now() + EVERY, times));
        }
    }
}
