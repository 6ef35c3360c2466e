//! An authority at work: load, decide, commit.

use std::collections::BinaryHeap;
use std::sync::{Arc, Mutex, PoisonError};

use async_lock::Mutex as AsyncMutex;
use base::{Clock, Entropy, Timestamp};
use futures_util::future::BoxFuture;
use identity::{Action, Permit, Principal, Role};
use store::{Batch, CommitError, Engine, History, Page, Revision, SealingKey, Table, Version};
use x509::{Certificate, KeyError, KeySpec, PrivateKey, RevokedEntry, Serial, VerifyError};

use crate::authority::{AuthorityName, Profile};
use crate::crl::{self, Published};
use crate::desk::Desk;
use crate::error::{CrlError, IssueError, OpenError, ReadError, RevokeError, VerifyHolderError};
use crate::event::Happened;
use crate::handover::{self, Handover};
use crate::issuer::{self, Issuer};
use crate::purge::Due;
use crate::record::{
    AutomaticRecord, CertificateRecord, CrlRecord, IssuedRecord, IssuerRecord, IssuingRecord, LedgerRecord,
    PendingRecord, RequestRecord, RequestRefRecord, RevokedRecord,
};
use crate::request::{PendingRequest, RequestId};
use crate::rollover;
use crate::statement::ByHolder;
use crate::submit;

/// How often a commit is tried again when others were faster.
pub(crate) const ATTEMPTS_MAX: usize = 64;

