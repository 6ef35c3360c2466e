//! Goes through one operation: asks what is next, has it done on the hosts, all of them at once, and writes down what
//! came of it.
//!
//! ```text
//!   ┌─► advance ──► begin with hosts: Prepare each, then write down that it is begun with
//!   │               look at hosts:    Order or Watch each that is under way
//!   │               release hosts:    Release each
//!   │      │
//!   └──────┴─ something came of a host · an operator wants something · its time has come
//! ```
//! All that is written is written here, one after the other: hosts that come in at the same time do not get in each
//! other's way. What there is to be done on a host follows from its record alone, so that after a crash the same is done.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use base::{Explain as _, Timestamp};
use bus::{Heard, Hint, Listener};
use fleet::{
    Beginning, ClusterName, HostAddress, HostFilter, HostProgress, HostRun, Look, Next, Rollout,
    RolloutError, RolloutId, RunState, Step, Why, Wish,
};
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use identity::Permit;
use store::Claim;
use tokio::sync::{Notify, OwnedSemaphorePermit};
use tokio::time::Instant;

use super::{Operations, is_of, until};
use crate::hands::{Came, Crew, Places, Ready, Task, Visit};
use crate::reconciler::StepError;
use crate::tasks::Stop;

/// The longest sleep: after it the clock is read again, which may have been set.
const SLEEP_MAX: Duration = Duration::from_secs(60);
/// How long after its moment it is looked at: so that the moment has surely come.
const AFTER: Duration = Duration::from_millis(20);

/// For how long it is believed that hosts are there which were, where it matters how many are.
const LOOKED_FOR: Duration = Duration::from_secs(30);
/// For how long it is believed what was found out of a host before it is begun with: its boot id, and whether its node
/// is cordoned, are what its end is judged by.
const PREPARED_FOR: Duration = Duration::from_secs(5);
/// How many hosts are read at once.
const PAGE: usize = 200;

/// How the work on an operation ended here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// It is over.
    Over,
    /// There is nothing to do for now: it is paused, or waits for its time.
    Idle,
    /// It was to stop in the middle.
    Stopped,
}

/// What is being done on a host.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Doing {
    Prepare,
    Order,
    Watch,
    Release,
}

struct Job {
    doing: Doing,
    stop: Stop,
    wake: Arc<Notify>,
}

type Working = FuturesUnordered<BoxFuture<'static, (HostAddress, Result<Came, StepError>)>>;

/// One operation that is worked on.
pub(super) struct Conductor<'a> {
    of: &'a Operations,
    claim: &'a Claim,
    cluster: &'a ClusterName,
    id: RolloutId,
    stop: &'a Stop,
    hints: Listener,
    jobs: HashMap<HostAddress, Job>,
    working: Working,
    /// What was found of hosts that were begun with, for those who give them their commands.
    ready: HashMap<HostAddress, Box<Ready>>,
    /// The places of hosts that are under way, or about to be.
    places: HashMap<HostAddress, OwnedSemaphorePermit>,
    /// Whether a host waits for a place.
    wants_place: bool,
    /// A look at all hosts of the cluster, where it matters how many of them are there.
    looking: Option<BoxFuture<'static, Result<(), StepError>>>,
    /// When such a look was over last: one that takes long is not begun anew before anything else.
    looked: Option<Instant>,
    /// Whether more hosts may be begun with, as far as such a look tells.
    may_begin: bool,
    /// Hosts that can be begun with once that may be. What is found out before changes nothing on them, and their time
    /// has begun. With since when that is so.
    prepared: HashMap<HostAddress, (Box<Ready>, Instant)>,
}

