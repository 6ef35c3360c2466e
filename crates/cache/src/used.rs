//! When artifacts were last read: noted in memory, written down now and then.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use base::{Sha512, Span, Timestamp};
use store::{Batch, CommitError};

use crate::record::{ArtifactRecord, UsedRecord};
use crate::service::Cache;

/// How many artifacts are noted at once. What is read beyond that, before they are written down, counts as not read.
const NOTED_MAX: usize = 100_000;
/// It is written down again only when what is written is older. Until then it stays noted.
const GRAIN: Span = Span::seconds(3_600);
/// How many are written down in one commit.
const WRITTEN_AT_ONCE: usize = 50;

/// Artifacts that were read, and when.
#[derive(Default)]
pub(crate) struct Uses(Mutex<HashMap<Sha512, Timestamp>>);

impl Uses {
    pub(crate) fn note(&self, digest: Sha512, at: Timestamp) {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if noted.len() < NOTED_MAX || noted.contains_key(&digest) {
            noted.insert(digest, at);
        }
    }

    /// What was not written down, as what is written is young enough.
    fn note_again(&self, digest: Sha512, at: Timestamp) {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if noted.len() < NOTED_MAX {
            noted.entry(digest).or_insert(at);
        }
    }

    fn get(&self, digest: Sha512) -> Option<Timestamp> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&digest).copied()
    }

    fn take(&self) -> Vec<(Sha512, Timestamp)> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner)).into_iter().collect()
    }
}

impl Cache {
    /// Writes down which artifacts were read since it was last done. Of each, a read of the last hour may be lost when the
    /// process is killed; what is decided by it is an hour late.
    ///
    /// # Errors
    /// The store's; those that were not written down are noted again.
    pub async fn write_uses(&self) -> Result<(), CommitError> {
        let noted = self.uses.take();
        for (number, some) in noted.chunks(WRITTEN_AT_ONCE).enumerate() {
            if let Err(error) = self.write_some(some).await {
                for (digest, at) in &noted[number * WRITTEN_AT_ONCE..] {
                    self.uses.note(*digest, *at);
                }
                return Err(error);
            }
        }
        Ok(())
    }

    async fn write_some(&self, noted: &[(Sha512, Timestamp)]) -> Result<(), CommitError> {
        let mut batch = Batch::new();
        for (digest, at) in noted {
            let id = digest.to_string();
            let written = self.tables.used.get(&id).await?;
            let is_old = |found: &UsedRecord| Timestamp::from_unix(found.at) + GRAIN <= *at;
            if self.tables.artifact.get(&id).await?.is_none() {
                continue;
            }
            match written {
                Some(found) if !is_old(&found.record) => {
                    if found.record.at < at.as_unix() {
                        self.uses.note_again(*digest, *at);
                    }
                }
                _ => self.tables.used.put(&mut batch, &id, &UsedRecord { at: at.as_unix() })?,
            }
        }
        if batch.is_empty() { Ok(()) } else { self.ground.engine.commit(batch).await.map(drop) }
    }

    /// When an artifact came or was last read, at the latest: another process may know of a time an hour later than is
    /// written down.
    pub(crate) async fn used_at_most(
        &self,
        digest: Sha512,
        artifact: &ArtifactRecord,
    ) -> Result<Timestamp, store::Error> {
        let known = self.used_at(digest, artifact).await?;
        Ok(if known > Timestamp::from_unix(artifact.at) { known + GRAIN } else { known })
    }

    /// When an artifact came or was last read, as far as is known here: within an hour.
    pub(crate) async fn used_at(
        &self,
        digest: Sha512,
        artifact: &ArtifactRecord,
    ) -> Result<Timestamp, store::Error> {
        let written = self.tables.used.get(&digest.to_string()).await?.map(|found| found.record.at);
        let known = [Some(artifact.at), written].into_iter().flatten();
        let known = known.map(Timestamp::from_unix).chain(self.uses.get(digest));
        Ok(known.max().unwrap_or(Timestamp::from_unix(artifact.at)))
    }
}
