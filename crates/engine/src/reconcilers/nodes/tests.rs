use fleet::{
    ContainerManager, ContainerManagerKind, Expected, Fleet, Ground, NewCluster, NewHost, NodeGoing, Options,
};
use serde_json::json;
use store::{Memory, SealingKey};
use testkit::ApiServer;

use super::*;

const BEGINNING: Timestamp = Timestamp::from_unix(1_790_000_000);
const TOKEN: &str = "s3cret-token";

/// The cluster `web`, with a container manager that has to be asked.
struct World {
    engine: Arc<Memory>,
    fleet: Arc<Fleet>,
    server: ApiServer,
    clock: Clock,
    register: RegisterNodes,
}

impl World {
    async fn new() -> Self {
        let engine = Arc::new(Memory::new());
        let (clock, entropy) = (Clock::manual(BEGINNING), Entropy::seeded(3));
        let sealing = Arc::new(SealingKey::generate(&entropy));
        let ground =
            Ground { engine: engine.clone(), sealing, clock: clock.clone(), entropy: entropy.clone() };
        let fleet = Arc::new(Fleet::open(ground).await.unwrap());
        let server = ApiServer::http();
        let register = RegisterNodes {
            fleet: fleet.clone(),
            nodes: Arc::new(Nodes::new(fleet.clone(), clock.clone())),
            claims: Claims::new(engine.clone()).unwrap(),
            holder: "we".into(),
            clock: clock.clone(),
            entropy,
            defined: HashMap::new(),
            waiting: HashMap::new(),
        };
        let world = Self { engine, fleet, server, clock, register };
        world.define("k8s", TOKEN).await;
        let new = NewCluster { container_manager: "k8s".into(), ..NewCluster::default() };
        world.fleet.put_cluster(Permit::house(), &web(), &new, Expected::Anything).await.unwrap();
        world
    }

    async fn define(&self, name: &str, token: &str) {
        let options = json!({"server_url": self.server.url(), "token": token});
        let manager = ContainerManager {
            name: name.parse().unwrap(),
            kind: ContainerManagerKind::OpenShift,
            options: Options::new(options.as_object().unwrap().clone()),
        };
        self.fleet.put_container_manager(Permit::house(), manager, Expected::Absent).await.unwrap();
    }

    /// A host that is ready and has joined the cluster.
    async fn joined(&self, host: &str) {
        let new = NewHost { status: HostStatus::Disassociated, ..NewHost::default() };
        let address: HostAddress = host.parse().unwrap();
        self.fleet.add_host(Permit::house(), address.clone(), new).await.unwrap();
        self.fleet.join(Permit::house(), &web(), &address).await.unwrap();
    }

    async fn claims_on(&self, host: &str) -> Claim {
        let (name, now) = (claim_on(&host.parse().unwrap()), self.clock.now());
        self.register.claims.take(&name, "we", now, LEASE).await.unwrap().unwrap()
    }

    async fn step(&mut self) {
        self.register.step(&Stop::new()).await.unwrap();
    }

    async fn host(&self, host: &str) -> (String, Option<String>) {
        let host = self.fleet.host(Permit::house(), &host.parse().unwrap()).await.unwrap().is;
        (host.status.as_str().to_owned(), host.reason)
    }

    fn asked(&self) -> usize {
        self.server.asked().len()
    }
}

fn web() -> ClusterName {
    "web".parse().unwrap()
}

#[tokio::test]
async fn who_joins_is_registered_and_who_goes_is_removed() {
    let mut world = World::new().await;
    world.server.set_token(TOKEN, "provost");
    for number in 0..40 {
        world.joined(&format!("10.0.0.{number}")).await;
    }
    world.step().await;
    for number in 0..40 {
        let host = format!("10.0.0.{number}");
        assert_eq!(world.host(&host).await, ("active".into(), None));
        assert!(world.server.node(&host).is_some());
    }
    let asked = world.asked();
    world.step().await;
    assert_eq!(world.asked(), asked, "there is nothing left to ask");

    world.fleet.leave(Permit::house(), &web(), &"10.0.0.0".parse().unwrap()).await.unwrap();
    world.fleet.delete_host(Permit::house(), &"10.0.0.1".parse().unwrap(), Expected::Anything).await.unwrap();
    // Gone and back before anybody looked.
    let back: HostAddress = "10.0.0.2".parse().unwrap();
    world.fleet.leave(Permit::house(), &web(), &back).await.unwrap();
    world.fleet.join(Permit::house(), &web(), &back).await.unwrap();
    world.step().await;
    let there = |world: &World, number: u8| world.server.node(&format!("10.0.0.{number}")).is_some();
    assert_eq!([0, 1, 2, 3].map(|number| there(&world, number)), [false, false, true, true]);
    assert_eq!(world.host("10.0.0.2").await.0, "active");
    world.fleet.delete_cluster(Permit::house(), &web(), Expected::Anything).await.unwrap();
    world.step().await;
    assert!(!(0..40).any(|number| there(&world, number)), "nobody else has them");
    assert_eq!(world.fleet.nodes_leaving().await.unwrap(), []);
}

