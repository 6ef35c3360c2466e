//! What goes wrong, and how it is said.

use serde_json::{Value, json};
use testkit::{House, exchange};

use super::Asker;
use crate::houses::{ended_without_a_fault, get, request, up};

/// Everything there is, to see that nothing changed.
fn everything(admin: &Asker) -> [Value; 4] {
    ["/hosts", "/clusters", "/networks", "/container-managers"].map(|path| admin.get(path).document)
}

#[test]
fn every_fault_is_a_problem_and_changes_nothing() {
    let house = up();
    let admin = Asker::admin(&house);
    admin.put("/clusters/web", &json!({}), 201);
    admin.put("/hosts/10.0.0.1", &json!({}), 201);
    let before = everything(&admin);
    let (long, none) = ("a".repeat(300), Value::Null);
    let labels: serde_json::Map<_, _> = (0..33).map(|n| (format!("l{n}"), json!("x"))).collect();
    let text = |text: &str| Value::from(text);
    for (method, path, body, status) in [
        ("GET", "/nothing", none.clone(), 404),
        ("GET", "", none.clone(), 404),
        ("GET", "/hosts/", none.clone(), 404),
        ("GET", "/hosts/10.0.0.2", none.clone(), 404),
        ("GET", "/hosts/10.0.0.1/credentials/", none.clone(), 404),
        ("GET", "/hosts/10.0.0.2/credentials", none.clone(), 404),
        ("GET", "/clusters/db/hosts", none.clone(), 404),
        ("GET", "/clusters/db/operations", none.clone(), 404),
        ("GET", "/clusters/web/operations/7", none.clone(), 404),
        ("GET", "/clusters/web/operations/7/hosts", none.clone(), 404),
        ("GET", "/clusters/web/operations/7/events", none.clone(), 404),
        ("POST", "/clusters/web/operations/7/pause", json!({}), 404),
        ("POST", "/clusters/web/operations/7/retry", json!({}), 404),
        ("POST", "/clusters/web/operations/7/hosts/10.0.0.1/skip", json!({}), 404),
        ("DELETE", "/networks/none", none.clone(), 404),
        ("PUT", "/clusters/db/hosts/10.0.0.1", none.clone(), 404),
        ("PUT", "/clusters/web/hosts/10.0.0.2", none.clone(), 404),
        ("POST", "/clusters/db/operations", json!({"kind": "restart"}), 404),
        ("POST", "/hosts/10.0.0.1", json!({}), 405),
        ("GET", "/clusters/web/operations/7/pause", none.clone(), 405),
        ("DELETE", "/clusters/web/operations/7", none.clone(), 405),
        ("TRACE", "/hosts", none.clone(), 405),
        ("BREW", "/hosts", none.clone(), 405),
        // Names that are none.
        ("GET", "/hosts/a%2Fb", none.clone(), 400),
        ("GET", "/hosts/%2E%2E%2Fa", none.clone(), 400),
        ("GET", "/hosts/%C3%A9", none.clone(), 400),
        ("GET", "/hosts/%FF", none.clone(), 400),
        ("GET", "/hosts/a%00", none.clone(), 400),
        ("PUT", "/hosts/a%0A", json!({}), 400),
        ("PUT", "/hosts/-oProxyCommand=x", json!({}), 400),
        ("PUT", &format!("/hosts/{long}"), json!({}), 400),
        ("PUT", "/clusters/a.b", json!({}), 400),
        ("PUT", "/clusters/a%20b", json!({}), 400),
        ("PUT", &format!("/clusters/{long}"), json!({}), 400),
        ("GET", "/clusters/web/operations/restart", none.clone(), 400),
        ("GET", "/clusters/web/operations/-1", none.clone(), 400),
        ("GET", "/clusters/web/operations/12345678901234567/events", none.clone(), 400),
        ("POST", "/clusters/web/operations/x/abort", json!({}), 400),
        ("POST", "/clusters/web/operations/7/hosts/a%2Fb/skip", json!({}), 400),
        ("PUT", "/hosts/10.0.0", json!({}), 422),
        ("PUT", "/hosts/300.0.0.1", json!({}), 422),
        ("PUT", "/hosts/a..b", json!({}), 422),
        ("PUT", "/hosts/0.0.0.0", json!({}), 422),
        // Bodies that are none.
        ("PUT", "/hosts/h", none.clone(), 415),
        ("PUT", "/hosts/h", text(""), 400),
        ("PUT", "/hosts/h", text("{"), 400),
        ("PUT", "/hosts/h", text("[]"), 400),
        ("PUT", "/hosts/h", text("null"), 400),
        ("PUT", "/hosts/h", text("name=h"), 400),
        ("PUT", "/hosts/h", text(&"[".repeat(100_000)), 400),
        ("PUT", "/hosts/h", json!({"colour": "red"}), 400),
        ("PUT", "/hosts/h", json!({"address": "h"}), 400),
        ("PUT", "/hosts/h", json!({"status": "active"}), 400),
        ("PUT", "/hosts/h", json!({"cluster": 7}), 400),
        ("PUT", "/hosts/h", json!({"cluster": "a/b"}), 400),
        ("PUT", "/hosts/h", json!({"cluster": "nowhere"}), 409),
        ("PUT", "/hosts/h", json!({"remote_user": "-l"}), 400),
        ("PUT", "/hosts/h", json!({"labels": {"a b": "c"}}), 400),
        ("PUT", "/hosts/h", json!({"labels": {"a": "b/c"}}), 400),
        ("PUT", "/hosts/h", json!({"labels": labels.clone()}), 400),
        ("PUT", "/hosts/h", json!({"ssh_private_key": ""}), 422),
        ("PUT", "/hosts/h", json!({"ssh_private_key": "ssh-ed25519 AAAAC3Nz me"}), 422),
        ("PUT", "/hosts/h", json!({"ssh_private_key": "x".repeat(50_000)}), 400),
        ("PUT", "/hosts/10.0.0.1", json!({"cluster": "web"}), 409),
        ("POST", "/hosts", json!({"address": "10.0.0.9"}), 400),
        ("PATCH", "/hosts/10.0.0.1", json!({"labels": {"a": 1}}), 400),
        ("PATCH", "/hosts/10.0.0.1", json!({"labels": {"a b": null}}), 400),
        ("PATCH", "/hosts/10.0.0.1", json!({"labels": labels}), 422),
        ("PATCH", "/hosts/10.0.0.1", json!({"status": "active"}), 400),
        ("PATCH", "/hosts/10.0.0.2", json!({}), 404),
        ("PUT", "/clusters/web", json!({"network": "nowhere"}), 409),
        ("PUT", "/clusters/web", json!({"container_manager": "nobody"}), 409),
        ("PUT", "/clusters/web", json!({"container_manager": ""}), 400),
        ("PUT", "/clusters/web", json!({"name": "web"}), 400),
        ("PUT", "/clusters/web/hosts", json!({"hosts": ["10.0.0.2"]}), 409),
        ("PUT", "/clusters/web/hosts", json!({"hosts": ["10.0.0.1"]}), 409),
        ("PUT", "/clusters/web/hosts", json!({"hosts": [], "expected": ["10.0.0.1"]}), 409),
        ("PUT", "/clusters/web/hosts", json!({"hosts": ["a/b"]}), 400),
        ("PUT", "/clusters/web/hosts", json!({}), 400),
        ("PUT", "/clusters/web/hosts/10.0.0.1", json!({"hosts": []}), 400),
        ("POST", "/clusters/web/operations", json!({}), 400),
        ("POST", "/clusters/web/operations", json!({"kind": "reboot"}), 400),
        ("POST", "/clusters/web/operations", json!({"kind": "deploy"}), 400),
        ("POST", "/clusters/web/operations", json!({"kind": "deploy", "version": ""}), 400),
        ("POST", "/clusters/web/operations", json!({"kind": "deploy", "version": "a b"}), 400),
        ("POST", "/clusters/web/operations", json!({"kind": "deploy", "version": "--force"}), 400),
        ("POST", "/clusters/web/operations", json!({"kind": "restart", "version": "7"}), 400),
        ("POST", "/clusters/web/operations", json!({"kind": "restart", "policy": {"batch": "0"}}), 400),
        ("POST", "/clusters/web/operations", json!({"kind": "restart", "policy": {"batch": 3}}), 400),
        ("POST", "/clusters/web/operations", json!({"kind": "restart", "policy": {"batches": "3"}}), 400),
        ("POST", "/clusters/web/operations", json!({"kind": "restart", "policy": {"windows": ["x"]}}), 400),
        (
            "POST",
            "/clusters/web/operations",
            json!({"kind": "restart", "policy": {"failures_max": 101}}),
            400,
        ),
        ("POST", "/clusters/web/operations", json!({"kind": "restart", "policy": {"start_at": "now"}}), 422),
        ("POST", "/clusters/web/operations", json!({"kind": "restart", "dry_run": "no"}), 400),
        ("POST", "/clusters/db/operations", json!({"kind": "restart", "dry_run": true}), 404),
        ("POST", "/clusters/web/operations/7/pause", none.clone(), 415),
        ("POST", "/clusters/web/operations/7/pause", json!({"why": "lunch"}), 400),
        ("PUT", "/networks/n", json!({}), 400),
        ("PUT", "/networks/n", json!({"kind": "flannel_server"}), 422),
        ("PUT", "/networks/n", json!({"kind": "flannel_etcd", "options": []}), 400),
        ("PUT", "/networks/default", json!({"kind": "flannel_etcd", "options": {"a": 1}}), 409),
        ("PUT", "/container-managers/m", json!({"kind": "kubernetes"}), 422),
        ("PUT", "/container-managers/m", json!({"kind": "OpenShift"}), 400),
        // Queries that are none.
        ("GET", "/hosts?limit=0", none.clone(), 400),
        ("GET", "/hosts?limit=1001", none.clone(), 400),
        ("GET", "/hosts?limit=%2B1", none.clone(), 400),
        ("GET", "/hosts?limit=", none.clone(), 400),
        ("GET", "/hosts?limit=1&limit=2", none.clone(), 400),
        ("GET", "/hosts?page=2", none.clone(), 400),
        ("GET", "/hosts/10.0.0.1?limit=1", none.clone(), 400),
        ("GET", "/hosts?label=rack", none.clone(), 400),
        ("GET", "/hosts?label=a%20b=c", none.clone(), 400),
        ("GET", "/hosts?status=", none.clone(), 400),
        ("GET", "/hosts?cluster=a.b", none.clone(), 400),
        ("GET", "/hosts?os=%FF", none.clone(), 400),
        ("GET", "/hosts?after=10.0.0.1", none.clone(), 422),
        ("GET", "/clusters/web/operations?after=aDEwLjAuMC4x", none.clone(), 422),
        ("GET", "/clusters/web/operations/7/hosts?state=reborn", none.clone(), 400),
        ("GET", "/clusters?after=aDEwLjAuMC4x", none, 422),
    ] {
        let answered = admin.ask(method, path, &[], &body);
        answered.is_problem(status);
        if status == 405 {
            assert!(answered.header("allow").is_some_and(|allow| allow.contains("OPTIONS")), "{answered:?}");
        }
        assert_eq!(everything(&admin), before, "{method} {path} {body}");
    }
    ended_without_a_fault(house);
}

