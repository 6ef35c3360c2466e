//! Relations: that a requirer is to have what a provider says.

use std::collections::BTreeSet;

use base::Timestamp;
use identity::Permit;
use store::{Batch, Loaded};

use crate::error::ChangeError;
use crate::event::Happened;
use crate::name::{ProviderName, RequirerName};
use crate::provider::SetState;
use crate::record::{CounterRecord, NumberRecord, RelationRecord, SetName};
use crate::service::{ManageTrust, ReadTrust, Trust, Why};

/// The most relations of one requirer.
const OF_REQUIRER_MAX: usize = 64;
/// What counts them.
const COUNTER: &str = "relation";

/// A relation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    /// Its number, which no other one ever gets.
    pub number: u64,
    /// Who says what is to be trusted.
    pub provider: ProviderName,
    /// Who is to have it.
    pub requirer: RequirerName,
    /// What it has beside what all relations of the provider have.
    pub set: SetState,
    /// Since when there is one.
    pub since: Timestamp,
    /// Who made it.
    pub by: String,
}

pub(crate) fn id(requirer: &str, number: u64) -> String {
    format!("{requirer}/{number:020}")
}

/// What [`id`] made.
pub(crate) fn parse_id(id: &str) -> Option<(&str, u64)> {
    let (requirer, number) = id.split_once('/')?;
    Some((requirer, number.parse().ok()?))
}

impl Relation {
    pub(crate) fn from_record(requirer: RequirerName, number: u64, record: &RelationRecord) -> Self {
        Self {
            number,
            provider: ProviderName::from_record(record.provider.clone()),
            requirer,
            set: SetState::from(&record.set),
            since: Timestamp::from_unix(record.at),
            by: record.by.clone(),
        }
    }
}

impl Trust {
    /// Has `requirer` have what `provider` says. A relation that is there stays as it is.
    ///
    /// # Errors
    /// [`ChangeError::NoProvider`], [`ChangeError::NoRequirer`], [`ChangeError::Leaving`], [`ChangeError::Full`], or
    /// the store's.
    pub async fn relate(
        &self,
        permit: Permit<ManageTrust>,
        provider: &ProviderName,
        requirer: &RequirerName,
        why: &Why,
    ) -> Result<Relation, ChangeError> {
        let _turn = self.turn.lock().await;
        let mut attempts = 0;
        loop {
            let Some(found_provider) = self.load_provider(provider).await? else {
                return Err(ChangeError::NoProvider(provider.clone()));
            };
            let Some(found_requirer) = self.load_requirer(requirer).await? else {
                return Err(ChangeError::NoRequirer(requirer.clone()));
            };
            let relations = self.relations_of(requirer).await?;
            if let Some((number, found)) =
                relations.iter().find(|(_, found)| found.record.provider == provider.as_str())
            {
                return Ok(Relation::from_record(requirer.clone(), *number, &found.record));
            }
            if found_provider.record.until.is_some() {
                return Err(ChangeError::Leaving(provider.to_string()));
            }
            if found_requirer.record.leaving.is_some() {
                return Err(ChangeError::Leaving(requirer.to_string()));
            }
            if relations.len() >= OF_REQUIRER_MAX {
                return Err(ChangeError::Full { what: "the requirer has as many relations as one may have" });
            }
            let counter = self.counter.get(COUNTER).await?;
            let number = counter.as_ref().map_or(1, |counter| counter.record.next);
            let now = self.now();
            let record = RelationRecord {
                provider: provider.to_string(),
                set: SetName::none(now),
                by: permit.by().name().to_owned(),
                at: now.as_unix(),
            };
            let mut batch = Batch::new();
            let next = CounterRecord { next: number + 1 };
            self.counter.put_over(&mut batch, COUNTER, &next, counter.map(|counter| counter.version))?;
            // Neither goes in the same moment.
            self.providers.expect_at(&mut batch, provider.as_str(), found_provider.version)?;
            self.requirers.expect_at(&mut batch, requirer.as_str(), found_requirer.version)?;
            self.relations.create(&mut batch, &id(requirer.as_str(), number), &record)?;
            let whose = NumberRecord { requirer: requirer.to_string() };
            self.numbers.create(&mut batch, &format!("{number:020}"), &whose)?;
            let happened = Happened::Related { provider, requirer, number };
            match self.commit(batch, &happened, permit.by(), why).await {
                Ok(()) => return Ok(Relation::from_record(requirer.clone(), number, &record)),
                Err(error) => Self::again(error, &mut attempts)?,
            }
        }
    }

