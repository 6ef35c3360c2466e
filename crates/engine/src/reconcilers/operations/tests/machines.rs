//! Machines that are played: they go down and come back, and their nodes are cordoned and drained. What is right is
//! asked of them, not of the records.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use base::Entropy;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use ssh::{Captured, Command, End, Error, HostKey, Output, Remote, Step, Target, Upload};
use tokio::time::Instant;

use crate::hands::wards::{Seen, Trouble, Ward, Wards};

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICs4S4OEBWkd3NCUIIk1YF3SNktnfhsZRSCNXxzJZFqO";

/// How long a machine is waited for that does not greet.
const GREETING: Duration = Duration::from_secs(15);

/// What a machine is like.
#[derive(Debug, Clone, Default)]
pub(super) struct Machine {
    pub(super) boots: u32,
    /// When it was told to restart last, and when it is away because of that.
    away: Option<(Instant, Instant)>,
    /// The errands that this boot knows.
    errands: BTreeSet<String>,
    /// How often it was told to do what an operation is about, and did.
    pub(super) done: u32,
    pub(super) is_cordoned: bool,
    pub(super) is_drained: bool,
    /// It stays away once it has gone.
    pub(super) stays_away: bool,
    /// It loses its power as soon as it is told anything, and its command is not heard of any more.
    pub(super) dies: bool,
    /// An upgrade ends in a restart.
    pub(super) restarts_upgraded: bool,
    /// Nobody listens there.
    pub(super) is_deaf: bool,
    /// It takes connections, and says nothing on them.
    pub(super) is_frozen: bool,
    /// Its container manager lifts no cordon.
    pub(super) stays_cordoned: bool,
    /// What it does when it is told, instead of doing it.
    pub(super) refuses: Option<u32>,
}

impl Machine {
    fn is_away(&self) -> bool {
        self.is_deaf || self.away.is_some_and(|(from, until)| (from..until).contains(&Instant::now()))
    }

    /// Comes back, if it is time.
    fn settle(&mut self) {
        if let Some((_, until)) = self.away
            && until <= Instant::now()
        {
            (self.away, self.boots) = (None, self.boots + 1);
            self.errands.clear();
        }
    }

    /// Comes back, though it would have stayed away.
    pub(super) fn comes_back(&mut self) {
        (self.away, self.stays_away) = (self.away.map(|(from, _)| (from, from)), false);
        self.settle();
    }

    /// Whether it is dead from now on.
    fn dies(&mut self) -> bool {
        if self.dies {
            self.is_deaf = true;
        }
        self.dies
    }

    fn boot_id(&self) -> String {
        format!("{:x}", self.boots + 10)
    }
}

/// All machines, and a list of what was asked of them.
pub(super) struct Machines {
    machines: Mutex<BTreeMap<String, Machine>>,
    pub(super) said: Mutex<Vec<String>>,
    pub(super) most_down: Mutex<usize>,
    pub(super) entropy: Entropy,
    /// Whether connections break and container managers fail now and then.
    pub(super) is_moody: bool,
}

impl Machines {
    pub(super) fn new(seed: u64, is_moody: bool) -> Self {
        Self {
            machines: Mutex::default(),
            said: Mutex::default(),
            most_down: Mutex::default(),
            entropy: Entropy::seeded(seed),
            is_moody,
        }
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<String, Machine>> {
        self.machines.lock().unwrap()
    }

    pub(super) fn with<T>(&self, host: &str, change: impl FnOnce(&mut Machine) -> T) -> T {
        let mut all = self.all();
        let machine = all.entry(host.to_owned()).or_default();
        machine.settle();
        change(machine)
    }

    pub(super) fn cordoned(&self) -> Vec<String> {
        let all = self.all();
        all.iter().filter(|(_, machine)| machine.is_cordoned).map(|(host, _)| host.clone()).collect()
    }

    /// Those that have been told to restart, and are not back.
    fn count_down(&self) {
        let mut all = self.all();
        let down =
            all.values_mut().filter(|machine| machine.away.is_some_and(|(_, until)| until > Instant::now()));
        let down = down.count();
        let mut most = self.most_down.lock().unwrap();
        *most = down.max(*most);
    }

    fn once_in(&self, n: u64) -> bool {
        self.is_moody && self.entropy.number().is_multiple_of(n)
    }

    fn say(&self, what: &str, host: &str) {
        self.said.lock().unwrap().push(format!("{what} {host}"));
    }

    /// What `errand.sh` does.
    fn errand(&self, host: &str, script: &str) -> u32 {
        let value = |name: &str| {
            let line = script.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
            line.unwrap_or_default().trim_matches('\'').to_owned()
        };
        let ends_after = Duration::from_millis(500 + self.entropy.number() % 20_000);
        let status = self.with(host, |machine| {
            let boot_id = value("boot_id");
            if !boot_id.is_empty() && boot_id != machine.boot_id() {
                return u32::from(!value("restarted").is_empty());
            }
            if let Some(status) = machine.refuses {
                return status;
            }
            if machine.errands.insert(value("name")) {
                machine.done += 1;
                if machine.restarts_upgraded || value("name").starts_with("restart") {
                    let goes = Instant::now() + Duration::from_secs(2);
                    let away = if machine.stays_away { Duration::from_secs(1 << 30) } else { ends_after };
                    machine.away = Some((goes, goes + away));
                }
            }
            0
        });
        self.say("command", host);
        self.count_down();
        status
    }
}

fn said(text: &str) -> Output {
    Output { end: End::Exit(0), stdout: Captured::whole(text), stderr: Captured::default() }
}

impl Remote for Machines {
    fn meet<'a>(&'a self, _: &'a Target) -> BoxFuture<'a, Result<HostKey, Error>> {
        async { Ok(KEY.parse().unwrap()) }.boxed()
    }

