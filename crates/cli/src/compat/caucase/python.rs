//! Texts as Python has them.

use std::path::Path;

use entry::{Value, python};

/// The integer that `text` is to Python's `int`, in plain decimal: blanks around it, a sign, and single underscores between
/// digits are taken.
pub(super) fn integer(text: &str) -> Option<String> {
    let text = text.trim();
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let is_group = |group: &str| !group.is_empty() && group.bytes().all(|byte| byte.is_ascii_digit());
    if !digits.split('_').all(is_group) {
        return None;
    }
    let digits = digits.replace('_', "");
    Some(match digits.trim_start_matches('0') {
        "" => "0".to_owned(),
        digits => format!("{sign}{digits}"),
    })
}

/// How Python shows a text.
pub(super) fn quoted(text: &str) -> String {
    python::repr(&Value::text(text))
}

/// How Python shows a list of paths.
pub(super) fn list(paths: &[&Path]) -> String {
    let quoted: Vec<_> = paths.iter().map(|path| quoted(&path.to_string_lossy())).collect();
    format!("[{}]", quoted.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_read_as_python_reads_them() {
        for (text, expected) in [
            ("5", Some("5")),
            (" 5\n", Some("5")),
            ("+1_0", Some("10")),
            ("-07", Some("-7")),
            ("-0", Some("0")),
            ("007", Some("7")),
            ("123456789012345678901234567890", Some("123456789012345678901234567890")),
            ("", None),
            ("_1", None),
            ("1__0", None),
            ("1_", None),
            ("0x10", None),
            ("+-1", None),
            ("1 0", None),
        ] {
            assert_eq!(integer(text).as_deref(), expected, "{text:?}");
        }
    }

    #[test]
    fn lists_are_shown_as_python_shows_them() {
        assert_eq!(list(&[Path::new("a"), Path::new("it's")]), r#"['a', "it's"]"#);
        assert_eq!(list(&[Path::new("a")]), "['a']");
    }
}
