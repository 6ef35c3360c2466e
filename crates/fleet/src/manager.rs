//! Who has a cluster's hosts, as far as records tell: asking container managers is for those who may wait for them.

use crate::container_manager::ContainerManagerKind;
use crate::host::{Host, HostStatus};
use crate::name::ContainerManagerName;
use crate::service::Fleet;

/// What happens to a host that joins a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manager {
    /// The cluster has no container manager.
    None,
    /// One of the kind that takes every host at once.
    Trivial,
    /// One that has to be asked.
    Remote,
    /// It names one that does not exist.
    Missing,
}

impl Manager {
    /// The status of a host that has just joined (commissaire contract, section 5); `None` when it cannot.
    pub(crate) fn status_after_joining(self) -> Option<HostStatus> {
        match self {
            // Whoever talks to the container manager makes it active once that has taken the host.
            Self::None | Self::Remote => Some(HostStatus::Disassociated),
            Self::Trivial => Some(HostStatus::Active),
            Self::Missing => None,
        }
    }
}

/// What a host's container manager says about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeStatus {
    /// Nothing: the host is in no cluster, or in one without container manager.
    Unmanaged,
    /// It has it (`trivial`, which knows nothing else about its hosts).
    Registered,
    /// It has it, and says this of it.
    Node(Box<serde_json::Value>),
    /// It does not have it.
    Unregistered,
    /// It was not asked, and this is why, as a sentence without its end.
    NotAsked {
        /// Why.
        reason: String,
    },
}

impl Fleet {
    /// What kind of container manager `name` stands for.
    pub(crate) async fn manager(&self, name: &str) -> Result<Manager, store::Error> {
        if name.is_empty() {
            return Ok(Manager::None);
        }
        // What is no name is nobody's.
        let Ok(name) = name.parse::<ContainerManagerName>() else { return Ok(Manager::Missing) };
        Ok(match self.container_managers.table.get(name.as_str()).await? {
            None => Manager::Missing,
            Some(found) if found.record.r#type == ContainerManagerKind::Trivial.as_str() => Manager::Trivial,
            Some(_) => Manager::Remote,
        })
    }

    pub(crate) async fn node_status(&self, host: &Host) -> Result<NodeStatus, store::Error> {
        let Some(cluster) = &host.cluster else { return Ok(NodeStatus::Unmanaged) };
        let Some(cluster) = self.tables.cluster.get(cluster.as_str()).await? else {
            return Ok(NodeStatus::Unmanaged);
        };
        let name = &cluster.record.container_manager;
        Ok(match self.manager(name).await? {
            Manager::None => NodeStatus::Unmanaged,
            Manager::Trivial if host.status == HostStatus::Active => NodeStatus::Registered,
            Manager::Trivial => NodeStatus::Unregistered,
            Manager::Remote => {
                NodeStatus::NotAsked { reason: format!("the container manager `{name}` was not asked") }
            }
            Manager::Missing => {
                NodeStatus::NotAsked { reason: format!("the container manager `{name}` does not exist") }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_joins_waits_for_its_manager() {
        for (manager, status) in [
            (Manager::None, Some(HostStatus::Disassociated)),
            (Manager::Remote, Some(HostStatus::Disassociated)),
            (Manager::Trivial, Some(HostStatus::Active)),
            (Manager::Missing, None),
        ] {
            assert_eq!(manager.status_after_joining(), status, "{manager:?}");
        }
    }
}
