//! Why an entry does not count, in words for people.

use base::{Explain, Kind, Timestamp};

use crate::attestation::AttestationError;
use crate::platform::Misfit;

/// Why an entry does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// Neither signature is there.
    #[error("nobody signed it")]
    Unsigned,
    /// Both are somebody else's.
    #[error("whoever signed it is not among those who are believed")]
    UnknownSigner,
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
    /// For another machine.
    #[error("it is for another platform")]
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

impl Explain for Reason {
    fn kind(&self) -> Kind {
        match self {
            Self::NotThere => Kind::NotFound,
            Self::OtherPlatform(source) => source.kind(),
            Self::Attestation(source) => source.kind(),
            Self::Unsigned
            | Self::UnknownSigner
            | Self::Weak
            | Self::WrongKey { .. }
            | Self::Expired { .. }
            | Self::NoExpiry
            | Self::RolledBack { .. }
            | Self::Withdrawn
            | Self::IsWithdrawal
            | Self::TooFew { .. } => Kind::Forbidden,
        }
    }
}
