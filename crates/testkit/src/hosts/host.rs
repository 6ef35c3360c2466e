//! One host, and what can happen to it.

use std::fs;
use std::io::Read as _;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::plan::HostPlan;
use super::{sh, sh_ok};
use crate::process::{Process, Ran};
use crate::wait::{wait_for, wait_until};

/// A running host. Its sshd listens at port 22 of its address.
#[derive(Debug)]
pub struct Host {
    folder: PathBuf,
    space: String,
    /// The bridge's end of its cable.
    link: String,
    address: String,
    /// The power supply; `None` before it is switched on.
    power: Option<Process>,
}

impl Host {
    /// Begins to make a host; several are made at once.
    pub(super) fn begin(
        plan: &HostPlan,
        folder: PathBuf,
        (space, link, address): (String, String, String),
        (bridge, group, gateway, authorized): (&str, u32, &str, &str),
    ) -> (Self, Process) {
        fs::create_dir_all(&folder).unwrap();
        plan.lay_out(&folder, &space, gateway, authorized);
        let mut make = Command::new("sh");
        make.arg(folder.join("make.sh")).arg(&folder).args([
            &space,
            &link,
            bridge,
            &address,
            &group.to_string(),
        ]);
        let making = Process::spawn(&mut make);
        (Self { folder, space, link, address, power: None }, making)
    }

    /// Switches it on when it is made.
    #[track_caller]
    pub(super) fn power_on(mut self, making: Process) -> Self {
        making.wait().ok();
        let mut power = Command::new("sh");
        power.arg(self.folder.join("power.sh")).arg(&self.folder).arg(&self.space);
        self.power = Some(Process::spawn(&mut power));
        self
    }

    /// Takes its power away for good.
    pub(super) fn power_off(&self) {
        // A host whose folder is gone has no power already.
        let _ = fs::write(self.folder.join("off"), "");
        self.crash();
    }

