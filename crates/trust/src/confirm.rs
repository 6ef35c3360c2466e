//! That a program which asks by itself has what it is to have, or could not have it, as it says.
//!
//! ```text
//! begin ──► it puts the bundle where it wants it ──► confirm, or fail
//! decline: it does not begin, as it cannot
//! ```
//! Whoever began may have something, whatever becomes of it: a requirer that is to go stays until all who did have confirmed
//! that they have nothing.

use identity::{Action as _, Permit, Principal};
use store::{Batch, CommitError, Loaded};
use x509::has_private_key;

use crate::account::{NotYours, Only};
use crate::bundle::Bundle;
use crate::error::ReadError;
use crate::name::RequirerName;
use crate::outcome::{Outcome, Put};
use crate::place::Place;
use crate::record::{PlaceRecord, RequirerRecord, UnitRecord};
use crate::service::{ReadTrust, Trust};

/// The longest name of a place, in bytes.
const UNIT_BYTES_MAX: usize = 253;
/// The longest reason that such a program gives, in bytes.
const REASON_BYTES_MAX: usize = 500;
/// The most programs that ask by themselves for one requirer and say what they have.
const POLLERS_MAX: usize = 10_000;
/// Of how many such programs the last one has its requirer go by its word. Of more, whoever looks after the places does.
const LOOKED_AT_MAX: usize = 100;

/// Why a program's word is not taken.
#[derive(Debug, thiserror::Error)]
pub enum ConfirmError {
    /// What it calls itself is no name.
    #[error("a place's name has 1 to {UNIT_BYTES_MAX} letters, digits, `-`, `_`, `.` and `:`")]
    Unit,
    /// Why it fails is not told as it has to be.
    #[error(
        "why a place fails is one line of 1 to {REASON_BYTES_MAX} bytes, without control characters and keys"
    )]
    Reason,
    /// The server puts the certificates there, and looks itself.
    #[error("the requirer's certificates are put in their places by the server, which looks itself")]
    Looked,
    /// It is somebody else's word that counts there.
    #[error(transparent)]
    NotYours(#[from] NotYours),
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
            Self::Unit | Self::Reason => base::Kind::Invalid,
            Self::Looked | Self::Other => base::Kind::Conflict,
            Self::Full => base::Kind::Full,
            Self::NotYours(source) => source.kind(),
            Self::Read(source) => source.kind(),
            Self::Store(CommitError::Store(source)) => source.kind(),
            Self::Store(_) => base::Kind::Unavailable,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Other => Some("ask for the bundle again".into()),
            Self::Read(source) => source.help(),
            Self::NotYours(source) => source.help(),
            Self::Unit | Self::Reason | Self::Looked | Self::Full | Self::Store(_) => None,
        }
    }
}

