//! What an operator brings along, or takes away: CA certificates with their keys, and revocations.

use std::sync::Arc;

use base::{Clock, Entropy, Explain, Kind, Timestamp};
use identity::Principal;
use store::{Batch, CommitError, Engine, Expect, History, Key, SealError, SealingKey};
use x509::{Certificate, Crl, PrivateKey};

use crate::authority::AuthorityName;
use crate::event::Happened;
use crate::issuers::{FIRST_ISSUER, issuer_id};
use crate::record::{CrlRecord, IssuerRecord, KeyRecord, RevokedRecord};
use crate::service::{CRL, Tables};
use crate::takeover::TAKING_OVER;
use crate::token;

/// How many revocations are stored together: each is a record and an event, and there is the number of the lists.
const AT_ONCE: usize = 40;

/// What an operator brought could not be stored, or not taken away.
#[derive(Debug, thiserror::Error)]
pub enum BroughtError {
    /// The store could not be read.
    #[error("could not read the authority")]
    Store(#[from] store::Error),
    /// The store did not take it.
    #[error("could not store what was brought")]
    Commit(#[from] CommitError),
    /// A CA key could not be unsealed.
    #[error("the CA key `{id}` cannot be unsealed")]
    Sealed {
        /// Which one.
        id: String,
        /// Why not.
        source: SealError,
    },
    /// A CA key is in a token.
    #[error("the CA certificate `{id}` cannot be given with its key: {}", token::only_in_token(token))]
    InToken {
        /// Which one.
        id: String,
        /// The token.
        token: String,
    },
    /// A CA certificate or its key cannot be read.
    #[error("the CA certificate `{id}` cannot be read: {reason}")]
    Stored {
        /// Which one.
        id: String,
        /// Why not.
        reason: String,
    },
    /// There is no CA certificate that a list could be of.
    #[error("there is no CA certificate")]
    NoIssuer,
    /// A list is of somebody else.
    #[error("no CA certificate that is present signed the revocation list")]
    ForeignList,
}

impl Explain for BroughtError {
    fn kind(&self) -> Kind {
        match self {
            Self::Store(error) => error.kind(),
            Self::Commit(error) => error.kind(),
            Self::Sealed { .. } | Self::Stored { .. } => Kind::Internal,
            Self::InToken { .. } => Kind::Conflict,
            Self::NoIssuer | Self::ForeignList => Kind::Invalid,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Store(error) => error.help(),
            Self::Commit(error) => error.help(),
            Self::Sealed { .. } => Some("put the database and its key back from one backup".into()),
            Self::NoIssuer | Self::ForeignList => Some("import the CA that signed the list first".into()),
            Self::InToken { .. } => Some(token::HELP_WITHOUT_KEYS.into()),
            Self::Stored { .. } => None,
        }
    }
}

/// What is worked on, and with what.
#[derive(Debug, Clone)]
pub struct Shelf<'a> {
    /// Whose CA certificates.
    pub authority: AuthorityName,
    /// Seals the CA keys.
    pub sealing: &'a SealingKey,
    /// What time it is.
    pub clock: &'a Clock,
    /// Where chance comes from.
    pub entropy: &'a Entropy,
}

/// What came of lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revoked {
    /// The number that the lists have now.
    pub number: u64,
    /// The date that they have now.
    pub this_update: Timestamp,
    /// How many revocations are new.
    pub new: usize,
    /// How many were there.
    pub known: usize,
}

