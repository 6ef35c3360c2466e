//! What operators do to an operation that has been started.

use identity::{Permit, Principal};

use crate::address::HostAddress;
use crate::change::{Change, Known};
use crate::draft::Draft;
use crate::error::{OperationError, RolloutError, SteerError};
use crate::event::Steering;
use crate::name::ClusterName;
use crate::next::{Next, next};
use crate::rollout::{Outcome, Rollout, RolloutId, Wish};
use crate::run::{HostRun, RunState};
use crate::service::{Fleet, SteerOperation};

impl Fleet {
    /// Has no more hosts begun with; those under way come to their end.
    ///
    /// # Errors
    /// See [`SteerError`].
    pub async fn pause(
        &self,
        permit: Permit<SteerOperation>,
        cluster: &ClusterName,
        id: RolloutId,
    ) -> Result<Rollout, SteerError> {
        self.wish(permit.by(), (cluster, id), Wish::Pause, Steering::Pause).await
    }

    /// Has a paused operation go on.
    ///
    /// # Errors
    /// See [`SteerError`].
    pub async fn resume(
        &self,
        permit: Permit<SteerOperation>,
        cluster: &ClusterName,
        id: RolloutId,
    ) -> Result<Rollout, SteerError> {
        self.wish(permit.by(), (cluster, id), Wish::Run, Steering::Resume).await
    }

    /// Ends an operation: no more hosts are begun with, those under way are given up, and nothing is left cordoned.
    /// Where nothing has to be done for that, it has ended with this.
    ///
    /// # Errors
    /// See [`SteerError`].
    pub async fn abort(
        &self,
        permit: Permit<SteerOperation>,
        cluster: &ClusterName,
        id: RolloutId,
    ) -> Result<Rollout, SteerError> {
        let decide = |known: &Known| {
            not_ended(&known.rollout)?;
            Ok((known.rollout.wish != Wish::Abort).then(|| self.aborted(known)))
        };
        self.change_rollout(None, permit.by(), (cluster, id), &[], decide).await
    }

    fn aborted(&self, known: &Known) -> Change {
        let now = self.ground.clock.now();
        let mut change = Change::of(&known.rollout);
        change.rollout.wish = Wish::Abort;
        change.steer(Steering::Abort);
        if let Next::Finish(outcome) = next(&change.rollout, &known.seen, now) {
            change.end(outcome, now);
        }
        change
    }

    async fn wish(
        &self,
        by: &Principal,
        of: (&ClusterName, RolloutId),
        wish: Wish,
        how: Steering,
    ) -> Result<Rollout, SteerError> {
        let decide = |known: &Known| {
            not_ended(&known.rollout)?;
            if known.rollout.wish == Wish::Abort {
                let (cluster, id) = (known.rollout.cluster.clone(), known.rollout.id);
                return Err(SteerError::Aborting { cluster, id });
            }
            if known.rollout.wish == wish {
                return Ok(None);
            }
            let mut change = Change::of(&known.rollout);
            change.rollout.wish = wish;
            change.steer(how);
            Ok(Some(change))
        };
        self.change_rollout(None, by, of, &[], decide).await
    }

    /// Has an operation that failed or was aborted go on: its failed hosts are tried again, and those that it never
    /// came to follow. Only the latest of its kind on the cluster can.
    ///
    /// # Errors
    /// See [`SteerError`].
    pub async fn retry(
        &self,
        permit: Permit<SteerOperation>,
        cluster: &ClusterName,
        id: RolloutId,
    ) -> Result<Rollout, SteerError> {
        loop {
            self.check_retry(cluster, id).await?;
            let decide = |known: &Known| retried(known);
            let rollout = self.change_rollout(None, permit.by(), (cluster, id), &[], decide).await?;
            // Of many failed hosts, some go back to the others with each commit.
            if rollout.outcome.is_none() {
                return Ok(rollout);
            }
        }
    }

    async fn check_retry(&self, cluster: &ClusterName, id: RolloutId) -> Result<(), SteerError> {
        let found = self.loaded_rollout(cluster.as_str(), id).await?;
        let found = found.ok_or_else(|| RolloutError::NoSuchOperation { cluster: cluster.clone(), id })?;
        if found.record.outcome.is_none() {
            return Err(SteerError::NotEnded { cluster: cluster.clone(), id });
        }
        self.check_idle(cluster).await?;
        let of = self.tables.cluster.get(cluster.as_str()).await?;
        let of = of.ok_or_else(|| OperationError::NoSuchCluster { cluster: cluster.clone() })?;
        if of.record.operations_after.is_some_and(|last| id.as_number() <= last) {
            // It was about an earlier cluster of this name.
            return Err(RolloutError::NoSuchOperation { cluster: cluster.clone(), id }.into());
        }
        let document = self.tables.operation.get(&found.record.plan.kind().id(cluster)).await?;
        match document {
            Some(document) if document.record.id == Some(id.as_number()) => Ok(()),
            _ => Err(SteerError::Superseded { cluster: cluster.clone(), id }),
        }
    }