impl Trust {
    /// Says that a program which asks by itself is about to put the bundle `hash` where it wants it. Unless that is nothing,
    /// it is written down, and its requirer does not go before it has nothing any more.
    ///
    /// # Errors
    /// [`ConfirmError`]; then nothing is to be put anywhere.
    pub async fn begin(
        &self,
        permit: Permit<ReadTrust>,
        requirer: &RequirerName,
        unit: &str,
        hash: &str,
    ) -> Result<(), ConfirmError> {
        let mut attempts = 0;
        loop {
            // Before it is looked what it is to have: who is to go meanwhile, is another one by then.
            let found = self.check_poller(permit.by(), requirer, unit).await?;
            let bundle = self.bundle_of(requirer).await?.bundle;
            if bundle.hash() != hash {
                return Err(ConfirmError::Other);
            }
            let id = format!("{requirer}/{unit}");
            let known = self.units.get(&id).await?;
            let nothing = Bundle::union([]);
            // Who said that it has nothing may have something from now on.
            let may_have = known.as_ref().is_some_and(|known| !known.record.is_rid(nothing.hash()));
            if bundle.anchors().is_empty() || may_have {
                return Ok(());
            }
            let mut batch = Batch::new();
            self.requirers.expect_at(&mut batch, requirer.as_str(), found.version)?;
            match known {
                Some(Loaded { record, version }) => {
                    let record = UnitRecord { applied: None, since: None, ..record };
                    self.units.update(&mut batch, &id, &record, version)?;
                }
                None => {
                    self.check_room(requirer, unit).await?;
                    self.units.create(&mut batch, &id, &UnitRecord::default())?;
                }
            }
            match self.ground.engine.commit(batch).await {
                Ok(_) => return Ok(()),
                Err(error) => Self::again(error, &mut attempts)?,
            }
        }
    }

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
        let found = self.check_poller(permit.by(), requirer, unit).await?;
        let bundle = self.bundle_of(requirer).await?.bundle;
        if bundle.hash() != hash {
            return Err(ConfirmError::Other);
        }
        let result = Ok(Put { hash: hash.to_owned(), drifted: false });
        self.note_poller(&permit, polled(requirer, unit, result, None), UnitRecord::default()).await?;
        if found.record.leaving.is_some()
            && bundle.anchors().is_empty()
            && let Err(error) = self.let_go(requirer, hash).await
        {
            // What was said is written down. Whoever looks after the places does the rest.
            tracing::warn!(%requirer, error = %base::report(&error), "it is not forgotten yet");
        }
        Ok(())
    }

    /// Has `requirer`, which is to go, go, if nobody has anything of it any more: `nothing` is the hash of that.
    async fn let_go(&self, requirer: &RequirerName, nothing: &str) -> Result<(), CommitError> {
        let units = self.units_of(requirer, None, LOOKED_AT_MAX + 1).await?;
        let is_rid = |record: &UnitRecord| record.places.is_empty() && record.is_rid(nothing);
        if units.len() <= LOOKED_AT_MAX && units.iter().all(|(_, found)| is_rid(&found.record)) {
            self.forget_requirer(&Principal::house(), requirer).await?;
        }
        Ok(())
    }

    /// Says that a program which asks by itself could not put the bundle `hash` where it wants it, and why: in one line, of
    /// 500 bytes at most. It may have some of it all the same, and what it had before; both are remembered until it has what
    /// it is to have.
    ///
    /// # Errors
    /// [`ConfirmError`]. That there is another bundle by now is none: that one failed as well.
    pub async fn fail(
        &self,
        permit: Permit<ReadTrust>,
        requirer: &RequirerName,
        unit: &str,
        hash: &str,
        reason: &str,
    ) -> Result<(), ConfirmError> {
        self.check_failure(&permit, requirer, unit, hash, reason).await?;
        let tried = Some(hash.to_owned());
        self.note_poller(
            &permit,
            polled(requirer, unit, Err(reason.to_owned()), tried),
            UnitRecord::default(),
        )
        .await
    }

    /// Says that a program which asks by itself cannot begin with the bundle `hash`, and why, as [`Trust::fail`] takes it: it
    /// put nothing anywhere. What it had before, it has still; if nothing is known of it, it has nothing, and its requirer
    /// does not wait for it.
    ///
    /// # Errors
    /// As for [`Trust::fail`].
    pub async fn decline(
        &self,
        permit: Permit<ReadTrust>,
        requirer: &RequirerName,
        unit: &str,
        hash: &str,
        reason: &str,
    ) -> Result<(), ConfirmError> {
        self.check_failure(&permit, requirer, unit, hash, reason).await?;
        let nothing = Some(Bundle::union([]).hash().to_owned());
        let unknown = UnitRecord { applied: nothing, ..UnitRecord::default() };
        self.note_poller(&permit, polled(requirer, unit, Err(reason.to_owned()), None), unknown).await
    }

    async fn check_failure(
        &self,
        permit: &Permit<ReadTrust>,
        requirer: &RequirerName,
        unit: &str,
        hash: &str,
        reason: &str,
    ) -> Result<(), ConfirmError> {
        self.check_poller(permit.by(), requirer, unit).await?;
        if !(1..=REASON_BYTES_MAX).contains(&reason.len())
            || reason.chars().any(char::is_control)
            || has_private_key(reason.as_bytes())
        {
            return Err(ConfirmError::Reason);
        }
        let is_hash = hash.len() == 64 && hash.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if is_hash { Ok(()) } else { Err(ConfirmError::Other) }
    }

    async fn check_poller(
        &self,
        by: &Principal,
        requirer: &RequirerName,
        unit: &str,
    ) -> Result<Loaded<RequirerRecord>, ConfirmError> {
        let found = self.load_requirer(requirer).await?;
        let found = found.ok_or_else(|| ReadError::NoRequirer(requirer.clone()))?;
        let is_name = (1..=UNIT_BYTES_MAX).contains(&unit.len())
            && unit.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte));
        if !is_name {
            return Err(ConfirmError::Unit);
        }
        let PlaceRecord::Poll { only } = &found.record.place else { return Err(ConfirmError::Looked) };
        let what = format!("what is in the places of `{requirer}`");
        Only::from_record(only.clone()).check(by, ReadTrust::ROLE, &what)?;
        Ok(found)
    }

    /// Whether one more may be written down, if `unit` is one more.
    async fn check_room(&self, requirer: &RequirerName, unit: &str) -> Result<(), ConfirmError> {
        if self.units.get(&format!("{requirer}/{unit}")).await?.is_none()
            && self.units_of(requirer, None, POLLERS_MAX).await?.len() >= POLLERS_MAX
        {
            return Err(ConfirmError::Full);
        }
        Ok(())
    }

    /// Writes it down; `unknown` is taken to be written down of a place of which nothing is.
    async fn note_poller(
        &self,
        permit: &Permit<ReadTrust>,
        outcome: Outcome,
        unknown: UnitRecord,
    ) -> Result<(), ConfirmError> {
        let Outcome { requirer, unit, .. } = &outcome;
        let mut attempts = 0;
        loop {
            let mut batch = Batch::new();
            self.check_room(requirer, unit).await?;
            self.note(&mut batch, &outcome, unknown.clone(), permit.by()).await?;
            match self.ground.engine.commit(batch).await {
                Ok(_) => return Ok(()),
                Err(error) => Self::again(error, &mut attempts)?,
            }
        }
    }
}

/// What came of it in `unit`, where a program puts it that asks by itself.
fn polled(
    requirer: &RequirerName,
    unit: &str,
    result: Result<Put, String>,
    tried: Option<String>,
) -> Outcome {
    let (requirer, unit, settled) = (requirer.clone(), unit.to_owned(), Vec::new());
    Outcome {
        requirer,
        unit,
        place: Place::Poll { only: Only::default() },
        result,
        tried,
        settled,
        gone: false,
    }
}
