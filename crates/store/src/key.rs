//! Names of records.

use std::borrow::Borrow;
use std::fmt;

use crate::Error;

/// The longest key, in bytes.
pub const KEY_BYTES_MAX: usize = 1024;

/// A record's name: text such as `/ca/services/request/0042`, up to 1,024 bytes long, with a `/` in front and without NUL.
///
/// Keys are ordered bytewise, by every engine. The `/` keeps what shares an etcd apart: of the namespaces `/fleet` and
/// `/fleet2` neither has keys that look like the other's.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(String);

impl Key {
    /// Takes `text` as a key.
    ///
    /// # Errors
    /// [`Error::Key`] when it does not begin with a `/`, is longer than [`KEY_BYTES_MAX`] or has a NUL in it.
    pub fn new(text: impl Into<String>) -> Result<Self, Error> {
        let text = text.into();
        if !text.starts_with('/') || text.len() > KEY_BYTES_MAX || text.contains('\0') {
            return Err(Error::Key { bytes: text.len() });
        }
        Ok(Self(text))
    }

    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Key {
    /// Keys compare and hash as their text does.
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// What keys of a kind begin with, such as `/ca/services/request/`. Every key begins with the empty one.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Prefix(String);

impl Prefix {
    /// Takes `text` as a prefix.
    ///
    /// # Errors
    /// [`Error::Key`] when it is longer than a key may be or has a NUL in it.
    pub fn new(text: impl Into<String>) -> Result<Self, Error> {
        let text = text.into();
        if text.len() > KEY_BYTES_MAX || text.contains('\0') {
            return Err(Error::Key { bytes: text.len() });
        }
        Ok(Self(text))
    }

    /// The prefix as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `key` begins with it.
    #[must_use]
    pub fn covers(&self, key: &Key) -> bool {
        key.0.starts_with(&self.0)
    }

    /// The key that is this prefix followed by `rest`.
    ///
    /// # Errors
    /// [`Error::Key`] as for [`Key::new`].
    pub fn key(&self, rest: &str) -> Result<Key, Error> {
        Key::new(format!("{}{rest}", self.0))
    }

    /// What follows the prefix in `key`, when it covers it.
    #[must_use]
    pub fn rest<'k>(&self, key: &'k Key) -> Option<&'k str> {
        key.0.strip_prefix(&self.0)
    }
}

impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}…", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_bounded_text() {
        let long = |bytes: usize| format!("/{}", "k".repeat(bytes - 1));
        for text in [String::new(), "a/b".into(), "/a\0b".into(), long(KEY_BYTES_MAX + 1)] {
            assert!(Key::new(text.clone()).is_err(), "{text:?}");
        }
        assert!(Key::new(long(KEY_BYTES_MAX)).is_ok());
    }

    #[test]
    fn a_prefix_covers_what_begins_with_it() {
        let prefix = Prefix::new("/a/").expect("a fair prefix");
        let key = prefix.key("b").expect("a fair key");
        assert!(prefix.covers(&key));
        assert_eq!(prefix.rest(&key), Some("b"));
        assert!(!prefix.covers(&Key::new("/ab").expect("a fair key")));
    }
}
