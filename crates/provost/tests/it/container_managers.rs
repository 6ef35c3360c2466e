//! Container managers that are asked while somebody waits (commissaire contract, section 3.3): hosts that join a cluster
//! and leave it, and its deletion, where the container manager is there, refuses, or is away.

use reqwest::blocking::{Client, Response};
use serde_json::{Value, json};
use testkit::{ApiServer, Face, House, http};

use crate::houses::plan;

const TOKEN: &str = "s3cret";

struct Operator<'a> {
    house: &'a House,
    client: Client,
}

impl<'a> Operator<'a> {
    fn of(house: &'a House) -> Self {
        Self { house, client: http::holder_of(&house.administrator()) }
    }

    fn send(&self, method: &str, path: &str, body: &Value) -> Response {
        let url = self.house.https_url(path);
        let asked = self.client.request(method.parse().unwrap(), url).header("Accept", "application/json");
        let body = if body.is_null() { String::new() } else { body.to_string() };
        asked.body(body).send().unwrap()
    }

    fn ask(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let answer = self.send(method, path, body);
        let status = answer.status().as_u16();
        (status, serde_json::from_str(&answer.text().unwrap()).unwrap_or_default())
    }

    #[track_caller]
    fn refused(&self, method: &str, path: &str, status: u16, words: &str) {
        let (found, problem) = self.ask(method, path, &Value::Null);
        assert_eq!((found, &problem["status"]), (status, &json!(status)), "{method} {path}: {problem}");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(words), "{detail}");
    }

    fn get(&self, path: &str) -> Value {
        self.ask("GET", path, &Value::Null).1
    }

    #[track_caller]
    fn put(&self, path: &str, body: &Value) {
        let (status, document) = self.ask("PUT", path, body);
        assert!(status == 200 || status == 201, "{path}: {status} {document}");
    }

    /// A cluster `web` at the container manager `k8s`, and hosts that are ready to join it.
    fn cluster_at(&self, url: &str, hosts: &[&str]) {
        let options = json!({"server_url": url, "token": TOKEN});
        self.put("/api/v0/containermanager/k8s", &json!({"type": "openshift", "options": options}));
        self.put("/api/v0/cluster/web", &json!({"container_manager": "k8s"}));
        for host in hosts {
            self.put(&format!("/api/v0/host/{host}"), &json!({"status": "disassociated"}));
        }
    }

    fn members(&self) -> Value {
        self.get("/api/v0/cluster/web/hosts")
    }

    fn status(&self, host: &str) -> String {
        self.get(&format!("/api/v0/host/{host}"))["status"].as_str().unwrap().to_owned()
    }
}

/// A house that leaves the hosts alone: what they are is what is said here.
fn house() -> House {
    plan(Face::Up).option("fleet-investigate", "false").option("fleet-watch", "false").start()
}

/// That it could not be done was said, and is no fault of the house.
fn ended_well(mut house: House) {
    let log = house.stop().stderr;
    assert!(!log.contains("panicked") && !log.contains("ERROR"), "{log}");
}

#[test]
fn a_container_manager_that_is_away_is_told_to_whoever_waits() {
    let house = house();
    let operator = Operator::of(&house);
    operator.cluster_at("http://127.0.0.1:1", &["a", "b"]);
    let away = "http://127.0.0.1:1 cannot be reached";

    operator.refused("PUT", "/api/v0/cluster/web/hosts/a", 502, away);
    operator.refused("PUT", "/v1/clusters/web/hosts/a", 502, away);
    assert_eq!((operator.members(), operator.status("a")), (json!([]), "disassociated".into()));
    // Nobody is asked about those that may not join anyway.
    operator.refused("PUT", "/api/v0/cluster/web/hosts/nobody", 404, "does not exist");
    operator.refused("PUT", "/api/v0/cluster/none/hosts/a", 404, "does not exist");
    operator.put("/api/v0/host/new", &json!({}));
    operator.refused("PUT", "/api/v0/cluster/web/hosts/new", 405, "cannot join");

    // Hosts that are added to a cluster belong to it at once.
    for host in ["c", "d", "e"] {
        operator.put(&format!("/api/v0/host/{host}"), &json!({"cluster": "web", "status": "active"}));
    }
    for path in ["/api/v0/cluster/web/hosts/c", "/v1/clusters/web/hosts/d"] {
        let left = operator.send("DELETE", path, &Value::Null);
        assert!(left.status().is_success(), "{path}: {left:?}");
        let warning = left.headers()["warning"].to_str().unwrap();
        assert!(warning.contains("has not removed the node yet"), "{warning}");
    }
    let again = operator.send("DELETE", "/api/v0/cluster/web/hosts/c", &Value::Null);
    assert!(again.status() == 200 && !again.headers().contains_key("warning"), "{again:?}");
    assert_eq!(operator.members(), json!(["e"]));

    operator.refused("DELETE", "/api/v0/cluster/web", 503, away);
    operator.refused("DELETE", "/v1/clusters/web", 503, away);
    let hint = operator.ask("DELETE", "/v1/clusters/web", &Value::Null).1["hint"].to_string();
    assert!(hint.contains("--force") && hint.contains("/api/v0"), "{hint}");
    operator.refused("DELETE", "/v1/clusters/web?force=perhaps", 400, "`force`");
    assert_eq!((operator.members(), operator.status("e")), (json!(["e"]), "active".into()));
    let force = json!({"force": true});
    assert_eq!(operator.ask("DELETE", "/api/v0/cluster/web", &force), (200, json!([])));
    operator.put("/api/v0/cluster/web", &json!({"container_manager": "k8s"}));
    operator.put("/api/v0/host/f", &json!({"cluster": "web"}));
    assert_eq!(operator.ask("DELETE", "/v1/clusters/web?force=true", &Value::Null).0, 204);
    assert_eq!(operator.ask("DELETE", "/api/v0/cluster/web", &force).0, 404);
    drop(operator);
    ended_well(house);
}

