//! Labels: what operators say about hosts, to find them again.

use std::collections::BTreeMap;

use base::{Explain, Kind};

/// The most labels on one host.
const LABELS_MAX: usize = 32;
/// The most labels that one change is about.
const CHANGES_MAX: usize = 2 * LABELS_MAX;
/// The longest key, in bytes.
const KEY_BYTES_MAX: usize = 128;
/// The longest value, in bytes.
const VALUE_BYTES_MAX: usize = 63;

/// A host's labels: at most 32 keys, each with one value.
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

    /// These labels after `change`.
    ///
    /// # Errors
    /// [`BadLabel::TooMany`].
    pub(crate) fn after(mut self, change: &LabelChange) -> Result<Self, BadLabel> {
        for (key, value) in &change.0 {
            match value {
                Some(value) => self.0.insert(key.clone(), value.clone()),
                None => self.0.remove(key),
            };
        }
        if self.0.len() > LABELS_MAX {
            return Err(BadLabel::TooMany);
        }
        Ok(self)
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

/// What is to change about a host's labels; those that it does not speak of stay.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LabelChange(BTreeMap<String, Option<String>>);

impl LabelChange {
    /// Takes what each key is to be from now on: a value, or nothing for one that is to go. That has to be a key too,
    /// so that a slip of the pen is noticed.
    ///
    /// # Errors
    /// [`BadLabel`], the first rule that is broken.
    pub fn new(changes: BTreeMap<String, Option<String>>) -> Result<Self, BadLabel> {
        // Enough to take away all that a host may have, and to give it as many others.
        if changes.len() > CHANGES_MAX {
            return Err(BadLabel::TooManyChanges);
        }
        for (key, value) in &changes {
            check(key, value.as_deref().unwrap_or_default())?;
        }
        Ok(Self(changes))
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
    /// A change speaks of too many.
    #[error("`labels` speaks of more than {CHANGES_MAX} labels")]
    TooManyChanges,
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

    #[test]
    fn changes_keep_what_they_do_not_speak_of() {
        let labels = |pairs: &[(&str, &str)]| {
            Labels::new(pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))).unwrap()
        };
        for (before, change, after) in [
            (&[][..], &[][..], &[][..]),
            (&[("a", "1")], &[], &[("a", "1")]),
            (&[("a", "1")], &[("b", Some("2"))], &[("a", "1"), ("b", "2")]),
            (&[("a", "1")], &[("a", Some(""))], &[("a", "")]),
            (&[("a", "1"), ("b", "2")], &[("a", None), ("c", Some("3"))], &[("b", "2"), ("c", "3")]),
            (&[("a", "1")], &[("never-there", None)], &[("a", "1")]),
        ] {
            let change = change.iter().map(|(key, value)| ((*key).to_owned(), value.map(str::to_owned)));
            let change = LabelChange::new(change.collect()).unwrap();
            assert_eq!(labels(before).after(&change), Ok(labels(after)), "{before:?} {change:?}");
        }
    }

    #[test]
    fn changes_keep_to_rules() {
        let many = |n: usize, value: Option<&str>| {
            LabelChange::new((0..n).map(|n| (n.to_string(), value.map(str::to_owned))).collect())
        };
        for (change, expected) in [
            (many(CHANGES_MAX, None), Ok(())),
            (many(CHANGES_MAX + 1, None), Err(BadLabel::TooManyChanges)),
            (LabelChange::new([("a b".to_owned(), None)].into()), Err(BadLabel::Key)),
            (
                LabelChange::new([("a".to_owned(), Some("b/c".to_owned()))].into()),
                Err(BadLabel::Value { key: "a".into() }),
            ),
        ] {
            assert_eq!(change.map(drop), expected);
        }
        let full = Labels::default().after(&many(LABELS_MAX, Some("x")).unwrap()).unwrap();
        let more = LabelChange::new([("more".to_owned(), Some(String::new()))].into()).unwrap();
        assert_eq!(full.clone().after(&more), Err(BadLabel::TooMany));
        let swap = [("more".to_owned(), Some(String::new())), ("0".to_owned(), None)];
        assert!(full.after(&LabelChange::new(swap.into()).unwrap()).is_ok());
    }
}
