//! The S3 engine against moto, which speaks S3 and keeps its objects in memory. What that cannot show is said there.

use std::sync::Arc;
use std::time::Duration;

use base::{Clock, Entropy, Secret, Sha512, Span};
use bytes::Bytes;
use futures_executor::block_on;
use futures_util::{FutureExt as _, StreamExt as _, TryStreamExt as _};
use store::blobs::conformance::{conformance, sample};
use store::blobs::{Blobs, ConnectError, Error, Kept, S3, S3Addressing, S3Key, S3KeySource, S3Settings};
use testkit::{Cable, LIMIT, Moto, Pass, wait_until};

/// A secret that nobody may see.
const SECRET: &str = "hunter2";

fn settings(moto: &Moto, bucket: &str) -> S3Settings {
    at(moto.port(), bucket)
}

fn at(port: u16, bucket: &str) -> S3Settings {
    let key = S3Key { id: "somebody".into(), secret: Secret::new(SECRET.into()), session: None };
    S3Settings {
        endpoint: Some(format!("http://127.0.0.1:{port}")),
        addressing: S3Addressing::Path,
        key: Some(key),
        ..S3Settings::new("us-east-1", bucket, "me")
    }
}

fn connect(settings: &S3Settings) -> Result<S3, ConnectError> {
    connect_at(settings, Clock::system())
}

fn connect_at(settings: &S3Settings, clock: Clock) -> Result<S3, ConnectError> {
    block_on(S3::connect(settings, clock, Entropy::system()))
}

/// Less patience than a test has.
fn impatient(settings: S3Settings) -> S3Settings {
    S3Settings { patience: Duration::from_secs(2), ..settings }
}

async fn keep(blobs: &S3, bytes: &Bytes) -> Result<Kept, Error> {
    let mut staged = blobs.stage().await?;
    for start in (0..bytes.len()).step_by(1_000_000) {
        staged.write(bytes.slice(start..bytes.len().min(start + 1_000_000))).await?;
    }
    staged.keep(None).await
}

async fn read(blobs: &S3, digest: Sha512) -> Result<Vec<u8>, Error> {
    let blob = blobs.open(digest).await?.expect("it is there");
    let pieces: Vec<Bytes> = blob.read(0..u64::MAX).try_collect().await?;
    Ok(pieces.concat())
}

#[test]
fn s3_conforms() {
    let moto = Moto::start();
    for prefix in ["", "shared/objects"] {
        let number = std::cell::Cell::new(0);
        let bucket = |number| format!("bucket-{}-{number}", prefix.len());
        block_on(conformance(async || {
            number.set(number.get() + 1);
            let bucket = bucket(number.get());
            moto.bucket(&bucket);
            let settings = S3Settings { prefix: prefix.into(), ..settings(&moto, &bucket) };
            let connected = S3::connect(&settings, Clock::system(), Entropy::system()).await;
            Arc::new(connected.expect("a bucket opens")) as Arc<dyn Blobs>
        }));
        // Whatever the cases did, nothing is left on the way.
        for number in 1..=number.get() {
            let keys = moto.keys(&bucket(number));
            assert!(keys.iter().all(|key| key.starts_with(prefix) && !key.contains("staged")), "{keys:?}");
            assert_eq!(moto.unended(&bucket(number)), 0);
        }
    }
}

#[test]
fn what_is_dropped_half_way_is_aborted() {
    let moto = Moto::start();
    moto.bucket("objects");
    let blobs = connect(&settings(&moto, "objects")).unwrap();
    for closed in [false, true] {
        let mut staged = block_on(blobs.stage()).unwrap();
        for _ in 0..12 {
            block_on(staged.write(sample(1, 1_000_000))).unwrap();
        }
        wait_until("the upload to begin", || moto.unended("objects") == 1);
        if closed {
            block_on(blobs.close()).unwrap();
            assert_eq!(moto.unended("objects"), 0);
            assert_eq!(block_on(staged.keep(None)), Err(Error::Closed));
        } else {
            drop(staged);
        }
        wait_until("the upload to be aborted", || {
            moto.unended("objects") == 0 && moto.keys("objects").is_empty()
        });
    }
}

