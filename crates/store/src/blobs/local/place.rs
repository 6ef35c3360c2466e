//! The directory and what is done to the names in it.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base::{Clock, Sha512, Sha512Hasher, Span, Timestamp, hex};

use super::shard::Shard;
use super::{failed, open};
use crate::blobs::contract::{CHUNK_BYTES, Error};

/// Where what comes in is.
pub(super) const STAGED: &str = "staged";
/// Where what was put aside is.
pub(super) const ROTTEN: &str = "rotten";

/// What was kept longer ago is read through before somebody who sends it again is told that it is there.
const TRUSTED_FOR: Span = Span::days(1);

/// The directory, open.
pub(super) struct Place {
    root: PathBuf,
    clock: Clock,
    /// By the first byte of the digest.
    shards: Vec<Shard>,
    /// What the names of staged files begin with, which no other opening of the directory has.
    opening: String,
    /// How many staged files there were.
    staged: AtomicU64,
    closed: AtomicBool,
    /// Absent once it was let go of.
    lock: Mutex<Option<File>>,
}

impl Place {
    /// The directory at `root`, whose `lock` is held.
    pub(super) fn new(root: PathBuf, clock: Clock, lock: File) -> Self {
        let place = Self::looked_at(root, clock);
        Self { lock: Mutex::new(Some(lock)), ..place }
    }

    /// The directory at `root`, which others may have open: for reading alone.
    pub(super) fn looked_at(root: PathBuf, clock: Clock) -> Self {
        let shards = (0..=u8::MAX).map(|first| Shard::new(root.join(hex::encode(&[first])))).collect();
        let opening = format!("{}-{:x}", std::process::id(), clock.now_milliseconds());
        Self {
            root,
            clock,
            shards,
            opening,
            staged: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            lock: Mutex::new(None),
        }
    }

    /// Whether it was not closed.
    pub(super) fn still_open(&self) -> Result<(), Error> {
        if self.closed.load(Ordering::Acquire) { Err(Error::Closed) } else { Ok(()) }
    }

    /// From now on it is closed, though what was begun goes on.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    /// Lets another process have it.
    pub(super) fn unlock(&self) {
        drop(self.lock.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    /// The directories with the objects, in the order of their digests.
    pub(super) fn shards(&self) -> &[Shard] {
        &self.shards
    }

    fn shard(&self, digest: Sha512) -> &Shard {
        &self.shards[usize::from(digest.as_bytes()[0])]
    }

    fn path(&self, digest: Sha512) -> PathBuf {
        self.shard(digest).path().join(digest.to_string())
    }

    /// The object's file, open for reading, and how many bytes it has.
    pub(super) fn object(&self, digest: Sha512) -> Result<Option<(File, u64)>, Error> {
        let file = match File::open(self.path(digest)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed("opening")(error)),
        };
        let about = file.metadata().map_err(failed("opening"))?;
        if !about.is_file() {
            return Err(Error::Damaged { reason: "there is something else than a file in its place".into() });
        }
        Ok(Some((file, about.len())))
    }

    /// How many bytes the file system has left for us.
    pub(super) fn room(&self) -> Result<u64, Error> {
        self.still_open()?;
        let about =
            rustix::fs::statvfs(&self.root).map_err(|error| failed("asking for room")(error.into()))?;
        Ok(about.f_bavail.saturating_mul(about.f_frsize))
    }

    /// A new file for what comes in.
    pub(super) fn stage(self: &Arc<Self>) -> Result<(File, Temporary), Error> {
        let temporary = Temporary { path: self.temporary() };
        // Read by whoever reads along while it is written.
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary.path)
            .map_err(failed("making a file"))?;
        Ok((file, temporary))
    }

    /// The path of a staged file that there is not yet.
    fn temporary(&self) -> PathBuf {
        let number = self.staged.fetch_add(1, Ordering::Relaxed);
        self.root.join(STAGED).join(format!("{}-{number:x}", self.opening))
    }

    /// Whether the object is there already, durable and whole; it counts as kept now then. As whole counts what has the
    /// right size and was kept or read through within a day, and not written to by somebody else since.
    pub(super) fn again(&self, digest: Sha512, size: u64) -> Result<bool, Error> {
        self.read_through(digest)?;
        let shard = self.shard(digest);
        let ticket = {
            let _one = shard.alone();
            if !self.touch(&self.path(digest), size)? {
                return Ok(false);
            }
            shard.ticket()
        };
        // Whoever put it there may not have come so far yet.
        shard.settle(ticket).map_err(failed("syncing a directory"))?;
        Ok(true)
    }

