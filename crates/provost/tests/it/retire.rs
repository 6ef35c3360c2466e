//! An authority whose key somebody else has is given up, and its holders begin anew: with stock clients, which learn nothing
//! of it by themselves.

use serde_json::Value;
use testkit::{Caucase, Etcd, Face, exchange, openssl, openssl_ok, wait_until};
use x509::{Certificate, KeySpec};

use crate::houses::{approve, ended_without_a_fault, get, issued, key, plan, up};
use crate::program::{Ran, provost_in};

#[test]
fn a_compromised_authority_is_given_up_and_holders_begin_anew() {
    let mut house = up();
    let directory = house.directory().to_owned();
    let client = Caucase::of(&house);
    client.obtain("one", &house.administrator());
    let old = Certificate::from_pem(&exchange(house.http(), get("/cas/crt/ca.crt.pem")).body).unwrap();
    let netloc = house.http();
    let retire = |arguments: &[&str]| -> Ran {
        let all = [&["ca", "retire", "--data", "data", "--netloc", &netloc][..], arguments].concat();
        provost_in(&directory, &[], &all)
    };

    // The plan may be read while the server runs.
    let plan = retire(&["services", "--dry-run"]);
    assert_eq!(plan.code, Some(0), "{plan:?}");
    for part in
        ["would be retired  sha256 ", "1 certificate(s) would be worth nothing", "CN=one", "tell each holder"]
    {
        assert!(plan.stdout.contains(part), "{part}: {plan:?}");
    }
    let refused = retire(&["services", "--yes"]);
    assert_eq!(refused.code, Some(75), "the server runs: {refused:?}");
    house.stop();
    let asked = retire(&["services"]);
    assert_eq!(asked.code, Some(75), "{asked:?}");
    assert!(asked.stderr.starts_with("error: nothing was done yet\nhint: read the plan"), "{asked:?}");
    let done = retire(&["services", "--yes", "--json"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    let told: Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!(told["holders"].as_array().unwrap().len(), 1, "{told:#}");
    assert_eq!(told["retired"][0]["sha256"], base::hex::encode(&old.fingerprint()), "{told:#}");

    let again = retire(&["services", "--yes"]);
    assert_eq!(again.code, Some(75), "{again:?}");
    assert!(
        again.stderr.contains("the one that signs was made then\nhint: ") && again.stderr.contains("--again")
    );
    // Another key than that of this store seals nothing of it.
    let key = directory.join("data/store.key");
    let right = std::fs::read_to_string(&key).unwrap();
    let mut other: Value = serde_json::from_str(&right).unwrap();
    let begins = if other["k"].as_str().unwrap().starts_with('A') { "B" } else { "A" };
    other["k"] = format!("{begins}{}", &other["k"].as_str().unwrap()[1..]).into();
    std::fs::write(&key, other.to_string()).unwrap();
    for arguments in [&["server", "--dry-run"][..], &["server", "--yes"]] {
        let refused = retire(arguments);
        assert!(refused.code != Some(0) && refused.stderr.contains("another sealing key"), "{refused:?}");
    }
    std::fs::write(&key, &right).unwrap();

    house.start();
    let new = Certificate::from_pem(&exchange(house.http(), get("/cas/crt/ca.crt.pem")).body).unwrap();
    assert_eq!(told["next"]["sha256"], base::hex::encode(&new.fingerprint()), "{told:#}");
    assert!(new.public_key() != old.public_key());
    assert_eq!(exchange(house.http(), get("/cas/crt/ca.crt.json")).body, b"[]", "nobody vouches for it");
    // The client goes on trusting the old one, and is refused.
    let renewed = client.run(&["--threshold", "100", "--renew-crt", "one.key.pem", ""]);
    assert_ne!(renewed.code, Some(0), "{renewed:?}");
    assert_eq!(client.read("cas.crt.pem").trim(), old.to_pem().trim());
    // As the plan says.
    for file in ["cas.crt.pem", "cas.crl.pem", "one.key.pem"] {
        let _ = std::fs::remove_file(client.path(file));
    }
    let id = client.submit("service", "one.csr.pem");
    approve(&house, "cas", &id);
    client.run(&["--get-crt", &id, "one.crt.pem"]).ok();
    client.run(&[]).ok();
    openssl_ok(
        client.directory(),
        &["verify", "-crl_check", "-CAfile", "cas.crt.pem", "-CRLfile", "cas.crl.pem", "one.crt.pem"],
    );
    std::fs::write(client.path("old.pem"), old.to_pem()).unwrap();
    let by_old = openssl(client.directory(), &["verify", "-CAfile", "old.pem", "one.crt.pem"]);
    assert_ne!(by_old.code, Some(0), "{by_old:?}");

    // Of the users: whoever signed in does no more, and a new administrator does.
    let before = std::fs::read(house.administrator()).unwrap();
    house.stop();
    let done = retire(&["users", "--yes"]);
    assert!(
        done.code == Some(0) && done.stdout.contains("admin.pem has a new administrator's key"),
        "{done:?}"
    );
    assert_ne!(std::fs::read(house.administrator()).unwrap(), before);
    house.start();
    client.make_request("two");
    let id = client.submit("service", "two.csr.pem");
    approve(&house, "cas", &id);
    std::fs::write(directory.join("before.pem"), before).unwrap();
    let former = testkit::http::holder_of(&directory.join("before.pem"));
    assert!(former.get(house.https_url("/cas/csr")).send().is_err(), "the handshake refuses it");
    let history = provost_in(&directory, &[], &["audit", "show", "--data", "data", "--what", "retired"]);
    assert_eq!(history.stdout.matches("CA certificate retired").count(), 2, "{history:?}");
    ended_without_a_fault(house);
}

/// A server that goes on running on the same etcd has signed with the old key, and has numbers for more.
#[test]
fn a_server_on_the_same_etcd_goes_on_with_the_new_key() {
    let etcd = Etcd::start(1);
    let house = plan(Face::Up).etcd(&etcd).start();
    let shown = || Certificate::from_pem(&exchange(house.http(), get("/cas/crt/ca.crt.pem")).body).unwrap();
    let service = key(KeySpec::P256);
    let old = shown();
    issued(&house, &service, "before").verify_signature(old.public_key()).unwrap();

    let elsewhere = tempfile::tempdir().unwrap();
    let data = elsewhere.path().join("data");
    std::fs::create_dir(&data).unwrap();
    std::fs::copy(house.data().join("store.key"), data.join("store.key")).unwrap();
    let endpoint = format!("--store-etcd-endpoints={}", etcd.endpoint(0));
    let line =
        ["ca", "retire", "services", "--yes", "--json", "--data", "data", "--store-engine=etcd", &endpoint];
    let done = provost_in(elsewhere.path(), &[], &line);
    assert_eq!(done.code, Some(0), "{done:?}");
    let told: Value = serde_json::from_str(&done.stdout).unwrap();
    let new = Certificate::from_pem(told["next"]["pem"].as_str().unwrap().as_bytes()).unwrap();
    // At once, whether or not it has heard of it.
    issued(&house, &service, "after").verify_signature(new.public_key()).unwrap();
    wait_until("the new CA certificate to be shown", || shown() == new);
    ended_without_a_fault(house);
}
