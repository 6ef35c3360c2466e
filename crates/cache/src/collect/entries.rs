//! Entries that the rules do not keep.

use base::{Sha512, Timestamp};
use entry::Entry;
use identity::Permit;
use store::{Batch, CommitError, Loaded, Page, Table, Version};

use super::spared::{self, Standing};
use super::{Collected, Removed, Round, Rules};
use crate::append;
use crate::error::MaintainError;
use crate::event::Happened;
use crate::fetched::is_fetched;
use crate::key::EntryKey;
use crate::long::LongError;
use crate::pin::Pinned;
use crate::record::{ArtifactRecord, BodyRecord, EntryRecord, KeyRecord, SameRecord};
use crate::retention::{Facts, Overall};
use crate::service::{ATTEMPTS_MAX, Cache, ENTRIES, Maintain, NAMED};

/// How many keys, and how many entries of one, are read at once.
const PAGE: usize = 500;
/// How many entries go in one commit: each takes up to six operations of a hundred, and the rest is for the key, the
/// event, and those for whom they were counted.
const AT_ONCE: usize = 12;

/// An entry that may go.
struct Candidate {
    facts: Facts,
    version: Version,
    /// What tells it from all others.
    id: String,
    artifact: Sha512,
    /// Where it is kept, when it lies in a blob.
    blob: Option<String>,
    counted: (Option<String>, u64),
    /// Whether the artifact is there.
    has_artifact: bool,
    /// What it says about others of its key, and who put it there.
    standing: Standing,
}

/// Those that do not stay, in the order in which they go.
fn going(candidates: Vec<Candidate>, stays: Vec<bool>) -> Vec<Candidate> {
    let standings: Vec<&Standing> = candidates.iter().map(|candidate| &candidate.standing).collect();
    let going = spared::going(&standings, stays);
    let mut candidates: Vec<Option<Candidate>> = candidates.into_iter().map(Some).collect();
    going.into_iter().filter_map(|at| candidates[at].take()).collect()
}

/// An entry that somebody may want to remove.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryFacts {
    /// The artifact that it names.
    pub artifact: Sha512,
    /// Whether that is there.
    pub has_artifact: bool,
    /// Who put it there.
    pub by: String,
    /// Whether it withdraws others.
    pub is_withdrawal: bool,
}

