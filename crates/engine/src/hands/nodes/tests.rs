use base::{Entropy, Timestamp};
use fleet::{Expected, Ground, NewCluster, Options};
use kube::Readiness;
use serde_json::{Value, json};
use store::{Memory, SealingKey};
use testkit::{ApiServer, Budget, PodPlan};

use super::*;
use crate::hands::reach::told;

pub(crate) const TOKEN: &str = "s3cret-token";

/// A fleet with a cluster whose container manager may be defined as a test wants it.
pub(crate) struct World {
    pub(crate) fleet: Arc<Fleet>,
    pub(crate) nodes: Nodes,
}

impl World {
    pub(crate) async fn new() -> Self {
        let (clock, entropy) = (Clock::manual(Timestamp::from_unix(1_790_000_000)), Entropy::seeded(3));
        let sealing = Arc::new(SealingKey::generate(&entropy));
        let engine = Arc::new(Memory::new());
        let ground = Ground { engine, sealing, clock: clock.clone(), entropy };
        let fleet = Arc::new(Fleet::open(ground).await.unwrap());
        let nodes = Nodes::new(fleet.clone(), clock);
        Self { fleet, nodes }
    }

    pub(crate) async fn define(&self, kind: ContainerManagerKind, options: Value) {
        let (name, map) = (name(), options.as_object().unwrap().clone());
        let delete = self.fleet.delete_container_manager_in_use(Permit::house(), &name).await;
        assert!(matches!(delete, Ok(()) | Err(DefinitionError::NotFound { .. })));
        let manager = ContainerManager { name, kind, options: Options::new(map) };
        self.fleet.put_container_manager(Permit::house(), manager, Expected::Absent).await.unwrap();
    }

    async fn cluster(&self, name: &str, manager: &str) -> ClusterName {
        let name: ClusterName = name.parse().unwrap();
        let new = NewCluster { container_manager: manager.to_owned(), ..NewCluster::default() };
        self.fleet.put_cluster(Permit::house(), &name, &new, Expected::Anything).await.unwrap();
        name
    }
}

pub(crate) fn name() -> ContainerManagerName {
    "k8s".parse().unwrap()
}

fn host() -> HostAddress {
    "10.0.0.1".parse().unwrap()
}

/// An API server that knows our token.
pub(crate) fn server() -> ApiServer {
    let server = ApiServer::http();
    server.set_token(TOKEN, "provost");
    server
}

pub(crate) fn at(server: &ApiServer, token: &str) -> Value {
    json!({"server_url": server.url(), "token": token})
}

#[tokio::test]
async fn a_node_goes_through_its_life() {
    let (world, server) = (World::new().await, server());
    world.define(ContainerManagerKind::OpenShift, at(&server, TOKEN)).await;
    let cluster = world.cluster("web", "k8s").await;
    let node = world.nodes.node(&cluster, &host()).await.unwrap().unwrap();
    assert_eq!(node.object().await.unwrap(), None);
    node.register().await.unwrap();
    node.register().await.unwrap();
    assert_eq!(node.readiness().await.unwrap().readiness, Readiness::NeverReported);
    server.report("10.0.0.1", "True", "b-1");
    node.cordon().await.unwrap();
    let seen = node.readiness().await.unwrap();
    assert_eq!((seen.readiness, seen.is_unschedulable), (Readiness::Ready, true));
    server.add_pod(PodPlan::new("web-1", "10.0.0.1"));
    node.drain(testkit::LIMIT).await.unwrap();
    assert_eq!(server.evicted(), ["default/web-1"]);
    node.uncordon().await.unwrap();
    assert_eq!(node.object().await.unwrap().unwrap()["metadata"]["name"], "10.0.0.1");
    node.remove().await.unwrap();
    node.remove().await.unwrap();
    assert!(server.node("10.0.0.1").is_none());
}

#[tokio::test]
async fn where_there_are_no_nodes_there_is_none() {
    let world = World::new().await;
    world.define(ContainerManagerKind::Trivial, json!({})).await;
    for (name, manager) in [("alone", ""), ("trivial", "k8s")] {
        let cluster = world.cluster(name, manager).await;
        assert!(world.nodes.node(&cluster, &host()).await.unwrap().is_none(), "{name}");
    }
}

