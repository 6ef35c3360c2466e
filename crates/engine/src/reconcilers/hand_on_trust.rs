//! Puts in every requirer's places what it is to have there, looks now and then whether it is there still, and takes it
//! away where it is not to be any more.
//!
//! ```text
//! wanted ──► who is to have it (units) ──► announce ──► hand on ──► report, some at a time
//! ```
//! What is put where is `trust`'s to say, and written down before it is put there: whoever dies in between leaves nothing
//! behind that nobody knows of. How it gets there is the hands' (`hands/handing_on`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use base::{Clock, Span, Timestamp};
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use identity::Permit;
use trust::{ANNOUNCED_MAX, Bundle, OUTCOMES_MAX, Outcome, Place, Put, RequirerName, Trust, Wanted, Written};

use crate::reconciler::{Next, Reconciler, StepError};
use crate::tasks::Stop;

/// How often all is looked at, without a hint: a host may have come or gone.
const EVERY: Span = Span::seconds(60);
/// How long what is in a place is taken to be there still.
const DRIFT: Span = Span::seconds(3_600);
/// How often what nobody needs any more is removed.
const TIDY: Span = Span::seconds(600);
/// How soon a place is looked at again that somebody else works at; or where something failed, which may have its turn
/// later.
const NOT_NOW: Span = Span::seconds(5);

/// What is to be put in some units of a requirer, all of it in one go where that is better.
pub(crate) struct Errand {
    pub(crate) requirer: RequirerName,
    /// Where in each unit.
    pub(crate) place: Place,
    /// What is to be in these units.
    pub(crate) give: Vec<Give>,
    /// Nothing of the requirer is to be in these any more.
    pub(crate) take: Vec<Take>,
}

/// What is to be in a unit.
pub(crate) struct Give {
    pub(crate) unit: String,
    /// What the requirer is to have.
    pub(crate) bundle: Arc<Bundle>,
    /// What all who share the trust store of this unit are to have.
    pub(crate) shared: Arc<Bundle>,
    /// Where in it certificates may be that are not to be there any more.
    pub(crate) elsewhere: Vec<Place>,
}

/// From where everything is to be taken away.
pub(crate) struct Take {
    pub(crate) unit: String,
    /// What others are to have in the trust store of this unit, if there are any.
    pub(crate) shared: Option<Arc<Bundle>>,
    /// Where in it certificates may be.
    pub(crate) places: Vec<Place>,
}

/// What came of it in one unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Came {
    /// It is as it is to be.
    Done {
        /// Whether somebody else had changed it.
        drifted: bool,
    },
    /// It is not, and this is to be said of it.
    Failed(String),
    /// Somebody else works there, or we are to stop: nothing was begun.
    NotNow,
}

/// Whoever brings certificates to where they are to be.
pub(crate) trait HandOn: Send + Sync {
    /// The units of `place` as they are now: hosts, namespaces, or what there is one of.
    fn units<'a>(&'a self, place: &'a Place) -> BoxFuture<'a, Result<BTreeSet<String>, String>>;

    /// Does it; what came of it in each unit that was begun with.
    fn hand_on<'a>(&'a self, errand: &'a Errand, stop: &'a Stop) -> BoxFuture<'a, Vec<(String, Came)>>;

    /// How many errands are done at once.
    fn at_once(&self) -> usize;
}

pub(crate) struct HandOnTrust {
    trust: Arc<Trust>,
    hands: Arc<dyn HandOn>,
    clock: Clock,
    tidied: Option<Timestamp>,
}

/// A requirer, and what is known of its units.
struct Requirer {
    wanted: Wanted,
    /// Those that are to have it.
    units: BTreeSet<String>,
    written: Written,
}

impl Requirer {
    /// Whether it has a part in the trust store of each of its hosts.
    fn shares(&self) -> bool {
        matches!(&self.wanted.place, Place::Hosts { on, .. } if on.system_store())
    }

