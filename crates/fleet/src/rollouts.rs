//! Looking at operations, and forgetting old ones.

use base::{Span, Timestamp};
use identity::Permit;
use store::{Batch, Page, Table};

use crate::change::{place_id, rollout_id};
use crate::error::RolloutError;
use crate::name::ClusterName;
use crate::record::RolloutRecord;
use crate::rollout::{Rollout, RolloutId};
use crate::run::HostRun;
use crate::service::{Fleet, ReadClusters, Seen, ids, unreadable};

/// A page of the hosts of an operation, in its order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostRunPage {
    /// The hosts.
    pub hosts: Vec<HostRun>,
    /// Behind which place the next page begins; nothing on the last one.
    pub next: Option<u64>,
}

impl Fleet {
    /// An operation.
    ///
    /// # Errors
    /// [`RolloutError::NoSuchOperation`] only when there is none.
    pub async fn rollout(
        &self,
        _permit: Permit<ReadClusters>,
        cluster: &ClusterName,
        id: RolloutId,
    ) -> Result<Seen<Rollout>, RolloutError> {
        let found = self.loaded_rollout(cluster.as_str(), id).await?;
        let found = found.ok_or_else(|| RolloutError::NoSuchOperation { cluster: cluster.clone(), id })?;
        Ok(Seen { is: found.record, version: found.version })
    }

    /// The operation that runs on a cluster, if any.
    ///
    /// # Errors
    /// The store's.
    pub async fn running_rollout(
        &self,
        _permit: Permit<ReadClusters>,
        cluster: &ClusterName,
    ) -> Result<Option<Seen<Rollout>>, RolloutError> {
        let Some((_, id)) = self.running(cluster.as_str()).await? else { return Ok(None) };
        let found = self.loaded_rollout(cluster.as_str(), id).await?;
        Ok(found.map(|found| Seen { is: found.record, version: found.version }))
    }

    /// The operations on a cluster that are remembered, the oldest first; without those of an earlier cluster of its
    /// name that are over.
    ///
    /// # Errors
    /// The store's.
    pub async fn rollouts(
        &self,
        _permit: Permit<ReadClusters>,
        cluster: &ClusterName,
    ) -> Result<Vec<Rollout>, RolloutError> {
        let found = self.tables.cluster.get(cluster.as_str()).await?;
        let former = found.and_then(|found| found.record.operations_after);
        let table = self.rollouts_table(cluster)?;
        let mut rollouts = Vec::new();
        for (id, loaded) in table.all().await? {
            let parsed: Result<RolloutId, _> = id.parse();
            let parsed = parsed.map_err(|error| error.to_string());
            let rollout = parsed.and_then(|id| Rollout::from_record(cluster.as_str(), id, loaded.record));
            let rollout = self.readable(rollout.map_err(|reason| unreadable(&table, &id, reason)))?;
            let is_former = |rollout: &Rollout| {
                rollout.outcome.is_some() && former.is_some_and(|last| rollout.id.as_number() <= last)
            };
            rollouts.extend(rollout.filter(|rollout| !is_former(rollout)));
        }
        Ok(rollouts)
    }

    /// The operations on a cluster.
    fn rollouts_table(&self, cluster: &ClusterName) -> Result<Table<RolloutRecord>, store::Error> {
        let prefix = format!("{}{cluster}/", self.tables.rollout.prefix().as_str());
        Table::new(self.ground.engine.clone(), &prefix)
    }

    /// The last operation that is remembered of a cluster.
    pub(crate) async fn last_operation(&self, cluster: &ClusterName) -> Result<Option<u64>, store::Error> {
        let ids = ids(&self.rollouts_table(cluster)?).await?;
        Ok(ids.iter().filter_map(|id| id.parse::<RolloutId>().ok()).map(RolloutId::as_number).max())
    }

