//! Listing, and looking for something.

use base::Sha512;
use cache::{AfterEntry, EntryKey, Limits, Pattern};
use entry::Filter;
use futures_executor::block_on;

use crate::ground::{World, permit};

impl World {
    /// All keys that `pattern` fits, in pages of `limit`.
    fn keys(&self, pattern: &str, limit: usize) -> Vec<String> {
        let (mut keys, mut after) = (Vec::new(), None::<EntryKey>);
        loop {
            let (permit, pattern) = (permit("a"), Pattern::new(pattern));
            let found = block_on(self.cache.find_keys(&permit, &pattern, after.as_ref(), limit)).unwrap();
            keys.extend(found.items.iter().map(|found| format!("{} {}", found.key, found.entries)));
            match found.next {
                Some(next) => after = Some(next),
                None => return keys,
            }
        }
    }

    /// All entries that `pattern` and `criteria` fit, in pages of `limit`: the key and the place.
    fn search(&self, pattern: &str, criteria: &[&str], limit: usize) -> Vec<String> {
        let filter = Filter::parse(criteria.iter().copied()).unwrap();
        let (mut entries, mut after) = (Vec::new(), None::<AfterEntry>);
        loop {
            let (permit, pattern) = (permit("a"), Pattern::new(pattern));
            let found = self.cache.find_entries(&permit, &pattern, &filter, after.as_ref(), limit);
            let found = block_on(found).unwrap();
            entries.extend(found.items.iter().map(|found| format!("{} {}", found.key, found.place)));
            match found.next {
                Some(next) => after = Some(next),
                None => return entries,
            }
        }
    }
}

#[test]
fn pages_of_any_size_tell_the_same() {
    let world = World::new(Limits::default());
    for (key, count) in [("pypi:a=1", 2), ("pypi:b=1", 1), ("pypi", 1), ("other", 3), ("é", 1)] {
        (0..count).for_each(|n| world.add(key, b"", n));
    }
    for (pattern, expected) in [
        ("*", &["other 3", "pypi 1", "pypi:a=1 2", "pypi:b=1 1", "é 1"][..]),
        ("pypi*", &["pypi 1", "pypi:a=1 2", "pypi:b=1 1"]),
        ("pypi:?=1", &["pypi:a=1 2", "pypi:b=1 1"]),
        ("pypi", &["pypi 1"]),
        ("*=1", &["pypi:a=1 2", "pypi:b=1 1"]),
        ("none*", &[]),
        ("zz", &[]),
    ] {
        for limit in [1, 2, 1000] {
            assert_eq!(world.keys(pattern, limit), expected, "{pattern} {limit}");
        }
    }
    for (pattern, criteria, expected) in [
        ("*", &[r#"n>=1"#][..], &["other 1", "other 2", "pypi:a=1 1"][..]),
        ("pypi:*", &[], &["pypi:a=1 0", "pypi:a=1 1", "pypi:b=1 0"]),
        ("*", &[r#"n==2"#, r#"e=="é""#], &["other 2"]),
        ("*", &[r#"missing==2"#], &[]),
    ] {
        for limit in [1, 2, 1000] {
            assert_eq!(world.search(pattern, criteria, limit), expected, "{pattern} {criteria:?} {limit}");
        }
    }
}

#[test]
fn artifacts_are_told_with_who_names_them() {
    let world = World::new(Limits::default());
    for bytes in [b"one", b"two"] {
        world.keep("alice", bytes, None).unwrap();
    }
    for (key, n) in [("b", 1), ("a", 1), ("a", 2)] {
        world.add(key, b"one", n);
    }
    let first = block_on(world.cache.find_artifacts(&permit("a"), None, 1)).unwrap();
    let second = block_on(world.cache.find_artifacts(&permit("a"), first.next, 1)).unwrap();
    let mut digests = [Sha512::of(b"one"), Sha512::of(b"two")];
    digests.sort_unstable();
    assert_eq!([first.items[0].digest, second.items[0].digest], digests);
    assert_eq!(second.next, None);
    assert_eq!((first.items[0].bytes, first.items[0].by.as_str()), (3, "alice"));

    let (found, is_pinned, keys) =
        block_on(world.cache.find_artifact(&permit("a"), Sha512::of(b"one"))).unwrap().unwrap();
    assert_eq!((found.digest, is_pinned), (Sha512::of(b"one"), false));
    assert_eq!(keys, ["a", "b"]);
    let absent = Sha512::of(b"absent");
    assert!(block_on(world.cache.find_artifact(&permit("a"), absent)).unwrap().is_none());
    let missing = block_on(world.cache.missing(&permit("a"), &[digests[0], absent, digests[1]]));
    assert_eq!(missing.unwrap(), [absent]);
}
