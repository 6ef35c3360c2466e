//! Who belongs to a cluster (commissaire contract, sections 3.3 and 5).

use fleet::{HostStatus, MembersError};
use futures_executor::block_on;

use crate::world::{World, address, cluster, host, host_in, permit};

/// Two clusters, `web` and `db`, and hosts with every status.
fn world() -> World {
    let world = World::new();
    world.make_cluster("web", "");
    world.make_cluster("db", "");
    for text in ["active", "disassociated", "failed", "investigating", "bootstrapping"] {
        world.add(text, host("key", text)).unwrap();
    }
    world.add("new", host("key", "")).unwrap();
    world
}

#[test]
fn only_who_is_ready_joins() {
    let world = world();
    for (text, may) in [
        ("active", true),
        ("disassociated", true),
        ("failed", false),
        ("investigating", false),
        ("bootstrapping", false),
        ("new", false),
    ] {
        match world.join("web", text) {
            Ok(joined) => assert!(joined && may, "{text}"),
            Err(MembersError::Unsuitable { .. }) => assert!(!may, "{text}"),
            Err(error) => panic!("{text}: {error}"),
        }
    }
    assert_eq!(world.members("web"), ["active", "disassociated"]);
    assert_eq!(world.status("active"), "disassociated", "whoever has its containers makes it active");
    assert_eq!(world.health("web"), (2, 2, 0, "ok"));
    world.assert_consistent();
}

#[test]
fn joining_twice_is_joining_once() {
    let world = world();
    assert!(world.join("web", "active").unwrap());
    let (record, events) = (world.stored("/commissaire/hosts/active"), world.events());
    assert!(!world.join("web", "active").unwrap());
    assert_eq!((world.stored("/commissaire/hosts/active"), world.events()), (record, events));
    assert!(
        world
            .events()
            .contains(&"cluster's hosts changed: ada from 192.0.2.7, joined active (cluster web)".to_owned())
    );
    // Also when it could not join any more.
    world.add("ill", host_in("web", "failed")).unwrap();
    assert!(!world.join("web", "ill").unwrap());
}

#[test]
fn nobody_is_in_two_clusters() {
    let world = world();
    world.join("web", "active").unwrap();
    let error = world.join("db", "active").unwrap_err();
    assert!(matches!(&error, MembersError::InAnotherCluster { other, .. } if other.as_str() == "web"));
    assert_eq!(base::Explain::help(&error).unwrap(), "let it leave `web` first");
    assert!(matches!(world.replace("db", &[], &["active"]), Err(MembersError::InAnotherCluster { .. })));
    world.leave("web", "active").unwrap();
    world.join("db", "active").unwrap();
    assert_eq!((world.members("web").len(), world.members("db").len()), (0, 1));
    world.assert_consistent();
}

#[test]
fn whoever_is_not_there_cannot_join_or_leave() {
    let world = world();
    assert!(matches!(world.join("web", "nobody"), Err(MembersError::NoSuchHost { .. })));
    assert!(matches!(world.join("nowhere", "active"), Err(MembersError::NoSuchCluster { .. })));
    assert!(matches!(world.leave("nowhere", "active"), Err(MembersError::NoSuchCluster { .. })));
    assert!(!world.leave("web", "nobody").unwrap());
    assert!(!world.leave("web", "active").unwrap());
    world.join("web", "active").unwrap();
    assert!(!world.leave("db", "active").unwrap(), "it is in another one");
    let is_member = |name: &str, text: &str| {
        block_on(world.fleet.check_membership(permit(), &cluster(name), &address(text)))
    };
    is_member("web", "active").unwrap();
    assert!(matches!(is_member("web", "nobody"), Err(MembersError::NotAMember { .. })));
    assert!(matches!(is_member("db", "active"), Err(MembersError::NotAMember { .. })));
    assert!(matches!(is_member("nowhere", "active"), Err(MembersError::NoSuchCluster { .. })));
    let members = block_on(world.fleet.members(permit(), &cluster("nowhere")));
    assert!(matches!(members, Err(MembersError::NoSuchCluster { .. })));
    assert!(world.leave("web", "active").unwrap());
    assert_eq!(world.status("active"), "disassociated");
}

#[test]
fn managers_take_hosts_at_once_later_or_never() {
    let world = world();
    world.make_manager("t", "trivial");
    world.make_manager("k8s", "openshift");
    world.make_cluster("trivial", "t");
    world.make_cluster("remote", "k8s");
    world.make_cluster("orphaned", "nobody");
    world.make_cluster("misnamed", "no/body");
    for name in ["orphaned", "misnamed"] {
        let refused = world.join(name, "active");
        assert!(matches!(refused, Err(MembersError::NoSuchContainerManager { .. })));
        assert!(world.members(name).is_empty());
    }
    world.join("trivial", "disassociated").unwrap();
    assert_eq!(world.host("disassociated").unwrap().status, HostStatus::Active);
    assert_eq!(world.health("trivial"), (1, 1, 0, "ok"));
    world.join("remote", "active").unwrap();
    assert_eq!(world.host("active").unwrap().status, HostStatus::Disassociated);
    assert_eq!(world.health("remote"), (1, 0, 1, "failed"));
    world.assert_consistent();
}

