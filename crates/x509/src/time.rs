//! The two ways in which certificates write a moment (RFC 5280 §4.1.2.5).
//!
//! `UTCTime` (`YYMMDDHHMMSSZ`) for 1950 to 2049, `GeneralizedTime` (`YYYYMMDDHHMMSSZ`) for the rest; always
//! in UTC and to the second.

use base::Timestamp;

use crate::der_reader::{Reader, tag};
use crate::der_writer::Writer;
use crate::error::ParseError;

/// The next element, which must be a time.
pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Timestamp, ParseError> {
    let element = reader.any()?;
    let timestamp = match (element.tag, element.content) {
        // 50 to 99 belong to the last century (RFC 5280 §4.1.2.5.1).
        (tag::UTC_TIME, [rest @ .., b'Z']) if rest.len() == 12 => digits(&rest[..2])
            .and_then(|year| moment(if year < 50 { 2_000 + year } else { 1_900 + year }, &rest[2..])),
        (tag::GENERALIZED_TIME, [rest @ .., b'Z']) if rest.len() == 14 => {
            digits(&rest[..4]).and_then(|year| moment(year, &rest[4..]))
        }
        _ => None,
    };
    timestamp.ok_or_else(|| reader.malformed())
}

/// Appends `at`, held to the years 1 to 9999.
pub(crate) fn write(writer: &mut Writer, at: Timestamp) {
    let seconds = at.as_unix().clamp(FIRST_SECOND, Timestamp::MAX.as_unix());
    let (year, month, day) = civil_from_days(seconds.div_euclid(86_400));
    let second = seconds.rem_euclid(86_400);
    let rest = format!("{month:02}{day:02}{:02}{:02}{:02}Z", second / 3_600, second / 60 % 60, second % 60);
    match year {
        1950..=2049 => writer.element(tag::UTC_TIME, format!("{:02}{rest}", year % 100).as_bytes()),
        _ => writer.element(tag::GENERALIZED_TIME, format!("{year:04}{rest}").as_bytes()),
    }
}

/// `year` and ten digits: month, day, hour, minute, second. `None` when there is no such moment.
fn moment(year: i64, rest: &[u8]) -> Option<Timestamp> {
    let field = |at: usize| digits(&rest[at..at + 2]);
    let (month, day, hour, minute, second) = (field(0)?, field(2)?, field(4)?, field(6)?, field(8)?);
    if !(1..=12).contains(&month) || day < 1 || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let days = days_from_civil(year, month, day);
    // A day that the month does not have would be one of the next month.
    let exists = civil_from_days(days) == (year, month, day);
    exists.then(|| Timestamp::from_unix(days * 86_400 + hour * 3_600 + minute * 60 + second))
}

/// 0001-01-01T00:00:00Z.
const FIRST_SECOND: i64 = -62_135_596_800;

/// The days from 1970-01-01 to a date of the Gregorian calendar.
///
/// Counted from 1 March of the year 0, so that the leap day is the last of its year, and in eras of 400
/// years, which all have the same length (Hinnant, "chrono-Compatible Low-Level Date Algorithms").
/// jiff, which counts the days elsewhere, stops a day before 9999-12-31T23:59:59Z, the end of those
/// certificates that have none (RFC 5280 §4.1.2.5).
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// Year, month and day of what [`days_from_civil`] counts.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = (shifted + 2) % 12 + 1;
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day_of_year - (153 * shifted + 2) / 5 + 1)
}

/// The number that up to four decimal digits spell.
fn digits(text: &[u8]) -> Option<i64> {
    text.iter()
        .try_fold(0, |number, digit| digit.is_ascii_digit().then(|| number * 10 + i64::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::der_writer::element;

    #[test]
    fn there_and_back() {
        let table = [
            (0, tag::UTC_TIME, "700101000000Z"),
            (-631_152_000, tag::UTC_TIME, "500101000000Z"),
            (-631_152_001, tag::GENERALIZED_TIME, "19491231235959Z"),
            (2_524_607_999, tag::UTC_TIME, "491231235959Z"),
            (2_524_608_000, tag::GENERALIZED_TIME, "20500101000000Z"),
            (1_709_210_096, tag::UTC_TIME, "240229123456Z"),
            (253_402_300_799, tag::GENERALIZED_TIME, "99991231235959Z"),
        ];
        for (seconds, tag, text) in table {
            let at = Timestamp::from_unix(seconds);
            let mut writer = Writer::default();
            write(&mut writer, at);
            let der = writer.into_bytes();
            assert_eq!(der, element(tag, text.as_bytes()), "{text}");
            assert_eq!(read(&mut Reader::new(&der, "test")), Ok(at), "{text}");
        }
    }

    #[test]
    fn days_are_counted_both_ways() {
        let mut expected = (1, 1, 1);
        let first = days_from_civil(1, 1, 1);
        assert_eq!(first * 86_400, FIRST_SECOND);
        for days in first..=days_from_civil(9999, 12, 31) {
            assert_eq!(civil_from_days(days), expected);
            assert_eq!(days_from_civil(expected.0, expected.1, expected.2), days);
            let (year, month, day) = expected;
            let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let last = [31, if is_leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
                [month as usize - 1];
            expected = match (month, day) {
                (12, 31) => (year + 1, 1, 1),
                _ if day == last => (year, month + 1, 1),
                _ => (year, month, day + 1),
            };
        }
    }

    #[test]
    fn refuses_other_forms() {
        let table = [
            (tag::UTC_TIME, "2402291234Z"),
            (tag::UTC_TIME, "240229123456+0000"),
            (tag::UTC_TIME, "230229123456Z"),
            (tag::UTC_TIME, "240431123456Z"),
            (tag::UTC_TIME, "240029123456Z"),
            (tag::UTC_TIME, "241329123456Z"),
            (tag::UTC_TIME, "240200123456Z"),
            (tag::UTC_TIME, "240229240000Z"),
            (tag::UTC_TIME, "240229126056Z"),
            (tag::UTC_TIME, "240229123460Z"),
            (tag::UTC_TIME, "2402291234 6Z"),
            (tag::UTC_TIME, "240229123456z"),
            (tag::UTC_TIME, "Z"),
            (tag::UTC_TIME, ""),
            (tag::GENERALIZED_TIME, "20240229123456.5Z"),
            (tag::GENERALIZED_TIME, "240229123456Z"),
            (tag::OCTET_STRING, "240229123456Z"),
        ];
        for (tag, text) in table {
            let der = element(tag, text.as_bytes());
            assert!(read(&mut Reader::new(&der, "test")).is_err(), "{text}");
        }
    }
}
