//! One host from its first look to its last step (commissaire contract, section 9.3).
//!
//! ```text
//! investigating ──► facts, and the key it proved ──► bootstrapping ──► each step ──► disassociated or active
//!        └──────────────────────────┴───────── failed, with the reason ──────┘
//! ```
//! What is written is fenced by the claim on the host, and nothing is written about one that was deleted. A step is
//! looked at before it is done, where that can be; a process that goes on where another was interrupted leaves out
//! those that are on record for the same plan.

use std::future::Future;
use std::time::Duration;

use base::Explain;
use fleet::bootstrap::{self, Profile, Step, Surroundings, Work};
use fleet::playbook::Given;
use fleet::{Details, Findings, Found, Host, HostAddress, HostError, Network, playbook};
use identity::Permit;
use ssh::{Command, Keep, Output, Target, Upload};
use store::Claim;
use tokio::time::Instant;

use super::playbooks::{Fault, Playbooks};
use super::reach::{NoWay, stored_key, told, why};
use super::{Crew, NodesError};
use crate::reconciler::StepError;
use crate::tasks::Stop;

/// How long a look whether a step is done already may take.
const CHECK: Duration = Duration::from_secs(60);
/// How long what is being done on a host may still take when the house stops. It is done again otherwise.
const GRACE: Duration = Duration::from_secs(5);
/// How much of what a step says is kept: its last words are told.
const KEPT: Keep = Keep::ends(8 * 1024);

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Prepared {
    /// Ready, or failed with a reason; either is on record.
    Done,
    /// There is no such host any more.
    Gone,
    /// It was to stop in the middle, and goes on later.
    Stopped,
    /// Nothing was begun: somebody else is at it, or was in the meantime.
    NotNow,
}

/// Why it does not go on.
enum Halt {
    /// The host is at fault, and this is to be said of it.
    Failed(String),
    /// It proved another key than the pinned one.
    OtherKey(Box<ssh::HostKey>, String),
    Gone,
    Stopped,
    /// We are at fault.
    Ours(StepError),
}

impl<E: std::error::Error + Send + Sync + 'static> From<E> for Halt {
    fn from(error: E) -> Self {
        Self::Ours(Box::new(error))
    }
}

/// The work on one host.
pub(crate) struct Preparation<'a> {
    pub(crate) crew: &'a Crew,
    pub(crate) claim: &'a Claim,
    pub(crate) address: &'a HostAddress,
    pub(crate) stop: &'a Stop,
    /// When it has taken too long.
    pub(crate) ends: Instant,
}

