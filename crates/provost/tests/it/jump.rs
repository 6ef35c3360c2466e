//! Hosts that are reached through another machine only: real sshd hosts, on a network that just the bastion is in.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use testkit::{Face, Host, HostPlan, Hosts, http, wait_for, wait_until};

use crate::hands::World;
use crate::houses::plan;
use crate::operations::COMMANDS;

/// Where the host is, as only the bastion knows.
const INSIDE: &str = "10.99.0.2";

/// A bastion and a host behind it, and a key of one's own for the bastion.
fn behind_a_bastion(options: &[(&str, &str)]) -> World {
    let hosts = Hosts::start(vec![HostPlan::new(), HostPlan::new().down_for(0.3)]);
    for (host, address) in hosts.all().iter().zip(["10.99.0.1/24", "10.99.0.2/24"]) {
        let mut ip = Command::new("ip");
        testkit::run(ip.args(["-n", host.name(), "address", "add", address, "dev", "eth0"])).ok();
    }
    let bastion = &hosts[0];
    let folder = tempfile::tempdir().unwrap().keep();
    let key = folder.join("bastion_ed25519");
    let mut made = Command::new("ssh-keygen");
    testkit::run(made.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key)).ok();
    std::fs::set_permissions(&key, PermissionsExt::from_mode(0o600)).unwrap();
    bastion.authorize("guest", &std::fs::read_to_string(key.with_extension("pub")).unwrap());
    let jump = format!("guest@{}:22", bastion.address());
    let mut plan = plan(Face::Up)
        .option("fleet-investigate", "true")
        .option("fleet-commands-file", COMMANDS)
        .option("fleet-ssh-jump", &jump)
        .option("fleet-ssh-jump-host-key", &bastion.host_key("ed25519"))
        .option("fleet-ssh-jump-key-file", key.to_str().unwrap());
    for (name, value) in options {
        plan = plan.option(name, value);
    }
    let house = plan.start();
    let world = World { client: http::holder_of(&house.administrator()), house, hosts };
    std::fs::remove_dir_all(folder).unwrap();
    assert_eq!(world.ask("PUT", "/api/v0/cluster/web", &json!({})).0, 201);
    let body = json!({"ssh_priv_key": BASE64.encode(world.hosts.key()), "remote_user": "admin",
        "cluster": "web"});
    assert_eq!(world.ask("PUT", &format!("/api/v0/host/{INSIDE}"), &body).0, 201);
    world
}

/// The host behind the bastion, once it has this status.
fn until(world: &World, status: &str) -> Value {
    wait_for(status, || {
        let (_, document) = world.ask("GET", &format!("/v1/hosts/{INSIDE}"), &Value::Null);
        (document["status"] == status).then_some(document)
    })
}

#[test]
fn a_host_behind_a_bastion_is_made_ready_watched_and_restarted() {
    let options = [("fleet-watch-seconds", "1"), ("fleet-ssh-connect-seconds", "1")];
    let mut world = behind_a_bastion(&options);
    let [bastion, inside] = [0, 1].map(|host: usize| &world.hosts[host]);
    until(&world, "disassociated");
    assert!(inside.sshd_log().contains("from 10.99.0.1 "), "it came from the bastion");
    assert!(bastion.sshd_log().contains("Accepted publickey for guest"), "by a key of its own");

    assert_eq!(world.ask("PUT", "/api/v0/cluster/web/restart", &Value::Null).0, 201);
    let ended = wait_for("the operation to end", || {
        let (_, document) = world.ask("GET", "/api/v0/cluster/web/restart", &Value::Null);
        (document["status"] != "in_process").then_some(document)
    });
    assert_eq!((&ended["status"], &ended["restarted"]), (&json!("finished"), &json!([INSIDE])), "{ended}");
    assert_eq!([bastion, inside].map(Host::boots), [1, 2]);

    // Without the bastion nobody gets there, and that is said.
    bastion.stop_sshd();
    let reason = until(&world, "failed")["reason"].as_str().unwrap().to_owned();
    let through = format!("{INSIDE}:22 is reached through {}:22, which failed", bastion.address());
    assert!(reason.contains(&through) && reason.contains("refuses connections"), "{reason}");
    bastion.reboot();
    until(&world, "disassociated");
    let ran = world.house.stop();
    assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
}

/// Whoever stands in for the bastion does not get to see who wants to go where.
#[test]
fn a_bastion_that_proves_another_key_is_not_signed_in_to() {
    let mut world = behind_a_bastion(&[("fleet-watch", "false")]);
    until(&world, "disassociated");
    let (bastion, inside) = (&world.hosts[0], &world.hosts[1]);
    bastion.change_host_key();
    let accepted = inside.sshd_log().matches("Accepted publickey").count();
    assert_eq!(world.ask("PUT", "/api/v0/cluster/web/restart", &Value::Null).0, 201);
    wait_until("the operation to fail", || {
        world.ask("GET", "/api/v0/cluster/web/restart", &Value::Null).1["status"] == "failed"
    });
    assert_eq!(inside.sshd_log().matches("Accepted publickey").count(), accepted);
    assert_eq!(inside.boots(), 1);
    let path = "/v1/clusters/web/operations?limit=1";
    let id = world.ask("GET", path, &Value::Null).1["items"][0]["id"].clone();
    let hosts = world.ask("GET", &format!("/v1/clusters/web/operations/{id}/hosts"), &Value::Null).1;
    let reason = hosts["items"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("is reached through") && reason.contains("fleet.ssh.jump_host_key"), "{reason}");
    let ran = world.house.stop();
    assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
}
