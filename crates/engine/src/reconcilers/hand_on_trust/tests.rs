mod files;
mod leaving;

use std::collections::HashMap;
use std::sync::Mutex;

use base::Entropy;
use store::{Memory, SealingKey};
use trust::on_host::{Drift, FilePlace, OnHost, Spot};
use trust::{Anchor, Bundle, Fingerprint, Offer, ProviderName, SetChange, Terms, UnitState, WhichHosts, Why};
use x509::{CertificateTemplate, KeySpec, Name, PrivateKey, Serial, extension};

use super::*;

/// Hosts that do as they are told: what is in the trust store of each, by its hash.
#[derive(Default)]
struct Hosts {
    there: Mutex<BTreeSet<String>>,
    stores: Mutex<HashMap<String, String>>,
    away: Mutex<BTreeSet<String>>,
    busy: Mutex<BTreeSet<String>>,
    asked: Mutex<usize>,
    /// What happens when so many were asked.
    then: Mutex<Option<(usize, BoxFuture<'static, ()>)>>,
    /// Whose each file is, by the host and the path.
    files: Mutex<HashMap<String, BTreeMap<String, String>>>,
    /// The files at which there is somebody else's, everywhere, that is not adopted.
    theirs: Mutex<BTreeSet<String>>,
    /// The files that were said to go.
    dropped: Mutex<BTreeSet<String>>,
    /// What somebody else changed meanwhile, by the host.
    drift: Mutex<HashMap<String, Drift>>,
    /// What fails, by the host.
    trouble: Mutex<HashMap<String, Trouble>>,
    /// What is in places that are no hosts, by their kind and name.
    units: Mutex<BTreeMap<String, String>>,
}

const WEBHOOK: &str = "webhook";

impl HandOn for Hosts {
    fn units<'a>(&'a self, places: &'a [&'a Place]) -> BoxFuture<'a, Vec<Result<BTreeSet<String>, String>>> {
        let there = self.there.lock().unwrap().clone();
        let units = move |place: &&Place| match place {
            Place::Hosts { which, .. } if which.all => Ok(there.clone()),
            Place::Hosts { which, .. } => Ok(which.hosts.iter().cloned().collect()),
            Place::Kubernetes(place) => Ok(place.namespaces.iter().cloned().collect()),
            Place::Webhook(_) => Ok([WEBHOOK.to_owned()].into()),
            Place::Poll { .. } => Ok(BTreeSet::new()),
        };
        Box::pin(async move { places.iter().map(units).collect() })
    }

    fn to_host<'a>(&'a self, errand: &'a HostErrand, _stop: &'a Stop) -> BoxFuture<'a, Came> {
        Box::pin(async move {
            *self.asked.lock().unwrap() += 1;
            let asked = *self.asked.lock().unwrap();
            let then = self.then.lock().unwrap().take_if(|(after, _)| *after == asked);
            if let Some((_, then)) = then {
                then.await;
            }
            if self.away.lock().unwrap().contains(&errand.host) {
                return Came::Failed("away".into());
            }
            if self.busy.lock().unwrap().contains(&errand.host) {
                return Came::NotNow;
            }
            let files = errand.parts.iter().flat_map(|part| {
                part.on.files.iter().map(|file| (file.path().to_owned(), part.requirer.to_string()))
            });
            self.files.lock().unwrap().insert(errand.host.clone(), files.collect());
            let dropped = errand.drops.iter().map(|file| file.path().to_owned());
            self.dropped.lock().unwrap().extend(dropped);
            let sharing = errand.parts.iter().filter(|part| part.on.system_store);
            let all = Bundle::union(sharing.map(|part| &*part.bundle));
            let mut stores = self.stores.lock().unwrap();
            match all.anchors().is_empty() {
                false => stores.insert(errand.host.clone(), all.hash().to_owned()),
                true => stores.remove(&errand.host),
            };
            drop(stores);
            let theirs = self.theirs.lock().unwrap();
            let files = errand.parts.iter().flat_map(|part| &part.on.files);
            let refused = files.filter(|file| theirs.contains(file.path()) && !file.adopts());
            let refused = refused.map(|file| {
                let at = Spot::File(file.path().to_owned());
                Trouble { at, said: "theirs".into(), may_leave: false }
            });
            let mut refused: Vec<Trouble> = refused.collect();
            refused.extend(self.trouble.lock().unwrap().get(&errand.host).cloned());
            let drift = self.drift.lock().unwrap().remove(&errand.host).unwrap_or_default();
            Came::OnHost { drift, refused }
        })
    }

    fn to_units<'a>(
        &'a self,
        errand: &'a RequirerErrand,
        _stop: &'a Stop,
    ) -> BoxFuture<'a, Vec<(String, Came)>> {
        Box::pin(async move {
            let mut units = self.units.lock().unwrap();
            *self.asked.lock().unwrap() += errand.give.len();
            for give in &errand.give {
                units.insert(
                    format!("{} {}", errand.place.kind(), give.unit),
                    errand.bundle.hash().to_owned(),
                );
            }
            for (unit, places) in &errand.take {
                places.iter().for_each(|place| drop(units.remove(&format!("{} {unit}", place.kind()))));
            }
            let given = errand.give.iter().map(|give| give.unit.clone());
            let all = given.chain(errand.take.iter().map(|(unit, _)| unit.clone()));
            all.map(|unit| (unit, Came::Done { drifted: false })).collect()
        })
    }

    fn at_once(&self) -> usize {
        4
    }
}

