//! What comes from the cache behind this one.

use base::{Sha512, Span};
use cache::{Added, How, Limits, Pinned, Retention, Rules};
use entry::Entry;
use futures_executor::block_on;
use identity::Permit;

use crate::ground::{World, entry, key, permit};

/// Whoever fetches.
const HOUSE: &str = "the house";

fn rules(rule: &str) -> Rules {
    let retention = Retention::parse([rule]).unwrap();
    Rules { retention, unnamed: "all".parse().unwrap(), grace: Span::days(1) }
}

impl World {
    /// What the cache behind this one says under `a`, entry by entry.
    fn refresh(&self, shown: &[Entry]) -> Vec<Added> {
        let put = |entry| block_on(self.cache.put_entry(Permit::house(), &key("a"), entry)).unwrap();
        let added = shown.iter().map(put).collect();
        block_on(self.cache.forget_gone(&Permit::house(), &key("a"), shown)).unwrap();
        added
    }

    fn numbers(&self) -> Vec<String> {
        let number = |text: &str| text.split("\"n\": ").nth(1).unwrap().split(',').next().unwrap().to_owned();
        self.entries("a").iter().map(|(text, _)| number(text)).collect()
    }

    fn removes(&self, rules: &Rules) -> u64 {
        let permit = permit("the operator");
        block_on(self.cache.collect(&permit, rules, How::default(), &|| false)).unwrap().entries
    }
}

/// The rules keep the last three, and upstream shows all ten again and again.
#[test]
fn what_the_rules_removed_does_not_come_back_as_the_newest() {
    let world = World::new(Limits::default());
    let shown: Vec<Entry> = (0..10).map(|n| entry(b"bytes", n)).collect();
    let rules = rules("keep newest 3 for *");
    assert_eq!(world.refresh(&shown), [Added::New; 10]);
    assert_eq!(world.removes(&rules), 7);
    for _ in 0..3 {
        world.clock.advance(Span::days(1));
        assert_eq!(world.refresh(&shown), [Added::Same; 10]);
        assert_eq!((world.numbers(), world.removes(&rules)), (["7", "8", "9"].map(String::from).to_vec(), 0));
    }
    // What is new there comes, and pushes the oldest out.
    let more = [&shown[..], &[entry(b"bytes", 10)]].concat();
    assert_eq!(world.refresh(&more)[10], Added::New);
    assert_eq!((world.removes(&rules), world.numbers().join(" ")), (1, "8 9 10".to_owned()));
    // Somebody says one of them here: that is another matter.
    world.add("a", b"bytes", 3);
    assert_eq!(world.numbers().join(" "), "8 9 10 3");
    // What was not there any more, and comes again, is new.
    world.refresh(&more[1..]);
    assert_eq!(world.refresh(&more)[0], Added::New);
    assert_eq!(world.numbers().join(" "), "8 9 10 3 0");
}

/// Each refresh says all that upstream has, which makes nothing younger; who says here what came from there, has said it.
#[test]
fn what_upstream_says_again_grows_old() {
    let world = World::new(Limits::default());
    let shown = [entry(b"bytes", 0), entry(b"bytes", 1)];
    world.refresh(&shown);
    world.clock.advance(Span::days(20));
    world.refresh(&shown);
    world.add("a", b"bytes", 1);
    world.clock.advance(Span::days(20));
    assert_eq!(world.removes(&rules("keep younger 30d for *")), 1);
    assert_eq!(world.numbers(), ["1"]);
    let removed =
        block_on(world.cache.remove_entries(&permit("the operator"), &key("a"), &|entry| entry.by == HOUSE));
    assert_eq!(removed.unwrap(), 0, "it is hers");
}

/// What anybody has fetched takes no more than it may, and what was not read for the longest time goes first.
#[test]
fn what_was_fetched_is_held_to_its_bounds() {
    let world = World::new(Limits { fetched_bytes_max: Some(1000), ..Limits::default() });
    let bytes = |n: u8| vec![n; 100];
    let is_there = |n| world.records("/cache/artifact/").contains(&Sha512::of(&bytes(n)).to_string());
    let fetch = |n| {
        world.clock.advance(Span::seconds(601));
        block_on(crate::ground::keep(&world.cache, HOUSE, &bytes(n), Some(100), None))
    };
    for n in 0..5 {
        fetch(n).unwrap();
    }
    // Somebody puts one there as well, names another, and pins a third; the fourth is read.
    world.keep("alice", &bytes(0), None).unwrap();
    world.add("named", &bytes(1), 1);
    block_on(world.cache.pin(permit("the operator"), &Pinned::Artifact(Sha512::of(&bytes(2))), "")).unwrap();
    for n in 5..20 {
        assert!(world.is_there(&bytes(3)));
        fetch(n).unwrap();
    }
    let left: Vec<u8> = (0..20).filter(|n| is_there(*n)).collect();
    assert!(left.starts_with(&[0, 1, 2, 3]), "{left:?}");
    assert!(left.contains(&19) && !left.contains(&4) && !left.contains(&5), "{left:?}");
    assert!(left.len() <= 11, "{left:?}");
    let gone = block_on(store::blobs::Blobs::open(&world.blobs, Sha512::of(&bytes(4)))).unwrap();
    assert!(gone.is_none(), "and its bytes");
    // Others are not held to it.
    world.keep("alice", &[b'a'; 5000], None).unwrap();
    // What is larger than all of it is not kept, nor what comes faster than anything gets old.
    assert!(block_on(crate::ground::keep(&world.cache, HOUSE, &[b'b'; 1001], Some(1001), None)).is_err());
    let burst = (100..120)
        .map(|n| block_on(crate::ground::keep(&world.cache, HOUSE, &bytes(n), Some(100), None)).is_ok());
    assert!(burst.collect::<Vec<bool>>().ends_with(&[false; 5]));
}

/// Where nothing is said, it is half of the room.
#[test]
fn what_was_fetched_takes_half_of_the_room() {
    let limits = Limits { reserve_bytes: 0, ..Limits::default() };
    let world = World::with_room(limits, 1000);
    let kept = (0..10_u8).filter(|n| world.announce(HOUSE, &[*n; 100]).is_ok()).count();
    assert_eq!(kept, 5);
    world.keep("alice", &[b'a'; 500], None).unwrap();
}

/// What the first houses wrote of an entry has no place.
#[test]
fn marks_of_the_first_houses_are_understood() {
    let world = World::new(Limits::default());
    world.add("a", b"bytes", 1);
    let marks = world.records("/cache/same/");
    let table = store::Table::<Old>::new(world.engine.clone(), "/cache/same/").unwrap();
    let mut batch = store::Batch::new();
    table.put(&mut batch, &marks[0], &Old {}).unwrap();
    block_on(store::Engine::commit(&*world.engine, batch)).unwrap();
    world.add("a", b"bytes", 1);
    assert_eq!(world.entries("a").len(), 1);
    assert_eq!(world.removes(&rules("keep nothing for *")), 1);
    world.add("a", b"bytes", 1);
    assert_eq!(world.entries("a").len(), 1);
}

/// A mark as it was written then.
#[derive(serde::Serialize, serde::Deserialize)]
struct Old {}

impl store::Record for Old {
    const VERSION: u32 = 1;
}
