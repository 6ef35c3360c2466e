//! Deciding about pending requests: approving and rejecting.

use identity::{Permit, Principal};
use store::{Batch, CommitError, Version};
use x509::{Certificate, SigningRequest};

use crate::error::{ApproveError, RejectError};
use crate::event::Happened;
use crate::issue::{Mark, Wish};
use crate::issuers::Believed;
use crate::ledger::LEDGER;
use crate::request::RequestId;
use crate::service::{ATTEMPTS_MAX, Approve, Authority, DOUBTS_MAX, Reject};
use crate::submit::stored_request;

impl Authority {
    /// Signs a pending request, as it asks or as `template` asks for the same key.
    ///
    /// Runs to its end once begun: callers must not drop it.
    ///
    /// # Errors
    /// [`ApproveError::NotPending`] also when somebody else was faster.
    pub async fn approve(
        &self,
        permit: Permit<Approve>,
        id: RequestId,
        template: Option<&SigningRequest>,
    ) -> Result<Certificate, ApproveError> {
        let text = match self.tables.pending.get(&id.key()).await? {
            Some(_) => self.tables.request.get(&id.key()).await?.ok_or(ApproveError::NotPending { id })?,
            None => return Err(ApproveError::NotPending { id }),
        };
        let csr = stored_request(&text.record, id)?;
        let asks = template.unwrap_or(&csr);
        let wish = Wish {
            subject: asks.subject(),
            public_key: csr.public_key(),
            extensions: asks.extensions(),
            mark: Mark::Approved,
        };
        let certified = self.certify_pending(id, &wish, permit.by(), None).await;
        certified.map_err(|error| match error {
            ApproveError::Draft(error) if template.is_some() => ApproveError::Template(error),
            error => error,
        })
    }

    /// Signs, and takes the request out of the pending ones in the commit that stores the certificate, which conflicts if
    /// who is `believed` may not be so any more.
    pub(crate) async fn certify_pending(
        &self,
        id: RequestId,
        wish: &Wish<'_>,
        by: &Principal,
        believed: Option<Believed>,
    ) -> Result<Certificate, ApproveError> {
        let mut signed = self.sign(wish).await?;
        let _turn = self.desk.turn().await;
        let mut doubts = 0;
        for _ in 0..ATTEMPTS_MAX {
            let Some(pending) = self.tables.pending.get(&id.key()).await? else {
                if doubts > 0 && self.is_stored_after_all(&signed, Some(by)).await? {
                    return Ok(signed.certificate);
                }
                return Err(ApproveError::NotPending { id });
            };
            signed = self.sign_again_if_void(signed, wish).await?;
            let mut batch = Batch::new();
            self.stage_no_longer_pending(&mut batch, id, pending.version).await?;
            self.stage_certificate(&mut batch, id, &signed, Some(by), wish.mark)?;
            self.expect_reservations(&mut batch, [&signed.reserved])?;
            if let Some(believed) = believed {
                self.expect_believed(&mut batch, believed)?;
            }
            match self.commit(batch).await {
                Ok(_) => {
                    self.certificate_is_stored(id, &signed, Some(by));
                    return Ok(signed.certificate);
                }
                Err(CommitError::Conflict { key }) if !self.is_about_belief(&key) => self.note_conflict(&key),
                Err(CommitError::Unknown { .. }) if doubts < DOUBTS_MAX => doubts += 1,
                Err(error) => return Err(error.into()),
            }
        }
        Err(CommitError::Conflict { key: self.tables.ledger.key(LEDGER)? }.into())
    }

    async fn stage_no_longer_pending(
        &self,
        batch: &mut Batch,
        id: RequestId,
        pending: Version,
    ) -> Result<(), store::Error> {
        self.tables.pending.remove(batch, &id.key(), pending)?;
        let (mut ledger, seen) = self.ledger().await?;
        ledger.pending = ledger.pending.saturating_sub(1);
        self.stage_ledger(batch, &ledger, seen)
    }

    /// Refuses a pending request: it is forgotten.
    ///
    /// # Errors
    /// [`RejectError::NotPending`] when it is unknown or decided.
    pub async fn reject(&self, permit: Permit<Reject>, id: RequestId) -> Result<(), RejectError> {
        let _turn = self.desk.turn().await;
        let mut doubts = 0;
        for _ in 0..ATTEMPTS_MAX {
            let pending = self.tables.pending.get(&id.key()).await?;
            let request = self.tables.request.get(&id.key()).await?;
            let (pending, request) = match (pending, request) {
                (Some(pending), Some(request)) => (pending, request),
                // It was done after all, though its answer was lost: who had been approved is still known.
                (None, None) if doubts > 0 => return Ok(()),
                _ => return Err(RejectError::NotPending { id }),
            };
            let mut batch = Batch::new();
            self.stage_no_longer_pending(&mut batch, id, pending.version).await?;
            self.delete_request(&mut batch, id, &request.record)?;
            let key_id =
                stored_request(&request.record, id).ok().map(|csr| csr.public_key().key_id().to_string());
            self.record_event(&mut batch, &Happened::Rejected { id, key_id }, Some(permit.by()))?;
            match self.commit(batch).await {
                Ok(_) => {
                    let by = permit.by();
                    tracing::info!(authority = %self.profile.name, request = %id, %by, "request rejected");
                    return Ok(());
                }
                Err(CommitError::Conflict { .. }) => {}
                Err(CommitError::Unknown { .. }) if doubts < DOUBTS_MAX => doubts += 1,
                Err(error) => return Err(error.into()),
            }
        }
        Err(CommitError::Conflict { key: self.tables.ledger.key(LEDGER)? }.into())
    }
}