impl Round<'_> {
    pub(super) async fn entries(&mut self) -> Result<(), MaintainError> {
        if self.rules.retention.keeps_everything() {
            return Ok(());
        }
        let mut overall = Overall::default();
        if self.rules.retention.looks_at_all_keys() {
            self.each_key(&mut overall, true).await?;
        }
        self.each_key(&mut overall, false).await
    }

    /// Goes through all keys: counts their entries in, or removes those that do not stay.
    async fn each_key(&mut self, overall: &mut Overall, counts: bool) -> Result<(), MaintainError> {
        let mut next = Some(Page::first(PAGE));
        while let Some(page) = next {
            let found = self.cache.tables.key.list(page).await?;
            for (key, _) in &found.entries {
                if self.is_stopped() {
                    return Ok(());
                }
                // What is there was a key once; keys do not become stricter.
                let Ok(key) = key.parse::<EntryKey>() else { continue };
                match counts {
                    true => self.count_key(&key, overall).await?,
                    false => self.key(&key, overall).await?,
                }
            }
            next = found.next;
        }
        Ok(())
    }

    async fn count_key(&mut self, key: &EntryKey, overall: &mut Overall) -> Result<(), MaintainError> {
        for candidate in self.candidates(key).await? {
            overall.add(&self.rules.retention, key.as_str(), &candidate.facts);
        }
        Ok(())
    }

    /// Removes the entries of `key` that do not stay.
    async fn key(&mut self, key: &EntryKey, overall: &Overall) -> Result<(), MaintainError> {
        if self.cache.is_pinned(&Pinned::Key(key.clone())).await? {
            return Ok(());
        }
        let candidates = self.candidates(key).await?;
        let facts: Vec<Facts> = candidates.iter().map(|candidate| candidate.facts).collect();
        let kept = self.rules.retention.kept(key.as_str(), &facts, overall, self.now);
        let going = going(candidates, kept);
        for some in going.chunks(AT_ONCE) {
            if self.is_stopped() {
                return Ok(());
            }
            if !self.is_dry && !self.remove(key, some).await? {
                // Another process is at it; what is left is looked at in the next round.
                return Ok(());
            }
            self.collected.entries += some.len() as u64;
            if !self.is_dry {
                for blob in some.iter().filter_map(|gone| gone.blob.as_deref()) {
                    self.remove_blob(blob).await?;
                }
            }
            for gone in some {
                let (artifact, at) = (gone.artifact, gone.facts.at);
                self.tell(Removed::Entry { key: key.clone(), artifact, at });
            }
        }
        Ok(())
    }

    /// All entries of `key` that can be read, as far as the rules look at them. One that is damaged stays.
    async fn candidates(&self, key: &EntryKey) -> Result<Vec<Candidate>, MaintainError> {
        let prefix = format!("{ENTRIES}{}/", key.id());
        let table = Table::<EntryRecord>::new(self.cache.ground.engine.clone(), &prefix)?;
        let mut candidates = Vec::new();
        let mut next = Some(Page::first(PAGE));
        while let Some(page) = next {
            let found = table.list(page).await?;
            for (place, loaded) in found.entries {
                let Some(candidate) = self.candidate(key, &place, loaded).await? else { continue };
                candidates.push(candidate);
            }
            next = found.next;
        }
        Ok(candidates)
    }

    async fn candidate(
        &self,
        key: &EntryKey,
        place: &str,
        loaded: Loaded<EntryRecord>,
    ) -> Result<Option<Candidate>, MaintainError> {
        let Loaded { record, version } = loaded;
        let Ok(place) = place.parse() else { return Ok(None) };
        let (text, signature, blob) = match record.body {
            BodyRecord::Here { text, signature } => (text, signature, None),
            BodyRecord::Blob { blob, .. } => match self.long(&blob).await? {
                Some((text, signature)) => (text, signature, Some(blob)),
                // What cannot be read stays.
                None => return Ok(None),
            },
        };
        let Ok(entry) = Entry::new(text, signature) else { return Ok(None) };
        let (artifact, id, bytes) =
            (entry.statement().sha512(), append::id(&entry), append::bytes_of(&entry));
        let at = Timestamp::from_unix(record.at);
        let members = || Some(entry.statement().members().clone());
        let rule = self.rules.retention.rule(key.as_str(), members);
        let standing = Standing::of(&entry, key, record.by, self.cache.signers.as_ref());
        let found = self.cache.tables.artifact.get(&artifact.to_string()).await?;
        let used_at = match &found {
            Some(found) => self.cache.used_at_most(artifact, &found.record).await?.max(at),
            None => at,
        };
        let has_artifact = found.is_some();
        let facts = Facts { place, at, used_at, rule };
        let counted = (record.counted_for, bytes);
        Ok(Some(Candidate { facts, version, id, artifact, blob, counted, has_artifact, standing }))
    }

    /// Removes the blob of an entry that went, unless something else is in it, or somebody kept it again just now.
    async fn remove_blob(&self, blob: &str) -> Result<(), MaintainError> {
        let Some(digest) = Sha512::parse(blob) else { return Ok(()) };
        if !self.cache.is_written_down(digest).await?
            && !self.cache.ground.blobs.remove(digest, Some(self.now - self.rules.grace)).await?
        {
            // It came lately: when its time of grace is over.
            self.cache.refuse(digest);
        }
        Ok(())
    }

    /// An entry that lies in a blob, if it can be read: its text and its signature.
    async fn long(&self, blob: &str) -> Result<Option<(String, String)>, MaintainError> {
        let Some(digest) = Sha512::parse(blob) else { return Ok(None) };
        match self.cache.long_entry(digest).await {
            Ok(pair) => Ok(Some(pair)),
            Err(LongError::Damaged(_)) => Ok(None),
            Err(LongError::Blobs(error)) => Err(error.into()),
        }
    }

    /// Whether these entries were removed; `false` when somebody else did.
    async fn remove(&self, key: &EntryKey, going: &[Candidate]) -> Result<bool, MaintainError> {
        let _turn = self.cache.turn(key.as_str()).await;
        let mut attempts = 0;
        loop {
            let Some(batch) = self.removal(key, going).await? else { return Ok(false) };
            match self.cache.ground.engine.commit(batch).await {
                Ok(_) => return Ok(true),
                // Done, if the store did not say so, or done by somebody else.
                Err(CommitError::Conflict { .. } | CommitError::Unknown { .. })
                    if attempts < ATTEMPTS_MAX =>
                {
                    attempts += 1;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// What removes these entries; nothing when one of them is not there any more.
    async fn removal(&self, key: &EntryKey, going: &[Candidate]) -> Result<Option<Batch>, MaintainError> {
        let (cache, tables) = (self.cache, &self.cache.tables);
        let mut batch = Batch::new();
        let Some(found) = tables.key.get(key.as_str()).await? else { return Ok(None) };
        if self.heeds_pins {
            let pin = Pinned::Key(key.clone());
            if cache.is_pinned(&pin).await? {
                return Ok(None);
            }
            cache.expect_unpinned(&mut batch, &pin)?;
        }
        for gone in going {
            let place = append::place(key, gone.facts.place);
            if tables.entry.get(&place).await?.is_none() {
                return Ok(None);
            }
            tables.entry.remove(&mut batch, &place, gone.version)?;
            let same = format!("{}/{}", key.id(), gone.id);
            match self.heeds_pins && is_fetched(&gone.standing.by) {
                // The cache behind this one has it still, as far as is known.
                true => tables.same.put(&mut batch, &same, &SameRecord { place: None, gone: true })?,
                false => tables.same.delete(&mut batch, &same)?,
            }
            tables.named.delete(&mut batch, &format!("{}/{place}", gone.artifact))?;
            if let Some(blob) = &gone.blob {
                tables.long.delete(&mut batch, &format!("{blob}/{place}"))?;
            }
        }
        let mut artifacts: Vec<Sha512> = going.iter().map(|gone| gone.artifact).collect();
        artifacts.sort_unstable();
        artifacts.dedup();
        for artifact in artifacts {
            self.unname(&mut batch, key, artifact, going).await?;
        }
        let left = found.record.entries.saturating_sub(going.len() as u64);
        match left {
            0 => tables.key.remove(&mut batch, key.as_str(), found.version)?,
            entries => {
                let record = KeyRecord { entries, ..found.record };
                tables.key.update(&mut batch, key.as_str(), &record, found.version)?;
            }
        }
        cache.uncount(&mut batch, going.iter().map(|gone| gone.counted.clone())).await?;
        let event = Happened::EntriesRemoved { key, count: going.len() };
        let event = event.event(self.permit.by(), &cache.ground.clock);
        cache.history.append(&mut batch, &event, &cache.ground.entropy)?;
        Ok(Some(batch))
    }

    /// When no entry but those that go names `artifact`, its time of grace begins.
    async fn unname(
        &self,
        batch: &mut Batch,
        key: &EntryKey,
        artifact: Sha512,
        going: &[Candidate],
    ) -> Result<(), store::Error> {
        let id = artifact.to_string();
        let Some(found) = self.cache.tables.artifact.get(&id).await? else { return Ok(()) };
        let going: Vec<String> = going.iter().map(|gone| append::place(key, gone.facts.place)).collect();
        let names = self.cache.names(artifact, going.len() + 1).await?;
        if names.iter().any(|place| !going.contains(place)) {
            return Ok(());
        }
        let record =
            ArtifactRecord { unnamed_since: Some(self.now.as_unix()), never_named: false, ..found.record };
        self.cache.tables.artifact.update(batch, &id, &record, found.version)
    }
}

impl Cache {
    /// Removes those entries of `key` of which `goes` says so, pinned or not, but for those that others stand on. How many.
    ///
    /// # Errors
    /// [`MaintainError`]; what was removed by then is removed.
    pub async fn remove_entries(
        &self,
        permit: &Permit<Maintain>,
        key: &EntryKey,
        goes: &(dyn Fn(&EntryFacts) -> bool + Sync),
    ) -> Result<u64, MaintainError> {
        let (rules, now) = (Rules::keeping_everything(), self.ground.clock.now());
        let collected = Collected::default();
        let round = Round {
            cache: self,
            permit,
            rules: &rules,
            now,
            is_dry: false,
            heeds_pins: false,
            stop: &|| false,
            collected,
        };
        let candidates = round.candidates(key).await?;
        let stays = candidates.iter().map(|candidate| {
            let Candidate { artifact, has_artifact, standing, .. } = candidate;
            let is_withdrawal = !standing.revokes.is_empty();
            let (artifact, has_artifact, by) = (*artifact, *has_artifact, standing.by.clone());
            !goes(&EntryFacts { artifact, has_artifact, by, is_withdrawal })
        });
        let stays = stays.collect();
        let going = going(candidates, stays);
        let mut removed = 0;
        for some in going.chunks(AT_ONCE) {
            if !round.remove(key, some).await? {
                break;
            }
            for blob in some.iter().filter_map(|gone| gone.blob.as_deref()) {
                round.remove_blob(blob).await?;
            }
            removed += some.len() as u64;
        }
        Ok(removed)
    }

    /// Which entries name an artifact, the first `limit` of them: the id of the key, `/`, and the place.
    pub(crate) async fn names(&self, artifact: Sha512, limit: usize) -> Result<Vec<String>, store::Error> {
        let prefix = format!("{NAMED}{artifact}/");
        let table = Table::<crate::record::NamedRecord>::new(self.ground.engine.clone(), &prefix)?;
        let page = table.list(Page::first(limit)).await?;
        Ok(page.entries.into_iter().map(|(place, _)| place).collect())
    }
}
