//! Nobody writes to a database while another one takes its place.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use super::{BUSY, DatabaseError, sqlite};

/// Keeps others from writing to a database of caucase's until it is dropped; whoever reads goes on. Nothing is written.
///
/// To be taken behind [`super::Database`], which opens the file and closes it: with that a process loses all its locks of
/// this kind on it (fcntl_locking(2)).
#[derive(Debug)]
pub struct Hold {
    path: PathBuf,
    _connection: Connection,
}

impl Hold {
    /// Waits a few seconds for whoever is writing.
    ///
    /// # Errors
    /// [`DatabaseError::Sqlite`], when somebody goes on writing, or the file may not be written to.
    pub fn take(path: &Path) -> Result<Self, DatabaseError> {
        let failed = sqlite(path, "lock");
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(&failed)?;
        connection.busy_timeout(BUSY).map_err(&failed)?;
        // The lock of who is about to write: one has it at a time, and a journal is only begun with it.
        connection.execute_batch("PRAGMA trusted_schema = OFF; BEGIN IMMEDIATE").map_err(&failed)?;
        Ok(Self { path: path.into(), _connection: connection })
    }

    /// Removes a journal that somebody left who died before anything in it counted: under another database's name it could
    /// be taken for that one's.
    ///
    /// # Errors
    /// [`DatabaseError::File`], and [`DatabaseError::Journal`] for one that does count.
    pub fn remove_dead_journal(&self) -> Result<(), DatabaseError> {
        super::has_no_journal(&self.path)?;
        let mut journal = self.path.as_os_str().to_owned();
        journal.push("-journal");
        match fs::remove_file(&journal) {
            Err(source) if source.kind() != ErrorKind::NotFound => {
                Err(DatabaseError::File { path: journal.into(), doing: "remove", source })
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_writes_is_waited_for_and_a_dead_journal_goes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db");
        let writer = Connection::open(&path).unwrap();
        writer.execute_batch("CREATE TABLE one (a); BEGIN IMMEDIATE").unwrap();
        let refused = Hold::take(&path).unwrap_err();
        assert!(refused.to_string().contains("locked"), "{refused}");
        writer.execute_batch("COMMIT").unwrap();
        let before = fs::read(&path).unwrap();
        let journal = folder.path().join("db-journal");
        // As of a process that was killed before anything in it counted.
        fs::write(&journal, [0; 512]).unwrap();
        let hold = Hold::take(&path).unwrap();
        assert!(writer.execute_batch("PRAGMA busy_timeout = 1; INSERT INTO one VALUES (1)").is_err());
        assert!(writer.query_row("SELECT count(*) FROM one", [], |row| row.get::<_, i64>(0)).is_ok());
        hold.remove_dead_journal().unwrap();
        assert!(!journal.exists());
        fs::write(&journal, b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7").unwrap();
        assert!(matches!(hold.remove_dead_journal(), Err(DatabaseError::Journal { .. })));
        fs::remove_file(&journal).unwrap();
        drop(hold);
        assert_eq!(fs::read(&path).unwrap(), before);
    }
}
