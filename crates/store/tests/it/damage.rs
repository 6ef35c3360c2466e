//! A damaged file is refused, or what was acknowledged reads back right, or reading it is an error: never is something else
//! given out, and never is something missing as if it had not been.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};

use base::Entropy;
use futures_executor::block_on;
use store::{Batch, Engine, Error, Key, OpenError, Page, Prefix, Sqlite};

/// What was acknowledged: the values by their keys; none for what was deleted.
type Acknowledged = BTreeMap<String, Option<Vec<u8>>>;

/// A database as a stop left it, or as a kill did, with its log; and what is in it.
struct Left {
    database: Vec<u8>,
    log: Vec<u8>,
    acknowledged: Acknowledged,
    /// The keys of the last commit, which a power cut in the middle of it takes with it unseen.
    last: Vec<String>,
}

impl Left {
    fn by(is_killed: bool) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store");
        let store = Sqlite::open(&path).unwrap();
        let entropy = Entropy::seeded(4);
        let mut acknowledged = Acknowledged::new();
        let mut last = Vec::new();
        for number in 0..120 {
            if number == 60 {
                store.copy_log().unwrap();
            }
            last.clear();
            let mut batch = Batch::new();
            for part in 0..1 + number % 4 {
                // Some come again, and some lie on several pages.
                let name = format!("/{}/{part}", number % 50);
                let size = [30, 700, 3_000, 20_000][usize::try_from(entropy.number() % 4).unwrap()];
                let value = format!("{number} ").into_bytes().repeat(size / 3);
                batch.put(Key::new(name.as_str()).unwrap(), value.clone());
                acknowledged.insert(name.clone(), Some(value));
                last.push(name);
            }
            if number % 9 == 8 {
                let name = format!("/{}/0", (number + 1) % 50);
                batch.delete(Key::new(name.as_str()).unwrap());
                acknowledged.insert(name.clone(), None);
                last.push(name);
            }
            block_on(store.commit(batch)).unwrap();
        }
        if !is_killed {
            block_on(store.close()).unwrap();
        }
        let read = |suffix| std::fs::read(beside(&path, suffix)).unwrap_or_default();
        Self { database: read(""), log: read("-wal"), acknowledged, last }
    }

    /// Opens a copy with these bytes, and reads it. Whether it was refused, whether some could not be read, or neither.
    fn check(&self, directory: &Path, database: &[u8], log: &[u8], what: &str) -> Outcome {
        let path = directory.join("store");
        for suffix in ["", "-wal", "-shm"] {
            let _ = std::fs::remove_file(beside(&path, suffix));
        }
        std::fs::write(&path, database).unwrap();
        if !log.is_empty() {
            std::fs::write(beside(&path, "-wal"), log).unwrap();
        }
        let store = match Sqlite::open(&path) {
            Ok(store) => store,
            Err(error) => {
                let said = base::report(&error);
                assert!(!said.contains('\n') && said.contains("store"), "{what}: {said}");
                assert!(
                    !matches!(error, OpenError::InUse { .. } | OpenError::Files { .. }),
                    "{what}: {said}"
                );
                return Outcome::Refused;
            }
        };
        let mut outcome = Outcome::Right;
        for (name, value) in &self.acknowledged {
            match block_on(store.get(&Key::new(name.as_str()).unwrap())) {
                Ok(found) => {
                    let found = found.map(|found| found.value.to_vec());
                    let is_lost_with_the_last = self.last.contains(name) && !log.is_empty();
                    assert!(found == *value || is_lost_with_the_last, "{what}: {name} is {found:?}");
                }
                Err(Error::Record { .. } | Error::Engine { .. }) => outcome = Outcome::Unreadable,
                Err(error) => panic!("{what}: {error}"),
            }
        }
        let mut next = Some(Page::full());
        while let Some(page) = next.take() {
            match block_on(store.list(&Prefix::default(), page)) {
                Ok(listing) => {
                    for (key, found) in &listing.entries {
                        let known =
                            self.acknowledged.get(key.as_str()).unwrap_or_else(|| panic!("{what}: {key}"));
                        let is_right = known.as_deref() == Some(&found.value[..]);
                        assert!(
                            is_right || self.last.contains(&key.to_string()),
                            "{what}: {key} in the listing"
                        );
                    }
                    next = listing.next;
                }
                Err(Error::Record { .. } | Error::Engine { .. }) => outcome = Outcome::Unreadable,
                Err(error) => panic!("{what}: {error}"),
            }
        }
        outcome
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Outcome {
    Refused,
    Unreadable,
    Right,
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// `bytes` with one bit another one.
fn flipped(bytes: &[u8], bit: usize) -> Vec<u8> {
    let mut other = bytes.to_vec();
    other[bit / 8] ^= 1 << (bit % 8);
    other
}

fn place(entropy: &Entropy, end: usize) -> usize {
    usize::try_from(entropy.number() % end as u64).unwrap()
}

#[test]
fn a_flipped_bit_is_never_served() {
    let directory = tempfile::tempdir().unwrap();
    let left = Left::by(false);
    assert!(left.log.is_empty());
    let entropy = Entropy::seeded(5);
    let mut outcomes = BTreeMap::<Outcome, usize>::new();
    let header = (0..100).map(|byte| byte * 8 + byte % 8);
    let anywhere = (0..300).map(|_| place(&entropy, left.database.len() * 8));
    for bit in header.chain(anywhere) {
        let what = format!("bit {} of byte {}", bit % 8, bit / 8);
        *outcomes
            .entry(left.check(directory.path(), &flipped(&left.database, bit), &[], &what))
            .or_default() += 1;
    }
    assert!(
        outcomes.contains_key(&Outcome::Refused) && outcomes.contains_key(&Outcome::Unreadable),
        "{outcomes:?}"
    );
}

#[test]
fn a_flipped_bit_in_the_log_takes_nothing_with_it_unseen() {
    let directory = tempfile::tempdir().unwrap();
    let left = Left::by(true);
    assert!(left.log.len() > 100_000, "{}", left.log.len());
    assert_eq!(left.check(directory.path(), &left.database, &left.log, "as it is"), Outcome::Right);
    let entropy = Entropy::seeded(6);
    let header = (0..32).map(|byte| byte * 8 + byte % 8);
    let anywhere = (0..150).map(|_| place(&entropy, left.log.len() * 8));
    let mut refused = 0;
    for bit in header.chain(anywhere) {
        let what = format!("bit {} of byte {} of the log", bit % 8, bit / 8);
        let outcome = left.check(directory.path(), &left.database, &flipped(&left.log, bit), &what);
        refused += usize::from(outcome == Outcome::Refused);
    }
    assert!(refused > 100, "{refused}");
}

#[test]
fn a_file_that_was_cut_off_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let left = Left::by(false);
    let entropy = Entropy::seeded(7);
    let pages = (0..left.database.len() / 4096).map(|page| page * 4096);
    let anywhere = (0..40).map(|_| place(&entropy, left.database.len()));
    // An empty one is a new one: the program looks for what an earlier start left before it opens that.
    for end in pages.chain(anywhere).chain([1, 50, 99, 100, 512]).filter(|end| *end > 0) {
        let what = format!("cut at {end}");
        assert_eq!(
            left.check(directory.path(), &left.database[..end], &[], &what),
            Outcome::Refused,
            "{what}"
        );
    }
}

/// Where a child opens a store for the first time.
const NEW: &str = "STORE_DAMAGE_NEW";

/// Only runs for real as the child of [`killed_at_page`].
#[test]
fn open_a_new_one() {
    if let Ok(path) = std::env::var(NEW) {
        drop(Sqlite::open(Path::new(&path)));
    }
}

/// Opens a store for the first time in a process that the system kills when the file would have more than `pages` pages
/// (setrlimit(2), RLIMIT_FSIZE).
fn killed_at_page(path: &Path, pages: usize) {
    let program = std::env::current_exe().unwrap();
    let mut command = std::process::Command::new("sh");
    // In units of 512 bytes.
    command.args(["-c", "ulimit -c 0; ulimit -f \"$1\"; shift; exec \"$@\"", "sh", &(pages * 8).to_string()]);
    let child =
        command.arg(program).args(["damage::open_a_new_one", "--exact"]).env(NEW, path).output().unwrap();
    assert_eq!(child.status.signal(), Some(25), "SIGXFSZ: {child:?}");
}

/// What a journal begins with that tells of `records` pages of a file that had `pages`
/// (<https://www.sqlite.org/fileformat2.html#the_rollback_journal>).
fn journal(records: u32, pages: u32) -> Vec<u8> {
    let mut journal = vec![0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7];
    for word in [records, 0x1234_5678, pages, 512, 4_096] {
        journal.extend(word.to_be_bytes());
    }
    journal.resize(512, 0);
    journal
}

/// It takes records and keeps them.
fn works(path: &Path) {
    let store = Sqlite::open(path).unwrap();
    let mut batch = Batch::new();
    batch.put(Key::new("/a").unwrap(), "b");
    block_on(store.commit(batch)).unwrap();
    block_on(store.close()).unwrap();
    assert!(!beside(path, "-journal").exists());
    assert!(block_on(Sqlite::open(path).unwrap().get(&Key::new("/a").unwrap())).unwrap().is_some());
}

/// Killed in the middle of its first opening it could never be opened again: it was said to have been cut off.
#[test]
fn a_file_whose_first_opening_was_cut_short_is_laid_out_anew() {
    let directory = tempfile::tempdir().unwrap();
    let whole = directory.path().join("whole");
    block_on(Sqlite::open(&whole).unwrap().close()).unwrap();
    let whole = std::fs::read(&whole).unwrap().len() / 4_096;
    assert!(whole > 2, "{whole}");
    for pages in 1..whole {
        let path = directory.path().join(format!("store-{pages}"));
        killed_at_page(&path, pages);
        let left = || ["", "-journal"].map(|suffix| std::fs::read(beside(&path, suffix)).unwrap());
        let before = left();
        assert_eq!((before[0].len(), before[0][18]), (pages * 4_096, 1));
        assert_eq!(before[1][..8], journal(0, 0)[..8]);
        let looked = Sqlite::look(&path).err().unwrap();
        assert!(matches!(looked, OpenError::NotLaidOut { .. }), "{looked}");
        assert!(left() == before, "a look changes nothing");
        std::fs::rename(beside(&path, "-journal"), directory.path().join("journal")).unwrap();
        for refused in [Sqlite::look(&path).err(), Sqlite::open(&path).err()] {
            assert!(matches!(refused, Some(OpenError::Damaged { .. })), "{pages} pages and no journal");
        }
        std::fs::rename(directory.path().join("journal"), beside(&path, "-journal")).unwrap();
        works(&path);
    }
}

/// The last that a first opening does is to tell the file that it has a log, which is a change of its own.
#[test]
fn a_file_that_was_cut_short_when_it_got_its_log_is_opened() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    block_on(Sqlite::open(&path).unwrap().close()).unwrap();
    let with_log = std::fs::read(&path).unwrap();
    let mut without = with_log.clone();
    without[18..20].copy_from_slice(&[1, 1]);
    for counter in [27, 95] {
        without[counter] -= 1;
    }
    let mut journal = journal(1, u32::try_from(with_log.len() / 4_096).unwrap());
    let sum = (1..=20).map(|step| u32::from(without[4_096 - 200 * step])).sum::<u32>();
    journal.extend(1_u32.to_be_bytes());
    journal.extend(&without[..4_096]);
    journal.extend((0x1234_5678 + sum).to_be_bytes());
    for left in [&without, &with_log] {
        for suffix in ["-wal", "-shm"] {
            drop(std::fs::remove_file(beside(&path, suffix)));
        }
        std::fs::write(&path, left).unwrap();
        std::fs::write(beside(&path, "-journal"), &journal).unwrap();
        works(&path);
    }
}

