//! A commit in the making: the one place where hosts are written, with everything that is derived from them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_lock::MutexGuard;
use identity::Principal;
use store::{Batch, CommitError, Event, Expect, Key, Loaded, Page, Table, Version};

use crate::event::Happened;
use crate::index;
use crate::record::{HostRecord, MarkRecord, TallyRecord};
use crate::service::Fleet;
use crate::tally::{self, PARTS, Shift};

/// How often a commit is tried again when others were faster.
const ATTEMPTS_MAX: usize = 64;
/// After so many attempts nobody of this process comes in between any more.
const PATIENCE: usize = 8;
/// How often a commit is offered again when the store did not say whether it was done.
const DOUBTS_MAX: usize = 3;

/// What is to be committed.
#[derive(Default)]
pub(crate) struct Draft {
    pub(crate) batch: Batch,
    /// How the counts change, by cluster and part.
    shifts: BTreeMap<(String, u8), Shift>,
    /// A cluster that must have no hosts afterwards.
    emptied: Option<String>,
    /// Clusters whose hosts are not being changed by somebody else, in more commits than one.
    settled: BTreeSet<String>,
    /// The change of many hosts that this is a part of.
    part_of: Option<PartOf>,
    /// What the history says of it.
    event: Option<Recorded>,
}

/// A change of many hosts of a cluster, as it must be found for a commit that goes on with it.
#[derive(Debug, Clone)]
pub(crate) struct PartOf {
    pub(crate) cluster: String,
    pub(crate) version: Version,
    /// How many others it is gone on with for, one waiting for the other.
    pub(crate) depth: usize,
}

/// An event that is part of a draft.
struct Recorded {
    /// Its key. It is nobody else's, so the commit was done if it is there, and cannot be done twice.
    key: Key,
    what: String,
    about: String,
    by: String,
    facts: BTreeMap<String, String>,
}

/// Somebody's place among those who try to commit. Who was overtaken once waits for their turn, and newcomers for who
/// was overtaken too often, so that in one process nobody is overtaken for ever, and nobody waits who has no rival.
/// There is one for each commit: with two at once, somebody would wait for themselves.
#[derive(Default)]
pub(crate) struct Line<'f> {
    attempts: usize,
    doubts: usize,
    turn: Option<Turn<'f>>,
}

/// The turn of somebody who was overtaken.
struct Turn<'f> {
    _guard: MutexGuard<'f, ()>,
    /// Whether it was overtaken so often that newcomers wait for it.
    is_pressed: &'f AtomicBool,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.is_pressed.store(false, Ordering::Relaxed);
    }
}

impl Line<'_> {
    /// Lets others go first, while something else is waited for.
    pub(crate) fn step_aside(&mut self) {
        self.turn = None;
    }

    /// How often the store did not say whether it was done.
    pub(crate) fn doubts(&self) -> usize {
        self.doubts
    }
}

impl Draft {
    /// A commit that goes on with a change of many hosts.
    pub(crate) fn part_of(part_of: PartOf) -> Self {
        Self { part_of: Some(part_of), ..Self::default() }
    }

    /// Commits only while nobody is at a change of many hosts of `cluster`: whoever meets one sees it to its end first.
    pub(crate) fn comes_after_regrouping(&mut self, cluster: &str) {
        self.settled.insert(cluster.to_owned());
    }

    /// Whoever has a host come or go, or takes it from who has reserved it, does so when nobody is at a change of many
    /// hosts that it is part of.
    fn keeps_order(&mut self, before: Option<&HostRecord>, after: Option<&HostRecord>) {
        let (was, is) =
            (before.and_then(|host| host.cluster.as_deref()), after.and_then(|host| host.cluster.as_deref()));
        if was != is {
            self.settled.extend([was, is].into_iter().flatten().map(str::to_owned));
        }
        let (had, has) =
            (before.and_then(|host| host.joining.as_deref()), after.and_then(|host| host.joining.as_deref()));
        if had != has {
            self.settled.extend(had.map(str::to_owned));
        }
    }

