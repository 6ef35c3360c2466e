//! A history in a store that is tampered with, trimmed, moved, and whose writers die at every commit.

use std::collections::{BTreeMap, BTreeSet};

use base::{Span, Timestamp};
use chain::Kept;
use futures_executor::block_on;
use identity::Permit;
use store::{BATCH_OPERATIONS_MAX, Error, Event, Key, Memory, Page, Retention};

use super::*;

const START: Timestamp = Timestamp::from_unix(1_790_000_000);
const FOREVER: Retention = Retention { age: Span::days(100_000), count: usize::MAX };

struct World {
    store: Arc<Memory>,
    sealing: Arc<SealingKey>,
    clock: Clock,
    entropy: Entropy,
    audit: Audit,
}

fn audit(store: &Arc<Memory>, sealing: &Arc<SealingKey>, clock: &Clock, entropy: &Entropy) -> Audit {
    Audit::new(store.clone(), sealing.clone(), clock.clone(), entropy.clone()).unwrap()
}

impl World {
    fn new() -> Self {
        let (store, clock, entropy) = (Arc::new(Memory::new()), Clock::manual(START), Entropy::seeded(11));
        let sealing = Arc::new(SealingKey::generate(&entropy));
        let audit = audit(&store, &sealing, &clock, &entropy);
        Self { store, sealing, clock, entropy, audit }
    }

    /// Another process on the same store.
    fn another(&self) -> Audit {
        audit(&self.store, &self.sealing, &self.clock, &self.entropy)
    }

    /// `count` events in one commit, that tell of a time so many milliseconds from now.
    fn happen(&self, count: usize, milliseconds_from_now: i64) {
        let history = History::new(self.store.clone()).unwrap();
        let mut batch = Batch::new();
        for number in 0..count {
            let event = Event {
                at_milliseconds: self.clock.now_milliseconds() + milliseconds_from_now,
                what: "certificate issued".into(),
                about: format!("services request {number}"),
                by: "somebody".into(),
                from: None,
                facts: BTreeMap::new(),
            };
            history.append(&mut batch, &event, &self.entropy).unwrap();
        }
        block_on(self.store.commit(batch)).unwrap();
    }

    fn link(&self) -> usize {
        block_on(self.audit.link(&Stop::new())).unwrap()
    }

    fn verify(&self, kept: Option<Head>) -> Result<Checked, VerifyError> {
        block_on(verify(self.store.clone(), self.sealing.clone(), kept))
    }

    fn head(&self) -> Head {
        block_on(self.audit.head()).unwrap()
    }

    fn list(&self, prefix: &str) -> Vec<(Key, String)> {
        let prefix = Prefix::new(prefix).unwrap();
        let listing = block_on(self.store.list(&prefix, Page::full())).unwrap();
        let text = |value: &[u8]| String::from_utf8(value.to_vec()).unwrap();
        listing.entries.iter().map(|(key, found)| (key.clone(), text(&found.value))).collect()
    }

    fn put(&self, key: &Key, value: &str) {
        let mut batch = Batch::new();
        batch.put(key.clone(), value.to_owned());
        block_on(self.store.commit(batch)).unwrap();
    }

    fn delete(&self, key: &Key) {
        let mut batch = Batch::new();
        batch.delete(key.clone());
        block_on(self.store.commit(batch)).unwrap();
    }

    /// What a check says after `tamper`, which is undone again.
    fn tampered(&self, kept: Option<Head>, tamper: impl FnOnce(&Self)) -> String {
        let before = self.list("/");
        tamper(self);
        let said = match self.verify(kept) {
            Ok(_) => String::new(),
            Err(error) => base::report(&error),
        };
        for (key, _) in self.list("/") {
            self.delete(&key);
        }
        for (key, value) in before {
            self.put(&key, &value);
        }
        said
    }
}

