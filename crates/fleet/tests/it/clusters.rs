//! Clusters: made, changed, counted, deleted (commissaire contract, sections 3.3 and 5).

use base::Span;
use fleet::{ClusterError, Expected, HostStatus, NewCluster, OperationKind, Plan, PutCluster};
use futures_executor::block_on;
use store::CommitError;

use crate::world::{World, cluster, host_in, permit};

fn put(world: &World, name: &str, network: &str, manager: &str) -> PutCluster {
    let new = NewCluster { network: network.into(), container_manager: manager.into() };
    block_on(world.fleet.put_cluster(permit(), &cluster(name), &new, Expected::Anything)).unwrap()
}

fn make_network(world: &World, name: &str) {
    let network = fleet::Network {
        name: name.parse().unwrap(),
        kind: fleet::NetworkKind::default(),
        options: fleet::Options::default(),
    };
    block_on(world.fleet.put_network(permit(), network, Expected::Anything)).unwrap();
}

#[test]
fn a_network_that_does_not_exist_is_the_default_one() {
    let world = World::new();
    make_network(&world, "n1");
    for (asked, taken) in [
        ("default", "default"),
        ("n1", "n1"),
        ("nowhere", "default"),
        ("", "default"),
        ("a/../b\0", "default"),
    ] {
        let found = put(&world, "new", asked, "");
        assert_eq!(found.put.is.network, taken, "{asked}");
        assert_eq!(found.unknown_network.as_deref(), (asked != taken).then_some(asked));
    }
    // Also for one that exists already.
    assert_eq!(put(&world, "new", "n1", "").put.is.network, "n1");
    assert_eq!(put(&world, "new", "n2", "").put.is.network, "default");
}

#[test]
fn putting_a_cluster_keeps_its_hosts() {
    let world = World::new();
    make_network(&world, "n1");
    assert!(put(&world, "web", "default", "").put.is_new);
    world.add("a", host_in("web", "active")).unwrap();
    let changed = put(&world, "web", "n1", "not made yet").put;
    assert!(!changed.is_new);
    assert_eq!((changed.is.status.as_str(), changed.is.container_manager.as_str()), ("", "not made yet"));
    assert_eq!(world.members("web"), ["a"]);
    assert_eq!(
        put(&world, "web", "n1", "not made yet").put.version,
        changed.version,
        "the same changes nothing"
    );
    assert_eq!(world.events().iter().filter(|event| event.starts_with("cluster changed")).count(), 1);
    assert!(
        world.events().contains(
            &"cluster changed: ada from 192.0.2.7, container_manager not made yet, network n1 (cluster web)"
                .to_owned()
        )
    );
    let long = NewCluster { container_manager: "x".repeat(201), ..NewCluster::default() };
    let refused = block_on(world.fleet.put_cluster(permit(), &cluster("web"), &long, Expected::Anything));
    assert!(matches!(refused, Err(ClusterError::TooLong { what: "container_manager", .. })));
    world.assert_consistent();
}

#[test]
fn whoever_saw_another_cluster_changes_none() {
    let world = World::new();
    let first = put(&world, "web", "default", "").put.version;
    let second = put(&world, "web", "default", "k8s").put.version;
    let new = NewCluster::default();
    for (name, expected, fits) in [
        ("web", Expected::At(first), false),
        ("web", Expected::Absent, false),
        ("web", Expected::At(second), true),
        ("db", Expected::At(first), false),
        ("db", Expected::Absent, true),
    ] {
        let done = block_on(world.fleet.put_cluster(permit(), &cluster(name), &new, expected));
        assert_eq!(done.is_ok(), fits, "{name} {expected:?}");
        assert!(fits || matches!(done, Err(ClusterError::Changed { .. })));
    }
    let stale = block_on(world.fleet.delete_cluster(permit(), &cluster("web"), Expected::At(second)));
    assert!(matches!(stale, Err(ClusterError::Changed { .. })));
}

/// The status and the counts follow the hosts.
#[test]
fn a_cluster_is_as_its_hosts_are() {
    for world in [World::new(), World::on_sqlite()] {
        world.make_cluster("web", "");
        world.make_cluster("managed", "k8s");
        assert_eq!(world.health("web"), (0, 0, 0, "ok"));
        for (text, name, status, expected) in [
            ("a", "web", "active", (1, 1, 0, "ok")),
            ("b", "web", "disassociated", (2, 2, 0, "ok")),
            ("c", "web", "failed", (3, 2, 1, "degraded")),
            ("d", "web", "on fire", (4, 2, 2, "degraded")),
            ("e", "managed", "disassociated", (1, 0, 1, "failed")),
            ("f", "managed", "active", (2, 1, 1, "degraded")),
        ] {
            world.add(text, host_in(name, status)).unwrap();
            assert_eq!(world.health(name), expected, "{text}");
        }
        world.leave("web", "d").unwrap();
        world.leave("web", "c").unwrap();
        assert_eq!(world.health("web"), (2, 2, 0, "ok"));
        let view = world.roster("web").view;
        assert_eq!(view.tally.count(&HostStatus::Disassociated), 1);
        // The same hosts are worth less where somebody should have them.
        put(&world, "web", "default", "k8s");
        assert_eq!(world.health("web"), (2, 1, 1, "degraded"));
        world.assert_consistent();
    }
}

