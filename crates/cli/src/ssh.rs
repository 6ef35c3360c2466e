//! A session at a host: the real ssh, with the key that the server keeps.
//!
//! ```text
//! ssh -i FILE -l USER HOST ARGS…
//! ```
//! Where the server has pinned a key of the host, nothing else is taken for it, whatever the user's own files say
//! (`provost host ssh`; `commctl` knows of no such key).
//!
//! No shell in between. The arguments stand behind the host, where ssh takes options as well as a command; in
//! front of it, where the original of `commctl` has them, ssh would take the command's first word for the host. The exit
//! code is that of ssh (commissaire, section 12.5).

use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::ExitStatus;

use base::{Entropy, Explain, Kind, Secret};
use rustix::process::{Pid, kill_process};
use tokio::process::{Child, Command};
use tokio::signal::unix::SignalKind;

use crate::key_file::KeyFile;
use crate::output;
use crate::signals::{self, Signals};
use crate::table::one_line;

/// What ssh is told where the host's key is known: it is compared with nothing else, and no other key of the user's is
/// offered.
const KNOWN: [&str; 6] =
    ["-o", "GlobalKnownHostsFile=/dev/null", "-o", "StrictHostKeyChecking=yes", "-o", "IdentitiesOnly=yes"];

/// There was no session.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SshError {
    /// The name would be an option of ssh.
    #[error("`{0}` is not a host")]
    NotAHost(String),
    /// There is no key, or no user.
    #[error("the server has no {what} for {host}")]
    Missing {
        /// What is missing.
        what: &'static str,
        /// The host.
        host: String,
    },
    /// The key could not be put where ssh finds it.
    #[error("could not write the temporary key into {}", folder.display())]
    KeyFile {
        /// Where it was to go.
        folder: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// ssh does not run.
    #[error("could not run ssh")]
    Start(#[source] io::Error),
}

impl Explain for SshError {
    fn kind(&self) -> Kind {
        match self {
            Self::Missing { .. } => Kind::NotFound,
            Self::NotAHost(_) => Kind::Invalid,
            Self::KeyFile { .. } | Self::Start(_) => Kind::Unavailable,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::KeyFile { .. } => Some("TMPDIR says where temporary files go".to_owned()),
            Self::Start(error) if error.kind() == io::ErrorKind::NotFound => {
                Some("install the OpenSSH client".to_owned())
            }
            _ => None,
        }
    }
}

/// A session that is about to begin.
pub(crate) struct Session {
    host: String,
    user: String,
    key: Secret<Vec<u8>>,
    /// By which key the host is recognized.
    known: Option<String>,
    arguments: Vec<OsString>,
}

impl Session {
    /// A session at `host` as `user`, whom `key` lets in: the text of a private key file.
    pub(crate) fn new(
        host: &str,
        user: &str,
        key: Secret<Vec<u8>>,
        arguments: Vec<OsString>,
    ) -> Result<Self, SshError> {
        let host = host.to_owned();
        if host.starts_with('-') {
            return Err(SshError::NotAHost(host));
        }
        for (is_missing, what) in
            [(key.expose().trim_ascii().is_empty(), "ssh key"), (user.is_empty(), "remote user")]
        {
            if is_missing {
                return Err(SshError::Missing { what, host });
            }
        }
        Ok(Self { host, user: user.to_owned(), key, known: None, arguments })
    }

    /// The same at a host that proves this key, as `ssh_host_*_key.pub` has it, and at no other.
    pub(crate) fn knowing(self, public_key: &str) -> Self {
        Self { known: public_key.lines().next().map(str::to_owned), ..self }
    }

    /// Runs ssh to its end and gives its exit code. Signals are passed on, and whatever happens, the key is
    /// removed.
    pub(crate) async fn run(self, signals: &mut Signals, entropy: &Entropy) -> Result<u8, SshError> {
        let folder = private_folder(std::env::var_os("XDG_RUNTIME_DIR"));
        let key = KeyFile::write(&folder, self.key.expose(), entropy)
            .map_err(|source| SshError::KeyFile { folder: folder.clone(), source })?;
        let mut command = Command::new("ssh");
        command.arg("-i").arg(key.path());
        if let Some(known) = &self.known {
            let written = key.write_known_hosts(&format!("{} {known}", self.host));
            let written = written.map_err(|source| SshError::KeyFile { folder, source })?;
            command.arg("-o").arg(format!("UserKnownHostsFile=\"{}\"", written.display()));
            command.arg("-o").arg(format!("HostKeyAlias={}", self.host)).args(KNOWN);
        }
        command.arg("-l").args([&self.user, &self.host]).args(&self.arguments);
        output::note(format_args!("Calling ssh command: {}", shown(&command)));
        // The key is dropped after the child: ssh never outlives it.
        let mut child = command.kill_on_drop(true).spawn().map_err(SshError::Start)?;
        let mut told = None;
        loop {
            tokio::select! {
                ended = child.wait() => return Ok(exit_code(ended.map_err(SshError::Start)?, told)),
                signal = signals.next() => {
                    pass_on(&mut child, signal, told.is_some());
                    told = Some(signal);
                }
            }
        }
    }
}

/// Asks ssh for its end, as we were asked; whoever insists ends it at once.
fn pass_on(child: &mut Child, signal: SignalKind, insists: bool) {
    if insists {
        // It may have ended.
        let _ = child.start_kill();
        return;
    }
    let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    if let Some(pid) = pid {
        // The same.
        let _ = kill_process(pid, signals::for_another(signal));
    }
}

fn exit_code(ended: ExitStatus, told: Option<SignalKind>) -> u8 {
    let by_signal = told.map(|signal| signal.as_raw_value()).or(ended.signal());
    let code = ended.code().and_then(|code| u8::try_from(code).ok());
    by_signal.map(signals::exit_code).or(code).unwrap_or(u8::MAX)
}

/// A place that is this user's alone and never reaches a disk, where there is one.
fn private_folder(runtime: Option<OsString>) -> PathBuf {
    let runtime = runtime.map(PathBuf::from).filter(|path| path.is_dir());
    runtime.unwrap_or_else(std::env::temp_dir)
}

fn shown(command: &Command) -> String {
    let words = command.as_std().get_args().map(|word| word.to_string_lossy());
    // The user is what the server says, and a terminal would do what stands in it.
    one_line(&std::iter::once("ssh".into()).chain(words).collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_no_other_user_sees_is_preferred() {
        let runtime = tempfile::tempdir().unwrap();
        for (said, expected) in [
            (Some(runtime.path().into()), runtime.path()),
            (Some("/nonexistent".into()), &std::env::temp_dir()),
            (None, &std::env::temp_dir()),
        ] {
            assert_eq!(private_folder(said), expected);
        }
    }

    #[test]
    fn a_terminal_is_told_nothing_by_the_server() {
        let mut command = Command::new("ssh");
        command.args(["-l", "ada\x1b]0;x\x07", "h"]);
        assert_eq!(shown(&command), "ssh -l ada\u{fffd}]0;x\u{fffd} h");
    }

    #[test]
    fn there_is_no_session_without_credentials() {
        for (host, user, key, expected) in [
            ("h", "root", "\n", "the server has no ssh key for h"),
            ("h", "", "KEY", "the server has no remote user for h"),
            ("-oProxyCommand=x", "", "", "`-oProxyCommand=x` is not a host"),
        ] {
            let error = Session::new(host, user, Secret::new(key.into()), Vec::new()).err().unwrap();
            assert_eq!(error.to_string(), expected);
        }
    }
}
