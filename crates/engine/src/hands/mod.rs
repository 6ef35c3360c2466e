//! What the house does on hosts: it gets in, looks at them, makes them ready, and carries operations out on them.
//!
//! What is to be done is decided in `fleet`; how a machine is reached is `ssh`'s. Here one thing is done after the other,
//! and what came of each is written down before the next.

mod make_ready;
mod nodes;
mod operate;
mod reach;
pub(crate) mod wards;

use std::sync::Arc;
use std::time::Duration;

use fleet::bootstrap::{EtcdAccess, Profile};
use fleet::{Fleet, OsCommands, Templates};
use ssh::Remote;

pub(crate) use make_ready::{Job, Outcome};
pub(crate) use nodes::{Nodes, NodesError};
pub(crate) use operate::{Came, Ready, Task, Visit};
pub(crate) use wards::Wards;

/// With what hosts are worked on.
#[derive(Clone)]
pub struct Hands {
    /// What carries commands and files to hosts.
    pub remote: Arc<dyn Remote>,
    /// The TCP port that hosts listen at for it.
    pub port: u16,
    /// What hosts are made ready for.
    pub profile: Profile,
    /// What is done on each operating system.
    pub commands: OsCommands,
    /// The files that are written on hosts.
    pub templates: Templates,
    /// The etcd for flannel, if there is one.
    pub etcd: Option<EtcdAccess>,
    /// Whether hosts that are added are looked at and made ready.
    pub investigates: bool,
    /// Whether operations on clusters are carried out.
    pub operates: bool,
    /// How many hosts are worked on at once, and how many are under way in operations besides; at least one.
    pub hosts_max: usize,
    /// How long one host may take, from the first connection to the last step.
    pub host_limit: Duration,
}

/// Hands, and whose they are.
pub(crate) struct Crew {
    pub(crate) hands: Hands,
    pub(crate) fleet: Arc<Fleet>,
}
