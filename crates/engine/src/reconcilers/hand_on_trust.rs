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
//! As long as there are hands, nobody waits for somebody else: whoever takes long is in hand ([`InHand`]) while the others are
//! looked at again as soon as anything else is wanted of them. Before an errand is begun it is asked whether all is wanted
//! still, but for those that are begun as soon as everything was read: what was withdrawn is put nowhere any more.

mod errand;
mod in_hand;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use base::{Clock, Span, Timestamp};
use futures_util::future::BoxFuture;
use identity::Permit;
use trust::{
    ANNOUNCED_MAX, Announced, Moment, OUTCOMES_MAX, Outcome, Place, RequirerName, Trust, Wanted, Written,
};

pub(crate) use self::errand::{Came, Errand, Give, HandOn, HostErrand, Part, RequirerErrand, Trouble};
use self::errand::{OfHost, Wish, outcome};
use self::in_hand::{Done, InHand};

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
/// How many errands are done in one round, and how long after it began to look new ones are begun. The rest is done in the
/// next one, with what is wanted then.
const ERRANDS_MAX: usize = 10_000;
const BEGIN: Span = Span::seconds(30);
/// How long a round lasts at least while anything is in hand, and how often it is looked then whether anything else is wanted.
const LOOK_AFTER: Duration = Duration::from_secs(1);
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

    /// What is written down of all that `errand`, begun at `now`, is about.
    fn before(&self, errand: &Errand, now: Timestamp) -> Vec<Before> {
        let before = |(name, place, unit): (&RequirerName, &Place, &str)| {
            let written = &self.requirers.get(name)?.written;
            let (announced, if_failed) = (written.announced(unit, place), written.if_failed(unit, now));
            let (requirer, unit, place) = (name.clone(), unit.to_owned(), place.clone());
            Some(Before { requirer, unit, place, announced, if_failed })
        };
        errand.gives().into_iter().chain(errand.takes()).filter_map(before).collect()
    }
}

/// What was written down of a unit before an errand to it was begun.
struct Before {
    requirer: RequirerName,
    unit: String,
    /// Where in it the errand is about.
    place: Place,
    announced: Vec<Announced>,
    /// When it is tried again, should it come to nothing.
    if_failed: Timestamp,
}

impl Before {
    fn is_of(&self, outcome: &Outcome) -> bool {
        (&self.requirer, &self.unit, &self.place) == (&outcome.requirer, &outcome.unit, &outcome.place)
    }
}

/// What is to be done now.
struct Due {
    errands: Vec<Errand>,
    /// What needs nothing to be done to be so.
    settled: Vec<Outcome>,
    /// When the next is due.
    next: Timestamp,
    /// Whether that is all.
    is_all: bool,
}

/// What came of the errands.
#[derive(Default)]
struct Carried {
    /// The units in which there is nothing any more.
    taken: BTreeSet<(RequirerName, String)>,
    outcomes: Vec<Outcome>,
    /// Since when the first of them waits to be written down.
    unreported: Option<tokio::time::Instant>,
}

/// How a round ended.
enum Round {
    /// All that was due was done, and nothing is in hand.
    Over {
        /// When the next is due.
        next: Timestamp,
    },
    /// It is to be looked again, whatever is in hand.
    Again,
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

