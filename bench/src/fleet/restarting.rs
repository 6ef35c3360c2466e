//! A rolling restart, one host after another: what it takes beyond the time that the hosts themselves are away.

use std::io::Read as _;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use testkit::Host;

use super::rival::{Programs, Rival};
use super::site::Site;
use crate::Failure;
use crate::http::Client;
use crate::process::{self, Served};
use crate::report::{Measured, Row, Section, Unit};
use crate::run::{self, note};
use crate::signed_in::{self, request};

/// How many hosts there are.
const HOSTS: usize = 5;
/// How often it is looked at whether a host has gone, or come back, or all is over.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// How long all of it may take.
const LIMIT: Duration = Duration::from_secs(300);

/// What a rolling restart of five hosts takes for each of them, without their own downtime.
pub(super) fn measure(programs: &Programs, provost: &Path, rounds: usize) -> Result<Section, Failure> {
    let site = Site::start(HOSTS)?;
    let folder = run::folder("fleet")?;
    let runtime = run::runtime()?;
    let house = runtime.block_on(House::start(provost, folder.path(), &site))?;
    let [mut ours, mut theirs, mut away] = [(); 3].map(|()| Measured::default());
    for round in 1..=rounds {
        note(&format!("restarting {HOSTS} hosts, one after another: round {round}"));
        let mut beyond = |measured: &mut Measured, total: Duration, gone: Duration| {
            away.add(gone.as_secs_f64() * 1e3 / HOSTS as f64);
            measured.add(total.saturating_sub(gone).as_secs_f64() * 1e3 / HOSTS as f64);
        };
        let (total, gone) = timed(&site, || runtime.block_on(house.restart()))?;
        beyond(&mut ours, total, gone);
        let playbook = playbook(folder.path())?;
        let (total, gone) = timed(&site, || programs.play(&site, &playbook))?;
        beyond(&mut theirs, total, gone);
    }
    runtime.block_on(house.served.stop())?;
    Ok(Section {
        title: format!("A rolling restart of {HOSTS} hosts, one after another"),
        rival: Rival::Ansible.name(),
        rows: vec![Row {
            what: "for each host, beyond its own downtime".into(),
            unit: Unit::Milliseconds,
            ours,
            theirs,
        }],
        notes: vec![format!(
            "downtime: from the command that reboots until its sshd greets again, {:.0} ms; Ansible: `reboot`, serial 1",
            away.median()
        )],
    })
}

/// How long `work` takes, and how long the hosts were away meanwhile, together.
fn timed(site: &Site, work: impl FnOnce() -> Result<(), Failure>) -> Result<(Duration, Duration), Failure> {
    std::thread::scope(|scope| {
        let watching: Vec<_> = site.hosts.all().iter().map(|host| scope.spawn(|| downtime(host))).collect();
        let began = Instant::now();
        work()?;
        let total = began.elapsed();
        let gone = watching.into_iter().map(|host| {
            let lost = |_| Failure::Program { program: "the watch on a host".into(), what: "ended".into() };
            host.join().map_err(lost)?
        });
        Ok((total, gone.sum::<Result<_, _>>()?))
    })
}

/// How long `host` is away at its next reboot, as seen from this machine.
fn downtime(host: &Host) -> Result<Duration, Failure> {
    let failed = |what: &str| Failure::Program { program: host.name().into(), what: what.into() };
    let reboots =
        || host.recorded().iter().filter(|line| line.contains("reboot") || line.contains("-r")).count();
    let address: SocketAddr =
        format!("{}:22", host.address()).parse().map_err(|_| failed("has no address"))?;
    let (reboots_before, boots) = (reboots(), host.boots());
    let limit = Instant::now() + LIMIT;
    until(limit, || reboots() > reboots_before).ok_or_else(|| failed("was not rebooted"))?;
    let gone = Instant::now();
    let is_back = || host.boots() > boots && greets(address);
    until(limit, is_back).ok_or_else(|| failed("did not come back"))?;
    Ok(gone.elapsed())
}

