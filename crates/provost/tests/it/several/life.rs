//! What clients do, spread over both.

use std::collections::BTreeSet;
use std::sync::Mutex;

use testkit::{Caucase, Etcd, exchange, http, wait_until};
use x509::{Crl, KeySpec};

use super::{administrator, two};
use crate::houses::{csr, get, key, request, revocation_lists};

/// The stock client submits at one, is approved at the other, and so on; each step is seen by the next at once.
#[test]
fn a_stock_client_goes_from_one_to_the_other() {
    let etcd = Etcd::start(1);
    let houses = two(&etcd, |plan| plan);
    let admin = administrator(&houses);
    let [one, other] = &houses;
    let mut client = Caucase::of(one);
    client.make_request("service");
    let id = client.submit("service", "service.csr.pem");

    client.turn_to(other);
    assert!(client.run_as(&admin, &["--list-csr"]).ok().contains(&id));
    client.run_as(&admin, &["--sign-csr", &id]).ok();
    client.turn_to(one);
    client.run(&["--get-crt", &id, "service.key.pem"]).ok();
    // The holder renews at the other what was fetched from one.
    client.turn_to(other);
    std::fs::copy(client.path("service.key.pem"), client.path("old.pem")).unwrap();
    client.run(&["--threshold", "100", "--renew-crt", "service.key.pem", ""]).ok();
    assert_ne!(client.read("service.key.pem"), client.read("old.pem"));

    client.turn_to(one);
    client.run(&["--revoke-crt", "old.pem", ""]).ok();
    let old = crate::houses::certificates_in(&client.path("old.pem")).remove(0);
    for house in [other, one] {
        assert!(revocation_lists(house, "cas")[0].contains(&old.serial()));
    }
    client.turn_to(other);
    let again = client.run(&["--revoke-crt", "old.pem", ""]);
    assert_ne!(again.code, Some(0), "it is revoked: {again:?}");
    let renewed = client.run(&["--threshold", "100", "--renew-crt", "old.pem", ""]);
    assert_ne!(renewed.code, Some(0), "who is revoked gets nothing new: {renewed:?}");
    // The new one is as good as ever.
    client.run(&["--threshold", "100", "--renew-crt", "service.key.pem", ""]).ok();
}

