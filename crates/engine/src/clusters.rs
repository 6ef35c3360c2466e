//! The house's side of clusters whose container manager has to be asked: hosts join it and leave it, and it is deleted.
//!
//! ```text
//! joins     the node is registered, then the host belongs to the cluster; if it cannot be, nothing was changed
//! leaves    the host does not belong to it any more, then its node is removed; if it cannot be, that is tried again later
//! deleted   the nodes are removed, then it goes; if they cannot be, it stays, and those that are gone come back
//! ```
//! (commissaire contract, section 3.3.) Whoever waits for the answer does not wait for long, and everything is noted
//! before it is asked for, so that whoever dies in between leaves nothing that [`RegisterNodes`] would not set right.
//! Many hosts that come and go at once, and those that are added to a cluster or deleted, are that one's matter alone.
//!
//! [`RegisterNodes`]: crate::reconcilers::RegisterNodes

use std::time::Duration;

use base::{Explain, Kind};
use fleet::{
    ClusterError, ClusterName, ContainerManagerName, DeleteCluster, Expected, Host, HostAddress, JoinCluster,
    LeaveCluster, MembersError, NodeGoing, NodeLeaving, Put, RolloutError, claim_on, claim_on_deletion,
};
use futures_util::future::join_all;
use identity::Permit;
use kube::Change;
use store::Claim;
use tokio::time::Instant;

use crate::hands::{Node, NodesError, OurFault, told};
use crate::house::House;
use crate::reconciler::{self, LEASE};
use crate::tasks::Stop;

/// How long whoever waits for an answer waits for a container manager.
const ASKED_WITHIN: Duration = Duration::from_secs(6);
/// How long they wait for whoever is at work on the host, or on the cluster.
const CLAIMED_WITHIN: Duration = Duration::from_secs(2);
/// How often it is looked at whether they are done.
const LOOKED_AT: Duration = Duration::from_millis(50);
/// How long they wait for all nodes of a cluster: those who ask give up after a minute.
const EMPTIED_WITHIN: Duration = Duration::from_secs(30);
/// How many nodes are removed at once.
const AT_ONCE: usize = 16;

/// What a container manager did not do, as those who asked for it are told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {reason}")]
pub struct ManagerError {
    /// What did not come of it.
    what: String,
    /// Why: what happened, and what can be done.
    reason: String,
}

/// What was not begun, or not ended, because of what goes on here; asking again may help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {reason}")]
pub struct NotNow {
    /// What did not come of it.
    pub what: String,
    /// What goes on.
    pub reason: String,
}

/// Why a host did not join a cluster.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// It may not, or our store failed.
    #[error(transparent)]
    Members(#[from] MembersError),
    /// Our store failed while the container manager was to be asked.
    #[error(transparent)]
    Ours(#[from] OurFault),
    /// Somebody else is at work on it.
    #[error(transparent)]
    NotNow(NotNow),
    /// The cluster's container manager did not take it.
    #[error(transparent)]
    Manager(ManagerError),
}

/// Why a cluster was not deleted.
#[derive(Debug, thiserror::Error)]
pub enum DeletionError {
    /// There is none, or another than expected; or our store failed.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// Our store failed while the container manager was to be asked.
    #[error(transparent)]
    Ours(#[from] OurFault),
    /// Somebody else is deleting it, or this house is about to stop.
    #[error(transparent)]
    NotNow(NotNow),
    /// Its container manager did not remove its nodes.
    #[error(transparent)]
    Manager(ManagerError),
}

/// What came of a host's leaving.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// Whether it belonged to the cluster.
    pub was_member: bool,
    /// Why its node is still there, if it is: that is tried again.
    pub still_there: Option<ManagerError>,
}

/// What came of a cluster's deletion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deleted {
    /// Whether nodes of its hosts are known to be still there: they are removed when those who are at work on these
    /// hosts have ended.
    pub are_nodes_still_there: bool,
}

impl Explain for ManagerError {
    fn kind(&self) -> Kind {
        Kind::Unavailable
    }
}

impl Explain for NotNow {
    fn kind(&self) -> Kind {
        Kind::Unavailable
    }

