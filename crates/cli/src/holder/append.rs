//! What comes from an authority, behind what is in a file already: a certificate behind the key that waited for it.
//!
//! The file is replaced as a whole by what was there and what is new, so nobody ever reads a part of it.

use std::path::Path;

use base::Secret;
use x509::Certificate;
use x509::pem::SEVERAL_BYTES_MAX;

use super::folder_lock::{FolderLock, WriteError};
use super::pair_error::PairError;
use super::pem_file::{Pem, bytes};
use super::pem_file_error::PemFileError;
use crate::durable::sync_folder_of;
use crate::kept_file::{KeptFile, NewFile};

/// What became of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Appended {
    /// It is behind its key, or alone where there was no file.
    Done,
    /// The file has something else in it than one private key. It stayed what it was.
    NotOneKey,
    /// The key in the file is not the certificate's. It stayed what it was.
    DoesNotMatch,
}

/// Puts `pem` behind what is in the file at `path`; where there is none, the umask says who may read it.
///
/// # Errors
/// When the file cannot be read or written; then it is what it was.
pub(crate) fn append(path: &Path, pem: &str) -> Result<(), PairError> {
    let file = file(path)?;
    let _lock = FolderLock::around(file.path())?;
    write(&file, pem)
}

/// Puts `certificate` behind its key, which is alone in the file at `path`, or into a file of its own where there is none.
///
/// # Errors
/// When the file cannot be read or written; then it is what it was.
pub(crate) fn append_certificate(path: &Path, certificate: &Certificate) -> Result<Appended, PairError> {
    let file = file(path)?;
    let _lock = FolderLock::around(file.path())?;
    match Pem::read(path) {
        Ok(found) => match found.keys.as_slice() {
            [key] if found.count() == 1 => {
                if key.public() != certificate.public_key() {
                    return Ok(Appended::DoesNotMatch);
                }
            }
            _ => return Ok(Appended::NotOneKey),
        },
        Err(PemFileError::Missing(_)) => {}
        Err(error) => return Err(error.into()),
    }
    write(&file, &certificate.to_pem())?;
    Ok(Appended::Done)
}

fn file(path: &Path) -> Result<KeptFile, PairError> {
    let file = KeptFile::at(path, NewFile::Umask).map(KeptFile::alone);
    file.map_err(|source| WriteError::Unwritable { path: path.to_owned(), source }.into())
}

fn write(file: &KeptFile, pem: &str) -> Result<(), PairError> {
    let before = match bytes(file.path(), SEVERAL_BYTES_MAX) {
        Ok(before) => before,
        Err(PemFileError::Missing(_)) => Secret::new(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let before = before.expose();
    // A BEGIN line has to have its line to itself.
    let between: &[u8] = if before.is_empty() || before.ends_with(b"\n") { b"" } else { b"\n" };
    let text = Secret::new([before, between, pem.as_bytes()].concat());
    let unwritable = |source| WriteError::Unwritable { path: file.path().to_owned(), source };
    file.prepare(text.expose()).map_err(unwritable)?;
    sync_folder_of(file.path()).map_err(unwritable)?;
    Ok(file.finish().map_err(unwritable)?)
}

#[cfg(test)]
mod tests {
    use base::Entropy;
    use x509::{KeySpec, Name, PrivateKey};

    use super::super::witness::{certificate, mode, names};
    use super::*;

    #[test]
    fn a_certificate_goes_behind_its_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        let generate = || PrivateKey::generate(KeySpec::Ed25519).unwrap();
        let (key, other) = (generate(), generate());
        let name = Name::from_common_name("a").unwrap();
        let certificate = certificate(&key, &name, 0, &Entropy::seeded(1));
        let pem = |key: &PrivateKey| key.to_pem().expose().clone();
        let done = pem(&key) + &certificate.to_pem();
        for (before, expected, after) in [
            (Some(pem(&key)), Appended::Done, done.clone()),
            (Some(pem(&key).trim_end().to_owned()), Appended::Done, done.clone()),
            (None, Appended::Done, certificate.to_pem()),
            (Some(pem(&other)), Appended::DoesNotMatch, pem(&other)),
            (Some(done.clone()), Appended::NotOneKey, done.clone()),
            (Some(pem(&key) + &pem(&other)), Appended::NotOneKey, pem(&key) + &pem(&other)),
            (Some(String::new()), Appended::NotOneKey, String::new()),
        ] {
            let _ = std::fs::remove_file(&path);
            if let Some(before) = before {
                std::fs::write(&path, before).unwrap();
            }
            assert_eq!(append_certificate(&path, &certificate).unwrap(), expected);
            assert_eq!(std::fs::read_to_string(&path).unwrap(), after);
            assert_eq!(names(folder.path()), ["f"]);
        }
    }

    #[test]
    fn a_file_keeps_what_is_in_it_and_a_new_one_follows_the_umask() {
        let folder = tempfile::tempdir().unwrap();
        let (path, plain) = (folder.path().join("f"), folder.path().join("plain"));
        std::fs::write(&plain, "").unwrap();
        append(&path, "one\n").unwrap();
        append(&path, "two\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\ntwo\n");
        assert_eq!(mode(&path), mode(&plain));
        assert!(matches!(append(folder.path(), "x"), Err(PairError::File(PemFileError::Irregular(_)))));
        let absent = folder.path().join("absent/f");
        assert!(matches!(append(&absent, "x"), Err(PairError::Write(WriteError::Unwritable { .. }))));
    }
}
