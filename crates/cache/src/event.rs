//! What happened, in the words of the history.

use std::collections::BTreeMap;

use base::{Clock, Sha512};
use identity::Principal;
use store::Event;

use crate::key::EntryKey;

/// Something that happened to the cache.
#[derive(Debug)]
pub(crate) enum Happened<'a> {
    /// An artifact came that was not there.
    ArtifactKept { digest: Sha512, bytes: u64 },
    /// An entry came that was not there.
    EntryAdded { key: &'a EntryKey, artifact: Sha512 },
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
