//! Streams of a fleet on a store in memory, whose operations a test carries out by itself. Time passes by itself.

use std::sync::Mutex;

use base::{Clock, Entropy, Span, Timestamp};
use bus::{Hint, InProcess};
use fleet::{
    AddHost, Beginning, Expected, Fleet, Ground, HostProgress, HostStatus, NewCluster, NewHost, Plan, Policy,
    Rollout, StartOperation, SteerOperation, WriteCluster,
};
use futures_util::Stream;
use identity::{Action, Role};
use store::{Claim, Claims, Engine, Memory, SealingKey};

use super::super::answer::tag_of;
use super::super::listeners::Listeners;
use super::super::looks::Looks;
use super::*;

fn reader() -> Principal {
    Principal::pretended("ada", Role::Reader, None)
}

fn permit<A: Action>() -> Permit<A> {
    Permit::grant(Principal::pretended("bob", Role::Administrator, None)).unwrap()
}

struct World {
    store: Arc<dyn Engine>,
    clock: Clock,
    fleet: Arc<Fleet>,
    bus: InProcess,
    stop: Stop,
    /// Who reads is found to be this at the next check.
    reads: Arc<Mutex<Option<Principal>>>,
    listeners: Listeners,
    looks: Looks,
    rollout: Rollout,
}

impl World {
    /// With a restart of two hosts.
    async fn new() -> Self {
        let store: Arc<dyn Engine> = Arc::new(Memory::new());
        let (clock, entropy) = (Clock::manual(Timestamp::from_unix(1_481_000_000)), Entropy::seeded(7));
        let sealing = Arc::new(SealingKey::generate(&entropy));
        let ground = Ground { engine: store.clone(), sealing, clock: clock.clone(), entropy };
        let fleet = Arc::new(Fleet::open(ground).await.unwrap());
        let (web, new) = (web(), NewCluster::default());
        fleet.put_cluster(permit::<WriteCluster>(), &web, &new, Expected::Anything).await.unwrap();
        for host in ["h0", "h1"] {
            let new = NewHost {
                status: HostStatus::from("active"),
                cluster: Some(web.clone()),
                ..NewHost::default()
            };
            fleet.add_host(permit::<AddHost>(), host.parse().unwrap(), new).await.unwrap();
        }
        let permit = permit::<StartOperation>();
        let rollout = fleet.start_with(permit, &web, &Plan::Restart, &Policy::default()).await.unwrap();
        let (bus, stop, listeners) = (InProcess::new(), Stop::new(), Listeners::default());
        let looks = Looks::default();
        let reads = Arc::new(Mutex::new(Some(reader())));
        Self { store, clock, fleet, bus, stop, reads, listeners, looks, rollout }
    }

    /// What one who reads along from now on is told.
    fn events(&self) -> impl Stream<Item = Bytes> + Send + Unpin + use<> {
        let reads = self.reads.clone();
        let telling = Telling {
            looked: self.looks.of(&self.fleet, &web(), self.rollout.id),
            cluster: web(),
            id: self.rollout.id,
            kind: OperationKind::Restart,
            by: reader(),
            check: Box::new(move || {
                let reads = reads.lock().unwrap().clone();
                Box::pin(async move { reads })
            }),
            hints: self.bus.listen(),
            stop: self.stop.clone(),
            told: String::new(),
            seen: Instant::now(),
            spoke: Instant::now(),
            checked: Instant::now(),
            is_over: false,
            _place: self.listeners.admit("ada").unwrap(),
        };
        Box::pin(telling.into_stream())
    }

    async fn claim(&self) -> Claim {
        let claims = Claims::new(self.store.clone()).unwrap();
        let now = self.clock.now();
        claims.take("operation/web", "one", now, Span::days(1)).await.unwrap().unwrap()
    }

    /// Restarts a host.
    async fn restart(&self, claim: &Claim, host: &str) {
        let (host, id) = (host.parse().unwrap(), self.rollout.id);
        self.fleet.begin_hosts(claim, &web(), id, &[Beginning::with(host, None)]).await.unwrap();
    }

    async fn is_well(&self, claim: &Claim, host: &str) {
        let (host, id) = (host.parse().unwrap(), self.rollout.id);
        self.fleet.record_host(claim, &web(), id, &host, &HostProgress::Healthy).await.unwrap();
    }

    fn hint(&self, what: &str, about: &str) {
        self.bus.publish(&Hint { what: what.into(), about: about.into() });
    }
}

fn web() -> ClusterName {
    "web".parse().unwrap()
}

/// The operation that an event tells of.
fn told(event: &Bytes) -> wire::Operation {
    let text = std::str::from_utf8(event).unwrap();
    let lines: Vec<&str> = text.split('\n').collect();
    assert!(text.ends_with("\n\n") && lines.len() == 6 && lines[0] == "event: operation", "{text}");
    let data = lines[3].strip_prefix("data: ").unwrap();
    assert_eq!(lines[1], format!("id: {}", tag_of(data.as_bytes())));
    serde_json::from_str(data).unwrap()
}

