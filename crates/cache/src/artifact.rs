//! Artifacts: bytes, named by their SHA-512.

use base::Sha512;
use identity::Permit;
use store::blobs::Blob;

use crate::error::OpenError;
use crate::service::{Cache, ReadArtifacts};

/// An artifact that is there: what it is called, how large it is, and its bytes.
pub struct Artifact {
    /// Its name.
    pub digest: Sha512,
    /// Its bytes.
    pub blob: Blob,
}

impl Cache {
    /// The artifact with this name, if it is there. Nothing of it is read yet.
    ///
    /// # Errors
    /// [`OpenError`].
    pub async fn open(
        &self,
        _permit: Permit<ReadArtifacts>,
        digest: Sha512,
    ) -> Result<Option<Artifact>, OpenError> {
        self.find(digest).await
    }

    /// Bytes that no record names are none: an upload that was refused or died before it was written down, or an entry
    /// that is too long for its record. Nor are those of another size than was written down: who sends them again
    /// repairs that.
    pub(crate) async fn find(&self, digest: Sha512) -> Result<Option<Artifact>, OpenError> {
        let Some(blob) = self.ground.blobs.open(digest).await? else { return Ok(None) };
        let Some(found) = self.tables.artifact.get(&digest.to_string()).await? else { return Ok(None) };
        if found.record.bytes != blob.size() {
            tracing::warn!(%digest, bytes = blob.size(), expected = found.record.bytes, "an artifact is damaged");
            return Ok(None);
        }
        Ok(Some(Artifact { digest, blob }))
    }
}
