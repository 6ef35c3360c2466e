//! The program, and the folder it works in.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use base::{Entropy, hex};
use rustix::fs::{Access, access};
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::sync::Semaphore;

use crate::inventory::{self, Entry};
use crate::literal::literal;
use crate::relay::{RELAY, SAID_MIB_MAX_VARIABLE};
use crate::run::Run;
use crate::{Error, Play, marked};

/// What tells us what came of each task.
const CALLBACK: &str = include_str!("../data/callback_plugins/provost.py");
const CALLBACK_FOLDER: &str = "callback_plugins";
/// How many hosts of a playbook are worked on at once.
pub const FORKS: usize = 25;
/// How the folders of runs begin.
const RUN: &str = "run-";
/// Paths of sockets are short (unix(7): 108 bytes): with a longer folder than that connections are not shared.
const SHARING_FOLDER_BYTES_MAX: usize = 60;

/// How `ansible-playbook` is run.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The program: a path, or a name to look for on the `PATH`.
    pub program: PathBuf,
    /// Where it works: a folder that nobody else uses. What is in there is cleared.
    pub folder: PathBuf,
    /// The operator's `ansible.cfg`, if there is one. What we say ourselves counts more.
    pub config: Option<PathBuf>,
    /// How long a connection may take to be made.
    pub connect: Duration,
    /// How many playbooks are run at once; each is some Python processes of 60 MiB and more.
    pub runs_max: usize,
    /// What does [`relay`](crate::relay) when it is called by the name [`RELAY`]: without it, what a host says is not
    /// bounded.
    pub relay: Option<PathBuf>,
    /// How much a host may say to one task, in MiB, where there is a relay.
    pub said_mib_max: u64,
}

impl Settings {
    /// Whether the operator says what is run as ssh, which counts then.
    fn has_own_ssh(&self) -> bool {
        let config = self.config.as_ref().and_then(|config| fs::read_to_string(config).ok());
        config.is_some_and(|config| says_ssh(&config))
    }
}

/// Whether an `ansible.cfg` says what is run as ssh: a comment does not.
fn says_ssh(config: &str) -> bool {
    let name = |line: &str| {
        let (name, _) = line.split_once(['=', ':'])?;
        Some(name.trim().eq_ignore_ascii_case("ssh_executable"))
    };
    config.lines().filter_map(name).any(|is_it| is_it)
}

/// Puts the program `relay` at `ssh`, to stay as it is now: whatever becomes of its file, and of this process. Where it
/// could not be run there, it is only pointed to.
fn put_relay(relay: &Path, ssh: &Path) -> io::Result<()> {
    if ssh.symlink_metadata().is_ok() {
        fs::remove_file(ssh)?;
    }
    // Another's file may not be linked to, nor one on another file system.
    let put = fs::hard_link(relay, ssh).or_else(|_| fs::copy(relay, ssh).map(drop));
    if put.is_ok() && access(ssh, Access::EXEC_OK).is_ok() {
        return Ok(());
    }
    if ssh.symlink_metadata().is_ok() {
        fs::remove_file(ssh)?;
    }
    symlink(relay, ssh)
}

/// The program, and the folder it works in.
#[derive(Debug)]
pub struct Ansible {
    settings: Settings,
    entropy: Entropy,
    places: Arc<Semaphore>,
    /// What is run instead of ssh, if anything.
    ssh: Option<PathBuf>,
}

impl Ansible {
    /// Makes the folder ready. What an earlier run left in it is removed, and its processes are ended.
    ///
    /// # Errors
    /// [`Error::Files`].
    pub fn new(settings: Settings, entropy: Entropy) -> Result<Self, Error> {
        let folder = &settings.folder;
        let made = |path: &Path, made: io::Result<()>| {
            made.map_err(|source| Error::Files { path: path.to_owned(), source })
        };
        made(folder, DirBuilder::new().recursive(true).mode(0o700).create(folder))?;
        marked::end(&format!("{}/{RUN}", folder.display()));
        let places = Arc::new(Semaphore::new(settings.runs_max.max(1)));
        let mut ansible = Self { settings, entropy, places, ssh: None };
        let folder = &ansible.settings.folder;
        for left in fs::read_dir(folder).into_iter().flatten().flatten() {
            if left.file_name().to_string_lossy().starts_with(RUN) {
                made(&left.path(), fs::remove_dir_all(left.path()))?;
            }
        }
        let plugins = folder.join(CALLBACK_FOLDER);
        made(&plugins, DirBuilder::new().recursive(true).mode(0o700).create(&plugins))?;
        let callback = plugins.join("provost.py");
        made(&callback, fs::write(&callback, CALLBACK))?;
        let config = ansible.own_config();
        made(&config, fs::write(&config, ""))?;
        if ansible.settings.has_own_ssh() {
            tracing::warn!("the ansible.cfg sets ssh_executable: what hosts say to Ansible is not bounded");
        } else if let Some(relay) = &ansible.settings.relay {
            let ssh = folder.join(RELAY);
            made(&ssh, put_relay(relay, &ssh))?;
            ansible.ssh = Some(ssh);
        }
        Ok(ansible)
    }

