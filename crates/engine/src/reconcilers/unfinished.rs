//! Puts right what a dead process left between the intent to sign and the certificate.

use std::sync::Arc;

use base::{Clock, Span};
use ca::Authority;
use futures_util::future::BoxFuture;

use crate::reconciler::{Next, Reconciler, StepError};
use crate::tasks::Stop;

/// An issuance that takes longer than this is not going to be finished by whoever began it.
const GIVEN_UP: Span = Span::seconds(120);
const EVERY: Span = Span::seconds(60);

pub(crate) struct Unfinished {
    pub(crate) authorities: Vec<Arc<Authority>>,
    pub(crate) clock: Clock,
}

impl Reconciler for Unfinished {
    fn name(&self) -> &'static str {
        "unfinished-issuance"
    }

    fn step<'a>(&'a mut self, _stop: &'a Stop) -> BoxFuture<'a, Result<Next, StepError>> {
        Box::pin(async move {
            let mut failed = None;
            for authority in &self.authorities {
                if let Err(error) = authority.mend_unfinished(GIVEN_UP).await {
                    failed = Some(error);
                }
            }
            if let Some(error) = failed {
                return Err(error.into());
            }
            Ok(Next::At(self.clock.now() + EVERY))
        })
    }
}
