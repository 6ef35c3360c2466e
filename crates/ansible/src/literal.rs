//! Values for Ansible to read, none of which it takes for a template.
//!
//! Strings that come from outside may hold `{{ … }}`, which Ansible would run here, on the server. Its own form for
//! a string that stays as it is, in JSON, is `{"__ansible_unsafe": "…"}`; it is what `ansible-inventory` prints. (YAML's
//! `!unsafe "0644"` would be a number.)

use serde_json::{Value, json};

/// `value` with every string marked as one that stays as it is. Names of members stay as they are anyway.
pub(crate) fn literal(value: &Value) -> Value {
    match value {
        Value::String(text) => json!({ "__ansible_unsafe": text }),
        Value::Array(items) => items.iter().map(literal).collect(),
        Value::Object(members) => {
            Value::Object(members.iter().map(|(name, member)| (name.clone(), literal(member))).collect())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_string_is_marked() {
        let given = json!({"a": "{{ x }}", "b": ["y", 1, true, null], "c": {"d": ""}});
        let marked = |text: &str| json!({ "__ansible_unsafe": text });
        let expected = json!({
            "a": marked("{{ x }}"), "b": [marked("y"), 1, true, null], "c": {"d": marked("")},
        });
        assert_eq!(literal(&given), expected);
    }
}
