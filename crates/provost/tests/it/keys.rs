//! Keys that are not RSA: services may have them, and sign envelopes with them.

use serde_json::json;
use testkit::{exchange, openssl, openssl_ok};
use x509::{Certificate, Digest, KeySpec};

use crate::houses::{
    csr, ended_without_a_fault, envelope, issued, key, put_json, request, revocation_lists, up,
};

/// Requests with elliptic curve keys are certified, renewed and revoked, with envelopes signed by them.
#[test]
fn services_may_have_elliptic_curve_keys() {
    let house = up();
    let anchor = exchange(house.http(), crate::houses::get("/cas/crt/ca.crt.pem"));
    std::fs::write(house.directory().join("ca.pem"), &anchor.body).unwrap();
    for (spec, digest, shown) in [
        (KeySpec::P256, Digest::Sha256, "id-ecPublicKey"),
        (KeySpec::P384, Digest::Sha384, "id-ecPublicKey"),
        (KeySpec::Ed25519, Digest::Sha512, "ED25519"),
    ] {
        let old_key = key(spec);
        let old = issued(&house, &old_key, "service");
        std::fs::write(house.directory().join("leaf.pem"), old.to_pem()).unwrap();
        openssl(house.directory(), &["verify", "-CAfile", "ca.pem", "leaf.pem"]).ok();
        let text = openssl_ok(house.directory(), &["x509", "-in", "leaf.pem", "-noout", "-text"]);
        assert!(text.contains(&format!("Public Key Algorithm: {shown}\n")), "{text}");

        let new_key = key(spec);
        let renewal = json!({"crt_pem": old.to_pem(), "renew_csr_pem": csr(&new_key, "ignored")});
        let renew =
            |signer| exchange(house.http(), put_json("/cas/crt/renew", &envelope(&renewal, digest, signer)));
        assert_eq!(renew(&new_key).status, 400, "signed by the wrong key");
        let answer = renew(&old_key);
        assert_eq!(answer.status, 200, "{answer:?}");
        let new = Certificate::from_pem(&answer.body).unwrap();
        assert_eq!((new.subject(), new.public_key()), (old.subject(), new_key.public()));
        assert_eq!(renew(&old_key).status, 404, "the same request in a second renewal");

        let revocation = json!({"revoke_crt_pem": new.to_pem()});
        let revoke = |signer| {
            exchange(house.http(), put_json("/cas/crt/revoke", &envelope(&revocation, digest, signer)))
        };
        assert_eq!(revoke(&old_key).status, 400, "signed by the wrong key");
        let answer = revoke(&new_key);
        assert_eq!((answer.status, answer.text()), (204, ""));
        let answer = revoke(&new_key);
        assert_eq!(
            (answer.status, answer.text()),
            (400, "Certificate verification error: certificate revoked")
        );
        let [list] = revocation_lists(&house, "cas").try_into().unwrap();
        assert!(list.contains(&new.serial()) && !list.contains(&old.serial()));
    }
    ended_without_a_fault(house);
}

/// Users must have RSA keys, because backups are encrypted to them; one such request ended the original.
#[test]
fn users_must_have_rsa_keys() {
    let house = up();
    for spec in [KeySpec::P256, KeySpec::P384, KeySpec::Ed25519] {
        let answer =
            exchange(house.http(), request("PUT", "/cau/csr", &[], csr(&key(spec), "user").as_bytes()));
        assert_eq!(answer.status, 400, "{spec:?}");
        assert!(
            answer.text().starts_with("this authority certifies RSA keys only, not "),
            "{}",
            answer.text()
        );
    }
    ended_without_a_fault(house);
}
