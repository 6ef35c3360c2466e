//! A file that is one thing or another, such as this set of certificates or that, and never a part of one.
//!
//! ```text
//! .NAME.provost         whoever keeps NAME has it locked; what is in it, says whether a hook is owed
//! .NAME.provost-part    what is going to be NAME, while it is written; with a number behind it where nobody keeps NAME
//! .NAME.provost-next    the same, where whoever writes it has the folder to themselves (`holder`)
//! ```
//! What is written gets another name until it is on the disk as a whole; then it takes the name of what was there, with its
//! mode and its owner. Whoever reads NAME finds the one or the other, whenever anybody pulls the plug.

use std::ffi::OsString;
use std::fs::{File, Metadata, OpenOptions, Permissions, TryLockError};
use std::io::{self, ErrorKind, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};

use base::Secret;

use crate::durable::{step, sync_folder_of, write_all};

/// As many links in a row are followed as Linux follows.
const LINKS_MAX: usize = 40;

/// Who may do what with a file that was not there. One that was there keeps its mode and its owner.
#[derive(Debug, Clone, Copy)]
pub(crate) enum NewFile {
    /// These permission bits, whatever the umask.
    Mode(u32),
    /// What the umask, or the folder, makes of "everybody reads and writes".
    Umask,
}

/// Where a file is that is kept.
#[derive(Debug)]
pub(crate) struct KeptFile {
    path: PathBuf,
    /// What stands behind the name of what is going to be it.
    part: String,
    new: NewFile,
}

/// How it is with a file.
struct Found {
    is_the_same: bool,
    /// None where there is no file.
    whose: Option<Whose>,
}

/// Mode, owner and group.
type Whose = (u32, u32, u32);

impl KeptFile {
    /// That at `path`; where there is a link, what it leads to, be it there or not.
    ///
    /// # Errors
    /// Where `path` names no file, or links lead nowhere but to each other.
    pub(crate) fn at(path: &Path, new: NewFile) -> io::Result<Self> {
        let path = target_of(path)?;
        if path.file_name().is_none() {
            return Err(io::Error::new(ErrorKind::InvalidInput, "it names no file"));
        }
        Ok(Self { path, part: format!("-part-{}", std::process::id()), new })
    }

    /// The same for whoever has its folder to themselves: what one leaves who is killed, the next one finds.
    pub(crate) fn alone(mut self) -> Self {
        "-next".clone_into(&mut self.part);
        self
    }

    /// Where it is, without links.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Where what is going to be it is, while it is written.
    pub(crate) fn part(&self) -> PathBuf {
        self.beside(&self.part)
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
        let Some(found) = self.metadata()? else { return Ok(Found { is_the_same: false, whose: None }) };
        let is_the_same = found.len() == bytes.len() as u64 && {
            // What is there may be a key.
            let mut there = Secret::new(Vec::with_capacity(bytes.len() + 1));
            File::open(&self.path)?.take(bytes.len() as u64 + 1).read_to_end(there.expose_mut())?;
            there.expose() == bytes
        };
        Ok(Found { is_the_same, whose: Some(whose(&found)) })
    }

