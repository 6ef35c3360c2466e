//! Hosts and clusters under `/api/v0` (commissaire contract, sections 2 to 5): row by row with Python's requests,
//! and what takes several clients, another start, or a look into the files.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use futures_executor::block_on;
use reqwest::blocking::Client;
use serde_json::{Value, json};
use store::{Engine, Event, History, Sqlite};
use testkit::{Face, House, Plan, exchange, http, run, witness};

use crate::houses::{ended_without_a_fault, get, plan, request, up};

/// The first administrator of a house.
struct Admin<'a> {
    house: &'a House,
    client: Client,
}

impl<'a> Admin<'a> {
    fn of(house: &'a House) -> Self {
        Self { house, client: http::holder_of(&house.administrator()) }
    }

    /// The status and the document of an answer.
    fn ask(&self, method: &str, path: &str, body: &Value, headers: &[(&str, &str)]) -> (u16, Value) {
        let url = self.house.https_url(&format!("/api/v0{path}"));
        let mut asked =
            self.client.request(method.parse().unwrap(), url).header("Accept", "application/json");
        for (name, value) in headers {
            asked = asked.header(*name, *value);
        }
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let answer = asked.body(body).send().unwrap();
        let status = answer.status().as_u16();
        (status, serde_json::from_str(&answer.text().unwrap()).unwrap_or_default())
    }

    #[track_caller]
    fn put(&self, path: &str, body: &Value, status: u16) -> Value {
        let (found, document) = self.ask("PUT", path, body, &[]);
        assert_eq!(found, status, "{path} {body}: {document}");
        document
    }

    #[track_caller]
    fn get(&self, path: &str) -> Value {
        let (status, document) = self.ask("GET", path, &Value::Null, &[]);
        assert_eq!(status, 200, "{path}: {document}");
        document
    }
}

/// Does something `count` times at once.
pub fn at_once<T: Send>(count: usize, act: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let act = &act;
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..count).map(|n| scope.spawn(move || act(n))).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    })
}

/// Everything that happened in a house that stands still, oldest first.
pub fn history(house: &House) -> Vec<Event> {
    let engine: Arc<dyn Engine> = Arc::new(Sqlite::open(&house.data().join("provost.db")).unwrap());
    let page = block_on(History::new(engine.clone()).unwrap().page(None, 1_000)).unwrap();
    block_on(engine.close()).unwrap();
    page.entries.into_iter().map(|(_, event)| event.record).collect()
}

/// Other people's client library asks for everything that the contract names.
#[test]
fn every_row_of_the_contract_holds() {
    let mut house = plan(Face::Up).option("log-level", "trace").start();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../testkit/witness/fleet");
    let mut python = Command::new(witness("python"));
    // Without leaving compiled files beside the script.
    python.args(["-B", script, &house.https_url("/api/v0")]);
    python.arg(house.administrator()).arg(house.data().join("server-ca.pem"));
    let ran = run(python.arg(house.http_url("/api/v0")));
    let last = ran.ok().lines().last().unwrap_or_default();
    let (held, all) = last.trim_end_matches(" held").split_once(" of ").unwrap();
    assert!(held == all && all.parse::<u32>().unwrap() > 2_000, "{ran:#?}");

    // Even at its most talkative the house says no secret, and none lies in its files.
    let said = house.stop();
    assert!(!said.stdout.contains("\" 500 ") && !said.stderr.contains("panicked"), "{said:#?}");
    assert!(!said.stderr.contains("ERROR"), "{said:#?}");
    for secret in ["YSBwcml2YXRlIGtleQ", "a private key", "hunter2"] {
        assert!(!said.stderr.contains(secret) && !said.stdout.contains(secret), "{secret} was logged");
        assert!(!contains(&house.data(), secret), "{secret} is in a file");
    }
}

/// Whether `text` is in the file at `path`, or in one below it.
fn contains(path: &Path, text: &str) -> bool {
    if path.is_dir() {
        let mut files = std::fs::read_dir(path).unwrap();
        return files.any(|file| contains(&file.unwrap().path(), text));
    }
    std::fs::read(path).unwrap().windows(text.len()).any(|part| part == text.as_bytes())
}

