//! What can go wrong with a command about certificates.

use std::io;
use std::path::PathBuf;

use base::{Explain, Kind, Span, Timestamp};
use client::BuildError;
use client::compat::caucase::{AskError, BadServerUrl};
use x509::{BadName, KeyError, NameError, ParseError, VerifyError};

use super::watch::Problem;
use crate::connection::ConnectionError;
use crate::holder::{HolderError, PairError, PemFileError, WriteError};
use crate::hook::HookError;
use crate::input::InputError;

/// A command did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub(super) enum CaCommandError {
    /// Nobody can be asked.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    /// What says where the server is does not.
    #[error(transparent)]
    Url(#[from] BadServerUrl),
    /// Connections cannot be made.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// Something was not brought up to date.
    #[error(transparent)]
    Holder(#[from] HolderError),
    /// Only users may do this, and nobody says which one asks.
    #[error("only a user may do this, and nothing says which one asks")]
    NoUser,
    /// Others may read a private key.
    #[error("the private key in {} may be read or changed by others (mode {mode:04o})", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// What was said does not fit together.
    #[error("{0}")]
    Usage(String),
    /// A name cannot be asked for.
    #[error(transparent)]
    Name(#[from] BadName),
    /// A subject cannot be asked for.
    #[error("a subject cannot be so")]
    Subject(#[from] NameError),
    /// A file is not what it is to be.
    #[error("{what}: {}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
        /// What to do about it.
        hint: Option<&'static str>,
    },
    /// The key that is there is of another kind than the one that was to be made.
    #[error("the private key in {} is {found}, and --key-type says {wanted}", path.display())]
    OtherKind {
        /// The file.
        path: PathBuf,
        /// What it is.
        found: String,
        /// What was said.
        wanted: String,
    },
    /// Something else was asked for with this key, and waits.
    #[error("another request for this key waits already: {} has it", memory.display())]
    OtherRequest {
        /// Where it is remembered.
        memory: PathBuf,
    },
    /// A request is neither pending nor issued.
    #[error("the server knows no request {id}: it was rejected, or its certificate is not kept any more")]
    Unknown {
        /// Its number.
        id: String,
        /// Where it is remembered.
        memory: Option<PathBuf>,
    },
    /// There is nothing to be decided.
    #[error("no request {id} waits for a decision")]
    NotWaiting {
        /// Its number.
        id: String,
    },
    /// A request waits for somebody's decision.
    #[error("request {id} waits for somebody's approval")]
    Pending {
        /// Its number.
        id: String,
    },
    /// The same, and something else went wrong, which keeps nothing from being approved.
    #[error("request {id} waits for somebody's approval; besides, {}", base::report(fault))]
    PendingAmid {
        /// Its number.
        id: String,
        /// What went wrong.
        fault: Box<CaCommandError>,
    },
    /// It was waited for long enough.
    #[error("request {id} was not approved within {within}")]
    NotInTime {
        /// Its number.
        id: String,
        /// How long it was waited for.
        within: crate::duration::Duration,
    },
    /// What the server has under a number is no request.
    #[error("what the server has as request {id} is none")]
    NotARequest {
        /// The number.
        id: String,
        /// Why not.
        #[source]
        source: ParseError,
    },
    /// The certificate that is there is no good.
    #[error("the certificate in {} is not valid", path.display())]
    NotValid {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: VerifyError,
    },
    /// The certificate that is there is over.
    #[error("the certificate in {} is over since {since}", path.display())]
    Over {
        /// The file.
        path: PathBuf,
        /// When it ended.
        since: Timestamp,
        /// What to do about it.
        advice: String,
    },
    /// The certificate that is there is for something else than what is asked for.
    #[error("the certificate in {} is for {has}, and {asked} was asked for", path.display())]
    Different {
        /// The file.
        path: PathBuf,
        /// Whom it is about.
        has: String,
        /// Whom it was to be about.
        asked: String,
    },
    /// The certificate that is there was revoked.
    #[error("the certificate in {}, serial {serial}, was revoked", path.display())]
    Revoked {
        /// The file.
        path: PathBuf,
        /// Its serial number.
        serial: String,
        /// What to do about it.
        advice: String,
    },
    /// There is no certificate yet, and nothing says what to ask for.
    #[error("there is no certificate in {}, and nothing says what to ask for", .0.display())]
    NothingToAsk(PathBuf),
    /// `/v1` did not answer, or said no.
    #[error(transparent)]
    Asked(#[from] crate::error::CommandError),
    /// A rollover was not confirmed.
    #[error("nothing was begun: it was not confirmed")]
    NotBegun,
    /// What cannot be undone was not confirmed.
    #[error("nothing was revoked: it cannot be undone, and was not confirmed")]
    Unconfirmed,
    /// Some of several failed; what, was said.
    #[error("{failed} of {all} failed")]
    Several {
        /// How many.
        failed: usize,
        /// Of how many.
        all: usize,
        /// What kind of fault the first one was.
        kind: Kind,
    },
    /// A hook failed.
    #[error("its hook {0}")]
    Hook(HookError),
    /// Somebody else looks after the same files.
    #[error("{} is being kept by another `provost ca watch`", .0.display())]
    Kept(PathBuf),
    /// The configuration of `watch` is wrong.
    #[error("the configuration is wrong")]
    Settings(Vec<Problem>),
    /// Metrics cannot be offered.
    #[error("could not listen on {address} for metrics")]
    Metrics {
        /// Where.
        address: std::net::SocketAddr,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// What was to come from outside did not.
    #[error(transparent)]
    Input(#[from] InputError),
    /// Standard output is out of order.
    #[error("could not write the result")]
    Output(#[from] io::Error),
    /// The system refuses what every program needs.
    #[error("could not start")]
    Runtime(#[source] io::Error),
}

impl From<AskError> for CaCommandError {
    fn from(error: AskError) -> Self {
        Self::Holder(error.into())
    }
}

impl From<PairError> for CaCommandError {
    fn from(error: PairError) -> Self {
        Self::Holder(error.into())
    }
}

impl From<PemFileError> for CaCommandError {
    fn from(error: PemFileError) -> Self {
        Self::Holder(error.into())
    }
}

impl From<WriteError> for CaCommandError {
    fn from(error: WriteError) -> Self {
        Self::Holder(error.into())
    }
}

impl From<KeyError> for CaCommandError {
    fn from(error: KeyError) -> Self {
        Self::Holder(error.into())
    }
}

impl CaCommandError {
    /// That `path` cannot be written.
    pub(super) fn unwritable(path: &std::path::Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| WriteError::Unwritable { path, source }.into()
    }

    /// For how long the server wants to be left alone, if it says so.
    pub(super) fn put_off(&self) -> Option<Span> {
        match self {
            Self::Holder(HolderError::Ask(error)) => {
                error.retry_after().map(|seconds| Span::seconds(i64::try_from(seconds).unwrap_or(i64::MAX)))
            }
            _ => None,
        }
    }

    /// The exit code.
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            // EX_CONFIG of sysexits.h, as for `provost up`.
            Self::Settings(_) => 78,
            Self::Input(error) | Self::Connection(ConnectionError::Input(error)) => {
                error.interrupted().unwrap_or_else(|| self.kind().exit_code())
            }
            error => error.kind().exit_code(),
        }
    }
}

fn approving(id: &str) -> String {
    format!("a user approves it with `provost ca approve {id}`, and with --users where it is for a user")
}

impl Explain for CaCommandError {
    fn kind(&self) -> Kind {
        match self {
            Self::Connection(error) => error.kind(),
            Self::Build(error) => error.kind(),
            Self::Holder(error) => error.kind(),
            Self::NoUser => Kind::Unauthenticated,
            Self::Exposed { .. } => Kind::Forbidden,
            Self::Url(_)
            | Self::Usage(_)
            | Self::Name(_)
            | Self::Subject(_)
            | Self::Content { .. }
            | Self::OtherKind { .. }
            | Self::Settings(_)
            | Self::NotValid { .. }
            | Self::Over { .. }
            | Self::Different { .. }
            | Self::Revoked { .. }
            | Self::NothingToAsk(_)
            | Self::NotARequest { .. } => Kind::Invalid,
            Self::Asked(error) => error.kind(),
            Self::OtherRequest { .. }
            | Self::Pending { .. }
            | Self::PendingAmid { .. }
            | Self::NotBegun
            | Self::Unconfirmed
            | Self::Kept(_) => Kind::Conflict,
            Self::Unknown { .. } | Self::NotWaiting { .. } => Kind::NotFound,
            Self::NotInTime { .. } => Kind::TimedOut,
            Self::Several { kind, .. } => *kind,
            Self::Input(error) => error.kind(),
            Self::Hook(_) | Self::Metrics { .. } | Self::Output(_) | Self::Runtime(_) => Kind::Unavailable,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Connection(error) => error.help(),
            Self::Holder(HolderError::Ask(error @ AskError::Refused { status: 401, .. })) => {
                error.help().map(|help| format!("{help}: --user-key FILE names it"))
            }
            Self::Holder(error) => error.help(),
            Self::NoUser => {
                Some("name a user's key and certificate with --user-key FILE, or in the client file".into())
            }
            Self::Exposed { path, .. } => Some(format!("chmod 600 {}", path.display())),
            Self::Content { hint, .. } => hint.map(str::to_owned),
            Self::OtherRequest { memory } => Some(format!(
                "fetch its certificate, or remove {} to ask for something else",
                memory.display()
            )),
            Self::Unknown { memory: Some(memory), .. } => {
                Some(format!("remove {} to ask for it again", memory.display()))
            }
            Self::OtherKind { .. } => {
                Some("leave --key-type out to take this key, or name another file for another key".into())
            }
            Self::NotWaiting { .. } => {
                Some("`provost ca list` shows those that do, and with --users those for users".into())
            }
            Self::Pending { id } => Some(approving(id)),
            Self::PendingAmid { id, fault } => {
                let hint = fault.help().map(|hint| format!("; {hint}")).unwrap_or_default();
                Some(approving(id) + &hint)
            }
            Self::NotInTime { .. } => Some("run the same again: it goes on waiting for this request".into()),
            Self::Asked(error) => error.help(),
            Self::Unconfirmed | Self::NotBegun => Some("--yes confirms it".into()),
            Self::Different { .. } => Some(
                "name another file with --out, and another key, for another certificate; if whoever approved it wanted it so, \
                 there is nothing to be done"
                    .into(),
            ),
            Self::Over { advice, .. } | Self::Revoked { advice, .. } => Some(advice.clone()),
            Self::NotValid { source: VerifyError::UnknownIssuer | VerifyError::Signature, .. } => {
                Some("was it issued by this authority? `provost ca trust` shows who is trusted".into())
            }
            Self::NotValid { .. } => None,
            Self::NothingToAsk(_) => {
                Some("`csr` names a signing request, and `request` says what to ask for".into())
            }
            Self::Hook(_) => Some("it is run again, until it succeeds".into()),
            Self::Input(error) => error.help(),
            Self::Url(_)
            | Self::Build(_)
            | Self::Usage(_)
            | Self::Name(_)
            | Self::Subject(_)
            | Self::Unknown { memory: None, .. }
            | Self::NotARequest { .. }
            | Self::Several { .. }
            | Self::Kept(_)
            | Self::Settings(_)
            | Self::Metrics { .. }
            | Self::Output(_)
            | Self::Runtime(_) => None,
        }
    }
}
