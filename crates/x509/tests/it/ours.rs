//! What we write, `openssl` reads.

use base::{Entropy, Span, Timestamp};
use x509::{
    Certificate, CertificateTemplate, CrlTemplate, Extension, KeySpec, KeyUsage, Name, ObjectIdentifier,
    Policy, PrivateKey, RevokedEntry, Serial, SigningRequest, extension, oid,
};

use crate::openssl::OpenSsl;

/// 2023-11-14T22:13:20Z.
pub(crate) const START: Timestamp = Timestamp::from_unix(1_700_000_000);
const SPECS: [KeySpec; 4] = [KeySpec::Rsa { bits: 2048 }, KeySpec::P256, KeySpec::P384, KeySpec::Ed25519];

/// A CA certificate as a certificate authority would make it.
pub(crate) fn authority(key: &PrivateKey, name: &str, more: Vec<Extension>) -> Certificate {
    let (name, id) = (Name::from_common_name(name).unwrap(), key.public().key_id());
    let mut extensions = vec![
        extension::subject_key_id(id),
        extension::authority_key_id(id),
        extension::basic_constraints(true, Some(0)),
        extension::key_usage(KeyUsage::KEY_CERT_SIGN | KeyUsage::CRL_SIGN, true),
    ];
    extensions.extend(more);
    let template = CertificateTemplate {
        serial: Serial::random(&Entropy::seeded(1)),
        issuer: name.clone(),
        subject: name,
        not_before: START,
        not_after: START + Span::days(372),
        public_key: key.public().clone(),
        extensions,
    };
    template.sign(key)
}

/// A certificate for `request` as it is, with what an authority adds.
pub(crate) fn issue(authority: &Certificate, key: &PrivateKey, request: &SigningRequest) -> Certificate {
    let mut extensions = vec![
        extension::basic_constraints(false, None),
        extension::subject_key_id(request.public_key().key_id()),
        extension::authority_key_id(key.public().key_id()),
    ];
    extensions.extend(request.extensions().iter().cloned());
    let template = CertificateTemplate {
        serial: Serial::random(&Entropy::system()),
        issuer: authority.subject().clone(),
        subject: request.subject().clone(),
        not_before: START,
        not_after: START + Span::days(93),
        public_key: request.public_key().clone(),
        extensions,
    };
    template.sign(key)
}

fn request(key: &PrivateKey, extensions: &[Extension]) -> SigningRequest {
    SigningRequest::build(key, &Name::from_common_name("leaf é").unwrap(), extensions)
}

#[test]
fn a_chain_verifies_for_every_kind_of_key() {
    let openssl = OpenSsl::new();
    for spec in SPECS {
        let (ca_key, leaf_key) = (PrivateKey::generate(spec).unwrap(), PrivateKey::generate(spec).unwrap());
        let ca = authority(&ca_key, "Test CA", vec![]);
        let leaf = issue(&ca, &ca_key, &request(&leaf_key, &[]));
        openssl.write("ca.pem", ca.to_pem());
        openssl.write("leaf.pem", leaf.to_pem());
        let verify = "verify -x509_strict -check_ss_sig -CAfile ca.pem";
        assert_eq!(
            openssl.run(&format!("{verify} -attime 1700000000 leaf.pem")),
            "leaf.pem: OK\n",
            "{spec:?}"
        );
        // Ninety-three days later it ends. Its last second is good (RFC 5280 §4.1.2.5), though not to openssl.
        let end = leaf.not_after().as_unix();
        for (at, expected) in [(end - 1, true), (end + 1, false), (START.as_unix() - 1, false)] {
            let (is_valid, ..) = openssl.attempt(&format!("{verify} -attime {at} leaf.pem"), b"");
            assert_eq!(is_valid, expected, "{at}");
            let ours = x509::verify(&leaf, std::slice::from_ref(&ca), Timestamp::from_unix(at));
            assert_eq!(ours.is_ok(), expected, "{at}");
        }
    }
}

