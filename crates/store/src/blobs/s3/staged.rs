//! Taking bytes in for a bucket: one part is sent while the next one comes.

use std::sync::Arc;

use base::{Sha512, Sha512Hasher};
use bytes::Bytes;
use futures_channel::oneshot;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{MultipartId, ObjectStoreExt, PutPayload};

use super::failure::failed;
use super::{Remote, hand};
use crate::blobs::contract::{Error, Kept, Staged};

/// How large a part is: S3 takes none smaller but the last.
const PART_BYTES: usize = 5 * 1024 * 1024;
/// What S3 copies at once. (Its limit of 10,000 parts is ten times as far.)
const OBJECT_BYTES_MAX: u64 = 5 * 1024 * 1024 * 1024;

/// Bytes on their way to the bucket.
pub(super) struct Upload {
    remote: Arc<Remote>,
    hasher: Sha512Hasher,
    size: u64,
    /// Of the part that is next.
    pieces: Vec<Bytes>,
    piece_bytes: usize,
    temporary: Path,
    /// Absent while all there is may be put at once.
    multipart: Option<MultipartId>,
    parts: Vec<PartId>,
    sending: Option<oneshot::Receiver<Result<PartId, Error>>>,
    /// Why nothing more is taken.
    failed: Option<Error>,
}

impl Upload {
    /// Nothing has come yet. If it becomes large, it is at `temporary` before it has its name.
    pub(super) fn new(remote: Arc<Remote>, temporary: Path) -> Self {
        Self {
            remote,
            hasher: Sha512Hasher::new(),
            size: 0,
            pieces: Vec::new(),
            piece_bytes: 0,
            temporary,
            multipart: None,
            parts: Vec::new(),
            sending: None,
            failed: None,
        }
    }

    async fn take(&mut self, bytes: Bytes) -> Result<(), Error> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        // A part is sent when more than it comes, so that the last one is never empty.
        if self.piece_bytes >= PART_BYTES {
            self.send().await?;
        }
        self.hasher.update(&bytes);
        self.size += bytes.len() as u64;
        if self.size > OBJECT_BYTES_MAX {
            return Err(Error::TooLarge { bytes_max: OBJECT_BYTES_MAX });
        }
        self.piece_bytes += bytes.len();
        self.pieces.push(bytes);
        Ok(())
    }

    /// Begins to send what there is as a part, once the one before it is there.
    async fn send(&mut self) -> Result<(), Error> {
        self.sent().await?;
        let temporary = self.temporary.clone();
        let id = match &self.multipart {
            Some(id) => id.clone(),
            None => {
                let path = temporary.clone();
                let begin = move |remote: Arc<Remote>| async move {
                    remote.store.create_multipart(&path).await.map_err(failed("beginning an upload"))
                };
                self.multipart.insert(self.remote.on_hand(begin).await?).clone()
            }
        };
        let payload: PutPayload = std::mem::take(&mut self.pieces).into_iter().collect();
        self.piece_bytes = 0;
        let (remote, number) = (Arc::clone(&self.remote), self.parts.len());
        let part = async move {
            let sent = remote.store.put_part(&temporary, &id, number, payload).await;
            sent.map_err(failed("sending a part"))
        };
        self.sending = Some(self.remote.hand.begin(part)?);
        Ok(())
    }

    /// Waits for the part that is being sent.
    async fn sent(&mut self) -> Result<(), Error> {
        if let Some(sending) = &mut self.sending {
            let sent = sending.await;
            self.sending = None;
            self.parts.push(sent.unwrap_or_else(|_| Err(hand::no_thread()))?);
        }
        Ok(())
    }

    async fn finish(&mut self, announced: Option<Sha512>) -> Result<Kept, Error> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let digest = self.hasher.clone().finish();
        if let Some(announced) = announced
            && announced != digest
        {
            return Err(Error::Differs { found: digest });
        }
        let size = self.size;
        if self.multipart.is_none() {
            let payload: PutPayload = std::mem::take(&mut self.pieces).into_iter().collect();
            let put = move |remote: Arc<Remote>| async move {
                let was_there = remote.is_there(digest, size).await?;
                remote.store.put(&remote.path(digest), payload).await.map_err(failed("keeping"))?;
                Ok(Kept { digest, size, was_there })
            };
            return self.remote.on_hand(put).await;
        }
        self.send().await?;
        self.sent().await?;
        let Some(id) = self.multipart.clone() else { return Err(Error::Closed) };
        let (temporary, parts) = (self.temporary.clone(), std::mem::take(&mut self.parts));
        let complete = move |remote: Arc<Remote>| async move {
            let completed = remote.store.complete_multipart(&temporary, &id, parts).await;
            if let Err(error) = completed {
                remote.abort(&temporary, &id).await;
                return Err(failed("completing an upload")(error));
            }
            let named = remote.name(&temporary, digest, size).await;
            // Whatever came of it, what is staged is not needed any more; it goes after a day at the latest.
            if let Err(error) = remote.delete(&temporary).await {
                tracing::warn!(%error, path = %temporary, "a staged object could not be removed");
            }
            Ok(Kept { digest, size, was_there: named? })
        };
        // From here on it is not for dropping to abort it.
        self.multipart = None;
        self.remote.on_hand(complete).await
    }
}

impl Remote {
    async fn is_there(&self, digest: Sha512, size: u64) -> Result<bool, Error> {
        Ok(self.look(digest).await?.is_some_and(|about| about.size == size))
    }

    /// Copies what is staged to its name. Tells whether that was there already.
    async fn name(&self, temporary: &Path, digest: Sha512, size: u64) -> Result<bool, Error> {
        let was_there = self.is_there(digest, size).await?;
        self.store.copy(temporary, &self.path(digest)).await.map_err(failed("naming an object"))?;
        Ok(was_there)
    }

    async fn abort(&self, temporary: &Path, id: &MultipartId) {
        if let Err(error) = self.store.abort_multipart(temporary, id).await {
            tracing::warn!(%error, path = %temporary, "an upload could not be aborted");
        }
    }
}

impl Staged for Upload {
    fn write(&mut self, bytes: Bytes) -> BoxFuture<'_, Result<(), Error>> {
        async move {
            let taken = self.take(bytes).await;
            if let Err(error) = &taken {
                self.failed = Some(error.clone());
            }
            taken
        }
        .boxed()
    }

    fn keep(mut self: Box<Self>, announced: Option<Sha512>) -> BoxFuture<'static, Result<Kept, Error>> {
        async move { self.finish(announced).await }.boxed()
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        let Some(id) = self.multipart.take() else { return };
        let (remote, temporary) = (Arc::clone(&self.remote), self.temporary.clone());
        let sending = self.sending.take();
        let abort = async move {
            // A part that arrives after the upload was aborted would stay for ever.
            if let Some(sending) = sending {
                let _ = sending.await;
            }
            remote.abort(&temporary, &id).await;
            Ok(())
        };
        if self.remote.hand.begin(abort).is_err() {
            tracing::warn!(path = %self.temporary, "an upload could not be aborted: its bucket is closed");
        }
    }
}
