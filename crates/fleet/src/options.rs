//! Options of networks and container managers: any JSON, some of it secret.
//!
//! An option is a secret when its name says so ([`names_a_secret`]; commissaire contract, section 3.5), however deep it
//! lies in the others. A text is one as a whole when there are secrets in it ([`tells_a_secret`]): JSON or YAML with such
//! a name, a private key, or a URL with a password. Secrets are sealed at rest, each for its own place, as `{"sealed": JWE}`.

use std::convert::Infallible;
use std::fmt;

use base::{Entropy, Explain, Kind, names_a_secret, tells_a_secret};
use serde_json::{Map, Value};
use store::SealingKey;

use crate::error::OpenSecretError;

/// What is shown instead of a secret.
pub const HIDDEN: &str = "********";
/// How much of an option's name is repeated in an error, in characters.
const SHOWN_CHARACTERS_MAX: usize = 100;
/// The member of a sealed value.
const SEALED: &str = "sealed";

/// Options, by name. Never shown by `Debug`.
#[derive(Clone, PartialEq, Default)]
pub struct Options(Map<String, Value>);

impl Options {
    /// Takes `options` that somebody gives who has read others before.
    ///
    /// # Errors
    /// [`BadOption`] when one of them, at any depth, is what is shown instead of a secret: it comes from an answer, and
    /// would be kept in place of the secret.
    pub fn given(options: Map<String, Value>) -> Result<Self, BadOption> {
        match options.iter().find_map(|(name, value)| hidden_in(name, value)) {
            Some(name) => Err(BadOption { name: name.chars().take(SHOWN_CHARACTERS_MAX).collect() }),
            None => Ok(Self(options)),
        }
    }

    /// Takes `options` as they are.
    #[must_use]
    pub fn new(options: Map<String, Value>) -> Self {
        Self(options)
    }

    /// The options.
    #[must_use]
    pub fn as_map(&self) -> &Map<String, Value> {
        &self.0
    }

    /// The options.
    #[must_use]
    pub fn into_map(self) -> Map<String, Value> {
        self.0
    }

    /// An option that is a text.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str)
    }

    /// As they are stored in the record `key`.
    pub(crate) fn sealed(&self, key: &str, sealing: &SealingKey, entropy: &Entropy) -> Map<String, Value> {
        let seal = |place: &Place, value: Value| {
            let sealed = sealing.seal(&place.about(key), value.to_string().as_bytes(), entropy);
            Ok::<_, Infallible>(Value::Object(Map::from_iter([(SEALED.to_owned(), Value::String(sealed))])))
        };
        match each_secret(self.0.clone(), &Place::default(), &seal) {
            Ok(stored) => stored,
            Err(never) => match never {},
        }
    }

    /// As they were before [`Self::sealed`]; a secret that was written by somebody else may lie there in clear.
    pub(crate) fn open(
        key: &str,
        stored: Map<String, Value>,
        sealing: &SealingKey,
    ) -> Result<Self, OpenSecretError> {
        let open = |place: &Place, value: Value| {
            let Some(sealed) = value.get(SEALED).and_then(Value::as_str) else { return Ok(value) };
            let text = sealing.open(&place.about(key), sealed)?;
            serde_json::from_slice(text.expose())
                .map_err(|error| OpenSecretError::Content { reason: error.to_string() })
        };
        each_secret(stored, &Place::default(), &open).map(Self)
    }

    /// With [`HIDDEN`] for each secret, which stays sealed.
    pub(crate) fn hidden(stored: Map<String, Value>) -> Self {
        let hide = |_: &Place, _: Value| Ok::<_, Infallible>(Value::from(HIDDEN));
        match each_secret(stored, &Place::default(), &hide) {
            Ok(shown) => Self(shown),
            Err(never) => match never {},
        }
    }
}

