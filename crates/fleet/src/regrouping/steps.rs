//! The steps of a change of more hosts of a cluster than one commit takes: each goes on from where the change was found, a
//! group of hosts at a time, and ends early when somebody else has brought it further.

use std::sync::atomic::Ordering;

use identity::Principal;
use store::{CommitError, Event, Loaded};

use super::{Found, Pace};
use crate::draft::{Draft, Line, PartOf};
use crate::error::MembersError;
use crate::event::Happened;
use crate::members::{HOSTS_AT_ONCE, Move};
use crate::record::{ClusterRecord, HostRecord, RegroupingRecord, RegroupingStage};
use crate::service::{Fleet, ids};

/// How many hosts are reserved, or let go, in one commit: each takes one of its hundred operations, and up to 10 KiB.
const RESERVED_AT_ONCE: usize = 64;
/// How many of those records are removed in one commit.
const PARTS_AT_ONCE: usize = 64;
/// How many hosts that are not there stop belonging to a cluster that goes, in one commit: in the last one, all counts may
/// be removed as well.
const NOBODIES_AT_ONCE: usize = 32;

/// What came of reserving.
pub(super) enum Reserved {
    All,
    /// One of them cannot join.
    Refused,
    /// Somebody else has brought the change further, or it is time for something else.
    NotYet,
}

/// What came of a group of hosts.
enum Group {
    /// It is done, or nothing was to be done.
    Done,
    /// Something else was written meanwhile.
    Again,
    /// Somebody else has brought the change further.
    Elsewhere,
}

impl Found<'_> {
    /// A commit that goes on with it.
    fn draft(&self) -> Draft {
        let (cluster, version) = (self.name.to_string(), self.change.version);
        Draft::part_of(PartOf { cluster, version, depth: self.depth })
    }

    fn did_group(&self) {
        if let Some(pace) = self.pace {
            let left = pace.groups_left.load(Ordering::Relaxed);
            pace.groups_left.store(left.saturating_sub(1), Ordering::Relaxed);
        }
    }

    fn is_over(&self) -> bool {
        self.pace.is_some_and(Pace::is_over)
    }

    /// The hosts that are to join.
    fn joining(&self) -> Vec<Move> {
        self.moves.iter().filter(|step| matches!(step, Move::Join(_))).cloned().collect()
    }

    fn at(&self, stage: RegroupingStage) -> RegroupingRecord {
        RegroupingRecord { stage, ..self.change.record.clone() }
    }
}

impl Fleet {
    /// Reserves the hosts that are to join.
    pub(super) async fn reserve(&self, found: &Found<'_>) -> Result<Reserved, CommitError> {
        for some in found.joining().chunks(RESERVED_AT_ONCE) {
            let mut line = Line::default();
            loop {
                let Some(cluster) = self.tables.cluster.get(found.name.as_str()).await? else {
                    return Ok(Reserved::Refused);
                };
                let mut draft = found.draft();
                match self.stage_reservations(&mut draft, (found, &cluster), some, &mut line).await? {
                    Reserved::All => {}
                    Reserved::Refused => return Ok(Reserved::Refused),
                    Reserved::NotYet => continue,
                }
                match self.commit_group(found, draft, &mut line).await? {
                    Group::Done => break,
                    Group::Again => {}
                    Group::Elsewhere => return Ok(Reserved::NotYet),
                }
            }
            if found.is_over() {
                return Ok(Reserved::NotYet);
            }
        }
        Ok(Reserved::All)
    }

