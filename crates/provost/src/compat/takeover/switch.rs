//! `caucased --db FILE`, where FILE is a database of caucase's.
//!
//! ```text
//! FILE.key made ─► .FILE.taking-over filled, closed, on the disk ─► FILE.caucase-0.9.17 is a second name of FILE
//!               ─► .FILE.taking-over is renamed to FILE
//! ```
//! The last step is the one that counts, and it is one: before it FILE is caucase's and whatever is beside it is made
//! again by the next start; after it FILE is ours, and the original has its other name, its content untouched. While it
//! lasts the original is locked, so that nobody writes to it; and with flock(2), which no database is
//! locked with, so that nobody else takes it over at the same time and fills the same temporary file.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::{Clock, Entropy};
use caucase_files::{Database, Hold, Nature};
use rustix::fs::Access;
use store::{Engine, SealingKey, Sqlite};

use super::{Means, TakeOverError, Taken, copy};
use crate::lock::{Lock, LockError};

/// What is behind the name of the original.
const KEPT: &str = ".caucase-0.9.17";
/// How many originals there may be beside each other.
const KEPT_MAX: usize = 1_000;

/// How far it is; the names of the files are different after each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// There is a key for our store.
    Key,
    /// Our store is there, under its temporary name, and empty.
    Begun,
    /// Everything is in it, and may still be in its log.
    Filled,
    /// It is one file, and on the disk.
    Closed,
    /// The original has its second name.
    Kept,
    /// Our store has the original's name.
    Switched,
}

/// What was done.
#[derive(Debug)]
pub struct Switched {
    /// What our store holds.
    pub taken: Taken,
    /// Where the original is.
    pub original: PathBuf,
}

/// Whether there is a database of caucase's at `path`.
pub fn is_needed(path: &Path) -> Result<bool, TakeOverError> {
    match std::fs::metadata(path) {
        // What else it may be is for the store to say.
        Ok(found) if found.is_file() && found.len() > 0 => {
            Ok(caucase_files::nature(path)? == Nature::Caucase)
        }
        _ => Ok(false),
    }
}

/// Puts a store of ours, sealed under the key in the file at `key`, in the place of caucase's database at `path`. Whoever
/// wants to know how far it is hears of each step. The clock is looked at as at a start, unless somebody says that it is right.
pub async fn take_over(
    path: &Path,
    key: &Path,
    (clock, clock_is_right): (&Clock, bool),
    entropy: &Entropy,
    mut at: impl FnMut(Step),
) -> Result<Switched, TakeOverError> {
    if path.symlink_metadata().is_ok_and(|found| found.is_symlink()) {
        return Err(TakeOverError::Link { path: path.to_owned() });
    }
    // Before the database, so that it is let go of later: a file that is closed takes all locks of the other kind with it
    // (fcntl_locking(2)). Whoever comes after another one finds our store below, and is told.
    let _lock = Lock::take(path)?;
    let mut database = Database::open(path)?;
    let hold = Hold::take(path)?;
    if let Some(pid) = opened_by(path) {
        return Err(LockError::Held { what: path.to_owned(), pid: Some(pid) }.into());
    }
    let directory = folder_of(path);
    rustix::fs::access(directory, Access::WRITE_OK)
        .map_err(|error| file(directory, "make files in")(error.into()))?;
    let temporary = beside(path, ".", ".taking-over");
    remove_all(&temporary)?;
    let had_key = key.symlink_metadata().is_ok();
    let sealing = SealingKey::load_or_create(key, entropy)?;
    at(Step::Key);
    let means = Means { sealing: &sealing, clock, clock_is_right, entropy };
    let filled = fill(&mut database, path, &temporary, &means, &mut at).await;
    let switched = filled.and_then(|taken| {
        at(Step::Closed);
        // What anybody left would be taken for ours.
        hold.remove_dead_journal()?;
        let original = keep(path)?;
        at(Step::Kept);
        if let Err(source) = std::fs::rename(&temporary, path) {
            let _ = std::fs::remove_file(&original);
            return Err(file(path, "replace")(source));
        }
        at(Step::Switched);
        Ok(Switched { taken, original })
    });
    // Whether or not that is on the disk, one of both is at each name.
    let synced = if switched.is_ok() { sync_directory(path) } else { Ok(()) };
    if switched.is_err() {
        // The first error is the one to tell. The key has sealed nothing then.
        let _ = remove_all(&temporary);
        if !had_key {
            let _ = std::fs::remove_file(key);
        }
    }
    synced?;
    switched
}

