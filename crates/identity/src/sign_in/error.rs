//! Why methods of sign-in cannot be set up.

use std::path::PathBuf;

use base::{Explain, Kind};

/// Why a method of sign-in cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The program was built without it.
    #[error("the sign-in method `{method}` is not part of this build")]
    NotInThisBuild {
        /// Which method.
        method: &'static str,
    },
    /// The certificates of the authorities whose clients sign in are not usable.
    #[error("the certificates of authorities in {} cannot be used: {reason}", path.display())]
    Authorities {
        /// Which file.
        path: PathBuf,
        /// Which certificate is wrong, and how.
        reason: String,
    },
    /// There is no such authority here.
    #[error("the sign-in method `{method}` needs that authority, and there is none")]
    NoSuchAuthority {
        /// Which method.
        method: &'static str,
    },
    /// The service that the method asks cannot be talked to.
    #[error("the sign-in method `{method}` cannot ask its service")]
    Service {
        /// Which method.
        method: &'static str,
        /// Why.
        source: ServiceError,
    },
}

/// Why a service cannot be talked to.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The file with its authorities cannot be used.
    #[error("the certificates of authorities in {} cannot be used: {reason}", path.display())]
    CaFile {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The system trusts no authorities.
    #[error("this system has no certificates of authorities that it trusts")]
    NoAuthorities,
    /// There is no HTTP client.
    #[error("the HTTP client could not be made: {0}")]
    Client(String),
}

impl Explain for BuildError {
    fn kind(&self) -> Kind {
        match self {
            Self::NotInThisBuild { .. } | Self::Authorities { .. } | Self::NoSuchAuthority { .. } => {
                Kind::Invalid
            }
            Self::Service { source, .. } => source.kind(),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::NotInThisBuild { .. } | Self::Authorities { .. } | Self::NoSuchAuthority { .. } => None,
            Self::Service { source, .. } => source.help(),
        }
    }
}

impl Explain for ServiceError {
    fn kind(&self) -> Kind {
        match self {
            Self::CaFile { .. } | Self::NoAuthorities => Kind::Invalid,
            Self::Client(_) => Kind::Internal,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::NoAuthorities => {
                Some("give the file with the certificate of the service's authority as `ca_file`".into())
            }
            Self::CaFile { .. } | Self::Client(_) => None,
        }
    }
}