    /// Nothing where there is no file.
    fn metadata(&self) -> io::Result<Option<Metadata>> {
        match self.path.symlink_metadata() {
            // A pipe would wait for whoever writes into it, and a folder is nothing to be replaced.
            Ok(found) if !found.is_file() => {
                Err(io::Error::new(ErrorKind::InvalidInput, "it is no regular file"))
            }
            Ok(found) => Ok(Some(found)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn write(&self, bytes: &[u8], found: &Found) -> io::Result<()> {
        self.prepare_as(bytes, found.whose)?;
        if let Err(error) = self.rename_part() {
            let _ = std::fs::remove_file(self.part());
            return Err(error);
        }
        sync_folder_of(&self.path)
    }

    /// Writes beside it what [`KeptFile::finish`] makes it. The bytes are on the disk then, their name may not be.
    ///
    /// # Errors
    /// The system's; then nothing is beside it.
    pub(crate) fn prepare(&self, bytes: &[u8]) -> io::Result<()> {
        self.prepare_as(bytes, self.metadata()?.as_ref().map(whose))
    }

    /// Makes it what [`KeptFile::prepare`] wrote, for good.
    ///
    /// # Errors
    /// The system's; then it is the one or the other.
    pub(crate) fn finish(&self) -> io::Result<()> {
        self.rename_part()?;
        sync_folder_of(&self.path)
    }

    /// The same, until somebody pulls the plug: for whoever has to hurry, and makes the folder last afterwards.
    pub(crate) fn rename_part(&self) -> io::Result<()> {
        step();
        std::fs::rename(self.part(), &self.path)
    }

    fn prepare_as(&self, bytes: &[u8], whose: Option<Whose>) -> io::Result<()> {
        self.remove_part()?;
        let part = self.part();
        let written = self.write_part(&part, bytes, whose);
        if written.is_err() {
            // What went wrong is said; that half of it could not be removed as well would not help.
            let _ = std::fs::remove_file(&part);
        }
        written
    }

    fn write_part(&self, part: &Path, bytes: &[u8], whose: Option<Whose>) -> io::Result<()> {
        // Only what the umask is asked about is ever there for others before it has its mode and its owner.
        let (mode, at_first) = match (whose, self.new) {
            (Some((mode, ..)), _) | (None, NewFile::Mode(mode)) => (Some(mode), 0o600),
            (None, NewFile::Umask) => (None, 0o666),
        };
        step();
        let mut file = OpenOptions::new().write(true).create_new(true).mode(at_first).open(part)?;
        write_all(&mut file, bytes)?;
        if let Some((_, owner, group)) = whose {
            let now = file.metadata()?;
            if (now.uid(), now.gid()) != (owner, group) {
                step();
                match fchown(&file, Some(owner), Some(group)) {
                    // It may be somebody else's whose group one belongs to: then it is one's own from now on, and the
                    // group's as before.
                    Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                        fchown(&file, None, Some(group))?
                    }
                    done => done?,
                }
            }
        }
        // Behind the owner, with whom some of it goes.
        if let Some(mode) = mode {
            step();
            file.set_permissions(Permissions::from_mode(mode))?;
        }
        step();
        file.sync_all()
    }

    /// What was left by somebody who was killed is of no use to anybody.
    pub(crate) fn remove_part(&self) -> io::Result<()> {
        step();
        match std::fs::remove_file(self.part()) {
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

    /// What is there, where nobody has ever kept it: of a long file `bytes_max` bytes and one more. Nothing where somebody
    /// has, or where there is no file. To be asked before it is locked, by which it is kept.
    pub(crate) fn found_there(&self, bytes_max: usize) -> io::Result<Option<Secret<Vec<u8>>>> {
        let Some(found) = self.metadata()? else { return Ok(None) };
        match self.beside("").symlink_metadata() {
            Ok(_) => return Ok(None),
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            Err(_) => {}
        }
        let most = bytes_max as u64 + 1;
        // What is there may be a key, of which no half is to be left in memory: so there is room for it from the start.
        let room = found.len().min(most) as usize;
        let mut there = Secret::new(Vec::with_capacity(room + 1));
        File::open(&self.path)?.take(most).read_to_end(there.expose_mut())?;
        Ok(Some(there))
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

fn whose(found: &Metadata) -> Whose {
    (found.mode() & 0o7777, found.uid(), found.gid())
}

impl Drop for Owed {
    fn drop(&mut self) {
        // Not only closed: a process that is being started at this moment has it open, too, until it is another program.
        let _ = self.file.unlock();
    }
}

/// What tells the file at `path` from all others, be it there or not: two paths with the same place lead to the same file,
/// however they are written.
pub(crate) fn place_of(path: &Path) -> PathBuf {
    if let Ok(real) = path.canonicalize() {
        return real;
    }
    let path = target_of(path).unwrap_or_else(|_| path.to_owned());
    let Some(name) = path.file_name() else { return real(&path) };
    let folder = path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
    real(folder).join(name)
}

/// A folder without links; of one that is not there, its nearest neighbour above that is.
fn real(folder: &Path) -> PathBuf {
    if let Ok(real) = folder.canonicalize() {
        return real;
    }
    match (folder.parent(), folder.file_name()) {
        (Some(above), Some(name)) => {
            real(if above == Path::new("") { Path::new(".") } else { above }).join(name)
        }
        _ => folder.to_owned(),
    }
}

/// What `path` leads to, which need not be there.
fn target_of(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..LINKS_MAX {
        // Whatever else is in the way is met again by whoever opens it.
        let Ok(target) = path.read_link() else { return Ok(path) };
        path = path.parent().unwrap_or(Path::new("")).join(target);
    }
    Err(io::Error::other("too many links lead to it"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    const NEW: NewFile = NewFile::Mode(0o644);

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
        let mut file = KeptFile::at(&path, NEW).unwrap();
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
        assert!(KeptFile::at(&inner, NEW).unwrap().make(b"x").is_err());
        assert!(KeptFile::at(Path::new("/"), NEW).is_err());
        assert!(KeptFile::at(&folder.path().join("absent/f"), NEW).unwrap().make(b"x").is_err());
        assert_eq!(names(folder.path()), ["inner"]);
        // A link stays one.
        let (target, link) = (inner.join("f"), folder.path().join("link"));
        std::fs::write(&target, "one").unwrap();
        symlink(&target, &link).unwrap();
        assert!(KeptFile::at(&link, NEW).unwrap().make(b"two").unwrap());
        assert!(link.is_symlink());
        assert_eq!(std::fs::read(&target).unwrap(), b"two");
    }

    /// Links that lead to nothing lead to what is made, and it is made where they lead to.
    #[test]
    fn what_a_link_leads_to_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let (inner, link) = (folder.path().join("inner"), folder.path().join("link"));
        std::fs::create_dir(&inner).unwrap();
        symlink("inner/second", &link).unwrap();
        symlink("../third", inner.join("second")).unwrap();
        assert!(KeptFile::at(&link, NEW).unwrap().make(b"x").unwrap());
        assert!(link.is_symlink() && inner.join("second").is_symlink());
        assert_eq!(std::fs::read(folder.path().join("third")).unwrap(), b"x");
        assert_eq!((names(folder.path()).len(), names(&inner).len()), (3, 1));
        symlink("round", folder.path().join("round")).unwrap();
        assert!(KeptFile::at(&folder.path().join("round"), NEW).is_err());
    }

    #[test]
    fn the_same_file_has_one_place() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("inner");
        std::fs::create_dir(&inner).unwrap();
        symlink("inner", folder.path().join("outer")).unwrap();
        symlink("inner/f", folder.path().join("link")).unwrap();
        let place = |name: &str| place_of(&folder.path().join(name));
        for same in ["outer/f", "./inner/f", "inner/../inner/f", "link", "inner/./f"] {
            assert_eq!(place(same), place("inner/f"), "{same}");
        }
        for other in ["f", "inner/g", "absent/f", "inner"] {
            assert_ne!(place(other), place("inner/f"), "{other}");
        }
        assert_eq!((place("inner/"), place("absent/./f")), (place("outer/."), place("absent/f")));
        // As from the working directory, with a folder or without one.
        assert_eq!(place_of(Path::new("./k")), place_of(Path::new("k")));
    }

    #[test]
    fn a_new_file_has_the_mode_that_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let made = |name: &str, new| {
            KeptFile::at(&path(name), new).unwrap().make(b"x").unwrap();
            mode(&path(name))
        };
        assert_eq!(made("key", NewFile::Mode(0o600)), 0o600);
        // What the umask of whoever runs this makes of a file.
        std::fs::write(path("plain"), "").unwrap();
        assert_eq!(made("umask", NewFile::Umask), mode(&path("plain")));
        std::fs::set_permissions(path("key"), Permissions::from_mode(0o604)).unwrap();
        KeptFile::at(&path("key"), NewFile::Umask).unwrap().make(b"y").unwrap();
        assert_eq!(mode(&path("key")), 0o604);
    }

    #[test]
    fn what_nobody_kept_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        let found = |file: &KeptFile| file.found_there(3).unwrap().map(|there| there.expose().clone());
        let mut file = KeptFile::at(&path, NEW).unwrap();
        assert_eq!(found(&file), None);
        std::fs::write(&path, "theirs").unwrap();
        assert_eq!(found(&file).as_deref(), Some(&b"thei"[..]));
        assert_eq!(names(folder.path()), ["f"], "nothing is left beside it");
        drop(file.lock().unwrap().unwrap());
        assert_eq!(found(&file), None, "it was kept");
    }

    #[test]
    fn what_is_owed_is_remembered_and_one_keeps_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = KeptFile::at(&folder.path().join("f"), NEW).unwrap();
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
