//! What is known of a pod.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;

/// What marks the likeness of a pod that a kubelet has from a file ("static"): deleting it does nothing to the pod.
const MIRROR: &str = "kubernetes.io/config.mirror";

/// Where a pod is and what it is called.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PodName {
    /// Its namespace.
    pub namespace: String,
    /// Its name there.
    pub name: String,
}

impl fmt::Display for PodName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// A pod, as far as it matters to whoever wants it gone from its node.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "they are as many facts, each of its own")]
pub struct Pod {
    /// What it is called.
    pub name: PodName,
    /// Which one of that name it is: another that takes its place has another.
    pub uid: String,
    /// Whether a DaemonSet put it there, which would at once put another in its place, cordoned or not.
    pub is_of_daemon_set: bool,
    /// Whether it is the likeness of a pod that the kubelet has from a file.
    pub is_mirror: bool,
    /// Whether it has done all that it is going to do.
    pub is_finished: bool,
    /// Whether something makes another elsewhere once it is gone.
    pub is_managed: bool,
    /// Whether it keeps data that go with it.
    pub has_empty_dir: bool,
    /// Since when it is ending, as the server writes it.
    pub terminating_since: Option<String>,
}

#[derive(Deserialize)]
pub(crate) struct PodObject {
    metadata: Metadata,
    spec: Spec,
    #[serde(default)]
    status: Status,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    name: String,
    namespace: String,
    uid: String,
    deletion_timestamp: Option<String>,
    annotations: Option<BTreeMap<String, String>>,
    owner_references: Option<Vec<Owner>>,
}

#[derive(Deserialize)]
struct Owner {
    kind: String,
    #[serde(default)]
    controller: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    #[serde(default)]
    node_name: String,
    volumes: Option<Vec<Volume>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Volume {
    empty_dir: Option<serde::de::IgnoredAny>,
}

#[derive(Default, Deserialize)]
struct Status {
    #[serde(default)]
    phase: String,
}

impl PodObject {
    /// The node that it is on.
    pub(crate) fn node(&self) -> &str {
        &self.spec.node_name
    }

    pub(crate) fn pod(self) -> Pod {
        let owners = self.metadata.owner_references.unwrap_or_default();
        let controller = owners.into_iter().find(|owner| owner.controller == Some(true));
        let volumes = self.spec.volumes.unwrap_or_default();
        Pod {
            name: PodName { namespace: self.metadata.namespace, name: self.metadata.name },
            uid: self.metadata.uid,
            is_of_daemon_set: controller.as_ref().is_some_and(|owner| owner.kind == "DaemonSet"),
            is_mirror: self.metadata.annotations.is_some_and(|all| all.contains_key(MIRROR)),
            is_finished: matches!(self.status.phase.as_str(), "Succeeded" | "Failed"),
            is_managed: controller.is_some(),
            has_empty_dir: volumes.iter().any(|volume| volume.empty_dir.is_some()),
            terminating_since: self.metadata.deletion_timestamp,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(metadata: Value, spec: Value, phase: &str) -> Pod {
        let mut object = json!({
            "metadata": {"name": "p", "namespace": "n", "uid": "u"},
            "spec": {"nodeName": "a"}, "status": {"phase": phase},
        });
        for (part, more) in [("metadata", metadata), ("spec", spec)] {
            object[part].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        }
        let object: PodObject = serde_json::from_value(object).unwrap();
        assert_eq!(object.node(), "a");
        object.pod()
    }

    #[test]
    fn facts_are_read_where_kubernetes_has_them() {
        let owned = |kind: &str, controller: Value| {
            json!({"ownerReferences": [{"apiVersion": "apps/v1", "kind": kind, "name": "o", "uid": "o-1",
                "controller": controller}]})
        };
        let plain = read(json!({}), json!({}), "Running");
        let is = |change: fn(&mut Pod)| {
            let mut pod = plain.clone();
            change(&mut pod);
            pod
        };
        let ended = "2026-11-21T10:00:00Z";
        for (metadata, spec, phase, expected) in [
            (
                json!({"ownerReferences": null, "annotations": null}),
                json!({"volumes": null}),
                "Pending",
                is(|_| ()),
            ),
            (owned("ReplicaSet", json!(true)), json!({}), "Running", is(|pod| pod.is_managed = true)),
            // An owner that is no controller makes no other.
            (owned("DaemonSet", Value::Null), json!({}), "Running", is(|_| ())),
            (
                owned("DaemonSet", json!(true)),
                json!({}),
                "Running",
                is(|pod| (pod.is_managed, pod.is_of_daemon_set) = (true, true)),
            ),
            (json!({"annotations": {MIRROR: ""}}), json!({}), "Running", is(|pod| pod.is_mirror = true)),
            (json!({}), json!({}), "Succeeded", is(|pod| pod.is_finished = true)),
            (json!({}), json!({}), "Failed", is(|pod| pod.is_finished = true)),
            (
                json!({}),
                json!({"volumes": [{"name": "a", "configMap": {}}, {"name": "b", "emptyDir": {}}]}),
                "Running",
                is(|pod| pod.has_empty_dir = true),
            ),
            (json!({}), json!({"volumes": [{"name": "a", "configMap": {}}]}), "Running", is(|_| ())),
            (
                json!({"deletionTimestamp": ended}),
                json!({}),
                "Running",
                is(|pod| pod.terminating_since = Some("2026-11-21T10:00:00Z".into())),
            ),
        ] {
            assert_eq!(read(metadata, spec, phase), expected);
        }
    }
}
