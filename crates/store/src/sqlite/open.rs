//! Opening the file: whose it is, who may read it, and that nobody else has it open.
//!
//! ```text
//! make the file, 0600 ──► lock it ──► read its first 100 bytes ──► ours or empty: open, lay out, write-ahead log
//!                                                             └──► not ours: refuse it, unchanged
//! ```

use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base::{Explain, Kind};
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::damage::{self, Journal};
use super::place::{self, Place};
use super::{failed, from_sql};
use crate::{Error, Revision, private_file, regular_file};

/// How large a page of the file is.
pub(super) const PAGE_BYTES: usize = 4096;
/// Tells our files from others' (<https://www.sqlite.org/fileformat2.html>, offset 68): `PRVS`.
const APPLICATION_ID: u32 = u32::from_be_bytes(*b"PRVS");
/// The version of the layout below, at offset 60. The first had no sums.
const LAYOUT: u32 = 2;
/// A file of so many bytes is read through before it is used: some tenths of a second.
const CHECKED_BYTES_MAX: u64 = 64 << 20;
/// How often the lock is tried before it counts as somebody's who has the file open.
const LOCK_TRIES: usize = 1000;
/// How long to wait for the sqlite3 command, should somebody be using it on the file.
pub(super) const BUSY: Duration = Duration::from_secs(5);

/// Why the store's file could not be opened. Nothing in it was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It is a SQLite database, but somebody else's.
    #[error("{} is a SQLite database of another program, with the tables: {}", path.display(), tables.join(", "))]
    Foreign {
        /// The file.
        path: PathBuf,
        /// The names of its tables in order, as far as they can be read without changing anything.
        tables: Vec<String>,
    },
    /// It is no SQLite database.
    #[error("{} is not a SQLite database", path.display())]
    NotADatabase {
        /// The file.
        path: PathBuf,
    },
    /// It was written by a newer version of this program.
    #[error("{} was written by a newer version: its layout is {layout}, and {LAYOUT} is known here", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// The version of its layout.
        layout: u32,
    },
    /// Whoever made it was killed before it was a store, or is still at it.
    #[error("{} is not laid out yet: nothing is in it", path.display())]
    NotLaidOut {
        /// The file.
        path: PathBuf,
    },
    /// It is ours, and is damaged.
    #[error("{} is damaged: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// It is open already.
    #[error("{} is in use by another process", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// It, or a file beside it, cannot be made or read.
    #[error("could not open {} ({doing})", path.display())]
    Files {
        /// The file.
        path: PathBuf,
        /// What was being done, as a gerund.
        doing: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// It is a link that leads nowhere, a directory, a named pipe, a device or a socket.
    #[error("{} cannot be a database: it is {what}", path.display())]
    NoFile {
        /// What was named.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// SQLite cannot open it.
    #[error("could not open {}", path.display())]
    Store {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        source: Error,
    },
}

impl Explain for OpenError {
    fn kind(&self) -> Kind {
        match self {
            Self::Foreign { .. } | Self::NotADatabase { .. } | Self::Newer { .. } | Self::NoFile { .. } => {
                Kind::Invalid
            }
            Self::Files { source, .. } if source.kind() == io::ErrorKind::StorageFull => Kind::Full,
            Self::InUse { .. } | Self::NotLaidOut { .. } | Self::Files { .. } => Kind::Unavailable,
            Self::Damaged { .. } => Kind::Internal,
            Self::Store { source, .. } => source.kind(),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Foreign { .. } | Self::NotADatabase { .. } => {
                Some("name another file; this one was not changed".into())
            }
            Self::NoFile { .. } => Some("name another file".into()),
            Self::Newer { .. } => Some("use the newer version, or restore a backup made before it".into()),
            Self::InUse { .. } => Some("stop the other process first".into()),
            Self::NotLaidOut { .. } => Some("start the server on it, which goes on with that".into()),
            Self::Damaged { .. } => {
                Some("put it and the key that seals it back from one backup, and look at the disk".into())
            }
            Self::Files { .. } => Some("see that the directory exists and may be written".into()),
            Self::Store { source, .. } => source.help().or_else(|| {
                Some("if the file is damaged, put it and the key that seals it back from one backup".into())
            }),
        }
    }
}

/// An opened file.
pub(super) struct Opened {
    /// The one connection that writes.
    pub(super) connection: Connection,
    /// What it is at.
    pub(super) revision: Revision,
    /// The files themselves. To be held as long as a connection is open.
    pub(super) place: Place,
}

/// Opens the file at `path`, which never grows beyond `pages_max` pages.
pub(super) fn open(path: &Path, pages_max: Option<u32>) -> Result<Opened, OpenError> {
    let files = |doing| move |source| OpenError::Files { path: path.into(), doing, source };
    refuse_no_file(path)?;
    create(path).map_err(files("creating it"))?;
    let held = open_to_write(path).map_err(files("opening it for writing"))?;
    lock(&held).map_err(|error| match error {
        TryLockError::WouldBlock => OpenError::InUse { path: path.into() },
        TryLockError::Error(source) => files("locking it")(source),
    })?;
    refuse_others(path, whose(&held).map_err(files("reading its beginning"))?)?;
    let damaged = |reason| OpenError::Damaged { path: path.into(), reason };
    let whole = "looking whether it is whole";
    let journal = Journal::beside(path, &held).map_err(files(whole))?;
    if let Some(reason) = damage::of(path, &held, journal).map_err(files(whole))? {
        return Err(damaged(reason));
    }
    let bytes = held.metadata().map_err(files("looking at it"))?.len();
    let store = |error: rusqlite::Error| match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => damaged(error.to_string()),
        _ => OpenError::Store { path: path.into(), source: failed("opening")(error) },
    };
    let connection = connect(path).map_err(store)?;
    let layout = lay_out(&connection).map_err(store)?;
    if layout > LAYOUT {
        return Err(OpenError::Newer { path: path.into(), layout });
    }
    if bytes <= CHECKED_BYTES_MAX
        && let Some(reason) = check(&connection).map_err(store)?
    {
        return Err(damaged(reason));
    }
    let revision = prepare_writer(&connection, pages_max).map_err(store)?;
    let place = Place::of(path, held).map_err(files("looking at it"))?;
    Ok(Opened { connection, revision, place })
}

