//! The CA certificates that an authority holds: loaded, made when it is time, handed out.

use std::sync::Arc;

use base::{Span, Timestamp};
use identity::Principal;
use store::{Batch, CommitError, Expect, Key, Version};
use x509::{Certificate, PrivateKey};

use crate::error::IssueError;
use crate::event::Happened;
use crate::handover::{self, Handover};
use crate::issuer::{self, Issuer, IssuerKey};
use crate::record::{IssuerRecord, KeyRecord};
use crate::rollover;
use crate::service::{ATTEMPTS_MAX, Authority, DOUBTS_MAX, RETIRED};
use crate::takeover::TAKING_OVER;
use crate::token::{self, KeyLeft, TokenKey};

/// Why no CA certificate was made, as far as is known.
pub(crate) enum MakeError {
    /// None was.
    Issue(IssueError),
    /// This one was, or was not: the answer was lost.
    Unknown { made: Certificate, source: CommitError },
}

impl From<IssueError> for MakeError {
    fn from(error: IssueError) -> Self {
        Self::Issue(error)
    }
}

impl From<store::Error> for MakeError {
    fn from(error: store::Error) -> Self {
        Self::Issue(error.into())
    }
}

impl From<MakeError> for IssueError {
    fn from(error: MakeError) -> Self {
        match error {
            MakeError::Issue(error) => error,
            MakeError::Unknown { source, .. } => source.into(),
        }
    }
}

/// The CA certificates on record.
pub(crate) struct ReadIssuers {
    /// Those that are valid now and their keys, the one that expires first in front.
    pub(crate) issuers: Vec<Issuer>,
    /// The number of the next one.
    pub(crate) next_id: u32,
    /// Those that have certainly ended: what they are kept under, and where their keys are.
    pub(crate) ended: Vec<(String, Certificate, KeyRecord, Version)>,
}

/// Which retirement was the latest when somebody's certificate was believed, where other processes may begin one.
#[derive(Clone, Copy)]
pub(crate) struct Believed(Option<Option<Version>>);

/// The number of an authority's first CA certificate.
pub(crate) const FIRST_ISSUER: u32 = 1;

/// How long nobody tries to make a CA key after the token did not make it.
const MAKE_AGAIN_AFTER: Span = Span::seconds(10);

/// What a CA certificate of that number is kept under.
pub(crate) fn issuer_id(number: u32) -> String {
    format!("{number:08}")
}

impl Authority {
    fn held_issuers(&self, now: Timestamp) -> Option<Arc<Vec<Issuer>>> {
        let issuers = self.held.issuers(now)?;
        let life = self.profile.leaf_life;
        let are_good = rollover::all_count(&issuers, life, now)
            && (self.held.must_wait(now) || !rollover::needs_successor(&issuers, life, now));
        are_good.then_some(issuers)
    }

    /// When the next CA certificate is to be made.
    ///
    /// # Errors
    /// As [`Authority::anchors`].
    pub async fn successor_due(&self) -> Result<Timestamp, IssueError> {
        let issuers = self.issuers().await?;
        let newest = issuers.last().ok_or(IssueError::NoActiveIssuer)?;
        let life = self.profile.leaf_life;
        Ok(newest.certificate().not_after() - (life + life))
    }

