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
        let blob = self.ground.blobs.open(digest).await?;
        Ok(blob.map(|blob| Artifact { digest, blob }))
    }
}
