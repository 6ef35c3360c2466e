//! The file of a private key: made once and never replaced here, and for nobody but its owner.

use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, linkat};
use rustix::io::Errno;
use x509::{KeySpec, PrivateKey};

use super::error::CaCommandError;
use super::key_kind::KeyFormat;
use crate::durable::{sync_folder_of, write_all};
use crate::holder::{HolderError, KeyMaker, Pem, PemFileError, exposed};
use crate::kept_file::{KeptFile, NewFile};

/// Refuses the file at `path` where others may read it or change it, unless it is known to have no private key in it.
pub(super) fn refuse_exposed(path: &Path) -> Result<(), CaCommandError> {
    // No mode makes a key's file of what is none: what is wrong with it is told by whoever reads it.
    if std::fs::metadata(path).is_ok_and(|found| !found.is_file()) {
        return Pem::read(path).map(drop).map_err(Into::into);
    }
    let has_none = || Pem::read(path).is_ok_and(|found| found.keys.is_empty());
    match exposed(path) {
        Some(_) if has_none() => Ok(()),
        Some(mode) => Err(CaCommandError::Exposed { path: path.to_owned(), mode }),
        None => Ok(()),
    }
}

/// The one private key in the file at `path`; none where there is no file.
pub(super) fn read(path: &Path) -> Result<Option<PrivateKey>, CaCommandError> {
    let mut keys = match Pem::read(path) {
        Ok(found) => found.keys,
        Err(PemFileError::Missing(_)) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    match (keys.pop(), keys.len()) {
        (Some(key), 0) => {
            refuse_exposed(path)?;
            Ok(Some(key))
        }
        _ => Err(CaCommandError::Content {
            path: path.to_owned(),
            what: "there is not exactly one private key in it",
            hint: Some("name a file that is not there, and a key is made"),
        }),
    }
}

/// The one private key in the file at `path`, which is made where there is none, and whether it was.
pub(super) async fn read_or_make(
    path: &Path,
    spec: KeySpec,
    format: KeyFormat,
    keys: KeyMaker,
) -> Result<(PrivateKey, bool), CaCommandError> {
    if let Some(key) = read(path)? {
        return Ok((key, false));
    }
    let key = keys(spec).await.map_err(HolderError::from)?;
    write_new(path, format.write(&key).expose().as_bytes()).map_err(CaCommandError::unwritable(path))?;
    Ok((key, true))
}

/// Writes a file for its owner alone, whole or not at all, where there is none.
fn write_new(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let file = KeptFile::at(path, NewFile::Mode(0o600))?;
    if let Some(unnamed) = unnamed_beside(file.path(), bytes)? {
        let itself = format!("/proc/self/fd/{}", unnamed.as_raw_fd());
        match linkat(CWD, itself, CWD, file.path(), AtFlags::SYMLINK_FOLLOW) {
            Ok(()) => return sync_folder_of(file.path()),
            // Without /proc it has no name to be linked by.
            Err(Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
    }
    file.prepare(bytes)?;
    // Unlike a rename, this fails where somebody else was faster: a key is never replaced.
    let linked = std::fs::hard_link(file.part(), file.path());
    let _ = file.remove_part();
    linked?;
    sync_folder_of(file.path())
}

/// A file without a name in the folder of `path`, of which nothing is left when somebody is killed; nothing where the file
/// system knows none.
fn unnamed_beside(path: &Path, bytes: &[u8]) -> std::io::Result<Option<File>> {
    let folder = path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    let mut file = match rustix::fs::open(folder, flags, Mode::from_raw_mode(0o600)) {
        Ok(file) => File::from(file),
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    write_all(&mut file, bytes)?;
    file.sync_all()?;
    Ok(Some(file))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_key_is_made_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        write_new(&path, b"one").unwrap();
        assert!(write_new(&path, b"two").is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"one");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o7777, 0o600);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_others_may_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let key = PrivateKey::generate(KeySpec::P256).unwrap();
        assert!(read(&path).unwrap().is_none());
        write_new(&path, key.to_pem().expose().as_bytes()).unwrap();
        assert!(read(&path).unwrap().unwrap().public() == key.public());
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(read(&path), Err(CaCommandError::Exposed { mode: 0o640, .. })));
        let folder = path.parent().unwrap();
        assert!(!matches!(refuse_exposed(folder), Ok(()) | Err(CaCommandError::Exposed { .. })));
    }
}
