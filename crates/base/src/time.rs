//! What time it is, in whole seconds, and who says so.

use std::fmt;
use std::ops::{Add, Sub};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use crate::calendar::{civil_from_days, days_from_civil};

/// A moment: whole seconds since 1970-01-01T00:00:00Z, leap seconds not counted.
///
/// Certificates know nothing finer (RFC 5280 §4.1.2.5). Arithmetic saturates.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// A length of time in whole seconds; may be negative.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(i64);

impl Timestamp {
    /// The last second that a certificate can name: 9999-12-31T23:59:59Z (RFC 5280 §4.1.2.5.2).
    pub const MAX: Self = Self(253_402_300_799);
    /// 0001-01-01T00:00:00Z, before which no date is written.
    const MIN_CIVIL: Self = Self(-62_135_596_800);

    /// `seconds` after the epoch.
    #[must_use]
    pub const fn from_unix(seconds: i64) -> Self {
        Self(seconds)
    }

    /// Seconds since the epoch.
    #[must_use]
    pub const fn as_unix(self) -> i64 {
        self.0
    }

    /// Year, month (1 to 12), day (1 to 31), hour, minute, second in UTC; held to the years 1 to 9999.
    ///
    /// # Panics
    /// Never: the fields of a date are small.
    #[must_use]
    pub fn fields(self) -> (u16, u8, u8, u8, u8, u8) {
        const FITS: &str = "the fields of a date between the years 1 and 9999 are small";
        let seconds = self.0.clamp(Self::MIN_CIVIL.0, Self::MAX.0);
        let (year, month, day) = civil_from_days(seconds.div_euclid(86_400));
        let of_day = seconds.rem_euclid(86_400);
        let small = |field: i64| u8::try_from(field).expect(FITS);
        let year = u16::try_from(year).expect(FITS);
        (year, small(month), small(day), small(of_day / 3_600), small(of_day / 60 % 60), small(of_day % 60))
    }

    /// The moment with these fields, as [`Timestamp::fields`] gives them; `None` when the calendar has no such
    /// date or the day no such second. Leap seconds are none.
    #[must_use]
    pub fn from_fields((year, month, day, hour, minute, second): (u16, u8, u8, u8, u8, u8)) -> Option<Self> {
        let [year, month, day] = [i64::from(year), i64::from(month), i64::from(day)];
        if !(1..=9999).contains(&year) || !(1..=12).contains(&month) || day < 1 {
            return None;
        }
        if hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        let days = days_from_civil(year, month, day);
        // A day that the month does not have would be one of the next month.
        let exists = civil_from_days(days) == (year, month, day);
        let of_day = i64::from(hour) * 3_600 + i64::from(minute) * 60 + i64::from(second);
        exists.then_some(Self(days * 86_400 + of_day))
    }

    /// The moment that is written so, as [`Timestamp`] is displayed: RFC 3339, in UTC and to the second. `None` for
    /// everything else.
    #[must_use]
    pub fn from_rfc3339(text: &str) -> Option<Self> {
        let number = |digits: &str| {
            let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
            is_number.then(|| digits.parse::<u16>().ok()).flatten()
        };
        let two = |at: usize| number(text.get(at..at + 2)?).and_then(|number| u8::try_from(number).ok());
        let between: String =
            [4, 7, 10, 13, 16, 19].into_iter().filter_map(|at| text.get(at..at + 1)).collect();
        if text.len() != 20 || between != "--T::Z" {
            return None;
        }
        let fields = (number(text.get(..4)?)?, two(5)?, two(8)?, two(11)?, two(14)?, two(17)?);
        Self::from_fields(fields)
    }

    /// As in HTTP's `Date`: `Sun, 06 Nov 1994 08:49:37 GMT` (IMF-fixdate, RFC 9110 §5.6.7).
    #[must_use]
    pub fn http_date(self) -> String {
        // The epoch was a Thursday.
        const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
        let (year, month, day, hour, minute, second) = self.fields();
        let held = self.0.clamp(Self::MIN_CIVIL.0, Self::MAX.0);
        let weekday = usize::try_from(held.div_euclid(86_400).rem_euclid(7)).map_or("", |day| DAYS[day]);
        let month = month_name(month);
        format!("{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT")
    }

