//! What every requirer is to have, and what a change would do to them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use base::Timestamp;
use identity::Permit;

use crate::anchor::Anchor;
use crate::bundle::{Bundle, Everything, Wanted, is_drastic};
use crate::error::{ChangeError, ReadError};
use crate::name::{ProviderName, RequirerName};
use crate::provider::SetState;
use crate::record::SetName;
use crate::relation::parse_id;
use crate::service::{ManageTrust, ReadTrust, Trust};

/// Bundles that were put together of the same sets.
#[derive(Default)]
struct Made(HashMap<BTreeSet<(String, usize)>, Arc<Bundle>>);

/// A bundle, and since when it is what its requirer is to have.
#[derive(Debug, Clone)]
pub struct BundleSince {
    /// What it is to have.
    pub bundle: Arc<Bundle>,
    /// Since when.
    pub since: Timestamp,
}

impl Trust {
    /// What `requirer` is to have.
    ///
    /// # Errors
    /// [`ReadError::NoRequirer`], or the store's.
    pub async fn bundle(
        &self,
        _permit: Permit<ReadTrust>,
        requirer: &RequirerName,
    ) -> Result<BundleSince, ReadError> {
        self.bundle_of(requirer).await
    }

    pub(crate) async fn bundle_of(&self, requirer: &RequirerName) -> Result<BundleSince, ReadError> {
        let mut everything = Everything::default();
        let found =
            self.load_requirer(requirer).await?.ok_or_else(|| ReadError::NoRequirer(requirer.clone()))?;
        everything.requirers.insert(requirer.to_string(), found.record);
        for (number, found) in self.relations_of(requirer).await? {
            let provider = &found.record.provider;
            if let Some(found) = self.providers.get(provider).await? {
                everything.providers.insert(provider.clone(), found.record);
            }
            let relations = everything.relations.entry(requirer.to_string()).or_default();
            relations.push((number, found.record));
        }
        let (sets, since) = everything.sets_of(requirer.as_str(), self.now());
        let bundle = self.made_of(&sets, &mut Made::default()).await?;
        Ok(BundleSince { bundle, since: Timestamp::from_unix(since) })
    }

    /// What all requirers are to have, by name; those whose place, or one of whose sets, cannot be read are left out: what
    /// they are to have is not known, which is not to say that it is nothing. And when the next provider's grace is
    /// over, if one is going.
    ///
    /// # Errors
    /// The store's.
    pub async fn wanted(
        &self,
        _permit: Permit<ManageTrust>,
    ) -> Result<(Vec<Wanted>, Option<Timestamp>), store::Error> {
        let everything = self.everything().await?;
        let now = self.now();
        let mut made = Made::default();
        let mut wanted = Vec::new();
        for (name, record) in &everything.requirers {
            let requirer = RequirerName::from_record(name.clone());
            let Some(place) = self.place_of(&requirer, &record.place) else {
                tracing::error!(requirer = name, "where its certificates are put cannot be read");
                continue;
            };
            let (sets, since) = everything.sets_of(name, now);
            let bundle = match self.made_of(&sets, &mut made).await {
                Ok(bundle) => bundle,
                // It is this one's trouble, and nobody else's.
                Err(error @ store::Error::Record { .. }) => {
                    tracing::error!(requirer = name, error = %base::report(&error), "what it is to have cannot be read");
                    continue;
                }
                Err(error) => return Err(error),
            };
            wanted.push(Wanted {
                bundle,
                since: Timestamp::from_unix(since),
                leaving: record.leaving.is_some(),
                related: everything.relations.contains_key(name),
                made: Timestamp::from_unix(record.at),
                requirer,
                place,
            });
        }
        let ends = everything.providers.values().filter_map(|provider| provider.until);
        let next = ends.filter(|until| *until > now.as_unix()).min();
        Ok((wanted, next.map(Timestamp::from_unix)))
    }

