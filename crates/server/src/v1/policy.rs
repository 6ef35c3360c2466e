//! Policies of operations: from what is said to what the fleet keeps to, and back.

use base::{Span, Timestamp};
use fleet::{BadPolicy, Gates, Policy, Share, Window};
use wire::{OperationGates, OperationPolicy};

use super::refusal::Refusal;

/// The policy that was asked for. That it can be kept to as a whole is checked by the room.
pub(super) fn asked(said: OperationPolicy) -> Result<Policy, Refusal> {
    let share = |name: &str, said: Option<String>| {
        let share = said.map(|text| text.parse::<Share>()).transpose();
        share.map_err(|error| Refusal::malformed(format!("`{name}`: {error}")))
    };
    let windows = said.windows.iter().map(|text| text.parse::<Window>());
    let windows: Result<Vec<_>, _> = windows.collect();
    let policy = Policy {
        batch: share("batch", said.batch)?,
        max_unavailable: share("max_unavailable", said.max_unavailable)?,
        canary: share("canary", said.canary)?,
        failures_max: said.failures_max,
        drain: said.drain,
        gates: Gates {
            node_ready: said.gates.node_ready,
            command: said.gates.command,
            soak: Span::seconds(said.gates.soak_seconds.into()),
        },
        host_limit: said.host_limit_seconds.map(|seconds| Span::seconds(seconds.into())),
        start_at: said.start_at.as_deref().map(start_at).transpose()?,
        windows: windows.map_err(|error| Refusal::malformed(format!("`windows`: {error}")))?,
    };
    match policy.check() {
        Ok(()) => Ok(policy),
        // Bytes are not what the description counts.
        Err(error @ BadPolicy::Command) => Err(Refusal::unfit(error.to_string())),
        Err(error) => Err(error.into()),
    }
}

fn start_at(text: &str) -> Result<Timestamp, Refusal> {
    Timestamp::from_rfc3339(text).ok_or_else(|| {
        Refusal::unfit("`start_at` is no moment in UTC, which is written like `2026-11-22T01:00:00Z`")
    })
}

/// A policy as it is shown.
pub(super) fn shown(policy: &Policy) -> OperationPolicy {
    let share = |share: Option<Share>| share.map(|share| share.to_string());
    // The room takes no longer ones than fit.
    let seconds = |span: Span| u32::try_from(span.as_seconds()).unwrap_or(u32::MAX);
    OperationPolicy {
        batch: share(policy.batch),
        max_unavailable: share(policy.max_unavailable),
        canary: share(policy.canary),
        failures_max: policy.failures_max,
        drain: policy.drain,
        gates: OperationGates {
            node_ready: policy.gates.node_ready,
            command: policy.gates.command.clone(),
            soak_seconds: seconds(policy.gates.soak),
        },
        host_limit_seconds: policy.host_limit.map(seconds),
        start_at: policy.start_at.map(|at| at.to_string()),
        windows: policy.windows.iter().map(ToString::to_string).collect(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn policies_come_back_as_they_were_said() {
        let all = json!({
            "batch": "25%", "max_unavailable": "3", "canary": "1", "failures_max": 2, "drain": true,
            "gates": {"node_ready": false, "command": "systemctl is-system-running", "soak_seconds": 90},
            "host_limit_seconds": 1800, "start_at": "2026-11-22T01:00:00Z",
            "windows": ["mon,wed 22:00-04:00", "daily 01:00-05:00"],
        });
        for said in [json!({}), all] {
            let policy: OperationPolicy = serde_json::from_value(said.clone()).unwrap();
            let policy = asked(policy).unwrap();
            assert_eq!(serde_json::to_value(shown(&policy)).unwrap(), said);
        }
    }

    #[test]
    fn what_cannot_be_kept_to_is_refused() {
        for (said, words) in [
            (json!({"batch": "0"}), "`batch`: `0` is no share of hosts"),
            (json!({"max_unavailable": "101%"}), "`max_unavailable`: `101%` is no share"),
            (json!({"canary": "all"}), "`canary`: `all` is no share"),
            (json!({"failures_max": 101}), "at most 100 failures"),
            (json!({"host_limit_seconds": 0}), "the limit on a host's time"),
            (json!({"host_limit_seconds": 604_801}), "the limit on a host's time"),
            (json!({"gates": {"soak_seconds": 604_801}}), "the soak time"),
            (json!({"gates": {"command": ""}}), "a command has 1 to"),
            (json!({"gates": {"command": "é".repeat(2_049)}}), "a command has 1 to"),
            (json!({"start_at": "2026-13-22T01:00:00Z"}), "`start_at` is no moment"),
            (json!({"windows": ["always"]}), "`windows`: `always` is no maintenance window"),
            (json!({"windows": vec!["daily 01:00-05:00"; 21]}), "at most 20 maintenance windows"),
        ] {
            let policy: OperationPolicy = serde_json::from_value(said.clone()).unwrap();
            let refused = format!("{:?}", asked(policy).unwrap_err());
            assert!(refused.contains(words), "{said}: {refused}");
        }
    }
}
