//! The directory that backups of the authorities are put into (caucase contract, section 9).
//!
//! A backup is written under a temporary name in that very directory, synced, and then given its own: whoever copies the
//! directory finds whole backups only.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use base::Timestamp;
use engine::{BACKUP_SUFFIX, BackupFile, BackupFolder};

/// What a backup ends with while it is written.
const TEMPORARY_SUFFIX: &str = ".sql.caucased.new";

/// A directory of backups.
pub struct BackupDirectory(PathBuf);

impl BackupDirectory {
    /// The one at `path`. It is looked at when there is something to do: it may not be mounted yet.
    pub fn new(path: PathBuf) -> Self {
        Self(path)
    }

    fn entries(&self) -> io::Result<Vec<(PathBuf, String)>> {
        let mut entries = Vec::new();
        for entry in std::fs::read_dir(&self.0).map_err(|error| at(&self.0, &error))? {
            let path = entry?.path();
            if let Some(name) = path.file_name().and_then(OsStr::to_str).map(str::to_owned) {
                entries.push((path, name));
            }
        }
        Ok(entries)
    }

    /// What a process that died left in the middle of a backup. One makes them at a time.
    fn tidy(&self) -> io::Result<()> {
        for (path, name) in self.entries()? {
            if name.starts_with('.') && name.ends_with(TEMPORARY_SUFFIX) {
                std::fs::remove_file(&path).map_err(|error| at(&path, &error))?;
            }
        }
        Ok(())
    }
}

/// The error with the file that it is about.
fn at(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

impl BackupFolder for BackupDirectory {
    fn newest(&self) -> io::Result<Option<Timestamp>> {
        let backups = self.entries()?.into_iter().filter(|(_, name)| name.ends_with(BACKUP_SUFFIX));
        // One that is gone since it was listed is not there.
        let changed = backups.filter_map(|(path, _)| std::fs::metadata(path).ok()).map(|found| found.ctime());
        Ok(changed.max().map(Timestamp::from_unix))
    }

    fn begin(&self, name: &str) -> io::Result<Box<dyn BackupFile>> {
        self.tidy()?;
        let path = self.0.join(name);
        if path.symlink_metadata().is_ok() {
            return Err(at(&path, &io::ErrorKind::AlreadyExists.into()));
        }
        let temporary = self.0.join(format!(".{name}.new"));
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary);
        let file = file.map_err(|error| at(&temporary, &error))?;
        Ok(Box::new(Begun { file, temporary, path, directory: self.0.clone() }))
    }
}

/// A backup in the middle of being written.
struct Begun {
    file: File,
    temporary: PathBuf,
    path: PathBuf,
    directory: PathBuf,
}

impl Write for Begun {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes).map_err(|error| at(&self.temporary, &error))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl BackupFile for Begun {
    fn keep(self: Box<Self>) -> io::Result<()> {
        self.file.sync_all().map_err(|error| at(&self.temporary, &error))?;
        std::fs::rename(&self.temporary, &self.path).map_err(|error| at(&self.path, &error))?;
        File::open(&self.directory)?.sync_all().map_err(|error| at(&self.directory, &error))
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        // It has another name by now if it was kept.
        let _ = std::fs::remove_file(&self.temporary);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_backup_is_there_once_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let backups = BackupDirectory::new(folder.path().to_owned());
        assert_eq!(backups.newest().unwrap(), None);
        std::fs::write(folder.path().join("README"), "").unwrap();
        std::fs::write(folder.path().join(".20250101000000.sql.caucased.new"), "left by the dead").unwrap();
        assert_eq!(backups.newest().unwrap(), None);

        let mut begun = backups.begin("20260101000000.sql.caucased").unwrap();
        begun.write_all(b"text").unwrap();
        assert_eq!(names(folder.path()), [".20260101000000.sql.caucased.new", "README"]);
        assert_eq!(backups.newest().unwrap(), None);
        drop(begun);
        assert_eq!(names(folder.path()), ["README"], "nothing is left of what was not kept");

        let mut begun = backups.begin("20260101000000.sql.caucased").unwrap();
        begun.write_all(b"text").unwrap();
        begun.keep().unwrap();
        assert_eq!(names(folder.path()), ["20260101000000.sql.caucased", "README"]);
        let path = folder.path().join("20260101000000.sql.caucased");
        let found = std::fs::metadata(&path).unwrap();
        assert_eq!((found.permissions().mode() & 0o777, found.len()), (0o600, 4));
        assert_eq!(backups.newest().unwrap(), Some(Timestamp::from_unix(found.ctime())));
        let again = backups.begin("20260101000000.sql.caucased").err().unwrap();
        assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
    }

    #[test]
    fn a_directory_that_is_not_there_is_named() {
        let backups = BackupDirectory::new("/nonexistent".into());
        assert!(backups.newest().unwrap_err().to_string().starts_with("/nonexistent: "));
        assert!(backups.begin("x.sql.caucased").is_err());
    }
}
