//! When something is due. Pure: what is known, and the time now, give the time of the next look.
//!
//! Whoever has the same rules as ten thousand others does not come in the same minute as they do: each moment is put off by a
//! part of the jitter that follows from the name and the serial number. It is the same part whenever it is asked for, so nobody
//! has to remember it.

use base::{Span, Timestamp, sha256};

/// The pauses after something went wrong: the first, and the longest, which is an hour with all that it may be put off.
const BACK_OFF: (Span, Span) = (Span::seconds(10), Span::seconds(2_400));
/// The same where nothing serves: whoever waits for it is to have it soon after the server is back.
const WITHOUT: (Span, Span) = (Span::seconds(10), Span::seconds(200));
/// After so many failures in a row it is no hiccup any more, and nobody comes back sooner than after the first pause.
const HICCUPS: u32 = 3;
/// The longest that a server may put anybody off by itself.
const PUT_OFF_MAX: Span = Span::seconds(3_600);
/// The pauses between two looks at a request that waits.
const WAITING: (Span, Span) = (Span::seconds(2), Span::seconds(60));
/// Between two looks there is always some time, in which one of an hour's certificates does no harm.
const FLOOR: (Span, Span) = (Span::seconds(1), Span::seconds(60));

/// What the operator said about time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rules {
    /// A certificate is renewed when no more than this is left; a third of its life, where that is not so long.
    pub(super) threshold: Span,
    /// A revocation list is fetched again when no more than this is left; half of its life, where that is not so long.
    pub(super) crl_threshold: Span,
    /// By how much all of it may be put off, so that not everybody comes at once.
    pub(super) jitter: Span,
    /// How often is looked for CA certificates and revocations that are new.
    pub(super) look_every: Span,
}

/// From when until when something is valid, and what tells it from others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Term {
    pub(super) from: Timestamp,
    pub(super) until: Timestamp,
    /// The serial of a certificate, the number of a list.
    pub(super) number: String,
}

impl Term {
    fn life(&self) -> Span {
        self.until - self.from
    }
}

/// A part of `within` that follows from `name` and `number`: evenly spread over all of them.
fn part(name: &str, number: &str, within: Span) -> Span {
    let Some(seconds) = u64::try_from(within.as_seconds()).ok().filter(|seconds| *seconds > 0) else {
        return Span::ZERO;
    };
    let digest = sha256(format!("{name}\0{number}").as_bytes());
    let [a, b, c, d, e, f, g, h, ..] = digest;
    let drawn = u64::from_be_bytes([a, b, c, d, e, f, g, h]) % seconds;
    Span::seconds(i64::try_from(drawn).unwrap_or(0))
}

/// When a certificate is renewed.
pub(super) fn renewal(name: &str, term: &Term, rules: &Rules) -> Timestamp {
    let threshold = or_part(rules.threshold, term.life(), 3);
    // At the latest when half of the threshold is left.
    let jitter = rules.jitter.min(threshold.fraction(1, 2));
    term.until - threshold + part(name, &term.number, jitter)
}

/// When a revocation list is fetched again.
pub(super) fn list(name: &str, term: &Term, rules: &Rules) -> Timestamp {
    // A server makes the next one when half of the life is over.
    let threshold = or_part(rules.crl_threshold, term.life(), 2);
    let jitter = rules.jitter.min(threshold.fraction(1, 2));
    term.until - threshold + part(name, &term.number, jitter)
}

/// `threshold`, or a part of `life` that is not so long: else it would be due in every instant.
fn or_part(threshold: Span, life: Span, parts: i64) -> Span {
    if threshold < life { threshold } else { life.fraction(1, parts) }
}

/// The next look after one at `now` that found all to be well.
pub(super) fn next(
    name: &str,
    certificate: Option<&Term>,
    lists: &[Term],
    rules: &Rules,
    now: Timestamp,
) -> Timestamp {
    let every = rules.look_every;
    let mut next = now + every.fraction(9, 10) + part(name, &now.as_unix().to_string(), every.fraction(1, 5));
    let mut shortest = None;
    for term in certificate.into_iter().chain(lists) {
        shortest = shortest.into_iter().chain([term.life()]).min();
    }
    next = certificate.map(|term| renewal(name, term, rules)).into_iter().fold(next, Timestamp::min);
    next = lists.iter().map(|term| list(name, term, rules)).fold(next, Timestamp::min);
    next.max(now + floor(shortest))
}

/// How soon one looks again at the earliest, where the shortest life of anything is this.
fn floor(shortest: Option<Span>) -> Span {
    shortest.map_or(FLOOR.1, |life| life.fraction(1, 20)).clamp(FLOOR.0, FLOOR.1)
}

