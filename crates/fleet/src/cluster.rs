//! Clusters: what they are, and how they are doing.

use base::{Explain, Kind};
use store::{CommitError, Version};

use crate::address::HostAddress;
use crate::error::{from_store, of_store};
use crate::host::{HostStatus, TEXT_BYTES_MAX};
use crate::name::{BadName, ClusterName};
use crate::network;
use crate::record::ClusterRecord;
use crate::tally::Tally;

/// A cluster, without its hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// Its name.
    pub name: ClusterName,
    /// What is stored as its status: nothing. How it is doing is [`ClusterView::health`].
    pub status: String,
    /// The network its hosts are in.
    pub network: String,
    /// The container manager that has its hosts; empty when there is none. It may be one that does not exist.
    pub container_manager: String,
}

impl Cluster {
    /// What stands in a record.
    pub(crate) fn from_record(record: &ClusterRecord) -> Result<Self, BadName> {
        Ok(Self {
            name: record.name.parse()?,
            status: record.status.clone(),
            network: record.network.clone(),
            container_manager: record.container_manager.clone(),
        })
    }
}

/// What is said about a cluster when it is made or changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCluster {
    /// A network; `default` is taken instead of one that does not exist.
    pub network: String,
    /// A container manager, which need not exist yet; empty for none.
    pub container_manager: String,
}

impl Default for NewCluster {
    /// In the network `default`, with no container manager.
    fn default() -> Self {
        Self { network: network::DEFAULT.into(), container_manager: String::new() }
    }
}

impl NewCluster {
    /// Whether it can be taken.
    pub(crate) fn check(&self) -> Result<(), ClusterError> {
        if self.container_manager.len() > TEXT_BYTES_MAX {
            return Err(ClusterError::TooLong { what: "container_manager", bytes_max: TEXT_BYTES_MAX });
        }
        Ok(())
    }
}

/// How whoever changes a cluster's settings has seen them; when they are others by now, nothing is changed. Which hosts
/// the cluster has, and how many, does not matter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExpectedSettings {
    /// It does not matter.
    Anything,
    /// There is no such cluster.
    Absent,
    /// They were these.
    Are(NewCluster),
}

impl ExpectedSettings {
    /// Whether what is there now is as expected.
    pub(crate) fn hold(&self, found: Option<&ClusterRecord>) -> bool {
        match (self, found) {
            (Self::Anything, _) | (Self::Absent, None) => true,
            (Self::Are(seen), Some(found)) => {
                seen.network == found.network && seen.container_manager == found.container_manager
            }
            (Self::Absent, Some(_)) | (Self::Are(_), None) => false,
        }
    }
}

/// A cluster, and how it is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterView {
    /// The cluster.
    pub cluster: Cluster,
    /// Of its record, for [`Expected::At`](crate::Expected::At). It may stay the same while counts change.
    pub version: Version,
    /// How many hosts have which status.
    pub tally: Tally,
}

/// A cluster, how it is doing, and its hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roster {
    /// The cluster.
    pub view: ClusterView,
    /// All its hosts, in the order of their addresses, numbers by their value.
    pub hosts: Vec<HostAddress>,
}

/// How many hosts a cluster has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// All of them.
    pub total: u64,
    /// Those that containers can run on.
    pub available: u64,
    /// The others.
    pub unavailable: u64,
}

/// How a cluster is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// All of its hosts are available, or there are none.
    Ok,
    /// Some are not.
    Degraded,
    /// None is.
    Failed,
}

impl Health {
    /// As the original writes it: `ok`, `degraded`, `failed`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Degraded => "degraded",
            Self::Failed => "failed",
        }
    }
}

impl ClusterView {
    /// What would have to be said for it to become what it is.
    #[must_use]
    pub fn settings(&self) -> NewCluster {
        let Cluster { network, container_manager, .. } = &self.cluster;
        NewCluster { network: network.clone(), container_manager: container_manager.clone() }
    }

    /// How many hosts it has (commissaire contract, section 5). Where there is no container manager that could have
    /// them, those that nobody has are available too.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let total = self.tally.total();
        let mut available = self.tally.count(&HostStatus::Active);
        if self.cluster.container_manager.is_empty() {
            available += self.tally.count(&HostStatus::Disassociated);
        }
        Counts { total, available, unavailable: total.saturating_sub(available) }
    }

    /// How it is doing.
    #[must_use]
    pub fn health(&self) -> Health {
        match self.counts() {
            Counts { unavailable: 0, .. } => Health::Ok,
            Counts { available: 0, .. } => Health::Failed,
            _ => Health::Degraded,
        }
    }
}

