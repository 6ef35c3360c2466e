//! What is where: one host, one namespace, one program of a requirer's each, and whether it is what it is to be.

use std::collections::HashMap;

use base::{Span, Timestamp};
use identity::{Permit, Principal};
use store::{Batch, CommitError, Loaded};

use crate::error::{ReadError, cut};
use crate::event::Happened;
use crate::name::RequirerName;
use crate::place::Place;
use crate::record::{FailingRecord, PlaceRecord, UnitRecord};
use crate::service::{ManageTrust, ReadTrust, Trust, Why};
use crate::wanted::BundleSince;

/// The longest name of a place, in bytes.
const UNIT_BYTES_MAX: usize = 253;
/// The first pause after an attempt that came to nothing, and the longest.
const PAUSES: (Span, Span) = (Span::seconds(5), Span::seconds(3_600));
/// How many outcomes are written in one commit: a record and two events each at most, and what the history counts.
pub const OUTCOMES_MAX: usize = 25;
/// How many places are announced in one commit.
pub const ANNOUNCED_MAX: usize = 90;

/// One of a requirer's places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// Its name: a host's address, a namespace, or what a program says of itself.
    pub name: String,
    /// How it is.
    pub state: UnitState,
    /// The hash of what was last seen to be there.
    pub applied: Option<String>,
    /// When it was last looked at.
    pub looked: Option<Timestamp>,
    /// When somebody else was last seen to have changed it.
    pub drifted: Option<Timestamp>,
}

/// How it is with one of a requirer's places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UnitState {
    /// It has what it is to have.
    InStep {
        /// Since when.
        since: Timestamp,
    },
    /// It does not have it yet.
    Behind {
        /// Since when it is to have something else than it has.
        since: Timestamp,
    },
    /// It could not be given what it is to have.
    Failing {
        /// Since when.
        since: Timestamp,
        /// Why not, the last time.
        reason: String,
        /// How many attempts there were.
        attempts: u32,
        /// When it is tried again.
        next: Timestamp,
    },
}

impl Unit {
    /// As it is written down, when it is to have `wanted`, since `since`.
    pub(crate) fn from_record(name: String, record: UnitRecord, wanted: &str, since: Timestamp) -> Self {
        Self {
            name,
            state: record.state(wanted, since),
            looked: record.looked.map(Timestamp::from_unix),
            drifted: record.drifted.map(Timestamp::from_unix),
            applied: record.applied,
        }
    }
}

/// How many places are how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// They have what they are to have.
    pub in_step: usize,
    /// They do not have it yet.
    pub behind: usize,
    /// They could not be given it.
    pub failing: usize,
}

/// Where in a unit certificates were written down to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announced(PlaceRecord);

impl Announced {
    /// What is written down of `place`, if anything is.
    #[must_use]
    pub fn of(place: &Place) -> Option<Self> {
        place.in_unit().map(Self)
    }
}

/// What came of an attempt to put a bundle in a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The requirer.
    pub requirer: RequirerName,
    /// The place.
    pub unit: String,
    /// Where in it that was tried.
    pub place: Place,
    /// What came of it.
    pub result: Result<Put, String>,
    /// Where in it certificates were written down to be when that was begun: what was there is taken away, but for
    /// `place`, where it succeeded. Where somebody else announced them since, they stay written down.
    pub settled: Vec<Announced>,
    /// Whether it has nothing to be any more, and is forgotten when all is taken away.
    pub gone: bool,
}

/// That a bundle is in a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Put {
    /// The bundle's hash.
    pub hash: String,
    /// Whether somebody else had changed what was put there before.
    pub drifted: bool,
}

/// How long to wait after the attempt `attempts`, counted from 1.
fn pause(attempts: u32) -> Span {
    let doubled = PAUSES.0.as_seconds().saturating_mul(1 << attempts.saturating_sub(1).min(20));
    Span::seconds(doubled.min(PAUSES.1.as_seconds()))
}

