//! Real sshd hosts: each with its own address, host key, boot id, users and file tree.
//!
//! A host is a network namespace on a bridge, and namespaces for mounts, names and processes around an sshd in a
//! tree of its own: its own `/etc`, `/var`, `/root`, `/home` and `/tmp`, and the machine's `/usr`, which nothing in there
//! can change. Package managers, `systemctl` and `reboot` are stand-ins that write down how they were called
//! ([`Host::recorded`]); what reboots really does.
//!
//! Root is needed, and the packages openssh-server, iproute2, sudo and ca-certificates. All of it goes when [`Hosts`] is dropped; what
//! a run that was killed left behind, the next one clears away.

mod host;
mod plan;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

pub use host::Host;
pub use plan::HostPlan;

use crate::process::{Process, run};

/// Where the hosts of all runs are: one folder for each network, and a lock beside it.
const HOME: &str = "/tmp/provost-hosts";

/// Networks are `198.18.N.0/24` (RFC 2544's for measurements, which nobody routes), so many of them.
const NETWORKS: u8 = 250;

/// Some hosts on a network of their own, which the machine's is connected to.
#[derive(Debug)]
pub struct Hosts {
    /// In the order of their plans. Dropped first.
    hosts: Vec<Host>,
    network: Network,
    folder: PathBuf,
    /// Held for as long as the network is taken.
    _lock: File,
}

/// One network: its number is in all names.
#[derive(Debug, Clone, Copy)]
struct Network(u8);

impl Network {
    fn bridge(self) -> String {
        format!("pvbr{}", self.0)
    }

    fn space(self, host: usize) -> String {
        format!("pvh{}-{host}", self.0)
    }

    fn link(self, host: usize) -> String {
        format!("pvl{}-{host}", self.0)
    }

    /// The number of the group that all its links are in.
    fn group(self) -> u32 {
        19_800 + u32::from(self.0)
    }

    fn gateway(self) -> String {
        format!("198.18.{}.1", self.0)
    }

    fn address(self, host: usize) -> String {
        format!("198.18.{}.{}", self.0, host + 10)
    }

    fn folder(self) -> PathBuf {
        Path::new(HOME).join(self.0.to_string())
    }

    /// Takes away whatever there is of it.
    fn clear(self) {
        let (number, group, bridge, folder) = (self.0, self.group(), self.bridge(), self.folder());
        // The power supplies first: they would start their hosts again.
        sh(&format!(
            "for host in {folder}/*/; do [ -d \"$host\" ] && : >\"$host/off\"; done 2>/dev/null\n\
             for pid in $(cat {folder}/*/power.pid 2>/dev/null); do\n\
             if grep -q provost-hosts /proc/$pid/cmdline 2>/dev/null; then kill -9 $pid; fi\n\
             done\n\
             spaces=$(ip netns list | cut -d' ' -f1 | grep '^pvh{number}-')\n\
             for space in $spaces; do pids=$(ip netns pids $space); [ -z \"$pids\" ] || kill -9 $pids; done\n\
             # The system takes its time with the links of a namespace that is gone, and with one after the other; as\n\
             # a group they take none.\n\
             ip link del group {group} 2>/dev/null\n\
             ip link del {bridge} 2>/dev/null\n\
             for space in $spaces; do ip netns del $space; done\n\
             rm -rf --one-file-system {folder}\n\
             true",
            folder = folder.display()
        ));
    }
}

impl Hosts {
    /// Starts `plans`, all at once, and waits until each sshd answers.
    ///
    /// # Panics
    /// When what they need is missing, which it says; and when one does not start.
    #[must_use]
    #[track_caller]
    pub fn start(plans: Vec<HostPlan>) -> Self {
        assert!(rustix::process::geteuid().is_root(), "hosts in namespaces need root");
        for (program, package) in [
            ("/usr/sbin/sshd", "openssh-server"),
            ("/usr/bin/ssh-keygen", "openssh-client"),
            ("/usr/bin/sudo", "sudo"),
            ("/usr/bin/unshare", "util-linux"),
            ("ip", "iproute2"),
            ("/usr/sbin/update-ca-certificates", "ca-certificates"),
        ] {
            let found = run(Command::new("sh").args(["-c", &format!("command -v {program}")]));
            assert_eq!(
                found.code,
                Some(0),
                "{program} is missing: apt-get install --no-install-recommends {package}"
            );
        }
        let (network, lock) = take_network();
        let folder = network.folder();
        fs::create_dir_all(&folder).unwrap();
        let bridge = network.bridge();
        sh_ok(&format!(
            "ip link add {bridge} type bridge && ip addr add {}/24 dev {bridge} && ip link set {bridge} up",
            network.gateway()
        ));
        sh_ok(&format!("ssh-keygen -q -t ed25519 -N '' -C '' -f {}/key", folder.display()));
        let mut hosts = Self { hosts: Vec::new(), network, folder, _lock: lock };
        hosts.add(plans);
        hosts
    }

    /// As many hosts as that, all alike.
    #[must_use]
    #[track_caller]
    pub fn alike(count: usize) -> Self {
        Self::start((0..count).map(|_| HostPlan::new()).collect())
    }

    /// Starts more of them, all at once.
    ///
    /// # Panics
    /// When one does not start.
    #[track_caller]
    pub fn add(&mut self, plans: Vec<HostPlan>) {
        let first = self.hosts.len();
        assert!(first + plans.len() < 240, "a network has room for 240 hosts");
        let authorized = fs::read_to_string(self.folder.join("key.pub")).unwrap();
        // All begin before the first is waited for.
        let begun: Vec<(Host, Process)> = plans
            .into_iter()
            .enumerate()
            .map(|(at, plan)| {
                let (number, network) = (first + at, self.network);
                let folder = self.folder.join(number.to_string());
                let own = (network.space(number), network.link(number), network.address(number));
                Host::begin(
                    &plan,
                    folder,
                    own,
                    (&network.bridge(), network.group(), &network.gateway(), &authorized),
                )
            })
            .collect();
        let started: Vec<Host> = begun.into_iter().map(|(host, making)| host.power_on(making)).collect();
        self.hosts.extend(started);
        self.hosts[first..].iter().for_each(Host::wait_until_up);
    }

