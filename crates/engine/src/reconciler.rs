//! Things that are kept in line with what the store says, without anybody asking.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use base::{Clock, Span, Timestamp};
use bus::{InProcess, Listener};
use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, StreamExt as _};
use store::Claims;

use crate::tasks::Stop;

/// How long a claim lasts when its holder dies.
const LEASE: Span = Span::seconds(60);
/// How long to wait before looking whether a claim that somebody else holds is free.
const CLAIMED: Duration = Duration::from_secs(15);
/// The shortest time between steps, unless there is more to do or a hint comes.
const STEPS_APART: Span = Span::seconds(1);
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
                // Never at once: a time that has passed already would make it spin.
                Wake::At(at.max(clock.now() + STEPS_APART))
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
    // A step that panics is a step that failed: the others, and the requests, go on.
    let next = AssertUnwindSafe(reconciler.step(stop)).catch_unwind().await;
    claims.release(claim).await?;
    next.unwrap_or_else(|_| Err("the step panicked".into())).map(Some)
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
    use std::sync::Arc;

    use store::Memory;
    use tokio::sync::mpsc;

    use super::*;
    use crate::tasks::Tasks;

    const BEGINNING: Timestamp = Timestamp::from_unix(1_790_000_000);

    /// What a step of the test's reconciler does.
    #[derive(Clone, Copy)]
    enum Does {
        Sleep,
        Fail,
        Panic,
    }

    /// Tells of each step, and does as it is told; sleeps for ever when nothing is left to do.
    struct Told {
        does: std::collections::VecDeque<Does>,
        steps: mpsc::UnboundedSender<()>,
    }

    impl Reconciler for Told {
        fn name(&self) -> &'static str {
            "told"
        }

        fn step<'a>(&'a mut self, _stop: &'a Stop) -> BoxFuture<'a, Result<Next, StepError>> {
            Box::pin(async {
                self.steps.send(()).expect("the test listens");
                match self.does.pop_front() {
                    None | Some(Does::Sleep) => Ok(Next::At(BEGINNING + Span::days(1))),
                    Some(Does::Fail) => Err("as told".into()),
                    Some(Does::Panic) => panic!("as told"),
                }
            })
        }

        fn cares(&self, what: &str) -> bool {
            what == "something happened"
        }
    }

    struct World {
        claims: Claims,
        clock: Clock,
        bus: InProcess,
        tasks: Tasks,
        stop: Stop,
    }

    impl World {
        fn new() -> Self {
            Self {
                claims: Claims::new(Arc::new(Memory::new())).expect("a fair prefix"),
                clock: Clock::manual(BEGINNING),
                bus: InProcess::new(),
                tasks: Tasks::new(),
                stop: Stop::new(),
            }
        }

        fn start(&self, does: &[Does]) -> mpsc::UnboundedReceiver<()> {
            let (steps, told) = mpsc::unbounded_channel();
            let reconciler = Box::new(Told { does: does.iter().copied().collect(), steps });
            let (claims, clock, bus) = (self.claims.clone(), self.clock.clone(), self.bus.clone());
            self.tasks.spawn(run(reconciler, claims, "we".into(), clock, bus, self.stop.clone()));
            told
        }

        async fn end(&self) {
            self.stop.ask();
            assert!(self.tasks.drain(Duration::from_secs(5)).await, "the reconciler ends when it is told to");
        }
    }

    fn hint(what: &str) -> bus::Hint {
        bus::Hint { what: what.into(), about: "a test".into() }
    }

    #[test]
    fn pauses_double_up_to_five_minutes() {
        for (failures, seconds) in [(1, 1), (2, 2), (4, 8), (9, 256), (10, 300), (u32::MAX, 300)] {
            assert_eq!(pause(failures), Duration::from_secs(seconds), "after {failures}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_step_comes_when_it_is_time() {
        let world = World::new();
        let mut steps = world.start(&[Does::Sleep]);
        steps.recv().await.expect("the first step");
        world.clock.advance(Span::days(2));
        steps.recv().await.expect("the second step");
        world.end().await;
        assert!(steps.try_recv().is_err(), "a time that has passed is no reason to spin");
    }

    #[tokio::test(start_paused = true)]
    async fn a_hint_wakes_who_cares() {
        let world = World::new();
        let mut steps = world.start(&[]);
        steps.recv().await.expect("the first step");
        world.bus.publish(&hint("something else"));
        world.bus.publish(&hint("something happened"));
        steps.recv().await.expect("the second step");
        world.bus.lost();
        steps.recv().await.expect("who lost hints looks at everything");
        world.end().await;
        assert!(steps.try_recv().is_err(), "nobody cared about something else");
    }

    #[tokio::test(start_paused = true)]
    async fn what_fails_is_tried_again() {
        let world = World::new();
        let mut steps = world.start(&[Does::Fail, Does::Panic, Does::Sleep]);
        for step in ["one that fails", "one that panics", "one that does it"] {
            steps.recv().await.expect(step);
        }
        world.end().await;
    }

    /// Of several processes one does a step; another takes over when that one dies.
    #[tokio::test(start_paused = true)]
    async fn a_dead_rivals_work_is_taken_over() {
        let world = World::new();
        let claim = world.claims.take("told", "a rival", world.clock.now(), LEASE).await;
        assert!(claim.expect("the store works").is_some());
        let mut steps = world.start(&[]);
        let patience = tokio::time::timeout(Duration::from_secs(600), steps.recv());
        assert!(patience.await.is_err(), "the rival may still be at work");
        world.clock.advance(LEASE + Span::seconds(1));
        steps.recv().await.expect("the rival is dead");
        world.end().await;
    }
}
