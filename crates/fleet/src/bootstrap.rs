//! What makes a host ready: steps, each of which can be looked at whether it is done already.
//!
//! ```text
//! repositories  libselinux  flannel             packages, but not where OSTree manages the operating system
//! flannel-config  etcd-certificate  etcd-key  etcd-ca
//! docker                                        a package as well
//! docker-config  flannel-service  docker-service
//! ```
//! The order and what is in each are those of the commissaire contract, section 11.2. A step is recorded when it is
//! done; one that was interrupted is waited for where it still runs, is looked at, and done again if it has to be. Services are restarted when what they
//! read has changed since they were last restarted by a step, and are left alone otherwise: a look at a host that is
//! ready stops no container.

use base::{Explain, Kind, Secret, Span};
use serde_json::Value;

use crate::commands::{HostCommands, Software, quoted};
use crate::network::{BadNetwork, Network, NetworkKind};
use crate::probe::Findings;
use crate::template::{BadTemplate, Templates, Variables};

/// What has a step taken.
pub(crate) const SCRIPT: &str = include_str!("../data/step.sh");
/// How long installing a package may take.
pub(crate) const INSTALL: Span = Span::seconds(900);
/// How long everything else may take, each.
pub(crate) const OTHERWISE: Span = Span::seconds(120);
/// How long before whoever has a step taken goes away an earlier one is waited for no more.
const HEARD: Span = Span::seconds(10);
/// How long after whoever has a step taken has gone away it is killed, so that it is told of as late and not as killed.
const LATER: Span = Span::seconds(5);
/// Which step is only for hosts with SELinux.
const LIBSELINUX: &str = "libselinux";

/// The names of the files for etcd, as the original puts them.
const ETCD_CA: &str = "/etc/etcd/cacert.pem";
const ETCD_CERTIFICATE: &str = "/etc/etcd/client.crt";
const ETCD_KEY: &str = "/etc/etcd/key.crt";
/// Under which key flannel finds its network in etcd.
const FLANNEL_KEY: &str = "/atomic01/network";
/// Where the registry is that docker asks first.
const REGISTRY: (&str, u16) = ("127.0.0.1", 8080);
/// Where a host keeps what a service was last restarted for.
const MARKS: &str = "/var/lib/provost";

/// What hosts are made ready for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Profile {
    /// To run containers: flannel and docker.
    #[default]
    Containers,
    /// For nothing: they are looked at and looked after, and nothing is installed.
    None,
}

/// How hosts reach the etcd that flannel has its network in.
#[derive(Debug, Clone)]
pub struct EtcdAccess {
    /// Where: `https://10.0.0.1:2379`, several with commas between them.
    pub server_url: String,
    /// The certificates, in PEM, of whom its certificate is from.
    pub ca: Option<Vec<u8>>,
    /// What it is shown: a certificate and its key, in PEM.
    pub client: Option<(Vec<u8>, Secret<Vec<u8>>)>,
}

/// What is known besides the host itself.
#[derive(Debug, Clone, Copy)]
pub struct Surroundings<'a> {
    /// What it is made ready for.
    pub profile: Profile,
    /// The network of its cluster, or the one of those who name none.
    pub network: &'a Network,
    /// The etcd for flannel, if there is one.
    pub etcd: Option<&'a EtcdAccess>,
    /// The files that are written.
    pub templates: &'a Templates,
}

/// One step. Run as root, by `sh`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Its name in records: letters and `-`.
    pub id: &'static str,
    /// What it does, for a person.
    pub words: String,
    /// What is done.
    pub work: Work,
    /// How long it may take.
    pub deadline: Span,
    /// What can be done when it fails.
    pub help: Option<String>,
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Work {
    /// Runs a command.
    Run {
        /// Succeeds when that was done already. Without it the command does no harm when it is repeated.
        check: Option<String>,
        /// The command.
        command: String,
    },
    /// Puts a file, of root's, as a whole.
    Put {
        /// Where.
        path: String,
        /// Who may read it: `0o644`.
        mode: u32,
        /// What is in it.
        content: Secret<Vec<u8>>,
    },
}

