//! From one CA certificate to the next, over years.

use std::collections::{BTreeSet, HashSet};

use base::Span;
use ca::{Statement, signed_text};
use futures_executor::block_on;
use x509::{Certificate, KeySpec};

use crate::world::{Asker, World, permit, services};

/// Somebody who holds a certificate and renews it on time, and who began by trusting one CA certificate.
struct Holder {
    asker: Asker,
    certificate: Certificate,
    trusted: Vec<Certificate>,
}

impl Holder {
    /// Gets a first certificate. Trusts the CA certificate that newcomers are given, and no other.
    fn new(world: &World, number: usize) -> Self {
        let asker = Asker::new(&format!("holder {number}"));
        let id = world.submit(&asker).unwrap();
        let certificate = world.approve(id).unwrap();
        Self { asker, certificate, trusted: vec![block_on(world.authority.oldest_anchor()).unwrap()] }
    }

    /// Learns CA certificates as stock clients do: from the newest one trusted, along the chain, each
    /// vouched for by the one before. Forgets expired ones.
    fn learn(&mut self, world: &World) {
        for handover in block_on(world.authority.handovers()).unwrap() {
            let Statement { text, digest, signature } =
                block_on(handover.say(|old, new| format!("{}{}", old.to_pem(), new.to_pem()))).unwrap();
            let knows = |certificate: &Certificate| {
                self.trusted.iter().any(|trusted| trusted.fingerprint() == certificate.fingerprint())
            };
            if knows(handover.older()) && !knows(handover.newer()) {
                let key = handover.older().public_key();
                key.verify_statement(digest, &signed_text(&text, digest), &signature).unwrap();
                self.trusted.push(handover.newer().clone());
            }
        }
        self.trusted.retain(|anchor| anchor.not_after() >= world.now());
    }

    /// Renews with a new key when two thirds of the certificate's life are gone.
    fn renew_if_due(&mut self, world: &World, number: usize) -> bool {
        let life = self.certificate.not_after() - self.certificate.not_before();
        if world.now() < self.certificate.not_before() + life.fraction(2, 3) {
            return false;
        }
        self.learn(world);
        let next = Asker::new(&format!("holder {number}"));
        let proof = self.asker.prove(&self.certificate);
        self.certificate = block_on(world.authority.renew(proof, next.csr.clone(), &next.text)).unwrap();
        self.asker = next;
        true
    }
}

/// A holder that renews on time never meets a live certificate it cannot verify, through four years of
/// rollover: trusting one live CA certificate always suffices.
#[test]
fn rollover_strands_no_holder() {
    let (renewals, anchors) = play(4 * 365, None);
    assert!(renewals > 50 * 20, "{renewals} renewals");
    assert!(anchors >= 8, "{anchors} CA certificates");
}

/// The same when somebody begins a rollover again and again, as soon as that may be done.
#[test]
fn rollovers_that_begin_early_strand_no_holder() {
    let (_, anchors) = play(500, Some(10));
    assert!(anchors >= 5, "{anchors} CA certificates, of which two would do");
}

