//! `provost backup` and `provost restore`: a house is copied while it serves, and comes back out of the copy, or nothing does.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use base::Sha512;
use serde_json::Value;
use testkit::{Face, House, Ran, free_pair, http, run, wait_until};
use x509::KeySpec;

use crate::houses::{
    approve, certificate, csr, ended_without_a_fault, issued, key, plan, revocation_lists, submit,
};
use crate::program::PROVOST;

/// `provost` in the directory of `house`.
fn provost(house: &House, arguments: &[&str]) -> Ran {
    run(Command::new(PROVOST)
        .args(arguments)
        .current_dir(house.directory())
        .env_clear()
        .env("HOME", "/nonexistent"))
}

/// The same without a terminal, wherever the tests are run.
fn provost_alone(house: &House, arguments: &[&str]) -> Ran {
    run(Command::new("setsid")
        .args(["--wait", PROVOST])
        .args(arguments)
        .current_dir(house.directory())
        .env_remove("PROVOST_WITNESSES"))
}

/// What `provost … --json` says.
#[track_caller]
fn json(ran: &Ran) -> Value {
    serde_json::from_str(ran.ok()).unwrap()
}

/// A refusal, with nothing but its words.
#[track_caller]
fn refused(ran: &Ran, words: &str) {
    assert!(ran.code.is_some_and(|code| code != 0 && code != 101), "{ran:?}");
    assert!(ran.stderr.starts_with("error: ") && ran.stderr.contains(words), "{words}: {ran:?}");
}

fn names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A house with a certificate, a revocation list and artifacts.
fn busy() -> House {
    let house = plan(Face::Up).option("cache-writers", "everyone").start();
    for bytes in [&b"small"[..], &[9; 300_000]] {
        let kept = http::anybody().post(house.http_url("/shacache")).body(bytes.to_vec()).send().unwrap();
        assert_eq!(kept.status(), 201);
    }
    house
}

fn has_artifact(house: &House, bytes: &[u8]) -> bool {
    let url = house.http_url(&format!("/shacache/{}", Sha512::of(bytes)));
    let answer = http::anybody().get(url).send().unwrap();
    answer.status() == 200 && answer.bytes().unwrap() == bytes
}

#[test]
fn a_house_is_copied_while_it_serves_and_comes_back() {
    let mut house = busy();
    let ours = key(KeySpec::P256);
    let id = submit(&house, "cas", &csr(&ours, "before"));
    approve(&house, "cas", &id);
    let before = certificate(&house, "cas", &id);
    let list = revocation_lists(&house, "cas").remove(0);
    let directory = house.directory().to_owned();
    let keys = run(Command::new("age-keygen").args(["-o", "age.key"]).current_dir(&directory));
    let recipient = keys.stderr.trim().strip_prefix("Public key: ").unwrap().to_owned();

    let made =
        json(&provost(&house, &["backup", "--data", "data", "--recipient", &recipient, "out.age", "--json"]));
    assert_eq!(made["holds"]["blobs"], 2, "{made:#}");
    assert_eq!(made["holds"]["missing"], 0);
    let file = directory.join("out.age");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(names(&directory).iter().all(|name| !name.contains("partial")), "{:?}", names(&directory));
    let again = provost(&house, &["backup", "--data", "data", "--recipient", &recipient, "out.age"]);
    refused(&again, "out.age is there already");

    // The programs that everybody has open it.
    let listed = run(Command::new("sh")
        .args(["-c", "age --decrypt --identity age.key out.age | tar --list"])
        .current_dir(&directory));
    let listed = listed.ok().to_owned();
    let first: Vec<&str> = listed.lines().take(3).collect();
    assert_eq!(first, ["backup.json", "files/store.key", "files/server.key.pem"]);
    assert!(listed.ends_with("records/00000001.jsonl\nend.json\n"), "{listed}");

    // What comes after it is not in it.
    let after = issued(&house, &ours, "after");
    house.kill();

    let identity = ["--identity", "age.key"];
    let restore = |more: &[&str]| provost(&house, &[&["restore", "out.age"][..], more, &identity].concat());
    // Where a house is, it is not restored, and who only looks is told so as well.
    let looked = restore(&["--data", "data", "--dry-run"]);
    assert_eq!(looked.code, Some(75), "{looked:?}");
    assert!(looked.stderr.contains("\nit is whole\nerror: "), "{looked:?}");
    assert!(looked.stderr.contains("data is not empty\n"), "{looked:?}");
    let looked = json(&restore(&["--data", "elsewhere", "--dry-run", "--json"]));
    assert_eq!(looked["would_be_refused"], Value::Null);
    assert_eq!(looked["is_whole"], true);
    assert_eq!(looked["holds"], made["holds"]);
    assert_eq!(looked["restored_to"], Value::Null);
    let authorities = looked["holds"]["authorities"].as_array().unwrap();
    assert_eq!(authorities.len(), 3, "{authorities:?}");
    refused(&restore(&["--data", "data"]), "data is not empty");

    std::fs::remove_dir_all(house.data()).unwrap();
    let restored = restore(&["--data", "data"]);
    assert_eq!(restored.code, Some(0), "{restored:?}");
    assert!(restored.stderr.contains("revocations made since have to be made again"), "{restored:?}");
    assert_eq!(std::fs::metadata(house.data()).unwrap().permissions().mode() & 0o777, 0o700);
    assert!(names(&directory).iter().all(|name| !name.contains("restoring")), "{:?}", names(&directory));

    house.start();
    assert!(has_artifact(&house, b"small") && has_artifact(&house, &[9; 300_000]));
    let newer = revocation_lists(&house, "cas").remove(0);
    assert!(newer.number() > list.number(), "{:?} is not behind {:?}", newer.number(), list.number());
    // One is there; the other is unknown, and its serial does not come again.
    assert!(certificate(&house, "cas", &id).der() == before.der());
    let new = issued(&house, &ours, "new");
    assert!(new.serial() != after.serial() && new.serial() != before.serial());
    assert_eq!(new.authority_key_id(), before.authority_key_id(), "the same authority");
    ended_without_a_fault(house);
}

