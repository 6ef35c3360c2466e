//! Changes of an operation: decided as values, then written in one commit with all that follows from them.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::join_all;
use identity::Principal;
use store::{Claim, Loaded, Page, Table, Version};

use crate::carry::Beginning;
use crate::cordons;
use crate::draft::{Draft, Line};
use crate::error::RolloutError;
use crate::event::{Happened, Steering};
use crate::moment;
use crate::name::ClusterName;
use crate::next::Situation;
use crate::operation::{OperationKind, OperationState};
use crate::record::{CordonLeftRecord, HostRunRecord, OperationRecord, RunningRecord};
use crate::rollout::{Outcome, Rollout, RolloutId};
use crate::run::{Cordon, HostRun, RunState};
use crate::service::{Fleet, unreadable};
use crate::situation::Free;

/// How many hosts get another state in one commit: each takes three of its hundred operations.
pub(crate) const MOVES_MAX: usize = 30;
/// Where the hosts of operations are.
const HOSTS: &str = "/fleet/operation-host/";

/// An operation as it was read, with what has to be known about it.
pub(crate) struct Known {
    pub(crate) rollout: Rollout,
    pub(crate) version: Version,
    pub(crate) seen: Situation,
    /// Hosts that were asked for by their places.
    pub(crate) asked: Vec<HostRun>,
    /// Those of the hosts that wait, by their places, on which nobody is at work.
    pub(crate) free: BTreeMap<u64, Free>,
}

/// An operation as it is to be.
pub(crate) struct Change {
    pub(crate) rollout: Rollout,
    moved: Vec<Moved>,
    said: Vec<Said>,
}

/// A host with another state.
struct Moved {
    /// As it was; absent where it is only now written down.
    before: Option<HostRun>,
    run: HostRun,
}

/// What the history is told besides what happens to hosts.
enum Said {
    Steered(Steering),
    Ended(Outcome),
}

impl Change {
    /// None yet.
    pub(crate) fn of(rollout: &Rollout) -> Self {
        Self { rollout: rollout.clone(), moved: Vec::new(), said: Vec::new() }
    }

    /// Whether there is room for another host.
    pub(crate) fn is_full(&self) -> bool {
        self.moved.len() >= MOVES_MAX
    }

    fn moving(&mut self, run: &HostRun, how: impl FnOnce(&mut Rollout, &mut HostRun)) -> &HostRun {
        let mut after = run.clone();
        how(&mut self.rollout, &mut after);
        self.moved.push(Moved { before: Some(run.clone()), run: after });
        &self.moved[self.moved.len() - 1].run
    }

    /// A host has another state.
    pub(crate) fn shift(&mut self, run: &HostRun, to: RunState) {
        self.moving(run, |rollout, run| rollout.shift(run, to));
    }

    /// A host is well: its node is not cordoned any more.
    pub(crate) fn uncordoned(&mut self, run: &HostRun, to: RunState) {
        self.moving(run, |rollout, run| {
            run.cordon = Cordon::None;
            rollout.shift(run, to);
        });
    }

    /// A host's cordon is lifted, or stays; it gets another state if there is one.
    pub(crate) fn released(&mut self, run: &HostRun, cordon: Cordon, to: Option<RunState>) {
        self.moving(run, |rollout, run| {
            run.cordon = cordon;
            if let Some(to) = to {
                rollout.shift(run, to);
            }
        });
    }

    /// A host is begun with.
    pub(crate) fn begin(&mut self, run: &HostRun, with: &Beginning, now: base::Timestamp) -> HostRun {
        self.moving(run, |rollout, run| rollout.begin(run, with, now)).clone()
    }

    /// The hosts that are begun with.
    fn begun(&self) -> impl Iterator<Item = &Moved> {
        self.moved.iter().filter(|moved| matches!(moved.run.state, RunState::Begun { .. }))
    }

    /// Hosts are written down.
    pub(crate) fn gather(&mut self, runs: impl IntoIterator<Item = HostRun>) {
        for run in runs {
            self.rollout.gathered += 1;
            self.moved.push(Moved { before: None, run });
        }
    }

