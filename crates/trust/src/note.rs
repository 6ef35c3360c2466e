//! What is said in the log beside what is done (contract, section 5).

use crate::require::Unreadable;

/// How grave a line is, as Juju has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// For whoever looks for a cause.
    Debug,
    /// What happened.
    Info,
    /// Something is not as it should be.
    Warning,
    /// Something cannot be used.
    Error,
}

/// Something to be said. Never with a certificate's text in it: lines are short.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Note {
    /// The requirer reads version 0, or has not said yet what it reads.
    #[error("the requirer does not say that it reads version 1, so version 0 is written as well")]
    Version0,
    /// The provider's own record was no list; what is written now takes its place.
    #[error("the certificates published before cannot be read, and are replaced")]
    Unreadable,
    /// The provider's bag cannot be used.
    #[error("the provider's data cannot be used: {0}")]
    Invalid(#[from] Unreadable),
    /// A unit's bag of version 0 cannot be used.
    #[error("the data of unit {unit} cannot be used: {why}")]
    InvalidUnit {
        /// The unit's name.
        unit: String,
        /// Why not.
        why: Unreadable,
    },
    /// The provider hands on private keys, which nobody is to have of it.
    #[error(
        "the provider hands on {keys} text(s) with a private key, which are left out: see that it stops, and replace the keys"
    )]
    PrivateKey {
        /// How many texts have one.
        keys: usize,
    },
}

impl Note {
    /// How grave it is.
    #[must_use]
    pub fn level(&self) -> Level {
        match self {
            Self::Version0 => Level::Warning,
            Self::Unreadable | Self::Invalid(_) | Self::InvalidUnit { .. } | Self::PrivateKey { .. } => {
                Level::Error
            }
        }
    }
}
