//! Keeps a history within its bounds of age and count.

use std::sync::Arc;

use base::{Clock, Span};
use futures_util::future::BoxFuture;
use store::{Engine, History};

use crate::clock_seen;
use crate::reconciler::{Next, Reconciler, StepError};
use crate::tasks::Stop;

const EVERY: Span = Span::seconds(3_600);

pub(crate) struct TrimHistory {
    /// What the reconciler is called.
    pub(crate) name: &'static str,
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) history: History,
    pub(crate) retention: store::Retention,
    pub(crate) clock: Clock,
}

impl Reconciler for TrimHistory {
    fn name(&self) -> &'static str {
        self.name
    }

    fn step<'a>(&'a mut self, stop: &'a Stop) -> BoxFuture<'a, Result<Next, StepError>> {
        Box::pin(async move {
            // What was counted before may have been trimmed by another process since.
            let history = self.history.uncounted();
            let now = clock_seen::certainly(&self.engine, &self.clock).await?.as_unix().saturating_mul(1_000);
            while !stop.is_asked() && history.trim(now, self.retention).await?.more {}
            Ok(Next::At(self.clock.now() + EVERY))
        })
    }
}
