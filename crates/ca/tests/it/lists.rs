//! Revocations and the lists that tell of them.

use base::Span;
use ca::{RevokeError, VerifyHolderError};
use futures_executor::block_on;
use x509::{Serial, VerifyError};

use crate::world::{Asker, World, permit, services};

#[test]
fn a_revocation_counts_up_and_leaves_the_date() {
    let world = World::automatic(10);
    let asker = Asker::new("service");
    let certificate = world.certificate(world.submit(&asker).unwrap()).unwrap();
    let before = world.list();
    assert_eq!((before.number(), before.entries().len()), (1, 0));
    assert_eq!(before.this_update() + Span::seconds(10), world.now());
    assert_eq!(before.next_update() - before.this_update(), Span::days(93).fraction(33, 100));

    world.clock.advance(Span::seconds(5));
    block_on(world.authority.revoke(permit(), &certificate)).unwrap();
    let after = world.list();
    assert_eq!(after.number(), 2);
    assert_eq!((after.this_update(), after.next_update()), (before.this_update(), before.next_update()));
    assert!(after.contains(&certificate.serial()));
    assert_eq!(after.entries()[0].at, world.now());
    assert!(matches!(
        block_on(world.authority.verify(&certificate)),
        Err(VerifyHolderError::Verify(VerifyError::Revoked))
    ));
}

#[test]
fn lists_are_made_again_after_half_their_life() {
    let world = World::new(services());
    let first = world.list();
    world.clock.advance(Span::days(15));
    assert_eq!(world.list().der(), first.der());
    world.clock.advance(Span::days(1));
    let second = world.list();
    assert_eq!(second.number(), 2);
    assert_eq!(second.this_update() + Span::seconds(10), world.now());
}

/// A clock that ran ahead for a while leaves no lists behind that are not valid yet.
#[test]
fn lists_are_dated_anew_when_the_clock_was_put_right() {
    let mut world = World::new(services());
    world.clock.advance(Span::days(100));
    assert_eq!(world.list().this_update() + Span::seconds(10), world.now());
    let ahead = world.list().number();
    world.clock.advance(Span::days(-100));
    assert_eq!(world.list().this_update() + Span::seconds(10), world.now());
    world.restart(|_| {});
    assert_eq!((world.list().number(), world.list().this_update() <= world.now()), (ahead + 1, true));
}

/// A restart gives the very same lists. (With RSA: other signatures differ each time by design.)
#[test]
fn a_restart_reproduces_the_same_bytes() {
    let mut profile = services();
    profile.issuer_key = x509::KeySpec::Rsa { bits: 2048 };
    let mut world = World::new(profile);
    block_on(world.authority.revoke_serial(permit(), &Serial::from_decimal("12345").unwrap())).unwrap();
    let before = world.list();
    world.clock.advance(Span::days(2));
    world.restart(|_| {});
    assert_eq!(world.list().der(), before.der());
}

/// One list for each CA certificate; all carry all revocations, the same number and dates.
#[test]
fn every_ca_certificate_has_a_list_with_every_revocation() {
    let world = World::automatic(10);
    let early = world.certificate(world.submit(&Asker::new("early")).unwrap()).unwrap();
    world.clock.advance(Span::days(50));
    block_on(world.authority.revoke(permit(), &early)).unwrap();
    world.clock.advance(Span::days(30));
    block_on(world.authority.revoke_serial(permit(), &Serial::from_decimal("7").unwrap())).unwrap();
    world.clock.advance(Span::days(108));
    let published = block_on(world.authority.published()).unwrap();
    let anchors = world.anchors();
    assert_eq!((published.lists.len(), anchors.len()), (2, 2));
    let lists: Vec<_> = published.lists.iter().map(|list| x509::Crl::from_der(&list.der).unwrap()).collect();
    for (list, anchor) in lists.iter().zip(&anchors) {
        list.verify_signature(anchor.public_key()).unwrap();
        assert_eq!(list.issuer(), anchor.subject());
        assert_eq!(list.authority_key_id().map(<[u8]>::to_vec), anchor.authority_key_id());
        assert_eq!(list.number(), lists[0].number());
        assert_eq!(list.this_update(), lists[0].this_update());
        assert!(list.contains(&Serial::from_decimal("7").unwrap()));
    }
    assert!(!lists[0].contains(&early.serial()), "it ended more than a list's life ago");
    assert_eq!(world.count("revoked/"), 2, "the clock may be wrong");
    world.settle();
    world.list();
    assert_eq!(world.count("revoked/"), 1);
}