#[test]
fn many_uploads_share_the_room_for_parts() {
    let moto = Moto::start();
    moto.bucket("objects");
    let blobs = connect(&S3Settings { patience: LIMIT, ..settings(&moto, "objects") }).unwrap();
    // As slow as can be, and in nobody's way.
    let mut slow: Vec<_> = (0..9).map(|_| block_on(blobs.stage()).unwrap()).collect();
    for staged in &mut slow {
        block_on(staged.write(sample(1, 6_000_000))).unwrap();
        block_on(staged.write(sample(1, 1))).unwrap();
    }
    let all = (0..9).map(|seed| {
        let blobs = &blobs;
        async move { keep(blobs, &sample(2 + seed, 6_000_000)).await.map(|kept| kept.size) }
    });
    let kept: Vec<_> = block_on(futures_util::future::join_all(all));
    assert_eq!(kept, vec![Ok(6_000_000); 9]);
    for staged in slow {
        assert_eq!(block_on(staged.keep(None)).map(|kept| kept.size), Ok(6_000_001));
    }
    block_on(blobs.close()).unwrap();
    assert_eq!((moto.keys("objects").len(), moto.unended("objects")), (10, 0));
}

/// Who has begun a part and does not go on holds a place in memory, and is in nobody's way: not even of those who hold none.
#[test]
fn who_does_not_go_on_keeps_nobody_from_uploading() {
    let moto = Moto::start();
    moto.bucket("objects");
    let blobs = connect(&impatient(settings(&moto, "objects"))).unwrap();
    let begin = |bytes: usize| {
        let mut staged = block_on(blobs.stage()).unwrap();
        block_on(staged.write(sample(1, bytes))).map(|()| staged)
    };
    let begun: Vec<_> = (0..25).map(|_| begin(100_000).unwrap()).collect();
    // Short, of one part, of exactly one, and of several.
    for (seed, size) in (2..).zip([50_000, 100_000, 1_000_000, 5 * 1024 * 1024, 17_000_000]) {
        let bytes = sample(seed, size);
        let kept = block_on(keep(&blobs, &bytes)).unwrap();
        assert_eq!((kept.digest, kept.size), (Sha512::of(&bytes), size as u64));
        assert!(block_on(read(&blobs, kept.digest)).unwrap() == bytes, "{size} bytes");
    }
    // In small pieces, whose beginning needs no place.
    let bytes = sample(9, 6_000_000);
    let mut staged = block_on(blobs.stage()).unwrap();
    for start in (0..bytes.len()).step_by(50_000) {
        block_on(staged.write(bytes.slice(start..start + 50_000))).unwrap();
    }
    let kept = block_on(staged.keep(None)).unwrap();
    assert!(block_on(read(&blobs, kept.digest)).unwrap() == bytes);
    // The others come to their ends, in several parts.
    let whole = Sha512::of(&[&sample(1, 100_000)[..], &sample(2, 6_000_000)[..]].concat());
    for mut staged in begun {
        block_on(staged.write(sample(2, 6_000_000))).unwrap();
        assert_eq!(block_on(staged.keep(None)).map(|kept| kept.digest), Ok(whole));
    }
    block_on(blobs.close()).unwrap();
}

/// Where nothing can be put but into memory, who finds no place there is told so, and what is short needs none.
#[test]
fn without_temporary_files_one_waits_for_a_place_in_memory() {
    let moto = Moto::start();
    moto.bucket("objects");
    let settings = S3Settings { temporary: Some("/nowhere/at/all".into()), ..settings(&moto, "objects") };
    let blobs = connect(&impatient(settings)).unwrap();
    let begin = |bytes: usize| {
        let mut staged = block_on(blobs.stage()).unwrap();
        block_on(staged.write(sample(1, bytes))).map(|()| staged)
    };
    let mut begun: Vec<_> = (0..10).map(|_| begin(100_000).unwrap()).collect();
    let refused = begin(100_000).err().unwrap();
    assert!(matches!(refused, Error::Unavailable { .. }), "{refused}");
    let short = begin(50_000).unwrap();
    assert_eq!(block_on(short.keep(None)).map(|kept| kept.size), Ok(50_000));
    // One goes, and the next one has its place.
    drop(begun.pop());
    let next = begin(100_000).unwrap();
    assert_eq!(block_on(next.keep(None)).map(|kept| kept.size), Ok(100_000));
}