/// `record` after `result` at `place`, at `now`, when nothing is left in the places that were `settled`.
fn after(
    record: UnitRecord,
    place: Option<PlaceRecord>,
    settled: &[PlaceRecord],
    result: &Result<Put, String>,
    now: Timestamp,
) -> UnitRecord {
    let now_unix = now.as_unix();
    match result {
        Ok(put) => UnitRecord {
            since: match record.since {
                Some(since) if record.applied.as_deref() == Some(&put.hash) && record.failing.is_none() => {
                    Some(since)
                }
                _ => Some(now_unix),
            },
            applied: Some(put.hash.clone()),
            looked: Some(now_unix),
            drifted: if put.drifted { Some(now_unix) } else { record.drifted },
            failing: None,
            places: unsettled(record.places, settled)
                .filter(|other| Some(other) != place.as_ref())
                .chain(place.clone())
                .collect(),
        },
        Err(reason) => {
            let attempts = record.failing.as_ref().map_or(0, |failing| failing.attempts).saturating_add(1);
            let since = record.failing.as_ref().map_or(now_unix, |failing| failing.since);
            let next = (now + pause(attempts)).as_unix();
            UnitRecord {
                failing: Some(FailingRecord { reason: cut(reason), since, attempts, next }),
                ..record
            }
        }
    }
}

/// Those of `places` that are not `settled`.
fn unsettled(places: Vec<PlaceRecord>, settled: &[PlaceRecord]) -> impl Iterator<Item = PlaceRecord> {
    places.into_iter().filter(|place| !settled.contains(place))
}

impl UnitRecord {
    /// How it is, when `wanted` is what it is to have, since `since`.
    pub(crate) fn state(&self, wanted: &str, since: Timestamp) -> UnitState {
        match (&self.failing, &self.applied) {
            (Some(failing), _) => UnitState::Failing {
                since: Timestamp::from_unix(failing.since),
                reason: failing.reason.clone(),
                attempts: failing.attempts,
                next: Timestamp::from_unix(failing.next),
            },
            (None, Some(applied)) if applied == wanted => {
                UnitState::InStep { since: self.since.map_or(since, Timestamp::from_unix) }
            }
            (None, _) => UnitState::Behind { since },
        }
    }

    /// When it is to be looked at: at once where it lacks what it is to have, or has it elsewhere, later where that failed
    /// before, and every `drift` where it has it.
    fn due(&self, wanted: &str, place: Option<&PlaceRecord>, drift: Span) -> Timestamp {
        let here = self.places.iter().filter(|other| place.is_some_and(|place| place.is_like(other)));
        let is_there = here.eq(place);
        // What failed elsewhere is no reason to wait here, where it was never tried.
        if place.is_some_and(|place| !self.places.contains(place)) {
            return Timestamp::from_unix(0);
        }
        match (&self.failing, &self.applied, self.looked) {
            (Some(failing), ..) => Timestamp::from_unix(failing.next),
            (None, Some(applied), Some(looked)) if applied == wanted && is_there => {
                Timestamp::from_unix(looked) + drift
            }
            (None, ..) => Timestamp::from_unix(0),
        }
    }
}

/// What is written down of the places of one requirer, as the engine asks for it.
#[derive(Debug, Default)]
pub struct Written(HashMap<String, UnitRecord>);

impl Written {
    /// When `unit` is to be looked at, which is to have `wanted` at `place`.
    #[must_use]
    pub fn due(&self, unit: &str, wanted: &str, place: &Place, drift: Span) -> Timestamp {
        let place = place.in_unit();
        self.0.get(unit).map_or(Timestamp::from_unix(0), |record| record.due(wanted, place.as_ref(), drift))
    }

