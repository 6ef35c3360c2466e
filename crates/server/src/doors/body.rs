//! Bodies on their way in and out: how they are read within bounds, and who is being waited for.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use axum::body::Body;
use base::{Explain, Kind};
use bytes::Bytes;
use http::Extensions;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Duration, Instant, Sleep};

use super::limits::Limits;
use super::unread::LeftOver;
use super::watch::Turn;

/// Why a request's body could not be had.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// It is declared to be, or turned out to be, longer than is taken.
    #[error("the request body is longer than {limit_bytes} bytes")]
    TooLarge {
        /// How long it may be.
        limit_bytes: usize,
    },
    /// Its chunks are not as RFC 9112 §7.1 says, or it ended too early.
    #[error("the request body is malformed or incomplete")]
    Malformed,
    /// The client stopped sending in the middle, or sends in drips.
    #[error("the request body did not arrive in time")]
    TimedOut,
    /// All bodies together take more memory than they may.
    #[error("too many request bodies are being read at the moment")]
    Busy,
}

impl Explain for BodyError {
    fn kind(&self) -> Kind {
        match self {
            Self::TooLarge { .. } => Kind::TooLarge,
            Self::Malformed => Kind::Invalid,
            Self::TimedOut => Kind::TimedOut,
            Self::Busy => Kind::Unavailable,
        }
    }
}

/// All of `body`, which may have `limit_bytes` at most.
///
/// A body that is declared longer is not read at all, so that a client who asked whether to go on
/// (`Expect: 100-continue`) is not told to. Of what is not read, the connection takes care: it lets the
/// client finish, within bounds, and closes.
///
/// # Errors
/// When there is no such body to be had; the connection is of no further use then.
pub async fn read_body(mut body: Body, limit_bytes: usize) -> Result<Bytes, BodyError> {
    if body.is_end_stream() {
        return Ok(Bytes::new()); // there is none, as with most
    }
    let too_large = BodyError::TooLarge { limit_bytes };
    if usize::try_from(body.size_hint().lower()).is_ok_and(|declared| declared > limit_bytes) {
        return Err(too_large);
    }
    let mut whole = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| reason(&*error.into_inner()))?;
        let Ok(data) = frame.into_data() else { continue }; // trailers are ignored
        if whole.len() + data.len() > limit_bytes {
            return Err(too_large);
        }
        if whole.is_empty() && body.is_end_stream() {
            return Ok(data); // in one piece, as most are
        }
        whole.extend_from_slice(&data);
    }
    Ok(whole.into())
}

/// How much memory a body takes that flows: what has come and is not yet where it goes.
const FLOWING_BYTES: usize = 512 * 1024;

/// A body that is read a piece at a time, and may be of any length. It has one share of the room for all bodies, from
/// its first piece on until this is dropped.
pub struct Flowing {
    body: Body,
    flows: Option<Flows>,
    share: Option<OwnedSemaphorePermit>,
}

impl Flowing {
    /// The body of the request that has these `extensions`. Nothing of it is read yet.
    #[must_use]
    pub fn new(body: Body, extensions: &Extensions) -> Self {
        let flows = extensions.get::<Flows>().cloned();
        if let Some(flows) = &flows {
            flows.begun.store(true, Ordering::Relaxed);
        }
        Self { body, flows, share: None }
    }

    /// How many bytes it is said to have.
    #[must_use]
    pub fn announced(&self) -> Option<u64> {
        self.body.size_hint().exact()
    }

    /// The next piece; nothing at its end.
    ///
    /// # Errors
    /// When there is no more to be had; the connection is of no further use then.
    pub async fn next(&mut self) -> Result<Option<Bytes>, BodyError> {
        if let Some(flows) = self.flows.take() {
            self.share = Some(flows.share().await?);
        }
        while let Some(frame) = self.body.frame().await {
            let frame = frame.map_err(|error| reason(&*error.into_inner()))?;
            if let Ok(data) = frame.into_data() {
                return Ok(Some(data)); // trailers are ignored
            }
        }
        Ok(None)
    }
}

