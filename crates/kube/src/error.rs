//! Why an API server did not do what it was asked.

use std::fmt;
use std::time::Duration;

use base::{Explain, Kind};
use http::StatusCode;

use crate::node_name::NodeName;
use crate::settings::Server;

/// What was asked for, in the words of Kubernetes' roles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    /// `get`, `list`, `create`, `update`, `patch` or `delete`.
    pub verb: &'static str,
    /// `nodes`, `pods`, `pods/eviction`, `namespaces`, `configmaps` or `secrets`.
    pub resource: &'static str,
    /// Which one; for a list, those on which node, or with which labels.
    pub name: String,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} `{}`", self.verb, self.resource, self.name)
    }
}

/// Why an API server did not do what it was asked. No secret is in it, not even when the server repeats one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It does not know us.
    #[error("{server} does not accept our credentials, so we could not {action}")]
    Unauthenticated {
        /// Who says so.
        server: Server,
        /// What we wanted.
        action: Action,
    },
    /// It knows us, and that is why.
    #[error("{server} does not let us {action}{}", said(.message))]
    Forbidden {
        /// Who says so.
        server: Server,
        /// What we wanted.
        action: Action,
        /// What it says about it.
        message: String,
    },
    /// It has no such thing.
    #[error("{server} has no {} `{}`", .action.resource, .action.name)]
    NotFound {
        /// Who says so.
        server: Server,
        /// What we wanted.
        action: Action,
    },
    /// It understands and refuses.
    #[error("{server} refuses to {action} ({status}){}", said(.message))]
    Refused {
        /// Who says so.
        server: Server,
        /// What we wanted.
        action: Action,
        /// The status of its answer.
        status: StatusCode,
        /// What it says about it.
        message: String,
    },
    /// It cannot now: it has too much to do, or is at fault.
    #[error("{server} cannot {action} now ({status}){}", said(.message))]
    Failing {
        /// Who says so.
        server: Server,
        /// What we wanted.
        action: Action,
        /// The status of its answer.
        status: StatusCode,
        /// What it says about it.
        message: String,
        /// How long it wants to be left alone; zero when it does not say.
        retry_after: Duration,
    },
    /// There is no connection.
    #[error("{server} cannot be reached: {why}")]
    Unreachable {
        /// Who.
        server: Server,
        /// Why not.
        why: String,
    },
    /// The two do not trust each other.
    #[error("no TLS with {server}: {why}")]
    Tls {
        /// Who.
        server: Server,
        /// Why not.
        why: String,
    },
    /// It said nothing, or not all, in time. Whether it did what it was asked is not known.
    #[error("{server} did not answer within {} s when asked to {action}", .within.as_secs_f32())]
    TimedOut {
        /// Who.
        server: Server,
        /// What we wanted.
        action: Action,
        /// How long it had.
        within: Duration,
    },
    /// The connection broke. Whether it did what it was asked is not known.
    #[error("the connection to {server} broke when it was asked to {action}: {why}")]
    Interrupted {
        /// Who.
        server: Server,
        /// What we wanted.
        action: Action,
        /// How it broke.
        why: String,
    },
    /// What it answers is not what an API server answers.
    #[error("{server} does not answer as an API server when asked to {action}: {why}")]
    Malformed {
        /// Who.
        server: Server,
        /// What we wanted.
        action: Action,
        /// What is wrong, without anything of the answer.
        why: String,
    },
    /// A node was not ready in time.
    #[error("the node `{node}` was not ready within {} s: {why}", .within.as_secs())]
    NotReady {
        /// Which node.
        node: NodeName,
        /// How long it had.
        within: Duration,
        /// What was seen last.
        why: String,
    },
}

fn said(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(": {message}") }
}

impl Error {
    /// How long the server wants to be left alone; zero when it does not say.
    pub(crate) fn retry_after(&self) -> Duration {
        if let Self::Failing { retry_after, .. } = self { *retry_after } else { Duration::ZERO }
    }

    /// Whether asking again later may help although nobody does anything about it.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Failing { .. }
            | Self::Unreachable { .. }
            | Self::TimedOut { .. }
            | Self::Interrupted { .. }
            | Self::NotReady { .. } => true,
            Self::Unauthenticated { .. }
            | Self::Forbidden { .. }
            | Self::NotFound { .. }
            | Self::Refused { .. }
            | Self::Tls { .. }
            | Self::Malformed { .. } => false,
        }
    }
}

impl Explain for Error {
    /// What an API server thinks of our credentials says nothing about whoever asks us: to them it is out of reach.
    fn kind(&self) -> Kind {
        match self {
            Self::NotFound { .. } => Kind::NotFound,
            Self::Refused { status, .. } if *status == StatusCode::CONFLICT => Kind::Conflict,
            Self::Refused { .. } => Kind::Invalid,
            Self::TimedOut { .. } | Self::NotReady { .. } => Kind::TimedOut,
            Self::Unauthenticated { .. }
            | Self::Forbidden { .. }
            | Self::Failing { .. }
            | Self::Unreachable { .. }
            | Self::Tls { .. }
            | Self::Interrupted { .. }
            | Self::Malformed { .. } => Kind::Unavailable,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Unauthenticated { .. } => {
                Some("look whether the container manager's token or certificate has expired".to_owned())
            }
            Self::Forbidden { action, .. } => {
                let Action { verb, resource, .. } = action;
                Some(format!("bind our user to a cluster role with the verb `{verb}` on `{resource}`"))
            }
            Self::Tls { .. } => Some(
                "give the certificate of its authority as `ca_path`, and look at the names in its own"
                    .to_owned(),
            ),
            Self::Malformed { .. } => {
                Some("look whether `server_url` is that of the API server itself".to_owned())
            }
            Self::TimedOut { .. } | Self::Interrupted { .. } => {
                Some("ask again: whatever became of it, that does no harm".to_owned())
            }
            Self::NotFound { .. }
            | Self::Refused { .. }
            | Self::Failing { .. }
            | Self::Unreachable { .. }
            | Self::NotReady { .. } => None,
        }
    }
}
