//! The store does not say whether a commit was done, as etcd does when a connection is lost.

use std::sync::{Arc, Mutex};

use base::{Explain as _, Kind};
use fleet::{Expected, Fleet, NewCluster, Plan};
use futures_executor::block_on;
use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::BoxStream;
use store::{
    Batch, Change, CommitError, Engine, Error, Key, Listing, Memory, Page, Prefix, Revision, Versioned,
    WatchError,
};

use crate::world::{World, address, change, cluster, host, host_in, permit};

/// Something that somebody asks for, and what came of it, in words.
type Ask = fn(&World) -> Result<String, Kind>;

fn told<T: std::fmt::Debug, E: base::Explain>(answer: Result<T, E>) -> Result<String, Kind> {
    answer.map(|is| format!("{is:?}")).map_err(|error| error.kind())
}

/// Every change there is, to a world that was [`furnished`].
const CHANGES: [(&str, Ask); 16] = [
    ("add", |w| told(block_on(w.fleet.add_host(permit(), address("new"), host("key", "active"))))),
    ("add into a cluster", |w| {
        told(block_on(w.fleet.add_host(permit(), address("new"), host_in("web", "active"))))
    }),
    ("register", |w| told(block_on(w.fleet.register_host(permit(), host("key", ""))))),
    ("label", |w| {
        let wanted = change(&[("rack", Some("b7"))]);
        told(block_on(w.fleet.label_host(permit(), &address("a"), &wanted, Expected::Anything)))
    }),
    ("delete a host", |w| told(block_on(w.fleet.delete_host(permit(), &address("a"), Expected::Anything)))),
    ("create a cluster", |w| put_cluster(w, "new")),
    ("change a cluster", |w| put_cluster(w, "web")),
    ("delete a cluster", |w| {
        told(block_on(w.fleet.delete_cluster(permit(), &cluster("web"), Expected::Anything)))
    }),
    ("join", |w| told(w.join("web", "free"))),
    ("leave", |w| told(w.leave("web", "a"))),
    ("replace", |w| told(w.replace("web", &["a", "b"], &["b", "free"]).map(|roster| roster.hosts))),
    ("start", |w| told(block_on(w.fleet.start(permit(), &cluster("web"), Plan::Restart)))),
    ("create a network", |w| {
        let put = block_on(w.fleet.put_network(permit(), network("new"), Expected::Anything));
        told(put.map(|put| put.is_new))
    }),
    ("delete a network", |w| {
        told(block_on(w.fleet.delete_network(permit(), &"spare".parse().unwrap(), Expected::Anything)))
    }),
    ("delete a network in use", |w| {
        told(block_on(w.fleet.delete_network_in_use(permit(), &"default".parse().unwrap())))
    }),
    ("delete a container manager", |w| {
        let name = "manager".parse().unwrap();
        told(block_on(w.fleet.delete_container_manager(permit(), &name, Expected::Anything)))
    }),
];

fn put_cluster(world: &World, name: &str) -> Result<String, Kind> {
    let new = NewCluster { container_manager: "other".into(), ..NewCluster::default() };
    told(block_on(world.fleet.put_cluster(permit(), &cluster(name), &new, Expected::Anything)))
}

fn network(name: &str) -> fleet::Network {
    let (kind, options) = (fleet::NetworkKind::default(), fleet::Options::default());
    fleet::Network { name: name.parse().unwrap(), kind, options }
}

fn furnish(world: &World) {
    block_on(world.fleet.put_network(permit(), network("spare"), Expected::Anything)).unwrap();
    world.make_manager("manager", "trivial");
    world.make_cluster("web", "");
    world.make_cluster("db", "");
    world.add("a", host_in("web", "active")).unwrap();
    world.add("b", host_in("web", "active")).unwrap();
    world.add("free", host("key", "active")).unwrap();
}

fn furnished() -> World {
    let world = World::new();
    furnish(&world);
    world
}

/// Everything that is stored.
fn everything(world: &World) -> Vec<(String, String)> {
    let keys = world.keys("/").into_iter();
    keys.map(|key| (world.stored(&key).unwrap(), key)).map(|(value, key)| (key, value)).collect()
}

/// Whether the answers are lost of commits that were done or that were not: what is told and what is there is the
/// same as if none had been lost.
#[test]
fn a_lost_answer_changes_nothing() {
    for (name, change) in CHANGES {
        let sure = furnished();
        let expected = (change(&sure), everything(&sure));
        assert!(expected.0.is_ok(), "{name}: {:?}", expected.0);
        for lost in [
            &[true][..],
            &[false],
            &[false, true],
            &[false, false],
            &[false, false, true],
            &[false, false, false],
            &[false, false, false, true],
        ] {
            let world = furnished();
            world.memory.lose_next_answers(lost.to_vec());
            let found = change(&world);
            world.memory.lose_next_answers([]);
            assert_eq!((found, everything(&world)), expected, "{name} {lost:?}");
            world.assert_consistent();
        }
    }
}

