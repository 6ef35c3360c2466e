//! Whole numbers as JSON Schema has them: `14451.0` is one (JSON Schema, core, section 6.3), and some programs write them
//! so.

use std::fmt;

use serde::Deserializer;
use serde::de::{Deserialize, Error, Unexpected, Visitor};

/// A whole number from 0 that 32 bits hold.
pub(crate) fn whole<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
    Whole::deserialize(from).map(|whole| whole.0)
}

/// The same, or `null`.
pub(crate) fn optional_whole<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u32>, D::Error> {
    Ok(Option::<Whole>::deserialize(from)?.map(|whole| whole.0))
}

/// The largest number that every JSON parser tells from its neighbours (RFC 8259 §6).
pub(crate) const SAFE_MAX: u64 = (1 << 53) - 1;

/// A whole number from 0 to [`SAFE_MAX`], or `null`.
pub(crate) fn optional_safe<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    Ok(Option::<Safe>::deserialize(from)?.map(|safe| safe.0))
}

struct Safe(u64);

impl<'de> Deserialize<'de> for Safe {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(SafeNumbers)
    }
}

struct SafeNumbers;

impl Visitor<'_> for SafeNumbers {
    type Value = Safe;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number below 2^53")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Safe, E> {
        match number {
            0..=SAFE_MAX => Ok(Safe(number)),
            _ => Err(E::invalid_value(Unexpected::Unsigned(number), &self)),
        }
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Safe, E> {
        let safe = u64::try_from(number).map_err(|_| E::invalid_value(Unexpected::Signed(number), &self))?;
        self.visit_u64(safe)
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Safe, E> {
        if number.fract() != 0.0 || !(0.0..=SAFE_MAX as f64).contains(&number) {
            return Err(E::invalid_type(Unexpected::Float(number), &self));
        }
        // Just looked at: nothing is cut off.
        Ok(Safe(number as u64))
    }
}

struct Whole(u32);

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        // Not `deserialize_u32`: where a tag comes first, what was read aside would refuse a point.
        from.deserialize_any(Numbers)
    }
}

struct Numbers;

impl Visitor<'_> for Numbers {
    type Value = Whole;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("u32")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Whole, E> {
        let whole = u32::try_from(number).map(Whole);
        whole.map_err(|_| E::invalid_value(Unexpected::Unsigned(number), &self))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Whole, E> {
        let whole = u32::try_from(number).map(Whole);
        whole.map_err(|_| E::invalid_value(Unexpected::Signed(number), &self))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Whole, E> {
        let is_whole = number.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&number);
        if !is_whole {
            return Err(E::invalid_type(Unexpected::Float(number), &self));
        }
        // Just looked at: nothing is cut off.
        Ok(Whole(number as u32))
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
}
