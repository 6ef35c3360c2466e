//! What is known of a node.

use std::fmt;

use serde::Deserialize;

/// A node, as far as a restart is concerned with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Whether it says that it is well.
    pub readiness: Readiness,
    /// Whether it was cordoned: no new pods are put on it.
    pub is_unschedulable: bool,
    /// The boot of the machine that the node's last report came from: what Linux has in
    /// `/proc/sys/kernel/random/boot_id`. For some time after a restart everything here is still of the boot before.
    pub boot_id: Option<String>,
}

/// Whether a node is well: its condition `Ready`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    /// It takes pods and runs them.
    Ready,
    /// It says that it does not.
    NotReady {
        /// Why, as it says.
        why: String,
    },
    /// It has stopped reporting.
    Unknown {
        /// Why, as the cluster says.
        why: String,
    },
    /// It has never reported: it is registered, and that is all.
    NeverReported,
}

impl fmt::Display for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready => f.write_str("it is ready"),
            Self::NotReady { why } if why.is_empty() => f.write_str("it says that it is not ready"),
            Self::NotReady { why } => write!(f, "it says that it is not ready: {why}"),
            Self::Unknown { why } if why.is_empty() => f.write_str("it has stopped reporting"),
            Self::Unknown { why } => write!(f, "it has stopped reporting: {why}"),
            Self::NeverReported => f.write_str("it has never reported"),
        }
    }
}

#[derive(Deserialize)]
pub(crate) struct NodeObject {
    metadata: Metadata,
    #[serde(default)]
    spec: Option<Spec>,
    #[serde(default)]
    status: Option<Status>,
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
}

#[derive(Deserialize)]
struct Spec {
    #[serde(default)]
    unschedulable: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    #[serde(default)]
    conditions: Option<Vec<Condition>>,
    #[serde(default)]
    node_info: Option<NodeInfo>,
}

#[derive(Deserialize)]
struct Condition {
    r#type: String,
    status: String,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    message: String,
}

#[derive(Deserialize)]
struct NodeInfo {
    #[serde(rename = "bootID", default)]
    boot_id: String,
}

impl NodeObject {
    pub(crate) fn name(&self) -> &str {
        &self.metadata.name
    }

    /// `clean` makes a text of the server's fit to be shown.
    pub(crate) fn node(self, clean: impl Fn(&str) -> String) -> Node {
        let (conditions, info) = match self.status {
            Some(status) => (status.conditions.unwrap_or_default(), status.node_info),
            None => (Vec::new(), None),
        };
        let readiness = match conditions.into_iter().find(|condition| condition.r#type == "Ready") {
            None => Readiness::NeverReported,
            Some(ready) if ready.status == "True" => Readiness::Ready,
            Some(ready) => {
                let why = if ready.message.is_empty() { ready.reason } else { ready.message };
                let why = clean(&why);
                if ready.status == "False" { Readiness::NotReady { why } } else { Readiness::Unknown { why } }
            }
        };
        Node {
            name: self.metadata.name,
            readiness,
            is_unschedulable: self.spec.is_some_and(|spec| spec.unschedulable),
            boot_id: info.map(|info| info.boot_id).filter(|id| !id.is_empty()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(object: Value) -> Node {
        serde_json::from_value::<NodeObject>(object).unwrap().node(str::to_owned)
    }

    #[test]
    fn readiness_is_the_condition_of_that_name() {
        let ready = |status: &str, message: &str| {
            let conditions = json!([
                {"type": "MemoryPressure", "status": "False"},
                {"type": "Ready", "status": status, "reason": "Because", "message": message},
            ]);
            read(json!({"metadata": {"name": "a"}, "status": {"conditions": conditions}})).readiness
        };
        assert_eq!(ready("True", "kubelet is posting ready status"), Readiness::Ready);
        assert_eq!(ready("False", "no network"), Readiness::NotReady { why: "no network".into() });
        assert_eq!(ready("Unknown", ""), Readiness::Unknown { why: "Because".into() });
        for bare in [
            json!({"metadata": {"name": "a"}}),
            json!({"metadata": {"name": "a"}, "spec": null, "status": {"conditions": null}}),
            json!({"metadata": {"name": "a"}, "spec": {}, "status": {"nodeInfo": {"bootID": ""}}}),
        ] {
            let node = read(bare);
            assert_eq!((node.readiness, node.is_unschedulable), (Readiness::NeverReported, false));
            assert_eq!(node.boot_id, None);
        }
    }

    #[test]
    fn a_cordoned_node_is_unschedulable() {
        let object = json!({
            "metadata": {"name": "a"}, "spec": {"unschedulable": true},
            "status": {"nodeInfo": {"bootID": "b-1"}},
        });
        let node = read(object);
        assert!(node.is_unschedulable);
        assert_eq!(node.boot_id.as_deref(), Some("b-1"));
    }
}
