//! `provost audit` and `provost ca rotate`: against a server, an export, and the store itself.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use futures_executor::block_on;
use serde_json::Value;
use store::{Batch, Engine, Key, Page, Prefix, Sqlite};
use testkit::{Face, wait_for};
use x509::KeySpec;

use crate::houses::{csr, key, plan, submit};
use crate::program::{Ran, provost};

/// `provost` with the words of `line` and the data directory `data`.
fn run(data: &Path, line: &str) -> Ran {
    let mut words: Vec<&str> = line.split_whitespace().collect();
    words.extend(["--data", data.to_str().unwrap()]);
    provost(&words)
}

#[track_caller]
fn ok(data: &Path, line: &str) -> Ran {
    let ran = run(data, line);
    assert_eq!(ran.code, Some(0), "{line}: {ran:#?}");
    ran
}

#[track_caller]
fn json(data: &Path, line: &str) -> Value {
    serde_json::from_str(&ok(data, &format!("{line} --json")).stdout).unwrap()
}

/// What is shown, a document in each line.
#[track_caller]
fn shown(data: &Path, line: &str) -> Vec<Value> {
    let ran = ok(data, &format!("audit show --json {line}"));
    ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[track_caller]
fn is_broken(data: &Path, line: &str, says: &str) {
    let ran = run(data, line);
    assert_eq!(ran.code, Some(65), "{line}: {ran:#?}");
    assert!(ran.stderr.contains(says) && ran.stdout.is_empty(), "{line}: {ran:#?}");
}

#[test]
fn the_history_is_shown_and_checked() {
    let mut house = plan(Face::Up).option("service-auto-approve-count", "1").start();
    let data = house.data();
    let (ours, folder) = (key(KeySpec::P256), tempfile::tempdir().unwrap());
    let issued = submit(&house, "cas", &csr(&ours, "issued at once"));
    let held = submit(&house, "cas", &csr(&ours, "held"));
    ok(&data, &format!("ca reject {held}"));

    // Every decision, with who and from where.
    let rejected = shown(&data, "--what rejected");
    assert_eq!(rejected[0]["about"], format!("services request {held}"));
    assert!(rejected[0]["by"].as_str().unwrap().starts_with("user certificate"), "{rejected:?}");
    assert_eq!((&rejected[0]["from"], &rejected[0]["trade"]), (&"127.0.0.1".into(), &"ca".into()));
    let told = shown(&data, &format!("--about {issued} --trade ca"));
    assert_eq!(told.len(), 1, "{told:?}");
    let facts = &told[0]["facts"];
    assert_eq!((&told[0]["by"], &told[0]["from"]), (&"anonymous".into(), &"127.0.0.1".into()));
    assert_eq!((&facts["automatic"], facts["sha256"].as_str().unwrap().len()), (&"true".into(), 64));
    // Before the key signed: the serial was reserved.
    let reserved = shown(&data, "--what reserved --about services");
    let reserved = reserved[0]["facts"]["reserved"].as_str().unwrap();
    assert!(reserved.split(' ').any(|serial| serial == facts["serial"]), "{reserved}");
    assert!(!shown(&data, "--what dated").is_empty());
    let fleet = shown(&data, "--trade fleet");
    assert!(fleet.len() == 1 && fleet[0]["about"] == "network default", "{fleet:?}");
    assert!(shown(&data, "--until 2020-01-01").is_empty());
    let all = shown(&data, "--since 1d").len();
    assert!(ok(&data, "audit show").stdout.lines().count() > all);

    // A rollover that begins early.
    let plan: Value = json(&data, "ca rotate services --dry-run");
    assert!(plan.get("next").is_none(), "{plan}");
    assert_eq!(run(&data, "ca rotate services").code, Some(75), "nobody confirmed it");
    let begun = json(&data, "ca rotate services --yes");
    let next = begun["next"]["fingerprint"].as_str().unwrap();
    let made = shown(&data, "--about services --what made");
    assert_eq!(made.last().unwrap()["facts"]["sha256"], next);
    assert!(made.last().unwrap()["by"].as_str().unwrap().starts_with("user certificate"));
    let again = run(&data, "ca rotate services --yes");
    assert!(again.code == Some(75) && again.stderr.contains("under way"), "{again:?}");

    // All of it is linked soon.
    let count = shown(&data, "").len() as u64;
    let head = wait_for("everything to be linked", || {
        let head = json(&data, "audit head");
        (head["events"].as_u64().unwrap() >= count).then_some(head)
    });
    let (kept, fingerprint) = (head["head"].as_str().unwrap(), head["fingerprint"].as_str().unwrap());
    let verified = json(&data, &format!("audit verify --head {kept} --key {fingerprint}"));
    assert_eq!((&verified["kept"], &verified["key"]), (&"found".into(), &fingerprint.into()));
    let other = format!("{}{}", kept.split_at(kept.len() - 1).0, if kept.ends_with('0') { "1" } else { "0" });
    is_broken(&data, &format!("audit verify --head {other}"), "was rewritten");
    is_broken(&data, &format!("audit verify --head 9999{kept}"), "was cut off");
    is_broken(&data, &format!("audit verify --key {}", "0".repeat(64)), "another one was expected");

    // An export is checked without a server.
    let file = folder.path().join("history.jsonl");
    let export = file.to_str().unwrap().to_owned();
    ok(&data, &format!("audit export {export}"));
    let taken = run(&data, &format!("audit export {export}"));
    assert!(taken.code == Some(69) && taken.stderr.contains("could not write"), "{taken:?}");
    // The store itself, beside the server that uses it.
    let beside = json(&data, &format!("audit verify --store --head {kept} --key {fingerprint}"));
    assert_eq!(beside["kept"], "found");
    house.stop();
    let nowhere = folder.path();
    let verified = json(nowhere, &format!("audit verify {export} --head {kept} --key {fingerprint}"));
    assert_eq!(verified["kept"], "found");
    let text = std::fs::read_to_string(&file).unwrap();
    for (what, changed, says) in [
        (
            "an event says something else",
            text.replacen("request rejected", "request approved", 1),
            "was changed",
        ),
        ("a link was taken out", without_line(&text, 1), "link 1 is missing: link 2 stands in its place"),
        ("the end was cut off", without_line(&text, text.lines().count() - 1), "is said to be"),
        ("a line was cut off", text.trim_end().to_owned(), "is no export"),
        ("nothing is there", String::new(), "is no export"),
    ] {
        assert_ne!(changed, text, "{what}");
        std::fs::write(&file, changed).unwrap();
        let ran = run(nowhere, &format!("audit verify {export}"));
        assert_eq!(ran.code, Some(65), "{what}: {ran:#?}");
        assert!(ran.stderr.contains(says), "{what}: {ran:#?}");
    }

    // And without one.
    let verified = json(&data, &format!("audit verify --store --head {kept} --key {fingerprint}"));
    assert_eq!(verified["kept"], "found");
    let (rejection, original) = stored(&data, "request rejected");
    let forged = String::from_utf8(original.to_vec()).unwrap().replace("127.0.0.1", "192.0.2.1");
    put(&data, &rejection, Some(forged.into()));
    is_broken(&data, "audit verify --store", "was changed");
    put(&data, &rejection, None);
    is_broken(&data, "audit verify --store", "was removed");
    put(&data, &rejection, Some(original));
    ok(&data, "audit verify --store");
    let missing = run(nowhere, "audit verify --store");
    assert!(missing.code == Some(66) && missing.stderr.contains("no database"), "{missing:?}");
}

fn without_line(text: &str, line: usize) -> String {
    let lines = text.split_inclusive('\n').enumerate();
    lines.filter(|(place, _)| *place != line).map(|(_, line)| line).collect()
}

fn open(data: &Path) -> Arc<dyn Engine> {
    Arc::new(Sqlite::open(&data.join("provost.db")).unwrap())
}

/// The first event that says `what`.
fn stored(data: &Path, what: &str) -> (Key, Bytes) {
    let engine = open(data);
    let listing = block_on(engine.list(&Prefix::new("/history/").unwrap(), Page::full())).unwrap();
    let is_it = |value: &Bytes| String::from_utf8_lossy(value).contains(what);
    let found = listing.entries.into_iter().find(|(_, found)| is_it(&found.value)).unwrap();
    block_on(engine.close()).unwrap();
    (found.0, found.1.value)
}

fn put(data: &Path, key: &Key, value: Option<Bytes>) {
    let engine = open(data);
    let mut batch = Batch::new();
    match value {
        Some(value) => batch.put(key.clone(), value),
        None => batch.delete(key.clone()),
    };
    block_on(engine.commit(batch)).unwrap();
    block_on(engine.close()).unwrap();
}
