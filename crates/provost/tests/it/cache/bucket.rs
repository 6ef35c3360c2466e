//! Artifacts in a bucket: moto's, which can be cut off and killed.

use std::io::{Cursor, Read};
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::{self, Receiver, Sender};

use base::Sha512;
use reqwest::blocking::Body;
use testkit::http::anybody;
use testkit::{Cable, Etcd, Face, House, Moto, NetworkCache, Pass, Plan, Ran, free_pair, run, wait_until};

use super::{entry, keep, service};
use crate::houses::{ended_without_a_fault, plan};
use crate::program::PROVOST;

const BUCKET: &str = "artifacts";
const PREFIX: &str = "provost/artifacts";

/// A house that keeps artifacts in the bucket at `port`, and takes them from everybody. The key is anybody's.
pub fn at(port: u16, plan: Plan) -> Plan {
    let secret = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("s3-secret-{}", std::process::id()));
    store::private_file::replace(&secret, b"anything").unwrap();
    with_key("anybody", &secret, of(port, plan))
}

fn with_key(id: &str, secret: &Path, plan: Plan) -> Plan {
    let secret = secret.to_str().unwrap();
    plan.option("cache-s3-access-key-id", id).option("cache-s3-secret-key-file", secret)
}

/// The same, without a key.
fn of(port: u16, plan: Plan) -> Plan {
    plan.option("cache-s3-bucket", BUCKET)
        .option("cache-s3-prefix", PREFIX)
        .option("cache-s3-endpoint", &format!("http://127.0.0.1:{port}"))
        .option("cache-s3-wait-seconds", "3")
        .option("cache-writers", "everyone")
}

pub fn moto() -> Moto {
    let moto = Moto::start();
    moto.bucket(BUCKET);
    moto
}

/// 16 MB, which are sent in several parts.
fn bytes(seed: u32) -> Vec<u8> {
    (0..4_000_000).flat_map(|n: u32| (n ^ seed.rotate_left(16)).to_le_bytes()).collect()
}

#[track_caller]
fn fetch(house: &House, digest: Sha512) -> Vec<u8> {
    let got = anybody().get(house.http_url(&format!("/shacache/{digest}"))).send().unwrap();
    assert_eq!(got.status(), 200);
    got.bytes().unwrap().to_vec()
}

/// What there is in the bucket.
fn names(moto: &Moto) -> Vec<String> {
    let keys = moto.keys(BUCKET);
    let name = |key: &String| key.strip_prefix(PREFIX).unwrap().trim_start_matches('/').to_owned();
    keys.iter().map(name).collect()
}

/// Waits until nothing is on its way.
fn tidy(moto: &Moto) {
    wait_until("nothing to be on its way", || {
        moto.unended(BUCKET) == 0 && names(moto).iter().all(|name| !name.starts_with("staged"))
    });
}

/// A body of which there is as much as was sent.
struct Slow {
    bytes: Receiver<Vec<u8>>,
    now: Cursor<Vec<u8>>,
}

impl Read for Slow {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        loop {
            let read = self.now.read(buffer)?;
            if read > 0 {
                return Ok(read);
            }
            let Ok(bytes) = self.bytes.recv() else { return Ok(0) };
            self.now = Cursor::new(bytes);
        }
    }
}

fn slow() -> (Sender<Vec<u8>>, Body) {
    let (sender, bytes) = mpsc::channel();
    (sender, Body::new(Slow { bytes, now: Cursor::default() }))
}