    /// Changes the counts of a host's cluster, if it has one.
    pub(crate) fn count(&mut self, host: &HostRecord, change: impl FnOnce(&mut Shift, &str)) {
        if let Some(cluster) = &host.cluster {
            let part = (cluster.clone(), tally::part(&host.address));
            change(self.shifts.entry(part).or_default(), &host.status);
        }
    }

    /// Commits only if `cluster` has no hosts then.
    pub(crate) fn leaves_empty(&mut self, cluster: &str) {
        self.emptied = Some(cluster.to_owned());
    }
}

impl Fleet {
    /// Adds to the history what the rest of the draft makes true.
    pub(crate) fn record_event(
        &self,
        draft: &mut Draft,
        happened: &Happened<'_>,
        by: &Principal,
    ) -> Result<(), store::Error> {
        let event = happened.event(by, &self.ground.clock);
        self.record_as(draft, event, self.ground.entropy.number())
    }

    /// As [`Self::record_event`], of an event whose number is known already.
    pub(crate) fn record_as(&self, draft: &mut Draft, event: Event, number: u64) -> Result<(), store::Error> {
        let key = self.history.append_as(&mut draft.batch, &event, number)?;
        draft.batch.expect(key.clone(), Expect::Absent);
        draft.event =
            Some(Recorded { key, what: event.what, about: event.about, by: event.by, facts: event.facts });
        Ok(())
    }

    /// Writes a host, removes one, or makes a new one, with all that is derived from it.
    pub(crate) fn stage_host(
        &self,
        draft: &mut Draft,
        before: Option<&Loaded<HostRecord>>,
        after: Option<&HostRecord>,
    ) -> Result<(), store::Error> {
        draft.keeps_order(before.map(|before| &before.record), after);
        let batch = &mut draft.batch;
        match (before, after) {
            (None, None) => return Ok(()),
            (None, Some(after)) => self.tables.host.create(batch, &after.address, after)?,
            (Some(before), Some(after)) => {
                self.tables.host.update(batch, &after.address, after, before.version)?;
            }
            (Some(before), None) => {
                self.tables.host.remove(batch, &before.record.address, before.version)?;
            }
        }
        let before = before.map(|before| &before.record);
        let old = before.map(index::keys).unwrap_or_default();
        let new = after.map(index::keys).unwrap_or_default();
        for key in old.difference(&new) {
            self.tables.index.delete(batch, key)?;
        }
        for key in new.difference(&old) {
            self.tables.index.put(batch, key, &MarkRecord)?;
        }
        if let Some(before) = before {
            draft.count(before, Shift::take);
        }
        if let Some(after) = after {
            draft.count(after, Shift::add);
        }
        Ok(())
    }