    fn help(&self) -> Option<String> {
        Some(format!("try again in {} s", Self::AGAIN_IN.as_secs()))
    }
}

impl Explain for JoinError {
    fn kind(&self) -> Kind {
        match self {
            Self::Members(error) => error.kind(),
            Self::Ours(error) => error.kind(),
            Self::NotNow(error) => error.kind(),
            Self::Manager(error) => error.kind(),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Members(error) => error.help(),
            Self::Ours(error) => error.help(),
            Self::NotNow(error) => error.help(),
            Self::Manager(error) => error.help(),
        }
    }

    fn told(&self) -> Option<String> {
        match self {
            Self::Members(error) => error.told(),
            Self::Ours(error) => error.told(),
            Self::NotNow(error) => error.told(),
            Self::Manager(error) => error.told(),
        }
    }
}

impl Explain for DeletionError {
    fn kind(&self) -> Kind {
        match self {
            Self::Cluster(error) => error.kind(),
            Self::Ours(error) => error.kind(),
            Self::NotNow(error) => error.kind(),
            Self::Manager(error) => error.kind(),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Cluster(error) => error.help(),
            Self::Ours(error) => error.help(),
            Self::NotNow(error) => error.help(),
            Self::Manager(_) => Some(
                "set it right, or have the cluster deleted all the same (`provost cluster delete --force`, or \
                 `{\"force\": true}` as the body under /api/v0): then the nodes are removed as soon as somebody answers"
                    .into(),
            ),
        }
    }

    fn told(&self) -> Option<String> {
        match self {
            Self::Cluster(error) => error.told(),
            Self::Ours(error) => error.told(),
            Self::NotNow(error) => error.told(),
            Self::Manager(error) => error.told(),
        }
    }
}

impl ManagerError {
    fn new(what: String, reason: String) -> Self {
        tracing::warn!(%what, %reason, "a container manager did not do as it was asked");
        Self { what, reason }
    }

    fn still_there(host: &HostAddress, reason: String) -> Self {
        Self::new(format!("the node of the host {host} is still there, and will be removed later"), reason)
    }
}

impl NotNow {
    /// After how long it is worth asking again.
    pub const AGAIN_IN: Duration = Duration::from_secs(5);
}

/// Why something was not done.
#[derive(Debug)]
enum NotDone {
    /// The container manager did not do it. If that was refused, nothing can have come of it.
    Manager { is_refused: bool, reason: String },
    /// Somebody else is at it, or nothing is begun any more.
    NotNow { reason: String },
    /// Our own store failed.
    Ours(OurFault),
}

impl NotDone {
    fn busy(host: &HostAddress) -> Self {
        Self::NotNow { reason: format!("somebody is at work on the host {host}") }
    }

    fn is_refused(&self) -> bool {
        matches!(self, Self::Manager { is_refused: true, .. })
    }

    /// What it is to whoever wanted a host to join a cluster.
    fn not_taken(self, host: &HostAddress, cluster: &ClusterName) -> JoinError {
        let what = format!("the host {host} did not join the cluster `{cluster}`");
        match self {
            Self::Manager { reason, .. } => JoinError::Manager(ManagerError::new(what, reason)),
            Self::NotNow { reason } => JoinError::NotNow(NotNow { what, reason }),
            Self::Ours(error) => JoinError::Ours(error),
        }
    }

    /// What it is to whoever wanted a cluster to be deleted.
    fn not_deleted(self, cluster: &ClusterName) -> DeletionError {
        let what = format!("the cluster `{cluster}` was not deleted");
        match self {
            Self::Manager { reason, .. } => DeletionError::Manager(ManagerError::new(what, reason)),
            Self::NotNow { reason } => DeletionError::NotNow(NotNow { what, reason }),
            Self::Ours(error) => DeletionError::Ours(error),
        }
    }

    /// For a person.
    fn reason(self) -> String {
        match self {
            Self::Manager { reason, .. } | Self::NotNow { reason } => reason,
            Self::Ours(error) => told(&error),
        }
    }
}

