use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base::{Entropy, Secret};
use base64::Engine as _;
use fleet::bootstrap::Profile;
use fleet::{Credentials, Fleet, Ground, HostStatus, NewCluster, NewHost, OsCommands, Templates};
use identity::Permit;
use ssh::{Captured, Command, End, Error, HostKey, Output, Remote, Target, Upload};
use store::{Engine as _, Memory, Page, Prefix, SealingKey};

use super::*;
use crate::hands::{ANSWER, Hands, Nodes};

const BEGINNING: Timestamp = Timestamp::from_unix(1_790_000_000);
const PERIOD: Span = Span::seconds(300);

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICs4S4OEBWkd3NCUIIk1YF3SNktnfhsZRSCNXxzJZFqO";

/// How long those take that hang, in milliseconds.
const HANGS: u64 = 45_000;

/// Machines that answer, but for some.
#[derive(Default)]
struct Scripted {
    silent: Mutex<Vec<String>>,
    /// Who says nothing for longer than that.
    hanging: Mutex<Vec<String>>,
    /// Whose connection was kept, and is dead.
    dead: Mutex<Vec<String>>,
    /// Who proves another key.
    others: Mutex<Vec<String>>,
    /// How often each was asked.
    asked: Mutex<BTreeMap<String, u32>>,
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Remote for Scripted {
    fn meet<'a>(&'a self, _: &'a Target) -> BoxFuture<'a, Result<HostKey, Error>> {
        unreachable!("nobody is met")
    }

    fn run<'a>(&'a self, target: &'a Target, _: &'a Command) -> BoxFuture<'a, Result<Output, Error>> {
        async move {
            let host = target.address.host.clone();
            let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
            self.most.fetch_max(now, Ordering::SeqCst);
            *self.asked.lock().unwrap().entry(host.clone()).or_default() += 1;
            let is_hanging = self.hanging.lock().unwrap().contains(&host);
            let is_silent = is_hanging || self.silent.lock().unwrap().contains(&host);
            let takes = match () {
                () if is_hanging => HANGS,
                () if is_silent => 10_000,
                () => 20,
            };
            tokio::time::sleep(Duration::from_millis(takes)).await;
            self.now.fetch_sub(1, Ordering::SeqCst);
            let (at, key) = (target.address.clone(), || Box::new(KEY.parse().unwrap()));
            let is_among = |hosts: &Mutex<Vec<String>>| {
                let mut hosts = hosts.lock().unwrap();
                let count = hosts.len();
                hosts.retain(|one| *one != host);
                hosts.len() < count
            };
            if is_among(&self.dead) {
                return Err(Error::Overdue {
                    at,
                    after: ANSWER,
                    stdout: Box::default(),
                    stderr: Box::default(),
                });
            }
            if is_among(&self.others) {
                return Err(Error::HostKeyChanged { at, pinned: key(), offered: key() });
            }
            match is_silent {
                true => Err(Error::Refused { at: target.address.clone() }),
                false => {
                    Ok(Output { end: End::Exit(0), stdout: Captured::default(), stderr: Captured::default() })
                }
            }
        }
        .boxed()
    }

    fn put<'a>(&'a self, _: &'a Target, _: &'a Upload) -> BoxFuture<'a, Result<(), Error>> {
        unreachable!("nothing is put")
    }
}

struct World {
    store: Arc<Memory>,
    fleet: Arc<Fleet>,
    clock: Clock,
    remote: Arc<Scripted>,
}

impl World {
    async fn new() -> Self {
        let store = Arc::new(Memory::new());
        let (clock, entropy) = (Clock::manual(BEGINNING), Entropy::seeded(3));
        let sealing = Arc::new(SealingKey::generate(&entropy));
        let ground = Ground { engine: store.clone(), sealing, clock: clock.clone(), entropy };
        let fleet = Arc::new(Fleet::open(ground).await.unwrap());
        fleet
            .put_cluster(Permit::house(), &web(), &NewCluster::default(), fleet::Expected::Anything)
            .await
            .unwrap();
        Self { store, fleet, clock, remote: Arc::default() }
    }

