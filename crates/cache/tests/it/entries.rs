//! Entries in and out.

use base::{Explain as _, Kind, Sha512};
use cache::{Added, Limits, PutEntryError};
use entry::Entry;
use futures_executor::block_on;
use futures_util::future::join_all;
use store::blobs::Blobs as _;

use crate::ground::{World, entry, key, permit};

fn put(world: &World, key: &str, entry: &Entry) -> Result<Added, PutEntryError> {
    block_on(world.cache.put_entry(permit("alice"), &self::key(key), entry))
}

fn texts(entries: &[(String, String)]) -> Vec<&str> {
    entries.iter().map(|(text, _)| text.as_str()).collect()
}

#[test]
fn entries_stay_in_the_order_in_which_they_came() {
    let world = World::new(Limits::default());
    let entries: Vec<Entry> = (0..300).map(|n| entry(b"hello", n)).collect();
    for entry in &entries {
        assert_eq!(put(&world, "a", entry).unwrap(), Added::New);
    }
    // The very same stays where it is.
    assert_eq!(put(&world, "a", &entries[7]).unwrap(), Added::Same);
    let expected: Vec<&str> = entries.iter().map(Entry::text).collect();
    assert_eq!(texts(&world.entries("a")), expected);
    assert_eq!(world.history().len(), 300);
}

/// `a`, `a/b` and `a/` are three keys.
#[test]
fn keys_do_not_touch_each_other() {
    let world = World::new(Limits::default());
    for (n, name) in ["a", "a/b", "a/", "/a", "A"].into_iter().enumerate() {
        put(&world, name, &entry(b"hello", n)).unwrap();
    }
    for (n, name) in ["a", "a/b", "a/", "/a", "A"].into_iter().enumerate() {
        assert_eq!(texts(&world.entries(name)), [entry(b"hello", n).text()], "{name}");
    }
    assert!(world.entries("b").is_empty());
}

#[test]
fn the_same_text_with_another_signature_is_another_entry() {
    let world = World::new(Limits::default());
    let unsigned = entry(b"hello", 0);
    let signed = Entry::new(unsigned.text().to_owned(), "YQ==".to_owned()).unwrap();
    put(&world, "a", &unsigned).unwrap();
    assert_eq!(put(&world, "a", &signed).unwrap(), Added::New);
    assert_eq!(world.entries("a").len(), 2);
}

/// A text that no record has room for is kept beside them.
#[test]
fn entries_may_be_long() {
    let world = World::new(Limits::default());
    let text = format!("{{\"sha512\": \"{}\", \"n\": \"{}\"}}", Sha512::of(b""), "\\\"é".repeat(200_000));
    let long = Entry::new(text.clone(), "YQ==".to_owned()).unwrap();
    put(&world, "a", &entry(b"hello", 0)).unwrap();
    assert_eq!(put(&world, "a", &long).unwrap(), Added::New);
    assert_eq!(put(&world, "a", &long).unwrap(), Added::Same);
    put(&world, "a", &entry(b"hello", 1)).unwrap();
    let entries = world.entries("a");
    assert_eq!((entries.len(), &entries[1]), (3, &(text, "YQ==".to_owned())));
    // Its blob is no artifact, and whoever collects what nobody names finds who does.
    let blob = block_on(world.blobs.list(None, 10)).unwrap()[0].digest;
    assert!(block_on(world.cache.open(permit("a reader"), blob)).unwrap().is_none());
    let place = format!("{blob}/{}", world.records("/cache/entry/")[1]);
    assert_eq!(world.records("/cache/long/"), [place]);
    // One that has rotted is left out, without harm to the others, until somebody sends it again.
    for injury in [
        |world: &World, blob| world.blobs.rot(blob),
        |world: &World, blob| block_on(world.blobs.remove(blob, None)).unwrap(),
    ] {
        assert!(injury(&world, blob));
        for _ in 0..2 {
            assert_eq!(texts(&world.entries("a")), [entry(b"hello", 0).text(), entry(b"hello", 1).text()]);
        }
        assert_eq!(put(&world, "a", &long).unwrap(), Added::Same);
        assert_eq!(world.entries("a"), entries);
    }
    assert!(block_on(world.cache.open(permit("a reader"), blob)).unwrap().is_none());
}

