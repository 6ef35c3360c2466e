//! Which hosts a cluster has.
//!
//! A host says itself which cluster it belongs to, so it cannot belong to two. Whoever lets it join expects it to be
//! as it was when that was decided, and the cluster too; of two who do so at once the slower one finds it taken.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use identity::{Permit, Principal};
use store::{Claim, Loaded, Page, Table};

use crate::address::HostAddress;
use crate::cluster::{ClusterView, Roster};
use crate::draft::{Draft, Line};
use crate::error::MembersError;
use crate::event::Happened;
use crate::host::{Host, HostStatus};
use crate::index::{self, FoundBy};
use crate::manager::Manager;
use crate::name::{ClusterName, ContainerManagerName};
use crate::nodes::NodeJoining;
use crate::record::{ClusterRecord, HostRecord, MarkRecord};
use crate::service::{
    Fleet, JoinCluster, LeaveCluster, Put, ReadClusters, ReplaceMembers, Tables, ids, unreadable,
};

/// How many hosts change in one commit, whose operations are at most a hundred. One that joins takes up to five: the
/// host, its status in the index twice, its place in the cluster, and the count of its part. Without the count it would
/// be 24 hosts, which is no other number to those who look on.
pub(crate) const HOSTS_AT_ONCE: usize = 18;

/// A host that comes or goes.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Move {
    Join(String),
    Leave(String),
}

/// What is to be done about hosts that cannot join.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rules {
    /// Refuse all.
    Strict,
    /// Refuse all; the container manager has those that are to join.
    Taken,
    /// Leave them out.
    Lenient,
}

/// A change of a cluster's hosts that is under way.
struct Begun {
    /// The cluster.
    cluster: Loaded<ClusterRecord>,
    /// The hosts it is to have.
    hosts: BTreeSet<String>,
    /// What is still to be done.
    rest: Vec<Move>,
}

impl Move {
    fn address(&self) -> &str {
        match self {
            Self::Join(address) | Self::Leave(address) => address,
        }
    }
}

impl Tables {
    /// The hosts of a cluster.
    pub(crate) fn member(&self, cluster: &str) -> Result<Table<MarkRecord>, store::Error> {
        let prefix = format!("{}{}", index::PREFIX, FoundBy::Cluster(cluster).prefix());
        Table::new(self.index.engine().clone(), &prefix)
    }
}

impl Fleet {
    /// The hosts of a cluster, in the order of their addresses, numbers by their value.
    ///
    /// # Errors
    /// [`MembersError::NoSuchCluster`] only when there is none.
    pub async fn members(
        &self,
        _permit: Permit<ReadClusters>,
        name: &ClusterName,
    ) -> Result<Vec<HostAddress>, MembersError> {
        self.loaded_cluster(name).await?;
        Ok(self.hosts_of(name.as_str()).await?)
    }

    /// Whether a host belongs to a cluster: if it does not, that is an error.
    ///
    /// # Errors
    /// [`MembersError::NotAMember`]; [`MembersError::NoSuchCluster`] only when there is none.
    pub async fn check_membership(
        &self,
        _permit: Permit<ReadClusters>,
        name: &ClusterName,
        address: &HostAddress,
    ) -> Result<(), MembersError> {
        self.loaded_cluster(name).await?;
        let known = self.known(address).await?;
        match self.tables.member(name.as_str())?.get(known.as_str()).await? {
            Some(_) => Ok(()),
            None => Err(MembersError::NotAMember { cluster: name.clone(), address: address.clone() }),
        }
    }

    /// Lets a host join a cluster; `false` when it belonged to it already, whatever its status.
    ///
    /// # Errors
    /// See [`MembersError`].
    pub async fn join(
        &self,
        permit: Permit<JoinCluster>,
        name: &ClusterName,
        address: &HostAddress,
    ) -> Result<bool, MembersError> {
        let moves = [Move::Join(self.known(address).await?.to_string())];
        self.commit_moves(name, &moves, permit.by()).await
    }

