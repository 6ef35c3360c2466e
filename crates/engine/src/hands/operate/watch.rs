//! A host whose command was taken is watched until it is well.
//!
//! One that is away is knocked at: at first five times a second, later less and less often, but always so that what it
//! takes to notice that it is back is a small part of the time that it was away. A knock that nobody answers is soon
//! given up: the packet is lost, and the system would only send it again a second later.
//!
//! A playbook takes seconds for whatever it asks. So it asks everything at once, and not while a knock can tell as much:
//! whether the host has gone down, and whether it is back.

use std::sync::PoisonError;
use std::time::Duration;

use fleet::{Cordon, Findings, Gates, HostRun, Observed, PROBE, PROBE_BYTES_MAX, Plan, missing};
use ssh::{Command, Keep, Output, Target};
use tokio::time::{Instant, timeout};

use super::{Halt, NO_ANSWER, NO_WORD, Pace, Visit, brief, troubled, unheard};

/// What tells a boot from the others (`random(4)`).
const BOOT_ID: &str = "cat /proc/sys/kernel/random/boot_id";
/// Tells why a restart that was begun apart has failed, and fails where it has not (`data/commands.toml` of `fleet`).
const NOT_RESTARTED: &str = "cat /run/provost/not-restarted >&2 && exit 0; exit 1";
/// How long a host that is told to restart is there usually, at most.
const STILL_THERE: Duration = Duration::from_secs(2);
/// The same where playbooks ask, each of which takes seconds.
const STILL_THERE_FOR_PLAYBOOKS: Duration = Duration::from_secs(30);
/// How long a host that has just answered may take to answer again, at least and at most; it may have gone down meanwhile,
/// and nobody tells. One that is only slow is asked again without such haste.
const ANSWER: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(2)];
/// How long it is waited until a host that is told to restart has gone down, before a playbook asks whether it was back
/// before that was noticed: half of the time that it has had, at least and at most.
const GOES_DOWN: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(10)];
/// How often it is knocked at meanwhile: servers shut out who comes and says nothing more often than that (OpenSSH's
/// `PerSourcePenalties`).
const KNOCKS_APART: Duration = Duration::from_secs(1);
/// How long it is knocked at in vain where no knock was ever answered, before a playbook is asked: it may go another way.
const IN_VAIN: Duration = Duration::from_secs(15);
/// How long any other may take, signing in included.
const SIGN_IN: Duration = Duration::from_secs(60);
/// How often it is looked whether the host is still ours.
const KNOWN_FOR: Duration = Duration::from_secs(5);
/// For how long a host may refuse to let us in after it came back: it may not have finished its start.
const REFUSED_MAX: Duration = Duration::from_secs(60);
/// How long the operator's command may take each time.
const COMMAND: Duration = Duration::from_secs(60);
/// How long it takes at most to end a command that hangs.
const ENDING: Duration = Duration::from_secs(3);
/// How long a knock may take at least, in times that the host took to answer when it was there.
const KNOCK: u32 = 4;
/// The same, of a host that has not answered yet.
const SLOW: Duration = Duration::from_millis(500);

impl Visit {
    /// Waits until the host has shown what the gates ask for, and lifts its cordon.
    pub(super) async fn watch(&self, run: &HostRun) -> Result<(), Halt> {
        let mut way =
            Way { target: self.way_in().await?, since: Instant::now(), took: None, is_heard: false };
        let mut refused_since = None;
        let (mut is_near, mut may_go_down) = (true, self.rollout.plan == Plan::Restart);
        let pace = Pace::new(10, 100, 2_000);
        let mut gates_pace = None;
        let mut tries = Tries::default();
        // What it is now, as far as it was asked.
        let mut found: Option<Findings> = None;
        let is_by_playbooks = self.crew.hands.playbooks.is_some();
        let still_there = if is_by_playbooks { STILL_THERE_FOR_PLAYBOOKS } else { STILL_THERE };
        loop {
            self.refresh(&mut way).await?;
            if is_by_playbooks && may_go_down && is_near {
                let limit = (pace.since.elapsed() / 2).clamp(GOES_DOWN[0], GOES_DOWN[1]);
                if self.until_away(&mut way, limit).await? {
                    (is_near, refused_since) = (false, None);
                    self.until_back(&mut way, &pace).await?;
                }
            }
            let limit = match (is_near && !is_by_playbooks, way.took) {
                (true, Some(took)) => (took * KNOCK).clamp(ANSWER[0], ANSWER[1]),
                (true, None) => SLOW,
                (false, _) => SIGN_IN,
            };
            let asked = Instant::now();
            // One that is back is asked about all of itself at once: another question would take its time.
            let asks_all = is_by_playbooks || !is_near;
            let boot_id = match self.boot_id(&way.target, limit, asks_all).await {
                Ok((boot_id, findings)) => {
                    found = findings.or(found).filter(|found| found.boot_id == boot_id);
                    boot_id
                }
                Err(Halt::Later(reason)) => {
                    (is_near, refused_since) = (false, None);
                    // Nobody may answer on it any more, not even that it is dead.
                    self.crew.hands.remote.forget(&way.target);
                    self.lacks(reason);
                    self.until_back(&mut way, &pace).await?;
                    continue;
                }
                Err(Halt::Failed(reason)) => {
                    let since = *refused_since.get_or_insert_with(Instant::now);
                    if since.elapsed() >= REFUSED_MAX {
                        return Err(Halt::Failed(reason));
                    }
                    self.lacks(reason);
                    self.pause(Duration::from_secs(1)).await?;
                    continue;
                }
                Err(halt) => return Err(halt),
            };
            (is_near, refused_since) = (true, None);
            way.took = Some(way.took.map_or(asked.elapsed(), |took| took.min(asked.elapsed())));
            match self.observe(run, &way.target, boot_id, &mut tries).await? {
                Lacks::Nothing => break,
                Lacks::Restart(what) => {
                    self.lacks(what);
                    if pace.since.elapsed() >= still_there
                        && let Some(said) = self.not_restarted(&way.target).await?
                    {
                        return Err(Halt::Failed(format!("its restart failed: {said}")));
                    }
                    self.pause(pace.pause()).await?;
                }
                Lacks::Gate(what) => {
                    may_go_down = false;
                    self.lacks(what);
                    let pace = gates_pace.get_or_insert_with(|| Pace::new(10, 250, 5_000));
                    self.pause(pace.pause()).await?;
                }
            }
        }
        if run.cordon != Cordon::None {
            let pace = Pace::patient();
            self.lacks(NO_WORD);
            while let Err(halt) = self.uncordon().await {
                self.bear(halt, pace.pause()).await?;
            }
        }
        self.look_after(&way.target, found).await
    }