#[test]
fn stock_clients_keep_artifacts_in_a_bucket() {
    let moto = moto();
    let (id, secret) = moto.strict();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("secret");
    store::private_file::replace(&file, format!("{secret}\n").as_bytes()).unwrap();
    let mut house = with_key(&id, &file, of(moto.port(), plan(Face::Up))).start();
    let client = NetworkCache::of(&house, &service(&house, "build-1"));
    let bytes = bytes(0);
    let digest = Sha512::of(&bytes);
    client.write("file", &bytes);
    client.write("small", b"hello");
    client.upload(&["-f", "file", "-k", "key", "n=1"]).ok();
    client.upload(&["-f", "small", "-k", "small", "n=1"]).ok();
    assert_eq!(client.download(&["-k", "small"]).ok(), "hello");
    let program = format!(
        "
from slapos.libnetworkcache import NetworkcacheClient
with open('cache.cfg') as f:
    client = NetworkcacheClient(f)
with open('file', 'rb') as f:
    data = f.read()
assert client.download('{digest}').read() == data
print('ok')
"
    );
    assert_eq!(client.python(&program).ok(), "ok\n");
    // A download that was cut off goes on.
    let url = house.http_url(&format!("/shacache/{digest}"));
    std::fs::write(client.path("got"), &bytes[..7_000_001]).unwrap();
    let arguments = ["-sS", "--fail", "-C", "-", "-o", "got", &url];
    run(Command::new("curl").current_dir(client.directory()).args(arguments)).ok();
    assert!(std::fs::read(client.path("got")).unwrap() == bytes);
    // Nothing of it is in the data directory, and all of it is there after the next start.
    assert!(!house.data().join("artifacts").exists());
    let ran = house.stop();
    assert!(!ran.stderr.contains(&secret) && !ran.stdout.contains(&secret));
    house.start();
    assert!(fetch(&house, digest) == bytes);
    ended_without_a_fault(house);
}

#[test]
fn a_start_says_what_is_wrong_with_the_bucket() {
    let (strict, lenient) = (moto(), Moto::start());
    let (id, _) = strict.strict();
    let directory = tempfile::tempdir().unwrap();
    let secret = directory.path().join("secret");
    store::private_file::replace(&secret, b"hunter2").unwrap();
    let check = |port: u16, expected: &str| {
        let ran = start(directory.path(), &id, &secret, port);
        assert!(ran.code.is_some_and(|code| code != 0), "{ran:?}");
        let said = &ran.stderr;
        assert!(said.contains(expected), "{said}");
        assert!(!said.contains("hunter2"), "{said}");
    };
    check(strict.port(), "artifacts cannot be kept in the bucket artifacts at http://127.0.0.1:");
    check(strict.port(), "SignatureDoesNotMatch");
    check(lenient.port(), "NoSuchBucket");
    check(free_pair(), "Connection refused");
    std::fs::remove_file(&secret).unwrap();
    check(strict.port(), "could not read");
}

/// A start with the bucket at `port`, which does not come about.
fn start(directory: &Path, id: &str, secret: &Path, port: u16) -> Ran {
    let data = tempfile::tempdir_in(directory).unwrap();
    let options = [
        ("data", "data"),
        ("netloc", &format!("127.0.0.1:{}", free_pair())),
        ("cache-s3-bucket", BUCKET),
        ("cache-s3-endpoint", &format!("http://127.0.0.1:{port}")),
        ("cache-s3-wait-seconds", "1"),
        ("cache-s3-access-key-id", id),
        ("cache-s3-secret-key-file", secret.to_str().unwrap()),
    ];
    let mut command = Command::new(PROVOST);
    command.env_clear().current_dir(data.path()).arg("up");
    run(command.args(options.map(|(name, value)| format!("--{name}={value}"))))
}

#[test]
fn several_processes_have_the_same_artifacts() {
    let (moto, etcd) = (moto(), Etcd::start(1));
    let [house, mut other] = crate::several::two(&etcd, |plan| at(moto.port(), plan));
    for (seed, one, other) in [(1, &house, &other), (2, &other, &house)] {
        let bytes = bytes(seed);
        let artifact = keep(one, &bytes);
        let put = anybody().put(one.http_url("/shadir/key")).body(entry(artifact, 1)).send().unwrap();
        assert_eq!(put.status(), 201);
        assert!(fetch(other, artifact) == bytes);
        // The same once more, by both and at the same time.
        std::thread::scope(|scope| {
            for house in [one, other, one, other] {
                scope.spawn(|| keep(house, &bytes));
            }
        });
        assert!(fetch(one, artifact) == bytes);
    }
    tidy(&moto);
    assert_eq!(names(&moto).len(), 2, "one copy of each");
    // What one takes in goes on while the other one starts.
    let (sender, body) = slow();
    let bytes = bytes(3);
    let url = house.http_url("/shacache");
    let posting = std::thread::spawn(|| anybody().post(url).body(body).send().unwrap());
    sender.send(bytes[..12_000_000].to_vec()).unwrap();
    wait_until("the upload to begin", || moto.unended(BUCKET) == 1);
    other.stop();
    other.start();
    assert_eq!(moto.unended(BUCKET), 1);
    sender.send(bytes[12_000_000..].to_vec()).unwrap();
    drop(sender);
    assert_eq!(posting.join().unwrap().status(), 201);
    assert!(fetch(&other, Sha512::of(&bytes)) == bytes);
    for house in [house, other] {
        ended_without_a_fault(house);
    }
}

