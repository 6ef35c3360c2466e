//! Where a certificate came from, and where it is.

use std::collections::BTreeSet;

use base::Timestamp;
use identity::Permit;

use crate::anchor::{Anchor, Finding, Fingerprint, findings};
use crate::name::{ProviderName, RequirerName};
use crate::service::{ReadTrust, Trust};
use crate::unit::Unit;

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
    /// Who is to have it.
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
}

/// That a requirer is to have a certificate.
#[derive(Debug, Clone)]
pub struct Has {
    /// The requirer.
    pub requirer: RequirerName,
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
            // One that has gone meanwhile has nothing.
            let (units, more) = self.states_of(&requirer, None, UNITS_MAX).await.unwrap_or_default();
            requirers.push(Has { requirer, units, more });
        }
        let certificate = anchor.as_ref().and_then(|anchor| anchor.certificate().ok());
        let brought = record.record.brought.into_iter();
        Ok(Some(Explanation {
            findings: certificate.map(|certificate| findings(&certificate, now)).unwrap_or_default(),
            brought: brought
                .map(|(from, brought)| Brought { from, by: brought.by, at: Timestamp::from_unix(brought.at) })
                .collect(),
            anchor,
            offered,
            requirers,
        }))
    }
}
