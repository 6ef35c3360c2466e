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

use super::{Halt, NO_WORD, Pace, Visit, brief, troubled};

/// What tells a boot from the others (`random(4)`).
const BOOT_ID: &str = "cat /proc/sys/kernel/random/boot_id";
/// Tells why a restart that was begun apart has failed, and fails where it has not (`data/commands.toml` of `fleet`).
const NOT_RESTARTED: &str = "cat /run/provost/not-restarted >&2 && exit 0; exit 1";
/// What a host lacks that says nothing.
const SILENT: &str = "it does not answer";
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
/// How often it is knocked at meanwhile.
const KNOCKS_APART: Duration = Duration::from_millis(100);
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
        let mut way = Way { target: self.way_in().await?, since: Instant::now(), took: None };
        let mut refused_since = None;
        let mut is_near = true;
        let pace = Pace::new(10, 100, 2_000);
        let mut gates_pace = None;
        // What it is now, as far as it was asked.
        let mut found: Option<Findings> = None;
        let is_by_playbooks = self.crew.hands.playbooks.is_some();
        let still_there = if is_by_playbooks { STILL_THERE_FOR_PLAYBOOKS } else { STILL_THERE };
        let is_restart = self.rollout.plan == Plan::Restart;
        loop {
            self.refresh(&mut way).await?;
            if is_by_playbooks && is_restart && is_near {
                let limit = (pace.since.elapsed() / 2).clamp(GOES_DOWN[0], GOES_DOWN[1]);
                if self.until_away(&way, limit).await? {
                    is_near = false;
                    self.lacks(SILENT);
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
                    is_near = false;
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
            match self.observe(run, &way.target, boot_id).await? {
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
    async fn observe(&self, run: &HostRun, target: &Target, boot_id: String) -> Result<Lacks, Halt> {
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
            let deadline = COMMAND.min(self.left().saturating_sub(ENDING)).max(ENDING);
            let hangs = format!("the gate `{}` did not end within {} s", brief(text), deadline.as_secs());
            self.lacks(hangs.as_str());
            let command = Command::new(text.as_str()).deadline(deadline).keep(Keep::ends(4 * 1024));
            let ran = self.within(self.crew.hands.remote.run(target, &command)).await?;
            (seen.command, says) = match ran {
                Ok(output) => (Some(output.is_success()), words(&output)),
                Err(ssh::Error::Overdue { .. }) => {
                    return Ok(Lacks::Gate(format!("{hangs}, and was ended there; see what it waits for")));
                }
                Err(error) => (None, super::why(&self.address, &error)),
            };
        }
        Ok(match missing(plan, gates, &run.state, &seen) {
            None => Lacks::Nothing,
            Some(what) if says.is_empty() => Lacks::Gate(what.to_owned()),
            Some(what) => Lacks::Gate(format!("{what}: {says}")),
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
                let reason = SILENT.to_owned();
                *self.silence.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason.clone());
                Err(Halt::Later(reason))
            }
        }
    }

    /// Waits until nobody listens there any more, no longer than this; whether that is so.
    async fn until_away(&self, way: &Way, limit: Duration) -> Result<bool, Halt> {
        let begun = Instant::now();
        while begun.elapsed() < limit {
            if !self.within(self.crew.hands.remote.knock(&way.target, SLOW)).await? {
                return Ok(true);
            }
            self.pause(KNOCKS_APART).await?;
        }
        Ok(false)
    }

    /// Waits until somebody listens there.
    async fn until_back(&self, way: &mut Way, since: &Pace) -> Result<(), Halt> {
        let pace = Pace { since: since.since, ..Pace::new(200, 100, 2_000) };
        loop {
            self.pause(pace.pause()).await?;
            let limit = pace.pause().max(way.took.map_or(SLOW, |took| took * KNOCK).min(SLOW));
            if self.within(self.crew.hands.remote.knock(&way.target, limit)).await? {
                return Ok(());
            }
            self.refresh(way).await?;
        }
    }

    /// Looks now and then whether the host is still ours, and how to get into it.
    async fn refresh(&self, way: &mut Way) -> Result<(), Halt> {
        if way.since.elapsed() >= KNOWN_FOR {
            *way = Way { target: self.way_in().await?, since: Instant::now(), took: way.took };
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
}

/// What a host lacks.
enum Lacks {
    Nothing,
    /// It is still in the boot before.
    Restart(String),
    Gate(String),
}

fn words(output: &Output) -> String {
    if output.is_success() { String::new() } else { output.last_words() }
}