impl From<NodesError> for NotDone {
    fn from(error: NodesError) -> Self {
        match error.ours() {
            Ok(ours) => Self::Ours(ours),
            Err(error) => Self::Manager { is_refused: error.is_refusal(), reason: told(&error) },
        }
    }
}

impl From<RolloutError> for NotDone {
    fn from(error: RolloutError) -> Self {
        match error {
            RolloutError::ClaimLost { .. } => Self::NotNow { reason: told(&error) },
            error => Self::Ours(error.into()),
        }
    }
}

impl From<MembersError> for NotDone {
    fn from(error: MembersError) -> Self {
        Self::Ours(error.into())
    }
}

impl From<store::Error> for NotDone {
    fn from(error: store::Error) -> Self {
        MembersError::from(error).into()
    }
}

/// What was asked for, if it is done in time; or why not, for a person.
async fn in_time<T>(asked: impl Future<Output = Result<T, NodesError>>) -> Result<T, NotDone> {
    match tokio::time::timeout(ASKED_WITHIN, asked).await {
        Ok(done) => Ok(done?),
        Err(_) => Err(NotDone::Manager {
            is_refused: false,
            reason: format!("the container manager did not answer within {} s", ASKED_WITHIN.as_secs()),
        }),
    }
}

impl House {
    /// Lets a host join a cluster, once its container manager has it. New is its place in the cluster.
    ///
    /// # Errors
    /// See [`JoinError`]; nothing was changed then.
    pub async fn join(
        &self,
        permit: Permit<JoinCluster>,
        name: &ClusterName,
        address: &HostAddress,
    ) -> Result<Put<Host>, JoinError> {
        loop {
            let Some(joining) = self.fleet.node_before_joining(name, address).await? else {
                return Ok(self.fleet.join_host(permit, name, address).await?);
            };
            let known = &joining.node.address;
            let claim = self.claimed(&claim_on(known)).await.map_err(MembersError::from)?;
            let claim = claim.ok_or_else(|| NotDone::busy(known).not_taken(address, name))?;
            let while_held = self.stop.part();
            let joined = self.join_claimed(&permit, name, address, &claim);
            let joined = reconciler::holding(claim.clone(), &self.claims, &self.clock, &while_held, joined);
            if let Some(put) = joined.await? {
                return Ok(put);
            }
        }
    }

    /// As [`Self::join`], while nobody else is at work on the host. `None` when it has to be looked at anew.
    async fn join_claimed(
        &self,
        permit: &Permit<JoinCluster>,
        name: &ClusterName,
        address: &HostAddress,
        claim: &Claim,
    ) -> Result<Option<Put<Host>>, JoinError> {
        let Some(joining) = self.fleet.node_before_joining(name, address).await? else { return Ok(None) };
        self.register(claim, &joining.node).await.map_err(|failed| failed.not_taken(address, name))?;
        Ok(self.fleet.join_taken_host(permit, name, &joining, claim).await?)
    }

    /// Makes a host a node. What may come of it although we fail is on record before.
    async fn register(&self, claim: &Claim, node: &NodeLeaving) -> Result<(), NotDone> {
        let looked = in_time(async {
            let found = self.nodes.node_at(&node.manager, &node.address).await?;
            let is_there = match &found {
                None => true,
                Some(found) => is_there(found).await?,
            };
            Ok((found, is_there))
        });
        // One that is there already is somebody else's, who misses it if we fail and remove it.
        let (Some(found), false) = looked.await? else { return Ok(()) };
        let noted = self.fleet.note_node(claim, node).await?;
        let registered = in_time(found.register()).await;
        let is_ours = match &registered {
            Ok(change) => *change == Change::Made,
            Err(failed) => !failed.is_refused(),
        };
        if let Some(noted) = noted.filter(|_| !is_ours)
            && let Err(error) = self.fleet.withdraw_node(claim, node, noted).await
        {
            tracing::warn!(error = %base::report(&error), "a node that is not ours may be removed");
        }
        registered.map(drop)
    }

