//! What providers say, and what requirers have by it.

use futures_executor::block_on;
use identity::{Permit, Principal, Role};
use store::CommitError;
use trust::{ChangeError, Finding, Offer, Only, SetChange, Terms, Why};

use crate::ground::{
    House, add, anchors, authority, by_fingerprint, may, no_reason, pems, provider, requirer, with_filler,
};

#[test]
fn a_requirer_has_what_its_providers_say() {
    block_on(async {
        let (house, number) = House::related().await;
        let all = anchors(4);
        assert!(house.bundle("web").await.is_empty(), "the empty set is a set");
        let offered = house.offer("corp", &add(&all[..2])).await.unwrap();
        assert_eq!((offered.set.count, offered.set.revision), (2, 1));
        assert_eq!(house.bundle("web").await, pems(&all[..2]));
        // The same again wakes nobody.
        let again = house.offer("corp", &add(&all[1..2])).await.unwrap();
        assert_eq!((again.set.clone(), again.came.len()), (offered.set, 0));
        // One relation has more than the others.
        house.set_requirer("db").await;
        house.relate("corp", "db").await;
        let own = Offer { relation: Some(number), ..add(&all[2..3]) };
        assert_eq!(house.offer("corp", &own).await.unwrap().set.count, 1);
        assert_eq!(house.bundle("web").await, pems(&all[..3]));
        assert_eq!(house.bundle("db").await, pems(&all[..2]));
        // Another provider of the same certificate and one more.
        house.set_provider("other", &Terms::default()).await;
        house.relate("other", "web").await;
        house.offer("other", &add(&[all[0].clone(), all[3].clone()])).await.unwrap();
        assert_eq!(house.bundle("web").await, pems(&all));
        // What one withdraws, another one's requirer keeps.
        let remove = |at: usize, relation| Offer {
            change: SetChange::Remove(all[at].fingerprint()),
            relation,
            basis: None,
            confirmed: false,
        };
        house.offer("corp", &remove(0, None)).await.unwrap();
        assert_eq!(house.bundle("web").await, pems(&all));
        let refused = house.offer("corp", &remove(1, Some(number))).await.unwrap_err();
        assert!(matches!(refused, ChangeError::InCommon(which) if which == all[1].fingerprint()));
        let unknown = house.offer("corp", &remove(0, None)).await.unwrap();
        assert!(unknown.went.is_empty(), "an unknown one is no change and no error");
    });
}

#[test]
fn what_the_policy_refuses_is_not_taken() {
    block_on(async {
        let (house, _) = House::related().await;
        let good = anchors(1);
        let expired = trust::Anchor::from(&authority("old", -1));
        let both = [good[0].clone(), expired.clone()];
        let refused = house.offer("corp", &add(&both)).await.unwrap_err();
        let ChangeError::Refused(refused) = refused else { panic!("{refused}") };
        assert_eq!(refused, [(expired.fingerprint(), Finding::Expired)]);
        assert!(house.bundle("web").await.is_empty(), "all or nothing");
        assert_eq!(house.count("/trust/set/").await, 0);
        let lenient = Terms { refuse: [].into(), ..Terms::default() };
        house.set_provider("corp", &lenient).await;
        let offered = house.offer("corp", &add(&both)).await.unwrap();
        assert_eq!(offered.findings, [(expired.fingerprint(), vec![Finding::Expired])]);
        assert_eq!(house.bundle("web").await, pems(&both));
    });
}

/// OpenSSL made it, of RSA with 1024 bits: it is for the policy to refuse it.
#[test]
fn a_short_key_is_shown_and_refused_by_policy_only() {
    block_on(async {
        let (house, _) = House::related().await;
        let read = trust::read_anchors(include_bytes!("../data/short-key.pem")).unwrap();
        let short: Vec<_> = read.into_values().collect();
        let offered = house.offer("corp", &add(&short)).await.unwrap();
        assert_eq!(offered.findings, [(short[0].fingerprint(), vec![Finding::ShortKey])]);
        assert_eq!(house.bundle("web").await, pems(&short));
        house.set_provider("strict", &Terms { refuse: [Finding::ShortKey].into(), ..Terms::default() }).await;
        let refused = house.offer("strict", &add(&short)).await.unwrap_err();
        let ChangeError::Refused(refused) = refused else { panic!("{refused}") };
        assert_eq!(refused, [(short[0].fingerprint(), Finding::ShortKey)]);
    });
}

