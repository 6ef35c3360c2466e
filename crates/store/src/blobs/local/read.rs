//! Reading an object, piece by piece: at once what is in memory, and on a thread what has to come from the disk.

use std::fs::File;
use std::io::IoSliceMut;
use std::num::NonZeroU64;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures_channel::oneshot;
use futures_util::future::{BoxFuture, Either, ready};
use futures_util::stream::{BoxStream, iter};
use futures_util::{FutureExt, StreamExt};
use rustix::fs::Advice;
use rustix::io::{Errno, ReadWriteFlags};

use super::pool::Pool;
use super::{failed, no_thread};
use crate::blobs::contract::{CHUNK_BYTES, Error, Source};

/// How often a file is looked at to see whether it is in memory: as much as the system reads ahead at the least.
const LOOK_EVERY_BYTES: usize = 64 * 1024;

/// An object's file.
pub(super) struct Opened {
    file: Arc<File>,
    readers: Arc<Pool>,
}

impl Opened {
    /// The object that `file` is, read on threads of `readers`.
    pub(super) fn new(file: File, readers: Arc<Pool>) -> Self {
        Self::shared(Arc::new(file), readers)
    }

    /// The same, of a file that others use as well.
    pub(super) fn shared(file: Arc<File>, readers: Arc<Pool>) -> Self {
        Self { file, readers }
    }
}

impl Source for Opened {
    fn read(&self, range: Range<u64>) -> BoxStream<'static, Result<Bytes, Error>> {
        let (file, readers) = (Arc::clone(&self.file), Arc::clone(&self.readers));
        let end = range.end;
        let piece = move |start| {
            let bytes = usize::try_from(end - start).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
            match in_memory(&file, start, bytes) {
                Some(piece) => Either::Left(ready(Ok(piece))),
                None => {
                    let (file, work) = (Arc::clone(&file), move |file: &File| piece(file, start, bytes));
                    Either::Right(on_thread(file, Arc::clone(&readers), work))
                }
            }
        };
        let until_failed = |failed: &mut bool, piece: Result<Bytes, Error>| {
            let told = (!*failed).then_some(piece);
            *failed = matches!(told, Some(Err(_)));
            ready(told)
        };
        // None ahead: of many slow readers, each would keep one in memory that nobody counts.
        iter(range.step_by(CHUNK_BYTES)).then(piece).scan(false, until_failed).boxed()
    }

    fn at_hand(&self, range: Range<u64>) -> Option<Bytes> {
        in_memory(&self.file, range.start, usize::try_from(range.end - range.start).ok()?)
    }

    fn file(&self) -> Option<Arc<File>> {
        // Where nobody can tell what is in memory, whoever sent it from the kernel would wait for the disk.
        can_tell(&self.file).then(|| Arc::clone(&self.file))
    }

    fn fetch(&self, range: Range<u64>) -> BoxFuture<'static, Result<(), Error>> {
        if is_in_memory(&self.file, range.clone()) {
            return ready(Ok(())).boxed();
        }
        let (file, readers) = (Arc::clone(&self.file), Arc::clone(&self.readers));
        let read_through = move |file: &File| {
            let bytes = NonZeroU64::new(range.end - range.start);
            // Only a hint: what the disk has not begun with is read below.
            let _ = rustix::fs::fadvise(file, range.start, bytes, Advice::WillNeed);
            for start in range.clone().step_by(CHUNK_BYTES) {
                let bytes = usize::try_from(range.end - start).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
                piece(file, start, bytes)?;
            }
            Ok(())
        };
        on_thread(file, readers, read_through).boxed()
    }
}

/// What `work` gives, from a thread of `readers`.
async fn on_thread<T: Send + 'static>(
    file: Arc<File>,
    readers: Arc<Pool>,
    work: impl FnOnce(&File) -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let (answer, answered) = oneshot::channel();
    let job = move || {
        // Whoever asked may have stopped waiting.
        if !answer.is_canceled() {
            let _ = answer.send(work(&file));
        }
    };
    readers.run(job).map_err(|_| Error::Closed)?;
    answered.await.unwrap_or_else(|_| Err(no_thread()))
}

/// Whether the system has what is in `range` of `file` in memory, as far as a look here and there tells: what others have
/// read of it, and what was forgotten since, need not be all or nothing.
fn is_in_memory(file: &File, range: Range<u64>) -> bool {
    let mut looked_at = range.clone().step_by(LOOK_EVERY_BYTES).chain([range.end - 1]);
    looked_at.all(|at| look(file, at) == Ok(1))
}

/// Whether the system says what of `file` is in memory.
fn can_tell(file: &File) -> bool {
    !matches!(look(file, 0), Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL))
}

/// Reads the byte at `at` if that is in memory.
fn look(file: &File, at: u64) -> Result<usize, Errno> {
    rustix::io::preadv2(file, &mut [IoSliceMut::new(&mut [0])], at, ReadWriteFlags::NOWAIT)
}

/// So many bytes of `file` from `start` on, when the system has them all in memory. Where it cannot tell (`EOPNOTSUPP`,
/// by the file system), they are not.
fn in_memory(file: &File, start: u64, bytes: usize) -> Option<Bytes> {
    let mut piece = vec![0; bytes];
    let read = rustix::io::preadv2(file, &mut [IoSliceMut::new(&mut piece)], start, ReadWriteFlags::NOWAIT);
    (read == Ok(bytes)).then(|| piece.into())
}

/// So many bytes of `file` from `start` on.
fn piece(file: &File, start: u64, bytes: usize) -> Result<Bytes, Error> {
    let mut piece = Vec::with_capacity(bytes);
    while piece.len() < bytes {
        let at = start + piece.len() as u64;
        match rustix::io::pread(file, rustix::buffer::spare_capacity(&mut piece), at) {
            Ok(0) => return Err(Error::Damaged { reason: "it has become shorter".into() }),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(failed("reading")(error.into())),
        }
    }
    // A vector may have more room than was asked for.
    piece.truncate(bytes);
    Ok(piece.into())
}

#[cfg(test)]
mod tests {
    use futures_executor::block_on;

    use super::*;

    /// Where the file system keeps everything in memory, there is nothing to be seen.
    #[test]
    fn a_part_of_which_others_have_read_some_is_fetched_whole() {
        const BYTES: u64 = 1024 * 1024;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("object");
        std::fs::write(&path, [1; 1024 * 1024]).unwrap();
        let file = File::open(&path).unwrap();
        file.sync_all().unwrap();
        rustix::fs::fadvise(&file, 0, None, Advice::DontNeed).unwrap();
        // Nothing else comes along.
        rustix::fs::fadvise(&file, 0, None, Advice::Random).unwrap();
        piece(&file, BYTES - 1, 1).unwrap();
        let opened = Opened::new(file, Arc::new(Pool::new("readers", 1).unwrap()));
        block_on(opened.fetch(0..BYTES)).unwrap();
        if opened.file().is_some() {
            assert!(opened.at_hand(0..BYTES).is_some());
        }
    }

    #[test]
    fn a_file_of_which_nobody_can_tell_what_is_in_memory_is_not_sent_from_the_kernel() {
        let file = File::open("/proc/self/cmdline").unwrap();
        let opened = Opened::new(file, Arc::new(Pool::new("readers", 1).unwrap()));
        assert!(opened.file().is_none());
    }
}
