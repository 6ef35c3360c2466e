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

impl Reconciler for Certificates {
    fn name(&self) -> &'static str {
        "certificate-records"
    }

    fn step<'a>(&'a mut self, stop: &'a Stop) -> BoxFuture<'a, Result<Next, StepError>> {
        Box::pin(async move {
            for authority in &self.authorities {
                let mut from = None;
                while !stop.is_asked() {
                    from = authority.drop_ended_certificates(from).await?;
                    if from.is_none() {
                        break;
                    }
                }
            }
            Ok(Next::At(self.clock.now() + EVERY))
        })
    }
}