/// Whether a body flows, and where it has its room then. In the extensions of requests that have one.
#[derive(Debug, Clone)]
pub(super) struct Flows {
    begun: Arc<AtomicBool>,
    budget: Arc<Semaphore>,
    bytes: u32,
    wait: Duration,
}

impl Flows {
    /// A body that does not yet, whose room will be in `budget`.
    pub(super) fn new(budget: &Arc<Semaphore>, limits: &Limits) -> Self {
        // Or those of a house with little room would wait for ever.
        let bytes = u32::try_from(FLOWING_BYTES.min(limits.bodies_bytes_max)).unwrap_or(u32::MAX);
        Self { begun: Arc::default(), budget: Arc::clone(budget), bytes, wait: limits.body_stall }
    }

    /// Waits for a share of the room, as long as a client may keep us waiting: nothing of the body is lost meanwhile, nor
    /// does what others do end one that has begun.
    async fn share(self) -> Result<OwnedSemaphorePermit, BodyError> {
        let share = tokio::time::timeout(self.wait, self.budget.acquire_many_owned(self.bytes)).await;
        // The semaphore is never closed.
        share.ok().and_then(Result::ok).ok_or(BodyError::Busy)
    }
}

/// What an error of a [`RequestBody`] means.
fn reason(error: &(dyn std::error::Error + 'static)) -> BodyError {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.is::<Stalled>() {
            return BodyError::TimedOut;
        }
        if error.is::<Spent>() {
            return BodyError::Busy;
        }
        cause = error.source();
    }
    BodyError::Malformed
}

/// The peer stopped sending in the middle of a body, or sends in drips.
#[derive(Debug, thiserror::Error)]
#[error("nothing, or next to nothing, has come for {0:?}")]
struct Stalled(Duration);

/// There is no room for more of a body.
#[derive(Debug, thiserror::Error)]
#[error("all bodies together are longer than is taken")]
struct Spent;

/// A request's body: fails when it stands still for too long or there is no room for it, and says who is
/// waiting for whom.
#[derive(Debug)]
pub(super) struct RequestBody {
    /// There until this is dropped.
    body: Option<Incoming>,
    /// Where what is not read goes, if anybody looks after it.
    left_over: Option<LeftOver>,
    turn: Arc<Turn>,
    limits: Arc<Limits>,
    /// What is left of our patience: waiting uses it up, and bytes that come restore it.
    patience: Duration,
    /// Runs while we wait.
    stall: Option<Pin<Box<Sleep>>>,
    /// Room for all bodies together, and our part of it, which is given back when this is dropped.
    budget: Arc<Semaphore>,
    held: Option<OwnedSemaphorePermit>,
    /// Whether it has its room by itself.
    flows: Option<Flows>,
}

impl RequestBody {
    /// Reads `body` within `limits`, and as long as there is room for it in `budget`. What is not read is left
    /// in `left_over`.
    pub(super) fn new(
        body: Incoming,
        left_over: Option<LeftOver>,
        turn: Arc<Turn>,
        limits: Arc<Limits>,
        budget: Arc<Semaphore>,
        flows: Option<Flows>,
    ) -> Self {
        if body.is_end_stream() {
            turn.body_came();
        }
        let patience = limits.body_stall;
        Self { body: Some(body), left_over, turn, limits, patience, stall: None, budget, held: None, flows }
    }