    /// What is due at `now`, but for what is in hand.
    fn due(&self, known: &Known, now: Timestamp, in_hand: &InHand<'_>) -> Due {
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
            if (!give.is_empty() || !take.is_empty()) && !in_hand.has_requirer(name) {
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
            if of.is_due && is_free && !in_hand.has_host(host) {
                of_hosts.push((of.is_failing, Errand::Host(of.errand(host))));
            }
        }
        // Those that failed before come last: nobody waits for who is away.
        of_hosts.sort_by_key(|(is_failing, _)| *is_failing);
        errands.extend(of_hosts.into_iter().map(|(_, errand)| errand));
        let is_all = errands.len() <= ERRANDS_MAX;
        errands.truncate(ERRANDS_MAX);
        Due { errands, settled, next, is_all }
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

    /// Begins `errands`, which are due by `known`, and writes down what comes of them and of those that are in hand.
    async fn round<'s>(
        &mut self,
        (known, due): (&Known, Due),
        began: Timestamp,
        in_hand: &mut InHand<'s>,
        carried: &mut Carried,
        stop: &'s Stop,
    ) -> Round {
        let mut rest = due.errands.into_iter().peekable();
        let mut next = due.next;
        let at_once = self.hands.at_once().max(1);
        let mut look_at = tokio::time::Instant::now() + LOOK_AFTER;
        // What was skipped since it was in hand may be due still; a requirer that has nothing any more may be forgotten.
        let (mut is_stale, mut is_past, mut is_taken) = (false, false, false);
        in_hand.begin_round();
        let mut begun = 0;
        loop {
            while !is_past && !stop.is_asked() && in_hand.len() < at_once && rest.peek().is_some() {
                // Changes may come as fast as everything is read: each round begins some.
                is_past = self.clock.now() >= began + BEGIN
                    || begun >= at_once && in_hand.beside(self.is_past(known)).await;
                if is_past {
                    break;
                }
                let Some(errand) = rest.next() else { break };
                let before = known.before(&errand, began);
                in_hand.begin(Arc::clone(&self.hands), errand, before, stop);
                begun += 1;
            }
            let report_at = carried.unreported.map(|since| since + REPORT_AFTER);
            let done = tokio::select! {
                biased;
                done = in_hand.next() => done,
                () = until(report_at) => {
                    in_hand.beside(self.report(carried)).await;
                    continue;
                }
                () = tokio::time::sleep_until(look_at), if !stop.is_asked() => {
                    let now = self.clock.now();
                    let is_late = rest.peek().is_some() && now >= began + BEGIN;
                    let is_due = is_stale || is_taken || is_past || is_late || now >= next;
                    if is_due || in_hand.beside(self.is_past(known)).await {
                        return Round::Again;
                    }
                    look_at = tokio::time::Instant::now() + LOOK_AFTER;
                    continue;
                }
            };
            let Some(done) = done else { break };
            is_stale |= in_hand.is_of_old(&done);
            is_taken |= done.outcomes.iter().any(|outcome| outcome.gone && outcome.result.is_ok());
            if let Some(until) = self.heard(&done.errand, done.is_whole) {
                next = next.min(until);
            }
            if let Some(retry) = in_hand.beside(self.note(done, carried)).await {
                next = next.min(retry);
            }
        }
        let is_more = is_stale || is_past || !due.is_all || rest.peek().is_some();
        Round::Over { next: if is_more { self.clock.now() } else { next } }
    }

    /// Notes what came of an errand, to be written down with others: when what failed of it is tried again.
    async fn note(&self, done: Done, carried: &mut Carried) -> Option<Timestamp> {
        let Done { before, outcomes, .. } = done;
        let mut retry: Option<Timestamp> = None;
        for mut outcome in outcomes {
            let before = before.iter().find(|before| before.is_of(&outcome));
            if let Some(before) = before {
                outcome.settled.clone_from(&before.announced);
            }
            match (&outcome.result, before) {
                (Err(_), Some(before)) => {
                    retry = Some(retry.map_or(before.if_failed, |other| other.min(before.if_failed)));
                }
                (Ok(_), _) if outcome.gone => {
                    carried.taken.insert((outcome.requirer.clone(), outcome.unit.clone()));
                }
                _ => {}
            }
            // No two about one place in one go.
            let is_there =
                |other: &Outcome| (&other.requirer, &other.unit) == (&outcome.requirer, &outcome.unit);
            let is_overdue = carried.unreported.is_some_and(|since| since.elapsed() >= REPORT_AFTER);
            if carried.outcomes.len() >= OUTCOMES_MAX || is_overdue || carried.outcomes.iter().any(is_there) {
                self.report(carried).await;
            }
            carried.unreported.get_or_insert_with(tokio::time::Instant::now);
            carried.outcomes.push(outcome);
        }
        retry
    }

