//! Giving up an authority's CA certificates at once, because somebody else may have their keys.
//!
//! ```text
//! another key ──► one commit: all CA certificates go, another one comes and signs, and a record says so
//!             ──► what others reserved is void ──► the requests of what was issued go ──► the record says that all is done
//! ```
//! A key that cannot be made leaves everything as it was. Whoever is interrupted after the commit goes on behind it: what was
//! given up is on record, and no further CA certificate is made.
//!
//! Other processes on the same store hold the old keys in memory. What they sign comes on record only under serials that
//! are reserved (`stock.rs`): so those are void before this ends, and whoever reserves others looks first which CA
//! certificates there are. From then on no certificate of an old key is handed out by anybody who uses the store. Nor is one
//! believed there: whoever judges one looks first whether there was a retirement (`issuers.rs`), and what is done because
//! it was believed expects that there was none since.
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
use crate::issuer::Issuer;
use crate::issuers::ReadIssuers;
use crate::record::{IssuerRecord, KeyRecord, RetiredRecord};
use crate::request::RequestId;
use crate::rollover;
use crate::service::{ATTEMPTS_MAX, Authority, RETIRED, Retire};
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
    /// What signs from now on, if it was made; where the rest was done of one that was begun before, what signs now.
    pub next: Option<Certificate>,
    /// Whether that one came after the retirement that was begun before: it was not given up, whoever may have its key.
    pub is_next_newer: bool,
    /// Who holds a certificate of those that is good and not revoked, the one that ends first in front.
    pub holders: Vec<Holder>,
    /// The keys of those that stay in a token.
    pub left: Vec<KeyLeft>,
    /// When it was begun, if it was interrupted since: this time the rest was done.
    pub begun: Option<Timestamp>,
}

/// What a retirement is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolve {
    /// Told, and nothing is changed.
    Look {
        /// Whether it is told of [`Self::Again`], and not of [`Self::Once`].
        again: bool,
    },
    /// Done, unless the CA certificate that signs comes from one already.
    Once,
    /// Done in any case.
    Again,
}

/// Not all was done.
#[derive(Debug, thiserror::Error)]
pub enum RetireError {
    /// Another CA certificate signs, and the same request, submitted again, may still be answered with a certificate that
    /// is worth nothing.
    #[error("the CA certificates were retired, and not all requests that they answered could be dropped")]
    NotDropped(#[source] IssueError),
    /// Another CA certificate signs here, and another process that uses this store may still put on record what it signed
    /// with an old one.
    #[error(
        "the CA certificates were retired, and others may still hand out what they signed with the old keys"
    )]
    NotVoid(#[source] IssueError),
    /// It was done already.
    #[error("the CA certificates were retired on {at}, and the one that signs was made then")]
    Already {
        /// When.
        at: Timestamp,
    },
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
            Self::Issue(source) | Self::NotDropped(source) | Self::NotVoid(source) => source.kind(),
            Self::Already { .. } => Kind::Conflict,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Issue(IssueError::Store(CommitError::Unknown { .. })) => {
                Some("run it again: if this was done, it goes on behind it".into())
            }
            Self::NotDropped(_) => Some("run it again: it drops the rest of them".into()),
            Self::NotVoid(_) => Some("run it again: it goes on there; or stop those others first".into()),
            Self::Already { .. } => {
                Some("if somebody may have its key as well, say so: --again retires that one too".into())
            }
            Self::Issue(source) => source.help(),
        }
    }
}

fn read(pem: &String) -> Option<Certificate> {
    Certificate::from_pem(pem.as_bytes()).ok()
}

