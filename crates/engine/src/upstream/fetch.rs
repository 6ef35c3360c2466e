//! Fetching one artifact, once, for whoever asks meanwhile.

use std::sync::Arc;
use std::time::Duration;

use base::Sha512;
use futures_util::StreamExt as _;
use identity::Permit;
use store::blobs::SoFar;
use tokio::sync::watch;
use tokio::time::timeout;

use super::{NotFetched, Relay, RelayError};

/// How long upstream may take to begin: clients that wait give up after a minute of silence, those among them that only
/// look whether they are to upload.
const ANSWERED_IN: Duration = Duration::from_secs(10);

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

impl Relay {
    /// How far the fetch of `digest` is, which begins now unless it has.
    pub(super) fn fetch(self: &Arc<Self>, digest: Sha512) -> Result<watch::Receiver<State>, RelayError> {
        let mut fetches = self.artifacts.fetches();
        if let Some(state) = fetches.get(&digest) {
            return Ok(state.clone());
        }
        let place = self.artifacts.places.clone().try_acquire_owned().map_err(|_| RelayError::Busy)?;
        let (sender, state) = watch::channel(State::Asked);
        fetches.insert(digest, state.clone());
        drop(fetches);
        let relay = Arc::clone(self);
        // To its end, whoever hangs up: what was begun is worth having.
        self.tasks.spawn(async move {
            let ended = match relay.fetched(digest, &sender).await {
                Ok(true) => State::Kept,
                Ok(false) => {
                    let now = relay.clock.now();
                    relay.artifacts.remember_absent(digest, now + relay.fresh.absent, now);
                    State::Absent
                }
                Err(error) => {
                    tracing::warn!(%digest, error = %base::report(&error), "an artifact could not be fetched from upstream");
                    State::Failed(Arc::new(error))
                }
            };
            // Whoever asks from now on finds it, or begins anew.
            relay.artifacts.fetches().remove(&digest);
            sender.send_replace(ended);
            drop(place);
        });
        Ok(state)
    }

    /// Whether it is here now; `false` when upstream does not have it.
    async fn fetched(&self, digest: Sha512, state: &watch::Sender<State>) -> Result<bool, RelayError> {
        if self.is_left_alone() {
            return Err(NotFetched("it had trouble a moment ago".to_owned()).into());
        }
        let late = |_| NotFetched(format!("it said nothing for {} s", ANSWERED_IN.as_secs()));
        let asked = tokio::select! {
            asked = timeout(ANSWERED_IN, self.upstream.artifact(digest)) => asked.map_err(late).flatten(),
            () = self.stop.asked() => return Err(RelayError::Stopping),
        };
        let Some(mut incoming) = asked.inspect_err(|_| self.leave_alone())? else { return Ok(false) };
        let mut upload = self.cache.upload(Permit::house(), incoming.bytes).await?;
        let (bytes, so_far) = (incoming.bytes, upload.so_far());
        let mut received = 0;
        state.send_replace(State::Coming { bytes, received, so_far: so_far.clone() });
        loop {
            let piece = tokio::select! {
                piece = incoming.pieces.next() => piece,
                () = self.stop.asked() => return Err(RelayError::Stopping),
            };
            let Some(piece) = piece.transpose()? else { break };
            received += piece.len() as u64;
            upload = self.cache.take(upload, piece).await?;
            state.send_replace(State::Coming { bytes, received, so_far: so_far.clone() });
        }
        self.cache.keep(upload, Some(digest)).await?;
        Ok(true)
    }
}