/// What a killed process had begun is nobody's to see, and goes at the next start in the same directory, which knows that it is
/// dead. Where that is not known it waits for a day, which is shown where the clock can be set.
#[test]
fn what_a_killed_process_began_is_in_nobodys_way() {
    let moto = moto();
    let mut house = at(moto.port(), plan(Face::Up)).start();
    let kept = keep(&house, b"kept before");
    let (sender, body) = slow();
    let url = house.http_url("/shacache");
    let posting = std::thread::spawn(|| anybody().post(url).body(body).send());
    sender.send(bytes(1)).unwrap();
    wait_until("the upload's note", || names(&moto).iter().any(|name| name.ends_with(".upload")));
    house.kill();
    drop(sender);
    assert!(posting.join().unwrap().is_err());
    assert_eq!(moto.unended(BUCKET), 1);
    // Somebody else in the bucket knows nothing of it.
    let other = at(moto.port(), plan(Face::Up)).start();
    assert_eq!(moto.unended(BUCKET), 1);
    drop(other);
    house.start();
    assert_eq!(moto.unended(BUCKET), 0);
    assert_eq!(names(&moto), [kept.to_string()]);
    assert_eq!(fetch(&house, kept), b"kept before");
    // Another start has another name for what it begins.
    let digest = keep(&house, &bytes(1));
    assert!(fetch(&house, digest) == bytes(1));
    tidy(&moto);
    ended_without_a_fault(house);
}

#[test]
fn a_bucket_that_goes_away_in_an_upload_is_told() {
    let moto = moto();
    let cable = Cable::to(moto.port());
    let house = at(cable.port(), plan(Face::Up)).start();
    let kept = keep(&house, &bytes(1));
    let (sender, body) = slow();
    let url = house.http_url("/shacache");
    let posting = std::thread::spawn(|| anybody().post(url).body(body).send());
    let bytes = bytes(2);
    sender.send(bytes[..12_000_000].to_vec()).unwrap();
    wait_until("the upload to begin", || moto.unended(BUCKET) == 1);
    cable.set(Pass::Nothing);
    // All of it is taken, and it is told at the end. (Who is told before may not listen while it sends.)
    sender.send(bytes[12_000_000..13_000_000].to_vec()).unwrap();
    drop(sender);
    let answer = posting.join().unwrap().unwrap();
    assert_eq!(answer.status(), 503);
    wait_until("the log to say why", || house.process().stderr().contains("store is out of reach"));
    let answer = anybody().get(house.http_url(&format!("/shacache/{kept}"))).send().unwrap();
    assert_eq!(answer.status(), 503, "it is there, and nobody says that it is not");
    cable.set(Pass::All);
    let cut_off = house.http_url(&format!("/shacache/{}", Sha512::of(&bytes)));
    assert_eq!(anybody().get(cut_off).send().unwrap().status(), 404);
    let again = keep(&house, &bytes);
    assert!(fetch(&house, again) == bytes);
    drop(house);
}

#[test]
fn a_bucket_that_goes_away_in_a_download_cuts_it_off() {
    let moto = moto();
    let mut house = at(moto.port(), plan(Face::Up)).start();
    let bytes = bytes(1);
    let kept = keep(&house, &bytes);
    let url = house.http_url(&format!("/shacache/{kept}"));
    let mut answer = anybody().get(&url).send().unwrap();
    let mut got = vec![0; 1_000_000];
    answer.read_exact(&mut got).unwrap();
    drop(moto);
    assert!(answer.read_to_end(&mut got).is_err(), "{} bytes, and no more", got.len());
    assert!(got == bytes[..got.len()]);
    let refused = anybody().post(house.http_url("/shacache")).body("hello").send().unwrap();
    assert_eq!(refused.status(), 503);
    // What needs no bucket goes on, and it ends when it is told to.
    assert_eq!(anybody().get(house.http_url("/shadir/none")).send().unwrap().status(), 404);
    house.stop();
}
