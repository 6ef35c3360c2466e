//! More hosts of a cluster change than one commit takes: to whoever else changes something it is one change, whenever
//! they come in between, and also when whoever does it dies.

use std::collections::{BTreeSet, HashMap};
use std::future::{pending, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;

use base::{Explain as _, Kind};
use fleet::{
    AddHostError, ClusterError, Expected, Fleet, MembersError, NewCluster, NewHost, OperationError, Plan,
    Policy, Roster, SteerError,
};
use futures_executor::block_on;
use futures_util::future::{BoxFuture, FutureExt as _};
use futures_util::stream::BoxStream;
use store::{
    Batch, Change, CommitError, Engine, Error, Key, Listing, Memory, Page, Prefix, Revision, Snapshot,
    Sqlite, Versioned, WatchError,
};

use crate::world::{World, address, cluster, host, permit};

/// More commits than a change of the hosts of these tests takes.
const COMMITS: usize = 12;

fn names(letter: &str, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{letter}{number:02}")).collect()
}

fn furnish(world: &World, hosts: &[String]) {
    world.make_cluster("web", "");
    world.make_cluster("db", "");
    for text in hosts {
        world.add(text, host("key", "active")).unwrap();
    }
}

async fn replace(fleet: &Fleet, name: &str, hosts: &[String]) -> Result<Roster, MembersError> {
    let (old, new) = (BTreeSet::new(), hosts.iter().cloned().collect());
    fleet.replace_members(permit(), &cluster(name), Some(&old), &new).await
}

/// What a rival was told who came right before one of the commits; nothing when there was no such commit.
struct Rival<T>(Arc<Mutex<Option<T>>>);

impl<T: Send + 'static> Rival<T> {
    fn before_commit<R>(world: &World, commit: usize, rival: impl FnOnce(Fleet) -> R) -> Self
    where
        R: Future<Output = T> + Send + 'static,
    {
        for _ in 1..commit {
            world.memory.before_next_commit(async {});
        }
        let told = Arc::new(Mutex::new(None));
        let (telling, rival) = (Arc::clone(&told), rival(world.another()));
        world.memory.before_next_commit(async move {
            let said = rival.await;
            *telling.lock().unwrap() = Some(said);
        });
        Self(told)
    }

    fn told(&self) -> Option<T> {
        self.0.lock().unwrap().take()
    }
}

/// One of two has all of its hosts, the other none, and each was told so.
fn assert_one_has_them(world: &World, told: [(&str, &Result<Roster, MembersError>, usize); 2]) {
    let won = told.iter().filter(|(_, told, _)| told.is_ok()).count();
    assert_eq!(won, 1, "{told:?}");
    for (name, told, count) in told {
        match told {
            Ok(roster) => {
                assert_eq!(roster.hosts.len(), count);
                assert_eq!(roster.hosts, world.roster(name).hosts);
            }
            Err(error) => {
                assert!(matches!(error, MembersError::InAnotherCluster { .. }), "{error:?}");
                assert!(world.members(name).is_empty());
            }
        }
    }
    world.assert_consistent();
}

/// Each has twenty hosts of its own, before or behind those that both want.
#[test]
fn two_lists_with_hosts_in_common_are_one_after_the_other() {
    for (own, others) in [("a", "b"), ("a", "z"), ("y", "b"), ("y", "z")] {
        for commit in 1..COMMITS {
            let world = World::new();
            let (own, others, shared) = (names(own, 20), names(others, 20), names("s", 60));
            furnish(&world, &[&own[..], &others, &shared].concat());
            let (own, others) = ([own, shared.clone()].concat(), [others, shared].concat());
            let wanted = others.clone();
            let rival =
                Rival::before_commit(
                    &world,
                    commit,
                    |fleet| async move { replace(&fleet, "db", &wanted).await },
                );
            let told = block_on(replace(&world.fleet, "web", &own));
            let Some(rival) = rival.told() else { continue };
            assert_one_has_them(&world, [("web", &told, 80), ("db", &rival, 80)]);
        }
    }
}

/// The same of two processes that run at their own pace.
#[test]
fn one_of_two_lists_at_once_is_refused() {
    for (world, rounds) in [(World::new(), 40), (World::on_sqlite(), 8)] {
        let (own, others, shared) = (names("a", 20), names("b", 20), names("s", 60));
        furnish(&world, &[&own[..], &others, &shared].concat());
        let (own, others) = ([own, shared.clone()].concat(), [shared, others].concat());
        let another = world.another();
        for _ in 0..rounds {
            let (told, rival) = std::thread::scope(|threads| {
                let told = threads.spawn(|| block_on(replace(&world.fleet, "web", &own)));
                let rival = threads.spawn(|| block_on(replace(&another, "db", &others)));
                (told.join().unwrap(), rival.join().unwrap())
            });
            assert_one_has_them(&world, [("web", &told, 80), ("db", &rival, 80)]);
            for name in ["web", "db"] {
                block_on(world.fleet.replace_members(permit(), &cluster(name), None, &BTreeSet::new()))
                    .unwrap();
            }
        }
    }
}

