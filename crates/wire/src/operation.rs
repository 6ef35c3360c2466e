//! Operations on clusters: what is asked for, how far it is, and what it would do.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::policy::OperationPolicy;
use crate::rules::VERSION;

/// An operation on a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Operation {
    /// On which.
    pub cluster: String,
    /// Which of its operations; later ones have larger numbers.
    pub id: u64,
    /// What it does.
    pub kind: OperationKind,
    /// Of a deployment: what is deployed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// How it is doing.
    pub phase: OperationPhase,
    /// What it waits for; absent where it does not, or somebody has to resume it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<WaitsFor>,
    /// How many hosts are how far.
    pub hosts: OperationCounts,
    /// The addresses of the hosts that are under way.
    pub under_way: Vec<String>,
    /// How it goes through the cluster.
    pub policy: OperationPolicy,
    /// Who asked for it.
    pub started_by: String,
    /// When that was.
    #[schemars(extend("format" = "date-time"))]
    pub started_at: String,
    /// When it ended; absent while it has not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub finished_at: Option<String>,
}

/// What can be done with a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OperationKind {
    /// Every host gets a version of its operating system.
    Deploy,
    /// Every host's packages are upgraded.
    Upgrade,
    /// Every host is restarted.
    Restart,
}

impl OperationKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Deploy, Self::Upgrade, Self::Restart];

    /// As it stands in bodies.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deploy => "deploy",
            Self::Upgrade => "upgrade",
            Self::Restart => "restart",
        }
    }
}

impl fmt::Display for OperationKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How an operation is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OperationPhase {
    /// Its hosts are being written down.
    Gathering,
    /// It waits for its time, or for its next maintenance window.
    Scheduled,
    /// Hosts are under way, or about to be.
    Running,
    /// No more hosts are begun with, and some are still under way.
    Pausing,
    /// Nothing happens until somebody resumes it.
    Paused,
    /// More hosts failed than may, and some are still under way.
    Stopping,
    /// It is being aborted.
    Aborting,
    /// It has ended: all hosts are done or skipped, or no more failed than may.
    Finished,
    /// It has ended: more hosts failed than may.
    Failed,
    /// It has ended: somebody has aborted it.
    Aborted,
}

impl OperationPhase {
    /// Whether it has ended.
    #[must_use]
    pub fn is_end(self) -> bool {
        matches!(self, Self::Finished | Self::Failed | Self::Aborted)
    }
}

/// What an operation waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum WaitsFor {
    /// The hosts that are under way.
    Hosts,
    /// Its time, or its next maintenance window.
    Schedule {
        /// When that is.
        #[schemars(extend("format" = "date-time"))]
        until: String,
    },
    /// Other hosts of the cluster, because too many are unavailable.
    Unavailable {
        /// How many are.
        are: u64,
        /// How many may be.
        may_be: u64,
    },
    /// Others to be done with the host that is next: another operation, or whoever makes it ready.
    Others,
    /// The hosts that are to be begun with next: nothing is done to one before it has let us in and said how it is.
    Answers {
        /// Their addresses.
        of: Vec<String>,
    },
}

/// How many of an operation's hosts are how far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OperationCounts {
    /// All of them.
    pub total: u64,
    /// Nothing was done to them.
    pub waiting: u64,
    /// They are being worked on.
    pub under_way: u64,
    /// All of it is behind them.
    pub done: u64,
    /// They have not come through.
    pub failed: u64,
    /// The operation goes on without them.
    pub skipped: u64,
}

/// One host of an operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OperationHost {
    /// Which.
    pub address: String,
    /// How far it is.
    pub state: OperationHostState,
    /// Why it failed or is skipped; of one that is tried again, why it failed before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it was begun with; only while it has not come to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub begun_at: Option<String>,
    /// Since when it has been so far; absent while it waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub since: Option<String>,
    /// Whether its node is still cordoned by the operation, and somebody has to change that.
    pub left_cordoned: bool,
}

/// How far a host is in an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OperationHostState {
    /// Nothing was done to it.
    Waiting,
    /// It is next: it may have been drained and sent its command, or none of it.
    Begun,
    /// Its command was taken; it has not yet shown what it has to show.
    Awaiting,
    /// It has shown everything, and the soak time runs.
    Soaking,
    /// All of it is behind it.
    Done,
    /// It has not come through.
    Failed,
    /// The operation goes on without it.
    Skipped,
}

impl OperationHostState {
    /// All of them, in the order in which a host comes through them.
    pub const ALL: [Self; 7] =
        [Self::Waiting, Self::Begun, Self::Awaiting, Self::Soaking, Self::Done, Self::Failed, Self::Skipped];

