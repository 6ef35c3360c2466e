//! Artifacts: bytes, named by their SHA-512.

use base::{Sha512, Span, Timestamp};
use identity::Permit;
use store::blobs::Blob;
use store::{Batch, CommitError, Loaded};

use crate::error::OpenError;
use crate::record::ArtifactRecord;
use crate::service::{Cache, ReadArtifacts};

/// How long ago somebody asked for an artifact that no entry names, before it is written down that somebody did again.
/// Much less than such an artifact stays at least.
const WANTED_GRAIN: Span = Span::seconds(600);

/// An artifact that is there: what it is called, how large it is, and its bytes.
pub struct Artifact {
    /// Its name.
    pub digest: Sha512,
    /// Its bytes.
    pub blob: Blob,
}

impl Cache {
    /// The artifact with this name, if it is there: bytes that nobody wrote down are not. Nothing of it is read yet.
    ///
    /// Whoever was told that it is there may be about to name it, so one that no entry names stays for a while from now on.
    ///
    /// # Errors
    /// [`OpenError`].
    pub async fn open(
        &self,
        _permit: Permit<ReadArtifacts>,
        digest: Sha512,
    ) -> Result<Option<Artifact>, OpenError> {
        let now = self.ground.clock.now_milliseconds();
        let found = match self.small.get(digest, now) {
            Ok(blob) => Some(Artifact { digest, blob }),
            Err(ticket) => {
                let found = self.open_found(digest).await?;
                found.map(|Artifact { blob, .. }| Artifact {
                    digest,
                    blob: self.small.put(ticket, digest, blob, now),
                })
            }
        };
        if found.is_some() {
            self.uses.note(digest, self.ground.clock.now());
        }
        Ok(found)
    }

    /// The same, for whoever only wants to know whether it is there.
    pub(crate) async fn open_found(&self, digest: Sha512) -> Result<Option<Artifact>, OpenError> {
        let Some(found) = self.tables.artifact.get(&digest.to_string()).await? else { return Ok(None) };
        if found.record.unnamed_since.is_some() && !self.is_wanted_again(digest, &found).await? {
            return Ok(None);
        }
        Ok(self.ground.blobs.open(digest).await?.and_then(|blob| whole(digest, blob, &found.record)))
    }

    /// Writes down that somebody wants an artifact that no entry names any more, so that it is not removed under their
    /// hands. `false` when it was removed in this moment.
    pub(crate) async fn is_wanted_again(
        &self,
        digest: Sha512,
        found: &Loaded<ArtifactRecord>,
    ) -> Result<bool, CommitError> {
        let id = digest.to_string();
        let (mut found, mut attempts) = (found.clone(), 0);
        loop {
            let now = self.ground.clock.now();
            let Some(since) = found.record.unnamed_since else { return Ok(true) };
            if Timestamp::from_unix(since) + WANTED_GRAIN > now {
                return Ok(true);
            }
            let mut batch = Batch::new();
            let record = ArtifactRecord { unnamed_since: Some(now.as_unix()), ..found.record };
            self.tables.artifact.update(&mut batch, &id, &record, found.version)?;
            match self.ground.engine.commit(batch).await {
                Ok(_) => return Ok(true),
                Err(error) => Self::again(error, &mut attempts)?,
            }
            match self.tables.artifact.get(&id).await? {
                Some(again) => found = again,
                None => return Ok(false),
            }
        }
    }

    /// Bytes that no record names are none: an upload that was refused or died before it was written down, or an entry
    /// that is too long for its record. Nor are those of another size than was written down: who sends them again
    /// repairs that.
    pub(crate) async fn find(&self, digest: Sha512) -> Result<Option<Artifact>, OpenError> {
        let Some(blob) = self.ground.blobs.open(digest).await? else { return Ok(None) };
        let Some(found) = self.tables.artifact.get(&digest.to_string()).await? else { return Ok(None) };
        Ok(whole(digest, blob, &found.record))
    }
}

/// The artifact that `blob` is, unless it has another size than was written down.
fn whole(digest: Sha512, blob: Blob, record: &ArtifactRecord) -> Option<Artifact> {
    if record.bytes == blob.size() {
        return Some(Artifact { digest, blob });
    }
    tracing::warn!(%digest, bytes = blob.size(), expected = record.bytes, "an artifact is damaged");
    None
}
