//! The authorities' keys in a PKCS#11 token: the real SoftHSM, `provost up`, and the stock clients of caucase.

use std::path::Path;
use std::process::Command;

use testkit::{Caucase, Face, House, Ran, SoftHsm, exchange, openssl, openssl_ok, run, wait_until};
use x509::Certificate;

use crate::houses::{certificates_in, ended_without_a_fault, get, plan, revocation_lists};
use crate::program::PROVOST;

const LABEL: &str = "provost";
/// What `/readyz` says while it is not there.
const AWAY: &str = "ready, but the token with the CA keys cannot be used\n";

fn provost(house: &House, line: &str) -> Ran {
    let mut command = Command::new(PROVOST);
    command.args(line.split_whitespace()).current_dir(house.directory()).env_clear();
    run(command.env("HOME", "/nonexistent"))
}

fn page(house: &House, path: &str) -> String {
    String::from_utf8(exchange(house.http(), get(path)).body).unwrap()
}

/// Whether `openssl` finds the certificate in `file` good, by the CA and the revocation list the client has.
fn verifies(client: &Caucase, file: &str) -> Result<(), String> {
    let lists = ["verify", "-crl_check", "-CAfile", "cas.crt.pem", "-CRLfile", "cas.crl.pem", file];
    let ran = openssl(client.directory(), &lists);
    if ran.code == Some(0) { Ok(()) } else { Err(ran.stderr) }
}

/// What SoftHSM has, as it says itself: how many keys of each authority.
fn keys_in(hsm: &SoftHsm) -> usize {
    let token = std::fs::read_dir(hsm.folder().join("tokens")).unwrap().next().unwrap().unwrap().path();
    let objects = std::fs::read_dir(token).unwrap().filter(|entry| {
        entry.as_ref().unwrap().path().extension().is_some_and(|extension| extension == "object")
    });
    // Two halves each.
    objects.count() / 2
}

/// The whole life of a certificate, whose issuer's key is where nobody can take it.
#[test]
fn a_life_with_all_keys_in_a_token() {
    let hsm = SoftHsm::new(LABEL);
    let mut house = plan(Face::Up).token(&hsm, LABEL).start();
    assert_eq!(keys_in(&hsm), 3);
    let admin = house.administrator();
    let client = Caucase::of(&house);
    client.obtain("one", &admin);
    verifies(&client, "one.key.pem").unwrap();
    std::fs::copy(client.path("one.key.pem"), client.path("old.pem")).unwrap();
    client.run(&["--threshold", "100", "--renew-crt", "one.key.pem", ""]).ok();
    client.run(&["--revoke-crt", "old.pem", ""]).ok();
    verifies(&client, "one.key.pem").unwrap();
    assert!(verifies(&client, "old.pem").unwrap_err().contains("certificate revoked"));
    assert_eq!(page(&house, "/readyz"), "ready\n");
    wait_until("the meter to be there", || page(&house, "/metrics").contains("provost_ca_token_up 1\n"));

    // The next key is there as well, and the one before it vouches for it, by RSA-PSS.
    provost(&house, "ca rotate services --yes --data data").ok();
    assert_eq!(keys_in(&hsm), 4);
    client.run(&[]).ok();
    assert_eq!(certificates_in(&client.path("cas.crt.pem")).len(), 2, "the stock client followed");
    let told = provost(&house, "audit show --what made --json --data data");
    assert_eq!(told.ok().matches("token provost").count(), 4, "{told:?}");

    // Neither caucase's formats nor anybody else gets the keys; our backup says so.
    let made = provost(&house, "backup --data data --unencrypted out.tar");
    let said = "its key is in the PKCS#11 token `provost`, and not in the backup";
    assert_eq!(made.code, Some(0), "{made:?}");
    assert_eq!(made.stderr.matches(said).count(), 4, "{made:?}");

    // A restart finds them again, and a token that is away is waited for.
    house.stop();
    let refused = provost(&house, "ca export out.sqlite --data data");
    assert_ne!(refused.code, Some(0));
    assert!(refused.stderr.contains("PKCS#11 token `provost`, which never gives it away"), "{refused:?}");
    hsm.take_out();
    let said = house.refuses();
    assert!(said.contains("there is no PKCS#11 token `provost`; its module knows of none"), "{said}");
    hsm.put_back();
    std::fs::remove_dir_all(house.data()).unwrap();
    provost(&house, "restore out.tar --data data").ok();
    house.start();
    client.obtain("two", &admin);
    verifies(&client, "two.key.pem").unwrap();
    // It says which key belongs to nobody, and that is none.
    assert!(!house.process().stderr().contains("belongs to no CA certificate"));
    ended_without_a_fault(house);
}

