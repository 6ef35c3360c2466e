//! Hosts are looked at and made ready: real sshd hosts, each with its own address, host key, users and file tree. The same
//! over Provost's own SSH and by the playbooks that the real `ansible-playbook` runs.

use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use reqwest::blocking::Client;
use serde_json::{Value, json};
use testkit::{Face, Host, HostPlan, Hosts, House, Ran, http, wait_for, wait_until};

use crate::houses::{ended_without_a_fault, plan};
use crate::program::PROVOST;

/// How hosts are worked on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    Ssh,
    Ansible,
}

/// Each of these twice, over either transport.
#[macro_export]
macro_rules! on_both_transports {
    ($($name:ident)*) => {
        mod over_ssh {
            $(#[test] fn $name() { super::$name(super::Transport::Ssh) })*
        }
        mod by_ansible {
            $(#[test] fn $name() { super::$name(super::Transport::Ansible) })*
        }
    };
}

on_both_transports! {
    a_host_that_is_added_is_looked_at_and_ready
    who_was_interrupted_goes_on_and_a_new_key_is_accepted
    a_killed_server_takes_no_step_twice
    whoever_is_not_reached_has_failed_with_a_reason
    what_cannot_be_done_on_a_host_is_told
    files_for_flannel_arrive_and_are_nobody_elses
    nothing_of_a_secret_is_seen_by_others
}

/// A house that looks at hosts.
pub struct World {
    pub house: House,
    pub client: Client,
    pub hosts: Hosts,
}

impl World {
    pub fn new(transport: Transport, plans: Vec<HostPlan>, options: &[(&str, &str)]) -> Self {
        let mut plan = plan(Face::Up).option("fleet-investigate", "true");
        if transport == Transport::Ansible {
            let program = testkit::witness("ansible-playbook");
            plan = plan.option("fleet-transport", "ansible");
            plan = plan.option("fleet-ansible-program", program.to_str().unwrap());
        }
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

    /// Why the host failed.
    pub fn reason(&self, host: &Host) -> String {
        self.until(host, "failed")["reason"].as_str().unwrap().to_owned()
    }

    /// Whether nothing is left of Ansible's runs: no folder, and no process.
    pub fn is_tidy(&self) -> bool {
        let folder = self.house.data().join("provost.ansible");
        let runs = std::fs::read_dir(&folder).into_iter().flatten().flatten();
        let is_run = |name: &std::ffi::OsStr| name.to_string_lossy().starts_with("run-");
        let mark = format!("PROVOST_ANSIBLE_RUN={}/", folder.display());
        !runs.into_iter().any(|entry| is_run(&entry.file_name())) && marked(&mark).is_empty()
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

fn a_host_that_is_added_is_looked_at_and_ready(transport: Transport) {
    let plans = vec![
        HostPlan::new().os("fedora", "41"),
        HostPlan::new(),
        HostPlan::new().without_sudo(),
        HostPlan::new(),
    ];
    let world = World::new(transport, plans, &[]);
    let [one, two, three, four] = [0, 1, 2, 3].map(|host| &world.hosts[host]);
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

    // Who gets in and may not act as root is told so before an operation needs it.
    world.add(four, &key, "clerk");
    let failed = world.until(four, "failed");
    let reason = failed["reason"].as_str().unwrap();
    assert!(reason.contains("sudo") && failed["facts"]["cpus"].is_u64(), "{failed}");
    ended_without_a_fault(world.house);
}

/// A server that is killed in the middle goes on there; and of a host that has another key by then it wants to know
/// that somebody has seen it.
fn who_was_interrupted_goes_on_and_a_new_key_is_accepted(transport: Transport) {
    let options = [("fleet-profile", "containers"), ("fleet-flannel-etcd-url", "http://10.0.0.1:2379")];
    let mut world = World::new(transport, vec![HostPlan::new().os("debian", "13")], &options);
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

/// Steps that are on record are not taken again; one that still runs on the host is waited for.
fn a_killed_server_takes_no_step_twice(transport: Transport) {
    let folder = tempfile::tempdir().unwrap();
    let commands = folder.path().join("commands.toml");
    std::fs::write(&commands, "[debian]\nhas_package = \"test -e /tmp/{packages}.is-there\"\n").unwrap();
    let options = [
        ("fleet-profile", "containers"),
        ("fleet-flannel-etcd-url", "http://10.0.0.1:2379"),
        ("fleet-commands-file", commands.to_str().unwrap()),
    ];
    let mut world = World::new(transport, vec![HostPlan::new().os("debian", "13")], &options);
    let hold = world.hosts[0].path("/tmp/hold");
    std::fs::write(&hold, "").unwrap();
    let waits = "case \"$*\" in *docker.io*) while [ -e /tmp/hold ]; do sleep 0.05; done; >/tmp/docker.io.is-there;; esac";
    world.hosts[0].answer("apt-get", waits);
    let key = world.hosts.key();
    world.add(&world.hosts[0], &key, "root");
    let installs = |host: &Host, package: &str| {
        let is_it = |line: &&String| line.starts_with("apt-get install") && line.ends_with(package);
        host.recorded().iter().filter(is_it).count()
    };
    wait_until("docker to be installed", || installs(&world.hosts[0], "docker.io") == 1);
    world.house.kill();
    world.house.start();
    wait_until("its end to be waited for", || {
        world.hosts[0].sh("pidof flock").stdout.split_whitespace().count() == 1
    });
    std::fs::remove_file(&hold).unwrap();
    world.until(&world.hosts[0], "disassociated");
    assert_eq!(installs(&world.hosts[0], "flannel"), 1, "that was on record");
    assert_eq!(installs(&world.hosts[0], "docker.io"), 1, "that was still running");
    ended_without_a_fault(world.house);
}

fn whoever_is_not_reached_has_failed_with_a_reason(transport: Transport) {
    let plans = vec![HostPlan::new(), HostPlan::new(), HostPlan::new()];
    let world = World::new(transport, plans, &[("fleet-ssh-connect-seconds", "3")]);
    let (refusing, away, hanging) = (&world.hosts[0], &world.hosts[1], &world.hosts[2]);
    let key = world.hosts.key();
    refusing.stop_sshd();
    away.cut_off();
    hanging.freeze();
    for host in world.hosts.all() {
        world.add(host, &key, "root");
    }
    let reason = world.reason(refusing);
    assert!(reason.contains("refuses connections; see that sshd runs there"), "{reason}");
    let reason = world.reason(away);
    assert!(reason.contains("did not answer within 3 s") || reason.contains("no route"), "{reason}");
    assert!(reason.contains("see that the machine is on"), "{reason}");
    let reason = world.reason(hanging);
    assert!(reason.contains("did not answer within ") && reason.contains("the SSH handshake"), "{reason}");
    assert!(reason.contains("see whether the machine hangs"), "{reason}");
    wait_until("nothing to be left", || world.is_tidy());
    ended_without_a_fault(world.house);
}

fn what_cannot_be_done_on_a_host_is_told(transport: Transport) {
    let options = [("fleet-profile", "containers"), ("fleet-flannel-etcd-url", "http://10.0.0.1:2379")];
    let plans = vec![HostPlan::new().os("fedora", "41"), HostPlan::new(), HostPlan::new().os("plan9", "4")];
    let world = World::new(transport, plans, &options);
    let (failing, guest, unknown) = (&world.hosts[0], &world.hosts[1], &world.hosts[2]);
    let key = world.hosts.key();
    failing.answer("dnf", "case \"$*\" in *flannel*) echo 'no package flannel' >&2; exit 7;; esac");
    world.add(failing, &key, "admin");
    world.add(guest, &key, "guest");
    world.add(unknown, &key, "root");
    let reason = world.reason(failing);
    assert_eq!(reason, "could not install flannel (exit status 7): no package flannel");
    let reason = world.reason(guest);
    assert!(reason.contains("does not let guest run commands"), "{reason}");
    assert!(reason.contains("`guest ALL=(ALL) NOPASSWD: ALL`"), "{reason}");
    let reason = world.reason(unknown);
    assert!(reason.contains("it is not known what to do on the operating system `plan9`"), "{reason}");
    ended_without_a_fault(world.house);
}

/// A certificate, its key and an authority, in `folder`; and the settings that name them.
fn etcd_files(folder: &std::path::Path) -> Vec<(&'static str, String)> {
    let file = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        let mut mode = std::fs::metadata(&path).unwrap().permissions();
        std::os::unix::fs::PermissionsExt::set_mode(&mut mode, 0o600);
        std::fs::set_permissions(&path, mode).unwrap();
        path.to_str().unwrap().to_owned()
    };
    vec![
        ("fleet-profile", "containers".to_owned()),
        ("fleet-flannel-etcd-url", "https://10.0.0.1:2379".to_owned()),
        ("fleet-flannel-etcd-ca-file", file("ca.pem", "THE AUTHORITY\n")),
        ("fleet-flannel-etcd-certificate-file", file("flannel.pem", "THE CERTIFICATE {{ no }}\n")),
        ("fleet-flannel-etcd-key-file", file("flannel.key", "THE KEY of-flannel-alone\n")),
    ]
}

fn files_for_flannel_arrive_and_are_nobody_elses(transport: Transport) {
    let folder = tempfile::tempdir().unwrap();
    let options = etcd_files(folder.path());
    let options: Vec<(&str, &str)> = options.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let plans = vec![HostPlan::new().os("fedora", "41").atomic(), HostPlan::new().os("debian", "13")];
    let world = World::new(transport, plans, &options);
    let key = world.hosts.key();
    world.add(&world.hosts[0], &key, "root");
    world.add(&world.hosts[1], &key, "admin");
    for (host, config) in
        [(&world.hosts[0], "/etc/sysconfig/flanneld"), (&world.hosts[1], "/etc/default/flanneld")]
    {
        world.until(host, "disassociated");
        let read = |path: &str| std::fs::read_to_string(host.path(path)).unwrap();
        let mode = |path: &str| {
            let mode = std::fs::metadata(host.path(path)).unwrap().permissions();
            std::os::unix::fs::PermissionsExt::mode(&mode) & 0o7777
        };
        assert_eq!(read("/etc/etcd/client.crt"), "THE CERTIFICATE {{ no }}\n");
        assert_eq!(
            (read("/etc/etcd/key.crt").as_str(), mode("/etc/etcd/key.crt")),
            ("THE KEY of-flannel-alone\n", 0o600)
        );
        assert_eq!(
            (read("/etc/etcd/cacert.pem").as_str(), mode("/etc/etcd/cacert.pem")),
            ("THE AUTHORITY\n", 0o644)
        );
        assert_eq!(mode(config), 0o644);
        let expected = "FLANNEL_OPTIONS=\"--remote-keyfile=/etc/etcd/key.crt --remote-certfile=/etc/etcd/client.crt \
                        --etcd-cafile=/etc/etcd/cacert.pem\"";
        assert!(read(config).contains(expected), "{}", read(config));
    }
    let installed = |host: &Host| host.recorded().iter().any(|line| line.contains("install"));
    assert!(!installed(&world.hosts[0]) && installed(&world.hosts[1]), "OSTree installs nothing");
    // What runs already is left alone.
    let starts =
        |host: &Host| host.recorded().iter().filter(|line| line.contains("systemctl restart")).count();
    assert_eq!((starts(&world.hosts[0]), starts(&world.hosts[1])), (2, 2));
    ended_without_a_fault(world.house);
}

/// Processes whose environment has `mark`.
fn marked(mark: &str) -> Vec<String> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let has = |path: &std::path::Path| {
        let environment = std::fs::read(path.join("environ")).unwrap_or_default();
        String::from_utf8_lossy(&environment).split('\0').any(|variable| variable.starts_with(mark))
    };
    let marked = processes.map(|process| process.path()).filter(|path| has(path));
    marked.map(|path| path.display().to_string()).collect()
}

/// While a key for etcd and the one that signs in are in use, nobody sees them in arguments or environments, here or on
/// the host, and afterwards no log has them.
fn nothing_of_a_secret_is_seen_by_others(transport: Transport) {
    let folder = tempfile::tempdir().unwrap();
    let options = etcd_files(folder.path());
    let mut options: Vec<(&str, &str)> =
        options.iter().map(|(name, value)| (*name, value.as_str())).collect();
    options.push(("log-level", "trace"));
    let world = World::new(transport, vec![HostPlan::new().os("debian", "13")], &options);
    let host = &world.hosts[0];
    let hold = host.path("/tmp/hold");
    std::fs::write(&hold, "").unwrap();
    // Flannel's key has arrived by then, and docker is yet to come.
    host.answer("apt-get", "case \"$*\" in *docker.io*) while [ -e /tmp/hold ]; do sleep 0.05; done;; esac");
    let key = world.hosts.key();
    world.add(host, &key, "admin");
    let line_of_key = key.lines().nth(2).unwrap().to_owned();
    // No other test, which may run beside this one, says any of these.
    let secrets = ["of-flannel-alone", line_of_key.as_str(), &BASE64.encode(&key)[..40]];
    let look = || {
        for process in std::fs::read_dir("/proc").unwrap().flatten().map(|process| process.path()) {
            for file in ["cmdline", "environ"] {
                let text = std::fs::read(process.join(file)).unwrap_or_default();
                let text = String::from_utf8_lossy(&text);
                let seen = secrets.iter().find(|secret| text.contains(**secret));
                assert!(seen.is_none(), "{}: {text}", process.join(file).display());
            }
        }
    };
    wait_until("docker to be installed", || {
        look();
        host.recorded().iter().any(|line| line.starts_with("apt-get install") && line.ends_with("docker.io"))
    });
    look();
    std::fs::remove_file(&hold).unwrap();
    let ready = wait_for("the host to be ready", || {
        look();
        let (_, document) = world.ask("GET", &format!("/v1/hosts/{}", host.address()), &Value::Null);
        (document["status"] == "disassociated").then_some(document)
    });
    assert!(!ready.to_string().contains("of-flannel-alone"));
    wait_until("nothing to be left", || world.is_tidy());
    let World { mut house, hosts, .. } = world;
    let logs = house.stop().stderr + &hosts[0].sshd_log();
    assert!(logs.contains("TRACE"), "everything is logged");
    for secret in secrets {
        assert!(!logs.contains(secret), "{secret}");
    }
}
