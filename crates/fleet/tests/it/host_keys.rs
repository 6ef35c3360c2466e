//! The keys by which hosts are recognized.

use base::Span;
use fleet::{Expected, Found, HostKey, HostKeyError, PinnedKey};
use futures_executor::block_on;
use store::{Claim, Claims};

use crate::world::{World, address, host, permit};

const ONE: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICs4S4OEBWkd3NCUIIk1YF3SNktnfhsZRSCNXxzJZFqO";
const OTHER: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICs4S4OEBWkd3NCUIIk1YF3SNktnfhsZRSCNXxzJZFqP";

fn key(line: &str) -> HostKey {
    line.parse().unwrap()
}

fn claim(world: &World) -> Claim {
    let claims = Claims::new(world.store.clone()).unwrap();
    block_on(claims.take("host/a", "we", world.clock.now(), Span::seconds(60))).unwrap().unwrap()
}

fn proves(world: &World, claim: &Claim, line: &str) {
    let found = Found { host_key: Some(key(line)), ..Found::default() };
    assert!(block_on(world.fleet.record_facts(claim, &address("a"), &found)).unwrap());
}

fn known(world: &World) -> Result<PinnedKey, HostKeyError> {
    block_on(world.fleet.host_key(permit(), &address("a"))).map(|seen| seen.is)
}

fn accept(world: &World, line: &str, expected: Expected) -> Result<PinnedKey, HostKeyError> {
    let (key, a) = (key(line), address("a"));
    let accepted = world.fleet.accept_key(permit(), &a, key.fingerprint(), expected);
    block_on(accepted).map(|seen| seen.is)
}

#[test]
fn a_key_is_pinned_at_the_first_meeting_and_goes_with_the_host() {
    let world = World::new();
    assert!(matches!(known(&world), Err(HostKeyError::NoSuchHost { .. })));
    world.add("a", host("key", "")).unwrap();
    assert!(matches!(known(&world), Err(HostKeyError::NotMet { .. })));
    assert!(matches!(accept(&world, ONE, Expected::Anything), Err(HostKeyError::NotMet { .. })));
    let claim = claim(&world);
    proves(&world, &claim, ONE);
    let expected = PinnedKey { key: key(ONE), since: world.clock.now(), offered: None };
    assert_eq!(known(&world).unwrap(), expected);
    world.clock.advance(Span::seconds(5));
    proves(&world, &claim, ONE);
    assert_eq!(known(&world).unwrap(), expected, "it is the same for as long");
    proves(&world, &claim, OTHER);
    assert_eq!(known(&world).unwrap(), expected, "nothing but accepting changes it");
    block_on(world.fleet.delete_host(permit(), &address("a"), Expected::Anything)).unwrap();
    assert!(world.keys("/fleet/host-key/").is_empty());
    assert_eq!(world.events().iter().filter(|event| event.starts_with("host key pinned")).count(), 1);
}

#[test]
fn another_key_is_accepted_by_who_has_seen_it() {
    let world = World::new();
    world.add("a", host("key", "")).unwrap();
    let (claim, a) = (claim(&world), address("a"));
    proves(&world, &claim, ONE);
    let seen = block_on(world.fleet.host_key(permit(), &a)).unwrap().version;
    assert_eq!(accept(&world, ONE, Expected::Anything).unwrap(), known(&world).unwrap(), "it is already");
    assert!(matches!(accept(&world, OTHER, Expected::Anything), Err(HostKeyError::NothingOffered { .. })));

    assert!(block_on(world.fleet.record_other_key(&claim, &a, &key(OTHER), "another key")).unwrap());
    let failed = world.host("a").unwrap();
    assert_eq!((failed.status.as_str(), failed.reason.as_deref()), ("failed", Some("another key")));
    let offered_at = world.clock.now();
    assert_eq!(known(&world).unwrap().offered, Some((key(OTHER), offered_at)));
    world.clock.advance(Span::seconds(5));
    block_on(world.fleet.record_other_key(&claim, &a, &key(OTHER), "another key")).unwrap();
    assert_eq!(known(&world).unwrap().offered, Some((key(OTHER), offered_at)), "since when it is offered");

    assert!(matches!(accept(&world, ONE, Expected::Anything), Err(HostKeyError::Another { .. })));
    assert!(matches!(accept(&world, OTHER, Expected::At(seen)), Err(HostKeyError::Changed { .. })));
    assert_eq!(world.status("a"), "failed");
    let accepted = accept(&world, OTHER, Expected::Anything).unwrap();
    assert_eq!(accepted, PinnedKey { key: key(OTHER), since: world.clock.now(), offered: None });
    let host = world.host("a").unwrap();
    assert_eq!((host.status.as_str(), host.reason), ("", None), "it is looked at next");
    assert!(world.keys("/fleet/care/").is_empty());
    world.assert_consistent();
}

/// A host that proves the known key again has nothing to be accepted any more.
#[test]
fn what_was_offered_is_forgotten_when_the_known_key_is_proved() {
    let world = World::new();
    world.add("a", host("key", "")).unwrap();
    let claim = claim(&world);
    proves(&world, &claim, ONE);
    block_on(world.fleet.record_other_key(&claim, &address("a"), &key(OTHER), "another key")).unwrap();
    proves(&world, &claim, ONE);
    assert_eq!(known(&world).unwrap().offered, None);
}

#[test]
fn steps_are_on_record_for_their_plan_until_it_ends() {
    let world = World::new();
    world.add("a", host("key", "")).unwrap();
    let (claim, a) = (claim(&world), address("a"));
    let done =
        |plan: &str| block_on(world.fleet.steps_done(&a, plan)).unwrap().into_iter().collect::<Vec<_>>();
    for step in ["docker", "flannel"] {
        assert!(block_on(world.fleet.record_step(&claim, &a, "one", step)).unwrap());
    }
    assert_eq!((done("one").join(" "), done("other").len()), ("docker flannel".to_owned(), 0));
    block_on(world.fleet.record_step(&claim, &a, "other", "docker")).unwrap();
    assert_eq!((done("one").len(), done("other").len()), (0, 1), "another plan begins anew");
    block_on(world.fleet.record_failure(&claim, &a, "no")).unwrap();
    assert_eq!(done("other").len(), 0);
    block_on(world.fleet.record_step(&claim, &a, "one", "docker")).unwrap();
    block_on(world.fleet.delete_host(permit(), &a, Expected::Anything)).unwrap();
    assert!(!block_on(world.fleet.record_step(&claim, &a, "one", "flannel")).unwrap());
    assert!(world.keys("/fleet/bootstrap/").is_empty());
}
