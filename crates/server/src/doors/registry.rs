//! Who is connected, and who has to go.
//!
//! In every [`Phase`] but `Ours` it is the peer that keeps us waiting, and for each of these there is a
//! limit. Nobody keeps a timer of their own: [`Registry::patrol`] goes round, as long as anyone is
//! connected, and shuts out whoever is overdue.
//!
//! *A slow client cannot starve others*: when all places are taken, a new connection gets the place of
//! the one that has kept us waiting longest. A request that we are working on is never cut off.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::limits::Limits;
use super::meters::Meters;
use super::watch::{Phase, Sight, Watch};

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

/// How far a peer in the middle of a request may fall behind (see [`Limits::bytes_per_second_min`]) and
/// keep its place for certain: a healthy transfer pauses for milliseconds, and makes up for it.
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
    limits: Arc<Limits>,
    meters: Arc<Meters>,
    /// Told when the first connection comes and when the last one goes.
    turned: Notify,
}

#[derive(Debug, Default)]
struct Places {
    next: u64,
    taken: HashMap<u64, Arc<Watch>>,
}

impl Registry {
    /// Room for `limits.connections_max` connections.
    pub(super) fn new(limits: Arc<Limits>, meters: Arc<Meters>) -> Self {
        Self {
            places: Mutex::default(),
            places_max: limits.connections_max.max(1),
            limits,
            meters,
            turned: Notify::new(),
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
        let watch = Arc::new(Watch::new(secure, now, Arc::clone(&self.limits)));
        places.taken.insert(id, Arc::clone(&watch));
        if places.taken.len() == 1 {
            self.turned.notify_one();
        }
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
                    () = self.turned.notified() => {}
                }
            } else {
                tokio::select! {
                    () = &mut last, if !closing_time => closing_time = true,
                    () = self.turned.notified() => {}
                    () = tokio::time::sleep(self.limits.rounds()) => self.go_round(Instant::now()),
                }
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
        let mut places = self.registry.places();
        // Unless it was given to somebody else.
        if places.taken.remove(&self.id).is_some() && places.taken.is_empty() {
            self.registry.turned.notify_one();
        }
        self.open.dec();
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
        check(Phase::Closing, None, &[(2, None), (3, Some(Reason::Closing))]);
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
    fn a_full_house_makes_room_or_refuses() {
        let limits = Limits { connections_max: 2, ..Limits::default() };
        let registry = Arc::new(Registry::new(Arc::new(limits), Arc::default()));
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
        let registry = Arc::new(Registry::new(Arc::new(limits), Arc::default()));
        let place = registry.admit(false).expect("empty");
        let leave = async {
            place.watch.cut.cancelled().await;
            drop(place);
        };
        tokio::join!(registry.patrol(async {}), leave);
    }
}
