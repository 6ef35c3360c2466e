//! The tables of caucase's database.

use crate::{Count, Prefix, Row};

/// One of the tables that each authority has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Issuers,
    Certificates,
    Revoked,
    Counter,
    ConfigOnce,
    Config,
    /// Of caucase 0.9.8 and before: the revocation lists that were made.
    Lists,
}

impl Kind {
    /// In the order in which caucase makes them; the lists, which it does not make any more, last.
    pub(crate) const ALL: [Self; 7] = [
        Self::Issuers,
        Self::Certificates,
        Self::Revoked,
        Self::Counter,
        Self::ConfigOnce,
        Self::Config,
        Self::Lists,
    ];

    /// Where a row is kept.
    pub(crate) fn of(row: &Row) -> Self {
        match row {
            Row::Issuer(_) => Self::Issuers,
            Row::Certificate(_) => Self::Certificates,
            Row::Revoked(_) => Self::Revoked,
            Row::Count(Count::Received(_) | Count::CrlNumber(_)) => Self::Counter,
            Row::Count(Count::Automatic(_)) => Self::ConfigOnce,
            Row::Count(Count::CrlLastUpdate(_)) => Self::Config,
            Row::Count(Count::NoList) => Self::Lists,
        }
    }

    /// The name of the table.
    pub(crate) fn table(self, prefix: Prefix) -> String {
        let ending = match self {
            Self::Issuers => "ca",
            Self::Certificates => "crt",
            Self::Revoked => "revoked",
            Self::Counter => "counter",
            Self::ConfigOnce => "config_once",
            Self::Config => "config",
            Self::Lists => "crl",
        };
        format!("{}{ending}", prefix.as_str())
    }

    /// What is in it, in words.
    #[cfg(feature = "database")]
    pub(crate) fn holds(self) -> &'static str {
        match self {
            Self::Issuers => "the CA certificates and their keys",
            Self::Certificates => "the requests and the certificates issued for them",
            Self::Revoked => "the revocations",
            Self::Counter => "how many requests there were, and the number of the last revocation list",
            Self::ConfigOnce => "the locked count of automatic approvals",
            Self::Config => "the date of the last revocation list",
            Self::Lists => "the revocation lists",
        }
    }

    /// The names of its columns.
    #[cfg(feature = "database")]
    pub(crate) fn columns(self) -> &'static [&'static str] {
        match self {
            Self::Issuers => &["expiration_date", "key", "crt"],
            Self::Certificates => &["id", "key_id", "expiration_date", "csr", "crt"],
            Self::Revoked => &["serial", "revocation_date", "expiration_date"],
            Self::Counter | Self::ConfigOnce | Self::Config => &["name", "value"],
            Self::Lists => &["expiration_date", "crl"],
        }
    }

    /// What makes it, to the letter as caucase 0.9.17 does; nothing for what that does not make.
    pub(crate) fn create(self, prefix: Prefix) -> Option<String> {
        let unique = if prefix == Prefix::Users { "UNIQUE" } else { "" };
        let key_id = format!("key_id TEXT {unique}");
        let columns: &[&str] = match self {
            Self::Issuers => &["expiration_date INTEGER", "key TEXT", "crt TEXT"],
            Self::Certificates => {
                &["id INTEGER PRIMARY KEY", &key_id, "expiration_date INTEGER", "csr TEXT", "crt TEXT"]
            }
            Self::Revoked => {
                &["serial TEXT PRIMARY KEY", "revocation_date INTEGER", "expiration_date INTEGER"]
            }
            Self::Counter => &["name TEXT PRIMARY KEY", "value INTEGER"],
            Self::ConfigOnce | Self::Config => &["name TEXT PRIMARY KEY", "value TEXT"],
            Self::Lists => return None,
        };
        let columns = columns.join(",\n          ");
        Some(format!("CREATE TABLE {} (\n          {columns}\n        )", self.table(prefix)))
    }
}