    /// Whether it is written down that certificates may be at `place` in `unit`.
    #[must_use]
    pub fn is_announced(&self, unit: &str, place: &Place) -> bool {
        let place = place.in_unit();
        place.is_none_or(|place| self.0.get(unit).is_some_and(|record| record.places.contains(&place)))
    }

    /// Whether `unit` was last seen to have `wanted` at `place`, and there only.
    #[must_use]
    pub fn has(&self, unit: &str, wanted: &str, place: &Place) -> bool {
        let place = place.in_unit();
        self.0.get(unit).is_some_and(|record| {
            record.applied.as_deref() == Some(wanted) && record.places.iter().eq(place.as_ref())
        })
    }

    /// Whether anything is written down of `unit`.
    #[must_use]
    pub fn knows(&self, unit: &str) -> bool {
        self.0.contains_key(unit)
    }

    /// Whether the last attempt in `unit` came to nothing.
    #[must_use]
    pub fn is_failing(&self, unit: &str) -> bool {
        self.0.get(unit).is_some_and(|record| record.failing.is_some())
    }

    /// When `unit` is tried again, should an attempt at `now` come to nothing.
    #[must_use]
    pub fn if_failed(&self, unit: &str, now: Timestamp) -> Timestamp {
        let failing = self.0.get(unit).and_then(|record| record.failing.as_ref());
        now + pause(failing.map_or(0, |failing| failing.attempts).saturating_add(1))
    }

    /// Where in `unit` certificates may be that are to be at `place` now, in places of the same kind.
    #[must_use]
    pub fn elsewhere(&self, unit: &str, place: &Place) -> Vec<Place> {
        let here = place.in_unit();
        let places = self.0.get(unit).map_or(&[][..], |record| &record.places);
        let others = places.iter().filter(|other| Some(*other) != here.as_ref());
        let others = others.filter(|other| here.as_ref().is_some_and(|here| here.is_like(other)));
        others.filter_map(|other| Place::in_unit_from(other.clone())).collect()
    }

    /// Where in `unit`, of the kind of `place`, certificates are written down to be.
    #[must_use]
    pub fn announced(&self, unit: &str, place: &Place) -> Vec<Announced> {
        let of_kind = place.in_unit();
        let places = self.0.get(unit).map_or(&[][..], |record| &record.places);
        let alike = places.iter().filter(|other| of_kind.as_ref().is_some_and(|place| place.is_like(other)));
        alike.cloned().map(Announced).collect()
    }

    /// When it is tried again to take everything away in `unit`: at once, unless that failed.
    #[must_use]
    pub fn retry(&self, unit: &str) -> Timestamp {
        let failing = self.0.get(unit).and_then(|record| record.failing.as_ref());
        Timestamp::from_unix(failing.map_or(0, |failing| failing.next))
    }

    /// Where in `unit` certificates may be.
    #[must_use]
    pub fn places(&self, unit: &str) -> Vec<Place> {
        let places = self.0.get(unit).map_or(&[][..], |record| &record.places);
        places.iter().filter_map(|place| Place::in_unit_from(place.clone())).collect()
    }

    /// The places of which something is written down.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

impl Trust {
    /// What is written down of the places of every requirer, by its name.
    ///
    /// # Errors
    /// The store's.
    pub async fn written(
        &self,
        _permit: Permit<ManageTrust>,
    ) -> Result<HashMap<RequirerName, Written>, store::Error> {
        let mut written: HashMap<RequirerName, Written> = HashMap::new();
        for (id, found) in self.units.all().await? {
            if let Some((requirer, unit)) = id.split_once('/') {
                let requirer = RequirerName::from_record(requirer.to_owned());
                written.entry(requirer).or_default().0.insert(unit.to_owned(), found.record);
            }
        }
        Ok(written)
    }

