//! Making a database as caucase makes one.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, params};

use super::{AUTOMATIC, CRL_LAST_UPDATE, CRL_NUMBER, DatabaseError, RECEIVED, sqlite};
use crate::schema::Kind;
use crate::{Count, Prefix, Row};

/// A database that is being made, under a temporary name beside its own. Dropping it before its end removes it.
#[derive(Debug)]
pub struct Writer {
    path: PathBuf,
    temporary: PathBuf,
    /// Absent once it is finished.
    connection: Option<Connection>,
}

impl Writer {
    /// Begins the database that is to be at `path`, where nothing may be, with mode 0600.
    ///
    /// # Errors
    /// [`DatabaseError::File`] when there is something, or it cannot be made.
    pub fn create(path: &Path) -> Result<Self, DatabaseError> {
        let file = |source| DatabaseError::File { path: path.into(), doing: "make", source };
        if path.symlink_metadata().is_ok() {
            return Err(file(io::ErrorKind::AlreadyExists.into()));
        }
        let name = path.file_name().ok_or_else(|| file(io::ErrorKind::InvalidInput.into()))?;
        let mut temporary = OsString::from(".");
        temporary.push(name);
        temporary.push(".new");
        let temporary = path.with_file_name(temporary);
        // What an earlier crash left.
        match std::fs::remove_file(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(file(error)),
            _ => {}
        }
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary).map_err(file)?;
        let mut writer = Self { path: path.into(), temporary, connection: None };
        let begun = writer.begin();
        writer.connection = Some(begun.map_err(|error| writer.failed(error))?);
        Ok(writer)
    }

    fn failed(&self, error: rusqlite::Error) -> DatabaseError {
        sqlite(&self.path, "write")(error)
    }

    fn begin(&self) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.temporary, flags)?;
        // Until it is whole nobody sees it: there is nothing to go back to.
        connection.pragma_update_and_check(None, "journal_mode", "OFF", |_| Ok(()))?;
        connection.pragma_update(None, "synchronous", "OFF")?;
        connection.execute_batch("BEGIN")?;
        for prefix in Prefix::ALL {
            for create in Kind::ALL.into_iter().filter_map(|kind| kind.create(prefix)) {
                connection.execute_batch(&create)?;
            }
        }
        Ok(connection)
    }

    /// Adds a row.
    ///
    /// # Errors
    /// [`DatabaseError::Sqlite`] when there is such a row, or it cannot be written.
    pub fn push(&mut self, prefix: Prefix, row: &Row) -> Result<(), DatabaseError> {
        let Some(connection) = &self.connection else { return Ok(()) };
        insert(connection, prefix, row).map_err(|error| self.failed(error))
    }

    /// Makes it durable, and gives it its name.
    ///
    /// # Errors
    /// [`DatabaseError::File`] also when something came to be at that name meanwhile.
    pub fn finish(mut self) -> Result<(), DatabaseError> {
        let file = |source| DatabaseError::File { path: self.path.clone(), doing: "write", source };
        if let Some(connection) = self.connection.take() {
            connection.execute_batch("COMMIT").map_err(|error| self.failed(error))?;
            connection.close().map_err(|(_, error)| self.failed(error))?;
        }
        File::open(&self.temporary).and_then(|made| made.sync_all()).map_err(file)?;
        // Unlike a rename this replaces nothing.
        std::fs::hard_link(&self.temporary, &self.path).map_err(file)?;
        std::fs::remove_file(&self.temporary).map_err(file)?;
        let directory = self.path.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(directory.unwrap_or(Path::new("."))).and_then(|open| open.sync_all()).map_err(file)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.connection.take());
        // It is gone after a good end.
        let _ = std::fs::remove_file(&self.temporary);
    }
}

/// Python 3's flavour: what is PEM or a key's identifier is a blob.
fn insert(connection: &Connection, prefix: Prefix, row: &Row) -> rusqlite::Result<()> {
    let prepare = |kind: Kind| {
        let columns = kind.columns();
        let places = vec!["?"; columns.len()].join(", ");
        let (table, columns) = (kind.table(prefix), columns.join(", "));
        connection.prepare_cached(&format!("INSERT INTO {table} ({columns}) VALUES ({places})"))
    };
    match row {
        Row::Issuer(row) => prepare(Kind::Issuers)?.execute(params![
            row.expires_at,
            row.key.expose().as_slice(),
            row.certificate
        ])?,
        Row::Certificate(row) => prepare(Kind::Certificates)?.execute(params![
            row.id.cast_signed(),
            row.key_id.as_bytes(),
            row.drop_at,
            row.request,
            row.certificate
        ])?,
        Row::Revoked(row) => prepare(Kind::Revoked)?.execute(params![row.serial, row.at, row.expires_at])?,
        Row::Count(Count::Received(number)) => {
            prepare(Kind::Counter)?.execute(params![RECEIVED, number.cast_signed()])?
        }
        Row::Count(Count::CrlNumber(number)) => {
            prepare(Kind::Counter)?.execute(params![CRL_NUMBER, number.cast_signed()])?
        }
        Row::Count(Count::Automatic(number)) => {
            prepare(Kind::ConfigOnce)?.execute(params![AUTOMATIC, number.to_string()])?
        }
        Row::Count(Count::CrlLastUpdate(at)) => {
            prepare(Kind::Config)?.execute(params![CRL_LAST_UPDATE, at.to_string()])?
        }
        Row::Count(Count::NoList) => 0,
    };
    Ok(())
}
