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
