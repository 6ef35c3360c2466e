//! An operation as it goes through a cluster: what was asked for, and how far it has come.
//!
//! What stands here is small however many hosts there are: counts, and the places of those hosts that are under way or
//! have failed, of which there are few by the rules of the policy. Each host has a record of its own ([`HostRun`]).
//! Whoever changes a host's record changes this one in the same commit, so the counts are always those of the hosts,
//! and two who decide at the same time cannot both be right.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use base::{Explain, Kind, Timestamp};

use crate::carry::Beginning;
use crate::moment;
use crate::name::ClusterName;
use crate::operation::{Operation, OperationKind, Plan};
use crate::policy::{Policy, UNDERWAY_MAX};
use crate::run::{Cordon, HostRun, RunState};

/// Which of a cluster's operations: when it was asked for, in milliseconds since the epoch, or a little more where two
/// came at once. Later ones are larger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RolloutId(pub(crate) u64);

impl RolloutId {
    /// As a number; JavaScript can hold it.
    #[must_use]
    pub fn as_number(self) -> u64 {
        self.0
    }

    /// As it stands in keys, where later ones come behind.
    pub(crate) fn in_key(self) -> String {
        format!("{:016}", self.0)
    }
}

impl fmt::Display for RolloutId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why a text is no operation's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an operation's id is a number of up to 16 digits")]
pub struct BadRolloutId;

impl Explain for BadRolloutId {
    fn kind(&self) -> Kind {
        Kind::Invalid
    }
}

impl FromStr for RolloutId {
    type Err = BadRolloutId;

    fn from_str(text: &str) -> Result<Self, BadRolloutId> {
        if text.len() > 16 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(BadRolloutId);
        }
        text.parse().map(Self).map_err(|_| BadRolloutId)
    }
}

/// What the operator wants of it now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// That it goes on.
    Run,
    /// That no more hosts are begun with.
    Pause,
    /// That it ends, and leaves nothing cordoned.
    Abort,
}

impl Wish {
    /// As it is stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Pause => "pause",
            Self::Abort => "abort",
        }
    }
}

/// How an operation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All hosts are done or skipped, or as many as may fail have failed.
    Finished,
    /// More hosts failed than may.
    Failed,
    /// An operator has aborted it.
    Aborted,
}

impl Outcome {
    /// As it is stored and shown.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::Failed => "failed",
            Self::Aborted => "aborted",
        }
    }
}

/// What a person is told about how an operation is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Its hosts are being written down.
    Gathering,
    /// It waits for its time, or for its next maintenance window.
    Scheduled {
        /// When that is.
        until: Timestamp,
    },
    /// Hosts are under way, or about to be.
    Running,
    /// No more hosts are begun with, and some are still under way.
    Pausing,
    /// Nothing happens until it is resumed.
    Paused,
    /// More hosts failed than may, and some are still under way.
    Stopping,
    /// It is being aborted.
    Aborting,
    /// It has ended.
    Ended(Outcome),
}

impl Phase {
    /// As it is shown.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gathering => "gathering",
            Self::Scheduled { .. } => "scheduled",
            Self::Running => "running",
            Self::Pausing => "pausing",
            Self::Paused => "paused",
            Self::Stopping => "stopping",
            Self::Aborting => "aborting",
            Self::Ended(outcome) => outcome.as_str(),
        }
    }
}

/// An operation on a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rollout {
    /// On which.
    pub cluster: ClusterName,
    /// Which of its operations.
    pub id: RolloutId,
    /// What is done to each host.
    pub plan: Plan,
    /// How.
    pub policy: Policy,
    /// Who asked for it.
    pub by: String,
    /// What is wanted of it.
    pub wish: Wish,
    /// How it ended; absent while it has not.
    pub outcome: Option<Outcome>,
    /// How many hosts it is for.
    pub total: u64,
    /// How many are done.
    pub done: u64,
    /// How many it goes on without.
    pub skipped: u64,
    /// When it was asked for.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// The places of the hosts that are under way.
    pub(crate) underway: BTreeSet<u64>,
    /// The places of those that failed.
    pub(crate) failed: BTreeSet<u64>,
    /// How many of its hosts have been written down.
    pub(crate) gathered: u64,
    /// Whether that is all of them.
    pub(crate) is_gathered: bool,
    /// No host before this place waits.
    pub(crate) cursor: u64,
    /// How many hosts of the batch that is under way have not been begun with.
    pub(crate) batch_left: u64,
}

impl Rollout {
    /// One that has just been asked for, for `total` hosts that are still to be written down.
    pub(crate) fn asked_for(
        (cluster, id): (ClusterName, RolloutId),
        (plan, policy): (Plan, Policy),
        by: String,
        total: u64,
        now: Timestamp,
    ) -> Self {
        Self {
            cluster,
            id,
            plan,
            policy,
            by,
            wish: Wish::Run,
            outcome: None,
            total,
            done: 0,
            skipped: 0,
            started_at: now,
            ended_at: None,
            underway: BTreeSet::new(),
            failed: BTreeSet::new(),
            gathered: 0,
            is_gathered: false,
            cursor: 0,
            batch_left: 0,
        }
    }

    /// As the original would show it, without its hosts.
    pub(crate) fn as_operation(&self) -> Operation {
        let started_at = moment::of(self.started_at);
        let begun = Operation::begun(self.cluster.clone(), self.plan.clone(), started_at);
        Operation { id: Some(self.id), ..begun }
    }

