//! A file that is one set of certificates or another, and never a part of one.
//!
//! ```text
//! .NAME.provost         whoever keeps NAME has it locked; what is in it, says whether a hook is owed
//! .NAME.provost-part    what is going to be NAME, while it is written; with a number behind it where nobody keeps NAME
//! ```
//! What is written gets another name until it is on the disk as a whole; then it takes the name of what was there, with its
//! mode and its owner. Whoever reads NAME finds the one or the other, whenever anybody pulls the plug.

use std::ffi::OsString;
use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::io::{self, ErrorKind, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};

use crate::durable::sync_folder_of;

/// The mode of a file that was not there.
const MODE: u32 = 0o644;

/// Where a file is that is kept.
#[derive(Debug)]
pub(crate) struct KeptFile {
    path: PathBuf,
    /// What stands behind the name of what is going to be it.
    part: String,
}

/// How it is with a file.
struct Found {
    is_the_same: bool,
    /// Mode, owner and group; none where there is no file.
    whose: Option<(u32, u32, u32)>,
}

impl KeptFile {
    /// That at `path`; where there is a link, what it leads to.
    pub(crate) fn at(path: &Path) -> io::Result<Self> {
        let is_link = path.symlink_metadata().is_ok_and(|found| found.is_symlink());
        let path = if is_link { path.canonicalize()? } else { path.to_owned() };
        if path.file_name().is_none() {
            return Err(io::Error::other("it names no file"));
        }
        Ok(Self { path, part: format!("-part-{}", std::process::id()) })
    }

    /// Makes it `bytes`, and says whether it was anything else.
    ///
    /// # Errors
    /// The system's; then it is what it was, or all of `bytes` where only its folder could not be made to last.
    pub(crate) fn make(&self, bytes: &[u8]) -> io::Result<bool> {
        let found = self.look(bytes)?;
        if !found.is_the_same {
            self.write(bytes, &found)?;
        }
        Ok(!found.is_the_same)
    }

    /// Whether it is `bytes`.
    pub(crate) fn is(&self, bytes: &[u8]) -> io::Result<bool> {
        Ok(self.look(bytes)?.is_the_same)
    }