    /// Lets a host leave a cluster, and its container manager forget it, or says why that does not yet.
    ///
    /// # Errors
    /// See [`MembersError`]; nothing was changed then.
    pub async fn leave(
        &self,
        permit: Permit<LeaveCluster>,
        name: &ClusterName,
        address: &HostAddress,
    ) -> Result<Left, MembersError> {
        let was_member = self.fleet.leave(permit, name, address).await?;
        // From here on it has left, whatever happens.
        let forgotten = if was_member { self.forget(address).await } else { Ok(()) };
        let still_there = forgotten.err().map(|failed| ManagerError::still_there(address, failed.reason()));
        Ok(Left { was_member, still_there })
    }

    /// Has the container managers of a host that has left its cluster forget it, unless somebody else has done it. While
    /// it had not followed to its cluster's yet, these are several.
    async fn forget(&self, address: &HostAddress) -> Result<(), NotDone> {
        let leaving = async || self.fleet.nodes_still_leaving(address).await;
        let nodes = leaving().await?;
        let Some(node) = nodes.first() else { return Ok(()) };
        let Some(claim) = self.claimed(&claim_on(&node.address)).await? else {
            // Perhaps just whoever removes it.
            return if leaving().await?.is_empty() { Ok(()) } else { Err(NotDone::busy(&node.address)) };
        };
        let while_held = self.stop.part();
        let forgotten = async {
            // Somebody else may have, before the claim was ours.
            let nodes = leaving().await?;
            let forgotten = nodes.iter().map(async |node| {
                in_time(self.nodes.forget(node)).await?;
                Ok(self.fleet.record_node_left(&claim, node).await?)
            });
            join_all(forgotten).await.into_iter().collect::<Result<(), NotDone>>()
        };
        reconciler::holding(claim.clone(), &self.claims, &self.clock, &while_held, forgotten).await
    }

    /// Deletes a cluster, once its container manager has removed its nodes; where nobody is to wait for that, at once,
    /// and the nodes are removed as soon as somebody answers.
    ///
    /// # Errors
    /// See [`DeletionError`]; the cluster has its hosts then, unless it says that it goes. Those whose nodes were removed
    /// get them back.
    pub async fn delete_cluster(
        &self,
        permit: Permit<DeleteCluster>,
        name: &ClusterName,
        expected: Expected,
        is_forced: bool,
    ) -> Result<Deleted, DeletionError> {
        if is_forced || self.fleet.manager_before_deletion(name, expected).await?.is_none() {
            self.fleet.delete_cluster(permit, name, expected).await?;
            return Ok(Deleted { are_nodes_still_there: false });
        }
        let claim = self.claimed(&claim_on_deletion(name)).await.map_err(ClusterError::from)?;
        let busy = || NotDone::NotNow { reason: "somebody else is deleting it".into() };
        let claim = claim.ok_or_else(|| busy().not_deleted(name))?;
        let while_held = self.stop.part();
        let deleted = async {
            let mut deleted = Deleted { are_nodes_still_there: false };
            // Somebody else may have deleted it, or changed it, before the claim was ours.
            if let Some(manager) = self.fleet.manager_before_deletion(name, expected).await? {
                let removed = self.remove_nodes(name, &manager, &while_held).await;
                deleted.are_nodes_still_there = !removed.map_err(|failed| failed.not_deleted(name))?;
            }
            self.fleet.delete_cluster(permit, name, expected).await?;
            Ok(deleted)
        };
        reconciler::holding(claim.clone(), &self.claims, &self.clock, &while_held, deleted).await
    }

