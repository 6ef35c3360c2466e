//! What the house does on hosts: it gets in, looks at them, makes them ready, and carries operations out on them; and what
//! it asks of container managers about them (`nodes`).
//!
//! What is to be done is decided in `fleet`; how a machine is reached is `ssh`'s, or `ansible`'s. Here one thing is done
//! after the other, and what came of each is written down before the next.

pub mod handing_on;
mod looks;
mod make_ready;
pub(crate) mod nodes;
mod operate;
mod playbooks;
mod reach;
pub(crate) mod wards;

use std::sync::Arc;
use std::time::Duration;

use base::Span;
use fleet::bootstrap::{EtcdAccess, Profile};
use fleet::{
    Credentials, CredentialsError, Fleet, HostAddress, HostKeyError, OsCommands, PROBE, PROBE_BYTES_MAX,
    PinnedKey, Playbook, Templates,
};
use identity::Permit;
use ssh::{Address, Command, Error, HostKey, Keep, Output, Remote, Target, UserKey};

pub use handing_on::{Courier, Letter, Replied, Unanswered};
#[cfg(test)]
pub(crate) use looks::ANSWER;
pub(crate) use looks::Places;
pub(crate) use make_ready::{Preparation, Prepared};
pub use nodes::OurFault;
pub(crate) use nodes::{Node, Nodes, NodesError};
pub(crate) use operate::{Came, Ready, Task, Visit};
pub use playbooks::Playbooks;
use reach::target;
pub(crate) use reach::{NoWay, told, why};
pub(crate) use wards::Wards;

/// How long a look at a host may take, after signing in.
const LOOK: Duration = Duration::from_secs(30);

/// With what hosts are worked on.
#[derive(Clone)]
pub struct Hands {
    /// What carries commands and files to hosts.
    pub remote: Arc<dyn Remote>,
    /// Whoever works on hosts by playbooks: the same as `remote` then.
    pub playbooks: Option<Arc<Playbooks>>,
    /// The TCP port that hosts listen at for it.
    pub port: u16,
    /// The machine that hosts are reached through, where there is no direct way.
    pub jump: Option<Jump>,
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
    /// How often hosts that are ready are looked at; never where it is absent.
    pub watch_period: Option<Span>,
    /// How many hosts are worked on at once, how many are looked at besides, and how many are under way in operations;
    /// at least one.
    pub hosts_max: usize,
    /// How long one host may take, from the first connection to the last step.
    pub host_limit: Duration,
}

/// A machine that hosts are reached through.
#[derive(Debug, Clone)]
pub struct Jump {
    /// Where it is.
    pub address: Address,
    /// Who signs in to it.
    pub user: String,
    /// What signs in; the key of each host where this is absent.
    pub key: Option<UserKey>,
    /// The key that it has to prove.
    pub host_key: HostKey,
}

impl Hands {
    /// How to get into the host at `address`, which has to prove its pinned key, if one is; or why nobody can.
    pub(crate) fn target(
        &self,
        address: &HostAddress,
        credentials: &Credentials,
        pinned: Option<&PinnedKey>,
    ) -> Result<Target, String> {
        let target = target(address, self.port, credentials, pinned)?;
        let Some(jump) = &self.jump else { return Ok(target) };
        let key = jump.key.clone().unwrap_or_else(|| target.key.clone());
        let way = Target::new(jump.address.clone(), jump.user.as_str(), key);
        Ok(target.via(way.pinned(jump.host_key.clone())))
    }

    /// Gets into a host, and asks it about itself: the key that it proved, and what it said.
    pub(crate) async fn look(&self, target: &Target) -> Result<(HostKey, Output), Error> {
        if let Some(playbooks) = &self.playbooks {
            return playbooks.look(target).await;
        }
        let proved = self.remote.meet(target).await?;
        let target = target.clone().pinned(proved.clone());
        let keep = Keep { head_bytes: PROBE_BYTES_MAX + 1, tail_bytes: 0 };
        let probe = Command::new(PROBE).as_user().deadline(LOOK).keep(keep).say_at_most(1);
        Ok((proved, self.remote.run(&target, &probe).await?))
    }

    /// What carries the commands of this kind of work: with playbooks, the one for it.
    #[must_use]
    pub fn remote_for(&self, playbook: Playbook) -> Arc<dyn Remote> {
        match &self.playbooks {
            Some(playbooks) => Arc::new(playbooks::ByPlaybook { playbooks: playbooks.clone(), playbook }),
            None => self.remote.clone(),
        }
    }
}

/// Hands, and whose they are.
pub(crate) struct Crew {
    pub(crate) hands: Hands,
    pub(crate) fleet: Arc<Fleet>,
    pub(crate) nodes: Arc<Nodes>,
}

impl Crew {
    /// How to get into a host.
    pub(crate) async fn way_in(&self, address: &HostAddress) -> Result<Target, NoWay> {
        let credentials = match self.fleet.credentials(Permit::house(), address).await {
            Ok(credentials) => credentials,
            Err(CredentialsError::NoSuchHost { .. }) => return Err(NoWay::Gone),
            Err(error @ CredentialsError::None { .. }) => return Err(NoWay::Unknown(told(&error))),
            Err(error) => return Err(NoWay::Ours(error.into())),
        };
        let pinned = match self.fleet.host_key(Permit::house(), address).await {
            Ok(pinned) => Some(pinned.is),
            Err(HostKeyError::NotMet { .. }) => None,
            Err(HostKeyError::NoSuchHost { .. }) => return Err(NoWay::Gone),
            Err(error) => return Err(NoWay::Ours(error.into())),
        };
        self.hands.target(address, &credentials, pinned.as_ref()).map_err(NoWay::Unknown)
    }
}
