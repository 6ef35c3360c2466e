//! What can go wrong between here and another machine.

use std::fmt;
use std::io;
use std::time::Duration;

use base::{Explain, Kind};

use crate::{Address, Captured, HostKey};

/// What was being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// Waiting until fewer connections are being made, or are open.
    Queue,
    /// Finding the address of a name, and TCP.
    Connect,
    /// SSH's greeting and the exchange of keys.
    Handshake,
    /// Signing in.
    Authenticate,
    /// Asking for a channel on a connection that stands.
    Open,
    /// Running a command.
    Run,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Queue => "waiting for a free connection",
            Self::Connect => "connecting",
            Self::Handshake => "greeting and exchanging keys (the SSH handshake)",
            Self::Authenticate => "signing in",
            Self::Open => "opening a channel",
            Self::Run => "running a command",
        })
    }
}

/// Why a machine could not be asked, or did not answer to the end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The name has no address.
    #[error("the name of {at} could not be resolved")]
    NoSuchName {
        /// Who was asked.
        at: Address,
        /// What the resolver says.
        #[source]
        source: io::Error,
    },
    /// The machine is there, and nobody listens.
    #[error("{at} refuses connections")]
    Refused {
        /// Who was asked.
        at: Address,
    },
    /// The network knows no way there.
    #[error("there is no route to {at}")]
    NoRoute {
        /// Who was asked.
        at: Address,
        /// What the network says.
        #[source]
        source: io::Error,
    },
    /// TCP failed in another way.
    #[error("{at} cannot be reached")]
    Unreachable {
        /// Who was asked.
        at: Address,
        /// What the network says.
        #[source]
        source: io::Error,
    },
    /// The machine was not heard of within the limit of one step.
    #[error("{at} did not answer within {} while {step}", seconds(*.after))]
    TimedOut {
        /// Who was asked.
        at: Address,
        /// What was being done.
        step: Step,
        /// The limit.
        after: Duration,
    },
    /// A command was still running at its deadline.
    #[error("the command on {at} was still running after {}{}", seconds(*.after), words(.stderr, .stdout))]
    Overdue {
        /// Who was asked.
        at: Address,
        /// The command's deadline.
        after: Duration,
        /// What it had said by then.
        stdout: Box<Captured>,
        /// What it had complained of by then.
        stderr: Box<Captured>,
    },
    /// The host key is not the one that is pinned.
    #[error(
        "{at} proves another host key than the known one: {} {} instead of {} {}",
        .offered.key_type(), .offered.fingerprint(), .pinned.key_type(), .pinned.fingerprint()
    )]
    HostKeyChanged {
        /// Who was asked.
        at: Address,
        /// What was expected.
        pinned: Box<HostKey>,
        /// What it proved.
        offered: Box<HostKey>,
    },
    /// The user or the key is not let in.
    #[error("{at} does not let {user} in with the key {fingerprint}{}", methods(.offers))]
    Unauthorized {
        /// Who was asked.
        at: Address,
        /// Who wanted in.
        user: String,
        /// Of the user's key.
        fingerprint: String,
        /// The methods of sign-in that it would take.
        offers: Vec<String>,
    },
    /// The user is not root, and there is no sudo.
    #[error("{user} on {at} needs sudo, which is not installed there")]
    SudoMissing {
        /// Who was asked.
        at: Address,
        /// Who wanted to be root.
        user: String,
    },
    /// sudo does not let the user do this without a password.
    #[error("sudo on {at} does not let {user} run commands: {said}")]
    SudoRefused {
        /// Who was asked.
        at: Address,
        /// Who wanted to be root.
        user: String,
        /// sudo's words.
        said: String,
    },
    /// The other side does not speak SSH as we do.
    #[error("{at} broke off {step}: {said}")]
    Protocol {
        /// Who was asked.
        at: Address,
        /// What was being done.
        step: Step,
        /// What is wrong.
        said: String,
    },
    /// The connection ended in the middle.
    #[error("{at} closed the connection while {step}{}", because(.said))]
    Closed {
        /// Who was asked.
        at: Address,
        /// What was being done.
        step: Step,
        /// What it said to it, if anything.
        said: String,
    },
    /// The machine takes no command.
    #[error("{at} does not run commands for {user}")]
    NotRun {
        /// Who was asked.
        at: Address,
        /// Who signed in.
        user: String,
    },
    /// A file could not be put there.
    #[error("{path} could not be written on {at}: {said}")]
    Upload {
        /// Who was asked.
        at: Address,
        /// Where it was to go.
        path: String,
        /// The machine's words.
        said: String,
    },
    /// The way there leads through another machine, and fails there.
    #[error("{at} is reached through {via}, which failed")]
    Jump {
        /// Who was to be reached.
        at: Address,
        /// Through whom.
        via: Address,
        /// What failed.
        #[source]
        source: Box<Error>,
    },
    /// A command said more than any command of ours would, and was not listened to any more.
    #[error("the command on {at} said more than {mib_max} MiB")]
    TooMuch {
        /// Who was asked.
        at: Address,
        /// The limit.
        mib_max: u64,
        /// Whether files count that were fetched from there, as they do where Ansible gets them.
        with_files: bool,
    },
    /// What was asked for cannot be done this way, whatever the machine is like.
    #[error("{at} was not asked: {said}")]
    Cannot {
        /// Who was to be asked.
        at: Address,
        /// Why.
        said: String,
    },
    /// Another transport than SSH failed in a way of its own.
    #[error("{at} was not reached: {said}")]
    Other {
        /// Who was asked.
        at: Address,
        /// The transport's words.
        said: String,
    },
}

