//! Clusters: looking at them, making, changing and deleting them.

use futures_util::future::join_all;
use identity::{Permit, Principal};
use store::{CommitError, Loaded, Page, Version};

use crate::cluster::{Cluster, ClusterError, ClusterView, ExpectedSettings, NewCluster, Roster};
use crate::draft::{Draft, Line};
use crate::error::ListError;
use crate::event::Happened;
use crate::hosts::{LOADS_AT_ONCE, PAGE_MAX};
use crate::members::{HOSTS_AT_ONCE, without_cluster};
use crate::name::{ClusterName, ContainerManagerName, NetworkName};
use crate::network;
use crate::operation::OperationKind;
use crate::record::ClusterRecord;
use crate::service::{DeleteCluster, Expected, Fleet, Put, ReadClusters, WriteCluster, ids, unreadable};
use crate::tally::Tally;

/// How often hosts and their counts are read again when they are not of one moment.
const READS_MAX: usize = 8;

/// A page of clusters, in the bytewise order of their names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClusterPage {
    /// The clusters.
    pub clusters: Vec<ClusterView>,
    /// Behind which name the next page begins; nothing on the last one.
    pub next: Option<ClusterName>,
}

/// What came of putting a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutCluster {
    /// The cluster as it is now.
    pub put: Put<Cluster>,
    /// The network that was asked for and does not exist; `default` was taken instead. Worth a warning.
    pub unknown_network: Option<String>,
}

/// What becomes of names in a cluster's settings that are nobody's.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Named {
    /// Refused.
    IsThere,
    /// The network `default` in place of one that is not there, and any container manager (commissaire contract,
    /// section 3.3).
    MayBeMissing,
}

impl Fleet {
    /// The names of all clusters, numbers by their value.
    ///
    /// # Errors
    /// The store's.
    pub async fn cluster_names(&self, _permit: Permit<ReadClusters>) -> Result<Vec<ClusterName>, ListError> {
        let mut names = Vec::new();
        for text in ids(&self.tables.cluster).await? {
            names.extend(self.readable(self.cluster_name(&text))?);
        }
        names.sort_unstable();
        Ok(names)
    }

    /// At most `limit` clusters (and at most [`PAGE_MAX`]) behind the name `after`.
    ///
    /// # Errors
    /// The store's.
    pub async fn clusters(
        &self,
        _permit: Permit<ReadClusters>,
        after: Option<&ClusterName>,
        limit: usize,
    ) -> Result<ClusterPage, ListError> {
        let after = after.map(|after| self.tables.cluster.key(after.as_str())).transpose()?;
        let mut page = ClusterPage::default();
        let mut next = Some(Page { after, limit: limit.clamp(1, PAGE_MAX) });
        while page.clusters.is_empty()
            && let Some(wanted) = next
        {
            let found = self.list(&self.tables.cluster, wanted).await?;
            for some in found.entries.chunks(LOADS_AT_ONCE) {
                for view in join_all(some.iter().map(|(_, loaded)| self.view(loaded))).await {
                    page.clusters.extend(self.readable(view)?);
                }
            }
            next = found.next;
        }
        if next.is_some() {
            page.next = page.clusters.last().map(|view| view.cluster.name.clone());
        }
        Ok(page)
    }

    /// One cluster. Takes the same time however many hosts it has.
    ///
    /// # Errors
    /// [`ClusterError::NoSuchCluster`] only when there is none.
    pub async fn cluster(
        &self,
        _permit: Permit<ReadClusters>,
        name: &ClusterName,
    ) -> Result<ClusterView, ClusterError> {
        let found = self.tables.cluster.get(name.as_str()).await?;
        let found = found.ok_or_else(|| ClusterError::NoSuchCluster { cluster: name.clone() })?;
        Ok(self.view(&found).await?)
    }

    /// One cluster and all its hosts. The counts are those of the hosts.
    ///
    /// # Errors
    /// As for [`Self::cluster`].
    pub async fn roster(
        &self,
        permit: Permit<ReadClusters>,
        name: &ClusterName,
    ) -> Result<Roster, ClusterError> {
        let mut view = self.cluster(permit, name).await?;
        let mut hosts = self.hosts_of(name.as_str()).await?;
        for _ in 0..READS_MAX {
            if view.tally.total() == hosts.len() as u64 {
                break;
            }
            // Somebody came or went between the two.
            view.tally = self.tally(name.as_str()).await?;
            hosts = self.hosts_of(name.as_str()).await?;
        }
        Ok(Roster { view, hosts })
    }

