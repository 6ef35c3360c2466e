//! Who is connected, what each connection waits for, and who has to go.
//!
//! ```text
//!            accepted                 all of its head came
//! Handshake ────────► Head ─────────────────────────────► Ours ◄──► Peer
//!   (TLS only)         ▲                                    │
//!                      │ first byte of the next request     │ answered
//!                      └─────────────── Idle ◄──────────────┘        any ──► Closing
//! ```
//! In every phase but `Ours` it is the peer that keeps us waiting, and for each of these there is a
//! limit. Nobody keeps a timer of their own: [`Registry::patrol`] goes round, as long as anyone is
//! connected, and shuts out whoever is overdue.
//!
//! *A slow client cannot starve others*: when all places are taken, a new connection gets the place of
//! the one that has kept us waiting longest. A request that we are working on is never cut off.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::limits::Limits;
use super::meters::Meters;

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

/// Why a connection had to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    Handshake,
    Head,
    Idle,
    Stalled,
    Closing,
    /// Somebody else needed the place.
    Displaced,
}

impl Reason {
    /// The word for it in the metrics.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Handshake => "handshake_timeout",
            Self::Head => "head_timeout",
            Self::Idle => "idle",
            Self::Stalled => "stalled",
            Self::Closing => "closing_timeout",
            Self::Displaced => "displaced",
        }
    }
}

/// What is decided upon: one connection at one moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sight {
    phase: Phase,
    /// Since when the peer has kept us waiting.
    since: Instant,
    /// Since when the socket has taken nothing of what we write.
    blocked_since: Option<Instant>,
}

/// How long a peer in the middle of a request keeps its place for certain: a healthy transfer pauses
/// for milliseconds.
const TRANSFER_PAUSE: Duration = Duration::from_secs(1);

/// Why this connection has to go at `now`, if it has to.
fn overdue(sight: &Sight, now: Instant, limits: &Limits) -> Option<Reason> {
    if sight.blocked_since.is_some_and(|since| now.duration_since(since) >= limits.write_stall) {
        return Some(Reason::Stalled);
    }
    let (limit, reason) = match sight.phase {
        Phase::Handshake => (limits.handshake, Reason::Handshake),
        Phase::Head => (limits.head, Reason::Head),
        Phase::Idle => (limits.idle, Reason::Idle),
        Phase::Peer => (limits.write_stall, Reason::Stalled),
        Phase::Closing => (limits.closing, Reason::Closing),
        Phase::Ours => return None,
    };
    (now.duration_since(sight.since) >= limit).then_some(reason)
}

/// Which connection makes room for a new one: the one that has kept us waiting longest.
fn displaced<Id>(sights: impl Iterator<Item = (Id, Sight)>, now: Instant) -> Option<Id> {
    sights
        .filter(|(_, sight)| match sight.phase {
            Phase::Ours => false,
            Phase::Peer => now.duration_since(sight.since) >= TRANSFER_PAUSE,
            Phase::Handshake | Phase::Head | Phase::Idle | Phase::Closing => true,
        })
        .min_by_key(|(_, sight)| sight.since)
        .map(|(id, _)| id)
}

/// All connections of all doors.
#[derive(Debug)]
pub(super) struct Registry {
    places: Mutex<Places>,
    places_max: usize,
    limits: Limits,
    meters: Arc<Meters>,
    /// Told when the first connection comes, so that an idle house sleeps.
    arrived: Notify,
}

#[derive(Debug, Default)]
struct Places {
    next: u64,
    taken: HashMap<u64, Arc<Watch>>,
}

impl Registry {
    /// Room for `limits.connections_max` connections.
    pub(super) fn new(limits: Limits, meters: Arc<Meters>) -> Self {
        Self {
            places: Mutex::default(),
            places_max: limits.connections_max.max(1),
            limits,
            meters,
            arrived: Notify::new(),
        }
    }

    /// A place for a new connection, if need be somebody else's. `None` when everyone is being served.
    pub(super) fn admit(self: &Arc<Self>, secure: bool) -> Option<Place> {
        let now = Instant::now();
        let mut places = self.places();
        if places.taken.len() >= self.places_max {
            let sights = places.taken.iter().map(|(&id, watch)| (id, watch.sight()));
            let out = displaced(sights, now).and_then(|id| places.taken.remove(&id));
            let Some(out) = out else {
                self.meters.refused.inc();
                return None;
            };
            self.meters.closed(Reason::Displaced);
            out.cut.cancel();
        }
        let id = places.next;
        places.next += 1;
        let watch = Arc::new(Watch::new(secure, now));
        places.taken.insert(id, Arc::clone(&watch));
        self.arrived.notify_one();
        let open = self.meters.open(secure);
        open.inc();
        Some(Place { registry: Arc::clone(self), id, open, watch })
    }