    fn run<'a>(&'a self, target: &'a Target, command: &'a Command) -> BoxFuture<'a, Result<Output, Error>> {
        async move {
            let (at, host, script) = (target.address.clone(), target.address.host.as_str(), command.script());
            tokio::time::sleep(Duration::from_millis(5)).await;
            if self.with(host, |machine| machine.is_away()) {
                return Err(Error::Refused { at });
            }
            if self.with(host, |machine| machine.is_frozen) {
                tokio::time::sleep(GREETING).await;
                return Err(Error::TimedOut { at, step: Step::Handshake, after: GREETING });
            }
            if self.once_in(40) {
                return Err(Error::Closed { at, step: Step::Open, said: String::new() });
            }
            let output = if script.contains("provost-probe-begins") {
                self.say("look", host);
                let boot_id = self.with(host, |machine| machine.boot_id());
                said(&format!(
                    "provost-probe-begins\nos=fedora\nversion=41\natomic=no\ncpus=4\nmemory_kib=2097152\n\
                     space_kib=10\nboot_id={boot_id}\nkernel=6.1\narchitecture=x86_64\nprovost-probe-ends\n"
                ))
            } else if script.contains("errands=/run/provost") {
                let status = self.errand(host, script);
                if self.with(host, |machine| machine.dies()) {
                    let after = command.time_limit();
                    tokio::time::sleep(after).await;
                    let (stdout, stderr) = (Box::default(), Box::default());
                    return Err(Error::Overdue { at, after, stdout, stderr });
                }
                while self.with(host, |machine| machine.restarts_upgraded && machine.away.is_some()) {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    if self.with(host, |machine| machine.is_away()) {
                        return Err(Error::Closed { at, step: Step::Run, said: String::new() });
                    }
                }
                Output { end: End::Exit(status), ..said("as told") }
            } else if script.contains("boot_id") {
                let boot_id = self.with(host, |machine| machine.boot_id());
                said(&format!("{boot_id}\n"))
            } else if script == "true" {
                said("")
            } else {
                self.say("gate", host);
                said("")
            };
            tokio::time::sleep(Duration::from_millis(5)).await;
            if self.once_in(20) {
                return Err(Error::Closed { at, step: Step::Run, said: String::new() });
            }
            Ok(output)
        }
        .boxed()
    }

    fn knock<'a>(&'a self, target: &'a Target, limit: Duration) -> BoxFuture<'a, Result<(), Error>> {
        async move {
            let is_there = || !self.with(&target.address.host, |machine| machine.is_away());
            if !is_there() {
                tokio::time::sleep(limit).await;
            }
            if is_there() { Ok(()) } else { Err(Error::Refused { at: target.address.clone() }) }
        }
        .boxed()
    }

    fn put<'a>(&'a self, _: &'a Target, _: &'a Upload) -> BoxFuture<'a, Result<(), Error>> {
        async { Ok(()) }.boxed()
    }
}

impl Machines {
    async fn node<T>(
        &self,
        what: &str,
        host: &str,
        change: impl FnOnce(&mut Machine) -> T,
    ) -> Result<T, Trouble> {
        tokio::time::sleep(Duration::from_millis(5)).await;
        let trouble = || Trouble { reason: "busy".into(), may_pass: true, is_gone: false };
        if self.once_in(30) {
            return Err(trouble());
        }
        self.say(what, host);
        let done = self.with(host, change);
        if self.once_in(30) { Err(trouble()) } else { Ok(done) }
    }
}

impl Wards for Machines {
    fn look<'a>(&'a self, (_, host): Ward<'a>) -> BoxFuture<'a, Result<Option<Seen>, Trouble>> {
        let seen = |machine: &mut Machine| {
            Some(Seen {
                is_ready: !machine.is_away(),
                is_cordoned: machine.is_cordoned,
                boot_id: Some(machine.boot_id()),
                says: "it is so".into(),
            })
        };
        self.node("node", host.as_str(), seen).boxed()
    }

    fn cordon<'a>(&'a self, (_, host): Ward<'a>) -> BoxFuture<'a, Result<(), Trouble>> {
        self.node("cordon", host.as_str(), |machine| machine.is_cordoned = true).boxed()
    }

    fn uncordon<'a>(&'a self, (_, host): Ward<'a>) -> BoxFuture<'a, Result<(), Trouble>> {
        async move {
            if self.with(host.as_str(), |machine| machine.stays_cordoned) {
                return Err(Trouble { reason: "it is away".into(), may_pass: true, is_gone: false });
            }
            self.node("uncordon", host.as_str(), |machine| machine.is_cordoned = false).await
        }
        .boxed()
    }

    fn drain<'a>(&'a self, (_, host): Ward<'a>, _: Duration) -> BoxFuture<'a, Result<(), Trouble>> {
        self.node("drain", host.as_str(), |machine| machine.is_drained = true).boxed()
    }
}