    /// As [`Self::join`], and gives the host as it is then; new is its place in the cluster.
    ///
    /// # Errors
    /// See [`MembersError`].
    pub async fn join_host(
        &self,
        permit: Permit<JoinCluster>,
        name: &ClusterName,
        address: &HostAddress,
    ) -> Result<Put<Host>, MembersError> {
        let address = self.known(address).await?;
        let moves = [Move::Join(address.to_string())];
        let mut line = Line::default();
        loop {
            let cluster = self.loaded_cluster(name).await?;
            let mut draft = Draft::default();
            let moved =
                self.stage_moves(&mut draft, name, &cluster, &moves, Rules::Strict, permit.by()).await?;
            let Some(record) = moved.and_then(|mut moved| moved.pop()) else {
                return self.found_host(address).await;
            };
            if let Some(version) = self.commit(draft, &mut line).await? {
                return Ok(Put { is: self.host_from(address, record)?, version, is_new: true });
            }
        }
    }

    /// As [`Self::join_host`], of a host that the cluster's container manager has taken under the claim on it: it is
    /// active at once. `None` when the cluster has another container manager by now, or that another definition, or
    /// somebody else the claim: then nothing was changed, and it has to be looked at anew.
    ///
    /// # Errors
    /// See [`MembersError`].
    pub async fn join_taken_host(
        &self,
        permit: &Permit<JoinCluster>,
        name: &ClusterName,
        NodeJoining { node, defined }: &NodeJoining,
        claim: &Claim,
    ) -> Result<Option<Put<Host>>, MembersError> {
        let moves = [Move::Join(node.address.to_string())];
        let mut line = Line::default();
        loop {
            let cluster = self.loaded_cluster(name).await?;
            if cluster.record.container_manager != node.manager.as_str()
                || self.manager_defined_at(&node.manager).await? != Some(*defined)
            {
                return Ok(None);
            }
            let mut draft = Draft::default();
            let moved =
                self.stage_moves(&mut draft, name, &cluster, &moves, Rules::Taken, permit.by()).await?;
            let address = node.address.clone();
            let Some(record) = moved.and_then(|mut moved| moved.pop()) else {
                return self.found_host(address).await.map(Some);
            };
            claim.expect(&mut draft.batch);
            self.container_managers.table.expect_at(&mut draft.batch, node.manager.as_str(), *defined)?;
            self.tables.node_leaving.delete(&mut draft.batch, &node.id())?;
            if let Some(version) = self.commit(draft, &mut line).await? {
                return Ok(Some(Put { is: self.host_from(address, record)?, version, is_new: true }));
            }
            if !claim.is_held(self.ground.engine.as_ref()).await? {
                return Ok(None);
            }
        }
    }

    /// A host that has its place already.
    async fn found_host(&self, address: HostAddress) -> Result<Put<Host>, MembersError> {
        let found = self.tables.host.get(address.as_str()).await?;
        let found = found.ok_or_else(|| MembersError::NoSuchHost { address: address.to_string() })?;
        let version = found.version;
        Ok(Put { is: self.host_from(address, found.record)?, version, is_new: false })
    }

    /// The container manager that has to be asked before a host joins a cluster; `None` where there is none, or the host
    /// belongs to the cluster already.
    pub(crate) async fn manager_that_takes(
        &self,
        name: &ClusterName,
        address: &HostAddress,
    ) -> Result<Option<ContainerManagerName>, MembersError> {
        let cluster = self.loaded_cluster(name).await?;
        let host = self.tables.host.get(address.as_str()).await?;
        let host = host.ok_or_else(|| MembersError::NoSuchHost { address: address.to_string() })?;
        let manager = self.manager(&cluster.record.container_manager).await?;
        match self.admit(name, &cluster, &host.record, manager)? {
            Some(_) if manager == Manager::Remote => Ok(self.remote_manager(&cluster.record).await?),
            _ => Ok(None),
        }
    }

    /// Lets a host leave a cluster; `false` when it did not belong to it, or does not exist.
    ///
    /// # Errors
    /// [`MembersError::NoSuchCluster`], or the store's.
    pub async fn leave(
        &self,
        permit: Permit<LeaveCluster>,
        name: &ClusterName,
        address: &HostAddress,
    ) -> Result<bool, MembersError> {
        let moves = [Move::Leave(self.known(address).await?.to_string())];
        self.commit_moves(name, &moves, permit.by()).await
    }