#[test]
fn a_copy_under_a_passphrase_opens_with_that_alone() {
    let house = busy();
    let directory = house.directory().to_owned();
    for (name, text) in [("right", "correct horse\n"), ("wrong", "battery staple\n"), ("exposed", "x")] {
        std::fs::write(directory.join(name), text).unwrap();
        let mode = if name == "exposed" { 0o644 } else { 0o600 };
        std::fs::set_permissions(directory.join(name), PermissionsExt::from_mode(mode)).unwrap();
    }
    let backup = |passphrase: &str| {
        provost(&house, &["backup", "--data", "data", "--passphrase-file", passphrase, "out.age"])
    };
    refused(&backup("exposed"), "may be read by others");
    refused(&backup("nowhere"), "could not read nowhere");
    refused(&provost_alone(&house, &["backup", "--data", "data", "out.age"]), "there is no terminal to ask");
    assert!(!directory.join("out.age").exists());
    backup("right").ok();
    let restore = |passphrase: &str| {
        let named = ["restore", "--dry-run", "--data", "other", "--passphrase-file", passphrase, "out.age"];
        provost(&house, &named)
    };
    refused(&restore("wrong"), "the passphrase does not open it");
    let whole = restore("right");
    assert!(whole.code == Some(0) && whole.stderr.ends_with("it is whole\n"), "{whole:?}");
    refused(
        &provost_alone(&house, &["restore", "--dry-run", "--data", "other", "out.age"]),
        "there is no terminal to ask",
    );
    let bytes = std::fs::read(directory.join("out.age")).unwrap();
    for at in [30, bytes.len() / 2] {
        let mut other = bytes.clone();
        other[at] ^= 1;
        std::fs::write(directory.join("flipped.age"), other).unwrap();
        let named = ["restore", "--data", "other", "--passphrase-file", "right", "flipped.age"];
        let ran = provost(&house, &named);
        refused(&ran, "");
        assert!(!directory.join("other").exists(), "bit of byte {at}");
    }
    ended_without_a_fault(house);
}

/// Every kind of damage to the plainest copy, which nothing but its own checks protect.
#[test]
fn a_copy_that_is_not_whole_is_refused_and_leaves_nothing() {
    let house = busy();
    let directory = house.directory().to_owned();
    let made = run(Command::new("sh")
        .args(["-c", "exec \"$0\" backup --data data --unencrypted - > whole.tar", PROVOST])
        .current_dir(&directory)
        .env_remove("PROVOST_WITNESSES"));
    made.ok();
    let whole = std::fs::read(directory.join("whole.tar")).unwrap();
    let restored = |bytes: &[u8], words: &str| {
        std::fs::write(directory.join("bad.tar"), bytes).unwrap();
        let before = names(&directory);
        let ran = provost(&house, &["restore", "--data", "other", "bad.tar"]);
        refused(&ran, words);
        assert_eq!(names(&directory), before, "{words}");
    };
    for step in 0..10 {
        let at = whole.len() * step / 10 + step * 7;
        let mut other = whole.clone();
        other[at] ^= 1 << (step % 8);
        restored(&other, "");
        restored(&whole[..at], "");
    }
    restored(&[&whole[..], b"more"].concat(), "is not whole");
    restored(b"hello", "is no backup of Provost's");
    restored(b"", "is no backup of Provost's");

    // What other programs put into tar files.
    let hostile = run(Command::new("sh")
        .args(["-c", "ln -s /etc/passwd link && tar -cf hostile.tar -P link /etc/hostname ./link"])
        .current_dir(&directory));
    hostile.ok();
    restored(&std::fs::read(directory.join("hostile.tar")).unwrap(), "is no backup of Provost's");
    // A part twice: the first 512 bytes are the header of the first part.
    let first = 512 + usize::from_str_radix(std::str::from_utf8(&whole[124..135]).unwrap(), 8).unwrap();
    let first = first.next_multiple_of(512);
    restored(&[&whole[..first], &whole].concat(), "is not what has to come there");
    ended_without_a_fault(house);
}

