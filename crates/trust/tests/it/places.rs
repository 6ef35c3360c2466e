//! How it is with the places where certificates are put.

use base::{Secret, Span};
use futures_executor::block_on;
use trust::on_host::{FilePlace, OnHost};
use trust::{
    Announced, ConfirmError, InPlace, Outcome, Place, PlaceEvent, Put, UnitState, Webhook, WhichHosts,
    Written,
};

use crate::ground::{House, add, anchors, by_fingerprint, may, no_reason, requirer};

fn on_hosts(on: OnHost) -> Place {
    Place::Hosts { which: WhichHosts { all: true, ..WhichHosts::default() }, on }
}

fn store() -> OnHost {
    OnHost { system_store: true, ..OnHost::default() }
}

fn announced(places: &[&Place]) -> Vec<Announced> {
    places.iter().filter_map(|place| Announced::of(place)).collect()
}

async fn all_written(house: &House) -> Written {
    house.trust.written(may()).await.unwrap().remove(&requirer("web")).unwrap_or_default()
}

async fn hash(house: &House) -> String {
    house.trust.bundle(may(), &requirer("web")).await.unwrap().bundle.hash().to_owned()
}

async fn state(house: &House, unit: &str) -> Option<UnitState> {
    let (units, _) = house.trust.units(may(), &requirer("web"), None, 100).await.unwrap();
    units.into_iter().find(|found| found.name == unit).map(|found| found.state)
}

/// Of thousands of others, and page by page.
#[test]
fn what_happened_in_a_place_is_told() {
    block_on(async {
        let (house, _) = House::related().await;
        house.set_requirer("webs").await;
        let hash = hash(&house).await;
        let outcome = |requirer_name: &str, unit: usize, result: Result<Put, String>| Outcome {
            requirer: requirer(requirer_name),
            unit: format!("h{unit}"),
            place: Place::Poll { only: trust::Only::default() },
            result,
            tried: None,
            settled: Vec::new(),
            gone: false,
        };
        let report = async |outcome: Outcome| {
            house.clock.advance(Span::seconds(1));
            house.trust.report(may(), &[outcome]).await.unwrap();
        };
        let put = |drifted| Ok(Put { hash: hash.clone(), drifted });
        let start = house.clock.now();
        report(outcome("web", 0, Err("away".into()))).await;
        report(outcome("web", 0, Err("away".into()))).await;
        for other in 0..11_000 {
            report(outcome("webs", other, put(false))).await;
        }
        let later = house.clock.now();
        report(outcome("web", 0, put(true))).await;
        report(outcome("web", 1, put(false))).await;
        let event = |unit: &str, at, what| PlaceEvent { unit: unit.into(), at, what, by: "olga".into() };
        let (one, two) = (later + Span::seconds(1), later + Span::seconds(2));
        let expected = [
            event("h0", start + Span::seconds(1), InPlace::Failing { reason: "away".into() }),
            event("h0", one, InPlace::Drifted),
            event("h0", one, InPlace::Applied { hash: hash.clone() }),
            event("h1", two, InPlace::Applied { hash: hash.clone() }),
        ];
        for limit in [1, 2, 1_000] {
            let (mut after, mut told, mut pages) = (None, Vec::new(), 0);
            loop {
                let page = house.trust.requirer_history(may(), &requirer("web"), after.as_ref(), limit).await;
                let (events, next) = page.unwrap();
                assert!(events.len() <= limit);
                told.extend(events);
                pages += 1;
                after = next;
                if after.is_none() {
                    break;
                }
            }
            assert!(pages >= 2, "so many are not looked at for one page");
            // Of what happened in the same moment, either may come first.
            told.sort_by_key(|event| (event.at, matches!(event.what, InPlace::Applied { .. })));
            assert_eq!(told, expected, "{limit}");
        }
        let unknown = house.trust.requirer_history(may(), &requirer("nobody"), None, 1).await;
        assert!(matches!(unknown, Err(trust::ReadError::NoRequirer(_))));
    });
}

