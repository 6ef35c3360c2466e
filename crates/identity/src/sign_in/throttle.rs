//! Slows whoever guesses passwords.
//!
//! ```text
//! wrong guesses of one user's password   1 … 5    6     7     8     …   14 and more
//! of several users' together, 5 of each  1 … 20   21    22    23    …   29 and more
//! no further ones for                    0        1 s   2 s   4 s   …   5 min
//! ```
//! Counted for each source: an IPv4 address, or the /64 of an IPv6 one, which a single customer has. Those who come
//! from nowhere that could be said are one source. A right guess forgets the wrong ones of that user's password, and
//! of nobody else's: otherwise somebody with an account of their own could guess at another's for ever. An hour
//! without a wrong one forgets them all. While a source waits, nothing that it offers is looked at, right or wrong;
//! otherwise it would learn which it was. Guesses at one user from one source are looked at one after the other, each
//! when the one before is counted. Whether there is a user of that name makes no difference to anything.
//!
//! The table is bounded: when it is full, whoever guessed wrongly longest ago is forgotten.
//!
//! **Invariant:** the clock is the caller's.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base::{Span, Timestamp};

/// How many wrong guesses of one user's password cost nothing.
const FREE: u32 = 5;
/// How many of all users' passwords together do.
const FREE_TOGETHER: u32 = 20;
/// The longest wait.
const WAIT_MAX: Span = Span::seconds(300);
/// After so long without a wrong guess, a source is as if new.
const FORGOTTEN_AFTER: Span = Span::seconds(3_600);
/// How many sources are remembered: 4 MB if each has guessed at as many users as it can.
const SOURCES_MAX: usize = 4_096;
/// How many users are told apart for each: more than it can guess at without waiting.
const USERS_MAX: usize = 32;

/// Wrong guesses by source.
#[derive(Debug)]
pub(crate) struct Throttle {
    sources: Mutex<HashMap<IpAddr, Guesses>>,
    sources_max: usize,
    /// Names are remembered as numbers that mean nothing outside this process.
    users: RandomState,
}

/// Who guesses, and whose password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Guesser {
    /// An IPv4 address, or the /64 of an IPv6 one.
    pub(crate) source: IpAddr,
    /// Stands for the user's name.
    pub(crate) user: u64,
}

/// What one source guessed wrongly.
#[derive(Debug)]
struct Guesses {
    by_user: Vec<Wrong>,
    /// Of all other users' passwords, when there were too many users.
    others: u32,
    last: Timestamp,
}

#[derive(Debug, Clone, Copy)]
struct Wrong {
    user: u64,
    count: u32,
    last: Timestamp,
}

impl Guesses {
    fn none(now: Timestamp) -> Self {
        Self { by_user: Vec::new(), others: 0, last: now }
    }

    /// Until when nothing is looked at that is offered for `user`.
    fn until(&self, user: u64, now: Timestamp) -> Timestamp {
        let current = || self.by_user.iter().filter(|wrong| !is_forgotten(wrong.last, now));
        let together = current().map(|wrong| wrong.count.min(FREE)).sum::<u32>().saturating_add(self.others);
        let until = self.last + wait(together, FREE_TOGETHER);
        match current().find(|wrong| wrong.user == user) {
            Some(wrong) => until.max(wrong.last + wait(wrong.count, FREE)),
            None => until,
        }
    }

    fn add(&mut self, user: u64, now: Timestamp) {
        self.last = now;
        self.by_user.retain(|wrong| !is_forgotten(wrong.last, now));
        if let Some(wrong) = self.by_user.iter_mut().find(|wrong| wrong.user == user) {
            *wrong = Wrong { user, count: wrong.count.saturating_add(1), last: now };
        } else if self.by_user.len() < USERS_MAX {
            self.by_user.push(Wrong { user, count: 1, last: now });
        } else {
            self.others = self.others.saturating_add(1);
        }
    }
}

/// Also when the clock was set back behind the last guess.
fn is_forgotten(last: Timestamp, now: Timestamp) -> bool {
    now < last || now - last >= FORGOTTEN_AFTER
}

/// How long after that many wrong guesses, of which some are free, there is none.
fn wait(wrong: u32, free: u32) -> Span {
    match wrong.checked_sub(free + 1) {
        None => Span::ZERO,
        Some(doublings) => Span::seconds(1_i64.checked_shl(doublings).unwrap_or(i64::MAX)).min(WAIT_MAX),
    }
}

/// Whom an address stands for.
pub(crate) fn source(address: Option<IpAddr>) -> IpAddr {
    match address.map(|address| address.to_canonical()) {
        Some(IpAddr::V6(address)) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        Some(v4 @ IpAddr::V4(_)) => v4,
        None => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
    }
}

