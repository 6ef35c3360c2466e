//! What an OpenShift or a Kubernetes judges.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use identity::Role;
use identity::sign_in::{MethodConfig, OpenShiftConfig, Roles, Service, TokenReviewConfig};
use serde_json::{Value, json};
use testkit::{Kubernetes, StandIn, StandInReply};

use crate::world::{Request, World};

fn openshift(url: &str) -> OpenShiftConfig {
    OpenShiftConfig {
        service: Service::new(url.parse().unwrap()),
        roles: Roles::everybody(Role::Administrator),
    }
}

fn bearer(token: &str) -> Request {
    Request::of("/api/v0/hosts").with("authorization", &format!("Bearer {token}"))
}

#[tokio::test]
async fn openshift_tells_whose_a_token_is() {
    let world = World::new();
    let openshift_runs = Kubernetes::http();
    openshift_runs.set_token("good", "alice", &["staff"], &[]);
    let stack = world.stack(vec![MethodConfig::OpenShift(openshift(&openshift_runs.user()))]);
    assert_eq!(bearer("good").said(&stack).await, "OpenShift user alice: administrator");
    let asked = &openshift_runs.asked()[0];
    assert_eq!((asked.method.as_str(), asked.headers["authorization"].as_str()), ("GET", "Bearer good"));
    for _ in 0..10 {
        // Tokens are not guessed, so nobody is slowed.
        assert_eq!(bearer("bad").said(&stack).await, "denied");
    }
    let odd = Request::of("/").with("authorization", "bearer: good");
    assert_eq!(odd.said(&stack).await, "OpenShift user alice: administrator");
    assert_eq!(openshift_runs.asked().len(), 11, "one and the same token is remembered");

    openshift_runs.revoke("good");
    world.pass(9);
    assert_eq!(bearer("good").said(&stack).await, "OpenShift user alice: administrator");
    world.pass(1);
    assert_eq!(bearer("good").said(&stack).await, "denied");

    let mut config = openshift(&openshift_runs.user());
    config.roles = Roles { others: None, ..config.roles };
    config.roles.groups.insert("staff".into(), Role::Operator);
    let stack = world.stack(vec![MethodConfig::OpenShift(config)]);
    openshift_runs.set_token("alices", "alice", &["staff"], &[]);
    openshift_runs.set_token("bobs", "bob", &[], &[]);
    assert_eq!(bearer("alices").said(&stack).await, "OpenShift user alice: operator");
    assert_eq!(bearer("bobs").said(&stack).await, "denied");
}

/// Any page that a token opens will do, as with the original.
#[tokio::test]
async fn any_page_lets_in_whoever_may_read_it() {
    let world = World::new();
    for (status, kind, expected) in [
        (200, "NodeList", "an OpenShift user without a name: administrator"),
        (200, "User", "OpenShift user page: administrator"),
        (201, "User", "denied"),
        (403, "User", "denied"),
        (500, "User", "unavailable"),
        (429, "User", "unavailable"),
    ] {
        let reply = StandInReply::json(status, &json!({"kind": kind, "metadata": {"name": "page"}}));
        let page = StandIn::http(move |_| Some(reply.clone()));
        let stack = world.stack(vec![MethodConfig::OpenShift(openshift(&page.url("/api/v1/nodes")))]);
        assert_eq!(bearer("good").said(&stack).await, expected, "{status} {kind}");
    }
}

#[tokio::test]
async fn a_web_token_is_not_remembered_beyond_its_end() {
    let world = World::new();
    let openshift_runs = Kubernetes::http();
    let claims = json!({"exp": world.clock.now().as_unix() + 4});
    let token = format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims.to_string()));
    openshift_runs.set_token(&token, "alice", &[], &[]);
    let stack = world.stack(vec![MethodConfig::OpenShift(openshift(&openshift_runs.user()))]);
    for (pass, times) in [(0, 1), (3, 1), (1, 2)] {
        world.pass(pass);
        bearer(&token).said(&stack).await;
        assert_eq!(openshift_runs.asked().len(), times, "after {pass} s more");
    }
}

#[tokio::test]
async fn kubernetes_reviews_tokens() {
    let world = World::new();
    let kubernetes = Kubernetes::http();
    let sa = "system:serviceaccount:fleet:host";
    kubernetes.set_token("good", sa, &["system:serviceaccounts"], &[Kubernetes::AUDIENCE]);
    kubernetes.set_token("ours", sa, &["system:serviceaccounts"], &["provost"]);
    let directory = tempfile::tempdir().unwrap();
    let token_file = directory.path().join("token");
    std::fs::write(&token_file, format!("{}\n", Kubernetes::REVIEWER)).unwrap();
    let mut roles = Roles { others: None, ..Roles::everybody(Role::Reader) };
    roles.groups.insert("system:serviceaccounts".into(), Role::Registrar);
    let config = |audiences: &[&str]| TokenReviewConfig {
        service: Service { cache_seconds: 0, ..Service::new(kubernetes.reviews().parse().unwrap()) },
        token_file: token_file.clone(),
        audiences: audiences.iter().map(|&audience| audience.to_owned()).collect(),
        roles: roles.clone(),
    };
    let found = format!("Kubernetes user {sa}: registrar");
    for (audiences, token, expected) in [
        (&[][..], "good", found.as_str()),
        (&[], "bad", "denied"),
        (&[], "ours", "denied"),
        (&["provost"], "ours", &found),
        (&["provost"], "good", "denied"),
    ] {
        let stack = world.stack(vec![MethodConfig::TokenReview(config(audiences))]);
        assert_eq!(bearer(token).said(&stack).await, expected, "{audiences:?} {token}");
    }
    let asked: Value = serde_json::from_slice(&kubernetes.asked()[0].body).unwrap();
    let review = json!({
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": "good"},
    });
    assert_eq!(asked, review);

    // Our own token is another one now, and then none.
    let stack = world.stack(vec![MethodConfig::TokenReview(config(&[]))]);
    for (ours, expected) in [("expired", "unavailable"), (Kubernetes::REVIEWER, &found), ("", "unavailable")]
    {
        std::fs::write(&token_file, ours).unwrap();
        assert_eq!(bearer("good").said(&stack).await, expected, "{ours:?}");
    }
}