    /// With so many hosts that are ready, in the cluster `web`.
    async fn of(hosts: usize) -> Self {
        let world = Self::new().await;
        let user_key = x509::PrivateKey::generate(x509::KeySpec::P256).unwrap().to_pem();
        let key = base64::engine::general_purpose::STANDARD.encode(user_key.expose());
        for number in 0..hosts {
            let credentials =
                Credentials { ssh_priv_key: Secret::new(key.clone()), ..Credentials::default() };
            let (status, cluster) = (HostStatus::Disassociated, Some(web()));
            let new = NewHost { credentials, status, cluster, ..NewHost::default() };
            world.fleet.add_host(Permit::house(), address(number), new).await.unwrap();
        }
        world
    }

    fn watch(&self, holder: &str) -> Watch {
        let hands = Hands {
            remote: self.remote.clone(),
            playbooks: None,
            port: 22,
            jump: None,
            profile: Profile::None,
            commands: OsCommands::standard(),
            templates: Templates::default(),
            etcd: None,
            investigates: false,
            operates: false,
            watch_period: Some(PERIOD),
            hosts_max: 50,
            host_limit: Duration::from_secs(600),
        };
        let nodes = Arc::new(Nodes::new(self.fleet.clone(), self.clock.clone()));
        Watch::new(Watcher {
            crew: Arc::new(Crew { hands, fleet: self.fleet.clone(), nodes }),
            claims: Claims::new(self.store.clone()).unwrap(),
            holder: holder.into(),
            clock: self.clock.clone(),
            period: PERIOD,
        })
    }

    /// Lets so many seconds pass, in which these watch.
    async fn watched(&self, watches: &mut [Watch], seconds: i64) {
        let end = self.clock.now() + Span::seconds(seconds);
        while self.clock.now() < end {
            let mut next = end;
            for watch in &mut *watches {
                let Next::At(at) = watch.step(&Stop::new()).await.unwrap();
                next = next.min(at);
            }
            self.clock.advance(next - self.clock.now());
        }
    }

    /// Lets so many seconds pass in which the clock goes on as time does.
    async fn lived(&self, watch: &mut Watch, seconds: u64) {
        let stop = Stop::new();
        let watched = async {
            loop {
                let Next::At(at) = watch.step(&stop).await.unwrap();
                tokio::time::sleep((at - self.clock.now()).as_duration()).await;
            }
        };
        let passes = async {
            for _ in 0..seconds {
                tokio::time::sleep(Duration::from_secs(1)).await;
                self.clock.advance(Span::seconds(1));
            }
        };
        tokio::select! {
            () = watched => {}
            () = passes => {}
        }
    }

    fn hang(&self, hosts: std::ops::Range<usize>) {
        *self.remote.hanging.lock().unwrap() = hosts.map(|host| address(host).to_string()).collect();
    }

    /// How often the least of these was asked, and how often the most.
    fn times(&self, hosts: std::ops::Range<usize>) -> (u32, u32) {
        let asked = self.remote.asked.lock().unwrap();
        let mut times: Vec<u32> =
            hosts.map(|host| asked.get(address(host).as_str()).copied().unwrap_or_default()).collect();
        times.sort_unstable();
        (times[0], times[times.len() - 1])
    }

    fn asked(&self) -> BTreeMap<String, u32> {
        std::mem::take(&mut self.remote.asked.lock().unwrap())
    }

    fn silence(&self, hosts: &[usize]) {
        *self.remote.silent.lock().unwrap() = hosts.iter().map(|host| address(*host).to_string()).collect();
    }

    async fn status(&self, number: usize) -> (String, Option<String>) {
        let host = self.fleet.host(Permit::house(), &address(number)).await.unwrap().is;
        (host.status.as_str().to_owned(), host.reason)
    }

    async fn health(&self) -> &'static str {
        self.fleet.cluster(Permit::house(), &web()).await.unwrap().health().as_str()
    }
}

fn web() -> fleet::ClusterName {
    "web".parse().unwrap()
}

fn address(number: usize) -> HostAddress {
    format!("10.0.{}.{}", number / 256, number % 256).parse().unwrap()
}

