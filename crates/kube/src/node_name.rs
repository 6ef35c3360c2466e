//! What a node is called.

use std::fmt;
use std::str::FromStr;

use base::{Explain, Kind};

/// The longest name, in bytes (RFC 1123 as Kubernetes has it, "Object Names and IDs").
const BYTES_MAX: usize = 253;

/// A node's name: parts of lower-case letters, digits and `-` with dots between them, none of which begins or ends with
/// `-`. Upper case is read as lower case, which is also what a kubelet does with its host's name.
///
/// An IPv4 address is one; an IPv6 address never is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeName(String);

/// A text that no node can be called.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no Kubernetes node can be called `{}`", .0.escape_debug())]
pub struct BadNodeName(String);

impl Explain for BadNodeName {
    fn kind(&self) -> Kind {
        Kind::Invalid
    }

    fn help(&self) -> Option<String> {
        let rule = "a node's name has letters, digits, `-` and `.` only";
        let is_ipv6 = self.0.contains(':');
        Some(if is_ipv6 { format!("{rule}: give the host a DNS name") } else { rule.to_owned() })
    }
}

impl NodeName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for NodeName {
    type Err = BadNodeName;

    fn from_str(text: &str) -> Result<Self, BadNodeName> {
        let name = text.to_ascii_lowercase();
        if is_subdomain(&name) {
            Ok(Self(name))
        } else {
            Err(BadNodeName(text.chars().take(BYTES_MAX).collect()))
        }
    }
}

/// Whether Kubernetes takes this as the name of most things ("DNS Subdomain Names").
pub(crate) fn is_subdomain(name: &str) -> bool {
    name.len() <= BYTES_MAX && name.split('.').all(is_label)
}

/// Whether this is one part of such a name, of any length.
pub(crate) fn is_label(part: &str) -> bool {
    let is_inside = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !part.is_empty() && !part.starts_with('-') && !part.ends_with('-') && part.bytes().all(is_inside)
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_kubernetes_takes() {
        let long = format!("{}a", "a.".repeat(126));
        for (text, name) in [
            ("web-1", Some("web-1")),
            ("10.2.0.1", Some("10.2.0.1")),
            ("Web-1.Example.COM", Some("web-1.example.com")),
            (&long, Some(long.as_str())),
            (&format!("a{long}"), None),
            ("", None),
            (".", None),
            ("a.", None),
            ("a..b", None),
            ("-a", None),
            ("a-.b", None),
            ("a_b", None),
            ("a/b", None),
            ("../pods", None),
            ("a?b", None),
            ("a%2fb", None),
            ("fe80::1", None),
            ("é", None),
        ] {
            assert_eq!(text.parse::<NodeName>().ok().as_ref().map(NodeName::as_str), name, "{text}");
        }
    }
}
