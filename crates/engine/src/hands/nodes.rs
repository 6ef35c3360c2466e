//! The nodes that hosts are, at the container managers of their clusters: whom to ask, and how.
//!
//! ```text
//! cluster ──► its container manager ──► how it is spoken to (options) ──► a client, kept until the definition changes
//! host ──► its node's name ──┘
//! ```
//! A cluster without container manager, or with one of the kind `trivial`, has no nodes. What keeps us from a node is
//! told with the container manager's name, for whoever has to set it right.
//!
//! Source: commissaire contract, section 9.6; what is asked there is `kube`'s.

mod error;
mod options;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base::Clock;
use fleet::{
    ClusterName, ContainerManager, ContainerManagerKind, ContainerManagerName, DefinitionError, Fleet,
    HostAddress, NodeLeaving, Seen,
};
use identity::Permit;
use kube::{Client, DrainPolicy, Drained, NodeName};
use store::Version;

pub(crate) use error::NodesError;
pub use error::OurFault;

/// The nodes of all hosts.
pub(crate) struct Nodes {
    fleet: Arc<Fleet>,
    clock: Clock,
    clients: Arc<Clients>,
}

/// The clients of container managers, each with the version of the definition that it was made from.
#[derive(Default)]
struct Clients(Mutex<HashMap<ContainerManagerName, (Version, Arc<Client>)>>);

/// A container manager that can be asked, also for what is not about nodes.
pub(crate) struct Manager {
    name: ContainerManagerName,
    client: Arc<Client>,
    clients: Arc<Clients>,
}

/// A host at the container manager of its cluster. Everything can be asked for again without harm.
pub(crate) struct Node {
    name: NodeName,
    manager: Manager,
}

impl Nodes {
    pub(crate) fn new(fleet: Arc<Fleet>, clock: Clock) -> Self {
        Self { fleet, clock, clients: Arc::default() }
    }

    /// The node that `host` is, or is to be, in `cluster`; `None` where the cluster has no container manager, or one
    /// that takes every host and does nothing with it. Nothing is asked yet.
    ///
    /// # Errors
    /// See [`NodesError`].
    pub(crate) async fn node(
        &self,
        cluster: &ClusterName,
        host: &HostAddress,
    ) -> Result<Option<Node>, NodesError> {
        let found = self.fleet.cluster(Permit::house(), cluster).await.map_err(NodesError::Cluster)?;
        let name = found.cluster.container_manager;
        if name.is_empty() {
            return Ok(None);
        }
        let missing = |manager: &str| NodesError::NoSuchManager { manager: manager.to_owned() };
        // What is no name is nobody's.
        let name: ContainerManagerName = name.parse().map_err(|_| missing(&name))?;
        self.node_at(&name, host).await
    }

    /// As [`Self::node`], at the container manager with this name.
    ///
    /// # Errors
    /// As for [`Self::node`].
    pub(crate) async fn node_at(
        &self,
        manager: &ContainerManagerName,
        host: &HostAddress,
    ) -> Result<Option<Node>, NodesError> {
        let Some(found) = self.definition(manager).await? else { return Ok(None) };
        let name = host.as_str().parse().map_err(|source| NodesError::Name {
            manager: manager.clone(),
            host: host.clone(),
            source,
        })?;
        Ok(Some(Node { name, manager: self.reached(&found)? }))
    }

    /// Has a container manager forget a host, unless that has come back to one of its clusters, or nobody is left who
    /// could forget it.
    ///
    /// # Errors
    /// As for [`Self::node`], and [`NodesError::Asked`].
    pub(crate) async fn forget(&self, leaving: &NodeLeaving) -> Result<(), NodesError> {
        if self.fleet.has_come_back(leaving).await.map_err(NodesError::Leaving)? {
            return Ok(());
        }
        match self.node_at(&leaving.manager, &leaving.address).await {
            Ok(Some(node)) => node.remove().await?,
            Ok(None) => {}
            Err(NodesError::NoSuchManager { .. } | NodesError::Name { .. }) => return Ok(()),
            Err(error) => return Err(error),
        }
        tracing::info!(host = %leaving.address, manager = %leaving.manager, "node removed");
        Ok(())
    }

    /// The container manager with this name; `None` where it is one that takes every host and does nothing with it.
    /// Nothing is asked yet.
    ///
    /// # Errors
    /// As for [`Self::node`].
    pub(crate) async fn manager(&self, name: &ContainerManagerName) -> Result<Option<Manager>, NodesError> {
        self.definition(name).await?.map(|found| self.reached(&found)).transpose()
    }

    /// What is known of the container manager; `None` as for [`Self::manager`].
    async fn definition(
        &self,
        manager: &ContainerManagerName,
    ) -> Result<Option<Seen<ContainerManager>>, NodesError> {
        match self.fleet.container_manager_in_clear(Permit::house(), manager).await {
            Ok(found) if found.is.kind == ContainerManagerKind::Trivial => Ok(None),
            Ok(found) => Ok(Some(found)),
            Err(DefinitionError::NotFound { .. }) => {
                self.clients.forget(manager);
                Err(NodesError::NoSuchManager { manager: manager.to_string() })
            }
            Err(source) => Err(NodesError::Read { manager: manager.clone(), source }),
        }
    }

