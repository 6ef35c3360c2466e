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

/// The record of how far it is.
const ROUND: &str = "round";
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
        let found = self.tables.scrub.get(ROUND).await?;
        let version = found.as_ref().map(|found| found.version);
        let mut round = found.map(|found| found.record).unwrap_or_default();
        if round.after.is_none() {
            let ended = round.ended;
            round = ScrubRecord { since: self.ground.clock.now().as_unix(), ended, ..ScrubRecord::default() };
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
            round.after = Some(blob.digest.to_string());
        }
        round.bytes = round.bytes.saturating_add(read);
        if is_whole {
            round.after = None;
            round.ended = Some(self.ground.clock.now().as_unix());
        }
        is_whole &= goes_on;
        let mut batch = Batch::new();
        self.tables.scrub.put_over(&mut batch, ROUND, &round, version)?;
        self.ground.engine.commit(batch).await?;
        Ok(Scrubbed { is_whole, ..scrubbed(&round) })
    }

    /// How far the blobs were looked through.
    ///
    /// # Errors
    /// The store's.
    pub async fn scrubbed(&self, _permit: &Permit<Maintain>) -> Result<Scrubbed, store::Error> {
        let found = self.tables.scrub.get(ROUND).await?;
        Ok(found.map(|Loaded { record, .. }| scrubbed(&record)).unwrap_or_default())
    }

    /// Reads a blob to its end, and puts it aside when it is not what it was.
    async fn look(
        &self,
        permit: &Permit<Maintain>,
        found: Found,
        pace: &mut dyn Pace,
    ) -> Result<Looked, MaintainError> {
        let fine = Looked { goes_on: true, is_whole: true, is_damaged: false };
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
                return Ok(Looked { goes_on: false, is_whole: false, is_damaged: false });
            }
        }
        if hasher.finish() == found.digest {
            return Ok(fine);
        }
        self.put_aside(permit, found).await
    }

    async fn put_aside(&self, permit: &Permit<Maintain>, found: Found) -> Result<Looked, MaintainError> {
        let Found { digest, size: bytes, .. } = found;
        if self.ground.blobs.set_aside(digest).await? {
            tracing::error!(%digest, bytes, "the bytes of an artifact are not its own any more, they were put aside");
            let mut batch = Batch::new();
            let event = Happened::ArtifactDamaged { digest, bytes }.event(permit.by(), &self.ground.clock);
            self.history.append(&mut batch, &event, &self.ground.entropy)?;
            self.ground.engine.commit(batch).await?;
        }
        Ok(Looked { goes_on: true, is_whole: true, is_damaged: true })
    }
}

/// What the disk cannot read counts as damaged, and is stepped over: there may be more behind it. What is only out of reach
/// is looked at again.
fn unreadable(found: Found, error: blobs::Error) -> Result<Looked, MaintainError> {
    match error {
        blobs::Error::Engine { .. } => {
            tracing::error!(digest = %found.digest, error = %base::report(&error), "an artifact cannot be read");
            Ok(Looked { goes_on: true, is_whole: true, is_damaged: true })
        }
        error => Err(error.into()),
    }
}

/// What came of looking at a blob.
struct Looked {
    goes_on: bool,
    is_whole: bool,
    is_damaged: bool,
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
