//! What a host is like before it is started.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// A host that is not started yet: a Debian of the machine's own version with an Ed25519 and an ECDSA host key, sudo,
/// and these users, whom the network's [key](crate::Hosts::key) lets in:
///
/// ```text
/// root    may do everything
/// admin   may do everything through sudo, without a password
/// clerk   may do everything through sudo, with a password
/// guest   may not use sudo
/// ```
#[derive(Debug, Clone)]
pub struct HostPlan {
    pub(super) os_release: Option<String>,
    pub(super) has_sudo: bool,
    pub(super) is_atomic: bool,
    pub(super) has_rsa_key: bool,
    pub(super) disks: Vec<(u64, String)>,
    pub(super) down_seconds: f64,
    pub(super) sshd_lines: Vec<String>,
    pub(super) has_own_trust: bool,
}

impl Default for HostPlan {
    fn default() -> Self {
        Self {
            os_release: None,
            has_sudo: true,
            is_atomic: false,
            has_rsa_key: false,
            disks: Vec::new(),
            down_seconds: 1.0,
            sshd_lines: Vec::new(),
            has_own_trust: false,
        }
    }
}

impl HostPlan {
    /// As described above.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Says of itself to be another system: `os("fedora", "40")`. Its programs stay Debian's.
    #[must_use]
    pub fn os(mut self, id: &str, version: &str) -> Self {
        self.os_release = Some(format!(
            "NAME=\"{id}\"\nID={id}\nVERSION_ID=\"{version}\"\nPRETTY_NAME=\"{id} {version}\"\n"
        ));
        self
    }

    /// Is an atomic host: `/run/ostree-booted` is there.
    #[must_use]
    pub fn atomic(mut self) -> Self {
        self.is_atomic = true;
        self
    }

    /// Has no sudo.
    #[must_use]
    pub fn without_sudo(mut self) -> Self {
        self.has_sudo = false;
        self
    }

    /// Has an RSA host key, too; making it takes a moment.
    #[must_use]
    pub fn rsa_host_key(mut self) -> Self {
        self.has_rsa_key = true;
        self
    }

    /// Has a disk of so many KiB at `path`, empty at each boot.
    #[must_use]
    pub fn disk(mut self, path: &str, kib: u64) -> Self {
        self.disks.push((kib, path.to_owned()));
        self
    }

    /// Is away for so long when it reboots; 1 s unless said otherwise.
    #[must_use]
    pub fn down_for(mut self, seconds: f64) -> Self {
        self.down_seconds = seconds;
        self
    }

    /// Has a trust store of its own, as Debian's ca-certificates makes it: what is trusted in it is nobody else's business.
    /// Others share the machine's, and cannot change it.
    #[must_use]
    pub fn own_trust(mut self) -> Self {
        self.has_own_trust = true;
        self
    }

    /// A line for its sshd_config.
    #[must_use]
    pub fn sshd(mut self, line: &str) -> Self {
        self.sshd_lines.push(line.to_owned());
        self
    }

    /// Writes the files in `folder` that its tree is made from. `authorized` is the line that lets users in.
    pub(super) fn lay_out(&self, folder: &Path, name: &str, gateway: &str, authorized: &str) {
        let root = folder.join("root");
        for inside in [
            "usr",
            "etc/ssh/authorized",
            "etc/sudoers.d",
            "etc/recorder",
            "var/log",
            "var/lib",
            "var/tmp",
            "var/cache",
            "root",
            "home",
            "tmp",
            "run",
            "dev",
            "proc",
            "sys",
            "opt/bin",
            "srv",
            "mnt",
        ] {
            fs::create_dir_all(root.join(inside)).unwrap();
        }
        fs::create_dir_all(folder.join("local/bin")).unwrap();
        let write = |path: &str, text: &str| fs::write(folder.join(path), text).unwrap();
        write("init.sh", include_str!("init.sh"));
        write("power.sh", include_str!("power.sh"));
        write("make.sh", include_str!("make.sh"));
        write("keys.sh", include_str!("keys.sh"));
        write("local/bin/recorder", include_str!("recorder.sh"));
        write("name", name);
        write("gateway", gateway);
        write("down", &self.down_seconds.to_string());
        let mut disks = String::new();
        for (kib, path) in &self.disks {
            fs::create_dir_all(root.join(path.trim_start_matches('/'))).unwrap();
            // Writing to a String cannot fail.
            let _ = writeln!(disks, "{kib}k {path}");
        }
        write("disks", &disks);
        if self.is_atomic {
            write("atomic", "");
        }
        if self.has_rsa_key {
            write("rsa", "");
        }
        if !self.has_sudo {
            write("without-sudo", "");
        }
        if self.has_own_trust {
            write("own-trust", "");
        }
        let users = [
            ("root", 0, "/root"),
            ("admin", 1001, "/home/admin"),
            ("clerk", 1002, "/home/clerk"),
            ("guest", 1003, "/home/guest"),
        ];
        let mut passwd = "sshd:x:100:65534::/run/sshd:/usr/sbin/nologin\nnobody:x:65534:65534::/nonexistent:/usr/sbin/nologin\n".to_owned();
        let mut shadow = "sshd:*:19000:0:99999:7:::\nnobody:*:19000:0:99999:7:::\n".to_owned();
        let mut group = "nogroup:x:65534:\nshadow:x:42:\nadm:x:4:\n".to_owned();
        for (user, id, home) in users {
            let _ = writeln!(passwd, "{user}:x:{id}:{id}::{home}:/bin/sh");
            let _ = writeln!(shadow, "{user}:*:19000:0:99999:7:::");
            let _ = writeln!(group, "{user}:x:{id}:");
            write(&format!("root/etc/ssh/authorized/{user}"), &format!("{authorized}\n"));
        }
        write("root/etc/passwd", &passwd);
        write("root/etc/shadow", &shadow);
        write("root/etc/group", &group);
        write("root/etc/hostname", &format!("{name}\n"));
        write("root/etc/hosts", &format!("127.0.0.1 localhost\n127.0.1.1 {name}\n"));
        write("root/etc/nsswitch.conf", "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n");
        write(
            "root/etc/sudoers",
            "Defaults secure_path=\"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\"\n\
             root ALL=(ALL:ALL) ALL\nadmin ALL=(ALL:ALL) NOPASSWD: ALL\nclerk ALL=(ALL:ALL) ALL\n",
        );
        match &self.os_release {
            Some(text) => write("root/etc/os-release", text),
            None => drop(fs::copy("/etc/os-release", root.join("etc/os-release")).unwrap()),
        }
        let mut config = "Port 22\nHostKey /etc/ssh/host_ed25519\nHostKey /etc/ssh/host_ecdsa\n".to_owned();
        if self.has_rsa_key {
            config.push_str("HostKey /etc/ssh/host_rsa\n");
        }
        if !self.has_sudo {
            config.push_str("SetEnv PATH=/usr/local/bin:/opt/bin\n");
        }
        config.push_str(
            "AuthorizedKeysFile /etc/ssh/authorized/%u .ssh/authorized_keys\nStrictModes no\nUsePAM no\nPasswordAuthentication no\n\
             KbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\nMaxStartups 300\nUseDNS no\n\
             PidFile none\nLogLevel VERBOSE\nPrintMotd no\nPrintLastLog no\n",
        );
        for line in &self.sshd_lines {
            // The first of two lines counts.
            config.insert_str(0, &format!("{line}\n"));
        }
        write("root/etc/ssh/sshd_config", &config);
    }
}
