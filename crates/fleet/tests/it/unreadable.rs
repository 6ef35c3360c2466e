//! What somebody else wrote into the store: what nobody can read, and what is spelled in another way.

use fleet::{Expected, HostError, HostFilter, HostStatus};
use futures_executor::block_on;
use store::{Batch, Key};

use crate::world::{World, address, cluster, host, host_in, labels, permit};

impl World {
    /// What `etcdctl put` does.
    fn put_by_hand(&self, key: &str, value: &str) {
        let mut batch = Batch::default();
        batch.put(Key::new(key).unwrap(), value.as_bytes().to_vec());
        block_on(self.store.commit(batch)).unwrap();
    }

    fn listed(&self) -> Vec<String> {
        let hosts = block_on(self.fleet.all_hosts(permit(), |host| host)).unwrap();
        hosts.iter().map(|host| host.address.to_string()).collect()
    }

    fn delete(&self, text: &str) -> Result<(), HostError> {
        block_on(self.fleet.delete_host(permit(), &address(text), Expected::Anything))
    }
}

/// A world in which nobody can read the host `x` any more, which had everything that a host can have.
fn spoilt(garbage: &str) -> World {
    let world = World::new();
    world.make_cluster("web", "");
    world.make_cluster("db", "");
    let mut x = host_in("web", "active");
    x.labels = labels(&[("rack", "b7"), ("role", "a-b")]);
    x.facts.os = "Oracle Linux".into();
    world.add("x", x).unwrap();
    world.add("y", host_in("web", "active")).unwrap();
    world.put_by_hand("/commissaire/hosts/x", garbage);
    world
}

