//! Checking the history of a store itself, without believing the server that writes it.

use std::collections::HashSet;
use std::sync::Arc;

use base::{Clock, Entropy, Explain, Kind, Timestamp};
use chain::{Broken, Head, LATE_MILLISECONDS, Summary, Walk, moment_of};
use store::{Engine, Page, Revision, SealingKey, Version};

use super::{ANCHOR, Audit, AuditError};

/// How many links are read together.
const LINKS_AT_ONCE: usize = 20;

/// Why a store's history is not found to be whole.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// It is not.
    #[error(transparent)]
    Broken(#[from] Broken),
    /// It cannot be looked at.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The store has events, and nothing of it was ever linked.
    #[error("nothing of this history was ever linked, or all links were removed")]
    NotLinked,
}

impl From<store::Error> for VerifyError {
    fn from(error: store::Error) -> Self {
        Self::Audit(error.into())
    }
}

impl Explain for VerifyError {
    fn kind(&self) -> Kind {
        match self {
            Self::Broken(source) => source.kind(),
            // Not our fault: somebody changed it, or the disk did.
            Self::Audit(source) if source.is_of_what_is_stored() => Kind::Invalid,
            Self::Audit(source) => source.kind(),
            Self::NotLinked => Kind::Invalid,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Broken(source) => source.help(),
            Self::Audit(source) => source.help(),
            Self::NotLinked => {
                Some("versions before this one did not link it: start `provost up` once".into())
            }
        }
    }
}

/// What was looked at. All of it is as it was linked.
#[derive(Debug)]
pub struct Checked {
    /// The links.
    pub summary: Summary,
    /// How many events came after the last link, and have none yet.
    pub not_linked: u64,
    /// What the key that signed is called.
    pub key: String,
}

/// Checks the history in `engine`, which nobody need be serving, and writes nothing. `kept` is the head that somebody kept.
///
/// # Errors
/// [`VerifyError`].
pub async fn verify(
    engine: Arc<dyn Engine>,
    sealing: Arc<SealingKey>,
    kept: Option<Head>,
) -> Result<Checked, VerifyError> {
    // Nothing is made, so neither time nor chance is asked for.
    let audit = Audit::new(engine, sealing, Clock::manual(Timestamp::from_unix(0)), Entropy::seeded(0))?;
    loop {
        let began_behind = audit.anchor_text().await?;
        let checked = audit.verify(kept).await;
        // What was dropped while it was being looked at is not what is wrong.
        if checked.is_ok() || audit.anchor_text().await? == began_behind {
            return checked;
        }
    }
}

impl Audit {
    async fn anchor_text(&self) -> Result<Option<String>, store::Error> {
        Ok(self.tables.anchor.get(ANCHOR).await?.map(|found| found.record.text))
    }

    async fn verify(&self, kept: Option<Head>) -> Result<Checked, VerifyError> {
        // The head first: what is linked while this looks is looked at, and what is not linked is above it.
        let loaded = self.load_head().await?;
        let Some(key) = self.public_key().await? else {
            return match kept {
                Some(kept) => Err(Broken::Truncated { last: 0, kept }.into()),
                None => Err(VerifyError::NotLinked),
            };
        };
        let fingerprint = chain::fingerprint(&key);
        let anchor = self.tables.anchor.get(ANCHOR).await.map_err(AuditError::from)?;
        let anchor = anchor.map(|found| found.record.signed());
        let mut walk = Walk::begin(key, anchor.as_ref(), kept)?;
        let mut linked = HashSet::new();
        loop {
            let (links, more) = self.read_links(walk.head().number, LINKS_AT_ONCE).await?;
            for link in links {
                let read = walk.link(&link.signed)?;
                for (place, (id, bytes)) in link.events.into_iter().enumerate() {
                    walk.event(&read, place, bytes.as_deref())?;
                    if !linked.insert(Box::from(id.as_str())) {
                        return Err(Broken::EventTwice { id }.into());
                    }
                }
            }
            if !more {
                break;
            }
        }
        let summary = walk.end()?;
        if summary.head.number < loaded.head.number
            || (summary.head.number == loaded.head.number && summary.head != loaded.head)
        {
            return Err(Broken::Head { last: summary.head.number, said: loaded.head.number }.into());
        }
        // Without a head beside links nothing is linked any more; but the first link may have come meanwhile.
        let is_lost = loaded.version.is_none() && summary.head != Head::NONE;
        if is_lost && self.load_head().await?.version.is_none() {
            return Err(Broken::Head { last: summary.head.number, said: 0 }.into());
        }
        let upto = loaded.is_native.then_some(loaded.upto);
        let not_linked = self.unlinked(&linked, upto, summary.at_milliseconds).await?;
        Ok(Checked { summary, not_linked, key: fingerprint })
    }

    /// How many events have no link because they came after the last one. `upto` is the revision up to which all have to
    /// have one, where the store's versions tell; else it is told by their time.
    async fn unlinked(
        &self,
        linked: &HashSet<Box<str>>,
        upto: Option<Revision>,
        last_milliseconds: i64,
    ) -> Result<u64, VerifyError> {
        let mut count = 0;
        let mut page = Some(Page::full());
        while let Some(next) = page {
            let listing = self.engine.list(&self.history, next).await?;
            for (key, found) in &listing.entries {
                let id = self.history.rest(key).unwrap_or_default();
                if linked.contains(id) {
                    continue;
                }
                let Version(revision) = found.version;
                let came_later = match upto {
                    Some(upto) => revision > upto,
                    // As late as an event may come to be linked without a word.
                    None => moment_of(id)
                        .is_some_and(|at| at.saturating_add(LATE_MILLISECONDS) > last_milliseconds),
                };
                if !came_later || !chain::is_event_id(id) {
                    return Err(Broken::EventInserted { id: id.to_owned() }.into());
                }
                count += 1;
            }
            page = listing.next;
        }
        Ok(count)
    }
}