/// A blob that cannot be read for now is not a damaged one: nothing is left out.
#[test]
fn a_list_is_not_shortened_by_a_failure() {
    let world = World::new(Limits::default());
    let text = format!("{{\"sha512\": \"{}\", \"n\": \"{}\"}}", Sha512::of(b""), "n".repeat(300_000));
    put(&world, "a", &Entry::new(text, String::new()).unwrap()).unwrap();
    let failed = store::blobs::Error::Unavailable { doing: "reading", reason: "as the test wants".into() };
    world.blobs.fail_next(store::blobs::Call::Read, 1, failed);
    block_on(async {
        let mut list = world.cache.entries(permit("a reader"), &key("a")).await.unwrap().unwrap();
        assert_eq!(list.next().await.unwrap_err().kind(), Kind::Unavailable);
    });
    assert_eq!(world.entries("a").len(), 1);
}

/// What only others can have done is not told as ours.
#[test]
fn a_rival_who_was_faster_added_it() {
    let world = World::new(Limits::default());
    let other = world.other(Limits::default());
    world.engine.before_next_commit(async move {
        other.put_entry(permit("bob"), &key("a"), &entry(b"hello", 0)).await.unwrap();
    });
    assert_eq!(put(&world, "a", &entry(b"hello", 0)).unwrap(), Added::Same);
    assert_eq!(world.history(), ["bob: entry added"]);
}

#[test]
fn a_key_has_a_bound() {
    let world = World::new(Limits { key_entries_max: 2, ..Limits::default() });
    put(&world, "a", &entry(b"hello", 0)).unwrap();
    put(&world, "a", &entry(b"hello", 1)).unwrap();
    let error = put(&world, "a", &entry(b"hello", 2)).unwrap_err();
    assert_eq!(error.to_string(), "the key `a` has 2 entries, which is as many as a key may have");
    assert_eq!(put(&world, "a", &entry(b"hello", 1)).unwrap(), Added::Same);
    put(&world, "b", &entry(b"hello", 2)).unwrap();
}

#[test]
fn entries_count_for_the_quota() {
    let world = World::new(Limits { writer_bytes_max: Some(200), ..Limits::default() });
    put(&world, "a", &entry(b"hello", 0)).unwrap();
    let error = put(&world, "a", &entry(b"hello", 1)).unwrap_err();
    assert_eq!(error.kind(), Kind::Full, "{error}");
    assert_eq!(put(&world, "a", &entry(b"hello", 0)).unwrap(), Added::Same);
}

#[test]
fn commits_that_conflict_or_lose_their_answers_are_tried_again() {
    for (n, injury) in [
        (|world: &World| world.engine.conflict_next_commits(3)) as fn(&World),
        |world: &World| world.engine.lose_next_answers([true]),
        |world: &World| world.engine.lose_next_answers([false, true]),
    ]
    .into_iter()
    .enumerate()
    {
        let world = World::new(Limits::default());
        put(&world, "a", &entry(b"hello", 0)).unwrap();
        injury(&world);
        assert_eq!(put(&world, "a", &entry(b"hello", 1)).unwrap(), Added::New, "{n}");
        assert_eq!(world.entries("a").len(), 2, "{n}");
        assert_eq!(world.history().len(), 2, "{n}");
    }
}

/// Of many who add to one key at the same time, through two processes, each is there once.
#[test]
fn nobody_is_lost_in_a_crowd() {
    let world = World::new(Limits::default());
    let entries: Vec<Entry> = (0..100).map(|n| entry(b"hello", n / 2)).collect();
    let other = world.other(Limits::default());
    let puts = entries.iter().enumerate().map(|(n, entry)| {
        let cache = if n % 2 == 0 { &world.cache } else { &other };
        let key = key("a");
        async move { cache.put_entry(permit("alice"), &key, entry).await.unwrap() }
    });
    let added = block_on(join_all(puts));
    assert!(added.iter().filter(|added| **added == Added::New).count() >= 50);
    assert_eq!(world.entries("a").len(), 50);
}

/// However long entries are, all of them come, in their order.
#[test]
fn long_lists_come_as_a_whole() {
    let world = World::new(Limits::default());
    for n in 0..60 {
        let bytes = [10, 150_000, 300_000][n % 3];
        let text =
            format!("{{\"sha512\": \"{}\", \"n\": {n}, \"x\": \"{}\"}}", Sha512::of(b""), "x".repeat(bytes));
        let entry = entry::Entry::new(text, String::new()).unwrap();
        block_on(world.cache.put_entry(permit("alice"), &key("a"), &entry)).unwrap();
    }
    let entries = world.entries("a");
    assert_eq!(entries.len(), 60);
    for (n, (text, _)) in entries.iter().enumerate() {
        assert!(text.contains(&format!("\"n\": {n}, ")), "{n}");
    }
}
