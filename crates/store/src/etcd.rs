//! The remote engine: etcd v3, which several houses may share.
//!
//! ```text
//! get, list, commit ──► one endpoint, the next one when it fails, until the deadline    calls
//! a thread ──► one watch of everything, at one endpoint after the other ──► changes ──► watch    tail
//! ```
//! A [`Revision`] is etcd's less one, as etcd's empty store is at 1; a [`Version`] is a key's `mod_revision`. Keys
//! are stored under their own names, behind the namespace if there is one.
//!
//! A commit is done with a transaction that compares `mod_revision`s; when one differs, the same transaction looks
//! which. A commit whose answer was lost is sent again only when it cannot be done twice, and otherwise said to be
//! [unknown](crate::CommitError::Unknown).
//!
//! # Why the JSON gateway
//!
//! etcd can be spoken to with gRPC, for which there is a client library (`etcd-client` 0.21), and with JSON over
//! HTTP, which each member translates. Both were tried on three members of etcd 3.4.23, on one machine: the library
//! with a read every 0.1 s, a write every 0.5 s and a watch; this engine with four writers, a reader and a watch
//! without pauses (`tests/it/etcd/members.rs`).
//!
//! | what happens | the library, given all three endpoints | this engine |
//! |---|---|---|
//! | each member in turn is killed and comes back | the watch ends with the first; until a member is back, a quarter to a third of the calls fail at once, and one write did after 7 s | the watch goes on; no read failed; of some 300 commits, 6 were unknown, and none was said to be what it was not |
//! | each is stopped (`SIGSTOP`) and goes on | calls that meet it hang until then (6 s); with its timeout and keep-alive set they fail instead, and the watch ends | the watch goes on, no read failed, 2 to 5 of some 200 commits were unknown |
//! | two are killed | calls fail, at once or after the timeout | the first call fails after its deadline, others after a quarter of it |
//!
//! So trying elsewhere, deadlines, and watches that go on would have been ours to write in both cases. The library
//! needs `protoc` to be built, and 13 more crates; the gateway needs the HTTP client that is there anyway. What
//! speaks against it: it costs etcd twice as much (so the one question that every read begins with goes [past
//! it](grpc)); values travel as base64, a third longer; it can be switched off in a member
//! (`--enable-grpc-gateway=false`); and where etcd's authentication is enabled and client certificates are asked
//! for, it refuses certificates with a common name, so that nobody can sign in by certificate alone.
//!
//! etcd 3.4 and later have what is used here: `/v3/`, fragments of watches, and users.
//!
//! # Its thread
//!
//! The connections live on the thread's own runtime, which calls enter while they are polled: they can be made
//! from anywhere, and answers are taken apart where they are waited for. Calls from inside a runtime of tokio's that
//! has threads of its own stay there, and so do their connections: each answer handed from one thread to another costs
//! as much as all else that is done about it here.

mod calls;
mod commit;
mod ends;
mod failure;
mod grpc;
mod json;
mod list;
mod question;
mod settings;
mod sign_in;
mod tail;
mod v2;

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::thread::JoinHandle;

use async_lock::{RwLock, RwLockReadGuard, Semaphore, SemaphoreGuardArc};
use base::{Clock, Entropy};
use futures_channel::oneshot;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use tokio::runtime::{Builder, Runtime};

use self::calls::{Calls, Repeat};
use self::ends::Ends;
use self::json::{KeyValue, Range, Ranged};
use self::question::Question;
pub use self::settings::{ConnectError, EtcdIdentity, EtcdPassword, EtcdSettings, EtcdUser};
pub use self::v2::read_v2;
use crate::changes::Changes;
use crate::{
    Batch, Change, CommitError, Engine, Error, Key, Listing, Page, Prefix, Revision, SNAPSHOTS_MAX, Snapshot,
    Version, Versioned, WatchError,
};

/// Records in an etcd, which other processes may read and write at the same time.
///
/// Dropping it abandons what nobody waits for any more; [`Engine::close`] waits.
pub struct Etcd(Arc<Inner>);

/// The engine itself, which its snapshots hold as well.
struct Inner {
    calls: Arc<Calls>,
    changes: Changes,
    /// There until it is dropped.
    runtime: Option<Arc<Runtime>>,
    closed: AtomicBool,
    /// Held for reading by whoever was let in.
    inside: RwLock<()>,
    /// What revision it is at, asked for all who want to know at the same time.
    revision: Question<Result<Revision, Error>>,
    /// Where the pages of listings ended.
    ends: Ends,
    /// Our newest commit that changed something.
    newest: AtomicU64,
    snapshots: Arc<Semaphore>,
    /// Absent once it has ended. Held while somebody waits for its end.
    tail: async_lock::Mutex<Option<Running>>,
}

