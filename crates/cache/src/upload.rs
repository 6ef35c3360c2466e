//! Artifacts on their way in.

use std::sync::Arc;

use base::{Sha512, Sha512Hasher};
use bytes::Bytes;
use identity::{Permit, Principal};
use store::blobs::{self, SoFar, Staged};
use store::{Batch, CommitError};

use crate::error::UploadError;
use crate::event::Happened;
use crate::fetched::{Fetching, is_fetched};
use crate::quota;
use crate::record::ArtifactRecord;
use crate::room::NoRoom;
use crate::service::{Cache, PutArtifact};
use crate::under_way::{Exceeded, Part};

/// How many bytes come in before it is looked at again how much room is left.
const LOOKED_AT_EACH: u64 = 1024 * 1024;

/// An artifact that is coming in. Nobody sees anything of it before it was [kept](Cache::keep); dropping it forgets it.
pub struct Upload {
    sink: Sink,
    by: Principal,
    bytes: u64,
    /// How many may come before it is looked at again how much room is left.
    unlooked: u64,
    part: Part,
    /// What it takes of the room for what the house fetches, where that is what does this.
    fetching: Option<Fetching>,
}

/// Where the bytes go.
enum Sink {
    /// To be kept.
    Staged(Box<dyn Staged>),
    /// Nowhere, since it was said that they are too many for whoever sends them, or for the room that is left: only to see
    /// whether they are there already, which costs nobody anything and needs no room.
    Nowhere(Sha512Hasher, UploadError),
}

impl Upload {
    /// What was written of it so far, for whoever reads along; nothing where that cannot be shown.
    #[must_use]
    pub fn so_far(&self) -> Option<Arc<dyn SoFar>> {
        match &self.sink {
            Sink::Staged(staged) => staged.so_far(),
            Sink::Nowhere(..) => None,
        }
    }

    /// How many bytes of it have come.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The same, unless it is too much for its writer or for the room that is left.
    pub(crate) fn wanted(self) -> Result<Self, UploadError> {
        match self.sink {
            Sink::Nowhere(_, refused) => Err(refused),
            Sink::Staged(_) => Ok(self),
        }
    }
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
    /// One that is too much for the quota, or for the room that is left, is taken as well, and never stored: it may be
    /// there already, which shows at its end. Not so what the house fetches, which is known not to be there.
    ///
    /// # Errors
    /// [`UploadError`]: too large, or more than there is room for.
    pub async fn upload(
        &self,
        permit: Permit<PutArtifact>,
        announced: Option<u64>,
    ) -> Result<Upload, UploadError> {
        let by = permit.by().clone();
        let announced = announced.unwrap_or_default();
        check_size(announced, self.limits.artifact_bytes_max)?;
        let fetching = match is_fetched(by.name()) {
            true => Some(self.fetching(announced).await?),
            false => None,
        };
        let mut part = self.under_way.begin(announced);
        let admitted = match self.count_for(&mut part, &by).await? {
            Ok(()) => match self.check_room(part.unreserved()).await {
                Err(no_room @ NoRoom::Reserved { .. }) if fetching.is_none() => Err(no_room.into()),
                checked => Ok(checked?),
            },
            Err(refused) => Err(refused),
        };
        let sink = match admitted {
            Ok(()) => Sink::Staged(self.ground.blobs.stage().await?),
            Err(refused) => {
                part = self.under_way.begin(0);
                Sink::Nowhere(Sha512Hasher::new(), refused)
            }
        };
        Ok(Upload { sink, by, bytes: 0, unlooked: LOOKED_AT_EACH, part, fetching })
    }

    /// `upload`, of which it is said that it is `digest`: if that is not there, and it is too much, nothing of it need come.
    ///
    /// # Errors
    /// [`UploadError`].
    pub async fn expecting(&self, upload: Upload, digest: Sha512) -> Result<Upload, UploadError> {
        match upload.sink {
            Sink::Nowhere(..) if !self.is_there(digest).await? => upload.wanted(),
            _ => Ok(upload),
        }
    }

    /// Counts `part` for `by`; the reason when that is too much.
    async fn count_for(
        &self,
        part: &mut Part,
        by: &Principal,
    ) -> Result<Result<(), UploadError>, store::Error> {
        let Some(bytes_max) = self.quota_of(by) else { return Ok(Ok(())) };
        let kept = self.kept_by(by).await?;
        let counted = part.count_for(quota::id(by), kept, bytes_max);
        Ok(counted.map_err(|exceeded| over_quota(by, exceeded, bytes_max)))
    }

    /// Takes some more of `upload`, and gives it back.
    ///
    /// # Errors
    /// [`UploadError`], as soon as it shows that it is too large, or more than there is room for. It is forgotten then.
    pub async fn take(&self, mut upload: Upload, bytes: Bytes) -> Result<Upload, UploadError> {
        let more = bytes.len() as u64;
        upload.bytes = upload.bytes.saturating_add(more);
        check_size(upload.bytes, self.limits.artifact_bytes_max)?;
        let staged = match &mut upload.sink {
            Sink::Staged(staged) => staged,
            Sink::Nowhere(hasher, _) => {
                hasher.update(&bytes);
                return Ok(upload);
            }
        };
        if let Some(bytes_max) = self.quota_of(&upload.by) {
            let grown = upload.part.grow(upload.bytes, bytes_max);
            grown.map_err(|exceeded| over_quota(&upload.by, exceeded, bytes_max))?;
        }
        upload.unlooked = upload.unlooked.saturating_sub(more);
        if upload.unlooked == 0 {
            upload.unlooked = LOOKED_AT_EACH;
            self.check_room(0).await?;
            if let Some(fetching) = &mut upload.fetching {
                fetching.grow(upload.bytes);
                self.hold_fetched().await?;
            }
        }
        staged.write(bytes).await?;
        upload.part.came(more);
        Ok(upload)
    }

