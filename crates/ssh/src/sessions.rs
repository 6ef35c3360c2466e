//! The connections that are kept.
//!
//! One for each way in: (address, port, user, private key, jump). Whoever wants one that is not there makes it, and
//! whoever wants the same meanwhile waits for it. Nothing runs here by itself: idle connections are closed when another
//! is asked for, or by [`Remote::close_idle`], which is for whoever has a clock to ask it now and then.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base::{Clock, Span};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::session::{Session, listens, within};
use crate::upload::CUT_SHORT;
use crate::{Address, Command, End, Error, HostKey, Output, Remote, Step, Target, Upload};

/// How long a knock at a machine behind another one takes at least. What is asked of that one cannot be taken back: it
/// goes on knocking until its system gives up, so there are to be few at a time.
const KNOCK_BEYOND: Duration = Duration::from_secs(3);

/// How long each step may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Waiting for other connections; 60 s.
    pub queue: Duration,
    /// Finding the address, and TCP; 10 s.
    pub connect: Duration,
    /// SSH's greeting and the exchange of keys; 15 s.
    pub handshake: Duration,
    /// Signing in; 15 s.
    pub authenticate: Duration,
    /// Opening a channel on a connection that stands; 10 s.
    pub open: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            queue: seconds(60),
            connect: seconds(10),
            handshake: seconds(15),
            authenticate: seconds(15),
            open: seconds(10),
        }
    }
}

/// Bounds of [`Sessions`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// How long each step may take.
    pub limits: Limits,
    /// How many connections are made at once; 64.
    pub making_max: usize,
    /// How many connections are open at once; 1,000. The one that was idle longest gives way.
    pub open_max: usize,
    /// How many commands run at once on one connection; 5. OpenSSH allows 10 channels (`MaxSessions`), and may still
    /// count one that was closed when the next is asked for.
    pub channels_max: usize,
    /// How long a connection is kept that nobody uses; 2 minutes.
    pub idle: Span,
    /// After so long without a word from the other side it is asked for one; 15 s.
    pub keep_alive: Duration,
    /// After so many questions without an answer the connection is given up; 2.
    pub keep_alives_missed_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            making_max: 64,
            open_max: 1_000,
            channels_max: 5,
            idle: Span::seconds(120),
            keep_alive: Duration::from_secs(15),
            keep_alives_missed_max: 2,
        }
    }
}

/// Runs commands and puts files over SSH connections that are kept and shared. Cloning shares them.
#[derive(Clone)]
pub struct Sessions(Arc<Shared>);

struct Shared {
    settings: Settings,
    clock: Clock,
    slots: Mutex<HashMap<Way, Arc<Slot>>>,
    /// Places for connections that are being made.
    making: Semaphore,
    /// Places for connections that are open.
    open: Arc<Semaphore>,
    /// How many wait for a place among the open ones.
    waiting: AtomicUsize,
    /// When idle connections were last closed, in milliseconds of the clock.
    swept: AtomicI64,
}

/// Why nobody gets to `at`, which is reached through `jump`.
fn beyond(at: &Address, jump: &Target, source: Error) -> Error {
    Error::Jump { at: at.clone(), via: jump.address.clone(), source: Box::new(source) }
}

/// The connection of one way in; locked while it is being made.
type Slot = tokio::sync::Mutex<Option<Arc<Session>>>;

/// What makes two connections the same. The host key is not part of it: it is compared each time.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Way {
    address: Address,
    user: String,
    key: [u8; 32],
    jump: Option<Box<Way>>,
}

impl Way {
    fn to(target: &Target) -> Self {
        Self {
            address: target.address.clone(),
            user: target.user.clone(),
            key: target.key.digest(),
            jump: target.jump.as_deref().map(|jump| Box::new(Self::to(jump))),
        }
    }
}

/// A connection while somebody uses it.
struct Lease {
    shared: Arc<Shared>,
    session: Option<Arc<Session>>,
    /// Whether it stood before.
    was_kept: bool,
}