    /// How many hosts are under way.
    #[must_use]
    pub fn underway(&self) -> u64 {
        self.underway.len() as u64
    }

    /// How many have failed.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.failed.len() as u64
    }

    /// How many have not been begun with.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        self.total.saturating_sub(self.done + self.skipped + self.underway() + self.failed())
    }

    /// How many hosts come first.
    #[must_use]
    pub fn canaries(&self) -> u64 {
        self.policy.canary.map_or(0, |share| share.of(self.total).min(self.total))
    }

    /// Whether more hosts failed than may, so that no more are begun with.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        let has_canary_failed = self.failed.first().is_some_and(|place| *place < self.canaries());
        has_canary_failed || self.failed() > u64::from(self.policy.failures_max)
    }

    /// How it is doing.
    #[must_use]
    pub fn phase(&self, now: Timestamp) -> Phase {
        let opens = self.policy.opens(now);
        match (self.outcome, self.wish) {
            (Some(outcome), _) => Phase::Ended(outcome),
            (None, Wish::Abort) => Phase::Aborting,
            (None, _) if self.is_stopped() => Phase::Stopping,
            (None, Wish::Pause) if self.underway() > 0 => Phase::Pausing,
            (None, Wish::Pause) => Phase::Paused,
            (None, Wish::Run) if !self.is_gathered => Phase::Gathering,
            (None, Wish::Run) if opens > now && self.underway() == 0 && self.waiting() > 0 => {
                Phase::Scheduled { until: opens }
            }
            (None, Wish::Run) => Phase::Running,
        }
    }

    /// Has a host in another state: the counts follow.
    pub(crate) fn shift(&mut self, run: &mut HostRun, to: RunState) {
        let place = run.place;
        match &run.state {
            RunState::Waiting => {
                if self.cursor == place {
                    self.cursor += 1;
                }
            }
            RunState::Begun { .. } | RunState::Awaiting { .. } | RunState::Soaking { .. } => {
                self.underway.remove(&place);
            }
            RunState::Done { .. } => self.done = self.done.saturating_sub(1),
            RunState::Failed { reason, .. } => {
                self.failed.remove(&place);
                if to == RunState::Waiting {
                    run.past.reason = Some(reason.clone());
                }
            }
            RunState::Skipped { .. } => self.skipped = self.skipped.saturating_sub(1),
        }
        match &to {
            RunState::Waiting => self.cursor = self.cursor.min(place),
            RunState::Begun { .. } | RunState::Awaiting { .. } | RunState::Soaking { .. } => {
                self.underway.insert(place);
            }
            RunState::Done { .. } => self.done += 1,
            RunState::Failed { .. } => {
                self.failed.insert(place);
            }
            RunState::Skipped { .. } => self.skipped += 1,
        }
        run.state = to;
    }

    /// Begins with a host that waits. A cordon of somebody else is none of ours, unless it is one that we have left.
    pub(crate) fn begin(&mut self, run: &mut HostRun, with: &Beginning, now: Timestamp) {
        if self.underway.is_empty() {
            self.batch_left = self.batch_size();
        }
        self.batch_left = self.batch_left.saturating_sub(1);
        if self.policy.drain && (!with.is_cordoned || run.cordon != Cordon::None) {
            run.cordon = Cordon::Perhaps;
        }
        run.past.attempts = run.past.attempts.saturating_add(1);
        let mut boot_id = with.boot_id.clone();
        if self.plan.kind() == OperationKind::Restart {
            // What was sent before an abort may have been done after it.
            boot_id = run.past.boot_id.take().or(boot_id);
            run.past.boot_id.clone_from(&boot_id);
        }
        self.shift(run, RunState::Begun { boot_id, at: now });
    }

    /// How many hosts are begun with before all of them have to be done; as many as there may be where only
    /// `max_unavailable` says how many.
    pub(crate) fn batch_size(&self) -> u64 {
        let Policy { batch, max_unavailable, .. } = &self.policy;
        match (self.is_with_canaries(), batch, max_unavailable) {
            (true, ..) => self.canaries(),
            (false, Some(batch), _) => batch.of(self.total),
            (false, None, Some(_)) => u64::MAX,
            (false, None, None) => 1,
        }
    }

    /// How many hosts may be begun with now, as far as that depends on those under way.
    pub(crate) fn room(&self) -> u64 {
        let underway = self.underway();
        let of_batch = if underway == 0 { self.batch_size() } else { self.batch_left };
        of_batch.min(UNDERWAY_MAX.saturating_sub(underway))
    }

    /// Whether canaries wait or are under way.
    pub(crate) fn is_with_canaries(&self) -> bool {
        let canaries = self.canaries();
        self.cursor < canaries || self.underway.first().is_some_and(|place| *place < canaries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_numbers() {
        for (text, fits) in
            [("1481000000000", true), ("0", true), ("9999999999999999", true), ("10000000000000000", false)]
        {
            assert_eq!(text.parse::<RolloutId>().is_ok(), fits, "{text}");
        }
        for text in ["", "+1", "-1", "1a"] {
            assert_eq!(text.parse::<RolloutId>(), Err(BadRolloutId), "{text}");
        }
        let id: RolloutId = "1481000000000".parse().unwrap();
        assert_eq!((id.to_string().as_str(), id.in_key().as_str()), ("1481000000000", "0001481000000000"));
    }
}
