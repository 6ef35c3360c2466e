//! What the embedded engine does with its file.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use base::Explain;
use futures_executor::block_on;
use futures_util::future::join_all;
use futures_util::{FutureExt, StreamExt};
use store::{
    Batch, CommitError, Engine, Error, Expect, Key, OpenError, Page, Prefix, Revision, Sqlite, Version,
    WatchError,
};

fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

fn put(store: &Sqlite, text: &str, value: impl Into<Vec<u8>>) -> Result<Revision, CommitError> {
    let mut batch = Batch::new();
    batch.put(key(text), value.into());
    block_on(store.commit(batch))
}

fn get(store: &Sqlite, text: &str) -> Option<Vec<u8>> {
    block_on(store.get(&key(text))).unwrap().map(|found| found.value.to_vec())
}

/// The names in a directory, in order.
fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn everything_is_there_after_reopening() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a store?#%.sqlite");
    let store = Sqlite::open(&path).unwrap();
    put(&store, "/gone", "").unwrap();
    let version = Version(put(&store, "/kept", "value").unwrap());
    let mut batch = Batch::new();
    batch.delete(key("/gone"));
    let last = block_on(store.commit(batch)).unwrap();
    assert_eq!(last, Revision(3));
    block_on(store.close()).unwrap();
    assert_eq!(names(directory.path()), ["a store?#%.sqlite"], "the log is gone");

    let store = Sqlite::open(&path).unwrap();
    let listing = block_on(store.list(&Prefix::default(), Page::full())).unwrap();
    assert_eq!(listing.revision, last);
    assert_eq!(listing.entries.len(), 1);
    assert_eq!(listing.entries[0].1.version, version);

    // What happened before is not known any more; what happens next is.
    let mut early = store.watch(Prefix::default(), Revision(2));
    assert!(matches!(block_on(early.next()), Some(Err(WatchError::Compacted))));
    let mut watch = store.watch(Prefix::default(), last);
    let mut batch = Batch::new();
    batch.expect(key("/kept"), Expect::At(version)).put(key("/kept"), "again");
    assert_eq!(block_on(store.commit(batch)).unwrap(), Revision(4), "revisions go on");
    assert_eq!(block_on(watch.next()).unwrap().unwrap().revision, Revision(4));
}

#[test]
fn dropping_it_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.sqlite");
    let store = Sqlite::open(&path).unwrap();
    put(&store, "/answered", "1").unwrap();
    let mut batch = Batch::new();
    batch.put(key("/queued"), "2");
    // Polled once, so that it is queued, and then given up.
    assert!(store.commit(batch).now_or_never().is_none_or(|done| done.is_ok()));
    drop(store);

    let store = Sqlite::open(&path).unwrap();
    assert_eq!(get(&store, "/answered"), Some(b"1".to_vec()));
    assert_eq!(get(&store, "/queued"), Some(b"2".to_vec()));
}

#[test]
fn only_the_owner_may_read_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.sqlite");
    let store = Sqlite::open(&path).unwrap();
    put(&store, "/a", "secret").unwrap();
    get(&store, "/a");
    let names = names(directory.path());
    assert_eq!(names, ["store.sqlite", "store.sqlite-shm", "store.sqlite-wal"]);
    for name in names {
        assert_eq!(mode(&directory.path().join(&name)), 0o600, "{name}");
    }
}

#[test]
fn one_process_at_a_time_has_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.sqlite");
    let store = Sqlite::open(&path).unwrap();
    let error = Sqlite::open(&path).err().unwrap();
    assert!(matches!(error, OpenError::InUse { .. }), "{error}");
    put(&store, "/a", "1").unwrap();
    block_on(store.close()).unwrap();
    assert_eq!(get(&Sqlite::open(&path).unwrap(), "/a"), Some(b"1".to_vec()));
}

