//! `caucased-manage` beside the original's: what comes in and goes out, and what both say of it (caucase contract, 7.6).

use std::path::Path;
use std::process::Command;

use base::{Clock, Span, Timestamp};
use tempfile::TempDir;
use testkit::{Process, Ran, openssl_ok, openssl_with_input, witness};
use x509::{
    Certificate, CertificateTemplate, CrlTemplate, Extension, KeySpec, KeyUsage, Name, PrivateKey,
    RevokedEntry, Serial, extension,
};

use crate::program::provost;

struct Manage {
    folder: TempDir,
}

impl Manage {
    fn new() -> Self {
        let manage = Self { folder: tempfile::tempdir().unwrap() };
        std::fs::create_dir(manage.path("bin")).unwrap();
        assert_eq!(provost(&["links", manage.path("bin").to_str().unwrap()]).code, Some(0));
        manage
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// One of the two with `options`, and `answers` to whatever it asks: without a terminal, so that standard input is read.
    fn run(&self, program: &Path, options: &str, answers: &str) -> Ran {
        let mut command = Command::new("setsid");
        command.arg("--wait").arg(program).args(options.split(' ')).current_dir(self.folder.path());
        let mut process = Process::spawn(&mut command);
        process.say(answers.as_bytes());
        process.close_input();
        process.wait()
    }

    fn ours(&self, options: &str, answers: &str) -> Ran {
        self.run(&self.path("bin/caucased-manage"), options, answers)
    }

    fn theirs(&self, options: &str, answers: &str) -> Ran {
        self.run(&witness("caucased-manage"), options, answers)
    }

    /// Both, each on a database of its own; they say the same and end alike.
    fn both(&self, options: &str, answers: &str) -> String {
        let theirs = self.theirs(&format!("--db theirs.sqlite {options}"), answers);
        let ours = self.ours(&format!("--db ours.sqlite {options}"), answers);
        assert_eq!(
            (ours.code, &ours.stdout),
            (theirs.code, &theirs.stdout),
            "{options}: {ours:?} {theirs:?}"
        );
        ours.stdout
    }
}

/// A self-signed certificate that ends at `end`.
fn certificate(key: &PrivateKey, name: &str, end: Timestamp, extensions: Vec<Extension>) -> Certificate {
    let subject = Name::from_common_name(name).unwrap();
    let template = CertificateTemplate {
        serial: Serial::from_decimal("4711").unwrap(),
        issuer: subject.clone(),
        subject,
        not_before: end - Span::days(400),
        not_after: end,
        public_key: key.public().clone(),
        extensions,
    };
    template.sign(key)
}

fn of_a_ca(key: &PrivateKey) -> Vec<Extension> {
    vec![
        extension::subject_key_id(key.public().key_id()),
        extension::basic_constraints(true, None),
        extension::key_usage(KeyUsage::KEY_CERT_SIGN | KeyUsage::CRL_SIGN, true),
    ]
}

#[test]
fn authorities_come_and_go_as_with_the_original() {
    let manage = Manage::new();
    let now = Clock::system().now();
    let keys: Vec<_> = (0..4).map(|_| PrivateKey::generate(KeySpec::Rsa { bits: 2048 }).unwrap()).collect();
    let first = certificate(&keys[0], "first", now + Span::days(100), of_a_ca(&keys[0]));
    let second = certificate(&keys[1], "second", now + Span::days(200), of_a_ca(&keys[1]));
    let old = certificate(&keys[2], "old", now - Span::days(1), of_a_ca(&keys[2]));
    let leaf = certificate(&keys[3], "leaf", now + Span::days(100), Vec::new());
    let alone = certificate(&keys[2], "alone", now + Span::days(100), of_a_ca(&keys[2]));

    // In whatever arrangement: keys in front of certificates, in files of their own, under passphrases of today and of old.
    for (index, key) in keys.iter().enumerate() {
        manage.write(&format!("{index}.key"), key.to_pem().expose());
    }
    let under = |passphrase: &str| {
        let pass = format!("pass:{passphrase}");
        let traditional = ["rsa", "-traditional", "-in", "0.key", "-aes256", "-passout", &pass];
        openssl_ok(manage.folder.path(), &traditional)
    };
    let modern = ["pkcs8", "-topk8", "-in", "1.key", "-passout", "pass:two words"];
    let new_key = openssl_ok(manage.folder.path(), &modern);
    manage.write("keys.pem", &[new_key.as_str(), &under("two words"), keys[3].to_pem().expose()].concat());
    // Theirs would end at the second passphrase.
    manage.write("mixed.pem", &[new_key.as_str(), &under("another")].concat());
    let certificates = [&first, &old, &leaf, &second].map(Certificate::to_pem).concat();
    manage.write("certificates.pem", &certificates);
    manage.write("expired.key", keys[2].to_pem().expose());
    manage.write("alone.pem", &alone.to_pem());

    // Nothing that is fit: nothing happens.
    let ran = manage.ours("--db no.sqlite --import-ca alone.pem", "");
    assert_eq!(ran.code, Some(1));
    assert_eq!(ran.stdout, "No private key correspond to 'alone.pem', block 0 - skipping\n");
    assert!(ran.stderr.contains("No CA certificate imported"), "{ran:?}");
    assert!(!manage.path("no.sqlite").exists() && !manage.path("no.sqlite.key").exists());

    let said = manage
        .both("--import-ca certificates.pem --import-ca keys.pem --import-ca expired.key", "two words\n");
    assert_eq!(
        said,
        "Skipping expired certificate from 'certificates.pem', block 1, 'expired.key', block 0\n\
         Skipping non-CA certificate from 'certificates.pem', block 2, 'keys.pem', block 2\n\
         Imported 2 CA certificates\n"
    );
    // A wrong passphrase is asked for again, an empty one skips the key; what is there already is there once.
    let options = "--db ours.sqlite --import-ca mixed.pem --import-ca certificates.pem";
    let ran = manage.ours(options, "no\ntwo words\n\n");
    assert!(
        ran.ok().ends_with("Imported 1 CA certificates\n") && ran.stdout.starts_with("File skipped\n"),
        "{ran:?}"
    );
    let prompt = "Passphrase for key at 'mixed.pem', block 0 (empty to skip file): ";
    assert_eq!(ran.stderr.matches(prompt).count(), 2, "{ran:?}");

    // A list of one of them, and one of somebody else.
    let list = |key: &PrivateKey, issuer: &Certificate, number: u64, serials: &[&str]| {
        let revoked: Vec<_> = serials
            .iter()
            .map(|serial| RevokedEntry {
                serial: Serial::from_decimal(serial).unwrap(),
                at: now - Span::days(3),
            })
            .collect();
        let list = CrlTemplate {
            issuer: issuer.subject(),
            authority_key_id: key.public().key_id(),
            number,
            this_update: Timestamp::from_unix(1_700_000_000),
            next_update: now + Span::days(30),
            revoked: &revoked,
        };
        list.sign(key).to_pem()
    };
    manage.write("1.crl", &list(&keys[0], &first, 7, &["12", "340282366920938463463374607431768211455"]));
    manage.write("2.crl", &list(&keys[1], &second, 5, &["12", "13"]));
    manage.write("foreign.crl", &list(&keys[2], &alone, 9, &[]));
    let ran = manage.ours("--db ours.sqlite --import-crl foreign.crl", "");
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""), "{ran:?}");
    let said = manage.both("--import-crl 1.crl --import-crl 2.crl", "");
    assert_eq!(
        said,
        "Set CRL number to 7 and last update to 2023-11-14 22:13:20+00:00\n\
         Revoked 3 certificates (1 were already revoked)\n"
    );
}