/// The thread at work.
struct Running {
    thread: JoinHandle<()>,
    /// Says up to where what happened is to be told before the end.
    finish: Option<oneshot::Sender<Revision>>,
    /// Ends, without a word, when the thread does.
    ended: oneshot::Receiver<()>,
}

impl Etcd {
    /// Connects to the etcd of `settings`. Watches know what happens from now on.
    ///
    /// # Errors
    /// See [`ConnectError`]; an etcd that does not answer within the deadline is one.
    pub async fn connect(
        settings: &EtcdSettings,
        clock: Clock,
        entropy: Entropy,
    ) -> Result<Self, ConnectError> {
        let calls = Arc::new(Calls::new(settings, clock, entropy)?);
        let changes = Changes::since(Revision(0));
        let runtime = Builder::new_current_thread().enable_all().build().map_err(ConnectError::Thread)?;
        let runtime = Arc::new(runtime);
        let (begin, begun) = oneshot::channel();
        let (finish, finished) = oneshot::channel();
        let (alive, ended) = oneshot::channel::<()>();
        let tail = tail::run(Arc::clone(&calls), changes.clone(), begin, finished);
        let driven = Arc::clone(&runtime);
        let thread = std::thread::Builder::new()
            .name("store".into())
            .spawn(move || {
                driven.block_on(tail);
                drop((driven, alive));
            })
            .map_err(ConnectError::Thread)?;
        let etcd = Inner {
            calls,
            changes,
            runtime: Some(runtime),
            closed: AtomicBool::new(false),
            inside: RwLock::new(()),
            revision: Question::new(),
            ends: Ends::default(),
            newest: AtomicU64::new(0),
            snapshots: Arc::new(Semaphore::new(SNAPSHOTS_MAX)),
            tail: async_lock::Mutex::new(Some(Running { thread, finish: Some(finish), ended })),
        };
        let revision =
            begun.await.unwrap_or_else(|_| Err(no_tail("connecting"))).map_err(ConnectError::Store)?;
        tracing::info!(endpoints = ?settings.endpoints, revision = revision.0, "etcd connected");
        Ok(Self(Arc::new(etcd)))
    }
}

impl Inner {
    /// Does `future` inside our runtime, whoever waits for it, unless it can be done where they are.
    fn enter<'a, T: 'a>(&'a self, future: impl Future<Output = T> + Send + 'a) -> BoxFuture<'a, T> {
        let runtime = self.runtime.as_deref().expect("it is there until it is dropped");
        Entered { runtime, future: Some(future.boxed()) }.boxed()
    }

    /// Lets a call in; what it gives back is held until the call is done.
    async fn let_in(&self) -> Result<RwLockReadGuard<'_, ()>, Error> {
        let place = self.inside.read().await;
        if self.closed.load(Ordering::SeqCst) { Err(Error::Closed) } else { Ok(place) }
    }

    /// The value of `key`, now or as it was `then`.
    async fn read(&self, key: &Key, then: Option<Revision>) -> Result<Option<Versioned>, Error> {
        let revision = then.map_or(0, to_etcd);
        let range = Range { key: self.calls.stored(key.as_str()), revision, ..Range::default() };
        let answer = self.calls.call::<Ranged>("/v3/kv/range", &range, Repeat::Reads).await;
        let found = answer.map_err(|error| error.reading("reading"))?.is.kvs.pop();
        Ok(found.map(versioned))
    }

    async fn revision(&self) -> Result<Revision, Error> {
        let ask = || async { self.calls.revision().await.map_err(|error| error.reading("reading")) };
        self.revision.ask(ask).await
    }
}

/// What etcd held at a revision: it is asked for that each time.
struct Past {
    etcd: Arc<Inner>,
    revision: Revision,
    #[expect(dead_code, reason = "held for its end")]
    place: SemaphoreGuardArc,
}

impl Snapshot for Past {
    fn revision(&self) -> Revision {
        self.revision
    }

    fn get<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Option<Versioned>, Error>> {
        self.etcd.enter(async move {
            let _place = self.etcd.let_in().await?;
            self.etcd.read(key, Some(self.revision)).await
        })
    }

    fn list<'a>(&'a self, prefix: &'a Prefix, page: Page) -> BoxFuture<'a, Result<Listing, Error>> {
        self.etcd.enter(async move {
            let _place = self.etcd.let_in().await?;
            list::list(&self.etcd.calls, &self.etcd.ends, prefix, page, Some(self.revision)).await
        })
    }
}

