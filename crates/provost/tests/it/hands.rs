//! Hosts are looked at and made ready: real sshd hosts, each with its own address, host key, users and file tree.

use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use reqwest::blocking::Client;
use serde_json::{Value, json};
use testkit::{Face, Host, HostPlan, Hosts, House, Ran, http, wait_for, wait_until};

use crate::houses::{ended_without_a_fault, plan};
use crate::program::PROVOST;

/// A house that looks at hosts.
pub struct World {
    pub house: House,
    pub client: Client,
    pub hosts: Hosts,
}

impl World {
    pub fn new(plans: Vec<HostPlan>, options: &[(&str, &str)]) -> Self {
        let mut plan = plan(Face::Up).option("fleet-investigate", "true");
        for (name, value) in options {
            plan = plan.option(name, value);
        }
        let house = plan.start();
        Self { client: http::holder_of(&house.administrator()), house, hosts: Hosts::start(plans) }
    }

    pub fn ask(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let asked = self.client.request(method.parse().unwrap(), self.house.https_url(path));
        let asked = asked.header("Content-Type", "application/json").header("Accept", "application/json");
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let answer = asked.body(body).send().unwrap();
        let status = answer.status().as_u16();
        (status, serde_json::from_str(&answer.text().unwrap()).unwrap_or_default())
    }

    pub fn add(&self, host: &Host, key: &str, user: &str) {
        let body = json!({"ssh_priv_key": BASE64.encode(key), "remote_user": user});
        let (status, document) = self.ask("PUT", &format!("/api/v0/host/{}", host.address()), &body);
        assert_eq!(status, 201, "{document}");
    }

    /// The host as `/v1` shows it, once it has this status.
    pub fn until(&self, host: &Host, status: &str) -> Value {
        let path = format!("/v1/hosts/{}", host.address());
        wait_for(status, || {
            let (_, document) = self.ask("GET", &path, &Value::Null);
            (document["status"] == status).then_some(document)
        })
    }

    /// A command of an operator on the server's machine.
    pub fn command(&self, line: &str) -> Ran {
        let mut command = Command::new(PROVOST);
        command.args(line.split(' ')).current_dir(self.house.directory()).env_clear();
        testkit::run(command.env("HOME", "/nonexistent").env("PROVOST_DATA", self.house.data()))
    }

    fn host_key(&self, host: &Host) -> String {
        format!("/v1/hosts/{}/host-key", host.address())
    }
}

/// What `ssh-keygen -l` says of the key that a host proves to us.
fn fingerprint(host: &Host) -> String {
    let path = host.path("/etc/ssh/host_ed25519.pub");
    let ran = testkit::run(Command::new("ssh-keygen").arg("-lf").arg(path));
    ran.ok().split(' ').nth(1).unwrap().to_owned()
}

#[test]
fn a_host_that_is_added_is_looked_at_and_ready() {
    let plans = vec![HostPlan::new().os("fedora", "41"), HostPlan::new(), HostPlan::new().without_sudo()];
    let world = World::new(plans, &[]);
    let (one, two, three) = (&world.hosts[0], &world.hosts[1], &world.hosts[2]);
    let key = world.hosts.key();
    world.add(one, &key, "root");
    world.add(two, &key, "admin");
    let ready = world.until(one, "disassociated");
    assert_eq!(ready["facts"]["os"], "fedora");
    assert!(ready["facts"]["cpus"].as_u64() > Some(0) && ready["facts"]["memory_mb"].as_u64() > Some(0));
    assert!(ready["checked_at"].is_string() && ready.get("reason").is_none(), "{ready}");
    world.until(two, "disassociated");
    assert_eq!(one.recorded(), [""; 0], "nothing is installed that nobody asked for");
    let (_, keys) = world.ask("GET", &world.host_key(one), &Value::Null);
    assert_eq!(keys["pinned"]["fingerprint"], fingerprint(one).as_str());

    // A key that the host does not know.
    let stranger = world.house.directory().join("stranger");
    let mut made = Command::new("ssh-keygen");
    testkit::run(made.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&stranger)).ok();
    world.add(three, &std::fs::read_to_string(stranger).unwrap(), "root");
    let failed = world.until(three, "failed");
    let reason = failed["reason"].as_str().unwrap();
    assert!(reason.contains("does not let root in with the key SHA256:"), "{reason}");
    assert!(reason.contains("authorized_keys"), "{reason}");
    ended_without_a_fault(world.house);
}