    /// Waits for what is in hand, until `at` at most, and writes down what comes of it.
    async fn wait(
        &mut self,
        in_hand: &mut InHand<'_>,
        carried: &mut Carried,
        at: Option<tokio::time::Instant>,
    ) {
        loop {
            let done = tokio::select! {
                biased;
                done = in_hand.next() => done,
                () = until(at) => None,
            };
            let Some(done) = done else { break };
            self.heard(&done.errand, done.is_whole);
            in_hand.beside(self.note(done, carried)).await;
        }
        in_hand.beside(self.report(carried)).await;
    }

    /// Whether something else is wanted by now, or that cannot be told.
    async fn is_past(&self, known: &Known) -> bool {
        self.trust.moment(Permit::house()).await.map_or(true, |moment| moment != known.moment)
    }

    /// Remembers whom to leave alone for a while, and until when, and who did not get all that it wants.
    fn heard(&mut self, errand: &Errand, is_whole: bool) -> Option<Timestamp> {
        let Errand::Host(errand) = errand else { return None };
        if is_whole {
            self.busy.remove(&errand.host);
        } else {
            let before = self.busy.get(&errand.host).map(|(_, pause)| pause.as_seconds());
            let pause = before.map_or(NOT_NOW.0, |pause| Span::seconds(pause * 2).min(NOT_NOW.1));
            let until = self.clock.now() + pause;
            self.busy.insert(errand.host.clone(), (until, pause));
            return Some(until);
        }
        for part in &errand.parts {
            let unit = (part.requirer.clone(), errand.host.clone());
            match part.refused {
                Some(_) => drop(self.tried.insert(unit, part.bundle.hash().to_owned())),
                None => drop(self.tried.remove(&unit)),
            }
        }
        None
    }

    /// Writes down what came of errands.
    async fn report(&self, carried: &mut Carried) {
        carried.unreported = None;
        self.report_all(&std::mem::take(&mut carried.outcomes)).await;
    }

    /// The same; what cannot be written of one is not lost of the others.
    async fn report_all(&self, outcomes: &[Outcome]) {
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
            let (mut in_hand, mut carried) = (InHand::default(), Carried::default());
            let (known, mut next) = loop {
                in_hand.beside(self.tidy()).await;
                let now = self.clock.now();
                let known = match in_hand.beside(self.known()).await {
                    Ok(known) => known,
                    Err(error) if in_hand.is_empty() || stop.is_asked() => {
                        self.wait(&mut in_hand, &mut carried, None).await;
                        return Err(error);
                    }
                    Err(error) => {
                        tracing::warn!(error = %base::report(error.as_ref()), "who is to have what cannot be read yet");
                        let soon = tokio::time::Instant::now() + LOOK_AFTER;
                        self.wait(&mut in_hand, &mut carried, Some(soon)).await;
                        continue;
                    }
                };
                let mut due = self.due(&known, now, &in_hand);
                due.settled.iter_mut().for_each(|outcome| known.settle(outcome));
                for some in due.settled.chunks(OUTCOMES_MAX) {
                    in_hand.beside(self.report_all(some)).await;
                }
                if !due.settled.is_empty() {
                    due.next = due.next.min(now + NOT_NOW.0);
                }
                if let Some(ends) = known.grace_ends {
                    self.tidied = self.tidied.filter(|_| ends > now + EVERY);
                    due.next = due.next.min(ends.max(now));
                }
                in_hand.beside(self.announce(&known, &mut due.errands)).await;
                let ended = self.round((&known, due), now, &mut in_hand, &mut carried, stop).await;
                in_hand.beside(self.report(&mut carried)).await;
                if let Round::Over { next } = ended {
                    break (known, next);
                }
            };
            let now = self.clock.now();
            let busy = self.busy.values().map(|(until, _)| *until).filter(|until| *until > now);
            next = busy.min().map_or(next, |until| next.min(until));
            self.busy.retain(|_, (until, _)| *until + EVERY > now);
            // What was taken away everywhere is forgotten at once.
            let is_over = |requirer: &Requirer| {
                let is_taken =
                    |unit: &str| carried.taken.contains(&(requirer.name().clone(), unit.to_owned()));
                requirer.wanted.leaving && requirer.left().all(is_taken)
            };
            if known.requirers.values().any(is_over) {
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

/// Waits until then, or for ever.
async fn until(at: Option<tokio::time::Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