/// What presses whoever fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pressed {
    /// Nothing: what is kept serves, and nothing of it is due.
    No,
    /// What is kept serves until then.
    Until(Timestamp),
    /// There is nothing that serves.
    Already,
}

/// The next look after one at `now` that failed, as `failures` in a row did. `who` tells this holder from others who fail
/// for the same reason; `put_off` is what the server asks for.
///
/// It comes ever later, up to an hour; in ever smaller parts of what is left, where something is about to end, but not in
/// every second: there may be ten thousand of them.
pub(super) fn retry(
    who: &str,
    failures: u32,
    pressed: Pressed,
    put_off: Option<Span>,
    now: Timestamp,
) -> Timestamp {
    let left = match pressed {
        Pressed::Until(until) => Some(until - now).filter(|left| *left > Span::ZERO),
        Pressed::No | Pressed::Already => None,
    };
    let is_over = pressed == Pressed::Already || matches!(pressed, Pressed::Until(until) if until <= now);
    let mut pause = doubled(if is_over { WITHOUT } else { BACK_OFF }, failures);
    if let Some(left) = left {
        let floor = if failures <= HICCUPS { FLOOR.0 } else { BACK_OFF.0 };
        pause = pause.min(left.fraction(1, 5).max(floor));
    }
    if let Some(put_off) = put_off {
        let longest = match left {
            Some(left) => left.fraction(1, 2).max(BACK_OFF.0).min(PUT_OFF_MAX),
            None if is_over => WITHOUT.1,
            None => PUT_OFF_MAX,
        };
        pause = pause.max(put_off.min(longest));
    }
    now + pause + part(who, &failures.to_string(), pause.fraction(1, 2))
}

/// The next look at a request that waits, as it did `looks` times in a row.
pub(super) fn waiting(name: &str, looks: u32, now: Timestamp) -> Timestamp {
    let pause = doubled(WAITING, looks);
    now + pause + part(name, &looks.to_string(), pause.fraction(1, 4))
}

