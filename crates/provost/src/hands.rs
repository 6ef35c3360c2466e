//! With what hosts are looked at and made ready: the settings, and what is in the files that they name.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ansible::Ansible;
use base::{Clock, Entropy, Explain, Kind, Secret, Span};
use engine::{Hands, Jump, Playbooks};
use fleet::bootstrap::EtcdAccess;
use fleet::{BadCommands, BadTemplate, OsCommands, Templates};
use ssh::UserKey;
use store::private_file;

use crate::settings::{FlannelEtcd, Settings};

/// A file for the work on hosts cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HandsError {
    /// It could not be read.
    #[error("could not read {}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It has other commands than there are.
    #[error("the commands in {} cannot be used", path.display())]
    Commands {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: BadCommands,
    },
    /// The folder has no template.
    #[error("there is neither {} nor {} in {}", FLANNELD, DOCKER, path.display())]
    NoTemplate {
        /// The folder.
        path: PathBuf,
    },
    /// A template is none.
    #[error("the templates in {} cannot be used", path.display())]
    Template {
        /// The folder.
        path: PathBuf,
        /// Why not.
        source: BadTemplate,
    },
    /// The key is not there, or others may read it.
    #[error(transparent)]
    Key(#[from] private_file::ReadError),
    /// The key for the machine that hosts are reached through is none that can sign in.
    #[error("the key in {} cannot be used", path.display())]
    JumpKey {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: ssh::KeyError,
    },
    /// The folder that Ansible works in cannot be used.
    #[error(transparent)]
    Ansible(#[from] ansible::Error),
}

impl Explain for HandsError {
    fn kind(&self) -> Kind {
        Kind::Invalid
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::File { .. } | Self::NoTemplate { .. } => None,
            Self::Commands { source, .. } => source.help(),
            Self::Template { source, .. } => source.help(),
            Self::Key(source) => source.help(),
            Self::JumpKey { source, .. } => source.help(),
            Self::Ansible(source) => source.help(),
        }
    }
}

/// What the templates are called in a folder.
const FLANNELD: &str = "flanneld.j2";
const DOCKER: &str = "docker.j2";

/// How many connections may stay open from one look at a host to the next: a fleet of so many is watched without
/// signing in again, in some 75 MB.
const KEPT_WHILE_WATCHING: usize = 500;

/// With what hosts are looked at and made ready, where they are.
pub fn hands(settings: &Settings, clock: &Clock, entropy: &Entropy) -> Result<Option<Hands>, HandsError> {
    let hands = &settings.fleet.hands;
    if !settings.fleet.api || !(hands.investigate || hands.operations || hands.watch_period.is_some()) {
        return Ok(None);
    }
    let playbooks =
        hands.ansible.as_ref().map(|ansible| playbooks(settings, ansible, entropy)).transpose()?;
    let half_as_long_again = hands.connect * 3 / 2;
    let limits = ssh::Limits {
        connect: hands.connect,
        handshake: half_as_long_again,
        authenticate: half_as_long_again,
        ..ssh::Limits::default()
    };
    let mut ssh = ssh::Settings { limits, ..ssh::Settings::default() };
    // One place for each host, and some for connections that are still to be closed.
    ssh.open_max = hands.hosts_max.saturating_mul(2).max(64);
    if let Some(period) = hands.watch_period {
        ssh.open_max = ssh.open_max.max(KEPT_WHILE_WATCHING);
        ssh.idle = ssh.idle.max(period + Span::seconds(30));
    }
    let remote: Arc<dyn ssh::Remote> = match &playbooks {
        Some(playbooks) => playbooks.clone(),
        None => Arc::new(ssh::Sessions::new(ssh, clock.clone())),
    };
    Ok(Some(Hands {
        investigates: hands.investigate,
        watch_period: hands.watch_period,
        operates: hands.operations,
        remote,
        playbooks,
        port: hands.port,
        jump: hands.jump.as_ref().map(jump).transpose()?,
        profile: hands.profile,
        commands: hands.commands_file.as_deref().map_or_else(|| Ok(OsCommands::standard()), commands)?,
        templates: hands.templates_folder.as_deref().map_or_else(|| Ok(Templates::default()), templates)?,
        etcd: hands.etcd.as_ref().map(etcd).transpose()?,
        hosts_max: hands.hosts_max,
        host_limit: hands.host,
    }))
}

/// How many playbooks are run at once on each core: they wait for hosts half of the time.
const RUNS_EACH: usize = 4;