    /// Shuts out whoever is overdue, over and over, until `last` comes and nobody is connected.
    pub(super) async fn patrol(&self, last: impl Future<Output = ()>) {
        let mut last = std::pin::pin!(last);
        let mut closing_time = false;
        loop {
            if self.places().taken.is_empty() {
                if closing_time {
                    return;
                }
                tokio::select! {
                    () = &mut last => closing_time = true,
                    () = self.arrived.notified() => {}
                }
            } else {
                tokio::time::sleep(self.limits.rounds()).await;
                self.go_round(Instant::now());
                closing_time = closing_time || futures_util::poll!(&mut last).is_ready();
            }
        }
    }

    fn go_round(&self, now: Instant) {
        for watch in self.places().taken.values() {
            let Some(reason) = overdue(&watch.sight(), now, &self.limits) else { continue };
            if watch.cut.is_cancelled() || (reason == Reason::Idle && watch.finish.is_cancelled()) {
                continue; // told already
            }
            self.meters.closed(reason);
            match reason {
                // Between two requests there is time to say goodbye.
                Reason::Idle => watch.finish.cancel(),
                _ => watch.cut.cancel(),
            }
        }
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection's place among the others, given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    registry: Arc<Registry>,
    id: u64,
    open: Gauge,
    /// What the others see of it.
    pub(super) watch: Arc<Watch>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.registry.places().taken.remove(&self.id);
        self.open.dec();
    }
}

/// What is known about one connection from outside, and how it is told to go.
#[derive(Debug)]
pub(super) struct Watch {
    state: Mutex<State>,
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
    line_too_long: bool,
    /// Requests in progress, and how many of these wait for the peer.
    requests: usize,
    with_peer: usize,
    since: Instant,
    blocked_since: Option<Instant>,
}

