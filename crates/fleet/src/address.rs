//! Where a host is reached.

use core::net::IpAddr;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use base::{Explain, Kind};

use crate::add::AddHostError;
use crate::order::natural;

/// The longest address, in bytes; what a DNS name may have (RFC 1035 §2.3.4).
const BYTES_MAX: usize = 255;
/// The longest part of a DNS name, in bytes (RFC 1035 §2.3.4).
const LABEL_BYTES_MAX: usize = 63;

/// A host's address: an IP address or a name, which also names the host. One machine has one, however it is written:
/// IP addresses stand in their canonical text form (RFC 5952 §4), those of IPv4 mapped into IPv6 as IPv4, and names in
/// lower case without a dot at their end.
///
/// 1 to 255 letters, digits, `.`, `_` and `-`, and for IPv6 `:` and `%` (commissaire contract, section 2.3); not
/// beginning with `-`, which commands take for an option. Ordered as people do, numbers by their value.
#[derive(Clone)]
pub struct HostAddress {
    text: String,
    /// How it was written, if that is another way: the original kept addresses so.
    written: Option<String>,
}

impl HostAddress {
    /// The address as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The address, if a host can be reached there: it is an IP address or a DNS name (RFC 1123 §2.1; `_` is taken as
    /// well, as it is in use). `/api/v0` has always taken other names, so this is only asked of what comes another way.
    ///
    /// # Errors
    /// [`AddHostError::Unreachable`].
    pub fn reachable(self) -> Result<Self, AddHostError> {
        // What has a colon was parsed as an IPv6 address, perhaps with a zone.
        if self.text.contains(':') || self.text.split('.').all(is_label) {
            Ok(self)
        } else {
            Err(AddHostError::Unreachable { address: self })
        }
    }

    /// How it was written, if that is another way.
    pub(crate) fn written(&self) -> Option<&str> {
        self.written.as_deref()
    }

    /// An address that stands in the store as it is: those that the original wrote have every spelling.
    pub(crate) fn stored(text: &str) -> Result<Self, BadAddress> {
        check_characters(text)?;
        Ok(Self { text: text.to_owned(), written: None })
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
    /// It is neither an IP address nor a name; a port does not belong to it either.
    #[error("it is neither an IP address nor a name")]
    Form,
    /// It is an IP address, but not that of one machine.
    #[error("an unspecified, multicast or broadcast address is not that of a host")]
    NoHost,
}

impl Explain for BadAddress {
    fn kind(&self) -> Kind {
        Kind::Invalid
    }
}

impl FromStr for HostAddress {
    type Err = BadAddress;

    fn from_str(written: &str) -> Result<Self, BadAddress> {
        check_characters(written)?;
        let text = canonical(written)?;
        let written = (text != written).then(|| written.to_owned());
        Ok(Self { text, written })
    }
}

fn check_characters(text: &str) -> Result<(), BadAddress> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-:%".contains(&byte);
    match text.as_bytes() {
        [] => Err(BadAddress::Empty),
        bytes if bytes.len() > BYTES_MAX => Err(BadAddress::TooLong),
        bytes if !bytes.iter().copied().all(fits) => Err(BadAddress::Character),
        [b'-', ..] => Err(BadAddress::Option),
        _ => Ok(()),
    }
}

