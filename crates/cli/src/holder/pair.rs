//! A certificate and its key: in one file, the key first, or each in its own.
//!
//! One file is replaced as a whole. Two cannot be: both are written beside what is there and made to last, then the key
//! takes its place, then at once the certificate, and then both names are made to last. What a kill in between leaves is
//! finished, or removed, by whoever comes next (`unfinished`), so that none of our programs uses a key and a certificate that
//! do not match. Others can find them so between the two renames, and nobody does who has both in one file.

use std::path::{Path, PathBuf};

use base::Secret;
use x509::{Certificate, PrivateKey};

use super::folder_lock::{FolderLock, WriteError};
use super::pair_error::{NotOnePair, PairError};
use super::pem_file::Pem;
use super::pem_file_error::PemFileError;
use super::unfinished::{Recovered, Remains, Step};
use crate::durable::sync_folder_of;
use crate::kept_file::{KeptFile, NewFile};

/// A new file with a key is for its owner alone.
const KEY: NewFile = NewFile::Mode(0o600);

/// Where a certificate and its key are. Where the certificate's file has a key, the key's is not looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pair {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

/// A certificate and its key, which belong together.
#[derive(Debug)]
pub(crate) struct LoadedPair {
    pub(crate) certificate: Certificate,
    pub(crate) key: PrivateKey,
    /// The file that the key is in.
    pub(crate) key_path: PathBuf,
    /// Whether the key is written as PKCS#8 there.
    pub(crate) is_pkcs8: bool,
}

/// What is to be written.
enum Files {
    One(KeptFile),
    Two { key: KeptFile, certificate: KeptFile },
}

impl Pair {
    /// Both in one file.
    pub(crate) fn in_one(path: &Path) -> Self {
        Self { certificate: path.to_owned(), key: path.to_owned() }
    }

    /// The certificate and the key. To be called behind [`Pair::recover`].
    ///
    /// # Errors
    /// When a file cannot be read, or there is not exactly one certificate and exactly one key, which belong together;
    /// and when another program does not come to the end of writing them.
    pub(crate) fn load(&self) -> Result<LoadedPair, PairError> {
        let _lock = match self.lock() {
            // Who may read the files and not their folder may read them nevertheless.
            Err(PairError::Write(WriteError::Unwritable { .. })) => None,
            lock => Some(lock?),
        };
        self.read()
    }

    fn read(&self) -> Result<LoadedPair, PairError> {
        let mut found = Pem::read(&self.certificate)?;
        let mut key_path = &self.certificate;
        if found.keys.is_empty() && self.key != self.certificate {
            key_path = &self.key;
            let other = Pem::read(key_path)?;
            (found.keys, found.is_pkcs8) = (other.keys, other.is_pkcs8);
        }
        let is_pkcs8 = found.is_pkcs8;
        let not_one = NotOnePair {
            certificate: self.certificate.clone(),
            certificates: found.certificates.len(),
            key: key_path.clone(),
            keys: found.keys.len(),
            is_one_file: false,
        };
        match (one(found.certificates), one(found.keys)) {
            (Some(certificate), Some(key)) if belong_together(&key, &certificate) => {
                Ok(LoadedPair { certificate, key, key_path: key_path.clone(), is_pkcs8 })
            }
            _ => Err(not_one.into()),
        }
    }

    /// Makes the certificate `new_certificate`, and the key `new_key` in the form in which `write` writes it; without one it
    /// stays the one that is there. In one file is nothing else afterwards.
    ///
    /// # Errors
    /// When the new certificate is not for the key, and then nothing was changed; when a file cannot be read or written,
    /// and then [`Pair::recover`] makes it the old pair or the new one.
    pub(crate) fn replace(
        &self,
        new_key: Option<&PrivateKey>,
        new_certificate: &Certificate,
        write: fn(&PrivateKey) -> Secret<String>,
    ) -> Result<(), PairError> {
        let _lock = self.lock()?;
        let files = self.files(self.has_key_in_certificate()?)?;
        recover(&files)?;
        let key = match new_key {
            Some(key) => key.clone(),
            None => self.read_key()?,
        };
        if !belong_together(&key, new_certificate) {
            return Err(PairError::Foreign(self.certificate.clone()));
        }
        let key_text = write(&key);
        let certificate_text = new_certificate.to_pem();
        match &files {
            Files::One(file) => {
                let text = Secret::new([key_text.expose().as_str(), certificate_text.as_str()].concat());
                prepare(file, text.expose().as_bytes())?;
                finish(file)
            }
            Files::Two { certificate, .. } if new_key.is_none() => {
                prepare(certificate, certificate_text.as_bytes())?;
                finish(certificate)
            }
            Files::Two { key, certificate } => {
                prepare(key, key_text.expose().as_bytes())?;
                if let Err(error) = prepare(certificate, certificate_text.as_bytes()) {
                    // What went wrong is said; should it stay, it is removed later.
                    let _ = key.remove_part();
                    return Err(error);
                }
                // From here on it can be finished by whoever comes next.
                finish_both(key, certificate)
            }
        }
    }

