//! Who asks, what for, and whether they may.

use serde_json::{Value, json};

use super::status::{bad_request, refusal, unsupported};
use super::{Schema, State, eviction, node, pod};
use crate::stand_in::{Asked, StandInReply};

const JSON: &str = "application/json";
const PATCH: &str = "application/strategic-merge-patch+json";

/// What was sent, and as what.
pub(super) struct Body {
    content_type: String,
    value: Option<Value>,
}

/// What a path and a method mean.
enum Route<'a> {
    CreateNode,
    Node(&'static str, &'a str),
    ListPods,
    Evict(&'a str, &'a str),
}

pub(super) fn answer(state: &mut State, asked: &Asked) -> StandInReply {
    if !state.instead.is_empty() {
        return state.instead.remove(0);
    }
    let told: Option<Value> = serde_json::from_slice(&asked.body).ok();
    let reply = match serve(state, asked, told.clone()) {
        Ok(reply) | Err(reply) => reply,
    };
    let is_json = reply.headers.iter().any(|(_, value)| value == JSON);
    if is_json {
        // Only what was understood is ours to judge.
        let told = told.filter(|_| reply.status < 300);
        let said = serde_json::from_str(&reply.body).ok();
        for value in [told, said].into_iter().flatten() {
            let schema = schema(&value);
            state.exchanged.push((schema, value));
        }
    }
    reply
}

fn schema(value: &Value) -> Schema {
    match value["kind"].as_str() {
        Some("Node") => Schema::Node,
        Some("PodList") => Schema::PodList,
        Some("Eviction") => Schema::Eviction,
        Some("Status") => Schema::Status,
        None => Schema::NodePatch,
        Some(other) => panic!("what is a {other}?"),
    }
}

fn serve(state: &mut State, asked: &Asked, told: Option<Value>) -> Result<StandInReply, StandInReply> {
    let bearer = asked.headers.get("authorization").and_then(|value| value.strip_prefix("Bearer "));
    let by_token = bearer.and_then(|token| state.tokens.get(token));
    let by_certificate = asked.certificate.as_ref().and_then(|shown| state.certificates.get(shown));
    let Some(user) = by_token.or(by_certificate).cloned() else {
        return Err(refusal(401, "Unauthorized", "Unauthorized", Value::Null));
    };
    let (path, query) = asked.path.split_once('?').unwrap_or((&asked.path, ""));
    let route = route(&asked.method, path)?;
    authorize(state, &route, &user)?;
    if asked.headers.get("accept").is_none_or(|accept| accept != JSON) {
        let message = "only the following media types are accepted: application/json";
        return Err(refusal(406, "NotAcceptable", message, json!({})));
    }
    if !query.is_empty() && !matches!(route, Route::ListPods) {
        return Err(bad_request("unknown parameters"));
    }
    let content_type = asked.headers.get("content-type").cloned().unwrap_or_default();
    let body = Body { content_type, value: told };
    match route {
        Route::CreateNode => node::create(state, &body),
        Route::Node("get", name) => node::get(state, name),
        Route::Node("patch", name) => node::patch(state, name, &body),
        Route::Node(_, name) => node::delete(state, name),
        Route::ListPods => pod::list(state, query),
        Route::Evict(namespace, name) => eviction::create(state, (namespace, name), &body),
    }
}

fn route<'a>(method: &str, path: &'a str) -> Result<Route<'a>, StandInReply> {
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    match (method, parts.as_slice()) {
        ("POST", ["api", "v1", "nodes"]) => Ok(Route::CreateNode),
        ("GET", ["api", "v1", "nodes", name]) => Ok(Route::Node("get", name)),
        ("PATCH", ["api", "v1", "nodes", name]) => Ok(Route::Node("patch", name)),
        ("DELETE", ["api", "v1", "nodes", name]) => Ok(Route::Node("delete", name)),
        ("GET", ["api", "v1", "pods"]) => Ok(Route::ListPods),
        ("POST", ["api", "v1", "namespaces", namespace, "pods", name, "eviction"]) => {
            Ok(Route::Evict(namespace, name))
        }
        (_, ["api", "v1", "nodes" | "pods"] | ["api", "v1", "nodes", _]) => {
            let message = "the server does not allow this method on the requested resource";
            Err(refusal(405, "MethodNotAllowed", message, json!({})))
        }
        _ => Err(StandInReply {
            status: 404,
            headers: vec![("Content-Type", "text/plain; charset=utf-8".to_owned())],
            body: "404 page not found\n".to_owned(),
        }),
    }
}

fn authorize(state: &State, route: &Route<'_>, user: &str) -> Result<(), StandInReply> {
    let (verb, resource, name, scope) = match route {
        Route::CreateNode => ("create", "nodes", "", "at the cluster scope".to_owned()),
        Route::Node(verb, name) => (*verb, "nodes", *name, "at the cluster scope".to_owned()),
        Route::ListPods => ("list", "pods", "", "at the cluster scope".to_owned()),
        Route::Evict(namespace, name) => {
            ("create", "pods/eviction", *name, format!("in the namespace \"{namespace}\""))
        }
    };
    if !state.forbidden.contains(&(verb.to_owned(), resource.to_owned())) {
        return Ok(());
    }
    let kind = resource.split('/').next().unwrap();
    let what = if name.is_empty() { kind.to_owned() } else { format!("{kind} \"{name}\"") };
    let message = format!(
        "{what} is forbidden: User \"{user}\" cannot {verb} resource \"{resource}\" in API group \"\" {scope}"
    );
    let details = if name.is_empty() { json!({"kind": kind}) } else { json!({"name": name, "kind": kind}) };
    Err(refusal(403, "Forbidden", &message, details))
}

impl Body {
    /// The object, which must be such a one.
    pub(super) fn object(&self, version: &str, kind: &str) -> Result<&Value, StandInReply> {
        let object = self.of_type(JSON)?;
        if object["apiVersion"] != version || object["kind"] != kind {
            let message = format!("the object provided is unrecognized: it is no {kind} of {version}");
            return Err(bad_request(&message));
        }
        Ok(object)
    }

    /// A strategic merge patch.
    pub(super) fn patch(&self) -> Result<&Value, StandInReply> {
        self.of_type(PATCH)
    }

    fn of_type(&self, accepted: &str) -> Result<&Value, StandInReply> {
        if self.content_type != accepted {
            return Err(unsupported(accepted));
        }
        let object = self.value.as_ref().filter(|value| value.is_object());
        object.ok_or_else(|| bad_request("couldn't get version/kind; json parse error"))
    }
}

/// Nothing, when `object` is one with such fields only, or is not there.
pub(super) fn unknown_field(object: &Value, known: &[&str], path: &str) -> Result<(), StandInReply> {
    let fields = match object {
        Value::Object(fields) => fields,
        Value::Null => return Ok(()),
        _ => return Err(bad_request(&format!("{path} is not an object"))),
    };
    match fields.keys().find(|field| !known.contains(&field.as_str())) {
        None => Ok(()),
        Some(field) => Err(bad_request(&format!("strict decoding error: unknown field \"{path}{field}\""))),
    }
}
