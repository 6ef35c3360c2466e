//! When one CA certificate hands over to the next.
//!
//! A new CA certificate is handed out for one leaf lifetime before it signs, so every holder renews, and
//! so meets it, at least once in between.
//!
//! ```text
//! phase    none ───────────► passive ───────────► active ─────────────► expired
//! begins   first start       the one before has   it is one lifetime    its not_after
//!                            2 lifetimes left     old
//! ```
//!
//! Units: whole seconds, both ends included (RFC 5280 §4.1.2.5). Source: caucase contract, sections 1, 6.2.
//! Invariant: a holder that renews on time trusts an issuer before that issuer signs anything.

use base::{Span, Timestamp};

/// The dates of one CA certificate; the only thing rollover looks at.
pub(crate) trait Dated {
    /// Its first second.
    fn not_before(&self) -> Timestamp;
    /// Its last second.
    fn not_after(&self) -> Timestamp;
}

/// How far dates are set back, so that holders whose clock is a little behind accept what was just made.
pub const BACK_DATED: Span = Span::seconds(10);

/// Whether a new CA certificate must be made: there is none, or the newest has two leaf lifetimes left.
pub(crate) fn needs_successor(issuers: &[impl Dated], leaf_life: Span, now: Timestamp) -> bool {
    newest(issuers).is_none_or(|newest| newest.not_after() - now <= leaf_life + leaf_life)
}

/// The CA certificate that signs now: the newest that was handed out for a whole leaf lifetime. When none was yet, the
/// oldest that outlives what it signs, so that one that was made early does not sign before its holders know it; and else
/// the newest of all. Expired ones never sign.
pub(crate) fn active<D: Dated>(issuers: &[D], leaf_life: Span, now: Timestamp) -> Option<&D> {
    let valid = || issuers.iter().filter(|issuer| issuer.not_after() >= now);
    valid()
        .filter(|issuer| issuer.not_before() + leaf_life < now)
        .max_by_key(|issuer| issuer.not_after())
        .or_else(|| {
            valid()
                .filter(|issuer| issuer.not_after() - leaf_life >= now)
                .min_by_key(|issuer| issuer.not_after())
        })
        .or_else(|| valid().max_by_key(|issuer| issuer.not_after()))
}

/// The oldest CA certificate that is still valid: who trusts it can learn all later ones.
pub(crate) fn oldest<D: Dated>(issuers: &[D], now: Timestamp) -> Option<&D> {
    issuers.iter().filter(|issuer| issuer.not_after() >= now).min_by_key(|issuer| issuer.not_after())
}

/// How far ahead of the clock a CA certificate may begin and still count: a hundredth of a leaf lifetime. A clock
/// that is set back by minutes or hours, or that of another process, makes no CA certificate a stranger.
fn counts_from(issuer: &impl Dated, leaf_life: Span) -> Timestamp {
    issuer.not_before() - leaf_life.fraction(1, 100)
}

fn is_to_come(issuer: &impl Dated, leaf_life: Span, now: Timestamp) -> bool {
    counts_from(issuer, leaf_life) > now
}

/// Leaves out the CA certificates whose time is still to come: a clock that ran far ahead made them. Counted in,
/// the newest of them would keep the next one from being made when it is needed. When its day has come it is
/// handed out for one leaf lifetime, as every new one is. Where nothing else is left all stay: then it is the
/// clock that is far behind, and another CA certificate would be one too many. Gives when the first of those that
/// were left out counts.
pub(crate) fn leave_out_those_to_come<D: Dated>(
    issuers: &mut Vec<D>,
    leaf_life: Span,
    now: Timestamp,
) -> Option<Timestamp> {
    if issuers.iter().all(|issuer| is_to_come(issuer, leaf_life, now)) {
        return None;
    }
    let left_out = issuers.extract_if(.., |issuer| is_to_come(issuer, leaf_life, now));
    left_out.map(|issuer| counts_from(&issuer, leaf_life)).min()
}

