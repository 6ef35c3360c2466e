//! Carrying operations out: the house's side of them. Nothing is done to hosts here either; the engine asks what is
//! next, does it, and says what came of it.
//!
//! ```text
//! for each of running(), claim "operation/<cluster>", and:
//! advance ─► Begin(hosts)    read their boot ids, begin_hosts, then cordon, drain, errand; record_host Commanded
//!            Release(hosts)  lift their cordons; release_host
//!            Await{until}    look at the hosts under way: their gates, and what was left undone; record_host
//!            Paused, Ended   nothing
//! ```
//! Each commit is fenced by the claim, and decides anew about what is there then: who was suspended, was overtaken, or
//! asks for what is no longer next, changes nothing. After a crash, the hosts under way are what `advance` gives with
//! its answer: one that is `begun` may have been sent its command or not ([`RunState`]).

use std::collections::BTreeSet;

use base::Timestamp;
use identity::Principal;
use store::{Claim, Page};

use crate::address::HostAddress;
use crate::change::{Change, Known};
use crate::error::RolloutError;
use crate::name::ClusterName;
use crate::next::{DELETED, Next, Situation, Why, next};
use crate::operation::OperationKind;
use crate::rollout::{Rollout, RolloutId, Wish};
use crate::run::{Cordon, HostRun, Past, RunState};
use crate::service::{Fleet, unreadable};

/// How many hosts are written down in one commit.
const GATHERED_AT_ONCE: usize = 90;

/// An operation, and what it does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The operation.
    pub rollout: Rollout,
    /// Its hosts, as far as they matter now.
    pub seen: Situation,
    /// What is to be done.
    pub next: Next,
}

/// A host that is about to be begun with, as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beginning {
    /// Which.
    pub address: HostAddress,
    /// Of the boot it is in, where that matters.
    pub boot_id: Option<String>,
    /// Whether its node is cordoned already, by somebody who is not to find it uncordoned afterwards.
    pub is_cordoned: bool,
}

impl Beginning {
    /// With a host whose node nobody has cordoned.
    #[must_use]
    pub fn with(address: HostAddress, boot_id: Option<String>) -> Self {
        Self { address, boot_id, is_cordoned: false }
    }
}

/// What came of looking after a host under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostProgress {
    /// Its command was taken.
    Commanded,
    /// It has shown all that its gates ask for, and its node is not cordoned any more.
    Healthy,
    /// It does not come through, for this reason; or cannot even be begun with.
    Failed {
        /// For a person who is to do something about it.
        reason: String,
    },
    /// There is no such host any more.
    Gone,
}

impl Fleet {
    /// The operations that have not ended, one a cluster at most, ordered by their clusters' names.
    ///
    /// # Errors
    /// The store's.
    pub async fn running_operations(&self) -> Result<Vec<(ClusterName, RolloutId)>, RolloutError> {
        let mut running = Vec::new();
        let mut pages = Some(Page::full());
        while let Some(page) = pages {
            let found = self.list(&self.tables.running, page).await?;
            for (name, loaded) in found.entries {
                let cluster = name.parse::<ClusterName>();
                let cluster = cluster.map_err(|error| unreadable(&self.tables.running, &name, error));
                let id = RolloutId(loaded.record.id);
                running.extend(self.readable(cluster)?.map(|cluster| (cluster, id)));
            }
            pages = found.next;
        }
        Ok(running)
    }

    /// What an operation does next; it is not changed.
    ///
    /// # Errors
    /// [`RolloutError::NoSuchOperation`], or the store's.
    pub async fn next_step(&self, cluster: &ClusterName, id: RolloutId) -> Result<Step, RolloutError> {
        let known = self.known_rollout(cluster, id, &[]).await?;
        let known = known.ok_or_else(|| RolloutError::NoSuchOperation { cluster: cluster.clone(), id })?;
        let next = next(&known.rollout, &known.seen, self.ground.clock.now());
        Ok(Step { rollout: known.rollout, seen: known.seen, next })
    }