    /// Gives a cluster the hosts `new`, provided it has the hosts `old`, or whatever it has where nobody says which.
    /// Only those that it does not have yet are tested; when one of them cannot join, nothing is changed.
    ///
    /// Up to 18 hosts come and go at once. Of more, the others follow in groups, and whoever looks meanwhile sees some
    /// of them come and go before the others. All were tested before the first, and no refusal comes after it: what
    /// somebody else changes in between counts as changed right after all of this. A host that is deleted then, or
    /// joins another cluster, stays away; one that fails still joins.
    ///
    /// # Errors
    /// See [`MembersError`]. Nothing was changed, but for [`MembersError::Store`]: then some groups may have come and
    /// gone already, and it can be asked for again with the hosts that there are.
    pub async fn replace_members(
        &self,
        permit: Permit<ReplaceMembers>,
        name: &ClusterName,
        old: Option<&BTreeSet<String>>,
        new: &BTreeSet<String>,
    ) -> Result<Roster, MembersError> {
        let Begun { mut cluster, hosts, rest } = self.replace_first(name, old, new, permit.by()).await?;
        for group in rest.chunks(HOSTS_AT_ONCE) {
            match self.replace_more(name, group, permit.by()).await? {
                Some(found) => cluster = found,
                // It was deleted: nobody belongs to it any more.
                None => break,
            }
        }
        self.after_replacing(&cluster, &hosts).await
    }

    /// Compares, tests all, and commits the first group of moves.
    async fn replace_first(
        &self,
        name: &ClusterName,
        old: Option<&BTreeSet<String>>,
        new: &BTreeSet<String>,
        by: &Principal,
    ) -> Result<Begun, MembersError> {
        let mut line = Line::default();
        loop {
            let cluster = self.loaded_cluster(name).await?;
            // Counts before hosts: if they are still the same at the commit, so are the hosts.
            let counts = self.tally_parts(name.as_str())?.list(Page::full()).await?.entries;
            let before: BTreeSet<String> =
                ids(&self.tables.member(name.as_str())?).await?.into_iter().collect();
            if let Some(old) = old
                && before != self.named(old, &before).await?
            {
                return Err(MembersError::NotAsExpected { cluster: name.clone() });
            }
            let hosts = self.named(new, &before).await?;
            let mut moves = moves(&before, &hosts);
            if moves.is_empty() {
                return Ok(Begun { cluster, hosts, rest: moves });
            }
            self.test(name, &cluster, &moves).await?;
            let rest = moves.split_off(moves.len().min(HOSTS_AT_ONCE));
            let mut draft = Draft::default();
            if self.stage_moves(&mut draft, name, &cluster, &moves, Rules::Strict, by).await?.is_none() {
                // Somebody else did it in this very moment.
                if old.is_some() {
                    return Err(MembersError::NotAsExpected { cluster: name.clone() });
                }
                let key = self.tables.cluster.key(name.as_str())?;
                self.overtaken(&mut line, key).await?;
                continue;
            }
            self.expect_parts(&mut draft, name.as_str(), &counts)?;
            if self.commit(draft, &mut line).await?.is_some() {
                return Ok(Begun { cluster, hosts, rest });
            }
        }
    }

    /// Commits a group that follows the first; the cluster as it was found, if there still is one.
    async fn replace_more(
        &self,
        name: &ClusterName,
        moves: &[Move],
        by: &Principal,
    ) -> Result<Option<Loaded<ClusterRecord>>, MembersError> {
        let mut line = Line::default();
        loop {
            let Some(cluster) = self.tables.cluster.get(name.as_str()).await? else { return Ok(None) };
            let mut draft = Draft::default();
            if self.stage_moves(&mut draft, name, &cluster, moves, Rules::Lenient, by).await?.is_none()
                || self.commit(draft, &mut line).await?.is_some()
            {
                return Ok(Some(cluster));
            }
        }
    }

    /// The addresses that hosts have in the store, of those that whoever asks has written: one of `members`, which is
    /// there as it is written, or else the one way to write it. What is no address stays what it is.
    async fn named(
        &self,
        written: &BTreeSet<String>,
        members: &BTreeSet<String>,
    ) -> Result<BTreeSet<String>, store::Error> {
        let mut named = BTreeSet::new();
        for text in written {
            named.insert(match text.parse::<HostAddress>() {
                Ok(address) if !members.contains(text) => self.known(&address).await?.to_string(),
                _ => text.clone(),
            });
        }
        Ok(named)
    }

