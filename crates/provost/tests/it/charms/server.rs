//! The provider as it hands on the CA certificates of a Provost server.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base::{Clock, Span};
use serde_json::{Value, json};
use testkit::{Face, House, StandIn, StandInReply, exchange, wait_for, wait_until};
use x509::{CertificateTemplate, KeySpec, Name, Serial, extension};

use super::{By, PROVIDER, Pair, REQUIRER, pair};
use crate::houses::{ended_without_a_fault, get, key, plan, up};

/// A leaf's life of 13 s, in days: see `rollover`.
const LIFE: &str = "0.00015046";

/// The oldest CA certificate of an authority, as it is handed on.
fn oldest(house: &House, authority: &str) -> String {
    let answer = exchange(house.http(), get(&format!("/{authority}/crt/ca.crt.pem")));
    String::from_utf8(answer.body).unwrap().trim_end().to_owned()
}

/// And how many follow others.
fn followers(house: &House) -> usize {
    let answer = exchange(house.http(), get("/cas/crt/ca.crt.json"));
    serde_json::from_slice::<Vec<Value>>(&answer.body).unwrap().len()
}

/// What the server proves itself by.
fn server_ca(house: &House) -> String {
    std::fs::read_to_string(house.data().join("server-ca.pem")).unwrap()
}

fn set(texts: &[&str]) -> BTreeSet<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

impl Pair {
    /// What the provider's leader has published.
    fn published(&self, relation: u64) -> BTreeSet<String> {
        let bag = self.juju.bag(relation, "provider");
        bag.get("certificates").map(|list| serde_json::from_str(list).unwrap()).unwrap_or_default()
    }

    /// Everything is looked at anew.
    fn look(&mut self) {
        self.juju.hook("provider/0", "update-status", &[]);
        self.juju.settle();
    }

    fn status(&self) -> (String, String) {
        let [status, why]: [String; 2] = self.juju.status("provider/0").try_into().unwrap();
        (status, why)
    }
}

/// What the authority of services has: its oldest CA certificate, and how many follow it.
fn listed(house: &House) -> (String, usize) {
    (oldest(house, "cas"), followers(house))
}

/// What is handed on once the server was asked again, which had the same before and after that. Its own certificate lives for
/// 13 s as well, and on a machine that is busy the next one may be late: who does not hear it then changes nothing.
fn handed_on(pair: &mut Pair, house: &House, relation: u64) -> Option<BTreeSet<String>> {
    let (before, had) = (pair.published(relation), listed(house));
    pair.look();
    let (status, why) = pair.status();
    let published = pair.published(relation);
    if status == "waiting" {
        assert!(why.contains("is not heard"), "{why}");
        assert_eq!(published, before);
        return None;
    }
    assert_eq!((&*status, &*why), ("active", ""));
    (listed(house) == had).then_some(published)
}

/// From the first CA certificate to after its end, without anybody doing anything: the next one is there before it signs,
/// beside the first, which is gone when the server has it no more.
#[test]
fn a_rollover_reaches_whoever_trusts() {
    let house = plan(Face::Up).option("service-crt-validity", LIFE).start();
    let first = oldest(&house, "cas");
    let mut pair = pair(By::Us, By::Library, 1);
    let relation = pair.juju.relate(PROVIDER, REQUIRER);
    let options =
        json!({"server": house.https_url("/"), "server-ca": server_ca(&house), "publish": "[\"mine\"]"});
    pair.juju.configure("provider", options);
    let before = wait_for("the first CA certificate", || handed_on(&mut pair, &house, relation));
    assert!(before.is_superset(&set(&[&first, "mine"])), "{before:#?}");
    wait_until("a second CA certificate", || followers(&house) > 0);
    let both = wait_for("both CA certificates", || handed_on(&mut pair, &house, relation));
    assert!(both.len() > 2 && both.is_superset(&set(&[&first, "mine"])), "{both:#?}");
    wait_until("the first CA certificate's end", || oldest(&house, "cas") != first);
    let (last, next) = wait_for("the next CA certificate alone", || {
        let next = oldest(&house, "cas");
        let last = handed_on(&mut pair, &house, relation)?;
        (next == oldest(&house, "cas")).then_some((last, next))
    });
    assert!(last.is_superset(&set(&[&next, "mine"])) && !last.contains(&first), "{last:#?}");
    assert_eq!(pair.has("requirer/0").into_iter().collect::<BTreeSet<_>>(), last);
    ended_without_a_fault(house);
}

