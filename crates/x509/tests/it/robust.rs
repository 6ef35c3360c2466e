//! Whatever is read, nothing panics: cut short at every byte, and with bytes changed at random.

use base::{Entropy, Timestamp};
use x509::{
    Certificate, Crl, CrlTemplate, KeyKind, KeySpec, KeyUsage, Name, ObjectIdentifier, Policy, PrivateKey,
    PublicKey, RevokedEntry, Serial, SigningRequest, extension, pem,
};

use crate::ours::{START, authority, issue};

/// Of version 1, as `openssl x509 -req` makes it of a request unless it is told otherwise.
const VERSION_1: &[u8] = b"\
-----BEGIN CERTIFICATE-----
MIHcMIGPAhQ2CCXrz2a/Y/byCfbFgijhgVGRQTAFBgMrZXAwEDEOMAwGA1UEAwwF
YWxpY2UwIBcNMjYxMTIxMDczNTM4WhgPMjEyNjEwMjgwNzM1MzhaMBAxDjAMBgNV
BAMMBWFsaWNlMCowBQYDK2VwAyEAvNVE1TvhgmZXFDd8aaQbdXRsIkZtg8ROPbEV
GSJSiN8wBQYDK2VwA0EAfRqGeC6HGx5LsLEi1ZBAgVg35qncO6ab8Dw9tRbvpcGr
4MAfR7IyqEks3OyMEng4pkk5Blua+bq+g6RatdimDw==
-----END CERTIFICATE-----
";

/// A request with every extension we can make, its certificate, and a revocation list.
fn samples() -> (SigningRequest, Certificate, Crl, PrivateKey) {
    let key = PrivateKey::generate(KeySpec::P256).unwrap();
    let policy = Policy::with_notice(ObjectIdentifier::new("1.2.3").unwrap(), "notice");
    let extensions = [
        extension::key_usage(KeyUsage::DIGITAL_SIGNATURE, true),
        extension::subject_alt_name_dns("host.example", true).unwrap(),
        extension::certificate_policies(&[policy], false),
        extension::crl_distribution_point(&["http://example/"]).unwrap(),
        extension::name_constraints_address("192.0.2.1".parse().unwrap()),
    ];
    let request = SigningRequest::build(&key, &Name::from_common_name("host").unwrap(), &extensions);
    let ca = authority(&key, "Test CA", vec![]);
    let certificate = issue(&ca, &key, &request);
    let entropy = Entropy::seeded(3);
    let revoked = [(); 4].map(|()| RevokedEntry { serial: Serial::random(&entropy), at: START });
    let template = CrlTemplate {
        issuer: ca.subject(),
        authority_key_id: key.public().key_id(),
        number: 1,
        this_update: START,
        next_update: Timestamp::MAX,
        revoked: &revoked,
    };
    (request, certificate, template.sign(&key), key)
}

/// The certificate of version 1.
fn version_1() -> Vec<u8> {
    pem::read(VERSION_1, 1_024).unwrap().swap_remove(0).der
}

/// A certificate with an RSA key that verifies nothing.
fn short_key() -> Vec<u8> {
    let key = lc_rsa::SigningKey::generate(1024).unwrap();
    let (name, serial) = (Name::from_common_name("a").unwrap(), Serial::random(&Entropy::seeded(4)));
    x509::bare::self_signed(&key, &name, serial, START, Timestamp::MAX).unwrap()
}

/// Reads `bytes` as everything there is, and asks what was read for all it says.
fn read_all(bytes: &[u8], key: &PublicKey) -> bool {
    let mut is_read = false;
    if let Ok(request) = SigningRequest::from_der(bytes) {
        is_read = true;
        look_into(request.extensions());
        let _ = request.subject().to_string();
    }
    let holder = Certificate::from_holder_der(bytes);
    // All that is read as an authority's is read as a holder's as well, and says the same. What is more than that has
    // nothing that could make it an authority's.
    match (Certificate::from_der(bytes), &holder) {
        (Ok(certificate), holder) => assert_eq!(holder.as_ref(), Ok(&certificate)),
        (Err(_), Ok(holder)) => assert!(holder.extensions().is_empty() && !holder.is_ca()),
        (Err(_), Err(_)) => {}
    }
    // The same of those that others are to trust; what is more than that has a key that verifies nothing.
    let anchor = Certificate::from_anchor_der(bytes);
    match (&holder, &anchor) {
        (Ok(holder), anchor) => assert_eq!(anchor.as_ref(), Ok(holder)),
        (Err(_), Ok(anchor)) => {
            assert!(matches!(anchor.public_key().kind(), KeyKind::UnfitRsa { .. }));
            assert!(anchor.verify_signature(anchor.public_key()).is_err());
        }
        (Err(_), Err(_)) => {}
    }
    if let Ok(certificate) = anchor {
        is_read = true;
        look_into(certificate.extensions());
        let _ = (
            certificate.subject().to_string(),
            certificate.issuer().common_name(),
            certificate.serial().to_string(),
        );
        let _ = (certificate.subject_key_id(), certificate.authority_key_id(), certificate.is_ca());
        let _ = certificate.verify_signature(key);
        let _ = x509::verify(&certificate, std::slice::from_ref(&certificate), certificate.not_before());
        assert_eq!(certificate.der(), bytes);
    }
    if let Ok(crl) = Crl::from_der(bytes) {
        is_read = true;
        let _ = (crl.verify_signature(key), crl.issuer().to_string(), crl.entries().len());
    }
    let _ = (PublicKey::from_spki_der(bytes), Name::from_der(bytes), PrivateKey::from_pkcs8_der(bytes));
    is_read
}

