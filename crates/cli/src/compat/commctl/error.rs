//! What can go wrong, in the original's words where it has any.

use std::io;
use std::path::PathBuf;

use base::{Explain, Kind};
use client::{BuildError, Method, SendError};

use super::configuration::ConfigurationError;
use crate::input::InputError;
use crate::ssh::SshError;

/// A command did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub(super) enum CommandError {
    /// The configuration is unusable.
    #[error(transparent)]
    Configuration(#[from] ConfigurationError),
    /// The client is not to be had.
    #[error(transparent)]
    Client(#[from] BuildError),
    /// Nobody answered.
    #[error(transparent)]
    Send(#[from] SendError),
    /// The answer is 403.
    #[error("The provided credentials were incorrect.")]
    Forbidden {
        /// What the server says about it.
        problem: Option<String>,
    },
    /// The answer is another refusal.
    #[error("Unable to {method} the object at {path}: {status}")]
    Refused {
        /// What was asked.
        method: Method,
        /// The path.
        path: String,
        /// The answer's status.
        status: u16,
        /// What the server says about it.
        problem: Option<String>,
    },
    /// The answer says yes, and nothing that could be read.
    #[error("the answer to the {method} of {path} is not JSON")]
    NotJson {
        /// What was asked.
        method: Method,
        /// The path.
        path: String,
    },
    /// A host that nobody knows the address of.
    #[error("could not resolve `{0}` to an IPv4 address")]
    Unresolvable(String),
    /// What was to come from outside did not.
    #[error(transparent)]
    Input(#[from] InputError),
    /// A file was not written.
    #[error("could not write {}", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// An argument, or what is in the file that it names, is none that the command can take.
    #[error("{0}")]
    Argument(String),
    /// A password that bcrypt cannot take.
    #[error("{0}")]
    Password(&'static str),
    /// The server does not know the host.
    #[error("No object found. The server knows no host `{0}`")]
    NoSuchHost(String),
    /// The server's answer is not what it should be.
    #[error("the server's answer has no credentials in it")]
    Malformed(#[source] serde_json::Error),
    /// The key is not base64.
    #[error("the key that the server has for {host} is not base64")]
    NotBase64 {
        /// The host.
        host: String,
    },
    /// The connection to a host did not come about.
    #[error(transparent)]
    Ssh(#[from] SshError),
    /// Standard output is out of order.
    #[error("could not write the result")]
    Output(#[source] io::Error),
    /// The system refuses what every program needs.
    #[error("could not start")]
    Runtime(#[source] io::Error),
}

impl CommandError {
    /// 1 when no server could be reached, 2 for everything else (commissaire, section 12.4).
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::Send(SendError::Unreachable(_)) => 1,
            Self::Input(error) => error.interrupted().unwrap_or(2),
            _ => 2,
        }
    }
}

impl Explain for CommandError {
    fn kind(&self) -> Kind {
        match self {
            Self::Configuration(error) => error.kind(),
            Self::Client(error) => error.kind(),
            Self::Send(error) => error.kind(),
            Self::Ssh(error) => error.kind(),
            Self::Forbidden { .. } => Kind::Forbidden,
            Self::Refused { status: 409, .. } => Kind::Conflict,
            Self::Refused { status: 500.., .. }
            | Self::NotJson { .. }
            | Self::Output(_)
            | Self::Runtime(_) => Kind::Unavailable,
            Self::Input(error) => error.kind(),
            Self::Unwritable { .. } => Kind::Unavailable,
            Self::NoSuchHost(_) => Kind::NotFound,
            Self::Malformed(_) | Self::NotBase64 { .. } => Kind::Internal,
            Self::Refused { .. } | Self::Unresolvable(_) | Self::Argument(_) | Self::Password(_) => {
                Kind::Invalid
            }
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Forbidden { problem } | Self::Refused { problem, .. } => problem.clone(),
            Self::Configuration(error) => error.help(),
            Self::Client(error) => error.help(),
            Self::Send(error) => error.help(),
            Self::Ssh(error) => error.help(),
            Self::NoSuchHost(_) => Some("`commctl host list` shows the addresses".to_owned()),
            _ => None,
        }
    }
}
