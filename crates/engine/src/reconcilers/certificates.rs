//! Drops the records of certificates that ended so long ago that nobody can ask about them.

use std::sync::Arc;

use base::{Clock, Span};
use ca::Authority;
use futures_util::future::BoxFuture;

use crate::reconciler::{Next, Reconciler, StepError};
use crate::tasks::Stop;

const EVERY: Span = Span::days(1);

pub(crate) struct Certificates {
    pub(crate) authorities: Vec<Arc<Authority>>,
    pub(crate) clock: Clock,
}

async fn drop_ended(authority: &Authority, stop: &Stop) -> Result<(), StepError> {
    let mut from = None;
    while !stop.is_asked() {
        from = authority.drop_ended_certificates(from).await?;
        if from.is_none() {
            break;
        }
    }
    Ok(())
}

impl Reconciler for Certificates {
    fn name(&self) -> &'static str {
        "certificate-records"
    }

    fn step<'a>(&'a mut self, stop: &'a Stop) -> BoxFuture<'a, Result<Next, StepError>> {
        Box::pin(async move {
            let mut failed = None;
            for authority in &self.authorities {
                // The others are looked at all the same.
                if let Err(error) = drop_ended(authority, stop).await {
                    failed = Some(error);
                }
            }
            match failed {
                Some(error) => Err(error),
                // What was not looked at because somebody else took over is theirs to look at.
                None => Ok(Next::At(self.clock.now() + EVERY)),
            }
        })
    }
}
