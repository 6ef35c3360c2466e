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

#[test]
fn the_stand_in_is_strict_about_what_holds_data() {
    let server = ApiServer::http();
    server.set_token(TOKEN, "provost");
    for name in ["web", "old"] {
        server.add_namespace(name, &[]);
    }
    server.end_namespace("old");
    server.hold("configmaps", "web", "a", &json!({"data": {"k": "v"}}));
    server.hold("configmaps", "web", "fixed", &json!({"data": {"k": "v"}, "immutable": true}));
    server.hold("secrets", "web", "a", &json!({"data": {"k": "dg=="}}));
    let ask = |method: &Method, path: &str, body: &Value| {
        let request = anybody()
            .request(method.clone(), format!("{}/api/v1/namespaces{path}", server.url()))
            .bearer_auth(TOKEN)
            .header("accept", JSON)
            .header("content-type", JSON)
            .body(body.to_string());
        let answer = request.send().unwrap();
        let status = answer.status().as_u16();
        let said: Value = serde_json::from_str(&answer.text().unwrap()).unwrap();
        (status, said["reason"].clone())
    };
    let of = |kind: &str, namespace: &str, name: &str, data: Value| json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": namespace}, "data": data});
    let map = |namespace: &str, name: &str| of("ConfigMap", namespace, name, json!({"k": "v"}));
    let data = |data: Value| of("ConfigMap", "web", "b", data);
    let changed = |resource: &str, name: &str, path: &str, value: Value| {
        let mut object = server.held(resource, "web", name).unwrap();
        let (parent, field) = path.rsplit_once('/').unwrap();
        object.pointer_mut(parent).unwrap()[field] = value;
        object
    };
    let gone = |uid: Value, version: Value| {
        json!({"apiVersion": "v1", "kind": "DeleteOptions",
            "preconditions": {"uid": uid, "resourceVersion": version}})
    };
    let is = |name: &str| server.held("configmaps", "web", "a").unwrap()["metadata"][name].clone();
    let (maps, one, by) = ("/web/configmaps", "/web/configmaps/a", "?fieldManager=x");
    let (get, post, put, delete) = (&Method::GET, &Method::POST, &Method::PUT, &Method::DELETE);
    for (method, path, body, status, reason) in [
        (post, maps.to_owned(), map("web", "b"), 400, "BadRequest"),
        (post, format!("{maps}?dryRun=All"), map("web", "b"), 400, "BadRequest"),
        (post, format!("{maps}{by}"), map("old", "b"), 400, "BadRequest"),
        (post, format!("{maps}{by}"), of("Secret", "web", "b", json!({})), 400, "BadRequest"),
        (
            post,
            format!("{maps}{by}"),
            changed("configmaps", "a", "/metadata/name", json!("b")),
            400,
            "BadRequest",
        ),
        (post, format!("{maps}{by}"), data(json!({"k": 7})), 400, "BadRequest"),
        (post, format!("{maps}{by}"), data(json!({"a/b": ""})), 422, "Invalid"),
        (post, format!("{maps}{by}"), data(json!({"k": "a".repeat((1 << 20) + 1)})), 422, "Invalid"),
        (post, format!("{maps}{by}"), data(json!({"k": "a".repeat(3 << 20)})), 413, "RequestEntityTooLarge"),
        (post, format!("{maps}{by}"), map("web", "A"), 422, "Invalid"),
        (post, format!("{maps}{by}"), map("web", "a"), 409, "AlreadyExists"),
        (post, format!("/no/configmaps{by}"), map("no", "b"), 404, "NotFound"),
        (post, format!("/old/configmaps{by}"), map("old", "b"), 403, "Forbidden"),
        (post, format!("/web/secrets{by}"), of("Secret", "web", "b", json!({"k": "v"})), 400, "BadRequest"),
        (put, one.to_owned(), changed("configmaps", "a", "/data/k", json!("w")), 400, "BadRequest"),
        (put, format!("{one}{by}"), map("web", "b"), 400, "BadRequest"),
        (put, format!("{one}{by}"), map("web", "a"), 422, "Invalid"),
        (put, format!("{maps}/b{by}"), map("web", "b"), 404, "NotFound"),
        (
            put,
            format!("{one}{by}"),
            changed("configmaps", "a", "/metadata/resourceVersion", json!("1")),
            409,
            "Conflict",
        ),
        (
            put,
            format!("{one}{by}"),
            changed("configmaps", "a", "/metadata/uid", json!("other")),
            409,
            "Conflict",
        ),
        (
            put,
            format!("{maps}/fixed{by}"),
            changed("configmaps", "fixed", "/data/k", json!("w")),
            422,
            "Invalid",
        ),
        (put, format!("/web/secrets/a{by}"), changed("secrets", "a", "/type", json!("tls")), 422, "Invalid"),
        (delete, one.to_owned(), json!({"apiVersion": "v1", "kind": "DeleteOptions"}), 400, "BadRequest"),
        (delete, one.to_owned(), gone(json!("other"), is("resourceVersion")), 409, "Conflict"),
        (delete, one.to_owned(), gone(is("uid"), json!("1")), 409, "Conflict"),
        (delete, format!("{maps}/b"), gone(is("uid"), json!("1")), 404, "NotFound"),
        (&Method::PATCH, one.to_owned(), json!({}), 405, "MethodNotAllowed"),
        (get, "?limit=x".to_owned(), json!({}), 400, "BadRequest"),
        (get, "?labelSelector=a%3D%3D%3D(".to_owned(), json!({}), 400, "BadRequest"),
        (get, "/no".to_owned(), json!({}), 404, "NotFound"),
    ] {
        let found = ask(method, &path, &body);
        let body: String = body.to_string().chars().take(200).collect();
        assert_eq!(found, (status, json!(reason)), "{method} {path} {body}");
    }
    // What is written as it is already has the same version afterwards.
    let version = is("resourceVersion");
    let same = server.held("configmaps", "web", "a").unwrap();
    assert_eq!(ask(put, &format!("{one}{by}"), &same).0, 200);
    assert_eq!((is("resourceVersion"), server.written()), (version, 0));
    schema::hold(&server.exchanged());
}
