//! The engines for blobs, whole: the suite that all pass, and what only a directory can show.

use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::{Clock, Explain as _, Sha512, Span, Timestamp};
use bytes::Bytes;
use futures_executor::block_on;
use futures_util::TryStreamExt as _;
use store::blobs::conformance::{conformance, sample};
use store::blobs::{Blobs, CHUNK_BYTES, Error, Kept, Local, Memory, OpenError};

mod full;
mod kill;
mod s3;
mod so_far;

fn clock() -> Clock {
    Clock::manual(Timestamp::from_unix(1_700_000_000))
}

#[test]
fn memory_conforms() {
    block_on(conformance(async || Arc::new(Memory::new(clock())) as Arc<dyn Blobs>));
}

#[test]
fn local_conforms() {
    let directory = tempfile::tempdir().unwrap();
    let number = std::cell::Cell::new(0);
    block_on(conformance(async || {
        number.set(number.get() + 1);
        let root = directory.path().join(number.get().to_string());
        Arc::new(Local::open(&root, clock()).expect("a new directory opens")) as Arc<dyn Blobs>
    }));
    // Whatever the cases did, nothing is left half written.
    for number in 1..=number.get() {
        assert_eq!(files(&directory.path().join(number.to_string()).join("staged")), [""; 0]);
    }
}

/// The names in `directory`, in order.
fn files(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort_unstable();
    names
}

fn path(root: &Path, digest: Sha512) -> PathBuf {
    let name = digest.to_string();
    root.join(&name[..2]).join(name)
}

fn keep(blobs: &dyn Blobs, bytes: &Bytes) -> Result<Kept, Error> {
    block_on(async {
        let mut staged = blobs.stage().await?;
        for start in (0..bytes.len()).step_by(100_000) {
            staged.write(bytes.slice(start..bytes.len().min(start + 100_000))).await?;
        }
        staged.keep(None).await
    })
}

fn read(blobs: &dyn Blobs, digest: Sha512) -> Result<Option<Vec<u8>>, Error> {
    block_on(async {
        let Some(blob) = blobs.open(digest).await? else { return Ok(None) };
        let pieces: Vec<Bytes> = blob.read(0..u64::MAX).try_collect().await?;
        Ok(Some(pieces.concat()))
    })
}

#[test]
fn only_the_owner_reads_what_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("deep/objects");
    let blobs = Local::open(&root, clock()).unwrap();
    let digest = keep(&blobs, &sample(1, 100)).unwrap().digest;
    let object = path(&root, digest);
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    for directory in [&root, &root.join("staged"), &root.join("rotten"), &object.parent().unwrap().into()] {
        assert_eq!(mode(directory), 0o700, "{}", directory.display());
    }
    assert_eq!(mode(&object), 0o600);
    assert_eq!(std::fs::read(&object).unwrap(), sample(1, 100));
}

#[test]
fn one_process_at_a_time_has_it() {
    let directory = tempfile::tempdir().unwrap();
    let first = Local::open(directory.path(), clock()).unwrap();
    let mut staged = block_on(first.stage()).unwrap();
    block_on(staged.write(sample(1, 1_000_000))).unwrap();
    // What comes in there is safe from whoever else wants to open it.
    let refused = Local::open(directory.path(), clock()).err().unwrap();
    assert!(matches!(refused, OpenError::InUse { .. }), "{refused}");
    let kept = block_on(staged.keep(None)).unwrap();
    block_on(first.close()).unwrap();
    let second = Local::open(directory.path(), clock()).unwrap();
    assert!(read(&second, kept.digest).unwrap().is_some());
    drop(second);
    drop(first);
}