impl Authority {
    /// Gives up all CA certificates and their keys, and makes another one, which signs at once. [`Self::end_retirement`] is
    /// to follow, once all is done that has to be.
    ///
    /// # Errors
    /// [`RetireError`]. Nothing was given up then, as far as is known, unless it is [`RetireError::NotVoid`] or [`RetireError::NotDropped`].
    pub async fn retire(&self, permit: Permit<Retire>, resolve: Resolve) -> Result<Retirement, RetireError> {
        let _making = self.making.lock().await;
        let now = self.now();
        let ReadIssuers { issuers, next_id, .. } = self.read_issuers(now).await?;
        let current: Vec<_> = issuers.iter().map(|issuer| issuer.certificate().clone()).collect();
        let before = self.tables.retired.get(RETIRED).await?.map(|loaded| loaded.record);
        if let Some(before) = &before {
            let signs = |certificate: &Certificate| certificate.to_pem() == before.next;
            if !before.is_done && !matches!(resolve, Resolve::Again | Resolve::Look { again: true }) {
                let signs_now = rollover::active(&issuers, self.profile.leaf_life, now);
                let signs_now = signs_now.map(|issuer| issuer.certificate().clone());
                return self.go_on(before, signs_now, resolve, now).await;
            }
            if resolve == Resolve::Once && !current.is_empty() && current.iter().all(signs) {
                return Err(RetireError::Already { at: Timestamp::from_unix(before.at) });
            }
        }
        // What is left to be done of one that did not come to its end is part of this one.
        let (mut retired, mut left_on_record) = match before.filter(|before| !before.is_done) {
            Some(before) => (before.retired.iter().filter_map(read).collect(), before.left),
            None => (Vec::new(), Vec::new()),
        };
        retired.extend(current);
        // Also those that have ended or that are for another name: their keys were kept at the same place.
        let recorded = self.tables.issuer.all().await?;
        let left_in_token = |(_, loaded): &(_, store::Loaded<IssuerRecord>)| match &loaded.record.key {
            KeyRecord::Sealed { .. } => None,
            key @ KeyRecord::InToken { .. } => Some(key.clone()),
        };
        left_on_record.extend(recorded.iter().filter_map(left_in_token));
        let left = left_on_record.iter().filter_map(KeyLeft::of).collect();
        let mut retirement =
            Retirement { retired, next: None, is_next_newer: false, holders: Vec::new(), left, begun: None };
        if let Resolve::Look { .. } = resolve {
            retirement.holders = self.holders_of(&retirement.retired, now).await?;
            return Ok(retirement);
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
        let retired: Vec<_> = retirement.retired.iter().map(Certificate::to_pem).collect();
        let stage = |batch: &mut Batch, next: &Certificate| {
            let next = next.to_pem();
            let record =
                RetiredRecord { at: now.as_unix(), retired, left: left_on_record, next, is_done: false };
            self.tables.retired.put(batch, RETIRED, &record)
        };
        let made = self.make_issuer_with(batch, issuers.last(), next_id, now, permit.by(), stage).await;
        self.held.forget();
        retirement.next = Some(made.map_err(IssueError::from)?);
        retirement.holders = self.follow_retirement(&retirement.retired, now).await?;
        Ok(retirement)
    }

    /// Does the rest of a retirement that was interrupted. What signs now, `next`, is not given up by it.
    async fn go_on(
        &self,
        record: &RetiredRecord,
        next: Option<Certificate>,
        resolve: Resolve,
        now: Timestamp,
    ) -> Result<Retirement, RetireError> {
        let retired: Vec<_> = record.retired.iter().filter_map(read).collect();
        let left = record.left.iter().filter_map(KeyLeft::of).collect();
        let is_next_newer = next.as_ref().is_some_and(|next| next.to_pem() != record.next);
        let begun = Some(Timestamp::from_unix(record.at));
        let holders = match resolve {
            Resolve::Look { .. } => self.holders_of(&retired, now).await?,
            Resolve::Once | Resolve::Again => self.follow_retirement(&retired, now).await?,
        };
        Ok(Retirement { retired, next, is_next_newer, holders, left, begun })
    }

    /// What follows once another CA certificate signs. Gives who holds a certificate of those that were `retired`.
    async fn follow_retirement(
        &self,
        retired: &[Certificate],
        now: Timestamp,
    ) -> Result<Vec<Holder>, RetireError> {
        self.void_what_others_reserved().await.map_err(RetireError::NotVoid)?;
        // Not before: what others had signed came on record until now.
        let holders = self.holders_of(retired, now).await;
        let holders = holders.map_err(|error| RetireError::NotDropped(error.into()))?;
        self.drop_issued_before().await.map_err(RetireError::NotDropped)?;
        Ok(holders)
    }

    /// All is done that a retirement brings with it: the next one is another one.
    ///
    /// # Errors
    /// The store's.
    pub async fn end_retirement(&self) -> Result<(), CommitError> {
        let Some(held) = self.tables.retired.get(RETIRED).await? else { return Ok(()) };
        let mut batch = Batch::new();
        let record = RetiredRecord { is_done: true, ..held.record };
        self.tables.retired.update(&mut batch, RETIRED, &record, held.version)?;
        self.commit(batch).await.map(drop)
    }

    /// Voids what is reserved, so that nothing comes on record that others are signing with keys that were given up.
    async fn void_what_others_reserved(&self) -> Result<(), IssueError> {
        // Nobody else is there: what an earlier process left the next start voids.
        if !self.ground.engine.is_shared() {
            return Ok(());
        }
        let reserved = self.tables.reserved.all().await?;
        for _ in 0..ATTEMPTS_MAX {
            self.void_all_reserved().await?;
            // One is left of which somebody used a serial in the same moment. It has no more of them than there are rounds.
            let mut is_left = false;
            for (id, _) in &reserved {
                is_left |= !self.stock.holds(id) && self.tables.reserved.get(id).await?.is_some();
            }
            if !is_left {
                return Ok(());
            }
        }
        Err(CommitError::Conflict { key: self.tables.retired.key(RETIRED)? }.into())
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

    /// Drops all requests that were decided on with a certificate that is worth nothing now, with which one it was.
    async fn drop_issued_before(&self) -> Result<(), IssueError> {
        let (issuers, _) = self.load_issuers(self.now()).await?;
        let mut next = Some(Page::first(DROPPED_TOGETHER));
        while let Some(page) = next {
            let listed = self.tables.issued.list(page).await?;
            let mut ids = Vec::new();
            for (key, loaded) in &listed.entries {
                let held = self.tables.certificate.get(&loaded.record.serial).await?;
                let is_good = held.is_some_and(|held| {
                    leaf(held.record.certificate.as_bytes()).is_ok_and(|certificate| {
                        let signed = |issuer: &Issuer| {
                            certificate.verify_signature(issuer.certificate().public_key()).is_ok()
                        };
                        issuers.iter().any(signed)
                    })
                });
                if !is_good {
                    ids.extend(RequestId::from_key(key));
                }
            }
            self.drop_requests(&ids, i64::MAX).await?;
            next = listed.next;
        }
        Ok(())
    }
}
