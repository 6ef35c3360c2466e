//! A commit in the making: the one place where hosts are written, with everything that is derived from them.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_lock::MutexGuard;
use identity::Principal;
use store::{Batch, CommitError, Key, Loaded, Page, Table, Version};

use crate::event::Happened;
use crate::index;
use crate::record::{HostRecord, MarkRecord, TallyRecord};
use crate::service::Fleet;
use crate::tally::{self, PARTS, Shift};

/// How often a commit is tried again when others were faster.
const ATTEMPTS_MAX: usize = 64;

/// What is to be committed.
#[derive(Default)]
pub(crate) struct Draft {
    pub(crate) batch: Batch,
    /// How the counts change, by cluster and part.
    shifts: BTreeMap<(String, u8), Shift>,
    /// A cluster that must have no hosts afterwards.
    emptied: Option<String>,
    /// What is to be told once it is done: what, about what, by whom.
    told: Vec<(String, String, String)>,
}

/// Somebody's place among those who try to commit. Who was overtaken once waits for their turn, so that in one
/// process nobody is overtaken for ever, and nobody waits who has no rival. There is one for each commit: with two
/// at once, somebody would wait for themselves.
#[derive(Default)]
pub(crate) struct Line<'f> {
    attempts: usize,
    turn: Option<MutexGuard<'f, ()>>,
}

impl Draft {
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
        self.history.append(&mut draft.batch, &event, &self.ground.entropy)?;
        draft.told.push((event.what, event.about, event.by));
        Ok(())
    }

    /// Writes a host, removes one, or makes a new one, with all that is derived from it.
    pub(crate) fn stage_host(
        &self,
        draft: &mut Draft,
        before: Option<&Loaded<HostRecord>>,
        after: Option<&HostRecord>,
    ) -> Result<(), store::Error> {
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
    /// [`CommitError::Conflict`] when others were faster too often, otherwise the store's.
    pub(crate) async fn commit<'f>(
        &'f self,
        mut draft: Draft,
        line: &mut Line<'f>,
    ) -> Result<Option<Version>, CommitError> {
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
        match self.ground.engine.commit(draft.batch).await {
            Ok(revision) => {
                for (what, about, by) in draft.told {
                    tracing::info!(%about, %by, "{what}");
                }
                Ok(Some(Version(revision)))
            }
            Err(CommitError::Conflict { key }) => {
                self.overtaken(line, key).await?;
                Ok(None)
            }
            Err(error) => Err(error),
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
            line.turn = Some(self.overtaken.lock().await);
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