impl Lease {
    fn session(&self) -> &Session {
        self.session.as_deref().expect("it is taken out only when the lease is dropped")
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            session.used(self.shared.clock.now_milliseconds());
        }
        if self.shared.waiting.load(Ordering::SeqCst) > 0 {
            self.shared.close_idlest();
        }
    }
}

/// Counts one who waits, for as long as it lives.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Sessions {
    /// No connections yet. They must be used inside of a tokio runtime.
    #[must_use]
    pub fn new(settings: Settings, clock: Clock) -> Self {
        let making = Semaphore::new(settings.making_max);
        let open = Arc::new(Semaphore::new(settings.open_max));
        let swept = AtomicI64::new(clock.now_milliseconds());
        let (slots, waiting) = (Mutex::default(), AtomicUsize::new(0));
        Self(Arc::new(Shared { settings, clock, slots, making, open, waiting, swept }))
    }

    /// How many connections are open or being made.
    #[must_use]
    pub fn open_count(&self) -> usize {
        self.0.settings.open_max - self.0.open.available_permits()
    }

    /// Closes all connections that nobody uses now. The others are closed when their last command ends.
    pub fn close(&self) {
        self.0.slots().clear();
    }

    /// A connection to `target`: one that stands, or a new one.
    fn lease<'a>(&'a self, target: &'a Target) -> BoxFuture<'a, Result<Lease, Error>> {
        async move {
            let shared = &self.0;
            shared.close_idle_now_and_then();
            let slot = shared.slots().entry(Way::to(target)).or_default().clone();
            let limits = &shared.settings.limits;
            let (session, was_kept) = {
                let waited = within(&target.address, Step::Queue, limits.queue, slot.lock()).await;
                let mut kept = waited?;
                match kept.as_ref().filter(|session| session.stands() && session.fits(&target.known)) {
                    Some(session) => (session.clone(), true),
                    None => {
                        // Its place may be the last one.
                        *kept = None;
                        let session = Arc::new(self.connect(target).await?);
                        *kept = Some(session.clone());
                        (session, false)
                    }
                }
            };
            session.used(shared.clock.now_milliseconds());
            Ok(Lease { shared: shared.clone(), session: Some(session), was_kept })
        }
        .boxed()
    }

    async fn connect(&self, target: &Target) -> Result<Session, Error> {
        let shared = &self.0;
        let at = &target.address;
        // First of all the way there, which needs a place of its own.
        let jump = match &target.jump {
            None => None,
            Some(jump) => Some(self.lease(jump).await.map_err(|source| beyond(at, jump, source))?),
        };
        let queue = shared.settings.limits.queue;
        let place = within(at, Step::Queue, queue, shared.place()).await?;
        // Neither semaphore is ever closed.
        let making = within(at, Step::Queue, queue, shared.making.acquire()).await?;
        let via = jump.as_ref().and_then(|jump| jump.session.clone());
        let made = Session::connect(target, via, &shared.settings, place).await;
        drop(making);
        if let (Err(Error::Jump { .. } | Error::TimedOut { step: Step::Connect, .. }), Some(jump)) =
            (&made, &jump)
        {
            // The fault may be the jump's: it is made anew for the next one.
            jump.session().retire();
        }
        made
    }

    /// A connection to `target` that answers.
    async fn lease_living(&self, target: &Target) -> Result<Lease, Error> {
        let lease = self.lease(target).await?;
        if !lease.was_kept || lease.session().answers(self.0.settings.limits.open).await {
            return Ok(lease);
        }
        lease.session().cut();
        drop(lease);
        self.lease(target).await
    }

    async fn run_on(&self, target: &Target, command: &Command) -> Result<Output, Error> {
        let limits = &self.0.settings.limits;
        let lease = self.lease(target).await?;
        let outcome = lease.session().run(command, limits).await;
        match outcome {
            // It was lost while nobody used it. Nothing has begun there, so it is safe to ask again.
            Err(Error::Closed { step: Step::Open, .. } | Error::TimedOut { step: Step::Open, .. })
                if lease.was_kept =>
            {
                lease.session().cut();
                drop(lease);
                let lease = self.lease(target).await?;
                lease.session().run(command, limits).await
            }
            outcome => outcome,
        }
    }

    async fn put_on(&self, target: &Target, upload: &Upload) -> Result<(), Error> {
        let output = self.run_on(target, &upload.command()).await?;
        let at = target.address.clone();
        match output.end {
            End::Exit(0) => Ok(()),
            End::Exit(CUT_SHORT) => Err(Error::Closed { at, step: Step::Run, said: output.last_words() }),
            _ => Err(Error::Upload { at, path: upload.path().to_owned(), said: output.last_words() }),
        }
    }
}

