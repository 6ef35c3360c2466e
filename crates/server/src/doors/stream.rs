//! What HTTP is spoken over, above TLS: notices when a request begins, when its first line is too long,
//! and closes so that the peer gets to read the last answer.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::watch::Watch;

/// What hyper is given to finish a request line that is too long: it then sees a target that is too
/// long and answers 414. Left alone it would read on until its buffer is full and answer 431.
const REST_OF_LINE: &[u8] = b" HTTP/1.1\r\n\r\n";

/// How far over the limit a request line may go before it is cut: longer than any method's name, so that
/// what was read holds a target over the limit.
pub(super) const LINE_SLACK_BYTES: usize = 8_192;

/// How much is thrown away at most after the last answer.
const UNREAD_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A byte stream that tells its [`Watch`] when a request begins.
#[derive(Debug)]
pub(super) struct Stream<S> {
    inner: S,
    watch: Arc<Watch>,
    line: FirstLine,
    line_bytes_max: usize,
    /// What is still to be made up of [`REST_OF_LINE`]; nothing is read from the peer any more.
    rest: Option<&'static [u8]>,
    shut: bool,
    unread_bytes: usize,
}

impl<S> Stream<S> {
    /// Watches `inner`, whose request lines should not be longer than `line_bytes_max`.
    pub(super) fn new(inner: S, watch: Arc<Watch>, line_bytes_max: usize) -> Self {
        let line = FirstLine::default();
        Self { inner, watch, line, line_bytes_max, rest: None, shut: false, unread_bytes: 0 }
    }
}

impl<S: AsyncRead + Unpin> Stream<S> {
    /// Reads and forgets what the peer was sending, until it ends or is too much. A socket that closes
    /// with something unread resets the connection, and the answer may be lost with it (RFC 9112 §9.6).
    /// How long this may take is for the registry to say.
    fn poll_forget_unread(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut space = [0; 8_192];
        while self.unread_bytes < UNREAD_BYTES_MAX {
            let mut buffer = ReadBuf::new(&mut space);
            match ready!(Pin::new(&mut self.inner).poll_read(cx, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => self.unread_bytes += buffer.filled().len(),
                Ok(()) | Err(_) => break,
            }
        }
        Poll::Ready(())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Stream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(rest) = self.rest {
            let (now, later) = rest.split_at(rest.len().min(buffer.remaining()));
            buffer.put_slice(now);
            self.rest = Some(later);
            return Poll::Ready(Ok(())); // nothing left means the end of the stream
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buffer))?;
        let came = buffer.filled().get(before..).unwrap_or_default();
        if !came.is_empty() {
            if self.watch.head_bytes_came() {
                let line_bytes = self.line.measure(came);
                if line_bytes > self.line_bytes_max {
                    self.watch.line_is_too_long();
                }
                if line_bytes > self.line_bytes_max + LINE_SLACK_BYTES {
                    self.rest = Some(REST_OF_LINE);
                }
            } else {
                self.line = FirstLine::default();
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Stream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.line = FirstLine::default(); // an answer: what comes next is another request
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.line = FirstLine::default();
        Pin::new(&mut self.inner).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.shut {
            self.watch.closes();
            ready!(Pin::new(&mut self.inner).poll_shutdown(cx))?;
            self.shut = true;
        }
        if self.watch.is_unread() {
            ready!(self.poll_forget_unread(cx));
        }
        Poll::Ready(Ok(()))
    }
}

/// Measures the first line of a head, which may come in pieces.
#[derive(Debug, Default)]
struct FirstLine {
    bytes: usize,
    ended: bool,
}

impl FirstLine {
    /// How long the line is, its CR included, as far as it has come with these further bytes of the head.
    /// The lines that a client may leave empty before its request (RFC 9112 §2.2) do not count.
    fn measure(&mut self, came: &[u8]) -> usize {
        if !self.ended {
            let came = if self.bytes == 0 { came.trim_ascii_start() } else { came };
            let line = came.split(|&byte| byte == b'\n').next().unwrap_or_default();
            self.ended = line.len() < came.len();
            self.bytes += line.len();
        }
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_line_is_measured() {
        let check = |pieces: &[&str], expected: usize| {
            let mut line = FirstLine::default();
            let measured = pieces.iter().map(|piece| line.measure(piece.as_bytes())).last();
            assert_eq!(measured, Some(expected), "{pieces:?}");
        };
        check(&["GET / HTTP/1.1"], 14);
        check(&["GET /", " HTTP", "/1.1"], 14);
        check(&["GET /\n", "a header line"], 5);
        check(&["GET /\r\na header line"], 6);
        check(&["\r\n\r\n", "\r\nGET /\n", "more"], 5);
    }
}
