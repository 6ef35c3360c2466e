//! Puts in every requirer's places what it is to have there, looks now and then whether it is there still, and takes it
//! away where it is not to be any more.
//!
//! ```text
//! wanted ──► who is to have it (units) ──► announce ──► hand on ──► report, some at a time
//! ```
//! What is put where is `trust`'s to say, and written down before it is put there: whoever dies in between leaves nothing
//! behind that nobody knows of. How it gets there is the hands' (`hands/handing_on`). What is taken away is taken away where
//! it is written down, wherever its requirer wants certificates by now.
//!
//! A step is bounded, since it carries out what was wanted when it began: what is withdrawn meanwhile is not to be put
//! anywhere for much longer.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use base::{Clock, Span, Timestamp};
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use identity::Permit;
use trust::on_host::{FilePlace, OnHost};
use trust::{ANNOUNCED_MAX, Bundle, OUTCOMES_MAX, Outcome, Place, Put, RequirerName, Trust, Wanted, Written};

use crate::reconciler::{Next, Reconciler, StepError};
use crate::tasks::Stop;

/// How often all is looked at, without a hint: a host may have come or gone.
const EVERY: Span = Span::seconds(60);
/// How long what is in a place is taken to be there still.
const DRIFT: Span = Span::seconds(3_600);
/// How often what nobody needs any more is removed.
const TIDY: Span = Span::seconds(600);
/// How soon a host is asked again at which somebody else works: the first time, and at most.
const NOT_NOW: (Span, Span) = (Span::seconds(5), Span::seconds(60));
/// How many errands are done in one step, and how long after it began to look new ones are begun. The rest is done in the
/// next one, with what is wanted then.
const ERRANDS_MAX: usize = 500;
const BEGIN: Span = Span::seconds(30);
/// How far apart steps are that hints ask for.
const HINTS_APART: Duration = Duration::from_secs(1);

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
    /// The requirers that are to have nothing there any more, and where they had it.
    pub(crate) left: Vec<(RequirerName, Place)>,
    /// The files in which certificates may be that are not to be there any more.
    pub(crate) drops: Vec<FilePlace>,
}

/// What a requirer is to have on a host.
pub(crate) struct Part {
    pub(crate) requirer: RequirerName,
    pub(crate) place: Place,
    /// Where on the host: all but the files that are another one's.
    pub(crate) on: OnHost,
    pub(crate) bundle: Arc<Bundle>,
    /// Why it does not get all that it wants there.
    pub(crate) refused: Option<String>,
}

/// What units of a requirer are to have.
pub(crate) struct RequirerErrand {
    pub(crate) requirer: RequirerName,
    /// Where in each unit.
    pub(crate) place: Place,
    pub(crate) bundle: Arc<Bundle>,
    /// What a webhook tells old from new by.
    pub(crate) revision: Option<u64>,
    /// The units that are to have it.
    pub(crate) give: Vec<Give>,
    /// The units that are to have nothing any more, and where in them certificates may be.
    pub(crate) take: Vec<(String, Vec<Place>)>,
}

/// A unit that is to have what its requirer is to have.
pub(crate) struct Give {
    pub(crate) unit: String,
    /// Where in it certificates may be that are not to be there any more.
    pub(crate) elsewhere: Vec<Place>,
    /// Whether it was seen to have the very same before.
    pub(crate) had: bool,
}

/// What came of it in one unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Came {
    /// It is as it is to be.
    Done {
        /// Whether somebody else had changed it.
        drifted: bool,
    },
    /// A host is, but for these files, of each of which something is to be said.
    Partly {
        /// Whether somebody else had changed it.
        drifted: bool,
        /// What, by the path of the file.
        refused: BTreeMap<String, String>,
    },
    /// It is not, and this is to be said of it.
    Failed(String),
    /// There is no such unit any more: nothing can be put there, and nothing be taken away.
    Gone(String),
    /// Somebody else works there, or we are to stop: nothing was begun.
    NotNow,
}