/// A server that is killed in the middle goes on there; and of a host that has another key by then it wants to know
/// that somebody has seen it.
#[test]
fn who_was_interrupted_goes_on_and_a_new_key_is_accepted() {
    let options = [("fleet-profile", "containers"), ("fleet-flannel-etcd-url", "http://10.0.0.1:2379")];
    let mut world = World::new(vec![HostPlan::new().os("debian", "13")], &options);
    let key = world.hosts.key();
    let hold = world.hosts[0].path("/tmp/hold");
    std::fs::write(&hold, "").unwrap();
    let waits = "case \"$*\" in *docker.io*) while [ -e /tmp/hold ]; do sleep 0.05; done;; esac";
    world.hosts[0].answer("apt-get", waits);
    world.add(&world.hosts[0], &key, "admin");
    let installs = |host: &Host, package: &str| {
        let is_it = |line: &&String| line.starts_with("apt-get install") && line.ends_with(package);
        host.recorded().iter().filter(is_it).count()
    };
    wait_until("docker to be installed", || installs(&world.hosts[0], "docker.io") == 1);
    assert_eq!(world.until(&world.hosts[0], "bootstrapping")["facts"]["os"], "debian");
    world.house.kill();

    let before = fingerprint(&world.hosts[0]);
    world.hosts[0].change_host_key();
    let after = fingerprint(&world.hosts[0]);
    world.house.start();
    let failed = world.until(&world.hosts[0], "failed");
    let reason = failed["reason"].as_str().unwrap();
    let command = format!("provost host accept-key {} --fingerprint {after}", world.hosts[0].address());
    assert!(reason.contains(&before) && reason.contains(&command), "{reason}");
    assert_eq!(installs(&world.hosts[0], "docker.io"), 1, "nothing is done on a host that may be another");

    let path = world.host_key(&world.hosts[0]);
    let (status, problem) = world.ask("PUT", &path, &json!({ "fingerprint": before }));
    assert_eq!(status, 409, "{problem}");
    assert_eq!(world.ask("PUT", &path, &json!({"fingerprint": "yes"})).0, 400);
    std::fs::remove_file(&hold).unwrap();
    let shown = world.command(&format!("host accept-key {}", world.hosts[0].address()));
    assert!(shown.ok().contains(&before) && shown.ok().contains(&after), "{shown:?}");
    let accepted = world.command(command.strip_prefix("provost ").unwrap());
    assert!(accepted.code == Some(0) && accepted.stderr.contains("is recognized by"), "{accepted:?}");
    let ready = world.until(&world.hosts[0], "disassociated");
    assert!(ready.get("reason").is_none(), "{ready}");
    let (_, keys) = world.ask("GET", &path, &Value::Null);
    assert_eq!(keys["pinned"]["fingerprint"], after.as_str());
    assert!(keys.get("offered").is_none(), "{keys}");
    let config = std::fs::read_to_string(world.hosts[0].path("/etc/default/flanneld")).unwrap();
    assert!(config.contains("FLANNEL_ETCD=\"http://10.0.0.1:2379\""), "{config}");
    let recorded = world.hosts[0].recorded();
    assert!(recorded.iter().any(|line| line == "systemctl restart docker"), "{recorded:?}");
    ended_without_a_fault(world.house);
}

/// Steps that are on record are not taken again.
#[test]
fn a_killed_server_takes_no_step_twice() {
    let options = [("fleet-profile", "containers"), ("fleet-flannel-etcd-url", "http://10.0.0.1:2379")];
    let mut world = World::new(vec![HostPlan::new().os("debian", "13")], &options);
    let hold = world.hosts[0].path("/tmp/hold");
    std::fs::write(&hold, "").unwrap();
    let waits = "case \"$*\" in *docker.io*) while [ -e /tmp/hold ]; do sleep 0.05; done;; esac";
    world.hosts[0].answer("apt-get", waits);
    let key = world.hosts.key();
    world.add(&world.hosts[0], &key, "root");
    let installs = |host: &Host, package: &str| {
        let is_it = |line: &&String| line.starts_with("apt-get install") && line.ends_with(package);
        host.recorded().iter().filter(is_it).count()
    };
    wait_until("docker to be installed", || installs(&world.hosts[0], "docker.io") == 1);
    world.house.kill();
    std::fs::remove_file(&hold).unwrap();
    world.house.start();
    world.until(&world.hosts[0], "disassociated");
    assert_eq!(installs(&world.hosts[0], "flannel"), 1, "that was on record");
    assert!(installs(&world.hosts[0], "docker.io") <= 2);
    ended_without_a_fault(world.house);
}
