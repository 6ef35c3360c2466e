//! Looking after hosts: what becomes of them, and who may say so.

use std::time::Duration;

use base::Span;
use fleet::{Details, Facts, Found, Look, NewHost, Next, Plan, Policy, RolloutError};
use futures_executor::block_on;
use store::{Claim, Claims};

use crate::world::{World, address, begin, cluster, host, host_in, permit};

/// A host that was asked just now.
const NOW: Duration = Duration::ZERO;

fn claim(world: &World, name: &str, holder: &str) -> Claim {
    let claims = Claims::new(world.store.clone()).unwrap();
    let lease = Span::seconds(60);
    block_on(claims.take(name, holder, world.clock.now(), lease)).unwrap().unwrap()
}

fn silent() -> Look {
    Look::Silent { reason: "no answer within 10 seconds".into() }
}

fn look(world: &World, claim: &Claim, text: &str, look: &Look) -> String {
    assert!(block_on(world.fleet.record_look(claim, &address(text), look)).unwrap());
    world.status(text)
}

fn found() -> Found {
    Found {
        facts: Facts { os: "fedora".into(), cpus: 4, memory: 7_900, space: 1 << 40 },
        details: Details {
            atomic: Some(false),
            os_version: Some("41".into()),
            kernel: Some("6.1".into()),
            architecture: Some("x86_64".into()),
            boot_id: Some("2f1c".into()),
        },
        host_key: None,
    }
}

#[test]
fn a_host_is_made_ready() {
    let world = World::new();
    world.make_cluster("web", "");
    world.add("a", NewHost { cluster: Some(cluster("web")), ..NewHost::default() }).unwrap();
    let (claim, a) = (claim(&world, "host/a", "one"), address("a"));
    assert!(block_on(world.fleet.record_investigating(&claim, &a)).unwrap());
    assert_eq!(world.status("a"), "investigating");
    assert!(block_on(world.fleet.record_facts(&claim, &a, &found())).unwrap());
    let host = world.host("a").unwrap();
    assert_eq!(host.status.as_str(), "bootstrapping");
    assert_eq!((host.facts, host.details), (found().facts, found().details));
    assert_eq!(host.last_check, "2016-12-06T04:53:20.000000");
    assert!(block_on(world.fleet.record_ready(&claim, &a, false)).unwrap());
    assert_eq!((world.status("a").as_str(), world.health("web").3), ("disassociated", "ok"));
    assert!(block_on(world.fleet.record_ready(&claim, &a, true)).unwrap());
    assert_eq!(world.status("a"), "active");
    world.assert_consistent();
    assert_eq!(world.events().iter().filter(|event| event.starts_with("host's status changed")).count(), 4);
}

/// After an operation only what is known of a host is another; how it is, others decide.
#[test]
fn what_is_looked_at_again_keeps_its_status() {
    let world = World::new();
    world.add("a", host("key", "")).unwrap();
    let (claim, a) = (claim(&world, "host/a", "one"), address("a"));
    block_on(world.fleet.record_facts(&claim, &a, &found())).unwrap();
    block_on(world.fleet.record_ready(&claim, &a, true)).unwrap();
    let mut upgraded = found();
    upgraded.details.os_version = Some("42".into());
    assert!(block_on(world.fleet.record_facts_again(&claim, &a, &upgraded)).unwrap());
    let host = world.host("a").unwrap();
    assert_eq!((host.status.as_str(), host.details.os_version.as_deref()), ("active", Some("42")));
    assert!(!block_on(world.fleet.record_facts_again(&claim, &address("b"), &upgraded)).unwrap());
}

#[test]
fn what_fails_says_why_and_is_tried_again_later_and_later() {
    let world = World::new();
    world.add("a", host("key", "")).unwrap();
    let (claim, a) = (claim(&world, "host/a", "one"), address("a"));
    let mut waits = Vec::new();
    for attempt in 1..=4 {
        block_on(world.fleet.record_failure(&claim, &a, "sudo asks for a password")).unwrap();
        let care = block_on(world.fleet.care(&a)).unwrap();
        assert_eq!(care.attempts, attempt);
        let retry_at = care.retry_at.unwrap();
        assert_eq!(block_on(world.fleet.retries_due()).unwrap(), (vec![], Some(retry_at)));
        waits.push((retry_at - world.clock.now()).as_seconds());
        world.clock.advance(retry_at - world.clock.now());
        assert_eq!(block_on(world.fleet.retries_due()).unwrap(), (vec![a.clone()], None));
    }
    assert!(waits.is_sorted(), "{waits:?}");
    let failed = world.host("a").unwrap();
    assert_eq!(
        (failed.status.as_str(), failed.reason.as_deref()),
        ("failed", Some("sudo asks for a password"))
    );
    block_on(world.fleet.record_ready(&claim, &a, false)).unwrap();
    assert_eq!(world.host("a").unwrap().reason, None);
    assert!(world.keys("/fleet/care/").is_empty(), "its troubles are over");
}

