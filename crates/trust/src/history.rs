//! What came of handing certificates on, place by place.
//!
//! All requirers share one history, in the order in which things happened. So whoever asks for one requirer's is given what
//! there is of it among so many events, and where to go on.

use std::fmt;
use std::str::FromStr;

use base::Timestamp;
use identity::Permit;
use store::Event;

use crate::error::ReadError;
use crate::event::{APPLIED, DRIFTED, FAILING, about_requirer};
use crate::name::RequirerName;
use crate::service::{ReadTrust, Trust};

/// How many events, whosever they are, are looked at for one page, and how many at once.
const LOOKED_AT_MAX: usize = 10_000;
const AT_ONCE: usize = 1_000;

/// Where in the history an event is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventId(String);

/// A text that is no event's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no event has that name")]
pub struct NoEventId;

impl FromStr for EventId {
    type Err = NoEventId;

    fn from_str(text: &str) -> Result<Self, NoEventId> {
        let (at, number) = text.split_once('-').ok_or(NoEventId)?;
        let is_one = at.len() == 20
            && at.bytes().all(|byte| byte.is_ascii_digit())
            && number.len() == 16
            && number.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if is_one { Ok(Self(text.to_owned())) } else { Err(NoEventId) }
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Something that happened in one of a requirer's places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlaceEvent {
    /// In which: a host's address, a namespace, or what a program says of itself.
    pub unit: String,
    /// When.
    pub at: Timestamp,
    /// What.
    pub what: InPlace,
    /// Who did it, or noticed.
    pub by: String,
}

/// What happened in a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InPlace {
    /// It has what it is to have.
    Applied {
        /// The hash of that.
        hash: String,
    },
    /// Somebody else had changed it, and it was mended.
    Drifted,
    /// It could not be given what it is to have, for the first time since it could.
    Failing {
        /// Why not.
        reason: String,
    },
}

impl PlaceEvent {
    /// What `event` tells of a place; nothing where it tells of something else.
    fn read(event: Event) -> Option<Self> {
        let fact = |name: &str| event.facts.get(name).cloned();
        let what = match event.what.as_str() {
            APPLIED => InPlace::Applied { hash: fact("hash")? },
            DRIFTED => InPlace::Drifted,
            FAILING => InPlace::Failing { reason: fact("reason")? },
            _ => return None,
        };
        let at = Timestamp::from_unix(event.at_milliseconds.div_euclid(1_000));
        Some(Self { unit: fact("unit")?, at, what, by: event.by })
    }
}

impl Trust {
    /// What happened in the places of `requirer` behind the event `after`, the oldest first, at most `limit`; and behind
    /// which event to go on, if there may be more. A page may be short or empty, and not be the last one.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn requirer_history(
        &self,
        _permit: Permit<ReadTrust>,
        requirer: &RequirerName,
        after: Option<&EventId>,
        limit: usize,
    ) -> Result<(Vec<PlaceEvent>, Option<EventId>), ReadError> {
        if self.load_requirer(requirer).await?.is_none() {
            return Err(ReadError::NoRequirer(requirer.clone()));
        }
        let about = about_requirer(requirer);
        let mut found = Vec::new();
        let mut after = after.map(|after| after.0.clone());
        for _ in 0..LOOKED_AT_MAX / AT_ONCE {
            let page = self.places_history.page(after.as_deref(), AT_ONCE).await?;
            let is_last = page.next.is_none();
            for (id, loaded) in page.entries {
                if found.len() == limit {
                    return Ok((found, after.map(EventId)));
                }
                if loaded.record.about == about {
                    found.extend(PlaceEvent::read(loaded.record));
                }
                after = Some(id);
            }
            if is_last {
                return Ok((found, None));
            }
        }
        Ok((found, after.map(EventId)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_named_as_the_history_names_it() {
        let name = "00000001800000000123-00ff00ff00ff00ff";
        assert_eq!(name.parse::<EventId>().unwrap().to_string(), name);
        for text in [
            "",
            "-",
            "1-00ff00ff00ff00ff",
            &name[1..],
            &name[..36],
            &name.to_uppercase(),
            &format!("{name}0"),
        ] {
            assert_eq!(text.parse::<EventId>(), Err(NoEventId), "{text}");
        }
    }
}
