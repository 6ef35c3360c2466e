use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use base::{Entropy, Secret, Timestamp};
use fleet::bootstrap::Profile;
use fleet::{
    Beginning, ClusterName, Credentials, Expected, Fleet, Ground, HostProgress, NewCluster, NewHost,
    OsCommands, Plan, Policy, Templates,
};
use ssh::{Captured, Command, End, Error, HostKey, Output, Remote, Target, Upload};
use store::{Engine, Memory, Page, Prefix, SealingKey};

use super::*;
use crate::hands::{Hands, Nodes};

const BEGINNING: Timestamp = Timestamp::from_unix(1_790_000_000);
const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICs4S4OEBWkd3NCUIIk1YF3SNktnfhsZRSCNXxzJZFqO";
const SAID: &str = "provost-probe-begins\nos=fedora\nversion=41\natomic=no\ncpus=4\nmemory_kib=2097152\n\
                    space_kib=10\nboot_id=0a-1f\nkernel=6.1\narchitecture=x86_64\nprovost-probe-ends\n";

/// What hosts do when they are asked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mood {
    Fine,
    Refusing,
    Hanging,
    /// Somebody deletes the host while it answers.
    Deleted,
}

/// Machines that are all in the same mood.
struct Scripted {
    mood: Mood,
    fleet: Arc<Fleet>,
    now: AtomicUsize,
    most: AtomicUsize,
    asked: Mutex<Vec<String>>,
}

impl Remote for Scripted {
    fn meet<'a>(&'a self, target: &'a Target) -> BoxFuture<'a, Result<HostKey, Error>> {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        async move {
            // Everybody who may begin has begun by then.
            tokio::time::sleep(Duration::from_secs(1)).await;
            if self.mood == Mood::Hanging {
                std::future::pending::<()>().await;
            }
            self.now.fetch_sub(1, Ordering::SeqCst);
            if self.mood == Mood::Refusing {
                return Err(Error::Refused { at: target.address.clone() });
            }
            Ok(KEY.parse().unwrap())
        }
        .boxed()
    }

    fn run<'a>(&'a self, target: &'a Target, _: &'a Command) -> BoxFuture<'a, Result<Output, Error>> {
        async move {
            let host = target.address.host.clone();
            if self.mood == Mood::Deleted {
                let address = host.parse().unwrap();
                self.fleet.delete_host(Permit::house(), &address, Expected::Anything).await.unwrap();
            }
            self.asked.lock().unwrap().push(host);
            Ok(Output { end: End::Exit(0), stdout: Captured::whole(SAID), stderr: Captured::default() })
        }
        .boxed()
    }

    fn put<'a>(&'a self, _: &'a Target, _: &'a Upload) -> BoxFuture<'a, Result<(), Error>> {
        async { Ok(()) }.boxed()
    }
}

struct World {
    store: Arc<Memory>,
    fleet: Arc<Fleet>,
    remote: Arc<Scripted>,
    investigate: Investigate,
}

impl World {
    async fn new(mood: Mood, hosts: usize, hosts_max: usize) -> Self {
        let store = Arc::new(Memory::new());
        let (clock, entropy) = (Clock::manual(BEGINNING), Entropy::seeded(3));
        let sealing = Arc::new(SealingKey::generate(&entropy));
        let ground = Ground { engine: store.clone(), sealing, clock: clock.clone(), entropy };
        let fleet = Arc::new(Fleet::open(ground).await.unwrap());
        let user_key = x509::PrivateKey::generate(x509::KeySpec::P256).unwrap().to_pem();
        for number in 0..hosts {
            let key = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, user_key.expose());
            let credentials = Credentials { ssh_priv_key: Secret::new(key), ..Credentials::default() };
            let new = NewHost { credentials, ..NewHost::default() };
            let address = format!("10.0.0.{number}").parse().unwrap();
            fleet.add_host(Permit::house(), address, new).await.unwrap();
        }
        let remote = Arc::new(Scripted {
            mood,
            fleet: fleet.clone(),
            now: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
            asked: Mutex::default(),
        });
        let hands = Hands {
            remote: remote.clone(),
            playbooks: None,
            port: 22,
            jump: None,
            profile: Profile::None,
            commands: OsCommands::standard(),
            templates: Templates::default(),
            etcd: None,
            investigates: true,
            watch_period: None,
            operates: false,
            hosts_max,
            host_limit: Duration::from_secs(600),
        };
        let nodes = Arc::new(Nodes::new(fleet.clone(), clock.clone()));
        let investigate = Investigate {
            crew: Arc::new(Crew { hands, fleet: fleet.clone(), nodes }),
            claims: Claims::new(store.clone()).unwrap(),
            holder: "we".into(),
            clock,
            bus: InProcess::new(),
        };
        Self { store, fleet, remote, investigate }
    }

    async fn host(&self, number: usize) -> (String, Option<String>) {
        let address = format!("10.0.0.{number}").parse().unwrap();
        let host = self.fleet.host(Permit::house(), &address).await.unwrap().is;
        (host.status.as_str().to_owned(), host.reason)
    }

    async fn keys(&self, prefix: &str) -> usize {
        self.store.list(&Prefix::new(prefix).unwrap(), Page::full()).await.unwrap().entries.len()
    }
}

