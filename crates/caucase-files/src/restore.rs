//! A dump becomes a database again.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use base::{Explain, Kind};
use rusqlite::Connection;
use rusqlite::config::DbConfig;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};

use crate::dump::{DumpError, Part, Statements};

/// A dump was not restored.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// What was read is no dump.
    #[error(transparent)]
    Dump(#[from] DumpError),
    /// A statement is none that a dump of caucase's has, or contradicts one before it.
    #[error("statement {number} of the dump is refused")]
    Statement {
        /// Which, from 1.
        number: u64,
        /// What SQLite says of it.
        #[source]
        source: rusqlite::Error,
    },
    /// The database could not be made.
    #[error("could not make a database")]
    Database(#[source] rusqlite::Error),
    /// The file could not be made.
    #[error("could not make a database")]
    File(#[source] io::Error),
}

impl Explain for RestoreError {
    fn kind(&self) -> Kind {
        match self {
            Self::Dump(error) => error.kind(),
            Self::Statement { source, .. } | Self::Database(source) => match source.sqlite_error_code() {
                Some(rusqlite::ErrorCode::DiskFull) => Kind::Full,
                Some(rusqlite::ErrorCode::SystemIoFailure) => Kind::Unavailable,
                _ => Kind::Invalid,
            },
            Self::File(source) if source.kind() == io::ErrorKind::AlreadyExists => Kind::Conflict,
            Self::File(_) => Kind::Unavailable,
        }
    }
}

/// Makes a database of a dump. Until [`Restorer::finish`] there is nothing in it that others could see; whoever drops it
/// before removes the file.
#[derive(Debug)]
pub struct Restorer {
    connection: Connection,
    statements: Statements,
}

impl Restorer {
    /// Into a new file at `path`, which its owner alone may read. It is for reading from afterwards, once: a power cut may
    /// take it away.
    ///
    /// # Errors
    /// When there is something at `path`, or the file cannot be made.
    pub fn into_file(path: &Path) -> Result<Self, RestoreError> {
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(RestoreError::File)?;
        Self::new(Connection::open(path).map_err(RestoreError::Database)?)
    }

    /// Into memory.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub fn into_memory() -> Result<Self, RestoreError> {
        Self::new(Connection::open_in_memory().map_err(RestoreError::Database)?)
    }

    fn new(mut connection: Connection) -> Result<Self, RestoreError> {
        let mut prepare = || -> Result<(), rusqlite::Error> {
            connection.pragma_update(None, "journal_mode", "MEMORY")?;
            connection.pragma_update(None, "synchronous", "OFF")?;
            connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
            connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
            connection.authorizer(Some(may))
        };
        prepare().map_err(RestoreError::Database)?;
        Ok(Self { connection, statements: Statements::default() })
    }

    /// Takes a piece of the dump.
    ///
    /// # Errors
    /// [`RestoreError`]; there is nothing more to be done with it then.
    pub fn feed(&mut self, piece: &[u8]) -> Result<(), RestoreError> {
        let connection = &self.connection;
        self.statements.feed(piece, |part, text, number| {
            let refused = |source| RestoreError::Statement { number, source };
            if part == Part::Within && connection.is_autocommit() {
                return Err(refused(rusqlite::Error::InvalidQuery));
            }
            connection.execute(text, ()).map(drop).map_err(refused)
        })
    }

    /// The dump is at its end: what it says is in the database.
    ///
    /// # Errors
    /// When it is not at its end.
    pub fn finish(mut self) -> Result<Connection, RestoreError> {
        self.statements.end()?;
        let no_authorizer: Option<fn(AuthContext<'_>) -> Authorization> = None;
        self.connection.authorizer(no_authorizer).map_err(RestoreError::Database)?;
        Ok(self.connection)
    }
}

/// Whether a dump may do this: make a table or an index, put a row into a table, begin and end. Making one has SQLite write
/// into its own table of tables, which it lets nobody do directly.
fn may(context: AuthContext<'_>) -> Authorization {
    let own = |table: &str| matches!(table, "sqlite_master" | "sqlite_schema");
    let allowed = match context.action {
        // An index reads its columns; what asks for rows would have to select them.
        AuthAction::Transaction { .. } | AuthAction::Reindex { .. } | AuthAction::Read { .. } => true,
        AuthAction::CreateTable { table_name } | AuthAction::CreateIndex { table_name, .. } => {
            !table_name.starts_with("sqlite_")
        }
        AuthAction::Insert { table_name } => own(table_name) || !table_name.starts_with("sqlite_"),
        AuthAction::Update { table_name, .. } => own(table_name),
        _ => false,
    };
    if allowed { Authorization::Allow } else { Authorization::Deny }
}

#[cfg(test)]
mod tests {
    use base::Secret;

    use super::*;
    use crate::dump::Writer;
    use crate::row::{CertificateRow, Count, IssuerRow, Prefix, RevokedRow, Row};

    fn dump() -> Vec<u8> {
        let mut dump = Writer::new(Vec::new()).unwrap();
        let issuer =
            IssuerRow { expires_at: 9, key: Secret::new(b"KEY\n".to_vec()), certificate: b"CRT\n".to_vec() };
        let pending = CertificateRow {
            id: 7,
            key_id: "0a".to_owned(),
            drop_at: None,
            request: b"CSR".to_vec(),
            certificate: None,
        };
        let issued = CertificateRow {
            id: 8,
            key_id: "0b".to_owned(),
            drop_at: Some(-1),
            certificate: Some(b"CRT".to_vec()),
            ..pending.clone()
        };
        let revoked = RevokedRow { serial: "12".to_owned(), at: 3, expires_at: 4 };
        for row in [
            Row::Issuer(issuer),
            Row::Count(Count::CrlLastUpdate(5)),
            Row::Count(Count::Automatic(1)),
            Row::Count(Count::Received(2)),
            Row::Count(Count::CrlNumber(3)),
            Row::Certificate(pending),
            Row::Certificate(issued),
            Row::Revoked(revoked),
        ] {
            dump.row(Prefix::Services, &row).unwrap();
        }
        dump.finish().unwrap()
    }

    fn restore(dump: &[u8], piece: usize) -> Result<Connection, RestoreError> {
        let mut restorer = Restorer::into_memory()?;
        for piece in dump.chunks(piece) {
            restorer.feed(piece)?;
        }
        restorer.finish()
    }

    /// What Python's `iterdump` gives for such a database, character for character.
    #[test]
    fn a_dump_is_written_as_python_does() {
        let text = String::from_utf8(dump()).unwrap();
        let begin = "BEGIN TRANSACTION;\0CREATE TABLE casca (\n          expiration_date INTEGER,\n          key TEXT,\
                     \n          crt TEXT\n        );\0INSERT INTO \"casca\" VALUES(9,X'4B45590A',X'4352540A');\0\
                     CREATE TABLE casconfig (\n          name TEXT PRIMARY KEY,\n          value TEXT\n        );\0\
                     INSERT INTO \"casconfig\" VALUES('crl_last_update','5');\0";
        assert!(text.starts_with(begin), "{text}");
        for statement in [
            "INSERT INTO \"casconfig_once\" VALUES('auto_sign_csr_amount','1');",
            "INSERT INTO \"cascounter\" VALUES('received_csr',2);",
            "INSERT INTO \"cascounter\" VALUES('crl_number',3);",
            "CREATE TABLE cascrt (\n          id INTEGER PRIMARY KEY,\n          key_id TEXT ,\n          \
             expiration_date INTEGER,\n          csr TEXT,\n          crt TEXT\n        );",
            "INSERT INTO \"cascrt\" VALUES(7,X'3061',NULL,X'435352',NULL);",
            "INSERT INTO \"cascrt\" VALUES(8,X'3062',-1,X'435352',X'435254');",
            "INSERT INTO \"casrevoked\" VALUES('12',3,4);",
            "CREATE TABLE caucrt (\n          id INTEGER PRIMARY KEY,\n          key_id TEXT UNIQUE,\n          \
             expiration_date INTEGER,\n          csr TEXT,\n          crt TEXT\n        );",
        ] {
            assert!(text.split('\0').any(|found| found == statement), "{statement}\n{text}");
        }
        assert!(text.ends_with(");\0COMMIT;\0"), "{text}");
    }

    #[test]
    fn what_was_dumped_is_restored_however_it_comes() {
        let dump = dump();
        for piece in [1, 7, 4096] {
            let restored = restore(&dump, piece).unwrap();
            let count = |sql| restored.query_row(sql, (), |row| row.get::<_, i64>(0)).unwrap();
            assert_eq!(count("SELECT count(*) FROM sqlite_master WHERE type = 'table'"), 18);
            assert_eq!(
                count("SELECT count(*) FROM cascrt WHERE typeof(csr) = 'blob' AND key_id = X'3061'"),
                1
            );
            assert_eq!(count("SELECT sum(value) FROM cascounter"), 5);
        }
    }

    #[test]
    fn a_dump_that_is_cut_off_is_refused() {
        let dump = dump();
        for length in 0..dump.len() {
            assert!(restore(&dump[..length], 4096).is_err(), "{length}");
        }
        assert!(restore(&[&dump[..], b"x"].concat(), 4096).is_err());
        assert!(restore(&[&dump[..], b"SELECT 1;\0"].concat(), 4096).is_err());
    }

    #[test]
    fn nothing_else_is_let_through() {
        for statement in [
            "DROP TABLE t;",
            "DELETE FROM t;",
            "UPDATE t SET a = 1;",
            "SELECT 1;",
            "ATTACH '/tmp/x' AS x;",
            "PRAGMA writable_schema = ON;",
            "PRAGMA user_version = 1;",
            "COMMIT; SELECT 1;",
            "COMMIT ;",
            "ROLLBACK;",
            "SAVEPOINT a;",
            "INSERT INTO t VALUES(1); DROP TABLE t;",
            "INSERT INTO t SELECT a FROM t;",
            "INSERT INTO t VALUES((SELECT 1));",
            "INSERT INTO t VALUES(randomblob(1000000000));",
            "INSERT INTO t VALUES(load_extension('x'));",
            "INSERT INTO sqlite_master VALUES('table','x','x',0,'CREATE TABLE x(a)');",
            "UPDATE sqlite_master SET sql = '';",
            "CREATE TABLE x AS SELECT * FROM t;",
            "CREATE TEMP TABLE x(a);",
            "CREATE VIRTUAL TABLE x USING fts5(a);",
            "CREATE VIEW x AS SELECT 1;",
            "CREATE TRIGGER x AFTER INSERT ON t BEGIN DELETE FROM t; END;",
            "VACUUM INTO '/tmp/x';",
            "EXPLAIN INSERT INTO t VALUES(1);",
            "",
            "\u{fffd}",
        ] {
            let dump = format!("BEGIN TRANSACTION;\0CREATE TABLE t(a);\0{statement}\0COMMIT;\0");
            assert!(restore(dump.as_bytes(), 4096).is_err(), "{statement}");
        }
        for statement in ["INSERT INTO t VALUES(1);", "CREATE UNIQUE INDEX i ON t(a);", "CREATE TABLE u(b);"]
        {
            let dump = format!("BEGIN TRANSACTION;\0CREATE TABLE t(a);\0{statement}\0COMMIT;\0");
            restore(dump.as_bytes(), 4096).unwrap();
        }
        for dump in ["", "COMMIT;\0", "BEGIN TRANSACTION;\0", "CREATE TABLE t(a);\0COMMIT;\0", "\0"] {
            assert!(restore(dump.as_bytes(), 4096).is_err(), "{dump}");
        }
        assert!(restore(b"BEGIN TRANSACTION;\0\xff\0COMMIT;\0", 4096).is_err());
    }

    #[test]
    fn what_is_there_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.sqlite");
        let mut restorer = Restorer::into_file(&path).unwrap();
        restorer.feed(&dump()).unwrap();
        drop(restorer.finish().unwrap());
        let before = std::fs::read(&path).unwrap();
        assert!(before.starts_with(b"SQLite format 3\0"));
        assert_eq!(Restorer::into_file(&path).unwrap_err().kind(), Kind::Conflict);
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }
}