    /// Some `bytes` have come: takes room for them.
    fn came(&mut self, bytes: usize) -> Result<(), Spent> {
        if let Some(stall) = self.stall.take() {
            let left = stall.deadline().saturating_duration_since(Instant::now());
            self.patience = left.saturating_add(self.limits.worth(bytes)).min(self.limits.body_stall);
        }
        self.turn.bytes_came(bytes);
        if self.flows.as_ref().is_some_and(|flows| flows.begun.load(Ordering::Relaxed)) {
            return Ok(());
        }
        let count = u32::try_from(bytes).map_err(|_| Spent)?;
        let room = Arc::clone(&self.budget).try_acquire_many_owned(count).map_err(|_| Spent)?;
        match &mut self.held {
            Some(held) => held.merge(room),
            None => self.held = Some(room),
        }
        Ok(())
    }
}

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::BoxError>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        if let Poll::Ready(frame) = Pin::new(&mut *body).poll_frame(cx) {
            let is_over = frame.is_none() || body.is_end_stream();
            let bytes = match &frame {
                Some(Ok(frame)) => frame.data_ref().map_or(0, Bytes::len),
                Some(Err(_)) | None => 0,
            };
            let room = self.came(bytes);
            self.turn.ours();
            if is_over {
                self.turn.body_came();
            }
            return Poll::Ready(match room {
                Ok(()) => frame.map(|frame| frame.map_err(Into::into)),
                Err(spent) => Some(Err(spent.into())),
            });
        }
        self.turn.peers();
        let patience = self.patience;
        let stall = self.stall.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        ready!(stall.as_mut().poll(cx));
        self.turn.ours();
        Poll::Ready(Some(Err(Stalled(self.limits.body_stall).into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Incoming::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(SizeHint::default, Incoming::size_hint)
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if !self.turn.has_body_come()
            && let (Some(left_over), Some(body)) = (&self.left_over, self.body.take())
        {
            left_over.put(body);
        }
        self.turn.ours();
    }
}

/// An answer's body: counts what is sent, and reports when all is sent or given up.
pub(super) struct AnswerBody {
    body: Body,
    turn: Arc<Turn>,
    sent_bytes: u64,
    /// Called once, with the number of bytes, when the answer is over.
    done: Option<Box<dyn FnOnce(u64) + Send>>,
}

impl AnswerBody {
    /// Sends `body`, and then calls `done` with how long it was.
    pub(super) fn new(body: Body, turn: Arc<Turn>, done: Box<dyn FnOnce(u64) + Send>) -> Self {
        Self { body, turn, sent_bytes: 0, done: Some(done) }
    }
}

impl http_body::Body for AnswerBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.turn.ours();
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let Some(Ok(frame)) = &frame {
            self.sent_bytes += frame.data_ref().map_or(0, Bytes::len) as u64;
            // Until more is asked for, it is the peer who has to read.
            self.turn.peers();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for AnswerBody {
    fn drop(&mut self) {
        if let Some(done) = self.done.take() {
            done(self.sent_bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use futures_util::stream;

    use super::*;

    #[tokio::test]
    async fn a_body_is_read_up_to_its_limit() {
        let chunked = |pieces: &'static [&'static str]| {
            Body::from_stream(stream::iter(pieces.iter().map(|piece| Ok::<_, io::Error>(*piece))))
        };
        let check = async |body: Body, expected: Option<&str>| match read_body(body, 5).await {
            Ok(bytes) => assert_eq!(Some(bytes.as_ref()), expected.map(str::as_bytes)),
            Err(error) => {
                assert!(matches!(error, BodyError::TooLarge { limit_bytes: 5 }), "{error}");
                assert_eq!(expected, None);
            }
        };
        check(Body::empty(), Some("")).await;
        check(Body::from("12345"), Some("12345")).await;
        check(Body::from("123456"), None).await;
        check(chunked(&[]), Some("")).await;
        check(chunked(&["12", "", "345"]), Some("12345")).await;
        check(chunked(&["12", "345", "6"]), None).await;
    }

    #[tokio::test]
    async fn errors_say_what_to_answer() {
        let check = async |error: axum::BoxError, expected: u16| {
            let body = Body::from_stream(stream::iter([Ok(Bytes::from("1")), Err(error)]));
            assert_eq!(read_body(body, 5).await.unwrap_err().kind().http_status(), expected);
        };
        check(Stalled(Duration::from_secs(1)).into(), 408).await;
        check(Spent.into(), 503).await;
        check(io::Error::from(io::ErrorKind::InvalidInput).into(), 400).await;
        assert_eq!(BodyError::TooLarge { limit_bytes: 1 }.kind().http_status(), 413);
    }
}
