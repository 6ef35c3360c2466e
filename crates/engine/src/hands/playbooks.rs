//! Hosts that are worked on by Ansible.
//!
//! Each work on a host is one run of `ansible-playbook` with the playbook for it: an operator's, or the one that comes with
//! the program. What went wrong is told in `ssh`'s words, so that a person reads the same whichever way a host is
//! reached.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ansible::{Ansible, Done, HostReport, KnownKey, Play, Reason, Report, Run, Trouble};
use base::Secret;
use fleet::{PROBE, Playbook, playbook};
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, join_all};
use serde_json::{Map, Value, json};
use ssh::{Captured, Command, End, Error, HostKey, Output, Remote, Target, Upload};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::reach::told;

/// How long it may take until Ansible has begun and has got in, besides what is to be done then.
const BEGIN: Duration = Duration::from_secs(60);
/// How long a look at a host may take, after signing in.
const LOOK: Duration = Duration::from_secs(30);
/// Where the playbooks are that come with the program, in Ansible's folder.
const STANDARD: &str = "playbooks";
/// Runs the script that standard input has.
const READ_AND_RUN: &str = "s=$(cat); exec </dev/null; eval \"$s\"";

/// Works on hosts by playbooks.
pub struct Playbooks {
    ansible: Ansible,
    /// The operator's, which count more.
    folder: Option<PathBuf>,
    /// Places for those that make hosts ready, which takes minutes: fewer than there are, so that the others, which take
    /// seconds, are always run.
    bootstraps: Arc<Semaphore>,
}

/// A playbook that makes a host ready.
pub(crate) struct Bootstrap {
    run: Run,
    _place: OwnedSemaphorePermit,
}

/// Why a playbook did not come to its end on a host.
pub(crate) enum Fault {
    /// As with every transport.
    Remote(Error),
    /// One of its tasks failed.
    Task(Trouble),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Remote(error)
    }
}

