//! The hosts, and the files that other programs need to find them.

use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use tempfile::TempDir;
use testkit::Hosts;

use crate::Failure;
use crate::run::note;

/// Real hosts, all alike, and whatever says where they are and who they are.
pub(super) struct Site {
    pub(super) hosts: Hosts,
    folder: TempDir,
}

impl Site {
    /// Starts `count` hosts.
    pub(super) fn start(count: usize) -> Result<Self, Failure> {
        note(&format!("starting {count} hosts"));
        // Where paths are short: those of sockets must be.
        let folder = TempDir::new().map_err(Failure::file(&std::env::temp_dir()))?;
        let site = Self { hosts: Hosts::alike(count), folder };
        let mut known = String::new();
        // Ansible neither has to look for Python, nor to ask for what it was told.
        let mut inventory =
            "[all:vars]\nansible_user=root\nansible_python_interpreter=/usr/bin/python3\n\n[all]\n"
                .to_owned();
        let mut names = String::new();
        for host in site.hosts.all() {
            let address = host.address();
            // Writing to a String cannot fail.
            let _ = writeln!(known, "{address} {}", host.host_key("ed25519"));
            let _ = writeln!(inventory, "{address}");
            let _ = writeln!(names, "{address}");
        }
        site.write("known_hosts", &known, 0o644)?;
        site.write("inventory", &inventory, 0o644)?;
        site.write("hosts", &names, 0o644)?;
        site.write("key", &site.hosts.key(), 0o600)?;
        Ok(site)
    }

    fn write(&self, name: &str, text: &str, mode: u32) -> Result<(), Failure> {
        let path = self.path(name);
        fs::write(&path, text).map_err(Failure::file(&path))?;
        fs::set_permissions(&path, Permissions::from_mode(mode)).map_err(Failure::file(&path))
    }

    /// Where one of its files is: `known_hosts`, `inventory` (Ansible's), `hosts` (one a line), `key`.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What `ssh` is told, whoever starts it: the key, the known hosts, and nothing of this machine's own settings.
    pub(super) fn ssh_options(&self) -> Vec<String> {
        let (key, known) = (self.path("key"), self.path("known_hosts"));
        let option = |text: String| ["-o".to_owned(), text];
        [
            option(format!("IdentityFile={}", key.display())),
            option("IdentitiesOnly=yes".into()),
            option(format!("UserKnownHostsFile={}", known.display())),
            option("GlobalKnownHostsFile=/dev/null".into()),
            option("StrictHostKeyChecking=yes".into()),
            option("BatchMode=yes".into()),
            option("LogLevel=ERROR".into()),
        ]
        .concat()
    }
}