/// Whoever opens a pipe waits for somebody to write into it, and hears no signal meanwhile.
#[test]
fn what_is_no_file_is_refused_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    assert!(std::process::Command::new("mkfifo").arg(path("pipe")).status().unwrap().success());
    std::os::unix::fs::symlink(path("pipe"), path("link")).unwrap();
    std::os::unix::fs::symlink(path("missing"), path("nowhere")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(path("socket")).unwrap();
    let before = names(directory.path());
    for (at, what) in [
        (path("pipe"), "a named pipe"),
        (path("link"), "a named pipe"),
        (path("nowhere"), "a link that leads nowhere"),
        (path("socket"), "a socket"),
        (path("."), "a directory"),
        ("/dev/null".into(), "a device"),
    ] {
        for error in [Sqlite::open(&at).err().unwrap(), Sqlite::look(&at).err().unwrap()] {
            assert!(error.to_string().ends_with(&format!("cannot be a database: it is {what}")), "{error}");
        }
    }
    assert_eq!(names(directory.path()), before, "nothing is made");
}

#[test]
fn what_is_not_ours_is_refused_and_left_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("caucase ?#%é.sqlite");
    let refused = |name: &[&str]| {
        let before = std::fs::read(&path).unwrap();
        let error = Sqlite::open(&path).err().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), before);
        assert_eq!(names(directory.path()), name, "nothing is left beside it");
        error
    };
    let foreign = rusqlite::Connection::open(&path).unwrap();
    foreign
        .execute_batch("CREATE TABLE config (a); CREATE TABLE cas_ca (b); CREATE INDEX i ON config (a)")
        .unwrap();
    drop(foreign);
    let error = refused(&["caucase ?#%é.sqlite"]);
    assert!(
        matches!(&error, OpenError::Foreign { tables, .. } if tables == &["cas_ca", "config"]),
        "{error:?}"
    );
    assert!(error.to_string().ends_with("of another program, with the tables: cas_ca, config"), "{error}");
    assert!(error.help().unwrap().contains("not changed"));

    // Also when it has a write-ahead log, and when it is in use.
    let foreign = rusqlite::Connection::open(&path).unwrap();
    foreign.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(())).unwrap();
    foreign.execute_batch("CREATE TABLE more (c)").unwrap();
    let beside = names(directory.path());
    let beside: Vec<&str> = beside.iter().map(String::as_str).collect();
    assert_eq!(beside.len(), 3);
    assert!(matches!(refused(&beside), OpenError::Foreign { .. }));
    drop(foreign);

    for text in ["hello", &"hello ".repeat(100), "SQLite format 3\0"] {
        std::fs::write(&path, text).unwrap();
        assert!(matches!(refused(&["caucase ?#%é.sqlite"]), OpenError::NotADatabase { .. }));
    }
}

#[test]
fn what_a_newer_version_wrote_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.sqlite");
    drop(Sqlite::open(&path).unwrap());
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection.pragma_update(None, "user_version", 3).unwrap();
    drop(connection);
    let error = Sqlite::open(&path).err().unwrap();
    assert!(matches!(error, OpenError::Newer { layout: 3, .. }), "{error}");
}

#[test]
fn a_directory_that_is_not_there_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let error = Sqlite::open(&directory.path().join("nowhere").join("store.sqlite")).err().unwrap();
    assert!(matches!(error, OpenError::Files { .. }), "{error}");
}

/// What is stored in a file without a name is lost with the process: nothing is, then.
#[test]
fn a_file_that_is_deleted_or_replaced_takes_nothing_more() {
    let directory = tempfile::tempdir().unwrap();
    let [path, elsewhere] = ["store", "elsewhere"].map(|name| directory.path().join(name));
    let store = Sqlite::open(&path).unwrap();
    put(&store, "/kept", "value").unwrap();
    std::fs::rename(&path, &elsewhere).unwrap();
    for is_replaced in [false, true] {
        if is_replaced {
            std::fs::copy(&elsewhere, &path).unwrap();
        }
        let is_gone = |error: &Error| matches!(error, Error::Gone { path: gone } if *gone == path);
        let refused = put(&store, "/lost", "").unwrap_err();
        assert!(matches!(&refused, CommitError::Store(error) if is_gone(error)), "{refused:?}");
        let listed = block_on(store.list(&Prefix::default(), Page::full()));
        assert!(listed.as_ref().is_err_and(is_gone), "{listed:?}");
    }
    std::fs::rename(&elsewhere, &path).unwrap();
    put(&store, "/more", "").unwrap();
    let listing = block_on(store.list(&Prefix::default(), Page::full())).unwrap();
    assert_eq!(listing.entries.len(), 2);
}