    /// Makes a cluster, or changes one, whose hosts stay. What is the same already is left alone. The container manager
    /// may be made later. When it is another than before, the hosts follow: the old one forgets them, and the new one is
    /// asked to take them, as when they join ([`Fleet::manager_changes`]).
    ///
    /// # Errors
    /// See [`ClusterError`].
    pub async fn put_cluster(
        &self,
        permit: Permit<WriteCluster>,
        name: &ClusterName,
        new: &NewCluster,
        expected: Expected,
    ) -> Result<PutCluster, ClusterError> {
        let holds = |found: Option<&Loaded<ClusterRecord>>| expected.holds(found.map(|found| found.version));
        self.write_cluster(permit.by(), name, new, holds, Named::MayBeMissing).await
    }

    /// As [`Self::put_cluster`], provided that the network and the container manager which `new` names are there, also
    /// when it is done; those that the cluster named before it goes on naming in any case. Gives the cluster with the
    /// counts of its hosts as they were just before.
    ///
    /// # Errors
    /// As for [`Self::put_cluster`], and [`ClusterError::NoSuchNetwork`] and [`ClusterError::NoSuchContainerManager`].
    pub async fn put_cluster_of_what_is_there(
        &self,
        permit: Permit<WriteCluster>,
        name: &ClusterName,
        new: &NewCluster,
        expected: &ExpectedSettings,
    ) -> Result<Put<ClusterView>, ClusterError> {
        // Not afterwards: what is done by then is answered, whatever becomes of the cluster, or of the store.
        let tally = self.tally(name.as_str()).await?;
        let holds = |found: Option<&Loaded<ClusterRecord>>| expected.hold(found.map(|found| &found.record));
        let Put { is: cluster, version, is_new } =
            self.write_cluster(permit.by(), name, new, holds, Named::IsThere).await?.put;
        Ok(Put { is: ClusterView { cluster, version, tally }, version, is_new })
    }

    async fn write_cluster(
        &self,
        by: &Principal,
        name: &ClusterName,
        new: &NewCluster,
        holds: impl Fn(Option<&Loaded<ClusterRecord>>) -> bool,
        named: Named,
    ) -> Result<PutCluster, ClusterError> {
        new.check()?;
        let mut line = Line::default();
        loop {
            let found = self.tables.cluster.get(name.as_str()).await?;
            // After it was read: that it goes is decided by a commit that writes it.
            if self.settle_deletion(name, &mut line).await? {
                continue;
            }
            if !holds(found.as_ref()) {
                return Err(ClusterError::Changed { cluster: name.clone() });
            }
            let before = found.as_ref().map(|found| &found.record);
            let network_at = self.network_version(&new.network).await?;
            let keeps_network =
                named == Named::IsThere && before.is_some_and(|before| before.network == new.network);
            // New clusters are in the default one also when it was deleted.
            let exists = network_at.is_some() || new.network == network::DEFAULT || keeps_network;
            if named == Named::IsThere && !exists {
                return Err(ClusterError::NoSuchNetwork { network: new.network.clone() });
            }
            let keeps_manager =
                before.is_some_and(|before| before.container_manager == new.container_manager);
            let manager_at = match named {
                Named::IsThere if !keeps_manager => self.needed_manager(&new.container_manager).await?,
                Named::IsThere | Named::MayBeMissing => None,
            };
            let network = if exists { new.network.as_str() } else { network::DEFAULT };
            let unknown_network = (!exists).then(|| new.network.clone());
            let mut after = written(name, before, network, new);
            if before.is_none() {
                after.operations_after = self.last_operation(name).await?;
            }
            let is = self.cluster_from(&after)?;
            if let Some(found) = &found
                && found.record == after
            {
                let put = Put { is, version: found.version, is_new: false };
                return Ok(PutCluster { put, unknown_network });
            }
            let mut draft = Draft::default();
            let version = found.as_ref().map(|found| found.version);
            self.tables.cluster.put_over(&mut draft.batch, name.as_str(), &after, version)?;
            self.networks.stage_use(&mut draft.batch, before, &after)?;
            self.container_managers.stage_use(&mut draft.batch, before, &after)?;
            // Who deletes one of them at the same time comes before this or after it, and not in between.
            if let Some(version) = network_at {
                self.networks.table.expect_at(&mut draft.batch, &new.network, version)?;
            }
            if let Some(version) = manager_at {
                let managers = &self.container_managers.table;
                managers.expect_at(&mut draft.batch, &new.container_manager, version)?;
            }
            let manager = &after.container_manager;
            if let Some(before) = before.filter(|before| before.container_manager != *manager) {
                self.stage_manager_change(&mut draft, before).await?;
            }
            let happened = match version {
                Some(_) => Happened::ClusterChanged { cluster: name, network, manager },
                None => Happened::ClusterCreated { cluster: name, network, manager },
            };
            self.record_event(&mut draft, &happened, by)?;
            if let Some(version) = self.commit(draft, &mut line).await? {
                let put = Put { is, version, is_new: found.is_none() };
                return Ok(PutCluster { put, unknown_network });
            }
        }
    }

