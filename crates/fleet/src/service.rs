//! The fleet at work: load, decide, commit.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use async_lock::Mutex as AsyncMutex;
use base::{Clock, Entropy, Timestamp};
use identity::{Action, Principal, Role};
use store::{Claims, CommitError, Engine, History, Key, Page, Revision, SealingKey, Stored, Table, Version};

use crate::definition::Definitions;
use crate::draft::{Draft, Line};
use crate::error::ListError;
use crate::event::Happened;
use crate::name::NetworkName;
use crate::record::{
    BootstrapRecord, CareRecord, ClusterRecord, CordonLeftRecord, HostKeyRecord, HostRecord, LookedRecord,
    ManagerChangeRecord, MarkRecord, OperationRecord, RegroupingRecord, RolloutRecord, RunningRecord,
    SealedRecord, UnderWayRecord,
};
use crate::{container_manager, index, network};

macro_rules! actions {
    ($($(#[$doc:meta])* $action:ident = $role:ident $name:literal;)*) => {
        $($(#[$doc])*
        pub enum $action {}
        impl Action for $action {
            const NAME: &'static str = $name;
            const ROLE: Role = Role::$role;
        })*
    };
}
actions! {
    /// Looking at hosts, but not at their credentials.
    ReadHosts = Reader "see the hosts";
    /// Looking at a host's credentials.
    ReadCredentials = Operator "see a host's credentials";
    /// Adding a host.
    AddHost = Operator "add a host";
    /// Adding oneself as a host.
    RegisterHost = Registrar "register itself as a host";
    /// Changing a host's labels.
    LabelHost = Operator "label a host";
    /// Accepting that a host proves another key from now on.
    AcceptHostKey = Operator "accept a host's new key";
    /// Deleting a host.
    DeleteHost = Operator "delete a host";
    /// Looking at clusters and their operations.
    ReadClusters = Reader "see the clusters";
    /// Making or changing a cluster.
    WriteCluster = Operator "create or change a cluster";
    /// Deleting a cluster.
    DeleteCluster = Operator "delete a cluster";
    /// Letting a host join a cluster.
    JoinCluster = Operator "let a host join a cluster";
    /// Letting a host leave a cluster.
    LeaveCluster = Operator "let a host leave a cluster";
    /// Saying which hosts a cluster has.
    ReplaceMembers = Operator "replace the hosts of a cluster";
    /// Starting a deployment, an upgrade or a restart.
    StartOperation = Operator "start an operation on a cluster";
    /// Pausing, resuming, aborting and retrying an operation, and having it skip hosts.
    SteerOperation = Operator "pause, resume, abort or retry an operation on a cluster";
    /// Looking at networks.
    ReadNetworks = Reader "see the networks";
    /// Making a network.
    PutNetwork = Operator "create a network";
    /// Deleting a network.
    DeleteNetwork = Operator "delete a network";
    /// Looking at container managers, but not at their secrets.
    ReadContainerManagers = Reader "see the container managers";
    /// Looking at the secret options of networks and container managers.
    ReadSecretOptions = Operator "see the secret options of networks and container managers";
    /// Making a container manager.
    PutContainerManager = Operator "create a container manager";
    /// Deleting a container manager.
    DeleteContainerManager = Operator "delete a container manager";
}

/// What a fleet stands on.
#[derive(Clone)]
pub struct Ground {
    /// Where records are kept.
    pub engine: Arc<dyn Engine>,
    /// Seals credentials and secret options.
    pub sealing: Arc<SealingKey>,
    /// What time it is.
    pub clock: Clock,
    /// Where the numbers for seals and events come from.
    pub entropy: Entropy,
}

/// How whoever changes something has seen it; when it is otherwise by now, nothing is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// It does not matter.
    Anything,
    /// It does not exist.
    Absent,
    /// It was read at this version.
    At(Version),
}

impl Expected {
    /// Whether what is there now, at this version, is as expected.
    pub(crate) fn holds(self, found: Option<Version>) -> bool {
        match self {
            Self::Anything => true,
            Self::Absent => found.is_none(),
            Self::At(version) => found == Some(version),
        }
    }
}

/// Something, and the version it was read at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen<T> {
    /// What it is.
    pub is: T,
    /// Of the record that it stands in: for [`Expected::At`].
    pub version: Version,
}

/// Something that was asked to be there, and is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Put<T> {
    /// What is there.
    pub is: T,
    /// Of the record that it stands in.
    pub version: Version,
    /// Whether it was not there before.
    pub is_new: bool,
}

/// The fleet's tables.
pub(crate) struct Tables {
    pub(crate) host: Table<HostRecord>,
    pub(crate) credentials: Table<SealedRecord>,
    pub(crate) cluster: Table<ClusterRecord>,
    /// Never listed: other things may come to lie beside them.
    pub(crate) operation: Table<OperationRecord>,
    pub(crate) index: Table<MarkRecord>,
    pub(crate) rollout: Table<RolloutRecord>,
    pub(crate) running: Table<RunningRecord>,
    pub(crate) under_way: Table<UnderWayRecord>,
    pub(crate) care: Table<CareRecord>,
    pub(crate) host_key: Table<HostKeyRecord>,
    pub(crate) bootstrap: Table<BootstrapRecord>,
    pub(crate) node_leaving: Table<MarkRecord>,
    pub(crate) manager_change: Table<ManagerChangeRecord>,
    pub(crate) cordon_left: Table<CordonLeftRecord>,
    pub(crate) regrouping: Table<RegroupingRecord>,
    pub(crate) looked: Table<LookedRecord>,
    founded: Table<MarkRecord>,
}