#[test]
fn what_one_exports_the_other_imports() {
    let manage = Manage::new();
    let now = Clock::system().now();
    let key = PrivateKey::generate(KeySpec::Rsa { bits: 2048 }).unwrap();
    let first = certificate(&key, "first", now + Span::days(100), of_a_ca(&key));
    manage.write("ca.pem", &[key.to_pem().expose().as_str(), &first.to_pem()].concat());
    manage.both("--import-ca ca.pem", "");

    let ran = manage.ours("--db ours.sqlite --export-ca ours.pem", "a\nb\none two\none two\n");
    assert_eq!(ran.ok(), "Error: Input does not match, retrying\n");
    assert!(ran.stderr.contains("CA export passphrase: ") && ran.stderr.contains("             (again): "));
    manage.theirs("--db theirs.sqlite --export-ca theirs.pem", "one two\none two\n").ok();
    let there = manage.ours("--db ours.sqlite --export-ca theirs.pem", "");
    assert_eq!(there.code, Some(2));
    assert!(there.stderr.contains("file exists: 'theirs.pem'"), "{there:?}");
    // From a database of theirs, which stays theirs.
    let before = std::fs::read(manage.path("theirs.sqlite")).unwrap();
    manage.ours("--db theirs.sqlite --export-ca again.pem", "one two\none two\n").ok();
    assert_eq!(std::fs::read(manage.path("theirs.sqlite")).unwrap(), before);
    for file in ["ours.pem", "theirs.pem", "again.pem"] {
        assert!(manage.read(file).starts_with(&first.to_pem()), "{file}");
        let clear = ["pkey", "-in", file, "-passin", "pass:one two"];
        let clear = openssl_ok(manage.folder.path(), &clear);
        assert_eq!(PrivateKey::from_pem(&clear).unwrap().public(), key.public(), "{file}");
        assert!(PrivateKey::from_pem(&manage.read(file)).is_err(), "{file}");
        manage.theirs(&format!("--db {file}.theirs --import-ca {file}"), "one two\n").ok();
        manage.ours(&format!("--db {file}.ours --import-ca {file}"), "one two\n").ok();
    }
    // Imported into a database of theirs it is taken over first.
    let ran = manage.ours("--db theirs.sqlite --import-ca ca.pem", "");
    assert_eq!(ran.ok(), "Imported 1 CA certificates\n");
    assert!(ran.stderr.contains("took over theirs.sqlite from caucase"), "{ran:?}");
    assert_eq!(std::fs::read(manage.path("theirs.sqlite.caucase-0.9.17")).unwrap(), before);
}

