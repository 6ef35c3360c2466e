//! Beginning a rollover before it is time.
//!
//! The next CA certificate is made now, and handed on; it signs once it was handed on for a whole leaf lifetime, as one
//! that was made in time (`rollover.rs`). Holders notice nothing, whoever's programs they have.

use base::{Explain, Kind, Timestamp};
use identity::Permit;
use store::CommitError;
use x509::Certificate;

use crate::error::IssueError;
use crate::issuer::Issuer;
use crate::issuers::MakeError;
use crate::rollover::{self, BACK_DATED};
use crate::service::{ATTEMPTS_MAX, Authority, DOUBTS_MAX, Rotate};

/// A rollover that was begun, or would be.
#[derive(Debug, Clone)]
pub struct Rotation {
    /// What signs until then.
    pub current: Certificate,
    /// What follows it, if it was made.
    pub next: Option<Certificate>,
    /// After this the next one signs.
    pub signs_after: Timestamp,
    /// Until when the next one is good.
    pub not_after: Timestamp,
}

/// Why no rollover was begun.
#[derive(Debug, thiserror::Error)]
pub enum RotateError {
    /// One is under way: its certificate does not sign yet.
    #[error(
        "a rollover is under way: the next CA certificate was made on {made}, and signs after {signs_after}"
    )]
    UnderWay {
        /// When it was made.
        made: Timestamp,
        /// After this it signs.
        signs_after: Timestamp,
    },
    /// It could not be made.
    #[error(transparent)]
    Issue(#[from] IssueError),
}

impl From<store::Error> for RotateError {
    fn from(error: store::Error) -> Self {
        Self::Issue(error.into())
    }
}

impl Explain for RotateError {
    fn kind(&self) -> Kind {
        match self {
            Self::UnderWay { .. } => Kind::Conflict,
            Self::Issue(source) => source.kind(),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::UnderWay { .. } => {
                Some("wait until it signs: until then not everybody has heard of it".into())
            }
            Self::Issue(source) => source.help(),
        }
    }
}

impl Authority {
    /// Begins a rollover now; with `dry_run` only tells what that would be.
    ///
    /// Runs to its end once begun: callers must not drop it.
    ///
    /// # Errors
    /// [`RotateError`].
    pub async fn rotate(&self, permit: Permit<Rotate>, dry_run: bool) -> Result<Rotation, RotateError> {
        // First what is due anyway.
        self.issuers().await?;
        let _making = self.making.lock().await;
        let mut doubtful: Vec<Certificate> = Vec::new();
        for _ in 0..ATTEMPTS_MAX {
            let now = self.now();
            let (mut issuers, next_id) = self.load_issuers(now).await?;
            let life = self.profile.leaf_life;
            // One that a clock made that ran ahead is no rollover that is under way.
            rollover::leave_out_those_to_come(&mut issuers, life, now);
            let (Some(active), Some(newest)) = (rollover::active(&issuers, life, now), issuers.last()) else {
                return Err(IssueError::NoActiveIssuer.into());
            };
            let begun = |next: Certificate| Rotation {
                current: active.certificate().clone(),
                signs_after: next.not_before() + life,
                not_after: next.not_after(),
                next: Some(next),
            };
            // It was done although the answer was lost.
            if doubtful.contains(newest.certificate()) {
                self.held.forget();
                return Ok(begun(newest.certificate().clone()));
            }
            if active.certificate() != newest.certificate() {
                return Err(under_way(newest, newest.certificate().not_before() + life));
            }
            if dry_run {
                let not_before = now - BACK_DATED;
                return Ok(Rotation {
                    current: active.certificate().clone(),
                    next: None,
                    signs_after: not_before + life,
                    not_after: (not_before + self.profile.issuer_life).min(Timestamp::MAX),
                });
            }
            match self.make_issuer(Some(newest), next_id, now, permit.by()).await {
                Ok(next) => {
                    self.held.forget();
                    return Ok(begun(next));
                }
                // Somebody else made one.
                Err(MakeError::Issue(IssueError::Store(CommitError::Conflict { .. }))) => self.held.forget(),
                Err(MakeError::Unknown { made, .. }) if doubtful.len() < DOUBTS_MAX => doubtful.push(made),
                Err(error) => return Err(IssueError::from(error).into()),
            }
        }
        Err(IssueError::NoActiveIssuer.into())
    }
}

fn under_way(newest: &Issuer, signs_after: Timestamp) -> RotateError {
    RotateError::UnderWay { made: newest.certificate().not_before() + BACK_DATED, signs_after }
}
