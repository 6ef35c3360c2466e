//! An authority whose keys somebody else may have: nothing leads from what was to what is.

use std::sync::Arc;

use base::{Explain as _, Span};
use ca::{RenewError, Resolve, RetireError};
use futures_executor::block_on;
use x509::{Certificate, KeySpec};

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

        let plan = block_on(world.authority.retire(permit(), Resolve::Look { again: false })).unwrap();
        assert_eq!((&plan.retired, &plan.next, plan.holders.len()), (&before, &None, 1));
        assert_eq!(plan.holders[0].serial, held.serial());
        assert_eq!(world.anchors(), before, "a dry run changes nothing");
        let done = block_on(world.authority.retire(permit(), Resolve::Once)).unwrap();
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
    assert!(block_on(world.authority.retire(permit(), Resolve::Once)).is_err());
    world.restart(|_| {});
    assert_eq!(world.anchors(), before);
    block_on(world.authority.certificate(id)).expect("it is as it was");

    let store = world.store.clone();
    world.store.before_next_commit(async {});
    world.store.before_next_commit(async move { store.fail_next_commits(1, store::Error::Full) });
    let error = block_on(world.authority.retire(permit(), Resolve::Once)).unwrap_err();
    assert!(matches!(error, RetireError::NotDropped(_)), "{error:?}");
    assert!(error.help().unwrap().starts_with("run it again"), "{error:?}");
    world.restart(|_| {});
    assert_ne!(world.anchors(), before, "the old one signs no more all the same");
    block_on(world.authority.certificate(id)).expect("not dropped yet");
    // It goes on where it was interrupted: nothing more is given up, and who holds what is told all the same.
    let after = world.anchors();
    let planned = block_on(world.look().retire(permit(), Resolve::Look { again: false })).unwrap();
    let done = block_on(world.authority.retire(permit(), Resolve::Once)).unwrap();
    for told in [&planned, &done] {
        assert_eq!((&told.retired, told.holders.len()), (&before, 1));
        assert_eq!(told.next.iter().collect::<Vec<_>>(), after.iter().collect::<Vec<_>>());
        assert_eq!(told.begun, Some(world.now()));
    }
    assert_eq!(world.anchors(), after);
    block_on(world.authority.certificate(id)).expect_err("dropped");
}

/// Whoever runs it twice does not lose what was issued in between.
#[test]
fn what_was_retired_is_not_retired_again_unasked() {
    let world = World::new(services());
    block_on(world.authority.retire(permit(), Resolve::Once)).unwrap();
    block_on(world.authority.end_retirement()).unwrap();
    let after = world.anchors();
    let id = world.submit(&Asker::new("new")).unwrap();
    world.approve(id).unwrap();
    let refused = block_on(world.authority.retire(permit(), Resolve::Once)).unwrap_err();
    assert!(matches!(refused, RetireError::Already { at } if at == world.now()), "{refused}");
    assert!(refused.help().unwrap().contains("--again"));
    assert_eq!(world.anchors(), after);
    let plan = block_on(world.authority.retire(permit(), Resolve::Look { again: false })).unwrap();
    assert_eq!((&plan.retired, plan.holders.len(), plan.begun), (&after, 1, None));
    block_on(world.authority.retire(permit(), Resolve::Again)).unwrap();
    assert_ne!(world.anchors(), after);
    block_on(world.authority.end_retirement()).unwrap();
    // What was made at its time since then is another one.
    world.clock.advance(Span::days(300));
    assert_ne!(world.anchors().len(), 0);
    block_on(world.authority.retire(permit(), Resolve::Once)).unwrap();
}

/// What was issued since is not dropped by whoever goes on.
#[test]
fn whoever_goes_on_drops_only_what_is_worth_nothing() {
    let world = World::new(services());
    let before = world.submit(&Asker::new("before")).unwrap();
    world.approve(before).unwrap();
    block_on(world.authority.retire(permit(), Resolve::Once)).unwrap();
    let id = world.submit(&Asker::new("new")).unwrap();
    world.approve(id).unwrap();
    block_on(world.authority.retire(permit(), Resolve::Once)).unwrap();
    block_on(world.authority.certificate(id)).expect("the new CA certificate's");
    block_on(world.authority.certificate(before)).expect_err("dropped");
}

/// Months after one that did not come to its end, somebody has the next key as well: that nothing was done about that one
/// is said, and whoever does something about it loses nothing of what is to be told of the first.
#[test]
fn what_signs_now_is_not_said_to_be_retired_by_whoever_goes_on() {
    let world = World::new(services());
    let first = world.anchors();
    block_on(world.authority.retire(permit(), Resolve::Once)).unwrap();
    let went_on = block_on(world.authority.retire(permit(), Resolve::Once)).unwrap();
    assert_eq!((went_on.next, went_on.is_next_newer), (Some(world.anchors()[0].clone()), false));
    // In time another one signs, and the one that was made then is still there.
    world.clock.advance(Span::days(200));
    world.anchors();
    world.clock.advance(Span::days(100));
    let [second, third] = world.anchors().try_into().unwrap();
    let went_on = block_on(world.authority.retire(permit(), Resolve::Once)).unwrap();
    assert_eq!((&went_on.retired, went_on.next, went_on.is_next_newer), (&first, Some(third.clone()), true));
    assert_eq!(world.anchors(), [second.clone(), third.clone()]);

    let all = [first, vec![second, third]].concat();
    let plan = block_on(world.look().retire(permit(), Resolve::Look { again: true })).unwrap();
    assert_eq!((&plan.retired, &plan.next), (&all, &None));
    let done = block_on(world.authority.retire(permit(), Resolve::Again)).unwrap();
    assert_eq!((&done.retired, done.begun), (&all, None));
    assert_eq!(Some(world.anchors()), done.next.map(|next| vec![next]));
    let went_on = block_on(world.authority.retire(permit(), Resolve::Once)).unwrap();
    assert_eq!(went_on.retired, all, "until it came to its end");
}

