//! Which hosts a cluster has.
//!
//! A host says itself which cluster it belongs to, so it cannot belong to two. Whoever lets it join expects it to be
//! as it was when that was decided, and the cluster too; of two who do so at once the slower one finds it taken.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use identity::{Permit, Principal};
use store::{Claim, CommitError, Loaded, Page, Table};

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
use crate::regrouping::in_parts;
use crate::service::{
    Fleet, JoinCluster, LeaveCluster, Put, ReadClusters, ReplaceMembers, Tables, ids, unreadable,
};

/// How many hosts change in one commit, whose operations are at most a hundred. One that joins takes up to five: the
/// host, its status in the index twice, its place in the cluster, and the count of its part. Without the count it would
/// be 24 hosts, which is no other number to those who look on.
pub(crate) const HOSTS_AT_ONCE: usize = 18;

/// A host that comes or goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Move {
    Join(String),
    Leave(String),
}

/// What a host's container manager says of it when it joins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rules {
    /// It is asked afterwards.
    Joins,
    /// It has taken the host.
    Taken,
}

/// Hosts that are about to come and go in one commit.
#[derive(Debug, Default)]
pub(crate) struct Moved {
    joined: Vec<String>,
    left: Vec<String>,
    /// Those that can be read, as they are then.
    hosts: Vec<HostRecord>,
}

impl Moved {
    pub(crate) fn is_nobody(&self) -> bool {
        self.joined.is_empty() && self.left.is_empty()
    }

    pub(crate) fn happened<'a>(&'a self, cluster: &'a ClusterName) -> Happened<'a> {
        Happened::MembersChanged { cluster, joined: &self.joined, left: &self.left }
    }
}