    /// The units of which something is written down, and which are not among its own any more.
    fn left(&self) -> impl Iterator<Item = &str> {
        self.written.names().filter(|name| !self.units.contains(*name))
    }
}

impl HandOnTrust {
    pub(crate) fn new(trust: Arc<Trust>, hands: Arc<dyn HandOn>, clock: Clock) -> Self {
        Self { trust, hands, clock, tidied: None }
    }

    async fn tidy(&mut self) -> Result<(), StepError> {
        let now = self.clock.now();
        if self.tidied.is_none_or(|tidied| tidied + TIDY <= now) {
            self.trust.tidy(Permit::house()).await?;
            self.tidied = Some(now);
        }
        Ok(())
    }

    /// All requirers whose certificates are put somewhere by the house, and when the next provider's grace ends.
    async fn requirers(&self) -> Result<(Vec<Requirer>, Option<Timestamp>), StepError> {
        let (wanted, next) = self.trust.wanted(Permit::house()).await?;
        let mut requirers = Vec::new();
        for wanted in wanted {
            let written = self.trust.written(Permit::house(), &wanted.requirer).await?;
            let is_poll = wanted.place == Place::Poll;
            if wanted.leaving && (is_poll || written.names().next().is_none()) {
                self.trust.requirer_left(Permit::house(), &wanted.requirer).await?;
                continue;
            }
            if is_poll {
                continue;
            }
            let units = match wanted.leaving {
                true => BTreeSet::new(),
                false => match self.hands.units(&wanted.place).await {
                    Ok(units) => units,
                    Err(reason) => {
                        // Whom it means cannot be seen: nobody is taken to have gone.
                        tracing::warn!(requirer = %wanted.requirer, reason, "whom it means cannot be told");
                        written.names().map(ToOwned::to_owned).collect()
                    }
                },
            };
            requirers.push(Requirer { wanted, units, written });
        }
        Ok((requirers, next))
    }

    /// What is due at `now`, what cannot be done, and when the next is due.
    fn due(&self, requirers: &[Requirer], now: Timestamp) -> (Vec<Errand>, Vec<Outcome>, Timestamp) {
        let (shared, files) = (shared(requirers), owners(requirers));
        let (mut errands, mut refused) = (Vec::new(), Vec::new());
        let mut next = now + EVERY;
        for requirer in requirers {
            let Wanted { requirer: name, place, bundle, .. } = &requirer.wanted;
            let (mut give, mut take) = (Vec::new(), Vec::new());
            for unit in &requirer.units {
                let due = requirer.written.due(unit, bundle.hash(), place, DRIFT);
                if due > now {
                    next = next.min(due);
                    continue;
                }
                if let Some(reason) = in_the_way(&requirer.wanted, unit, &files) {
                    let (requirer, place, unit) = (name.clone(), place.clone(), unit.clone());
                    refused.push(Outcome { requirer, unit, place, result: Err(reason), gone: false });
                    continue;
                }
                let of_all = match shared.get(unit.as_str()) {
                    Some(of_all) if requirer.shares() => of_all,
                    _ => bundle,
                };
                give.push(Give {
                    unit: unit.clone(),
                    bundle: bundle.clone(),
                    shared: of_all.clone(),
                    elsewhere: requirer.written.elsewhere(unit, place),
                });
            }
            for unit in requirer.left() {
                let due = requirer.written.retry(unit);
                if due > now {
                    next = next.min(due);
                    continue;
                }
                let places = requirer.written.places(unit);
                take.push(Take { unit: unit.to_owned(), shared: shared.get(unit).cloned(), places });
            }
            let errand = |give, take| Errand { requirer: name.clone(), place: place.clone(), give, take };
            match place {
                // Each host has an end of its own.
                Place::Hosts { .. } => {
                    errands.extend(give.into_iter().map(|give| errand(vec![give], vec![])));
                    errands.extend(take.into_iter().map(|take| errand(vec![], vec![take])));
                }
                Place::Kubernetes(_) | Place::Webhook(_) | Place::Poll => {
                    if !give.is_empty() || !take.is_empty() {
                        errands.push(errand(give, take));
                    }
                }
            }
        }
        (errands, refused, next)
    }

