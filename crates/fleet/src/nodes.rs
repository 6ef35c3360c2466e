//! Which hosts container managers are to take, and which they are to forget: those that have to be asked, which is
//! for whoever may wait for them.
//!
//! ```text
//! a host joins           it is `disassociated`, and found by that among its cluster's hosts   ──► asked to take it
//! a host goes            /fleet/node-leaving/MANAGER/ADDRESS, in the same commit              ──► asked to forget it
//! a host is to join      the same, before it is asked to take it; gone with the commit that    ──► both
//!                        lets it join, and left behind by whoever dies before that
//! its cluster gets       /fleet/manager-change/CLUSTER, in the same commit; each of its       ──► both
//! another one            hosts then follows, under the claim on it
//! ```
//! So whoever dies in between leaves nothing undone (commissaire contract, sections 6.2 and 6.3). What came of asking is
//! fenced by the claim on the host.

use store::{Claim, Page, Version};

use crate::address::HostAddress;
use crate::care::Beside;
use crate::cluster::ClusterError;
use crate::draft::{Draft, Line};
use crate::error::{MembersError, RolloutError};
use crate::host::HostStatus;
use crate::manager::Manager;
use crate::name::{ClusterName, ContainerManagerName};
use crate::record::{ClusterRecord, MarkRecord};
use crate::service::{Expected, Fleet, ids};

/// Why a host whose node is gone waits for another one.
const NODE_REMOVED: &str = "its node was removed, since its cluster was to be deleted";

/// What is claimed by whoever empties a cluster that is to be deleted: nobody gives its hosts back to its container
/// manager meanwhile.
#[must_use]
pub fn claim_on_deletion(cluster: &ClusterName) -> String {
    format!("cluster-deletion/{cluster}")
}

/// A container manager that is to forget a host, unless that belongs to one of its clusters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeLeaving {
    /// Whom to ask.
    pub manager: ContainerManagerName,
    /// The host.
    pub address: HostAddress,
}

/// A container manager that is to take a host before that joins one of its clusters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeJoining {
    /// Whom to ask about which host; and to forget it, unless it joins.
    pub node: NodeLeaving,
    /// How the container manager was defined: with another definition it may be another one.
    pub(crate) defined: Version,
}

/// That a host was about to become a node, as it was put on record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Noted(Version);

/// What a member of a cluster is, whose node is to be removed there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeGoing {
    /// It is no member any more, or there is no such host: its node is not this cluster's to remove.
    NotAMember,
    /// It was active, or was to be as soon as it answers; now it waits for another node.
    Waits,
    /// It had no node that anybody knew of, and is as it was.
    AsBefore,
}

/// A cluster that has another container manager than before, where its hosts have not all followed yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManagerChange {
    /// The cluster.
    pub cluster: ClusterName,
    /// The names of the container managers that it had; one of them is empty where it had none.
    from: Vec<String>,
    version: Version,
}

impl NodeLeaving {
    /// Where that is on record.
    pub(crate) fn id(&self) -> String {
        id(self.manager.as_str(), self.address.as_str())
    }
}

impl Fleet {
    /// The clusters whose container manager has to be asked before a host is active there.
    ///
    /// # Errors
    /// The store's.
    pub async fn clusters_with_nodes(
        &self,
    ) -> Result<Vec<(ClusterName, ContainerManagerName)>, RolloutError> {
        let mut clusters = Vec::new();
        let mut next = Some(Page::full());
        while let Some(page) = next {
            let found = self.list(&self.tables.cluster, page).await?;
            for (_, loaded) in found.entries {
                let name = &loaded.record.container_manager;
                if name.is_empty() || self.manager(name).await? != Manager::Remote {
                    continue;
                }
                let cluster = self.readable(self.cluster_from(&loaded.record))?;
                clusters.extend(cluster.and_then(|cluster| Some((cluster.name, name.parse().ok()?))));
            }
            next = found.next;
        }
        Ok(clusters)
    }

    /// Whom to ask before a host joins a cluster, if anybody has to be asked. That it may join is seen to, and will be
    /// again when it does.
    ///
    /// # Errors
    /// See [`MembersError`].
    pub async fn node_before_joining(
        &self,
        name: &ClusterName,
        address: &HostAddress,
    ) -> Result<Option<NodeJoining>, MembersError> {
        let address = self.known(address).await?;
        let Some(manager) = self.manager_that_takes(name, &address).await? else { return Ok(None) };
        let defined = self.manager_defined_at(&manager).await?;
        Ok(defined.map(|defined| NodeJoining { node: NodeLeaving { manager, address }, defined }))
    }

