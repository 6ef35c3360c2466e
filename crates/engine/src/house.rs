//! The house: every part put together, started from the ground up and stopped from the roof down.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base::{Clock, Entropy, Explain, Kind, Span, report};
use bus::InProcess;
use ca::{Authority, AuthorityName, Ground, Profile};
use cache::Cache;
use fleet::Fleet;
use identity::sign_in::Shared;
use identity::{Permit, Principal, SignInError};
use serde::{Deserialize, Serialize};
use store::blobs::Blobs;
use store::{Batch, Claims, Engine, History, Page, Record, SealingKey, Table};
use trust::Trust;
use x509::{Certificate, KeySpec, Name, PrivateKey, SigningRequest, VerifyError};

use crate::audit::Audit;
use crate::clock_seen::{self, NoteTime};
use crate::hands::handing_on::Courier;
use crate::hands::{Hands, Nodes};
use crate::house_error::{HouseError, SignInFailed};
use crate::neighbours;
use crate::outbox;
use crate::reactions::OwnTrust;
use crate::reconciler::{self, Reconciler};
use crate::reconcilers::{
    BackupParts, Backups, Certificates, CollectArtifacts, EndIdleUploads, LinkHistory, OnAnchors, OnIdentity,
    Regroup, Rollover, ScrubArtifacts, ServerCertificate, TellRefusals, TrimHistory, TrimLinked, VoidSerials,
    WriteUses,
};
use crate::refusals::Refusals;
use crate::seal;
use crate::server_identity::ServerName;
use crate::tasks::{Stop, Tasks};
use crate::token::{self, Asked, TokenParts, WatchToken};
use crate::upstream::{Behind, Relay};

/// How much of the history is kept.
pub use store::Retention;

/// How long the outbox may take to tell what is left.
const OUTBOX_DEADLINE: Duration = Duration::from_secs(2);

/// How long the history may take to be told of the last refusals.
const REFUSALS_DEADLINE: Duration = Duration::from_secs(2);

/// How long the store may take to be told which artifacts were read last.
const USES_DEADLINE: Duration = Duration::from_secs(2);

/// How long the store may take to answer when it is asked whether it is there.
const READY_DEADLINE: Duration = Duration::from_secs(2);

/// What a house is made of.
pub struct Parts {
    /// Where everything is kept.
    pub engine: Arc<dyn Engine>,
    /// Seals what is secret in it.
    pub sealing: Arc<SealingKey>,
    /// What time it is.
    pub clock: Clock,
    /// Whether somebody says that the clock is right, however it differs from when the house was here last.
    pub clock_is_right: bool,
    /// Where chance comes from.
    pub entropy: Entropy,
    /// The policy of the services authority.
    pub services: Profile,
    /// The policy of the users authority.
    pub users: Profile,
    /// The policy of the authority that certifies the server itself.
    pub server: Profile,
    /// What the server is called.
    pub server_name: ServerName,
    /// Where its certificate and key are kept.
    pub server_file: PathBuf,
    /// How long before its end the server's certificate is renewed.
    pub server_threshold: Span,
    /// What key it gets.
    pub server_key: KeySpec,
    /// Told whenever the server has a new certificate.
    pub on_server_identity: OnIdentity,
    /// Told the certificates of the server's authority, at the start and whenever there are others. May wait
    /// for files. The next one is told at the latest when the server's certificate is renewed, and so before
    /// anything is signed with it.
    pub on_server_anchors: OnAnchors,
    /// How much of the history is kept, and how much of the cache's.
    pub retention: Retention,
    /// Where artifacts are kept, and how many, if any are.
    pub cache: Option<CacheParts>,
    /// What takes letters to webhooks; none are told, where there is nothing.
    pub courier: Option<Arc<dyn Courier>>,
    /// With what hosts are looked at, made ready, watched, and operated on; without, they stay as they were given.
    pub hands: Option<Hands>,
    /// Where backups of the authorities go, if any are made.
    pub backups: Option<BackupParts>,
    /// Where CA keys are that are not in the store, if any are.
    pub token: Option<TokenParts>,
}

