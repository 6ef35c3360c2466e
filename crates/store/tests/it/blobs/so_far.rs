//! Reading along with what is being written.

use std::time::{Duration, Instant};

use base::{Clock, Sha512};
use bytes::Bytes;
use futures_executor::block_on;
use futures_util::TryStreamExt as _;
use store::blobs::{Blobs as _, Local, SoFar};

fn read(so_far: &dyn SoFar, range: std::ops::Range<u64>) -> Vec<u8> {
    let pieces: Vec<Bytes> = block_on(so_far.read(range).try_collect()).unwrap();
    pieces.concat()
}

#[test]
fn what_was_written_can_be_read_before_it_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    let blobs = Local::open(&directory.path().join("artifacts"), Clock::system()).unwrap();
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    let mut staged = block_on(blobs.stage()).unwrap();
    let so_far = staged.so_far().unwrap();
    assert_eq!((so_far.bytes(), read(&*so_far, 0..10)), (0, Vec::new()));
    for piece in bytes.chunks(100_000).take(20) {
        block_on(staged.write(Bytes::copy_from_slice(piece))).unwrap();
    }
    let begun = Instant::now();
    while so_far.bytes() < 1_000_000 {
        assert!(begun.elapsed() < Duration::from_secs(20), "{}", so_far.bytes());
        std::thread::yield_now();
    }
    assert_eq!(read(&*so_far, 999_000..1_000_000), bytes[999_000..1_000_000]);
    let now = usize::try_from(so_far.bytes()).unwrap();
    assert!(read(&*so_far, 0..u64::MAX).len() >= now);
    for piece in bytes.chunks(100_000).skip(20) {
        block_on(staged.write(Bytes::copy_from_slice(piece))).unwrap();
    }
    let kept = block_on(staged.keep(None)).unwrap();
    assert_eq!(kept.digest, Sha512::of(&bytes));
    assert!(read(&*so_far, 0..3_000_000).is_empty(), "it is an object now");
    block_on(blobs.close()).unwrap();
}

/// Whoever reads along keeps nothing alive: the room of what is forgotten is given back.
#[test]
fn what_was_forgotten_is_not_there() {
    let directory = tempfile::tempdir().unwrap();
    let blobs = Local::open(&directory.path().join("artifacts"), Clock::system()).unwrap();
    let mut staged = block_on(blobs.stage()).unwrap();
    let so_far = staged.so_far().unwrap();
    block_on(staged.write(Bytes::from(vec![7; 400_000]))).unwrap();
    let begun = Instant::now();
    while so_far.bytes() < 400_000 {
        assert!(begun.elapsed() < Duration::from_secs(20), "{}", so_far.bytes());
        std::thread::yield_now();
    }
    drop(staged);
    block_on(blobs.close()).unwrap();
    assert!(read(&*so_far, 0..400_000).is_empty());
}