/// What was answered since the last checkpoint is in the log alone, and would be lost with a killed process.
#[test]
fn a_log_that_is_deleted_takes_nothing_more_and_loses_nothing() {
    for lost in ["store-wal", "store-shm"] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store");
        let store = Sqlite::open(&path).unwrap();
        put(&store, "/kept", "value").unwrap();
        let lost = directory.path().join(lost);
        std::fs::remove_file(&lost).unwrap();
        for is_replaced in [false, true] {
            if is_replaced {
                std::fs::write(&lost, "").unwrap();
            }
            let is_gone = |error: &Error| matches!(error, Error::LogGone { path: gone } if *gone == lost);
            let refused = put(&store, "/lost", "").unwrap_err();
            assert!(matches!(&refused, CommitError::Store(error) if is_gone(error)), "{refused:?}");
            let listed = block_on(store.list(&Prefix::default(), Page::full()));
            assert!(listed.as_ref().is_err_and(is_gone), "{listed:?}");
        }
        // As if the process were killed now.
        let copy = directory.path().join("copy");
        std::fs::copy(&path, &copy).unwrap();
        drop(store);
        for path in [copy, path] {
            let store = Sqlite::open(&path).unwrap();
            assert_eq!(get(&store, "/kept"), Some(b"value".to_vec()), "{}", path.display());
            assert_eq!(get(&store, "/lost"), None);
            put(&store, "/more", "").unwrap();
        }
    }
}

#[test]
fn a_file_that_is_emptied_or_written_over_takes_nothing_more() {
    for text in ["", "hello", &"hello ".repeat(1000)] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store");
        let store = Sqlite::open(&path).unwrap();
        put(&store, "/kept", "value").unwrap();
        std::fs::write(&path, text).unwrap();
        let refused = put(&store, "/lost", "").unwrap_err();
        assert!(matches!(&refused, CommitError::Store(Error::Overwritten { .. })), "{refused:?}");
        let listed = block_on(store.list(&Prefix::default(), Page::full()));
        assert!(matches!(listed, Err(Error::Overwritten { .. })), "{listed:?}");
        drop(store);
        assert_eq!(std::fs::read(&path).unwrap(), text.as_bytes(), "left as it is");
        assert!(std::fs::metadata(directory.path().join("store-wal")).unwrap().len() > 0, "so is its log");
    }
}

#[test]
fn the_file_alone_has_everything_once_the_log_was_copied() {
    let directory = tempfile::tempdir().unwrap();
    let [path, copy] = ["store", "copy"].map(|name| directory.path().join(name));
    let store = Sqlite::open(&path).unwrap();
    assert_eq!(store.revision_now().unwrap(), Revision(0));
    put(&store, "/kept", "value").unwrap();
    store.copy_log().unwrap();
    assert_eq!(store.revision_now().unwrap(), Revision(1));
    std::fs::copy(&path, &copy).unwrap();
    assert_eq!(get(&Sqlite::open(&copy).unwrap(), "/kept"), Some(b"value".to_vec()));
}

/// Whoever deletes what lies beside the file lets no second process in.
#[test]
fn it_is_locked_by_the_file_itself() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.sqlite");
    let _store = Sqlite::open(&path).unwrap();
    for name in names(directory.path()).iter().filter(|name| *name != "store.sqlite") {
        std::fs::remove_file(directory.path().join(name)).unwrap();
    }
    let error = Sqlite::open(&path).err().unwrap();
    assert!(matches!(error, OpenError::InUse { .. }), "{error}");
}

