//! Why a bundle is not where it should be, or still where it should not be.

use base::{Explain, Kind};

use crate::bundle::{BUNDLE_BYTES_MAX, BundlePlace, HOUSE, MANAGED_BY, OURS};
use crate::error::Error;
use crate::namespace::NamespaceName;

/// Why a bundle is not where it should be, or still where it should not be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// The API server did not do what it was asked.
    #[error(transparent)]
    Asked(#[from] Error),
    /// No object can hold so much.
    #[error(
        "the bundle has {bytes} bytes, and an object holds {BUNDLE_BYTES_MAX} at most, so {place} was not written"
    )]
    TooLong {
        /// Where it was to be put.
        place: BundlePlace,
        /// How long it is.
        bytes: usize,
    },
    /// Something of that name is there and is not ours.
    #[error(
        "there is {place} already, which does not have the label `{MANAGED_BY}={OURS}`: it is not ours, so it was left alone"
    )]
    NotOurs {
        /// What it is.
        place: BundlePlace,
    },
    /// Something of that name is there for another owner.
    #[error("there is {place} already, for the requirer `{owner}`, so it was left alone")]
    AnothersOwn {
        /// What it is.
        place: BundlePlace,
        /// Whose it says that it is.
        owner: String,
    },
    /// Something of that name was put there by another house.
    #[error(
        "there is {place} already, which another Provost put there (`{HOUSE}` is `{house}`), so it was left alone"
    )]
    AnotherHouse {
        /// What it is.
        place: BundlePlace,
        /// Which house it says that it is.
        house: String,
    },
    /// There is no such namespace.
    #[error("the namespace `{namespace}` does not exist")]
    NoNamespace {
        /// Which.
        namespace: NamespaceName,
    },
    /// The namespace is being deleted, and all that is in it goes along.
    #[error("the namespace `{namespace}` is being deleted")]
    Ending {
        /// Which.
        namespace: NamespaceName,
    },
    /// Others changed it as often as we tried.
    #[error("others kept changing {place} while it was to be changed")]
    Contended {
        /// What it is.
        place: BundlePlace,
    },
    /// It was written, and read back it was not so.
    #[error("{place} was written, and has something else in it when it is read back")]
    NotKept {
        /// What it is.
        place: BundlePlace,
    },
    /// It was deleted, and is still there.
    #[error("{place} was deleted, and is still there{}", kept_by(.finalizers))]
    StillThere {
        /// What it is.
        place: BundlePlace,
        /// Those that keep it.
        finalizers: Vec<String>,
    },
}

fn kept_by(names: &[String]) -> String {
    if names.is_empty() { String::new() } else { format!(", kept by the finalizers {}", names.join(", ")) }
}

impl BundleError {
    /// Whether asking again later may help although nobody does anything about it.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Asked(source) => source.may_pass(),
            Self::Contended { .. } | Self::NotKept { .. } | Self::StillThere { .. } => true,
            Self::TooLong { .. }
            | Self::NotOurs { .. }
            | Self::AnothersOwn { .. }
            | Self::AnotherHouse { .. }
            | Self::NoNamespace { .. }
            | Self::Ending { .. } => false,
        }
    }
}

impl Explain for BundleError {
    fn kind(&self) -> Kind {
        match self {
            Self::Asked(source) => source.kind(),
            Self::TooLong { .. } => Kind::TooLarge,
            Self::NoNamespace { .. } => Kind::NotFound,
            Self::NotOurs { .. }
            | Self::AnothersOwn { .. }
            | Self::AnotherHouse { .. }
            | Self::Ending { .. }
            | Self::Contended { .. }
            | Self::NotKept { .. }
            | Self::StillThere { .. } => Kind::Conflict,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Asked(source) => source.help(),
            Self::TooLong { .. } => Some("hand fewer certificates to this requirer".to_owned()),
            Self::NotOurs { .. } => {
                Some("give the requirer another name, or delete what has this one".to_owned())
            }
            Self::AnotherHouse { .. } => Some(
                "give the requirer another name for it; or delete it, if that other one is no more"
                    .to_owned(),
            ),
            Self::AnothersOwn { .. } => Some("give one of the two another name".to_owned()),
            Self::NoNamespace { .. } => Some("create it, or take it off the requirer's list".to_owned()),
            Self::NotKept { .. } | Self::Contended { .. } => {
                Some("look who else writes it: its `managedFields` have their names".to_owned())
            }
            Self::StillThere { .. } => Some("whoever set its finalizers has to take them away".to_owned()),
            Self::Ending { .. } => None,
        }
    }
}