/// Whoever brings certificates to where they are to be.
pub(crate) trait HandOn: Send + Sync {
    /// The units of each of `places` as they are now: hosts, namespaces, or what there is one of.
    fn units<'a>(&'a self, places: &'a [&'a Place]) -> BoxFuture<'a, Vec<Result<BTreeSet<String>, String>>>;

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
    /// The hosts at which somebody else was at work, until when they are left alone, and for how long that was.
    busy: BTreeMap<String, (Timestamp, Span)>,
    /// Of whom not all was put on a host, since a file there is another one's: the hash of what was tried last.
    tried: HashMap<(RequirerName, String), String>,
}

/// A requirer, and what is known of its units.
struct Requirer {
    wanted: Wanted,
    /// Those that are to have it.
    units: BTreeSet<String>,
    written: Written,
}

impl Requirer {
    fn name(&self) -> &RequirerName {
        &self.wanted.requirer
    }

    /// The units of which something is written down, and which are not among its own any more. Programs that ask by
    /// themselves are nobody's to look after.
    fn left(&self) -> impl Iterator<Item = &str> {
        let is_poll = self.wanted.place == Place::Poll;
        let left = self.written.names().filter(|name| !self.units.contains(*name));
        left.filter(move |name| !is_poll || !self.written.places(name).is_empty())
    }

    /// Those of its units that are to have something. Who has no relation, and never had anything there, is given
    /// nothing: not even an empty file.
    fn given(&self) -> impl Iterator<Item = &String> {
        let is_given = self.wanted.related || !self.wanted.bundle.anchors().is_empty();
        self.units.iter().filter(move |unit| is_given || self.written.knows(unit))
    }

    /// When `unit`, which is one of its own, is to be looked at.
    fn due(&self, unit: &str) -> Timestamp {
        self.written.due(unit, self.wanted.bundle.hash(), &self.wanted.place, DRIFT)
    }

    /// Where in `unit` certificates may be that are to be nowhere in it, or somewhere of another kind.
    fn to_take(&self, unit: &str) -> Vec<Place> {
        let places = self.written.places(unit);
        if self.units.contains(unit) {
            return places.into_iter().filter(|place| place.kind() != self.wanted.place.kind()).collect();
        }
        // Where that is not written down, it is where it is to be by now, if anywhere.
        if places.is_empty() { vec![self.wanted.place.clone()] } else { places }
    }

    /// The units in which there is something to be taken away.
    fn with_something_to_take(&self) -> impl Iterator<Item = &str> {
        let moved = self.written.names().filter(|unit| self.units.contains(*unit));
        self.left().chain(moved.filter(|unit| !self.to_take(unit).is_empty()))
    }
}

/// What is known when a step begins.
struct Known {
    requirers: BTreeMap<RequirerName, Requirer>,
    /// When the next provider's grace ends.
    grace_ends: Option<Timestamp>,
    /// The hosts on which somebody has something of whom it is not known what it is to have: nothing is taken away there.
    unread: BTreeSet<String>,
}

impl Known {
    /// Says of `outcome` where certificates were written down to be when the step began: there it was seen to.
    fn settle(&self, outcome: &mut Outcome) {
        let Some(requirer) = self.requirers.get(&outcome.requirer) else { return };
        outcome.settled = requirer.written.announced(&outcome.unit, &outcome.place);
    }
}

/// What is to be done now.
struct Due {
    errands: Vec<Errand>,
    /// What needs nothing to be done to be so.
    settled: Vec<Outcome>,
    /// When the next is due.
    next: Timestamp,
}

/// What came of the errands.
struct Carried {
    /// When the earliest of those that failed is tried again.
    retry: Option<Timestamp>,
    /// The units in which there is nothing any more.
    taken: BTreeSet<(RequirerName, String)>,
    /// Whether all that was due was begun.
    is_all: bool,
}

