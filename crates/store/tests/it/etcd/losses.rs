//! Connections that end at the worst moment, and what was compacted meanwhile.

use std::time::{Duration, Instant};

use testkit::{Cable, Pass};

use super::*;

/// An etcd of one member, and a store whose every byte goes through the cable.
fn cabled() -> (testkit::Etcd, Cable, EtcdSettings) {
    let server = testkit::Etcd::start(1);
    let cable = Cable::to(server.port(0));
    let mut settings = EtcdSettings::new([format!("http://127.0.0.1:{}", cable.port())]);
    settings.deadline = Duration::from_secs(2);
    (server, cable, settings)
}

#[test]
fn a_commit_whose_answer_is_lost_is_said_to_be_unknown() {
    let (_server, cable, settings) = cabled();
    let store = connect(&settings);
    let follower = Follower::from_now(&store);
    cable.set(Pass::Questions);
    let error = put(&store, "/blind", "1").unwrap_err();
    assert!(matches!(error, CommitError::Unknown { .. }), "{error}");
    assert!(
        matches!(get(&store, "/blind"), Err(Error::Unavailable { .. })),
        "what reads is only out of reach"
    );

    cable.set(Pass::All);
    assert_eq!(value(&store, "/blind").as_deref(), Some("1"), "this time it was done");
    put(&store, "/end", "").unwrap();
    follower.wait_for("/end");
    assert_eq!(follower.keys(), ["/blind", "/end"]);
}

/// It is sent again, which finds that somebody was faster: perhaps we ourselves, perhaps not.
#[test]
fn a_commit_that_is_sent_again_is_done_once() {
    let (server, cable, mut settings) = cabled();
    // The second endpoint is the same member, without the cable; which one is asked first is the seed's to say.
    settings.endpoints.push(server.endpoint(0));
    let mut answered_and_unknown = (0, 0);
    for round in 0..8 {
        cable.set(Pass::All);
        let connecting = Etcd::connect(&settings, Clock::system(), Entropy::seeded(round));
        let store = Arc::new(block_on(connecting).unwrap());
        let name = format!("/guarded/{round}");
        let first = Version(put(&store, &name, "first").unwrap());
        let follower = Follower::from_now(&store);
        cable.set(Pass::Questions);
        let mut batch = Batch::new();
        batch.expect(key(&name), Expect::At(first)).put(key(&name), "second");
        match block_on(store.commit(batch)) {
            Ok(revision) => {
                answered_and_unknown.0 += 1;
                assert_eq!(get(&store, &name).unwrap(), Some(("second".into(), Version(revision))));
            }
            Err(CommitError::Unknown { .. }) => answered_and_unknown.1 += 1,
            Err(error) => panic!("{error}"),
        }
        let end = format!("/end/{round}");
        put(&store, &end, "").unwrap();
        follower.wait_for(&end);
        assert_eq!(follower.keys(), [name, end], "done once, and told once");
    }
    assert!(answered_and_unknown.1 > 0 && answered_and_unknown.0 > 0, "{answered_and_unknown:?}");
}

#[test]
fn what_could_not_be_sent_is_not_done_and_is_sent_when_it_can_be() {
    let mut server = testkit::Etcd::start(1);
    let store = connect(&settings(&server));
    server.kill(0);
    std::thread::scope(|threads| {
        // Long enough for a start of etcd.
        let waiting = threads.spawn(|| put(&store, "/patient", "1"));
        server.restart(0);
        waiting.join().unwrap().unwrap();
    });
    assert_eq!(value(&store, "/patient").as_deref(), Some("1"));

    server.kill(0);
    let error = put(&store, "/refused", "1").unwrap_err();
    // The first attempt may meet a connection that has only just ended.
    let is_not_done = matches!(error, CommitError::Store(Error::Unavailable { .. }));
    assert!(is_not_done || matches!(error, CommitError::Unknown { .. }), "{error}");
    let error = put(&store, "/refused", "1").unwrap_err();
    assert!(matches!(error, CommitError::Store(Error::Unavailable { .. })), "{error}");
    server.restart(0);
    assert_eq!(value(&store, "/refused"), None);
}

/// It may be done when the member wakes up, if it does not see before that we are gone.
#[test]
fn what_a_stopped_member_took_in_is_unknown() {
    let (_server, cable, settings) = cabled();
    let store = connect(&settings);
    let follower = Follower::from_now(&store);
    cable.set(Pass::Later);
    let begun = Instant::now();
    let error = put(&store, "/later", "1").unwrap_err();
    assert!(matches!(error, CommitError::Unknown { .. }), "{error}");
    assert!(begun.elapsed() < settings.deadline * 3 / 2, "{:?}", begun.elapsed());
    assert!(matches!(get(&store, "/later"), Err(Error::Unavailable { .. })));
    cable.set(Pass::All);
    wait_until("commits to go on", || put(&store, "/end", "").is_ok());
    // Perhaps only after this one.
    wait_until("/end to be told", || follower.keys().iter().any(|key| key == "/end"));
    let told = follower.keys();
    assert!(told.iter().filter(|key| *key == "/later").count() <= 1, "{told:?}");
}

#[test]
fn a_reader_leaves_a_silent_endpoint_for_another() {
    let (server, cable, mut settings) = cabled();
    settings.endpoints.push(server.endpoint(0));
    settings.deadline = Duration::from_secs(5);
    for _ in 0..4 {
        cable.set(Pass::All);
        let store = connect(&settings);
        cable.set(Pass::Later);
        let begun = Instant::now();
        assert_eq!(get(&store, "/a").unwrap(), None);
        assert!(begun.elapsed() < settings.deadline / 2, "{:?}", begun.elapsed());
        // The watch leaves it too, though nothing but silence tells it to.
        let follower = Follower::from_now(&store);
        put(&store, "/told", "").unwrap();
        follower.wait_for("/told");
    }
}