impl Tables {
    fn new(engine: &Arc<dyn Engine>) -> Result<Self, store::Error> {
        fn table<S: Stored>(engine: &Arc<dyn Engine>, prefix: &str) -> Result<Table<S>, store::Error> {
            Table::new(Arc::clone(engine), prefix)
        }
        Ok(Self {
            host: table(engine, "/commissaire/hosts/")?,
            credentials: table(engine, "/commissaire/custodia/keys/hosts/")?,
            cluster: table(engine, "/commissaire/clusters/")?,
            operation: table(engine, "/commissaire/cluster/")?,
            index: table(engine, index::PREFIX)?,
            rollout: table(engine, "/fleet/operation/")?,
            running: table(engine, "/fleet/operation-running/")?,
            under_way: table(engine, "/fleet/host-under-way/")?,
            care: table(engine, "/fleet/care/")?,
            host_key: table(engine, "/fleet/host-key/")?,
            bootstrap: table(engine, "/fleet/bootstrap/")?,
            node_leaving: table(engine, "/fleet/node-leaving/")?,
            manager_change: table(engine, "/fleet/manager-change/")?,
            cordon_left: table(engine, "/fleet/cordon-left/")?,
            regrouping: table(engine, "/fleet/regrouping/")?,
            looked: table(engine, "/fleet/looked-at/")?,
            // One record; its name follows this prefix.
            founded: table(engine, "/fleet/")?,
        })
    }
}

/// The one record that says that the fleet was founded.
const FOUNDED: &str = "founded";

/// All hosts, clusters, networks and container managers.
pub struct Fleet {
    pub(crate) ground: Ground,
    pub(crate) tables: Tables,
    pub(crate) networks: Definitions,
    pub(crate) container_managers: Definitions,
    pub(crate) history: History,
    /// Who works on hosts.
    pub(crate) claims: Claims,
    /// Taken, one after the other, by those who were overtaken.
    pub(crate) overtaken: AsyncMutex<()>,
    /// Whether newcomers wait for whoever holds that.
    pub(crate) is_pressed: AtomicBool,
    /// When somebody was last warned of records that cannot be read.
    pub(crate) warned: Mutex<Option<Timestamp>>,
}

impl Fleet {
    /// Opens the fleet; makes the network `default` when it is opened for the first time.
    ///
    /// # Errors
    /// The store's.
    pub async fn open(ground: Ground) -> Result<Self, CommitError> {
        let tables = Tables::new(&ground.engine)?;
        let history = History::new(Arc::clone(&ground.engine))?;
        let claims = Claims::new(Arc::clone(&ground.engine))?;
        let networks = Definitions::new(
            &ground.engine,
            "/commissaire/networks/",
            "/fleet/used/network/",
            network::NOUN,
            |cluster| &cluster.network,
        )?;
        let container_managers = Definitions::new(
            &ground.engine,
            "/commissaire/container_managers/",
            "/fleet/used/container-manager/",
            container_manager::NOUN,
            |cluster| &cluster.container_manager,
        )?;
        let fleet = Self {
            ground,
            tables,
            networks,
            container_managers,
            history,
            claims,
            overtaken: AsyncMutex::new(()),
            is_pressed: AtomicBool::new(false),
            warned: Mutex::new(None),
        };
        fleet.found().await?;
        Ok(fleet)
    }

    /// The revision that the store is at. What was read after this was asked for is still true as long as it stays
    /// the same, so whoever keeps answers can tell cheaply whether they still hold.
    ///
    /// # Errors
    /// The store's.
    pub async fn revision(&self) -> Result<Revision, ListError> {
        Ok(self.ground.engine.revision().await?)
    }

    /// Makes what an installation begins with, once: what is deleted later stays deleted.
    async fn found(&self) -> Result<(), CommitError> {
        let mut line = Line::default();
        loop {
            if self.tables.founded.get(FOUNDED).await?.is_some() {
                return Ok(());
            }
            let mut draft = Draft::default();
            self.tables.founded.create(&mut draft.batch, FOUNDED, &MarkRecord)?;
            let name: NetworkName = network::default_name();
            if self.networks.table.get(name.as_str()).await?.is_none() {
                self.networks.table.create(&mut draft.batch, name.as_str(), &network::default_record())?;
                let created = Happened::DefinitionCreated { noun: network::NOUN, name: name.as_str() };
                self.record_event(&mut draft, &created, &Principal::house())?;
            }
            if self.commit(draft, &mut line).await?.is_some() {
                return Ok(());
            }
        }
    }
}

/// The ids in a table, all of them, bytewise ordered. The records are read a page at a time.
pub(crate) async fn ids<S: Stored>(table: &Table<S>) -> Result<Vec<String>, store::Error> {
    let mut ids = Vec::new();
    let mut next = Some(Page::full());
    while let Some(page) = next {
        let listing = table.engine().list(table.prefix(), page).await?;
        let id = |key: &Key| table.prefix().rest(key).unwrap_or_default().to_owned();
        ids.extend(listing.entries.iter().map(|(key, _)| id(key)));
        next = listing.next;
    }
    Ok(ids)
}

/// A record that cannot be what this program wrote.
pub(crate) fn unreadable<S: Stored>(table: &Table<S>, id: &str, reason: impl ToString) -> store::Error {
    match table.key(id) {
        Ok(key) => store::Error::Record { key, reason: reason.to_string() },
        Err(error) => error,
    }
}