impl HandOnTrust {
    pub(crate) fn new(trust: Arc<Trust>, hands: Arc<dyn HandOn>, clock: Clock) -> Self {
        Self { trust, hands, clock, tidied: None, busy: BTreeMap::new(), tried: HashMap::new() }
    }

    async fn tidy(&mut self) {
        let now = self.clock.now();
        if self.tidied.is_none_or(|tidied| tidied + TIDY <= now) {
            match self.trust.tidy(Permit::house()).await {
                Ok(()) => self.tidied = Some(now),
                // Nobody waits for what is only in the way.
                Err(error) => {
                    tracing::warn!(error = %base::report(&error), "what nobody needs was not removed yet")
                }
            }
        }
    }

    /// All requirers whose certificates are, or were, put somewhere by the house.
    async fn known(&self) -> Result<Known, StepError> {
        let (wanted, grace_ends) = self.trust.wanted(Permit::house()).await?;
        let mut all_written = self.trust.written(Permit::house()).await?;
        let mut found = Vec::new();
        for wanted in wanted {
            let written = all_written.remove(&wanted.requirer).unwrap_or_default();
            let is_poll = wanted.place == Place::Poll;
            let is_somewhere = written.names().any(|unit| !is_poll || !written.places(unit).is_empty());
            if wanted.leaving && !is_somewhere {
                if let Err(error) = self.trust.requirer_left(Permit::house(), &wanted.requirer).await {
                    tracing::warn!(requirer = %wanted.requirer, error = %base::report(&error), "it is not forgotten yet");
                }
                continue;
            }
            if !is_poll || is_somewhere {
                found.push((wanted, written));
            }
        }
        let unread = all_written.values().flat_map(|written| {
            let is_host = |unit: &&str| written.places(unit).iter().any(|place| place.kind() == "hosts");
            written.names().filter(is_host).map(ToOwned::to_owned)
        });
        let unread = unread.collect();
        let asked: Vec<&Place> = found.iter().map(|(wanted, _)| &wanted.place).collect();
        let mut units = self.hands.units(&asked).await.into_iter();
        let mut requirers = BTreeMap::new();
        for (wanted, written) in found {
            let units = units.next().unwrap_or_else(|| Ok(BTreeSet::new()));
            let units = match units {
                _ if wanted.leaving => BTreeSet::new(),
                Ok(units) => units,
                Err(reason) => {
                    // Whom it means cannot be seen: nobody is taken to have gone.
                    tracing::warn!(requirer = %wanted.requirer, reason, "whom it means cannot be told");
                    let is_there = |unit: &&str| {
                        written.places(unit).iter().any(|place| place.kind() == wanted.place.kind())
                    };
                    written.names().filter(is_there).map(ToOwned::to_owned).collect()
                }
            };
            requirers.insert(wanted.requirer.clone(), Requirer { wanted, units, written });
        }
        Ok(Known { requirers, grace_ends, unread })
    }

