//! What an operation does on one host (`fleet::next`, `fleet::HostRun`).
//!
//! ```text
//! Prepare   waits      gets in, reads the boot id, sees whether it can be done; nothing is changed on the host
//! Order     begun      cordon, drain, then the command of its operating system, which it does once (`order.rs`)
//! Watch     awaiting   until it shows what the gates ask for; then the cordon is lifted (`watch.rs`), and what the host
//!                      is now is written down
//! Release   any        the cordon is lifted, because it failed or is given up
//! ```
//! Each of them can be begun anew at any time, by any process: what it has to know is in the host's record, and what it
//! does can be done again. Nothing is written down here but keys that hosts prove; what came of it is said to whoever
//! asked. When it is to stop it does so at once, but for a request to a container manager, which is heard to its end: a
//! cordon whose fate nobody knows would come behind its own lifting.

mod order;
mod watch;

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base::{Clock, Explain};
use fleet::{Cordon, Findings, HostAddress, HostCommands, HostProgress, HostRun, Rollout, too_late};
use ssh::Target;
use store::Claim;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::Crew;
use super::reach::{NoWay, stored_key, told, why};
use super::wards::{Trouble, Ward, Wards};
use crate::reconciler::StepError;
use crate::tasks::Stop;

/// How long a look at a host may take, after signing in.
const LOOK: Duration = Duration::from_secs(30);
/// When to try again with a host that cannot be begun with yet, or whose cordon cannot be lifted yet.
const AGAIN: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(4)];
/// The longest reason that is told, in characters.
const REASON_MAX: usize = 500;
/// What a host lacks of which its container manager says nothing.
const NO_WORD: &str = "the container manager of its cluster has not answered; see that it runs, and that nothing holds up \
                       what it is asked";
/// What a host lacks that nobody hears of.
const NO_ANSWER: &str = "it does not answer";
/// How much earlier than its time is over a host is given up: so that what it lacked is told.
const HASTE: Duration = Duration::from_millis(300);

/// What is to be done.
pub(crate) enum Task {
    Prepare,
    Order(HostRun, Option<Box<Ready>>),
    Watch(HostRun),
    Release(HostRun),
}

/// What came of it.
pub(crate) enum Came {
    /// It can be begun with.
    Ready(Box<Ready>),
    /// It is further, or has failed.
    Progress(HostProgress),
    /// It has failed because nobody can get into it; `silence` is what is to be said of the host itself.
    Lost { reason: String, silence: String },
    /// Its cordon was lifted, or stays for now, for this reason.
    Released { stays: Option<String> },
    /// It was to stop.
    Stopped,
}

/// A host as it was found before anything was done to it.
pub(crate) struct Ready {
    pub(crate) boot_id: String,
    pub(crate) is_cordoned: bool,
    target: Target,
    commands: HostCommands,
}

/// Why it does not go on.
enum Halt {
    /// The host does not come through, for this reason.
    Failed(String),
    /// Not now; later, perhaps.
    Later(String),
    /// It proved another key than the pinned one.
    OtherKey(Box<ssh::HostKey>, String),
    /// There is no such host any more.
    Gone,
    /// Its time is over.
    Late,
    Stopped,
    /// We are at fault.
    Ours(StepError),
}

impl<E: std::error::Error + Send + Sync + 'static> From<E> for Halt {
    fn from(error: E) -> Self {
        Self::Ours(Box::new(error))
    }
}

/// One host of an operation, and what is needed for it.
pub(crate) struct Visit {
    pub(crate) crew: Arc<Crew>,
    pub(crate) wards: Arc<dyn Wards>,
    pub(crate) clock: Clock,
    pub(crate) claim: Claim,
    pub(crate) rollout: Arc<Rollout>,
    pub(crate) address: HostAddress,
    pub(crate) stop: Stop,
    /// Told when there is reason to look again at once.
    pub(crate) wake: Arc<Notify>,
    /// When its time is over.
    ends: Option<Instant>,
    /// What it lacks, as far as is known.
    lacks: Mutex<String>,
    /// Why nobody got into it when that was tried last; absent when somebody did.
    silence: Mutex<Option<String>>,
}

/// How often to try: at first often, then the less often the longer it takes.
struct Pace {
    since: Instant,
    /// The pause is this part of the time that has passed.
    part: u32,
    least: Duration,
    most: Duration,
}

