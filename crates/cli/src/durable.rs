//! Bytes and names that last.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;

#[cfg(test)]
pub(crate) use power::step;

/// How much is written at once: in tests little, so that the power is cut in the middle of a file, too.
const PIECE: usize = if cfg!(test) { 256 } else { usize::MAX };

/// To be called before whatever changes what is on the disk: tests cut the power there.
#[cfg(not(test))]
pub(crate) fn step() {}

/// Writes all of `bytes`.
pub(crate) fn write_all(file: &mut File, bytes: &[u8]) -> io::Result<()> {
    for piece in bytes.chunks(PIECE) {
        step();
        file.write_all(piece)?;
    }
    Ok(())
}

/// Makes the names in the folder of `path` last: after a power cut, too, they are what they are now.
pub(crate) fn sync_folder_of(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
    step();
    match File::open(folder)?.sync_all() {
        // Some file systems cannot (FUSE); there is nothing else to be done there.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
        result => result,
    }
}

#[cfg(test)]
pub(crate) mod power {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use rustix::process::{Signal, getpid, kill_process};

    /// Before which step this process is killed; 0 where it lives.
    static BEFORE: AtomicUsize = AtomicUsize::new(0);

    /// Kills this process before the `step`th change on the disk from now, counted from 1.
    pub(crate) fn cut_before(step: usize) {
        BEFORE.store(step, Ordering::SeqCst);
    }

    pub(crate) fn step() {
        let left = BEFORE.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if left == Ok(1) {
            kill_process(getpid(), Signal::KILL).unwrap();
        }
    }
}
