//! Networks and container managers: made once and never changed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// How the hosts of a cluster reach each other's containers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Network {
    /// Its name.
    pub name: String,
    /// How it works.
    pub kind: NetworkKind,
    /// What it needs for that, and whatever else was said. Secret ones are shown as `********`.
    pub options: Map<String, Value>,
}

/// How a network works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NetworkKind {
    /// flannel, which keeps its state in etcd.
    FlannelEtcd,
    /// flannel, which asks a flannel server; its address is the option `address`, `host:port`.
    FlannelServer,
}

/// A network that is to be made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewNetwork {
    /// How it works.
    pub kind: NetworkKind,
    /// What it needs for that, and whatever else is to be remembered. Those with a word like `token`, `password`,
    /// `secret` or `key` in their name are secret.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub options: Map<String, Value>,
}

/// What has the hosts of a cluster, to run containers on them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ContainerManager {
    /// Its name.
    pub name: String,
    /// What kind it is.
    pub kind: ContainerManagerKind,
    /// How to reach it, and whatever else was said. Secret ones are shown as `********`.
    pub options: Map<String, Value>,
}

/// What kind of container manager.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ContainerManagerKind {
    /// OpenShift, which is spoken to like Kubernetes; the option `server_url` says where it is.
    OpenShift,
    /// Kubernetes; the option `server_url` says where it is.
    Kubernetes,
    /// One that takes every host and does nothing with it.
    Trivial,
}

/// A container manager that is to be made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewContainerManager {
    /// What kind it is.
    pub kind: ContainerManagerKind,
    /// How to reach it, and whatever else is to be remembered. Those with a word like `token`, `password`, `secret` or
    /// `key` in their name are secret.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub options: Map<String, Value>,
}

/// The options of a network or a container manager, with those that are secret.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Secrets {
    /// All of them, in clear.
    pub options: Map<String, Value>,
}

impl std::fmt::Debug for Secrets {
    /// Only the names.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.options.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_words() {
        for (kind, word) in [
            (ContainerManagerKind::OpenShift, "openshift"),
            (ContainerManagerKind::Kubernetes, "kubernetes"),
            (ContainerManagerKind::Trivial, "trivial"),
        ] {
            assert_eq!(serde_json::to_value(kind).unwrap(), word);
        }
        assert_eq!(serde_json::to_value(NetworkKind::FlannelEtcd).unwrap(), "flannel_etcd");
    }

    #[test]
    fn secrets_are_not_for_the_log() {
        let secrets: Secrets = serde_json::from_str(r#"{"options":{"token":"hunter2"}}"#).unwrap();
        assert_eq!(format!("{secrets:?}"), r#"{"token"}"#);
    }
}
