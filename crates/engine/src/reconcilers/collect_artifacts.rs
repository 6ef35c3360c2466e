//! Removes from the cache what its rules do not keep.

use std::sync::Arc;

use base::{Clock, Explain, Kind, Span};
use cache::{Cache, Collected, How, InForce, Maintain, MaintainError, Rules};
use futures_util::future::BoxFuture;
use identity::Permit;
use store::Claims;

use crate::house::House;
use crate::reconciler::{LEASE, Next, Reconciler, StepError, holding};
use crate::tasks::Stop;

/// Under which name it is claimed, also by whoever asks for it.
const NAME: &str = "collect-artifacts";
const EVERY: Span = Span::seconds(6 * 3_600);

pub(crate) struct CollectArtifacts {
    pub(crate) cache: Arc<Cache>,
    pub(crate) rules: Rules,
    pub(crate) clock: Clock,
}

impl Reconciler for CollectArtifacts {
    fn name(&self) -> &'static str {
        NAME
    }

    fn step<'a>(&'a mut self, stop: &'a Stop) -> BoxFuture<'a, Result<Next, StepError>> {
        Box::pin(async move {
            let stops = || stop.is_asked();
            let permit = Permit::house();
            let mut next = self.clock.now() + EVERY;
            let mut rules = self.rules.clone();
            let in_force = self.cache.in_force(&permit, &self.rules).await?;
            if let InForce::AfterJump(at) = in_force {
                tracing::warn!(until = %at, "the clock jumped: nothing is removed from the cache until it goes on from there");
                return Ok(Next::At(at.min(next)));
            }
            if let InForce::From(at) = in_force {
                let dry = How { is_dry: true, ..How::default() };
                let would = self.cache.collect(&permit, &self.rules, dry, &stops).await?;
                tracing::warn!(
                    from = %at,
                    entries = would.entries,
                    artifacts = would.artifacts,
                    "the cache's rules are new: they are followed from then on, or when `provost cache gc` is run; \
                     `provost cache gc --dry-run` shows what would go"
                );
                rules = rules.waiting();
                next = next.min(at);
            }
            let collected = self.cache.collect(&permit, &rules, How::default(), &stops).await?;
            if collected.entries + collected.artifacts > 0 {
                tracing::info!(
                    entries = collected.entries,
                    artifacts = collected.artifacts,
                    bytes = collected.bytes,
                    "removed from the cache what its rules do not keep"
                );
            }
            Ok(Next::At(next))
        })
    }
}

/// Why the cache was not tidied up when somebody asked for that.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// It is being done.
    #[error("the cache is being tidied up already")]
    Busy,
    /// It was begun, and failed.
    #[error(transparent)]
    Maintain(#[from] MaintainError),
    /// The store failed.
    #[error("could not see whether the cache is being tidied up")]
    Store(#[from] store::Error),
}

impl Explain for CollectError {
    fn kind(&self) -> Kind {
        match self {
            Self::Busy => Kind::Conflict,
            Self::Maintain(source) => source.kind(),
            Self::Store(source) => source.kind(),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Busy => {
                Some("ask again when that is over: the server does it every 6 hours by itself".into())
            }
            Self::Maintain(source) => source.help(),
            Self::Store(source) => source.help(),
        }
    }
}

impl House {
    /// Removes from the cache what its rules do not keep, because somebody asks for that: never while it is done already, by
    /// this process or another one. Nothing where there is no cache.
    ///
    /// # Errors
    /// [`CollectError`].
    pub async fn collect_artifacts(
        &self,
        permit: &Permit<Maintain>,
        how: How,
    ) -> Result<Collected, CollectError> {
        let Some((cache, rules)) = self.cache().zip(self.cache_rules()) else {
            return Ok(Collected::default());
        };
        let claims = Claims::new(self.engine.clone())?;
        let holder = base::hex::encode(&self.entropy.bytes::<8>());
        let claim = claims.take(NAME, &holder, self.clock.now(), LEASE).await?.ok_or(CollectError::Busy)?;
        let while_held = self.stopping().part();
        let stops = || while_held.is_asked();
        let collect = async {
            // Whoever asks for what the rules do says that they are right.
            if !how.is_dry {
                cache.put_in_force(permit, rules).await?;
            }
            cache.collect(permit, rules, how, &stops).await
        };
        Ok(holding(claim, &claims, &self.clock, &while_held, collect).await?)
    }
}