#[test]
fn headers_are_looked_at() {
    let house = up();
    let admin = Asker::admin(&house);
    let body = json!({});
    for (headers, status) in [
        (("Content-Type", ""), 415),
        (("Content-Type", "text/plain"), 415),
        (("Content-Type", "application/x-www-form-urlencoded"), 415),
        (("Content-Type", "application/jsonp"), 415),
        (("Content-Type", "Application/JSON; charset=utf-8"), 201),
        (("Accept", "text/html"), 406),
        (("Accept", "application/json;q=0"), 406),
        (("Accept", "application/problem+json"), 406),
        (("Accept", "text/html, */*;q=0.1"), 200),
    ] {
        let answered = admin.ask("PUT", "/hosts/a", &[headers], &body);
        assert_eq!(answered.status, status, "{headers:?}: {answered:?}");
        if status > 400 {
            answered.is_problem(status);
        }
    }
    let options = admin.says("OPTIONS", "/hosts/a", &[], &Value::Null, 204);
    assert_eq!(options.header("allow"), Some("GET, HEAD, PUT, PATCH, DELETE, OPTIONS"));
    let large = "x".repeat(wire::BODY_BYTES_MAX + 1);
    admin.ask("PUT", "/hosts/b", &[], &json!(large)).is_problem(413);
    ended_without_a_fault(house);
}

