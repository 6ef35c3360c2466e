//! What requirers are to trust reaches their places: hosts with Debian's own trust store, namespaces of a stand-in for an
//! API server, and a webhook.

use base::{Clock, Span};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use testkit::{ApiServer, HostPlan, StandIn, StandInReply, wait_for, wait_until};

use x509::{CertificateTemplate, KeySpec, Name, PrivateKey, Serial, extension};

use crate::hands::{Transport, World};

fn put(world: &World, path: &str, body: &Value) {
    let (status, document) = world.ask("PUT", path, body);
    assert!(status == 201 || status == 200, "{path}: {status} {document}");
}

fn require(world: &World, name: &str, place: &Value) {
    put(world, &format!("/v1/trust/requirers/{name}"), &json!({ "place": place }));
}

fn relate(world: &World, provider: &str, requirer: &str) -> u64 {
    let body = json!({"provider": provider, "requirer": requirer});
    let (status, relation) = world.ask("POST", "/v1/trust/relations", &body);
    assert_eq!(status, 200, "{relation}");
    relation["number"].as_u64().unwrap()
}

/// What `name` is to have, as PEM.
fn bundle(world: &World, name: &str) -> String {
    let (status, bundle) = world.ask("GET", &format!("/v1/trust/requirers/{name}/bundle"), &Value::Null);
    assert_eq!(status, 200, "{bundle}");
    bundle["certificates"].as_array().unwrap().iter().map(|pem| pem.as_str().unwrap()).collect()
}

/// The state of each of the places of `name`.
fn places(world: &World, name: &str) -> Vec<(String, String)> {
    let (_, page) = world.ask("GET", &format!("/v1/trust/requirers/{name}/places"), &Value::Null);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let items = page["items"].as_array().cloned().unwrap_or_default();
    items.iter().map(|place| (text(&place["name"]), text(&place["state"]))).collect()
}

fn wait_until_in_step(world: &World, name: &str, count: usize) {
    wait_until("everything to be in step", || {
        let places = places(world, name);
        places.len() == count && places.iter().all(|(_, state)| state == "in-step")
    });
}

/// Somebody else's file stays as it is until somebody says otherwise, and what happened is told.
#[test]
fn what_is_in_the_way_is_told_and_adopted() {
    let world = World::new(Transport::Ssh, vec![HostPlan::new()], &[]);
    let host = &world.hosts[0];
    put(&world, "/api/v0/cluster/web", &json!({}));
    std::fs::write(host.path("/etc/theirs.pem"), "theirs\n").unwrap();
    let body = json!({"ssh_priv_key": BASE64.encode(world.hosts.key()), "cluster": "web"});
    put(&world, &format!("/api/v0/host/{}", host.address()), &body);
    world.until(host, "disassociated");
    let at = |file: Value| json!({"kind": "hosts", "all": true, "files": [file]});
    require(&world, "fleet", &at(json!({"path": "/etc/theirs.pem"})));
    relate(&world, "services", "fleet");
    let state = || places(&world, "fleet").pop().map(|(_, state)| state);
    wait_until("it to be in the way", || state().as_deref() == Some("failing"));
    let (_, page) = world.ask("GET", "/v1/trust/requirers/fleet/places", &Value::Null);
    let reason = page["items"][0]["reason"].as_str().unwrap();
    assert!(
        reason.contains("/etc/theirs.pem") && reason.contains("`--file /etc/theirs.pem,adopt`"),
        "{reason}"
    );
    assert_eq!(std::fs::read_to_string(host.path("/etc/theirs.pem")).unwrap(), "theirs\n");
    require(&world, "fleet", &at(json!({"path": "/etc/theirs.pem", "adopt": true})));
    wait_until_in_step(&world, "fleet", 1);
    assert_eq!(std::fs::read_to_string(host.path("/etc/theirs.pem")).unwrap(), bundle(&world, "fleet"));
    let (mut told, mut after) = (Vec::new(), String::new());
    loop {
        let path = format!("/v1/trust/requirers/fleet/history?limit=1{after}");
        let (status, page) = world.ask("GET", &path, &Value::Null);
        assert_eq!(status, 200, "{page}");
        told.extend(
            page["items"].as_array().unwrap().iter().map(|event| event["what"].as_str().unwrap().to_owned()),
        );
        let Some(next) = page["next"].as_str() else { break };
        after = format!("&after={next}");
    }
    assert_eq!(told, ["failing", "applied"]);
    let (status, _) = world.ask("GET", "/v1/trust/requirers/nobody/history", &Value::Null);
    assert_eq!(status, 404);
    let file = json!({"path": "/etc/x", "password_file": "/etc/y"});
    let (status, problem) = world.ask("PUT", "/v1/trust/requirers/fleet", &json!({"place": at(file)}));
    assert_eq!(
        (status, problem["detail"].as_str().unwrap().contains("only a keystore has a password")),
        (422, true)
    );
    let file = json!({"path": "/etc/x", "keystore": true, "password_file": "/etc/y"});
    require(&world, "fleet", &at(file.clone()));
    let (_, shown) = world.ask("GET", "/v1/trust/requirers/fleet", &Value::Null);
    let shown = &shown["place"]["files"][0];
    assert_eq!((&shown["keystore"], &shown["password_file"]), (&file["keystore"], &file["password_file"]));
}

