//! Uploads in parts, on the thread that talks to the bucket; and what is left of those that a crash cut off.
//!
//! ```text
//! begin ──► note at staged/OWNER/1f….upload: how the bucket calls it
//!       ──► part, part, … ──► complete as staged/OWNER/1f… ──► copy to its digest ──► answer
//!       ──► staged/OWNER/1f… and then the note deleted
//! else  ──► abort, and both deleted
//! ```
//! Parts are seen by nobody and cost room until their upload is aborted, for which its id is needed: hence the note.
//! (Servers can list uploads, too, but not all of them by a prefix.) A crash between beginning and the note leaves an
//! upload without a part.

use std::sync::Arc;

use base::{Sha512, Span, Timestamp};
use bytes::Bytes;
use futures_channel::oneshot;
use futures_util::TryStreamExt as _;
use object_store::multipart::{MultipartStore as _, PartId};
use object_store::path::Path;
use object_store::{MultipartId, ObjectMeta, ObjectStore as _, ObjectStoreExt as _};
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::failure::{failed, is_missing};
use super::{Remote, kept_at};
use crate::blobs::contract::{Error, Kept};

/// How long what others staged is let be: they may be about to complete or to copy it.
const LEFT_AFTER: Span = Span::seconds(24 * 60 * 60);
/// What the names of notes end with.
const NOTE: &str = ".upload";
/// No server's ids are longer.
const ID_BYTES_MAX: u64 = 4096;

/// How many parts of all uploads together are on their way at once. Who sends slowly has none of them: a part is on its
/// way when all of it is here.
pub(super) const PARTS_MAX: usize = 8;

/// That a part may be on its way. Given back when dropped.
pub(super) type Room = OwnedSemaphorePermit;

/// A part of an object.
pub(super) struct Part {
    /// What there is in it.
    pub(super) bytes: Bytes,
    /// When no more will come: what all of it is, and how many bytes that has.
    pub(super) last: Option<(Sha512, u64)>,
    /// Held until it is sent.
    pub(super) room: Room,
    /// Its place in memory.
    pub(super) buffer: Option<OwnedSemaphorePermit>,
}

/// Sends what comes as `parts`, makes an object of it, and answers; then tidies up. When no more parts come before the
/// last one, or the bucket is closed, nothing of it is left.
pub(super) async fn upload(
    remote: Arc<Remote>,
    temporary: Path,
    parts: mpsc::Receiver<Part>,
    answer: oneshot::Sender<Result<Kept, Error>>,
) -> Result<(), Error> {
    let begun = remote.store.create_multipart(&temporary).await.map_err(failed("beginning an upload"));
    let (id, kept) = match begun {
        Ok(id) => {
            let kept = send(&remote, &temporary, &id, parts).await;
            (id, kept)
        }
        Err(error) => {
            let _ = answer.send(Err(error));
            return Ok(());
        }
    };
    let is_completed = kept.is_ok();
    // Whoever waits need not wait for what comes now, or may have stopped waiting.
    let _ = answer.send(kept);
    let tidied =
        if is_completed { remote.forget(&temporary).await } else { remote.abort(&temporary, &id).await };
    if let Err(error) = tidied {
        tracing::warn!(%error, path = %temporary, "what is left of an upload goes at the next start");
    }
    Ok(())
}

async fn send(
    remote: &Remote,
    temporary: &Path,
    id: &MultipartId,
    mut parts: mpsc::Receiver<Part>,
) -> Result<Kept, Error> {
    let note = id.clone().into_bytes();
    remote.store.put(&note_of(temporary), note.into()).await.map_err(failed("beginning an upload"))?;
    let mut sent = Vec::new();
    let (digest, size) = loop {
        let Part { bytes, last, room, buffer } = tokio::select! {
            part = parts.recv() => part.ok_or(Error::Closed)?,
            () = remote.closing() => return Err(Error::Closed),
        };
        let part: PartId = remote
            .store
            .put_part(temporary, id, sent.len(), bytes.into())
            .await
            .map_err(failed("sending a part"))?;
        drop((room, buffer));
        sent.push(part);
        if let Some(last) = last {
            break last;
        }
    };
    remote.store.complete_multipart(temporary, id, sent).await.map_err(failed("completing an upload"))?;
    let was_there = remote.is_there(digest, size).await?;
    remote.store.copy(temporary, &remote.path(digest)).await.map_err(failed("naming an object"))?;
    Ok(Kept { digest, size, was_there })
}

fn note_of(temporary: &Path) -> Path {
    Path::from(format!("{temporary}{NOTE}"))
}

impl Remote {
    /// Removes what is staged, and the note of it: last, so that it is found again if this is cut off.
    async fn forget(&self, temporary: &Path) -> Result<(), Error> {
        self.delete(temporary).await?;
        self.delete(&note_of(temporary)).await
    }

    /// Removes the parts of an upload; and the object, if it was completed and the answer was lost.
    async fn abort(&self, temporary: &Path, id: &MultipartId) -> Result<(), Error> {
        match self.store.abort_multipart(temporary, id).await {
            Err(error) if !is_missing(&error) => return Err(failed("aborting an upload")(error)),
            _ => {}
        }
        self.forget(temporary).await
    }

    /// Removes what earlier starts staged that are over, and what anybody staged long before `now`. Tells how much that was.
    pub(super) async fn clean(&self, now: Timestamp) -> Result<usize, Error> {
        let staged = self.staged();
        let mut listed = self.store.list(Some(&staged));
        let mut count = 0;
        while let Some(found) = listed.try_next().await.map_err(failed("looking for what a crash left"))? {
            if self.is_left(&found.location) || kept_at(&found) < now - LEFT_AFTER {
                self.clean_one(&found).await?;
                count += 1;
            }
        }
        Ok(count)
    }

    async fn clean_one(&self, found: &ObjectMeta) -> Result<(), Error> {
        let Some(temporary) = found.location.as_ref().strip_suffix(NOTE).map(Path::from) else {
            return self.delete(&found.location).await;
        };
        match self.id_in(found).await? {
            Some(id) => self.abort(&temporary, &id).await,
            None => self.delete(&found.location).await,
        }
    }

    /// What a note says. `None` when it is none.
    async fn id_in(&self, note: &ObjectMeta) -> Result<Option<MultipartId>, Error> {
        if note.size > ID_BYTES_MAX {
            return Ok(None);
        }
        let reading = failed("reading what a crash left");
        let read = match self.store.get(&note.location).await {
            Ok(got) => got.bytes().await.map_err(reading)?,
            Err(error) if is_missing(&error) => return Ok(None),
            Err(error) => return Err(reading(error)),
        };
        Ok(String::from_utf8(read.to_vec()).ok().filter(|id| !id.is_empty()))
    }
}
