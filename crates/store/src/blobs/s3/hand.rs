//! The thread that talks to the bucket: what is begun there is done to its end, and callers need no runtime.

use std::pin::pin;
use std::sync::{Mutex, PoisonError};

use futures_channel::{mpsc, oneshot};
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt, select};

use crate::blobs::contract::Error;

type Work = BoxFuture<'static, ()>;

/// The way to the thread. When it is dropped, what was begun is done still.
pub(super) struct Hand {
    /// Absent once closed.
    works: Mutex<Option<mpsc::UnboundedSender<Work>>>,
    /// Ends, without a word, with the thread.
    over: async_lock::Mutex<oneshot::Receiver<()>>,
}

impl Hand {
    /// Starts the thread.
    pub(super) fn new() -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        // Each has a caller that waits for it, so that there are no more than there are callers.
        let (works, queue) = mpsc::unbounded();
        let (alive, over) = oneshot::channel::<()>();
        std::thread::Builder::new().name("blobs-s3".into()).spawn(move || {
            runtime.block_on(all(queue));
            drop(alive);
        })?;
        Ok(Self { works: Mutex::new(Some(works)), over: async_lock::Mutex::new(over) })
    }

    /// Begins `work`; what is received is what came of it.
    pub(super) fn begin<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<oneshot::Receiver<Result<T, Error>>, Error> {
        let (answer, answered) = oneshot::channel();
        let work = async move {
            // Whoever asked may have stopped waiting.
            let _ = answer.send(work.await);
        };
        let works = self.works.lock().unwrap_or_else(PoisonError::into_inner);
        let works = works.as_ref().ok_or(Error::Closed)?;
        works.unbounded_send(work.boxed()).map_err(|_| no_thread())?;
        Ok(answered)
    }

    /// What came of `work`, which is done also when nobody waits for it any more.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<T, Error> {
        answer(self.begin(work)?).await
    }

    /// Takes nothing more, and waits until all is done.
    pub(super) async fn close(&self) {
        drop(self.works.lock().unwrap_or_else(PoisonError::into_inner).take());
        // Canceled is how the end is told.
        let _ = (&mut *self.over.lock().await).await;
    }
}

/// What came of a work.
pub(super) async fn answer<T>(
    answered: impl Future<Output = Result<Result<T, Error>, oneshot::Canceled>>,
) -> Result<T, Error> {
    answered.await.unwrap_or_else(|_| Err(no_thread()))
}

pub(super) fn no_thread() -> Error {
    Error::Engine { doing: "talking to the bucket", reason: "its thread has ended unexpectedly".into() }
}

/// Does all that comes, side by side.
async fn all(queue: mpsc::UnboundedReceiver<Work>) {
    let mut queue = pin!(queue.fuse());
    let mut running = FuturesUnordered::new();
    loop {
        select! {
            work = queue.next() => match work {
                Some(work) => running.push(work),
                None => break,
            },
            () = running.select_next_some() => {}
        }
    }
    while running.next().await.is_some() {}
}
