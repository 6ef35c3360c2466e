//! Removes from the cache what its rules do not keep.

use std::sync::Arc;

use base::{Clock, Span};
use cache::{Cache, How, Rules};
use futures_util::future::BoxFuture;
use identity::Permit;

use crate::reconciler::{Next, Reconciler, StepError};
use crate::tasks::Stop;

const EVERY: Span = Span::seconds(6 * 3_600);

pub(crate) struct CollectArtifacts {
    pub(crate) cache: Arc<Cache>,
    pub(crate) rules: Rules,
    pub(crate) clock: Clock,
}

impl Reconciler for CollectArtifacts {
    fn name(&self) -> &'static str {
        "collect-artifacts"
    }

    fn step<'a>(&'a mut self, stop: &'a Stop) -> BoxFuture<'a, Result<Next, StepError>> {
        Box::pin(async move {
            let stops = || stop.is_asked();
            let collected = self.cache.collect(&Permit::house(), &self.rules, How::default(), &stops).await?;
            if collected.entries + collected.artifacts > 0 {
                tracing::info!(
                    entries = collected.entries,
                    artifacts = collected.artifacts,
                    bytes = collected.bytes,
                    "removed from the cache what its rules do not keep"
                );
            }
            Ok(Next::At(self.clock.now() + EVERY))
        })
    }
}