    /// Writes down where certificates are about to be put.
    async fn announce(&self, requirers: &[Requirer], errands: &[Errand]) -> Result<(), StepError> {
        let known: BTreeMap<&RequirerName, &Requirer> =
            requirers.iter().map(|requirer| (&requirer.wanted.requirer, requirer)).collect();
        let mut unannounced: BTreeMap<&RequirerName, (&Place, Vec<String>)> = BTreeMap::new();
        for errand in errands {
            let Some(requirer) = known.get(&errand.requirer) else { continue };
            for give in &errand.give {
                if !requirer.written.is_announced(&give.unit, &errand.place) {
                    let of = unannounced.entry(&errand.requirer).or_insert((&errand.place, Vec::new()));
                    of.1.push(give.unit.clone());
                }
            }
        }
        for (requirer, (place, units)) in unannounced {
            for some in units.chunks(ANNOUNCED_MAX) {
                self.trust.announce(Permit::house(), requirer, some, place).await?;
            }
        }
        Ok(())
    }

    /// Does all `errands`, and writes down what comes of them. Whether some are to be tried again soon.
    async fn carry_out(&self, errands: &[Errand], stop: &Stop) -> Result<bool, StepError> {
        let mut rest = errands.iter();
        let mut under_way = FuturesUnordered::new();
        let (mut outcomes, mut again_soon) = (Vec::new(), false);
        loop {
            for errand in rest.by_ref().take(self.hands.at_once().max(1) - under_way.len()) {
                under_way.push(carry(&*self.hands, errand, stop));
            }
            let Some((errand, came)) = under_way.next().await else { break };
            for (unit, came) in came {
                let give = errand.give.iter().find(|give| give.unit == unit);
                let result = match came {
                    Came::NotNow => {
                        again_soon = true;
                        continue;
                    }
                    Came::Failed(reason) => {
                        again_soon = true;
                        Err(reason)
                    }
                    Came::Done { drifted } => {
                        let hash = give.map(|give| give.bundle.hash().to_owned()).unwrap_or_default();
                        Ok(Put { hash, drifted })
                    }
                };
                let (requirer, place) = (errand.requirer.clone(), errand.place.clone());
                outcomes.push(Outcome { requirer, unit, place, result, gone: give.is_none() });
            }
            while outcomes.len() >= OUTCOMES_MAX {
                let some: Vec<Outcome> = outcomes.drain(..OUTCOMES_MAX).collect();
                self.trust.report(Permit::house(), &some).await?;
            }
        }
        if !outcomes.is_empty() {
            self.trust.report(Permit::house(), &outcomes).await?;
        }
        Ok(again_soon)
    }
}

/// What all who share the trust store of a host are to have there, for the hosts that several share, or whose own is left.
fn shared(requirers: &[Requirer]) -> BTreeMap<&str, Arc<Bundle>> {
    let mut all: BTreeMap<&str, Vec<&Arc<Bundle>>> = BTreeMap::new();
    for requirer in requirers.iter().filter(|requirer| requirer.shares()) {
        for unit in &requirer.units {
            all.entry(unit).or_default().push(&requirer.wanted.bundle);
        }
    }
    // Thousands of hosts share the same: it is put together once.
    let mut made: BTreeMap<Vec<String>, Arc<Bundle>> = BTreeMap::new();
    let mut shared = BTreeMap::new();
    for (unit, bundles) in all {
        let bundle = match &bundles[..] {
            [one] => Arc::clone(one),
            several => {
                let hashes = several.iter().map(|bundle| bundle.hash().to_owned()).collect();
                let union = || Arc::new(Bundle::union(several.iter().map(|bundle| &***bundle)));
                Arc::clone(made.entry(hashes).or_insert_with(union))
            }
        };
        shared.insert(unit, bundle);
    }
    shared
}

