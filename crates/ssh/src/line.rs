//! The bytes between here and there, which can be cut.
//!
//! The protocol's task owns the stream and ends only when reading or writing ends. A peer that says nothing would keep
//! it for ever, so whoever waits for that task holds the scissors: after a [`Scissors::cut`], or when the last pair
//! is dropped, every read and write fails at once.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use futures_util::task::AtomicWaker;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

#[derive(Debug, Default)]
struct Shared {
    is_cut: AtomicBool,
    reader: AtomicWaker,
    writer: AtomicWaker,
}

/// A stream that can be cut from elsewhere.
#[derive(Debug)]
pub(crate) struct Line<S> {
    stream: S,
    shared: Arc<Shared>,
}

/// Cuts its [`Line`]; at the latest when it is dropped.
#[derive(Debug)]
pub(crate) struct Scissors(Arc<Shared>);

impl<S> Line<S> {
    pub(crate) fn new(stream: S) -> (Self, Scissors) {
        let shared = Arc::new(Shared::default());
        (Self { stream, shared: shared.clone() }, Scissors(shared))
    }
}

impl Scissors {
    pub(crate) fn cut(&self) {
        self.0.is_cut.store(true, Ordering::SeqCst);
        self.0.reader.wake();
        self.0.writer.wake();
    }

    pub(crate) fn is_cut(&self) -> bool {
        self.0.is_cut.load(Ordering::SeqCst)
    }
}

impl Drop for Scissors {
    fn drop(&mut self) {
        self.cut();
    }
}

impl Shared {
    /// Registers first and looks then, so that a cut in between is not missed.
    fn check(&self, waker: &AtomicWaker, context: &Context<'_>) -> io::Result<()> {
        waker.register(context.waker());
        if self.is_cut.load(Ordering::SeqCst) { Err(io::ErrorKind::ConnectionAborted.into()) } else { Ok(()) }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Line<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.shared.check(&self.shared.reader, context)?;
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Line<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.shared.check(&self.shared.writer, context)?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.shared.check(&self.shared.writer, context)?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.shared.check(&self.shared.writer, context)?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn a_cut_ends_a_read_and_a_write_that_wait() {
        let (here, _there) = tokio::io::duplex(8);
        let (line, scissors) = Line::new(here);
        let (mut reader, mut writer) = tokio::io::split(line);
        let read = async { reader.read_u8().await.unwrap_err().kind() };
        let write = async { writer.write_all(&[0; 64]).await.unwrap_err().kind() };
        let cut = async {
            tokio::task::yield_now().await;
            assert!(!scissors.is_cut());
            drop(scissors);
        };
        let (read, write, ()) = tokio::join!(read, write, cut);
        assert_eq!((read, write), (io::ErrorKind::ConnectionAborted, io::ErrorKind::ConnectionAborted));
    }
}
