//! An authority whose keys somebody else may have: nothing leads from what was to what is.

use base::{Explain as _, Span};
use ca::{RenewError, RetireError};
use futures_executor::block_on;
use x509::KeySpec;

use crate::world::{Asker, World, permit, services, users};

#[test]
fn nothing_leads_from_a_retired_ca_certificate_to_the_next() {
    for (profile, spec) in [(services(), KeySpec::P256), (users(), KeySpec::Rsa { bits: 2048 })] {
        let mut world = World::new(profile);
        let [one, gone, waits] = ["one", "gone", "waits"].map(|name| Asker::with(name, spec, &[]));
        let [first, second, third] = [&one, &gone, &waits].map(|asker| world.submit(asker).unwrap());
        let held = world.approve(first).unwrap();
        let revoked = world.approve(second).unwrap();
        block_on(world.authority.revoke(permit(), &revoked)).unwrap();
        // In the middle of a rollover: there are two.
        world.clock.advance(Span::days(3));
        block_on(world.authority.rotate(permit(), false)).unwrap();
        let before = world.anchors();
        let number = world.list().number();
        assert_eq!(before.len(), 2);

        let plan = block_on(world.authority.retire(permit(), true)).unwrap();
        assert_eq!((&plan.retired, &plan.next, plan.holders.len()), (&before, &None, 1));
        assert_eq!(plan.holders[0].serial, held.serial());
        assert_eq!(world.anchors(), before, "a dry run changes nothing");
        let done = block_on(world.authority.retire(permit(), false)).unwrap();
        assert_eq!((&done.retired, &done.holders), (&plan.retired, &plan.holders));
        let next = done.next.unwrap();

        // The same after a restart.
        for _ in 0..2 {
            assert_eq!(world.anchors(), std::slice::from_ref(&next));
            assert!(block_on(world.authority.handovers()).unwrap().is_empty(), "nobody vouches for it");
            assert!(block_on(world.authority.verify(&held)).is_err());
            assert!(world.list().number() >= number);
            world.restart(|_| {});
        }
        let again = Asker::with("again", spec, &[]);
        let renewed = block_on(world.authority.renew(one.prove(&held), again.csr.clone(), &again.text));
        assert!(matches!(renewed, Err(RenewError::Holder(_))), "{renewed:?}");
        // What waits goes on waiting; what was decided has to be decided again, also for the same request.
        assert_eq!(world.pending(), [third]);
        let anew = world.submit(&one).unwrap();
        assert_ne!(anew, first);
        let certificate = world.approve(anew).unwrap();
        x509::verify(&certificate, &[next], world.now()).unwrap();
        assert_eq!(world.events("CA certificate retired").len(), 2);
        assert_eq!(world.events("CA certificate made").len(), 3);
    }
}

/// Nothing that is issued is dropped before there is another CA certificate, and what could not be dropped is said.
#[test]
fn requests_are_dropped_after_the_next_ca_certificate_is_made() {
    let mut world = World::new(services());
    let id = world.submit(&Asker::new("one")).unwrap();
    world.approve(id).unwrap();
    let before = world.anchors();
    world.store.fail_next_commits(1, store::Error::Full);
    assert!(block_on(world.authority.retire(permit(), false)).is_err());
    world.restart(|_| {});
    assert_eq!(world.anchors(), before);
    block_on(world.authority.certificate(id)).expect("it is as it was");

    let store = world.store.clone();
    world.store.before_next_commit(async {});
    world.store.before_next_commit(async move { store.fail_next_commits(1, store::Error::Full) });
    let error = block_on(world.authority.retire(permit(), false)).unwrap_err();
    assert!(matches!(error, RetireError::NotDropped(_)), "{error:?}");
    assert!(error.help().unwrap().starts_with("run it again"), "{error:?}");
    world.restart(|_| {});
    assert_ne!(world.anchors(), before, "the old one signs no more all the same");
    block_on(world.authority.certificate(id)).expect("not dropped yet");
    block_on(world.authority.retire(permit(), false)).unwrap();
    block_on(world.authority.certificate(id)).expect_err("dropped");
}

/// Whoever looks needs no successor, though one is due.
#[test]
fn a_look_at_a_retirement_makes_nothing() {
    let mut world = World::new(services());
    let before = world.anchors();
    world.clock.advance(Span::days(200));
    let plan = block_on(world.look().retire(permit(), true)).unwrap();
    assert_eq!((&plan.retired, &plan.next), (&before, &None));
    assert_eq!(world.count("issuer/"), 1);
    world.restart(|_| {});
    assert_eq!(world.count("issuer/"), 2, "it was due");
}

/// Whatever is lost on the way, there is an authority, and of the old keys either all are there or none.
#[test]
fn a_retirement_whose_answer_was_lost_is_whole_or_was_not() {
    for is_done in [false, true] {
        let mut world = World::new(services());
        let before = world.anchors();
        world.store.lose_next_answers([is_done]);
        assert!(block_on(world.authority.retire(permit(), false)).is_err());
        world.restart(|_| {});
        let after = world.anchors();
        assert_eq!((after.len(), after != before), (1, is_done));
    }
}
