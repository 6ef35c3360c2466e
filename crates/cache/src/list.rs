//! The entries of a key, read a page at a time.

use std::collections::VecDeque;
use std::sync::Arc;

use base::Sha512;
use identity::Permit;
use store::{Page, Table};

use crate::error::ReadError;
use crate::key::EntryKey;
use crate::long::LongError;
use crate::record::{BodyRecord, EntryRecord};
use crate::service::{Cache, ReadArtifacts};

/// How many entries are read at once. Each has a few hundred bytes as a rule.
const PAGE_ENTRIES: usize = 256;

/// The entries of one key, the oldest first.
pub struct EntryList {
    cache: Arc<Cache>,
    key: EntryKey,
    table: Table<EntryRecord>,
    read: VecDeque<(String, EntryRecord)>,
    next: Option<Page>,
}

impl Cache {
    /// The entries of `key`; `None` when it has none.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn entries(
        self: &Arc<Self>,
        _permit: Permit<ReadArtifacts>,
        key: &EntryKey,
    ) -> Result<Option<EntryList>, ReadError> {
        let prefix = format!("{}{}/", crate::service::ENTRIES, key.id());
        let table = Table::new(Arc::clone(&self.ground.engine), &prefix)?;
        let mut list = EntryList {
            cache: Arc::clone(self),
            key: key.clone(),
            table,
            read: VecDeque::new(),
            next: Some(Page::first(PAGE_ENTRIES)),
        };
        list.read_on().await?;
        Ok(if list.read.is_empty() { None } else { Some(list) })
    }
}

impl EntryList {
    /// The text and the signature of the next entry. One that is damaged is left out, so that the others can be had,
    /// until somebody sends it again.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn next(&mut self) -> Result<Option<(String, String)>, ReadError> {
        loop {
            if self.read.is_empty() {
                self.read_on().await?;
            }
            let Some((place, record)) = self.read.pop_front() else { return Ok(None) };
            let blob = match record.body {
                BodyRecord::Here { text, signature } => return Ok(Some((text, signature))),
                BodyRecord::Blob { blob, .. } => blob,
            };
            let Some(digest) = Sha512::parse(&blob) else { continue };
            match self.cache.long_entry(digest).await {
                Ok(pair) => return Ok(Some(pair)),
                Err(LongError::Blobs(error)) => return Err(error.into()),
                Err(LongError::Damaged(reason)) => self.leave_out(&place, digest, reason).await?,
            }
        }
    }

    /// Puts a damaged blob aside, and says so, the first time.
    async fn leave_out(&self, place: &str, digest: Sha512, reason: &str) -> Result<(), ReadError> {
        self.cache.ground.blobs.set_aside(digest).await?;
        if self.cache.is_new_damage(digest) {
            tracing::warn!(key = %self.key, place, reason, "a damaged entry is left out; sending it again repairs it");
        } else {
            tracing::debug!(key = %self.key, place, reason, "a damaged entry is left out");
        }
        Ok(())
    }

    async fn read_on(&mut self) -> Result<(), ReadError> {
        if let Some(page) = self.next.take() {
            let found = self.table.list(page).await?;
            self.read.extend(found.entries.into_iter().map(|(place, loaded)| (place, loaded.record)));
            self.next = found.next;
        }
        Ok(())
    }
}
