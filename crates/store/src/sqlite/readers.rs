//! Reading: connections that see what was last committed, and never wait for the writer.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, Row};

use super::moment::Moment;
use super::place::Place;
use super::{Fault, failed, from_sql, open, sum};
use crate::{Error, Key, Listing, Page, Prefix, Revision, SNAPSHOTS_MAX, Version, Versioned};

/// How many idle connections are kept. There are never more in use than threads that read.
const IDLE_MAX: usize = 8;

/// What reads; absent once closed.
pub(super) struct Readers(Mutex<Option<Open>>);

struct Open {
    /// The connections that nobody is using.
    idle: Vec<Connection>,
    /// Who looks at the records as they were at a moment.
    moments: Vec<Weak<Moment>>,
    /// Behind them, as it is to be held for longer.
    place: Arc<Place>,
}

impl Readers {
    pub(super) fn new(place: Arc<Place>) -> Self {
        Self(Mutex::new(Some(Open { idle: Vec::new(), moments: Vec::new(), place })))
    }

    pub(super) fn close(&self) {
        let Some(open) = self.open().take() else { return };
        // Otherwise the log could not be copied to the file.
        open.moments.iter().filter_map(Weak::upgrade).for_each(|moment| moment.close());
    }

    /// A look at the records as they are now.
    pub(super) fn moment(&self) -> Result<Arc<Moment>, Error> {
        let mut open = self.open();
        let open = open.as_mut().ok_or(Error::Closed)?;
        open.moments.retain(|moment| moment.strong_count() > 0);
        if open.moments.len() >= SNAPSHOTS_MAX {
            return Err(Error::TooManySnapshots);
        }
        open.place.check()?;
        let connection = open::reader(open.place.path()).map_err(failed("opening it for reading"))?;
        let moment = Arc::new(Moment::begin(connection, Arc::clone(&open.place))?);
        open.moments.push(Arc::downgrade(&moment));
        Ok(moment)
    }

    pub(super) fn get(&self, key: &Key) -> Result<Option<Versioned>, Error> {
        self.read(|connection| get(connection, key))
    }

    pub(super) fn revision(&self) -> Result<Revision, Error> {
        self.read(|connection| Ok(revision(connection)?))
    }

    pub(super) fn list(&self, prefix: &Prefix, page: &Page) -> Result<Listing, Error> {
        // Which costs little beside a listing, and lets whoever asks whether the store answers know.
        let place = self.open().as_ref().ok_or(Error::Closed)?.place.clone();
        place.check()?;
        self.read(|connection| {
            // In one transaction, so that the revision and the entries are of one moment.
            let moment = connection.unchecked_transaction()?;
            let revision = revision(&moment)?;
            list(&moment, prefix, page, revision)
        })
    }

    /// See [`super::Sqlite::copy_log`].
    pub(super) fn copy_log(&self) -> Result<(), Error> {
        let busy: bool = self.read(|connection| {
            Ok(connection.query_row("PRAGMA wal_checkpoint(FULL)", [], |row| row.get("busy"))?)
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
    fn read<T>(&self, work: impl FnOnce(&Connection) -> Result<T, Fault>) -> Result<T, Error> {
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
        let found = work(&connection).map_err(|fault| said(fault, &place));
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

/// The value of `key` by what `connection` sees.
pub(super) fn get(connection: &Connection, key: &Key) -> Result<Option<Versioned>, Fault> {
    let found = connection
        .prepare_cached("SELECT revision, value, sum FROM records WHERE key = ?1")?
        .query_row([key.as_str()], |row| Ok((versioned(row, 0)?, row.get(2)?)))
        .optional()?;
    found.map(|(found, sum)| sum::checked(key, found, sum)).transpose().map_err(Fault::Damaged)
}

/// A fault in our words. What happened to the file says more than what SQLite makes of it.
pub(super) fn said(fault: Fault, place: &Place) -> Error {
    match (fault, place.check()) {
        (_, Err(gone)) => gone,
        (Fault::Sql(error), Ok(())) => failed("reading")(error),
        (Fault::Damaged(error), Ok(())) => error,
    }
}

/// The revision that `connection` sees.
pub(super) fn revision(connection: &Connection) -> rusqlite::Result<Revision> {
    let found = connection.prepare_cached("SELECT revision FROM meta")?.query_row([], |row| row.get(0));
    found.map(from_sql)
}

/// One page of what is under `prefix`, by what `connection` sees at `revision`.
pub(super) fn list(
    connection: &Connection,
    prefix: &Prefix,
    page: &Page,
    revision: Revision,
) -> Result<Listing, Fault> {
    // From the prefix on, keys are read until one does not begin with it: they are ordered bytewise.
    const FROM: &str = "SELECT revision, value, key, sum FROM records WHERE key >= ?1 ORDER BY key";
    const BEHIND: &str = "SELECT revision, value, key, sum FROM records WHERE key > ?1 ORDER BY key";
    let (sql, start) = match &page.after {
        Some(after) if after.as_str() >= prefix.as_str() => (BEHIND, after.as_str()),
        _ => (FROM, prefix.as_str()),
    };
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement
        .query_map([start], |row| Ok((key(row, 2)?, versioned(row, 0)?, row.get(3)?)))?
        .take_while(|row| row.as_ref().map_or(true, |(key, ..)| prefix.covers(key)))
        .map(|row| -> Result<(Key, Versioned), Fault> {
            let (key, found, sum) = row?;
            let found = sum::checked(&key, found, sum).map_err(Fault::Damaged)?;
            Ok((key, found))
        });
    Listing::of(rows, page.held(), revision)
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
