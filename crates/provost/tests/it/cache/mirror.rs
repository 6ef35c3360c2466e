//! `provost cache mirror`: from a house to another one, and from and to servers of others.

use base::Sha512;
use serde_json::Value;
use testkit::http::anybody;
use testkit::{Face, House, NetworkCache, Ran, StandIn, StandInReply, witness};

use super::commands::{failed, operator};
use super::old_clients::{TEST_SERVER, serve};
use super::{entry, keep, open};
use crate::houses::{ended_without_a_fault, plan, up};

/// The options that say who writes to `house`.
fn writing(house: &House) -> String {
    let (ca, certificate) = (house.data().join("server-ca.pem"), house.administrator());
    format!("--to-ca {} --to-certificate {}", ca.display(), certificate.display())
}

fn get(url: String) -> (u16, Vec<u8>) {
    let answer = anybody().get(url).send().unwrap();
    (answer.status().as_u16(), answer.bytes().unwrap().to_vec())
}

fn documents(ran: &Ran) -> Vec<Value> {
    let mut documents: Vec<Value> =
        ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    documents.sort_by_key(|document| document["key"].as_str().map(str::to_owned));
    documents
}

fn counts(document: &Value) -> [u64; 5] {
    ["entries", "entries_there", "artifacts", "artifacts_there", "bytes"]
        .map(|name| document[name].as_u64().unwrap())
}

#[test]
fn what_is_believed_is_copied_as_it_is() {
    let (here, there) = (plan(Face::Up).option("cache-writers", "everyone").start(), up());
    let operator = operator(&here);
    let large = "0123456789".repeat(300_000);
    operator.write("large", &large);
    operator.write("small", "small");
    operator.run("cache put large small --key mirrored/ --set by=hand").ok();
    operator.run("cache put small --key other").ok();
    operator.run("cache put large --key gone").ok();
    operator.run("cache withdraw gone").ok();
    // Somebody says something as well.
    let stranger = keep(&here, b"stranger");
    let put = anybody().put(here.http_url("/shadir/other")).body(entry(stranger, 1)).send().unwrap();
    assert_eq!(put.status(), 201);

    let to = there.https_url("");
    let mirror = |more: &str| operator.run(&format!("cache mirror - {to} {} --json {more}", writing(&there)));
    let dry = documents(&mirror("--match mirrored/* --dry-run"));
    assert_eq!(dry.iter().map(counts).collect::<Vec<_>>(), [[1, 0, 1, 0, 3_000_000], [1, 0, 1, 0, 5]]);
    assert_eq!(get(there.http_url("/shadir/mirrored/large")).0, 404);

    let first = mirror("--match mirrored/* other -j 1");
    first.ok();
    assert_eq!(
        documents(&first).iter().map(counts).collect::<Vec<_>>(),
        [[1, 0, 1, 0, 3_000_000], [1, 0, 0, 1, 0], [1, 0, 1, 0, 5]]
    );
    for key in ["mirrored/large", "mirrored/small"] {
        let path = format!("/shadir/{key}");
        assert_eq!(get(there.http_url(&path)), get(here.http_url(&path)), "{key}");
    }
    let digest = Sha512::of(large.as_bytes());
    assert!(get(there.http_url(&format!("/shacache/{digest}"))).1 == large.as_bytes());
    assert_eq!(get(there.http_url(&format!("/shacache/{stranger}"))).0, 404);
    // Again: nothing is sent.
    operator.write("keys", "mirrored/large\n\nmirrored/small\nmirrored/large\n");
    let again = documents(&mirror("--keys keys"));
    assert_eq!(again.iter().map(counts).collect::<Vec<_>>(), [[0, 1, 0, 1, 0], [0, 1, 0, 1, 0]]);
    // What was withdrawn is known there as well, and not the bytes.
    let gone = documents(&mirror("gone"));
    assert_eq!(counts(&gone[0]), [1, 0, 0, 0, 0]);

    // One that fails keeps no other from being copied.
    let some = mirror("none other");
    failed(&some, 66, "none: there is nothing under `none`");
    assert_eq!(counts(&documents(&some)[0]), [0, 1, 0, 1, 0]);
    let all = mirror("--all --untrusted -j 1");
    assert_eq!(all.code, Some(0), "{all:?}");
    assert_eq!(get(there.http_url("/shadir/other")).1.len(), get(here.http_url("/shadir/other")).1.len());
    assert_eq!(get(there.http_url(&format!("/shacache/{stranger}"))).1, b"stranger");
    failed(&mirror("-j 2"), 65, "no key is named");
    let nobody = operator.run(&format!(
        "cache mirror - {to} other --untrusted --to-ca {}",
        there.data().join("server-ca.pem").display()
    ));
    assert_eq!(nobody.code, Some(0), "all of it is there: {nobody:?}");
    for house in [here, there] {
        ended_without_a_fault(house);
    }
}

#[test]
fn wrong_bytes_do_not_arrive() {
    let there = open();
    let operator = operator(&there);
    let list = format!("[{}]", entry(Sha512::of(b"hello"), 1));
    for body in ["hellO", "hello world", ""] {
        let list = list.clone();
        let cheat = StandIn::http(move |asked| {
            let body = if asked.path.starts_with("/shadir/") { list.clone() } else { body.to_owned() };
            Some(StandInReply { status: 200, headers: Vec::new(), body })
        });
        let from = cheat.url("");
        let ran = operator.run(&format!(
            "cache mirror {} {} k --untrusted",
            from.trim_end_matches('/'),
            there.http_url("")
        ));
        failed(&ran, 70, "error: invalid checksum: ");
        for wrong in [body, "hello"] {
            assert_eq!(get(there.http_url(&format!("/shacache/{}", Sha512::of(wrong.as_bytes())))).0, 404);
        }
        assert_eq!(get(there.http_url("/shadir/k")).0, 404, "nothing is told of what is not there");
    }
    ended_without_a_fault(there);
}

/// The stock library's server, in both directions: it knows no HEAD, and dies when a client hangs up on it.
#[test]
fn servers_of_others_are_mirrored() {
    let (house, other) = (open(), open());
    let client = NetworkCache::of(&house, &house.administrator());
    let (_server, url) = serve(&witness("python"), &client, TEST_SERVER, &[]);
    let pair = format!("{url}/shacache,{url}/shadir");
    let operator = operator(&house);
    let large = "0123456789".repeat(300_000);
    operator.write("large", &large);
    operator.run("cache put large --key key:x --set n=1").ok();
    let to = operator.run(&format!("cache mirror - {pair} key:x"));
    assert_eq!(to.ok(), "key:x\n");
    assert!(to.stderr.contains("key:x: copied: 1 entries, 1 artifacts, 2.9 MiB; there already: 0"), "{to:?}");
    failed(&operator.run(&format!("cache mirror {pair} - --all")), 65, "does not list its keys");
    operator.run(&format!("cache mirror {pair} {} key:x", other.http_url(""))).ok();
    assert_eq!(get(other.http_url("/shadir/key:x")), get(house.http_url("/shadir/key:x")));
    let digest = Sha512::of(large.as_bytes());
    assert!(get(other.http_url(&format!("/shacache/{digest}"))).1 == large.as_bytes());
    // Last, as it is asked by a GET then that is not read.
    let again = operator.run(&format!("cache mirror - {pair} key:x"));
    assert!(again.stderr.contains("copied: 0 entries, 0 artifacts"), "{again:?}");
    for house in [house, other] {
        ended_without_a_fault(house);
    }
}
