//! Taking bytes in for a bucket: one part is sent while the next one comes.

use std::sync::Arc;

use base::{Sha512, Sha512Hasher};
use bytes::Bytes;
use futures_channel::oneshot;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use object_store::ObjectStoreExt as _;
use object_store::path::Path;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::failure::failed;
use super::multipart::{self, Part, Room};
use super::spilled::Spilled;
use super::{Remote, S3, hand};
use crate::blobs::contract::{Error, Kept, Staged};

/// How large a part is: S3 takes none smaller but the last.
const PART_BYTES: usize = 5 * 1024 * 1024;
/// How many parts of all uploads together are in memory at once while they come, and until they are sent: 50 MiB. An upload
/// that finds no place puts what comes into a temporary file, and into memory only while it is its turn to send: 40 MiB
/// more, since these are [`multipart::PARTS_MAX`] at most. So whoever is slow, or stops in order to go on later, is in
/// nobody's way. Only where there can be no such file, one waits for a place.
pub(super) const BUFFERS_MAX: usize = 10;
/// What has so many bytes, or is the beginning of more, needs no place: what is short never waits for those who are slow.
const SHORT_BYTES: usize = 64 * 1024;

/// Bytes on their way to the bucket.
pub(super) struct Upload {
    remote: Arc<Remote>,
    hasher: Sha512Hasher,
    size: u64,
    /// What is next. Copied together: whoever sends a byte at a time would fill the memory with what holds the bytes.
    part: Vec<u8>,
    /// Its place in memory, once it is not short any more.
    buffer: Option<OwnedSemaphorePermit>,
    /// The rest of it, where there was no place.
    spilled: Option<Spilled>,
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
        Ok((place, acquire_room(remote).await?))
    }
}

/// Waits until one more part may be on its way.
async fn acquire_room(remote: &Remote) -> Result<Room, Error> {
    Arc::clone(&remote.parts).acquire_owned().await.map_err(|_| Error::Closed)
}

/// Has all of `part` in memory. Nothing happens to it when nobody waits any more.
async fn gather(remote: &Remote, part: &mut Vec<u8>, spilled: &mut Option<Spilled>) -> Result<(), Error> {
    if let Some(rest) = spilled {
        *part = rest.read(remote, part).await?;
        *spilled = None;
    }
    Ok(())
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
            buffer: None,
            spilled: None,
            temporary,
            sending: None,
            failed: None,
        }
    }

    async fn take(&mut self, bytes: Bytes) -> Result<(), Error> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let size = self.size.saturating_add(bytes.len() as u64);
        if size > S3::OBJECT_BYTES_MAX {
            return Err(Error::TooLarge { bytes_max: S3::OBJECT_BYTES_MAX });
        }
        // A part is sent when more than it comes, so that the last one is never empty. Who stops waiting, for this or for
        // what comes after it, has not given the bytes.
        if self.part_bytes() >= PART_BYTES {
            self.send().await?;
        }
        let has_place = self.buffer.is_some() || self.spilled.is_some();
        if !has_place && self.part.len() + bytes.len() > SHORT_BYTES {
            self.find_place().await?;
        }
        match &mut self.spilled {
            Some(spilled) => spilled.write(&self.remote, bytes.clone()).await?,
            None => {
                self.make_room(bytes.len());
                self.part.extend_from_slice(&bytes);
            }
        }
        self.hasher.update(&bytes);
        self.size = size;
        Ok(())
    }

    /// How much of the part has come.
    fn part_bytes(&self) -> usize {
        self.part.len() + self.spilled.as_ref().map_or(0, Spilled::bytes)
    }

    /// A place for a part that is not short any more.
    async fn find_place(&mut self) -> Result<(), Error> {
        self.buffer = self.remote.free_buffer();
        if self.buffer.is_some() {
            return Ok(());
        }
        match Spilled::new(&self.remote).await {
            Ok(spilled) => self.spilled = Some(spilled),
            Err(Error::Closed) => return Err(Error::Closed),
            Err(error) => {
                tracing::debug!(%error, "an upload waits for a place in memory");
                self.buffer = Some(self.remote.buffer().await?);
            }
        }
        Ok(())
    }

    /// Grows the part for `more` bytes: twice as large each time, and no larger than a part may become.
    fn make_room(&mut self, more: usize) {
        let needed = self.part.len() + more;
        if needed > self.part.capacity() {
            let wanted = needed.max((2 * self.part.capacity()).min(PART_BYTES));
            self.part.reserve_exact(wanted - self.part.len());
        }
    }

    /// Hands over what there is as a part, once there is room for it.
    async fn send(&mut self) -> Result<(), Error> {
        let sending = match &mut self.sending {
            Some(sending) => sending,
            none => none.insert(begin(&self.remote, &self.temporary)?),
        };
        let (place, room) = sending.room(&self.remote).await?;
        gather(&self.remote, &mut self.part, &mut self.spilled).await?;
        let buffer = self.buffer.take();
        place.send(Part { bytes: std::mem::take(&mut self.part).into(), last: None, room, buffer });
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
        let (size, buffer) = (self.size, self.buffer.take());
        let Some(sending) = &mut self.sending else {
            // Only what comes out of a file has to have room.
            let room = match self.spilled {
                Some(_) => Some(acquire_room(&self.remote).await?),
                None => None,
            };
            gather(&self.remote, &mut self.part, &mut self.spilled).await?;
            let bytes = Bytes::from(self.part);
            let put = move |remote: Arc<Remote>| async move {
                let was_there = remote.is_there(digest, size).await?;
                remote.store.put(&remote.path(digest), bytes.into()).await.map_err(failed("keeping"))?;
                drop((buffer, room));
                Ok(Kept { digest, size, was_there })
            };
            return self.remote.on_hand(put).await;
        };
        let (place, room) = sending.room(&self.remote).await?;
        gather(&self.remote, &mut self.part, &mut self.spilled).await?;
        let bytes = Bytes::from(self.part);
        place.send(Part { bytes, last: Some((digest, size)), room, buffer });
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
            let taken = self.take(bytes).await;
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
