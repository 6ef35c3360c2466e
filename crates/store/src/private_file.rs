//! Files that only their owner may see: keys, certificates with their keys.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use base::Secret;

use crate::files::sync_directory_of;

/// The longest file that is read, in bytes; what is kept in such files is far shorter.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// What the file at `path` holds; `None` when there is none.
///
/// # Errors
/// The system's, and [`io::ErrorKind::FileTooLarge`] above 1 MiB.
pub fn read(path: &Path) -> io::Result<Option<Secret<Vec<u8>>>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(Some(Secret::new(bytes)))
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

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

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
