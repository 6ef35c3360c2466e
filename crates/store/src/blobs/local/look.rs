//! Looking at the objects of a directory that another process may have open.

use std::fs::File;
use std::path::Path;

use base::{Clock, Sha512};

use super::list;
use super::place::Place;
use crate::blobs::contract::{Error, Found};

/// The objects in a directory, for reading alone. Nobody is kept from adding and removing some meanwhile; who has one
/// open reads it to its end. Touches the disk on the caller's thread.
pub struct LocalLook(Place);

impl LocalLook {
    /// Those in the directory at `root`; none where there is no directory.
    #[must_use]
    pub fn at(root: &Path, clock: Clock) -> Self {
        Self(Place::looked_at(root.into(), clock))
    }

    /// As [`Blobs::list`](super::super::Blobs::list).
    ///
    /// # Errors
    /// [`Error::Engine`].
    pub fn list(&self, after: Option<Sha512>, limit: usize) -> Result<Vec<Found>, Error> {
        list::list(&self.0, after, limit)
    }

    /// The object's file and how many bytes it has, if it is there.
    ///
    /// # Errors
    /// [`Error::Engine`]; [`Error::Damaged`] where there is something else in its place.
    pub fn open(&self, digest: Sha512) -> Result<Option<(File, u64)>, Error> {
        self.0.object(digest)
    }
}
