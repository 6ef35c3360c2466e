//! Operations of which a server that works on them dies.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use reqwest::blocking::Client;
use serde_json::{Value, json};
use testkit::{Etcd, Face, Hosts, House, http, wait_for, wait_until};

use super::{Key, plan};
use crate::houses::ended_without_a_fault;
use crate::operations::COMMANDS;

fn ask(house: &House, client: &Client, method: &str, path: &str, body: &Value) -> Value {
    let asked = client.request(method.parse().unwrap(), house.https_url(path));
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let answer = asked.header("Content-Type", "application/json").body(body).send().unwrap();
    assert!(answer.status().is_success(), "{method} {path}: {}", answer.status());
    serde_json::from_str(&answer.text().unwrap()).unwrap_or_default()
}

/// A claim is dead some seconds after its holder: nobody waits for a minute.
#[test]
fn an_operation_of_a_killed_server_goes_on_elsewhere_within_half_a_minute() {
    let etcd = Etcd::start(1);
    let hosts = Hosts::alike(2);
    let key = Key::new();
    let house = || {
        let plan = plan(Face::Up).etcd(&etcd).store_key(&key.file);
        plan.option("fleet-investigate", "true").option("fleet-commands-file", COMMANDS)
    };
    let mut one = house().start();
    let client = http::holder_of(&one.administrator());
    ask(&one, &client, "PUT", "/api/v0/cluster/web", &json!({}));
    for host in hosts.all() {
        let body = json!({"ssh_priv_key": BASE64.encode(hosts.key()), "cluster": "web"});
        ask(&one, &client, "PUT", &format!("/api/v0/host/{}", host.address()), &body);
    }
    for host in hosts.all() {
        let path = format!("/v1/hosts/{}", host.address());
        let is_ready = || ask(&one, &client, "GET", &path, &Value::Null)["status"] == "disassociated";
        wait_until("the host to be ready", is_ready);
    }
    let hold = hosts[0].path("/tmp/hold");
    std::fs::write(&hold, "").unwrap();
    hosts[0].answer("apt-get", "while [ -e /tmp/hold ]; do sleep 0.05; done");
    ask(&one, &client, "PUT", "/api/v0/cluster/web/upgrade", &Value::Null);
    let is_at_it = || hosts[0].recorded().iter().any(|line| line == "apt-get -q upgrade");
    wait_until("the upgrade to begin", is_at_it);
    let other = house().start();
    one.kill();
    let killed = Instant::now();
    std::fs::remove_file(&hold).unwrap();
    let ended = wait_for("the operation to end", || {
        let document = ask(&other, &client, "GET", "/api/v0/cluster/web/upgrade", &Value::Null);
        (document["status"] != "in_process").then_some(document)
    });
    let took = killed.elapsed();
    assert_eq!((&ended["status"], &ended["in_process"]), (&json!("finished"), &json!([])), "{ended}");
    assert!(took < Duration::from_secs(30), "{took:?}");
    for host in hosts.all() {
        let upgrades = host.recorded().iter().filter(|line| *line == "apt-get -q upgrade").count();
        assert_eq!(upgrades, 1, "{}", host.address());
    }
    ended_without_a_fault(other);
}
