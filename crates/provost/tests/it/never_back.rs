//! Hosts that do not come back from their restart, on real sshd hosts: each is told of as it is in the end, and counts as
//! failed as soon as the operation has.

use serde_json::{Value, json};
use testkit::{Host, wait_for, wait_until};

use crate::hands::Transport;
use crate::hanging::{give_hanging_program, hangs};
use crate::houses::ended_without_a_fault;
use crate::on_both_transports;
use crate::operations::{cluster_by, plans};

on_both_transports! {
    whoever_never_comes_back_is_told_of_as_it_is
}

/// How often it was told to restart.
fn told(host: &Host) -> usize {
    host.recorded().iter().filter(|line| *line == "systemctl reboot").count()
}

fn whoever_never_comes_back_is_told_of_as_it_is(transport: Transport) {
    // Nobody finds out by watching: that is for the operation to say.
    let world = cluster_by(transport, plans(3, 0.2), &[("fleet-watch-seconds", "3600")]);
    let [off, deaf, dead] = [0, 1, 2].map(|number| &world.hosts[number]);
    std::fs::write(off.folder().join("stays-down"), "").unwrap();
    deaf.answer("systemctl", "echo Nonsense >>/etc/ssh/sshd_config");
    give_hanging_program(dead);
    let limit = if transport == Transport::Ansible { 12 } else { 8 };
    let body = json!({"kind": "restart", "policy": {"batch": "3", "host_limit_seconds": limit}});
    let (status, begun) = world.ask("POST", "/v1/clusters/web/operations", &body);
    assert_eq!(status, 201, "{begun}");
    // This one loses its power while its command runs, and nobody tells.
    wait_until("the command to run", || hangs(dead));
    dead.go_down();
    let path = format!("/v1/clusters/web/operations/{}", begun["id"]);
    let ended = wait_for("the operation to end", || {
        let (_, document) = world.ask("GET", &path, &Value::Null);
        document["finished_at"].is_string().then_some(document)
    });
    assert_eq!(ended["phase"], "failed", "{ended}");
    let (_, cluster) = world.ask("GET", "/v1/clusters/web", &Value::Null);
    let (_, hosts) = world.ask("GET", &format!("{path}/hosts"), &Value::Null);
    assert_eq!(cluster["health"], "failed", "and at once: {cluster} {hosts}");
    let late =
        format!("it did not come back from its restart and show that it is well within {limit} seconds: ");
    let is_off = "see that the machine is on";
    let is_deaf = "refuses connections; see that sshd runs there and listens at port 22";
    for (host, expected) in [(off, is_off), (deaf, is_deaf), (dead, is_off)] {
        let run = hosts["items"].as_array().unwrap().iter().find(|run| run["address"] == host.address());
        let reason = run.unwrap()["reason"].as_str().unwrap();
        assert!(reason.starts_with(&late) && reason.contains(expected), "{reason}");
        let (_, shown) = world.ask("GET", &format!("/v1/hosts/{}", host.address()), &Value::Null);
        assert_eq!(shown["status"], "failed", "{shown}");
        assert!(shown["reason"].as_str().unwrap().contains(expected), "{shown}");
    }
    assert_eq!([off, deaf, dead].map(Host::boots), [1, 2, 1]);
    assert_eq!([off, deaf, dead].map(told), [1, 1, 0]);
    ended_without_a_fault(world.house);
}
