//! With what a copy is encrypted, and opened again.

use std::path::PathBuf;

use archive::age::{Header, Identity, Key, Recipient, Wants};
use base::Secret;

use super::ask::ask;
use super::error::BackupError;
use crate::secret_file;

/// How often a passphrase is worked over, as a power of 2: a second, and 256 MiB.
const LOG_N: u8 = 18;

/// How a copy is to be encrypted.
pub struct Lock {
    /// In which file the passphrase is.
    pub passphrase: Option<PathBuf>,
    /// For whom it is.
    pub recipients: Vec<String>,
    /// Whether it is to be read by everybody.
    pub is_open: bool,
}

impl Lock {
    /// With what; nothing when it is to be read by everybody. Asks for a passphrase when nothing was said.
    pub fn key(&self) -> Result<Option<Key>, BackupError> {
        if self.is_open {
            return Ok(None);
        }
        if !self.recipients.is_empty() {
            let parse = |text: &String| {
                Recipient::parse(text)
                    .map_err(|source| BackupError::Key { what: format!("`{text}`"), source })
            };
            return self
                .recipients
                .iter()
                .map(parse)
                .collect::<Result<_, _>>()
                .map(Key::Recipients)
                .map(Some);
        }
        let passphrase = match &self.passphrase {
            Some(path) => secret_file::read_text(path)?,
            None => {
                let passphrase = ask("Passphrase for the backup: ")?;
                if ask("The same again: ")?.expose() != passphrase.expose() {
                    return Err(BackupError::PassphrasesDiffer);
                }
                passphrase
            }
        };
        if passphrase.expose().is_empty() {
            return Err(BackupError::NoPassphrase);
        }
        Ok(Some(Key::Passphrase { passphrase, log_n: LOG_N }))
    }
}

/// What a copy is to be opened with.
pub struct Opener {
    /// In which file the passphrase is.
    pub passphrase: Option<PathBuf>,
    /// In which file identities are.
    pub identities: Option<PathBuf>,
}

impl Opener {
    /// What opens the file with this header. Asks for a passphrase when one is wanted and was not said.
    pub fn key(&self, header: &Header) -> Result<Key, BackupError> {
        if let Some(path) = &self.identities {
            let text = secret_file::read_text(path)?;
            let wrong = |source| BackupError::Key { what: path.display().to_string(), source };
            return Identity::all(text.expose()).map(Key::Identities).map_err(wrong);
        }
        let passphrase = match (&self.passphrase, header.wants()) {
            (Some(path), _) => secret_file::read_text(path)?,
            (None, Wants::Passphrase) => ask("Passphrase of the backup: ")?,
            // Which the header says better.
            (None, Wants::Identity) => Secret::new(String::new()),
        };
        Ok(Key::Passphrase { passphrase, log_n: LOG_N })
    }
}