    /// Where it works.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.settings.folder
    }

    /// How many playbooks are run at once.
    #[must_use]
    pub fn runs_max(&self) -> usize {
        self.settings.runs_max.max(1)
    }

    /// How much a host may say to one task, in MiB.
    #[must_use]
    pub fn said_mib_max(&self) -> u64 {
        self.settings.said_mib_max
    }

    /// How long a connection may take to be made.
    #[must_use]
    pub fn connect_limit(&self) -> Duration {
        self.settings.connect
    }

    /// Without one of its own, Ansible would take the one of whatever folder it is in.
    fn own_config(&self) -> PathBuf {
        self.settings.folder.join("ansible.cfg")
    }

    /// Begins to run `play`, when fewer than allowed are being run. Its time begins then.
    ///
    /// # Errors
    /// [`Error::Start`] and [`Error::Files`].
    pub async fn begin(&self, play: &Play) -> Result<Run, Error> {
        let place = self.places.clone().acquire_owned().await.expect("nobody closes it");
        let folder = RunFolder::make(&self.settings.folder, &self.entropy).await?;
        let entries = folder.fill(play).await?;
        let mut command = Command::new(&self.settings.program);
        command.arg("--inventory").arg(folder.path(INVENTORY));
        command.arg("--extra-vars").arg(format!("@{}", folder.path(VARIABLES).display()));
        if !play.skip_tags.is_empty() {
            command.arg("--skip-tags").arg(play.skip_tags.join(","));
        }
        // Whoever names a file with a `-` at its beginning means the file.
        command.arg("--").arg(&play.playbook.path);
        command.env_clear().envs(self.environment(&folder));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.current_dir(&self.settings.folder).process_group(0);
        let program = &self.settings.program;
        let start = |source| Error::Start { program: program.clone(), source };
        let child = command.spawn().map_err(start)?;
        tracing::debug!(playbook = play.playbook.name, "playbook begun");
        Ok(Run::new(child, (folder, place), entries, play, self.settings.clone()))
    }

    /// Everything that Ansible and ssh find in their environment. These settings count more than a file's.
    fn environment(&self, run: &RunFolder) -> BTreeMap<&'static str, std::ffi::OsString> {
        let settings = &self.settings;
        let own = self.own_config();
        let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
        // Whole seconds, and not 0, which would be for ever.
        let timeout = settings.connect.as_secs_f64().ceil().max(1.0).to_string();
        let mut environment: BTreeMap<&'static str, std::ffi::OsString> = [
            ("PATH", path),
            ("HOME", run.path("").into()),
            // Ansible wants UTF-8.
            ("LC_ALL", "C.UTF-8".into()),
            (marked::VARIABLE, run.mark().into()),
            ("ANSIBLE_HOME", run.path("home").into()),
            ("ANSIBLE_LOCAL_TEMP", run.path("tmp").into()),
            ("ANSIBLE_CONFIG", settings.config.as_ref().unwrap_or(&own).into()),
            ("ANSIBLE_CALLBACK_PLUGINS", settings.folder.join(CALLBACK_FOLDER).into()),
            ("ANSIBLE_STDOUT_CALLBACK", "provost".into()),
            ("ANSIBLE_INVENTORY_ENABLED", "yaml".into()),
            ("ANSIBLE_TIMEOUT", timeout.into()),
            ("ANSIBLE_PIPELINING", "True".into()),
            // Hosts need no SFTP server, and no terminal.
            ("ANSIBLE_SSH_TRANSFER_METHOD", "piped".into()),
            ("ANSIBLE_SSH_USETTY", "False".into()),
            ("ANSIBLE_SSH_CONTROL_PATH_DIR", run.path("cp").into()),
            ("ANSIBLE_FORKS", FORKS.to_string().into()),
            ("ANSIBLE_NOCOLOR", "True".into()),
            ("ANSIBLE_RETRY_FILES_ENABLED", "False".into()),
        ]
        .into();
        if let Some(ssh) = &self.ssh {
            environment.insert("ANSIBLE_SSH_EXECUTABLE", ssh.into());
            environment.insert(SAID_MIB_MAX_VARIABLE, settings.said_mib_max.to_string().into());
        }
        if settings.folder.as_os_str().len() > SHARING_FOLDER_BYTES_MAX {
            environment.insert("ANSIBLE_SSH_ARGS", "-o ControlMaster=no -o ControlPath=none".into());
        }
        environment
    }
}

