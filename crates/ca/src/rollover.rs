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
