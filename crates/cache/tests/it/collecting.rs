//! What goes, and what stays.

use base::{Sha512, Span};
use bytes::Bytes;
use cache::{Collected, How, InForce, Keep, Limits, Pinned, Removed, Retention, Rules};
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

    fn seconds_pass(&self, seconds: i64) {
        self.clock.advance(Span::seconds(seconds));
    }

    fn days_pass(&self, days: i64) {
        self.clock.advance(Span::days(days));
    }
}

/// Whoever mistypes a rule has the time of grace to see it.
#[test]
fn rules_that_are_new_wait_unless_somebody_says_that_they_are_right() {
    let world = World::new(Limits::default());
    let operator = permit("the operator");
    let in_force = |rules: &Rules| block_on(world.cache.in_force(&operator, rules)).unwrap();
    let until = |days: i64| InForce::From(world.clock.now() + Span::days(days));
    let (first, mistyped) = (rules(&["keep newest 2 for *"]), rules(&["keep newest 1 for *"]));
    assert_eq!(in_force(&rules(&[])), InForce::Now, "they remove nothing");
    assert_eq!(in_force(&first), until(1));
    for _ in 0..3 {
        world.seconds_pass(6 * 3_600);
        in_force(&first);
    }
    world.seconds_pass(6 * 3_600 - 1);
    assert!(matches!(in_force(&first), InForce::From(_)));
    world.seconds_pass(1);
    assert_eq!(in_force(&first), InForce::Now);
    // Others wait anew, and what was followed before is followed at once.
    assert_eq!(in_force(&mistyped), until(1));
    assert_eq!(in_force(&first), InForce::Now);
    world.seconds_pass(6 * 3_600);
    assert_eq!(in_force(&mistyped), until(1));
    block_on(world.cache.put_in_force(&operator, &mistyped)).unwrap();
    assert_eq!(in_force(&mistyped), InForce::Now);
    assert_eq!(in_force(&Rules { unnamed: "nothing".parse().unwrap(), ..mistyped }), until(1));

    // While they wait, nothing goes by them.
    for n in 0..3 {
        world.keep("alice", b"named", None).unwrap();
        world.add("a", b"named", n);
    }
    assert_eq!(world.collect(&first, true).entries, 1);
    assert_eq!(world.collect(&first.waiting(), false), Collected::default());
}

/// A clock that is wrong by years for an hour makes no rule apply, nor anything look old; and one that was set back makes
/// none wait for years. A house that was stopped for long is sure after some hours.
#[test]
fn a_clock_that_jumps_brings_no_rule_into_force() {
    let world = World::new(Limits::default());
    let operator = permit("the operator");
    let rules = Rules { grace: Span::days(7), ..rules(&["keep newest 1 for *"]) };
    let in_force = || block_on(world.cache.in_force(&operator, &rules)).unwrap();
    let hour = 3_600;
    let unsure = || InForce::AfterJump(world.clock.now() + Span::seconds(6 * hour));
    assert_eq!(in_force(), InForce::From(world.clock.now() + Span::days(7)));
    for _ in 0..4 {
        world.seconds_pass(6 * hour);
        in_force();
    }
    let right = world.clock.now() + Span::days(6);
    world.days_pass(5 * 365);
    assert_eq!(in_force(), unsure());
    world.seconds_pass(hour);
    assert!(matches!(in_force(), InForce::AfterJump(_)));
    world.days_pass(-5 * 365);
    assert_eq!(in_force(), unsure());
    world.seconds_pass(6 * hour);
    // The hour with the wrong clock counts: that one went by.
    assert_eq!(in_force(), InForce::From(right));
    // Off for a month, and that is no time in which anybody saw what would go.
    world.days_pass(30);
    assert_eq!(in_force(), unsure());
    for _ in 0..22 {
        world.seconds_pass(6 * hour);
        assert_ne!(in_force(), InForce::Now);
    }
    world.seconds_pass(6 * hour);
    assert_eq!(in_force(), InForce::Now);
    // Nor is what is followed already, at once.
    world.days_pass(1000);
    assert_eq!(in_force(), unsure());
    world.seconds_pass(6 * hour);
    assert_eq!(in_force(), InForce::Now);
}