    /// At most `limit` hosts of an operation behind a place.
    ///
    /// # Errors
    /// [`RolloutError::NoSuchOperation`], or the store's.
    pub async fn rollout_hosts(
        &self,
        permit: Permit<ReadClusters>,
        cluster: &ClusterName,
        id: RolloutId,
        after: Option<u64>,
        limit: usize,
    ) -> Result<HostRunPage, RolloutError> {
        self.rollout(permit, cluster, id).await?;
        let table = self.runs(cluster.as_str(), id)?;
        let after = after.map(|place| table.key(&place_id(place))).transpose()?;
        let found = table.list(Page { after, limit }).await?;
        let more = found.next.is_some();
        let hosts: Result<Vec<_>, _> = found
            .entries
            .into_iter()
            .map(|(place, loaded)| self.run_from(&table, &place, loaded.record))
            .collect();
        let hosts = hosts?;
        let next = hosts.last().filter(|_| more).map(|run| run.place);
        Ok(HostRunPage { hosts, next })
    }

    /// Forgets operations that ended longer than `keep` before `now`, and those of clusters that are gone; never the latest of
    /// its kind. Goes through one page of them behind `from`, and gives where to go on; nothing at the end. Doing it
    /// twice does no harm.
    ///
    /// # Errors
    /// The store's.
    pub async fn drop_ended_operations(
        &self,
        keep: Span,
        now: Timestamp,
        from: Option<String>,
    ) -> Result<Option<String>, RolloutError> {
        let table = &self.tables.rollout;
        let after = from.map(|id| table.key(&id)).transpose()?;
        let found = self.list(table, Page { after, limit: 100 }).await?;
        let last = found.next.and_then(|page| page.after);
        for (id, loaded) in found.entries {
            let Some((cluster, number)) = id.split_once('/') else { continue };
            let (Ok(cluster), Ok(number)) = (cluster.parse::<ClusterName>(), number.parse::<RolloutId>())
            else {
                continue;
            };
            let Some(ended_at) = loaded.record.ended_at else { continue };
            let is_old = ended_at.saturating_add(keep.as_seconds()) <= now.as_unix();
            let is_orphan = match self.tables.cluster.get(cluster.as_str()).await? {
                None => true,
                // Of an earlier one of its name.
                Some(found) => found.record.operations_after.is_some_and(|last| number.as_number() <= last),
            };
            if is_orphan || is_old && !self.is_latest(&cluster, number, &loaded.record.kind).await? {
                self.drop_operation(&cluster, number, loaded.version).await?;
            }
        }
        Ok(last.and_then(|key| table.prefix().rest(&key).map(str::to_owned)))
    }

    async fn is_latest(
        &self,
        cluster: &ClusterName,
        id: RolloutId,
        kind: &str,
    ) -> Result<bool, store::Error> {
        let found = self.tables.operation.get(&format!("{cluster}/{kind}")).await?;
        Ok(found.is_some_and(|found| found.record.id == Some(id.as_number())))
    }

    /// Forgets an operation that has ended: first its hosts, then itself.
    async fn drop_operation(
        &self,
        cluster: &ClusterName,
        id: RolloutId,
        seen: store::Version,
    ) -> Result<(), RolloutError> {
        let runs = self.runs(cluster.as_str(), id)?;
        let own = rollout_id(cluster.as_str(), id);
        loop {
            let found = self.ground.engine.list(runs.prefix(), Page::first(99)).await?;
            let mut batch = Batch::new();
            for (key, _) in &found.entries {
                batch.delete(key.clone());
            }
            let table = &self.tables.rollout;
            let is_last = found.next.is_none();
            if is_last {
                table.remove(&mut batch, &own, seen)?;
            } else {
                table.expect_at(&mut batch, &own, seen)?;
            }
            match self.ground.engine.commit(batch).await {
                Ok(_) if is_last => return Ok(()),
                Ok(_) => {}
                // Somebody retries it, or drops it as well.
                Err(store::CommitError::Conflict { .. }) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }
}
