//! What can go wrong with the programs of a certificate's holder.

use std::io;
use std::path::{Path, PathBuf};

use base::{Explain, Kind, report};
use client::BuildError;
use client::compat::caucase::{AskError, ServerUrl, Unusable};
use x509::{KeyError, VerifyError};

use crate::holder::{HolderError, PairError, PemFileError};

/// A program did not do what it was asked for. Whatever was on the disk is still there, as a whole.
#[derive(Debug, thiserror::Error)]
pub(super) enum CommandError {
    /// The server, or what is on the disk.
    #[error(transparent)]
    Holder(HolderError),
    /// The server says what those who are trusted do not stand for.
    #[error("{}", report(what))]
    NotOfThose {
        /// Where they are.
        authorities: PathBuf,
        /// What it says.
        what: Box<HolderError>,
    },
    /// Nobody can be asked.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// What stands where the number of a request should.
    #[error("`{0}` is not the number of a request")]
    NotANumber(String),
    /// A file that is to have a signing request has something else, or something more.
    #[error("{} has {}", path.display(), found(*requests, *blocks))]
    NotOneRequest {
        /// The file.
        path: PathBuf,
        /// How many requests it has.
        requests: usize,
        /// How many things it has.
        blocks: usize,
    },
    /// A file that is to have a certificate has none, or several.
    #[error("{} has {certificates} certificates, and one is to be there", path.display())]
    NotOneCertificate {
        /// The file.
        path: PathBuf,
        /// How many it has.
        certificates: usize,
    },
    /// The certificate that was fetched is nobody's who is trusted.
    #[error(
        "the certificate of request {id} is signed by none of the CA certificates in {}, and was not kept",
        authorities.display()
    )]
    Untrusted {
        /// The request.
        id: String,
        /// Where those are who are trusted.
        authorities: PathBuf,
    },
    /// The certificate that was fetched is for another key than that of the request.
    #[error("the certificate of request {0} is not for the request's key, and was not kept")]
    OtherKey(String),
    /// The server answers with something else than what was asked for.
    #[error("what the server has as request {0} is no signing request")]
    NoRequest(String),
    /// A request that was waited for is gone.
    #[error("request {0} is gone, and there is no certificate: it was rejected")]
    Rejected(String),
    /// One file is to be two things.
    #[error("{} cannot have both the CA certificates and the revocation lists in it: name two files, or a folder", .0.display())]
    Shared(PathBuf),
    /// There is nothing to begin with.
    #[error("there is no certificate in {}, and no --csr to ask for one with", .0.display())]
    NothingToBeginWith(PathBuf),
    /// A certificate would be of no use.
    #[error("the signing request in {} is not for the private key in {}", request.display(), key.display())]
    NotItsKey {
        /// The request's file.
        request: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// The certificate that is looked after is none of the authority's.
    #[error("the certificate in {} cannot be kept up to date", path.display())]
    Unverified {
        /// The file.
        path: PathBuf,
        /// Where those are who are trusted.
        authorities: PathBuf,
        /// Why not.
        #[source]
        source: VerifyError,
    },
    /// A file that is to have a private key has none.
    #[error("there is no private key in {}", .0.display())]
    NoKey(PathBuf),
    /// The two doors of a server say different things.
    #[error("{0} answers over HTTPS with another CA certificate than over HTTP")]
    Differs(ServerUrl),
    /// No key can be made.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A file that was named cannot be read.
    #[error("could not read {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A file cannot be written.
    #[error("could not write {}", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A file that is said to be a backup is none.
    #[error("{} is no backup of a caucased: {what}", path.display())]
    NotABackup {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A private key would be lost.
    #[error("there is a private key in {}, which a signing request is not to take the place of", .0.display())]
    Precious(PathBuf),
    /// The command for renewals could not be run.
    #[error("the renewal hook could not be run")]
    Hook(#[source] io::Error),
    /// Standard output is out of order.
    #[error("could not write the result")]
    Output(#[source] io::Error),
    /// The system refuses what every program needs.
    #[error("could not start")]
    Runtime(#[source] io::Error),
}

/// What a file has that is to have one request and nothing else.
fn found(requests: usize, blocks: usize) -> String {
    match (requests, blocks) {
        (0, 0) => "nothing in it, and one signing request is to be there".into(),
        (0, _) => "no signing request in it, and one is to be there".into(),
        (1, _) => "something else in it than one signing request".into(),
        (requests, _) => format!("{requests} signing requests in it, and one is to be there"),
    }
}

impl From<HolderError> for CommandError {
    fn from(error: HolderError) -> Self {
        Self::Holder(error)
    }
}

impl CommandError {
    /// The same, where it is about those who are trusted, with where they are: `authorities`.
    pub(super) fn naming(self, authorities: &Path) -> Self {
        match self {
            Self::Holder(
                what @ (HolderError::Authorities { source: Unusable::Gap, .. }
                | HolderError::Lists { .. }
                | HolderError::Unverified(_)),
            ) => Self::NotOfThose { authorities: authorities.to_owned(), what: Box::new(what) },
            other => other,
        }
    }
}

impl From<AskError> for CommandError {
    fn from(error: AskError) -> Self {
        Self::Holder(error.into())
    }
}

impl From<PemFileError> for CommandError {
    fn from(error: PemFileError) -> Self {
        Self::Holder(error.into())
    }
}

impl From<PairError> for CommandError {
    fn from(error: PairError) -> Self {
        Self::Holder(error.into())
    }
}

impl Explain for CommandError {
    fn kind(&self) -> Kind {
        match self {
            Self::Holder(error) => error.kind(),
            Self::NotOfThose { what, .. } => what.kind(),
            Self::Build(error) => error.kind(),
            Self::Key(error) => error.kind(),
            Self::NotANumber(_)
            | Self::NotOneRequest { .. }
            | Self::NotOneCertificate { .. }
            | Self::Untrusted { .. }
            | Self::OtherKey(_)
            | Self::NoRequest(_)
            | Self::Shared(_)
            | Self::NothingToBeginWith(_)
            | Self::NotItsKey { .. }
            | Self::Unverified { .. }
            | Self::NoKey(_)
            | Self::Differs(_)
            | Self::Precious(_)
            | Self::NotABackup { .. } => Kind::Invalid,
            Self::Rejected(_) | Self::Unreadable { .. } => Kind::NotFound,
            Self::Unwritable { .. } | Self::Hook(_) | Self::Output(_) | Self::Runtime(_) => Kind::Unavailable,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            // Nothing pins anybody here.
            Self::Holder(HolderError::NoneValid(path)) => Some(format!(
                "is the clock right? If it is, ask somebody whom you trust for the authority's certificate, and put it into {} in \
                 place of what is there",
                path.display()
            )),
            Self::Holder(error) => error.help(),
            Self::NotOfThose { authorities, .. }
            | Self::Unverified {
                authorities, source: VerifyError::UnknownIssuer | VerifyError::Signature, ..
            } => Some(format!(
                "the CA certificates that are trusted are in {}; is it the server whose they are, and nobody in between?",
                authorities.display()
            )),
            Self::Unverified { source: VerifyError::Expired, .. } => Some(
                "is the clock right? If it is, the certificate cannot be renewed any more, or its authority's has ended: ask for \
                 another one, with a new key"
                    .into(),
            ),
            Self::Unverified { source: VerifyError::NotYetValid, .. } => {
                Some("is the clock right? The certificate's time, or its authority's, begins later".into())
            }
            Self::Unverified { source: VerifyError::Revoked | VerifyError::CriticalExtension, .. } => None,
            Self::Build(error) => error.help(),
            Self::Key(error) => error.help(),
            Self::NotItsKey { .. } => Some(
                "`openssl req -pubkey -noout -in FILE` and `openssl pkey -pubout -in FILE` print what has to be the same"
                    .into(),
            ),
            Self::Precious(_) => Some("name another file".into()),
            Self::Differs(_) => Some("is it one server that answers at both ports?".into()),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever has a clock that is wrong is not sent after somebody in between.
    #[test]
    fn a_certificate_that_is_over_is_told_from_a_foreign_one() {
        let hint = |source| {
            let (path, authorities) = ("crt.pem".into(), "ca.pem".into());
            CommandError::Unverified { path, authorities, source }.help().unwrap_or_default()
        };
        for source in [VerifyError::UnknownIssuer, VerifyError::Signature] {
            assert!(hint(source).contains("are in ca.pem; is it the server whose they are"));
        }
        for source in [VerifyError::Expired, VerifyError::NotYetValid] {
            let hint = hint(source);
            assert!(hint.starts_with("is the clock right?") && !hint.contains("between"), "{hint}");
        }
        assert_eq!(hint(VerifyError::CriticalExtension), "");
    }
}
