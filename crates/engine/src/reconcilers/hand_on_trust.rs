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
use trust::on_host::OnHost;
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

/// Something to be done in places.
pub(crate) enum Errand {
    /// A host is to have all of this, and nothing else of ours.
    Host(HostErrand),
    /// Units of one requirer's are to have what it is to have, all of it in one go.
    Requirer(RequirerErrand),
}

/// What a host is to have.
pub(crate) struct HostErrand {
    /// Its address.
    pub(crate) host: String,
    /// What each requirer is to have there.
    pub(crate) parts: Vec<Part>,
    /// The requirers that are to have nothing there any more.
    pub(crate) left: Vec<(RequirerName, Place)>,
}

/// What a requirer is to have on a host.
pub(crate) struct Part {
    pub(crate) requirer: RequirerName,
    pub(crate) place: Place,
    /// Where on the host.
    pub(crate) on: OnHost,
    pub(crate) bundle: Arc<Bundle>,
}

/// What units of a requirer are to have.
pub(crate) struct RequirerErrand {
    pub(crate) requirer: RequirerName,
    /// Where in each unit.
    pub(crate) place: Place,
    pub(crate) bundle: Arc<Bundle>,
    /// What a webhook tells old from new by.
    pub(crate) revision: Option<u64>,
    /// The units that are to have it, and where in them certificates may be that are not to be there any more.
    pub(crate) give: Vec<(String, Vec<Place>)>,
    /// The units that are to have nothing any more, and where in them certificates may be.
    pub(crate) take: Vec<(String, Vec<Place>)>,
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

