//! Taking in hosts, looking at them, deleting them (commissaire contract, section 3.2).

use fleet::{AddHostError, CredentialsError, Expected, Facts, HostError, HostStatus, NewHost, NodeStatus};
use futures_executor::block_on;
use identity::{Permit, Principal, Role};
use store::{Error, Version};

use crate::world::{World, address, change, cluster, host, host_in, labels, permit, permit_of};

#[test]
fn a_host_is_as_it_was_said_to_be() {
    for world in [World::new(), World::on_sqlite()] {
        let new = NewHost {
            facts: Facts { os: "fedora".into(), cpus: 2, memory: 11_989, space: 487_652 },
            last_check: "2015-12-17T15:48:18.710454".into(),
            labels: labels(&[("rack", "b7")]),
            ..host("dGVzdA==", "active")
        };
        let put = block_on(world.fleet.add_host(permit(), address("192.168.152.110"), new)).unwrap();
        assert!(put.is_new);
        assert_eq!(put.is.status, HostStatus::Active);
        assert_eq!((put.is.facts.memory, put.is.last_check.as_str()), (11_989, "2015-12-17T15:48:18.710454"));
        let seen = block_on(world.fleet.host(permit(), &address("192.168.152.110"))).unwrap();
        assert_eq!((seen.is, seen.version), (put.is, put.version));
        assert_eq!(
            world.events(),
            [
                "host added: ada from 192.0.2.7 (host 192.168.152.110)",
                "network created: the house from nowhere (network default)",
            ]
        );
        world.assert_consistent();
    }
}

#[test]
fn nothing_need_be_said_about_a_host() {
    let world = World::new();
    let host = world.add("node.example.org", NewHost::default()).unwrap();
    assert_eq!(
        (host.status, host.facts, host.last_check),
        (HostStatus::New, Facts::default(), String::new())
    );
    let credentials = block_on(world.fleet.credentials(permit(), &address("node.example.org"))).unwrap();
    assert_eq!((credentials.ssh_priv_key.expose().as_str(), credentials.remote_user.as_str()), ("", "root"));
}

#[test]
fn the_same_host_again_changes_nothing() {
    let world = World::new();
    world.make_cluster("web", "");
    world.make_cluster("db", "");
    world.add("a", host_in("web", "")).unwrap();
    let (before, events) = (world.stored("/commissaire/hosts/a"), world.events());

    let other = NewHost {
        facts: Facts { os: "other".into(), ..Facts::default() },
        source: "nowhere".into(),
        ..host("key", "active")
    };
    for again in [host("key", ""), host_in("web", ""), other] {
        let put = block_on(world.fleet.add_host(permit(), address("a"), again)).unwrap();
        assert!(!put.is_new);
        assert_eq!(put.is.status, HostStatus::New);
    }
    let conflicts = [
        (host("another key", ""), "the host a exists, with another SSH key"),
        (host("", ""), "the host a exists, with another SSH key"),
        (host_in("db", ""), "the host a exists, and is not in the cluster `db`"),
        (host_in("nothing", ""), "the cluster `nothing` does not exist"),
    ];
    for (again, text) in conflicts {
        let error = world.add("a", again).unwrap_err();
        assert_eq!((base::Explain::kind(&error), error.to_string().as_str()), (base::Kind::Conflict, text));
    }
    assert_eq!((world.stored("/commissaire/hosts/a"), world.events()), (before, events));
}

#[test]
fn what_is_refused_leaves_nothing_behind() {
    let world = World::new();
    world.make_cluster("web", "");
    let before = world.keys("");
    let long = NewHost { last_check: "x".repeat(201), ..host_in("web", "") };
    assert!(matches!(world.add("a", long), Err(AddHostError::TooLong { what: "last_check", .. })));
    let foreign = NewHost { source: "vcenter".into(), ..host_in("web", "") };
    assert!(matches!(world.add("a", foreign), Err(AddHostError::NoSuchSource { .. })));
    let lost = host_in("nothing", "");
    assert!(matches!(world.add("a", lost), Err(AddHostError::NoSuchCluster { .. })));
    world.memory.fail_next_commits(1, Error::Full);
    assert!(matches!(world.add("a", host_in("web", "")), Err(AddHostError::Store(_))));
    assert_eq!(world.keys(""), before);
    assert!(world.add("a", host_in("web", "")).is_ok());
    world.assert_consistent();
}

/// A host may be taken into a cluster whatever its status.
#[test]
fn a_new_host_joins_at_once() {
    let world = World::new();
    world.make_cluster("web", "missing-manager");
    world.add("10.0.0.10", host_in("web", "")).unwrap();
    world.add("10.0.0.9", host_in("web", "failed")).unwrap();
    assert_eq!(world.members("web"), ["10.0.0.9", "10.0.0.10"]);
    assert_eq!(world.status("10.0.0.10"), "");
    assert_eq!(world.health("web"), (2, 0, 2, "failed"));
    world.assert_consistent();
}