struct World {
    trust: Arc<Trust>,
    hosts: Arc<Hosts>,
    reconciler: HandOnTrust,
    clock: Clock,
    engine: Arc<Memory>,
}

fn anchor(name: &str) -> (Fingerprint, Anchor) {
    let key = PrivateKey::generate(KeySpec::Ed25519).unwrap();
    let template = CertificateTemplate {
        serial: Serial::from_decimal("1").unwrap(),
        issuer: Name::from_common_name(name).unwrap(),
        subject: Name::from_common_name(name).unwrap(),
        not_before: Timestamp::from_unix(1_700_000_000),
        not_after: Timestamp::from_unix(1_900_000_000),
        public_key: key.public().clone(),
        extensions: vec![extension::basic_constraints(true, None)],
    };
    let anchor = Anchor::from(&template.sign(&key));
    (anchor.fingerprint(), anchor)
}

fn provider(name: &str) -> ProviderName {
    name.parse().unwrap()
}

fn requirer(name: &str) -> RequirerName {
    name.parse().unwrap()
}

impl World {
    /// A provider `corp` of one certificate, and a fleet of `hosts`.
    async fn new(hosts: &[&str]) -> Self {
        let (clock, entropy) = (Clock::manual(Timestamp::from_unix(1_800_000_000)), Entropy::seeded(1));
        let sealing = Arc::new(SealingKey::generate(&entropy));
        let engine = Arc::new(Memory::new());
        let ground = trust::Ground { engine: engine.clone(), sealing, clock: clock.clone(), entropy };
        let trust = Arc::new(Trust::new(ground).unwrap());
        let there = hosts.iter().map(|host| (*host).to_owned()).collect();
        let hosts = Arc::new(Hosts { there: Mutex::new(there), ..Hosts::default() });
        let reconciler = HandOnTrust::new(trust.clone(), hosts.clone(), clock.clone());
        let world = Self { trust, hosts, reconciler, clock, engine };
        world.provide("corp", 1).await;
        world
    }

    async fn provide(&self, name: &str, count: usize) {
        let (house, why) = (Permit::house, Why::default());
        self.trust.set_provider(house(), &provider(name), &Terms::default(), &why).await.unwrap();
        let anchors = (0..count).map(|number| anchor(&format!("{name} {number}"))).collect();
        self.offer(name, SetChange::Add(anchors)).await;
    }

    async fn offer(&self, name: &str, change: SetChange) {
        let offer = Offer { change, relation: None, basis: None, confirmed: true };
        self.trust.offer(Permit::house(), &provider(name), &offer, &Why::default()).await.unwrap();
    }

    async fn require(&self, name: &str, from: &[&str], which: WhichHosts) {
        let place = Place::Hosts { which, on: OnHost { system_store: true, ..OnHost::default() } };
        let why = Why::default();
        self.trust.set_requirer(Permit::house(), &requirer(name), &place, &why).await.unwrap();
        for from in from {
            let (from, to) = (provider(from), requirer(name));
            self.trust.relate(Permit::house(), &from, &to, &why).await.unwrap();
        }
    }

    async fn step(&mut self) -> Timestamp {
        let Next::At(next) = self.reconciler.step(&Stop::new()).await.unwrap();
        next
    }

    async fn hash(&self, name: &str) -> String {
        let bundle = self.trust.bundle(Permit::house(), &requirer(name)).await.unwrap().bundle;
        bundle.hash().to_owned()
    }