    /// Finishes or removes what somebody left who was killed while the pair was replaced.
    ///
    /// # Errors
    /// When a file cannot be read or written, or another program does not come to the end of writing it.
    pub(crate) fn recover(&self) -> Result<Recovered, PairError> {
        if !self.has_remains() {
            return Ok(Recovered::Nothing);
        }
        let _lock = self.lock()?;
        // What cannot be read has no key that would be in use.
        let has_key = look(&self.certificate)?.is_some_and(|found| !found.keys.is_empty());
        let files = self.files(has_key)?;
        if let Files::One(_) = &files {
            // Where the key's own file is not in use, what was to become it is of no use either.
            let key = file(&self.key, KEY)?;
            key.remove_part().map_err(|source| WriteError::Unwritable { path: key.part(), source })?;
        }
        recover(&files)
    }

    /// Whether there is anything that [`Pair::recover`] would look at: left by somebody, or being written.
    pub(crate) fn has_remains(&self) -> bool {
        let is_there = |file: &KeptFile| file.part().symlink_metadata().is_ok();
        self.files(false).is_ok_and(|files| files.all().any(is_there))
    }

    /// Keeps other programs from writing the pair.
    fn lock(&self) -> Result<FolderLock, PairError> {
        Ok(FolderLock::around(file(&self.certificate, NewFile::Umask)?.path())?)
    }

