//! Keys of entries.

use std::fmt;
use std::str::FromStr;

use base::{Explain, Kind, hex, sha256};

/// The longest key, in bytes: it is part of the store's keys, which have a bound of their own.
pub(crate) const KEY_BYTES_MAX: usize = 800;

/// The name under which entries are found: any text without control characters, such as
/// `file-urlmd5:f213fcd8e97aa729f685b8cb71b976a7` (networkcache contract, sections 3 and 6). `a` and `a/b` are two keys.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryKey(String);

/// It is no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadKey {
    /// There is nothing in it.
    #[error("a key has at least one character")]
    Empty,
    /// It is too long.
    #[error("a key has at most {KEY_BYTES_MAX} bytes")]
    TooLong,
    /// It cannot be shown.
    #[error("a key has no control characters")]
    Control,
    /// Whoever asks for it asks for something else: clients leave such parts out of a path before they send it (RFC 3986
    /// §5.2.4), also when they are escaped.
    #[error("a key has no part that is `.` or `..`: clients leave these out of paths")]
    Dots,
}

impl Explain for BadKey {
    fn kind(&self) -> Kind {
        Kind::Invalid
    }
}

impl EntryKey {
    /// As it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether all clients can ask for it, which what is new under it needs; what is there already goes on being found by
    /// those that can.
    ///
    /// # Errors
    /// [`BadKey::Dots`].
    pub fn check_askable(&self) -> Result<(), BadKey> {
        match self.0.split('/').any(|part| matches!(part, "." | "..")) {
            true => Err(BadKey::Dots),
            false => Ok(()),
        }
    }

    /// Of one length for all keys, whatever is in them: what its entries lie under.
    pub(crate) fn id(&self) -> String {
        hex::encode(&sha256(self.0.as_bytes()))
    }
}

impl FromStr for EntryKey {
    type Err = BadKey;

    fn from_str(text: &str) -> Result<Self, BadKey> {
        if text.is_empty() {
            Err(BadKey::Empty)
        } else if text.len() > KEY_BYTES_MAX {
            Err(BadKey::TooLong)
        } else if text.chars().any(char::is_control) {
            Err(BadKey::Control)
        } else {
            Ok(Self(text.to_owned()))
        }
    }
}

impl fmt::Display for EntryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_texts_that_can_be_shown() {
        for (text, expected) in [
            ("file-urlmd5:f213fcd8e97aa729f685b8cb71b976a7", Ok(())),
            ("'slapos-generic-upgrade-key'", Ok(())),
            ("a/b//c=!~+@", Ok(())),
            ("é ü", Ok(())),
            ("", Err(BadKey::Empty)),
            ("a\0b", Err(BadKey::Control)),
            ("a\nb", Err(BadKey::Control)),
            (&"k".repeat(KEY_BYTES_MAX), Ok(())),
            (&"k".repeat(KEY_BYTES_MAX + 1), Err(BadKey::TooLong)),
        ] {
            assert_eq!(text.parse::<EntryKey>().map(drop), expected, "{text}");
        }
    }

    #[test]
    fn some_keys_are_swallowed_by_paths() {
        for (text, expected) in [
            ("a.b", Ok(())),
            ("...", Ok(())),
            (".a/..b/c..", Ok(())),
            ("a//b/", Ok(())),
            (".", Err(BadKey::Dots)),
            ("..", Err(BadKey::Dots)),
            ("a/../b", Err(BadKey::Dots)),
            ("a/.", Err(BadKey::Dots)),
            ("/..", Err(BadKey::Dots)),
        ] {
            assert_eq!(text.parse::<EntryKey>().unwrap().check_askable(), expected, "{text}");
        }
    }

    #[test]
    fn each_key_has_its_own_place() {
        let id = |text: &str| text.parse::<EntryKey>().unwrap().id();
        assert_eq!(id("a").len(), 64);
        assert_ne!(id("a"), id("a/b"));
    }
}
