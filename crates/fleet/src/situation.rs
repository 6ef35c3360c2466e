//! What has to be known to decide what an operation does next, read from the store. How much that is depends on how
//! many hosts are under way, not on how many there are.

use std::collections::BTreeMap;

use futures_util::future::{join_all, try_join3};
use store::{Batch, Page, Table, Vacancy, Version};

use crate::address::HostAddress;
use crate::change::{Known, place_id};
use crate::cordons;
use crate::host::HostStatus;
use crate::name::ClusterName;
use crate::next::{Candidate, Situation, Unfit};
use crate::operation::OperationKind;
use crate::record::{HostRecord, HostRunRecord, UnderWayRecord};
use crate::rollout::{Rollout, RolloutId, Wish};
use crate::run::{Cordon, HostRun, RunState};
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

/// What whoever works on a host claims.
#[must_use]
pub fn claim_on(host: &HostAddress) -> String {
    format!("host/{host}")
}

/// That nobody is at work on a host.
pub(crate) struct Free {
    /// Nobody makes it ready.
    claim: Vacancy,
    /// Nobody has it under way; what an operation left that is over.
    mark: Option<Version>,
    /// Whether its node has a cordon that an earlier operation could not lift: it is ours.
    pub(crate) is_left_cordoned: bool,
}

impl Fleet {
    /// Has the host of `run` under way in `rollout`, unless somebody else has begun with it since.
    pub(crate) fn stage_under_way(
        &self,
        batch: &mut Batch,
        (rollout, run): (&Rollout, &HostRun),
        free: &Free,
    ) -> Result<(), store::Error> {
        free.claim.expect(batch);
        let mark = UnderWayRecord { cluster: rollout.cluster.to_string(), operation: rollout.id.as_number() };
        self.tables.under_way.put_over(batch, run.address.as_str(), &mark, free.mark)
    }