/// What the artifact cache is made of.
pub struct CacheParts {
    /// Where the bytes are kept.
    pub blobs: Arc<dyn Blobs>,
    /// How much is taken.
    pub limits: cache::Limits,
    /// What is removed.
    pub rules: cache::Rules,
    /// How fast what is kept is read again, to see whether it is whole; it is only where somebody asks for that, where there
    /// is none.
    pub scrub_bytes_per_second: Option<u64>,
    /// Another cache, which has what this one has not.
    pub upstream: Option<Behind>,
    /// Whose keys are whose, where entries that their signers withdrew are hidden from readers.
    pub signers: Option<entry::Trust>,
    /// What the place of the bytes is called, where other processes on the same store have others.
    pub place: Option<String>,
}

/// The name of the record that says that the first start is over.
const FIRST_START: &str = "first-start";

/// How long a process may take for the first start, and be dead before another does it.
const FIRST_START_LEASE: Span = Span::seconds(30);
/// How often it is looked at whether another process has done it.
const FIRST_START_LOOKED_AT: Duration = Duration::from_millis(250);

/// That the first start is over, and since when.
#[derive(Serialize, Deserialize)]
struct FirstStart {
    at: i64,
}

impl Record for FirstStart {
    const VERSION: u32 = 1;
}

/// The running house.
pub struct House {
    services: Arc<Authority>,
    users: Arc<Authority>,
    server: Arc<Authority>,
    pub(crate) fleet: Arc<Fleet>,
    pub(crate) trust: Arc<Trust>,
    cache: Option<Arc<Cache>>,
    blobs: Option<Arc<dyn Blobs>>,
    cache_rules: Option<cache::Rules>,
    relay: Option<Arc<Relay>>,
    pub(crate) nodes: Arc<Nodes>,
    pub(crate) claims: Claims,
    pub(crate) engine: Arc<dyn Engine>,
    first_start: Table<FirstStart>,
    history: History,
    audit: Arc<Audit>,
    refusals: Arc<Refusals>,
    pub(crate) bus: InProcess,
    pub(crate) clock: Clock,
    pub(crate) entropy: Entropy,
    tasks: Tasks,
    pub(crate) stop: Stop,
    /// What all who sign people in have in common.
    pub(crate) signing_in: Shared,
    outbox: Tasks,
    outbox_stop: Stop,
    token: Option<Arc<Asked>>,
}

