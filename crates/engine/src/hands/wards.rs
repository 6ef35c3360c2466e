//! What an operation asks of container managers about the hosts that it is at. A seam: [`Nodes`] does it, and tests
//! play it.

use std::time::Duration;

use base::{Explain, Kind};
use fleet::{ClusterName, HostAddress};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use kube::Readiness;

use super::reach::told;
use super::{Nodes, NodesError};

/// A host, and the cluster whose container manager is asked about it.
pub(crate) type Ward<'a> = (&'a ClusterName, &'a HostAddress);

/// What is seen of a host's node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Whether it is ready.
    pub(crate) is_ready: bool,
    /// Whether it is cordoned, by whomever.
    pub(crate) is_cordoned: bool,
    /// Of the boot that this is about; for some time after a restart that is the one before.
    pub(crate) boot_id: Option<String>,
    /// How it is, in words.
    pub(crate) says: String,
}

/// Why a container manager does not do what is asked of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trouble {
    /// For a person who is to do something about it.
    pub(crate) reason: String,
    /// Whether asking again later may help.
    pub(crate) may_pass: bool,
    /// Whether it has no such node, so that there is nothing to uncordon.
    pub(crate) is_gone: bool,
}

/// The container managers of all clusters. Where a cluster has none, everything is well and nothing is done.
pub(crate) trait Wards: Send + Sync {
    /// How the node is; `None` where there is no container manager.
    fn look<'a>(&'a self, ward: Ward<'a>) -> BoxFuture<'a, Result<Option<Seen>, Trouble>>;

    /// Keeps new pods away from it.
    fn cordon<'a>(&'a self, ward: Ward<'a>) -> BoxFuture<'a, Result<(), Trouble>>;

    /// Lets pods on it again.
    fn uncordon<'a>(&'a self, ward: Ward<'a>) -> BoxFuture<'a, Result<(), Trouble>>;

    /// Has its pods go elsewhere, for as long as `within` at most.
    fn drain<'a>(&'a self, ward: Ward<'a>, within: Duration) -> BoxFuture<'a, Result<(), Trouble>>;
}

impl Wards for Nodes {
    fn look<'a>(&'a self, (cluster, host): Ward<'a>) -> BoxFuture<'a, Result<Option<Seen>, Trouble>> {
        async move {
            let Some(node) = self.node(cluster, host).await? else { return Ok(None) };
            let node = node.readiness().await?;
            Ok(Some(Seen {
                is_ready: node.readiness == Readiness::Ready,
                is_cordoned: node.is_unschedulable,
                boot_id: node.boot_id,
                says: node.readiness.to_string(),
            }))
        }
        .boxed()
    }

    fn cordon<'a>(&'a self, (cluster, host): Ward<'a>) -> BoxFuture<'a, Result<(), Trouble>> {
        async move {
            let Some(node) = self.node(cluster, host).await? else { return Ok(()) };
            Ok(node.cordon().await?)
        }
        .boxed()
    }

    fn uncordon<'a>(&'a self, (cluster, host): Ward<'a>) -> BoxFuture<'a, Result<(), Trouble>> {
        async move {
            let Some(node) = self.node(cluster, host).await? else { return Ok(()) };
            Ok(node.uncordon().await?)
        }
        .boxed()
    }

    fn drain<'a>(
        &'a self,
        (cluster, host): Ward<'a>,
        within: Duration,
    ) -> BoxFuture<'a, Result<(), Trouble>> {
        async move {
            let Some(node) = self.node(cluster, host).await? else { return Ok(()) };
            Ok(node.drain(within).await?)
        }
        .boxed()
    }
}

impl From<NodesError> for Trouble {
    fn from(error: NodesError) -> Self {
        let is_gone = match &error {
            NodesError::Asked { source, .. } => matches!(**source, kube::Error::NotFound { .. }),
            // With a cluster its nodes go (commissaire contract, section 6.3).
            NodesError::Cluster(source) => source.kind() == Kind::NotFound,
            _ => false,
        };
        let may_pass = match &error {
            NodesError::Asked { source, .. } => source.may_pass(),
            // The store's troubles pass; what a definition lacks does not come by waiting.
            error => matches!(error.kind(), Kind::Unavailable | Kind::TimedOut | Kind::Full),
        };
        Self { reason: told(&error), may_pass, is_gone }
    }
}
