//! Things that are kept in line with what the store says, without anybody asking.

use std::panic::AssertUnwindSafe;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base::{Clock, Span, Timestamp};
use bus::{InProcess, Listener};
use futures_util::future::{BoxFuture, Either, select};
use futures_util::{FutureExt as _, StreamExt as _};
use store::{Claim, Claims};
use tokio::sync::Notify;

use crate::tasks::Stop;

/// How long a claim lasts when its holder dies. So long, and at most [`CLAIMED`] more, an operation stands still when a
/// server dies in the middle of it. Not shorter: a claim has to outlast a store that is away while it elects another
/// leader, and clocks that differ by some seconds.
pub(crate) const LEASE: Span = Span::seconds(15);
/// How long after a claim was taken it is renewed, and how soon again when that fails: of several attempts one is enough.
const RENEWED: (Duration, Duration) = (Duration::from_secs(4), Duration::from_secs(1));
/// How long to wait before looking whether a claim that somebody else holds is free.
pub(crate) const CLAIMED: Duration = Duration::from_secs(5);
/// The shortest time between steps, unless there is more to do or a hint comes.
const STEPS_APART: Span = Span::seconds(1);
/// How far the clock goes back when it was set: less is nobody's business.
const SET_BACK: Span = Span::seconds(3_600);
/// The longest sleep: after it the clock is read again, which may have been set, or the machine suspended.
const SLEEP_MAX: Duration = Duration::from_secs(60);
/// The first and the longest pause after a failure.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));

/// Why a step failed. It is logged, and the step is tried again later.
pub(crate) type StepError = Box<dyn std::error::Error + Send + Sync>;

/// When a reconciler wants to be asked next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// At this time, or when something changed.
    At(Timestamp),
}

/// Brings one thing back in line with what the store says it should be.
pub(crate) trait Reconciler: Send + Sync + 'static {
    /// Its name in logs and claims.
    fn name(&self) -> &'static str;

    /// One idempotent step. Takes no input on purpose: after a restart there would be none. Runs to completion: it
    /// looks at `stop` between bounded pieces of work and is never dropped midway. `stop` is also asked when
    /// another process may have taken the work over.
    fn step<'a>(&'a mut self, stop: &'a Stop) -> BoxFuture<'a, Result<Next, StepError>>;

    /// Whether each process does this for itself, so that it is not claimed.
    fn is_own(&self) -> bool {
        false
    }

    /// How far apart at least steps begin that hints ask for: whoever looks at everything is not to be asked to for each of
    /// many changes.
    fn hints_apart(&self) -> Duration {
        Duration::ZERO
    }

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
        let began = tokio::time::Instant::now();
        let until = match claimed_step(reconciler.as_mut(), &claims, &holder, &clock, &stop).await {
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
        tokio::select! {
            () = stop.asked() => {}
            () = tokio::time::sleep_until(began + reconciler.hints_apart()) => {}
        }
        // Whatever they are about: the next step looks at everything.
        while let Some(Some(_)) = hints.next().now_or_never() {}
    }
}

async fn claimed_step(
    reconciler: &mut dyn Reconciler,
    claims: &Claims,
    holder: &str,
    clock: &Clock,
    stop: &Stop,
) -> Result<Option<Next>, StepError> {
    if reconciler.is_own() {
        return attempted(reconciler, stop).await.map(Some);
    }
    let name = reconciler.name();
    let Some(claim) = claims.take(name, holder, clock.now(), LEASE).await? else { return Ok(None) };
    let while_held = stop.part();
    holding(claim, claims, clock, &while_held, attempted(reconciler, &while_held)).await.map(Some)
}

/// Does `work`, which stops when `while_held` is asked, and holds `claim` for as long; then gives it up. When the claim
/// is lost, `while_held` is asked.
pub(crate) async fn holding<T>(
    claim: Claim,
    claims: &Claims,
    clock: &Clock,
    while_held: &Stop,
    work: impl Future<Output = T>,
) -> T {
    let name = claim.name.clone();
    let (held, is_over) = (Mutex::new(Some(claim)), Notify::new());
    let done = {
        let work = std::pin::pin!(work);
        let keeping = std::pin::pin!(async {
            if keep(&held, claims, clock, &is_over).await == Kept::Lost {
                tracing::warn!(claim = name, "the claim was lost, another process may go on with the work");
                while_held.ask();
            }
        });
        match select(work, keeping).await {
            // A renewal that has been sent comes about whoever waits for it, and only the last one can be given up.
            Either::Left((done, keeping)) => {
                is_over.notify_one();
                keeping.await;
                done
            }
            Either::Right(((), work)) => work.await,
        }
    };
    let claim = held.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Some(claim) = claim
        && let Err(error) = claims.release(claim).await
    {
        // What was done is done; whoever comes next waits until the claim ends by itself.
        tracing::warn!(claim = name, error = %base::report(&error), "the claim could not be given up");
    }
    done
}

