use fleet::ContainerManagerKind;
use kube::ObjectKind;
use serde_json::{Value, json};
use testkit::ApiServer;

use super::*;
use crate::hands::nodes::tests::{TOKEN, World, at, name, server};

const BUNDLE: &str = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";

fn set(names: &[&str]) -> BTreeSet<NamespaceName> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

fn object() -> BundleObject {
    BundleObject::new(ObjectKind::ConfigMap, "internal-cas", "ca.crt").unwrap()
}

fn labelled(labels: &str, names: &[&str]) -> NamespaceSelector {
    NamespaceSelector { labels: Some(labels.to_owned()), names: set(names) }
}

/// A fleet whose container manager `k8s` is `server`.
async fn world(server: &ApiServer) -> World {
    let world = World::new().await;
    world.define(ContainerManagerKind::Kubernetes, at(server, TOKEN)).await;
    world
}

impl World {
    async fn deliver(&self, bundle: &str, to: &[&str], before: &[&str]) -> Vec<(String, Outcome)> {
        let (object, to, before) = (object(), set(to), set(before));
        let delivery = Delivery { object: &object, bundle, to: &to, before: &before };
        let outcomes = deliver(&self.nodes, &name(), delivery, &Stop::new()).await.unwrap();
        outcomes.into_iter().map(|(namespace, outcome)| (namespace.to_string(), outcome)).collect()
    }
}

fn data(server: &ApiServer, namespace: &str) -> Option<Value> {
    server.held("configmaps", namespace, "internal-cas").map(|held| held["data"]["ca.crt"].clone())
}

fn each(outcomes: &[(&str, Outcome)]) -> Vec<(String, Outcome)> {
    outcomes.iter().map(|(namespace, outcome)| ((*namespace).to_owned(), outcome.clone())).collect()
}

#[tokio::test]
async fn a_bundle_follows_its_namespaces() {
    let server = server();
    let world = world(&server).await;
    for name in ["shop", "web"] {
        server.add_namespace(name, &[("trust", "internal")]);
    }
    server.add_namespace("old", &[("trust", "internal")]);
    server.end_namespace("old");
    let selected = select(&world.nodes, &name(), &labelled("trust=internal", &["lost"])).await.unwrap();
    assert_eq!(selected, set(&["lost", "shop", "web"]));

    use Outcome::{InStep, Withdrawn, Written};
    let both = ["shop", "web"];
    assert_eq!(world.deliver(BUNDLE, &both, &[]).await, each(&[("shop", Written), ("web", Written)]));
    assert_eq!(world.deliver(BUNDLE, &both, &both).await, each(&[("shop", InStep), ("web", InStep)]));
    assert_eq!(server.written(), 2);
    server.hold(
        "configmaps",
        "web",
        "internal-cas",
        &json!({
            "metadata": {"labels": {"app.kubernetes.io/managed-by": "provost"}}, "data": {"ca.crt": "theirs"},
        }),
    );
    assert_eq!(world.deliver(BUNDLE, &both, &both).await, each(&[("shop", InStep), ("web", Written)]));
    assert_eq!(data(&server, "web"), Some(BUNDLE.into()));

    // One of them is not selected any more, one is gone with all that was in it.
    assert_eq!(world.deliver("", &["web"], &both).await, each(&[("shop", Withdrawn), ("web", Written)]));
    assert_eq!((data(&server, "shop"), data(&server, "web")), (None, Some("".into())));
    server.remove_namespace("shop");
    assert_eq!(world.deliver("", &[], &both).await, each(&[("shop", Withdrawn), ("web", Withdrawn)]));
    assert_eq!(data(&server, "web"), None);
}

