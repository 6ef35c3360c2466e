//! What can go wrong.

use base::{Explain, Kind};
use store::CommitError;

use crate::account::NotYours;
use crate::anchor::{Finding, Fingerprint, SET_MAX};
use crate::name::{ProviderName, RequirerName};

/// Why something about trust could not be changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// There is no such provider.
    #[error("there is no provider `{0}`")]
    NoProvider(ProviderName),
    /// There is no such requirer.
    #[error("there is no requirer `{0}`")]
    NoRequirer(RequirerName),
    /// There is no such relation.
    #[error("there is no relation {0}")]
    NoRelation(u64),
    /// The relation is another provider's.
    #[error("relation {number} is not one of `{provider}`")]
    NotOfProvider {
        /// The relation.
        number: u64,
        /// Who was said to provide in it.
        provider: ProviderName,
    },
    /// What it hands on, the house decides.
    #[error("`{0}` is this house's own authority: what it hands on follows from its certificates")]
    Own(ProviderName),
    /// What it hands on is somebody else's to say.
    #[error(transparent)]
    NotYours(#[from] NotYours),
    /// It is on its way out.
    #[error("`{0}` is going")]
    Leaving(String),
    /// Somebody else changed the set in between.
    #[error("the set has revision {found}, not {expected}")]
    Revision {
        /// What it was said to be.
        expected: u64,
        /// What it is.
        found: u64,
    },
    /// The certificate is in the set of all relations, not in that of this one.
    #[error("{0} is handed on to all of the provider's requirers, not to this one alone")]
    InCommon(Fingerprint),
    /// The policy refuses certificates.
    #[error("{} refused: {}", count(.0.len(), "certificate is", "certificates are"), told(.0))]
    Refused(Vec<(Fingerprint, Finding)>),
    /// A certificate cannot be read, so that the policy cannot be asked.
    #[error("{0} cannot be read")]
    Unreadable(Fingerprint),
    /// There would be too many.
    #[error("the set would have {0} certificates, and may have {SET_MAX}")]
    TooMany(usize),
    /// A requirer would lose much of what it has.
    #[error("{requirer} would have {after} of the {before} certificates that it has{}", and_others(*others))]
    Shrinks {
        /// One of those.
        requirer: RequirerName,
        /// How many it has.
        before: usize,
        /// How many would be left.
        after: usize,
        /// How many others there are.
        others: usize,
    },
    /// There are too many of them.
    #[error("{what}")]
    Full {
        /// Which bound it is.
        what: &'static str,
    },
    /// The store failed.
    #[error("could not write it down")]
    Store(#[from] CommitError),
}

impl From<store::Error> for ChangeError {
    fn from(error: store::Error) -> Self {
        Self::Store(error.into())
    }
}

fn count(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

fn told(refused: &[(Fingerprint, Finding)]) -> String {
    let told: Vec<String> =
        refused.iter().take(8).map(|(which, why)| format!("{which} is {}", why.name())).collect();
    told.join(", ")
}

fn and_others(others: usize) -> String {
    if others == 0 { String::new() } else { format!(", and so {}", count(others, "other", "others")) }
}

impl Explain for ChangeError {
    fn kind(&self) -> Kind {
        match self {
            Self::NoProvider(_) | Self::NoRequirer(_) | Self::NoRelation(_) => Kind::NotFound,
            Self::NotOfProvider { .. } | Self::Refused(_) | Self::Unreadable(_) => Kind::Invalid,
            Self::Own(_)
            | Self::Leaving(_)
            | Self::Revision { .. }
            | Self::InCommon(_)
            | Self::Shrinks { .. } => Kind::Conflict,
            Self::NotYours(source) => source.kind(),
            Self::TooMany(_) => Kind::TooLarge,
            Self::Full { .. } => Kind::Full,
            Self::Store(CommitError::Conflict { .. }) => Kind::Conflict,
            Self::Store(CommitError::Store(source)) => source.kind(),
            Self::Store(CommitError::Unknown { .. }) => Kind::Unavailable,
            Self::Store(CommitError::TooLarge { .. } | CommitError::Twice { .. }) => Kind::Internal,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Revision { .. } => {
                Some("look at it again, and say what is to be changed in what it is now".into())
            }
            Self::InCommon(_) => Some("withdraw it from the provider, not from the relation".into()),
            Self::Refused(_) => Some("the provider's policy says what is refused".into()),
            Self::Shrinks { .. } => Some("if that is meant, say so with `--confirm`".into()),
            Self::NotYours(source) => source.help(),
            Self::Leaving(_) => Some("make it anew, and it stays".into()),
            Self::Store(CommitError::Store(source)) => source.help(),
            Self::NoProvider(_)
            | Self::NoRequirer(_)
            | Self::NoRelation(_)
            | Self::NotOfProvider { .. }
            | Self::Own(_)
            | Self::Unreadable(_)
            | Self::TooMany(_)
            | Self::Full { .. }
            | Self::Store(_) => None,
        }
    }
}

/// Why it could not be seen who trusts what.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// There is no such requirer.
    #[error("there is no requirer `{0}`")]
    NoRequirer(RequirerName),
    /// The store failed.
    #[error("could not look it up")]
    Store(#[from] store::Error),
}

impl Explain for ReadError {
    fn kind(&self) -> Kind {
        match self {
            Self::NoRequirer(_) => Kind::NotFound,
            Self::Store(source) => source.kind(),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::NoRequirer(_) => Some("`provost trust requirer list` tells which there are".into()),
            Self::Store(source) => source.help(),
        }
    }
}

impl From<ReadError> for ChangeError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::NoRequirer(name) => Self::NoRequirer(name),
            ReadError::Store(error) => error.into(),
        }
    }
}

/// At most 500 bytes of `reason`.
pub(crate) fn cut(reason: &str) -> String {
    reason[..reason.floor_char_boundary(500)].to_owned()
}
