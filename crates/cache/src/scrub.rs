//! Looking whether what is kept is still what was kept.
//!
//! All blobs are read again, slowly, in rounds. Where one stopped is remembered. One whose bytes are not those of its
//! name is put aside: from then on it is not there, and can be uploaded again. Somebody may ask for a round, which begins
//! at once and is read as fast as the blobs come.

use std::sync::atomic::Ordering;

use base::{Sha512, Sha512Hasher, Timestamp};
use futures_util::TryStreamExt as _;
use futures_util::future::BoxFuture;
use identity::Permit;
use store::blobs::{self, Found};
use store::{Batch, CommitError};

use crate::error::MaintainError;
use crate::event::Happened;
use crate::record::ScrubRecord;
use crate::service::{Cache, Maintain};

/// How many that cannot be read are remembered for the next round, and how many that were put aside are told.
const TOLD_MAX: usize = 1000;
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
    /// How many blobs were damaged in this round.
    pub damaged: u64,
    /// Those that were put aside in it, the first of them.
    pub aside: Vec<Sha512>,
    /// Those that the disk did not give in it, the first of them.
    pub unreadable: Vec<Sha512>,
    /// Whether somebody asked for this round, which is not over.
    pub is_asked_for: bool,
    /// How much of it is done: blobs are read in the order of their digests, which are spread evenly.
    pub percent: u8,
    /// Whether this round is over.
    pub is_whole: bool,
}

impl Cache {
    /// Asks for a round, which begins with the next call of [`Cache::scrub`], by whichever process; one that somebody asked
    /// for and that is not over goes on instead.
    ///
    /// # Errors
    /// [`MaintainError`].
    pub async fn ask_for_scrub(&self, permit: &Permit<Maintain>) -> Result<Scrubbed, MaintainError> {
        let mut attempts = 0;
        loop {
            let found = self.tables.scrub.get(&self.round).await?;
            let version = found.as_ref().map(|found| found.version);
            let before = found.map(|found| found.record).unwrap_or_default();
            if before.asked_for {
                return self.scrubbed(permit).await.map_err(MaintainError::from);
            }
            let mut unreadable = before.unreadable;
            // What is behind the place where that round stands was looked at in the one before.
            if before.after.is_some() {
                unreadable.extend(before.unreadable_before);
                unreadable.truncate(TOLD_MAX);
            }
            let since = self.ground.clock.now().as_unix();
            let round = ScrubRecord {
                since,
                ended: before.ended,
                unreadable,
                asked_for: true,
                ..ScrubRecord::default()
            };
            let mut batch = Batch::new();
            self.tables.scrub.put_over(&mut batch, &self.round, &round, version)?;
            match self.ground.engine.commit(batch).await {
                Ok(_) => return Ok(self.told(&round)),
                Err(error) => Self::again(error, &mut attempts)?,
            }
        }
    }

    /// Whether somebody asked for a round that is not over, as far as this process knows.
    #[must_use]
    pub fn is_scrub_asked_for(&self) -> bool {
        self.scrub_asked_for.load(Ordering::Relaxed)
    }

    /// Reads some blobs more, until about `bytes_max` were read, the round is over, or `pace` ends it. When others were
    /// faster, or asked for a round meanwhile, what they say holds.
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
            let asked_for = round.asked_for;
            round = ScrubRecord { since, ended, unreadable_before, asked_for, ..ScrubRecord::default() };
        }
        let after = round.after.as_deref().and_then(Sha512::parse);
        let blobs = self.ground.blobs.list(after, PAGE).await?;
        let is_whole = blobs.is_empty();
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
            } else if looked.is_damaged {
                remember(&mut round.aside, blob.digest);
            }
            round.after = Some(blob.digest.to_string());
        }
        round.bytes = round.bytes.saturating_add(read);
        if is_whole {
            round.after = None;
            round.ended = Some(self.ground.clock.now().as_unix());
            round.asked_for = false;
        }
        let mut batch = Batch::new();
        self.tables.scrub.put_over(&mut batch, &self.round, &round, version)?;
        match self.ground.engine.commit(batch).await {
            Ok(_) => Ok(Scrubbed { is_whole, ..self.told(&round) }),
            Err(CommitError::Conflict { .. }) => {
                Ok(Scrubbed { is_whole: false, ..self.scrubbed(permit).await? })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// How far the blobs were looked through.
    ///
    /// # Errors
    /// The store's.
    pub async fn scrubbed(&self, _permit: &Permit<Maintain>) -> Result<Scrubbed, store::Error> {
        let found = self.tables.scrub.get(&self.round).await?;
        Ok(found.map(|found| self.told(&found.record)).unwrap_or_default())
    }

    /// What there is to say of `round`, which is the latest that is known.
    fn told(&self, round: &ScrubRecord) -> Scrubbed {
        self.scrub_asked_for.store(round.asked_for, Ordering::Relaxed);
        scrubbed(round)
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
        if !round.unreadable_before.contains(&digest) {
            remember(&mut round.unreadable, found.digest);
            return Ok(());
        }
        self.put_aside(permit, found).await?;
        remember(&mut round.aside, found.digest);
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

/// Adds `digest` to what is told, unless that is much already.
fn remember(told: &mut Vec<String>, digest: Sha512) {
    if told.len() < TOLD_MAX {
        told.push(digest.to_string());
    }
}

/// How much of a round is done that stands behind `after`, in percent.
fn percent(after: Option<&str>) -> u8 {
    let first =
        after.and_then(|after| after.get(..4)).and_then(|digits| u16::from_str_radix(digits, 16).ok());
    // Never more than 99: it is not over.
    first.map_or(0, |first| (u32::from(first) * 100 / 65_536) as u8)
}

fn scrubbed(round: &ScrubRecord) -> Scrubbed {
    let digests = |told: &[String]| told.iter().filter_map(|digest| Sha512::parse(digest)).collect();
    let is_whole = round.after.is_none() && !round.asked_for;
    Scrubbed {
        since: Some(Timestamp::from_unix(round.since)),
        ended: round.ended.map(Timestamp::from_unix),
        bytes: round.bytes,
        damaged: round.damaged,
        aside: digests(&round.aside),
        unreadable: digests(&round.unreadable),
        is_asked_for: round.asked_for,
        percent: if is_whole { 100 } else { percent(round.after.as_deref()) },
        is_whole,
    }
}
