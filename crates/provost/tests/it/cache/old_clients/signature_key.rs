//! `generate-signature-key`: what it makes, the stock library and openssl take.

use std::os::unix::fs::{MetadataExt as _, symlink};

use testkit::{NetworkCache, openssl_ok};

use super::Ours;
use crate::cache::open;
use crate::houses::ended_without_a_fault;

#[test]
fn our_keys_sign_for_the_stock_library() {
    let (house, ours) = (open(), Ours::new());
    let administrator = house.administrator();
    let client = NetworkCache::of(&house, &administrator);
    for bits in ["1024", "2048", "3072"] {
        for file in ["sign.key", "sign.crt"] {
            std::fs::remove_file(client.path(file)).unwrap();
        }
        let arguments = ["--bits", bits, "--cert-file", "sign.crt", "sign.key", "COMP-1/é"];
        let made = ours.run(&client, "generate-signature-key", &arguments);
        let certificate = client.certificate();
        let expected = format!(
            "Generating certificate for 'COMP-1/é' (key: 'sign.key', certficate: 'sign.crt')\n\n{certificate}\nDon't forget to \
             add the certificate to the signature-certificate-list in your SlapOS configuration file.\n"
        );
        assert_eq!((made.ok(), made.stderr.as_str()), (expected.as_str(), ""));
        let found = std::fs::metadata(client.path("sign.key")).unwrap();
        assert_eq!(found.mode() & 0o777, 0o600);
        let key = std::fs::read_to_string(client.path("sign.key")).unwrap();
        assert!(key.starts_with("-----BEGIN PRIVATE KEY-----\n"), "it is PKCS#8");
        client.write_configuration(&house, &administrator, &[&certificate]);
        client.write("file", bits.as_bytes());
        assert_eq!(client.upload(&["-f", "file", "-k", bits, "n=1"]).ok(), "");
        assert_eq!(ours.download(&client, &["-k", bits]).ok(), bits);
        assert_eq!(ours.upload(&client, &["-f", "file", "-k", bits, "n=2"]).ok(), "");
        assert_eq!(client.download(&["-k", bits, "n==\"2\""]).ok(), bits);

        let text = openssl_ok(client.directory(), &["x509", "-in", "sign.crt", "-noout", "-text"]);
        // Newer ones leave out the blanks.
        let text = text.replace(" = ", "=");
        for part in [
            "Version: 3 (0x2)",
            "Signature Algorithm: sha256WithRSAEncryption",
            "Issuer: CN=COMP-1/\\C3\\A9",
            "CA:TRUE",
            &format!("Public-Key: ({bits} bit)"),
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        openssl_ok(client.directory(), &["verify", "-auth_level", "0", "-CAfile", "sign.crt", "sign.crt"]);
        openssl_ok(client.directory(), &["rsa", "-in", "sign.key", "-check", "-noout"]);
    }
    ended_without_a_fault(house);
}

#[test]
fn without_a_file_the_certificate_is_printed_and_the_key_has_3072_bits() {
    let (house, ours) = (open(), Ours::new());
    let client = NetworkCache::of(&house, &house.administrator());
    let made = ours.run(&client, "generate-signature-key", &["new.key", "it's me"]);
    let begin = "Generating certificate for \"it's me\" (key: 'new.key', certficate: '-')\n\n-----BEGIN CERTIFICATE-----\n";
    assert!(made.ok().starts_with(begin), "{made:?}");
    client.write("new.crt", made.stdout.as_bytes());
    let text = openssl_ok(client.directory(), &["x509", "-in", "new.crt", "-noout", "-text"]);
    assert!(text.contains("Public-Key: (3072 bit)"), "{text}");
    // The same words as theirs, but for the key. The original's own come behind those of openssl, unless Python was told not to
    // hold them back: so not in which order.
    let theirs = client.program("generate-signature-key", &["their.key", "it's me"]);
    let words = |text: &str, key: &str| {
        let lines =
            text.lines().filter(|line| line.contains(' ') || line.is_empty() || line.starts_with('-'));
        let mut lines: Vec<_> = lines.map(|line| line.replace(key, "KEY")).collect();
        lines.sort_unstable();
        lines
    };
    assert_eq!(words(made.ok(), "new.key"), words(theirs.ok(), "their.key"));
}

#[test]
fn nothing_is_overwritten() {
    let (house, ours) = (open(), Ours::new());
    let client = NetworkCache::of(&house, &house.administrator());
    client.write("there", b"mine");
    symlink("nowhere", client.path("dangling")).unwrap();
    for (arguments, expected) in [
        (&["there", "name"][..], "Key 'there' exists, will not overwrite."),
        (&["dangling", "name"], "Key 'dangling' exists, will not overwrite."),
        (&["--cert-file", "there", "new", "name"], "'there' exists, will not overwrite."),
        (&["--cert-file", "dangling", "new", "name"], "'dangling' exists, will not overwrite."),
        (&["--cert-file", "absent/crt", "new", "name"], "could not write absent/crt"),
        (&["absent/key", "name"], "could not write absent/key"),
        (&["new", ""], "the common name cannot be used"),
    ] {
        let ran = ours.run(&client, "generate-signature-key", &[&["--bits", "1024"], arguments].concat());
        assert_eq!(ran.code, Some(1), "{arguments:?}");
        assert!(ran.stderr.contains(expected), "{}", ran.stderr);
        assert_eq!(std::fs::read(client.path("there")).unwrap(), b"mine");
        assert!(!client.path("new").exists() && !client.path("nowhere").exists());
    }
    for arguments in [&["cache.cfg"][..], &[], &["a", "b", "c"], &["--bits", "512", "a", "b"]] {
        assert_eq!(ours.run(&client, "generate-signature-key", arguments).code, Some(2), "{arguments:?}");
    }
}
