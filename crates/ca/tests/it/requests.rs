//! What becomes of requests.

use base::Span;
use ca::{ApproveError, RejectError, RenewError, SubmitError, VerifyHolderError};
use futures_executor::block_on;
use futures_util::future::join_all;
use x509::{KeySpec, KeyUsage, Name, SigningRequest, VerifyError, extension, oid};

use crate::world::{Asker, World, permit, services, users};

const AUTOMATIC: &str = "1.3.6.1.4.1.37476.9000.70.0.0";

/// Whether the certificate says that nobody looked at its request.
fn says_automatic(certificate: &x509::Certificate) -> bool {
    certificate.extension(&oid::CERTIFICATE_POLICIES).is_some_and(|policies| {
        let policies = extension::parse_certificate_policies(&policies.value).unwrap();
        policies.iter().any(|policy| policy.oid.to_string() == AUTOMATIC)
    })
}

#[test]
fn a_request_waits_until_somebody_approves_it() {
    let world = World::new(services());
    let asker = Asker::new("service");
    let id = world.submit(&asker).unwrap();
    assert_eq!(world.pending(), [id]);
    assert!(world.certificate(id).is_none());
    assert_eq!(block_on(world.authority.request(id)).unwrap(), asker.text);

    let certificate = world.approve(id).unwrap();
    assert_eq!(world.pending(), []);
    assert_eq!(world.certificate(id).unwrap().fingerprint(), certificate.fingerprint());
    assert_eq!(certificate.public_key(), asker.key.public());
    assert_eq!(certificate.not_after(), world.now() - Span::seconds(10) + Span::days(93));
    assert!(!says_automatic(&certificate));
    assert!(matches!(world.approve(id), Err(ApproveError::NotPending { .. })), "once is enough");
}

#[test]
fn a_rejected_request_is_forgotten() {
    let world = World::new(services());
    let asker = Asker::new("service");
    let id = world.submit(&asker).unwrap();
    block_on(world.authority.reject(permit(), id)).unwrap();
    assert!(block_on(world.authority.request(id)).is_err());
    assert!(matches!(block_on(world.authority.reject(permit(), id)), Err(RejectError::NotPending { .. })));
    let again = world.submit(&asker).unwrap();
    assert_ne!(again, id, "it is a new request");
    assert_eq!(world.pending(), [again]);
}

#[test]
fn the_same_bytes_are_the_same_request() {
    let world = World::automatic(1);
    let asker = Asker::new("service");
    let id = world.submit(&asker).unwrap();
    assert_eq!(world.submit(&asker).unwrap(), id);
    assert!(says_automatic(&world.certificate(id).unwrap()));
    // It counted once: the next one is beyond the automatic count.
    let next = world.submit(&Asker::new("next")).unwrap();
    assert_eq!(world.pending(), [next]);
    assert_eq!(world.submit(&Asker { text: asker.text.clone(), ..asker }).unwrap(), id);
}

/// What is wrong with a template is not said of the request.
#[test]
fn a_bad_template_is_told_from_the_request() {
    let world = World::new(services());
    let id = world.submit(&Asker::new("web")).unwrap();
    let name = b"\x30\x05\x82\x03a b";
    let names = x509::Extension { oid: x509::oid::SUBJECT_ALT_NAME, critical: false, value: name.to_vec() };
    let template = Asker::with("other", KeySpec::P256, &[names]);
    let error = block_on(world.authority.approve(permit(), id, Some(&template.csr))).unwrap_err();
    assert!(matches!(&error, ApproveError::Template(_)), "{error:?}");
    assert!(base::report(&error).starts_with("the template cannot be certified: "), "{error}");
    world.approve(id).unwrap();
}

/// A template says what the certificate says; the key is the requester's.
#[test]
fn a_template_replaces_all_but_the_key() {
    let world = World::new(services());
    let asker =
        Asker::with("modest", KeySpec::P256, &[extension::key_usage(KeyUsage::DIGITAL_SIGNATURE, true)]);
    let names = extension::subject_alt_name_dns("service.example", false).unwrap();
    let template = Asker::with("grand", KeySpec::P384, std::slice::from_ref(&names));
    let id = world.submit(&asker).unwrap();
    let certificate = block_on(world.authority.approve(permit(), id, Some(&template.csr))).unwrap();
    assert_eq!(certificate.public_key(), asker.key.public());
    assert_eq!(certificate.subject(), template.csr.subject());
    assert!(certificate.extensions().contains(&names));
    assert!(certificate.extension(&oid::KEY_USAGE).is_none());
}