impl Throttle {
    pub(crate) fn new() -> Self {
        Self { sources: Mutex::default(), sources_max: SOURCES_MAX, users: RandomState::new() }
    }

    /// Somebody at `address` who offers something as `user`.
    pub(crate) fn guesser(&self, address: Option<IpAddr>, user: &str) -> Guesser {
        Guesser { source: source(address), user: self.users.hash_one(user) }
    }

    /// Whether something wrong came from there that is not forgotten.
    pub(crate) fn suspects(&self, guesser: Guesser, now: Timestamp) -> bool {
        let sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        sources.get(&guesser.source).is_some_and(|guesses| !is_forgotten(guesses.last, now))
    }

    /// How long a guess has to wait still. Nothing when it is looked at now.
    pub(crate) fn wait(&self, guesser: Guesser, now: Timestamp) -> Option<Duration> {
        let sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        let guesses = sources.get(&guesser.source).filter(|guesses| !is_forgotten(guesses.last, now))?;
        let left = guesses.until(guesser.user, now) - now;
        (left > Span::ZERO).then(|| left.as_duration())
    }

    /// Counts a wrong guess. How long the next one has to wait, when it has to.
    pub(crate) fn was_wrong(&self, guesser: Guesser, now: Timestamp) -> Option<Duration> {
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        if sources.len() >= self.sources_max && !sources.contains_key(&guesser.source) {
            make_room(&mut sources, now);
        }
        let guesses = sources.entry(guesser.source).or_insert_with(|| Guesses::none(now));
        if is_forgotten(guesses.last, now) {
            *guesses = Guesses::none(now);
        }
        guesses.add(guesser.user, now);
        let left = guesses.until(guesser.user, now) - now;
        (left > Span::ZERO).then(|| left.as_duration())
    }

    /// Forgets the wrong guesses of this user's password: one was right.
    pub(crate) fn was_right(&self, guesser: Guesser) {
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(guesses) = sources.get_mut(&guesser.source) {
            guesses.by_user.retain(|wrong| wrong.user != guesser.user);
            if guesses.by_user.is_empty() && guesses.others == 0 {
                sources.remove(&guesser.source);
            }
        }
    }
}

