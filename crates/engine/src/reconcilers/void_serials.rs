//! Voids the serials that a dead process had reserved and never used.

use std::sync::Arc;

use base::{Clock, Span};
use ca::Authority;
use futures_util::future::BoxFuture;

use crate::reconciler::{Next, Reconciler, StepError};
use crate::tasks::Stop;

/// Who has not used a serial for so long is likely dead; who is not will sign under others.
const GIVEN_UP: Span = Span::seconds(24 * 3_600);
const EVERY: Span = Span::seconds(3_600);

pub(crate) struct VoidSerials {
    pub(crate) authorities: Vec<Arc<Authority>>,
    pub(crate) clock: Clock,
}

impl Reconciler for VoidSerials {
    fn name(&self) -> &'static str {
        "void-serials"
    }

    fn step<'a>(&'a mut self, _stop: &'a Stop) -> BoxFuture<'a, Result<Next, StepError>> {
        Box::pin(async move {
            let mut failed = None;
            for authority in &self.authorities {
                if let Err(error) = authority.void_reserved(GIVEN_UP).await {
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