#[test]
fn what_happened_is_linked_once_whatever_time_it_tells() {
    let world = World::new();
    assert_eq!(world.link(), 0);
    assert!(matches!(world.verify(None), Err(VerifyError::NotLinked)));
    let mut expected = 0;
    for (count, shift) in [(1, 0), (3, -900_000), (0, 0), (100, 5_000), (97, -1), (2, -40_000_000), (1, 0)] {
        if count > 0 {
            world.happen(count, shift);
        }
        let checked = world.verify(None);
        if expected > 0 {
            assert_eq!(checked.unwrap().not_linked, count as u64);
        }
        assert_eq!(world.link(), count);
        assert_eq!(world.link(), 0);
        // Another process finds nothing left to do, whether it knows what came or has to list everything.
        assert_eq!(block_on(world.another().link(&Stop::new())).unwrap(), 0);
        expected += count as u64;
        let checked = world.verify(Some(world.head())).unwrap();
        assert_eq!((checked.summary.events, checked.not_linked), (expected, 0));
    }
    let checked = world.verify(None).unwrap();
    assert_eq!(checked.summary.late, 5, "those that told of a quarter of an hour ago, and of long ago");
}

#[test]
fn whatever_is_done_to_the_store_is_found() {
    let world = World::new();
    for _ in 0..6 {
        world.happen(3, 0);
        world.link();
        world.clock.advance(Span::seconds(1));
    }
    let (events, links) = (world.list("/history/"), world.list("/audit/link/"));
    assert_eq!((events.len(), links.len()), (18, 6));
    let kept = world.head();
    assert_eq!(world.tampered(Some(kept), |_| ()), "");
    // Any byte of any event and of any link. Written anew they have other versions, as nobody's are who writes into the
    // file itself: that alone is no fault.
    for (place, (key, value)) in events.iter().chain(&links).enumerate() {
        let at = (place * 37) % value.len();
        let mut bytes = value.clone().into_bytes();
        bytes[at] = if bytes[at] == b'x' { b'y' } else { b'x' };
        let said = world.tampered(None, |world| world.put(key, std::str::from_utf8(&bytes).unwrap()));
        assert_ne!(said, "", "{key} at {at}");
    }
    // Without its head nothing would be linked any more, and what comes could be anything.
    let (head, _) = world.list("/audit/head").remove(0);
    let said = world.tampered(None, |world| {
        world.delete(&head);
        world.happen(2, 0);
    });
    assert!(said.contains("link 6 is the last one, and 0 is said to be"), "{said}");
    let said = world.tampered(None, |world| world.delete(&events[7].0));
    assert!(said.contains("was removed"), "{said}");
    let said = world.tampered(None, |world| {
        world.put(&events[3].0, &events[4].1);
        world.put(&events[4].0, &events[3].1);
    });
    assert!(said.contains("was changed"), "{said}");
    let said = world.tampered(None, |world| {
        world.put(&links[2].0, &links[3].1);
        world.put(&links[3].0, &links[2].1);
    });
    assert!(said.contains("is missing"), "{said}");
    let inserted = events[9].0.as_str().replace(&events[9].0.as_str()[30..], "0badc0de0badc0");
    let inserted = Key::new(&inserted).unwrap();
    let said = world.tampered(None, |world| world.put(&inserted, &events[9].1));
    assert!(said.contains("was put in afterwards"), "{said}");
    // The end is cut off, with all that belongs to it.
    let cut = |world: &World| {
        world.delete(&links[5].0);
        events[15..].iter().for_each(|(key, _)| world.delete(key));
    };
    let said = world.tampered(None, cut);
    assert!(said.contains("is said to be"), "{said}");
    let head_key = Key::new("/audit/head").unwrap();
    let cut_well = |world: &World| {
        cut(world);
        let hash = Hash::of(record_of(&links[4].1).text.as_bytes());
        let record = HeadRecord {
            number: 5,
            hash: hash.to_string(),
            total: 15,
            upto: 1_000,
            also: Vec::new(),
            key_at: 1,
        };
        world.put(&head_key, &String::from_utf8(store::encode(&record).unwrap()).unwrap());
    };
    assert_eq!(world.tampered(None, cut_well), "", "who kept nothing cannot know");
    let said = world.tampered(Some(kept), cut_well);
    assert!(said.contains("the end was cut off"), "{said}");
    // A key of one's own, with links of one's own.
    let said = world.tampered(None, |world| {
        let other = Arc::new(SealingKey::generate(&world.entropy));
        world.list("/audit/").iter().for_each(|(key, _)| world.delete(key));
        let forger = audit(&world.store, &other, &world.clock, &world.entropy);
        block_on(forger.link(&Stop::new())).unwrap();
    });
    assert!(said.contains("cannot be unsealed"), "{said}");
    let said = world.tampered(Some(kept), |world| {
        world.list("/audit/").iter().for_each(|(key, _)| world.delete(key));
    });
    assert!(said.contains("the end was cut off"), "{said}");
}