impl House {
    /// Builds the house on `parts`: sees that the sealing key is the store's, opens the authorities and the
    /// fleet, voids the serials that an earlier run left, unless others may be using them,
    /// has the server's certificate made, and starts what runs without being asked. Nothing is served yet.
    ///
    /// # Errors
    /// [`HouseError`]; nothing is left running then.
    pub async fn build(parts: Parts, tasks: Tasks, stop: Stop) -> Result<Arc<Self>, HouseError> {
        let is_unmarked = seal::is_unmarked(&parts.engine).await?;
        if !is_unmarked {
            seal::check(&parts.engine, &parts.sealing, &parts.entropy).await?;
        }
        clock_seen::check(&parts.engine, &parts.clock, parts.clock_is_right).await?;
        let (token, on_token) = match parts.token {
            Some(TokenParts { token, makes_keys, told }) => {
                (Some(Arc::new(Asked::new(token, makes_keys, tasks.clone()))), Some(told))
            }
            None => (None, None),
        };
        let ground = Ground {
            engine: parts.engine.clone(),
            sealing: parts.sealing.clone(),
            clock: parts.clock.clone(),
            entropy: parts.entropy.clone(),
            keys: {
                let tasks = tasks.clone();
                Arc::new(move |spec| {
                    let tasks = tasks.clone();
                    Box::pin(async move { tasks.compute(move || PrivateKey::generate(spec)).await })
                })
            },
            token: token.clone().map(|token| token as Arc<dyn ca::Token>),
        };
        let open = async |profile: Profile| {
            let name = profile.name;
            let refuse = |source| HouseError::Authority { name, source };
            let authority = Authority::open(profile, ground.clone()).await.map_err(refuse)?;
            authority.find_token_keys().await.map_err(|error| refuse(error.into()))?;
            Ok::<_, HouseError>(Arc::new(authority))
        };
        // Three keys are made at the very first start: on as many cores as there are.
        // Each comes to its end also where another fails: a key that is being made in a token is stored, or removed.
        let (services, users, server) =
            futures_util::join!(open(parts.services), open(parts.users), open(parts.server));
        let (services, users, server) = (services?, users?, server?);
        if is_unmarked {
            // That they could be opened shows that the key is the right one.
            seal::check(&parts.engine, &parts.sealing, &parts.entropy).await?;
        }
        let trust = Arc::new(Trust::new(trust::Ground {
            engine: parts.engine.clone(),
            sealing: parts.sealing.clone(),
            clock: parts.clock.clone(),
            entropy: parts.entropy.clone(),
        })?);
        let mark = trust.mark(Permit::house()).await.map_err(HouseError::Mark)?;
        let audit = Audit::new(
            parts.engine.clone(),
            parts.sealing.clone(),
            parts.clock.clone(),
            parts.entropy.clone(),
        )?;
        let fleet = Fleet::open(fleet::Ground {
            engine: parts.engine.clone(),
            sealing: parts.sealing.clone(),
            clock: parts.clock.clone(),
            entropy: parts.entropy.clone(),
        });
        let fleet = Arc::new(fleet.await.map_err(HouseError::Fleet)?);
        let blobs = parts.cache.as_ref().map(|cache| cache.blobs.clone());
        let cache_rules = parts.cache.as_ref().map(|cache| cache.rules.clone());
        let scrub_bytes_per_second = parts.cache.as_ref().and_then(|cache| cache.scrub_bytes_per_second);
        let mut upstream = None;
        let mut scrubs_own = false;
        let cache =
            parts.cache.map(|CacheParts { blobs, limits, upstream: found, signers, place, .. }| {
                upstream = found;
                scrubs_own = place.is_some();
                let (engine, clock, entropy) =
                    (parts.engine.clone(), parts.clock.clone(), parts.entropy.clone());
                let cache = Cache::new(cache::Ground { engine, blobs, clock, entropy }, limits);
                cache.map(|cache| Arc::new(cache.hiding(signers).with_blobs_of(place.as_deref())))
            });
        let cache = cache.transpose()?;
        let relay = cache.clone().zip(upstream).map(|(cache, upstream)| {
            let works = (tasks.clone(), stop.clone());
            Arc::new(Relay::new(cache, upstream, parts.clock.clone(), &parts.entropy, works))
        });
        let authorities = vec![services.clone(), users.clone(), server.clone()];
        if !parts.engine.is_shared() {
            // Nobody else can be at work: the embedded store is locked to this process.
            for authority in &authorities {
                match authority.void_reserved(Span::ZERO).await {
                    Ok(_) => {}
                    // What is there can still be served; serials that nobody voids do no harm.
                    Err(error) if error.kind() == Kind::Full => {
                        tracing::warn!(error = %report(&error), "reserved serials are not voided yet");
                    }
                    Err(error) => return Err(HouseError::VoidSerials(error)),
                }
            }
        }
        let mut certificate = ServerCertificate {
            authority: server.clone(),
            name: parts.server_name,
            path: parts.server_file,
            threshold: parts.server_threshold,
            key_spec: parts.server_key,
            clock: parts.clock.clone(),
            tasks: tasks.clone(),
            on_change: parts.on_server_identity,
            on_anchors: parts.on_server_anchors,
            current: None,
            told: Vec::new(),
        };
        certificate.refresh().await?;
        let house = Arc::new(Self {
            services,
            users,
            server,
            cache,
            blobs,
            cache_rules,
            relay,
            nodes: Arc::new(Nodes::new(fleet.clone(), parts.clock.clone())),
            claims: Claims::new(parts.engine.clone())?,
            fleet,
            trust,
            first_start: Table::new(parts.engine.clone(), "/house/")?,
            history: History::new(parts.engine.clone())?,
            audit: Arc::new(audit),
            refusals: Arc::default(),
            bus: InProcess::new(),
            engine: parts.engine,
            clock: parts.clock.clone(),
            entropy: parts.entropy,
            tasks,
            signing_in: Shared::new(),
            outbox: Tasks::new(),
            outbox_stop: Stop::new(),
            stop,
            token,
        });
        let clock = parts.clock;
        let claims = house.claims.clone();
        let hints = house.bus.listen();
        house.start_outbox().await?;
        if house.engine.is_shared() {
            house.tasks.spawn(neighbours::run(authorities.clone(), hints, house.stop.clone()));
        }
        house.start(&claims, Box::new(certificate));
        if let Some((token, told)) = house.token.clone().zip(on_token) {
            token::tell_unused(&authorities).await;
            let authorities = authorities.to_vec();
            house.start(&claims, Box::new(WatchToken { token, authorities, told, clock: clock.clone() }));
        }
        house.start(&claims, Box::new(Rollover { authorities: authorities.clone(), clock: clock.clone() }));
        house
            .start(&claims, Box::new(VoidSerials { authorities: authorities.clone(), clock: clock.clone() }));
        let own =
            OwnTrust { authorities: authorities.clone(), trust: house.trust.clone(), clock: clock.clone() };
        house.start(&claims, Box::new(own));
        house.start(&claims, Box::new(Certificates { authorities, clock: clock.clone() }));
        house.start(&claims, Box::new(NoteTime { engine: house.engine.clone(), clock: clock.clone() }));
        let told = TellRefusals {
            refusals: house.refusals.clone(),
            engine: house.engine.clone(),
            history: house.history.clone(),
            clock: clock.clone(),
            entropy: house.entropy.clone(),
        };
        house.start(&claims, Box::new(told));
        if let Some((cache, rules)) = house.cache.clone().zip(house.cache_rules.clone()) {
            let uses = WriteUses { cache: cache.clone(), clock: clock.clone() };
            house.start(&claims, Box::new(uses));
            let idle = EndIdleUploads { cache: cache.clone(), clock: clock.clone() };
            house.start(&claims, Box::new(idle));
            let collect = CollectArtifacts { cache: cache.clone(), rules, clock: clock.clone() };
            house.start(&claims, Box::new(collect));
            let (bytes_per_second, is_own) = (scrub_bytes_per_second, scrubs_own);
            let scrub = ScrubArtifacts { cache, bytes_per_second, is_own, clock: clock.clone() };
            house.start(&claims, Box::new(scrub));
        }
        if let Some(backups) = parts.backups {
            let chance = (clock.clone(), house.entropy.clone());
            let (engine, tasks) = (house.engine.clone(), house.tasks.clone());
            house.start(&claims, Box::new(Backups::new(engine, parts.sealing, backups, chance, tasks)?));
        }
        house.start(&claims, Box::new(Regroup::new(house.fleet.clone(), clock.clone())));
        let crew = parts.hands.map(|hands| house.look_after_hosts(&claims, hands));
        house.hand_on_trust(&claims, crew, parts.courier, mark);
        let retention = parts.retention;
        if house.cache.is_some() {
            let (name, engine, clock) = ("history of the cache", house.engine.clone(), clock.clone());
            let history = Cache::history(&house.engine)?;
            house.start(&claims, Box::new(TrimHistory { name, engine, history, retention, clock }));
        }
        let (name, history) = ("history of trust", Trust::places_history(&house.engine)?);
        let (engine, clock_of_places) = (house.engine.clone(), clock.clone());
        house.start(
            &claims,
            Box::new(TrimHistory { name, engine, history, retention, clock: clock_of_places }),
        );
        let (engine, audit, fleet) = (house.engine.clone(), house.audit.clone(), house.fleet.clone());
        let is_shared = house.engine.is_shared();
        house.start(&claims, Box::new(LinkHistory { audit: audit.clone(), is_shared, clock: clock.clone() }));
        house.start(&claims, Box::new(TrimLinked { engine, audit, fleet, retention, clock }));
        Ok(house)
    }