/// By the connection, unless a proxy that the operator trusts says otherwise; and the history knows it.
#[test]
fn a_host_registers_itself_by_the_address_it_comes_from() {
    let forwarded = [("X-Forwarded-For", "198.51.100.7, 203.0.113.9")];
    for (trusted, headers, address) in [
        (None, &[][..], "127.0.0.1"),
        (None, &forwarded, "127.0.0.1"),
        (Some("192.0.2.0/24"), &forwarded, "127.0.0.1"),
        (Some("127.0.0.0/8"), &forwarded, "203.0.113.9"),
        (Some("127.0.0.1"), &[("X-Forwarded-For", "2001:db8::9")], "2001:db8::9"),
    ] {
        let options = trusted.map(|trusted| ("fleet-trusted-proxies", trusted));
        let plan = options.iter().fold(plan(Face::Up), |plan, (name, value)| plan.option(name, value));
        let mut house = plan.start();
        let admin = Admin::of(&house);
        let (status, document) = admin.ask("PUT", "/host", &json!({"ssh_priv_key": "a2V5"}), headers);
        assert_eq!((status, &document["address"]), (201, &json!(address)), "{trusted:?} {headers:?}");
        // A proxy that names nobody does not become the host.
        let (status, problem) = admin.ask("PUT", "/host", &json!({"ssh_priv_key": "a2V5"}), &[]);
        if trusted.is_some_and(|trusted| trusted.starts_with("127")) {
            assert_eq!(
                (status, problem["detail"].as_str().unwrap().contains("X-Forwarded-For")),
                (400, true)
            );
            let register = admin
                .client
                .post(house.https_url("/v1/hosts"))
                .header("Content-Type", "application/json")
                .body("{}")
                .send()
                .unwrap();
            assert_eq!(register.status().as_u16(), 400);
        } else {
            assert_eq!(status, 201);
        }
        // What is no address can be nobody's.
        let garbled = [("X-Forwarded-For", "unknown")];
        let (status, _) = admin.ask("PUT", "/host", &json!({"ssh_priv_key": "a2V5"}), &garbled);
        assert_eq!(status, if trusted.is_some_and(|trusted| trusted.starts_with("127")) { 400 } else { 201 });
        house.stop();
        let history = history(&house);
        let event = history.iter().find(|event| event.what == "host registered itself").unwrap();
        assert_eq!(
            (event.about.as_str(), event.from.as_deref()),
            (&*format!("host {address}"), Some(address))
        );
        assert!(event.by.starts_with("user certificate "), "{event:?}");
    }
}

/// Each of the two doors, by each of the names of this machine.
#[test]
fn the_other_door_and_the_other_family_serve_the_same() {
    let house = plan(Face::Up).host("[::1]").start();
    let admin = Admin::of(&house);
    assert_eq!(admin.put("/host", &json!({}), 201)["address"], "::1");
    assert_eq!(admin.get("/host/::1/status")["type"], "host_only");
    let near = exchange(house.http(), get("/api/v0/hosts"));
    assert_eq!((near.status, near.text()), (403, "Forbidden"));
    ended_without_a_fault(house);
}

/// Then its paths are like any other that leads nowhere.
#[test]
fn the_fleet_can_be_left_out() {
    let without: [Plan; 2] = [plan(Face::Up).option("fleet-api=false", ""), plan(Face::Caucased)];
    for plan in without {
        let house = plan.start();
        for (method, path, status) in
            [("GET", "/api/v0/hosts", 404), ("GET", "/api/v0", 404), ("PUT", "/api/v0/host/a", 405)]
        {
            let answer = exchange(house.http(), request(method, path, &[], b""));
            assert_eq!(answer.status, status, "{method} {path}");
        }
        ended_without_a_fault(house);
    }
}

/// What is beside it in the tree stays caucase's.
#[test]
fn the_dialects_do_not_touch_each_other() {
    let house = up();
    for (path, status) in [
        ("/api", 404),
        ("/api/v1/hosts", 404),
        ("/api/v00", 404),
        ("/", 200),
        ("/api/v0", 403),
        ("//api/v0/x", 403),
    ] {
        assert_eq!(exchange(house.http(), get(path)).status, status, "{path}");
    }
    // Pages of other origins get nothing that a browser would show them.
    let foreign = [("Origin", "https://elsewhere.example")];
    for method in ["GET", "OPTIONS"] {
        let answer = exchange(house.http(), request(method, "/api/v0/hosts", &foreign, b""));
        assert_eq!((answer.status, answer.header("access-control-allow-origin")), (403, None), "{method}");
    }
    ended_without_a_fault(house);
}

