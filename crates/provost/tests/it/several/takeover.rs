//! Work that a dead process had claimed.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::{Clock, Entropy};
use futures_executor::block_on;
use store::{Batch, Engine, EtcdSettings, Event, History, Key, Page};
use testkit::{Etcd, Face, exchange, wait_for, wait_until};

use super::{Key as SealingKeyFile, plan};
use crate::houses::{ended_without_a_fault, get};

/// How much history there is, which takes a process some seconds to link and to trim.
const EVENTS: usize = 30_000;
/// How much of it is to be kept.
const KEPT: usize = 100;

/// How much more than that may be left: what is too much goes whole links at a time, each of 96 events at most; and what
/// happens meanwhile.
const KEPT_BESIDES: usize = 96 + 10;

/// Fills the history, 100 events in one commit.
fn fill(engine: &Arc<dyn Engine>) {
    let (history, entropy) = (History::new(engine.clone()).unwrap(), Entropy::seeded(1));
    for hundred in 0..EVENTS / 100 {
        let mut batch = Batch::new();
        for number in 0..100 {
            let event = Event {
                at_milliseconds: i64::try_from(1_000_000 + hundred * 100 + number).unwrap(),
                what: "test filled the history".into(),
                about: number.to_string(),
                by: "a test".into(),
                from: None,
                facts: BTreeMap::new(),
            };
            history.append(&mut batch, &event, &entropy).unwrap();
        }
        block_on(engine.commit(batch)).unwrap();
    }
}

/// How many events there are, as far as one page shows.
fn is_trimmed(engine: &Arc<dyn Engine>) -> bool {
    let found = block_on(engine.list(&History::prefix(), Page::full())).unwrap();
    found.next.is_none() && found.entries.len() <= KEPT + KEPT_BESIDES
}

/// The oldest event that is left.
fn oldest(engine: &Arc<dyn Engine>) -> Key {
    block_on(engine.list(&History::prefix(), Page::first(1))).unwrap().entries[0].0.clone()
}

/// Who holds the claim for trimming the history, and until when, as it is stored.
fn claim(engine: &Arc<dyn Engine>) -> Option<String> {
    let found = block_on(engine.get(&Key::new("/claim/history").unwrap())).unwrap();
    found.map(|found| String::from_utf8(found.value.to_vec()).unwrap())
}

/// One process is killed in the middle of work that it had claimed. Another one, which finds it claimed, leaves it
/// alone as long as the claim lasts, and then does it.
///
/// What is left of the claim is taken off here, by writing into the dead process's claim that it is over; all else is as
/// in life.
#[test]
fn what_a_killed_process_had_claimed_is_done_by_another() {
    let etcd = Etcd::start(1);
    let (key, kept) = (SealingKeyFile::new(), KEPT.to_string());
    let house = || plan(Face::Up).etcd(&etcd).store_key(&key.file);
    let mut one = house().start();
    one.stop();
    let settings = EtcdSettings::new(etcd.endpoints());
    let engine = block_on(store::Etcd::connect(&settings, Clock::system(), Entropy::system())).unwrap();
    let engine: Arc<dyn Engine> = Arc::new(engine);
    fill(&engine);

    one.set("history-keep-count", &kept);
    one.start();
    let claimed = wait_for("the first to claim the work", || claim(&engine));
    one.kill();
    // It may have renewed it; it did not give it up.
    let left = claim(&engine).expect("it died at work");
    let holder = |claim: &str| claim.split('"').nth(7).map(str::to_owned);
    assert_eq!(holder(&left), holder(&claimed), "{left}");
    assert!(!is_trimmed(&engine));

    let other = house().option("history-keep-count", &kept).start();
    // Its doors are open, so all that it does without being asked has begun.
    let kept_so_far = oldest(&engine);
    assert_eq!(exchange(other.http(), get("/readyz")).status, 200);
    assert_eq!(claim(&engine).as_ref(), Some(&left), "as long as the claim lasts, it is respected");
    assert_eq!(oldest(&engine), kept_so_far);

    let over = left.replace(&until(&left), "1");
    let mut batch = Batch::new();
    batch.put(Key::new("/claim/history").unwrap(), over);
    block_on(engine.commit(batch)).unwrap();
    wait_until("the other to take over", || is_trimmed(&engine));
    wait_until("the claim to be given up", || claim(&engine).is_none());
    ended_without_a_fault(other);
}

/// The number that a stored claim ends with: the second at which it is over.
fn until(claim: &str) -> String {
    let digits: String = claim.rsplit("\"until\":").next().unwrap_or_default().to_owned();
    digits.chars().take_while(char::is_ascii_digit).collect()
}
