//! Certificates without a pending request: renewals, and the house's own.

use identity::{Permit, Principal};
use store::{Batch, CommitError};
use x509::{Certificate, SigningRequest};

use crate::error::{ApproveError, IssueError, RenewError, SubmitError};
use crate::issue::{Mark, Wish};
use crate::issuers::Believed;
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
        let believed = self.verify_and_believe(old).await?;
        self.check_key(&csr)?;
        let wish = Wish {
            subject: old.subject(),
            public_key: csr.public_key(),
            extensions: old.extensions(),
            mark: Mark::Carried,
        };
        let by = holder.principal();
        self.issue_directly(&csr, text, &wish, &by, Some((old, believed))).await
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
        self.issue_directly(csr, text, &wish_of(csr, Mark::Approved), permit.by(), None).await
    }

    /// `for_holder` is whose word it is done upon, if upon any's, and as of when that was good.
    pub(crate) async fn issue_directly(
        &self,
        csr: &SigningRequest,
        text: &str,
        wish: &Wish<'_>,
        by: &Principal,
        mut for_holder: Option<(&Certificate, Believed)>,
    ) -> Result<Certificate, RenewError> {
        let job = Job::new(csr, text, by)?;
        let mut signed: Option<Signed> = None;
        let (mut doubts, mut is_doubted) = (0, false);
        for _ in 0..ATTEMPTS_MAX {
            if let Some(before) = &signed
                && doubts > 0
                && self.is_stored_after_all(before, Some(by)).await?
            {
                return Ok(before.certificate.clone());
            }
            if is_doubted && let Some((holder, believed)) = &mut for_holder {
                *believed = self.verify_and_believe(holder).await?;
                is_doubted = false;
            }
            let believed = for_holder.map(|(_, believed)| believed);
            let known = self.known(&job).await?;
            if let Some(id) = known.same_bytes {
                // A request that waits is found again, and signed now.
                return match self.certify_pending(id, wish, by, believed).await {
                    Ok(certificate) => Ok(certificate),
                    Err(ApproveError::Issue(IssueError::Store(CommitError::Conflict { key })))
                        if self.is_about_belief(&key) =>
                    {
                        is_doubted = true;
                        continue;
                    }
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
            match self.store_directly(&job, &now_signed, by, wish.mark, believed).await {
                Ok(()) => {
                    self.purge().await;
                    return Ok(now_signed.certificate);
                }
                // The same bytes or the same key came in this very moment, or the serial is void: look again.
                Err(CommitError::Conflict { key }) => {
                    is_doubted |= self.is_about_belief(&key);
                    self.note_conflict(&key);
                }
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
        believed: Option<Believed>,
    ) -> Result<(), CommitError> {
        let id = RequestId::random(&self.ground.entropy);
        let mut batch = Batch::new();
        self.stage_request(&mut batch, id, job, false)?;
        self.stage_certificate(&mut batch, id, signed, Some(by), mark)?;
        self.expect_reservations(&mut batch, [&signed.reserved])?;
        if let Some(believed) = believed {
            self.expect_believed(&mut batch, believed)?;
        }
        self.commit(batch).await?;
        self.certificate_is_stored(id, signed, Some(by));
        Ok(())
    }
}
