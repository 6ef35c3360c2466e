//! What is written down of places, as whoever looks after them asks for it.

use std::collections::HashMap;

use base::{Span, Timestamp};
use identity::Permit;

use crate::name::RequirerName;
use crate::outcome::{Announced, pause};
use crate::place::Place;
use crate::record::{PlaceRecord, UnitRecord};
use crate::service::{ManageTrust, Trust};

impl UnitRecord {
    /// When it is to be looked at: at once where it lacks what it is to have, or has it elsewhere, later where that failed
    /// before, and every `drift` where it has it.
    pub(crate) fn due(&self, wanted: &str, place: Option<&PlaceRecord>, drift: Span) -> Timestamp {
        let here = self.places.iter().filter(|other| place.is_some_and(|place| place.is_like(other)));
        let is_there = here.eq(place);
        // What failed elsewhere is no reason to wait here, where it was never tried.
        if place.is_some_and(|place| !self.places.contains(place)) {
            return Timestamp::from_unix(0);
        }
        match (&self.failing, &self.applied, self.looked) {
            // What failed with something else is no reason to wait either.
            (Some(failing), ..) if failing.last.as_ref().is_some_and(|last| last != wanted) => {
                Timestamp::from_unix(0)
            }
            (Some(failing), ..) => Timestamp::from_unix(failing.next.unwrap_or(0)),
            (None, Some(applied), Some(looked)) if applied == wanted && is_there => {
                Timestamp::from_unix(looked) + drift
            }
            (None, ..) => Timestamp::from_unix(0),
        }
    }

    /// Whether it has nothing, as it said itself, where `nothing` is the hash of that: then nothing else was tried since, either.
    pub(crate) fn is_rid(&self, nothing: &str) -> bool {
        let has_tried = self.failing.as_ref().is_some_and(|failing| !failing.tried.is_empty());
        !has_tried && self.applied.as_deref() == Some(nothing)
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
        let failing = failing.filter(|failing| failing.last.as_ref().is_none_or(String::is_empty));
        Timestamp::from_unix(failing.and_then(|failing| failing.next).unwrap_or(0))
    }

    /// Where in `unit` certificates may be.
    #[must_use]
    pub fn places(&self, unit: &str) -> Vec<Place> {
        let places = self.0.get(unit).map_or(&[][..], |record| &record.places);
        places.iter().filter_map(|place| Place::in_unit_from(place.clone())).collect()
    }

    /// Whether a program that asks by itself may have something in one of these, where `nothing` is the hash of that.
    #[must_use]
    pub fn is_had(&self, nothing: &str) -> bool {
        self.0.values().any(|record| record.places.is_empty() && !record.is_rid(nothing))
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
}
