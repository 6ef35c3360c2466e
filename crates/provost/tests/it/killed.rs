//! Commands that make a house, or take one elsewhere, killed before their writes: whoever comes then finds what was there
//! before, or all of it, and whoever runs the command again comes to its end.
//!
//! The calls are found by watching it once, with strace(1). `KILLED_CALLS=9999` kills before each of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use base::{Clock, Entropy, Span};
use ca::takeover::{give_back, keys_of_users};
use caucase_files::backup::{Recipient, Writer};
use caucase_files::dump;
use futures_executor::block_on;
use store::{Engine, Page, Prefix, SealingKey, Sqlite, Still};
use tempfile::TempDir;
use testkit::{DiskCall, Face, Ran, Strace, openssl_ok, run};
use x509::{CertificateTemplate, CrlTemplate, KeySpec, KeyUsage, Name, RevokedEntry, Serial, extension};

use crate::houses::{issued, key, plan};
use crate::program::{PROVOST, called};
use crate::sigkill::chosen;

/// How many are killed at the same time.
const AT_ONCE: usize = 4;
/// Before how many of its calls a command is killed, unless somebody says otherwise.
const CALLS: u64 = 3;

/// A command, in a folder that is a copy of [`scene`]'s.
struct Way {
    /// Its first word is what it is called.
    command: &'static str,
    /// The files whose calls are looked at.
    names: &'static [&'static str],
    /// Whether all of it is there.
    is_whole: fn(&Path) -> bool,
    /// Whether nothing of it is there, as far as anybody would believe it.
    is_nothing: fn(&Path) -> bool,
}

const WAYS: [Way; 7] = [
    Way {
        command: "provost backup --data data --unencrypted out.tar",
        names: &["out.tar", ".out.tar.partial"],
        is_whole: |folder| is_backup(folder, "out.tar"),
        is_nothing: |folder| !folder.join("out.tar").exists(),
    },
    Way {
        command: "provost restore --data again whole.tar",
        names: &[
            "again",
            ".again.restoring",
            ".again.restoring/store.key",
            ".again.restoring/.store.key.new",
            ".again.restoring/provost.db",
            ".again.restoring/provost.db-journal",
            ".again.restoring/provost.db-wal",
        ],
        is_whole: |folder| {
            let (before, after) = (counts(folder, "data/provost.db"), counts(folder, "again/provost.db"));
            let files = ["store.key", "server.key.pem", "admin.pem"];
            let is_same = |file: &&str| {
                std::fs::read(folder.join("data").join(file)).ok()
                    == std::fs::read(folder.join("again").join(file)).ok()
            };
            after.is_some() && before == after && files.iter().all(is_same)
        },
        is_nothing: |folder| !folder.join("again").exists(),
    },
    Way {
        command: "provost ca export out.sqlite --data data",
        names: &["out.sqlite", ".out.sqlite.new"],
        is_whole: |folder| {
            called("provost", folder, &[], &["ca", "import", "--dry-run", "out.sqlite"]).code == Some(0)
        },
        is_nothing: |folder| !folder.join("out.sqlite").exists(),
    },
    Way {
        command: "provost ca import theirs.sqlite --data fresh",
        names: &[
            "fresh",
            "fresh/store.key",
            "fresh/provost.db",
            "fresh/provost.db-journal",
            "fresh/provost.db-wal",
        ],
        is_whole: |folder| is_taken_over(folder, "fresh/provost.db"),
        // Nobody starts on what has the mark, and where nothing of an authority is, another one begins.
        is_nothing: |folder| {
            let Some(all) = counts(folder, "fresh/provost.db") else { return true };
            all.contains_key("/house/taking-over") || !all.keys().any(|table| table.starts_with("/ca/"))
        },
    },
    Way {
        command: "caucased-manage --db theirs.sqlite --import-ca ca.pem --import-crl ca.crl",
        names: &[
            "theirs.sqlite",
            "theirs.sqlite.key",
            "theirs.sqlite-wal",
            "theirs.sqlite.caucase-0.9.17",
            ".theirs.sqlite.taking-over",
            ".theirs.sqlite.taking-over-journal",
            ".theirs.sqlite.taking-over-wal",
        ],
        is_whole: |folder| {
            let all = counts(folder, "theirs.sqlite").unwrap_or_default();
            is_taken_over(folder, "theirs.sqlite")
                && all.get("/ca/services/issuer") == Some(&2)
                && all.get("/ca/services/revoked") == Some(&BROUGHT)
        },
        // It may be ours by then: with all that was in it.
        is_nothing: |folder| {
            let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
            read("theirs.sqlite") == read("copy.sqlite") || is_taken_over(folder, "theirs.sqlite")
        },
    },
    Way {
        command: "caucased-manage --db ours.sqlite --restore-backup old.sql.caucased data/admin.pem next.csr next.crt",
        names: &[
            "ours.sqlite",
            "ours.sqlite.key",
            "next.crt",
            ".ours.sqlite.restoring",
            ".ours.sqlite.restoring-journal",
            ".ours.sqlite.restoring-wal",
            ".ours.sqlite.restoring.sqlite",
            ".ours.sqlite.restoring.sqlite-journal",
        ],
        is_whole: |folder| {
            let all = counts(folder, "ours.sqlite").unwrap_or_default();
            let has_certificate = std::fs::read_to_string(folder.join("next.crt"))
                .is_ok_and(|text| text.ends_with("-----END CERTIFICATE-----\n"));
            has_certificate
                && all.get("/ca/users/revoked") == Some(&1)
                && is_taken_over(folder, "ours.sqlite")
        },
        is_nothing: |folder| !folder.join("ours.sqlite").exists(),
    },
    Way {
        command: "provost ca retire services --yes --data data",
        names: &["data/provost.db", "data/provost.db-wal"],
        is_whole: |folder| {
            let all = counts(folder, "data/provost.db").unwrap_or_default();
            let issuers = issuers(folder, "data/provost.db");
            let is_another = issuers.len() == 1 && issuers != self::issuers(folder, "before.db");
            is_another && !all.contains_key("/ca/services/issued")
        },
        // Whoever was interrupted goes on behind it: `ca` and `proof` have tests of that.
        is_nothing: |folder| {
            let of = |table: &str| {
                ["data/provost.db", "before.db"]
                    .map(|database| counts(folder, database).unwrap_or_default().get(table).copied())
            };
            let issuers = ["data/provost.db", "before.db"].map(|database| issuers(folder, database));
            let [issued, issued_before] = of("/ca/services/issued");
            match of("/ca/services/retired") {
                [None, _] => issuers[0] == issuers[1] && issued == issued_before,
                [Some(_), _] => issuers[0].len() == 1 && issuers[0] != issuers[1],
            }
        },
    },
];