    /// As in the common log format: `06/Nov/1994:08:49:37 +0000`.
    #[must_use]
    pub fn log_date(self) -> String {
        let (year, month, day, hour, minute, second) = self.fields();
        // Without `write!`, which takes many times as long: every line of an access log has one.
        let mut date = *b"00/Nov/0000:00:00:00 +0000";
        let mut put = |at: usize, number: u16| {
            for (at, digit) in [(at, number / 10 % 10), (at + 1, number % 10)] {
                date[at] = b"0123456789"[usize::from(digit)];
            }
        };
        put(0, day.into());
        put(7, year / 100);
        put(9, year);
        put(12, hour.into());
        put(15, minute.into());
        put(18, second.into());
        date[3..6].copy_from_slice(month_name(month).as_bytes());
        std::str::from_utf8(&date).expect("digits and names of months are ASCII").to_owned()
    }
}

fn month_name(month: u8) -> &'static str {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    MONTHS[usize::from(month) - 1]
}

impl Span {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// `seconds` long.
    #[must_use]
    pub const fn seconds(seconds: i64) -> Self {
        Self(seconds)
    }

    /// `days` of 86,400 seconds.
    #[must_use]
    pub const fn days(days: i64) -> Self {
        Self(days.saturating_mul(86_400))
    }

    /// `days`, of which there may be a fraction; cut to the second below. `None` when it is not a number.
    #[must_use]
    pub fn days_f64(days: f64) -> Option<Self> {
        #[expect(clippy::cast_possible_truncation, reason = "`as` saturates, which is what is wanted")]
        days.is_finite().then(|| Self((days * 86_400.0).floor() as i64))
    }

    /// How many seconds it is long.
    #[must_use]
    pub const fn as_seconds(self) -> i64 {
        self.0
    }

    /// As the standard library's duration; nothing when it is negative.
    #[must_use]
    pub fn as_duration(self) -> std::time::Duration {
        std::time::Duration::from_secs(u64::try_from(self.0).unwrap_or(0))
    }

    /// `numerator / denominator` of it, cut to the second below.
    #[must_use]
    pub fn fraction(self, numerator: i64, denominator: i64) -> Self {
        let exact = i128::from(self.0) * i128::from(numerator) / i128::from(denominator);
        Self(i64::try_from(exact).unwrap_or(if exact < 0 { i64::MIN } else { i64::MAX }))
    }
}

impl Add<Span> for Timestamp {
    type Output = Self;
    fn add(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.0))
    }
}

impl Sub<Span> for Timestamp {
    type Output = Self;
    fn sub(self, span: Span) -> Self {
        Self(self.0.saturating_sub(span.0))
    }
}

impl Sub for Timestamp {
    type Output = Span;
    fn sub(self, earlier: Self) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }
}

impl Add for Span {
    type Output = Self;
    fn add(self, more: Self) -> Self {
        Self(self.0.saturating_add(more.0))
    }
}

impl fmt::Display for Timestamp {
    /// As in RFC 3339: `1994-11-06T08:49:37Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day, hour, minute, second) = self.fields();
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Span {
    /// The two largest units: `93d 0h`, `2h 5m`, `7s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, seconds) =
            if self.0 < 0 { ("-", self.0.unsigned_abs()) } else { ("", self.0.unsigned_abs()) };
        match (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60) {
            (0, 0, 0, s) => write!(f, "{sign}{s}s"),
            (0, 0, m, s) => write!(f, "{sign}{m}m {s}s"),
            (0, h, m, _) => write!(f, "{sign}{h}h {m}m"),
            (d, h, ..) => write!(f, "{sign}{d}d {h}h"),
        }
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Says what time it is: the system's clock in the program, one moved by hand in tests.
///
/// Cloning shares the clock.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// The operating system's clock.
    #[must_use]
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands at `at` until [`Clock::advance`] moves it. For tests.
    #[must_use]
    pub fn manual(at: Timestamp) -> Self {
        Self(Source::Manual(Arc::new(AtomicI64::new(at.0))))
    }

    /// The time now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        Timestamp::from_unix(self.now_milliseconds().div_euclid(1_000))
    }

