//! What an operation would do, without doing it.

use base::Timestamp;
use futures_util::future::join_all;
use identity::Permit;

use crate::address::HostAddress;
use crate::error::SteerError;
use crate::hosts::LOADS_AT_ONCE;
use crate::name::ClusterName;
use crate::next::NOT_ATOMIC;
use crate::operation::{OperationKind, Plan};
use crate::policy::{Policy, UNDERWAY_MAX};
use crate::rollout::{Rollout, RolloutId};
use crate::service::{Fleet, ReadClusters};

/// What an operation would do if all went well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// Which hosts, in which order: those of one group at once, and a group when all of the one before are done. With
    /// `max_unavailable` alone, a host follows as soon as there is room.
    pub groups: Vec<Vec<HostAddress>>,
    /// Whether the first group are canaries.
    pub has_canaries: bool,
    /// The hosts on which it would fail, and why.
    pub refused: Vec<(HostAddress, String)>,
    /// When it would begin.
    pub begins_at: Timestamp,
}

impl Fleet {
    /// What an operation would do now; nothing is changed.
    ///
    /// # Errors
    /// [`SteerError::NoSuchCluster`], [`SteerError::Policy`], or the store's.
    pub async fn plan(
        &self,
        _permit: Permit<ReadClusters>,
        cluster: &ClusterName,
        plan: &Plan,
        policy: &Policy,
    ) -> Result<Preview, SteerError> {
        policy.check()?;
        if self.tables.cluster.get(cluster.as_str()).await?.is_none() {
            return Err(SteerError::NoSuchCluster { cluster: cluster.clone() });
        }
        let hosts = self.hosts_of(cluster.as_str()).await?;
        let refused = match plan.kind() {
            OperationKind::Deploy => self.not_atomic(&hosts).await?,
            OperationKind::Upgrade | OperationKind::Restart => Vec::new(),
        };
        let now = self.ground.clock.now();
        let total = hosts.len() as u64;
        let what = (plan.clone(), policy.clone());
        let rollout = Rollout::asked_for((cluster.clone(), RolloutId(0)), what, String::new(), total, now);
        Ok(Preview {
            groups: groups(rollout, hosts),
            has_canaries: policy.canary.is_some() && total > 0,
            refused,
            begins_at: policy.opens(now),
        })
    }

    /// Those hosts that are known to be no atomic ones.
    async fn not_atomic(&self, hosts: &[HostAddress]) -> Result<Vec<(HostAddress, String)>, SteerError> {
        let mut refused = Vec::new();
        for some in hosts.chunks(LOADS_AT_ONCE) {
            let found = join_all(some.iter().map(|host| self.tables.host.get(host.as_str()))).await;
            for (address, host) in some.iter().zip(found) {
                if self.readable(host)?.flatten().is_some_and(|host| host.record.atomic == Some(false)) {
                    refused.push((address.clone(), NOT_ATOMIC.to_owned()));
                }
            }
        }
        Ok(refused)
    }
}

/// The groups in which hosts are begun with.
fn groups(mut rollout: Rollout, hosts: Vec<HostAddress>) -> Vec<Vec<HostAddress>> {
    let may_be = rollout.policy.max_unavailable.map_or(u64::MAX, |share| share.of(rollout.total));
    let mut groups = Vec::new();
    let mut left = hosts.into_iter().peekable();
    while left.peek().is_some() {
        // No other comes before the last of the canaries.
        let canaries = rollout.canaries().checked_sub(rollout.cursor).filter(|left| *left > 0);
        let size = rollout.batch_size().min(UNDERWAY_MAX).min(may_be).min(canaries.unwrap_or(u64::MAX));
        let group = left.by_ref().take(usize::try_from(size).unwrap_or(usize::MAX));
        let group: Vec<HostAddress> = group.collect();
        rollout.cursor += group.len() as u64;
        groups.push(group);
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_come_in_groups() {
        let share = |text: &str| (!text.is_empty()).then(|| text.parse().unwrap());
        for (batch, max_unavailable, canary, expected) in [
            ("", "", "", &[1, 1, 1, 1, 1, 1, 1][..]),
            ("3", "", "", &[3, 3, 1]),
            ("30%", "", "", &[2, 2, 2, 1]),
            ("3", "2", "", &[2, 2, 2, 1]),
            ("", "4", "", &[4, 3]),
            ("5", "", "1", &[1, 5, 1]),
            ("", "", "100%", &[7]),
            ("", "2", "3", &[2, 1, 2, 2]),
        ] {
            let policy = Policy {
                batch: share(batch),
                max_unavailable: share(max_unavailable),
                canary: share(canary),
                ..Policy::default()
            };
            let now = Timestamp::from_unix(0);
            let whose = ("web".parse().unwrap(), RolloutId(0));
            let rollout = Rollout::asked_for(whose, (Plan::Restart, policy), String::new(), 7, now);
            let hosts = (0..7).map(|n| format!("10.0.0.{n}").parse().unwrap()).collect();
            let found: Vec<usize> = groups(rollout, hosts).iter().map(Vec::len).collect();
            assert_eq!(found, expected, "{batch} {max_unavailable} {canary}");
        }
    }
}
