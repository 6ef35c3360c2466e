//! Plain words that YAML 1.1 takes for something other than a string: numbers, truth, times.
//!
//! The rules are those of PyYAML's resolver; such words must be quoted to stay strings.

/// Whether `text` without quotes would not be read as a string.
pub(super) fn means_something(text: &str) -> bool {
    is_word(text) || is_whole(text) || is_float(text) || is_time(text)
}

fn is_word(text: &str) -> bool {
    // `y` and `n` are not among them, whatever YAML 1.1 says.
    const CASED: [&str; 7] = ["yes", "no", "true", "false", "on", "off", "null"];
    matches!(text, "" | "~" | "<<" | "=")
        || CASED.iter().any(|word| {
            let is_cased = text == *word || text == word.to_uppercase();
            is_cased || (text.get(1..) == word.get(1..) && text.get(..1) == Some(&word[..1].to_uppercase()))
        })
}

fn is_whole(text: &str) -> bool {
    let digits = unsigned(text);
    let all = |digits: &str, is_digit: fn(&u8) -> bool| {
        !digits.is_empty() && digits.bytes().all(|b| b == b'_' || is_digit(&b))
    };
    if let Some(digits) = digits.strip_prefix("0b") {
        return all(digits, |b| matches!(b, b'0' | b'1'));
    }
    if let Some(digits) = digits.strip_prefix("0x") {
        return all(digits, u8::is_ascii_hexdigit);
    }
    if let Some(octal) = digits.strip_prefix('0') {
        return octal.is_empty() || all(octal, |b| matches!(b, b'0'..=b'7'));
    }
    let (first, sixties) = digits.split_once(':').map_or((digits, None), |(first, rest)| (first, Some(rest)));
    is_digits(first) && sixties.is_none_or(are_sixties)
}

fn is_float(text: &str) -> bool {
    let number = unsigned(text);
    if matches!(number, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return true;
    }
    let Some((whole, rest)) = number.split_once('.') else { return false };
    let is_fraction = |digits: &str| digits.bytes().all(|b| b == b'_' || b.is_ascii_digit());
    if let Some((first, sixties)) = whole.split_once(':') {
        return is_digits(first) && are_sixties(sixties) && is_fraction(rest);
    }
    let (fraction, exponent) =
        rest.find(['e', 'E']).map_or((rest, None), |at| (&rest[..at], Some(&rest[at + 1..])));
    let is_exponent = exponent.is_none_or(|exponent| {
        let digits = exponent.strip_prefix(['-', '+']).unwrap_or_default();
        !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
    });
    let is_number = if whole.is_empty() {
        // Without digits in front of it, a number has no sign, and digits behind it.
        number == text && is_digits(fraction)
    } else {
        is_digits(whole) && is_fraction(fraction)
    };
    is_number && is_exponent
}

/// Dates, `2001-12-14`, and times, `2001-12-14 21:59:43.10 -05:00` and the like.
fn is_time(text: &str) -> bool {
    let bytes = text.as_bytes();
    let is_date = bytes.len() == 10
        && bytes
            .iter()
            .enumerate()
            .all(|(at, b)| if matches!(at, 4 | 7) { *b == b'-' } else { b.is_ascii_digit() });
    is_date || is_moment(text).is_some()
}

fn is_moment(text: &str) -> Option<()> {
    let rest = digits(text, 4..=4)?.strip_prefix('-')?;
    let rest = digits(rest, 1..=2)?.strip_prefix('-')?;
    let rest = digits(rest, 1..=2)?;
    let rest = rest.strip_prefix(['T', 't']).or_else(|| {
        let rest_trimmed = rest.trim_start_matches([' ', '\t']);
        (rest_trimmed.len() < rest.len()).then_some(rest_trimmed)
    })?;
    let rest = digits(rest, 1..=2)?.strip_prefix(':')?;
    let rest = digits(rest, 2..=2)?.strip_prefix(':')?;
    let mut rest = digits(rest, 2..=2)?;
    if let Some(fraction) = rest.strip_prefix('.') {
        rest = fraction.trim_start_matches(|c: char| c.is_ascii_digit());
    }
    if rest.is_empty() {
        return Some(());
    }
    let zone = rest.trim_start_matches([' ', '\t']);
    if zone == "Z" {
        return Some(());
    }
    let rest = digits(zone.strip_prefix(['-', '+'])?, 1..=2)?;
    match rest.strip_prefix(':') {
        None => rest.is_empty().then_some(()),
        Some(minutes) => digits(minutes, 2..=2)?.is_empty().then_some(()),
    }
}

/// What is left behind the digits at the front, when there are as many as `range` says.
fn digits(text: &str, range: std::ops::RangeInclusive<usize>) -> Option<&str> {
    let found = text.bytes().take_while(u8::is_ascii_digit).count().min(*range.end());
    range.contains(&found).then(|| &text[found..])
}

fn unsigned(text: &str) -> &str {
    text.strip_prefix(['-', '+']).unwrap_or(text)
}

/// A digit, and then digits and underscores.
fn is_digits(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit()) && text.bytes().all(|b| b == b'_' || b.is_ascii_digit())
}

/// Numbers below 60 with colons between them.
fn are_sixties(text: &str) -> bool {
    text.split(':').all(|part| match part.as_bytes() {
        [one] => one.is_ascii_digit(),
        [ten, one] => (b'0'..=b'5').contains(ten) && one.is_ascii_digit(),
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_mean_something_are_known() {
        for text in [
            "",
            "~",
            "null",
            "Null",
            "NULL",
            "yes",
            "No",
            "ON",
            "true",
            "False",
            "=",
            "<<",
            "0",
            "-1",
            "+12",
            "1_000",
            "0b10",
            "0x1F",
            "017",
            "1:30",
            "190:20:30",
            "1.",
            "1.5",
            "-1.5e+3",
            ".5",
            "1:30.5",
            ".inf",
            "-.INF",
            ".nan",
            "2016-01-02",
            "2016-1-2 3:04:05",
            "2016-01-02T03:04:05.123456",
            "2016-01-02 03:04:05 +01:00",
            "2016-01-02t03:04:05Z",
        ] {
            assert!(means_something(text), "{text}");
        }
        for text in [
            "a",
            "y",
            "nO",
            "nUll",
            "TRUe",
            "10.0.0.1",
            "1e3",
            "1.5e3",
            "-.5",
            "08",
            "1:60",
            "0x",
            "-",
            "+",
            ".",
            "_1",
            "2016-1-2",
            "2016-01-02T",
            "2016-01-02T03:04",
            "é",
            "éa",
            "12a",
            "-.nan",
        ] {
            assert!(!means_something(text), "{text}");
        }
    }
}