const INVENTORY: &str = "inventory.json";
const VARIABLES: &str = "variables.json";

/// The private folder of a run. Dropping it ends the run's processes and removes it.
#[derive(Debug)]
pub(crate) struct RunFolder {
    path: PathBuf,
    /// Nothing is left of the run.
    is_clear: bool,
}

impl RunFolder {
    async fn make(under: &Path, entropy: &Entropy) -> Result<Self, Error> {
        // Short: sockets are in there.
        let path = under.join(format!("{RUN}{}", hex::encode(&entropy.bytes::<6>())));
        // Fails where something has the name already, even a link.
        let made = tokio::fs::DirBuilder::new().mode(0o700).create(&path).await;
        made.map_err(|source| Error::Files { path: path.clone(), source })?;
        Ok(Self { path, is_clear: false })
    }

    /// Writes all that `play` needs.
    async fn fill(&self, play: &Play) -> Result<Vec<Entry>, Error> {
        let failed = |path: PathBuf| move |source| Error::Files { path, source };
        let mut entries = Vec::with_capacity(play.hosts.len());
        for (number, host) in play.hosts.iter().enumerate() {
            let entry = Entry::prepare(host, number, &self.path).await;
            entries.push(entry.map_err(failed(self.path.clone()))?);
        }
        let mut variables = play.variables.clone();
        for (name, bytes) in &play.files {
            let path = self.path(name);
            self.write(name, bytes.expose()).await.map_err(failed(path.clone()))?;
            variables.insert(name.clone(), path.display().to_string().into());
        }
        let variables = literal(&Value::Object(variables)).to_string();
        self.write(VARIABLES, variables.as_bytes()).await.map_err(failed(self.path(VARIABLES)))?;
        let inventory = inventory::written(&entries).to_string();
        self.write(INVENTORY, inventory.as_bytes()).await.map_err(failed(self.path(INVENTORY)))?;
        Ok(entries)
    }

    async fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut options = tokio::fs::OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(0o600).open(self.path(name)).await?;
        file.write_all(bytes).await?;
        file.flush().await
    }

    fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    fn mark(&self) -> String {
        self.path.display().to_string()
    }

    /// Ends all processes of the run.
    pub(crate) async fn end_processes(&self) {
        marked::end_without_blocking(&self.mark()).await;
    }

    /// Ends what is left of the run, and removes the folder. What is dropped without this does the same, and blocks.
    pub(crate) async fn clear(mut self) {
        self.end_processes().await;
        self.is_clear = removed(&self.path, tokio::fs::remove_dir_all(&self.path).await);
    }
}

impl Drop for RunFolder {
    fn drop(&mut self) {
        if !self.is_clear {
            marked::end(&self.mark());
            removed(&self.path, fs::remove_dir_all(&self.path));
        }
    }
}

fn removed(folder: &Path, removed: io::Result<()>) -> bool {
    if let Err(error) = &removed {
        let folder = folder.display();
        tracing::warn!(%folder, %error, "the folder of a playbook's run could not be removed");
    }
    removed.is_ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    use super::*;

    #[test]
    fn only_a_setting_takes_the_place_of_our_ssh() {
        for config in
            ["ssh_executable = /usr/bin/myssh", "[ssh_connection]\nssh_executable=x\n", "SSH_executable: x"]
        {
            assert!(says_ssh(config), "{config}");
        }
        for config in ["", "# ssh_executable = x", ";ssh_executable=x", "note = no ssh_executable = here"] {
            assert!(!says_ssh(config), "{config}");
        }
    }

    #[test]
    fn the_relay_stays_what_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let (relay, ssh) = (folder.path().join("relay"), folder.path().join("ssh"));
        symlink("/nowhere", &ssh).unwrap();
        fs::write(&relay, "it").unwrap();
        fs::set_permissions(&relay, fs::Permissions::from_mode(0o755)).unwrap();
        put_relay(&relay, &ssh).unwrap();
        assert_eq!(fs::metadata(&relay).unwrap().ino(), fs::metadata(&ssh).unwrap().ino());
        fs::remove_file(&relay).unwrap();
        assert_eq!(fs::read(&ssh).unwrap(), b"it");

        // A link cannot be made to that: it is a file on another file system.
        let own = PathBuf::from(format!("/proc/{}/exe", std::process::id()));
        put_relay(&own, &ssh).unwrap();
        let found = ssh.symlink_metadata().unwrap();
        assert!(found.is_file() && found.len() == fs::metadata(&own).unwrap().len());

        // Nobody may run this: it is where it was.
        fs::write(&relay, "it").unwrap();
        put_relay(&relay, &ssh).unwrap();
        assert_eq!(fs::read_link(&ssh).unwrap(), relay);
    }
}