/// Whether it can stand between the dots of a DNS name.
fn is_label(label: &str) -> bool {
    (1..=LABEL_BYTES_MAX).contains(&label.len())
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

/// The one way to write an address.
fn canonical(written: &str) -> Result<String, BadAddress> {
    let (address, zone) = match written.split_once('%') {
        Some((address, zone)) => (address, Some(zone)),
        None => (written, None),
    };
    match address.parse::<IpAddr>() {
        Ok(address) => of_a_host(address, zone, written),
        Err(_) if zone.is_some() => Err(BadAddress::Form),
        Err(_) => name(address),
    }
}

/// An IP address and the zone it is in (RFC 4007 §11), which are `written` so.
fn of_a_host(address: IpAddr, zone: Option<&str>, written: &str) -> Result<String, BadAddress> {
    let is_broadcast = |address| matches!(address, IpAddr::V4(address) if address.is_broadcast());
    match (address.to_canonical(), zone) {
        (address, _) if address.is_unspecified() || address.is_multicast() || is_broadcast(address) => {
            Err(BadAddress::NoHost)
        }
        // There is one way to write those of IPv4, and it need not be put together again.
        (IpAddr::V4(_), None) if address.is_ipv4() => Ok(written.to_owned()),
        (address, None) => Ok(address.to_string()),
        (IpAddr::V6(address), Some(zone)) if !zone.is_empty() && !zone.contains([':', '%']) => {
            Ok(format!("{address}%{zone}"))
        }
        (_, Some(_)) => Err(BadAddress::Form),
    }
}

/// A name: labels with dots between them. One whose last label is a number would be taken for an IPv4 address.
fn name(written: &str) -> Result<String, BadAddress> {
    let name = written.strip_suffix('.').unwrap_or(written);
    let last = name.rsplit('.').next().unwrap_or_default();
    let hexadecimal = last.strip_prefix("0x").or_else(|| last.strip_prefix("0X"));
    let is_number = last.bytes().all(|byte| byte.is_ascii_digit())
        || hexadecimal.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
    if name.contains(':') || name.split('.').any(str::is_empty) || is_number {
        return Err(BadAddress::Form);
    }
    Ok(name.to_ascii_lowercase())
}

impl PartialEq for HostAddress {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for HostAddress {}

impl Hash for HostAddress {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl PartialOrd for HostAddress {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for HostAddress {
    fn cmp(&self, other: &Self) -> Ordering {
        natural(&self.text, &other.text)
    }
}

impl fmt::Display for HostAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for HostAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
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
            ("", Err(BadAddress::Empty)),
            (&format!("{long}a"), Err(BadAddress::TooLong)),
            ("a/b", Err(BadAddress::Character)),
            ("a b", Err(BadAddress::Character)),
            ("é", Err(BadAddress::Character)),
            ("a\n", Err(BadAddress::Character)),
            ("-oProxyCommand", Err(BadAddress::Option)),
            (".", Err(BadAddress::Form)),
            ("..", Err(BadAddress::Form)),
            ("a..b", Err(BadAddress::Form)),
            ("a.example..", Err(BadAddress::Form)),
            (".a", Err(BadAddress::Form)),
            ("%", Err(BadAddress::Form)),
            ("a%eth0", Err(BadAddress::Form)),
            ("10.0.0.1%eth0", Err(BadAddress::Form)),
            ("fe80::1%", Err(BadAddress::Form)),
            ("fe80::1%a%b", Err(BadAddress::Form)),
            (":::::", Err(BadAddress::Form)),
            ("10.0.0.1:22", Err(BadAddress::Form)),
            ("web:22", Err(BadAddress::Form)),
            ("999.1.1.1", Err(BadAddress::Form)),
            ("10.0.1", Err(BadAddress::Form)),
            ("010.0.0.1", Err(BadAddress::Form)),
            ("7", Err(BadAddress::Form)),
            ("0x7f.0x1", Err(BadAddress::Form)),
            ("0.0.0.0", Err(BadAddress::NoHost)),
            ("::", Err(BadAddress::NoHost)),
            ("::ffff:0.0.0.0", Err(BadAddress::NoHost)),
            ("224.0.0.1", Err(BadAddress::NoHost)),
            ("ff02::1%eth0", Err(BadAddress::NoHost)),
            ("255.255.255.255", Err(BadAddress::NoHost)),
        ] {
            assert_eq!(text.parse::<HostAddress>().map(drop), expected, "{text:?}");
        }
    }

    #[test]
    fn one_machine_is_written_one_way() {
        for (written, expected) in [
            ("10.0.0.1", "10.0.0.1"),
            ("2001:DB8:0::1", "2001:db8::1"),
            ("2001:db8::1", "2001:db8::1"),
            ("::ffff:10.0.0.1", "10.0.0.1"),
            ("::FFFF:a00:1", "10.0.0.1"),
            ("FE80::0:1%Eth0", "fe80::1%Eth0"),
            ("DB1.Example", "db1.example"),
            ("db1.example.", "db1.example"),
            ("1a.2b", "1a.2b"),
        ] {
            let address: HostAddress = written.parse().unwrap();
            assert_eq!(address.as_str(), expected, "{written}");
            assert_eq!(address.written(), (written != expected).then_some(written));
            assert_eq!(address, expected.parse().unwrap());
        }
        for old in ["DB1.Example.", "..", "10.0.0.1:22"] {
            assert_eq!(HostAddress::stored(old).unwrap().as_str(), old);
        }
        assert!(HostAddress::stored("a/b").is_err());
    }

    #[test]
    fn hosts_are_somewhere() {
        let long = "a".repeat(63);
        for (text, is_reachable) in [
            ("10.0.0.1", true),
            ("node-1.example_2.org", true),
            ("1-2-3-4", true),
            ("3com", true),
            ("a.", true),
            (&long, true),
            ("::1", true),
            ("fe80::1%eth0", true),
            ("fe80::1%-eth0-", true),
            ("a-.b", false),
            ("a.-b", false),
            (&format!("{long}a"), false),
        ] {
            let address: HostAddress = text.parse().unwrap();
            assert_eq!(address.reachable().is_ok(), is_reachable, "{text}");
        }
    }
}
