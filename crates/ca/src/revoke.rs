//! Taking certificates back.

use base::Timestamp;
use identity::{Permit, Principal};
use store::{Batch, CommitError, Page};
use x509::{Certificate, Serial, VerifyError};

use crate::authority::{AuthorityName, Profile};
use crate::error::{IssueError, RevokeError, VerifyHolderError};
use crate::event::Happened;
use crate::held::Held;
use crate::record::RevokedRecord;
use crate::service::{ATTEMPTS_MAX, AUTOMATIC, Authority, CRL, DOUBTS_MAX, Revoke};
use crate::statement::ByHolder;

/// How many certificates of users are looked at together, after one was taken back.
const LOOKED_AT_ONCE: usize = 50;
/// How often at most, so that whoever revokes is not kept waiting.
const LOOKS_MAX: usize = 20;

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
        let by = holder.principal();
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
        // What an authority says of itself, its list included, cannot be that nothing it says counts.
        if certificate.is_ca() {
            return Err(RevokeError::OfAuthority);
        }
        match self
            .store_revocation(&certificate.serial(), Some(certificate), certificate.not_after(), by)
            .await
        {
            // Between our look and our commit somebody else revoked it.
            Err(RevokeError::AlreadyRevoked) => Err(VerifyHolderError::Verify(VerifyError::Revoked).into()),
            other => other,
        }
    }

    /// Revokes whatever has this serial, whether or not it was ever issued, but for the authority itself.
    ///
    /// # Errors
    /// [`RevokeError::AlreadyRevoked`] when it is listed already, [`RevokeError::OfAuthority`].
    pub async fn revoke_serial(&self, permit: Permit<Revoke>, serial: &Serial) -> Result<(), RevokeError> {
        let issuers = self.issuers().await?;
        if issuers.iter().any(|issuer| issuer.certificate().serial() == *serial) {
            return Err(RevokeError::OfAuthority);
        }
        let last = issuers.last().ok_or(IssueError::NoActiveIssuer)?.certificate().not_after();
        self.store_revocation(serial, None, last, permit.by()).await
    }

    pub(crate) async fn store_revocation(
        &self,
        serial: &Serial,
        certificate: Option<&Certificate>,
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
            let number = counted.number;
            self.record_event(&mut batch, &Happened::Revoked { serial, certificate, number }, Some(by))?;
            match self.commit(batch).await {
                Ok(_) => {
                    tracing::info!(authority = %self.profile.name, %serial, %by, "certificate revoked");
                    self.warn_when_nobody_is_left().await;
                    return Ok(());
                }
                Err(CommitError::Conflict { .. }) => {}
                Err(CommitError::Unknown { .. }) if doubts < DOUBTS_MAX => doubts += 1,
                Err(error) => return Err(error.into()),
            }
        }
        Err(CommitError::Conflict { key: self.tables.crl.key(CRL)? }.into())
    }

    /// Nobody is kept from revoking the last user's certificate: its key may have been stolen. But they are told
    /// what that means.
    async fn warn_when_nobody_is_left(&self) {
        if self.profile.name == AuthorityName::Users
            && matches!(self.is_anybody_left().await, Ok(Some(false)))
        {
            let is_locked = self.tables.automatic.get(AUTOMATIC).await.is_ok_and(|locked| locked.is_some());
            let hint = if is_locked {
                "the auto-approve count of users is locked, so that no start lets another in: restore a backup"
            } else {
                "to let one in, start with an auto-approve count of users above the number of requests for users there \
                 ever were, submit another, and take it back"
            };
            tracing::warn!(hint, "no user has a good certificate any more: nobody can approve or revoke");
        }
    }

    /// Whether a user has a good certificate; `None` when none is found among many. The certificates of users are kept
    /// as long as they are good, so where there is one it is found soon.
    async fn is_anybody_left(&self) -> Result<Option<bool>, store::Error> {
        let now = self.now();
        let mut page = Some(Page::first(LOOKED_AT_ONCE));
        for _ in 0..LOOKS_MAX {
            let Some(next) = page else { return Ok(Some(false)) };
            let listing = self.tables.certificate.list(next).await?;
            for (_, loaded) in &listing.entries {
                if let Ok(held) = Certificate::from_pem(loaded.record.certificate.as_bytes())
                    && held.not_after() >= now
                    && self.tables.revoked.get(&held.serial().hex()).await?.is_none()
                {
                    return Ok(Some(true));
                }
            }
            page = listing.next;
        }
        Ok(page.is_none().then_some(false))
    }
}
