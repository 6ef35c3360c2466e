//! What can go wrong, one enum for each operation.

use base::{Explain, Kind};
use store::CommitError;
use x509::{BadName, KeyError, NameError, ParseError, SignatureError, VerifyError};

use crate::request::RequestId;
use crate::token::TokenError;

/// Why a certificate cannot be drawn up from what was asked.
#[derive(Debug, thiserror::Error)]
pub enum DraftError {
    /// An extension that would be kept is malformed.
    #[error("the requested {extension} cannot be read")]
    Extension {
        /// Which one.
        extension: &'static str,
        /// What is wrong with it.
        source: ParseError,
    },
    /// A key usage that keys of this kind do not have.
    #[error("a key usage was requested that {kind} keys cannot have ({rule})")]
    KeyUsage {
        /// The kind of key.
        kind: String,
        /// What says so.
        rule: &'static str,
    },
    /// No subject and no alternative name.
    #[error("the request names nobody: both subject and subjectAltName are empty")]
    Nameless,
    /// The only use of a shared secret can be encrypting or decrypting, not both.
    #[error("the requested keyUsage has both encipherOnly and decipherOnly (RFC 5280 §4.2.1.3)")]
    Contradiction,
    /// A name breaks a rule for certificates.
    #[error("the requested {0}")]
    Name(BadName),
    /// A name, or the number of something, that is right and is nevertheless not certified here.
    #[error("the requested {0}; only the setting `ca.names = \"any\"` allows that")]
    NotStrict(BadName),
    /// Where revocation lists are published cannot be written in a certificate.
    #[error("the revocation lists' address cannot be written: {0}")]
    Address(NameError),
}

impl DraftError {
    pub(crate) fn extension(extension: &'static str) -> impl Fn(ParseError) -> Self {
        move |source| Self::Extension { extension, source }
    }

    /// Whether a request for this is malformed, and not just for what is not certified.
    pub(crate) fn is_of_form(&self) -> bool {
        match self {
            Self::Extension { .. } | Self::Name(_) => true,
            Self::KeyUsage { .. }
            | Self::Contradiction
            | Self::Nameless
            | Self::NotStrict(_)
            | Self::Address(_) => false,
        }
    }
}

impl Explain for DraftError {
    fn kind(&self) -> Kind {
        match self {
            Self::Extension { .. }
            | Self::KeyUsage { .. }
            | Self::Contradiction
            | Self::Nameless
            | Self::Name(_)
            | Self::NotStrict(_) => Kind::Invalid,
            Self::Address(_) => Kind::Internal,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            // It says itself what would help.
            Self::NotStrict(_) => None,
            Self::Extension { .. }
            | Self::KeyUsage { .. }
            | Self::Contradiction
            | Self::Nameless
            | Self::Name(_)
            | Self::Address(_) => {
                Some("an administrator may sign it with a template that asks for something else".into())
            }
        }
    }
}

/// Why nothing was signed.
pub(crate) enum SignError {
    /// No certificate can be drawn up from what was asked.
    Draft(DraftError),
    /// We failed.
    Issue(IssueError),
}

impl From<DraftError> for SignError {
    fn from(error: DraftError) -> Self {
        Self::Draft(error)
    }
}

impl From<IssueError> for SignError {
    fn from(error: IssueError) -> Self {
        Self::Issue(error)
    }
}

