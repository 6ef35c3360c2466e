//! Keeps the history that is linked within its bounds of age and count, and forgets operations that ended before it begins.

use std::sync::Arc;

use base::{Clock, Span};
use fleet::Fleet;
use futures_util::future::BoxFuture;
use store::Engine;

use crate::audit::Audit;
use crate::clock_seen;
use crate::reconciler::{Next, Reconciler, StepError};
use crate::tasks::Stop;

const EVERY: Span = Span::seconds(3_600);

pub(crate) struct TrimLinked {
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) audit: Arc<Audit>,
    /// Whose old operations are forgotten with it.
    pub(crate) fleet: Arc<Fleet>,
    pub(crate) retention: store::Retention,
    pub(crate) clock: Clock,
}

impl Reconciler for TrimLinked {
    fn name(&self) -> &'static str {
        "history"
    }

    fn step<'a>(&'a mut self, stop: &'a Stop) -> BoxFuture<'a, Result<Next, StepError>> {
        Box::pin(async move {
            // Nothing is dropped that no link has.
            self.audit.link(stop).await?;
            let now = clock_seen::certainly(&self.engine, &self.clock).await?;
            let dropped = self.audit.trim(self.retention, now, stop).await?;
            if dropped > 0 {
                tracing::info!(dropped, "events dropped from the history");
            }
            self.audit.tell().await;
            let mut from = None;
            while !stop.is_asked() {
                from = self.fleet.drop_ended_operations(self.retention.age, now, from).await?;
                if from.is_none() {
                    break;
                }
            }
            Ok(Next::At(self.clock.now() + EVERY))
        })
    }
}

#[cfg(test)]
mod tests {
    use base::{Entropy, Timestamp};
    use fleet::{Expected, Ground, NewCluster, OperationKind, Plan, Policy};
    use identity::Permit;
    use store::{Batch, Key, Memory, SealingKey};

    use super::*;

    #[tokio::test]
    async fn operations_that_ended_long_ago_are_forgotten() {
        let store = Arc::new(Memory::new());
        let (clock, entropy) = (Clock::manual(Timestamp::from_unix(1_790_000_000)), Entropy::seeded(3));
        let sealing = Arc::new(SealingKey::generate(&entropy));
        let ground = Ground {
            engine: store.clone(),
            sealing: sealing.clone(),
            clock: clock.clone(),
            entropy: entropy.clone(),
        };
        let fleet = Arc::new(Fleet::open(ground).await.unwrap());
        let web = "web".parse().unwrap();
        fleet.put_cluster(Permit::house(), &web, &NewCluster::default(), Expected::Anything).await.unwrap();
        let audit = Audit::new(store.clone(), sealing, clock.clone(), entropy).unwrap();
        let retention = store::Retention { age: Span::days(400), count: 100 };
        let (fleet, audit) = (fleet.clone(), Arc::new(audit));
        let engine: Arc<dyn Engine> = store;
        // As whoever dates the lists of the authorities writes it down.
        let settle = async || {
            let mut batch = Batch::new();
            for name in ["services", "users"] {
                let record = format!(r#"{{"v":1,"is":{{"at":{}}}}}"#, clock.now().as_unix());
                batch.put(Key::new(format!("/ca/{name}/settled")).unwrap(), record);
            }
            engine.commit(batch).await.unwrap();
        };
        let mut trim = TrimLinked {
            engine: engine.clone(),
            audit,
            fleet: fleet.clone(),
            retention,
            clock: clock.clone(),
        };
        let mut latest = None;
        for _ in 0..3 {
            // There are no hosts, so each is over at once.
            let policy = Policy::default();
            latest = Some(fleet.start_with(Permit::house(), &web, &Plan::Restart, &policy).await.unwrap().id);
            // So that they are in links of their own: the last one is never dropped.
            trim.step(&Stop::new()).await.unwrap();
            clock.advance(Span::days(1));
        }
        let left = async || fleet.rollouts(Permit::house(), &web).await.unwrap();
        settle().await;
        trim.step(&Stop::new()).await.unwrap();
        assert_eq!(left().await.len(), 3);
        clock.advance(Span::days(400));
        let events =
            async || engine.list(&store::History::prefix(), store::Page::full()).await.unwrap().entries.len();
        let before = events().await;
        // By a look at the clock nothing goes: it may be wrong for an hour.
        trim.step(&Stop::new()).await.unwrap();
        assert_eq!((left().await.len(), events().await), (3, before));
        settle().await;
        trim.step(&Stop::new()).await.unwrap();
        assert!(events().await < before);
        let left: Vec<_> = left().await.into_iter().map(|rollout| rollout.id).collect();
        assert_eq!(left, Vec::from_iter(latest), "but for the latest");
        assert!(fleet.operation(Permit::house(), &web, OperationKind::Restart).await.is_ok());
    }
}