/// Makes our store under its temporary name, and fills it.
pub async fn fill(
    database: &mut Database,
    path: &Path,
    temporary: &Path,
    means: &Means<'_>,
    at: &mut impl FnMut(Step),
) -> Result<Taken, TakeOverError> {
    let engine: Arc<dyn Engine> = Arc::new(Sqlite::open(temporary)?);
    at(Step::Begun);
    let copied = copy(database, path, &engine, means).await;
    at(Step::Filled);
    // The first error is the one to tell.
    let closed = engine.close().await;
    let taken = copied?;
    closed?;
    // What is in the log would be lost with the name.
    let log = beside(temporary, "", "-wal");
    if std::fs::metadata(&log).is_ok_and(|found| found.len() > 0) {
        let source = io::Error::other("its log could not be copied to it");
        return Err(TakeOverError::File { path: temporary.to_owned(), doing: "finish", source });
    }
    File::open(temporary).and_then(|open| open.sync_all()).map_err(file(temporary, "sync"))?;
    Ok(taken)
}

/// Gives the database at `path` a second name that says what it is; what has that name is let be, unless it is this very
/// file, as after a start that was killed.
fn keep(path: &Path) -> Result<PathBuf, TakeOverError> {
    let failed = file(path, "give another name to");
    let place = |found: std::fs::Metadata| (found.dev(), found.ino());
    let own = std::fs::symlink_metadata(path).map(place).map_err(&failed)?;
    for number in 1..=KEPT_MAX {
        let number = if number == 1 { String::new() } else { format!("-{number}") };
        let kept = beside(path, "", &format!("{KEPT}{number}"));
        match std::fs::hard_link(path, &kept) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                if std::fs::symlink_metadata(&kept).map(place).ok() != Some(own) {
                    continue;
                }
            }
            Err(error) => return Err(failed(error)),
        }
        sync_directory(path)?;
        return Ok(kept);
    }
    Err(failed(io::ErrorKind::AlreadyExists.into()))
}

/// Another process that has the file at `path` open, as far as this one may look: caucase that runs would go on with the
/// original, or make its tables in our store.
fn opened_by(path: &Path) -> Option<u32> {
    let place = |found: std::fs::Metadata| (found.dev(), found.ino());
    let own = std::fs::metadata(path).map(place).ok()?;
    let processes = std::fs::read_dir("/proc").ok()?.flatten();
    let pids = processes.filter_map(|process| process.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| *pid != std::process::id()).find(|pid| {
        let open = std::fs::read_dir(format!("/proc/{pid}/fd"));
        open.is_ok_and(|open| {
            open.flatten().any(|one| std::fs::metadata(one.path()).map(place).is_ok_and(|found| found == own))
        })
    })
}

/// What is beside `path`, its name with something around it.
fn beside(path: &Path, before: &str, after: &str) -> PathBuf {
    let mut name = std::ffi::OsString::from(before);
    name.push(path.file_name().unwrap_or_default());
    name.push(after);
    path.with_file_name(name)
}

