//! How far one host is in an operation.
//!
//! ```text
//! waiting ──► begun ──► awaiting ──► soaking ──► done
//!    │          └──────────┴────────────┴──────► failed ──► waiting (retried)
//!    └─────────────────────────────────────────► skipped
//! ```
//! `begun` is stored, with the boot id, before anything is done to the host, and `awaiting` once its command has been
//! taken. Whoever finds a host `begun` after a crash compares the boot id: another one means that it was restarted.
//! The same one says nothing, so the command itself must be one that does its work once, however often it is sent: it
//! marks the host with the operation's id, where the mark lives as long as the boot does.
//!
//! What earlier attempts left is kept beside the state ([`Past`]): a host whose restart was sent, and who has restarted
//! since, is not restarted again when it is tried again.

use base::Timestamp;

use crate::address::HostAddress;

/// One host of an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostRun {
    /// Its place in the order of the operation, from 0.
    pub place: u64,
    /// Which.
    pub address: HostAddress,
    /// How far it is.
    pub state: RunState,
    /// Whether the operation has its node cordoned.
    pub cordon: Cordon,
    /// What attempts have left.
    pub past: Past,
}

/// What attempts to come through an operation have left of a host.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Past {
    /// How often it was begun with.
    pub attempts: u32,
    /// Of a restart: of the boot in which it was first begun with, and which is to end.
    pub boot_id: Option<String>,
    /// Why it failed last, of one that is tried again.
    pub reason: Option<String>,
}

/// How far a host is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunState {
    /// Nothing was done to it.
    Waiting,
    /// It is next: it may have been cordoned, drained, and sent its command, or none of it.
    Begun {
        /// Of the boot before; absent when it matters to nobody.
        boot_id: Option<String>,
        /// Since when.
        at: Timestamp,
    },
    /// Its command was taken; it has not yet shown what its gates ask for.
    Awaiting {
        /// Of the boot before.
        boot_id: Option<String>,
        /// When it was begun with.
        begun_at: Timestamp,
        /// Since when.
        since: Timestamp,
    },
    /// It has shown everything, its node is no longer cordoned, and the soak time runs.
    Soaking {
        /// Since when.
        since: Timestamp,
    },
    /// All of it is behind it.
    Done {
        /// Since when.
        at: Timestamp,
    },
    /// It has not come through.
    Failed {
        /// Why, for a person who is to do something about it.
        reason: String,
        /// Since when.
        at: Timestamp,
    },
    /// The operation goes on without it.
    Skipped {
        /// Why.
        reason: String,
        /// Since when.
        at: Timestamp,
    },
}

/// What became of a node's cordon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cordon {
    /// It has none of ours.
    None,
    /// It may have one.
    Perhaps,
    /// It could not be lifted, and somebody has to.
    Left,
}

impl RunState {
    /// As it is stored and shown.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Begun { .. } => "begun",
            Self::Awaiting { .. } => "awaiting",
            Self::Soaking { .. } => "soaking",
            Self::Done { .. } => "done",
            Self::Failed { .. } => "failed",
            Self::Skipped { .. } => "skipped",
        }
    }

    /// Whether it is being worked on.
    #[must_use]
    pub fn is_underway(&self) -> bool {
        matches!(self, Self::Begun { .. } | Self::Awaiting { .. } | Self::Soaking { .. })
    }

    /// When it was begun with, while the limit on its time runs.
    #[must_use]
    pub fn limited_since(&self) -> Option<Timestamp> {
        match self {
            Self::Begun { at, .. } => Some(*at),
            Self::Awaiting { begun_at, .. } => Some(*begun_at),
            Self::Waiting
            | Self::Soaking { .. }
            | Self::Done { .. }
            | Self::Failed { .. }
            | Self::Skipped { .. } => None,
        }
    }

    /// Of the boot before, where it is known.
    #[must_use]
    pub fn boot_id(&self) -> Option<&str> {
        match self {
            Self::Begun { boot_id, .. } | Self::Awaiting { boot_id, .. } => boot_id.as_deref(),
            Self::Waiting
            | Self::Soaking { .. }
            | Self::Done { .. }
            | Self::Failed { .. }
            | Self::Skipped { .. } => None,
        }
    }
}

impl Cordon {
    /// As it is stored and shown.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Perhaps => "perhaps",
            Self::Left => "left",
        }
    }
}