    fn has_key_in_certificate(&self) -> Result<bool, PairError> {
        match Pem::read(&self.certificate) {
            Ok(found) => Ok(!found.keys.is_empty()),
            Err(PemFileError::Missing(_)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// The key in use, be there a certificate or not.
    fn read_key(&self) -> Result<PrivateKey, PairError> {
        let path = if self.has_key_in_certificate()? { &self.certificate } else { &self.key };
        let keys = Pem::read(path)?.keys;
        let not_one = NotOnePair {
            certificate: self.certificate.clone(),
            certificates: 1,
            key: path.clone(),
            keys: keys.len(),
            is_one_file: false,
        };
        one(keys).ok_or(PairError::NotOnePair(not_one))
    }

    fn files(&self, has_key_in_certificate: bool) -> Result<Files, PairError> {
        let certificate = file(&self.certificate, NewFile::Umask)?;
        let key = file(&self.key, KEY)?;
        Ok(if has_key_in_certificate || is_same(certificate.path(), key.path()) {
            Files::One(file(&self.certificate, KEY)?)
        } else {
            Files::Two { key, certificate }
        })
    }
}

impl Files {
    fn all(&self) -> impl Iterator<Item = &KeptFile> {
        let (first, second) = match self {
            Self::One(file) => (file, None),
            Self::Two { key, certificate } => (certificate, Some(key)),
        };
        [Some(first), second].into_iter().flatten()
    }
}

/// Whether two paths without links lead to the same file.
fn is_same(one: &Path, other: &Path) -> bool {
    let place = |path: &Path| {
        let folder = path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
        (folder.canonicalize().unwrap_or_else(|_| folder.to_owned()), path.file_name().map(ToOwned::to_owned))
    };
    place(one) == place(other)
}

fn belong_together(key: &PrivateKey, certificate: &Certificate) -> bool {
    key.public() == certificate.public_key()
}

fn one<T>(mut items: Vec<T>) -> Option<T> {
    items.pop().filter(|_| items.is_empty())
}

fn file(path: &Path, new: NewFile) -> Result<KeptFile, PairError> {
    let file = KeptFile::at(path, new).map(KeptFile::alone);
    file.map_err(|source| WriteError::Unwritable { path: path.to_owned(), source }.into())
}

/// Writes what the file is going to be beside it, and makes it last there.
fn prepare(file: &KeptFile, bytes: &[u8]) -> Result<(), PairError> {
    file.prepare(bytes).map_err(unwritable(file))?;
    Ok(sync_folder_of(file.path()).map_err(unwritable(file))?)
}

fn finish(file: &KeptFile) -> Result<(), PairError> {
    Ok(file.finish().map_err(unwritable(file))?)
}

/// Both take their places, with nothing in between; whoever looks there nevertheless finds two that do not match. Where the
/// certificate cannot, the old key gets its place back, if there was one: the old pair is still good.
fn finish_both(key: &KeptFile, certificate: &KeptFile) -> Result<(), PairError> {
    let old_key = std::fs::read(key.path()).map(Secret::new);
    key.rename_part().map_err(unwritable(key))?;
    if let Err(error) = certificate.rename_part() {
        if let Ok(old_key) = old_key
            && key.make(old_key.expose()).is_ok()
        {
            // Should it stay, it is removed later: it does not belong to the key in use.
            let _ = certificate.remove_part();
        }
        return Err(unwritable(certificate)(error).into());
    }
    for file in [key, certificate] {
        sync_folder_of(file.path()).map_err(unwritable(file))?;
    }
    Ok(())
}

fn unwritable(file: &KeptFile) -> impl FnOnce(std::io::Error) -> WriteError {
    |source| WriteError::Unwritable { path: file.path().to_owned(), source }
}

/// What is in a file; nothing where there is none. One that was cut off, or is something else, has nothing in it.
fn look(path: &Path) -> Result<Option<Pem>, PairError> {
    match Pem::read(path) {
        Ok(found) => Ok(Some(found)),
        Err(PemFileError::Missing(_)) => Ok(None),
        Err(error) if error.is_about_content() => Ok(Some(Pem::default())),
        // What is there may be the only key: nothing is done before somebody can tell.
        Err(error) => Err(error.into()),
    }
}

fn recover(files: &Files) -> Result<Recovered, PairError> {
    let step = match files {
        // It takes its place as a whole, so what has not done so was never there.
        Files::One(file) if file.part().symlink_metadata().is_ok() => Step::Remove,
        Files::One(_) => Step::Nothing,
        Files::Two { key, certificate } => remains(key, certificate)?.next(),
    };
    match (step, files) {
        (Step::Nothing, _) => return Ok(Recovered::Nothing),
        (Step::Finish, Files::Two { key, certificate }) => finish_both(key, certificate)?,
        (Step::FinishKey, Files::Two { key, .. }) => finish(key)?,
        (
            Step::FinishCertificate | Step::Finish | Step::FinishKey,
            Files::One(certificate) | Files::Two { certificate, .. },
        ) => finish(certificate)?,
        (Step::Remove, files) => {
            // The certificate first: alone it could be taken for one that belongs to the key in use.
            for file in files.all() {
                let unwritable = |source| WriteError::Unwritable { path: file.part(), source };
                file.remove_part().map_err(unwritable)?;
                sync_folder_of(file.path()).map_err(unwritable)?;
            }
            return Ok(Recovered::Removed);
        }
    }
    Ok(Recovered::Finished)
}

fn remains(key: &KeptFile, certificate: &KeptFile) -> Result<Remains, PairError> {
    let (new_key, new_certificate) = (look(&key.part())?, look(&certificate.part())?);
    let (is_key, is_certificate) = (new_key.is_some(), new_certificate.is_some());
    let new_key = new_key.and_then(|found| one(found.keys));
    let new_certificate = new_certificate.and_then(|found| one(found.certificates));
    let used_key = look(key.path())?.and_then(|found| one(found.keys));
    let used_certificate = look(certificate.path())?.and_then(|found| one(found.certificates));
    let match_each_other = |key: &Option<PrivateKey>, certificate: &Option<Certificate>| {
        key.as_ref().zip(certificate.as_ref()).is_some_and(|(key, one)| belong_together(key, one))
    };
    let is_later = || {
        let both = used_certificate.as_ref().zip(new_certificate.as_ref());
        both.is_some_and(|(used, new)| used.not_before() > new.not_before())
    };
    Ok(Remains {
        key: is_key,
        certificate: is_certificate,
        match_each_other: match_each_other(&new_key, &new_certificate),
        certificate_matches_key: match_each_other(&used_key, &new_certificate),
        key_matches_certificate: match_each_other(&new_key, &used_certificate),
        pair_is_later: match_each_other(&used_key, &used_certificate) && is_later(),
    })
}

#[cfg(test)]
mod tests;
