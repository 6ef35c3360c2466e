//! Reads what the cache keeps again, slowly, to see whether it is still whole; or at once and as fast as it comes, when
//! somebody asks for that.

use std::sync::Arc;
use std::time::Duration;

use base::{Clock, Span, Timestamp};
use bus::Hint;
use cache::{Cache, Maintain, MaintainError, Pace, Scrubbed};
use futures_util::future::BoxFuture;
use identity::Permit;

use crate::house::House;
use crate::reconciler::{Next, Reconciler, StepError};
use crate::tasks::Stop;

/// How much is read in one step, in seconds: where that stopped is remembered.
const STEP_SECONDS: u64 = 60;
/// A round begins so long after the one before began, at the earliest.
const ROUND_EVERY: Span = Span::days(7);
/// And so long after that ended.
const ROUNDS_APART: Span = Span::seconds(3_600);
/// How much is read of a round that somebody asked for before it is written down how far it is.
const HASTY_BYTES: u64 = 256 * 1024 * 1024;
/// How soon it is looked again whether somebody asked another process for a round, where several share what they keep: hints
/// may stay in the process where they come from, and that may be gone by now.
const LOOKED_AT_EACH: Span = Span::seconds(60);
/// The hint that somebody asks for a round.
const ASKED_FOR: &str = "scrub asked for";

pub(crate) struct ScrubArtifacts {
    pub(crate) cache: Arc<Cache>,
    /// How fast it is done by itself; it is not where nothing is said.
    pub(crate) bytes_per_second: Option<u64>,
    /// Whether the blobs are those of this process alone.
    pub(crate) is_own: bool,
    pub(crate) clock: Clock,
}

/// Waits after each piece for as long as it may take.
struct Slowly<'a> {
    bytes_per_second: u64,
    /// What ends it, besides `stop`: somebody asks for all of it at once.
    is_asked_for: &'a (dyn Fn() -> bool + Sync),
    stop: &'a Stop,
}

/// Does not wait.
struct Hastily<'a>(&'a Stop);

impl Pace for Hastily<'_> {
    fn after(&mut self, _bytes: u64) -> BoxFuture<'_, bool> {
        // Others have their turn.
        Box::pin(async {
            tokio::task::yield_now().await;
            !self.0.is_asked()
        })
    }
}

impl Pace for Slowly<'_> {
    fn after(&mut self, bytes: u64) -> BoxFuture<'_, bool> {
        #[expect(
            clippy::cast_precision_loss,
            reason = "a piece of a file, and how many of its like there are a second"
        )]
        let pause = Duration::from_secs_f64(bytes as f64 / self.bytes_per_second as f64);
        Box::pin(async move {
            tokio::time::timeout(pause, self.stop.asked()).await.is_err() && !(self.is_asked_for)()
        })
    }
}

impl Reconciler for ScrubArtifacts {
    fn name(&self) -> &'static str {
        "scrub-artifacts"
    }

    fn step<'a>(&'a mut self, stop: &'a Stop) -> BoxFuture<'a, Result<Next, StepError>> {
        Box::pin(async move {
            let now = self.clock.now();
            let permit = Permit::house();
            let before = self.cache.scrubbed(&permit).await?;
            if before.is_asked_for {
                self.at_once(stop).await?;
                return Ok(Next::At(self.clock.now()));
            }
            let Some(bytes_per_second) = self.bytes_per_second else {
                return Ok(Next::At(look_at(now + ROUND_EVERY, now, self.is_own)));
            };
            // After a start, or when another process has done it.
            if before.is_whole
                && let (Some(since), Some(ended)) = (before.since, before.ended)
            {
                let due = (since + ROUND_EVERY).max(ended + ROUNDS_APART);
                if due > now {
                    return Ok(Next::At(look_at(due, now, self.is_own)));
                }
            }
            let is_asked_for = || self.cache.is_scrub_asked_for();
            let mut pace = Slowly { bytes_per_second, is_asked_for: &is_asked_for, stop };
            let bytes_max = bytes_per_second.saturating_mul(STEP_SECONDS);
            let scrubbed = self.cache.scrub(&permit, bytes_max, &mut pace).await?;
            warn(&scrubbed);
            Ok(Next::At(self.clock.now()))
        })
    }

    fn cares(&self, what: &str) -> bool {
        what == ASKED_FOR
    }

    /// Where each process has a folder of its own, each looks through its own.
    fn is_own(&self) -> bool {
        self.is_own
    }
}

impl ScrubArtifacts {
    /// The round that somebody asked for, to its end.
    async fn at_once(&self, stop: &Stop) -> Result<(), MaintainError> {
        while !stop.is_asked() {
            let scrubbed = self.cache.scrub(&Permit::house(), HASTY_BYTES, &mut Hastily(stop)).await?;
            warn(&scrubbed);
            if !scrubbed.is_asked_for {
                break;
            }
        }
        Ok(())
    }
}

/// When it is looked again at what is to be done, which is nothing before `due` as far as is known now.
fn look_at(due: Timestamp, now: Timestamp, is_own: bool) -> Timestamp {
    if is_own { due } else { due.min(now + LOOKED_AT_EACH) }
}

/// Tells what came of a round that is over.
fn warn(scrubbed: &Scrubbed) {
    if scrubbed.is_whole && scrubbed.damaged > 0 {
        let unreadable = scrubbed.unreadable.len();
        tracing::warn!(
            damaged = scrubbed.damaged,
            unreadable,
            "artifacts were damaged, and have been put aside, besides those that the disk does not give: it is tried once more"
        );
    }
}

impl House {
    /// Has everything in the cache read again, as somebody asks for that: from now on, and as fast as it comes. Answers at
    /// once. Nothing where there is no cache.
    ///
    /// # Errors
    /// [`MaintainError`].
    pub async fn scrub_artifacts(&self, permit: &Permit<Maintain>) -> Result<Scrubbed, MaintainError> {
        let Some(cache) = self.cache() else { return Ok(Scrubbed::default()) };
        let scrubbed = cache.ask_for_scrub(permit).await?;
        self.bus.publish(&Hint { what: ASKED_FOR.into(), about: "cache".into() });
        Ok(scrubbed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever was asked may be gone.
    #[test]
    fn what_others_were_asked_for_is_looked_at_soon() {
        let at = Timestamp::from_unix;
        assert_eq!(look_at(at(604_800), at(0), true), at(604_800));
        assert_eq!(look_at(at(604_800), at(0), false), at(60));
        assert_eq!(look_at(at(5), at(0), false), at(5));
    }

    #[tokio::test(start_paused = true)]
    async fn reading_takes_its_time_and_ends_when_it_is_to() {
        let stop = Stop::new();
        let begun = tokio::time::Instant::now();
        let asked_for = std::sync::atomic::AtomicBool::new(false);
        let is_asked_for = || asked_for.load(std::sync::atomic::Ordering::Relaxed);
        let mut slowly = Slowly { bytes_per_second: 1_000, is_asked_for: &is_asked_for, stop: &stop };
        assert!(slowly.after(5_000).await);
        assert_eq!(begun.elapsed().as_secs(), 5);
        asked_for.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(!slowly.after(0).await);
        asked_for.store(false, std::sync::atomic::Ordering::Relaxed);
        assert!(slowly.after(0).await && Hastily(&stop).after(5_000_000).await);
        stop.ask();
        assert!(!slowly.after(5_000_000).await && !Hastily(&stop).after(0).await);
        assert_eq!(begun.elapsed().as_secs(), 5);
    }
}