    /// An operator wants something of it.
    pub(crate) fn steer(&mut self, how: Steering) {
        self.said.push(Said::Steered(how));
    }

    /// It ends.
    pub(crate) fn end(&mut self, outcome: Outcome, now: base::Timestamp) {
        (self.rollout.outcome, self.rollout.ended_at) = (Some(outcome), Some(now));
        self.said.push(Said::Ended(outcome));
    }
}

impl Fleet {
    /// The hosts of an operation, by place.
    pub(crate) fn runs(&self, cluster: &str, id: RolloutId) -> Result<Table<HostRunRecord>, store::Error> {
        Table::new(Arc::clone(&self.ground.engine), &runs_prefix(cluster, id))
    }

    /// An operation.
    pub(crate) async fn loaded_rollout(
        &self,
        cluster: &str,
        id: RolloutId,
    ) -> Result<Option<Loaded<Rollout>>, store::Error> {
        let key = rollout_id(cluster, id);
        let Some(found) = self.tables.rollout.get(&key).await? else { return Ok(None) };
        let record = Rollout::from_record(cluster, id, found.record)
            .map_err(|reason| unreadable(&self.tables.rollout, &key, reason))?;
        Ok(Some(Loaded { record, version: found.version }))
    }

    /// One host of an operation.
    pub(crate) fn run_from(
        &self,
        table: &Table<HostRunRecord>,
        id: &str,
        record: HostRunRecord,
    ) -> Result<HostRun, store::Error> {
        let place = id.parse().map_err(|_| unreadable(table, id, "its key is no place"))?;
        HostRun::from_record(place, record).map_err(|reason| unreadable(table, id, reason))
    }