fn record_of(value: &str) -> SignedRecord {
    store::decode(value.as_bytes()).unwrap()
}

#[test]
fn what_is_dropped_leaves_an_anchor() {
    let world = World::new();
    let mut heads = Vec::new();
    for _ in 0..10 {
        world.happen(50, 0);
        world.link();
        heads.push(world.head());
        world.clock.advance(Span::days(1));
    }
    let trim = |keep| block_on(world.audit.trim(keep, world.clock.now(), &Stop::new())).unwrap();
    assert_eq!(trim(FOREVER), 0);
    world.happen(7, -Span::days(300).as_seconds() * 1_000);
    assert_eq!(trim(Retention { age: Span::seconds(86_400 * 7 + 60), ..FOREVER }), 150);
    assert_eq!(world.list("/history/").len(), 357, "what has no link is not dropped, however old");
    assert_eq!(world.link(), 7);
    let checked = |kept| world.verify(Some(kept)).unwrap().summary;
    let summary = checked(heads[9]);
    assert_eq!((summary.links, summary.events, summary.dropped), (8, 357, Some(heads[2])));
    assert_eq!([1, 2, 3].map(|at| checked(heads[at]).kept), [Kept::Dropped, Kept::Found, Kept::Found]);
    // By count, whole links at a time.
    assert_eq!(trim(Retention { count: 120, ..FOREVER }), 200);
    assert_eq!(world.list("/history/").len(), 157);
    assert_eq!(trim(Retention { count: 0, ..FOREVER }), 150, "but for the last link");
    assert_eq!(checked(heads[9]).kept, Kept::Found);
    // And it goes on from there.
    world.happen(5, 0);
    assert_eq!(world.link(), 5);
    assert_eq!(world.verify(Some(heads[9])).unwrap().summary.events, 12);
    let anchor = Key::new("/audit/anchor").unwrap();
    let said = world.tampered(None, |world| world.delete(&anchor));
    assert!(said.contains("is missing"), "{said}");
}

/// As a store that was put back elsewhere, whose versions say nothing: an event of the last minutes may be as late as one
/// may come to be linked without a word, and nobody is accused.
#[test]
fn what_came_a_little_late_was_not_put_in() {
    let world = World::new();
    world.happen(3, 0);
    world.link();
    world.clock.advance(Span::seconds(1));
    let linked = world.list("/history/").len();
    let moved = |milliseconds: i64| {
        world.tampered(None, |world| {
            world.happen(1, milliseconds);
            let all = world.list("/");
            for (key, _) in &all {
                world.delete(key);
            }
            for (key, value) in all {
                world.put(&key, &value);
            }
            assert_eq!(world.list("/history/").len(), linked + 1);
        })
    };
    assert_eq!(moved(-60_000), "", "a minute late, as of a clock that is a little behind");
    assert!(moved(-1_200_000).contains("was put in afterwards"));
}