    /// What the host's command for restarts complained of, if it failed: nobody listened any more then.
    async fn not_restarted(&self, target: &Target) -> Result<Option<String>, Halt> {
        let command = Command::new(NOT_RESTARTED).deadline(ANSWER[1]).keep(Keep::ends(4 * 1024));
        let asked = self.within(self.crew.hands.remote.run(target, &command)).await?;
        // Otherwise it may be on its way down.
        Ok(asked.ok().filter(Output::is_success).map(|output| output.last_words()))
    }

    /// What of the gates is still missing.
    async fn observe(
        &self,
        run: &HostRun,
        target: &Target,
        boot_id: String,
        tries: &mut Tries,
    ) -> Result<Lacks, Halt> {
        let (plan, gates) = (&self.rollout.plan, &self.rollout.policy.gates);
        let none = Gates { node_ready: false, command: None, ..gates.clone() };
        let mut seen = Observed { boot_id: Some(boot_id.clone()), ..Observed::default() };
        if let Some(what) = missing(plan, &none, &run.state, &seen) {
            return Ok(Lacks::Restart(what.to_owned()));
        }
        let mut says = String::new();
        if gates.node_ready {
            self.lacks(NO_WORD);
            match self.within(self.wards.look(self.ward())).await? {
                Ok(None) => {}
                Ok(Some(node)) => {
                    // What is said of the boot before says nothing of this one.
                    let is_of_now = node.boot_id.is_none_or(|its| its == boot_id);
                    seen.node_ready = Some(node.is_ready && is_of_now);
                    says = if is_of_now { node.says } else { "it has not reported since".to_owned() };
                }
                // It registers itself anew at its start.
                Err(trouble) if trouble.may_pass || trouble.is_gone => {
                    return Ok(Lacks::Gate(trouble.reason));
                }
                Err(trouble) => return Err(troubled(trouble)),
            }
        }
        if let Some(text) = &gates.command
            && seen.node_ready != Some(false)
        {
            // So that there is time to say that it hangs, and to end it there.
            let left = self.left();
            let deadline = COMMAND.min(left.saturating_sub(ENDING)).max(ENDING);
            let hangs =
                |time: Duration| format!("the gate `{}` did not end within {}", brief(text), seconds(time));
            // What it said before tells more than that the last try, which may be a short one, was not over in time.
            self.lacks(tries.said.clone().unwrap_or_else(|| hangs(deadline.min(left))));
            let command = Command::new(text.as_str()).deadline(deadline).keep(Keep::ends(4 * 1024));
            let ran = self.within(self.crew.hands.remote.run(target, &command)).await?;
            (seen.command, says) = match ran {
                Ok(output) => {
                    tries.hung = Duration::ZERO;
                    (Some(output.is_success()), words(&output))
                }
                Err(ssh::Error::Overdue { .. }) => {
                    tries.hung = tries.hung.max(deadline);
                    let what = format!("{}, and was ended there; see what it waits for", hangs(tries.hung));
                    tries.said = Some(what.clone());
                    return Ok(Lacks::Gate(what));
                }
                Err(error) => (None, super::why(&self.address, &error)),
            };
        }
        Ok(match missing(plan, gates, &run.state, &seen) {
            None => Lacks::Nothing,
            Some(what) => {
                let what = if says.is_empty() { what.to_owned() } else { format!("{what}: {says}") };
                if seen.command.is_some() {
                    tries.said = Some(what.clone());
                }
                Lacks::Gate(what)
            }
        })
    }

