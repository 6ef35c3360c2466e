//! The socket itself, below TLS: what was sent, and whether the peer takes it. What stands for a file is sent by the system.

use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use prometheus_client::metrics::counter::Counter;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

use super::sendfile::{Sendfile, is_stand_in};
use super::watch::Watch;

/// A TCP stream that tells its [`Watch`] about progress.
#[derive(Debug)]
pub(super) struct Socket {
    stream: TcpStream,
    watch: Arc<Watch>,
    sent_bytes: Counter,
    sendfile: Option<Sendfile>,
}

impl Socket {
    /// Watches `stream`; `sent_bytes` counts what is written. What `sendfile` knows is sent from files.
    pub(super) fn new(
        stream: TcpStream,
        watch: Arc<Watch>,
        sent_bytes: Counter,
        sendfile: Option<Sendfile>,
    ) -> Self {
        Self { stream, watch, sent_bytes, sendfile }
    }

    /// Writes the beginning of `slices`: what is before the first stand-in, or what that one stands for.
    fn poll_write_some(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let Some(sendfile) = &self.sendfile else {
            return Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        };
        let before = slices.iter().position(|slice| is_stand_in(slice)).unwrap_or(slices.len());
        let (before, stand_ins) = slices.split_at(before);
        match stand_ins {
            [stand_ins, ..] if before.is_empty() => loop {
                ready!(self.stream.poll_write_ready(cx))?;
                let send = || sendfile.send(&self.stream, stand_ins.len());
                match self.stream.try_io(Interest::WRITABLE, send) {
                    Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                    sent => return Poll::Ready(sent),
                }
            },
            _ => Pin::new(&mut self.stream).poll_write_vectored(cx, before),
        }
    }

    fn wrote(&self, outcome: &Poll<io::Result<usize>>) {
        match outcome {
            Poll::Ready(Ok(bytes)) => {
                self.sent_bytes.inc_by(*bytes as u64);
                self.watch.wrote(Some(*bytes));
            }
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.watch.wrote(None),
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.sendfile.as_ref().is_some_and(|sendfile| !sendfile.is_empty()) {
            // Whoever writes like this has copied them.
            return Poll::Ready(Err(io::Error::other("what stands for a file would be written")));
        }
        let outcome = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.wrote(&outcome);
        outcome
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = self.poll_write_some(cx, slices);
        self.wrote(&outcome);
        outcome
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