fn seconds(span: Duration) -> String {
    if span.subsec_millis() == 0 {
        format!("{} s", span.as_secs())
    } else {
        format!("{:.1} s", span.as_secs_f64())
    }
}

fn words(stderr: &Captured, stdout: &Captured) -> String {
    let said = crate::command::last_line(stderr).or_else(|| crate::command::last_line(stdout));
    said.map_or(String::new(), |said| format!("; its last words: {said}"))
}

fn methods(offers: &[String]) -> String {
    if offers.is_empty() { String::new() } else { format!(" (it takes: {})", offers.join(", ")) }
}

fn because(said: &str) -> String {
    if said.is_empty() { String::new() } else { format!(": {said}") }
}

impl Error {
    /// Who failed: of a way through other machines, the one where it broke.
    #[must_use]
    pub fn at(&self) -> &Address {
        match self {
            Self::NoSuchName { at, .. }
            | Self::Refused { at }
            | Self::NoRoute { at, .. }
            | Self::Unreachable { at, .. }
            | Self::TimedOut { at, .. }
            | Self::Overdue { at, .. }
            | Self::HostKeyChanged { at, .. }
            | Self::Unauthorized { at, .. }
            | Self::SudoMissing { at, .. }
            | Self::SudoRefused { at, .. }
            | Self::Protocol { at, .. }
            | Self::Closed { at, .. }
            | Self::NotRun { at, .. }
            | Self::Upload { at, .. }
            | Self::TooMuch { at, .. }
            | Self::Cannot { at, .. }
            | Self::Other { at, .. } => at,
            Self::Jump { source, .. } => source.at(),
        }
    }

    /// Whether the command may have begun. If not, it can be asked for again without harm.
    #[must_use]
    pub fn may_have_begun(&self) -> bool {
        match self {
            Self::Overdue { .. } | Self::Upload { .. } | Self::TooMuch { .. } | Self::Other { .. } => true,
            Self::TimedOut { step, .. } | Self::Protocol { step, .. } | Self::Closed { step, .. } => {
                *step == Step::Run
            }
            Self::NoSuchName { .. }
            | Self::Refused { .. }
            | Self::NoRoute { .. }
            | Self::Unreachable { .. }
            | Self::HostKeyChanged { .. }
            | Self::Unauthorized { .. }
            | Self::SudoMissing { .. }
            | Self::SudoRefused { .. }
            | Self::NotRun { .. }
            | Self::Cannot { .. }
            | Self::Jump { .. } => false,
        }
    }