    /// The private key that lets users in, in OpenSSH's format.
    #[must_use]
    pub fn key(&self) -> String {
        fs::read_to_string(self.folder.join("key")).unwrap()
    }

    /// The address by which they reach this machine.
    #[must_use]
    pub fn gateway(&self) -> String {
        self.network.gateway()
    }

    /// The hosts, in the order of their plans.
    #[must_use]
    pub fn all(&self) -> &[Host] {
        &self.hosts
    }
}

impl std::ops::Index<usize> for Hosts {
    type Output = Host;
    fn index(&self, number: usize) -> &Host {
        &self.hosts[number]
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        for host in &self.hosts {
            host.power_off();
        }
        self.network.clear();
        self.hosts.clear();
    }
}

/// The first network that nobody has, and the lock that keeps it. Clears away what others left whose lock is free.
fn take_network() -> (Network, File) {
    fs::create_dir_all(HOME).unwrap();
    let mut taken = None;
    for number in 0..NETWORKS {
        let path = Path::new(HOME).join(format!("{number}.lock"));
        if taken.is_some() && !path.exists() {
            continue;
        }
        let lock = File::create(path).unwrap();
        // Whoever held it is gone when it can be had: the system gives it back.
        if lock.try_lock().is_err() {
            continue;
        }
        let network = Network(number);
        if taken.is_none() || network.folder().exists() {
            network.clear();
        }
        if taken.is_none() {
            taken = Some((network, lock));
        }
    }
    taken.expect("one of the networks is free")
}

/// Runs `script` and lets it fail.
pub(crate) fn sh(script: &str) -> crate::process::Ran {
    run(Command::new("sh").args(["-c", script]))
}

/// Runs `script`, which must not fail.
#[track_caller]
pub(crate) fn sh_ok(script: &str) -> String {
    sh(script).ok().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wait::wait_until;

    #[test]
    fn names_fit_into_a_network_interface() {
        let network = Network(249);
        assert!(network.bridge().len() <= 15 && network.space(239).len() <= 15);
    }

    #[test]
    fn a_host_is_what_its_plan_says_and_the_machine_stays_as_it_is() {
        let hosts = Hosts::start(vec![
            HostPlan::new().os("fedora", "40").atomic().disk("/small", 64),
            HostPlan::new().without_sudo().down_for(0.0),
        ]);
        let (fedora, plain) = (&hosts[0], &hosts[1]);
        let say = |host: &Host, script: &str| host.sh(script).ok().trim().to_owned();
        assert_eq!(say(fedora, ". /etc/os-release; echo $ID $VERSION_ID"), "fedora 40");
        assert_eq!(say(fedora, "ls /run/ostree-booted"), "/run/ostree-booted");
        assert_eq!(plain.sh("ls /run/ostree-booted").code, Some(2));
        assert_ne!(fedora.sh("head -c 100000 /dev/zero >/small/file").code, Some(0));
        assert_ne!(fedora.boot_id(), plain.boot_id());
        assert_eq!(say(fedora, "cat /proc/sys/kernel/random/boot_id"), fedora.boot_id());
        assert_eq!(say(fedora, "hostname; cat /etc/hostname"), format!("{0}\n{0}", fedora.name()));
        // What would change the machine is written down, and can be made to fail.
        fedora.answer("dnf", "echo no such package >&2; exit 1");
        assert_eq!(fedora.sh("dnf install -y flannel").code, Some(1));
        say(fedora, "systemctl enable --now docker; rpm-ostree upgrade");
        let recorded = ["dnf install -y flannel", "systemctl enable --now docker", "rpm-ostree upgrade"];
        assert_eq!(fedora.recorded(), recorded);
        assert_ne!(fedora.sh("touch /usr/bin/new").code, Some(0), "the machine's /usr is not to be changed");
        assert_ne!(plain.sh("PATH=/usr/local/bin:/opt/bin; command -v sudo").code, Some(0));
        // Files survive a reboot; processes and the boot id do not.
        for command in ["shutdown -r now", "systemctl --no-block reboot", "reboot"] {
            let (boot, boots) = (plain.boot_id(), plain.boots());
            let _ = plain.sh(&format!("echo kept >/var/lib/file; sleep 999 >/dev/null 2>&1 & {command}"));
            wait_until("the host to boot", || plain.boots() > boots);
            plain.wait_until_up();
            assert_ne!(plain.boot_id(), boot);
            assert_eq!(say(plain, "cat /var/lib/file; pidof sleep || echo gone"), "kept\ngone");
        }
        plain.go_down();
        assert!(
            std::net::TcpStream::connect_timeout(
                &format!("{}:22", plain.address()).parse().unwrap(),
                std::time::Duration::from_millis(500)
            )
            .is_err()
        );
        plain.come_back();
        let before = plain.host_key("ed25519");
        plain.change_host_key();
        assert_ne!(plain.host_key("ed25519"), before);
        let (network, folder) = (hosts.network, hosts.folder.clone());
        drop(hosts);
        assert!(!folder.exists());
        let left = sh("ip -o link; ip netns list; cat /proc/mounts").stdout;
        let left: Vec<&str> =
            left.lines().filter(|line| line.contains(&format!("pvh{}-", network.0))).collect();
        assert!(left.is_empty(), "{left:?}");
    }
}
