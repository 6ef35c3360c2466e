//! Taking bytes in for a bucket: one part is sent while the next one comes.

use std::sync::Arc;

use base::{Sha512, Sha512Hasher};
use bytes::Bytes;
use futures_channel::oneshot;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use object_store::ObjectStoreExt as _;
use object_store::path::Path;
use tokio::sync::mpsc;

use super::failure::failed;
use super::multipart::{self, Part, Room};
use super::{Remote, S3, hand};
use crate::blobs::contract::{Error, Kept, Staged};

/// How large a part is: S3 takes none smaller but the last.
const PART_BYTES: usize = 5 * 1024 * 1024;

/// Bytes on their way to the bucket.
pub(super) struct Upload {
    remote: Arc<Remote>,
    hasher: Sha512Hasher,
    size: u64,
    /// What is next. Copied together: whoever sends a byte at a time would fill the memory with what holds the bytes.
    part: Vec<u8>,
    temporary: Path,
    /// Absent while all there is may be put at once.
    sending: Option<Sending>,
    /// Why nothing more is taken.
    failed: Option<Error>,
}

/// The way to what sends the parts. When it is dropped, what was sent goes.
struct Sending {
    parts: mpsc::Sender<Part>,
    kept: oneshot::Receiver<Result<Kept, Error>>,
}

impl Sending {
    /// Waits for room for one more part, behind those of this upload and among those of all. Nothing happens to it when
    /// nobody waits any more.
    async fn room(&mut self, remote: &Remote) -> Result<(mpsc::Permit<'_, Part>, Room), Error> {
        let Ok(place) = self.parts.reserve().await else {
            return Err((&mut self.kept).await.map_or_else(|_| hand::no_thread(), why));
        };
        let room = Arc::clone(&remote.parts).acquire_owned().await.map_err(|_| Error::Closed)?;
        Ok((place, room))
    }
}

/// Why sending ended before its last part.
fn why(kept: Result<Kept, Error>) -> Error {
    kept.err().unwrap_or_else(hand::no_thread)
}

impl Upload {
    /// Nothing has come yet. If it becomes large, it is at `temporary` before it has its name.
    pub(super) fn new(remote: Arc<Remote>, temporary: Path) -> Self {
        Self {
            remote,
            hasher: Sha512Hasher::new(),
            size: 0,
            part: Vec::new(),
            temporary,
            sending: None,
            failed: None,
        }
    }

    async fn take(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let size = self.size.saturating_add(bytes.len() as u64);
        if size > S3::OBJECT_BYTES_MAX {
            return Err(Error::TooLarge { bytes_max: S3::OBJECT_BYTES_MAX });
        }
        // A part is sent when more than it comes, so that the last one is never empty. This is all there is to wait
        // for: who stops waiting has not given the bytes.
        if self.part.len() >= PART_BYTES {
            self.send().await?;
        }
        self.hasher.update(bytes);
        self.size = size;
        self.part.extend_from_slice(bytes);
        Ok(())
    }

    /// Hands over what there is as a part, once there is room for it.
    async fn send(&mut self) -> Result<(), Error> {
        let sending = match &mut self.sending {
            Some(sending) => sending,
            none => none.insert(begin(&self.remote, &self.temporary)?),
        };
        let (place, room) = sending.room(&self.remote).await?;
        place.send(Part { bytes: std::mem::take(&mut self.part).into(), last: None, room });
        Ok(())
    }

    async fn finish(mut self, announced: Option<Sha512>) -> Result<Kept, Error> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let digest = self.hasher.finish();
        if let Some(announced) = announced
            && announced != digest
        {
            return Err(Error::Differs { found: digest });
        }
        let (size, bytes) = (self.size, Bytes::from(self.part));
        let Some(sending) = &mut self.sending else {
            let put = move |remote: Arc<Remote>| async move {
                let was_there = remote.is_there(digest, size).await?;
                remote.store.put(&remote.path(digest), bytes.into()).await.map_err(failed("keeping"))?;
                Ok(Kept { digest, size, was_there })
            };
            return self.remote.on_hand(put).await;
        };
        let (place, room) = sending.room(&self.remote).await?;
        place.send(Part { bytes, last: Some((digest, size)), room });
        (&mut sending.kept).await.unwrap_or_else(|_| Err(hand::no_thread()))
    }
}

/// Begins an upload in parts.
fn begin(remote: &Arc<Remote>, temporary: &Path) -> Result<Sending, Error> {
    // One waits here while another is sent and a third one comes.
    let (parts, coming) = mpsc::channel(1);
    let (answer, kept) = oneshot::channel();
    let work = multipart::upload(Arc::clone(remote), temporary.clone(), coming, answer);
    // Its answer comes another way, before it is at its end.
    drop(remote.hand.begin(work)?);
    Ok(Sending { parts, kept })
}

impl Staged for Upload {
    fn write(&mut self, bytes: Bytes) -> BoxFuture<'_, Result<(), Error>> {
        async move {
            let taken = self.take(&bytes).await;
            if let Err(error) = &taken {
                self.failed = Some(error.clone());
            }
            taken
        }
        .boxed()
    }

    fn keep(self: Box<Self>, announced: Option<Sha512>) -> BoxFuture<'static, Result<Kept, Error>> {
        self.finish(announced).boxed()
    }
}
