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
    /// How many blobs were damaged in this round, or in the one that it was begun instead of.
    pub damaged: u64,
    /// Those that were put aside in them, the first of them.
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
            let (mut damaged, mut aside) = (0, Vec::new());
            // What is behind the place where that round stands was looked at in the one before. What it put aside is not
            // seen again, and nobody was told of it yet.
            if before.after.is_some() {
                damaged = before.damaged.saturating_sub(unreadable.len() as u64);
                aside = before.aside;
                unreadable.extend(before.unreadable_before);
                unreadable.truncate(TOLD_MAX);
            }
            let since = self.ground.clock.now().as_unix();
            let round = ScrubRecord {
                since,
                ended: before.ended,
                damaged,
                unreadable,
                aside,
                asked_for: true,
                ..ScrubRecord::default()
            };
            let mut batch = Batch::new();
            self.tables.scrub.put_over(&mut batch, &self.round, &round, version)?;
            let event = Happened::ScrubAskedFor.event(permit.by(), &self.ground.clock);
            self.history.append(&mut batch, &event, &self.ground.entropy)?;
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
    /// faster, or asked for a round meanwhile, what they say holds, and what was put aside here is added to it.
    ///
    /// # Errors
    /// [`MaintainError`]; what was found before is written down all the same.
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
            let since = self.ground.clock.now().as_unix();
            let ScrubRecord { ended, mut damaged, mut aside, asked_for, .. } = round;
            // Who asked has not been told of them.
            if !asked_for {
                (damaged, aside) = (0, Vec::new());
            }
            // A round that stopped within its first blob has not looked at what the one before found.
            let unreadable_before = [round.unreadable, round.unreadable_before].concat();
            round = ScrubRecord {
                since,
                ended,
                damaged,
                aside,
                unreadable_before,
                asked_for,
                ..ScrubRecord::default()
            };
        }
        let after = round.after.as_deref().and_then(Sha512::parse);
        let blobs = self.ground.blobs.list(after, PAGE).await?;
        let is_whole = blobs.is_empty();
        let mut step = Step { round, aside: Vec::new() };
        let (mut read, mut failed) = (0, None);
        for blob in blobs {
            if read >= bytes_max {
                break;
            }
            match self.look(permit, blob, pace, &mut step).await {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
            read += blob.size;
            step.round.after = Some(blob.digest.to_string());
        }
        let Step { mut round, aside } = step;
        round.bytes = round.bytes.saturating_add(read);
        if is_whole {
            round.after = None;
            round.ended = Some(self.ground.clock.now().as_unix());
            round.asked_for = false;
            round.unreadable_before = Vec::new();
        }
        let mut batch = Batch::new();
        self.tables.scrub.put_over(&mut batch, &self.round, &round, version)?;
        let scrubbed = match self.ground.engine.commit(batch).await {
            Ok(_) => Scrubbed { is_whole, ..self.told(&round) },
            Err(CommitError::Conflict { .. }) => {
                self.add_aside(&aside).await?;
                Scrubbed { is_whole: false, ..self.scrubbed(permit).await? }
            }
            Err(error) => return Err(error.into()),
        };
        failed.map_or(Ok(scrubbed), Err)
    }

    /// Adds what was put aside to what others say of their round: they do not see it any more.
    async fn add_aside(&self, aside: &[Sha512]) -> Result<(), MaintainError> {
        let mut attempts = 0;
        while !aside.is_empty() {
            let found = self.tables.scrub.get(&self.round).await?;
            let version = found.as_ref().map(|found| found.version);
            let mut round = found.map(|found| found.record).unwrap_or_default();
            for digest in aside {
                if !round.aside.contains(&digest.to_string()) {
                    round.damaged += 1;
                    remember(&mut round.aside, *digest);
                }
            }
            let mut batch = Batch::new();
            self.tables.scrub.put_over(&mut batch, &self.round, &round, version)?;
            match self.ground.engine.commit(batch).await {
                Ok(_) => break,
                Err(error) => Self::again(error, &mut attempts)?,
            }
        }
        Ok(())
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

    /// Reads a blob to its end, and puts it aside when it is not what it was. Whether `pace` let it.
    async fn look(
        &self,
        permit: &Permit<Maintain>,
        found: Found,
        pace: &mut dyn Pace,
        step: &mut Step,
    ) -> Result<bool, MaintainError> {
        // What was removed meanwhile is nobody's loss.
        let blob = match self.ground.blobs.open(found.digest).await {
            Ok(Some(blob)) => blob,
            Ok(None) => return Ok(true),
            Err(error) => return self.was_unreadable(permit, found, error, step).await.map(|()| true),
        };
        let mut hasher = Sha512Hasher::new();
        let mut pieces = blob.read(0..blob.size());
        loop {
            let piece = match pieces.try_next().await {
                Ok(Some(piece)) => piece,
                Ok(None) => break,
                Err(blobs::Error::Gone) => return Ok(true),
                Err(error) => return self.was_unreadable(permit, found, error, step).await.map(|()| true),
            };
            hasher.update(&piece);
            if !pace.after(piece.len() as u64).await {
                return Ok(false);
            }
        }
        if hasher.finish() != found.digest {
            self.put_aside(permit, found, step).await?;
        }
        Ok(true)
    }

    async fn put_aside(
        &self,
        permit: &Permit<Maintain>,
        found: Found,
        step: &mut Step,
    ) -> Result<(), MaintainError> {
        let Found { digest, size: bytes, .. } = found;
        let was_there = self.ground.blobs.set_aside(digest).await;
        self.small.forget(digest);
        let was_there = was_there?;
        step.round.damaged += 1;
        step.aside.push(digest);
        remember(&mut step.round.aside, digest);
        // It is not seen again, whatever happens now.
        step.round.after = Some(digest.to_string());
        if was_there {
            tracing::error!(%digest, bytes, "the bytes of an artifact are not its own any more, they were put aside");
            let mut batch = Batch::new();
            let event = Happened::ArtifactDamaged { digest, bytes }.event(permit.by(), &self.ground.clock);
            self.history.append(&mut batch, &event, &self.ground.entropy)?;
            self.ground.engine.commit(batch).await?;
        }
        Ok(())
    }

    /// What the disk cannot read counts as damaged, and is stepped over: there may be more behind it. It is put aside, so
    /// that it can be uploaded again, when it could not be read in two rounds; the first time it may be the machine that had
    /// trouble. What is only out of reach is looked at again.
    async fn was_unreadable(
        &self,
        permit: &Permit<Maintain>,
        found: Found,
        error: blobs::Error,
        step: &mut Step,
    ) -> Result<(), MaintainError> {
        match &error {
            blobs::Error::Damaged { .. } => return self.put_aside(permit, found, step).await,
            blobs::Error::Engine { .. } => {
                tracing::error!(digest = %found.digest, error = %base::report(&error), "an artifact cannot be read");
            }
            _ => return Err(error.into()),
        }
        if step.round.unreadable_before.contains(&found.digest.to_string()) {
            return self.put_aside(permit, found, step).await;
        }
        step.round.damaged += 1;
        remember(&mut step.round.unreadable, found.digest);
        Ok(())
    }
}

/// One piece of the work.
struct Step {
    round: ScrubRecord,
    /// What was put aside in it.
    aside: Vec<Sha512>,
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
