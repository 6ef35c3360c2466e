//! A disk that is read-only, at a start or from some moment on: what is there is served, what cannot be stored is refused
//! in words that say why, and work goes on once it may be written again.

use std::process::Command;

use testkit::{Strace, run, wait_until};
use x509::{KeySpec, Name, PrivateKey, SigningRequest};

use super::client::{Authority, Client};
use super::disk_full::{Disk, NOT_MOUNTED};
use super::server::Place;
use crate::program::PROVOST;

const FLAGS: [&str; 2] = ["--ca-services-auto-approve-count", "1000000"];

/// Lets everybody trace what it then becomes.
const SHOWN: &str = "import ctypes, os, sys\n\
                     ctypes.CDLL(None).prctl(0x59616d61, ctypes.c_ulong(-1), 0, 0, 0)\n\
                     os.execv(sys.argv[1], sys.argv[1:])";

fn csr(key: &PrivateKey, name: &str) -> String {
    SigningRequest::build(key, &Name::from_common_name(name).unwrap(), &[]).to_pem()
}

/// Neither a first start nor a later one goes on with it, nor any command that would write; and nothing is changed.
#[test]
fn a_read_only_disk_is_refused_at_a_start() {
    let directory = tempfile::tempdir().unwrap();
    let disk = Disk::mount(&directory.path().join("disk")).expect(NOT_MOUNTED);
    let place = Place { inside: disk.inside(), ..Place::new(&disk.at.join("data")) };
    let refused = |words: &[&str]| {
        let inside = disk.inside();
        let mut command = Command::new(&inside[0]);
        command.args(&inside[1..]).arg(PROVOST).args(words).arg("--data").arg(&place.data);
        command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", "/nonexistent");
        let ran = run(&mut command);
        let is_plain = ran.stderr.lines().any(|line| {
            line.starts_with("error: ")
                && line.contains(disk.at.to_str().unwrap())
                && line.contains("Read-only file system")
        });
        assert!(ran.code == Some(69) && is_plain, "{words:?}: {ran:?}");
    };
    let netloc = format!("127.0.0.1:{}", place.port);
    let up = ["up", "--netloc", &netloc];
    disk.is_read_only(true);
    refused(&up);
    disk.is_read_only(false);
    place.start(&FLAGS).0.stop();
    let before = disk.read(&place.data.join("provost.db"));
    disk.is_read_only(true);
    refused(&up);
    refused(&["ca", "retire", "services", "--yes"]);
    assert!(disk.read(&place.data.join("provost.db")) == before);
    disk.is_read_only(false);
    place.start(&FLAGS).0.stop();
}

/// It was told as a full disk is: whoever looked for what to delete found that there was room. A file system that is
/// written to cannot be made read-only here; its answers are given by strace(1) instead.
#[test]
fn a_disk_that_becomes_read_only_is_told_and_nothing_is_lost() {
    for witness in ["python3", "strace"] {
        let is_there = Command::new(witness).arg("--version").output().is_ok_and(|ran| ran.status.success());
        assert!(is_there, "this test needs `{witness}`; install it with: cargo xtask witnesses");
    }
    let directory = tempfile::tempdir().unwrap();
    // strace(1) may look at it though it has not started it, also where others may not (prctl(2), PR_SET_PTRACER).
    let inside = ["python3", "-c", SHOWN].map(Into::into).to_vec();
    let place = Place { inside, ..Place::new(&directory.path().join("data")) };
    let (mut server, _) = place.start(&FLAGS);
    let client = Client::new(&place);
    let key = PrivateKey::generate(KeySpec::P256).unwrap();
    let submit = |csr: &str| client.submit(Authority::Services, csr).unwrap();
    let [first, second, third] = ["first", "second", "third"].map(|name| csr(&key, name));
    let before = submit(&first);
    assert_eq!(before.status, 201);
    let strace = Strace::of(&place.data, &["provost.db", "provost.db-wal", "provost.db-shm"]);
    let failing = strace.fail(server.id(), "openat,pwrite64,ftruncate,fallocate", "EROFS");
    for meanwhile in [&second, &third] {
        let refused = submit(meanwhile);
        assert!(refused.status == 503 && refused.body.contains("its log says why"), "{refused:?}");
    }
    server.wait_until_said("provost.db is on a disk that became read-only");
    // Who reads first may have to open the files anew, and meets the fault as well.
    wait_until("what is there to be served", || {
        let held = client.request(Authority::Services, before.id());
        held.is_some_and(|held| (held.status, &held.body) == (200, &first))
    });
    drop(failing);
    assert_eq!(submit(&second).status, 201);
    server.kill();
    let (server, _) = place.start(&FLAGS);
    let held = Client::new(&place).request(Authority::Services, before.id()).unwrap();
    assert_eq!(held.status, 200);
    server.stop();
}
