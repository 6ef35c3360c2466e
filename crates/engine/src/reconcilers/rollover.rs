//! Makes the next CA certificate and the next revocation lists when it is time, so that nobody who asks
//! has to wait for a key to be made.

use std::sync::Arc;

use base::{Clock, Span};
use ca::Authority;
use futures_util::future::BoxFuture;

use crate::reconciler::{Next, Reconciler, StepError};
use crate::tasks::Stop;

/// How often it is looked at, unless a leaf lifetime is so short that it must be oftener.
const EVERY: Span = Span::seconds(3_600);

pub(crate) struct Rollover {
    pub(crate) authorities: Vec<Arc<Authority>>,
    pub(crate) clock: Clock,
}

impl Reconciler for Rollover {
    fn name(&self) -> &'static str {
        "rollover"
    }

    fn step<'a>(&'a mut self, _stop: &'a Stop) -> BoxFuture<'a, Result<Next, StepError>> {
        Box::pin(async move {
            let mut wait = EVERY;
            for authority in &self.authorities {
                authority.anchors().await?;
                let published = authority.published().await?;
                wait = wait.min(authority.profile().leaf_life.fraction(1, 10));
                wait = wait.min(published.refresh_at - self.clock.now() + Span::seconds(1));
            }
            Ok(Next::At(self.clock.now() + wait.max(Span::seconds(1))))
        })
    }
}