/// What was published stays, also where nobody knows any more what it was; what the options add comes to it.
#[test]
fn a_server_that_is_away_changes_nothing() {
    let mut house = up();
    let (services, users) = (oldest(&house, "cas"), oldest(&house, "cau"));
    let mut pair = pair(By::Us, By::Us, 2);
    let relation = pair.juju.relate(PROVIDER, REQUIRER);
    let options = |more: Value| {
        let mut options =
            json!({"server": house.https_url(""), "server-ca": server_ca(&house), "authorities": "cas,cau"});
        options.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        options
    };
    let (alone, with_mine) = (options(json!({})), options(json!({"publish": "[\"mine\"]"})));
    pair.juju.configure("provider", alone.clone());
    let both = set(&[&services, &users]);
    assert_eq!(pair.published(relation), both);
    assert_eq!(pair.has("requirer/1").into_iter().collect::<BTreeSet<_>>(), both);
    // An old requirer has them as well.
    pair.juju.write(relation, "requirer", "version", "0");
    pair.juju.hook("provider/0", "update-status", &[]);
    let chain = pair.juju.bag(relation, "provider/0")["chain"].clone();
    assert_eq!(serde_json::from_str::<BTreeSet<String>>(&chain).unwrap(), both);
    let refused = pair.juju.act("provider/0", "remove-all-certificates", json!({}));
    assert!(refused.failed.unwrap().contains("`server`"));

    house.stop();
    let all = set(&[&services, &users, "mine"]);
    pair.look();
    let (status, why) = pair.status();
    assert!(status == "waiting" && why.contains(&house.https()), "{status} {why}");
    assert!(pair.juju.logged("provider/0", "WARNING").iter().any(|line| line.contains("stays")));
    assert_eq!(pair.published(relation), both);
    pair.juju.configure("provider", with_mine.clone());
    assert_eq!(pair.published(relation), all);
    // Another leads, who asked before.
    pair.juju.elect("provider/1");
    assert_eq!(pair.published(relation), all);
    // What it was told is lost.
    for unit in ["provider/0", "provider/1"] {
        std::fs::remove_file(pair.juju.home(unit).join("server.json")).unwrap();
    }
    pair.juju.elect("provider/0");
    assert_eq!(pair.published(relation), all);
    pair.juju.configure("provider", alone);
    assert_eq!(pair.published(relation), all, "nobody knows what else was there");
    // A relation made meanwhile has what there is.
    let late = pair.juju.relate(PROVIDER, REQUIRER);
    assert_eq!(pair.published(late), set(&[]));

    house.start();
    pair.look();
    assert_eq!(pair.status(), ("active".into(), String::new()));
    assert_eq!((pair.published(relation), pair.published(late)), (both.clone(), both));
    pair.juju.configure("provider", json!({}));
    assert!(!pair.juju.home("provider/0").join("server.json").exists());
    ended_without_a_fault(house);
}

/// A server that nobody vouches for is not asked what to trust, and one that says nothing is not waited for.
#[test]
fn a_server_that_proves_nothing_is_not_believed() {
    let (house, other) = (up(), up());
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut pair = pair(By::Us, By::Us, 1);
    let relation = pair.juju.relate(PROVIDER, REQUIRER);
    let silent = format!("https://{}", silent.local_addr().unwrap());
    for (server, ca, status, expected) in [
        (house.http_url(""), String::new(), "blocked", "give the https:// URL"),
        (house.https_url(""), String::new(), "waiting", "certificate"),
        (house.https_url(""), server_ca(&other), "waiting", "certificate"),
        (house.https_url("/cas"), server_ca(&house), "waiting", "it answered 404 to GET /cas/crt/ca.crt.pem"),
        (silent, server_ca(&house), "waiting", "is not heard: no server could be reached"),
    ] {
        let begun = Instant::now();
        pair.juju.configure("provider", json!({"server": server, "server-ca": ca}));
        let (said, why) = pair.status();
        assert!(said == status && why.contains(expected), "{server}: {said} {why}");
        assert_eq!(pair.published(relation), set(&[]), "{server}");
        assert!(begun.elapsed() < Duration::from_secs(30), "{server}: a hook has an end");
    }
    pair.juju.configure("provider", json!({"server": house.https_url(""), "server-ca": server_ca(&house)}));
    assert_eq!(pair.published(relation), set(&[&oldest(&house, "cas")]));
    ended_without_a_fault(house);
    ended_without_a_fault(other);
}

