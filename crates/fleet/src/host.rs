//! Hosts: what is known about each, and who is taken in.

use base::Secret;

use crate::add::AddHostError;
use crate::address::HostAddress;
use crate::credentials::Credentials;
use crate::label::Labels;
use crate::name::{BadName, ClusterName};
use crate::record::HostRecord;

/// The longest text that is stored with a host as given: status, OS and the like, in bytes.
pub const TEXT_BYTES_MAX: usize = 200;
/// The longest private key file, in base64: beyond every key there is, and small enough to be stored sealed.
pub(crate) const KEY_BYTES_MAX: usize = 64 * 1024;

/// How far a host has come. Those who add a host may also say something else, which is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostStatus {
    /// It is known, and nobody has looked at it.
    New,
    /// Somebody is looking at it.
    Investigating,
    /// It is being made ready.
    Bootstrapping,
    /// It is ready, and no container manager has it.
    Disassociated,
    /// It is ready, and its container manager has it.
    Active,
    /// It could not be made ready, or does not answer.
    Failed,
    /// Whatever somebody else wrote.
    Other(String),
}

impl HostStatus {
    /// As it is stored and answered; [`Self::New`] is empty.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::New => "",
            Self::Investigating => "investigating",
            Self::Bootstrapping => "bootstrapping",
            Self::Disassociated => "disassociated",
            Self::Active => "active",
            Self::Failed => "failed",
            Self::Other(text) => text,
        }
    }

    /// Whether such a host may join a cluster (commissaire contract, section 5).
    #[must_use]
    pub fn may_join(&self) -> bool {
        matches!(self, Self::Active | Self::Disassociated)
    }
}

impl From<&str> for HostStatus {
    fn from(text: &str) -> Self {
        match text {
            "" => Self::New,
            "investigating" => Self::Investigating,
            "bootstrapping" => Self::Bootstrapping,
            "disassociated" => Self::Disassociated,
            "active" => Self::Active,
            "failed" => Self::Failed,
            other => Self::Other(other.to_owned()),
        }
    }
}

/// What a look at a host finds out. All zero and empty before.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    /// Lower-case name of the distribution: `fedora`.
    pub os: String,
    /// Processors.
    pub cpus: i64,
    /// Memory, in MB.
    pub memory: i64,
    /// Disk space, in bytes.
    pub space: i64,
}

/// A host, as everybody may see it: without its credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// Where it is reached; its name.
    pub address: HostAddress,
    /// How far it has come.
    pub status: HostStatus,
    /// What is known of it.
    pub facts: Facts,
    /// When it last answered: `2016-12-06T04:53:20.042000`, or whatever was said when it was added.
    pub last_check: String,
    /// Which inventory it comes from; empty for our own.
    pub source: String,
    /// The cluster it belongs to.
    pub cluster: Option<ClusterName>,
    /// What operators say about it.
    pub labels: Labels,
    /// What else a look at it has found out.
    pub details: Details,
    /// Why its status is `failed`, for a person who is to do something about it.
    pub reason: Option<String>,
}

/// What a look at a host finds out besides its [`Facts`]; nothing of it is known before.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Details {
    /// Whether OSTree manages its operating system, so that a version of it can be deployed.
    pub atomic: Option<bool>,
    /// Which version of the operating system it has: `41`.
    pub os_version: Option<String>,
    /// Which kernel runs: `6.1.0-25-amd64`.
    pub kernel: Option<String>,
    /// What its processors are: `x86_64`.
    pub architecture: Option<String>,
    /// Another one after each start.
    pub boot_id: Option<String>,
}

impl Host {
    /// What stands in a record.
    pub(crate) fn from_record(address: HostAddress, record: HostRecord) -> Result<Self, BadName> {
        Ok(Self {
            address,
            status: HostStatus::from(record.status.as_str()),
            facts: Facts { os: record.os, cpus: record.cpus, memory: record.memory, space: record.space },
            last_check: record.last_check,
            source: record.source,
            cluster: record.cluster.as_deref().map(str::parse).transpose()?,
            labels: Labels::from_record(record.labels),
            details: Details {
                atomic: record.atomic,
                os_version: record.os_version,
                kernel: record.kernel,
                architecture: record.architecture,
                boot_id: record.boot_id,
            },
            reason: record.reason,
        })
    }
}

/// What is said about a host when it is added. All of it may be left out.
#[derive(Debug, Clone)]
pub struct NewHost {
    /// How far it is said to have come.
    pub status: HostStatus,
    /// What is said to be known.
    pub facts: Facts,
    /// When it is said to have answered.
    pub last_check: String,
    /// Which inventory it comes from: the name of the one that is to be asked about it (commissaire contract, sections
    /// 9.2 and 13.2). Empty for our own, which is the only one there is so far; a host of another is refused, as one of
    /// an inventory that is not set up was in the original, and not kept under a name that means nothing: the day
    /// somebody sets up an inventory of that name, it would be theirs. Where a host exists this is not looked at.
    pub source: String,
    /// Which cluster it joins at once, whatever its status.
    pub cluster: Option<ClusterName>,
    /// Labels.
    pub labels: Labels,
    /// How to get into it.
    pub credentials: Credentials,
}

impl Default for NewHost {
    fn default() -> Self {
        Self {
            status: HostStatus::New,
            facts: Facts::default(),
            last_check: String::new(),
            source: String::new(),
            cluster: None,
            labels: Labels::default(),
            credentials: Credentials::default(),
        }
    }
}

