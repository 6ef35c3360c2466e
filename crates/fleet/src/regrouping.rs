//! A change of more hosts of a cluster than one commit takes, which others find done or not done all the same.
//!
//! ```text
//! gathering   /fleet/regrouping/CLUSTER, whose hosts nobody else changes from now on; which hosts are to come and go
//! reserving   each host that is to come, in the order of their addresses: nobody else takes it from now on
//! moving      decided, in one commit with the first group and the event that tells of it; the others follow
//! undoing     one could not come: those that are reserved are let go, and nothing was changed
//! deleting    the cluster goes, which is decided as it begins, in one commit with the event that tells of it and with
//!             the end of its operation: all hosts leave, group by group, and the cluster's record goes with the change's
//! ```
//! Whoever meets such a change sees it to its end first, and decides anew about what is there then: so of two writers
//! one comes first, nobody waits for somebody who has died, and nothing is left half done. Who sees a change to its end
//! may meet another one, which has reserved what it is about to reserve: but all reserve in the same order, so nobody
//! waits for themselves. Each commit expects the change to be as far as it was found.
//!
//! Whoever began it finds out by the event in the history what came of it, whoever saw it to its end.

mod steps;

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use identity::Principal;
use store::{CommitError, Event, Loaded, Page, Table, Version};

use crate::address::HostAddress;
use crate::cluster::ClusterError;
use crate::draft::{Draft, Line, PartOf};
use crate::error::ListError;
use crate::event::Happened;
use crate::members::Move;
use crate::name::ClusterName;
use crate::record::{ClusterRecord, MovesRecord, RegroupingRecord, RegroupingStage, TallyRecord};
use crate::service::{Fleet, ids, unreadable};
use steps::Reserved;

/// Where the hosts of a change are; the cluster's name and the change's id follow.
const HOSTS: &str = "/fleet/regrouping-hosts/";
/// How many bytes of addresses one record has, so that several are far from what one commit takes.
const PART_BYTES_MAX: usize = 128 * 1024;
/// How many groups of hosts, reserved or moved, are one step of those who go on with what others left.
const GROUPS_AT_ONCE: usize = 200;
/// How many changes wait for each other in a row. They cannot wait in a circle, unless somebody else wrote into the
/// store: then one of them is given up.
const DEPTH_MAX: usize = 16;

/// A change as it was asked for: one and the same, however often it is begun.
pub(crate) struct Regrouping {
    id: u64,
    at_milliseconds: i64,
    by: String,
    from: Option<String>,
}

/// A change as it was found.
struct Found<'a> {
    name: &'a ClusterName,
    change: Loaded<RegroupingRecord>,
    moves: Vec<Move>,
    depth: usize,
    pace: Option<&'a Pace<'a>>,
}

/// How far those come at a time who go on with what others left; whoever needs it to be at its end has no such limit.
struct Pace<'a> {
    groups_left: AtomicUsize,
    is_stopping: &'a (dyn Fn() -> bool + Sync),
}

impl Pace<'_> {
    fn is_over(&self) -> bool {
        (self.is_stopping)() || self.groups_left.load(Ordering::Relaxed) == 0
    }
}

impl Regrouping {
    fn record(&self, stage: RegroupingStage, parts: &[MovesRecord]) -> RegroupingRecord {
        RegroupingRecord {
            id: self.id,
            at_milliseconds: self.at_milliseconds,
            by: self.by.clone(),
            from: self.from.clone(),
            stage,
            parts: parts.len(),
        }
    }
}

impl Fleet {
    /// What was asked for by `by`, to be begun.
    pub(crate) fn regrouping(&self, by: &Principal) -> Regrouping {
        Regrouping {
            id: self.ground.entropy.number(),
            at_milliseconds: self.ground.clock.now_milliseconds(),
            by: by.name().to_owned(),
            from: by.from().map(|address| address.to_string()),
        }
    }

