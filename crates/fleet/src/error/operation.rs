//! What can go wrong when an operation is started, carried out or steered.

use base::{Explain, Kind};
use store::CommitError;

use crate::address::HostAddress;
use crate::name::ClusterName;
use crate::operation::Operation;
use crate::policy::BadPolicy;
use crate::rollout::{Outcome, RolloutId};

use super::of_store;

/// Why an operation was not started or cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum OperationError {
    /// There is no such cluster.
    #[error("the cluster `{cluster}` does not exist")]
    NoSuchCluster {
        /// Which.
        cluster: ClusterName,
    },
    /// There has been no such operation on the cluster.
    #[error("there has been no {kind} of the cluster `{cluster}`")]
    NeverStarted {
        /// Which cluster.
        cluster: ClusterName,
        /// Which kind.
        kind: &'static str,
    },
    /// Another operation is running on the cluster.
    #[error("the {} of `{}` that began at {} is still running", .running.plan.kind().as_str(), .running.cluster, .running.started_at)]
    Running {
        /// That operation.
        running: Box<Operation>,
    },
    /// The store failed, or others were faster too often.
    #[error("could not read or write the operation")]
    Store(#[source] CommitError),
}

impl Explain for OperationError {
    fn kind(&self) -> Kind {
        match self {
            Self::NoSuchCluster { .. } | Self::NeverStarted { .. } => Kind::NotFound,
            Self::Running { .. } => Kind::Conflict,
            Self::Store(source) => of_store(source),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Running { running } => Some(format!(
                "wait for it to end, or end it with `provost operation abort {0}`; `provost operation show {0}` tells \
                 whether it waits for its time",
                running.cluster
            )),
            Self::NoSuchCluster { .. } | Self::NeverStarted { .. } | Self::Store(_) => None,
        }
    }
}

/// Why an operation was not carried on.
#[derive(Debug, thiserror::Error)]
pub enum RolloutError {
    /// There is no such operation.
    #[error("the cluster `{cluster}` has no operation {id}")]
    NoSuchOperation {
        /// The cluster.
        cluster: ClusterName,
        /// Which.
        id: RolloutId,
    },
    /// Another process has taken the work over; this one must not go on with it.
    #[error("the claim on `{claim}` is another's by now")]
    ClaimLost {
        /// Which.
        claim: String,
    },
    /// The host is not where it would have to be for this.
    #[error("the host {address} is not under way in the operation {id} on `{cluster}`")]
    NotUnderWay {
        /// The cluster.
        cluster: ClusterName,
        /// Which operation.
        id: RolloutId,
        /// Which host.
        address: HostAddress,
    },
    /// The store failed, or others were faster too often.
    #[error("could not read or write the operation")]
    Store(#[source] CommitError),
}

impl Explain for RolloutError {
    fn kind(&self) -> Kind {
        match self {
            Self::NoSuchOperation { .. } => Kind::NotFound,
            Self::ClaimLost { .. } | Self::NotUnderWay { .. } => Kind::Conflict,
            Self::Store(source) => of_store(source),
        }
    }
}

/// Why an operation was not steered, planned or shown.
#[derive(Debug, thiserror::Error)]
pub enum SteerError {
    /// There is no such cluster.
    #[error("the cluster `{cluster}` does not exist")]
    NoSuchCluster {
        /// Which.
        cluster: ClusterName,
    },
    /// It has ended.
    #[error("the operation {id} on `{cluster}` has ended: {}", .outcome.as_str())]
    Ended {
        /// The cluster.
        cluster: ClusterName,
        /// Which.
        id: RolloutId,
        /// How.
        outcome: Outcome,
    },
    /// It is being aborted.
    #[error("the operation {id} on `{cluster}` is being aborted")]
    Aborting {
        /// The cluster.
        cluster: ClusterName,
        /// Which.
        id: RolloutId,
    },
    /// It has not ended, so there is nothing to try again yet.
    #[error("the operation {id} on `{cluster}` has not ended")]
    NotEnded {
        /// The cluster.
        cluster: ClusterName,
        /// Which.
        id: RolloutId,
    },
    /// Every host of it is done or skipped.
    #[error("the operation {id} on `{cluster}` has left nothing to be tried again")]
    NothingLeft {
        /// The cluster.
        cluster: ClusterName,
        /// Which.
        id: RolloutId,
    },
    /// A later operation of its kind has been started since, or the cluster was made anew.
    #[error(
        "there has been a later operation on `{cluster}` of the same kind as {id}, or the cluster was deleted and \
         made again"
    )]
    Superseded {
        /// The cluster.
        cluster: ClusterName,
        /// Which.
        id: RolloutId,
    },
    /// It has no such host.
    #[error("the operation {id} on `{cluster}` has no host {address}")]
    NoSuchHost {
        /// The cluster.
        cluster: ClusterName,
        /// Which operation.
        id: RolloutId,
        /// Which host.
        address: HostAddress,
    },
    /// The host is under way or done already.
    #[error("the host {address} cannot be skipped: it is {state}")]
    NotSkippable {
        /// Which.
        address: HostAddress,
        /// How far it is.
        state: &'static str,
    },
    /// The policy is none.
    #[error(transparent)]
    Policy(#[from] BadPolicy),
    /// Another operation is running on the cluster.
    #[error(transparent)]
    Operation(#[from] OperationError),
    /// There is no such operation, or the store failed.
    #[error(transparent)]
    Rollout(#[from] RolloutError),
}

impl Explain for SteerError {
    fn kind(&self) -> Kind {
        match self {
            Self::NoSuchCluster { .. } | Self::NoSuchHost { .. } => Kind::NotFound,
            Self::Ended { .. }
            | Self::Aborting { .. }
            | Self::NotEnded { .. }
            | Self::NothingLeft { .. }
            | Self::Superseded { .. }
            | Self::NotSkippable { .. } => Kind::Conflict,
            Self::Policy(source) => source.kind(),
            Self::Operation(source) => source.kind(),
            Self::Rollout(source) => source.kind(),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Ended { outcome: Outcome::Failed | Outcome::Aborted, .. } => {
                Some("retry it, or start another".into())
            }
            Self::NotEnded { .. } => Some("wait for it to end, or abort it".into()),
            Self::NothingLeft { .. } | Self::Superseded { .. } => Some("start another".into()),
            Self::Operation(source) => source.help(),
            Self::Rollout(source) => source.help(),
            Self::NoSuchCluster { .. }
            | Self::NoSuchHost { .. }
            | Self::Ended { .. }
            | Self::Aborting { .. }
            | Self::NotSkippable { .. }
            | Self::Policy(_) => None,
        }
    }
}

impl From<CommitError> for SteerError {
    fn from(error: CommitError) -> Self {
        Self::Rollout(error.into())
    }
}

impl From<store::Error> for SteerError {
    fn from(error: store::Error) -> Self {
        Self::Rollout(error.into())
    }
}