impl Playbooks {
    /// Works with `ansible`, and with those playbooks in `folder` that are there. The others are written into Ansible's
    /// own.
    ///
    /// # Errors
    /// [`ansible::Error::Files`].
    pub fn new(ansible: Ansible, folder: Option<PathBuf>) -> Result<Self, ansible::Error> {
        let own = ansible.folder().join(STANDARD);
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| ansible::Error::Files { path, source }
        };
        fs::create_dir_all(&own).map_err(failed(&own))?;
        for playbook in Playbook::ALL {
            let path = own.join(playbook.file());
            fs::write(&path, playbook.standard()).map_err(failed(&path))?;
        }
        let bootstraps = Arc::new(Semaphore::new((ansible.runs_max() * 3 / 4).max(1)));
        Ok(Self { ansible, folder, bootstraps })
    }

    /// Where the file of `playbook` is: looked at each time, so that an operator can put one there at any time.
    async fn file(&self, playbook: Playbook) -> ansible::Playbook {
        let name = playbook.file().to_owned();
        if let Some(path) = self.folder.as_ref().map(|folder| folder.join(&name))
            && tokio::fs::try_exists(&path).await.unwrap_or(false)
        {
            return ansible::Playbook { name, path };
        }
        let path = self.ansible.folder().join(STANDARD).join(&name);
        ansible::Playbook { name, path }
    }

    /// `playbook` for one host. `needs_root` tells whether it works with all rights.
    async fn play(
        &self,
        target: &Target,
        playbook: Playbook,
        needs_root: bool,
        deadline: Duration,
    ) -> Result<Play, Error> {
        let host = host(target, needs_root)?;
        let limit = deadline + self.ansible.connect_limit() + BEGIN;
        Ok(Play::new(self.file(playbook).await, vec![host], limit))
    }

    /// Gets in, and asks the host about itself; gives the key that it proved, and what it said.
    pub(crate) async fn look(&self, target: &Target) -> Result<(HostKey, Output), Error> {
        let play = self.play(target, Playbook::Look, false, LOOK).await?.with("provost_probe", PROBE);
        let report = self.done(target, &play).await?;
        Ok((proved(target, &report)?, output(&report.results)))
    }

    /// Begins to make the host ready; `done` are the steps that are on record.
    pub(crate) async fn make_ready(
        &self,
        target: &Target,
        given: playbook::Given,
        done: &BTreeSet<String>,
        limit: Duration,
    ) -> Result<Bootstrap, Error> {
        let place = self.bootstraps.clone().acquire_owned().await.expect("nobody closes it");
        let mut play = self.play(target, Playbook::Bootstrap, true, limit).await?;
        play.variables = given.variables;
        play.files = given.files.into_iter().map(|(name, bytes)| (name.to_owned(), bytes)).collect();
        play.skip_tags = done.iter().cloned().collect();
        let run = self.ansible.begin(&play).await.map_err(|error| failed(target, &error))?;
        Ok(Bootstrap { run, _place: place })
    }

    /// The next step that is done.
    pub(crate) async fn next(
        &self,
        target: &Target,
        bootstrap: &mut Bootstrap,
    ) -> Result<Option<Done>, Error> {
        bootstrap.run.next().await.map_err(|error| failed(target, &error))
    }

    /// What came of making a host ready, when that is over.
    pub(crate) async fn made_ready(
        &self,
        target: &Target,
        bootstrap: Bootstrap,
    ) -> Result<HostReport, Fault> {
        self.end(target, bootstrap.run).await
    }

    /// What came of a `run` that is over.
    async fn end(&self, target: &Target, run: Run) -> Result<HostReport, Fault> {
        let report = run.report().await.map_err(|error| failed(target, &error))?;
        let report = report.hosts.into_values().next().unwrap_or_default();
        match &report.trouble {
            Some(trouble) => Err(self.fault(target, trouble.clone(), &report)),
            None => Ok(report),
        }
    }

    /// Runs `play` to its end, for works in which a task that fails is a fault of the transport.
    async fn done(&self, target: &Target, play: &Play) -> Result<HostReport, Error> {
        let run = self.ansible.begin(play).await.map_err(|error| failed(target, &error))?;
        self.end(target, run).await.map_err(|fault| match fault {
            Fault::Remote(error) => error,
            Fault::Task(Trouble { task, said, reason }) => {
                let said = format!("{}, task `{task}`: {said}", play.playbook.name);
                if reason == Reason::Overdue { other(target, said) } else { cannot(target, said) }
            }
        })
    }

    /// Runs `command` by `playbook`.
    async fn run_by(&self, target: &Target, playbook: Playbook, command: &Command) -> Result<Output, Error> {
        let limit = command.time_limit();
        let mut play = self.play(target, playbook, !command.is_as_user(), limit).await?;
        let is_hidden = command.line().is_none();
        let (text, input) = match command.input() {
            _ if is_hidden => (READ_AND_RUN, Some(command.script())),
            Some(bytes) => {
                let text = std::str::from_utf8(bytes.expose());
                let text = text.map_err(|_| cannot(target, "Ansible passes on text only".to_owned()))?;
                (command.script(), Some(text))
            }
            None => (command.script(), None),
        };
        let keep = command.kept();
        let seconds = limit.as_secs_f64().ceil();
        if let Some(variable) = playbook.command_variable() {
            play = play.with(variable, text);
        }
        play = play
            .with("provost_bounded", playbook::BOUNDED)
            // Whole seconds.
            .with("provost_seconds", seconds as u64)
            .with("provost_kept_bytes", keep.head_bytes + keep.tail_bytes)
            .with("provost_is_secret", input.is_some());
        if let Some(input) = input {
            play = play.with("provost_stdin", input);
        }
        if playbook == Playbook::Command {
            let report = self.done(target, &play).await?;
            if !report.results.contains_key("provost_rc") {
                let said = format!("{} does not tell how the command ended, in provost_rc", playbook.file());
                return Err(cannot(target, said));
            }
            return Ok(output(&report.results));
        }
        // Of a playbook that an operator may have written, a task that failed is the command that did.
        let run = self.ansible.begin(&play).await.map_err(|error| failed(target, &error))?;
        match self.end(target, run).await {
            Ok(report) if report.is_told_of => Ok(output(&report.results)),
            Ok(_) => Err(nothing_done(target, playbook)),
            Err(fault) => ended(target, limit, fault),
        }
    }

    /// Looks whether each of these answers, in one run; what came of each, in the same order. Each has `limit`, once it
    /// has let us in.
    pub(crate) async fn check(&self, targets: &[Target], limit: Duration) -> Vec<Result<Output, Error>> {
        match self.check_together(targets, limit).await {
            Ok(answers) => answers,
            // Whoever hangs there kept it from telling of the others.
            Err(ansible::Error::Overdue { .. }) if targets.len() > 1 => {
                let each = join_all(targets.chunks(1).map(|one| self.check_together(one, limit))).await;
                let told = targets.iter().zip(each);
                let told = told
                    .map(|(target, answer)| answer.unwrap_or_else(|error| vec![Err(failed(target, &error))]));
                told.flatten().collect()
            }
            Err(error) => targets.iter().map(|target| Err(failed(target, &error))).collect(),
        }
    }

    async fn check_together(
        &self,
        targets: &[Target],
        limit: Duration,
    ) -> Result<Vec<Result<Output, Error>>, ansible::Error> {
        let prepared: Vec<Result<ansible::Host, Error>> =
            targets.iter().map(|target| host(target, false)).collect();
        let hosts: Vec<ansible::Host> = prepared.iter().flatten().cloned().collect();
        // Ansible is at so many hosts at once, and at the others after them.
        let rounds = u32::try_from(hosts.len().div_ceil(ansible::FORKS)).unwrap_or(u32::MAX);
        let in_all = (limit + self.ansible.connect_limit()).saturating_mul(rounds) + BEGIN;
        let mut report = Report::default();
        if !hosts.is_empty() {
            let play = Play::new(self.file(Playbook::Check).await, hosts, in_all);
            let play = play.with("provost_seconds", limit.as_secs());
            report = self.ansible.begin(&play).await?.report().await?;
        }
        let answers = targets.iter().zip(prepared).map(|(target, host)| {
            let report = report.hosts.remove(&host?.name).unwrap_or_default();
            match &report.trouble {
                Some(trouble) => ended(target, limit, self.fault(target, trouble.clone(), &report)),
                None if report.is_told_of => Ok(output(&report.results)),
                None => Err(nothing_done(target, Playbook::Check)),
            }
        });
        Ok(answers.collect())
    }

    async fn upload(&self, target: &Target, upload: &Upload) -> Result<(), Error> {
        let mut play = self.play(target, Playbook::Put, true, upload.time_limit()).await?;
        play = play
            .with("provost_path", upload.path())
            .with("provost_mode", format!("{:04o}", upload.file_mode()));
        play = play.with("provost_seconds", upload.time_limit().as_secs());
        let owner = upload.file_owner().unwrap_or_default();
        let (user, group) = owner.split_once(':').unwrap_or((owner, ""));
        for (name, value) in [("provost_owner", user), ("provost_group", group)] {
            if !value.is_empty() {
                play = play.with(name, value);
            }
        }
        play = play.with_file("provost_source", Secret::new(upload.bytes().expose().clone()));
        let run = self.ansible.begin(&play).await.map_err(|error| failed(target, &error))?;
        match self.end(target, run).await {
            Ok(_) => Ok(()),
            Err(Fault::Remote(error)) => Err(error),
            Err(Fault::Task(Trouble { said, .. })) => {
                Err(Error::Upload { at: target.address.clone(), path: upload.path().to_owned(), said })
            }
        }
    }

    /// What `trouble` is, in `ssh`'s words where it has some.
    fn fault(&self, target: &Target, trouble: Trouble, report: &HostReport) -> Fault {
        let at = target.address.clone();
        let (user, said) = (target.user.clone(), trouble.said.clone());
        let source = || std::io::Error::other(said.clone());
        let timed_out = |step| Error::TimedOut { at: at.clone(), step, after: self.ansible.connect_limit() };
        Fault::Remote(match trouble.reason {
            Reason::Failed { .. } => return Fault::Task(trouble),
            Reason::Overdue => return Fault::Task(trouble),
            Reason::NoSuchName => Error::NoSuchName { at, source: source() },
            Reason::Refused => Error::Refused { at },
            Reason::NoRoute => Error::NoRoute { at, source: source() },
            Reason::TimedOut => timed_out(ssh::Step::Connect),
            Reason::Silent => timed_out(ssh::Step::Handshake),
            Reason::Lost => Error::Closed { at, step: ssh::Step::Run, said },
            Reason::Closed => Error::Closed { at, step: ssh::Step::Run, said },
            Reason::HostKeyChanged => {
                let offered = report.proved.as_deref().and_then(|key| key.parse().ok());
                match (&target.known, offered) {
                    (ssh::KnownKey::Pinned(pinned), Some(offered)) if *pinned != offered => {
                        let (pinned, offered) = (Box::new(pinned.clone()), Box::new(offered));
                        Error::HostKeyChanged { at, pinned, offered }
                    }
                    _ => Error::Protocol { at, step: ssh::Step::Handshake, said },
                }
            }
            Reason::Denied { offers } => {
                Error::Unauthorized { at, user, fingerprint: target.key.fingerprint(), offers }
            }
            Reason::SudoMissing => Error::SudoMissing { at, user },
            Reason::SudoRefused => Error::SudoRefused { at, user, said },
            Reason::TooMuch => Error::TooMuch { at, mib_max: self.ansible.said_mib_max(), with_files: true },
            Reason::Unreachable => Error::Unreachable { at, source: source() },
        })
    }
}

