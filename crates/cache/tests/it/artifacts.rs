//! Artifacts in and out.

use base::{Explain as _, Kind, Sha512, Span};
use bytes::Bytes;
use cache::{Limits, UploadError};
use futures_executor::block_on;
use futures_util::TryStreamExt as _;
use futures_util::future::join_all;
use store::blobs::{Blobs as _, Call};

use crate::ground::{World, keep, permit};

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
    assert_eq!(world.announce("alice", b"6").unwrap_err().kind(), Kind::Full);
    assert_eq!((world.is_there(b"6"), world.blobs.staged_bytes()), (false, 0));
    // What is there already is no more than it was, whoever sends it.
    for (bytes, whose) in [(&b"12345"[..], "alice's"), (b"1234", "bob's")] {
        assert!(!world.announce("alice", bytes).unwrap().is_new, "{whose}");
    }
    let error = block_on(keep(&world.cache, "alice", b"1234", Some(4), Some(Sha512::of(b"5")))).unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid, "{error}");
    assert_eq!(world.history(), ["alice: artifact kept", "bob: artifact kept", "alice: artifact kept"]);
}

/// Accounts are told apart however long their names are, and whatever they begin with.
#[test]
fn quotas_are_told_apart() {
    let world = World::new(Limits { writer_bytes_max: Some(8), ..Limits::default() });
    let organisation = "o".repeat(2_000);
    for n in 0..3_u8 {
        world.keep(&format!("{organisation}{n}"), &[n; 8], None).unwrap();
    }
    assert!(world.keep(&format!("{organisation}0"), b"x", None).is_err());
}

/// Each byte is counted while it flows: a body of unknown length, or several at once, put no more on the disk than their
/// writer may have.
#[test]
fn what_is_under_way_counts_for_the_quota() {
    let world = World::new(Limits { writer_bytes_max: Some(8), ..Limits::default() });
    let (cache, blobs) = (&world.cache, &world.blobs);
    block_on(async {
        let piece = || Bytes::from_static(b"123");
        let unknown = cache.upload(permit("alice"), None).await.unwrap();
        let other = cache.upload(permit("alice"), None).await.unwrap();
        let unknown = cache.take(unknown, piece()).await.unwrap();
        let other = cache.take(other, piece()).await.unwrap();
        let error = cache.take(unknown, piece()).await.err().unwrap();
        assert_eq!(error.to_string(), "alice may keep 8 bytes here, and has 3");
        // What was given up makes room for others; what is announced has its room from the beginning.
        assert_eq!(blobs.staged_bytes(), 3);
        let announced = cache.upload(permit("alice"), Some(5)).await.unwrap();
        let third = cache.upload(permit("alice"), None).await.unwrap();
        assert_eq!(cache.take(third, piece()).await.err().unwrap().kind(), Kind::Full);
        let announced = cache.take(announced, Bytes::from_static(b"12345")).await.unwrap();
        cache.keep(announced, None).await.unwrap();
        cache.keep(other, None).await.unwrap();
    });
    assert!(world.keep("alice", b"x", None).is_err());
}

/// Nothing more is taken before the disk is full: what is announced by all who send at once, and the reserve, have to
/// fit.
#[test]
fn the_last_of_the_room_is_left() {
    let megabyte = 1024 * 1024;
    let limits = Limits { reserve_bytes: 2 * megabyte, ..Limits::default() };
    let world = World::with_room(limits, 10 * megabyte);
    let (cache, blobs) = (&world.cache, &world.blobs);
    block_on(async {
        let first = cache.upload(permit("alice"), Some(5 * megabyte)).await.unwrap();
        let much = cache.upload(permit("bob"), Some(4 * megabyte)).await.unwrap();
        let error = cache.expecting(much, Sha512::of(b"not there")).await.err().unwrap();
        assert_eq!(error.kind(), Kind::Full);
        assert_eq!(
            error.to_string(),
            "there is no room for it: 1048576 bytes would be left, and 2097152 are kept free"
        );
        assert!(error.help().unwrap().contains("cache.reserve_bytes"));
        // One that is given up makes room again; one of unknown length is stopped when the reserve is reached.
        drop(first);
        let mut unknown = cache.upload(permit("bob"), None).await.unwrap();
        let mut taken = 0;
        let refused = loop {
            match cache.take(unknown, Bytes::from(vec![7; 65_536])).await {
                Ok(upload) => unknown = upload,
                Err(refused) => break refused,
            }
            taken += 65_536;
        };
        assert_eq!(refused.kind(), Kind::Full);
        assert!((8 * megabyte..9 * megabyte + 65_536).contains(&taken), "{taken}");
        assert_eq!(blobs.staged_bytes(), 0);
        let upload = cache.upload(permit("bob"), Some(8 * megabyte)).await.unwrap();
        drop(upload);
        let long = format!("{{\"sha512\": \"{}\", \"n\": \"{}\"}}", Sha512::of(b""), "n".repeat(300_000));
        let long = entry::Entry::new(long, String::new()).unwrap();
        let full = cache.upload(permit("bob"), Some(8 * megabyte)).await.unwrap();
        let refused = cache.put_entry(permit("bob"), &crate::ground::key("a"), &long).await.unwrap_err();
        assert_eq!(refused.kind(), Kind::Full, "{refused}");
        drop(full);
        cache.put_entry(permit("bob"), &crate::ground::key("a"), &long).await.unwrap();
    });
}

