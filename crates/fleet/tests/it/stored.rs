//! What an operator finds who looks into the store (commissaire contract, sections 9.2 and 10.3).

use fleet::{Facts, NewHost};
use futures_executor::block_on;

use crate::world::{World, address, host_in, labels, permit};

#[test]
fn an_operator_finds_what_they_know() {
    for world in [World::new(), World::on_sqlite()] {
        world.make_cluster("web", "");
        let new = NewHost {
            facts: Facts { os: "fedora".into(), cpus: 2, memory: 11_989, space: 487_652 },
            last_check: "2016-12-06T04:53:20.042000".into(),
            labels: labels(&[("rack", "b7")]),
            ..host_in("web", "active")
        };
        world.add("10.0.0.1", new).unwrap();
        let keys: Vec<String> =
            world.keys("").into_iter().filter(|key| !key.starts_with("/history/")).collect();
        assert_eq!(
            keys,
            [
                "/commissaire/clusters/web",
                "/commissaire/custodia/keys/hosts/10.0.0.1",
                "/commissaire/hosts/10.0.0.1",
                "/commissaire/networks/default",
                "/fleet/founded",
                "/fleet/host/cluster/web/10.0.0.1",
                "/fleet/host/label/rack=b7/10.0.0.1",
                "/fleet/host/os/fedora/10.0.0.1",
                "/fleet/host/status/active/10.0.0.1",
                "/fleet/tally/web/31",
                "/fleet/used/network/default",
            ]
        );
        assert_eq!(
            world.stored("/commissaire/hosts/10.0.0.1").unwrap(),
            concat!(
                r#"{"address":"10.0.0.1","status":"active","os":"fedora","cpus":2,"memory":11989,"#,
                r#""space":487652,"last_check":"2016-12-06T04:53:20.042000","source":"","#,
                r#""cluster":"web","labels":{"rack":"b7"}}"#
            )
        );
        assert_eq!(
            world.stored("/commissaire/clusters/web").unwrap(),
            concat!(
                r#"{"name":"web","status":"","network":"default","hostset":["10.0.0.1"],"#,
                r#""container_manager":""}"#
            )
        );
        let sealed = world.stored("/commissaire/custodia/keys/hosts/10.0.0.1").unwrap();
        assert_eq!(sealed.split('.').count(), 5, "a JWE in compact serialisation");
        assert_eq!(world.stored("/fleet/tally/web/31").unwrap(), r#"{"v":1,"is":{"hosts":{"active":1}}}"#);
    }
}

/// Nothing but the sealed record has the key, the history included.
#[test]
fn no_key_lies_in_clear() {
    let world = World::new();
    world.make_cluster("web", "");
    let mut new = host_in("web", "active");
    new.credentials.ssh_priv_key = base::Secret::new("c2VjcmV0LWtleQ==".into());
    assert!(!format!("{new:?}").contains("c2VjcmV0"));
    world.add("a", new).unwrap();
    for key in world.keys("") {
        let stored = world.stored(&key).unwrap();
        assert!(!stored.contains("c2VjcmV0") && !stored.contains("secret-key"), "{key}");
    }
    let credentials = block_on(world.fleet.credentials(permit(), &address("a"))).unwrap();
    assert_eq!(credentials.ssh_priv_key.expose(), "c2VjcmV0LWtleQ==");
    assert!(!format!("{credentials:?}").contains("c2VjcmV0"));
}

/// Doors wait on any thread.
#[test]
fn answers_can_be_awaited_anywhere() {
    fn check(_: &(impl Send + ?Sized)) {}
    let world = World::new();
    let (fleet, host, name) = (&world.fleet, &address("a"), &"web".parse().unwrap());
    let (set, anything) = (&std::collections::BTreeSet::new(), fleet::Expected::Anything);
    check(&fleet.add_host(permit(), host.clone(), NewHost::default()));
    check(&fleet.register_host(permit(), NewHost::default()));
    check(&fleet.delete_host(permit(), host, anything));
    check(&fleet.hosts(permit(), &fleet::HostFilter::default(), None, 1));
    check(&fleet.host_status(permit(), host));
    check(&fleet.clusters(permit(), None, 1));
    check(&fleet.roster(permit(), name));
    check(&fleet.put_cluster(permit(), name, &fleet::NewCluster::default(), anything));
    check(&fleet.delete_cluster(permit(), name, anything));
    check(&fleet.join(permit(), name, host));
    check(&fleet.replace_members(permit(), name, None, set));
    check(&fleet.start(permit(), name, fleet::Plan::Upgrade));
    check(&fleet.latest_rollouts(permit(), name, None, 1));
    check(&fleet.networks(permit()));
    check(&fleet.delete_container_manager(permit(), &"k8s".parse().unwrap(), anything));
    check(&fleet.credentials(permit(), host));
}
