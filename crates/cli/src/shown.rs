//! How the things of the fleet are shown: a row in a list, and one by one.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use wire::{
    Cluster, ContainerManager, Host, HostKey, HostKeys, HostReport, Labels, Network, NodeReport, NodeState,
    Operation, OperationHost, WaitsFor,
};

use crate::progress::named;

/// What stands where nothing is known.
const NOTHING: &str = "-";

/// A thing that is listed.
pub(crate) trait Listed: Serialize + DeserializeOwned {
    /// The heads of the columns.
    const COLUMNS: &'static [&'static str];
    /// What is said when there are none.
    const NONE: &'static str;

    /// A cell for each column.
    fn row(&self) -> Vec<String>;
}

/// A thing that is shown alone.
pub(crate) trait Detailed: Serialize + DeserializeOwned {
    /// Whether a change can be made to depend on the version that is shown.
    const HAS_VERSION: bool = true;

    /// Names and values, in order.
    fn details(&self) -> Vec<(&'static str, String)>;
}

/// The word that stands for `value` in JSON.
pub(crate) fn word(value: &impl Serialize) -> String {
    let value = serde_json::to_value(value).unwrap_or_default();
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

pub(crate) fn known(value: Option<impl ToString>) -> String {
    value.map_or_else(|| NOTHING.to_owned(), |value| value.to_string())
}

pub(crate) fn joined(parts: impl Iterator<Item = String>) -> String {
    let text = parts.collect::<Vec<_>>().join(" ");
    if text.is_empty() { NOTHING.to_owned() } else { text }
}

fn labels(labels: &Labels) -> String {
    joined(labels.iter().map(|(key, value)| format!("{key}={value}")))
}

fn options(options: &Map<String, Value>) -> String {
    joined(options.iter().map(|(key, value)| match value {
        Value::String(text) => format!("{key}={text}"),
        other => format!("{key}={other}"),
    }))
}

fn megabytes(memory_mb: Option<u64>) -> String {
    known(memory_mb.map(|memory| format!("{memory} MB")))
}

/// Whole gigabytes, as disks are sold.
fn gigabytes(disk_bytes: Option<u64>) -> String {
    known(disk_bytes.map(|bytes| format!("{} GB", bytes / 1_000_000_000)))
}

impl Listed for Host {
    const COLUMNS: &'static [&'static str] =
        &["ADDRESS", "STATUS", "CLUSTER", "OS", "CPUS", "MEMORY", "DISK", "CHECKED", "LABELS"];
    const NONE: &'static str = "there are no hosts; `provost host add ADDRESS` adds one";

    fn row(&self) -> Vec<String> {
        vec![
            self.address.clone(),
            self.status.clone(),
            known(self.cluster.as_ref()),
            known(self.facts.os.as_ref()),
            known(self.facts.cpus),
            megabytes(self.facts.memory_mb),
            gigabytes(self.facts.disk_bytes),
            known(self.checked_at.as_ref()),
            labels(&self.labels),
        ]
    }
}

impl Detailed for Host {
    fn details(&self) -> Vec<(&'static str, String)> {
        let version = self.facts.os_version.as_ref();
        let atomic = if self.facts.atomic == Some(true) { ", atomic" } else { "" };
        let os = self.facts.os.as_ref().map(|os| match version {
            Some(version) => format!("{os} {version}{atomic}"),
            None => format!("{os}{atomic}"),
        });
        [
            ("address", self.address.clone()),
            ("status", self.status.clone()),
            ("cluster", known(self.cluster.as_ref())),
            ("os", known(os)),
            ("kernel", known(self.facts.kernel.as_ref())),
            ("arch", known(self.facts.architecture.as_ref())),
            ("cpus", known(self.facts.cpus)),
            ("memory", megabytes(self.facts.memory_mb)),
            ("disk", gigabytes(self.facts.disk_bytes)),
            ("checked", known(self.checked_at.as_ref())),
            ("labels", labels(&self.labels)),
            ("source", known(self.source.as_ref())),
        ]
        .into_iter()
        .chain(self.facts.boot_id.iter().map(|boot_id| ("boot id", boot_id.clone())))
        .chain(self.reason.iter().map(|reason| ("reason", reason.clone())))
        .collect()
    }
}

impl Detailed for HostReport {
    const HAS_VERSION: bool = false;