#[test]
fn what_a_crash_left_goes_and_what_was_kept_stays() {
    let directory = tempfile::tempdir().unwrap();
    let blobs = Local::open(directory.path(), clock()).unwrap();
    let digest = keep(&blobs, &sample(1, 5000)).unwrap().digest;
    block_on(blobs.close()).unwrap();
    std::fs::write(directory.path().join("staged/1-2-3"), "half").unwrap();
    let blobs = Local::open(directory.path(), clock()).unwrap();
    assert_eq!(files(&directory.path().join("staged")), [""; 0]);
    assert_eq!(read(&blobs, digest).unwrap().unwrap(), sample(1, 5000));
}

#[test]
fn the_server_may_send_the_file_itself_and_it_outlives_its_name() {
    let directory = tempfile::tempdir().unwrap();
    let blobs = Local::open(directory.path(), clock()).unwrap();
    let digest = keep(&blobs, &sample(1, 5000)).unwrap().digest;
    let blob = block_on(blobs.open(digest)).unwrap().unwrap();
    assert_eq!(block_on(blobs.remove(digest, None)), Ok(true));
    // Not on every file system.
    if let Some(file) = blob.file() {
        let mut read = [0; 1000];
        file.read_exact_at(&mut read, 4000).unwrap();
        assert_eq!(read, sample(1, 5000)[4000..]);
    }
}

#[test]
fn keeping_again_dates_anew() {
    let directory = tempfile::tempdir().unwrap();
    let clock = clock();
    let blobs = Local::open(directory.path(), clock.clone()).unwrap();
    let digest = keep(&blobs, &sample(1, 5000)).unwrap().digest;
    let kept_at = |blobs: &Local| block_on(blobs.list(None, 1)).unwrap()[0].kept_at;
    assert_eq!(kept_at(&blobs), clock.now());
    let seen = kept_at(&blobs);
    clock.advance(Span::seconds(100));
    assert!(keep(&blobs, &sample(1, 5000)).unwrap().was_there);
    assert_eq!(kept_at(&blobs), clock.now());
    assert_eq!(block_on(blobs.remove(digest, Some(seen))), Ok(false), "somebody is about to name it");
}

#[test]
fn what_others_put_there_is_not_ours() {
    let directory = tempfile::tempdir().unwrap();
    let blobs = Local::open(directory.path(), clock()).unwrap();
    let digest = keep(&blobs, &sample(1, 50)).unwrap().digest;
    let shard = path(directory.path(), digest).parent().unwrap().to_owned();
    std::fs::write(shard.join("README"), "not an object").unwrap();
    std::fs::write(shard.join(digest.to_string().to_uppercase()), "nor this").unwrap();
    // A digest's name, but in another's directory.
    let other = Sha512::from_bytes([!digest.as_bytes()[0]; Sha512::BYTES]);
    std::fs::write(shard.join(other.to_string()), "nor this").unwrap();
    std::fs::create_dir_all(path(directory.path(), other)).unwrap();
    let found: Vec<Sha512> =
        block_on(blobs.list(None, 10)).unwrap().iter().map(|found| found.digest).collect();
    assert_eq!(found, [digest]);
    assert!(matches!(read(&blobs, other), Err(Error::Damaged { .. })));
}

#[test]
fn an_object_cut_short_says_so_and_is_healed_by_the_next_upload() {
    let directory = tempfile::tempdir().unwrap();
    let blobs = Local::open(directory.path(), clock()).unwrap();
    let bytes = sample(1, 700_000);
    let digest = keep(&blobs, &bytes).unwrap().digest;
    let open = block_on(blobs.open(digest)).unwrap().unwrap();
    let object = std::fs::File::options().write(true).open(path(directory.path(), digest)).unwrap();
    object.set_len(600_000).unwrap();
    let read_on: Result<Vec<Bytes>, Error> = block_on(open.read(0..u64::MAX).try_collect());
    assert!(matches!(read_on, Err(Error::Damaged { .. })));
    assert!(!keep(&blobs, &bytes).unwrap().was_there);
    assert_eq!(read(&blobs, digest).unwrap().unwrap(), bytes);
}