/// Why an authority could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The store failed.
    #[error("could not read the authority")]
    Store(#[from] store::Error),
    /// A CA certificate that it needs could not be made, or the key of one is away.
    #[error("could not make or find a CA key")]
    Issue(#[from] IssueError),
    /// The automatic count could not be locked.
    #[error("could not lock the automatic count")]
    Commit(#[from] CommitError),
}

impl Explain for OpenError {
    fn kind(&self) -> Kind {
        match self {
            Self::Store(source) => source.kind(),
            Self::Issue(source) => source.kind(),
            Self::Commit(source) => source.kind(),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Store(source) => source.help(),
            Self::Issue(source) => source.help(),
            Self::Commit(source) => source.help(),
        }
    }
}

/// Why something could not be issued, for reasons that are ours.
#[derive(Debug, Clone, thiserror::Error)]
pub enum IssueError {
    /// There is no CA certificate that may sign now.
    #[error("the authority has no certificate it may sign with")]
    NoActiveIssuer,
    /// The common name for CA certificates cannot be used.
    #[error("the CA certificate's name cannot be used: {0}")]
    IssuerName(NameError),
    /// A key could not be made or used.
    #[error("a CA key could not be made or used: {0}")]
    Key(KeyError),
    /// A stored CA certificate or key cannot be read.
    #[error("the stored CA certificate {id} cannot be used: {reason}")]
    StoredIssuer {
        /// Its number in the store.
        id: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A key that is in a token could not be made or used.
    #[error(transparent)]
    Token(TokenError),
    /// The store failed.
    #[error("could not read or write the authority's records")]
    Store(#[from] CommitError),
}

impl From<store::Error> for IssueError {
    fn from(error: store::Error) -> Self {
        Self::Store(CommitError::Store(error))
    }
}

impl Explain for IssueError {
    fn kind(&self) -> Kind {
        match self {
            Self::IssuerName(_) => Kind::Invalid,
            Self::NoActiveIssuer | Self::Key(_) | Self::StoredIssuer { .. } => Kind::Internal,
            Self::Token(source) => source.kind(),
            Self::Store(CommitError::Conflict { .. }) => Kind::Unavailable,
            Self::Store(source) => source.kind(),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::StoredIssuer { .. } => Some(
                "the database and the key that seals it belong together: put both back from one backup"
                    .into(),
            ),
            Self::Store(source) => source.help(),
            Self::Token(source) => source.help(),
            Self::NoActiveIssuer | Self::IssuerName(_) | Self::Key(_) => None,
        }
    }
}

macro_rules! from_store {
    ($($error:ident),*) => {
        $(impl From<store::Error> for $error {
            fn from(error: store::Error) -> Self {
                Self::Issue(IssueError::from(error))
            }
        }
        impl From<CommitError> for $error {
            fn from(error: CommitError) -> Self {
                Self::Issue(IssueError::Store(error))
            }
        })*
    };
}

macro_rules! from_sign {
    ($($error:ident),*) => {
        $(impl From<SignError> for $error {
            fn from(error: SignError) -> Self {
                match error {
                    SignError::Draft(source) => source.into(),
                    SignError::Issue(source) => source.into(),
                }
            }
        })*
    };
}
from_sign!(SubmitError, ApproveError, RenewError);
from_store!(SubmitError, ApproveError, RejectError, RenewError, RevokeError, CrlError);

/// Why a request was not taken.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// As many are pending as the authority takes.
    #[error("{pending_max} requests are pending, no more are taken until some are decided")]
    TooManyPending {
        /// How many that is.
        pending_max: u64,
    },
    /// The key is certified or asked for already, and must be one of a kind.
    #[error("this key was used in another request")]
    KeyKnown,
    /// The authority certifies RSA keys only.
    #[error("this authority certifies RSA keys only, not {kind}")]
    NotRsa {
        /// What was offered.
        kind: String,
    },
    /// The key is too weak or of an unknown kind.
    #[error("keys of this kind are not certified: {kind}")]
    Key {
        /// What was offered.
        kind: String,
    },
    /// It is longer than is stored.
    #[error("the request is too long")]
    TooLong,
    /// It would be approved at once, but no certificate can be drawn up from it.
    #[error(transparent)]
    Draft(#[from] DraftError),
    /// The one who worked on it was interrupted; it may have been taken.
    #[error("the request was interrupted; send it again")]
    Interrupted,
    /// We failed.
    #[error(transparent)]
    Issue(#[from] IssueError),
}

impl Explain for SubmitError {
    fn kind(&self) -> Kind {
        match self {
            Self::TooManyPending { .. } => Kind::Full,
            Self::KeyKnown => Kind::Conflict,
            Self::TooLong => Kind::TooLarge,
            Self::NotRsa { .. } | Self::Key { .. } => Kind::Invalid,
            Self::Draft(source) => source.kind(),
            Self::Interrupted => Kind::Unavailable,
            Self::Issue(source) => source.kind(),
        }
    }
}

/// Why a request was not approved.
#[derive(Debug, thiserror::Error)]
pub enum ApproveError {
    /// Nothing with this number is pending.
    #[error("no request {id} is pending")]
    NotPending {
        /// The number.
        id: RequestId,
    },
    /// No certificate can be drawn up from the request.
    #[error(transparent)]
    Draft(#[from] DraftError),
    /// No certificate can be drawn up from the template.
    #[error("the template cannot be certified")]
    Template(#[source] DraftError),
    /// We failed.
    #[error(transparent)]
    Issue(#[from] IssueError),
}

impl Explain for ApproveError {
    fn kind(&self) -> Kind {
        match self {
            Self::NotPending { .. } => Kind::NotFound,
            Self::Draft(source) | Self::Template(source) => source.kind(),
            Self::Issue(source) => source.kind(),
        }
    }
}

/// Why a request was not rejected.
#[derive(Debug, thiserror::Error)]
pub enum RejectError {
    /// Nothing with this number is pending.
    #[error("no request {id} is pending")]
    NotPending {
        /// The number.
        id: RequestId,
    },
    /// We failed.
    #[error(transparent)]
    Issue(#[from] IssueError),
}

impl Explain for RejectError {
    fn kind(&self) -> Kind {
        match self {
            Self::NotPending { .. } => Kind::NotFound,
            Self::Issue(source) => source.kind(),
        }
    }
}

/// Why something could not be shown.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It does not exist, was dropped, or is still pending.
    #[error("nothing is known under {id}")]
    NotFound {
        /// The number asked for.
        id: RequestId,
    },
    /// The store failed.
    #[error("could not read the authority's records")]
    Store(#[from] store::Error),
}

impl Explain for ReadError {
    fn kind(&self) -> Kind {
        match self {
            Self::NotFound { .. } => Kind::NotFound,
            Self::Store(source) => source.kind(),
        }
    }
}

/// Why a statement proves nothing.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StatementError {
    /// The signature is not over this text by this key.
    #[error("the signature does not fit: {0}")]
    Signature(SignatureError),
}

impl Explain for StatementError {
    fn kind(&self) -> Kind {
        match self {
            Self::Signature(_) => Kind::Invalid,
        }
    }
}

/// Why a certificate was not taken as one of ours that is good now.
#[derive(Debug, thiserror::Error)]
pub enum VerifyHolderError {
    /// It is foreign, expired or revoked.
    #[error("Certificate verification error: {0}")]
    Verify(VerifyError),
    /// We failed.
    #[error(transparent)]
    Crl(#[from] CrlError),
}

impl Explain for VerifyHolderError {
    fn kind(&self) -> Kind {
        match self {
            Self::Verify(_) => Kind::Invalid,
            Self::Crl(source) => source.kind(),
        }
    }
}

/// Why a certificate was not renewed.
#[derive(Debug, thiserror::Error)]
pub enum RenewError {
    /// The old certificate is not good.
    #[error(transparent)]
    Holder(#[from] VerifyHolderError),
    /// The request was used before: its certificate exists.
    #[error("this request was used before")]
    AlreadyIssued,
    /// The request is not taken.
    #[error(transparent)]
    Submit(#[from] SubmitError),
    /// No certificate can be drawn up from the old one.
    #[error(transparent)]
    Draft(#[from] DraftError),
    /// We failed.
    #[error(transparent)]
    Issue(#[from] IssueError),
}

impl Explain for RenewError {
    fn kind(&self) -> Kind {
        match self {
            Self::Holder(source) => source.kind(),
            Self::AlreadyIssued => Kind::NotFound,
            Self::Submit(source) => source.kind(),
            Self::Draft(source) => source.kind(),
            Self::Issue(source) => source.kind(),
        }
    }
}

/// Why nothing was revoked.
#[derive(Debug, thiserror::Error)]
pub enum RevokeError {
    /// The certificate is not one that can be revoked: foreign, expired, revoked before.
    #[error(transparent)]
    Holder(#[from] VerifyHolderError),
    /// It is a CA certificate of this authority.
    #[error("this is the certificate of the authority itself, which cannot revoke it")]
    OfAuthority,
    /// The serial was revoked before.
    #[error("this serial was revoked before")]
    AlreadyRevoked,
    /// We failed.
    #[error(transparent)]
    Issue(#[from] IssueError),
}

impl Explain for RevokeError {
    fn kind(&self) -> Kind {
        match self {
            Self::Holder(source) => source.kind(),
            Self::OfAuthority => Kind::Invalid,
            Self::AlreadyRevoked => Kind::Conflict,
            Self::Issue(source) => source.kind(),
        }
    }
}

/// Why the revocation lists could not be made.
#[derive(Debug, thiserror::Error)]
pub enum CrlError {
    /// We failed.
    #[error(transparent)]
    Issue(#[from] IssueError),
}

impl Explain for CrlError {
    fn kind(&self) -> Kind {
        match self {
            Self::Issue(source) => source.kind(),
        }
    }
}
