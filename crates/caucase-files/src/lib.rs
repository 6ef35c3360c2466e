//! The files of caucase 0.9.17: its database and its backups.
//!
//! ```text
//! row.rs         what there is in a database: one value a row, whichever authority it is of
//! schema.rs      its tables, to the letter as caucase makes them
//! database.rs    which file is a database of caucase, and what is in it; database/write.rs makes one
//! dump.rs        the same as SQL; restore.rs makes a database of that
//! backup.rs      what is around a backup; backup/write.rs makes one, for whoever can read it, and backup/read.rs says whether
//!                it is what was written
//! ```
//! Everything goes row by row: a database of a million certificates passes in bounded memory.
//!
//! What touches a database is behind the feature `database`, off by default: the room of the authority knows the rows only.
//!
//! Source: the contract of caucase, sections 8 and 9.
//!
//! **Invariant:** a file that is not understood wholly is refused, and never changed.

pub mod backup;
#[cfg(feature = "database")]
mod database;
pub mod dump;
#[cfg(feature = "database")]
mod restore;
mod row;
mod schema;

#[cfg(feature = "database")]
pub use database::{Database, DatabaseError, Hold, Nature, Writer, nature};

pub use row::{CertificateRow, Count, IssuerRow, Prefix, RevokedRow, Row};
