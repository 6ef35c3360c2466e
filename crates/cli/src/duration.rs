//! How long something lasts, as people write it: `90s`, `12h`, `7d`.

use std::fmt;
use std::str::FromStr;

/// Units, the longest first, with how many seconds each has.
const UNITS: [(char, u32); 5] = [('w', 604_800), ('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];

/// A number of whole seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Duration(pub(crate) u32);

/// A text that tells of no duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is written as a number and `s`, `m`, `h`, `d` or `w`: `12h`")]
pub(crate) struct BadDuration;

impl FromStr for Duration {
    type Err = BadDuration;

    fn from_str(text: &str) -> Result<Self, BadDuration> {
        // Nothing without a unit, but for nothing itself: `7` might be days as well.
        if text == "0" {
            return Ok(Self(0));
        }
        let (at, unit) = text.char_indices().next_back().ok_or(BadDuration)?;
        let seconds = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, seconds)| *seconds);
        let number = Some(&text[..at]).filter(|number| number.bytes().all(|byte| byte.is_ascii_digit()));
        let number: u32 = number.and_then(|number| number.parse().ok()).ok_or(BadDuration)?;
        seconds.and_then(|seconds| number.checked_mul(seconds)).map(Self).ok_or(BadDuration)
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = UNITS.iter().find(|(_, seconds)| self.0 != 0 && self.0.is_multiple_of(*seconds));
        let (unit, seconds) = whole.copied().unwrap_or(('s', 1));
        write!(f, "{}{unit}", self.0 / seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit() {
        for (text, expected) in [
            ("0", Some((0, "0s"))),
            ("0s", Some((0, "0s"))),
            ("90s", Some((90, "90s"))),
            ("60m", Some((3_600, "1h"))),
            ("36h", Some((129_600, "36h"))),
            ("7d", Some((604_800, "1w"))),
            ("2w", Some((1_209_600, "2w"))),
            ("7", None),
            ("", None),
            ("s", None),
            ("-1s", None),
            ("+1s", None),
            ("1.5h", None),
            ("1é", None),
            ("9999999w", None),
        ] {
            let found = text.parse::<Duration>().ok().map(|found| (found.0, found.to_string()));
            assert_eq!(found, expected.map(|(seconds, text)| (seconds, text.to_owned())), "{text}");
        }
    }
}