/// Many lists at once, of which each has hosts in common with each other one: one has them, and nobody waits for ever.
#[test]
fn of_many_lists_at_once_all_but_one_are_refused() {
    for (world, rounds) in [(World::new(), 10), (World::on_sqlite(), 2)] {
        let clusters = ["c0", "c1", "c2", "c3"];
        let shared = names("s", 40);
        furnish(&world, &shared);
        for name in clusters {
            world.make_cluster(name, "");
        }
        for _ in 0..rounds {
            let told: Vec<_> = std::thread::scope(|threads| {
                let threads: Vec<_> = clusters
                    .iter()
                    .enumerate()
                    .map(|(number, name)| {
                        let fleet = world.another();
                        let some = [&shared[number * 5..number * 5 + 20], &shared[35..]].concat();
                        threads.spawn(move || (*name, block_on(replace(&fleet, name, &some))))
                    })
                    .collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            let won: Vec<_> = told.iter().filter(|(_, told)| told.is_ok()).collect();
            assert_eq!(won.len(), 1, "{told:?}");
            for (name, told) in &told {
                assert_eq!(world.members(name).len(), if told.is_ok() { 25 } else { 0 });
            }
            world.assert_consistent();
            let (name, _) = won[0];
            block_on(world.fleet.replace_members(permit(), &cluster(name), None, &BTreeSet::new())).unwrap();
        }
    }
}

#[test]
fn a_host_that_joins_another_cluster_meanwhile_is_in_one_of_them() {
    for text in ["h00", "h49"] {
        for commit in 1..COMMITS {
            let world = World::new();
            let hosts = names("h", 50);
            furnish(&world, &hosts);
            let rival = Rival::before_commit(&world, commit, move |fleet| async move {
                fleet.join(permit(), &cluster("db"), &address(text)).await
            });
            let told = block_on(replace(&world.fleet, "web", &hosts));
            let Some(rival) = rival.told() else { continue };
            assert_ne!(told.is_ok(), rival.is_ok(), "{told:?} {rival:?}");
            let refused = told.as_ref().err().or(rival.as_ref().err()).unwrap();
            assert!(matches!(refused, MembersError::InAnotherCluster { .. }), "{refused:?}");
            let (web, db) = if told.is_ok() { (50, 0) } else { (0, 1) };
            assert_eq!((world.members("web").len(), world.members("db").len()), (web, db));
            world.assert_consistent();
        }
    }
}

/// Whatever happens meanwhile happened before, or after all of it.
#[test]
fn whatever_happens_meanwhile_is_before_or_after() {
    for commit in 1..COMMITS {
        let begun = |hosts: &[String]| {
            let world = World::new();
            furnish(&world, hosts);
            world
        };
        let hosts = names("h", 50);

        // It is deleted.
        let world = begun(&hosts);
        let rival = Rival::before_commit(&world, commit, |fleet| async move {
            fleet.delete_host(permit(), &address("h49"), Expected::Anything).await.unwrap();
        });
        let told = block_on(replace(&world.fleet, "web", &hosts));
        if rival.told().is_some() {
            let is_refused = matches!(told, Err(MembersError::NoSuchHost { .. }));
            assert_eq!((told.is_ok(), is_refused), (!is_refused, is_refused));
            assert_eq!(world.members("web").len(), if is_refused { 0 } else { 49 });
        }
        world.assert_consistent();

        // It leaves, though it was never seen in there.
        let world = begun(&hosts);
        let rival = Rival::before_commit(&world, commit, |fleet| async move {
            fleet.leave(permit(), &cluster("web"), &address("h49")).await.unwrap()
        });
        assert_eq!(block_on(replace(&world.fleet, "web", &hosts)).unwrap().hosts.len(), 50);
        if let Some(left) = rival.told() {
            assert_eq!(world.members("web").len(), if left { 49 } else { 50 });
        }
        world.assert_consistent();

        // Another joins as well.
        let world = begun(&hosts);
        world.add("another", host("key", "active")).unwrap();
        let rival = Rival::before_commit(&world, commit, |fleet| async move {
            fleet.join(permit(), &cluster("web"), &address("another")).await.unwrap();
        });
        let told = block_on(replace(&world.fleet, "web", &hosts));
        if rival.told().is_some() {
            let is_refused = matches!(told, Err(MembersError::NotAsExpected { .. }));
            assert_eq!((told.is_ok(), is_refused), (!is_refused, is_refused));
            assert_eq!(world.members("web").len(), if is_refused { 1 } else { 51 });
        }
        world.assert_consistent();

        // The cluster goes.
        let world = begun(&hosts);
        let rival = Rival::before_commit(&world, commit, |fleet| async move {
            fleet.delete_cluster(permit(), &cluster("web"), Expected::Anything).await.unwrap();
        });
        let told = block_on(replace(&world.fleet, "web", &hosts));
        if rival.told().is_some() {
            assert!(matches!(told, Ok(_) | Err(MembersError::NoSuchCluster { .. })), "{told:?}");
            assert!(block_on(world.fleet.cluster(permit(), &cluster("web"))).is_err());
        }
        world.assert_consistent();

        // It gets a container manager that is not there.
        let world = begun(&hosts);
        let rival = Rival::before_commit(&world, commit, |fleet| async move {
            let new = NewCluster { container_manager: "nobody".into(), ..NewCluster::default() };
            fleet.put_cluster(permit(), &cluster("web"), &new, Expected::Anything).await.unwrap();
        });
        let told = block_on(replace(&world.fleet, "web", &hosts));
        if rival.told().is_some() {
            let is_refused = matches!(told, Err(MembersError::NoSuchContainerManager { .. }));
            assert_eq!((told.is_ok(), is_refused), (!is_refused, is_refused));
            assert_eq!(world.members("web").len(), if is_refused { 0 } else { 50 });
        }
        world.assert_consistent();

        // An operation begins.
        let world = begun(&hosts);
        let rival = Rival::before_commit(&world, commit, |fleet| async move {
            let plan = (&Plan::Restart, &Policy::default());
            fleet.start_with(permit(), &cluster("web"), plan.0, plan.1).await.unwrap().total
        });
        assert_eq!(block_on(replace(&world.fleet, "web", &hosts)).unwrap().hosts.len(), 50);
        if let Some(total) = rival.told() {
            assert!([0, 50].contains(&total), "an operation goes through {total} of 50 hosts");
        }
        world.assert_consistent();
    }
}

/// The answer to one of the commits is lost: it is done once, and that is what is answered.
#[test]
fn a_lost_answer_changes_nothing() {
    for is_done in [false, true] {
        for commit in 1..COMMITS {
            let world = World::new();
            let hosts = names("h", 50);
            furnish(&world, &hosts);
            for _ in 1..commit {
                world.memory.before_next_commit(async {});
            }
            let memory = Arc::clone(&world.memory);
            world.memory.before_next_commit(async move { memory.lose_next_answers([is_done]) });
            assert_eq!(block_on(replace(&world.fleet, "web", &hosts)).unwrap().hosts.len(), 50);
            world.memory.lose_next_answers([]);
            assert_eq!(world.members("web"), hosts);
            let events = world.events();
            let joined = events.iter().filter(|event| event.starts_with("cluster's hosts changed"));
            let joined: Vec<&str> = joined.flat_map(|event| event.split([' ', ','])).collect();
            for text in &hosts {
                assert_eq!(joined.iter().filter(|word| **word == text.as_str()).count(), 1, "{text}");
            }
            world.assert_consistent();
        }
    }
}

/// What may be done later is not done any more once it was answered that it was not: whoever was refused is not
/// surprised when the host that was in the way goes.
#[test]
fn what_was_refused_does_not_begin_later() {
    for commit in 1..COMMITS {
        let engine: Arc<dyn Engine> = Arc::new(Memory::new());
        let world = World::counted(Arc::clone(&engine));
        let hosts = names("h", 50);
        furnish(&world, &hosts);
        let other = world.another();
        let meanwhile = async move {
            // Refused once the change is decided.
            let _ = other.join(permit(), &cluster("db"), &address("h49")).await;
        };
        let kept = Kept { meanwhile: Some(meanwhile.boxed()), batch: None };
        let stuck = Arc::new(Deadly {
            engine: Arc::clone(&engine),
            commits_left: AtomicUsize::new(usize::MAX),
            keeps: Some(Mutex::new(kept)),
        });
        let fleet = world.another_on(Arc::clone(&stuck) as Arc<dyn Engine>);
        stuck.commits_left.store(commit, Ordering::SeqCst);
        let told = block_on(replace(&fleet, "web", &hosts));
        let Some(late) = stuck.keeps.as_ref().unwrap().lock().unwrap().batch.take() else { continue };
        let is_refused = match told {
            Ok(_) => false,
            Err(MembersError::InAnotherCluster { .. }) => true,
            // The kept commit may be the one that decides.
            Err(error) => {
                assert_eq!(error.kind(), Kind::Unavailable, "{error}");
                let members = world.members("web").len();
                assert!([0, 50].contains(&members), "{members}");
                continue;
            }
        };
        assert!(is_refused || commit > 1);
        if is_refused {
            assert!(block_on(world.fleet.leave(permit(), &cluster("db"), &address("h49"))).unwrap());
        }
        let done = block_on(engine.commit(late));
        assert!(matches!(done, Err(CommitError::Conflict { .. })), "{commit}: {done:?}");
        take_over(&world);
        assert_eq!(world.members("web").len(), if is_refused { 0 } else { 50 });
        world.assert_consistent();
    }
}

/// Nobody tries for ever to begin where the store never says whether it was done.
#[test]
fn who_is_never_told_says_so() {
    let world = World::new();
    let hosts = names("h", 50);
    furnish(&world, &hosts);
    let lost = [false; 1_000];
    world.memory.lose_next_answers(lost);
    let told = block_on(replace(&world.fleet, "web", &hosts));
    let is_told = matches!(told, Err(MembersError::PerhapsBegun { source: CommitError::Unknown { .. }, .. }));
    assert!(is_told, "{told:?}");
    world.memory.lose_next_answers([]);
    assert_whole(&world, &world.fleet, 50);
}

/// A store that fails is no refusal; whoever comes next finds all of it, or nothing.
#[test]
fn a_store_that_fails_leaves_nothing_half() {
    for commit in 1..8 {
        let world = World::new();
        let hosts = names("h", 50);
        furnish(&world, &hosts);
        for _ in 1..commit {
            world.memory.before_next_commit(async {});
        }
        let memory = Arc::clone(&world.memory);
        world.memory.before_next_commit(async move { memory.conflict_next_commits(1_000) });
        if let Err(error) = block_on(replace(&world.fleet, "web", &hosts)) {
            assert_eq!(error.kind(), Kind::Unavailable, "{error}");
            assert_eq!(matches!(error, MembersError::Begun { .. }), commit > 1, "{commit}: {error:?}");
        } else {
            assert!(commit > 5, "{commit}");
        }
        world.memory.conflict_next_commits(0);
        assert_whole(&world, &world.fleet, 50);
    }
}

/// A store under which a process dies: from one commit on it answers no more. Or one that keeps that commit, does not
/// say so, and may do it later.
struct Deadly {
    engine: Arc<dyn Engine>,
    commits_left: AtomicUsize,
    keeps: Option<Mutex<Kept>>,
}

/// What is done when a commit is kept, and what was kept.
struct Kept {
    meanwhile: Option<BoxFuture<'static, ()>>,
    batch: Option<Batch>,
}

impl Engine for Deadly {
    fn get<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Option<Versioned>, Error>> {
        self.engine.get(key)
    }

    fn list<'a>(&'a self, prefix: &'a Prefix, page: Page) -> BoxFuture<'a, Result<Listing, Error>> {
        self.engine.list(prefix, page)
    }

    fn revision(&self) -> BoxFuture<'_, Result<Revision, Error>> {
        self.engine.revision()
    }

    fn snapshot(&self) -> BoxFuture<'_, Result<Arc<dyn Snapshot>, Error>> {
        self.engine.snapshot()
    }

    fn commit(&self, batch: Batch) -> BoxFuture<'_, Result<Revision, CommitError>> {
        let left = self.commits_left.load(Ordering::SeqCst);
        self.commits_left.store(left.saturating_sub(1), Ordering::SeqCst);
        match &self.keeps {
            _ if left > 1 => self.engine.commit(batch),
            None => pending().boxed(),
            Some(keeps) => {
                self.commits_left.store(usize::MAX, Ordering::SeqCst);
                let mut kept = keeps.lock().unwrap();
                kept.batch = Some(batch);
                let meanwhile = kept.meanwhile.take();
                async move {
                    if let Some(meanwhile) = meanwhile {
                        meanwhile.await;
                    }
                    Err(CommitError::Unknown { reason: "the member stopped answering".to_owned() })
                }
                .boxed()
            }
        }
    }

    fn watch(&self, prefix: Prefix, from: Revision) -> BoxStream<'_, Result<Change, WatchError>> {
        self.engine.watch(prefix, from)
    }

    fn close(&self) -> BoxFuture<'_, Result<(), Error>> {
        self.engine.close()
    }
}

