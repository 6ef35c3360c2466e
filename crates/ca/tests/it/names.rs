//! Which names are certified, where those are the strict ones.

use ca::{ApproveError, DraftError, Names, SubmitError};
use futures_executor::block_on;
use x509::{KeySpec, extension, oid};

use crate::world::{Asker, World, permit, services};

/// Somebody with a host of that name.
fn asker(host: &str) -> Asker {
    Asker::with(host, KeySpec::P256, &[extension::subject_alt_name_dns(host, false).unwrap()])
}

fn strict(automatic_max: u64) -> World {
    let mut profile = services();
    profile.names = Names::Strict;
    profile.admission.automatic_max = automatic_max;
    World::new(profile)
}

#[test]
fn other_names_are_refused_whoever_decides() {
    for automatic_max in [0, 10] {
        let world = strict(automatic_max);
        let refused = world.submit(&asker("localhost"));
        assert!(matches!(refused, Err(SubmitError::Draft(DraftError::NotStrict(_)))), "{refused:?}");
        assert_eq!((world.count("request/"), world.count("certificate/")), (0, 0), "nothing is stored");
        world.submit(&asker("host.example")).unwrap();
        assert_eq!(world.count("request/"), 1);
    }
    // Nor are they by a template.
    let world = strict(0);
    let id = world.submit(&asker("host.example")).unwrap();
    let approved = block_on(world.authority.approve(permit(), id, Some(&asker("localhost").csr)));
    assert!(matches!(approved, Err(ApproveError::Template(DraftError::NotStrict(_)))), "{approved:?}");
    assert_eq!(world.pending(), [id]);
}

/// The setting is about what is certified from now on: whoever has a name keeps that one, and gets no other.
#[test]
fn who_has_a_name_keeps_it() {
    let mut world = World::new(services());
    let (holder, waiting) = (asker("localhost"), asker("db1"));
    let id = world.submit(&holder).unwrap();
    let old = world.approve(id).unwrap();
    let waits = world.submit(&waiting).unwrap();
    world.restart(|profile| profile.names = Names::Strict);

    assert_eq!(world.submit(&waiting).unwrap(), waits, "it is found again");
    let approved = world.approve(waits);
    assert!(matches!(approved, Err(ApproveError::Draft(DraftError::NotStrict(_)))), "{approved:?}");
    // Whatever the request for a renewal asks for, also one that waits.
    for next in [asker("db2"), waiting] {
        let renewal = world.authority.renew(holder.prove(&old), next.csr.clone(), &next.text);
        let renewed = block_on(renewal).unwrap();
        let names = |certificate: &x509::Certificate| {
            (certificate.subject().clone(), certificate.extension(&oid::SUBJECT_ALT_NAME).cloned())
        };
        assert_eq!(names(&renewed), names(&old));
        assert_eq!(renewed.public_key(), next.key.public());
    }
}
