//! Dropping what need not be kept: requests whose certificate was issued a while ago.
//!
//! The certificates themselves stay on record until nobody can ask about them any more.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::PoisonError;

use base::{Span, Timestamp};
use store::{Batch, CommitError, Page};
use x509::Certificate;

use crate::error::IssueError;
use crate::request::RequestId;
use crate::revoke;
use crate::service::Authority;

/// How long a list is good where other processes issue as well: what they have issued is not noted here, and
/// they may be gone when it is due.
const LISTED_ANEW: Span = Span::days(1);

/// Requests that may be dropped some day, as far as is known here.
pub(crate) struct Due {
    /// The earliest is the greatest.
    heap: BinaryHeap<Reverse<(i64, RequestId)>>,
    /// How far the store was gone through.
    read: Progress,
}

/// How far a list was read.
enum Progress {
    /// This page comes next.
    Next(Page),
    /// Somebody is reading a page.
    Reading,
    /// To the end, at this time.
    Done(Timestamp),
}

/// The most requests dropped at one time; four operations each.
const DROPPED_MAX: usize = 24;
/// How many are read at one time: whoever stored a new one waits for it.
const LISTED_MAX: usize = 100;

impl Authority {
    /// Notes when a request may be dropped.
    pub(crate) fn remember_due(&self, id: RequestId, at: Timestamp) {
        if let Some(due) = self.due.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            due.heap.push(Reverse((at.as_unix(), id)));
        }
    }

    /// Drops requests that are due. Called when a new one was taken, so that numbers live on while nobody
    /// needs the room (caucase contract, section 6.6).
    /// Whoever stored the new one is not troubled when this fails; it is tried again with the next.
    pub(crate) async fn purge(&self) {
        if let Err(error) = self.load_due().await {
            return tracing::warn!(error = %base::report(&error), "requests that are due could not be listed yet");
        }
        let now = match self.purged_until().await {
            Ok(until) => until.as_unix(),
            Err(error) => {
                return tracing::warn!(error = %base::report(&error), "requests that are due could not be dropped yet");
            }
        };
        let ids = self.take_due(now);
        match self.drop_requests(&ids, now).await {
            Ok(()) => {}
            // Fetched or dropped by somebody else in this very moment.
            Err(IssueError::Store(CommitError::Conflict { .. })) => self.remember_again(&ids, now),
            Err(error) => {
                self.remember_again(&ids, now);
                tracing::warn!(error = %base::report(&error), "requests that are due could not be dropped yet");
            }
        }
    }

    /// What was due before this is dropped. Backups are made for whoever has a request, and name it: where keys are for
    /// backups, a clock that is ahead for a moment must not part holders from theirs (`settled.rs`).
    async fn purged_until(&self) -> Result<Timestamp, store::Error> {
        let now = self.now();
        match self.profile.admission.keys_for_backup {
            true => Ok(now.min(self.settled().await?)),
            false => Ok(now),
        }
    }

    pub(crate) async fn drop_requests(&self, ids: &[RequestId], now: i64) -> Result<(), IssueError> {
        let mut batch = Batch::new();
        for id in ids {
            self.drop_request(&mut batch, *id, now).await?;
        }
        if !batch.is_empty() {
            self.commit(batch).await?;
        }
        Ok(())
    }

    fn remember_again(&self, ids: &[RequestId], now: i64) {
        for id in ids {
            self.remember_due(*id, Timestamp::from_unix(now - 1));
        }
    }

    fn take_due(&self, now: i64) -> Vec<RequestId> {
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(due) = due.as_mut() else { return Vec::new() };
        let mut ids = Vec::new();
        while ids.len() < DROPPED_MAX
            && let Some(Reverse((at, id))) = due.heap.peek().copied()
            && at < now
        {
            due.heap.pop();
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        ids
    }

    async fn drop_request(&self, batch: &mut Batch, id: RequestId, now: i64) -> Result<(), IssueError> {
        let key = id.key();
        let Some(issued) = self.tables.issued.get(&key).await?.filter(|issued| issued.record.drop_at < now)
        else {
            return Ok(());
        };
        self.tables.issued.remove(batch, &key, issued.version)?;
        if let Some(request) = self.tables.request.get(&key).await? {
            self.delete_request(batch, id, &request.record)?;
        }
        Ok(())
    }

    /// Drops one page of the records of certificates that certainly ended (`settled.rs`), once nobody can ask about
    /// them any more.
    /// Begins behind `after`, says where to go on, and nothing at the end.
    ///
    /// # Errors
    /// [`IssueError`] when the store fails.
    pub async fn drop_ended_certificates(&self, after: Option<Page>) -> Result<Option<Page>, IssueError> {
        let now = self.now().min(self.settled().await?);
        let page = after.unwrap_or_else(|| Page::first(store::BATCH_OPERATIONS_MAX));
        let listed = self.tables.certificate.list(page).await?;
        let mut batch = Batch::new();
        for (serial, loaded) in listed.entries {
            let Ok(certificate) = Certificate::from_pem(loaded.record.certificate.as_bytes()) else {
                continue;
            };
            if revoke::drop_at(&self.profile, certificate.not_after()) < now {
                self.tables.certificate.remove(&mut batch, &serial, loaded.version)?;
            }
        }
        if !batch.is_empty() {
            self.commit(batch).await?;
        }
        Ok(listed.next)
    }

    /// Reads a little more of what may be dropped some day, until all is known.
    async fn load_due(&self) -> Result<(), store::Error> {
        let Some(page) = self.begin_page() else { return Ok(()) };
        let found = self.tables.issued.list(page.clone()).await;
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(due) = due.as_mut() else { return found.map(drop) };
        match found {
            Ok(found) => {
                due.heap.extend(found.entries.into_iter().filter_map(|(key, issued)| {
                    Some(Reverse((issued.record.drop_at, RequestId::from_key(&key)?)))
                }));
                due.read = found.next.map_or_else(|| Progress::Done(self.now()), Progress::Next);
                Ok(())
            }
            Err(error) => {
                due.read = Progress::Next(page);
                Err(error)
            }
        }
    }

    /// The page to be read now, if there is one and nobody else reads it.
    fn begin_page(&self) -> Option<Page> {
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        let first = Progress::Next(Page::first(LISTED_MAX));
        // Before reading, so that what is issued meanwhile is noted as well.
        let due = due.get_or_insert_with(|| Due { heap: BinaryHeap::new(), read: first });
        match std::mem::replace(&mut due.read, Progress::Reading) {
            Progress::Next(page) => Some(page),
            Progress::Done(at) if self.ground.engine.is_shared() && at + LISTED_ANEW <= self.now() => {
                due.heap.clear();
                Some(Page::first(LISTED_MAX))
            }
            settled => {
                due.read = settled;
                None
            }
        }
    }
}
