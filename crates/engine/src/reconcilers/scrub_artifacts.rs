//! Reads what the cache keeps again, slowly, to see whether it is still whole.

use std::sync::Arc;
use std::time::Duration;

use base::{Clock, Span};
use cache::{Cache, Pace};
use futures_util::future::BoxFuture;
use identity::Permit;

use crate::reconciler::{Next, Reconciler, StepError};
use crate::tasks::Stop;

/// How much is read in one step, in seconds: where that stopped is remembered.
const STEP_SECONDS: u64 = 60;
/// A round begins so long after the one before began, at the earliest.
const ROUND_EVERY: Span = Span::days(7);
/// And so long after that ended.
const ROUNDS_APART: Span = Span::seconds(3_600);

pub(crate) struct ScrubArtifacts {
    pub(crate) cache: Arc<Cache>,
    pub(crate) bytes_per_second: u64,
    /// Whether the blobs are those of this process alone.
    pub(crate) is_own: bool,
    pub(crate) clock: Clock,
}

/// Waits after each piece for as long as it may take.
struct Slowly<'a> {
    bytes_per_second: u64,
    stop: &'a Stop,
}

impl Pace for Slowly<'_> {
    fn after(&mut self, bytes: u64) -> BoxFuture<'_, bool> {
        #[expect(
            clippy::cast_precision_loss,
            reason = "a piece of a file, and how many of its like there are a second"
        )]
        let pause = Duration::from_secs_f64(bytes as f64 / self.bytes_per_second as f64);
        Box::pin(async move { tokio::time::timeout(pause, self.stop.asked()).await.is_err() })
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
            // After a start, or when another process has done it.
            if before.is_whole
                && let (Some(since), Some(ended)) = (before.since, before.ended)
            {
                let due = (since + ROUND_EVERY).max(ended + ROUNDS_APART);
                if due > now {
                    return Ok(Next::At(due));
                }
            }
            let mut pace = Slowly { bytes_per_second: self.bytes_per_second, stop };
            let bytes_max = self.bytes_per_second.saturating_mul(STEP_SECONDS);
            let scrubbed = self.cache.scrub(&permit, bytes_max, &mut pace).await?;
            if scrubbed.is_whole && scrubbed.damaged > 0 {
                tracing::warn!(damaged = scrubbed.damaged, "artifacts were damaged, and have been put aside");
            }
            Ok(Next::At(self.clock.now()))
        })
    }

    /// Where each process has a folder of its own, each looks through its own.
    fn is_own(&self) -> bool {
        self.is_own
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn reading_takes_its_time_and_ends_when_it_is_to() {
        let stop = Stop::new();
        let begun = tokio::time::Instant::now();
        let mut slowly = Slowly { bytes_per_second: 1_000, stop: &stop };
        assert!(slowly.after(5_000).await);
        assert_eq!(begun.elapsed().as_secs(), 5);
        stop.ask();
        assert!(!slowly.after(5_000_000).await);
        assert_eq!(begun.elapsed().as_secs(), 5);
    }
}
