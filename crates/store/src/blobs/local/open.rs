//! Opening the directory: that nobody else has it open, and that nothing is left of what died.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use base::{Clock, Explain, Kind};

use super::place::{Place, ROTTEN, STAGED};
use crate::files::sync_directory_of;

/// The file that is locked.
const LOCK: &str = "lock";

/// Why the objects' directory could not be opened. No object in it was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It is open already.
    #[error("{} is in use by another process", path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// It, or something in it, cannot be made, read or removed.
    #[error("could not open {} ({doing})", path.display())]
    Files {
        /// The directory.
        path: PathBuf,
        /// What was being done, as a gerund.
        doing: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

impl Explain for OpenError {
    fn kind(&self) -> Kind {
        match self {
            Self::InUse { .. } | Self::Files { .. } => Kind::Unavailable,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::InUse { .. } => Some("stop the other process first".into()),
            Self::Files { .. } => Some("see that the directory exists and may be written".into()),
        }
    }
}

/// Opens the directory at `root`.
pub(super) fn open(root: &Path, clock: Clock) -> Result<Place, OpenError> {
    let files = |doing| move |source| OpenError::Files { path: root.into(), doing, source };
    make(root).map_err(files("making it"))?;
    let lock = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(root.join(LOCK))
        .map_err(files("making its lock"))?;
    lock.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => OpenError::InUse { path: root.into() },
        TryLockError::Error(source) => files("locking it")(source),
    })?;
    for name in [STAGED, ROTTEN] {
        make(&root.join(name)).map_err(files("making its directories"))?;
    }
    let left = clean(&root.join(STAGED)).map_err(files("removing what was left half written"))?;
    if left > 0 {
        tracing::info!(path = %root.display(), files = left, "what was left half written was removed");
    }
    // Their names are durable before anything is put into them.
    File::open(root).and_then(|root| root.sync_all()).map_err(files("making its directories"))?;
    Ok(Place::new(root.into(), clock, lock))
}

/// Makes the directory, and those above it, for its owner only. One that is there stays as it is.
pub(super) fn make(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    sync_directory_of(path)
}

/// Removes the files in `directory`, and tells how many there were.
fn clean(directory: &Path) -> io::Result<usize> {
    let mut count = 0;
    for entry in std::fs::read_dir(directory)? {
        std::fs::remove_file(entry?.path())?;
        count += 1;
    }
    Ok(count)
}
