//! Ends the uploads that nobody goes on with, so that what has come of them does not take room for ever.

use std::sync::Arc;

use base::{Clock, Span};
use cache::Cache;
use futures_util::future::BoxFuture;

use crate::reconciler::{Next, Reconciler, StepError};
use crate::tasks::Stop;

const EVERY: Span = Span::seconds(60);

pub(crate) struct EndIdleUploads {
    pub(crate) cache: Arc<Cache>,
    pub(crate) clock: Clock,
}

impl Reconciler for EndIdleUploads {
    fn name(&self) -> &'static str {
        "end-idle-uploads"
    }

    fn step<'a>(&'a mut self, _stop: &'a Stop) -> BoxFuture<'a, Result<Next, StepError>> {
        Box::pin(async move {
            self.cache.end_idle_uploads();
            Ok(Next::At(self.clock.now() + EVERY))
        })
    }

    /// Each process has uploads of its own.
    fn is_own(&self) -> bool {
        true
    }
}
