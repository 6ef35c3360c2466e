//! Files that somebody names: what they hold is read only where it is a file.
//!
//! Opening a named pipe waits until somebody writes into it, and a device may have no end.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::OFlags;

/// Opens the file at `path` for reading; links are followed.
///
/// # Errors
/// The system's; [`io::ErrorKind::InvalidInput`] when it is a directory, a named pipe, a device or a socket.
pub fn open(path: &Path) -> io::Result<File> {
    open_with(path, File::options().read(true))
}

/// The same with other `options`, which make nothing.
///
/// # Errors
/// As [`open`].
pub(crate) fn open_with(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let refuse = || io::Error::new(io::ErrorKind::InvalidInput, NO_FILE);
    if !std::fs::metadata(path)?.is_file() {
        return Err(refuse());
    }
    // Somebody may have put another there in between: it is not waited for.
    let file = options.custom_flags(NOT_WAITING).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(refuse()) }
}

/// What is said of anything else than a file.
const NO_FILE: &str = "it is no regular file";
/// For files this means nothing; a pipe that nobody writes to is open at once.
const NOT_WAITING: i32 = OFlags::NONBLOCK.bits().cast_signed();

/// What the file at `path` holds.
///
/// # Errors
/// As [`open`].
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The same of a file that is text.
///
/// # Errors
/// As [`open`]; [`io::ErrorKind::InvalidData`] when it is not UTF-8.
pub fn read_to_string(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    open(path)?.read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_are_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        std::fs::write(path("file"), "text").unwrap();
        std::os::unix::fs::symlink(path("file"), path("link")).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(path("pipe")).status().unwrap().success());
        std::os::unix::fs::symlink(path("pipe"), path("link-to-pipe")).unwrap();
        for name in ["file", "link"] {
            assert_eq!(read(&path(name)).unwrap(), b"text", "{name}");
            assert_eq!(read_to_string(&path(name)).unwrap(), "text", "{name}");
        }
        for other in [path("pipe"), path("link-to-pipe"), path("."), "/dev/zero".into()] {
            let error = read(&other).unwrap_err();
            assert!(error.to_string() == "it is no regular file", "{}: {error}", other.display());
            assert!(crate::private_file::read(&other).is_err(), "{}", other.display());
        }
        assert_eq!(read(&path("missing")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
