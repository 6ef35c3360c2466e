//! Operations are carried out on real sshd hosts, through the interface of Commissaire's server, by servers that are
//! killed in the middle.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::{Host, HostPlan, wait_for, wait_until};

use crate::commctl::Operator;
use crate::fleet::history;
use crate::hands::{Transport, World};
use crate::houses::ended_without_a_fault;
use crate::on_both_transports;
use crate::sign_in::{everybody, files};

pub const COMMANDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/operations.toml");

on_both_transports! {
    a_cluster_is_restarted_one_host_after_the_other
    the_first_host_that_fails_ends_it
    a_killed_server_finds_an_upgrade_as_it_goes_on
    an_upgrade_that_restarts_its_host_fails_once
    a_restart_that_takes_long_is_waited_for
}

/// A cluster `web` of hosts that are ready.
pub fn cluster_of(plans: Vec<HostPlan>, options: &[(&str, &str)]) -> World {
    cluster_by(Transport::Ssh, plans, options)
}

/// The same over a transport.
pub fn cluster_by(transport: Transport, plans: Vec<HostPlan>, options: &[(&str, &str)]) -> World {
    let options = [&[("fleet-commands-file", COMMANDS)], options].concat();
    let world = World::new(transport, plans, &options);
    assert_eq!(world.ask("PUT", "/api/v0/cluster/web", &json!({})).0, 201);
    let key = world.hosts.key();
    for (host, user) in world.hosts.all().iter().zip(["root", "admin"].into_iter().cycle()) {
        world.add(host, &key, user);
    }
    for host in world.hosts.all() {
        world.until(host, "disassociated");
        let path = format!("/api/v0/cluster/web/hosts/{}", host.address());
        assert_eq!(world.ask("PUT", &path, &Value::Null).0, 200);
    }
    world
}

pub fn plans(count: usize, down_seconds: f64) -> Vec<HostPlan> {
    (0..count).map(|_| HostPlan::new().down_for(down_seconds)).collect()
}

impl World {
    fn operation(&self, kind: &str) -> Value {
        let (status, document) = self.ask("GET", &format!("/api/v0/cluster/web/{kind}"), &Value::Null);
        assert_eq!(status, 200, "{document}");
        document
    }

    fn begin(&self, kind: &str) -> Value {
        let (status, document) = self.ask("PUT", &format!("/api/v0/cluster/web/{kind}"), &Value::Null);
        assert_eq!(status, 201, "{document}");
        document
    }

    /// The operation when it has ended; looks at it meanwhile.
    fn ended(&self, kind: &str, mut look: impl FnMut(&Value)) -> Value {
        wait_for("the operation to end", || {
            let document = self.operation(kind);
            look(&document);
            (document["status"] != "in_process").then_some(document)
        })
    }

    fn addresses(&self) -> Vec<&str> {
        self.hosts.all().iter().map(Host::address).collect()
    }

    /// Stops the house. All reasons that are in its history.
    fn reasons(mut self) -> String {
        let ran = self.house.stop();
        assert!(!ran.stderr.contains("panicked") && !ran.stderr.contains("ERROR"), "{}", ran.stderr);
        let told = history(&self.house);
        told.iter()
            .filter_map(|event| event.facts.get("reason"))
            .fold(String::new(), |all, one| all + one + "\n")
    }

    fn boots(&self) -> Vec<usize> {
        self.hosts.all().iter().map(Host::boots).collect()
    }
}

/// Commissaire contract, section 9.5.
fn a_cluster_is_restarted_one_host_after_the_other(transport: Transport) {
    // Of playbooks each host takes several, one after the other, of seconds each.
    let hosts = if transport == Transport::Ansible { 2 } else { 4 };
    let world = cluster_by(transport, plans(hosts, 0.5), &[]);
    let begun = world.begin("restart");
    assert_eq!(
        (&begun["status"], &begun["restarted"], &begun["in_process"]),
        (&json!("in_process"), &json!([]), &json!([]))
    );
    let from = Instant::now();
    let mut seen = Vec::new();
    let ended = world.ended("restart", |document| {
        let (done, at) =
            (document["restarted"].as_array().unwrap(), document["in_process"].as_array().unwrap());
        assert!(at.len() <= 1, "{document}");
        if seen.last() != Some(document) {
            seen.push(document.clone());
        }
        assert!(done.len() <= hosts);
    });
    let took = from.elapsed();
    assert_eq!(ended["status"], "finished", "{ended}");
    assert_eq!(ended["restarted"], json!(world.addresses()));
    assert_eq!(ended["in_process"], json!([]));
    assert!(!ended["finished_at"].as_str().unwrap().is_empty(), "{ended}");
    assert!(seen.len() >= 4, "its progress was seen: {seen:?}");
    assert_eq!(world.boots(), vec![2; hosts], "each was restarted once");
    // Half a second away each, a third before that, and what it takes to boot.
    assert!(transport == Transport::Ansible || took < Duration::from_secs(20), "{took:?}");
    let refused = world.ask("PUT", "/api/v0/cluster/none/restart", &Value::Null);
    assert_eq!(refused.0, 404);
    ended_without_a_fault(world.house);
}

