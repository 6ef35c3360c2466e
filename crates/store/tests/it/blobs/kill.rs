//! Killed in the middle of uploads, again and again, the directory has what was acknowledged, and nothing half.
//!
//! As with the records (`kill.rs`), the test starts this same binary as a child, which keeps numbered objects and tells
//! of each that was acknowledged. What `kill -9` cannot show is a power cut.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use base::{Entropy, Sha512};
use futures_executor::block_on;
use store::blobs::conformance::sample;
use store::blobs::{Blobs as _, Local};

use super::{clock, files, keep, read};

/// The directory that the child is to write to.
const ROOT: &str = "STORE_BLOBS_KILL_ROOT";
/// The number of its first object.
const FIRST: &str = "STORE_BLOBS_KILL_FIRST";
const ROUNDS: usize = 12;
const WRITERS: usize = 4;

/// How many bytes the object `number` has: most are small, some take many writes and a sync on the way.
fn size(number: u64) -> usize {
    match number % 13 {
        0 => 20 * 1024 * 1024,
        1 => 1024 * 1024,
        rest => usize::try_from(rest).unwrap() * 1000,
    }
}

/// Not a test by itself: the child of the test below. Ends when it is killed.
#[test]
fn child() {
    let (Ok(root), Ok(first)) = (std::env::var(ROOT), std::env::var(FIRST)) else { return };
    let blobs = Local::open(Path::new(&root), clock()).unwrap();
    let number = AtomicU64::new(first.parse().unwrap());
    std::thread::scope(|threads| {
        for _ in 0..WRITERS {
            threads.spawn(|| {
                loop {
                    let number = number.fetch_add(1, Ordering::SeqCst);
                    let kept = keep(&blobs, &sample(number, size(number))).unwrap();
                    // In one piece, past what the test harness captures.
                    let line = format!("\nack {number} {}\n", kept.digest);
                    std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
                }
            });
        }
    });
}

/// Lets a child keep objects from `first` on, and kills it once `after` were acknowledged. Gives those that were.
fn keep_and_kill(root: &Path, first: u64, after: usize) -> Vec<(u64, Sha512)> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "blobs::kill::child", "--nocapture", "--test-threads=1"])
        .env(ROOT, root)
        .env(FIRST, first.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut acknowledged = Vec::new();
    // To the end of the pipe: what was written before the kill counts.
    for line in lines {
        let words: Vec<&str> = line.split(' ').collect();
        if let ["ack", number, digest] = words[..] {
            acknowledged.push((number.parse().unwrap(), Sha512::parse(digest).unwrap()));
            if acknowledged.len() == after {
                child.kill().unwrap();
            }
        }
    }
    child.wait().unwrap();
    acknowledged
}

#[test]
fn what_was_acknowledged_is_there_and_nothing_is_there_in_part() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    let chance = Entropy::seeded(9);
    let (mut first, mut left_half, mut acknowledged) = (1, 0, BTreeSet::new());
    for round in 0..ROUNDS {
        let after = usize::try_from(1 + chance.number() % 40).unwrap();
        let now = keep_and_kill(root, first, after);
        assert!(now.len() >= after, "round {round}: the child ended by itself");
        first = now.iter().map(|(number, _)| number).max().unwrap() + 2 * WRITERS as u64;
        acknowledged.extend(now.into_iter().map(|(_, digest)| digest));

        left_half += files(&root.join("staged")).len();
        let blobs = Local::open(root, clock()).unwrap();
        assert_eq!(files(&root.join("staged")), [""; 0], "round {round}");
        let found = block_on(blobs.list(None, 1000)).unwrap();
        let mut there = BTreeSet::new();
        for object in found {
            let bytes = read(&blobs, object.digest).unwrap().unwrap();
            assert_eq!(Sha512::of(&bytes), object.digest, "round {round}: it is whole");
            there.insert(object.digest);
        }
        assert!(there.is_superset(&acknowledged), "round {round}");
        block_on(blobs.close()).unwrap();
        // Not to read all of it again.
        if there.len() > 100 {
            std::fs::remove_dir_all(root).unwrap();
            acknowledged.clear();
        }
    }
    assert!(left_half > 0, "no kill came in the middle of anything");
}
