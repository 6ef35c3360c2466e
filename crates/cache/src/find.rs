//! Listing what is there, and looking for something. Everything comes in pages, in the order of names, and each page is
//! put together with a bounded amount of work; where it is told what was withdrawn, the first one of a key looks through
//! all of that key.

use std::sync::Arc;

use base::{Sha512, Timestamp};
use entry::{Entry, Filter};
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use identity::Permit;
use store::{Page, Table};

use crate::error::{OpenError, ReadError};
use crate::key::EntryKey;
use crate::long::LongError;
use crate::pin::Pinned;
use crate::record::{ArtifactRecord, BodyRecord, EntryRecord, KeyRecord, NamedRecord};
use crate::retention::Pattern;
use crate::service::{Cache, ENTRIES, KEYS, NAMED, ReadCatalog};

/// The most that one page has.
pub const PAGE_MAX: usize = 1000;
/// How many keys or entries are looked at for one page at most, whether they are on it or not.
const LOOKED_AT_MAX: usize = 5_000;
/// A page ends with the entry with which it has so many bytes of text.
const PAGE_BYTES: usize = 4 * 1024 * 1024;
/// How many artifacts are looked for at the same time.
const LOOKED_FOR_AT_ONCE: usize = 16;
/// How many records are read at once.
const READ_AT_ONCE: usize = 500;

/// A part of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found<T, A> {
    /// What was found. There may be more even where this is shorter than was asked for.
    pub items: Vec<T>,
    /// Where to go on; nothing at the end.
    pub next: Option<A>,
}

/// A key that has entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundKey {
    /// The key.
    pub key: EntryKey,
    /// How many entries it has.
    pub entries: u64,
}

/// An artifact that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundArtifact {
    /// Its name.
    pub digest: Sha512,
    /// How many bytes it has.
    pub bytes: u64,
    /// When it came.
    pub at: Timestamp,
    /// Who put it there.
    pub by: String,
    /// When it came or was last read, within a day.
    pub used_at: Timestamp,
    /// Since when no entry names it any more.
    pub unnamed_since: Option<Timestamp>,
}

/// An entry, and how it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundEntry {
    /// Its key.
    pub key: EntryKey,
    /// Its place among those of its key: what came later is larger.
    pub place: u64,
    /// When it came.
    pub at: Timestamp,
    /// Who put it there.
    pub by: String,
    /// What stands in it, and its signature.
    pub entry: Entry,
    /// The SHA-512 of the text of the entry that withdrew it, where that is known.
    pub withdrawn_by: Option<Sha512>,
}

/// Behind which entry a listing goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AfterEntry {
    /// Of which key.
    pub key: EntryKey,
    /// Which of them; none when the whole key is behind.
    pub place: Option<u64>,
}

impl Cache {
    /// Keys that `pattern` fits, behind `after`.
    ///
    /// # Errors
    /// The store's.
    pub async fn find_keys(
        &self,
        _permit: &Permit<ReadCatalog>,
        pattern: &Pattern,
        after: Option<&EntryKey>,
        limit: usize,
    ) -> Result<Found<FoundKey, EntryKey>, store::Error> {
        let mut items = Vec::new();
        let mut looked_at = 0;
        let prefix = pattern.prefix();
        let table = Table::<KeyRecord>::new(self.ground.engine.clone(), &format!("{KEYS}{prefix}"))?;
        let after = match after.map(EntryKey::as_str) {
            Some(after) => match after.strip_prefix(prefix) {
                Some(rest) => Some(table.key(rest)?),
                None if after < prefix => None,
                None => return Ok(Found { items, next: None }),
            },
            None => None,
        };
        // Who wants one is not made to read hundreds, unless the first ones do not fit.
        let mut page = Page { after, limit: limit.clamp(1, READ_AT_ONCE) };
        loop {
            let found = table.list(page).await?;
            for (rest, loaded) in found.entries {
                let Ok(key) = format!("{prefix}{rest}").parse::<EntryKey>() else { continue };
                looked_at += 1;
                if pattern.fits(key.as_str()) {
                    items.push(FoundKey { key: key.clone(), entries: loaded.record.entries });
                }
                if items.len() >= limit.clamp(1, PAGE_MAX) || looked_at >= LOOKED_AT_MAX {
                    return Ok(Found { items, next: Some(key) });
                }
            }
            match found.next {
                Some(next) => page = Page { limit: READ_AT_ONCE, ..next },
                None => return Ok(Found { items, next: None }),
            }
        }
    }

    /// Artifacts behind `after`.
    ///
    /// # Errors
    /// The store's.
    pub async fn find_artifacts(
        &self,
        _permit: &Permit<ReadCatalog>,
        after: Option<Sha512>,
        limit: usize,
    ) -> Result<Found<FoundArtifact, Sha512>, store::Error> {
        let after = after.map(|after| self.tables.artifact.key(&after.to_string())).transpose()?;
        let page = self.tables.artifact.list(Page { after, limit: limit.clamp(1, PAGE_MAX) }).await?;
        let mut items = Vec::with_capacity(page.entries.len());
        for (id, loaded) in page.entries {
            let Some(digest) = Sha512::parse(&id) else { continue };
            items.push(self.found(digest, &loaded.record).await?);
        }
        let next = page.next.and_then(|_| items.last().map(|last| last.digest));
        Ok(Found { items, next })
    }

