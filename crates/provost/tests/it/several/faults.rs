//! Members of etcd that die under load, and an etcd without a majority.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use reqwest::blocking::Client;
use testkit::{Etcd, House, exchange, http, wait_until};
use x509::{Certificate, KeySpec};

use super::{administrator, two};
use crate::houses::{csr, get, key, request};

/// What clients were told: the number and the certificate of each request.
#[derive(Default)]
struct Work {
    told: Mutex<BTreeMap<String, (String, Certificate)>>,
    done: AtomicUsize,
    stop: AtomicBool,
}

impl Work {
    /// Submits, approves and fetches, one request after the other and each step at another house. What is refused
    /// because etcd is away is asked again, as clients do.
    fn work(&self, houses: &[House; 2], admin: &Client, name: &str) {
        let ours = key(KeySpec::P256);
        for number in 0.. {
            if self.stop.load(Ordering::SeqCst) {
                return;
            }
            let csr = csr(&ours, &format!("{name}-{number}"));
            let house = |step: usize| &houses[(number + step) % 2];
            let submitted = self.until(201, || {
                let answer = exchange(house(0).http(), request("PUT", "/cas/csr", &[], csr.as_bytes()));
                (answer.status, answer.header("location").map(str::to_owned))
            });
            let id = submitted.unwrap();
            self.until(204, || {
                let answer = admin.put(house(1).https_url(&format!("/cas/crt/{id}"))).send().unwrap();
                // Approved already, though the answer before was that this is not known.
                let status = answer.status().as_u16();
                (if status == 404 && self.is_signed(house(0), &id) { 204 } else { status }, ())
            });
            let body = self.until(200, || {
                let answer = exchange(house(2).http(), get(&format!("/cas/crt/{id}")));
                (answer.status, answer.body)
            });
            let certificate = Certificate::from_pem(&body).unwrap();
            self.told.lock().unwrap().insert(csr, (id, certificate));
            self.done.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn is_signed(&self, house: &House, id: &str) -> bool {
        self.until(200, || {
            let status = exchange(house.http(), get(&format!("/cas/crt/{id}"))).status;
            (if status == 404 { 200 } else { status }, status == 200)
        })
    }

    fn until<T>(&self, wanted: u16, ask: impl Fn() -> (u16, T)) -> T {
        testkit::wait_for("an answer", || {
            let (status, found) = ask();
            if status == wanted {
                return Some(found);
            }
            assert_eq!(status, 503, "only an etcd that is away is a reason");
            None
        })
    }

    fn wait_for_more(&self, more: usize) {
        let before = self.done.load(Ordering::SeqCst);
        wait_until("work to go on", || self.done.load(Ordering::SeqCst) >= before + more);
    }
}

/// Lets clients work at both houses while `happen` does things to etcd; then everything that was told must be
/// there, once.
fn keeps_its_word(mut etcd: Etcd, happen: impl FnOnce(&mut Etcd, &Work)) {
    let houses =
        two(&etcd, |plan| plan.option("store-etcd-deadline-seconds", "2").option("log-access", "off"));
    let admin = administrator(&houses);
    let work = Work::default();
    std::thread::scope(|scope| {
        for name in ["a", "b", "c", "d"] {
            let (work, houses, admin) = (&work, &houses, &admin);
            scope.spawn(move || work.work(houses, &http::holder_of(admin), name));
        }
        let stop_at_the_end = StopAtTheEnd(&work);
        work.wait_for_more(10);
        happen(&mut etcd, &work);
        drop(stop_at_the_end);
    });
    let told = work.told.into_inner().unwrap();
    let mut serials = std::collections::BTreeSet::new();
    for (turn, (csr, (id, certificate))) in told.iter().enumerate() {
        let house = &houses[turn % 2];
        assert!(serials.insert(certificate.serial()), "a serial was given twice");
        let found = exchange(house.http(), get(&format!("/cas/crt/{id}")));
        assert_eq!(found.body, certificate.to_pem().into_bytes());
        let found = exchange(house.http(), get(&format!("/cas/csr/{id}")));
        assert_eq!(found.body, csr.as_bytes());
    }
    let count = |prefix: &str| {
        let keys = etcd.etcdctl(&["get", "--prefix", prefix, "--keys-only"]);
        keys.ok().lines().filter(|line| !line.is_empty()).count()
    };
    // Each request was asked for until it was done, so that what nobody was told of has no reason to be there.
    assert_eq!(count("/ca/services/request/"), told.len());
    assert_eq!(count("/ca/services/certificate/"), told.len());
    assert_eq!(count("/ca/services/pending/"), 0);
    let ledger = etcd.etcdctl(&["get", "/ca/services/ledger", "--print-value-only"]);
    let ledger = ledger.ok().to_owned();
    assert_eq!(ledger.trim(), format!(r#"{{"v":1,"is":{{"received":{},"pending":0}}}}"#, told.len()));
}

/// Stops the work when it is dropped, so that a test that fails ends.
struct StopAtTheEnd<'a>(&'a Work);

impl Drop for StopAtTheEnd<'_> {
    fn drop(&mut self) {
        self.0.stop.store(true, Ordering::SeqCst);
    }
}

#[test]
fn the_only_member_of_etcd_is_sigkilled_under_load() {
    keeps_its_word(Etcd::start(1), |etcd, work| {
        for _ in 0..3 {
            etcd.kill(0);
            etcd.restart(0);
            work.wait_for_more(10);
        }
    });
}

#[test]
fn each_member_of_etcd_is_sigkilled_under_load() {
    keeps_its_word(Etcd::start(3), |etcd, work| {
        for member in 0..3 {
            etcd.kill(member);
            work.wait_for_more(10);
            etcd.restart(member);
            work.wait_for_more(10);
        }
    });
}

/// Without a majority requests are refused with 503, and served again when there is one.
#[test]
fn without_a_majority_nothing_is_served_until_there_is_one() {
    let mut etcd = Etcd::start(3);
    let houses = two(&etcd, |plan| plan.option("store-etcd-deadline-seconds", "1"));
    let admin = http::holder_of(&administrator(&houses));
    let status = |house: &House, path: &str| exchange(house.http(), get(path)).status;
    let submitted = |house: &House, name: &str| {
        let csr = csr(&key(KeySpec::P256), name);
        exchange(house.http(), request("PUT", "/cas/csr", &[], csr.as_bytes())).status
    };
    etcd.kill(0);
    etcd.kill(1);
    for house in &houses {
        wait_until("it to be not ready", || status(house, "/readyz") == 503);
        assert_eq!(status(house, "/healthz"), 200);
        assert_eq!(submitted(house, "during"), 503);
        assert_eq!(status(house, "/cas/crl"), 503, "a list that may be out of date is not handed out");
        assert_eq!(status(house, "/cas/crt/ca.crt.pem"), 200, "what does not change is");
        assert_eq!(admin.get(house.https_url("/cas/csr")).send().unwrap().status(), 503);
    }
    etcd.restart(0);
    for house in &houses {
        wait_until("it to be ready again", || status(house, "/readyz") == 200);
        wait_until("requests to be taken", || submitted(house, "after") == 201);
        assert_eq!(status(house, "/cas/crl"), 200);
        assert_eq!(admin.get(house.https_url("/cas/csr")).send().unwrap().status(), 200);
    }
}
