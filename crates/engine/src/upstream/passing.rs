//! What cannot be kept here, as it is too large or there is no room, comes through all the same.

use std::ops::Range;
use std::time::Duration;

use base::Sha512;
use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt as _, TryStreamExt as _};

use super::places::Place;
use super::{Asker, Incoming, Name, NotFetched, Relay, RelayError, Via, has_a_length_of_its_own};

/// How long upstream may take to begin.
const ANSWERED_IN: Duration = Duration::from_secs(10);

/// An artifact that comes from upstream for one reader.
pub struct Passing {
    bytes: u64,
    pieces: BoxStream<'static, Result<Bytes, NotFetched>>,
    place: Place,
}

impl Relay {
    /// An artifact as it comes from upstream; nothing when that has no known length, or is gone.
    pub(super) async fn pass_on(
        &self,
        digest: Sha512,
        asker: &Asker,
        via: Via,
    ) -> Result<Option<Passing>, RelayError> {
        let place = self.artifacts.places.take(asker.from).ok_or(RelayError::Busy)?;
        let asked = async {
            let begun = self.upstream.artifact(digest, 0, via).await?;
            has_a_length_of_its_own(digest, begun.as_ref().and_then(|incoming| incoming.bytes))?;
            Ok(begun)
        };
        let found = self.questioned(Name::Artifact(digest), ANSWERED_IN, asked).await?;
        Ok(found.and_then(|Incoming { bytes, pieces, .. }| Some(Passing { bytes: bytes?, pieces, place })))
    }
}

impl Passing {
    /// How many bytes it is said to have.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The bytes in `range`, as they come. Each piece is held back until the next one is here, so that the last one comes
    /// when all of them are known to be right.
    #[must_use]
    pub fn read(self, range: Range<u64>) -> BoxStream<'static, Result<Bytes, RelayError>> {
        let Self { pieces, place, .. } = self;
        let held: Option<Bytes> = None;
        let begun = (pieces, held, 0_u64, place);
        let pieces = stream::try_unfold(begun, move |(mut pieces, mut held, mut at, place)| {
            let range = range.clone();
            async move {
                while let Some(mut piece) = pieces.try_next().await? {
                    let begins = at;
                    at += piece.len() as u64;
                    // Both are no more than the length of the piece.
                    piece.truncate(range.end.saturating_sub(begins).min(piece.len() as u64) as usize);
                    let piece =
                        piece.split_off(range.start.saturating_sub(begins).min(piece.len() as u64) as usize);
                    if piece.is_empty() {
                        continue;
                    }
                    if let Some(before) = held.replace(piece) {
                        return Ok::<_, RelayError>(Some((before, (pieces, held, at, place))));
                    }
                }
                Ok(held.take().map(|last| (last, (pieces, None, at, place))))
            }
        });
        pieces.boxed()
    }
}
