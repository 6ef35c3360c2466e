//! Files that are gone when they are no longer needed, unless they are kept under another name.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use base::{Entropy, hex};

use super::error::CommandError;

/// A new file, for its owner alone (mode 0600). Dropping it removes it: at the end, after an error, and after a signal
/// that was caught.
#[derive(Debug)]
pub(super) struct Temporary {
    path: PathBuf,
    /// Open for writing.
    pub(super) file: File,
    is_kept: bool,
}

impl Temporary {
    /// Makes one in `directory`, whose name begins with a dot.
    pub(super) fn new(directory: &Path, entropy: &Entropy) -> Result<Self, CommandError> {
        let path = directory.join(format!(".provost-{}", hex::encode(&entropy.bytes::<12>())));
        // Fails where something has the name already, even a link.
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let file = file.map_err(|source| CommandError::Unwritable { path: path.clone(), source })?;
        Ok(Self { path, file, is_kept: false })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Gives it this name, in the place of whatever file has it, whole and on the disk.
    pub(super) fn keep_as(mut self, name: &Path) -> io::Result<()> {
        self.file.sync_all()?;
        std::fs::rename(&self.path, name)?;
        self.is_kept = true;
        File::open(directory_of(name))?.sync_all()
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.is_kept {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// The directory that a file is in, as its path says.
pub(super) fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        Some(_) => Path::new("."),
        None => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_go_unless_they_are_kept() {
        let directory = tempfile::tempdir().unwrap();
        let entropy = Entropy::seeded(1);
        let count = || std::fs::read_dir(directory.path()).unwrap().count();
        let gone = Temporary::new(directory.path(), &entropy).unwrap();
        let kept = Temporary::new(directory.path(), &entropy).unwrap();
        assert_eq!(count(), 2);
        drop(gone);
        kept.keep_as(&directory.path().join("kept")).unwrap();
        assert!(directory.path().join("kept").is_file() && count() == 1);
        let lost = Temporary::new(directory.path(), &entropy).unwrap();
        assert!(lost.keep_as(&directory.path().join("nowhere/kept")).is_err() && count() == 1);
        assert!(Temporary::new(Path::new("/nonexistent"), &entropy).is_err());
    }

    #[test]
    fn every_file_is_in_a_directory() {
        for (path, expected) in [("a", "."), ("a/b", "a"), ("/a", "/"), ("/", "/"), ("./a", ".")] {
            assert_eq!(directory_of(Path::new(path)), Path::new(expected), "{path}");
        }
    }
}