    async fn start_outbox(&self) -> Result<(), HouseError> {
        let from = self.engine.list(&History::prefix(), Page::first(1)).await?.revision;
        self.outbox.spawn(outbox::run(self.engine.clone(), from, self.bus.clone(), self.outbox_stop.clone()));
        Ok(())
    }

    pub(crate) fn start(&self, claims: &Claims, reconciler: Box<dyn Reconciler>) {
        let holder = base::hex::encode(&self.entropy.bytes::<8>());
        let (clock, bus, stop) = (self.clock.clone(), self.bus.clone(), self.stop.clone());
        self.tasks.spawn(reconciler::run(reconciler, claims.clone(), holder, clock, bus, stop));
    }

    /// One of the authorities.
    #[must_use]
    pub fn authority(&self, name: AuthorityName) -> &Arc<Authority> {
        match name {
            AuthorityName::Services => &self.services,
            AuthorityName::Users => &self.users,
            AuthorityName::Server => &self.server,
        }
    }

    /// The hosts and clusters.
    #[must_use]
    pub fn fleet(&self) -> &Arc<Fleet> {
        &self.fleet
    }

    /// Who provides trust for whom.
    #[must_use]
    pub fn trust(&self) -> &Arc<Trust> {
        &self.trust
    }

    /// The artifacts, where any are kept.
    #[must_use]
    pub fn cache(&self) -> Option<&Arc<Cache>> {
        self.cache.as_ref()
    }