    fn on(&self, host: &str) -> Option<String> {
        self.hosts.stores.lock().unwrap().get(host).cloned()
    }

    fn asked(&self) -> usize {
        std::mem::take(&mut *self.hosts.asked.lock().unwrap())
    }

    async fn states(&self, name: &str) -> Vec<(String, bool)> {
        let (units, _) = self.trust.units(Permit::house(), &requirer(name), None, 100).await.unwrap();
        let state = |state| matches!(state, UnitState::InStep { .. });
        units.into_iter().map(|unit| (unit.name, state(unit.state))).collect()
    }
}

fn all() -> WhichHosts {
    WhichHosts { all: true, ..WhichHosts::default() }
}

fn one(host: &str) -> WhichHosts {
    WhichHosts { hosts: vec![host.to_owned()], ..WhichHosts::default() }
}

#[tokio::test]
async fn every_host_has_what_its_requirer_is_to_have() {
    let mut world = World::new(&["h1", "h2", "h3"]).await;
    world.require("web", &["corp"], all()).await;
    world.step().await;
    let hash = world.hash("web").await;
    for host in ["h1", "h2", "h3"] {
        assert_eq!(world.on(host).as_ref(), Some(&hash), "{host}");
    }
    assert_eq!(world.asked(), 3);
    world.step().await;
    assert_eq!(world.asked(), 0, "nothing is due");
    // Another set goes to all of them; so does the same one, after a while, in case it is not there any more.
    world.offer("corp", SetChange::Add([anchor("more")].into())).await;
    world.step().await;
    assert_eq!((world.asked(), world.on("h2")), (3, Some(world.hash("web").await)));
    world.clock.advance(DRIFT);
    world.step().await;
    assert_eq!(world.asked(), 3);
    // A host that comes gets it, and one that goes loses it.
    *world.hosts.there.lock().unwrap() = BTreeSet::from(["h1".to_owned(), "h4".to_owned()]);
    world.step().await;
    assert_eq!((world.on("h2"), world.on("h4")), (None, Some(world.hash("web").await)));
    assert_eq!(world.states("web").await, [("h1".to_owned(), true), ("h4".to_owned(), true)]);
}

#[tokio::test]
async fn a_host_that_is_away_is_tried_again() {
    let mut world = World::new(&["h1", "h2"]).await;
    world.hosts.away.lock().unwrap().insert("h2".to_owned());
    world.require("web", &["corp"], all()).await;
    let next = world.step().await;
    assert_eq!(next, world.clock.now() + NOT_NOW.0);
    assert_eq!(world.states("web").await, [("h1".to_owned(), true), ("h2".to_owned(), false)]);
    world.asked();
    world.step().await;
    assert_eq!(world.asked(), 0, "not at once");
    world.clock.advance(Span::seconds(5));
    world.step().await;
    assert_eq!(world.asked(), 1);
    // Withdrawn while it is away: it never gets it, and is asked for nothing else.
    world.hosts.away.lock().unwrap().clear();
    world.offer("corp", SetChange::Empty).await;
    world.clock.advance(Span::seconds(10));
    world.step().await;
    assert_eq!(world.on("h2"), None);
    assert_eq!(world.states("web").await, [("h1".to_owned(), true), ("h2".to_owned(), true)]);
}

#[tokio::test]
async fn those_who_share_a_store_do_not_rob_each_other() {
    let mut world = World::new(&["h1", "h2"]).await;
    world.provide("other", 1).await;
    world.require("web", &["corp"], all()).await;
    world.require("db", &["other"], one("h1")).await;
    world.require("both", &["corp", "other"], one("nowhere")).await;
    world.step().await;
    let (both, web) = (world.hash("both").await, world.hash("web").await);
    assert_eq!((world.on("h1"), world.on("h2")), (Some(both.clone()), Some(web.clone())));
    world.clock.advance(DRIFT);
    world.step().await;
    assert_eq!(world.on("h1"), Some(both), "looking again changes nothing");
    // When one leaves, what the other is to have stays.
    world.trust.remove_requirer(Permit::house(), &requirer("db"), false, &Why::default()).await.unwrap();
    world.step().await;
    assert_eq!(world.on("h1"), Some(web));
    world.step().await;
    assert!(world.trust.requirer(Permit::house(), &requirer("db")).await.is_err(), "nothing of it is left");
    world.trust.remove_requirer(Permit::house(), &requirer("web"), false, &Why::default()).await.unwrap();
    world.step().await;
    assert_eq!((world.on("h1"), world.on("h2")), (None, None));
}