/// The first pause, doubled for each time but the first, up to the longest.
fn doubled((first, longest): (Span, Span), times: u32) -> Span {
    let factor = 1_i64 << times.saturating_sub(1).min(30);
    first.fraction(factor, 1).min(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_unix(1_700_000_000);
    const RULES: Rules = Rules {
        threshold: Span::days(31),
        crl_threshold: Span::days(7),
        jitter: Span::days(1),
        look_every: Span::days(1),
    };

    fn term(seconds: i64, number: &str) -> Term {
        Term { from: START, until: START + Span::seconds(seconds), number: number.into() }
    }

    #[test]
    fn ten_thousand_holders_do_not_come_in_the_same_minute() {
        let mut minutes = vec![0_u32; 24 * 60];
        for number in 0..10_000 {
            let one = term(93 * 86_400, &number.to_string());
            let due = renewal("web", &one, &RULES) - (one.until - RULES.threshold);
            minutes[usize::try_from(due.as_seconds() / 60).unwrap()] += 1;
        }
        // About seven a minute, and in no minute more than four times as many.
        assert!(minutes.iter().all(|count| *count < 28), "{:?}", minutes.iter().max());
        assert!(minutes.iter().filter(|count| **count == 0).count() < 20);
        // The same certificate has the same moment.
        let one = term(93 * 86_400, "7");
        assert_eq!(renewal("web", &one, &RULES), renewal("web", &one, &RULES));
        assert_ne!(renewal("web", &one, &RULES), renewal("mail", &one, &RULES));
    }

    #[test]
    fn what_lives_shortly_is_renewed_when_a_third_is_left() {
        let rules = Rules { jitter: Span::ZERO, ..RULES };
        let day = 86_400;
        for (life, expected) in
            [(93 * day, 62 * day), (32 * day, day), (31 * day, 31 * day * 2 / 3), (60, 40), (3, 2)]
        {
            let due = renewal("web", &term(life, "1"), &rules) - START;
            assert_eq!(due.as_seconds(), expected, "{life}");
        }
        // With jitter never later than when half of the threshold is left.
        for number in 0..100 {
            let one = term(60, &number.to_string());
            assert!(renewal("web", &one, &RULES) < START + Span::seconds(50));
        }
    }

    #[test]
    fn whatever_comes_first_is_the_next_look() {
        let rules = Rules { jitter: Span::ZERO, ..RULES };
        let day = 86_400;
        let next = |certificate: Option<i64>, lists: &[i64], now: i64| {
            let lists: Vec<Term> = lists.iter().map(|life| term(*life, "1")).collect();
            let certificate = certificate.map(|life| term(life, "1"));
            (next("web", certificate.as_ref(), &lists, &rules, START + Span::seconds(now)) - START)
                .as_seconds()
        };
        // A look a day, give or take a tenth.
        assert!((day * 9 / 10..day * 11 / 10).contains(&next(None, &[], 0)));
        assert!((day * 9 / 10..day * 11 / 10).contains(&next(Some(93 * day), &[31 * day], 0)));
        for (certificate, lists, now, expected) in [
            (Some(93 * day), &[][..], 62 * day - 50, 62 * day + 10), // no sooner than in a minute
            (Some(93 * day), &[], 62 * day - 100, 62 * day),
            (Some(93 * day), &[31 * day], 24 * day - 600, 24 * day),
            (None, &[31 * day, 30 * day], 23 * day - 600, 23 * day),
            (Some(60), &[20], 0, 10),
            (Some(60), &[20], 12, 13), // what is over is not asked for in every instant
        ] {
            assert_eq!(next(certificate, lists, now), expected, "{certificate:?} {lists:?} {now}");
        }
    }

    /// The pauses of whoever fails again and again from the start on, until so many seconds later.
    fn pauses(who: &str, end: i64, put_off: Option<Span>, pressed: impl Fn() -> Pressed) -> Vec<i64> {
        let (mut now, mut pauses) = (START, Vec::new());
        while now < START + Span::seconds(end) {
            let next = retry(who, u32::try_from(pauses.len()).unwrap() + 1, pressed(), put_off, now);
            pauses.push((next - now).as_seconds());
            now = next;
        }
        pauses
    }

    #[test]
    fn who_fails_comes_back_ever_later() {
        let all = pauses("web", 86_400, None, || Pressed::No);
        for (pause, least) in all.iter().zip([10, 20, 40, 80, 160, 320, 640, 1_280, 2_400, 2_400, 2_400]) {
            assert!((least..=least * 3 / 2).contains(pause), "{all:?}");
        }
        assert!(all.len() < 45, "{all:?}");
        assert!(retry("web", u32::MAX, Pressed::No, None, START) - START <= Span::seconds(3_600));
        assert_eq!(
            retry("web", 9, Pressed::Until(START + Span::days(31)), None, START),
            retry("web", 9, Pressed::No, None, START),
            "nothing presses yet"
        );
        let waits: Vec<i64> =
            (1..9).map(|looks| (waiting("web", looks, START) - START).as_seconds()).collect();
        assert!(waits[0] <= 3 && waits[7] <= 75, "{waits:?}");
    }

    /// What ends is tried for more often, and not in every second; what has ended, every few minutes.
    #[test]
    fn who_runs_out_of_time_neither_hammers_nor_gives_up() {
        for (life, tries_max) in [(86, 8), (3_600, 30), (31 * 86_400, 1_000)] {
            let all = pauses("web", life, None, || Pressed::Until(START + Span::seconds(life)));
            assert!(all.len() <= tries_max, "{life}: {} {all:?}", all.len());
            assert!(all.iter().skip(3).all(|pause| *pause >= 10), "{all:?}");
            assert!(*all.last().unwrap() <= 20.max(life / 3), "{all:?}");
        }
        // A hiccup does not cost what lives for seconds its life.
        assert!(
            retry("web", 1, Pressed::Until(START + Span::seconds(20)), None, START)
                <= START + Span::seconds(6)
        );
        for pressed in [Pressed::Already, Pressed::Until(START - Span::seconds(5)), Pressed::Until(START)] {
            let all = pauses("web", 86_400, None, || pressed);
            assert!(all.iter().skip(3).all(|pause| (10..=300).contains(pause)), "{pressed:?} {all:?}");
        }
    }

    #[test]
    fn a_server_may_put_others_off_within_reason() {
        let pause = |pressed, seconds| {
            (retry("web", 1, pressed, Some(Span::seconds(seconds)), START) - START).as_seconds()
        };
        let until = |left| Pressed::Until(START + Span::seconds(left));
        for (pressed, asked, least) in [
            (Pressed::No, 1_800, 1_800),
            (Pressed::No, 5, 10),
            (Pressed::No, 86_400, 3_600),
            (until(86), 30, 30),
            (until(86), 600, 43),
            (until(9_000), 86_400, 3_600),
            (Pressed::Already, 30, 30),
            (Pressed::Already, 86_400, 200),
            (Pressed::No, -5, 10),
        ] {
            let found = pause(pressed, asked);
            assert!((least..=least * 3 / 2).contains(&found), "{pressed:?} {asked}: {found}");
        }
    }

    #[test]
    fn ten_thousand_who_fail_do_not_come_back_together() {
        let mut seconds = vec![0_u32; 3_700];
        for number in 0..10_000 {
            let next = retry(&format!("web {number}"), 12, Pressed::No, None, START);
            seconds[usize::try_from((next - START).as_seconds()).unwrap()] += 1;
        }
        // About eight a second.
        assert!(seconds.iter().all(|count| *count < 40), "{:?}", seconds.iter().max());
    }
}