/// Its word, and administrators'; operators say whose it is, of which the history tells.
#[test]
fn a_provider_may_be_one_alone() {
    block_on(async {
        let (house, _) = House::related().await;
        let corp = provider("corp");
        let offer = async |name: &str, role| {
            let permit = Permit::grant(Principal::pretended(name, role, None)).unwrap();
            house.trust.offer(permit, &corp, &add(&anchors(1)), &no_reason()).await
        };
        assert!(matches!(offer("user ci", Role::Reader).await, Err(ChangeError::NotYours(_))));
        offer("user olga", Role::Operator).await.unwrap();
        let only = Only::new(["user ci".to_owned()]).unwrap();
        house.set_provider("corp", &Terms { only, ..Terms::default() }).await;
        offer("user ci", Role::Reader).await.unwrap();
        assert!(matches!(offer("user olga", Role::Operator).await, Err(ChangeError::NotYours(_))));
        offer("user root", Role::Administrator).await.unwrap();
        assert_eq!(house.bundle("web").await.len(), 3);
        let told = house.history().await;
        let set: Vec<_> = told.iter().filter(|event| event.what == "trust provider set").collect();
        let facts = &set.last().unwrap().facts;
        assert_eq!(
            (&*facts["only"], &*facts["refuse"]),
            ("user ci", "not-an-authority expired"),
            "{facts:?}"
        );
        assert!(!set[0].facts.contains_key("only"));
    });
}

#[test]
fn a_change_says_what_it_is_based_on() {
    block_on(async {
        let (house, _) = House::related().await;
        let all = anchors(2);
        let first = house.offer("corp", &add(&all[..1])).await.unwrap();
        let based = |basis| Offer {
            change: SetChange::Exactly(by_fingerprint(&all)),
            relation: None,
            basis: Some(basis),
            confirmed: false,
        };
        let refused = house.offer("corp", &based(first.set.revision - 1)).await.unwrap_err();
        assert!(matches!(refused, ChangeError::Revision { expected: 0, found: 1 }), "{refused}");
        assert_eq!(house.offer("corp", &based(first.set.revision)).await.unwrap().set.revision, 2);
    });
}

#[test]
fn losing_much_is_confirmed_first() {
    block_on(async {
        let (house, number) = House::related().await;
        let all = anchors(5);
        house.offer("corp", &add(&all)).await.unwrap();
        let exactly = |count: usize, confirmed| Offer {
            change: SetChange::Exactly(by_fingerprint(&all[..count])),
            relation: None,
            basis: None,
            confirmed,
        };
        house.offer("corp", &exactly(3, false)).await.unwrap();
        let refused = house.offer("corp", &exactly(1, false)).await.unwrap_err();
        let ChangeError::Shrinks { before: 3, after: 1, others: 0, .. } = refused else {
            panic!("{refused}")
        };
        let nothing = Offer { change: SetChange::Empty, relation: None, basis: None, confirmed: false };
        assert!(matches!(house.offer("corp", &nothing).await, Err(ChangeError::Shrinks { after: 0, .. })));
        let ended = house.trust.unrelate(may(), number, false, &no_reason()).await;
        assert!(matches!(ended, Err(ChangeError::Shrinks { .. })), "{ended:?}");
        let gone = house.trust.remove_provider(may(), &provider("corp"), false, &no_reason()).await;
        assert!(matches!(gone, Err(ChangeError::Shrinks { .. })), "{gone:?}");
        assert_eq!(house.bundle("web").await.len(), 3);
        assert_eq!(house.offer("corp", &exactly(1, true)).await.unwrap().went.len(), 2);
        // Nobody loses what somebody else says as well.
        house.set_provider("other", &Terms::default()).await;
        house.relate("other", "web").await;
        house.offer("other", &add(&all[..1])).await.unwrap();
        house.offer("corp", &nothing).await.unwrap();
        assert_eq!(house.bundle("web").await, pems(&all[..1]));
    });
}

#[test]
fn the_houses_own_authorities_are_nobody_elses() {
    block_on(async {
        let house = House::new();
        let (name, all) = (provider("services"), anchors(2));
        let own = |count| house.trust.offer_own(may(), &name, "services", by_fingerprint(&all[..count]));
        assert_eq!(own(1).await.unwrap().set.revision, 1);
        assert_eq!(own(1).await.unwrap().set.revision, 1);
        house.set_requirer("web").await;
        house.relate("services", "web").await;
        assert_eq!(own(2).await.unwrap().set.revision, 2);
        assert_eq!(house.bundle("web").await, pems(&all));
        // Certificates that are over go without being asked about.
        assert_eq!(own(1).await.unwrap().went.len(), 1);
        assert!(matches!(house.offer("services", &add(&all)).await, Err(ChangeError::Own(_))));
        let set = house.trust.set_provider(may(), &name, &Terms::default(), &no_reason()).await;
        assert!(matches!(set, Err(ChangeError::Own(_))));
        let removed = house.trust.remove_provider(may(), &name, true, &no_reason()).await;
        assert!(matches!(removed, Err(ChangeError::Own(_))));
        house.set_provider("corp", &Terms::default()).await;
        let taken = house.trust.offer_own(may(), &provider("corp"), "services", by_fingerprint(&all)).await;
        assert!(matches!(taken, Err(ChangeError::Own(_))), "an operator's provider is not taken over");
    });
}

