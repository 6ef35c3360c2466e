//! What an OpenShift or a Kubernetes judges.

use std::fmt::Debug;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use identity::Role;
use identity::sign_in::{MethodConfig, OpenShiftConfig, Roles, Service, TokenReviewConfig};
use serde_json::{Value, json};
use testkit::{Kubernetes, StandIn, StandInReply};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

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

/// What the log was told, by level.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<(Level, String)>>>);

impl Log {
    /// What was told since the last time, above `debug`.
    fn taken(&self) -> Vec<(Level, String)> {
        let mut told = std::mem::take(&mut *self.0.lock().unwrap());
        told.retain(|(level, _)| *level < Level::DEBUG);
        told
    }
}

/// Writes down what a line says.
struct Line<'a>(&'a mut String);

impl Visit for Line<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if ["message", "requests"].contains(&field.name()) {
            *self.0 += &format!("{value:?} ");
        }
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("identity")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = String::new();
        event.record(&mut Line(&mut line));
        self.0.lock().unwrap().push((*event.metadata().level(), line.trim().to_owned()));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// The log is not filled with it, one line for each request.
#[tokio::test]
async fn an_outage_is_told_once_and_when_it_is_over() {
    let log = Log::default();
    let _set = tracing::subscriber::set_default(log.clone());
    let world = World::new();
    let status = Arc::new(AtomicU16::new(403));
    let answered = status.clone();
    let kubernetes = StandIn::http(move |_| {
        let body = json!({"status": {"authenticated": false}}).to_string();
        Some(StandInReply { status: answered.load(Ordering::SeqCst), headers: Vec::new(), body })
    });
    let directory = tempfile::tempdir().unwrap();
    let token_file = directory.path().join("token");
    std::fs::write(&token_file, "ours").unwrap();
    let stack = world.stack(vec![MethodConfig::TokenReview(TokenReviewConfig {
        service: Service::new(kubernetes.url("/review").parse().unwrap()),
        token_file,
        audiences: Vec::new(),
        roles: Roles::everybody(Role::Operator),
    })]);
    for (now, level, said) in [
        (403, Some(Level::ERROR), "Kubernetes does not let us review tokens"),
        (403, None, ""),
        (500, Some(Level::WARN), "Kubernetes could not be asked for a token review"),
        (403, None, ""),
        (500, None, ""),
        (201, Some(Level::INFO), "a service that judges sign-ins does so again 10"),
        (201, None, ""),
        (500, Some(Level::WARN), "Kubernetes could not be asked for a token review"),
    ] {
        status.store(now, Ordering::SeqCst);
        let _ = log.taken();
        let expected = if now == 201 { "denied" } else { "unavailable" };
        for _ in 0..2 {
            assert_eq!(bearer("theirs").said(&stack).await, expected);
        }
        let mut told = log.taken();
        // What is told of each request that was wrong is not about the service.
        told.retain(|(_, line)| !line.contains("a password or a token was wrong"));
        let levels: Vec<_> = told.iter().map(|(level, _)| *level).collect();
        assert_eq!(levels, level.into_iter().collect::<Vec<_>>(), "{now}: {told:?}");
        assert!(told.iter().all(|(_, line)| line.contains(said)), "{now}: {told:?}");
    }
}
