//! Moments as the original writes them: UTC, `%Y-%m-%dT%H:%M:%S.%f`, always six digits of a second and no zone
//! (commissaire contract, section 1).

use base::{Clock, Timestamp};

/// The moment now, to the millisecond.
pub(crate) fn now(clock: &Clock) -> String {
    written(clock.now_milliseconds())
}

/// The second of a moment that is written so; none where it is written otherwise, or not at all.
pub(crate) fn read(text: &str) -> Option<Timestamp> {
    Timestamp::from_rfc3339(&format!("{}Z", text.get(..19)?))
}

/// A moment to the second.
pub(crate) fn of(at: Timestamp) -> String {
    written(at.as_unix().saturating_mul(1_000))
}

fn written(milliseconds: i64) -> String {
    let second = Timestamp::from_unix(milliseconds.div_euclid(1_000));
    let text = second.to_string();
    format!("{}.{:03}000", text.trim_end_matches('Z'), milliseconds.rem_euclid(1_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn six_digits_and_no_zone() {
        assert_eq!(written(1_481_000_000_042), "2016-12-06T04:53:20.042000");
        assert_eq!(read("2016-12-06T04:53:20.042000"), Some(Timestamp::from_unix(1_481_000_000)));
        assert_eq!((read(""), read("yesterday, or the day before")), (None, None));
        assert_eq!(written(0), "1970-01-01T00:00:00.000000");
        assert_eq!(written(-1), "1969-12-31T23:59:59.999000");
    }
}