fn make_room(sources: &mut HashMap<IpAddr, Guesses>, now: Timestamp) {
    let before = sources.len();
    sources.retain(|_, guesses| !is_forgotten(guesses.last, now));
    if sources.len() < before {
        return;
    }
    let oldest = sources.iter().min_by_key(|(_, guesses)| guesses.last).map(|(address, _)| *address);
    if let Some(oldest) = oldest {
        sources.remove(&oldest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_unix(1_800_000_000);

    impl Throttle {
        /// Somebody at `text` who tries to be alice.
        fn alice(&self, text: &str) -> Guesser {
            self.guesser(Some(text.parse().unwrap()), "alice")
        }
    }

    fn seconds(seconds: u64) -> Option<Duration> {
        (seconds > 0).then(|| Duration::from_secs(seconds))
    }

    #[test]
    fn waits_double() {
        let throttle = Throttle::new();
        let here = throttle.alice("192.0.2.1");
        let mut now = START;
        for expected in [0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300] {
            assert_eq!(throttle.wait(here, now), None);
            assert_eq!(throttle.was_wrong(here, now), seconds(expected));
            assert_eq!(throttle.wait(here, now), seconds(expected));
            now = now + Span::seconds(i64::try_from(expected).unwrap());
        }
        assert_eq!(wait(u32::MAX, FREE), WAIT_MAX);
    }

    #[test]
    fn a_right_guess_or_an_hour_sets_the_count_back() {
        let throttle = Throttle::new();
        let here = throttle.alice("192.0.2.1");
        let six = || (0..6).map(|_| throttle.was_wrong(here, START)).last().flatten();
        assert_eq!(six(), seconds(1));
        throttle.was_right(here);
        assert_eq!(throttle.wait(here, START), None);
        assert_eq!(six(), seconds(1));
        let later = START + FORGOTTEN_AFTER;
        assert_eq!(throttle.was_wrong(here, later - Span::seconds(1)), seconds(2));
        let later = later - Span::seconds(1) + FORGOTTEN_AFTER;
        assert_eq!(throttle.was_wrong(here, later), None);
        // A clock that is set back must not lock anybody out until it has caught up.
        for _ in 0..9 {
            throttle.was_wrong(here, later);
        }
        assert_eq!(throttle.wait(here, START), None);
    }

    #[test]
    fn sources_are_told_apart() {
        let throttle = Throttle::new();
        for _ in 0..6 {
            throttle.was_wrong(throttle.alice("2001:db8::1"), START);
            throttle.was_wrong(throttle.alice("::ffff:192.0.2.1"), START);
        }
        for (text, expected) in [
            ("2001:db8::1", 1),
            ("2001:db8::ffff:0:0:1", 1), // the same /64
            ("2001:db8:0:1::1", 0),
            ("192.0.2.1", 1),
            ("192.0.2.2", 0),
        ] {
            assert_eq!(throttle.wait(throttle.alice(text), START), seconds(expected), "{text}");
        }
    }

    #[test]
    fn the_table_is_bounded() {
        let throttle = Throttle { sources_max: 3, ..Throttle::new() };
        let wrong = |text: &str, seconds: i64| {
            throttle.was_wrong(throttle.alice(text), START + Span::seconds(seconds))
        };
        let known = || {
            let sources = throttle.sources.lock().unwrap();
            let mut known: Vec<String> = sources.keys().map(IpAddr::to_string).collect();
            known.sort();
            known
        };
        wrong("192.0.2.2", 0);
        wrong("192.0.2.1", 1);
        wrong("192.0.2.3", 2);
        wrong("192.0.2.3", 3);
        assert_eq!(known(), ["192.0.2.1", "192.0.2.2", "192.0.2.3"]);
        wrong("192.0.2.4", 4);
        assert_eq!(known(), ["192.0.2.1", "192.0.2.3", "192.0.2.4"], "the oldest goes");
        wrong("192.0.2.5", 3_603);
        assert_eq!(known(), ["192.0.2.4", "192.0.2.5"], "whoever is forgotten goes first");
    }

    /// Whoever has an account does not get five more guesses at everybody else's by signing in.
    #[test]
    fn only_their_own_wrong_guesses_are_forgotten() {
        let throttle = Throttle::new();
        let as_user = |user: &str| throttle.guesser(Some("192.0.2.1".parse().unwrap()), user);
        for _ in 0..6 {
            throttle.was_wrong(as_user("admin"), START);
            throttle.was_wrong(as_user("mallory"), START);
        }
        assert_eq!(throttle.wait(as_user("mallory"), START), seconds(1));
        throttle.was_right(as_user("mallory"));
        assert_eq!(throttle.wait(as_user("mallory"), START), None);
        assert_eq!(throttle.wait(as_user("admin"), START), seconds(1));
        assert_eq!(throttle.was_wrong(as_user("admin"), START), seconds(2));
        // Behind the same address somebody else goes on working.
        assert_eq!(throttle.wait(as_user("bob"), START), None);
    }

    #[test]
    fn trying_one_password_with_many_names_is_slowed_too() {
        let throttle = Throttle::new();
        let as_user = |number: u32| throttle.guesser(None, &format!("user {number}"));
        for number in 1..=20 {
            assert_eq!(throttle.was_wrong(as_user(number), START), None, "{number}");
        }
        for (number, wait) in [(21, 1), (22, 2), (23, 4), (29, 8), (1_000, 16)] {
            assert_eq!(throttle.was_wrong(as_user(number), START), seconds(wait), "{number}");
        }
        // Right once, they have as many left as the one that is taken off.
        for number in [1_000, 29, 23, 22, 21] {
            throttle.was_right(as_user(number));
        }
        assert_eq!(throttle.wait(as_user(5), START), None);
        for number in 100..10_000 {
            throttle.was_wrong(as_user(number), START);
        }
        let sources = throttle.sources.lock().unwrap();
        let guesses = sources.values().next().unwrap();
        assert_eq!((guesses.by_user.len(), guesses.others), (USERS_MAX, 9_888), "room is bounded");
        assert_eq!(guesses.until(0, START) - START, WAIT_MAX);
    }

    /// A machine with an old password, which asks again and again, is slowed; its neighbours behind the same address
    /// are not.
    #[test]
    fn one_who_is_always_wrong_does_not_lock_out_the_others() {
        let throttle = Throttle::new();
        let as_user = |user: &str| throttle.guesser(Some("192.0.2.1".parse().unwrap()), user);
        let mut now = START;
        for _ in 0..1_000 {
            if throttle.wait(as_user("machine"), now).is_none() {
                throttle.was_wrong(as_user("machine"), now);
            }
            assert_eq!(throttle.wait(as_user("bob"), now), None);
            now = now + Span::seconds(10);
        }
        assert!(throttle.wait(as_user("machine"), now).is_some());
    }
}
