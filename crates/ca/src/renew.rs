//! Certificates without a pending request: renewals, and the house's own.

use identity::{Permit, Principal};
use store::{Batch, CommitError};
use x509::{Certificate, SigningRequest};

use crate::error::{ApproveError, IssueError, RenewError, SubmitError};
use crate::issue::{self, Mark, Wish};
use crate::record::Origin;
use crate::request::RequestId;
use crate::service::{ATTEMPTS_MAX, Authority, Issue};
use crate::statement::ByHolder;
use crate::submit::{Begun, Job};

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
        let by = Principal::holder_of(old);
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
        let wish = Wish {
            subject: csr.subject(),
            public_key: csr.public_key(),
            extensions: csr.extensions(),
            mark: Mark::Approved,
        };
        self.issue_directly(csr, text, &wish, permit.by()).await
    }

    async fn issue_directly(
        &self,
        csr: &SigningRequest,
        text: &str,
        wish: &Wish<'_>,
        by: &Principal,
    ) -> Result<Certificate, RenewError> {
        let job = Job::new(csr.clone(), text);
        for _ in 0..ATTEMPTS_MAX {
            let known = self.known(&job).await?;
            let begun = match known.same_bytes {
                // A request that waits is found again, and signed now.
                Some(id) => match self.begin_pending(id, wish, Origin::Approval, by).await {
                    Ok(begun) => begun,
                    Err(ApproveError::NotPending { .. }) => return Err(RenewError::AlreadyIssued),
                    Err(ApproveError::Draft(error)) => return Err(error.into()),
                    Err(ApproveError::Issue(error)) => return Err(error.into()),
                },
                None if known.key_taken => return Err(SubmitError::KeyKnown.into()),
                None => match self.begin_direct(&job, wish).await {
                    Ok(begun) => begun,
                    // The same bytes or the same key came in this very moment: look again.
                    Err(RenewError::Issue(IssueError::Store(CommitError::Conflict { .. }))) => continue,
                    Err(error) => return Err(error),
                },
            };
            let certificate = self.finish(begun, Some(by)).await?;
            self.purge().await;
            return Ok(certificate);
        }
        Err(CommitError::Conflict { key: self.tables.digest.key(&job.digest)? }.into())
    }

    async fn begin_direct(&self, job: &Job, wish: &Wish<'_>) -> Result<Begun, RenewError> {
        let issuer = self.active().await?;
        let draft = issue::draft(&self.profile, &issuer, wish, &self.ground.entropy, self.now())?;
        let id = RequestId::random(&self.ground.entropy);
        let mut batch = Batch::new();
        self.stage_request(&mut batch, id, job, false)?;
        self.stage_intent(&mut batch, id, &draft, Origin::Direct)?;
        let intent = self.commit(batch).await?;
        Ok(Begun { id, draft, intent })
    }
}
