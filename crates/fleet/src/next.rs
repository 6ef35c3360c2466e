//! What an operation does next. The heart of it: values in, values out.
//!
//! Invariants, which the tests below hold over random lives with crashes in them: never more hosts under way than the
//! policy allows; none is begun with twice; none is forgotten; after too many failures, a pause or an abort none is
//! begun with; an operation that has ended leaves no host of its own cordoned, but for those whose cordon could not be
//! lifted, which say so.

use base::{Span, Timestamp};

use crate::address::HostAddress;
use crate::operation::OperationKind;
use crate::rollout::{Outcome, Rollout, Wish};
use crate::run::{Cordon, HostRun, RunState};

/// How soon it is looked again whether hosts have become available.
const LOOK_AGAIN: Span = Span::seconds(30);
/// How soon it is looked again whether others are done with a host.
const BUSY_AGAIN: Span = Span::seconds(5);

/// What has to be known for the decision, besides the operation itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Situation {
    /// The hosts that are under way.
    pub underway: Vec<HostRun>,
    /// Those that failed.
    pub failed: Vec<HostRun>,
    /// Some of those that wait, in order, the first among them; there may be more.
    pub waiting: Vec<Candidate>,
    /// How many hosts of the cluster are unavailable that are not under way here. One that has failed here is only as
    /// long as the cluster counts it so, or its node stays cordoned.
    pub unavailable: u64,
}

/// A host that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The host.
    pub run: HostRun,
    /// Whether it is available now, so that beginning with it makes one less.
    pub is_available: bool,
    /// Why it cannot be begun with at all.
    pub unfit: Option<Unfit>,
    /// Whether somebody else is at work on it: another operation, or whoever makes it ready.
    pub is_busy: bool,
}

/// Why a host cannot be begun with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfit {
    /// It does not belong to the cluster any more.
    Left,
    /// There is no such host any more.
    Deleted,
    /// It is no atomic host, and a version is to be deployed.
    NotAtomic,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Write down more of its hosts.
    Gather,
    /// Have these hosts in other states, about which nobody has to be asked.
    Settle(Vec<(HostAddress, RunState)>),
    /// Lift the cordons of these hosts, and give up those of them that are under way.
    Release(Vec<HostAddress>),
    /// Begin with these hosts, all at once.
    Begin(Vec<HostAddress>),
    /// Look at the hosts under way, if there are any; nothing else before this time, unless one of them gets further.
    Await {
        /// When to ask again.
        until: Timestamp,
        /// What it waits for.
        why: Why,
    },
    /// Nothing until somebody resumes it.
    Paused,
    /// It ends so.
    Finish(Outcome),
    /// It has ended.
    Ended(Outcome),
}

/// What an operation waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Hosts that are under way.
    Hosts,
    /// Its time, or its next maintenance window.
    Schedule,
    /// Hosts to become available: so many are not, and no more than so many may be.
    Unavailable {
        /// How many are not.
        are: u64,
        /// How many may be.
        may_be: u64,
    },
    /// Others to be done with the host that is next: another operation, or whoever makes it ready.
    Others,
}

/// What `rollout` does next.
#[must_use]
pub fn next(rollout: &Rollout, seen: &Situation, now: Timestamp) -> Next {
    if let Some(outcome) = rollout.outcome {
        return Next::Ended(outcome);
    }
    let settled: Vec<_> = seen.underway.iter().filter_map(|run| settled(rollout, run, now)).collect();
    if !settled.is_empty() {
        return Next::Settle(settled);
    }
    let released = released(rollout, seen);
    if !released.is_empty() {
        return Next::Release(released);
    }
    let look = |why| Next::Await { until: deadline(rollout, seen, now), why };
    if rollout.wish == Wish::Abort {
        return Next::Finish(Outcome::Aborted);
    }
    if rollout.is_stopped() {
        return if seen.underway.is_empty() { Next::Finish(Outcome::Failed) } else { look(Why::Hosts) };
    }
    if !rollout.is_gathered {
        return Next::Gather;
    }
    if rollout.waiting() == 0 {
        return if seen.underway.is_empty() { Next::Finish(Outcome::Finished) } else { look(Why::Hosts) };
    }
    if rollout.wish == Wish::Pause {
        return if seen.underway.is_empty() { Next::Paused } else { look(Why::Hosts) };
    }
    let opens = rollout.policy.opens(now);
    if opens > now {
        let until = if seen.underway.is_empty() { opens } else { opens.min(deadline(rollout, seen, now)) };
        return Next::Await { until, why: Why::Schedule };
    }
    match begun(rollout, seen, now) {
        Ok(next) => next,
        Err(Why::Others) => {
            Next::Await { until: deadline(rollout, seen, now).min(now + BUSY_AGAIN), why: Why::Others }
        }
        Err(why) => look(why),
    }
}

