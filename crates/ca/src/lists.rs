//! The revocation lists of an authority, and what goes into them.

use std::sync::Arc;

use base::Timestamp;
use identity::Principal;
use store::{Batch, CommitError, Page};
use x509::{Certificate, KeyId, RevokedEntry, Serial, VerifyError};

use crate::crl::{self, Published, PublishedCrl};
use crate::error::{CrlError, IssueError, VerifyHolderError};
use crate::event::Happened;
use crate::issuers::Believed;
use crate::record::CrlRecord;
use crate::service::{ATTEMPTS_MAX, Authority, CRL, DOUBTS_MAX};

impl Authority {
    /// The revocation lists, made anew when they are due or something changed, here or in another process: every
    /// revocation that was acknowledged anywhere before this was called is in them. While a token that has to sign one of
    /// them does not, that one is the one that was signed last, as long as it is valid: an older list is better than none,
    /// as holders do not go on without; after that there is none.
    ///
    /// # Errors
    /// [`CrlError`] when they cannot be made, or not one of them be signed.
    pub async fn published(&self) -> Result<Arc<Published>, CrlError> {
        let published = self.lists_now().await?;
        match &published.fault {
            Some(fault) if published.lists.is_empty() => Err(IssueError::from(fault.clone()).into()),
            _ => Ok(published),
        }
    }

    /// The list of one CA certificate, made as [`Self::published`] are, also where that of another one cannot be signed.
    ///
    /// # Errors
    /// [`CrlError`] when it cannot be made.
    pub async fn published_of(&self, key_id: &KeyId) -> Result<Option<PublishedCrl>, CrlError> {
        let published = self.lists_now().await?;
        match (published.of(key_id), &published.fault) {
            (None, Some(fault)) if !published.is_whole => Err(IssueError::from(fault.clone()).into()),
            (list, _) => Ok(list.cloned()),
        }
    }

    /// Every revocation that was acknowledged anywhere before this was called: also while no lists can be signed.
    ///
    /// # Errors
    /// [`CrlError`] when they cannot be read.
    pub async fn revocations_now(&self) -> Result<Arc<Published>, CrlError> {
        self.lists_now().await
    }

    async fn lists_now(&self) -> Result<Arc<Published>, CrlError> {
        // First, because a new CA certificate throws away the lists.
        let issuers = self.issuers().await?;
        let now = self.now();
        let number = self.number_elsewhere().await?;
        let fresh = || {
            let held = self.held.published();
            held.filter(|published| published.is_dated_well(now) && published.number >= number)
        };
        if let Some(published) = fresh() {
            return Ok(published);
        }
        let _making = self.making.lock().await;
        if let Some(published) = fresh() {
            return Ok(published);
        }
        let since = self.held.begin();
        let (dated, revoked) = match self.dated_revocations(now).await {
            Ok(read) => read,
            // They are due to be dated anew, but still valid, and nothing was revoked since: better than none.
            Err(error) => match self.held.published() {
                Some(published) if now <= published.next_update && published.number >= number => {
                    tracing::warn!(authority = %self.profile.name, error = %base::report(&error), "lists not dated anew");
                    return Ok(published);
                }
                _ => return Err(error),
            },
        };
        let issuers = self.held.issuers(now).unwrap_or(issuers);
        let (life, last) = (self.profile.crl_life(), self.held.last_signed());
        let published = crl::publish(&issuers, &revoked, dated, life, last.as_deref(), now).await?;
        if let Some(error) = &published.fault {
            tracing::debug!(authority = %self.profile.name, %error, "a revocation list is not signed");
        }
        let published = Arc::new(published);
        self.held.keep_published(&since, published.clone());
        Ok(published)
    }

    /// The number on record, where other processes may have counted it up; else 0, which no list is below.
    async fn number_elsewhere(&self) -> Result<u64, CrlError> {
        if !self.ground.engine.is_shared() {
            return Ok(0);
        }
        Ok(self.tables.crl.get(CRL).await?.map_or(0, |loaded| loaded.record.number))
    }

