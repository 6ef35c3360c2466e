//! ConfigMaps and Secrets: made, replaced, deleted.

use serde_json::{Map, Value, json};

use super::State;
use super::answer::{Body, Parameters, unknown_field};
use super::namespace;
use super::node::{THEN, is_name};
use super::status::{bad_request, conflict, not_found, refusal, success};
use crate::stand_in::StandInReply;

/// How many bytes the data of one have at most.
const DATA_BYTES_MAX: usize = 1 << 20;

/// What holds data.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Kind {
    pub(super) resource: &'static str,
    kind: &'static str,
    fields: &'static [&'static str],
}

const CONFIG_MAP: Kind = Kind {
    resource: "configmaps",
    kind: "ConfigMap",
    fields: &["kind", "apiVersion", "metadata", "data", "binaryData", "immutable"],
};
const SECRET: Kind = Kind {
    resource: "secrets",
    kind: "Secret",
    fields: &["kind", "apiVersion", "metadata", "data", "type", "immutable"],
};

/// What an object may say of itself. There is more, which nobody here has reason to say.
const METADATA: &[&str] = &[
    "name",
    "namespace",
    "uid",
    "resourceVersion",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "labels",
    "annotations",
    "finalizers",
    "ownerReferences",
    "managedFields",
];

impl Kind {
    pub(super) fn of(resource: &str) -> Option<Self> {
        [CONFIG_MAP, SECRET].into_iter().find(|kind| kind.resource == resource)
    }

    fn key(self, namespace: &str, name: &str) -> (&'static str, String, String) {
        (self.resource, namespace.to_owned(), name.to_owned())
    }

    /// One as somebody other than the clients under test made it.
    pub(super) fn made(self, namespace: &str, name: &str, more: &Value, version: &str) -> Value {
        let mut object = json!({"kind": self.kind, "apiVersion": "v1", "metadata": {}});
        if self == SECRET {
            object["type"] = "Opaque".into();
        }
        for (field, value) in more.as_object().unwrap() {
            object[field] = value.clone();
        }
        let metadata = &mut object["metadata"];
        metadata["name"] = name.into();
        metadata["namespace"] = namespace.into();
        metadata["uid"] = format!("7d3b5f21-0000-4000-8000-00000000{version}").into();
        metadata["creationTimestamp"] = THEN.into();
        metadata["resourceVersion"] = version.into();
        object
    }

    fn invalid(self, name: &str, field: &str, reason: &str, why: &str) -> StandInReply {
        let kind = self.kind;
        let message = format!("{kind} \"{name}\" is invalid: {field}: {why}");
        let cause = json!({"reason": reason, "field": field, "message": why});
        refusal(422, "Invalid", &message, json!({"name": name, "kind": kind, "causes": [cause]}))
    }

    /// Whether an object may be kept at all.
    fn check(self, object: &Value, namespace: &str, name: &str) -> Result<(), StandInReply> {
        unknown_field(object, self.fields, "")?;
        let metadata = &object["metadata"];
        unknown_field(metadata, METADATA, "metadata.")?;
        for part in ["labels", "annotations"] {
            let all = metadata.get(part).and_then(Value::as_object);
            if all.is_some_and(|all| all.values().any(|value| !value.is_string())) {
                let what = format!("json: cannot unmarshal into Go struct field ObjectMeta.metadata.{part}");
                return Err(bad_request(&what));
            }
        }
        if metadata["namespace"] != namespace {
            return Err(bad_request(
                "the namespace of the provided object does not match the namespace sent on the request",
            ));
        }
        if !is_name(name) {
            let why = format!(
                "Invalid value: \"{name}\": a lowercase RFC 1123 subdomain must consist of lower case"
            );
            return Err(self.invalid(name, "metadata.name", "FieldValueInvalid", &why));
        }
        let mut bytes = 0;
        for field in ["data", "binaryData"] {
            let nothing = Map::new();
            let data = match object.get(field) {
                None | Some(Value::Null) => &nothing,
                Some(Value::Object(data)) => data,
                Some(_) => return Err(bad_request("json: cannot unmarshal into Go struct field .data")),
            };
            for (key, value) in data {
                let is_inside = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
                let is_key = !key.is_empty() && key.len() <= 253 && key.chars().all(is_inside);
                if !is_key || key == "." || key.starts_with("..") {
                    let why = format!(
                        "Invalid value: \"{key}\": a valid config key must consist of alphanumeric \
                        characters, '-', '_' or '.'"
                    );
                    return Err(self.invalid(name, &format!("{field}[{key}]"), "FieldValueInvalid", &why));
                }
                let Some(text) = value.as_str() else {
                    return Err(bad_request("json: cannot unmarshal into Go value of type string"));
                };
                let is_binary = self == SECRET || field == "binaryData";
                bytes += if is_binary { decoded(text)? } else { text.len() };
            }
        }
        if bytes > DATA_BYTES_MAX {
            let field = if self == SECRET { "data" } else { "[]" };
            let why = format!("Too long: may not be more than {DATA_BYTES_MAX} bytes");
            return Err(self.invalid(name, field, "FieldValueTooLong", &why));
        }
        Ok(())
    }
}