    /// What is answered: the hosts as they were asked for, whoever has changed them since.
    async fn after_replacing(
        &self,
        cluster: &Loaded<ClusterRecord>,
        hosts: &BTreeSet<String>,
    ) -> Result<Roster, MembersError> {
        let mut hosts = hosts.iter().map(|text| self.address(text)).collect::<Result<Vec<_>, _>>()?;
        hosts.sort_unstable();
        let view = ClusterView {
            cluster: self.cluster_from(&cluster.record)?,
            version: cluster.version,
            tally: self.tally(&cluster.record.name).await?,
        };
        Ok(Roster { view, hosts })
    }

    /// Commits some moves; `false` when there was nothing to do.
    async fn commit_moves(
        &self,
        name: &ClusterName,
        moves: &[Move],
        by: &Principal,
    ) -> Result<bool, MembersError> {
        let mut line = Line::default();
        loop {
            let cluster = self.loaded_cluster(name).await?;
            let mut draft = Draft::default();
            if self.stage_moves(&mut draft, name, &cluster, moves, Rules::Strict, by).await?.is_none() {
                return Ok(false);
            }
            if self.commit(draft, &mut line).await?.is_some() {
                return Ok(true);
            }
        }
    }

    /// Decides about some moves, and writes what comes of them: the hosts that move, as they are then; `None` when
    /// nothing does. A host whose record cannot be read leaves without being told.
    async fn stage_moves(
        &self,
        draft: &mut Draft,
        name: &ClusterName,
        cluster: &Loaded<ClusterRecord>,
        moves: &[Move],
        rules: Rules,
        by: &Principal,
    ) -> Result<Option<Vec<HostRecord>>, MembersError> {
        let manager = self.manager(&cluster.record.container_manager).await?;
        let (mut joined, mut left, mut moved) = (Vec::new(), Vec::new(), Vec::new());
        for (step, host) in moves.iter().zip(self.load(moves).await) {
            if let (Move::Leave(address), Err(store::Error::Record { .. })) = (step, &host) {
                if self.stage_unreadable_leave(draft, name, address).await? {
                    left.push(address.clone());
                }
                continue;
            }
            let host = match rules {
                Rules::Strict | Rules::Taken => host?,
                Rules::Lenient => self.readable(host)?.flatten(),
            };
            let before = host.as_ref().map(|host| &host.record);
            let Some(after) = self.after(step, before, name, cluster, (manager, rules))? else { continue };
            match step {
                Move::Join(address) => joined.push(address.clone()),
                Move::Leave(address) => left.push(address.clone()),
            }
            self.stage_host(draft, host.as_ref(), Some(&after))?;
            moved.push(after);
        }
        if joined.is_empty() && left.is_empty() {
            return Ok(None);
        }
        self.stage_roster(draft, cluster, &joined, &left)?;
        self.stage_leaving(draft, &cluster.record, &left).await?;
        let happened = Happened::MembersChanged { cluster: name, joined: &joined, left: &left };
        self.record_event(draft, &happened, by)?;
        Ok(Some(moved))
    }

    /// A host after it has moved; `None` when it stays as it is.
    fn after(
        &self,
        step: &Move,
        host: Option<&HostRecord>,
        name: &ClusterName,
        cluster: &Loaded<ClusterRecord>,
        (manager, rules): (Manager, Rules),
    ) -> Result<Option<HostRecord>, MembersError> {
        let Some(host) = host else {
            return match (step, rules) {
                (Move::Join(address), Rules::Strict | Rules::Taken) => {
                    Err(MembersError::NoSuchHost { address: address.clone() })
                }
                (Move::Join(_), Rules::Lenient) | (Move::Leave(_), _) => Ok(None),
            };
        };
        Ok(match step {
            Move::Join(_) => {
                let status = match rules {
                    Rules::Strict => self.admit(name, cluster, host, manager)?,
                    Rules::Taken => self.admit(name, cluster, host, Manager::Trivial)?,
                    Rules::Lenient => admit_late(host, manager),
                };
                status.map(|status| HostRecord {
                    cluster: Some(name.to_string()),
                    status: status.as_str().to_owned(),
                    ..host.clone()
                })
            }
            Move::Leave(_) => (host.cluster.as_deref() == Some(name.as_str())).then(|| without_cluster(host)),
        })
    }

