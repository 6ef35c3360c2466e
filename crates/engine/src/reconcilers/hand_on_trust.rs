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
//! A step carries out what was wanted when it began, and ends soon after anything else is: what is withdrawn meanwhile is not
//! to be put anywhere for much longer.

mod errand;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use base::{Clock, Span, Timestamp};
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use identity::Permit;
use trust::{ANNOUNCED_MAX, Moment, OUTCOMES_MAX, Outcome, Place, RequirerName, Trust, Wanted, Written};

pub(crate) use self::errand::{Came, Errand, Give, HandOn, HostErrand, Part, RequirerErrand, Trouble};
use self::errand::{OfHost, Wish, carry, outcome};

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
const ERRANDS_MAX: usize = 10_000;
const BEGIN: Span = Span::seconds(30);
/// After so many errands it is looked whether anything else is wanted by now; then no new ones are begun.
const LOOK_AFTER: usize = 50;
/// How long what came of an errand may wait for others, to be written down in one commit with them. Who is away takes much
/// longer than that.
const REPORT_AFTER: Duration = Duration::from_millis(500);
/// How far apart steps are that hints ask for.
const HINTS_APART: Duration = Duration::from_secs(1);

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
        let is_poll = matches!(self.wanted.place, Place::Poll { .. });
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
    /// When all of this was so.
    moment: Moment,
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
        // Before the rest is read: what changes meanwhile is no part of it.
        let moment = self.trust.moment(Permit::house()).await?;
        let (wanted, grace_ends) = self.trust.wanted(Permit::house()).await?;
        let mut all_written = self.trust.written(Permit::house()).await?;
        let mut found = Vec::new();
        for wanted in wanted {
            let written = all_written.remove(&wanted.requirer).unwrap_or_default();
            let is_poll = matches!(wanted.place, Place::Poll { .. });
            let is_somewhere = written.names().any(|unit| !is_poll || !written.places(unit).is_empty());
            // Programs that ask by themselves take it away themselves, and say so.
            let is_awaited = is_poll && written.is_had(wanted.bundle.hash());
            if wanted.leaving && !is_somewhere {
                if !is_awaited
                    && let Err(error) = self.trust.requirer_left(Permit::house(), &wanted.requirer).await
                {
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
        Ok(Known { moment, requirers, grace_ends, unread })
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
                    let elsewhere = requirer.written.elsewhere(unit, place);
                    host.drops.extend(elsewhere.iter().cloned());
                    host.parts.push(Wish { requirer, on, refused, elsewhere });
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
                if !on_host.is_empty() {
                    let host = hosts.entry(unit).or_default();
                    host.note(is_due, requirer.written.is_failing(unit));
                    host.drops.extend(on_host.iter().cloned());
                    host.left.push((name.clone(), on_host));
                }
                // To a webhook of which nothing but its mark is known, nothing can be told.
                let is_told = |other: &Place| other.kind() == "kubernetes" || other.kind() == place.kind();
                let (told, forgotten): (Vec<_>, Vec<_>) = others.into_iter().partition(is_told);
                if let Some(place) = forgotten.into_iter().next() {
                    settled.push(outcome(name, unit, &place, "", Ok((String::new(), false))));
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
        let (mut begun, mut is_over) = (0, false);
        // Since when the first of `outcomes` waits.
        let mut unreported = tokio::time::Instant::now();
        loop {
            while !is_over && under_way.len() < hands.at_once().max(1) && self.clock.now() < now + BEGIN {
                if begun > 0 && begun % LOOK_AFTER == 0 && self.is_past(known).await {
                    is_over = true;
                    break;
                }
                let Some(errand) = rest.next() else { break };
                begun += 1;
                under_way.push(carry(&*hands, errand, stop));
            }
            let next = tokio::select! {
                biased;
                next = under_way.next() => next,
                () = tokio::time::sleep_until(unreported + REPORT_AFTER), if !outcomes.is_empty() => {
                    self.report(&std::mem::take(&mut outcomes)).await;
                    continue;
                }
            };
            let Some((errand, came, is_whole)) = next else { break };
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
                let is_overdue = !outcomes.is_empty() && unreported.elapsed() >= REPORT_AFTER;
                if outcomes.len() >= OUTCOMES_MAX || is_overdue || outcomes.iter().any(is_there) {
                    self.report(&std::mem::take(&mut outcomes)).await;
                }
                if outcomes.is_empty() {
                    unreported = tokio::time::Instant::now();
                }
                outcomes.push(outcome);
            }
        }
        self.report(&outcomes).await;
        carried.is_all = rest.peek().is_none();
        carried
    }

    /// Whether something else is wanted by now, as far as that can be told.
    async fn is_past(&self, known: &Known) -> bool {
        self.trust.moment(Permit::house()).await.is_ok_and(|moment| moment != known.moment)
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