impl Remote for Sessions {
    fn meet<'a>(&'a self, target: &'a Target) -> BoxFuture<'a, Result<HostKey, Error>> {
        async move { Ok(self.lease_living(target).await?.session().host_key().clone()) }.boxed()
    }

    fn run<'a>(&'a self, target: &'a Target, command: &'a Command) -> BoxFuture<'a, Result<Output, Error>> {
        self.run_on(target, command).boxed()
    }

    /// A machine behind another one is knocked at by that one, which has to be signed in to for it.
    fn knock<'a>(&'a self, target: &'a Target, limit: Duration) -> BoxFuture<'a, Result<(), Error>> {
        async move {
            let at = &target.address;
            let Some(jump) = &target.jump else { return listens(at, limit).await };
            let knocks = async {
                let lease = self.lease(jump).await.map_err(|source| beyond(at, jump, source))?;
                lease.session().tunnel(at).await.map(drop)
            };
            within(at, Step::Connect, limit.max(KNOCK_BEYOND), knocks).await?
        }
        .boxed()
    }

    fn forget(&self, target: &Target) {
        self.0.slots().remove(&Way::to(target));
    }

    fn close_idle(&self) {
        self.0.close_idle();
    }

    fn put<'a>(&'a self, target: &'a Target, upload: &'a Upload) -> BoxFuture<'a, Result<(), Error>> {
        self.put_on(target, upload).boxed()
    }
}

impl Shared {
    fn slots(&self) -> MutexGuard<'_, HashMap<Way, Arc<Slot>>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place among the open connections.
    async fn place(&self) -> OwnedSemaphorePermit {
        if let Ok(place) = self.open.clone().try_acquire_owned() {
            return place;
        }
        // Whoever gives a connection back from now on closes one for us.
        let _waiting = Waiting::new(&self.waiting);
        self.close_idlest();
        self.open.clone().acquire_owned().await.expect("the semaphore is never closed")
    }

    /// Closes the connection that has been idle for longest, if any is idle.
    fn close_idlest(&self) {
        let mut slots = self.slots();
        let idlest = slots
            .iter()
            .filter_map(|(way, slot)| Some((way, idle_since(slot)?)))
            .min_by_key(|(_, since)| *since)
            .map(|(way, _)| way.clone());
        if let Some(way) = idlest {
            slots.remove(&way);
        }
    }

    fn close_idle_now_and_then(&self) {
        let now = self.clock.now_milliseconds();
        let pause = self.settings.idle.as_seconds().saturating_mul(1_000) / 4;
        if now - self.swept.load(Ordering::SeqCst) >= pause {
            self.close_idle();
        }
    }

    fn close_idle(&self) {
        let now = self.clock.now_milliseconds();
        self.swept.store(now, Ordering::SeqCst);
        let idle = self.settings.idle.as_seconds().saturating_mul(1_000);
        self.slots().retain(|_, slot| {
            if Arc::strong_count(slot) > 1 {
                return true;
            }
            let Ok(kept) = slot.try_lock() else { return true };
            match kept.as_ref() {
                None => false,
                Some(session) if Arc::strong_count(session) > 1 => true,
                Some(session) => session.stands() && now - session.last_used() < idle,
            }
        });
    }
}

/// Since when the connection in `slot` is idle; `None` when there is none, or somebody uses or wants it.
fn idle_since(slot: &Arc<Slot>) -> Option<i64> {
    if Arc::strong_count(slot) > 1 {
        return None;
    }
    let kept = slot.try_lock().ok()?;
    let session = kept.as_ref()?;
    (Arc::strong_count(session) == 1).then(|| session.last_used())
}
