//! The tables of caucase's database, as the original makes them.
//!
//! SQLite keeps the text that made a table, blanks included, and a dump repeats it: it is the original's, so that a database
//! that went through our hands cannot be told from one that did not.

use crate::row::{Count, Prefix, Row};

/// One of the tables that each authority has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Table {
    /// CA certificates and their keys.
    Ca,
    /// The date of the revocation lists.
    Config,
    /// The locked automatic count.
    ConfigOnce,
    /// Requests received, and the number of the revocation lists.
    Counter,
    /// Requests and certificates.
    Crt,
    /// Revocations.
    Revoked,
}

impl Table {
    /// All of them, in the order of their names, in which dumps have them.
    pub(crate) const ALL: [Self; 6] =
        [Self::Ca, Self::Config, Self::ConfigOnce, Self::Counter, Self::Crt, Self::Revoked];

    /// Where a row is kept.
    pub(crate) fn of(row: &Row) -> Self {
        match row {
            Row::Issuer(_) => Self::Ca,
            Row::Certificate(_) => Self::Crt,
            Row::Revoked(_) => Self::Revoked,
            Row::Count(Count::Received(_) | Count::CrlNumber(_)) => Self::Counter,
            Row::Count(Count::Automatic(_)) => Self::ConfigOnce,
            Row::Count(Count::CrlLastUpdate(_)) => Self::Config,
        }
    }

    /// Its name, for the authority of `prefix`.
    pub(crate) fn name(self, prefix: Prefix) -> String {
        let name = match self {
            Self::Ca => "ca",
            Self::Config => "config",
            Self::ConfigOnce => "config_once",
            Self::Counter => "counter",
            Self::Crt => "crt",
            Self::Revoked => "revoked",
        };
        format!("{}{name}", prefix.as_str())
    }

    /// The text that makes it.
    pub(crate) fn create(self, prefix: Prefix) -> String {
        // Each key has one certificate of a user at most, so that a backup's key says which one it is.
        let unique = if prefix == Prefix::Users { "UNIQUE" } else { "" };
        let columns: &[&str] = match self {
            Self::Ca => &["expiration_date INTEGER", "key TEXT", "crt TEXT"],
            Self::Config | Self::ConfigOnce => &["name TEXT PRIMARY KEY", "value TEXT"],
            Self::Counter => &["name TEXT PRIMARY KEY", "value INTEGER"],
            Self::Crt => &[
                "id INTEGER PRIMARY KEY",
                &format!("key_id TEXT {unique}"),
                "expiration_date INTEGER",
                "csr TEXT",
                "crt TEXT",
            ],
            Self::Revoked => {
                &["serial TEXT PRIMARY KEY", "revocation_date INTEGER", "expiration_date INTEGER"]
            }
        };
        let blanks = " ".repeat(10);
        format!(
            "CREATE TABLE {} (\n{blanks}{}\n        )",
            self.name(prefix),
            columns.join(&format!(",\n{blanks}"))
        )
    }
}
