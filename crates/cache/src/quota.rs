//! How much each writer keeps here.
//!
//! Counted only where there is a quota, since each count is one more record that all that a writer sends has to change.

use std::collections::BTreeMap;

use base::{hex, sha256};
use identity::Principal;
use store::Batch;

use crate::error::{PutEntryError, UploadError};
use crate::record::WriterRecord;
use crate::service::Cache;

/// Somebody has put enough here, or that could not be looked up.
pub(crate) enum NotCounted {
    /// They have put enough here.
    Exceeded { who: String, bytes: u64, bytes_max: u64 },
    /// The store failed.
    Store(store::Error),
}

impl From<store::Error> for NotCounted {
    fn from(error: store::Error) -> Self {
        Self::Store(error)
    }
}

impl From<NotCounted> for UploadError {
    fn from(error: NotCounted) -> Self {
        match error {
            NotCounted::Exceeded { who, bytes, bytes_max } => Self::Quota { who, bytes, bytes_max },
            NotCounted::Store(error) => error.into(),
        }
    }
}

impl From<NotCounted> for PutEntryError {
    fn from(error: NotCounted) -> Self {
        match error {
            NotCounted::Exceeded { who, bytes, bytes_max } => Self::Quota { who, bytes, bytes_max },
            NotCounted::Store(error) => error.into(),
        }
    }
}

impl Cache {
    /// How much `who` may keep here. What the house fetches for others is nobody's.
    pub(crate) fn quota_of(&self, who: &Principal) -> Option<u64> {
        self.limits.writer_bytes_max.filter(|_| who.account() != Principal::house().account())
    }

    /// How many bytes `who` keeps here, as far as that is counted.
    pub(crate) async fn kept_by(&self, who: &Principal) -> Result<u64, store::Error> {
        let found = self.tables.writer.get(&id(who)).await?;
        Ok(found.map(|found| found.record.bytes).unwrap_or_default())
    }

    /// Adds to what `who` keeps here, in the batch that makes it so. For whom it was counted, if it was.
    pub(crate) async fn count(
        &self,
        batch: &mut Batch,
        who: &Principal,
        more: u64,
    ) -> Result<Option<String>, NotCounted> {
        if self.quota_of(who).is_none() {
            return Ok(None);
        }
        let id = id(who);
        let found = self.tables.writer.get(&id).await?;
        let before = found.as_ref().map(|found| found.record.bytes).unwrap_or_default();
        self.check(who, before, more)?;
        let after = WriterRecord { bytes: before.saturating_add(more) };
        self.tables.writer.put_over(batch, &id, &after, found.map(|found| found.version))?;
        Ok(Some(id))
    }

    /// Takes what goes in `batch` from what is counted: bytes, for whom.
    pub(crate) async fn uncount(
        &self,
        batch: &mut Batch,
        gone: impl IntoIterator<Item = (Option<String>, u64)>,
    ) -> Result<(), store::Error> {
        let mut sums = BTreeMap::<String, u64>::new();
        for (writer, bytes) in gone {
            let Some(writer) = writer else { continue };
            let sum = sums.entry(writer).or_default();
            *sum = sum.saturating_add(bytes);
        }
        for (writer, bytes) in sums {
            if let Some(found) = self.tables.writer.get(&writer).await? {
                let after = WriterRecord { bytes: found.record.bytes.saturating_sub(bytes) };
                self.tables.writer.update(batch, &writer, &after, found.version)?;
            }
        }
        Ok(())
    }

    fn check(&self, who: &Principal, bytes: u64, more: u64) -> Result<(), NotCounted> {
        match self.quota_of(who) {
            Some(bytes_max) if bytes.saturating_add(more) > bytes_max => {
                Err(NotCounted::Exceeded { who: who.account().to_owned(), bytes, bytes_max })
            }
            _ => Ok(()),
        }
    }
}

/// What is written of somebody lies under the SHA-256 of their account's name: names may be longer than keys are, and
/// those of certificates begin with what all of an organisation have.
pub(crate) fn id(who: &Principal) -> String {
    hex::encode(&sha256(who.account().as_bytes()))
}
