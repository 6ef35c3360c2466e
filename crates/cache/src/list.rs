//! The entries of a key, read a page at a time.

use std::collections::VecDeque;
use std::sync::Arc;

use base::Sha512;
use futures_util::TryStreamExt as _;
use identity::Permit;
use store::{Page, Table};

use crate::error::ReadError;
use crate::key::EntryKey;
use crate::long;
use crate::record::{BodyRecord, EntryRecord};
use crate::service::{Cache, ReadArtifacts};

/// How many entries are read at once. Each has a few hundred bytes as a rule.
const PAGE_ENTRIES: usize = 256;
/// The longest entry: what is taken in is shorter.
const ENTRY_BYTES_MAX: u64 = 4 * 1024 * 1024;

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
    /// The text and the signature of the next entry.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn next(&mut self) -> Result<Option<(String, String)>, ReadError> {
        if self.read.is_empty() {
            self.read_on().await?;
        }
        let Some((place, record)) = self.read.pop_front() else { return Ok(None) };
        match record.body {
            BodyRecord::Here { text, signature } => Ok(Some((text, signature))),
            BodyRecord::Blob { blob, .. } => {
                let place = place.parse().unwrap_or_default();
                self.cache.long(&self.key, place, &blob).await.map(Some)
            }
        }
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

impl Cache {
    /// The text and the signature of an entry that lies in a blob.
    pub(crate) async fn long(
        &self,
        key: &EntryKey,
        place: u64,
        digest: &str,
    ) -> Result<(String, String), ReadError> {
        let damaged =
            |reason: &str| ReadError::Damaged { key: key.to_string(), place, reason: reason.to_owned() };
        let digest = Sha512::parse(digest).ok_or_else(|| damaged("its blob has no name"))?;
        let blob = self.ground.blobs.open(digest).await?;
        let blob = blob.ok_or_else(|| damaged("its blob is not there"))?;
        if blob.size() > ENTRY_BYTES_MAX {
            return Err(damaged("its blob is too large"));
        }
        let mut bytes = Vec::new();
        let mut chunks = blob.read(0..blob.size());
        while let Some(chunk) = chunks.try_next().await? {
            bytes.extend_from_slice(&chunk);
        }
        if Sha512::of(&bytes) != digest {
            return Err(damaged("its blob has other bytes"));
        }
        long::from_bytes(bytes).ok_or_else(|| damaged("its blob is no entry"))
    }
}