/// Who stops waiting has not given the bytes, though they may be on their way into a file.
#[test]
fn who_stops_waiting_gives_nothing() {
    let moto = Moto::start();
    moto.bucket("objects");
    let blobs = connect(&impatient(settings(&moto, "objects"))).unwrap();
    let begin = || {
        let mut staged = block_on(blobs.stage()).unwrap();
        block_on(staged.write(sample(1, 100_000))).unwrap();
        staged
    };
    let _in_memory: Vec<_> = (0..10).map(|_| begin()).collect();
    let mut staged = begin();
    let mut bytes = sample(1, 100_000).to_vec();
    for seed in 2..20 {
        let (long, short) = (sample(seed, 1_000_000), sample(seed, 10_000));
        // Where it was as fast as that, they are given.
        if staged.write(long.clone()).now_or_never().is_some() {
            bytes.extend_from_slice(&long);
        }
        block_on(staged.write(short.clone())).unwrap();
        bytes.extend_from_slice(&short);
    }
    let kept = block_on(staged.keep(None)).unwrap();
    assert_eq!(kept.digest, Sha512::of(&bytes));
    assert!(block_on(read(&blobs, kept.digest)).unwrap() == bytes);
}

/// A key that was renewed is used from then on.
#[test]
fn a_key_may_change() {
    #[derive(Debug)]
    struct Changing(std::sync::atomic::AtomicUsize);
    impl S3KeySource for Changing {
        fn key(&self) -> S3Key {
            let n = self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            let session = Some(Secret::new(format!("session-{n}")));
            S3Key { id: format!("id-{n}"), secret: Secret::new(SECRET.into()), session }
        }
    }
    let moto = Moto::start();
    moto.bucket("objects");
    let keys = Arc::new(Changing(0.into()));
    let settings = S3Settings { key: None, keys: Some(keys.clone()), ..settings(&moto, "objects") };
    let blobs = connect(&settings).unwrap();
    let before = keys.0.load(std::sync::atomic::Ordering::SeqCst);
    assert!(block_on(keep(&blobs, &sample(1, 10))).is_ok());
    assert!(before > 0 && keys.0.load(std::sync::atomic::Ordering::SeqCst) > before);
}

/// As a crash leaves it: nobody says any more what is to become of it.
fn begun_and_forgotten(moto: &Moto, settings: &S3Settings) {
    let before = moto.unended(&settings.bucket);
    let blobs = connect(settings).unwrap();
    let mut staged = block_on(blobs.stage()).unwrap();
    for _ in 0..12 {
        block_on(staged.write(sample(1, 1_000_000))).unwrap();
    }
    wait_until("the upload to begin", || moto.unended(&settings.bucket) == before + 1);
    wait_until("its note", || moto.keys(&settings.bucket).len() == before + 1);
    std::mem::forget(staged);
}

#[test]
fn what_a_crash_left_goes_at_the_next_start() {
    let moto = Moto::start();
    moto.bucket("objects");
    let ours = settings(&moto, "objects");
    let others = S3Settings { owner: "somebody-else".into(), ..ours.clone() };
    begun_and_forgotten(&moto, &ours);
    begun_and_forgotten(&moto, &others);
    moto.put("objects/staged/me/1f", "completed, and not named");
    moto.put("objects/staged/me/2f.upload", "no such upload");
    moto.put("objects/staged/me/3f.upload", "");
    connect(&ours).unwrap();
    assert_eq!(moto.unended("objects"), 1, "somebody else's goes on");
    let keys = moto.keys("objects");
    assert!(keys.len() == 1 && keys[0].starts_with("staged/somebody-else/"), "{keys:?}");
}

