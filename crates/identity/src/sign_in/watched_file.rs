//! A file that others change while we run: what is in it is what it says now.

use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use base::Clock;

/// The longest file that is read.
const BYTES_MAX: u64 = 4 << 20;
/// A file that was changed less than so many seconds ago may change once more without looking changed: file
/// systems are content with ticks of the clock, some of two seconds.
const SETTLED_AFTER_SECONDS: i64 = 3;

/// What a file says, read again whenever it has changed.
///
/// Whether it has changed is looked up each time, which costs a microsecond: what was taken out of the file must
/// not count for another moment. A file that cannot be read says nothing; that is logged, once. The files are
/// small and local, so that reading them does not need a thread of its own.
pub(crate) struct WatchedFile<T> {
    path: PathBuf,
    parse: Parse<T>,
    clock: Clock,
    read: Mutex<Reading<T>>,
}

/// Makes sense of a file's bytes, or says what is wrong with them.
pub(crate) type Parse<T> = Box<dyn Fn(&[u8]) -> Result<T, String> + Send + Sync>;

struct Reading<T> {
    /// Nothing when the file has to be read again in any case.
    stamp: Option<Stamp>,
    value: Arc<T>,
    problem: Option<String>,
}

/// What changes when a file does: the device and number of the file, its length, and when it was changed last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    length: u64,
    changed: (i64, i64),
    modified: (i64, i64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            length: metadata.len(),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

impl<T: Default> WatchedFile<T> {
    /// The file at `path`, read when it is needed.
    pub(crate) fn new(path: PathBuf, clock: Clock, parse: Parse<T>) -> Self {
        let read = Mutex::new(Reading { stamp: None, value: Arc::default(), problem: None });
        Self { path, parse, clock, read }
    }

    /// What the file says now; the default when it cannot be read.
    pub(crate) fn now(&self) -> Arc<T> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = std::fs::metadata(&self.path).ok().map(|metadata| Stamp::of(&metadata));
        if stamp.is_none() || stamp != read.stamp {
            *read = self.read(read.problem.take());
        }
        read.value.clone()
    }

    fn read(&self, told: Option<String>) -> Reading<T> {
        let (stamp, value) = match bytes(&self.path) {
            Ok((stamp, bytes)) => (self.settled(stamp), (self.parse)(&bytes)),
            Err(error) => (None, Err(error.to_string())),
        };
        let (value, problem) = match value {
            Ok(value) => (value, None),
            Err(problem) => (T::default(), Some(problem)),
        };
        if let Some(problem) = &problem
            && told.as_ref() != Some(problem)
        {
            tracing::warn!(file = %self.path.display(), problem, "a file for signing in cannot be read");
        }
        Reading { stamp, value: Arc::new(value), problem }
    }

    /// Nothing while the file could still change without looking changed.
    fn settled(&self, stamp: Stamp) -> Option<Stamp> {
        let age = self.clock.now().as_unix() - stamp.changed.0;
        (age >= SETTLED_AFTER_SECONDS).then_some(stamp)
    }
}

/// The file's stamp and what is in it; an error, when it is no file or a very long one.
pub(super) fn bytes(path: &Path) -> io::Result<(Stamp, Vec<u8>)> {
    // Opening a named pipe would wait for somebody to write into it.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    let file = File::open(path)?;
    // Before reading: what changes meanwhile makes the stamp an old one.
    let metadata = file.metadata()?;
    if metadata.len() > BYTES_MAX {
        return Err(io::Error::other(format!("it is longer than {BYTES_MAX} bytes")));
    }
    let mut bytes = Vec::new();
    file.take(BYTES_MAX).read_to_end(&mut bytes)?;
    Ok((Stamp::of(&metadata), bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn watched(path: &Path, clock: Clock) -> (WatchedFile<String>, Arc<AtomicUsize>) {
        let reads = Arc::new(AtomicUsize::new(0));
        let counted = reads.clone();
        let parse = move |bytes: &[u8]| {
            counted.fetch_add(1, Ordering::SeqCst);
            String::from_utf8(bytes.to_vec()).map_err(|error| error.to_string())
        };
        (WatchedFile::new(path.to_owned(), clock, Box::new(parse)), reads)
    }

    #[test]
    fn follows_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("users");
        let (watched, _) = watched(&path, Clock::system());
        assert_eq!(*watched.now(), "", "it is not there yet");
        for text in ["one", "two", "six", "", "one"] {
            // As long as the one before, within one tick of the file system's clock.
            std::fs::write(&path, text).unwrap();
            assert_eq!(*watched.now(), text);
        }
        std::fs::write(&path, b"\xff").unwrap();
        assert_eq!(*watched.now(), "", "what cannot be read lets nobody in");
        std::fs::write(&path, "back").unwrap();
        assert_eq!(*watched.now(), "back");
        std::fs::remove_file(&path).unwrap();
        assert_eq!(*watched.now(), "");
        std::fs::create_dir(&path).unwrap();
        assert_eq!(*watched.now(), "");
    }

    #[test]
    fn a_settled_file_is_read_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("users");
        std::fs::write(&path, "one").unwrap();
        let clock = Clock::manual(Clock::system().now());
        let (watched, reads) = watched(&path, clock.clone());
        watched.now();
        watched.now();
        assert_eq!(reads.load(Ordering::SeqCst), 2, "it has only just been written");
        clock.advance(base::Span::seconds(60));
        for _ in 0..3 {
            assert_eq!(*watched.now(), "one");
        }
        assert_eq!(reads.load(Ordering::SeqCst), 3);
        std::fs::write(directory.path().join("new"), "two").unwrap();
        std::fs::rename(directory.path().join("new"), &path).unwrap();
        assert_eq!(*watched.now(), "two");
    }

    #[test]
    fn a_huge_file_is_not_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("users");
        File::create(&path).unwrap().set_len(BYTES_MAX + 1).unwrap();
        let (watched, reads) = watched(&path, Clock::system());
        assert_eq!(*watched.now(), "");
        assert_eq!(reads.load(Ordering::SeqCst), 0);
    }
}
