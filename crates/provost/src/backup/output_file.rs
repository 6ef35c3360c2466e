//! The file that a copy goes into: another name until it is whole and on the disk, and no other file replaced.

use std::ffi::OsString;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::error::BackupError;

/// How much is written at once.
const BUFFER_BYTES: usize = 1 << 20;

/// Where a copy goes.
pub enum Output {
    Pipe(BufWriter<io::Stdout>),
    File(BufWriter<File>, Unfinished),
}

/// A file under another name, which goes when this is dropped.
pub struct Unfinished {
    path: PathBuf,
    partial: PathBuf,
    is_finished: bool,
}

impl Output {
    /// Begins; standard output when there is no `path`.
    pub fn begin(path: Option<&Path>) -> Result<Self, BackupError> {
        let Some(path) = path else {
            return Ok(Self::Pipe(BufWriter::with_capacity(BUFFER_BYTES, io::stdout())));
        };
        let failed = |doing| move |source| BackupError::File { path: path.to_owned(), doing, source };
        if path.symlink_metadata().is_ok() {
            return Err(BackupError::Exists { path: path.to_owned() });
        }
        let name = path.file_name().ok_or_else(|| failed("make")(io::ErrorKind::InvalidInput.into()))?;
        let mut hidden = OsString::from(".");
        hidden.push(name);
        hidden.push(".partial");
        let partial = path.with_file_name(hidden);
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
            .open(&partial)
            .map_err(failed("make"))?;
        // What a backup left that was killed is nobody's.
        file.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => BackupError::InUse { path: path.to_owned() },
            TryLockError::Error(source) => failed("lock")(source),
        })?;
        file.set_len(0).map_err(failed("make"))?;
        let unfinished = Unfinished { path: path.to_owned(), partial, is_finished: false };
        Ok(Self::File(BufWriter::with_capacity(BUFFER_BYTES, file), unfinished))
    }

    /// Everything was written: now it gets its name.
    pub fn finish(self) -> Result<(), BackupError> {
        match self {
            Self::Pipe(mut pipe) => pipe.flush().map_err(BackupError::Write),
            Self::File(mut file, mut unfinished) => {
                file.flush().and_then(|()| file.get_ref().sync_all()).map_err(BackupError::Write)?;
                let Unfinished { path, partial, .. } = &unfinished;
                let failed = |source| BackupError::File { path: path.clone(), doing: "make", source };
                rename_new(partial, path).map_err(|source| match source.kind() {
                    io::ErrorKind::AlreadyExists => BackupError::Exists { path: path.clone() },
                    _ => failed(source),
                })?;
                let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
                File::open(directory.unwrap_or(Path::new(".")))
                    .and_then(|directory| directory.sync_all())
                    .map_err(failed)?;
                unfinished.is_finished = true;
                Ok(())
            }
        }
    }
}

/// Gives the file at `from` the name `to` in the same folder, unless another file has it.
pub fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // Some file systems cannot promise that, nor make hard links.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) if to.symlink_metadata().is_err() => {
            std::fs::rename(from, to)
        }
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => Err(io::ErrorKind::AlreadyExists.into()),
        renamed => renamed.map_err(io::Error::from),
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Pipe(pipe) => pipe.write(bytes),
            Self::File(file, _) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Pipe(pipe) => pipe.flush(),
            Self::File(file, _) => file.flush(),
        }
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.is_finished {
            let _ = std::fs::remove_file(&self.partial);
        }
    }
}
