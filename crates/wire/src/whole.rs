//! Whole numbers as JSON Schema has them: `14451.0` is one (JSON Schema, core, section 6.3), and some programs write them
//! so.

use std::fmt;

use serde::Deserializer;
use serde::de::{Deserialize, Error, Unexpected, Visitor};

/// The largest number that every JSON parser tells from its neighbours (RFC 8259 §6).
pub(crate) const SAFE_MAX: u64 = (1 << 53) - 1;
/// The largest number that 32 bits hold.
const WHOLE_MAX: u64 = u32::MAX as u64;

/// A whole number from 0 that 32 bits hold.
pub(crate) fn whole<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
    // Just looked at: nothing is cut off.
    UpTo::<WHOLE_MAX>::deserialize(from).map(|whole| whole.0 as u32)
}

/// The same, or `null`.
pub(crate) fn optional_whole<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u32>, D::Error> {
    Ok(Option::<UpTo<WHOLE_MAX>>::deserialize(from)?.map(|whole| whole.0 as u32))
}

/// A whole number from 0 to [`SAFE_MAX`], or `null`.
pub(crate) fn optional_safe<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    Ok(Option::<UpTo<SAFE_MAX>>::deserialize(from)?.map(|safe| safe.0))
}

/// A whole number from 0 to `MAX`, which is [`SAFE_MAX`] at most.
struct UpTo<const MAX: u64>(u64);

impl<'de, const MAX: u64> Deserialize<'de> for UpTo<MAX> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        // Not `deserialize_u64`: where a tag comes first, what was read aside would refuse a point.
        from.deserialize_any(Numbers)
    }
}

struct Numbers<const MAX: u64>;

impl<const MAX: u64> Visitor<'_> for Numbers<MAX> {
    type Value = UpTo<MAX>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a whole number up to {MAX}")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<UpTo<MAX>, E> {
        if number <= MAX {
            Ok(UpTo(number))
        } else {
            Err(E::invalid_value(Unexpected::Unsigned(number), &self))
        }
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<UpTo<MAX>, E> {
        match u64::try_from(number) {
            Ok(number) => self.visit_u64(number),
            Err(_) => Err(E::invalid_value(Unexpected::Signed(number), &self)),
        }
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<UpTo<MAX>, E> {
        // Every whole number up to MAX is one here.
        if number.fract() != 0.0 || !(0.0..=MAX as f64).contains(&number) {
            return Err(E::invalid_type(Unexpected::Float(number), &self));
        }
        // Just looked at: nothing is cut off.
        Ok(UpTo(number as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_may_be_written_with_a_point() {
        for (text, expected) in [
            ("0", Some(0)),
            ("7", Some(7)),
            ("14451.0", Some(14_451)),
            ("-0.0", Some(0)),
            ("1e3", Some(1_000)),
            ("4294967295.0", Some(u32::MAX)),
            ("4294967296.0", None),
            ("4294967296", None),
            ("1.5", None),
            ("-1", None),
            ("-1.0", None),
            ("1e400", None),
            ("true", None),
            ("\"7\"", None),
            ("null", None),
        ] {
            let read = whole(&mut serde_json::Deserializer::from_str(text)).ok();
            assert_eq!(read, expected, "{text}");
            let read = optional_whole(&mut serde_json::Deserializer::from_str(text));
            assert_eq!(read.ok().flatten(), expected, "{text}");
        }
    }

    #[test]
    fn larger_ones_are_taken_as_far_as_everybody_tells_them_apart() {
        for (text, expected) in [
            ("9007199254740991", Some(SAFE_MAX)),
            ("9007199254740991.0", Some(SAFE_MAX)),
            ("9007199254740992", None),
            ("9007199254740992.0", None),
            ("4294967296.0", Some(1 << 32)),
            ("0.5", None),
            ("-1", None),
            ("null", None),
        ] {
            let read = optional_safe(&mut serde_json::Deserializer::from_str(text));
            assert_eq!(read.ok().flatten(), expected, "{text}");
        }
    }
}