/// Does one errand, unless it is to stop.
async fn carry<'e>(hands: &dyn HandOn, errand: &'e Errand, stop: &Stop) -> (&'e Errand, Vec<(String, Came)>) {
    let came = if stop.is_asked() { Vec::new() } else { hands.hand_on(errand, stop).await };
    (errand, came)
}

/// Which requirer a file of a host belongs to: of several that name it, the one whose name comes first.
fn owners(requirers: &[Requirer]) -> BTreeMap<(&str, &str), &RequirerName> {
    let mut owners = BTreeMap::new();
    for requirer in requirers {
        let Place::Hosts { on, .. } = &requirer.wanted.place else { continue };
        for file in on.files() {
            for unit in &requirer.units {
                owners.entry((unit.as_str(), file.path())).or_insert(&requirer.wanted.requirer);
            }
        }
    }
    owners
}

/// Why `wanted` cannot be put on the host `unit`: a file of its own is another requirer's there.
fn in_the_way(wanted: &Wanted, unit: &str, owners: &BTreeMap<(&str, &str), &RequirerName>) -> Option<String> {
    let Place::Hosts { on, .. } = &wanted.place else { return None };
    on.files().iter().find_map(|file| {
        let owner = owners.get(&(unit, file.path())).filter(|owner| ***owner != wanted.requirer)?;
        Some(format!("{} is there for the requirer `{owner}` already; name another file", file.path()))
    })
}

