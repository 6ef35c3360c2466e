//! What goes, and what stays.

use base::{Sha512, Span};
use bytes::Bytes;
use cache::{Collected, How, Keep, Limits, Pinned, Removed, Retention, Rules};
use futures_executor::block_on;
use store::blobs::Blobs as _;

use crate::ground::{World, key, permit};

const GRACE: Span = Span::days(1);

fn rules(retention: &[&str]) -> Rules {
    let retention = Retention::parse(retention.iter().copied()).unwrap();
    Rules { retention, unnamed: "all".parse().unwrap(), grace: GRACE }
}

impl World {
    fn collect(&self, rules: &Rules, is_dry: bool) -> Collected {
        let how = How { is_dry, strays: true };
        block_on(self.cache.collect(&permit("the operator"), rules, how, &|| false)).unwrap()
    }

    fn days_pass(&self, days: i64) {
        self.clock.advance(Span::days(days));
    }
}

#[test]
fn no_rules_remove_nothing() {
    let world = World::new(Limits::default());
    world.keep("alice", b"unnamed", None).unwrap();
    world.keep("alice", b"named", None).unwrap();
    world.add("a", b"named", 1);
    world.days_pass(10_000);
    assert_eq!(world.collect(&rules(&[]), false), Collected::default());
    assert!(world.is_there(b"unnamed") && world.is_there(b"named"));
}

#[test]
fn artifacts_go_some_time_after_their_last_entry() {
    let world = World::new(Limits::default());
    for (n, bytes) in [b"old", b"new"].into_iter().enumerate() {
        world.keep("alice", bytes, None).unwrap();
        world.add("a", bytes, n);
        world.days_pass(1);
    }
    world.add("b", b"old", 3);
    world.days_pass(30);
    let rules = rules(&["keep newest 1 for a", "keep newest 1 overall for b*"]);

    let dry = world.collect(&rules, true);
    let artifact = Sha512::of(b"old");
    assert_eq!((dry.entries, dry.artifacts), (1, 0));
    assert!(
        matches!(&dry.told[..], [Removed::Entry { key, artifact: named, .. }] if key.as_str() == "a" && *named == artifact)
    );
    assert_eq!(world.entries("a").len(), 2, "a dry run does nothing");

    assert_eq!(world.collect(&rules, false), dry, "what was told is what happens");
    assert_eq!(world.entries("a").len(), 1);
    world.days_pass(10);
    assert_eq!(world.collect(&rules, false), Collected::default(), "another key names it");

    let rules = self::rules(&["keep newest 1 for a", "keep nothing for b"]);
    assert_eq!(world.collect(&rules, false).entries, 1);
    assert!(world.entries("b").is_empty());
    assert!(world.is_there(b"old"), "for a time of grace");
    let waiting = world.collect(&rules, false);
    assert_eq!((waiting.artifacts, waiting.waiting), (0, 1));
    world.days_pass(2);
    let gone = world.collect(&rules, false);
    assert_eq!((gone.artifacts, gone.bytes, gone.waiting), (1, 3, 0));
    assert!(!world.is_there(b"old") && world.is_there(b"new"));
    assert!(block_on(world.blobs.open(artifact)).unwrap().is_none());
    assert_eq!(
        world.history()[5..],
        ["the operator: entries removed", "the operator: entries removed", "the operator: artifact removed"]
    );
    // It comes as if it never had been there.
    assert!(world.keep("alice", b"old", None).unwrap().is_new);
    world.add("a", b"old", 0);
    assert!(world.is_there(b"old") && world.entries("a").len() == 2);
}

/// Who looks whether it is there, sends it again, or names it, finds it there for as long as it takes to name it.
#[test]
fn whoever_wants_an_artifact_again_gets_it() {
    for how in ["is asked for", "is sent again", "is named again"] {
        let world = World::new(Limits::default());
        world.keep("alice", b"bytes", None).unwrap();
        world.add("a", b"bytes", 1);
        let rules = rules(&["keep nothing for a"]);
        assert_eq!(world.collect(&rules, false).entries, 1);
        world.days_pass(2);
        match how {
            "is asked for" => assert!(world.is_there(b"bytes")),
            "is sent again" => assert!(!world.keep("bob", b"bytes", None).unwrap().is_new),
            _ => world.add("b", b"bytes", 2),
        }
        // What is only in the memory of one process does not count for another.
        let other = world.other(Limits::default());
        let again =
            block_on(other.collect(&permit("the operator"), &rules, How::default(), &|| false)).unwrap();
        assert_eq!(again.artifacts, 0, "{how}");
        world.days_pass(2);
        let later = world.collect(&rules, false).artifacts;
        assert_eq!(later, u64::from(how != "is named again"), "{how}");
    }
}