/// How many bytes these are in base64, with padding and nothing else (RFC 4648 §4).
fn decoded(text: &str) -> Result<usize, StandInReply> {
    let bare = text.trim_end_matches('=');
    let padding = text.len() - bare.len();
    let is_inside = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/';
    if !text.len().is_multiple_of(4) || padding > 2 || !bare.bytes().all(is_inside) {
        return Err(bad_request("illegal base64 data at input byte 0"));
    }
    Ok(text.len() / 4 * 3 - padding)
}

/// Who writes, as they say: whoever does not say is nobody in particular.
fn manager(query: &str) -> Result<String, StandInReply> {
    let asked = Parameters::read(query, &["fieldManager"])?;
    let manager = asked.text("fieldManager");
    if manager.is_empty() || manager.len() > 128 || !manager.chars().all(|c| c.is_ascii_graphic()) {
        return Err(bad_request("say who writes, as fieldManager"));
    }
    Ok(manager.to_owned())
}

fn managed_fields(manager: &str) -> Value {
    json!([{"manager": manager, "operation": "Update", "apiVersion": "v1", "time": THEN,
        "fieldsType": "FieldsV1", "fieldsV1": {"f:data": {}}}])
}

pub(super) fn create(
    state: &mut State,
    kind: Kind,
    namespace: &str,
    query: &str,
    body: &Body,
) -> Result<StandInReply, StandInReply> {
    let manager = manager(query)?;
    let object = body.object("v1", kind.kind)?;
    let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    if object["metadata"].get("resourceVersion").is_some() {
        return Err(bad_request("resourceVersion should not be set on objects to be created"));
    }
    namespace::admit(state, namespace, kind.resource, &name)?;
    kind.check(object, namespace, &name)?;
    let key = kind.key(namespace, &name);
    if state.held.contains_key(&key) {
        let message = format!("{} \"{name}\" already exists", kind.resource);
        let details = json!({"name": name, "kind": kind.resource});
        return Err(refusal(409, "AlreadyExists", &message, details));
    }
    let mut made = kind.made(namespace, &name, object, &state.next_version());
    made["metadata"]["managedFields"] = managed_fields(&manager);
    state.held.insert(key, made.clone());
    state.written += 1;
    Ok(StandInReply::json(201, &made))
}

pub(super) fn get(
    state: &State,
    kind: Kind,
    namespace: &str,
    name: &str,
) -> Result<StandInReply, StandInReply> {
    let object = state.held.get(&kind.key(namespace, name)).ok_or_else(|| not_found(kind.resource, name))?;
    Ok(StandInReply::json(200, object))
}

