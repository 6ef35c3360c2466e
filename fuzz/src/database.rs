//! A database of caucase's, taken over: whatever is in the file, it is not changed, and what is taken fits into a store.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use base::{Entropy, Timestamp};
use ca::takeover::Taking;
use caucase_files::{Database, Nature, nature};
use store::SealingKey;

/// The beginning of every SQLite file.
const MAGIC: &[u8] = b"SQLite format 3\0";
/// When it is looked at; the seeds are from then.
const NOW: Timestamp = Timestamp::from_unix(1_795_000_000);

static ENTROPY: LazyLock<Entropy> = LazyLock::new(|| Entropy::seeded(1));
static SEALING: LazyLock<SealingKey> = LazyLock::new(|| SealingKey::generate(&ENTROPY));

pub(crate) fn run(data: &[u8]) {
    // In memory, where there is such a place: a disk would be waited for most of the time.
    let directory = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
    let directory = directory.expect("a folder for temporary files");
    let path = directory.path().join("db");
    fs::write(&path, data).expect("it is new");
    let what = nature(&path);
    if !data.starts_with(MAGIC) {
        let expected = if data.is_empty() { Nature::Empty } else { Nature::NoDatabase };
        assert_eq!(what.expect("it can be read"), expected);
    }
    take(&path);
    assert_eq!(fs::read(&path).expect("it is there"), data, "it was changed");
    assert_eq!(fs::read_dir(directory.path()).expect("it is there").count(), 1, "something is beside it");
}

fn take(path: &Path) {
    let Ok(mut database) = Database::open(path) else { return };
    let mut taking = Taking::new(&SEALING, &ENTROPY, NOW);
    while let Ok(rows) = database.next_rows() {
        if rows.is_empty() {
            let Ok((batches, _)) = taking.finish() else { return };
            batches.iter().for_each(|batch| batch.check().expect("a store takes it"));
            return;
        }
        for (prefix, row) in rows {
            match taking.take(prefix, row) {
                Ok(Some(batch)) => batch.check().expect("a store takes it"),
                Ok(None) => {}
                Err(_) => return,
            }
        }
    }
}
