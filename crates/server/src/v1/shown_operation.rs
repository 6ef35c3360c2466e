//! Operations, in the shapes of [`wire`].

use fleet::{Cordon, HostRun, OperationKind, Outcome, Phase, Preview, RolloutView, RunState, Waiting};
use wire::{OperationHostState, OperationPhase, WaitsFor};

use super::policy;

pub(super) fn operation(view: &RolloutView) -> wire::Operation {
    let rollout = &view.rollout;
    wire::Operation {
        cluster: rollout.cluster.to_string(),
        id: rollout.id.as_number(),
        kind: match rollout.plan.kind() {
            OperationKind::Deploy => wire::OperationKind::Deploy,
            OperationKind::Upgrade => wire::OperationKind::Upgrade,
            OperationKind::Restart => wire::OperationKind::Restart,
        },
        version: rollout.plan.version().map(str::to_owned),
        phase: phase(view.phase),
        waits_for: view.waits_for.as_ref().map(waits_for),
        hosts: wire::OperationCounts {
            total: rollout.total,
            waiting: rollout.waiting(),
            under_way: rollout.underway(),
            done: rollout.done,
            failed: rollout.failed(),
            skipped: rollout.skipped,
        },
        under_way: view.underway.iter().map(ToString::to_string).collect(),
        policy: policy::shown(&rollout.policy),
        started_by: rollout.by.clone(),
        started_at: rollout.started_at.to_string(),
        finished_at: rollout.ended_at.map(|at| at.to_string()),
    }
}

fn phase(phase: Phase) -> OperationPhase {
    match phase {
        Phase::Gathering => OperationPhase::Gathering,
        Phase::Scheduled { .. } => OperationPhase::Scheduled,
        Phase::Running => OperationPhase::Running,
        Phase::Pausing => OperationPhase::Pausing,
        Phase::Paused => OperationPhase::Paused,
        Phase::Stopping => OperationPhase::Stopping,
        Phase::Aborting => OperationPhase::Aborting,
        Phase::Ended(Outcome::Finished) => OperationPhase::Finished,
        Phase::Ended(Outcome::Failed) => OperationPhase::Failed,
        Phase::Ended(Outcome::Aborted) => OperationPhase::Aborted,
    }
}

fn waits_for(waiting: &Waiting) -> WaitsFor {
    match waiting {
        Waiting::Hosts => WaitsFor::Hosts,
        Waiting::Schedule { until } => WaitsFor::Schedule { until: until.to_string() },
        Waiting::Unavailable { are, may_be } => WaitsFor::Unavailable { are: *are, may_be: *may_be },
        Waiting::Answers { of } => WaitsFor::Answers { of: of.iter().map(ToString::to_string).collect() },
        Waiting::Others => WaitsFor::Others,
    }
}

/// The state of a host as it is said.
pub(super) fn state(state: &RunState) -> OperationHostState {
    match state {
        RunState::Waiting => OperationHostState::Waiting,
        RunState::Begun { .. } => OperationHostState::Begun,
        RunState::Awaiting { .. } => OperationHostState::Awaiting,
        RunState::Soaking { .. } => OperationHostState::Soaking,
        RunState::Done { .. } => OperationHostState::Done,
        RunState::Failed { .. } => OperationHostState::Failed,
        RunState::Skipped { .. } => OperationHostState::Skipped,
    }
}

pub(super) fn host(run: &HostRun) -> wire::OperationHost {
    let since = match &run.state {
        RunState::Waiting => None,
        RunState::Awaiting { since, .. } | RunState::Soaking { since } => Some(*since),
        RunState::Begun { at, .. }
        | RunState::Done { at }
        | RunState::Failed { at, .. }
        | RunState::Skipped { at, .. } => Some(*at),
    };
    let reason = match &run.state {
        RunState::Failed { reason, .. } | RunState::Skipped { reason, .. } => Some(reason.clone()),
        RunState::Done { .. } => None,
        RunState::Waiting | RunState::Begun { .. } | RunState::Awaiting { .. } | RunState::Soaking { .. } => {
            run.past.reason.clone()
        }
    };
    wire::OperationHost {
        address: run.address.to_string(),
        state: state(&run.state),
        reason,
        begun_at: run.state.limited_since().map(|at| at.to_string()),
        since: since.map(|at| at.to_string()),
        left_cordoned: run.cordon == Cordon::Left,
    }
}

pub(super) fn plan(preview: Preview) -> wire::OperationPlan {
    let groups = preview.groups.into_iter();
    let refused = preview.refused.into_iter();
    wire::OperationPlan {
        groups: groups.map(|group| group.iter().map(ToString::to_string).collect()).collect(),
        has_canaries: preview.has_canaries,
        refused: refused
            .map(|(address, reason)| wire::RefusedHost { address: address.to_string(), reason })
            .collect(),
        begins_at: preview.begins_at.to_string(),
    }
}
