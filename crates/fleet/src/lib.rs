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
//! An operation goes through a cluster as its [`Policy`] says. What it does next is a function of what is stored
//! ([`next()`]); each host has a record of its own in it, and those who carry it out change them only while they hold
//! the claim on it. So it does not lose its place when they die, and a cluster may have any number of hosts.
//!
//! Rules come from the commissaire contract, sections 3 to 6. What its section 14 lists as the original's defects
//! is as it says there.
//!
//! **Invariant:** nothing here reads the clock, rolls dice, waits for anything but the store, or knows a dialect; a
//! host's key leaves the room only as [`Credentials`].

mod add;
mod address;
mod backoff;
pub mod bootstrap;
mod care;
mod carry;
mod change;
mod cluster;
mod clusters;
mod commands;
mod container_manager;
mod cordons;
mod credentials;
mod definition;
mod delete;
mod draft;
mod errand;
mod error;
mod event;
mod gate;
mod host;
mod host_key;
mod hosts;
mod index;
mod label;
mod manager;
mod members;
mod moment;
mod name;
mod network;
mod next;
mod nodes;
mod operation;
mod operations;
mod options;
mod order;
pub mod playbook;
mod policy;
mod preview;
mod probe;
mod progress;
pub mod record;
mod regrouping;
mod rollout;
mod rollout_view;
mod rollouts;
mod roster;
mod run;
mod service;
mod situation;
mod ssh_key;
mod steer;
mod tally;
mod template;
mod unreadable;
mod watch;
mod watching;
mod window;

pub use add::AddHostError;
pub use address::{BadAddress, HostAddress};
pub use backoff::retry_at;
pub use care::{Care, Found};
pub use carry::{Beginning, HostProgress, Step};
pub use cluster::{Cluster, ClusterError, ClusterView, Counts, ExpectedSettings, Health, NewCluster, Roster};
pub use clusters::{ClusterPage, PutCluster};
pub use commands::{BadCommands, HostCommands, OsCommands, UnknownOs};
pub use container_manager::{BadContainerManager, ContainerManager, ContainerManagerKind};
pub use cordons::CordonLeft;
pub use credentials::{BadCredentials, Credentials, CredentialsError};
pub use errand::{NoErrand, is_busy, restarted_meanwhile};
pub use error::{
    DefinitionError, HostKeyError, ListError, MembersError, OpenSecretError, OperationError, RolloutError,
    SteerError,
};
pub use event::{is_of_cordon_left, is_of_newcomer, is_of_nodes, is_skipping, is_steering};
pub use gate::{Observed, has_restarted, missing};
pub use host::{Details, Facts, Host, HostStatus, NewHost, TEXT_BYTES_MAX};
pub use host_key::{BadHostKey, HostKey, PinnedKey};
pub use hosts::{HostError, HostFilter, HostPage, PAGE_MAX};
pub use label::{BadLabel, LabelChange, Labels};
pub use manager::NodeStatus;
pub use name::{BadName, ClusterName, ContainerManagerName, NetworkName};
pub use network::{BadNetwork, Network, NetworkKind};
pub use next::{Candidate, Next, Situation, Unfit, Why, next, too_late};
pub use nodes::{ManagerChange, NodeGoing, NodeJoining, NodeLeaving, Noted, claim_on_deletion};
pub use operation::{BadVersion, DeployVersion, Operation, OperationKind, OperationState, Plan};
pub use options::{BadOption, HIDDEN, Options};
pub use playbook::Playbook;
pub use policy::{
    BadPolicy, COMMAND_BYTES_MAX, FAILURES_MAX, Gates, Policy, Share, UNDERWAY_MAX, WINDOWS_MAX,
};
pub use preview::Preview;
pub use probe::{Findings, PROBE, PROBE_BYTES_MAX, ProbeError};
pub use rollout::{BadRolloutId, Outcome, Phase, Rollout, RolloutId, Wish};
pub use rollout_view::{RolloutPage, RolloutView, Waiting};
pub use rollouts::HostRunPage;
pub use run::{Cordon, HostRun, Past, RunState};
pub use service::{
    AcceptHostKey, AddHost, DeleteCluster, DeleteContainerManager, DeleteHost, DeleteNetwork, Expected,
    Fleet, Ground, JoinCluster, LabelHost, LeaveCluster, Put, PutContainerManager, PutNetwork, ReadClusters,
    ReadContainerManagers, ReadCredentials, ReadHosts, ReadNetworks, ReadSecretOptions, RegisterHost,
    ReplaceMembers, Seen, StartOperation, SteerOperation, WriteCluster,
};
pub use situation::claim_on;
pub use tally::Tally;
pub use template::{BadTemplate, Templates, Variables};
pub use watch::{Look, Rota};
pub use window::{BadWindow, Window};
