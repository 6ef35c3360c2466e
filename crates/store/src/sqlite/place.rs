//! Whether the files are still what was opened. What is written to a file that was deleted, moved away and replaced,
//! or emptied, is lost with the process, and no error tells of it.
//!
//! ```text
//! name.db       the same file, and still a database
//! name.db-wal   the same file: what was answered since the last checkpoint may be in it alone
//! name.db-shm   the same file: else another program on the database would not wait for this one
//! ```

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use super::open::{self, Whose};
use crate::Error;

/// The files of a store, and where they were opened.
#[derive(Debug)]
pub(super) struct Place {
    /// Holds the lock. Closing any handle of the file loses SQLite's own locks on it (fcntl(2)), so this is held for
    /// longer than any connection.
    held: File,
    database: Known,
    beside: [Known; 2],
}

/// A file, by more than its name.
#[derive(Debug)]
struct Known {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl Known {
    fn of(path: PathBuf) -> io::Result<Self> {
        let found = std::fs::metadata(&path)?;
        Ok(Self { path, device: found.dev(), inode: found.ino() })
    }

    fn is_there(&self) -> bool {
        std::fs::metadata(&self.path)
            .is_ok_and(|found| (found.dev(), found.ino()) == (self.device, self.inode))
    }
}

impl Place {
    /// That of the database at `path`, which `held` is and a connection has open.
    ///
    /// # Errors
    /// When one of its files cannot be looked at.
    pub(super) fn of(path: &Path, held: File) -> io::Result<Self> {
        let beside = [Known::of(open::beside(path, "-wal"))?, Known::of(open::beside(path, "-shm"))?];
        Ok(Self { held, database: Known::of(path.into())?, beside })
    }

    pub(super) fn path(&self) -> &Path {
        &self.database.path
    }

    /// # Errors
    /// [`Error::Gone`] when there is no database, or another one; [`Error::Overwritten`] when it is none any more;
    /// [`Error::LogGone`] when that is so of a file beside it.
    pub(super) fn check(&self) -> Result<(), Error> {
        if !self.database.is_there() {
            return Err(Error::Gone { path: self.database.path.clone() });
        }
        if !matches!(open::whose(&self.held), Ok(Whose::Ours)) {
            return Err(Error::Overwritten { path: self.database.path.clone() });
        }
        match self.beside.iter().find(|file| !file.is_there()) {
            Some(file) => Err(Error::LogGone { path: file.path.clone() }),
            None => Ok(()),
        }
    }

    /// That the file system does not let anybody write any more, if so: SQLite says of that what it says of a full one. The
    /// log is asked, as SQLite's locks are not on that: they would go when it is closed here (fcntl(2)).
    pub(super) fn is_read_only(&self) -> Option<Error> {
        let [log, _] = &self.beside;
        let error = File::options().append(true).open(&log.path).err()?;
        let is_read_only = error.kind() == io::ErrorKind::ReadOnlyFilesystem;
        is_read_only.then(|| Error::ReadOnlyDisk { path: self.database.path.clone() })
    }
}

/// The first bytes of `file`, as many of the `N` as there are.
pub(super) fn beginning<const N: usize>(file: &File) -> io::Result<Vec<u8>> {
    let mut bytes = [0; N];
    let mut read = 0;
    loop {
        match file.read_at(&mut bytes[read..], read as u64) {
            Ok(0) => return Ok(bytes[..read].to_vec()),
            Ok(more) => read += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
