//! Starting operations, and showing how far they are. The engine carries them out.

use futures_util::future::join_all;
use identity::{Permit, Principal};
use store::{Loaded, Page};

use crate::change::{self, Change};
use crate::draft::{Draft, Line};
use crate::error::{OperationError, SteerError};
use crate::event::Happened;
use crate::name::ClusterName;
use crate::operation::{Operation, OperationKind, Plan};
use crate::policy::Policy;
use crate::record::OperationRecord;
use crate::rollout::{Outcome, Rollout, RolloutId};
use crate::service::{Fleet, ReadClusters, Seen, StartOperation, unreadable};
use crate::tally::Tally;
use crate::{carry, moment};

/// The most hosts that are listed in the original's document, twice at worst: half a megabyte, if all have the longest
/// addresses. Of more, it says where they are.
const LISTED_MAX: u64 = 900;
/// The most hosts that are written down together with their operation.
const GATHERED_MAX: u64 = 60;

impl Fleet {
    /// Starts an operation as the original does: one host after the other, to the first that fails. Gives it as it
    /// begins, also when it is finished at once, because the cluster has no hosts.
    ///
    /// # Errors
    /// [`OperationError::Running`] while any operation on the cluster runs.
    pub async fn start(
        &self,
        permit: Permit<StartOperation>,
        cluster: &ClusterName,
        plan: Plan,
    ) -> Result<Operation, OperationError> {
        self.start_by(permit.by(), cluster, &plan, &Policy::default()).await.map(|(operation, _)| operation)
    }

    /// Starts an operation that goes through the cluster as `policy` says. One that waits for its time is running: no
    /// other begins before it has ended.
    ///
    /// # Errors
    /// See [`SteerError`].
    pub async fn start_with(
        &self,
        permit: Permit<StartOperation>,
        cluster: &ClusterName,
        plan: &Plan,
        policy: &Policy,
    ) -> Result<Rollout, SteerError> {
        policy.check()?;
        Ok(self.start_by(permit.by(), cluster, plan, policy).await?.1)
    }

    async fn start_by(
        &self,
        by: &Principal,
        cluster: &ClusterName,
        plan: &Plan,
        policy: &Policy,
    ) -> Result<(Operation, Rollout), OperationError> {
        let mut line = Line::default();
        loop {
            let found = self.tables.cluster.get(cluster.as_str()).await?;
            let found = found.ok_or_else(|| OperationError::NoSuchCluster { cluster: cluster.clone() })?;
            let latest = self.latest(cluster).await?;
            self.check_idle(cluster).await?;
            let counts = self.tally_parts(cluster.as_str())?.list(Page::full()).await?.entries;
            let tally = Tally::of(counts.iter().map(|(_, part)| (&part.record, part.version)));
            let id = self.next_id(cluster, &latest, found.record.operations_after).await?;

            let mut begun = Operation::begun(cluster.clone(), plan.clone(), moment::now(&self.ground.clock));
            begun.id = Some(id);
            let is_listed = tally.total() <= LISTED_MAX;
            begun.hosts_under = (!is_listed).then(|| change::runs_prefix(cluster.as_str(), id));
            let now = self.ground.clock.now();
            let (whose, what) = ((cluster.clone(), id), (plan.clone(), policy.clone()));
            let rollout = Rollout::asked_for(whose, what, by.name().to_owned(), tally.total(), now);
            let mut change = Change::of(&rollout);
            let is_small = tally.total() <= GATHERED_MAX;
            if is_small {
                change.gather(carry::gathered(&self.hosts_of(cluster.as_str()).await?, 0));
                change.rollout.is_gathered = true;
                change.rollout.total = change.rollout.gathered;
            }
            let is_empty = tally.total() == 0;
            if is_empty {
                (change.rollout.outcome, change.rollout.ended_at) = (Some(Outcome::Finished), Some(now));
            }
            let stored = if is_empty { begun.finished_at_once() } else { begun.clone() };

            let mut draft = Draft::default();
            draft.comes_after_regrouping(cluster.as_str());
            self.tables.cluster.expect_at(&mut draft.batch, cluster.as_str(), found.version)?;
            self.tables.running.expect_absent(&mut draft.batch, cluster.as_str())?;
            for (kind, latest) in &latest {
                let version = latest.as_ref().map(|latest| latest.version);
                if *kind == plan.kind() {
                    let (table, id) = (&self.tables.operation, kind.id(cluster));
                    table.put_over(&mut draft.batch, &id, &stored.record(), version)?;
                }
            }
            if is_small {
                // A host that joins or leaves in this very moment is not to be left out, or kept.
                self.expect_parts(&mut draft, cluster.as_str(), &counts)?;
            }
            self.stage_rollout(&mut draft, None, None, &change, by)?;
            self.record_event(&mut draft, &Happened::OperationStarted { operation: &stored }, by)?;
            if self.commit(draft, &mut line).await?.is_some() {
                return Ok((begun, change.rollout));
            }
        }
    }

