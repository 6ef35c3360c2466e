//! One process at a time on one database.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use base::{Explain, Kind};

/// Proof that no other process works on the same database. Given back when dropped, and by the kernel when
/// the process dies, however it dies.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// The lock was not to be had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has it.
    #[error("{} is in use by another process{}", what.display(), pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default())]
    Held {
        /// What the lock protects.
        what: PathBuf,
        /// The process that wrote its number into the lock file.
        pid: Option<u32>,
    },
    /// The lock file could not be made, locked or written.
    #[error("could not lock {}", path.display())]
    Io {
        /// The lock file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

impl Explain for LockError {
    fn kind(&self) -> Kind {
        match self {
            Self::Held { .. } => Kind::Conflict,
            Self::Io { .. } => Kind::Unavailable,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Held { pid: Some(pid), .. } => {
                Some(format!("stop process {pid} first, or keep data elsewhere"))
            }
            Self::Held { pid: None, .. } => {
                Some("stop that process first, or keep data elsewhere".to_owned())
            }
            Self::Io { .. } => None,
        }
    }
}

impl Lock {
    /// Takes the lock file at `path`, made with mode 0600 where it is missing, for `what` it protects, and
    /// writes this process's number into it. The file stays when the lock is given back: whoever removed it
    /// could let two processes in.
    pub fn take(path: &Path, what: &Path) -> Result<Self, LockError> {
        let io = |source| LockError::Io { path: path.to_owned(), source };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            // A link that somebody put there would have us write to a file of theirs.
            .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
            .open(path)
            .map_err(io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(LockError::Held { what: what.to_owned(), pid: read_pid(&mut file) });
            }
            Err(TryLockError::Error(source)) => return Err(io(source)),
        }
        write_pid(&mut file).map_err(io)?;
        Ok(Self { _file: file })
    }
}

/// The number in the file; none while its owner has not written it yet.
fn read_pid(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

fn write_pid(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(format!("{}\n", std::process::id()).as_bytes())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_second_is_refused_until_the_first_lets_go() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("provost.lock");
        let lock = Lock::take(&path, dir.path()).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);

        let error = Lock::take(&path, dir.path()).unwrap_err();
        let pid = std::process::id();
        assert_eq!(
            error.to_string(),
            format!("{} is in use by another process (pid {pid})", dir.path().display())
        );
        assert_eq!(error.kind(), Kind::Conflict);

        drop(lock);
        Lock::take(&path, dir.path()).unwrap();
    }

    #[test]
    fn an_older_and_longer_number_is_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("provost.lock");
        std::fs::write(&path, "123456789012\n").unwrap();
        let _lock = Lock::take(&path, dir.path()).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("{}\n", std::process::id()));
    }

    #[test]
    fn a_missing_directory_is_told() {
        let error =
            Lock::take(Path::new("/nonexistent/provost.lock"), Path::new("/nonexistent")).unwrap_err();
        assert_eq!(error.to_string(), "could not lock /nonexistent/provost.lock");
    }
}