fn files(paths: &[&str], system_store: bool) -> OnHost {
    let files = paths.iter().map(|path| FilePlace::new(path).unwrap()).collect();
    OnHost { files, system_store, ..OnHost::default() }
}

impl World {
    async fn place(&self, name: &str, place: &Place) {
        let why = Why::default();
        self.trust.set_requirer(Permit::house(), &requirer(name), place, &why).await.unwrap();
    }

    async fn relate(&self, from: &str, to: &str) {
        let why = Why::default();
        self.trust.relate(Permit::house(), &provider(from), &requirer(to), &why).await.unwrap();
    }

    async fn reason(&self, name: &str) -> Option<String> {
        let (units, _) = self.trust.units(Permit::house(), &requirer(name), None, 100).await.unwrap();
        match &units[0].state {
            UnitState::Failing { reason, .. } => Some(reason.clone()),
            _ => None,
        }
    }

    async fn leave(&self, name: &str) {
        let why = Why::default();
        self.trust.remove_requirer(Permit::house(), &requirer(name), false, &why).await.unwrap();
    }

    async fn is_known(&self, name: &str) -> bool {
        self.trust.requirer(Permit::house(), &requirer(name)).await.is_ok()
    }
}

#[tokio::test]
async fn what_is_withdrawn_is_put_nowhere_any_more() {
    let names: Vec<String> = (0..100).map(|number| format!("h{number:04}")).collect();
    let mut world = World::new(&names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    world.require("web", &["corp"], all()).await;
    let (trust, hosts) = (world.trust.clone(), world.hosts.clone());
    let (told, tell) = tokio::sync::oneshot::channel();
    let withdraw = async move {
        replace(&trust).await;
        let before = hosts.stores.lock().unwrap().len();
        told.send(before).unwrap();
    };
    *world.hosts.then.lock().unwrap() = Some((31, Box::pin(withdraw)));
    while world.step().await <= world.clock.now() {}
    let had_before = tell.await.unwrap();
    // Those that had it, and those that were in hand, are asked twice.
    let asked = world.asked() - names.len();
    assert!((had_before..=had_before + world.hosts.at_once()).contains(&asked), "{asked} {had_before}");
    let hash = world.hash("web").await;
    let stores = world.hosts.stores.lock().unwrap().clone();
    assert!(stores.values().all(|is| *is == hash) && stores.len() == names.len());
}

/// A provider has something else, at once.
async fn replace(trust: &Trust) {
    let change = SetChange::Exactly([anchor("another")].into());
    let offer = Offer { change, relation: None, basis: None, confirmed: true };
    trust.offer(Permit::house(), &provider("corp"), &offer, &Why::default()).await.unwrap();
}

/// While one host takes its time, the others have what is wanted since; and so has that one, when it has ended.
#[tokio::test]
async fn nobody_waits_for_a_host_that_takes_long() {
    let mut world = World::new(&["h1", "h2", "h3"]).await;
    world.require("web", &["corp"], all()).await;
    world.require("gone", &["corp"], one("h2")).await;
    let (answer, answers) = tokio::sync::oneshot::channel::<()>();
    // The last of them.
    *world.hosts.then.lock().unwrap() = Some((3, Box::pin(async move { answers.await.unwrap() })));
    let (trust, hosts) = (world.trust.clone(), world.hosts.clone());
    let look = async move {
        let count = || hosts.stores.lock().unwrap().len();
        wait_for(async || count() == 2).await;
        replace(&trust).await;
        trust.remove_requirer(Permit::house(), &requirer("gone"), false, &Why::default()).await.unwrap();
        let hash = trust.bundle(Permit::house(), &requirer("web")).await.unwrap().bundle.hash().to_owned();
        let have = || hosts.stores.lock().unwrap().values().filter(|is| **is == hash).count();
        wait_for(async || have() == 2).await;
        wait_for(async || trust.requirer(Permit::house(), &requirer("gone")).await.is_err()).await;
        assert_eq!(count(), 2, "the third has not answered");
        answer.send(()).unwrap();
    };
    tokio::join!(world.step(), look);
    while world.step().await <= world.clock.now() {}
    let hash = world.hash("web").await;
    for host in ["h1", "h2", "h3"] {
        assert_eq!(world.on(host).as_ref(), Some(&hash), "{host}");
    }
    assert!(world.states("web").await.iter().all(|(_, is_in_step)| *is_in_step));
}

/// Changes that come faster than all is read keep nobody from being served.
#[tokio::test]
async fn changes_without_end_are_no_reason_to_do_nothing() {
    let names: Vec<String> = (0..10).map(|number| format!("h{number}")).collect();
    let mut world = World::new(&names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    world.require("web", &["corp"], all()).await;
    // One takes its time, all along.
    let (answer, answers) = tokio::sync::oneshot::channel::<()>();
    *world.hosts.then.lock().unwrap() = Some((1, Box::pin(async move { answers.await.unwrap() })));
    let (trust, hosts) = (world.trust.clone(), world.hosts.clone());
    let change = async {
        while hosts.stores.lock().unwrap().len() < 9 {
            replace(&trust).await;
            tokio::task::yield_now().await;
        }
        answer.send(()).unwrap();
    };
    let serve = async { while world.step().await <= world.clock.now() {} };
    let both = tokio::time::timeout(Duration::from_secs(60), async { tokio::join!(serve, change) });
    both.await.expect("all are served");
    let hash = world.hash("web").await;
    assert!(names.iter().all(|host| world.on(host).as_ref() == Some(&hash)));
}

async fn wait_for(is_so: impl AsyncFn() -> bool) {
    let look = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), look).await.expect("it comes about");
}

