//! A disk that is full in the middle of an upload.
//!
//! The small disk is a file system in memory, in a mount namespace of its own (unshare(1)), in which this same binary
//! runs as a child; it goes away with the child.

use std::path::Path;
use std::process::Command;

use base::{Explain as _, Kind};
use futures_executor::block_on;
use store::blobs::conformance::sample;
use store::blobs::{Blobs as _, Error, Local};

use super::{clock, files, keep, read};

/// Where the child finds the small disk.
const DISK: &str = "STORE_BLOBS_DISK";
const DISK_BYTES: usize = 4 * 1024 * 1024;

/// Not a test by itself: what the test below runs on the small disk.
#[test]
fn child() {
    let Ok(disk) = std::env::var(DISK) else { return };
    let root = Path::new(&disk).join("objects");
    let blobs = Local::open(&root, clock()).unwrap();
    let before = block_on(blobs.room()).unwrap().unwrap();
    assert!(before > 3_000_000 && before <= DISK_BYTES as u64, "{before} bytes");
    let (kept, large, small) = (sample(1, 1_000_000), sample(2, 2 * DISK_BYTES), sample(3, 10_000));
    let digest = keep(&blobs, &kept).unwrap().digest;
    for _ in 0..3 {
        let error = keep(&blobs, &large).unwrap_err();
        assert_eq!((&error, error.kind()), (&Error::Full, Kind::Full));
        // Whoever was told so finds that the room is there again.
        let kept = keep(&blobs, &small).unwrap();
        assert_eq!(block_on(blobs.remove(kept.digest, None)), Ok(true));
    }
    // Down to the last bytes, with small ones.
    let error = (10..).find_map(|seed| keep(&blobs, &sample(seed, 50_000)).err());
    assert_eq!(error, Some(Error::Full));
    assert_eq!(files(&root.join("staged")), [""; 0]);
    assert_eq!(read(&blobs, digest).unwrap().unwrap(), kept);
    // One that is short enough to be in the queue as a whole.
    assert!(keep(&blobs, &sample(10, 50_000)).unwrap().was_there, "what is there needs no room");
    let found = block_on(blobs.list(None, 1000)).unwrap();
    for object in found {
        let bytes = read(&blobs, object.digest).unwrap().unwrap();
        assert_eq!(base::Sha512::of(&bytes), object.digest);
    }
}

#[test]
fn a_full_disk_is_told_and_leaves_nothing_half_there() {
    let directory = tempfile::tempdir().unwrap();
    let script =
        format!("mount -t tmpfs -o size={DISK_BYTES},mode=0700 tmpfs \"$1\" && shift && exec \"$@\"");
    let child = Command::new("unshare")
        .args(["--mount", "sh", "-c", &script, "sh"])
        .arg(directory.path())
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "blobs::full::child", "--nocapture"])
        .env(DISK, directory.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout).into_owned() + &String::from_utf8_lossy(&child.stderr);
    assert!(child.status.success(), "a small disk is mounted with unshare(1) and mount(8), as root: {said}");
    assert!(said.contains("1 passed"), "{said}");
}
