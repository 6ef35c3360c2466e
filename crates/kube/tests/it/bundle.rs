//! Bundles of certificates in ConfigMaps and Secrets.

use base::{Explain as _, Kind};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kube::{BundleError, BundleObject, BundlePlace, Change, Error, NamespaceSelector, ObjectKind};
use serde_json::{Value, json};
use testkit::{StandInReply, openssl_ok};

use crate::world::{World, client, impatient, says};

const BUNDLE: &str = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
const OTHER: &str = "-----BEGIN CERTIFICATE-----\nBBBB\n-----END CERTIFICATE-----\n";
const LABEL: &str = "app.kubernetes.io/managed-by";
const HASH: &str = "provost/bundle-sha256";

fn place(kind: ObjectKind) -> BundlePlace {
    BundleObject::new(kind, "internal-cas", "ca.crt").unwrap().in_namespace("web".parse().unwrap())
}

/// An API server with the namespace, and what to ask it.
fn world() -> World {
    let world = World::new();
    world.server.add_namespace("web", &[]);
    world
}

impl World {
    fn held(&self) -> Option<Value> {
        self.server.held("configmaps", "web", "internal-cas")
    }

    fn data(&self) -> Value {
        self.held().unwrap()["data"].clone()
    }

    fn hold(&self, more: &Value) {
        self.server.hold("configmaps", "web", "internal-cas", more);
    }

    /// The methods of what was asked since the last time.
    fn methods(&self, from: usize) -> Vec<String> {
        self.server.asked().drain(from..).map(|asked| asked.method).collect()
    }
}

/// One of ours, as somebody else left it.
fn ours(data: &Value) -> Value {
    json!({"metadata": {"labels": {LABEL: "provost"}}, "data": data})
}

#[tokio::test]
async fn a_bundle_is_put_once_and_mended_when_it_was_changed() {
    let (world, place) = (world(), place(ObjectKind::ConfigMap));
    assert_eq!(world.client.put_bundle(&place, BUNDLE).await, Ok(Change::Made));
    let held = world.held().unwrap();
    assert_eq!(held["data"], json!({"ca.crt": BUNDLE}));
    assert_eq!(held["metadata"]["labels"], json!({LABEL: "provost"}));
    assert_eq!(held["metadata"]["managedFields"][0]["manager"], "provost-trust");
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("bundle"), BUNDLE).unwrap();
    let digest = openssl_ok(folder.path(), &["dgst", "-sha256", "-r", "bundle"]);
    let digest = digest.split(' ').next().unwrap();
    assert_eq!(held["metadata"]["annotations"], json!({HASH: digest}));

    // What is so already is looked at and nothing else.
    let before = world.server.asked().len();
    assert_eq!(world.client.put_bundle(&place, BUNDLE).await, Ok(Change::Unneeded));
    assert_eq!((world.methods(before), world.server.written()), (vec!["GET".to_owned()], 1));

    // Another bundle, an empty one, and what others made of it.
    for bundle in [OTHER, "", BUNDLE] {
        assert_eq!(world.client.put_bundle(&place, bundle).await, Ok(Change::Made));
        assert_eq!(world.data(), json!({"ca.crt": bundle}));
    }
    let before = world.held().unwrap();
    for changed in [
        json!({"data": {"ca.crt": "theirs"}}),
        json!({"data": {"ca.crt": BUNDLE, "more.crt": OTHER}}),
        json!({"data": {"ca.crt": BUNDLE}, "binaryData": {"more.crt": "AAAA"}}),
        json!({"data": {}}),
        json!({}),
    ] {
        let mut changed = changed;
        changed["metadata"] = json!({"labels": {LABEL: "provost", "team": "web"},
            "annotations": {HASH: digest, "note": "n"}});
        world.hold(&changed);
        assert_eq!(world.client.put_bundle(&place, BUNDLE).await, Ok(Change::Made), "{changed}");
        let held = world.held().unwrap();
        assert_eq!((&held["data"], held.get("binaryData")), (&before["data"], None));
        // What else others say of it is theirs.
        assert_eq!(held["metadata"]["labels"]["team"], "web");
        assert_eq!(held["metadata"]["annotations"], json!({HASH: digest, "note": "n"}));
        assert_eq!(held["metadata"]["uid"], before["metadata"]["uid"]);
    }
}

