//! Reading: connections that see what was last committed, and never wait for the writer.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, Row};

use super::place::Place;
use super::{failed, from_sql, open};
use crate::{Error, Key, Listing, Page, Prefix, Revision, Version, Versioned};

/// How many idle connections are kept. There are never more in use than threads that read.
const IDLE_MAX: usize = 8;

/// The connections that nobody is using; absent once closed.
pub(super) struct Readers {
    place: Place,
    idle: Mutex<Option<Vec<Connection>>>,
}

impl Readers {
    pub(super) fn new(place: Place) -> Self {
        Self { place, idle: Mutex::new(Some(Vec::new())) }
    }

    pub(super) fn close(&self) {
        drop(self.idle().take());
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
        self.place.check()?;
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

    /// Does `work` on a connection of its own.
    fn read<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, Error> {
        let idle = self.idle().as_mut().ok_or(Error::Closed)?.pop();
        let connection = match idle {
            Some(connection) => connection,
            None => {
                // Not another file that is there by now.
                self.place.check()?;
                open::reader(self.place.path()).map_err(failed("opening it for reading"))?
            }
        };
        let found = work(&connection).map_err(failed("reading"));
        if let Some(idle) = self.idle().as_mut()
            && idle.len() < IDLE_MAX
        {
            idle.push(connection);
        }
        found
    }

    fn idle(&self) -> MutexGuard<'_, Option<Vec<Connection>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
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