fn look_into(extensions: &[x509::Extension]) {
    for extension in extensions {
        let value = &extension.value;
        let _ = extension.oid.to_string();
        let _ = (KeyUsage::from_der(value), extension::BasicConstraints::parse(value));
        let _ = (extension::parse_extended_key_usage(value), x509::general_name::parse_all(value));
        let _ = (extension::parse_certificate_policies(value), extension::parse_subject_key_id(value));
        let _ = extension::parse_authority_key_id(value);
    }
}

#[test]
fn der_that_is_cut_short_is_refused() {
    let (request, certificate, crl, key) = samples();
    let (private, version_1, short_key) = (key.to_pkcs8_der(), version_1(), short_key());
    for der in [request.der(), certificate.der(), &version_1, &short_key, crl.der()] {
        assert!(read_all(der, key.public()));
        for length in 0..der.len() {
            assert!(!read_all(&der[..length], key.public()), "{length}");
        }
    }
    for length in 0..private.expose().len() {
        assert!(PrivateKey::from_pkcs8_der(&private.expose()[..length]).is_err());
    }
}

#[test]
fn changed_der_does_no_harm() {
    let (request, certificate, crl, key) = samples();
    let entropy = Entropy::seeded(11);
    let (private, version_1, short_key) = (key.to_pkcs8_der(), version_1(), short_key());
    for der in [request.der(), certificate.der(), &version_1, &short_key, crl.der(), private.expose()] {
        for _ in 0..4_000 {
            let mut changed = der.to_vec();
            for _ in 0..=entropy.number() % 4 {
                let at = (entropy.number() % changed.len() as u64) as usize;
                match entropy.number() % 4 {
                    // A bit, a byte, one byte less, one more.
                    0 => changed[at] ^= 1 << (entropy.number() % 8),
                    1 => changed[at] = entropy.number() as u8,
                    2 => {
                        changed.remove(at);
                    }
                    _ => changed.insert(at, entropy.number() as u8),
                }
            }
            read_all(&changed, key.public());
        }
    }
}

#[test]
fn a_changed_bit_of_what_was_signed_shows() {
    let (request, certificate, crl, key) = samples();
    for (der, is_good) in [
        (request.der(), (|der, _| SigningRequest::from_der(der).is_ok()) as fn(&[u8], &PublicKey) -> bool),
        (certificate.der(), |der, key| {
            Certificate::from_der(der).is_ok_and(|read| read.verify_signature(key).is_ok())
        }),
        (crl.der(), |der, key| Crl::from_der(der).is_ok_and(|read| read.verify_signature(key).is_ok())),
    ] {
        assert!(is_good(der, key.public()));
        for at in 0..der.len() {
            let mut changed = der.to_vec();
            changed[at] ^= 1;
            assert!(!is_good(&changed, key.public()), "byte {at}");
        }
    }
}

#[test]
fn deep_nesting_is_not_followed() {
    let mut der = vec![];
    for _ in 0..10_000 {
        let length = (der.len() as u32).to_be_bytes();
        let header = match der.len() {
            0..0x80 => vec![0x30, length[3]],
            0x80..0x100 => vec![0x30, 0x81, length[3]],
            0x100..0x1_0000 => vec![0x30, 0x82, length[2], length[3]],
            _ => vec![0x30, 0x83, length[1], length[2], length[3]],
        };
        der = [header, der].concat();
    }
    let key = PrivateKey::generate(KeySpec::Ed25519).unwrap();
    assert!(!read_all(&der, key.public()));
}

#[test]
fn changed_pem_does_no_harm() {
    let (request, certificate, ..) = samples();
    let entropy = Entropy::seeded(17);
    for text in [request.to_pem(), certificate.to_pem() + &request.to_pem()] {
        for length in 0..text.len() {
            let cut = &text.as_bytes()[..length];
            // Only the last line feed can go.
            assert_eq!(
                SigningRequest::from_pem(cut).is_ok(),
                text == request.to_pem() && length + 1 == text.len()
            );
            let _ = Certificate::all_from_pem(cut);
        }
        for _ in 0..4_000 {
            let mut changed = text.clone().into_bytes();
            let at = (entropy.number() % changed.len() as u64) as usize;
            match entropy.number() % 3 {
                0 => changed[at] = entropy.number() as u8,
                1 => changed.truncate(at),
                _ => changed.splice(at..at, *b"\n-----BEGIN ").for_each(drop),
            }
            let _ = (pem::read(&changed, 10_000), SigningRequest::from_pem(&changed));
            let _ = PrivateKey::from_pem(&String::from_utf8_lossy(&changed));
        }
    }
}
