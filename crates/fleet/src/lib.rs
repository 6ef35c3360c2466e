//! The fleet: hosts, clusters, networks, container managers, and the operations on them.
//!
//! A [`Fleet`] remembers which [`Host`]s there are and how to get into them, which cluster each belongs to, and
//! what is to be done with them. It does nothing to hosts: it plans, records and shows.
//!
//! A host belongs to one cluster at most, and says so itself; everything else that tells which hosts a cluster has
//! is derived from that in the same commit: the cluster's `hostset`, the index by which hosts are found (`index`),
//! and the counts from which a cluster's status comes (`tally`). So nothing is ever stale, listings and counts cost
//! the same however many hosts there are, and two writers who meet cannot both be right: the slower one's commit
//! conflicts, and it decides anew about what it finds then.
//!
//! Rules come from the commissaire contract, sections 3 to 6. What its section 14 lists as the original's defects
//! is as it says there.
//!
//! **Invariant:** nothing here reads the clock, rolls dice, waits for anything but the store, or knows a dialect; a
//! host's key leaves the room only as [`Credentials`].

mod add;
mod address;
pub mod bootstrap;
mod cluster;
mod clusters;
mod commands;
mod container_manager;
mod credentials;
mod definition;
mod delete;
mod draft;
mod error;
mod event;
mod host;
mod hosts;
mod index;
mod label;
mod manager;
mod members;
mod moment;
mod name;
mod network;
mod operation;
mod operations;
mod options;
mod order;
mod probe;
pub mod record;
mod roster;
mod service;
mod tally;
mod template;
mod unreadable;

pub use address::{BadAddress, HostAddress};
pub use cluster::{Cluster, ClusterView, Counts, Health, NewCluster, Roster};
pub use clusters::{ClusterPage, PutCluster};
pub use commands::{BadCommands, HostCommands, OsCommands, UnknownOs};
pub use container_manager::{BadContainerManager, ContainerManager, ContainerManagerKind};
pub use error::{
    AddHostError, ClusterError, CredentialsError, DefinitionError, HostError, ListError, MembersError,
    OpenSecretError, OperationError,
};
pub use host::{Credentials, Facts, Host, HostStatus, KEY_BYTES_MAX, NewHost, TEXT_BYTES_MAX};
pub use hosts::{HostFilter, HostPage, PAGE_MAX};
pub use label::{BadLabel, LABELS_MAX, Labels};
pub use manager::NodeStatus;
pub use name::{BadName, ClusterName, ContainerManagerName, NetworkName};
pub use network::{BadNetwork, Network, NetworkKind};
pub use operation::{BadVersion, DeployVersion, Operation, OperationKind, OperationState, Plan};
pub use options::{HIDDEN, Options};
pub use probe::{Findings, PROBE, PROBE_BYTES_MAX, ProbeError};
pub use service::{
    AddHost, DeleteCluster, DeleteContainerManager, DeleteHost, DeleteNetwork, Expected, Fleet, Ground,
    JoinCluster, LabelHost, LeaveCluster, Put, PutContainerManager, PutNetwork, ReadClusters,
    ReadContainerManagers, ReadCredentials, ReadHosts, ReadNetworks, ReadSecretOptions, RegisterHost,
    ReplaceMembers, Seen, StartOperation, WriteCluster,
};
pub use tally::Tally;
pub use template::{BadTemplate, Templates, Variables};
