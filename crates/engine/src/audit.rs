//! The history, linked so that it cannot be rewritten unseen ([`chain`]).
//!
//! A commit does not wait for the link that will cover its events, and several processes may commit at once. Links are
//! added shortly after, some times a second at most however much happens:
//!
//! ```text
//! /history/<when>-<chance>     an event, in the batch that makes it true
//! /audit/key                   the key that signs links, sealed, and its public half
//! /audit/link/<20 digits>      a link, up to 96 events
//! /audit/head                  the last link, and up to which revision of the store everything is linked
//! /audit/anchor                the last link that was dropped
//! ```
//! **Each event is in exactly one link.** An event is written once, so the store's version of it says when it came,
//! whatever time it tells: it is linked if and only if its version is not above the head's revision. Link and head are one
//! commit that expects the head to be as it was read: who dies in between, or is beside another who does the same, has done
//! nothing, or all. In a store whose records were moved from another one the versions say nothing; that is seen by those of
//! head and key, and then the links themselves are read for what they have (`fresh`).
//!
//! Old links go with their events, in one commit with the anchor (`trim`): never an event that is not linked.

mod fresh;
mod read;
mod record;
mod trim;
mod verify;

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use base::{Clock, Entropy, Explain, Kind};
use chain::{EVENTS_MAX, Hash, Head, Link, Signed};
use identity::{Action, Role};
use store::{
    Batch, CommitError, Engine, History, Key, Prefix, Revision, SealError, SealingKey, Table, Version,
};
use x509::{KeyError, KeySpec, PrivateKey, PublicKey};

use self::fresh::Fresh;
use self::record::{HeadRecord, KeyRecord, SignedRecord};
use crate::tasks::Stop;

pub use self::read::{AuditLink, Found, HeadShown, Trade, Wanted};
pub use self::verify::{Checked, VerifyError, verify};

/// Reading the history.
pub enum ReadAudit {}

impl Action for ReadAudit {
    const NAME: &'static str = "read the history";
    const ROLE: Role = Role::Administrator;
}

/// The names of the single records.
const KEY: &str = "key";
const HEAD: &str = "head";
const ANCHOR: &str = "anchor";
/// What the signing key is sealed about.
const KEY_ABOUT: &str = "/audit/key";
/// How many links are put in one commit: each has some ten kilobytes, and what is linked waits for no more than one.
const LINKS_TOGETHER: usize = 40;
/// How often something is tried that another process may have done meanwhile.
const ATTEMPTS_MAX: usize = 5;

/// Why the history could not be linked, or not be read.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The store could not be written.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// The key that signs links cannot be unsealed.
    #[error("the key that signs the history cannot be unsealed")]
    Sealed(#[source] SealError),
    /// The key that signs links cannot be used.
    #[error("the key that signs the history cannot be used")]
    Key(#[source] KeyError),
    /// The public half of that key which is on record is another one's.
    #[error(
        "the public key on record is not that of the key which signs the history: one of both was changed"
    )]
    OtherKey,
    /// What the store has is not what was put there.
    #[error("the links of the history are not what they were")]
    Broken(#[from] chain::Broken),
    /// The last link that this process saw is not there any more.
    #[error("the history was linked up to {}, and is not any more: it was rewritten, or a backup was put back", seen.number)]
    Receded {
        /// As it was.
        seen: Head,
    },
}

impl AuditError {
    /// Whether what is stored is at fault: trying again helps nothing, and somebody has to look into it.
    #[must_use]
    pub fn is_of_what_is_stored(&self) -> bool {
        match self {
            Self::Broken(_) | Self::Receded { .. } | Self::Sealed(_) | Self::Key(_) | Self::OtherKey => true,
            Self::Store(source) => matches!(source, store::Error::Record { .. }),
            Self::Commit(source) => matches!(source, CommitError::Store(store::Error::Record { .. })),
        }
    }
}