    /// Begins a change of a cluster that has `counts`: the version of its record; `None` when others were faster, or when
    /// nobody knows whether it was begun: then it was begun by now, or never will be, which [`Self::settle`] and
    /// [`Self::is_regrouped`] tell. [`Self::regroup`] goes on with it.
    ///
    /// The cluster's record is written as it is. So no two attempts to begin are both done, however late the store does
    /// one of them, and [`Self::spend`] can make sure that one is not done any more.
    pub(crate) async fn begin_regrouping<'f>(
        &'f self,
        asked: &Regrouping,
        (name, cluster): (&ClusterName, &Loaded<ClusterRecord>),
        counts: &[(String, Loaded<TallyRecord>)],
        parts: &[MovesRecord],
        line: &mut Line<'f>,
    ) -> Result<Option<Version>, CommitError> {
        let stage = if parts.len() == 1 { RegroupingStage::Reserving } else { RegroupingStage::Gathering };
        let mut draft = Draft::default();
        self.tables.regrouping.create(&mut draft.batch, name.as_str(), &asked.record(stage, parts))?;
        if let Some(part) = parts.first() {
            let table = self.regrouping_hosts(name, asked.id)?;
            table.put(&mut draft.batch, &place_name(0), part)?;
        }
        self.tables.cluster.update(&mut draft.batch, name.as_str(), &cluster.record, cluster.version)?;
        self.expect_parts(&mut draft, name.as_str(), counts)?;
        let doubts = line.doubts();
        let version = self.commit(draft, line).await?;
        // Those who see it to its end take their turns as well.
        line.step_aside();
        if line.doubts() > doubts {
            self.spend(name, cluster.version, line).await?;
        }
        Ok(version)
    }

    /// Decides that a cluster goes with all its hosts, as it was found; its id in [`Self::see_through`], or `None` when
    /// others were faster. Whoever wants something of the cluster then sees it to its end, and finds none.
    ///
    /// The cluster's record is written as it is, so that whoever has read it before that finds out.
    pub(crate) async fn decide_deletion<'f>(
        &'f self,
        asked: &Regrouping,
        (name, cluster): (&ClusterName, &Loaded<ClusterRecord>),
        by: &Principal,
        line: &mut Line<'f>,
    ) -> Result<Option<u64>, CommitError> {
        let mut draft = Draft::default();
        let record = asked.record(RegroupingStage::Deleting, &[]);
        self.tables.regrouping.create(&mut draft.batch, name.as_str(), &record)?;
        self.tables.cluster.update(&mut draft.batch, name.as_str(), &cluster.record, cluster.version)?;
        self.stage_end_of_operations(&mut draft, name, by).await?;
        let event = Happened::ClusterDeleted { cluster: name }.event(by, &self.ground.clock);
        let event = Event { at_milliseconds: asked.at_milliseconds, ..event };
        self.record_as(&mut draft, event, asked.id)?;
        if self.commit(draft, line).await?.is_none() {
            return Ok(None);
        }
        // Those who see it to its end take their turns as well.
        line.step_aside();
        Ok(Some(asked.id))
    }

    /// Sees the deletion of a cluster to its end, if that is decided; whether it was.
    ///
    /// # Errors
    /// [`ClusterError::Going`], or the store's.
    pub(crate) async fn settle_deletion(
        &self,
        cluster: &ClusterName,
        line: &mut Line<'_>,
    ) -> Result<bool, ClusterError> {
        if !self.is_deleting(cluster).await? {
            return Ok(false);
        }
        line.step_aside();
        let settled = self.settle(cluster.as_str(), 0).await;
        settled.map_err(|source| ClusterError::Going { cluster: cluster.clone(), source })
    }

    /// Whether it is decided that a cluster goes, which still has hosts.
    ///
    /// # Errors
    /// The store's.
    pub async fn is_going(&self, cluster: &ClusterName) -> Result<bool, ListError> {
        Ok(self.is_deleting(cluster).await?)
    }

    async fn is_deleting(&self, cluster: &ClusterName) -> Result<bool, store::Error> {
        let change = self.tables.regrouping.get(cluster.as_str()).await?;
        Ok(change.is_some_and(|change| change.record.stage == RegroupingStage::Deleting))
    }

    /// Makes sure that a commit that writes a cluster's record over this version, and may be under way yet, was done by
    /// now or never will be: the record has another version then.
    async fn spend<'f>(
        &'f self,
        name: &ClusterName,
        version: Version,
        line: &mut Line<'f>,
    ) -> Result<(), CommitError> {
        while let Some(found) = self.tables.cluster.get(name.as_str()).await?
            && found.version == version
        {
            let mut draft = Draft::default();
            self.tables.cluster.update(&mut draft.batch, name.as_str(), &found.record, version)?;
            self.commit(draft, line).await?;
            line.step_aside();
        }
        Ok(())
    }

    /// Goes on with a change that was begun at `version`, and sees it to its end, if nobody is faster.
    /// [`Self::is_regrouped`] tells what came of it.
    pub(crate) async fn regroup(
        &self,
        asked: &Regrouping,
        name: &ClusterName,
        version: Version,
        parts: &[MovesRecord],
    ) -> Result<(), CommitError> {
        let table = self.regrouping_hosts(name, asked.id)?;
        for (place, part) in parts.iter().enumerate().skip(1) {
            let mut line = Line::default();
            loop {
                let part_of = PartOf { cluster: name.to_string(), version, depth: 0 };
                let mut draft = Draft::part_of(part_of);
                table.put(&mut draft.batch, &place_name(place), part)?;
                if place + 1 == parts.len() {
                    let record = asked.record(RegroupingStage::Reserving, parts);
                    self.tables.regrouping.put(&mut draft.batch, name.as_str(), &record)?;
                }
                if self.commit(draft, &mut line).await?.is_some() {
                    break;
                }
                let found = self.tables.regrouping.get(name.as_str()).await?;
                if found.is_none_or(|found| found.version != version) {
                    return self.see_through(name, asked.id, 0).await;
                }
            }
        }
        self.see_through(name, asked.id, 0).await
    }

    /// Whether a change was decided, if it is not under way any more.
    pub(crate) async fn is_regrouped(&self, asked: &Regrouping) -> Result<bool, store::Error> {
        let key = self.history.key(asked.at_milliseconds, asked.id)?;
        Ok(self.ground.engine.get(&key).await?.is_some())
    }

    /// Sees the change of many hosts of a cluster to its end that is under way, if there is one; whether there was.
    pub(crate) fn settle<'a>(
        &'a self,
        cluster: &'a str,
        depth: usize,
    ) -> BoxFuture<'a, Result<bool, CommitError>> {
        async move {
            let Some(found) = self.tables.regrouping.get(cluster).await? else { return Ok(false) };
            let name = self.regrouped(cluster)?;
            tracing::debug!(%cluster, "seeing a change of many hosts to its end");
            self.see_through(&name, found.record.id, depth).await?;
            Ok(true)
        }
        .boxed()
    }

    /// Goes on with changes of many hosts of a cluster that are no further than when they were `seen` last, so that nobody
    /// may be at them any more, until `is_stopping`, and for so long only; the others are seen now. Whether there is more
    /// to do at once. What goes wrong with one of them is logged, and tried again with the next call.
    ///
    /// # Errors
    /// The store's, where it cannot be read which there are.
    pub async fn take_over_regroupings(
        &self,
        seen: &mut HashMap<String, Version>,
        is_stopping: &(dyn Fn() -> bool + Sync),
    ) -> Result<bool, ListError> {
        let pace = Pace { groups_left: AtomicUsize::new(GROUPS_AT_ONCE), is_stopping };
        let found = self.list(&self.tables.regrouping, Page::full()).await?.entries;
        let before = std::mem::take(seen);
        for (cluster, change) in found {
            let is_left = before.get(&cluster) == Some(&change.version);
            seen.insert(cluster.clone(), change.version);
            if !is_left || pace.is_over() {
                continue;
            }
            match self.take_over(&cluster, change.record.id, &pace).await {
                Ok(None) => {
                    seen.remove(&cluster);
                }
                Ok(Some(version)) => {
                    seen.insert(cluster, version);
                }
                Err(error) => {
                    let error = base::report(&error);
                    tracing::warn!(%cluster, %error, "a change of many hosts that was left cannot be seen to its end yet");
                }
            }
        }
        Ok(pace.is_over())
    }

    /// Goes on with one that was left: where it is then, or nothing at its end.
    async fn take_over(
        &self,
        cluster: &str,
        id: u64,
        pace: &Pace<'_>,
    ) -> Result<Option<Version>, CommitError> {
        let name = self.regrouped(cluster)?;
        tracing::debug!(%cluster, "going on with a change of many hosts that was left");
        self.see_some_through(&name, id, 0, Some(pace)).await?;
        Ok(self.tables.regrouping.get(cluster).await?.map(|change| change.version))
    }

    /// A name that stands in a key.
    fn regrouped(&self, cluster: &str) -> Result<ClusterName, store::Error> {
        cluster.parse().map_err(|error| unreadable(&self.tables.regrouping, cluster, error))
    }

    /// Whether a host still belongs to a cluster, or does not, as was found, and nothing else is decided. If something is,
    /// that is seen to its end: a part of it is nothing to refuse anybody for. Of two who ask, that decides what the later
    /// one is told.
    pub(crate) async fn is_settled(
        &self,
        cluster: &ClusterName,
        address: &HostAddress,
        belongs: bool,
        depth: usize,
    ) -> Result<bool, CommitError> {
        // One that is not decided comes later, and this before it; to wait for it might be to wait for ourselves.
        let change = self.tables.regrouping.get(cluster.as_str()).await?;
        let is_decided = |stage| matches!(stage, RegroupingStage::Moving | RegroupingStage::Deleting);
        if change.is_some_and(|change| is_decided(change.record.stage)) {
            self.settle(cluster.as_str(), depth).await?;
            return Ok(false);
        }
        let host = self.tables.host.get(address.as_str()).await?;
        let is_member = host.is_some_and(|host| host.record.cluster.as_deref() == Some(cluster.as_str()));
        Ok(is_member == belongs)
    }

    /// Brings a change from wherever it is to its end; nothing when it is there already.
    pub(crate) async fn see_through(
        &self,
        name: &ClusterName,
        id: u64,
        depth: usize,
    ) -> Result<(), CommitError> {
        self.see_some_through(name, id, depth, None).await
    }

    /// As [`Self::see_through`], as far as `pace` has it.
    async fn see_some_through(
        &self,
        name: &ClusterName,
        id: u64,
        depth: usize,
        pace: Option<&Pace<'_>>,
    ) -> Result<(), CommitError> {
        while pace.is_none_or(|pace| !pace.is_over()) {
            let change = match self.tables.regrouping.get(name.as_str()).await? {
                Some(change) if change.record.id == id => change,
                _ => return Ok(()),
            };
            let stage = change.record.stage;
            let read = self.regrouping_hosts(name, id)?.all().await;
            // As long as it is not decided it can be given up. Who is reserved then, for nothing, can be taken by all.
            let parts = if stage == RegroupingStage::Moving {
                read?
            } else {
                self.readable(read)?.unwrap_or_default()
            };
            let is_whole = parts.len() == change.record.parts;
            let moves = if stage == RegroupingStage::Deleting {
                ids(&self.tables.member(name.as_str())?).await?.into_iter().map(Move::Leave).collect()
            } else {
                parts.into_iter().flat_map(|(_, part)| moves_of(part.record)).collect()
            };
            let found = Found { name, change, moves, depth, pace };
            match stage {
                RegroupingStage::Reserving if is_whole && depth <= DEPTH_MAX => {
                    let done = match self.reserve(&found).await {
                        Ok(Reserved::All) => self.decide(&found).await,
                        Ok(Reserved::Refused) => self.give_up(&found).await,
                        Ok(Reserved::NotYet) => Ok(()),
                        Err(error) => Err(error),
                    };
                    match done {
                        Err(error) if is_lasting(&error) => {
                            tracing::warn!(cluster = %name, %error, "a change of many hosts is given up");
                            self.give_up(&found).await?;
                        }
                        done => done?,
                    }
                }
                RegroupingStage::Gathering | RegroupingStage::Reserving => self.give_up(&found).await?,
                RegroupingStage::Moving => {
                    if self.move_all(&found).await? {
                        self.finish(&found).await?;
                    }
                }
                RegroupingStage::Undoing => {
                    if self.let_go(&found).await? {
                        self.finish(&found).await?;
                    }
                }
                RegroupingStage::Deleting => {
                    if self.move_all(&found).await? {
                        self.take_away(&found).await?;
                    }
                }
            }
        }
        Ok(())
    }

    fn regrouping_hosts(&self, name: &ClusterName, id: u64) -> Result<Table<MovesRecord>, store::Error> {
        Table::new(self.ground.engine.clone(), &format!("{HOSTS}{name}/{id:016x}/"))
    }
}

