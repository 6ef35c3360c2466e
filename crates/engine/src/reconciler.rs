//! Things that are kept in line with what the store says, without anybody asking.

use std::time::Duration;

use base::{Clock, Span, Timestamp};
use bus::{InProcess, Listener};
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use store::Claims;

use crate::tasks::Stop;

/// How long a claim lasts when its holder dies.
const LEASE: Span = Span::seconds(60);
/// How long to wait before looking whether a claim that somebody else holds is free.
const CLAIMED: Duration = Duration::from_secs(15);
/// The longest sleep: after it the clock is read again, which may have been set, or the machine suspended.
const SLEEP_MAX: Duration = Duration::from_secs(60);
/// The first and the longest pause after a failure.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));

/// Why a step failed. It is logged, and the step is tried again later.
pub(crate) type StepError = Box<dyn std::error::Error + Send + Sync>;

/// When a reconciler wants to be asked next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// At once: there is more to do.
    Again,
    /// At this time, or when something changed.
    At(Timestamp),
}

/// Brings one thing back in line with what the store says it should be.
pub(crate) trait Reconciler: Send + Sync + 'static {
    /// Its name in logs and claims.
    fn name(&self) -> &'static str;

    /// One bounded, idempotent step. Takes no input on purpose: after a restart there would be none.
    /// Runs to completion: it looks at `stop` between pieces of work and is never dropped midway.
    fn step<'a>(&'a mut self, stop: &'a Stop) -> BoxFuture<'a, Result<Next, StepError>>;

    /// Whether a hint about `what` is worth a step before its time.
    fn cares(&self, what: &str) -> bool {
        let _ = what;
        false
    }
}

/// Asks `reconciler` for its next step until `stop` is asked. Each step is claimed in the store, so that of
/// several processes one does it, and another takes over when that one dies.
pub(crate) async fn run(
    mut reconciler: Box<dyn Reconciler>,
    claims: Claims,
    holder: String,
    clock: Clock,
    bus: InProcess,
    stop: Stop,
) {
    let name = reconciler.name();
    let mut hints = bus.listen();
    let mut failures: u32 = 0;
    while !stop.is_asked() {
        let until = match claimed_step(reconciler.as_mut(), &claims, &holder, &clock, &stop).await {
            Ok(Some(Next::Again)) => {
                failures = 0;
                continue;
            }
            Ok(Some(Next::At(at))) => {
                failures = 0;
                Wake::At(at)
            }
            Ok(None) => Wake::After(CLAIMED),
            Err(error) => {
                tracing::warn!(reconciler = name, error = %base::report(error.as_ref()), "step failed, trying again");
                failures = failures.saturating_add(1);
                Wake::After(pause(failures))
            }
        };
        wait(&until, reconciler.as_ref(), &mut hints, &clock, &stop).await;
    }
}

async fn claimed_step(
    reconciler: &mut dyn Reconciler,
    claims: &Claims,
    holder: &str,
    clock: &Clock,
    stop: &Stop,
) -> Result<Option<Next>, StepError> {
    let Some(claim) = claims.take(reconciler.name(), holder, clock.now(), LEASE).await? else {
        return Ok(None);
    };
    let next = reconciler.step(stop).await;
    claims.release(claim).await?;
    next.map(Some)
}

/// When to go on.
enum Wake {
    At(Timestamp),
    After(Duration),
}

/// How long to pause after so many failures in a row: doubled each time.
fn pause(failures: u32) -> Duration {
    PAUSES.0.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1))).min(PAUSES.1)
}

async fn wait(until: &Wake, reconciler: &dyn Reconciler, hints: &mut Listener, clock: &Clock, stop: &Stop) {
    loop {
        let sleep = match until {
            Wake::At(at) if *at <= clock.now() => return,
            Wake::At(at) => (*at - clock.now()).as_duration().min(SLEEP_MAX),
            Wake::After(pause) => *pause,
        };
        tokio::select! {
            () = stop.asked() => return,
            () = tokio::time::sleep(sleep) => {
                if matches!(until, Wake::After(_)) {
                    return;
                }
            }
            heard = hints.next() => match heard {
                Some(bus::Heard::Hint(hint)) if !reconciler.cares(&hint.what) => {}
                Some(_) => return,
                // The bus never ends while we hold it.
                None => return,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_five_minutes() {
        for (failures, seconds) in [(1, 1), (2, 2), (4, 8), (9, 256), (10, 300), (u32::MAX, 300)] {
            assert_eq!(pause(failures), Duration::from_secs(seconds), "after {failures}");
        }
    }
}
