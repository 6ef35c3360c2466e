//! That a program which asks by itself has what it is to have, as it says.

use identity::Permit;
use store::{Batch, CommitError};

use crate::error::ReadError;
use crate::name::RequirerName;
use crate::outcome::{Outcome, Put};
use crate::place::Place;
use crate::record::PlaceRecord;
use crate::service::{ReadTrust, Trust};

/// The longest name of a place, in bytes.
const UNIT_BYTES_MAX: usize = 253;
/// The most programs that ask by themselves for one requirer and say what they have.
const POLLERS_MAX: usize = 10_000;

/// Why a program's word is not taken.
#[derive(Debug, thiserror::Error)]
pub enum ConfirmError {
    /// What it calls itself is no name.
    #[error("a place's name has 1 to {UNIT_BYTES_MAX} letters, digits, `-`, `_`, `.` and `:`")]
    Unit,
    /// The server puts the certificates there, and looks itself.
    #[error("the requirer's certificates are put in their places by the server, which looks itself")]
    Looked,
    /// There is another bundle by now.
    #[error("that is not the bundle that the requirer is to have")]
    Other,
    /// Too many said so.
    #[error("the requirer has {POLLERS_MAX} places, and no more are written down")]
    Full,
    /// It could not be looked up.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The store failed.
    #[error("could not write it down")]
    Store(#[from] CommitError),
}

impl From<store::Error> for ConfirmError {
    fn from(error: store::Error) -> Self {
        Self::Store(error.into())
    }
}

impl base::Explain for ConfirmError {
    fn kind(&self) -> base::Kind {
        match self {
            Self::Unit => base::Kind::Invalid,
            Self::Looked | Self::Other => base::Kind::Conflict,
            Self::Full => base::Kind::Full,
            Self::Read(source) => source.kind(),
            Self::Store(CommitError::Store(source)) => source.kind(),
            Self::Store(_) => base::Kind::Unavailable,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Other => Some("ask for the bundle again".into()),
            Self::Read(source) => source.help(),
            Self::Unit | Self::Looked | Self::Full | Self::Store(_) => None,
        }
    }
}

impl Trust {
    /// Says that a program which asks by itself has put the bundle `hash` where it wants it.
    ///
    /// # Errors
    /// [`ConfirmError`].
    pub async fn confirm(
        &self,
        permit: Permit<ReadTrust>,
        requirer: &RequirerName,
        unit: &str,
        hash: &str,
    ) -> Result<(), ConfirmError> {
        let bundle = self.bundle_of(requirer).await?.bundle;
        let is_name = (1..=UNIT_BYTES_MAX).contains(&unit.len())
            && unit.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte));
        if !is_name {
            return Err(ConfirmError::Unit);
        }
        let found = self.load_requirer(requirer).await?;
        if found.is_none_or(|found| found.record.place != PlaceRecord::Poll) {
            return Err(ConfirmError::Looked);
        }
        if bundle.hash() != hash {
            return Err(ConfirmError::Other);
        }
        let result = Ok(Put { hash: hash.to_owned(), drifted: false });
        let (requirer_name, unit_name, place) = (requirer.clone(), unit.to_owned(), Place::Poll);
        let settled = Vec::new();
        let outcome =
            Outcome { requirer: requirer_name, unit: unit_name, place, result, settled, gone: false };
        let mut attempts = 0;
        loop {
            let mut batch = Batch::new();
            if self.units.get(&format!("{requirer}/{unit}")).await?.is_none()
                && self.units_of(requirer, None, POLLERS_MAX).await?.len() >= POLLERS_MAX
            {
                return Err(ConfirmError::Full);
            }
            self.note(&mut batch, &outcome, permit.by()).await?;
            match self.ground.engine.commit(batch).await {
                Ok(_) => return Ok(()),
                Err(error) => Self::again(error, &mut attempts)?,
            }
        }
    }
}