/// How many revocations are brought along.
const BROUGHT: usize = 90;

/// What is in a store; none where there is none. It is looked at as a copy: opening it would mend it.
fn records(folder: &Path, database: &str) -> Option<Vec<(String, String)>> {
    let copy = tempfile::tempdir().unwrap();
    for ending in ["", "-wal", "-journal"] {
        let from = folder.join(format!("{database}{ending}"));
        if from.exists() {
            std::fs::copy(from, copy.path().join(format!("store{ending}"))).unwrap();
        }
    }
    let path = copy.path().join("store");
    let is_empty = std::fs::metadata(&path).map_or(true, |found| found.len() == 0);
    let store = if is_empty { return None } else { Sqlite::open(&path).ok()? };
    let (mut records, mut next) = (Vec::new(), Some(Page::full()));
    while let Some(page) = next {
        let listing = block_on(store.list(&Prefix::default(), page)).unwrap();
        for (key, found) in listing.entries {
            records.push((key.to_string(), String::from_utf8_lossy(&found.value).into_owned()));
        }
        next = listing.next;
    }
    block_on(store.close()).unwrap();
    Some(records)
}

/// How many records there are of each kind; none where there is no store.
fn counts(folder: &Path, database: &str) -> Option<BTreeMap<String, usize>> {
    let mut counts = BTreeMap::new();
    for (key, _) in records(folder, database)? {
        let table = match key.starts_with("/ca/") {
            true => key.splitn(5, '/').take(4).collect::<Vec<_>>().join("/"),
            false if key.starts_with("/history/") => continue,
            false => key,
        };
        *counts.entry(table).or_default() += 1;
    }
    Some(counts)
}