    /// As it stands in bodies and queries.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Begun => "begun",
            Self::Awaiting => "awaiting",
            Self::Soaking => "soaking",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

/// An operation that is to be started; its `kind` says which.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum NewOperation {
    /// Give every host a version of its operating system.
    Deploy {
        /// Which version: 1 to 200 visible ASCII characters.
        #[schemars(extend("pattern" = VERSION))]
        version: String,
        /// How: one host after the other, to the first that fails, where nothing else is said.
        #[serde(default, skip_serializing_if = "is_default")]
        policy: OperationPolicy,
        /// Start nothing, and answer what it would do.
        #[serde(default, skip_serializing_if = "is_default")]
        dry_run: bool,
    },
    /// Upgrade every host's packages.
    Upgrade {
        /// How: one host after the other, to the first that fails, where nothing else is said.
        #[serde(default, skip_serializing_if = "is_default")]
        policy: OperationPolicy,
        /// Start nothing, and answer what it would do.
        #[serde(default, skip_serializing_if = "is_default")]
        dry_run: bool,
    },
    /// Restart every host.
    Restart {
        /// How: one host after the other, to the first that fails, where nothing else is said.
        #[serde(default, skip_serializing_if = "is_default")]
        policy: OperationPolicy,
        /// Start nothing, and answer what it would do.
        #[serde(default, skip_serializing_if = "is_default")]
        dry_run: bool,
    },
}

/// Whether `value` need not be said.
pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// What is sent to pause, resume, abort or retry an operation, or to have it skip a host: nothing, as JSON. It has to be
/// said to be JSON, so that no page of another origin can have a browser send it unasked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Steering {}

/// What an operation would do if all went well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OperationPlan {
    /// The addresses of the hosts in their order: those of one group at once, and a group when all of the one before are
    /// done. With `max_unavailable` alone, a host follows as soon as there is room.
    pub groups: Vec<Vec<String>>,
    /// Whether the first group are canaries.
    pub has_canaries: bool,
    /// The hosts on which it would fail.
    pub refused: Vec<RefusedHost>,
    /// When it would begin.
    #[schemars(extend("format" = "date-time"))]
    pub begins_at: String,
}

/// A host on which an operation would fail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RefusedHost {
    /// Which.
    pub address: String,
    /// Why.
    pub reason: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn restart() -> NewOperation {
        NewOperation::Restart { policy: OperationPolicy::default(), dry_run: false }
    }

    /// What comes before the kind is read aside first.
    #[test]
    fn the_kind_may_come_last() {
        let text = r#"{"policy":{"gates":{"soak_seconds":0.0}},"kind":"restart"}"#;
        assert_eq!(serde_json::from_str::<NewOperation>(text).unwrap(), restart());
    }

    #[test]
    fn the_kind_says_what_else_there_is() {
        let policy = OperationPolicy { batch: Some("25%".into()), ..OperationPolicy::default() };
        let deploy = |dry_run| NewOperation::Deploy {
            version: "7.2".into(),
            policy: OperationPolicy::default(),
            dry_run,
        };
        for (text, expected) in [
            (r#"{"kind":"deploy","version":"7.2"}"#, Some(deploy(false))),
            (r#"{"kind":"deploy","version":"7.2","dry_run":true}"#, Some(deploy(true))),
            (
                r#"{"kind":"upgrade","policy":{"batch":"25%"}}"#,
                Some(NewOperation::Upgrade { policy, dry_run: false }),
            ),
            (r#"{"kind":"restart"}"#, Some(restart())),
            (r#"{"kind":"deploy"}"#, None),
            (r#"{"kind":"restart","version":"7.2"}"#, None),
            (r#"{"kind":"restart","policy":{"batches":"1"}}"#, None),
            (r#"{"kind":"reboot"}"#, None),
            ("{}", None),
        ] {
            assert_eq!(serde_json::from_str(text).ok(), expected, "{text}");
            if let Some(operation) = expected {
                assert_eq!(serde_json::to_string(&operation).unwrap(), text);
            }
        }
        for kind in OperationKind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
        for state in OperationHostState::ALL {
            assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
        }
    }

    #[test]
    fn what_is_waited_for_is_named() {
        for (waits_for, text) in [
            (WaitsFor::Hosts, r#"{"what":"hosts"}"#),
            (WaitsFor::Others, r#"{"what":"others"}"#),
            (WaitsFor::Schedule { until: "t".into() }, r#"{"what":"schedule","until":"t"}"#),
            (WaitsFor::Unavailable { are: 2, may_be: 1 }, r#"{"what":"unavailable","are":2,"may_be":1}"#),
            (WaitsFor::Answers { of: vec!["a".into()] }, r#"{"what":"answers","of":["a"]}"#),
        ] {
            assert_eq!(serde_json::to_string(&waits_for).unwrap(), text);
            assert_eq!(serde_json::from_str::<WaitsFor>(text).unwrap(), waits_for);
        }
    }
}
