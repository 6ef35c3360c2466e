//! Operations on clusters: asked for, looked at and steered. Nothing here waits for hosts, of which there are none.

use serde_json::{Value, json};
use testkit::House;

use super::{Answered, Asker};
use crate::houses::{ended_without_a_fault, up};

const OPERATIONS: &str = "/clusters/web/operations";

/// With a cluster of so many hosts, of which nobody knows more than their addresses.
fn world(hosts: usize) -> (House, Asker) {
    let house = up();
    let admin = Asker::admin(&house);
    admin.put("/clusters/web", &json!({}), 201);
    for n in 0..hosts {
        admin.put(&format!("/hosts/10.0.0.{n}"), &json!({"cluster": "web"}), 201);
    }
    (house, admin)
}

/// One that does not begin before next year, so that nothing but what the test does happens to it.
fn later(kind: &str) -> Value {
    json!({"kind": kind, "policy": {"start_at": "2099-01-01T00:00:00Z"}})
}

#[track_caller]
fn start(admin: &Asker, operation: &Value) -> String {
    let started = admin.says("POST", OPERATIONS, &[], operation, 201);
    let place = format!("{OPERATIONS}/{}", started.document["id"]);
    assert_eq!(started.header("location"), Some(format!("/v1{place}").as_str()));
    place
}

#[track_caller]
fn steer(admin: &Asker, place: &str, verb: &str, status: u16) -> Answered {
    admin.says("POST", &format!("{place}/{verb}"), &[], &json!({}), status)
}

#[test]
fn what_was_asked_for_is_what_is_shown() {
    let (house, admin) = world(4);
    let policy = json!({
        "batch": "50%", "max_unavailable": "3", "canary": "1", "failures_max": 2, "drain": true,
        "gates": {"node_ready": false, "command": "true", "soak_seconds": 90}, "host_limit_seconds": 1800,
        "start_at": "2099-01-01T00:00:00Z", "windows": ["mon,tue 22:00-04:00", "daily 01:00-05:00"],
    });
    let place = start(&admin, &json!({"kind": "deploy", "version": "7.2", "policy": policy}));
    let shown = admin.get(&place).document;
    assert_eq!(shown["policy"], policy);
    assert_eq!(
        (&shown["kind"], &shown["version"], &shown["cluster"]),
        (&json!("deploy"), &json!("7.2"), &json!("web"))
    );
    assert_eq!(shown["phase"], "scheduled");
    assert_eq!(shown["waits_for"], json!({"what": "schedule", "until": "2099-01-01T01:00:00Z"}));
    let counts = json!({"total": 4, "waiting": 4, "under_way": 0, "done": 0, "failed": 0, "skipped": 0});
    assert_eq!((&shown["hosts"], &shown["under_way"]), (&counts, &json!([])));
    assert!(shown["started_by"].as_str().is_some_and(|name| !name.is_empty()), "{shown}");
    // The original's clients see it, too.
    let old = admin.get("/../api/v0/cluster/web/deploy").document;
    assert_eq!((&old["status"], &old["version"]), (&json!("in_process"), &json!("7.2")));
    ended_without_a_fault(house);
}

#[test]
fn a_plan_starts_nothing() {
    let (house, admin) = world(5);
    let policy = json!({"canary": "1", "batch": "3", "start_at": "2099-01-01T00:00:00Z"});
    let planned = admin.says(
        "POST",
        OPERATIONS,
        &[],
        &json!({"kind": "restart", "policy": policy, "dry_run": true}),
        200,
    );
    assert_eq!(
        planned.document,
        json!({"groups": [["10.0.0.0"], ["10.0.0.1", "10.0.0.2", "10.0.0.3"], ["10.0.0.4"]],
            "has_canaries": true, "refused": [], "begins_at": "2099-01-01T00:00:00Z"})
    );
    assert_eq!(admin.get(OPERATIONS).document, json!({"items": []}));
    // Nor is it in the way of anything.
    start(&admin, &later("upgrade"));
    admin.says("POST", OPERATIONS, &[], &json!({"kind": "restart", "dry_run": true}), 200);
    ended_without_a_fault(house);
}

#[test]
fn operations_are_steered() {
    let (house, admin) = world(3);
    let place = start(&admin, &later("restart"));
    assert_eq!(steer(&admin, &place, "pause", 200).document["phase"], "paused");
    // Who says it again is told the same.
    let paused = steer(&admin, &place, "pause", 200);
    assert_eq!(paused.document, admin.get(&place).document);
    assert_eq!(paused.document.get("waits_for"), None);
    let skipped = steer(&admin, &place, "hosts/10.0.0.1/skip", 200);
    assert_eq!(
        (&skipped.document["hosts"]["skipped"], &skipped.document["hosts"]["waiting"]),
        (&json!(1), &json!(2))
    );
    steer(&admin, &place, "hosts/10.0.0.9/skip", 404).is_problem(404);
    steer(&admin, &place, "retry", 409).is_problem(409);
    assert_eq!(steer(&admin, &place, "resume", 200).document["phase"], "scheduled");
    let aborted = steer(&admin, &place, "abort", 200).document;
    assert_eq!(aborted["phase"], "aborted");
    assert!(aborted["finished_at"].as_str().is_some(), "{aborted}");
    for verb in ["pause", "resume", "abort"] {
        let refused = steer(&admin, &place, verb, 409);
        assert!(refused.is_problem(409).ends_with("has ended: aborted"), "{refused:?}");
        assert_eq!(refused.document["hint"], "retry it, or start another");
    }
    assert_eq!(steer(&admin, &place, "retry", 200).document["phase"], "scheduled");
    steer(&admin, &place, "abort", 200);
    let other = start(&admin, &later("restart"));
    steer(&admin, &other, "abort", 200);
    assert!(steer(&admin, &place, "retry", 409).is_problem(409).contains("there has been a later operation"));

    let hosts = admin.get(&format!("{place}/hosts")).document;
    let states: Vec<_> = hosts["items"].as_array().unwrap().iter().map(|host| &host["state"]).collect();
    assert_eq!(states, ["waiting", "skipped", "waiting"]);
    let skipped = &hosts["items"][1];
    assert!(skipped["reason"].as_str().unwrap().ends_with("has it skipped"), "{skipped}");
    assert!(skipped["since"].as_str().is_some() && skipped["left_cordoned"] == false, "{skipped}");
    let only = admin.get(&format!("{place}/hosts?state=skipped")).document;
    assert_eq!(only["items"], json!([skipped]));
    ended_without_a_fault(house);
}

#[test]
fn operations_and_their_hosts_come_in_pages() {
    let (house, admin) = world(3);
    let mut places = Vec::new();
    for _ in 0..5 {
        let place = start(&admin, &later("restart"));
        steer(&admin, &place, "abort", 200);
        places.insert(0, place);
    }
    let walk = |path: &str, name: fn(&Value) -> String| {
        let (mut found, mut after) = (Vec::new(), String::new());
        loop {
            let page = admin.get(&format!("{path}?limit=2{after}")).document;
            let items = page["items"].as_array().unwrap();
            assert!(items.len() <= 2);
            found.extend(items.iter().map(name));
            let Some(next) = page["next"].as_str() else { return found };
            after = format!("&after={next}");
        }
    };
    let found = walk(OPERATIONS, |operation| format!("{OPERATIONS}/{}", operation["id"]));
    assert_eq!(found, places);
    let found = walk(&format!("{}/hosts", places[0]), |host| host["address"].as_str().unwrap().to_owned());
    assert_eq!(found, ["10.0.0.0", "10.0.0.1", "10.0.0.2"]);
    ended_without_a_fault(house);
}