/// A weekend with the house off, or a clock that is wrong by less than two days, is no time of grace either: also where that
/// is a day, as it is where nothing is said.
#[test]
fn a_weekend_brings_no_rule_into_force() {
    let world = World::new(Limits::default());
    let operator = permit("the operator");
    let rules = rules(&["keep newest 1 for *"]);
    let in_force = || block_on(world.cache.in_force(&operator, &rules)).unwrap();
    let until = world.clock.now() + Span::days(1);
    assert_eq!(in_force(), InForce::From(until));
    for hours in [36, 48, 9] {
        world.seconds_pass(hours * 3_600);
        assert_eq!(in_force(), InForce::AfterJump(world.clock.now() + Span::seconds(6 * 3_600)), "{hours}");
    }
    for _ in 0..3 {
        world.seconds_pass(6 * 3_600);
        assert_eq!(in_force(), InForce::From(until + Span::seconds((36 + 48 + 9) * 3_600)));
    }
    world.seconds_pass(6 * 3_600);
    assert_eq!(in_force(), InForce::Now);
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
    // One that names the digest of withdrawals, and withdraws nothing, is none.
    let withdrawal = Sha512::of(entry::attestation::WITHDRAWAL.as_bytes());
    put("a", format!("{{\"sha512\": \"{withdrawal}\"}}"));
    let withdraws = format!("{{\"sha512\": \"{digest}\", \"os\": \"debian\", \"x\": \"{long}\"}}");
    let revokes = format!(", \"revokes\": [\"{}\"]", Sha512::of(withdraws.as_bytes()));
    put("a", signed(1, &revokes));
    let rules = rules(&[r#"keep all for * where os=="debian""#, "keep nothing for *"]);
    assert_eq!(world.collect(&rules, false).entries, 2);
    let left = world.entries("a");
    assert!(
        left.len() == 2 && left[0].0.contains("debian") && left[1].0.contains("revokes"),
        "{}",
        left.len()
    );
    // With what it withdraws it goes too.
    let rules = self::rules(&["keep nothing for *"]);
    assert_eq!((world.collect(&rules, false).entries, world.collect(&rules, false).entries), (1, 1));
}

/// An entry of a signer, the how manieth of theirs it is, with more of what they say.
fn signed(sequence: u64, more: &str) -> String {
    let (digest, signer, signature) = (Sha512::of(b""), "0".repeat(64), format!("{}==", "A".repeat(86)));
    format!(
        "{{\"sha512\": \"{digest}\", \"provost\": {{\"v\": 1, \"key\": \"a\", \"size\": 0, \"created\": 1, \
         \"signer\": \"{signer}\", \"sequence\": {sequence}{more}, \"sig\": \"{signature}\"}}}}"
    )
}

/// Readers who have seen the last one believe no other of the signer when it is not shown.
#[test]
fn what_a_signer_said_last_goes_last() {
    let world = World::new(Limits::default());
    let put = |sequence| {
        let entry = entry::Entry::new(signed(sequence, ""), String::new()).unwrap();
        block_on(world.cache.put_entry(permit("alice"), &key("a"), &entry)).unwrap();
    };
    // The last one came first.
    [30, 1, 2].into_iter().for_each(put);
    assert_eq!(world.collect(&rules(&["keep newest 1 for *"]), false).entries, 1);
    let left = world.entries("a");
    assert!(left[0].0.contains("\"sequence\": 30,") && left[1].0.contains("\"sequence\": 2,"), "{left:?}");
    (3..40).for_each(put);
    let stops = std::sync::atomic::AtomicUsize::new(0);
    // Some commits, and then the house stops.
    let stop = || stops.fetch_add(1, std::sync::atomic::Ordering::SeqCst) >= 3;
    let rules = rules(&["keep nothing for *"]);
    let some = block_on(world.cache.collect(&permit("the operator"), &rules, How::default(), &stop)).unwrap();
    assert!(some.is_partial && some.entries > 0);
    assert!(world.entries("a").iter().any(|(text, _)| text.contains("\"sequence\": 39,")));
    world.collect(&rules, false);
    assert!(world.entries("a").is_empty());
}

/// Reading counts to the hour, in this process and in others.
#[test]
fn twelve_hours_of_use_are_twelve() {
    let world = World::new(Limits::default());
    world.keep("alice", b"read", None).unwrap();
    world.keep("alice", b"forgotten", None).unwrap();
    world.add("a", b"read", 1);
    world.add("a", b"forgotten", 2);
    let (rules, other) = (rules(&["keep used 12h for *"]), world.other(Limits::default()));
    for _ in 0..14 * 12 {
        world.clock.advance(Span::seconds(300));
        assert!(block_on(other.open(permit("a reader"), Sha512::of(b"read"))).unwrap().is_some());
        block_on(other.write_uses()).unwrap();
    }
    assert_eq!(world.collect(&rules, false).entries, 1);
    assert!(world.entries("a")[0].0.contains(&Sha512::of(b"read").to_string()));
    world.clock.advance(Span::seconds(11 * 3_600));
    assert_eq!(
        block_on(other.collect(&permit("the operator"), &rules, How::default(), &|| false)).unwrap().entries,
        0
    );
    world.clock.advance(Span::seconds(2 * 3_600));
    assert_eq!(world.collect(&rules, false).entries, 1);
}

/// What is shown of a use is never in the future.
#[test]
fn nothing_was_used_in_the_future() {
    let world = World::new(Limits::default());
    world.keep("alice", b"read", None).unwrap();
    world.days_pass(1);
    assert!(world.is_there(b"read"));
    block_on(world.cache.write_uses()).unwrap();
    let found =
        block_on(world.other(Limits::default()).find_artifact(&permit("a reader"), Sha512::of(b"read")));
    assert_eq!(found.unwrap().unwrap().0.used_at, world.clock.now());
}

/// What is sent again is as young as what comes for the first time.
#[test]
fn an_artifact_that_is_sent_again_is_young() {
    let world = World::new(Limits::default());
    world.keep("alice", b"bytes", None).unwrap();
    world.days_pass(31);
    assert!(!world.keep("alice", b"bytes", None).unwrap().is_new);
    let rules = Rules { unnamed: "younger 30d".parse().unwrap(), ..rules(&[]) };
    world.days_pass(20);
    let other = world.other(Limits::default());
    let waiting = block_on(other.collect(&permit("the operator"), &rules, How::default(), &|| false));
    assert_eq!(waiting.unwrap().waiting, 0);
    world.days_pass(20);
    assert_eq!(world.collect(&rules, false).waiting, 1);
}

/// A page of pins is never longer than a page of the store.
#[test]
fn all_pins_are_listed() {
    let world = World::new(Limits::default());
    for n in 0..1001 {
        let what = Pinned::Key(key(&format!("k{n}")));
        block_on(world.cache.pin(permit("the operator"), &what, "")).unwrap();
    }
    let first = block_on(world.cache.pins(permit("a reader"), None, 1000)).unwrap();
    assert_eq!(first.items.len(), 1000);
    let second = block_on(world.cache.pins(permit("a reader"), first.next.as_ref(), 1000)).unwrap();
    assert_eq!((second.items.len(), second.next), (1, None));
    // Pinned again, it gets another note.
    let what = Pinned::Key(key("k0"));
    block_on(world.cache.pin(permit("another"), &what, "a release")).unwrap();
    let found = block_on(world.cache.pins(permit("a reader"), None, 1)).unwrap().items.remove(0);
    assert_eq!((found.what, found.note.as_str(), found.by.as_str()), (what, "a release", "another"));
}

/// What was kept for an entry that was refused then goes after the time of grace, and not when somebody names it by then.
#[test]
fn what_was_refused_leaves_nothing() {
    let world = World::new(Limits::default());
    let long = |n: u32| {
        let (digest, long) = (Sha512::of(b""), "x".repeat(300 * 1024));
        entry::Entry::new(
            format!("{{\"sha512\": \"{digest}\", \"n\": {n}, \"x\": \"{long}\"}}"),
            String::new(),
        )
        .unwrap()
    };
    for n in [1, 2] {
        world.engine.fail_next_commits(1, store::Error::Closed);
        assert!(block_on(world.cache.put_entry(permit("alice"), &key("a"), &long(n))).is_err());
    }
    block_on(world.cache.put_entry(permit("alice"), &key("a"), &long(2))).unwrap();
    let blobs = || block_on(world.blobs.list(None, 10)).unwrap().len();
    let only_rules = || {
        block_on(world.cache.collect(&permit("the operator"), &rules(&[]), How::default(), &|| false))
            .unwrap()
    };
    only_rules();
    assert_eq!(blobs(), 2);
    world.days_pass(2);
    only_rules();
    assert_eq!((blobs(), world.entries("a").len()), (1, 1));
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

/// Small ones are held for a moment when somebody has read them. What this process removes is gone all the same, and what
/// another one does soon after.
#[test]
fn what_is_removed_is_not_held() {
    for (by_another, after, expected) in [(false, 0, false), (true, 0, true), (true, 2, false)] {
        let world = World::new(Limits::default());
        world.keep("alice", b"one", None).unwrap();
        world.add("a", b"one", 1);
        let rules = Rules { grace: Span::seconds(1), ..rules(&["keep nothing for a"]) };
        assert_eq!(world.collect(&rules, false).entries, 1);
        // In the second in which it came: another process may know of a later reader for an hour on, whom rounds wait for.
        assert!(world.is_there(b"one"));
        world.seconds_pass(1);
        let cache = if by_another { world.other(Limits::default()) } else { world.cache.clone() };
        let how = How { is_dry: false, strays: true };
        let gone = block_on(cache.collect(&permit("the operator"), &rules, how, &|| false)).unwrap();
        assert_eq!(gone.artifacts, 1, "{gone:?}");
        world.seconds_pass(after);
        assert_eq!(world.is_there(b"one"), expected, "{after} seconds later, by another: {by_another}");
    }
}
