//! Members that are killed, stopped and started again while the store is written to and watched.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use base::{Explain, Kind};

use super::*;

/// What was said of a commit.
#[derive(Debug, PartialEq)]
enum Said {
    Done(Revision),
    NotDone,
    Unknown,
}

/// How many writers there are. Each other one expects what cannot come back, so that its commits may be sent
/// again.
const WRITERS: usize = 4;

/// Writers at work, until they are told to stop.
struct Writing {
    stop: AtomicBool,
    acknowledged: AtomicUsize,
    /// How many reads there were, and how many of them failed.
    reads: [AtomicUsize; 2],
    said: Mutex<BTreeMap<String, Said>>,
}

impl Writing {
    fn new() -> Self {
        Self {
            stop: AtomicBool::new(false),
            acknowledged: AtomicUsize::new(0),
            reads: Default::default(),
            said: Mutex::default(),
        }
    }

    /// Writes one new record after the other.
    fn write(&self, store: &Etcd, me: usize) {
        let last = format!("/last/{me}");
        let mut seen = None;
        for number in 0.. {
            if self.stop.load(Ordering::SeqCst) {
                return;
            }
            let name = format!("/record/{me}/{number:05}");
            let mut batch = Batch::new();
            batch.put(key(&name), number.to_string());
            if me.is_multiple_of(2) {
                let expectation = seen.map_or(Expect::Absent, Expect::At);
                batch.expect(key(&last), expectation).put(key(&last), number.to_string());
            } else {
                batch.expect(key(&name), Expect::Absent);
            }
            let said = match block_on(store.commit(batch)) {
                Ok(revision) => {
                    seen = Some(Version(revision));
                    self.acknowledged.fetch_add(1, Ordering::SeqCst);
                    Said::Done(revision)
                }
                Err(error) => {
                    assert_eq!(error.kind(), Kind::Unavailable, "{error}");
                    // What is not known is looked up, as its help says.
                    let found = || get(store, &last).ok();
                    seen = testkit::wait_for("the store to be readable", found).map(|(_, version)| version);
                    if matches!(error, CommitError::Unknown { .. }) { Said::Unknown } else { Said::NotDone }
                }
            };
            self.said.lock().unwrap().insert(name, said);
        }
    }

    /// Reads, again and again.
    fn read(&self, store: &Etcd) {
        while !self.stop.load(Ordering::SeqCst) {
            let found = get(store, "/last/0");
            self.reads[0].fetch_add(1, Ordering::SeqCst);
            if let Err(error) = found {
                assert!(matches!(error, Error::Unavailable { .. }), "{error}");
                self.reads[1].fetch_add(1, Ordering::SeqCst);
            }
        }
    }

    /// Waits until so many more commits are acknowledged.
    fn wait_for_more(&self, more: usize) {
        let before = self.acknowledged.load(Ordering::SeqCst);
        wait_until("commits to go on", || self.acknowledged.load(Ordering::SeqCst) >= before + more);
    }
}

