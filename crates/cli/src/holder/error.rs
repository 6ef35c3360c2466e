//! Why what a holder has is not what it should be.

use std::path::PathBuf;

use base::{Explain, Kind, Timestamp};
use client::compat::caucase::{AskError, Authority, Unusable, UnusableLists};
use x509::{KeyError, ParseError, VerifyError};

use super::folder_lock::WriteError;
use super::pair_error::PairError;
use super::pem_file_error::PemFileError;

/// Something was not brought up to date. What was there before is still there.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HolderError {
    /// The server did not answer, or said no.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// What the server says of its CA certificates cannot be used.
    #[error("what {url} says of its CA certificates cannot be used")]
    Authorities {
        /// The server.
        url: String,
        /// Why not.
        #[source]
        source: Unusable,
    },
    /// What it says of revoked certificates cannot be used.
    #[error("what {url} says was revoked cannot be used")]
    Lists {
        /// The server.
        url: String,
        /// Why not.
        #[source]
        source: UnusableLists,
    },
    /// CA certificates are held, and none of them is valid: whoever answers now may be anybody.
    #[error("Local trust store is unusable: no CA certificate in {} is valid and signed by itself", .0.display())]
    NoneValid(PathBuf),
    /// The server's authority is another one than was expected.
    #[error("the server has no CA certificate with the fingerprint that is pinned")]
    NotPinned {
        /// That of the oldest CA certificate that it has, hex.
        found: String,
    },
    /// Others are trusted than the pinned one.
    #[error("{} trusts another authority than the one with this fingerprint", .0.display())]
    TrustsOthers(PathBuf),
    /// The server has another authority than the one that is trusted.
    #[error(
        "{url} has another authority than the one that is trusted: its CA certificate has the SHA-256 fingerprint {offered}, and \
         {} has {trusted}",
        path.display()
    )]
    Another {
        /// The server.
        url: String,
        /// Which of its authorities.
        authority: Authority,
        /// The fingerprint of the oldest CA certificate that it has, hex.
        offered: String,
        /// Where those are that are trusted.
        path: PathBuf,
        /// Their fingerprints, hex.
        trusted: String,
    },
    /// A file cannot be read.
    #[error(transparent)]
    File(#[from] PemFileError),
    /// A file cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// A certificate and its key.
    #[error(transparent)]
    Pair(#[from] PairError),
    /// The server answered with something else than a certificate.
    #[error("the server's answer is no certificate")]
    NoCertificate(#[source] ParseError),
    /// The server answered with somebody else's certificate.
    #[error("the server's answer is a certificate of another key, and was not kept")]
    OtherKey,
    /// The server answered with a certificate that was issued long ago, and not fetched in time.
    #[error("the server's answer is a certificate that is over since {0}, and was not kept")]
    Over(Timestamp),
    /// The server answered with a certificate that nobody would believe.
    #[error(
        "the server's answer is a certificate that none of the trusted CA certificates stands for, and was not kept"
    )]
    Unverified(#[source] VerifyError),
    /// No key can be made.
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl HolderError {
    /// Whether it is the network's, and asking again later may help.
    pub(crate) fn is_network(&self) -> bool {
        matches!(self, Self::Ask(error) if error.is_network())
    }
}

impl Explain for HolderError {
    fn kind(&self) -> Kind {
        match self {
            Self::Ask(error) => error.kind(),
            Self::Authorities { source, .. } => source.kind(),
            Self::Lists { source, .. } => source.kind(),
            Self::NoneValid(_) | Self::NotPinned { .. } | Self::TrustsOthers(_) => Kind::Forbidden,
            Self::File(error) => error.kind(),
            Self::Write(error) => error.kind(),
            Self::Pair(error) => error.kind(),
            Self::Another { .. }
            | Self::NoCertificate(_)
            | Self::OtherKey
            | Self::Over(_)
            | Self::Unverified(_) => Kind::Invalid,
            Self::Key(error) => error.kind(),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Ask(error) => error.help(),
            Self::Authorities { .. } | Self::Lists { .. } => {
                Some("is it the server whose CA certificates are trusted here, and nobody in between?".into())
            }
            Self::NoneValid(path) => Some(format!(
                "is the clock right? If it is, ask somebody whom you trust for the authority's certificate, which goes into {}, or \
                 for its fingerprint, which `--fingerprint` or the `fingerprint` of a configuration takes. \
                 `provost ca trust --fingerprint …`, run now and then, or `provost ca watch` keeps what follows it; commands that only \
                 look or decide do not",
                path.display()
            )),
            Self::TrustsOthers(path) => Some(format!(
                "`provost ca trust --ca {0}` shows whom; remove {0} to begin anew with the pinned one",
                path.display()
            )),
            Self::Another { url, authority, offered, path, .. } => Some(format!(
                "ask whoever runs it whether that is right; if it is, move {0} away, and trust the new one: \
                 `provost ca trust{1} --server {url} --ca {0} --fingerprint {offered}`",
                path.display(),
                if *authority == Authority::Users { " --users" } else { "" },
            )),
            Self::NotPinned { found } => Some(format!(
                "its oldest one has {found}; ask whoever runs it which is right. A pin outlasts its certificate only where what \
                 follows it is kept: `provost ca trust --fingerprint …`, run now and then, or `provost ca watch` does that; commands \
                 that only look or decide do not"
            )),
            Self::File(error) => error.help(),
            Self::Write(error) => error.help(),
            Self::Pair(error) => error.help(),
            Self::Key(error) => error.help(),
            Self::Over(_) => Some("ask for another one, with a new key".into()),
            Self::NoCertificate(_) | Self::OtherKey | Self::Unverified(_) => None,
        }
    }
}
