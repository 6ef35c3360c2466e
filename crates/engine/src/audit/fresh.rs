//! Which events no link has yet, in the order in which they were stored.

use std::collections::HashSet;

use chain::{EventMark, Hash, Link, is_event_id};
use futures_util::{FutureExt as _, StreamExt as _};
use store::{Page, Prefix, Revision, Version, WatchError};

use super::{Audit, AuditError, Loaded};

/// An event that is to be linked.
pub(super) struct Event {
    pub(super) mark: EventMark,
    /// When it came.
    pub(super) revision: Revision,
}

/// What is to be linked.
pub(super) struct Fresh {
    /// In the order in which they came.
    pub(super) events: Vec<Event>,
    /// The revision up to which these are all.
    pub(super) upto: Revision,
}

/// What the head says once `done` events of `events` are linked: the revision up to which all are, and those of the next
/// revision that are as well. `before` was so before the first.
pub(super) fn reached(events: &[Event], done: usize, before: Revision) -> (Revision, Vec<String>) {
    let (linked, later) = events.split_at(done.min(events.len()));
    let Some(next) = later.first() else {
        return (linked.last().map_or(before, |event| event.revision), Vec::new());
    };
    let upto = linked.iter().rev().find(|event| event.revision < next.revision);
    let also = linked.iter().filter(|event| event.revision == next.revision);
    (upto.map_or(before, |event| event.revision), also.map(|event| event.mark.id.clone()).collect())
}

impl Audit {
    /// All events that came after what the head tells of, from what the store remembers of its latest changes after
    /// `position`, if it still does.
    pub(super) async fn fresh(&self, head: &Loaded, position: Revision) -> Result<Fresh, AuditError> {
        if !head.is_native || head.version.is_none() {
            return self.listed(head).await;
        }
        let mut upto = head.upto.max(position);
        // Of everything that is stored, so that the position stays a recent one also where little happens.
        let mut coming = self.engine.watch(Prefix::default(), upto);
        let mut events = Vec::new();
        // What one commit did comes together, and commits in their order: what is there by now is all up to the last.
        while let Some(change) = coming.next().now_or_never() {
            match change {
                Some(Ok(change)) => {
                    upto = upto.max(change.revision);
                    if let Some(value) = &change.value
                        && let Some(event) = self.event(&change.key, value, change.revision)
                        && !head.has(&event)
                    {
                        events.push(event);
                    }
                }
                Some(Err(WatchError::Compacted)) => return self.listed(head).await,
                Some(Err(WatchError::Store(error))) => return Err(error.into()),
                None => return Err(store::Error::Closed.into()),
            }
        }
        Ok(Fresh { events, upto })
    }

    /// The same from the whole history, which takes longer the more there is.
    async fn listed(&self, head: &Loaded) -> Result<Fresh, AuditError> {
        let linked = match head.is_native {
            true => None,
            false => Some(self.linked_ids(head).await?),
        };
        let (mut events, mut first) = (Vec::new(), None);
        let mut page = Some(Page::full());
        while let Some(next) = page {
            let listing = self.engine.list(&self.history, next).await?;
            // What comes while this is listed is left for the next time, all of it.
            let upto = *first.get_or_insert(listing.revision);
            for (key, found) in &listing.entries {
                let Version(revision) = found.version;
                if revision <= upto
                    && let Some(event) = self.event(key, &found.value, revision)
                    && !linked.as_ref().map_or_else(|| head.has(&event), |ids| ids.contains(&event.mark.id))
                {
                    events.push(event);
                }
            }
            page = listing.next;
        }
        events.sort_by(|a: &Event, b| (a.revision, &a.mark.id).cmp(&(b.revision, &b.mark.id)));
        Ok(Fresh { events, upto: first.unwrap_or(head.upto) })
    }

    /// What is no event of ours is not linked: a check tells of it.
    fn event(&self, key: &store::Key, value: &[u8], revision: Revision) -> Option<Event> {
        let id = self.history.rest(key)?;
        if !is_event_id(id) {
            tracing::error!(%key, "this is no event of the history, and is not linked");
            return None;
        }
        Some(Event { mark: EventMark { id: id.to_owned(), digest: Hash::of(value) }, revision })
    }

    /// The ids of all events that links have.
    async fn linked_ids(&self, head: &Loaded) -> Result<HashSet<String>, AuditError> {
        let mut ids = HashSet::new();
        let mut page = Some(Page::first(100));
        while let Some(next) = page {
            let listing = self.tables.link.list(next).await?;
            for (_, found) in listing.entries {
                let number = head.head.number;
                let link = Link::parse(&found.record.text)
                    .map_err(|source| chain::Broken::Link { number, source })?;
                ids.extend(link.events.into_iter().map(|event| event.id));
            }
            page = listing.next;
        }
        Ok(ids)
    }
}

impl Loaded {
    /// Whether a link has this event, in a store whose versions tell.
    fn has(&self, event: &Event) -> bool {
        event.revision <= self.upto || self.also.contains(&event.mark.id)
    }
}
