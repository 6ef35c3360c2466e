//! Claims of several processes on one etcd: one of them does the work, and a dead one's is taken over.

use std::process::Command;

use base::{Span, Timestamp};
use store::Claims;
use testkit::Process;

use super::*;

/// Where the child finds etcd.
const ENDPOINT: &str = "STORE_CLAIMS_ENDPOINT";
/// Who it is.
const HOLDER: &str = "STORE_CLAIMS_HOLDER";
/// How often it is to work; for ever when absent, and then it only takes the claim.
const WORK: &str = "STORE_CLAIMS_WORK";

const LEASE: Span = Span::seconds(60);

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix(1_790_000_000 + seconds)
}

fn take(store: &Arc<Etcd>, holder: &str, now: Timestamp) -> Option<store::Claim> {
    let claims = Claims::new(store.clone()).unwrap();
    block_on(claims.take("work", holder, now, LEASE)).unwrap()
}

/// Not a test by itself: the child of the tests below.
#[test]
fn child() {
    let (Ok(endpoint), Ok(holder)) = (std::env::var(ENDPOINT), std::env::var(HOLDER)) else { return };
    let store = connect(&EtcdSettings::new([endpoint]));
    let claims = Claims::new(store.clone()).unwrap();
    let Ok(work) = std::env::var(WORK) else {
        assert!(take(&store, &holder, at(0)).is_some());
        eprintln!("taken");
        loop {
            std::thread::park();
        }
    };
    for _ in 0..work.parse().unwrap() {
        let claim = testkit::wait_for("the claim", || take(&store, &holder, at(0)));
        // Reads and writes without expecting anything: only the claim keeps the other one away.
        let count: u64 = get(&store, "/count").unwrap().map_or(0, |(count, _)| count.parse().unwrap());
        put(&store, "/count", (count + 1).to_string()).unwrap();
        block_on(claims.release(claim)).unwrap();
    }
}

fn spawn(server: &testkit::Etcd, holder: &str, work: Option<u64>) -> Process {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "etcd::claims::child", "--nocapture", "--test-threads=1"]);
    command.env(ENDPOINT, server.endpoint(0)).env(HOLDER, holder);
    if let Some(work) = work {
        command.env(WORK, work.to_string());
    }
    Process::spawn(&mut command)
}

#[test]
fn two_processes_never_work_at_once() {
    let server = testkit::Etcd::start(1);
    let children: Vec<_> = ["a", "b"].map(|holder| spawn(&server, holder, Some(40))).into();
    for child in children {
        child.wait().ok();
    }
    let store = connect(&settings(&server));
    assert_eq!(value(&store, "/count").as_deref(), Some("80"));
}

#[test]
fn a_killed_process_is_taken_over_when_its_lease_is_over() {
    let server = testkit::Etcd::start(1);
    let store = connect(&settings(&server));
    let child = spawn(&server, "dead", None);
    child.wait_for_stderr(|said| said.contains("taken")).unwrap();
    child.kill();
    child.wait();
    assert_eq!(take(&store, "ours", at(59)), None);
    assert!(take(&store, "ours", at(60)).is_some());
    assert_eq!(take(&store, "another", at(61)), None);
}