#[test]
fn a_place_is_followed_from_its_first_attempt_to_its_end() {
    block_on(async {
        let (house, _) = House::related().await;
        let place = on_hosts(store());
        house.trust.set_requirer(may(), &requirer("web"), &place, &no_reason()).await.unwrap();
        house.offer("corp", &add(&anchors(1))).await.unwrap();
        let drift = Span::seconds(3_600);
        let written = all_written(&house).await;
        assert!(!written.is_announced("h1", &place) && written.due("h1", "x", &place, drift).as_unix() == 0);
        let names = ["h1".to_owned(), "h2".to_owned()];
        house.trust.announce(may(), &requirer("web"), &names, &place).await.unwrap();
        house.trust.announce(may(), &requirer("web"), &names, &place).await.unwrap();
        let hash = hash(&house).await;
        let outcome = |unit: &str, result: Result<Put, String>, gone| Outcome {
            requirer: requirer("web"),
            unit: unit.to_owned(),
            place: place.clone(),
            result,
            tried: None,
            settled: Vec::new(),
            gone,
        };
        let put = |drifted| Ok(Put { hash: hash.clone(), drifted });
        let outcomes = [outcome("h1", put(false), false), outcome("h2", Err("away".into()), false)];
        house.trust.report(may(), &outcomes).await.unwrap();
        assert!(matches!(state(&house, "h1").await, Some(UnitState::InStep { .. })));
        let Some(UnitState::Failing { reason, attempts: 1, next, .. }) = state(&house, "h2").await else {
            panic!("it failed");
        };
        let next = next.unwrap();
        assert_eq!((reason.as_str(), next), ("away", house.clock.now() + Span::seconds(5)));
        let written = all_written(&house).await;
        assert!(written.is_announced("h1", &place) && written.elsewhere("h1", &place).is_empty());
        assert_eq!(written.due("h1", &hash, &place, drift), house.clock.now() + drift);
        assert_eq!(written.due("h1", "another", &place, drift).as_unix(), 0);
        assert_eq!(written.due("h2", &hash, &place, drift), next);
        // It is put elsewhere: where it was is remembered until it is taken away there.
        let other =
            on_hosts(OnHost { files: vec![FilePlace::new("/etc/ca.pem").unwrap()], ..OnHost::default() });
        assert_eq!(written.due("h1", &hash, &other, drift).as_unix(), 0);
        house.trust.announce(may(), &requirer("web"), &names[..1], &other).await.unwrap();
        let written = all_written(&house).await;
        let [Place::Hosts { on, .. }] = &written.elsewhere("h1", &other)[..] else {
            panic!("one other place")
        };
        assert!(on.system_store);
        let settled = announced(&[&place]);
        let moved = Outcome { place: other.clone(), settled, ..outcome("h1", put(true), false) };
        house.trust.report(may(), &[moved]).await.unwrap();
        let written = all_written(&house).await;
        assert!(written.elsewhere("h1", &other).is_empty());
        let (units, _) = house.trust.units(may(), &requirer("web"), None, 1).await.unwrap();
        assert_eq!(units[0].drifted, Some(house.clock.now()));
        // A host that is none of its hosts any more is forgotten once nothing is left on it, and not before.
        house.trust.report(may(), &[outcome("h2", Err("still away".into()), true)]).await.unwrap();
        assert!(state(&house, "h2").await.is_some());
        let gone = Outcome { settled: announced(&[&place]), ..outcome("h2", put(false), true) };
        house.trust.report(may(), &[gone]).await.unwrap();
        assert_eq!(state(&house, "h2").await, None);
    });
}

#[test]
fn whoever_asks_by_itself_says_what_it_has() {
    block_on(async {
        let (house, _) = House::related().await;
        house.offer("corp", &add(&anchors(1))).await.unwrap();
        let first = hash(&house).await;
        let confirm = |unit: &'static str, hash: String| {
            let trust = house.trust.clone();
            async move { trust.confirm(may(), &requirer("web"), unit, &hash).await }
        };
        confirm("laptop", first.clone()).await.unwrap();
        assert!(matches!(state(&house, "laptop").await, Some(UnitState::InStep { .. })));
        house.clock.advance(Span::seconds(10));
        house.offer("corp", &add(&anchors(1))).await.unwrap();
        let since = house.clock.now();
        assert_eq!(state(&house, "laptop").await, Some(UnitState::Behind { since }));
        assert!(matches!(confirm("laptop", first).await, Err(ConfirmError::Other)), "that is the one before");
        let now = hash(&house).await;
        assert!(matches!(confirm("a/b", now.clone()).await, Err(ConfirmError::Unit)));
        let on = store();
        house.trust.set_requirer(may(), &requirer("web"), &on_hosts(on), &no_reason()).await.unwrap();
        assert!(matches!(confirm("laptop", now).await, Err(ConfirmError::Looked)), "the server looks itself");
    });
}

