//! A database of caucase's: recognised, read row by row, never changed.
//!
//! ```text
//! first 100 bytes ──► SQLite? ours? ──► opened read-only, a shared lock held ──► integrity ──► tables ──► rows
//! ```
//! As long as it is open nobody else can commit to it. What is read is checked as far as SQLite goes: that each value is
//! of a type that caucase puts there. What the PEM says is looked at by whoever takes the rows.
//!
//! Python 2 stored PEM and key identifiers as text, Python 3 stores them as blobs; both are read. The latest list of the
//! older layout (`…crl`) is read as the number and the date that it has (caucase contract, section 8).

mod error;
mod hold;
mod write;

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use base::Secret;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, OptionalExtension as _};
use x509::Crl;

pub use self::error::DatabaseError;
pub use self::hold::Hold;
pub use self::write::Writer;
use crate::schema::Kind;
use crate::{CertificateRow, Count, IssuerRow, Prefix, RevokedRow, Row};

/// How many rows are read at a time.
const PAGE_ROWS: usize = 64;
/// The longest value, in bytes; more than any store of ours takes.
const VALUE_BYTES_MAX: usize = 512 * 1024;
/// The longest revocation list; those of caucase have about 40 bytes for each revocation.
const LIST_BYTES_MAX: usize = 256 * 1024 * 1024;
/// How long to wait for somebody who is committing.
const BUSY: Duration = Duration::from_secs(5);
/// Tells our own store's files (`store`'s engine).
const OURS: &[u8; 4] = b"PRVS";

const RECEIVED: &str = "received_csr";
const CRL_NUMBER: &str = "crl_number";
const AUTOMATIC: &str = "auto_sign_csr_amount";
const CRL_LAST_UPDATE: &str = "crl_last_update";

/// What a file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Nature {
    /// There is nothing in it.
    Empty,
    /// A database of caucase's.
    Caucase,
    /// A store of our own.
    Provost,
    /// A database of another program, with these tables.
    Other(Vec<String>),
    /// No SQLite database.
    NoDatabase,
}

/// What the file at `path` is. Touches nothing.
///
/// # Errors
/// [`DatabaseError`] when it cannot be read.
pub fn nature(path: &Path) -> Result<Nature, DatabaseError> {
    let header = beginning(path)?;
    if header.is_empty() {
        return Ok(Nature::Empty);
    }
    match header.get(68..72) {
        Some(_) if !header.starts_with(b"SQLite format 3\0") => return Ok(Nature::NoDatabase),
        None => return Ok(Nature::NoDatabase),
        Some(id) if id == OURS => return Ok(Nature::Provost),
        Some(_) => {}
    }
    // As if nothing could ever write to it, because even a look may otherwise recover it.
    let connection = open(path, "immutable=1").map_err(sqlite(path, "read"))?;
    let tables = tables(&connection).map_err(sqlite(path, "read"))?;
    // Any of them: of a database that lost some it is to be said which.
    let is_caucase = [Prefix::Users, Prefix::Services].into_iter().any(|prefix| {
        [Kind::Issuers, Kind::Certificates, Kind::Revoked]
            .into_iter()
            .any(|kind| tables.contains(&kind.table(prefix)))
    });
    Ok(if is_caucase { Nature::Caucase } else { Nature::Other(tables) })
}

/// A database of caucase's, open for reading.
#[derive(Debug)]
pub struct Database {
    path: PathBuf,
    connection: Connection,
    others: Vec<String>,
    /// What is still to be read: a table, and the last row that was.
    left: VecDeque<(Prefix, Kind, Option<i64>)>,
}

