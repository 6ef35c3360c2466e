//! Several processes on one store, some of whose answers are lost on the way.

use base::Span;
use ca::{Authority, Profile, RejectError, VerifyHolderError};
use futures_executor::block_on;
use x509::{Certificate, KeySpec, VerifyError};

use crate::world::{Asker, World, permit, services};

fn automatic() -> Profile {
    let mut profile = services();
    profile.admission.automatic_max = 1_000;
    profile.issuer_key = KeySpec::Rsa { bits: 2048 };
    profile
}

fn list(authority: &Authority) -> Vec<u8> {
    block_on(authority.published()).unwrap().lists[0].der.clone()
}

/// What becomes of the next commits: each answer is lost, and some of them are done all the same.
const LOST: [&[bool]; 6] =
    [&[true], &[false], &[false, true], &[false, false, true], &[true, false], &[false, false, false]];

#[test]
fn a_revocation_elsewhere_is_known_here_at_once() {
    let world = World::shared(automatic());
    let other = world.beside();
    let certificate = world.certificate(world.submit(&Asker::new("service")).unwrap()).unwrap();
    assert_eq!(list(&other), list(&world.authority));
    block_on(other.verify(&certificate)).unwrap();

    block_on(world.authority.revoke(permit(), &certificate)).unwrap();
    let verified = block_on(other.verify(&certificate));
    assert!(matches!(verified, Err(VerifyHolderError::Verify(VerifyError::Revoked))));
    assert!(block_on(other.published()).unwrap().is_revoked(&certificate.serial()));
    assert_eq!(list(&other), list(&world.authority), "one number, one list");
}

#[test]
fn a_ca_certificate_made_elsewhere_is_trusted_here() {
    let world = World::shared(automatic());
    let other = world.beside();
    world.clock.advance(Span::days(187));
    let anchors = world.anchors();
    assert_eq!(anchors.len(), 2);
    assert_eq!(other.trusted().len(), 1);
    block_on(other.look_again()).unwrap();
    assert_eq!(*other.trusted(), anchors);
    assert_eq!(block_on(other.published()).unwrap().lists.len(), 2);
    assert_eq!(world.count("issuer/"), 2);
}

/// Both come to it at once: one makes it, the other finds it made.
#[test]
fn a_rollover_happens_once() {
    let world = World::shared(automatic());
    let other = std::sync::Arc::new(world.beside());
    world.clock.advance(Span::days(187));
    let rival = other.clone();
    world.store.before_next_commit(async move {
        rival.anchors().await.unwrap();
    });
    assert_eq!(world.anchors(), block_on(other.anchors()).unwrap());
    assert_eq!(world.count("issuer/"), 2);
    assert_eq!(world.events("CA certificate made").len(), 2);
}

#[test]
fn what_a_process_issued_that_is_gone_is_dropped_by_another() {
    let world = World::shared(automatic());
    let other = world.beside();
    world.submit(&Asker::new("one")).unwrap();
    let asker = Asker::new("another");
    block_on(other.submit(&asker.csr, &asker.text)).unwrap();
    drop(other);
    world.clock.advance(Span::days(3));
    world.submit(&Asker::new("late")).unwrap();
    assert_eq!(world.count("request/"), 1);
}

#[test]
fn a_submission_whose_answer_is_lost_is_taken_once() {
    for (profile, issued) in [(automatic(), 1), (services(), 0)] {
        for lost in LOST {
            let world = World::shared(profile.clone());
            // So that there are serials, whose reservation would be the first commit.
            world.submit(&Asker::new("before")).unwrap();
            world.store.lose_next_answers(lost.iter().copied());
            let asker = Asker::new("service");
            let id = world.submit(&asker).unwrap_or_else(|error| panic!("{lost:?}: {error}"));
            assert_eq!(world.submit(&asker).unwrap(), id, "{lost:?}");
            assert_eq!(world.count("request/"), 2, "{lost:?}");
            assert_eq!(world.count("issued/"), 2 * issued, "{lost:?}");
            assert_eq!(world.count("certificate/"), 2 * issued, "{lost:?}");
            assert_eq!(world.certificate(id).is_some(), issued == 1, "{lost:?}");
        }
    }
}