#[test]
fn the_sqlite3_command_can_read_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.sqlite");
    let store = Sqlite::open(&path).unwrap();
    put(&store, "/a", r#"{"v":1,"is":{}}"#).unwrap();
    let connection = rusqlite::Connection::open(&path).unwrap();
    let row: (String, i64, String) = connection
        .query_row(
            "SELECT key, revision, json_extract(CAST(value AS TEXT), '$.v') || '' FROM records",
            [],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )
        .unwrap();
    assert_eq!(row, ("/a".into(), 1, "1".into()));
    let check: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok");
}

#[test]
fn a_full_disk_is_said_and_survived() {
    let directory = tempfile::tempdir().unwrap();
    let store = Sqlite::open_limited(&directory.path().join("store.sqlite"), 40).unwrap();
    let mut fitted = Vec::new();
    let error = loop {
        let name = format!("/{:04}", fitted.len());
        match put(&store, &name, vec![b'x'; 20_000]) {
            Ok(_) => fitted.push(name),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, CommitError::Store(Error::Full)), "{error}");
    assert!(error.help().unwrap().contains("free some space"));
    assert!(fitted.len() > 5, "{} fitted", fitted.len());

    // What was acknowledged is there, what was not is not; it was not told either.
    let listing = block_on(store.list(&Prefix::default(), Page::full())).unwrap();
    assert_eq!(listing.entries.iter().map(|(key, _)| key.to_string()).collect::<Vec<_>>(), fitted);
    assert!(store.watch(Prefix::default(), listing.revision).next().now_or_never().is_none());

    // Small ones that share a transaction with one that is too large fail with it, and leave no trace.
    for _ in 0..20 {
        let commits = (0..10).map(|number| {
            let mut batch = Batch::new();
            let size = if number == 7 { 20_000 } else { 1 };
            batch.put(key(&format!("/small/{}", number % 7)), vec![b'z'; size]);
            store.commit(batch)
        });
        let newest = block_on(join_all(commits)).into_iter().filter_map(Result::ok).max();
        let listing = block_on(store.list(&Prefix::default(), Page::full())).unwrap();
        assert_eq!(block_on(store.commit(Batch::new())).unwrap(), listing.revision);
        assert!(newest.is_none_or(|newest| newest == listing.revision));
    }

    // When space is freed, large ones fit again.
    let mut batch = Batch::new();
    batch.delete(key(&fitted[0])).delete(key(&fitted[1]));
    block_on(store.commit(batch)).unwrap();
    put(&store, "/again", vec![b'y'; 20_000]).unwrap();
    assert_eq!(get(&store, "/again").unwrap().len(), 20_000);
}

#[test]
fn writers_readers_and_watchers_on_many_threads() {
    const WRITERS: usize = 4;
    const COMMITS: usize = 150;
    let directory = tempfile::tempdir().unwrap();
    let store = Arc::new(Sqlite::open(&directory.path().join("store.sqlite")).unwrap());
    let all = WRITERS * COMMITS;
    std::thread::scope(|threads| {
        for writer in 0..WRITERS {
            let store = &store;
            threads.spawn(move || {
                for number in 0..COMMITS {
                    put(store, &format!("/{writer}/{number:04}"), "x").unwrap();
                    assert!(
                        get(store, &format!("/{writer}/{number:04}")).is_some(),
                        "what was answered is seen"
                    );
                }
            });
        }
        for _ in 0..2 {
            threads.spawn(|| {
                let listing = block_on(store.list(&Prefix::default(), Page::full())).unwrap();
                let told = store.watch(Prefix::default(), listing.revision).take(all - listing.entries.len());
                let mut seen: Vec<Key> = listing.entries.into_iter().map(|(key, _)| key).collect();
                let mut last = listing.revision;
                for change in block_on(told.collect::<Vec<_>>()) {
                    let change = change.unwrap();
                    assert_eq!(change.revision.0, last.0 + 1, "none is missing, none out of order");
                    last = change.revision;
                    seen.push(change.key);
                }
                seen.sort();
                seen.dedup();
                assert_eq!(seen.len(), all);
            });
        }
    });
}
