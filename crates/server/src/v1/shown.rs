//! What the fleet knows, in the shapes of [`wire`].

use base::Timestamp;
use fleet::{
    ClusterView, ContainerManagerKind, HostAddress, HostKey, HostStatus, NetworkKind, NodeStatus, PinnedKey,
};
use store::Version;

use super::answer::tag_of;
use super::condition::Current;

/// The one status that is empty where it is kept.
pub(super) const NEW: &str = "new";

/// How something at `version` is called, when everything that is shown of it stands in its record.
pub(super) fn current(version: Version) -> Current {
    Current { tag: version.0.0.to_string(), version }
}

/// How a cluster is called: its settings, a `-`, and the counts of its hosts. Not by the version of its record, which is
/// another after each host that joins.
pub(super) fn current_cluster(view: &ClusterView) -> Current {
    let tag = format!("{}-{:x}", settings_tag(view), view.tally.fingerprint());
    Current { tag, version: view.version }
}

/// What stands before the `-`.
pub(super) fn settings_tag(view: &ClusterView) -> String {
    let (network, manager) = (&view.cluster.network, &view.cluster.container_manager);
    let mut tag = tag_of(format!("{} {network} {manager}", network.len()).as_bytes());
    tag.truncate(16);
    tag
}

pub(super) fn host(host: &fleet::Host) -> wire::Host {
    let known = |number: i64| u64::try_from(number).ok().filter(|number| *number > 0);
    wire::Host {
        address: host.address.to_string(),
        status: status(&host.status),
        cluster: host.cluster.as_ref().map(ToString::to_string),
        labels: host.labels.as_map().clone(),
        facts: wire::Facts {
            os: text(&host.facts.os),
            os_version: host.details.os_version.clone(),
            atomic: host.details.atomic,
            boot_id: host.details.boot_id.clone(),
            kernel: host.details.kernel.clone(),
            architecture: host.details.architecture.clone(),
            cpus: known(host.facts.cpus),
            memory_mb: known(host.facts.memory),
            disk_bytes: known(host.facts.space),
        },
        checked_at: moment(&host.last_check),
        source: text(&host.source),
        reason: host.reason.clone(),
    }
}

pub(super) fn report(host: &fleet::Host, node: &NodeStatus) -> wire::HostReport {
    let (state, reason) = match node {
        NodeStatus::Unmanaged => (wire::NodeState::Unmanaged, None),
        NodeStatus::Registered | NodeStatus::Node(_) => (wire::NodeState::Registered, None),
        NodeStatus::Unregistered => (wire::NodeState::Unregistered, None),
        NodeStatus::NotAsked { reason } => (wire::NodeState::NotAsked, Some(reason.clone())),
    };
    wire::HostReport {
        status: status(&host.status),
        checked_at: moment(&host.last_check),
        reason: host.reason.clone(),
        container_manager: wire::NodeReport { state, reason },
    }
}

pub(super) fn host_keys(address: &HostAddress, known: &PinnedKey) -> wire::HostKeys {
    let key = |key: &HostKey, since: Timestamp| wire::HostKey {
        fingerprint: key.fingerprint().to_owned(),
        public_key: key.to_string(),
        since: since.to_string(),
    };
    wire::HostKeys {
        address: address.to_string(),
        pinned: key(&known.key, known.since),
        offered: known.offered.as_ref().map(|(offered, at)| key(offered, *at)),
    }
}

pub(super) fn credentials(address: &HostAddress, credentials: &fleet::Credentials) -> wire::Credentials {
    wire::Credentials {
        address: address.to_string(),
        ssh_private_key: credentials.key_text(),
        remote_user: credentials.remote_user.clone(),
    }
}

pub(super) fn cluster(view: &ClusterView) -> wire::Cluster {
    let counts = view.counts();
    let named = |name: &str| if name.is_empty() { NEW.to_owned() } else { name.to_owned() };
    wire::Cluster {
        name: view.cluster.name.to_string(),
        network: view.cluster.network.clone(),
        container_manager: text(&view.cluster.container_manager),
        health: match view.health() {
            fleet::Health::Ok => wire::Health::Ok,
            fleet::Health::Degraded => wire::Health::Degraded,
            fleet::Health::Failed => wire::Health::Failed,
        },
        hosts: wire::HostCounts {
            total: counts.total,
            available: counts.available,
            unavailable: counts.unavailable,
            by_status: view.tally.by_status().iter().map(|(name, count)| (named(name), *count)).collect(),
        },
    }
}

pub(super) fn network(network: fleet::Network) -> wire::Network {
    wire::Network {
        name: network.name.to_string(),
        kind: match network.kind {
            NetworkKind::FlannelEtcd => wire::NetworkKind::FlannelEtcd,
            NetworkKind::FlannelServer => wire::NetworkKind::FlannelServer,
        },
        options: network.options.into_map(),
    }
}

pub(super) fn container_manager(manager: fleet::ContainerManager) -> wire::ContainerManager {
    wire::ContainerManager {
        name: manager.name.to_string(),
        kind: match manager.kind {
            ContainerManagerKind::OpenShift => wire::ContainerManagerKind::OpenShift,
            ContainerManagerKind::Kubernetes => wire::ContainerManagerKind::Kubernetes,
            ContainerManagerKind::Trivial => wire::ContainerManagerKind::Trivial,
        },
        options: manager.options.into_map(),
    }
}

fn status(status: &HostStatus) -> String {
    match status {
        HostStatus::New => NEW.to_owned(),
        status => status.as_str().to_owned(),
    }
}

fn text(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// A moment as it is kept, `2016-12-06T04:53:20.042000`, as RFC 3339 has it; `None` for what is none.
fn moment(text: &str) -> Option<String> {
    let text = text.strip_suffix('Z').unwrap_or(text);
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_fraction = (1..=9).contains(&fraction.len()) && fraction.bytes().all(|byte| byte.is_ascii_digit());
    let bytes = whole.as_bytes();
    let is_shaped = bytes.len() == 19
        && bytes.iter().enumerate().all(|(at, byte)| match at {
            4 | 7 => *byte == b'-',
            10 => *byte == b'T',
            13 | 16 => *byte == b':',
            _ => byte.is_ascii_digit(),
        });
    if !is_fraction || !is_shaped {
        return None;
    }
    let two = |at: usize| whole.get(at..at + 2)?.parse().ok();
    let fields = (whole.get(..4)?.parse().ok()?, two(5)?, two(8)?, two(11)?, two(14)?, two(17)?);
    Timestamp::from_fields(fields).map(|_| format!("{text}Z"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_as_rfc_3339_has_them() {
        for (kept, shown) in [
            ("2016-12-06T04:53:20.042000", Some("2016-12-06T04:53:20.042000Z")),
            ("2016-12-06T04:53:20", Some("2016-12-06T04:53:20Z")),
            ("2016-12-06T04:53:20Z", Some("2016-12-06T04:53:20Z")),
            ("", None),
            ("then", None),
            ("2016-13-06T04:53:20", None),
            ("2016-12-06 04:53:20", None),
            ("2016-12-06T04:53:20.", None),
            ("2016-12-06T04:53:20.1x", None),
            ("+016-12-06T04:53:20", None),
            ("2016-12-06T04:53:é", None),
        ] {
            assert_eq!(moment(kept).as_deref(), shown, "{kept}");
        }
    }
}
