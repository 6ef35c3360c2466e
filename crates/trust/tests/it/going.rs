//! Who goes takes along what they brought.

use base::Span;
use futures_executor::block_on;
use trust::{ChangeError, Offer, SetChange, Terms};

use crate::ground::{House, add, anchors, may, no_reason, pems, provider, requirer};

#[test]
fn a_providers_certificates_stay_for_its_grace() {
    block_on(async {
        let house = House::new();
        let terms = Terms { grace: Span::seconds(100), ..Terms::default() };
        house.set_provider("corp", &terms).await;
        house.set_requirer("web").await;
        let number = house.relate("corp", "web").await;
        let all = anchors(2);
        house.offer("corp", &add(&all)).await.unwrap();
        let leaving =
            house.trust.remove_provider(may(), &provider("corp"), true, &no_reason()).await.unwrap();
        assert_eq!(leaving.until, Some(house.clock.now() + Span::seconds(100)));
        let refused = house.offer("corp", &add(&anchors(1))).await;
        assert!(matches!(refused, Err(ChangeError::Leaving(_))));
        house.clock.advance(Span::seconds(99));
        assert_eq!(house.bundle("web").await, pems(&all));
        let (_, next) = house.trust.wanted(may()).await.unwrap();
        assert_eq!(next, leaving.until, "somebody looks again when it is over");
        house.trust.tidy(may()).await.unwrap();
        assert!(house.trust.relation(may(), number).await.unwrap().is_some());
        house.clock.advance(Span::seconds(1));
        assert!(house.bundle("web").await.is_empty(), "also before anybody tidies up");
        house.trust.tidy(may()).await.unwrap();
        assert!(house.trust.relation(may(), number).await.unwrap().is_none());
        assert!(house.trust.provider(may(), &provider("corp")).await.unwrap().is_none());
        let told: Vec<String> = house.history().await.into_iter().map(|event| event.what).collect();
        assert!(told.contains(&"trust provider leaves".into()), "{told:?}");
        assert!(told.contains(&"trust provider gone".into()), "{told:?}");
        let ended = house.history().await.into_iter().find(|event| event.what == "trust unrelated").unwrap();
        assert_eq!((ended.about, ended.facts["requirer"].as_str()), (format!("relation {number}"), "web"));
        // Since when it is to have less does not depend on when somebody tidied up.
        let web = house.trust.requirer(may(), &requirer("web")).await.unwrap();
        assert_eq!(Some(web.wanted.since), leaving.until);
    });
}

#[test]
fn whoever_is_made_anew_stays() {
    block_on(async {
        let house = House::new();
        let terms = Terms { grace: Span::seconds(100), ..Terms::default() };
        house.set_provider("corp", &terms).await;
        house.set_requirer("web").await;
        house.relate("corp", "web").await;
        let all = anchors(2);
        house.offer("corp", &add(&all)).await.unwrap();
        house.trust.remove_provider(may(), &provider("corp"), true, &no_reason()).await.unwrap();
        house.set_provider("corp", &terms).await;
        house.clock.advance(Span::seconds(1_000));
        house.trust.tidy(may()).await.unwrap();
        assert_eq!(house.bundle("web").await, pems(&all));
    });
}

#[test]
fn sets_that_nobody_names_go_after_a_while() {
    block_on(async {
        let (house, _) = House::related().await;
        let all = anchors(2);
        house.offer("corp", &add(&all[..1])).await.unwrap();
        house.offer("corp", &add(&all[1..])).await.unwrap();
        assert_eq!(house.count("/trust/set/").await, 2);
        house.trust.tidy(may()).await.unwrap();
        assert_eq!(house.count("/trust/set/").await, 2, "whoever wrote it may be about to name it");
        house.clock.advance(Span::seconds(3_601));
        house.trust.tidy(may()).await.unwrap();
        assert_eq!(house.count("/trust/set/").await, 1);
        assert_eq!(house.bundle("web").await, pems(&all));
        // One that is named again is there again.
        let remove = SetChange::Remove(all[1].fingerprint());
        let remove = Offer { change: remove, relation: None, basis: None, confirmed: false };
        house.offer("corp", &remove).await.unwrap();
        house.trust.tidy(may()).await.unwrap();
        assert_eq!(House::on(house.memory.clone()).bundle("web").await, pems(&all[..1]));
    });
}

#[test]
fn a_requirer_that_leaves_is_to_have_nothing() {
    block_on(async {
        let (house, number) = House::related().await;
        house.offer("corp", &add(&anchors(1))).await.unwrap();
        house.trust.remove_requirer(may(), &requirer("web"), false, &no_reason()).await.unwrap();
        assert!(house.bundle("web").await.is_empty());
        let (wanted, _) = house.trust.wanted(may()).await.unwrap();
        assert!(wanted[0].leaving && wanted[0].bundle.anchors().is_empty());
        house.trust.requirer_left(may(), &requirer("web")).await.unwrap();
        assert!(house.trust.requirer(may(), &requirer("web")).await.is_err());
        assert!(house.trust.relation(may(), number).await.unwrap().is_none());
        // One that was made anew meanwhile is not forgotten.
        house.set_requirer("db").await;
        house.trust.remove_requirer(may(), &requirer("db"), false, &no_reason()).await.unwrap();
        house.set_requirer("db").await;
        house.trust.requirer_left(may(), &requirer("db")).await.unwrap();
        assert!(house.trust.requirer(may(), &requirer("db")).await.is_ok());
        house.trust.remove_requirer(may(), &requirer("db"), true, &no_reason()).await.unwrap();
        assert!(house.trust.requirer(may(), &requirer("db")).await.is_err(), "at once");
    });
}
