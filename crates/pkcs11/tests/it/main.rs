//! Keys in tokens of the real SoftHSM.
//!
//! SoftHSM is told by a variable of its process where its tokens are, and a module can be set up once in a process: so
//! each test goes on in a process of its own.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use base::Explain as _;
use base::{Entropy, Kind, Secret, Timestamp};
use pkcs11::{Error, KeyId, Token};
use testkit::{SoftHsm, run};
use x509::{Certificate, CertificateTemplate, KeySpec, Name, PublicKey, Serial};

/// Where the other process finds the token.
const FOLDER: &str = "PROVOST_TEST_TOKEN";
/// The token's label.
const LABEL: &str = "a token";

/// Runs `body` in a process of its own, beside a token that nobody else has.
fn alone(test: &str, body: fn(&SoftHsm)) {
    match std::env::var_os(FOLDER) {
        Some(folder) => body(&SoftHsm::at(Path::new(&folder))),
        None => go_on_in_another_process(test, &SoftHsm::new(LABEL)),
    }
}

fn go_on_in_another_process(test: &str, hsm: &SoftHsm) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([test, "--exact", "--nocapture"]);
    command.env(FOLDER, hsm.folder()).env(SoftHsm::VARIABLE, hsm.conf());
    let ran = run(&mut command);
    assert!(ran.code == Some(0) && ran.stdout.contains("1 passed"), "{}\n{}", ran.stdout, ran.stderr);
}

fn token(module: &str, label: &str, pin_file: PathBuf) -> Token {
    let pin = move || match std::fs::read_to_string(&pin_file) {
        Ok(text) => Ok(Secret::new(text.trim_end().to_owned())),
        Err(error) => Err(error.to_string()),
    };
    Token::new(module.into(), label.to_owned(), Box::new(pin))
}

fn of(hsm: &SoftHsm) -> Token {
    token(SoftHsm::MODULE, LABEL, hsm.pin_file())
}

/// A certificate that this key in the token signed for itself.
fn certify(token: &Token, id: KeyId, key: &PublicKey) -> Result<Certificate, Error> {
    let name = Name::from_common_name("somebody").unwrap();
    let template = CertificateTemplate {
        serial: Serial::random(&Entropy::seeded(1)),
        issuer: name.clone(),
        subject: name,
        not_before: Timestamp::from_unix(0),
        not_after: Timestamp::from_unix(9),
        public_key: key.clone(),
        extensions: Vec::new(),
    };
    let unsigned = template.for_signature_by(key).unwrap();
    let scheme = unsigned.scheme();
    let signature = token.sign(id, scheme, &scheme.digest().of(unsigned.to_be_signed()))?;
    Ok(unsigned.signed(&signature).expect("the token signed what it was given"))
}

const RSA: KeySpec = KeySpec::Rsa { bits: 2048 };

#[test]
fn keys_are_made_found_used_and_deleted() {
    alone("keys_are_made_found_used_and_deleted", |hsm| {
        let token = of(hsm);
        for (number, spec) in [RSA, KeySpec::P256, KeySpec::P384].into_iter().enumerate() {
            let id = KeyId([number as u8; 16]);
            assert_eq!(token.find(id).unwrap(), None);
            let key = token.make(spec, id, &format!("the {number}.")).unwrap();
            assert_eq!(token.find(id).unwrap().as_ref(), Some(&key), "{spec:?}");
            certify(&token, id, &key).unwrap();
            // A statement, as the original's clients read it: RSA-PSS with the longest salt.
            let scheme = key.statement_scheme().unwrap();
            let signature = token.sign(id, scheme, &scheme.digest().of(b"statement")).unwrap();
            key.verify_statement(scheme.digest(), b"statement", &signature).unwrap();
            assert!(key.verify_statement(scheme.digest(), b"Statement", &signature).is_err());
        }
        let labels: Vec<String> = token.list().unwrap().into_iter().map(|found| found.label).collect();
        assert_eq!(labels.len(), 3);
        assert!(labels.contains(&"the 0.".to_owned()), "{labels:?}");
        let first = KeyId([0; 16]);
        token.remove(first).unwrap();
        token.remove(first).unwrap();
        assert_eq!(token.find(first).unwrap(), None);
        let digest = [7; 32];
        let scheme = x509::Scheme::RsaPkcs1(x509::Digest::Sha256);
        assert!(matches!(token.sign(first, scheme, &digest), Err(Error::NoKey { .. })));
        let error = token.make(KeySpec::Ed25519, first, "").unwrap_err();
        assert!(matches!(error, Error::Cannot { .. }), "{error}");
        assert!(token.make(KeySpec::Rsa { bits: 64 }, first, "").is_err());
        assert_eq!(token.list().unwrap().len(), 2, "nothing is left of what could not be made");
        assert!(token.sign(KeyId([1; 16]), scheme, &digest).is_err(), "a key of another kind");
    });
}

