//! What every engine for blobs has to do, as one suite. An engine that passes can stand in for any other.
//!
//! It needs no particular executor: what happens at once are futures polled side by side.

use std::ops::Range;
use std::sync::Arc;

use base::{Sha512, Span};
use bytes::Bytes;
use futures_util::future::{BoxFuture, join_all};
use futures_util::{FutureExt, StreamExt};

use super::{Blobs, CHUNK_BYTES, Error, Found, Kept, Staged};

/// One case: given an empty store, it panics unless the store does as the case is named.
pub type Case = fn(Arc<dyn Blobs>) -> BoxFuture<'static, ()>;

/// All cases and what they show.
pub const CASES: &[(&str, Case)] = &[
    ("what was kept is read", |blobs| what_was_kept_is_read(blobs).boxed()),
    ("any range is read", |blobs| any_range_is_read(blobs).boxed()),
    ("large ones flow through", |blobs| large_ones_flow_through(blobs).boxed()),
    ("nothing is seen before it is kept", |blobs| nothing_is_seen_before_it_is_kept(blobs).boxed()),
    ("the same again is no second one", |blobs| the_same_again_is_no_second_one(blobs).boxed()),
    ("rivals all have their answer", |blobs| rivals_all_have_their_answer(blobs).boxed()),
    ("what was announced must come", |blobs| what_was_announced_must_come(blobs).boxed()),
    ("who stops waiting leaves all or nothing", |blobs| {
        who_stops_waiting_leaves_all_or_nothing(blobs).boxed()
    }),
    ("what was removed is gone", |blobs| what_was_removed_is_gone(blobs).boxed()),
    ("what was kept again is not reaped", |blobs| what_was_kept_again_is_not_reaped(blobs).boxed()),
    ("what was put aside can be kept anew", |blobs| what_was_put_aside_can_be_kept_anew(blobs).boxed()),
    ("pages follow each other", |blobs| pages_follow_each_other(blobs).boxed()),
    ("what is closed says so", |blobs| what_is_closed_says_so(blobs).boxed()),
];

/// Runs all cases, each on a store that `open` gives it and in which nothing is kept.
pub async fn conformance(open: impl AsyncFn() -> Arc<dyn Blobs>) {
    for (name, case) in CASES {
        tracing::debug!(name, "conformance case begun");
        let blobs = open().await;
        case(Arc::clone(&blobs)).await;
        blobs.close().await.unwrap_or_else(|error| panic!("{name}: closing failed: {error}"));
    }
}

/// So many bytes that are like no others of another `seed`, and of which no two pieces are alike.
pub fn sample(seed: u64, bytes: usize) -> Bytes {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x2545_f491_4f6c_dd1d;
    let mut next = || {
        // Vigna's xorshift64*, for which no state but zero is special.
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes()
    };
    let words = bytes.div_ceil(8);
    let mut sample: Vec<u8> = (0..words).flat_map(|_| next()).collect();
    sample.truncate(bytes);
    sample.into()
}

async fn stage(blobs: &Arc<dyn Blobs>, bytes: &Bytes, piece: usize) -> Box<dyn Staged> {
    let mut staged = blobs.stage().await.expect("nothing stands against staging");
    for start in (0..bytes.len()).step_by(piece) {
        let piece = bytes.slice(start..bytes.len().min(start + piece));
        staged.write(piece).await.expect("nothing stands against writing");
    }
    staged
}

async fn keep(blobs: &Arc<dyn Blobs>, bytes: &Bytes) -> Kept {
    let staged = stage(blobs, bytes, 8 * 1024).await;
    staged.keep(None).await.expect("nothing stands against keeping")
}

async fn read(blobs: &Arc<dyn Blobs>, digest: Sha512, range: Range<u64>) -> Option<Vec<u8>> {
    let blob = blobs.open(digest).await.expect("nothing stands against opening")?;
    let mut read = Vec::new();
    let mut pieces = blob.read(range);
    while let Some(piece) = pieces.next().await {
        let piece = piece.expect("nothing stands against reading");
        assert!(!piece.is_empty() && piece.len() <= CHUNK_BYTES, "a piece of {} bytes", piece.len());
        read.extend_from_slice(&piece);
    }
    Some(read)
}

async fn is_there(blobs: &Arc<dyn Blobs>, digest: Sha512) -> bool {
    blobs.open(digest).await.expect("nothing stands against opening").is_some()
}

async fn list(blobs: &Arc<dyn Blobs>) -> Vec<Found> {
    blobs.list(None, 1000).await.expect("nothing stands against listing")
}

async fn what_was_kept_is_read(blobs: Arc<dyn Blobs>) {
    let sizes = [0, 1, 1024, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES + 7];
    for (seed, size) in (1..).zip(sizes) {
        for piece in [4099, 64 * 1024] {
            let bytes = sample(seed * 100 + piece as u64, size);
            let digest = Sha512::of(&bytes);
            assert!(size == 0 || !is_there(&blobs, digest).await);
            let kept = stage(&blobs, &bytes, piece).await.keep(None).await;
            let was_there = size == 0 && piece != 4099;
            assert_eq!(kept, Ok(Kept { digest, size: size as u64, was_there }));
            let blob = blobs.open(digest).await.unwrap_or_default().expect("it was kept");
            assert_eq!(blob.size(), size as u64);
            assert!(read(&blobs, digest, 0..u64::MAX).await.as_deref() == Some(&bytes[..]), "{size} bytes");
        }
    }
    assert!(!is_there(&blobs, Sha512::of(b"never kept")).await);
    assert!(blobs.room().await.is_ok());
}

