//! What can go wrong, one enum for each operation. Those that belong to one noun stand in its file; here are those that
//! several speak of, and what all have in common.
//!
//! Faces that speak the original's dialect map the variants to its codes (commissaire contract, section 3);
//! [`Explain::kind`] is for everybody else.

use base::{Explain, Kind};
use store::{CommitError, SealError};

use crate::address::HostAddress;
use crate::name::ClusterName;

mod host_key;
mod operation;

pub use host_key::HostKeyError;
pub use operation::{OperationError, RolloutError, SteerError};

/// Why a sealed secret could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenSecretError {
    /// The seal does not open.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// What was sealed is not what this program seals.
    #[error("what was sealed is no secret of ours: {reason}")]
    Content {
        /// What is wrong with it.
        reason: String,
    },
}

/// Why hosts or clusters could not be listed.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// The store failed.
    #[error("could not read the records")]
    Store(#[source] CommitError),
}

impl Explain for ListError {
    fn kind(&self) -> Kind {
        match self {
            Self::Store(source) => of_store(source),
        }
    }
}

/// Why the hosts of a cluster were not changed.
#[derive(Debug, thiserror::Error)]
pub enum MembersError {
    /// There is no such cluster.
    #[error("the cluster `{cluster}` does not exist")]
    NoSuchCluster {
        /// Which.
        cluster: ClusterName,
    },
    /// There is no such host.
    #[error("the host {address} does not exist")]
    NoSuchHost {
        /// Which; perhaps no address at all.
        address: String,
    },
    /// The host does not belong to the cluster, or does not exist.
    #[error("the host {address} does not belong to the cluster `{cluster}`")]
    NotAMember {
        /// Which cluster.
        cluster: ClusterName,
        /// Which host.
        address: HostAddress,
    },
    /// The host belongs to another cluster.
    #[error("the host {address} belongs to the cluster `{other}`")]
    InAnotherCluster {
        /// Which.
        address: HostAddress,
        /// Where it is.
        other: ClusterName,
    },
    /// The host is not ready to join.
    #[error("the host {address} cannot join: {}", how_far(.status))]
    Unsuitable {
        /// Which.
        address: HostAddress,
        /// Its status; neither `active` nor `disassociated`.
        status: String,
    },
    /// The container manager that would get the host does not exist.
    #[error("the cluster `{cluster}` names the container manager `{manager}`, which does not exist")]
    NoSuchContainerManager {
        /// The cluster.
        cluster: ClusterName,
        /// What it names.
        manager: String,
    },
    /// The cluster does not have the hosts that whoever asks believes it has.
    #[error("the cluster `{cluster}` has other hosts than expected")]
    NotAsExpected {
        /// Which.
        cluster: ClusterName,
    },
    /// A change of more hosts than one commit takes has begun, and then the store failed.
    #[error(
        "the hosts of the cluster `{cluster}` are being changed, and it could not be seen to its end: it is gone on with \
         within half a minute once the store answers, until it is done or undone as a whole"
    )]
    Begun {
        /// Which.
        cluster: ClusterName,
        /// Why it was not seen.
        #[source]
        source: CommitError,
    },
    /// The same may have begun: the store did not say.
    #[error(
        "nobody knows yet whether the hosts of the cluster `{cluster}` are being changed: if they are, it is gone on with \
         within half a minute once the store answers, until it is done or undone as a whole; if not, nothing was changed"
    )]
    PerhapsBegun {
        /// Which.
        cluster: ClusterName,
        /// What the store said.
        #[source]
        source: CommitError,
    },
    /// The store failed, or others were faster too often.
    #[error("could not read or write the hosts of the cluster")]
    Store(#[source] CommitError),
}