#[test]
fn a_ca_certificate_says_what_it_was_told() {
    let openssl = OpenSsl::new();
    let key = PrivateKey::generate(KeySpec::Rsa { bits: 2048 }).unwrap();
    let constraint = extension::name_constraints_address("2001:db8::1".parse().unwrap());
    let ca = authority(&key, "Caucased CA at [2001:db8::1]:8009", vec![constraint]);
    let text = openssl.filter("x509 -noout -text -serial -fingerprint -sha256", ca.to_pem());
    for expected in [
        "Version: 3 (0x2)",
        "Signature Algorithm: sha256WithRSAEncryption",
        "Issuer: CN = Caucased CA at [2001:db8::1]:8009",
        "Not Before: Nov 14 22:13:20 2023 GMT",
        "Not After : Nov 20 22:13:20 2024 GMT",
        "X509v3 Basic Constraints: critical\n                CA:TRUE, pathlen:0",
        "X509v3 Key Usage: critical\n                Certificate Sign, CRL Sign",
        "X509v3 Name Constraints: critical\n                Permitted:\n                  \
         IP:2001:DB8:0:0:0:0:0:1/FFFF:FFFF:FFFF:FFFF:FFFF:FFFF:FFFF:FFFF\n                Excluded:\n                  DNS:\n",
    ] {
        assert!(text.contains(expected), "{expected}\n{text}");
    }
    let colons = |hex: &str| {
        hex.to_uppercase()
            .as_bytes()
            .chunks(2)
            .map(|pair| String::from_utf8_lossy(pair).into_owned())
            .collect::<Vec<_>>()
            .join(":")
    };
    assert!(text.contains(&colons(&key.public().key_id().to_string())), "{text}");
    assert!(text.contains(&colons(&base::hex::encode(&ca.fingerprint()))), "{text}");
    let serial = ca.serial().hex();
    assert!(text.to_lowercase().contains(&format!("serial={}", serial)), "{text}");
}

#[test]
fn a_leaf_says_what_it_was_told() {
    let openssl = OpenSsl::new();
    let key = PrivateKey::generate(KeySpec::P256).unwrap();
    let notice = ObjectIdentifier::new("1.3.6.1.4.1.37476.9000.70.0.0").unwrap();
    let legacy = ObjectIdentifier::new("2.25.285541874270823339875695650038637483517.1").unwrap();
    let policies = [
        Policy { oid: legacy, qualifiers: None },
        Policy::with_notice(notice, "Auto-signed caucase certificate"),
    ];
    let extensions = [
        extension::crl_distribution_point(&["http://[2001:db8::1]:8009/cas/crl/1", "http://b/"]).unwrap(),
        extension::key_usage(
            KeyUsage::DIGITAL_SIGNATURE | KeyUsage::KEY_AGREEMENT | KeyUsage::DECIPHER_ONLY,
            true,
        ),
        extension::extended_key_usage(&[oid::SERVER_AUTH, oid::CLIENT_AUTH], false),
        extension::subject_alt_name_dns("host.example", true).unwrap(),
        extension::certificate_policies(&policies, false),
    ];
    let ca = authority(&key, "Test CA", vec![]);
    let text = openssl.filter("x509 -noout -text", issue(&ca, &key, &request(&key, &extensions)).to_pem());
    for expected in [
        "Subject: CN = leaf \\C3\\A9",
        "CA:FALSE",
        "Full Name:\n                  URI:http://[2001:db8::1]:8009/cas/crl/1\n                  URI:http://b/",
        "X509v3 Key Usage: critical\n                Digital Signature, Key Agreement, Decipher Only",
        "TLS Web Server Authentication, TLS Web Client Authentication",
        "X509v3 Subject Alternative Name: critical\n                DNS:host.example",
        "Policy: 2.25.285541874270823339875695650038637483517.1",
        "Policy: 1.3.6.1.4.1.37476.9000.70.0.0",
        "Explicit Text: Auto-signed caucase certificate",
    ] {
        assert!(text.contains(expected), "{expected}\n{text}");
    }
}

#[test]
fn a_request_verifies_for_every_kind_of_key() {
    let openssl = OpenSsl::new();
    for spec in SPECS {
        let key = PrivateKey::generate(spec).unwrap();
        let extensions = [extension::subject_alt_name_address("192.0.2.1".parse().unwrap(), false)];
        for extensions in [&extensions[..], &[]] {
            let text = openssl.filter("req -verify -noout -text", request(&key, extensions).to_pem());
            assert!(
                text.contains("Version: 1 (0x0)") && text.contains("Subject: CN = leaf \\C3\\A9"),
                "{text}"
            );
            assert_eq!(text.contains("IP Address:192.0.2.1"), !extensions.is_empty(), "{text}");
        }
    }
}