impl Database {
    /// Opens the database at `path`, and looks whether it is whole. Until it is dropped nobody can write to it.
    ///
    /// # Errors
    /// [`DatabaseError`], also when it is none of caucase's, damaged or being written to.
    pub fn open(path: &Path) -> Result<Self, DatabaseError> {
        if nature(path)? != Nature::Caucase {
            return Err(DatabaseError::NotCaucase { path: path.into() });
        }
        // The versions of the format, at 18 and 19, are 2 with a write-ahead log.
        if beginning(path)?.get(18..20) != Some(&[1, 1]) {
            return Err(DatabaseError::WriteAhead { path: path.into() });
        }
        has_no_journal(path)?;
        let failed = sqlite(path, "read");
        let connection = open(path, "mode=ro").map_err(&failed)?;
        connection.busy_timeout(BUSY).map_err(&failed)?;
        connection
            .execute_batch("PRAGMA trusted_schema = OFF; PRAGMA query_only = ON; BEGIN")
            .map_err(&failed)?;
        // Takes the shared lock.
        let all = tables(&connection).map_err(&failed)?;
        is_whole(&connection).map_err(|reason| DatabaseError::Damaged { path: path.into(), reason })?;
        let mut left = VecDeque::new();
        let mut known = Vec::new();
        let begun = begun(&connection, &all).map_err(&failed)?;
        for kind in Kind::ALL {
            for prefix in Prefix::ALL {
                let table = kind.table(prefix);
                // Before there was a date of the lists, there were the lists.
                let is_older = kind == Kind::Config && all.contains(&Kind::Lists.table(prefix));
                let is_made = begun.contains(&prefix) && kind != Kind::Lists && !is_older;
                if !all.contains(&table) && is_made {
                    return Err(DatabaseError::Missing { table, holds: kind.holds() });
                }
                if all.contains(&table) {
                    check_table(&connection, &table, kind)?;
                    left.push_back((prefix, kind, None));
                    known.push(table);
                }
            }
        }
        // Last, because whoever takes the rows knows by then which CA certificates there are.
        left.make_contiguous().sort_by_key(|(_, kind, _)| *kind == Kind::Certificates);
        let others = all.into_iter().filter(|table| !known.contains(table)).collect();
        Ok(Self { path: path.into(), connection, others, left })
    }

    /// The names of further tables, of whose rows nothing is read.
    #[must_use]
    pub fn others(&self) -> &[String] {
        &self.others
    }

    /// The next rows, and none when all were read: issuers first, certificates last.
    ///
    /// # Errors
    /// [`DatabaseError`] says which row cannot be understood.
    pub fn next_rows(&mut self) -> Result<Vec<(Prefix, Row)>, DatabaseError> {
        while let Some((prefix, kind, after)) = self.left.pop_front() {
            if kind == Kind::Lists {
                let rows = self.of_lists(prefix)?;
                if !rows.is_empty() {
                    return Ok(rows);
                }
                continue;
            }
            let (rows, last) = self.page(prefix, kind, after)?;
            if let Some(last) = last {
                self.left.push_front((prefix, kind, Some(last)));
            }
            if !rows.is_empty() {
                return Ok(rows);
            }
        }
        Ok(Vec::new())
    }

    /// Some rows behind `after`, and the last one's number unless the table is at its end.
    fn page(&self, prefix: Prefix, kind: Kind, after: Option<i64>) -> Result<RowsAndLast, DatabaseError> {
        let table = kind.table(prefix);
        let failed = |error| sqlite(&self.path, "read")(error);
        let columns: Vec<_> = kind
            .columns()
            .iter()
            .map(|name| {
                let length = format!("octet_length({name})");
                format!("CASE WHEN {length} > {VALUE_BYTES_MAX} THEN NULL ELSE {name} END, {length}")
            })
            .collect();
        let sql = format!(
            "SELECT rowid, {} FROM {table} WHERE rowid >= ?1 ORDER BY rowid LIMIT {PAGE_ROWS}",
            columns.join(", ")
        );
        let mut statement = self.connection.prepare_cached(&sql).map_err(failed)?;
        let Some(from) = after.map_or(Some(i64::MIN), |after| after.checked_add(1)) else {
            return Ok((Vec::new(), None));
        };
        let mut found = statement.query([from]).map_err(failed)?;
        let (mut rows, mut last, mut count) = (Vec::new(), None, 0);
        while let Some(found) = found.next().map_err(failed)? {
            count += 1;
            let row: i64 = found.get(0).map_err(failed)?;
            last = Some(row);
            let refuse = |reason: String| DatabaseError::Row { table: table.clone(), row, reason };
            let mut values = Vec::new();
            for (index, name) in kind.columns().iter().enumerate() {
                let value = found.get_ref(1 + 2 * index).map_err(failed)?;
                let length: Option<i64> = found.get(2 + 2 * index).map_err(failed)?;
                if value == ValueRef::Null && length.is_some() {
                    return Err(refuse(format!("`{name}` is longer than {VALUE_BYTES_MAX} bytes")));
                }
                values.push(Value { name, value });
            }
            rows.extend(self.read(kind, &values).map_err(refuse)?.map(|row| (prefix, row)));
        }
        Ok((rows, last.filter(|_| count == PAGE_ROWS)))
    }

