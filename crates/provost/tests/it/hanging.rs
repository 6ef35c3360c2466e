//! Commands that never end, or say too much, on real sshd hosts: which one it was is told, and nothing of it is left
//! running there.

use serde_json::{Value, json};
use testkit::{Host, wait_for, wait_until};

use crate::hands::World;
use crate::houses::ended_without_a_fault;
use crate::operations::{cluster_of, plans};

/// The host has a program that runs for an hour, under a name of its own.
pub fn give_hanging_program(host: &Host) {
    std::fs::copy("/usr/bin/sleep", host.path("/tmp/hanging")).unwrap();
}

pub fn hangs(host: &Host) -> bool {
    host.sh("pidof hanging").code == Some(0)
}

/// Why the only host of an operation of this kind failed.
fn reason(world: &World, kind: &str, policy: &Value) -> String {
    let body = json!({"kind": kind, "policy": policy});
    let (status, begun) = world.ask("POST", "/v1/clusters/web/operations", &body);
    assert_eq!(status, 201, "{begun}");
    let path = format!("/v1/clusters/web/operations/{}", begun["id"]);
    let ended = wait_for("the operation to end", || {
        let (_, document) = world.ask("GET", &path, &Value::Null);
        document["finished_at"].is_string().then_some(document)
    });
    assert_eq!(ended["phase"], "failed", "{ended}");
    let hosts = world.ask("GET", &format!("{path}/hosts"), &Value::Null).1;
    hosts["items"][0]["reason"].as_str().unwrap().to_owned()
}

#[test]
fn a_gate_that_hangs_is_named_and_ended() {
    let world = cluster_of(plans(1, 0.2), &[]);
    let host = &world.hosts[0];
    give_hanging_program(host);
    // Nothing that it began stays either, and it does not want to be ended.
    let gate = "trap '' TERM; /tmp/hanging 4711 & /tmp/hanging 4711";
    host.answer("apt-get", "exit 0");
    let policy = json!({"host_limit_seconds": 10, "gates": {"command": gate}});
    let reason = reason(&world, "upgrade", &policy);
    assert!(reason.contains("the gate `trap '' TERM; /tmp/hanging 4711 & /tmp/hanging 4711`"), "{reason}");
    // The last try was a short one.
    let within =
        reason.split_once("did not end within ").and_then(|(_, rest)| rest.split_once(" s, and was ended"));
    let within: f64 = within.unwrap_or_else(|| panic!("{reason}")).0.parse().unwrap();
    assert!((4.0..=7.0).contains(&within), "{reason}");
    wait_until("nothing to be left running", || !hangs(host));
    ended_without_a_fault(world.house);
}

#[test]
fn a_command_that_hangs_is_named_and_ended() {
    let world = cluster_of(plans(1, 0.2), &[]);
    let host = &world.hosts[0];
    host.answer("apt-get", "/tmp/hanging 4711 & /tmp/hanging 4711");
    give_hanging_program(host);
    let policy = json!({"host_limit_seconds": 5});
    let told = reason(&world, "upgrade", &policy);
    assert!(told.contains("within 5 seconds: the command of its upgrade, `apt-get -q upgrade`"), "{told}");
    assert!(told.contains("did not end, and is ended there"), "{told}");
    wait_until("nothing to be left running", || !hangs(host));
    let told = reason(&world, "restart", &policy);
    assert!(told.contains("the command of its restart, `if [ -e /tmp/hanging ]"), "{told}");
    wait_until("nothing to be left running", || !hangs(host));
    ended_without_a_fault(world.house);
}

/// What a gate says is not kept, but for its end; and it costs no time worth speaking of.
#[test]
fn a_gate_may_say_as_much_as_it_likes() {
    let world = cluster_of(plans(1, 0.2), &[]);
    let host = &world.hosts[0];
    host.answer("apt-get", "head -c 64000000 /dev/zero | tr '\\0' x; echo; echo the end; exit 9");
    let told = reason(&world, "upgrade", &json!({}));
    assert_eq!(told, "its upgrade failed (exit status 9): the end");
    host.answer("apt-get", "exit 0");
    // It is asked again and again until the host's time is over: the last time may be cut short, if it takes long.
    let gate = "head -c 4000000 /dev/zero | tr '\\0' x; head -c 9000 /dev/zero | tr '\\0' y >&2; exit 3";
    let told = reason(&world, "upgrade", &json!({"host_limit_seconds": 20, "gates": {"command": gate}}));
    assert!(told.contains("the command that is to succeed on it does not: yyyy"), "{told}");
    assert!(told.chars().count() <= 500, "{told}");
    let memory = std::fs::read_to_string(format!("/proc/{}/status", world.house.process().id())).unwrap();
    let most = memory.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let most: u64 = most.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(most < 200 * 1024, "{most} KiB: it was not kept");
    ended_without_a_fault(world.house);
}