/// Whether it is of no use to try again.
fn is_lasting(error: &CommitError) -> bool {
    matches!(
        error,
        CommitError::TooLarge { .. }
            | CommitError::Twice { .. }
            | CommitError::Store(store::Error::Record { .. } | store::Error::Key { .. })
    )
}

/// How a part is named in its key.
fn place_name(place: usize) -> String {
    format!("{place:06}")
}

/// Hosts that come and go, in records that are not too large.
pub(crate) fn in_parts(moves: &[Move]) -> Vec<MovesRecord> {
    let mut parts = Vec::new();
    let (mut part, mut bytes) = (MovesRecord::default(), 0);
    for step in moves {
        if bytes >= PART_BYTES_MAX {
            parts.push(std::mem::take(&mut part));
            bytes = 0;
        }
        // With its quotes and its comma.
        bytes += step.address().len() + 3;
        match step {
            Move::Join(address) => part.join.push(address.clone()),
            Move::Leave(address) => part.leave.push(address.clone()),
        }
    }
    parts.push(part);
    parts
}

fn moves_of(part: MovesRecord) -> impl Iterator<Item = Move> {
    let leaving = part.leave.into_iter().map(Move::Leave);
    leaving.chain(part.join.into_iter().map(Move::Join))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_all_of_it_in_order() {
        for count in [0, 1, 5_000, 40_000] {
            let address = |number: usize| format!("host-{number:06}.example.com");
            let leaving = (0..count / 2).map(address).map(Move::Leave);
            let moves: Vec<Move> = leaving.chain((count / 2..count).map(address).map(Move::Join)).collect();
            let parts = in_parts(&moves);
            assert_eq!(parts.len(), 1 + count * 26 / (PART_BYTES_MAX + 26), "{count}");
            assert_eq!(parts.into_iter().flat_map(moves_of).collect::<Vec<_>>(), moves);
        }
    }
}
