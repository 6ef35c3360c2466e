//! What stays, whatever the rules say.

use std::fmt;
use std::str::FromStr;

use base::{Explain, Kind, Sha512, Timestamp};
use identity::Permit;
use store::{Batch, CommitError, Page};

use crate::event::Happened;
use crate::find::Found;
use crate::key::EntryKey;
use crate::record::PinRecord;
use crate::service::{Cache, Pin, ReadCatalog};

/// The longest note, in bytes; what is longer is cut.
pub const NOTE_BYTES_MAX: usize = 1000;

/// What can be pinned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pinned {
    /// All entries of a key, and the artifacts that they name.
    Key(EntryKey),
    /// An artifact. Entries that name it may go.
    Artifact(Sha512),
}

/// A pin that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinnedSince {
    /// What it is about.
    pub what: Pinned,
    /// Since when.
    pub at: Timestamp,
    /// Who said so.
    pub by: String,
    /// Why.
    pub note: String,
}

impl Pinned {
    fn id(&self) -> String {
        match self {
            Self::Key(key) => format!("key/{key}"),
            Self::Artifact(digest) => format!("artifact/{digest}"),
        }
    }

    fn parse(id: &str, separator: char) -> Option<Self> {
        match id.split_once(separator)? {
            ("key", key) => key.parse().ok().map(Self::Key),
            ("artifact", digest) => Sha512::parse(digest).map(Self::Artifact),
            _ => None,
        }
    }
}

/// It is neither a key nor an artifact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("only `key KEY` and `artifact SHA512` can be pinned")]
pub struct NotPinnable;

impl Explain for NotPinnable {
    fn kind(&self) -> Kind {
        Kind::Invalid
    }

    fn help(&self) -> Option<String> {
        Some("a key is written as in `key pypi:pytz=2016.10`, an artifact by its 128 digits".into())
    }
}

impl FromStr for Pinned {
    type Err = NotPinnable;

    /// As it is displayed.
    fn from_str(text: &str) -> Result<Self, NotPinnable> {
        Self::parse(text, ' ').ok_or(NotPinnable)
    }
}

impl fmt::Display for Pinned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(key) => write!(f, "key {key}"),
            Self::Artifact(digest) => write!(f, "artifact {digest}"),
        }
    }
}

impl Cache {
    /// Keeps `what`, whatever the rules say. It need not be there yet. A pin that is there gets another note, and whose
    /// that is.
    ///
    /// # Errors
    /// The store's.
    pub async fn pin(&self, permit: Permit<Pin>, what: &Pinned, note: &str) -> Result<(), CommitError> {
        let id = what.id();
        let mut attempts = 0;
        loop {
            let found = self.tables.pin.get(&id).await?;
            let note = &note[..note.floor_char_boundary(NOTE_BYTES_MAX)];
            if found.as_ref().is_some_and(|found| found.record.note == note) {
                return Ok(());
            }
            let mut batch = Batch::new();
            let since = found.as_ref().map(|found| found.record.at);
            let record = PinRecord {
                at: since.unwrap_or(self.ground.clock.now().as_unix()),
                by: permit.by().name().to_owned(),
                note: note.to_owned(),
            };
            self.tables.pin.put_over(&mut batch, &id, &record, found.map(|found| found.version))?;
            let event = Happened::Pinned { what }.event(permit.by(), &self.ground.clock);
            self.history.append(&mut batch, &event, &self.ground.entropy)?;
            match self.ground.engine.commit(batch).await {
                Ok(_) => return Ok(()),
                Err(error) => Self::again(error, &mut attempts)?,
            }
        }
    }

    /// From now on the rules decide about `what`. Whether it was pinned.
    ///
    /// # Errors
    /// The store's.
    pub async fn unpin(&self, permit: Permit<Pin>, what: &Pinned) -> Result<bool, CommitError> {
        let id = what.id();
        let mut attempts = 0;
        loop {
            let Some(found) = self.tables.pin.get(&id).await? else { return Ok(attempts > 0) };
            let mut batch = Batch::new();
            self.tables.pin.remove(&mut batch, &id, found.version)?;
            let event = Happened::Unpinned { what }.event(permit.by(), &self.ground.clock);
            self.history.append(&mut batch, &event, &self.ground.entropy)?;
            match self.ground.engine.commit(batch).await {
                Ok(_) => return Ok(true),
                Err(error) => Self::again(error, &mut attempts)?,
            }
        }
    }

    /// What is pinned, behind `after`, at most `limit`.
    ///
    /// # Errors
    /// The store's.
    pub async fn pins(
        &self,
        _permit: Permit<ReadCatalog>,
        after: Option<&Pinned>,
        limit: usize,
    ) -> Result<Found<PinnedSince, Pinned>, store::Error> {
        let after = after.map(|after| self.tables.pin.key(&after.id())).transpose()?;
        let page = self.tables.pin.list(Page { after, limit }).await?;
        let pin = |(id, found): (String, store::Loaded<PinRecord>)| {
            let PinRecord { at, by, note } = found.record;
            Pinned::parse(&id, '/').map(|what| PinnedSince { what, at: Timestamp::from_unix(at), by, note })
        };
        let items: Vec<PinnedSince> = page.entries.into_iter().filter_map(pin).collect();
        let next = page.next.and_then(|_| items.last().map(|last| last.what.clone()));
        Ok(Found { items, next })
    }

    /// `batch` is not done if `what` is pinned.
    pub(crate) fn expect_unpinned(&self, batch: &mut Batch, what: &Pinned) -> Result<(), store::Error> {
        self.tables.pin.expect_absent(batch, &what.id())
    }

    /// Whether `what` is pinned.
    pub(crate) async fn is_pinned(&self, what: &Pinned) -> Result<bool, store::Error> {
        Ok(self.tables.pin.get(&what.id()).await?.is_some())
    }
}