fn the_first_host_that_fails_ends_it(transport: Transport) {
    let world = cluster_by(transport, plans(3, 0.2), &[]);
    std::fs::write(world.hosts[1].path("/etc/broken"), "").unwrap();
    world.begin("restart");
    let (status, problem) = world.ask("PUT", "/api/v0/cluster/web/upgrade", &Value::Null);
    assert_eq!(status, 409, "{problem}");
    let ended = world.ended("restart", |_| {});
    assert_eq!(ended["status"], "failed");
    let addresses = world.addresses();
    assert_eq!(ended["restarted"], json!([addresses[0]]));
    assert_eq!(ended["in_process"], json!([addresses[1]]), "it stays where it failed");
    assert_eq!(world.boots(), [2, 1, 1], "nobody comes behind it");
    let reasons = world.reasons();
    assert!(reasons.contains("its restart failed (exit status 3): the door is locked"), "{reasons}");
}

/// Whenever the server is killed: each host is restarted once, and none is left out.
#[test]
fn a_killed_server_restarts_no_host_twice() {
    let mut world = cluster_of(plans(4, 0.5), &[]);
    world.begin("restart");
    let at = |world: &World, number: usize| {
        wait_until("the operation to be at a host", || {
            let document = world.operation("restart");
            let done = document["restarted"].as_array().unwrap().len();
            done > number || (done == number && document["in_process"] != json!([]))
        });
    };
    let is_told = |host: &Host| host.recorded().iter().any(|line| line == "systemctl reboot");
    // As soon as it is begun with; when it was told; and when it is down.
    at(&world, 0);
    world.house.kill();
    world.house.start();
    at(&world, 1);
    wait_until("the host to be told", || is_told(&world.hosts[1]));
    world.house.kill();
    world.house.start();
    at(&world, 2);
    let boots = world.hosts[2].boots();
    wait_until("the host to have gone", || world.hosts[2].boots() > boots);
    world.house.kill();
    world.hosts[2].wait_until_up();
    world.house.start();
    let ended = world.ended("restart", |_| {});
    assert_eq!(ended["status"], "finished", "{ended}");
    assert_eq!(ended["restarted"], json!(world.addresses()));
    assert_eq!(world.boots(), [2, 2, 2, 2]);
    for host in world.hosts.all() {
        let told = host.recorded().iter().filter(|line| *line == "systemctl reboot").count();
        assert_eq!(told, 1, "{}", host.address());
    }
    ended_without_a_fault(world.house);
}

/// An upgrade goes on where it runs, and whoever comes next hears how it ends.
fn a_killed_server_finds_an_upgrade_as_it_goes_on(transport: Transport) {
    let mut world = cluster_by(transport, plans(2, 0.2), &[]);
    let hold = world.hosts[0].path("/tmp/hold");
    std::fs::write(&hold, "").unwrap();
    world.hosts[0].answer("apt-get", "while [ -e /tmp/hold ]; do sleep 0.05; done");
    world.begin("upgrade");
    let upgrades = |host: &Host| host.recorded().iter().filter(|line| *line == "apt-get -q upgrade").count();
    wait_until("the upgrade to begin", || upgrades(&world.hosts[0]) == 1);
    world.house.kill();
    world.house.start();
    assert_eq!(world.operation("upgrade")["in_process"], json!([world.hosts[0].address()]));
    std::fs::remove_file(&hold).unwrap();
    let ended = world.ended("upgrade", |_| {});
    assert_eq!((&ended["status"], &ended["upgraded"]), (&json!("finished"), &json!(world.addresses())));
    assert_eq!((upgrades(&world.hosts[0]), upgrades(&world.hosts[1])), (1, 1));
    assert_eq!(world.boots(), [1, 1]);
    ended_without_a_fault(world.house);
}

/// It would be upgraded anew in each boot otherwise.
fn an_upgrade_that_restarts_its_host_fails_once(transport: Transport) {
    let world = cluster_by(transport, plans(2, 0.3), &[]);
    world.hosts[0].answer("apt-get", "kill -TERM 1; sleep 20");
    world.begin("upgrade");
    let ended = world.ended("upgrade", |_| {});
    assert_eq!((&ended["status"], &ended["upgraded"]), (&json!("failed"), &json!([])), "{ended}");
    assert_eq!(world.boots(), [2, 1]);
    let reasons = world.reasons();
    assert!(reasons.contains("the host has restarted in the middle of its upgrade"), "{reasons}");
}

/// Longer than a restart's command is listened to before it is asked how it goes.
fn a_restart_that_takes_long_is_waited_for(transport: Transport) {
    let world = cluster_by(transport, plans(1, 0.2), &[]);
    std::fs::write(world.hosts[0].path("/etc/slow"), "").unwrap();
    world.begin("restart");
    let ended = world.ended("restart", |_| {});
    assert_eq!(ended["status"], "finished", "{ended}");
    assert_eq!(world.boots(), [2]);
    let told = world.hosts[0].recorded().iter().filter(|line| *line == "systemctl reboot").count();
    assert_eq!(told, 1);
    ended_without_a_fault(world.house);
}