    /// Its IPv4 address.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.space
    }

    /// Where the file `path` of the host is on this machine: of its `/etc`, `/var`, `/root`, `/home`, `/srv`, `/opt` and
    /// `/tmp`, as long as it is not on one of its disks.
    #[must_use]
    pub fn path(&self, path: &str) -> PathBuf {
        self.folder.join("root").join(path.trim_start_matches('/'))
    }

    /// Its public host key of the type `ed25519`, `ecdsa` or `rsa`, as in `ssh_host_*_key.pub`.
    #[must_use]
    pub fn host_key(&self, key_type: &str) -> String {
        let path = self.path(&format!("/etc/ssh/host_{key_type}.pub"));
        fs::read_to_string(path).unwrap().trim().to_owned()
    }

    /// What its kernel calls this boot.
    #[must_use]
    pub fn boot_id(&self) -> String {
        fs::read_to_string(self.folder.join("boot_id")).unwrap().trim().to_owned()
    }

    /// How often it has booted.
    #[must_use]
    pub fn boots(&self) -> usize {
        fs::read_to_string(self.folder.join("boots")).unwrap_or_default().lines().count()
    }

    /// What its sshd wrote into its log.
    #[must_use]
    pub fn sshd_log(&self) -> String {
        fs::read_to_string(self.folder.join("sshd.log")).unwrap_or_default()
    }

    /// How package managers, `systemctl`, `reboot` and `shutdown` were called on it: `dnf install -y flannel`.
    #[must_use]
    pub fn recorded(&self) -> Vec<String> {
        let text = fs::read_to_string(self.path("/var/log/recorded")).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    /// Lets the stand-in for `program` run `script` (of a POSIX `sh`) after it wrote down how it was called; there, `exit 1`
    /// makes it fail.
    pub fn answer(&self, program: &str, script: &str) {
        fs::write(self.path(&format!("/etc/recorder/{program}")), format!("{script}\n")).unwrap();
    }

    /// Lets the owner of the key in the line `public_key` in as `user`, too.
    pub fn authorize(&self, user: &str, public_key: &str) {
        let path = self.path(&format!("/etc/ssh/authorized/{user}"));
        let text = fs::read_to_string(&path).unwrap();
        fs::write(path, format!("{text}{}\n", public_key.trim())).unwrap();
    }

    /// Runs `script` on it as root, without SSH.
    #[must_use]
    pub fn sh(&self, script: &str) -> Ran {
        let Some(first) = self.first_process() else { panic!("{} is down", self.space) };
        let mut command = Command::new("nsenter");
        command.args(["-t", &first, "-m", "-u", "-n", "-p", "chroot"]).arg(self.folder.join("root"));
        crate::process::run(command.args(["sh", "-c", script]))
    }

    /// The machine's number of its first process.
    fn first_process(&self) -> Option<String> {
        let power = fs::read_to_string(self.folder.join("power.pid")).ok()?;
        let power = power.trim();
        let children = fs::read_to_string(format!("/proc/{power}/task/{power}/children")).ok()?;
        children.split_whitespace().next().map(str::to_owned)
    }

    /// Pulls its network cable.
    pub fn cut_off(&self) {
        sh_ok(&format!("ip link set {} down", self.link));
    }

    /// Plugs its network cable in again.
    pub fn reconnect(&self) {
        sh_ok(&format!("ip link set {} up", self.link));
    }

    /// Delays everything that comes from it by so many milliseconds.
    ///
    /// # Errors
    /// What `tc` says where the kernel has no netem.
    pub fn slow(&self, milliseconds: u32) -> Result<(), String> {
        let ran =
            sh(&format!("tc -n {} qdisc replace dev eth0 root netem delay {milliseconds}ms", self.space));
        if ran.code == Some(0) { Ok(()) } else { Err(ran.stderr) }
    }

    /// Stops all its processes where they are; its kernel still answers.
    pub fn freeze(&self) {
        self.signal("STOP");
    }

    /// Lets them go on.
    pub fn thaw(&self) {
        self.signal("CONT");
    }

    fn signal(&self, signal: &str) {
        // Once more for those that were just begun.
        sh(&format!("for again in 1 2; do kill -{signal} $(ip netns pids {}); done", self.space));
    }

    /// Ends all its processes at once, as when power is lost; it boots again.
    pub fn crash(&self) {
        if let Some(first) = self.first_process() {
            sh(&format!("kill -9 {first}"));
        }
    }

    /// Crashes, and boots again only after [`Host::come_back`].
    pub fn go_down(&self) {
        fs::write(self.folder.join("stays-down"), "").unwrap();
        let boot = self.boot_id();
        self.crash();
        let gone = || self.first_process().is_none() || self.boot_id() != boot;
        wait_until("the host to be down", gone);
    }

    /// Boots after [`Host::go_down`], and waits until it is up.
    pub fn come_back(&self) {
        let boots = self.boots();
        fs::remove_file(self.folder.join("stays-down")).unwrap();
        wait_until("the host to boot", || self.boots() > boots);
        self.wait_until_up();
    }

    /// Ends sshd and its sessions; the host still runs, and refuses connections until it boots.
    pub fn stop_sshd(&self) {
        let _ = self.sh("kill -9 $(pidof sshd)");
        wait_until("sshd to be gone", || self.sh("pidof sshd").code != Some(0));
    }

    /// Reboots with new host keys, as if it had been installed anew, and waits until it is up.
    #[track_caller]
    pub fn change_host_key(&self) {
        sh_ok(&format!("sh {0}/keys.sh {0}", self.folder.display()));
        self.reboot();
    }

    /// Reboots it as a power failure does, and waits until it is up.
    #[track_caller]
    pub fn reboot(&self) {
        let boots = self.boots();
        self.crash();
        wait_until("the host to boot", || self.boots() > boots);
        self.wait_until_up();
    }

    /// Waits until its sshd answers.
    pub fn wait_until_up(&self) {
        let address: SocketAddr = format!("{}:22", self.address).parse().unwrap();
        wait_for(&format!("sshd of {}\n{}", self.space, self.sshd_log()), || {
            let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1)).ok()?;
            stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            let mut greeting = [0; 4];
            stream.read_exact(&mut greeting).ok()?;
            (&greeting == b"SSH-").then_some(())
        });
    }

    /// Where its files are on this machine.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}
