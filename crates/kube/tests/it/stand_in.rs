//! The stand-in refuses what an API server refuses, in the same words; otherwise it would prove nothing about us.

use serde_json::{Value, json};
use testkit::http::{Method, anybody};
use testkit::{ApiServer, PodPlan};

use crate::schema;
use crate::world::TOKEN;

const JSON: &str = "application/json";
const PATCH: &str = "application/strategic-merge-patch+json";

#[test]
fn the_stand_in_is_strict() {
    let server = ApiServer::http();
    server.set_token(TOKEN, "provost");
    server.add_node("web", "boot-1");
    server.add_pod(PodPlan::new("p", "web"));
    let ask = |method: &Method, path: &str, content_type: &str, accept: &str, body: &Value| {
        let request = anybody()
            .request(method.clone(), format!("{}{path}", server.url()))
            .bearer_auth(TOKEN)
            .header("accept", accept)
            .header("content-type", content_type)
            .body(body.to_string());
        let answer = request.send().unwrap();
        let status = answer.status().as_u16();
        let said: Value = serde_json::from_str(&answer.text().unwrap()).unwrap();
        (status, said["reason"].clone())
    };
    let named = |name: &str| json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}});
    let with = |mut object: Value, key: &str, value: Value| {
        object[key] = value;
        object
    };
    let cordon = json!({"spec": {"unschedulable": true}});
    let evict = json!({"apiVersion": "policy/v1", "kind": "Eviction",
        "metadata": {"name": "p", "namespace": "default"}, "deleteOptions": {"preconditions": {"uid": "other"}}});
    let (nodes, web) = ("/api/v1/nodes", "/api/v1/nodes/web");
    let eviction = "/api/v1/namespaces/default/pods/p/eviction";
    let on = |more: &str| format!("/api/v1/pods?fieldSelector=spec.nodeName%3Dweb{more}");
    let (post, patch, get) = (&Method::POST, &Method::PATCH, &Method::GET);
    for (method, path, content_type, accept, body, status, reason) in [
        (post, nodes, "text/plain", JSON, named("a"), 415, "UnsupportedMediaType"),
        (post, nodes, JSON, "text/html", named("a"), 406, "NotAcceptable"),
        (post, nodes, JSON, JSON, json!("a"), 400, "BadRequest"),
        (post, nodes, JSON, JSON, with(named("a"), "kind", json!("Pod")), 400, "BadRequest"),
        (post, nodes, JSON, JSON, with(named("a"), "apiVersion", json!("v2")), 400, "BadRequest"),
        (post, nodes, JSON, JSON, with(named("a"), "sepc", json!({})), 400, "BadRequest"),
        (post, nodes, JSON, JSON, named("A_b"), 422, "Invalid"),
        (post, nodes, JSON, JSON, named("web"), 409, "AlreadyExists"),
        (&Method::PUT, nodes, JSON, JSON, named("web"), 405, "MethodNotAllowed"),
        (&Method::DELETE, nodes, JSON, JSON, json!({}), 405, "MethodNotAllowed"),
        (patch, web, JSON, JSON, cordon.clone(), 415, "UnsupportedMediaType"),
        (patch, web, PATCH, JSON, json!({"spec": {"unschedulabel": true}}), 400, "BadRequest"),
        (patch, web, PATCH, JSON, json!({"spec": {"unschedulable": "yes"}}), 400, "BadRequest"),
        (
            patch,
            web,
            PATCH,
            JSON,
            with(cordon.clone(), "metadata", json!({"resourceVersion": "1"})),
            409,
            "Conflict",
        ),
        (patch, "/api/v1/nodes/b", PATCH, JSON, cordon, 404, "NotFound"),
        (get, "/api/v1/pods", JSON, JSON, json!({}), 400, "BadRequest"),
        (get, &on("&limit=x"), JSON, JSON, json!({}), 400, "BadRequest"),
        (get, &on("&page=2"), JSON, JSON, json!({}), 400, "BadRequest"),
        (get, &on("&continue=x"), JSON, JSON, json!({}), 400, "BadRequest"),
        (post, eviction, JSON, JSON, evict.clone(), 409, "Conflict"),
        (post, eviction, JSON, JSON, with(evict.clone(), "deleteOptions", json!({})), 400, "BadRequest"),
        (post, eviction, JSON, JSON, with(evict.clone(), "metadata", json!({})), 400, "BadRequest"),
        (post, eviction, JSON, JSON, with(evict, "apiVersion", json!("policy/v1beta1")), 400, "BadRequest"),
    ] {
        let found = ask(method, path, content_type, accept, &body);
        assert_eq!(found, (status, json!(reason)), "{method} {path} {content_type} {accept} {body}");
    }
    let nobody = anybody().get(format!("{}{web}", server.url())).send().unwrap();
    assert_eq!(nobody.status(), 401);
    schema::hold(&server.exchanged());
}