#[test]
fn what_others_left_goes_after_a_day() {
    let moto = Moto::start();
    moto.bucket("objects");
    let settings = settings(&moto, "objects");
    begun_and_forgotten(&moto, &S3Settings { owner: "somebody-else".into(), ..settings.clone() });
    moto.put("objects/staged/somebody-else/1f", "half");
    moto.put("objects/of-others/staged/2f", "theirs");
    let now = Clock::system().now();
    connect_at(&settings, Clock::manual(now + Span::seconds(23 * 3600))).unwrap();
    assert_eq!((moto.keys("objects").len(), moto.unended("objects")), (3, 1), "they may be about to name it");
    connect_at(&settings, Clock::manual(now + Span::seconds(25 * 3600))).unwrap();
    assert_eq!(moto.keys("objects"), ["of-others/staged/2f"]);
    assert_eq!(moto.unended("objects"), 0);
}

#[test]
fn what_others_keep_in_the_bucket_is_not_ours() {
    let moto = Moto::start();
    moto.bucket("objects");
    let blobs = connect(&settings(&moto, "objects")).unwrap();
    block_on(keep(&blobs, &sample(1, 10))).unwrap();
    let digest = Sha512::of(b"ours");
    for key in ["0README", "a/b", "zebra", &format!("theirs/{digest}"), &format!("{digest}/0")] {
        moto.put(&format!("objects/{key}"), "theirs");
    }
    let found = block_on(blobs.list(None, 10)).unwrap();
    assert_eq!(found.iter().map(|found| found.size).collect::<Vec<_>>(), [10]);
    assert!(block_on(blobs.open(digest)).unwrap().is_none());
}

#[test]
fn requests_are_signed_as_amazon_signs_them() {
    let moto = Moto::start();
    moto.bucket("objects");
    let (id, secret) = moto.strict();
    let with = |id: &str, secret: &str| S3Settings {
        key: Some(S3Key { id: id.into(), secret: Secret::new(secret.into()), session: None }),
        prefix: "shared/objects".into(),
        ..settings(&moto, "objects")
    };
    let blobs = connect(&with(&id, &secret)).unwrap();
    for size in [10, 12_000_000] {
        let bytes = sample(1, size);
        let kept = block_on(keep(&blobs, &bytes)).unwrap();
        assert!(block_on(read(&blobs, kept.digest)).unwrap() == bytes);
        assert_eq!(block_on(blobs.list(None, 10)).unwrap().len(), 1);
        assert_eq!(block_on(blobs.remove(kept.digest, None)), Ok(true));
    }
    for (id, expected) in [(id.as_str(), "SignatureDoesNotMatch"), ("nobody", "InvalidAccessKeyId")] {
        let error = connect(&impatient(with(id, SECRET))).err().expect("it is refused");
        let ConnectError::Store(Error::Refused { reason, .. }) = &error else { panic!("{error:?}") };
        assert!(reason.starts_with(expected) && !reason.contains(SECRET), "{reason}");
    }
}

#[test]
fn the_servers_certificate_is_looked_at() {
    let moto = Moto::tls();
    moto.bucket("objects");
    let known = std::fs::read(moto.certificate()).unwrap();
    let unknown = std::fs::read(Moto::tls().certificate()).unwrap();
    let with = |authorities: &[u8]| {
        let endpoint = Some(moto.url().to_owned());
        impatient(S3Settings {
            endpoint,
            authorities: Some(authorities.to_vec()),
            ..settings(&moto, "objects")
        })
    };
    let blobs = connect(&with(&known)).unwrap();
    let bytes = sample(1, 12_000_000);
    let kept = block_on(keep(&blobs, &bytes)).unwrap();
    assert!(block_on(read(&blobs, kept.digest)).unwrap() == bytes);
    let error = connect(&with(&unknown)).err().unwrap();
    let ConnectError::Store(Error::Unavailable { reason, .. }) = &error else { panic!("{error:?}") };
    assert!(reason.contains("certificate"), "{reason}");
}

