//! The calls about a node.

use std::time::Duration;

use base::{Clock, Explain as _, Kind, Secret};
use http::StatusCode;
use kube::{Change, Client, Error, Readiness, Settings};
use serde_json::{Value, json};
use testkit::{StandInReply, wait_until};

use crate::world::{TOKEN, World, client, node, settings};

#[tokio::test]
async fn a_node_is_registered_once() {
    let world = World::new();
    let web = node("web-1.example.com");
    assert!(!world.client.node_registered(&web).await.unwrap());
    assert_eq!(world.client.register(&web).await, Ok(Change::Made));
    assert_eq!(world.client.register(&web).await, Ok(Change::Unneeded));
    assert!(world.client.node_registered(&web).await.unwrap());
    let asked = world.server.asked().remove(1);
    let body: Value = serde_json::from_slice(&asked.body).unwrap();
    assert_eq!(body, json!({"kind": "Node", "apiVersion": "v1", "metadata": {"name": "web-1.example.com"}}));
    assert_eq!(asked.headers["content-type"], "application/json");
    assert_eq!(asked.headers["authorization"], format!("Bearer {TOKEN}"));
    let found = world.client.node(&web).await.unwrap();
    assert_eq!((found.readiness, found.boot_id), (Readiness::NeverReported, None));
}

#[tokio::test]
async fn a_node_that_is_gone_is_removed() {
    let world = World::new();
    let web = node("10.2.0.1");
    assert_eq!(world.client.remove(&web).await, Ok(Change::Unneeded));
    world.client.register(&web).await.unwrap();
    assert_eq!(world.client.remove(&web).await, Ok(Change::Made));
    assert_eq!(world.client.remove(&web).await, Ok(Change::Unneeded));
    assert_eq!(world.server.node("10.2.0.1"), None);
    let error = world.client.node(&web).await.unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);
    assert_eq!(error.to_string(), format!("{} has no nodes `10.2.0.1`", world.server.url()));
}

#[tokio::test]
async fn a_node_says_how_it_is() {
    let world = World::new();
    let web = node("web");
    world.server.add_node("web", "boot-1");
    let found = world.client.node(&web).await.unwrap();
    assert_eq!((found.readiness, found.boot_id.as_deref()), (Readiness::Ready, Some("boot-1")));
    world.server.report("web", "False", "boot-2");
    let found = world.client.node(&web).await.unwrap();
    let why = "container runtime network not ready".to_owned();
    assert_eq!((found.readiness, found.boot_id.as_deref()), (Readiness::NotReady { why }, Some("boot-2")));
    world.server.report("web", "Unknown", "boot-2");
    let found = world.client.node(&web).await.unwrap();
    assert_eq!(found.readiness.to_string(), "it has stopped reporting: Kubelet stopped posting node status.");
    assert_eq!(world.client.node_object(&web).await.unwrap(), world.server.node("web").unwrap());
}

#[tokio::test]
async fn a_node_is_cordoned_and_uncordoned_as_often_as_one_likes() {
    let world = World::new();
    let web = node("web");
    world.server.add_node("web", "boot-1");
    let version = || world.server.node("web").unwrap()["metadata"]["resourceVersion"].clone();
    let mut versions = vec![version()];
    for is_cordoned in [true, true, false, false] {
        let found = if is_cordoned {
            world.client.cordon(&web).await.unwrap()
        } else {
            world.client.uncordon(&web).await.unwrap()
        };
        assert_eq!(found.is_unschedulable, is_cordoned);
        assert_eq!(world.client.node(&web).await.unwrap().is_unschedulable, is_cordoned);
        versions.push(version());
    }
    versions.dedup();
    assert_eq!(versions.len(), 3, "what is so already does not change");
    assert_eq!(world.bodies("PATCH")[0], r#"{"spec":{"unschedulable":true}}"#);
    let error = world.client.cordon(&node("other")).await.unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error}");
}

#[tokio::test]
async fn of_the_url_only_scheme_host_and_port_are_used() {
    let world = World::new();
    world.server.add_node("web", "boot-1");
    let client = client(&format!("{}/api/v1/?x=y", world.server.url()));
    assert!(client.node_registered(&node("web")).await.unwrap());
}

#[tokio::test]
async fn what_is_forbidden_is_named() {
    for (verb, resource) in
        [("get", "nodes"), ("create", "nodes"), ("patch", "nodes"), ("delete", "nodes"), ("list", "pods")]
    {
        let world = World::new();
        world.server.add_node("web", "boot-1");
        world.server.forbid(verb, resource);
        let (client, web) = (&world.client, node("web"));
        let error = match (verb, resource) {
            ("get", _) => client.node(&web).await.unwrap_err(),
            ("create", _) => client.register(&web).await.unwrap_err(),
            ("patch", _) => client.cordon(&web).await.unwrap_err(),
            ("delete", _) => client.remove(&web).await.unwrap_err(),
            _ => client.pods(&web).await.unwrap_err(),
        };
        let text = error.to_string();
        let said = format!("User \"provost\" cannot {verb} resource \"{resource}\" in API group \"\"");
        assert!(text.contains(&format!("does not let us {verb} {resource} `web`")), "{text}");
        assert!(text.contains(&said), "{text}");
        let help = format!("bind our user to a cluster role with the verb `{verb}` on `{resource}`");
        assert_eq!(error.help(), Some(help));
        assert!(!error.may_pass());
    }
}