#[tokio::test]
async fn a_secret_holds_the_same() {
    let (world, place) = (world(), place(ObjectKind::Secret));
    assert_eq!(world.client.put_bundle(&place, BUNDLE).await, Ok(Change::Made));
    assert_eq!(world.client.put_bundle(&place, BUNDLE).await, Ok(Change::Unneeded));
    let held = world.server.held("secrets", "web", "internal-cas").unwrap();
    assert_eq!(held["type"], "Opaque");
    assert_eq!(STANDARD.decode(held["data"]["ca.crt"].as_str().unwrap()).unwrap(), BUNDLE.as_bytes());
    assert_eq!(world.client.put_bundle(&place, OTHER).await, Ok(Change::Made));
    assert_eq!(world.client.remove_bundle(&place).await, Ok(Change::Made));
    assert_eq!(world.server.held("secrets", "web", "internal-cas"), None);
    assert_eq!(world.held(), None, "a ConfigMap is another thing");
}

#[tokio::test]
async fn what_is_not_ours_is_left_alone() {
    let (world, place) = (world(), place(ObjectKind::ConfigMap));
    for labels in [json!({}), json!({LABEL: "Helm"}), json!({"managed-by": "provost"})] {
        world.hold(&json!({"metadata": {"labels": labels}, "data": {"ca.crt": "theirs"}}));
        let before = world.held();
        for error in [
            world.client.put_bundle(&place, BUNDLE).await.unwrap_err(),
            world.client.remove_bundle(&place).await.unwrap_err(),
        ] {
            assert_eq!(
                error.to_string(),
                "there is the ConfigMap `internal-cas` in the namespace `web` already, which does not have the label \
                 `app.kubernetes.io/managed-by=provost`: it is not ours, so it was left alone"
            );
            assert_eq!((error.kind(), error.may_pass()), (Kind::Conflict, false));
        }
        assert_eq!((world.held(), world.server.written()), (before, 0));
    }
}

#[tokio::test]
async fn who_comes_in_between_is_not_written_over() {
    let (world, place) = (world(), place(ObjectKind::ConfigMap));
    let meanwhile = |more: Option<&Value>| {
        world.server.hold_meanwhile("configmaps", "web", "internal-cas", more);
    };
    // Somebody else's comes to be after we saw that there is none, or takes the place of ours.
    let theirs = json!({"data": {"ca.crt": "theirs"}});
    for _ in 0..2 {
        meanwhile(Some(&theirs));
        let error = world.client.put_bundle(&place, BUNDLE).await.unwrap_err();
        assert!(matches!(error, BundleError::NotOurs { .. }), "{error}");
        assert_eq!(world.data(), json!({"ca.crt": "theirs"}));
        world.hold(&ours(&json!({})));
    }
    meanwhile(Some(&theirs));
    let error = world.client.remove_bundle(&place).await.unwrap_err();
    assert!(matches!(error, BundleError::NotOurs { .. }), "{error}");
    assert_eq!(world.data(), json!({"ca.crt": "theirs"}));

    // Ours is changed, or goes, while it is being changed.
    world.hold(&ours(&json!({"ca.crt": "a"})));
    meanwhile(Some(&ours(&json!({"ca.crt": "b"}))));
    assert_eq!(world.client.put_bundle(&place, BUNDLE).await, Ok(Change::Made));
    assert_eq!(world.data(), json!({"ca.crt": BUNDLE}));
    meanwhile(None);
    assert_eq!(world.client.put_bundle(&place, OTHER).await, Ok(Change::Made));
    assert_eq!(world.data(), json!({"ca.crt": OTHER}));
    meanwhile(Some(&ours(&json!({"ca.crt": "c"}))));
    assert_eq!(world.client.remove_bundle(&place).await, Ok(Change::Made));
    assert_eq!(world.held(), None);
    meanwhile(Some(&ours(&json!({"ca.crt": "d"}))));
    assert_eq!(world.client.put_bundle(&place, BUNDLE).await, Ok(Change::Made));
    meanwhile(None);
    assert_eq!(world.client.remove_bundle(&place).await, Ok(Change::Made));

    // Who never lets go is given up on, for now.
    world.hold(&ours(&json!({"ca.crt": "0"})));
    for round in 1..=4 {
        meanwhile(Some(&ours(&json!({"ca.crt": round.to_string()}))));
    }
    let error = world.client.put_bundle(&place, BUNDLE).await.unwrap_err();
    assert!(matches!(error, BundleError::Contended { .. }) && error.may_pass(), "{error}");
}