#[tokio::test]
async fn what_one_namespace_refuses_the_next_one_takes() {
    let server = server();
    let world = world(&server).await;
    for name in ["a", "b", "c", "d"] {
        server.add_namespace(name, &[]);
    }
    server.hold("configmaps", "a", "internal-cas", &json!({"data": {"ca.crt": "theirs"}}));
    server.end_namespace("c");
    server.fail_writes_in("d", true);
    let all = ["a", "b", "c", "d", "lost"];
    let outcomes = world.deliver(BUNDLE, &all, &[]).await;
    let said: Vec<(&str, String)> = outcomes
        .iter()
        .map(|(namespace, outcome)| {
            let said = match outcome {
                Outcome::Failing { because, may_pass } => format!("{because} ({may_pass})"),
                other => format!("{other:?}"),
            };
            (namespace.as_str(), said)
        })
        .collect();
    let url = server.url();
    let expected = [
        (
            "a",
            "there is the ConfigMap `internal-cas` in the namespace `a` already, which does not have the label \
             `app.kubernetes.io/managed-by=provost`: it is not ours, so it was left alone; give the requirer another \
             name, or delete what has this one (false)"
                .to_owned(),
        ),
        ("b", "Written".to_owned()),
        ("c", "the namespace `c` is being deleted (false)".to_owned()),
        (
            "d",
            format!(
                "{url} cannot create configmaps `d/internal-cas` now (500 Internal Server Error): Internal error \
                 occurred: failed calling webhook \"check.example.com\": context deadline exceeded (true)"
            ),
        ),
        (
            "lost",
            "the namespace `lost` does not exist; create it, or take it off the requirer's list (false)".to_owned(),
        ),
    ];
    assert_eq!(said, expected);
    assert_eq!(data(&server, "a"), Some("theirs".into()));
}

#[tokio::test]
async fn many_namespaces_are_all_reached() {
    let server = server();
    let world = world(&server).await;
    let names: Vec<String> = (0..50).map(|number| format!("team-{number:02}")).collect();
    for name in &names {
        server.add_namespace(name, &[("trust", "internal")]);
    }
    // Where one is always at fault, the others do not wait for it.
    server.fail_writes_in("team-00", true);
    let selected = select(&world.nodes, &name(), &labelled("trust", &[])).await.unwrap();
    let selected: Vec<&str> = selected.iter().map(NamespaceName::as_str).collect();
    assert_eq!(selected, names);
    let outcomes = world.deliver(BUNDLE, &selected, &[]).await;
    let written = outcomes.iter().filter(|(_, outcome)| *outcome == Outcome::Written).count();
    assert_eq!((outcomes.len(), written, server.written()), (50, 49, 49));
}

#[tokio::test]
async fn a_server_that_is_away_is_not_asked_about_each() {
    let server = server();
    let world = world(&server).await;
    world.define(ContainerManagerKind::Kubernetes, at(&server, "expired")).await;
    let names: Vec<String> = (0..50).map(|number| format!("team-{number:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let outcomes = world.deliver(BUNDLE, &names, &[]).await;
    assert_eq!((outcomes.len(), server.asked().len()), (50, AT_ONCE));
    for (_, outcome) in outcomes {
        let Outcome::Failing { because, may_pass: false } = outcome else { panic!("{outcome:?}") };
        assert!(because.contains("does not accept our credentials"), "{because}");
    }
    let error = select(&world.nodes, &name(), &labelled("trust", &[])).await.unwrap_err();
    assert!(told(&error).starts_with("the container manager `k8s` did not do as it was asked"), "{error}");
}

#[tokio::test]
async fn a_stop_leaves_the_rest_for_later() {
    let server = server();
    let world = world(&server).await;
    let (object, to, before) = (object(), set(&["web"]), set(&[]));
    let (stop, delivery) = (Stop::new(), Delivery { object: &object, bundle: "", to: &to, before: &before });
    stop.ask();
    let outcomes = deliver(&world.nodes, &name(), delivery, &stop).await.unwrap();
    assert!(outcomes.is_empty() && server.asked().is_empty());
}

#[tokio::test]
async fn what_has_no_namespaces_says_so() {
    let world = World::new().await;
    let error = select(&world.nodes, &name(), &NamespaceSelector::default()).await.unwrap_err();
    assert_eq!(
        (error.to_string(), error.kind()),
        ("the container manager `k8s` does not exist".into(), Kind::NotFound)
    );
    world.define(ContainerManagerKind::Trivial, json!({})).await;
    let error = select(&world.nodes, &name(), &NamespaceSelector::default()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid);
    assert!(told(&error).contains("is of the kind `trivial`, which has no namespaces"), "{error}");
}

/// A reconciler is a future that goes from thread to thread.
#[test]
fn deliveries_can_be_moved() {
    fn moves<T: Send>(_: &T) {}
    let (object, none, stop) = (object(), set(&[]), Stop::new());
    let check = |nodes: &Nodes| {
        let delivery = Delivery { object: &object, bundle: "", to: &none, before: &none };
        moves(&deliver(nodes, &name(), delivery, &stop));
        moves(&select(nodes, &name(), &NamespaceSelector::default()));
    };
    let _ = check;
}
