//! Looking after hosts: the house's side of it. What was found out about a host, and what went wrong, becomes its
//! status here (commissaire contract, sections 9.3 and 9.4).
//!
//! Each commit is fenced by the claim on the work, and writes nothing about a host that was deleted meanwhile.

use std::time::Duration;

use base::Timestamp;
use futures_util::future::join_all;
use identity::Principal;
use store::{Claim, Loaded, Page, Version};

use crate::address::HostAddress;
use crate::backoff::retry_at;
use crate::draft::{Draft, Line};
use crate::error::RolloutError;
use crate::event::Happened;
use crate::host::{Details, Facts, HostStatus};
use crate::host_key::HostKey;
use crate::moment;
use crate::name::ClusterName;
use crate::record::{CareRecord, HostRecord};
use crate::service::Fleet;
use crate::watch::{self, Look};

/// How many hosts that answered are written in one commit.
const ANSWERS_AT_ONCE: usize = 90;
/// The longest reason that is kept, in characters.
const REASON_MAX: usize = 500;

/// What a look at a host has found out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Found {
    /// What the original asks for.
    pub facts: Facts,
    /// What else.
    pub details: Details,
    /// The key that it proved, where the way there has such: pinned now if none is.
    pub host_key: Option<HostKey>,
}

/// What else is written when a host is changed.
#[derive(Clone, Copy)]
pub(crate) enum Beside<'a> {
    Nothing,
    /// It was only looked at: that it has failed for another reason than at first is written down, and no news.
    Looked,
    /// It proved this key.
    Proved(&'a HostKey),
    /// It offered this key, and not the one that is expected.
    Offered(&'a HostKey),
    /// It is over with making it ready, for now.
    Ended,
    /// These container managers are to forget it.
    Leaves(&'a [String]),
}

/// How much trouble a host makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Care {
    /// How often in a row it could not be made ready.
    pub attempts: u32,
    /// When that is tried again.
    pub retry_at: Option<Timestamp>,
    /// How often in a row it has not answered.
    pub silences: u32,
    /// Whether it has come and gone too often to be believed.
    pub is_damped: bool,
}

/// A host and its troubles, as they were read.
struct Cared {
    host: Loaded<HostRecord>,
    care: CareRecord,
    care_version: Option<Version>,
}

impl Fleet {
    /// Somebody begins to look at a host, to make it ready. `false` when there is no such host any more.
    ///
    /// # Errors
    /// [`RolloutError::ClaimLost`], or the store's.
    pub async fn record_investigating(
        &self,
        claim: &Claim,
        address: &HostAddress,
    ) -> Result<bool, RolloutError> {
        self.change_host(claim, address, Beside::Nothing, |host, _| {
            // Why it failed before is true until something else is known.
            if host.status != HostStatus::Failed.as_str() {
                host.reason = None;
            }
            HostStatus::Investigating.as_str().clone_into(&mut host.status);
        })
        .await
    }

    /// A host answered, and this was found out: next it is made ready. `false` when there is no such host any more.
    ///
    /// # Errors
    /// As for [`Self::record_investigating`].
    pub async fn record_facts(
        &self,
        claim: &Claim,
        address: &HostAddress,
        found: &Found,
    ) -> Result<bool, RolloutError> {
        let now = moment::now(&self.ground.clock);
        let beside = found.host_key.as_ref().map_or(Beside::Nothing, Beside::Proved);
        self.change_host(claim, address, beside, |host, _| {
            HostStatus::Bootstrapping.as_str().clone_into(&mut host.status);
            host.reason = None;
            host.last_check.clone_from(&now);
            take_in(host, found);
        })
        .await
    }

    /// A host was looked at again after something was done with it, and this was found out; its status stays as it is.
    /// `false` when there is no such host any more.
    ///
    /// # Errors
    /// As for [`Self::record_investigating`].
    pub async fn record_facts_again(
        &self,
        claim: &Claim,
        address: &HostAddress,
        found: &Found,
    ) -> Result<bool, RolloutError> {
        let now = moment::now(&self.ground.clock);
        self.change_host(claim, address, Beside::Nothing, |host, _| {
            host.last_check.clone_from(&now);
            take_in(host, found);
        })
        .await
    }

    /// A host of which no key was pinned proved this one: it is pinned now. `false` when there is no such host any more.
    ///
    /// # Errors
    /// As for [`Self::record_investigating`].
    pub async fn record_host_key(
        &self,
        claim: &Claim,
        address: &HostAddress,
        key: &HostKey,
    ) -> Result<bool, RolloutError> {
        self.change_host(claim, address, Beside::Proved(key), |_, _| {}).await
    }

    /// A host is ready, and its container manager has it or not. `false` when there is no such host any more.
    ///
    /// # Errors
    /// As for [`Self::record_investigating`].
    pub async fn record_ready(
        &self,
        claim: &Claim,
        address: &HostAddress,
        is_registered: bool,
    ) -> Result<bool, RolloutError> {
        let status = if is_registered { HostStatus::Active } else { HostStatus::Disassociated };
        let now = moment::now(&self.ground.clock);
        self.change_host(claim, address, Beside::Ended, |host, care| {
            status.as_str().clone_into(&mut host.status);
            host.reason = None;
            host.last_check.clone_from(&now);
            (care.attempts, care.retry_at, care.silences, care.status_before) = (0, None, 0, None);
        })
        .await
    }

    /// The container manager of a host's cluster has it now. Only of a host that still waits for that in `cluster`.
    /// `false` when there is no such host any more.
    ///
    /// # Errors
    /// As for [`Self::record_investigating`].
    pub async fn record_registered(
        &self,
        claim: &Claim,
        address: &HostAddress,
        cluster: &ClusterName,
    ) -> Result<bool, RolloutError> {
        self.change_host(claim, address, Beside::Nothing, |host, _| {
            let waits = host.status == HostStatus::Disassociated.as_str();
            if waits && host.cluster.as_deref() == Some(cluster.as_str()) {
                HostStatus::Active.as_str().clone_into(&mut host.status);
                host.reason = None;
            }
        })
        .await
    }

    /// The container manager of a host's cluster does not have it, for this reason. Only of a host that waits for that.
    /// `false` when there is no such host any more.
    ///
    /// # Errors
    /// As for [`Self::record_investigating`].
    pub async fn record_unregistered(
        &self,
        claim: &Claim,
        address: &HostAddress,
        reason: &str,
    ) -> Result<bool, RolloutError> {
        self.change_host(claim, address, Beside::Nothing, |host, _| {
            if host.status == HostStatus::Disassociated.as_str() {
                host.reason = Some(reason.chars().take(REASON_MAX).collect());
            }
        })
        .await
    }

    /// A host could not be looked at or made ready. It is tried again after a while, the longer the more often it
    /// failed. `false` when there is no such host any more.
    ///
    /// # Errors
    /// As for [`Self::record_investigating`].
    pub async fn record_failure(
        &self,
        claim: &Claim,
        address: &HostAddress,
        reason: &str,
    ) -> Result<bool, RolloutError> {
        self.fail_host(claim, address, reason, Beside::Ended).await
    }

    pub(crate) async fn fail_host(
        &self,
        claim: &Claim,
        address: &HostAddress,
        reason: &str,
        beside: Beside<'_>,
    ) -> Result<bool, RolloutError> {
        let (now, chance) = (self.ground.clock.now(), self.ground.entropy.number());
        self.change_host(claim, address, beside, |host, care| {
            HostStatus::Failed.as_str().clone_into(&mut host.status);
            host.reason = Some(reason.chars().take(REASON_MAX).collect());
            care.attempts = care.attempts.saturating_add(1);
            care.retry_at = Some(retry_at(care.attempts, now, chance).as_unix());
            care.status_before = None;
        })
        .await
    }

    /// What came of looking whether a host answers. Of one that an operation is at, only that it did counts: it is
    /// meant to be away. `false` when there is no such host any more.
    ///
    /// # Errors
    /// As for [`Self::record_investigating`].
    pub async fn record_look(
        &self,
        claim: &Claim,
        address: &HostAddress,
        look: &Look,
    ) -> Result<bool, RolloutError> {
        self.record_look_begun(claim, address, look, None).await
    }

    /// As [`Self::record_look`], of a look that was begun then, in milliseconds.
    async fn record_look_begun(
        &self,
        claim: &Claim,
        address: &HostAddress,
        look: &Look,
        begun: Option<i64>,
    ) -> Result<bool, RolloutError> {
        let is_away = self.tables.under_way.get(address.as_str()).await?.is_some();
        if is_away && *look != Look::Answered {
            return Ok(self.tables.host.get(address.as_str()).await?.is_some());
        }
        let (now, written) = (self.ground.clock.now(), moment::now(&self.ground.clock));
        self.change_host(claim, address, Beside::Looked, |host, care| {
            if begun.is_some_and(|begun| is_outdated(care, begun)) {
                return;
            }
            let (status, seen) = (HostStatus::from(host.status.as_str()), moment::read(&host.last_check));
            if *look == Look::Answered {
                host.last_check.clone_from(&written);
            }
            let judged = watch::judge(&status, care, look, seen, now);
            if judged.status != HostStatus::from(host.status.as_str()) {
                host.reason = None;
            }
            judged.status.as_str().clone_into(&mut host.status);
            if let Some(reason) = judged.reason {
                host.reason = Some(reason.chars().take(REASON_MAX).collect());
            }
            *care = judged.care;
        })
        .await
    }

    /// Hosts that answered, many at once, and how long ago each was asked: for most of them there is nothing more to
    /// say. Those that are gone are left out, and those that have failed since they were asked.
    ///
    /// # Errors
    /// As for [`Self::record_investigating`].
    pub async fn record_answers(
        &self,
        claim: &Claim,
        hosts: &[(HostAddress, Duration)],
    ) -> Result<(), RolloutError> {
        // Others who look come in between: which was first is told by when each was begun.
        let now = self.ground.clock.now_milliseconds();
        let begun =
            |asked: &Duration| now.saturating_sub(i64::try_from(asked.as_millis()).unwrap_or(i64::MAX));
        let hosts: Vec<_> = hosts.iter().map(|(address, asked)| (address, begun(asked))).collect();
        for some in hosts.chunks(ANSWERS_AT_ONCE) {
            let (now, written) = (self.ground.clock.now(), moment::now(&self.ground.clock));
            let mut draft = Draft::default();
            claim.expect(&mut draft.batch);
            let mut others = Vec::new();
            let found = join_all(some.iter().map(|(address, _)| self.cared(address))).await;
            for (&(address, begun), cared) in some.iter().zip(found) {
                match cared? {
                    None => {}
                    Some(Cared { care, .. }) if is_outdated(&care, begun) => {}
                    Some(Cared { host, care, .. }) if is_as_before(&host.record, &care, now) => {
                        let after = HostRecord { last_check: written.clone(), ..host.record };
                        let table = &self.tables.host;
                        table.update(&mut draft.batch, address.as_str(), &after, host.version)?;
                    }
                    Some(_) => others.push((address, begun)),
                }
            }
            if !draft.batch.is_empty() && self.commit(draft, &mut Line::default()).await?.is_none() {
                // One of them was changed meanwhile: each for itself, then.
                others = some.to_vec();
            }
            for (address, begun) in others {
                self.record_look_begun(claim, address, &Look::Answered, Some(begun)).await?;
            }
        }
        Ok(())
    }

    /// How much trouble a host makes; none when nothing is known of it.
    ///
    /// # Errors
    /// The store's.
    pub async fn care(&self, address: &HostAddress) -> Result<Care, RolloutError> {
        let found = self.tables.care.get(address.as_str()).await?;
        Ok(found.map(|found| Care::from(&found.record)).unwrap_or_default())
    }

    /// Hosts that are to be tried again by now, and when the first of the others is.
    ///
    /// # Errors
    /// The store's.
    pub async fn retries_due(&self) -> Result<(Vec<HostAddress>, Option<Timestamp>), RolloutError> {
        let now = self.ground.clock.now();
        let (mut due, mut again_at) = (Vec::new(), None::<Timestamp>);
        let mut next = Some(Page::full());
        while let Some(page) = next {
            let found = self.list(&self.tables.care, page).await?;
            for (address, loaded) in found.entries {
                match loaded.record.retry_at.map(Timestamp::from_unix) {
                    Some(at) if at <= now => due.extend(self.readable(self.address(&address))?),
                    Some(at) => again_at = Some(again_at.map_or(at, |first| first.min(at))),
                    None => {}
                }
            }
            next = found.next;
        }
        Ok((due, again_at))
    }

    async fn cared(&self, address: &HostAddress) -> Result<Option<Cared>, store::Error> {
        let Some(host) = self.tables.host.get(address.as_str()).await? else { return Ok(None) };
        let care = self.tables.care.get(address.as_str()).await?;
        let care_version = care.as_ref().map(|care| care.version);
        Ok(Some(Cared { host, care: care.map(|care| care.record).unwrap_or_default(), care_version }))
    }

    /// Changes a host and its troubles as `change` says; whether it is there.
    pub(crate) async fn change_host(
        &self,
        claim: &Claim,
        address: &HostAddress,
        beside: Beside<'_>,
        change: impl Fn(&mut HostRecord, &mut CareRecord),
    ) -> Result<bool, RolloutError> {
        Ok(self.host_changed(claim, address, beside, change).await?.is_some())
    }

    /// As [`Self::change_host`], and gives what `change` says of the change that was made; `None` when there is no such
    /// host.
    pub(crate) async fn host_changed<T>(
        &self,
        claim: &Claim,
        address: &HostAddress,
        beside: Beside<'_>,
        change: impl Fn(&mut HostRecord, &mut CareRecord) -> T,
    ) -> Result<Option<T>, RolloutError> {
        let mut line = Line::default();
        loop {
            let Some(Cared { host, care, care_version }) = self.cared(address).await? else {
                return Ok(None);
            };
            let (mut after, mut care_after) = (host.record.clone(), care.clone());
            let said = change(&mut after, &mut care_after);
            let is_alone = matches!(beside, Beside::Nothing | Beside::Looked);
            if is_alone && after == host.record && care_after == care {
                return Ok(Some(said));
            }
            let mut draft = Draft::default();
            claim.expect(&mut draft.batch);
            if after != host.record {
                self.stage_host(&mut draft, Some(&host), Some(&after))?;
            } else {
                self.tables.host.expect_at(&mut draft.batch, address.as_str(), host.version)?;
            }
            self.stage_care(&mut draft, address, (&care, care_version), &care_after)?;
            match beside {
                Beside::Nothing | Beside::Looked => {}
                Beside::Proved(key) => self.stage_proved(&mut draft, address, key).await?,
                Beside::Offered(key) => {
                    self.stage_offered(&mut draft, address, key).await?;
                    self.tables.bootstrap.delete(&mut draft.batch, address.as_str())?;
                }
                Beside::Ended => self.tables.bootstrap.delete(&mut draft.batch, address.as_str())?,
                Beside::Leaves(managers) => {
                    for manager in managers {
                        self.stage_nodes_leaving(&mut draft, manager, &[address.to_string()]).await?;
                    }
                }
            }
            if draft.batch.is_empty() {
                return Ok(Some(said));
            }
            let is_told = after.reason != host.record.reason && !matches!(beside, Beside::Looked);
            if after.status != host.record.status || is_told {
                let (status, reason) = (after.status.as_str(), after.reason.as_deref());
                let happened = Happened::HostChanged { address, status, reason };
                self.record_event(&mut draft, &happened, &Principal::house())?;
            }
            if self.commit(draft, &mut line).await?.is_some() {
                return Ok(Some(said));
            }
            if !claim.is_held(self.ground.engine.as_ref()).await? {
                return Err(RolloutError::ClaimLost { claim: claim.name.clone() });
            }
        }
    }

    /// Writes a host's troubles; without any there is no record.
    fn stage_care(
        &self,
        draft: &mut Draft,
        address: &HostAddress,
        (before, version): (&CareRecord, Option<Version>),
        after: &CareRecord,
    ) -> Result<(), store::Error> {
        let (batch, table) = (&mut draft.batch, &self.tables.care);
        match version {
            _ if before == after => Ok(()),
            Some(version) if *after == CareRecord::default() => {
                table.remove(batch, address.as_str(), version)
            }
            version => table.put_over(batch, address.as_str(), after, version),
        }
    }
}

/// What was found out about a host becomes part of its record.
fn take_in(host: &mut HostRecord, found: &Found) {
    let Found { facts, details, host_key: _ } = found.clone();
    (host.os, host.cpus, host.memory, host.space) = (facts.os, facts.cpus, facts.memory, facts.space);
    (host.atomic, host.os_version, host.kernel) = (details.atomic, details.os_version, details.kernel);
    (host.architecture, host.boot_id) = (details.architecture, details.boot_id);
}

/// Whether a host has failed since a look at it was begun, in milliseconds: that it answered then says nothing any more.
/// When it failed is known to the second.
fn is_outdated(care: &CareRecord, begun: i64) -> bool {
    let failed_at = care.penalty_at.filter(|_| care.status_before.is_some());
    failed_at.is_some_and(|at| begun < at.saturating_add(1).saturating_mul(1_000))
}

/// Whether there is nothing more to say of a host that answered than that it did.
fn is_as_before(host: &HostRecord, care: &CareRecord, now: Timestamp) -> bool {
    let status = HostStatus::from(host.status.as_str());
    let judged = watch::judge(&status, care, &Look::Answered, moment::read(&host.last_check), now);
    judged.status == status && judged.care == *care && judged.reason.is_none()
}

impl From<&CareRecord> for Care {
    fn from(record: &CareRecord) -> Self {
        Self {
            attempts: record.attempts,
            retry_at: record.retry_at.map(Timestamp::from_unix),
            silences: record.silences,
            is_damped: record.is_damped,
        }
    }
}
