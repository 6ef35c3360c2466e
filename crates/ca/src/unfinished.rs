//! What a crash left between storing the intent to sign and storing the certificate.
//!
//! The serial is void, whatever happened to the signature. What was approved automatically is issued anew, or
//! is pending if that cannot be; what somebody approved is pending again, because they were never told that it was signed; renewals and
//! the house's own requests are forgotten, because their askers were told nothing and ask again.

use base::{Span, Timestamp};
use identity::Principal;
use store::{Batch, CommitError, Loaded};

use crate::error::{ApproveError, IssueError};
use crate::event::Happened;
use crate::record::{IssuingRecord, LedgerRecord, Origin, PendingRecord, RequestRecord};
use crate::request::RequestId;
use crate::service::{Authority, LEDGER};

/// How many interrupted issuances were put right, by what became of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Mended {
    /// Issued anew.
    pub issued: usize,
    /// Pending again.
    pub pending: usize,
    /// Forgotten.
    pub forgotten: usize,
}

impl Authority {
    /// Puts right every issuance that was begun `older_than` ago and never finished. Zero at start, when
    /// nobody else can be at work; more while others may be in the middle of one.
    ///
    /// # Errors
    /// [`IssueError`] when the list of them cannot be read. One that cannot be put right is logged, and is no
    /// reason to leave the others.
    pub async fn mend_unfinished(&self, older_than: Span) -> Result<Mended, IssueError> {
        let mut mended = Mended::default();
        for (key, intent) in self.tables.issuing.all().await? {
            let Some(id) = RequestId::from_key(&key) else { continue };
            if Timestamp::from_unix(intent.record.since) + older_than > self.now() {
                continue;
            }
            match self.mend(id, &intent, &mut mended).await {
                // Somebody finished or mended it in this moment.
                Ok(()) | Err(IssueError::Store(CommitError::Conflict { .. })) => {}
                Err(error) => {
                    let error = base::report(&error);
                    tracing::error!(request = %id, error, "an interrupted issuance could not be put right");
                }
            }
        }
        if mended != Mended::default() {
            tracing::warn!(authority = %self.profile.name, ?mended, "interrupted issuances were put right");
        }
        Ok(mended)
    }

    async fn mend(
        &self,
        id: RequestId,
        intent: &Loaded<IssuingRecord>,
        mended: &mut Mended,
    ) -> Result<(), IssueError> {
        let Some(request) = self.tables.request.get(&id.key()).await? else {
            let mut batch = Batch::new();
            self.tables.issuing.remove(&mut batch, &id.key(), intent.version)?;
            self.commit(batch).await?;
            mended.forgotten += 1;
            return Ok(());
        };
        match intent.record.origin {
            Origin::Automatic => {
                match self.begin_again(id, &request.record, intent.version).await {
                    Ok(begun) => {
                        self.finish(begun, Some(&Principal::house())).await?;
                        mended.issued += 1;
                    }
                    Err(ApproveError::Issue(error)) => return Err(error),
                    // It could be drawn up before; now somebody has to look at it.
                    Err(ApproveError::Draft(_) | ApproveError::NotPending { .. }) => {
                        self.make_pending_again(id, intent, &request.record).await?;
                        mended.pending += 1;
                    }
                }
            }
            Origin::Approval => {
                self.make_pending_again(id, intent, &request.record).await?;
                mended.pending += 1;
            }
            Origin::Direct => {
                let mut batch = self.voiding(id, intent)?;
                self.delete_request(&mut batch, id, &request.record)?;
                self.commit(batch).await?;
                mended.forgotten += 1;
            }
        }
        Ok(())
    }

    async fn make_pending_again(
        &self,
        id: RequestId,
        intent: &Loaded<IssuingRecord>,
        request: &RequestRecord,
    ) -> Result<(), IssueError> {
        let _turn = self.desk.turn().await;
        let mut batch = self.voiding(id, intent)?;
        self.tables.pending.create(&mut batch, &id.key(), &PendingRecord { since: request.at })?;
        let loaded: Option<Loaded<LedgerRecord>> = self.tables.ledger.get(LEDGER).await?;
        let mut ledger = loaded.as_ref().map(|loaded| loaded.record).unwrap_or_default();
        ledger.pending += 1;
        self.tables.ledger.put_over(&mut batch, LEDGER, &ledger, loaded.map(|loaded| loaded.version))?;
        self.commit(batch).await?;
        Ok(())
    }

    fn voiding(&self, id: RequestId, intent: &Loaded<IssuingRecord>) -> Result<Batch, store::Error> {
        let mut batch = Batch::new();
        self.tables.issuing.remove(&mut batch, &id.key(), intent.version)?;
        let happened = Happened::Voided { id, serial: &intent.record.serial };
        self.record_event(&mut batch, &happened, Some(&Principal::house()))?;
        Ok(batch)
    }
}
