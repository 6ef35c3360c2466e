//! Nodes: made, patched, deleted.

use serde_json::{Value, json};

use super::State;
use super::answer::{Body, unknown_field};
use super::status::{bad_request, conflict, not_found, refusal, success};
use crate::stand_in::StandInReply;

/// When everything here was made.
pub(super) const THEN: &str = "2026-11-21T10:00:00Z";

/// A node as it is when somebody has registered it and no kubelet has reported.
pub(super) fn registered(name: &str, version: &str) -> Value {
    json!({
        "kind": "Node", "apiVersion": "v1",
        "metadata": {
            "name": name, "uid": format!("5f1f7d2e-0000-4000-8000-00000000{version}"),
            "resourceVersion": version, "creationTimestamp": THEN,
        },
        "spec": {"taints": [{"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}]},
        "status": {
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 0}},
            "nodeInfo": info(""),
        },
    })
}

fn info(boot_id: &str) -> Value {
    let mut info = json!({"bootID": boot_id});
    for field in [
        "architecture",
        "containerRuntimeVersion",
        "kernelVersion",
        "kubeProxyVersion",
        "kubeletVersion",
        "machineID",
        "operatingSystem",
        "osImage",
        "systemUUID",
    ] {
        info[field] = "".into();
    }
    info
}

pub(super) fn report(node: &mut Value, ready: &str, boot_id: &str, version: &str) {
    let condition = |kind: &str, status: &str, reason: &str, message: &str| {
        json!({"type": kind, "status": status, "reason": reason, "message": message,
            "lastHeartbeatTime": THEN, "lastTransitionTime": THEN})
    };
    let (reason, message) = match ready {
        "True" => ("KubeletReady", "kubelet is posting ready status"),
        "False" => ("KubeletNotReady", "container runtime network not ready"),
        _ => ("NodeStatusUnknown", "Kubelet stopped posting node status."),
    };
    let disk = condition("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure");
    node["status"]["conditions"] = json!([disk, condition("Ready", ready, reason, message)]);
    node["status"]["nodeInfo"] = info(boot_id);
    if ready == "True" {
        let spec = node["spec"].as_object_mut().unwrap();
        spec.remove("taints");
    }
    node["metadata"]["resourceVersion"] = version.into();
}

pub(super) fn create(state: &mut State, body: &Body) -> Result<StandInReply, StandInReply> {
    let node = body.object("v1", "Node")?;
    // All that is needed here. There is more, which only a kubelet has reason to say.
    unknown_field(node, &["kind", "apiVersion", "metadata"], "")?;
    unknown_field(&node["metadata"], &["name"], "metadata.")?;
    let name = node["metadata"]["name"].as_str().unwrap_or_default();
    if !is_name(name) {
        let why = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', \
                   and must start and end with an alphanumeric character";
        let message = format!("Node \"{name}\" is invalid: metadata.name: Invalid value: \"{name}\": {why}");
        let cause = json!({"reason": "FieldValueInvalid", "field": "metadata.name",
            "message": format!("Invalid value: \"{name}\": {why}")});
        let details = json!({"name": name, "kind": "Node", "causes": [cause]});
        return Err(refusal(422, "Invalid", &message, details));
    }
    if state.nodes.contains_key(name) {
        let message = format!("nodes \"{name}\" already exists");
        return Err(refusal(409, "AlreadyExists", &message, json!({"name": name, "kind": "nodes"})));
    }
    let made = registered(name, &state.next_version());
    state.nodes.insert(name.to_owned(), made.clone());
    Ok(StandInReply::json(201, &made))
}

pub(super) fn get(state: &State, name: &str) -> Result<StandInReply, StandInReply> {
    let node = state.nodes.get(name).ok_or_else(|| not_found("nodes", name))?;
    Ok(StandInReply::json(200, node))
}

pub(super) fn patch(state: &mut State, name: &str, body: &Body) -> Result<StandInReply, StandInReply> {
    let patch = body.patch()?;
    unknown_field(patch, &["metadata", "spec"], "")?;
    unknown_field(&patch["metadata"], &["resourceVersion"], "metadata.")?;
    unknown_field(&patch["spec"], &["unschedulable"], "spec.")?;
    let node = state.nodes.get(name).ok_or_else(|| not_found("nodes", name))?;
    let mut patched = node.clone();
    let expected = &patch["metadata"]["resourceVersion"];
    if !expected.is_null() && *expected != node["metadata"]["resourceVersion"] {
        let why =
            "the object has been modified; please apply your changes to the latest version and try again";
        return Err(conflict("nodes", name, why));
    }
    let spec = patched["spec"].as_object_mut().unwrap();
    match &patch["spec"].get("unschedulable") {
        None => {}
        Some(Value::Bool(true)) => drop(spec.insert("unschedulable".to_owned(), true.into())),
        // False is what it is when nothing is said, so nothing is said.
        Some(Value::Bool(false) | Value::Null) => drop(spec.remove("unschedulable")),
        Some(_) => {
            return Err(bad_request(
                "json: cannot unmarshal into Go struct field NodeSpec.spec.unschedulable of type bool",
            ));
        }
    }
    if patched != *node {
        patched["metadata"]["resourceVersion"] = state.next_version().into();
        state.nodes.insert(name.to_owned(), patched.clone());
    }
    Ok(StandInReply::json(200, &patched))
}

pub(super) fn delete(state: &mut State, name: &str) -> Result<StandInReply, StandInReply> {
    let node = state.nodes.remove(name).ok_or_else(|| not_found("nodes", name))?;
    let details = json!({"name": name, "kind": "nodes", "uid": node["metadata"]["uid"]});
    Ok(StandInReply::json(200, &success(details)))
}

/// RFC 1123, as Kubernetes has it.
pub(super) fn is_name(name: &str) -> bool {
    let is_part = |part: &str| {
        let is_end = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        let is_inside = |c: char| is_end(Some(c)) || c == '-';
        is_end(part.chars().next()) && is_end(part.chars().last()) && part.chars().all(is_inside)
    };
    name.len() <= 253 && name.split('.').all(is_part)
}
