//! Labels: what operators say about hosts, to find them again.

use std::collections::BTreeMap;

use base::{Explain, Kind};

/// The most labels on one host.
pub const LABELS_MAX: usize = 32;
/// The longest key, in bytes.
const KEY_BYTES_MAX: usize = 128;
/// The longest value, in bytes.
const VALUE_BYTES_MAX: usize = 63;

/// A host's labels: at most [`LABELS_MAX`] keys, each with one value.
///
/// A key has 1 to 128 letters, digits, `.`, `_`, `-` and `/`; a value has 0 to 63 of the same, but no `/`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Labels(BTreeMap<String, String>);

impl Labels {
    /// Takes `labels`, if they keep to the rules; a key that comes twice has its last value.
    ///
    /// # Errors
    /// [`BadLabel`], the first rule that is broken.
    pub fn new(labels: impl IntoIterator<Item = (String, String)>) -> Result<Self, BadLabel> {
        let mut taken = BTreeMap::new();
        for (key, value) in labels {
            check(&key, &value)?;
            taken.insert(key, value);
        }
        if taken.len() > LABELS_MAX {
            return Err(BadLabel::TooMany);
        }
        Ok(Self(taken))
    }

    /// What stands in a record, which was checked when it was written.
    pub(crate) fn from_record(labels: BTreeMap<String, String>) -> Self {
        Self(labels)
    }

    /// Keys and values, by key.
    #[must_use]
    pub fn as_map(&self) -> &BTreeMap<String, String> {
        &self.0
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn check(key: &str, value: &str) -> Result<(), BadLabel> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if key.is_empty() || key.len() > KEY_BYTES_MAX || !key.bytes().all(|byte| fits(byte) || byte == b'/') {
        return Err(BadLabel::Key);
    }
    if value.len() > VALUE_BYTES_MAX || !value.bytes().all(fits) {
        return Err(BadLabel::Value { key: key.to_owned() });
    }
    Ok(())
}

/// Why something is no set of labels.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadLabel {
    /// There are too many.
    #[error("a host has at most 32 labels")]
    TooMany,
    /// A key breaks the rules.
    #[error("a label's key has 1 to 128 letters, digits, `.`, `_`, `-` and `/`")]
    Key,
    /// A value breaks the rules.
    #[error(
        "the value of the label `{key}` has more than 63 characters, or others than letters, digits, `.`, `_` and `-`"
    )]
    Value {
        /// Of which label.
        key: String,
    },
}

impl Explain for BadLabel {
    fn kind(&self) -> Kind {
        Kind::Invalid
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_keep_to_rules() {
        let value = || BadLabel::Value { key: "a".into() };
        for (key, value, expected) in [
            ("rack", "b-7", Ok(())),
            ("example.com/role", "", Ok(())),
            ("a", &"v".repeat(63), Ok(())),
            ("a", &"v".repeat(64), Err(value())),
            ("a", "b/c", Err(value())),
            ("a", "é", Err(value())),
            ("", "a", Err(BadLabel::Key)),
            ("a=b", "a", Err(BadLabel::Key)),
            (&"k".repeat(129), "a", Err(BadLabel::Key)),
        ] {
            assert_eq!(Labels::new([(key.into(), value.into())]).map(drop), expected, "{key}={value}");
        }
        let many = |n: usize| Labels::new((0..n).map(|n| (n.to_string(), String::new()))).map(drop);
        assert_eq!(many(LABELS_MAX), Ok(()));
        assert_eq!(many(LABELS_MAX + 1), Err(BadLabel::TooMany));
    }
}