macro_rules! actions {
    ($($(#[$doc:meta])* $action:ident = $name:literal;)*) => {
        $($(#[$doc])*
        pub enum $action {}
        impl Action for $action {
            const NAME: &'static str = $name;
            const ROLE: Role = Role::Administrator;
        })*
    };
}
actions! {
    /// Looking through the pending requests.
    ReadRequests = "see the pending requests";
    /// Signing a pending request.
    Approve = "approve a request";
    /// Refusing a pending request.
    Reject = "reject a request";
    /// Revoking somebody else's certificate.
    Revoke = "revoke a certificate";
    /// Certifying a key without a pending request.
    Issue = "issue a certificate directly";
}

/// Makes private keys, away from whoever waits: it takes from milliseconds to seconds.
pub type KeyMaker = Arc<dyn Fn(KeySpec) -> BoxFuture<'static, Result<PrivateKey, KeyError>> + Send + Sync>;

/// What an authority stands on.
#[derive(Clone)]
pub struct Ground {
    /// Where records are kept.
    pub engine: Arc<dyn Engine>,
    /// Seals the CA keys.
    pub sealing: Arc<SealingKey>,
    /// What time it is.
    pub clock: Clock,
    /// Where serials and numbers come from.
    pub entropy: Entropy,
    /// Where keys come from.
    pub keys: KeyMaker,
}

/// The authority's tables.
pub(crate) struct Tables {
    pub(crate) issuer: Table<IssuerRecord>,
    pub(crate) request: Table<RequestRecord>,
    pub(crate) pending: Table<PendingRecord>,
    pub(crate) issuing: Table<IssuingRecord>,
    pub(crate) issued: Table<IssuedRecord>,
    pub(crate) digest: Table<RequestRefRecord>,
    pub(crate) key: Table<RequestRefRecord>,
    pub(crate) certificate: Table<CertificateRecord>,
    pub(crate) revoked: Table<RevokedRecord>,
    pub(crate) ledger: Table<LedgerRecord>,
    pub(crate) crl: Table<CrlRecord>,
    pub(crate) automatic: Table<AutomaticRecord>,
}

impl Tables {
    fn new(engine: &Arc<dyn Engine>, name: AuthorityName) -> Result<Self, store::Error> {
        let prefix = |table: &str| format!("/ca/{name}/{table}");
        Ok(Self {
            issuer: Table::new(engine.clone(), &prefix("issuer/"))?,
            request: Table::new(engine.clone(), &prefix("request/"))?,
            pending: Table::new(engine.clone(), &prefix("pending/"))?,
            issuing: Table::new(engine.clone(), &prefix("issuing/"))?,
            issued: Table::new(engine.clone(), &prefix("issued/"))?,
            digest: Table::new(engine.clone(), &prefix("digest/"))?,
            key: Table::new(engine.clone(), &prefix("key/"))?,
            certificate: Table::new(engine.clone(), &prefix("certificate/"))?,
            revoked: Table::new(engine.clone(), &prefix("revoked/"))?,
            // One record each; its name follows this prefix.
            ledger: Table::new(engine.clone(), &prefix(""))?,
            crl: Table::new(engine.clone(), &prefix(""))?,
            automatic: Table::new(engine.clone(), &prefix(""))?,
        })
    }
}

/// The names of the single records.
pub(crate) const LEDGER: &str = "ledger";
pub(crate) const CRL: &str = "crl";
pub(crate) const AUTOMATIC: &str = "automatic";

/// One certificate authority.
pub struct Authority {
    pub(crate) profile: Profile,
    pub(crate) ground: Ground,
    pub(crate) tables: Tables,
    pub(crate) history: History,
    pub(crate) desk: Desk<submit::Job, submit::Answer>,
    pub(crate) due: Mutex<Option<BinaryHeap<Due>>>,
    automatic_max: u64,
    held: Mutex<Held>,
    /// Held by whoever makes an issuer or reads the revocations, so that it is done once.
    making: AsyncMutex<()>,
}

/// What was read from the store and is good until somebody changes it.
struct Held {
    /// Counts the times that what is held was thrown away: what was read before is not kept after.
    generation: u64,
    /// The unexpired CA certificates, the one that expires first in front.
    issuers: Option<Arc<Vec<Issuer>>>,
    published: Option<Arc<Published>>,
    /// The certificates of the issuers that were read last: for those who cannot wait.
    trusted: Arc<Vec<Certificate>>,
}

impl Authority {
    /// Opens an authority, and makes its first CA certificate when it has none.
    ///
    /// # Errors
    /// [`OpenError`] when the store cannot be read, a CA key cannot be unsealed or made.
    pub async fn open(profile: Profile, ground: Ground) -> Result<Self, OpenError> {
        let tables = Tables::new(&ground.engine, profile.name)?;
        let history = History::new(ground.engine.clone())?;
        let automatic_max = automatic_max(&tables, &profile).await?;
        let authority = Self {
            profile,
            ground,
            tables,
            history,
            desk: Desk::new(),
            due: Mutex::new(None),
            automatic_max,
            held: Mutex::new(Held { generation: 0, issuers: None, published: None, trusted: Arc::default() }),
            making: AsyncMutex::new(()),
        };
        authority.issuers().await?;
        Ok(authority)
    }

    /// Its policy.
    #[must_use]
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// How many requests are approved at once: as locked, or as the profile says.
    #[must_use]
    pub fn automatic_max(&self) -> u64 {
        self.automatic_max
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.ground.clock.now()
    }

    pub(crate) fn record_event(
        &self,
        batch: &mut Batch,
        happened: &Happened<'_>,
        by: Option<&Principal>,
    ) -> Result<(), store::Error> {
        let event = happened.event(self.profile.name, by, &self.ground.clock);
        self.history.append(batch, &event, &self.ground.entropy)
    }

    pub(crate) async fn commit(&self, batch: Batch) -> Result<Version, CommitError> {
        let Revision(revision) = self.ground.engine.commit(batch).await?;
        Ok(Version(Revision(revision)))
    }

    /// Forgets what was read: it changed.
    fn forget(&self) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.generation += 1;
        held.issuers = None;
        held.published = None;
    }

    fn forget_published(&self) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.generation += 1;
        held.published = None;
    }

    fn generation(&self) -> u64 {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).generation
    }

    /// Keeps what was read, unless it was changed meanwhile.
    fn hold(&self, generation: u64, set: impl FnOnce(&mut Held)) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.generation == generation {
            set(&mut held);
        }
    }

    fn held_issuers(&self, now: Timestamp) -> Option<Arc<Vec<Issuer>>> {
        let issuers = self.held.lock().unwrap_or_else(PoisonError::into_inner).issuers.clone()?;
        let none_expired = issuers.iter().all(|issuer| issuer.certificate().not_after() >= now);
        (none_expired && !rollover::needs_successor(&issuers, self.profile.leaf_life, now)).then_some(issuers)
    }

    /// The CA certificates that are valid now and their keys, the one that expires first in front. Makes
    /// the next one when it is time, and deletes expired ones.
    pub(crate) async fn issuers(&self) -> Result<Arc<Vec<Issuer>>, IssueError> {
        let now = self.now();
        if let Some(issuers) = self.held_issuers(now) {
            return Ok(issuers);
        }
        let _making = self.making.lock().await;
        if let Some(issuers) = self.held_issuers(now) {
            return Ok(issuers);
        }
        for _ in 0..ATTEMPTS_MAX {
            let generation = self.generation();
            let (issuers, next_id) = self.load_issuers(now).await?;
            if rollover::needs_successor(&issuers, self.profile.leaf_life, now) {
                match self.make_issuer(issuers.last(), next_id, now).await {
                    // Another process made it first: read again what it made.
                    Ok(()) | Err(IssueError::Store(CommitError::Conflict { .. })) => {}
                    Err(error) => return Err(error),
                }
                self.forget();
                continue;
            }
            let issuers = Arc::new(issuers);
            let trusted = issuers.iter().map(|issuer| issuer.certificate().clone()).collect();
            self.hold(generation, |held| {
                // Other CA certificates mean other revocation lists.
                held.published = None;
                held.issuers = Some(issuers.clone());
                held.trusted = Arc::new(trusted);
            });
            return Ok(issuers);
        }
        Err(IssueError::NoActiveIssuer)
    }

    async fn load_issuers(&self, now: Timestamp) -> Result<(Vec<Issuer>, u32), IssueError> {
        let mut issuers = Vec::new();
        let mut next_id = 1;
        for (id, loaded) in self.tables.issuer.all().await? {
            let unusable = |reason: String| IssueError::StoredIssuer { id: id.clone(), reason };
            next_id = id.parse::<u32>().map_err(|error| unusable(error.to_string()))?.saturating_add(1);
            let certificate = Certificate::from_pem(loaded.record.certificate.as_bytes())
                .map_err(|error| unusable(error.to_string()))?;
            if certificate.not_after() < now {
                self.delete_expired_issuer(&id, loaded.version).await?;
                continue;
            }
            let clear = self
                .ground
                .sealing
                .open(&self.sealed_about(&id), &loaded.record.sealed_key)
                .map_err(|error| unusable(base::report(&error)))?;
            let key =
                PrivateKey::from_pkcs8_der(clear.expose()).map_err(|error| unusable(error.to_string()))?;
            issuers.push(
                Issuer::new(certificate, key)
                    .ok_or_else(|| unusable("its key is not the certificate's".into()))?,
            );
        }
        issuers.sort_by_key(|issuer| issuer.certificate().not_after());
        Ok((issuers, next_id))
    }

    async fn delete_expired_issuer(&self, id: &str, version: Version) -> Result<(), IssueError> {
        let mut batch = Batch::new();
        self.tables.issuer.remove(&mut batch, id, version)?;
        match self.commit(batch).await {
            // Gone already, or changed by somebody who knows better.
            Ok(_) | Err(CommitError::Conflict { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    async fn make_issuer(&self, before: Option<&Issuer>, id: u32, now: Timestamp) -> Result<(), IssueError> {
        let key = (self.ground.keys)(self.profile.issuer_key).await.map_err(IssueError::Key)?;
        let clear = key.to_pkcs8_der();
        let made = issuer::next(&self.profile, before, key, &self.ground.entropy, now)?;
        let id = format!("{id:08}");
        let record = IssuerRecord {
            certificate: made.certificate().to_pem(),
            sealed_key: self.ground.sealing.seal(
                &self.sealed_about(&id),
                clear.expose(),
                &self.ground.entropy,
            ),
        };
        let mut batch = Batch::new();
        self.tables.issuer.create(&mut batch, &id, &record)?;
        self.record_event(
            &mut batch,
            &Happened::IssuerMade { certificate: made.certificate() },
            Some(&Principal::house()),
        )?;
        self.commit(batch).await?;
        tracing::info!(
            authority = %self.profile.name,
            not_after = %made.certificate().not_after(),
            "CA certificate made"
        );
        Ok(())
    }

    /// What a sealed key belongs to, so that it cannot be put in the place of another.
    fn sealed_about(&self, id: &str) -> String {
        format!("/ca/{}/issuer/{id}", self.profile.name)
    }

    /// The CA certificate that signs now.
    pub(crate) async fn active(&self) -> Result<Issuer, IssueError> {
        let issuers = self.issuers().await?;
        rollover::active(&issuers, self.profile.leaf_life, self.now())
            .cloned()
            .ok_or(IssueError::NoActiveIssuer)
    }

    /// The CA certificates that are valid now, the one that expires first in front. Each is trusted for
    /// sign-in, renewals and revocations.
    ///
    /// # Errors
    /// [`IssueError`] when they cannot be read or the next one cannot be made.
    pub async fn anchors(&self) -> Result<Vec<Certificate>, IssueError> {
        Ok(self.issuers().await?.iter().map(|issuer| issuer.certificate().clone()).collect())
    }

    /// The CA certificates as they were last read, for the TLS handshake, which cannot wait. Complete
    /// whenever somebody could hold a certificate of one: an issuer is read before it signs. Some may have
    /// expired.
    #[must_use]
    pub fn trusted(&self) -> Arc<Vec<Certificate>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).trusted.clone()
    }

    /// The CA certificate for newcomers: the oldest that is still valid.
    ///
    /// # Errors
    /// As [`Authority::anchors`].
    pub async fn oldest_anchor(&self) -> Result<Certificate, IssueError> {
        let issuers = self.issuers().await?;
        rollover::oldest(&issuers, self.now())
            .map(|issuer| issuer.certificate().clone())
            .ok_or(IssueError::NoActiveIssuer)
    }

    /// How each CA certificate vouches for the next.
    ///
    /// # Errors
    /// As [`Authority::anchors`].
    pub async fn handovers(&self) -> Result<Vec<Handover>, IssueError> {
        Ok(handover::chain(&self.issuers().await?))
    }

    /// The revocation lists, made anew when they are due or something changed.
    ///
    /// # Errors
    /// [`CrlError`] when they cannot be made.
    pub async fn published(&self) -> Result<Arc<Published>, CrlError> {
        // First, because a new CA certificate throws away the lists.
        self.issuers().await?;
        let now = self.now();
        let fresh = || {
            let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
            held.published.clone().filter(|published| now <= published.refresh_at)
        };
        if let Some(published) = fresh() {
            return Ok(published);
        }
        let _making = self.making.lock().await;
        if let Some(published) = fresh() {
            return Ok(published);
        }
        let generation = self.generation();
        let dated = self.date_crl(now).await?;
        let revoked = self.revocations(now).await?;
        let Some(issuers) = self.held.lock().unwrap_or_else(PoisonError::into_inner).issuers.clone() else {
            // Somebody forgot everything in this very moment; they are read again next time.
            return Err(IssueError::NoActiveIssuer.into());
        };
        let published = Arc::new(crl::publish(&issuers, &revoked, dated, self.profile.crl_life()));
        self.hold(generation, |held| held.published = Some(published.clone()));
        Ok(published)
    }

    /// Number and date for lists made now; stored first when they are new.
    async fn date_crl(&self, now: Timestamp) -> Result<CrlRecord, CrlError> {
        for _ in 0..ATTEMPTS_MAX {
            let loaded = self.tables.crl.get(CRL).await?;
            let held = loaded.as_ref().map(|loaded| loaded.record).unwrap_or_default();
            let dated = crl::dated(held, self.profile.crl_life(), now);
            if dated == held {
                return Ok(held);
            }
            let mut batch = Batch::new();
            self.tables.crl.put_over(&mut batch, CRL, &dated, loaded.map(|loaded| loaded.version))?;
            match self.commit(batch).await {
                Ok(_) => return Ok(dated),
                Err(CommitError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(CommitError::Conflict { key: self.tables.crl.key(CRL)? }.into())
    }

    /// All revocations that are still listed, ordered by serial; those that are due are dropped.
    async fn revocations(&self, now: Timestamp) -> Result<Vec<RevokedEntry>, CrlError> {
        let mut entries = Vec::new();
        let mut dropped = Batch::new();
        let mut page = Page::full();
        loop {
            let listed = self.tables.revoked.list(page).await?;
            for (serial, loaded) in listed.entries {
                let at = Timestamp::from_unix(loaded.record.at);
                match Serial::from_hex(&serial) {
                    Some(_) if loaded.record.drop_at < now.as_unix() => {
                        if dropped.len() < store::BATCH_OPERATIONS_MAX {
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
        let anchors = self.anchors().await.map_err(CrlError::Issue)?;
        x509::verify(certificate, &anchors, self.now()).map_err(VerifyHolderError::Verify)?;
        if self.published().await?.is_revoked(&certificate.serial()) {
            return Err(VerifyHolderError::Verify(VerifyError::Revoked));
        }
        Ok(())
    }

    /// Revokes the certificate of the one who asks.
    ///
    /// # Errors
    /// [`RevokeError`].
    pub async fn revoke_own(&self, holder: ByHolder) -> Result<(), RevokeError> {
        let by = Principal::holder_of(holder.certificate());
        self.revoke_verified(holder.certificate(), &by).await
    }

    /// Revokes somebody's certificate.
    ///
    /// # Errors
    /// [`RevokeError`].
    pub async fn revoke(&self, permit: Permit<Revoke>, certificate: &Certificate) -> Result<(), RevokeError> {
        self.revoke_verified(certificate, permit.by()).await
    }

    async fn revoke_verified(&self, certificate: &Certificate, by: &Principal) -> Result<(), RevokeError> {
        self.verify(certificate).await?;
        match self.store_revocation(&certificate.serial(), certificate.not_after(), by).await {
            // Between our look and our commit somebody else revoked it.
            Err(RevokeError::AlreadyRevoked) => Err(VerifyHolderError::Verify(VerifyError::Revoked).into()),
            other => other,
        }
    }

    /// Revokes whatever has this serial, whether or not it was ever issued.
    ///
    /// # Errors
    /// [`RevokeError::AlreadyRevoked`] when it is listed already.
    pub async fn revoke_serial(&self, permit: Permit<Revoke>, serial: &Serial) -> Result<(), RevokeError> {
        let issuers = self.issuers().await?;
        let last = issuers.last().ok_or(IssueError::NoActiveIssuer)?.certificate().not_after();
        self.store_revocation(serial, last, permit.by()).await
    }

    async fn store_revocation(
        &self,
        serial: &Serial,
        not_after: Timestamp,
        by: &Principal,
    ) -> Result<(), RevokeError> {
        let record = RevokedRecord {
            at: self.now().as_unix(),
            drop_at: crate::revoke::drop_at(&self.profile, not_after).as_unix(),
        };
        for _ in 0..ATTEMPTS_MAX {
            if self.tables.revoked.get(&serial.hex()).await?.is_some() {
                return Err(RevokeError::AlreadyRevoked);
            }
            let loaded = self.tables.crl.get(CRL).await?;
            let mut counted = loaded.as_ref().map(|loaded| loaded.record).unwrap_or_default();
            counted.number += 1;
            let mut batch = Batch::new();
            self.tables.revoked.create(&mut batch, &serial.hex(), &record)?;
            self.tables.crl.put_over(&mut batch, CRL, &counted, loaded.map(|loaded| loaded.version))?;
            self.record_event(&mut batch, &Happened::Revoked { serial }, Some(by))?;
            match self.commit(batch).await {
                Ok(_) => {
                    self.forget_published();
                    tracing::info!(authority = %self.profile.name, %serial, %by, "certificate revoked");
                    return Ok(());
                }
                Err(CommitError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(CommitError::Conflict { key: self.tables.crl.key(CRL)? }.into())
    }

    /// The pending requests, by number.
    ///
    /// # Errors
    /// [`ReadError::Store`].
    pub async fn pending(&self, _permit: Permit<ReadRequests>) -> Result<Vec<PendingRequest>, ReadError> {
        let mut pending = Vec::new();
        for (key, loaded) in self.tables.pending.all().await? {
            let Some(id) = RequestId::from_key(&key) else { continue };
            // Decided between the listing and now: no longer pending.
            let Some(request) = self.tables.request.get(&key).await? else { continue };
            let at = Timestamp::from_unix(loaded.record.since);
            pending.push(PendingRequest { id, csr: request.record.csr, at });
        }
        Ok(pending)
    }

    /// A request as it was submitted, pending or signed.
    ///
    /// # Errors
    /// [`ReadError::NotFound`] when it is unknown, rejected or dropped.
    pub async fn request(&self, id: RequestId) -> Result<String, ReadError> {
        let loaded = self.tables.request.get(&id.key()).await?.ok_or(ReadError::NotFound { id })?;
        Ok(loaded.record.csr)
    }

    /// The certificate that came of a request, in PEM. Fetching one for the first time may shorten how long
    /// it is kept.
    ///
    /// # Errors
    /// [`ReadError::NotFound`] when it is unknown or still pending.
    pub async fn certificate(&self, id: RequestId) -> Result<String, ReadError> {
        let not_found = || ReadError::NotFound { id };
        let issued = self.tables.issued.get(&id.key()).await?.ok_or_else(not_found)?;
        let certificate = self.tables.certificate.get(&issued.record.serial).await?.ok_or_else(not_found)?;
        if !issued.record.fetched {
            self.mark_fetched(id, issued).await;
        }
        Ok(certificate.record.certificate)
    }

    async fn mark_fetched(&self, id: RequestId, issued: store::Loaded<IssuedRecord>) {
        let soon = self.now() + self.profile.admission.keep_fetched;
        let record = IssuedRecord {
            drop_at: issued.record.drop_at.min(soon.as_unix()),
            fetched: true,
            serial: issued.record.serial,
        };
        let mut batch = Batch::new();
        let marked = match self.tables.issued.update(&mut batch, &id.key(), &record, issued.version) {
            Ok(()) => self.commit(batch).await,
            Err(error) => Err(error.into()),
        };
        match marked {
            Ok(_) => self.remember_due(id, Timestamp::from_unix(record.drop_at)),
            // Somebody else fetched it in the same moment.
            Err(CommitError::Conflict { .. }) => {}
            // It was read all the same, and is kept a little longer.
            Err(error) => tracing::warn!(request = %id, error = %error, "fetch could not be recorded"),
        }
    }
}

/// How many requests are approved at once: what was locked the first time, else what the profile says.
async fn automatic_max(tables: &Tables, profile: &Profile) -> Result<u64, OpenError> {
    let configured = profile.admission.automatic_max;
    loop {
        if let Some(locked) = tables.automatic.get(AUTOMATIC).await? {
            return Ok(locked.record.automatic_max);
        }
        if !profile.admission.lock_automatic_max {
            return Ok(configured);
        }
        let mut batch = Batch::new();
        tables.automatic.create(&mut batch, AUTOMATIC, &AutomaticRecord { automatic_max: configured })?;
        match tables.automatic.engine().commit(batch).await {
            Ok(_) => return Ok(configured),
            Err(CommitError::Conflict { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
