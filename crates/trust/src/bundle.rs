//! What a requirer is to have: the union over its relations, computed here and nowhere else.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use base::Timestamp;
use store::Loaded;

use crate::anchor::Anchor;
use crate::name::RequirerName;
use crate::record::{ProviderRecord, RelationRecord, RequirerRecord};
use crate::service::Moment;
use crate::set::{Anchors, hash_of};

/// All certificates that a requirer is to have, in the order of their PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    hash: String,
    anchors: Anchors,
}

impl Bundle {
    /// The one of all `sets`.
    pub(crate) fn of(sets: &[Anchors]) -> Self {
        let anchors = match sets {
            [one] => Arc::clone(one),
            several => {
                let all: BTreeSet<Anchor> = several.iter().flat_map(|set| set.iter().cloned()).collect();
                Arc::new(all)
            }
        };
        Self { hash: hash_of(&anchors), anchors }
    }

    /// What all of `bundles` have, together.
    #[must_use]
    pub fn union<'a>(bundles: impl IntoIterator<Item = &'a Self>) -> Self {
        let sets: Vec<Anchors> = bundles.into_iter().map(|bundle| Arc::clone(&bundle.anchors)).collect();
        Self::of(&sets)
    }

    /// What equal bundles have in common: SHA-256 over the certificates, in hexadecimal (contract, section 4.5).
    #[must_use]
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// The certificates.
    #[must_use]
    pub fn anchors(&self) -> &BTreeSet<Anchor> {
        &self.anchors
    }

    /// All of them as PEM, one behind the other.
    #[must_use]
    pub fn pem(&self) -> String {
        self.anchors.iter().map(Anchor::pem).collect()
    }
}

/// All providers, requirers and relations, or those of one requirer, as they were at one moment.
#[derive(Debug, Default)]
pub(crate) struct Everything {
    pub(crate) providers: BTreeMap<String, ProviderRecord>,
    pub(crate) requirers: BTreeMap<String, Loaded<RequirerRecord>>,
    /// By the requirer, and then by the number.
    pub(crate) relations: BTreeMap<String, Vec<(u64, RelationRecord)>>,
    /// When.
    pub(crate) moment: Moment,
}

impl Everything {
    /// The hashes of the sets that make up what `requirer` is to have at `now`, each with how it is named; and since
    /// when it is these.
    pub(crate) fn sets_of(&self, requirer: &str, now: Timestamp) -> (BTreeSet<(String, usize)>, i64) {
        let mut sets = BTreeSet::new();
        let mut since = self.requirers.get(requirer).map_or(0, |found| found.record.changed);
        if self.requirers.get(requirer).is_none_or(|found| found.record.leaving.is_some()) {
            return (sets, since);
        }
        for (_, relation) in self.relations.get(requirer).map_or(&[][..], Vec::as_slice) {
            let Some(provider) = self.providers.get(&relation.provider) else { continue };
            if let Some(until) = provider.until.filter(|until| now.as_unix() >= *until) {
                since = since.max(until);
                continue;
            }
            for set in [&provider.set, &relation.set] {
                since = since.max(set.at);
                if set.count > 0 {
                    sets.insert((set.hash.clone(), set.count));
                }
            }
        }
        (sets, since)
    }
}

/// Whether going from `before` certificates to `after` is worth a question: nothing is left, or less than half.
pub(crate) fn is_drastic(before: usize, after: usize) -> bool {
    before > 0 && (after == 0 || after * 2 < before)
}

/// What a requirer is to have, and where.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The requirer.
    pub requirer: RequirerName,
    /// Where its certificates are put.
    pub place: crate::place::Place,
    /// What it is to have; nothing where it is leaving.
    pub bundle: Arc<Bundle>,
    /// Since when it is to have that.
    pub since: Timestamp,
    /// For a webhook, a number that grows whenever it is to have something else than before, also where a requirer of that
    /// name was gone in between.
    pub revision: Option<u64>,
    /// Whether it goes once nothing of it is left.
    pub leaving: bool,
    /// Whether it has a relation, so that having nothing is something that it is to have.
    pub related: bool,
    /// When it was made: where two want the same, it is the first one's.
    pub made: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::anchor::tests::authority;

    #[test]
    fn a_bundle_is_the_union_in_order() {
        let anchors: Vec<Anchor> =
            ["a", "b", "c"].iter().map(|name| Anchor::from(&authority(name))).collect();
        let set = |which: &[usize]| Arc::new(which.iter().map(|at| anchors[*at].clone()).collect());
        let one = Bundle::of(&[set(&[0, 1]), set(&[2, 1])]);
        let other = Bundle::of(&[set(&[2]), set(&[]), set(&[1, 0])]);
        assert_eq!((one.hash(), one.pem()), (other.hash(), other.pem()));
        assert_eq!(one.anchors().len(), 3);
        let mut sorted: Vec<&str> = anchors.iter().map(Anchor::pem).collect();
        sorted.sort_unstable();
        assert_eq!(one.pem(), sorted.concat());
        assert_ne!(one.hash(), Bundle::of(&[set(&[0, 1])]).hash());
    }

    #[test]
    fn losing_much_is_asked_about() {
        for (before, after, is_so) in [
            (0, 0, false),
            (1, 0, true),
            (1, 1, false),
            (4, 2, false),
            (4, 1, true),
            (3, 1, true),
            (2, 5, false),
        ] {
            assert_eq!(is_drastic(before, after), is_so, "{before} {after}");
        }
    }
}