/// Whoever got a certificate of the old key from another process while it was given up is told of.
#[test]
fn who_got_a_certificate_meanwhile_is_told_of() {
    let mut profile = services();
    profile.admission.automatic_max = 1_000;
    let world = World::shared(profile);
    let other = Arc::new(world.beside());
    let submit = |name: &str| {
        let (asker, other) = (Asker::new(name), other.clone());
        async move { other.submit(&asker.csr, &asker.text).await.unwrap() }
    };
    // Its clock is ahead of ours.
    world.clock.advance(Span::seconds(600));
    block_on(submit("before"));
    world.clock.advance(Span::seconds(-600));
    let meanwhile = submit("meanwhile");
    world.store.before_next_commit(async {}); // The next CA certificate is made.
    world.store.before_next_commit(async move {
        meanwhile.await;
    });
    let done = block_on(world.beside().retire(permit(), Resolve::Once)).unwrap();
    world.clock.advance(Span::seconds(600));
    let mut told: Vec<_> = done.holders.into_iter().map(|holder| holder.subject).collect();
    told.sort();
    assert_eq!(told, ["CN=meanwhile"], "the other one's time is still to come");
    let after = block_on(submit("after"));
    let pem = block_on(other.certificate(after)).unwrap();
    let certificate = Certificate::from_pem(pem.as_bytes()).unwrap();
    certificate.verify_signature(done.next.unwrap().public_key()).unwrap();
}

/// Another process that has signed with the old key, and has serials for more, hands out nothing of it afterwards.
#[test]
fn others_on_the_same_store_sign_with_the_new_key() {
    let mut profile = services();
    profile.admission.automatic_max = 1_000;
    let world = World::shared(profile);
    let other = world.beside();
    let submit = |name: &str| {
        let asker = Asker::new(name);
        let id = block_on(other.submit(&asker.csr, &asker.text)).unwrap();
        let pem = block_on(other.certificate(id)).unwrap();
        Certificate::from_pem(pem.as_bytes()).unwrap()
    };
    let old = world.anchors();
    submit("before").verify_signature(old[0].public_key()).unwrap();
    // Its stock is there, and what it knows of CA certificates.
    let done = block_on(world.beside().retire(permit(), Resolve::Once)).unwrap();
    let new = done.next.unwrap();
    submit("after").verify_signature(new.public_key()).unwrap();
    assert_eq!(block_on(other.anchors()).unwrap(), [new]);
}

/// The same for one that is in the middle of signing, and for one whose serials are all used.
#[test]
fn nothing_that_is_being_signed_comes_on_record() {
    for used in [0, 63] {
        let mut profile = services();
        profile.admission.automatic_max = 1_000;
        let world = World::shared(profile);
        let other = world.beside();
        let submit = |name: &str| {
            let asker = Asker::new(name);
            block_on(other.submit(&asker.csr, &asker.text)).unwrap()
        };
        for number in 0..=used {
            submit(&format!("before {number}"));
        }
        // Signed, and about to be stored.
        let retiring = world.beside();
        world.store.before_next_commit(async move {
            retiring.retire(permit(), Resolve::Once).await.unwrap();
        });
        let id = submit("meanwhile");
        let pem = block_on(other.certificate(id)).unwrap();
        let certificate = Certificate::from_pem(pem.as_bytes()).unwrap();
        let anchors = block_on(world.beside().anchors()).unwrap();
        assert_eq!(anchors.len(), 1);
        certificate.verify_signature(anchors[0].public_key()).unwrap();
    }
}

/// Another process believes nothing of the old key either, whether or not it has heard of anything, nor what it believed a
/// moment before.
#[test]
fn others_on_the_same_store_believe_the_old_key_no_more() {
    for waits in [false, true] {
        let world = World::shared(services());
        let [one, again] = ["one", "again"].map(Asker::new);
        let held = world.approve(world.submit(&one).unwrap()).unwrap();
        let other = world.beside();
        block_on(other.verify(&held)).unwrap();
        if waits {
            world.submit(&again).unwrap();
        }
        // Believed, signed, and about to be stored.
        let retiring = world.beside();
        let renew = || block_on(other.renew(one.prove(&held), again.csr.clone(), &again.text));
        world.store.before_next_commit(async {}); // It reserves.
        world.store.before_next_commit(async move {
            retiring.retire(permit(), Resolve::Once).await.unwrap();
        });
        let renewed = renew();
        assert!(matches!(renewed, Err(RenewError::Holder(_))), "{renewed:?}");
        let renewed = renew();
        assert!(matches!(renewed, Err(RenewError::Holder(_))), "{renewed:?}");

        let third = world.beside();
        let anchors = block_on(third.anchors()).unwrap();
        block_on(world.beside().retire(permit(), Resolve::Again)).unwrap();
        assert!(block_on(third.verify(&held)).is_err());
        assert_ne!(block_on(third.anchors()).unwrap(), anchors, "whoever signs in is judged by these");
    }
}

/// Whoever looks needs no successor, though one is due.
#[test]
fn a_look_at_a_retirement_makes_nothing() {
    let mut world = World::new(services());
    let before = world.anchors();
    world.clock.advance(Span::days(200));
    let plan = block_on(world.look().retire(permit(), Resolve::Look { again: false })).unwrap();
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
        assert!(block_on(world.authority.retire(permit(), Resolve::Once)).is_err());
        world.restart(|_| {});
        let after = world.anchors();
        assert_eq!((after.len(), after != before), (1, is_done));
    }
}
