//! Providers: who says which certificates are to be trusted, and what is refused of them.

use std::collections::BTreeSet;

use base::{Span, Timestamp};
use identity::Permit;
use store::Batch;

use crate::account::Only;
use crate::anchor::Finding;
use crate::error::ChangeError;
use crate::event::Happened;
use crate::name::ProviderName;
use crate::record::{ProviderRecord, SetName};
use crate::service::{ManageTrust, ReadTrust, Trust, Why};

/// The most providers.
const PROVIDERS_MAX: usize = 1_000;
/// The longest grace: a year.
const GRACE_MAX: Span = Span::days(366);

/// What is said of a provider beside its certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// For what a certificate is refused.
    pub refuse: BTreeSet<Finding>,
    /// How long its certificates stay when it goes.
    pub grace: Span,
    /// Who offers in its name; any operator, where nobody is named.
    pub only: Only,
}

impl Default for Terms {
    /// What is no authority's or is over is refused; certificates go when their provider goes.
    fn default() -> Self {
        Self {
            refuse: [Finding::NotAnAuthority, Finding::Expired].into(),
            grace: Span::ZERO,
            only: Only::default(),
        }
    }
}

/// How many certificates a set has, and how often it was another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetState {
    /// What equal sets have in common.
    pub hash: String,
    /// How many certificates there are.
    pub count: usize,
    /// Grows whenever the set becomes another one.
    pub revision: u64,
    /// Since when it is this one.
    pub since: Timestamp,
}

impl From<&SetName> for SetState {
    fn from(name: &SetName) -> Self {
        let SetName { hash, count, revision, at } = name.clone();
        Self { hash, count, revision, since: Timestamp::from_unix(at) }
    }
}

/// A provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provider {
    /// Its name.
    pub name: ProviderName,
    /// Which of the house's own authorities it is, if it is one.
    pub authority: Option<String>,
    /// What was said of it.
    pub terms: Terms,
    /// What all its relations have.
    pub set: SetState,
    /// Since when there is one.
    pub since: Timestamp,
    /// Who made it.
    pub by: String,
    /// Until when its certificates stay, where it is going.
    pub until: Option<Timestamp>,
}

impl Provider {
    pub(crate) fn from_record(name: ProviderName, record: &ProviderRecord) -> Self {
        Self {
            name,
            authority: record.authority.clone(),
            terms: record.terms(),
            set: SetState::from(&record.set),
            since: Timestamp::from_unix(record.at),
            by: record.by.clone(),
            until: record.until.map(Timestamp::from_unix),
        }
    }
}

impl ProviderRecord {
    pub(crate) fn terms(&self) -> Terms {
        let refuse = self.refuse.iter().filter_map(|name| Finding::from_name(name)).collect();
        Terms { refuse, grace: Span::seconds(self.grace), only: Only::from_record(self.only.clone()) }
    }

    fn say(&mut self, terms: &Terms) {
        self.refuse = terms.refuse.iter().map(|finding| finding.name().to_owned()).collect();
        self.only = terms.only.names();
        self.grace = terms.grace.as_seconds().clamp(0, GRACE_MAX.as_seconds());
    }
}

impl Trust {
    /// Makes a provider, or says other things of the one that is there; one that was going stays.
    ///
    /// # Errors
    /// [`ChangeError::Own`] for one of the house's authorities, [`ChangeError::Full`], or the store's.
    pub async fn set_provider(
        &self,
        permit: Permit<ManageTrust>,
        name: &ProviderName,
        terms: &Terms,
        why: &Why,
    ) -> Result<Provider, ChangeError> {
        let _turn = self.turn.lock().await;
        let mut attempts = 0;
        loop {
            let found = self.load_provider(name).await?;
            if found.as_ref().is_some_and(|found| found.record.authority.is_some()) {
                return Err(ChangeError::Own(name.clone()));
            }
            let now = self.now();
            let mut record = match &found {
                Some(found) => found.record.clone(),
                None => self.new_provider(permit.by().name(), None).await?,
            };
            record.say(terms);
            record.until = None;
            if found.as_ref().is_some_and(|found| found.record == record) {
                return Ok(Provider::from_record(name.clone(), &record));
            }
            if found.as_ref().is_some_and(|found| found.record.until.is_some()) {
                // Its requirers have its certificates again, if they had lost them.
                record.set.at = now.as_unix();
            }
            let mut batch = Batch::new();
            self.providers.put_over(&mut batch, name.as_str(), &record, found.map(|found| found.version))?;
            let happened = Happened::ProviderSet { name, record: &record };
            match self.commit(batch, &happened, permit.by(), why).await {
                Ok(()) => return Ok(Provider::from_record(name.clone(), &record)),
                Err(error) => Self::again(error, &mut attempts)?,
            }
        }
    }

