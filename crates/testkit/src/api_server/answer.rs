//! Who asks, what for, and whether they may.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::status::{bad_request, refusal, unsupported};
use super::{Schema, State, eviction, held, namespace, node, pod};
use crate::stand_in::{Asked, StandInReply};

const JSON: &str = "application/json";
const PATCH: &str = "application/strategic-merge-patch+json";

/// How long a request is at most.
const REQUEST_BYTES_MAX: usize = 3 << 20;

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
    ListNamespaces,
    Namespace(&'a str),
    CreateHeld(held::Kind, &'a str),
    Held(&'static str, held::Kind, &'a str, &'a str),
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
        Some("Namespace") => Schema::Namespace,
        Some("NamespaceList") => Schema::NamespaceList,
        Some("ConfigMap") => Schema::ConfigMap,
        Some("Secret") => Schema::Secret,
        Some("DeleteOptions") => Schema::DeleteOptions,
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
    let takes_parameters = matches!(
        route,
        Route::ListPods | Route::ListNamespaces | Route::CreateHeld(..) | Route::Held("update", ..)
    );
    if !query.is_empty() && !takes_parameters {
        return Err(bad_request("unknown parameters"));
    }
    if asked.body.len() > REQUEST_BYTES_MAX {
        let message = format!("Request entity too large: limit is {REQUEST_BYTES_MAX}");
        return Err(refusal(413, "RequestEntityTooLarge", &message, json!({})));
    }
    if let Route::CreateHeld(_, namespace) | Route::Held("update" | "delete", _, namespace, _) = route
        && state.failing_namespaces.contains(namespace)
    {
        let message = "Internal error occurred: failed calling webhook \"check.example.com\": context deadline exceeded";
        return Err(refusal(500, "InternalError", message, Value::Null));
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
        Route::ListNamespaces => namespace::list(state, query),
        Route::Namespace(name) => namespace::get(state, name),
        Route::CreateHeld(kind, namespace) => held::create(state, kind, namespace, query, &body),
        Route::Held("get", kind, namespace, name) => {
            let read = held::get(state, kind, namespace, name);
            state.pass_meanwhile();
            read
        }
        Route::Held("update", kind, namespace, name) => {
            held::replace(state, kind, (namespace, name), query, &body)
        }
        Route::Held(_, kind, namespace, name) => held::delete(state, kind, (namespace, name), &body),
    }
}

fn route<'a>(method: &str, path: &'a str) -> Result<Route<'a>, StandInReply> {
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    if let ["api", "v1", "namespaces", namespace, resource, rest @ ..] = parts.as_slice()
        && let Some(kind) = held::Kind::of(resource)
    {
        return match (method, rest) {
            ("POST", []) => Ok(Route::CreateHeld(kind, namespace)),
            ("GET", [name]) => Ok(Route::Held("get", kind, namespace, name)),
            ("PUT", [name]) => Ok(Route::Held("update", kind, namespace, name)),
            ("DELETE", [name]) => Ok(Route::Held("delete", kind, namespace, name)),
            _ => Err(not_allowed()),
        };
    }
    match (method, parts.as_slice()) {
        ("GET", ["api", "v1", "namespaces"]) => Ok(Route::ListNamespaces),
        ("GET", ["api", "v1", "namespaces", name]) => Ok(Route::Namespace(name)),
        ("POST", ["api", "v1", "nodes"]) => Ok(Route::CreateNode),
        ("GET", ["api", "v1", "nodes", name]) => Ok(Route::Node("get", name)),
        ("PATCH", ["api", "v1", "nodes", name]) => Ok(Route::Node("patch", name)),
        ("DELETE", ["api", "v1", "nodes", name]) => Ok(Route::Node("delete", name)),
        ("GET", ["api", "v1", "pods"]) => Ok(Route::ListPods),
        ("POST", ["api", "v1", "namespaces", namespace, "pods", name, "eviction"]) => {
            Ok(Route::Evict(namespace, name))
        }
        (_, ["api", "v1", "nodes" | "pods" | "namespaces"] | ["api", "v1", "nodes" | "namespaces", _]) => {
            Err(not_allowed())
        }
        _ => Err(StandInReply {
            status: 404,
            headers: vec![("Content-Type", "text/plain; charset=utf-8".to_owned())],
            body: "404 page not found\n".to_owned(),
        }),
    }
}