    /// Commits `draft`, and gives the version of what it wrote; `None` when others were faster: decide anew.
    ///
    /// # Errors
    /// [`CommitError::Conflict`] when others were faster too often; [`CommitError::Unknown`] when the store could not
    /// be brought to say whether it was done; otherwise the store's.
    pub(crate) async fn commit<'f>(
        &'f self,
        mut draft: Draft,
        line: &mut Line<'f>,
    ) -> Result<Option<Version>, CommitError> {
        if line.turn.is_none() && self.is_pressed.load(Ordering::Relaxed) {
            drop(self.overtaken.lock().await);
            return Ok(None);
        }
        if let Some(cluster) = draft.emptied.take()
            && !self.stage_emptiness(&mut draft, &cluster).await?
        {
            let key = self.tables.cluster.key(&cluster)?;
            self.overtaken(line, key).await?;
            return Ok(None);
        }
        for ((cluster, part), shift) in &draft.shifts {
            if !shift.is_empty() {
                let name = tally::part_name(*part);
                let parts = self.tally_parts(cluster)?;
                let found = parts.get(&name).await?;
                stage_part(&mut draft.batch, &parts, &name, found, shift)?;
            }
        }
        let part_of = draft.part_of.take();
        for cluster in &draft.settled {
            if part_of.as_ref().is_none_or(|own| own.cluster != *cluster) {
                self.tables.regrouping.expect_absent(&mut draft.batch, cluster)?;
            }
        }
        if let Some(own) = &part_of {
            self.tables.regrouping.expect_at(&mut draft.batch, &own.cluster, own.version)?;
        }
        match self.commit_surely(draft.batch, draft.event.as_ref(), line).await? {
            Done::Yes(version) => {
                if let Some(Recorded { what, about, by, facts, .. }) = draft.event {
                    let fact = |name| facts.get(name).map(String::as_str);
                    tracing::info!(%about, %by, status = fact("status"), reason = fact("reason"), "{what}");
                }
                Ok(Some(version))
            }
            Done::No(key) => {
                if let Some(cluster) = self.tables.regrouping.prefix().rest(&key)
                    && part_of.as_ref().is_none_or(|own| own.cluster != cluster)
                {
                    // Those who see it to its end take their turns as well.
                    line.step_aside();
                    self.settle(cluster, part_of.map_or(0, |own| own.depth + 1)).await?;
                }
                self.overtaken(line, key).await?;
                Ok(None)
            }
            Done::Perhaps => Ok(None),
        }
    }

    /// Commits `batch`. When the store does not say whether it was done, it is looked up by the event that is part of
    /// it, and the very same offered again if it was not: it cannot be done twice, as it expects that event to be
    /// absent.
    async fn commit_surely(
        &self,
        batch: Batch,
        event: Option<&Recorded>,
        line: &mut Line<'_>,
    ) -> Result<Done, CommitError> {
        let mut doubt = None;
        loop {
            let error = match self.ground.engine.commit(batch.clone()).await {
                Ok(revision) => return Ok(Done::Yes(Version(revision))),
                Err(error) => error,
            };
            match (error, doubt.take()) {
                (CommitError::Conflict { key }, None) => return Ok(Done::No(key)),
                (error @ CommitError::Unknown { .. }, _) => {
                    // Without an event it is nothing that anybody asked for, but for the beginning of a change of many
                    // hosts, which sees to that itself: what is there says what is to be done.
                    let Some(event) = event else { return in_doubt(error, line) };
                    tracing::debug!(about = event.about, %error, "looking whether a commit was done");
                    if let Some(version) = self.is_done(event, &error).await? {
                        return Ok(Done::Yes(version));
                    }
                    line.doubts += 1;
                    if line.doubts > DOUBTS_MAX {
                        return Err(error);
                    }
                    doubt = Some(error);
                }
                (again, Some(doubt)) => {
                    let version = match event {
                        Some(event) => self.is_done(event, &doubt).await?,
                        None => None,
                    };
                    return match (version, again) {
                        (Some(version), _) => Ok(Done::Yes(version)),
                        (None, CommitError::Conflict { key }) if is_spent(&batch, &key) => Ok(Done::No(key)),
                        // The first attempt may still be under way, and nothing might stop it.
                        (None, _) => Err(doubt),
                    };
                }
                (error, None) => return Err(error),
            }
        }
    }

    /// The version of what a commit wrote, if it was done. When that cannot be read either, it is still not known.
    async fn is_done(&self, event: &Recorded, doubt: &CommitError) -> Result<Option<Version>, CommitError> {
        match self.ground.engine.get(&event.key).await {
            Ok(found) => Ok(found.map(|found| found.version)),
            Err(error) => {
                tracing::debug!(%error, "it cannot be looked up");
                Err(doubt.clone())
            }
        }
    }

    /// Waits until it makes sense to try again.
    ///
    /// # Errors
    /// [`CommitError::Conflict`] about `key` when it does not any more.
    pub(crate) async fn overtaken<'f>(&'f self, line: &mut Line<'f>, key: Key) -> Result<(), CommitError> {
        line.attempts += 1;
        if line.attempts == ATTEMPTS_MAX {
            return Err(CommitError::Conflict { key });
        }
        if line.turn.is_none() {
            line.turn = Some(Turn { _guard: self.overtaken.lock().await, is_pressed: &self.is_pressed });
        }
        if line.attempts == PATIENCE {
            self.is_pressed.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Expects that `cluster` has no hosts besides those that leave it. Whether that can be so.
    async fn stage_emptiness(&self, draft: &mut Draft, cluster: &str) -> Result<bool, store::Error> {
        let parts = self.tally_parts(cluster)?;
        let mut found: BTreeMap<String, Loaded<TallyRecord>> =
            parts.list(Page::full()).await?.entries.into_iter().collect();
        for part in 0..PARTS {
            let name = tally::part_name(part);
            let shift = draft.shifts.remove(&(cluster.to_owned(), part)).unwrap_or_default();
            let found = found.remove(&name);
            let record = found.as_ref().map(|found| found.record.clone()).unwrap_or_default();
            if !shift.applied(&record).hosts.is_empty() {
                return Ok(false);
            }
            match found {
                Some(found) => parts.remove(&mut draft.batch, &name, found.version)?,
                None => parts.expect_absent(&mut draft.batch, &name)?,
            }
        }
        Ok(true)
    }

    /// Expects that the hosts of `cluster` are counted as they were in `seen`: so they are the same.
    pub(crate) fn expect_parts(
        &self,
        draft: &mut Draft,
        cluster: &str,
        seen: &[(String, Loaded<TallyRecord>)],
    ) -> Result<(), store::Error> {
        let parts = self.tally_parts(cluster)?;
        for part in 0..PARTS {
            let name = tally::part_name(part);
            match seen.iter().find(|(seen, _)| *seen == name) {
                Some((_, seen)) => parts.expect_at(&mut draft.batch, &name, seen.version)?,
                None => parts.expect_absent(&mut draft.batch, &name)?,
            }
        }
        Ok(())
    }

    /// The parts in which the hosts of `cluster` are counted.
    pub(crate) fn tally_parts(&self, cluster: &str) -> Result<Table<TallyRecord>, store::Error> {
        Table::new(Arc::clone(&self.ground.engine), &format!("{}{cluster}/", tally::PREFIX))
    }
}