    /// Writes down that certificates are about to be put at `place` in these units of `requirer`, so that they are taken
    /// away there whatever happens: at most [`ANNOUNCED_MAX`] at once. What does not fit into one commit is written in
    /// several; what does not fit into a record is logged, and left out.
    ///
    /// # Errors
    /// [`CommitError::Conflict`] where the requirer is gone, so that nothing is to be put anywhere; the store's.
    pub async fn announce(
        &self,
        _permit: Permit<ManageTrust>,
        requirer: &RequirerName,
        units: &[String],
        place: &Place,
    ) -> Result<(), CommitError> {
        let Some(place) = place.in_unit() else { return Ok(()) };
        let mut parts = vec![units];
        while let Some(some) = parts.pop() {
            match self.announce_some(requirer, some, &place).await {
                Err(CommitError::TooLarge { what }) => {
                    cut_in_two(some, &mut parts, |unit| {
                        tracing::error!(%requirer, unit, what, "where certificates are put was not written down");
                    });
                }
                done => done?,
            }
        }
        Ok(())
    }

    async fn announce_some(
        &self,
        requirer: &RequirerName,
        units: &[String],
        place: &PlaceRecord,
    ) -> Result<(), CommitError> {
        let mut attempts = 0;
        loop {
            let mut batch = Batch::new();
            if !self.expect_requirer(&mut batch, requirer).await? {
                return Err(CommitError::Conflict { key: self.requirers.key(requirer.as_str())? });
            }
            for unit in units {
                let id = format!("{requirer}/{unit}");
                let found = self.units.get(&id).await?;
                let version = found.as_ref().map(|found| found.version);
                let mut record = found.map(|found| found.record).unwrap_or_default();
                if !record.places.contains(place) {
                    record.places.push(place.clone());
                    self.units.put_over(&mut batch, &id, &record, version)?;
                }
            }
            if batch.is_empty() {
                return Ok(());
            }
            match self.ground.engine.commit(batch).await {
                Ok(_) => return Ok(()),
                Err(error) => Self::again(error, &mut attempts)?,
            }
        }
    }

    /// Writes down what came of at most [`OUTCOMES_MAX`] attempts, no two about one place; nothing of requirers that are
    /// gone. What does not fit into one commit is written in several; what does not fit into a record is logged, and left
    /// out.
    ///
    /// # Errors
    /// The store's.
    pub async fn report(&self, permit: Permit<ManageTrust>, outcomes: &[Outcome]) -> Result<(), CommitError> {
        let mut parts = vec![outcomes];
        while let Some(some) = parts.pop() {
            match self.report_some(some, permit.by()).await {
                Err(CommitError::TooLarge { what }) => {
                    cut_in_two(some, &mut parts, |Outcome { requirer, unit, .. }| {
                        tracing::error!(%requirer, unit, what, "what came of an attempt was not written down");
                    });
                }
                done => done?,
            }
        }
        Ok(())
    }

    async fn report_some(&self, outcomes: &[Outcome], by: &Principal) -> Result<(), CommitError> {
        let mut attempts = 0;
        loop {
            let mut batch = Batch::new();
            for outcome in outcomes {
                self.note(&mut batch, outcome, by).await?;
            }
            match self.ground.engine.commit(batch).await {
                Ok(_) => return Ok(()),
                Err(error) => Self::again(error, &mut attempts)?,
            }
        }
    }

    /// `batch` is only taken while `requirer` is as it is; whether there is one.
    async fn expect_requirer(
        &self,
        batch: &mut Batch,
        requirer: &RequirerName,
    ) -> Result<bool, store::Error> {
        let key = self.requirers.key(requirer.as_str())?;
        if batch.expectations().iter().any(|(other, _)| *other == key) {
            return Ok(true);
        }
        let Some(found) = self.load_requirer(requirer).await? else { return Ok(false) };
        self.requirers.expect_at(batch, requirer.as_str(), found.version)?;
        Ok(true)
    }

