//! Whether a host under way has come through.

use crate::operation::{OperationKind, Plan};
use crate::policy::Gates;
use crate::run::RunState;

/// What is seen of a host after its command was taken.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Observed {
    /// Of the boot it is in; absent when it cannot be reached.
    pub boot_id: Option<String>,
    /// Whether its node is ready; absent where no container manager has it.
    pub node_ready: Option<bool>,
    /// Whether the operator's command succeeded; absent where it was not tried.
    pub command: Option<bool>,
}

/// Whether a host that is in the boot `boot_id` has restarted since it was begun with; nothing where nobody knows in which
/// boot that was.
#[must_use]
pub fn has_restarted(state: &RunState, boot_id: &str) -> Option<bool> {
    state.boot_id().map(|before| before != boot_id)
}

/// What still keeps a host that is in `state` from being well; nothing when it has shown all that is asked of it. In the
/// order in which it makes sense to look: who finds the first need not look for the others.
#[must_use]
pub fn missing(plan: &Plan, gates: &Gates, state: &RunState, seen: &Observed) -> Option<&'static str> {
    let Some(boot_id) = seen.boot_id.as_deref() else { return Some("it cannot be reached") };
    // Whoever has no boot id from before cannot tell; then that it answers has to do.
    if plan.kind() == OperationKind::Restart && has_restarted(state, boot_id) == Some(false) {
        return Some("it has not restarted yet");
    }
    if gates.node_ready && seen.node_ready == Some(false) {
        return Some("its node is not ready");
    }
    if gates.command.is_some() && seen.command != Some(true) {
        return Some("the command that is to succeed on it does not");
    }
    None
}

#[cfg(test)]
mod tests {
    use base::Timestamp;

    use super::*;

    #[test]
    fn a_host_has_to_show_what_is_asked_of_it() {
        let now = Timestamp::from_unix(0);
        let seen = |boot_id: &str, node_ready, command| Observed {
            boot_id: (!boot_id.is_empty()).then(|| boot_id.to_owned()),
            node_ready,
            command,
        };
        let usual = Gates::default();
        let strict = Gates { command: Some("true".into()), ..Gates::default() };
        let lax = Gates { node_ready: false, ..Gates::default() };
        for (plan, gates, before, seen, expected) in [
            (Plan::Restart, &usual, "1", seen("", None, None), Some("it cannot be reached")),
            (Plan::Restart, &usual, "1", seen("1", Some(true), None), Some("it has not restarted yet")),
            (Plan::Restart, &usual, "1", seen("2", Some(false), None), Some("its node is not ready")),
            (Plan::Restart, &lax, "1", seen("2", Some(false), None), None),
            (Plan::Restart, &usual, "1", seen("2", Some(true), None), None),
            (Plan::Restart, &usual, "1", seen("2", None, None), None),
            (Plan::Restart, &usual, "", seen("2", None, None), None),
            (Plan::Upgrade, &usual, "1", seen("1", None, None), None),
            (
                Plan::Upgrade,
                &strict,
                "1",
                seen("1", None, None),
                Some("the command that is to succeed on it does not"),
            ),
            (
                Plan::Upgrade,
                &strict,
                "1",
                seen("1", None, Some(false)),
                Some("the command that is to succeed on it does not"),
            ),
            (Plan::Upgrade, &strict, "1", seen("1", None, Some(true)), None),
        ] {
            let boot_id = (!before.is_empty()).then(|| before.to_owned());
            let state = RunState::Awaiting { boot_id, begun_at: now, since: now };
            assert_eq!(missing(&plan, gates, &state, &seen), expected, "{plan:?} {gates:?} {seen:?}");
        }
    }
}
