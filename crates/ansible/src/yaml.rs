//! Values for Ansible to read, none of which it takes for a template.
//!
//! Strings that come from outside may hold `{{ … }}`, which Ansible would run here, on the server. `!unsafe` has it
//! leave a string as it is (Ansible documentation, "Unsafe or raw strings").

use std::fmt::Write as _;

use serde_json::Value;

/// `value` in one line of YAML.
pub(crate) fn value(value: &Value) -> String {
    match value {
        Value::String(text) => format!("!unsafe {}", quoted(text)),
        Value::Array(items) => {
            format!("[{}]", items.iter().map(self::value).collect::<Vec<_>>().join(", "))
        }
        Value::Object(members) => {
            let members =
                members.iter().map(|(name, member)| format!("{}: {}", quoted(name), self::value(member)));
            format!("{{{}}}", members.collect::<Vec<_>>().join(", "))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

/// `text` between double quotes (YAML 1.1, section 5.6): ASCII, whatever is in it.
pub(crate) fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            ' '..='~' => quoted.push(c),
            // Writing to a string cannot fail.
            _ => drop(write!(quoted, "\\U{:08x}", u32::from(c))),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn strings_are_unsafe_and_ascii() {
        let check = |given: Value, expected: &str| assert_eq!(value(&given), expected);
        check(json!("{{ x }}"), r#"!unsafe "{{ x }}""#);
        check(json!("a\"b\\c\nä☺"), r#"!unsafe "a\"b\\c\U0000000a\U000000e4\U0000263a""#);
        check(json!(["x", 1, true, null]), r#"[!unsafe "x", 1, true, null]"#);
        check(json!({"k:": {"v": ""}}), r#"{"k:": {"v": !unsafe ""}}"#);
    }
}