    /// What is due at `now`.
    fn due(&self, known: &Known, now: Timestamp) -> Due {
        let mut next = now + EVERY;
        let mut is_due = |at: Timestamp| {
            if at > now {
                next = next.min(at);
            }
            at <= now
        };
        let (mut errands, mut settled) = (Vec::new(), Vec::new());
        let mut hosts: BTreeMap<&str, OfHost<'_>> = BTreeMap::new();
        // Where two want the same file, it is the first one's.
        let mut requirers: Vec<&Requirer> = known.requirers.values().collect();
        requirers.sort_by_key(|requirer| requirer.wanted.made);
        for requirer in requirers {
            let Wanted { requirer: name, place, bundle, .. } = &requirer.wanted;
            let mut give = Vec::new();
            for unit in requirer.given() {
                let is_due = is_due(requirer.due(unit));
                if let Place::Hosts { on, .. } = place {
                    let host = hosts.entry(unit).or_default();
                    let refused = host.take_files(on, name);
                    let tried = self.tried.get(&(name.clone(), unit.clone()));
                    // What was in the way, or is now, is no reason to wait with the rest.
                    let is_news = tried.map(String::as_str) != refused.as_ref().map(|_| bundle.hash());
                    host.note(is_due || is_news, requirer.written.is_failing(unit));
                    host.drops.extend(requirer.written.elsewhere(unit, place));
                    host.parts.push((requirer, on, refused));
                } else if is_due {
                    let elsewhere = requirer.written.elsewhere(unit, place);
                    let had = requirer.written.has(unit, bundle.hash(), place);
                    give.push(Give { unit: unit.clone(), elsewhere, had });
                }
            }
            let mut take = Vec::new();
            for unit in requirer.with_something_to_take() {
                let is_due = is_due(requirer.written.retry(unit));
                let (on_host, others): (Vec<_>, Vec<_>) =
                    requirer.to_take(unit).into_iter().partition(|place| place.kind() == "hosts");
                if let Some(place) = on_host.first() {
                    let host = hosts.entry(unit).or_default();
                    host.note(is_due, requirer.written.is_failing(unit));
                    host.left.push((name.clone(), place.clone()));
                    host.drops.extend(on_host);
                }
                // To a webhook of which nothing but its mark is known, nothing can be told.
                let is_told = |other: &Place| other.kind() == "kubernetes" || other.kind() == place.kind();
                let (told, forgotten): (Vec<_>, Vec<_>) = others.into_iter().partition(is_told);
                if let Some(place) = forgotten.into_iter().next() {
                    settled.push(outcome(name, unit, &place, Ok((String::new(), false)), true));
                }
                if is_due && !told.is_empty() {
                    take.push((unit.to_owned(), told));
                }
            }
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
        let mut of_hosts = Vec::new();
        for (host, of) in hosts {
            if known.unread.contains(host) {
                tracing::warn!(host, "what somebody is to have there cannot be read: it is left as it is");
                continue;
            }
            let is_free = is_due(self.busy.get(host).map_or(Timestamp::from_unix(0), |(until, _)| *until));
            if of.is_due && is_free {
                of_hosts.push((of.is_failing, Errand::Host(of.errand(host))));
            }
        }
        // Those that failed before come last: nobody waits for who is away.
        of_hosts.sort_by_key(|(is_failing, _)| *is_failing);
        errands.extend(of_hosts.into_iter().map(|(_, errand)| errand));
        Due { errands, settled, next }
    }

    /// Writes down where certificates are about to be put. Errands of which that cannot be written are not done.
    async fn announce(&self, known: &Known, errands: &mut Vec<Errand>) {
        let mut unannounced: BTreeMap<RequirerName, (Place, Vec<String>)> = BTreeMap::new();
        for (name, place, unit) in errands.iter().flat_map(Errand::gives) {
            if known.requirers.get(name).is_some_and(|requirer| !requirer.written.is_announced(unit, place)) {
                let (_, units) =
                    unannounced.entry(name.clone()).or_insert_with(|| (place.clone(), Vec::new()));
                units.push(unit.to_owned());
            }
        }
        let mut unsaid: BTreeSet<(RequirerName, String)> = BTreeSet::new();
        for (requirer, (place, units)) in unannounced {
            for some in units.chunks(ANNOUNCED_MAX) {
                if let Err(error) = self.trust.announce(Permit::house(), &requirer, some, &place).await {
                    tracing::error!(%requirer, error = %base::report(&error), "where it is to be cannot be written down");
                    unsaid.extend(some.iter().map(|unit| (requirer.clone(), unit.clone())));
                }
            }
        }
        let is_unsaid = |errand: &Errand| {
            errand
                .gives()
                .iter()
                .any(|(name, _, unit)| unsaid.contains(&((*name).clone(), (*unit).to_owned())))
        };
        if !unsaid.is_empty() {
            errands.retain(|errand| !is_unsaid(errand));
        }
    }

    /// Does all `errands`, for as long as may be, and writes down what comes of them.
    async fn carry_out(&mut self, known: &Known, errands: &[Errand], now: Timestamp, stop: &Stop) -> Carried {
        let hands = Arc::clone(&self.hands);
        let mut rest = errands.iter().peekable();
        let mut under_way = FuturesUnordered::new();
        let mut outcomes: Vec<Outcome> = Vec::new();
        let mut carried = Carried { retry: None, taken: BTreeSet::new(), is_all: true };
        loop {
            while under_way.len() < hands.at_once().max(1) && self.clock.now() < now + BEGIN {
                let Some(errand) = rest.next() else { break };
                under_way.push(carry(&*hands, errand, stop));
            }
            let Some((errand, came, is_whole)) = under_way.next().await else { break };
            self.heard(errand, is_whole);
            for mut outcome in came {
                known.settle(&mut outcome);
                let unit = (outcome.requirer.clone(), outcome.unit.clone());
                match (&outcome.result, known.requirers.get(&unit.0)) {
                    (Err(_), Some(requirer)) => {
                        let retry = requirer.written.if_failed(&unit.1, now);
                        carried.retry = Some(carried.retry.map_or(retry, |other| other.min(retry)));
                    }
                    (Ok(_), _) if outcome.gone => drop(carried.taken.insert(unit)),
                    _ => {}
                }
                // No two about one place in one go.
                let is_there =
                    |other: &Outcome| (&other.requirer, &other.unit) == (&outcome.requirer, &outcome.unit);
                if outcomes.len() >= OUTCOMES_MAX || outcomes.iter().any(is_there) {
                    self.report(&std::mem::take(&mut outcomes)).await;
                }
                outcomes.push(outcome);
            }
        }
        self.report(&outcomes).await;
        carried.is_all = rest.peek().is_none();
        carried
    }

    /// Remembers whom to leave alone for a while, and who did not get all that it wants.
    fn heard(&mut self, errand: &Errand, is_whole: bool) {
        let Errand::Host(errand) = errand else { return };
        if is_whole {
            self.busy.remove(&errand.host);
        } else {
            let before = self.busy.get(&errand.host).map(|(_, pause)| pause.as_seconds());
            let pause = before.map_or(NOT_NOW.0, |pause| Span::seconds(pause * 2).min(NOT_NOW.1));
            self.busy.insert(errand.host.clone(), (self.clock.now() + pause, pause));
            return;
        }
        for part in &errand.parts {
            let unit = (part.requirer.clone(), errand.host.clone());
            match part.refused {
                Some(_) => drop(self.tried.insert(unit, part.bundle.hash().to_owned())),
                None => drop(self.tried.remove(&unit)),
            }
        }
    }

    /// Writes down what came of errands; what cannot be written of one is not lost of the others.
    async fn report(&self, outcomes: &[Outcome]) {
        if outcomes.is_empty() || self.trust.report(Permit::house(), outcomes).await.is_ok() {
            return;
        }
        for outcome in outcomes {
            if let Err(error) = self.trust.report(Permit::house(), std::slice::from_ref(outcome)).await {
                let Outcome { requirer, unit, .. } = outcome;
                tracing::error!(%requirer, unit, error = %base::report(&error), "what came of it cannot be written down");
            }
        }
    }
}

impl Errand {
    /// What it puts where: whose, where in a unit, and in which.
    fn gives(&self) -> Vec<(&RequirerName, &Place, &str)> {
        match self {
            Self::Host(errand) => {
                let parts = errand.parts.iter();
                parts.map(|part| (&part.requirer, &part.place, errand.host.as_str())).collect()
            }
            Self::Requirer(errand) => {
                let give = errand.give.iter();
                give.map(|give| (&errand.requirer, &errand.place, give.unit.as_str())).collect()
            }
        }
    }
}

/// What is to be on a host.
#[derive(Default)]
struct OfHost<'r> {
    is_due: bool,
    /// Whether all of why it is due failed before.
    is_failing: bool,
    /// Whoever wants certificates there, where, and why it does not get all of it.
    parts: Vec<(&'r Requirer, &'r OnHost, Option<String>)>,
    /// Whose each file is.
    files: BTreeMap<&'r str, &'r RequirerName>,
    /// Those who are to have nothing there any more, and where they had it.
    left: Vec<(RequirerName, Place)>,
    /// Where certificates may be that are not to be there any more.
    drops: Vec<Place>,
}

