//! Networks and container managers (commissaire contract, section 3.5).

use base::Explain as _;
use fleet::{
    ClusterError, ContainerManager, DefinitionError, Expected, ExpectedSettings, HIDDEN, Network, NewCluster,
    Options, Put,
};
use futures_executor::block_on;
use serde_json::{Value, json};

use crate::world::{World, cluster, permit};

fn options(value: &Value) -> Options {
    Options::new(value.as_object().unwrap().clone())
}

fn put_network(
    world: &World,
    name: &str,
    kind: &str,
    value: &Value,
) -> Result<Put<Network>, DefinitionError> {
    let (name, kind) = (name.parse().unwrap(), kind.parse().unwrap());
    let network = Network { name, kind, options: options(value) };
    block_on(world.fleet.put_network(permit(), network, Expected::Anything))
}

fn put_manager(world: &World, name: &str, value: &Value) -> Result<Put<ContainerManager>, DefinitionError> {
    let (name, kind) = (name.parse().unwrap(), "kubernetes".parse().unwrap());
    let manager = ContainerManager { name, kind, options: options(value) };
    block_on(world.fleet.put_container_manager(permit(), manager, Expected::Anything))
}

#[test]
fn the_same_again_is_the_same_and_another_is_refused() {
    let world = World::new();
    let first = put_network(&world, "n", "flannel_server", &json!({"address": "a:1"})).unwrap();
    let again = put_network(&world, "n", "flanneld_service", &json!({"address": "a:1"})).unwrap();
    assert_eq!((first.is_new, again.is_new, first.version == again.version), (true, false, true));
    for (kind, value) in [
        ("flannel_etcd", json!({"address": "a:1"})),
        ("flannel_server", json!({"address": "a:2"})),
        ("flannel_server", json!({})),
    ] {
        let error = put_network(&world, "n", kind, &value).unwrap_err();
        assert!(matches!(error, DefinitionError::Different { .. }), "{kind} {value}");
        assert_eq!(error.to_string(), "the network `n` exists, and is another one");
    }
    // The original's interface takes a server without an address.
    assert!(put_network(&world, "m", "flannel_server", &json!({})).unwrap().is.check().is_err());
    assert_eq!(
        world.stored("/commissaire/networks/n").unwrap(),
        r#"{"name":"n","type":"flannel_server","options":{"address":"a:1"}}"#
    );
}

#[test]
fn the_default_network_is_there_until_it_is_deleted() {
    let world = World::new();
    let names = |fleet: &fleet::Fleet| -> Vec<String> {
        let networks = block_on(fleet.networks(permit())).unwrap();
        networks.iter().map(|seen| seen.is.name.to_string()).collect()
    };
    assert_eq!(names(&world.fleet), ["default"]);
    assert_eq!(
        world.stored("/commissaire/networks/default").unwrap(),
        r#"{"name":"default","type":"flannel_etcd","options":{}}"#
    );
    let name = "default".parse().unwrap();
    let delete = || block_on(world.fleet.delete_network(permit(), &name, Expected::Anything));
    delete().unwrap();
    assert!(matches!(delete(), Err(DefinitionError::NotFound { .. })));
    assert!(names(&world.another()).is_empty());
    assert!(block_on(world.fleet.container_managers(permit())).unwrap().is_empty());
}