impl NewHost {
    /// Whether it can be taken in.
    pub(crate) fn check(&self) -> Result<(), AddHostError> {
        let texts = [
            ("status", self.status.as_str()),
            ("os", &self.facts.os),
            ("last_check", &self.last_check),
            ("remote_user", &self.credentials.remote_user),
        ];
        if let Some((what, _)) = texts.into_iter().find(|(_, text)| text.len() > TEXT_BYTES_MAX) {
            return Err(AddHostError::TooLong { what, bytes_max: TEXT_BYTES_MAX });
        }
        if self.credentials.ssh_priv_key.expose().len() > KEY_BYTES_MAX {
            return Err(AddHostError::TooLong { what: "ssh_priv_key", bytes_max: KEY_BYTES_MAX });
        }
        if !self.source.is_empty() {
            return Err(AddHostError::NoSuchSource { source_name: self.source.clone() });
        }
        Ok(())
    }

    /// Whether adding this once more is the same as what there is (commissaire contract, section 3.2): the same
    /// key, and the cluster it is in. Everything else may differ, and is ignored.
    pub(crate) fn check_again(
        &self,
        address: &HostAddress,
        host: &HostRecord,
        key: &Secret<String>,
    ) -> Result<(), AddHostError> {
        if *key != self.credentials.ssh_priv_key {
            return Err(AddHostError::DifferentKey { address: address.clone() });
        }
        match &self.cluster {
            Some(cluster) if host.cluster.as_deref() != Some(cluster.as_str()) => {
                Err(AddHostError::NotInCluster { address: address.clone(), cluster: cluster.clone() })
            }
            _ => Ok(()),
        }
    }

    /// What is stored of it.
    pub(crate) fn record(&self, address: &HostAddress) -> HostRecord {
        HostRecord {
            address: address.to_string(),
            status: self.status.as_str().to_owned(),
            os: self.facts.os.clone(),
            cpus: self.facts.cpus,
            memory: self.facts.memory,
            space: self.facts.space,
            last_check: self.last_check.clone(),
            source: self.source.clone(),
            cluster: self.cluster.as_ref().map(ToString::to_string),
            labels: self.labels.as_map().clone(),
            ..HostRecord::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address() -> HostAddress {
        "10.0.0.1".parse().unwrap()
    }

    fn with_key(key: &str, cluster: Option<&str>) -> NewHost {
        NewHost {
            cluster: cluster.map(|name| name.parse().unwrap()),
            credentials: Credentials { ssh_priv_key: Secret::new(key.into()), ..Credentials::default() },
            ..NewHost::default()
        }
    }

    #[test]
    fn statuses_are_text_and_back() {
        for (text, may_join) in [
            ("", false),
            ("investigating", false),
            ("bootstrapping", false),
            ("disassociated", true),
            ("active", true),
            ("failed", false),
            ("Active", false),
        ] {
            let status = HostStatus::from(text);
            assert_eq!((status.as_str(), status.may_join()), (text, may_join));
        }
    }

    #[test]
    fn adding_again_needs_the_same_key_and_cluster() {
        for (key, cluster, stored_key, stored_cluster, expected) in [
            ("k", None, "k", None, None),
            ("", None, "", None, None),
            ("k", None, "k", Some("web"), None),
            ("k", Some("web"), "k", Some("web"), None),
            ("l", None, "k", None, Some("key")),
            ("", None, "k", None, Some("key")),
            ("k", None, "", None, Some("key")),
            ("k", Some("web"), "k", None, Some("cluster")),
            ("k", Some("web"), "k", Some("db"), Some("cluster")),
        ] {
            let stored = with_key("", stored_cluster).record(&address());
            let given = with_key(key, cluster);
            let outcome = given.check_again(&address(), &stored, &Secret::new(stored_key.to_owned()));
            let found = match outcome {
                Ok(()) => None,
                Err(AddHostError::DifferentKey { .. }) => Some("key"),
                Err(AddHostError::NotInCluster { .. }) => Some("cluster"),
                Err(error) => panic!("{error}"),
            };
            assert_eq!(found, expected, "{key} {cluster:?} onto {stored_key} {stored_cluster:?}");
        }
    }

    #[test]
    fn what_is_too_long_or_from_nowhere_is_refused() {
        let long = "x".repeat(TEXT_BYTES_MAX + 1);
        let facts = Facts { os: long.clone(), ..Facts::default() };
        let user = Credentials { remote_user: long.clone(), ..Credentials::default() };
        for (new, what) in [
            (NewHost { status: HostStatus::Other(long.clone()), ..NewHost::default() }, "status"),
            (NewHost { facts, ..NewHost::default() }, "os"),
            (NewHost { last_check: long.clone(), ..NewHost::default() }, "last_check"),
            (NewHost { credentials: user, ..NewHost::default() }, "remote_user"),
            (with_key(&"x".repeat(KEY_BYTES_MAX + 1), None), "ssh_priv_key"),
        ] {
            let found = new.check().unwrap_err();
            assert!(matches!(found, AddHostError::TooLong { what: found, .. } if found == what), "{what}");
        }
        let foreign = NewHost { source: "vcenter".into(), ..NewHost::default() };
        assert!(matches!(foreign.check(), Err(AddHostError::NoSuchSource { .. })));
        assert!(with_key(&"x".repeat(KEY_BYTES_MAX), None).check().is_ok());
    }
}