/// What was sealed in the store hands over to a token, which then goes away and comes back.
#[test]
fn a_house_moves_into_a_token_that_is_not_always_there() {
    let hsm = SoftHsm::new(LABEL);
    let mut house = plan(Face::Up).start();
    let admin = house.administrator();
    let client = Caucase::of(&house);
    client.obtain("one", &admin);
    let before = client.read("cas.crt.pem");
    house.stop();

    // A PIN that is wrong: nothing that is there needs it, so the house stands.
    hsm.say_pin("battery-staple");
    house.set_token(&hsm, LABEL);
    house.start();
    let refused = provost(&house, "ca rotate services --yes --data data");
    assert!(
        refused.code == Some(69) && refused.stderr.contains("the same PIN is not tried again"),
        "{refused:?}"
    );
    let said = house.process().stderr();
    assert!(said.contains("the PKCS#11 token `provost` refused the PIN"), "{said}");
    assert!(!refused.stderr.contains("battery"), "{refused:?}");
    assert_eq!(page(&house, "/readyz"), AWAY);
    client.obtain("two", &admin);
    verifies(&client, "two.key.pem").unwrap();
    hsm.say_right_pin();
    for authority in ["services", "users", "server"] {
        provost(&house, &format!("ca rotate {authority} --yes --data data")).ok();
    }
    assert_eq!(keys_in(&hsm), 3);
    // The stock client believes the new one by the word of the one it has.
    client.run(&[]).ok();
    let trusted = certificates_in(&client.path("cas.crt.pem"));
    assert_eq!(trusted.len(), 2);
    assert!(client.read("cas.crt.pem").contains(before.trim()));
    verifies(&client, "one.key.pem").unwrap();
    let lists = revocation_lists(&house, "cas");
    assert_eq!(lists.len(), 2);
    let is_listed =
        |anchor: &Certificate| lists.iter().any(|list| list.verify_signature(anchor.public_key()).is_ok());
    assert!(trusted.iter().all(is_listed));

    // Without the token: whoever reads or signs in notices nothing, and what the sealed key signs goes on.
    hsm.take_out();
    wait_until("the house to see it", || page(&house, "/readyz") == AWAY);
    wait_until("the meter to say so", || page(&house, "/metrics").contains("provost_ca_token_up 0\n"));
    client.obtain("three", &admin);
    client.run_as(&admin, &["--revoke-other-crt", "three.key.pem"]).ok();
    client.run(&[]).ok();
    openssl_ok(client.directory(), &["verify", "-CAfile", "cas.crt.pem", "three.key.pem"]);
    client.run_as(&admin, &["--list-csr"]).ok();
    let page_of_chain = page(&house, "/cas/crt/ca.crt.json");
    assert!(page_of_chain.contains("BEGIN CERTIFICATE"));

    // It is back, and nobody has to do anything: the list with what was revoked meanwhile is there.
    hsm.put_back();
    wait_until("the house to see it", || page(&house, "/readyz") == "ready\n");
    let revoked = certificates_in(&client.path("three.key.pem"))[0].serial();
    wait_until("the list to be signed", || {
        let lists = revocation_lists(&house, "cas");
        lists.iter().all(|list| list.entries().iter().any(|entry| entry.serial == revoked))
    });
    client.run(&[]).ok();
    assert!(verifies(&client, "three.key.pem").unwrap_err().contains("certificate revoked"));
    let ran = house.stop();
    assert!(
        ran.stderr.contains("the token cannot be used") && ran.stderr.contains("can be used again"),
        "{ran:?}"
    );
    assert!(!ran.stderr.contains("battery") && !ran.stderr.contains("horse"), "{ran:?}");
}

