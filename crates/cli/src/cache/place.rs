//! A file that is there when it is whole: written under a temporary name beside its place, and then renamed.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{CWD, RenameFlags};
use rustix::io::Errno;

use crate::durable::sync_folder_of;

/// So that two in one process have names of their own.
static NUMBER: AtomicU64 = AtomicU64::new(0);

/// A file that is being written. Unless it is kept, it is gone when this is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    path: PathBuf,
    temporary: PathBuf,
    file: File,
    is_kept: bool,
}

impl Place {
    /// Beside `path`, where it will be.
    pub(crate) fn beside(path: &Path) -> io::Result<Self> {
        let name = path.file_name().ok_or_else(|| io::Error::other("it names no file"))?;
        let mut hidden = std::ffi::OsString::from(".");
        hidden.push(name);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        hidden.push(format!(".{}-{number}.part", std::process::id()));
        let temporary = path.with_file_name(hidden);
        // What a process of the same number left when it was killed is of no use to anybody.
        match std::fs::remove_file(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let file = OpenOptions::new().write(true).create_new(true).open(&temporary)?;
        Ok(Self { path: path.to_owned(), temporary, file, is_kept: false })
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }

    /// Takes its place, durably.
    pub(crate) fn keep(mut self) -> io::Result<()> {
        self.file.sync_all()?;
        std::fs::rename(&self.temporary, &self.path)?;
        self.is_kept = true;
        sync_folder_of(&self.path)
    }

    /// Takes its place if that is free, durably; another file that is there is left alone.
    pub(crate) fn keep_new(mut self) -> io::Result<()> {
        self.file.sync_all()?;
        rename_new(&self.temporary, &self.path)?;
        self.is_kept = true;
        sync_folder_of(&self.path)
    }
}

/// Gives the file at `from` the name `to` in the same folder, unless another file has it.
pub(super) fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // Some file systems cannot, as many on a network. Those that have no hard links either, as FAT, can.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            std::fs::hard_link(from, to)?;
            std::fs::remove_file(from)
        }
        result => result.map_err(io::Error::from),
    }
}

impl Write for &mut Place {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.is_kept {
            // Whoever dropped it says why; that it could not be removed as well would not help.
            let _ = std::fs::remove_file(&self.temporary);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_seen_before_it_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let names = || {
            let entries = std::fs::read_dir(directory.path()).unwrap();
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect::<Vec<_>>()
        };
        let write = |bytes: &[u8]| {
            let mut place = Place::beside(&path).unwrap();
            place.write(bytes).unwrap();
            place
        };
        let place = write(b"one");
        assert!(!path.exists() && names().len() == 1);
        place.keep().unwrap();
        assert_eq!((names(), std::fs::read(&path).unwrap()), (vec!["file".to_owned()], b"one".to_vec()));
        drop(write(b"two"));
        assert_eq!(write(b"two").keep_new().unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!((names(), std::fs::read(&path).unwrap()), (vec!["file".to_owned()], b"one".to_vec()));
        write(b"two").keep().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        std::fs::remove_file(&path).unwrap();
        write(b"three").keep_new().unwrap();
        assert_eq!(names(), ["file"]);
        assert!(Place::beside(Path::new("/")).is_err());
    }
}
