//! When something is due. Pure: what is known, and the time now, give the time of the next look.
//!
//! Whoever has the same rules as ten thousand others does not come in the same minute as they do: each moment is put off by a
//! part of the jitter that follows from the name and the serial number. It is the same part whenever it is asked for, so nobody
//! has to remember it.

use base::{Span, Timestamp, sha256};

/// The pauses after something went wrong: the first, and the longest.
const BACK_OFF: (Span, Span) = (Span::seconds(10), Span::seconds(600));
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

/// The next look after one at `now` that failed, as `failures` in a row did, where a certificate is over at `until`.
pub(super) fn retry(name: &str, failures: u32, until: Option<Timestamp>, now: Timestamp) -> Timestamp {
    let mut pause = doubled(BACK_OFF, failures);
    pause = pause + part(name, &failures.to_string(), pause.fraction(1, 4));
    // Whatever is about to end cannot wait as long.
    if let Some(left) = until.map(|until| until - now).filter(|left| *left > Span::ZERO) {
        pause = pause.min(left.fraction(1, 10).max(FLOOR.0));
    }
    now + pause
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

    #[test]
    fn who_fails_comes_back_ever_later_and_in_time() {
        let pause = |failures, left: Option<i64>| {
            let until = left.map(|left| START + Span::seconds(left));
            (retry("web", failures, until, START) - START).as_seconds()
        };
        let pauses: Vec<i64> = (1..10).map(|failures| pause(failures, None)).collect();
        for (pause, least) in pauses.iter().zip([10, 20, 40, 80, 160, 320, 600, 600, 600]) {
            assert!((least..=least * 5 / 4).contains(pause), "{pauses:?}");
        }
        assert!(pause(u32::MAX, None) <= 750);
        assert_eq!((pause(9, Some(600)), pause(9, Some(5)), pause(1, Some(86_400))), (60, 1, pause(1, None)));
        assert!(pause(9, Some(-5)) >= 600, "what is over already does not hurry");
        let waits: Vec<i64> =
            (1..9).map(|looks| (waiting("web", looks, START) - START).as_seconds()).collect();
        assert!(waits[0] <= 3 && waits[7] <= 75, "{waits:?}");
    }
}