    /// Number and date for lists made now, and the revocations that belong to that number. A revocation that
    /// is stored while they are read has the next number, and must not be in a list with this one.
    async fn dated_revocations(&self, now: Timestamp) -> Result<(CrlRecord, Vec<RevokedEntry>), CrlError> {
        for _ in 0..ATTEMPTS_MAX {
            let dated = self.date_crl(now).await?;
            let revoked = self.revocations(Timestamp::from_unix(dated.this_update)).await?;
            // Read, not dated once more: lists of a very short life are due again as soon as they are made.
            if self.tables.crl.get(CRL).await?.is_some_and(|stored| stored.record == dated) {
                return Ok((dated, revoked));
            }
        }
        Err(CommitError::Conflict { key: self.tables.crl.key(CRL)? }.into())
    }

    /// Number and date for lists made now; stored first when they are new.
    async fn date_crl(&self, now: Timestamp) -> Result<CrlRecord, CrlError> {
        let mut doubts = 0;
        for _ in 0..ATTEMPTS_MAX {
            let loaded = self.tables.crl.get(CRL).await?;
            let held = loaded.as_ref().map(|loaded| loaded.record).unwrap_or_default();
            let dated = crl::dated(held, self.profile.crl_life(), now);
            if dated == held {
                return Ok(held);
            }
            let mut batch = Batch::new();
            self.tables.crl.put_over(&mut batch, CRL, &dated, loaded.map(|loaded| loaded.version))?;
            // Before they are signed.
            self.record_event(&mut batch, &Happened::ListsDated(dated), Some(&Principal::house()))?;
            let [before, after] = [held, dated].map(|lists| Timestamp::from_unix(lists.this_update));
            self.stage_settled(&mut batch, before, after).await?;
            match self.commit(batch).await {
                Ok(_) => return Ok(dated),
                Err(CommitError::Conflict { .. }) => {}
                Err(CommitError::Unknown { .. }) if doubts < DOUBTS_MAX => doubts += 1,
                Err(error) => return Err(error.into()),
            }
        }
        Err(CommitError::Conflict { key: self.tables.crl.key(CRL)? }.into())
    }

    /// All revocations that are in lists of this date, ordered by serial; those that were certainly due are
    /// dropped. Judged by the lists' date and not by the time, so that a restart reproduces the same lists.
    async fn revocations(&self, this_update: Timestamp) -> Result<Vec<RevokedEntry>, CrlError> {
        let settled = self.settled().await?;
        let mut entries = Vec::new();
        let mut dropped = Batch::new();
        let mut page = Page::full();
        loop {
            let listed = self.tables.revoked.list(page).await?;
            for (serial, loaded) in listed.entries {
                let at = Timestamp::from_unix(loaded.record.at);
                match Serial::from_hex(&serial) {
                    Some(_) if loaded.record.drop_at < this_update.as_unix() => {
                        if loaded.record.drop_at < settled.as_unix()
                            && dropped.len() < store::BATCH_OPERATIONS_MAX
                        {
                            self.tables.revoked.remove(&mut dropped, &serial, loaded.version)?;
                        }
                    }
                    Some(serial) => entries.push(RevokedEntry { serial, at }),
                    None => tracing::error!(%serial, "a stored revocation has no serial that can be read"),
                }
            }
            match listed.next {
                Some(next) => page = next,
                None => break,
            }
        }
        if !dropped.is_empty()
            && let Err(error) = self.commit(dropped).await
        {
            tracing::warn!(error = %error, "revocations that are due could not be dropped yet");
        }
        Ok(entries)
    }

    /// Whether `certificate` is one of ours, within its dates and not revoked.
    ///
    /// # Errors
    /// [`VerifyHolderError::Verify`] says what is wrong with it, in OpenSSL's words.
    pub async fn verify(&self, certificate: &Certificate) -> Result<(), VerifyHolderError> {
        self.verify_and_believe(certificate).await.map(drop)
    }

    /// The same; gives as of when that is so.
    pub(crate) async fn verify_and_believe(
        &self,
        certificate: &Certificate,
    ) -> Result<Believed, VerifyHolderError> {
        let believed = self.believe().await.map_err(IssueError::from).map_err(CrlError::Issue)?;
        let issuers = self.issuers().await.map_err(CrlError::Issue)?;
        let anchors: Vec<_> = issuers.iter().map(|issuer| issuer.certificate().clone()).collect();
        x509::verify(certificate, &anchors, self.now()).map_err(VerifyHolderError::Verify)?;
        if self.revocations_now().await?.is_revoked(&certificate.serial()) {
            return Err(VerifyHolderError::Verify(VerifyError::Revoked));
        }
        Ok(believed)
    }
}
