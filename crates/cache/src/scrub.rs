//! Looking whether what is kept is still what was kept.
//!
//! All blobs are read again, slowly, in rounds. Where one stopped is remembered. One whose bytes are not those of its
//! name is put aside: from then on it is not there, and can be uploaded again.

use base::{Sha512, Sha512Hasher, Timestamp};
use futures_util::TryStreamExt as _;
use futures_util::future::BoxFuture;
use identity::Permit;
use store::blobs::{self, Found};
use store::{Batch, Loaded};

use crate::error::MaintainError;
use crate::event::Happened;
use crate::record::ScrubRecord;
use crate::service::{Cache, Maintain};

/// How many that cannot be read are remembered for the next round.
const UNREADABLE_MAX: usize = 1000;
/// How many blobs are listed at once.
const PAGE: usize = 100;

/// How fast blobs are read.
pub trait Pace: Send {
    /// Called when so many bytes were read; answers when it is time to read on: whether to do that at all.
    fn after(&mut self, bytes: u64) -> BoxFuture<'_, bool>;
}

/// How far the blobs were looked through.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scrubbed {
    /// When this round began.
    pub since: Option<Timestamp>,
    /// When the last whole round ended.
    pub ended: Option<Timestamp>,
    /// How many bytes were read in this round.
    pub bytes: u64,
    /// How many blobs were put aside in this round.
    pub damaged: u64,
    /// Whether this round is over.
    pub is_whole: bool,
}

impl Cache {
    /// Reads some blobs more, until about `bytes_max` were read, the round is over, or `pace` ends it.
    ///
    /// # Errors
    /// [`MaintainError`].
    pub async fn scrub(
        &self,
        permit: &Permit<Maintain>,
        bytes_max: u64,
        pace: &mut dyn Pace,
    ) -> Result<Scrubbed, MaintainError> {
        let found = self.tables.scrub.get(&self.round).await?;
        let version = found.as_ref().map(|found| found.version);
        let mut round = found.map(|found| found.record).unwrap_or_default();
        if round.after.is_none() {
            let ended = round.ended;
            let (since, unreadable_before) = (self.ground.clock.now().as_unix(), round.unreadable);
            round = ScrubRecord { since, ended, unreadable_before, ..ScrubRecord::default() };
        }
        let after = round.after.as_deref().and_then(Sha512::parse);
        let blobs = self.ground.blobs.list(after, PAGE).await?;
        let mut is_whole = blobs.is_empty();
        let (mut read, mut goes_on) = (0, true);
        for blob in blobs {
            if !goes_on || read >= bytes_max {
                break;
            }
            let looked = self.look(permit, blob, pace).await?;
            goes_on = looked.goes_on;
            if !looked.is_whole {
                break;
            }
            read += blob.size;
            round.damaged += u64::from(looked.is_damaged);
            if looked.is_unreadable {
                self.was_unreadable(permit, blob, &mut round).await?;
            }
            round.after = Some(blob.digest.to_string());
        }
        round.bytes = round.bytes.saturating_add(read);
        if is_whole {
            round.after = None;
            round.ended = Some(self.ground.clock.now().as_unix());
        }
        is_whole &= goes_on;
        let mut batch = Batch::new();
        self.tables.scrub.put_over(&mut batch, &self.round, &round, version)?;
        self.ground.engine.commit(batch).await?;
        Ok(Scrubbed { is_whole, ..scrubbed(&round) })
    }

    /// How far the blobs were looked through.
    ///
    /// # Errors
    /// The store's.
    pub async fn scrubbed(&self, _permit: &Permit<Maintain>) -> Result<Scrubbed, store::Error> {
        let found = self.tables.scrub.get(&self.round).await?;
        Ok(found.map(|Loaded { record, .. }| scrubbed(&record)).unwrap_or_default())
    }