impl<'r> OfHost<'r> {
    /// Notes that something there is due, or is not, and whether it failed before.
    fn note(&mut self, is_due: bool, is_failing: bool) {
        if is_due {
            self.is_failing = is_failing && (self.is_failing || !self.is_due);
            self.is_due = true;
        }
    }

    /// Has `name` have the files of `on` that are nobody's yet. Why it does not get the others: they are another one's, who
    /// was there first.
    fn take_files(&mut self, on: &'r OnHost, name: &'r RequirerName) -> Option<String> {
        let mut refused = None;
        for file in &on.files {
            let owner = *self.files.entry(file.path()).or_insert(name);
            if owner != name && refused.is_none() {
                let path = file.path();
                refused =
                    Some(format!("{path} is there for the requirer `{owner}` already; name another file"));
            }
        }
        refused
    }

    fn errand(self, host: &str) -> HostErrand {
        let owners = self.files;
        let part = |(requirer, on, refused): (&Requirer, &OnHost, Option<String>)| Part {
            requirer: requirer.name().clone(),
            place: requirer.wanted.place.clone(),
            on: OnHost {
                files: {
                    let own =
                        on.files.iter().filter(|file| owners.get(file.path()) == Some(&requirer.name()));
                    own.cloned().collect()
                },
                ..on.clone()
            },
            bundle: requirer.wanted.bundle.clone(),
            refused,
        };
        let mut drops: BTreeMap<String, FilePlace> = BTreeMap::new();
        for place in &self.drops {
            if let Place::Hosts { on, .. } = place {
                let gone = on.files.iter().filter(|file| !owners.contains_key(file.path()));
                drops.extend(gone.map(|file| (file.path().to_owned(), file.clone())));
            }
        }
        HostErrand {
            host: host.to_owned(),
            parts: self.parts.into_iter().map(part).collect(),
            left: self.left,
            drops: drops.into_values().collect(),
        }
    }
}

