//! Keeps the history within its bounds of age and count, and forgets operations that ended before it begins.

use std::sync::Arc;

use base::{Clock, Span};
use fleet::Fleet;
use futures_util::future::BoxFuture;
use store::History;

use crate::reconciler::{Next, Reconciler, StepError};
use crate::tasks::Stop;

const EVERY: Span = Span::seconds(3_600);

pub(crate) struct TrimHistory {
    pub(crate) history: History,
    pub(crate) fleet: Arc<Fleet>,
    pub(crate) retention: store::Retention,
    pub(crate) clock: Clock,
}

impl Reconciler for TrimHistory {
    fn name(&self) -> &'static str {
        "history"
    }

    fn step<'a>(&'a mut self, stop: &'a Stop) -> BoxFuture<'a, Result<Next, StepError>> {
        Box::pin(async move {
            // What was counted before may have been trimmed by another process since.
            let history = self.history.uncounted();
            while !stop.is_asked() && history.trim(self.clock.now_milliseconds(), self.retention).await?.more
            {
            }
            let mut from = None;
            while !stop.is_asked() {
                from = self.fleet.drop_ended_operations(self.retention.age, from).await?;
                if from.is_none() {
                    break;
                }
            }
            Ok(Next::At(self.clock.now() + EVERY))
        })
    }
}