    /// What a row says, `None` for a name that says nothing to us.
    fn read(&self, kind: Kind, values: &[Value<'_>]) -> Result<Option<Row>, String> {
        Ok(Some(match (kind, values) {
            (Kind::Issuers, [expires_at, key, certificate]) => Row::Issuer(IssuerRow {
                expires_at: expires_at.date()?,
                key: Secret::new(key.bytes()?),
                certificate: certificate.bytes()?,
            }),
            (Kind::Certificates, [id, key_id, drop_at, request, certificate]) => {
                let certificate = certificate.if_any(Value::bytes)?;
                let drop_at = drop_at.if_any(Value::date)?;
                if certificate.is_some() && drop_at.is_none() {
                    return Err("it has a certificate, and no date when it may be dropped".into());
                }
                Row::Certificate(CertificateRow {
                    id: id.number()?,
                    key_id: key_id.text()?,
                    // Those that wait are kept until somebody decides.
                    drop_at: drop_at.filter(|_| certificate.is_some()),
                    request: request.bytes()?,
                    certificate,
                })
            }
            (Kind::Revoked, [serial, at, expires_at]) => Row::Revoked(RevokedRow {
                serial: serial.text()?,
                at: at.date()?,
                expires_at: expires_at.date()?,
            }),
            (Kind::Counter | Kind::ConfigOnce | Kind::Config, [name, value]) => {
                Row::Count(match (kind, name.text()?.as_str()) {
                    (Kind::Counter, RECEIVED) => Count::Received(value.number()?),
                    (Kind::Counter, CRL_NUMBER) => Count::CrlNumber(value.number()?),
                    (Kind::ConfigOnce, AUTOMATIC) => Count::Automatic(value.digits()?),
                    (Kind::Config, CRL_LAST_UPDATE) => Count::CrlLastUpdate(value.digits()?),
                    (_, other) => return Err(format!("nothing is known about `{}`", other.escape_debug())),
                })
            }
            _ => return Ok(None),
        }))
    }

    /// The number and the date of the latest list of the older layout, as far as they are not counted elsewhere.
    fn of_lists(&self, prefix: Prefix) -> Result<Vec<(Prefix, Row)>, DatabaseError> {
        let table = Kind::Lists.table(prefix);
        let failed = |error| sqlite(&self.path, "read")(error);
        let sql = format!(
            "SELECT rowid, CASE WHEN octet_length(crl) > {LIST_BYTES_MAX} THEN 0 ELSE crl END FROM {table} \
             ORDER BY expiration_date DESC LIMIT 1"
        );
        let found = self
            .connection
            .query_row(&sql, [], |row| {
                Ok((row.get(0)?, Value { name: "crl", value: row.get_ref(1)? }.bytes()))
            })
            .optional()
            .map_err(failed)?;
        let is_counted = |kind: Kind, name: &str| -> Result<bool, DatabaseError> {
            let table = kind.table(prefix);
            let is_there = self.connection.table_exists(None, table.as_str()).map_err(failed)?;
            let sql = format!("SELECT 1 FROM {table} WHERE CAST(name AS TEXT) = ?1");
            let found = is_there.then(|| self.connection.query_row(&sql, [name], |_| Ok(())).optional());
            Ok(found.transpose().map_err(failed)?.flatten().is_some())
        };
        let Some((row, list)) = found else {
            let none = Row::Count(Count::NoList);
            return Ok(if is_counted(Kind::Counter, CRL_NUMBER)? {
                Vec::new()
            } else {
                vec![(prefix, none)]
            });
        };
        let refuse = |reason: String| DatabaseError::Row { table: table.clone(), row, reason };
        let list =
            list.and_then(|pem| Crl::from_pem(&pem).map_err(|error| error.to_string())).map_err(refuse)?;
        let mut rows = Vec::new();
        if !is_counted(Kind::Counter, CRL_NUMBER)? {
            rows.push((prefix, Row::Count(Count::CrlNumber(list.number()))));
        }
        if !is_counted(Kind::Config, CRL_LAST_UPDATE)? {
            rows.push((prefix, Row::Count(Count::CrlLastUpdate(list.this_update().as_unix()))));
        }
        Ok(rows)
    }
}

/// Rows of a page, and the last one's number unless the table is at its end.
type RowsAndLast = (Vec<(Prefix, Row)>, Option<i64>);

/// A value and its column.
#[derive(Clone, Copy)]
struct Value<'a> {
    name: &'a str,
    value: ValueRef<'a>,
}