    fn details(&self) -> Vec<(&'static str, String)> {
        let reason = self.reason.iter().map(|reason| ("reason", reason.clone()));
        [
            ("status", self.status.clone()),
            ("checked", known(self.checked_at.as_ref())),
            ("container manager", node(&self.container_manager)),
        ]
        .into_iter()
        .chain(reason)
        .collect()
    }
}

impl Detailed for HostKeys {
    fn details(&self) -> Vec<(&'static str, String)> {
        let key = |key: &HostKey| {
            let key_type = key.public_key.split(' ').next().unwrap_or_default();
            format!("{} ({key_type}, since {})", key.fingerprint, key.since)
        };
        vec![
            ("address", self.address.clone()),
            ("known key", key(&self.pinned)),
            ("offered key", known(self.offered.as_ref().map(key))),
        ]
    }
}

fn node(report: &NodeReport) -> String {
    let state = match report.state {
        NodeState::Unmanaged => "none",
        NodeState::Registered => "has it",
        NodeState::Unregistered => "does not have it",
        NodeState::NotAsked => "was not asked",
    };
    match &report.reason {
        Some(reason) => format!("{state}: {reason}"),
        None => state.to_owned(),
    }
}

/// The address of a cluster's host.
impl Listed for String {
    const COLUMNS: &'static [&'static str] = &["ADDRESS"];
    const NONE: &'static str = "it has no hosts; `provost cluster add-host NAME ADDRESS` adds one";

    fn row(&self) -> Vec<String> {
        vec![self.clone()]
    }
}

impl Listed for Cluster {
    const COLUMNS: &'static [&'static str] = &["NAME", "HEALTH", "AVAILABLE", "NETWORK", "CONTAINER MANAGER"];
    const NONE: &'static str = "there are no clusters; `provost cluster create NAME` makes one";

    fn row(&self) -> Vec<String> {
        vec![
            self.name.clone(),
            word(&self.health),
            available(self),
            self.network.clone(),
            known(self.container_manager.as_ref()),
        ]
    }
}

impl Detailed for Cluster {
    fn details(&self) -> Vec<(&'static str, String)> {
        let by_status = self.hosts.by_status.iter().map(|(status, count)| format!("{status}={count}"));
        vec![
            ("name", self.name.clone()),
            ("health", word(&self.health)),
            ("available", available(self)),
            ("hosts", joined(by_status)),
            ("network", self.network.clone()),
            ("container manager", known(self.container_manager.as_ref())),
        ]
    }
}

fn available(cluster: &Cluster) -> String {
    format!("{} of {}", cluster.hosts.available, cluster.hosts.total)
}

impl Listed for Operation {
    const COLUMNS: &'static [&'static str] =
        &["ID", "KIND", "VERSION", "PHASE", "DONE", "FAILED", "AT", "STARTED", "FINISHED", "BY"];
    const NONE: &'static str = "nothing was ever done with it";

    fn row(&self) -> Vec<String> {
        vec![
            self.id.to_string(),
            self.kind.to_string(),
            known(self.version.as_ref()),
            word(&self.phase),
            format!("{} of {}", self.hosts.done, self.hosts.total),
            self.hosts.failed.to_string(),
            known((!self.under_way.is_empty()).then(|| named(&self.under_way))),
            self.started_at.clone(),
            known(self.finished_at.as_ref()),
            self.started_by.clone(),
        ]
    }
}

impl Detailed for Operation {
    const HAS_VERSION: bool = false;

    fn details(&self) -> Vec<(&'static str, String)> {
        let hosts = &self.hosts;
        let counts = [
            ("total", hosts.total),
            ("waiting", hosts.waiting),
            ("under_way", hosts.under_way),
            ("done", hosts.done),
            ("failed", hosts.failed),
            ("skipped", hosts.skipped),
        ];
        let waits_for = self.waits_for.as_ref().map(|waits_for| match waits_for {
            WaitsFor::Hosts => "hosts under way".to_owned(),
            WaitsFor::Schedule { until } => format!("its time, {until}"),
            WaitsFor::Unavailable { are, may_be } => {
                format!(
                    "hosts that are away: {are} unavailable, and no more than {may_be} may be; `provost host list \
                     --cluster {}` shows which",
                    self.cluster
                )
            }
            WaitsFor::Others => "others who work on the next host".to_owned(),
            WaitsFor::Answers { of } => format!("answers of {}", named(of)),
        });
        let policy = serde_json::to_value(&self.policy).unwrap_or_default();
        vec![
            ("cluster", self.cluster.clone()),
            ("id", self.id.to_string()),
            ("kind", self.kind.to_string()),
            ("version", known(self.version.as_ref())),
            ("phase", word(&self.phase)),
            ("waits for", known(waits_for)),
            ("hosts", joined(counts.iter().map(|(name, count)| format!("{name}={count}")))),
            ("under way", joined(self.under_way.iter().cloned())),
            ("policy", policy.as_object().map_or_else(|| known(None::<String>), options)),
            ("started", format!("{} by {}", self.started_at, self.started_by)),
            ("finished", known(self.finished_at.as_ref())),
        ]
    }
}