    /// Whether waiting and trying again may help without anybody changing anything: the machine is away, or busy.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::NoSuchName { .. }
            | Self::Refused { .. }
            | Self::NoRoute { .. }
            | Self::Unreachable { .. }
            | Self::TimedOut { .. }
            | Self::Overdue { .. }
            | Self::Closed { .. }
            | Self::Other { .. } => true,
            Self::HostKeyChanged { .. }
            | Self::Unauthorized { .. }
            | Self::SudoMissing { .. }
            | Self::SudoRefused { .. }
            | Self::Protocol { .. }
            | Self::NotRun { .. }
            | Self::TooMuch { .. }
            | Self::Cannot { .. }
            | Self::Upload { .. } => false,
            Self::Jump { source, .. } => source.may_pass(),
        }
    }
}

impl Explain for Error {
    fn kind(&self) -> Kind {
        match self {
            Self::NoSuchName { .. }
            | Self::Refused { .. }
            | Self::NoRoute { .. }
            | Self::Unreachable { .. }
            | Self::TimedOut { .. }
            | Self::Overdue { .. }
            | Self::Protocol { .. }
            | Self::Closed { .. }
            | Self::Other { .. } => Kind::Unavailable,
            Self::HostKeyChanged { .. } | Self::TooMuch { .. } | Self::Cannot { .. } => Kind::Conflict,
            Self::Unauthorized { .. }
            | Self::SudoMissing { .. }
            | Self::SudoRefused { .. }
            | Self::NotRun { .. } => Kind::Forbidden,
            Self::Upload { said, .. }
                if said.contains("No space left") || said.contains("quota exceeded") =>
            {
                Kind::Full
            }
            Self::Upload { .. } => Kind::Conflict,
            Self::Jump { source, .. } => source.kind(),
        }
    }

    fn help(&self) -> Option<String> {
        Some(match self {
            Self::NoSuchName { at, .. } => {
                format!("check the spelling of `{}`, or give its IP address", at.host)
            }
            Self::Refused { at } => format!("see that sshd runs there and listens at port {}", at.port),
            Self::NoRoute { .. } | Self::Unreachable { .. } => {
                "see that the machine is on, and that the network and its firewalls let SSH through"
                    .to_owned()
            }
            Self::TimedOut { step: Step::Queue, .. } => {
                "too much is asked at once; raise the number of connections, or ask later".to_owned()
            }
            Self::TimedOut { step: Step::Connect, .. } => {
                "see that the machine is on, and that no firewall drops SSH".to_owned()
            }
            Self::TimedOut { .. } => "see whether the machine hangs, or is very busy".to_owned(),
            Self::Overdue { .. } => "see what the command waits for, or give it more time".to_owned(),
            Self::HostKeyChanged { offered, .. } => format!(
                "if the machine was installed anew, compare {} with `ssh-keygen -lf /etc/ssh/ssh_host_*_key.pub` \
                 there and accept it; if not, somebody may be listening in",
                offered.fingerprint()
            ),
            Self::Unauthorized { user, .. } => {
                format!(
                    "put the public key into ~{user}/.ssh/authorized_keys there, or give another user or key"
                )
            }
            Self::SudoMissing { .. } => "install sudo there, or let root sign in".to_owned(),
            Self::SudoRefused { user, .. } => {
                format!(
                    "allow it there with the line `{user} ALL=(ALL) NOPASSWD: ALL` in /etc/sudoers.d/{user}"
                )
            }
            Self::Protocol { at, .. } => {
                format!(
                    "see what listens at port {}: `ssh -v -p {} {}` shows more",
                    at.port, at.port, at.host
                )
            }
            Self::Closed { .. } => "see what sshd there writes into its log".to_owned(),
            Self::NotRun { user, .. } => format!("give {user} a login shell there, and no ForceCommand"),
            Self::Upload { .. } => match self.kind() {
                Kind::Full => "make room on that disk".to_owned(),
                _ => "see that the folder is there and can be written to".to_owned(),
            },
            Self::TooMuch { with_files: false, .. } => "see what prints without end there".to_owned(),
            Self::TooMuch { with_files: true, .. } => {
                "see what prints without end there, or which task fetches so large a file".to_owned()
            }
            Self::Jump { source, .. } => return source.help(),
            Self::Cannot { .. } | Self::Other { .. } => return None,
        })
    }
}
