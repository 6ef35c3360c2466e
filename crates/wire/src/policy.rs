//! How an operation goes through a cluster.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::operation::is_default;
use crate::rules::{SHARE, UTC, WINDOW};
use crate::whole::{optional_whole, whole};

/// How an operation goes through a cluster. Where nothing is said: one host after the other, to the first that fails.
///
/// A share of hosts is a number (`3`) or a percentage (`25%`), which is rounded down, but means one host at least.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct OperationPolicy {
    /// A share: so many hosts at once, and the next so many when all of them are done. One, where this and
    /// `max_unavailable` say nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = SHARE))]
    pub batch: Option<String>,
    /// A share: no host is begun with while it would make more than these unavailable, for whatever reason others are.
    /// Without `batch` a host follows as soon as another is done.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = SHARE))]
    pub max_unavailable: Option<String>,
    /// A share: these hosts come first, at once, and none of them may fail.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = SHARE))]
    pub canary: Option<String>,
    /// How many hosts may fail before no more are begun with.
    #[serde(skip_serializing_if = "is_default", deserialize_with = "whole")]
    #[schemars(range(max = 100))]
    pub failures_max: u32,
    /// Whether a host's node is cordoned and drained before, where there is a container manager.
    #[serde(skip_serializing_if = "is_default")]
    pub drain: bool,
    /// What a host has to show before it counts as done.
    #[serde(skip_serializing_if = "is_default")]
    pub gates: OperationGates,
    /// How long a host may take until it has shown that: up to a week. Ten minutes for a restart and an hour for the
    /// others, where nothing is said.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "optional_whole")]
    #[schemars(range(min = 1, max = 604_800))]
    pub host_limit_seconds: Option<u32>,
    /// No host is begun with before: `2026-11-22T01:00:00Z`, always UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = UTC))]
    pub start_at: Option<String>,
    /// Hosts are begun with in one of these maintenance windows only: days, then from when to when, in UTC: `mon,wed
    /// 22:00-04:00`, `daily 01:00-05:00`. At any time when there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20), inner(regex(pattern = WINDOW)))]
    pub windows: Vec<String>,
}

/// What a host has to show before it counts as done, besides what the operation itself is about: after a restart, that
/// SSH is back with another boot id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct OperationGates {
    /// Its container manager says that its node is ready, where there is one.
    pub node_ready: bool,
    /// This command succeeds on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4_096))]
    pub command: Option<String>,
    /// And then this much time passes: up to a week.
    #[serde(skip_serializing_if = "is_default", deserialize_with = "whole")]
    #[schemars(range(max = 604_800))]
    pub soak_seconds: u32,
}

impl Default for OperationGates {
    fn default() -> Self {
        Self { node_ready: true, command: None, soak_seconds: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_is_as_usual() {
        assert_eq!(serde_json::from_str::<OperationPolicy>("{}").unwrap(), OperationPolicy::default());
        assert_eq!(serde_json::to_string(&OperationPolicy::default()).unwrap(), "{}");
        let text =
            r#"{"batch":"3","gates":{"node_ready":true,"soak_seconds":90},"windows":["daily 01:00-02:00"]}"#;
        let policy: OperationPolicy = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&policy).unwrap(), text);
        let floats = text.replace("90", "90.0");
        assert_eq!(serde_json::from_str::<OperationPolicy>(&floats).unwrap(), policy);
        for text in
            [r#"{"batch":3}"#, r#"{"gates":{"soak":"90s"}}"#, r#"{"failures_max":-1}"#, r#"{"drain":1}"#]
        {
            assert!(serde_json::from_str::<OperationPolicy>(text).is_err(), "{text}");
        }
    }
}