pub(super) fn replace(
    state: &mut State,
    kind: Kind,
    (namespace, name): (&str, &str),
    query: &str,
    body: &Body,
) -> Result<StandInReply, StandInReply> {
    let manager = manager(query)?;
    let object = body.object("v1", kind.kind)?;
    if object["metadata"]["name"] != name {
        return Err(bad_request("the name of the object does not match the name on the URL"));
    }
    if !state.namespaces.contains_key(namespace) {
        return Err(not_found("namespaces", namespace));
    }
    let key = kind.key(namespace, name);
    let before = state.held.get(&key).ok_or_else(|| not_found(kind.resource, name))?;
    kind.check(object, namespace, name)?;
    same_one(kind, name, &object["metadata"], &before["metadata"])?;
    let Some(version) = object["metadata"]["resourceVersion"].as_str() else {
        let why = "Invalid value: 0: must be specified for an update";
        return Err(kind.invalid(name, "metadata.resourceVersion", "FieldValueInvalid", why));
    };
    if before["metadata"]["resourceVersion"] != version {
        return Err(conflict(kind.resource, name, MODIFIED));
    }
    for field in ["data", "binaryData", "immutable"] {
        if before["immutable"] == true && before.get(field) != object.get(field) {
            let why = "Forbidden: field is immutable when `immutable` is set";
            return Err(kind.invalid(name, field, "FieldValueForbidden", why));
        }
    }
    if before.get("type") != object.get("type") {
        return Err(kind.invalid(name, "type", "FieldValueInvalid", "Invalid value: field is immutable"));
    }
    let mut after = object.clone();
    // Theirs to say, whatever is sent.
    for field in
        ["uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "managedFields"]
    {
        let metadata = after["metadata"].as_object_mut().unwrap();
        match before["metadata"].get(field) {
            Some(value) => metadata.insert(field.to_owned(), value.clone()),
            None => metadata.remove(field),
        };
    }
    if after != *before {
        after["metadata"]["managedFields"] = managed_fields(&manager);
        after["metadata"]["resourceVersion"] = state.next_version().into();
        state.held.insert(key, after.clone());
        state.written += 1;
    }
    Ok(StandInReply::json(200, &after))
}

const MODIFIED: &str =
    "the object has been modified; please apply your changes to the latest version and try again";

/// Whether what is expected to be there is what is there.
fn same_one(kind: Kind, name: &str, expected: &Value, is: &Value) -> Result<(), StandInReply> {
    match (expected["uid"].as_str(), is["uid"].as_str().unwrap()) {
        (Some(uid), is) if uid != is => {
            let why = format!("Precondition failed: UID in precondition: {uid}, UID in object meta: {is}");
            Err(conflict(kind.resource, name, &why))
        }
        _ => Ok(()),
    }
}

pub(super) fn delete(
    state: &mut State,
    kind: Kind,
    (namespace, name): (&str, &str),
    body: &Body,
) -> Result<StandInReply, StandInReply> {
    let options = body.object("v1", "DeleteOptions")?;
    unknown_field(options, &["kind", "apiVersion", "preconditions"], "")?;
    let expected = &options["preconditions"];
    unknown_field(expected, &["uid", "resourceVersion"], "preconditions.")?;
    if expected["uid"].as_str().is_none() || expected["resourceVersion"].as_str().is_none() {
        return Err(bad_request("say which one of that name, and which version of it"));
    }
    let key = kind.key(namespace, name);
    let next = state.next_version();
    let object = state.held.get_mut(&key).ok_or_else(|| not_found(kind.resource, name))?;
    same_one(kind, name, expected, &object["metadata"])?;
    if expected["resourceVersion"] != object["metadata"]["resourceVersion"] {
        let why = format!(
            "Precondition failed: ResourceVersion in precondition: {}, ResourceVersion in object meta: {}",
            expected["resourceVersion"], object["metadata"]["resourceVersion"]
        );
        return Err(conflict(kind.resource, name, &why));
    }
    let finalizers = object["metadata"]["finalizers"].as_array().map_or(0, Vec::len);
    if finalizers > 0 {
        object["metadata"]["deletionTimestamp"] = THEN.into();
        object["metadata"]["deletionGracePeriodSeconds"] = 0.into();
        object["metadata"]["resourceVersion"] = next.into();
        return Ok(StandInReply::json(200, object));
    }
    let uid = object["metadata"]["uid"].clone();
    state.held.remove(&key);
    state.written += 1;
    let details = json!({"name": name, "kind": kind.resource, "uid": uid});
    Ok(StandInReply::json(200, &success(details)))
}
