//! `ETag`, `If-Match` and `If-None-Match`, and several writers at once.

use serde_json::{Value, json};

use super::Asker;
use crate::fleet::at_once;
use crate::houses::{ended_without_a_fault, up};

/// Things that can be read, made, made otherwise and deleted.
fn things() -> [(&'static str, Value); 4] {
    [
        ("/hosts/10.0.0.1", json!({"labels": {"rack": "b7"}})),
        ("/clusters/web", json!({})),
        ("/networks/flat", json!({"kind": "flannel_etcd"})),
        ("/container-managers/k8s", json!({"kind": "trivial"})),
    ]
}

#[test]
fn whoever_has_it_is_not_told_again() {
    let house = up();
    let admin = Asker::admin(&house);
    for (path, body) in things() {
        let made = admin.put(path, &body, 201);
        assert_eq!(made.header("location").unwrap().replace("%3A", ":"), format!("/v1{path}"));
        assert_eq!(made.tag(), admin.get(path).tag());
        assert_eq!(made.document, admin.get(path).document);
    }
    let restart = admin.says("POST", "/clusters/web/operations", &[], &json!({"kind": "restart"}), 201);
    let restart = format!("/clusters/web/operations/{}", restart.document["id"]);
    let hosts_of_it = format!("{restart}/hosts");
    let others = [
        "/hosts",
        "/clusters",
        "/networks",
        "/container-managers",
        "/clusters/web/hosts",
        "/hosts/10.0.0.1/status",
        "/clusters/web/operations",
        &restart,
        &hosts_of_it,
        "/openapi.json",
    ];
    for path in things().iter().map(|(path, _)| *path).chain(others) {
        let seen = admin.get(path);
        assert_eq!(seen.header("cache-control"), Some("private, no-cache"), "{path}");
        for tags in [seen.tag(), "*", &format!("\"other\", W/{}", seen.tag())] {
            for method in ["GET", "HEAD"] {
                let headers = [("If-None-Match", tags)];
                let same = admin.says(method, path, &headers, &Value::Null, 304);
                assert_eq!((same.tag(), same.text.as_str()), (seen.tag(), ""), "{method} {path}");
            }
        }
        admin.says("GET", path, &[("If-None-Match", "\"other\"")], &Value::Null, 200);
        let weak = format!("W/{}", seen.tag());
        for (wanted, status) in [(seen.tag(), 200), ("*", 200), ("\"other\"", 412), (&weak, 412)] {
            for method in ["GET", "HEAD"] {
                admin.says(method, path, &[("If-Match", wanted)], &Value::Null, status);
            }
        }
        let head = admin.says("HEAD", path, &[], &Value::Null, 200);
        assert_eq!((head.tag(), head.text.as_str()), (seen.tag(), ""), "{path}");
        assert_eq!(head.header("content-length"), Some(seen.text.len().to_string().as_str()), "{path}");
        assert_eq!(head.header("content-type"), Some("application/json"), "{path}");
    }
    // A list is another one when one of its items is.
    let before = ["/hosts", "/clusters"].map(|path| admin.get(path).tag().to_owned());
    admin.says("PATCH", "/hosts/10.0.0.1", &[], &json!({"labels": {"rack": "b8"}}), 200);
    admin.put("/hosts/10.0.0.2", &json!({"cluster": "web"}), 201);
    for (path, tag) in ["/hosts", "/clusters"].iter().zip(before) {
        admin.says("GET", path, &[("If-None-Match", &tag)], &Value::Null, 200);
    }
    ended_without_a_fault(house);
}

#[test]
fn writers_are_held_to_what_they_have_seen() {
    let house = up();
    let admin = Asker::admin(&house);
    for (path, body) in things() {
        for headers in [[("If-Match", "*")], [("If-Match", "\"1\"")]] {
            admin.says("PUT", path, &headers, &body, 412).is_problem(412);
            admin.says("DELETE", path, &headers, &Value::Null, 412).is_problem(412);
        }
        admin.says("GET", path, &[], &Value::Null, 404).is_problem(404);
        let made = admin.says("PUT", path, &[("If-None-Match", "*")], &body, 201);
        let tag = made.tag();
        let weak = format!("W/{tag}");
        for headers in [
            ("If-None-Match", "*"),
            ("If-None-Match", tag),
            ("If-Match", "\"0\""),
            ("If-Match", weak.as_str()),
        ] {
            admin.says("PUT", path, &[headers], &body, 412).is_problem(412);
            admin.says("DELETE", path, &[headers], &Value::Null, 412).is_problem(412);
        }
        for headers in [("If-Match", "*"), ("If-Match", tag), ("If-None-Match", "\"0\"")] {
            assert_eq!(admin.says("PUT", path, &[headers], &body, 200).tag(), tag);
        }
        admin.says("PUT", path, &[("If-Match", "no tag")], &body, 400).is_problem(400);
    }
    // What was seen is no more.
    let seen = admin.get("/hosts/10.0.0.1");
    let label = json!({"labels": {"rack": "b9"}});
    let labelled = admin.says("PATCH", "/hosts/10.0.0.1", &[("If-Match", seen.tag())], &label, 200);
    assert_ne!(labelled.tag(), seen.tag());
    for (method, body) in [("PATCH", &label), ("PUT", &json!({})), ("DELETE", &Value::Null)] {
        admin.says(method, "/hosts/10.0.0.1", &[("If-Match", seen.tag())], body, 412).is_problem(412);
    }
    let seen = admin.get("/clusters/web");
    admin.put("/hosts/10.0.0.2", &json!({"cluster": "web"}), 201);
    let settings = json!({"network": "flat", "container_manager": "k8s"});
    assert_ne!(admin.get("/clusters/web").tag(), seen.tag());
    admin.says("DELETE", "/clusters/web", &[("If-Match", seen.tag())], &Value::Null, 412).is_problem(412);
    // That a host has joined is no reason to refuse what was seen of the settings.
    let changed = admin.says("PUT", "/clusters/web", &[("If-Match", seen.tag())], &settings, 200);
    assert_eq!(
        (&changed.document["network"], &changed.document["container_manager"]),
        (&json!("flat"), &json!("k8s"))
    );
    // Others have them changed by now.
    admin.says("PUT", "/clusters/web", &[("If-Match", seen.tag())], &json!({}), 412).is_problem(412);
    // Hosts that come up meanwhile change what is counted, and nothing that is written.
    let tag = admin.get("/clusters/web").tag().to_owned();
    let (own, _) = tag.split_once('-').unwrap();
    let counted_before = format!("{own}-0\"");
    let seen = [("If-Match", counted_before.as_str())];
    admin.says("DELETE", "/clusters/web", &seen, &Value::Null, 412).is_problem(412);
    assert_eq!(admin.says("PUT", "/clusters/web", &seen, &settings, 200).tag(), tag);
    for (path, _) in things() {
        let tag = admin.get(path).tag().to_owned();
        admin.says("DELETE", path, &[("If-Match", &tag)], &Value::Null, 204);
    }
    // Where nothing is compared, nobody is made to believe it was.
    let always = [("If-Match", "*")];
    admin.put("/clusters/web", &json!({}), 201);
    for method in ["PUT", "DELETE"] {
        admin.says(method, "/clusters/web/hosts/10.0.0.9", &always, &Value::Null, 400).is_problem(400);
    }
    admin.says("POST", "/clusters/web/operations", &always, &json!({"kind": "restart"}), 412).is_problem(412);
    assert_eq!(admin.get("/clusters/web/operations").document, json!({"items": []}));
    let restart = admin.says("POST", "/clusters/web/operations", &[], &json!({"kind": "restart"}), 201);
    let place = format!("/clusters/web/operations/{}", restart.document["id"]);
    for verb in ["pause", "resume", "abort", "retry", "hosts/10.0.0.1/skip"] {
        admin.says("POST", &format!("{place}/{verb}"), &always, &json!({}), 412).is_problem(412);
    }
    let events = format!("{place}/events");
    admin.says("GET", &events, &[("If-Match", "\"1\"")], &Value::Null, 412).is_problem(412);
    ended_without_a_fault(house);
}

#[test]
fn the_list_of_a_clusters_hosts_is_replaced_as_it_was_seen() {
    let house = up();
    let admin = Asker::admin(&house);
    let list = "/clusters/web/hosts";
    let none = json!({"hosts": []});
    for tag in ["*", "\"0\""] {
        admin.says("PUT", list, &[("If-Match", tag)], &none, 412).is_problem(412);
    }
    admin.put("/clusters/web", &json!({}), 201);
    admin.put("/hosts/10.0.0.1", &json!({"cluster": "web"}), 201);
    let seen = admin.get(list);
    let weak = format!("W/{}", seen.tag());
    for headers in [
        ("If-Match", "\"0\""),
        ("If-Match", weak.as_str()),
        ("If-None-Match", "*"),
        ("If-None-Match", seen.tag()),
    ] {
        admin.says("PUT", list, &[headers], &none, 412).is_problem(412);
    }
    assert_eq!(admin.get(list).tag(), seen.tag());
    // What is answered is the cluster; its tag would be taken for that of the list.
    let replaced = admin.says("PUT", list, &[("If-Match", seen.tag())], &none, 200);
    assert_eq!(replaced.header("etag"), None);
    admin.says("PUT", list, &[("If-Match", seen.tag())], &none, 412).is_problem(412);
    for headers in [("If-Match", "*"), ("If-None-Match", seen.tag())] {
        admin.says("PUT", list, &[headers], &none, 200);
    }
    ended_without_a_fault(house);
}

#[test]
fn of_several_writers_at_once_one_is_right() {
    let house = up();
    let admin = Asker::admin(&house);
    let count = |statuses: &[u16], status: u16| statuses.iter().filter(|found| **found == status).count();
    let check = |statuses: Vec<u16>, right: u16, wrong: u16| {
        assert_eq!((count(&statuses, right), count(&statuses, wrong)), (1, 7), "{statuses:?}");
    };
    for (path, body) in things() {
        let absent = [("If-None-Match", "*")];
        check(at_once(8, |_| admin.ask("PUT", path, &absent, &body).status), 201, 412);
    }
    let tag = admin.get("/hosts/10.0.0.1").tag().to_owned();
    let label = |n: usize| json!({"labels": {(format!("writer-{n}")): "x"}});
    let seen = [("If-Match", tag.as_str())];
    check(at_once(8, |n| admin.ask("PATCH", "/hosts/10.0.0.1", &seen, &label(n)).status), 200, 412);
    // Who names no condition is never overtaken, and overwrites nobody.
    let all = at_once(8, |n| admin.ask("PATCH", "/hosts/10.0.0.1", &[], &label(n)).status);
    assert_eq!(count(&all, 200), 8, "{all:?}");
    assert_eq!(admin.get("/hosts/10.0.0.1").document["labels"].as_object().unwrap().len(), 9);
    let gone = json!({"labels": {"rack": null, "writer-0": null, "never-there": null}});
    let after = admin.says(
        "PATCH",
        "/hosts/10.0.0.1",
        &[("Content-Type", "application/merge-patch+json")],
        &gone,
        200,
    );
    assert_eq!(after.document["labels"].as_object().unwrap().len(), 7);

    let tag = admin.get("/clusters/web").tag().to_owned();
    let seen = [("If-Match", tag.as_str())];
    for n in 0..8 {
        admin.put(&format!("/networks/n{n}"), &json!({"kind": "flannel_etcd"}), 201);
    }
    let put = |n| admin.ask("PUT", "/clusters/web", &seen, &json!({"network": format!("n{n}")})).status;
    check(at_once(8, put), 200, 412);
    for n in 0..8 {
        admin.put_as(&format!("m{n}"), &json!({"status": "active"}));
    }
    let replaced = at_once(8, |n| {
        let body = json!({"expected": [], "hosts": [format!("m{n}")]});
        admin.ask("PUT", "/clusters/web/hosts", &[], &body).status
    });
    check(replaced, 200, 409);
    let started = at_once(8, |n| {
        let kind = ["restart", "upgrade"][n % 2];
        admin.ask("POST", "/clusters/web/operations", &[], &json!({"kind": kind})).status
    });
    check(started, 201, 409);
    let tag = admin.get("/hosts/10.0.0.1").tag().to_owned();
    let seen = [("If-Match", tag.as_str())];
    let deleted = at_once(8, |_| admin.ask("DELETE", "/hosts/10.0.0.1", &seen, &Value::Null).status);
    assert_eq!(count(&deleted, 204), 1, "{deleted:?}");
    assert!(deleted.iter().all(|status| [204, 412, 404].contains(status)), "{deleted:?}");
    ended_without_a_fault(house);
}