#[test]
fn what_is_put_aside_can_be_looked_at() {
    let directory = tempfile::tempdir().unwrap();
    let blobs = Local::open(directory.path(), clock()).unwrap();
    let digest = keep(&blobs, &sample(1, 50)).unwrap().digest;
    assert_eq!(block_on(blobs.set_aside(digest)), Ok(true));
    assert_eq!(files(&directory.path().join("rotten")), [digest.to_string()]);
    assert_eq!(read(&blobs, digest), Ok(None));
}

#[test]
fn a_place_that_cannot_be_is_refused_with_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, "").unwrap();
    let refused = Local::open(&file.join("objects"), clock()).err().unwrap();
    assert!(matches!(refused, OpenError::Files { .. }), "{refused}");
    assert!(refused.help().is_some());
}

/// What has rotted keeps its size: whoever sends it again, a day later at the latest, repairs it.
#[test]
fn an_object_that_rotted_is_healed_by_the_next_upload() {
    let directory = tempfile::tempdir().unwrap();
    let clock = clock();
    let blobs = Local::open(directory.path(), clock.clone()).unwrap();
    let bytes = sample(1, 700_000);
    let digest = keep(&blobs, &bytes).unwrap().digest;
    let file = path(directory.path(), digest);
    let about = std::fs::metadata(&file).unwrap();
    let mut rotten = bytes.to_vec();
    rotten[600_000] ^= 1;
    std::fs::write(&file, rotten).unwrap();
    std::fs::File::options()
        .write(true)
        .open(&file)
        .unwrap()
        .set_modified(about.modified().unwrap())
        .unwrap();
    // Nobody reads it through each time: it was just kept.
    assert!(keep(&blobs, &bytes).unwrap().was_there);
    clock.advance(Span::days(1));
    assert!(!keep(&blobs, &bytes).unwrap().was_there);
    assert_eq!(read(&blobs, digest).unwrap().unwrap(), bytes);
    assert_eq!(files(&directory.path().join("rotten")), [digest.to_string()]);
    clock.advance(Span::days(1));
    assert!(keep(&blobs, &bytes).unwrap().was_there, "one that is whole stays");
}

/// What another program wrote over is not taken for what was kept, however lately that was.
#[test]
fn an_object_that_somebody_wrote_over_is_healed_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let blobs = Local::open(directory.path(), clock()).unwrap();
    let bytes = sample(1, 1000);
    let digest = keep(&blobs, &bytes).unwrap().digest;
    let mut others = bytes.to_vec();
    others[500] ^= 1;
    std::fs::write(path(directory.path(), digest), others).unwrap();
    assert!(!keep(&blobs, &bytes).unwrap().was_there);
    assert_eq!(read(&blobs, digest).unwrap().unwrap(), bytes);
    assert_eq!(files(&directory.path().join("rotten")), [digest.to_string()]);
    assert!(keep(&blobs, &bytes).unwrap().was_there);
}

/// Whoever has a thousand objects open and reads slowly has a thousand pieces in memory, and no more.
#[test]
fn no_piece_is_read_before_it_is_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let blobs = Local::open(directory.path(), clock()).unwrap();
    let bytes = sample(1, 3 * CHUNK_BYTES);
    let digest = keep(&blobs, &bytes).unwrap().digest;
    let blob = block_on(blobs.open(digest)).unwrap().unwrap();
    let mut pieces = blob.read(0..u64::MAX);
    let changed = std::fs::File::options().write(true).open(path(directory.path(), digest)).unwrap();
    for piece in 0..3 {
        // What is read from now on is seen to be.
        changed.write_all_at(&[piece; CHUNK_BYTES], u64::from(piece) * CHUNK_BYTES as u64).unwrap();
        let read = block_on(pieces.try_next()).unwrap().unwrap();
        assert!(read[..] == [piece; CHUNK_BYTES], "piece {piece}");
    }
}