/// Has `web` get these hosts, in a process that dies at this commit; `false` when it did not come to that.
fn die_at(commit: usize, engine: &Arc<dyn Engine>, world: &World, hosts: &[String]) -> bool {
    die_in(commit, engine, world, async |fleet| drop(replace(fleet, "web", hosts).await.unwrap()))
}

/// Does something in a process that dies at this commit; `false` when it did not come to that.
fn die_in(commit: usize, engine: &Arc<dyn Engine>, world: &World, does: impl AsyncFnOnce(&Fleet)) -> bool {
    let commits_left = AtomicUsize::new(usize::MAX);
    let deadly = Arc::new(Deadly { engine: Arc::clone(engine), commits_left, keeps: None });
    let fleet = world.another_on(Arc::clone(&deadly) as Arc<dyn Engine>);
    deadly.commits_left.store(commit, Ordering::SeqCst);
    let mut dying = pin!(does(&fleet));
    block_on(poll_fn(|context| match dying.as_mut().poll(context) {
        Poll::Ready(()) => Poll::Ready(false),
        Poll::Pending if deadly.commits_left.load(Ordering::SeqCst) == 0 => Poll::Ready(true),
        Poll::Pending => Poll::Pending,
    }))
}

/// What nobody can go on with locks no host: the cluster was deleted by another hand, or what is to come and go cannot be
/// read any more.
#[test]
fn what_cannot_be_gone_on_with_holds_nobody() {
    for (commit, is_gone) in [(2, false), (3, false), (4, true)] {
        let engine: Arc<dyn Engine> = Arc::new(Memory::new());
        let world = World::counted(Arc::clone(&engine));
        let hosts = names("h", 50);
        furnish(&world, &hosts);
        assert!(die_at(commit, &engine, &world, &hosts));
        let mut batch = Batch::new();
        if is_gone {
            batch.delete(Key::new("/commissaire/clusters/web").unwrap());
        } else {
            let parts = world.keys("/fleet/regrouping-hosts/web/");
            assert_eq!(parts.len(), 1);
            batch.put(Key::new(&*parts[0]).unwrap(), "what is this");
        }
        block_on(engine.commit(batch)).unwrap();
        take_over(&world);
        assert!(world.keys("/fleet/regrouping").is_empty());
        if is_gone {
            for key in world.keys("/commissaire/hosts/") {
                assert!(!world.stored(&key).unwrap().contains(r#""joining""#), "{key} is reserved");
            }
        }
        assert!(world.join("db", "h49").unwrap());
        assert_eq!(world.replace("db", &["h49"], &["h48", "h49"]).unwrap().hosts.len(), 2);
    }
}

/// Somebody looks after what was left until there is nothing more.
fn take_over(world: &World) {
    let (fleet, mut seen) = (world.another(), HashMap::new());
    while block_on(fleet.take_over_regroupings(&mut seen, &|| false)).unwrap() || !seen.is_empty() {}
}

/// Whoever changes something next changes it before all of the hosts are in `web`, or after, and whoever looks after
/// what was left finds it so.
fn assert_whole(world: &World, next: &Fleet, count: usize) {
    let told = block_on(next.join(permit(), &cluster("db"), &address("h49")));
    let is_done = matches!(told, Err(MembersError::InAnotherCluster { .. }));
    if !is_done {
        assert!(told.unwrap());
    }
    take_over(world);
    let (web, db) = if is_done { (count, 0) } else { (0, 1) };
    assert_eq!((world.members("web").len(), world.members("db").len()), (web, db));
    world.assert_consistent();
}

#[test]
fn a_process_that_dies_leaves_nothing_half() {
    for is_on_disk in [false, true] {
        let mut outcomes = BTreeSet::new();
        for commit in 1..COMMITS {
            let directory = tempfile::tempdir().unwrap();
            let engine: Arc<dyn Engine> = if is_on_disk {
                Arc::new(Sqlite::open(&directory.path().join("store.sqlite")).unwrap())
            } else {
                Arc::new(Memory::new())
            };
            let world = World::counted(Arc::clone(&engine));
            let hosts = names("h", 50);
            furnish(&world, &hosts);
            if !die_at(commit, &engine, &world, &hosts) {
                outcomes.insert("lived");
                continue;
            }
            if commit % 2 == 0 {
                take_over(&world);
                assert!([0, 50].contains(&world.members("web").len()));
                world.assert_consistent();
            }
            assert_whole(&world, &world.fleet, 50);
            outcomes.insert(if world.members("web").is_empty() { "nothing" } else { "all" });
        }
        assert_eq!(outcomes.into_iter().collect::<Vec<_>>(), ["all", "lived", "nothing"]);
    }
}

/// So many that they are written down in several records.
#[test]
fn thousands_of_hosts_are_like_fifty() {
    let long = |number: usize| format!("h{number:03}.{0}.{0}.{0}.example", "x".repeat(60));
    let mut hosts: Vec<String> = (0..1_500).map(long).collect();
    hosts.push("h49".to_owned());
    let mut outcomes = BTreeSet::new();
    for commit in [1, 2, 3, 4, 10, 19, 20, 60, 112, 113] {
        let engine: Arc<dyn Engine> = Arc::new(Memory::new());
        let world = World::counted(Arc::clone(&engine));
        furnish(&world, &hosts);
        let has_died = die_at(commit, &engine, &world, &hosts);
        assert_whole(&world, &world.fleet, 1_501);
        let is_done = !world.members("web").is_empty();
        outcomes.insert((has_died, is_done));
        // It is written down in three commits, and the 16th group of those that are reserved has the host that is
        // wanted elsewhere: whoever comes before that is first.
        assert_eq!(is_done, commit > 19, "{commit}");
    }
    assert_eq!(outcomes.into_iter().collect::<Vec<_>>(), [(false, true), (true, false), (true, true)]);
}

/// A change that is decided comes first: nobody is refused for a host that is about to leave, or that is about to join.
#[test]
fn nobody_is_refused_for_half_a_change() {
    let left_half = |before: &[String], after: &[String]| {
        let engine: Arc<dyn Engine> = Arc::new(Memory::new());
        let world = World::counted(Arc::clone(&engine));
        let hosts = names("h", 50);
        furnish(&world, &hosts);
        block_on(replace(&world.fleet, "web", before)).unwrap();
        let deadly = Arc::new(Deadly {
            engine: Arc::clone(&engine),
            commits_left: AtomicUsize::new(usize::MAX),
            keeps: None,
        });
        let fleet = world.another_on(Arc::clone(&deadly) as Arc<dyn Engine>);
        // It begins, reserves where there is something to reserve, and moves the first group.
        deadly.commits_left.store(if after.is_empty() { 3 } else { 4 }, Ordering::SeqCst);
        let new = after.iter().cloned().collect();
        assert!(fleet.replace_members(permit(), &cluster("web"), None, &new).now_or_never().is_none());
        assert_eq!(world.members("web").len(), if after.is_empty() { 32 } else { 18 });
        world
    };
    let (all, last) = (names("h", 50), address("h49"));

    let world = left_half(&all, &[]);
    assert!(block_on(world.fleet.join(permit(), &cluster("db"), &last)).unwrap());
    assert_eq!((world.members("web").len(), world.members("db").len()), (0, 1));
    world.assert_consistent();

    let world = left_half(&all, &[]);
    assert!(block_on(world.fleet.join_host(permit(), &cluster("db"), &last)).unwrap().is_new);
    world.assert_consistent();

    let world = left_half(&all, &[]);
    assert_eq!(block_on(replace(&world.fleet, "db", &all[40..])).unwrap().hosts.len(), 10);
    world.assert_consistent();

    let world = left_half(&all, &[]);
    assert_eq!(block_on(replace(&world.fleet, "db", &all)).unwrap().hosts.len(), 50);
    world.assert_consistent();

    let world = left_half(&[], &all);
    let again = NewHost { cluster: Some(cluster("web")), ..host("key", "active") };
    assert!(!block_on(world.fleet.add_host(permit(), last, again)).unwrap().is_new);
    assert_eq!(world.members("web").len(), 50);
    world.assert_consistent();
}

/// Whoever looks after what was left leaves alone what somebody is at.
#[test]
fn what_is_no_further_than_it_was_is_taken_over() {
    let engine: Arc<dyn Engine> = Arc::new(Memory::new());
    let world = World::counted(Arc::clone(&engine));
    let hosts = names("h", 50);
    furnish(&world, &hosts);
    assert!(die_at(4, &engine, &world, &hosts));
    let before = world.members("web").len();
    assert_eq!(before, 18, "the first group");
    // Whoever is started next does not do it before it serves anybody.
    let next = world.another();
    assert_eq!(world.members("web").len(), before);
    let mut seen = HashMap::new();
    assert!(!block_on(next.take_over_regroupings(&mut seen, &|| false)).unwrap());
    assert_eq!((world.members("web").len(), seen.len()), (before, 1));
    assert!(!block_on(next.take_over_regroupings(&mut seen, &|| false)).unwrap());
    assert_eq!((world.members("web").len(), seen.len()), (50, 0));
    world.assert_consistent();
}

/// Whoever looks after it stops when they are to, and goes on from there.
#[test]
fn taking_over_stops_between_groups() {
    for commit in 2..6 {
        let engine: Arc<dyn Engine> = Arc::new(Memory::new());
        let world = World::counted(Arc::clone(&engine));
        let hosts = names("h", 80);
        furnish(&world, &hosts);
        assert!(die_at(commit, &engine, &world, &hosts));
        let (fleet, mut seen) = (world.another(), HashMap::new());
        let mut found = BTreeSet::new();
        let asked_until_stop = AtomicUsize::new(0);
        for round in 0..40 {
            let before = world.members("web").len();
            found.insert(before);
            // Each time it may come a little further.
            asked_until_stop.store(round, Ordering::SeqCst);
            let is_stopping = || {
                let left = asked_until_stop.load(Ordering::SeqCst);
                asked_until_stop.store(left.saturating_sub(1), Ordering::SeqCst);
                left == 0
            };
            block_on(fleet.take_over_regroupings(&mut seen, &is_stopping)).unwrap();
            assert!(world.members("web").len() <= before + round * 18, "{before} in round {round}");
            if seen.is_empty() {
                break;
            }
        }
        found.insert(world.members("web").len());
        assert!(found.len() > 2 && found.contains(&80), "{found:?}");
        world.assert_consistent();
    }
}

/// One that cannot be gone on with does not keep the others waiting.
#[test]
fn one_that_fails_holds_up_no_other() {
    let engine: Arc<dyn Engine> = Arc::new(Memory::new());
    let world = World::counted(Arc::clone(&engine));
    let hosts = names("h", 50);
    furnish(&world, &hosts);
    assert!(die_at(4, &engine, &world, &hosts));
    // Before it, and of no cluster's name.
    let mut batch = Batch::new();
    let key = Key::new("/fleet/regrouping/ web").unwrap();
    batch.put(key.clone(), world.stored("/fleet/regrouping/web").unwrap().into_bytes());
    block_on(engine.commit(batch)).unwrap();
    let mut seen = HashMap::new();
    for _ in 0..3 {
        block_on(world.fleet.take_over_regroupings(&mut seen, &|| false)).unwrap();
    }
    assert_eq!((world.members("web").len(), seen.len()), (50, 1));
    let mut batch = Batch::new();
    batch.delete(key);
    block_on(engine.commit(batch)).unwrap();
    world.assert_consistent();
}

async fn delete(fleet: &Fleet, expected: Expected) -> Result<(), ClusterError> {
    fleet.delete_cluster(permit(), &cluster("web"), expected).await
}

/// The cluster `web` with these hosts.
fn with_web(engine: &Arc<dyn Engine>, hosts: &[String]) -> World {
    let world = World::counted(Arc::clone(engine));
    furnish(&world, hosts);
    block_on(replace(&world.fleet, "web", hosts)).unwrap();
    world
}

/// Either nothing was changed, or the cluster has gone, and none of its hosts belongs to it. Whether it has gone.
fn is_gone(world: &World, hosts: &[String]) -> bool {
    let found = block_on(world.fleet.cluster(permit(), &cluster("web")));
    let of_web: Vec<String> = hosts
        .iter()
        .filter(|text| world.host(text).is_some_and(|host| host.cluster == Some(cluster("web"))))
        .cloned()
        .collect();
    let is_gone = matches!(found, Err(ClusterError::NoSuchCluster { .. }));
    if is_gone {
        assert!(of_web.is_empty(), "{of_web:?} are in no cluster");
        for prefix in ["/fleet/tally/web/", "/fleet/host/cluster/web/", "/commissaire/cluster/web/"] {
            assert_eq!(world.keys(prefix), [""; 0]);
        }
    } else {
        found.unwrap();
        assert_eq!(of_web, hosts);
    }
    world.assert_consistent();
    is_gone
}

#[test]
fn a_process_that_dies_deletes_all_of_a_cluster_or_nothing() {
    for is_on_disk in [false, true] {
        let mut outcomes = Vec::new();
        for commit in 1..COMMITS {
            let directory = tempfile::tempdir().unwrap();
            let engine: Arc<dyn Engine> = if is_on_disk {
                Arc::new(Sqlite::open(&directory.path().join("store.sqlite")).unwrap())
            } else {
                Arc::new(Memory::new())
            };
            let hosts = names("h", 60);
            let world = with_web(&engine, &hosts);
            let deletes = async |fleet: &Fleet| delete(fleet, Expected::Anything).await.unwrap();
            let has_died = die_in(commit, &engine, &world, deletes);
            let told = world.events().iter().filter(|event| event.starts_with("cluster deleted")).count();
            take_over(&world);
            let is_gone = is_gone(&world, &hosts);
            assert_eq!(told, usize::from(is_gone), "what the history says comes true");
            outcomes.push((has_died, is_gone));
        }
        // It is decided by the first commit, four groups leave, and then it goes.
        let expected = [vec![(true, false)], vec![(true, true); 5], vec![(false, true); 5]].concat();
        assert_eq!(outcomes, expected);
    }
}

/// The disk is full, or there is no quorum: from one commit on, all are refused.
#[test]
fn a_store_that_refuses_deletes_all_of_a_cluster_or_nothing() {
    for commit in 1..7 {
        let world = World::new();
        let hosts = names("h", 60);
        furnish(&world, &hosts);
        block_on(replace(&world.fleet, "web", &hosts)).unwrap();
        for _ in 1..commit {
            world.memory.before_next_commit(async {});
        }
        let memory = Arc::clone(&world.memory);
        world.memory.before_next_commit(async move { memory.fail_next_commits(1_000, Error::Full) });
        let told = block_on(delete(&world.fleet, Expected::Anything)).unwrap_err();
        let (is_going, kind) = (matches!(told, ClusterError::Going { .. }), told.kind());
        assert_eq!((is_going, kind), (commit > 1, if commit > 1 { Kind::Unavailable } else { Kind::Full }));
        assert_eq!(told.told().is_some(), is_going);
        if is_going {
            // Also to whoever asks again meanwhile.
            let again = block_on(delete(&world.fleet, Expected::Anything)).unwrap_err();
            assert!(matches!(again, ClusterError::Going { .. }), "{again:?}");
        }
        world.memory.fail_next_commits(0, Error::Full);
        take_over(&world);
        assert_eq!(is_gone(&world, &hosts), is_going, "{commit}");
    }
}

/// The answer to one of the commits is lost.
#[test]
fn a_lost_answer_to_a_deletion_changes_nothing() {
    for is_done in [false, true] {
        for commit in 1..8 {
            let world = World::new();
            let hosts = names("h", 60);
            furnish(&world, &hosts);
            block_on(replace(&world.fleet, "web", &hosts)).unwrap();
            for _ in 1..commit {
                world.memory.before_next_commit(async {});
            }
            let memory = Arc::clone(&world.memory);
            world.memory.before_next_commit(async move { memory.lose_next_answers([is_done]) });
            block_on(delete(&world.fleet, Expected::Anything)).unwrap();
            world.memory.lose_next_answers([]);
            assert!(is_gone(&world, &hosts));
            let events = world.events();
            let told = |what: &str| events.iter().filter(|event| event.starts_with(what)).count();
            assert_eq!((told("cluster deleted"), told("cluster's hosts changed")), (1, 8), "{events:#?}");
        }
    }
}

/// Whatever happens beside a deletion happened before it, or finds no cluster.
#[test]
fn whatever_happens_beside_a_deletion_is_before_or_after() {
    let hosts = names("h", 60);
    let begun = || {
        let world = World::new();
        furnish(&world, &hosts);
        world.add("another", host("key", "active")).unwrap();
        block_on(replace(&world.fleet, "web", &hosts)).unwrap();
        world
    };
    for commit in 1..8 {
        // Another host is to join.
        let world = begun();
        let rival = Rival::before_commit(&world, commit, |fleet| async move {
            fleet.join(permit(), &cluster("web"), &address("another")).await
        });
        block_on(delete(&world.fleet, Expected::Anything)).unwrap();
        match rival.told() {
            None | Some(Err(MembersError::NoSuchCluster { .. })) => assert!(commit > 1),
            told => assert!(commit == 1 && told.unwrap().unwrap()),
        }
        assert!(world.host("another").unwrap().cluster.is_none());
        assert!(is_gone(&world, &hosts));

        // Its hosts are to be others, and many.
        let world = begun();
        let some = names("o", 40);
        for text in &some {
            world.add(text, host("key", "active")).unwrap();
        }
        let wanted = some.iter().cloned().collect();
        let rival = Rival::before_commit(&world, commit, |fleet| async move {
            fleet.replace_members(permit(), &cluster("web"), None, &wanted).await
        });
        block_on(delete(&world.fleet, Expected::Anything)).unwrap();
        match rival.told() {
            None | Some(Err(MembersError::NoSuchCluster { .. })) => assert!(commit > 1),
            told => assert_eq!((commit, told.unwrap().unwrap().hosts.len()), (1, 40)),
        }
        assert!(some.iter().all(|text| world.host(text).unwrap().cluster.is_none()));
        assert!(is_gone(&world, &hosts));

        // One of its hosts is to go elsewhere.
        let world = begun();
        let rival = Rival::before_commit(&world, commit, |fleet| async move {
            fleet.join(permit(), &cluster("db"), &address("h59")).await
        });
        block_on(delete(&world.fleet, Expected::Anything)).unwrap();
        match rival.told() {
            Some(Err(MembersError::InAnotherCluster { .. })) => assert_eq!(commit, 1),
            told => {
                assert!(commit > 1 && told.is_none_or(|told| told.unwrap()));
            }
        }
        assert!(is_gone(&world, &hosts));

        // One of its hosts is deleted.
        let world = begun();
        let rival = Rival::before_commit(&world, commit, |fleet| async move {
            fleet.delete_host(permit(), &address("h59"), Expected::Anything).await.unwrap();
        });
        block_on(delete(&world.fleet, Expected::Anything)).unwrap();
        assert_eq!(world.host("h59").is_none(), rival.told().is_some());
        assert!(is_gone(&world, &hosts));

        // Somebody else deletes it.
        let world = begun();
        let rival =
            Rival::before_commit(
                &world,
                commit,
                |fleet| async move { delete(&fleet, Expected::Anything).await },
            );
        let told = block_on(delete(&world.fleet, Expected::Anything));
        if let Some(rival) = rival.told() {
            assert_ne!(told.is_ok(), rival.is_ok(), "{told:?} {rival:?}");
            let refused = told.err().or(rival.err()).unwrap();
            assert!(matches!(refused, ClusterError::NoSuchCluster { .. }), "{refused:?}");
        }
        assert!(is_gone(&world, &hosts));

        // An operation begins.
        let world = begun();
        let rival = Rival::before_commit(&world, commit, |fleet| async move {
            let plan = (&Plan::Restart, &Policy::default());
            fleet.start_with(permit(), &cluster("web"), plan.0, plan.1).await.map(|rollout| rollout.total)
        });
        block_on(delete(&world.fleet, Expected::Anything)).unwrap();
        match rival.told() {
            Some(Ok(total)) => assert_eq!((commit, total), (1, 60)),
            Some(Err(SteerError::Operation(OperationError::NoSuchCluster { .. }))) => {
                assert!((2..=6).contains(&commit))
            }
            None => assert!(commit > 6),
            told => panic!("{told:?}"),
        }
        assert_eq!(world.keys("/fleet/operation-running/"), [""; 0]);
        assert!(is_gone(&world, &hosts));
    }
}

/// What a deletion was made to depend on holds until it is decided; and who changes the cluster after that makes a new one.
#[test]
fn settings_that_change_beside_a_deletion_are_before_or_after() {
    let hosts = names("h", 60);
    for commit in 1..8 {
        for is_expected in [false, true] {
            let world = World::new();
            furnish(&world, &hosts);
            block_on(replace(&world.fleet, "web", &hosts)).unwrap();
            let seen = block_on(world.fleet.cluster(permit(), &cluster("web"))).unwrap();
            let expected = if is_expected { Expected::At(seen.version) } else { Expected::Anything };
            let rival = Rival::before_commit(&world, commit, |fleet| async move {
                let new = NewCluster { container_manager: "k8s".into(), ..NewCluster::default() };
                let (web, any) = (cluster("web"), Expected::Anything);
                fleet.put_cluster(permit(), &web, &new, any).await.unwrap().put.is_new
            });
            let told = block_on(delete(&world.fleet, expected));
            match rival.told() {
                Some(false) if is_expected => {
                    assert!(commit == 1 && matches!(told, Err(ClusterError::Changed { .. })), "{told:?}");
                    assert!(!is_gone(&world, &hosts));
                    continue;
                }
                Some(true) => {
                    assert!(commit > 1);
                    // A new one, which is nobody's yet.
                    assert!(world.members("web").is_empty());
                    world.assert_consistent();
                }
                Some(false) => {
                    assert!(commit == 1 && is_gone(&world, &hosts));
                }
                None => assert!(is_gone(&world, &hosts)),
            }
            told.unwrap();
        }
    }
}

/// What nobody could have leave goes with the cluster: hosts that are not there, and counts that are wrong.
#[test]
fn what_is_left_of_hosts_by_another_hand_goes_with_their_cluster() {
    let engine: Arc<dyn Engine> = Arc::new(Memory::new());
    let hosts = names("h", 60);
    let world = with_web(&engine, &hosts);
    let mut batch = Batch::new();
    for text in names("nobody", 40) {
        batch.put(Key::new(format!("/fleet/host/cluster/web/{text}")).unwrap(), "");
    }
    batch.delete(Key::new("/commissaire/hosts/h07").unwrap());
    block_on(engine.commit(batch)).unwrap();
    block_on(delete(&world.fleet, Expected::Anything)).unwrap();
    for prefix in ["/fleet/tally/web/", "/fleet/host/cluster/web/", "/fleet/regrouping"] {
        assert_eq!(world.keys(prefix), [""; 0]);
    }
    assert_eq!(world.host("h59").unwrap().cluster, None);
}

/// A store that loses the answer to a commit, whether or not that is done, and stays away from then on.
struct Leaving {
    engine: Arc<dyn Engine>,
    commits_left: AtomicUsize,
    is_done: bool,
    is_away: AtomicBool,
}

impl Leaving {
    /// It stays away from this commit on.
    fn fleet(world: &World, engine: &Arc<dyn Engine>, commit: usize, is_done: bool) -> Fleet {
        let commits_left = AtomicUsize::new(usize::MAX);
        let is_away = AtomicBool::new(false);
        let leaving = Arc::new(Self { engine: Arc::clone(engine), commits_left, is_done, is_away });
        let fleet = world.another_on(Arc::clone(&leaving) as Arc<dyn Engine>);
        leaving.commits_left.store(commit, Ordering::SeqCst);
        fleet
    }

    fn reach(&self) -> Result<&Arc<dyn Engine>, Error> {
        match self.is_away.load(Ordering::SeqCst) {
            false => Ok(&self.engine),
            true => Err(Error::Unavailable { doing: "reading", reason: "it is away".into() }),
        }
    }
}

impl Engine for Leaving {
    fn get<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Option<Versioned>, Error>> {
        async move { self.reach()?.get(key).await }.boxed()
    }

    fn list<'a>(&'a self, prefix: &'a Prefix, page: Page) -> BoxFuture<'a, Result<Listing, Error>> {
        async move { self.reach()?.list(prefix, page).await }.boxed()
    }

    fn revision(&self) -> BoxFuture<'_, Result<Revision, Error>> {
        async move { self.reach()?.revision().await }.boxed()
    }

    fn snapshot(&self) -> BoxFuture<'_, Result<Arc<dyn Snapshot>, Error>> {
        async move { self.reach()?.snapshot().await }.boxed()
    }

    fn commit(&self, batch: Batch) -> BoxFuture<'_, Result<Revision, CommitError>> {
        async move {
            let engine = self.reach()?;
            let left = self.commits_left.load(Ordering::SeqCst);
            self.commits_left.store(left.saturating_sub(1), Ordering::SeqCst);
            if left > 1 {
                return engine.commit(batch).await;
            }
            self.is_away.store(true, Ordering::SeqCst);
            if self.is_done {
                engine.commit(batch).await?;
            }
            Err(CommitError::Unknown { reason: "it went away".to_owned() })
        }
        .boxed()
    }

    fn watch(&self, prefix: Prefix, from: Revision) -> BoxStream<'_, Result<Change, WatchError>> {
        self.engine.watch(prefix, from)
    }

    fn close(&self) -> BoxFuture<'_, Result<(), Error>> {
        self.engine.close()
    }
}

