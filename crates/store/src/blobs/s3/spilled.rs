//! What has come of a part for which there is no place in memory: in a file that has no name, and goes with its last user.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use bytes::Bytes;
use futures_channel::oneshot;

use super::{Remote, hand};
use crate::blobs::contract::Error;

/// Bytes in a file.
pub(super) struct Spilled {
    file: Arc<File>,
    bytes: usize,
    /// What is being written, until somebody has seen that it is. Who stopped waiting for it has not given these bytes: the
    /// next ones are written over them, once these are out of the way.
    writing: Option<oneshot::Receiver<Result<(), Error>>>,
}

impl Spilled {
    /// An empty file.
    pub(super) async fn new(remote: &Remote) -> Result<Self, Error> {
        let folder = remote.temporary.clone();
        let file = on_thread(remote, move || tempfile::tempfile_in(folder))?;
        Ok(Self { file: Arc::new(hand::answer(file).await?), bytes: 0, writing: None })
    }

    /// How many bytes are in it.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds `more`. Nothing was added when nobody waits any more.
    pub(super) async fn write(&mut self, remote: &Remote, more: Bytes) -> Result<(), Error> {
        self.written().await;
        let (file, at, bytes) = (Arc::clone(&self.file), self.bytes as u64, more.len());
        let work = move || file.write_all_at(&more, at);
        let written = hand::answer(self.writing.insert(on_thread(remote, work)?)).await;
        self.writing = None;
        written?;
        self.bytes += bytes;
        Ok(())
    }

    /// `before` and what is in it.
    pub(super) async fn read(&mut self, remote: &Remote, before: &[u8]) -> Result<Vec<u8>, Error> {
        self.written().await;
        let (file, before, bytes) = (Arc::clone(&self.file), before.to_vec(), self.bytes);
        let work = move || {
            let mut whole = before;
            let start = whole.len();
            whole.reserve_exact(bytes);
            whole.resize(start + bytes, 0);
            file.read_exact_at(&mut whole[start..], 0).map(|()| whole)
        };
        hand::answer(on_thread(remote, work)?).await
    }

    /// Waits for what nobody waited for, whatever came of it.
    async fn written(&mut self) {
        if let Some(writing) = &mut self.writing {
            let _ = writing.await;
        }
        self.writing = None;
    }
}

/// Has `work` done where waiting for a disk is in nobody's way.
fn on_thread<T: Send + 'static>(
    remote: &Remote,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<oneshot::Receiver<Result<T, Error>>, Error> {
    remote.still_open()?;
    let (answer, answered) = oneshot::channel();
    let job = move || {
        let done = work().map_err(|error| match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::Full,
            _ => Error::Engine { doing: "writing to a temporary file", reason: error.to_string() },
        });
        // Whoever asked may have stopped waiting.
        let _ = answer.send(done);
    };
    remote.disk.run(job).map_err(|_| Error::Closed)?;
    Ok(answered)
}