impl Explain for MembersError {
    fn kind(&self) -> Kind {
        match self {
            Self::NoSuchCluster { .. } | Self::NoSuchHost { .. } | Self::NotAMember { .. } => Kind::NotFound,
            Self::InAnotherCluster { .. }
            | Self::Unsuitable { .. }
            | Self::NoSuchContainerManager { .. }
            | Self::NotAsExpected { .. } => Kind::Conflict,
            Self::Begun { .. } | Self::PerhapsBegun { .. } => Kind::Unavailable,
            Self::Store(source) => of_store(source),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::InAnotherCluster { other, .. } => Some(format!("let it leave `{other}` first")),
            Self::Unsuitable { .. } => {
                Some("a host joins once it is bootstrapped: `active` or `disassociated`".into())
            }
            Self::NoSuchContainerManager { .. } => {
                Some("create the container manager, or have the cluster name none".into())
            }
            Self::NotAsExpected { .. } => Some("look at the cluster's hosts again".into()),
            Self::Begun { .. } | Self::PerhapsBegun { .. } => {
                Some("look at the cluster's hosts then, before you ask again".into())
            }
            Self::NoSuchHost { .. } => Some("add the host first".into()),
            Self::NoSuchCluster { .. } | Self::NotAMember { .. } | Self::Store(_) => None,
        }
    }

    fn told(&self) -> Option<String> {
        matches!(self, Self::Begun { .. } | Self::PerhapsBegun { .. }).then(|| self.to_string())
    }
}

/// Why a network or a container manager could not be shown, made or deleted.
#[derive(Debug, thiserror::Error)]
pub enum DefinitionError {
    /// There is none of this name.
    #[error("the {noun} `{name}` does not exist")]
    NotFound {
        /// `network` or `container manager`.
        noun: &'static str,
        /// Which.
        name: String,
    },
    /// There is another one of this name.
    #[error("the {noun} `{name}` exists, and is another one")]
    Different {
        /// `network` or `container manager`.
        noun: &'static str,
        /// Which.
        name: String,
    },
    /// It is not as whoever asks has seen it.
    #[error("the {noun} `{name}` was changed meanwhile")]
    Changed {
        /// `network` or `container manager`.
        noun: &'static str,
        /// Which.
        name: String,
    },
    /// Clusters name it.
    #[error("the {noun} `{name}` is in use by {}", listed(clusters))]
    InUse {
        /// `network` or `container manager`.
        noun: &'static str,
        /// Which.
        name: String,
        /// The clusters' names, at least one.
        clusters: Vec<String>,
    },
    /// Its options take more room than a record has.
    #[error("the options of the {noun} `{name}` are too large: a {noun} may have {} KiB, secrets sealed", store::VALUE_BYTES_MAX / 1024)]
    TooLarge {
        /// `network` or `container manager`.
        noun: &'static str,
        /// Which.
        name: String,
    },
    /// A secret option cannot be opened.
    #[error("the secret options of the {noun} `{name}` cannot be opened")]
    Sealed {
        /// `network` or `container manager`.
        noun: &'static str,
        /// Which.
        name: String,
        /// Why.
        #[source]
        source: OpenSecretError,
    },
    /// The store failed, or others were faster too often.
    #[error("could not read or write the {noun}")]
    Store {
        /// `network` or `container manager`.
        noun: &'static str,
        /// Why.
        #[source]
        source: CommitError,
    },
}

impl Explain for DefinitionError {
    fn kind(&self) -> Kind {
        match self {
            Self::NotFound { .. } => Kind::NotFound,
            Self::Different { .. } | Self::Changed { .. } | Self::InUse { .. } => Kind::Conflict,
            Self::TooLarge { .. } => Kind::TooLarge,
            Self::Sealed { .. } => Kind::Internal,
            Self::Store { source, .. } => of_store(source),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Different { noun, .. } => Some(format!("delete the {noun} first, to make it anew")),
            Self::InUse { noun, clusters, .. } => {
                let them = if clusters.len() == 1 { "it" } else { "them" };
                Some(format!("give {them} another {noun} first, or delete {them}"))
            }
            Self::NotFound { .. }
            | Self::Changed { .. }
            | Self::TooLarge { .. }
            | Self::Sealed { .. }
            | Self::Store { .. } => None,
        }
    }
}

/// Some clusters: as many as one reads.
fn listed(clusters: &[String]) -> String {
    const SHOWN_MAX: usize = 8;
    let names: Vec<String> = clusters.iter().take(SHOWN_MAX).map(|name| format!("`{name}`")).collect();
    let more = clusters.len().saturating_sub(SHOWN_MAX);
    let noun = if clusters.len() == 1 { "the cluster" } else { "the clusters" };
    match names.split_last() {
        _ if more > 0 => format!("{noun} {} and {more} more", names.join(", ")),
        Some((last, others)) if !others.is_empty() => format!("{noun} {} and {last}", others.join(", ")),
        _ => format!("{noun} {}", names.join(", ")),
    }
}