/// SQLite plays a journal back into whatever has its name: a database that was put where a killed first start had left one
/// was made empty, and taken for a new one.
#[test]
fn a_store_with_records_beside_another_files_journal_is_refused_unchanged() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let (stopped, killed) = (Left::by(false), Left::by(true));
    // Somebody has taken its log from it, with the sqlite3 command.
    std::fs::write(&path, &stopped.database).unwrap();
    let other = rusqlite::Connection::open(&path).unwrap();
    let mode = other.pragma_update_and_check(None, "journal_mode", "DELETE", |row| row.get::<_, String>(0));
    assert_eq!(mode.unwrap(), "delete");
    drop(other);
    let without_log = std::fs::read(&path).unwrap();
    let pages = u32::try_from(stopped.database.len() / 4_096).unwrap();
    let half = |bytes: &[u8]| bytes[..bytes.len() / 8_192 * 4_096].to_vec();
    let nothing = Vec::new();
    for (database, log) in [
        (&stopped.database, &nothing),
        (&half(&stopped.database), &nothing),
        (&without_log, &nothing),
        (&half(&without_log), &nothing),
        (&killed.database, &killed.log),
        (&half(&killed.database), &killed.log),
    ] {
        // That of a first opening, that of a switch to a log, of fewer pages, of as many, and of smaller ones.
        let mut of_another = journal(1, pages);
        of_another.extend(1_u32.to_be_bytes());
        of_another.resize(512 + 4 + 4_096 + 4, 7);
        let mut of_small_pages = journal(1, pages);
        of_small_pages[26] = 2;
        of_small_pages.extend(1_u32.to_be_bytes());
        of_small_pages.extend(&database[..4_096]);
        for journal in [journal(0, 0), journal(1, 5), journal(u32::MAX, 0), of_another, of_small_pages] {
            let files = [("", database), ("-wal", log), ("-journal", &journal)];
            drop(std::fs::remove_file(beside(&path, "-shm")));
            for (suffix, bytes) in files {
                std::fs::write(beside(&path, suffix), bytes).unwrap();
            }
            for refused in [Sqlite::look(&path).err(), Sqlite::open(&path).err()] {
                let refused = refused.unwrap();
                let said = refused.to_string();
                assert!(matches!(refused, OpenError::Damaged { .. }), "{said}");
                assert!(
                    said.contains("store-journal is not of this file") && said.contains("move it away"),
                    "{said}"
                );
            }
            for (suffix, bytes) in files {
                assert!(std::fs::read(beside(&path, suffix)).unwrap() == *bytes, "{suffix} was changed");
            }
        }
    }
    // Without it, all is there.
    std::fs::remove_file(beside(&path, "-journal")).unwrap();
    assert_eq!(stopped.check(directory.path(), &stopped.database, &[], "as it is"), Outcome::Right);
}