    /// In which boot it is; and all of what it says of itself, if it is asked for that and tells.
    async fn boot_id(
        &self,
        target: &Target,
        limit: Duration,
        asks_all: bool,
    ) -> Result<(String, Option<Findings>), Halt> {
        let hands = &self.crew.hands;
        if asks_all {
            let keep = Keep { head_bytes: PROBE_BYTES_MAX + 1, tail_bytes: 0 };
            let probe = Command::new(PROBE).as_user().deadline(limit).keep(keep).say_at_most(1);
            let output = match hands.playbooks {
                Some(_) => self.answer(limit, async { Ok(hands.look(target).await?.1) }).await?,
                None => self.answer(limit, hands.remote.run(target, &probe)).await?,
            };
            if let Ok(findings) = Findings::read(&output.stdout.kept()) {
                return Ok((findings.boot_id.clone(), Some(findings)));
            }
        }
        let command = Command::new(BOOT_ID).as_user().deadline(limit).say_at_most(1);
        let output = self.answer(limit, hands.remote.run(target, &command)).await?;
        let text = String::from_utf8_lossy(&output.stdout.kept()).trim().to_owned();
        let is_one = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
        if output.is_success() && is_one {
            return Ok((text, None));
        }
        Err(Halt::Later(format!("it does not say which boot it is in: {}", output.last_words())))
    }

    /// What the host answers within this time.
    async fn answer(
        &self,
        limit: Duration,
        asked: impl Future<Output = Result<Output, ssh::Error>>,
    ) -> Result<Output, Halt> {
        let asked = self.within(timeout(limit, asked)).await?;
        match asked {
            Ok(Ok(output)) => {
                self.tried(Ok(()));
                Ok(output)
            }
            Ok(Err(error)) => {
                self.tried(Err(&error));
                Err(self.halted(error))
            }
            Err(_) => {
                let reason = NO_ANSWER.to_owned();
                // A playbook may have waited for its turn with us: a knock tells more.
                if self.crew.hands.playbooks.is_none() {
                    *self.silence.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason.clone());
                }
                Err(Halt::Later(reason))
            }
        }
    }

    /// Waits until nobody listens there any more, no longer than this; whether that is so.
    async fn until_away(&self, way: &mut Way, limit: Duration) -> Result<bool, Halt> {
        let begun = Instant::now();
        while begun.elapsed() < limit {
            match self.knock(&way.target, SLOW).await? {
                Ok(()) => way.is_heard = true,
                Err(error) => {
                    self.lacks(unheard(&self.address, &error));
                    return Ok(true);
                }
            }
            self.pause(KNOCKS_APART).await?;
        }
        Ok(false)
    }

    /// Waits until somebody listens there.
    async fn until_back(&self, way: &mut Way, since: &Pace) -> Result<(), Halt> {
        let pace = Pace { since: since.since, ..Pace::new(200, 100, 2_000) };
        let begun = Instant::now();
        let is_by_playbooks = self.crew.hands.playbooks.is_some();
        loop {
            self.pause(pace.pause()).await?;
            let limit = pace.pause().max(way.took.map_or(SLOW, |took| took * KNOCK).min(SLOW));
            match self.knock(&way.target, limit).await? {
                // Whether it lets us in is seen next.
                Ok(()) => {
                    way.is_heard = true;
                    return Ok(());
                }
                Err(error) => self.lacks(unheard(&self.address, &error)),
            }
            if is_by_playbooks && !way.is_heard && begun.elapsed() >= IN_VAIN {
                return Ok(());
            }
            self.refresh(way).await?;
        }
    }

    /// Looks now and then whether the host is still ours, and how to get into it.
    async fn refresh(&self, way: &mut Way) -> Result<(), Halt> {
        if way.since.elapsed() >= KNOWN_FOR {
            way.target = self.way_in().await?;
            way.since = Instant::now();
        }
        Ok(())
    }
}

/// The way into a host.
struct Way {
    target: Target,
    /// Since when that is known.
    since: Instant,
    /// In what time the host answered at best.
    took: Option<Duration>,
    /// Whether it was ever heard by knocking: playbooks may have a way of their own (`-J` among Ansible's options).
    is_heard: bool,
}

/// What came of trying the operator's command.
#[derive(Default)]
struct Tries {
    /// What was said of it last; absent before the first time.
    said: Option<String>,
    /// How long it hung at most since it ended last.
    hung: Duration,
}

/// What a host lacks.
enum Lacks {
    Nothing,
    /// It is still in the boot before.
    Restart(String),
    Gate(String),
}

/// Whole seconds, which have passed for certain; or what there is of the first.
fn seconds(time: Duration) -> String {
    match time.as_secs() {
        0 => format!("{:.1} s", time.as_secs_f64()),
        whole => format!("{whole} s"),
    }
}

fn words(output: &Output) -> String {
    if output.is_success() { String::new() } else { output.last_words() }
}
