//! Files that only their owner may see: keys, certificates with their keys.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt};
use std::path::{Path, PathBuf};

use base::{Explain, Kind, Secret};

use crate::files::sync_directory_of;
use crate::regular_file;

/// The longest file that is read, in bytes; what is kept in such files is far shorter.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Why a private file is not read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Others than its owner may read or change it.
    #[error("{} may be read by others (mode {mode:04o})", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The system does not let us, or it is longer than 1 MiB.
    #[error("could not read {}", path.display())]
    Files {
        /// The file.
        path: PathBuf,
        /// What the system said; [`io::ErrorKind::FileTooLarge`] above 1 MiB.
        source: io::Error,
    },
}

impl Explain for ReadError {
    fn kind(&self) -> Kind {
        match self {
            Self::Exposed { .. } => Kind::Invalid,
            Self::Files { .. } => Kind::Unavailable,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Exposed { path, .. } => Some(format!("chmod 600 {}", path.display())),
            Self::Files { .. } => None,
        }
    }
}

/// What the file at `path` holds; `None` when there is none.
///
/// # Errors
/// [`ReadError`], so that nobody goes on using what others may have read.
pub fn read(path: &Path) -> Result<Option<Secret<Vec<u8>>>, ReadError> {
    let files = |source| ReadError::Files { path: path.into(), source };
    let Some(file) = open(path)? else { return Ok(None) };
    let mut bytes = Vec::new();
    let read = file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes);
    let bytes = Secret::new(bytes);
    read.map_err(files)?;
    if bytes.expose().len() as u64 > FILE_BYTES_MAX {
        return Err(files(io::ErrorKind::FileTooLarge.into()));
    }
    Ok(Some(bytes))
}

/// Whether there is a file at `path`, which nobody but its owner may read.
///
/// # Errors
/// As [`read`].
pub fn is_there(path: &Path) -> Result<bool, ReadError> {
    open(path).map(|file| file.is_some())
}

fn open(path: &Path) -> Result<Option<File>, ReadError> {
    let files = |source| ReadError::Files { path: path.into(), source };
    let file = match regular_file::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(files(error)),
    };
    let mode = file.metadata().map_err(files)?.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(ReadError::Exposed { path: path.into(), mode });
    }
    Ok(Some(file))
}

/// Puts `bytes` into the file at `path`, mode 0600, so that after a crash at any moment either the old
/// content or the new one is there. A link at `path` is replaced, never followed. One writer at a time.
///
/// # Errors
/// The system's; the old content is there then.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let name =
        path.file_name().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "names no file"))?;
    let mut temporary = std::ffi::OsString::from(".");
    temporary.push(name);
    temporary.push(".new");
    // In the same directory: a rename across file systems would not be one step.
    let temporary = path.with_file_name(temporary);
    // What an earlier crash left. `create_new` then refuses whatever somebody puts there in between.
    match std::fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let written = write_new(&temporary, bytes).and_then(|()| std::fs::rename(&temporary, path));
    if written.is_err() {
        // The first error is the one to tell.
        let _ = std::fs::remove_file(&temporary);
    }
    written?;
    sync_directory_of(path)
}

/// Makes the file at `path`, mode 0600, with `bytes` in it; all of it is on the disk but its name.
///
/// # Errors
/// The system's: [`io::ErrorKind::AlreadyExists`] when there is something, which is let be. Otherwise the file
/// may be there, half written.
pub(crate) fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    // A umask may have taken more away.
    file.set_permissions(PermissionsExt::from_mode(0o600))?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_is_the_owners() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        assert!(read(&path).unwrap().is_none());
        for bytes in [&b"a longer text"[..], b"short"] {
            replace(&path, bytes).unwrap();
            assert_eq!(read(&path).unwrap().unwrap().expose(), bytes);
        }
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1, "nothing else is left");
    }

    #[test]
    fn what_others_may_read_is_refused_with_the_cure() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        assert!(!is_there(&path).unwrap());
        replace(&path, b"secret").unwrap();
        assert!(is_there(&path).unwrap());
        for bits in [0o640, 0o604, 0o620, 0o601] {
            std::fs::set_permissions(&path, PermissionsExt::from_mode(bits)).unwrap();
            for error in [read(&path).unwrap_err(), is_there(&path).unwrap_err()] {
                assert!(matches!(error, ReadError::Exposed { mode, .. } if mode == bits), "{error}");
                assert_eq!(error.help(), Some(format!("chmod 600 {}", path.display())));
            }
        }
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o400)).unwrap();
        assert_eq!(read(&path).unwrap().unwrap().expose(), b"secret");
    }

    #[test]
    fn a_link_is_replaced_and_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let (path, other) = (directory.path().join("key"), directory.path().join("other"));
        std::fs::write(&other, "untouched").unwrap();
        std::os::unix::fs::symlink(&other, &path).unwrap();
        replace(&path, b"secret").unwrap();
        assert_eq!(std::fs::read(&other).unwrap(), b"untouched");
        assert!(std::fs::symlink_metadata(&path).unwrap().is_file());
    }

    #[test]
    fn what_an_earlier_crash_left_is_no_hindrance() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        std::fs::write(directory.path().join(".key.new"), "half").unwrap();
        replace(&path, b"whole").unwrap();
        assert_eq!(read(&path).unwrap().unwrap().expose(), b"whole");
    }
}