/// What keeps it from answering may be another thing by now. Telling of each would fill the history.
#[test]
fn why_a_host_does_not_answer_is_kept_up_to_date() {
    let world = World::new();
    world.make_cluster("web", "");
    world.add("a", host_in("web", "active")).unwrap();
    let claim = claim(&world, "watch", "one");
    let lost = Look::Lost { reason: "it closed the connection".into() };
    assert_eq!(look(&world, &claim, "a", &lost), "failed");
    let reason = || world.host("a").unwrap().reason;
    assert_eq!(reason().as_deref(), Some("it closed the connection"));
    let told = world.events();
    assert_eq!(look(&world, &claim, "a", &silent()), "failed");
    assert_eq!(reason().as_deref(), Some("no answer within 10 seconds"));
    assert_eq!(world.events(), told);
    assert_eq!(look(&world, &claim, "a", &Look::Answered), "active");
    assert_eq!((reason(), world.events().len()), (None, told.len() + 1));
}

/// Whoever asks a container manager takes a while: the host may have gone, or failed, by then.
#[test]
fn only_who_waits_for_its_container_manager_becomes_active_by_it() {
    let world = World::new();
    world.make_cluster("web", "");
    world.make_cluster("db", "");
    for (name, status) in [("a", "disassociated"), ("b", "failed"), ("c", "disassociated")] {
        world.add(name, host_in(if name == "c" { "db" } else { "web" }, status)).unwrap();
    }
    let web = cluster("web");
    for (name, is_active) in [("a", true), ("b", false), ("c", false)] {
        let claim = claim(&world, &format!("host/{name}"), "one");
        let before = world.status(name);
        assert!(block_on(world.fleet.record_registered(&claim, &address(name), &web)).unwrap());
        assert_eq!(world.status(name), if is_active { "active".to_owned() } else { before }, "{name}");
        block_on(world.fleet.record_unregistered(&claim, &address(name), "it is away")).unwrap();
        let is_told = world.host(name).unwrap().reason.is_some();
        assert_eq!(is_told, name == "c", "only those that wait");
    }
    world.assert_consistent();
}

#[test]
fn a_host_that_does_not_answer_has_failed_until_it_does() {
    let world = World::new();
    world.make_cluster("web", "");
    world.add("a", host_in("web", "active")).unwrap();
    let claim = claim(&world, "watch", "one");
    assert_eq!(look(&world, &claim, "a", &silent()), "active");
    assert_eq!(look(&world, &claim, "a", &silent()), "failed");
    assert_eq!(world.host("a").unwrap().reason.as_deref(), Some("no answer within 10 seconds"));
    assert_eq!(world.health("web"), (1, 0, 1, "failed"));
    assert_eq!(look(&world, &claim, "a", &Look::Answered), "active");
    assert_eq!((world.host("a").unwrap().reason, world.health("web").3), (None, "ok"));
    world.assert_consistent();
}

/// It has not failed yet, and is away all the same.
#[test]
fn who_is_silent_is_unavailable() {
    let world = World::new();
    world.make_cluster("web", "");
    for name in ["a", "b", "c"] {
        world.add(name, host_in("web", "active")).unwrap();
    }
    let policy = Policy { max_unavailable: Some("1".parse().unwrap()), ..Policy::default() };
    let web = cluster("web");
    let id = block_on(world.fleet.start_with(permit(), &web, &Plan::Restart, &policy)).unwrap().id;
    let next = || block_on(world.fleet.next_step(&web, id)).unwrap().next;
    assert_eq!(next(), Next::Begin(vec![address("a")]));
    let claim = claim(&world, "watch", "one");
    assert_eq!(look(&world, &claim, "c", &silent()), "active");
    assert_eq!(next(), Next::Begin(vec![address("c")]), "only that one makes no more of them");
    look(&world, &claim, "c", &Look::Answered);
    assert_eq!(next(), Next::Begin(vec![address("a")]));
}