    /// Ends the relation `number`: its requirer has what others say, and nothing of this one. `confirmed` says that it
    /// may lose much.
    ///
    /// # Errors
    /// [`ChangeError::NoRelation`], [`ChangeError::Shrinks`], or the store's.
    pub async fn unrelate(
        &self,
        permit: Permit<ManageTrust>,
        number: u64,
        confirmed: bool,
        why: &Why,
    ) -> Result<(), ChangeError> {
        let _turn = self.turn.lock().await;
        let mut attempts = 0;
        loop {
            let (requirer, found) = match self.load_relation(number).await? {
                Some(found) => found,
                None if attempts > 0 => return Ok(()),
                None => return Err(ChangeError::NoRelation(number)),
            };
            let Some(found_requirer) = self.load_requirer(&requirer).await? else {
                return Err(ChangeError::NoRequirer(requirer));
            };
            let mut batch = Batch::new();
            if !confirmed {
                let checked = self.check_impact(|everything| {
                    if let Some(relations) = everything.relations.get_mut(requirer.as_str()) {
                        relations.retain(|(other, _)| *other != number);
                    }
                });
                self.expect(&mut batch, checked.await?)?;
            }
            self.relations.remove(&mut batch, &id(requirer.as_str(), number), found.version)?;
            self.numbers.delete(&mut batch, &format!("{number:020}"))?;
            // From now on it is to have less.
            let mut changed = found_requirer.record;
            changed.changed = self.now().as_unix();
            self.requirers.update(&mut batch, requirer.as_str(), &changed, found_requirer.version)?;
            let provider = found.record.provider.as_str();
            let happened = Happened::Unrelated { provider, requirer: requirer.as_str(), number };
            match self.commit(batch, &happened, permit.by(), why).await {
                Ok(()) => return Ok(()),
                Err(error) => Self::again(error, &mut attempts)?,
            }
        }
    }

    /// The relation `number`.
    ///
    /// # Errors
    /// The store's.
    pub async fn relation(
        &self,
        _permit: Permit<ReadTrust>,
        number: u64,
    ) -> Result<Option<Relation>, store::Error> {
        let found = self.load_relation(number).await?;
        Ok(found.map(|(requirer, found)| Relation::from_record(requirer, number, &found.record)))
    }

    /// All relations, by requirer and number; of one requirer, where one is named, and of one provider.
    ///
    /// # Errors
    /// The store's.
    pub async fn list_relations(
        &self,
        _permit: Permit<ReadTrust>,
        provider: Option<&ProviderName>,
        requirer: Option<&RequirerName>,
    ) -> Result<Vec<Relation>, store::Error> {
        let found = match requirer {
            Some(requirer) if self.load_requirer(requirer).await?.is_none() => Vec::new(),
            Some(requirer) => {
                let found = self.relations_of(requirer).await?;
                found.into_iter().map(|(number, found)| (id(requirer.as_str(), number), found)).collect()
            }
            None => {
                let requirers = self.requirers.all().await?.into_iter();
                let gone: BTreeSet<String> =
                    requirers.filter(|(_, found)| found.record.gone).map(|(name, _)| name).collect();
                let is_gone = |id: &str| parse_id(id).is_some_and(|(requirer, _)| gone.contains(requirer));
                let all = self.relations.all().await?.into_iter();
                all.filter(|(id, _)| !is_gone(id)).collect()
            }
        };
        let relation = |(id, found): (String, Loaded<RelationRecord>)| {
            let (requirer, number) = parse_id(&id)?;
            let requirer = RequirerName::from_record(requirer.to_owned());
            Some(Relation::from_record(requirer, number, &found.record))
        };
        let wanted = |relation: &Relation| provider.is_none_or(|provider| relation.provider == *provider);
        Ok(found.into_iter().filter_map(relation).filter(wanted).collect())
    }

    pub(crate) async fn load_relation(
        &self,
        number: u64,
    ) -> Result<Option<(RequirerName, Loaded<RelationRecord>)>, store::Error> {
        let Some(whose) = self.numbers.get(&format!("{number:020}")).await? else { return Ok(None) };
        let requirer = RequirerName::from_record(whose.record.requirer);
        if self.load_requirer(&requirer).await?.is_none() {
            return Ok(None);
        }
        let found = self.relations.get(&id(requirer.as_str(), number)).await?;
        Ok(found.map(|found| (requirer, found)))
    }

    pub(crate) async fn relations_of(
        &self,
        requirer: &RequirerName,
    ) -> Result<Vec<(u64, Loaded<RelationRecord>)>, store::Error> {
        let mut found = Vec::new();
        // A requirer's relations lie side by side, and what comes behind them belongs to another.
        let mut after = Some(self.relations.key(&format!("{requirer}/"))?);
        while after.is_some() {
            let page = self.relations.list(store::Page { after, limit: OF_REQUIRER_MAX }).await?;
            after = page.next.and_then(|next| next.after);
            for (id, loaded) in page.entries {
                match parse_id(&id) {
                    Some((of, number)) if of == requirer.as_str() => found.push((number, loaded)),
                    _ => return Ok(found),
                }
            }
        }
        Ok(found)
    }
}