/// On a terminal a passphrase is not shown.
#[test]
fn passphrases_are_not_shown() {
    let manage = Manage::new();
    let now = Clock::system().now();
    let key = PrivateKey::generate(KeySpec::P256).unwrap();
    let ca = certificate(&key, "first", now + Span::days(100), of_a_ca(&key));
    manage.write("ca.pem", &[key.to_pem().expose().as_str(), &ca.to_pem()].concat());
    manage.ours("--db ours.sqlite --import-ca ca.pem", "").ok();
    let mut command = Command::new("script");
    command.current_dir(manage.folder.path());
    command.args(["-qec", "bin/caucased-manage --db ours.sqlite --export-ca out.pem", "/dev/null"]);
    let mut process = Process::spawn(&mut command);
    for question in ["CA export passphrase: ", "             (again): "] {
        process.wait_for_stdout(|said| said.ends_with(question)).unwrap();
        process.say(b"hunter2\n");
    }
    let ran = process.wait();
    assert!(ran.code == Some(0) && !ran.stdout.contains("hunter2"), "{ran:?}");
    let clear = ["pkey", "-in", "out.pem", "-passin", "stdin"];
    openssl_with_input(manage.folder.path(), &clear, b"hunter2\n").ok();
}

#[test]
fn wrong_usage_ends_with_2() {
    let manage = Manage::new();
    for options in ["--nonsense", "stray", "--restore-backup a b c", "--user-crt-validity 0", "--import-ca"] {
        let ran = manage.ours(options, "");
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{options}: {ran:?}");
    }
    assert_eq!(manage.ours("--version", "").ok(), "0.9.17\n");
    // Nothing asked for: nothing done.
    assert_eq!(manage.ours("--db x", "").ok(), "");
    assert!(!manage.path("x").exists());
    let ran = manage.ours("--db x --export-ca y", "");
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("there is no database at x") && !manage.path("y").exists(), "{ran:?}");
}
