//! Our records as rows of caucase's.

use std::sync::Arc;

use base::{Explain, Kind, Secret};
use caucase_files::{CertificateRow, Count, IssuerRow, Prefix, RevokedRow, Row};
use store::{Engine, Page, SealError, SealingKey};
use x509::{Certificate, PrivateKey, Serial, SigningRequest};

use super::authority_of;
use super::take::leaf;
use crate::ledger::LEDGER;
use crate::record::KeyRecord;
use crate::request::RequestId;
use crate::service::{AUTOMATIC, CRL, Tables};
use crate::token;

/// Why what is stored could not be given back.
#[derive(Debug, thiserror::Error)]
pub enum GiveBackError<E> {
    /// The store could not be read.
    #[error("could not read the authorities")]
    Store(#[from] store::Error),
    /// A CA key could not be unsealed.
    #[error("the CA key `{id}` cannot be unsealed")]
    Sealed {
        /// Which one.
        id: String,
        /// Why not.
        source: SealError,
    },
    /// A CA key is in a token.
    #[error("the CA certificate `{id}` cannot be given in caucase's format: {}", token::only_in_token(token))]
    InToken {
        /// Which one.
        id: String,
        /// The token.
        token: String,
    },
    /// Something stored cannot be read.
    #[error("{what} cannot be read: {reason}")]
    Stored {
        /// What, in words.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Whoever takes the rows could not.
    #[error(transparent)]
    Given(E),
}

impl<E: Explain> Explain for GiveBackError<E> {
    fn kind(&self) -> Kind {
        match self {
            Self::Store(error) => error.kind(),
            Self::Sealed { .. } | Self::Stored { .. } => Kind::Internal,
            Self::InToken { .. } => Kind::Conflict,
            Self::Given(error) => error.kind(),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Store(error) => error.help(),
            Self::Sealed { .. } => Some("put the database and its key back from one backup".into()),
            Self::InToken { .. } => Some(token::HELP_WITHOUT_KEYS.into()),
            Self::Stored { .. } => None,
            Self::Given(error) => error.help(),
        }
    }
}

/// Gives everything of the authorities in `engine` to `give`, row by row: all that caucase has a place for. Nobody may be
/// writing meanwhile.
///
/// # Errors
/// [`GiveBackError`].
pub async fn give_back<E>(
    engine: &Arc<dyn Engine>,
    sealing: &SealingKey,
    mut give: impl FnMut(Prefix, Row) -> Result<(), E>,
) -> Result<(), GiveBackError<E>> {
    for prefix in Prefix::ALL {
        let tables = Tables::new(engine, authority_of(prefix))?;
        let mut give = |row| give(prefix, row).map_err(GiveBackError::Given);
        issuers(&tables, prefix, sealing, &mut give).await?;
        counts(&tables, prefix, &mut give).await?;
        revoked(&tables, &mut give).await?;
        certificates(&tables, &mut give).await?;
    }
    Ok(())
}

async fn issuers<E>(
    tables: &Tables,
    prefix: Prefix,
    sealing: &SealingKey,
    give: &mut impl FnMut(Row) -> Result<(), GiveBackError<E>>,
) -> Result<(), GiveBackError<E>> {
    for (id, loaded) in tables.issuer.all().await? {
        let unreadable =
            |reason: String| GiveBackError::Stored { what: format!("the CA certificate `{id}`"), reason };
        let certificate = Certificate::from_pem(loaded.record.certificate.as_bytes())
            .map_err(|error| unreadable(error.to_string()))?;
        let about = format!("/ca/{}/issuer/{id}", authority_of(prefix));
        let sealed_key = match &loaded.record.key {
            KeyRecord::Sealed { sealed_key } => sealed_key,
            KeyRecord::InToken { token, .. } => {
                return Err(GiveBackError::InToken { id: about, token: token.clone() });
            }
        };
        let key = sealing
            .open(&about, sealed_key)
            .map_err(|source| GiveBackError::Sealed { id: about.clone(), source })?;
        let key = PrivateKey::from_pkcs8_der(key.expose()).map_err(|error| unreadable(error.to_string()))?;
        give(Row::Issuer(IssuerRow {
            expires_at: certificate.not_after().as_unix(),
            key: Secret::new(key.to_pem().expose().as_bytes().to_vec()),
            certificate: loaded.record.certificate.into_bytes(),
        }))?;
    }
    Ok(())
}

async fn counts<E>(
    tables: &Tables,
    prefix: Prefix,
    give: &mut impl FnMut(Row) -> Result<(), GiveBackError<E>>,
) -> Result<(), GiveBackError<E>> {
    let ledger = tables.ledger.get(LEDGER).await?;
    let mut received = ledger.map_or(0, |ledger| ledger.record.received);
    // A first user who was made without a request stands for the first one: caucase approves that by itself, whoever it
    // is of, and its users may do everything.
    if received == 0
        && prefix == Prefix::Users
        && !tables.issued.list(Page::first(1)).await?.entries.is_empty()
    {
        received = 1;
    }
    if received > 0 {
        give(Row::Count(Count::Received(received)))?;
    }
    if let Some(crl) = tables.crl.get(CRL).await? {
        give(Row::Count(Count::CrlNumber(crl.record.number)))?;
        if crl.record.this_update != 0 {
            give(Row::Count(Count::CrlLastUpdate(crl.record.this_update)))?;
        }
    }
    if let Some(automatic) = tables.automatic.get(AUTOMATIC).await? {
        give(Row::Count(Count::Automatic(automatic.record.automatic_max)))?;
    }
    Ok(())
}

async fn revoked<E>(
    tables: &Tables,
    give: &mut impl FnMut(Row) -> Result<(), GiveBackError<E>>,
) -> Result<(), GiveBackError<E>> {
    let mut next = Some(Page::full());
    while let Some(page) = next {
        let listed = tables.revoked.list(page).await?;
        for (id, loaded) in listed.entries {
            let serial = Serial::from_hex(&id).ok_or_else(|| GiveBackError::Stored {
                what: format!("the revocation `{id}`"),
                reason: "it is no serial number".into(),
            })?;
            let row = RevokedRow {
                serial: serial.to_string(),
                at: loaded.record.at,
                expires_at: loaded.record.drop_at,
            };
            give(Row::Revoked(row))?;
        }
        next = listed.next;
    }
    Ok(())
}

async fn certificates<E>(
    tables: &Tables,
    give: &mut impl FnMut(Row) -> Result<(), GiveBackError<E>>,
) -> Result<(), GiveBackError<E>> {
    let mut next = Some(Page::full());
    while let Some(page) = next {
        let listed = tables.request.list(page).await?;
        for (key, loaded) in listed.entries {
            let unreadable =
                |reason: String| GiveBackError::Stored { what: format!("the request `{key}`"), reason };
            let id = RequestId::from_key(&key).ok_or_else(|| unreadable("it is no number".into()))?;
            let issued = match tables.issued.get(&key).await? {
                // A certificate that ended long ago may have been dropped before its request.
                Some(issued) => match tables.certificate.get(&issued.record.serial).await? {
                    Some(certificate) => Some((issued.record, certificate.record)),
                    None => continue,
                },
                None => None,
            };
            let request = loaded.record.csr.into_bytes();
            let key_id = match (SigningRequest::from_pem(&request), &issued) {
                (Ok(request), _) => request.public_key().key_id(),
                (Err(_), Some((_, certificate))) => leaf(certificate.certificate.as_bytes())
                    .map_err(|error| unreadable(error.to_string()))?
                    .public_key()
                    .key_id(),
                (Err(error), None) => return Err(unreadable(error.to_string())),
            };
            let (drop_at, certificate) = issued
                .map(|(issued, certificate)| (issued.drop_at, certificate.certificate.into_bytes()))
                .unzip();
            let key_id = key_id.to_string();
            give(Row::Certificate(CertificateRow {
                id: id.as_u64(),
                key_id,
                drop_at,
                request,
                certificate,
            }))?;
        }
        next = listed.next;
    }
    Ok(())
}