async fn any_range_is_read(blobs: Arc<dyn Blobs>) {
    let bytes = sample(1, 2 * CHUNK_BYTES + 100);
    let digest = keep(&blobs, &bytes).await.digest;
    let (chunk, end) = (CHUNK_BYTES as u64, bytes.len() as u64);
    let ranges = [
        (0..1, 0..1),
        (end - 1..end, end - 1..end),
        (7..chunk + 7, 7..chunk + 7),
        (chunk..2 * chunk, chunk..2 * chunk),
        (1..u64::MAX, 1..end),
        (5..5, 0..0),
        (end..u64::MAX, 0..0),
        (u64::MAX - 1..u64::MAX, 0..0),
    ];
    for (asked, expected) in ranges {
        let place = |at: u64| usize::try_from(at).expect("it is within the object");
        let expected = &bytes[place(expected.start)..place(expected.end)];
        let read = read(&blobs, digest, asked.clone()).await;
        assert!(read.as_deref() == Some(expected), "{asked:?}");
    }
}

async fn large_ones_flow_through(blobs: Arc<dyn Blobs>) {
    let bytes = sample(2, 40 * 1024 * 1024 + 3);
    let kept = keep(&blobs, &bytes).await;
    assert_eq!((kept.digest, kept.size), (Sha512::of(&bytes), bytes.len() as u64));
    assert!(read(&blobs, kept.digest, 0..u64::MAX).await.as_deref() == Some(&bytes[..]));
}

async fn nothing_is_seen_before_it_is_kept(blobs: Arc<dyn Blobs>) {
    for size in [10, 3 * 1024 * 1024] {
        let bytes = sample(3, size);
        let digest = Sha512::of(&bytes);
        let staged = stage(&blobs, &bytes, 64 * 1024).await;
        assert!(!is_there(&blobs, digest).await && list(&blobs).await.is_empty());
        drop(staged);
        assert!(!is_there(&blobs, digest).await && list(&blobs).await.is_empty());
        let never_asked_for = stage(&blobs, &bytes, 64 * 1024).await.keep(None);
        drop(never_asked_for);
        assert!(!is_there(&blobs, digest).await && list(&blobs).await.is_empty());
    }
}

async fn the_same_again_is_no_second_one(blobs: Arc<dyn Blobs>) {
    for size in [100, 1024 * 1024] {
        let bytes = sample(4, size);
        let first = keep(&blobs, &bytes).await;
        let second = keep(&blobs, &bytes).await;
        assert!(!first.was_there);
        assert_eq!(second, Kept { was_there: true, ..first });
        assert_eq!(read(&blobs, first.digest, 0..u64::MAX).await.as_deref(), Some(&bytes[..]));
    }
    assert_eq!(list(&blobs).await.len(), 2);
}

async fn rivals_all_have_their_answer(blobs: Arc<dyn Blobs>) {
    for size in [50, 600_000] {
        let bytes = sample(5, size);
        let rivals = (1..=8).map(|n| {
            let (blobs, bytes) = (&blobs, &bytes);
            async move { stage(blobs, bytes, 5000 * n).await.keep(None).await }
        });
        for kept in join_all(rivals).await {
            let kept = kept.expect("nothing stands against keeping");
            assert_eq!((kept.digest, kept.size), (Sha512::of(&bytes), size as u64));
        }
        assert_eq!(read(&blobs, Sha512::of(&bytes), 0..u64::MAX).await.as_deref(), Some(&bytes[..]));
    }
    assert_eq!(list(&blobs).await.len(), 2);
}

async fn what_was_announced_must_come(blobs: Arc<dyn Blobs>) {
    for size in [20, 2 * 1024 * 1024] {
        let bytes = sample(6, size);
        let (found, announced) = (Sha512::of(&bytes), Sha512::of(b"something else"));
        let refused = stage(&blobs, &bytes, 64 * 1024).await.keep(Some(announced)).await;
        assert_eq!(refused, Err(Error::Differs { found }));
        assert!(!is_there(&blobs, found).await && !is_there(&blobs, announced).await);
        let kept = stage(&blobs, &bytes, 64 * 1024).await.keep(Some(found)).await;
        assert_eq!(kept, Ok(Kept { digest: found, size: size as u64, was_there: false }));
        assert!(is_there(&blobs, found).await);
        let refused = stage(&blobs, &bytes, 64 * 1024).await.keep(Some(announced)).await;
        assert_eq!(refused, Err(Error::Differs { found }), "also when it is there already");
    }
}