#[test]
fn what_cannot_be_reached_or_is_not_there_is_told() {
    let moto = Moto::start();
    let error = connect(&impatient(settings(&moto, "missing"))).err().unwrap();
    let ConnectError::Store(Error::Refused { reason, .. }) = &error else { panic!("{error:?}") };
    assert_eq!(reason, "NoSuchBucket: The specified bucket does not exist");

    moto.bucket("objects");
    let settings = impatient(settings(&moto, "objects"));
    let blobs = connect(&settings).unwrap();
    let kept = block_on(keep(&blobs, &sample(1, 700_000))).unwrap();
    let blob = block_on(blobs.open(kept.digest)).unwrap().unwrap();
    let mut staged = block_on(blobs.stage()).unwrap();
    block_on(staged.write(sample(2, 6_000_000))).unwrap();
    drop(moto);
    let read: Result<Vec<Bytes>, Error> = block_on(blob.read(0..u64::MAX).try_collect());
    let written = block_on(async {
        for _ in 0..100 {
            staged.write(sample(2, 1_000_000)).await?;
        }
        staged.keep(None).await
    });
    let started = connect(&settings).map(drop).map_err(|error| match error {
        ConnectError::Store(error) => error,
        error => panic!("{error:?}"),
    });
    let kept = block_on(keep(&blobs, &sample(2, 10)));
    for error in [read.unwrap_err(), kept.unwrap_err(), written.unwrap_err(), started.unwrap_err()] {
        let Error::Unavailable { reason, .. } = &error else { panic!("{error:?}") };
        assert!(
            reason.contains("refused") || reason.contains("closed") || reason.contains("reset"),
            "{reason}"
        );
    }
    block_on(blobs.close()).unwrap();
}

#[test]
fn a_server_that_says_nothing_is_not_waited_for_long() {
    let moto = Moto::start();
    moto.bucket("objects");
    let cable = Cable::to(moto.port());
    let blobs = connect(&impatient(at(cable.port(), "objects"))).unwrap();
    let kept = block_on(keep(&blobs, &sample(1, 10))).unwrap();
    cable.set(Pass::Later);
    let begun = std::time::Instant::now();
    let told = block_on(blobs.open(kept.digest)).unwrap_err();
    assert!(matches!(told, Error::Unavailable { .. }), "{told}");
    assert!(begun.elapsed() < LIMIT / 2, "{:?}", begun.elapsed());
    cable.set(Pass::All);
    assert!(block_on(blobs.open(kept.digest)).unwrap().is_some());
}

#[test]
fn a_connection_that_is_cut_is_gone_on_with() {
    let moto = Moto::start();
    moto.bucket("objects");
    let cable = Cable::to(moto.port());
    let blobs = connect(&at(cable.port(), "objects")).unwrap();
    let bytes = sample(1, 30_000_000);
    let cut = || {
        cable.set(Pass::Nothing);
        cable.set(Pass::All);
    };
    let kept = block_on(async {
        let mut staged = blobs.stage().await.unwrap();
        for start in (0..bytes.len()).step_by(1_000_000) {
            if start % 7_000_000 == 0 {
                cut();
            }
            staged.write(bytes.slice(start..start + 1_000_000)).await.unwrap();
        }
        staged.keep(None).await.unwrap()
    });
    assert_eq!(kept.digest, Sha512::of(&bytes));
    let read = block_on(async {
        let blob = blobs.open(kept.digest).await.unwrap().unwrap();
        let (mut read, mut pieces) = (Vec::new(), blob.read(0..u64::MAX));
        while let Some(piece) = pieces.next().await {
            let before = read.len() / 10_000_000;
            read.extend_from_slice(&piece.unwrap());
            if read.len() / 10_000_000 > before {
                cut();
            }
        }
        read
    });
    assert!(read == bytes);
}

#[test]
fn who_reads_slowly_does_not_keep_it_from_closing() {
    let moto = Moto::start();
    moto.bucket("objects");
    let blobs = connect(&settings(&moto, "objects")).unwrap();
    let kept = block_on(keep(&blobs, &sample(1, 8_000_000))).unwrap();
    let blob = block_on(blobs.open(kept.digest)).unwrap().unwrap();
    let mut pieces = blob.read(0..u64::MAX);
    assert!(block_on(pieces.next()).unwrap().is_ok());
    block_on(blobs.close()).unwrap();
    let rest: Result<Vec<Bytes>, Error> = block_on(pieces.try_collect());
    assert_eq!(rest, Err(Error::Closed));
}
