//! What an operator brings along: `caucased-manage --import-ca` and `--import-crl`.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::sync::Arc;

use base::Span;
use ca::AuthorityName;
use futures_executor::block_on;
use proof::Authorities;
use store::Engine;
use x509::{
    Certificate, CertificateTemplate, Crl, CrlTemplate, KeySpec, KeyUsage, Name, PrivateKey, RevokedEntry,
    Serial, extension,
};

use super::{Scene, at_every_commit_on};

/// More than are stored together, so that some are there and some are not.
const REVOKED: u32 = 100;

/// A CA certificate of another authority, and its key.
fn brought(scene: &Scene, name: &str, days_left: i64) -> (Certificate, PrivateKey) {
    let key = PrivateKey::generate(KeySpec::P256).unwrap();
    let subject = Name::from_common_name(name).unwrap();
    let now = scene.base.clock.now();
    let template = CertificateTemplate {
        serial: Serial::random(&scene.base.entropy),
        issuer: subject.clone(),
        subject,
        not_before: now - Span::days(30),
        not_after: now + Span::days(days_left),
        public_key: key.public().clone(),
        extensions: vec![
            extension::subject_key_id(key.public().key_id()),
            extension::basic_constraints(true, None),
            extension::key_usage(KeyUsage::KEY_CERT_SIGN | KeyUsage::CRL_SIGN, true),
        ],
    };
    (template.sign(&key), key)
}

/// What a list says, and its number.
fn told(house: &Authorities) -> (u64, BTreeSet<String>) {
    let published = block_on(house.services.published()).unwrap();
    let list = Crl::from_der(&published.lists[0].der).unwrap();
    (list.number(), list.entries().iter().map(|entry| entry.serial.hex()).collect())
}

/// Whoever is interrupted does it again: each CA certificate is there once, each revocation too, and no number of a list
/// was ever told with two contents.
#[test]
fn what_an_operator_brings_along() {
    let scene = Scene::new(0);
    let pairs = [brought(&scene, "one", 300), brought(&scene, "two", 330)];
    let now = scene.base.clock.now();
    let entry = |number: u32| RevokedEntry {
        serial: Serial::from_decimal(&(u64::from(number) + 1).to_string()).unwrap(),
        at: now - Span::days(3),
    };
    let revoked: Vec<_> = (0..REVOKED).map(entry).collect();
    let list = |(certificate, key): &(Certificate, PrivateKey), number, revoked: &[RevokedEntry]| {
        let list = CrlTemplate {
            issuer: certificate.subject(),
            authority_key_id: key.public().key_id(),
            number,
            this_update: now - Span::days(1),
            next_update: now + Span::days(30),
            revoked,
        };
        list.sign(key)
    };
    let lists = [list(&pairs[0], 7, &revoked[..60]), list(&pairs[1], 5, &revoked[50..])];
    let bring = |engine: &Arc<dyn Engine>| {
        let shelf = scene.base.shelf(AuthorityName::Services);
        block_on(shelf.add_issuers(engine, &pairs)).ok()?;
        block_on(shelf.add_revocations(engine, &lists)).ok()
    };
    let partly = Cell::new(0);
    let commits = at_every_commit_on(
        &scene,
        Span::ZERO,
        |_, engine| bring(engine).is_some(),
        |house, engine, answered| {
            let anchors = block_on(house.services.anchors()).unwrap();
            let (number, listed) = told(house);
            let there = revoked.iter().filter(|entry| listed.contains(&entry.serial.hex())).count();
            partly.set(partly.get() + u32::from(there > 0 && there < revoked.len()));
            assert!(!answered || there == revoked.len() && anchors.len() == 3, "what was answered is there");
            let brought = bring(engine).unwrap();
            assert_eq!(brought.new, revoked.len() - there, "the rest");
            let house = Authorities::open(&scene.base, engine).unwrap();
            let anchors = block_on(house.services.anchors()).unwrap();
            assert_eq!(anchors.len(), 3, "each once");
            assert!(pairs.iter().all(|(certificate, _)| anchors.contains(certificate)));
            let (number_now, listed_now) = told(&house);
            assert_eq!(listed_now.len(), revoked.len());
            assert!(number_now >= 7 && number_now >= number);
            assert!(listed_now == listed || number_now > number, "{number} has two contents");
            // Who has a certificate goes on with it.
            block_on(house.services.verify(&scene.certificate)).unwrap();
        },
    );
    assert!(commits >= 5, "two CA certificates, several times some revocations: {commits}");
    assert!(partly.get() >= 2, "some were there and some were not");
}
