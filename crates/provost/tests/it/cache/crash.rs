//! SIGKILL under load: what was acknowledged is there, and nothing else can be seen.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use base::Sha512;
use testkit::http::anybody;
use testkit::{House, wait_until};

use super::{entry, open};
use crate::houses::ended_without_a_fault;

/// How often it is killed.
const KILLS: usize = 5;
/// How many upload at the same time.
const WRITERS: usize = 4;
/// How many more uploads are acknowledged before it is killed again.
const BETWEEN: usize = 12;

/// Sizes that are kept in different ways: some in one write, some in many.
fn bytes(n: usize) -> Vec<u8> {
    let size = [5, 1_000, 70_000, 2_000_000][n % 4];
    n.to_le_bytes().into_iter().cycle().take(size + n).collect()
}

#[test]
fn a_sigkill_loses_nothing_that_was_acknowledged() {
    let mut house = open();
    let acknowledged = Mutex::new(Vec::new());
    let next = AtomicUsize::new(0);
    for _ in 0..KILLS {
        let before = acknowledged.lock().unwrap().len();
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..WRITERS {
                scope.spawn(|| write(&house, &next, &acknowledged, &is_over));
            }
            wait_until("uploads to be acknowledged", || {
                acknowledged.lock().unwrap().len() >= before + BETWEEN
            });
            house.process().kill();
            is_over.store(true, Ordering::Relaxed);
        });
        house.kill();
        house.start();
        let staged = house.data().join("artifacts/staged");
        assert_eq!(std::fs::read_dir(staged).unwrap().count(), 0, "what was cut off is gone");
    }
    for &n in &*acknowledged.lock().unwrap() {
        let bytes = bytes(n);
        let digest = Sha512::of(&bytes);
        let got = anybody().get(house.http_url(&format!("/shacache/{digest}"))).send().unwrap();
        assert_eq!(got.status(), 200, "{n}");
        assert!(got.bytes().unwrap() == bytes, "{n}");
        let list = anybody().get(house.http_url(&format!("/shadir/key-{}", n % 3))).send().unwrap();
        let list: Vec<(String, String)> = serde_json::from_slice(&list.bytes().unwrap()).unwrap();
        let found = list.iter().filter(|(text, _)| text.contains(&format!("\"n\": {n}}}"))).count();
        assert_eq!(found, 1, "{n}");
    }
    whole(&house);
    ended_without_a_fault(house);
}

/// Uploads one after the other, and says of them, until the house is killed.
fn write(house: &House, next: &AtomicUsize, acknowledged: &Mutex<Vec<usize>>, is_over: &AtomicBool) {
    let client = anybody();
    while !is_over.load(Ordering::Relaxed) {
        let n = next.fetch_add(1, Ordering::Relaxed);
        let bytes = bytes(n);
        let digest = Sha512::of(&bytes);
        let posted = client.post(house.http_url("/shacache")).body(bytes).send();
        if !posted.is_ok_and(|answer| answer.status() == 201) {
            return;
        }
        let put = client.put(house.http_url(&format!("/shadir/key-{}", n % 3))).body(entry(digest, n)).send();
        if !put.is_ok_and(|answer| answer.status() == 201) {
            return;
        }
        acknowledged.lock().unwrap().push(n);
    }
}

/// Every file is the one that its name says.
fn whole(house: &House) {
    let mut seen = 0;
    for folder in std::fs::read_dir(house.data().join("artifacts")).unwrap() {
        let folder = folder.unwrap().path();
        if folder.file_name().is_some_and(|name| name.len() == 2) {
            for file in std::fs::read_dir(folder).unwrap() {
                let file = file.unwrap().path();
                let name = file.file_name().unwrap().to_str().unwrap();
                assert_eq!(Sha512::of(&std::fs::read(&file).unwrap()).to_string(), name);
                seen += 1;
            }
        }
    }
    assert!(seen >= KILLS * BETWEEN, "{seen}");
}