    /// Deletes a cluster and what its operations left; one that runs is aborted. Its hosts stay, and belong to none.
    ///
    /// A cluster with few hosts goes in one commit. That one with more goes is decided in one; then its hosts leave in
    /// groups before it does, and whoever only looks sees that. To others who want something of it, or of them, it has
    /// gone: they see it to its end first.
    ///
    /// # Errors
    /// See [`ClusterError`]. Nothing was changed, but for [`ClusterError::Going`], [`ClusterError::PerhapsGoing`] and where
    /// the store did not say whether it was: then all of it may be done yet.
    pub async fn delete_cluster(
        &self,
        permit: Permit<DeleteCluster>,
        name: &ClusterName,
        expected: Expected,
    ) -> Result<(), ClusterError> {
        let mut line = Line::default();
        loop {
            if self.settle_deletion(name, &mut line).await? {
                continue;
            }
            let found = self.tables.cluster.get(name.as_str()).await?;
            let found = found.ok_or_else(|| ClusterError::NoSuchCluster { cluster: name.clone() })?;
            if !expected.holds(Some(found.version)) {
                return Err(ClusterError::Changed { cluster: name.clone() });
            }
            let members = self.tables.member(name.as_str())?.list(Page::first(HOSTS_AT_ONCE)).await?;
            if members.next.is_some() {
                let asked = self.regrouping(permit.by());
                let id = self.decide_deletion(&asked, (name, &found), permit.by(), &mut line).await;
                let Some(id) = id.map_err(|error| not_decided(name, error))? else { continue };
                let seen = self.see_through(name, id, 0).await;
                return seen.map_err(|source| ClusterError::Going { cluster: name.clone(), source });
            }
            let addresses: Vec<String> = members.entries.into_iter().map(|(address, _)| address).collect();
            let mut draft = Draft::default();
            draft.comes_after_regrouping(name.as_str());
            let left = self.stage_departure(&mut draft, name, &addresses).await?;
            self.stage_leaving(&mut draft, &found.record, &left).await?;
            self.stage_end_of_operations(&mut draft, name, permit.by()).await?;
            self.stage_end_of_cluster(&mut draft, name, &found)?;
            draft.leaves_empty(name.as_str());
            self.record_event(&mut draft, &Happened::ClusterDeleted { cluster: name }, permit.by())?;
            if self.commit(draft, &mut line).await?.is_some() {
                return Ok(());
            }
        }
    }

    /// A cluster goes: so does what the original knows of its operations, and one that runs is aborted.
    pub(crate) async fn stage_end_of_operations(
        &self,
        draft: &mut Draft,
        name: &ClusterName,
        by: &Principal,
    ) -> Result<(), store::Error> {
        for kind in OperationKind::ALL {
            self.tables.operation.delete(&mut draft.batch, &kind.id(name))?;
        }
        self.stage_abort(draft, name, by).await
    }

