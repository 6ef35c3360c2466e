//! What the house does on hosts: it gets in, looks at them, and makes them ready; and what it asks of container managers
//! about them (`nodes`).
//!
//! What is to be done is decided in `fleet`; how a machine is reached is `ssh`'s. Here one thing is done after the other,
//! and what came of each is written down before the next.

mod make_ready;
mod nodes;
mod reach;

use std::sync::Arc;
use std::time::Duration;

use base::Span;
use fleet::bootstrap::{EtcdAccess, Profile};
use fleet::{Fleet, HostAddress, OsCommands, Templates};
use ssh::Remote;

pub(crate) use make_ready::{Job, Outcome};
pub(crate) use nodes::{Nodes, NodesError};
pub(crate) use reach::{stored_key, target, told, why};

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
    /// How often hosts that are ready are looked at; never where it is absent.
    pub watch_period: Option<Span>,
    /// How many hosts are worked on at once, and how many are looked at besides; at least one.
    pub hosts_max: usize,
    /// How long one host may take, from the first connection to the last step.
    pub host_limit: Duration,
}

/// Hands, and whose they are.
pub(crate) struct Crew {
    pub(crate) hands: Hands,
    pub(crate) fleet: Arc<Fleet>,
    pub(crate) nodes: Arc<Nodes>,
}

/// What whoever works on a host claims.
pub(crate) fn claim_on(host: &HostAddress) -> String {
    format!("host/{host}")
}