/// One that refuses us is not asked about each of a thousand hosts, and not at once again; each of them says why it waits.
#[tokio::test]
async fn a_container_manager_that_refuses_is_asked_later() {
    let mut world = World::new().await;
    for number in 0..40 {
        world.joined(&format!("10.0.0.{number}")).await;
    }
    world.step().await;
    assert_eq!(world.asked(), AT_ONCE);
    for number in [0, 39] {
        let (status, reason) = world.host(&format!("10.0.0.{number}")).await;
        assert_eq!(status, "disassociated");
        let reason = reason.unwrap();
        assert!(reason.contains("`k8s`") && reason.contains("does not accept our credentials"), "{reason}");
    }
    world.step().await;
    assert_eq!(world.asked(), AT_ONCE, "it is left alone");
    world.server.set_token(TOKEN, "provost");
    world.clock.advance(Span::seconds(60));
    world.step().await;
    assert_eq!(world.host("10.0.0.39").await, ("active".into(), None));
}

/// Whoever sets it right need not wait.
#[tokio::test]
async fn another_definition_is_tried_at_once() {
    let mut world = World::new().await;
    world.server.set_token("another", "provost");
    world.joined("10.0.0.1").await;
    world.step().await;
    assert_eq!(world.host("10.0.0.1").await.0, "disassociated");
    let name = "k8s".parse().unwrap();
    world.fleet.delete_container_manager_in_use(Permit::house(), &name).await.unwrap();
    world.define("k8s", "another").await;
    world.step().await;
    assert_eq!(world.host("10.0.0.1").await, ("active".into(), None));
}

/// A host whose name no node can have is no matter to the others.
#[tokio::test]
async fn a_host_that_cannot_be_a_node_says_so() {
    let mut world = World::new().await;
    world.server.set_token(TOKEN, "provost");
    world.joined("fe80::1").await;
    world.joined("10.0.0.1").await;
    world.step().await;
    let (status, reason) = world.host("fe80::1").await;
    assert!(status == "disassociated" && reason.unwrap().contains("give the host a DNS name"));
    assert_eq!(world.host("10.0.0.1").await.0, "active");
}

/// Whoever works on a host has it to themselves.
#[tokio::test]
async fn hosts_that_another_works_on_are_left_to_it() {
    let mut world = World::new().await;
    world.server.set_token(TOKEN, "provost");
    world.joined("10.0.0.1").await;
    let claims = world.register.claims.clone();
    claims.take("host/10.0.0.1", "another", BEGINNING, Span::seconds(60)).await.unwrap().unwrap();
    world.step().await;
    assert_eq!((world.asked(), world.host("10.0.0.1").await.0.as_str()), (0, "disassociated"));
}

/// Why it was not taken is no matter to a host that goes.
#[tokio::test]
async fn who_goes_takes_no_reason_along() {
    let mut world = World::new().await;
    world.joined("10.0.0.1").await;
    world.step().await;
    assert!(world.host("10.0.0.1").await.1.is_some());
    world.fleet.leave(Permit::house(), &web(), &"10.0.0.1".parse().unwrap()).await.unwrap();
    assert_eq!(world.host("10.0.0.1").await, ("disassociated".into(), None));
}

