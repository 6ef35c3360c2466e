//! Killed in the middle of commits, again and again, the store keeps what it acknowledged.
//!
//! The test starts this same binary as a child that commits numbered batches and writes each number to its
//! standard output once it was acknowledged. What `kill -9` cannot show is a power cut: there it is the
//! disk's word that counts, which `synchronous=FULL` waits for.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use base::Entropy;
use futures_executor::block_on;
use store::{Batch, Engine, Key, Page, Prefix, Revision, Sqlite, Version};

/// The file that the child is to write to.
const FILE: &str = "STORE_KILL_FILE";
/// The number of its first batch.
const FIRST: &str = "STORE_KILL_FIRST";
const ROUNDS: usize = 15;
const WRITERS: usize = 4;

/// How many records the batch `number` has.
fn records(number: u64) -> u64 {
    1 + number % 7
}

/// What a record of the batch holds; large enough that commits take several pages.
fn value(number: u64, record: u64) -> String {
    format!("{number}/{record} ").repeat(40 + usize::try_from(number % 100).unwrap())
}

/// Not a test by itself: the child of the test below. Ends when it is killed.
#[test]
fn child() {
    let (Ok(file), Ok(first)) = (std::env::var(FILE), std::env::var(FIRST)) else { return };
    let store = Sqlite::open(Path::new(&file)).unwrap();
    let number = AtomicU64::new(first.parse().unwrap());
    std::thread::scope(|threads| {
        for _ in 0..WRITERS {
            threads.spawn(|| {
                loop {
                    let number = number.fetch_add(1, Ordering::SeqCst);
                    let mut batch = Batch::new();
                    for record in 0..records(number) {
                        let key = format!("/batch/{number:08}/{record}");
                        batch.put(Key::new(key).unwrap(), value(number, record));
                    }
                    batch.put(Key::new("/last").unwrap(), number.to_string());
                    let revision = block_on(store.commit(batch)).unwrap().0;
                    // In one piece, past what the test harness captures.
                    std::io::stdout()
                        .lock()
                        .write_all(format!("\nack {number} {revision}\n").as_bytes())
                        .unwrap();
                }
            });
        }
    });
}

/// Lets a child write from the batch `first` on, and kills it once `after` batches were acknowledged. Gives the
/// revision of each that was.
fn write_and_kill(file: &Path, first: u64, after: usize) -> BTreeMap<u64, Revision> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kill::child", "--nocapture", "--test-threads=1"])
        .env(FILE, file)
        .env(FIRST, first.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut acknowledged = BTreeMap::new();
    // To the end of the pipe: what was written before the kill counts.
    for line in lines {
        let words: Vec<&str> = line.split(' ').collect();
        if let ["ack", number, revision] = words[..] {
            acknowledged.insert(number.parse().unwrap(), Revision(revision.parse().unwrap()));
            if acknowledged.len() == after {
                child.kill().unwrap();
            }
        }
    }
    child.wait().unwrap();
    acknowledged
}

/// All records, by batch, with their versions.
fn batches(store: &Sqlite) -> (BTreeMap<u64, Vec<(String, Version)>>, Revision) {
    let prefix = Prefix::new("/batch/").unwrap();
    let mut batches = BTreeMap::<u64, Vec<_>>::new();
    let mut next = Some(Page::full());
    let mut revision = Revision(0);
    while let Some(page) = next {
        let listing = block_on(store.list(&prefix, page)).unwrap();
        for (key, found) in listing.entries {
            let (number, record) = prefix.rest(&key).unwrap().split_once('/').unwrap();
            let records = batches.entry(number.parse().unwrap()).or_default();
            assert_eq!(records.len(), record.parse::<usize>().unwrap(), "{key} comes after those before it");
            records.push((String::from_utf8(found.value.to_vec()).unwrap(), found.version));
        }
        next = listing.next;
        revision = listing.revision;
    }
    (batches, revision)
}

#[test]
fn what_was_acknowledged_survives_kill_9() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("killed.sqlite");
    let chance = Entropy::seeded(9);
    let mut acknowledged = BTreeMap::new();
    let mut first = 1;
    let mut before = Revision(0);
    for round in 0..ROUNDS {
        let after = usize::try_from(1 + chance.number() % 400).unwrap();
        let acknowledged_now = write_and_kill(&file, first, after);
        assert!(acknowledged_now.len() >= after, "round {round}: the child ended by itself");
        acknowledged.extend(acknowledged_now);

        let store = Sqlite::open(&file).unwrap();
        let (batches, revision) = batches(&store);
        assert!(revision > before);
        let newest = acknowledged.values().max().unwrap();
        assert!(revision >= *newest, "round {round}: at {revision:?}, though {newest:?} was acknowledged");
        for (number, found) in &batches {
            let (_, version) = found[0];
            let whole: Vec<_> =
                (0..records(*number)).map(|record| (value(*number, record), version)).collect();
            assert!(*found == whole, "round {round}: batch {number} is not whole");
            assert!(version.0 <= revision);
        }
        for (number, revision) in &acknowledged {
            let found = batches.get(number).map(|found| found[0].1);
            assert_eq!(found, Some(Version(*revision)), "round {round}: batch {number} was acknowledged");
        }
        let last = block_on(store.get(&Key::new("/last").unwrap())).unwrap().unwrap();
        assert_eq!(last.version, Version(revision), "the last commit is there whole");
        first = batches.keys().last().unwrap() + 1;
        before = revision;
        block_on(store.close()).unwrap();
    }
}