/// A client is kept for as long as its container manager's definition is the same.
#[tokio::test]
async fn another_definition_makes_another_client() {
    let (world, one, two) = (World::new().await, server(), server());
    world.define(ContainerManagerKind::Kubernetes, at(&one, TOKEN)).await;
    let cluster = world.cluster("web", "k8s").await;
    let node = async || world.nodes.node(&cluster, &host()).await.unwrap().unwrap();
    let first = node().await;
    assert!(Arc::ptr_eq(&first.manager.client, &node().await.manager.client));
    world.define(ContainerManagerKind::Kubernetes, at(&two, TOKEN)).await;
    node().await.register().await.unwrap();
    assert!(one.node("10.0.0.1").is_none() && two.node("10.0.0.1").is_some());
}

/// Who is at fault is named, and what can be done; never our token.
#[tokio::test]
async fn what_keeps_us_from_a_node_is_told() {
    let (world, server) = (World::new().await, server());
    let cluster = world.cluster("web", "k8s").await;
    let odd = world.cluster("odd", "no name").await;
    let said = async |cluster: &ClusterName, host: &str| {
        let error = match world.nodes.node(cluster, &host.parse().unwrap()).await {
            Ok(node) => node.unwrap().register().await.unwrap_err(),
            Err(error) => error,
        };
        let said = told(&error);
        assert!(!said.contains(TOKEN), "{said}");
        said
    };
    for cluster in [&cluster, &odd] {
        let text = said(cluster, "10.0.0.1").await;
        assert!(text.contains("does not exist; create it"), "{text}");
    }
    server.forbid("create", "nodes");
    for (options, host, expected) in [
        (json!({}), "10.0.0.1", "`k8s` cannot be used: a container manager needs the option `server_url`"),
        (json!({"kubeconfig": "/nowhere"}), "10.0.0.1", "`k8s` cannot be used: could not read /nowhere"),
        (at(&server, TOKEN), "fe80::1", "`k8s` cannot have the host fe80::1: no Kubernetes node"),
        (at(&server, TOKEN), "10.0.0.1", "bind our user to a cluster role with the verb `create` on `nodes`"),
        (at(&server, "another"), "10.0.0.1", "does not accept our credentials"),
        (json!({"server_url": "http://127.0.0.1:1"}), "10.0.0.1", "http://127.0.0.1:1 cannot be reached"),
    ] {
        world.define(ContainerManagerKind::OpenShift, options).await;
        let text = said(&cluster, host).await;
        assert!(text.contains(expected), "{text}");
    }
}

#[tokio::test]
async fn pods_that_stay_are_named() {
    let (world, server) = (World::new().await, server());
    world.define(ContainerManagerKind::OpenShift, at(&server, TOKEN)).await;
    let cluster = world.cluster("web", "k8s").await;
    server.add_node("10.0.0.1", "b-1");
    for number in 1..=5 {
        server.add_pod(PodPlan::new(&format!("web-{number}"), "10.0.0.1"));
    }
    server.add_budget(Budget {
        name: "web".into(),
        namespace: "default".into(),
        covers: "web".into(),
        healthy: 5,
        needed: 5,
    });
    let node = world.nodes.node(&cluster, &host()).await.unwrap().unwrap();
    let error = node.drain(Duration::from_millis(100)).await.unwrap_err();
    let said = told(&error);
    assert!(said.contains("web-1") && said.contains("and 2 more; end these pods"), "{said}");
}

/// The file with a token, or a certificate, may be replaced; its definition stays the same then.
#[tokio::test]
async fn credentials_that_are_not_taken_are_read_again() {
    let (world, server) = (World::new().await, server());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config");
    let write = |token: &str| {
        let config = json!({
            "current-context": "c", "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
            "clusters": [{"name": "k", "cluster": {"server": server.url()}}],
            "users": [{"name": "u", "user": {"token": token}}],
        });
        std::fs::write(&path, config.to_string()).unwrap();
    };
    write("expired");
    world.define(ContainerManagerKind::OpenShift, json!({"kubeconfig": path})).await;
    let cluster = world.cluster("web", "k8s").await;
    let register = async || world.nodes.node(&cluster, &host()).await.unwrap().unwrap().register().await;
    register().await.unwrap_err();
    write(TOKEN);
    register().await.unwrap();
}
