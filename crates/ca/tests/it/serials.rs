//! Serials are on record before anything is signed under them, whatever happens then.

use std::collections::BTreeSet;

use base::Span;
use ca::RequestId;
use futures_executor::block_on;
use store::Error;

use crate::world::{Asker, World, services};

/// The store dies after serials were reserved and before the certificate is stored.
fn crash_after_reserving(world: &World) {
    world.store.before_next_commit(async {});
    let store = world.store.clone();
    world.store.before_next_commit(async move { store.fail_next_commits(usize::MAX, Error::Closed) });
}

/// The next start, which gives the serials it voided.
fn start_again(world: &mut World) -> BTreeSet<String> {
    world.store.fail_next_commits(0, Error::Closed);
    world.restart(|_| {});
    let voided = block_on(world.authority.void_reserved(Span::ZERO)).unwrap();
    assert_eq!(world.count("reserved/"), 0);
    let void = void(world);
    assert_eq!(void.len(), voided);
    void
}

/// The serials that the history says are void.
fn void(world: &World) -> BTreeSet<String> {
    let events = world.events("reserved serials voided");
    events.iter().flat_map(|event| event.facts["serials"].split(' ').map(str::to_owned)).collect()
}

fn serial(world: &World, id: RequestId) -> String {
    world.certificate(id).unwrap().serial().to_string()
}

#[test]
fn a_crash_before_an_automatic_one_is_stored_leaves_void_serials_only() {
    let mut world = World::automatic(1);
    let asker = Asker::new("service");
    crash_after_reserving(&world);
    assert!(world.submit(&asker).is_err());
    assert_eq!((world.count("reserved/"), world.count("request/"), world.count("certificate/")), (1, 0, 0));
    let void = start_again(&mut world);
    assert!(!void.is_empty());
    let id = world.submit(&asker).unwrap();
    assert!(!void.contains(&serial(&world, id)), "who asks again gets one under another serial");
}

#[test]
fn a_crash_in_an_approval_leaves_the_request_pending() {
    let mut world = World::automatic(0);
    let id = world.submit(&Asker::new("service")).unwrap();
    crash_after_reserving(&world);
    assert!(world.approve(id).is_err());
    let void = start_again(&mut world);
    assert_eq!(world.pending(), [id]);
    assert!(world.approve(id).is_ok());
    assert!(!void.contains(&serial(&world, id)));
}

#[test]
fn a_crash_in_a_renewal_leaves_nothing() {
    let mut world = World::automatic(1);
    let asker = Asker::new("service");
    let old = world.certificate(world.submit(&asker).unwrap()).unwrap();
    world.restart(|_| {});
    let next = Asker::new("next");
    let renew =
        |world: &World| block_on(world.authority.renew(asker.prove(&old), next.csr.clone(), &next.text));
    // The revocation lists are made first, so that reserving is what comes next.
    block_on(world.authority.published()).unwrap();
    crash_after_reserving(&world);
    assert!(renew(&world).is_err());
    let void = start_again(&mut world);
    assert!(!void.contains(&old.serial().to_string()), "a serial in use is not void");
    assert_eq!(world.count("request/"), 1);
    assert!(renew(&world).is_ok(), "who asks again gets it");
}

/// Another process takes this one for dead. Nobody notices, but for what is void.
#[test]
fn who_was_taken_for_dead_signs_under_other_serials() {
    let mut profile = services();
    profile.admission.automatic_max = 2;
    let world = World::new(profile);
    let other = world.beside();
    let first = Asker::new("first");
    let first_id = world.submit(&first).unwrap();
    let take_for_dead = || {
        assert_eq!(block_on(other.void_reserved(Span::seconds(60))).unwrap(), 0, "it is young");
        world.clock.advance(Span::seconds(61));
        assert!(block_on(world.authority.void_reserved(Span::seconds(60))).unwrap() == 0, "it is its own");
        assert!(block_on(other.void_reserved(Span::seconds(60))).unwrap() > 0);
    };
    take_for_dead();
    let second_id = world.submit(&Asker::new("second")).unwrap();
    take_for_dead();
    let third_id = world.submit(&Asker::new("third")).unwrap();
    world.approve(third_id).unwrap();
    take_for_dead();
    let old = world.certificate(first_id).unwrap();
    let next = Asker::new("next");
    let renewed = block_on(world.authority.renew(first.prove(&old), next.csr.clone(), &next.text)).unwrap();

    let void = void(&world);
    for id in [first_id, second_id, third_id] {
        assert!(!void.contains(&serial(&world, id)));
    }
    assert!(!void.contains(&renewed.serial().to_string()));
    assert_eq!(world.count("certificate/"), 4);
}

/// Those that are used up go, and nothing is signed for who only asks again or asks for nonsense.
#[test]
fn reservations_end() {
    let world = World::automatic(200);
    let same = Asker::new("same");
    world.submit(&same).unwrap();
    let nobody = Asker::new("");
    for number in 0..150 {
        world.submit(&Asker::new(&format!("service {number}"))).unwrap();
        world.submit(&same).unwrap();
        assert!(world.submit(&nobody).is_err());
        assert!(world.count("reserved/") <= 2, "{number}");
    }
    assert_eq!(world.count("certificate/"), 151);
    assert_eq!(void(&world).len(), 0);
}

/// What was signed for one who has to wait after all is thrown away, and said to be void.
#[test]
fn what_was_signed_for_nothing_is_void() {
    let mut profile = services();
    profile.admission.automatic_max = 2;
    profile.admission.pending_max = 100;
    let world = World::new(profile);
    let other = world.beside();
    world.submit(&Asker::new("first")).unwrap();
    let second = Asker::new("second");
    block_on(other.submit(&second.csr, &second.text)).unwrap();
    let held = world.submit(&Asker::new("third")).unwrap();
    assert_eq!(world.pending(), [held]);
    // Until the reservation is used up.
    for number in 0..64 {
        let id = world.submit(&Asker::new(&format!("service {number}"))).unwrap();
        world.approve(id).unwrap();
    }
    assert_eq!(void(&world).len(), 1);
}
