//! Statements signed here and verified by `openssl`, and the other way round.

use x509::{Digest, KeySpec, PrivateKey};

use crate::openssl::OpenSsl;

const DIGESTS: [Digest; 3] = [Digest::Sha256, Digest::Sha384, Digest::Sha512];

#[test]
fn rsa_statements_have_the_longest_salt_and_any_is_taken() {
    let openssl = OpenSsl::new();
    openssl.write("message", "{\"payload\": 1}sha256 ");
    let message = openssl.read("message");
    // 2050 bits: the encoded message is not as long as the key.
    for bits in [2048, 2050, 3072] {
        openssl.run(&format!("genrsa -out key.pem {bits}"));
        openssl.run("pkey -in key.pem -pubout -out public.pem");
        let key = PrivateKey::from_pem(&openssl.read_text("key.pem")).unwrap();
        for digest in DIGESTS {
            let name = digest.name();
            openssl.write("signature", key.sign_statement(digest, &message).unwrap());
            for salt in ["max", "auto"] {
                openssl.run(&format!(
                    "dgst -{name} -verify public.pem -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:{salt} \
                     -sigopt rsa_mgf1_md:{name} -signature signature message"
                ));
            }
            for salt in ["max", "digest", "0", "1", "33"] {
                openssl.run(&format!(
                    "dgst -{name} -sign key.pem -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:{salt} -out signature message"
                ));
                let signature = openssl.read("signature");
                let verify =
                    |digest, message: &[u8]| key.public().verify_statement(digest, message, &signature);
                assert_eq!(verify(digest, &message), Ok(()), "{bits} {name} {salt}");
                assert!(verify(digest, b"other").is_err());
                assert!(DIGESTS.iter().all(|other| *other == digest || verify(*other, &message).is_err()));
            }
            openssl.run(&format!("dgst -{name} -sign key.pem -out signature message"));
            assert!(key.public().verify_statement(digest, &message, &openssl.read("signature")).is_err());
        }
    }
}

#[test]
fn elliptic_statements_go_both_ways() {
    let openssl = OpenSsl::new();
    openssl.write("message", "message");
    for (spec, own) in [(KeySpec::P256, Digest::Sha256), (KeySpec::P384, Digest::Sha384)] {
        let key = PrivateKey::generate(spec).unwrap();
        openssl.write("key.pem", key.to_pem().expose());
        openssl.run("pkey -in key.pem -pubout -out public.pem");
        openssl.write("signature", key.sign_statement(own, b"message").unwrap());
        openssl.run(&format!("dgst -{} -verify public.pem -signature signature message", own.name()));
        for digest in DIGESTS {
            openssl.run(&format!("dgst -{} -sign key.pem -out signature message", digest.name()));
            assert_eq!(key.public().verify_statement(digest, b"message", &openssl.read("signature")), Ok(()));
        }
    }
    let key = PrivateKey::generate(KeySpec::Ed25519).unwrap();
    openssl.write("key.pem", key.to_pem().expose());
    openssl.run("pkeyutl -sign -inkey key.pem -rawin -in message -out signature");
    for digest in DIGESTS {
        assert_eq!(key.public().verify_statement(digest, b"message", &openssl.read("signature")), Ok(()));
        assert_eq!(key.sign_statement(digest, b"message").unwrap(), openssl.read("signature"));
    }
}