    async fn note(&self, batch: &mut Batch, outcome: &Outcome, by: &Principal) -> Result<(), CommitError> {
        let Outcome { requirer, unit, place, result, settled, gone } = outcome;
        if !self.expect_requirer(batch, requirer).await? {
            return Ok(());
        }
        let id = format!("{requirer}/{unit}");
        let found = self.units.get(&id).await?;
        let version = found.as_ref().map(|found| found.version);
        let before = found.map(|found| found.record).unwrap_or_default();
        let settled: Vec<PlaceRecord> = settled.iter().map(|announced| announced.0.clone()).collect();
        let mut happened = Vec::new();
        match result {
            Ok(put) => {
                if put.drifted {
                    happened.push(Happened::Drifted { requirer, unit });
                }
                if before.applied.as_ref() != Some(&put.hash) || before.failing.is_some() {
                    happened.push(Happened::Applied { requirer, unit, hash: &put.hash });
                }
            }
            Err(reason) if before.failing.is_none() => {
                happened.push(Happened::Failing { requirer, unit, reason });
            }
            Err(_) => {}
        }
        match (result.is_ok() && *gone, version) {
            (true, Some(version)) => {
                let places: Vec<_> = unsettled(before.places.clone(), &settled).collect();
                if places.is_empty() {
                    self.units.remove(batch, &id, version)?;
                } else {
                    let left = UnitRecord { places, failing: None, ..before };
                    self.units.update(batch, &id, &left, version)?;
                }
            }
            (true, None) => {}
            (false, version) => {
                let record = after(before, place.in_unit(), &settled, result, self.now());
                self.units.put_over(batch, &id, &record, version)?;
            }
        }
        for happened in happened {
            let event = happened.event(by, &self.ground.clock);
            self.places_history.append(batch, &event, &self.ground.entropy)?;
        }
        Ok(())
    }