/// What is read at one and kept there is read anew once the other has changed it.
#[test]
fn a_host_that_changes_at_one_has_changed_at_the_other() {
    let etcd = Etcd::start(1);
    let houses = two(&etcd, |plan| plan);
    let client = http::holder_of(&administrator(&houses));
    let ask = |house: usize, method: &str, path: &str| {
        let url = houses[house].https_url(&format!("/api/v0{path}"));
        let answer = client.request(method.parse().unwrap(), url).send().unwrap();
        (answer.status().as_u16(), answer.text().unwrap())
    };
    for n in 0..10 {
        let (one, other) = (n % 2, 1 - n % 2);
        for house in [one, other, one, other] {
            assert_eq!(ask(house, "GET", "/hosts"), (200, "[]".into()));
            assert_eq!(ask(house, "GET", "/host/h").0, 404);
        }
        assert_eq!(ask(one, "PUT", "/host/h").0, 201);
        for house in [other, one, other, one] {
            assert!(ask(house, "GET", "/hosts").1.contains(r#""address":"h""#));
            assert_eq!(ask(house, "GET", "/host/h").0, 200);
        }
        assert_eq!(ask(other, "DELETE", "/host/h").0, 200);
    }
}

/// An administrator who is revoked at one is refused by the other, on a connection that is open already.
#[test]
fn an_administrator_revoked_at_one_is_refused_by_the_other() {
    let etcd = Etcd::start(1);
    let houses = two(&etcd, |plan| plan);
    let admin = administrator(&houses);
    let [one, other] = &houses;
    let (at_one, at_other) = (http::holder_of(&admin), http::holder_of(&admin));
    let ask = || at_other.get(other.https_url("/cau/csr")).send().unwrap().status();
    assert_eq!(ask(), 200);
    let certificate = std::fs::read_to_string(&admin).unwrap();
    let certificate = &certificate[certificate.find("-----BEGIN CERTIFICATE").unwrap()..];
    let body = crate::houses::unsigned(&serde_json::json!({ "revoke_crt_pem": certificate }));
    let revoked = at_one
        .put(one.https_url("/cau/crt/revoke"))
        .header("Content-Type", "application/json")
        .body(body)
        .send()
        .unwrap();
    assert_eq!(revoked.status(), 204, "{}", revoked.text().unwrap());
    assert_eq!(ask(), 401);
    assert_eq!(at_one.get(one.https_url("/cau/csr")).send().unwrap().status(), 401);
}

/// However the first requests are spread, as many are approved at once as were to be, and no serial is given twice.
#[test]
fn the_automatic_count_is_exact_over_both() {
    const COUNT: usize = 50;
    let etcd = Etcd::start(1);
    let houses = two(&etcd, |plan| {
        plan.option("service-auto-approve-count", &COUNT.to_string()).option("service-max-csr", "1000")
    });
    let ids = Mutex::new(BTreeSet::new());
    std::thread::scope(|scope| {
        for client in 0..8 {
            let (house, ids) = (&houses[client % 2], &ids);
            scope.spawn(move || {
                let ours = key(KeySpec::P256);
                for number in 0..15 {
                    let id = crate::houses::submit(house, "cas", &csr(&ours, &format!("{client}-{number}")));
                    assert!(ids.lock().unwrap().insert(id), "a number was given twice");
                }
            });
        }
    });
    let ids = ids.into_inner().unwrap();
    assert_eq!(ids.len(), 120);
    let mut serials = BTreeSet::new();
    for (turn, id) in ids.iter().enumerate() {
        let answer = exchange(houses[turn % 2].http(), get(&format!("/cas/crt/{id}")));
        if answer.status == 200 {
            let certificate = x509::Certificate::from_pem(&answer.body).unwrap();
            assert!(serials.insert(certificate.serial()), "a serial was given twice");
        } else {
            assert_eq!(answer.status, 404, "{answer:?}");
        }
    }
    assert_eq!(serials.len(), COUNT);
    // The same bytes are the same request, wherever they come.
    let csr = csr(&key(KeySpec::P256), "same");
    let put = || request("PUT", "/cas/csr", &[], csr.as_bytes());
    let [first, second] = [&houses[0], &houses[1]].map(|house| exchange(house.http(), put()));
    assert_eq!(first.header("location"), second.header("location"));
}

/// With a leaf life of 13 s there is a second CA certificate after 16 s (see `rollover.rs`): one, at both, with
/// the same lists of revocations.
#[test]
fn both_cross_a_rollover_together() {
    let etcd = Etcd::start(1);
    let houses = two(&etcd, |plan| {
        plan.option("service-crt-validity", "0.00015046").option("user-crt-validity", "0.00015046")
    });
    // Which certificates hand over to which; the signatures differ each time.
    let chain = |house: usize, authority: &str| {
        let answer = exchange(houses[house].http(), get(&format!("/{authority}/crt/ca.crt.json")));
        let chain: Vec<serde_json::Value> = serde_json::from_slice(&answer.body).unwrap();
        chain.iter().map(|link| link["payload"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    for authority in ["cas", "cau"] {
        wait_until("a second CA certificate at one", || !chain(0, authority).is_empty());
        wait_until("the same at the other", || chain(1, authority) == chain(0, authority));
    }
    let made = etcd.etcdctl(&["get", "--prefix", "/history/", "--print-value-only"]);
    let made = made.ok().lines().filter(|line| line.contains("CA certificate made")).count();
    let keys = ["services", "users", "server"]
        .map(|name| etcd.etcdctl(&["get", "--prefix", &format!("/ca/{name}/issuer/"), "--keys-only"]));
    let keys: Vec<_> = keys.iter().flat_map(|ran| ran.ok().lines().filter(|line| !line.is_empty())).collect();
    assert_eq!(made, keys.len(), "each is told of once: {keys:?}");
    assert!(keys.iter().any(|key| key.ends_with("services/issuer/00000002")), "{keys:?}");
    let lists = |house: usize| {
        let answer = exchange(houses[house].http(), get("/cas/crl"));
        (Crl::all_from_pem(&answer.body).unwrap()[0].number(), answer.body)
    };
    let (number, list) = lists(0);
    let (other_number, other_list) = lists(1);
    assert!(other_number > number || other_list == list, "one number, one list");
}
