//! Where a certificate came from, and where it is.

use std::collections::{BTreeMap, BTreeSet};

use base::Timestamp;
use identity::Permit;
use store::Page;

use crate::anchor::{Anchor, Finding, Fingerprint, findings};
use crate::bundle::Everything;
use crate::error::ReadError;
use crate::name::{ProviderName, RequirerName};
use crate::outcome::TRIED_MAX;
use crate::service::{ReadTrust, Trust};
use crate::unit::Unit;
use crate::wanted::Made;

/// How many places of a requirer are told.
const UNITS_MAX: usize = 100;

/// All that is known of a certificate.
#[derive(Debug, Clone)]
pub struct Explanation {
    /// The certificate, where anybody hands it on now.
    pub anchor: Option<Anchor>,
    /// What there is to say of it.
    pub findings: Vec<Finding>,
    /// Who brought it.
    pub brought: Vec<Brought>,
    /// Who hands it on now: the provider, and the relation where it is in one only.
    pub offered: Vec<(ProviderName, Option<u64>)>,
    /// Who is to have it, and who may have it still.
    pub requirers: Vec<Has>,
}

/// That a certificate was brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Brought {
    /// By which provider, and for which relation where it was for one.
    pub from: String,
    /// By whom.
    pub by: String,
    /// When last.
    pub at: Timestamp,
    /// Why, where that was said.
    pub why: Option<String>,
}

/// That a requirer is to have a certificate, or that some of its places may have it still.
#[derive(Debug, Clone)]
pub struct Has {
    /// The requirer.
    pub requirer: RequirerName,
    /// Whether it is to have it; otherwise `units` are those that may have it still.
    pub wanted: bool,
    /// Its places, and how they are: 100 at most.
    pub units: Vec<Unit>,
    /// Whether it has more.
    pub more: bool,
}

impl Trust {
    /// What is known of the certificate `which`; nothing where nobody ever brought it.
    ///
    /// # Errors
    /// The store's.
    pub async fn explain(
        &self,
        _permit: Permit<ReadTrust>,
        which: Fingerprint,
    ) -> Result<Option<Explanation>, store::Error> {
        let Some(record) = self.certificates.get(&which.to_string()).await? else { return Ok(None) };
        let everything = self.everything().await?;
        let mut anchor = None;
        let mut offered = Vec::new();
        let mut in_sets = BTreeSet::new();
        let common = everything.providers.iter().map(|(name, record)| (name, None, &record.set));
        let own = everything.relations.values().flatten();
        let own = own.map(|(number, record)| (&record.provider, Some(*number), &record.set));
        for (provider, relation, set) in common.chain(own) {
            let anchors = self.sets.load(set).await?;
            if let Some(found) = anchors.iter().find(|anchor| anchor.fingerprint() == which) {
                anchor.get_or_insert_with(|| found.clone());
                offered.push((ProviderName::from_record(provider.clone()), relation));
                in_sets.insert(set.hash.clone());
            }
        }
        let now = self.now();
        let mut requirers = Vec::new();
        for name in everything.requirers.keys() {
            let (sets, _) = everything.sets_of(name, now);
            if !sets.iter().any(|(hash, _)| in_sets.contains(hash)) {
                continue;
            }
            let requirer = RequirerName::from_record(name.clone());
            match self.states_of(&requirer, None, UNITS_MAX).await {
                Ok((units, more)) => requirers.push(Has { requirer, wanted: true, units, more }),
                // It has gone meanwhile.
                Err(ReadError::NoRequirer(_)) => {}
                Err(ReadError::Store(error)) => return Err(error),
            }
        }
        requirers.extend(self.still_there(which, &everything, &in_sets).await?);
        let certificate = anchor.as_ref().and_then(|anchor| anchor.certificate().ok());
        let brought = record.record.brought.into_iter();
        Ok(Some(Explanation {
            findings: certificate.map(|certificate| findings(&certificate, now)).unwrap_or_default(),
            brought: brought
                .map(|(from, brought)| {
                    let at = Timestamp::from_unix(brought.at);
                    Brought { from, by: brought.by, at, why: brought.why }
                })
                .collect(),
            anchor,
            offered,
            requirers,
        }))
    }

    /// The places that may have `which` still, of requirers that are not to have it as none of `in_sets` is theirs: what
    /// was put there last had it, or what was tried there since, or that is not known any more.
    async fn still_there(
        &self,
        which: Fingerprint,
        everything: &Everything,
        in_sets: &BTreeSet<String>,
    ) -> Result<Vec<Has>, store::Error> {
        let now = self.now();
        let (mut made, mut found) = (Made::default(), BTreeMap::<RequirerName, Has>::new());
        let mut had: BTreeMap<String, bool> = BTreeMap::new();
        let mut next = Some(Page::full());
        while let Some(page) = next {
            let page = self.units.list(page).await?;
            next = page.next;
            for (id, loaded) in page.entries {
                let Some((name, unit)) = id.split_once('/') else { continue };
                if !everything.requirers.contains_key(name) {
                    continue;
                }
                let (sets, since) = everything.sets_of(name, now);
                if sets.iter().any(|(hash, _)| in_sets.contains(hash)) {
                    continue;
                }
                let wanted = self.made_of(&sets, &mut made).await?;
                let tried = loaded.record.failing.as_ref().map_or(&[][..], |failing| &failing.tried);
                let mut may_have = tried.len() >= TRIED_MAX;
                for hash in loaded.record.applied.iter().chain(tried).filter(|hash| *hash != wanted.hash()) {
                    may_have |= match had.get(hash) {
                        Some(had) => *had,
                        None => {
                            let set = self.sets.find(hash).await?;
                            let had_it =
                                set.is_none_or(|set| set.iter().any(|anchor| anchor.fingerprint() == which));
                            had.insert(hash.clone(), had_it);
                            had_it
                        }
                    };
                }
                if !may_have {
                    continue;
                }
                let requirer = RequirerName::from_record(name.to_owned());
                let has = found.entry(requirer.clone()).or_insert_with(|| Has {
                    requirer,
                    wanted: false,
                    units: Vec::new(),
                    more: false,
                });
                if has.units.len() < UNITS_MAX {
                    let since = Timestamp::from_unix(since);
                    has.units.push(Unit::from_record(unit.to_owned(), loaded.record, wanted.hash(), since));
                } else {
                    has.more = true;
                }
            }
        }
        Ok(found.into_values().collect())
    }
}