    /// Those operations for which there is something to do now, or whose hosts under way are to be looked at; and when
    /// the first of the others wants to be asked again. Without those on the clusters of which somebody `knows` already.
    ///
    /// # Errors
    /// The store's.
    pub async fn due_operations(
        &self,
        knows: impl Fn(&ClusterName) -> bool,
    ) -> Result<(Vec<Step>, Option<Timestamp>), RolloutError> {
        let (mut due, mut again_at) = (Vec::new(), None::<Timestamp>);
        for (cluster, id) in self.running_operations().await? {
            if knows(&cluster) {
                continue;
            }
            let step = match self.next_step(&cluster, id).await {
                // It has ended meanwhile, and was dropped.
                Err(RolloutError::NoSuchOperation { .. }) => continue,
                step => step?,
            };
            match step.next {
                Next::Paused => {}
                // Whoever works on it looks whether they are back.
                Next::Await { why: Why::Unavailable { .. }, .. } => due.push(step),
                Next::Await { until, .. } if step.seen.underway.is_empty() => {
                    again_at = Some(again_at.map_or(until, |at| at.min(until)));
                }
                _ => due.push(step),
            }
        }
        Ok((due, again_at))
    }

    /// Carries an operation on as far as that needs nothing from outside, and gives what is next then: to begin with
    /// hosts, to release some, to wait, or nothing. Stops between commits when `goes_on` says so.
    ///
    /// # Errors
    /// See [`RolloutError`].
    pub async fn advance(
        &self,
        claim: &Claim,
        cluster: &ClusterName,
        id: RolloutId,
        goes_on: impl Fn() -> bool,
    ) -> Result<Step, RolloutError> {
        loop {
            let step = self.next_step(cluster, id).await?;
            match &step.next {
                _ if !goes_on() => return Ok(step),
                Next::Gather => self.gather(claim, cluster, id, &goes_on).await?,
                Next::Settle(_) | Next::Finish(_) => {
                    let decide = |known: &Known| Ok::<_, RolloutError>(self.settled(known));
                    self.change_rollout(Some(claim), &Principal::house(), (cluster, id), &[], decide).await?;
                }
                Next::Release(_) | Next::Begin(_) | Next::Await { .. } | Next::Paused | Next::Ended(_) => {
                    return Ok(step);
                }
            }
        }
    }

    /// What is decided without asking anybody.
    pub(crate) fn settled(&self, known: &Known) -> Option<Change> {
        let now = self.ground.clock.now();
        let mut change = Change::of(&known.rollout);
        match next(&known.rollout, &known.seen, now) {
            Next::Settle(hosts) => {
                for (address, state) in hosts {
                    if let Some(run) = known.seen.run(&address).filter(|_| !change.is_full()) {
                        change.shift(run, state);
                    }
                }
            }
            Next::Finish(outcome) => change.end(outcome, now),
            _ => return None,
        }
        Some(change)
    }