/// What was seen of the counts is told apart from what is there now, though the cluster's record is the same.
#[test]
fn counts_have_a_fingerprint() {
    let world = World::new();
    world.make_cluster("web", "");
    let fingerprint = || world.roster("web").view.tally.fingerprint();
    let empty = fingerprint();
    world.add("a", host_in("web", "")).unwrap();
    let one = fingerprint();
    assert_ne!(empty, one);
    assert_eq!(one, fingerprint());
    world.leave("web", "a").unwrap();
    assert_eq!(fingerprint(), empty);
}

#[test]
fn a_deleted_cluster_leaves_its_hosts() {
    let world = World::new();
    let none = block_on(world.fleet.delete_cluster(permit(), &cluster("web"), Expected::Anything));
    assert!(matches!(none, Err(ClusterError::NoSuchCluster { .. })));
    world.make_cluster("web", "");
    world.make_cluster("web-2", "");
    for text in ["a", "b"] {
        world.add(text, host_in("web", "active")).unwrap();
    }
    world.add("c", host_in("web-2", "active")).unwrap();
    block_on(world.fleet.start(permit(), &cluster("web"), Plan::Upgrade)).unwrap();
    block_on(world.fleet.start(permit(), &cluster("web-2"), Plan::Upgrade)).unwrap();
    block_on(world.fleet.delete_cluster(permit(), &cluster("web"), Expected::Anything)).unwrap();
    assert!(world.host("a").unwrap().cluster.is_none());
    assert_eq!(world.status("a"), "active");
    assert_eq!(world.keys("/commissaire/cluster/"), ["/commissaire/cluster/web-2/upgrade"]);
    let gone = block_on(world.fleet.operation(permit(), &cluster("web"), OperationKind::Upgrade));
    assert!(gone.is_err());
    let read = block_on(world.fleet.cluster(permit(), &cluster("web")));
    assert!(matches!(read, Err(ClusterError::NoSuchCluster { .. })));
    // They may join another one.
    world.join("web-2", "a").unwrap();
    assert_eq!(world.members("web-2"), ["a", "c"]);
    world.assert_consistent();
}

#[test]
fn a_large_cluster_is_deleted_too() {
    let world = World::new();
    world.make_cluster("web", "");
    for number in 0..100 {
        world.add(&format!("h{number}"), host_in("web", "active")).unwrap();
    }
    // It is interrupted in the middle, and whoever asks next sees it to its end.
    let store = world.memory.clone();
    world.memory.before_next_commit(async {});
    world.memory.before_next_commit(async move { store.fail_next_commits(1, store::Error::Full) });
    let delete = || block_on(world.fleet.delete_cluster(permit(), &cluster("web"), Expected::Anything));
    let told = delete();
    assert!(
        matches!(told, Err(ClusterError::Going { source: CommitError::Store(store::Error::Full), .. })),
        "{told:?}"
    );
    assert_eq!(world.members("web").len(), 100);
    assert!(matches!(delete(), Err(ClusterError::NoSuchCluster { .. })));
    assert!(world.keys("/fleet/tally/").is_empty() && world.keys("/fleet/host/cluster/").is_empty());
    world.assert_consistent();
}

#[test]
fn names_and_pages() {
    let world = World::new();
    for number in [1, 2, 10, 11, 9] {
        world.make_cluster(&format!("c{number}"), "");
    }
    world.add("a", host_in("c10", "active")).unwrap();
    world.clock.advance(Span::seconds(1));
    let names = block_on(world.fleet.cluster_names(permit())).unwrap();
    let texts: Vec<&str> = names.iter().map(fleet::ClusterName::as_str).collect();
    assert_eq!(texts, ["c1", "c2", "c9", "c10", "c11"]);
    let mut found = Vec::new();
    let mut after = None;
    loop {
        let page = block_on(world.fleet.clusters(permit(), after.as_ref(), 2)).unwrap();
        assert!(page.clusters.len() <= 2);
        found.extend(page.clusters.iter().map(|view| (view.cluster.name.to_string(), view.counts().total)));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let found: Vec<(&str, u64)> = found.iter().map(|(name, total)| (name.as_str(), *total)).collect();
    assert_eq!(found, [("c1", 0), ("c10", 1), ("c11", 0), ("c2", 0), ("c9", 0)]);
}