const GARBAGE: [&str; 3] = ["garbage", "", r#"{"address":"x","cpus":1.5}"#];

#[test]
fn lists_do_without_what_cannot_be_read() {
    for garbage in GARBAGE {
        let world = spoilt(garbage);
        world.put_by_hand("/commissaire/hosts/a", garbage);
        world.put_by_hand("/commissaire/hosts/no host!", r#"{"address":"no host!"}"#);
        assert_eq!(world.listed(), ["y"]);
        let page = |filter: &HostFilter, limit| {
            let page = block_on(world.fleet.hosts(permit(), filter, None, limit)).unwrap();
            page.hosts.iter().map(|host| host.is.address.to_string()).collect::<Vec<_>>()
        };
        for limit in [1, 100] {
            assert_eq!(page(&HostFilter::default(), limit), ["y"]);
        }
        let active = HostFilter { status: Some(HostStatus::Active), ..HostFilter::default() };
        assert_eq!(page(&active, 100), ["y"]);
        let error = block_on(world.fleet.host(permit(), &address("x"))).unwrap_err();
        assert!(matches!(error, HostError::Store(_)), "it is there, and nobody says that it is not");
        assert_eq!(world.members("web"), ["x", "y"]);

        for (prefix, name) in [("clusters", "broken"), ("clusters", "no.name"), ("networks", "broken")] {
            world.put_by_hand(&format!("/commissaire/{prefix}/{name}"), garbage);
        }
        let names = block_on(world.fleet.cluster_names(permit())).unwrap();
        assert!(names.contains(&cluster("web")));
        assert_eq!(block_on(world.fleet.clusters(permit(), None, 100)).unwrap().clusters.len(), 2);
        assert_eq!(block_on(world.fleet.networks(permit())).unwrap().len(), 1);
    }
}

#[test]
fn a_host_that_cannot_be_read_is_deleted_with_all_its_traces() {
    for garbage in GARBAGE {
        let world = spoilt(garbage);
        world.delete("x").unwrap();
        assert!(world.keys("").iter().all(|key| !key.ends_with("/x")), "{:?}", world.keys(""));
        assert_eq!(world.members("web"), ["y"]);
        world.assert_consistent();
        assert!(matches!(world.delete("x"), Err(HostError::NoSuchHost { .. })));
    }
}

#[test]
fn a_host_that_cannot_be_read_is_replaced() {
    for (garbage, name) in GARBAGE.into_iter().zip([None, Some("web"), Some("db")]) {
        let world = spoilt(garbage);
        let mut new = host("another key", "failed");
        new.cluster = name.map(cluster);
        world.add("x", new).unwrap();
        assert_eq!(
            (world.status("x"), world.listed()),
            ("failed".into(), vec!["x".to_owned(), "y".to_owned()])
        );
        world.assert_consistent();
    }
    // One that was never in an index.
    let world = World::new();
    world.put_by_hand("/commissaire/hosts/x", "garbage");
    world.add("x", host("key", "active")).unwrap();
    world.assert_consistent();
}

#[test]
fn a_host_that_cannot_be_read_leaves_its_cluster() {
    for garbage in GARBAGE {
        let world = spoilt(garbage);
        assert!(world.leave("web", "x").unwrap());
        assert!(!world.leave("web", "x").unwrap());
        let world = spoilt(garbage);
        world.replace("web", &["x", "y"], &["y"]).unwrap();
        assert_eq!((world.members("web"), world.health("web").0), (vec!["y".to_owned()], 1));
        assert!(world.join("web", "x").is_err(), "nobody knows how far it has come");
        assert!(world.replace("web", &["y"], &["x", "y"]).is_err());
        assert!(!world.stored("/commissaire/clusters/web").unwrap().contains("\"x\""));
        assert_eq!(world.stored("/commissaire/hosts/x").unwrap(), garbage);

        let world = spoilt(garbage);
        block_on(world.fleet.delete_cluster(permit(), &cluster("web"), Expected::Anything)).unwrap();
        assert!(world.keys("/fleet/tally/").is_empty() && world.keys("/fleet/host/cluster/").is_empty());
        world.delete("x").unwrap();
        world.assert_consistent();
    }
}

/// Whoever has the password of machines changes nothing that is there.
#[test]
fn nobody_registers_over_what_cannot_be_read() {
    let world = World::new();
    world.put_by_hand("/commissaire/hosts/192.0.2.7", "garbage");
    assert!(block_on(world.fleet.register_host(permit(), host("key", ""))).is_err());
    assert_eq!(world.stored("/commissaire/hosts/192.0.2.7").unwrap(), "garbage");
}

#[test]
fn one_machine_is_in_one_cluster_however_it_is_spelled() {
    let world = World::new();
    world.make_cluster("web", "");
    for (first, again) in
        [("2001:db8::1", "2001:DB8:0::1"), ("DB1.example", "db1.example."), ("10.0.0.1", "::ffff:10.0.0.1")]
    {
        world.add(first, host("key", "active")).unwrap();
        world.add(again, host("key", "active")).unwrap();
        assert!(world.add(again, host("another", "")).is_err());
    }
    assert_eq!(world.listed(), ["10.0.0.1", "2001:db8::1", "db1.example"]);
    world.replace("web", &[], &["DB1.Example.", "db1.example", "2001:DB8::1"]).unwrap();
    assert_eq!(world.members("web"), ["2001:db8::1", "db1.example"]);
    world.replace("web", &["DB1.example", "2001:db8:0::1"], &["::FFFF:10.0.0.1"]).unwrap();
    assert_eq!(world.members("web"), ["10.0.0.1"]);
    world.assert_consistent();
}

/// The original kept addresses as they were written.
#[test]
fn what_the_original_spelled_otherwise_is_still_there() {
    let world = World::new();
    world.make_cluster("web", "");
    for old in ["DB1.example", "2001:DB8::1", "10.0.0.1:22"] {
        let record = format!(r#"{{"address":"{old}","status":"active","os":"fedora"}}"#);
        world.put_by_hand(&format!("/commissaire/hosts/{old}"), &record);
    }
    assert_eq!(world.listed(), ["10.0.0.1:22", "2001:DB8::1", "DB1.example"]);
    assert_eq!(world.status("DB1.example"), "active");
    assert!(world.add("DB1.example", host("another key", "")).is_err(), "it is there");
    assert!(world.join("web", "DB1.example").unwrap());
    world.replace("web", &["DB1.example"], &["DB1.example", "2001:DB8::1"]).unwrap();
    assert_eq!(world.members("web"), ["2001:DB8::1", "DB1.example"]);
    let (name, old) = (cluster("web"), address("DB1.example"));
    block_on(world.fleet.check_membership(permit(), &name, &old)).unwrap();
    assert!(world.leave("web", "DB1.example").unwrap());
    world.delete("DB1.example").unwrap();
    assert_eq!(world.listed(), ["10.0.0.1:22", "2001:DB8::1"]);
}