    /// Begins with hosts. Gives those that were begun with: none that is not next any more, because it was paused or
    /// skipped, or there is no room. Nothing may be done to a host before.
    ///
    /// # Errors
    /// See [`RolloutError`].
    pub async fn begin_hosts(
        &self,
        claim: &Claim,
        cluster: &ClusterName,
        id: RolloutId,
        hosts: &[Beginning],
    ) -> Result<Vec<HostRun>, RolloutError> {
        let mut begun = Vec::new();
        // A cordon that was left is one operation more.
        for some in hosts.chunks(crate::change::MOVES_MAX / 2) {
            let now_begun = std::sync::Mutex::new(Vec::new());
            let decide = |known: &Known| {
                let (change, runs) = self.begins(known, some);
                *now_begun.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = runs;
                Ok::<_, RolloutError>(change)
            };
            self.change_rollout(Some(claim), &Principal::house(), (cluster, id), &[], decide).await?;
            begun.extend(now_begun.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner));
        }
        Ok(begun)
    }

    fn begins(&self, known: &Known, hosts: &[Beginning]) -> (Option<Change>, Vec<HostRun>) {
        let now = self.ground.clock.now();
        let Next::Begin(allowed) = next(&known.rollout, &known.seen, now) else { return (None, Vec::new()) };
        let allowed: BTreeSet<&HostAddress> = allowed.iter().collect();
        let mut change = Change::of(&known.rollout);
        let mut begun: Vec<HostRun> = Vec::new();
        for beginning in hosts {
            let address = &beginning.address;
            if allowed.contains(address)
                && !begun.iter().any(|run| run.address == *address)
                && let Some(run) = known.seen.run(address)
            {
                let is_ours = known.free.get(&run.place).is_some_and(|free| free.is_left_cordoned);
                let is_cordoned = beginning.is_cordoned && !is_ours;
                begun.push(change.begin(run, &Beginning { is_cordoned, ..beginning.clone() }, now));
            }
        }
        ((!begun.is_empty()).then_some(change), begun)
    }

    /// Says what came of looking after a host. Saying it twice is nothing.
    ///
    /// # Errors
    /// [`RolloutError::NotUnderWay`] when it is over with that host, and [`RolloutError`] in general.
    pub async fn record_host(
        &self,
        claim: &Claim,
        cluster: &ClusterName,
        id: RolloutId,
        address: &HostAddress,
        progress: &HostProgress,
    ) -> Result<Rollout, RolloutError> {
        let decide = |known: &Known| {
            let not = || RolloutError::NotUnderWay { cluster: cluster.clone(), id, address: address.clone() };
            let run = known.seen.run(address).ok_or_else(not)?;
            let now = self.ground.clock.now();
            let mut change = Change::of(&known.rollout);
            match (progress, &run.state) {
                (HostProgress::Commanded, RunState::Begun { boot_id, at }) => {
                    let (boot_id, begun_at) = (boot_id.clone(), *at);
                    change.shift(run, RunState::Awaiting { boot_id, begun_at, since: now });
                }
                (HostProgress::Commanded, state) if state.is_underway() => return Ok(None),
                (HostProgress::Healthy, RunState::Soaking { .. }) => return Ok(None),
                (HostProgress::Healthy, state) if state.is_underway() => {
                    let to = match known.rollout.policy.gates.soak {
                        base::Span::ZERO => RunState::Done { at: now },
                        _ => RunState::Soaking { since: now },
                    };
                    change.uncordoned(run, to);
                }
                (HostProgress::Failed { .. }, RunState::Failed { .. }) => return Ok(None),
                (HostProgress::Failed { reason }, state)
                    if state.is_underway() || *state == RunState::Waiting =>
                {
                    change.shift(run, RunState::Failed { reason: reason.clone(), at: now });
                }
                (HostProgress::Gone, RunState::Skipped { .. }) => return Ok(None),
                (HostProgress::Gone, state) if state.is_underway() || *state == RunState::Waiting => {
                    // Whoever lets its container manager forget it sees to its node.
                    let to = RunState::Skipped { reason: DELETED.into(), at: now };
                    change.released(run, Cordon::None, Some(to));
                }
                _ => return Err(not()),
            }
            Ok(Some(change))
        };
        self.change_rollout(Some(claim), &Principal::house(), (cluster, id), &[], decide).await
    }

    /// Says that a host's cordon was lifted, or that it `stays` for this reason, and is to be lifted later
    /// ([`Fleet::cordons_left`]); what is under way when an operation is aborted is given up with that. Saying it twice is
    /// nothing.
    ///
    /// # Errors
    /// See [`RolloutError`].
    pub async fn release_host(
        &self,
        claim: &Claim,
        cluster: &ClusterName,
        id: RolloutId,
        address: &HostAddress,
        stays: Option<&str>,
    ) -> Result<Rollout, RolloutError> {
        let decide = |known: &Known| {
            let Next::Release(hosts) = next(&known.rollout, &known.seen, self.ground.clock.now()) else {
                return Ok(None);
            };
            let Some(run) = known.seen.run(address).filter(|_| hosts.contains(address)) else {
                return Ok(None);
            };
            let mut change = Change::of(&known.rollout);
            let stays = stays.filter(|_| run.cordon != Cordon::None);
            let cordon = if stays.is_some() { Cordon::Left } else { Cordon::None };
            let told = |reason: &str| match stays {
                Some(why) => format!("{reason}; {CORDON_STAYS}: {why}"),
                None => reason.to_owned(),
            };
            let to = match &run.state {
                state if state.is_underway() => {
                    debug_assert_eq!(known.rollout.wish, Wish::Abort);
                    let reason = told(&given_up(known.rollout.plan.kind(), state));
                    Some(RunState::Failed { reason, at: self.ground.clock.now() })
                }
                RunState::Failed { reason, at } => Some(RunState::Failed { reason: told(reason), at: *at }),
                _ => None,
            };
            change.released(run, cordon, to);
            Ok::<_, RolloutError>(Some(change))
        };
        self.change_rollout(Some(claim), &Principal::house(), (cluster, id), &[], decide).await
    }

    /// Writes down the hosts of an operation on a cluster with many, in order, some at a time. Where it was
    /// interrupted, it goes on with those that are not there yet.
    async fn gather(
        &self,
        claim: &Claim,
        cluster: &ClusterName,
        id: RolloutId,
        goes_on: &impl Fn() -> bool,
    ) -> Result<(), RolloutError> {
        let table = self.runs(cluster.as_str(), id)?;
        let written: BTreeSet<String> =
            table.all().await?.into_iter().map(|(_, loaded)| loaded.record.address).collect();
        let hosts = self.hosts_of(cluster.as_str()).await?;
        let left: Vec<HostAddress> =
            hosts.into_iter().filter(|host| !written.contains(host.as_str())).collect();
        let mut place = written.len() as u64;
        let mut chunks = left.chunks(GATHERED_AT_ONCE).peekable();
        loop {
            let some = chunks.next().unwrap_or_default();
            let is_last = chunks.peek().is_none();
            let decide = |known: &Known| {
                let rollout = &known.rollout;
                // Only holders of the claim gather, so this is never otherwise while it is held.
                if rollout.is_gathered || rollout.gathered != place || rollout.outcome.is_some() {
                    return Ok::<_, RolloutError>(None);
                }
                let mut change = Change::of(rollout);
                change.gather(gathered(some, place));
                if is_last {
                    change.rollout.is_gathered = true;
                    change.rollout.total = change.rollout.gathered;
                }
                Ok(Some(change))
            };
            let who = Principal::house();
            let after = self.change_rollout(Some(claim), &who, (cluster, id), &[], decide).await?;
            place += some.len() as u64;
            if is_last || after.gathered != place || after.outcome.is_some() || !goes_on() {
                return Ok(());
            }
        }
    }
}