/// Opens the file at `path` for reading, whoever has it open already.
pub(super) fn look(path: &Path) -> Result<(Connection, Place), OpenError> {
    let files = |doing| move |source| OpenError::Files { path: path.into(), doing, source };
    refuse_no_file(path)?;
    // SQLite writes beside it even to read, and says less of why it cannot.
    let held = open_to_write(path).map_err(files("opening it for writing"))?;
    match whose(&held).map_err(files("reading its beginning"))? {
        // What a first start has not laid out yet.
        Whose::Nobodys => return Err(OpenError::NotADatabase { path: path.into() }),
        whose => refuse_others(path, whose)?,
    }
    let whole = "looking whether it is whole";
    let damaged = |reason| OpenError::Damaged { path: path.into(), reason };
    // Even to read, SQLite plays back what it finds.
    let journal = Journal::beside(path, &held).map_err(files(whole))?;
    match journal {
        Journal::None | Journal::OfSwitch => {}
        Journal::OfLayout => return Err(OpenError::NotLaidOut { path: path.into() }),
        Journal::Stray => return Err(damaged(damage::stray(path))),
    }
    // Whoever has it open has looked already, and changes it meanwhile; also who opened it while it was looked at.
    if !is_open(&held).map_err(files(whole))?
        && let Some(reason) = damage::of(path, &held, journal).map_err(files(whole))?
        && !is_open(&held).map_err(files(whole))?
    {
        return Err(damaged(reason));
    }
    let store = |error| OpenError::Store { path: path.into(), source: failed("opening")(error) };
    let connection = reader(path).map_err(store)?;
    match layout(&connection).map_err(store)? {
        LAYOUT => {}
        // Only who opens it for writing brings it up to date.
        1 => connection
            .execute_batch(
                "PRAGMA query_only = 0;
                 CREATE TEMP VIEW records AS SELECT id, key, revision, value, NULL AS sum FROM main.records;
                 PRAGMA query_only = 1;",
            )
            .map_err(store)?,
        0 => return Err(OpenError::NotLaidOut { path: path.into() }),
        layout => return Err(OpenError::Newer { path: path.into(), layout }),
    }
    // By now SQLite has made the files beside it, if it had to.
    let place = Place::of(path, held).map_err(files("looking at it"))?;
    Ok((connection, place))
}