#[test]
fn serials_whose_reservation_is_in_doubt_are_reserved_again() {
    for lost in LOST {
        let world = World::shared(automatic());
        world.store.lose_next_answers(lost.iter().copied());
        let id = world.submit(&Asker::new("service")).unwrap();
        assert!(world.certificate(id).is_some());
        assert_eq!(world.count("certificate/"), 1);
    }
}

#[test]
fn an_approval_whose_answer_is_lost_is_done_once() {
    for lost in LOST {
        let world = World::shared(services());
        let before = world.submit(&Asker::new("before")).unwrap();
        world.approve(before).unwrap();
        let id = world.submit(&Asker::new("service")).unwrap();
        world.store.lose_next_answers(lost.iter().copied());
        let certificate = world.approve(id).unwrap_or_else(|error| panic!("{lost:?}: {error}"));
        assert_eq!(world.certificate(id).as_ref().map(Certificate::der), Some(certificate.der()), "{lost:?}");
        assert_eq!((world.count("certificate/"), world.pending()), (2, vec![]), "{lost:?}");
        assert_eq!(world.events("certificate issued").len(), 2, "{lost:?}");
        assert!(matches!(world.approve(id), Err(ca::ApproveError::NotPending { .. })));
    }
}

#[test]
fn a_rejection_whose_answer_is_lost_is_done_once() {
    for lost in LOST {
        let world = World::shared(services());
        let id = world.submit(&Asker::new("service")).unwrap();
        world.store.lose_next_answers(lost.iter().copied());
        block_on(world.authority.reject(permit(), id)).unwrap_or_else(|error| panic!("{lost:?}: {error}"));
        assert_eq!((world.count("request/"), world.pending()), (0, vec![]), "{lost:?}");
        assert_eq!(world.events("request rejected").len(), 1, "{lost:?}");
        let again = block_on(world.authority.reject(permit(), id));
        assert!(matches!(again, Err(RejectError::NotPending { .. })));
    }
}

#[test]
fn a_renewal_whose_answer_is_lost_gives_one_certificate() {
    for lost in LOST {
        let world = World::shared(automatic());
        let asker = Asker::new("service");
        let old = world.certificate(world.submit(&asker).unwrap()).unwrap();
        let next = Asker::new("service");
        world.store.lose_next_answers(lost.iter().copied());
        let renewed = block_on(world.authority.renew(asker.prove(&old), next.csr.clone(), &next.text));
        let renewed = renewed.unwrap_or_else(|error| panic!("{lost:?}: {error}"));
        assert_eq!(renewed.public_key(), next.csr.public_key());
        assert_eq!(world.count("certificate/"), 2, "{lost:?}");
        assert!(world.ids("certificate/").contains(&renewed.serial().hex()), "{lost:?}");
    }
}

#[test]
fn a_revocation_whose_answer_is_lost_is_made_once() {
    for lost in LOST {
        let world = World::shared(automatic());
        let certificate = world.certificate(world.submit(&Asker::new("service")).unwrap()).unwrap();
        let before = world.list().number();
        world.store.lose_next_answers(lost.iter().copied());
        block_on(world.authority.revoke(permit(), &certificate))
            .unwrap_or_else(|error| panic!("{lost:?}: {error}"));
        assert_eq!(world.list().number(), before + 1, "{lost:?}");
        assert_eq!(world.events("certificate revoked").len(), 1, "{lost:?}");
    }
}

/// A store that goes on losing answers is an error, and never a wrong answer.
#[test]
fn who_cannot_be_told_is_told_so() {
    let world = World::shared(services());
    let id = world.submit(&Asker::new("service")).unwrap();
    world.store.lose_next_answers([false; 20]);
    let error = world.approve(id).unwrap_err();
    assert_eq!(base::Explain::kind(&error), base::Kind::Unavailable);
    world.store.lose_next_answers([]);
    assert_eq!(world.pending(), [id]);
    world.approve(id).unwrap();
}
