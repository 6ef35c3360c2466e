//! Entries that whoever signed them took back.

use std::collections::{BTreeMap, HashMap};

use base::{Sha512, Timestamp};
use cache::{Limits, Pattern};
use entry::new::withdrawal;
use entry::{
    Circumstances, Claims, Entry, Filter, New, Object, Policy, Reason, Signer, SignerId, Trust, TrustList,
    Value, judge,
};
use futures_executor::block_on;
use x509::{KeySpec, PrivateKey};

use crate::ground::{World, key, permit};

fn claims(sequence: u64) -> Claims {
    let created = Timestamp::from_unix(1000);
    Claims { key: "a".into(), size: 5, created, expires: None, sequence, revokes: Vec::new() }
}

fn attested(sequence: u64, by: &PrivateKey) -> Entry {
    about(b"hello", sequence, by)
}

fn about(bytes: &[u8], sequence: u64, by: &PrivateKey) -> Entry {
    let mut metadata = Object::new();
    metadata.insert("url", Value::text("http://example.invalid/"));
    New { sha512: Sha512::of(bytes), metadata, attestation: Some((&claims(sequence), by)) }
        .sign(None)
        .unwrap()
}

fn trust(name: &str, key: &PrivateKey) -> Trust {
    let signer = Signer::new(name, vec![key.public().clone()], TrustList::parse("").unwrap()).unwrap();
    Trust { policies: vec![Policy { name: name.into(), signers: vec![signer], ..Policy::default() }] }
}

/// Only what its own signer withdrew is hidden, from those who read; and whoever looks after the cache sees all of it.
#[test]
fn what_its_signer_withdrew_is_hidden() {
    let [anna, bert] = [(); 2].map(|()| PrivateKey::generate(KeySpec::Ed25519).unwrap());
    let (hers, more, his) = (attested(1, &anna), attested(2, &anna), attested(1, &bert));
    let by_anna = withdrawal(&claims(3), [&hers, &his], &anna, None).unwrap();
    // Signed with another key, in the name of Anna's.
    let forged = {
        let id = |key: &PrivateKey| entry::SignerId::of(key.public()).to_string();
        let text =
            withdrawal(&claims(9), [&more], &bert, None).unwrap().text().replace(&id(&bert), &id(&anna));
        Entry::new(text, String::new()).unwrap()
    };
    let all = [&hers, &more, &his, &by_anna, &forged];
    for (trusted, hidden) in [(None, 0), (Some(trust("bert", &bert)), 0), (Some(trust("anna", &anna)), 1)] {
        let world = World::hiding(Limits::default(), trusted);
        for entry in all {
            block_on(world.cache.put_entry(permit("alice"), &key("a"), entry)).unwrap();
        }
        let shown: Vec<String> = world.entries("a").into_iter().map(|(text, _)| text).collect();
        assert_eq!(shown.len(), all.len() - hidden);
        assert_eq!(shown.contains(&hers.text().to_owned()), hidden == 0);
        assert!(shown.contains(&by_anna.text().to_owned()), "readers of ours see why");
        let (permit, all_keys, filter) = (permit("a"), Pattern::new("*"), Filter::parse([]).unwrap());
        let found = block_on(world.cache.find_entries(&permit, &all_keys, &filter, None, 100)).unwrap().items;
        assert_eq!(found.len(), all.len());
        let by: HashMap<Sha512, Sha512> =
            found.iter().filter_map(|found| Some((found.entry.text_digest(), found.withdrawn_by?))).collect();
        let expected = (hidden > 0).then(|| (hers.text_digest(), by_anna.text_digest()));
        assert_eq!(by, expected.into_iter().collect());
    }
}

/// Anna has a new key, and takes back with it what she said with the old one. What shows how far the old one was stays in
/// sight: readers who saw that would believe nothing of it any more.
#[test]
fn how_far_a_signer_is_stays_in_sight() {
    let [old, new, other] = [(); 3].map(|()| PrivateKey::generate(KeySpec::Ed25519).unwrap());
    let trusted = || {
        let keys = [&old, &new].map(|key| key.public().clone()).to_vec();
        let signer = Signer::new("anna", keys, TrustList::parse("").unwrap()).unwrap();
        Trust { policies: vec![Policy { name: "root".into(), signers: vec![signer], ..Policy::default() }] }
    };
    let [before, last, more] = [9, 10, 11].map(|sequence| about(b"hello", sequence, &old));
    let alone = about(b"other", 5, &old);
    let by_new = withdrawal(&claims(3), [&before, &last], &new, None).unwrap();
    let by_old = withdrawal(&claims(12), [&before], &old, None).unwrap();
    let id = |key: &PrivateKey| SignerId::of(key.public()).to_string();
    let forged = attested(99, &other).text().replace(&id(&other), &id(&old));
    let forged = Entry::new(forged, String::new()).unwrap();
    for (case, others, hidden) in [
        ("nothing further", vec![&alone], vec![&before]),
        ("something further", vec![&alone, &more], vec![&before, &last]),
        ("what only claims to be further", vec![&forged], vec![&before]),
        ("a withdrawal that is further", vec![&by_old], vec![&before, &last]),
    ] {
        let world = World::hiding(Limits::default(), Some(trusted()));
        let all: Vec<&Entry> = [&before, &last, &by_new].into_iter().chain(others).collect();
        for entry in &all {
            block_on(world.cache.put_entry(permit("alice"), &key("a"), entry)).unwrap();
        }
        let shown: Vec<Entry> = world
            .entries("a")
            .into_iter()
            .map(|(text, signature)| Entry::new(text, signature).unwrap())
            .collect();
        let expected: Vec<&str> =
            all.iter().filter(|entry| !hidden.contains(entry)).map(|entry| entry.text()).collect();
        assert_eq!(shown.iter().map(Entry::text).collect::<Vec<_>>(), expected, "{case}");
        let circumstances = |seen| Circumstances {
            key: "a",
            url: None,
            now: Timestamp::from_unix(2000),
            seen,
            platform: None,
            is_there: &|_| true,
        };
        let everything: Vec<Entry> = all.iter().copied().cloned().collect();
        let nothing = BTreeMap::new();
        let seen = judge(&everything, &trusted(), &circumstances(&nothing)).seen;
        let verdicts = judge(&shown, &trusted(), &circumstances(&seen)).verdicts;
        let is_rolled_back =
            verdicts.iter().any(|held| matches!(held.refused, Some(Reason::RolledBack { .. })));
        assert!(!is_rolled_back, "{case}");
        let (permit, all_keys, filter) = (permit("a"), Pattern::new("*"), Filter::parse([]).unwrap());
        let found = block_on(world.cache.find_entries(&permit, &all_keys, &filter, None, 100)).unwrap().items;
        let withdrawn = found.iter().filter(|found| found.withdrawn_by.is_some()).count();
        assert_eq!(withdrawn, 2, "{case}: whoever looks after the cache is told of both");
    }
}
