//! The house's side of hosts: who looks after them, and what is known of one beyond its record.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fleet::{Host, HostAddress, HostError, NodeStatus, ReadHosts, Seen};
use identity::Permit;
use store::Claims;
use tokio::sync::Semaphore;

use crate::hands::handing_on::Courier;
use crate::hands::{Crew, Hands, NodesError, told};
use crate::house::House;
use crate::reactions::Everywhere;
use crate::reconcilers::{
    CloseIdle, HandOnTrust, Investigate, LiftCordons, Operations, RegisterNodes, Watch, Watcher,
};

/// How long a container manager may take to answer while somebody waits for it.
const NODE_ASKED_WITHIN: Duration = Duration::from_secs(8);

impl House {
    /// Has hosts looked at and made ready, registered with their container managers, restarted and upgraded, and watched.
    /// Gives whoever does it.
    pub(crate) fn look_after_hosts(&self, claims: &Claims, hands: Hands) -> Arc<Crew> {
        let crew = Arc::new(Crew { hands, fleet: self.fleet.clone(), nodes: self.nodes.clone() });
        let (clock, bus) = (self.clock.clone(), self.bus.clone());
        let register = RegisterNodes {
            fleet: self.fleet.clone(),
            nodes: self.nodes.clone(),
            claims: claims.clone(),
            holder: self.holder("registers"),
            clock: clock.clone(),
            entropy: self.entropy.clone(),
            defined: HashMap::new(),
            waiting: HashMap::new(),
        };
        self.start(claims, Box::new(register));
        let remote = crew.hands.remote.clone();
        self.start(claims, Box::new(CloseIdle { remote, clock: clock.clone() }));
        if let Some(period) = crew.hands.watch_period {
            let (crew, claims, holder) = (crew.clone(), claims.clone(), self.holder("watches"));
            let watcher = Watcher { crew, claims: claims.clone(), holder, clock: clock.clone(), period };
            self.start(&claims, Box::new(Watch::new(watcher)));
        }
        if crew.hands.operates {
            let operations = Operations {
                wards: self.nodes.clone(),
                places: Arc::new(Semaphore::new(crew.hands.hosts_max.max(1))),
                crew: crew.clone(),
                claims: claims.clone(),
                holder: self.holder("operates"),
                clock: clock.clone(),
                bus: bus.clone(),
            };
            self.start(claims, Box::new(operations));
            let lift = LiftCordons {
                fleet: self.fleet.clone(),
                wards: self.nodes.clone(),
                claims: claims.clone(),
                holder: self.holder("lifts cordons"),
                clock: clock.clone(),
                entropy: self.entropy.clone(),
                waiting: HashMap::new(),
            };
            self.start(claims, Box::new(lift));
        }
        if crew.hands.investigates {
            let (crew, holder) = (crew.clone(), self.holder("investigates"));
            self.start(claims, Box::new(Investigate { crew, claims: claims.clone(), holder, clock, bus }));
        }
        crew
    }

    /// Has every requirer's certificates put where it wants them.
    pub(crate) fn hand_on_trust(
        &self,
        claims: &Claims,
        crew: Option<Arc<Crew>>,
        courier: Option<Arc<dyn Courier>>,
        mark: String,
    ) {
        let everywhere = Everywhere {
            crew,
            fleet: self.fleet.clone(),
            nodes: self.nodes.clone(),
            courier,
            claims: claims.clone(),
            holder: self.holder("hands on"),
            mark,
            clock: self.clock.clone(),
            silent: Mutex::default(),
        };
        let hand_on = HandOnTrust::new(self.trust.clone(), Arc::new(everywhere), self.clock.clone());
        self.start(claims, Box::new(hand_on));
    }

    /// Who claims hosts in this process to do something on them. Nobody else can be at work in a store of one's own:
    /// what an earlier run held is ours, and goes on at once.
    fn holder(&self, what: &str) -> String {
        match self.engine.is_shared() {
            true => base::hex::encode(&self.entropy.bytes::<8>()),
            false => format!("the only process that {what}"),
        }
    }

    /// One host, and what its container manager says about it, which is asked.
    ///
    /// # Errors
    /// [`HostError::NoSuchHost`] only when there is none. That a container manager cannot be asked is part of the
    /// answer.
    pub async fn host_status(
        &self,
        permit: Permit<ReadHosts>,
        address: &HostAddress,
    ) -> Result<(Seen<Host>, NodeStatus), HostError> {
        let (host, status) = self.fleet.host_status(permit, address).await?;
        let NodeStatus::NotAsked { .. } = status else { return Ok((host, status)) };
        let Some(cluster) = &host.is.cluster else { return Ok((host, status)) };
        let asked = async {
            match self.nodes.node(cluster, &host.is.address).await? {
                None => Ok::<_, NodesError>(status),
                Some(node) => Ok(match node.object().await? {
                    Some(object) => NodeStatus::Node(Box::new(object)),
                    None => NodeStatus::Unregistered,
                }),
            }
        };
        let asked = tokio::time::timeout(NODE_ASKED_WITHIN, asked).await;
        let not_asked = |reason| NodeStatus::NotAsked { reason };
        let status = match asked {
            Ok(Ok(status)) => status,
            Ok(Err(error)) => not_asked(told(&error)),
            Err(_) => not_asked(format!("it did not answer within {} s", NODE_ASKED_WITHIN.as_secs())),
        };
        Ok((host, status))
    }
}
