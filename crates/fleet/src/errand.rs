//! What is sent to a host that an operation has begun with: its command, made so that it is done once, however often
//! it is sent.
//!
//! ```text
//! begun ──► errand ──► done, or not done, which is told
//!             └─ the connection breaks, we die: sent again, by whoever goes on, and told the same
//! ```
//! A host that has restarted since it was begun with does nothing (`data/errand.sh`): its boot id differs. Nor does
//! one that is at it. The name of an errand is the operation's and the time at which the host was begun with, so
//! that a host which is tried again is told anew.

use base::{Explain, Kind, Span};

use crate::commands::{HostCommands, quoted};
use crate::next::NOT_ATOMIC;
use crate::operation::{OperationKind, Plan};
use crate::rollout::Rollout;
use crate::run::{HostRun, RunState};

const SCRIPT: &str = include_str!("../data/errand.sh");

/// Why there is nothing to be sent to a host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoErrand {
    /// A version is to be deployed on a host that packages are installed on.
    #[error("{NOT_ATOMIC}")]
    NotAtomic,
    /// The version would be taken for an option.
    #[error("`{version}` is no version that can be deployed: it begins with a dash")]
    Version {
        /// It.
        version: String,
    },
    /// The commands of its operating system have none for this.
    #[error("there is no command for the {} of a host with its operating system", .kind.as_str())]
    NoCommand {
        /// For what.
        kind: OperationKind,
    },
}

impl Explain for NoErrand {
    fn kind(&self) -> Kind {
        Kind::Conflict
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::NotAtomic | Self::Version { .. } => None,
            Self::NoCommand { kind } => {
                Some(format!("give its operating system a line `{}` in the file of commands", kind.as_str()))
            }
        }
    }
}

impl HostCommands {
    /// What is done on the host for an operation.
    ///
    /// # Errors
    /// [`NoErrand`].
    pub fn of_plan(&self, plan: &Plan) -> Result<String, NoErrand> {
        let kind = plan.kind();
        let command = match plan {
            Plan::Restart => self.restart().map(str::to_owned),
            Plan::Upgrade => self.upgrade().map(str::to_owned),
            Plan::Deploy { version } if version.as_str().starts_with('-') => {
                return Err(NoErrand::Version { version: version.as_str().to_owned() });
            }
            Plan::Deploy { version } => Some(self.deploy(version).ok_or(NoErrand::NotAtomic)?),
        };
        command.ok_or(NoErrand::NoCommand { kind })
    }

    /// What is sent to the host of `run`, to be run by `sh` as root; what its command has not done `within` this time, from
    /// the first time that it is sent, is killed there with all that it began.
    ///
    /// # Errors
    /// [`NoErrand`].
    pub fn errand(&self, rollout: &Rollout, run: &HostRun, within: Span) -> Result<String, NoErrand> {
        let kind = rollout.plan.kind();
        let command = self.of_plan(&rollout.plan)?;
        let since = run.state.limited_since().unwrap_or(rollout.started_at);
        let boot_id = match (kind, &run.state) {
            (OperationKind::Restart, state @ (RunState::Begun { .. } | RunState::Awaiting { .. })) => {
                state.boot_id().unwrap_or_default()
            }
            _ => "",
        };
        Ok(format!(
            "name={}\nboot_id={}\nlimit={}\ncommand={}\n{SCRIPT}",
            quoted(&format!("{}-{}-{}", kind.as_str(), rollout.id, since.as_unix())),
            quoted(boot_id),
            within.as_seconds(),
            quoted(&command),
        ))
    }
}

#[cfg(test)]
mod tests;