    /// Has a host be as it is to be.
    fn to_host<'a>(&'a self, errand: &'a HostErrand, stop: &'a Stop) -> BoxFuture<'a, Came>;

    /// Has a requirer's units be as they are to be; what came of it in each that was begun with.
    fn to_units<'a>(
        &'a self,
        errand: &'a RequirerErrand,
        stop: &'a Stop,
    ) -> BoxFuture<'a, Vec<(String, Came)>>;

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
    /// The units of which something is written down, and which are not among its own any more.
    fn left(&self) -> impl Iterator<Item = &str> {
        self.written.names().filter(|name| !self.units.contains(*name))
    }

    /// When `unit`, which is one of its own, is to be looked at.
    fn due(&self, unit: &str) -> Timestamp {
        self.written.due(unit, self.wanted.bundle.hash(), &self.wanted.place, DRIFT)
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
        let mut all_written = self.trust.written(Permit::house()).await?;
        let mut requirers = Vec::new();
        for wanted in wanted {
            let written = all_written.remove(&wanted.requirer).unwrap_or_default();
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
    fn due(requirers: &[Requirer], now: Timestamp) -> (Vec<Errand>, Vec<Outcome>, Timestamp) {
        let mut next = now + EVERY;
        let mut is_due = |at: Timestamp| {
            if at > now {
                next = next.min(at);
            }
            at <= now
        };
        let (mut errands, mut refused) = (Vec::new(), Vec::new());
        let mut hosts: BTreeMap<&str, OfHost<'_>> = BTreeMap::new();
        for requirer in requirers {
            let Wanted { requirer: name, place, bundle, .. } = &requirer.wanted;
            if let Place::Hosts { on, .. } = place {
                for unit in &requirer.units {
                    let host = hosts.entry(unit).or_default();
                    let is_due = is_due(requirer.due(unit));
                    match host.in_the_way(on, name) {
                        Some(reason) if is_due => {
                            let (requirer, place, unit) = (name.clone(), place.clone(), unit.clone());
                            let (result, settled) = (Err(reason), Vec::new());
                            refused.push(Outcome { requirer, unit, place, result, settled, gone: false });
                        }
                        Some(_) => {}
                        None => {
                            host.is_due |= is_due;
                            host.parts.push((requirer, on));
                        }
                    }
                }
                for unit in requirer.left() {
                    let host = hosts.entry(unit).or_default();
                    host.is_due |= is_due(requirer.written.retry(unit));
                    host.left.push(requirer);
                }
                continue;
            }
            let elsewhere = |unit: &str| requirer.written.elsewhere(unit, place);
            let give = requirer.units.iter().filter(|unit| is_due(requirer.due(unit)));
            let give: Vec<_> = give.map(|unit| (unit.clone(), elsewhere(unit))).collect();
            let take = requirer.left().filter(|unit| is_due(requirer.written.retry(unit)));
            let take: Vec<_> = take.map(|unit| (unit.to_owned(), requirer.written.places(unit))).collect();
            if !give.is_empty() || !take.is_empty() {
                let (requirer_name, place, bundle) = (name.clone(), place.clone(), bundle.clone());
                errands.push(Errand::Requirer(RequirerErrand {
                    requirer: requirer_name,
                    place,
                    bundle,
                    revision: requirer.wanted.revision,
                    give,
                    take,
                }));
            }
        }
        let due = hosts.into_iter().filter(|(_, host)| host.is_due);
        errands.extend(due.map(|(host, of)| Errand::Host(of.errand(host))));
        (errands, refused, next)
    }

    /// Writes down where certificates are about to be put.
    async fn announce(&self, requirers: &[Requirer], errands: &[Errand]) -> Result<(), StepError> {
        let known: BTreeMap<&RequirerName, &Requirer> =
            requirers.iter().map(|requirer| (&requirer.wanted.requirer, requirer)).collect();
        let mut unannounced: BTreeMap<&RequirerName, (&Place, Vec<String>)> = BTreeMap::new();
        let mut note = |name, place, unit: &String| {
            if known.get(name).is_some_and(|requirer| !requirer.written.is_announced(unit, place)) {
                unannounced.entry(name).or_insert((place, Vec::new())).1.push(unit.clone());
            }
        };
        for errand in errands {
            match errand {
                Errand::Host(errand) => {
                    errand.parts.iter().for_each(|part| note(&part.requirer, &part.place, &errand.host));
                }
                Errand::Requirer(errand) => {
                    errand.give.iter().for_each(|(unit, _)| note(&errand.requirer, &errand.place, unit));
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
    async fn carry_out(
        &self,
        requirers: &[Requirer],
        errands: &[Errand],
        stop: &Stop,
    ) -> Result<bool, StepError> {
        let known: BTreeMap<&RequirerName, &Written> =
            requirers.iter().map(|requirer| (&requirer.wanted.requirer, &requirer.written)).collect();
        let mut rest = errands.iter();
        let mut under_way = FuturesUnordered::new();
        let (mut outcomes, mut again_soon) = (Vec::new(), false);
        loop {
            for errand in rest.by_ref().take(self.hands.at_once().max(1) - under_way.len()) {
                under_way.push(carry(&*self.hands, errand, stop));
            }
            let Some((mut came, is_whole)) = under_way.next().await else { break };
            again_soon |= !is_whole || came.iter().any(|outcome| outcome.result.is_err());
            for outcome in &mut came {
                let written = known.get(&outcome.requirer);
                outcome.settled = written.map(|written| written.places(&outcome.unit)).unwrap_or_default();
            }
            outcomes.extend(came);
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

/// What is to be on a host.
#[derive(Default)]
struct OfHost<'r> {
    is_due: bool,
    parts: Vec<(&'r Requirer, &'r OnHost)>,
    /// Those who are to have nothing there any more.
    left: Vec<&'r Requirer>,
}

impl OfHost<'_> {
    /// Why a requirer that wants certificates `on` it cannot have them: a file is another one's already. The one whose
    /// name comes first has it.
    fn in_the_way(&self, on: &OnHost, name: &RequirerName) -> Option<String> {
        let theirs = self.parts.iter().flat_map(|(requirer, theirs)| {
            theirs.files.iter().map(|file| (&requirer.wanted.requirer, file.path()))
        });
        let taken: BTreeMap<&str, &RequirerName> = theirs.map(|(owner, path)| (path, owner)).collect();
        on.files.iter().find_map(|file| {
            let owner = taken.get(file.path()).filter(|owner| **owner != name)?;
            Some(format!("{} is there for the requirer `{owner}` already; name another file", file.path()))
        })
    }

    fn errand(self, host: &str) -> HostErrand {
        let part = |(requirer, on): (&Requirer, &OnHost)| Part {
            requirer: requirer.wanted.requirer.clone(),
            place: requirer.wanted.place.clone(),
            on: on.clone(),
            bundle: requirer.wanted.bundle.clone(),
        };
        let left = |requirer: &Requirer| (requirer.wanted.requirer.clone(), requirer.wanted.place.clone());
        HostErrand {
            host: host.to_owned(),
            parts: self.parts.into_iter().map(part).collect(),
            left: self.left.into_iter().map(left).collect(),
        }
    }
}

/// Does one errand, unless it is to stop: what came of it, and whether all of it was begun with.
async fn carry(hands: &dyn HandOn, errand: &Errand, stop: &Stop) -> (Vec<Outcome>, bool) {
    if stop.is_asked() {
        return (Vec::new(), false);
    }
    let (requirers, came) = match errand {
        Errand::Host(errand) => {
            let parts = errand.parts.iter().map(|part| (&part.requirer, &part.place, Some(&part.bundle)));
            let left = errand.left.iter().map(|(requirer, place)| (requirer, place, None));
            let came = vec![(errand.host.clone(), hands.to_host(errand, stop).await)];
            (parts.chain(left).collect(), came)
        }
        Errand::Requirer(errand) => {
            let came = hands.to_units(errand, stop).await;
            (vec![(&errand.requirer, &errand.place, Some(&errand.bundle))], came)
        }
    };
    let is_taken = |unit: &String| match errand {
        Errand::Host(_) => false,
        Errand::Requirer(errand) => errand.take.iter().any(|(taken, _)| taken == unit),
    };
    let (mut outcomes, mut is_whole) = (Vec::new(), true);
    for (unit, came) in came {
        let result = match came {
            Came::NotNow => {
                is_whole = false;
                continue;
            }
            Came::Failed(reason) => Err(reason),
            Came::Done { drifted } => Ok(drifted),
        };
        for (requirer, place, bundle) in &requirers {
            let bundle = bundle.filter(|_| !is_taken(&unit));
            let hash = bundle.map(|bundle| bundle.hash().to_owned()).unwrap_or_default();
            outcomes.push(Outcome {
                requirer: (*requirer).clone(),
                unit: unit.clone(),
                place: (*place).clone(),
                result: result.clone().map(|drifted| Put { hash, drifted }),
                settled: Vec::new(),
                gone: bundle.is_none(),
            });
        }
    }
    (outcomes, is_whole)
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
            let (errands, refused, mut next) = Self::due(&requirers, now);
            for some in refused.chunks(OUTCOMES_MAX) {
                self.trust.report(Permit::house(), some).await?;
            }
            self.announce(&requirers, &errands).await?;
            if self.carry_out(&requirers, &errands, stop).await? {
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
    use trust::on_host::FilePlace;
    use trust::{Anchor, Fingerprint, Offer, ProviderName, SetChange, Terms, UnitState, WhichHosts, Why};
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

        fn to_host<'a>(&'a self, errand: &'a HostErrand, _stop: &'a Stop) -> BoxFuture<'a, Came> {
            Box::pin(async move {
                *self.asked.lock().unwrap() += 1;
                if self.away.lock().unwrap().contains(&errand.host) {
                    return Came::Failed("away".into());
                }
                let sharing = errand.parts.iter().filter(|part| part.on.system_store);
                let all = Bundle::union(sharing.map(|part| &*part.bundle));
                let mut stores = self.stores.lock().unwrap();
                match all.anchors().is_empty() {
                    false => stores.insert(errand.host.clone(), all.hash().to_owned()),
                    true => stores.remove(&errand.host),
                };
                Came::Done { drifted: false }
            })
        }

        fn to_units<'a>(
            &'a self,
            _errand: &'a RequirerErrand,
            _stop: &'a Stop,
        ) -> BoxFuture<'a, Vec<(String, Came)>> {
            panic!("only hosts here")
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
            let files = vec![FilePlace::new("/etc/ca.pem").unwrap()];
            let place = Place::Hosts { which: all(), on: OnHost { files, ..OnHost::default() } };
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
