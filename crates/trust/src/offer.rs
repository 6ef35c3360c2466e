//! What a provider says is to be trusted: to all its requirers, or in one relation.

use std::collections::{BTreeMap, BTreeSet};

use base::Timestamp;
use identity::{Permit, Principal, Role};
use store::{Batch, CommitError};

use crate::anchor::{Anchor, Finding, Fingerprint, SET_MAX, findings};
use crate::error::ChangeError;
use crate::event::Happened;
use crate::name::ProviderName;
use crate::provider::{SetState, Terms};
use crate::record::{BroughtRecord, ProviderRecord};
use crate::relation;
use crate::service::{ManageTrust, OfferTrust, Trust, Why};

/// How many providers are remembered to have brought a certificate.
const BROUGHT_MAX: usize = 64;
/// How many certificates are written down in one commit.
const BROUGHT_AT_ONCE: usize = 50;

/// What is to be done to a set.
#[derive(Debug, Clone)]
pub enum SetChange {
    /// These are in it as well.
    Add(BTreeMap<Fingerprint, Anchor>),
    /// These are in it, and nothing else.
    Exactly(BTreeMap<Fingerprint, Anchor>),
    /// This one is not in it.
    Remove(Fingerprint),
    /// Nothing is in it.
    Empty,
}

/// A change, and under what conditions it is made.
#[derive(Debug, Clone)]
pub struct Offer {
    /// What is to be done.
    pub change: SetChange,
    /// In one relation; in what all have, otherwise.
    pub relation: Option<u64>,
    /// What revision the set is thought to have, where that matters.
    pub basis: Option<u64>,
    /// Whether requirers may lose much.
    pub confirmed: bool,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offered {
    /// The set as it is now.
    pub set: SetState,
    /// What is in it that was not.
    pub came: Vec<Fingerprint>,
    /// What was in it and is not.
    pub went: Vec<Fingerprint>,
    /// What there is to say of certificates that came, and is no reason to refuse them.
    pub findings: Vec<(Fingerprint, Vec<Finding>)>,
}

/// `set` after `change`.
fn changed(set: &BTreeSet<Anchor>, change: &SetChange) -> BTreeSet<Anchor> {
    match change {
        SetChange::Add(more) => set.iter().chain(more.values()).cloned().collect(),
        SetChange::Exactly(these) => these.values().cloned().collect(),
        SetChange::Remove(which) => {
            set.iter().filter(|anchor| anchor.fingerprint() != *which).cloned().collect()
        }
        SetChange::Empty => BTreeSet::new(),
    }
}

fn only_in(one: &BTreeSet<Anchor>, other: &BTreeSet<Anchor>) -> Vec<Fingerprint> {
    one.difference(other).map(Anchor::fingerprint).collect()
}

/// What is found about those of `set` that `came`, if nothing of it is refused.
fn looked_at(
    set: &BTreeSet<Anchor>,
    came: &[Fingerprint],
    terms: &Terms,
    now: Timestamp,
) -> Result<Vec<(Fingerprint, Vec<Finding>)>, ChangeError> {
    let came: BTreeSet<&Fingerprint> = came.iter().collect();
    let (mut found, mut refused) = (Vec::new(), Vec::new());
    for anchor in set.iter().filter(|anchor| came.contains(&anchor.fingerprint())) {
        let certificate = anchor.certificate().map_err(|_| ChangeError::Unreadable(anchor.fingerprint()))?;
        let findings = findings(&certificate, now);
        let why = findings.iter().find(|finding| terms.refuse.contains(finding));
        refused.extend(why.map(|why| (anchor.fingerprint(), *why)));
        if !findings.is_empty() {
            found.push((anchor.fingerprint(), findings));
        }
    }
    if refused.is_empty() { Ok(found) } else { Err(ChangeError::Refused(refused)) }
}

impl Trust {
    /// Changes what `provider` says is to be trusted. A set that stays the same stays as it is, its revision too.
    ///
    /// # Errors
    /// [`ChangeError`]; then nothing is changed.
    pub async fn offer(
        &self,
        permit: Permit<OfferTrust>,
        provider: &ProviderName,
        offer: &Offer,
        why: &Why,
    ) -> Result<Offered, ChangeError> {
        let _turn = self.turn.lock().await;
        self.offer_as(permit.by(), provider, offer, why, false).await
    }

    /// Sets what one of the house's own authorities hands on, which makes it a provider if it is none.
    ///
    /// # Errors
    /// The store's.
    pub async fn offer_own(
        &self,
        permit: Permit<ManageTrust>,
        provider: &ProviderName,
        authority: &str,
        anchors: BTreeMap<Fingerprint, Anchor>,
    ) -> Result<Offered, ChangeError> {
        let _turn = self.turn.lock().await;
        let mut attempts = 0;
        while self.load_provider(provider).await?.is_none() {
            let record = ProviderRecord {
                refuse: Vec::new(),
                ..self.new_provider(permit.by().name(), Some(authority.to_owned())).await?
            };
            let mut batch = Batch::new();
            self.providers.create(&mut batch, provider.as_str(), &record)?;
            let happened = Happened::ProviderSet { name: provider, record: &record };
            match self.commit(batch, &happened, permit.by(), &Why::default()).await {
                Ok(()) => {}
                Err(error) => Self::again(error, &mut attempts)?,
            }
        }
        let change = SetChange::Exactly(anchors);
        let offer = Offer { change, relation: None, basis: None, confirmed: true };
        self.offer_as(permit.by(), provider, &offer, &Why::default(), true).await
    }

