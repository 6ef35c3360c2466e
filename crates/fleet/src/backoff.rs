//! When to try again what has failed.

use base::{Span, Timestamp};

/// After the first failure.
const FIRST: Span = Span::seconds(30);
/// After many.
const LONGEST: Span = Span::seconds(3_600);

/// When to try again after so many failures in a row, at least one: after half a minute, doubled each time up to an
/// hour, more or less a quarter of it as `chance` (any number) has it, so that hosts that failed together do not come
/// back together.
#[must_use]
pub fn retry_at(attempts: u32, now: Timestamp, chance: u64) -> Timestamp {
    let doubled = 2_i64.saturating_pow(attempts.saturating_sub(1).min(30));
    let wait = Span::seconds(FIRST.as_seconds().saturating_mul(doubled)).min(LONGEST);
    // 750 to 1,250 thousandths.
    let thousandths = 750 + i64::try_from(chance % 501).unwrap_or(0);
    now + wait.fraction(thousandths, 1_000)
}

#[cfg(test)]
mod tests {
    use base::Entropy;

    use super::*;

    #[test]
    fn pauses_double_up_to_an_hour_and_scatter() {
        let now = Timestamp::from_unix(1_000);
        for (attempts, seconds) in
            [(0, 30), (1, 30), (2, 60), (5, 480), (7, 1_920), (8, 3_600), (u32::MAX, 3_600)]
        {
            assert_eq!(retry_at(attempts, now, 250), now + Span::seconds(seconds), "{attempts}");
        }
        let entropy = Entropy::seeded(3);
        let waits: Vec<i64> =
            (0..200).map(|_| retry_at(8, now, entropy.number()).as_unix() - now.as_unix()).collect();
        assert!(waits.iter().all(|wait| (2_700..=4_500).contains(wait)), "{waits:?}");
        assert!(waits.iter().max() > waits.iter().min().map(|min| min + 1_500).as_ref(), "{waits:?}");
    }
}
