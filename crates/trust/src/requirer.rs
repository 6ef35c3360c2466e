//! Requirers: who is to have certificates, and where they are put.

use base::Timestamp;
use identity::Permit;
use store::Batch;

use crate::error::{ChangeError, ReadError};
use crate::event::Happened;
use crate::name::RequirerName;
use crate::place::Place;
use crate::record::{CounterRecord, PlaceRecord, RequirerRecord};
use crate::service::{ManageTrust, ReadTrust, Trust, Why};
use crate::unit::Counts;
use crate::wanted::{BundleSince, Made};

/// The most requirers.
const REQUIRERS_MAX: u64 = 50_000;
/// What counts them.
const REQUIRERS: &str = "requirers";

/// A requirer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirer {
    /// Its name.
    pub name: RequirerName,
    /// Where its certificates are put; nothing where that cannot be read, as what is secret in it was sealed by another
    /// key.
    pub place: Option<Place>,
    /// Since when there is one.
    pub since: Timestamp,
    /// Who made it.
    pub by: String,
    /// Whether it goes once nothing of it is left.
    pub leaving: bool,
}

/// A requirer, and how it is with its places.
#[derive(Debug, Clone)]
pub struct RequirerView {
    /// Itself.
    pub requirer: Requirer,
    /// What it is to have.
    pub wanted: BundleSince,
    /// How many of its places are how.
    pub counts: Counts,
}

impl Trust {
    /// Makes a requirer, or has the certificates of the one that is there put somewhere else. What was put in places
    /// that are left out now is taken away there.
    ///
    /// # Errors
    /// [`ChangeError::Full`], or the store's.
    pub async fn set_requirer(
        &self,
        permit: Permit<ManageTrust>,
        name: &RequirerName,
        place: &Place,
        why: &Why,
    ) -> Result<Requirer, ChangeError> {
        let place = &place.kept();
        let _turn = self.turn.lock().await;
        let mut attempts = 0;
        loop {
            let found = self.load_requirer(name).await?;
            if found.is_none() {
                // What is left of one of that name that is gone is not this one's.
                self.forget_requirer(permit.by(), name).await?;
            }
            let now = self.now().as_unix();
            if let Some(found) = &found
                && found.record.leaving.is_none()
                && self.place_of(name, &found.record.place).as_ref() == Some(place)
            {
                return Ok(self.requirer_of(name.clone(), &found.record));
            }
            let mut batch = Batch::new();
            if found.is_none() && self.count_requirer(&mut batch, true).await? > REQUIRERS_MAX {
                return Err(ChangeError::Full { what: "there are as many requirers as there may be" });
            }
            let about = self.requirers.key(name.as_str())?;
            let happened = Happened::RequirerSet { name, place };
            let place = place.record(about.as_str(), &self.ground.sealing, &self.ground.entropy);
            let record = match &found {
                Some(found) => RequirerRecord { place, changed: now, leaving: None, ..found.record.clone() },
                None => {
                    let by = permit.by().name().to_owned();
                    RequirerRecord {
                        place,
                        changed: now,
                        by,
                        at: now,
                        leaving: None,
                        gone: false,
                        told: None,
                    }
                }
            };
            self.requirers.put_over(&mut batch, name.as_str(), &record, found.map(|found| found.version))?;
            match self.commit(batch, &happened, permit.by(), why).await {
                Ok(()) => return Ok(self.requirer_of(name.clone(), &record)),
                Err(error) => Self::again(error, &mut attempts)?,
            }
        }
    }

