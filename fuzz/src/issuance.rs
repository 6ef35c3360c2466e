//! From a request to a certificate: whatever is asked for, it is a certificate like all others, or the answer
//! is that the request is at fault.

use std::sync::Arc;

use base::{Clock, Entropy, Explain as _, Kind, Span, Timestamp};
use ca::{Admission, Authority, AuthorityName, Ground, Names, Profile};
use futures_executor::block_on;
use store::{Memory, SealingKey};
use x509::{Certificate, KeySpec, KeyUsage, PrivateKey, SigningRequest, oid};

use crate::request::look_at_extensions;
use crate::resign::resign;

const NOW: Timestamp = Timestamp::from_unix(1_790_000_000);

pub(crate) fn run(data: &[u8]) {
    let request = SigningRequest::from_der(data).ok();
    let request = request.or_else(|| SigningRequest::from_der(&resign(data)?).ok());
    let Some(request) = request.or_else(|| SigningRequest::from_pem(data).ok()) else { return };
    let authority = authority();
    let id = match block_on(authority.submit(&request, &request.to_pem())) {
        Ok(id) => id,
        Err(error) => {
            assert_eq!(error.kind(), Kind::Invalid, "{error}");
            return;
        }
    };
    let pem = block_on(authority.certificate(id)).expect("it was approved at once");
    let certificate = Certificate::from_pem(pem.as_bytes()).expect("what we sign is read");
    block_on(authority.verify(&certificate)).expect("what we sign verifies");
    assert_eq!((certificate.subject(), certificate.public_key()), (request.subject(), request.public_key()));
    assert!(!certificate.is_ca(), "nobody becomes an authority by asking");
    if let Some(usage) = certificate.extension(&oid::KEY_USAGE) {
        let uses = KeyUsage::from_der(&usage.value).expect("what we sign is read");
        assert!(
            !uses.is_empty() && !uses.contains(KeyUsage::KEY_CERT_SIGN) && !uses.contains(KeyUsage::CRL_SIGN)
        );
    }
    look_at_extensions(certificate.extensions());
}

/// A services authority that approves everything, with a key that is quickly made.
fn authority() -> Authority {
    let entropy = Entropy::seeded(7);
    let leaf_life = Span::days(93);
    let profile = Profile {
        name: AuthorityName::Services,
        issuer_common_name: "Services".to_owned(),
        issuer_extensions: Vec::new(),
        leaf_life,
        issuer_life: leaf_life.fraction(4, 1),
        issuer_key: KeySpec::Ed25519,
        crl_addresses: vec![("http://ca.example/cas/crl/".to_owned(), String::new())],
        names: Names::Any,
        admission: Admission {
            pending_max: 1,
            automatic_max: 1,
            lock_automatic_max: false,
            keys_for_backup: false,
            keep_issued: Span::days(1),
            keep_fetched: Span::days(1),
        },
    };
    let ground = Ground {
        engine: Arc::new(Memory::new()),
        sealing: Arc::new(SealingKey::generate(&entropy)),
        clock: Clock::manual(NOW),
        entropy,
        keys: Arc::new(|spec| Box::pin(async move { PrivateKey::generate(spec) })),
        token: None,
    };
    block_on(Authority::open(profile, ground)).expect("an authority opens on an empty store")
}
