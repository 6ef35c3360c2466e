//! What has to be known to decide what an operation does next, read from the store. How much that is depends on how
//! many hosts are under way, not on how many there are.

use futures_util::future::join_all;
use store::{Page, Table};

use crate::change::{Known, place_id};
use crate::host::HostStatus;
use crate::name::ClusterName;
use crate::next::{Candidate, Situation, Unfit};
use crate::operation::OperationKind;
use crate::record::{HostRecord, HostRunRecord};
use crate::rollout::{Rollout, RolloutId, Wish};
use crate::run::{HostRun, RunState};
use crate::service::Fleet;

/// How many hosts that wait are looked at, at most.
const CANDIDATES_MAX: u64 = 64;

/// What matters of a cluster.
struct Surroundings {
    name: String,
    is_managed: bool,
}

impl Surroundings {
    fn has(&self, host: &HostRecord) -> bool {
        host.cluster.as_deref() == Some(&self.name)
    }

    /// As [`ClusterView::counts`](crate::ClusterView::counts) says.
    fn is_available(&self, host: &HostRecord) -> bool {
        match HostStatus::from(host.status.as_str()) {
            HostStatus::Active => true,
            HostStatus::Disassociated => !self.is_managed,
            _ => false,
        }
    }
}

impl Fleet {
    /// An operation, and what has to be known about it; `None` when there is no such operation.
    pub(crate) async fn known_rollout(
        &self,
        cluster: &ClusterName,
        id: RolloutId,
        asked: &[u64],
    ) -> Result<Option<Known>, store::Error> {
        // First: if it is still the same when something is committed, all that is read after it is of one moment.
        let Some(found) = self.loaded_rollout(cluster.as_str(), id).await? else { return Ok(None) };
        let mut rollout = found.record;
        let asked = self.runs_at(&rollout, asked.iter().copied()).await?;
        let mut seen = Situation {
            failed: self.runs_at(&rollout, rollout.failed.iter().copied()).await?,
            ..Situation::default()
        };
        if rollout.outcome.is_none() {
            seen.underway = self.runs_at(&rollout, rollout.underway.iter().copied()).await?;
            let surroundings = self.surroundings(cluster).await?;
            seen.waiting = self.candidates_of(&mut rollout, &surroundings).await?;
            if rollout.policy.max_unavailable.is_some() && !seen.waiting.is_empty() {
                seen.unavailable = self.unavailable(cluster, &seen, &surroundings).await?;
            }
        }
        Ok(Some(Known { rollout, version: found.version, seen, asked }))
    }

    async fn surroundings(&self, cluster: &ClusterName) -> Result<Surroundings, store::Error> {
        let found = self.tables.cluster.get(cluster.as_str()).await?;
        let is_managed = found.is_some_and(|found| !found.record.container_manager.is_empty());
        Ok(Surroundings { name: cluster.to_string(), is_managed })
    }

    /// The hosts that may be next. Moves the operation's cursor to the first that waits.
    async fn candidates_of(
        &self,
        rollout: &mut Rollout,
        surroundings: &Surroundings,
    ) -> Result<Vec<Candidate>, store::Error> {
        let wanted = wanted(rollout);
        if wanted == 0 {
            return Ok(Vec::new());
        }
        let table = self.runs(rollout.cluster.as_str(), rollout.id)?;
        let mut waiting: Vec<HostRun> = Vec::new();
        let after = rollout.cursor.checked_sub(1).map(|before| table.key(&place_id(before))).transpose()?;
        let mut next = Some(Page { after, limit: wanted });
        while let Some(page) = next
            && waiting.len() < wanted
        {
            let found = table.list(page).await?;
            self.take_waiting(&table, found.entries, &mut waiting)?;
            // Behind those that were looked at first, long stretches may be done.
            next = found.next.map(|page| Page { limit: store::PAGE_ENTRIES_MAX, ..page });
        }
        waiting.truncate(wanted);
        rollout.cursor = waiting.first().map_or(rollout.gathered, |run| run.place);
        let hosts = join_all(waiting.iter().map(|run| self.tables.host.get(run.address.as_str()))).await;
        let is_deployment = rollout.plan.kind() == OperationKind::Deploy;
        waiting
            .into_iter()
            .zip(hosts)
            .map(|(run, host)| {
                let host = match host {
                    Ok(found) => found.map(|found| found.record).filter(|host| surroundings.has(host)),
                    // Whoever gets to it will say what is wrong with it.
                    Err(store::Error::Record { .. }) => {
                        return Ok(Candidate { run, is_available: false, unfit: None });
                    }
                    Err(error) => return Err(error),
                };
                let unfit = match &host {
                    None => Some(Unfit::Left),
                    Some(host) if is_deployment && host.atomic == Some(false) => Some(Unfit::NotAtomic),
                    Some(_) => None,
                };
                let is_available = host.is_some_and(|host| surroundings.is_available(&host));
                Ok(Candidate { run, is_available, unfit })
            })
            .collect()
    }

    fn take_waiting(
        &self,
        table: &Table<HostRunRecord>,
        entries: Vec<(String, store::Loaded<HostRunRecord>)>,
        waiting: &mut Vec<HostRun>,
    ) -> Result<(), store::Error> {
        for (place, loaded) in entries {
            let run = self.run_from(table, &place, loaded.record)?;
            if run.state == RunState::Waiting {
                waiting.push(run);
            }
        }
        Ok(())
    }

    /// How many hosts of the cluster are unavailable, besides those under way and those that failed.
    async fn unavailable(
        &self,
        cluster: &ClusterName,
        seen: &Situation,
        surroundings: &Surroundings,
    ) -> Result<u64, store::Error> {
        let tally = self.tally(cluster.as_str()).await?;
        let mut available = tally.count(&HostStatus::Active);
        if !surroundings.is_managed {
            available += tally.count(&HostStatus::Disassociated);
        }
        let ours = seen.underway.iter().chain(&seen.failed);
        let hosts = join_all(ours.map(|run| self.tables.host.get(run.address.as_str()))).await;
        let mut counted = 0;
        for host in hosts {
            if let Some(host) = self.readable(host)?.flatten()
                && surroundings.has(&host.record)
                && !surroundings.is_available(&host.record)
            {
                counted += 1;
            }
        }
        Ok(tally.total().saturating_sub(available).saturating_sub(counted))
    }
}

/// How many hosts that wait have to be looked at.
fn wanted(rollout: &Rollout) -> usize {
    let is_over = rollout.is_stopped() || rollout.wish != Wish::Run || rollout.waiting() == 0;
    if is_over || !rollout.is_gathered {
        return 0;
    }
    let wanted = match rollout.policy.max_unavailable {
        // Those in front may be in need of room that others are not.
        Some(_) if rollout.room() > 0 => CANDIDATES_MAX,
        Some(_) | None => rollout.room().min(CANDIDATES_MAX),
    };
    usize::try_from(wanted).unwrap_or(usize::MAX)
}