/// Nothing is said of a host that is meant to be away (commissaire contract, section 14, S32).
#[test]
fn an_operation_may_take_its_hosts_away() {
    let world = World::new();
    world.make_cluster("web", "");
    world.add("a", host_in("web", "active")).unwrap();
    let started = block_on(world.fleet.start_with(
        permit(),
        &cluster("web"),
        &Plan::Restart,
        &fleet::Policy::default(),
    ))
    .unwrap();
    let (work, watch) = (claim(&world, "operation/web", "one"), claim(&world, "watch", "one"));
    block_on(world.fleet.begin_hosts(&work, &cluster("web"), started.id, &[begin("a")])).unwrap();
    for _ in 0..3 {
        assert_eq!(look(&world, &watch, "a", &silent()), "active");
    }
    let healthy = &fleet::HostProgress::Healthy;
    block_on(world.fleet.record_host(&work, &cluster("web"), started.id, &address("a"), healthy)).unwrap();
    look(&world, &watch, "a", &silent());
    assert_eq!(look(&world, &watch, "a", &silent()), "failed");
}

/// A check that ends after the host was deleted does not bring it back (commissaire contract, section 14, S37).
#[test]
fn deleted_hosts_stay_away() {
    let world = World::new();
    world.add("a", host("key", "active")).unwrap();
    let (claim, a) = (claim(&world, "watch", "one"), address("a"));
    look(&world, &claim, "a", &silent());
    block_on(world.fleet.delete_host(permit(), &a, fleet::Expected::Anything)).unwrap();
    assert!(!block_on(world.fleet.record_look(&claim, &a, &Look::Answered)).unwrap());
    assert!(!block_on(world.fleet.record_facts(&claim, &a, &found())).unwrap());
    assert!(!block_on(world.fleet.record_failure(&claim, &a, "gone")).unwrap());
    block_on(world.fleet.record_answers(&claim, &[(a.clone(), NOW)])).unwrap();
    assert!(world.host("a").is_none() && world.keys("/fleet/care/").is_empty());
}

#[test]
fn many_answers_are_few_commits_and_none_is_lost() {
    let world = World::new();
    let hosts: Vec<_> = (0..200).map(|n| address(&format!("10.0.0.{n}"))).collect();
    for host in &hosts {
        world.add(host.as_str(), super::world::host("key", "active")).unwrap();
    }
    let answers: Vec<_> = hosts.iter().map(|host| (host.clone(), NOW)).collect();
    let claim = claim(&world, "watch", "one");
    for _ in 0..2 {
        look(&world, &claim, "10.0.0.7", &silent());
    }
    world.clock.advance(Span::seconds(100));
    let before = block_on(world.store.revision()).unwrap();
    block_on(world.fleet.record_answers(&claim, &answers)).unwrap();
    let after = block_on(world.store.revision()).unwrap();
    assert_eq!(after.0 - before.0, 4, "three for all, and one for the one that is back");
    world.memory.conflict_next_commits(1);
    block_on(world.fleet.record_answers(&claim, &answers[..5])).unwrap();
    for host in &hosts {
        let host = world.host(host.as_str()).unwrap();
        assert_eq!(
            (host.last_check.as_str(), host.status.as_str()),
            ("2016-12-06T04:55:00.000000", "active")
        );
    }
    world.assert_consistent();
}

/// A look at a host takes its time, and an operation may find meanwhile that the host is lost.
#[test]
fn an_answer_from_before_it_failed_says_nothing() {
    let world = World::new();
    world.add("a", host("key", "active")).unwrap();
    let (claim, a) = (claim(&world, "watch", "one"), address("a"));
    world.clock.advance(Span::seconds(100));
    look(&world, &claim, "a", &Look::Lost { reason: "it did not come back".into() });
    world.clock.advance(Span::seconds(3));
    let answered = |asked: u64| {
        block_on(world.fleet.record_answers(&claim, &[(a.clone(), Duration::from_secs(asked))])).unwrap();
        world.status("a")
    };
    assert_eq!((answered(5), answered(3)), ("failed".into(), "failed".into()));
    assert_eq!(answered(2), "active");
}

#[test]
fn who_lost_the_claim_says_nothing() {
    let world = World::new();
    world.add("a", host("key", "")).unwrap();
    let (old, a) = (claim(&world, "host/a", "one"), address("a"));
    world.clock.advance(Span::seconds(61));
    let _new = claim(&world, "host/a", "other");
    let refused = block_on(world.fleet.record_failure(&old, &a, "late"));
    assert!(matches!(refused, Err(RolloutError::ClaimLost { .. })), "{refused:?}");
    let refused = block_on(world.fleet.record_answers(&old, &[(a.clone(), NOW)]));
    assert!(matches!(refused, Err(RolloutError::ClaimLost { .. })), "{refused:?}");
    assert_eq!(world.status("a"), "");
}