#[tokio::test(start_paused = true)]
async fn each_of_twenty_thousand_hosts_is_looked_at_once_in_a_period() {
    let world = World::of(20_000).await;
    let mut watches = [world.watch("we")];
    let begun = world.fleet.revision().await.unwrap();
    world.watched(&mut watches, 300).await;
    let asked = world.asked();
    assert_eq!(asked.len(), 20_000);
    assert!(asked.values().all(|times| *times == 1), "some were asked twice");
    let commits = world.fleet.revision().await.unwrap().0 - begun.0;
    assert!(commits < 60 * 12, "{commits} commits");
    let most = world.remote.most.load(Ordering::SeqCst);
    assert!(most <= 20, "{most} at once, and each answers after 20 ms: they are spread over the seconds");
    assert_eq!(world.health().await, "ok");
}

#[tokio::test(start_paused = true)]
async fn who_is_silent_twice_has_failed_until_it_answers() {
    let world = World::of(40).await;
    let mut watches = [world.watch("we")];
    world.silence(&[7]);
    world.watched(&mut watches, 300).await;
    assert_eq!((world.status(7).await, world.health().await), (("disassociated".into(), None), "ok"));
    world.watched(&mut watches, 300).await;
    let (status, reason) = world.status(7).await;
    assert_eq!((status.as_str(), world.health().await), ("failed", "degraded"));
    assert_eq!(
        reason.as_deref(),
        Some("10.0.0.7:22 refuses connections; see that sshd runs there and listens at port 22")
    );
    let quiet = world.fleet.host(Permit::house(), &address(7)).await.unwrap().version;
    world.watched(&mut watches, 300).await;
    let found = world.fleet.host(Permit::house(), &address(7)).await.unwrap();
    assert_eq!((found.version, world.asked()["10.0.0.7"]), (quiet, 3), "nothing new is written of it");
    world.silence(&[]);
    world.watched(&mut watches, 300).await;
    assert_eq!((world.status(7).await, world.health().await), (("disassociated".into(), None), "ok"));
}

#[tokio::test(start_paused = true)]
async fn who_comes_and_goes_is_not_believed_at_once() {
    let world = World::of(3).await;
    let mut watch = world.watch("we");
    watch.watcher.period = Span::seconds(60);
    let mut watches = [watch];
    let mut came_back = 0;
    for _ in 0..4 {
        world.silence(&[1]);
        world.watched(&mut watches, 120).await;
        assert_eq!(world.status(1).await.0, "failed");
        world.silence(&[]);
        world.watched(&mut watches, 60).await;
        came_back += u32::from(world.status(1).await.0 == "disassociated");
    }
    assert!((1..4).contains(&came_back), "{came_back}");
    assert!(world.status(1).await.1.unwrap().contains("too often"));
    world.watched(&mut watches, 3_600).await;
    assert_eq!(world.status(1).await, ("disassociated".into(), None));
    assert_eq!(world.status(0).await.0, "disassociated");
}

/// Not even those whose turn comes again before it is given up: only it is not asked twice at once.
#[tokio::test(start_paused = true)]
async fn a_host_that_hangs_holds_nobody_back() {
    let world = World::of(20).await;
    world.hang(0..1);
    let mut watch = world.watch("we");
    watch.watcher.period = Span::seconds(10);
    world.lived(&mut watch, 300).await;
    let ((least, most), hanging) = (world.times(1..20), world.times(0..1));
    assert!(least >= 28 && most <= 31, "{least} to {most}");
    assert!((5..=7).contains(&hanging.0), "{hanging:?}");
    assert_eq!(world.status(0).await.0, "failed");
}

/// Nor do more of them than may be looked at at once, when it is known of them.
#[tokio::test(start_paused = true)]
async fn many_hosts_that_hang_hold_nobody_back_for_long() {
    let world = World::of(160).await;
    world.hang(0..100);
    let mut watch = world.watch("we");
    watch.watcher.period = Span::seconds(60);
    world.lived(&mut watch, 240).await;
    world.asked();
    world.lived(&mut watch, 600).await;
    let (least, most) = world.times(100..160);
    assert!(least >= 9 && most <= 11, "{least} to {most}");
    assert!(world.times(0..100).0 >= 2, "and nobody is forgotten");
}

