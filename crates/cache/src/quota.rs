//! How much each writer keeps here.
//!
//! Counted only where there is a quota, since each count is one more record that all that a writer sends has to change.

use std::collections::BTreeMap;

use identity::Principal;
use store::Batch;

use crate::error::{PutEntryError, UploadError};
use crate::record::WriterRecord;
use crate::service::Cache;

/// The longest part of an account's name that is part of a key, in bytes.
const ACCOUNT_BYTES_MAX: usize = 800;

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
    /// Whether `who` may keep `more` bytes here.
    pub(crate) async fn check_quota(&self, who: &Principal, more: u64) -> Result<(), NotCounted> {
        if self.limits.writer_bytes_max.is_none() {
            return Ok(());
        }
        let found = self.tables.writer.get(&id(who)).await?;
        self.check(who, found.map(|found| found.record.bytes).unwrap_or_default(), more)
    }

    /// Adds to what `who` keeps here, in the batch that makes it so. For whom it was counted, if it was.
    pub(crate) async fn count(
        &self,
        batch: &mut Batch,
        who: &Principal,
        more: u64,
    ) -> Result<Option<String>, NotCounted> {
        if self.limits.writer_bytes_max.is_none() {
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
        match self.limits.writer_bytes_max {
            Some(bytes_max) if bytes.saturating_add(more) > bytes_max => {
                Err(NotCounted::Exceeded { who: who.account().to_owned(), bytes, bytes_max })
            }
            _ => Ok(()),
        }
    }
}

/// What is written of somebody lies under their account's name, as far as it fits into a key.
fn id(who: &Principal) -> String {
    let account = who.account().replace('\0', "");
    let end = account.floor_char_boundary(ACCOUNT_BYTES_MAX);
    account[..end].to_owned()
}