#[test]
fn a_restore_that_is_killed_leaves_no_house_and_is_done_again() {
    let mut house = busy();
    let directory = house.directory().to_owned();
    provost(&house, &["backup", "--data", "data", "--unencrypted", "whole.tar"]).ok();
    house.kill();
    let whole = std::fs::read(directory.join("whole.tar")).unwrap();
    std::fs::remove_dir_all(house.data()).unwrap();
    for is_there in [false, true] {
        let work = if is_there {
            std::fs::create_dir(house.data()).unwrap();
            std::fs::set_permissions(house.data(), PermissionsExt::from_mode(0o700)).unwrap();
            house.data().join(".restoring")
        } else {
            directory.join(".data.restoring")
        };
        let mut child = Command::new(PROVOST)
            .args(["restore", "--data", "data", "-"])
            .current_dir(&directory)
            .env_remove("PROVOST_WITNESSES")
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        input.write_all(&whole[..whole.len() - 4_096]).unwrap();
        wait_until("the database to be begun", || work.join("provost.db").exists());
        child.kill().unwrap();
        child.wait().unwrap();
        if is_there {
            let netloc = format!("localhost:{}", free_pair());
            let started = provost(&house, &["up", "--data", "data", "--netloc", &netloc]);
            assert!(
                started.code != Some(0) && started.stderr.contains("did not come to its end"),
                "{started:?}"
            );
        } else {
            assert!(!house.data().exists());
        }
    }
    provost(&house, &["restore", "--data", "data", "whole.tar"]).ok();
    house.start();
    assert!(has_artifact(&house, b"small"));
    ended_without_a_fault(house);
}

/// Records that were in a database go into an etcd, and back into a copy that says the same.
#[test]
fn a_copy_is_put_back_into_an_etcd_that_nobody_has_used() {
    let mut house = busy();
    let directory = house.directory().to_owned();
    provost(&house, &["backup", "--data", "data", "--unencrypted", "whole.tar"]).ok();
    house.kill();
    let etcd = testkit::Etcd::start(1);
    let endpoint = format!("--store-etcd-endpoints={}", etcd.endpoint(0));
    let there = ["--store-engine=etcd", endpoint.as_str()];
    let restore =
        |file: &str, data: &str| provost(&house, &[&["restore", "--data", data, file][..], &there].concat());
    // One that is not whole leaves the etcd unfit to be started on.
    let whole = std::fs::read(directory.join("whole.tar")).unwrap();
    std::fs::write(directory.join("cut.tar"), &whole[..whole.len() - 2_000]).unwrap();
    refused(&restore("cut.tar", "other"), "not whole");
    assert!(!directory.join("other").exists());
    let netloc = format!("localhost:{}", free_pair());
    let started = provost(&house, &[&["up", "--data", "fresh", "--netloc", &netloc][..], &there].concat());
    let half = "not everything has been moved or restored into etcd yet";
    assert!(started.code != Some(0) && started.stderr.contains(half), "{started:?}");
    refused(&restore("whole.tar", "other"), "somebody has begun to use the etcd already");
    etcd.etcdctl(&["del", "--prefix", "/"]).ok();

    restore("whole.tar", "other").ok();
    refused(&restore("whole.tar", "another"), "somebody has begun to use the etcd already");
    // A plan is made of what is there: also where a successor is due, as with certificates that live this long.
    let held = || etcd.etcdctl(&["get", "--prefix", "/"]).ok().to_owned();
    let before = held();
    let plan =
        ["ca", "retire", "services", "--dry-run", "--data", "other", "--ca-services-crt-validity-days=300"];
    let plan = provost(&house, &[&plan[..], &there].concat());
    assert!(plan.ok().contains("would be retired"), "{plan:?}");
    assert!(before == held(), "a dry run changes nothing");
    let copied =
        provost(&house, &[&["backup", "--data", "other", "--unencrypted", "again.tar"][..], &there].concat());
    copied.ok();
    let holds = |file: &str| {
        json(&provost(&house, &["restore", "--data", "nowhere", "--dry-run", "--json", file]))["holds"]
            .clone()
    };
    let (mut first, again) = (holds("whole.tar"), holds("again.tar"));
    // That it was put back is in the history of what was put back.
    first["records_of"]["history"] = (first["records_of"]["history"].as_u64().unwrap() + 1).into();
    for what in ["records_of", "blobs", "blob_bytes", "authorities"] {
        assert_eq!(first[what], again[what], "{what}");
    }
    drop(house);
}
