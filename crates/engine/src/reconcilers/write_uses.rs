//! Writes down which artifacts were read, for the rules that keep what is used.

use std::sync::Arc;

use base::{Clock, Span};
use cache::Cache;
use futures_util::future::BoxFuture;

use crate::reconciler::{Next, Reconciler, StepError};
use crate::tasks::Stop;

const EVERY: Span = Span::seconds(300);

pub(crate) struct WriteUses {
    pub(crate) cache: Arc<Cache>,
    pub(crate) clock: Clock,
}

impl Reconciler for WriteUses {
    fn name(&self) -> &'static str {
        "write-uses"
    }

    fn step<'a>(&'a mut self, _stop: &'a Stop) -> BoxFuture<'a, Result<Next, StepError>> {
        Box::pin(async move {
            self.cache.write_uses().await?;
            Ok(Next::At(self.clock.now() + EVERY))
        })
    }

    /// Each process knows what was read from it.
    fn is_own(&self) -> bool {
        true
    }
}
