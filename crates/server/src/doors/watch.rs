//! What one connection waits for: who keeps whom waiting, and since when.
//!
//! ```text
//!            accepted                 all of its head came
//! Handshake ────────► Head ─────────────────────────────► Ours ◄──► Peer
//!   (TLS only)         ▲                                    │
//!                      │ first byte of the next request     │ answered
//!                      └─────────────── Idle ◄──────────────┘        any ──► Closing
//! ```
//! Whoever serves the connection tells its [`Watch`] what happens; the registry looks at it from outside,
//! and tells it when to go.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::limits::Limits;

/// What a connection is waiting for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// The TLS handshake is not finished.
    Handshake,
    /// The head of a request has begun to come, or the first one has not.
    Head,
    /// Nothing has come since the last answer.
    Idle,
    /// Every request in progress waits for the peer: to send more of its body, or to read its answer.
    Peer,
    /// We are working on a request.
    Ours,
    /// The last answer is given.
    Closing,
}

/// What is decided upon: one connection at one moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sight {
    pub(super) phase: Phase,
    /// Since when the peer has kept us waiting. In the middle of a request: how far it is behind the
    /// slowest transfer that is put up with, so that a drip now and then is as good as nothing.
    pub(super) since: Instant,
    /// Since when the socket has taken nothing of what we write.
    pub(super) blocked_since: Option<Instant>,
}

/// What is known about one connection from outside, and how it is told to go.
#[derive(Debug)]
pub(super) struct Watch {
    state: Mutex<State>,
    limits: Arc<Limits>,
    /// Close as soon as no request is in progress.
    pub(super) finish: CancellationToken,
    /// Close at once.
    pub(super) cut: CancellationToken,
}

#[derive(Debug)]
struct State {
    handshake: bool,
    closing: bool,
    /// The connection speaks HTTP/2: bytes that come do not mean that a request has begun.
    http2: bool,
    /// No request has come yet.
    first: bool,
    /// The head of a request has begun to come.
    head: bool,
    /// The peer may still be sending something that nobody will read.
    unread: bool,
    /// The last of a chunked body has not come.
    chunks: bool,
    /// Requests in progress, and how many of these wait for the peer.
    requests: usize,
    with_peer: usize,
    since: Instant,
    /// While we are working on a request: how far the peer was behind before.
    behind: Duration,
    blocked_since: Option<Instant>,
}

impl State {
    /// Whether every request in progress waits for the peer.
    fn waits_for_peer(&self) -> bool {
        self.requests > 0 && self.with_peer == self.requests
    }

    /// Changes whose turn it is. The time that we need ourselves is not held against the peer, and what it
    /// was behind before is not forgotten, as long as any request is in progress.
    fn turn(&mut self, now: Instant, change: impl FnOnce(&mut Self)) {
        if self.waits_for_peer() {
            self.behind = now.saturating_duration_since(self.since);
        }
        change(self);
        if self.waits_for_peer() {
            self.since = now.checked_sub(self.behind).unwrap_or(now);
        }
    }

    /// The peer sent or took something that makes up for waiting so long.
    fn make_up(&mut self, now: Instant, worth: Duration) {
        self.since = self.since.checked_add(worth).map_or(now, |since| since.min(now));
        self.behind = self.behind.saturating_sub(worth);
    }
}

impl Watch {
    /// A connection that has just come, for which TLS comes first when it is `secure`.
    pub(super) fn new(secure: bool, now: Instant, limits: Arc<Limits>) -> Self {
        let state = State {
            handshake: secure,
            closing: false,
            http2: false,
            first: true,
            head: false,
            unread: false,
            chunks: false,
            requests: 0,
            with_peer: 0,
            since: now,
            behind: Duration::ZERO,
            blocked_since: None,
        };
        Self {
            state: Mutex::new(state),
            limits,
            finish: CancellationToken::new(),
            cut: CancellationToken::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it waits for now.
    pub(super) fn sight(&self) -> Sight {
        let state = self.state();
        let phase = match *state {
            State { requests, with_peer, .. } if with_peer < requests => Phase::Ours,
            State { requests: 1.., .. } => Phase::Peer,
            State { closing: true, .. } => Phase::Closing,
            State { handshake: true, .. } => Phase::Handshake,
            State { first: true, .. } | State { head: true, .. } => Phase::Head,
            State { .. } => Phase::Idle,
        };
        Sight { phase, since: state.since, blocked_since: state.blocked_since }
    }

    /// The TLS handshake is done, and may have settled on HTTP/2; the first request may come.
    pub(super) fn shook_hands(&self, http2: bool) {
        let mut state = self.state();
        state.handshake = false;
        state.http2 = http2;
        state.since = Instant::now();
    }

    /// Some bytes of the head of an HTTP/1 request came, or of what is HTTP/2.
    pub(super) fn head_bytes_came(&self) {
        let mut state = self.state();
        if !state.http2 && !state.head {
            state.head = true;
            if !state.first {
                state.since = Instant::now();
            }
        }
    }

    /// A chunked body begins: the head before it has come.
    pub(super) fn chunks_begin(&self) {
        self.state().chunks = true;
    }

    /// Whether the chunked body that began came to its end.
    pub(super) fn have_chunks_come(&self) -> bool {
        !self.state().chunks
    }

    /// A request is there: its head has come.
    pub(super) fn begin(self: &Arc<Self>, http2: bool) -> Turn {
        let mut state = self.state();
        state.http2 = http2;
        state.first = false;
        state.head = false;
        if state.requests == 0 {
            state.behind = Duration::ZERO;
        }
        state.turn(Instant::now(), |state| state.requests += 1);
        drop(state);
        Turn { watch: Arc::clone(self), with_peer: AtomicBool::new(false), body_came: AtomicBool::new(false) }
    }

    /// The connection is about to close.
    pub(super) fn closes(&self) {
        let mut state = self.state();
        if !state.closing {
            state.closing = true;
            state.since = Instant::now();
        }
    }

    /// Whether the peer may be in the middle of sending something that nobody will read.
    pub(super) fn is_unread(&self) -> bool {
        let state = self.state();
        state.unread || (state.head && !state.http2)
    }

    /// The socket took `bytes`, or had no room for any.
    pub(super) fn wrote(&self, bytes: Option<usize>) {
        /// What is shorter is housekeeping: an HTTP/2 ping in a TLS record has under 50 bytes.
        const ANSWER_BYTES_MIN: usize = 64;
        let mut state = self.state();
        match bytes {
            None => {
                state.blocked_since.get_or_insert_with(Instant::now);
            }
            Some(bytes) => {
                state.blocked_since = None;
                if bytes >= ANSWER_BYTES_MIN && !state.handshake {
                    state.make_up(Instant::now(), self.limits.worth(bytes));
                }
            }
        }
    }
}

/// One request in progress, and whose turn it is. The request is over when this is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    watch: Arc<Watch>,
    with_peer: AtomicBool,
    body_came: AtomicBool,
}

impl Turn {
    /// We have to wait for the peer: for its body, or until it reads.
    pub(super) fn peers(&self) {
        self.pass(true);
    }

