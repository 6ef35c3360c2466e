//! Whether an artifact is there, for whoever wants nothing of it: then nothing of it is fetched.

use std::time::Duration;

use base::Sha512;
use cache::ReadArtifacts;
use identity::Permit;

use super::fetch::State;
use super::{Asker, Looked, Name, Relay, RelayError, has_a_length_of_its_own};

/// How long upstream may take to say so.
const ANSWERED_IN: Duration = Duration::from_secs(10);

impl Relay {
    /// Whether an artifact is here or at upstream.
    ///
    /// # Errors
    /// [`RelayError`].
    pub async fn look(
        &self,
        permit: Permit<ReadArtifacts>,
        digest: Sha512,
        asker: &Asker,
    ) -> Result<Option<Looked>, RelayError> {
        if let Some(found) = self.cache.open(permit, digest).await? {
            return Ok(Some(Looked { bytes: Some(found.blob.size()) }));
        }
        let Some(via) = asker.via.through(&self.name) else { return Ok(None) };
        let coming = self.artifacts.fetches().get(&digest).map(|state| state.borrow().clone());
        if let Some(State::Coming { bytes, .. }) = coming {
            return Ok(Some(Looked { bytes }));
        }
        let now = self.clock.now();
        if self.artifacts.is_absent(digest, now) {
            return Ok(None);
        }
        let _place = self.artifacts.questions.take(asker.from).ok_or(RelayError::Busy)?;
        let asked = async {
            let looked = self.upstream.look(digest, via).await?;
            has_a_length_of_its_own(digest, looked.and_then(|looked| looked.bytes))?;
            Ok(looked)
        };
        let found = self.questioned(Name::Artifact(digest), ANSWERED_IN, asked).await?;
        if found.is_none() {
            self.artifacts.remember_absent(digest, now + self.fresh.absent, now);
        }
        Ok(found)
    }
}