/// Whoever comes second finds it done, and nothing is done twice or by halves.
#[test]
fn two_writers_at_once_cannot_both_be_right() {
    let house = up();
    let admin = Admin::of(&house);
    let put = |path: String, body: Value| admin.ask("PUT", &path, &body, &[]).0;
    let count = |statuses: &[u16], status: u16| statuses.iter().filter(|found| **found == status).count();

    // One host, eight keys.
    let added = at_once(8, |n| put("/host/keyed".into(), json!({"ssh_priv_key": format!("key {n}")})));
    assert_eq!((count(&added, 201), count(&added, 409)), (1, 7), "{added:?}");
    let winner = added.iter().position(|status| *status == 201).unwrap();
    assert_eq!(admin.get("/host/keyed/creds")["ssh_priv_key"], format!("key {winner}"));

    // One host, eight clusters.
    for n in 0..8 {
        admin.put(&format!("/cluster/c{n}"), &json!({}), 201);
    }
    admin.put("/host/wanted", &json!({"status": "active"}), 201);
    let joined = at_once(8, |n| put(format!("/cluster/c{n}/hosts/wanted"), json!({})));
    assert_eq!((count(&joined, 200), count(&joined, 409)), (1, 7), "{joined:?}");
    let total: u64 =
        (0..8).map(|n| admin.get(&format!("/cluster/c{n}"))["hosts"]["total"].as_u64().unwrap()).sum();
    assert_eq!(total, 1);

    // One cluster, sixteen hosts, each brought by somebody else, joining or added.
    admin.put("/cluster/many", &json!({}), 201);
    for n in 0..8 {
        admin.put(&format!("/host/m{n}"), &json!({"status": "active"}), 201);
    }
    let grown = at_once(16, |n| match n {
        0..8 => put(format!("/cluster/many/hosts/m{n}"), json!({})),
        _ => put(format!("/host/m{n}"), json!({"cluster": "many", "status": "active"})),
    });
    assert_eq!((count(&grown, 200), count(&grown, 201)), (8, 8), "{grown:?}");
    let many = admin.get("/cluster/many");
    assert_eq!(many["hosts"], json!({"total": 16, "available": 16, "unavailable": 0}));
    let hosts: Vec<String> = (0..16).map(|n| format!("m{n}")).collect();
    assert_eq!(many["hostset"], json!(hosts));

    // Eight who believe the same of it.
    let replaced =
        at_once(8, |n| put("/cluster/many/hosts".into(), json!({"old": &hosts, "new": [format!("m{n}")]})));
    assert_eq!((count(&replaced, 200), count(&replaced, 409)), (1, 7), "{replaced:?}");
    let winner = replaced.iter().position(|status| *status == 200).unwrap();
    assert_eq!(admin.get("/cluster/many/hosts"), json!([format!("m{winner}")]));

    // Eight operations.
    let started = at_once(8, |n| match n % 2 {
        0 => put("/cluster/many/restart".into(), json!({})),
        _ => put("/cluster/many/upgrade".into(), json!({})),
    });
    assert_eq!((count(&started, 201), count(&started, 409)), (1, 7), "{started:?}");
    ended_without_a_fault(house);
}

/// Answers that are read often are kept; none of them outlives what it tells.
#[test]
fn what_is_read_again_is_as_it_is_now() {
    let house = up();
    let admin = Admin::of(&house);
    let addresses = || {
        let hosts = admin.get("/hosts");
        let hosts = hosts.as_array().unwrap().iter();
        hosts.map(|host| host["address"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let gone = |path: &str| admin.ask("GET", path, &Value::Null, &[]).0;
    admin.put("/cluster/web", &json!({}), 201);
    for n in 0..10 {
        let (path, name) = (format!("/host/h{n}"), format!("h{n}"));
        for _ in 0..2 {
            assert_eq!((gone(&path), addresses().len()), (404, 0));
        }
        admin.put(&path, &json!({"status": "active", "cluster": "web"}), 201);
        for _ in 0..2 {
            assert_eq!(admin.get(&path)["address"], name.as_str());
            assert_eq!(addresses(), [name.as_str()]);
            let web = admin.get("/cluster/web");
            assert_eq!((&web["hostset"], &web["hosts"]["available"]), (&json!([name]), &json!(1)));
        }
        assert_eq!(admin.ask("DELETE", &path, &Value::Null, &[]).0, 200);
        for _ in 0..2 {
            assert_eq!(admin.get("/cluster/web")["hostset"], json!([]));
        }
    }

    // While many write and read, whoever was told that a host is there finds it.
    at_once(8, |n| {
        for round in 0..20 {
            let path = format!("/host/many-{n}-{round}");
            admin.put(&path, &json!({}), 201);
            assert!(addresses().contains(&format!("many-{n}-{round}")));
            admin.get(&path);
        }
    });
    assert_eq!(addresses().len(), 160);
    ended_without_a_fault(house);
}

/// What was there before the end is there after the next start, secrets included.
#[test]
fn the_fleet_outlives_a_restart() {
    let mut house = up();
    let key = "x".repeat(64 * 1024);
    let admin = Admin::of(&house);
    admin.put("/network/flat", &json!({"options": {"token": "hunter2"}}), 201);
    admin.put("/cluster/web", &json!({"network": "flat"}), 201);
    admin.put("/host/10.0.0.1", &json!({"ssh_priv_key": key, "cluster": "web", "status": "active"}), 201);
    admin.put("/cluster/web/restart", &json!({}), 201);
    let paths = ["/hosts", "/cluster/web", "/cluster/web/restart", "/network/flat", "/host/10.0.0.1/creds"];
    let before = paths.map(|path| admin.get(path));
    house.stop();
    house.start();
    let admin = Admin::of(&house);
    assert_eq!(paths.map(|path| admin.get(path)), before);
    assert_eq!(before[4]["ssh_priv_key"], key);
    // Deleted once, the network that a house begins with stays away.
    assert_eq!(admin.ask("DELETE", "/network/default", &Value::Null, &[]).0, 200);
    house.stop();
    house.start();
    assert_eq!(Admin::of(&house).get("/networks"), json!(["flat"]));
    ended_without_a_fault(house);
}
