//! What a crash left between storing the intent to sign and storing the certificate.
//!
//! The serial is void, whatever happened to the signature. What was approved automatically is issued anew;
//! what somebody approved is pending again, because they were never told that it was signed; renewals and
//! the house's own requests are forgotten, because their askers were told nothing and ask again.

use base::{Span, Timestamp};
use identity::Principal;
use store::{Batch, CommitError, Loaded};

use crate::error::{ApproveError, IssueError};
use crate::event::Happened;
use crate::record::{IssuingRecord, LedgerRecord, Origin, PendingRecord};
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
    /// [`IssueError`] when the store fails; what was mended before stays mended.
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
                Err(error) => return Err(error),
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
                    Ok(begun) => self.finish(begun, Some(&Principal::house())).await?,
                    Err(ApproveError::Issue(error)) => return Err(error),
                    Err(error @ (ApproveError::Draft(_) | ApproveError::NotPending { .. })) => {
                        // It could be drawn up before; only a change of the profile can have done this.
                        tracing::error!(request = %id, error = %error, "an interrupted request cannot be issued");
                        return Ok(());
                    }
                };
                mended.issued += 1;
            }
            Origin::Approval => {
                let _turn = self.desk.turn().await;
                let mut batch = self.voiding(id, intent)?;
                let pending = PendingRecord { since: request.record.at };
                self.tables.pending.create(&mut batch, &id.key(), &pending)?;
                let loaded: Option<Loaded<LedgerRecord>> = self.tables.ledger.get(LEDGER).await?;
                let mut ledger = loaded.as_ref().map(|loaded| loaded.record).unwrap_or_default();
                ledger.pending += 1;
                self.tables.ledger.put_over(
                    &mut batch,
                    LEDGER,
                    &ledger,
                    loaded.map(|loaded| loaded.version),
                )?;
                self.commit(batch).await?;
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

    fn voiding(&self, id: RequestId, intent: &Loaded<IssuingRecord>) -> Result<Batch, store::Error> {
        let mut batch = Batch::new();
        self.tables.issuing.remove(&mut batch, &id.key(), intent.version)?;
        let happened = Happened::Voided { id, serial: &intent.record.serial };
        self.record_event(&mut batch, &happened, Some(&Principal::house()))?;
        Ok(batch)
    }
}
