//! Whether what is kept is still what was kept.

use base::{Sha512, Span};
use cache::{Limits, Pace, Scrubbed};
use futures_executor::block_on;
use futures_util::future::{BoxFuture, ready};
use store::blobs::{Call, Error};

use crate::ground::{World, permit};

/// Goes on for so many pieces.
struct Pieces(usize);

impl Pace for Pieces {
    fn after(&mut self, _bytes: u64) -> BoxFuture<'_, bool> {
        let goes_on = self.0 > 0;
        self.0 = self.0.saturating_sub(1);
        Box::pin(ready(goes_on))
    }
}

impl World {
    fn scrub(&self, bytes_max: u64, pieces: usize) -> Scrubbed {
        block_on(self.cache.scrub(&permit("the house"), bytes_max, &mut Pieces(pieces))).unwrap()
    }
}

#[test]
fn what_rotted_is_put_aside_and_can_be_sent_again() {
    let world = World::new(Limits::default());
    for bytes in [b"one", b"two", b"six"] {
        world.keep("alice", bytes, None).unwrap();
    }
    assert!(world.blobs.rot(Sha512::of(b"two")));
    assert!(world.is_there(b"two"), "nobody knows yet");
    let scrubbed = world.scrub(1000, 1000);
    assert_eq!((scrubbed.bytes, scrubbed.damaged), (9, 1));
    assert!(world.is_there(b"one") && !world.is_there(b"two"));
    assert_eq!(world.blobs.aside(), [Sha512::of(b"two")]);
    assert!(world.history().contains(&"the house: artifact damaged".to_owned()));
    world.keep("bob", b"two", None).unwrap();
    assert!(world.is_there(b"two"));
}

#[test]
fn a_round_goes_on_where_it_stopped() {
    let world = World::new(Limits::default());
    for bytes in [b"one", b"two", b"six"] {
        world.keep("alice", bytes, None).unwrap();
    }
    // One a step, and in the middle of the second the house stops.
    assert_eq!(world.scrub(1, 1000).bytes, 3);
    assert_eq!(world.scrub(1, 0).bytes, 3);
    let other = world.other(Limits::default());
    let scrubbed = block_on(other.scrub(&permit("the house"), 1, &mut Pieces(1000))).unwrap();
    assert_eq!((scrubbed.bytes, scrubbed.is_whole), (6, false));
    assert_eq!(world.scrub(1, 1000).bytes, 9);
    world.clock.advance(Span::seconds(5));
    let whole = world.scrub(1, 1000);
    assert!(whole.is_whole);
    assert_eq!(whole.ended, Some(world.clock.now()));
    assert_eq!(block_on(world.cache.scrubbed(&permit("the house"))).unwrap(), whole);
    let next = world.scrub(1, 1000);
    assert_eq!((next.bytes, next.since, next.ended), (3, Some(world.clock.now()), whole.ended));
}

/// A bad sector: it is stepped over, and put aside when it is as bad in the next round.
#[test]
fn what_cannot_be_read_stops_nothing() {
    let world = World::new(Limits::default());
    for bytes in [b"one", b"two", b"six"] {
        world.keep("alice", bytes, None).unwrap();
    }
    let bad = || {
        let reason = "Input/output error".to_owned();
        world.blobs.fail_next(Call::Read, 1, Error::Engine { doing: "reading", reason });
    };
    let round = || {
        bad();
        let scrubbed = world.scrub(1000, 1000);
        assert!(world.scrub(1000, 1000).is_whole);
        scrubbed
    };
    assert_eq!((round().damaged, world.blobs.aside().len()), (1, 0));
    let again = round();
    assert_eq!((again.damaged, again.bytes), (1, 9));
    let aside = world.blobs.aside();
    assert_eq!(aside.len(), 1);
    for bytes in [b"one", b"two", b"six"] {
        let is_aside = aside.contains(&Sha512::of(bytes));
        assert_ne!(world.is_there(bytes), is_aside);
        world.keep("bob", bytes, None).unwrap();
        assert!(world.is_there(bytes));
    }
    // Well again in between, it is another time.
    assert_eq!(round().damaged, 1);
    assert!(world.scrub(1000, 1000).damaged == 0 && world.scrub(1000, 1000).is_whole);
    round();
    assert_eq!(world.blobs.aside().len(), 1);
}