/// The certificates that services are signed with, as they stand in the records.
fn issuers(folder: &Path, database: &str) -> Vec<String> {
    let records = records(folder, database).unwrap_or_default().into_iter();
    let issuers = records.filter(|(key, _)| key.starts_with("/ca/services/issuer/"));
    issuers
        .map(|(key, text)| {
            let pem = text.split("-----").nth(2).unwrap_or_else(|| panic!("no certificate in {key}"));
            assert!(pem.len() > 100, "{key}");
            pem.to_owned()
        })
        .collect()
}

/// Whether all that was in the house is there: what came by way of caucase's files has no more.
fn is_taken_over(folder: &Path, database: &str) -> bool {
    let (Some(before), Some(after)) = (counts(folder, "before.db"), counts(folder, database)) else {
        return false;
    };
    let is_there = |name: &str| {
        ["issuer", "request", "issued"].iter().all(|table| {
            let table = format!("/ca/{name}/{table}");
            before.get(&table) <= after.get(&table)
        })
    };
    is_there("services") && is_there("users") && !after.contains_key("/house/taking-over")
}

fn is_backup(folder: &Path, file: &str) -> bool {
    called("provost", folder, &[], &["restore", "--data", "nowhere", "--dry-run", file]).code == Some(0)
}

/// What there is before each of them.
fn scene() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let mut house = plan(Face::Up).start();
    for name in ["one", "two", "three"] {
        issued(&house, &key(KeySpec::P256), name);
    }
    house.stop();
    copied(&house.data(), &at("data"));
    for name in ["provost", "caucased-manage"] {
        std::os::unix::fs::symlink(PROVOST, at(name)).unwrap();
    }
    std::fs::copy(at("data/provost.db"), at("before.db")).unwrap();
    let provost = |words: &[&str]| {
        let ran = called("provost", folder.path(), &[], words);
        assert_eq!(ran.code, Some(0), "{ran:?}");
    };
    provost(&["backup", "--data", "data", "--unencrypted", "whole.tar"]);
    provost(&["ca", "export", "theirs.sqlite", "--data", "data"]);
    std::fs::copy(at("theirs.sqlite"), at("copy.sqlite")).unwrap();
    brought(folder.path());
    old_backup(folder.path());
    folder
}

/// A CA certificate with its key, and a list of what it has revoked.
fn brought(folder: &Path) {
    let (key, now) = (key(KeySpec::P256), Clock::system().now());
    let subject = Name::from_common_name("of another").unwrap();
    let template = CertificateTemplate {
        serial: Serial::from_decimal("4711").unwrap(),
        issuer: subject.clone(),
        subject,
        not_before: now - Span::days(30),
        not_after: now + Span::days(300),
        public_key: key.public().clone(),
        extensions: vec![
            extension::subject_key_id(key.public().key_id()),
            extension::basic_constraints(true, None),
            extension::key_usage(KeyUsage::KEY_CERT_SIGN | KeyUsage::CRL_SIGN, true),
        ],
    };
    let certificate = template.sign(&key);
    let entry = |number: usize| RevokedEntry {
        serial: Serial::from_decimal(&(number + 1).to_string()).unwrap(),
        at: now - Span::days(3),
    };
    let revoked: Vec<_> = (0..BROUGHT).map(entry).collect();
    let list = CrlTemplate {
        issuer: certificate.subject(),
        authority_key_id: key.public().key_id(),
        number: 7,
        this_update: now - Span::days(1),
        next_update: now + Span::days(30),
        revoked: &revoked,
    };
    std::fs::write(folder.join("ca.crl"), list.sign(&key).to_pem()).unwrap();
    let pair = [key.to_pem().expose().as_str(), &certificate.to_pem()].concat();
    std::fs::write(folder.join("ca.pem"), pair).unwrap();
}