/// Two processes share the hosts; when one dies with a slice in its hands, the other looks at those.
#[tokio::test(start_paused = true)]
async fn processes_share_the_hosts_and_one_takes_over_from_another() {
    let world = World::of(600).await;
    let mut watches = [world.watch("one"), world.watch("another")];
    world.watched(&mut watches, 300).await;
    let asked = world.asked();
    assert!(asked.len() == 600 && asked.values().all(|times| *times == 1));
    // It dies: its claims stay until they end by themselves.
    let claims = watches[0].watcher.claims.clone();
    for slice in 0..60 {
        let name = format!("watch/{slice}");
        claims.take(&name, "one", world.clock.now(), Span::seconds(60)).await.unwrap().unwrap();
    }
    world.watched(&mut watches[1..], 50).await;
    assert_eq!(world.asked().len(), 0);
    world.watched(&mut watches[1..], 250).await;
    let asked = world.asked();
    assert!(asked.len() == 600 && asked.values().all(|times| *times == 1), "{}", asked.len());
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_it_soon_and_leaves_the_rest_to_others() {
    let world = World::of(200).await;
    world.silence(&(0..200).collect::<Vec<_>>());
    let mut watch = world.watch("we");
    watch.step(&Stop::new()).await.unwrap();
    world.clock.advance(Span::seconds(30));
    let (stop, begun) = (Stop::new(), Instant::now());
    let asks = async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        stop.ask();
    };
    let (next, ()) = tokio::join!(watch.step(&stop), asks);
    next.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    let held = world.store.list(&Prefix::new("/claim/").unwrap(), Page::full()).await.unwrap().entries.len();
    assert_eq!(held, 0, "whoever comes next need not wait");
    world.silence(&[]);
    world.asked();
    world.watched(&mut [world.watch("another")], 300).await;
    assert_eq!(world.asked().len(), 200);
}

/// A start makes no crowd: what is due is what falls due from then on.
#[tokio::test(start_paused = true)]
async fn a_start_makes_no_crowd() {
    let world = World::of(600).await;
    world.watch("we").step(&Stop::new()).await.unwrap();
    assert!(world.asked().len() < 60);
}

/// Those that others see to, and those that are meant to be away.
#[tokio::test(start_paused = true)]
async fn only_hosts_that_are_or_were_ready_are_looked_at() {
    let world = World::of(2).await;
    let claims = Claims::new(world.store.clone()).unwrap();
    let claim = claims.take("host/10.0.0.0", "one", BEGINNING, LEASE).await.unwrap().unwrap();
    world.fleet.record_failure(&claim, &address(0), "no sudo").await.unwrap();
    for (number, status) in [(10, HostStatus::New), (11, HostStatus::Bootstrapping)] {
        let new = NewHost { status, ..NewHost::default() };
        world.fleet.add_host(Permit::house(), address(number), new).await.unwrap();
    }
    world.watched(&mut [world.watch("we")], 300).await;
    assert_eq!(world.asked().into_keys().collect::<Vec<_>>(), ["10.0.0.1"]);
}

/// A connection that was kept may be dead: that says nothing about the host.
#[tokio::test(start_paused = true)]
async fn a_dead_connection_is_no_silence() {
    let world = World::of(2).await;
    world.remote.dead.lock().unwrap().push("10.0.0.1".into());
    world.watched(&mut [world.watch("we")], 300).await;
    let care = world.fleet.care(&address(1)).await.unwrap();
    assert_eq!((care, world.asked()["10.0.0.1"]), (fleet::Care::default(), 2));
}

/// Nothing more is done on a host that proves another key, until somebody has accepted that.
#[tokio::test(start_paused = true)]
async fn a_host_with_another_key_has_failed_at_once() {
    let world = World::of(2).await;
    world.remote.others.lock().unwrap().push("10.0.0.1".into());
    let mut watches = [world.watch("we")];
    world.watched(&mut watches, 300).await;
    let (status, reason) = world.status(1).await;
    assert!(status == "failed" && reason.unwrap().contains("provost host accept-key 10.0.0.1"));
    world.asked();
    world.watched(&mut watches, 300).await;
    assert!(!world.asked().contains_key("10.0.0.1"));
}
