//! What an operator would use instead.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::asking::{Cost, Work};
use super::site::Site;
use crate::Failure;
use crate::process::{children_cpu, cpu_of};

/// Somebody else who can ask many hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rival {
    /// As many `ssh` processes.
    Ssh,
    /// `parallel-ssh`.
    Pssh,
    /// `clush`, of ClusterShell.
    Clush,
    /// `ansible`, with pipelining and connections that are kept.
    Ansible,
}

impl Rival {
    /// All of them.
    pub(super) const ALL: [Self; 4] = [Self::Ssh, Self::Pssh, Self::Clush, Self::Ansible];

    /// Its name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ssh => "ssh",
            Self::Pssh => "pssh",
            Self::Clush => "clush",
            Self::Ansible => "ansible",
        }
    }

    /// Whether it is set up to keep connections for the next time.
    pub(super) fn keeps_connections(self) -> bool {
        self == Self::Ansible
    }
}

/// What asking twice took.
pub(super) struct Asked {
    pub(super) cold: Cost,
    pub(super) warm: Cost,
}

/// Where the rivals are.
pub(super) struct Programs {
    ansible: PathBuf,
}

impl Programs {
    /// `ssh`, `pssh` and `clush` from the system, Ansible from the tests' cache.
    pub(super) fn find() -> Result<Self, Failure> {
        for (program, package) in
            [("ssh", "openssh-client"), ("parallel-ssh", "pssh"), ("clush", "clustershell")]
        {
            let found = Command::new(program).arg("-V").stdout(Stdio::null()).stderr(Stdio::null()).status();
            if found.is_err() {
                let install = format!("apt-get install --no-install-recommends {package}");
                return Err(Failure::Missing(format!("{program} is not there; install it with `{install}`")));
            }
        }
        let ansible = testkit::witness("ansible");
        Ok(Self { ansible })
    }

    /// Has all hosts do `work`, twice.
    pub(super) fn ask(
        &self,
        rival: Rival,
        site: &Site,
        work: Work,
        at_once: usize,
    ) -> Result<Asked, Failure> {
        let kept = Kept::new(site);
        fs::create_dir_all(&kept.0).map_err(Failure::file(&kept.0))?;
        let ask = || {
            let command = self.command(rival, site, work, at_once, &kept);
            ask(rival, command, site, &kept)
        };
        Ok(Asked { cold: ask()?, warm: ask()? })
    }

    /// Has Ansible play `playbook`.
    pub(super) fn play(&self, site: &Site, playbook: &Path) -> Result<(), Failure> {
        let kept = Kept::new(site);
        fs::create_dir_all(&kept.0).map_err(Failure::file(&kept.0))?;
        let mut command = Command::new(self.ansible.with_file_name("ansible-playbook"));
        command.arg("-i").arg(site.path("inventory")).arg(playbook).stdin(Stdio::null());
        set_up_ansible(&mut command, site, &kept);
        ask(Rival::Ansible, command, site, &kept).map(drop)
    }

    fn command(&self, rival: Rival, site: &Site, work: Work, at_once: usize, kept: &Kept) -> Command {
        let script = match work {
            Work::Facts => fleet::PROBE,
            Work::Nothing => "true",
        };
        let hosts = site.path("hosts");
        let at_once = at_once.to_string();
        let mut command = match rival {
            Rival::Ssh => {
                let mut command = Command::new("xargs");
                command.arg("-a").arg(hosts).args(["-P", &at_once, "-I{}", "ssh", "-F", "none"]);
                command.args(site.ssh_options()).args(["root@{}", script]);
                command
            }
            Rival::Pssh => {
                let mut command = Command::new("parallel-ssh");
                command.args(["-x", "-F none"]);
                command.arg("-h").arg(hosts).args(["-l", "root", "-p", &at_once, "-t", "60", "-i"]);
                for option in site.ssh_options().iter().filter(|option| *option != "-o") {
                    command.arg("-O").arg(option);
                }
                command.arg(script);
                command
            }
            Rival::Clush => {
                let mut command = Command::new("clush");
                command.args(["-S", "-q", "-f", &at_once, "-l", "root", "-o"]);
                command.arg(format!("-F none {}", site.ssh_options().join(" "))).arg("--hostfile").arg(hosts);
                command.arg(script);
                command
            }
            Rival::Ansible => {
                let mut command = Command::new(&self.ansible);
                command.args(["all", "--forks", &at_once, "-i"]).arg(site.path("inventory"));
                command.args(["-m", if work == Work::Facts { "setup" } else { "ping" }]);
                set_up_ansible(&mut command, site, kept);
                command
            }
        };
        command.stdin(Stdio::null());
        command
    }
}

/// As Ansible is at its best: no files are copied, and connections are kept.
fn set_up_ansible(command: &mut Command, site: &Site, kept: &Kept) {
    let options = site.ssh_options().join(" ");
    let options = format!("-F none -o ControlMaster=auto -o ControlPersist=60s {options}");
    command.env("ANSIBLE_PIPELINING", "1").env("ANSIBLE_SSH_CONTROL_PATH_DIR", &kept.0);
    command.env("ANSIBLE_SSH_ARGS", options);
}

/// Runs it, and sees that it did what it was told.
fn ask(rival: Rival, mut command: Command, site: &Site, kept: &Kept) -> Result<Cost, Failure> {
    let failed = |what: String| Failure::Program { program: rival.name().into(), what };
    let said = site.path("said");
    let open = || File::create(&said).map_err(Failure::file(&said));
    let log = open()?;
    command.stderr(log.try_clone().map_err(Failure::file(&said))?).stdout(log);
    let (children, keepers, began) = (children_cpu()?, kept.cpu(), Instant::now());
    let status = command.status().map_err(|error| failed(error.to_string()))?;
    let time = began.elapsed();
    let cpu = children_cpu()?.saturating_sub(children) + kept.cpu().saturating_sub(keepers);
    if !status.success() {
        let said = fs::read_to_string(&said).unwrap_or_default();
        let end = said.chars().rev().take(500).collect::<Vec<_>>().into_iter().rev().collect::<String>();
        return Err(failed(format!("{status}; it said at the end:\n{end}")));
    }
    Ok(Cost { time, cpu })
}

/// Where a rival's connections are kept. The processes that hold them end when it is dropped.
struct Kept(PathBuf);

impl Kept {
    /// A folder of the site's.
    fn new(site: &Site) -> Self {
        Self(site.path("kept"))
    }

    /// The processes that hold connections: nobody's children, with the folder in their names.
    fn holders(&self) -> Vec<String> {
        let folder = self.0.display().to_string();
        let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
        let names = processes.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
        names
            .filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
            .filter(|pid| {
                let line = fs::read(Path::new("/proc").join(pid).join("cmdline")).unwrap_or_default();
                let line = String::from_utf8_lossy(&line);
                line.starts_with("ssh: ") && line.contains(&folder)
            })
            .collect()
    }

    /// Processor time that the holders used.
    fn cpu(&self) -> Duration {
        self.holders().iter().filter_map(|pid| cpu_of(pid).ok()).sum()
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        for pid in self.holders().iter().filter_map(|pid| pid.parse().ok()).filter_map(Pid::from_raw) {
            // One that has just ended need not be ended.
            let _ = kill_process(pid, Signal::TERM);
        }
        testkit::wait_until("kept connections to end", || self.holders().is_empty());
        let _ = fs::remove_dir_all(&self.0);
    }
}