/// What is written down of an attempt: the hash of what is there, and whether somebody else had changed it.
fn outcome(
    requirer: &RequirerName,
    unit: &str,
    place: &Place,
    result: Result<(String, bool), String>,
    gone: bool,
) -> Outcome {
    let result = result.map(|(hash, drifted)| Put { hash, drifted });
    let settled = Vec::new();
    let (requirer, unit, place) = (requirer.clone(), unit.to_owned(), place.clone());
    Outcome { requirer, unit, place, result, tried: None, settled, gone }
}

/// What is to be said of a unit that is to have `hash`, or to have nothing; nothing where nothing was begun.
fn said(came: &Came, hash: Option<&str>) -> Option<Result<(String, bool), String>> {
    let hash_of = || hash.unwrap_or_default().to_owned();
    match came {
        Came::Done { drifted } | Came::Partly { drifted, .. } => Some(Ok((hash_of(), *drifted))),
        // Where nobody is, nothing of ours is.
        Came::Gone(_) if hash.is_none() => Some(Ok((String::new(), false))),
        Came::Failed(reason) | Came::Gone(reason) => Some(Err(reason.clone())),
        Came::NotNow => None,
    }
}

/// What is to be said of a file of `part`, where not all of a host is as it is to be.
fn refused_of(came: &Came, part: &Part) -> Option<String> {
    let Came::Partly { refused, .. } = came else { return None };
    part.on.files.iter().find_map(|file| refused.get(file.path())).cloned()
}

