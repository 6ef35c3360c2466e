//! Operations on clusters: what is to be done with all of a cluster's hosts, one after the other, and how far it is.

use std::str::FromStr;

use base::{Explain, Kind};

use crate::host::TEXT_BYTES_MAX;
use crate::name::ClusterName;
use crate::record::OperationRecord;
use crate::rollout::RolloutId;

/// Something that can be done with a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OperationKind {
    /// Every host gets a version of its operating system.
    Deploy,
    /// Every host's packages are upgraded.
    Upgrade,
    /// Every host is restarted.
    Restart,
}

impl OperationKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Deploy, Self::Upgrade, Self::Restart];

    /// As it is asked for, and named in keys.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deploy => "deploy",
            Self::Upgrade => "upgrade",
            Self::Restart => "restart",
        }
    }

    /// What the list of the hosts that are done is called.
    #[must_use]
    pub fn done(self) -> &'static str {
        match self {
            Self::Deploy => "deployed",
            Self::Upgrade => "upgraded",
            Self::Restart => "restarted",
        }
    }

    /// The id of its record.
    pub(crate) fn id(self, cluster: &ClusterName) -> String {
        format!("{cluster}/{}", self.as_str())
    }
}

/// What is deployed: 1 to 200 visible ASCII characters, of which the first is no dash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeployVersion(String);

impl DeployVersion {
    /// The version as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why a text is no version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a version has 1 to 200 visible ASCII characters and does not begin with `-`")]
pub struct BadVersion;

impl Explain for BadVersion {
    fn kind(&self) -> Kind {
        Kind::Invalid
    }
}

impl FromStr for DeployVersion {
    type Err = BadVersion;

    fn from_str(text: &str) -> Result<Self, BadVersion> {
        // What begins with a dash would be taken for an option.
        let is_visible = text.bytes().all(|byte| byte.is_ascii_graphic());
        if text.is_empty() || text.len() > TEXT_BYTES_MAX || !is_visible || text.starts_with('-') {
            return Err(BadVersion);
        }
        Ok(Self(text.to_owned()))
    }
}

/// What an operation does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plan {
    /// Every host gets this version of its operating system.
    Deploy {
        /// It.
        version: DeployVersion,
    },
    /// Every host's packages are upgraded.
    Upgrade,
    /// Every host is restarted.
    Restart,
}

impl Plan {
    /// What an operation of this kind does.
    ///
    /// # Errors
    /// [`BadVersion`] when it is a deployment, and this is no version.
    pub fn of(kind: OperationKind, version: Option<&str>) -> Result<Self, BadVersion> {
        Ok(match kind {
            OperationKind::Deploy => Self::Deploy { version: version.unwrap_or_default().parse()? },
            OperationKind::Upgrade => Self::Upgrade,
            OperationKind::Restart => Self::Restart,
        })
    }

    /// What kind of operation it is.
    #[must_use]
    pub fn kind(&self) -> OperationKind {
        match self {
            Self::Deploy { .. } => OperationKind::Deploy,
            Self::Upgrade => OperationKind::Upgrade,
            Self::Restart => OperationKind::Restart,
        }
    }

    /// What is deployed, if anything.
    #[must_use]
    pub fn version(&self) -> Option<&str> {
        match self {
            Self::Deploy { version } => Some(version.as_str()),
            Self::Upgrade | Self::Restart => None,
        }
    }
}

/// How far an operation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OperationState {
    /// It has begun and not ended.
    InProcess,
    /// All hosts are done.
    Finished,
    /// It ended at a host.
    Failed,
}

impl OperationState {
    /// As it is stored and answered.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InProcess => "in_process",
            Self::Finished => "finished",
            Self::Failed => "failed",
        }
    }
}

/// The latest operation of its kind on a cluster, as the original shows it. What else there is to know of it is the
/// [`Rollout`](crate::Rollout)'s.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// On which.
    pub cluster: ClusterName,
    /// What it does.
    pub plan: Plan,
    /// How far it is.
    pub state: OperationState,
    /// The hosts that are done.
    pub done: Vec<String>,
    /// The hosts that it is at, or at which it failed.
    pub in_process: Vec<String>,
    /// When it began: `2016-12-06T04:53:20.042000`.
    pub started_at: String,
    /// When it ended; empty while it runs.
    pub finished_at: String,
    /// Which of the cluster's operations; absent where the original has written it.
    pub id: Option<RolloutId>,
    /// Where its hosts are listed, where they are too many for its document.
    pub(crate) hosts_under: Option<String>,
}

