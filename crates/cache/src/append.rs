//! Entries on their way in.

use base::{Sha512, Span, Timestamp, hex, sha256};
use bytes::Bytes;
use entry::Entry;
use identity::{Permit, Principal};
use store::{Batch, CommitError, Page, Table, blobs};

use crate::error::PutEntryError;
use crate::event::Happened;
use crate::fetched::is_fetched;
use crate::key::EntryKey;
use crate::long::{self, LongError};
use crate::record::{ArtifactRecord, BodyRecord, EntryRecord, MarkRecord, NamedRecord, SameRecord};
use crate::room::NoRoom;
use crate::service::{Cache, ENTRIES, PutEntry};

/// The longest text and signature that are kept in a record, in bytes: twice as many, as JSON may need, are still less
/// than a value may have. What is longer is kept as a blob.
const RECORD_BYTES_MAX: usize = 200 * 1024;

/// How many entries are looked at together.
const PAGE: usize = 500;
/// How long ago an entry came or was said again, before it is written down that it was.
const SAID_AGAIN_GRAIN: Span = Span::seconds(3_600);

/// What came of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Added {
    /// It was added behind those that were there.
    New,
    /// The very same was there: it stays where it is.
    Same,
}

impl Cache {
    /// Adds an entry to those of `key`, behind them; one that is there already is not added again (networkcache
    /// contract, section 3). Whether the artifact that it names is there does not matter.
    ///
    /// # Errors
    /// [`PutEntryError`].
    pub async fn put_entry(
        &self,
        permit: Permit<PutEntry>,
        key: &EntryKey,
        entry: &Entry,
    ) -> Result<Added, PutEntryError> {
        let mut body = None;
        let added = self.add(permit.by(), key, entry, &mut body).await;
        if let (Err(_), Some(BodyRecord::Blob { blob, .. })) = (&added, &body)
            && let Some(digest) = Sha512::parse(blob)
        {
            self.refuse(digest);
        }
        added
    }

    /// The same; `body` is what is kept of it.
    async fn add(
        &self,
        by: &Principal,
        key: &EntryKey,
        entry: &Entry,
        body: &mut Option<BodyRecord>,
    ) -> Result<Added, PutEntryError> {
        let same = format!("{}/{}", key.id(), id(entry));
        let _turn = self.turn(key.as_str()).await;
        let _writers = self.writers_turn(by).await;
        let mut attempts = 0;
        let mut may_be_ours = false;
        loop {
            let mark = self.tables.same.get(&same).await?;
            let mark_version = mark.as_ref().map(|found| found.version);
            if let Some(mark) = mark.map(|found| found.record) {
                if mark.gone && is_fetched(by.name()) {
                    return Ok(Added::Same);
                }
                if let Some(place) = self.place_of(key, entry, &mark).await? {
                    self.repair(entry).await?;
                    if may_be_ours {
                        return Ok(Added::New);
                    }
                    if self.is_said_again(&place, by).await? {
                        return Ok(Added::Same);
                    }
                    // It was removed in this very moment.
                    let key = self.tables.entry.key(&place)?;
                    Self::again(CommitError::Conflict { key }, &mut attempts)?;
                    continue;
                }
            }
            let found = self.tables.key.get(key.as_str()).await?;
            let version = found.as_ref().map(|found| found.version);
            let mut counted = found.map(|found| found.record).unwrap_or_default();
            if counted.entries >= self.limits.key_entries_max {
                let entries_max = self.limits.key_entries_max;
                return Err(PutEntryError::TooMany { key: key.to_string(), entries_max });
            }
            let mut batch = Batch::new();
            let counted_for = self.count(&mut batch, by, bytes_of(entry)).await?;
            if body.is_none() {
                // Not before it is known that there is room for it.
                *body = Some(self.body(entry).await?);
            }
            let Some(body) = &*body else { continue };
            let place = place(key, counted.next);
            let at = self.ground.clock.now().as_unix();
            let record = EntryRecord { body: body.clone(), at, by: by.name().to_owned(), counted_for };
            self.tables.entry.create(&mut batch, &place, &record)?;
            let mark = SameRecord { place: Some(counted.next), gone: false };
            self.tables.same.put_over(&mut batch, &same, &mark, mark_version)?;
            if let BodyRecord::Blob { blob, .. } = body {
                // Whoever collects what nobody names knows by this that somebody does.
                self.tables.long.create(&mut batch, &format!("{blob}/{place}"), &MarkRecord {})?;
            }
            let artifact = entry.statement().sha512().to_string();
            let named = NamedRecord { key: key.to_string() };
            self.tables.named.put(&mut batch, &format!("{artifact}/{place}"), &named)?;
            self.is_named_again(&mut batch, &artifact).await?;
            counted.entries += 1;
            counted.next += 1;
            self.tables.key.put_over(&mut batch, key.as_str(), &counted, version)?;
            self.tell(&mut batch, key, entry.statement().sha512(), by)?;
            match self.ground.engine.commit(batch).await {
                Ok(_) => return Ok(Added::New),
                Err(error) => {
                    may_be_ours |= matches!(error, CommitError::Unknown { .. });
                    Self::again(error, &mut attempts)?;
                }
            }
        }
    }

    fn tell(
        &self,
        batch: &mut Batch,
        key: &EntryKey,
        artifact: Sha512,
        by: &Principal,
    ) -> Result<(), store::Error> {
        let event = Happened::EntryAdded { key, artifact }.event(by, &self.ground.clock);
        self.history.append(batch, &event, &self.ground.entropy).map(drop)
    }