    fn reached(&self, found: &Seen<ContainerManager>) -> Result<Manager, NodesError> {
        let (name, clients) = (found.is.name.clone(), Arc::clone(&self.clients));
        Ok(Manager { name, client: self.client(found)?, clients })
    }

    /// The client for a container manager: the kept one, if it was made from the very same definition.
    fn client(&self, found: &Seen<ContainerManager>) -> Result<Arc<Client>, NodesError> {
        let name = &found.is.name;
        if let Some((version, client)) = self.clients.lock().get(name)
            && *version == found.version
        {
            return Ok(Arc::clone(client));
        }
        let unusable = |source| NodesError::Unusable { manager: name.clone(), source };
        let settings = options::settings(&found.is).map_err(unusable)?;
        let client = Client::new(&settings, &self.clock).map_err(|error| unusable(error.into()))?;
        let client = Arc::new(client);
        self.clients.lock().insert(name.clone(), (found.version, Arc::clone(&client)));
        Ok(client)
    }
}

impl Clients {
    fn lock(&self) -> MutexGuard<'_, HashMap<ContainerManagerName, (Version, Arc<Client>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn forget(&self, manager: &ContainerManagerName) {
        self.lock().remove(manager);
    }
}

impl Manager {
    /// What it is called.
    pub(crate) fn name(&self) -> &ContainerManagerName {
        &self.name
    }

    /// What asks it.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// An answer, with the name of whose it is.
    pub(crate) fn told<T>(&self, asked: Result<T, kube::Error>) -> Result<T, NodesError> {
        asked.map_err(|source| {
            self.heard(&source);
            NodesError::Asked { manager: self.name.clone(), source: Box::new(source) }
        })
    }

    /// Hears of what kept us from it. Where credentials or certificates are at fault, their files may have been replaced
    /// since: the next client reads them again.
    pub(crate) fn heard(&self, error: &kube::Error) {
        if matches!(error, kube::Error::Unauthenticated { .. } | kube::Error::Tls { .. }) {
            self.clients.forget(&self.name);
        }
    }
}

impl Node {
    /// Makes the node known; that it is already is as good.
    ///
    /// # Errors
    /// [`NodesError::Asked`].
    pub(crate) async fn register(&self) -> Result<kube::Change, NodesError> {
        self.manager.told(self.manager.client.register(&self.name).await)
    }

    /// Lets the container manager forget the node; that it does not know it is as good.
    ///
    /// # Errors
    /// [`NodesError::Asked`].
    pub(crate) async fn remove(&self) -> Result<(), NodesError> {
        self.manager.told(self.manager.client.remove(&self.name).await).map(drop)
    }

    /// What is known of the node: whether it is ready, whether it is cordoned, and of which boot that is. Whoever means
    /// to lift a cordon later sees here beforehand whether it is somebody else's.
    ///
    /// # Errors
    /// [`NodesError::Asked`], also when it is not known.
    pub(crate) async fn readiness(&self) -> Result<kube::Node, NodesError> {
        self.manager.told(self.manager.client.node(&self.name).await)
    }

    /// The whole object that stands for the node; `None` when it is not known.
    ///
    /// # Errors
    /// [`NodesError::Asked`].
    pub(crate) async fn object(&self) -> Result<Option<serde_json::Value>, NodesError> {
        match self.manager.client.node_object(&self.name).await {
            Err(kube::Error::NotFound { .. }) => Ok(None),
            asked => self.manager.told(asked).map(Some),
        }
    }

    /// Keeps new pods from the node.
    ///
    /// # Errors
    /// [`NodesError::Asked`].
    pub(crate) async fn cordon(&self) -> Result<(), NodesError> {
        self.manager.told(self.manager.client.cordon(&self.name).await).map(drop)
    }

    /// Lets new pods on the node again.
    ///
    /// # Errors
    /// [`NodesError::Asked`].
    pub(crate) async fn uncordon(&self) -> Result<(), NodesError> {
        self.manager.told(self.manager.client.uncordon(&self.name).await).map(drop)
    }

    /// Evicts the node's pods as their budgets let it, and waits until they are gone, at most as long as `deadline`.
    /// Cordon it first. Pods that would lose data, or that nothing would start again elsewhere, keep it from beginning.
    ///
    /// # Errors
    /// [`NodesError::Pods`] when some stayed, [`NodesError::Asked`].
    pub(crate) async fn drain(&self, deadline: Duration) -> Result<(), NodesError> {
        let policy = DrainPolicy { within: deadline, ..DrainPolicy::new() };
        let pods = match self.manager.told(self.manager.client.drain(&self.name, policy).await)? {
            Drained::Empty { .. } => return Ok(()),
            Drained::Late { trouble: Some(trouble), .. } => return self.manager.told(Err(trouble)),
            Drained::Refused { pods } | Drained::Late { pods, trouble: None } => pods,
        };
        Err(NodesError::Pods { node: self.name.clone(), manager: self.manager.name.clone(), pods })
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node")
            .field("name", &self.name)
            .field("manager", &self.manager.name)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
pub(crate) mod tests;
