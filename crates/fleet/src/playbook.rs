//! The playbooks for hosts that are worked on by Ansible, and their variables.
//!
//! ```text
//! look        asks a host about itself          command   runs any other command
//! check       gets in, and does nothing         put       puts a file there
//! bootstrap   makes it ready for containers     restart  upgrade  deploy
//! ```
//! Each is a file that an operator can replace (commissaire contract, section 11.2). What a playbook is given stands in
//! its first lines, and begins with `commissaire_` where the contract has it.

use base::Secret;
use serde_json::{Map, Value};

use crate::bootstrap::{self, BootstrapError, Step, Surroundings, Work};
use crate::commands::{HostCommands, quoted};
use crate::operation::OperationKind;
use crate::probe::Findings;
use crate::template::Templates;

/// Runs a command on a host, says no more of what it prints than fits, and ends as it does: `$1` are seconds, `$2` bytes
/// of each stream, of which the last count, `$3` is the command.
pub const BOUNDED: &str = include_str!("../data/bounded.sh");

/// How long a package may take to be installed, and everything else, in seconds.
const SECONDS: [(&str, i64); 2] = [
    ("provost_install_seconds", bootstrap::INSTALL.as_seconds()),
    ("provost_step_seconds", bootstrap::OTHERWISE.as_seconds()),
];

/// What is done by a playbook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Playbook {
    /// Asks a host about itself.
    Look,
    /// Gets in, and does nothing.
    Check,
    /// Makes it ready for containers.
    Bootstrap,
    /// Restarts it.
    Restart,
    /// Upgrades it.
    Upgrade,
    /// Gives it another version of its operating system.
    Deploy,
    /// Runs any other command.
    Command,
    /// Puts a file there.
    Put,
}

impl Playbook {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Look,
        Self::Check,
        Self::Bootstrap,
        Self::Restart,
        Self::Upgrade,
        Self::Deploy,
        Self::Command,
        Self::Put,
    ];

    /// What carries an operation of this kind out on a host.
    #[must_use]
    pub fn of(kind: OperationKind) -> Self {
        match kind {
            OperationKind::Restart => Self::Restart,
            OperationKind::Upgrade => Self::Upgrade,
            OperationKind::Deploy => Self::Deploy,
        }
    }

    /// What its file is called.
    #[must_use]
    pub fn file(self) -> &'static str {
        match self {
            Self::Look => "look.yml",
            Self::Check => "check.yml",
            Self::Bootstrap => "bootstrap.yml",
            Self::Restart => "restart.yml",
            Self::Upgrade => "upgrade.yml",
            Self::Deploy => "deploy.yml",
            Self::Command => "command.yml",
            Self::Put => "put.yml",
        }
    }

    /// The variable with the command that it runs, if it runs one.
    #[must_use]
    pub fn command_variable(self) -> Option<&'static str> {
        match self {
            Self::Restart => Some("commissaire_restart_command"),
            Self::Upgrade => Some("commissaire_upgrade_command"),
            Self::Deploy => Some("commissaire_deploy_command"),
            Self::Command => Some("provost_command"),
            Self::Look | Self::Check | Self::Bootstrap | Self::Put => None,
        }
    }

    /// The one that comes with the program.
    #[must_use]
    pub fn standard(self) -> &'static str {
        match self {
            Self::Look => include_str!("../data/playbooks/look.yml"),
            Self::Check => include_str!("../data/playbooks/check.yml"),
            Self::Bootstrap => include_str!("../data/playbooks/bootstrap.yml"),
            Self::Restart => include_str!("../data/playbooks/restart.yml"),
            Self::Upgrade => include_str!("../data/playbooks/upgrade.yml"),
            Self::Deploy => include_str!("../data/playbooks/deploy.yml"),
            Self::Command => include_str!("../data/playbooks/command.yml"),
            Self::Put => include_str!("../data/playbooks/put.yml"),
        }
    }
}

/// What [`Playbook::Bootstrap`] is given.
#[derive(Debug, Clone)]
pub struct Given {
    /// Its variables.
    pub variables: Map<String, Value>,
    /// Its files, by the variables that tell where they are.
    pub files: Vec<(&'static str, Secret<Vec<u8>>)>,
}

/// What [`Playbook::Bootstrap`] is given for the host at `address`, on which `steps` are the plan.
///
/// # Errors
/// As [`bootstrap::variables`].
pub fn given(
    address: &str,
    findings: &Findings,
    commands: &HostCommands,
    surroundings: &Surroundings<'_>,
    steps: &[Step],
) -> Result<Given, BootstrapError> {
    let contract = bootstrap::variables(address, commands, surroundings)?;
    let mut variables: Map<String, Value> =
        contract.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    variables.insert("provost_is_atomic".into(), findings.is_atomic.into());
    variables.insert("provost_step".into(), bootstrap::SCRIPT.into());
    variables.extend(SECONDS.map(|(name, seconds)| (name.to_owned(), seconds.into())));
    for (name, step) in [
        ("provost_has_libselinux_python", "libselinux"),
        ("provost_has_flannel", "flannel"),
        ("provost_has_docker", "docker"),
    ] {
        // What there is no step for is not installed: the contract's command does nothing then.
        let check = run(steps, step).and_then(|(check, _)| check).unwrap_or("false");
        variables.insert(name.into(), check.into());
    }
    for (name, step) in
        [("provost_start_flannel", "flannel-service"), ("provost_start_docker", "docker-service")]
    {
        // One command, which an operator's playbook may put into a line of its own.
        let script = |(check, command)| bootstrap::script(check, command, bootstrap::OTHERWISE, false);
        let start = run(steps, step).map(script).map(|script| format!("sh -c {}", quoted(&script)));
        let start = start.unwrap_or_else(|| "true".to_owned());
        variables.insert(name.into(), start.into());
    }
    Ok(Given { variables, files: files(surroundings) })
}

/// The command of a step, and what tells that it is done already.
fn run<'a>(steps: &'a [Step], id: &str) -> Option<(Option<&'a str>, &'a str)> {
    steps.iter().find(|step| step.id == id).and_then(|step| match &step.work {
        Work::Run { check, command } => Some((check.as_deref(), command.as_str())),
        Work::Put { .. } => None,
    })
}

fn files(surroundings: &Surroundings<'_>) -> Vec<(&'static str, Secret<Vec<u8>>)> {
    let Templates { flanneld, docker } = surroundings.templates;
    let text = |text: &String| Secret::new(text.clone().into_bytes());
    let mut files = vec![
        ("commissaire_flanneld_config_local", text(flanneld)),
        ("commissaire_docker_config_local", text(docker)),
    ];
    let Some(etcd) = surroundings.etcd else { return files };
    if let Some(ca) = &etcd.ca {
        files.push(("commissaire_etcd_ca_path_local", Secret::new(ca.clone())));
    }
    if let Some((certificate, key)) = &etcd.client {
        files.push(("commissaire_etcd_client_cert_path_local", Secret::new(certificate.clone())));
        files.push(("commissaire_etcd_client_key_path_local", key.clone()));
    }
    files
}
