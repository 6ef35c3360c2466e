//! Why the house does not stand, and why somebody is not let in.

use base::{Explain, Kind, Timestamp};
use ca::AuthorityName;
use identity::SignInError;

use crate::server_identity::ServerIdentityError;

/// Why the house does not stand.
#[derive(Debug, thiserror::Error)]
pub enum HouseError {
    /// The store's secrets are sealed under another key.
    #[error("the store was made with another sealing key than the one this process has")]
    OtherKey(#[source] store::SealError),
    /// The clock says that it is long before the house was here last.
    #[error("the clock says {now}, but this house was running at {seen} already")]
    ClockBehind {
        /// What the clock says.
        now: Timestamp,
        /// What it said when the house looked last.
        seen: Timestamp,
    },
    /// The clock says that everything has ended while the house was away.
    #[error(
        "the clock says {now}, and this house was running at {seen}: every CA certificate that the {name} authority \
         had then would have ended since, the last of them at {ended}, and every certificate they signed"
    )]
    ClockAhead {
        /// What the clock says.
        now: Timestamp,
        /// What it said when the house looked last.
        seen: Timestamp,
        /// Whose CA certificates.
        name: AuthorityName,
        /// When the last one ends.
        ended: Timestamp,
    },
    /// What time it is could not be written down.
    #[error("what time it is could not be written down")]
    Clock(#[source] store::CommitError),
    /// An authority could not be opened.
    #[error("the {name} authority could not be opened")]
    Authority {
        /// Which one.
        name: AuthorityName,
        /// Why.
        source: ca::OpenError,
    },
    /// Serials that an earlier run had reserved could not be voided.
    #[error("serials that an earlier run had reserved could not be voided")]
    VoidSerials(#[source] ca::IssueError),
    /// The fleet could not be opened.
    #[error("the fleet could not be opened")]
    Fleet(#[source] store::CommitError),
    /// What tells this house from others could not be written down.
    #[error("what tells this house from others could not be written down")]
    Mark(#[source] store::CommitError),
    /// The server has no certificate.
    #[error("the server has no certificate")]
    ServerIdentity(#[from] ServerIdentityError),
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] store::Error),
    /// The first administrator's certificate could not be made.
    #[error("the first administrator's certificate could not be made")]
    Administrator(#[source] ca::RenewError),
    /// The first administrator's key could not be made.
    #[error("the first administrator's key could not be made: {0}")]
    Key(x509::KeyError),
}

impl Explain for HouseError {
    fn kind(&self) -> Kind {
        match self {
            Self::OtherKey(_) | Self::ClockBehind { .. } | Self::ClockAhead { .. } => Kind::Conflict,
            Self::Clock(source) => source.kind(),
            Self::Authority { source, .. } => source.kind(),
            Self::VoidSerials(source) => source.kind(),
            Self::Fleet(source) | Self::Mark(source) => source.kind(),
            Self::ServerIdentity(source) => source.kind(),
            Self::Store(source) => source.kind(),
            Self::Administrator(source) => source.kind(),
            Self::Key(_) => Kind::Internal,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::OtherKey(_) => Some(
                "put the key file of the process that made the store in the place of this one's: all that share \
                 a store need the same"
                    .into(),
            ),
            Self::ClockBehind { .. } => Some(
                "nothing was changed: set the clock right, or, if it is right now and was wrong then, start once with \
                 --clock-is-right"
                    .into(),
            ),
            Self::ClockAhead { .. } => Some(
                "nothing was changed: set the clock right, or, if it is right, start once with --clock-is-right: new CA \
                 certificates are made then, and all who hold certificates have to begin anew"
                    .into(),
            ),
            Self::Clock(source) => source.help(),
            Self::Authority { source, .. } => source.help(),
            Self::VoidSerials(source) => source.help(),
            Self::Fleet(source) | Self::Mark(source) => source.help(),
            Self::ServerIdentity(source) => source.help(),
            Self::Store(source) => source.help(),
            Self::Administrator(source) => source.help(),
            Self::Key(_) => None,
        }
    }
}

/// Why somebody could not be signed in.
#[derive(Debug, thiserror::Error)]
pub enum SignInFailed {
    /// What they offered does not prove who they are.
    #[error(transparent)]
    SignIn(#[from] SignInError),
    /// We could not look.
    #[error("who asks could not be looked up")]
    Authority(#[from] ca::CrlError),
}

impl Explain for SignInFailed {
    fn kind(&self) -> Kind {
        match self {
            Self::SignIn(source) => source.kind(),
            Self::Authority(source) => source.kind(),
        }
    }
}
