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
    LeaveCluster, MembersError, NodeLeaving, Put, claim_on, claim_on_deletion,
};
use futures_util::future::join_all;
use identity::Permit;
use store::Claim;

use crate::hands::{Node, NodesError, told};
use crate::house::House;
use crate::reconciler::{self, LEASE};

/// How long whoever waits for an answer waits for a container manager.
const ASKED_WITHIN: Duration = Duration::from_secs(6);
/// How long they wait for whoever is at work on the host, or on the cluster.
const CLAIMED_WITHIN: Duration = Duration::from_secs(2);
/// How often it is looked at whether they are done.
const LOOKED_AT: Duration = Duration::from_millis(50);
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

/// Why a host did not join a cluster.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// It may not, or our store failed.
    #[error(transparent)]
    Members(#[from] MembersError),
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

impl Explain for ManagerError {
    fn kind(&self) -> Kind {
        Kind::Unavailable
    }
}

impl Explain for JoinError {
    fn kind(&self) -> Kind {
        match self {
            Self::Members(error) => error.kind(),
            Self::Manager(error) => error.kind(),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Members(error) => error.help(),
            Self::Manager(error) => error.help(),
        }
    }
}

impl Explain for DeletionError {
    fn kind(&self) -> Kind {
        match self {
            Self::Cluster(error) => error.kind(),
            Self::Manager(error) => error.kind(),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Cluster(error) => error.help(),
            Self::Manager(_) => Some(
                "set it right, or have the cluster deleted all the same: then the nodes are removed as soon as \
                 somebody answers"
                    .into(),
            ),
        }
    }
}

impl ManagerError {
    fn new(what: String, reason: String) -> Self {
        tracing::warn!(%what, %reason, "a container manager did not do as it was asked");
        Self { what, reason }
    }

    fn not_taken(host: &HostAddress, cluster: &ClusterName, reason: String) -> Self {
        Self::new(format!("the host {host} did not join the cluster `{cluster}`"), reason)
    }

    fn not_deleted(cluster: &ClusterName, reason: String) -> Self {
        Self::new(format!("the cluster `{cluster}` was not deleted"), reason)
    }

    fn still_there(host: &HostAddress, reason: String) -> Self {
        Self::new(format!("the node of the host {host} is still there, and will be removed later"), reason)
    }
}

/// What was asked for, if it is done in time; or why not, for a person.
async fn in_time<T>(asked: impl Future<Output = Result<T, NodesError>>) -> Result<T, NotDone> {
    match tokio::time::timeout(ASKED_WITHIN, asked).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(NotDone { is_refused: error.is_refusal(), reason: told(&error) }),
        Err(_) => Err(NotDone {
            is_refused: false,
            reason: format!("the container manager did not answer within {} s", ASKED_WITHIN.as_secs()),
        }),
    }
}

/// Why something was not done.
struct NotDone {
    /// It was refused: nothing can have come of it.
    is_refused: bool,
    reason: String,
}

impl From<String> for NotDone {
    fn from(reason: String) -> Self {
        Self { is_refused: false, reason }
    }
}

