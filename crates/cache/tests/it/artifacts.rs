//! Artifacts in and out.

use base::{Explain as _, Kind, Sha512};
use bytes::Bytes;
use cache::{Limits, UploadError};
use futures_executor::block_on;
use futures_util::TryStreamExt as _;
use store::blobs::{Blobs as _, Call};

use crate::ground::{World, permit};

#[test]
fn what_was_kept_is_there() {
    let world = World::new(Limits::default());
    let hello = Sha512::of(b"hello");
    let open = || block_on(world.cache.open(permit("a reader"), hello)).unwrap();
    assert!(open().is_none());
    let kept = world.keep("alice", b"hello", Some(hello)).unwrap();
    assert_eq!((kept.digest, kept.bytes, kept.is_new), (hello, 5, true));
    let blob = open().unwrap().blob;
    let bytes = |range| block_on(blob.read(range).try_concat_bytes());
    assert_eq!((blob.size(), bytes(0..5), bytes(3..5)), (5, b"hello".to_vec(), b"lo".to_vec()));
    // The same again costs nothing, and is nobody else's.
    assert!(!world.keep("bob", b"hello", None).unwrap().is_new);
    assert_eq!(world.history(), ["alice: artifact kept"]);
    assert_eq!(world.keep("bob", b"", None).unwrap().digest, Sha512::of(b""));
}

#[test]
fn other_bytes_than_were_announced_are_not_kept() {
    let world = World::new(Limits::default());
    let hello = Sha512::of(b"hello");
    let error = world.keep("alice", b"hallo", Some(hello)).unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid, "{error}");
    assert!(block_on(world.blobs.list(None, 10)).unwrap().is_empty());
    assert_eq!(world.blobs.staged_bytes(), 0);
    assert!(world.history().is_empty());
}

#[test]
fn what_is_too_large_is_refused_as_soon_as_that_shows() {
    let world = World::new(Limits { artifact_bytes_max: 5, ..Limits::default() });
    assert!(world.keep("alice", b"12345", None).is_ok());
    let error = world.keep("alice", b"123456", None).unwrap_err();
    assert!(matches!(error, UploadError::TooLarge { bytes_max: 5 }), "{error}");
    let error = block_on(world.cache.upload(permit("alice"), Some(6))).err().unwrap();
    assert_eq!(error.kind(), Kind::TooLarge);
    assert_eq!(world.blobs.staged_bytes(), 0);
}

#[test]
fn each_writer_has_a_quota() {
    let world = World::new(Limits { writer_bytes_max: Some(8), ..Limits::default() });
    world.keep("alice", b"12345", None).unwrap();
    let error = world.keep("alice", b"1234", None).unwrap_err();
    assert_eq!(error.to_string(), "alice may keep 8 bytes here, and has 5");
    assert_eq!(error.kind(), Kind::Full);
    world.keep("bob", b"1234", None).unwrap();
    world.keep("alice", b"123", None).unwrap();
    // What bob keeps counts for bob.
    assert!(block_on(world.cache.upload(permit("alice"), Some(1))).is_err());
}

#[test]
fn commits_that_conflict_or_lose_their_answers_are_tried_again() {
    for (n, injury) in [
        (|world: &World| world.engine.conflict_next_commits(3)) as fn(&World),
        |world: &World| world.engine.lose_next_answers([true]),
        |world: &World| world.engine.lose_next_answers([false, false]),
    ]
    .into_iter()
    .enumerate()
    {
        let world = World::new(Limits { writer_bytes_max: Some(8), ..Limits::default() });
        injury(&world);
        assert!(world.keep("alice", b"hello", None).unwrap().is_new, "{n}");
        assert_eq!(world.history().len(), 1, "{n}");
        // Counted once.
        assert!(world.keep("alice", b"123", None).is_ok(), "{n}");
        assert!(world.keep("alice", b"4", None).is_err(), "{n}");
    }
}

/// A disk that is full, or a store that fails: nothing is told as kept, and sending it again is all it takes.
#[test]
fn a_failure_is_told_and_repaired_by_sending_again() {
    let world = World::new(Limits::default());
    world.blobs.fail_next(Call::Keep, 1, store::blobs::Error::Full);
    assert_eq!(world.keep("alice", b"hello", None).unwrap_err().kind(), Kind::Full);
    world.engine.fail_next_commits(1, store::Error::Full);
    assert_eq!(world.keep("alice", b"hello", None).unwrap_err().kind(), Kind::Full);
    assert!(world.keep("alice", b"hello", None).unwrap().is_new);
}

#[test]
fn an_upload_that_is_given_up_leaves_nothing() {
    let world = World::new(Limits::default());
    block_on(async {
        let mut upload = world.cache.upload(permit("alice"), Some(5)).await.unwrap();
        upload.write(Bytes::from_static(b"hel")).await.unwrap();
    });
    assert_eq!(world.blobs.staged_bytes(), 0);
    assert!(block_on(world.blobs.list(None, 10)).unwrap().is_empty());
}

trait Concat {
    async fn try_concat_bytes(self) -> Vec<u8>;
}

impl<S: futures_util::Stream<Item = Result<Bytes, store::blobs::Error>>> Concat for S {
    async fn try_concat_bytes(self) -> Vec<u8> {
        let pieces: Vec<Bytes> = self.try_collect().await.unwrap();
        pieces.concat()
    }
}