/// What a host's status says, in words.
fn how_far(status: &str) -> String {
    if status.is_empty() {
        "nobody has looked at it yet".to_owned()
    } else {
        format!("its status is `{status}`")
    }
}

/// Losing against others too often is no fault of whoever asks: it may help to ask again.
pub(crate) fn of_store(error: &CommitError) -> Kind {
    match error {
        CommitError::Conflict { .. } => Kind::Unavailable,
        error => error.kind(),
    }
}

/// The store's errors in those of an operation.
macro_rules! from_store {
    ($($error:ident),*) => {
        $(impl From<store::CommitError> for $error {
            fn from(error: store::CommitError) -> Self {
                Self::Store(error)
            }
        }

        impl From<store::Error> for $error {
            fn from(error: store::Error) -> Self {
                Self::Store(store::CommitError::Store(error))
            }
        })*
    };
}
pub(crate) use from_store;

from_store!(ListError, MembersError, OperationError, RolloutError, HostKeyError);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::add::AddHostError;
    use crate::cluster::ClusterError;
    use crate::hosts::HostError;

    #[test]
    fn those_who_use_something_are_named_up_to_eight() {
        let listed = |count: usize| {
            let clusters = (0..count).map(|n| format!("c{n}")).collect();
            DefinitionError::InUse { noun: "network", name: "n".into(), clusters }.to_string()
        };
        assert_eq!(listed(1), "the network `n` is in use by the cluster `c0`");
        assert_eq!(listed(3), "the network `n` is in use by the clusters `c0`, `c1` and `c2`");
        assert!(listed(8).ends_with("`c6` and `c7`"));
        assert!(listed(100).ends_with("`c6`, `c7` and 92 more"));
    }

    #[test]
    fn kinds_and_words() {
        let cluster: ClusterName = "web".parse().unwrap();
        let address: HostAddress = "10.0.0.1".parse().unwrap();
        let errors: [(Box<dyn Explain>, Kind, &str); 8] = [
            (
                Box::new(AddHostError::NoSuchCluster { cluster: "web".into() }),
                Kind::Conflict,
                "the cluster `web` does not exist",
            ),
            (
                Box::new(MembersError::Unsuitable { address: address.clone(), status: "failed".into() }),
                Kind::Conflict,
                "the host 10.0.0.1 cannot join: its status is `failed`",
            ),
            (
                Box::new(MembersError::Begun {
                    cluster: cluster.clone(),
                    source: CommitError::Store(store::Error::Full),
                }),
                Kind::Unavailable,
                "the hosts of the cluster `web` are being changed, and it could not be seen to its end: it is gone on \
                 with within half a minute once the store answers, until it is done or undone as a whole",
            ),
            (
                Box::new(ClusterError::Going {
                    cluster: cluster.clone(),
                    source: CommitError::Store(store::Error::Full),
                }),
                Kind::Unavailable,
                "the cluster `web` is being deleted, and that could not be seen to its end: it is gone on with within \
                 half a minute once the store answers, until the cluster has gone as a whole",
            ),
            (Box::new(HostError::NoSuchHost { address }), Kind::NotFound, "the host 10.0.0.1 does not exist"),
            (
                Box::new(OperationError::NeverStarted { cluster: cluster.clone(), kind: "upgrade" }),
                Kind::NotFound,
                "there has been no upgrade of the cluster `web`",
            ),
            (
                Box::new(ClusterError::Store(CommitError::Conflict { key: store::Key::new("/k").unwrap() })),
                Kind::Unavailable,
                "could not read or write the cluster",
            ),
            (
                Box::new(ListError::Store(CommitError::Store(store::Error::Full))),
                Kind::Full,
                "could not read the records",
            ),
        ];
        for (error, kind, text) in errors {
            assert_eq!((error.kind(), error.to_string().as_str()), (kind, text));
        }
    }
}