/// Waits for it; nothing when that takes too long.
fn until(limit: Instant, is_so: impl Fn() -> bool) -> Option<()> {
    while !is_so() {
        if Instant::now() > limit {
            return None;
        }
        std::thread::park_timeout(LOOK_EVERY);
    }
    Some(())
}

/// Whether an sshd answers there.
fn greets(address: SocketAddr) -> bool {
    let greeting = || {
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_millis(200)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(1))).ok()?;
        let mut greeting = [0; 4];
        stream.read_exact(&mut greeting).ok()?;
        Some(greeting == *b"SSH-")
    };
    greeting() == Some(true)
}

/// Ansible's own way to restart hosts, and wait for them, without waits that are not needed here.
fn playbook(folder: &Path) -> Result<PathBuf, Failure> {
    let path = folder.join("restart.yml");
    let text = "- hosts: all\n  gather_facts: false\n  serial: 1\n  tasks:\n    - ansible.builtin.reboot:\n        \
                pre_reboot_delay: 0\n        post_reboot_delay: 0\n        \
                search_paths: [/usr/local/bin, /sbin, /usr/sbin]\n";
    std::fs::write(&path, text).map_err(Failure::file(&path))?;
    Ok(path)
}

/// A Provost that has the hosts in a cluster.
struct House {
    served: Served,
}

impl House {
    async fn start(provost: &Path, folder: &Path, site: &Site) -> Result<Self, Failure> {
        let port = process::free_ports()?;
        let mut command = Command::new(provost);
        command.args(["up", "--netloc", &format!("127.0.0.1:{port}")]).arg("--data").arg(folder.join("data"));
        command.arg("--fleet-sign-in").arg(signed_in::file(folder)?);
        let served = Served::start("provost", command, port, "/readyz", folder).await?;
        let mut client = Client::new(served.address);
        client.expect(201, &request("PUT", "/api/v0/cluster/web", Some(b"{}"))).await?;
        let key = BASE64.encode(site.hosts.key());
        let body = json!({"ssh_priv_key": key, "remote_user": "root", "cluster": "web"}).to_string();
        for host in site.hosts.all() {
            let path = format!("/api/v0/host/{}", host.address());
            client.expect(201, &request("PUT", &path, Some(body.as_bytes()))).await?;
        }
        let house = Self { served };
        for host in site.hosts.all() {
            let path = format!("/api/v0/host/{}", host.address());
            house
                .until(&path, |host| matches!(host["status"].as_str(), Some("active" | "disassociated")))
                .await?;
        }
        Ok(house)
    }

    /// Restarts all hosts, and waits until that is over.
    async fn restart(&self) -> Result<(), Failure> {
        let path = "/api/v0/cluster/web/restart";
        let mut client = Client::new(self.served.address);
        client.expect(201, &request("PUT", path, Some(b"{}"))).await?;
        let ended = self.until(path, |restart| restart["status"] != "in_process").await?;
        if ended["status"] == "finished" {
            return Ok(());
        }
        Err(Failure::Program {
            program: "provost".into(),
            what: format!("did not restart them all: {ended}"),
        })
    }

    /// What is at `path`, once it is as wanted.
    async fn until(&self, path: &str, is_so: impl Fn(&Value) -> bool) -> Result<Value, Failure> {
        let mut client = Client::new(self.served.address);
        let limit = Instant::now() + LIMIT;
        let mut look = tokio::time::interval(LOOK_EVERY);
        loop {
            look.tick().await;
            let answer = client.expect(200, &request("GET", path, None)).await?;
            let value: Value = serde_json::from_slice(answer.body).unwrap_or_default();
            if is_so(&value) {
                return Ok(value);
            }
            if Instant::now() > limit {
                let what = format!("{path} was not as wanted within {LIMIT:?}: {value}");
                return Err(Failure::Program { program: "provost".into(), what });
            }
        }
    }
}
