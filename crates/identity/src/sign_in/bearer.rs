//! What the methods for bearer tokens have in common: whose token it is, and when it ends.

use base::Timestamp;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::guard::Found;
use super::method::Known;
use super::roles::Roles;

/// Whose a token is.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) name: Option<String>,
    pub(super) groups: Vec<String>,
}

impl Owner {
    /// A name and groups that stand somewhere in JSON.
    pub(super) fn read(name: &Value, groups: &Value) -> Self {
        let groups = groups.as_array().into_iter().flatten();
        Self {
            name: name.as_str().filter(|name| !name.is_empty()).map(str::to_owned),
            groups: groups.filter_map(Value::as_str).map(str::to_owned).collect(),
        }
    }

    /// The owner of `token`, by the roles of the method, which the history knows as `system`.
    pub(super) fn found(&self, system: &str, token: &str, roles: &Roles) -> Found {
        let Some(role) = roles.of(self.name.as_deref(), self.groups.iter().map(String::as_str)) else {
            return Found::Nobody;
        };
        let name = match &self.name {
            Some(name) => format!("{system} user {name}"),
            None => format!("an {system} user without a name"),
        };
        Found::Known(Known::new(name, role), expiry(token))
    }
}

/// When a token ends, if it is a JSON Web Token that says so (RFC 7519 §4.1.4). That it is genuine is for others to
/// say.
fn expiry(token: &str) -> Option<Timestamp> {
    let claims = token.split('.').nth(1)?;
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()?;
    let end = &claims["exp"];
    // It may have a fraction; a second too early does no harm.
    #[expect(clippy::cast_possible_truncation, reason = "`as` saturates, which is what is wanted")]
    let seconds = end.as_i64().or_else(|| end.as_f64().map(|seconds| seconds.floor() as i64))?;
    Some(Timestamp::from_unix(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn web_tokens_say_when_they_end() {
        let check = |claims: &str, expected: Option<i64>| {
            let token = format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims));
            assert_eq!(expiry(&token).map(Timestamp::as_unix), expected, "{claims}");
        };
        check(r#"{"exp":1800000000}"#, Some(1_800_000_000));
        check(r#"{"exp":1800000000.9}"#, Some(1_800_000_000));
        check(r#"{"exp":"1800000000"}"#, None);
        check("{}", None);
        check("[]", None);
        check("no JSON", None);
        for token in ["", "opaque", "a.b", "a.!!.c", "."] {
            assert_eq!(expiry(token), None, "{token}");
        }
    }

    #[test]
    fn owners_are_read_as_far_as_there_are_any() {
        let owner = Owner::read(&json!("alice"), &json!(["staff", 7]));
        assert_eq!(owner, Owner { name: Some("alice".into()), groups: vec!["staff".into()] });
        assert_eq!(Owner::read(&json!(""), &Value::Null), Owner::default());
    }
}