    /// The cache and another one behind it, where there is one.
    #[must_use]
    pub fn relay(&self) -> Option<&Arc<Relay>> {
        self.relay.as_ref()
    }

    /// What is removed from the cache, where there is one.
    #[must_use]
    pub fn cache_rules(&self) -> Option<&cache::Rules> {
        self.cache_rules.as_ref()
    }

    /// The history, and its links.
    #[must_use]
    pub fn audit(&self) -> &Arc<Audit> {
        &self.audit
    }

    /// Hears what happens in this house from now on, and in others on the same store.
    #[must_use]
    pub fn hints(&self) -> bus::Listener {
        self.bus.listen()
    }

    /// Who was refused what: to be noted there.
    #[must_use]
    pub fn refusals(&self) -> &Refusals {
        &self.refusals
    }

    /// What time it is in this house.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Where chance comes from in this house.
    #[must_use]
    pub fn entropy(&self) -> &Entropy {
        &self.entropy
    }

    /// Who works here.
    #[must_use]
    pub fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    /// Asked when the house is to stop.
    #[must_use]
    pub fn stopping(&self) -> &Stop {
        &self.stop
    }

    /// Whether a TLS client may present `certificate`: it must be a user's, and within its dates. Whether it
    /// was revoked is looked at with each request (caucase contract, section 2.1).
    ///
    /// # Errors
    /// [`VerifyError`].
    pub fn may_present(&self, certificate: &Certificate) -> Result<(), VerifyError> {
        x509::verify(certificate, &self.users.trusted(), self.clock.now()).map(|_| ())
    }

    /// Whether `certificate` is one of a service's, and within its dates.
    #[must_use]
    pub fn is_service(&self, certificate: &Certificate) -> bool {
        x509::verify(certificate, &self.services.trusted(), self.clock.now()).is_ok()
    }

    /// Signs in whoever presented `certificate` in the TLS handshake.
    ///
    /// # Errors
    /// [`SignInFailed`].
    pub async fn sign_in(
        &self,
        certificate: Option<&Certificate>,
        from: Option<std::net::IpAddr>,
    ) -> Result<Principal, SignInFailed> {
        let certificate = certificate.ok_or(SignInError::Nothing)?;
        self.sign_in_to(AuthorityName::Users, certificate, from).await
    }

    /// Signs in the holder of a certificate of one of the authorities.
    pub(crate) async fn sign_in_to(
        &self,
        name: AuthorityName,
        certificate: &Certificate,
        from: Option<std::net::IpAddr>,
    ) -> Result<Principal, SignInFailed> {
        let authority = self.authority(name);
        let anchors = authority.anchors().await.map_err(ca::CrlError::Issue)?;
        let published = authority.revocations_now().await?;
        let is_revoked = |serial: &x509::Serial| published.is_revoked(serial);
        let now = self.clock.now();
        Ok(match name {
            AuthorityName::Users => identity::certificate(certificate, &anchors, is_revoked, now, from)?,
            AuthorityName::Services | AuthorityName::Server => {
                identity::service_certificate(certificate, &anchors, is_revoked, now, from)?
            }
        })
    }

    /// A key and certificate for somebody who may do everything: the first administrator. PEM, key first.
    ///
    /// # Errors
    /// [`HouseError`].
    pub async fn make_administrator(
        &self,
        name: &Name,
        spec: KeySpec,
    ) -> Result<base::Secret<String>, HouseError> {
        let key = self.tasks.compute(move || PrivateKey::generate(spec)).await.map_err(HouseError::Key)?;
        let csr = SigningRequest::build(&key, name, &[]);
        let certificate = self
            .users
            .issue(Permit::house(), &csr, &csr.to_pem())
            .await
            .map_err(HouseError::Administrator)?;
        Ok(base::Secret::new([key.to_pem().expose().as_str(), &certificate.to_pem()].concat()))
    }

