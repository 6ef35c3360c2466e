//! Deciding about pending requests: approving and rejecting.

use identity::{Permit, Principal};
use store::{Batch, CommitError, Loaded, Version};
use x509::{Certificate, SigningRequest};

use crate::error::{ApproveError, RejectError};
use crate::event::Happened;
use crate::issue::{self, Mark, Wish};
use crate::record::{LedgerRecord, Origin};
use crate::request::RequestId;
use crate::service::{ATTEMPTS_MAX, Approve, Authority, LEDGER, Reject};
use crate::submit::{Begun, stored_request};

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
        let begun = self.begin_pending(id, &wish, Origin::Approval, permit.by()).await?;
        Ok(self.finish(begun, Some(permit.by())).await?)
    }

    /// Takes a request out of the pending ones and stores the intent to sign it.
    pub(crate) async fn begin_pending(
        &self,
        id: RequestId,
        wish: &Wish<'_>,
        origin: Origin,
        by: &Principal,
    ) -> Result<Begun, ApproveError> {
        let _turn = self.desk.turn().await;
        for _ in 0..ATTEMPTS_MAX {
            let pending = self.tables.pending.get(&id.key()).await?.ok_or(ApproveError::NotPending { id })?;
            let issuer = self.active().await?;
            let draft = issue::draft(&self.profile, &issuer, wish, &self.ground.entropy, self.now())?;
            let mut batch = Batch::new();
            self.stage_no_longer_pending(&mut batch, id, pending.version).await?;
            self.stage_intent(&mut batch, id, &draft, origin)?;
            self.record_event(&mut batch, &Happened::Approved { id, serial: &draft.serial() }, Some(by))?;
            match self.commit(batch).await {
                Ok(intent) => return Ok(Begun { id, draft, intent }),
                Err(CommitError::Conflict { .. }) => {}
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
        let loaded: Option<Loaded<LedgerRecord>> = self.tables.ledger.get(LEDGER).await?;
        let mut ledger = loaded.as_ref().map(|loaded| loaded.record).unwrap_or_default();
        ledger.pending = ledger.pending.saturating_sub(1);
        self.tables.ledger.put_over(batch, LEDGER, &ledger, loaded.map(|loaded| loaded.version))
    }

    /// Refuses a pending request: it is forgotten.
    ///
    /// # Errors
    /// [`RejectError::NotPending`] when it is unknown or decided.
    pub async fn reject(&self, permit: Permit<Reject>, id: RequestId) -> Result<(), RejectError> {
        let _turn = self.desk.turn().await;
        for _ in 0..ATTEMPTS_MAX {
            let not_pending = || RejectError::NotPending { id };
            let pending = self.tables.pending.get(&id.key()).await?.ok_or_else(not_pending)?;
            let request = self.tables.request.get(&id.key()).await?.ok_or_else(not_pending)?;
            let mut batch = Batch::new();
            self.stage_no_longer_pending(&mut batch, id, pending.version).await?;
            self.delete_request(&mut batch, id, &request.record)?;
            self.record_event(&mut batch, &Happened::Rejected { id }, Some(permit.by()))?;
            match self.commit(batch).await {
                Ok(_) => {
                    let by = permit.by();
                    tracing::info!(authority = %self.profile.name, request = %id, %by, "request rejected");
                    return Ok(());
                }
                Err(CommitError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(CommitError::Conflict { key: self.tables.ledger.key(LEDGER)? }.into())
    }
}
