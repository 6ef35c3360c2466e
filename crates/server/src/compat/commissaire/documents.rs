//! What clients read: the original's documents, member by member (commissaire contract, sections 3 and 4).

use std::fmt::Write as _;

use base::Entropy;
use fleet::{
    Cluster, ContainerManager, Counts, Credentials, Host, HostAddress, Network, NodeStatus, Operation,
    OperationKind, Roster,
};
use serde::Serialize;
use serde_json::{Map, Value, json};

/// A host, without its credentials.
#[derive(Serialize)]
pub(super) struct HostDocument<'a> {
    address: &'a str,
    status: &'a str,
    os: &'a str,
    cpus: i64,
    memory: i64,
    space: i64,
    last_check: &'a str,
    source: &'a str,
}

pub(super) fn host(host: &Host) -> HostDocument<'_> {
    HostDocument {
        address: host.address.as_str(),
        status: host.status.as_str(),
        os: &host.facts.os,
        cpus: host.facts.cpus,
        memory: host.facts.memory,
        space: host.facts.space,
        last_check: &host.last_check,
        source: &host.source,
    }
}

#[derive(Serialize)]
pub(super) struct CredentialsDocument<'a> {
    address: &'a str,
    ssh_priv_key: &'a str,
    remote_user: &'a str,
}

pub(super) fn credentials<'a>(
    address: &'a HostAddress,
    credentials: &'a Credentials,
) -> CredentialsDocument<'a> {
    CredentialsDocument {
        address: address.as_str(),
        ssh_priv_key: credentials.ssh_priv_key.expose(),
        remote_user: &credentials.remote_user,
    }
}

/// How a host is doing, for itself and with its container manager.
#[derive(Serialize)]
pub(super) struct HostStatusDocument<'a> {
    r#type: &'static str,
    host: LastCheck<'a>,
    container_manager: Value,
    /// Ours: why the container manager says nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    container_manager_error: Option<&'a str>,
}

#[derive(Serialize)]
struct LastCheck<'a> {
    last_check: &'a str,
    status: &'a str,
}

pub(super) fn host_status<'a>(
    host: &'a Host,
    node: &'a NodeStatus,
    entropy: &Entropy,
) -> HostStatusDocument<'a> {
    let (container_manager, container_manager_error) = match node {
        NodeStatus::Registered => {
            let status = json!({"node": host.address.as_str(), "status": "ok"});
            (registered(status, entropy), None)
        }
        NodeStatus::Node(status) => (registered((**status).clone(), entropy), None),
        NodeStatus::Unmanaged | NodeStatus::Unregistered => (json!({}), None),
        NodeStatus::NotAsked { reason } => (json!({}), Some(reason.as_str())),
    };
    HostStatusDocument {
        r#type: "host_only",
        host: LastCheck { last_check: &host.last_check, status: host.status.as_str() },
        container_manager,
        container_manager_error,
    }
}

/// What the container manager said, as it is and in the envelope that the original leaves around it.
fn registered(status: Value, entropy: &Entropy) -> Value {
    let mut document: Map<String, Value> = status.as_object().cloned().unwrap_or_default();
    document.insert("jsonrpc".into(), "2.0".into());
    document.insert("id".into(), uuid(entropy).into());
    document.insert("result".into(), status);
    document.into()
}

/// A random UUID (RFC 9562 §5.4).
fn uuid(entropy: &Entropy) -> String {
    let mut bytes = entropy.bytes::<16>();
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let mut text = String::with_capacity(36);
    for (place, byte) in bytes.iter().enumerate() {
        if matches!(place, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// A cluster; which members it has depends on who asks for it.
#[derive(Serialize)]
pub(super) struct ClusterDocument<'a> {
    name: &'a str,
    status: &'a str,
    network: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    hostset: Option<Vec<&'a str>>,
    container_manager: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    hosts: Option<CountsDocument>,
}

#[derive(Serialize)]
struct CountsDocument {
    total: u64,
    available: u64,
    unavailable: u64,
}

/// As it is stored: the answer to putting one.
pub(super) fn cluster(cluster: &Cluster) -> ClusterDocument<'_> {
    ClusterDocument {
        name: cluster.name.as_str(),
        status: &cluster.status,
        network: &cluster.network,
        hostset: None,
        container_manager: &cluster.container_manager,
        hosts: None,
    }
}

/// As it is stored, with its hosts: the answer to changing them.
pub(super) fn cluster_with_hosts(roster: &Roster) -> ClusterDocument<'_> {
    ClusterDocument { hostset: Some(addresses(&roster.hosts)), ..cluster(&roster.view.cluster) }
}

/// With its hosts, and how they and so the cluster are doing: the answer to getting one.
pub(super) fn cluster_as_it_does(roster: &Roster) -> ClusterDocument<'_> {
    let Counts { total, available, unavailable } = roster.view.counts();
    ClusterDocument {
        status: roster.view.health().as_str(),
        hosts: Some(CountsDocument { total, available, unavailable }),
        ..cluster_with_hosts(roster)
    }
}

pub(super) fn addresses(hosts: &[HostAddress]) -> Vec<&str> {
    hosts.iter().map(HostAddress::as_str).collect()
}

/// An operation. Hosts are named by their addresses.
#[derive(Serialize)]
pub(super) struct OperationDocument<'a> {
    name: &'a str,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deployed: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upgraded: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    restarted: Option<&'a [String]>,
    in_process: &'a [String],
    started_at: &'a str,
    finished_at: &'a str,
}

pub(super) fn operation(operation: &Operation) -> OperationDocument<'_> {
    let kind = operation.plan.kind();
    let done = |its| (kind == its).then_some(operation.done.as_slice());
    OperationDocument {
        name: operation.cluster.as_str(),
        status: operation.state.as_str(),
        version: operation.plan.version(),
        deployed: done(OperationKind::Deploy),
        upgraded: done(OperationKind::Upgrade),
        restarted: done(OperationKind::Restart),
        in_process: &operation.in_process,
        started_at: &operation.started_at,
        finished_at: &operation.finished_at,
    }
}

/// A network or a container manager.
#[derive(Serialize)]
pub(super) struct DefinitionDocument<'a> {
    name: &'a str,
    r#type: &'static str,
    options: &'a Map<String, Value>,
}

pub(super) fn network(network: &Network) -> DefinitionDocument<'_> {
    DefinitionDocument {
        name: network.name.as_str(),
        r#type: network.kind.as_str(),
        options: network.options.as_map(),
    }
}

pub(super) fn container_manager(manager: &ContainerManager) -> DefinitionDocument<'_> {
    DefinitionDocument {
        name: manager.name.as_str(),
        r#type: manager.kind.as_str(),
        options: manager.options.as_map(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_random_uuids() {
        let entropy = Entropy::seeded(1);
        let (one, other) = (uuid(&entropy), uuid(&entropy));
        assert_ne!(one, other);
        let parts: Vec<usize> = one.split('-').map(str::len).collect();
        assert_eq!(parts, [8, 4, 4, 4, 12]);
        assert!(one.as_bytes()[14] == b'4' && b"89ab".contains(&one.as_bytes()[19]), "{one}");
    }
}