/// Whoever looks into the store without its sealing key believes the public key that is beside the sealed one.
#[test]
fn what_is_stored_of_the_links_is_told_when_it_cannot_be_used() {
    for (key, value) in
        [("/audit/head", "x"), ("/audit/head", r#"{"v":1,"is":{}}"#), ("/audit/key", "PUBLIC")]
    {
        let world = World::new();
        world.happen(1, 0);
        world.link();
        assert_eq!(world.audit.fault(), None);
        let key = Key::new(key).unwrap();
        let (_, before) = world.list("/audit/").into_iter().find(|(found, _)| *found == key).unwrap();
        world.put(&key, &before.replace("BEGIN PUBLIC KEY-----\\nM", "BEGIN PUBLIC KEY-----\\nN"));
        if value != "PUBLIC" {
            world.put(&key, value);
        }
        let error = world.verify(None).unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid, "{}", base::report(&error));
        world.happen(1, 0);
        // A start that finds it so.
        let next = world.another();
        assert!(block_on(next.link(&Stop::new())).is_err());
        assert!(next.fault().is_some(), "{key}");
        world.put(&key, &before);
        assert!(block_on(next.link(&Stop::new())).is_ok());
        assert_eq!(next.fault(), None);
        // What passes by itself is no such fault.
        world.happen(1, 0);
        world.store.fail_next_commits(1, Error::Full);
        assert!(block_on(next.link(&Stop::new())).is_err());
        assert_eq!(next.fault(), None);
    }
}

/// Whoever links dies at each of its commits, which was done or was not, and another goes on.
#[test]
fn who_dies_at_a_commit_is_gone_on_for() {
    // The key, and two commits of links, of which the first parts what came together.
    for (died_at, is_done) in (0..3).flat_map(|at| [(at, false), (at, true)]) {
        let world = World::new();
        for _ in 0..41 {
            world.happen(100, 0);
        }
        world.happen(20, 5);
        let (reached, dies) = (Arc::new(Mutex::new(0)), world.another());
        for _ in 0..died_at {
            let reached = reached.clone();
            world.store.before_next_commit(async move { *reached.lock().unwrap() += 1 });
        }
        let store = world.store.clone();
        world.store.before_next_commit(async move { store.lose_next_answers([is_done]) });
        let ended = block_on(dies.link(&Stop::new()));
        // Whether there is a key is looked up.
        assert_eq!(ended.is_ok(), died_at == 0, "{ended:?}");
        assert_eq!(*reached.lock().unwrap(), died_at);
        drop(dies);
        block_on(world.another().link(&Stop::new())).unwrap();
        let checked = world.verify(None).unwrap();
        assert_eq!((checked.summary.events, checked.not_linked), (4_120, 0), "{died_at} {is_done}");
        assert_eq!(checked.summary.links, 43);
    }
}

/// The same of trimming.
#[test]
fn who_dies_while_trimming_is_gone_on_for() {
    for is_done in [false, true] {
        let world = World::new();
        for _ in 0..5 {
            world.happen(10, 0);
            world.link();
        }
        let keep = Retention { count: 15, ..FOREVER };
        world.store.lose_next_answers([is_done]);
        assert!(block_on(world.audit.trim(keep, world.clock.now(), &Stop::new())).is_err());
        assert_eq!(world.verify(None).unwrap().summary.events, if is_done { 40 } else { 50 });
        block_on(world.another().trim(keep, world.clock.now(), &Stop::new())).unwrap();
        assert_eq!(world.verify(None).unwrap().summary.events, 20);
    }
}

/// The store was put back from a copy: its revisions come a second time.
#[test]
fn nothing_is_skipped_in_a_store_that_went_back() {
    let world = World::new();
    world.happen(3, 0);
    assert_eq!(world.link(), 3);
    let linked = world.head();
    *lock(&world.audit.position) = Revision(10_000);
    world.happen(2, 0);
    assert_eq!(world.link(), 2, "it was further than the store is");
    world.happen(4, 0);
    *lock(&world.audit.position) = block_on(world.store.revision()).unwrap();
    *lock(&world.audit.seen) = Head { number: linked.number + 5, ..linked };
    assert!(matches!(block_on(world.audit.link(&Stop::new())), Err(AuditError::Receded { .. })));
    assert_eq!(world.link(), 4, "it is as far as before, with fewer links");
    assert_eq!(world.verify(None).unwrap().not_linked, 0);
}

#[test]
fn of_two_that_link_at_once_one_does_it() {
    let world = World::new();
    world.happen(3, 0);
    world.link();
    world.happen(3, 0);
    let rival = world.another();
    world.store.before_next_commit(async move {
        assert_eq!(rival.link(&Stop::new()).await.unwrap(), 3);
    });
    assert_eq!(world.link(), 0);
    world.happen(1, 0);
    assert_eq!(world.link(), 1);
    assert_eq!(world.verify(None).unwrap().summary.events, 7);
}

/// In a store to which all records were moved one after another, none has the version that it had.
#[test]
fn in_another_store_it_goes_on() {
    for events in [1, 40, 120, 300] {
        let from = World::new();
        for number in 0..events {
            from.happen(1, 0);
            if number % 7 == 0 {
                from.link();
            }
        }
        let entropy = Entropy::seeded(12);
        let to = World { sealing: from.sealing.clone(), entropy, ..World::new() };
        let to = World { audit: to.another(), ..to };
        for hundred in from.list("/").chunks(BATCH_OPERATIONS_MAX) {
            let mut batch = Batch::new();
            for (key, value) in hundred {
                batch.put(key.clone(), value.clone());
            }
            block_on(to.store.commit(batch)).unwrap();
        }
        for round in 1..5 {
            to.happen(2, 0);
            to.link();
            assert_eq!(block_on(to.another().link(&Stop::new())).unwrap(), 0);
            let checked = to.verify(Some(from.head())).unwrap();
            assert_eq!((checked.summary.events, checked.not_linked), (events + 2 * round, 0));
        }
        assert!(block_on(to.audit.load_head()).unwrap().is_native, "the store's versions tell again");
    }
}

#[test]
fn that_links_went_is_told_to_whoever_saw_them() {
    let world = World::new();
    for _ in 0..3 {
        world.happen(1, 0);
        world.link();
    }
    let before = world.list("/audit/");
    world.happen(1, 0);
    world.link();
    world.delete(&Key::new("/audit/link/00000000000000000004").unwrap());
    for (key, value) in before {
        world.put(&key, &value);
    }
    world.happen(1, 0);
    let receded = block_on(world.audit.link(&Stop::new()));
    assert!(matches!(receded, Err(AuditError::Receded { seen }) if seen.number == 4));
    world.link();
}

#[test]
fn a_store_that_fails_loses_nothing() {
    let world = World::new();
    world.happen(5, 0);
    world.store.fail_next_commits(1, Error::Full);
    assert!(block_on(world.audit.link(&Stop::new())).is_err());
    world.happen(5, 0);
    assert_eq!(world.link(), 10);
    world.happen(2, 0);
    world.store.fail_next_commits(1, Error::Full);
    assert!(block_on(world.audit.link(&Stop::new())).is_err());
    assert_eq!(world.link(), 2);
    assert_eq!(world.verify(None).unwrap().summary.events, 12);
}

#[test]
fn what_is_wanted_is_found_page_by_page() {
    let world = World::new();
    for second in 0..30_i64 {
        world.happen(2, second * 1_000);
    }
    let at = |second: i64| Some(world.clock.now_milliseconds() + second * 1_000);
    let all = |wanted: &Wanted, limit| {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let permit = Permit::house();
            let page = block_on(world.audit.find(permit, wanted, after.as_deref(), limit)).unwrap();
            assert!(page.events.len() <= limit);
            found.extend(page.events.into_iter().map(|(id, _)| id));
            after = match page.next {
                Some(next) => Some(next),
                None => return found,
            };
        }
    };
    let everything = all(&Wanted::default(), 7);
    assert_eq!(everything.len(), 60);
    assert!(everything.is_sorted() && everything.iter().collect::<BTreeSet<_>>().len() == 60);
    let some = Wanted { since: at(10), until: at(13), ..Wanted::default() };
    assert_eq!(all(&some, 4), everything[20..26]);
    let word = |word: &str| Some(word.to_owned());
    let zero = Wanted { about: word("Request 0"), what: word("ISSUED"), ..Wanted::default() };
    assert_eq!(all(&zero, 100).len(), 30);
    assert!(all(&Wanted { by: word("nobody"), ..Wanted::default() }, 100).is_empty());
    assert_eq!(all(&Wanted { trade: Some(Trade::Ca), ..Wanted::default() }, 100).len(), 60);
    assert!(all(&Wanted { trade: Some(Trade::Fleet), ..Wanted::default() }, 100).is_empty());
}
