//! Looking at the embedded store's file from another process, while it is written to.
//!
//! The tests start this same binary as the one that looks: SQLite's locks are those of a process.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use futures_executor::block_on;
use store::{Batch, Engine, Key, OpenError, Page, Prefix, SNAPSHOTS_MAX, Snapshot, Sqlite};

/// The file that the child is to look at.
const FILE: &str = "STORE_LOOK_FILE";

fn put(store: &Sqlite, text: &str, value: impl Into<Vec<u8>>) {
    let mut batch = Batch::new();
    batch.put(Key::new(text).unwrap(), value.into());
    block_on(store.commit(batch)).unwrap();
}

fn keys(snapshot: &Arc<dyn Snapshot>) -> Vec<String> {
    let (mut keys, mut next) = (Vec::new(), Some(Page::first(3)));
    while let Some(page) = next {
        let listing = block_on(snapshot.list(&Prefix::default(), page)).unwrap();
        assert_eq!(listing.revision, snapshot.revision());
        keys.extend(listing.entries.into_iter().map(|(key, _)| key.to_string()));
        next = listing.next;
    }
    keys
}

/// Not a test by itself: the child of the test below. Lists what it sees whenever it is asked to, for as long as it is.
#[test]
fn child() {
    let Ok(file) = std::env::var(FILE) else { return };
    let snapshot = Sqlite::look(Path::new(&file)).unwrap();
    for _ in std::io::stdin().lock().lines() {
        let said = format!("\nseen {} {}\n", snapshot.revision().0, keys(&snapshot).join(","));
        std::io::stdout().lock().write_all(said.as_bytes()).unwrap();
    }
}

#[test]
fn another_process_looks_while_it_is_written_to() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.sqlite");
    let store = Sqlite::open(&path).unwrap();
    let names: Vec<String> = (0..10).map(|number| format!("/{number}")).collect();
    names.iter().for_each(|name| put(&store, name, vec![b'x'; 5_000]));

    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "look::child", "--nocapture", "--test-threads=1"])
        .env(FILE, &path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut asks = child.stdin.take().unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut seen = || {
        writeln!(asks).unwrap();
        said.find_map(|line| line.strip_prefix("seen ").map(str::to_owned)).unwrap()
    };
    let expected = format!("10 {}", names.join(","));
    assert_eq!(seen(), expected);
    // Enough for the log to be copied to the file as far as may be, more than once.
    for round in 0..60 {
        for name in ["/0", "/new", "/newer"] {
            put(&store, name, vec![round; 400_000]);
        }
        if round % 20 == 0 {
            assert_eq!(seen(), expected, "round {round}");
        }
    }
    assert_eq!(seen(), expected);
    drop(asks);
    assert!(child.wait().unwrap().success());
    // It has let go of nothing that is ours: the log is still held, and so is the file.
    put(&store, "/last", "");
    assert!(matches!(Sqlite::open(&path).err(), Some(OpenError::InUse { .. })));
    block_on(store.close()).unwrap();
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1, "the log is gone");
}

#[test]
fn what_a_killed_process_left_in_its_log_is_seen() {
    let directory = tempfile::tempdir().unwrap();
    let [path, left] = ["store", "left"].map(|name| directory.path().join(name));
    let store = Sqlite::open(&path).unwrap();
    put(&store, "/in/log", "x");
    for suffix in ["", "-wal"] {
        let of = |path: &Path| format!("{}{suffix}", path.display());
        std::fs::copy(of(&path), of(&left)).unwrap();
    }
    assert_eq!(keys(&Sqlite::look(&left).unwrap()), ["/in/log"]);
    // Nothing is in the way of whoever opens it next.
    let looking = Sqlite::look(&left).unwrap();
    let again = Sqlite::open(&left).unwrap();
    put(&again, "/more", "x");
    assert_eq!(keys(&looking), ["/in/log"]);
}

#[test]
fn what_is_not_ours_is_not_looked_at() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let refused = || Sqlite::look(&path).err().unwrap();
    assert!(matches!(refused(), OpenError::Files { .. }));
    assert!(!path.exists());
    for text in ["", "hello", "SQLite format 3\0"] {
        std::fs::write(&path, text).unwrap();
        assert!(matches!(refused(), OpenError::NotADatabase { .. }), "{text}");
    }
    std::fs::remove_file(&path).unwrap();
    let foreign = rusqlite::Connection::open(&path).unwrap();
    foreign.execute_batch("CREATE TABLE cauca (a)").unwrap();
    drop(foreign);
    let before = std::fs::read(&path).unwrap();
    assert!(matches!(refused(), OpenError::Foreign { tables, .. } if tables == ["cauca"]));
    assert_eq!(std::fs::read(&path).unwrap(), before);
    std::fs::remove_file(&path).unwrap();
    drop(Sqlite::open(&path).unwrap());
    let newer = rusqlite::Connection::open(&path).unwrap();
    newer.pragma_update(None, "user_version", 9).unwrap();
    drop(newer);
    assert!(matches!(refused(), OpenError::Newer { layout: 9, .. }));
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1, "nothing is left beside it");
}

/// The log grows while somebody looks, and no commit waits for that for long.
#[test]
fn commits_go_on_while_all_snapshots_are_held() {
    let directory = tempfile::tempdir().unwrap();
    let store = Sqlite::open(&directory.path().join("store")).unwrap();
    put(&store, "/a", "1");
    let held: Vec<_> = (0..SNAPSHOTS_MAX).map(|_| block_on(store.snapshot()).unwrap()).collect();
    let begun = std::time::Instant::now();
    // Some 40,000 pages, in ten checkpoints: more than what makes the writer wait for those who read.
    for number in 0..320 {
        put(&store, &format!("/large/{}", number % 4), vec![b'x'; 500_000]);
    }
    assert!(begun.elapsed().as_secs() < 60, "{:?}", begun.elapsed());
    for snapshot in &held {
        assert_eq!(keys(snapshot), ["/a"]);
    }
    drop(held);
    block_on(store.close()).unwrap();
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1, "the log is gone");
}
