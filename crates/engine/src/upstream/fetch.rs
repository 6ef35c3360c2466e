//! Fetching one artifact, once, for whoever asks meanwhile.

use std::sync::Arc;
use std::time::Duration;

use base::Sha512;
use futures_util::StreamExt as _;
use identity::Permit;
use store::blobs::SoFar;
use tokio::sync::watch;
use tokio::time::{Instant, interval};

use super::course::{Course, Seen};
use super::parked::{Extent, Parked};
use super::{Asker, Incoming, Name, NotFetched, Relay, RelayError, Via, has_a_length_of_its_own};

/// How long upstream may take to begin: clients that wait give up after a minute of silence, those among them that only
/// look whether they are to upload.
const ANSWERED_IN: Duration = Duration::from_secs(10);
/// How often it is looked at whether it is worth going on.
const LOOKED_AT_EACH: Duration = Duration::from_secs(5);

/// How far a fetch is.
#[derive(Clone)]
pub(super) enum State {
    /// Upstream was asked.
    Asked,
    /// It is coming.
    Coming {
        /// How many bytes it is said to have.
        bytes: Option<u64>,
        /// How many have come.
        received: u64,
        /// What of them was written.
        so_far: Option<Arc<dyn SoFar>>,
    },
    /// It is here, whole and right.
    Kept,
    /// Upstream does not have it.
    Absent,
    /// It will not come.
    Failed(Arc<RelayError>),
}

/// A fetch that is under way, until this is dropped: then whoever asks finds what it brought, or begins anew. Also when it
/// dies.
struct UnderWay {
    relay: Arc<Relay>,
    digest: Sha512,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.relay.artifacts.fetches().remove(&self.digest);
    }
}

impl Relay {
    /// How far the fetch of `digest` is, which begins now unless it has.
    pub(super) fn fetch(
        self: &Arc<Self>,
        digest: Sha512,
        asker: &Asker,
        via: Via,
    ) -> Result<watch::Receiver<State>, RelayError> {
        let mut fetches = self.artifacts.fetches();
        if let Some(state) = fetches.get(&digest) {
            return Ok(state.clone());
        }
        let place = self.artifacts.places.take(asker.from).ok_or(RelayError::Busy)?;
        let (sender, state) = watch::channel(State::Asked);
        fetches.insert(digest, state.clone());
        drop(fetches);
        let under_way = UnderWay { relay: Arc::clone(self), digest };
        // Also when one of those who want it hangs up: what was begun is worth having, for a while.
        self.tasks.spawn(async move {
            let relay = &under_way.relay;
            let ended = match relay.fetched(digest, via, &sender).await {
                Ok(true) => State::Kept,
                Ok(false) => {
                    let now = relay.clock.now();
                    relay.artifacts.remember_absent(digest, now + relay.fresh.absent, now);
                    State::Absent
                }
                Err(error @ RelayError::Unread) => {
                    tracing::info!(%digest, "an artifact is not fetched to its end, as nobody reads it any more");
                    State::Failed(Arc::new(error))
                }
                // That it does not begin was told where it was asked, and what cannot be kept is passed on.
                Err(error)
                    if error.is_no_room()
                        || (error.is_upstreams() && matches!(*sender.borrow(), State::Asked)) =>
                {
                    tracing::debug!(%digest, error = %base::report(&error), "an artifact is not fetched");
                    State::Failed(Arc::new(error))
                }
                Err(error) => {
                    tracing::warn!(%digest, error = %base::report(&error), "an artifact could not be fetched from upstream");
                    State::Failed(Arc::new(error))
                }
            };
            drop(under_way);
            sender.send_replace(ended);
            drop(place);
        });
        Ok(state)
    }

    /// Whether it is here now; `false` when upstream does not have it.
    async fn fetched(
        self: &Arc<Self>,
        digest: Sha512,
        via: Via,
        state: &watch::Sender<State>,
    ) -> Result<bool, RelayError> {
        let parked = self.parking.take(digest);
        let here = parked.as_ref().map(Parked::extent);
        let question = async {
            let begun = self.begun(digest, here, via).await?;
            has_a_length_of_its_own(digest, begun.as_ref().and_then(|incoming| incoming.bytes))?;
            Ok(begun)
        };
        let asked = tokio::select! {
            asked = self.questioned(Name::Artifact(digest), ANSWERED_IN, question) => asked,
            () = self.stop.asked() => return Err(RelayError::Stopping),
        };
        let mut incoming = match asked {
            Ok(Some(incoming)) => incoming,
            Ok(None) => return Ok(false),
            Err(error) => {
                if let Some(parked) = parked {
                    self.park(digest, parked);
                }
                return Err(error.into());
            }
        };
        let parked = match parked.filter(|parked| parked.extent().is_followed_by(&incoming)) {
            Some(parked) => Parked { bytes: incoming.bytes.or(parked.bytes), ..parked },
            None => Parked::new(self.cache.upload(Permit::house(), incoming.bytes).await?, incoming.bytes),
        };
        let Parked { mut upload, bytes, mut received, until } = parked;
        let (begins, so_far) = (received, upload.so_far());
        state.send_replace(State::Coming { bytes, received, so_far: so_far.clone() });
        let (mut course, mut looks) = (Course::new(Instant::now(), received), interval(LOOKED_AT_EACH));
        let cut = loop {
            let piece = tokio::select! {
                piece = incoming.pieces.next() => piece,
                now = looks.tick() => {
                    // One of them is among those that are being fetched.
                    let is_read = state.receiver_count() > 1;
                    let is_shown = bytes.is_some() && so_far.is_some();
                    match course.goes_on(now, Seen { received, bytes, is_read, is_shown }) {
                        Ok(()) => continue,
                        Err(error) => break error,
                    }
                }
                () = self.stop.asked() => return Err(RelayError::Stopping),
            };
            let piece = match piece.transpose() {
                Ok(Some(piece)) => piece,
                Ok(None) => {
                    self.cache.keep(upload, Some(digest)).await?;
                    return Ok(true);
                }
                Err(error) => break error.into(),
            };
            received += piece.len() as u64;
            upload = self.cache.take(upload, piece).await?;
            state.send_replace(State::Coming { bytes, received, so_far: so_far.clone() });
        };
        // Where nothing came it waits no longer than it would have.
        let until = until.filter(|_| received == begins);
        self.park(digest, Parked { upload, bytes, received, until });
        Err(cut)
    }

    /// Begins to fetch what is missing of it, or all of it where upstream does not give that, or another length than before:
    /// whoever asks is not to be worse off for what came of an earlier try.
    async fn begun(
        &self,
        digest: Sha512,
        here: Option<Extent>,
        via: Via,
    ) -> Result<Option<Incoming>, NotFetched> {
        if let Some(here) = here {
            match self.upstream.artifact(digest, here.received, via.clone()).await {
                Ok(Some(incoming)) if incoming.begins > 0 && !here.is_followed_by(&incoming) => {}
                Err(NotFetched::Failed { .. }) => {}
                answer => return answer,
            }
        }
        self.upstream.artifact(digest, 0, via).await
    }
}