/// What takes more room than there is for it is refused in one sentence, which says how much there is.
#[test]
fn what_is_too_large_is_told_with_the_limit() {
    let house = up();
    let admin = Asker::admin(&house);
    let too_large = |path: &str, body: &Value| {
        let answered = admin.ask("PUT", path, &[], body);
        (answered.status, answered.document["detail"].as_str().unwrap_or_default().to_owned())
    };
    let detail = |status: u16, words: &str| (status, words.to_owned());
    let options =
        |name: &str, bytes: usize| json!({"kind": "flannel_etcd", "options": {name: "x".repeat(bytes)}});
    let network = "the options of the network `n` are too large: a network may have 512 KiB, secrets sealed";
    assert_eq!(too_large("/networks/n", &options("mtu", 9_000_000)), detail(413, network));
    assert_eq!(too_large("/networks/n", &options("token", 450_000)), detail(413, network));
    let manager = "the options of the container manager `m` are too large: a container manager may have 512 KiB, \
                   secrets sealed";
    let trivial = json!({"kind": "trivial", "options": {"a": "x".repeat(600_000)}});
    assert_eq!(too_large("/container-managers/m", &trivial), detail(413, manager));
    let key = "`ssh_private_key` is longer than 49152 bytes";
    assert_eq!(too_large("/hosts/h", &json!({"ssh_private_key": "x".repeat(9_000_000)})), detail(400, key));
    let label = "the value of the label `a` has more than 63 characters, or others than letters, digits, `.`, `_` \
                 and `-`";
    assert_eq!(too_large("/hosts/h", &json!({"labels": {"a": "x".repeat(9_000_000)}})), detail(400, label));
    let name = "`cluster`: a name has at most 200 characters";
    assert_eq!(too_large("/hosts/h", &json!({"cluster": "x".repeat(9_000_000)})), detail(400, name));
    admin.put("/networks/n", &options("mtu", 500_000), 201);
    ended_without_a_fault(house);
}

