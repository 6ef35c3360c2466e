//! The records as they were at one moment: a connection of its own, whose transaction for reading stays open.
//!
//! As long as there is one, what is in the write-ahead log behind that moment stays in it, and the log grows.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rusqlite::Connection;

use super::place::Place;
use super::{Fault, failed, readers};
use crate::{Error, Key, Listing, Page, Prefix, Revision, Snapshot, Versioned};

/// The records as one connection sees them.
pub(super) struct Moment {
    /// Absent once closed.
    connection: Mutex<Option<Connection>>,
    revision: Revision,
    /// Behind it, as it is to be held for longer.
    place: Arc<Place>,
}

impl Moment {
    /// What `connection` sees from now on.
    pub(super) fn begin(connection: Connection, place: Arc<Place>) -> Result<Self, Error> {
        let begin = || {
            connection.execute_batch("BEGIN")?;
            // Only this begins to look.
            readers::revision(&connection)
        };
        let revision = begin().map_err(failed("reading"))?;
        Ok(Self { connection: Mutex::new(Some(connection)), revision, place })
    }

    /// Lets go of it; who still reads is told that the store is closed.
    pub(super) fn close(&self) {
        drop(self.connection().take());
    }

    fn read<T>(&self, work: impl FnOnce(&Connection) -> Result<T, Fault>) -> Result<T, Error> {
        let connection = self.connection();
        work(connection.as_ref().ok_or(Error::Closed)?).map_err(|fault| readers::said(fault, &self.place))
    }

    fn connection(&self) -> MutexGuard<'_, Option<Connection>> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Snapshot for Moment {
    fn revision(&self) -> Revision {
        self.revision
    }

    fn get<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Option<Versioned>, Error>> {
        async { self.read(|connection| readers::get(connection, key)) }.boxed()
    }

    fn list<'a>(&'a self, prefix: &'a Prefix, page: Page) -> BoxFuture<'a, Result<Listing, Error>> {
        async move { self.read(|connection| readers::list(connection, prefix, &page, self.revision)) }.boxed()
    }
}