/// A cluster gets another container manager, then another one before anybody looked, then none.
#[tokio::test]
async fn hosts_follow_their_cluster_to_another_container_manager() {
    let mut world = World::new().await;
    world.server.set_token(TOKEN, "provost");
    for number in 0..20 {
        world.joined(&format!("10.0.0.{number}")).await;
    }
    world.step().await;
    let other = ApiServer::http();
    other.set_token(TOKEN, "provost");
    let define = async |name: &str, kind, options: serde_json::Value| {
        let options = Options::new(options.as_object().unwrap().clone());
        let manager = ContainerManager { name: name.parse().unwrap(), kind, options };
        world.fleet.put_container_manager(Permit::house(), manager, Expected::Absent).await.unwrap();
    };
    define("other", ContainerManagerKind::OpenShift, json!({"server_url": other.url(), "token": TOKEN}))
        .await;
    define("all", ContainerManagerKind::Trivial, json!({})).await;
    let fleet = world.fleet.clone();
    let give = async |manager: &str| {
        let new = NewCluster { container_manager: manager.into(), ..NewCluster::default() };
        fleet.put_cluster(Permit::house(), &web(), &new, Expected::Anything).await.unwrap();
    };
    // One of them is silent, and is believed to be registered when it answers again.
    let claim = world.claims_on("10.0.0.3").await;
    for _ in 0..8 {
        let look = fleet::Look::Silent { reason: "it is away".into() };
        fleet.record_look(&claim, &"10.0.0.3".parse().unwrap(), &look).await.unwrap();
    }
    world.register.claims.release(claim).await.unwrap();
    assert_eq!(world.host("10.0.0.3").await.0, "failed");

    give("other").await;
    world.step().await;
    for number in (0..20).filter(|number| *number != 3) {
        let host = format!("10.0.0.{number}");
        assert_eq!(world.host(&host).await, ("active".into(), None), "{host}");
        assert!(world.server.node(&host).is_none() && other.node(&host).is_some(), "{host}");
    }
    assert!(world.server.node("10.0.0.3").is_none());
    let claim = world.claims_on("10.0.0.3").await;
    fleet.record_look(&claim, &"10.0.0.3".parse().unwrap(), &fleet::Look::Answered).await.unwrap();
    world.register.claims.release(claim).await.unwrap();
    assert_eq!(world.host("10.0.0.3").await.0, "disassociated", "nobody has it yet");
    world.step().await;
    assert!(other.node("10.0.0.3").is_some());

    give("all").await;
    give("k8s").await;
    world.step().await;
    assert_eq!(world.host("10.0.0.0").await.0, "active");
    assert!(world.server.node("10.0.0.0").is_some() && other.node("10.0.0.0").is_none());

    give("all").await;
    world.step().await;
    assert_eq!(world.host("10.0.0.0").await.0, "active");
    assert!(world.server.node("10.0.0.0").is_none());
    give("").await;
    world.step().await;
    assert_eq!(world.host("10.0.0.0").await.0, "disassociated");
    assert_eq!(fleet.manager_changes().await.unwrap(), []);
}

/// Hosts that go before they have followed are forgotten by both, however many they are.
#[tokio::test]
async fn who_goes_before_it_has_followed_leaves_no_node() {
    let mut world = World::new().await;
    world.server.set_token(TOKEN, "provost");
    for number in 0..40 {
        world.joined(&format!("10.0.0.{number}")).await;
    }
    world.step().await;
    let other = ApiServer::http();
    other.set_token(TOKEN, "provost");
    let options = json!({"server_url": other.url(), "token": TOKEN});
    let options = Options::new(options.as_object().unwrap().clone());
    let manager =
        ContainerManager { name: "other".parse().unwrap(), kind: ContainerManagerKind::OpenShift, options };
    world.fleet.put_container_manager(Permit::house(), manager, Expected::Absent).await.unwrap();
    let new = NewCluster { container_manager: "other".into(), ..NewCluster::default() };
    world.fleet.put_cluster(Permit::house(), &web(), &new, Expected::Anything).await.unwrap();

    world.fleet.leave(Permit::house(), &web(), &"10.0.0.0".parse().unwrap()).await.unwrap();
    world.fleet.delete_host(Permit::house(), &"10.0.0.1".parse().unwrap(), Expected::Anything).await.unwrap();
    world.step().await;
    let there = |server: &ApiServer, number: u8| server.node(&format!("10.0.0.{number}")).is_some();
    assert_eq!([0, 1, 2].map(|number| there(&world.server, number)), [false; 3]);
    assert_eq!([0, 1, 2].map(|number| there(&other, number)), [false, false, true]);
    // All the others at once, between the change and the next step.
    let new = NewCluster { container_manager: "k8s".into(), ..NewCluster::default() };
    world.fleet.put_cluster(Permit::house(), &web(), &new, Expected::Anything).await.unwrap();
    world.fleet.delete_cluster(Permit::house(), &web(), Expected::Anything).await.unwrap();
    world.step().await;
    assert!(!(0..40).any(|number| there(&world.server, number) || there(&other, number)));
    assert_eq!(world.fleet.nodes_leaving().await.unwrap(), []);
}

