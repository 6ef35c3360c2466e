//! How it is with what is where: one host, one namespace, one program of a requirer's each, as it is viewed.

use base::Timestamp;
use identity::Permit;
use store::Loaded;

use crate::error::ReadError;
use crate::name::RequirerName;
use crate::record::UnitRecord;
use crate::service::{ReadTrust, Trust};
use crate::wanted::BundleSince;

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
        /// When it is tried again; nothing where a program does that by itself.
        next: Option<Timestamp>,
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

impl UnitRecord {
    /// How it is, when `wanted` is what it is to have, since `since`.
    pub(crate) fn state(&self, wanted: &str, since: Timestamp) -> UnitState {
        match (&self.failing, &self.applied) {
            (Some(failing), _) => UnitState::Failing {
                since: Timestamp::from_unix(failing.since),
                reason: failing.reason.clone(),
                attempts: failing.attempts,
                next: failing.next.map(Timestamp::from_unix),
            },
            (None, Some(applied)) if applied == wanted => {
                UnitState::InStep { since: self.since.map_or(since, Timestamp::from_unix) }
            }
            (None, _) => UnitState::Behind { since },
        }
    }
}

impl Trust {
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
}
