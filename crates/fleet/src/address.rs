//! Where a host is reached.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use base::{Explain, Kind};

use crate::order::natural;

/// The longest address, in bytes; what a DNS name may have (RFC 1035 §2.3.4).
const BYTES_MAX: usize = 255;

/// A host's address, as the operator wrote it: an IP address or a name, which also names the host.
///
/// 1 to 255 letters, digits, `.`, `_` and `-`, and for IPv6 `:` and `%` (commissaire contract, section 2.3); not
/// beginning with `-`, which commands take for an option. Ordered as people do, numbers by their value.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct HostAddress(String);

impl HostAddress {
    /// The address as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why a text is no address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadAddress {
    /// It has no characters.
    #[error("an address is not empty")]
    Empty,
    /// It has more than 255 bytes.
    #[error("an address has at most 255 bytes")]
    TooLong,
    /// It has a character that no address has.
    #[error("an address has letters, digits, `.`, `_`, `-`, `:` and `%`, and nothing else")]
    Character,
    /// It begins with `-`.
    #[error("an address does not begin with `-`, which commands take for an option")]
    Option,
}

impl Explain for BadAddress {
    fn kind(&self) -> Kind {
        Kind::Invalid
    }
}

impl FromStr for HostAddress {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-:%".contains(&byte);
        match text.as_bytes() {
            [] => Err(BadAddress::Empty),
            bytes if bytes.len() > BYTES_MAX => Err(BadAddress::TooLong),
            bytes if !bytes.iter().copied().all(fits) => Err(BadAddress::Character),
            [b'-', ..] => Err(BadAddress::Option),
            _ => Ok(Self(text.to_owned())),
        }
    }
}

impl PartialOrd for HostAddress {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for HostAddress {
    fn cmp(&self, other: &Self) -> Ordering {
        natural(&self.0, &other.0)
    }
}

impl fmt::Display for HostAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for HostAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_names_and_numbers() {
        let long = "a".repeat(255);
        for (text, expected) in [
            ("10.0.0.1", Ok(())),
            ("node-1.example_2", Ok(())),
            ("fe80::1%eth0", Ok(())),
            (&long, Ok(())),
            (".", Ok(())),
            ("", Err(BadAddress::Empty)),
            (&format!("{long}a"), Err(BadAddress::TooLong)),
            ("a/b", Err(BadAddress::Character)),
            ("a b", Err(BadAddress::Character)),
            ("é", Err(BadAddress::Character)),
            ("a\n", Err(BadAddress::Character)),
            ("-oProxyCommand", Err(BadAddress::Option)),
        ] {
            assert_eq!(text.parse::<HostAddress>().map(drop), expected, "{text:?}");
        }
    }
}
