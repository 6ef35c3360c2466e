//! The S3 engine against moto, which speaks S3 and keeps its objects in memory.
//!
//! What that cannot show: that requests are signed as Amazon wants them (moto looks at no signature), that what was
//! answered is durable, and what a server does that is full, slow or far away.

use std::process::Command;
use std::sync::Arc;

use base::{Clock, Entropy, Secret, Span};
use bytes::Bytes;
use futures_executor::block_on;
use futures_util::TryStreamExt as _;
use store::blobs::conformance::{conformance, sample};
use store::blobs::{Blobs, ConnectError, Error, S3, S3Key, S3Settings};
use testkit::{LIMIT, Process, wait_for, wait_until, witness};

/// A moto that serves. Dropping it ends it, and what it kept.
struct Moto {
    _server: Process,
    url: String,
}

impl Moto {
    fn start() -> Self {
        let mut command = Command::new(witness("moto_server"));
        let server = Process::spawn(command.args(["--host", "127.0.0.1", "--port", "0"]));
        let url = wait_for("moto to say where it is", || {
            let said = server.stdout() + &server.stderr();
            let (_, url) = said.split_once("Running on ")?;
            let (url, _) = url.split_once('\n')?;
            Some(url.trim().to_owned())
        });
        Self { _server: server, url }
    }

    /// Makes a bucket.
    fn bucket(&self, name: &str) {
        let made = testkit::http::anybody().put(format!("{}/{name}", self.url)).send().unwrap();
        assert!(made.status().is_success(), "{made:?}");
    }

    fn settings(&self, bucket: &str) -> S3Settings {
        let key = S3Key { id: "somebody".into(), secret: Secret::new("hunter2".into()), session: None };
        S3Settings { endpoint: Some(self.url.clone()), key: Some(key), ..S3Settings::new("us-east-1", bucket) }
    }

    /// The keys in a bucket.
    fn keys(&self, bucket: &str) -> Vec<String> {
        let listed = testkit::http::anybody().get(format!("{}/{bucket}?list-type=2", self.url)).send().unwrap();
        let xml = listed.text().unwrap();
        xml.split("<Key>").skip(1).map(|rest| rest.split('<').next().unwrap().to_owned()).collect()
    }

    /// How many uploads were begun in a bucket and not ended.
    fn unended(&self, bucket: &str) -> usize {
        let listed = testkit::http::anybody().get(format!("{}/{bucket}?uploads", self.url)).send().unwrap();
        listed.text().unwrap().matches("<UploadId>").count()
    }
}

fn connect(settings: &S3Settings, clock: Clock) -> Result<S3, ConnectError> {
    block_on(S3::connect(settings, clock, Entropy::system()))
}

async fn keep(blobs: &S3, bytes: &Bytes) -> Result<(), Error> {
    let mut staged = blobs.stage().await?;
    for start in (0..bytes.len()).step_by(1_000_000) {
        staged.write(bytes.slice(start..bytes.len().min(start + 1_000_000))).await?;
    }
    staged.keep(None).await.map(drop)
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
            let settings = S3Settings { prefix: prefix.into(), ..moto.settings(&bucket) };
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
    let blobs = connect(&moto.settings("objects"), Clock::system()).unwrap();
    let mut staged = block_on(blobs.stage()).unwrap();
    for _ in 0..12 {
        block_on(staged.write(sample(1, 1_000_000))).unwrap();
    }
    assert_eq!(moto.unended("objects"), 1);
    drop(staged);
    wait_until("the upload to be aborted", || moto.unended("objects") == 0);
    assert_eq!(moto.keys("objects"), [""; 0]);
}

#[test]
fn what_a_crash_left_goes_after_a_day() {
    let moto = Moto::start();
    moto.bucket("objects");
    let put = |key: &str| {
        let put = testkit::http::anybody().put(format!("{}/objects/{key}", moto.url)).body("half").send();
        assert!(put.unwrap().status().is_success());
    };
    put("staged/1f");
    put("of-others/staged/2f");
    let settings = moto.settings("objects");
    let now = Clock::system().now();
    connect(&settings, Clock::manual(now + Span::seconds(23 * 3600))).unwrap();
    assert_eq!(moto.keys("objects"), ["of-others/staged/2f", "staged/1f"], "somebody may be about to name it");
    connect(&settings, Clock::manual(now + Span::seconds(25 * 3600))).unwrap();
    assert_eq!(moto.keys("objects"), ["of-others/staged/2f"]);
}

#[test]
fn what_others_keep_in_the_bucket_is_not_ours() {
    let moto = Moto::start();
    moto.bucket("objects");
    let blobs = connect(&moto.settings("objects"), Clock::system()).unwrap();
    block_on(keep(&blobs, &sample(1, 10))).unwrap();
    for key in ["0README", "a/b", "zebra"] {
        let put = testkit::http::anybody().put(format!("{}/objects/{key}", moto.url)).body("theirs").send();
        assert!(put.unwrap().status().is_success());
    }
    let found = block_on(blobs.list(None, 10)).unwrap();
    assert_eq!(found.iter().map(|found| found.size).collect::<Vec<_>>(), [10]);
}

#[test]
fn what_cannot_be_reached_or_is_not_there_is_told() {
    let moto = Moto::start();
    let impatient = |settings| S3Settings { patience: LIMIT / 10, ..settings };
    let error = connect(&impatient(moto.settings("missing")), Clock::system()).err().unwrap();
    let ConnectError::Store(Error::Refused { reason, .. }) = &error else { panic!("{error:?}") };
    assert!(reason.contains("NoSuchBucket") && !reason.contains("hunter2"), "{reason}");

    moto.bucket("objects");
    let blobs = connect(&impatient(moto.settings("objects")), Clock::system()).unwrap();
    block_on(keep(&blobs, &sample(1, 700_000))).unwrap();
    let found = block_on(blobs.list(None, 10)).unwrap();
    let blob = block_on(blobs.open(found[0].digest)).unwrap().unwrap();
    drop(moto);
    let read: Result<Vec<Bytes>, Error> = block_on(blob.read(0..u64::MAX).try_collect());
    for error in [read.unwrap_err(), block_on(keep(&blobs, &sample(2, 10))).unwrap_err()] {
        assert!(matches!(error, Error::Unavailable { .. }), "{error}");
    }
}