/// Nothing of the private half can be had, by whoever knows the PIN.
#[test]
fn a_key_stays_in_its_token() {
    alone("a_key_stays_in_its_token", |hsm| {
        let token = of(hsm);
        token.make(RSA, KeyId([5; 16]), "kept").unwrap();
        let mut command = Command::new("softhsm2-dump-file");
        let mut objects = Vec::new();
        for folder in std::fs::read_dir(hsm.folder().join("tokens")).unwrap() {
            for file in std::fs::read_dir(folder.unwrap().path()).unwrap() {
                let path = file.unwrap().path();
                if path.extension().is_some_and(|extension| extension == "object") {
                    objects.push(run(command.arg(&path)).stdout);
                    command = Command::new("softhsm2-dump-file");
                }
            }
        }
        let private = objects.iter().find(|text| text.contains("CKO_PRIVATE_KEY")).expect("there is one");
        for (attribute, value) in [
            ("CKA_SENSITIVE", "TRUE"),
            ("CKA_EXTRACTABLE", "FALSE"),
            ("CKA_PRIVATE", "TRUE"),
            ("CKA_DECRYPT", "FALSE"),
        ] {
            let at = private.find(attribute).unwrap_or_else(|| panic!("no {attribute}: {private}"));
            let said: Vec<&str> = private[at..].lines().take(3).collect();
            assert!(said.join(" ").contains(value), "{attribute}: {said:?}");
        }
    });
}

#[test]
fn what_is_wrong_is_said() {
    alone("what_is_wrong_is_said", |hsm| {
        let there = |module: &str, label: &str| token(module, label, hsm.pin_file()).see().unwrap_err();
        let error = there("/nowhere/module.so", LABEL);
        assert!(error.to_string().contains("/nowhere/module.so cannot be used: "), "{error}");
        assert_eq!(error.kind(), Kind::Unavailable);
        let this = std::env::current_exe().unwrap();
        let error = there(this.to_str().unwrap(), LABEL);
        assert!(matches!(error, Error::Module { .. }), "{error}");
        let error = there(SoftHsm::MODULE, "another");
        assert_eq!(error.to_string(), "there is no PKCS#11 token `another`; its module knows of `a token`");
        let error = token(SoftHsm::MODULE, LABEL, hsm.folder().join("none")).see().unwrap_err();
        assert!(matches!(error, Error::Pin { .. }), "{error}");

        hsm.say_pin("battery-staple");
        let token = of(hsm);
        let error = token.see().unwrap_err();
        assert!(matches!(error, Error::Refused { .. }), "{error}");
        assert!(!error.to_string().contains("battery"), "{error}");
        // It is not tried again: not even when it would be the right one by now.
        hsm.make_again(LABEL, "battery-staple");
        assert!(matches!(token.see(), Err(Error::Refused { .. })));
        hsm.make_again(LABEL, "a third one");
        hsm.say_pin("a third one");
        token.see().unwrap();

        hsm.add(LABEL);
        let error = there(SoftHsm::MODULE, LABEL);
        assert_eq!(error.to_string(), "2 PKCS#11 tokens are called `a token`");
    });
}

/// Two processes have the same token open, and each uses the key that the other made.
#[test]
fn two_processes_share_a_token() {
    const THEIRS: KeyId = KeyId([2; 16]);
    alone("two_processes_share_a_token", |hsm| {
        const SECOND: &str = "PROVOST_TEST_SECOND";
        let ours = KeyId([1; 16]);
        let token = of(hsm);
        if std::env::var_os(SECOND).is_some() {
            let key = token.find(ours).unwrap().expect("the first process made it");
            certify(&token, ours, &key).unwrap();
            token.make(KeySpec::P256, THEIRS, "theirs").unwrap();
            return;
        }
        token.make(RSA, ours, "ours").unwrap();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["two_processes_share_a_token", "--exact", "--nocapture"]).env(SECOND, "yes");
        let ran = run(&mut command);
        assert!(ran.stdout.contains("1 passed"), "{}\n{}", ran.stdout, ran.stderr);
        let key = token.find(THEIRS).unwrap().expect("the second process made it");
        certify(&token, THEIRS, &key).unwrap();
    });
}

#[test]
fn a_token_that_was_away_is_used_again() {
    alone("a_token_that_was_away_is_used_again", |hsm| {
        let token = of(hsm);
        let id = KeyId([3; 16]);
        let key = token.make(RSA, id, "here").unwrap();
        certify(&token, id, &key).unwrap();
        hsm.take_out();
        for _ in 0..3 {
            let error = certify(&token, id, &key).unwrap_err();
            assert_eq!(error.kind(), Kind::Unavailable, "{error}");
        }
        hsm.put_back();
        certify(&token, id, &key).unwrap();
        assert_eq!(token.find(id).unwrap(), Some(key));
    });
}

#[test]
fn many_sign_at_once() {
    alone("many_sign_at_once", |hsm| {
        let token = Arc::new(of(hsm));
        let id = KeyId([4; 16]);
        let key = token.make(RSA, id, "shared").unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..20 {
                        certify(&token, id, &key).unwrap();
                    }
                });
            }
        });
    });
}