#[tokio::test(start_paused = true)]
async fn many_are_worked_on_at_once_and_no_more_than_allowed() {
    let mut world = World::new(Mood::Fine, 20, 4).await;
    let next = world.investigate.step(&Stop::new()).await.unwrap();
    assert_eq!(next, Next::At(BEGINNING + EVERY));
    assert_eq!(world.remote.most.load(Ordering::SeqCst), 4);
    let mut asked = world.remote.asked.lock().unwrap().clone();
    asked.sort();
    asked.dedup();
    assert_eq!(asked.len(), 20);
    for number in 0..20 {
        assert_eq!(world.host(number).await, ("disassociated".into(), None));
    }
    assert_eq!((world.keys("/claim/").await, world.keys("/fleet/bootstrap/").await), (0, 0));
    assert_eq!(world.keys("/fleet/host-key/").await, 20);
}

#[tokio::test(start_paused = true)]
async fn who_refuses_has_failed_and_is_tried_again() {
    let mut world = World::new(Mood::Refusing, 1, 4).await;
    let Next::At(next) = world.investigate.step(&Stop::new()).await.unwrap();
    assert!(next < BEGINNING + Span::seconds(60), "{next}");
    let (status, reason) = world.host(0).await;
    assert_eq!(status, "failed");
    let expected = "10.0.0.0:22 refuses connections; see that sshd runs there and listens at port 22";
    assert_eq!(reason.as_deref(), Some(expected));
}

/// Commissaire contract, section 14, S37.
#[tokio::test(start_paused = true)]
async fn a_host_that_is_deleted_meanwhile_does_not_come_back() {
    let mut world = World::new(Mood::Deleted, 3, 4).await;
    world.investigate.step(&Stop::new()).await.unwrap();
    assert_eq!(world.remote.asked.lock().unwrap().len(), 3);
    for prefix in ["/commissaire/hosts/", "/fleet/host-key/", "/fleet/bootstrap/", "/fleet/care/"] {
        assert_eq!(world.keys(prefix).await, 0, "{prefix}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_leaves_the_rest_for_later() {
    let mut world = World::new(Mood::Hanging, 9, 4).await;
    let (stop, begun) = (Stop::new(), Instant::now());
    let asks = async {
        tokio::time::sleep(Duration::from_secs(20)).await;
        stop.ask();
    };
    let (next, ()) = tokio::join!(world.investigate.step(&stop), asks);
    next.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(26), "{:?}", begun.elapsed());
    assert_eq!(world.keys("/claim/").await, 0, "whoever comes next need not wait");
    let mut statuses = Vec::new();
    for number in 0..9 {
        statuses.push(world.host(number).await.0);
    }
    assert_eq!(statuses.iter().filter(|status| *status == "investigating").count(), 4, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| status.is_empty()).count(), 5, "{statuses:?}");
}

/// Two processes share the work, and none is done twice.
#[tokio::test(start_paused = true)]
async fn hosts_that_another_works_on_are_left_to_it() {
    let mut world = World::new(Mood::Fine, 2, 4).await;
    let lease = Span::seconds(60);
    let claims = world.investigate.claims.clone();
    claims.take("host/10.0.0.0", "another", BEGINNING, lease).await.unwrap().unwrap();
    let next = world.investigate.step(&Stop::new()).await.unwrap();
    assert_eq!(next, Next::At(BEGINNING + Span::seconds(5)));
    assert_eq!((world.host(0).await.0.as_str(), world.host(1).await.0.as_str()), ("", "disassociated"));
}

/// It may be on its way through a restart.
#[tokio::test(start_paused = true)]
async fn a_host_that_an_operation_is_at_is_left_to_it() {
    let mut world = World::new(Mood::Fine, 1, 4).await;
    let (fleet, claims) = (world.fleet.clone(), world.investigate.claims.clone());
    let (web, host): (ClusterName, HostAddress) = ("web".parse().unwrap(), "10.0.0.9".parse().unwrap());
    let (permit, new) = (Permit::house(), NewCluster::default());
    fleet.put_cluster(permit, &web, &new, Expected::Anything).await.unwrap();
    let new = NewHost { cluster: Some(web.clone()), ..NewHost::default() };
    fleet.add_host(Permit::house(), host.clone(), new).await.unwrap();
    let id = fleet.start_with(Permit::house(), &web, &Plan::Restart, &Policy::default()).await.unwrap().id;
    let claim =
        claims.take("operation/web", "another", BEGINNING, Span::seconds(600)).await.unwrap().unwrap();
    fleet.advance(&claim, &web, id, || true).await.unwrap();
    let begun = fleet.begin_hosts(&claim, &web, id, &[Beginning::with(host.clone(), None)]).await.unwrap();
    assert_eq!(begun.len(), 1);
    world.investigate.step(&Stop::new()).await.unwrap();
    assert_eq!((world.host(9).await.0.as_str(), world.host(0).await.0.as_str()), ("", "disassociated"));
    fleet.record_host(&claim, &web, id, &host, &HostProgress::Failed { reason: "no".into() }).await.unwrap();
    world.investigate.step(&Stop::new()).await.unwrap();
    assert_eq!(world.host(9).await.0, "failed", "it has no key");
}
