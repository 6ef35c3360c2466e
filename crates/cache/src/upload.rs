//! Artifacts on their way in.

use base::Sha512;
use bytes::Bytes;
use identity::{Permit, Principal};
use store::blobs::Staged;
use store::{Batch, CommitError};

use crate::error::UploadError;
use crate::event::Happened;
use crate::record::ArtifactRecord;
use crate::service::{Cache, PutArtifact};

/// An artifact that is coming in. Nobody sees anything of it before it was [kept](Cache::keep); dropping it forgets it.
pub struct Upload {
    staged: Box<dyn Staged>,
    by: Principal,
    bytes: u64,
    bytes_max: u64,
}

/// An artifact that was kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// Its name.
    pub digest: Sha512,
    /// How many bytes it has.
    pub bytes: u64,
    /// Whether it was not there before.
    pub is_new: bool,
}

impl Cache {
    /// Begins to take an artifact in; `announced` is how many bytes it is said to have.
    ///
    /// # Errors
    /// [`UploadError`]: too large, or beyond what whoever asks may keep.
    pub async fn upload(
        &self,
        permit: Permit<PutArtifact>,
        announced: Option<u64>,
    ) -> Result<Upload, UploadError> {
        let by = permit.by().clone();
        let bytes_max = self.limits.artifact_bytes_max;
        check_size(announced.unwrap_or_default(), bytes_max)?;
        self.check_quota(&by, announced.unwrap_or_default()).await?;
        Ok(Upload { staged: self.ground.blobs.stage().await?, by, bytes: 0, bytes_max })
    }

    /// Keeps all of `upload`, which is `expected` to have a certain name, if any is said. When this answers, it is
    /// there for everybody, and stays.
    ///
    /// # Errors
    /// [`UploadError`]; nothing of it is there then, unless it was before. Where only the record could not be written,
    /// the bytes may be; sending them again repairs that.
    pub async fn keep(&self, upload: Upload, expected: Option<Sha512>) -> Result<Kept, UploadError> {
        let Upload { staged, by, bytes, .. } = upload;
        let _turn = self.writers_turn(&by).await;
        self.check_quota(&by, bytes).await?;
        let digest = staged.keep(expected).await?.digest;
        let is_new = self.name_artifact(digest, bytes, &by).await?;
        Ok(Kept { digest, bytes, is_new })
    }

    /// Writes down that an artifact is there; whether nobody else did.
    async fn name_artifact(&self, digest: Sha512, bytes: u64, by: &Principal) -> Result<bool, UploadError> {
        let id = digest.to_string();
        let mut attempts = 0;
        loop {
            if let Some(found) = self.tables.artifact.get(&id).await? {
                if self.is_wanted_again(digest, found).await? {
                    // By somebody else, or by us when the store did not say so.
                    return Ok(attempts > 0);
                }
                // It was removed in this very moment.
                Self::again(CommitError::Conflict { key: self.tables.artifact.key(&id)? }, &mut attempts)?;
                continue;
            }
            let mut batch = Batch::new();
            let at = self.ground.clock.now().as_unix();
            let counted_for = self.count(&mut batch, by, bytes).await?;
            let record =
                ArtifactRecord { bytes, at, by: by.name().to_owned(), counted_for, unnamed_since: None };
            self.tables.artifact.create(&mut batch, &id, &record)?;
            let event = Happened::ArtifactKept { digest, bytes }.event(by, &self.ground.clock);
            self.history.append(&mut batch, &event, &self.ground.entropy)?;
            match self.ground.engine.commit(batch).await {
                Ok(_) => return Ok(true),
                Err(error) => Self::again(error, &mut attempts)?,
            }
        }
    }
}

impl Upload {
    /// Takes some more of it.
    ///
    /// # Errors
    /// [`UploadError::TooLarge`], or what the disk says.
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), UploadError> {
        self.bytes = self.bytes.saturating_add(bytes.len() as u64);
        check_size(self.bytes, self.bytes_max)?;
        Ok(self.staged.write(bytes).await?)
    }
}

fn check_size(bytes: u64, bytes_max: u64) -> Result<(), UploadError> {
    if bytes > bytes_max { Err(UploadError::TooLarge { bytes_max }) } else { Ok(()) }
}
