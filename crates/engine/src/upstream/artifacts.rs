//! Artifacts that are here, are coming, or are not to be had.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base::{Sha512, Timestamp};
use bytes::Bytes;
use cache::{Artifact, Cache, ReadArtifacts};
use futures_util::stream::{self, BoxStream, StreamExt as _, TryStreamExt as _};
use identity::Permit;
use store::blobs::SoFar;
use tokio::sync::watch;
use tokio::time::timeout;

use super::fetch::State;
use super::passing::Passing;
use super::places::Places;
use super::{Asker, Relay, RelayError};

/// How many artifacts are remembered not to be there.
const ABSENT_MAX: usize = 10_000;
/// How soon it is looked again at what has come and is not written yet.
const LOOKED_AT: Duration = Duration::from_millis(5);
/// How long a cache that asks us waits for what upstream has not answered yet: that may be waiting for the very same cache.
const CACHES_WAIT: Duration = Duration::from_secs(4);

/// What is being fetched, and what was not there.
#[derive(Default)]
pub(super) struct Artifacts {
    fetches: Mutex<HashMap<Sha512, watch::Receiver<State>>>,
    absent: Mutex<HashMap<Sha512, Timestamp>>,
    /// For what is fetched.
    pub(super) places: Places,
    /// For what is only asked about.
    pub(super) questions: Places,
}

/// An artifact of which somebody asked.
pub enum Relayed {
    /// It is here.
    Here(Artifact),
    /// It is coming from upstream.
    Coming(Coming),
    /// It is coming from upstream, and not kept, as it cannot be.
    Passing(Passing),
}

/// An artifact that is on its way here, and can be read as it comes.
pub struct Coming {
    digest: Sha512,
    bytes: u64,
    cache: Arc<Cache>,
    state: watch::Receiver<State>,
    so_far: Arc<dyn SoFar>,
}

impl Artifacts {
    pub(super) fn fetches(&self) -> MutexGuard<'_, HashMap<Sha512, watch::Receiver<State>>> {
        self.fetches.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_absent(&self, digest: Sha512, now: Timestamp) -> bool {
        let absent = self.absent.lock().unwrap_or_else(PoisonError::into_inner);
        absent.get(&digest).is_some_and(|until| *until > now)
    }

    pub(super) fn remember_absent(&self, digest: Sha512, until: Timestamp, now: Timestamp) {
        let mut absent = self.absent.lock().unwrap_or_else(PoisonError::into_inner);
        if absent.len() >= ABSENT_MAX {
            absent.retain(|_, until| *until > now);
        }
        if absent.len() < ABSENT_MAX {
            absent.insert(digest, until);
        }
    }
}

impl Relay {
    /// An artifact, from here or from upstream, which is asked once however many wait for it. What came from upstream and
    /// cannot be kept here, as it is too large or there is no room, is passed on.
    ///
    /// # Errors
    /// [`RelayError`].
    pub async fn artifact(
        self: &Arc<Self>,
        permit: Permit<ReadArtifacts>,
        digest: Sha512,
        asker: &Asker,
    ) -> Result<Option<Relayed>, RelayError> {
        if let Some(found) = self.cache.open(permit, digest).await? {
            return Ok(Some(Relayed::Here(found)));
        }
        let Some(via) = asker.via.through(&self.name) else { return Ok(None) };
        if self.artifacts.is_absent(digest, self.clock.now()) {
            return Ok(None);
        }
        let mut state = self.fetch(digest, asker, via.clone())?;
        loop {
            let now = state.borrow_and_update().clone();
            match &now {
                State::Kept => {
                    let found = self.cache.open(Permit::house(), digest).await?;
                    return Ok(found.map(Relayed::Here));
                }
                State::Absent => return Ok(None),
                State::Failed(error) if error.is_no_room() => {
                    let passing = self.pass_on(digest, asker, via).await?;
                    // Of what has no known end nobody could tell whether they have all of it.
                    let passing = passing.ok_or_else(|| RelayError::Failed(error.clone()))?;
                    return Ok(Some(Relayed::Passing(passing)));
                }
                State::Failed(error) => return Err(RelayError::Failed(error.clone())),
                State::Coming { bytes: Some(bytes), so_far: Some(so_far), .. } => {
                    let (bytes, so_far, cache) = (*bytes, so_far.clone(), self.cache.clone());
                    return Ok(Some(Relayed::Coming(Coming { digest, bytes, cache, state, so_far })));
                }
                // What cannot be read along with, or has no known end, is given once it is here.
                State::Coming { .. } | State::Asked => {}
            }
            let changed = match now {
                State::Asked if asker.via.is_a_cache() => {
                    let Ok(changed) = timeout(CACHES_WAIT, state.changed()).await else { return Ok(None) };
                    changed
                }
                _ => state.changed().await,
            };
            changed.map_err(|_| RelayError::Stopping)?;
        }
    }
}

impl Coming {
    /// How many bytes it is said to have.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The bytes in `range`, as they come. The very last one comes when all of them are known to be right and kept: whoever
    /// has read to the end has the artifact.
    #[must_use]
    pub fn read(self, range: Range<u64>) -> BoxStream<'static, Result<Bytes, RelayError>> {
        let end = range.end.min(self.bytes);
        stream::try_unfold((self, range.start.min(end)), move |(mut coming, at)| async move {
            if at == end {
                return Ok::<_, RelayError>(None);
            }
            let piece = coming.piece(at..end).await?;
            let next = at + piece.len() as u64;
            Ok(Some((piece, (coming, next))))
        })
        .boxed()
    }

    /// Some of `range`, from its beginning on, which is not empty.
    async fn piece(&mut self, range: Range<u64>) -> Result<Bytes, RelayError> {
        loop {
            let state = self.state.borrow_and_update().clone();
            let received = match state {
                State::Kept => return self.kept(range).await,
                State::Failed(error) => return Err(RelayError::Failed(error)),
                State::Absent => return Err(RelayError::Stopping),
                State::Asked => 0,
                State::Coming { received, .. } => received,
            };
            let written = self.so_far.bytes().min(self.bytes - 1);
            if written > range.start {
                let mut pieces = self.so_far.read(range.start..written.min(range.end));
                if let Some(piece) = pieces.try_next().await? {
                    return Ok(piece);
                }
            }
            // What has come is written a moment later, and nobody says when.
            let soon = async {
                match received > written {
                    true => tokio::time::sleep(LOOKED_AT).await,
                    false => std::future::pending().await,
                }
            };
            tokio::select! {
                changed = self.state.changed() => changed.map_err(|_| RelayError::Stopping)?,
                () = soon => {}
            }
        }
    }

    async fn kept(&self, range: Range<u64>) -> Result<Bytes, RelayError> {
        let found = self.cache.open(Permit::house(), self.digest).await?;
        let found = found.ok_or(RelayError::Blobs(store::blobs::Error::Gone))?;
        let piece = found.blob.read(range).try_next().await?;
        piece.ok_or_else(|| {
            // It was announced longer than it is.
            RelayError::Blobs(store::blobs::Error::Damaged { reason: "it ended early".into() })
        })
    }
}