    /// Hosts of an operation by their places; those that are not written down are left out.
    pub(crate) async fn runs_at(
        &self,
        rollout: &Rollout,
        places: impl IntoIterator<Item = u64>,
    ) -> Result<Vec<HostRun>, store::Error> {
        let table = self.runs(rollout.cluster.as_str(), rollout.id)?;
        let get = async |place: u64| {
            let id = place_id(place);
            let found = table.get(&id).await?;
            found.map(|found| self.run_from(&table, &id, found.record)).transpose()
        };
        let found = join_all(places.into_iter().map(get)).await;
        Ok(found.into_iter().collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
    }

    /// Changes an operation as `decide` says, which is asked again when somebody else has changed it meanwhile; with a
    /// claim, only while that is held. `None` changes nothing. `asked` are places of hosts that it has to know.
    pub(crate) async fn change_rollout<E: From<RolloutError>>(
        &self,
        claim: Option<&Claim>,
        by: &Principal,
        (cluster, id): (&ClusterName, RolloutId),
        asked: &[u64],
        decide: impl Fn(&Known) -> Result<Option<Change>, E>,
    ) -> Result<Rollout, E> {
        let wrap = |error: store::Error| E::from(RolloutError::from(error));
        let mut line = Line::default();
        loop {
            let known = self.known_rollout(cluster, id, asked).await.map_err(wrap)?;
            let known =
                known.ok_or_else(|| RolloutError::NoSuchOperation { cluster: cluster.clone(), id })?;
            let Some(change) = decide(&known)? else { return Ok(known.rollout) };
            let mut draft = Draft::default();
            if let Some(claim) = claim {
                claim.expect(&mut draft.batch);
            }
            self.stage_change(&mut draft, &known, &change, by).await.map_err(wrap)?;
            if known.rollout.outcome.is_some() && change.rollout.outcome.is_none() {
                // Not when its cluster goes, or has gone, which may have been decided since that was looked at.
                draft.comes_after_regrouping(cluster.as_str());
                let document = self.tables.operation.get(&change.rollout.plan.kind().id(cluster)).await;
                let document = document.map_err(wrap)?;
                if document.is_none_or(|found| found.record.id != Some(id.as_number())) {
                    return Err(RolloutError::NoSuchOperation { cluster: cluster.clone(), id }.into());
                }
            }
            let committed = self.commit(draft, &mut line).await;
            if committed.map_err(RolloutError::from)?.is_some() {
                return Ok(change.rollout);
            }
            if let Some(claim) = claim
                && !claim.is_held(self.ground.engine.as_ref()).await.map_err(wrap)?
            {
                return Err(RolloutError::ClaimLost { claim: claim.name.clone() }.into());
            }
        }
    }

    /// Writes a change, what the original's document says of it, and the history.
    pub(crate) async fn stage_change(
        &self,
        draft: &mut Draft,
        known: &Known,
        change: &Change,
        by: &Principal,
    ) -> Result<(), store::Error> {
        self.stage_rollout(draft, known.rollout.outcome, Some(known.version), change, by)?;
        for Moved { before, run } in change.begun() {
            // What nobody knew to be free was not next either.
            if let Some(free) = known.free.get(&run.place) {
                self.stage_under_way(&mut draft.batch, (&change.rollout, run), free)?;
                let was_ours = before.as_ref().is_some_and(|before| before.cordon == Cordon::Left);
                if free.is_left_cordoned && !was_ours && run.cordon == Cordon::Perhaps {
                    let id = cordons::id(change.rollout.cluster.as_str(), &run.address);
                    self.tables.cordon_left.delete(&mut draft.batch, &id)?;
                }
            }
        }
        let (rollout, table) = (&change.rollout, &self.tables.operation);
        let id = rollout.plan.kind().id(&rollout.cluster);
        // Nobody else writes it but together with the operation.
        if let Some(found) = table.get(&id).await?
            && found.record.id == Some(rollout.id.as_number())
        {
            let after = told(found.record, change, moment::now(&self.ground.clock));
            table.update(&mut draft.batch, &id, &after, found.version)?;
        }
        Ok(())
    }

    /// Writes an operation and those of its hosts that have another state. `before` is how it had ended.
    pub(crate) fn stage_rollout(
        &self,
        draft: &mut Draft,
        before: Option<Outcome>,
        seen: Option<Version>,
        change: &Change,
        by: &Principal,
    ) -> Result<(), store::Error> {
        let rollout = &change.rollout;
        let (cluster, batch) = (rollout.cluster.as_str(), &mut draft.batch);
        self.tables.rollout.put_over(batch, &rollout_id(cluster, rollout.id), &rollout.record(), seen)?;
        let was_running = seen.is_some() && before.is_none();
        match (was_running, rollout.outcome) {
            (false, None) => {
                let kind = rollout.plan.kind().as_str().to_owned();
                let running = RunningRecord { id: rollout.id.as_number(), kind };
                self.tables.running.create(batch, cluster, &running)?;
            }
            (true, Some(_)) => self.tables.running.delete(batch, cluster)?,
            (false, Some(_)) | (true, None) => {}
        }
        let table = self.runs(cluster, rollout.id)?;
        for Moved { before, run } in &change.moved {
            table.put(batch, &place_id(run.place), &run.record())?;
            // Nobody else's: it is made only where there is none.
            if before.as_ref().is_some_and(|before| before.state.is_underway()) && !run.state.is_underway() {
                self.tables.under_way.delete(batch, run.address.as_str())?;
            }
            let was_left = before.as_ref().is_some_and(|before| before.cordon == Cordon::Left);
            let left = cordons::id(cluster, &run.address);
            match (was_left, run.cordon == Cordon::Left) {
                (false, true) => {
                    let record = CordonLeftRecord { operation: rollout.id.as_number(), place: run.place };
                    self.tables.cordon_left.put(batch, &left, &record)?;
                }
                (true, false) => self.tables.cordon_left.delete(batch, &left)?,
                (false, false) | (true, true) => {}
            }
        }
        self.stage_history(draft, change, by)
    }

    fn stage_history(&self, draft: &mut Draft, change: &Change, by: &Principal) -> Result<(), store::Error> {
        let rollout = &change.rollout;
        for Moved { before, run } in &change.moved {
            // That hosts are written down is no news.
            let Some(before) = before else { continue };
            if run.cordon == Cordon::Left && before.cordon != Cordon::Left {
                self.record_event(draft, &Happened::CordonLeft { rollout, run }, by)?;
            }
            if before.cordon == Cordon::Left && run.cordon == Cordon::None {
                self.record_event(draft, &Happened::CordonLifted { rollout, run }, by)?;
            }
            // One that has failed may have more to be said of it.
            if run.state.as_str() != before.state.as_str() {
                self.record_event(draft, &Happened::HostCarried { rollout, run }, by)?;
            }
        }
        for said in &change.said {
            let happened = match said {
                Said::Steered(how) => Happened::OperationSteered { rollout, how: *how },
                Said::Ended(outcome) => Happened::OperationEnded { rollout, outcome: *outcome },
            };
            self.record_event(draft, &happened, by)?;
        }
        Ok(())
    }

    /// All hosts of an operation that are done, and all that it is at or that failed.
    pub(crate) async fn hosts_told(
        &self,
        cluster: &str,
        id: RolloutId,
    ) -> Result<(Vec<String>, Vec<String>), store::Error> {
        let table = self.runs(cluster, id)?;
        let (mut done, mut in_process) = (Vec::new(), Vec::new());
        let mut next = Some(Page::full());
        while let Some(page) = next {
            let found = table.list(page).await?;
            for (place, loaded) in found.entries {
                let run = self.run_from(&table, &place, loaded.record)?;
                match run.state {
                    RunState::Done { .. } => done.push(run.address.to_string()),
                    RunState::Failed { .. } => in_process.push(run.address.to_string()),
                    state if state.is_underway() => in_process.push(run.address.to_string()),
                    _ => {}
                }
            }
            next = found.next;
        }
        Ok((done, in_process))
    }

    /// The operation that runs on a cluster.
    pub(crate) async fn running(
        &self,
        cluster: &str,
    ) -> Result<Option<(OperationKind, RolloutId)>, store::Error> {
        let Some(found) = self.tables.running.get(cluster).await? else { return Ok(None) };
        let kind = crate::record::kind(&found.record.kind)
            .map_err(|reason| unreadable(&self.tables.running, cluster, reason))?;
        Ok(Some((kind, RolloutId(found.record.id))))
    }
}

/// The original's document after a change. A host that failed stays among those that it is at, as there.
fn told(mut document: OperationRecord, change: &Change, now: String) -> OperationRecord {
    let rollout = &change.rollout;
    let state = match rollout.outcome {
        None => OperationState::InProcess,
        Some(Outcome::Finished) => OperationState::Finished,
        Some(Outcome::Failed | Outcome::Aborted) => OperationState::Failed,
    };
    state.as_str().clone_into(&mut document.status);
    document.finished_at = match (rollout.outcome, document.finished_at) {
        (None, _) => String::new(),
        (Some(_), ended) if ended.is_empty() => now,
        (Some(_), ended) => ended,
    };
    if document.hosts_under.is_some() {
        return document;
    }
    let done = match rollout.plan.kind() {
        OperationKind::Deploy => &mut document.deployed,
        OperationKind::Upgrade => &mut document.upgraded,
        OperationKind::Restart => &mut document.restarted,
    };
    let done = done.get_or_insert_default();
    for Moved { run: HostRun { address, state, .. }, .. } in &change.moved {
        let address = address.as_str();
        let is_at = state.is_underway() || matches!(state, RunState::Failed { .. });
        if !is_at {
            document.in_process.retain(|known| known != address);
        } else if !document.in_process.iter().any(|known| known == address) {
            document.in_process.push(address.to_owned());
        }
        if matches!(state, RunState::Done { .. }) {
            done.push(address.to_owned());
        }
    }
    document
}

/// What the keys of an operation's hosts begin with.
pub(crate) fn runs_prefix(cluster: &str, id: RolloutId) -> String {
    format!("{HOSTS}{cluster}/{}/", id.in_key())
}

/// The id of an operation's record.
pub(crate) fn rollout_id(cluster: &str, id: RolloutId) -> String {
    format!("{cluster}/{}", id.in_key())
}

/// The id of a host's record.
pub(crate) fn place_id(place: u64) -> String {
    format!("{place:010}")
}
