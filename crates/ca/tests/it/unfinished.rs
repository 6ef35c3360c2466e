//! What a crash leaves between the intent to sign and the certificate.

use base::Span;
use ca::Mended;
use futures_executor::block_on;
use store::Error;

use crate::world::{Asker, World};

/// The store dies after the intent was stored and before the certificate is.
fn crash_after_the_intent(world: &World) {
    world.store.before_next_commit(async {});
    let store = world.store.clone();
    world.store.before_next_commit(async move { store.fail_next_commits(usize::MAX, Error::Closed) });
}

fn heal(world: &World) {
    world.store.fail_next_commits(0, Error::Closed);
}

fn mend(world: &mut World) -> Mended {
    heal(world);
    world.restart(|_| {});
    block_on(world.authority.mend_unfinished(Span::ZERO)).unwrap()
}

#[test]
fn an_automatic_one_is_issued_anew() {
    let mut world = World::automatic(1);
    let asker = Asker::new("service");
    crash_after_the_intent(&world);
    assert!(world.submit(&asker).is_err());
    assert_eq!((world.count("issuing/"), world.count("certificate/")), (1, 0));
    assert_eq!(mend(&mut world), Mended { issued: 1, ..Mended::default() });
    assert_eq!((world.count("issuing/"), world.count("certificate/")), (0, 1));
    let id = world.submit(&asker).unwrap();
    assert!(world.certificate(id).is_some(), "who asks again finds it");
}

#[test]
fn an_approved_one_is_pending_again() {
    let mut world = World::automatic(0);
    let id = world.submit(&Asker::new("service")).unwrap();
    crash_after_the_intent(&world);
    assert!(world.approve(id).is_err());
    assert_eq!(mend(&mut world), Mended { pending: 1, ..Mended::default() });
    assert_eq!(world.pending(), [id]);
    assert!(world.approve(id).is_ok());
}

#[test]
fn a_renewal_is_forgotten() {
    let mut world = World::automatic(1);
    let asker = Asker::new("service");
    let old = world.certificate(world.submit(&asker).unwrap()).unwrap();
    let next = Asker::new("next");
    let renew =
        |world: &World| block_on(world.authority.renew(asker.prove(&old), next.csr.clone(), &next.text));
    // The revocation lists are made first, so that the intent is what comes next.
    block_on(world.authority.published()).unwrap();
    crash_after_the_intent(&world);
    assert!(renew(&world).is_err());
    assert_eq!(mend(&mut world), Mended { forgotten: 1, ..Mended::default() });
    assert!(renew(&world).is_ok(), "who asks again gets it");
}

/// What somebody is in the middle of is left to them.
#[test]
fn a_young_one_is_left_alone() {
    let world = World::automatic(1);
    crash_after_the_intent(&world);
    assert!(world.submit(&Asker::new("service")).is_err());
    heal(&world);
    assert_eq!(block_on(world.authority.mend_unfinished(Span::seconds(60))).unwrap(), Mended::default());
    world.clock.advance(Span::seconds(61));
    assert_eq!(block_on(world.authority.mend_unfinished(Span::seconds(60))).unwrap().issued, 1);
}
