//! Whom to ask.

use std::fmt;
use std::sync::Arc;

use crate::{HostKey, UserKey};

/// Where a machine listens: a name or an IP address, and a port.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    /// An IPv4 or IPv6 address without brackets, or a DNS name.
    pub host: String,
    /// The TCP port; SSH's own is 22.
    pub port: u16,
}

impl Address {
    /// `host` at `port`.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self { host: host.into(), port }
    }
}

impl fmt::Display for Address {
    /// `host:port`, with brackets around an IPv6 address.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// What is known of the key that a machine will prove.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum KnownKey {
    /// Nothing yet: whichever key it proves is taken, and [`Remote::meet`](crate::Remote::meet) gives it back to be
    /// pinned.
    #[default]
    Unknown,
    /// It must be this one; any other is refused.
    Pinned(HostKey),
}

/// A machine, and how to get in.
#[derive(Debug, Clone)]
pub struct Target {
    /// Where it listens; for a target behind a jump, as the jump reaches it.
    pub address: Address,
    /// Who signs in. Commands of anybody but `root` go through sudo.
    pub user: String,
    /// What signs in.
    pub key: UserKey,
    /// The host key that is expected.
    pub known: KnownKey,
    /// The machine to go through, where there is no direct way.
    pub jump: Option<Arc<Target>>,
}

impl Target {
    /// The machine at `address`, directly, with a host key that is not known yet.
    pub fn new(address: Address, user: impl Into<String>, key: UserKey) -> Self {
        Self { address, user: user.into(), key, known: KnownKey::Unknown, jump: None }
    }

    /// Expects `key` of the machine.
    #[must_use]
    pub fn pinned(mut self, key: HostKey) -> Self {
        self.known = KnownKey::Pinned(key);
        self
    }

    /// Goes through `jump`.
    #[must_use]
    pub fn via(mut self, jump: Target) -> Self {
        self.jump = Some(Arc::new(jump));
        self
    }

    /// Whether commands run with all rights without sudo.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.user == "root"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_written_so_that_it_can_be_read() {
        let check = |host: &str, expected: &str| assert_eq!(Address::new(host, 22).to_string(), expected);
        check("192.0.2.7", "192.0.2.7:22");
        check("2001:db8::7", "[2001:db8::7]:22");
        check("db.example", "db.example:22");
    }
}
