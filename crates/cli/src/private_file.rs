//! Files that are for this user alone.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use base::Secret;

/// Why a private file is not read.
#[derive(Debug)]
pub(crate) enum ReadError {
    /// Others than its owner may read or change it; its permission bits.
    Exposed(u32),
    /// The system's; [`io::ErrorKind::FileTooLarge`] when it is longer than it may be.
    System(io::Error),
}

/// What the file at `path` holds, if nobody but its owner may see it and it has at most `bytes_max` bytes.
pub(crate) fn read(path: &Path, bytes_max: u64) -> Result<Secret<Vec<u8>>, ReadError> {
    // A pipe would wait for whoever writes into it.
    if !std::fs::metadata(path).map_err(ReadError::System)?.is_file() {
        let refused = io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file");
        return Err(ReadError::System(refused));
    }
    let file = File::open(path).map_err(ReadError::System)?;
    let mode = file.metadata().map_err(ReadError::System)?.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(ReadError::Exposed(mode));
    }
    let mut bytes = Vec::new();
    let read = file.take(bytes_max + 1).read_to_end(&mut bytes);
    let bytes = Secret::new(bytes);
    read.map_err(ReadError::System)?;
    if bytes.expose().len() as u64 > bytes_max {
        return Err(ReadError::System(io::ErrorKind::FileTooLarge.into()));
    }
    Ok(bytes)
}

/// Writes a file for this user alone. One that is there is left alone; one that could not be written is removed.
pub(crate) fn write_new(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    if written.is_err() {
        // What went wrong is said; half a key is of no use.
        let _ = std::fs::remove_file(path);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_may_see_is_not_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        write_new(&path, "12345").unwrap();
        assert_eq!(read(&path, 5).unwrap().expose(), b"12345");
        let is_long =
            |error| matches!(error, ReadError::System(error) if error.kind() == io::ErrorKind::FileTooLarge);
        assert!(is_long(read(&path, 4).unwrap_err()));
        for mode in [0o640, 0o604, 0o602] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            assert!(matches!(read(&path, 5), Err(ReadError::Exposed(found)) if found == mode));
        }
        assert!(matches!(read(directory.path(), 5), Err(ReadError::System(_))));
        assert!(matches!(read(&directory.path().join("absent"), 5), Err(ReadError::System(_))));
    }
}