    async fn offer_as(
        &self,
        by: &Principal,
        provider: &ProviderName,
        offer: &Offer,
        why: &Why,
        is_own: bool,
    ) -> Result<Offered, ChangeError> {
        let mut attempts = 0;
        // What the last attempt would have come to, of which the store did not say whether it was done.
        let mut unseen: Option<Offered> = None;
        loop {
            let Some(found) = self.load_provider(provider).await? else {
                return Err(ChangeError::NoProvider(provider.clone()));
            };
            if found.record.authority.is_some() != is_own {
                return Err(ChangeError::Own(provider.clone()));
            }
            if !is_own {
                let what = format!("what `{provider}` hands on");
                found.record.terms().only.check(by, Role::Operator, &what)?;
            }
            if found.record.until.is_some() {
                return Err(ChangeError::Leaving(provider.to_string()));
            }
            let related = match offer.relation {
                None => None,
                Some(number) => {
                    let related = self.load_relation(number).await?;
                    let (requirer, related) = related.ok_or(ChangeError::NoRelation(number))?;
                    if related.record.provider != provider.as_str() {
                        return Err(ChangeError::NotOfProvider { number, provider: provider.clone() });
                    }
                    Some((number, requirer, related))
                }
            };
            let before_name =
                related.as_ref().map_or(&found.record.set, |(_, _, related)| &related.record.set);
            if let Some(offered) = unseen.take().filter(|offered| offered.set == SetState::from(before_name))
            {
                return Ok(offered);
            }
            if let Some(expected) = offer.basis.filter(|basis| *basis != before_name.revision) {
                return Err(ChangeError::Revision { expected, found: before_name.revision });
            }
            let before = self.sets.load(before_name).await?;
            if let (Some(_), SetChange::Remove(which)) = (&related, &offer.change) {
                let common = self.sets.load(&found.record.set).await?;
                if common.iter().any(|anchor| anchor.fingerprint() == *which) {
                    return Err(ChangeError::InCommon(*which));
                }
            }
            let after = changed(&before, &offer.change);
            let now = self.now();
            let (came, went) = (only_in(&after, &before), only_in(&before, &after));
            let findings = looked_at(&after, &came, &found.record.terms(), now)?;
            if came.is_empty() && went.is_empty() {
                return Ok(Offered { set: before_name.into(), came, went, findings });
            }
            if after.len() > SET_MAX {
                return Err(ChangeError::TooMany(after.len()));
            }
            if let Err(error) = self.sets.keep(&after, now).await {
                Self::again(error, &mut attempts)?;
                continue;
            }
            let name = before_name.followed_by(&after, now);
            let replaced = before_name.hash.clone();
            let mut checked = None;
            if !offer.confirmed && !went.is_empty() {
                let number = offer.relation;
                let moment = self.check_impact(|everything| {
                    let relations = everything.relations.values_mut().flatten();
                    match number {
                        Some(number) => relations
                            .filter(|(other, _)| *other == number)
                            .for_each(|(_, relation)| relation.set = name.clone()),
                        None => {
                            if let Some(provider) = everything.providers.get_mut(provider.as_str()) {
                                provider.set = name.clone();
                            }
                        }
                    }
                });
                checked = Some(moment.await?);
            }
            self.write_brought(provider, offer.relation, &came, (by, why), now).await?;
            let set = SetState::from(&name);
            let mut batch = Batch::new();
            if let Some(moment) = checked {
                self.expect(&mut batch, moment)?;
            }
            match &related {
                None => {
                    let record = ProviderRecord { set: name, ..found.record };
                    self.providers.update(&mut batch, provider.as_str(), &record, found.version)?;
                }
                Some((number, requirer, related)) => {
                    let mut record = related.record.clone();
                    record.set = name;
                    let id = relation::id(requirer.as_str(), *number);
                    self.relations.update(&mut batch, &id, &record, related.version)?;
                    self.providers.expect_at(&mut batch, provider.as_str(), found.version)?;
                }
            }
            let happened = Happened::Offered {
                provider,
                relation: offer.relation,
                before: &replaced,
                after: &set.hash,
                came: &came,
                went: &went,
            };
            let done = self.commit(batch, &happened, by, why).await;
            let offered = Offered { set, came, went, findings };
            match done {
                Ok(()) => return Ok(offered),
                Err(error) => {
                    unseen = matches!(error, CommitError::Unknown { .. }).then_some(offered);
                    Self::again(error, &mut attempts)?;
                }
            }
        }
    }

    /// Writes down who brought the certificates that `came`, before they are handed on.
    async fn write_brought(
        &self,
        provider: &ProviderName,
        relation: Option<u64>,
        came: &[Fingerprint],
        (by, why): (&Principal, &Why),
        now: Timestamp,
    ) -> Result<(), CommitError> {
        let from = match relation {
            Some(number) => format!("{provider} in relation {number}"),
            None => provider.to_string(),
        };
        for some in came.chunks(BROUGHT_AT_ONCE) {
            let mut attempts = 0;
            loop {
                let mut batch = Batch::new();
                for which in some {
                    let id = which.to_string();
                    let found = self.certificates.get(&id).await?;
                    let version = found.as_ref().map(|found| found.version);
                    let mut record = found.map(|found| found.record).unwrap_or_default();
                    let brought = BroughtRecord {
                        by: by.name().to_owned(),
                        at: now.as_unix(),
                        why: why.text().map(str::to_owned),
                    };
                    if record.brought.len() < BROUGHT_MAX || record.brought.contains_key(&from) {
                        record.brought.insert(from.clone(), brought);
                    }
                    self.certificates.put_over(&mut batch, &id, &record, version)?;
                }
                match self.ground.engine.commit(batch).await {
                    Ok(_) => break,
                    Err(error) => Self::again(error, &mut attempts)?,
                }
            }
        }
        Ok(())
    }
}