/// The state that time alone brings a host under way into.
fn settled(rollout: &Rollout, run: &HostRun, now: Timestamp) -> Option<(HostAddress, RunState)> {
    let state = match &run.state {
        RunState::Soaking { since } if *since + rollout.policy.gates.soak <= now => {
            RunState::Done { at: now }
        }
        state => {
            let limit = rollout.policy.host_limit(rollout.plan.kind());
            if state.limited_since()? + limit > now {
                return None;
            }
            RunState::Failed { reason: too_late(rollout, state), at: now }
        }
    };
    Some((run.address.clone(), state))
}

/// What to say of a host that is in `state` when its time is over.
#[must_use]
pub fn too_late(rollout: &Rollout, state: &RunState) -> String {
    let kind = rollout.plan.kind();
    let what = match (state, kind) {
        (RunState::Begun { .. }, OperationKind::Restart) => "its restart was not done",
        (RunState::Begun { .. }, OperationKind::Upgrade) => "its upgrade was not done",
        (RunState::Begun { .. }, OperationKind::Deploy) => "its deployment was not done",
        (_, OperationKind::Restart) => "it did not come back from its restart and show that it is well",
        (_, OperationKind::Upgrade | OperationKind::Deploy) => "it did not show that it is well",
    };
    format!("{what} within {} seconds", rollout.policy.host_limit(kind).as_seconds())
}

/// The hosts that have a cordon which is no longer for anything, and when it is aborted all that are under way.
fn released(rollout: &Rollout, seen: &Situation) -> Vec<HostAddress> {
    let failed = seen.failed.iter().filter(|run| run.cordon == Cordon::Perhaps);
    let underway = seen.underway.iter().filter(|_| rollout.wish == Wish::Abort);
    failed.chain(underway).map(|run| run.address.clone()).collect()
}

/// When time alone brings a host under way further; or when to look again whether others are available.
fn deadline(rollout: &Rollout, seen: &Situation, now: Timestamp) -> Timestamp {
    let limit = rollout.policy.host_limit(rollout.plan.kind());
    let of = |run: &HostRun| match &run.state {
        RunState::Soaking { since } => Some(*since + rollout.policy.gates.soak),
        state => state.limited_since().map(|since| since + limit),
    };
    seen.underway.iter().filter_map(of).min().unwrap_or(now + LOOK_AGAIN)
}

/// The hosts to begin with; why there are none otherwise.
fn begun(rollout: &Rollout, seen: &Situation, now: Timestamp) -> Result<Next, Why> {
    let (underway, room) = (seen.underway.len() as u64, rollout.room());
    if room == 0 {
        return Err(Why::Hosts);
    }
    let canaries = if rollout.is_with_canaries() { rollout.canaries() } else { u64::MAX };
    let candidates = || seen.waiting.iter().filter(|candidate| candidate.run.place < canaries);
    let unavailable = seen.unavailable + underway;
    let may_be = rollout.policy.max_unavailable.map_or(u64::MAX, |share| share.of(rollout.total));
    let mut free = may_be.saturating_sub(unavailable);
    let (mut hosts, mut unsuited) = (Vec::new(), Vec::new());
    let mut is_kept_waiting = false;
    for candidate in candidates() {
        if hosts.len() as u64 == room {
            break;
        }
        if let Some(unfit) = candidate.unfit {
            unsuited.push((candidate.run.address.clone(), without(unfit, now)));
            continue;
        }
        if candidate.is_busy {
            is_kept_waiting = true;
            continue;
        }
        // One that is unavailable already can be begun with at any time: there are no more of them then.
        if candidate.is_available {
            if free == 0 {
                continue;
            }
            free -= 1;
        }
        hosts.push(candidate.run.address.clone());
    }
    match (unsuited.is_empty(), hosts.is_empty()) {
        (false, _) => Ok(Next::Settle(unsuited)),
        (true, false) => Ok(Next::Begin(hosts)),
        (true, true) if is_kept_waiting => Err(Why::Others),
        (true, true) if candidates().next().is_none() => Err(Why::Hosts),
        (true, true) => Err(Why::Unavailable { are: unavailable, may_be }),
    }
}

/// The state of a host that cannot be begun with.
fn without(unfit: Unfit, now: Timestamp) -> RunState {
    match unfit {
        Unfit::Left => {
            RunState::Skipped { reason: "it does not belong to the cluster any more".into(), at: now }
        }
        Unfit::Deleted => RunState::Skipped { reason: DELETED.into(), at: now },
        Unfit::NotAtomic => RunState::Failed { reason: NOT_ATOMIC.into(), at: now },
    }
}

/// Why an operation goes on without a host that is no more.
pub(crate) const DELETED: &str = "it was deleted";

/// Why nothing is deployed on a host.
pub(crate) const NOT_ATOMIC: &str =
    "it is no atomic host: a version of the operating system can only be deployed where OSTree manages it";

#[cfg(test)]
mod tests;
