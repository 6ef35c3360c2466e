//! Why an entry does not count, in words for people.

use base::{Explain, Kind, Timestamp};

use crate::attestation::{AttestationError, SignerId};
use crate::platform::Misfit;

/// Why an entry does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// Neither signature is there.
    #[error("nobody signed it")]
    Unsigned,
    /// Nobody is believed who could have signed it.
    #[error("no root of trust speaks for this key")]
    NoRoot,
    /// Both are somebody else's.
    #[error("whoever signed it is not among those who are believed")]
    UnknownSigner {
        /// Who says to have attested it.
        signer: Option<SignerId>,
    },
    /// The attestation cannot be what its signer wrote.
    #[error("its attestation is not in order")]
    Attestation(#[source] AttestationError),
    /// Only the outer signature is there, and the policy asks for more.
    #[error("it is signed with RSA and SHA-1 alone, which is too weak")]
    Weak,
    /// It was moved.
    #[error("it was signed for the key `{key}`")]
    WrongKey {
        /// The key that it was signed for.
        key: String,
    },
    /// It is about another file.
    #[error("it is about the file from {url}")]
    OtherUrl {
        /// Where that is from.
        url: String,
    },
    /// It is over.
    #[error("it expired {at}")]
    Expired {
        /// The last second at which it counted.
        at: Timestamp,
    },
    /// The policy asks for a date.
    #[error("it does not say when it expires")]
    NoExpiry,
    /// The server shows old things only.
    #[error(
        "its signer has said more since: sequence {seen} was seen, and {shown} is the highest that is shown"
    )]
    RolledBack {
        /// What was seen.
        seen: u64,
        /// What is shown now.
        shown: u64,
    },
    /// Its signer took it back.
    #[error("its signer withdrew it")]
    Withdrawn,
    /// It stands for no bytes.
    #[error("it withdraws other entries")]
    IsWithdrawal,
    /// For another machine, or another place on one.
    #[error("it is for {}", .0.elsewhere())]
    OtherPlatform(#[source] Misfit),
    /// Too few.
    #[error("{signers} of {needed} signers have signed these bytes")]
    TooFew {
        /// How many did.
        signers: usize,
        /// How many must.
        needed: usize,
    },
    /// The bytes are missing.
    #[error("the object is not there")]
    NotThere,
}

impl Reason {
    /// A word for programs, which stays as it is.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unsigned => "unsigned",
            Self::NoRoot => "no-root",
            Self::UnknownSigner { .. } => "unknown-signer",
            Self::Attestation(_) => "bad-attestation",
            Self::Weak => "weak",
            Self::WrongKey { .. } => "wrong-key",
            Self::OtherUrl { .. } => "other-url",
            Self::Expired { .. } => "expired",
            Self::NoExpiry => "no-expiry",
            Self::RolledBack { .. } => "rolled-back",
            Self::Withdrawn => "withdrawn",
            Self::IsWithdrawal => "withdrawal",
            Self::OtherPlatform(_) => "other-platform",
            Self::TooFew { .. } => "too-few-signers",
            Self::NotThere => "not-there",
        }
    }
}

impl Explain for Reason {
    fn kind(&self) -> Kind {
        match self {
            Self::NotThere => Kind::NotFound,
            Self::OtherPlatform(source) => source.kind(),
            Self::Attestation(source) => source.kind(),
            Self::Unsigned
            | Self::NoRoot
            | Self::UnknownSigner { .. }
            | Self::Weak
            | Self::WrongKey { .. }
            | Self::OtherUrl { .. }
            | Self::Expired { .. }
            | Self::NoExpiry
            | Self::RolledBack { .. }
            | Self::Withdrawn
            | Self::IsWithdrawal
            | Self::TooFew { .. } => Kind::Forbidden,
        }
    }

    fn help(&self) -> Option<String> {
        Some(match self {
            Self::NoRoot => "`keys` of a [[root]] says for which keys it speaks".into(),
            Self::UnknownSigner { signer: Some(signer) } => {
                format!(
                    "its signer calls itself {signer}; if that is somebody you know, add the public key to your roots"
                )
            }
            Self::UnknownSigner { signer: None } => {
                "it has an old signature only; add its signer's certificate to your roots if you know it"
                    .into()
            }
            Self::Weak => "let its signer attest it, or say `weak = true` for this root".into(),
            Self::NoExpiry => "let its signer say until when, or leave `expires` out for this root".into(),
            Self::RolledBack { .. } => {
                "ask another server; this one keeps something back, or is behind".into()
            }
            Self::NotThere => "ask another server, or let somebody put it there again".into(),
            Self::Unsigned
            | Self::Attestation(_)
            | Self::WrongKey { .. }
            | Self::OtherUrl { .. }
            | Self::Expired { .. }
            | Self::Withdrawn
            | Self::IsWithdrawal
            | Self::OtherPlatform(_)
            | Self::TooFew { .. } => return None,
        })
    }
}
