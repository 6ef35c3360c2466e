//! Why a database is not read or written.

use std::io;
use std::path::PathBuf;

/// A file is no database of caucase's that can be understood wholly, or one could not be written. No file was changed.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// It could not be read or written.
    #[error("could not {doing} {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What was to be done: "read".
        doing: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// SQLite could not read or write it.
    #[error("SQLite could not {doing} {}: {reason}", path.display())]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// What was to be done: "read".
        doing: &'static str,
        /// Whether the disk is full.
        full: bool,
        /// What it said.
        reason: String,
    },
    /// It is something else.
    #[error("{} is no database of caucase's", path.display())]
    NotCaucase {
        /// The file.
        path: PathBuf,
    },
    /// Somebody is writing to it, or died at it.
    #[error("{} is beside the database: caucase is writing to it, or died while it was", journal.display())]
    Journal {
        /// What is beside it.
        journal: PathBuf,
        /// The database.
        path: PathBuf,
    },
    /// It has a write-ahead log, which caucase does not use.
    #[error("{} is kept with a write-ahead log, which caucase does not do", path.display())]
    WriteAhead {
        /// The database.
        path: PathBuf,
    },
    /// Parts of it are not what they were.
    #[error("{} is damaged: {reason}", path.display())]
    Damaged {
        /// The database.
        path: PathBuf,
        /// What SQLite says of it.
        reason: String,
    },
    /// A table that caucase always makes is not there: taken over without it, an authority would have forgotten what was
    /// in it.
    #[error("the table `{table}` is missing, which has {holds}")]
    Missing {
        /// The table.
        table: String,
        /// What is in it, in words.
        holds: &'static str,
    },
    /// A table is not as caucase makes it.
    #[error("the table `{table}` is not as caucase makes it: {reason}")]
    Table {
        /// The table.
        table: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A row holds what caucase does not put there.
    #[error("row {row} of the table `{table}` cannot be understood: {reason}")]
    Row {
        /// The table.
        table: String,
        /// The row's number, as SQLite's `rowid` gives it.
        row: i64,
        /// What is wrong with it.
        reason: String,
    },
}

impl base::Explain for DatabaseError {
    fn kind(&self) -> base::Kind {
        match self {
            Self::Sqlite { full: true, .. } => base::Kind::Full,
            Self::File { source, .. } if source.kind() == io::ErrorKind::StorageFull => base::Kind::Full,
            Self::File { source, .. } if source.kind() == io::ErrorKind::NotFound => base::Kind::NotFound,
            Self::File { .. } | Self::Sqlite { .. } => base::Kind::Unavailable,
            Self::Journal { .. } | Self::WriteAhead { .. } => base::Kind::Conflict,
            Self::NotCaucase { .. }
            | Self::Damaged { .. }
            | Self::Missing { .. }
            | Self::Table { .. }
            | Self::Row { .. } => base::Kind::Invalid,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Journal { path, .. } => Some(format!(
                "stop caucase; if it does not run, let SQLite finish what it began: sqlite3 {} 'PRAGMA user_version'",
                path.display()
            )),
            Self::WriteAhead { path } => Some(format!(
                "stop caucase, and run: sqlite3 {} 'PRAGMA journal_mode = DELETE'",
                path.display()
            )),
            Self::Damaged { .. } | Self::Missing { .. } => {
                Some("put it back from a backup; it was not changed".into())
            }
            Self::Table { .. } | Self::Row { .. } | Self::NotCaucase { .. } => {
                Some("the file was not changed".into())
            }
            Self::File { .. } | Self::Sqlite { .. } => None,
        }
    }
}