impl<'a> Conductor<'a> {
    pub(super) fn new(
        of: &'a Operations,
        claim: &'a Claim,
        (cluster, id): (&'a ClusterName, RolloutId),
        stop: &'a Stop,
    ) -> Self {
        Self {
            of,
            claim,
            cluster,
            id,
            stop,
            hints: of.bus.listen(),
            jobs: HashMap::new(),
            working: FuturesUnordered::new(),
            ready: HashMap::new(),
            places: HashMap::new(),
            wants_place: false,
            looking: None,
            looked: None,
            may_begin: false,
            prepared: HashMap::new(),
        }
    }

    /// Goes on with it until there is nothing to do any more.
    ///
    /// # Errors
    /// The store's, and a claim that was lost.
    pub(super) async fn conduct(&mut self) -> Result<Ended, StepError> {
        let ended = self.go_on().await;
        // What is in the middle of something is let come to where it can stop.
        for job in self.jobs.values() {
            job.stop.ask();
        }
        while self.working.next().await.is_some() {}
        // Nobody needs to know any more: whoever goes on looks anew.
        self.looking = None;
        ended
    }

    async fn go_on(&mut self) -> Result<Ended, StepError> {
        let fleet = Arc::clone(&self.of.crew.fleet);
        loop {
            let goes_on = || !self.stop.is_asked();
            let step = match fleet.advance(self.claim, self.cluster, self.id, goes_on).await {
                Err(RolloutError::NoSuchOperation { .. }) => return Ok(Ended::Over),
                step => step?,
            };
            if self.stop.is_asked() {
                return Ok(Ended::Stopped);
            }
            self.wants_place = false;
            let until = match &step.next {
                Next::Ended(_) => return Ok(Ended::Over),
                Next::Paused if self.jobs.is_empty() => return Ok(Ended::Idle),
                // Those that are away are looked at again from here, whoever else watches.
                Next::Await { why: Why::Unavailable { .. }, until } => Some(*until),
                Next::Await { .. } if self.jobs.is_empty() && step.seen.underway.is_empty() => {
                    return Ok(Ended::Idle);
                }
                Next::Await { until, .. } => Some(*until),
                // That is done by `advance`, unless it was to stop.
                Next::Gather | Next::Settle(_) | Next::Finish(_) => return Ok(Ended::Stopped),
                Next::Begin(_) | Next::Release(_) | Next::Paused => None,
            };
            let counts =
                matches!(step.next, Next::Begin(_) | Next::Await { why: Why::Unavailable { .. }, .. });
            let may_begin = !counts || self.has_looked(&step.rollout);
            self.set_to_work(step, may_begin);
            if !self.come_in(until).await? {
                return Ok(Ended::Stopped);
            }
        }
    }

    /// Whether it is known how many hosts of the cluster are there, if that counts; has them looked at otherwise. Who
    /// has fallen silent since the watcher came by would count as one that may do without others.
    fn has_looked(&mut self, rollout: &Rollout) -> bool {
        let crew = &self.of.crew;
        // Of those that failed here it matters whether they are back, whoever else watches.
        let is_known = crew.hands.watch_period.is_none() && rollout.failed() == 0;
        let counts = rollout.policy.max_unavailable.is_some() && !is_known;
        if !counts || self.looked.is_some_and(|looked| looked.elapsed() < LOOKED_FOR) {
            return true;
        }
        if self.looking.is_none() {
            let (crew, claim) = (Arc::clone(crew), self.claim.clone());
            let (cluster, stop) = (self.cluster.clone(), self.stop.clone());
            self.looking = Some(look_around(crew, claim, cluster, stop).boxed());
        }
        false
    }

    /// Has done on each host what is to be done there now, and nothing else. `may_begin` tells whether more hosts may be
    /// begun with: it is found out before whether they can be.
    fn set_to_work(&mut self, step: Step, may_begin: bool) {
        self.may_begin = may_begin;
        let rollout = Arc::new(step.rollout);
        let beginning = match &step.next {
            Next::Begin(hosts) => hosts.as_slice(),
            _ => &[],
        };
        let released = match &step.next {
            Next::Release(hosts) => hosts.as_slice(),
            _ => &[],
        };
        let is_busy =
            |run: &&HostRun| matches!(run.state, RunState::Begun { .. } | RunState::Awaiting { .. });
        let busy: Vec<HostRun> = match rollout.wish {
            Wish::Abort => Vec::new(),
            Wish::Run | Wish::Pause => step.seen.underway.iter().filter(is_busy).cloned().collect(),
        };
        let wanted: HashSet<&HostAddress> =
            beginning.iter().chain(released).chain(busy.iter().map(|run| &run.address)).collect();
        for (address, job) in &self.jobs {
            let is_release = job.doing == Doing::Release;
            if !wanted.contains(address) || (released.contains(address) && !is_release) {
                job.stop.ask();
            }
        }
        self.places.retain(|address, _| wanted.contains(address) || self.jobs.contains_key(address));
        self.ready.retain(|address, _| wanted.contains(address));
        let is_recent = |since: &Instant| !may_begin || since.elapsed() < PREPARED_FOR;
        self.prepared.retain(|address, (_, since)| wanted.contains(address) && is_recent(since));
        for address in released {
            if let Some(run) = step.seen.run(address) {
                self.begin_job(&rollout, address, Doing::Release, |_| Task::Release(run.clone()));
            }
        }
        for run in busy {
            if self.has_place(&run.address) {
                let (address, is_begun) = (run.address.clone(), matches!(run.state, RunState::Begun { .. }));
                let doing = if is_begun { Doing::Order } else { Doing::Watch };
                self.begin_job(&rollout, &address, doing, |ready| match is_begun {
                    true => Task::Order(run, ready),
                    false => Task::Watch(run),
                });
            }
        }
        for address in beginning {
            if self.jobs.contains_key(address) || !self.has_place(address) {
                continue;
            }
            if !self.prepared.contains_key(address) {
                self.begin_job(&rollout, address, Doing::Prepare, |_| Task::Prepare);
            } else if may_begin && let Some((ready, _)) = self.prepared.remove(address) {
                let (doing, stop, wake) = (Doing::Prepare, self.stop.part(), Arc::new(Notify::new()));
                self.jobs.insert(address.clone(), Job { doing, stop, wake });
                let address = address.clone();
                self.working.push(async move { (address, Ok(Came::Ready(ready))) }.boxed());
            }
        }
    }

    /// Whether there is a place for a host, which then has it.
    fn has_place(&mut self, address: &HostAddress) -> bool {
        if self.places.contains_key(address) {
            return true;
        }
        match Arc::clone(&self.of.places).try_acquire_owned() {
            Ok(place) => {
                self.places.insert(address.clone(), place);
                true
            }
            Err(_) => {
                self.wants_place = true;
                false
            }
        }
    }

    /// Begins with something on a host, unless something else is still being done there.
    fn begin_job(
        &mut self,
        rollout: &Arc<Rollout>,
        address: &HostAddress,
        doing: Doing,
        task: impl FnOnce(Option<Box<Ready>>) -> Task,
    ) {
        if self.jobs.contains_key(address) {
            return;
        }
        let task = task(self.ready.remove(address));
        let (stop, wake) = (self.stop.part(), Arc::new(Notify::new()));
        let of = (&self.of.crew, &self.of.wards, &self.of.clock);
        let visit = Visit::new(of, (self.claim, rollout), address, (&stop, &wake));
        self.jobs.insert(address.clone(), Job { doing, stop, wake });
        let address = address.clone();
        self.working.push(async move { (address, visit.run(task).await) }.boxed());
    }

    /// Waits until there is reason to ask anew what is next, and writes down what came of hosts. `false` when it is to
    /// stop.
    async fn come_in(&mut self, due: Option<Timestamp>) -> Result<bool, StepError> {
        loop {
            let sleep =
                due.map_or(SLEEP_MAX, |at| until(&self.of.clock, at).saturating_add(AFTER)).min(SLEEP_MAX);
            let place = async {
                match self.wants_place {
                    // Given back at once: it is taken when it is known for whom.
                    true => drop(self.of.places.acquire().await),
                    false => std::future::pending().await,
                }
            };
            let looking = async {
                match &mut self.looking {
                    Some(looking) => looking.await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.stop.asked() => return Ok(false),
                looked = looking => {
                    (self.looking, self.looked) = (None, Some(Instant::now()));
                    looked?;
                    return Ok(true);
                }
                Some((address, came)) = self.working.next() => {
                    self.note(address, came?).await?;
                    // Whoever else is there by now.
                    while let Some(Some((address, came))) = self.working.next().now_or_never() {
                        self.note(address, came?).await?;
                    }
                    return Ok(true);
                }
                heard = self.hints.next() => {
                    let is_of_us = match heard {
                        Some(Heard::Hint(hint)) => self.hears(&hint),
                        Some(Heard::Lost) | None => true,
                    };
                    if is_of_us {
                        return Ok(true);
                    }
                }
                () = place => return Ok(true),
                () = tokio::time::sleep(sleep) => return Ok(true),
            }
        }
    }

    /// Whether a hint is reason to ask anew what is next. Those about a host wake whoever is at it.
    fn hears(&self, hint: &Hint) -> bool {
        if let Some(job) =
            hint.about.strip_prefix("host ").and_then(|host| self.jobs.get(&host.parse().ok()?))
        {
            job.wake.notify_one();
        }
        is_of(hint, self.cluster)
    }

    /// A host has failed: it may go down yet, or be back, and that is looked at before others are begun with. A look that
    /// is being taken counts where nothing was done on the host.
    fn look_again(&mut self, job: Option<&Job>) {
        let is_untouched = job.is_some_and(|job| job.doing == Doing::Prepare);
        if !(is_untouched && self.looking.is_some()) {
            (self.looking, self.looked) = (None, None);
        }
    }

    /// Writes down what came of a host.
    async fn note(&mut self, address: HostAddress, came: Came) -> Result<(), StepError> {
        let (fleet, claim) = (Arc::clone(&self.of.crew.fleet), self.claim);
        let job = self.jobs.remove(&address);
        let noted = match came {
            Came::Stopped => return Ok(()),
            Came::Ready(ready) if !self.may_begin => {
                self.prepared.insert(address, (ready, Instant::now()));
                return Ok(());
            }
            Came::Ready(ready) => {
                let beginning = Beginning {
                    address: address.clone(),
                    boot_id: Some(ready.boot_id.clone()),
                    is_cordoned: ready.is_cordoned,
                };
                let begun = fleet.begin_hosts(claim, self.cluster, self.id, &[beginning]).await;
                if begun.as_ref().is_ok_and(|begun| !begun.is_empty()) {
                    self.ready.insert(address, ready);
                }
                begun.map(drop)
            }
            Came::Progress(progress) => {
                if matches!(progress, HostProgress::Failed { .. }) {
                    self.look_again(job.as_ref());
                }
                fleet.record_host(claim, self.cluster, self.id, &address, &progress).await.map(drop)
            }
            Came::Lost { reason, silence } => {
                self.look_again(job.as_ref());
                let progress = HostProgress::Failed { reason };
                let noted = fleet.record_host(claim, self.cluster, self.id, &address, &progress).await;
                if noted.is_ok() && self.of.crew.hands.watch_period.is_some() {
                    // Whoever watches would find out as well, but only later.
                    fleet.record_look(claim, &address, &Look::Lost { reason: silence }).await?;
                }
                noted.map(drop)
            }
            Came::Released { stays } => {
                fleet.release_host(claim, self.cluster, self.id, &address, stays.as_deref()).await.map(drop)
            }
        };
        match noted {
            // Its time was over, or somebody has decided otherwise: what is next is asked anew.
            Err(error @ (RolloutError::NotUnderWay { .. } | RolloutError::NoSuchOperation { .. })) => {
                tracing::debug!(kind = ?error.kind(), error = %error, "came too late");
                Ok(())
            }
            noted => Ok(noted?),
        }
    }
}

/// Looks whether the hosts of a cluster answer, but for those that are meant to be away.
async fn look_around(
    crew: Arc<Crew>,
    claim: Claim,
    cluster: ClusterName,
    stop: Stop,
) -> Result<(), StepError> {
    let filter = HostFilter { cluster: Some(cluster), ..HostFilter::default() };
    let places = Places::new(crew.hands.hosts_max);
    let mut after: Option<HostAddress> = None;
    loop {
        let page = crew.fleet.hosts(Permit::house(), &filter, after.as_ref(), PAGE).await?;
        let hosts: Vec<HostAddress> = page.hosts.into_iter().map(|host| host.is.address).collect();
        crew.look_at_all(&claim, &hosts, &places, &stop).await?;
        after = page.next;
        if after.is_none() || stop.is_asked() {
            return Ok(());
        }
    }
}