/// Why a host cannot be made ready.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BootstrapError {
    /// There is no etcd for its network.
    #[error("the network `{network}` is of type `flannel_etcd`, and no etcd is set up for flannel")]
    NoEtcd {
        /// Which network.
        network: String,
    },
    /// Its network lacks something.
    #[error("the network `{network}` cannot be used: {source}")]
    Network {
        /// Which network.
        network: String,
        /// What it lacks.
        source: BadNetwork,
    },
    /// A file cannot be written.
    #[error(transparent)]
    Template(#[from] BadTemplate),
}

impl Explain for BootstrapError {
    fn kind(&self) -> Kind {
        match self {
            Self::NoEtcd { .. } | Self::Network { .. } => Kind::Conflict,
            Self::Template(error) => error.kind(),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::NoEtcd { .. } => Some(
                "set up an etcd for flannel, or give the cluster a network of type `flannel_server`".into(),
            ),
            Self::Network { .. } => None,
            Self::Template(error) => error.help(),
        }
    }
}

/// What is to be done on the host at `address`, in this order. Nothing for [`Profile::None`].
///
/// # Errors
/// [`BootstrapError`].
pub fn plan(
    address: &str,
    findings: &Findings,
    commands: &HostCommands,
    surroundings: &Surroundings<'_>,
) -> Result<Vec<Step>, BootstrapError> {
    if surroundings.profile == Profile::None {
        return Ok(Vec::new());
    }
    let variables = variables(address, commands, surroundings)?;
    let file = |software| surroundings.templates.render(software, &variables).map(String::into_bytes);
    let (flannel, docker) = (file(Software::Flannel)?, file(Software::Docker)?);
    let package = |id, package: Option<&str>| package.and_then(|package| install(id, package, commands));

    let mut steps = Vec::new();
    if !findings.is_atomic {
        steps.extend(commands.enable_repositories().map(|command| Step {
            id: "repositories",
            words: "enable the package repositories".into(),
            work: Work::Run { check: None, command: command.to_owned() },
            deadline: INSTALL,
            help: None,
        }));
        steps.extend(package(LIBSELINUX, commands.libselinux_package()));
        steps.extend(package("flannel", commands.package(Software::Flannel)));
    }
    steps.push(put("flannel-config", commands.config(Software::Flannel), 0o644, flannel.clone()));
    if let Some(etcd) = surroundings.etcd {
        steps.extend(etcd.client.iter().flat_map(|(certificate, key)| {
            [
                put("etcd-certificate", ETCD_CERTIFICATE, 0o644, certificate.clone()),
                put("etcd-key", ETCD_KEY, 0o600, key.expose().clone()),
            ]
        }));
        steps.extend(etcd.ca.iter().map(|ca| put("etcd-ca", ETCD_CA, 0o644, ca.clone())));
    }
    if !findings.is_atomic {
        steps.extend(package("docker", commands.package(Software::Docker)));
    }
    steps.push(put("docker-config", commands.config(Software::Docker), 0o644, docker.clone()));
    // flannel reads the certificates as well.
    let certificates: Vec<&[u8]> = surroundings.etcd.map(EtcdAccess::contents).unwrap_or_default();
    let read_by_flannel = [vec![&flannel[..]], certificates].concat();
    steps.extend(start("flannel-service", commands.service(Software::Flannel), &read_by_flannel, commands));
    steps.extend(start("docker-service", commands.service(Software::Docker), &[&docker], commands));
    Ok(steps)
}

/// What tells one plan from another: SHA-256 of all that is done, in hexadecimal.
#[must_use]
pub fn digest(steps: &[Step]) -> String {
    let mut told = Vec::new();
    for step in steps {
        let (what, mode, content) = match &step.work {
            Work::Run { check, command } => (command, 0, check.as_deref().unwrap_or_default().as_bytes()),
            Work::Put { path, mode, content } => (path, *mode, &content.expose()[..]),
        };
        told.extend([step.id.as_bytes(), what.as_bytes(), &mode.to_be_bytes(), content].map(base::sha256));
    }
    base::hex::encode(&base::sha256(told.as_flattened()))
}