    /// The CA certificates that are valid now and their keys, the one that expires first in front. Makes
    /// the next one when it is time, and deletes those that have certainly expired (`settled.rs`).
    pub(crate) async fn issuers(&self) -> Result<Arc<Vec<Issuer>>, IssueError> {
        let now = self.now();
        if let Some(issuers) = self.held_issuers(now) {
            return Ok(issuers);
        }
        // A successor is made long before it is needed: nobody waits for it while one can sign.
        let still_good = self.held.issuers(now).filter(|issuers| {
            let life = self.profile.leaf_life;
            rollover::all_count(issuers, life, now) && rollover::active(issuers, life, now).is_some()
        });
        let _making = match still_good {
            Some(issuers) => match self.making.try_lock() {
                Some(making) => making,
                None => return Ok(issuers),
            },
            None => self.making.lock().await,
        };
        if let Some(issuers) = self.held_issuers(now) {
            return Ok(issuers);
        }
        let mut doubts = 0;
        for _ in 0..ATTEMPTS_MAX {
            let since = self.held.begin();
            let (mut issuers, next_id) = self.load_issuers(now).await?;
            let next_at = rollover::leave_out_those_to_come(&mut issuers, self.profile.leaf_life, now);
            if rollover::needs_successor(&issuers, self.profile.leaf_life, now) {
                match self.make_issuer(issuers.last(), next_id, now, &Principal::house()).await {
                    Err(MakeError::Issue(IssueError::Store(CommitError::Conflict { key })))
                        if key.as_str() == TAKING_OVER =>
                    {
                        return Err(CommitError::Conflict { key }.into());
                    }
                    // Another process made it first: read again what it made.
                    Ok(_) | Err(MakeError::Issue(IssueError::Store(CommitError::Conflict { .. }))) => {}
                    Err(MakeError::Unknown { .. }) if doubts < DOUBTS_MAX => doubts += 1,
                    // The one that is there still signs, and what only reads goes on in any case.
                    Err(MakeError::Issue(IssueError::Token(error)))
                        if rollover::active(&issuers, self.profile.leaf_life, now).is_some() =>
                    {
                        tracing::warn!(
                            authority = %self.profile.name,
                            %error,
                            "the next CA certificate is due, and its key cannot be made"
                        );
                        let issuers = Arc::new(issuers);
                        self.held.keep_issuers(&since, issuers.clone(), now, next_at);
                        self.held.make_no_other(now, now + MAKE_AGAIN_AFTER);
                        return Ok(issuers);
                    }
                    Err(error) => return Err(error.into()),
                }
                self.held.forget();
                continue;
            }
            if let Some(next_at) = next_at {
                tracing::warn!(
                    authority = %self.profile.name,
                    %next_at,
                    "a CA certificate whose time is still to come is left out: the clock was ahead when it was made"
                );
            }
            let issuers = Arc::new(issuers);
            self.held.keep_issuers(&since, issuers.clone(), now, next_at);
            return Ok(issuers);
        }
        Err(IssueError::NoActiveIssuer)
    }

    pub(crate) async fn load_issuers(&self, now: Timestamp) -> Result<(Vec<Issuer>, u32), IssueError> {
        let read = self.read_issuers(now).await?;
        for (id, certificate, key, version) in &read.ended {
            self.delete_issuer(id, certificate, key, *version).await?;
        }
        Ok((read.issuers, read.next_id))
    }

    /// The CA certificates on record, as they are: nothing is changed.
    pub(crate) async fn read_issuers(&self, now: Timestamp) -> Result<ReadIssuers, IssueError> {
        let settled = self.settled().await?;
        let (mut issuers, mut ended) = (Vec::new(), Vec::new());
        let mut next_id = FIRST_ISSUER;
        for (id, loaded) in self.tables.issuer.all().await? {
            let unusable = |reason: String| IssueError::StoredIssuer { id: id.clone(), reason };
            next_id = id.parse::<u32>().map_err(|error| unusable(error.to_string()))?.saturating_add(1);
            let certificate = Certificate::from_pem(loaded.record.certificate.as_bytes())
                .map_err(|error| unusable(error.to_string()))?;
            if certificate.not_after() < settled.min(now) {
                ended.push((id, certificate, loaded.record.key, loaded.version));
                continue;
            }
            // A clock that is wrong may be set right: the key is kept until that is certain.
            if certificate.not_after() < now {
                continue;
            }
            if !self.is_meant(&certificate) {
                continue;
            }
            let key = self.key_on_record(&id, &certificate, &loaded.record.key).map_err(unusable)?;
            issuers.push(
                Issuer::new(certificate, key)
                    .ok_or_else(|| unusable("its key is not the certificate's".into()))?,
            );
        }
        issuers.sort_by_key(|issuer| issuer.certificate().not_after());
        Ok(ReadIssuers { issuers, next_id, ended })
    }