#[test]
fn many_at_once_are_all_decided_and_counted() {
    let world = World::automatic(30);
    let askers: Vec<Asker> = (0..60).map(|number| Asker::new(&format!("service {number}"))).collect();
    let submitted = join_all(askers.iter().map(|asker| world.authority.submit(&asker.csr, &asker.text)));
    let ids: std::collections::HashSet<_> = block_on(submitted).into_iter().map(Result::unwrap).collect();
    assert_eq!(ids.len(), 60);
    let issued = ids.iter().filter(|id| world.certificate(**id).is_some()).count();
    assert_eq!((issued, world.pending().len()), (30, 30));
}

#[test]
fn rivals_who_are_faster_change_nothing_for_those_who_ask() {
    let world = World::automatic(1);
    world.store.conflict_next_commits(3);
    let id = world.submit(&Asker::new("first")).unwrap();
    assert!(world.certificate(id).is_some());
    let id = world.submit(&Asker::new("second")).unwrap();
    world.store.conflict_next_commits(1);
    block_on(world.authority.reject(permit(), id)).unwrap();
    assert_eq!(world.pending(), []);
}

#[test]
fn a_failing_store_takes_nothing() {
    let world = World::automatic(2);
    let asker = Asker::new("service");
    // Neither when it fails before anything was signed, nor after.
    for requests in [0, 1] {
        world.store.fail_next_commits(1, store::Error::Full);
        assert!(matches!(world.submit(&asker), Err(SubmitError::Issue(_))));
        assert_eq!((world.count("request/"), world.count("digest/")), (requests, requests));
        world.submit(&Asker::new("other")).unwrap();
    }
    assert!(world.submit(&asker).is_ok());
}

/// Whatever keeps the authority from taking what is new, and however long ago it took the request.
#[test]
fn who_asks_again_is_answered_on_a_full_disk() {
    let mut world = World::automatic(10);
    let (asker, other) = (Asker::new("service"), Asker::new("other"));
    let id = world.submit(&asker).unwrap();
    // Neither when no serials can be reserved, nor when what was signed for nothing cannot be stored.
    for has_serials in [false, true] {
        world.restart(|_| {});
        if has_serials {
            world.submit(&Asker::new("the one that has serials reserved")).unwrap();
        }
        world.store.fail_next_commits(usize::MAX, store::Error::Full);
        assert!(matches!(world.submit(&other), Err(SubmitError::Issue(_))));
        assert_eq!(world.submit(&asker).unwrap(), id, "{has_serials}");
        world.store.fail_next_commits(0, store::Error::Full);
    }
}

/// Text beside the request counts as it is stored, where some characters take six bytes; and nobody else
/// suffers from it.
#[test]
fn a_request_that_is_too_long_is_refused_alone() {
    let world = World::automatic(10);
    let mut long = Asker::new("long");
    long.text = format!("{}\n{}", "\u{1}".repeat(100_000), long.text);
    let (long_csr, long_text) = (long.csr.clone(), long.text.clone());
    let askers: Vec<Asker> =
        (0..8).map(|number| Asker::new(&format!("service {number}"))).chain([long]).collect();
    let submitted = join_all(askers.iter().map(|asker| world.authority.submit(&asker.csr, &asker.text)));
    let mut answers = block_on(submitted);
    assert!(matches!(answers.pop().unwrap(), Err(SubmitError::TooLong)));
    assert!(answers.iter().all(Result::is_ok));
    // In a renewal as well.
    let holder = &askers[0];
    let old = world.certificate(answers.swap_remove(0).unwrap()).unwrap();
    let renewed = block_on(world.authority.renew(holder.prove(&old), long_csr, &long_text));
    assert!(matches!(renewed, Err(RenewError::Submit(SubmitError::TooLong))));
}

/// When a whole group fails, each is tried alone.
#[test]
fn what_fails_together_is_tried_alone() {
    let world = World::automatic(10);
    world.submit(&Asker::new("the one that has serials reserved")).unwrap();
    world.store.fail_next_commits(1, store::Error::Full);
    let askers: Vec<Asker> = (0..3).map(|number| Asker::new(&format!("service {number}"))).collect();
    let submitted = join_all(askers.iter().map(|asker| world.authority.submit(&asker.csr, &asker.text)));
    let answers = block_on(submitted);
    assert!(answers.iter().filter(|answer| answer.is_err()).count() <= 1, "at most the one that was alone");
}

