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

/// How soon it is looked again: what is left is gone on with after twice as long at most. A look is one list, of nothing
/// as a rule, and writes nothing, as nobody claims it. More often would be cheap too; but what is no further than it was
/// a look before is taken for left, and whoever has thousands of hosts move is not to be joined in the middle of it.
const LOOKS_APART: Span = Span::seconds(15);

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
            let taken = self.fleet.take_over_regroupings(&mut self.seen, &|| stop.is_asked()).await;
            let has_more = taken.unwrap_or_else(|error| {
                // As a step that failed it would be tried again ever later, up to five minutes; but whoever was told that a
                // change has begun waits for the store's return. That it is away, others say.
                tracing::debug!(error = %base::report(&error), "cannot look for changes of many hosts that were left");
                false
            });
            let pause = if has_more { Span::ZERO } else { LOOKS_APART };
            Ok(Next::At(self.clock.now() + pause))
        })
    }

    /// Those who are at the same change meet at each of its commits, so that it is done once; a claim would cost more than
    /// a look, and would have to end first when its holder dies.
    fn is_own(&self) -> bool {
        true
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

    /// A cluster without hosts, and 50 hosts.
    async fn furnished() -> (Arc<Memory>, Clock, Arc<Fleet>, ClusterName, BTreeSet<String>) {
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
        (engine, clock, fleet, web, hosts)
    }

    /// The fourth commit from now on never ends.
    fn stop_in_the_middle(engine: &Memory) {
        for _ in 0..3 {
            engine.before_next_commit(async {});
        }
        engine.before_next_commit(pending());
    }

    /// Somebody has had 50 hosts join a cluster, and stopped in the middle.
    #[tokio::test]
    async fn what_was_left_is_seen_to_its_end() {
        let (engine, clock, fleet, web, hosts) = furnished().await;
        stop_in_the_middle(&engine);
        let left = fleet.replace_members(Permit::house(), &web, None, &hosts).now_or_never();
        assert!(left.is_none(), "it came to its end");

        let members = async || fleet.members(Permit::house(), &web).await.unwrap().len();
        assert_eq!(members().await, 18);
        let mut regroup = Regroup::new(fleet.clone(), clock.clone());
        for expected in [18, 50, 50] {
            assert_eq!(regroup.step(&Stop::new()).await.unwrap(), Next::At(clock.now() + LOOKS_APART));
            assert_eq!(members().await, expected);
            clock.advance(LOOKS_APART);
        }
    }

    /// Somebody has deleted a cluster with 50 hosts, and stopped in the middle.
    #[tokio::test]
    async fn a_cluster_that_was_to_go_goes() {
        let (engine, clock, fleet, web, hosts) = furnished().await;
        fleet.replace_members(Permit::house(), &web, None, &hosts).await.unwrap();
        stop_in_the_middle(&engine);
        let left = fleet.delete_cluster(Permit::house(), &web, Expected::Anything).now_or_never();
        assert!(left.is_none(), "it came to its end");
        assert_eq!(fleet.members(Permit::house(), &web).await.unwrap().len(), 14);

        let mut regroup = Regroup::new(fleet.clone(), clock.clone());
        for is_there in [true, false, false] {
            assert_eq!(regroup.step(&Stop::new()).await.unwrap(), Next::At(clock.now() + LOOKS_APART));
            assert_eq!(fleet.cluster(Permit::house(), &web).await.is_ok(), is_there);
            clock.advance(LOOKS_APART);
        }
        for host in fleet.all_hosts(Permit::house(), |host| host).await.unwrap() {
            assert_eq!(host.cluster, None, "{}", host.address);
        }
    }
}