fn busy(host: &HostAddress) -> String {
    format!("somebody is at work on the host {host}; try again")
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
            let Some(node) = self.fleet.node_before_joining(name, address).await? else {
                return Ok(self.fleet.join_host(permit, name, address).await?);
            };
            let claim = self.claimed(&claim_on(&node.address)).await.map_err(MembersError::from)?;
            let Some(claim) = claim else {
                let reason = busy(&node.address);
                return Err(JoinError::Manager(ManagerError::not_taken(address, name, reason)));
            };
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
        let Some(node) = self.fleet.node_before_joining(name, address).await? else { return Ok(None) };
        self.register(claim, &node)
            .await
            .map_err(|failed| JoinError::Manager(ManagerError::not_taken(address, name, failed.reason)))?;
        Ok(self.fleet.join_taken_host(permit, name, &node, claim).await?)
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
        self.fleet.note_node(claim, node).await.map_err(|error| told(&error))?;
        let registered = in_time(found.register()).await;
        if matches!(&registered, Err(failed) if failed.is_refused)
            && let Err(error) = self.fleet.record_node_left(claim, node).await
        {
            tracing::warn!(error = %base::report(&error), "a node that is not there will be removed in vain");
        }
        registered
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
        let forgotten = if was_member { self.forget(name, address).await } else { Ok(()) };
        let still_there = forgotten.err().map(|reason| ManagerError::still_there(address, reason));
        Ok(Left { was_member, still_there })
    }

    /// Has the container manager of a cluster forget a host that has left it, unless somebody else has done it.
    async fn forget(&self, name: &ClusterName, address: &HostAddress) -> Result<(), String> {
        let leaving =
            async || self.fleet.node_still_leaving(name, address).await.map_err(|error| told(&error));
        let Some(node) = leaving().await? else { return Ok(()) };
        let claim = self.claimed(&claim_on(&node.address)).await.map_err(|error| base::report(&error))?;
        let Some(claim) = claim else {
            // Perhaps just whoever removes it.
            return leaving().await?.map_or(Ok(()), |node| Err(busy(&node.address)));
        };
        let while_held = self.stop.part();
        let forgotten = async {
            // Somebody else may have, before the claim was ours.
            let Some(node) = leaving().await? else { return Ok(()) };
            in_time(self.nodes.forget(&node)).await.map_err(|failed| failed.reason)?;
            self.fleet.record_node_left(&claim, &node).await.map_err(|error| told(&error))
        };
        reconciler::holding(claim.clone(), &self.claims, &self.clock, &while_held, forgotten).await
    }

    /// Deletes a cluster, once its container manager has removed its nodes; where nobody is to wait for that, at once,
    /// and the nodes are removed as soon as somebody answers.
    ///
    /// # Errors
    /// See [`DeletionError`]; the cluster has its hosts then. Those whose nodes were removed get them back.
    pub async fn delete_cluster(
        &self,
        permit: Permit<DeleteCluster>,
        name: &ClusterName,
        expected: Expected,
        is_forced: bool,
    ) -> Result<(), DeletionError> {
        if is_forced || self.fleet.manager_before_deletion(name, expected).await?.is_none() {
            return Ok(self.fleet.delete_cluster(permit, name, expected).await?);
        }
        let failed = |reason| DeletionError::Manager(ManagerError::not_deleted(name, reason));
        let claim = self.claimed(&claim_on_deletion(name)).await.map_err(ClusterError::from)?;
        let claim = claim.ok_or_else(|| failed("somebody else is deleting it".into()))?;
        let while_held = self.stop.part();
        let deleted = async {
            // Somebody else may have deleted it, or changed it, before the claim was ours.
            if let Some(manager) = self.fleet.manager_before_deletion(name, expected).await? {
                let members = self.fleet.members(Permit::house(), name).await;
                let members = members.map_err(|error| failed(told(&error)))?;
                self.remove_nodes(name, &manager, &members).await.map_err(failed)?;
            }
            Ok(self.fleet.delete_cluster(permit, name, expected).await?)
        };
        reconciler::holding(claim.clone(), &self.claims, &self.clock, &while_held, deleted).await
    }

    /// Has the nodes of these hosts of a cluster removed; where the first cannot even be looked at, none.
    async fn remove_nodes(
        &self,
        name: &ClusterName,
        manager: &ContainerManagerName,
        members: &[HostAddress],
    ) -> Result<(), String> {
        let mut answers = false;
        for some in members.chunks(AT_ONCE) {
            let mut nodes = Vec::new();
            for host in some {
                match self.nodes.node_at(manager, host).await {
                    Ok(Some(node)) => nodes.push((host, node)),
                    // There is nobody to ask, or what no node can be called; the latter was never one.
                    Ok(None) | Err(NodesError::NoSuchManager { .. } | NodesError::Name { .. }) => {}
                    Err(error) => return Err(told(&error)),
                }
            }
            if !answers && let Some((_, first)) = nodes.first() {
                in_time(is_there(first)).await.map_err(|failed| failed.reason)?;
                answers = true;
            }
            let removed = nodes.iter().map(|(host, node)| self.remove_node(name, host, node));
            join_all(removed).await.into_iter().collect::<Result<Vec<()>, _>>()?;
        }
        Ok(())
    }

    /// Has the node of a member removed. On record that is before: if the cluster stays, it is registered again.
    async fn remove_node(&self, name: &ClusterName, host: &HostAddress, node: &Node) -> Result<(), String> {
        let claim = self.claimed(&claim_on(host)).await.map_err(|error| base::report(&error))?;
        // Who is at work on it goes on for long; it leaves with its cluster, and its node is removed after that.
        let Some(claim) = claim else { return Ok(()) };
        let while_held = self.stop.part();
        let removed = async {
            self.fleet.record_node_going(&claim, host, name).await.map_err(|error| told(&error))?;
            let removed = in_time(node.remove()).await;
            if matches!(&removed, Err(failed) if failed.is_refused) {
                self.fleet.record_registered(&claim, host, name).await.map_err(|error| told(&error))?;
            }
            removed.map_err(|failed| failed.reason)
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