    /// Says that a program which asks by itself has put the bundle `hash` where it wants it.
    ///
    /// # Errors
    /// [`ConfirmError`].
    pub async fn confirm(
        &self,
        permit: Permit<ReadTrust>,
        requirer: &RequirerName,
        unit: &str,
        hash: &str,
    ) -> Result<(), ConfirmError> {
        let bundle = self.bundle_of(requirer).await?.bundle;
        let is_name = (1..=UNIT_BYTES_MAX).contains(&unit.len())
            && unit.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte));
        if !is_name {
            return Err(ConfirmError::Unit);
        }
        let found = self.load_requirer(requirer).await?;
        if found.is_none_or(|found| found.record.place != PlaceRecord::Poll) {
            return Err(ConfirmError::Looked);
        }
        if bundle.hash() != hash {
            return Err(ConfirmError::Other);
        }
        let result = Ok(Put { hash: hash.to_owned(), drifted: false });
        let (requirer_name, unit_name, place) = (requirer.clone(), unit.to_owned(), Place::Poll);
        let settled = Vec::new();
        let outcome =
            Outcome { requirer: requirer_name, unit: unit_name, place, result, settled, gone: false };
        let mut attempts = 0;
        loop {
            let mut batch = Batch::new();
            if self.units.get(&format!("{requirer}/{unit}")).await?.is_none()
                && self.units_of(requirer, None, POLLERS_MAX).await?.len() >= POLLERS_MAX
            {
                return Err(ConfirmError::Full);
            }
            self.note(&mut batch, &outcome, permit.by()).await?;
            match self.ground.engine.commit(batch).await {
                Ok(_) => return Ok(()),
                Err(error) => Self::again(error, &mut attempts)?,
            }
        }
    }

    /// How it is with the places of `requirer`, by name, behind `after_name`, at most `limit`; and whether there are more.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn units(
        &self,
        _permit: Permit<ReadTrust>,
        requirer: &RequirerName,
        after_name: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<Unit>, bool), ReadError> {
        self.states_of(requirer, after_name, limit).await
    }

    pub(crate) async fn states_of(
        &self,
        requirer: &RequirerName,
        after_name: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<Unit>, bool), ReadError> {
        let wanted = self.bundle_of(requirer).await?;
        let mut found = self.units_of(requirer, after_name, limit.saturating_add(1)).await?;
        let more = found.len() > limit;
        found.truncate(limit);
        let unit = |(name, found): (String, Loaded<UnitRecord>)| {
            Unit::from_record(name, found.record, wanted.bundle.hash(), wanted.since)
        };
        Ok((found.into_iter().map(unit).collect(), more))
    }

    /// How many places of `requirer` are how, which is to have `wanted`.
    pub(crate) async fn counts(
        &self,
        requirer: &RequirerName,
        wanted: &BundleSince,
    ) -> Result<Counts, store::Error> {
        let mut counts = Counts::default();
        for (_, found) in self.units_of(requirer, None, usize::MAX).await? {
            let count = match found.record.state(wanted.bundle.hash(), wanted.since) {
                UnitState::InStep { .. } => &mut counts.in_step,
                UnitState::Behind { .. } => &mut counts.behind,
                UnitState::Failing { .. } => &mut counts.failing,
            };
            *count += 1;
        }
        Ok(counts)
    }

    pub(crate) async fn units_of(
        &self,
        requirer: &RequirerName,
        after_name: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Loaded<UnitRecord>)>, store::Error> {
        let prefix = format!("{requirer}/");
        let mut found = Vec::new();
        let mut after = Some(self.units.key(&format!("{prefix}{}", after_name.unwrap_or_default()))?);
        while after.is_some() && found.len() < limit {
            let page = self.units.list(store::Page { after, limit: 1_000.min(limit - found.len()) }).await?;
            after = page.next.and_then(|next| next.after);
            for (id, loaded) in page.entries {
                match id.strip_prefix(&prefix) {
                    Some(name) => found.push((name.to_owned(), loaded)),
                    None => return Ok(found),
                }
            }
        }
        Ok(found)
    }

    /// Removes what is written about `requirer`, and itself, if it is leaving, so that nothing of it is left anywhere, or is
    /// gone already.
    pub(crate) async fn forget_requirer(
        &self,
        by: &Principal,
        name: &RequirerName,
    ) -> Result<(), CommitError> {
        let mut attempts = 0;
        loop {
            let Some(found) = self.requirers.get(name.as_str()).await? else { return Ok(()) };
            if found.record.leaving.is_none() && !found.record.gone {
                return Ok(());
            }
            let relations = self.relations_of(name).await?;
            let units = self.units_of(name, None, 50).await?;
            let mut batch = Batch::new();
            // One that was made to stay meanwhile keeps all of it.
            self.requirers.expect_at(&mut batch, name.as_str(), found.version)?;
            for (number, found) in relations.iter().take(20) {
                self.relations.remove(
                    &mut batch,
                    &crate::relation::id(name.as_str(), *number),
                    found.version,
                )?;
                self.numbers.delete(&mut batch, &format!("{number:020}"))?;
            }
            for (unit, _) in &units {
                self.units.delete(&mut batch, &format!("{name}/{unit}"))?;
            }
            let is_last = relations.len() <= 20 && units.len() < 50;
            let done = if is_last && found.record.gone {
                // Of which it was told when it went.
                self.requirers.delete(&mut batch, name.as_str())?;
                self.count_requirer(&mut batch, false).await?;
                self.changes(&mut batch)?;
                self.ground.engine.commit(batch).await.map(drop)
            } else if is_last {
                self.requirers.delete(&mut batch, name.as_str())?;
                self.count_requirer(&mut batch, false).await?;
                let happened = Happened::RequirerGone { name, left_behind: false };
                self.commit(batch, &happened, by, &Why::default()).await
            } else {
                self.changes(&mut batch)?;
                self.ground.engine.commit(batch).await.map(drop)
            };
            match done {
                Ok(()) if is_last => return Ok(()),
                Ok(()) => {}
                Err(error) => Self::again(error, &mut attempts)?,
            }
        }
    }
}

