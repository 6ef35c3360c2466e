//! Finding hosts.

use fleet::{Expected, Facts, HostFilter, HostStatus, Labels, NewHost};
use futures_executor::block_on;

use crate::world::{World, address, change, cluster, host, labels, permit};

/// 400 hosts: every 2nd in `web`, every 4th `failed`, every 5th `debian`, every 100th with a label.
fn world() -> World {
    let world = World::new();
    world.make_cluster("web", "");
    for number in 0..400 {
        let status = if number % 4 == 0 { "failed" } else { "active" };
        let os = if number % 5 == 0 { "debian" } else { "fedora" };
        let new = NewHost {
            facts: Facts { os: os.into(), ..Facts::default() },
            cluster: (number % 2 == 0).then(|| cluster("web")),
            labels: if number % 100 == 0 { labels(&[("rack", "b7")]) } else { Labels::default() },
            ..host("key", status)
        };
        world.add(&format!("h{number:03}"), new).unwrap();
    }
    world
}

/// All that are found, from pages of `limit`.
fn found(world: &World, filter: &HostFilter, limit: usize) -> Vec<usize> {
    let mut found = Vec::new();
    let mut after = None;
    for _ in 0..10_000 {
        let page = block_on(world.fleet.hosts(permit(), filter, after.as_ref(), limit)).unwrap();
        assert!(page.hosts.len() <= limit.max(1));
        found.extend(page.hosts.iter().map(|seen| seen.is.address.as_str()[1..].parse::<usize>().unwrap()));
        after = page.next;
        if after.is_none() {
            return found;
        }
    }
    panic!("it does not end");
}

#[test]
fn what_is_asked_for_is_found() {
    let world = world();
    let failed = || Some(HostStatus::Failed);
    let (web, debian) = (|| Some(cluster("web")), || Some("debian".to_owned()));
    let rack = || labels(&[("rack", "b7")]);
    let every = |step: usize| (0..400).step_by(step).collect::<Vec<_>>();
    for (filter, expected) in [
        (HostFilter::default(), every(1)),
        (HostFilter { cluster: web(), ..HostFilter::default() }, every(2)),
        (HostFilter { status: failed(), ..HostFilter::default() }, every(4)),
        (HostFilter { os: debian(), ..HostFilter::default() }, every(5)),
        (HostFilter { labels: rack(), ..HostFilter::default() }, every(100)),
        (HostFilter { cluster: web(), os: debian(), ..HostFilter::default() }, every(10)),
        (HostFilter { status: failed(), os: debian(), ..HostFilter::default() }, every(20)),
        (HostFilter { cluster: web(), status: failed(), os: debian(), labels: rack() }, every(100)),
        (HostFilter { os: Some("Debian".into()), ..HostFilter::default() }, vec![]),
        (HostFilter { os: Some("a/b c%".into()), status: failed(), ..HostFilter::default() }, vec![]),
        (HostFilter { cluster: Some(cluster("we")), ..HostFilter::default() }, vec![]),
        (HostFilter { labels: labels(&[("rack", "b")]), ..HostFilter::default() }, vec![]),
        // Longer than the store has keys.
        (HostFilter { os: Some("x".repeat(2_000)), ..HostFilter::default() }, vec![]),
        (HostFilter { status: Some(HostStatus::Other("é".repeat(101))), ..HostFilter::default() }, vec![]),
        (HostFilter { labels: labels(&[("rack", "b7"), ("x", "")]), ..HostFilter::default() }, vec![]),
    ] {
        for limit in [0, 1, 3, 50, 100, 1_000, usize::MAX] {
            assert_eq!(found(&world, &filter, limit), expected, "{filter:?}, {limit} at a time");
        }
    }
    world.assert_consistent();
}

#[test]
fn what_changes_is_found_as_it_is() {
    let world = world();
    let rack = HostFilter { labels: labels(&[("rack", "b7")]), ..HostFilter::default() };
    let unlabelled = change(&[("rack", None)]);
    block_on(world.fleet.label_host(permit(), &address("h100"), &unlabelled, Expected::Anything)).unwrap();
    block_on(world.fleet.delete_host(permit(), &address("h200"), Expected::Anything)).unwrap();
    assert_eq!(found(&world, &rack, 10), [0, 300]);
    let fresh = HostFilter {
        cluster: Some(cluster("web")),
        status: Some(HostStatus::Disassociated),
        ..HostFilter::default()
    };
    assert!(found(&world, &fresh, 10).is_empty());
    world.join("web", "h001").unwrap();
    assert_eq!(found(&world, &fresh, 10), [1]);
}

/// A page begins behind its address, whether that exists or not.
#[test]
fn a_page_begins_anywhere() {
    let world = world();
    for filter in [HostFilter::default(), HostFilter { os: Some("fedora".into()), ..HostFilter::default() }] {
        for (after, first) in
            [("h000", Some("h001")), ("h0005", Some("h001")), ("a", None), ("h399", None), ("i", None)]
        {
            let page = block_on(world.fleet.hosts(permit(), &filter, Some(&address(after)), 1)).unwrap();
            let found = page.hosts.first().map(|seen| seen.is.address.as_str());
            if after == "a" {
                assert!(found.is_some());
            } else {
                assert_eq!(found, first, "behind {after}");
            }
        }
    }
}

/// Whatever is asked for, one call looks at a bounded number of records; two lists that hardly meet are gone
/// through over several calls.
#[test]
fn one_call_does_not_look_at_everything() {
    let world = World::new();
    for number in 0..12_000 {
        let status = if number % 2 == 0 { "failed" } else { "active" };
        let os = if number % 2 == 1 { "debian" } else { "fedora" };
        let new = NewHost { facts: Facts { os: os.into(), ..Facts::default() }, ..host("", status) };
        world.add(&format!("h{number:05}"), new).unwrap();
    }
    let filter =
        HostFilter { status: Some(HostStatus::Failed), os: Some("debian".into()), ..HostFilter::default() };
    let page = block_on(world.fleet.hosts(permit(), &filter, None, 10)).unwrap();
    assert!(page.hosts.is_empty());
    assert_eq!(page.next.unwrap().as_str(), "h08191", "16 times 256 keys of one of the two");
    assert!(found(&world, &filter, 10).is_empty());
}