impl Value<'_> {
    fn refuse(self, wanted: &str) -> String {
        let found = match self.value {
            ValueRef::Null => "nothing",
            ValueRef::Integer(_) => "a number",
            ValueRef::Real(_) => "a number with a fraction",
            ValueRef::Text(_) => "text",
            ValueRef::Blob(_) => "bytes",
        };
        format!("`{}` is {found} instead of {wanted}", self.name)
    }

    fn if_any<T>(self, read: impl FnOnce(Self) -> Result<T, String>) -> Result<Option<T>, String> {
        if self.value == ValueRef::Null { Ok(None) } else { read(self).map(Some) }
    }

    /// A blob of Python 3's or a text of Python 2's.
    fn bytes(self) -> Result<Vec<u8>, String> {
        match self.value {
            ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Ok(bytes.to_vec()),
            _ => Err(self.refuse("PEM")),
        }
    }

    fn text(self) -> Result<String, String> {
        match self.value {
            ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
                String::from_utf8(bytes.to_vec()).map_err(|_| format!("`{}` is no text", self.name))
            }
            _ => Err(self.refuse("text")),
        }
    }

    fn integer(self) -> Result<i64, String> {
        match self.value {
            ValueRef::Integer(number) => Ok(number),
            _ => Err(self.refuse("a whole number")),
        }
    }

    fn number(self) -> Result<u64, String> {
        u64::try_from(self.integer()?).map_err(|_| format!("`{}` is negative", self.name))
    }

    /// Seconds since 1970; validities may have fractions of days, so this may have one too.
    fn date(self) -> Result<i64, String> {
        match self.value {
            ValueRef::Real(seconds) if (0.0..1e12).contains(&seconds) => Ok(seconds as i64),
            _ => self.integer(),
        }
    }

    fn digits<T: std::str::FromStr>(self) -> Result<T, String> {
        let text = match self.value {
            ValueRef::Integer(number) => number.to_string(),
            _ => self.text()?,
        };
        text.parse().map_err(|_| format!("`{}` is no whole number", self.name))
    }
}