    /// An id behind those of the latest operations, and none that an earlier cluster of the same name has left.
    async fn next_id(
        &self,
        cluster: &ClusterName,
        latest: &[(OperationKind, Option<Loaded<OperationRecord>>)],
        former: Option<u64>,
    ) -> Result<RolloutId, store::Error> {
        let ids = latest.iter().filter_map(|(_, latest)| latest.as_ref()?.record.id).chain(former);
        let now = u64::try_from(self.ground.clock.now_milliseconds()).unwrap_or(0);
        let mut id = RolloutId(ids.max().map_or(now, |last| now.max(last.saturating_add(1))));
        while self.tables.rollout.get(&change::rollout_id(cluster.as_str(), id)).await?.is_some() {
            id.0 += 1;
        }
        Ok(id)
    }

    /// The latest operation of a kind on a cluster.
    ///
    /// # Errors
    /// [`OperationError::NeverStarted`], also when there is no such cluster.
    pub async fn operation(
        &self,
        _permit: Permit<ReadClusters>,
        cluster: &ClusterName,
        kind: OperationKind,
    ) -> Result<Seen<Operation>, OperationError> {
        let never = || OperationError::NeverStarted { cluster: cluster.clone(), kind: kind.as_str() };
        let found = self.tables.operation.get(&kind.id(cluster)).await?.ok_or_else(never)?;
        Ok(Seen { is: self.shown_operation(kind, &found.record).await?, version: found.version })
    }

    /// The records of all kinds.
    pub(crate) async fn latest(
        &self,
        cluster: &ClusterName,
    ) -> Result<Vec<(OperationKind, Option<Loaded<OperationRecord>>)>, store::Error> {
        let get = async |kind: OperationKind| {
            let found = self.tables.operation.get(&kind.id(cluster)).await?;
            Ok((kind, found))
        };
        join_all(OperationKind::ALL.map(get)).await.into_iter().collect()
    }

    /// What the original wrote of operations that it never finished is no matter: only ours run.
    pub(crate) async fn check_idle(&self, cluster: &ClusterName) -> Result<(), OperationError> {
        let Some((kind, id)) = self.running(cluster.as_str()).await? else { return Ok(()) };
        let found = self.tables.operation.get(&kind.id(cluster)).await?;
        let running = match found.filter(|found| found.record.id == Some(id.as_number())) {
            Some(found) => self.shown_operation(kind, &found.record).await?,
            // Of a cluster that was deleted, and is there again before that was aborted.
            None => match self.loaded_rollout(cluster.as_str(), id).await? {
                Some(found) => found.record.as_operation(),
                None => return Ok(()),
            },
        };
        Err(OperationError::Running { running: Box::new(running) })
    }

    /// What stands in the original's document, with the hosts that had no place in it.
    async fn shown_operation(
        &self,
        kind: OperationKind,
        record: &OperationRecord,
    ) -> Result<Operation, store::Error> {
        let mut operation = Operation::from_record(kind, record.clone()).map_err(|reason| {
            let id = format!("{}/{}", record.name, kind.as_str());
            unreadable(&self.tables.operation, &id, reason)
        })?;
        if let (Some(id), true) = (operation.id, operation.hosts_under.is_some()) {
            (operation.done, operation.in_process) = self.hosts_told(operation.cluster.as_str(), id).await?;
        }
        Ok(operation)
    }
}
