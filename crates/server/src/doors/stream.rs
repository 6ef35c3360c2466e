//! What HTTP is spoken over, above TLS: looks at the head of each HTTP/1 request before hyper does, notices
//! when one begins, and closes so that the peer gets to read the last answer.
//!
//! hyper is handed whole heads only, and never anything behind the end of a message before it has asked for
//! more. So where a head begins is always known, and bytes of a body are never taken for one:
//!
//! ```text
//!            ┌──────────────────── all of the body handed on ◄───────────┐
//!            ▼                                                           │
//! first ──► head ──► handed on ──► a body of so many bytes, or none ─────┤
//!   │        │           └───────► chunks, up to the next empty line ────┘ when hyper has seen the last one
//!   │        └──► refused: hyper is handed a request that `exchange` answers with the reason
//!   └──► HTTP/2: everything is handed on
//! ```
//! A chunked body ends with an empty line (RFC 9112 §7.1). What is an empty line inside a chunk does no harm:
//! hyper asks for more, and gets it.

use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};

use super::head::{BadHead, EmptyLine, Framing, Head, HeadReader};
use super::limits::Limits;
use super::watch::Watch;

/// What hyper is handed for a head that is refused, so that it asks for an answer and then closes.
const STAND_IN: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

/// The same for a request whose answer has no body.
const STAND_IN_WITHOUT_BODY: &[u8] = b"HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

/// How HTTP/2 begins (RFC 9113 §3.4).
const HTTP_2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How much is read at a time: so much, or what is left of the room for it, but not less than the other.
const READ_BYTES: usize = 16_384;
const READ_BYTES_MIN: usize = 4_096;

/// How much is read when a head begins: as long as most are, so that those who were silent cost little to hear.
const HEAD_READ_BYTES: usize = 1_024;

/// How much is thrown away at most after the last answer.
const UNREAD_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A byte stream that tells its [`Watch`] when a request begins, and hands on no bad head.
#[derive(Debug)]
pub(super) struct Stream<S> {
    inner: S,
    watch: Arc<Watch>,
    limits: Arc<Limits>,
    /// Why a head was refused. It is the last one.
    refused: Arc<OnceLock<BadHead>>,
    /// What came and is not handed on yet: at most a head and what was read along with its end.
    came: BytesMut,
    /// How much of it may be handed on.
    cleared_bytes: usize,
    next: Next,
    shut: bool,
    unread_bytes: usize,
}

/// What comes next, after what is cleared.
#[derive(Debug)]
enum Next {
    /// The first head, or HTTP/2.
    First,
    Head(HeadReader),
    Body {
        left_bytes: u64,
    },
    Chunks(EmptyLine),
    /// HTTP/2, in which requests are told apart otherwise.
    Frames,
    /// A head was refused; nothing more is read.
    Nothing,
}

impl<S> Stream<S> {
    /// Watches `inner`. When the head of a request is beyond `limits` or otherwise bad, the reason is in
    /// `refused`, and the next request that hyper sees is a stand-in.
    pub(super) fn new(
        inner: S,
        watch: Arc<Watch>,
        limits: Arc<Limits>,
        refused: Arc<OnceLock<BadHead>>,
    ) -> Self {
        Self {
            inner,
            watch,
            limits,
            refused,
            came: BytesMut::new(),
            cleared_bytes: 0,
            next: Next::First,
            shut: false,
            unread_bytes: 0,
        }
    }

    /// Clears what can be of what came. False when more has to come first.
    fn clear(&mut self) -> bool {
        match &mut self.next {
            Next::First => {
                if self.came.is_empty() {
                    return false;
                }
                self.watch.head_bytes_came();
                let is_preface = self.came.starts_with(HTTP_2_PREFACE);
                if !is_preface && HTTP_2_PREFACE.starts_with(&self.came) {
                    return false;
                }
                self.next = if is_preface { Next::Frames } else { Next::Head(HeadReader::default()) };
                true
            }
            Next::Head(reader) => {
                if reader.seen_bytes() == 0 {
                    // Lines that a client may leave empty before its request (RFC 9112 §2.2).
                    let is_end = |byte: &u8| matches!(byte, b'\r' | b'\n');
                    let empty = self.came.iter().take_while(|byte| is_end(byte)).count();
                    self.came.advance(empty);
                }
                if self.came.len() == reader.seen_bytes() {
                    return false;
                }
                self.watch.head_bytes_came();
                match reader.read(&self.came, &self.limits) {
                    Ok(None) => return false,
                    Ok(Some(Head { bytes, framing })) => {
                        self.cleared_bytes = bytes;
                        self.next = match framing {
                            Framing::Length(left_bytes) => Next::Body { left_bytes },
                            Framing::Chunked => {
                                self.watch.chunks_begin();
                                Next::Chunks(EmptyLine::default())
                            }
                        };
                    }
                    Err(bad) => self.refuse(bad),
                }
                true
            }
            Next::Body { left_bytes: 0 } => {
                self.next = Next::Head(HeadReader::default());
                true
            }
            Next::Body { left_bytes } => {
                let bytes = usize::try_from(*left_bytes).unwrap_or(usize::MAX).min(self.came.len());
                *left_bytes -= bytes as u64;
                self.cleared_bytes = bytes;
                bytes > 0
            }
            Next::Chunks(_) if self.watch.have_chunks_come() => {
                self.next = Next::Head(HeadReader::default());
                true
            }
            Next::Chunks(empty_line) => {
                self.cleared_bytes = empty_line.end_in(&self.came).unwrap_or(self.came.len());
                self.cleared_bytes > 0
            }
            Next::Frames => {
                self.cleared_bytes = self.came.len();
                self.cleared_bytes > 0
            }
            Next::Nothing => false,
        }
    }

