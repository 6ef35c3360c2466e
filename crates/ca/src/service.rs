//! An authority at work: load, decide, commit.

use std::sync::{Arc, Mutex};

use async_lock::Mutex as AsyncMutex;
use base::{Clock, Entropy, Timestamp};
use futures_util::future::BoxFuture;
use identity::{Action, Permit, Principal, Role};
use store::{Batch, CommitError, Engine, History, SealingKey, Table, Version};
use x509::{KeyError, KeySpec, PrivateKey};

use crate::authority::{AuthorityName, Profile};
use crate::desk::Desk;
use crate::error::{OpenError, ReadError};
use crate::event::Happened;
use crate::held::Held;
use crate::ledger::Ledger;
use crate::purge::Due;
use crate::recent::Recent;
use crate::record::{
    AutomaticRecord, CertificateRecord, CrlRecord, IssuedRecord, IssuerRecord, LedgerRecord, PendingRecord,
    RequestRecord, RequestRefRecord, ReservedRecord, RetiredRecord, RevokedRecord, SettledRecord,
};
use crate::request::{PendingRequest, RequestId};
use crate::stock::Stock;
use crate::submit;
use crate::token::{Said, Token};

/// How often a commit is tried again when others were faster.
pub(crate) const ATTEMPTS_MAX: usize = 64;

/// How often it is tried again when it is not known what became of a commit. What it was about is read again
/// before, so that nothing is done twice and who asked is told how it is.
pub(crate) const DOUBTS_MAX: usize = 3;

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
    /// Making the next CA certificate before it is time.
    Rotate = "begin a rollover early";
    /// Giving up all CA certificates of an authority, whose keys somebody else may have.
    Retire = "retire an authority's CA certificates";
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
    /// Where CA keys are that are not here.
    pub token: Option<Arc<dyn Token>>,
}

/// The authority's tables.
pub(crate) struct Tables {
    pub(crate) issuer: Table<IssuerRecord>,
    pub(crate) request: Table<RequestRecord>,
    pub(crate) pending: Table<PendingRecord>,
    pub(crate) reserved: Table<ReservedRecord>,
    pub(crate) issued: Table<IssuedRecord>,
    pub(crate) digest: Table<RequestRefRecord>,
    pub(crate) key: Table<RequestRefRecord>,
    pub(crate) certificate: Table<CertificateRecord>,
    pub(crate) revoked: Table<RevokedRecord>,
    pub(crate) ledger: Table<LedgerRecord>,
    pub(crate) crl: Table<CrlRecord>,
    pub(crate) automatic: Table<AutomaticRecord>,
    pub(crate) settled: Table<SettledRecord>,
    pub(crate) retired: Table<RetiredRecord>,
}

impl Tables {
    pub(crate) fn new(engine: &Arc<dyn Engine>, name: AuthorityName) -> Result<Self, store::Error> {
        let prefix = |table: &str| format!("/ca/{name}/{table}");
        Ok(Self {
            issuer: Table::new(engine.clone(), &prefix("issuer/"))?,
            request: Table::new(engine.clone(), &prefix("request/"))?,
            pending: Table::new(engine.clone(), &prefix("pending/"))?,
            reserved: Table::new(engine.clone(), &prefix("reserved/"))?,
            issued: Table::new(engine.clone(), &prefix("issued/"))?,
            digest: Table::new(engine.clone(), &prefix("digest/"))?,
            key: Table::new(engine.clone(), &prefix("key/"))?,
            certificate: Table::new(engine.clone(), &prefix("certificate/"))?,
            revoked: Table::new(engine.clone(), &prefix("revoked/"))?,
            // One record each; its name follows this prefix.
            ledger: Table::new(engine.clone(), &prefix(""))?,
            crl: Table::new(engine.clone(), &prefix(""))?,
            automatic: Table::new(engine.clone(), &prefix(""))?,
            settled: Table::new(engine.clone(), &prefix(""))?,
            retired: Table::new(engine.clone(), &prefix(""))?,
        })
    }
}

/// The names of the single records.
pub(crate) const CRL: &str = "crl";
pub(crate) const AUTOMATIC: &str = "automatic";
pub(crate) const SETTLED: &str = "settled";
pub(crate) const RETIRED: &str = "retired";

/// One certificate authority.
pub struct Authority {
    pub(crate) profile: Profile,
    pub(crate) ground: Ground,
    pub(crate) tables: Tables,
    pub(crate) history: History,
    pub(crate) desk: Desk<submit::Job, submit::Answer>,
    pub(crate) ledger: Ledger,
    pub(crate) stock: Stock,
    pub(crate) recent: Recent,
    pub(crate) due: Mutex<Option<Due>>,
    automatic_max: u64,
    pub(crate) held: Held,
    pub(crate) said: Arc<Said>,
    /// Taken by whoever makes an issuer or reads the revocations, so that it is done once.
    pub(crate) making: AsyncMutex<()>,
}

impl Authority {
    /// Opens an authority, and makes its first CA certificate when it has none.
    ///
    /// # Errors
    /// [`OpenError`] when the store cannot be read, a CA key cannot be unsealed or made.
    pub async fn open(profile: Profile, ground: Ground) -> Result<Self, OpenError> {
        let mut authority = Self::look(profile, ground)?;
        authority.automatic_max = automatic_max(&authority.tables, &authority.profile).await?;
        authority.issuers().await?;
        Ok(authority)
    }

    /// An authority as it is on record: nothing is made before it is asked for. For who looks, and for who gives up what
    /// there is; how many requests are approved at once is not looked up.
    ///
    /// # Errors
    /// None in practice: the prefixes of its keys are fair ones.
    pub fn look(profile: Profile, ground: Ground) -> Result<Self, store::Error> {
        let tables = Tables::new(&ground.engine, profile.name)?;
        let history = History::new(ground.engine.clone())?;
        let automatic_max = profile.admission.automatic_max;
        Ok(Self {
            profile,
            ground,
            tables,
            history,
            desk: Desk::new(),
            ledger: Ledger::default(),
            stock: Stock::default(),
            recent: Recent::default(),
            due: Mutex::new(None),
            automatic_max,
            held: Held::default(),
            said: Arc::default(),
            making: AsyncMutex::new(()),
        })
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
        self.history.append(batch, &event, &self.ground.entropy).map(drop)
    }

    pub(crate) async fn commit(&self, batch: Batch) -> Result<Version, CommitError> {
        self.ground.engine.commit(batch).await.map(Version)
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
    let mut doubts = 0;
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
            Err(CommitError::Unknown { .. }) if doubts < DOUBTS_MAX => doubts += 1,
            Err(error) => return Err(error.into()),
        }
    }
}