    /// Keeps all of `upload`, which is `expected` to have a certain name, if any is said. When this answers, it is
    /// there for everybody, and stays.
    ///
    /// # Errors
    /// [`UploadError`]; nobody sees anything of it then, unless it was there before. Where only the record could not be
    /// written, its bytes stay for a while, and sending them again repairs that.
    pub async fn keep(&self, upload: Upload, expected: Option<Sha512>) -> Result<Kept, UploadError> {
        let Upload { sink, by, bytes, part, mut fetching, .. } = upload;
        let staged = match sink {
            Sink::Staged(staged) => staged,
            Sink::Nowhere(hasher, refused) => {
                let digest = hasher.finish();
                if expected.is_some_and(|expected| expected != digest) {
                    return Err(blobs::Error::Differs { found: digest }.into());
                }
                return match self.is_there(digest).await? {
                    true => Ok(Kept { digest, bytes, is_new: false }),
                    false => Err(refused),
                };
            }
        };
        // Nobody's turn is held meanwhile: the disk takes its time, and what is under way is counted.
        let blobs::Kept { digest, was_there, .. } = staged.keep(expected).await?;
        let _turn = self.writers_turn(&by).await;
        let named = self.name_artifact(digest, bytes, &by, was_there).await;
        let is_new = named.inspect_err(|_| self.refuse(digest))?;
        if was_there && !self.is_there(digest).await? {
            // It was being removed from where others remove as well, and was found there just before: not now, but soon.
            let reason = "it was removed in this moment".to_owned();
            return Err(blobs::Error::Unavailable { doing: "keeping", reason }.into());
        }
        if is_new {
            part.kept();
            if let Some(mut fetching) = fetching.take() {
                fetching.grow(bytes);
                fetching.kept();
            }
        }
        Ok(Kept { digest, bytes, is_new })
    }

    /// Whether an artifact is there, whole.
    async fn is_there(&self, digest: Sha512) -> Result<bool, UploadError> {
        let found = self.find(digest).await;
        Ok(found?.is_some())
    }

    /// Writes down that an artifact is there; whether nobody else did. Where its bytes are new the record most likely is as
    /// well: whether it `may_be_there` is not looked up before the commit fails then.
    async fn name_artifact(
        &self,
        digest: Sha512,
        bytes: u64,
        by: &Principal,
        mut may_be_there: bool,
    ) -> Result<bool, UploadError> {
        let id = digest.to_string();
        let at = self.ground.clock.now().as_unix();
        let new = |counted_for| ArtifactRecord {
            bytes,
            at,
            by: by.name().to_owned(),
            counted_for,
            unnamed_since: None,
            never_named: false,
        };
        let mut attempts = 0;
        let mut may_be_ours = false;
        loop {
            let found = if may_be_there { self.tables.artifact.get(&id).await? } else { None };
            may_be_there = true;
            if let Some(found) = found {
                if let Some((mut record, is_adopted)) = self.sent_again(&found.record, by) {
                    let mut batch = Batch::new();
                    if is_adopted {
                        record.counted_for = self.count(&mut batch, by, bytes).await?;
                    }
                    self.tables.artifact.update(&mut batch, &id, &record, found.version)?;
                    match self.ground.engine.commit(batch).await {
                        Ok(_) => {
                            self.uses.note(digest, self.ground.clock.now());
                            return Ok(false);
                        }
                        Err(error) => Self::again(error, &mut attempts)?,
                    }
                    continue;
                }
                if self.is_wanted_again(digest, &found).await? {
                    self.uses.note(digest, self.ground.clock.now());
                    let ours = new(found.record.counted_for.clone());
                    return Ok(may_be_ours && found.record == ours);
                }
                // It was removed in this very moment.
                Self::again(CommitError::Conflict { key: self.tables.artifact.key(&id)? }, &mut attempts)?;
                continue;
            }
            let mut batch = Batch::new();
            let record = new(self.count(&mut batch, by, bytes).await?);
            self.tables.artifact.create(&mut batch, &id, &record)?;
            let event = Happened::ArtifactKept { digest, bytes }.event(by, &self.ground.clock);
            self.history.append(&mut batch, &event, &self.ground.entropy)?;
            match self.ground.engine.commit(batch).await {
                Ok(_) => return Ok(true),
                Err(error) => {
                    may_be_ours |= matches!(error, CommitError::Unknown { .. });
                    Self::again(error, &mut attempts)?;
                }
            }
        }
    }
}

fn check_size(bytes: u64, bytes_max: u64) -> Result<(), UploadError> {
    if bytes > bytes_max { Err(UploadError::TooLarge { bytes_max }) } else { Ok(()) }
}

fn over_quota(by: &Principal, Exceeded(bytes): Exceeded, bytes_max: u64) -> UploadError {
    UploadError::Quota { who: by.account().to_owned(), bytes, bytes_max }
}

impl From<NoRoom> for UploadError {
    fn from(no_room: NoRoom) -> Self {
        match no_room {
            NoRoom::Reserved { bytes, reserve_bytes } => Self::NoRoom { bytes, reserve_bytes },
            NoRoom::Unknown(error) => Self::Blobs(error),
        }
    }
}