    /// What a provider hands on to all its requirers; nothing where there is no such provider.
    ///
    /// # Errors
    /// The store's.
    pub async fn provider_set(
        &self,
        _permit: Permit<ReadTrust>,
        provider: &ProviderName,
    ) -> Result<Option<(SetState, Arc<BTreeSet<Anchor>>)>, store::Error> {
        let Some(found) = self.load_provider(provider).await? else { return Ok(None) };
        let set = &found.record.set;
        Ok(Some((set.into(), self.sets.load(set).await?)))
    }

    /// What the requirer of a relation has beside what all the provider's requirers have; nothing where there is no such
    /// relation.
    ///
    /// # Errors
    /// The store's.
    pub async fn relation_set(
        &self,
        _permit: Permit<ReadTrust>,
        number: u64,
    ) -> Result<Option<(SetState, Arc<BTreeSet<Anchor>>)>, store::Error> {
        let Some((_, found)) = self.load_relation(number).await? else { return Ok(None) };
        let set = &found.record.set;
        Ok(Some((set.into(), self.sets.load(set).await?)))
    }

    /// Whether what `change` does leaves no requirer with nothing, or with less than half of what it has.
    pub(crate) async fn check_impact(&self, change: impl FnOnce(&mut Everything)) -> Result<(), ChangeError> {
        let mut everything = self.everything().await?;
        let now = self.now();
        let sets = |everything: &Everything| -> BTreeMap<String, BTreeSet<(String, usize)>> {
            let names = everything.relations.keys();
            names.map(|name| (name.clone(), everything.sets_of(name, now).0)).collect()
        };
        let before = sets(&everything);
        change(&mut everything);
        let after = sets(&everything);
        let mut made = Made::default();
        let mut worst = None;
        let mut others = 0;
        for (name, sets) in before {
            let Some(left) = after.get(&name).filter(|left| **left != sets) else { continue };
            let had = self.made_of(&sets, &mut made).await?.anchors().len();
            let has = self.made_of(left, &mut made).await?.anchors().len();
            if is_drastic(had, has) {
                match worst {
                    None => worst = Some((name, had, has)),
                    Some(_) => others += 1,
                }
            }
        }
        match worst {
            None => Ok(()),
            Some((name, before, after)) => {
                let requirer = RequirerName::from_record(name);
                Err(ChangeError::Shrinks { requirer, before, after, others })
            }
        }
    }

    pub(crate) async fn everything(&self) -> Result<Everything, store::Error> {
        let plain = |(name, found): (String, store::Loaded<_>)| (name, found.record);
        // Relations last: one that is there has a provider and a requirer that were there before it.
        let requirers = self.requirers.all().await?;
        let providers = self.providers.all().await?.into_iter().map(plain).collect();
        let mut relations: BTreeMap<String, Vec<_>> = BTreeMap::new();
        for (id, found) in self.relations.all().await? {
            if let Some((requirer, number)) = parse_id(&id) {
                relations.entry(requirer.to_owned()).or_default().push((number, found.record));
            }
        }
        let requirers = requirers.into_iter().map(|(name, found)| (name, found.record)).collect();
        Ok(Everything { providers, requirers, relations })
    }

    async fn made_of(
        &self,
        sets: &BTreeSet<(String, usize)>,
        made: &mut Made,
    ) -> Result<Arc<Bundle>, store::Error> {
        if let Some(bundle) = made.0.get(sets) {
            return Ok(Arc::clone(bundle));
        }
        let mut anchors = Vec::with_capacity(sets.len());
        for (hash, count) in sets {
            let name = SetName { hash: hash.clone(), count: *count, revision: 0, at: 0 };
            anchors.push(self.sets.load(&name).await?);
        }
        let bundle = Arc::new(Bundle::of(&anchors));
        made.0.insert(sets.clone(), Arc::clone(&bundle));
        Ok(bundle)
    }
}