    /// Reads a blob to its end, and puts it aside when it is not what it was.
    async fn look(
        &self,
        permit: &Permit<Maintain>,
        found: Found,
        pace: &mut dyn Pace,
    ) -> Result<Looked, MaintainError> {
        let fine = Looked::default();
        // What was removed meanwhile is nobody's loss.
        let blob = match self.ground.blobs.open(found.digest).await {
            Ok(Some(blob)) => blob,
            Ok(None) => return Ok(fine),
            Err(blobs::Error::Damaged { .. }) => return self.put_aside(permit, found).await,
            Err(error) => return unreadable(found, error),
        };
        let mut hasher = Sha512Hasher::new();
        let mut pieces = blob.read(0..blob.size());
        loop {
            let piece = match pieces.try_next().await {
                Ok(Some(piece)) => piece,
                Ok(None) => break,
                Err(blobs::Error::Gone) => return Ok(fine),
                Err(blobs::Error::Damaged { .. }) => return self.put_aside(permit, found).await,
                Err(error) => return unreadable(found, error),
            };
            hasher.update(&piece);
            if !pace.after(piece.len() as u64).await {
                return Ok(Looked { goes_on: false, is_whole: false, ..fine });
            }
        }
        if hasher.finish() == found.digest {
            return Ok(fine);
        }
        self.put_aside(permit, found).await
    }

    async fn put_aside(&self, permit: &Permit<Maintain>, found: Found) -> Result<Looked, MaintainError> {
        let Found { digest, size: bytes, .. } = found;
        let was_there = self.ground.blobs.set_aside(digest).await;
        self.small.forget(digest);
        if was_there? {
            tracing::error!(%digest, bytes, "the bytes of an artifact are not its own any more, they were put aside");
            let mut batch = Batch::new();
            let event = Happened::ArtifactDamaged { digest, bytes }.event(permit.by(), &self.ground.clock);
            self.history.append(&mut batch, &event, &self.ground.entropy)?;
            self.ground.engine.commit(batch).await?;
        }
        Ok(Looked { is_damaged: true, ..Looked::default() })
    }

    /// Puts aside what could not be read in two rounds, so that it can be uploaded again; the first time it may be the
    /// machine that had trouble.
    async fn was_unreadable(
        &self,
        permit: &Permit<Maintain>,
        found: Found,
        round: &mut ScrubRecord,
    ) -> Result<(), MaintainError> {
        let digest = found.digest.to_string();
        if round.unreadable_before.contains(&digest) {
            return self.put_aside(permit, found).await.map(drop);
        }
        if round.unreadable.len() < UNREADABLE_MAX {
            round.unreadable.push(digest);
        }
        Ok(())
    }
}

/// What the disk cannot read counts as damaged, and is stepped over: there may be more behind it. What is only out of reach
/// is looked at again.
fn unreadable(found: Found, error: blobs::Error) -> Result<Looked, MaintainError> {
    match error {
        blobs::Error::Engine { .. } => {
            tracing::error!(digest = %found.digest, error = %base::report(&error), "an artifact cannot be read");
            Ok(Looked { is_damaged: true, is_unreadable: true, ..Looked::default() })
        }
        error => Err(error.into()),
    }
}

/// What came of looking at a blob.
#[derive(Clone, Copy)]
struct Looked {
    goes_on: bool,
    is_whole: bool,
    is_damaged: bool,
    /// Whether the disk does not give its bytes.
    is_unreadable: bool,
}

impl Default for Looked {
    /// It is as it was.
    fn default() -> Self {
        Self { goes_on: true, is_whole: true, is_damaged: false, is_unreadable: false }
    }
}

fn scrubbed(round: &ScrubRecord) -> Scrubbed {
    Scrubbed {
        since: Some(Timestamp::from_unix(round.since)),
        ended: round.ended.map(Timestamp::from_unix),
        bytes: round.bytes,
        damaged: round.damaged,
        is_whole: round.after.is_none(),
    }
}
