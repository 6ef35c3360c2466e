//! Somebody whose identity was proven.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use x509::Certificate;

/// What a principal may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// A machine that may register itself, and nothing else: not even look.
    Registrar,
    /// May look, but sees no secrets.
    Reader,
    /// May also put artifacts into the cache, and say what they are.
    Publisher,
    /// May also work on the fleet, and sees the secrets that takes.
    Operator,
    /// May do everything, the approval and revocation of certificates included.
    Administrator,
}

impl Role {
    /// Whether who has this role may do what `needed` may.
    #[must_use]
    pub fn covers(self, needed: Self) -> bool {
        match self {
            Self::Registrar | Self::Reader => self == needed,
            Self::Publisher => matches!(needed, Self::Reader | Self::Publisher),
            Self::Operator => needed != Self::Administrator,
            Self::Administrator => true,
        }
    }
}

/// What somebody is called who is not asked who they are.
pub(crate) const ANYBODY: &str = "anybody";

/// Somebody whose identity was proven, by which means, from where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// Shared, as a request has several copies.
    name: Arc<str>,
    account: Arc<str>,
    role: Role,
    from: Option<IpAddr>,
}

impl Principal {
    pub(crate) fn new(name: impl Into<Arc<str>>, role: Role, from: Option<IpAddr>) -> Self {
        let name = name.into();
        Self { account: name.clone(), name, role, from }
    }

    /// The same, for whom is counted under `account`.
    pub(crate) fn with_account(self, account: Arc<str>) -> Self {
        Self { account, ..self }
    }

    /// Whoever asks where everybody may read, as the operator decided.
    #[must_use]
    pub fn anybody_reading(from: Option<IpAddr>) -> Self {
        Self::new(ANYBODY, Role::Reader, from)
    }

    /// Whoever asks where everybody may put artifacts, as the operator decided.
    #[must_use]
    pub fn anybody_publishing(from: Option<IpAddr>) -> Self {
        Self::new(ANYBODY, Role::Publisher, from)
    }

    /// The house acting on its own account: the first administrator, its own server certificate, what a
    /// stop left behind. A name for the history; it is granted nothing, for that there is [`Permit::house`].
    ///
    /// [`Permit::house`]: crate::Permit::house
    #[must_use]
    pub fn house() -> Self {
        Self::new("the house", Role::Reader, None)
    }

    /// The holder of a certificate who proved to have its key by a signed statement. It may do what
    /// needs no permit, and the history knows who it was.
    #[must_use]
    pub fn holder_of(certificate: &Certificate, from: Option<IpAddr>) -> Self {
        let name = format!("holder of {} ({})", certificate.serial(), certificate.subject());
        Self::new(name, Role::Reader, from)
    }

    /// Whoever asks for what needs no permit, and does not say who they are: the history knows from where.
    #[must_use]
    pub fn anonymous(from: Option<IpAddr>) -> Self {
        Self::new("anonymous", Role::Reader, from)
    }

    /// Somebody whose identity nobody proved, for tests.
    #[cfg(feature = "testing")]
    #[must_use]
    pub fn pretended(name: &str, role: Role, from: Option<IpAddr>) -> Self {
        Self::new(name.to_owned(), role, from)
    }

    /// How the history names it: `user certificate 1234…`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whose it counts as: the same through all renewals of a certificate, `service CN=build-1`.
    #[must_use]
    pub fn account(&self) -> &str {
        &self.account
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
