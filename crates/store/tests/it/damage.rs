//! A damaged file is refused, or what was acknowledged reads back right, or reading it is an error: never is something else
//! given out, and never is something missing as if it had not been.

use std::collections::BTreeMap;
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

/// Killed in the middle of its first opening it could never be opened again: it was said to have been cut off.
#[test]
fn a_file_whose_first_opening_was_cut_short_is_laid_out_anew() {
    let directory = tempfile::tempdir().unwrap();
    let (whole, path) = (directory.path().join("whole"), directory.path().join("store"));
    block_on(Sqlite::open(&whole).unwrap().close()).unwrap();
    let whole = std::fs::read(&whole).unwrap();
    // What a kill between two pages leaves: the journal says that there was nothing before
    // (<https://www.sqlite.org/fileformat2.html#the_rollback_journal>: no page, a random number, 0 pages, sectors, pages).
    let mut journal = vec![0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7];
    for word in [0_u32, 0x1234_5678, 0, 512, 4_096] {
        journal.extend(word.to_be_bytes());
    }
    journal.resize(512, 0);
    for pages in 1..whole.len() / 4_096 {
        std::fs::write(&path, &whole[..pages * 4_096]).unwrap();
        assert!(
            matches!(Sqlite::open(&path), Err(OpenError::Damaged { .. })),
            "{pages} pages and no journal"
        );
        std::fs::write(beside(&path, "-journal"), &journal).unwrap();
        let store = Sqlite::open(&path).unwrap();
        let mut batch = Batch::new();
        batch.put(Key::new("/a").unwrap(), "b");
        block_on(store.commit(batch)).unwrap();
        block_on(store.close()).unwrap();
        assert!(!beside(&path, "-journal").exists());
        assert!(block_on(Sqlite::open(&path).unwrap().get(&Key::new("/a").unwrap())).unwrap().is_some());
        std::fs::remove_file(&path).unwrap();
    }
}
