//! Has the hosts of clusters come and go where whoever was at many of them at once stopped in the middle.
//!
//! Whoever changes something there sees to that first, and waits for it. So this is for what nobody touches, which
//! would be shown half done for ever.

use std::collections::HashMap;
use std::sync::Arc;

use base::{Clock, Span};
use fleet::Fleet;
use futures_util::future::BoxFuture;
use store::Version;

use crate::reconciler::{Next, Reconciler, StepError};
use crate::tasks::Stop;

/// How soon it is looked again at what somebody may be at.
const OFTEN: Span = Span::seconds(15);
/// The same where nobody is at anything.
const SELDOM: Span = Span::seconds(60);

pub(crate) struct Regroup {
    fleet: Arc<Fleet>,
    clock: Clock,
    /// How far the changes were that were found.
    seen: HashMap<String, Version>,
}

impl Regroup {
    pub(crate) fn new(fleet: Arc<Fleet>, clock: Clock) -> Self {
        Self { fleet, clock, seen: HashMap::new() }
    }
}

impl Reconciler for Regroup {
    fn name(&self) -> &'static str {
        "regroup"
    }

    fn step<'a>(&'a mut self, stop: &'a Stop) -> BoxFuture<'a, Result<Next, StepError>> {
        Box::pin(async {
            let has_more = self.fleet.take_over_regroupings(&mut self.seen, &|| stop.is_asked()).await?;
            let pause = match self.seen.is_empty() {
                _ if has_more => Span::ZERO,
                true => SELDOM,
                false => OFTEN,
            };
            Ok(Next::At(self.clock.now() + pause))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::future::pending;

    use base::{Entropy, Timestamp};
    use fleet::{ClusterName, Expected, Ground, HostAddress, HostStatus, NewCluster, NewHost};
    use futures_util::FutureExt as _;
    use identity::Permit;
    use store::{Memory, SealingKey};

    use super::*;

    const BEGINNING: Timestamp = Timestamp::from_unix(1_790_000_000);

    /// Somebody has had 50 hosts join a cluster, and stopped in the middle.
    #[tokio::test]
    async fn what_was_left_is_seen_to_its_end() {
        let engine = Arc::new(Memory::new());
        let (clock, entropy) = (Clock::manual(BEGINNING), Entropy::seeded(3));
        let sealing = Arc::new(SealingKey::generate(&entropy));
        let ground = Ground { engine: engine.clone(), sealing, clock: clock.clone(), entropy };
        let fleet = Arc::new(Fleet::open(ground).await.unwrap());
        let web: ClusterName = "web".parse().unwrap();
        let new = NewCluster::default();
        fleet.put_cluster(Permit::house(), &web, &new, Expected::Anything).await.unwrap();
        let hosts: BTreeSet<String> = (0..50).map(|number| format!("h{number}")).collect();
        for host in &hosts {
            let new = NewHost { status: HostStatus::Active, ..NewHost::default() };
            let address: HostAddress = host.parse().unwrap();
            fleet.add_host(Permit::house(), address, new).await.unwrap();
        }
        for _ in 0..3 {
            engine.before_next_commit(async {});
        }
        engine.before_next_commit(pending());
        let left = fleet.replace_members(Permit::house(), &web, None, &hosts).now_or_never();
        assert!(left.is_none(), "it came to its end");

        let members = async || fleet.members(Permit::house(), &web).await.unwrap().len();
        assert_eq!(members().await, 18);
        let mut regroup = Regroup::new(fleet.clone(), clock.clone());
        for (expected, pause) in [(18, OFTEN), (50, SELDOM), (50, SELDOM)] {
            assert_eq!(regroup.step(&Stop::new()).await.unwrap(), Next::At(clock.now() + pause));
            assert_eq!(members().await, expected);
            clock.advance(pause);
        }
    }
}