    /// The key of a CA certificate; what is wrong with it otherwise.
    fn key_on_record(
        &self,
        id: &str,
        certificate: &Certificate,
        record: &KeyRecord,
    ) -> Result<IssuerKey, String> {
        match record {
            KeyRecord::Sealed { sealed_key } => {
                let clear = self
                    .ground
                    .sealing
                    .open(&self.sealed_about(id), sealed_key)
                    .map_err(|error| base::report(&error))?;
                let key = PrivateKey::from_pkcs8_der(clear.expose()).map_err(|error| error.to_string())?;
                Ok(IssuerKey::Here(key))
            }
            // Whether it is there is seen when it is needed, so that those who only read need no token.
            KeyRecord::InToken { token, token_key } => {
                let id = token::record_id(token_key).map_err(|error| error.to_string())?;
                let public = certificate.public_key().clone();
                let token = (token.clone(), self.ground.token.clone());
                Ok(IssuerKey::InToken(TokenKey::new(token.0, id, public, token.1, self.said.clone())))
            }
        }
    }

    /// Sees that nobody signs with a CA certificate that is held here and was given up elsewhere.
    pub(crate) async fn forget_given_up(&self) {
        let held = self.held.issuers(self.now());
        let on_record = self.tables.issuer.all().await.unwrap_or_default();
        let stands = |issuer: &Issuer| {
            let pem = issuer.certificate().to_pem();
            on_record.iter().any(|(_, loaded)| loaded.record.certificate == pem)
        };
        if held.is_some_and(|held| held.iter().all(stands)) {
            // What somebody is reading may be of before.
            self.held.outdate_issuers();
        } else {
            self.held.forget();
        }
    }

    /// Sees that no CA certificate that another process gave up before this is believed any more. A hint says so as well,
    /// but may come late, and whoever gave it up tells people that it is worth nothing.
    pub(crate) async fn believe(&self) -> Result<Believed, store::Error> {
        if !self.ground.engine.is_shared() {
            return Ok(Believed(None));
        }
        let retirement = self.tables.retired.get(RETIRED).await?.map(|loaded| loaded.version);
        self.held.note_retirement(retirement);
        Ok(Believed(Some(retirement)))
    }

    /// What is done because somebody was believed is not done if a CA certificate was given up since.
    pub(crate) fn expect_believed(&self, batch: &mut Batch, believed: Believed) -> Result<(), store::Error> {
        match believed.0 {
            Some(Some(version)) => self.tables.retired.expect_at(batch, RETIRED, version),
            Some(None) => self.tables.retired.expect_absent(batch, RETIRED),
            None => Ok(()),
        }
    }

    /// Whether a commit conflicts because somebody may not be believed any more.
    pub(crate) fn is_about_belief(&self, conflict: &Key) -> bool {
        self.tables.retired.key(RETIRED).is_ok_and(|key| key == *conflict)
    }

    /// Whether a CA certificate says what the profile asks for. The server authority's may certify one name only:
    /// those for another name are of no use here, but perhaps to a process beside us, and stay until they expire.
    fn is_meant(&self, certificate: &Certificate) -> bool {
        self.profile.issuer_extensions.iter().all(|asked| certificate.extensions().contains(asked))
    }