    /// At which version a container manager is defined, if it is.
    pub(crate) async fn manager_defined_at(
        &self,
        manager: &ContainerManagerName,
    ) -> Result<Option<Version>, store::Error> {
        Ok(self.container_managers.table.get(manager.as_str()).await?.map(|found| found.version))
    }

    /// The container manager that has to be asked before a cluster is deleted, if there is one.
    ///
    /// # Errors
    /// As for [`Self::delete_cluster`].
    pub async fn manager_before_deletion(
        &self,
        name: &ClusterName,
        expected: Expected,
    ) -> Result<Option<ContainerManagerName>, ClusterError> {
        self.settle_deletion(name, &mut Line::default()).await?;
        let found = self.tables.cluster.get(name.as_str()).await?;
        let found = found.ok_or_else(|| ClusterError::NoSuchCluster { cluster: name.clone() })?;
        if !expected.holds(Some(found.version)) {
            return Err(ClusterError::Changed { cluster: name.clone() });
        }
        Ok(self.remote_manager(&found.record).await?)
    }

    /// The container manager of a cluster, where it has to be asked.
    pub(crate) async fn remote_manager(
        &self,
        cluster: &ClusterRecord,
    ) -> Result<Option<ContainerManagerName>, store::Error> {
        match self.manager(&cluster.container_manager).await? {
            Manager::Remote => Ok(cluster.container_manager.parse().ok()),
            Manager::None | Manager::Trivial | Manager::Missing => Ok(None),
        }
    }

    /// The container managers that are still to forget a host which has left a cluster: the cluster's, and those that
    /// it followed from. One that is not defined any more is nobody.
    ///
    /// # Errors
    /// The store's.
    pub async fn nodes_still_leaving(&self, address: &HostAddress) -> Result<Vec<NodeLeaving>, MembersError> {
        let address = self.known(address).await?;
        let mut leaving = Vec::new();
        for name in ids(&self.container_managers.table).await? {
            let Ok(manager) = name.parse() else { continue };
            let node = NodeLeaving { manager, address: address.clone() };
            if self.tables.node_leaving.get(&node.id()).await?.is_some() {
                leaving.push(node);
            }
        }
        Ok(leaving)
    }

    /// A host is about to become a node: unless it joins, its container manager is to forget it. What is to be given
    /// to [`Self::withdraw_node`] if no node came of it; `None` where it is to be forgotten anyway, since it was noted
    /// before.
    ///
    /// # Errors
    /// [`RolloutError::ClaimLost`], or the store's.
    pub async fn note_node(&self, claim: &Claim, node: &NodeLeaving) -> Result<Option<Noted>, RolloutError> {
        let (table, id) = (&self.tables.node_leaving, node.id());
        let mut line = Line::default();
        loop {
            let is_there = table.get(&id).await?.is_some();
            if !is_there {
                let mut draft = Draft::default();
                claim.expect(&mut draft.batch);
                table.create(&mut draft.batch, &id, &MarkRecord)?;
                if let Some(version) = self.commit(draft, &mut line).await? {
                    return Ok(Some(Noted(version)));
                }
            }
            if !claim.is_held(self.ground.engine.as_ref()).await? {
                return Err(RolloutError::ClaimLost { claim: claim.name.clone() });
            }
            if is_there {
                return Ok(None);
            }
        }
    }

    /// No node came of what was noted, or it is somebody else's: it need not be forgotten. Whoever has noted it anew
    /// since has their reasons.
    ///
    /// # Errors
    /// [`RolloutError::ClaimLost`], or the store's.
    pub async fn withdraw_node(
        &self,
        claim: &Claim,
        node: &NodeLeaving,
        noted: Noted,
    ) -> Result<(), RolloutError> {
        let (table, id) = (&self.tables.node_leaving, node.id());
        let mut line = Line::default();
        while table.get(&id).await?.is_some_and(|found| found.version == noted.0) {
            let mut draft = Draft::default();
            claim.expect(&mut draft.batch);
            table.remove(&mut draft.batch, &id, noted.0)?;
            if self.commit(draft, &mut line).await?.is_some() {
                break;
            }
            if !claim.is_held(self.ground.engine.as_ref()).await? {
                return Err(RolloutError::ClaimLost { claim: claim.name.clone() });
            }
        }
        Ok(())
    }