/// From its first word on: what it tried may be there, and what it had before as well, until it says that all is well.
#[test]
fn whoever_asks_by_itself_says_that_it_fails() {
    block_on(async {
        let (house, _) = House::related().await;
        let all = anchors(3);
        house.offer("corp", &add(&all[..1])).await.unwrap();
        let first = hash(&house).await;
        let fail = |hash: String, reason: &'static str| {
            let trust = house.trust.clone();
            async move { trust.fail(may(), &requirer("web"), "laptop", &hash, reason).await }
        };
        fail(first.clone(), "its hook failed").await.unwrap();
        let since = house.clock.now();
        let reason = "its hook failed".to_owned();
        let failing = UnitState::Failing { since, reason, attempts: 1, next: None };
        assert_eq!(state(&house, "laptop").await, Some(failing));
        for reason in ["", "two\nlines", &*"x".repeat(501).leak()] {
            assert!(matches!(fail(first.clone(), reason).await, Err(ConfirmError::Reason)), "{reason:?}");
        }
        assert!(matches!(fail("00".into(), "no hash").await, Err(ConfirmError::Other)));

        let still_with = async |which: &trust::Anchor| {
            let told = house.trust.explain(may(), which.fingerprint()).await.unwrap().unwrap();
            let still = told.requirers.iter().filter(|has| !has.wanted).flat_map(|has| &has.units);
            still.map(|unit| unit.name.clone()).collect::<Vec<_>>()
        };
        let only = |some: &[trust::Anchor]| trust::Offer {
            change: trust::SetChange::Exactly(by_fingerprint(some)),
            confirmed: true,
            ..add(some)
        };
        house.offer("corp", &only(&all[1..2])).await.unwrap();
        assert_eq!(still_with(&all[0]).await, ["laptop"], "it never said that it has it, and may have it");
        house.trust.confirm(may(), &requirer("web"), "laptop", &hash(&house).await).await.unwrap();
        assert!(still_with(&all[0]).await.is_empty());
        // What it had, it has still when it fails, even with a bundle that is not the one any more.
        let second = hash(&house).await;
        house.offer("corp", &only(&all[2..])).await.unwrap();
        fail(hash(&house).await, "no room").await.unwrap();
        fail(second, "no room").await.unwrap();
        assert_eq!(still_with(&all[1]).await, ["laptop"]);
        house.clock.advance(Span::days(1));
        house.trust.tidy(may()).await.unwrap();
        assert_eq!(still_with(&all[1]).await, ["laptop"]);
        assert!(still_with(&all[0]).await.is_empty(), "it is known what it had");
        house.trust.confirm(may(), &requirer("web"), "laptop", &hash(&house).await).await.unwrap();
        assert!(still_with(&all[1]).await.is_empty());
    });
}

/// Whoever began may have it, whatever becomes of it; the last who says that it has nothing any more lets the requirer go.
#[test]
fn whoever_began_is_waited_for() {
    block_on(async {
        let (house, _) = House::related().await;
        let web = requirer("web");
        let begin = async |unit: &str, hash: &str| house.trust.begin(may(), &web, unit, hash).await;
        let confirm = async |unit: &str, hash: &str| house.trust.confirm(may(), &web, unit, hash).await;
        let nothing = hash(&house).await;
        begin("idle", &nothing).await.unwrap();
        assert_eq!(state(&house, "idle").await, None, "who is given nothing has nothing to be taken away");
        confirm("one", &nothing).await.unwrap();
        house.offer("corp", &add(&anchors(1))).await.unwrap();
        let (first, since) = (hash(&house).await, house.clock.now());
        assert!(matches!(begin("a/b", &first).await, Err(ConfirmError::Unit)));
        assert!(matches!(begin("one", &nothing).await, Err(ConfirmError::Other)), "that is the one before");
        for unit in ["one", "two"] {
            begin(unit, &first).await.unwrap();
            assert_eq!(state(&house, unit).await, Some(UnitState::Behind { since }));
        }
        confirm("two", &first).await.unwrap();
        begin("two", &first).await.unwrap();
        assert!(matches!(state(&house, "two").await, Some(UnitState::InStep { .. })), "it is known already");

        // Somebody has it go while one more begins: that one is known, or is told to put nothing anywhere.
        let other = House::on(house.memory.clone());
        house.memory.before_next_commit(async move {
            other.trust.remove_requirer(may(), &requirer("web"), false, &no_reason()).await.unwrap();
        });
        assert!(matches!(begin("late", &first).await, Err(ConfirmError::Other)));
        assert_eq!(state(&house, "late").await, None);
        let is_had = async || all_written(&house).await.is_had(&nothing);
        assert!(is_had().await);
        confirm("two", &nothing).await.unwrap();
        assert!(is_had().await && house.trust.requirer(may(), &web).await.is_ok());
        confirm("one", &nothing).await.unwrap();
        assert!(house.trust.requirer(may(), &web).await.is_err(), "nobody has anything of it any more");

        // One that fails to take it away has it still; with one that is made to stay meanwhile, all stays as it is.
        house.set_requirer("web").await;
        house.trust.relate(may(), &"corp".parse().unwrap(), &web, &no_reason()).await.unwrap();
        begin("one", &first).await.unwrap();
        house.trust.remove_requirer(may(), &web, false, &no_reason()).await.unwrap();
        house.trust.fail(may(), &web, "one", &nothing, "no room").await.unwrap();
        assert!(is_had().await);
        house.set_requirer("web").await;
        confirm("one", &first).await.unwrap();
        assert!(house.trust.requirer(may(), &web).await.is_ok());
    });
}