    /// Has the nodes of a cluster's hosts removed; where the first cannot even be looked at, none. Whether all were: those
    /// of hosts that somebody else is at work on stay.
    async fn remove_nodes(
        &self,
        name: &ClusterName,
        manager: &ContainerManagerName,
        while_held: &Stop,
    ) -> Result<bool, NotDone> {
        let members = self.fleet.members(Permit::house(), name).await?;
        let begun = Instant::now();
        let (mut answers, mut are_all) = (false, true);
        for some in members.chunks(AT_ONCE) {
            if while_held.is_asked() {
                let reason = "the server is about to stop, or another one goes on with it".into();
                return Err(NotDone::NotNow { reason });
            }
            if begun.elapsed() >= EMPTIED_WITHIN {
                let within = EMPTIED_WITHIN.as_secs();
                let reason = format!(
                    "the container manager `{manager}` did not remove {} nodes within {within} s",
                    members.len()
                );
                return Err(NotDone::Manager { is_refused: false, reason });
            }
            let mut nodes = Vec::new();
            for host in some {
                match self.nodes.node_at(manager, host).await {
                    Ok(Some(node)) => nodes.push((host, node)),
                    // There is nobody to ask, or what no node can be called; the latter was never one.
                    Ok(None) | Err(NodesError::NoSuchManager { .. } | NodesError::Name { .. }) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            if !answers && let Some((_, first)) = nodes.first() {
                in_time(is_there(first)).await?;
                answers = true;
            }
            let removed = nodes.iter().map(|(host, node)| self.remove_node(name, host, node));
            for removed in join_all(removed).await {
                are_all &= removed?;
            }
        }
        Ok(are_all)
    }

    /// Has the node of a member removed; `false` where somebody else is at work on that. On record it is before: if the
    /// cluster stays, it is registered again.
    async fn remove_node(
        &self,
        name: &ClusterName,
        host: &HostAddress,
        node: &Node,
    ) -> Result<bool, NotDone> {
        // Who is at work on it goes on for long; it leaves with its cluster, and its node is removed after that.
        let Some(claim) = self.claimed(&claim_on(host)).await? else { return Ok(false) };
        let while_held = self.stop.part();
        let removed = async {
            let going = self.fleet.record_node_going(&claim, host, name).await?;
            if going == NodeGoing::NotAMember {
                return Ok(true);
            }
            let removed = in_time(node.remove()).await;
            if going == NodeGoing::Waits && removed.as_ref().is_err_and(NotDone::is_refused) {
                self.fleet.record_node_stayed(&claim, host, name).await?;
            }
            removed.map(|()| true)
        };
        reconciler::holding(claim.clone(), &self.claims, &self.clock, &while_held, removed).await
    }

    /// A claim, if it is to be had in time.
    async fn claimed(&self, name: &str) -> Result<Option<Claim>, store::Error> {
        // Of its own for each who asks: two of them in this process are not to have it both.
        let holder = base::hex::encode(&self.entropy.bytes::<8>());
        let mut waited = Duration::ZERO;
        loop {
            let claim = self.claims.take(name, &holder, self.clock.now(), LEASE).await?;
            if claim.is_some() || waited >= CLAIMED_WITHIN {
                return Ok(claim);
            }
            tokio::time::sleep(LOOKED_AT).await;
            waited += LOOKED_AT;
        }
    }
}

/// Whether the node is there. Who does not let us look may let us register all the same.
async fn is_there(node: &Node) -> Result<bool, NodesError> {
    match node.object().await {
        Ok(object) => Ok(object.is_some()),
        Err(error) if error.is_refusal() => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use store::CommitError;

    use super::*;

    /// Whoever reads that a container manager is away when it is our store that is full looks in the wrong place.
    #[test]
    fn what_is_our_fault_is_not_blamed_on_a_container_manager() {
        let (host, cluster) = ("10.0.0.1".parse().unwrap(), "web".parse().unwrap());
        let full = || MembersError::Store(CommitError::Store(store::Error::Full));
        let at_commit = || RolloutError::Store(CommitError::Store(store::Error::Full));
        for failed in
            [NotDone::from(full()), NotDone::from(NodesError::Leaving(at_commit())), at_commit().into()]
        {
            let error = failed.not_taken(&host, &cluster);
            assert!(matches!(error, JoinError::Ours(_)) && error.kind() == Kind::Full, "{error:?}");
        }
        let lost = || RolloutError::ClaimLost { claim: "host/10.0.0.1".into() };
        let lost = NotDone::from(lost()).not_deleted(&cluster);
        assert!(matches!(lost, DeletionError::NotNow(_)) && lost.help().is_some(), "{lost:?}");
        let away = NotDone::from(NodesError::NoSuchManager { manager: "k8s".into() }).not_deleted(&cluster);
        assert!(matches!(away, DeletionError::Manager(_)), "{away:?}");
    }
}
