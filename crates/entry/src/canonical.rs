//! The canonical form of JSON (RFC 8785), so that a signature survives being parsed and printed.
//!
//! What has no such form, or another one with other readers, is refused: `NaN` and infinities, half of a surrogate
//! pair, a name that comes twice, and integers beyond 2⁵³ − 1, which many readers round (RFC 7493 §2).

use std::fmt::Write as _;

use base::{Explain, Kind};

use crate::value::{Int, Object, Text, Value};

/// Why a value has no canonical form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CanonicalError {
    /// `NaN` or an infinity.
    #[error("a number is not finite")]
    NotFinite,
    /// An integer that not all readers take as it is.
    #[error("an integer lies beyond 2^53 - 1; write it as text")]
    LargeInteger,
    /// Half of a pair.
    #[error("a text has one half of a surrogate pair")]
    Surrogate,
    /// Readers disagree about which counts.
    #[error("a name comes twice in one object")]
    Repeated,
}

impl Explain for CanonicalError {
    fn kind(&self) -> Kind {
        match self {
            Self::NotFinite | Self::LargeInteger | Self::Surrogate | Self::Repeated => Kind::Invalid,
        }
    }
}

/// The canonical form of an object.
///
/// # Errors
/// When something in it has none.
pub fn canonical(object: &Object) -> Result<String, CanonicalError> {
    let mut out = String::new();
    write_object(&mut out, object)?;
    Ok(out)
}

fn write_value(out: &mut String, value: &Value) -> Result<(), CanonicalError> {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Int(number) => out.push_str(integer(number)?),
        Value::Float(number) => out.push_str(&float(*number)?),
        Value::Text(text) => write_text(out, text)?,
        Value::List(items) => {
            out.push('[');
            for (n, item) in items.iter().enumerate() {
                out.push_str(if n == 0 { "" } else { "," });
                write_value(out, item)?;
            }
            out.push(']');
        }
        Value::Object(object) => write_object(out, object)?,
    }
    Ok(())
}

fn write_object(out: &mut String, object: &Object) -> Result<(), CanonicalError> {
    if object.has_repeated() {
        return Err(CanonicalError::Repeated);
    }
    // By UTF-16 code units (RFC 8785 §3.2.3), which above U+FFFF is not the order of code points.
    let mut members = object
        .iter()
        .map(|(name, value)| {
            let text = name.as_str().ok_or(CanonicalError::Surrogate)?;
            Ok((text.encode_utf16().collect::<Vec<_>>(), name, value))
        })
        .collect::<Result<Vec<_>, CanonicalError>>()?;
    members.sort_by(|(left, ..), (right, ..)| left.cmp(right));
    out.push('{');
    for (n, (_, name, value)) in members.into_iter().enumerate() {
        out.push_str(if n == 0 { "" } else { "," });
        write_text(out, name)?;
        out.push(':');
        write_value(out, value)?;
    }
    out.push('}');
    Ok(())
}

fn write_text(out: &mut String, text: &Text) -> Result<(), CanonicalError> {
    out.push('"');
    for character in text.as_str().ok_or(CanonicalError::Surrogate)?.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\u{c}' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            '\0'..'\u{20}' => {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\u{:04x}", u32::from(character));
            }
            other => out.push(other),
        }
    }
    out.push('"');
    Ok(())
}

fn integer(number: &Int) -> Result<&str, CanonicalError> {
    const MAX: u64 = (1 << 53) - 1;
    let digits = number.digits();
    let magnitude: Result<u64, _> = digits.strip_prefix('-').unwrap_or(digits).parse();
    match magnitude {
        Ok(magnitude) if magnitude <= MAX => Ok(digits),
        _ => Err(CanonicalError::LargeInteger),
    }
}