    /// A member of a cluster is about to lose its node there: it waits for another one, if its cluster stays.
    ///
    /// # Errors
    /// [`RolloutError::ClaimLost`], or the store's.
    pub async fn record_node_going(
        &self,
        claim: &Claim,
        address: &HostAddress,
        cluster: &ClusterName,
    ) -> Result<NodeGoing, RolloutError> {
        let (active, waits) = (HostStatus::Active.as_str(), HostStatus::Disassociated.as_str());
        let going = self.host_changed(claim, address, Beside::Nothing, |host, care| {
            if host.cluster.as_deref() != Some(cluster.as_str()) {
                return NodeGoing::NotAMember;
            }
            let mut going = NodeGoing::AsBefore;
            if host.status == active {
                waits.clone_into(&mut host.status);
                host.reason = Some(NODE_REMOVED.to_owned());
                going = NodeGoing::Waits;
            }
            if let Some(before) = care.status_before.as_mut().filter(|before| *before == active) {
                waits.clone_into(before);
                going = NodeGoing::Waits;
            }
            going
        });
        Ok(going.await?.unwrap_or(NodeGoing::NotAMember))
    }

    /// The node of a member was not removed after all. Only of a host that waits for another one because of
    /// [`Self::record_node_going`]: one that has waited before has none.
    ///
    /// # Errors
    /// [`RolloutError::ClaimLost`], or the store's.
    pub async fn record_node_stayed(
        &self,
        claim: &Claim,
        address: &HostAddress,
        cluster: &ClusterName,
    ) -> Result<(), RolloutError> {
        let (active, waits) = (HostStatus::Active.as_str(), HostStatus::Disassociated.as_str());
        let stayed = self.change_host(claim, address, Beside::Nothing, |host, care| {
            if host.cluster.as_deref() != Some(cluster.as_str()) {
                return;
            }
            if host.status == waits && host.reason.as_deref() == Some(NODE_REMOVED) {
                active.clone_into(&mut host.status);
                host.reason = None;
            }
            if let Some(before) = care.status_before.as_mut().filter(|before| *before == waits) {
                active.clone_into(before);
            }
        });
        stayed.await.map(drop)
    }

    /// The hosts that container managers are to forget.
    ///
    /// # Errors
    /// The store's.
    pub async fn nodes_leaving(&self) -> Result<Vec<NodeLeaving>, RolloutError> {
        let mut leaving = Vec::new();
        let mut next = Some(Page::full());
        while let Some(page) = next {
            let found = self.list(&self.tables.node_leaving, page).await?;
            leaving.extend(found.entries.iter().filter_map(|(id, _)| {
                let (manager, address) = id.split_once('/')?;
                Some(NodeLeaving {
                    manager: manager.parse().ok()?,
                    address: HostAddress::stored(address).ok()?,
                })
            }));
            next = found.next;
        }
        Ok(leaving)
    }

    /// Whether the host that was to be forgotten has come back to a cluster of that container manager.
    ///
    /// # Errors
    /// The store's.
    pub async fn has_come_back(&self, node: &NodeLeaving) -> Result<bool, RolloutError> {
        let host = self.readable(self.tables.host.get(node.address.as_str()).await)?.flatten();
        let Some(cluster) = host.and_then(|host| host.record.cluster) else { return Ok(false) };
        let cluster = self.readable(self.tables.cluster.get(&cluster).await)?.flatten();
        Ok(cluster.is_some_and(|cluster| cluster.record.container_manager == node.manager.as_str()))
    }

    /// A host was forgotten, or need not be.
    ///
    /// # Errors
    /// [`RolloutError::ClaimLost`], or the store's.
    pub async fn record_node_left(&self, claim: &Claim, node: &NodeLeaving) -> Result<(), RolloutError> {
        let mut draft = Draft::default();
        claim.expect(&mut draft.batch);
        self.tables.node_leaving.delete(&mut draft.batch, &node.id())?;
        match self.commit(draft, &mut Line::default()).await? {
            Some(_) => Ok(()),
            None => Err(RolloutError::ClaimLost { claim: claim.name.clone() }),
        }
    }