impl Pace {
    fn new(part: u32, least_milliseconds: u64, most_milliseconds: u64) -> Self {
        let [least, most] = [least_milliseconds, most_milliseconds].map(Duration::from_millis);
        Self { since: Instant::now(), part, least, most }
    }

    /// For what is tried again until it works.
    fn patient() -> Self {
        Self::new(10, 200, 5_000)
    }

    fn pause(&self) -> Duration {
        (self.since.elapsed() / self.part).clamp(self.least, self.most)
    }
}

impl Visit {
    pub(crate) fn new(
        (crew, wards, clock): (&Arc<Crew>, &Arc<dyn Wards>, &Clock),
        (claim, rollout): (&Claim, &Arc<Rollout>),
        address: &HostAddress,
        (stop, wake): (&Stop, &Arc<Notify>),
    ) -> Self {
        Self {
            crew: Arc::clone(crew),
            wards: Arc::clone(wards),
            clock: clock.clone(),
            claim: claim.clone(),
            rollout: Arc::clone(rollout),
            address: address.clone(),
            stop: stop.clone(),
            wake: Arc::clone(wake),
            ends: None,
            lacks: Mutex::default(),
            silence: Mutex::default(),
        }
    }

    /// Does `task`.
    ///
    /// # Errors
    /// The store's, and a claim that was lost.
    pub(crate) async fn run(mut self, task: Task) -> Result<Came, StepError> {
        let (halt, state) = match task {
            Task::Prepare => {
                self.ends = Some(Instant::now() + self.limit());
                match self.prepare().await {
                    Ok(ready) => return Ok(Came::Ready(Box::new(ready))),
                    Err(halt) => (halt, None),
                }
            }
            Task::Order(run, ready) => {
                self.ends = self.end_of(&run);
                match self.order(&run, ready).await {
                    Ok(()) => return Ok(Came::Progress(HostProgress::Commanded)),
                    Err(halt) => (halt, Some(run.state)),
                }
            }
            Task::Watch(run) => {
                self.ends = self.end_of(&run);
                match self.watch(&run).await {
                    Ok(()) => return Ok(Came::Progress(HostProgress::Healthy)),
                    Err(halt) => (halt, Some(run.state)),
                }
            }
            Task::Release(run) => match self.release(&run).await {
                Ok(stays) => return Ok(Came::Released { stays }),
                Err(halt) => (halt, None),
            },
        };
        // While its command runs nobody asks whether it answers.
        let is_asked = !matches!(state, Some(fleet::RunState::Begun { .. }));
        let reason = match halt {
            Halt::Stopped => return Ok(Came::Stopped),
            Halt::Ours(error) => return Err(error),
            Halt::Gone => return Ok(Came::Progress(HostProgress::Gone)),
            Halt::Failed(reason) | Halt::Later(reason) => reason,
            Halt::OtherKey(offered, reason) => {
                if let Some(offered) = stored_key(&offered) {
                    let fleet = &self.crew.fleet;
                    fleet.record_other_key(&self.claim, &self.address, &offered, &reason).await?;
                }
                reason
            }
            Halt::Late => {
                let not_begun = || format!("it could not be begun with within {} s", self.limit().as_secs());
                let late = state.map_or_else(not_begun, |state| too_late(&self.rollout, &state));
                let lacks = self.lacks.lock().unwrap_or_else(PoisonError::into_inner);
                if lacks.is_empty() { late } else { format!("{late}: {lacks}") }
            }
        };
        let reason: String = reason.chars().take(REASON_MAX).collect();
        let (cluster, operation) = (&self.rollout.cluster, self.rollout.id);
        tracing::warn!(host = %self.address, %cluster, %operation, reason, "host does not come through");
        let silence = self.silence.into_inner().unwrap_or_else(PoisonError::into_inner);
        Ok(match silence.filter(|_| is_asked) {
            Some(silence) => Came::Lost { reason, silence },
            None => Came::Progress(HostProgress::Failed { reason }),
        })
    }

