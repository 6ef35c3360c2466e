//! Artifacts that nobody wants any more, and bytes that nobody wrote down.

use base::{Sha512, Timestamp};
use store::{Batch, CommitError, Loaded, Page, Table};

use super::{Removed, Round};
use crate::error::MaintainError;
use crate::event::Happened;
use crate::pin::Pinned;
use crate::record::{ArtifactRecord, MarkRecord};
use crate::service::LONG;

/// How many are read at once.
const PAGE: usize = 500;

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
                if !self.may_go(digest, &loaded.record).await? {
                    continue;
                }
                let bytes = loaded.record.bytes;
                if self.is_dry || self.remove_artifact(digest, loaded).await? {
                    self.collected.artifacts += 1;
                    self.collected.bytes = self.collected.bytes.saturating_add(bytes);
                    self.tell(Removed::Artifact { digest, bytes });
                }
            }
            next = found.next;
        }
        Ok(())
    }

    async fn may_go(&mut self, digest: Sha512, artifact: &ArtifactRecord) -> Result<bool, MaintainError> {
        let (cache, rules) = (self.cache, self.rules);
        if artifact.unnamed_since.is_none() && rules.unnamed.is_all() {
            return Ok(false);
        }
        if !cache.names(digest, 1).await?.is_empty() || cache.is_pinned(&Pinned::Artifact(digest)).await? {
            return Ok(false);
        }
        let used_at = cache.used_at(digest, artifact).await?;
        if used_at + rules.grace > self.now {
            self.collected.waiting += u64::from(artifact.unnamed_since.is_some());
            return Ok(false);
        }
        let at = Timestamp::from_unix(artifact.at);
        Ok(artifact.unnamed_since.is_some() || !rules.unnamed.keeps(at, used_at, self.now))
    }

    /// Whether it was removed: `false` when somebody wanted it in this moment.
    async fn remove_artifact(
        &self,
        digest: Sha512,
        found: Loaded<ArtifactRecord>,
    ) -> Result<bool, MaintainError> {
        let (cache, id) = (self.cache, digest.to_string());
        let bytes = found.record.bytes;
        let mut batch = Batch::new();
        cache.tables.artifact.remove(&mut batch, &id, found.version)?;
        cache.tables.used.delete(&mut batch, &id)?;
        cache.uncount(&mut batch, [(found.record.counted_for, bytes)]).await?;
        let event = Happened::ArtifactRemoved { digest, bytes }.event(self.permit.by(), &cache.ground.clock);
        cache.history.append(&mut batch, &event, &cache.ground.entropy)?;
        match cache.ground.engine.commit(batch).await {
            Ok(_) => {}
            // Whether it was done shows in the next round; the bytes are strays then.
            Err(CommitError::Conflict { .. } | CommitError::Unknown { .. }) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        // Who keeps the same bytes again meanwhile has them kept later than that.
        cache.ground.blobs.remove(digest, Some(self.now - self.rules.grace)).await?;
        Ok(true)
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
                if blob.kept_at > before || self.is_written_down(blob.digest).await? {
                    continue;
                }
                if self.is_dry || self.cache.ground.blobs.remove(blob.digest, Some(before)).await? {
                    self.collected.strays += 1;
                    self.collected.bytes = self.collected.bytes.saturating_add(blob.size);
                }
            }
        }
    }

    async fn is_written_down(&self, digest: Sha512) -> Result<bool, store::Error> {
        if self.cache.tables.artifact.get(&digest.to_string()).await?.is_some() {
            return Ok(true);
        }
        let long = Table::<MarkRecord>::new(self.cache.ground.engine.clone(), &format!("{LONG}{digest}/"))?;
        Ok(!long.list(Page::first(1)).await?.entries.is_empty())
    }
}