impl Operation {
    /// One that has just begun.
    pub(crate) fn begun(cluster: ClusterName, plan: Plan, now: String) -> Self {
        Self {
            cluster,
            plan,
            state: OperationState::InProcess,
            done: Vec::new(),
            in_process: Vec::new(),
            started_at: now,
            finished_at: String::new(),
            id: None,
            hosts_under: None,
        }
    }

    /// The same, if there is nothing to do.
    pub(crate) fn finished_at_once(&self) -> Self {
        Self { state: OperationState::Finished, finished_at: self.started_at.clone(), ..self.clone() }
    }

    /// What is stored of it.
    pub(crate) fn record(&self) -> OperationRecord {
        let kind = self.plan.kind();
        let done = |its| (kind == its).then(|| self.done.clone());
        OperationRecord {
            name: self.cluster.to_string(),
            status: self.state.as_str().to_owned(),
            version: self.plan.version().map(str::to_owned),
            deployed: done(OperationKind::Deploy),
            upgraded: done(OperationKind::Upgrade),
            restarted: done(OperationKind::Restart),
            in_process: self.in_process.clone(),
            started_at: self.started_at.clone(),
            finished_at: self.finished_at.clone(),
            id: self.id.map(RolloutId::as_number),
            hosts_under: self.hosts_under.clone(),
        }
    }

    /// What stands in the record of an operation of this kind.
    pub(crate) fn from_record(kind: OperationKind, record: OperationRecord) -> Result<Self, String> {
        let plan = Plan::of(kind, record.version.as_deref()).map_err(|error| error.to_string())?;
        let done = match kind {
            OperationKind::Deploy => record.deployed,
            OperationKind::Upgrade => record.upgraded,
            OperationKind::Restart => record.restarted,
        };
        let state = match record.status.as_str() {
            "in_process" => OperationState::InProcess,
            "finished" => OperationState::Finished,
            "failed" => OperationState::Failed,
            other => return Err(format!("{other:?} is no status of an operation")),
        };
        Ok(Self {
            cluster: record.name.parse().map_err(|error| format!("{error}"))?,
            plan,
            state,
            done: done.unwrap_or_default(),
            in_process: record.in_process,
            started_at: record.started_at,
            finished_at: record.finished_at,
            id: record.id.map(RolloutId),
            hosts_under: record.hosts_under,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_come_back_as_they_were() {
        let deploy = Plan::Deploy { version: "7.2.6".parse().unwrap() };
        for plan in [deploy, Plan::Upgrade, Plan::Restart] {
            let kind = plan.kind();
            let mut operation = Operation::begun("web".parse().unwrap(), plan, "then".into());
            operation.done.push("a".into());
            operation.in_process.push("b".into());
            for operation in [operation.finished_at_once(), operation] {
                assert_eq!(Operation::from_record(kind, operation.record()).unwrap(), operation);
                for other in OperationKind::ALL.into_iter().filter(|other| *other != kind) {
                    let record = Operation::from_record(other, operation.record());
                    assert_ne!(record.as_ref().ok(), Some(&operation), "{record:?}");
                }
            }
        }
    }

    #[test]
    fn what_is_no_operation_is_not_read_as_one() {
        let operation = Operation::begun("web".parse().unwrap(), Plan::Upgrade, "then".into());
        let mut record = operation.record();
        record.status = "on hold".into();
        let error = Operation::from_record(OperationKind::Upgrade, record).unwrap_err();
        assert_eq!(error, "\"on hold\" is no status of an operation");
        let record = operation.record();
        assert!(
            Operation::from_record(OperationKind::Deploy, record).unwrap_err().contains("1 to 200 visible")
        );
        for text in ["", &"x".repeat(201), "--reboot", "7 2", "7\n", "é"] {
            assert_eq!(text.parse::<DeployVersion>(), Err(BadVersion), "{text:?}");
        }
    }
}
