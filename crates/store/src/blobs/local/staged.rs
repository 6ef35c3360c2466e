//! Taking bytes in: a queue, and at most one thread at a time that hashes and writes what is in it.
//!
//! An upload that waits for its sender has no thread. What is short enough to be in the queue as a whole has no file
//! before its digest is known, and none at all when the object is there already.

use std::fs::File;
use std::future::poll_fn;
use std::io::{self, IoSlice, Write as _};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::task::{Poll, Waker};

use base::{Sha512, Sha512Hasher};
use bytes::Bytes;
use futures_channel::oneshot;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt, StreamExt};

use super::place::{Place, Temporary};
use super::pool::Pool;
use super::read::Opened;
use super::{failed, no_thread};
use crate::blobs::contract::{Error, Kept, SoFar, Source as _, Staged};

/// A thread is asked for when so many bytes are queued.
const BATCH_BYTES: usize = 128 * 1024;
/// The sender waits when so many bytes are queued; as many more may be with the thread.
const QUEUE_BYTES_MAX: usize = 256 * 1024;
/// What a piece counts for that is shorter: each has some memory of its own, and keeps what it was read with.
const PIECE_BYTES_MIN: usize = 4096;
/// The disk is given work whenever so many bytes more were written: a large object is mostly there when its last byte
/// comes.
const SYNC_BYTES: u64 = 16 * 1024 * 1024;
/// How many pieces the system takes in one call (`IOV_MAX`).
const PIECES_MAX: usize = 1024;

/// Bytes on their way in.
pub(super) struct Upload {
    shared: Arc<Shared>,
    /// It was asked to be kept: what becomes of it is no longer up to us.
    ended: bool,
}

struct Shared {
    place: Arc<Place>,
    writers: Arc<Pool>,
    written: Arc<Written>,
    state: Mutex<State>,
}

struct State {
    queue: Vec<Bytes>,
    /// How many bytes these count for.
    queued_bytes: usize,
    /// Absent while a thread works with it, and once all is over.
    sink: Option<Sink>,
    /// A thread syncs what was written so far.
    syncing: bool,
    /// Why nothing more is taken.
    failed: Option<Error>,
    /// Waits for room in the queue.
    sender: Option<Waker>,
    /// What to do when the queue is empty.
    end: Option<End>,
}

/// What was written so far.
struct Written {
    readers: Arc<Pool>,
    /// Nothing before there is a file, or when it is not being written any more: its room is given back then.
    file: OnceLock<Weak<File>>,
    bytes: AtomicU64,
}

impl SoFar for Written {
    fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Acquire)
    }

    fn read(&self, range: Range<u64>) -> BoxStream<'static, Result<Bytes, Error>> {
        let Some(file) = self.file.get().and_then(Weak::upgrade) else { return stream::empty().boxed() };
        let end = range.end.min(self.bytes());
        Opened::shared(file, Arc::clone(&self.readers)).read(range.start.min(end)..end)
    }
}

/// That no more comes.
struct End {
    announced: Option<Sha512>,
    answer: oneshot::Sender<Result<Kept, Error>>,
}

/// Where the bytes go.
struct Sink {
    hasher: Sha512Hasher,
    size: u64,
    /// Hashed, and not written yet.
    hashed: Vec<Bytes>,
    file: Option<(Arc<File>, Temporary)>,
    /// How many bytes were written since the last sync was begun.
    unsynced_bytes: u64,
}

/// What a thread is to do next.
enum Next {
    Take {
        bytes: Vec<Bytes>,
        last: bool,
    },
    End(End),
    /// Nothing for now; it was put back.
    Rest,
}

impl Upload {
    /// Nothing has come yet.
    pub(super) fn new(place: Arc<Place>, writers: Arc<Pool>, readers: Arc<Pool>) -> Self {
        let sink =
            Sink { hasher: Sha512Hasher::new(), size: 0, hashed: Vec::new(), file: None, unsynced_bytes: 0 };
        let state = State {
            queue: Vec::new(),
            queued_bytes: 0,
            sink: Some(sink),
            syncing: false,
            failed: None,
            sender: None,
            end: None,
        };
        let written = Arc::new(Written { readers, file: OnceLock::new(), bytes: AtomicU64::new(0) });
        Self { shared: Arc::new(Shared { place, writers, written, state: Mutex::new(state) }), ended: false }
    }
}

