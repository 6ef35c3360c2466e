//! Taking certificates back.

use base::Timestamp;
use identity::{Permit, Principal};
use store::{Batch, CommitError};
use x509::{Certificate, Serial, VerifyError};

use crate::authority::Profile;
use crate::error::{IssueError, RevokeError, VerifyHolderError};
use crate::event::Happened;
use crate::held::Held;
use crate::record::RevokedRecord;
use crate::service::{ATTEMPTS_MAX, Authority, CRL, DOUBTS_MAX, Revoke};
use crate::statement::ByHolder;

/// When the entry for a certificate that ends at `not_after` may be dropped: once the last list that was
/// made while it was valid has expired (caucase contract, section 6.5).
pub(crate) fn drop_at(profile: &Profile, not_after: Timestamp) -> Timestamp {
    not_after + profile.crl_life()
}

/// Forgets the revocation lists at its end.
struct Forgetting<'a>(&'a Held);

impl Drop for Forgetting<'_> {
    fn drop(&mut self) {
        self.0.forget_published();
    }
}

impl Authority {
    /// Revokes the certificate of the one who asks.
    ///
    /// Runs to its end once begun: callers must not drop it.
    ///
    /// # Errors
    /// [`RevokeError`].
    pub async fn revoke_own(&self, holder: ByHolder) -> Result<(), RevokeError> {
        let by = Principal::holder_of(holder.certificate());
        self.revoke_verified(holder.certificate(), &by).await
    }

    /// Revokes somebody's certificate.
    ///
    /// Runs to its end once begun: callers must not drop it.
    ///
    /// # Errors
    /// [`RevokeError`].
    pub async fn revoke(&self, permit: Permit<Revoke>, certificate: &Certificate) -> Result<(), RevokeError> {
        self.revoke_verified(certificate, permit.by()).await
    }

    async fn revoke_verified(&self, certificate: &Certificate, by: &Principal) -> Result<(), RevokeError> {
        self.verify(certificate).await?;
        match self.store_revocation(&certificate.serial(), certificate.not_after(), by).await {
            // Between our look and our commit somebody else revoked it.
            Err(RevokeError::AlreadyRevoked) => Err(VerifyHolderError::Verify(VerifyError::Revoked).into()),
            other => other,
        }
    }

    /// Revokes whatever has this serial, whether or not it was ever issued.
    ///
    /// # Errors
    /// [`RevokeError::AlreadyRevoked`] when it is listed already.
    pub async fn revoke_serial(&self, permit: Permit<Revoke>, serial: &Serial) -> Result<(), RevokeError> {
        let issuers = self.issuers().await?;
        let last = issuers.last().ok_or(IssueError::NoActiveIssuer)?.certificate().not_after();
        self.store_revocation(serial, last, permit.by()).await
    }

    async fn store_revocation(
        &self,
        serial: &Serial,
        not_after: Timestamp,
        by: &Principal,
    ) -> Result<(), RevokeError> {
        let record =
            RevokedRecord { at: self.now().as_unix(), drop_at: drop_at(&self.profile, not_after).as_unix() };
        // Whatever comes of it: a commit may have happened although it was not answered.
        let _forgetting = Forgetting(&self.held);
        let mut doubts = 0;
        for _ in 0..ATTEMPTS_MAX {
            if self.tables.revoked.get(&serial.hex()).await?.is_some() {
                // When it is not known whether that was us, it is as it was asked to be.
                return if doubts > 0 { Ok(()) } else { Err(RevokeError::AlreadyRevoked) };
            }
            let loaded = self.tables.crl.get(CRL).await?;
            let mut counted = loaded.as_ref().map(|loaded| loaded.record).unwrap_or_default();
            counted.number += 1;
            let mut batch = Batch::new();
            self.tables.revoked.create(&mut batch, &serial.hex(), &record)?;
            self.tables.crl.put_over(&mut batch, CRL, &counted, loaded.map(|loaded| loaded.version))?;
            self.record_event(&mut batch, &Happened::Revoked { serial }, Some(by))?;
            match self.commit(batch).await {
                Ok(_) => {
                    tracing::info!(authority = %self.profile.name, %serial, %by, "certificate revoked");
                    return Ok(());
                }
                Err(CommitError::Conflict { .. }) => {}
                Err(CommitError::Unknown { .. }) if doubts < DOUBTS_MAX => doubts += 1,
                Err(error) => return Err(error.into()),
            }
        }
        Err(CommitError::Conflict { key: self.tables.crl.key(CRL)? }.into())
    }
}
