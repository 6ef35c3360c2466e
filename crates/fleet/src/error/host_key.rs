//! What can go wrong with the keys that hosts prove.

use base::{Explain, Kind};
use store::CommitError;

use crate::address::HostAddress;

use super::of_store;

/// Why a host's key was not shown or accepted.
#[derive(Debug, thiserror::Error)]
pub enum HostKeyError {
    /// There is no such host.
    #[error("the host {address} does not exist")]
    NoSuchHost {
        /// Which.
        address: HostAddress,
    },
    /// Nobody has met it, so there is nothing to compare with.
    #[error("the host {address} has not proved a key yet")]
    NotMet {
        /// Which.
        address: HostAddress,
    },
    /// It proves the key that is known.
    #[error("the host {address} has offered no other key than the known one")]
    NothingOffered {
        /// Which.
        address: HostAddress,
    },
    /// It offered another one than is meant.
    #[error("the host {address} has offered another key than that: {offered}")]
    Another {
        /// Which.
        address: HostAddress,
        /// The fingerprint of the one it offered.
        offered: String,
    },
    /// What is known of it is not as whoever asks has seen it.
    #[error("what is known of the key of {address} was changed meanwhile")]
    Changed {
        /// Which.
        address: HostAddress,
    },
    /// The store failed, or others were faster too often.
    #[error("could not read or write the host's key")]
    Store(#[source] CommitError),
}

impl Explain for HostKeyError {
    fn kind(&self) -> Kind {
        match self {
            Self::NoSuchHost { .. } | Self::NotMet { .. } => Kind::NotFound,
            Self::NothingOffered { .. } | Self::Another { .. } | Self::Changed { .. } => Kind::Conflict,
            Self::Store(source) => of_store(source),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::NotMet { .. } => Some("its key is pinned when it is looked at for the first time".into()),
            Self::Another { .. } => Some(
                "compare it with what `ssh-keygen -lf` says on the host of its /etc/ssh/ssh_host_*_key.pub"
                    .into(),
            ),
            Self::NoSuchHost { .. } | Self::NothingOffered { .. } | Self::Changed { .. } | Self::Store(_) => {
                None
            }
        }
    }
}