/// The first bytes of a file.
fn beginning(path: &Path) -> Result<Vec<u8>, DatabaseError> {
    let file = |source| DatabaseError::File { path: path.into(), doing: "read", source };
    if !std::fs::metadata(path).map_err(file)?.is_file() {
        return Err(file(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file")));
    }
    let mut header = Vec::new();
    File::open(path).and_then(|open| open.take(100).read_to_end(&mut header)).map_err(file)?;
    Ok(header)
}

/// A rollback journal that SQLite would look at begins with something else than zero.
fn has_no_journal(path: &Path) -> Result<(), DatabaseError> {
    for ending in ["-journal", "-wal"] {
        let mut journal = path.as_os_str().to_owned();
        journal.push(ending);
        let journal = PathBuf::from(journal);
        let is_hot = match File::open(&journal) {
            Ok(open) => {
                let mut first = Vec::new();
                let read = open.take(8).read_to_end(&mut first);
                read.map_err(|source| DatabaseError::File { path: journal.clone(), doing: "read", source })?;
                first.iter().any(|byte| *byte != 0)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(source) => return Err(DatabaseError::File { path: journal, doing: "read", source }),
        };
        if is_hot {
            return Err(DatabaseError::Journal { journal, path: path.into() });
        }
    }
    Ok(())
}

/// Opens for reading only, with a parameter of SQLite's URIs.
fn open(path: &Path, parameter: &str) -> rusqlite::Result<Connection> {
    use std::os::unix::ffi::OsStrExt as _;
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.into());
    let mut uri = String::from("file:");
    for byte in absolute.as_os_str().as_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => {
                uri.push(char::from(*byte))
            }
            _ => uri.push_str(&format!("%{byte:02x}")),
        }
    }
    uri.push('?');
    uri.push_str(parameter);
    let flags =
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(uri, flags)
}

fn tables(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection.prepare(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite!_%' ESCAPE '!' ORDER BY name",
    )?;
    statement.query_map([], |row| row.get(0))?.collect()
}

/// The authorities that have to have their tables: all, once there was a server. `caucased-manage`, which imports CA
/// certificates for services before there is one, makes the tables of services alone.
fn begun(connection: &Connection, all: &[String]) -> rusqlite::Result<Vec<Prefix>> {
    let has_any = |prefix: Prefix| Kind::ALL.into_iter().any(|kind| all.contains(&kind.table(prefix)));
    let mut served = has_any(Prefix::Users) || has_any(Prefix::Server);
    let certificates = Kind::Certificates.table(Prefix::Services);
    if all.contains(&certificates) {
        let sql = format!("SELECT EXISTS (SELECT 1 FROM {certificates})");
        served |= connection.query_row(&sql, [], |row| row.get::<_, bool>(0))?;
    }
    let counter = Kind::Counter.table(Prefix::Services);
    if all.contains(&counter) {
        let sql = format!("SELECT EXISTS (SELECT 1 FROM {counter} WHERE CAST(name AS TEXT) = ?1)");
        served |= connection.query_row(&sql, [RECEIVED], |row| row.get::<_, bool>(0))?;
    }
    Ok(Prefix::ALL.into_iter().filter(|prefix| served || has_any(*prefix)).collect())
}

/// What SQLite finds wrong with the file, if anything.
fn is_whole(connection: &Connection) -> Result<(), String> {
    let said = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get::<_, String>(0));
    match said {
        Ok(said) if said == "ok" => Ok(()),
        Ok(said) => Err(said.replace('\n', " ")),
        Err(error) => Err(error.to_string()),
    }
}

/// That a table has the columns that caucase gives it, and no others: what would be in them would be lost.
fn check_table(connection: &Connection, table: &str, kind: Kind) -> Result<(), DatabaseError> {
    let refuse = |reason: String| DatabaseError::Table { table: table.into(), reason };
    let columns = || -> rusqlite::Result<Vec<String>> {
        let mut statement = connection.prepare("SELECT name FROM pragma_table_xinfo(?1)")?;
        statement.query_map([table], |row| row.get(0))?.collect()
    };
    let found = columns().map_err(|error| refuse(error.to_string()))?;
    if found != kind.columns() {
        return Err(refuse(format!("its columns are {}", found.join(", "))));
    }
    Ok(())
}

/// What SQLite said, in our words.
fn sqlite(path: &Path, doing: &'static str) -> impl Fn(rusqlite::Error) -> DatabaseError {
    move |error| match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase) => {
            DatabaseError::Damaged { path: path.into(), reason: error.to_string() }
        }
        code => DatabaseError::Sqlite {
            path: path.into(),
            doing,
            full: code == Some(rusqlite::ErrorCode::DiskFull),
            reason: error.to_string(),
        },
    }
}

#[cfg(test)]
mod tests;
