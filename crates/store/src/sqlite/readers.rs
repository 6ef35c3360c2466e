//! Reading: connections that see what was last committed, and never wait for the writer.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, Row};

use super::place::Place;
use super::{failed, from_sql, open};
use crate::{Error, Key, Listing, Page, Prefix, Revision, Version, Versioned};

/// How many idle connections are kept. There are never more in use than threads that read.
const IDLE_MAX: usize = 8;

/// What reads; absent once closed.
pub(super) struct Readers(Mutex<Option<Open>>);

struct Open {
    /// The connections that nobody is using.
    idle: Vec<Connection>,
    /// Behind them, as it is to be held for longer.
    place: Arc<Place>,
}

impl Readers {
    pub(super) fn new(place: Arc<Place>) -> Self {
        Self(Mutex::new(Some(Open { idle: Vec::new(), place })))
    }

    pub(super) fn close(&self) {
        drop(self.open().take());
    }

    pub(super) fn get(&self, key: &Key) -> Result<Option<Versioned>, Error> {
        self.read(|connection| {
            connection
                .prepare_cached("SELECT revision, value FROM records WHERE key = ?1")?
                .query_row([key.as_str()], |row| versioned(row, 0))
                .optional()
        })
    }

    pub(super) fn revision(&self) -> Result<Revision, Error> {
        self.read(|connection| {
            connection.prepare_cached("SELECT revision FROM meta")?.query_row([], |row| row.get(0))
        })
        .map(from_sql)
    }

    pub(super) fn list(&self, prefix: &Prefix, page: &Page) -> Result<Listing, Error> {
        // From the prefix on, keys are read until one does not begin with it: they are ordered bytewise.
        const FROM: &str = "SELECT revision, value, key FROM records WHERE key >= ?1 ORDER BY key";
        const BEHIND: &str = "SELECT revision, value, key FROM records WHERE key > ?1 ORDER BY key";
        let (sql, start) = match &page.after {
            Some(after) if after.as_str() >= prefix.as_str() => (BEHIND, after.as_str()),
            _ => (FROM, prefix.as_str()),
        };
        let limit = page.held();
        // Which costs little beside a listing, and lets whoever asks whether the store answers know.
        let place = self.open().as_ref().ok_or(Error::Closed)?.place.clone();
        place.check()?;
        self.read(|connection| {
            // In one transaction, so that the revision and the entries are of one moment.
            let moment = connection.unchecked_transaction()?;
            let revision =
                moment.prepare_cached("SELECT revision FROM meta")?.query_row([], |row| row.get(0))?;
            let mut statement = moment.prepare_cached(sql)?;
            let rows = statement
                .query_map([start], |row| Ok((key(row, 2)?, versioned(row, 0)?)))?
                .take_while(|row| row.as_ref().map_or(true, |(key, _)| prefix.covers(key)));
            Listing::of(rows, limit, from_sql(revision))
        })
    }

    /// See [`super::Sqlite::copy_log`].
    pub(super) fn copy_log(&self) -> Result<(), Error> {
        let busy: bool = self.read(|connection| {
            connection.query_row("PRAGMA wal_checkpoint(FULL)", [], |row| row.get("busy"))
        })?;
        if busy {
            return Err(Error::Engine {
                doing: "copying its log",
                reason: "somebody is still reading what was there before".into(),
            });
        }
        Ok(())
    }

    /// Does `work` on a connection of its own.
    fn read<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, Error> {
        // Held until the connection, which comes after it here, is given back or closed.
        let (place, idle) = {
            let mut open = self.open();
            let open = open.as_mut().ok_or(Error::Closed)?;
            (open.place.clone(), open.idle.pop())
        };
        let connection = match idle {
            Some(connection) => connection,
            None => {
                // Not another file that is there by now.
                place.check()?;
                open::reader(place.path()).map_err(failed("opening it for reading"))?
            }
        };
        // What happened to the file says more than what SQLite makes of it.
        let found = work(&connection).map_err(|error| match place.check() {
            Ok(()) => failed("reading")(error),
            Err(gone) => gone,
        });
        if let Some(open) = self.open().as_mut()
            && open.idle.len() < IDLE_MAX
        {
            open.idle.push(connection);
        }
        found
    }

    fn open(&self) -> MutexGuard<'_, Option<Open>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The revision at `column` and the value behind it.
fn versioned(row: &Row<'_>, column: usize) -> rusqlite::Result<Versioned> {
    let version = Version(from_sql(row.get(column)?));
    Ok(Versioned { value: Bytes::from(row.get::<_, Vec<u8>>(column + 1)?), version })
}

fn key(row: &Row<'_>, column: usize) -> rusqlite::Result<Key> {
    Key::new(row.get::<_, String>(column)?).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(error))
    })
}