/// One that cannot begin is shown, and is not waited for unless it had something before, or tries.
#[test]
fn whoever_never_had_anything_is_not_waited_for() {
    block_on(async {
        let (house, _) = House::related().await;
        let web = requirer("web");
        let decline =
            async |unit: &str, hash: &str| house.trust.decline(may(), &web, unit, hash, "no folder").await;
        let nothing = hash(&house).await;
        let is_had = async || all_written(&house).await.is_had(&nothing);
        let is_failing = async |unit| matches!(state(&house, unit).await, Some(UnitState::Failing { .. }));
        let all = anchors(1);
        house.offer("corp", &add(&all)).await.unwrap();
        let first = hash(&house).await;
        for _ in 0..2 {
            decline("absent", &first).await.unwrap();
            assert!(is_failing("absent").await && !is_had().await, "it is shown, and has nothing");
        }
        assert!(matches!(decline("absent", "00").await, Err(ConfirmError::Other)));
        let refused = house.trust.decline(may(), &web, "absent", &first, "two\nlines").await;
        assert!(matches!(refused, Err(ConfirmError::Reason)));

        // It begins after all: now it may have it, and says nothing else by not being able to go on.
        house.trust.begin(may(), &web, "absent", &first).await.unwrap();
        assert!(is_had().await);
        decline("absent", &first).await.unwrap();
        assert!(is_had().await);
        house.trust.confirm(may(), &web, "absent", &first).await.unwrap();
        decline("absent", &first).await.unwrap();
        assert!(is_had().await && is_failing("absent").await, "it has it still");

        // One that tried is waited for, also if it had nothing before.
        let had = house.trust.explain(may(), all[0].fingerprint()).await.unwrap().unwrap();
        assert_eq!(had.requirers.len(), 1);
        let change = trust::SetChange::Empty;
        let empty = trust::Offer { change, confirmed: true, ..add(&all) };
        house.offer("corp", &empty).await.unwrap();
        house.trust.confirm(may(), &web, "absent", &nothing).await.unwrap();
        assert!(!is_had().await);
        house.trust.fail(may(), &web, "absent", &first, "its hook failed").await.unwrap();
        assert!(is_had().await);
        decline("absent", &nothing).await.unwrap();
        assert!(is_had().await);
    });
}

