//! Keys and other secrets: where they come back, and where they never do.

use serde_json::{Value, json};
use x509::{KeySpec, PrivateKey};

use super::Asker;
use crate::houses::{ended_without_a_fault, up};

#[test]
fn secrets_come_back_where_they_are_asked_for_and_nowhere_else() {
    let house = up();
    let admin = Asker::admin(&house);
    let pem = PrivateKey::generate(KeySpec::Ed25519).unwrap().to_pem();
    let key = pem.expose().as_str();
    let body = key.lines().nth(1).unwrap();
    let none = Value::Null;
    let options = json!({"server_url": "https://k8s:6443", "token": "hunter2", "certificate_x_key": {"a": ["hunter2"]}});
    admin.put("/container-managers/k8s", &json!({"kind": "kubernetes", "options": options}), 201);
    admin.put("/networks/flat", &json!({"kind": "flannel_etcd", "options": {"password": "hunter2"}}), 201);
    admin.put("/clusters/web", &json!({"network": "flat", "container_manager": "k8s"}), 201);
    let host = json!({"ssh_private_key": key, "remote_user": "core", "cluster": "web"});
    admin.put("/hosts/10.0.0.1", &host, 201);
    admin.put("/hosts/10.0.0.1", &host, 200);

    let credentials = admin.get("/hosts/10.0.0.1/credentials");
    assert_eq!(
        credentials.document,
        json!({"address": "10.0.0.1", "ssh_private_key": key, "remote_user": "core"})
    );
    let secrets = admin.get("/container-managers/k8s/secrets");
    assert_eq!(secrets.document, json!({"options": options}));
    for answered in [credentials, secrets, admin.get("/networks/flat/secrets")] {
        assert_eq!((answered.header("cache-control"), answered.header("etag")), (Some("no-store"), None));
    }
    let shown = admin.get("/container-managers/k8s");
    assert_eq!(shown.document["options"]["token"], "********");
    assert_eq!(shown.document["options"]["server_url"], "https://k8s:6443");

    let other = PrivateKey::generate(KeySpec::Ed25519).unwrap().to_pem();
    let wrong = body.replace('A', "?");
    for (method, path, sent, status) in [
        ("GET", "/hosts", none.clone(), 200),
        ("GET", "/hosts/10.0.0.1", none.clone(), 200),
        ("GET", "/hosts/10.0.0.1/status", none.clone(), 200),
        ("GET", "/clusters/web", none.clone(), 200),
        ("GET", "/clusters/web/hosts/10.0.0.1", none.clone(), 200),
        ("GET", "/networks", none.clone(), 200),
        ("GET", "/networks/flat", none.clone(), 200),
        ("GET", "/container-managers", none, 200),
        ("PUT", "/hosts/10.0.0.1", host.clone(), 200),
        ("PATCH", "/hosts/10.0.0.1", json!({"labels": {"a": "b"}}), 200),
        ("PUT", "/hosts/10.0.0.1", json!({"ssh_private_key": other.expose()}), 409),
        ("PUT", "/hosts/10.0.0.1", json!({"ssh_private_key": wrong}), 422),
        ("PUT", "/hosts/10.0.0.1", json!({"ssh_private_key": {"hunter2": key}}), 400),
        ("PUT", "/hosts/10.0.0.1", json!({"labels": key}), 400),
        ("PUT", "/hosts/10.0.0.1", json!({"labels": {"a": [key, "hunter2"]}}), 400),
        ("PUT", "/hosts/10.0.0.1", json!(format!("{{\"ssh_private_key\": \"{body}")), 400),
        ("PUT", "/container-managers/k8s", json!({"kind": "kubernetes", "options": options}), 200),
        ("PUT", "/container-managers/k8s", json!({"kind": "trivial", "options": options}), 409),
        ("PUT", "/container-managers/k8s", json!({"kind": "hunter2", "options": options}), 400),
        ("PUT", "/container-managers/k8s", json!({"kind": "trivial", "options": {"token": "********"}}), 422),
        ("POST", "/clusters/web/operations", json!({"kind": "restart"}), 201),
    ] {
        let answered = admin.says(method, path, &[], &sent, status);
        for secret in ["hunter2", body, other.expose().lines().nth(1).unwrap()] {
            assert!(!answered.text.contains(secret), "{method} {path}: {}", answered.text);
        }
    }
    // The old dialect knows the same key.
    let old = admin.get("/../api/v0/host/10.0.0.1/creds").document;
    assert_eq!(old["remote_user"], "core");
    ended_without_a_fault(house);
}
