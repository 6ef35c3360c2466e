//! One CA certificate hands over to the next, in seconds: with a leaf life `L` of 13 s a CA certificate
//! lives for 52 s, is back-dated by 10 s, gets a successor when 26 s are left, so after 16 s, which signs
//! when it is 13 s old by its dates, so 3 s later. The years of the default life are played through with
//! another clock in the unit tests of `ca`.

use std::path::Path;

use testkit::{Caucase, Face, House, exchange, http, openssl, wait_for, wait_until};
use x509::{Certificate, KeySpec};

use crate::houses::{
    RSA, certificate, certificates_in, csr, ended_without_a_fault, get, key, plan, revocation_lists, submit,
};

/// 13 s, in days.
const LIFE: &str = "0.00015046";

/// How many envelopes the chain of an authority has.
fn chain_length(house: &House, authority: &str) -> usize {
    let answer = exchange(house.http(), get(&format!("/{authority}/crt/ca.crt.json")));
    let chain: Vec<serde_json::Value> = serde_json::from_slice(&answer.body).unwrap();
    chain.len()
}

fn anchor(house: &House, authority: &str) -> Certificate {
    let answer = exchange(house.http(), get(&format!("/{authority}/crt/ca.crt.pem")));
    Certificate::from_pem(&answer.body).unwrap()
}

/// Runs an updater that keeps only the CA and the CRL, until it has done so; what it said beside when it
/// will wake up.
fn update(client: &Caucase) -> Vec<String> {
    let updater = client.updater(&["--cas-ca", "cas.pem", "--ca", "ca.pem", "--crl", "crl.pem"]);
    let is_done = |said: &str| said.matches("Next wake-up at ").count() == 2 && said.ends_with("+0000\n");
    let said = updater.wait_for_stdout(is_done).unwrap_or_else(|said| panic!("{said}\n{}", updater.stderr()));
    said.lines().filter(|line| !line.starts_with("Next wake-up at ")).map(str::to_owned).collect()
}

/// Whether the first certificate in `file` has a chain to one in `trust`, whatever the time.
fn chains(directory: &Path, trust: &str, file: &str) -> bool {
    openssl(directory, &["verify", "-no_check_time", "-CAfile", trust, file]).code == Some(0)
}

fn services(face: Face) {
    let house =
        plan(face).option("service-crt-validity", LIFE).option("service-auto-approve-count", "1000").start();
    let early = Caucase::of(&house);
    early.run(&[]).ok();
    std::fs::copy(early.path("cas.crt.pem"), early.path("only-first.pem")).unwrap();
    let [first] = certificates_in(&early.path("cas.crt.pem")).try_into().unwrap();
    assert_eq!(update(&early), ["Got new CA", "Got new CRL"]);
    assert_eq!(chain_length(&house, "cas"), 0);

    wait_until("a second CA certificate", || chain_length(&house, "cas") == 1);
    // It is handed out before it signs, and newcomers still begin with the oldest.
    let ours = key(KeySpec::P256);
    let mut asked = 0;
    let mut next = || {
        asked += 1;
        let id = submit(&house, "cas", &csr(&ours, &format!("number {asked}")));
        certificate(&house, "cas", &id)
    };
    assert_eq!(next().authority_key_id(), first.subject_key_id().map(|id| id.as_bytes().to_vec()));
    assert_eq!(anchor(&house, "cas"), first);
    assert_eq!(update(&early), ["Got new CA", "Got new CRL"]);
    let [old, new] = certificates_in(&early.path("ca.pem")).try_into().unwrap();
    assert_eq!(old, first);
    assert_eq!(new.subject(), first.subject());
    assert_ne!(new.public_key(), first.public_key());

    // Both have a revocation list: the older's first, and the same in all but the name of the key.
    let [one, two] = revocation_lists(&house, "cas").try_into().unwrap();
    one.verify_signature(first.public_key()).unwrap();
    two.verify_signature(new.public_key()).unwrap();
    assert_eq!((one.number(), one.this_update()), (two.number(), two.this_update()));

    let by_new = wait_for("a certificate signed by the new CA certificate", || {
        let issued = next();
        (issued.authority_key_id() == new.subject_key_id().map(|id| id.as_bytes().to_vec())).then_some(issued)
    });
    std::fs::write(early.path("late.pem"), by_new.to_pem()).unwrap();
    // Who knew the first alone learns the second from its signature, and then trusts what it signed.
    assert!(!chains(early.directory(), "cas.crt.pem", "late.pem"));
    early.run(&[]).ok();
    assert!(chains(early.directory(), "cas.crt.pem", "late.pem"));
    assert!(!chains(early.directory(), "only-first.pem", "late.pem"));
    // A newcomer ends up with the same two.
    let late = Caucase::of(&house);
    late.run(&[]).ok();
    assert_eq!(late.read("cas.crt.pem"), early.read("cas.crt.pem"));
    ended_without_a_fault(house);
}

/// The chain grows, the updater says `Got new CA`, and trusting one CA certificate suffices for the next.
#[test]
fn services_cross_a_rollover_at_provost_up() {
    services(Face::Up);
}

/// The same at `caucased`.
#[test]
fn services_cross_a_rollover_at_caucased() {
    services(Face::Caucased);
}

/// Users of a CA certificate that was made after the start are let in by TLS, without a restart; when
/// their certificate ends, so does that.
#[test]
fn users_of_a_later_ca_certificate_are_let_in() {
    let house =
        plan(Face::Up).option("user-crt-validity", LIFE).option("user-auto-approve-count", "1000").start();
    let first = anchor(&house, "cau").subject_key_id().map(|id| id.as_bytes().to_vec());
    wait_until("a second CA certificate", || chain_length(&house, "cau") == 1);
    let file = house.directory().join("user.pem");
    wait_for("a user of the new CA certificate", || {
        let ours = key(RSA);
        let id = submit(&house, "cau", &csr(&ours, "late"));
        let issued = certificate(&house, "cau", &id);
        std::fs::write(&file, [ours.to_pem().expose().as_str(), &issued.to_pem()].concat()).unwrap();
        (issued.authority_key_id() != first).then_some(())
    });
    let asks = || http::holder_of(&file).get(house.https_url("/cas/csr")).send();
    assert_eq!(asks().unwrap().status(), 200);
    // A connection each time: an open one stays what it was.
    wait_until("the end of the user's certificate", || asks().is_err());
    ended_without_a_fault(house);
}
