//! How much is asked of the store does not grow with the number of hosts.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base::Span;
use fleet::{Beginning, Expected, Facts, HostFilter, HostProgress, HostStatus, NewHost, Next, Plan};
use futures_executor::block_on;
use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::BoxStream;
use store::{
    Batch, Change, Claims, CommitError, Engine, Error, Key, Listing, Memory, Page, Prefix, Revision,
    Versioned, WatchError,
};

use crate::world::{World, address, cluster, host, labels, permit};

/// A store that counts the records and the bytes that go through its door.
#[derive(Default)]
struct Counting {
    memory: Memory,
    records: AtomicUsize,
    bytes: AtomicUsize,
}

impl Counting {
    fn count(&self, records: usize, bytes: usize) {
        self.records.fetch_add(records, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// How many records and bytes `work` takes.
    fn of(&self, work: impl FnOnce()) -> (usize, usize) {
        self.records.store(0, Ordering::Relaxed);
        self.bytes.store(0, Ordering::Relaxed);
        work();
        (self.records.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed))
    }
}

impl Engine for Counting {
    fn get<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Option<Versioned>, Error>> {
        async {
            let found = self.memory.get(key).await?;
            self.count(1, found.as_ref().map_or(0, |found| found.value.len()));
            Ok(found)
        }
        .boxed()
    }

    fn list<'a>(&'a self, prefix: &'a Prefix, page: Page) -> BoxFuture<'a, Result<Listing, Error>> {
        async {
            let found = self.memory.list(prefix, page).await?;
            let bytes = found.entries.iter().map(|(_, versioned)| versioned.value.len()).sum();
            self.count(found.entries.len(), bytes);
            Ok(found)
        }
        .boxed()
    }

    fn revision(&self) -> BoxFuture<'_, Result<Revision, Error>> {
        self.memory.revision()
    }

    fn snapshot(&self) -> BoxFuture<'_, Result<Arc<dyn store::Snapshot>, Error>> {
        self.memory.snapshot()
    }

    fn commit(&self, batch: Batch) -> BoxFuture<'_, Result<Revision, CommitError>> {
        self.count(batch.len() + batch.expectations().len(), batch.bytes());
        self.memory.commit(batch)
    }

    fn watch(&self, prefix: Prefix, from: Revision) -> BoxStream<'_, Result<Change, WatchError>> {
        self.memory.watch(prefix, from)
    }

    fn close(&self) -> BoxFuture<'_, Result<(), Error>> {
        self.memory.close()
    }
}

/// What each piece of work asks of a store with so many hosts, nearly all of them in one cluster.
fn asked_of(hosts: usize) -> Vec<(&'static str, (usize, usize))> {
    let store = Arc::new(Counting::default());
    let world = World::counted(store.clone());
    world.make_cluster("web", "");
    world.make_cluster("small", "");
    for number in 0..hosts {
        let rare = number % (hosts / 10) == 7;
        let new = NewHost {
            facts: Facts { os: if rare { "debian" } else { "fedora" }.into(), ..Facts::default() },
            cluster: Some(cluster(if rare { "small" } else { "web" })),
            labels: labels(&[("rack", if rare { "b7" } else { "c1" })]),
            ..host("key", "active")
        };
        world.add(&format!("h{number:06}"), new).unwrap();
    }
    world.add("h000003-new", host("key", "active")).unwrap();

    let find = |filter: HostFilter, found: usize| {
        store.of(|| {
            let page = block_on(world.fleet.hosts(permit(), &filter, Some(&address("h000002")), 10)).unwrap();
            assert_eq!(page.hosts.len(), found);
        })
    };
    let any = HostFilter::default;
    let (active, debian) = (Some(HostStatus::Active), Some("debian".to_owned()));
    let rack = labels(&[("rack", "b7")]);
    vec![
        ("page", find(any(), 10)),
        ("by cluster", find(HostFilter { cluster: Some(cluster("web")), ..any() }, 10)),
        ("by a small cluster", find(HostFilter { cluster: Some(cluster("small")), ..any() }, 10)),
        ("by status", find(HostFilter { status: active.clone(), ..any() }, 10)),
        ("by OS and status", find(HostFilter { status: active, os: debian, ..any() }, 10)),
        (
            "by label and cluster",
            find(HostFilter { cluster: Some(cluster("small")), labels: rack, ..any() }, 10),
        ),
        ("count", store.of(|| assert_eq!(world.health("web").3, "ok"))),
        ("count a small one", store.of(|| assert_eq!(world.health("small").0, 10))),
        ("join", store.of(|| assert!(world.join("web", "h000003-new").unwrap()))),
        ("leave", store.of(|| assert!(world.leave("web", "h000003-new").unwrap()))),
        (
            "add",
            store.of(|| drop(world.add("x", NewHost { cluster: Some(cluster("web")), ..host("key", "") }))),
        ),
        ("add again", store.of(|| drop(world.add("x", host("key", "")).unwrap()))),
        (
            "delete",
            store.of(|| {
                block_on(world.fleet.delete_host(permit(), &address("x"), Expected::Anything)).unwrap();
            }),
        ),
        ("start", store.of(|| drop(block_on(world.fleet.start(permit(), &cluster("web"), Plan::Restart))))),
        ("restart a host", restart_one(&world, &store)),
    ]
}

/// What it takes to begin with a host of an operation whose hosts are written down, and to have it done.
fn restart_one(world: &World, store: &Counting) -> (usize, usize) {
    let claims = Claims::new(world.store.clone()).unwrap();
    let lease = Span::seconds(600);
    let claim = block_on(claims.take("operation/web", "one", world.clock.now(), lease)).unwrap().unwrap();
    let (web, fleet) = (cluster("web"), &world.fleet);
    let (_, id) = block_on(fleet.running_operations()).unwrap().remove(0);
    let advance = || block_on(fleet.advance(&claim, &web, id, || true)).unwrap().next;
    assert!(matches!(advance(), Next::Begin(_)));
    store.of(|| {
        let Next::Begin(hosts) = advance() else { panic!("there are hosts") };
        let hosts: Vec<_> =
            hosts.into_iter().map(|host| Beginning::with(host, Some("2f1c".to_owned()))).collect();
        assert_eq!(block_on(fleet.begin_hosts(&claim, &web, id, &hosts)).unwrap().len(), 1);
        for progress in [HostProgress::Commanded, HostProgress::Healthy] {
            block_on(fleet.record_host(&claim, &web, id, &hosts[0].address, &progress)).unwrap();
        }
    })
}

#[test]
fn work_does_not_grow_with_the_fleet() {
    let (few, many) = (asked_of(2_000), asked_of(10_000));
    for ((what, (records, bytes)), (_, (more_records, more_bytes))) in few.into_iter().zip(many) {
        // Counts have a digit more, and the hosts of a small cluster lie in a few parts more or less of 32.
        let fits = more_records <= records + 8 && more_bytes <= bytes + 400;
        assert!(fits, "{what}: {records} and {bytes}, then {more_records} and {more_bytes}");
        assert!(records < 1_000, "{what}: {records}");
    }
}

/// Answers that were kept hold as long as the revision is the same.
#[test]
fn a_revision_tells_whether_anything_changed() {
    for world in [World::new(), World::on_sqlite()] {
        let revision = || block_on(world.fleet.revision()).unwrap();
        let before = revision();
        world.host("a");
        assert_eq!(revision(), before);
        world.add("a", host("key", "")).unwrap();
        let after = revision();
        assert!(after > before);
        world.add("a", host("key", "")).unwrap();
        assert_eq!(revision(), after);
    }
}