impl Move {
    pub(crate) fn address(&self) -> &str {
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
            let moved = self.stage_moves(&mut draft, name, &cluster, &moves, Rules::Joins, permit.by()).await;
            let Some(moved) = self.unless_torn(moved, &mut line).await? else { continue };
            let Some(record) = moved.and_then(|mut moved| moved.pop()) else {
                // One that is about to leave, or whose cluster goes, is no member to whoever asks now.
                line.step_aside();
                if self.settle(name.as_str(), 0).await? {
                    continue;
                }
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
            let moved = self.stage_moves(&mut draft, name, &cluster, &moves, Rules::Taken, permit.by()).await;
            let Some(moved) = self.unless_torn(moved, &mut line).await? else { continue };
            let address = node.address.clone();
            let Some(record) = moved.and_then(|mut moved| moved.pop()) else {
                line.step_aside();
                if self.settle(name.as_str(), 0).await? {
                    continue;
                }
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
        let mut line = Line::default();
        loop {
            let cluster = self.loaded_cluster(name).await?;
            let host = self.tables.host.get(address.as_str()).await?;
            let host = host.ok_or_else(|| MembersError::NoSuchHost { address: address.to_string() })?;
            let manager = self.manager(&cluster.record.container_manager).await?;
            let admitted = self.admit(name, &cluster, &host.record, manager);
            return match self.unless_torn(admitted, &mut line).await? {
                None => continue,
                Some(Some(_)) if manager == Manager::Remote => {
                    Ok(self.remote_manager(&cluster.record).await?)
                }
                Some(_) => Ok(None),
            };
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
    /// Up to 18 hosts come and go at once. More do as well, to others who change something: all that are to join are
    /// reserved first, and when one of them cannot, nothing is changed; whoever meets that finishes it first. But they
    /// come and go in groups, and whoever only looks sees some of them do so before the others.
    ///
    /// # Errors
    /// See [`MembersError`]. Nothing was changed, but for [`MembersError::Begun`], [`MembersError::PerhapsBegun`] and where
    /// the store did not say whether it was: then it may be done yet, all of it, by whoever comes next.
    pub async fn replace_members(
        &self,
        permit: Permit<ReplaceMembers>,
        name: &ClusterName,
        old: Option<&BTreeSet<String>>,
        new: &BTreeSet<String>,
    ) -> Result<Roster, MembersError> {
        let asked = self.regrouping(permit.by());
        // The cluster as it was found, and its hosts to be, when that was perhaps begun as a change of many hosts: as long as
        // that is not looked up, no error is to hide it.
        let mut begun: Option<(Loaded<ClusterRecord>, BTreeSet<String>)> = None;
        let not_seen = |source: CommitError| MembersError::Begun { cluster: name.clone(), source };
        let not_known = |source: CommitError| MembersError::PerhapsBegun { cluster: name.clone(), source };
        let mut line = Line::default();
        loop {
            line.step_aside();
            let settled = self.settle(name.as_str(), 0).await;
            settled.map_err(|error| if begun.is_some() { not_known(error) } else { error.into() })?;
            if let Some((cluster, hosts)) = begun.take()
                && self.is_regrouped(&asked).await.map_err(|error| not_known(error.into()))?
            {
                return self.after_replacing(&cluster, &hosts).await;
            }
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
            let moves = moves(&before, &hosts);
            let tested = self.test(name, &cluster, &moves).await;
            let Some(()) = self.unless_torn(tested, &mut line).await? else { continue };
            if moves.len() > HOSTS_AT_ONCE {
                let parts = in_parts(&moves);
                let doubts = line.doubts();
                let version =
                    self.begin_regrouping(&asked, (name, &cluster), &counts, &parts, &mut line).await;
                let is_doubted = line.doubts() > doubts;
                let version =
                    version.map_err(|error| if is_doubted { not_known(error) } else { error.into() })?;
                let Some(version) = version else {
                    begun = is_doubted.then_some((cluster, hosts));
                    continue;
                };
                self.regroup(&asked, name, version, &parts).await.map_err(not_seen)?;
                if self.is_regrouped(&asked).await.map_err(|error| not_seen(error.into()))? {
                    return self.after_replacing(&cluster, &hosts).await;
                }
                self.overtaken(&mut line, self.tables.regrouping.key(name.as_str())?).await?;
                continue;
            }
            let mut draft = Draft::default();
            draft.comes_after_regrouping(name.as_str());
            let moved = self.stage_moves(&mut draft, name, &cluster, &moves, Rules::Joins, permit.by()).await;
            let Some(moved) = self.unless_torn(moved, &mut line).await? else { continue };
            if moved.is_none() && !moves.is_empty() {
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
                return self.after_replacing(&cluster, &hosts).await;
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

    /// What is answered: the hosts that the cluster had when it was done, whoever has changed them since.
    async fn after_replacing(
        &self,
        cluster: &Loaded<ClusterRecord>,
        hosts: &BTreeSet<String>,
    ) -> Result<Roster, MembersError> {
        // Perhaps it was deleted right afterwards.
        let found = self.tables.cluster.get(&cluster.record.name).await?;
        let cluster = found.as_ref().unwrap_or(cluster);
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
            let moved = self.stage_moves(&mut draft, name, &cluster, moves, Rules::Joins, by).await;
            let Some(moved) = self.unless_torn(moved, &mut line).await? else { continue };
            if moved.is_none() {
                // Who is about to join can leave when that is done.
                line.step_aside();
                if self.settle(name.as_str(), 0).await? {
                    continue;
                }
                return Ok(false);
            }
            if self.commit(draft, &mut line).await?.is_some() {
                return Ok(true);
            }
        }
    }

    /// What was decided; `None` when a host was found in another cluster, and that is no longer so: to decide anew.
    async fn unless_torn<T>(
        &self,
        decided: Result<T, MembersError>,
        line: &mut Line<'_>,
    ) -> Result<Option<T>, MembersError> {
        if let Err(MembersError::InAnotherCluster { address, other }) = &decided {
            line.step_aside();
            if !self.is_settled(other, address, true, 0).await? {
                return Ok(None);
            }
        }
        decided.map(Some)
    }

    /// Decides about some moves, and writes what comes of them: the hosts that move, as they are then; `None` when
    /// nothing does.
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
        let after = |step: &Move, host: Result<Option<&HostRecord>, store::Error>| {
            self.after(step, host?, name, cluster, (manager, rules))
        };
        let moved = self.stage_steps(draft, (name, cluster), moves, after).await?;
        if moved.is_nobody() {
            return Ok(None);
        }
        self.record_event(draft, &moved.happened(name), by)?;
        Ok(Some(moved.hosts))
    }

    /// As [`Self::stage_moves`], but for the event, of moves that nobody can refuse any more: hosts join that were
    /// reserved for the cluster.
    pub(crate) async fn stage_decided(
        &self,
        draft: &mut Draft,
        (name, cluster): (&ClusterName, &Loaded<ClusterRecord>),
        moves: &[Move],
    ) -> Result<Moved, store::Error> {
        let manager = self.manager(&cluster.record.container_manager).await?;
        let after = |step: &Move, host: Result<Option<&HostRecord>, store::Error>| {
            let Some(host) = self.readable(host)?.flatten() else { return Ok(None) };
            Ok(match step {
                Move::Join(_) => {
                    admit_reserved(name, host, manager).map(|status| with_cluster(host, name, &status))
                }
                Move::Leave(_) => without_cluster_of(name, host),
            })
        };
        self.stage_steps(draft, (name, cluster), moves, after).await
    }

    /// Writes what comes of some moves, as `after` decides about each. A host whose record cannot be read leaves without
    /// being told.
    async fn stage_steps<E: From<store::Error>>(
        &self,
        draft: &mut Draft,
        (name, cluster): (&ClusterName, &Loaded<ClusterRecord>),
        moves: &[Move],
        after: impl Fn(&Move, Result<Option<&HostRecord>, store::Error>) -> Result<Option<HostRecord>, E>,
    ) -> Result<Moved, E> {
        let Moved { mut joined, mut left, mut hosts } = Moved::default();
        for (step, host) in moves.iter().zip(self.load(moves).await) {
            if let (Move::Leave(address), Err(store::Error::Record { .. })) = (step, &host) {
                if self.stage_unreadable_leave(draft, name, address).await? {
                    left.push(address.clone());
                }
                continue;
            }
            let before = host.as_ref().map(|host| host.as_ref().map(|host| &host.record));
            let Some(after) = after(step, before.map_err(Clone::clone))? else { continue };
            match step {
                Move::Join(address) => joined.push(address.clone()),
                Move::Leave(address) => left.push(address.clone()),
            }
            self.stage_host(draft, host.ok().flatten().as_ref(), Some(&after))?;
            hosts.push(after);
        }
        let moved = Moved { joined, left, hosts };
        if !moved.is_nobody() {
            self.stage_roster(draft, cluster, &moved.joined, &moved.left)?;
            self.stage_leaving(draft, &cluster.record, &moved.left).await?;
        }
        Ok(moved)
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
            return match step {
                Move::Join(address) => Err(MembersError::NoSuchHost { address: address.clone() }),
                Move::Leave(_) => Ok(None),
            };
        };
        Ok(match step {
            Move::Join(_) => {
                let status = match rules {
                    Rules::Joins => self.admit(name, cluster, host, manager)?,
                    Rules::Taken => self.admit(name, cluster, host, Manager::Trivial)?,
                };
                status.map(|status| with_cluster(host, name, &status))
            }
            Move::Leave(_) => without_cluster_of(name, host),
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
    pub(crate) fn admit(
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
    pub(crate) async fn load(&self, moves: &[Move]) -> Vec<Result<Option<Loaded<HostRecord>>, store::Error>> {
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

/// The status that a host gets by joining a cluster for which it was reserved: it could join then. `None` when it has
/// joined, or somebody who knows nothing of that has taken it.
fn admit_reserved(name: &ClusterName, host: &HostRecord, manager: Manager) -> Option<HostStatus> {
    match HostStatus::from(host.status.as_str()) {
        _ if host.cluster.is_some() => None,
        _ if host.joining.as_deref().is_some_and(|joining| joining != name.as_str()) => None,
        status if status.may_join() => manager.status_after_joining().or(Some(status)),
        status => Some(status),
    }
}

/// A host that belongs to a cluster from now on.
fn with_cluster(host: &HostRecord, name: &ClusterName, status: &HostStatus) -> HostRecord {
    HostRecord {
        cluster: Some(name.to_string()),
        status: status.as_str().to_owned(),
        joining: None,
        ..host.clone()
    }
}

/// A host that leaves a cluster; `None` when it does not belong to it.
fn without_cluster_of(name: &ClusterName, host: &HostRecord) -> Option<HostRecord> {
    (host.cluster.as_deref() == Some(name.as_str())).then(|| without_cluster(host))
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