#[tokio::test]
async fn what_was_written_is_read_back() {
    let (world, place) = (world(), place(ObjectKind::ConfigMap));
    world.client.put_bundle(&place, BUNDLE).await.unwrap();
    let read = world.held().unwrap();
    world.client.put_bundle(&place, OTHER).await.unwrap();
    let written = world.server.written();
    // What is read after the write is what was there before it, as when somebody at once puts it back.
    world.server.answer_instead(StandInReply::json(200, &world.held().unwrap()));
    world.server.answer_instead(StandInReply::json(200, &read));
    world.server.answer_instead(StandInReply::json(200, &world.held().unwrap()));
    let error = world.client.put_bundle(&place, BUNDLE).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the ConfigMap `internal-cas` in the namespace `web` was written, and has something else in it when it is read back"
    );
    assert!(error.may_pass() && world.server.written() == written);
}

#[tokio::test]
async fn a_bundle_that_no_object_holds_is_not_sent() {
    let (world, place) = (world(), place(ObjectKind::ConfigMap));
    let longest = "a".repeat(1 << 20);
    let error = world.client.put_bundle(&place, &format!("{longest}a")).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the bundle has 1048577 bytes, and an object holds 1048576 at most, so the ConfigMap `internal-cas` in the \
         namespace `web` was not written"
    );
    assert!(error.kind() == Kind::TooLarge && world.server.asked().is_empty());
    for kind in [ObjectKind::ConfigMap, ObjectKind::Secret] {
        assert_eq!(world.client.put_bundle(&self::place(kind), &longest).await, Ok(Change::Made), "{kind:?}");
    }
}

#[tokio::test]
async fn where_there_is_no_namespace_nothing_is_put() {
    let (world, place) = (World::new(), place(ObjectKind::ConfigMap));
    let error = world.client.put_bundle(&place, BUNDLE).await.unwrap_err();
    assert_eq!(
        (error.to_string().as_str(), error.kind()),
        ("the namespace `web` does not exist", Kind::NotFound)
    );
    assert_eq!(world.client.remove_bundle(&place).await, Ok(Change::Unneeded));
    world.server.add_namespace("web", &[]);
    world.client.put_bundle(&place, BUNDLE).await.unwrap();
    world.server.end_namespace("web");
    // What is there may still be changed, and taken away; nothing new comes.
    assert_eq!(world.client.put_bundle(&place, OTHER).await, Ok(Change::Made));
    assert_eq!(world.client.remove_bundle(&place).await, Ok(Change::Made));
    let error = world.client.put_bundle(&place, BUNDLE).await.unwrap_err();
    assert_eq!(error.to_string(), "the namespace `web` is being deleted");
}

#[tokio::test]
async fn what_goes_is_seen_to_be_gone() {
    let (world, place) = (world(), place(ObjectKind::ConfigMap));
    assert_eq!(world.client.remove_bundle(&place).await, Ok(Change::Unneeded));
    world.client.put_bundle(&place, BUNDLE).await.unwrap();
    assert_eq!(world.client.remove_bundle(&place).await, Ok(Change::Made));
    assert_eq!(world.client.remove_bundle(&place).await, Ok(Change::Unneeded));
    let mut kept = ours(&json!({"ca.crt": BUNDLE}));
    kept["metadata"]["finalizers"] = json!(["example.com/backup"]);
    world.hold(&kept);
    let error = world.client.remove_bundle(&place).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the ConfigMap `internal-cas` in the namespace `web` was deleted, and is still there, kept by the finalizers \
         example.com/backup"
    );
    assert!(error.may_pass() && world.held().is_some());
}

#[tokio::test]
async fn what_may_not_be_changed_says_so() {
    let (world, place) = (world(), place(ObjectKind::ConfigMap));
    let mut fixed = ours(&json!({"ca.crt": OTHER}));
    fixed["immutable"] = true.into();
    world.hold(&fixed);
    let error = world.client.put_bundle(&place, BUNDLE).await.unwrap_err();
    assert!(error.to_string().contains("field is immutable when `immutable` is set"), "{error}");
    for (verb, calls) in [("get", "get"), ("create", "create"), ("update", "update"), ("delete", "delete")] {
        let world = self::world();
        if verb != "create" {
            world.hold(&ours(&json!({})));
        }
        world.server.forbid(verb, "configmaps");
        let error = match verb {
            "delete" => world.client.remove_bundle(&place).await.unwrap_err(),
            _ => world.client.put_bundle(&place, BUNDLE).await.unwrap_err(),
        };
        let expected = format!("does not let us {calls} configmaps `web/internal-cas`");
        assert!(error.to_string().contains(&expected), "{error}");
        let help = format!("bind our user to a cluster role with the verb `{verb}` on `configmaps`");
        assert_eq!(error.help(), Some(help));
    }
}

