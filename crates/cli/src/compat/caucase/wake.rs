//! When a program that looks after certificates wakes up. Pure.
//!
//! ```text
//! next = the soonest of   now + the longest sleep
//!                         each revocation list's next update - its threshold
//!                         the certificate's end - its threshold
//!        but never sooner than a minute from now
//! ```
//! Units: whole seconds. Source: the caucase contract, 7.3.

use base::{Span, Timestamp};

/// Whatever is due already, there is a pause of this length.
const PAUSE_MIN: Span = Span::seconds(60);

/// The shortest piece that a longer sleep is cut into.
const PIECE_MIN: Span = Span::seconds(600);

/// When to look again whether there is something to be done; `due` is when some of it is.
pub(super) fn next(now: Timestamp, longest: Span, due: impl IntoIterator<Item = Timestamp>) -> Timestamp {
    let soonest = due.into_iter().fold(now + longest, Timestamp::min);
    soonest.max(now + PAUSE_MIN)
}

/// How long to sleep before the clock is looked at again, when so much is left: half of it. A machine that was suspended,
/// or whose clock was set, notices that way.
pub(super) fn piece(left: Span) -> Span {
    if left <= PIECE_MIN { left } else { left.fraction(1, 2).max(PIECE_MIN) }
}

/// A time as the programs of old print it.
pub(super) fn shown(at: Timestamp) -> String {
    let (year, month, day, hour, minute, second) = at.fields();
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} +0000")
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix(1_700_000_000);
    const DAY: i64 = 86_400;

    #[test]
    fn the_soonest_counts_but_for_a_minute() {
        for (longest, due, expected) in [
            (31 * DAY, &[][..], 31 * DAY),
            (31 * DAY, &[23 * DAY], 23 * DAY),
            (31 * DAY, &[23 * DAY, 62 * DAY], 23 * DAY),
            (31 * DAY, &[62 * DAY, 23 * DAY], 23 * DAY),
            (31 * DAY, &[62 * DAY, 40 * DAY], 31 * DAY),
            (DAY / 2, &[23 * DAY], DAY / 2),
            (31 * DAY, &[59], 60),
            (31 * DAY, &[60], 60),
            (31 * DAY, &[61], 61),
            (31 * DAY, &[-5 * DAY, 7 * DAY], 60),
            (0, &[], 60),
            (-DAY, &[DAY], 60),
            (i64::MAX, &[DAY], DAY),
            (DAY, &[i64::MAX, i64::MIN], 60),
        ] {
            let times = due.iter().map(|seconds| NOW + Span::seconds(*seconds));
            let expected = NOW + Span::seconds(expected);
            assert_eq!(next(NOW, Span::seconds(longest), times), expected, "{longest} {due:?}");
        }
    }

    #[test]
    fn sleep_is_cut_into_halves_of_at_least_ten_minutes() {
        for (left, expected) in [
            (1, 1),
            (599, 599),
            (600, 600),
            (601, 600),
            (1_199, 600),
            (1_200, 600),
            (1_202, 601),
            (31 * DAY, 31 * DAY / 2),
        ] {
            assert_eq!(piece(Span::seconds(left)), Span::seconds(expected), "{left}");
        }
    }

    /// However long it is, it comes to its end in few pieces.
    #[test]
    fn pieces_come_to_an_end() {
        for whole in [1, 600, 1_000, 31 * DAY, 10_000 * DAY] {
            let (mut left, mut pieces) = (Span::seconds(whole), 0);
            while left > Span::ZERO {
                left = Span::seconds(left.as_seconds() - piece(left).as_seconds());
                pieces += 1;
            }
            assert!(left == Span::ZERO && pieces <= 25, "{whole}: {pieces}");
        }
    }

    #[test]
    fn times_are_shown_as_they_were() {
        assert_eq!(shown(Timestamp::from_unix(0)), "1970-01-01 00:00:00 +0000");
        assert_eq!(shown(NOW), "2023-11-14 22:13:20 +0000");
    }
}