/// Nobody listens any more when the host is to go down: what keeps it is told all the same, and not at the end of its time.
#[test]
fn a_restart_that_is_refused_says_why() {
    let world = cluster_of(vec![HostPlan::new().os("fedora", "41")], &[]);
    let host = &world.hosts[0];
    host.answer("systemctl", "echo 'Operation inhibited by \"backup\"' >&2; exit 3");
    let begun = Instant::now();
    world.begin("restart");
    let ended = world.ended("restart", |_| {});
    assert_eq!((&ended["status"], world.boots()), (&json!("failed"), vec![1]), "{ended}");
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
    // It is tried again, and what was said before is forgotten.
    host.answer("systemctl", "");
    world.begin("restart");
    assert_eq!(world.ended("restart", |_| {})["status"], "finished");
    assert_eq!(world.boots(), [2]);
    let reasons = world.reasons();
    assert!(reasons.contains("its restart failed: Operation inhibited by \"backup\""), "{reasons}");
}

#[test]
fn a_host_that_comes_back_as_another_is_not_believed() {
    let world = cluster_of(plans(2, 0.2), &[]);
    let host = &world.hosts[0];
    host.answer("systemctl", "exit 0");
    world.begin("restart");
    wait_until("the host to be told", || host.recorded().iter().any(|line| line == "systemctl reboot"));
    host.change_host_key();
    let ended = world.ended("restart", |_| {});
    assert_eq!((&ended["status"], &ended["in_process"]), (&json!("failed"), &json!([host.address()])));
    let reason = world.until(host, "failed")["reason"].as_str().unwrap().to_owned();
    assert!(
        reason.contains(&format!("provost host accept-key {} --fingerprint", host.address())),
        "{reason}"
    );
    assert_eq!(world.hosts[1].boots(), 1);
    ended_without_a_fault(world.house);
}

/// A host that cannot be reached ends it soon, and one that is no atomic host refuses a version.
#[test]
fn what_cannot_be_done_says_so_at_once() {
    let world = cluster_of(plans(2, 0.2), &[]);
    world.hosts[0].stop_sshd();
    world.begin("restart");
    let ended = world.ended("restart", |_| {});
    assert_eq!(
        (&ended["status"], &ended["in_process"]),
        (&json!("failed"), &json!([world.hosts[0].address()]))
    );
    assert_eq!(world.boots(), [1, 1]);
    let (status, document) = world.ask("PUT", "/api/v0/cluster/web/deploy", &json!({"version": "7.2.6"}));
    assert_eq!(status, 201, "{document}");
    let ended = world.ended("deploy", |_| {});
    assert_eq!((&ended["status"], &ended["version"]), (&json!("failed"), &json!("7.2.6")));
    let reasons = world.reasons();
    assert!(reasons.contains("refuses connections") && reasons.contains("it is no atomic host"), "{reasons}");
}

#[test]
fn commctl_starts_it_and_shows_how_far_it_is() {
    let directory = files(&everybody(), &[]);
    let sign_in = directory.path().join("sign-in.json");
    let world = cluster_of(plans(2, 0.2), &[("fleet-sign-in", sign_in.to_str().unwrap())]);
    let operator = Operator::new();
    let endpoint = world.house.http_url("");
    operator.configure(&json!({"endpoint": endpoint, "username": "operator", "password": "secret"}));
    let typed = |line: &str| operator.type_in(line).ok().to_owned();
    assert!(typed("cluster restart start web").contains("status: in_process"));
    let shown = wait_for("the restart to be finished", || {
        Some(typed("cluster restart status web")).filter(|shown| shown.contains("status: finished"))
    });
    for host in world.hosts.all() {
        assert!(shown.contains(&format!("- {}", host.address())), "{shown}");
    }
    assert!(typed("cluster upgrade start web").contains("status: in_process"));
    let is_finished = || typed("cluster upgrade status web").contains("status: finished");
    wait_until("the upgrade to be finished", is_finished);
    ended_without_a_fault(world.house);
}

/// An upgrade may give a host another version: what is known of it is what it says afterwards.
#[test]
fn what_a_host_is_after_an_operation_is_known() {
    let world = cluster_of(vec![HostPlan::new().os("debian", "12")], &[]);
    let host = &world.hosts[0];
    let facts =
        || world.ask("GET", &format!("/v1/hosts/{}", host.address()), &Value::Null).1["facts"].clone();
    assert_eq!((&facts()["os"], &facts()["os_version"]), (&json!("debian"), &json!("12")));
    assert!(facts()["kernel"].is_string() && facts()["architecture"].is_string(), "{}", facts());
    host.answer("apt-get", "sed -i s/12/13/ /etc/os-release");
    world.begin("upgrade");
    let ended = world.ended("upgrade", |_| {});
    assert_eq!(ended["status"], "finished", "{ended}");
    assert_eq!(facts()["os_version"], "13");
    ended_without_a_fault(world.house);
}