    fn refuse(&mut self, bad: BadHead) {
        let stand_in = if bad.is_of_head_method() { STAND_IN_WITHOUT_BODY } else { STAND_IN };
        self.came = BytesMut::from(stand_in);
        self.cleared_bytes = stand_in.len();
        self.next = Next::Nothing;
        // It is set once: nothing is read any more.
        let _ = self.refused.set(bad);
    }
}

impl<S: AsyncRead + Unpin> Stream<S> {
    /// Reads some more of what the peer sends; how much it was, and 0 at its end.
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let room_bytes = self.came.capacity() - self.came.len();
        if self.came.is_empty() && matches!(self.next, Next::First | Next::Head(_)) {
            if room_bytes == 0 {
                self.came.reserve(HEAD_READ_BYTES);
            }
        } else if room_bytes < READ_BYTES_MIN {
            self.came.reserve(READ_BYTES);
        }
        let outcome = pin!(self.inner.read_buf(&mut self.came)).poll(cx);
        if outcome.is_pending() && self.came.is_empty() {
            self.came = BytesMut::new(); // whoever is silent takes no room
        }
        outcome
    }

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
        loop {
            if self.cleared_bytes > 0 {
                let bytes = self.cleared_bytes.min(buffer.remaining());
                buffer.put_slice(&self.came[..bytes]);
                self.came.advance(bytes);
                self.cleared_bytes -= bytes;
                return Poll::Ready(Ok(()));
            }
            if self.clear() {
                continue;
            }
            if let Next::Body { left_bytes } = self.next {
                // Nothing else can come: a body goes where it is wanted, in pieces as large as there is room for.
                let had = buffer.remaining();
                ready!(pin!((&mut self.inner).take(left_bytes)).poll_read(cx, buffer))?;
                self.next = Next::Body { left_bytes: left_bytes - (had - buffer.remaining()) as u64 };
                return Poll::Ready(Ok(()));
            }
            if matches!(self.next, Next::Nothing) {
                return Poll::Ready(Ok(()));
            }
            if ready!(self.poll_more(cx))? == 0 {
                // All that was not cleared is a head.
                if self.came.is_empty() {
                    return Poll::Ready(Ok(()));
                }
                let bad = BadHead::incomplete(&self.came);
                self.refuse(bad);
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Stream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
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

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use bytes::Bytes;
    use http::{Method, Request, Response};
    use http_body_util::{BodyExt as _, Full};
    use hyper::body::Incoming;
    use hyper::server::conn::http1;
    use hyper::service::service_fn;
    use hyper_util::rt::TokioIo;
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::UnixStream;
    use tokio::time::Instant;

    use super::*;

    /// hyper puts `100 Continue` before all that it has yet to send. That is not in the middle of the answer before only
    /// because it lets nobody work on a request, and so read its body, before that answer is sent: it has to stay so.
    #[tokio::test]
    async fn who_expects_to_be_told_to_go_on_is_told_after_the_answer_before() {
        const BYTES: usize = 1024 * 1024;
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let limits = Arc::<Limits>::default();
        let watch = Arc::new(Watch::new(false, Instant::now(), Arc::clone(&limits)));
        let stream = Stream::new(ours, watch, limits, Arc::default());
        let answer = |request: Request<Incoming>| async {
            let is_get = request.method() == Method::GET;
            let came = request.into_body().collect().await.unwrap().to_bytes();
            let body = if is_get { Bytes::from(vec![b'.'; BYTES]) } else { came };
            Ok::<_, Infallible>(Response::new(Full::new(body)))
        };
        let server = async {
            let mut http = http1::Builder::new();
            http.half_close(true);
            http.serve_connection(TokioIo::new(stream), service_fn(answer)).await.unwrap();
        };
        let client = async {
            let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nexpect: 100-continue\r\n\r\n";
            let requests = format!("GET / HTTP/1.1\r\nHost: a\r\n\r\n{post}");
            theirs.write_all(requests.as_bytes()).await.unwrap();
            let mut came = Vec::new();
            let all = |came: &[u8]| came.ends_with(b"100 Continue\r\n\r\n");
            while !all(&came) && theirs.read_buf(&mut came).await.unwrap() > 0 {}
            theirs.write_all(format!("ok{post}").as_bytes()).await.unwrap();
            came.push(b'|');
            while !all(&came) && theirs.read_buf(&mut came).await.unwrap() > 0 {}
            theirs.write_all(b"ok").await.unwrap();
            theirs.shutdown().await.unwrap();
            theirs.read_to_end(&mut came).await.unwrap();
            came
        };
        let (came, ()) = tokio::join!(client, server);
        let came = String::from_utf8(came).unwrap();
        let body = came.find("\r\n\r\n").unwrap() + 4;
        assert!(came[body..].starts_with(&".".repeat(BYTES)));
        let after = &came[body + BYTES..];
        assert!(after.starts_with("HTTP/1.1 100 Continue\r\n\r\n|HTTP/1.1 200 OK\r\n"), "{after}");
        assert_eq!(after.matches("HTTP/1.1 100").count(), 2, "{after}");
        assert!(after.ends_with("\r\n\r\nok"), "{after}");
    }
}
