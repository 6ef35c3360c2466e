//! Hosts that are ready: registered with a container manager, and watched. Real sshd hosts; the API server is a stand-in.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use testkit::{ApiServer, Host, HostPlan, wait_for, wait_until};

use crate::hands::{Transport, World};
use crate::houses::ended_without_a_fault;

fn put(world: &World, path: &str, body: &Value) {
    let (status, document) = world.ask("PUT", path, body);
    assert!(status == 201 || status == 200, "{path}: {status} {document}");
}

fn add_to_web(world: &World, host: &Host) {
    let body = json!({"ssh_priv_key": BASE64.encode(world.hosts.key()), "cluster": "web"});
    put(world, &format!("/api/v0/host/{}", host.address()), &body);
}

/// How the cluster `web` is, and how many of its hosts are there.
fn health(world: &World) -> (String, u64) {
    let (_, cluster) = world.ask("GET", "/api/v0/cluster/web", &Value::Null);
    (cluster["status"].as_str().unwrap().to_owned(), cluster["hosts"]["available"].as_u64().unwrap())
}

#[test]
fn a_host_becomes_a_node_of_its_clusters_container_manager() {
    const MANAGER: &str = "/api/v0/containermanager/k8s";
    let world = World::new(Transport::Ssh, vec![HostPlan::new()], &[]);
    let (host, server) = (&world.hosts[0], ApiServer::http());
    server.set_token("s3cret", "provost");
    // At first nobody is there.
    put(&world, MANAGER, &json!({"type": "openshift", "options": {"server_url": "http://127.0.0.1:1"}}));
    put(&world, "/api/v0/cluster/web", &json!({"container_manager": "k8s"}));
    add_to_web(&world, host);
    let waits = wait_for("the reason", || {
        let waits = world.until(host, "disassociated");
        waits["reason"].is_string().then_some(waits)
    });
    let reason = waits["reason"].as_str().unwrap();
    assert!(reason.contains("`k8s`") && reason.contains("http://127.0.0.1:1 cannot be reached"), "{reason}");
    assert_eq!(health(&world), ("failed".into(), 0));

    assert_eq!(world.ask("DELETE", MANAGER, &Value::Null).0, 200);
    let options = json!({"server_url": server.url(), "token": "s3cret"});
    put(&world, MANAGER, &json!({"type": "openshift", "options": options}));
    let ready = world.until(host, "active");
    assert!(ready.get("reason").is_none(), "{ready}");
    assert_eq!(health(&world), ("ok".into(), 1));
    assert!(server.node(host.address()).is_some());
    let status = format!("/api/v0/host/{}/status", host.address());
    let (_, document) = world.ask("GET", &status, &Value::Null);
    let node = &document["container_manager"];
    assert_eq!(node["metadata"]["name"], host.address(), "{document}");
    assert_eq!(node["result"]["kind"], "Node");

    let member = format!("/api/v0/cluster/web/hosts/{}", host.address());
    assert_eq!(world.ask("DELETE", &member, &Value::Null).0, 200);
    wait_until("the node to be removed", || server.node(host.address()).is_none());
    assert_eq!(world.ask("PUT", &member, &Value::Null).0, 200);
    world.until(host, "active");
    assert!(server.node(host.address()).is_some());
    assert_eq!(world.ask("DELETE", &format!("/api/v0/host/{}", host.address()), &Value::Null).0, 200);
    wait_until("the node to be removed", || server.node(host.address()).is_none());
    ended_without_a_fault(world.house);
}

#[test]
fn a_host_that_is_cut_off_has_failed_until_it_is_back() {
    let options = [("fleet-watch-seconds", "1"), ("fleet-ssh-connect-seconds", "1")];
    let mut world = World::new(Transport::Ssh, vec![HostPlan::new(), HostPlan::new()], &options);
    put(&world, "/api/v0/cluster/web", &json!({}));
    for host in world.hosts.all() {
        add_to_web(&world, host);
        world.until(host, "disassociated");
    }
    assert_eq!(health(&world), ("ok".into(), 2));
    let first = world.until(&world.hosts[1], "disassociated")["checked_at"].clone();
    world.hosts[0].cut_off();
    let failed = world.until(&world.hosts[0], "failed");
    let reason = failed["reason"].as_str().unwrap();
    assert!(reason.contains(world.hosts[0].address()), "{reason}");
    assert_eq!(health(&world), ("degraded".into(), 1));
    world.hosts[0].reconnect();
    world.until(&world.hosts[0], "disassociated");
    assert_eq!(health(&world), ("ok".into(), 2));
    let last = world.until(&world.hosts[1], "disassociated")["checked_at"].clone();
    assert!(last.as_str() > first.as_str(), "{first} {last}: it was looked at all the while");
    let log = world.house.stop().stderr;
    assert!(!log.contains("panicked") && !log.contains("ERROR"), "{log}");
    let changes: Vec<&str> = log.lines().filter(|line| line.contains("host's status changed")).collect();
    let is_told = |line: &&&str| line.contains("status=\"failed\"") && line.contains("reason=");
    assert!(changes.iter().any(|line| is_told(&line)), "the log says to what: {changes:#?}");
}