/// Credentials that are left of a host are no reason to refuse it, and go when it is deleted.
#[test]
fn leftover_credentials_are_in_nobodys_way() {
    let world = World::new();
    world.add("a", host("old key", "")).unwrap();
    let key = |key: &str| store::Key::new(key).unwrap();
    let forget = || {
        let mut batch = store::Batch::new();
        for entry in world.keys("/fleet/host/").iter().chain([&"/commissaire/hosts/a".to_owned()]) {
            batch.delete(key(entry));
        }
        block_on(world.store.commit(batch)).unwrap();
    };
    forget();
    let left = block_on(world.fleet.credentials(permit(), &address("a")));
    assert!(matches!(left, Err(CredentialsError::NoSuchHost { .. })));
    assert!(block_on(world.fleet.add_host(permit(), address("a"), host("new key", ""))).unwrap().is_new);
    let credentials = block_on(world.fleet.credentials(permit(), &address("a"))).unwrap();
    assert_eq!(credentials.ssh_priv_key.expose(), "new key");

    forget();
    let delete = || block_on(world.fleet.delete_host(permit(), &address("a"), Expected::Anything));
    assert!(matches!(delete(), Err(HostError::NoSuchHost { .. })));
    assert!(world.keys("/commissaire/custodia/").is_empty());
}

#[test]
fn credentials_that_cannot_be_opened_are_not_missing() {
    let world = World::new();
    world.add("a", host("a's key", "")).unwrap();
    world.add("b", host("b's key", "")).unwrap();
    let key = |host: &str| store::Key::new(format!("/commissaire/custodia/keys/hosts/{host}")).unwrap();
    let theirs = world.stored(key("b").as_str()).unwrap();
    let mut batch = store::Batch::new();
    batch.put(key("a"), theirs).delete(key("b"));
    block_on(world.store.commit(batch)).unwrap();
    let get = |host: &str| block_on(world.fleet.credentials(permit(), &address(host)));
    assert!(matches!(get("a"), Err(CredentialsError::Sealed { .. })), "a seal opens only where it belongs");
    assert!(matches!(get("b"), Err(CredentialsError::None { .. })));
    assert!(matches!(world.add("a", host("a's key", "")), Err(AddHostError::Sealed { .. })));
}

#[test]
fn a_deleted_host_is_gone_everywhere() {
    let world = World::new();
    world.make_cluster("web", "");
    let before = world.keys("");
    let new = NewHost { labels: labels(&[("rack", "b7")]), ..host_in("web", "active") };
    world.add("a", new).unwrap();
    world.clock.advance(base::Span::seconds(1));
    block_on(world.fleet.delete_host(permit(), &address("a"), Expected::Anything)).unwrap();
    let without_history = |keys: Vec<String>| -> Vec<String> {
        keys.into_iter().filter(|key| !key.starts_with("/history/")).collect()
    };
    assert_eq!(without_history(world.keys("")), without_history(before));
    assert!(world.events().contains(&"host deleted: ada from 192.0.2.7, cluster web (host a)".to_owned()));
    assert_eq!(world.health("web"), (0, 0, 0, "ok"));
    let again = block_on(world.fleet.delete_host(permit(), &address("a"), Expected::Anything));
    assert!(matches!(again, Err(HostError::NoSuchHost { .. })));
}

#[test]
fn who_registers_is_where_they_come_from() {
    let world = World::new();
    world.make_cluster("web", "");
    let register = |from: Option<std::net::IpAddr>, key: &str| {
        let machine = Principal::pretended("machine", Role::Registrar, from);
        let facts = Facts { os: "fedora".into(), cpus: 2, ..Facts::default() };
        let (last_check, source) = ("2016-12-06T04:53:20.042000".to_owned(), "vcenter".to_owned());
        let new = NewHost { cluster: Some(cluster("web")), facts, last_check, source, ..host(key, "active") };
        block_on(world.fleet.register_host(Permit::grant(machine).unwrap(), new))
    };
    for (from, expected) in
        [("192.0.2.9", "192.0.2.9"), ("::ffff:192.0.2.10", "192.0.2.10"), ("2001:db8::1", "2001:db8::1")]
    {
        let put = register(Some(from.parse().unwrap()), "key").unwrap();
        assert_eq!((put.is.address.as_str(), put.is_new), (expected, true));
        // Nobody has looked at it, whatever it says.
        assert_eq!((put.is.status, put.is.facts), (HostStatus::New, Facts::default()));
        assert_eq!((put.is.last_check.as_str(), put.is.source.as_str()), ("", ""));
    }
    assert!(!register(Some("192.0.2.9".parse().unwrap()), "key").unwrap().is_new);
    let error = register(Some("192.0.2.9".parse().unwrap()), "another").unwrap_err();
    assert!(matches!(error, AddHostError::DifferentKey { .. }));
    assert!(matches!(register(None, "key"), Err(AddHostError::NoAddress)));
    assert_eq!(world.members("web"), ["192.0.2.9", "192.0.2.10", "2001:db8::1"]);
    assert!(world.events().contains(
        &"host registered itself: machine from 192.0.2.9, cluster web (host 192.0.2.9)".to_owned()
    ));
}