/// `some` is too much for one commit: its halves are done next, or one alone is left out.
fn cut_in_two<'s, T>(some: &'s [T], parts: &mut Vec<&'s [T]>, leave_out: impl Fn(&T)) {
    match some {
        [] => {}
        [one] => leave_out(one),
        several => {
            let (first, second) = several.split_at(several.len() / 2);
            parts.extend([second, first]);
        }
    }
}

/// The most programs that ask by themselves for one requirer and say what they have.
const POLLERS_MAX: usize = 10_000;

/// Why a program's word is not taken.
#[derive(Debug, thiserror::Error)]
pub enum ConfirmError {
    /// What it calls itself is no name.
    #[error("a place's name has 1 to {UNIT_BYTES_MAX} letters, digits, `-`, `_`, `.` and `:`")]
    Unit,
    /// The server puts the certificates there, and looks itself.
    #[error("the requirer's certificates are put in their places by the server, which looks itself")]
    Looked,
    /// There is another bundle by now.
    #[error("that is not the bundle that the requirer is to have")]
    Other,
    /// Too many said so.
    #[error("the requirer has {POLLERS_MAX} places, and no more are written down")]
    Full,
    /// It could not be looked up.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The store failed.
    #[error("could not write it down")]
    Store(#[from] CommitError),
}

impl From<store::Error> for ConfirmError {
    fn from(error: store::Error) -> Self {
        Self::Store(error.into())
    }
}

impl base::Explain for ConfirmError {
    fn kind(&self) -> base::Kind {
        match self {
            Self::Unit => base::Kind::Invalid,
            Self::Looked | Self::Other => base::Kind::Conflict,
            Self::Full => base::Kind::Full,
            Self::Read(source) => source.kind(),
            Self::Store(CommitError::Store(source)) => source.kind(),
            Self::Store(_) => base::Kind::Unavailable,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Other => Some("ask for the bundle again".into()),
            Self::Read(source) => source.help(),
            Self::Unit | Self::Looked | Self::Full | Self::Store(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_end() {
        let seconds: Vec<i64> = [1, 2, 3, 4, 10, 11, 40, u32::MAX].map(|n| pause(n).as_seconds()).into();
        assert_eq!(seconds, [5, 10, 20, 40, 2_560, 3_600, 3_600, 3_600]);
    }

    #[test]
    fn a_place_is_in_step_behind_or_failing() {
        let at = Timestamp::from_unix;
        let put = |hash: &str| Ok(Put { hash: hash.to_owned(), drifted: false });
        let new = UnitRecord::default();
        assert_eq!(new.state("a", at(5)), UnitState::Behind { since: at(5) });
        let one = after(new, None, &[], &put("a"), at(10));
        assert_eq!(one.state("a", at(5)), UnitState::InStep { since: at(10) });
        assert_eq!(one.state("b", at(20)), UnitState::Behind { since: at(20) });
        assert_eq!(one.due("a", None, Span::seconds(100)), at(110));
        assert_eq!(one.due("b", None, Span::seconds(100)), at(0));
        let looked = after(one.clone(), None, &[], &put("a"), at(50));
        assert_eq!(looked.state("a", at(5)), UnitState::InStep { since: at(10) }, "it was there all along");
        let failed = after(one, None, &[], &Err("away".into()), at(60));
        let failed = after(failed, None, &[], &Err("still away".into()), at(70));
        let expected =
            UnitState::Failing { since: at(60), reason: "still away".into(), attempts: 2, next: at(80) };
        assert_eq!(failed.state("a", at(5)), expected);
        assert_eq!(failed.due("b", None, Span::seconds(100)), at(80));
        let again = after(failed, None, &[], &put("b"), at(90));
        assert_eq!(again.state("b", at(5)), UnitState::InStep { since: at(90) });
    }
}