    /// Whether nobody is at work on a host that waits in `rollout`.
    async fn free(&self, rollout: &Rollout, address: &HostAddress) -> Result<Option<Free>, store::Error> {
        let claim = claim_on(address);
        let claim = self.claims.vacancy(&claim, self.ground.clock.now());
        let mark = self.tables.under_way.get(address.as_str());
        let left = cordons::id(rollout.cluster.as_str(), address);
        let left = self.tables.cordon_left.get(&left);
        let (claim, mark, left) = try_join3(claim, mark, left).await?;
        let mark = match mark {
            None => None,
            Some(mark) => {
                let UnderWayRecord { cluster, operation } = mark.record;
                let is_ours = cluster == rollout.cluster.as_str() && operation == rollout.id.as_number();
                let of = self.loaded_rollout(&cluster, RolloutId(operation)).await?;
                if !is_ours && of.is_some_and(|of| of.record.outcome.is_none()) {
                    return Ok(None);
                }
                Some(mark.version)
            }
        };
        let is_left_cordoned = left.is_some();
        Ok(claim.map(|claim| Free { claim, mark, is_left_cordoned }))
    }

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
        let mut free = BTreeMap::new();
        if rollout.outcome.is_none() {
            seen.underway = self.runs_at(&rollout, rollout.underway.iter().copied()).await?;
            let surroundings = self.surroundings(cluster).await?;
            (seen.waiting, free) = self.candidates_of(&mut rollout, &surroundings).await?;
            if rollout.policy.max_unavailable.is_some() && !seen.waiting.is_empty() {
                seen.unavailable = self.unavailable(cluster, &seen, &surroundings).await?;
            }
        }
        Ok(Some(Known { rollout, version: found.version, seen, asked, free }))
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
    ) -> Result<(Vec<Candidate>, BTreeMap<u64, Free>), store::Error> {
        let wanted = wanted(rollout);
        if wanted == 0 {
            return Ok(<_>::default());
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
        let rollout = &*rollout;
        let found = waiting.into_iter().map(|run| self.candidate(run, rollout, surroundings));
        let (mut candidates, mut all_free) = (Vec::new(), BTreeMap::new());
        for found in join_all(found).await {
            let (candidate, free) = found?;
            all_free.extend(free.map(|free| (candidate.run.place, free)));
            candidates.push(candidate);
        }
        Ok((candidates, all_free))
    }

    /// A host that waits, and that nobody is at work on it, if so.
    async fn candidate(
        &self,
        run: HostRun,
        rollout: &Rollout,
        surroundings: &Surroundings,
    ) -> Result<(Candidate, Option<Free>), store::Error> {
        let is_deployment = rollout.plan.kind() == OperationKind::Deploy;
        let free = self.free(rollout, &run.address).await?;
        let is_busy = free.is_none();
        let found = match self.tables.host.get(run.address.as_str()).await {
            // Whoever gets to it will say what is wrong with it.
            Err(store::Error::Record { .. }) => {
                return Ok((Candidate { run, is_available: false, unfit: None, is_busy }, free));
            }
            found => found?.map(|found| found.record),
        };
        let (unfit, is_available) = match &found {
            None => (Some(Unfit::Deleted), false),
            Some(host) if !surroundings.has(host) => (Some(Unfit::Left), false),
            Some(host) if is_deployment && host.atomic == Some(false) => (Some(Unfit::NotAtomic), true),
            Some(host) => (None, self.answers(&run.address).await? && surroundings.is_available(host)),
        };
        Ok((Candidate { run, is_available, unfit, is_busy }, free))
    }

    /// Whether a host answered when it was looked at last, as far as is known.
    async fn answers(&self, address: &HostAddress) -> Result<bool, store::Error> {
        let care = self.readable(self.tables.care.get(address.as_str()).await)?.flatten();
        Ok(care.is_none_or(|care| care.record.silences == 0))
    }

    /// How many hosts of the cluster count as available that do not answer: they have not been silent for long.
    async fn silent(&self, surroundings: &Surroundings, ours: &[&str]) -> Result<u64, store::Error> {
        let (mut silent, mut next) = (Vec::new(), Some(Page::full()));
        while let Some(page) = next {
            let found = self.list(&self.tables.care, page).await?;
            let entries = found.entries.into_iter();
            silent.extend(entries.filter(|(_, care)| care.record.silences > 0).map(|(address, _)| address));
            next = found.next;
        }
        silent.retain(|address| !ours.contains(&address.as_str()));
        let mut count = 0;
        for host in join_all(silent.iter().map(|address| self.tables.host.get(address))).await {
            let host = self.readable(host)?.flatten();
            count += u64::from(host.is_some_and(|host| {
                surroundings.has(&host.record) && surroundings.is_available(&host.record)
            }));
        }
        Ok(count)
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

    /// How many hosts of the cluster are unavailable, besides those under way. Who failed and has come back is there
    /// again, unless nothing runs on it because its node stays cordoned.
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
        let hosts = |runs: Vec<&HostRun>| {
            let get = |run: &HostRun| {
                let address = run.address.clone();
                async move { self.readable(self.tables.host.get(address.as_str()).await) }
            };
            join_all(runs.into_iter().map(get))
        };
        let mut counted = 0;
        for host in hosts(seen.underway.iter().collect()).await {
            let host = host?.flatten().map(|host| host.record);
            counted += u64::from(
                host.is_some_and(|host| surroundings.has(&host) && !surroundings.is_available(&host)),
            );
        }
        let cordoned: Vec<&HostRun> = seen.failed.iter().filter(|run| run.cordon == Cordon::Left).collect();
        let mut others = 0;
        for host in hosts(cordoned.clone()).await {
            let host = host?.flatten().map(|host| host.record);
            others += u64::from(
                host.is_some_and(|host| surroundings.has(&host) && surroundings.is_available(&host)),
            );
        }
        // Whoever is counted already is not counted again for being silent.
        let ours = seen.underway.iter().chain(cordoned).map(|run| run.address.as_str());
        others += self.silent(surroundings, &ours.collect::<Vec<_>>()).await?;
        Ok((tally.total().saturating_sub(available) + others).saturating_sub(counted))
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
