//! A cluster's `hostset`, which repeats what its hosts say, for whoever looks into the store.
//!
//! Each host that comes or goes rewrites it, so it would become slow, and one day too large for a record. It is
//! kept while a cluster has at most 1,000 hosts. The 1,001st empties it, and `hostset_under` says from then on where
//! the hosts are listed; who joins after that only expects the cluster to be as it was, and gets in nobody's way.

use store::Loaded;

use crate::draft::Draft;
use crate::index::{self, FoundBy};
use crate::record::ClusterRecord;
use crate::service::Fleet;

/// The most hosts that are listed in the cluster's own record: a quarter of a megabyte, if all have the longest
/// addresses.
const LISTED_MAX: usize = 1_000;

impl Fleet {
    /// Hosts come and go: the cluster must still be as it was when they come, and its `hostset` follows.
    pub(crate) fn stage_roster(
        &self,
        draft: &mut Draft,
        cluster: &Loaded<ClusterRecord>,
        joined: &[String],
        left: &[String],
    ) -> Result<(), store::Error> {
        let (table, name) = (&self.tables.cluster, cluster.record.name.as_str());
        match moved(&cluster.record, joined, left) {
            Some(after) => table.update(&mut draft.batch, name, &after, cluster.version),
            None if joined.is_empty() => Ok(()),
            None => table.expect_at(&mut draft.batch, name, cluster.version),
        }
    }
}

/// The cluster after hosts came and went; `None` when its record does not list them.
fn moved(cluster: &ClusterRecord, joined: &[String], left: &[String]) -> Option<ClusterRecord> {
    if cluster.hostset_under.is_some() {
        return None;
    }
    let mut after = cluster.clone();
    after.hostset.retain(|address| !left.contains(address) && !joined.contains(address));
    after.hostset.extend_from_slice(joined);
    if after.hostset.len() > LISTED_MAX {
        after.hostset.clear();
        after.hostset_under = Some(format!("{}{}", index::PREFIX, FoundBy::Cluster(&cluster.name).prefix()));
    }
    Some(after)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster(hostset: &[&str]) -> ClusterRecord {
        ClusterRecord {
            name: "web".into(),
            status: String::new(),
            network: "default".into(),
            hostset: texts(hostset),
            container_manager: String::new(),
            hostset_under: None,
            operations_after: None,
        }
    }

    fn texts(hosts: &[&str]) -> Vec<String> {
        hosts.iter().map(|host| (*host).to_owned()).collect()
    }

    #[test]
    fn hosts_come_and_go() {
        for (before, joined, left, after) in [
            (&[][..], &["a"][..], &[][..], &["a"][..]),
            (&["a", "b"], &["c"], &["a"], &["b", "c"]),
            (&["a"], &["a"], &[], &["a"]),
            (&["a"], &[], &["b"], &["a"]),
            (&["a"], &[], &["a"], &[]),
        ] {
            let found = moved(&cluster(before), &texts(joined), &texts(left)).unwrap();
            assert_eq!(found, cluster(after), "{before:?} + {joined:?} - {left:?}");
        }
    }

    #[test]
    fn too_many_are_listed_elsewhere() {
        let thousand: Vec<String> = (0..LISTED_MAX).map(|n| n.to_string()).collect();
        let full = moved(&cluster(&[]), &thousand, &[]).unwrap();
        assert_eq!((full.hostset.len(), &full.hostset_under), (LISTED_MAX, &None));
        let spilt = moved(&full, &texts(&["x"]), &[]).unwrap();
        assert_eq!(spilt.hostset.len(), 0);
        assert_eq!(spilt.hostset_under.as_deref(), Some("/fleet/host/cluster/web/"));
        assert_eq!(moved(&spilt, &texts(&["y"]), &texts(&["x"])), None);
    }
}