impl Preparation<'_> {
    /// Does all of it.
    ///
    /// # Errors
    /// The store's, and a claim that was lost.
    pub(crate) async fn run(&self) -> Result<Prepared, StepError> {
        let (fleet, claim, address) = (&self.crew.fleet, self.claim, self.address);
        let is_there = match self.make_ready().await {
            Ok(()) => {
                tracing::info!(host = %address, "host is ready");
                true
            }
            Err(Halt::Failed(reason)) => {
                tracing::warn!(host = %address, reason, "host could not be made ready");
                fleet.record_failure(claim, address, &reason).await?
            }
            Err(Halt::OtherKey(offered, reason)) => {
                tracing::warn!(host = %address, reason, "host proved another key");
                match stored_key(&offered) {
                    Some(offered) => fleet.record_other_key(claim, address, &offered, &reason).await?,
                    None => fleet.record_failure(claim, address, &reason).await?,
                }
            }
            Err(Halt::Gone) => false,
            Err(Halt::Stopped) => return Ok(Prepared::Stopped),
            Err(Halt::Ours(error)) => return Err(error),
        };
        Ok(if is_there { Prepared::Done } else { Prepared::Gone })
    }

    async fn make_ready(&self) -> Result<(), Halt> {
        let (fleet, claim, address) = (&self.crew.fleet, self.claim, self.address);
        there(fleet.record_investigating(claim, address).await?)?;
        let (target, findings) = self.look().await?;
        let found = found(&findings, &target);
        there(fleet.record_facts(claim, address, &found).await?)?;
        let host = self.host().await?;
        self.act_as_root(&target).await?;
        let (steps, given) = self.plan(&host, &findings).await?;
        match (&self.crew.hands.playbooks, given) {
            (Some(playbooks), Some(given)) => self.play(playbooks, &target, &steps, given).await?,
            _ => self.take_all(&target, &steps).await?,
        }
        match self.register(&host).await {
            Ok(is_registered) => there(fleet.record_ready(claim, address, is_registered).await?),
            Err(error) if error.is_ours() => Err(error.into()),
            Err(error) => {
                // It is ready all the same: whoever registers nodes asks again.
                there(fleet.record_ready(claim, address, false).await?)?;
                there(fleet.record_unregistered(claim, address, &told(&error)).await?)
            }
        }
    }

    /// Sees that commands may run as root: who may not would only be told so in the middle of an operation.
    async fn act_as_root(&self, target: &Target) -> Result<(), Halt> {
        if target.is_root() {
            return Ok(());
        }
        let output = self.command(target, "true", CHECK).await?;
        if output.is_success() {
            return Ok(());
        }
        Err(Halt::Failed(format!("{} may do nothing as root there: {}", target.user, output.last_words())))
    }

    /// Takes the steps one after the other.
    async fn take_all(&self, target: &Target, steps: &[Step]) -> Result<(), Halt> {
        let (fleet, claim, address) = (&self.crew.fleet, self.claim, self.address);
        let plan = bootstrap::digest(steps);
        let done = fleet.steps_done(address, &plan).await?;
        for step in steps.iter().filter(|step| !done.contains(step.id)) {
            if self.stop.is_asked() {
                return Err(Halt::Stopped);
            }
            self.take(target, step).await?;
            there(fleet.record_step(claim, address, &plan, step.id).await?)?;
        }
        Ok(())
    }

    /// Has a playbook take the steps, which tells each that is done.
    async fn play(
        &self,
        playbooks: &Playbooks,
        target: &Target,
        steps: &[Step],
        given: Given,
    ) -> Result<(), Halt> {
        let (fleet, claim, address) = (&self.crew.fleet, self.claim, self.address);
        let plan = bootstrap::digest(steps);
        let mut done = fleet.steps_done(address, &plan).await?;
        let limit = self.crew.hands.host_limit;
        let mut run = self.remotely(playbooks.make_ready(target, given, &done, limit)).await?;
        while let Some(next) = self.remotely(playbooks.next(target, &mut run)).await? {
            // Whoever wrote the playbook may have tags of another meaning.
            if steps.iter().any(|step| step.id == next.tag) && done.insert(next.tag.clone()) {
                there(fleet.record_step(claim, address, &plan, &next.tag).await?)?;
            }
        }
        let ended = async {
            match playbooks.made_ready(target, run).await {
                Ok(_) => Ok(None),
                Err(Fault::Task(trouble)) => Ok(Some(trouble)),
                Err(Fault::Remote(error)) => Err(error),
            }
        };
        match self.remotely(ended).await? {
            None => Ok(()),
            Some(trouble) => {
                // Our own playbook calls its tasks as we call the steps.
                let step = steps.iter().find(|step| step.words == trouble.task);
                Err(Halt::Failed(not_done(&trouble) + &help(step)))
            }
        }
    }

    /// Gets in, and asks the host about itself. The target has the key that the host proved.
    async fn look(&self) -> Result<(Target, Findings), Halt> {
        let target = self.crew.way_in(self.address).await.map_err(|no_way| match no_way {
            NoWay::Gone => Halt::Gone,
            NoWay::Unknown(reason) => Halt::Failed(reason),
            NoWay::Ours(error) => Halt::Ours(error),
        })?;
        let (proved, output) = self.remotely(self.crew.hands.look(&target)).await?;
        let target = target.pinned(proved);
        let findings = Findings::read(&output.stdout.kept()).map_err(|error| {
            let words =
                if output.is_success() { String::new() } else { format!(" ({})", output.last_words()) };
            Halt::Failed(told(&error) + &words)
        })?;
        Ok((target, findings))
    }

    async fn host(&self) -> Result<Host, Halt> {
        match self.crew.fleet.host(Permit::house(), self.address).await {
            Ok(host) => Ok(host.is),
            Err(HostError::NoSuchHost { .. }) => Err(Halt::Gone),
            Err(error) => Err(error.into()),
        }
    }

    /// What is to be done on the host, and what a playbook is given to do it.
    async fn plan(&self, host: &Host, findings: &Findings) -> Result<(Vec<Step>, Option<Given>), Halt> {
        let hands = &self.crew.hands;
        if hands.profile == Profile::None {
            return Ok((Vec::new(), None));
        }
        let commands = hands.commands.of(findings).map_err(|error| failed(&error))?;
        let network = self.network(host).await?;
        let surroundings = Surroundings {
            profile: hands.profile,
            network: &network,
            etcd: hands.etcd.as_ref(),
            templates: &hands.templates,
        };
        let steps = bootstrap::plan(self.address.as_str(), findings, &commands, &surroundings);
        let steps = steps.map_err(|error| failed(&error))?;
        let given = playbook::given(self.address.as_str(), findings, &commands, &surroundings, &steps);
        Ok((steps, Some(given.map_err(|error| failed(&error))?)))
    }

    /// The network of the host's cluster, or the one of those that are in none.
    async fn network(&self, host: &Host) -> Result<Network, Halt> {
        let fleet = &self.crew.fleet;
        let name = match &host.cluster {
            Some(cluster) => {
                fleet.cluster(Permit::house(), cluster).await.map_err(of_theirs)?.cluster.network
            }
            None => "default".to_owned(),
        };
        let name = name.parse().map_err(|error: fleet::BadName| Halt::Failed(error.to_string()))?;
        let network = fleet.network(Permit::house(), &name).await.map_err(of_theirs)?;
        Ok(network.is)
    }

    /// Whether the container manager of the host's cluster has it now. One that takes every host does.
    async fn register(&self, host: &Host) -> Result<bool, NodesError> {
        let Some(cluster) = &host.cluster else { return Ok(false) };
        let found = self.crew.fleet.cluster(Permit::house(), cluster).await.map_err(NodesError::Cluster)?;
        if found.cluster.container_manager.is_empty() {
            return Ok(false);
        }
        if let Some(node) = self.crew.nodes.node(cluster, self.address).await? {
            node.register().await?;
        }
        Ok(true)
    }

    /// Does `step`, unless it is done already.
    async fn take(&self, target: &Target, step: &Step) -> Result<(), Halt> {
        let deadline = step.deadline.as_duration();
        match &step.work {
            Work::Run { check, command } => {
                let script = bootstrap::script(check.as_deref(), command, step.deadline, true);
                let output = self.command(target, &script, deadline).await?;
                succeeded(step, &output)
            }
            Work::Put { path, mode, content } => {
                let wrong = |error: ssh::UploadError| Halt::Failed(format!("cannot {}: {error}", step.words));
                let upload =
                    Upload::new(path, content.expose().clone()).and_then(|upload| upload.mode(*mode));
                let upload = upload.map_err(wrong)?.deadline(deadline);
                // What may not be there yet is the folder: `/etc/etcd`, `/etc/sysconfig`.
                let folder = "mkdir -p \"$(dirname \"$path\")\"";
                let make = format!("path={}; {folder}", ssh::quote(path));
                succeeded(step, &self.command(target, &make, CHECK).await?)?;
                self.remotely(self.crew.hands.remote.put(target, &upload)).await
            }
        }
    }

    async fn command(&self, target: &Target, text: &str, deadline: Duration) -> Result<Output, Halt> {
        let command = Command::new(text).deadline(deadline).keep(KEPT);
        self.remotely(self.crew.hands.remote.run(target, &command)).await
    }

    /// Waits for `work` at the host: not beyond the host's time, and not for long when the house stops.
    async fn remotely<T>(&self, work: impl Future<Output = Result<T, ssh::Error>>) -> Result<T, Halt> {
        let stopped = async {
            self.stop.asked().await;
            tokio::time::sleep(GRACE).await;
        };
        tokio::select! {
            biased;
            done = work => done.map_err(|error| match error {
                ssh::Error::HostKeyChanged { ref offered, .. } => {
                    Halt::OtherKey(offered.clone(), why(self.address, &error))
                }
                error => Halt::Failed(why(self.address, &error)),
            }),
            () = tokio::time::sleep_until(self.ends) => Err(Halt::Failed(format!(
                "it was not ready within {} s; see what it is busy with",
                self.crew.hands.host_limit.as_secs()
            ))),
            () = stopped => Err(Halt::Stopped),
        }
    }
}

