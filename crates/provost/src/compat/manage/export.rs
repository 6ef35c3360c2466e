//! `--export-ca`: the CA certificates of services, each followed by its key, under a passphrase.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use base::{Clock, Entropy, Secret};
use caucase_files::{Database, Nature, Prefix, Row};
use x509::{Certificate, PrivateKey};

use super::error::ManageError;
use super::{Place, beside, folder_of, passphrase};
use crate::backup::output_file::rename_new;
use crate::output;

/// Exports them from the database at `place` to `path`, where nothing is.
pub async fn export(place: &Place, path: &Path, clock: &Clock, entropy: &Entropy) -> Result<(), ManageError> {
    let issuers = if place.database.exists() && caucase_files::nature(&place.database)? == Nature::Caucase {
        of_the_original(&place.database)?
    } else {
        let opened = place.open(false, clock, entropy).await?;
        let issuers = opened.services(clock, entropy).issuers(&opened.engine).await?;
        opened.engine.close().await?;
        issuers
    };
    let passphrase = new_passphrase().await?;
    let mut text = String::new();
    for (certificate, key) in issuers {
        text.push_str(&certificate.to_pem());
        let key = key.to_encrypted_pem(passphrase.expose(), entropy);
        text.push_str(&key.map_err(ManageError::Encrypt)?);
    }
    let written = write(path, &text, entropy);
    written.map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => ManageError::ExportExists { path: path.to_owned() },
        _ => ManageError::Write { path: path.to_owned(), source },
    })
}

/// Those in a database of the original's, which stays as it is.
fn of_the_original(path: &Path) -> Result<Vec<(Certificate, PrivateKey)>, ManageError> {
    let mut database = Database::open(path)?;
    let mut issuers = Vec::new();
    'rows: loop {
        let rows = database.next_rows()?;
        if rows.is_empty() {
            break;
        }
        for (prefix, row) in rows {
            match row {
                Row::Issuer(row) if prefix == Prefix::Services => {
                    let place = path.display().to_string();
                    let certificate = Certificate::from_pem(&row.certificate)
                        .map_err(|source| ManageError::Certificate { place: place.clone(), source })?;
                    let key = PrivateKey::from_pem(&String::from_utf8_lossy(row.key.expose()))
                        .map_err(|source| ManageError::PrivateKey { place, source })?;
                    issuers.push((certificate, key));
                }
                Row::Issuer(_) => {}
                // Issuers come first.
                Row::Certificate(_) | Row::Revoked(_) | Row::Count(_) => break 'rows,
            }
        }
    }
    issuers.sort_by_key(|(certificate, _)| certificate.not_after());
    Ok(issuers)
}

/// A passphrase that was said twice.
async fn new_passphrase() -> Result<Secret<Vec<u8>>, ManageError> {
    loop {
        let once = passphrase::ask("CA export passphrase: ").await.map_err(ManageError::Passphrase)?;
        let again = passphrase::ask("             (again): ").await.map_err(ManageError::Passphrase)?;
        if once != again {
            let told = output::data("Error: Input does not match, retrying\n");
            told.map_err(ManageError::Output)?;
        } else if once.expose().is_empty() {
            return Err(ManageError::NoPassphrase);
        } else {
            return Ok(once);
        }
    }
}

/// Writes it under a temporary name beside its own, which nobody else has: whoever is killed leaves nothing that passes for an
/// export, and two at once do not meet.
fn write(path: &Path, text: &str, entropy: &Entropy) -> io::Result<()> {
    let temporary = beside(path, ".", &format!(".{:016x}.new", entropy.number()));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    if let Err(error) = written.and_then(|()| rename_new(&temporary, path)) {
        // There are CA keys in it. The first error is the one to tell.
        let _ = std::fs::remove_file(&temporary);
        return Err(error);
    }
    File::open(folder_of(path))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_replaces_nothing_and_leaves_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ca.pem");
        // What one that was killed has left, when all had the same name.
        std::fs::write(directory.path().join(".ca.pem.new"), "half").unwrap();
        let entropy = Entropy::seeded(1);
        write(&path, "one", &entropy).unwrap();
        assert_eq!(write(&path, "two", &entropy).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 2);
        assert!(write(&directory.path().join("no/ca.pem"), "one", &entropy).is_err());
    }
}
