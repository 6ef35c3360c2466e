//! A file as the body of a request, a piece at a time.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead as _, ReadBuf};

/// How much is read at once, in bytes.
const PIECE_BYTES: usize = 256 * 1024;

/// The next `left` bytes of a file. One that has become shorter breaks the request off.
pub(super) struct FileBody {
    file: tokio::fs::File,
    left: u64,
    sent: Arc<AtomicU64>,
}

impl FileBody {
    pub(super) fn new(file: std::fs::File, bytes: u64, sent: Arc<AtomicU64>) -> Self {
        Self { file: tokio::fs::File::from_std(file), left: bytes, sent }
    }
}

impl Body for FileBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = &mut *self;
        if this.left == 0 {
            return Poll::Ready(None);
        }
        let wanted = usize::try_from(this.left).unwrap_or(PIECE_BYTES).min(PIECE_BYTES);
        let mut piece = vec![0; wanted];
        let mut room = ReadBuf::new(&mut piece);
        ready!(Pin::new(&mut this.file).poll_read(context, &mut room))?;
        let read = room.filled().len();
        if read == 0 {
            return Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into())));
        }
        piece.truncate(read);
        this.left -= read as u64;
        this.sent.fetch_add(read as u64, Ordering::Relaxed);
        Poll::Ready(Some(Ok(Frame::data(Bytes::from(piece)))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