/// Who has it is shown while somebody else does not answer.
#[tokio::test]
async fn nobody_waits_for_who_is_away_to_be_shown() {
    let mut world = World::new(&["h1", "h2", "h3"]).await;
    world.require("web", &["corp"], all()).await;
    let (answer, answers) = tokio::sync::oneshot::channel::<()>();
    *world.hosts.then.lock().unwrap() = Some((3, Box::pin(async move { answers.await.unwrap() })));
    let trust = world.trust.clone();
    let look = async move {
        let in_step = || async {
            let (units, _) = trust.units(Permit::house(), &requirer("web"), None, 100).await.unwrap();
            units.iter().filter(|unit| matches!(unit.state, UnitState::InStep { .. })).count()
        };
        while in_step().await < 2 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        answer.send(()).unwrap();
    };
    let both = tokio::time::timeout(Duration::from_secs(60), async { tokio::join!(world.step(), look) });
    both.await.expect("the two that answered are in step while the third has not");
    assert_eq!(world.states("web").await.iter().filter(|(_, is_in_step)| *is_in_step).count(), 3);
}

#[tokio::test]
async fn nothing_is_put_anywhere_before_there_was_something() {
    let mut world = World::new(&["h1"]).await;
    let place = Place::Hosts { which: all(), on: files(&["/etc/live.pem"], false) };
    world.place("web", &place).await;
    world.step().await;
    assert_eq!((world.asked(), world.states("web").await.len()), (0, 0), "no empty file, and no hook");
    world.relate("corp", "web").await;
    world.step().await;
    assert_eq!((world.asked(), world.states("web").await.len()), (1, 1));
    // From then on nothing is something that it is to have.
    world.offer("corp", SetChange::Empty).await;
    world.step().await;
    assert_eq!(world.asked(), 1);
    assert!(world.hosts.files.lock().unwrap()["h1"].contains_key("/etc/live.pem"));
}

/// Nobody looks at everything every few seconds for one host's sake.
#[tokio::test]
async fn who_is_busy_or_away_is_asked_less_and_less() {
    let mut world = World::new(&["h1"]).await;
    world.hosts.busy.lock().unwrap().insert("h1".to_owned());
    world.require("web", &["corp"], all()).await;
    for pause in [5, 10, 20, 40, 60, 60] {
        let next = world.step().await;
        assert_eq!((next - world.clock.now(), world.asked()), (Span::seconds(pause), 1));
        world.step().await;
        assert_eq!(world.asked(), 0, "it is left alone until then");
        world.clock.advance(Span::seconds(pause));
    }
    world.hosts.busy.lock().unwrap().clear();
    world.hosts.away.lock().unwrap().insert("h1".to_owned());
    for pause in [5, 10, 20, 40] {
        assert_eq!(world.step().await - world.clock.now(), Span::seconds(pause));
        world.clock.advance(Span::seconds(pause));
    }
    world.leave("web").await;
    let next = world.step().await;
    assert_eq!(next - world.clock.now(), EVERY, "that it is to go does not make it come back sooner");
}