impl Remote for Playbooks {
    fn meet<'a>(&'a self, target: &'a Target) -> BoxFuture<'a, Result<HostKey, Error>> {
        async move {
            let play = self.play(target, Playbook::Check, false, LOOK).await?;
            let report = self.done(target, &play).await?;
            proved(target, &report)
        }
        .boxed()
    }

    fn run<'a>(&'a self, target: &'a Target, command: &'a Command) -> BoxFuture<'a, Result<Output, Error>> {
        self.run_by(target, Playbook::Command, command).boxed()
    }

    fn knock<'a>(&'a self, target: &'a Target, limit: Duration) -> BoxFuture<'a, Result<(), Error>> {
        ssh::listens(&target.address, limit).boxed()
    }

    fn put<'a>(&'a self, target: &'a Target, upload: &'a Upload) -> BoxFuture<'a, Result<(), Error>> {
        self.upload(target, upload).boxed()
    }
}

/// Runs commands by one of the playbooks: what an operation does on a host.
pub(crate) struct ByPlaybook {
    pub(crate) playbooks: Arc<Playbooks>,
    pub(crate) playbook: Playbook,
}

impl Remote for ByPlaybook {
    fn meet<'a>(&'a self, target: &'a Target) -> BoxFuture<'a, Result<HostKey, Error>> {
        self.playbooks.meet(target)
    }

