//! What Python writes: the text of `json.dumps`, which is what old clients sign and print, and `repr`, which they warn
//! with.

use std::fmt::Write as _;

use crate::value::{Object, Text, Value};

/// As `json.dumps(value)`: `", "` and `": "` between, ASCII only.
#[must_use]
pub fn dumps(value: &Value) -> String {
    let mut out = String::new();
    write_value(&mut out, value);
    out
}

/// As `json.dumps(value, indent=2, sort_keys=True)`: what `networkcache-download -l` prints.
#[must_use]
pub fn dumps_indented(value: &Value) -> String {
    let mut out = String::new();
    write_indented(&mut out, value, 0);
    out
}

/// As Python's `repr` of a float, and as JSON has it where it is not finite: the fewest digits that read back as the
/// same number; with an exponent below 10⁻⁴ and from 10¹⁶ on.
#[must_use]
pub fn float(number: f64) -> String {
    if number.is_nan() {
        return "NaN".into();
    }
    if number.is_infinite() {
        return if number > 0.0 { "Infinity".into() } else { "-Infinity".into() };
    }
    let shortest = format!("{number:e}");
    let (mantissa, exponent) = shortest.split_once('e').unwrap_or((&shortest, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if (-4..16).contains(&exponent) {
        let plain = format!("{number}");
        return if plain.contains('.') { plain } else { plain + ".0" };
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.unsigned_abs())
}

/// As Python's `repr` of the value: what the original's warnings show. Text is also escaped where Python finds it
/// printable and Rust does not, as with combining characters.
#[must_use]
pub fn repr(value: &Value) -> String {
    let mut out = String::new();
    write_repr(&mut out, value);
    out
}

fn write_repr(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push_str("None"),
        Value::Bool(true) => out.push_str("True"),
        Value::Bool(false) => out.push_str("False"),
        Value::Int(number) => out.push_str(number.digits()),
        Value::Float(number) if number.is_nan() => out.push_str("nan"),
        Value::Float(number) if number.is_infinite() => {
            out.push_str(if *number > 0.0 { "inf" } else { "-inf" });
        }
        Value::Float(number) => out.push_str(&float(*number)),
        Value::Text(text) => write_text_repr(out, text),
        Value::List(items) => {
            out.push('[');
            for (n, item) in items.iter().enumerate() {
                out.push_str(if n == 0 { "" } else { ", " });
                write_repr(out, item);
            }
            out.push(']');
        }
        Value::Object(object) => {
            out.push('{');
            for (n, (name, value)) in object.iter().enumerate() {
                out.push_str(if n == 0 { "" } else { ", " });
                write_text_repr(out, name);
                out.push_str(": ");
                write_repr(out, value);
            }
            out.push('}');
        }
    }
}

fn write_text_repr(out: &mut String, text: &Text) {
    let has = |quote: char| text.code_points().any(|point| point == u32::from(quote));
    let quote = if has('\'') && !has('"') { '"' } else { '\'' };
    out.push(quote);
    for point in text.code_points() {
        // Writing to a String cannot fail.
        let _ = match char::from_u32(point) {
            Some('\\') => write!(out, "\\\\"),
            Some('\n') => write!(out, "\\n"),
            Some('\r') => write!(out, "\\r"),
            Some('\t') => write!(out, "\\t"),
            Some(character) if character == quote => write!(out, "\\{character}"),
            Some(character @ ('\'' | '"')) => write!(out, "{character}"),
            Some(character) if character.escape_debug().len() == 1 => write!(out, "{character}"),
            _ if point < 0x100 => write!(out, "\\x{point:02x}"),
            _ if point < 0x10000 => write!(out, "\\u{point:04x}"),
            _ => write!(out, "\\U{point:08x}"),
        };
    }
    out.push(quote);
}

fn write_value(out: &mut String, value: &Value) {
    match value {
        Value::List(items) => {
            out.push('[');
            for (n, item) in items.iter().enumerate() {
                out.push_str(if n == 0 { "" } else { ", " });
                write_value(out, item);
            }
            out.push(']');
        }
        Value::Object(object) => write_object(out, object),
        scalar => write_scalar(out, scalar),
    }
}

/// As `json.dumps` of a dictionary.
pub(crate) fn write_object(out: &mut String, object: &Object) {
    out.push('{');
    for (n, (name, value)) in object.iter().enumerate() {
        out.push_str(if n == 0 { "" } else { ", " });
        write_string(out, name.code_points());
        out.push_str(": ");
        write_value(out, value);
    }
    out.push('}');
}

fn write_indented(out: &mut String, value: &Value, depth: usize) {
    match value {
        Value::List(items) if !items.is_empty() => {
            for (n, item) in items.iter().enumerate() {
                out.push(if n == 0 { '[' } else { ',' });
                new_line(out, depth + 1);
                write_indented(out, item, depth + 1);
            }
            new_line(out, depth);
            out.push(']');
        }
        Value::Object(object) if !object.is_empty() => {
            for (n, (name, value)) in object.iter_by_name().enumerate() {
                out.push(if n == 0 { '{' } else { ',' });
                new_line(out, depth + 1);
                write_string(out, name.code_points());
                out.push_str(": ");
                write_indented(out, value, depth + 1);
            }
            new_line(out, depth);
            out.push('}');
        }
        other => write_value(out, other),
    }
}

fn new_line(out: &mut String, depth: usize) {
    out.push('\n');
    out.extend(std::iter::repeat_n("  ", depth));
}

fn write_scalar(out: &mut String, value: &Value) {
    match value {
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Int(number) => out.push_str(number.digits()),
        Value::Float(number) => out.push_str(&float(*number)),
        Value::Text(text) => write_text(out, text),
        Value::Null | Value::List(_) | Value::Object(_) => out.push_str("null"),
    }
}

fn write_text(out: &mut String, text: &Text) {
    write_string(out, text.code_points());
}

/// In double quotes, with an escape for whatever is not printable ASCII, and a surrogate pair above U+FFFF.
pub(crate) fn write_string(out: &mut String, points: impl Iterator<Item = u32>) {
    out.push('"');
    for point in points {
        match point {
            0x22 => out.push_str("\\\""),
            0x5c => out.push_str("\\\\"),
            0x0a => out.push_str("\\n"),
            0x0d => out.push_str("\\r"),
            0x09 => out.push_str("\\t"),
            0x08 => out.push_str("\\b"),
            0x0c => out.push_str("\\f"),
            0x20..=0x7e => out.push(char::from(point as u8)),
            0..=0xffff => write_escape(out, point),
            _ => {
                let above = point - 0x10000;
                write_escape(out, 0xd800 + (above >> 10));
                write_escape(out, 0xdc00 + (above & 0x3ff));
            }
        }
    }
    out.push('"');
}

fn write_escape(out: &mut String, unit: u32) {
    // Writing to a String cannot fail.
    let _ = write!(out, "\\u{unit:04x}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::read;

    #[test]
    fn floats_are_written_as_python_does() {
        // The contract's section 8.2, and where Python changes its mind.
        for (number, expected) in [
            (1e16, "1e+16"),
            (1e300, "1e+300"),
            (5e-324, "5e-324"),
            (-0.0, "-0.0"),
            (123_456_789_012_345_680.0, "1.2345678901234568e+17"),
            (1.5, "1.5"),
            (100.0, "100.0"),
            (0.1, "0.1"),
            (0.0001, "0.0001"),
            (0.000_01, "1e-05"),
            (0.000_012_5, "1.25e-05"),
            (1e15, "1000000000000000.0"),
            (9_999_999_999_999_998.0, "9999999999999998.0"),
            (-1.5e-7, "-1.5e-07"),
            (f64::MAX, "1.7976931348623157e+308"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(float(number), expected);
        }
    }

    #[test]
    fn lists_are_printed_with_two_blanks_and_sorted_names() {
        let value = read(r#"[{"b": 1, "a": [], "é": {"x": [1, {}]}}, []]"#).unwrap();
        let expected = "[\n  {\n    \"a\": [],\n    \"b\": 1,\n    \"\\u00e9\": {\n      \"x\": [\n        1,\n        {}\n      ]\n    }\n  },\n  []\n]";
        assert_eq!(dumps_indented(&value), expected);
        assert_eq!(dumps(&value), r#"[{"b": 1, "a": [], "\u00e9": {"x": [1, {}]}}, []]"#);
    }
}