#[test]
fn a_certificate_is_explained() {
    block_on(async {
        let (house, number) = House::related().await;
        let all = anchors(2);
        assert!(house.trust.explain(may(), all[0].fingerprint()).await.unwrap().is_none());
        house.offer("corp", &add(&all[..1])).await.unwrap();
        let own = trust::Offer { relation: Some(number), ..add(&all[1..]) };
        house.offer("corp", &own).await.unwrap();
        house.trust.confirm(may(), &requirer("web"), "laptop", &hash(&house).await).await.unwrap();
        let told = house.trust.explain(may(), all[0].fingerprint()).await.unwrap().unwrap();
        assert_eq!(told.anchor.as_ref(), Some(&all[0]));
        assert_eq!(told.offered, [("corp".parse().unwrap(), None)]);
        assert_eq!((told.brought[0].from.as_str(), told.brought[0].by.as_str()), ("corp", "olga"));
        assert_eq!(told.requirers[0].units[0].name, "laptop");
        let told = house.trust.explain(may(), all[1].fingerprint()).await.unwrap().unwrap();
        assert_eq!(told.offered, [("corp".parse().unwrap(), Some(number))]);
        assert_eq!(told.brought[0].from, format!("corp in relation {number}"));
        // When it is withdrawn, who brought it is known still.
        let remove = trust::SetChange::Remove(all[0].fingerprint());
        let remove = trust::Offer { change: remove, relation: None, basis: None, confirmed: true };
        house.offer("corp", &remove).await.unwrap();
        let told = house.trust.explain(may(), all[0].fingerprint()).await.unwrap().unwrap();
        assert!(told.anchor.is_none() && !told.brought.is_empty());
        let has = &told.requirers[0];
        assert_eq!((has.requirer.as_str(), has.wanted, has.units[0].name.as_str()), ("web", false, "laptop"));
        assert!(matches!(has.units[0].state, UnitState::Behind { .. }));
        // What was never in it is not there still, where what was there is known.
        house.trust.confirm(may(), &requirer("web"), "laptop", &hash(&house).await).await.unwrap();
        let told = house.trust.explain(may(), all[0].fingerprint()).await.unwrap().unwrap();
        assert!(told.requirers.is_empty(), "{:?}", told.requirers);
        let again = add(&all[..1]);
        house.offer("corp", &again).await.unwrap();
        house.clock.advance(Span::days(1));
        house.trust.tidy(may()).await.unwrap();
        let told = house.trust.explain(may(), all[0].fingerprint()).await.unwrap().unwrap();
        assert!(told.requirers[0].wanted);
        let empty =
            trust::Offer { change: trust::SetChange::Empty, relation: None, basis: None, confirmed: true };
        house.offer("corp", &empty).await.unwrap();
        house.offer("corp", &trust::Offer { relation: Some(number), ..empty }).await.unwrap();
        house.clock.advance(Span::days(1));
        house.trust.tidy(may()).await.unwrap();
        let fresh = House::on(house.memory.clone());
        let told = fresh.trust.explain(may(), all[0].fingerprint()).await.unwrap().unwrap();
        assert!(told.requirers.is_empty(), "what the laptop has never had it: {:?}", told.requirers);
        let told = fresh.trust.explain(may(), all[1].fingerprint()).await.unwrap().unwrap();
        assert_eq!((told.requirers[0].wanted, told.requirers.len()), (false, 1));
    });
}

/// A place with `count` files with hooks, each of about 5 KiB.
fn with_hooks(count: usize) -> Place {
    let file = |number: usize| {
        let file = FilePlace::new(&format!("/etc/{}/{number}.pem", "a".repeat(900))).unwrap();
        file.with_hook(&"x".repeat(4_000)).unwrap()
    };
    on_hosts(OnHost { files: (0..count).map(file).collect(), ..OnHost::default() })
}

#[test]
fn a_late_report_drops_no_place_that_it_did_not_know_of() {
    block_on(async {
        let (house, _) = House::related().await;
        let (old, new) = (on_hosts(store()), with_hooks(1));
        let (web, names) = (requirer("web"), ["h1".to_owned()]);
        house.trust.set_requirer(may(), &web, &old, &no_reason()).await.unwrap();
        house.trust.announce(may(), &web, &names, &old).await.unwrap();
        // Whoever began with that is late: somebody else puts them elsewhere by now.
        house.trust.announce(may(), &web, &names, &new).await.unwrap();
        let hash = hash(&house).await;
        let outcome = |gone| Outcome {
            requirer: web.clone(),
            unit: "h1".to_owned(),
            place: old.clone(),
            result: Ok(Put { hash: hash.clone(), drifted: false }),
            tried: None,
            settled: announced(&[&old]),
            gone,
        };
        house.trust.report(may(), &[outcome(false)]).await.unwrap();
        let written = all_written(&house).await;
        assert!(written.is_announced("h1", &new) && written.is_announced("h1", &old));
        house.trust.report(may(), &[outcome(true)]).await.unwrap();
        let written = all_written(&house).await;
        assert!(written.is_announced("h1", &new) && !written.is_announced("h1", &old));
        // Of one that was left behind on purpose nothing is written down any more.
        house.trust.remove_requirer(may(), &web, true, &no_reason()).await.unwrap();
        house.trust.report(may(), &[outcome(false)]).await.unwrap();
        let announced = house.trust.announce(may(), &web, &names, &new).await;
        assert!(matches!(announced, Err(store::CommitError::Conflict { .. })), "{announced:?}");
        assert_eq!(house.count("/trust/unit/").await, 0);
    });
}

