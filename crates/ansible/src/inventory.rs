//! Which hosts, and how Ansible gets into them.
//!
//! What OpenSSH is told is what Provost's own SSH does: the one key that was given and no other, no agent, nothing of the
//! service user's own configuration, and the host key that is pinned, or at a first meeting whichever is proved.

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::Path;

use base::Secret;
use rustix::fs::{MemfdFlags, Mode};
use serde_json::{Value, json};

use crate::literal::literal;

/// Under which name a host stands in its own file of known hosts.
const ALIAS: &str = "provost";
/// How often a silent host is asked for a sign of life, and how often it may stay silent, before it counts as gone.
const ALIVE: [&str; 2] = ["ServerAliveInterval=5", "ServerAliveCountMax=4"];

/// A host, and how to get in.
#[derive(Debug, Clone)]
pub struct Host {
    /// Its name in the inventory, and so in the [`Report`](crate::Report): letters, digits, `.`, `:` and `-`.
    pub name: String,
    /// Where it listens: a name or an IP address.
    pub address: String,
    /// At which TCP port.
    pub port: u16,
    /// Who signs in.
    pub user: String,
    /// What signs in: a private key in OpenSSH's format, without a passphrase.
    pub key: Secret<String>,
    /// The host key that is expected.
    pub known: KnownKey,
    /// Variables of this host alone.
    pub variables: Vec<(&'static str, Value)>,
}

/// What is known of the key that a host will prove.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum KnownKey {
    /// Nothing yet: whichever it proves is taken, and told in the [`Report`](crate::Report).
    #[default]
    Unknown,
    /// It must be this one: `ssh-ed25519 AAAA…`.
    Pinned(String),
}

/// A host in an inventory that is written. Dropping it forgets its key.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) host: Host,
    /// Memory that holds the private key.
    key: OwnedFd,
    /// Its file of known hosts.
    known_hosts: std::path::PathBuf,
}

impl Entry {
    /// Prepares `host` in the run's `folder`, as the one of this `number`.
    pub(crate) async fn prepare(host: &Host, number: usize, folder: &Path) -> io::Result<Self> {
        let known_hosts = folder.join(format!("known_hosts.{number}"));
        let known = match &host.known {
            KnownKey::Unknown => String::new(),
            KnownKey::Pinned(key) => format!("{ALIAS} {key}\n"),
        };
        tokio::fs::write(&known_hosts, known).await?;
        Ok(Self { host: host.clone(), key: in_memory(&host.key)?, known_hosts })
    }

    /// What ssh is told besides address, port, user and key.
    fn options(&self, known_hosts: &Path, checking: &str) -> Vec<String> {
        let alias = format!("HostKeyAlias={ALIAS}");
        // ssh splits its own options at blanks, too.
        let file = format!("UserKnownHostsFile=\"{}\"", known_hosts.display());
        let checking = format!("StrictHostKeyChecking={checking}");
        let mut options = vec!["-F".to_owned(), "none".to_owned()];
        let fixed = ["BatchMode=yes", "IdentitiesOnly=yes", "IdentityAgent=none", "CheckHostIP=no"];
        let others =
            ["UpdateHostKeys=no", "HashKnownHosts=no", "GlobalKnownHostsFile=none", "LogLevel=ERROR"];
        let said = [&fixed[..], &others[..], &ALIVE[..], &[&alias, &file, &checking]].concat();
        options.extend(said.into_iter().flat_map(|option| ["-o".to_owned(), option.to_owned()]));
        options
    }

    /// The host's part of the inventory.
    fn variables(&self) -> Value {
        let checking = if self.host.known == KnownKey::Unknown { "accept-new" } else { "yes" };
        let options = self.options(&self.known_hosts, checking);
        let options: Vec<String> =
            options.iter().map(|option| format!("'{}'", option.replace('\'', "'\\''"))).collect();
        let mut variables = json!({
            "ansible_host": self.host.address,
            "ansible_port": self.host.port,
            "ansible_user": self.host.user,
            "ansible_ssh_private_key_file": path_of(&self.key),
            "ansible_ssh_common_args": options.join(" "),
        });
        for (name, value) in &self.host.variables {
            variables[*name] = value.clone();
        }
        variables
    }

    /// The key that it proved: the pinned one, or what ssh wrote down at the first meeting.
    pub(crate) async fn proved(&self) -> Option<String> {
        if let KnownKey::Pinned(key) = &self.host.known {
            return Some(key.clone());
        }
        first_key(&self.known_hosts).await
    }