    /// Reserves hosts that are not yet, unless one of them cannot join.
    async fn stage_reservations(
        &self,
        draft: &mut Draft,
        (found, cluster): (&Found<'_>, &Loaded<ClusterRecord>),
        joining: &[Move],
        line: &mut Line<'_>,
    ) -> Result<Reserved, CommitError> {
        let name = found.name;
        let manager = self.manager(&cluster.record.container_manager).await?;
        for host in self.load(joining).await {
            let host = match host {
                Ok(Some(host)) => host,
                // Whoever asked is told so when they look again.
                Ok(None) | Err(store::Error::Record { .. }) => return Ok(Reserved::Refused),
                Err(error) => return Err(error.into()),
            };
            if host.record.joining.as_deref() == Some(name.as_str()) {
                continue;
            }
            match self.admit(name, cluster, &host.record, manager) {
                Ok(Some(_)) => {
                    let after = HostRecord { joining: Some(name.to_string()), ..host.record.clone() };
                    self.stage_host(draft, Some(&host), Some(&after))?;
                }
                Ok(None) => {}
                Err(MembersError::Store(error))
                    if !matches!(error, CommitError::Store(store::Error::Record { .. })) =>
                {
                    return Err(error);
                }
                Err(MembersError::InAnotherCluster { address, other }) => {
                    line.step_aside();
                    let is_so = self.is_settled(&other, &address, true, found.depth + 1).await?;
                    return Ok(if is_so { Reserved::Refused } else { Reserved::NotYet });
                }
                Err(_) => return Ok(Reserved::Refused),
            }
        }
        Ok(Reserved::All)
    }

    /// From here on nothing refuses it any more.
    pub(super) async fn decide(&self, found: &Found<'_>) -> Result<(), CommitError> {
        let first = found.moves.chunks(HOSTS_AT_ONCE).next().unwrap_or_default();
        let mut line = Line::default();
        loop {
            let Some(cluster) = self.tables.cluster.get(found.name.as_str()).await? else {
                return self.give_up(found).await;
            };
            let mut draft = found.draft();
            let moved = self.stage_decided(&mut draft, (found.name, &cluster), first).await?;
            let record = &found.change.record;
            let event = Event {
                at_milliseconds: record.at_milliseconds,
                ..self.event_of(record, &moved.happened(found.name))
            };
            self.record_as(&mut draft, event, record.id)?;
            let after = found.at(RegroupingStage::Moving);
            self.tables.regrouping.put(&mut draft.batch, found.name.as_str(), &after)?;
            if self.commit(draft, &mut line).await?.is_some() || !self.is_where_it_was(found).await? {
                return Ok(());
            }
        }
    }

    /// Has all hosts come and go that have not yet; whether that is done.
    pub(super) async fn move_all(&self, found: &Found<'_>) -> Result<bool, CommitError> {
        for some in found.moves.chunks(HOSTS_AT_ONCE) {
            let mut line = Line::default();
            loop {
                // Only somebody else's hand can have deleted it: nobody belongs to it any more, or is to join it.
                let Some(cluster) = self.tables.cluster.get(found.name.as_str()).await? else {
                    return self.let_go(found).await;
                };
                let mut draft = found.draft();
                let moved = self.stage_decided(&mut draft, (found.name, &cluster), some).await?;
                if moved.is_nobody() {
                    break;
                }
                let event = self.event_of(&found.change.record, &moved.happened(found.name));
                self.record_as(&mut draft, event, self.ground.entropy.number())?;
                match self.commit_group(found, draft, &mut line).await? {
                    Group::Done => break,
                    Group::Again => {}
                    Group::Elsewhere => return Ok(false),
                }
            }
            if found.is_over() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Nothing of it comes about.
    pub(super) async fn give_up(&self, found: &Found<'_>) -> Result<(), CommitError> {
        let mut line = Line::default();
        loop {
            let mut draft = found.draft();
            let after = found.at(RegroupingStage::Undoing);
            self.tables.regrouping.put(&mut draft.batch, found.name.as_str(), &after)?;
            if self.commit(draft, &mut line).await?.is_some() || !self.is_where_it_was(found).await? {
                return Ok(());
            }
        }
    }

    /// Lets the hosts go that are reserved; whether that is done.
    pub(super) async fn let_go(&self, found: &Found<'_>) -> Result<bool, CommitError> {
        for some in found.joining().chunks(RESERVED_AT_ONCE) {
            let mut line = Line::default();
            loop {
                let mut draft = found.draft();
                for host in self.load(some).await {
                    if let Some(host) = self.readable(host)?.flatten()
                        && host.record.joining.as_deref() == Some(found.name.as_str())
                    {
                        let after = HostRecord { joining: None, ..host.record.clone() };
                        self.stage_host(&mut draft, Some(&host), Some(&after))?;
                    }
                }
                match self.commit_group(found, draft, &mut line).await? {
                    Group::Done => break,
                    Group::Again => {}
                    Group::Elsewhere => return Ok(false),
                }
            }
            if found.is_over() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Forgets a change that is at its end.
    pub(super) async fn finish(&self, found: &Found<'_>) -> Result<(), CommitError> {
        let table = self.regrouping_hosts(found.name, found.change.record.id)?;
        let mut line = Line::default();
        loop {
            let places = ids(&table).await?;
            let mut draft = found.draft();
            for place in places.iter().take(PARTS_AT_ONCE) {
                table.delete(&mut draft.batch, place)?;
            }
            let is_last = places.len() <= PARTS_AT_ONCE;
            if is_last {
                self.tables.regrouping.delete(&mut draft.batch, found.name.as_str())?;
            }
            let is_done = self.commit(draft, &mut line).await?.is_some();
            if is_done && is_last || !is_done && !self.is_where_it_was(found).await? {
                return Ok(());
            }
        }
    }

    /// Deletes a cluster whose hosts have left, and forgets that it was to go. What somebody else's hand has left of hosts
    /// that are not there goes with it: nobody could have them leave.
    pub(super) async fn take_away(&self, found: &Found<'_>) -> Result<(), CommitError> {
        let name = found.name.as_str();
        let (members, counts) = (self.tables.member(name)?, self.tally_parts(name)?);
        let mut line = Line::default();
        loop {
            let nobodies = ids(&members).await?;
            let mut draft = found.draft();
            for nobody in nobodies.iter().take(NOBODIES_AT_ONCE) {
                members.delete(&mut draft.batch, nobody)?;
            }
            let is_last = nobodies.len() <= NOBODIES_AT_ONCE;
            if is_last {
                for part in ids(&counts).await? {
                    counts.delete(&mut draft.batch, &part)?;
                }
                if let Some(cluster) = self.tables.cluster.get(name).await? {
                    self.stage_end_of_cluster(&mut draft, found.name, &cluster)?;
                }
                self.tables.regrouping.delete(&mut draft.batch, name)?;
            }
            let is_done = self.commit(draft, &mut line).await?.is_some();
            if is_done && is_last || !is_done && !self.is_where_it_was(found).await? {
                return Ok(());
            }
        }
    }

    /// Commits what is to be done of a group, unless nothing is.
    async fn commit_group<'f>(
        &'f self,
        found: &Found<'_>,
        draft: Draft,
        line: &mut Line<'f>,
    ) -> Result<Group, CommitError> {
        if draft.batch.is_empty() {
            return Ok(Group::Done);
        }
        if self.commit(draft, line).await?.is_some() {
            found.did_group();
            return Ok(Group::Done);
        }
        Ok(if self.is_where_it_was(found).await? { Group::Again } else { Group::Elsewhere })
    }

    /// Whether a change is as far as it was found.
    async fn is_where_it_was(&self, found: &Found<'_>) -> Result<bool, store::Error> {
        let now = self.tables.regrouping.get(found.name.as_str()).await?;
        Ok(now.is_some_and(|now| now.version == found.change.version))
    }

    /// What the history says of a part of a change, whoever does it.
    fn event_of(&self, change: &RegroupingRecord, happened: &Happened<'_>) -> Event {
        let event = happened.event(&Principal::house(), &self.ground.clock);
        Event { by: change.by.clone(), from: change.from.clone(), ..event }
    }
}