#[test]
fn a_large_requirer_stops_nobody() {
    block_on(async {
        let (house, _) = House::related().await;
        let (web, large) = (requirer("web"), with_hooks(16));
        house.trust.set_requirer(may(), &web, &large, &no_reason()).await.unwrap();
        let names: Vec<String> = (0..trust::ANNOUNCED_MAX).map(|number| format!("h{number}")).collect();
        house.trust.announce(may(), &web, &names, &large).await.unwrap();
        let written = all_written(&house).await;
        assert!(names.iter().all(|name| written.is_announced(name, &large)));
        let hash = hash(&house).await;
        let outcome = |unit: &str, settled: &[Place]| Outcome {
            requirer: web.clone(),
            unit: unit.to_owned(),
            place: large.clone(),
            result: Ok(Put { hash: hash.clone(), drifted: false }),
            settled: announced(&settled.iter().collect::<Vec<_>>()),
            tried: None,
            gone: false,
        };
        let outcomes: Vec<Outcome> =
            names[..trust::OUTCOMES_MAX].iter().map(|name| outcome(name, &[])).collect();
        house.trust.report(may(), &outcomes).await.unwrap();
        assert!(matches!(state(&house, "h24").await, Some(UnitState::InStep { .. })));
        // A place that was moved again and again while it was out of reach has no room for one more; others do.
        for count in 8..15 {
            house.trust.announce(may(), &web, &names[..1], &with_hooks(count)).await.unwrap();
        }
        let one_more = with_hooks(15);
        house.trust.announce(may(), &web, &names[..2], &one_more).await.unwrap();
        let written = all_written(&house).await;
        assert!(!written.is_announced("h0", &one_more) && written.is_announced("h1", &one_more));
    });
}

#[test]
fn a_webhook_tells_old_from_new() {
    block_on(async {
        let (house, _) = House::related().await;
        let webhook = |url: &str| {
            let secret = Secret::new("0123456789abcdef".to_owned());
            Place::Webhook(Webhook { url: url.to_owned(), secret, ca: None })
        };
        let (web, all) = (requirer("web"), anchors(2));
        house.trust.set_requirer(may(), &web, &webhook("https://a"), &no_reason()).await.unwrap();
        let revision = || async {
            let (wanted, _) = house.trust.wanted(may()).await.unwrap();
            wanted[0].revision.unwrap()
        };
        let first = revision().await;
        assert_eq!(revision().await, first, "the same again is the same");
        house.offer("corp", &add(&all[..1])).await.unwrap();
        let second = revision().await;
        let remove = trust::SetChange::Remove(all[0].fingerprint());
        let remove = trust::Offer { change: remove, relation: None, basis: None, confirmed: true };
        house.offer("corp", &remove).await.unwrap();
        let third = revision().await;
        assert!(first < second && second < third, "also where it has what it had before");
        house.trust.set_requirer(may(), &web, &webhook("https://b"), &no_reason()).await.unwrap();
        assert_eq!(revision().await, third);
        // Somebody else is faster, and knows of more.
        house.offer("corp", &add(&all[..1])).await.unwrap();
        let other = House::on(house.memory.clone());
        let more = add(&all[1..]);
        house.memory.before_next_commit(async move {
            other.offer("corp", &more).await.unwrap();
            other.trust.wanted(may()).await.unwrap();
        });
        let (wanted, next) = house.trust.wanted(may()).await.unwrap();
        assert_eq!((wanted.len(), next), (0, Some(house.clock.now())), "what it knows is old");
        let fourth = revision().await;
        assert!(fourth > third);
        // One that is made anew does not begin where its receiver refuses it.
        house.trust.remove_requirer(may(), &web, true, &no_reason()).await.unwrap();
        house.clock.advance(Span::seconds(60));
        house.trust.set_requirer(may(), &web, &webhook("https://a"), &no_reason()).await.unwrap();
        assert!(revision().await > fourth);
    });
}
