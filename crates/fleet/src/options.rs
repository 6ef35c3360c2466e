//! Options of networks and container managers: any JSON, some of it secret.
//!
//! An option is a secret when it is called `token` or `password`, or has `_key` in its name (commissaire contract,
//! section 3.5). Secrets are sealed at rest, each for its own place, as `{"sealed": JWE}`.

use std::fmt;

use base::Entropy;
use serde_json::{Map, Value};
use store::SealingKey;

use crate::error::OpenSecretError;

/// What is shown instead of a secret.
pub const HIDDEN: &str = "********";
/// The member of a sealed value.
const SEALED: &str = "sealed";

/// Options, by name. Never shown by `Debug`.
#[derive(Clone, PartialEq, Default)]
pub struct Options(Map<String, Value>);

impl Options {
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
        let stored = self.0.iter().map(|(name, value)| {
            if !is_secret(name) {
                return (name.clone(), value.clone());
            }
            let sealed = sealing.seal(&about(key, name), value.to_string().as_bytes(), entropy);
            (name.clone(), Value::Object([(SEALED.to_owned(), Value::String(sealed))].into_iter().collect()))
        });
        stored.collect()
    }

    /// As they were before [`Self::sealed`]; a secret that was written by somebody else may lie there in clear.
    pub(crate) fn open(
        key: &str,
        stored: Map<String, Value>,
        sealing: &SealingKey,
    ) -> Result<Self, OpenSecretError> {
        let mut options = Map::new();
        for (name, value) in stored {
            let opened = match value.get(SEALED).and_then(Value::as_str) {
                Some(sealed) if is_secret(&name) => {
                    let text = sealing.open(&about(key, &name), sealed)?;
                    serde_json::from_slice(text.expose())
                        .map_err(|error| OpenSecretError::Content { reason: error.to_string() })?
                }
                _ => value,
            };
            options.insert(name, opened);
        }
        Ok(Self(options))
    }

    /// With [`HIDDEN`] for each secret, which stays sealed.
    pub(crate) fn hidden(stored: Map<String, Value>) -> Self {
        let shown = stored.into_iter().map(|(name, value)| {
            let value = if is_secret(&name) { Value::from(HIDDEN) } else { value };
            (name, value)
        });
        Self(shown.collect())
    }
}

impl fmt::Debug for Options {
    /// Only the names.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

fn is_secret(name: &str) -> bool {
    name == "token" || name == "password" || name.contains("_key")
}

/// What a secret's seal is about.
fn about(key: &str, name: &str) -> String {
    format!("{key}#{name}")
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
            "certificate_key_path": "/k", "keys": [1], "api_keys": null, "verify": false,
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
}