/// Somebody names it in the very moment in which it is removed.
#[test]
fn an_artifact_is_not_removed_under_somebodys_hands() {
    let world = World::new(Limits::default());
    world.keep("alice", b"bytes", None).unwrap();
    world.add("a", b"bytes", 1);
    let rules = rules(&["keep nothing for a"]);
    world.collect(&rules, false);
    world.days_pass(2);
    let other = world.other(Limits::default());
    let named = async move {
        let entry = crate::ground::entry(b"bytes", 2);
        other.put_entry(permit("bob"), &key("b"), &entry).await.unwrap();
    };
    world.engine.before_next_commit(named);
    assert_eq!(world.collect(&rules, false).artifacts, 0);
    world.days_pass(2);
    assert_eq!(world.collect(&rules, false).artifacts, 0);
    assert!(world.is_there(b"bytes"));
}

#[test]
fn pins_hold() {
    let world = World::new(Limits::default());
    for bytes in [b"one", b"two"] {
        world.keep("alice", bytes, None).unwrap();
    }
    world.add("kept", b"one", 1);
    world.add("let go", b"two", 1);
    let (by_key, by_name) = (Pinned::Key(key("kept")), Pinned::Artifact(Sha512::of(b"two")));
    for what in [&by_key, &by_name, &by_name] {
        block_on(world.cache.pin(permit("the operator"), what, "a release")).unwrap();
    }
    let pins = block_on(world.cache.pins(permit("a reader"), None, 10)).unwrap().items;
    assert_eq!(pins.iter().map(|pin| &pin.what).collect::<Vec<_>>(), [&by_name, &by_key]);
    assert_eq!((pins[0].by.as_str(), pins[0].note.as_str()), ("the operator", "a release"));
    let first = block_on(world.cache.pins(permit("a reader"), None, 1)).unwrap();
    assert_eq!((first.items.len(), &first.next), (1, &Some(by_name.clone())));
    let second = block_on(world.cache.pins(permit("a reader"), first.next.as_ref(), 1)).unwrap();
    assert_eq!((second.items.len(), second.next), (1, None));

    let rules = rules(&["keep nothing for *"]);
    assert_eq!(world.collect(&rules, false).entries, 1);
    world.days_pass(2);
    assert_eq!(world.collect(&rules, false).artifacts, 0);
    assert_eq!((world.entries("kept").len(), world.entries("let go").len()), (1, 0));

    for what in [&by_key, &by_name] {
        assert!(block_on(world.cache.unpin(permit("the operator"), what)).unwrap());
        assert!(!block_on(world.cache.unpin(permit("the operator"), what)).unwrap());
    }
    let gone = world.collect(&rules, false);
    assert_eq!((gone.entries, gone.artifacts), (1, 1));
}

#[test]
fn artifacts_without_entries_have_a_rule_of_their_own() {
    let world = World::new(Limits::default());
    world.keep("alice", b"read", None).unwrap();
    world.keep("alice", b"forgotten", None).unwrap();
    world.keep("alice", b"named", None).unwrap();
    world.add("a", b"named", 1);
    let unnamed = "younger 10d or used 20d".parse::<Keep>().unwrap();
    let rules = Rules { unnamed, ..rules(&[]) };
    world.days_pass(15);
    assert!(world.is_there(b"read"));
    block_on(world.cache.write_uses()).unwrap();
    world.days_pass(10);
    assert_eq!(world.collect(&rules, false).waiting, 1, "it goes after the time of grace");
    world.days_pass(2);
    let gone = world.collect(&rules, false);
    assert_eq!(gone.told, [Removed::Artifact { digest: Sha512::of(b"forgotten"), bytes: 9 }]);
    assert!(world.is_there(b"read") && world.is_there(b"named") && !world.is_there(b"forgotten"));
}

/// One that never had an entry and is to go stays for whoever sends it again, asks for it, or names it.
#[test]
fn artifacts_without_entries_are_not_removed_under_somebodys_hands() {
    let unnamed = "younger 1h".parse::<Keep>().unwrap();
    let rules = Rules { unnamed, ..rules(&[]) };
    for how in ["is sent again", "is named", "is pinned", "is left alone"] {
        let world = World::new(Limits::default());
        world.keep("alice", b"bytes", None).unwrap();
        world.days_pass(2);
        assert_eq!(world.collect(&rules, false).waiting, 1, "{how}");
        world.days_pass(2);
        let other = world.other(Limits::default());
        match how {
            "is sent again" => drop(world.keep("bob", b"bytes", None).unwrap()),
            "is named" => world.add("a", b"bytes", 1),
            "is pinned" => {
                let what = Pinned::Artifact(Sha512::of(b"bytes"));
                block_on(other.pin(permit("the operator"), &what, "")).unwrap();
            }
            _ => {}
        }
        let gone = block_on(other.collect(&permit("the operator"), &rules, How::default(), &|| false));
        assert_eq!(gone.unwrap().artifacts, u64::from(how == "is left alone"), "{how}");
    }
}