    async fn delete_issuer(
        &self,
        id: &str,
        certificate: &Certificate,
        key: &KeyRecord,
        version: Version,
    ) -> Result<(), IssueError> {
        let mut batch = Batch::new();
        self.tables.issuer.remove(&mut batch, id, version)?;
        let left = KeyLeft::of(key);
        let happened = Happened::IssuerDeleted { certificate, left: left.as_ref() };
        self.record_event(&mut batch, &happened, Some(&Principal::house()))?;
        match self.commit(batch).await {
            Ok(_) => {
                if let Some(left) = left {
                    left.tell();
                }
                Ok(())
            }
            // Gone already, or perhaps: it is looked at again with the next reading.
            Err(CommitError::Conflict { .. } | CommitError::Unknown { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes a CA certificate that follows `before`, and stores it as number `id`.
    pub(crate) async fn make_issuer(
        &self,
        before: Option<&Issuer>,
        id: u32,
        now: Timestamp,
        by: &Principal,
    ) -> Result<Certificate, MakeError> {
        self.make_issuer_with(Batch::new(), before, id, now, by, |_, _| Ok(())).await
    }

    /// The same, together with what `batch` does and `stage` adds once it is known what is made.
    pub(crate) async fn make_issuer_with(
        &self,
        batch: Batch,
        before: Option<&Issuer>,
        id: u32,
        now: Timestamp,
        by: &Principal,
        stage: impl FnOnce(&mut Batch, &Certificate) -> Result<(), store::Error> + Send,
    ) -> Result<Certificate, MakeError> {
        let key = match self.ground.token.as_ref().filter(|token| token.makes_keys()) {
            Some(token) => IssuerKey::InToken(self.make_in_token(token, now).await?),
            None => {
                IssuerKey::Here((self.ground.keys)(self.profile.issuer_key).await.map_err(IssueError::Key)?)
            }
        };
        let made = self.make_issuer_of(key.clone(), batch, before, id, now, by, stage).await;
        // That the answer was lost does not mean that it was not done.
        if let (IssuerKey::InToken(key), Err(MakeError::Issue(_))) = (&key, &made) {
            key.remove().await;
        }
        made
    }

    /// Makes and stores the CA certificate of `key`.
    #[expect(clippy::too_many_arguments, reason = "it is one step of the function above")]
    async fn make_issuer_of(
        &self,
        key: IssuerKey,
        mut batch: Batch,
        before: Option<&Issuer>,
        id: u32,
        now: Timestamp,
        by: &Principal,
        stage: impl FnOnce(&mut Batch, &Certificate) -> Result<(), store::Error> + Send,
    ) -> Result<Certificate, MakeError> {
        let is_first = id == FIRST_ISSUER;
        let id = issuer_id(id);
        let (record, token) = match &key {
            IssuerKey::Here(key) => {
                let about = self.sealed_about(&id);
                let sealed_key =
                    self.ground.sealing.seal(&about, key.to_pkcs8_der().expose(), &self.ground.entropy);
                (KeyRecord::Sealed { sealed_key }, None)
            }
            IssuerKey::InToken(key) => (key.record(), Some((key.token_name().to_owned(), key.id()))),
        };
        let token = token.as_ref().map(|(name, id)| (name.as_str(), *id));
        let made = issuer::next(&self.profile, before, key, &self.ground.entropy, now).await?;
        let record = IssuerRecord { certificate: made.certificate().to_pem(), key: record };
        self.tables.issuer.create(&mut batch, &id, &record)?;
        stage(&mut batch, made.certificate())?;
        // Somebody may have begun an import since this process looked for one.
        if is_first {
            batch.expect(Key::new(TAKING_OVER)?, Expect::Absent);
        }
        let happened = Happened::IssuerMade { certificate: made.certificate(), token };
        self.record_event(&mut batch, &happened, Some(by))?;
        match self.commit(batch).await {
            Ok(_) => {}
            Err(source @ CommitError::Unknown { .. }) => {
                return Err(MakeError::Unknown { made: made.certificate().clone(), source });
            }
            Err(error) => return Err(IssueError::from(error).into()),
        }
        tracing::info!(
            authority = %self.profile.name,
            not_after = %made.certificate().not_after(),
            token = token.map(|(name, _)| name),
            %by,
            "CA certificate made"
        );
        Ok(made.certificate().clone())
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
    /// sign-in, renewals and revocations: none was given up by anybody before this was called.
    ///
    /// # Errors
    /// [`IssueError`] when they cannot be read or the next one cannot be made.
    pub async fn anchors(&self) -> Result<Vec<Certificate>, IssueError> {
        self.believe().await?;
        Ok(self.issuers().await?.iter().map(|issuer| issuer.certificate().clone()).collect())
    }

    /// Reads the CA certificates again, because another process may have made one, and what depends on them.
    ///
    /// # Errors
    /// As [`Authority::anchors`]; whoever needs them next reads them then.
    pub async fn look_again(&self) -> Result<(), IssueError> {
        self.held.forget();
        self.issuers().await.map(drop)
    }

    /// The CA certificates as they were last read, for the TLS handshake, which cannot wait. Complete
    /// whenever somebody could hold a certificate of one: an issuer is read before it signs. Some may have
    /// expired.
    #[must_use]
    pub fn trusted(&self) -> Arc<Vec<Certificate>> {
        self.held.trusted()
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
}