#[test]
fn all_hosts_of_a_cluster_are_replaced_at_once() {
    let world = world();
    for text in ["a", "b", "c"] {
        world.add(text, host("key", "active")).unwrap();
    }
    let roster = world.replace("web", &[], &["b", "a"]).unwrap();
    let hosts: Vec<String> = roster.hosts.iter().map(ToString::to_string).collect();
    assert_eq!((hosts, roster.view.counts().total), (vec!["a".to_owned(), "b".to_owned()], 2));
    assert!(
        world
            .events()
            .contains(&"cluster's hosts changed: ada from 192.0.2.7, joined a b (cluster web)".to_owned())
    );
    world.replace("web", &["a", "b"], &["c", "b"]).unwrap();
    assert_eq!(world.members("web"), ["b", "c"]);
    assert!(world.host("a").unwrap().cluster.is_none());
    assert!(
        world.events().contains(
            &"cluster's hosts changed: ada from 192.0.2.7, joined c, left a (cluster web)".to_owned()
        )
    );

    let events = world.events();
    for (name, old, new, expected) in [
        ("nowhere", &[][..], &[][..], "no such cluster"),
        ("web", &["b"], &["b"], "not as expected"),
        ("web", &["a", "b", "c"], &["b"], "not as expected"),
        ("web", &["b", "c", "no host!"], &["b"], "not as expected"),
        ("web", &["b", "c"], &["b", "nobody"], "no such host"),
        ("web", &["b", "c"], &["b", "no host!"], "no such host"),
        ("web", &["b", "c"], &["a", "failed"], "unsuitable"),
        ("web", &["c", "b"], &["b", "c"], "done"),
    ] {
        let found = match world.replace(name, old, new) {
            Ok(_) => "done",
            Err(MembersError::NoSuchCluster { .. }) => "no such cluster",
            Err(MembersError::NotAsExpected { .. }) => "not as expected",
            Err(MembersError::NoSuchHost { .. }) => "no such host",
            Err(MembersError::Unsuitable { .. }) => "unsuitable",
            Err(error) => panic!("{error}"),
        };
        assert_eq!(found, expected, "{name} {old:?} {new:?}");
        assert_eq!(world.members("web"), ["b", "c"]);
    }
    assert_eq!(world.events(), events);
    // Who is in already is not tested.
    world.add("ill", host_in("web", "failed")).unwrap();
    world.replace("web", &["b", "c", "ill"], &["ill"]).unwrap();
    world.replace("web", &["ill"], &[]).unwrap();
    world.assert_consistent();
}

/// More hosts than one commit takes; and more than are listed in the cluster's own record.
#[test]
fn large_clusters_are_like_small_ones() {
    let world = World::new();
    world.make_cluster("web", "");
    let names: Vec<String> =
        (0..1_100).map(|number| format!("10.0.{}.{}", number / 256, number % 256)).collect();
    let hosts: Vec<&str> = names.iter().map(String::as_str).collect();
    for text in &hosts {
        world.add(text, host("key", "active")).unwrap();
    }
    assert_eq!(world.replace("web", &[], &hosts[..50]).unwrap().hosts.len(), 50);
    world.replace("web", &hosts[..50], &hosts[25..75]).unwrap();
    assert_eq!(world.members("web"), hosts[25..75]);
    world.assert_consistent();

    let mut one_is_ill: Vec<&str> = hosts[25..1_100].to_vec();
    world.add("ill", host("key", "failed")).unwrap();
    one_is_ill.push("ill");
    let refused = world.replace("web", &hosts[25..75], &one_is_ill);
    assert!(matches!(refused, Err(MembersError::Unsuitable { .. })));
    assert_eq!(world.members("web"), hosts[25..75], "all are tested before the first joins");

    world.replace("web", &hosts[25..75], &hosts[..1_000]).unwrap();
    assert!(world.stored("/commissaire/clusters/web").unwrap().contains("10.0.0.7"));
    world.assert_consistent();
    for text in &hosts[1_000..] {
        world.join("web", text).unwrap();
    }
    assert_eq!(
        world.stored("/commissaire/clusters/web").unwrap(),
        concat!(
            r#"{"name":"web","status":"","network":"default","hostset":[],"container_manager":"","#,
            r#""hostset_under":"/fleet/host/cluster/web/"}"#
        )
    );
    assert_eq!(world.health("web"), (1_100, 1_100, 0, "ok"));
    assert_eq!(world.members("web"), hosts);
    world.replace("web", &hosts, &hosts[..30]).unwrap();
    assert_eq!(world.members("web"), hosts[..30]);
    world.leave("web", hosts[0]).unwrap();
    assert_eq!(world.health("web"), (29, 29, 0, "ok"));
    world.assert_consistent();
}