/// The original's interface deletes it all the same; the cluster can still be written as it is then.
#[test]
fn what_clusters_use_is_deleted_only_where_that_is_asked_for() {
    let world = World::new();
    put_network(&world, "n", "flannel_etcd", &json!({})).unwrap();
    put_manager(&world, "k8s", &json!({})).unwrap();
    let (network, manager) = ("n".parse().unwrap(), "k8s".parse().unwrap());
    let new = NewCluster { network: "n".into(), container_manager: "k8s".into() };
    let put = |name: &str, new: &NewCluster| {
        let name = cluster(name);
        block_on(world.fleet.put_cluster_of_what_is_there(permit(), &name, new, &ExpectedSettings::Anything))
    };
    let made = put("web", &new).unwrap();
    put("db", &new).unwrap();
    let delete = || {
        let of_network = block_on(world.fleet.delete_network(permit(), &network, Expected::Anything));
        let fleet = &world.fleet;
        (of_network, block_on(fleet.delete_container_manager(permit(), &manager, Expected::Anything)))
    };
    let (of_network, of_manager) = delete();
    for (refused, noun) in [(of_network, "network `n`"), (of_manager, "container manager `k8s`")] {
        let refused = refused.unwrap_err();
        assert_eq!(refused.kind(), base::Kind::Conflict);
        assert_eq!(refused.to_string(), format!("the {noun} is in use by the clusters `db` and `web`"));
    }

    block_on(world.fleet.delete_network_in_use(permit(), &network)).unwrap();
    block_on(world.fleet.delete_container_manager_in_use(permit(), &manager)).unwrap();
    assert_eq!(put("web", &new).unwrap(), Put { is_new: false, ..made });
    let without = NewCluster { container_manager: String::new(), ..new.clone() };
    assert_eq!(put("web", &without).unwrap().is.cluster.network, "n");
    // But nobody begins to use them.
    assert!(matches!(put("web", &new), Err(ClusterError::NoSuchContainerManager { .. })));
    assert!(matches!(put("new", &without), Err(ClusterError::NoSuchNetwork { .. })));

    put_network(&world, "n", "flannel_etcd", &json!({})).unwrap();
    put_manager(&world, "k8s", &json!({})).unwrap();
    assert!(delete().0.is_err(), "clusters name it still");
    for name in ["web", "db"] {
        block_on(world.fleet.delete_cluster(permit(), &cluster(name), Expected::Anything)).unwrap();
    }
    put_manager(&world, "k8s", &json!({})).unwrap();
    let (of_network, of_manager) = delete();
    of_network.unwrap();
    of_manager.unwrap();
    assert!(world.keys("/fleet/used/").is_empty());
}

#[test]
fn secrets_are_sealed_and_hidden() {
    for world in [World::new(), World::on_sqlite()] {
        let value =
            json!({"server_url": "https://k8s:6443", "token": "hunter2", "certificate_key_path": "/k"});
        assert!(put_manager(&world, "k8s", &value).unwrap().is_new);
        assert!(!put_manager(&world, "k8s", &value).unwrap().is_new, "the seals differ, the secrets do not");
        let other =
            json!({"server_url": "https://k8s:6443", "token": "hunter3", "certificate_key_path": "/k"});
        assert!(matches!(put_manager(&world, "k8s", &other), Err(DefinitionError::Different { .. })));

        let document = world.stored("/commissaire/container_managers/k8s").unwrap();
        assert!(!document.contains("hunter2") && document.contains("https://k8s:6443"), "{document}");
        let name = "k8s".parse().unwrap();
        let hidden = block_on(world.fleet.container_manager(permit(), &name)).unwrap();
        assert_eq!(
            Value::from(hidden.is.options.into_map()),
            json!({"server_url": "https://k8s:6443", "token": HIDDEN, "certificate_key_path": HIDDEN})
        );
        let clear = block_on(world.fleet.container_manager_in_clear(permit(), &name)).unwrap();
        assert_eq!(Value::from(clear.is.options.into_map()), value);
        let all = block_on(world.fleet.container_managers(permit())).unwrap();
        assert_eq!(all[0].is.options.text("token"), Some(HIDDEN));

        put_network(&world, "n", "flannel_etcd", &json!({"password": "hunter2"})).unwrap();
        let name = "n".parse().unwrap();
        let hidden = block_on(world.fleet.network(permit(), &name)).unwrap();
        assert_eq!(hidden.is.options.text("password"), Some(HIDDEN));
        let clear = block_on(world.fleet.network_in_clear(permit(), &name)).unwrap();
        assert_eq!(clear.is.options.text("password"), Some("hunter2"));
        assert!(!world.stored("/commissaire/networks/n").unwrap().contains("hunter2"));
    }
}

#[test]
fn who_saw_another_one_deletes_none() {
    let world = World::new();
    let put = put_manager(&world, "k8s", &json!({})).unwrap();
    let name = "k8s".parse().unwrap();
    let delete = |expected| block_on(world.fleet.delete_container_manager(permit(), &name, expected));
    assert!(matches!(delete(Expected::Absent), Err(DefinitionError::Changed { .. })));
    delete(Expected::At(put.version)).unwrap();
    let put = put_manager(&world, "k8s", &json!({})).unwrap();
    assert!(put.is_new);
    let manager = ContainerManager { name: name.clone(), kind: put.is.kind, options: Options::default() };
    let again = block_on(world.fleet.put_container_manager(permit(), manager, Expected::Absent));
    assert!(matches!(again, Err(DefinitionError::Changed { .. })));
    delete(Expected::Anything).unwrap();
    assert!(
        world
            .events()
            .contains(&"container manager deleted: ada from 192.0.2.7 (container manager k8s)".to_owned())
    );
}
