//! Whether a hook is owed: its files are other ones, and nobody has told it for certain.
//!
//! ```text
//! .NAME.provost-hook written ─► files replaced ─► hook run ─► removed
//! ```
//! What is written is what the files were: whoever is killed before anything changed owes nothing.

use std::ffi::OsString;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use base::hex;
use x509::{Certificate, Crl};

use super::{Collection, Pem};
use crate::durable::{step, sync_folder_of};
use crate::kept_file::{KeptFile, NewFile};

/// Remembers that a hook is owed, beside one of its files, for whoever comes after this program was killed.
#[derive(Debug)]
pub(crate) struct Debt(PathBuf);

impl Debt {
    /// That of the hook of whom `file` is.
    pub(crate) fn beside(file: &Path) -> Self {
        let mut name = OsString::from(".");
        name.push(file.file_name().unwrap_or_default());
        name.push(".provost-hook");
        Self(file.with_file_name(name))
    }

    /// Where it is written down.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Whether somebody was killed who had made the files what they are `now`, and had told nobody.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn is_owed(&self, now: [u8; 32]) -> io::Result<bool> {
        match fs::read(&self.0) {
            Ok(before) => Ok(before != line(now).as_bytes()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The files are `now` what the hook last heard of, and may become other ones from here on.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn begin(&self, now: [u8; 32]) -> io::Result<()> {
        KeptFile::at(&self.0, NewFile::Mode(0o600))?.make(line(now).as_bytes()).map(drop)
    }

    /// The hook has been told, or there was nothing to tell.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn pay(&self) -> io::Result<()> {
        step();
        match fs::remove_file(&self.0) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            Err(_) => Ok(()),
            Ok(()) => sync_folder_of(&self.0),
        }
    }
}

fn line(digest: [u8; 32]) -> String {
    hex::encode(&digest) + "\n"
}

/// What tells files from others: of a certificate, of whom is trusted and of what was revoked.
pub(crate) fn digest(
    certificate: Option<&Path>,
    authorities: &Collection<Certificate>,
    lists: Option<&Collection<Crl>>,
) -> [u8; 32] {
    let mut parts = Vec::new();
    parts.extend(certificate.and_then(certificate_in).map(|one| one.fingerprint()));
    parts.push([0; 32]);
    parts.extend(authorities.load().items.iter().map(Certificate::fingerprint));
    parts.push([0; 32]);
    if let Some(lists) = lists {
        parts.extend(lists.load().items.iter().map(|list| base::sha256(list.der())));
    }
    base::sha256(&parts.concat())
}

/// The first certificate in a file, if it can be read.
pub(crate) fn certificate_in(path: &Path) -> Option<Certificate> {
    Pem::read(path).ok()?.certificates.into_iter().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_debt_is_what_was_changed_and_not_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("crt.pem");
        let debt = Debt::beside(&file);
        assert_eq!(debt.path(), folder.path().join(".crt.pem.provost-hook"));
        assert!(!debt.is_owed([1; 32]).unwrap());
        debt.begin([1; 32]).unwrap();
        // Killed before anything changed, and after.
        assert!(!debt.is_owed([1; 32]).unwrap());
        assert!(debt.is_owed([2; 32]).unwrap());
        debt.pay().unwrap();
        assert!(!debt.is_owed([2; 32]).unwrap());
        // Paid twice, or without a folder.
        debt.pay().unwrap();
        assert!(Debt::beside(&folder.path().join("away/crt.pem")).begin([0; 32]).is_err());
    }
}