    fn ward(&self) -> Ward<'_> {
        (&self.rollout.cluster, &self.address)
    }

    /// How long one host may take.
    fn limit(&self) -> Duration {
        self.rollout.policy.host_limit(self.rollout.plan.kind()).as_duration()
    }

    /// When the time of a host under way is over.
    fn end_of(&self, run: &HostRun) -> Option<Instant> {
        let limit = self.rollout.policy.host_limit(self.rollout.plan.kind());
        let ends = (run.state.limited_since()? + limit).as_unix().saturating_mul(1_000);
        let left = u64::try_from(ends.saturating_sub(self.clock.now_milliseconds())).unwrap_or(0);
        Some(Instant::now() + Duration::from_millis(left).saturating_sub(HASTE))
    }

    /// How much of its time is left.
    fn left(&self) -> Duration {
        self.ends.map_or(LOOK, |ends| ends.saturating_duration_since(Instant::now()))
    }

    /// What it lacks now.
    fn lacks(&self, what: impl Into<String>) {
        *self.lacks.lock().unwrap_or_else(PoisonError::into_inner) = what.into();
    }

    /// It was tried to get into it.
    fn tried(&self, came: Result<(), &ssh::Error>) {
        let silence = match came {
            // That is us, who have too much to do; or it is said of the host where its key is.
            Err(ssh::Error::TimedOut { step: ssh::Step::Queue, .. } | ssh::Error::HostKeyChanged { .. }) => {
                return;
            }
            Err(error) => Some(why(&self.address, error)),
            Ok(()) => None,
        };
        *self.silence.lock().unwrap_or_else(PoisonError::into_inner) = silence;
    }

    /// Knocks at it for so long at most; why nobody listens there, if that is so, is remembered.
    async fn knock(&self, target: &Target, limit: Duration) -> Result<Result<(), ssh::Error>, Halt> {
        let knocked = self.within(self.crew.hands.remote.knock(target, limit)).await?;
        if let Err(error) = &knocked {
            let reason = unheard(&self.address, error);
            *self.silence.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason);
        }
        Ok(knocked)
    }

    /// Waits for `work`, not beyond the host's time and no longer than it is not to stop.
    async fn within<T>(&self, work: impl Future<Output = T>) -> Result<T, Halt> {
        let late = async {
            match self.ends {
                Some(ends) => sleep_until(ends).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.stop.asked() => Err(Halt::Stopped),
            done = work => Ok(done),
            () = late => Err(Halt::Late),
        }
    }

    /// Waits so long, or until there is reason to look again.
    async fn pause(&self, pause: Duration) -> Result<(), Halt> {
        self.within(async {
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.wake.notified() => {}
            }
        })
        .await
    }

    /// Waits where trying again later may help.
    async fn bear(&self, halt: Halt, pause: Duration) -> Result<(), Halt> {
        match halt {
            Halt::Later(reason) => {
                self.lacks(reason);
                self.pause(pause).await
            }
            halt => Err(halt),
        }
    }

    /// What an error on the way to the host means.
    fn halted(&self, error: ssh::Error) -> Halt {
        let reason = why(&self.address, &error);
        match error {
            ssh::Error::HostKeyChanged { offered, .. } => Halt::OtherKey(offered, reason),
            error if error.may_pass() => Halt::Later(reason),
            _ => Halt::Failed(reason),
        }
    }

    /// Looks whether it can be begun with; a few times, where waiting may help.
    async fn prepare(&self) -> Result<Ready, Halt> {
        for pause in AGAIN {
            match self.look_before().await {
                Err(Halt::Later(reason)) => {
                    self.lacks(reason);
                    self.pause(pause).await?;
                }
                done => return done,
            }
        }
        self.look_before().await
    }

    /// Gets in, and sees what the host is and whether the operation can be done on it.
    async fn look_before(&self) -> Result<Ready, Halt> {
        let hands = &self.crew.hands;
        let mut target = self.way_in().await?;
        self.lacks("it has not answered yet");
        let looked = self.within(hands.look(&target)).await?;
        self.tried(looked.as_ref().map(drop));
        let (proved, output) = looked.map_err(|error| self.halted(error))?;
        if target.known == ssh::KnownKey::Unknown {
            if let Some(key) = stored_key(&proved) {
                self.crew.fleet.record_host_key(&self.claim, &self.address, &key).await?;
            }
            target = target.pinned(proved);
        }
        let findings = Findings::read(&output.stdout.kept()).map_err(|error| failed(&error))?;
        let commands = hands.commands.of(&findings).map_err(|error| failed(&error))?;
        commands.of_plan(&self.rollout.plan).map_err(|error| failed(&error))?;
        let policy = &self.rollout.policy;
        self.lacks(NO_WORD);
        let node = match policy.drain || policy.gates.node_ready {
            true => self.within(self.wards.look(self.ward())).await?.map_err(troubled)?,
            false => None,
        };
        let is_cordoned = node.is_some_and(|node| node.is_cordoned);
        Ok(Ready { boot_id: findings.boot_id, is_cordoned, target, commands })
    }

    /// How to get into the host.
    async fn way_in(&self) -> Result<Target, Halt> {
        self.crew.way_in(&self.address).await.map_err(|no_way| match no_way {
            NoWay::Gone => Halt::Gone,
            NoWay::Unknown(reason) => Halt::Failed(reason),
            NoWay::Ours(error) => Halt::Ours(error),
        })
    }

    /// Lifts the cordon of a host, if it has one of ours; a few times, where waiting may help. Why it stays otherwise: it
    /// is lifted later then (`reconcilers/cordons.rs`).
    async fn release(&self, run: &HostRun) -> Result<Option<String>, Halt> {
        if run.cordon == Cordon::None {
            return Ok(None);
        }
        let mut pauses = AGAIN.into_iter();
        loop {
            match self.uncordon().await {
                Ok(()) => return Ok(None),
                Err(Halt::Later(reason)) => match pauses.next() {
                    Some(pause) => self.pause(pause).await?,
                    None => return Ok(Some(self.stays_cordoned(reason))),
                },
                Err(Halt::Failed(reason)) => return Ok(Some(self.stays_cordoned(reason))),
                Err(halt) => return Err(halt),
            }
        }
    }

    fn stays_cordoned(&self, reason: String) -> String {
        tracing::warn!(host = %self.address, cluster = %self.rollout.cluster, reason, "node stays cordoned for now");
        reason
    }

    async fn uncordon(&self) -> Result<(), Halt> {
        match self.wards.uncordon(self.ward()).await {
            Err(trouble) if !trouble.is_gone => Err(troubled(trouble)),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

impl Visit {
    /// Writes down what the host is now, after another look if it was not `found` yet: an upgrade changes its version and
    /// its kernel. It is well; that it does not tell is no reason to say otherwise.
    async fn look_after(&self, target: &Target, found: Option<Findings>) -> Result<(), Halt> {
        if let Some(findings) = found {
            return self.record_again(target, &findings).await;
        }
        let looked = match self.within(self.crew.hands.look(target)).await {
            // It has shown all that it had to.
            Err(Halt::Late) => return Ok(()),
            looked => looked?,
        };
        let findings = match looked {
            Ok((_, output)) => Findings::read(&output.stdout.kept()).map_err(|error| told(&error)),
            Err(error) => Err(why(&self.address, &error)),
        };
        match findings {
            Ok(findings) => self.record_again(target, &findings).await,
            Err(reason) => {
                tracing::warn!(host = %self.address, reason, "host does not tell what it is now");
                Ok(())
            }
        }
    }

    async fn record_again(&self, target: &Target, findings: &Findings) -> Result<(), Halt> {
        let found = super::make_ready::found(findings, target);
        self.crew.fleet.record_facts_again(&self.claim, &self.address, &found).await?;
        Ok(())
    }
}

/// A command, short enough to be told of: its first line, or the beginning of that.
fn brief(command: &str) -> String {
    const CHARACTERS_MAX: usize = 80;
    let line = command.trim().lines().next().unwrap_or_default().trim_end();
    let is_all = line.len() == command.trim().len() && line.chars().count() <= CHARACTERS_MAX;
    let begin: String = line.chars().filter(|c| !c.is_control()).take(CHARACTERS_MAX).collect();
    if is_all { begin } else { format!("{begin} …") }
}

/// Why nobody is heard of at a host that was knocked at; for how long that was says nothing of it.
fn unheard(address: &HostAddress, error: &ssh::Error) -> String {
    match (error, error.help()) {
        (ssh::Error::TimedOut { step: ssh::Step::Connect, .. }, Some(help)) => format!("{NO_ANSWER}; {help}"),
        (error, _) => why(address, error),
    }
}

fn failed(error: &dyn Explain) -> Halt {
    Halt::Failed(told(error))
}

fn troubled(trouble: Trouble) -> Halt {
    if trouble.may_pass { Halt::Later(trouble.reason) } else { Halt::Failed(trouble.reason) }
}
