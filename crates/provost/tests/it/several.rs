//! Several processes on one etcd: whichever of them is asked, it is one certificate authority.

mod faults;
mod fleet_faults;
mod life;
mod operations;
mod sigkill;
mod start;
mod takeover;
mod trust;
mod watch;

use std::path::PathBuf;

use base::Entropy;
use store::SealingKey;
use tempfile::TempDir;
use testkit::{Etcd, Face, House, Plan};

use crate::houses::plan;

/// A sealing key to hand out.
struct Key {
    _directory: TempDir,
    file: PathBuf,
}

impl Key {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("store.key");
        SealingKey::load_or_create(&file, &Entropy::system()).unwrap();
        Self { _directory: directory, file }
    }
}

/// Two houses on this etcd, started in the same moment.
pub fn two(etcd: &Etcd, change: impl Fn(Plan) -> Plan) -> [House; 2] {
    let key = Key::new();
    let plan = || change(plan(Face::Up).etcd(etcd).store_key(&key.file));
    let (one, other) = (plan(), plan());
    std::thread::scope(|scope| {
        let other = scope.spawn(|| other.start());
        [one.start(), other.join().unwrap()]
    })
}

/// The file of the one first administrator, whichever house made it.
fn administrator(houses: &[House; 2]) -> PathBuf {
    let files: Vec<_> = houses.iter().map(House::administrator).filter(|file| file.exists()).collect();
    let [file] = files.try_into().expect("there is one first administrator");
    file
}
