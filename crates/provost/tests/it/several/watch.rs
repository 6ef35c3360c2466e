//! Hosts that two processes watch.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use reqwest::blocking::Client;
use serde_json::{Value, json};
use testkit::{Etcd, Host, Hosts, House, http, wait_until};

use super::{administrator, two};
use crate::houses::ended_without_a_fault;

/// One administrator, and the house that they ask.
struct Asked<'a> {
    house: &'a House,
    client: &'a Client,
}

impl Asked<'_> {
    fn get(&self, path: &str) -> Value {
        let answer = self.client.get(self.house.https_url(path)).send().unwrap();
        serde_json::from_str(&answer.text().unwrap()).unwrap_or_default()
    }

    fn put(&self, path: &str, body: &Value) {
        let answer = self.client.put(self.house.https_url(path)).body(body.to_string()).send().unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
    }

    fn until(&self, host: &Host, status: &str) {
        let path = format!("/v1/hosts/{}", host.address());
        wait_until(status, || self.get(&path)["status"] == status);
    }

    /// Waits until each host was looked at once more, so many times.
    fn wait_for_looks(&self, hosts: &[Host], times: usize) {
        let checked = |host: &Host| self.get(&format!("/v1/hosts/{}", host.address()))["checked_at"].clone();
        for _ in 0..times {
            let before: Vec<Value> = hosts.iter().map(checked).collect();
            let is_looked_at = || hosts.iter().zip(&before).all(|(host, before)| checked(host) != *before);
            wait_until("another look", is_looked_at);
        }
    }
}

/// Whichever of them looks, each host is looked at; and when one of them ends, the other goes on.
#[test]
fn hosts_are_watched_by_whoever_is_there() {
    let etcd = Etcd::start(1);
    let hosts = Hosts::alike(4);
    let houses = two(&etcd, |plan| {
        plan.option("fleet-investigate", "true")
            .option("fleet-watch-seconds", "2")
            .option("fleet-ssh-connect-seconds", "1")
    });
    let client = http::holder_of(&administrator(&houses));
    let [one, other] = houses;
    let (first, second) = (Asked { house: &one, client: &client }, Asked { house: &other, client: &client });
    first.put("/api/v0/cluster/web", &json!({}));
    for host in hosts.all() {
        let body = json!({"ssh_priv_key": BASE64.encode(hosts.key()), "cluster": "web"});
        first.put(&format!("/api/v0/host/{}", host.address()), &body);
    }
    for host in hosts.all() {
        second.until(host, "disassociated");
    }
    second.wait_for_looks(hosts.all(), 2);
    ended_without_a_fault(one);

    let second = Asked { house: &other, client: &client };
    second.wait_for_looks(hosts.all(), 1);
    hosts[0].cut_off();
    second.until(&hosts[0], "failed");
    assert_eq!(second.get("/api/v0/cluster/web")["status"], "degraded");
    hosts[0].reconnect();
    second.until(&hosts[0], "disassociated");
    ended_without_a_fault(other);
}