    pub(crate) async fn new_provider(
        &self,
        by: &str,
        authority: Option<String>,
    ) -> Result<ProviderRecord, ChangeError> {
        if self.providers.all().await?.len() >= PROVIDERS_MAX {
            return Err(ChangeError::Full { what: "there are as many providers as there may be" });
        }
        let now = self.now();
        let mut record = ProviderRecord {
            authority,
            refuse: Vec::new(),
            only: Vec::new(),
            grace: 0,
            set: SetName::none(now),
            by: by.to_owned(),
            at: now.as_unix(),
            until: None,
        };
        record.say(&Terms::default());
        Ok(record)
    }

    /// Has a provider go: its certificates stay for the grace that was said, and then its relations end. `confirmed`
    /// says that its requirers may lose much.
    ///
    /// # Errors
    /// [`ChangeError::NoProvider`], [`ChangeError::Own`], [`ChangeError::Shrinks`], or the store's.
    pub async fn remove_provider(
        &self,
        permit: Permit<ManageTrust>,
        name: &ProviderName,
        confirmed: bool,
        why: &Why,
    ) -> Result<Provider, ChangeError> {
        let _turn = self.turn.lock().await;
        let mut attempts = 0;
        loop {
            let Some(found) = self.load_provider(name).await? else {
                return Err(ChangeError::NoProvider(name.clone()));
            };
            let mut record = found.record;
            if record.authority.is_some() {
                return Err(ChangeError::Own(name.clone()));
            }
            if record.until.is_some() {
                return Ok(Provider::from_record(name.clone(), &record));
            }
            let mut batch = Batch::new();
            if !confirmed {
                let checked = self.check_impact(|everything| {
                    if let Some(provider) = everything.providers.get_mut(name.as_str()) {
                        provider.until = Some(i64::MIN);
                    }
                });
                self.expect(&mut batch, checked.await?)?;
            }
            record.until = Some(self.now().as_unix().saturating_add(record.grace));
            self.providers.update(&mut batch, name.as_str(), &record, found.version)?;
            let happened = Happened::ProviderLeaves { name, grace_seconds: record.grace };
            match self.commit(batch, &happened, permit.by(), why).await {
                Ok(()) => return Ok(Provider::from_record(name.clone(), &record)),
                Err(error) => Self::again(error, &mut attempts)?,
            }
        }
    }

    /// All providers, by name.
    ///
    /// # Errors
    /// The store's.
    pub async fn list_providers(&self, _permit: Permit<ReadTrust>) -> Result<Vec<Provider>, store::Error> {
        let all = self.providers.all().await?;
        let provider = |(name, found): (String, store::Loaded<ProviderRecord>)| {
            Provider::from_record(ProviderName::from_record(name), &found.record)
        };
        Ok(all.into_iter().map(provider).collect())
    }

    /// A provider, if there is one of that name.
    ///
    /// # Errors
    /// The store's.
    pub async fn provider(
        &self,
        _permit: Permit<ReadTrust>,
        name: &ProviderName,
    ) -> Result<Option<Provider>, store::Error> {
        let found = self.load_provider(name).await?;
        Ok(found.map(|found| Provider::from_record(name.clone(), &found.record)))
    }
}
