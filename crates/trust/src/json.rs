//! JSON as the reference library prints it, so that who changes from the one to the other wakes nobody; and as it reads it.

use std::fmt::Write as _;

use serde_json::Value;

use crate::Certificates;

/// A list of texts: a blank after each comma, and only ASCII (contract, sections 1.1 and 4.5).
pub(crate) fn list(certificates: &Certificates) -> String {
    let texts: Vec<String> = certificates.iter().map(|certificate| text(certificate)).collect();
    format!("[{}]", texts.join(", "))
}

/// One text: what is not between blank and tilde is escaped, what is not in the basic plane as two surrogates.
pub(crate) fn text(plain: &str) -> String {
    let mut out = String::with_capacity(plain.len() + 16);
    out.push('"');
    for character in plain.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            ' '..='~' => out.push(character),
            _ => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    write!(out, "\\u{unit:04x}").expect("a text takes whatever is written");
                }
            }
        }
    }
    out.push('"');
    out
}

/// The texts in a JSON list, if it is one, and of nothing else. Text that is no Unicode (a lone surrogate) is none.
pub(crate) fn read_list(json: &str) -> Option<Certificates> {
    texts(&serde_json::from_str(json).ok()?)
}

/// The same of a value.
pub(crate) fn texts(value: &Value) -> Option<Certificates> {
    value.as_array()?.iter().map(|value| value.as_str().map(str::to_owned)).collect()
}

/// Whether this is a number of a layout: a whole number of any size, also with a fraction of nothing, in a text, or as a
/// truth (section 4.1, and where that says too little the reference library). What it is has no meaning.
pub(crate) fn is_version(json: &str) -> bool {
    // One of any size is no number to the parser.
    let trimmed = json.trim_matches([' ', '\t', '\n', '\r']);
    let digits = trimmed.strip_prefix('-').unwrap_or(trimmed);
    if are_digits(digits) {
        return digits == "0" || !digits.starts_with('0');
    }
    match serde_json::from_str(json) {
        Ok(Value::Bool(_)) => true,
        Ok(Value::Number(number)) => number.as_f64().is_some_and(|number| {
            // One with a fraction that is beyond 64 bits is none to the library.
            number.fract() == 0.0 && number.abs() < 9_223_372_036_854_775_808.0
        }),
        Ok(Value::String(text)) => is_whole(text.trim()),
        Ok(Value::Null | Value::Array(_) | Value::Object(_)) | Err(_) => false,
    }
}

/// Whether a text is a whole number: with a sign or not, underscores between digits, a fraction of nothing.
fn is_whole(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, "0"));
    whole.split('_').all(are_digits) && !fraction.is_empty() && fraction.bytes().all(|byte| byte == b'0')
}

fn are_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(texts: &[&str]) -> Certificates {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn lists_are_printed_as_by_the_library() {
        for (texts, expected) in [
            (&[][..], "[]"),
            (&["b", "a", "b"], r#"["a", "b"]"#),
            (
                &["a\n\"\\\t\r\u{8}\u{c}\u{1}\u{7f}/é€😀"],
                r#"["a\n\"\\\t\r\b\f\u0001\u007f/\u00e9\u20ac\ud83d\ude00"]"#,
            ),
        ] {
            let certificates = set(texts);
            assert_eq!(list(&certificates), expected);
            assert_eq!(read_list(expected), Some(certificates));
        }
    }

    #[test]
    fn lists_are_of_texts_alone() {
        assert_eq!(read_list(" [ \"b\",\"a\" , \"b\" ] "), Some(set(&["a", "b"])));
        for json in [
            "",
            "null",
            "\"a\"",
            "{}",
            "[1]",
            "[null]",
            "[[]]",
            "[\"a\"",
            "[\"a\"] x",
            "['a']",
            "[\"\\ud800\"]",
        ] {
            assert_eq!(read_list(json), None, "{json}");
        }
    }

    #[test]
    fn versions_are_whole_numbers() {
        let huge = "9".repeat(500);
        for json in [
            "1",
            "0",
            " 2\n",
            "-3",
            "-0",
            "1.0",
            "1e3",
            "10e-1",
            "true",
            "false",
            "\"1\"",
            "\" 7 \"",
            "\"+1\"",
            "\"1.00\"",
            "\"-1_000.0\"",
            "\"007\"",
            "9223372036854774784.0",
            &huge,
        ] {
            assert!(is_version(json), "{json}");
        }
        for json in [
            "",
            "null",
            "1.5",
            "\"\"",
            "\"1.5\"",
            "\"x\"",
            "[]",
            "{}",
            "one",
            "+1",
            "01",
            "-",
            "NaN",
            "\"- 1\"",
            "[1]",
            "--1",
            "1e19",
            "-9223372036854775808.0",
            "\"1_\"",
            "\"1__0\"",
            "\"1.\"",
            "\".0\"",
            "\"1.0_0\"",
            "\"1e3\"",
        ] {
            assert!(!is_version(json), "{json}");
        }
    }
}