    /// Has a requirer go: what was put in its places is taken away, and once that is done everywhere it is gone. With
    /// `leave_behind` it is gone at once, and what is in its places stays there: nobody sees it with less before.
    ///
    /// # Errors
    /// [`ChangeError::NoRequirer`], or the store's.
    pub async fn remove_requirer(
        &self,
        permit: Permit<ManageTrust>,
        name: &RequirerName,
        leave_behind: bool,
        why: &Why,
    ) -> Result<(), ChangeError> {
        let turn = self.turn.lock().await;
        let mut attempts = 0;
        loop {
            let found = match self.requirers.get(name.as_str()).await? {
                Some(found) if !found.record.gone => found,
                // It was done, and the store did not say so.
                Some(_) if attempts > 0 => break,
                _ => return Err(ChangeError::NoRequirer(name.clone())),
            };
            if found.record.leaving.is_some() && !leave_behind {
                break;
            }
            let mut record = found.record;
            let happened = if leave_behind {
                record.gone = true;
                Happened::RequirerGone { name, left_behind: true }
            } else {
                record.leaving = Some(self.now().as_unix());
                record.changed = self.now().as_unix();
                Happened::RequirerLeaves { name }
            };
            let mut batch = Batch::new();
            self.requirers.update(&mut batch, name.as_str(), &record, found.version)?;
            match self.commit(batch, &happened, permit.by(), why).await {
                Ok(()) => break,
                Err(error) => Self::again(error, &mut attempts)?,
            }
        }
        drop(turn);
        // It is gone, whatever becomes of what was written down of it.
        if leave_behind && let Err(error) = self.forget_requirer(permit.by(), name).await {
            tracing::warn!(requirer = %name, error = %base::report(&error), "what is left of it is removed later");
        }
        Ok(())
    }

    /// All requirers, by name, behind `after`, at most `limit`; and whether there are more.
    ///
    /// # Errors
    /// The store's.
    pub async fn list_requirers(
        &self,
        _permit: Permit<ReadTrust>,
        after: Option<&RequirerName>,
        limit: usize,
    ) -> Result<(Vec<RequirerView>, bool), ReadError> {
        let after = after.map(|after| self.requirers.key(after.as_str())).transpose()?;
        let page = self.requirers.list(store::Page { after, limit }).await?;
        let mut views = Vec::with_capacity(page.entries.len());
        let mut made = Made::default();
        for (name, found) in page.entries {
            match self.view(RequirerName::from_record(name), &found.record, &mut made).await {
                Ok(view) => views.push(view),
                // It has gone meanwhile.
                Err(ReadError::NoRequirer(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok((views, page.next.is_some()))
    }

    /// A requirer, and how it is with its places.
    ///
    /// # Errors
    /// [`ReadError::NoRequirer`], or the store's.
    pub async fn requirer(
        &self,
        _permit: Permit<ReadTrust>,
        name: &RequirerName,
    ) -> Result<RequirerView, ReadError> {
        let found = self.load_requirer(name).await?.ok_or_else(|| ReadError::NoRequirer(name.clone()))?;
        self.view(name.clone(), &found.record, &mut Made::default()).await
    }

    async fn view(
        &self,
        name: RequirerName,
        record: &RequirerRecord,
        made: &mut Made,
    ) -> Result<RequirerView, ReadError> {
        let wanted = self.bundle_with(&name, made).await?;
        let counts = self.counts(&name, &wanted).await?;
        Ok(RequirerView { requirer: self.requirer_of(name, record), wanted, counts })
    }

    pub(crate) fn requirer_of(&self, name: RequirerName, record: &RequirerRecord) -> Requirer {
        Requirer {
            place: self.place_of(&name, &record.place),
            name,
            since: Timestamp::from_unix(record.at),
            by: record.by.clone(),
            leaving: record.leaving.is_some(),
        }
    }

    pub(crate) fn place_of(&self, name: &RequirerName, record: &PlaceRecord) -> Option<Place> {
        let about = self.requirers.key(name.as_str()).ok()?;
        Place::from_record(record.clone(), about.as_str(), &self.ground.sealing)
    }

    /// Counts one more, or one less, in the same commit; how many there are then.
    pub(crate) async fn count_requirer(&self, batch: &mut Batch, comes: bool) -> Result<u64, store::Error> {
        let found = self.counter.get(REQUIRERS).await?;
        let count = found.as_ref().map_or(0, |found| found.record.next);
        let next = if comes { count + 1 } else { count.saturating_sub(1) };
        let version = found.map(|found| found.version);
        self.counter.put_over(batch, REQUIRERS, &CounterRecord { next }, version)?;
        Ok(next)
    }
}