/// What is sent to a host to have a command run, unless `check` succeeds: not while somebody else does. Whoever sends it
/// goes away after `deadline`, and may see to it that what takes longer is killed there (`kills`); otherwise that is.
#[must_use]
pub fn script(check: Option<&str>, command: &str, deadline: Span, kills: bool) -> String {
    let limit = if kills { String::new() } else { (deadline + LATER).as_seconds().to_string() };
    let wait = (deadline.as_seconds() - HEARD.as_seconds()).max(0);
    let (check, command) = (quoted(check.unwrap_or_default()), quoted(command));
    format!("check={check}\ncommand={command}\nlimit={limit}\nwait={wait}\n{SCRIPT}")
}

impl EtcdAccess {
    fn contents(&self) -> Vec<&[u8]> {
        let client = self.client.iter().flat_map(|(certificate, key)| [&certificate[..], &key.expose()[..]]);
        client.chain(self.ca.as_deref()).collect()
    }
}

fn install(id: &'static str, package: &str, commands: &HostCommands) -> Option<Step> {
    Some(Step {
        id,
        words: format!("install {package}"),
        work: Work::Run { check: commands.has(package), command: commands.install(package)? },
        deadline: INSTALL,
        help: commands.packages_help().filter(|_| id != LIBSELINUX).map(str::to_owned),
    })
}

fn put(id: &'static str, path: &str, mode: u32, content: Vec<u8>) -> Step {
    let work = Work::Put { path: path.to_owned(), mode, content: Secret::new(content) };
    Step { id, words: format!("write {path}"), work, deadline: OTHERWISE, help: None }
}

/// Has `service` run with what it reads now.
fn start(id: &'static str, service: &str, reads: &[&[u8]], commands: &HostCommands) -> Option<Step> {
    let command = commands.start(service)?;
    let digests: Vec<u8> = reads.iter().flat_map(|content| base::sha256(content)).collect();
    // The mark tells nothing of what it was made from, not even of a short secret: keys are long.
    let (mark, digest) =
        (quoted(&format!("{MARKS}/{service}.started")), base::hex::encode(&base::sha256(&digests)));
    let is_same = format!("[ \"$(cat {mark} 2>/dev/null)\" = {digest} ]");
    Some(Step {
        id,
        words: format!("start {service}"),
        work: Work::Run {
            check: Some(format!("{is_same} && {}", commands.is_running(service))),
            command: format!("{command} && mkdir -p {MARKS} && printf %s {digest} > {mark}"),
        },
        deadline: OTHERWISE,
        help: None,
    })
}