    /// The time now in milliseconds since the epoch, for putting events in order.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the one door to the real clock")]
    pub fn now_milliseconds(&self) -> i64 {
        match &self.0 {
            Source::System => match std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH) {
                Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
                Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |ms| -ms),
            },
            Source::Manual(at) => at.load(Ordering::SeqCst).saturating_mul(1_000),
        }
    }

    /// Moves a manual clock on by `span`; the system's clock is not ours to move.
    pub fn advance(&self, span: Span) {
        if let Source::Manual(at) = &self.0 {
            at.fetch_add(span.0, Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_written_as_the_standards_say() {
        let at = Timestamp::from_unix(784_111_777);
        assert_eq!(at.http_date(), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(at.log_date(), "06/Nov/1994:08:49:37 +0000");
        assert_eq!(at.to_string(), "1994-11-06T08:49:37Z");
        assert_eq!(at.fields(), (1994, 11, 6, 8, 49, 37));
        assert_eq!(Timestamp::from_fields(at.fields()), Some(at));
        for (seconds, text) in [
            (Timestamp::MAX.as_unix(), "9999-12-31T23:59:59Z"),
            (i64::MAX, "9999-12-31T23:59:59Z"),
            (i64::MIN, "0001-01-01T00:00:00Z"),
            (-1, "1969-12-31T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (1_709_251_199, "2024-02-29T23:59:59Z"),
        ] {
            assert_eq!(Timestamp::from_unix(seconds).to_string(), text);
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        for text in ["1994-11-06T08:49:37Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"] {
            assert_eq!(Timestamp::from_rfc3339(text).unwrap().to_string(), text);
        }
        for text in [
            "",
            "1994-11-06",
            "1994-11-06T08:49:37",
            "1994-11-06T08:49:37+00:00",
            "1994-11-06 08:49:37Z",
            "1994-11-06T08:49:37.5Z",
            "1994-13-06T08:49:37Z",
            "1994-11-06T08:49:60Z",
            "+994-11-06T08:49:37Z",
            "1994-11-06T08:49:+7Z",
            "1994-11-06T08:49:3éZ",
            "199é-11-06T08:49:37Z",
        ] {
            assert_eq!(Timestamp::from_rfc3339(text), None, "{text}");
        }
    }

    #[test]
    fn dates_that_are_none_are_refused() {
        for fields in [
            (2023, 2, 29, 0, 0, 0),
            (2024, 4, 31, 0, 0, 0),
            (2024, 13, 1, 0, 0, 0),
            (2024, 0, 1, 0, 0, 0),
            (2024, 1, 0, 0, 0, 0),
            (0, 1, 1, 0, 0, 0),
            (10_000, 1, 1, 0, 0, 0),
            (2024, 1, 1, 24, 0, 0),
            (2024, 1, 1, 0, 60, 0),
            (2024, 1, 1, 0, 0, 60),
        ] {
            assert_eq!(Timestamp::from_fields(fields), None, "{fields:?}");
        }
    }

    #[test]
    fn spans_keep_to_whole_seconds() {
        assert_eq!(Span::days_f64(0.05), Some(Span::seconds(4_320)));
        assert_eq!(Span::days_f64(f64::NAN), None);
        assert_eq!(Span::days(93).fraction(33, 100), Span::seconds(2_651_616));
        assert_eq!(Span::days(93).to_string(), "93d 0h");
        assert_eq!(Span::seconds(-61).to_string(), "-1m 1s");
    }

    #[test]
    fn a_manual_clock_moves_when_told() {
        let clock = Clock::manual(Timestamp::from_unix(100));
        let same = clock.clone();
        clock.advance(Span::seconds(5));
        assert_eq!(same.now(), Timestamp::from_unix(105));
    }

    #[test]
    fn arithmetic_saturates() {
        assert_eq!(Timestamp::from_unix(i64::MAX) + Span::days(1), Timestamp::from_unix(i64::MAX));
    }
}