impl Listed for OperationHost {
    const COLUMNS: &'static [&'static str] = &["ADDRESS", "STATE", "SINCE", "CORDON", "REASON"];
    const NONE: &'static str = "the operation has no hosts";

    fn row(&self) -> Vec<String> {
        vec![
            self.address.clone(),
            word(&self.state),
            known(self.since.as_ref()),
            known(self.left_cordoned.then_some("left")),
            known(self.reason.as_ref()),
        ]
    }
}

impl Listed for Network {
    const COLUMNS: &'static [&'static str] = &["NAME", "KIND", "OPTIONS"];
    const NONE: &'static str = "there are no networks; `provost network create NAME` makes one";

    fn row(&self) -> Vec<String> {
        vec![self.name.clone(), word(&self.kind), options(&self.options)]
    }
}

impl Detailed for Network {
    fn details(&self) -> Vec<(&'static str, String)> {
        vec![("name", self.name.clone()), ("kind", word(&self.kind)), ("options", options(&self.options))]
    }
}

impl Listed for ContainerManager {
    const COLUMNS: &'static [&'static str] = &["NAME", "KIND", "OPTIONS"];
    const NONE: &'static str =
        "there are no container managers; `provost container-manager create NAME` makes one";

    fn row(&self) -> Vec<String> {
        vec![self.name.clone(), word(&self.kind), options(&self.options)]
    }
}

impl Detailed for ContainerManager {
    fn details(&self) -> Vec<(&'static str, String)> {
        vec![("name", self.name.clone()), ("kind", word(&self.kind)), ("options", options(&self.options))]
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read<T: DeserializeOwned>(document: Value) -> T {
        serde_json::from_value(document).unwrap()
    }

    #[test]
    fn rows_have_a_cell_for_each_column() {
        fn check<T: Listed>(document: Value, expected: &[&str]) {
            let row = read::<T>(document).row();
            assert_eq!(row, expected);
            assert_eq!(row.len(), T::COLUMNS.len());
        }
        let facts = json!({"os": "fedora", "cpus": 2, "memory_mb": 7982, "disk_bytes": 42_949_672_960_u64});
        let known = json!({"address": "a", "status": "active", "cluster": "web", "labels": {"b": "2", "a": "1"},
            "facts": facts, "checked_at": "2026-11-21T06:00:00Z"});
        let row =
            ["a", "active", "web", "fedora", "2", "7982 MB", "42 GB", "2026-11-21T06:00:00Z", "a=1 b=2"];
        check::<Host>(known, &row);
        let new = json!({"address": "a", "status": "new", "labels": {}, "facts": {}});
        check::<Host>(new, &["a", "new", "-", "-", "-", "-", "-", "-", "-"]);
        let counts =
            json!({"total": 3, "available": 2, "unavailable": 1, "by_status": {"active": 2, "new": 1}});
        let cluster = json!({"name": "web", "network": "default", "health": "degraded", "hosts": counts});
        check::<Cluster>(cluster.clone(), &["web", "degraded", "2 of 3", "default", "-"]);
        assert!(read::<Cluster>(cluster).details().contains(&("hosts", "active=2 new=1".into())));
        let network =
            json!({"name": "n", "kind": "flannel_server", "options": {"address": "a:1", "mtu": 9000}});
        check::<Network>(network, &["n", "flannel_server", "address=a:1 mtu=9000"]);
        check::<ContainerManager>(
            json!({"name": "n", "kind": "openshift", "options": {}}),
            &["n", "openshift", "-"],
        );
        let counts = json!({"total": 3, "waiting": 0, "under_way": 1, "done": 2, "failed": 0, "skipped": 0});
        let operation = json!({"cluster": "web", "id": 7, "kind": "restart", "phase": "running", "hosts": counts,
            "under_way": ["c"], "policy": {"batch": "25%"}, "started_by": "ada", "started_at": "t"});
        let row = ["7", "restart", "-", "running", "2 of 3", "0", "c", "t", "-", "ada"];
        check::<Operation>(operation.clone(), &row);
        let details = read::<Operation>(operation).details();
        assert!(details.contains(&("policy", "batch=25%".into())), "{details:?}");
        let host = json!({"address": "a", "state": "failed", "reason": "it hangs", "since": "t", "left_cordoned": true});
        check::<OperationHost>(host, &["a", "failed", "t", "left", "it hangs"]);
    }

    #[test]
    fn a_report_says_why() {
        let report =
            json!({"status": "active", "container_manager": {"state": "not_asked", "reason": "it is away"}});
        let details = read::<HostReport>(report).details();
        assert_eq!(details.last().unwrap().1, "was not asked: it is away");
    }
}
