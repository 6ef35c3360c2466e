//! Operations as operators look at them: how each is doing, what it waits for, which hosts it is at.

use base::Timestamp;
use identity::Permit;

use crate::address::HostAddress;
use crate::change::Known;
use crate::error::{RolloutError, SteerError};
use crate::name::ClusterName;
use crate::next::{Next, Why, next};
use crate::rollout::{Phase, Rollout, RolloutId};
use crate::rollouts::HostRunPage;
use crate::run::{HostRun, RunState};
use crate::service::{Fleet, ReadClusters};

/// An operation, and how it is doing at the moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RolloutView {
    /// The operation.
    pub rollout: Rollout,
    /// How it is doing.
    pub phase: Phase,
    /// What it waits for; absent where it does not, has ended, or waits for somebody to resume it.
    pub waits_for: Option<Waiting>,
    /// The hosts that are under way.
    pub underway: Vec<HostAddress>,
}

/// What an operation waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Waiting {
    /// The hosts that are under way.
    Hosts,
    /// Its time, or its next maintenance window.
    Schedule {
        /// When that is.
        until: Timestamp,
    },
    /// Hosts to become available.
    Unavailable {
        /// How many are not.
        are: u64,
        /// How many may be.
        may_be: u64,
    },
    /// Others to be done with the host that is next: another operation, or whoever makes it ready.
    Others,
    /// Hosts that are to be begun with, which have to answer first.
    Answers {
        /// Which.
        of: Vec<HostAddress>,
    },
}

/// A page of a cluster's operations, the latest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RolloutPage {
    /// The operations.
    pub rollouts: Vec<RolloutView>,
    /// Before which operation the next page begins; nothing on the last one.
    pub next: Option<RolloutId>,
}

impl RolloutView {
    /// What `known` looks like at `now`.
    fn of(known: Known, now: Timestamp) -> Self {
        let Known { rollout, seen, .. } = known;
        let waits_for = match next(&rollout, &seen, now) {
            Next::Await { why: Why::Hosts, .. } => Some(Waiting::Hosts),
            Next::Await { why: Why::Schedule, .. } => {
                Some(Waiting::Schedule { until: rollout.policy.opens(now) })
            }
            Next::Await { why: Why::Unavailable { are, may_be }, .. } => {
                Some(Waiting::Unavailable { are, may_be })
            }
            Next::Await { why: Why::Others, .. } => Some(Waiting::Others),
            Next::Begin(of) => Some(Waiting::Answers { of }),
            _ => None,
        };
        let underway = seen.underway.into_iter().map(|run| run.address).collect();
        Self { phase: rollout.phase(now), rollout, waits_for, underway }
    }
}

impl Fleet {
    /// How an operation is doing.
    ///
    /// # Errors
    /// [`RolloutError::NoSuchOperation`], or the store's.
    pub async fn rollout_view(
        &self,
        _permit: Permit<ReadClusters>,
        cluster: &ClusterName,
        id: RolloutId,
    ) -> Result<RolloutView, RolloutError> {
        let known = self.known_rollout(cluster, id, &[]).await?;
        let known = known.ok_or_else(|| RolloutError::NoSuchOperation { cluster: cluster.clone(), id })?;
        Ok(RolloutView::of(known, self.ground.clock.now()))
    }

    /// At most `limit` of the operations on a cluster that are remembered, the latest first; those before one of them,
    /// if it is given.
    ///
    /// # Errors
    /// [`SteerError::NoSuchCluster`], or the store's.
    pub async fn latest_rollouts(
        &self,
        permit: Permit<ReadClusters>,
        cluster: &ClusterName,
        before: Option<RolloutId>,
        limit: usize,
    ) -> Result<RolloutPage, SteerError> {
        if self.tables.cluster.get(cluster.as_str()).await?.is_none() {
            return Err(SteerError::NoSuchCluster { cluster: cluster.clone() });
        }
        // All of them are read: they are small, and forgotten after a while.
        let mut all = self.rollouts(permit, cluster).await?;
        all.retain(|rollout| before.is_none_or(|before| rollout.id < before));
        let mut rollouts = Vec::new();
        for rollout in all.iter().rev().take(limit) {
            let is_over = rollout.outcome.is_some();
            let known = if is_over { None } else { self.known_rollout(cluster, rollout.id, &[]).await? };
            let now = self.ground.clock.now();
            rollouts.push(match known {
                Some(known) => RolloutView::of(known, now),
                None => RolloutView {
                    phase: rollout.phase(now),
                    rollout: rollout.clone(),
                    waits_for: None,
                    underway: Vec::new(),
                },
            });
        }
        let is_more = all.len() > rollouts.len();
        let next = rollouts.last().map(|last| last.rollout.id).filter(|_| is_more);
        Ok(RolloutPage { rollouts, next })
    }

    /// Those hosts of [`Fleet::rollout_hosts`] whose state `is_wanted`: perhaps fewer than `limit`, or none, though
    /// there are more.
    ///
    /// # Errors
    /// [`RolloutError::NoSuchOperation`], or the store's.
    pub async fn rollout_hosts_that(
        &self,
        permit: Permit<ReadClusters>,
        (cluster, id): (&ClusterName, RolloutId),
        is_wanted: impl Fn(&RunState) -> bool,
        after: Option<u64>,
        limit: usize,
    ) -> Result<HostRunPage, RolloutError> {
        let page = self.rollout_hosts(permit, cluster, id, after, limit).await?;
        let hosts: Vec<HostRun> = page.hosts.into_iter().filter(|run| is_wanted(&run.state)).collect();
        Ok(HostRunPage { hosts, next: page.next })
    }
}