impl Shelf<'_> {
    fn about(&self, id: &str) -> String {
        format!("/ca/{}/issuer/{id}", self.authority)
    }

    /// The CA certificates that are stored, also those that ended, with their keys; the one that ends first in front.
    ///
    /// # Errors
    /// [`BroughtError`].
    pub async fn issuers(
        &self,
        engine: &Arc<dyn Engine>,
    ) -> Result<Vec<(Certificate, PrivateKey)>, BroughtError> {
        let mut issuers = Vec::new();
        for (id, held) in Tables::new(engine, self.authority)?.issuer.all().await? {
            let unreadable = |reason: String| BroughtError::Stored { id: id.clone(), reason };
            let certificate = Certificate::from_pem(held.record.certificate.as_bytes())
                .map_err(|error| unreadable(error.to_string()))?;
            let sealed_key = match &held.record.key {
                KeyRecord::Sealed { sealed_key } => sealed_key,
                KeyRecord::InToken { token, .. } => {
                    return Err(BroughtError::InToken { id, token: token.clone() });
                }
            };
            let key = self
                .sealing
                .open(&self.about(&id), sealed_key)
                .map_err(|source| BroughtError::Sealed { id: id.clone(), source })?;
            let key =
                PrivateKey::from_pkcs8_der(key.expose()).map_err(|error| unreadable(error.to_string()))?;
            issuers.push((certificate, key));
        }
        issuers.sort_by_key(|(certificate, _)| certificate.not_after());
        Ok(issuers)
    }

    /// Stores CA certificates with their keys, which must be theirs; those that are there already are left as they are.
    ///
    /// # Errors
    /// [`BroughtError`]; those before the one that failed are stored.
    pub async fn add_issuers(
        &self,
        engine: &Arc<dyn Engine>,
        pairs: &[(Certificate, PrivateKey)],
    ) -> Result<(), BroughtError> {
        let tables = Tables::new(engine, self.authority)?;
        let history = History::new(engine.clone())?;
        let held = tables.issuer.all().await?;
        let mut known: Vec<_> = held
            .iter()
            .filter_map(|(_, held)| Certificate::from_pem(held.record.certificate.as_bytes()).ok())
            .map(|certificate| certificate.fingerprint())
            .collect();
        let mut next = held.iter().filter_map(|(id, _)| id.parse::<u32>().ok()).max().unwrap_or(0);
        for (certificate, key) in pairs {
            if known.contains(&certificate.fingerprint()) {
                continue;
            }
            known.push(certificate.fingerprint());
            next = next.saturating_add(1);
            let id = issuer_id(next);
            let clear = key.to_pkcs8_der();
            let sealed_key = self.sealing.seal(&self.about(&id), clear.expose(), self.entropy);
            let record =
                IssuerRecord { certificate: certificate.to_pem(), key: KeyRecord::Sealed { sealed_key } };
            let mut batch = Batch::new();
            tables.issuer.create(&mut batch, &id, &record)?;
            if next == FIRST_ISSUER {
                batch.expect(Key::new(TAKING_OVER)?, Expect::Absent);
            }
            let happened = Happened::IssuerBrought { certificate };
            let event = happened.event(self.authority, Some(&Principal::house()), self.clock);
            history.append(&mut batch, &event, self.entropy)?;
            engine.commit(batch).await?;
        }
        Ok(())
    }

    /// Revokes what `lists` say, each signed by a CA certificate that is stored, until the last of these ends. Number and
    /// date of the lists become the highest of theirs; what is higher already stays. Where lists were made before, the
    /// number counts on when anything is new, so that none has two contents.
    ///
    /// # Errors
    /// [`BroughtError`]; doing it again goes on where it ended.
    pub async fn add_revocations(
        &self,
        engine: &Arc<dyn Engine>,
        lists: &[Crl],
    ) -> Result<Revoked, BroughtError> {
        let tables = Tables::new(engine, self.authority)?;
        let history = History::new(engine.clone())?;
        let mut issuers = Vec::new();
        for (id, held) in tables.issuer.all().await? {
            let certificate = Certificate::from_pem(held.record.certificate.as_bytes());
            issuers
                .push(certificate.map_err(|error| BroughtError::Stored { id, reason: error.to_string() })?);
        }
        let last = issuers.iter().map(Certificate::not_after).max();
        let last = last.ok_or(BroughtError::NoIssuer)?;
        for list in lists {
            let is_signed = |certificate: &Certificate| {
                certificate.subject() == list.issuer()
                    && list.verify_signature(certificate.public_key()).is_ok()
            };
            if !issuers.iter().any(is_signed) {
                return Err(BroughtError::ForeignList);
            }
        }
        let held = tables.crl.get(CRL).await?.map(|held| held.record).unwrap_or_default();
        let this_update = lists.iter().map(|list| list.this_update().as_unix()).max();
        let mut counted = CrlRecord {
            number: lists.iter().map(Crl::number).max().unwrap_or_default().max(held.number),
            this_update: this_update.unwrap_or_default().max(held.this_update),
        };
        // What is kept when nothing is new.
        let unchanged = counted;
        if held.number > 0 {
            counted.number = counted.number.max(held.number.saturating_add(1));
        }
        let (mut new, mut known) = (0, 0);
        for entries in lists.iter().flat_map(|list| list.entries().chunks(AT_ONCE)) {
            let mut batch = Batch::new();
            for entry in entries {
                let serial = entry.serial.hex();
                if tables.revoked.get(&serial).await?.is_some() {
                    known += 1;
                    continue;
                }
                new += 1;
                let record = RevokedRecord { at: entry.at.as_unix(), drop_at: last.as_unix() };
                tables.revoked.create(&mut batch, &serial, &record)?;
                let happened =
                    Happened::Revoked { serial: &entry.serial, certificate: None, number: counted.number };
                let event = happened.event(self.authority, Some(&Principal::house()), self.clock);
                history.append(&mut batch, &event, self.entropy)?;
            }
            if !batch.is_empty() {
                // With the first of them: whoever goes on later finds nothing new.
                tables.crl.put(&mut batch, CRL, &counted)?;
                engine.commit(batch).await?;
            }
        }
        if new == 0 {
            counted = unchanged;
            let mut batch = Batch::new();
            tables.crl.put(&mut batch, CRL, &counted)?;
            engine.commit(batch).await?;
        }
        let this_update = Timestamp::from_unix(counted.this_update);
        Ok(Revoked { number: counted.number, this_update, new, known })
    }
}
