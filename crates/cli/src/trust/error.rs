//! What can go wrong with a command about trust.

use std::io;
use std::path::PathBuf;

use base::{Explain, Kind};
use x509::ParseError;
use x509::pem::PemError;

use crate::error::CommandError;
use crate::hook::HookError;
use crate::input::InputError;

/// A command did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub(super) enum TrustCommandError {
    /// Nobody answered, or the answer is no.
    #[error(transparent)]
    Asked(#[from] CommandError),
    /// What was to be handed on is not what it is to be.
    #[error(transparent)]
    Certificates(#[from] BadCertificates),
    /// What was said does not fit together.
    #[error("{0}")]
    Usage(&'static str),
    /// One certificate was to be named, and there are more.
    #[error("there are {count} certificates in {what}")]
    Several {
        /// Where.
        what: String,
        /// How many.
        count: usize,
    },
    /// A file cannot be read, or not be kept what it is to be.
    #[error("could not keep {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Somebody else keeps the file.
    #[error("{} is being kept by another `provost trust watch`", .0.display())]
    Kept(PathBuf),
    /// There is something in the file that nobody is to lose.
    #[error("{} is there already, and there is something else in it than certificates", .0.display())]
    Foreign(PathBuf),
    /// A hook failed.
    #[error("the file is as it is to be, but its hook {0}")]
    Hook(HookError),
}

impl From<InputError> for TrustCommandError {
    fn from(error: InputError) -> Self {
        Self::Asked(error.into())
    }
}

impl From<client::v1::BadAnswer> for TrustCommandError {
    fn from(error: client::v1::BadAnswer) -> Self {
        Self::Asked(error.into())
    }
}

impl TrustCommandError {
    /// The exit code.
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::Asked(error) => error.exit_code(),
            Self::Usage(_) => 2,
            other => other.kind().exit_code(),
        }
    }

    /// Whether asking again later may help, without anybody doing anything.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Asked(error) => error.may_pass(),
            // There may be room again, or a folder.
            Self::File { .. } => true,
            Self::Certificates(_)
            | Self::Usage(_)
            | Self::Several { .. }
            | Self::Kept(_)
            | Self::Foreign(_)
            | Self::Hook(_) => false,
        }
    }
}

impl Explain for TrustCommandError {
    fn kind(&self) -> Kind {
        match self {
            Self::Asked(error) => error.kind(),
            Self::Certificates(error) => error.kind(),
            Self::Usage(_) | Self::Several { .. } => Kind::Invalid,
            Self::File { source, .. } if source.kind() == io::ErrorKind::StorageFull => Kind::Full,
            Self::File { .. } | Self::Hook(_) => Kind::Unavailable,
            Self::Kept(_) | Self::Foreign(_) => Kind::Conflict,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Asked(error) => error.help(),
            Self::Certificates(error) => error.help(),
            Self::Several { .. } => {
                Some("name one by its fingerprint: `openssl x509 -noout -fingerprint -sha256`".into())
            }
            Self::Foreign(_) => Some("with --adopt it is replaced, and what is in it now is lost".into()),
            Self::Hook(_) => Some("it is run again at the next start, until it succeeds".into()),
            Self::Usage(_) | Self::File { .. } | Self::Kept(_) => None,
        }
    }
}

/// Why a file's certificates are not taken. Nothing of it was sent to anybody.
#[derive(Debug, thiserror::Error)]
pub(super) enum BadCertificates {
    /// There is a private key in it, or the beginning of one.
    #[error("there is a private key in {0}; nothing of it was sent")]
    PrivateKey(String),
    /// It is no PEM, or is too long.
    #[error("{what} cannot be read")]
    Pem {
        /// The file.
        what: String,
        /// Why not.
        #[source]
        source: PemError,
    },
    /// There is something else in it.
    #[error("there is a `{label}` in {what}")]
    Other {
        /// The file.
        what: String,
        /// What its BEGIN line says.
        label: String,
    },
    /// A certificate in it is none.
    #[error("certificate {number} in {what} cannot be read")]
    Certificate {
        /// The file.
        what: String,
        /// The how manieth it is, from 1.
        number: usize,
        /// Why not.
        #[source]
        source: ParseError,
    },
    /// There is none.
    #[error("there is no certificate in {0}")]
    None(String),
}

impl Explain for BadCertificates {
    fn kind(&self) -> Kind {
        match self {
            Self::Pem { source, .. } => source.kind(),
            Self::PrivateKey(_) | Self::Other { .. } | Self::Certificate { .. } | Self::None(_) => {
                Kind::Invalid
            }
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::PrivateKey(_) => Some(
                "hand on the certificate alone: `openssl x509 -in FILE` prints it; keys are for nobody else to see".into(),
            ),
            Self::None(_) => Some(
                "PEM is read, and nothing else: `openssl x509 -inform DER -in FILE` makes it of DER, and of a .p12 \
                `openssl pkcs12 -in FILE -nokeys`"
                    .into(),
            ),
            Self::Pem { source, .. } => source.help(),
            Self::Other { .. } | Self::Certificate { .. } => None,
        }
    }
}