impl Watch {
    fn new(secure: bool, now: Instant) -> Self {
        let state = State {
            handshake: secure,
            closing: false,
            http2: false,
            first: true,
            head: false,
            unread: false,
            line_too_long: false,
            requests: 0,
            with_peer: 0,
            since: now,
            blocked_since: None,
        };
        Self { state: Mutex::new(state), finish: CancellationToken::new(), cut: CancellationToken::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sight(&self) -> Sight {
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

    /// Some bytes of a request came. Whether they belong to the head of an HTTP/1 request.
    pub(super) fn head_bytes_came(&self) -> bool {
        let mut state = self.state();
        if state.http2 || state.requests > 0 {
            return false;
        }
        if !state.head {
            state.head = true;
            if !state.first {
                state.since = Instant::now();
            }
        }
        true
    }

    /// A request is there: its head has come.
    pub(super) fn begin(self: &Arc<Self>, http2: bool) -> Turn {
        let mut state = self.state();
        state.http2 = http2;
        state.first = false;
        state.head = false;
        state.requests += 1;
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

    /// The line of a request is longer than it may be.
    pub(super) fn line_is_too_long(&self) {
        self.state().line_too_long = true;
    }

    /// Whether a request's line was longer than it may be.
    pub(super) fn was_line_too_long(&self) -> bool {
        self.state().line_too_long
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
                    state.since = Instant::now();
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
        if to_peer {
            state.with_peer += 1;
            state.since = Instant::now();
        } else {
            state.with_peer -= 1;
        }
    }

    /// The request's body came to its end.
    pub(super) fn body_came(&self) {
        self.body_came.store(true, Ordering::Release);
    }

    /// Whether the request's body came to its end.
    pub(super) fn has_body_come(&self) -> bool {
        self.body_came.load(Ordering::Acquire)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.ours();
        let body_came = self.has_body_come();
        let mut state = self.watch.state();
        state.requests -= 1;
        state.unread |= !body_came && !state.http2;
        if state.requests == 0 {
            state.since = Instant::now();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PHASES: [Phase; 6] =
        [Phase::Handshake, Phase::Head, Phase::Idle, Phase::Peer, Phase::Ours, Phase::Closing];

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn everyone_has_a_limit_but_our_own_work() {
        let start = Instant::now();
        let check = |phase: Phase, blocked: Option<u64>, expected: &[(u64, Option<Reason>)]| {
            let blocked_since = blocked.map(|after| start + seconds(after));
            let sight = Sight { phase, since: start, blocked_since };
            for &(after, reason) in expected {
                let seen = overdue(&sight, start + seconds(after), &Limits::default());
                assert_eq!(seen, reason, "{phase:?} after {after} s");
            }
        };
        check(Phase::Handshake, None, &[(9, None), (10, Some(Reason::Handshake))]);
        check(Phase::Head, None, &[(9, None), (10, Some(Reason::Head))]);
        check(Phase::Idle, None, &[(59, None), (60, Some(Reason::Idle))]);
        check(Phase::Peer, None, &[(29, None), (30, Some(Reason::Stalled))]);
        check(Phase::Closing, None, &[(4, None), (5, Some(Reason::Closing))]);
        check(Phase::Ours, None, &[(1_000_000, None)]);
        check(Phase::Ours, Some(5), &[(34, None), (35, Some(Reason::Stalled))]);
    }

    #[test]
    fn the_longest_waiting_makes_room() {
        let now = Instant::now() + seconds(1000);
        let check = |waiting: &[(Phase, u64)], expected: Option<usize>| {
            let sights = waiting.iter().enumerate().map(|(id, &(phase, waited))| {
                (id, Sight { phase, since: now - seconds(waited), blocked_since: None })
            });
            assert_eq!(displaced(sights, now), expected, "{waiting:?}");
        };
        check(&[], None);
        check(&[(Phase::Ours, 99)], None);
        check(&[(Phase::Peer, 0)], None); // a transfer under way
        check(&[(Phase::Peer, 2), (Phase::Idle, 1)], Some(0));
        check(&[(Phase::Peer, 0), (Phase::Idle, 0)], Some(1));
        check(&[(Phase::Ours, 99), (Phase::Head, 3), (Phase::Handshake, 4), (Phase::Idle, 2)], Some(2));
        check(&[(Phase::Idle, 0), (Phase::Closing, 1)], Some(1));
        for phase in PHASES {
            let goes = !matches!(phase, Phase::Ours);
            check(&[(phase, 10)], goes.then_some(0));
        }
    }

    #[test]
    fn a_connection_goes_through_its_phases() {
        let watch = Arc::new(Watch::new(true, Instant::now()));
        let check = |phase| assert_eq!(watch.sight().phase, phase);
        check(Phase::Handshake);
        watch.shook_hands(false);
        check(Phase::Head);
        assert!(watch.head_bytes_came());
        let turn = watch.begin(false);
        check(Phase::Ours);
        assert!(!watch.head_bytes_came());
        turn.peers();
        check(Phase::Peer);
        turn.peers();
        turn.ours();
        check(Phase::Ours);
        turn.peers();
        turn.body_came();
        drop(turn);
        check(Phase::Idle);
        assert!(!watch.is_unread());
        assert!(watch.head_bytes_came());
        check(Phase::Head);
        assert!(watch.is_unread());
        watch.closes();
        check(Phase::Closing);
    }

    #[test]
    fn one_request_at_work_is_enough_on_http_2() {
        let watch = Arc::new(Watch::new(false, Instant::now()));
        let (one, two) = (watch.begin(true), watch.begin(true));
        one.peers();
        assert_eq!(watch.sight().phase, Phase::Ours);
        two.peers();
        assert_eq!(watch.sight().phase, Phase::Peer);
        watch.closes();
        assert_eq!(watch.sight().phase, Phase::Peer);
        drop((one, two));
        assert_eq!(watch.sight().phase, Phase::Closing);
        assert!(!watch.head_bytes_came() && !watch.is_unread());
    }

    #[test]
    fn a_full_house_makes_room_or_refuses() {
        let limits = Limits { connections_max: 2, ..Limits::default() };
        let registry = Arc::new(Registry::new(limits, Arc::default()));
        let first = registry.admit(false).expect("empty");
        let second = registry.admit(true).expect("half empty");
        let first_turn = first.watch.begin(false);
        let third = registry.admit(false).expect("the second makes room");
        assert!(second.watch.cut.is_cancelled() && !first.watch.cut.is_cancelled());
        let _third_turn = third.watch.begin(false);
        assert!(registry.admit(false).is_none(), "both are at work");
        drop(second); // its place was given away already
        assert!(registry.admit(false).is_none());
        drop(first_turn);
        drop(first);
        assert!(registry.admit(false).is_some());
    }

    #[tokio::test]
    async fn patrol_ends_when_the_last_has_left() {
        let limits = Limits { head: Duration::ZERO, ..Limits::default() };
        let registry = Arc::new(Registry::new(limits, Arc::default()));
        let place = registry.admit(false).expect("empty");
        let leave = async {
            place.watch.cut.cancelled().await;
            drop(place);
        };
        tokio::join!(registry.patrol(async {}), leave);
    }
}
