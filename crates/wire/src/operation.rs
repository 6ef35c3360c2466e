//! Operations on clusters.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::rules::VERSION;

/// The latest operation of its kind on a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Operation {
    /// On which.
    pub cluster: String,
    /// What it does.
    pub kind: OperationKind,
    /// Of a deployment: what is deployed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// How far it is.
    pub state: OperationState,
    /// The hosts that are done.
    pub done: Vec<String>,
    /// The hosts that it is at, or at which it failed.
    pub in_process: Vec<String>,
    /// When it began.
    #[schemars(extend("format" = "date-time"))]
    pub started_at: String,
    /// When it ended; absent while it runs.
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

    /// As it stands in paths and bodies.
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

/// How far an operation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OperationState {
    /// It has begun and not ended.
    InProcess,
    /// All hosts are done.
    Finished,
    /// It ended at a host.
    Failed,
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
    },
    /// Upgrade every host's packages.
    Upgrade {},
    /// Restart every host.
    Restart {},
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_says_what_else_there_is() {
        for (text, expected) in [
            (r#"{"kind":"deploy","version":"7.2"}"#, Some(NewOperation::Deploy { version: "7.2".into() })),
            (r#"{"kind":"upgrade"}"#, Some(NewOperation::Upgrade {})),
            (r#"{"kind":"restart"}"#, Some(NewOperation::Restart {})),
            (r#"{"kind":"deploy"}"#, None),
            (r#"{"kind":"restart","version":"7.2"}"#, None),
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
    }
}