/// Why a cluster could not be shown, made, changed or deleted.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// There is no such cluster.
    #[error("the cluster `{cluster}` does not exist")]
    NoSuchCluster {
        /// Which.
        cluster: ClusterName,
    },
    /// It is not as whoever asks has seen it.
    #[error("the cluster `{cluster}` was changed meanwhile")]
    Changed {
        /// Which.
        cluster: ClusterName,
    },
    /// The network that it is to have does not exist.
    #[error("the network `{network}` does not exist")]
    NoSuchNetwork {
        /// Which.
        network: String,
    },
    /// The container manager that it is to have does not exist.
    #[error("the container manager `{manager}` does not exist")]
    NoSuchContainerManager {
        /// Which.
        manager: String,
    },
    /// Something that is said about it is too long.
    #[error("`{what}` is longer than {bytes_max} bytes")]
    TooLong {
        /// Which member.
        what: &'static str,
        /// How long it may be.
        bytes_max: usize,
    },
    /// That a cluster with more hosts than one commit takes is deleted has been decided, and then the store failed.
    #[error(
        "the cluster `{cluster}` is being deleted, and that could not be seen to its end: it is gone on with within half a \
         minute once the store answers, until the cluster has gone as a whole"
    )]
    Going {
        /// Which.
        cluster: ClusterName,
        /// Why it was not seen.
        #[source]
        source: CommitError,
    },
    /// The same may have been decided: the store did not say.
    #[error(
        "nobody knows yet whether the deletion of the cluster `{cluster}` has begun: if it has, it is gone on with within \
         half a minute once the store answers, until the cluster has gone as a whole; if not, nothing was changed"
    )]
    PerhapsGoing {
        /// Which.
        cluster: ClusterName,
        /// What the store said.
        #[source]
        source: CommitError,
    },
    /// The store failed, or others were faster too often.
    #[error("could not read or write the cluster")]
    Store(#[source] CommitError),
}

impl Explain for ClusterError {
    fn kind(&self) -> Kind {
        match self {
            Self::NoSuchCluster { .. } => Kind::NotFound,
            Self::Changed { .. } | Self::NoSuchNetwork { .. } | Self::NoSuchContainerManager { .. } => {
                Kind::Conflict
            }
            Self::TooLong { .. } => Kind::Invalid,
            Self::Going { .. } | Self::PerhapsGoing { .. } => Kind::Unavailable,
            Self::Store(source) => of_store(source),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::NoSuchNetwork { .. } => Some("make the network first".into()),
            Self::NoSuchContainerManager { .. } => Some("make the container manager first".into()),
            Self::Going { .. } | Self::PerhapsGoing { .. } => {
                Some("look at the clusters then, before you ask again".into())
            }
            Self::NoSuchCluster { .. } | Self::Changed { .. } | Self::TooLong { .. } | Self::Store(_) => None,
        }
    }

    fn told(&self) -> Option<String> {
        matches!(self, Self::Going { .. } | Self::PerhapsGoing { .. }).then(|| self.to_string())
    }
}

from_store!(ClusterError);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::TallyRecord;
    use store::Revision;

    #[test]
    fn a_cluster_does_as_well_as_its_hosts() {
        for (manager, hosts, counts, health) in [
            ("", &[][..], (0, 0, 0), "ok"),
            ("k8s", &[], (0, 0, 0), "ok"),
            ("", &[("active", 1)], (1, 1, 0), "ok"),
            ("", &[("disassociated", 1)], (1, 1, 0), "ok"),
            ("k8s", &[("disassociated", 1)], (1, 0, 1), "failed"),
            ("k8s", &[("active", 2), ("disassociated", 1)], (3, 2, 1), "degraded"),
            ("", &[("active", 2), ("disassociated", 1), ("failed", 3)], (6, 3, 3), "degraded"),
            ("", &[("", 1), ("investigating", 1), ("bootstrapping", 1), ("other", 1)], (4, 0, 4), "failed"),
        ] {
            let hosts = hosts.iter().map(|(status, count)| ((*status).to_owned(), *count)).collect();
            let view = ClusterView {
                cluster: Cluster {
                    name: "web".parse().unwrap(),
                    status: String::new(),
                    network: "default".into(),
                    container_manager: manager.into(),
                },
                version: Version(Revision(1)),
                tally: Tally::of([(&TallyRecord { hosts }, Version(Revision(1)))]),
            };
            let found = view.counts();
            assert_eq!((found.total, found.available, found.unavailable), counts, "{view:?}");
            assert_eq!(view.health().as_str(), health, "{view:?}");
        }
    }
}