    /// The arguments for ssh to find out which key the host proves, whoever is let in; and where it is written then.
    pub(crate) fn asks_for_key(&self, seconds: u64) -> (Vec<String>, std::path::PathBuf) {
        let offered = self.known_hosts.with_extension("offered");
        let mut arguments = self.options(&offered, "accept-new");
        let more = ["PreferredAuthentications=none", &format!("ConnectTimeout={seconds}")];
        arguments.extend(more.into_iter().flat_map(|option| ["-o".to_owned(), option.to_owned()]));
        arguments.extend([
            "-p".to_owned(),
            self.host.port.to_string(),
            "-l".to_owned(),
            self.host.user.clone(),
        ]);
        arguments.extend(["--".to_owned(), self.host.address.clone(), "true".to_owned()]);
        (arguments, offered)
    }
}

/// The inventory with `entries`, for Ansible's `yaml` plugin, which reads JSON as well.
pub(crate) fn written(entries: &[Entry]) -> Value {
    let host = |entry: &Entry| (entry.host.name.clone(), literal(&entry.variables()));
    let hosts: serde_json::Map<String, Value> = entries.iter().map(host).collect();
    json!({ "all": { "hosts": hosts } })
}

/// The key in the first line of a file of known hosts.
pub(crate) async fn first_key(known_hosts: &Path) -> Option<String> {
    let text = tokio::fs::read_to_string(known_hosts).await.ok()?;
    let (_, key) = text.lines().next()?.split_once(' ')?;
    Some(key.trim().to_owned())
}

/// Memory with `key` in it, which only this user can read: no file, and gone with this program.
fn in_memory(key: &Secret<String>) -> io::Result<OwnedFd> {
    let memory = rustix::fs::memfd_create("key", MemfdFlags::CLOEXEC)?;
    // ssh refuses a key that others may read.
    rustix::fs::fchmod(&memory, Mode::RUSR | Mode::WUSR)?;
    let mut rest = key.expose().as_bytes();
    while !rest.is_empty() {
        rest = &rest[rustix::io::write(&memory, rest)?..];
    }
    Ok(memory)
}

/// Under which path other programs of this user open `memory`.
fn path_of(memory: &OwnedFd) -> String {
    format!("/proc/{}/fd/{}", std::process::id(), memory.as_raw_fd())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn host(known: KnownKey) -> Host {
        Host {
            name: "192.0.2.7".into(),
            address: "192.0.2.7".into(),
            port: 22,
            user: "{{ evil }}".into(),
            key: Secret::new("KEY".into()),
            known,
            variables: vec![("provost_become", json!(true))],
        }
    }

    #[tokio::test]
    async fn a_key_is_in_memory_and_nowhere_else() {
        let folder = tempfile::tempdir().unwrap();
        let entry = Entry::prepare(&host(KnownKey::Unknown), 0, folder.path()).await.unwrap();
        let path = path_of(&entry.key);
        assert_eq!(fs::read_to_string(&path).unwrap(), "KEY");
        let inventory = written(&[entry]).to_string();
        assert!(inventory.contains(&path) && !inventory.contains("KEY"), "{inventory}");
        assert!(inventory.contains(r#""ansible_user":{"__ansible_unsafe":"{{ evil }}"}"#), "{inventory}");
        assert!(inventory.contains("StrictHostKeyChecking=accept-new"), "{inventory}");
        assert!(fs::read_to_string(path).is_err(), "it went with the inventory");
    }

    #[tokio::test]
    async fn the_key_that_is_known_is_the_one_that_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let pinned = KnownKey::Pinned("ssh-ed25519 AAAA".into());
        let entry = Entry::prepare(&host(pinned), 3, folder.path()).await.unwrap();
        assert_eq!(
            fs::read_to_string(folder.path().join("known_hosts.3")).unwrap(),
            "provost ssh-ed25519 AAAA\n"
        );
        assert_eq!(entry.proved().await.as_deref(), Some("ssh-ed25519 AAAA"));
        assert!(written(&[entry]).to_string().contains("StrictHostKeyChecking=yes"));
        let first = Entry::prepare(&host(KnownKey::Unknown), 4, folder.path()).await.unwrap();
        assert_eq!(first.proved().await, None);
        fs::write(folder.path().join("known_hosts.4"), "provost ssh-rsa BBBB\n").unwrap();
        assert_eq!(first.proved().await.as_deref(), Some("ssh-rsa BBBB"));
    }
}