impl Explain for AuditError {
    fn kind(&self) -> Kind {
        match self {
            Self::Store(source) => source.kind(),
            Self::Commit(source) => source.kind(),
            Self::Sealed(source) => source.kind(),
            Self::Key(_) | Self::OtherKey | Self::Broken(_) | Self::Receded { .. } => Kind::Internal,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Store(source) => source.help(),
            Self::Commit(source) => source.help(),
            Self::Sealed(source) => source.help(),
            Self::Broken(source) => source.help(),
            Self::OtherKey => Some(
                "put the database back from a backup, and keep this one for whoever looks into it".into(),
            ),
            Self::Key(_) | Self::Receded { .. } => None,
        }
    }
}

/// What the links are kept in.
struct Tables {
    key: Table<KeyRecord>,
    head: Table<HeadRecord>,
    anchor: Table<SignedRecord>,
    link: Table<SignedRecord>,
}

impl Tables {
    fn new(engine: &Arc<dyn Engine>) -> Result<Self, store::Error> {
        Ok(Self {
            // One record each; its name follows this prefix.
            key: Table::new(engine.clone(), "/audit/")?,
            head: Table::new(engine.clone(), "/audit/")?,
            anchor: Table::new(engine.clone(), "/audit/")?,
            link: Table::new(engine.clone(), "/audit/link/")?,
        })
    }
}

/// How a link is called in the store.
fn link_id(number: u64) -> String {
    format!("{number:020}")
}

/// The head as it was read, and at which version; 0 links before there is one.
struct Loaded {
    head: Head,
    total: u64,
    upto: Revision,
    /// What else is linked, of the revision after that.
    also: Vec<String>,
    version: Option<Version>,
    /// Whether versions in this store are those of when it was linked.
    is_native: bool,
}

/// The history of a house and its links.
pub struct Audit {
    engine: Arc<dyn Engine>,
    sealing: Arc<SealingKey>,
    clock: Clock,
    entropy: Entropy,
    tables: Tables,
    history: Prefix,
    key: OnceLock<PrivateKey>,
    /// Taken by whoever links, so that those in this process do not stand in each other's way.
    linking: tokio::sync::Mutex<()>,
    /// The revision up to which everything was seen to be linked.
    position: Mutex<Revision>,
    /// The last link that was seen.
    seen: Mutex<Head>,
    /// Why nothing is linked any more, until something is.
    fault: Mutex<Option<String>>,
}

impl Audit {
    /// The history in `engine`. Nothing is read yet.
    ///
    /// # Errors
    /// None in practice: the prefixes of its keys are fair ones.
    pub fn new(
        engine: Arc<dyn Engine>,
        sealing: Arc<SealingKey>,
        clock: Clock,
        entropy: Entropy,
    ) -> Result<Self, store::Error> {
        Ok(Self {
            tables: Tables::new(&engine)?,
            engine,
            sealing,
            clock,
            entropy,
            history: History::prefix(),
            key: OnceLock::new(),
            linking: tokio::sync::Mutex::default(),
            position: Mutex::new(Revision(0)),
            seen: Mutex::new(Head::NONE),
            fault: Mutex::new(None),
        })
    }

    /// Links all events that no link has yet, and gives how many those were. Does no harm when it is done twice, or by
    /// several at once.
    ///
    /// # Errors
    /// [`AuditError`]; what is linked by then is linked.
    pub async fn link(&self, stop: &Stop) -> Result<usize, AuditError> {
        let _linking = self.linking.lock().await;
        let linked = self.link_now(stop).await;
        *lock(&self.fault) = match &linked {
            Err(error) if error.is_of_what_is_stored() => Some(base::report(error)),
            // What the store could not do it may do the next time, and says so itself.
            Ok(_) | Err(_) => None,
        };
        linked
    }

