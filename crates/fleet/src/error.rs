//! What can go wrong, one enum for each operation.
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

/// Why a host was not added. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum AddHostError {
    /// Who registers itself did not come over the network.
    #[error("a host registers itself by the address it comes from, and there is none")]
    NoAddress,
    /// The cluster it was to join does not exist.
    #[error("the cluster `{cluster}` does not exist")]
    NoSuchCluster {
        /// Which.
        cluster: String,
    },
    /// It exists, with another key.
    #[error("the host {address} exists, with another SSH key")]
    DifferentKey {
        /// Which.
        address: HostAddress,
    },
    /// It is not as whoever asks has seen it.
    #[error("the host {address} was changed meanwhile")]
    Changed {
        /// Which.
        address: HostAddress,
    },
    /// It exists, and is not in the cluster that was named.
    #[error("the host {address} exists, and is not in the cluster `{cluster}`")]
    NotInCluster {
        /// Which.
        address: HostAddress,
        /// The cluster that was named.
        cluster: ClusterName,
    },
    /// It is said to come from an inventory that is not known.
    #[error("the inventory `{source_name}` is not known")]
    NoSuchSource {
        /// Which.
        source_name: String,
    },
    /// Something that is said about it is too long.
    #[error("`{what}` is longer than {bytes_max} bytes")]
    TooLong {
        /// Which member.
        what: &'static str,
        /// How long it may be.
        bytes_max: usize,
    },
    /// Its stored credentials cannot be opened.
    #[error("the stored credentials of {address} cannot be opened")]
    Sealed {
        /// Whose.
        address: HostAddress,
        /// Why.
        #[source]
        source: OpenSecretError,
    },
    /// The store failed, or others were faster too often.
    #[error("could not read or write the host")]
    Store(#[source] CommitError),
}

impl Explain for AddHostError {
    fn kind(&self) -> Kind {
        match self {
            Self::NoAddress | Self::NoSuchSource { .. } | Self::TooLong { .. } => Kind::Invalid,
            Self::NoSuchCluster { .. }
            | Self::DifferentKey { .. }
            | Self::Changed { .. }
            | Self::NotInCluster { .. } => Kind::Conflict,
            Self::Sealed { .. } => Kind::Internal,
            Self::Store(source) => of_store(source),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::NoSuchCluster { .. } => Some("create the cluster first".into()),
            Self::DifferentKey { .. } => Some("delete the host first, to add it with this key".into()),
            Self::NotInCluster { .. } => Some("let it join the cluster instead".into()),
            Self::NoSuchSource { .. } => Some(
                "leave `source` out, or empty: there are no inventories but this server's own yet".into(),
            ),
            Self::NoAddress
            | Self::Changed { .. }
            | Self::TooLong { .. }
            | Self::Sealed { .. }
            | Self::Store(_) => None,
        }
    }
}

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

/// Why a host could not be shown, labelled or deleted.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// There is no such host.
    #[error("the host {address} does not exist")]
    NoSuchHost {
        /// Which.
        address: HostAddress,
    },
    /// It is not as whoever asks has seen it.
    #[error("the host {address} was changed meanwhile")]
    Changed {
        /// Which.
        address: HostAddress,
    },
    /// The store failed, or others were faster too often.
    #[error("could not read or write the host")]
    Store(#[source] CommitError),
}

impl Explain for HostError {
    fn kind(&self) -> Kind {
        match self {
            Self::NoSuchHost { .. } => Kind::NotFound,
            Self::Changed { .. } => Kind::Conflict,
            Self::Store(source) => of_store(source),
        }
    }
}

/// Why a host's credentials could not be shown.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// There is no such host.
    #[error("the host {address} does not exist")]
    NoSuchHost {
        /// Which.
        address: HostAddress,
    },
    /// The host has none.
    #[error("the host {address} has no credentials")]
    None {
        /// Which.
        address: HostAddress,
    },
    /// They cannot be opened.
    #[error("the stored credentials of {address} cannot be opened")]
    Sealed {
        /// Whose.
        address: HostAddress,
        /// Why.
        #[source]
        source: OpenSecretError,
    },
    /// The store failed.
    #[error("could not read the credentials")]
    Store(#[source] CommitError),
}

