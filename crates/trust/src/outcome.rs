//! What is reported of places: where certificates are about to be put, and what came of it.

use base::{Span, Timestamp};
use identity::{Permit, Principal};
use store::{Batch, CommitError};

use crate::error::cut;
use crate::event::Happened;
use crate::name::RequirerName;
use crate::place::Place;
use crate::record::{FailingRecord, PlaceRecord, UnitRecord};
use crate::service::{ManageTrust, Trust};

/// The first pause after an attempt that came to nothing, and the longest.
const PAUSES: (Span, Span) = (Span::seconds(5), Span::seconds(3_600));
/// How many outcomes are written in one commit: a record and two events each at most, and what the history counts.
pub const OUTCOMES_MAX: usize = 25;
/// How many bundles are remembered that a place tried in vain. Where there are as many, there may have been more.
pub(crate) const TRIED_MAX: usize = 16;
/// How many places are announced in one commit.
pub const ANNOUNCED_MAX: usize = 90;

/// Where in a unit certificates were written down to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announced(pub(crate) PlaceRecord);

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
    /// The hash of the bundle that was tried, empty where all was to go: where it was in vain, some of it may be there all
    /// the same.
    pub tried: Option<String>,
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
pub(crate) fn pause(attempts: u32) -> Span {
    let doubled = PAUSES.0.as_seconds().saturating_mul(1 << attempts.saturating_sub(1).min(20));
    Span::seconds(doubled.min(PAUSES.1.as_seconds()))
}

/// `record` after `result` at `place`, at `now`, when nothing is left in the places that were `settled`.
fn after(
    record: UnitRecord,
    place: Option<PlaceRecord>,
    settled: &[PlaceRecord],
    result: &Result<Put, String>,
    tried: Option<&String>,
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
            // Whoever comes by itself comes when it wants.
            let next = place.is_some().then(|| (now + pause(attempts)).as_unix());
            let mut all_tried = record.failing.map(|failing| failing.tried).unwrap_or_default();
            if let Some(tried) = tried
                && !tried.is_empty()
                && !all_tried.contains(tried)
                && all_tried.len() < TRIED_MAX
            {
                all_tried.push(tried.clone());
            }
            let failing = FailingRecord {
                reason: cut(reason),
                since,
                attempts,
                next,
                tried: all_tried,
                last: tried.cloned(),
            };
            UnitRecord { failing: Some(failing), ..record }
        }
    }
}

/// Those of `places` that are not `settled`.
fn unsettled(places: Vec<PlaceRecord>, settled: &[PlaceRecord]) -> impl Iterator<Item = PlaceRecord> {
    places.into_iter().filter(|place| !settled.contains(place))
}

impl Trust {
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
                self.note(&mut batch, outcome, UnitRecord::default(), by).await?;
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

    /// Adds to `batch` what came of an attempt; `unknown` is taken to be written down of a place of which nothing is.
    pub(crate) async fn note(
        &self,
        batch: &mut Batch,
        outcome: &Outcome,
        unknown: UnitRecord,
        by: &Principal,
    ) -> Result<(), CommitError> {
        let Outcome { requirer, unit, place, result, tried, settled, gone } = outcome;
        if !self.expect_requirer(batch, requirer).await? {
            return Ok(());
        }
        let id = format!("{requirer}/{unit}");
        let found = self.units.get(&id).await?;
        let version = found.as_ref().map(|found| found.version);
        let before = found.map_or(unknown, |found| found.record);
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
                let record = after(before, place.in_unit(), &settled, result, tried.as_ref(), self.now());
                self.units.put_over(batch, &id, &record, version)?;
            }
        }
        for happened in happened {
            let event = happened.event(by, &self.ground.clock);
            self.places_history.append(batch, &event, &self.ground.entropy)?;
        }
        Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::unit::UnitState;

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
        let put_at = |record, hash: &str, now| after(record, None, &[], &put(hash), None, at(now));
        let one = put_at(new, "a", 10);
        assert_eq!(one.state("a", at(5)), UnitState::InStep { since: at(10) });
        assert_eq!(one.state("b", at(20)), UnitState::Behind { since: at(20) });
        assert_eq!(one.due("a", None, Span::seconds(100)), at(110));
        assert_eq!(one.due("b", None, Span::seconds(100)), at(0));
        let looked = put_at(one.clone(), "a", 50);
        assert_eq!(looked.state("a", at(5)), UnitState::InStep { since: at(10) }, "it was there all along");
        let webhook = || Some(PlaceRecord::Webhook { sealed: "s".into(), ca: None });
        let failed = after(one, webhook(), &[], &Err("away".into()), None, at(60));
        let failed = after(failed, webhook(), &[], &Err("still away".into()), None, at(70));
        let expected = UnitState::Failing {
            since: at(60),
            reason: "still away".into(),
            attempts: 2,
            next: Some(at(80)),
        };
        assert_eq!(failed.state("a", at(5)), expected);
        assert_eq!(failed.due("b", None, Span::seconds(100)), at(80));
        let again = put_at(failed, "b", 90);
        assert_eq!(again.state("b", at(5)), UnitState::InStep { since: at(90) });
    }
}