/// Whoever asked is told that it may come about, or does: and it does, or nothing was changed.
#[test]
fn who_cannot_know_what_has_begun_is_told_so() {
    for is_done in [false, true] {
        for commit in 1..6 {
            let engine: Arc<dyn Engine> = Arc::new(Memory::new());
            let hosts = names("h", 60);
            let world = with_web(&engine, &hosts);
            let fleet = Leaving::fleet(&world, &engine, commit, is_done);
            let told = block_on(delete(&fleet, Expected::Anything)).unwrap_err();
            assert_eq!(matches!(told, ClusterError::PerhapsGoing { .. }), commit == 1, "{told:?}");
            assert_eq!(matches!(told, ClusterError::Going { .. }), commit > 1, "{told:?}");
            assert!(told.kind() == Kind::Unavailable && told.told().is_some());
            take_over(&world);
            assert_eq!(is_gone(&world, &hosts), commit > 1 || is_done);

            let engine: Arc<dyn Engine> = Arc::new(Memory::new());
            let world = World::counted(Arc::clone(&engine));
            furnish(&world, &hosts);
            let fleet = Leaving::fleet(&world, &engine, commit, is_done);
            let told = block_on(replace(&fleet, "web", &hosts)).unwrap_err();
            assert_eq!(matches!(told, MembersError::PerhapsBegun { .. }), commit == 1, "{told:?}");
            assert_eq!(matches!(told, MembersError::Begun { .. }), commit > 1, "{told:?}");
            assert!(told.kind() == Kind::Unavailable && told.told().is_some());
            take_over(&world);
            let count = world.members("web").len();
            assert_eq!(count, if commit > 1 || is_done { 60 } else { 0 }, "{commit}");
            world.assert_consistent();
        }
    }
}