/// The certificate of an authority that signs for itself, as PEM.
pub fn authority(name: &str) -> String {
    let key = PrivateKey::generate(KeySpec::P256).unwrap();
    let now = Clock::system().now();
    let template = CertificateTemplate {
        serial: Serial::from_decimal("1").unwrap(),
        issuer: Name::from_common_name(name).unwrap(),
        subject: Name::from_common_name(name).unwrap(),
        not_before: now - Span::days(1),
        not_after: now + Span::days(1_000),
        public_key: key.public().clone(),
        extensions: vec![extension::basic_constraints(true, None)],
    };
    template.sign(&key).to_pem()
}

/// Hands on other certificates than the house's own.
fn offer(world: &World, change: &str, pem: &str) -> Value {
    let body = json!({"change": change, "pem": pem, "confirm": true});
    let (status, offered) = world.ask("POST", "/v1/trust/providers/corp/offers", &body);
    assert_eq!(status, 200, "{offered}");
    offered
}

#[test]
fn hosts_trust_what_the_house_hands_on_and_then_no_longer() {
    const STORE: &str = "/usr/local/share/ca-certificates";
    let plans = vec![HostPlan::new().own_trust(), HostPlan::new().own_trust()];
    let mut world = World::new(Transport::Ssh, plans, &[]);
    put(&world, "/api/v0/cluster/web", &json!({}));
    for host in world.hosts.all() {
        let body = json!({"ssh_priv_key": BASE64.encode(world.hosts.key()), "cluster": "web"});
        put(&world, &format!("/api/v0/host/{}", host.address()), &body);
        world.until(host, "disassociated");
    }
    // Our own authority is a provider from the start.
    let file = json!({"path": "/etc/services.pem", "mode": "0640", "hook": "echo hooked >>/tmp/hooked"});
    require(&world, "fleet", &json!({"kind": "hosts", "all": true, "system_store": true, "files": [file]}));
    relate(&world, "services", "fleet");
    wait_until_in_step(&world, "fleet", 2);
    let (one, two) = (&world.hosts[0], &world.hosts[1]);
    let read =
        |host: &testkit::Host, path: &str| std::fs::read_to_string(host.path(path)).unwrap_or_default();
    let own = bundle(&world, "fleet");
    for host in [one, two] {
        assert_eq!(read(host, "/etc/services.pem"), own);
        assert!(
            read(host, "/etc/ssl/certs/ca-certificates.crt").contains(own.trim_end()),
            "the store has it"
        );
        assert_eq!(read(host, "/tmp/hooked"), "hooked\n");
    }
    // Another requirer of the same hosts, and another provider: neither robs the other.
    let another = authority("somebody's authority");
    put(&world, "/v1/trust/providers/corp", &json!({}));
    offer(&world, "add", &another);
    let place = json!({"kind": "hosts", "cluster": "web", "system_store": true, "files": [{"path": "/etc/corp.pem"}]});
    require(&world, "web", &place);
    relate(&world, "corp", "web");
    wait_until_in_step(&world, "web", 2);
    for host in [one, two] {
        let store = read(host, "/etc/ssl/certs/ca-certificates.crt");
        assert!(store.contains(own.trim_end()) && store.contains(another.trim_end()));
        assert_eq!(
            (read(host, "/etc/services.pem"), read(host, "/etc/corp.pem")),
            (own.clone(), another.clone())
        );
    }
    // One that is away when it is withdrawn, by a server that is killed meanwhile.
    two.cut_off();
    let (status, _) = world.ask("DELETE", "/v1/trust/requirers/web", &Value::Null);
    assert_eq!(status, 204);
    world.house.kill();
    world.house.start();
    let (one, two) = (&world.hosts[0], &world.hosts[1]);
    wait_until("the first host to lose it", || {
        !read(one, "/etc/ssl/certs/ca-certificates.crt").contains(another.trim_end())
    });
    assert!(read(two, "/etc/corp.pem").contains(another.trim_end()), "nobody could reach it");
    two.reconnect();
    wait_until("the requirer to be gone", || {
        world.ask("GET", "/v1/trust/requirers/web", &Value::Null).0 == 404
    });
    for host in [one, two] {
        assert!(!host.path("/etc/corp.pem").exists());
        assert!(!read(host, "/etc/ssl/certs/ca-certificates.crt").contains(another.trim_end()));
        assert_eq!(read(host, "/etc/services.pem"), own, "the other requirer's stays");
        let left = host.sh(&format!("ls {STORE} | wc -l"));
        assert_eq!(left.ok().trim(), own.matches("BEGIN").count().to_string());
    }
}

