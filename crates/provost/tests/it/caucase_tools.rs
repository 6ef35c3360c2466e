//! The stock tools beside the client: updater, probe, rerequest and key-id.

use testkit::{Caucase, Face, Process, openssl, openssl_ok};

use crate::houses::{certificates_in, ended_without_a_fault, plan, up};

/// Waits until an updater sleeps for the second time: it has done all there is to do.
#[track_caller]
fn until_done(updater: &Process) -> String {
    let is_done = |said: &str| said.matches("Next wake-up at ").count() == 2 && said.ends_with("+0000\n");
    updater.wait_for_stdout(is_done).unwrap_or_else(|said| panic!("{said}\n{}", updater.stderr()))
}

const FILES: &[&str] = &[
    "--cas-ca",
    "cas.pem",
    "--ca",
    "ca.pem",
    "--crl",
    "crl.pem",
    "--crt",
    "crt.pem",
    "--key",
    "one.key.pem",
    "--csr",
    "one.csr.pem",
];

fn updater(face: Face, mode: &str, approval: &str) {
    let count = if approval == "automatically" { "9" } else { "0" };
    let house = plan(face).option("service-auto-approve-count", count).start();
    let admin = house.administrator();
    let client = Caucase::of(&house);
    client.make_request("one");
    if approval == "manually" {
        // Submitted before it begins, it is signed when it asks: it would wait for a minute otherwise.
        let id = client.submit(mode, "one.csr.pem");
        client.run_as(&admin, &["--mode", mode, "--sign-csr", &id]).ok();
    }
    let first_key = client.read("one.key.pem");

    let arguments = [FILES, &["--mode", mode, "--on-renew", "echo hooked >> hook"]].concat();
    let running = client.updater(&arguments);
    let said = until_done(&running);
    let lines: Vec<_> = said
        .lines()
        .filter(|line| !line.starts_with("Next wake-up at ") && !line.starts_with("Waiting for"))
        .collect();
    assert_eq!(lines, ["Bootstraping...", "Bootstrap done", "Got new CA", "Got new CRL"], "{said}");
    drop(running);
    assert_eq!(client.read("hook"), "hooked\n");
    assert_eq!(client.read("one.key.pem"), first_key);
    let verify = ["verify", "-crl_check", "-CAfile", "ca.pem", "-CRLfile", "crl.pem", "crt.pem"];
    openssl(client.directory(), &verify).ok();
    let bootstrapped = client.read("crt.pem");

    // With nothing to do it does nothing.
    let running = client.updater(&arguments);
    let said = until_done(&running);
    assert_eq!(said.lines().filter(|line| !line.starts_with("Next wake-up at ")).count(), 0, "{said}");
    drop(running);

    // When less of the certificate's life is left than the threshold, it is renewed, with a new key.
    let running = client.updater(&[&arguments[..], &["--threshold", "100"]].concat());
    let said = until_done(&running);
    assert!(said.contains("Renewing crt.pem\n"), "{said}");
    drop(running);
    assert_eq!(client.read("hook"), "hooked\nhooked\n");
    assert_ne!(client.read("one.key.pem"), first_key);
    assert_ne!(client.read("crt.pem"), bootstrapped);
    openssl(client.directory(), &verify).ok();
    let public_of_key = openssl_ok(client.directory(), &["pkey", "-in", "one.key.pem", "-pubout"]);
    let public_of_crt = openssl_ok(client.directory(), &["x509", "-in", "crt.pem", "-noout", "-pubkey"]);
    assert_eq!(public_of_key, public_of_crt);
    ended_without_a_fault(house);
}

/// `caucase-updater` asks for a certificate, keeps it, its key, the CA and the CRL, and runs its hook.
#[test]
fn the_updater_keeps_a_service_up_to_date_at_provost_up() {
    updater(Face::Up, "service", "automatically");
}

/// The same at `caucased`, for a request that an administrator signs.
#[test]
fn the_updater_keeps_a_service_up_to_date_at_caucased() {
    updater(Face::Caucased, "service", "manually");
}

/// The same for a user.
#[test]
fn the_updater_keeps_a_user_up_to_date() {
    updater(Face::Up, "user", "manually");
}

/// `caucase-probe` finds the same CA through both ports; what answers there must be a caucase server.
#[test]
fn the_probe_is_content() {
    for face in [Face::Up, Face::Caucased] {
        let mut house = plan(face).start();
        let client = Caucase::of(&house);
        let probe = || client.program("caucase-probe", &[&house.http_url("")]);
        let ran = probe();
        assert_eq!((ran.ok(), ran.stderr.as_str()), ("", ""));
        house.stop();
        let url = house.http_url("");
        assert_ne!(client.program("caucase-probe", &[&url]).code, Some(0));
    }
}

/// `caucase-rerequest` makes a request from an old one, and the server takes it with all its extensions.
#[test]
fn a_rerequest_is_taken() {
    let house = up();
    let client = Caucase::of(&house);
    let options = ["-subj", "/CN=again", "-addext", "subjectAltName=DNS:again.example"];
    testkit::key_and_request(client.directory(), "template", &options);
    let made = ["--template", "template.csr.pem", "--csr", "new.csr.pem", "--key", "new.key.pem"];
    client.program("caucase-rerequest", &made).ok();
    let id = client.submit("service", "new.csr.pem");
    client.run_as(&house.administrator(), &["--sign-csr", &id]).ok();
    client.run(&["--get-crt", &id, "new.key.pem"]).ok();
    let shown = ["x509", "-in", "new.key.pem", "-noout", "-subject", "-ext", "subjectAltName"];
    let expected = "subject=CN = again\nX509v3 Subject Alternative Name: \n    DNS:again.example\n";
    assert_eq!(openssl_ok(client.directory(), &shown), expected);
}

/// `caucase-key-id` names a key as the certificates for it do.
#[test]
fn the_key_id_is_the_certificates() {
    let house = up();
    let client = Caucase::of(&house);
    let admin = house.administrator();
    let admin = admin.to_str().unwrap();
    let ran = client.program("caucase-key-id", &["--private-key", admin]);
    let [certificate] = certificates_in(admin.as_ref()).try_into().unwrap();
    assert_eq!(ran.ok(), format!("{admin} b'{}'\n", certificate.subject_key_id().unwrap()));
}

/// Deployments import the client's Python modules and sign what is pending.
#[test]
fn the_python_modules_work() {
    let house = up();
    let client = Caucase::of(&house);
    client.make_request("one");
    let id = client.submit("service", "one.csr.pem");
    let script = "
import sys
from caucase import utils
from caucase.client import CaucaseClient
client = CaucaseClient(sys.argv[1] + '/cas', user_key=sys.argv[2])
for entry in client.getPendingCertificateRequestList():
    csr = utils.load_certificate_request(utils.toBytes(entry['csr']))
    print(entry['id'], csr.subject.rfc4514_string())
    client.createCertificate(int(entry['id']))
";
    let admin = house.administrator();
    let arguments = ["-c", script, &house.http_url(""), admin.to_str().unwrap()];
    assert_eq!(client.program("python", &arguments).ok(), format!("{id} CN=one\n"));
    client.run(&["--get-crt", &id, "one.key.pem"]).ok();
}