/// A CA certificate that begins and ends so many days from now.
fn ca(begins: i64, ends: i64) -> String {
    let (key, name) = (key(KeySpec::P256), Name::from_common_name("somebody").unwrap());
    let now = Clock::system().now();
    let template = CertificateTemplate {
        serial: Serial::from_decimal("1").unwrap(),
        issuer: name.clone(),
        subject: name,
        not_before: now + Span::days(begins),
        not_after: now + Span::days(ends),
        public_key: key.public().clone(),
        extensions: vec![extension::basic_constraints(true, None)],
    };
    template.sign(&key).to_pem()
}

/// A server that proves who it is, and then says nothing, or too much, or what makes no sense: what was handed on stays.
/// What it does say is followed, to the letter.
#[test]
fn whatever_a_server_says_trust_is_not_lost() {
    let house = up();
    let (first, ended, other) = (ca(-1, 1), ca(-2, -1), ca(-1, 1));
    // What is answered for the certificate, and for the chain; nothing at all where nothing is said.
    type Says = Option<(u16, String, String)>;
    let says: Arc<Mutex<Says>> = Arc::default();
    let heard = Arc::clone(&says);
    let pem = std::fs::read_to_string(house.data().join("server.key.pem")).unwrap();
    let server = StandIn::https(&pem, move |asked| {
        let (status, certificate, chain) = heard.lock().unwrap().clone()?;
        let body = if asked.path.ends_with(".pem") { certificate } else { chain };
        Some(StandInReply { status, headers: Vec::new(), body })
    });
    let say = |status: u16, certificate: &str, chain: &str| {
        *says.lock().unwrap() = Some((status, certificate.to_owned(), chain.to_owned()));
    };
    let mut pair = pair(By::Us, By::Us, 1);
    let relation = pair.juju.relate(PROVIDER, REQUIRER);
    say(200, &first, "[]");
    pair.juju.configure("provider", json!({"server": server.url(""), "server-ca": server_ca(&house)}));
    let before = set(&[first.trim_end()]);
    assert_eq!(pair.published(relation), before);
    // Nobody has signed that the one follows the other.
    let payload = json!({"old_pem": first, "new_pem": other}).to_string();
    let forged = json!([{"payload": payload, "digest": "sha256", "signature": "AAAA"}]).to_string();
    for (status, certificate, chain, expected) in [
        (500, &*first, "[]", "it answered 500"),
        (302, &*first, "[]", "it answered 302"),
        (200, "<html>", "[]", "the CA certificate is not readable"),
        (200, &*first, "{}", "the chain of CA certificates is not readable"),
        (200, &*first, &*forged, "was not signed by the one it is about"),
        (200, &*ended, "[]", "all CA certificates have ended"),
        (200, &*first, &*" ".repeat(2 << 20), "is larger than 1 MiB"),
    ] {
        say(status, certificate, chain);
        pair.look();
        let (said, why) = pair.status();
        assert!(said == "waiting" && why.contains(expected), "{expected}: {said} {why}");
        assert_eq!(pair.published(relation), before, "{expected}");
    }
    *says.lock().unwrap() = None;
    let begun = Instant::now();
    pair.look();
    let (said, why) = pair.status();
    assert!(said == "waiting" && why.contains("it did not answer within 10 s"), "{said} {why}");
    assert!(begun.elapsed() < Duration::from_secs(30), "a hook has an end");
    assert_eq!(pair.published(relation), before);
    // It has another one now, and the first no more.
    say(200, &other, "[]");
    pair.look();
    assert_eq!(pair.status(), ("active".into(), String::new()));
    assert_eq!(pair.published(relation), set(&[other.trim_end()]));
    drop(server);
    ended_without_a_fault(house);
}
