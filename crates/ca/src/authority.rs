//! What distinguishes one authority from another.

use std::fmt;

use base::Span;
use x509::{Extension, KeySpec};

use crate::names::Names;

/// Which authority. Each has its own issuers, requests, revocations and counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AuthorityName {
    /// Certificates for anything; they give no rights here.
    Services,
    /// Certificates of those who may approve and revoke.
    Users,
    /// Signs only the server's own certificate; not reachable from outside.
    Server,
}

impl AuthorityName {
    /// As keys, logs and commands write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Services => "services",
            Self::Users => "users",
            Self::Server => "server",
        }
    }
}

impl fmt::Display for AuthorityName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The policy of one authority.
#[derive(Debug, Clone)]
pub struct Profile {
    /// Which authority it is for.
    pub name: AuthorityName,
    /// The common name of its CA certificates; 1 to 64 characters.
    pub issuer_common_name: String,
    /// Extensions of its first CA certificate beside those every CA certificate has: name constraints.
    pub issuer_extensions: Vec<Extension>,
    /// The life of a leaf certificate, `L`.
    pub leaf_life: Span,
    /// The life of a CA certificate: `4 L`, and `40 L` for the server authority.
    pub issuer_life: Span,
    /// What keys its CA certificates get.
    pub issuer_key: KeySpec,
    /// Where its revocation lists are published: the text before the issuer's number and what follows it,
    /// one pair for each address, best first. Empty: certificates name no distribution point.
    pub crl_addresses: Vec<(String, String)>,
    /// Which names are certified.
    pub names: Names,
    /// Which requests are taken, and which are approved at once.
    pub admission: Admission,
}

/// Which requests are taken.
#[derive(Debug, Clone)]
pub struct Admission {
    /// No new requests while so many are pending.
    pub pending_max: u64,
    /// So many requests, counted since the authority began, are approved at once.
    pub automatic_max: u64,
    /// Whether the authority remembers `automatic_max` from the first time on.
    pub lock_automatic_max: bool,
    /// Whether a key may be certified once only, and must be RSA: the backups of the users authority are
    /// encrypted to its users' keys.
    pub keys_for_backup: bool,
    /// How long a request is kept once its certificate was issued.
    pub keep_issued: Span,
    /// How long after its certificate was first fetched, if that is sooner.
    pub keep_fetched: Span,
}

impl Profile {
    /// How long a revocation list is valid: `0.33 L`.
    #[must_use]
    pub fn crl_life(&self) -> Span {
        self.leaf_life.fraction(33, 100)
    }
}
