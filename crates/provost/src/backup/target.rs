//! Where a house is made: in a directory that nobody takes for a data directory before all is in it.
//!
//! ```text
//! DIR does not exist   .DIR.restoring ─► … ─► renamed to DIR
//! DIR is empty         DIR/.restoring ─► … ─► what is in it moves up, the database last ─► DIR/.restoring goes
//! ```
//! A directory that is there stays the one that it is, with its owner: it may be a volume of its own. As long as
//! `.restoring` is in it, nobody starts on it.

use std::ffi::OsString;
use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use super::error::BackupError;
use crate::lock::Lock;

/// In a data directory: what is not all there yet.
pub const UNFINISHED: &str = ".restoring";
/// What a new file system has in its uppermost directory (mke2fs(8)).
const OF_THE_VOLUME: &str = "lost+found";
/// What moves up last: without it, and with others there, nobody starts either.
const LAST: &str = "provost.db";

/// A directory in which a house is made. What is in it goes when this is dropped before it is finished.
pub struct Target {
    /// Where the house is to be.
    data: PathBuf,
    /// Where it is made.
    work: PathBuf,
    is_inside: bool,
    is_finished: bool,
    _lock: Lock,
}

impl Target {
    /// Begins a house that is to be at `data`, which does not exist or is empty.
    pub fn begin(data: &Path) -> Result<Self, BackupError> {
        let failed = |source| BackupError::File { path: data.to_owned(), doing: "make", source };
        let is_inside = is_there(data)?;
        let work = if is_inside {
            data.join(UNFINISHED)
        } else {
            let name = data.file_name().ok_or_else(|| failed(io::ErrorKind::InvalidInput.into()))?;
            let parent =
                data.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            std::fs::create_dir_all(parent).map_err(failed)?;
            let mut hidden = OsString::from(".");
            hidden.push(name);
            hidden.push(UNFINISHED);
            parent.join(hidden)
        };
        // What a restore left that was killed is nobody's, unless that is not dead.
        if work.symlink_metadata().is_ok() {
            let _dead = Lock::take(&work).map_err(|_| BackupError::InUse { path: work.clone() })?;
            std::fs::remove_dir_all(&work).map_err(failed)?;
        }
        DirBuilder::new().mode(0o700).create(&work).map_err(failed)?;
        let lock = Lock::take(&work).map_err(|_| BackupError::InUse { path: work.clone() })?;
        Ok(Self { data: data.to_owned(), work, is_inside, is_finished: false, _lock: lock })
    }

    /// Where what is called `name` in a data directory is made.
    pub fn at(&self, name: &str) -> PathBuf {
        self.work.join(name)
    }

    /// All is there, and on the disk: it becomes the house.
    pub fn finish(mut self) -> Result<(), BackupError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| BackupError::File { path, doing: "make", source }
        };
        sync(&self.work).map_err(failed(&self.work))?;
        if self.is_inside {
            let entries = std::fs::read_dir(&self.work).and_then(Iterator::collect::<io::Result<Vec<_>>>);
            let mut names: Vec<OsString> =
                entries.map_err(failed(&self.work))?.into_iter().map(|entry| entry.file_name()).collect();
            names.sort_by_key(|name| name == LAST);
            // From here on it cannot be begun anew; what is there by then says so.
            self.is_finished = true;
            for name in names {
                std::fs::rename(self.work.join(&name), self.data.join(&name)).map_err(failed(&self.data))?;
            }
            sync(&self.data).map_err(failed(&self.data))?;
            std::fs::remove_dir(&self.work).map_err(failed(&self.work))?;
            return sync(&self.data).map_err(failed(&self.data));
        }
        // Over an empty directory as well, if somebody has made one meanwhile, and over nothing else.
        std::fs::rename(&self.work, &self.data).map_err(failed(&self.data))?;
        self.is_finished = true;
        let parent = self.data.parent().filter(|parent| !parent.as_os_str().is_empty());
        sync(parent.unwrap_or(Path::new("."))).map_err(failed(&self.data))
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if !self.is_finished {
            let _ = std::fs::remove_dir_all(&self.work);
        }
    }
}

