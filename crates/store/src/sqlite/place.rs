//! Whether the file is still where it was opened. What is written to a file that was deleted, or moved away and
//! replaced, is lost with the process, and no error tells of it.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::Error;

/// A file, and where it was opened.
#[derive(Debug, Clone)]
pub(super) struct Place {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl Place {
    /// That of the file at `path`, as it is now.
    ///
    /// # Errors
    /// When there is none that can be looked at.
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let found = std::fs::metadata(path)?;
        Ok(Self { path: path.into(), device: found.dev(), inode: found.ino() })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// # Errors
    /// [`Error::Gone`] when there is no file, or another one.
    pub(super) fn check(&self) -> Result<(), Error> {
        let is_it = |found: Metadata| (found.dev(), found.ino()) == (self.device, self.inode);
        if std::fs::metadata(&self.path).is_ok_and(is_it) {
            Ok(())
        } else {
            Err(Error::Gone { path: self.path.clone() })
        }
    }
}