/// Refuses what is at `path` and is no file, before anything of a store is made: opening a pipe would wait for ever.
///
/// # Errors
/// [`OpenError::NoFile`]. That there is nothing is none.
pub(super) fn refuse_no_file(path: &Path) -> Result<(), OpenError> {
    let what = match std::fs::metadata(path).map(|found| found.file_type()) {
        Err(_) if path.is_symlink() => "a link that leads nowhere",
        // What is wrong is told by whoever opens it.
        Err(_) => return Ok(()),
        Ok(kind) if kind.is_file() => return Ok(()),
        Ok(kind) if kind.is_dir() => "a directory",
        Ok(kind) if kind.is_fifo() => "a named pipe",
        Ok(kind) if kind.is_socket() => "a socket",
        Ok(_) => "a device",
    };
    Err(OpenError::NoFile { path: path.into(), what })
}

/// Refuses the file at `path` unless it is ours or nobody's.
fn refuse_others(path: &Path, whose: Whose) -> Result<(), OpenError> {
    match whose {
        Whose::Nobodys | Whose::Ours => Ok(()),
        Whose::Foreign => {
            Err(OpenError::Foreign { path: path.into(), tables: tables(path).unwrap_or_default() })
        }
        Whose::Unknown => Err(OpenError::NotADatabase { path: path.into() }),
    }
}

/// A further connection, for reading.
pub(super) fn reader(path: &Path) -> rusqlite::Result<Connection> {
    let connection = connect(path)?;
    connection.pragma_update(None, "query_only", true)?;
    // In KiB when negative: a filtered listing of many records goes over its index again and again.
    connection.pragma_update(None, "cache_size", -8 * 1024)?;
    Ok(connection)
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    // Each connection is used by one thread at a time, so SQLite need not lock it.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    Ok(connection)
}

/// The path of `path` with `suffix` at its end.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Opens the file. On it is the lock that keeps other processes, and other engines of this one, away: flock(2) on the
/// database itself, since a lock file may be deleted while it is held. SQLite's own locks are of another kind (fcntl(2)),
/// and do not meet it on a local file system.
fn open_to_write(path: &Path) -> io::Result<File> {
    regular_file::open_with(path, File::options().read(true).write(true))
}

/// Locks it. Whoever looks whether it is locked has the lock for an instant, which is waited for.
fn lock(file: &File) -> Result<(), TryLockError> {
    for _ in 0..LOCK_TRIES {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => std::thread::yield_now(),
            locked_or_failed => return locked_or_failed,
        }
    }
    file.try_lock()
}