/// What clusters use stays, and they are named; the original's interface deletes it, and the cluster can still be
/// put as it is.
#[test]
fn what_clusters_use_is_not_deleted() {
    let house = up();
    let admin = Asker::admin(&house);
    admin.put("/networks/n", &json!({"kind": "flannel_etcd"}), 201);
    admin.put("/container-managers/k", &json!({"kind": "trivial"}), 201);
    let settings = json!({"network": "n", "container_manager": "k"});
    admin.put("/clusters/web", &settings, 201);
    admin.put("/clusters/db", &settings, 201);
    for (path, noun) in [("/networks/n", "network `n`"), ("/container-managers/k", "container manager `k`")] {
        let refused = admin.ask("DELETE", path, &[], &Value::Null);
        let expected = format!("the {noun} is in use by the clusters `db` and `web`");
        assert_eq!(refused.is_problem(409), expected);
        admin.get(path);
        let (noun, _) = noun.split_once(" `").unwrap();
        let hint = format!("give them another {noun} first, or delete them");
        assert_eq!(refused.document["hint"], hint);
    }
    for path in ["network/n", "containermanager/k"] {
        admin.says("DELETE", &format!("/../api/v0/{path}"), &[], &Value::Null, 200);
    }
    admin.put("/clusters/web", &settings, 200);
    admin.put("/clusters/new", &settings, 409);
    ended_without_a_fault(house);
}

/// One operation at a time, and whoever comes second is told which one runs.
#[test]
fn what_is_in_the_way_is_shown() {
    let house = up();
    let admin = Asker::admin(&house);
    admin.put("/clusters/web", &json!({}), 201);
    let started = admin.says(
        "POST",
        "/clusters/web/operations",
        &[],
        &json!({"kind": "deploy", "version": "7.2"}),
        201,
    );
    let place = started.header("location").unwrap().strip_prefix("/v1").unwrap();
    assert_eq!(place, format!("/clusters/web/operations/{}", started.document["id"]));
    let done = admin.get(place).document;
    assert_eq!(done, started.document);
    assert_eq!((&done["phase"], &done["version"]), (&json!("finished"), &json!("7.2")), "{done}");
    admin.put("/hosts/10.0.0.1", &json!({"cluster": "web"}), 201);
    let running =
        admin.says("POST", "/clusters/web/operations", &[], &json!({"kind": "restart"}), 201).document;
    assert_eq!((&running["phase"], running.get("finished_at")), (&json!("running"), None));
    let second = admin.ask("POST", "/clusters/web/operations", &[], &json!({"kind": "upgrade"}));
    second.is_problem(409);
    assert_eq!(second.document["running"], running);
    let retried = admin.ask("POST", &format!("{place}/retry"), &[], &json!({}));
    retried.is_problem(409);
    assert_eq!(retried.document["running"], running);
    let all = admin.get("/clusters/web/operations").document;
    assert_eq!(all["items"], json!([running, done]), "{all}");
    let web = admin.get("/clusters/web").document;
    assert_eq!(web["hosts"], json!({"total": 1, "available": 0, "unavailable": 1, "by_status": {"new": 1}}));
    assert_eq!(web["health"], "failed");
    ended_without_a_fault(house);
}

/// Programs on this machine are answered without TLS; nobody is known there by a certificate.
#[test]
fn the_plain_door_asks_who_it_is() {
    let house = up();
    let ask = |house: &House, bytes: Vec<u8>| exchange(house.http(), bytes);
    assert_eq!(ask(&house, get("/v1/openapi.json")).status, 200);
    for bytes in [get("/v1/hosts"), get("/v1"), get("/%761/hosts"), request("PUT", "/v1/hosts/a", &[], b"{}")]
    {
        let answer = ask(&house, bytes);
        assert_eq!((answer.status, answer.header("content-type")), (401, Some("application/problem+json")));
    }
    // What is beside it in the tree stays caucase's.
    assert_eq!(ask(&house, get("/v10")).status, 404);
    ended_without_a_fault(house);
}
