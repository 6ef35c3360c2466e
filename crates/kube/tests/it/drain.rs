//! Emptying a node.

use std::time::Duration;

use kube::{Drain, DrainPolicy, Drained, Error, Round, Stayed, Why};
use serde_json::{Value, json};
use testkit::{Budget, PodPlan, StandIn, StandInReply};

use crate::world::{World, client, node};

/// As it is, only faster.
fn policy() -> DrainPolicy {
    DrainPolicy {
        within: testkit::LIMIT,
        pause: Duration::from_millis(2),
        pause_max: Duration::from_millis(10),
        ..DrainPolicy::new()
    }
}

/// For what never comes to an end by itself.
fn short() -> DrainPolicy {
    DrainPolicy { within: Duration::from_millis(1500), ..policy() }
}

fn busy() -> StandInReply {
    StandInReply { status: 503, headers: Vec::new(), body: "no backend".into() }
}

fn stayed(drained: Drained) -> Vec<Stayed> {
    match drained {
        Drained::Late { pods, trouble: None } | Drained::Refused { pods } => pods,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn pods_are_evicted_and_waited_for() {
    let world = World::new();
    world.server.add_pod(PodPlan::new("web-1", "a"));
    world.server.add_pod(PodPlan { listed_ending: Some(5), ..PodPlan::new("web-2", "a") });
    world.server.add_pod(PodPlan::new("other", "b"));
    world.server.add_pod(PodPlan { controller: Some("DaemonSet"), ..PodPlan::new("proxy", "a") });
    world.server.add_pod(PodPlan { phase: "Succeeded", controller: None, ..PodPlan::new("job", "a") });
    let mirror = [("kubernetes.io/config.mirror".to_owned(), "7f".to_owned())].into();
    let volumes = json!([{"name": "tmp", "emptyDir": {}}]);
    let etcd = PodPlan { annotations: mirror, controller: None, volumes, ..PodPlan::new("etcd", "a") };
    world.server.add_pod(PodPlan { namespace: "kube-system".into(), ..etcd });
    let drained = world.client.drain(&node("a"), policy()).await.unwrap();
    assert_eq!(drained, Drained::Empty { evictions: 2 });
    assert_eq!(world.server.evicted(), ["default/web-1", "default/web-2"]);
    assert_eq!(world.server.pods(), ["default/job", "default/other", "default/proxy", "kube-system/etcd"]);
    let body: Value = serde_json::from_str(&world.bodies("POST")[0]).unwrap();
    let uid = body["deleteOptions"]["preconditions"]["uid"].clone();
    let expected = json!({
        "apiVersion": "policy/v1", "kind": "Eviction",
        "metadata": {"name": "web-1", "namespace": "default"},
        "deleteOptions": {"preconditions": {"uid": uid}},
    });
    assert_eq!(body, expected);
    // Again there is nothing to do.
    let drained = world.client.drain(&node("a"), policy()).await.unwrap();
    assert_eq!(drained, Drained::Empty { evictions: 0 });
}

#[tokio::test]
async fn a_long_list_is_read_to_its_end() {
    let world = World::new();
    for number in 0..250 {
        world.server.add_pod(PodPlan::new(&format!("web-{number}"), "a"));
    }
    assert_eq!(world.client.pods(&node("a")).await.unwrap().len(), 250);
    assert_eq!(world.server.asked().len(), 3);
    // The rest of a list that has taken too long has to be asked for from the beginning.
    world.server.expire_lists(2);
    assert_eq!(world.client.pods(&node("a")).await.unwrap().len(), 250);
    assert_eq!(world.server.asked().len(), 3 + 2 * 2 + 3);
    world.server.expire_lists(3);
    let error = world.client.pods(&node("a")).await.unwrap_err();
    assert!(matches!(&error, Error::Refused { .. }), "{error}");
    let drained = world.client.drain(&node("a"), policy()).await.unwrap();
    assert_eq!(drained, Drained::Empty { evictions: 250 });
}

fn budget(name: &str, covers: &str, healthy: u32, needed: u32) -> Budget {
    Budget { namespace: "default".into(), name: name.into(), covers: covers.into(), healthy, needed }
}

#[tokio::test]
async fn a_disruption_budget_sets_the_pace() {
    let world = World::new();
    for name in ["db-1", "db-2", "db-3"] {
        world.server.add_pod(PodPlan::new(name, "a"));
    }
    world.server.add_budget(budget("db", "db-", 3, 2));
    let drained = world.client.drain(&node("a"), policy()).await.unwrap();
    assert_eq!(drained, Drained::Empty { evictions: 3 });
    assert_eq!(world.server.evicted().len(), 3);
    let attempts = world.bodies("POST").len();
    assert!(attempts > 3, "not all at once: {attempts}");
}

#[tokio::test]
async fn a_budget_that_never_gives_way_is_said_in_the_end() {
    let world = World::new();
    world.server.add_pod(PodPlan::new("db-1", "a"));
    world.server.add_pod(PodPlan::new("web-1", "a"));
    world.server.add_pod(PodPlan { listed_ending: None, ..PodPlan::new("stuck", "a") });
    world.server.add_budget(budget("db", "db-", 2, 2));
    let pods = stayed(world.client.drain(&node("a"), short()).await.unwrap());
    assert_eq!(pods.iter().map(|one| one.pod.name.as_str()).collect::<Vec<_>>(), ["db-1", "stuck"]);
    let Why::Refused { times, why } = &pods[0].why else { panic!("{}", pods[0]) };
    assert!(*times > 1, "{times}");
    assert_eq!(
        why,
        "Cannot evict pod as it would violate the pod's disruption budget. The disruption budget db needs 2 healthy pods and has 2 currently"
    );
    assert_eq!(pods[1].to_string(), "default/stuck: it has been ending since 2026-11-21T10:00:00Z");
    // Once another is healthy it goes on.
    world.server.heal("db", 1);
    let drained = stayed(world.client.drain(&node("a"), short()).await.unwrap());
    assert_eq!(drained.len(), 1);
    assert_eq!(world.server.pods(), ["default/stuck"]);
}

/// It says 201 to that, and in the body that it failed.
#[tokio::test]
async fn a_pod_with_two_budgets_was_not_evicted() {
    let world = World::new();
    world.server.add_pod(PodPlan::new("db-1", "a"));
    world.server.add_budget(budget("db", "db-", 3, 1));
    world.server.add_budget(budget("all", "", 3, 1));
    let pods = stayed(world.client.drain(&node("a"), short()).await.unwrap());
    assert!(pods[0].to_string().contains("This pod has more than one PodDisruptionBudget"), "{}", pods[0]);
    assert!(world.server.evicted().is_empty());
}

#[tokio::test]
async fn pods_whose_end_would_be_a_loss_end_only_when_told_to() {
    let world = World::new();
    let volumes = json!([{"name": "scratch", "emptyDir": {"medium": "Memory"}}]);
    world.server.add_pod(PodPlan { volumes, ..PodPlan::new("scratch", "a") });
    world.server.add_pod(PodPlan { controller: None, ..PodPlan::new("alone", "a") });
    world.server.add_pod(PodPlan::new("web", "a"));
    let pods = stayed(world.client.drain(&node("a"), policy()).await.unwrap());
    let said: Vec<String> = pods.iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        [
            "default/alone: nothing would start it again elsewhere",
            "default/scratch: its data in an emptyDir would be lost",
        ]
    );
    assert!(world.server.evicted().is_empty(), "nothing is begun that cannot be finished");
    let all = DrainPolicy {
        deletes_empty_dirs: true,
        deletes_unmanaged: true,
        grace_period_seconds: Some(7),
        ..policy()
    };
    let drained = world.client.drain(&node("a"), all).await.unwrap();
    assert_eq!(drained, Drained::Empty { evictions: 3 });
    assert!(world.bodies("POST")[0].contains("\"gracePeriodSeconds\":7"));
}

#[tokio::test]
async fn a_namespace_that_is_going_is_waited_for() {
    let world = World::new();
    world.server.add_pod(PodPlan::new("web", "a"));
    world.server.end_namespace("default");
    let pods = stayed(world.client.drain(&node("a"), short()).await.unwrap());
    assert!(pods[0].to_string().contains("namespace default is being terminated"), "{}", pods[0]);
}

#[tokio::test]
async fn who_may_not_evict_is_told_at_once() {
    let world = World::new();
    world.server.add_pod(PodPlan::new("web", "a"));
    world.server.forbid("create", "pods/eviction");
    let error = world.client.drain(&node("a"), policy()).await.unwrap_err();
    assert!(error.to_string().contains("does not let us create pods/eviction `default/web`"), "{error}");
}

#[tokio::test]
async fn a_server_that_is_away_for_a_while_is_waited_for() {
    let world = World::new();
    world.server.add_pod(PodPlan::new("web", "a"));
    let throttled =
        StandInReply { status: 429, headers: vec![("Retry-After", "0".into())], body: "Too many".into() };
    for reply in [busy(), throttled, busy()] {
        world.server.answer_instead(reply);
    }
    let drained = world.client.drain(&node("a"), policy()).await.unwrap();
    assert_eq!(drained, Drained::Empty { evictions: 1 });

    // Away for longer than there is time, nothing is known; unless there was a look before.
    world.server.add_pod(PodPlan { listed_ending: None, ..PodPlan::new("web", "a") });
    let mut drain = Drain::new(short());
    let round = world.client.drain_round(&node("a"), &mut drain, Duration::ZERO).await.unwrap();
    assert!(matches!(round, Round::Again(_)));
    (0..1000).for_each(|_| world.server.answer_instead(busy()));
    let error = world.client.drain(&node("a"), short()).await.unwrap_err();
    assert!(matches!(error, Error::Failing { .. }), "{error}");
    let Drained::Late { pods, trouble } = drain.late(Some(error.clone())) else { panic!() };
    assert_eq!((pods[0].why.clone(), trouble), (Why::Ignored, Some(error)));
}

/// A list of pods, of such a node, that goes on.
fn listing(node: &'static str, more: &'static str) -> StandIn {
    StandIn::http(move |asked| {
        assert_eq!(asked.method, "GET", "nothing is evicted");
        let pod =
            json!({"metadata": {"name": "p", "namespace": "n", "uid": "u"}, "spec": {"nodeName": node}});
        let list =
            json!({"kind": "PodList", "apiVersion": "v1", "metadata": {"continue": more}, "items": [pod]});
        Some(StandInReply::json(200, &list))
    })
}

#[tokio::test]
async fn pods_of_other_nodes_are_let_alone() {
    let server = listing("b", "");
    let error = client(&server.url("")).drain(&node("a"), policy()).await.unwrap_err();
    assert!(error.to_string().ends_with("it lists pods of other nodes"), "{error}");
}

#[tokio::test]
async fn a_list_without_end_has_one() {
    let server = listing("a", "again");
    let error = client(&server.url("")).drain(&node("a"), policy()).await.unwrap_err();
    assert!(error.to_string().ends_with("the list of pods has no end"), "{error}");
    assert_eq!(server.asked().len(), 100);
}

/// Between the look and the eviction, another pod has taken the name: then the server says 409.
#[tokio::test]
async fn a_pod_that_was_replaced_is_looked_at_again() {
    let answers = std::sync::Mutex::new(0);
    let server = StandIn::http(move |asked| {
        let mut answered = answers.lock().unwrap();
        *answered += 1;
        let pod = json!({"metadata": {"name": "p", "namespace": "n", "uid": "u",
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "s", "uid": "s",
            "controller": true}]}, "spec": {"nodeName": "a"}});
        let items = if *answered == 1 { json!([pod]) } else { json!([]) };
        let list = json!({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items});
        let conflict = json!({"kind": "Status", "status": "Failure", "reason": "Conflict", "code": 409,
            "message": "Precondition failed: UID in precondition: u, UID in object meta: v"});
        Some(match asked.method.as_str() {
            "POST" => StandInReply::json(409, &conflict),
            _ => StandInReply::json(200, &list),
        })
    });
    let drained = client(&server.url("")).drain(&node("a"), policy()).await.unwrap();
    assert_eq!(drained, Drained::Empty { evictions: 0 });
}