/// While the token is away that the signing key is in, whoever asks for a signature is told so.
#[test]
fn without_the_token_nothing_is_issued() {
    let hsm = SoftHsm::new(LABEL);
    let house = plan(Face::Up).token(&hsm, LABEL).start();
    let admin = house.administrator();
    let client = Caucase::of(&house);
    client.obtain("one", &admin);
    client.make_request("two");
    let id = client.submit("service", "two.csr.pem");
    hsm.take_out();
    let refused = client.run_as(&admin, &["--sign-csr", &id]);
    assert!(refused.code == Some(1) && refused.stderr.contains("(503, "), "{refused:?}");
    let said = house.process().stderr();
    assert!(said.contains("the token cannot be used") && said.contains("PKCS#11 token `provost`"), "{said}");
    // It waits as before, and what was there can be read.
    assert!(client.run_as(&admin, &["--list-csr"]).ok().contains(&id));
    client.run(&[]).ok();
    verifies(&client, "one.key.pem").unwrap();
    hsm.put_back();
    client.run_as(&admin, &["--sign-csr", &id]).ok();
    client.run(&["--get-crt", &id, "two.key.pem"]).ok();
    verifies(&client, "two.key.pem").unwrap();
    let [certificate] = &certificates_in(&client.path("two.key.pem"))[..] else { panic!("one") };
    is_good(certificate, &client.path("cas.crt.pem"));
}

/// Whatever is retired, perhaps on a copy of the house, no key in the token is deleted; and a start to which the PIN is
/// refused is the last that is made of itself.
#[test]
fn a_retirement_leaves_its_key_in_the_token() {
    let hsm = SoftHsm::new(LABEL);
    let mut house = plan(Face::Up).token(&hsm, LABEL).start();
    house.stop();
    let netloc = house.http();
    let with_token = |arguments: &[&str]| {
        let mut command = Command::new(PROVOST);
        command.args(arguments).args(["--data", "data", "--netloc", &netloc]);
        command.args(["--ca-token-module", SoftHsm::MODULE, "--ca-token-label", LABEL]);
        command.arg("--ca-token-pin-file").arg(hsm.pin_file());
        command.current_dir(house.directory()).env_clear().env("HOME", "/nonexistent");
        run(command.env(SoftHsm::VARIABLE, hsm.conf()))
    };
    hsm.say_pin("battery-staple");
    let refused = with_token(&["up"]);
    assert!(refused.code == Some(78) && refused.stderr.contains("refused the PIN"), "{refused:?}");
    // The plan needs no token.
    let plan = with_token(&["ca", "retire", "services", "--dry-run"]);
    for part in [
        "stays in the PKCS#11 token `provost`",
        "1. change the PIN of the PKCS#11 token, or name another",
        "ca.token.new_keys = false",
        "--token-label 'provost' --delete-object --type privkey --id ",
    ] {
        assert!(plan.code == Some(0) && plan.stdout.contains(part), "{part}: {plan:?}");
    }
    // And nothing is given up where the next key cannot be made.
    let failed = with_token(&["ca", "retire", "services", "--yes"]);
    assert!(failed.code == Some(69) && failed.stderr.contains("the authority was not retired"), "{failed:?}");
    hsm.say_right_pin();
    with_token(&["ca", "retire", "services", "--yes"]).ok();
    assert_eq!(keys_in(&hsm), 4);
    house.start();
    assert!(house.process().stderr().contains("belongs to no CA certificate"));
    let told = provost(&house, "audit show --what retired --json --data data");
    assert_eq!(told.ok().matches("key_left_in").count(), 1, "{told:?}");
    ended_without_a_fault(house);
}

fn is_good(certificate: &Certificate, anchors: &Path) {
    x509::verify(certificate, &certificates_in(anchors), base::Clock::system().now()).unwrap();
}