#[test]
fn compaction_is_nothing_to_a_watch_that_keeps_up() {
    let server = testkit::Etcd::start(1);
    let store = connect(&settings(&server));
    let follower = Follower::from_now(&store);
    for number in 0..5 {
        let name = format!("/{number}");
        let revision = put(&store, &name, "").unwrap();
        server.etcdctl(&["compact", &(revision.0 + 1).to_string()]).ok();
        follower.wait_for(&name);
    }
    assert_eq!(follower.keys(), ["/0", "/1", "/2", "/3", "/4"]);
}

#[test]
fn a_snapshot_of_what_was_compacted_says_so() {
    let server = testkit::Etcd::start(1);
    let store = connect(&settings(&server));
    put(&store, "/a", "1").unwrap();
    let then = block_on(store.snapshot()).unwrap();
    let revision = put(&store, "/a", "2").unwrap();
    assert_eq!(block_on(then.get(&key("/a"))).unwrap().unwrap().value.as_ref(), b"1");
    server.etcdctl(&["compact", &(revision.0 + 1).to_string()]).ok();
    let error = block_on(then.get(&key("/a"))).unwrap_err();
    assert!(matches!(&error, Error::Forgotten { reason } if reason.contains("compacted")), "{error}");
    let error = block_on(then.list(&Prefix::default(), Page::full())).unwrap_err();
    assert!(matches!(error, Error::Forgotten { .. }), "{error}");
    assert_eq!(get(&store, "/a").unwrap().unwrap().0, "2");
}

#[test]
fn a_watch_that_missed_what_was_compacted_ends_and_the_next_one_goes_on() {
    let (server, cable, settings) = cabled();
    let store = connect(&settings);
    let follower = Follower::from_now(&store);
    put(&store, "/before", "").unwrap();
    follower.wait_for("/before");
    cable.set(Pass::Nothing);
    for number in 0..5 {
        server.etcdctl(&["put", "/missed", &number.to_string()]).ok();
    }
    server.etcdctl(&["compact", "6"]).ok();
    cable.set(Pass::All);
    assert!(matches!(follower.thread.join().unwrap(), WatchError::Compacted));
    assert_eq!(follower.told.lock().unwrap().len(), 1);

    let listing = testkit::wait_for("the store to be readable", || {
        block_on(store.list(&Prefix::default(), Page::full())).ok()
    });
    assert_eq!(listing.entries.len(), 2);
    let follower = Follower::of(&store, listing.revision);
    put(&store, "/after", "").unwrap();
    follower.wait_for("/after");
    assert_eq!(follower.keys(), ["/after"]);
}

/// Which etcd tells in fragments, each of several commits and some of half a one.
#[test]
fn a_watch_catches_up_with_a_lot() {
    let (server, cable, settings) = cabled();
    let store = connect(&settings);
    let follower = Follower::from_now(&store);
    cable.set(Pass::Nothing);
    let direct = connect(&EtcdSettings::new(server.endpoints()));
    let mut expected = Vec::new();
    for number in 0..12 {
        let mut batch = Batch::new();
        for part in 0..9 {
            batch.put(key(&format!("/{number:02}/{part}")), vec![b'x'; 100_000]);
        }
        let revision = block_on(direct.commit(batch)).unwrap();
        expected.extend((0..9).map(|part| (format!("/{number:02}/{part}"), revision)));
    }
    cable.set(Pass::All);
    wait_until("all to be told", || follower.told.lock().unwrap().len() >= expected.len());
    let told = follower.told.lock().unwrap();
    let told: Vec<_> = told.iter().map(|change| (change.key.to_string(), change.revision)).collect();
    assert_eq!(told, expected);
}

#[test]
fn an_etcd_that_was_set_back_ends_the_watches() {
    let mut server = testkit::Etcd::start(1);
    let store = connect(&settings(&server));
    let follower = Follower::from_now(&store);
    for _ in 0..5 {
        put(&store, "/gone", "").unwrap();
    }
    wait_until("all to be told", || follower.keys().len() == 5);
    server.kill(0);
    server.forget(0);
    server.restart(0);
    assert!(matches!(follower.thread.join().unwrap(), WatchError::Compacted));
    assert_eq!(value(&store, "/gone"), None);
    let follower = Follower::from_now(&store);
    put(&store, "/new", "").unwrap();
    follower.wait_for("/new");
}

#[test]
fn a_watch_goes_on_where_the_connection_was_lost() {
    let (server, cable, settings) = cabled();
    let store = connect(&settings);
    let follower = Follower::from_now(&store);
    let mut expected = Vec::new();
    for number in 0..6 {
        cable.set(if number % 2 == 0 { Pass::Nothing } else { Pass::Questions });
        let name = format!("/{number}");
        server.etcdctl(&["put", &name, "x"]).ok();
        cable.set(Pass::All);
        follower.wait_for(&name);
        expected.push(name);
    }
    assert_eq!(follower.keys(), expected);
}

#[test]
fn it_can_be_closed_while_etcd_is_away() {
    let (_server, cable, settings) = cabled();
    let store = connect(&settings);
    let follower = Follower::from_now(&store);
    put(&store, "/a", "").unwrap();
    cable.set(Pass::Nothing);
    let begun = Instant::now();
    block_on(store.close()).unwrap();
    assert!(begun.elapsed() < settings.deadline * 2, "{:?}", begun.elapsed());
    assert!(matches!(follower.thread.join().unwrap(), WatchError::Store(Error::Closed)));
    assert!(matches!(get(&store, "/a"), Err(Error::Closed)));
}
