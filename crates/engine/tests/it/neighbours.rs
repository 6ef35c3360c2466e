//! Two houses on one store, as two processes have it.

use std::sync::Arc;
use std::time::Duration;

use base::{Entropy, Explain as _, Kind, Span};
use ca::{AuthorityName, Revoke};
use engine::{House, HouseError, SignInFailed, Stop, Tasks};
use identity::{Permit, SignInError};
use store::{Memory, SealingKey};
use x509::{Certificate, KeySpec, Name, VerifyError};

use crate::house::{Ground, certificate_of};

async fn administrator(house: &House) -> Certificate {
    let name = Name::from_common_name("somebody").unwrap();
    let pem = house.make_administrator(&name, KeySpec::Rsa { bits: 2048 }).await.unwrap();
    Certificate::from_pem(&certificate_of(pem.expose())).unwrap()
}

/// Lets whoever has something to do go on until `is_so`.
async fn until(what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..1_000 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("waited in vain for {what}");
}

#[tokio::test(start_paused = true)]
async fn who_is_revoked_at_one_is_refused_by_the_other() {
    let ground = Ground::on(Memory::shared());
    let beside = ground.beside();
    let ((one, _one), (other, _other)) = (ground.build().await, beside.build().await);
    let certificate = administrator(&one).await;
    other.may_present(&certificate).unwrap();
    other.sign_in(Some(&certificate), None).await.unwrap();

    one.authority(AuthorityName::Users).revoke(Permit::<Revoke>::house(), &certificate).await.unwrap();
    let refused = other.sign_in(Some(&certificate), None).await;
    assert!(matches!(refused, Err(SignInFailed::SignIn(SignInError::Certificate(VerifyError::Revoked)))));
}

/// A CA certificate made at one is trusted by handshakes at the other, which nobody asked for anything.
#[tokio::test(start_paused = true)]
async fn handshakes_follow_what_the_other_makes() {
    let ground = Ground::on(Memory::shared());
    let beside = ground.beside();
    let ((one, _one), (other, _other)) = (ground.build().await, beside.build().await);
    let trusted = |house: &House| house.authority(AuthorityName::Users).trusted().len();
    assert_eq!((trusted(&one), trusted(&other)), (1, 1));
    ground.clock.advance(Span::days(187));
    let anchors = one.authority(AuthorityName::Users).anchors().await.unwrap();
    assert_eq!(anchors.len(), 2);
    until("the other to trust both", || trusted(&other) == 2).await;
    assert_eq!(*other.authority(AuthorityName::Users).trusted(), anchors);
}

/// Serials that the other one reserved are its own, also when we start again.
#[tokio::test(start_paused = true)]
async fn a_start_leaves_the_others_serials_alone() {
    let ground = Ground::on(Memory::shared());
    let (one, _one) = ground.build().await;
    administrator(&one).await;
    let beside = ground.beside();
    let (_house, _other) = beside.build().await;
    let voided = one.authority(AuthorityName::Users).void_reserved(Span::days(1)).await.unwrap();
    assert_eq!(voided, 0);
    let history = store::History::new(ground.engine.clone()).unwrap();
    let events = history.page(None, 100).await.unwrap().entries;
    assert!(events.iter().all(|(_, event)| event.record.what != "reserved serials voided"));
}

#[tokio::test(start_paused = true)]
async fn the_first_start_is_one_processs() {
    let ground = Ground::on(Memory::shared());
    let beside = ground.beside();
    let ((one, _one), (other, _other)) = (ground.build().await, beside.build().await);
    assert!(one.is_first_start().await.unwrap());
    let tasks = Tasks::new();
    let waiting = tasks.spawn({
        let other = other.clone();
        async move { other.is_first_start().await.unwrap() }
    });
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(!waiting.is_finished(), "the first one is at it");
    one.first_start_done().await.unwrap();
    assert!(!waiting.await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn who_dies_at_the_first_start_is_stood_in_for() {
    let ground = Ground::on(Memory::shared());
    let beside = ground.beside();
    let ((one, _one), (other, _other)) = (ground.build().await, beside.build().await);
    assert!(one.is_first_start().await.unwrap());
    ground.clock.advance(Span::seconds(31));
    assert!(other.is_first_start().await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn another_sealing_key_is_refused_before_anything_is_written() {
    let ground = Ground::on(Memory::shared());
    let (_house, _certificates) = ground.build().await;
    let mut beside = ground.beside();
    beside.sealing = Arc::new(SealingKey::generate(&Entropy::seeded(2)));
    let error = House::build(beside.parts().0, Tasks::new(), Stop::new()).await.err().unwrap();
    assert!(matches!(error, HouseError::OtherKey(_)), "{error}");
    assert_eq!(error.kind(), Kind::Conflict);
    assert!(error.help().unwrap().contains("key file"));
}

/// A store of its own that is gone is a reason to start again; one that others keep is waited for.
#[tokio::test(start_paused = true)]
async fn a_store_elsewhere_may_be_away() {
    use store::Engine as _;
    for (memory, is_well) in [(Memory::new(), false), (Memory::shared(), true)] {
        let ground = Ground::on(memory);
        let (house, _certificates) = ground.build().await;
        assert!(house.is_ready().await && house.is_well().await);
        ground.engine.close().await.unwrap();
        assert_eq!((house.is_ready().await, house.is_well().await), (false, is_well));
    }
}
