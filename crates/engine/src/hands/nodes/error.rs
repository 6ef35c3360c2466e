//! Why a container manager could not be asked about a node, or did not do what it was asked.

use base::{Explain, Kind};
use fleet::{
    BadContainerManager, ClusterError, ContainerManagerName, DefinitionError, HostAddress, MembersError,
    RolloutError,
};
use kube::{BadNodeName, BadServer, KubeconfigError, NodeName, SettingsError, Stayed};

/// How many pods are named to whoever is to do something about them.
const PODS_SHOWN: usize = 3;

/// Why a container manager could not be asked about a node, or did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NodesError {
    /// The cluster could not be read, or does not exist.
    #[error(transparent)]
    Cluster(ClusterError),
    /// Where the host belongs could not be read.
    #[error("it could not be read where the host belongs")]
    Leaving(#[source] RolloutError),
    /// The cluster names a container manager that does not exist.
    #[error("the container manager `{manager}` does not exist")]
    NoSuchManager {
        /// Which.
        manager: String,
    },
    /// Its definition could not be read.
    #[error("the container manager `{manager}` could not be read")]
    Read {
        /// Which.
        manager: ContainerManagerName,
        /// Why not.
        #[source]
        source: DefinitionError,
    },
    /// Its definition does not say how it is spoken to.
    #[error("the container manager `{manager}` cannot be used")]
    Unusable {
        /// Which.
        manager: ContainerManagerName,
        /// Why not.
        #[source]
        source: Unusable,
    },
    /// No node can be called as the host is.
    #[error("the container manager `{manager}` cannot have the host {host}")]
    Name {
        /// Which.
        manager: ContainerManagerName,
        /// The host.
        host: HostAddress,
        /// Why not.
        #[source]
        source: BadNodeName,
    },
    /// It did not do as it was asked.
    #[error("the container manager `{manager}` did not do as it was asked")]
    Asked {
        /// Which.
        manager: ContainerManagerName,
        /// Why not.
        #[source]
        source: Box<kube::Error>,
    },
    /// Not all pods left the node.
    #[error("the node `{node}` of the container manager `{manager}` could not be drained: {}", shown(.pods))]
    Pods {
        /// Which node.
        node: NodeName,
        /// Whose.
        manager: ContainerManagerName,
        /// Those that stayed.
        pods: Vec<Stayed>,
    },
}