impl Staged for Upload {
    fn write(&mut self, bytes: Bytes) -> BoxFuture<'_, Result<(), Error>> {
        async move {
            poll_fn(|context| {
                let mut state = self.shared.state();
                match &state.failed {
                    Some(error) => Poll::Ready(Err(error.clone())),
                    None if state.queued_bytes < QUEUE_BYTES_MAX => Poll::Ready(Ok(())),
                    None => {
                        state.sender = Some(context.waker().clone());
                        Poll::Pending
                    }
                }
            })
            .await?;
            let mut state = self.shared.state();
            state.queued_bytes += bytes.len().max(PIECE_BYTES_MIN);
            state.queue.push(bytes);
            if state.queued_bytes >= BATCH_BYTES {
                self.shared.go_on(state);
            }
            Ok(())
        }
        .boxed()
    }

    fn keep(mut self: Box<Self>, announced: Option<Sha512>) -> BoxFuture<'static, Result<Kept, Error>> {
        async move {
            self.ended = true;
            let answered = self.shared.end(announced)?;
            answered.await.unwrap_or_else(|_| Err(no_thread()))
        }
        .boxed()
    }

    fn so_far(&self) -> Option<Arc<dyn SoFar>> {
        Some(Arc::clone(&self.shared.written) as Arc<dyn SoFar>)
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        let mut state = self.shared.state();
        // Whoever works on it sees this.
        state.failed = Some(Error::Closed);
        let sink = state.sink.take();
        drop(state);
        if let Some(sink) = sink
            && sink.file.is_some()
        {
            // Giving back the room of a large file takes a while. Once the pool is closed it is done here.
            drop(self.shared.writers.run(move || drop(sink)));
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics under this lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// No more comes; what is received is what became of it.
    fn end(
        self: &Arc<Self>,
        announced: Option<Sha512>,
    ) -> Result<oneshot::Receiver<Result<Kept, Error>>, Error> {
        let (answer, answered) = oneshot::channel();
        let mut state = self.state();
        if let Some(error) = &state.failed {
            return Err(error.clone());
        }
        state.end = Some(End { announced, answer });
        self.go_on(state);
        Ok(answered)
    }

    /// Has a thread look at what there is to do, unless one does already.
    fn go_on(self: &Arc<Self>, mut state: MutexGuard<'_, State>) {
        let Some(sink) = state.sink.take() else { return };
        drop(state);
        let shared = Arc::clone(self);
        if let Err(refused) = self.writers.run(move || shared.work(sink)) {
            drop(refused);
            self.fail(Error::Closed);
        }
    }

    /// On a thread, with the sink that was taken: does what there is to do.
    fn work(self: &Arc<Self>, mut sink: Sink) {
        loop {
            let mut state = self.state();
            if let Some(error) = state.failed.clone() {
                drop(state);
                drop(sink);
                return self.fail(error);
            }
            match Self::next(&mut state) {
                Next::Rest => {
                    state.sink = Some(sink);
                    return;
                }
                Next::Take { bytes, last } => {
                    let sender = state.sender.take();
                    drop(state);
                    if let Some(sender) = sender {
                        sender.wake();
                    }
                    if let Err(error) = sink.take(bytes, last, &self.place) {
                        drop(sink);
                        return self.fail(error);
                    }
                    if let Some((file, _)) = &sink.file {
                        self.written.file.get_or_init(|| Arc::downgrade(file));
                        self.written.bytes.store(sink.size, Ordering::Release);
                    }
                    self.sync_so_far(&mut sink);
                }
                Next::End(End { announced, answer }) => {
                    drop(state);
                    // Whoever asked may have stopped waiting.
                    let _ = answer.send(sink.keep(announced, &self.place));
                    return;
                }
            }
        }
    }

    fn next(state: &mut State) -> Next {
        if !state.queue.is_empty() {
            state.queued_bytes = 0;
            return Next::Take { bytes: std::mem::take(&mut state.queue), last: state.end.is_some() };
        }
        // The system tells of a failed write only once, to whoever syncs first.
        match state.end.take_if(|_| !state.syncing) {
            Some(end) => Next::End(end),
            None => Next::Rest,
        }
    }

    /// Has another thread sync what was written so far, when that is worth it and none does already.
    fn sync_so_far(self: &Arc<Self>, sink: &mut Sink) {
        let Some((file, _)) = &sink.file else { return };
        if sink.unsynced_bytes < SYNC_BYTES || std::mem::replace(&mut self.state().syncing, true) {
            return;
        }
        sink.unsynced_bytes = 0;
        let (shared, file) = (Arc::clone(self), Arc::clone(file));
        let sync = move || {
            let synced = file.sync_data().map_err(failed("syncing a file"));
            let mut state = shared.state();
            state.syncing = false;
            if let Err(error) = synced {
                state.failed.get_or_insert(error);
            }
            shared.go_on(state);
        };
        if self.writers.run(sync).is_err() {
            self.state().syncing = false;
        }
    }

    /// Nothing more is taken, for this reason; whoever waits is told.
    fn fail(&self, error: Error) {
        let mut state = self.state();
        let error = state.failed.get_or_insert(error).clone();
        state.queue = Vec::new();
        let (sender, end) = (state.sender.take(), state.end.take());
        drop(state);
        if let Some(sender) = sender {
            sender.wake();
        }
        if let Some(end) = end {
            let _ = end.answer.send(Err(error));
        }
    }
}

impl Sink {
    /// Takes these; `last` when no more will come.
    fn take(&mut self, bytes: Vec<Bytes>, last: bool, place: &Arc<Place>) -> Result<(), Error> {
        for piece in &bytes {
            self.hasher.update(piece);
            self.size += piece.len() as u64;
        }
        self.hashed.extend(bytes);
        if last && self.file.is_none() { Ok(()) } else { self.write(place) }
    }

    /// Writes what was hashed.
    fn write(&mut self, place: &Arc<Place>) -> Result<(), Error> {
        let (file, _) = match &mut self.file {
            Some(file) => file,
            none => {
                let (file, temporary) = place.stage()?;
                none.insert((Arc::new(file), temporary))
            }
        };
        let pieces = std::mem::take(&mut self.hashed);
        for pieces in pieces.chunks(PIECES_MAX) {
            write_all(file, pieces).map_err(failed("writing"))?;
            self.unsynced_bytes += pieces.iter().map(|piece| piece.len() as u64).sum::<u64>();
        }
        Ok(())
    }

    /// Makes an object of all that was taken. Nothing else of it is left when this answers.
    fn keep(mut self, announced: Option<Sha512>, place: &Arc<Place>) -> Result<Kept, Error> {
        let digest = std::mem::take(&mut self.hasher).finish();
        if let Some(announced) = announced
            && announced != digest
        {
            return Err(Error::Differs { found: digest });
        }
        let size = self.size;
        if place.again(digest, size)? {
            return Ok(Kept { digest, size, was_there: true });
        }
        self.write(place)?;
        let (file, temporary) = self.file.take().expect("writing makes the file");
        let was_there = place.keep(&file, temporary, digest, size)?;
        Ok(Kept { digest, size, was_there })
    }
}

/// Writes all of `pieces`, of which there are at most [`PIECES_MAX`], in as few calls as the system lets us.
fn write_all(mut file: &File, pieces: &[Bytes]) -> io::Result<()> {
    let mut slices: Vec<IoSlice<'_>> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
    let mut rest = &mut slices[..];
    // Empty ones would look as if nothing had been written.
    IoSlice::advance_slices(&mut rest, 0);
    while !rest.is_empty() {
        match file.write_vectored(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut rest, written),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use base::{Clock, Timestamp};
    use futures_executor::block_on;

    use super::super::open;
    use super::*;

    /// However small the pieces are that come in, few of them wait for a thread; and all are taken in the end.
    #[test]
    fn small_pieces_count_for_more_than_their_bytes() {
        let directory = tempfile::tempdir().unwrap();
        let place = open::open(directory.path(), Clock::manual(Timestamp::from_unix(0))).unwrap();
        let pool = Arc::new(Pool::new("test", 1).unwrap());
        let (gate, wait) = mpsc::channel::<()>();
        // Ends when the gate is dropped.
        let job = move || {
            let _ = wait.recv();
        };
        assert!(pool.run(job).is_ok());
        let mut upload = Box::new(Upload::new(Arc::new(place), pool.clone(), pool));
        let mut taken = 0;
        while upload.write(Bytes::from_static(b"x")).now_or_never().is_some() {
            taken += 1;
        }
        assert_eq!(taken, QUEUE_BYTES_MAX / PIECE_BYTES_MIN);
        drop(gate);
        for _ in 0..10_000 {
            block_on(upload.write(Bytes::from_static(b"x"))).unwrap();
        }
        let kept = block_on(upload.keep(None)).unwrap();
        assert_eq!(kept.digest, Sha512::of(&vec![b'x'; taken + 10_000]));
    }
}
