//! Giving up an authority's CA certificates at once, because somebody else may have their keys.
//!
//! ```text
//! another key ──► one commit: all CA certificates go, another one comes and signs ──► the requests of what was issued go
//! ```
//! A key that cannot be made leaves everything as it was.
//! Nobody vouches for the new one: what the old keys sign is worth nothing, so there is no chain from an old certificate to
//! the new one, and whoever trusts an old one goes on trusting the thief until its file is replaced by hand. All who hold
//! certificates begin anew. Their requests are dropped, so that the same request, submitted again, waits for somebody to
//! decide, and is not answered with a certificate that is worth nothing.
//!
//! A key in a token stays there: this may be a copy of the house, on which the retirement is rehearsed, and the token the
//! one that the house uses. Which ones are left is told, to whoever is sure.

use base::{Explain, Kind, Timestamp};
use identity::Permit;
use store::{Batch, CommitError, Page};
use x509::{Certificate, Serial};

use crate::error::IssueError;
use crate::event::Happened;
use crate::issuers::ReadIssuers;
use crate::request::RequestId;
use crate::service::{Authority, Retire};
use crate::takeover::leaf;
use crate::token::KeyLeft;

/// How many issued requests are dropped in one commit: of each there are up to four records.
const DROPPED_TOGETHER: usize = 20;

/// Somebody whose certificate is worth nothing once its CA certificate is retired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The certificate's serial.
    pub serial: Serial,
    /// Whom it names.
    pub subject: String,
    /// Until when it would have been good.
    pub not_after: Timestamp,
}

/// What was given up, or would be.
#[derive(Debug, Clone)]
pub struct Retirement {
    /// The CA certificates that are trusted no more, the one that ends first in front.
    pub retired: Vec<Certificate>,
    /// What signs from now on, if it was made.
    pub next: Option<Certificate>,
    /// Who holds a certificate of those that is good and not revoked, the one that ends first in front.
    pub holders: Vec<Holder>,
    /// The keys of those that stay in a token.
    pub left: Vec<KeyLeft>,
}

/// Not all was done.
#[derive(Debug, thiserror::Error)]
pub enum RetireError {
    /// Another CA certificate signs, and the same request, submitted again, may still be answered with a certificate that
    /// is worth nothing.
    #[error("the CA certificates were retired, and not all requests that they answered could be dropped")]
    NotDropped(#[source] IssueError),
    /// The store could not be read or written, or no key be made.
    #[error(transparent)]
    Issue(#[from] IssueError),
}

impl From<store::Error> for RetireError {
    fn from(error: store::Error) -> Self {
        Self::Issue(error.into())
    }
}

impl From<CommitError> for RetireError {
    fn from(error: CommitError) -> Self {
        Self::Issue(error.into())
    }
}

impl Explain for RetireError {
    fn kind(&self) -> Kind {
        match self {
            Self::Issue(source) | Self::NotDropped(source) => source.kind(),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Issue(IssueError::Store(CommitError::Unknown { .. })) => {
                Some("run it again: whether this was done or not, another CA certificate signs then".into())
            }
            Self::NotDropped(_) => {
                Some("run it again: it makes one more CA certificate, and drops the rest of them".into())
            }
            Self::Issue(source) => source.help(),
        }
    }
}

impl Authority {
    /// Gives up all CA certificates and their keys, and makes another one, which signs at once; with `dry_run` only tells
    /// what that would be, and changes nothing. Nobody else may be using the store: what they hold in memory would go on signing.
    ///
    /// # Errors
    /// [`RetireError`]. Nothing was given up then, as far as is known, unless it is [`RetireError::NotDropped`].
    pub async fn retire(&self, permit: Permit<Retire>, dry_run: bool) -> Result<Retirement, RetireError> {
        let _making = self.making.lock().await;
        let now = self.now();
        let ReadIssuers { issuers, next_id, .. } = self.read_issuers(now).await?;
        let retired: Vec<_> = issuers.iter().map(|issuer| issuer.certificate().clone()).collect();
        let holders = self.holders_of(&retired, now).await?;
        // Also those that have ended or that are for another name: their keys were kept at the same place.
        let recorded = self.tables.issuer.all().await?;
        let left: Vec<_> =
            recorded.iter().filter_map(|(_, loaded)| KeyLeft::of(&loaded.record.key)).collect();
        if dry_run {
            return Ok(Retirement { retired, next: None, holders, left });
        }
        let mut batch = Batch::new();
        for (id, loaded) in recorded {
            self.tables.issuer.remove(&mut batch, &id, loaded.version)?;
            if let Ok(certificate) = Certificate::from_pem(loaded.record.certificate.as_bytes()) {
                let left = KeyLeft::of(&loaded.record.key);
                let happened = Happened::IssuerRetired { certificate: &certificate, left: left.as_ref() };
                self.record_event(&mut batch, &happened, Some(permit.by()))?;
            }
        }
        let made = self.make_issuer_with(batch, issuers.last(), next_id, now, permit.by()).await;
        self.held.forget();
        let next = made.map_err(IssueError::from)?;
        self.drop_all_issued().await.map_err(RetireError::NotDropped)?;
        Ok(Retirement { retired, next: Some(next), holders, left })
    }

    /// Whose certificates of these CA certificates are good at `now`.
    async fn holders_of(&self, issuers: &[Certificate], now: Timestamp) -> Result<Vec<Holder>, store::Error> {
        let mut holders = Vec::new();
        let mut next = Some(Page::full());
        while let Some(page) = next {
            let listed = self.tables.certificate.list(page).await?;
            for (serial, held) in listed.entries {
                let Ok(certificate) = leaf(held.record.certificate.as_bytes()) else { continue };
                if x509::verify(&certificate, issuers, now).is_err()
                    || self.tables.revoked.get(&serial).await?.is_some()
                {
                    continue;
                }
                holders.push(Holder {
                    serial: certificate.serial(),
                    subject: certificate.subject().to_string(),
                    not_after: certificate.not_after(),
                });
            }
            next = listed.next;
        }
        holders.sort_by_key(|holder| holder.not_after);
        Ok(holders)
    }

    /// Drops all requests that were decided on, with which certificate came of them.
    async fn drop_all_issued(&self) -> Result<(), IssueError> {
        loop {
            let listed = self.tables.issued.list(Page::first(DROPPED_TOGETHER)).await?;
            let ids: Vec<_> = listed.entries.iter().filter_map(|(key, _)| RequestId::from_key(key)).collect();
            if ids.is_empty() {
                return Ok(());
            }
            self.drop_requests(&ids, i64::MAX).await?;
        }
    }
}