#[test]
fn users_have_rsa_keys_of_their_own() {
    let world = World::new(users());
    assert!(matches!(world.submit(&Asker::new("elliptic")), Err(SubmitError::NotRsa { .. })));
    let first = Asker::with("first", KeySpec::Rsa { bits: 2048 }, &[]);
    let id = world.submit(&first).unwrap();
    let name = Name::from_common_name("second name").unwrap();
    let csr = SigningRequest::build(&first.key, &name, &[]);
    let second = Asker { text: csr.to_pem(), csr, key: first.key.clone() };
    assert!(matches!(world.submit(&second), Err(SubmitError::KeyKnown)));
    // Once the request is gone, the key is free again.
    block_on(world.authority.reject(permit(), id)).unwrap();
    assert!(world.submit(&second).is_ok());
}

#[test]
fn a_renewal_keeps_everything_but_the_key() {
    let world = World::automatic(1);
    let names = extension::subject_alt_name_dns("service.example", false).unwrap();
    let asker = Asker::with("service", KeySpec::P256, std::slice::from_ref(&names));
    let old = world.certificate(world.submit(&asker).unwrap()).unwrap();
    let next = Asker::with("somebody else", KeySpec::Ed25519, &[]);
    let renewed = block_on(world.authority.renew(asker.prove(&old), next.csr.clone(), &next.text)).unwrap();
    assert_eq!(renewed.subject(), old.subject());
    assert_eq!(renewed.public_key(), next.key.public());
    assert!(renewed.extensions().contains(&names));
    assert!(says_automatic(&renewed), "the mark is carried over");
    assert_ne!(renewed.serial(), old.serial());
    block_on(world.authority.verify(&old)).unwrap();

    let again = block_on(world.authority.renew(asker.prove(&old), next.csr.clone(), &next.text));
    assert!(matches!(again, Err(RenewError::AlreadyIssued)));
    // With its own key again: services may.
    let same_key = Asker { csr: SigningRequest::build(&asker.key, &Name::empty(), &[]), ..asker };
    let text = same_key.csr.to_pem();
    assert!(block_on(world.authority.renew(same_key.prove(&old), same_key.csr.clone(), &text)).is_ok());
}

#[test]
fn what_is_not_good_is_not_renewed() {
    let world = World::automatic(3);
    let other = World::automatic(3);
    let asker = Asker::new("service");
    let foreign = other.certificate(other.submit(&asker).unwrap()).unwrap();
    let next = Asker::new("next");
    let renew =
        |certificate| block_on(world.authority.renew(asker.prove(certificate), next.csr.clone(), &next.text));
    let refused = |result, expected| match result {
        Err(RenewError::Holder(VerifyHolderError::Verify(error))) => assert_eq!(error, expected),
        other => panic!("{other:?}"),
    };
    refused(renew(&foreign).map(drop), VerifyError::UnknownIssuer);
    let ours = world.certificate(world.submit(&asker).unwrap()).unwrap();
    block_on(world.authority.revoke_own(asker.prove(&ours))).unwrap();
    refused(renew(&ours).map(drop), VerifyError::Revoked);
    let late = Asker::new("late");
    let certificate = world.certificate(world.submit(&late).unwrap()).unwrap();
    world.clock.advance(Span::days(93));
    let result = block_on(world.authority.renew(late.prove(&certificate), next.csr.clone(), &next.text));
    refused(result.map(drop), VerifyError::Expired);
    assert_eq!(world.count("request/"), 2, "nothing was stored for the refused ones");
}

/// A renewal whose request waits already takes that one out of the waiting ones.
#[test]
fn a_renewal_finds_a_pending_request_again() {
    let world = World::automatic(1);
    let asker = Asker::new("service");
    let old = world.certificate(world.submit(&asker).unwrap()).unwrap();
    let next = Asker::new("next");
    let id = world.submit(&next).unwrap();
    assert_eq!(world.pending(), [id]);
    block_on(world.authority.renew(asker.prove(&old), next.csr.clone(), &next.text)).unwrap();
    assert_eq!(world.pending(), []);
    assert_eq!(world.certificate(id).unwrap().subject(), old.subject());
}