async fn next(events: &mut (impl Stream<Item = Bytes> + Unpin)) -> wire::Operation {
    told(&events.next().await.unwrap())
}

#[tokio::test(start_paused = true)]
async fn what_is_comes_first_and_then_what_becomes_of_it() {
    let world = World::new().await;
    let claim = world.claim().await;
    let mut events = world.events();
    let first = next(&mut events).await;
    assert_eq!((first.phase, first.hosts.waiting), (wire::OperationPhase::Running, 2));
    world.restart(&claim, "h0").await;
    let began = Instant::now();
    let begun = next(&mut events).await;
    assert!(began.elapsed() <= LOOK_EVERY, "without any hint");
    assert_eq!((begun.under_way, begun.waits_for), (vec!["h0".to_owned()], Some(wire::WaitsFor::Hosts)));

    tokio::time::advance(LOOK_PAUSE).await;
    world.is_well(&claim, "h0").await;
    world.hint("restart of host done", "host h0");
    let began = Instant::now();
    assert_eq!(next(&mut events).await.hosts.done, 1);
    assert!(began.elapsed() < LOOK_PAUSE, "a hint is heard at once: {:?}", began.elapsed());

    // Several at once are one.
    world.restart(&claim, "h1").await;
    world.is_well(&claim, "h1").await;
    let id = world.rollout.id;
    world.fleet.advance(&claim, &web(), id, || true).await.unwrap();
    for what in ["restart of host begun", "restart of host done", "restart finished"] {
        world.hint(what, "cluster web");
    }
    let end = next(&mut events).await;
    assert_eq!((end.phase, end.hosts.done), (wire::OperationPhase::Finished, 2));
    assert!(end.finished_at.is_some());
    assert_eq!(events.next().await, None);
    assert_eq!(told(&world.events().next().await.unwrap()), end, "whoever comes late is told the end");
}

/// However many read along, the store is asked as often as for one, and all of them are told.
#[tokio::test(start_paused = true)]
async fn many_who_read_the_same_share_each_look() {
    let world = World::new().await;
    let claim = world.claim().await;
    let mut all: Vec<_> = (0..40).map(|_| world.events()).collect();
    for events in &mut all {
        next(events).await;
    }
    tokio::time::advance(LOOK_PAUSE).await;
    world.restart(&claim, "h0").await;
    world.hint("restart of host begun", "host h0");
    let events = futures_util::future::join_all(all.iter_mut().map(|events| events.next())).await;
    let events: Vec<Bytes> = events.into_iter().flatten().collect();
    assert!(events.len() == 40 && told(&events[0]).under_way == ["h0"]);
    assert!(
        events.iter().all(|event| event.as_ptr() == events[0].as_ptr()),
        "it was read and written out once"
    );
}

#[tokio::test(start_paused = true)]
async fn silence_is_broken_and_no_word_is_said_twice() {
    let world = World::new().await;
    let mut events = world.events();
    next(&mut events).await;
    let began = Instant::now();
    // What has nothing to do with it, and what has and changes nothing.
    world.hint("host labelled", "host h0");
    world.hint("restart of host begun", "host of another cluster");
    assert_eq!(events.next().await.unwrap(), ": nothing new\n\n");
    assert_eq!(began.elapsed(), SILENCE_MAX);
    assert_eq!(events.next().await.unwrap(), ": nothing new\n\n");
    assert_eq!(began.elapsed(), 2 * SILENCE_MAX);
    let (web, id) = (web(), world.rollout.id);
    world.fleet.pause(permit::<SteerOperation>(), &web, id).await.unwrap();
    assert_eq!(next(&mut events).await.phase, wire::OperationPhase::Paused);
    world.fleet.abort(permit::<SteerOperation>(), &web, id).await.unwrap();
    assert_eq!(next(&mut events).await.phase, wire::OperationPhase::Aborted);
    assert_eq!(events.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn nobody_reads_on_who_may_not_any_more() {
    let world = World::new().await;
    for becomes in [None, Some(Principal::pretended("ada", Role::Registrar, None))] {
        *world.reads.lock().unwrap() = Some(reader());
        let mut events = world.events();
        next(&mut events).await;
        *world.reads.lock().unwrap() = becomes;
        let began = Instant::now();
        while let Some(event) = events.next().await {
            assert!(event.starts_with(b":"), "{event:?}");
        }
        assert!(began.elapsed() <= CHECK_EVERY + LOOK_EVERY, "{:?}", began.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_house_is_the_end_of_all_streams() {
    let world = World::new().await;
    let mut events = world.events();
    next(&mut events).await;
    let began = Instant::now();
    let (end, ()) = tokio::join!(events.next(), async {
        // It waits by now.
        world.stop.ask();
    });
    assert_eq!(end, None);
    assert!(began.elapsed() < Duration::from_secs(1));
    assert_eq!(world.events().next().await, None);
}