#[tokio::test]
async fn who_is_nobody_is_told_so_without_the_token() {
    let world = World::new();
    let mut settings = settings(&world.server.url());
    for token in [Some("wr0ng"), None] {
        settings.credentials.token = token.map(|token| Secret::new(token.to_owned()));
        let client = Client::new(&settings, &Clock::system()).unwrap();
        let error = client.register(&node("web")).await.unwrap_err();
        assert!(matches!(error, Error::Unauthenticated { .. }), "{error}");
        let all = format!("{error} {error:?} {client:?} {settings:?}");
        assert!(!all.contains("wr0ng"), "{all}");
    }
}

#[tokio::test]
async fn a_server_that_repeats_our_token_does_not_get_it_into_an_error() {
    let world = World::new();
    for status in [400, 403, 409, 422, 429, 500, 503] {
        let message = format!("what is {TOKEN}?");
        let body = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message,
            "metadata": {}, "code": status});
        world.server.answer_instead(StandInReply::json(status, &body));
        // 409 is as good as done where something is made.
        let error = world.client.cordon(&node("web")).await.unwrap_err();
        let all = format!("{error} {error:?}");
        assert!(all.contains("what is (our token)?") && !all.contains(TOKEN), "{status}: {all}");
        assert_eq!(error.may_pass(), status == 429 || status >= 500, "{status}");
    }
}

#[tokio::test]
async fn refusals_say_what_the_server_says() {
    let world = World::new();
    let too_long = "a-".repeat(40) + "a";
    // Longer parts than DNS has are names to Kubernetes.
    assert_eq!(world.client.register(&node(&too_long)).await, Ok(Change::Made));
    let reply = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": 422,
        "reason": "Invalid", "message": "Node \"web\" is invalid"});
    world.server.answer_instead(StandInReply::json(422, &reply));
    let error = world.client.register(&node("web")).await.unwrap_err();
    assert!(matches!(&error, Error::Refused { status: StatusCode::UNPROCESSABLE_ENTITY, .. }), "{error:?}");
    let url = world.server.url();
    let expected =
        format!("{url} refuses to create nodes `web` (422 Unprocessable Entity): Node \"web\" is invalid");
    assert_eq!((error.to_string(), error.kind()), (expected, Kind::Invalid));
    // What stands before an API server may say no in its own words.
    let busy = StandInReply { status: 429, headers: vec![("Retry-After", "7".into())], body: "busy".into() };
    world.server.answer_instead(busy);
    let error = world.client.register(&node("web")).await.unwrap_err();
    let seven = Duration::from_secs(7);
    assert!(matches!(&error, Error::Failing { retry_after, .. } if *retry_after == seven), "{error:?}");
}

const PAUSE: Duration = Duration::from_millis(5);

#[test]
fn a_node_is_waited_for_until_it_is_ready_in_this_boot() {
    let world = World::new();
    world.server.add_node("web", "before");
    let found = std::thread::scope(|scope| {
        scope.spawn(|| {
            // Ready from before, then away, then in the new boot, not ready at once.
            for (ready, boot_id) in [("Unknown", "before"), ("False", "after"), ("True", "after")] {
                let looks = world.server.asked().len() + 3;
                wait_until("three looks at the node", || world.server.asked().len() >= looks);
                world.server.report("web", ready, boot_id);
            }
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let web = node("web");
        runtime.block_on(world.client.wait_ready(&web, Some("after"), testkit::LIMIT, PAUSE))
    });
    assert_eq!(found.unwrap().boot_id.as_deref(), Some("after"));
    assert!(world.server.asked().len() > 9);
}

#[tokio::test]
async fn waiting_for_a_node_has_an_end() {
    let world = World::new();
    let (web, short) = (node("web"), Duration::from_millis(30));
    let url = world.server.url();
    let wait = async |boot_id: Option<&'static str>| {
        world.client.wait_ready(&web, boot_id, short, PAUSE).await.map_err(|error| error.to_string())
    };
    let not_ready = |why: &str| Err(format!("the node `web` was not ready within 0 s: {why}"));
    assert_eq!(wait(None).await, not_ready(&format!("{url} has no nodes `web`")));
    world.client.register(&web).await.unwrap();
    assert_eq!(wait(None).await, not_ready("it has never reported"));
    world.server.report("web", "True", "boot-1");
    assert!(wait(None).await.is_ok() && wait(Some("boot-1")).await.is_ok());
    assert_eq!(wait(Some("boot-2")).await, not_ready("it has not reported since its machine was started"));
    world.server.report("web", "False", "boot-2");
    let why = "it says that it is not ready: container runtime network not ready";
    assert_eq!(wait(Some("boot-2")).await, not_ready(why));
    // What will not pass is not waited out.
    world.server.forbid("get", "nodes");
    let error = world.client.wait_ready(&web, None, testkit::LIMIT, PAUSE).await.unwrap_err();
    assert!(matches!(error, Error::Forbidden { .. }), "{error}");
}

#[test]
fn tokens_that_no_header_takes_are_refused() {
    for token in ["", "a b", "a\r\nX: y", "é"] {
        let mut settings = Settings::new("http://k8s".parse().unwrap());
        settings.credentials.token = Some(Secret::new(token.to_owned()));
        let error = Client::new(&settings, &Clock::system()).unwrap_err();
        assert_eq!(error.to_string(), "the token has characters that no token has");
    }
}
