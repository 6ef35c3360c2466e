//! Clusters.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::rules::{ADDRESS, NAME};

/// A cluster, and how it is doing.
///
/// Its entity tag is another one when its settings are, and when the counts of its hosts are. For whoever writes its
/// settings only the former counts: they may name the tag that they saw, however many hosts have come up since.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Cluster {
    /// Its name.
    pub name: String,
    /// The network its hosts are in.
    pub network: String,
    /// The container manager that has its hosts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container_manager: Option<String>,
    /// How it is doing.
    pub health: Health,
    /// How many hosts it has.
    pub hosts: HostCounts,
}

/// How a cluster is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// All of its hosts are available, or there are none.
    Ok,
    /// Some are not.
    Degraded,
    /// None is.
    Failed,
}

/// How many hosts a cluster has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HostCounts {
    /// All of them.
    pub total: u64,
    /// Those that containers can run on.
    pub available: u64,
    /// The others.
    pub unavailable: u64,
    /// By status, without those that none has; `other` for all statuses that are none of the known ones.
    pub by_status: BTreeMap<String, u64>,
}

/// What a cluster is to be: all of it, so what is left out has its default.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClusterSettings {
    /// The network its hosts are in, which has to be there; `default` when it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = NAME))]
    pub network: Option<String>,
    /// The container manager that has its hosts, which has to be there; none when it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = NAME))]
    pub container_manager: Option<String>,
}

/// Which hosts a cluster is to have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Members {
    /// Their addresses. The others leave.
    #[schemars(schema_with = "addresses")]
    pub hosts: Vec<String>,
    /// The addresses of those that it is thought to have now. When it has others, nothing is changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "optional_addresses")]
    pub expected: Option<Vec<String>>,
}

fn addresses(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "array", "items": { "type": "string", "pattern": ADDRESS } })
}

fn optional_addresses(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": ["array", "null"], "items": { "type": "string", "pattern": ADDRESS } })
}
