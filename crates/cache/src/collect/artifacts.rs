//! Artifacts that nobody wants any more, and bytes that nobody wrote down.

use base::{Sha512, Timestamp};
use identity::Principal;
use store::{Batch, CommitError, Loaded, Page, Table, Version};

use super::{Removed, Round};
use crate::error::MaintainError;
use crate::event::Happened;
use crate::pin::Pinned;
use crate::record::{ArtifactRecord, MarkRecord};
use crate::service::{Cache, LONG};

/// How many are read at once.
const PAGE: usize = 500;

/// What becomes of an artifact.
enum Fate {
    /// It stays.
    Stays,
    /// It is to go after the time of grace, which begins now.
    Marked(ArtifactRecord),
    /// It was to go, and stays.
    Unmarked(ArtifactRecord),
    /// Its time of grace is not over.
    Waits,
    /// It goes.
    Goes,
}

impl Round<'_> {
    pub(super) async fn artifacts(&mut self) -> Result<(), MaintainError> {
        let mut next = Some(Page::first(PAGE));
        while let Some(page) = next {
            let found = self.cache.tables.artifact.list(page).await?;
            for (id, loaded) in found.entries {
                if self.is_stopped() {
                    return Ok(());
                }
                let Some(digest) = Sha512::parse(&id) else { continue };
                let bytes = loaded.record.bytes;
                match self.fate(digest, &loaded.record).await? {
                    Fate::Stays => {}
                    Fate::Marked(record) => {
                        self.collected.waiting += 1;
                        self.mark(digest, &record, loaded.version).await?;
                    }
                    Fate::Unmarked(record) => self.mark(digest, &record, loaded.version).await?,
                    Fate::Waits => self.collected.waiting += 1,
                    Fate::Goes if self.is_dry || self.remove_artifact(digest, loaded).await? => {
                        self.collected.artifacts += 1;
                        self.collected.bytes = self.collected.bytes.saturating_add(bytes);
                        self.tell(Removed::Artifact { digest, bytes });
                    }
                    // Somebody wanted it in this moment.
                    Fate::Goes => {}
                }
            }
            next = found.next;
        }
        Ok(())
    }

    /// What becomes of an artifact.
    async fn fate(&self, digest: Sha512, artifact: &ArtifactRecord) -> Result<Fate, MaintainError> {
        let (cache, rules) = (self.cache, self.rules);
        let is_marked = artifact.unnamed_since.is_some();
        if !is_marked && rules.unnamed.is_all() {
            return Ok(Fate::Stays);
        }
        if !cache.names(digest, 1).await?.is_empty() || cache.is_pinned(&Pinned::Artifact(digest)).await? {
            return Ok(Fate::Stays);
        }
        let used_at = cache.used_at_most(digest, artifact).await?;
        let wanted_at = used_at.max(Timestamp::from_unix(artifact.unnamed_since.unwrap_or_default()));
        let at = Timestamp::from_unix(artifact.at);
        let stays_unnamed = rules.unnamed.keeps(at, used_at, self.now);
        Ok(match (is_marked, artifact.never_named && stays_unnamed) {
            (false, _) if stays_unnamed => Fate::Stays,
            (false, _) => Fate::Marked(ArtifactRecord {
                unnamed_since: Some(self.now.as_unix()),
                never_named: true,
                ..artifact.clone()
            }),
            (true, true) => {
                Fate::Unmarked(ArtifactRecord { unnamed_since: None, never_named: false, ..artifact.clone() })
            }
            (true, false) if wanted_at + rules.grace > self.now => Fate::Waits,
            (true, false) => Fate::Goes,
        })
    }

    /// Writes down whether an artifact is to go, unless somebody else changed something about it.
    async fn mark(
        &self,
        digest: Sha512,
        record: &ArtifactRecord,
        version: Version,
    ) -> Result<(), MaintainError> {
        if self.is_dry {
            return Ok(());
        }
        let mut batch = Batch::new();
        self.cache.tables.artifact.update(&mut batch, &digest.to_string(), record, version)?;
        match self.cache.ground.engine.commit(batch).await {
            // The next round sees what is so.
            Ok(_) | Err(CommitError::Conflict { .. } | CommitError::Unknown { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether it was removed: `false` when somebody wanted it in this moment.
    async fn remove_artifact(
        &self,
        digest: Sha512,
        found: Loaded<ArtifactRecord>,
    ) -> Result<bool, MaintainError> {
        let before = self.now - self.rules.grace;
        self.cache.remove_artifact(self.permit.by(), digest, found, before).await
    }

    /// Removes what was kept for what was refused then.
    pub(super) async fn refused(&mut self) -> Result<(), MaintainError> {
        if self.is_dry || self.is_stopped() {
            return Ok(());
        }
        for (digest, at) in self.cache.refused.take(self.now - self.rules.grace) {
            if !self.cache.is_written_down(digest).await? {
                self.cache.ground.blobs.remove(digest, Some(at)).await?;
            }
        }
        Ok(())
    }

    /// Removes blobs that neither are artifacts nor have an entry in them.
    pub(super) async fn strays(&mut self) -> Result<(), MaintainError> {
        let before = self.now - self.rules.grace;
        let mut after = None;
        loop {
            let found = self.cache.ground.blobs.list(after, PAGE).await?;
            let Some(last) = found.last() else { return Ok(()) };
            after = Some(last.digest);
            for blob in found {
                if self.is_stopped() {
                    return Ok(());
                }
                if blob.kept_at > before || self.cache.is_written_down(blob.digest).await? {
                    continue;
                }
                if self.is_dry || self.cache.ground.blobs.remove(blob.digest, Some(before)).await? {
                    self.collected.strays += 1;
                    self.collected.bytes = self.collected.bytes.saturating_add(blob.size);
                }
            }
        }
    }
}

impl Cache {
    /// Removes an artifact, and its bytes unless they were kept later than `kept_by`. Whether it was: `false` when somebody
    /// wanted it in this moment.
    pub(crate) async fn remove_artifact(
        &self,
        by: &Principal,
        digest: Sha512,
        found: Loaded<ArtifactRecord>,
        kept_by: Timestamp,
    ) -> Result<bool, MaintainError> {
        let (id, bytes) = (digest.to_string(), found.record.bytes);
        let mut batch = Batch::new();
        self.expect_unpinned(&mut batch, &Pinned::Artifact(digest))?;
        self.tables.artifact.remove(&mut batch, &id, found.version)?;
        self.tables.used.delete(&mut batch, &id)?;
        self.uncount(&mut batch, [(found.record.counted_for, bytes)]).await?;
        let event = Happened::ArtifactRemoved { digest, bytes }.event(by, &self.ground.clock);
        self.history.append(&mut batch, &event, &self.ground.entropy)?;
        let committed = self.ground.engine.commit(batch).await;
        self.small.forget(digest);
        match committed {
            Ok(_) => {}
            // Whether it was done shows in the next round; the bytes are strays then.
            Err(CommitError::Conflict { .. } | CommitError::Unknown { .. }) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        if !self.has_an_entry_in_it(digest).await? {
            // Who keeps the same bytes again meanwhile has them kept later than that.
            self.ground.blobs.remove(digest, Some(kept_by)).await?;
        }
        Ok(true)
    }

    /// Whether a blob is an artifact, or an entry stands in it.
    pub(super) async fn is_written_down(&self, digest: Sha512) -> Result<bool, store::Error> {
        if self.tables.artifact.get(&digest.to_string()).await?.is_some() {
            return Ok(true);
        }
        self.has_an_entry_in_it(digest).await
    }

    async fn has_an_entry_in_it(&self, digest: Sha512) -> Result<bool, store::Error> {
        let long = Table::<MarkRecord>::new(self.ground.engine.clone(), &format!("{LONG}{digest}/"))?;
        Ok(!long.list(Page::first(1)).await?.entries.is_empty())
    }
}
