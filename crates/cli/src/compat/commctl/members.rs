//! Options that come as `KEY=VALUE` or as JSON.

use serde_json::{Map, Value};

/// The members that one `--options` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Members(pub(super) Map<String, Value>);

/// Reads a JSON object.
pub(super) fn object(text: &str) -> Result<Members, String> {
    match serde_json::from_str(text) {
        Ok(Value::Object(members)) => Ok(Members(members)),
        Ok(_) => Err("is not a JSON object".to_owned()),
        Err(error) => Err(format!("is not JSON: {error}")),
    }
}

/// Reads a JSON object, or `KEY=VALUE`, whose value is a string.
pub(super) fn object_or_pair(text: &str) -> Result<Members, String> {
    if text.trim_start().starts_with('{') {
        return object(text);
    }
    let (key, value) = text.split_once('=').ok_or("is neither KEY=VALUE nor a JSON object")?;
    Ok(Members(Map::from_iter([(key.to_owned(), Value::String(value.to_owned()))])))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pairs_and_objects_are_taken() {
        for (text, expected) in [
            ("a=b", json!({"a": "b"})),
            ("server_url=https://k:8443/?a=b", json!({"server_url": "https://k:8443/?a=b"})),
            ("a=", json!({"a": ""})),
            (r#" {"a": {"b": [1]}}"#, json!({"a": {"b": [1]}})),
        ] {
            assert_eq!(Value::Object(object_or_pair(text).unwrap().0), expected, "{text}");
        }
        assert_eq!(object_or_pair("a"), Err("is neither KEY=VALUE nor a JSON object".to_owned()));
        assert!(object_or_pair("{a=b").unwrap_err().starts_with("is not JSON: "));
        assert_eq!(object("[]"), Err("is not a JSON object".to_owned()));
        assert!(object("a=b").unwrap_err().starts_with("is not JSON: "));
    }
}