#[test]
fn what_is_answered_is_done_at_the_container_manager() {
    let house = house();
    let (operator, server) = (Operator::of(&house), ApiServer::http());
    server.set_token(TOKEN, "provost");
    operator.cluster_at(&server.url(), &["a", "b", "c", "d"]);
    let is_there = |host: &str| server.node(host).is_some();
    server.add_node("d", "of somebody else");

    for host in ["a", "b"] {
        let joined = operator.ask("PUT", &format!("/api/v0/cluster/web/hosts/{host}"), &Value::Null);
        assert_eq!(joined, (200, json!([host])));
        assert!(is_there(host) && operator.status(host) == "active");
    }
    operator.put("/v1/clusters/web/hosts/c", &Value::Null);
    assert!(is_there("c") && operator.status("c") == "active");
    let asked = server.asked().len();
    operator.put("/api/v0/cluster/web/hosts/a", &Value::Null);
    assert_eq!(server.asked().len(), asked, "it is a member already");
    let left = operator.send("DELETE", "/api/v0/cluster/web/hosts/b", &Value::Null);
    assert!(left.status() == 200 && !left.headers().contains_key("warning"), "{left:?}");
    assert!(!is_there("b"));

    // What is refused leaves all as it was.
    server.forbid("create", "nodes");
    operator.refused("PUT", "/api/v0/cluster/web/hosts/b", 502, "does not let us");
    assert!(operator.members() == json!(["a", "c"]) && !is_there("b"));
    operator.put("/api/v0/cluster/web/hosts/d", &Value::Null);
    assert_eq!(operator.status("d"), "active", "it is a node already");
    server.forbid("delete", "nodes");
    // One that waits for its node has none afterwards either.
    operator.put("/api/v0/host/w", &json!({"cluster": "web", "status": "disassociated"}));
    operator.refused("DELETE", "/api/v0/cluster/web", 503, "does not let us");
    assert_eq!(operator.members(), json!(["a", "c", "d", "w"]));
    assert_eq!((is_there("w"), operator.status("w").as_str()), (false, "disassociated"));
    for host in ["a", "c", "d"] {
        assert!(is_there(host) && operator.status(host) == "active", "{host}");
    }
    drop(operator);
    ended_well(house);
}

#[test]
fn a_cluster_goes_when_its_nodes_are_gone() {
    let house = house();
    let (operator, server) = (Operator::of(&house), ApiServer::http());
    server.set_token(TOKEN, "provost");
    server.add_node("another", "of somebody else");
    let hosts: Vec<String> = (0..20).map(|number| format!("h{number}")).collect();
    let names: Vec<&str> = hosts.iter().map(String::as_str).collect();
    operator.cluster_at(&server.url(), &names);
    // All of them at once, each by two who do not know of each other.
    crate::fleet::at_once(40, |number| {
        operator.put(&format!("/api/v0/cluster/web/hosts/{}", hosts[number % 20]), &Value::Null);
    });
    assert!(hosts.iter().all(|host| server.node(host).is_some() && operator.status(host) == "active"));
    assert_eq!(operator.ask("DELETE", "/api/v0/cluster/web", &json!({})), (200, json!([])));
    assert!(!hosts.iter().any(|host| server.node(host).is_some()), "they went before the answer came");
    assert!(server.node("another").is_some(), "it is nobody's here");
    drop(operator);
    ended_well(house);
}