    /// Why nothing can be linked, where what is stored is at fault: then nobody could prove later what happens now.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        lock(&self.fault).clone()
    }

    async fn link_now(&self, stop: &Stop) -> Result<usize, AuditError> {
        let mut attempts = 1;
        loop {
            match self.try_link(stop).await {
                // Another process was faster: what is left is what came since.
                Err(AuditError::Commit(CommitError::Conflict { .. })) if attempts < ATTEMPTS_MAX => {
                    attempts += 1
                }
                linked => return linked,
            }
        }
    }

    async fn try_link(&self, stop: &Stop) -> Result<usize, AuditError> {
        let mut head = self.load_head().await?;
        self.look_whether_receded(head.head)?;
        let position = self.position_in(self.engine.revision().await?);
        let Fresh { events, upto } = self.fresh(&head, position).await?;
        let mut done = 0;
        if !events.is_empty() {
            let (key, before) = (self.signing_key().await?.clone(), head.upto);
            let key_at = self.version_of(&self.tables.key.key(KEY)?).await?;
            for some in events.chunks(EVENTS_MAX * LINKS_TOGETHER) {
                if stop.is_asked() {
                    return Ok(done);
                }
                done += some.len();
                let reached = match done == events.len() {
                    true => (upto, Vec::new()),
                    false => fresh::reached(&events, done, before),
                };
                head = self.put_links((&key, key_at), &head, some, reached).await?;
            }
        }
        *lock(&self.position) = upto;
        Ok(done)
    }

    /// Links, and the head that says so: up to which revision all is linked then, and what else.
    async fn put_links(
        &self,
        (key, key_at): (&PrivateKey, Option<Version>),
        before: &Loaded,
        events: &[fresh::Event],
        (upto, also): (Revision, Vec<String>),
    ) -> Result<Loaded, AuditError> {
        let (mut head, mut total, mut batch) = (before.head, before.total, Batch::new());
        for some in events.chunks(EVENTS_MAX) {
            total += some.len() as u64;
            let link = Link {
                number: head.number + 1,
                previous: head.hash,
                at_milliseconds: self.clock.now_milliseconds(),
                total,
                events: some.iter().map(|event| event.mark.clone()).collect(),
            };
            let signed = Signed::new(link.text(), key);
            head = Head { number: link.number, hash: signed.hash() };
            self.tables.link.create(&mut batch, &link_id(head.number), &SignedRecord::of(&signed))?;
        }
        let record = HeadRecord {
            number: head.number,
            hash: head.hash.to_string(),
            total,
            upto: upto.0,
            also: also.clone(),
            key_at: key_at.map_or(0, |Version(revision)| revision.0),
        };
        self.tables.head.put_over(&mut batch, HEAD, &record, before.version)?;
        let version = Some(Version(self.engine.commit(batch).await?));
        *lock(&self.seen) = head;
        tracing::debug!(%head, events = events.len(), "history linked");
        Ok(Loaded { head, total, upto, also, version, is_native: true })
    }

    /// The head as it is on record.
    async fn load_head(&self) -> Result<Loaded, AuditError> {
        let Some(found) = self.tables.head.get(HEAD).await? else {
            let (head, upto, also) = (Head::NONE, Revision(0), Vec::new());
            return Ok(Loaded { head, total: 0, upto, also, version: None, is_native: true });
        };
        let (record, version) = (found.record, found.version);
        // Whether versions here are those that the records had when they were linked. The last link was written with the
        // head, and the key before both. Where all were moved in the order of their keys, head and link can have come in
        // one batch only if the key did, which stands between them.
        let link = self.version_of(&self.tables.link.key(&link_id(record.number))?).await?;
        let key = self.version_of(&self.tables.key.key(KEY)?).await?;
        let is_native = link == Some(version)
            && key == Some(Version(Revision(record.key_at)))
            && key < Some(version)
            && version.0 > Revision(record.upto);
        Ok(Loaded {
            head: record.head()?,
            total: record.total,
            upto: Revision(record.upto),
            also: record.also,
            version: Some(version),
            is_native,
        })
    }

    async fn version_of(&self, key: &Key) -> Result<Option<Version>, store::Error> {
        Ok(self.engine.get(key).await?.map(|found| found.version))
    }

    /// The revision up to which everything was seen to be linked, in a store that is at `now`: nothing, where it went
    /// back, as one does that is put back from a copy under a running house.
    fn position_in(&self, now: Revision) -> Revision {
        let mut position = lock(&self.position);
        if *position > now {
            *position = Revision(0);
        }
        *position
    }

    /// Whoever writes the store's last links anew while it is used is found out.
    fn look_whether_receded(&self, head: Head) -> Result<(), AuditError> {
        let seen = *lock(&self.seen);
        if head.number < seen.number || (head.number == seen.number && head != seen) {
            tracing::error!(%seen, %head, "the links of the history are fewer or others than they were");
            *lock(&self.seen) = head;
            // What comes now may have revisions that were seen before.
            *lock(&self.position) = Revision(0);
            return Err(AuditError::Receded { seen });
        }
        Ok(())
    }

    /// The last link.
    ///
    /// # Errors
    /// [`AuditError`].
    pub async fn head(&self) -> Result<Head, AuditError> {
        match self.tables.head.get(HEAD).await? {
            Some(found) => Ok(found.record.head()?),
            None => Ok(Head::NONE),
        }
    }

    /// The key that signs links; made when there is none.
    async fn signing_key(&self) -> Result<&PrivateKey, AuditError> {
        if let Some(key) = self.key.get() {
            return Ok(key);
        }
        let key = self.load_or_make_key().await?;
        Ok(self.key.get_or_init(|| key))
    }

    async fn load_or_make_key(&self) -> Result<PrivateKey, AuditError> {
        let mut last = None;
        for _ in 0..ATTEMPTS_MAX {
            if let Some(found) = self.tables.key.get(KEY).await? {
                return unsealed(&self.sealing, &found.record);
            }
            let key = PrivateKey::generate(KeySpec::Ed25519).map_err(AuditError::Key)?;
            let record = KeyRecord {
                public: x509::pem::write("PUBLIC KEY", key.public().spki()),
                sealed: self.sealing.seal(KEY_ABOUT, key.to_pkcs8_der().expose(), &self.entropy),
            };
            let mut batch = Batch::new();
            self.tables.key.create(&mut batch, KEY, &record)?;
            match self.engine.commit(batch).await {
                Ok(_) => {
                    let fingerprint = chain::fingerprint(key.public());
                    tracing::info!(fingerprint, "the key that signs the history was made");
                    return Ok(key);
                }
                // Somebody else was faster, or perhaps we were: it is there.
                Err(error @ (CommitError::Conflict { .. } | CommitError::Unknown { .. })) => {
                    last = Some(error)
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(last.map_or(AuditError::Store(store::Error::Closed), AuditError::Commit))
    }

    /// The public half of the key that signs links, if there is one.
    async fn public_key(&self) -> Result<Option<PublicKey>, AuditError> {
        if let Some(key) = self.key.get() {
            return Ok(Some(key.public().clone()));
        }
        let found = self.tables.key.get(KEY).await?;
        found.map(|found| unsealed(&self.sealing, &found.record).map(|key| key.public().clone())).transpose()
    }
}

/// The key itself, never what stands beside it: somebody who cannot seal could have changed that.
fn unsealed(sealing: &SealingKey, record: &KeyRecord) -> Result<PrivateKey, AuditError> {
    let clear = sealing.open(KEY_ABOUT, &record.sealed).map_err(AuditError::Sealed)?;
    let key = PrivateKey::from_pkcs8_der(clear.expose()).map_err(AuditError::Key)?;
    // Whoever looks into the store without the sealing key believes this one.
    if x509::pem::write("PUBLIC KEY", key.public().spki()) != record.public {
        return Err(AuditError::OtherKey);
    }
    Ok(key)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing that is done under these locks leaves anything half done.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A head that cannot be read.
fn unreadable_head(number: u64) -> chain::Broken {
    chain::Broken::Link { number, source: chain::Malformed { line: 1 } }
}

impl HeadRecord {
    fn head(&self) -> Result<Head, chain::Broken> {
        let hash = Hash::parse(&self.hash).ok_or_else(|| unreadable_head(self.number))?;
        Ok(Head { number: self.number, hash })
    }
}

#[cfg(test)]
mod tests;