fn not_allowed() -> StandInReply {
    let message = "the server does not allow this method on the requested resource";
    refusal(405, "MethodNotAllowed", message, json!({}))
}

fn authorize(state: &State, route: &Route<'_>, user: &str) -> Result<(), StandInReply> {
    let inside = |namespace: &str| format!("in the namespace \"{namespace}\"");
    let (verb, resource, name, scope) = match route {
        Route::CreateNode => ("create", "nodes", "", "at the cluster scope".to_owned()),
        Route::Node(verb, name) => (*verb, "nodes", *name, "at the cluster scope".to_owned()),
        Route::ListPods => ("list", "pods", "", "at the cluster scope".to_owned()),
        Route::Evict(namespace, name) => ("create", "pods/eviction", *name, inside(namespace)),
        Route::ListNamespaces => ("list", "namespaces", "", "at the cluster scope".to_owned()),
        Route::Namespace(name) => ("get", "namespaces", *name, inside(name)),
        Route::CreateHeld(kind, namespace) => ("create", kind.resource, "", inside(namespace)),
        Route::Held(verb, kind, namespace, name) => (*verb, kind.resource, *name, inside(namespace)),
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

/// What follows the question mark.
pub(super) struct Parameters(BTreeMap<String, String>);

impl Parameters {
    /// Of these and no others.
    pub(super) fn read(query: &str, known: &[&str]) -> Result<Self, StandInReply> {
        let mut all = BTreeMap::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if !known.contains(&name) {
                return Err(bad_request(&format!("unknown parameter \"{name}\"")));
            }
            all.insert(name.to_owned(), unescape(value));
        }
        Ok(Self(all))
    }

    /// The value of one; nothing when it is not there.
    pub(super) fn text(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }
}

/// A page of `all`, which are in order.
pub(super) fn page(
    state: &mut State,
    asked: &Parameters,
    kind: &str,
    all: Vec<(String, Value)>,
) -> Result<StandInReply, StandInReply> {
    let limit: usize = match asked.0.get("limit").map(|limit| limit.parse()) {
        None => usize::MAX,
        Some(Ok(limit)) => limit,
        Some(Err(_)) => return Err(bad_request("limit: strconv.ParseInt: invalid syntax")),
    };
    let limit = limit.min(state.page_max.unwrap_or(usize::MAX));
    let from = match asked.text("continue") {
        "" => None,
        token => {
            let last = token.strip_prefix("v1+").and_then(|token| token.strip_suffix("==&"));
            Some(last.ok_or_else(|| bad_request("continue key is not valid"))?.to_owned())
        }
    };
    if from.is_some() && state.expiring > 0 {
        state.expiring -= 1;
        return Err(expired());
    }
    let rest: Vec<_> =
        all.into_iter().filter(|(key, _)| from.as_ref().is_none_or(|from| key > from)).collect();
    let mut metadata = json!({"resourceVersion": (1000 + state.version).to_string()});
    // How many remain is not said where there is a selector. Opaque, and with signs that must be escaped.
    if rest.len() > limit {
        metadata["continue"] = format!("v1+{}==&", rest[limit - 1].0).into();
    }
    let items: Vec<Value> = rest.into_iter().take(limit).map(|(_, item)| item).collect();
    let list = json!({"kind": kind, "apiVersion": "v1", "metadata": metadata, "items": items});
    Ok(StandInReply::json(200, &list))
}

fn expired() -> StandInReply {
    let message = "The provided continue parameter is too old to display a consistent list result. You can \
        start a new list without the continue parameter.";
    refusal(410, "Expired", message, Value::Null)
}

/// Percent escapes (RFC 3986 §2.1).
fn unescape(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), text.bytes());
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next().unwrap(), rest.next().unwrap()];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap());
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).unwrap()
}
