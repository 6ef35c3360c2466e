//! Tells the history who was refused what.

use std::sync::Arc;

use base::{Clock, Entropy, Span};
use futures_util::future::BoxFuture;
use store::{Engine, History};

use crate::reconciler::{Next, Reconciler, StepError};
use crate::refusals::Refusals;
use crate::tasks::Stop;

/// How often it is looked at whether there is anything to tell.
const EVERY: Span = Span::seconds(60);

pub(crate) struct TellRefusals {
    pub(crate) refusals: Arc<Refusals>,
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) history: History,
    pub(crate) clock: Clock,
    pub(crate) entropy: Entropy,
}

impl Reconciler for TellRefusals {
    fn name(&self) -> &'static str {
        "refusals"
    }

    fn step<'a>(&'a mut self, _: &'a Stop) -> BoxFuture<'a, Result<Next, StepError>> {
        Box::pin(async move {
            if self.refusals.are_due(self.clock.now()) {
                let engine = self.engine.as_ref();
                self.refusals.tell(engine, &self.history, &self.clock, &self.entropy).await?;
            }
            Ok(Next::At(self.clock.now() + EVERY))
        })
    }

    /// Each process knows whom it refused.
    fn is_own(&self) -> bool {
        true
    }
}