    /// Has an operation go on without a host that waits or has failed.
    ///
    /// # Errors
    /// See [`SteerError`].
    pub async fn skip_host(
        &self,
        permit: Permit<SteerOperation>,
        cluster: &ClusterName,
        id: RolloutId,
        address: &HostAddress,
    ) -> Result<Rollout, SteerError> {
        let place = self.place_of(cluster, id, address).await?;
        let decide = |known: &Known| {
            let Some(run) = known.asked.first() else { return Ok(None) };
            match &run.state {
                RunState::Skipped { .. } => return Ok(None),
                RunState::Waiting | RunState::Failed { .. } => {}
                state => {
                    return Err(SteerError::NotSkippable { address: address.clone(), state: state.as_str() });
                }
            }
            let mut change = Change::of(&known.rollout);
            let reason = format!("{} has it skipped", permit.by().name());
            change.shift(run, RunState::Skipped { reason, at: self.ground.clock.now() });
            Ok(Some(change))
        };
        self.change_rollout(None, permit.by(), (cluster, id), &[place], decide).await
    }

    /// The place of a host. Goes through all of them, which so rare a wish is worth.
    async fn place_of(
        &self,
        cluster: &ClusterName,
        id: RolloutId,
        address: &HostAddress,
    ) -> Result<u64, SteerError> {
        let found = self.loaded_rollout(cluster.as_str(), id).await?;
        found.ok_or_else(|| RolloutError::NoSuchOperation { cluster: cluster.clone(), id })?;
        let address = self.known(address).await?;
        let table = self.runs(cluster.as_str(), id)?;
        let mut next = Some(store::Page::full());
        while let Some(page) = next {
            let found = table.list(page).await?;
            for (place, loaded) in found.entries {
                let run: HostRun = self.run_from(&table, &place, loaded.record)?;
                if run.address == address {
                    return Ok(run.place);
                }
            }
            next = found.next;
        }
        Err(SteerError::NoSuchHost { cluster: cluster.clone(), id, address })
    }

    /// The operation that runs on a cluster which is being deleted is aborted with it. Where hosts are under way, it
    /// stays until they have been released.
    pub(crate) async fn stage_abort(
        &self,
        draft: &mut Draft,
        cluster: &ClusterName,
        by: &Principal,
    ) -> Result<(), store::Error> {
        let Some((_, id)) = self.running(cluster.as_str()).await? else {
            return self.tables.running.expect_absent(&mut draft.batch, cluster.as_str());
        };
        let Some(known) = self.known_rollout(cluster, id, &[]).await? else {
            return self.tables.running.delete(&mut draft.batch, cluster.as_str());
        };
        let change = self.aborted(&known);
        self.stage_rollout(draft, known.rollout.outcome, Some(known.version), &change, by)
    }
}

/// An operation that is to go on, or one step towards it.
fn retried(known: &Known) -> Result<Option<Change>, SteerError> {
    let (rollout, failed) = (&known.rollout, &known.seen.failed);
    let (cluster, id) = (rollout.cluster.clone(), rollout.id);
    if rollout.outcome.is_none() {
        return Err(SteerError::NotEnded { cluster, id });
    }
    if failed.is_empty() && rollout.waiting() == 0 {
        return Err(SteerError::NothingLeft { cluster, id });
    }
    let mut change = Change::of(rollout);
    for run in failed {
        if change.is_full() {
            return Ok(Some(change));
        }
        change.shift(run, RunState::Waiting);
    }
    (change.rollout.outcome, change.rollout.ended_at) = (None, None);
    (change.rollout.wish, change.rollout.batch_left) = (Wish::Run, 0);
    change.steer(Steering::Retry);
    Ok(Some(change))
}

fn not_ended(rollout: &Rollout) -> Result<(), SteerError> {
    match rollout.outcome {
        None => Ok(()),
        Some(outcome @ (Outcome::Finished | Outcome::Failed | Outcome::Aborted)) => {
            Err(SteerError::Ended { cluster: rollout.cluster.clone(), id: rollout.id, outcome })
        }
    }
}
