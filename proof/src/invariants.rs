//! What holds of an authority's records, whatever happened to whoever wrote them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use base::Timestamp;
use ca::{Authority, BACK_DATED};
use futures_executor::block_on;
use serde_json::Value;
use store::{Engine, History, Page, Prefix};
use x509::{Certificate, Crl, Serial, SigningRequest};

use crate::copy::TAKEN_OVER;

/// The records of one table, by what follows its prefix.
type Records = BTreeMap<String, Value>;

fn records(engine: &Arc<dyn Engine>, prefix: &str) -> Records {
    let prefix = Prefix::new(prefix).expect("a fair prefix");
    let (mut found, mut page) = (Records::new(), Page::full());
    loop {
        let listing = block_on(engine.list(&prefix, page)).expect("the store can be read");
        for (key, held) in listing.entries {
            let record: Value = serde_json::from_slice(&held.value).expect("a record is JSON");
            found.insert(prefix.rest(&key).expect("it was listed by it").to_owned(), record["is"].clone());
        }
        match listing.next {
            Some(next) => page = next,
            None => return found,
        }
    }
}

fn text<'a>(record: &'a Value, member: &str) -> &'a str {
    record[member].as_str().expect("a text")
}

fn request_key(record: &Value) -> String {
    format!("{:019}", record["request"].as_u64().expect("a number"))
}

/// Looks at everything that `authority`, just opened, finds in `engine`.
///
/// # Panics
/// When something does not hold, and says what.
pub fn hold(authority: &Authority, engine: &Arc<dyn Engine>, now: Timestamp) {
    let table = |name: &str| records(engine, &format!("/ca/{}/{name}", authority.profile().name));
    let (requests, pending, issued) = (table("request/"), table("pending/"), table("issued/"));
    let certificates = table("certificate/");
    for id in requests.keys() {
        assert!(
            pending.contains_key(id) != issued.contains_key(id),
            "request {id} is either pending or issued"
        );
    }
    for id in pending.keys().chain(issued.keys()) {
        assert!(requests.contains_key(id), "{id} is a request");
    }
    let single = table("");
    let count = single.get("ledger").map_or(0, |ledger| ledger["pending"].as_u64().expect("a number"));
    assert_eq!(count, pending.len() as u64, "the ledger counts the pending requests");
    found_again(&requests, &table("digest/"), |record| {
        base::hex::encode(&base::sha256(text(record, "csr").as_bytes()))
    });
    if authority.profile().admission.keys_for_backup {
        found_again(&requests, &table("key/"), |record| {
            let csr = SigningRequest::from_pem(text(record, "csr").as_bytes()).expect("it was read before");
            csr.public_key().key_id().to_string()
        });
    }
    for (id, record) in &issued {
        let serial = text(record, "serial");
        if let Some(certificate) = certificates.get(serial) {
            assert_eq!(&request_key(certificate), id, "the certificate of request {id} says so");
        }
    }
    // Where others may be at work, a day later.
    assert!(engine.is_shared() || table("reserved/").is_empty(), "what was reserved is void after a start");

    let anchors = block_on(authority.anchors()).expect("there are CA certificates");
    assert!(!anchors.is_empty());
    let revoked = table("revoked/");
    for (serial, record) in &certificates {
        let certificate = Certificate::from_pem(text(record, "certificate").as_bytes()).expect("it is one");
        assert_eq!(&certificate.serial().hex(), serial);
        let verified = block_on(authority.verify(&certificate));
        // What CA certificates that were given up have signed is worth nothing.
        let is_vouched_for =
            anchors.iter().any(|anchor| certificate.verify_signature(anchor.public_key()).is_ok());
        let is_good = is_vouched_for
            && !revoked.contains_key(serial)
            && (certificate.not_before()..=certificate.not_after()).contains(&now);
        assert_eq!(verified.is_ok(), is_good, "{serial}: {verified:?}");
    }
    let published = block_on(authority.published()).expect("there are lists");
    let listed: BTreeSet<String> = revoked.keys().cloned().collect();
    for (list, anchor) in published.lists.iter().zip(&anchors) {
        let list = Crl::from_der(&list.der).expect("it is one");
        list.verify_signature(anchor.public_key()).expect("the CA certificate's key signed it");
        assert!((list.this_update()..=list.next_update()).contains(&now), "the list is good now");
        let entries: BTreeSet<String> = list.entries().iter().map(|entry| entry.serial.hex()).collect();
        assert!(entries.is_subset(&listed), "nothing is listed that was not revoked");
        for serial in listed.difference(&entries) {
            let drop_at = revoked[serial]["drop_at"].as_i64().expect("a time");
            assert!(drop_at < list.this_update().as_unix(), "{serial} was revoked, and is not listed");
        }
    }
    assert_eq!(published.lists.len(), anchors.len());
    told(authority, engine, &certificates, &revoked);
}

/// Each of `requests` is found by `name`, and nothing is found that is none.
fn found_again(requests: &Records, names: &Records, name: impl Fn(&Value) -> String) {
    let wanted: BTreeMap<String, &String> = requests.iter().map(|(id, record)| (name(record), id)).collect();
    assert_eq!(wanted.len(), requests.len(), "each is found by a name of its own");
    assert_eq!(names.len(), requests.len(), "there are as many names as requests");
    for (name, record) in names {
        assert_eq!(Some(&&request_key(record)), wanted.get(name), "{name}");
    }
}

/// The history has told of each certificate and each revocation on record once, and of no void serial that is used; but
/// for what came from caucase, which has none.
fn told(authority: &Authority, engine: &Arc<dyn Engine>, certificates: &Records, revoked: &Records) {
    let name = authority.profile().name;
    let history = History::new(engine.clone()).expect("its prefix is fair");
    let (mut issued, mut taken_back, mut void) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let hex = |decimal: &str| Serial::from_decimal(decimal).expect("a serial").hex();
    let mut taken_over = None;
    let mut after = None;
    loop {
        let page = block_on(history.page(after.as_deref(), 500)).expect("the store can be read");
        for (id, loaded) in page.entries {
            let event = loaded.record;
            after = Some(id);
            if !event.about.starts_with(name.as_str()) {
                continue;
            }
            match event.what.as_str() {
                "certificate issued" => {
                    assert!(issued.insert(hex(&event.facts["serial"])), "a serial was used twice");
                }
                "certificate revoked" => {
                    let serial = event.about.rsplit(' ').next().expect("it ends with the serial");
                    assert!(taken_back.insert(hex(serial)), "a serial was revoked twice");
                }
                TAKEN_OVER => taken_over = Some(event.at_milliseconds / 1_000),
                "reserved serials voided" => void.extend(event.facts["serials"].split(' ').map(hex)),
                _ => {}
            }
        }
        if page.next.is_none() {
            break;
        }
    }
    assert!(issued.is_disjoint(&void), "a void serial was used");
    let came = |since: i64| taken_over.is_some_and(|taken_over| since <= taken_over);
    for (serial, record) in certificates {
        let certificate = Certificate::from_pem(text(record, "certificate").as_bytes()).expect("it is one");
        assert!(
            issued.contains(serial) || came((certificate.not_before() + BACK_DATED).as_unix()),
            "the history does not know {serial}"
        );
    }
    for (serial, record) in revoked {
        let at = record["at"].as_i64().expect("a time");
        assert!(taken_back.contains(serial) || came(at), "the history does not know of {serial}");
    }
}
