//! Clocks that are wrong, and are set right.

use base::{Span, Timestamp};
use ca::{AuthorityName, VerifyHolderError};
use futures_executor::block_on;
use x509::{Certificate, KeySpec, VerifyError};

use crate::world::{Asker, World, permit, services, users};

/// Some who hold certificates, and one whose certificate was revoked.
struct Scene {
    world: World,
    anchor: Certificate,
    good: Certificate,
    revoked: Certificate,
    number: u64,
}

impl Scene {
    fn new() -> Self {
        let world = World::automatic(1_000);
        world.clock.advance(Span::days(50));
        let [good, revoked] = ["good", "revoked"].map(|name| holder(&world, name));
        block_on(world.authority.revoke(permit(), &revoked)).unwrap();
        let (anchor, number) = (world.anchors()[0].clone(), world.list().number());
        Self { world, anchor, good, revoked, number }
    }

    /// What the house does by itself, and what is asked of it.
    fn a_busy_day(&self) {
        block_on(self.world.authority.published()).unwrap();
        block_on(self.world.authority.drop_ended_certificates(None)).unwrap();
        block_on(self.world.authority.look_again()).unwrap();
        holder(&self.world, &format!("somebody at {}", self.world.now()));
    }

    /// Everything is as if the clock had never been wrong.
    fn is_unharmed(&self) {
        let world = &self.world;
        assert_eq!(block_on(world.authority.oldest_anchor()).unwrap(), self.anchor);
        assert_eq!(world.anchors(), std::slice::from_ref(&self.anchor));
        block_on(world.authority.verify(&self.good)).unwrap();
        let revoked = block_on(world.authority.verify(&self.revoked));
        assert!(matches!(revoked, Err(VerifyHolderError::Verify(VerifyError::Revoked))), "{revoked:?}");
        let list = world.list();
        list.verify_signature(self.anchor.public_key()).unwrap();
        assert!(list.contains(&self.revoked.serial()));
        assert!(list.number() >= self.number && list.this_update() <= world.now());
        assert!((list.this_update()..=list.next_update()).contains(&world.now()));
        let newcomer = holder(world, &format!("newcomer at {}", world.now()));
        x509::verify(&newcomer, std::slice::from_ref(&self.anchor), world.now()).unwrap();
    }
}

fn holder(world: &World, name: &str) -> Certificate {
    world.certificate(world.submit(&Asker::new(name)).unwrap()).unwrap()
}

const YEARS: Span = Span::days(5 * 365);

fn back(span: Span) -> Span {
    Span::seconds(-span.as_seconds())
}

#[test]
fn a_clock_years_ahead_at_a_start_loses_no_holder() {
    let mut scene = Scene::new();
    scene.world.clock.advance(YEARS);
    scene.world.restart(|_| {});
    scene.a_busy_day();
    assert_ne!(scene.world.anchors(), [scene.anchor.clone()], "as far as is known it has expired");
    scene.world.clock.advance(Span::days(2) + back(YEARS));
    scene.world.restart(|_| {});
    scene.is_unharmed();
    // The next one is made when it is needed: that from the future does not count.
    scene.world.clock.advance(Span::days(136));
    let anchors = scene.world.anchors();
    assert_eq!(anchors.len(), 2);
    assert_eq!(anchors[1].not_before() + ca::BACK_DATED, scene.world.now());
}

#[test]
fn what_was_made_ahead_of_time_is_no_rollover_under_way() {
    let scene = Scene::new();
    let world = &scene.world;
    world.clock.advance(YEARS);
    scene.a_busy_day();
    world.clock.advance(back(YEARS));
    let rotated = block_on(world.authority.rotate(permit(), false)).unwrap();
    assert_eq!(rotated.current, scene.anchor);
    assert_eq!(rotated.next.unwrap().not_before() + ca::BACK_DATED, world.now());
}

#[test]
fn a_clock_that_jumps_years_ahead_and_back_loses_no_holder() {
    let scene = Scene::new();
    for wrong in [YEARS, Span::days(300), Span::days(95), Span::days(1)] {
        scene.world.clock.advance(wrong);
        scene.a_busy_day();
        scene.world.clock.advance(Span::seconds(3_600) + back(wrong));
        scene.is_unharmed();
    }
}

/// Each of two wrong times is far from the other and from the right one.
#[test]
fn a_clock_that_is_set_wrongly_more_than_once_loses_nothing() {
    for (first, then) in [(1_600, 1_100), (1_600, 1_900), (1_600, 1_560), (1_600, 20)] {
        let scene = Scene::new();
        let mut ahead = Span::days(0);
        for wrong in [first, then].map(Span::days) {
            scene.world.clock.advance(wrong + back(ahead));
            ahead = wrong;
            scene.a_busy_day();
            scene.a_busy_day();
        }
        scene.world.clock.advance(Span::seconds(3_600) + back(ahead));
        scene.is_unharmed();
    }
}

