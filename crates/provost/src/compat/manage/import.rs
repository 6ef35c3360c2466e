//! `--import-ca` and `--import-crl`: what an operator brings along to the authority for services.

use std::path::{Path, PathBuf};

use base::{Clock, Entropy, Secret};
use store::regular_file;
use x509::{Certificate, Crl, KeyError, KeyId, KeyUsage, PrivateKey, oid, pem};

use super::error::{ManageError, python};
use super::{Place, passphrase};
use crate::output;

/// What is to be imported.
pub struct Wanted {
    /// Files with CA certificates and keys.
    pub authorities: Vec<PathBuf>,
    /// Whether also those that are not fit for it.
    pub also_bad: bool,
    /// Files with revocation lists.
    pub lists: Vec<PathBuf>,
}

/// Imports it into the database at `place`.
pub async fn import(
    place: &Place,
    wanted: &Wanted,
    clock: &Clock,
    entropy: &Entropy,
) -> Result<(), ManageError> {
    let pairs = match &wanted.authorities[..] {
        [] => None,
        paths => Some(pairs(found(paths).await?, wanted.also_bad, clock)?),
    };
    let lists = wanted.lists.iter().map(|path| list(path)).collect::<Result<Vec<_>, _>>()?;
    if pairs.is_none() && lists.is_empty() {
        return Ok(());
    }
    let opened = place.open(pairs.is_some(), clock, entropy).await?;
    let services = opened.services(clock, entropy);
    if let Some(pairs) = pairs {
        services.add_issuers(&opened.engine, &pairs).await?;
        say(&format!("Imported {} CA certificates", pairs.len()))?;
    }
    if !lists.is_empty() {
        let revoked = services.add_revocations(&opened.engine, &lists).await?;
        let (year, month, day, hour, minute, second) = revoked.this_update.fields();
        say(&format!(
            "Set CRL number to {} and last update to \
             {year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}+00:00",
            revoked.number
        ))?;
        say(&format!("Revoked {} certificates ({} were already revoked)", revoked.new, revoked.known))?;
    }
    opened.engine.close().await?;
    Ok(())
}

fn say(line: &str) -> Result<(), ManageError> {
    output::data(&format!("{line}\n")).map_err(ManageError::Output)
}

/// What was found of one key pair.
#[derive(Default)]
struct Found {
    key_id: Option<KeyId>,
    certificate: Option<Certificate>,
    key: Option<PrivateKey>,
    from: Vec<String>,
}

/// Certificates and keys in the files at `paths`, those of one key together, in the order in which they were found.
async fn found(paths: &[PathBuf]) -> Result<Vec<Found>, ManageError> {
    let mut all: Vec<Found> = Vec::new();
    let mut passphrases = Vec::new();
    for path in paths {
        let read = regular_file::read(path);
        let text = Secret::new(read.map_err(|source| ManageError::Read { path: path.clone(), source })?);
        let broken = |error: pem::PemError| ManageError::Pem {
            place: path.display().to_string(),
            reason: error.to_string(),
        };
        let blocks = pem::read(text.expose(), pem::SEVERAL_BYTES_MAX).map_err(broken)?;
        for (index, block) in blocks.into_iter().enumerate() {
            let place = format!("{}, block {index}", python(path));
            let (certificate, key) = match block.label.as_str() {
                "CERTIFICATE" => {
                    let certificate = Certificate::from_der(&block.der)
                        .map_err(|source| ManageError::Certificate { place: place.clone(), source })?;
                    (Some(certificate), None)
                }
                label if label.ends_with("PRIVATE KEY") => {
                    match private_key(block, &place, &mut passphrases).await? {
                        Some(key) => (None, Some(key)),
                        None => continue,
                    }
                }
                label => return Err(ManageError::Unsupported { place, label: label.to_owned() }),
            };
            let public = certificate.as_ref().map(Certificate::public_key);
            let key_id = public.or(key.as_ref().map(PrivateKey::public)).map(x509::PublicKey::key_id);
            let at = match all.iter().position(|found| found.key_id == key_id) {
                Some(at) => at,
                None => {
                    all.push(Found { key_id, ..Found::default() });
                    all.len() - 1
                }
            };
            let found = &mut all[at];
            found.certificate = certificate.or(found.certificate.take());
            found.key = key.or(found.key.take());
            found.from.push(place);
        }
    }
    Ok(all)
}

/// The key in `block`, under whatever passphrase it is; `None` when somebody does not want to say it.
async fn private_key(
    block: pem::Block,
    place: &str,
    passphrases: &mut Vec<Secret<Vec<u8>>>,
) -> Result<Option<PrivateKey>, ManageError> {
    let wiped = |block: pem::Block| drop(Secret::new(block.der));
    let mut read = PrivateKey::from_block(&block, None);
    for known in passphrases.iter() {
        if !matches!(read, Err(KeyError::Encrypted | KeyError::Passphrase)) {
            break;
        }
        read = PrivateKey::from_block(&block, Some(known.expose()));
    }
    while matches!(read, Err(KeyError::Encrypted | KeyError::Passphrase)) {
        let question = format!("Passphrase for key at {place} (empty to skip file): ");
        let said = passphrase::ask(&question).await.map_err(ManageError::Passphrase)?;
        if said.expose().is_empty() {
            say("File skipped")?;
            wiped(block);
            return Ok(None);
        }
        read = PrivateKey::from_block(&block, Some(said.expose()));
        if read.is_ok() {
            passphrases.push(said);
        }
    }
    wiped(block);
    read.map(Some).map_err(|source| ManageError::PrivateKey { place: place.to_owned(), source })
}

/// Those of which both halves are there, and which are fit for it; what becomes of the others is said.
fn pairs(
    all: Vec<Found>,
    also_bad: bool,
    clock: &Clock,
) -> Result<Vec<(Certificate, PrivateKey)>, ManageError> {
    let mut pairs = Vec::new();
    for found in all {
        let from = found.from.join(", ");
        match (found.certificate, found.key) {
            (None, _) => say(&format!("No certificate correspond to {from} - skipping"))?,
            (Some(certificate), _) if certificate.not_after() < clock.now() => {
                say(&format!("Skipping expired certificate from {from}"))?;
            }
            (Some(certificate), _) if !also_bad && !is_fit(&certificate) => {
                say(&format!("Skipping non-CA certificate from {from}"))?;
            }
            (Some(_), None) => say(&format!("No private key correspond to {from} - skipping"))?,
            (Some(certificate), Some(key)) => pairs.push((certificate, key)),
        }
    }
    if pairs.is_empty() { Err(ManageError::NothingImported) } else { Ok(pairs) }
}

/// Whether it says that it is a CA's and may sign certificates and revocation lists.
fn is_fit(certificate: &Certificate) -> bool {
    let is_critical = certificate.extension(&oid::BASIC_CONSTRAINTS).is_some_and(|found| found.critical);
    let uses = certificate.extension(&oid::KEY_USAGE).and_then(|found| KeyUsage::from_der(&found.value).ok());
    let signs = uses.is_some_and(|uses| uses.contains(KeyUsage::KEY_CERT_SIGN | KeyUsage::CRL_SIGN));
    certificate.is_ca() && is_critical && signs
}

/// The revocation list in the file at `path`.
fn list(path: &Path) -> Result<Crl, ManageError> {
    let text = regular_file::read(path);
    let text = text.map_err(|source| ManageError::Read { path: path.to_owned(), source })?;
    Crl::from_pem(&text)
        .map_err(|source| ManageError::Certificate { place: path.display().to_string(), source })
}
