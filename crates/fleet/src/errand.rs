//! What is sent to a host that an operation has begun with: its command, made so that it is done once, however often
//! it is sent.
//!
//! ```text
//! begun ──► errand ──► done, or not done, which is told
//!             └─ the connection breaks, we die: sent again, by whoever goes on, and told the same
//! ```
//! A host that has restarted since it was begun with does nothing (`data/errand.sh`): its boot id differs. Of a restart
//! that is what was asked for; of anything else it is why it failed, or each boot would begin it again. Nor does a host
//! do anything that is at it, or still at what another operation began. The name of an errand is the operation's and
//! which attempt it is, so that a host which is tried again is told anew.

use base::{Explain, Kind, Span};

use crate::commands::{HostCommands, quoted};
use crate::next::NOT_ATOMIC;
use crate::operation::{OperationKind, Plan};
use crate::rollout::Rollout;
use crate::run::HostRun;

const SCRIPT: &str = include_str!("../data/errand.sh");

/// What a host says that does not begin with an errand yet, because it is still at another.
const BUSY: &str = "what was begun on it before is still running";

/// How a host exits that does not begin with an errand yet (`EX_TEMPFAIL` of `sysexits.h`).
const BUSY_STATUS: u32 = 75;

/// Whether a host is still at another errand, and is to be asked again; `words` are its last ones.
#[must_use]
pub fn is_busy(status: u32, words: &str) -> bool {
    status == BUSY_STATUS && words.ends_with(BUSY)
}

/// What to say of a host that has restarted since it was begun with, though no restart was asked for.
#[must_use]
pub fn restarted_meanwhile(kind: OperationKind) -> String {
    format!("the host has restarted in the middle of its {}, and is not told again", kind.as_str())
}

/// Why there is nothing to be sent to a host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoErrand {
    /// A version is to be deployed on a host that packages are installed on.
    #[error("{NOT_ATOMIC}")]
    NotAtomic,
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
            Self::NotAtomic => None,
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
        let restarted =
            if kind == OperationKind::Restart { String::new() } else { restarted_meanwhile(kind) };
        Ok(format!(
            "name={}\nboot_id={}\nrestarted={}\nbusy={}\nlimit={}\ncommand={}\n{SCRIPT}",
            quoted(&format!("{}-{}-{}", kind.as_str(), rollout.id, run.past.attempts)),
            quoted(run.state.boot_id().unwrap_or_default()),
            quoted(&restarted),
            quoted(BUSY),
            within.as_seconds(),
            quoted(&command),
        ))
    }
}

#[cfg(test)]
mod tests;