/// What was put aside is not seen again: so it is told in whatever round comes to its end next, also when somebody asked for
/// another one, others were faster, or what came behind it could not be looked at.
#[test]
fn what_was_put_aside_is_told() {
    let ask = |world: &World| block_on(world.cache.ask_for_scrub(&permit("an operator"))).unwrap();
    let told = |world: &World| {
        let mut whole = world.scrub(1000, 1000);
        while !whole.is_whole {
            whole = world.scrub(1000, 1000);
        }
        (whole.damaged, whole.aside)
    };
    let mut all = [Sha512::of(b"one"), Sha512::of(b"two"), Sha512::of(b"six")];
    all.sort_by_key(Sha512::to_string);
    let rotten = || {
        let world = World::new(Limits::default());
        for bytes in [b"one", b"two", b"six"] {
            world.keep("alice", bytes, None).unwrap();
        }
        assert!(world.blobs.rot(all[0]));
        world
    };
    let expected = (1, vec![all[0]]);

    let world = rotten();
    assert_eq!(world.scrub(1, 1000).damaged, 1);
    let asked = ask(&world);
    assert_eq!((asked.damaged, &asked.aside), (1, &expected.1));
    assert!(world.history().contains(&"an operator: scrub asked for".to_owned()));
    assert!(!world.scrub(1, 0).is_whole, "it stops within the first");
    assert_eq!(told(&world), expected);
    assert_eq!(told(&world), (0, vec![]), "once");

    let world = rotten();
    let other = world.other(Limits::default());
    world.engine.before_next_commit(async move {
        other.ask_for_scrub(&permit("an operator")).await.unwrap();
    });
    assert_eq!(world.scrub(1, 1000).damaged, 1);
    assert_eq!(told(&world), expected);

    let world = rotten();
    world.blobs.rot(all[1]);
    let blobs = world.blobs.clone();
    world.engine.before_next_commit(async move { blobs.fail_next(Call::Read, 1, Error::Closed) });
    let mut pace = Pieces(1000);
    block_on(world.cache.scrub(&permit("the house"), 1000, &mut pace)).unwrap_err();
    assert_eq!(told(&world), (2, all[..2].to_vec()));
}

/// Whoever asks for a round has one from the beginning, whatever was read of another one; who asks meanwhile has the same.
/// Who was reading finds out at the end of its piece of work, and undoes nothing.
#[test]
fn a_round_that_is_asked_for_begins_at_once() {
    let world = World::new(Limits::default());
    for bytes in [b"one", b"two", b"six"] {
        world.keep("alice", bytes, None).unwrap();
    }
    let ask = || block_on(world.cache.ask_for_scrub(&permit("an operator"))).unwrap();
    assert_eq!(world.scrub(1, 1000).bytes, 3);
    assert!(!world.cache.is_scrub_asked_for());
    let asked = world.other(Limits::default());
    world.engine.before_next_commit(async move {
        asked.ask_for_scrub(&permit("an operator")).await.unwrap();
    });
    let overtaken = world.scrub(1, 1000);
    assert_eq!((overtaken.bytes, overtaken.is_asked_for, overtaken.is_whole), (0, true, false));
    assert!(world.cache.is_scrub_asked_for(), "it is heard of");
    assert!(world.blobs.rot(Sha512::of(b"two")));
    assert_eq!(world.scrub(1, 1000).bytes, 3);
    world.clock.advance(Span::seconds(5));
    let joined = ask();
    assert_eq!((joined.bytes, joined.is_asked_for), (3, true), "it goes on");
    assert!(world.scrub(1, 1000).percent < 100);
    let behind_all = world.scrub(1, 1000);
    assert_eq!((behind_all.bytes, behind_all.damaged, behind_all.is_asked_for), (9, 1, true));
    let whole = world.scrub(1, 1000);
    assert_eq!((whole.is_whole, whole.is_asked_for, whole.percent), (true, false, 100));
    assert_eq!((whole.ended, whole.aside), (Some(world.clock.now()), vec![Sha512::of(b"two")]));
    assert!(!world.cache.is_scrub_asked_for());
    // The next one by itself is none that was asked for.
    let next = world.scrub(1, 1000);
    assert_eq!((next.is_asked_for, next.damaged, next.aside), (false, 0, vec![]));
}
