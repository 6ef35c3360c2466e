//! Certificates without a pending request: renewals, and the house's own.

use identity::{Permit, Principal};
use store::{Batch, CommitError};
use x509::{Certificate, SigningRequest};

use crate::error::{ApproveError, RenewError, SubmitError};
use crate::issue::{Mark, Wish};
use crate::request::RequestId;
use crate::service::{ATTEMPTS_MAX, Authority, DOUBTS_MAX, Issue};
use crate::sign::Signed;
use crate::statement::ByHolder;
use crate::submit::{Job, wish_of};

impl Authority {
    /// A new certificate for the holder of one: subject and extensions as before, the key of `csr`. The old
    /// one stays valid. Neither the pending limit nor the automatic count is touched.
    ///
    /// Runs to its end once begun: callers must not drop it.
    ///
    /// # Errors
    /// [`RenewError`].
    pub async fn renew(
        &self,
        holder: ByHolder,
        csr: SigningRequest,
        text: &str,
    ) -> Result<Certificate, RenewError> {
        let old = holder.certificate();
        self.verify(old).await?;
        self.check_key(&csr)?;
        let wish = Wish {
            subject: old.subject(),
            public_key: csr.public_key(),
            extensions: old.extensions(),
            mark: Mark::Carried,
        };
        let by = holder.principal();
        self.issue_directly(&csr, text, &wish, &by).await
    }

    /// Certifies a key at once, as `csr` asks; for the house's own keys.
    ///
    /// Runs to its end once begun: callers must not drop it.
    ///
    /// # Errors
    /// As [`Authority::renew`].
    pub async fn issue(
        &self,
        permit: Permit<Issue>,
        csr: &SigningRequest,
        text: &str,
    ) -> Result<Certificate, RenewError> {
        self.check_key(csr)?;
        self.issue_directly(csr, text, &wish_of(csr, Mark::Approved), permit.by()).await
    }

    pub(crate) async fn issue_directly(
        &self,
        csr: &SigningRequest,
        text: &str,
        wish: &Wish<'_>,
        by: &Principal,
    ) -> Result<Certificate, RenewError> {
        let job = Job::new(csr, text, by)?;
        let mut signed: Option<Signed> = None;
        let mut doubts = 0;
        for _ in 0..ATTEMPTS_MAX {
            if let Some(before) = &signed
                && doubts > 0
                && self.is_stored_after_all(before, Some(by)).await?
            {
                return Ok(before.certificate.clone());
            }
            let known = self.known(&job).await?;
            if let Some(id) = known.same_bytes {
                // A request that waits is found again, and signed now.
                return match self.certify_pending(id, wish, by).await {
                    Ok(certificate) => Ok(certificate),
                    Err(ApproveError::NotPending { .. }) => Err(RenewError::AlreadyIssued),
                    Err(ApproveError::Draft(error) | ApproveError::Template(error)) => Err(error.into()),
                    Err(ApproveError::Issue(error)) => Err(error.into()),
                };
            }
            if known.key_taken {
                return Err(SubmitError::KeyKnown.into());
            }
            let now_signed = match signed.take() {
                Some(before) => self.sign_again_if_void(before, wish).await?,
                None => self.sign(wish).await?,
            };
            match self.store_directly(&job, &now_signed, by, wish.mark).await {
                Ok(()) => {
                    self.purge().await;
                    return Ok(now_signed.certificate);
                }
                // The same bytes or the same key came in this very moment, or the serial is void: look again.
                Err(CommitError::Conflict { key }) => self.note_conflict(&key),
                Err(CommitError::Unknown { .. }) if doubts < DOUBTS_MAX => doubts += 1,
                Err(error) => return Err(error.into()),
            }
            signed = Some(now_signed);
        }
        Err(CommitError::Conflict { key: self.tables.digest.key(&job.digest)? }.into())
    }

    async fn store_directly(
        &self,
        job: &Job,
        signed: &Signed,
        by: &Principal,
        mark: Mark,
    ) -> Result<(), CommitError> {
        let id = RequestId::random(&self.ground.entropy);
        let mut batch = Batch::new();
        self.stage_request(&mut batch, id, job, false)?;
        self.stage_certificate(&mut batch, id, signed, Some(by), mark)?;
        self.expect_reservations(&mut batch, [&signed.reserved])?;
        self.commit(batch).await?;
        self.certificate_is_stored(id, signed, Some(by));
        Ok(())
    }
}
