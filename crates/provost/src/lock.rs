//! One process at a time on one data directory.

use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use base::{Explain, Kind};

/// Where the kernel lists who has locked what (proc_locks(5)).
const LOCKS: &str = "/proc/locks";

/// Proof that no other process works on the same data directory. Given back when dropped, and by the kernel when
/// the process dies, however it dies.
///
/// It is the directory itself that is locked (flock(2)): a lock file can be deleted while it is held, and the next
/// process would lock another one of its name.
#[derive(Debug)]
pub struct Lock {
    _directory: File,
}

/// The lock was not to be had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has it.
    #[error("{} is in use by another process{}", what.display(), pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default())]
    Held {
        /// What the lock protects.
        what: PathBuf,
        /// The process, where the kernel tells.
        pid: Option<u32>,
    },
    /// It could not be opened or locked.
    #[error("could not lock {}", path.display())]
    Io {
        /// The directory.
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
    /// Takes the lock of the data directory at `path`.
    pub fn take(path: &Path) -> Result<Self, LockError> {
        let io = |source| LockError::Io { path: path.to_owned(), source };
        let directory = File::open(path).map_err(io)?;
        match directory.try_lock() {
            Ok(()) => Ok(Self { _directory: directory }),
            Err(TryLockError::WouldBlock) => {
                Err(LockError::Held { what: path.to_owned(), pid: holder(&directory) })
            }
            Err(TryLockError::Error(source)) => Err(io(source)),
        }
    }
}

/// The process that has locked `file`; `None` where the kernel does not tell.
fn holder(file: &File) -> Option<u32> {
    let found = file.metadata().ok()?;
    let (major, minor) = (rustix::fs::major(found.dev()), rustix::fs::minor(found.dev()));
    let place = format!("{major:02x}:{minor:02x}:{}", found.ino());
    holder_in(&std::fs::read_to_string(LOCKS).ok()?, &place)
}

/// The one that `locks` names for `place`, such as `fe:00:4711`. One in another container has no number here.
fn holder_in(locks: &str, place: &str) -> Option<u32> {
    locks.lines().find_map(|line| {
        let words: Vec<_> = line.split_whitespace().collect();
        match words[..] {
            [_, "FLOCK", _, "WRITE", pid, at, ..] if at == place => pid.parse().ok().filter(|pid| *pid != 0),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_refused_until_the_first_lets_go() {
        let dir = tempfile::tempdir().unwrap();
        let lock = Lock::take(dir.path()).unwrap();
        let error = Lock::take(dir.path()).unwrap_err();
        assert_eq!(error.kind(), Kind::Conflict);
        let said = error.to_string();
        let expected = format!("{} is in use by another process", dir.path().display());
        assert!(said.starts_with(&expected), "{said}");
        assert_eq!(
            std::fs::read_dir(dir.path()).unwrap().count(),
            0,
            "there is no file that could be deleted"
        );
        drop(lock);
        Lock::take(dir.path()).unwrap();
    }

    #[test]
    fn the_kernel_tells_who_has_it() {
        let locks = "1: POSIX  ADVISORY  WRITE 11 fe:00:4711 0 EOF\n\
                     2: FLOCK  ADVISORY  WRITE 12 fe:00:4712 0 EOF\n\
                     2: -> FLOCK  ADVISORY  WRITE 14 fe:00:4711 0 EOF\n\
                     3: FLOCK  ADVISORY  WRITE 13 fe:00:4711 0 EOF\n\
                     4: FLOCK  ADVISORY  WRITE 0 fe:00:4713 0 EOF\n";
        for (place, pid) in
            [("fe:00:4711", Some(13)), ("fe:00:4712", Some(12)), ("fe:00:4713", None), ("fe:01:4711", None)]
        {
            assert_eq!(holder_in(locks, place), pid, "{place}");
        }
    }

    #[test]
    fn a_missing_directory_is_told() {
        let error = Lock::take(Path::new("/nonexistent")).unwrap_err();
        assert_eq!(error.to_string(), "could not lock /nonexistent");
    }
}