#[test]
fn namespaces_and_webhooks_have_what_they_are_to_have() {
    const MANAGER: &str = "/api/v0/containermanager/k8s";
    let world = World::new(Transport::Ssh, vec![], &[]);
    let server = ApiServer::http();
    server.set_token("s3cret", "provost");
    for (name, labels) in [("a", &[("trust", "corp")][..]), ("b", &[("trust", "corp")]), ("c", &[])] {
        server.add_namespace(name, labels);
    }
    let options = json!({"server_url": server.url(), "token": "s3cret"});
    put(&world, MANAGER, &json!({"type": "kubernetes", "options": options}));
    put(&world, "/v1/trust/providers/corp", &json!({}));
    let (first, second) = (authority("first"), authority("second"));
    offer(&world, "add", &first);
    let place = json!({
        "kind": "kubernetes", "container_manager": "k8s", "selector": "trust=corp", "name": "cas", "key": "ca.crt",
    });
    require(&world, "cluster", &place);
    relate(&world, "corp", "cluster");
    let hook = StandIn::http(|_| Some(StandInReply::json(200, &json!({}))));
    let place = json!({"kind": "webhook", "url": hook.url("/s3cret-path"), "secret": "0123456789abcdef"});
    require(&world, "hook", &place);
    relate(&world, "corp", "hook");
    wait_until_in_step(&world, "cluster", 2);
    wait_until_in_step(&world, "hook", 1);
    let text = |namespace: &str| {
        let object = server.held("configmaps", namespace, "cas");
        object.map(|object| object["data"]["ca.crt"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!((text("a"), text("b"), text("c")), (Some(first.clone()), Some(first.clone()), None));
    let told = || -> Vec<Value> {
        let asked = hook.asked();
        asked.iter().map(|asked| serde_json::from_slice(&asked.body).unwrap()).collect()
    };
    assert_eq!(told().last().unwrap()["certificates"], json!([first]));
    assert!(hook.asked()[0].headers.contains_key("provost-signature"));
    // A secret that was given is never shown.
    let (_, shown) = world.ask("GET", "/v1/trust/requirers/hook", &Value::Null);
    assert!(!shown.to_string().contains("0123456789abcdef"), "{shown}");

    offer(&world, "replace", &second);
    wait_until("the second to be everywhere", || {
        text("a") == Some(second.clone()) && text("b") == Some(second.clone())
    });
    wait_until("the webhook to be told", || told().last().unwrap()["certificates"] == json!([second]));
    // A namespace that comes has it, and one that is deselected loses it.
    server.add_namespace("d", &[("trust", "corp")]);
    server.add_namespace("b", &[]);
    require(
        &world,
        "cluster",
        &json!({
            "kind": "kubernetes", "container_manager": "k8s", "selector": "trust=corp", "name": "cas", "key": "ca.crt",
        }),
    );
    offer(&world, "add", &first);
    wait_until("the new namespace to have it", || text("d").is_some());
    wait_until("the other to lose it", || text("b").is_none());
    for name in ["cluster", "hook"] {
        assert_eq!(world.ask("DELETE", &format!("/v1/trust/requirers/{name}"), &Value::Null).0, 204);
        wait_for("it to be gone", || {
            (world.ask("GET", &format!("/v1/trust/requirers/{name}"), &Value::Null).0 == 404).then_some(())
        });
    }
    assert_eq!((text("a"), text("d")), (None, None));
    assert_eq!(
        told().last().unwrap()["certificates"],
        json!([]),
        "it is told that there is nothing any more"
    );
}
