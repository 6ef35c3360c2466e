//! Links what happened, soon after it did.

use std::sync::Arc;
use std::time::Duration;

use base::{Clock, Span};
use futures_util::future::BoxFuture;

use crate::audit::Audit;
use crate::reconciler::{Next, Reconciler, StepError};
use crate::tasks::Stop;

/// How often it is looked without a hint.
const EVERY: Span = Span::seconds(3_600);
/// How far apart links are made at least, where much happens: so long at most an event has none.
const LINKS_APART: Duration = Duration::from_millis(500);

pub(crate) struct LinkHistory {
    pub(crate) audit: Arc<Audit>,
    /// Whether other processes may do the same.
    pub(crate) is_shared: bool,
    pub(crate) clock: Clock,
}

impl Reconciler for LinkHistory {
    fn name(&self) -> &'static str {
        "links of the history"
    }

    fn step<'a>(&'a mut self, stop: &'a Stop) -> BoxFuture<'a, Result<Next, StepError>> {
        Box::pin(async move {
            self.audit.link(stop).await?;
            Ok(Next::At(self.clock.now() + EVERY))
        })
    }

    /// Where nobody else can be at it, it is not worth two more commits for each link to say who is.
    fn is_own(&self) -> bool {
        !self.is_shared
    }

    fn hints_apart(&self) -> Duration {
        LINKS_APART
    }

    /// Whatever happened is an event.
    fn cares(&self, _: &str) -> bool {
        true
    }
}