/// Somebody is at work on a host while its cluster changes: it follows as soon as they are done.
#[tokio::test]
async fn a_host_that_is_worked_on_follows_later() {
    let mut world = World::new().await;
    world.server.set_token(TOKEN, "provost");
    world.joined("10.0.0.1").await;
    world.step().await;
    let claim = {
        let now = world.clock.now();
        let claims = &world.register.claims;
        claims.take(&claim_on(&"10.0.0.1".parse().unwrap()), "another", now, LEASE).await.unwrap().unwrap()
    };
    let none = NewCluster::default();
    world.fleet.put_cluster(Permit::house(), &web(), &none, Expected::Anything).await.unwrap();
    world.step().await;
    assert_eq!(
        (world.host("10.0.0.1").await.0.as_str(), world.server.node("10.0.0.1").is_some()),
        ("active", true)
    );
    world.register.claims.release(claim).await.unwrap();
    world.step().await;
    assert_eq!(world.host("10.0.0.1").await.0, "disassociated");
    assert!(world.server.node("10.0.0.1").is_none());
}

/// Whoever lets a host join notes before that its node may have to go, and may die at any moment.
#[tokio::test]
async fn who_dies_while_a_host_joins_leaves_no_node() {
    let mut world = World::new().await;
    world.server.set_token(TOKEN, "provost");
    let claims = world.register.claims.clone();
    let begun = async |host: &str| {
        let address: HostAddress = host.parse().unwrap();
        let new = NewHost { status: HostStatus::Disassociated, ..NewHost::default() };
        world.fleet.add_host(Permit::house(), address.clone(), new).await.unwrap();
        let joining = world.fleet.node_before_joining(&web(), &address).await.unwrap().unwrap();
        let claim = claims.take(&claim_on(&address), host, world.clock.now(), LEASE).await.unwrap().unwrap();
        assert!(world.fleet.note_node(&claim, &joining.node).await.unwrap().is_some());
        world.server.add_node(host, "a boot");
        (joining, claim)
    };
    let (late, dead) = begun("dead").await;
    let (quick, alive) = begun("alive").await;
    let joined =
        world.fleet.join_taken_host(&Permit::house(), &web(), &quick, &alive).await.unwrap().unwrap();
    assert!(joined.is_new && joined.is.status == HostStatus::Active);
    world.step().await;
    assert!(world.server.node("dead").is_some(), "somebody is at it");

    world.clock.advance(LEASE + Span::seconds(1));
    world.step().await;
    assert!(world.server.node("dead").is_none() && world.server.node("alive").is_some());
    assert_eq!(world.fleet.nodes_leaving().await.unwrap(), []);
    // It comes back to life, and sees that it was not quick enough.
    let late = world.fleet.join_taken_host(&Permit::house(), &web(), &late, &dead).await;
    assert_eq!(late.unwrap(), None);
    assert_eq!(world.fleet.members(Permit::house(), &web()).await.unwrap(), ["alive".parse().unwrap()]);
}

/// What was taken by a container manager of another definition than the present one was perhaps taken by another one.
#[tokio::test]
async fn who_was_taken_elsewhere_is_looked_at_anew() {
    let world = World::new().await;
    let address: HostAddress = "a".parse().unwrap();
    let new = NewHost { status: HostStatus::Disassociated, ..NewHost::default() };
    world.fleet.add_host(Permit::house(), address.clone(), new).await.unwrap();
    let joining = world.fleet.node_before_joining(&web(), &address).await.unwrap().unwrap();
    let claim = world.claims_on("a").await;
    world.fleet.delete_container_manager_in_use(Permit::house(), &joining.node.manager).await.unwrap();
    world.define("k8s", "another").await;
    let join = async |joining: &fleet::NodeJoining| {
        world.fleet.join_taken_host(&Permit::house(), &web(), joining, &claim).await.unwrap()
    };
    assert_eq!(join(&joining).await, None);
    let joining = world.fleet.node_before_joining(&web(), &address).await.unwrap().unwrap();
    assert!(join(&joining).await.unwrap().is_new);
}

/// Whoever notes a node, and then sees that there is none, takes back what they noted and nothing else.
#[tokio::test]
async fn a_promise_to_forget_a_node_outlives_a_join_that_is_refused() {
    let world = World::new().await;
    let node = NodeLeaving { manager: "k8s".parse().unwrap(), address: "a".parse().unwrap() };
    let claim = world.claims_on("a").await;
    let noted = world.fleet.note_node(&claim, &node).await.unwrap().unwrap();
    assert_eq!(world.fleet.note_node(&claim, &node).await.unwrap(), None, "it is another's promise");
    world.fleet.record_node_left(&claim, &node).await.unwrap();
    let anew = world.fleet.note_node(&claim, &node).await.unwrap().unwrap();
    world.fleet.withdraw_node(&claim, &node, noted).await.unwrap();
    assert_eq!(world.fleet.nodes_leaving().await.unwrap(), std::slice::from_ref(&node));
    world.fleet.withdraw_node(&claim, &node, anew).await.unwrap();
    assert_eq!(world.fleet.nodes_leaving().await.unwrap(), []);
}

