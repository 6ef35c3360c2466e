//! What a link is called: its number and its hash.

use std::fmt;
use std::str::FromStr;

/// A SHA-256 digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash([u8; 32]);

impl Hash {
    /// What the first link has for the hash of the one before.
    pub const NONE: Self = Self([0; 32]);

    /// That of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(base::sha256(bytes))
    }

    /// Reads 64 lower-case hexadecimal digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_plain = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let bytes = is_plain.then(|| base::hex::decode(text)).flatten()?;
        bytes.try_into().ok().map(Self)
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base::hex::encode(&self.0))
    }
}

/// A link by its number and its hash, as people keep it: `70:5fec…`. Number 0 is before the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The link's number, from 1 on.
    pub number: u64,
    /// The hash of its text.
    pub hash: Hash,
}

impl Head {
    /// Before anything was linked.
    pub const NONE: Self = Self { number: 0, hash: Hash::NONE };
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.number, self.hash)
    }
}

/// A text that is no head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is written as NUMBER:HASH, with 64 hexadecimal digits")]
pub struct BadHead;

impl FromStr for Head {
    type Err = BadHead;

    fn from_str(text: &str) -> Result<Self, BadHead> {
        let (number, hash) = text.trim().split_once(':').ok_or(BadHead)?;
        let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        let number = is_number.then(|| number.parse().ok()).flatten().ok_or(BadHead)?;
        Ok(Self { number, hash: Hash::parse(&hash.to_ascii_lowercase()).ok_or(BadHead)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_read_as_they_are_written() {
        let head = Head { number: 70, hash: Hash::of(b"0") };
        assert_eq!(head.to_string().parse(), Ok(head));
        assert_eq!(format!(" {}\n", head.to_string().to_uppercase()).parse(), Ok(head));
        for text in ["", "70", "70:", "70:00", ":00", "+7:5f", "70:zz", &format!("-1:{}", Hash::NONE)] {
            assert_eq!(text.parse::<Head>(), Err(BadHead), "{text}");
        }
    }
}