async fn who_stops_waiting_leaves_all_or_nothing(blobs: Arc<dyn Blobs>) {
    for size in [30, 2 * 1024 * 1024] {
        let bytes = sample(7, size);
        let mut keeping = stage(&blobs, &bytes, 64 * 1024).await.keep(None);
        let _ = futures_util::poll!(&mut keeping);
        drop(keeping);
        let read = read(&blobs, Sha512::of(&bytes), 0..u64::MAX).await;
        assert!(read.is_none_or(|read| read == bytes));
        assert!(keep(&blobs, &bytes).await.size == size as u64, "and it can be kept");
    }
}

async fn what_was_removed_is_gone(blobs: Arc<dyn Blobs>) {
    let bytes = sample(8, 20 * CHUNK_BYTES);
    let digest = keep(&blobs, &bytes).await.digest;
    let open = blobs.open(digest).await.unwrap_or_default().expect("it was kept");
    let mut reading = open.read(0..u64::MAX);
    let mut read = reading.next().await.expect("it is not empty").expect("it is there").to_vec();
    assert_eq!(blobs.remove(digest, None).await, Ok(true));
    assert_eq!(blobs.remove(digest, None).await, Ok(false));
    assert!(!is_there(&blobs, digest).await && list(&blobs).await.is_empty());
    // Who reads has it to the end, or is told where it cannot be had.
    loop {
        match reading.next().await {
            Some(Ok(piece)) => read.extend_from_slice(&piece),
            Some(Err(error)) => {
                assert_eq!(error, Error::Gone);
                assert!(reading.next().await.is_none(), "an error is the last thing that comes");
                break;
            }
            None => {
                assert!(read == bytes);
                break;
            }
        }
    }
    assert!(!keep(&blobs, &bytes).await.was_there);
}

async fn what_was_kept_again_is_not_reaped(blobs: Arc<dyn Blobs>) {
    let digest = keep(&blobs, &sample(9, 100)).await.digest;
    let kept_at = list(&blobs).await[0].kept_at;
    assert_eq!(blobs.remove(digest, Some(kept_at - Span::seconds(1))).await, Ok(false));
    assert!(is_there(&blobs, digest).await);
    assert_eq!(blobs.remove(digest, Some(kept_at)).await, Ok(true));
    assert!(!is_there(&blobs, digest).await);
}

async fn what_was_put_aside_can_be_kept_anew(blobs: Arc<dyn Blobs>) {
    let bytes = sample(10, 100);
    let digest = Sha512::of(&bytes);
    assert_eq!(blobs.set_aside(digest).await, Ok(false));
    for _ in 0..2 {
        assert!(!keep(&blobs, &bytes).await.was_there);
        assert_eq!(blobs.set_aside(digest).await, Ok(true));
        assert_eq!(blobs.set_aside(digest).await, Ok(false));
        assert!(!is_there(&blobs, digest).await && list(&blobs).await.is_empty());
    }
    assert!(!keep(&blobs, &bytes).await.was_there);
    assert_eq!(read(&blobs, digest, 0..u64::MAX).await.as_deref(), Some(&bytes[..]));
}

async fn pages_follow_each_other(blobs: Arc<dyn Blobs>) {
    assert!(list(&blobs).await.is_empty());
    let mut expected = Vec::new();
    for size in 0..40 {
        let kept = keep(&blobs, &sample(11, size)).await;
        expected.push((kept.digest, kept.size));
    }
    expected.sort_unstable();
    for limit in [1, 7, 39, 40, 41, 1000, usize::MAX, 0] {
        let mut found = Vec::new();
        loop {
            let after = found.last().map(|(digest, _)| *digest);
            let page = blobs.list(after, limit).await.expect("nothing stands against listing");
            assert!(page.len() <= limit.max(1));
            if page.is_empty() {
                break;
            }
            found.extend(page.iter().map(|found| (found.digest, found.size)));
        }
        assert_eq!(found, expected, "pages of {limit}");
    }
    let nobodys = Sha512::from_bytes([0x80; Sha512::BYTES]);
    let page = blobs.list(Some(nobodys), 1000).await.expect("nothing stands against listing");
    let behind: Vec<_> = expected.iter().filter(|(digest, _)| *digest > nobodys).collect();
    assert_eq!(page.len(), behind.len());
    assert_eq!(blobs.list(Some(Sha512::from_bytes([0xff; Sha512::BYTES])), 10).await, Ok(Vec::new()));
}

async fn what_is_closed_says_so(blobs: Arc<dyn Blobs>) {
    let bytes = sample(12, 100);
    let digest = keep(&blobs, &bytes).await.digest;
    let staged = stage(&blobs, &sample(13, 100), 100).await;
    for _ in 0..2 {
        assert_eq!(blobs.close().await, Ok(()));
    }
    assert_eq!(staged.keep(None).await, Err(Error::Closed));
    assert_eq!(blobs.stage().await.err(), Some(Error::Closed));
    assert_eq!(blobs.open(digest).await.err(), Some(Error::Closed));
    assert_eq!(blobs.remove(digest, None).await, Err(Error::Closed));
    assert_eq!(blobs.set_aside(digest).await, Err(Error::Closed));
    assert_eq!(blobs.list(None, 10).await, Err(Error::Closed));
}