/// Whether `issuers` are those that count now: none expired, and none to be left out.
pub(crate) fn all_count(issuers: &[impl Dated], leaf_life: Span, now: Timestamp) -> bool {
    let none_expired = issuers.iter().all(|issuer| issuer.not_after() >= now);
    let to_come = issuers.iter().filter(|issuer| is_to_come(*issuer, leaf_life, now)).count();
    none_expired && (to_come == 0 || to_come == issuers.len())
}

fn newest<D: Dated>(issuers: &[D]) -> Option<&D> {
    issuers.iter().max_by_key(|issuer| issuer.not_after())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq)]
    struct Ca(i64);
    impl Dated for Ca {
        fn not_before(&self) -> Timestamp {
            day(self.0)
        }
        fn not_after(&self) -> Timestamp {
            day(self.0 + 372)
        }
    }
    fn day(day: i64) -> Timestamp {
        Timestamp::from_unix(0) + Span::days(day)
    }
    const LIFE: Span = Span::days(93);

    /// The contract's timeline: CA1 signs 0 to 279 d, CA2 exists from 186 d and signs from 279 d.
    #[test]
    fn the_default_timeline() {
        let one = &[Ca(0)];
        let both = &[Ca(0), Ca(186)];
        assert!(needs_successor(&[] as &[Ca], LIFE, day(0)));
        assert!(!needs_successor(one, LIFE, day(185)));
        assert!(needs_successor(one, LIFE, day(186)));
        for (today, signs, oldest_valid) in
            [(0, 0, 0), (186, 0, 0), (279, 0, 0), (280, 186, 0), (373, 186, 186)]
        {
            let set: &[Ca] = if today < 186 { one } else { both };
            assert_eq!(active(set, LIFE, day(today)), Some(&Ca(signs)), "signs on day {today}");
            assert_eq!(oldest(set, day(today)), Some(&Ca(oldest_valid)), "oldest on day {today}");
        }
        assert_eq!(active(one, LIFE, day(373)), None);
    }

    /// A clock that was years ahead, and one that is days or years behind.
    #[test]
    fn those_to_come_do_not_count_unless_there_are_no_others() {
        let check = |issuers: &[i64], today: i64, counted: &[i64]| {
            let mut left: Vec<Ca> = issuers.iter().copied().map(Ca).collect();
            assert_eq!(all_count(&left, LIFE, day(today)), issuers == counted, "{issuers:?} on day {today}");
            leave_out_those_to_come(&mut left, LIFE, day(today));
            assert_eq!(left.iter().map(|ca| ca.0).collect::<Vec<_>>(), counted, "day {today}");
            assert!(all_count(&left, LIFE, day(today)));
        };
        check(&[0, 1_900], 70, &[0]);
        check(&[0, 186, 1_900], 200, &[0, 186]);
        check(&[1_700, 1_900], 1_900, &[1_700, 1_900]);
        check(&[100], 0, &[100]);
        check(&[0, 186], 185, &[0]);
        let one_hour_early = day(186) - Span::seconds(3_600);
        assert!(all_count(&[Ca(0), Ca(186)], LIFE, one_hour_early));
    }

    #[test]
    fn the_very_first_signs_at_once() {
        assert_eq!(active(&[Ca(0)], LIFE, day(0)), Some(&Ca(0)));
    }

    /// One that was made early waits as one that was made in time, also when the one before it is young itself.
    #[test]
    fn the_next_waits_however_early_it_was_made() {
        for made in [1, 50, 93, 120, 300] {
            let both = &[Ca(0), Ca(made)];
            for today in made..372 {
                let signs = if today <= made + 93 { 0 } else { made };
                // The first one expires at 372.
                assert_eq!(
                    active(both, LIFE, day(today)),
                    Some(&Ca(signs)),
                    "made on day {made}, day {today}"
                );
            }
        }
    }
}