/// A step that panics is a step that failed: the others, and the requests, go on.
async fn attempted(reconciler: &mut dyn Reconciler, stop: &Stop) -> Result<Next, StepError> {
    let next = AssertUnwindSafe(reconciler.step(stop)).catch_unwind().await;
    next.unwrap_or_else(|_| Err("the step panicked".into()))
}

/// Why a claim is not renewed any more.
#[derive(PartialEq, Eq)]
enum Kept {
    /// Its work is over.
    ToTheEnd,
    Lost,
}

/// Renews the claim that is held again and again, until its work is over, or it is lost.
async fn keep(held: &Mutex<Option<Claim>>, claims: &Claims, clock: &Clock, is_over: &Notify) -> Kept {
    let held_now = || held.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let mut pause = RENEWED.0;
    while let Some(claim) = held_now() {
        tokio::select! {
            biased;
            () = is_over.notified() => return Kept::ToTheEnd,
            () = tokio::time::sleep(pause) => {}
        }
        let renewed = claims.take(&claim.name, &claim.holder, clock.now(), LEASE).await;
        let claim = match renewed {
            Ok(renewed) => {
                pause = RENEWED.0;
                renewed
            }
            Err(error) => {
                tracing::warn!(claim = claim.name, error = %base::report(&error), "a claim could not be renewed yet");
                pause = RENEWED.1;
                (clock.now() < claim.until).then_some(claim)
            }
        };
        *held.lock().unwrap_or_else(PoisonError::into_inner) = claim;
    }
    Kept::Lost
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
    let mut last = clock.now();
    loop {
        let now = clock.now();
        // Set back: by the time before, which may have been years ahead, that moment would never come.
        if now + SET_BACK < last {
            return;
        }
        last = now;
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

    use futures_util::stream::BoxStream;
    use store::{
        Batch, Change, CommitError, Engine, Key, Listing, Memory, Page, Prefix, Revision, Snapshot,
        Versioned, WatchError,
    };
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
        /// Works until it is asked to stop.
        Work,
        /// Lets the next commit fail.
        Spoil,
    }

    /// Tells of each step, and does as it is told; sleeps for ever when nothing is left to do.
    struct Told {
        does: std::collections::VecDeque<Does>,
        steps: mpsc::UnboundedSender<()>,
        store: Arc<Memory>,
        hints_apart: Duration,
    }

    impl Reconciler for Told {
        fn name(&self) -> &'static str {
            "told"
        }

        fn step<'a>(&'a mut self, stop: &'a Stop) -> BoxFuture<'a, Result<Next, StepError>> {
            Box::pin(async {
                self.steps.send(()).expect("the test listens");
                match self.does.pop_front() {
                    None | Some(Does::Sleep) => {}
                    Some(Does::Work) => {
                        stop.asked().await;
                        self.steps.send(()).expect("the test listens");
                    }
                    Some(Does::Spoil) => self.store.fail_next_commits(1, store::Error::Full),
                    Some(Does::Fail) => return Err("as told".into()),
                    Some(Does::Panic) => panic!("as told"),
                }
                Ok(Next::At(BEGINNING + Span::days(1)))
            })
        }

        fn hints_apart(&self) -> Duration {
            self.hints_apart
        }

        fn cares(&self, what: &str) -> bool {
            what == "something happened"
        }
    }

    struct World {
        store: Arc<Memory>,
        claims: Claims,
        clock: Clock,
        bus: InProcess,
        tasks: Tasks,
        stop: Stop,
    }

    impl World {
        fn new() -> Self {
            let store = Arc::new(Memory::new());
            Self {
                claims: Claims::new(store.clone()).expect("a fair prefix"),
                store,
                clock: Clock::manual(BEGINNING),
                bus: InProcess::new(),
                tasks: Tasks::new(),
                stop: Stop::new(),
            }
        }

        fn start(&self, does: &[Does]) -> mpsc::UnboundedReceiver<()> {
            self.start_apart(does, Duration::ZERO)
        }

        fn start_apart(&self, does: &[Does], hints_apart: Duration) -> mpsc::UnboundedReceiver<()> {
            let (steps, told) = mpsc::unbounded_channel();
            let does = does.iter().copied().collect();
            let reconciler = Box::new(Told { does, steps, store: self.store.clone(), hints_apart });
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

    /// It was set when the clock was years ahead; set right, that time does not come.
    #[tokio::test(start_paused = true)]
    async fn a_clock_that_is_set_back_lets_nobody_sleep_for_years() {
        let world = World::new();
        let mut steps = world.start(&[Does::Sleep]);
        steps.recv().await.expect("the first step");
        world.clock.advance(Span::seconds(-1_000));
        let patience = tokio::time::timeout(Duration::from_secs(600), steps.recv());
        assert!(patience.await.is_err(), "clocks are put right by minutes");
        world.clock.advance(Span::days(-365));
        steps.recv().await.expect("the second step");
        world.end().await;
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

    /// Many changes one after the other are looked at together.
    #[tokio::test(start_paused = true)]
    async fn many_hints_are_one_step() {
        let (world, apart) = (World::new(), Duration::from_secs(1));
        let mut steps = world.start_apart(&[], apart);
        steps.recv().await.expect("the first step");
        let first = tokio::time::Instant::now();
        for _ in 0..10 {
            world.bus.publish(&hint("something happened"));
        }
        steps.recv().await.expect("the second step");
        assert!(first.elapsed() >= apart, "{:?}", first.elapsed());
        let patience = tokio::time::timeout(apart * 30, steps.recv());
        assert!(patience.await.is_err(), "all that was heard of has been looked at");
        world.end().await;
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

    /// However long a step takes, nobody else takes the work over meanwhile.
    #[tokio::test(start_paused = true)]
    async fn a_long_step_keeps_its_claim() {
        let world = World::new();
        let mut steps = world.start(&[Does::Work]);
        steps.recv().await.expect("the first step");
        for _ in 0..10 {
            world.clock.advance(Span::seconds(10));
            tokio::time::sleep(RENEWED.0 + Duration::from_secs(1)).await;
            let rival = world.claims.take("told", "a rival", world.clock.now(), LEASE).await;
            assert!(rival.expect("the store works").is_none());
        }
        world.end().await;
        let rival = world.claims.take("told", "a rival", world.clock.now(), LEASE).await;
        assert!(rival.expect("the store works").is_some(), "it was given up at the end");
    }

    #[tokio::test(start_paused = true)]
    async fn a_renewal_that_fails_is_tried_again() {
        let world = World::new();
        let mut steps = world.start(&[Does::Work]);
        steps.recv().await.expect("the first step");
        world.store.fail_next_commits(2, store::Error::Full);
        tokio::time::sleep(RENEWED.0 + RENEWED.1 * 2 + Duration::from_secs(1)).await;
        world.clock.advance(Span::seconds(12));
        assert!(steps.try_recv().is_err(), "it goes on");
        world.end().await;
    }

    /// Who was suspended for long comes back to find that another has gone on with the work.
    #[tokio::test(start_paused = true)]
    async fn who_has_lost_the_claim_is_asked_to_stop() {
        let world = World::new();
        let mut steps = world.start(&[Does::Work]);
        steps.recv().await.expect("the first step");
        world.clock.advance(LEASE + Span::seconds(1));
        let rival = world.claims.take("told", "a rival", world.clock.now(), LEASE).await;
        assert!(rival.expect("the store works").is_some());
        steps.recv().await.expect("its end");
        world.end().await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_claim_that_cannot_be_given_up_is_no_failure_of_the_step() {
        let world = World::new();
        let mut steps = world.start(&[Does::Spoil]);
        steps.recv().await.expect("the first step");
        let again = tokio::time::timeout(Duration::from_secs(600), steps.recv()).await;
        assert!(again.is_err(), "a step that was done is not repeated before its time");
        world.end().await;
    }

    /// A store whose commits take a second, and come about whether anybody waits for them or not.
    struct Slow(Arc<Memory>);

    impl Engine for Slow {
        fn get<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Option<Versioned>, store::Error>> {
            self.0.get(key)
        }

        fn list<'a>(
            &'a self,
            prefix: &'a Prefix,
            page: Page,
        ) -> BoxFuture<'a, Result<Listing, store::Error>> {
            self.0.list(prefix, page)
        }

        fn revision(&self) -> BoxFuture<'_, Result<Revision, store::Error>> {
            self.0.revision()
        }

        fn snapshot(&self) -> BoxFuture<'_, Result<Arc<dyn Snapshot>, store::Error>> {
            self.0.snapshot()
        }

        #[expect(clippy::disallowed_methods, reason = "nobody waits for it: that is the point")]
        fn commit(&self, batch: Batch) -> BoxFuture<'_, Result<Revision, CommitError>> {
            let store = Arc::clone(&self.0);
            let commits = tokio::spawn(async move {
                tokio::time::sleep(Duration::from_secs(1)).await;
                store.commit(batch).await
            });
            async { commits.await.unwrap() }.boxed()
        }

        fn watch(&self, prefix: Prefix, from: Revision) -> BoxStream<'_, Result<Change, WatchError>> {
            self.0.watch(prefix, from)
        }

        fn close(&self) -> BoxFuture<'_, Result<(), store::Error>> {
            self.0.close()
        }
    }

    /// Whoever is next would wait for the end of the lease otherwise.
    #[tokio::test(start_paused = true)]
    async fn work_that_ends_while_its_claim_is_renewed_leaves_nothing_claimed() {
        let claims = Claims::new(Arc::new(Slow(Arc::new(Memory::new())))).unwrap();
        let (clock, stop) = (Clock::manual(BEGINNING), Stop::new());
        let claim = claims.take("work", "one", clock.now(), LEASE).await.unwrap().unwrap();
        let work = tokio::time::sleep(RENEWED.0 + Duration::from_millis(500));
        holding(claim, &claims, &clock, &stop, work).await;
        assert!(!stop.is_asked(), "it was not lost");
        tokio::time::sleep(RENEWED.0).await;
        let next = claims.take("work", "another", clock.now(), LEASE).await.unwrap();
        assert!(next.is_some(), "it is free at once");
    }
}