    /// Where an entry of `key` is, as its mark says; nothing when it is not there.
    async fn place_of(
        &self,
        key: &EntryKey,
        entry: &Entry,
        mark: &SameRecord,
    ) -> Result<Option<String>, store::Error> {
        if mark.gone || mark.place.is_some() {
            return Ok(mark.place.filter(|_| !mark.gone).map(|number| place(key, number)));
        }
        let table =
            Table::<EntryRecord>::new(self.ground.engine.clone(), &format!("{ENTRIES}{}/", key.id()))?;
        let mut next = Some(Page::first(PAGE));
        while let Some(page) = next {
            let found = table.list(page).await?;
            let is_it = |body: &BodyRecord| match body {
                BodyRecord::Here { text, signature } => {
                    text == entry.text() && signature == entry.signature()
                }
                BodyRecord::Blob { id, .. } => *id == self::id(entry),
            };
            let is_there = found.entries.iter().find(|(_, loaded)| is_it(&loaded.record.body));
            if let Some((number, _)) = is_there {
                return Ok(Some(format!("{}/{number}", key.id())));
            }
            next = found.next;
        }
        Ok(None)
    }

    /// Writes down that an entry was said again by somebody, so that it is as young as a new one, and theirs when it had
    /// been fetched. `false` when it is not there any more.
    async fn is_said_again(&self, place: &str, by: &Principal) -> Result<bool, PutEntryError> {
        let mut attempts = 0;
        loop {
            let Some(found) = self.tables.entry.get(place).await? else { return Ok(false) };
            let now = self.ground.clock.now();
            // The cache behind this one says all it has each time that it is asked.
            if is_fetched(by.name()) {
                return Ok(true);
            }
            let is_adopted = is_fetched(&found.record.by);
            if !is_adopted && Timestamp::from_unix(found.record.at) + SAID_AGAIN_GRAIN > now {
                return Ok(true);
            }
            let mut batch = Batch::new();
            let mut record = EntryRecord { at: now.as_unix(), ..found.record };
            if is_adopted {
                record.by = by.name().to_owned();
                record.counted_for = self.count(&mut batch, by, bytes_of_body(&record.body)).await?;
            }
            self.tables.entry.update(&mut batch, place, &record, found.version)?;
            match self.ground.engine.commit(batch).await {
                Ok(_) => return Ok(true),
                Err(error) => Self::again(error, &mut attempts)?,
            }
        }
    }

    /// An artifact that no entry named has one again: whoever is about to remove it finds that it changed.
    async fn is_named_again(&self, batch: &mut Batch, artifact: &str) -> Result<(), store::Error> {
        match self.tables.artifact.get(artifact).await? {
            Some(found) if found.record.unnamed_since.is_some() => {
                let record = ArtifactRecord { unnamed_since: None, never_named: false, ..found.record };
                self.tables.artifact.update(batch, artifact, &record, found.version)
            }
            Some(_) | None => Ok(()),
        }
    }

    /// What the record says of the entry's body, which is kept by then.
    async fn body(&self, entry: &Entry) -> Result<BodyRecord, PutEntryError> {
        let (text, signature) = (entry.text().to_owned(), entry.signature().to_owned());
        if !is_long(entry) {
            return Ok(BodyRecord::Here { text, signature });
        }
        self.check_room(bytes_of(entry)).await?;
        let blob = self.keep_blob(entry).await?.to_string();
        let artifact = entry.statement().sha512().to_string();
        Ok(BodyRecord::Blob { blob, id: id(entry), artifact, bytes: bytes_of(entry) })
    }

    async fn keep_blob(&self, entry: &Entry) -> Result<Sha512, blobs::Error> {
        let mut staged = self.ground.blobs.stage().await?;
        staged.write(Bytes::from(long::to_bytes(entry))).await?;
        Ok(staged.keep(None).await?.digest)
    }

    /// An entry that is there already and too long for its record is sent again: if its blob is gone or has rotted, this
    /// is what brings it back.
    async fn repair(&self, entry: &Entry) -> Result<(), PutEntryError> {
        if !is_long(entry) {
            return Ok(());
        }
        let bytes = long::to_bytes(entry);
        let digest = Sha512::of(&bytes);
        match self.long_entry(digest).await {
            Ok(_) => Ok(()),
            Err(LongError::Blobs(error)) => Err(error.into()),
            Err(LongError::Damaged(_)) => {
                self.ground.blobs.set_aside(digest).await?;
                self.keep_blob(entry).await?;
                tracing::info!(%digest, "a damaged entry was repaired by who sent it again");
                Ok(())
            }
        }
    }
}

/// Where the entry at `place` of a key lies; places that come later are larger.
pub(crate) fn place(key: &EntryKey, place: u64) -> String {
    format!("{}/{place:020}", key.id())
}

/// What tells an entry from all others.
pub(crate) fn id(entry: &Entry) -> String {
    hex::encode(&sha256(&long::to_bytes(entry)))
}

/// Whether it is too long for a record.
fn is_long(entry: &Entry) -> bool {
    entry.text().len() + entry.signature().len() > RECORD_BYTES_MAX
}

impl From<NoRoom> for PutEntryError {
    fn from(no_room: NoRoom) -> Self {
        match no_room {
            NoRoom::Reserved { bytes, reserve_bytes } => Self::NoRoom { bytes, reserve_bytes },
            NoRoom::Unknown(error) => Self::Blobs(error),
        }
    }
}

fn bytes_of_body(body: &BodyRecord) -> u64 {
    match body {
        BodyRecord::Here { text, signature } => (text.len() + signature.len()) as u64,
        BodyRecord::Blob { bytes, .. } => *bytes,
    }
}

/// How much of a quota it takes.
pub(crate) fn bytes_of(entry: &Entry) -> u64 {
    (entry.text().len() + entry.signature().len()) as u64
}