/// Writes to `server` and watches it while `happen` does things to it. Then what was said of each commit must be
/// so, and each change must have been told once, in order.
fn nothing_is_lost_or_doubled(server: &mut testkit::Etcd, happen: impl FnOnce(&mut testkit::Etcd, &Writing)) {
    let store = connect(&settings(server));
    let follower = Follower::from_now(&store);
    let writing = Writing::new();
    std::thread::scope(|threads| {
        for me in 0..WRITERS {
            let (writing, store) = (&writing, &store);
            threads.spawn(move || writing.write(store, me));
        }
        threads.spawn(|| writing.read(&store));
        writing.wait_for_more(10);
        happen(server, &writing);
        writing.stop.store(true, Ordering::SeqCst);
    });
    put(&store, "/end", "").unwrap();
    follower.wait_for("/end");

    let mut stored = BTreeMap::new();
    let mut next = Some(Page::full());
    while let Some(page) = next {
        let listing = block_on(store.list(&Prefix::new("/record/").unwrap(), page)).unwrap();
        stored.extend(listing.entries.into_iter().map(|(key, found)| (key.to_string(), found.version)));
        next = listing.next;
    }
    let said = writing.said.into_inner().unwrap();
    let count = |wanted: fn(&Said) -> bool| said.values().filter(|said| wanted(said)).count();
    let (done, not_done) =
        (count(|said| matches!(said, Said::Done(_))), count(|said| *said == Said::NotDone));
    // For whoever wonders, as the test harness shows it when asked to.
    let unknown = said.len() - done - not_done;
    let reads = writing.reads.map(AtomicUsize::into_inner);
    let summary = format!(
        "commits: {done} done, {not_done} not, {unknown} unknown; {} reads, {} failed\n",
        reads[0], reads[1]
    );
    std::io::stderr().write_all(summary.as_bytes()).unwrap();
    for (name, said) in &said {
        match (said, stored.get(name)) {
            (Said::Done(revision), found) => assert_eq!(found, Some(&Version(*revision)), "{name}"),
            (Said::NotDone, found) => assert_eq!(found, None, "{name} was said not to be done"),
            (Said::Unknown, _) => {}
        }
    }
    let told = follower.told.lock().unwrap();
    assert!(told.is_sorted_by(|a, b| a.revision <= b.revision), "in order");
    let records: Vec<_> = told.iter().filter(|change| change.key.as_str().starts_with("/record/")).collect();
    let names: BTreeSet<&str> = records.iter().map(|change| change.key.as_str()).collect();
    assert_eq!(names.len(), records.len(), "none was told twice");
    assert_eq!(names.len(), stored.len(), "none was left out");
    for change in records {
        assert_eq!(stored[change.key.as_str()], Version(change.revision));
    }
}

#[test]
fn one_member_is_sigkilled_and_comes_back() {
    nothing_is_lost_or_doubled(&mut testkit::Etcd::start(1), |server, writing| {
        for _ in 0..4 {
            server.kill(0);
            server.restart(0);
            writing.wait_for_more(20);
        }
    });
}

#[test]
fn each_of_three_members_is_sigkilled_in_turn() {
    nothing_is_lost_or_doubled(&mut testkit::Etcd::start(3), |server, writing| {
        for member in 0..3 {
            server.kill(member);
            writing.wait_for_more(20);
            server.restart(member);
            writing.wait_for_more(20);
        }
    });
}

#[test]
fn each_of_three_members_is_paused_in_turn() {
    nothing_is_lost_or_doubled(&mut testkit::Etcd::start(3), |server, writing| {
        for member in 0..3 {
            server.pause(member);
            writing.wait_for_more(20);
            server.resume(member);
            writing.wait_for_more(20);
        }
    });
}

#[test]
fn without_a_majority_it_says_so_soon_and_goes_on_when_there_is_one_again() {
    let mut server = testkit::Etcd::start(3);
    let mut settings = settings(&server);
    settings.deadline = std::time::Duration::from_secs(2);
    let store = connect(&settings);
    let follower = Follower::from_now(&store);
    put(&store, "/before", "").unwrap();
    follower.wait_for("/before");
    server.kill(0);
    server.kill(1);

    let begun = Instant::now();
    let error = get(&store, "/before").unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error}");
    let listed = block_on(store.list(&Prefix::default(), Page::full())).unwrap_err();
    assert!(matches!(listed, Error::Unavailable { .. }), "{listed}");
    // One member took it in, and could still pass it on when the others are back.
    let error = put(&store, "/during", "").unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable, "{error}");
    assert!(begun.elapsed() < 2 * settings.deadline, "only the first waits long: {:?}", begun.elapsed());

    server.restart(0);
    wait_until("a majority to be found", || get(&store, "/before").is_ok());
    wait_until("commits to go on", || put(&store, "/after", "").is_ok());
    follower.wait_for("/after");
    assert!(!follower.thread.is_finished(), "the watch went on");
}

#[test]
fn a_paused_member_costs_a_reader_no_more_than_a_moment() {
    let server = testkit::Etcd::start(3);
    let settings = settings(&server);
    let store = connect(&settings);
    put(&store, "/a", "1").unwrap();
    for member in 0..3 {
        server.pause(member);
        let begun = Instant::now();
        assert_eq!(get(&store, "/a").unwrap().unwrap().0, "1");
        // The member itself, and a new leader where it was that.
        assert!(begun.elapsed() < settings.deadline, "{:?}", begun.elapsed());
        server.resume(member);
    }
}