/// What says again what was said is as young as what says it first.
#[test]
fn an_entry_that_is_said_again_is_young() {
    let world = World::new(Limits::default());
    world.add("a", b"bytes", 1);
    world.days_pass(31);
    world.add("a", b"bytes", 1);
    assert_eq!(world.collect(&rules(&["keep younger 30d for *"]), false).entries, 0);
    world.days_pass(31);
    assert_eq!(world.collect(&rules(&["keep younger 30d for *"]), false).entries, 1);
}

/// Long entries are looked into, and withdrawals stay.
#[test]
fn rules_look_into_long_entries_and_leave_withdrawals() {
    let world = World::new(Limits::default());
    let put = |key: &str, text: String| {
        let entry = entry::Entry::new(text, String::new()).unwrap();
        block_on(world.cache.put_entry(permit("alice"), &crate::ground::key(key), &entry)).unwrap();
    };
    let (digest, long) = (Sha512::of(b""), "x".repeat(300 * 1024));
    put("a", format!("{{\"sha512\": \"{digest}\", \"os\": \"debian\", \"x\": \"{long}\"}}"));
    put("a", format!("{{\"sha512\": \"{digest}\", \"os\": \"fedora\", \"x\": \"{long}\"}}"));
    let withdrawal = Sha512::of(entry::attestation::WITHDRAWAL.as_bytes());
    put("a", format!("{{\"sha512\": \"{withdrawal}\"}}"));
    let rules = rules(&[r#"keep all for * where os=="debian""#, "keep nothing for *"]);
    assert_eq!(world.collect(&rules, false).entries, 1);
    let left = world.entries("a");
    assert!(left.len() == 2 && left[0].0.contains("debian"), "{}", left.len());
}

/// What somebody read in another process counts once that has written it down.
#[test]
fn reading_is_using() {
    let world = World::new(Limits::default());
    for bytes in [b"one", b"two"] {
        world.keep("alice", bytes, None).unwrap();
        world.add("a", bytes, bytes.len());
    }
    world.days_pass(50);
    let other = world.other(Limits::default());
    block_on(other.open(permit("a reader"), Sha512::of(b"one"))).unwrap().unwrap();
    block_on(other.write_uses()).unwrap();
    world.days_pass(1);
    let gone = world.collect(&rules(&["keep used 7d for *"]), false);
    assert_eq!(gone.entries, 1);
    assert!(world.entries("a")[0].0.contains(&Sha512::of(b"one").to_string()));
}

#[test]
fn what_a_crash_left_goes_too() {
    let world = World::new(Limits::default());
    let stray = |bytes: &'static [u8]| {
        block_on(async {
            let mut staged = world.blobs.stage().await.unwrap();
            staged.write(Bytes::from_static(bytes)).await.unwrap();
            staged.keep(None).await.unwrap();
        });
    };
    stray(b"old stray");
    let long = "x".repeat(300 * 1024);
    let text = format!("{{\"sha512\": \"{}\", \"x\": \"{long}\"}}", Sha512::of(b""));
    let long = entry::Entry::new(text, String::new()).unwrap();
    block_on(world.cache.put_entry(permit("alice"), &key("long"), &long)).unwrap();
    world.days_pass(2);
    stray(b"a new one");
    assert!(!world.is_there(b"old stray"), "nobody wrote it down");
    let gone = world.collect(&rules(&[]), false);
    assert_eq!((gone.strays, gone.bytes), (1, 9));
    assert_eq!(world.entries("long").len(), 1, "entries may lie in blobs");
    let left = block_on(world.blobs.list(None, 10)).unwrap();
    assert_eq!(left.len(), 2);

    let rules = rules(&["keep nothing for long"]);
    let gone = world.collect(&rules, false);
    assert_eq!((gone.entries, gone.strays), (1, 0), "its blob goes with it");
    world.days_pass(2);
    assert_eq!(world.collect(&rules, false).strays, 1, "the new one is old by now");
    assert!(block_on(world.blobs.list(None, 10)).unwrap().is_empty());
}

#[test]
fn what_went_counts_no_more() {
    let world = World::new(Limits { writer_bytes_max: Some(400), ..Limits::default() });
    let bytes = [b'a'; 200];
    world.keep("alice", &bytes, None).unwrap();
    world.add("a", &bytes, 1);
    assert!(world.keep("alice", &[b'b'; 200], None).is_err());
    let rules = rules(&["keep nothing for a"]);
    world.collect(&rules, false);
    world.days_pass(2);
    world.collect(&rules, false);
    world.keep("alice", &[b'b'; 400], None).unwrap();
}

#[test]
fn many_entries_go_in_several_commits() {
    let world = World::new(Limits::default());
    (0..100).for_each(|n| world.add("a", b"same", n));
    assert_eq!(world.collect(&rules(&["keep newest 3 for *"]), false).entries, 97);
    assert_eq!(world.entries("a").len(), 3);
    let stopped = block_on(world.cache.collect(
        &permit("the operator"),
        &rules(&["keep nothing for *"]),
        How::default(),
        &|| true,
    ));
    assert!(stopped.unwrap().is_partial);
    assert_eq!(world.entries("a").len(), 3);
}