/// What came of a commit.
enum Done {
    /// It was done, and what it wrote has this version.
    Yes(Version),
    /// It was not: this key is not as it was expected to be.
    No(Key),
    /// That is not known, and does not matter: decide by what is there now.
    Perhaps,
}

/// After a commit of which nobody knows whether it was done: to decide anew, but not for ever.
fn in_doubt(error: CommitError, line: &mut Line<'_>) -> Result<Done, CommitError> {
    line.doubts += 1;
    if line.doubts > DOUBTS_MAX { Err(error) } else { Ok(Done::Perhaps) }
}

/// Whether a batch that conflicted about `key` conflicts for ever: no key ever comes back to a version that it was
/// expected to be at. One that was expected to be absent may be deleted again.
fn is_spent(batch: &Batch, key: &Key) -> bool {
    batch.expectations().iter().any(|(about, expected)| about == key && matches!(expected, Expect::At(_)))
}

/// Writes the counts of one part as they are after `shift`.
fn stage_part(
    batch: &mut Batch,
    parts: &Table<TallyRecord>,
    name: &str,
    found: Option<Loaded<TallyRecord>>,
    shift: &Shift,
) -> Result<(), store::Error> {
    let version = found.as_ref().map(|found| found.version);
    let after = shift.applied(&found.map(|found| found.record).unwrap_or_default());
    match version {
        Some(version) if after.hosts.is_empty() => parts.remove(batch, name, version),
        None if after.hosts.is_empty() => parts.expect_absent(batch, name),
        _ => parts.put_over(batch, name, &after, version),
    }
}