    /// Whether the first start is to be brought to its end by this process, which then calls
    /// [`House::first_start_done`]. Where several start for the first time, the others wait until it is over, or
    /// until the one that was to do it has died and half a minute has passed.
    ///
    /// # Errors
    /// [`store::Error`].
    pub async fn is_first_start(&self) -> Result<bool, store::Error> {
        let claims = Claims::new(self.engine.clone())?;
        let holder = base::hex::encode(&self.entropy.bytes::<8>());
        let mut is_told = false;
        while self.first_start.get(FIRST_START).await?.is_none() {
            if !self.engine.is_shared() {
                return Ok(true);
            }
            if claims.take(FIRST_START, &holder, self.clock.now(), FIRST_START_LEASE).await?.is_some() {
                // It may have come to its end before we took over.
                return Ok(self.first_start.get(FIRST_START).await?.is_none());
            }
            if !std::mem::replace(&mut is_told, true) {
                tracing::info!("another process is at the first start, waiting for its end");
            }
            tokio::time::sleep(FIRST_START_LOOKED_AT).await;
        }
        Ok(false)
    }

    /// Whether the authorities were taken over from somewhere else, and if so whether they came with users who can sign in
    /// now.
    ///
    /// # Errors
    /// [`store::Error`].
    pub async fn taken_over(&self) -> Result<Option<bool>, store::Error> {
        let taken = ca::takeover::TakenOver::load(&self.engine).await?;
        Ok(taken.map(|taken| taken.has_users(self.clock.now())))
    }

    /// Remembers that the first start is over: the first administrator has their key.
    ///
    /// # Errors
    /// [`store::Error`].
    pub async fn first_start_done(&self) -> Result<(), store::Error> {
        let mut batch = Batch::new();
        self.first_start.put(&mut batch, FIRST_START, &FirstStart { at: self.clock.now().as_unix() })?;
        self.engine.commit(batch).await.map(drop).map_err(|error| error.into_store("ending the first start"))
    }

    /// Whether there is no reason to start this process again: its own store answers. One that is elsewhere may be
    /// away for a while, and a new start would not bring it back.
    pub async fn is_well(&self) -> bool {
        self.engine.is_shared() || self.is_ready().await
    }

    /// Why nothing can be signed, where that is so: the token with the CA keys cannot be used. What only reads goes on.
    #[must_use]
    pub fn signing_fault(&self) -> Option<String> {
        self.token.as_ref()?.fault()
    }

    /// Whether the store answers.
    pub async fn is_ready(&self) -> bool {
        let prefix = History::prefix();
        let looked = tokio::time::timeout(READY_DEADLINE, self.engine.list(&prefix, Page::first(1)));
        !self.stop.is_asked() && matches!(looked.await, Ok(Ok(_)))
    }

    /// Stops what runs without being asked, waits for what is in progress, at most until `deadline` has
    /// passed, lets the outbox tell the rest, and closes the store. Whether everything ended by itself.
    ///
    /// # Errors
    /// [`store::Error`] when the store could not be closed; what was acknowledged is safe all the same.
    pub async fn stop(&self, deadline: Duration) -> Result<bool, store::Error> {
        self.stop.ask();
        let in_time = self.tasks.drain(deadline).await;
        let engine = self.engine.as_ref();
        let last = self.refusals.tell(engine, &self.history, &self.clock, &self.entropy);
        match tokio::time::timeout(REFUSALS_DEADLINE, last).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(error = %base::report(&error), "the last refusals are not in the history");
            }
            Err(_) => tracing::warn!("the last refusals may not be in the history, the store did not answer"),
        }
        if let Some(cache) = &self.cache {
            // Whoever uploads begins anew.
            cache.end_uploads();
            // What was read since it was last written down would count as not read.
            match tokio::time::timeout(USES_DEADLINE, cache.write_uses()).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::warn!(error = %report(&error), "which artifacts were read last is not written down");
                }
                Err(_) => tracing::warn!("which artifacts were read last may not be written down"),
            }
        }
        // Last, when nobody is left who could add to the history.
        self.outbox_stop.ask();
        let told = self.outbox.drain(OUTBOX_DEADLINE).await;
        let closed = self.engine.close().await;
        if let Some(Err(error)) = match &self.blobs {
            Some(blobs) => Some(blobs.close().await),
            None => None,
        } {
            tracing::warn!(error = %base::report(&error), "the artifacts' store was not closed");
        }
        closed.map(|()| in_time && told)
    }
}