    /// The clusters whose hosts are to follow to another container manager.
    ///
    /// # Errors
    /// The store's.
    pub async fn manager_changes(&self) -> Result<Vec<ManagerChange>, RolloutError> {
        let mut changes = Vec::new();
        let mut next = Some(Page::full());
        while let Some(page) = next {
            let found = self.list(&self.tables.manager_change, page).await?;
            changes.extend(found.entries.into_iter().filter_map(|(name, loaded)| {
                let from = loaded.record.from.into_iter().collect();
                Some(ManagerChange { cluster: name.parse().ok()?, from, version: loaded.version })
            }));
            next = found.next;
        }
        Ok(changes)
    }

    /// A host follows its cluster to another container manager: those that had it are to forget it, and with its cluster's
    /// it is as one that has just joined. `false` when there is no such host any more.
    ///
    /// # Errors
    /// [`RolloutError::ClaimLost`], or the store's.
    pub async fn follow_manager(
        &self,
        claim: &Claim,
        address: &HostAddress,
        change: &ManagerChange,
    ) -> Result<bool, RolloutError> {
        let Some(cluster) = self.tables.cluster.get(change.cluster.as_str()).await? else { return Ok(true) };
        let manager = &cluster.record.container_manager;
        let joined = self.manager(manager).await?.status_after_joining();
        let joined = joined.unwrap_or(HostStatus::Disassociated);
        let joined = joined.as_str();
        let left: Vec<String> = change.from.iter().filter(|from| *from != manager).cloned().collect();
        let is_ready = |status: &str| HostStatus::from(status).may_join();
        self.change_host(claim, address, Beside::Leaves(&left), |host, care| {
            if host.cluster.as_deref() != Some(change.cluster.as_str()) {
                return;
            }
            if is_ready(&host.status) {
                joined.clone_into(&mut host.status);
                host.reason = None;
            }
            // Of one that is silent: what it is to be when it answers.
            if let Some(before) = care.status_before.as_mut().filter(|before| is_ready(before)) {
                joined.clone_into(before);
            }
        })
        .await
    }

    /// All hosts of a cluster have followed to its container manager, unless that has changed again meanwhile.
    ///
    /// # Errors
    /// The store's.
    pub async fn record_followed(&self, change: &ManagerChange) -> Result<(), RolloutError> {
        let mut draft = Draft::default();
        self.tables.manager_change.remove(&mut draft.batch, change.cluster.as_str(), change.version)?;
        self.commit(draft, &mut Line::default()).await?;
        Ok(())
    }

    /// A cluster gets another container manager than it had `before`.
    pub(crate) async fn stage_manager_change(
        &self,
        draft: &mut Draft,
        before: &ClusterRecord,
    ) -> Result<(), store::Error> {
        let table = &self.tables.manager_change;
        let found = table.get(&before.name).await?;
        let version = found.as_ref().map(|found| found.version);
        let mut record = found.map(|found| found.record).unwrap_or_default();
        record.from.insert(before.container_manager.clone());
        table.put_over(&mut draft.batch, &before.name, &record, version)
    }

    /// Hosts go from a cluster, whose container manager is to forget them; and those that it had before, where they have
    /// not followed to this one yet.
    pub(crate) async fn stage_leaving(
        &self,
        draft: &mut Draft,
        cluster: &ClusterRecord,
        addresses: &[String],
    ) -> Result<(), store::Error> {
        if addresses.is_empty() {
            return Ok(());
        }
        // After the cluster was read: one that has changed since was noted together with its former manager.
        let change = self.tables.manager_change.get(&cluster.name).await?;
        let mut managers = change.map(|change| change.record.from).unwrap_or_default();
        managers.insert(cluster.container_manager.clone());
        for manager in &managers {
            self.stage_nodes_leaving(draft, manager, addresses).await?;
        }
        Ok(())
    }

    /// Hosts go from this container manager, which is to forget them.
    pub(crate) async fn stage_nodes_leaving(
        &self,
        draft: &mut Draft,
        manager: &str,
        addresses: &[String],
    ) -> Result<(), store::Error> {
        if addresses.is_empty() || self.manager(manager).await? != Manager::Remote {
            return Ok(());
        }
        for address in addresses {
            self.tables.node_leaving.put(&mut draft.batch, &id(manager, address), &MarkRecord)?;
        }
        Ok(())
    }
}

fn id(manager: &str, address: &str) -> String {
    format!("{manager}/{address}")
}