/// What is there already needs no room, whoever sends it once more, and with its length or without it; nothing of it is
/// written.
#[test]
fn what_is_there_needs_no_room() {
    let kept = vec![7; 3_000];
    let world = World::with_room(Limits { reserve_bytes: 2_000, ..Limits::default() }, 5_000);
    world.announce("alice", &kept).unwrap();
    world.keep("alice", b"the last that fits", None).unwrap();
    let other = vec![8; 3_000];
    for announced in [Some(3_000), None] {
        let send = |bytes: &[u8], expected| block_on(keep(&world.cache, "bob", bytes, announced, expected));
        assert!(!send(&kept, None).unwrap().is_new, "{announced:?}");
        assert!(!send(&kept, Some(Sha512::of(&kept))).unwrap().is_new, "{announced:?}");
        assert_eq!(send(&kept, Some(Sha512::of(&other))).unwrap_err().kind(), Kind::Invalid);
    }
    let refused = world.announce("bob", &other).unwrap_err();
    assert_eq!((refused.kind(), world.is_there(&other)), (Kind::Full, false), "{refused}");
    assert_eq!(world.history(), ["alice: artifact kept"; 2]);
}

/// Nobody sees bytes that were never written down, as after a crash between the two.
#[test]
fn bytes_without_a_record_are_no_artifact() {
    let world = World::new(Limits::default());
    world.engine.fail_next_commits(1, store::Error::Full);
    assert!(world.keep("alice", b"hello", None).is_err());
    assert_eq!(block_on(world.blobs.list(None, 10)).unwrap().len(), 1);
    assert!(!world.is_there(b"hello"));
    assert!(world.keep("alice", b"hello", None).unwrap().is_new);
    assert!(world.is_there(b"hello"));
    // Nor is what lost its bytes, once those that were just read are no longer held.
    block_on(world.blobs.remove(Sha512::of(b"hello"), None)).unwrap();
    world.clock.advance(Span::seconds(2));
    assert!(!world.is_there(b"hello"));
    world.keep("alice", b"hello", None).unwrap();
    assert!(world.is_there(b"hello"));
}

/// Of two processes that keep the same at the same time, one has brought it.
#[test]
fn a_rival_who_was_faster_brought_it() {
    let world = World::new(Limits { writer_bytes_max: Some(8), ..Limits::default() });
    let other = world.other(Limits { writer_bytes_max: Some(8), ..Limits::default() });
    world.engine.before_next_commit(async move {
        keep(&other, "bob", b"hello", None, None).await.unwrap();
    });
    assert!(!world.keep("alice", b"hello", None).unwrap().is_new);
    assert_eq!(world.history(), ["bob: artifact kept"]);
    // It counts for bob alone.
    assert!(world.keep("bob", b"1234", None).is_err());
    assert!(world.keep("alice", b"12345678", None).is_ok());
}

/// Many at once, through two processes: no artifact is lost or counted twice, and nobody keeps more than they may.
#[test]
fn a_crowd_keeps_within_its_quota() {
    let limits = Limits { writer_bytes_max: Some(40), ..Limits::default() };
    let world = World::new(limits);
    let other = world.other(limits);
    let bytes: Vec<[u8; 4]> = (0..30_u32).map(|n| (n / 2).to_le_bytes()).collect();
    let keeps = bytes.iter().enumerate().map(|(n, bytes)| {
        let cache = if n % 3 == 0 { &world.cache } else { &other };
        keep(cache, "alice", bytes, (n % 2 == 0).then_some(4), None)
    });
    let kept = block_on(join_all(keeps));
    let there = (0..15_u32).filter(|n| world.is_there(&n.to_le_bytes())).count();
    assert_eq!(there, 10);
    for (bytes, kept) in bytes.iter().zip(kept) {
        match kept {
            Ok(_) => assert!(world.is_there(bytes)),
            Err(error) => assert_eq!(error.kind(), Kind::Full, "{error}"),
        }
    }
    assert_eq!(world.history().len(), 10);
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
        let upload = world.cache.upload(permit("alice"), Some(5)).await.unwrap();
        world.cache.take(upload, Bytes::from_static(b"hel")).await.unwrap();
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