/// A future that is polled, and dropped, inside a runtime.
struct Entered<'a, T> {
    runtime: &'a Runtime,
    /// There until it is dropped.
    future: Option<BoxFuture<'a, T>>,
}

impl<T> Future for Entered<'_, T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let _entered = (!calls::can_live_here()).then(|| self.runtime.enter());
        self.future.as_mut().expect("it is there until it is dropped").as_mut().poll(context)
    }
}

impl<T> Drop for Entered<'_, T> {
    fn drop(&mut self) {
        let _entered = (!calls::can_live_here()).then(|| self.runtime.enter());
        self.future = None;
    }
}

/// What is said when the thread is gone though nobody closed the store.
fn no_tail(doing: &'static str) -> Error {
    Error::Engine { doing, reason: "the thread that follows etcd has ended unexpectedly".into() }
}

/// What etcd calls a revision.
fn to_etcd(revision: Revision) -> u64 {
    // Its numbers are signed; none comes near the end.
    revision.0.saturating_add(1).min(i64::MAX as u64)
}

/// What a revision of etcd's is here.
fn from_etcd(revision: u64) -> Revision {
    Revision(revision.saturating_sub(1))
}

fn versioned(found: KeyValue) -> Versioned {
    Versioned { value: found.value.0.into(), version: Version(from_etcd(found.mod_revision)) }
}

impl Engine for Etcd {
    fn get<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Option<Versioned>, Error>> {
        self.0.enter(async move {
            let _place = self.0.let_in().await?;
            self.0.read(key, None).await
        })
    }

    fn list<'a>(&'a self, prefix: &'a Prefix, page: Page) -> BoxFuture<'a, Result<Listing, Error>> {
        self.0.enter(async move {
            let _place = self.0.let_in().await?;
            list::list(&self.0.calls, &self.0.ends, prefix, page, None).await
        })
    }

    fn revision(&self) -> BoxFuture<'_, Result<Revision, Error>> {
        self.0.enter(async move {
            let _place = self.0.let_in().await?;
            self.0.revision().await
        })
    }

    fn snapshot(&self) -> BoxFuture<'_, Result<Arc<dyn Snapshot>, Error>> {
        self.0.enter(async move {
            let _let_in = self.0.let_in().await?;
            let place = self.0.snapshots.try_acquire_arc().ok_or(Error::TooManySnapshots)?;
            let revision = self.0.revision().await?;
            Ok(Arc::new(Past { etcd: Arc::clone(&self.0), revision, place }) as Arc<dyn Snapshot>)
        })
    }

    fn commit(&self, batch: Batch) -> BoxFuture<'_, Result<Revision, CommitError>> {
        self.0.enter(async move {
            batch.check()?;
            let _place = self.0.let_in().await?;
            let committed = commit::commit(&self.0.calls, &batch).await?;
            if committed.is_change {
                self.0.newest.fetch_max(committed.revision.0, Ordering::SeqCst);
            }
            Ok(committed.revision)
        })
    }

    fn watch(&self, prefix: Prefix, from: Revision) -> BoxStream<'_, Result<Change, WatchError>> {
        Box::pin(self.0.changes.watch(prefix, from))
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn close(&self) -> BoxFuture<'_, Result<(), Error>> {
        async {
            self.0.closed.store(true, Ordering::SeqCst);
            // Whoever was let in before is done when this is got.
            let _everybody = self.0.inside.write().await;
            let mut tail = self.0.tail.lock().await;
            if let Some(running) = tail.as_mut() {
                if let Some(finish) = running.finish.take() {
                    // Nobody to tell when the thread has ended unexpectedly, which its join tells.
                    let _ = finish.send(Revision(self.0.newest.load(Ordering::SeqCst)));
                }
                // Canceled is how the end is told; a caller that stops waiting here leaves it for the next.
                let _ = (&mut running.ended).await;
            }
            let ended = tail.take().map_or(Ok(()), |running| running.thread.join());
            self.0.changes.close();
            ended.map_err(|_| no_tail("closing"))
        }
        .boxed()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(running) = self.tail.get_mut().take() {
            drop(running.finish);
            if running.thread.join().is_err() {
                tracing::error!("the thread that follows etcd has ended unexpectedly");
            }
        }
        self.changes.close();
        // Not waited for: we may be inside another runtime, where waiting is not allowed.
        if let Some(runtime) = self.runtime.take().and_then(Arc::into_inner) {
            runtime.shutdown_background();
        }
    }
}