    /// Puts the object aside if it was kept some time ago and its bytes are others by now, so that sending it again
    /// repairs it. Takes as long as hashing what is sent did.
    fn read_through(&self, digest: Sha512) -> Result<(), Error> {
        let path = self.path(digest);
        let Some(about) = look(&path)? else { return Ok(()) };
        // We date what we keep in whole seconds: whoever else writes to it leaves another date.
        let is_as_dated = about.mtime_nsec() == 0;
        if is_as_dated && self.clock.now() - kept_at(&about) < TRUSTED_FOR {
            return Ok(());
        }
        match hash(&path) {
            Ok(found) if found == digest => return Ok(()),
            Ok(_) => {}
            // What the disk cannot read is no better; that there are too many files open says nothing about it.
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()) => {}
            Err(error) => return Err(failed("reading an object")(error)),
        }
        tracing::warn!(path = %path.display(), "an object has other bytes than it was kept with, and is put aside");
        // Unless somebody else has repaired it meanwhile.
        self.put_aside(digest, Some(about.ino())).map(drop)
    }

    /// Makes the whole of `file` the object `digest`, durable and visible. Tells whether it had been there already.
    pub(super) fn keep(
        &self,
        file: &File,
        temporary: Temporary,
        digest: Sha512,
        size: u64,
    ) -> Result<bool, Error> {
        file.set_modified(self.now()).map_err(failed("dating a file"))?;
        // The size is among what this syncs.
        file.sync_data().map_err(failed("syncing a file"))?;
        let shard = self.shard(digest);
        let path = self.path(digest);
        let (was_there, ticket) = {
            let _one = shard.alone();
            if self.touch(&path, size)? {
                (true, shard.ticket())
            } else {
                self.put(temporary, shard, &path).map_err(failed("naming a file"))?;
                (false, shard.changed())
            }
        };
        shard.settle(ticket).map_err(failed("syncing a directory"))?;
        Ok(was_there)
    }

    fn put(&self, temporary: Temporary, shard: &Shard, path: &Path) -> io::Result<()> {
        match std::fs::rename(&temporary.path, path) {
            // The first object there, or somebody tidied an empty directory away.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                open::make(shard.path())?;
                std::fs::rename(&temporary.path, path)?;
            }
            renamed => renamed?,
        }
        temporary.moved();
        Ok(())
    }

    /// Dates the object anew, if it is there. One of another size is not what its name says, and may be replaced.
    fn touch(&self, path: &Path, size: u64) -> Result<bool, Error> {
        let Some(about) = look(path)? else { return Ok(false) };
        if about.len() != size {
            tracing::warn!(
                path = %path.display(),
                bytes = about.len(),
                expected = size,
                "an object of the wrong size is replaced"
            );
            return Ok(false);
        }
        if (about.mtime(), about.mtime_nsec()) != (self.clock.now().as_unix(), 0) {
            let dated = File::open(path).and_then(|file| file.set_modified(self.now()));
            dated.map_err(failed("dating a file"))?;
        }
        Ok(true)
    }

    fn now(&self) -> SystemTime {
        let seconds = u64::try_from(self.clock.now().as_unix()).unwrap_or(0);
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    /// Removes the object, if it was kept no later than `kept_by`. Tells whether it did.
    pub(super) fn remove(&self, digest: Sha512, kept_by: Option<Timestamp>) -> Result<bool, Error> {
        let path = self.path(digest);
        let temporary = Temporary { path: self.temporary() };
        {
            let _one = self.shard(digest).alone();
            match look(&path)? {
                Some(about) if kept_by.is_none_or(|by| kept_at(&about) <= by) => {}
                _ => return Ok(false),
            }
            std::fs::rename(&path, &temporary.path).map_err(failed("removing"))?;
        }
        // Giving back the room of a large file takes a while, during which nobody has to wait.
        drop(temporary);
        Ok(true)
    }

    /// Moves the object aside, durably. Tells whether it was there.
    pub(super) fn set_aside(&self, digest: Sha512) -> Result<bool, Error> {
        self.put_aside(digest, None)
    }

    /// The same, if the file is still the one that was looked at.
    fn put_aside(&self, digest: Sha512, looked_at: Option<u64>) -> Result<bool, Error> {
        let path = self.path(digest);
        let rotten = self.root.join(ROTTEN);
        let shard = self.shard(digest);
        let ticket = {
            let _one = shard.alone();
            let Some(about) = look(&path)? else { return Ok(false) };
            if looked_at.is_some_and(|inode| inode != about.ino()) {
                return Ok(false);
            }
            std::fs::rename(&path, rotten.join(digest.to_string())).map_err(failed("putting aside"))?;
            shard.changed()
        };
        File::open(&rotten).and_then(|rotten| rotten.sync_all()).map_err(failed("putting aside"))?;
        shard.settle(ticket).map_err(failed("putting aside"))?;
        Ok(true)
    }
}

/// What is at `path`, when there is a file.
pub(super) fn look(path: &Path) -> Result<Option<Metadata>, Error> {
    match std::fs::symlink_metadata(path) {
        Ok(about) if about.is_file() => Ok(Some(about)),
        Ok(_) => Err(Error::Damaged { reason: "there is something else than a file in its place".into() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("looking for an object")(error)),
    }
}

/// The digest of what is in the file at `path`.
fn hash(path: &Path) -> io::Result<Sha512> {
    let (mut file, mut hasher) = (File::open(path)?, Sha512Hasher::new());
    let mut piece = vec![0; CHUNK_BYTES];
    loop {
        match file.read(&mut piece) {
            Ok(0) => return Ok(hasher.finish()),
            Ok(bytes) => hasher.update(&piece[..bytes]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// When the object was kept.
pub(super) fn kept_at(about: &Metadata) -> Timestamp {
    Timestamp::from_unix(about.mtime())
}

/// The name of a file that goes when this is dropped.
pub(super) struct Temporary {
    path: PathBuf,
}

impl Temporary {
    /// The file has another name now.
    fn moved(mut self) {
        self.path = PathBuf::new();
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if self.path.as_os_str().is_empty() {
            return;
        }
        match std::fs::remove_file(&self.path) {
            // It was never made.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                tracing::warn!(path = %self.path.display(), %error, "a temporary file could not be removed");
            }
            Ok(()) => {}
        }
    }
}
