//! Bytes from one server to another, held against their digest on the way.
//!
//! The last piece goes out when the digest of all of them is known to be right: wrong bytes never arrive as a whole, and
//! nobody keeps them. Memory does not grow with an object.

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use base::Sha512;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::time::timeout;

use super::service::{Failed, Tries, missed};
use super::{Artifacts, CacheError, Download, Sent};
use crate::answer::one_line;

/// How many pieces wait to be sent.
const PIECES: usize = 16;

impl Artifacts {
    /// Uploads what `from` has under `digest`, which has `bytes_max` bytes at most. How many there were.
    ///
    /// # Errors
    /// When `from` does not have it ([`CacheError::is_absent`]) or something else; as of [`Artifacts::post`].
    pub async fn relay(
        &self,
        from: &Self,
        digest: Sha512,
        bytes_max: Option<u64>,
        sent: &Sent,
    ) -> Result<u64, CacheError> {
        let mut tries = Tries::new(self.service.patience);
        loop {
            sent.begins_at(0);
            let mut download = from.get(digest).await?.at_most(bytes_max.unwrap_or(u64::MAX));
            // Before anything is sent: of nothing at all it is known now whether it is right.
            let first = download.next().await?;
            match self.relayed(download, first, sent).await? {
                Ok(answer) if answer == digest.to_string().as_bytes() => return Ok(sent.bytes()),
                Ok(answer) => {
                    let said: String = String::from_utf8_lossy(&answer).chars().take(150).collect();
                    return Err(CacheError::OtherName { said: one_line(&said) });
                }
                Err(failed) => {
                    let costs = failed.costs();
                    tries.wait(failed, costs).await?;
                    sent.was_cut();
                }
            }
        }
    }

    /// Uploads once; what the server calls the bytes. What goes wrong with the download is an error of its own.
    async fn relayed(
        &self,
        download: Download,
        first: Option<Bytes>,
        sent: &Sent,
    ) -> Result<Result<Vec<u8>, Failed>, CacheError> {
        let url = self.service.url.base();
        let (pieces, waiting) = mpsc::channel(PIECES);
        let body = Piped { pieces: waiting, left: download.bytes(), sent: sent.bytes.clone() };
        let request = self
            .service
            .request(Method::POST, url)
            .header(CONTENT_TYPE, "application/octet-stream")
            .body(reqwest::Body::wrap(body));
        let patience = self.service.patience.write;
        let upload = async {
            let mut answering = pin!(request.send());
            let response = loop {
                let before = sent.bytes();
                match timeout(patience, &mut answering).await {
                    Ok(Ok(response)) => break response,
                    Ok(Err(error)) => return Err(Failed::upload(missed(url, error))),
                    Err(_) if sent.bytes() == before => return Err(Failed::silent(url, patience)),
                    Err(_) => {}
                }
            };
            if response.status().as_u16() != 201 {
                return Err(self.service.refused(Method::POST, url, response).await);
            }
            self.service.body(url, response, super::artifacts::NAME_BYTES_MAX).await
        };
        let (pumped, answer) = tokio::join!(pump(download, first, pieces), upload);
        pumped?;
        Ok(answer)
    }
}

/// Passes on what comes, but for the last piece, which waits until it is known that all is right.
async fn pump(
    mut download: Download,
    first: Option<Bytes>,
    pieces: Sender<Option<Bytes>>,
) -> Result<(), CacheError> {
    let mut held = first;
    loop {
        // Whoever is to take them says why they do not.
        let next = tokio::select! {
            next = download.next() => next?,
            () = pieces.closed() => return Ok(()),
        };
        let is_over = next.is_none();
        if let Some(before) = std::mem::replace(&mut held, next)
            && pieces.send(Some(before)).await.is_err()
        {
            return Ok(());
        }
        if is_over {
            let _ = pieces.send(None).await;
            return Ok(());
        }
    }
}

/// The pieces as a body: `None` is its end, and without it the request breaks off.
struct Piped {
    pieces: Receiver<Option<Bytes>>,
    left: Option<u64>,
    sent: Arc<AtomicU64>,
}

impl Body for Piped {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        Poll::Ready(match ready!(self.pieces.poll_recv(context)) {
            Some(Some(piece)) => {
                let bytes = piece.len() as u64;
                self.left = self.left.map(|left| left.saturating_sub(bytes));
                self.sent.fetch_add(bytes, Ordering::Relaxed);
                Some(Ok(Frame::data(piece)))
            }
            Some(None) => None,
            None => Some(Err(io::ErrorKind::UnexpectedEof.into())),
        })
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