    fn run<'a>(&'a self, target: &'a Target, command: &'a Command) -> BoxFuture<'a, Result<Output, Error>> {
        self.playbooks.run_by(target, self.playbook, command).boxed()
    }

    fn knock<'a>(&'a self, target: &'a Target, limit: Duration) -> BoxFuture<'a, Result<(), Error>> {
        ssh::listens(&target.address, limit).boxed()
    }

    fn put<'a>(&'a self, target: &'a Target, upload: &'a Upload) -> BoxFuture<'a, Result<(), Error>> {
        self.playbooks.put(target, upload)
    }
}

/// A host of an inventory. `needs_root` tells whether it is worked on with all rights.
fn host(target: &Target, needs_root: bool) -> Result<ansible::Host, Error> {
    if target.jump.is_some() {
        let said = "Ansible finds its way through another machine by `ssh_args` in ansible.cfg".to_owned();
        return Err(cannot(target, said));
    }
    let key = target.key.to_openssh().map_err(|error| cannot(target, told(&error)))?;
    let known = match &target.known {
        ssh::KnownKey::Unknown => KnownKey::Unknown,
        ssh::KnownKey::Pinned(key) => KnownKey::Pinned(key.to_string()),
    };
    Ok(ansible::Host {
        name: target.address.host.clone(),
        address: target.address.host.clone(),
        port: target.address.port,
        user: target.user.clone(),
        key,
        known,
        variables: vec![("provost_become", json!(needs_root && !target.is_root()))],
    })
}

