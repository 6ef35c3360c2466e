//! What nobody read of an HTTP/2 request's body: thrown away before the answer goes out, and for a while after it.
//!
//! A stream whose answer ends before its request does is reset (RFC 9113 §8.1), and there are clients to whom the
//! reset is all that counts: they lose the answer that they were sent. To begin the answer sooner and end it late is
//! no help: the same clients stop in the middle of what they had declared, which is a stream error of its own. So the
//! answer waits until the request has ended, or has had its chance to. Of one that is longer than that, such as an artifact
//! that is not wanted, the rest is thrown away behind the whole answer ([`Rest`]): who has read it sends no more, and is not
//! reset. HTTP/1 needs none of this: there the connection closes, and lingers (`stream`).

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::Body as _;
use hyper::body::Incoming;
use tokio::time::{Duration, Instant, Sleep};

use super::limits::Limits;
use super::watch::Turn;

/// How much is thrown away of one body before the answer: more than any route takes that has it in memory as a whole. And
/// how much of what may be of any length, such as artifacts, behind it; what is left then is cut off.
const BYTES_MAX: usize = 16 << 20;

/// Where whoever drops a body before its end leaves it. Cloning shares it.
#[derive(Debug, Clone, Default)]
pub(super) struct LeftOver(Arc<Mutex<Option<Incoming>>>);

impl LeftOver {
    /// Leaves `body` here.
    pub(super) fn put(&self, body: Incoming) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(body);
    }

    /// What was left, to be thrown away within `limits`; `turn` is told who waits for whom.
    pub(super) fn take(&self, limits: &Limits, turn: &Arc<Turn>) -> Option<Unread> {
        let body = self.0.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        let (now, still_max) = (Instant::now(), limits.closing);
        let end = now.checked_add(limits.body_stall).unwrap_or(now);
        let still = Box::pin(tokio::time::sleep(still_max.min(limits.body_stall)));
        Some(Unread { body: Some(body), turn: Arc::clone(turn), bytes: 0, end, still_max, still })
    }
}

/// The rest of a body whose answer has gone out, on its way to nowhere. Ready when that is over, or it has taken long enough
/// for anybody who reads the answer.
#[derive(Debug)]
pub(super) struct Rest {
    body: Incoming,
    bytes: usize,
    end: Pin<Box<Sleep>>,
}

impl Rest {
    /// That of `body`, whose answer has gone out now.
    pub(super) fn new(body: Incoming, limits: &Limits) -> Self {
        Self { body, bytes: 0, end: Box::pin(tokio::time::sleep(limits.closing)) }
    }
}

impl Future for Rest {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        while let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) {
            let Some(Ok(frame)) = frame else { return Poll::Ready(()) };
            this.bytes += frame.data_ref().map_or(0, Bytes::len);
            if this.body.is_end_stream() || this.bytes > BYTES_MAX {
                return Poll::Ready(());
            }
        }
        this.end.as_mut().poll(cx)
    }
}

/// A request's body that nobody read, on its way to nowhere. Ready when it is over, or is not waited for any longer: with
/// what it is then, if it still comes.
#[derive(Debug)]
pub(super) struct Unread {
    /// There until it is over.
    body: Option<Incoming>,
    turn: Arc<Turn>,
    bytes: usize,
    /// When it has had its chance, whatever still comes.
    end: Instant,
    /// How long nothing may come: longer than clients wait to be told to go on (`Expect: 100-continue`).
    still_max: Duration,
    /// Runs while nothing comes.
    still: Pin<Box<Sleep>>,
}

impl Future for Unread {
    type Output = Option<Incoming>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Incoming>> {
        let this = &mut *self;
        let Some(body) = &mut this.body else { return Poll::Ready(None) };
        while let Poll::Ready(frame) = Pin::new(&mut *body).poll_frame(cx) {
            this.turn.ours();
            let Some(Ok(frame)) = frame else { return Poll::Ready(None) };
            let bytes = frame.data_ref().map_or(0, Bytes::len);
            this.turn.bytes_came(bytes);
            this.bytes += bytes;
            let now = Instant::now();
            if body.is_end_stream() {
                return Poll::Ready(None);
            }
            if this.bytes > BYTES_MAX || now >= this.end {
                return Poll::Ready(this.body.take());
            }
            let until = now.checked_add(this.still_max).map_or(this.end, |until| until.min(this.end));
            this.still.as_mut().reset(until);
        }
        this.turn.peers();
        ready!(this.still.as_mut().poll(cx));
        this.turn.ours();
        // Nothing comes of it.
        Poll::Ready(None)
    }
}