    fn look(&self, bytes: &[u8]) -> io::Result<Found> {
        let found = match self.path.symlink_metadata() {
            Ok(found) => found,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Ok(Found { is_the_same: false, whose: None });
            }
            Err(error) => return Err(error),
        };
        // A pipe would wait for whoever writes into it, and a folder is nothing to be replaced.
        if !found.is_file() {
            return Err(io::Error::other("it is no regular file"));
        }
        let is_the_same = found.len() == bytes.len() as u64 && {
            let mut there = Vec::with_capacity(bytes.len());
            let length = bytes.len() as u64;
            File::open(&self.path)?.take(length + 1).read_to_end(&mut there)?;
            there == bytes
        };
        Ok(Found { is_the_same, whose: Some((found.mode() & 0o7777, found.uid(), found.gid())) })
    }

    fn write(&self, bytes: &[u8], found: &Found) -> io::Result<()> {
        self.remove_part()?;
        let part = self.beside(&self.part);
        let written = Self::write_part(&part, bytes, found).and_then(|()| std::fs::rename(&part, &self.path));
        if let Err(error) = written {
            // What went wrong is said; that half of it could not be removed as well would not help.
            let _ = std::fs::remove_file(&part);
            return Err(error);
        }
        sync_folder_of(&self.path)
    }

    fn write_part(part: &Path, bytes: &[u8], found: &Found) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(part)?;
        file.write_all(bytes)?;
        let mut mode = MODE;
        if let Some((its, owner, group)) = found.whose {
            let now = file.metadata()?;
            if (now.uid(), now.gid()) != (owner, group) {
                fchown(&file, Some(owner), Some(group))?;
            }
            mode = its;
        }
        // Behind the owner, with whom some of it goes.
        file.set_permissions(Permissions::from_mode(mode))?;
        file.sync_all()
    }

    /// What was left by somebody who was killed is of no use to anybody.
    fn remove_part(&self) -> io::Result<()> {
        match std::fs::remove_file(self.beside(&self.part)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn beside(&self, what: &str) -> PathBuf {
        let mut name = OsString::from(".");
        name.push(self.path.file_name().unwrap_or_default());
        name.push(".provost");
        name.push(what);
        self.path.with_file_name(name)
    }

    /// Keeps others from keeping it; `None` where somebody does so already.
    pub(crate) fn lock(&mut self) -> io::Result<Option<Owed>> {
        let path = self.beside("");
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path)?;
        match file.try_lock() {
            Ok(()) => {
                // There is nobody else, so what one leaves who is killed, the next one finds, and takes away.
                "-part".clone_into(&mut self.part);
                self.remove_part()?;
                Ok(Some(Owed { file, path }))
            }
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

/// Whether the hook of a file is owed: it is another one, and whoever is to know has not been told for certain. It lasts,
/// whenever the program ends.
#[derive(Debug)]
pub(crate) struct Owed {
    file: File,
    path: PathBuf,
}

impl Owed {
    /// Whether it is.
    pub(crate) fn is_owed(&self) -> io::Result<bool> {
        Ok(self.file.metadata()?.len() > 0)
    }

    /// It is from now on. To be said before the file becomes another one.
    pub(crate) fn owe(&mut self) -> io::Result<()> {
        if !self.is_owed()? {
            self.file.rewind()?;
            self.file.write_all(b"the hook is to be run\n")?;
            self.file.sync_all()?;
            sync_folder_of(&self.path)?;
        }
        Ok(())
    }

    /// It is not any more.
    pub(crate) fn pay(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().mode() & 0o7777
    }

    #[test]
    fn a_file_is_replaced_when_it_is_another_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        let mut file = KeptFile::at(&path).unwrap();
        let _owed = file.lock().unwrap().unwrap();
        assert!(file.make(b"one").unwrap());
        assert_eq!((std::fs::read(&path).unwrap(), mode(&path)), (b"one".to_vec(), 0o644));
        let number = path.metadata().unwrap().ino();
        assert!(!file.make(b"one").unwrap());
        assert_eq!(path.metadata().unwrap().ino(), number, "the same is not written again");
        std::fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        // Somebody was killed in the middle of it.
        std::fs::write(folder.path().join(".f.provost-part"), "half").unwrap();
        assert!(file.make(b"").unwrap());
        assert_eq!((std::fs::read(&path).unwrap(), mode(&path)), (b"".to_vec(), 0o640));
        assert_eq!(names(folder.path()), [".f.provost", "f"]);
        assert!(file.is(b"").unwrap() && !file.is(b"x").unwrap());
    }

    #[test]
    fn what_cannot_be_replaced_stays() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("inner");
        std::fs::create_dir(&inner).unwrap();
        assert!(KeptFile::at(&inner).unwrap().make(b"x").is_err());
        assert!(KeptFile::at(Path::new("/")).is_err());
        assert!(KeptFile::at(&folder.path().join("absent/f")).unwrap().make(b"x").is_err());
        assert_eq!(names(folder.path()), ["inner"]);
        // A link stays one.
        let (target, link) = (inner.join("f"), folder.path().join("link"));
        std::fs::write(&target, "one").unwrap();
        symlink(&target, &link).unwrap();
        assert!(KeptFile::at(&link).unwrap().make(b"two").unwrap());
        assert!(link.is_symlink());
        assert_eq!(std::fs::read(&target).unwrap(), b"two");
    }

    #[test]
    fn what_is_owed_is_remembered_and_one_keeps_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = KeptFile::at(&folder.path().join("f")).unwrap();
        let mut owed = file.lock().unwrap().unwrap();
        assert!(!owed.is_owed().unwrap());
        assert!(file.lock().unwrap().is_none());
        owed.owe().unwrap();
        owed.owe().unwrap();
        drop(owed);
        let mut owed = file.lock().unwrap().unwrap();
        assert!(owed.is_owed().unwrap());
        owed.pay().unwrap();
        drop(owed);
        assert!(!file.lock().unwrap().unwrap().is_owed().unwrap());
    }
}
