//! Slows whoever guesses passwords.
//!
//! ```text
//! wrong guesses in a row   1 … 5   6    7    8    …   14 and more
//! no further ones for      0       1 s  2 s  4 s  …   5 min
//! ```
//! Counted for each source: an IPv4 address, or the /64 of an IPv6 one, which a single customer has. A right guess
//! sets the count back, and so does an hour without a wrong one. While a source waits, nothing that it offers is
//! looked at, right or wrong; otherwise it would learn which it was.
//!
//! The table is bounded: when it is full, whoever guessed wrongly longest ago is forgotten.
//!
//! **Invariant:** the clock is the caller's.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base::{Span, Timestamp};

/// How many wrong guesses cost nothing.
const FREE: u32 = 5;
/// The longest wait.
const WAIT_MAX: Span = Span::seconds(300);
/// After so long without a wrong guess, a source is as if new.
const FORGOTTEN_AFTER: Span = Span::seconds(3_600);
/// How many sources are remembered: about 300 KiB.
const SOURCES_MAX: usize = 4_096;

/// Wrong guesses by source.
#[derive(Debug)]
pub(crate) struct Throttle {
    sources: Mutex<HashMap<IpAddr, Guesses>>,
    sources_max: usize,
}

#[derive(Debug, Clone, Copy)]
struct Guesses {
    wrong: u32,
    last: Timestamp,
}

impl Guesses {
    /// Also when the clock was set back behind the last guess.
    fn is_forgotten(self, now: Timestamp) -> bool {
        now < self.last || now - self.last >= FORGOTTEN_AFTER
    }
}

/// How long after that many wrong guesses in a row there is none.
fn wait(wrong: u32) -> Span {
    match wrong.checked_sub(FREE + 1) {
        None => Span::ZERO,
        Some(doublings) => Span::seconds(1_i64.checked_shl(doublings).unwrap_or(i64::MAX)).min(WAIT_MAX),
    }
}

/// Whom an address stands for.
fn source(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        v4 @ IpAddr::V4(_) => v4,
    }
}

impl Throttle {
    pub(crate) fn new() -> Self {
        Self { sources: Mutex::default(), sources_max: SOURCES_MAX }
    }

    /// How long a guess from `address` has to wait still. Nothing when it is looked at now.
    pub(crate) fn wait(&self, address: IpAddr, now: Timestamp) -> Option<Duration> {
        let sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        let guesses = sources.get(&source(address)).filter(|guesses| !guesses.is_forgotten(now))?;
        let left = guesses.last + wait(guesses.wrong) - now;
        (left > Span::ZERO).then(|| left.as_duration())
    }

    /// Counts a wrong guess. How long the next one has to wait, when it has to.
    pub(crate) fn was_wrong(&self, address: IpAddr, now: Timestamp) -> Option<Duration> {
        let address = source(address);
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        if sources.len() >= self.sources_max && !sources.contains_key(&address) {
            make_room(&mut sources, now);
        }
        let guesses = sources.entry(address).or_insert(Guesses { wrong: 0, last: now });
        if guesses.is_forgotten(now) {
            guesses.wrong = 0;
        }
        *guesses = Guesses { wrong: guesses.wrong.saturating_add(1), last: now };
        let wait = wait(guesses.wrong);
        (wait > Span::ZERO).then(|| wait.as_duration())
    }

    /// Sets the count back: a guess was right.
    pub(crate) fn was_right(&self, address: IpAddr) {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner).remove(&source(address));
    }
}

fn make_room(sources: &mut HashMap<IpAddr, Guesses>, now: Timestamp) {
    let before = sources.len();
    sources.retain(|_, guesses| !guesses.is_forgotten(now));
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

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn seconds(seconds: u64) -> Option<Duration> {
        (seconds > 0).then(|| Duration::from_secs(seconds))
    }

    #[test]
    fn waits_double() {
        let throttle = Throttle::new();
        let here = address("192.0.2.1");
        let mut now = START;
        for expected in [0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300] {
            assert_eq!(throttle.wait(here, now), None);
            assert_eq!(throttle.was_wrong(here, now), seconds(expected));
            assert_eq!(throttle.wait(here, now), seconds(expected));
            now = now + Span::seconds(i64::try_from(expected).unwrap());
        }
        assert_eq!(wait(u32::MAX), WAIT_MAX);
    }

    #[test]
    fn a_right_guess_or_an_hour_sets_the_count_back() {
        let throttle = Throttle::new();
        let here = address("192.0.2.1");
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
            throttle.was_wrong(address("2001:db8::1"), START);
            throttle.was_wrong(address("::ffff:192.0.2.1"), START);
        }
        for (text, expected) in [
            ("2001:db8::1", 1),
            ("2001:db8::ffff:0:0:1", 1), // the same /64
            ("2001:db8:0:1::1", 0),
            ("192.0.2.1", 1),
            ("192.0.2.2", 0),
        ] {
            assert_eq!(throttle.wait(address(text), START), seconds(expected), "{text}");
        }
    }

    #[test]
    fn the_table_is_bounded() {
        let throttle = Throttle { sources: Mutex::default(), sources_max: 3 };
        let wrong =
            |text: &str, seconds: i64| throttle.was_wrong(address(text), START + Span::seconds(seconds));
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
}