/// Neither with a list of its own nor with those of its successors.
#[test]
fn an_authority_cannot_be_revoked() {
    let world = World::new(services());
    world.clock.advance(Span::days(190));
    let anchors = world.anchors();
    assert_eq!(anchors.len(), 2);
    for anchor in anchors {
        let by_certificate = block_on(world.authority.revoke(permit(), &anchor));
        assert!(matches!(by_certificate, Err(RevokeError::OfAuthority)));
        let by_serial = block_on(world.authority.revoke_serial(permit(), &anchor.serial()));
        assert!(matches!(by_serial, Err(RevokeError::OfAuthority)));
    }
    assert_eq!(world.list().entries(), []);
}

#[test]
fn a_serial_is_revoked_once() {
    let world = World::automatic(10);
    let asker = Asker::new("service");
    let certificate = world.certificate(world.submit(&asker).unwrap()).unwrap();
    let by_serial = || block_on(world.authority.revoke_serial(permit(), &certificate.serial()));
    by_serial().unwrap();
    assert!(matches!(by_serial(), Err(RevokeError::AlreadyRevoked)));
    let own = block_on(world.authority.revoke_own(asker.prove(&certificate)));
    assert!(matches!(own, Err(RevokeError::Holder(VerifyHolderError::Verify(VerifyError::Revoked)))));
    assert_eq!(world.list().number(), 2);
}

#[test]
fn revocations_at_once_are_all_counted() {
    let world = World::new(services());
    assert_eq!(world.list().number(), 1);
    let serials: Vec<Serial> = (1..=20).map(|n: u32| Serial::from_decimal(&n.to_string()).unwrap()).collect();
    let revoked = serials.iter().map(|serial| world.authority.revoke_serial(permit(), serial));
    block_on(futures_util::future::join_all(revoked)).into_iter().for_each(|result| result.unwrap());
    let list = world.list();
    assert_eq!((list.number(), list.entries().len()), (21, 20));
}

/// A list that was being made while something was revoked is not kept.
#[test]
fn a_revocation_is_listed_as_soon_as_it_is_told() {
    let world = World::new(services());
    for number in 1..=50_u32 {
        let serial = Serial::from_decimal(&number.to_string()).unwrap();
        let (published, revoked) = block_on(async {
            futures_util::join!(world.authority.published(), world.authority.revoke_serial(permit(), &serial))
        });
        published.unwrap();
        revoked.unwrap();
        assert!(world.list().contains(&serial), "{number}");
    }
}

/// RFC 5280 §5.2.3: two lists that differ have different numbers. Each revocation counts up by one, so that
/// whoever asks in the middle of many sees as many entries as the number says.
#[test]
fn a_list_has_the_entries_of_its_number_while_others_revoke() {
    const REVOCATIONS: u64 = 400;
    let world = World::new(services());
    let before = world.list().number();
    std::thread::scope(|scope| {
        let revoking = scope.spawn(|| {
            for number in 1..=REVOCATIONS {
                let serial = Serial::from_decimal(&number.to_string()).unwrap();
                block_on(world.authority.revoke_serial(permit(), &serial)).unwrap();
            }
        });
        while !revoking.is_finished() {
            let list = world.list();
            assert_eq!(list.entries().len() as u64, list.number() - before);
        }
    });
    assert_eq!(world.list().number(), before + REVOCATIONS);
}