/// Whoever works on hosts by playbooks. The private folder for it lies beside the database.
fn playbooks(
    settings: &Settings,
    said: &crate::settings::Ansible,
    entropy: &Entropy,
) -> Result<Arc<Playbooks>, HandsError> {
    let folder = settings.files.database.with_extension("ansible");
    let absolute = std::path::absolute(&folder);
    let folder = absolute.map_err(|source| HandsError::File { path: folder, source })?;
    let config = said.playbooks_folder.as_ref().map(|folder| folder.join("ansible.cfg"));
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let of_ansible = ansible::Settings {
        program: said.program.clone(),
        folder,
        config: config.filter(|config| config.exists()),
        connect: settings.fleet.hands.connect,
        runs_max: settings.fleet.hands.hosts_max.min(RUNS_EACH * cores),
        relay: Some(this_program()),
        said_mib_max: said.said_mib_max,
    };
    let ansible = Ansible::new(of_ansible, entropy.clone())?;
    Ok(Arc::new(Playbooks::new(ansible, said.playbooks_folder.clone())?))
}

/// Where this very program is, also when its file has gone meanwhile.
fn this_program() -> PathBuf {
    let file = std::env::current_exe().ok().filter(|file| file.exists());
    file.unwrap_or_else(|| format!("/proc/{}/exe", std::process::id()).into())
}

fn read(path: &Path) -> Result<Vec<u8>, HandsError> {
    std::fs::read(path).map_err(|source| HandsError::File { path: path.to_owned(), source })
}

fn read_text(path: &Path) -> Result<String, HandsError> {
    std::fs::read_to_string(path).map_err(|source| HandsError::File { path: path.to_owned(), source })
}

/// The commands that come with the program, but for what the file at `path` says.
pub fn commands(path: &Path) -> Result<OsCommands, HandsError> {
    let with = OsCommands::standard().with(&read_text(path)?);
    with.map_err(|source| HandsError::Commands { path: path.to_owned(), source })
}

/// Those of the folder that are there, and for the rest those that come with the program.
pub fn templates(folder: &Path) -> Result<Templates, HandsError> {
    let mut templates = Templates::default();
    let mut found = false;
    for (name, template) in [(FLANNELD, &mut templates.flanneld), (DOCKER, &mut templates.docker)] {
        let path = folder.join(name);
        if path.exists() {
            (*template, found) = (read_text(&path)?, true);
        }
    }
    if !found {
        return Err(HandsError::NoTemplate { path: folder.to_owned() });
    }
    templates.check().map_err(|source| HandsError::Template { path: folder.to_owned(), source })?;
    Ok(templates)
}

/// The machine that hosts are reached through, with what signs in there.
fn jump(jump: &crate::settings::Jump) -> Result<Jump, HandsError> {
    let parsed = |path: &PathBuf| -> Result<UserKey, HandsError> {
        let missing = || HandsError::File { path: path.clone(), source: std::io::ErrorKind::NotFound.into() };
        let bytes = private_file::read(path)?.ok_or_else(missing)?;
        let text = Secret::new(String::from_utf8_lossy(bytes.expose()).into_owned());
        UserKey::parse(&text).map_err(|source| HandsError::JumpKey { path: path.clone(), source })
    };
    Ok(Jump {
        address: jump.address.clone(),
        user: jump.user.clone(),
        key: jump.key_file.as_ref().map(parsed).transpose()?,
        host_key: jump.host_key.clone(),
    })
}

fn etcd(etcd: &FlannelEtcd) -> Result<EtcdAccess, HandsError> {
    let key = |path: &PathBuf| -> Result<Secret<Vec<u8>>, HandsError> {
        let missing = || HandsError::File { path: path.clone(), source: std::io::ErrorKind::NotFound.into() };
        private_file::read(path)?.ok_or_else(missing)
    };
    let client =
        |(certificate, path): &(PathBuf, PathBuf)| Ok::<_, HandsError>((read(certificate)?, key(path)?));
    Ok(EtcdAccess {
        server_url: etcd.url.clone(),
        ca: etcd.ca.as_deref().map(read).transpose()?,
        client: etcd.client.as_ref().map(client).transpose()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operators_files_take_the_place_of_ours() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        assert!(matches!(templates(folder.path()), Err(HandsError::NoTemplate { .. })));
        assert!(matches!(commands(&at("commands.toml")), Err(HandsError::File { .. })));
        std::fs::write(at("commands.toml"), "[fedora]\nupgrade = 'dnf5 upgrade -y'\n").unwrap();
        std::fs::write(at(DOCKER), "mine\n").unwrap();
        assert_ne!(commands(&at("commands.toml")).unwrap(), OsCommands::standard());
        let expected = Templates { docker: "mine\n".into(), ..Templates::default() };
        assert_eq!(templates(folder.path()).unwrap(), expected);
    }

    #[test]
    fn flannels_key_is_nobody_elses() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("flannel.pem"), "CERTIFICATE").unwrap();
        let access = || {
            let client = Some((at("flannel.pem"), at("flannel.key")));
            etcd(&FlannelEtcd { url: "https://10.0.0.1:2379".into(), ca: None, client })
        };
        assert!(matches!(access(), Err(HandsError::File { .. })));
        private_file::replace(&at("flannel.key"), b"KEY").unwrap();
        assert_eq!(access().unwrap().client.unwrap().1.expose(), b"KEY");
    }
}
