//! Reading an object, piece by piece, on a thread.

use std::fs::File;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures_channel::oneshot;
use futures_util::StreamExt;
use futures_util::future::ready;
use futures_util::stream::{BoxStream, iter};

use super::pool::Pool;
use super::{failed, no_thread};
use crate::blobs::contract::{CHUNK_BYTES, Error, Source};

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
            on_thread(Arc::clone(&file), start, bytes, Arc::clone(&readers))
        };
        let until_failed = |failed: &mut bool, piece: Result<Bytes, Error>| {
            let told = (!*failed).then_some(piece);
            *failed = matches!(told, Some(Err(_)));
            ready(told)
        };
        // None ahead: of many slow readers, each would keep one in memory that nobody counts.
        iter(range.step_by(CHUNK_BYTES)).then(piece).scan(false, until_failed).boxed()
    }

    fn file(&self) -> Option<&File> {
        Some(&self.file)
    }
}

async fn on_thread(file: Arc<File>, start: u64, bytes: usize, readers: Arc<Pool>) -> Result<Bytes, Error> {
    let (answer, answered) = oneshot::channel();
    let job = move || {
        // Whoever asked may have stopped waiting.
        if !answer.is_canceled() {
            let _ = answer.send(piece(&file, start, bytes));
        }
    };
    readers.run(job).map_err(|_| Error::Closed)?;
    answered.await.unwrap_or_else(|_| Err(no_thread()))
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
