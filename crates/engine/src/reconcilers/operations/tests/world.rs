//! A house's operations on machines that are played, in time that is played.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use base::{Clock, Entropy, Secret, Span, Timestamp};
use bus::InProcess;
use fleet::bootstrap::Profile;
use fleet::{
    Credentials, Expected, Fleet, Ground, HostRun, HostStatus, NewCluster, NewHost, OsCommands, Plan, Policy,
    Rollout, RolloutId, Templates,
};
use identity::Permit;
use store::{Claims, Engine, History, Memory, Page, SealingKey};
use tokio::sync::Semaphore;

use super::machines::Machines;
use crate::hands::{Crew, Hands, Nodes};
use crate::outbox;
use crate::reconciler;
use crate::reconciler::Reconciler as _;
use crate::reconcilers::{LiftCordons, Operations};
use crate::tasks::Stop;

const BEGINNING: Timestamp = Timestamp::from_unix(1_790_000_000);

pub(super) struct World {
    pub(super) store: Arc<Memory>,
    pub(super) fleet: Arc<Fleet>,
    pub(super) machines: Arc<Machines>,
    pub(super) clock: Clock,
    pub(super) hosts_max: usize,
    key: String,
}

impl World {
    pub(super) async fn new(machines: Machines) -> Self {
        let store = Arc::new(Memory::new());
        let (clock, entropy) = (Clock::manual(BEGINNING), Entropy::seeded(3));
        let sealing = Arc::new(SealingKey::generate(&entropy));
        let ground = Ground { engine: store.clone(), sealing, clock: clock.clone(), entropy };
        let fleet = Arc::new(Fleet::open(ground).await.unwrap());
        let user_key = x509::PrivateKey::generate(x509::KeySpec::P256).unwrap().to_pem();
        let key = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, user_key.expose());
        Self { store, fleet, machines: Arc::new(machines), clock, hosts_max: 50, key }
    }

    /// A cluster of so many hosts: `web-0`, `web-1`, …
    pub(super) async fn make_cluster(&self, name: &str, hosts: u64) {
        let cluster = name.parse().unwrap();
        let (permit, new) = (Permit::house(), NewCluster::default());
        self.fleet.put_cluster(permit, &cluster, &new, Expected::Anything).await.unwrap();
        for number in 0..hosts {
            let ssh_priv_key = Secret::new(self.key.clone());
            let credentials = Credentials { ssh_priv_key, ..Credentials::default() };
            let new = NewHost {
                credentials,
                status: HostStatus::Active,
                cluster: Some(cluster.clone()),
                ..NewHost::default()
            };
            let address = format!("{name}-{number}").parse().unwrap();
            self.fleet.add_host(Permit::house(), address, new).await.unwrap();
        }
    }

    pub(super) async fn start(&self, cluster: &str, plan: &Plan, policy: &Policy) -> RolloutId {
        let cluster = cluster.parse().unwrap();
        self.fleet.start_with(Permit::house(), &cluster, plan, policy).await.unwrap().id
    }

    pub(super) async fn rollout(&self, cluster: &str, id: RolloutId) -> Rollout {
        self.fleet.rollout(Permit::house(), &cluster.parse().unwrap(), id).await.unwrap().is
    }

    pub(super) async fn runs(&self, cluster: &str, id: RolloutId) -> Vec<HostRun> {
        let cluster = cluster.parse().unwrap();
        let page = self.fleet.rollout_hosts(Permit::house(), &cluster, id, None, 1_000);
        page.await.unwrap().hosts
    }

    /// A process that carries operations out, and hears what happens if `hears`. It never ends; dropping it is its
    /// death.
    pub(super) async fn process(&self, holder: &str, hears: bool) {
        let (bus, stop) = (InProcess::new(), Stop::new());
        let hands = Hands {
            remote: self.machines.clone(),
            playbooks: None,
            port: 22,
            jump: None,
            profile: Profile::None,
            commands: OsCommands::standard(),
            templates: Templates::default(),
            etcd: None,
            investigates: false,
            operates: true,
            watch_period: Some(Span::seconds(300)),
            hosts_max: self.hosts_max,
            host_limit: Duration::from_secs(600),
        };
        let claims = Claims::new(self.store.clone()).unwrap();
        let nodes = Arc::new(Nodes::new(self.fleet.clone(), self.clock.clone()));
        let operations = Operations {
            crew: Arc::new(Crew { hands, fleet: self.fleet.clone(), nodes }),
            wards: self.machines.clone(),
            places: Arc::new(Semaphore::new(self.hosts_max)),
            claims: claims.clone(),
            holder: holder.to_owned(),
            clock: self.clock.clone(),
            bus: bus.clone(),
        };
        let engine: Arc<dyn Engine> = self.store.clone();
        let from = engine.list(&History::prefix(), Page::first(1)).await.unwrap().revision;
        let tells = async {
            match hears {
                true => outbox::run(engine, from, bus.clone(), stop.clone()).await,
                false => std::future::pending().await,
            }
        };
        let clock = self.clock.clone();
        let works =
            reconciler::run(Box::new(operations), claims, "any".into(), clock, bus.clone(), stop.clone());
        tokio::join!(works, tells);
    }

    /// Whoever lifts the cordons that were left tries it once.
    pub(super) async fn lift_cordons(&self) {
        let mut lift = LiftCordons {
            fleet: self.fleet.clone(),
            wards: self.machines.clone(),
            claims: Claims::new(self.store.clone()).unwrap(),
            holder: "whoever lifts".into(),
            clock: self.clock.clone(),
            entropy: Entropy::seeded(4),
            waiting: <_>::default(),
        };
        lift.step(&Stop::new()).await.unwrap();
    }

    /// Lets time pass while `work` goes on, at most `limit` of it; what came of it, if it was done.
    pub(super) async fn within<T>(&self, limit: Duration, work: impl Future<Output = T>) -> Option<T> {
        let ticks = async {
            loop {
                tokio::time::sleep(Duration::from_secs(1)).await;
                self.clock.advance(Span::seconds(1));
            }
        };
        tokio::select! {
            done = work => Some(done),
            () = ticks => None,
            () = tokio::time::sleep(limit) => None,
        }
    }

    /// Has one process work until the operation has ended, and gives it then.
    #[track_caller]
    pub(super) fn ended(&self, cluster: &str, id: RolloutId) -> impl Future<Output = Rollout> {
        let cluster = cluster.to_owned();
        async move {
            let ends = async {
                loop {
                    let rollout = self.rollout(&cluster, id).await;
                    if rollout.outcome.is_some() {
                        return rollout;
                    }
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            };
            let work = async {
                tokio::select! {
                    rollout = ends => rollout,
                    () = self.process("the only process", true) => unreachable!("it never ends"),
                }
            };
            self.within(Duration::from_secs(40_000), work).await.expect("it comes to an end")
        }
    }
}