/// Whether somebody has the store open that `file` is.
fn is_open(file: &File) -> io::Result<bool> {
    match file.try_lock_shared() {
        Ok(()) => file.unlock().map(|()| false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Makes the file, for its owner only, unless there is one. SQLite gives `-wal` and `-shm` the same mode.
fn create(path: &Path) -> io::Result<()> {
    match private_file::write_new(path, b"") {
        Ok(()) => crate::files::sync_directory_of(path),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// Whose a file is.
pub(super) enum Whose {
    /// It is empty.
    Nobodys,
    Ours,
    /// Another program's database.
    Foreign,
    /// No database.
    Unknown,
}

/// Reads the header by hand, since SQLite would write to a file that it finds in need of recovery. Ours says
/// so there from its first transaction, which is made before there is a write-ahead log.
pub(super) fn whose(file: &File) -> io::Result<Whose> {
    let header = place::beginning::<100>(file)?;
    Ok(match header.get(68..72) {
        _ if header.is_empty() => Whose::Nobodys,
        Some(id) if header.starts_with(b"SQLite format 3\0") => {
            if id == APPLICATION_ID.to_be_bytes() {
                Whose::Ours
            } else {
                Whose::Foreign
            }
        }
        _ => Whose::Unknown,
    })
}

/// The names of the tables in somebody else's database, read as if nothing could ever write to it: otherwise
/// SQLite might recover it or put files beside it.
fn tables(path: &Path) -> rusqlite::Result<Vec<String>> {
    let mut uri = String::from("file:");
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => {
                uri.push(char::from(*byte))
            }
            _ => uri.push_str(&format!("%{byte:02x}")),
        }
    }
    uri.push_str("?immutable=1");
    let flags =
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(uri, flags)?;
    let mut statement = connection.prepare(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite!_%' ESCAPE '!' ORDER BY name",
    )?;
    statement.query_map([], |row| row.get(0))?.collect()
}

/// The version of the file's layout; 0 for a new file.
fn layout(connection: &Connection) -> rusqlite::Result<u32> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Makes the tables in a new file. Gives the version of the file's layout.
fn lay_out(connection: &Connection) -> rusqlite::Result<u32> {
    if layout(connection)? == 1 {
        connection.execute_batch(&format!(
            "BEGIN IMMEDIATE;
             ALTER TABLE records ADD COLUMN sum INTEGER;
             PRAGMA user_version = {LAYOUT};
             COMMIT;"
        ))?;
    }
    if layout(connection)? == 0 {
        connection.pragma_update(None, "page_size", PAGE_BYTES as i64)?;
        connection.execute_batch(&format!(
            "BEGIN IMMEDIATE;
             CREATE TABLE records (
                 id INTEGER PRIMARY KEY,
                 key TEXT NOT NULL UNIQUE,
                 revision INTEGER NOT NULL,
                 value BLOB NOT NULL,
                 sum INTEGER
             ) STRICT;
             CREATE TABLE meta (
                 one INTEGER PRIMARY KEY CHECK (one = 1),
                 revision INTEGER NOT NULL
             ) STRICT;
             INSERT INTO meta (one, revision) VALUES (1, 0);
             PRAGMA application_id = {APPLICATION_ID};
             PRAGMA user_version = {LAYOUT};
             COMMIT;"
        ))?;
    }
    layout(connection)
}

/// What SQLite finds wrong when it reads through all of the file.
fn check(connection: &Connection) -> rusqlite::Result<Option<String>> {
    let found: String = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if found != "ok" {
        return Ok(Some(found.replace('\n', " ")));
    }
    let behind = "SELECT (SELECT revision FROM meta) < COALESCE((SELECT MAX(revision) FROM records), 0)";
    let is_behind: bool = connection.query_row(behind, [], |row| row.get(0))?;
    Ok(is_behind.then(|| "its revision is behind that of its records".to_owned()))
}

/// Readies the connection that writes. Gives the revision that the store is at.
fn prepare_writer(connection: &Connection, pages_max: Option<u32>) -> rusqlite::Result<Revision> {
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    // The writer says when the log is copied to the file, so that nobody's commit waits for it.
    connection.pragma_update_and_check(None, "wal_autocheckpoint", 0, |_| Ok(()))?;
    // In KiB when negative. Enough for the pages of the index that are written again and again, and no more: after
    // most commits that split a page of the index, SQLite looks at each page it holds, to let go of those behind the
    // end of the file (`pcache1Truncate`, as `balance_nonroot` uses a page number far behind it). With 32 MiB that
    // was a fifth of the writer's processor time. What is not held is read from the system's memory.
    connection.pragma_update(None, "cache_size", -4 * 1024)?;
    if let Some(pages) = pages_max {
        connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?;
    }
    connection.query_row("SELECT revision FROM meta", [], |row| row.get(0)).map(from_sql)
}