#[test]
fn thousands_are_one_change() {
    block_on(async {
        let (house, _) = House::related().await;
        let all = anchors(1_500);
        let offered = house.offer("corp", &add(&all)).await.unwrap();
        assert_eq!((offered.set.count, offered.set.revision), (1_500, 1));
        assert!(house.count("/trust/set/").await > 1, "it lies in parts");
        assert_eq!(house.bundle("web").await, pems(&all));
        // Another process, which has nothing in memory.
        let other = House::on(house.memory.clone());
        assert_eq!(other.bundle("web").await, pems(&all));
        let told = house.history().await;
        let told = told.iter().find(|event| event.what == "trust offered").unwrap();
        assert!(told.facts["came"].ends_with("and 1468 more"), "{:?}", told.facts);
        assert_eq!(told.facts["after"], offered.set.hash);
        assert_eq!(told.facts["before"], trust::hash(&trust::Certificates::new()));
        assert_eq!((told.by.as_str(), told.facts["why"].as_str()), ("olga", "a test"));
    });
}

#[test]
fn whoever_is_slower_begins_again() {
    block_on(async {
        let (house, _) = House::related().await;
        let all = anchors(2);
        let other = House::on(house.memory.clone());
        let theirs = add(&all[1..]);
        house.memory.before_next_commit(async move {
            other.offer("corp", &theirs).await.unwrap();
        });
        let offered = house.offer("corp", &add(&all[..1])).await.unwrap();
        assert_eq!((offered.set.count, offered.set.revision), (2, 2), "neither is lost");
        assert_eq!(house.bundle("web").await, pems(&all));
        // An answer that was lost is not a change that was made twice.
        for done in [true, false] {
            let more = anchors(1);
            house.memory.lose_next_answers([done]);
            let before = house.bundle("web").await.len();
            house.offer("corp", &add(&more)).await.unwrap();
            assert_eq!(house.bundle("web").await.len(), before + 1);
        }
        house
            .memory
            .fail_next_commits(1, store::Error::Unavailable { doing: "commit", reason: "no room".into() });
        let failed = house.offer("corp", &add(&anchors(1))).await.unwrap_err();
        assert!(matches!(failed, ChangeError::Store(CommitError::Store(_))), "{failed}");
    });
}

#[test]
fn related_is_related_once() {
    block_on(async {
        let (house, number) = House::related().await;
        assert_eq!(house.relate("corp", "web").await, number);
        let missing = house.trust.relate(may(), &provider("nobody"), &requirer("web"), &Why::default()).await;
        assert!(matches!(missing, Err(ChangeError::NoProvider(_))));
        let missing =
            house.trust.relate(may(), &provider("corp"), &requirer("nobody"), &Why::default()).await;
        assert!(matches!(missing, Err(ChangeError::NoRequirer(_))));
        house.trust.unrelate(may(), number, true, &no_reason()).await.unwrap();
        assert!(house.trust.relation(may(), number).await.unwrap().is_none());
        assert_ne!(house.relate("corp", "web").await, number, "a number is never given twice");
        // Requirers whose names begin alike have nothing to do with each other.
        house.set_requirer("web-2").await;
        house.set_requirer("we").await;
        house.relate("corp", "web-2").await;
        let of_web = house.trust.list_relations(may(), None, Some(&requirer("web"))).await.unwrap();
        assert_eq!(of_web.len(), 1);
        let of_we = house.trust.list_relations(may(), None, Some(&requirer("we"))).await.unwrap();
        assert!(of_we.is_empty());
        let of_corp = house.trust.list_relations(may(), Some(&provider("corp")), None).await.unwrap();
        assert_eq!(of_corp.len(), 2);
    });
}

#[test]
fn a_certificate_has_a_length() {
    block_on(async {
        let (house, _) = House::related().await;
        let short = with_filler(40 << 10);
        let read = trust::read_anchors(short.to_pem().as_bytes()).unwrap();
        let lenient = Terms { refuse: [].into(), ..Terms::default() };
        house.set_provider("corp", &lenient).await;
        let offer = |anchors| Offer {
            change: SetChange::Add(anchors),
            relation: None,
            basis: None,
            confirmed: false,
        };
        house.offer("corp", &offer(read)).await.unwrap();
        let long = with_filler(60 << 10);
        let refused = trust::read_anchors(format!("{}{}", short.to_pem(), long.to_pem()).as_bytes());
        let Err(trust::NotAnchors::TooLong { number: 2, .. }) = refused else { panic!("{refused:?}") };
        // Nor does one that came in otherwise pass by the policy.
        let anchor = trust::Anchor::from(&long);
        let refused = house.offer("corp", &add(&[anchor])).await;
        assert!(matches!(refused, Err(ChangeError::Unreadable(_))), "{refused:?}");
    });
}

/// Nothing takes anything out of the history again.
#[test]
fn a_key_is_no_reason() {
    for text in [
        "-----BEGIN PRIVATE KEY-----\nAAAA",
        "because\n-----END RSA PRIVATE KEY-----",
        "a -----BEGIN EC PRIVATE KEY",
    ] {
        assert_eq!(trust::Why::new(text).unwrap_err(), trust::KeyInWhy, "{text}");
    }
    assert!(trust::Why::new("the private key of the old one was lost").is_ok());
}