fn names(all: &std::collections::BTreeSet<kube::NamespaceName>) -> Vec<&str> {
    all.iter().map(kube::NamespaceName::as_str).collect()
}

fn selector(labels: Option<&str>, names: &[&str]) -> NamespaceSelector {
    let names = names.iter().map(|name| name.parse().unwrap()).collect();
    NamespaceSelector { labels: labels.map(str::to_owned), names }
}

#[tokio::test]
async fn namespaces_are_selected_by_labels_and_by_name() {
    let world = World::new();
    for (name, labels) in [
        ("default", &[][..]),
        ("kube-system", &[]),
        ("web", &[("trust", "internal"), ("tier", "front")]),
        ("shop", &[("trust", "internal")]),
        ("old", &[("trust", "internal")]),
        ("going", &[]),
    ] {
        world.server.add_namespace(name, labels);
    }
    world.server.end_namespace("old");
    world.server.end_namespace("going");
    for (labels, named, there, ending, absent) in [
        (None, &[][..], &[][..], &[][..], &[][..]),
        (Some("trust=internal"), &[], &["shop", "web"], &["old"], &[]),
        (Some("trust in (internal),tier!=front"), &[], &["shop"], &["old"], &[]),
        (
            Some("tier=front"),
            &["web", "default", "gone", "going"],
            &["default", "web"],
            &["going"],
            &["gone"],
        ),
        (None, &["web"], &["web"], &[], &[]),
        (
            Some("kubernetes.io/metadata.name notin (kube-system)"),
            &[],
            &["default", "shop", "web"],
            &["going", "old"],
            &[],
        ),
        (Some(""), &[], &["default", "kube-system", "shop", "web"], &["going", "old"], &[]),
        (Some("trust=nothing"), &[], &[], &[], &[]),
    ] {
        let found = world.client.namespaces(&selector(labels, named)).await.unwrap();
        let found = [names(&found.there), names(&found.ending), names(&found.absent)];
        assert_eq!(found, [there, ending, absent].map(<[&str]>::to_vec), "{labels:?} {named:?}");
    }
    let error = world.client.namespaces(&selector(Some("a=("), &[])).await.unwrap_err();
    assert!(matches!(&error, Error::Refused { .. }), "{error}");
    assert!(error.to_string().contains("unable to parse requirement"), "{error}");
}

#[tokio::test]
async fn many_namespaces_come_page_by_page() {
    let world = World::new();
    for number in 0..600 {
        world.server.add_namespace(&format!("team-{number:03}"), &[("trust", "internal")]);
    }
    let all = selector(Some("trust=internal"), &[]);
    assert_eq!(world.client.namespaces(&all).await.unwrap().there.len(), 600);
    assert_eq!(world.server.asked().len(), 3);
    // A list whose rest has expired is begun again, and not without end.
    world.server.expire_lists(2);
    assert_eq!(world.client.namespaces(&all).await.unwrap().there.len(), 600);
    world.server.expire_lists(100);
    world.client.namespaces(&all).await.unwrap_err();
    world.server.expire_lists(0);
    world.server.page_at_most(1);
    let error = world.client.namespaces(&all).await.unwrap_err();
    assert!(error.to_string().ends_with("the list of namespaces has no end"), "{error}");
}

#[tokio::test]
async fn who_is_no_api_server_is_not_believed() {
    let place = place(ObjectKind::ConfigMap);
    let page = |body: &Value| {
        let body = body.to_string();
        let length = body.len();
        format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}").into_bytes()
    };
    let named = |name: &str, namespace: &str, version: &Value| {
        json!({"metadata": {"name": name, "namespace": namespace, "uid": "u", "resourceVersion": version,
            "labels": {LABEL: "provost"}}})
    };
    for (body, expected) in [
        (json!({}), "it speaks of another object"),
        (named("other", "web", &json!("1")), "it speaks of another object"),
        (named("internal-cas", "other", &json!("1")), "it speaks of another object"),
        (named("internal-cas", "web", &json!("")), "it does not say which version that is"),
        (named("internal-cas", "web", &json!(7)), "it does not say which version that is"),
    ] {
        let client = client(&says(page(&body), true));
        for error in [
            client.put_bundle(&place, BUNDLE).await.unwrap_err(),
            client.remove_bundle(&place).await.unwrap_err(),
        ] {
            assert!(error.to_string().ends_with(expected), "{body} {error}");
        }
    }
    let other = json!({"metadata": {"name": "Other"}, "items": [{"metadata": {"name": "a_b"}}]});
    let client = client(&says(page(&other), true));
    for (selector, expected) in [
        (selector(Some("a=b"), &[]), "it lists what has no namespace's name"),
        (selector(None, &["web"]), "it speaks of another namespace"),
    ] {
        let error = client.namespaces(&selector).await.unwrap_err();
        assert!(error.to_string().ends_with(expected), "{error}");
    }
    let silent = impatient(&says(Vec::new(), false));
    let error = silent.put_bundle(&place, BUNDLE).await.unwrap_err();
    assert!(matches!(error, BundleError::Asked(Error::TimedOut { .. })) && error.may_pass(), "{error}");
}