fn there(is_there: bool) -> Result<(), Halt> {
    if is_there { Ok(()) } else { Err(Halt::Gone) }
}

fn failed(error: &dyn Explain) -> Halt {
    Halt::Failed(told(error))
}

/// What is missing or wrong in what operators set up is said of the host; that the store failed is not.
fn of_theirs<E: Explain + Send + Sync + 'static>(error: E) -> Halt {
    match error.kind() {
        base::Kind::NotFound | base::Kind::Conflict | base::Kind::Invalid => failed(&error),
        _ => Halt::Ours(Box::new(error)),
    }
}

fn succeeded(step: &Step, output: &Output) -> Result<(), Halt> {
    if output.is_success() {
        return Ok(());
    }
    let (end, words) = (output.end.to_string(), output.last_words());
    let words = if words == end { String::new() } else { format!(": {words}") };
    Err(Halt::Failed(format!("could not {} ({end}){words}{}", step.words, help(Some(step)))))
}

/// What can be done about a step that failed.
fn help(step: Option<&Step>) -> String {
    step.and_then(|step| step.help.as_ref()).map_or(String::new(), |help| format!("; {help}"))
}

/// What is said of a task that failed.
fn not_done(trouble: &ansible::Trouble) -> String {
    let status = match trouble.reason {
        ansible::Reason::Failed { status: Some(status) } => format!(" (exit status {status})"),
        _ => String::new(),
    };
    let said = if trouble.said.is_empty() { String::new() } else { format!(": {}", trouble.said) };
    format!("could not {}{status}{said}", trouble.task)
}

/// What is written down of a look.
pub(super) fn found(findings: &Findings, target: &Target) -> Found {
    let host_key = match &target.known {
        ssh::KnownKey::Pinned(key) => stored_key(key),
        ssh::KnownKey::Unknown => None,
    };
    Found {
        facts: findings.facts.clone(),
        details: Details {
            atomic: Some(findings.is_atomic),
            os_version: Some(findings.version.clone()).filter(|version| !version.is_empty()),
            kernel: Some(findings.kernel.clone()),
            architecture: Some(findings.architecture.clone()),
            boot_id: Some(findings.boot_id.clone()),
        },
        host_key,
    }
}