#[test]
fn a_clock_set_back_makes_no_other_authority() {
    let mut scene = Scene::new();
    let issuers = scene.world.count("issuer/");
    for wrong in [Span::seconds(600), Span::days(3), Span::days(200), YEARS, Span::days(50 * 365)] {
        for restarts in [false, true] {
            scene.world.clock.advance(back(wrong));
            if restarts {
                scene.world.restart(|_| {});
            }
            scene.a_busy_day();
            assert_eq!(scene.world.count("issuer/"), issuers, "{wrong:?}");
            scene.world.clock.advance(wrong);
            scene.is_unharmed();
        }
    }
}

/// What was made by a clock that was ahead takes its turn when its day comes: nobody's certificate is cut short, and
/// nothing is signed by what was not handed out for a whole leaf's life.
#[test]
fn what_was_made_ahead_of_time_takes_its_turn() {
    for wrong in [100, 250, 400, 600].map(Span::days) {
        let scene = Scene::new();
        let world = &scene.world;
        world.clock.advance(wrong);
        scene.a_busy_day();
        world.clock.advance(Span::days(1) + back(wrong));
        scene.is_unharmed();
        let mut known: Vec<(Certificate, Timestamp)> =
            vec![(scene.anchor.clone(), world.now() - Span::days(93))];
        for day in 0..900 {
            world.clock.advance(Span::days(1));
            for anchor in world.anchors() {
                if !known.iter().any(|(known, _)| *known == anchor) {
                    known.push((anchor, world.now()));
                }
            }
            if day % 9 == 0 {
                let leaf = holder(world, &format!("on day {day}"));
                let issuer = x509::verify(&leaf, &world.anchors(), world.now()).unwrap().clone();
                assert_eq!(leaf.not_after() - leaf.not_before(), Span::days(93), "{wrong:?}, day {day}");
                let (_, since) = known.iter().find(|(known, _)| *known == issuer).unwrap();
                assert!(*since + Span::days(92) <= world.now(), "{wrong:?}, day {day}");
            }
        }
    }
}

/// The clock stayed as it was: what ended goes, if later than without the doubt.
#[test]
fn what_is_certain_is_dropped() {
    let scene = Scene::new();
    let world = &scene.world;
    world.clock.advance(YEARS);
    scene.a_busy_day();
    assert!(world.count("revoked/") == 1 && world.count("issuer/") == 2 && world.count("certificate/") == 3);
    world.settle();
    scene.a_busy_day();
    assert_eq!((world.count("revoked/"), world.count("issuer/")), (0, 1));
    assert_eq!(world.count("certificate/"), 2, "those of the day of the jump, and of today");
}

/// Whoever can open a backup is in it, after a moment with a clock that was ahead too.
#[test]
fn who_reads_a_backup_has_a_row_in_it() {
    let mut profile = users();
    profile.admission.automatic_max = 1;
    let world = World::new(profile);
    let rsa = |name: &str| Asker::with(name, KeySpec::Rsa { bits: 2048 }, &[]);
    let alice = world.submit(&rsa("alice")).unwrap();
    let key = world.certificate(alice).unwrap().public_key().clone();
    let engine: std::sync::Arc<dyn store::Engine> = world.store.clone();
    let readers = || block_on(ca::takeover::keys_of_users(&engine, world.now())).unwrap();
    assert_eq!(readers(), std::slice::from_ref(&key));
    block_on(world.authority.published()).unwrap();
    world.clock.advance(Span::days(95));
    block_on(world.authority.published()).unwrap();
    world.submit(&rsa("bob")).unwrap();
    assert_eq!(readers(), []);
    world.clock.advance(back(Span::days(95)));
    block_on(world.authority.published()).unwrap();
    assert_eq!(readers(), std::slice::from_ref(&key));
    assert!(world.certificate(alice).is_some());
    // Without its request, a certificate is in no backup.
    let mut batch = store::Batch::new();
    for id in world.ids("request/") {
        batch.delete(store::Key::new(format!("/ca/users/request/{id}")).unwrap());
    }
    block_on(engine.commit(batch)).unwrap();
    assert_eq!(readers(), []);
}

/// Whether a house that was last seen then can go on.
#[test]
fn who_slept_for_too_long_is_stranded() {
    let world = World::new(services());
    let engine: std::sync::Arc<dyn store::Engine> = world.store.clone();
    let seen = world.now();
    let stranded = |later: i64| {
        let now = seen + Span::days(later);
        block_on(ca::stranded(&engine, AuthorityName::Services, seen, now)).unwrap()
    };
    assert_eq!((stranded(0), stranded(371)), (None, None));
    assert_eq!(stranded(372), Some(world.anchors()[0].not_after()));
    let nothing = block_on(ca::stranded(&engine, AuthorityName::Users, seen, seen + YEARS)).unwrap();
    assert_eq!(nothing, None);
}
