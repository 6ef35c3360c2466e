//! Each of the house's own authorities provides trust: whoever requires it has all its CA certificates that are still
//! good for something, so that old and new overlap for as long as certificates of the old one live.

use std::sync::Arc;

use base::{Clock, Span};
use ca::Authority;
use futures_util::future::BoxFuture;
use identity::Permit;
use trust::{Anchor, ProviderName, Trust};

use crate::reconciler::{Next, Reconciler, StepError};
use crate::tasks::Stop;

/// How often it is looked at: a certificate that is over is noticed without a hint.
const EVERY: Span = Span::seconds(600);
/// How soon it is tried again with one that could not be offered.
const AGAIN: Span = Span::seconds(60);

pub(crate) struct OwnTrust {
    pub(crate) authorities: Vec<Arc<Authority>>,
    pub(crate) trust: Arc<Trust>,
    pub(crate) clock: Clock,
}

impl OwnTrust {
    async fn offer(&self, authority: &Authority) -> Result<(), StepError> {
        let name = authority.profile().name.as_str();
        let provider: ProviderName = name.parse()?;
        let anchors = authority.anchors().await?.iter().map(Anchor::from).collect::<Vec<_>>();
        // An authority always has one; if none can be seen, nothing is concluded from that.
        if anchors.is_empty() {
            return Ok(());
        }
        let anchors = anchors.into_iter().map(|anchor| (anchor.fingerprint(), anchor)).collect();
        let offered = self.trust.offer_own(Permit::house(), &provider, name, anchors).await?;
        if !offered.came.is_empty() || !offered.went.is_empty() {
            tracing::info!(
                provider = name,
                came = offered.came.len(),
                went = offered.went.len(),
                "other CA certificates are handed on"
            );
        }
        Ok(())
    }
}

impl Reconciler for OwnTrust {
    fn name(&self) -> &'static str {
        "own-trust"
    }

    fn step<'a>(&'a mut self, _stop: &'a Stop) -> BoxFuture<'a, Result<Next, StepError>> {
        Box::pin(async move {
            let mut next = EVERY;
            for authority in &self.authorities {
                // What keeps one of them from being offered is no reason to keep the others.
                if let Err(error) = self.offer(authority).await {
                    let (authority, error) = (&authority.profile().name, base::report(&*error));
                    tracing::warn!(%authority, error = %error, "its CA certificates could not be offered");
                    next = AGAIN;
                }
            }
            Ok(Next::At(self.clock.now() + next))
        })
    }

    fn cares(&self, what: &str) -> bool {
        what == ca::CA_CERTIFICATE_MADE
    }
}
