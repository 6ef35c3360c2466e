//! Two programs do not write into one folder at once.
//!
//! The folder itself is locked (flock(2)), so nothing is left behind; whoever is killed holds nothing any more. Programs
//! that know nothing of it, such as the Python ones, are not kept from anything. Some file systems (NFS) lock no folders;
//! there nobody is kept from anything, and each file is still replaced as a whole.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base::{Explain, Kind};

/// How long is waited for somebody else, who writes a few files.
const WITHIN: Duration = Duration::from_secs(3);
/// Between one look and the next.
const PAUSE: Duration = Duration::from_millis(20);

/// A folder that one has to oneself until this is dropped.
#[derive(Debug)]
pub(super) struct FolderLock {
    folder: File,
}

impl FolderLock {
    /// The folder that the file at `path` is in.
    pub(super) fn around(path: &Path) -> Result<Self, WriteError> {
        let folder = path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
        Self::take(folder, WITHIN)
    }

    /// The folder at `path`.
    pub(super) fn of(path: &Path) -> Result<Self, WriteError> {
        Self::take(path, WITHIN)
    }

    fn take(path: &Path, within: Duration) -> Result<Self, WriteError> {
        let unusable = |source| WriteError::Unwritable { path: path.to_owned(), source };
        let folder = File::open(path).map_err(unusable)?;
        for _ in 0..=within.as_millis() / PAUSE.as_millis() {
            match folder.try_lock() {
                Ok(()) => return Ok(Self { folder }),
                Err(TryLockError::WouldBlock) => pause(),
                Err(TryLockError::Error(source)) if is_without_locks(&source) => return Ok(Self { folder }),
                Err(TryLockError::Error(source)) => return Err(unusable(source)),
            }
        }
        Err(WriteError::Busy { folder: path.to_owned(), within })
    }
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        // Not only closed: a process that is being started at this moment has it open, too, until it is another program.
        let _ = self.folder.unlock();
    }
}

/// Whether it is the file system that has no locks for folders.
fn is_without_locks(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    errno.is_some_and(|errno| [Errno::BADF, Errno::NOLCK, Errno::OPNOTSUPP, Errno::NOSYS].contains(&errno))
}

#[expect(
    clippy::disallowed_methods,
    reason = "flock(2) knows no limit; the condition is looked at in between"
)]
fn pause() {
    std::thread::sleep(PAUSE);
}

/// A holder's file was not written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteError {
    /// Somebody else has been writing there all the time.
    #[error("another program has been writing into {} for {} s", folder.display(), within.as_secs_f64())]
    Busy {
        /// The folder.
        folder: PathBuf,
        /// For how long it was waited for.
        within: Duration,
    },
    /// There is something else in it, which would be lost.
    #[error("{} has {what} in it, and is not replaced", path.display())]
    Precious {
        /// The file.
        path: PathBuf,
        /// What.
        what: &'static str,
    },
    /// The system refuses it. It is what it was before.
    #[error("could not write {}", path.display())]
    Unwritable {
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

impl Explain for WriteError {
    fn kind(&self) -> Kind {
        match self {
            Self::Busy { .. } => Kind::Conflict,
            Self::Precious { .. } => Kind::Invalid,
            Self::Unwritable { source, .. } => match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Kind::Full,
                io::ErrorKind::PermissionDenied => Kind::Forbidden,
                io::ErrorKind::NotFound => Kind::NotFound,
                // It is not what a file is called.
                io::ErrorKind::InvalidInput => Kind::Invalid,
                _ => Kind::Unavailable,
            },
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Busy { folder, .. } => {
                Some(format!("`fuser -v {}` shows who has it open", folder.display()))
            }
            Self::Precious { .. } => Some("name a file of its own for it, or a folder".into()),
            Self::Unwritable { source, .. } => match source.kind() {
                io::ErrorKind::PermissionDenied => {
                    Some("files are replaced as a whole: their folder has to be writable, too".into())
                }
                io::ErrorKind::ResourceBusy => {
                    Some("it is a mount by itself, and cannot be replaced: mount its folder instead".into())
                }
                _ => None,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_has_a_folder_to_oneself() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let held = FolderLock::around(&path.join("file")).unwrap();
        let refused = FolderLock::take(path, Duration::from_millis(60)).unwrap_err();
        let expected = format!("another program has been writing into {} for 0.06 s", path.display());
        assert_eq!(refused.to_string(), expected);
        // Whoever waits gets it when it is given back.
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| FolderLock::of(path).map(drop));
            drop(held);
            waiting.join().unwrap().unwrap();
        });
        assert!(matches!(FolderLock::of(&path.join("absent")), Err(WriteError::Unwritable { .. })));
    }
}