/// What an earlier start left of a store, which nobody has seen.
fn remove_all(temporary: &Path) -> Result<(), TakeOverError> {
    for ending in ["", "-wal", "-shm", "-journal"] {
        let path = beside(temporary, "", ending);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(file(&path, "remove")(error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// The directory that `path` is in.
fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn sync_directory(path: &Path) -> Result<(), TakeOverError> {
    let directory = folder_of(path);
    File::open(directory).and_then(|open| open.sync_all()).map_err(file(directory, "sync"))
}

fn file(path: &Path, doing: &'static str) -> impl Fn(io::Error) -> TakeOverError {
    move |source| TakeOverError::File { path: path.to_owned(), doing, source }
}

#[cfg(test)]
mod tests {
    use futures_executor::block_on;
    use store::{Page, Prefix};
    use tempfile::TempDir;

    use super::super::tests::{REVOKED, original};
    use super::*;

    fn take(path: &Path) -> Result<Switched, TakeOverError> {
        take_with(path, |_| {})
    }

    fn take_with(path: &Path, at: impl FnMut(Step)) -> Result<Switched, TakeOverError> {
        let (clock, entropy) = (Clock::system(), Entropy::system());
        block_on(take_over(path, &beside(path, "", ".key"), (&clock, false), &entropy, at))
    }

    /// What a process that is killed now leaves: the same files under the same names.
    fn as_left(directory: &Path) -> TempDir {
        let left = tempfile::tempdir().unwrap();
        let mut seen: Vec<(u64, PathBuf)> = Vec::new();
        for entry in std::fs::read_dir(directory).unwrap() {
            let entry = entry.unwrap();
            let (inode, to) = (entry.metadata().unwrap().ino(), left.path().join(entry.file_name()));
            match seen.iter().find(|(known, _)| *known == inode) {
                Some((_, other)) => std::fs::hard_link(other, &to).unwrap(),
                None => drop(std::fs::copy(entry.path(), &to).unwrap()),
            }
            seen.push((inode, to));
        }
        left
    }

    fn names(directory: &Path) -> Vec<String> {
        let names = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn whoever_is_killed_begins_again_or_is_done() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("db");
        original(&path);
        let bytes = std::fs::read(&path).unwrap();
        let mut left = Vec::new();
        let switched = take_with(&path, |step| left.push((step, as_left(directory.path())))).unwrap();
        assert_eq!(switched.taken.authorities[1].revoked, REVOKED);
        left.push((Step::Switched, directory));
        assert_eq!(left.len(), 7);
        for (step, directory) in left {
            let path = directory.path().join("db");
            let is_ours = step == Step::Switched;
            assert_eq!(is_needed(&path).unwrap(), !is_ours, "{step:?}");
            if !is_ours {
                assert_eq!(std::fs::read(&path).unwrap(), bytes, "{step:?}");
                take(&path).unwrap();
            }
            assert_eq!(names(directory.path()), ["db", "db.caucase-0.9.17", "db.key"], "{step:?}");
            assert_eq!(std::fs::read(beside(&path, "", KEPT)).unwrap(), bytes, "{step:?}");
            let store = Sqlite::open(&path).unwrap();
            let revoked = Prefix::new("/ca/services/revoked/").unwrap();
            let listing = block_on(store.list(&revoked, Page::full())).unwrap();
            assert_eq!(listing.entries.len() as u64, REVOKED, "{step:?}");
        }
    }

    #[test]
    fn an_original_of_before_is_not_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("db");
        std::fs::write(beside(&path, "", KEPT), "another").unwrap();
        original(&path);
        let bytes = std::fs::read(&path).unwrap();
        let switched = take(&path).unwrap();
        assert_eq!(std::fs::read(switched.original).unwrap(), bytes);
        assert_eq!(names(directory.path()), ["db", "db.caucase-0.9.17", "db.caucase-0.9.17-2", "db.key"]);
        assert_eq!(std::fs::read(beside(&path, "", KEPT)).unwrap(), b"another");
    }

    /// Two that begin at once fill one temporary file: the second would take it away from the first.
    #[test]
    fn a_second_one_is_refused_until_the_first_is_done() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("db");
        original(&path);
        let mut refused = Vec::new();
        let switched = take_with(&path, |step| {
            if step != Step::Switched {
                // Another thread, as nobody waits for another in one that is waited for.
                let other = std::thread::scope(|scope| scope.spawn(|| take(&path)).join()).unwrap();
                refused.push((step, other.map(|other| other.original)));
            }
        });
        for (step, refused) in refused {
            assert!(matches!(refused, Err(TakeOverError::Lock(_))), "{step:?}: {refused:?}");
        }
        assert_eq!(switched.unwrap().taken.authorities[1].revoked, REVOKED);
        assert_eq!(names(directory.path()), ["db", "db.caucase-0.9.17", "db.key"]);
        // One that saw caucase's database before it was replaced.
        let late = take(&path).unwrap_err();
        assert!(matches!(late, TakeOverError::Database(_)), "{late}");
        assert_eq!(names(directory.path()), ["db", "db.caucase-0.9.17", "db.key"]);
        let store = Sqlite::open(&path).unwrap();
        let revoked = Prefix::new("/ca/services/revoked/").unwrap();
        assert_eq!(block_on(store.list(&revoked, Page::full())).unwrap().entries.len() as u64, REVOKED);
    }

    /// Whoever writes to the original while it is read is heard of before it is replaced.
    #[test]
    fn a_writer_is_noticed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("db");
        original(&path);
        let refused = take_with(&path, |step| {
            if step == Step::Closed {
                std::fs::write(beside(&path, "", "-journal"), b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7").unwrap();
            }
        });
        assert!(refused.unwrap_err().to_string().contains("caucase is writing to it"));
        assert_eq!(names(directory.path()), ["db", "db-journal"]);
    }

    /// Whoever has the original open would go on with it, or write into ours.
    #[test]
    fn a_program_that_runs_is_noticed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("db");
        original(&path);
        let mut runs = std::process::Command::new("sleep");
        let mut runs = runs.arg("60").stdin(File::open(&path).unwrap()).spawn().unwrap();
        let refused = take(&path).unwrap_err();
        runs.kill().unwrap();
        runs.wait().unwrap();
        assert!(refused.to_string().contains(&format!("(pid {})", runs.id())), "{refused}");
        assert_eq!(names(directory.path()), ["db"]);
        // What it left of a journal that counts for nothing goes with it.
        std::fs::write(beside(&path, "", "-journal"), [0; 512]).unwrap();
        take(&path).unwrap();
        assert_eq!(names(directory.path()), ["db", "db.caucase-0.9.17", "db.key"]);
    }
}