impl Reconciler for HandOnTrust {
    fn name(&self) -> &'static str {
        "hand-on-trust"
    }

    fn step<'a>(&'a mut self, stop: &'a Stop) -> BoxFuture<'a, Result<Next, StepError>> {
        Box::pin(async move {
            self.tidy().await?;
            let (requirers, grace_ends) = self.requirers().await?;
            let now = self.clock.now();
            let (errands, refused, mut next) = self.due(&requirers, now);
            for some in refused.chunks(OUTCOMES_MAX) {
                self.trust.report(Permit::house(), some).await?;
            }
            self.announce(&requirers, &errands).await?;
            if self.carry_out(&errands, stop).await? {
                next = next.min(now + NOT_NOW);
            }
            if let Some(ends) = grace_ends {
                self.tidied = self.tidied.filter(|_| ends > now + EVERY);
                next = next.min(ends);
            }
            // What was taken away everywhere is forgotten soon.
            if requirers.iter().any(|requirer| requirer.wanted.leaving) {
                next = next.min(now + NOT_NOW);
            }
            Ok(Next::At(next))
        })
    }

    fn cares(&self, what: &str) -> bool {
        what.starts_with("trust ")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::Mutex;

    use base::Entropy;
    use store::{Memory, SealingKey};
    use trust::{
        Anchor, Fingerprint, Offer, OnHost, ProviderName, SetChange, Terms, UnitState, WhichHosts, Why,
    };
    use x509::{CertificateTemplate, KeySpec, Name, PrivateKey, Serial, extension};

    use super::*;

    /// Hosts that do as they are told: what is in the trust store of each, by its hash.
    #[derive(Default)]
    struct Hosts {
        there: Mutex<BTreeSet<String>>,
        stores: Mutex<HashMap<String, String>>,
        away: Mutex<BTreeSet<String>>,
        asked: Mutex<usize>,
    }

    impl HandOn for Hosts {
        fn units<'a>(&'a self, place: &'a Place) -> BoxFuture<'a, Result<BTreeSet<String>, String>> {
            let Place::Hosts { which, .. } = place else { panic!("only hosts here") };
            let there = self.there.lock().unwrap().clone();
            let named = which.hosts.iter().cloned().collect();
            Box::pin(async move { Ok(if which.all { there } else { named }) })
        }

        fn hand_on<'a>(&'a self, errand: &'a Errand, _stop: &'a Stop) -> BoxFuture<'a, Vec<(String, Came)>> {
            Box::pin(async move {
                let mut came = Vec::new();
                let gives = errand.give.iter().map(|give| (&give.unit, Some(&give.shared)));
                let takes = errand.take.iter().map(|take| (&take.unit, take.shared.as_ref()));
                for (unit, bundle) in gives.chain(takes) {
                    *self.asked.lock().unwrap() += 1;
                    if self.away.lock().unwrap().contains(unit) {
                        came.push((unit.clone(), Came::Failed("away".into())));
                        continue;
                    }
                    let mut stores = self.stores.lock().unwrap();
                    match bundle {
                        Some(bundle) => stores.insert(unit.clone(), bundle.hash().to_owned()),
                        None => stores.remove(unit),
                    };
                    came.push((unit.clone(), Came::Done { drifted: false }));
                }
                came
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
            let ground = trust::Ground { engine, sealing, clock: clock.clone(), entropy };
            let trust = Arc::new(Trust::new(ground).unwrap());
            let there = hosts.iter().map(|host| (*host).to_owned()).collect();
            let hosts = Arc::new(Hosts { there: Mutex::new(there), ..Hosts::default() });
            let reconciler = HandOnTrust::new(trust.clone(), hosts.clone(), clock.clone());
            let world = Self { trust, hosts, reconciler, clock };
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
            let place = Place::Hosts { which, on: OnHost::new(true, false, vec![]).unwrap() };
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
        assert_eq!(next, world.clock.now() + NOT_NOW);
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
        assert_eq!(world.on("h2"), Some(world.hash("web").await));
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
        assert!(
            world.trust.requirer(Permit::house(), &requirer("db")).await.is_err(),
            "nothing of it is left"
        );
        world.trust.remove_requirer(Permit::house(), &requirer("web"), false, &Why::default()).await.unwrap();
        world.step().await;
        assert_eq!((world.on("h1"), world.on("h2")), (None, None));
    }

    #[tokio::test]
    async fn a_requirer_stays_until_nothing_of_it_is_left() {
        let mut world = World::new(&["h1", "h2"]).await;
        world.require("web", &["corp"], all()).await;
        world.step().await;
        world.hosts.away.lock().unwrap().insert("h2".to_owned());
        world.trust.remove_requirer(Permit::house(), &requirer("web"), false, &Why::default()).await.unwrap();
        world.step().await;
        world.step().await;
        assert_eq!((world.on("h1"), world.states("web").await.len()), (None, 1));
        world.hosts.away.lock().unwrap().clear();
        world.clock.advance(Span::seconds(3_600));
        world.step().await;
        world.step().await;
        assert_eq!(world.on("h2"), None);
        assert!(world.trust.requirer(Permit::house(), &requirer("web")).await.is_err());
    }

    #[tokio::test]
    async fn a_file_is_one_requirers() {
        let mut world = World::new(&["h1"]).await;
        for name in ["a", "b"] {
            let file = trust::FilePlace::new("/etc/ca.pem".into(), None, None, None, None).unwrap();
            let place = Place::Hosts { which: all(), on: OnHost::new(false, false, vec![file]).unwrap() };
            let why = Why::default();
            world.trust.set_requirer(Permit::house(), &requirer(name), &place, &why).await.unwrap();
        }
        world.step().await;
        assert_eq!(world.states("a").await, [("h1".to_owned(), true)]);
        let (units, _) = world.trust.units(Permit::house(), &requirer("b"), None, 100).await.unwrap();
        let UnitState::Failing { reason, .. } = &units[0].state else { panic!("{:?}", units[0]) };
        assert!(reason.contains("/etc/ca.pem is there for the requirer `a`"), "{reason}");
    }
}