/// Lives through `days` with up to 50 holders, and begins a rollover every so many days. How often they renewed, and how
/// many CA certificates there were.
fn play(days: i64, rotated_every: Option<i64>) -> (usize, usize) {
    let world = World::new(services());
    let mut holders: Vec<Holder> = Vec::new();
    let (mut renewals, mut anchors_seen) = (0, HashSet::new());
    for day in 0..days {
        world.clock.advance(Span::days(1));
        if rotated_every.is_some_and(|every| day % every == 1) {
            match block_on(world.authority.rotate(permit(), false)) {
                Ok(_) | Err(ca::RotateError::UnderWay { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
        // One comes every other day, so that they renew on all days alike.
        if day % 2 == 0 && holders.len() < 50 {
            let mut holder = Holder::new(&world, holders.len());
            if rotated_every.is_some() {
                // As stock clients do when they first come: one may come while another certificate waits to sign.
                holder.learn(&world);
            }
            holders.push(holder);
        }
        for (number, holder) in holders.iter_mut().enumerate() {
            renewals += usize::from(holder.renew_if_due(&world, number));
        }
        for certificate in world.anchors() {
            anchors_seen.insert(certificate.fingerprint());
        }
        // Cryptography was checked when it was issued; here only whether each holder's issuer is trusted by all.
        let issuers: BTreeSet<_> =
            holders.iter().map(|holder| holder.certificate.authority_key_id()).collect();
        for verifier in &holders {
            let trusted: BTreeSet<_> = verifier
                .trusted
                .iter()
                .map(|anchor| anchor.subject_key_id().map(|id| id.as_bytes().to_vec()))
                .collect();
            assert!(issuers.is_subset(&trusted), "day {day}: a holder cannot verify another");
        }
    }
    for verifier in &holders {
        for holder in &holders {
            x509::verify(&holder.certificate, &verifier.trusted, world.now()).unwrap();
        }
    }
    (renewals, anchors_seen.len())
}

/// The contract's timeline for the default life: CA1 signs until day 279, CA2 is there from day 186.
#[test]
fn the_default_timeline() {
    let world = World::new(services());
    let first = world.anchors()[0].clone();
    let issuer_of_a_new_one = |name: &str| {
        let id = world.submit(&Asker::new(name)).unwrap();
        world.approve(id).unwrap().authority_key_id().unwrap()
    };
    let id = |certificate: &Certificate| certificate.subject_key_id().unwrap().as_bytes().to_vec();

    world.clock.advance(Span::days(185));
    assert_eq!(world.anchors().len(), 1);
    world.clock.advance(Span::days(1));
    let anchors = world.anchors();
    assert_eq!(anchors.len(), 2, "the second is made when the first has two lives left");
    assert_eq!(issuer_of_a_new_one("passive"), id(&first));
    world.clock.advance(Span::days(93));
    assert_eq!(issuer_of_a_new_one("active"), id(&anchors[1]), "the second signs once it is one life old");
    world.clock.advance(Span::days(93));
    let anchors = world.anchors();
    assert_eq!(anchors.len(), 2, "the first has expired and the third is there");
    assert!(!anchors.iter().any(|anchor| anchor.fingerprint() == first.fingerprint()));
    assert_eq!(world.count("issuer/"), 3, "the first expired, unless the clock is wrong");
    world.settle();
    assert_eq!(world.count("issuer/"), 2, "an expired CA certificate and its key are deleted");
}

/// A later CA certificate says what the one before said, about itself and to the second.
#[test]
fn a_successor_is_made_in_the_image_of_the_one_before() {
    let mut profile = services();
    profile.issuer_extensions = vec![x509::extension::name_constraints_dns("ca.example").unwrap()];
    let world = World::new(profile);
    world.clock.advance(Span::days(187));
    let anchors = world.anchors();
    let (first, second) = (&anchors[0], &anchors[1]);
    assert_eq!(first.subject(), second.subject());
    assert_ne!(first.public_key(), second.public_key());
    let shape = |certificate: &Certificate| {
        let key_ids = [x509::oid::SUBJECT_KEY_ID, x509::oid::AUTHORITY_KEY_ID];
        let others = certificate.extensions().iter().filter(|extension| !key_ids.contains(&extension.oid));
        others.cloned().collect::<Vec<_>>()
    };
    assert_eq!(shape(first), shape(second));
    assert_eq!(second.not_before() + Span::seconds(10), world.now(), "dates are set back by ten seconds");
    assert_eq!(second.not_after() - second.not_before(), Span::days(372));
}

/// CA keys are of no use to who has only the database.
#[test]
fn ca_keys_are_sealed() {
    use store::{Engine as _, Key};
    let world = World::new(services());
    let key = Key::new("/ca/services/issuer/00000001").unwrap();
    let stored = block_on(world.store.get(&key)).unwrap().unwrap();
    let text = std::str::from_utf8(&stored.value).unwrap();
    assert!(text.contains("CERTIFICATE") && !text.contains("PRIVATE KEY"));
    // JWE: alg dir, enc A256CBC-HS512.
    assert!(text.contains(r#""sealed_key":"eyJ"#), "{text}");
}

/// However short its life, an authority goes on: the next certificate is there when the last one ends.
#[test]
fn a_second_is_enough_of_a_life() {
    let mut profile = services();
    profile.leaf_life = Span::seconds(40);
    profile.issuer_life = Span::seconds(160);
    let world = World::new(profile);
    for round in 0..200 {
        world.clock.advance(Span::seconds(7));
        let id = world.submit(&Asker::new(&format!("round {round}"))).unwrap();
        let certificate = world.approve(id).unwrap();
        x509::verify(&certificate, &world.anchors(), world.now()).unwrap();
        block_on(world.authority.published()).unwrap();
    }
}

/// A server that is given another name gets an authority that may certify it.
#[test]
fn another_name_means_another_authority() {
    let constrained_to = |host| vec![x509::extension::name_constraints_dns(host).unwrap()];
    let mut profile = services();
    profile.issuer_extensions = constrained_to("old.example");
    let mut world = World::new(profile);
    let old = world.anchors()[0].clone();
    world.restart(|_| {});
    assert_eq!(world.anchors()[0].fingerprint(), old.fingerprint());
    world.restart(|profile| profile.issuer_extensions = constrained_to("new.example"));
    let anchors = world.anchors();
    assert_eq!(anchors.len(), 1);
    assert!(anchors[0].extensions().contains(&constrained_to("new.example")[0]));
    // The first one may serve a process beside us, and is found again.
    world.restart(|profile| profile.issuer_extensions = constrained_to("old.example"));
    assert_eq!(world.anchors()[0].fingerprint(), old.fingerprint());
    world.restart(|profile| profile.issuer_extensions = constrained_to("new.example"));
    assert_eq!(world.anchors()[0].fingerprint(), anchors[0].fingerprint());
}

/// A rollover that somebody begins early is one like any other: whoever renews on time knows each CA certificate before it
/// signs anything, and every certificate that is good verifies with what its holder has.
#[test]
fn a_rollover_that_was_begun_early_strands_nobody() {
    for begun_after in [1, 40, 100, 180] {
        let world = World::new(services());
        let life = world.authority.profile().leaf_life;
        world.clock.advance(Span::days(begun_after));
        let plan = block_on(world.authority.rotate(permit(), true)).unwrap();
        assert!(plan.next.is_none() && world.anchors().len() == 1, "a dry run makes nothing");
        let begun = block_on(world.authority.rotate(permit(), false)).unwrap();
        let next = begun.next.unwrap();
        assert_eq!((begun.signs_after, begun.not_after), (plan.signs_after, plan.not_after));
        assert_eq!(world.anchors().last(), Some(&next));
        let again = block_on(world.authority.rotate(permit(), false));
        assert!(
            matches!(again, Err(ca::RotateError::UnderWay { signs_after, .. }) if signs_after == begun.signs_after)
        );
        let made = world.events("CA certificate made");
        assert_eq!(made.len(), 2);
        // Each day somebody asks, and is signed for by the old one until everybody had the time to renew.
        let (mut day, mut signers) = (0, Vec::new());
        while world.now() <= begun.signs_after + Span::days(2) {
            let asker = Asker::new(&format!("day {day}"));
            let id = world.submit(&asker).unwrap();
            let certificate = world.certificate(id).unwrap_or_else(|| world.approve(id).unwrap());
            let is_next = x509::verify(&certificate, std::slice::from_ref(&next), world.now()).is_ok();
            assert_eq!(is_next, world.now() > begun.signs_after, "day {day} after {begun_after}");
            signers.push(is_next);
            world.clock.advance(Span::days(1));
            day += 1;
        }
        assert!(signers.contains(&true) && Span::days(day) >= life, "{day}");
        // And the next one after that may be begun.
        assert!(block_on(world.authority.rotate(permit(), true)).is_ok());
    }
}

#[test]
fn a_rotation_whose_answer_was_lost_is_done_once() {
    for is_done in [false, true] {
        let world = World::new(services());
        world.store.lose_next_answers([is_done]);
        let begun = block_on(world.authority.rotate(permit(), false)).unwrap();
        assert_eq!(world.anchors().last(), begun.next.as_ref());
        assert_eq!(world.anchors().len(), 2, "{is_done}");
        assert_eq!(world.events("CA certificate made").len(), 2);
    }
}

/// Whatever key an authority signs with, it can vouch for the next one.
#[test]
fn every_key_hands_over() {
    for key in [KeySpec::P256, KeySpec::P384, KeySpec::Ed25519] {
        let mut profile = services();
        profile.issuer_key = key;
        let world = World::new(profile);
        world.anchors();
        world.clock.advance(Span::days(1));
        block_on(world.authority.rotate(permit(), false)).unwrap();
        let [handover] = &block_on(world.authority.handovers()).unwrap()[..] else { panic!("one") };
        let said = block_on(handover.say(|_, _| "it follows".into())).unwrap();
        let signed = ca::signed_text(&said.text, said.digest);
        let public = handover.older().public_key();
        assert!(public.verify_statement(said.digest, &signed, &said.signature).is_ok(), "{key:?}");
    }
}