#[test]
fn labels_are_said_later_too() {
    let world = World::new();
    let put = block_on(world.fleet.add_host(permit(), address("a"), host("key", "active"))).unwrap();
    let label = |pairs: &[(&str, Option<&str>)], expected| {
        block_on(world.fleet.label_host(permit(), &address("a"), &change(pairs), expected))
    };
    let both = [("rack", Some("b7")), ("role", Some("web"))];
    let labelled = label(&both, Expected::At(put.version)).unwrap();
    assert_eq!(labelled.is.labels, labels(&[("rack", "b7"), ("role", "web")]));
    assert!(labelled.version > put.version);
    let stale = label(&[("rack", None)], Expected::At(put.version));
    assert!(matches!(stale, Err(HostError::Changed { .. })));
    let same = label(&both, Expected::At(labelled.version)).unwrap();
    assert_eq!(same.version, labelled.version, "nothing was changed");
    label(&[("rack", Some("c1")), ("role", None)], Expected::Anything).unwrap();
    world.assert_consistent();
    assert_eq!(world.host("a").unwrap().labels, labels(&[("rack", "c1")]));
    assert!(
        world
            .events()
            .contains(&"host labelled: ada from 192.0.2.7, labels rack=b7 role=web (host a)".to_owned())
    );
    let many: Vec<String> = (0..32).map(|n| n.to_string()).collect();
    let many: Vec<(&str, Option<&str>)> = many.iter().map(|key| (key.as_str(), Some(""))).collect();
    assert!(matches!(label(&many, Expected::Anything), Err(HostError::Labels(_))), "it has one already");
    assert_eq!(world.host("a").unwrap().labels, labels(&[("rack", "c1")]));
    let nobody = block_on(world.fleet.label_host(permit(), &address("b"), &change(&[]), Expected::Anything));
    assert!(matches!(nobody, Err(HostError::NoSuchHost { .. })));
}

#[test]
fn whoever_saw_another_host_deletes_none() {
    let world = World::new();
    let put = block_on(world.fleet.add_host(permit(), address("a"), host("key", ""))).unwrap();
    let Version(store::Revision(revision)) = put.version;
    let stale = Expected::At(Version(store::Revision(revision - 1)));
    for expected in [stale, Expected::Absent] {
        let deleted = block_on(world.fleet.delete_host(permit(), &address("a"), expected));
        assert!(matches!(deleted, Err(HostError::Changed { .. })));
    }
    block_on(world.fleet.delete_host(permit(), &address("a"), Expected::At(put.version))).unwrap();
}

#[test]
fn a_hosts_status_is_its_own_and_its_managers() {
    let world = World::new();
    world.make_manager("t", "trivial");
    world.make_manager("k8s", "kubernetes");
    for (name, manager) in [("plain", ""), ("trivial", "t"), ("remote", "k8s"), ("orphaned", "nobody")] {
        world.make_cluster(name, manager);
    }
    let node = |text: &str| block_on(world.fleet.host_status(permit(), &address(text))).unwrap().1;
    world.add("alone", host("key", "active")).unwrap();
    assert_eq!(node("alone"), NodeStatus::Unmanaged);
    for name in ["plain", "trivial", "remote", "orphaned"] {
        world.add(name, host_in(name, "active")).unwrap();
    }
    world.add("new", host_in("trivial", "")).unwrap();
    assert_eq!(node("plain"), NodeStatus::Unmanaged);
    assert_eq!(node("trivial"), NodeStatus::Registered);
    assert_eq!(node("new"), NodeStatus::Unregistered);
    for (text, reason) in [
        ("remote", "the container manager `k8s` was not asked"),
        ("orphaned", "the container manager `nobody` does not exist"),
    ] {
        assert_eq!(node(text), NodeStatus::NotAsked { reason: reason.into() });
    }
    let nobody = block_on(world.fleet.host_status(permit(), &address("nobody")));
    assert!(matches!(nobody, Err(HostError::NoSuchHost { .. })));
}

#[test]
fn hosts_are_listed_as_people_count() {
    let world = World::new();
    for text in ["10.0.0.10", "10.0.0.9", "b", "10.0.0.100", "a2", "a10"] {
        world.add(text, NewHost::default()).unwrap();
    }
    let hosts = block_on(world.fleet.all_hosts(permit_of("rita", Role::Reader), |host| host)).unwrap();
    let hosts: Vec<&str> = hosts.iter().map(|host| host.address.as_str()).collect();
    assert_eq!(hosts, ["10.0.0.9", "10.0.0.10", "10.0.0.100", "a2", "a10", "b"]);
}