/// Does one errand, unless it is to stop: what came of it, and whether all of it was begun with.
async fn carry<'e>(hands: &dyn HandOn, errand: &'e Errand, stop: &Stop) -> (&'e Errand, Vec<Outcome>, bool) {
    if stop.is_asked() {
        return (errand, Vec::new(), false);
    }
    let mut outcomes = Vec::new();
    let mut is_whole = true;
    match errand {
        Errand::Host(at) => {
            let came = hands.to_host(at, stop).await;
            is_whole = came != Came::NotNow;
            for part in &at.parts {
                let Some(said) = said(&came, Some(part.bundle.hash())) else { continue };
                let refused = part.refused.clone().or_else(|| refused_of(&came, part));
                let said = said.and_then(|done| refused.map_or(Ok(done), Err));
                outcomes.push(outcome(&part.requirer, &at.host, &part.place, said, false));
            }
            for (requirer, place) in &at.left {
                let Some(said) = said(&came, None) else { continue };
                outcomes.push(outcome(requirer, &at.host, place, said, true));
            }
        }
        Errand::Requirer(of) => {
            for (unit, came) in hands.to_units(of, stop).await {
                is_whole &= came != Came::NotNow;
                let taken = of.take.iter().find(|(taken, _)| *taken == unit);
                // A unit may be among both, where it is to have something, and nothing in a place of another kind.
                let is_given = of.give.iter().any(|give| give.unit == unit);
                if let Some((_, places)) = taken
                    && let Some(said) = said(&came, None)
                {
                    let place = places.first().unwrap_or(&of.place);
                    outcomes.push(outcome(&of.requirer, &unit, place, said, true));
                }
                if is_given && let Some(said) = said(&came, Some(of.bundle.hash())) {
                    outcomes.push(outcome(&of.requirer, &unit, &of.place, said, false));
                }
            }
        }
    }
    (errand, outcomes, is_whole)
}

impl Reconciler for HandOnTrust {
    fn name(&self) -> &'static str {
        "hand-on-trust"
    }

    fn step<'a>(&'a mut self, stop: &'a Stop) -> BoxFuture<'a, Result<Next, StepError>> {
        Box::pin(async move {
            self.tidy().await;
            let now = self.clock.now();
            let known = self.known().await?;
            let Due { mut errands, mut settled, mut next } = self.due(&known, now);
            settled.iter_mut().for_each(|outcome| known.settle(outcome));
            for some in settled.chunks(OUTCOMES_MAX) {
                self.report(some).await;
            }
            let is_all = errands.len() <= ERRANDS_MAX;
            errands.truncate(ERRANDS_MAX);
            self.announce(&known, &mut errands).await;
            let carried = self.carry_out(&known, &errands, now, stop).await;
            next = carried.retry.map_or(next, |retry| next.min(retry));
            let busy = self.busy.values().map(|(until, _)| *until).filter(|until| *until > now);
            next = busy.min().map_or(next, |until| next.min(until));
            self.busy.retain(|_, (until, _)| *until + EVERY > now);
            if let Some(ends) = known.grace_ends {
                self.tidied = self.tidied.filter(|_| ends > now + EVERY);
                next = next.min(ends);
            }
            // What was taken away everywhere is forgotten at once.
            let is_over = |requirer: &Requirer| {
                let is_taken =
                    |unit: &str| carried.taken.contains(&(requirer.name().clone(), unit.to_owned()));
                requirer.wanted.leaving && requirer.left().all(is_taken)
            };
            if !settled.is_empty() {
                next = next.min(now + NOT_NOW.0);
            }
            if !is_all || !carried.is_all || known.requirers.values().any(is_over) {
                next = now;
            }
            Ok(Next::At(next))
        })
    }

    fn cares(&self, what: &str) -> bool {
        what.starts_with("trust ")
    }

    fn hints_apart(&self) -> Duration {
        HINTS_APART
    }
}

#[cfg(test)]
mod tests;