impl fmt::Debug for Options {
    /// Only the names.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Why options are not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the option `{name}` is what is shown instead of a secret")]
pub struct BadOption {
    /// Its name, or the beginning of it.
    pub name: String,
}

impl Explain for BadOption {
    fn kind(&self) -> Kind {
        Kind::Invalid
    }
}

/// The name of what is [`HIDDEN`] in an option, if anything is.
fn hidden_in<'o>(name: &'o str, value: &'o Value) -> Option<&'o str> {
    match value {
        Value::String(text) => (text == HIDDEN).then_some(name),
        Value::Object(members) => members.iter().find_map(|(name, value)| hidden_in(name, value)),
        Value::Array(items) => items.iter().find_map(|item| hidden_in(name, item)),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

/// Where among the options a value is: the names and numbers that lead to it.
#[derive(Default, Clone)]
struct Place(Vec<String>);

impl Place {
    fn within(&self, step: String) -> Self {
        Self(self.0.iter().cloned().chain([step]).collect())
    }

    /// What the seal of a secret here is about; further down, a JSON pointer (RFC 6901).
    fn about(&self, key: &str) -> String {
        match self.0.as_slice() {
            [name] => format!("{key}#{name}"),
            steps => {
                let escaped = |step: &String| format!("/{}", step.replace('~', "~0").replace('/', "~1"));
                format!("{key}#{}", steps.iter().map(escaped).collect::<String>())
            }
        }
    }
}

/// Whether a value is a secret under any name: a text with secrets in it, or what has been sealed. What only looks as if
/// it had been is sealed like a secret, so that it is not opened later as what it is not.
fn is_secret(value: &Value) -> bool {
    match value {
        Value::String(text) => tells_a_secret(text),
        Value::Object(members) => {
            let sealed = members.get(SEALED).filter(|_| members.len() == 1).and_then(Value::as_str);
            // A JWE has five parts (RFC 7516 §7.1).
            sealed.is_some_and(|text| text.split('.').count() == 5)
        }
        _ => false,
    }
}

/// `members` with what `change` makes of each secret among them, at any depth.
fn each_secret<E>(
    members: Map<String, Value>,
    place: &Place,
    change: &impl Fn(&Place, Value) -> Result<Value, E>,
) -> Result<Map<String, Value>, E> {
    let changed = members.into_iter().map(|(name, value)| {
        let place = place.within(name.clone());
        let value =
            if names_a_secret(&name) { change(&place, value)? } else { within(value, &place, change)? };
        Ok((name, value))
    });
    changed.collect()
}

/// The same for a value whose name does not say that it is a secret.
fn within<E>(
    value: Value,
    place: &Place,
    change: &impl Fn(&Place, Value) -> Result<Value, E>,
) -> Result<Value, E> {
    if is_secret(&value) {
        return change(place, value);
    }
    Ok(match value {
        Value::Object(members) => Value::Object(each_secret(members, place, change)?),
        Value::Array(items) => {
            let items = items.into_iter().enumerate();
            let changed = items.map(|(n, item)| within(item, &place.within(n.to_string()), change));
            Value::Array(changed.collect::<Result<_, E>>()?)
        }
        value => value,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn secrets_are_sealed_for_their_place() {
        let entropy = Entropy::seeded(1);
        let sealing = SealingKey::generate(&entropy);
        let clear = map(serde_json::json!({
            "server_url": "https://k8s:6443", "token": "hunter2", "password": {"sealed": "really"},
            "certificate_key_path": "/k", "monkey": [1], "api_keys": null, "verify": false,
        }));
        let options = Options::new(clear.clone());
        let stored = options.sealed("/k/a", &sealing, &entropy);
        for (name, value) in &stored {
            let secret = ["token", "password", "certificate_key_path", "api_keys"].contains(&name.as_str());
            assert_eq!(value != &clear[name], secret, "{name}");
            assert!(!value.to_string().contains("hunter2"));
        }
        assert_eq!(Options::open("/k/a", stored.clone(), &sealing).unwrap(), options);
        assert!(Options::open("/k/b", stored.clone(), &sealing).is_err());
        let mut swapped = stored.clone();
        swapped.insert("password".into(), stored["token"].clone());
        assert!(Options::open("/k/a", swapped, &sealing).is_err());

        let hidden = Options::hidden(stored).into_map();
        assert_eq!((&hidden["token"], &hidden["server_url"]), (&HIDDEN.into(), &"https://k8s:6443".into()));
        assert_eq!(Options::hidden(clear.clone()).into_map(), hidden);
        assert_eq!(
            Options::open("/k/a", map(serde_json::json!({"token": "t"})), &sealing).unwrap().text("token"),
            Some("t")
        );
        assert!(!format!("{options:?}").contains("hunter2"));
    }

    #[test]
    fn secrets_are_found_at_any_depth() {
        let entropy = Entropy::seeded(1);
        let sealing = SealingKey::generate(&entropy);
        let options = Options::new(map(serde_json::json!({
            "a": {"token": "S1", "url": "u"}, "list": [1, {"x": [{"client-secret": {"deep": "S2"}}]}],
        })));
        let stored = options.sealed("/k/a", &sealing, &entropy);
        let text = Value::Object(stored.clone()).to_string();
        assert!(!text.contains("S1") && !text.contains("S2") && text.contains("\"url\":\"u\""), "{text}");
        assert_eq!(Options::open("/k/a", stored.clone(), &sealing).unwrap(), options);
        let expected = serde_json::json!({
            "a": {"token": HIDDEN, "url": "u"}, "list": [1, {"x": [{"client-secret": HIDDEN}]}],
        });
        assert_eq!(Options::hidden(stored.clone()).into_map(), map(expected));

        // What older programs left in clear there is read as it is; what was moved elsewhere does not open.
        assert_eq!(Options::open("/k/a", options.as_map().clone(), &sealing).unwrap(), options);
        let mut moved = stored;
        moved.insert("b".into(), moved["a"].clone());
        assert!(Options::open("/k/a", moved, &sealing).is_err());
    }

    #[test]
    fn texts_with_secrets_in_them_are_secrets() {
        let entropy = Entropy::seeded(1);
        let sealing = SealingKey::generate(&entropy);
        for (value, is_secret) in [
            (serde_json::json!(r#"{"token":"S"}"#), true),
            (serde_json::json!(r#" {"a":1,"x":[{"password":"S"}]}"#), true),
            (serde_json::json!(r#"[{"apiKey":"S"}]"#), true),
            (serde_json::json!(r#"{"a":"{\"token\":\"S\"}"}"#), true),
            (serde_json::json!(r#"{"a":"https://user:S@h"}"#), true),
            (serde_json::json!("https://user:S@h:6443"), true),
            (serde_json::json!({"sealed": "a.b.c.d.e"}), true),
            (serde_json::json!({"sealed": "really"}), false),
            (serde_json::json!({"sealed": "a.b.c.d.e", "n": 1}), false),
            (serde_json::json!(r#"{"url":"u"}"#), false),
            (serde_json::json!(r#"{"token":"#), true),
            (serde_json::json!("users:\n- name: u\n  user:\n    client-key-data: S\n"), true),
            (serde_json::json!("users:\n- name: u\n"), false),
            (serde_json::json!(r#""token""#), false),
            (serde_json::json!("token"), false),
            (serde_json::json!("https://h:6443"), false),
            (serde_json::json!("https://user@h"), false),
        ] {
            let shown = if is_secret { Value::from(HIDDEN) } else { value.clone() };
            for (options, expected) in [
                (serde_json::json!({"conf": value}), serde_json::json!({"conf": shown})),
                (serde_json::json!({"a": [{"b": value}]}), serde_json::json!({"a": [{"b": shown}]})),
            ] {
                let options = Options::new(map(options));
                let stored = options.sealed("/k/a", &sealing, &entropy);
                assert_eq!(stored != *options.as_map(), is_secret, "{value}");
                assert_eq!(Options::open("/k/a", stored.clone(), &sealing).unwrap(), options, "{value}");
                assert_eq!(Options::hidden(stored).into_map(), map(expected.clone()), "{value}");
                assert_eq!(Options::hidden(options.into_map()).into_map(), map(expected), "{value}");
            }
        }
    }

    #[test]
    fn what_is_shown_instead_of_a_secret_is_none() {
        for (options, hidden) in [
            (serde_json::json!({}), None),
            (serde_json::json!({"token": "t", "stars": "*******", "n": 8}), None),
            (serde_json::json!({"token": HIDDEN}), Some("token")),
            (serde_json::json!({"motto": HIDDEN}), Some("motto")),
            (serde_json::json!({"a": {"url": "u", "token": HIDDEN}}), Some("token")),
            (serde_json::json!({"keys": ["k", HIDDEN]}), Some("keys")),
            (serde_json::json!({"é".repeat(101): HIDDEN}), Some(&*"é".repeat(100))),
        ] {
            let found = Options::given(map(options.clone())).map(Options::into_map);
            let expected = match hidden {
                Some(name) => Err(BadOption { name: name.to_owned() }),
                None => Ok(map(options)),
            };
            assert_eq!(found, expected);
        }
    }
}