    /// One artifact, whether it is pinned, and the keys of entries that name it, the first [`PAGE_MAX`].
    ///
    /// # Errors
    /// The store's.
    pub async fn find_artifact(
        &self,
        _permit: &Permit<ReadCatalog>,
        digest: Sha512,
    ) -> Result<Option<(FoundArtifact, bool, Vec<String>)>, store::Error> {
        let Some(found) = self.tables.artifact.get(&digest.to_string()).await? else { return Ok(None) };
        let named = Table::<NamedRecord>::new(self.ground.engine.clone(), &format!("{NAMED}{digest}/"))?;
        let named = named.list(Page::first(PAGE_MAX)).await?;
        let mut keys: Vec<String> = named.entries.into_iter().map(|(_, loaded)| loaded.record.key).collect();
        keys.sort_unstable();
        keys.dedup();
        let is_pinned = self.is_pinned(&Pinned::Artifact(digest)).await?;
        Ok(Some((self.found(digest, &found.record).await?, is_pinned, keys)))
    }

    /// Which of these artifacts are not there. Those that are stay for a while, as for whoever [opens](Cache::open) them.
    ///
    /// # Errors
    /// [`OpenError`].
    pub async fn missing(
        &self,
        _permit: &Permit<ReadCatalog>,
        digests: &[Sha512],
    ) -> Result<Vec<Sha512>, OpenError> {
        // Where blobs are far away, each takes its time.
        let found = stream::iter(digests.iter().copied())
            .map(async |digest| {
                Ok::<_, OpenError>(self.open_found(digest).await?.is_none().then_some(digest))
            })
            .buffered(LOOKED_FOR_AT_ONCE);
        found.try_filter_map(async |missing| Ok(missing)).try_collect().await
    }

    async fn found(&self, digest: Sha512, record: &ArtifactRecord) -> Result<FoundArtifact, store::Error> {
        Ok(FoundArtifact {
            digest,
            bytes: record.bytes,
            at: Timestamp::from_unix(record.at),
            by: record.by.clone(),
            used_at: self.used_at(digest, record).await?,
            unnamed_since: record.unnamed_since.map(Timestamp::from_unix),
        })
    }

    /// Entries of keys that `pattern` fits, which `filter` wants, behind `after`. What cannot be read is left out.
    ///
    /// `filter` looks at each entry alone, so that `<<` and `>>` take whatever is below and above.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn find_entries(
        self: &Arc<Self>,
        permit: &Permit<ReadCatalog>,
        pattern: &Pattern,
        filter: &Filter,
        after: Option<&AfterEntry>,
        limit: usize,
    ) -> Result<Found<FoundEntry, AfterEntry>, ReadError> {
        let limit = limit.clamp(1, PAGE_MAX);
        let (mut items, mut looked_at, mut bytes) = (Vec::new(), 0, 0);
        // What is left of the key where the last page stopped.
        let mut begun = after.and_then(|after| after.place.map(|place| (after.key.clone(), place)));
        let mut behind = after.map(|after| after.key.clone());
        loop {
            let (key, mut place) = match begun.take() {
                Some((key, place)) => (key, Some(place)),
                None => {
                    let found = self.find_keys(permit, pattern, behind.as_ref(), 1).await?;
                    match (found.items.into_iter().next(), found.next) {
                        (Some(found), _) => (found.key, None),
                        (None, Some(next)) => {
                            return Ok(Found { items, next: Some(AfterEntry { key: next, place: None }) });
                        }
                        (None, None) => return Ok(Found { items, next: None }),
                    }
                }
            };
            let table =
                Table::<EntryRecord>::new(self.ground.engine.clone(), &format!("{ENTRIES}{}/", key.id()))?;
            let withdrawn = self.withdrawn(&key).await?;
            loop {
                let from = place.map(|place| table.key(&format!("{place:020}"))).transpose()?;
                let page = table.list(Page { after: from, limit: READ_AT_ONCE }).await?;
                let is_last = page.next.is_none();
                for (id, loaded) in page.entries {
                    let Ok(number) = id.parse::<u64>() else { continue };
                    place = Some(number);
                    looked_at += 1;
                    let found = self.found_entry(&key, number, loaded.record).await?;
                    let is_wanted = |found: &FoundEntry| {
                        let members = found.entry.statement().members();
                        !filter.apply([members], |members| members, &mut |_| {}).is_empty()
                    };
                    let found = found.filter(is_wanted).map(|found| {
                        let withdrawn_by = match withdrawn.by.is_empty() {
                            true => None,
                            false => withdrawn.by.get(&found.entry.text_digest()).copied(),
                        };
                        FoundEntry { withdrawn_by, ..found }
                    });
                    bytes += found.as_ref().map_or(0, |found| found.entry.text().len());
                    items.extend(found);
                    if items.len() >= limit || looked_at >= LOOKED_AT_MAX || bytes >= PAGE_BYTES {
                        return Ok(Found { items, next: Some(AfterEntry { key, place }) });
                    }
                }
                if is_last {
                    break;
                }
            }
            behind = Some(key);
        }
    }

    async fn found_entry(
        &self,
        key: &EntryKey,
        place: u64,
        record: EntryRecord,
    ) -> Result<Option<FoundEntry>, ReadError> {
        let (text, signature) = match record.body {
            BodyRecord::Here { text, signature } => (text, signature),
            BodyRecord::Blob { blob, .. } => {
                let Some(digest) = Sha512::parse(&blob) else { return Ok(None) };
                match self.long_entry(digest).await {
                    Ok(pair) => pair,
                    Err(LongError::Damaged(_)) => return Ok(None),
                    Err(LongError::Blobs(error)) => return Err(error.into()),
                }
            }
        };
        let found = |entry| FoundEntry {
            key: key.clone(),
            place,
            at: Timestamp::from_unix(record.at),
            by: record.by,
            entry,
            withdrawn_by: None,
        };
        Ok(Entry::new(text, signature).ok().map(found))
    }
}