/// How a command ended that was a task of a playbook, with `limit` for its time.
fn ended(target: &Target, limit: Duration, fault: Fault) -> Result<Output, Error> {
    match fault {
        Fault::Remote(error) => Err(error),
        // The task's time is what was given to the command.
        Fault::Task(Trouble { reason: Reason::Overdue, said, .. }) => {
            let (at, stderr) = (target.address.clone(), Box::new(Captured::whole(said)));
            Err(Error::Overdue { at, after: limit, stdout: Box::default(), stderr })
        }
        Fault::Task(Trouble { reason, said, .. }) => {
            let status = match reason {
                Reason::Failed { status } => status.and_then(|status| u32::try_from(status).ok()),
                _ => None,
            };
            let end = End::Exit(status.filter(|status| *status != 0).unwrap_or(1));
            Ok(Output { end, stdout: Captured::default(), stderr: Captured::whole(said) })
        }
    }
}

fn proved(target: &Target, report: &HostReport) -> Result<HostKey, Error> {
    let key = report.proved.as_deref().and_then(|key| key.parse().ok());
    key.ok_or_else(|| cannot(target, "Ansible did not tell which host key it proved".to_owned()))
}

/// What a playbook gave back of a command. Ansible makes texts of numbers, or does not.
fn output(results: &Map<String, Value>) -> Output {
    let text = |name: &str| results.get(name).and_then(Value::as_str).unwrap_or_default().as_bytes();
    let status = results.get("provost_rc").and_then(|status| match status {
        Value::String(text) => text.parse().ok(),
        status => status.as_i64(),
    });
    let end = match status.unwrap_or_default() {
        // Python's way of telling signals, of which a shell tells the one that its command got.
        signal @ ..0 => End::Signal(signal.unsigned_abs().to_string()),
        status => End::Exit(u32::try_from(status).unwrap_or(u32::MAX)),
    };
    Output {
        end,
        stdout: Captured::whole(text("provost_stdout")),
        stderr: Captured::whole(text("provost_stderr")),
    }
}

fn other(target: &Target, said: String) -> Error {
    Error::Other { at: target.address.clone(), said }
}

/// Waiting does not help, and nothing was done.
fn cannot(target: &Target, said: String) -> Error {
    Error::Cannot { at: target.address.clone(), said }
}

/// An operator's playbook may be for other hosts.
fn nothing_done(target: &Target, playbook: Playbook) -> Error {
    cannot(target, format!("{} has no task for it", playbook.file()))
}

/// Ansible itself did not do as it should.
fn failed(target: &Target, error: &ansible::Error) -> Error {
    let at = target.address.clone();
    match error {
        ansible::Error::Overdue { after, last, .. } => {
            let last = if last.is_empty() { String::new() } else { format!("task `{last}`") };
            let (stdout, stderr) = (Box::default(), Box::new(Captured::whole(last)));
            Error::Overdue { at, after: *after, stdout, stderr }
        }
        ansible::Error::Files { .. } | ansible::Error::Read { .. } => Error::Other { at, said: told(error) },
        ansible::Error::Start { .. } | ansible::Error::Playbook { .. } | ansible::Error::TooMuch { .. } => {
            Error::Cannot { at, said: told(error) }
        }
    }
}