/// A backup in caucase's format that the administrator can open, and a request for another key of theirs.
fn old_backup(folder: &Path) {
    let entropy = Entropy::system();
    let sealing = SealingKey::load_or_create(&folder.join("data/store.key"), &entropy).unwrap();
    let still = Still::of(Sqlite::look(&folder.join("data/provost.db")).unwrap());
    let readers = block_on(keys_of_users(&still, Clock::system().now())).unwrap();
    let readers: Vec<_> = readers.iter().filter_map(Recipient::new).collect();
    let mut dump = dump::Writer::new(Writer::new(Vec::new(), &readers, &entropy).unwrap()).unwrap();
    block_on(give_back(&still, &sealing, |table, row| dump.row(table, &row))).unwrap();
    let backup = dump.finish().unwrap().finish().unwrap();
    std::fs::write(folder.join("old.sql.caucased"), backup).unwrap();
    let request = [
        "req", "-newkey", "rsa:2048", "-nodes", "-keyout", "next.key", "-out", "next.csr", "-subj",
        "/CN=next",
    ];
    openssl_ok(folder, &request);
}

fn copied(from: &Path, to: &Path) {
    let ran = run(Command::new("cp").arg("-a").arg(from).arg(to));
    assert_eq!(ran.code, Some(0), "{ran:?}");
}

impl Way {
    fn command(&self, folder: &Path) -> Command {
        let mut words = self.command.split(' ');
        let mut command = Command::new(folder.join(words.next().unwrap()));
        command.args(words).env_clear().env("HOME", "/nonexistent").env("PATH", "/usr/bin:/bin");
        command
    }

    fn again(&self, folder: &Path) -> Ran {
        run(self.command(folder).current_dir(folder))
    }

    fn strace(&self, folder: &Path) -> Strace {
        Strace::of(folder, self.names)
    }
}

/// Kills it before `call`, which may come in another order than it did. Whether it was killed.
fn killed(way: &Way, folder: &Path, call: &DiskCall) -> bool {
    let is_killed = way.strace(folder).cut_if_it_comes(&way.command(folder), call);
    let (what, line) = (way.command, &call.line);
    let was_whole = (way.is_whole)(folder);
    assert!(was_whole || (way.is_nothing)(folder), "{what}, before {line}: it is half there");
    let again = way.again(folder);
    // What is there already may be refused, and is not changed.
    assert!(was_whole || again.code == Some(0), "{what}, before {line}: {again:?}");
    assert!((way.is_whole)(folder), "{what}, before {line}: {again:?}");
    is_killed
}

#[test]
fn whatever_makes_a_house_is_killed_before_its_writes() {
    let scene = scene();
    let place = || -> (TempDir, PathBuf) {
        let copy = tempfile::tempdir().unwrap();
        let folder = copy.path().join("folder");
        copied(scene.path(), &folder);
        (copy, folder)
    };
    let mut all: Vec<(&Way, DiskCall)> = Vec::new();
    for way in &WAYS {
        let (_copy, folder) = place();
        assert!((way.is_nothing)(&folder) && !(way.is_whole)(&folder), "{}", way.command);
        let calls = way.strace(&folder).watch(&way.command(&folder));
        assert!((way.is_whole)(&folder), "{}: {:?}", way.command, counts(&folder, "theirs.sqlite"));
        let wanted = usize::try_from(chosen("KILLED_CALLS", CALLS)).unwrap().min(calls.len());
        assert!(wanted > 0, "{}", way.command);
        println!("{}: {} calls", way.command, calls.len());
        // The last one is where it becomes what it is to be, or right behind.
        all.extend((1..=wanted).map(|part| (way, calls[part * calls.len() / wanted - 1].clone())));
        // Whichever thread is the first to make such a call, it is that thread's first.
        let sure = calls.iter().find(|call| call.number == 1).expect("a first call");
        all.push((way, sure.clone()));
    }
    let wanted = all.len();
    let (all, kills) = (Mutex::new(all), Mutex::new(BTreeMap::<&str, usize>::new()));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                let next = || all.lock().unwrap().pop();
                while let Some((way, call)) = next() {
                    let (_copy, folder) = place();
                    if killed(way, &folder, &call) {
                        *kills.lock().unwrap().entry(way.command).or_default() += 1;
                    }
                }
            });
        }
    });
    let kills = kills.into_inner().unwrap();
    println!("of {wanted} runs were killed: {kills:#?}");
    for way in &WAYS {
        assert!(kills.contains_key(way.command), "{} was never killed: {kills:?}", way.command);
    }
}