/// A host that leaves before it has followed to another container manager is to be forgotten by both.
#[tokio::test]
async fn all_container_managers_of_a_host_that_leaves_are_known() {
    let world = World::new().await;
    world.joined("a").await;
    world.define("other", TOKEN).await;
    let new = NewCluster { container_manager: "other".into(), ..NewCluster::default() };
    world.fleet.put_cluster(Permit::house(), &web(), &new, Expected::Anything).await.unwrap();
    let address: HostAddress = "a".parse().unwrap();
    world.fleet.leave(Permit::house(), &web(), &address).await.unwrap();
    let leaving = world.fleet.nodes_still_leaving(&address).await.unwrap();
    let managers: Vec<&str> = leaving.iter().map(|node| node.manager.as_str()).collect();
    assert_eq!(managers, ["k8s", "other"]);
    let another = world.fleet.nodes_still_leaving(&"b".parse().unwrap()).await.unwrap();
    assert_eq!(another, []);
}

/// What is undone when a node could not be removed is what was done before, and the node of a host that has left is not
/// the cluster's to remove.
#[tokio::test]
async fn a_host_that_waits_for_its_node_still_does_when_its_cluster_stays() {
    let mut world = World::new().await;
    world.server.set_token(TOKEN, "provost");
    world.joined("active").await;
    world.step().await;
    world.joined("waits").await;
    world.joined("leaves").await;
    world.fleet.leave(Permit::house(), &web(), &"leaves".parse().unwrap()).await.unwrap();
    for (name, expected, status) in [
        ("active", NodeGoing::Waits, "active"),
        ("waits", NodeGoing::AsBefore, "disassociated"),
        ("leaves", NodeGoing::NotAMember, "disassociated"),
        ("nobody", NodeGoing::NotAMember, ""),
    ] {
        let (claim, host) = (world.claims_on(name).await, name.parse().unwrap());
        assert_eq!(world.fleet.record_node_going(&claim, &host, &web()).await.unwrap(), expected, "{name}");
        world.fleet.record_node_stayed(&claim, &host, &web()).await.unwrap();
        if !status.is_empty() {
            assert_eq!(world.host(name).await, (status.into(), None), "{name}");
        }
    }
}

/// A cluster that was to be deleted, and stays because whoever did it died: its hosts get their nodes back, and not before.
#[tokio::test]
async fn who_dies_while_a_cluster_is_deleted_leaves_its_hosts_to_it() {
    let mut world = World::new().await;
    world.server.set_token(TOKEN, "provost");
    world.joined("10.0.0.1").await;
    world.step().await;
    let (claims, now) = (world.register.claims.clone(), world.clock.now());
    claims.take(&claim_on_deletion(&web()), "another", now, LEASE).await.unwrap().unwrap();
    let claim = world.claims_on("10.0.0.1").await;
    world.fleet.record_node_going(&claim, &"10.0.0.1".parse().unwrap(), &web()).await.unwrap();
    let (status, reason) = world.host("10.0.0.1").await;
    assert!(status == "disassociated" && reason.unwrap().contains("its cluster was to be deleted"));
    claims.release(claim).await.unwrap();
    let asked = world.asked();
    world.step().await;
    assert_eq!((world.asked(), world.host("10.0.0.1").await.0.as_str()), (asked, "disassociated"));
    world.clock.advance(LEASE + Span::seconds(1));
    world.step().await;
    assert_eq!(world.host("10.0.0.1").await, ("active".into(), None));
}

/// A cluster with many hosts goes, and whoever deleted it died before they left: nobody makes them nodes again.
#[tokio::test]
async fn hosts_of_a_cluster_that_goes_get_no_nodes() {
    let mut world = World::new().await;
    world.server.set_token(TOKEN, "provost");
    for number in 0..20 {
        world.joined(&format!("10.0.0.{number}")).await;
    }
    world.engine.before_next_commit(async {});
    world.engine.before_next_commit(std::future::pending());
    let web = web();
    let left = world.fleet.delete_cluster(Permit::house(), &web, Expected::Anything);
    assert!(futures_util::FutureExt::now_or_never(left).is_none(), "it came to its end");
    world.step().await;
    assert_eq!(world.asked(), 0);
}