/// The variables for a host at `address`, for our templates and for an operator's playbooks. Where files lie on the
/// machine that runs Ansible (`…_local`) is added with the files ([`crate::playbook::given`]).
///
/// # Errors
/// [`BootstrapError::NoEtcd`] and [`BootstrapError::Network`].
pub fn variables(
    address: &str,
    commands: &HostCommands,
    surroundings: &Surroundings<'_>,
) -> Result<Variables, BootstrapError> {
    let installed = |package: Option<&str>| {
        // What there is nothing for is a command that does nothing, as playbooks run it all the same.
        package.and_then(|package| commands.install(package)).unwrap_or_else(|| "true".to_owned())
    };
    let mut variables: Variables = [
        ("commissaire_bootstrap_ip", Value::from(address)),
        ("commissaire_docker_registry_host", REGISTRY.0.into()),
        ("commissaire_docker_registry_port", REGISTRY.1.into()),
        ("commissaire_flannel_key", FLANNEL_KEY.into()),
        ("commissaire_docker_config", commands.config(Software::Docker).into()),
        ("commissaire_flanneld_config", commands.config(Software::Flannel).into()),
        ("commissaire_install_libselinux_python", installed(commands.libselinux_package()).into()),
        ("commissaire_install_flannel", installed(commands.package(Software::Flannel)).into()),
        ("commissaire_install_docker", installed(commands.package(Software::Docker)).into()),
        ("commissaire_flannel_service", commands.service(Software::Flannel).into()),
        ("commissaire_docker_service", commands.service(Software::Docker).into()),
        ("commissaire_enable_pkg_repos", commands.enable_repositories().unwrap_or("true").into()),
    ]
    .into();
    let network = surroundings.network;
    let named = || network.name.to_string();
    network.check().map_err(|source| BootstrapError::Network { network: named(), source })?;
    match (network.kind, surroundings.etcd) {
        (NetworkKind::FlannelEtcd, None) => return Err(BootstrapError::NoEtcd { network: named() }),
        (NetworkKind::FlannelEtcd, Some(etcd)) => {
            variables.insert("commissaire_etcd_server_url", etcd.server_url.as_str().into());
        }
        (NetworkKind::FlannelServer, _) => {
            let address = network.options.text("address").unwrap_or_default();
            variables.insert("commissaire_flanneld_server", address.into());
        }
    }
    if let Some(etcd) = surroundings.etcd {
        if etcd.ca.is_some() {
            variables.insert("commissaire_etcd_ca_path", ETCD_CA.into());
        }
        if etcd.client.is_some() {
            variables.insert("commissaire_etcd_client_cert_path", ETCD_CERTIFICATE.into());
            variables.insert("commissaire_etcd_client_key_path", ETCD_KEY.into());
        }
    }
    Ok(variables)
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::{Child, Command, Stdio};

    use serde_json::json;

    use super::*;
    use crate::commands::OsCommands;
    use crate::commands::tests::findings;
    use crate::options::Options;

    fn network(kind: NetworkKind, options: Value) -> Network {
        let options = Options::new(options.as_object().unwrap().clone());
        Network { name: "default".parse().unwrap(), kind, options }
    }

    fn etcd(is_secured: bool) -> EtcdAccess {
        let client = || (b"CERTIFICATE".to_vec(), Secret::new(b"KEY".to_vec()));
        EtcdAccess {
            server_url: "https://10.0.0.1:2379".into(),
            ca: is_secured.then(|| b"CA".to_vec()),
            client: is_secured.then(client),
        }
    }

    fn planned(
        os: &str,
        is_atomic: bool,
        network: &Network,
        etcd: Option<&EtcdAccess>,
    ) -> Result<Vec<Step>, BootstrapError> {
        let (os, version) = os.split_once('-').unwrap_or((os, "1"));
        let findings = Findings { version: version.into(), ..findings(os, is_atomic) };
        let commands = OsCommands::standard().of(&findings).unwrap();
        let templates = Templates::default();
        let profile = Profile::Containers;
        plan(
            "10.0.0.9",
            &findings,
            &commands,
            &Surroundings { profile, network, etcd, templates: &templates },
        )
    }

    fn ids(steps: &[Step]) -> String {
        steps.iter().map(|step| step.id).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn steps_are_those_of_the_contract() {
        let flannel_etcd = network(NetworkKind::FlannelEtcd, json!({}));
        let flannel_server = network(NetworkKind::FlannelServer, json!({"address": "10.0.0.2:8888"}));
        for (os, is_atomic, network, etcd, expected) in [
            (
                "fedora",
                false,
                &flannel_etcd,
                Some(etcd(false)),
                "libselinux flannel flannel-config docker docker-config flannel-service docker-service",
            ),
            (
                "rhel-7",
                false,
                &flannel_etcd,
                Some(etcd(true)),
                "repositories libselinux flannel flannel-config etcd-certificate etcd-key etcd-ca docker \
                 docker-config flannel-service docker-service",
            ),
            (
                "debian",
                false,
                &flannel_server,
                None,
                "flannel flannel-config docker docker-config flannel-service docker-service",
            ),
            (
                "fedora",
                true,
                &flannel_server,
                Some(etcd(true)),
                "flannel-config etcd-certificate etcd-key etcd-ca docker-config flannel-service docker-service",
            ),
        ] {
            let steps = planned(os, is_atomic, network, etcd.as_ref()).unwrap();
            assert_eq!(ids(&steps), expected, "{os}");
        }
    }

    #[test]
    fn what_cannot_be_made_ready_says_why() {
        let flannel_etcd = network(NetworkKind::FlannelEtcd, json!({}));
        let nowhere = network(NetworkKind::FlannelServer, json!({"address": "10.0.0.2"}));
        let refused = planned("fedora", false, &flannel_etcd, None).unwrap_err();
        assert!(matches!(refused, BootstrapError::NoEtcd { .. }) && refused.help().is_some());
        let refused = planned("fedora", false, &nowhere, None).unwrap_err();
        assert!(matches!(refused, BootstrapError::Network { source: BadNetwork::Address, .. }));
    }

    #[test]
    fn keys_are_for_root_alone_and_never_in_commands() {
        let flannel_etcd = network(NetworkKind::FlannelEtcd, json!({}));
        let steps = planned("fedora", false, &flannel_etcd, Some(&etcd(true))).unwrap();
        let mode = |id| {
            steps.iter().find_map(|step| match &step.work {
                Work::Put { mode, .. } if step.id == id => Some(*mode),
                _ => None,
            })
        };
        assert_eq!(
            (mode("etcd-key"), mode("etcd-certificate"), mode("docker-config")),
            (Some(0o600), Some(0o644), Some(0o644))
        );
        assert!(!format!("{steps:?}").contains("KEY"));
    }

    /// A service is restarted for new content, and only for that.
    #[test]
    fn a_service_is_started_for_what_it_reads() {
        let command = |etcd: &EtcdAccess, id: &str| {
            let flannel_etcd = network(NetworkKind::FlannelEtcd, json!({}));
            let steps = planned("fedora", false, &flannel_etcd, Some(etcd)).unwrap();
            let step = steps.into_iter().find(|step| step.id == id).unwrap();
            let Work::Run { check: Some(check), command } = step.work else { panic!("{id}") };
            (check, command)
        };
        let (plain, secured) = (etcd(false), etcd(true));
        assert_eq!(command(&plain, "docker-service"), command(&secured, "docker-service"));
        assert_ne!(command(&plain, "flannel-service"), command(&secured, "flannel-service"));
        let (check, command) = command(&plain, "docker-service");
        assert!(check.ends_with("&& systemctl is-active --quiet docker"), "{check}");
        assert!(command.starts_with("systemctl enable docker && systemctl restart docker && "), "{command}");
    }

    /// All of the contract's variables, and a playbook's commands where there is nothing to do.
    #[test]
    fn operators_find_the_variables_they_know() {
        let findings = findings("debian", false);
        let commands = OsCommands::standard().of(&findings).unwrap();
        let network = network(NetworkKind::FlannelEtcd, json!({}));
        let (etcd, templates) = (etcd(true), Templates::default());
        let surroundings = Surroundings {
            profile: Profile::Containers,
            network: &network,
            etcd: Some(&etcd),
            templates: &templates,
        };
        let found = variables("10.0.0.9", &commands, &surroundings).unwrap();
        let names: Vec<_> = found.keys().map(|name| name.trim_start_matches("commissaire_")).collect();
        assert_eq!(
            names.join(" "),
            "bootstrap_ip docker_config docker_registry_host docker_registry_port docker_service enable_pkg_repos \
             etcd_ca_path etcd_client_cert_path etcd_client_key_path etcd_server_url flannel_key flannel_service \
             flanneld_config install_docker install_flannel install_libselinux_python"
        );
        assert_eq!(found["commissaire_docker_service"], "docker", "S7: it is not flannel's");
        assert_eq!(found["commissaire_install_libselinux_python"], "true");
        assert_eq!(found["commissaire_enable_pkg_repos"], "true");
    }

    /// What a template says over SSH is what it says with Ansible: each variable is there, and is the same.
    #[test]
    fn templates_find_the_same_variables_on_both_transports() {
        let findings = findings("fedora", false);
        let commands = OsCommands::standard().of(&findings).unwrap();
        let etcd = etcd(true);
        for network in [
            network(NetworkKind::FlannelEtcd, json!({})),
            network(NetworkKind::FlannelServer, json!({"address": "10.0.0.2:8888"})),
        ] {
            let of = |templates: &Templates| {
                let profile = Profile::Containers;
                let surroundings = Surroundings { profile, network: &network, etcd: Some(&etcd), templates };
                let steps = plan("10.0.0.9", &findings, &commands, &surroundings).unwrap();
                let given =
                    crate::playbook::given("10.0.0.9", &findings, &commands, &surroundings, &steps).unwrap();
                (steps, given.variables)
            };
            let (_, mut given) = of(&Templates::default());
            given.retain(|name, _| name.starts_with("commissaire_"));
            assert!(given.len() >= 15, "{given:?}");
            let docker = given.keys().map(|name| format!("{name}={{{{ {name} }}}}\n")).collect();
            let (steps, _) = of(&Templates { docker, ..Templates::default() });
            let step = steps.iter().find(|step| step.id == "docker-config").unwrap();
            let Work::Put { content, .. } = &step.work else { panic!("{step:?}") };
            let written = String::from_utf8(content.expose().clone()).unwrap();
            let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let expected: String =
                given.iter().map(|(name, value)| format!("{name}={}\n", text(value))).collect();
            assert_eq!(written, expected);
            assert!(written.contains("commissaire_bootstrap_ip=10.0.0.9\n"), "{written}");
        }
    }

    /// An operator's playbook may put it into a line of its own.
    #[test]
    fn what_starts_a_service_is_one_command() {
        let findings = findings("fedora", false);
        let commands = OsCommands::standard().of(&findings).unwrap();
        let network = network(NetworkKind::FlannelServer, json!({"address": "10.0.0.2:8888"}));
        let templates = &Templates::default();
        let surroundings =
            Surroundings { profile: Profile::Containers, network: &network, etcd: None, templates };
        let steps = plan("10.0.0.9", &findings, &commands, &surroundings).unwrap();
        let given = crate::playbook::given("10.0.0.9", &findings, &commands, &surroundings, &steps).unwrap();
        for name in ["provost_start_flannel", "provost_start_docker"] {
            let start = given.variables[name].as_str().unwrap();
            let line = format!("{start} && echo yes");
            let read = testkit::run(Command::new("sh").args(["-n", "-c", &line]));
            assert_eq!((read.code, read.stderr.as_str()), (Some(0), ""), "{line}");
        }
    }

    #[test]
    fn a_step_is_taken_unless_it_is_done_and_not_beside_itself() {
        let folder = tempfile::tempdir().unwrap();
        let begin_for = |deadline: Span, check: Option<&str>, command: &str, limit: Option<i64>| {
            let command = format!("echo taken >>taken; {command}");
            let script = script(check, &command, deadline, true).replace("KILL 60", "KILL 1");
            let limit = limit.map(|limit| limit.to_string()).unwrap_or_default();
            let script =
                script.replace("/run/provost", "run").replace("\nlimit=\n", &format!("\nlimit={limit}\n"));
            let mut command = Command::new("sh");
            command.arg("-c").arg(&script).current_dir(folder.path()).stderr(Stdio::piped()).spawn().unwrap()
        };
        let begin = |check: Option<&str>, command: &str, limit: Option<i64>| {
            begin_for(OTHERWISE, check, command, limit)
        };
        let path = |name: &str| folder.path().join(name);
        let taken = || {
            let lines = std::fs::read_to_string(path("taken")).unwrap_or_default().lines().count();
            std::fs::write(path("taken"), "").unwrap();
            lines
        };
        for (check, command, limit, status, times) in [
            (None, "exit 3", None, 3, 1),
            (Some("echo it\\'s done"), "exit 3", None, 0, 0),
            (Some("exit 1"), "true", Some(20), 0, 1),
            (Some("exit 1"), "sleep 1000", Some(1), 137, 1),
            (Some("sleep 1000"), "exit 4", None, 4, 1),
        ] {
            let ended = begin(check, command, limit).wait().unwrap();
            let code = ended.code().unwrap_or_else(|| 128 + ended.signal().unwrap());
            assert_eq!((code, taken()), (status, times), "{command}");
        }

        std::fs::write(path("hold"), "").unwrap();
        let waits = "while [ -e hold ]; do sleep 0.02; done; touch done";
        let mut first = begin(Some("test -e done"), waits, None);
        testkit::wait_until("the first to be at it", || path("taken").metadata().unwrap().len() > 0);
        let mut second = begin(Some("test -e done"), waits, None);
        let waits = |child: &Child| {
            let children = format!("/proc/{0}/task/{0}/children", child.id());
            let children = std::fs::read_to_string(children).unwrap_or_default();
            children.split_whitespace().any(|child| {
                std::fs::read_to_string(format!("/proc/{child}/comm")).is_ok_and(|name| name == "flock\n")
            })
        };
        testkit::wait_until("the second to wait", || waits(&second));
        let third = begin_for(HEARD, None, "true", None).wait_with_output().unwrap();
        let said = String::from_utf8(third.stderr).unwrap();
        assert_eq!(
            (third.status.code(), said.as_str()),
            (Some(75), "an earlier step is still at work there\n")
        );
        std::fs::remove_file(path("hold")).unwrap();
        assert!(first.wait().unwrap().success() && second.wait().unwrap().success());
        assert_eq!(taken(), 1);
    }
}
