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
    let (year, month, day, hour, minute, second) = at.fields();
    let rest = format!("{month:02}{day:02}{hour:02}{minute:02}{second:02}Z");
    match year {
        1950..=2049 => writer.element(tag::UTC_TIME, format!("{:02}{rest}", year % 100).as_bytes()),
        _ => writer.element(tag::GENERALIZED_TIME, format!("{year:04}{rest}").as_bytes()),
    }
}

/// `year` and ten digits: month, day, hour, minute, second. `None` when there is no such moment.
fn moment(year: u16, rest: &[u8]) -> Option<Timestamp> {
    let field = |at: usize| digits(&rest[at..at + 2]).and_then(|field| u8::try_from(field).ok());
    Timestamp::from_fields((year, field(0)?, field(2)?, field(4)?, field(6)?, field(8)?))
}

/// The number that up to four decimal digits spell.
fn digits(text: &[u8]) -> Option<u16> {
    text.iter()
        .try_fold(0, |number, digit| digit.is_ascii_digit().then(|| number * 10 + u16::from(digit - b'0')))
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