/// Whether there is a directory at `data`, which then has nothing in it but what a dead restore left, or what every new
/// volume has.
pub fn is_there(data: &Path) -> Result<bool, BackupError> {
    let failed = |source| BackupError::File { path: data.to_owned(), doing: "look at", source };
    let entries = match std::fs::read_dir(data) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(source) => return Err(failed(source)),
    };
    let (mut has_part, mut has_more) = (false, false);
    for entry in entries {
        let name = entry.map_err(failed)?.file_name();
        has_part |= name == UNFINISHED;
        has_more |= name != UNFINISHED && name != OF_THE_VOLUME;
    }
    match (has_part, has_more) {
        (true, true) => Err(BackupError::HalfRestored { path: data.to_owned() }),
        (false, true) => Err(BackupError::NotEmpty { path: data.to_owned() }),
        (_, false) => Ok(true),
    }
}

fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<_> = std::fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_house_is_there_when_it_is_finished() {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("above/data");
        for is_inside in [false, true] {
            if is_inside {
                std::fs::remove_dir_all(&data).unwrap();
                std::fs::create_dir(&data).unwrap();
            }
            let target = Target::begin(&data).unwrap();
            std::fs::write(target.at("provost.db"), "db").unwrap();
            std::fs::create_dir(target.at("artifacts")).unwrap();
            assert!(!data.join("provost.db").exists());
            // Another one does not begin beside it.
            assert!(matches!(Target::begin(&data), Err(BackupError::InUse { .. })));
            target.finish().unwrap();
            assert_eq!(names(&data), ["artifacts", "provost.db"]);
            assert_eq!(names(data.parent().unwrap()), ["data"], "nothing is left beside it");
            assert!(matches!(Target::begin(&data), Err(BackupError::NotEmpty { .. })));
        }
    }

    #[test]
    fn a_volume_is_empty_when_it_is_new() {
        let data = tempfile::tempdir().unwrap();
        std::fs::create_dir(data.path().join("lost+found")).unwrap();
        let target = Target::begin(data.path()).unwrap();
        std::fs::write(target.at("provost.db"), "db").unwrap();
        target.finish().unwrap();
        assert_eq!(names(data.path()), ["lost+found", "provost.db"]);
        assert!(matches!(Target::begin(data.path()), Err(BackupError::NotEmpty { .. })));
    }

    #[test]
    fn what_is_given_up_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("data");
        let target = Target::begin(&data).unwrap();
        std::fs::write(target.at("provost.db"), "db").unwrap();
        drop(target);
        assert!(names(directory.path()).is_empty());
        std::fs::create_dir(&data).unwrap();
        drop(Target::begin(&data).unwrap());
        assert!(names(&data).is_empty());
    }

    #[test]
    fn what_a_killed_one_left_is_cleared_away_or_said() {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("data");
        let target = Target::begin(&data).unwrap();
        std::fs::write(target.at("store.key"), "key").unwrap();
        let killed = std::mem::ManuallyDrop::new(target);
        // The kernel lets go of what it held.
        std::fs::rename(directory.path().join(".data.restoring"), directory.path().join("x")).unwrap();
        std::fs::create_dir(directory.path().join(".data.restoring")).unwrap();
        std::fs::write(directory.path().join(".data.restoring/old"), "").unwrap();
        let target = Target::begin(&data).unwrap();
        assert!(!target.at("old").exists());
        drop(target);
        drop(std::mem::ManuallyDrop::into_inner(killed));
        // Killed while it moved things up.
        std::fs::create_dir_all(data.join(UNFINISHED)).unwrap();
        std::fs::write(data.join("store.key"), "").unwrap();
        assert!(matches!(Target::begin(&data), Err(BackupError::HalfRestored { .. })));
    }
}