/// Why a container manager's definition cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unusable {
    /// Its options break a rule.
    #[error(transparent)]
    Rule(#[from] BadContainerManager),
    /// An option has a value of another kind.
    #[error("the option `{name}` is not {what}")]
    Option {
        /// Which.
        name: &'static str,
        /// What it should be.
        what: &'static str,
    },
    /// It is nowhere.
    #[error("the option `server_url` cannot be used: {0}")]
    Server(#[from] BadServer),
    /// What it is to be spoken to with cannot be used.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The kubeconfig cannot be used.
    #[error(transparent)]
    Kubeconfig(#[from] KubeconfigError),
}

impl NodesError {
    /// Whether the same is to be expected for every other host of that container manager now.
    pub(crate) fn is_of_all(&self) -> bool {
        match self {
            Self::NoSuchManager { .. } | Self::Read { .. } | Self::Unusable { .. } => true,
            Self::Asked { source, .. } => !matches!(
                **source,
                kube::Error::Refused { .. } | kube::Error::NotFound { .. } | kube::Error::NotReady { .. }
            ),
            Self::Cluster(_) | Self::Leaving(_) | Self::Name { .. } | Self::Pods { .. } => false,
        }
    }

    /// Whether it was refused, so that nothing can have come of it.
    pub(crate) fn is_refusal(&self) -> bool {
        use kube::Error::{Forbidden, NotFound, Refused, Unauthenticated};
        match self {
            Self::Asked { source, .. } => matches!(
                **source,
                Unauthenticated { .. } | Forbidden { .. } | NotFound { .. } | Refused { .. }
            ),
            Self::Cluster(_)
            | Self::Leaving(_)
            | Self::NoSuchManager { .. }
            | Self::Read { .. }
            | Self::Unusable { .. }
            | Self::Name { .. }
            | Self::Pods { .. } => false,
        }
    }

    /// Whether it is our own store that failed, which says nothing about the container manager.
    pub(crate) fn is_ours(&self) -> bool {
        match self {
            Self::Cluster(source) => !matches!(source.kind(), Kind::NotFound),
            Self::Leaving(_) | Self::Read { .. } => true,
            Self::NoSuchManager { .. }
            | Self::Unusable { .. }
            | Self::Name { .. }
            | Self::Asked { .. }
            | Self::Pods { .. } => false,
        }
    }

    /// What failed of our own, if that is it: see [`Self::is_ours`].
    pub(crate) fn ours(self) -> Result<OurFault, Self> {
        match self {
            ours if !ours.is_ours() => Err(ours),
            Self::Cluster(source) => Ok(OurFault::Cluster(source)),
            Self::Leaving(source) => Ok(OurFault::Node(source)),
            Self::Read { source, .. } => Ok(OurFault::Manager(source)),
            other => Err(other),
        }
    }
}

/// What failed of our own while a container manager was to be asked: that says nothing about it.
#[derive(Debug, thiserror::Error)]
pub enum OurFault {
    /// The cluster could not be read.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The cluster's hosts could not be read, or a claim on one of them.
    #[error(transparent)]
    Members(#[from] MembersError),
    /// What is on record of a node could not be read or written.
    #[error(transparent)]
    Node(#[from] RolloutError),
    /// The container manager's definition could not be read.
    #[error(transparent)]
    Manager(#[from] DefinitionError),
}

impl Explain for OurFault {
    fn kind(&self) -> Kind {
        match self {
            Self::Cluster(source) => source.kind(),
            Self::Members(source) => source.kind(),
            Self::Node(source) => source.kind(),
            Self::Manager(source) => source.kind(),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Cluster(source) => source.help(),
            Self::Members(source) => source.help(),
            Self::Node(source) => source.help(),
            Self::Manager(source) => source.help(),
        }
    }

    fn told(&self) -> Option<String> {
        match self {
            Self::Cluster(source) => source.told(),
            Self::Members(source) => source.told(),
            Self::Node(source) => source.told(),
            Self::Manager(source) => source.told(),
        }
    }
}

impl Explain for NodesError {
    fn kind(&self) -> Kind {
        match self {
            Self::Cluster(source) => source.kind(),
            Self::Leaving(source) => source.kind(),
            Self::NoSuchManager { .. } => Kind::NotFound,
            Self::Read { source, .. } => source.kind(),
            Self::Unusable { source, .. } => source.kind(),
            Self::Name { source, .. } => source.kind(),
            Self::Asked { source, .. } => source.kind(),
            Self::Pods { .. } => Kind::Conflict,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Cluster(source) => source.help(),
            Self::Leaving(source) => source.help(),
            Self::NoSuchManager { manager } => Some(format!(
                "create it (`provost container-manager create {manager}`), or give the cluster another one"
            )),
            Self::Read { source, .. } => source.help(),
            Self::Unusable { source, .. } => source
                .help()
                .or_else(|| Some("delete it, and create it again with the options that it needs".to_owned())),
            Self::Name { source, .. } => source.help(),
            Self::Asked { source, .. } => source.help(),
            Self::Pods { .. } => {
                Some("end these pods, or see which PodDisruptionBudget keeps them, and try again".to_owned())
            }
        }
    }
}

impl Explain for Unusable {
    fn kind(&self) -> Kind {
        match self {
            Self::Rule(source) => source.kind(),
            Self::Option { .. } => Kind::Invalid,
            Self::Server(source) => source.kind(),
            Self::Settings(source) => source.kind(),
            Self::Kubeconfig(source) => source.kind(),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Rule(source) => source.help(),
            Self::Option { .. } => None,
            Self::Server(source) => source.help(),
            Self::Settings(source) => source.help(),
            Self::Kubeconfig(source) => source.help(),
        }
    }
}

/// The first few pods that stayed, and how many more did.
fn shown(pods: &[Stayed]) -> String {
    let first: Vec<String> = pods.iter().take(PODS_SHOWN).map(ToString::to_string).collect();
    let more = pods.len().saturating_sub(PODS_SHOWN);
    let first = first.join("; ");
    if more == 0 { first } else { format!("{first}; and {more} more") }
}