/// As ECMAScript's `Number::toString` has it (RFC 8785 §3.2.2.3): the fewest digits that read back as the number, with
/// an exponent below 10⁻⁶ and from 10²¹ on.
fn float(number: f64) -> Result<String, CanonicalError> {
    if !number.is_finite() {
        return Err(CanonicalError::NotFinite);
    }
    if number == 0.0 {
        return Ok("0".into());
    }
    let shortest = format!("{number:e}");
    let (mantissa, exponent) = shortest.split_once('e').unwrap_or((&shortest, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if (-6..21).contains(&exponent) {
        return Ok(format!("{number}"));
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    Ok(format!("{mantissa}e{sign}{}", exponent.unsigned_abs()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::read;

    fn form(text: &str) -> Result<String, CanonicalError> {
        canonical(read(text).unwrap().as_object().unwrap())
    }

    #[test]
    fn the_standards_example() {
        // RFC 8785 §3.2.2 and §3.2.3, but for its number of 21 digits without an exponent, which is an integer here.
        let text = r#"{"numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
            "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/", "literals": [null, true, false]}"#;
        let expected = "{\"literals\":[null,true,false],\"numbers\":[333333333.3333333,1e+30,4.5,0.002,1e-27],\
                        \"string\":\"€$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}";
        assert_eq!(form(text).unwrap(), expected);
        let sorted = r#"{"\u20ac": "Euro Sign", "\r": "Carriage Return", "\ufb33": "Hebrew Letter Dalet With Dagesh", "1": "One",
            "\ud83d\ude00": "Emoji: Grinning Face", "\u0080": "Control", "\u00f6": "Latin Small Letter O With Diaeresis"}"#;
        let expected = "{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"\u{80}\":\"Control\",\"ö\":\"Latin Small Letter O With Diaeresis\",\
                        \"€\":\"Euro Sign\",\"😀\":\"Emoji: Grinning Face\",\"\u{fb33}\":\"Hebrew Letter Dalet With Dagesh\"}";
        assert_eq!(form(sorted).unwrap(), expected);
    }

    #[test]
    fn numbers_have_one_form() {
        // RFC 8785, appendix B, where our integers do not come in between.
        for (text, expected) in [
            ("0.0", "0"),
            ("-0.0", "0"),
            ("1.0", "1"),
            ("1", "1"),
            ("5e-324", "5e-324"),
            ("-5e-324", "-5e-324"),
            ("1.7976931348623157e308", "1.7976931348623157e+308"),
            ("9007199254740992.0", "9007199254740992"),
            ("295147905179352830000.0", "295147905179352830000"),
            ("9.999999999999997e22", "9.999999999999997e+22"),
            ("1e23", "1e+23"),
            ("999999999999999700000.0", "999999999999999700000"),
            ("1e21", "1e+21"),
            ("9.999999999999997e-7", "9.999999999999997e-7"),
            ("0.000001", "0.000001"),
            ("333333333.3333332", "333333333.3333332"),
            ("-0.0000033333333333333333", "-0.0000033333333333333333"),
            ("9007199254740991", "9007199254740991"),
            ("-9007199254740991", "-9007199254740991"),
        ] {
            assert_eq!(form(&format!("{{\"a\":{text}}}")).unwrap(), format!("{{\"a\":{expected}}}"));
        }
    }

    #[test]
    fn what_readers_disagree_about_is_refused() {
        for (value, expected) in [
            ("NaN", CanonicalError::NotFinite),
            ("-Infinity", CanonicalError::NotFinite),
            ("1e999", CanonicalError::NotFinite),
            ("9007199254740992", CanonicalError::LargeInteger),
            ("-123456789012345678901234567890", CanonicalError::LargeInteger),
            (r#""\ud800""#, CanonicalError::Surrogate),
            (r#"{"\udc00": 1}"#, CanonicalError::Surrogate),
            (r#"{"b": 1, "b": 1}"#, CanonicalError::Repeated),
        ] {
            assert_eq!(form(&format!("{{\"a\":[{value}]}}")), Err(expected), "{value}");
        }
    }
}
