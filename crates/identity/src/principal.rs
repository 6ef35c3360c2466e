//! Somebody whose identity was proven.

use std::fmt;
use std::net::IpAddr;

use x509::Certificate;

/// What a principal may do, from least to most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// May look.
    Reader,
    /// May do everything, the approval and revocation of certificates included.
    Administrator,
}

/// Somebody whose identity was proven, by which means, from where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    name: String,
    role: Role,
    from: Option<IpAddr>,
}

impl Principal {
    pub(crate) fn new(name: String, role: Role, from: Option<IpAddr>) -> Self {
        Self { name, role, from }
    }

    /// The house acting on its own account: the first administrator, its own server certificate, what a
    /// stop left behind. A name for the history; it is granted nothing, for that there is [`Permit::house`].
    ///
    /// [`Permit::house`]: crate::Permit::house
    #[must_use]
    pub fn house() -> Self {
        Self { name: "the house".into(), role: Role::Reader, from: None }
    }

    /// The holder of a certificate who proved to have its key by a signed statement. It may do what
    /// needs no permit, and the history knows who it was.
    #[must_use]
    pub fn holder_of(certificate: &Certificate) -> Self {
        Self {
            name: format!("holder of {} ({})", certificate.serial(), certificate.subject()),
            role: Role::Reader,
            from: None,
        }
    }

    /// How the history names it: `user certificate 1234…`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it may do.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }

    /// Where the request came from, when it came over the network.
    #[must_use]
    pub fn from(&self) -> Option<IpAddr> {
        self.from
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}
