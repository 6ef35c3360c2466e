//! How many requests are taken, approved at once, and kept.

use base::Span;
use ca::SubmitError;
use futures_executor::block_on;
use x509::KeySpec;

use crate::world::{Asker, World, permit, services, users};

#[test]
fn no_more_are_taken_than_may_be_pending() {
    let mut profile = services();
    profile.admission.pending_max = 2;
    let world = World::new(profile);
    let first = Asker::new("first");
    let id = world.submit(&first).unwrap();
    world.submit(&Asker::new("second")).unwrap();
    let third = Asker::new("third");
    assert!(matches!(world.submit(&third), Err(SubmitError::TooManyPending { pending_max: 2 })));
    assert_eq!(world.submit(&first).unwrap(), id, "what is known is known, full or not");
    block_on(world.authority.reject(permit(), id)).unwrap();
    assert!(world.submit(&third).is_ok());
}

/// The limit is looked at before automatic approval is.
#[test]
fn a_full_desk_approves_nothing_either() {
    let mut profile = services();
    profile.admission.pending_max = 1;
    let mut world = World::new(profile);
    world.submit(&Asker::new("waits")).unwrap();
    world.restart(|profile| profile.admission.automatic_max = 100);
    assert!(matches!(world.submit(&Asker::new("next")), Err(SubmitError::TooManyPending { .. })));
}

#[test]
fn raising_the_count_approves_only_what_comes_beyond_what_came() {
    let mut world = World::automatic(1);
    let automatic =
        |world: &World, name: &str| world.certificate(world.submit(&Asker::new(name)).unwrap()).is_some();
    assert!(automatic(&world, "first"));
    assert!(!automatic(&world, "second"));
    world.restart(|profile| profile.admission.automatic_max = 3);
    assert!(automatic(&world, "third"));
    assert!(!automatic(&world, "fourth"));
}

/// Each process remembers the count as it left it, but the store has the last word.
#[test]
fn two_processes_count_together() {
    let mut world = World::automatic(2);
    let mut other = world.beside();
    let mut submit = |name: &str| {
        let id = world.submit(&Asker::new(name)).unwrap();
        std::mem::swap(&mut world.authority, &mut other);
        world.certificate(id).is_some()
    };
    assert_eq!(["first", "second", "third", "fourth"].map(&mut submit), [true, true, false, false]);
    assert_eq!(world.pending().len(), 2);
}

#[test]
fn a_locked_count_stays_whatever_is_said_later() {
    let mut world = World::new(services());
    world.restart(|profile| {
        profile.admission.automatic_max = 1;
        profile.admission.lock_automatic_max = true;
    });
    assert_eq!(world.authority.automatic_max(), 1);
    world.restart(|profile| profile.admission.automatic_max = 50);
    assert_eq!(world.authority.automatic_max(), 1);
    world.restart(|profile| profile.admission.lock_automatic_max = false);
    assert_eq!(world.authority.automatic_max(), 1);
}

/// A day after it was signed, or 72 minutes after it was first fetched, a service's request may be dropped;
/// it is when a new one comes.
#[test]
fn services_requests_are_dropped_soon() {
    let world = World::automatic(100);
    let (fetched, unfetched) = (Asker::new("fetched"), Asker::new("unfetched"));
    let (fetched_id, unfetched_id) = (world.submit(&fetched).unwrap(), world.submit(&unfetched).unwrap());
    assert!(world.certificate(fetched_id).is_some());

    world.clock.advance(Span::seconds(4_321));
    assert!(world.certificate(fetched_id).is_some(), "nobody needed the room yet");
    world.submit(&Asker::new("next")).unwrap();
    assert!(world.certificate(fetched_id).is_none());
    assert!(block_on(world.authority.request(fetched_id)).is_err());
    assert_ne!(world.submit(&fetched).unwrap(), fetched_id, "the same bytes are a new request now");

    world.clock.advance(Span::seconds(86_400 - 4_321));
    world.submit(&Asker::new("a day")).unwrap();
    assert!(block_on(world.authority.request(unfetched_id)).is_ok(), "the day is not over");
    world.clock.advance(Span::seconds(1));
    world.submit(&Asker::new("a day and a second")).unwrap();
    assert!(block_on(world.authority.request(unfetched_id)).is_err());
}

/// What is due is dropped after a restart too, when nobody remembers it.
#[test]
fn what_is_due_is_found_again_after_a_restart() {
    let mut world = World::automatic(100);
    let id = world.submit(&Asker::new("first")).unwrap();
    world.restart(|_| {});
    world.clock.advance(Span::days(2));
    world.submit(&Asker::new("second")).unwrap();
    assert!(world.certificate(id).is_none());
    assert_eq!(world.count("certificate/"), 2, "the certificates themselves stay on record");
}

/// Nobody waits until all that was ever issued is read: a little of it with each new request.
#[test]
fn what_is_due_is_found_bit_by_bit() {
    for shared in [false, true] {
        let mut profile = services();
        profile.admission.automatic_max = 1_000;
        let mut world = if shared { World::shared(profile) } else { World::new(profile) };
        for number in 0..250 {
            world.submit(&Asker::new(&format!("early {number}"))).unwrap();
        }
        world.restart(|_| {});
        world.clock.advance(Span::days(2));
        let late = |number: usize| world.submit(&Asker::new(&format!("late {number}"))).unwrap();
        let due: Vec<usize> = (1..=12)
            .map(|number| {
                late(number);
                world.count("issued/") - number
            })
            .collect();
        assert_eq!(due[..2], [250 - 24, 250 - 48], "as many at a time as one commit holds");
        assert_eq!(due.last(), Some(&0));
    }
}

/// Users' requests are kept for a whole life, fetched or not: backups name them. And longer when that is over only as far
/// as the clock says.
#[test]
fn users_requests_are_kept_for_a_life() {
    let mut profile = users();
    profile.admission.automatic_max = 1;
    let world = World::new(profile);
    let user = Asker::with("user", KeySpec::Rsa { bits: 2048 }, &[]);
    let id = world.submit(&user).unwrap();
    assert!(world.certificate(id).is_some());
    world.clock.advance(Span::days(92));
    world.submit(&Asker::with("second", KeySpec::Rsa { bits: 2048 }, &[])).unwrap();
    assert!(world.certificate(id).is_some());
    world.clock.advance(Span::days(2));
    world.submit(&Asker::with("third", KeySpec::Rsa { bits: 2048 }, &[])).unwrap();
    assert!(world.certificate(id).is_some(), "the clock may be wrong");
    world.settle();
    world.submit(&Asker::with("fourth", KeySpec::Rsa { bits: 2048 }, &[])).unwrap();
    assert!(world.certificate(id).is_none());
}

#[test]
fn records_of_certificates_go_once_nobody_can_ask() {
    let world = World::automatic(1);
    world.submit(&Asker::new("service")).unwrap();
    let drop_ended = || block_on(world.authority.drop_ended_certificates(None)).unwrap();
    world.clock.advance(Span::days(93 + 30));
    assert!(drop_ended().is_none());
    assert_eq!(world.count("certificate/"), 1, "the last list that names it may still be valid");
    world.clock.advance(Span::days(1));
    drop_ended();
    assert_eq!(world.count("certificate/"), 1, "the clock may be wrong");
    world.settle();
    drop_ended();
    assert_eq!(world.count("certificate/"), 0);
}