/// Two owners who want the same object do not write over each other, and neither takes away what is the other's.
#[tokio::test]
async fn what_is_another_owners_is_left_alone() {
    let world = world();
    let object = || BundleObject::new(ObjectKind::ConfigMap, "internal-cas", "ca.crt").unwrap();
    let [one, other] = ["shop", "web"].map(|owner| object().of(owner).in_namespace("web".parse().unwrap()));
    // What was put there before anybody said whose it is, is taken over.
    world.hold(&ours(&json!({"ca.crt": BUNDLE})));
    assert_eq!(world.client.put_bundle(&one, BUNDLE).await, Ok(Change::Made));
    assert_eq!(world.held().unwrap()["metadata"]["annotations"]["provost/requirer"], "shop");
    assert_eq!(world.client.put_bundle(&one, BUNDLE).await, Ok(Change::Unneeded));

    let refused = world.client.put_bundle(&other, OTHER).await.unwrap_err();
    assert!(
        refused.to_string().ends_with("already, for the requirer `shop`, so it was left alone"),
        "{refused}"
    );
    assert_eq!((refused.kind(), refused.may_pass()), (Kind::Conflict, false));
    assert_eq!(world.client.remove_bundle(&other).await, Ok(Change::Unneeded));
    assert_eq!(world.data(), json!({"ca.crt": BUNDLE}));

    assert_eq!(world.client.remove_bundle(&one).await, Ok(Change::Made));
    assert_eq!(world.client.put_bundle(&other, OTHER).await, Ok(Change::Made));
    assert_eq!(world.held().unwrap()["metadata"]["annotations"]["provost/requirer"], "web");
}

/// Two houses may have requirers and objects of the same names in one cluster.
#[tokio::test]
async fn what_another_house_put_there_is_left_alone() {
    let world = world();
    let object = || BundleObject::new(ObjectKind::ConfigMap, "internal-cas", "ca.crt").unwrap().of("web");
    let [one, other] = ["00ff", "11ee"].map(|house| object().by(house).in_namespace("web".parse().unwrap()));
    // What was put there before anybody said by whom, is taken over.
    let before = object().in_namespace("web".parse().unwrap());
    assert_eq!(world.client.put_bundle(&before, BUNDLE).await, Ok(Change::Made));
    assert_eq!(world.client.put_bundle(&one, BUNDLE).await, Ok(Change::Made));
    assert_eq!(world.held().unwrap()["metadata"]["annotations"]["provost/house"], "00ff");
    assert_eq!(world.client.put_bundle(&one, BUNDLE).await, Ok(Change::Unneeded));
    let refused = world.client.put_bundle(&other, OTHER).await.unwrap_err();
    assert!(matches!(&refused, BundleError::AnotherHouse { house, .. } if house == "00ff"), "{refused}");
    assert_eq!((refused.kind(), refused.may_pass()), (Kind::Conflict, false));
    assert_eq!(world.client.remove_bundle(&other).await, Ok(Change::Unneeded));
    assert_eq!(world.data(), json!({"ca.crt": BUNDLE}));
    // Once it is gone, the other one may have it.
    assert_eq!(world.client.remove_bundle(&one).await, Ok(Change::Made));
    assert_eq!(world.client.put_bundle(&other, OTHER).await, Ok(Change::Made));
    assert_eq!(world.held().unwrap()["metadata"]["annotations"]["provost/house"], "11ee");
    assert_eq!(world.client.put_bundle(&one, BUNDLE).await.unwrap_err().kind(), Kind::Conflict);
}
