//! The user who restored a backup gets a certificate, for another key than the one that the backup was opened with.

use base::{Explain, Kind};
use identity::Permit;
use x509::{Certificate, PublicKey, SigningRequest};

use crate::error::{RenewError, RevokeError};
use crate::issue::{Mark, Wish};
use crate::request::RequestId;
use crate::service::{Authority, Issue};

/// Who restored a backup got no certificate.
#[derive(Debug, thiserror::Error)]
pub enum RestoredError {
    /// No certificate of the key is stored.
    #[error("the backup has no certificate of the key that opens it")]
    UnknownKey,
    /// The store could not be read.
    #[error("could not read the authority")]
    Store(#[from] store::Error),
    /// It could not be renewed.
    #[error("the certificate could not be renewed")]
    Renew(#[from] RenewError),
    /// The old certificate could not be revoked.
    #[error("the old certificate could not be revoked")]
    Revoke(#[source] RevokeError),
}

impl Explain for RestoredError {
    fn kind(&self) -> Kind {
        match self {
            Self::UnknownKey => Kind::NotFound,
            Self::Store(error) => error.kind(),
            Self::Renew(error) => error.kind(),
            Self::Revoke(error) => error.kind(),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::UnknownKey | Self::Revoke(_) => None,
            Self::Store(error) => error.help(),
            Self::Renew(RenewError::Submit(crate::SubmitError::KeyKnown)) => {
                Some("make the signing request with a new key".into())
            }
            Self::Renew(error) => error.help(),
        }
    }
}

impl Authority {
    /// A new certificate for whoever opened a backup with `key`, which this authority certified, and the end of the old
    /// one. Who has opened it has the CA keys as well, so nothing more is asked of the old certificate: it may have ended
    /// since.
    ///
    /// # Errors
    /// [`RestoredError`].
    pub async fn renew_restored(
        &self,
        permit: &Permit<Issue>,
        key: &PublicKey,
        csr: &SigningRequest,
        text: &str,
    ) -> Result<Certificate, RestoredError> {
        let old = self.certificate_of(key).await?.ok_or(RestoredError::UnknownKey)?;
        self.check_key(csr).map_err(RenewError::from)?;
        let wish = Wish {
            subject: old.subject(),
            public_key: csr.public_key(),
            extensions: old.extensions(),
            mark: Mark::Carried,
        };
        let renewed = self.issue_directly(csr, text, &wish, permit.by(), None).await?;
        if old.not_after() >= self.now() {
            match self.store_revocation(&old.serial(), Some(&old), old.not_after(), permit.by()).await {
                Ok(()) | Err(RevokeError::AlreadyRevoked) => {}
                Err(error) => return Err(RestoredError::Revoke(error)),
            }
        }
        Ok(renewed)
    }

    /// The certificate that was issued for `key`, where each key has one.
    async fn certificate_of(&self, key: &PublicKey) -> Result<Option<Certificate>, store::Error> {
        let Some(request) = self.tables.key.get(&key.key_id().to_string()).await? else { return Ok(None) };
        let id = RequestId::from_record(request.record.request);
        let Some(issued) = self.tables.issued.get(&id.key()).await? else { return Ok(None) };
        let held = self.tables.certificate.get(&issued.record.serial).await?;
        Ok(held.and_then(|held| Certificate::from_pem(held.record.certificate.as_bytes()).ok()))
    }
}
