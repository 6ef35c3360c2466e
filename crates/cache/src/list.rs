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
use crate::withdrawn::Withdrawn;

/// How many entries are read at first, and then at once. Each has a few hundred bytes as a rule.
const PAGE_ENTRIES: (usize, usize) = (16, 256);
/// What was read beyond so many bytes is let go of, and read again when its turn comes: a list may be sent slowly.
const HELD_BYTES_MAX: usize = 256 * 1024;

/// The entries of one key, the oldest first.
pub struct EntryList {
    cache: Arc<Cache>,
    key: EntryKey,
    table: Table<EntryRecord>,
    read: VecDeque<(String, EntryRecord)>,
    next: Option<Page>,
    /// What is left out.
    withdrawn: Arc<Withdrawn>,
    /// Whether any was damaged.
    is_damaged: bool,
}

impl Cache {
    /// The entries of `key` but for those that their signers withdrew, where it is known who they are, unless nothing else
    /// shows how far such a signer is; `None` when it has none.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn entries(
        self: &Arc<Self>,
        _permit: Permit<ReadArtifacts>,
        key: &EntryKey,
    ) -> Result<Option<EntryList>, ReadError> {
        let withdrawn = self.withdrawn(key).await?;
        let list = self.all_entries(key).await?;
        Ok(list.map(|list| EntryList { withdrawn, ..list }))
    }

    /// All entries of `key`; `None` when it has none.
    pub(crate) async fn all_entries(
        self: &Arc<Self>,
        key: &EntryKey,
    ) -> Result<Option<EntryList>, ReadError> {
        let prefix = format!("{}{}/", crate::service::ENTRIES, key.id());
        let table = Table::new(Arc::clone(&self.ground.engine), &prefix)?;
        let mut list = EntryList {
            cache: Arc::clone(self),
            key: key.clone(),
            table,
            read: VecDeque::new(),
            next: Some(Page::first(PAGE_ENTRIES.0)),
            withdrawn: Arc::default(),
            is_damaged: false,
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
            let pair = match record.body {
                BodyRecord::Here { text, signature } => (text, signature),
                BodyRecord::Blob { blob, .. } => {
                    let Some(digest) = Sha512::parse(&blob) else { continue };
                    match self.cache.long_entry(digest).await {
                        Ok(pair) => pair,
                        Err(LongError::Blobs(error)) => return Err(error.into()),
                        Err(LongError::Damaged(reason)) => {
                            self.is_damaged = true;
                            self.leave_out(&place, digest, reason).await?;
                            continue;
                        }
                    }
                }
            };
            if self.withdrawn.by.is_empty() || !self.withdrawn.hides(&Sha512::of(pair.0.as_bytes())) {
                return Ok(Some(pair));
            }
        }
    }

    /// Whether one that was damaged was left out so far.
    pub(crate) fn is_damaged(&self) -> bool {
        self.is_damaged
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
            self.next = found.next.map(|next| Page { limit: PAGE_ENTRIES.1, ..next });
            let mut bytes = 0;
            for (place, loaded) in found.entries {
                if bytes > HELD_BYTES_MAX
                    && let Some((last, _)) = self.read.back()
                {
                    self.next = Some(Page { after: Some(self.table.key(last)?), limit: PAGE_ENTRIES.0 });
                    break;
                }
                bytes += match &loaded.record.body {
                    BodyRecord::Here { text, signature } => text.len() + signature.len(),
                    BodyRecord::Blob { .. } => 0,
                };
                self.read.push_back((place, loaded.record));
            }
        }
        Ok(())
    }
}
