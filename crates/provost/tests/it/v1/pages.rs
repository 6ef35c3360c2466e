//! Lists: pages and filters.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use super::{Asker, names};
use crate::houses::{ended_without_a_fault, up};

/// Everything in a list, page by page.
fn walk(asker: &Asker, list: &str, limit: usize) -> Vec<String> {
    let (mut all, mut after) = (Vec::new(), String::new());
    loop {
        let sign = if list.contains('?') { '&' } else { '?' };
        let page = asker.get(&format!("{list}{sign}limit={limit}{after}")).document;
        let some = names(&page);
        assert!(some.len() <= limit, "{page}");
        all.extend(some);
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => return all,
        }
    }
}

/// Whoever stays is on exactly one page, in order, whatever comes and goes meanwhile.
#[test]
fn nobody_is_lost_or_comes_twice_while_others_write() {
    let house = up();
    let admin = Asker::admin(&house);
    let stay: BTreeSet<String> = (0..40).map(|n| format!("stay-{n:02}")).collect();
    for address in &stay {
        admin.put(&format!("/hosts/{address}"), &json!({"labels": {"stays": "yes"}}), 201);
    }
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for writer in ["a", "stay-2x", "z"] {
            let (admin, done) = (Asker::admin(&house), &done);
            scope.spawn(move || {
                let path = format!("/hosts/{writer}");
                while !done.load(Ordering::Relaxed) {
                    admin.put(&path, &json!({"labels": {"stays": "yes"}}), 201);
                    admin.says("DELETE", &path, &[], &json!(null), 204);
                }
            });
        }
        for (list, limit) in [("/hosts", 1), ("/hosts", 7), ("/hosts", 1_000), ("/hosts?label=stays=yes", 3)]
        {
            let all = walk(&admin, list, limit);
            assert!(all.is_sorted_by(|a, b| a < b), "{list} {limit}: {all:?}");
            let found: BTreeSet<_> = all.into_iter().filter(|address| stay.contains(address)).collect();
            assert_eq!(found, stay, "{list} {limit}");
        }
        done.store(true, Ordering::Relaxed);
    });
    for n in 0..5 {
        admin.put(&format!("/clusters/c{n}"), &json!({}), 201);
        admin.put(&format!("/networks/n{n}"), &json!({"kind": "flannel_etcd"}), 201);
        admin.put(&format!("/container-managers/m{n}"), &json!({"kind": "trivial"}), 201);
    }
    for (list, first, count) in
        [("/clusters", "c0", 5), ("/networks", "default", 6), ("/container-managers", "m0", 5)]
    {
        for limit in [1, 2, 5, 6, 7] {
            let all = walk(&admin, list, limit);
            assert_eq!((all.len(), all[0].as_str()), (count, first), "{list} {limit}: {all:?}");
            assert!(all.is_sorted_by(|a, b| a < b), "{all:?}");
        }
    }
    ended_without_a_fault(house);
}

#[test]
fn hosts_are_found_by_what_they_have() {
    let house = up();
    let admin = Asker::admin(&house);
    admin.put("/clusters/web", &json!({}), 201);
    admin.put_as("a", &json!({"status": "active", "os": "fedora", "cluster": "web"}));
    admin.put_as("b", &json!({"status": "active", "os": "Oracle Linux"}));
    admin.put_as("c", &json!({"status": "on fire", "os": "fedora", "cluster": "web"}));
    admin.put("/hosts/d", &json!({"cluster": "web"}), 201);
    for (address, labels) in [
        ("a", json!({"rack": "b7", "example.com/role": "web"})),
        ("b", json!({"rack": "b7", "empty": ""})),
        ("d", json!({"rack": "b8"})),
    ] {
        admin.says("PATCH", &format!("/hosts/{address}"), &[], &json!({"labels": labels}), 200);
    }
    let long = "x".repeat(200);
    let wide = "%C3%A9".repeat(200);
    for (query, found) in [
        ("", "abcd"),
        ("status=active", "ab"),
        ("status=new", "d"),
        ("status=failed", ""),
        ("status=other", "c"),
        ("status=other&cluster=web&os=fedora", "c"),
        ("os=fedora", "ac"),
        ("os=Oracle%20Linux", "b"),
        ("os=Oracle+Linux", "b"),
        ("cluster=web", "acd"),
        ("cluster=nowhere", ""),
        ("label=rack=b7", "ab"),
        ("label=rack%3Db7", "ab"),
        ("label=example.com/role=web", "a"),
        ("label=empty=", "b"),
        ("label=rack=b7&label=empty=", "b"),
        ("label=rack=b7&label=rack=b7", "ab"),
        ("label=rack=b7&label=rack=b8", ""),
        ("status=active&os=fedora&cluster=web&label=rack=b7", "a"),
        ("status=active&os=fedora&cluster=web&label=rack=b8", ""),
        ("limit=2", "ab"),
        (&format!("os={long}"), ""),
        (&format!("os={wide}"), ""),
    ] {
        let page = admin.get(&format!("/hosts?{query}")).document;
        assert_eq!(names(&page).concat(), found, "{query}: {page}");
    }
    // A slip of the pen is not taken for a fleet without such hosts.
    for mistyped in ["actve", "Active", "on%20fire"] {
        let refused = admin.says("GET", &format!("/hosts?status={mistyped}"), &[], &Value::Null, 400);
        let all = "`status` is one of new, investigating, bootstrapping, disassociated, active, failed, \
            other";
        assert_eq!(refused.is_problem(400), all, "{mistyped}");
    }
    let members = admin.get("/clusters/web/hosts?limit=2").document;
    assert_eq!(names(&members).concat(), "ac");
    let rest =
        admin.get(&format!("/clusters/web/hosts?after={}", members["next"].as_str().unwrap())).document;
    assert_eq!((names(&rest).concat().as_str(), rest.get("next")), ("d", None));
    ended_without_a_fault(house);
}
