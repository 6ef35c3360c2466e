//! Ours and the stock programs on the same files, in turns, in the middle of a certificate's life.

use testkit::{Caucase, Face};

use super::updater::{FILES, until_done};
use super::{By, Ours, is_good};

/// Renews the same certificate again and again, in turns, by `caucase` and by `caucase-updater`.
fn in_turns(server: By) {
    let server = server.start("9", &[]);
    let ours = Ours::new();
    let mut client = ours.client(&server.url());
    // In two files, which ours begin with.
    client.make_request("one");
    let id = client.submit("service", "one.csr.pem");
    client.run(&["--get-crt", &id, "crt.pem", "--ca-crt", "ca.pem", "--crl", "crl.pem"]).ok();
    // And in one, which theirs begin with.
    client.switch_to(None);
    client.make_request("both");
    let id = client.submit("service", "both.csr.pem");
    client.run(&["--get-crt", &id, "both.key.pem"]).ok();

    let mut seen = vec![client.read("crt.pem"), client.read("both.key.pem")];
    for turn in 0..3 {
        for programs in [Some(ours.folder()), None] {
            client.switch_to(programs);
            let renew = ["--renew-crt", "crt.pem", "one.key.pem", "--renew-crt", "both.key.pem", ""];
            let more = ["--threshold", "100", "--ca-crt", "ca.pem", "--crl", "crl.pem"];
            assert_eq!(client.run(&[&renew[..], &more].concat()).ok(), "", "turn {turn}");
            is_good(&client, "crt.pem", "one.key.pem", "ca.pem", "crl.pem");
            is_good(&client, "both.key.pem", "both.key.pem", "ca.pem", "crl.pem");
            seen.extend([client.read("crt.pem"), client.read("both.key.pem")]);

            let updater = client.updater(&[FILES, &["--threshold", "100"]].concat());
            assert!(until_done(&updater).contains("Renewing crt.pem\n"));
            drop(updater);
            is_good(&client, "crt.pem", "one.key.pem", "ca.pem", "crl.pem");
            seen.push(client.read("crt.pem"));
        }
    }
    let count = seen.len();
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), count, "each time it was another certificate");

    // Whoever has it last can revoke it.
    client.switch_to(Some(ours.folder()));
    let files = ["--ca-crt", "ca.pem", "--crl", "crl.pem"];
    client.run(&[&["--revoke-crt", "crt.pem", "one.key.pem"][..], &files].concat()).ok();
    let verify = ["verify", "-crl_check", "-CAfile", "ca.pem", "-CRLfile", "crl.pem", "crt.pem"];
    let refused = testkit::openssl(client.directory(), &verify);
    assert!(refused.stderr.contains("certificate revoked"), "{refused:?}");
}

#[test]
fn ours_and_theirs_take_turns_at_provost_up() {
    in_turns(By::Us(Face::Up));
}

#[test]
fn ours_and_theirs_take_turns_at_the_stock_server() {
    in_turns(By::Them);
}

/// What ours keep in folders is to theirs what they would keep there, and the other way round: nothing is written again.
#[test]
fn folders_are_shared() {
    let server = By::Them.start("0", &[]);
    let ours = Ours::new();
    let mut client: Caucase = ours.client(&server.url());
    let folders = ["--ca-crt", "trust", "--crl", "trust", "--on-renew", "echo hook"];
    assert_eq!(client.run(&folders).ok(), "hook\n");
    let files = || super::contents(&client.path("trust"));
    let first = files();
    assert_eq!(first.len(), 2);
    client.switch_to(None);
    assert_eq!(client.run(&folders).ok(), "");
    client.switch_to(Some(ours.folder()));
    assert_eq!(client.run(&folders).ok(), "");
    assert_eq!(super::contents(&client.path("trust")), first);
}

/// A certificate of another kind than RSA, which the stock programs do not renew, gets a key of its own kind; and its holder
/// can revoke it.
#[test]
fn keys_stay_of_their_kind() {
    let server = By::Us(Face::Up).start("9", &[]);
    let ours = Ours::new();
    let client = ours.client(&server.url());
    let curves = ["P-256", "P-384"].map(|curve| format!("ec_paramgen_curve:{curve}"));
    let kinds: [&[&str]; 4] = [
        &["-newkey", "rsa:3072"],
        &["-newkey", "ec", "-pkeyopt", &curves[0]],
        &["-newkey", "ec", "-pkeyopt", &curves[1]],
        &["-newkey", "ed25519"],
    ];
    for (name, options) in ["rsa", "p256", "p384", "ed"].into_iter().zip(kinds) {
        testkit::key_and_request(client.directory(), name, &[options, &["-subj", "/CN=x"]].concat());
        let id = client.submit("service", &format!("{name}.csr.pem"));
        let file = format!("{name}.key.pem");
        client.run(&["--get-crt", &id, &file]).ok();
        let kind = || {
            let [certificate] = crate::houses::certificates_in(&client.path(&file)).try_into().unwrap();
            let key = certificate.public_key().clone();
            (format!("{:?}", key.kind()), key.key_id())
        };
        let (first, first_key) = kind();
        assert_eq!(client.run(&["--threshold", "100", "--renew-crt", &file, ""]).ok(), "");
        is_good(&client, &file, &file, "cas.crt.pem", "cas.crl.pem");
        let (second, second_key) = kind();
        // How long RSA keys are is said by --key-len.
        assert_eq!(second, first.replace("3072", "2048"), "{name}");
        assert_ne!(second_key, first_key);
        client.run(&["--revoke-crt", &file, ""]).ok();
        let verify = ["verify", "-crl_check", "-CAfile", "cas.crt.pem", "-CRLfile", "cas.crl.pem", &file];
        let refused = testkit::openssl(client.directory(), &verify);
        assert!(refused.stderr.contains("certificate revoked"), "{refused:?}");
    }
}
