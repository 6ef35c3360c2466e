//! How many hosts of a cluster have which status, without looking at the hosts.
//!
//! Counting by listing would take the longer the larger the cluster is. One counter for each cluster would make
//! all who change its hosts conflict. So a cluster's hosts are counted in 32 parts by a hash of their address, in
//! the same commit that changes a host: a count is one short listing, whatever is counted, and two writers meet
//! only in one of 32 cases, where the slower one tries again.
//!
//! A part without hosts has no record. So a commit that expects all 32 to be absent knows that the cluster has no
//! hosts, and one that expects them to be as they were seen knows that its hosts are the same.

use std::collections::BTreeMap;

use store::{Revision, Version};

use crate::host::HostStatus;
use crate::record::TallyRecord;

/// What the keys begin with; the cluster's name and a slash follow.
pub(crate) const PREFIX: &str = "/fleet/tally/";
/// In how many parts hosts are counted. Stored counts depend on it: it stays as it is.
pub(crate) const PARTS: u8 = 32;

/// The part that counts `address`.
pub(crate) fn part(address: &str) -> u8 {
    (spread(address) % u64::from(PARTS)) as u8
}

/// A number for an address, by which many are spread evenly: FNV-1a, so that it is the same for ever.
pub(crate) fn spread(address: &str) -> u64 {
    let hash = hash(0xcbf2_9ce4_8422_2325, address.as_bytes());
    // Folded, because the last characters, which differ most, reach the middle of it but not its end.
    hash ^ (hash >> 32) ^ (hash >> 40)
}

/// FNV-1a, going on from `hash`.
fn hash(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

/// How a part is named in its key.
pub(crate) fn part_name(part: u8) -> String {
    format!("{part:02}")
}

/// Changes to the counts of one part.
#[derive(Debug, Default)]
pub(crate) struct Shift(BTreeMap<String, i64>);

impl Shift {
    /// One host more with `status`.
    pub(crate) fn add(&mut self, status: &str) {
        *self.0.entry(counted_as(status).to_owned()).or_default() += 1;
    }

    /// One host less with `status`.
    pub(crate) fn take(&mut self, status: &str) {
        *self.0.entry(counted_as(status).to_owned()).or_default() -= 1;
    }

    /// The counts after the changes.
    pub(crate) fn applied(&self, record: &TallyRecord) -> TallyRecord {
        let mut hosts = record.hosts.clone();
        for (status, change) in &self.0 {
            let count = hosts.entry(status.clone()).or_default();
            *count = count.saturating_add_signed(*change);
        }
        hosts.retain(|_, count| *count > 0);
        TallyRecord { hosts }
    }

    /// Whether it changes nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.values().all(|change| *change == 0)
    }
}

/// What a status is counted as, and found by: one that nobody knows is `other`, because there are only so many counts.
pub(crate) fn counted_as(status: &str) -> &str {
    match HostStatus::from(status) {
        HostStatus::Other(_) => "other",
        _ => status,
    }
}

/// How many hosts of a cluster have which status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally {
    by_status: BTreeMap<String, u64>,
    fingerprint: u64,
}

impl Tally {
    /// The sum of all parts.
    pub(crate) fn of<'r>(parts: impl IntoIterator<Item = (&'r TallyRecord, Version)>) -> Self {
        let mut tally = Self { by_status: BTreeMap::new(), fingerprint: 0 };
        for (record, Version(Revision(revision))) in parts {
            // No two writes of one part have the same version, so the same versions are the same counts.
            tally.fingerprint = hash(tally.fingerprint, &revision.to_be_bytes());
            for (status, count) in &record.hosts {
                *tally.by_status.entry(status.clone()).or_default() += count;
            }
        }
        tally
    }

    /// How many hosts there are, by status; none that is 0. Statuses that are none of the known ones are
    /// counted as `other`.
    #[must_use]
    pub fn by_status(&self) -> &BTreeMap<String, u64> {
        &self.by_status
    }

    /// Another one when the counts are others; for telling whether somebody has seen these.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// How many hosts there are.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.by_status.values().sum()
    }

    /// How many have one status.
    #[must_use]
    pub fn count(&self, status: &HostStatus) -> u64 {
        self.by_status.get(status.as_str()).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(hosts: &[(&str, u64)]) -> TallyRecord {
        TallyRecord { hosts: hosts.iter().map(|(status, count)| ((*status).to_owned(), *count)).collect() }
    }

    #[test]
    fn shifts_are_sums() {
        let mut shift = Shift::default();
        shift.take("");
        shift.add("active");
        shift.add("active");
        shift.add("on fire");
        assert!(!shift.is_empty());
        let after = shift.applied(&record(&[("", 1), ("failed", 3)]));
        assert_eq!(after, record(&[("active", 2), ("failed", 3), ("other", 1)]));
        shift.take("melted");
        shift.take("active");
        shift.take("active");
        shift.add("");
        assert!(shift.is_empty(), "what is nobody's status is one");
        assert_eq!(shift.applied(&after), after);
    }

    /// They are stored: were they others one day, the counts would be wrong.
    #[test]
    fn parts_stay_what_they_are() {
        for (address, expected) in [("10.0.0.1", 31), ("10.0.0.2", 5), ("web-1", 19), ("", 29)] {
            assert_eq!(part(address), expected, "{address}");
        }
        let mut counts = [0; PARTS as usize];
        for n in 0..3_200 {
            counts[usize::from(part(&format!("10.0.{}.{}", n / 256, n % 256)))] += 1;
        }
        assert!(counts.iter().all(|count| (40..250).contains(count)), "{counts:?}");
    }

    #[test]
    fn a_tally_is_the_sum_of_its_parts() {
        let (one, other) = (record(&[("active", 2), ("", 1)]), record(&[("active", 1), ("failed", 4)]));
        let tally = Tally::of([(&one, Version(Revision(9))), (&other, Version(Revision(7)))]);
        assert_eq!(tally.total(), 8);
        assert_eq!(tally.count(&HostStatus::Active), 3);
        assert_eq!(tally.count(&HostStatus::Investigating), 0);
        assert_eq!(Tally::of([]).total(), 0);
        assert_eq!(
            tally.fingerprint(),
            Tally::of([(&one, Version(Revision(9))), (&other, Version(Revision(7)))]).fingerprint()
        );
        assert_ne!(tally.fingerprint(), Tally::of([(&one, Version(Revision(9)))]).fingerprint());
    }
}