impl Explain for CredentialsError {
    fn kind(&self) -> Kind {
        match self {
            Self::NoSuchHost { .. } | Self::None { .. } => Kind::NotFound,
            Self::Sealed { .. } => Kind::Internal,
            Self::Store(source) => of_store(source),
        }
    }
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

/// Why a cluster could not be shown, made, changed or deleted.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// There is no such cluster.
    #[error("the cluster `{cluster}` does not exist")]
    NoSuchCluster {
        /// Which.
        cluster: ClusterName,
    },
    /// It is not as whoever asks has seen it.
    #[error("the cluster `{cluster}` was changed meanwhile")]
    Changed {
        /// Which.
        cluster: ClusterName,
    },
    /// The network that it is to have does not exist.
    #[error("the network `{network}` does not exist")]
    NoSuchNetwork {
        /// Which.
        network: String,
    },
    /// The container manager that it is to have does not exist.
    #[error("the container manager `{manager}` does not exist")]
    NoSuchContainerManager {
        /// Which.
        manager: String,
    },
    /// Something that is said about it is too long.
    #[error("`{what}` is longer than {bytes_max} bytes")]
    TooLong {
        /// Which member.
        what: &'static str,
        /// How long it may be.
        bytes_max: usize,
    },
    /// The store failed, or others were faster too often.
    #[error("could not read or write the cluster")]
    Store(#[source] CommitError),
}

impl Explain for ClusterError {
    fn kind(&self) -> Kind {
        match self {
            Self::NoSuchCluster { .. } => Kind::NotFound,
            Self::Changed { .. } | Self::NoSuchNetwork { .. } | Self::NoSuchContainerManager { .. } => {
                Kind::Conflict
            }
            Self::TooLong { .. } => Kind::Invalid,
            Self::Store(source) => of_store(source),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::NoSuchNetwork { .. } => Some("make the network first".into()),
            Self::NoSuchContainerManager { .. } => Some("make the container manager first".into()),
            Self::NoSuchCluster { .. } | Self::Changed { .. } | Self::TooLong { .. } | Self::Store(_) => None,
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
    /// The store failed, or others were faster too often.
    #[error("could not read or write the hosts of the cluster")]
    Store(#[source] CommitError),
}

impl Explain for MembersError {
    fn kind(&self) -> Kind {
        match self {
            Self::NoSuchCluster { .. } | Self::NoSuchHost { .. } => Kind::NotFound,
            Self::InAnotherCluster { .. }
            | Self::Unsuitable { .. }
            | Self::NoSuchContainerManager { .. }
            | Self::NotAsExpected { .. } => Kind::Conflict,
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
            Self::NoSuchCluster { .. } | Self::NoSuchHost { .. } | Self::Store(_) => None,
        }
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
            Self::Different { .. } | Self::Changed { .. } => Kind::Conflict,
            Self::Sealed { .. } => Kind::Internal,
            Self::Store { source, .. } => of_store(source),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Different { noun, .. } => Some(format!("delete the {noun} first, to make it anew")),
            Self::NotFound { .. } | Self::Changed { .. } | Self::Sealed { .. } | Self::Store { .. } => None,
        }
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
fn of_store(error: &CommitError) -> Kind {
    match error {
        CommitError::Conflict { .. } => Kind::Unavailable,
        error => error.kind(),
    }
}

macro_rules! from_store {
    ($($error:ident),*) => {
        $(impl From<CommitError> for $error {
            fn from(error: CommitError) -> Self {
                Self::Store(error)
            }
        }

        impl From<store::Error> for $error {
            fn from(error: store::Error) -> Self {
                Self::Store(CommitError::Store(error))
            }
        })*
    };
}
from_store!(
    AddHostError,
    HostError,
    CredentialsError,
    ListError,
    ClusterError,
    MembersError,
    OperationError,
    RolloutError,
    HostKeyError
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_and_words() {
        let cluster: ClusterName = "web".parse().unwrap();
        let address: HostAddress = "10.0.0.1".parse().unwrap();
        let errors: [(Box<dyn Explain>, Kind, &str); 6] = [
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