    /// Whether all who are to join could do so now.
    async fn test(
        &self,
        name: &ClusterName,
        cluster: &Loaded<ClusterRecord>,
        moves: &[Move],
    ) -> Result<(), MembersError> {
        let manager = self.manager(&cluster.record.container_manager).await?;
        for some in moves.chunks(HOSTS_AT_ONCE) {
            for (step, host) in some.iter().zip(self.load(some).await) {
                if let Move::Join(address) = step {
                    let host = host?.ok_or_else(|| MembersError::NoSuchHost { address: address.clone() })?;
                    self.admit(name, cluster, &host.record, manager)?;
                }
            }
        }
        Ok(())
    }

    /// The status that a host gets by joining; `None` when it belongs to the cluster already.
    fn admit(
        &self,
        name: &ClusterName,
        cluster: &Loaded<ClusterRecord>,
        host: &HostRecord,
        manager: Manager,
    ) -> Result<Option<HostStatus>, MembersError> {
        match host.cluster.as_deref() {
            Some(own) if own == name.as_str() => return Ok(None),
            Some(other) => {
                let other =
                    other.parse().map_err(|error| unreadable(&self.tables.host, &host.address, error))?;
                return Err(MembersError::InAnotherCluster { address: self.address(&host.address)?, other });
            }
            None => {}
        }
        if !HostStatus::from(host.status.as_str()).may_join() {
            let (address, status) = (self.address(&host.address)?, host.status.clone());
            return Err(MembersError::Unsuitable { address, status });
        }
        manager.status_after_joining().map(Some).ok_or_else(|| MembersError::NoSuchContainerManager {
            cluster: name.clone(),
            manager: cluster.record.container_manager.clone(),
        })
    }

    /// The hosts that are to move; `None` for each that does not exist.
    async fn load(&self, moves: &[Move]) -> Vec<Result<Option<Loaded<HostRecord>>, store::Error>> {
        let get = async |step: &Move| match HostAddress::stored(step.address()) {
            Ok(address) => self.tables.host.get(address.as_str()).await,
            // What is no address is nobody's.
            Err(_) => Ok(None),
        };
        join_all(moves.iter().map(get)).await
    }

    async fn loaded_cluster(&self, name: &ClusterName) -> Result<Loaded<ClusterRecord>, MembersError> {
        let found = self.tables.cluster.get(name.as_str()).await?;
        found.ok_or_else(|| MembersError::NoSuchCluster { cluster: name.clone() })
    }

    /// The hosts of a cluster, in order.
    pub(crate) async fn hosts_of(&self, name: &str) -> Result<Vec<HostAddress>, store::Error> {
        let texts = ids(&self.tables.member(name)?).await?;
        let mut hosts = Vec::with_capacity(texts.len());
        for text in texts {
            hosts.extend(self.readable(self.address(&text))?);
        }
        hosts.sort_unstable();
        Ok(hosts)
    }
}

/// The status that a host gets by joining a cluster which has begun to change: it could join when that was decided.
/// `None` when somebody else has it by now, or has added it anew.
fn admit_late(host: &HostRecord, manager: Manager) -> Option<HostStatus> {
    match HostStatus::from(host.status.as_str()) {
        _ if host.cluster.is_some() => None,
        HostStatus::New => None,
        status if status.may_join() => manager.status_after_joining().or(Some(status)),
        status => Some(status),
    }
}

/// A host that belongs to no cluster any more. Why its container manager did not take it is no matter then.
pub(crate) fn without_cluster(host: &HostRecord) -> HostRecord {
    let is_waiting = host.status == HostStatus::Disassociated.as_str();
    let reason = host.reason.clone().filter(|_| !is_waiting);
    HostRecord { cluster: None, reason, ..host.clone() }
}

/// What turns `from` into `to`.
fn moves(from: &BTreeSet<String>, to: &BTreeSet<String>) -> Vec<Move> {
    let leaving = from.difference(to).cloned().map(Move::Leave);
    let joining = to.difference(from).cloned().map(Move::Join);
    leaving.chain(joining).collect()
}