#[test]
fn a_revocation_list_is_read_and_obeyed() {
    let openssl = OpenSsl::new();
    for spec in SPECS {
        let key = PrivateKey::generate(spec).unwrap();
        let ca = authority(&key, "Test CA", vec![]);
        let leaf = issue(&ca, &key, &request(&key, &[]));
        openssl.write("ca.pem", ca.to_pem());
        openssl.write("leaf.pem", leaf.to_pem());
        let entry = RevokedEntry { serial: leaf.serial(), at: START };
        for revoked in [&[][..], &[entry]] {
            let template = CrlTemplate {
                issuer: ca.subject(),
                authority_key_id: key.public().key_id(),
                number: 4_711,
                this_update: START,
                next_update: START + Span::days(30),
                revoked,
            };
            openssl.write("crl.pem", template.sign(&key).to_pem());
            let (is_signed, _, stderr) = openssl.attempt("crl -in crl.pem -noout -CAfile ca.pem", b"");
            assert!(is_signed && stderr.contains("verify OK"), "{stderr}");
            let text = openssl.run("crl -in crl.pem -noout -text");
            for expected in
                ["Version 2 (0x1)", "Issuer: CN = Test CA", "Last Update: Nov 14 22:13:20 2023 GMT", "4711"]
            {
                assert!(text.contains(expected), "{expected}\n{text}");
            }
            let numbers = text.find("X509v3 CRL Number").unwrap();
            assert!(numbers < text.find("X509v3 Authority Key Identifier").unwrap(), "{text}");
            assert_eq!(text.contains("No Revoked Certificates"), revoked.is_empty(), "{text}");
            let (is_valid, _, stderr) = openssl.attempt(
                "verify -crl_check -CRLfile crl.pem -CAfile ca.pem -attime 1700000000 leaf.pem",
                b"",
            );
            assert_eq!(is_valid, revoked.is_empty(), "{stderr}");
            assert_eq!(stderr.contains("certificate revoked"), !revoked.is_empty(), "{stderr}");
        }
    }
}

#[test]
fn the_same_list_is_signed_to_the_same_bytes() {
    let key = PrivateKey::generate(KeySpec::Rsa { bits: 2048 }).unwrap();
    let again = PrivateKey::from_pem(key.to_pem().expose()).unwrap();
    let issuer = Name::from_common_name("Test CA").unwrap();
    let sign = |key: &PrivateKey| {
        let template = CrlTemplate {
            issuer: &issuer,
            authority_key_id: key.public().key_id(),
            number: 1,
            this_update: START,
            next_update: START,
            revoked: &[],
        };
        template.sign(key)
    };
    assert_eq!(sign(&key), sign(&again));
}

#[test]
fn keys_are_read() {
    let openssl = OpenSsl::new();
    for (spec, label, kind) in [
        (SPECS[0], "RSA PRIVATE KEY", "Private-Key: (2048 bit, 2 primes)"),
        (SPECS[1], "PRIVATE KEY", "NIST CURVE: P-256"),
        (SPECS[2], "PRIVATE KEY", "NIST CURVE: P-384"),
        (SPECS[3], "PRIVATE KEY", "ED25519 Private-Key"),
    ] {
        let key = PrivateKey::generate(spec).unwrap();
        let pem = key.to_pem();
        assert!(pem.expose().starts_with(&format!("-----BEGIN {label}-----\n")), "{spec:?}");
        let text = openssl.filter("pkey -noout -text -check", pem.expose());
        assert!(text.contains(kind) && text.contains("Key is valid"), "{text}");
        let public = openssl.filter("pkey -pubout", pem.expose());
        assert_eq!(public, x509::pem::write("PUBLIC KEY", key.public().spki()));
        openssl.write("key.der", key.to_pkcs8_der().expose());
        assert_eq!(openssl.run("pkey -inform DER -in key.der -pubout"), public);
    }
}

#[test]
fn far_dates_are_read() {
    let openssl = OpenSsl::new();
    let key = PrivateKey::generate(KeySpec::P256).unwrap();
    for (seconds, text) in [
        (2_524_607_999, "Dec 31 23:59:59 2049 GMT"),
        (2_524_608_000, "Jan  1 00:00:00 2050 GMT"),
        (253_402_300_799, "Dec 31 23:59:59 9999 GMT"),
    ] {
        let name = Name::from_common_name("far").unwrap();
        let template = CertificateTemplate {
            serial: Serial::from_decimal("1").unwrap(),
            issuer: name.clone(),
            subject: name,
            not_before: START,
            not_after: Timestamp::from_unix(seconds),
            public_key: key.public().clone(),
            extensions: vec![],
        };
        let certificate = template.sign(&key);
        assert_eq!(
            openssl.filter("x509 -noout -enddate", certificate.to_pem()),
            format!("notAfter={text}\n")
        );
        assert_eq!(Certificate::from_der(certificate.der()).unwrap().not_after().as_unix(), seconds);
    }
}