#[test]
fn when_it_stays_unknown_that_is_said() {
    for (name, change) in CHANGES {
        let world = furnished();
        let before = everything(&world);
        world.memory.lose_next_answers([false; 4]);
        assert_eq!(change(&world), Err(Kind::Unavailable), "{name}");
        assert_eq!(everything(&world), before, "{name}");
        // Asked again, as clients do, it is done once.
        world.memory.lose_next_answers([]);
        let sure = furnished();
        let expected = change(&sure);
        let found = change(&world);
        assert_eq!(found.is_ok(), expected.is_ok(), "{name}: {found:?}");
        assert_eq!(world.events().len(), sure.events().len(), "{name}");
        world.assert_consistent();
    }
}

/// What a rival does before the `nth` commit from now.
fn before_commit<R>(world: &World, nth: usize, rival: impl FnOnce(Fleet) -> R)
where
    R: Future<Output = ()> + Send + 'static,
{
    let another = world.another();
    for _ in 1..nth {
        world.memory.before_next_commit(async {});
    }
    world.memory.before_next_commit(rival(another));
}

#[test]
fn a_rival_may_come_between_the_attempts() {
    let world = furnished();
    before_commit(&world, 2, |fleet| async move {
        fleet.delete_host(permit(), &address("free"), Expected::Anything).await.unwrap();
    });
    world.memory.lose_next_answers([false]);
    let error = world.join("web", "free").unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound, "it is decided anew about what is there: {error}");
    world.assert_consistent();

    // Both want the same host to be there. That the first attempt was not done is sure only for now.
    let world = furnished();
    before_commit(&world, 2, |fleet| async move {
        fleet.add_host(permit(), address("new"), host("another key", "")).await.unwrap();
    });
    world.memory.lose_next_answers([false]);
    let error = world.add("new", host("key", "")).unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable, "{error}");
    assert_eq!(world.add("new", host("key", "")).unwrap_err().kind(), Kind::Conflict);

    // Ours was done, and the rival undid it before we looked: that is no fault of ours.
    let world = furnished();
    world.memory.lose_next_answers([true]);
    world.add("new", host("key", "")).unwrap();
    block_on(world.another().delete_host(permit(), &address("new"), Expected::Anything)).unwrap();
    assert!(world.host("new").is_none());
    world.assert_consistent();
}

/// The first opening of all.
#[test]
fn a_fleet_is_founded_once() {
    for lost in [&[true][..], &[false], &[false, true], &[false, false]] {
        let world = World::founded_with(lost);
        assert_eq!(world.keys("/commissaire/networks/"), ["/commissaire/networks/default"]);
        assert_eq!(world.events().len(), 1, "{lost:?}");
    }
}

/// A store where a commit can be stuck on its way, and arrive when everybody has forgotten it.
#[derive(Default)]
struct Stuck {
    memory: Memory,
    is_next: Mutex<bool>,
    held: Mutex<Option<Batch>>,
}

impl Stuck {
    fn hold_the_next(&self) {
        *self.is_next.lock().unwrap() = true;
    }

    fn let_go(&self) -> Result<Revision, CommitError> {
        block_on(self.memory.commit(self.held.lock().unwrap().take().expect("one was held")))
    }
}

impl Engine for Stuck {
    fn get<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Option<Versioned>, Error>> {
        self.memory.get(key)
    }

    fn list<'a>(&'a self, prefix: &'a Prefix, page: Page) -> BoxFuture<'a, Result<Listing, Error>> {
        self.memory.list(prefix, page)
    }

    fn revision(&self) -> BoxFuture<'_, Result<Revision, Error>> {
        self.memory.revision()
    }

    fn snapshot(&self) -> BoxFuture<'_, Result<Arc<dyn store::Snapshot>, Error>> {
        self.memory.snapshot()
    }

    fn commit(&self, batch: Batch) -> BoxFuture<'_, Result<Revision, CommitError>> {
        if std::mem::take(&mut *self.is_next.lock().unwrap()) {
            *self.held.lock().unwrap() = Some(batch);
            return async { Err(CommitError::Unknown { reason: "it is stuck".into() }) }.boxed();
        }
        self.memory.commit(batch)
    }

    fn watch(&self, prefix: Prefix, from: Revision) -> BoxStream<'_, Result<Change, WatchError>> {
        self.memory.watch(prefix, from)
    }

    fn close(&self) -> BoxFuture<'_, Result<(), Error>> {
        self.memory.close()
    }
}

/// What comes late does not bring back what was deleted since, nor do anything else.
#[test]
fn an_attempt_that_arrives_late_does_nothing() {
    for (name, change) in CHANGES {
        let stuck = Arc::new(Stuck::default());
        let world = World::counted(stuck.clone());
        furnish(&world);
        stuck.hold_the_next();
        assert!(change(&world).is_ok(), "{name}");
        // As far as it can be undone.
        let _ = block_on(world.fleet.delete_host(permit(), &address("new"), Expected::Anything));
        let _ = block_on(world.fleet.delete_host(permit(), &address("192.0.2.7"), Expected::Anything));
        let _ = block_on(world.fleet.delete_cluster(permit(), &cluster("new"), Expected::Anything));
        let _ = block_on(world.fleet.delete_network(permit(), &"new".parse().unwrap(), Expected::Anything));
        let before = everything(&world);
        assert!(matches!(stuck.let_go(), Err(CommitError::Conflict { .. })), "{name}");
        assert_eq!(everything(&world), before, "{name}");
        world.assert_consistent();
    }
}