    /// A cluster goes whose hosts have left, or do so with it.
    pub(crate) fn stage_end_of_cluster(
        &self,
        draft: &mut Draft,
        name: &ClusterName,
        found: &Loaded<ClusterRecord>,
    ) -> Result<(), store::Error> {
        self.tables.cluster.remove(&mut draft.batch, name.as_str(), found.version)?;
        self.tables.manager_change.delete(&mut draft.batch, name.as_str())
    }

    /// These hosts belong to no cluster any more, if they belong to this one. Those that did.
    async fn stage_departure(
        &self,
        draft: &mut Draft,
        name: &ClusterName,
        addresses: &[String],
    ) -> Result<Vec<String>, store::Error> {
        let mut left = Vec::new();
        let found = join_all(addresses.iter().map(|address| self.tables.host.get(address))).await;
        for (address, loaded) in addresses.iter().zip(found) {
            if matches!(loaded, Err(store::Error::Record { .. })) {
                if self.stage_unreadable_leave(draft, name, address).await? {
                    left.push(address.clone());
                }
                continue;
            }
            if let Some(loaded) = loaded?
                && loaded.record.cluster.as_deref() == Some(name.as_str())
            {
                let after = without_cluster(&loaded.record);
                self.stage_host(draft, Some(&loaded), Some(&after))?;
                left.push(after.address);
            }
        }
        Ok(left)
    }

    /// At which version a network is there, if it is.
    async fn network_version(&self, name: &str) -> Result<Option<Version>, store::Error> {
        let Ok(name) = name.parse::<NetworkName>() else { return Ok(None) };
        Ok(self.networks.table.get(name.as_str()).await?.map(|found| found.version))
    }

    /// At which version the container manager of this name is there; `None` where none is named.
    async fn needed_manager(&self, name: &str) -> Result<Option<Version>, ClusterError> {
        if name.is_empty() {
            return Ok(None);
        }
        let missing = || ClusterError::NoSuchContainerManager { manager: name.to_owned() };
        let parsed: ContainerManagerName = name.parse().map_err(|_| missing())?;
        let found = self.container_managers.table.get(parsed.as_str()).await?;
        Ok(Some(found.ok_or_else(missing)?.version))
    }

    async fn view(&self, loaded: &Loaded<ClusterRecord>) -> Result<ClusterView, store::Error> {
        let cluster = self.cluster_from(&loaded.record)?;
        let tally = self.tally(cluster.name.as_str()).await?;
        Ok(ClusterView { cluster, version: loaded.version, tally })
    }

    /// How many hosts of a cluster have which status.
    pub(crate) async fn tally(&self, name: &str) -> Result<Tally, store::Error> {
        let parts = self.tally_parts(name)?.list(Page::full()).await?.entries;
        Ok(Tally::of(parts.iter().map(|(_, part)| (&part.record, part.version))))
    }

    pub(crate) fn cluster_from(&self, record: &ClusterRecord) -> Result<Cluster, store::Error> {
        Cluster::from_record(record).map_err(|error| unreadable(&self.tables.cluster, &record.name, error))
    }

    /// A name that stands in a key.
    fn cluster_name(&self, text: &str) -> Result<ClusterName, store::Error> {
        text.parse().map_err(|error| unreadable(&self.tables.cluster, text, error))
    }
}

/// Why it was not decided that a cluster goes: it may have been, where the store did not say.
fn not_decided(name: &ClusterName, error: CommitError) -> ClusterError {
    match error {
        CommitError::Unknown { .. } => ClusterError::PerhapsGoing { cluster: name.clone(), source: error },
        error => error.into(),
    }
}

/// A cluster's record after it was put; what `new` does not speak of stays.
fn written(
    name: &ClusterName,
    before: Option<&ClusterRecord>,
    network: &str,
    new: &NewCluster,
) -> ClusterRecord {
    ClusterRecord {
        name: name.to_string(),
        status: before.map(|before| before.status.clone()).unwrap_or_default(),
        network: network.to_owned(),
        hostset: before.map(|before| before.hostset.clone()).unwrap_or_default(),
        container_manager: new.container_manager.clone(),
        hostset_under: before.and_then(|before| before.hostset_under.clone()),
        operations_after: before.and_then(|before| before.operations_after),
    }
}