/// What is said of a host whose node stays cordoned.
const CORDON_STAYS: &str =
    "the cordon of its node could not be lifted then, which is tried again until it is";

/// Why a host has not come through that is in `state` when its operation is aborted.
fn given_up(kind: OperationKind, state: &RunState) -> String {
    let goes_on = match kind {
        OperationKind::Restart => "it may still go down and come back",
        OperationKind::Upgrade | OperationKind::Deploy => "it may still go on there",
    };
    match state {
        RunState::Soaking { .. } => {
            "the operation was aborted while the host, which was well, was being watched".into()
        }
        RunState::Awaiting { .. } => {
            // One that is tried again may have done it before.
            format!(
                "the operation was aborted before the host had shown that it is well; a {} that it was sent is not \
                 recalled: {goes_on}",
                kind.as_str()
            )
        }
        _ => format!(
            "the operation was aborted when the host was begun with; if its {} was sent by then, that is not recalled: \
             {goes_on}",
            kind.as_str()
        ),
    }
}

/// Hosts that wait, from this place on.
pub(crate) fn gathered(hosts: &[HostAddress], from: u64) -> impl Iterator<Item = HostRun> {
    hosts.iter().zip(from..).map(|(address, place)| HostRun {
        place,
        address: address.clone(),
        state: RunState::Waiting,
        cordon: Cordon::None,
        past: Past::default(),
    })
}

impl Situation {
    /// One of the hosts that are known.
    #[must_use]
    pub fn run(&self, address: &HostAddress) -> Option<&HostRun> {
        let waiting = self.waiting.iter().map(|candidate| &candidate.run);
        self.underway.iter().chain(&self.failed).chain(waiting).find(|run| run.address == *address)
    }
}