    /// We have something to do.
    pub(super) fn ours(&self) {
        self.pass(false);
    }

    fn pass(&self, to_peer: bool) {
        // The state is locked first: both halves of an exchange may pass the turn at the same time.
        let mut state = self.watch.state();
        if self.with_peer.swap(to_peer, Ordering::AcqRel) == to_peer {
            return;
        }
        state.turn(Instant::now(), |state| if to_peer { state.with_peer += 1 } else { state.with_peer -= 1 });
    }

    /// Some `bytes` of the request's body came.
    pub(super) fn bytes_came(&self, bytes: usize) {
        self.watch.state().make_up(Instant::now(), self.watch.limits.worth(bytes));
    }

    /// The request's body came to its end.
    pub(super) fn body_came(&self) {
        self.body_came.store(true, Ordering::Release);
        self.watch.state().chunks = false;
    }

    /// Whether the request's body came to its end.
    pub(super) fn has_body_come(&self) -> bool {
        self.body_came.load(Ordering::Acquire)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let body_came = self.has_body_come();
        let mut state = self.watch.state();
        let now = Instant::now();
        let with_peer = usize::from(*self.with_peer.get_mut());
        state.turn(now, |state| {
            state.with_peer -= with_peer;
            state.requests -= 1;
        });
        state.unread |= !body_came && !state.http2;
        if state.requests == 0 {
            state.since = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_goes_through_its_phases() {
        let watch = Arc::new(Watch::new(true, Instant::now(), Arc::default()));
        let check = |phase| assert_eq!(watch.sight().phase, phase);
        check(Phase::Handshake);
        watch.shook_hands(false);
        check(Phase::Head);
        watch.head_bytes_came();
        watch.chunks_begin();
        let turn = watch.begin(false);
        check(Phase::Ours);
        assert!(!watch.have_chunks_come());
        turn.peers();
        check(Phase::Peer);
        turn.peers();
        turn.ours();
        check(Phase::Ours);
        turn.peers();
        turn.body_came();
        assert!(watch.have_chunks_come());
        drop(turn);
        check(Phase::Idle);
        assert!(!watch.is_unread());
        watch.head_bytes_came();
        check(Phase::Head);
        assert!(watch.is_unread());
        watch.closes();
        check(Phase::Closing);
    }

    #[test]
    fn one_request_at_work_is_enough_on_http_2() {
        let watch = Arc::new(Watch::new(false, Instant::now(), Arc::default()));
        let (one, two) = (watch.begin(true), watch.begin(true));
        one.peers();
        assert_eq!(watch.sight().phase, Phase::Ours);
        two.peers();
        assert_eq!(watch.sight().phase, Phase::Peer);
        watch.closes();
        assert_eq!(watch.sight().phase, Phase::Peer);
        drop((one, two));
        assert_eq!(watch.sight().phase, Phase::Closing);
        watch.head_bytes_came();
        assert!(!watch.is_unread());
    }

    #[test]
    fn drips_do_not_make_up_for_waiting_and_a_transfer_does() {
        let limits = Arc::new(Limits { bytes_per_second_min: 1000, ..Limits::default() });
        let check = |bytes: usize, waited: u64, expected: u64| {
            let mut now = Instant::now();
            let watch = Arc::new(Watch::new(false, now, Arc::clone(&limits)));
            let _turn = watch.begin(false);
            let mut state = watch.state();
            for _ in 0..10 {
                now += Duration::from_secs(5); // our own time does not count
                state.turn(now, |state| state.with_peer = 1);
                now += Duration::from_millis(waited);
                state.make_up(now, limits.worth(bytes));
                state.turn(now, |state| state.with_peer = 0);
            }
            state.turn(now, |state| state.with_peer = 1);
            assert_eq!(now - state.since, Duration::from_millis(expected), "{bytes} bytes in {waited} ms");
            state.with_peer = 0;
        };
        check(0, 900, 9000);
        check(1, 900, 8990);
        check(500, 900, 4000);
        check(900, 900, 0);
        check(65_536, 900, 0);
    }
}