/// Who was told that a cluster goes finds none, also where a host is asked for that has not left it yet.
#[test]
fn a_host_that_has_not_left_yet_is_no_member() {
    let hosts = names("h", 60);
    let left = || {
        let engine: Arc<dyn Engine> = Arc::new(Memory::new());
        let world = with_web(&engine, &hosts);
        let deletes = async |fleet: &Fleet| delete(fleet, Expected::Anything).await.unwrap();
        assert!(die_in(2, &engine, &world, deletes));
        assert_eq!(world.members("web").len(), 60);
        assert!(block_on(world.fleet.is_going(&cluster("web"))).unwrap());
        world
    };
    let world = left();
    let told = block_on(world.fleet.join_host(permit(), &cluster("web"), &address("h59")));
    assert!(matches!(told, Err(MembersError::NoSuchCluster { .. })), "{told:?}");
    assert!(is_gone(&world, &hosts));
    assert!(!block_on(world.fleet.is_going(&cluster("web"))).unwrap());

    let world = left();
    let again = NewHost { cluster: Some(cluster("web")), ..host("key", "active") };
    let told = block_on(world.fleet.add_host(permit(), address("h59"), again));
    assert!(matches!(told, Err(AddHostError::NoSuchCluster { .. })), "{told:?}");
    assert!(is_gone(&world, &hosts));
}
