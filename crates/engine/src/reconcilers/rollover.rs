//! Makes the next CA certificate and the next revocation lists when it is time, so that nobody who asks
//! has to wait for a key to be made.

use std::sync::Arc;

use base::{Clock, Span, Timestamp};
use ca::Authority;
use futures_util::future::BoxFuture;

use crate::reconciler::{Next, Reconciler, StepError};
use crate::tasks::Stop;

/// How often it is looked at, unless something is due before.
const EVERY: Span = Span::seconds(3_600);

pub(crate) struct Rollover {
    pub(crate) authorities: Vec<Arc<Authority>>,
    pub(crate) clock: Clock,
}

/// Makes what is due, and says when the next thing will be.
async fn due(authority: &Authority) -> Result<Timestamp, StepError> {
    let successor_due = authority.successor_due().await?;
    Ok(authority.published().await?.refresh_at.min(successor_due))
}

impl Reconciler for Rollover {
    fn name(&self) -> &'static str {
        "rollover"
    }

    fn step<'a>(&'a mut self, _stop: &'a Stop) -> BoxFuture<'a, Result<Next, StepError>> {
        Box::pin(async move {
            let mut wait = EVERY;
            let mut failed = None;
            for authority in &self.authorities {
                match due(authority).await {
                    Ok(due) => wait = wait.min(due - self.clock.now() + Span::seconds(1)),
                    // The others are looked at all the same.
                    Err(error) => failed = Some(error),
                }
            }
            match failed {
                Some(error) => Err(error),
                None => Ok(Next::At(self.clock.now() + wait.max(Span::seconds(1)))),
            }
        })
    }

    fn cares(&self, what: &str) -> bool {
        what == "certificate revoked"
    }
}
