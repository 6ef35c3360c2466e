//! What happened, in the words of the history.

use std::collections::BTreeMap;

use base::{Clock, Sha512};
use identity::Principal;
use store::Event;

use crate::key::EntryKey;
use crate::pin::Pinned;

/// Something that happened to the cache.
#[derive(Debug)]
pub(crate) enum Happened<'a> {
    /// An artifact came that was not there.
    ArtifactKept { digest: Sha512, bytes: u64 },
    /// An entry came that was not there.
    EntryAdded { key: &'a EntryKey, artifact: Sha512 },
    /// Entries of a key were removed, as the rules say.
    EntriesRemoved { key: &'a EntryKey, count: usize },
    /// An artifact was removed, as the rules say.
    ArtifactRemoved { digest: Sha512, bytes: u64 },
    /// The bytes of an artifact were not its own any more, and were put aside.
    ArtifactDamaged { digest: Sha512, bytes: u64 },
    /// Somebody wants everything read again.
    ScrubAskedFor,
    /// Something is to stay.
    Pinned { what: &'a Pinned },
    /// It need not.
    Unpinned { what: &'a Pinned },
}

impl Happened<'_> {
    /// As the history tells it.
    pub(crate) fn event(&self, by: &Principal, clock: &Clock) -> Event {
        let mut facts = BTreeMap::new();
        let (what, about) = match self {
            Self::ArtifactKept { digest, bytes } => {
                facts.insert("bytes".to_owned(), bytes.to_string());
                ("artifact kept", format!("artifact {digest}"))
            }
            Self::EntryAdded { key, artifact } => {
                facts.insert("artifact".to_owned(), artifact.to_string());
                ("entry added", format!("key {key}"))
            }
            Self::EntriesRemoved { key, count } => {
                facts.insert("entries".to_owned(), count.to_string());
                ("entries removed", format!("key {key}"))
            }
            Self::ArtifactRemoved { digest, bytes } => {
                facts.insert("bytes".to_owned(), bytes.to_string());
                ("artifact removed", format!("artifact {digest}"))
            }
            Self::ArtifactDamaged { digest, bytes } => {
                facts.insert("bytes".to_owned(), bytes.to_string());
                ("artifact damaged", format!("artifact {digest}"))
            }
            Self::ScrubAskedFor => ("scrub asked for", "cache".to_owned()),
            Self::Pinned { what } => ("pinned", what.to_string()),
            Self::Unpinned { what } => ("unpinned", what.to_string()),
        };
        Event {
            at_milliseconds: clock.now_milliseconds(),
            what: what.to_owned(),
            about,
            by: by.name().to_owned(),
            from: by.from().map(|from| from.to_string()),
            facts,
        }
    }
}
