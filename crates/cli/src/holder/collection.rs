//! Authorities that are trusted, or revocation lists: in one file, or each in a file of its own in a folder.
//!
//! ```text
//! HEX.ca.pem, HEX.crl.pem    HEX: the identifier of the authority's key, in lower case
//! HEX-2.ca.pem               another one with the same identifier, as when an authority is renewed with the key it has
//! ```
//! Authorities and lists may share one folder, with other files as well.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::marker::PhantomData;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use base::hex;
use x509::pem::{LIST_BYTES_MAX, SEVERAL_BYTES_MAX};
use x509::{Certificate, Crl, ParseError, extension, oid};

use super::folder_lock::{FolderLock, WriteError};
use super::pem_file::{self, blocks};
use super::pem_file_error::PemFileError;
use crate::durable::{step, sync_folder_of};
use crate::kept_file::{KeptFile, NewFile};

/// What stands behind the name of a file that is being written ([`KeptFile::alone`]).
const PART: &str = ".provost-next";

/// What there may be a collection of.
pub(crate) trait Item: Sized + PartialEq {
    /// What its BEGIN line says.
    const LABEL: &'static str;
    /// How the names of files in a folder end.
    const SUFFIX: &'static str;
    /// The longest file that is read.
    const BYTES_MAX: usize;

    fn from_der(der: &[u8]) -> Result<Self, ParseError>;

    fn to_pem(&self) -> String;

    /// By what the authority's key is known, or something else that stays the same for an authority.
    fn authority(&self) -> Vec<u8>;

    /// That number `number` in the file at `path` cannot be read.
    fn unreadable(path: PathBuf, number: usize, source: ParseError) -> PemFileError;
}

impl Item for Certificate {
    const LABEL: &'static str = pem_file::CERTIFICATE;
    const SUFFIX: &'static str = ".ca.pem";
    const BYTES_MAX: usize = SEVERAL_BYTES_MAX;

    fn from_der(der: &[u8]) -> Result<Self, ParseError> {
        Self::from_der(der)
    }

    fn to_pem(&self) -> String {
        self.to_pem()
    }

    fn authority(&self) -> Vec<u8> {
        // One that signed itself need not say twice what its key is called, nor at all.
        let own = || {
            let extension = self.extension(&oid::SUBJECT_KEY_ID)?;
            extension::parse_subject_key_id(&extension.value).ok().map(<[u8]>::to_vec)
        };
        self.authority_key_id()
            .or_else(own)
            .filter(|id| is_name(id))
            .unwrap_or_else(|| self.public_key().key_id().as_bytes().to_vec())
    }

    fn unreadable(path: PathBuf, number: usize, source: ParseError) -> PemFileError {
        PemFileError::Certificate { path, number, source }
    }
}

impl Item for Crl {
    const LABEL: &'static str = pem_file::LIST;
    const SUFFIX: &'static str = ".crl.pem";
    const BYTES_MAX: usize = LIST_BYTES_MAX;

    fn from_der(der: &[u8]) -> Result<Self, ParseError> {
        Self::from_der(der)
    }

    fn to_pem(&self) -> String {
        self.to_pem()
    }

    fn authority(&self) -> Vec<u8> {
        let id = self.authority_key_id().filter(|id| is_name(id)).map(<[u8]>::to_vec);
        // The next list of the same authority takes the place of this one.
        id.unwrap_or_else(|| base::sha256(self.issuer().der()).to_vec())
    }

    fn unreadable(path: PathBuf, number: usize, source: ParseError) -> PemFileError {
        PemFileError::List { path, number, source }
    }
}

/// Whether a file can be called so: names have at most 255 bytes, and identifiers no bound.
fn is_name(id: &[u8]) -> bool {
    (1..=64).contains(&id.len())
}

/// Where authorities or lists are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Collection<T> {
    path: PathBuf,
    items: PhantomData<fn() -> T>,
}

/// What was found there.
#[derive(Debug)]
pub(crate) struct Held<T> {
    /// All of them, in order; of a folder, in the order of the files' names.
    pub(crate) items: Vec<T>,
    /// What is there and is none. Where there is any, nobody may be trusted for being the first.
    pub(crate) unreadable: Vec<PemFileError>,
}

impl<T: Item> Collection<T> {
    /// Those at `path`: a folder if it is one, or if there is nothing and its name has no extension; a file otherwise.
    pub(crate) fn at(path: &Path) -> Self {
        Self { path: path.to_owned(), items: PhantomData }
    }

    /// Where they are.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What is there, which may be nothing. Blocks of other kinds are passed over.
    pub(crate) fn load(&self) -> Held<T> {
        let mut held = Held { items: Vec::new(), unreadable: Vec::new() };
        if !self.is_folder() {
            held.add(&self.path);
            return held;
        }
        // Somebody may have put one there by another name, which the programs of old read as well.
        match files(&self.path, "") {
            Ok(files) => files.iter().filter(|file| !is_hidden(file)).for_each(|file| held.add_found(file)),
            Err(source) => {
                held.unreadable.push(PemFileError::Unreadable { path: self.path.clone(), source });
            }
        }
        held
    }

    /// Makes it `items`, and says whether it was anything else. What is the same is not written again.
    ///
    /// # Errors
    /// When it cannot be written. A file is what it was then; in a folder nothing was removed.
    pub(crate) fn store(&self, items: &[T]) -> Result<bool, WriteError> {
        if self.is_folder() { self.store_in_folder(items) } else { self.store_in_file(items) }
    }

    fn store_in_file(&self, items: &[T]) -> Result<bool, WriteError> {
        if items.is_empty() && !self.path.exists() {
            return Ok(false);
        }
        let file = self.file(&self.path)?;
        let _lock = FolderLock::around(file.path())?;
        if self.path.exists() {
            let mut held = Held::<T> { items: Vec::new(), unreadable: Vec::new() };
            held.add(&self.path);
            // However it is written, and whatever stands beside it.
            if held.unreadable.is_empty() && held.items == items {
                return Ok(false);
            }
            refuse_others(&self.path, T::BYTES_MAX)?;
        }
        let text: String = items.iter().map(T::to_pem).collect();
        file.make(text.as_bytes()).map_err(|source| unwritable(&self.path, source))
    }

    fn store_in_folder(&self, items: &[T]) -> Result<bool, WriteError> {
        let is_there = self.path.is_dir();
        if items.is_empty() && !is_there {
            return Ok(false);
        }
        if !is_there {
            step();
            match std::fs::create_dir(&self.path) {
                // Somebody else was faster.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && self.path.is_dir() => {}
                made => made.map_err(|source| unwritable(&self.path, source))?,
            }
            sync_folder_of(&self.path).map_err(|source| unwritable(&self.path, source))?;
        }
        let _lock = FolderLock::of(&self.path)?;
        let wanted = named(items);
        let mut is_another = false;
        for (name, pem) in &wanted {
            let path = self.path.join(name);
            is_another |=
                self.file(&path)?.make(pem.as_bytes()).map_err(|source| unwritable(&path, source))?;
        }
        is_another |= self.remove_others(&wanted).map_err(|source| unwritable(&self.path, source))?;
        Ok(is_another)
    }

    /// Removes the files of this kind that are none of `wanted`, and what was left of writing one.
    fn remove_others(&self, wanted: &BTreeMap<String, String>) -> io::Result<bool> {
        let mut others = files(&self.path, T::SUFFIX)?;
        others.retain(|path| {
            !path.file_name().and_then(|name| name.to_str()).is_some_and(|name| wanted.contains_key(name))
        });
        let is_another = !others.is_empty();
        others.extend(files(&self.path, &format!("{}{PART}", T::SUFFIX))?);
        for path in &others {
            step();
            std::fs::remove_file(path)?;
        }
        if let Some(path) = others.first() {
            sync_folder_of(path)?;
        }
        Ok(is_another)
    }

    pub(crate) fn is_folder(&self) -> bool {
        match self.path.metadata() {
            Ok(found) => found.is_dir(),
            Err(error) => error.kind() == io::ErrorKind::NotFound && !has_extension(&self.path),
        }
    }

    fn file(&self, path: &Path) -> Result<KeptFile, WriteError> {
        let file = KeptFile::at(path, NewFile::Umask).map(KeptFile::alone);
        file.map_err(|source| unwritable(path, source))
    }
}

impl<T: Item> Held<T> {
    /// Adds what is in a file of a folder. What is called otherwise than those that are written there, and is something
    /// else, is nobody's business; what is called so, and is nothing that anybody knows, goes when they are written.
    fn add_found(&mut self, path: &Path) {
        let is_called = |suffix: &str| path.as_os_str().as_bytes().ends_with(suffix.as_bytes());
        let is_ours = is_called(T::SUFFIX);
        if !is_ours && [Certificate::SUFFIX, Crl::SUFFIX].into_iter().any(is_called) {
            return;
        }
        let before = self.unreadable.len();
        self.add(path);
        let is_something_else = |error: &PemFileError| {
            matches!(error, PemFileError::NotPem { .. } | PemFileError::TooLarge { .. })
        };
        let is_nothing = |error: &PemFileError| matches!(error, PemFileError::NotPem { der: None, .. });
        let is_passed_over = |error| is_nothing(error) || !is_ours && is_something_else(error);
        if self.unreadable.get(before).is_some_and(is_passed_over) {
            self.unreadable.truncate(before);
        }
    }

    fn add(&mut self, path: &Path) {
        let blocks = match blocks(path, T::BYTES_MAX) {
            Ok(blocks) => blocks,
            Err(PemFileError::Missing(_)) => return,
            Err(error) => return self.unreadable.push(error),
        };
        let ours = blocks.iter().filter(|block| block.label == T::LABEL);
        for (index, block) in ours.enumerate() {
            match T::from_der(block.der.expose()) {
                Ok(item) => self.items.push(item),
                Err(source) => self.unreadable.push(T::unreadable(path.to_owned(), index + 1, source)),
            }
        }
    }
}

/// The name of a file for each of `items`, and what is to be in it. The same one twice is one.
fn named<T: Item>(items: &[T]) -> BTreeMap<String, String> {
    let (mut named, mut seen) = (BTreeMap::new(), BTreeSet::new());
    for item in items {
        let pem = item.to_pem();
        if !seen.insert(pem.clone()) {
            continue;
        }
        let id = hex::encode(&item.authority());
        let mut name = format!("{id}{}", T::SUFFIX);
        let mut number = 2;
        while named.contains_key(&name) {
            name = format!("{id}-{number}{}", T::SUFFIX);
            number += 1;
        }
        named.insert(name, pem);
    }
    named
}

/// The files in `folder` whose names end so, and links to files, in the order of their names. None where there is no
/// folder.
fn files(folder: &Path, suffix: &str) -> io::Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let is_ours = path.file_name().is_some_and(|name| name.as_bytes().ends_with(suffix.as_bytes()));
        // A link that leads to nothing is not a file.
        if is_ours && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Refuses to replace what somebody would miss: a private key, or something that is no PEM at all.
fn refuse_others(path: &Path, bytes_max: usize) -> Result<(), WriteError> {
    let what = match blocks(path, bytes_max) {
        Ok(found) if found.iter().any(|block| block.label.ends_with(pem_file::KEY)) => "a private key",
        Err(PemFileError::NotPem { .. }) => "something that is no PEM",
        _ => return Ok(()),
    };
    Err(WriteError::Precious { path: path.to_owned(), what })
}

/// Whether it is being written, or left from that.
fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_bytes().starts_with(b"."))
}

/// As Python's `os.path.splitext` has it: what begins the name is no extension, and behind a slash there is no name.
fn has_extension(path: &Path) -> bool {
    let name = path.as_os_str().as_bytes().rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    name.iter().skip_while(|byte| **byte == b'.').any(|byte| *byte == b'.')
}

fn unwritable(path: &Path, source: io::Error) -> WriteError {
    WriteError::Unwritable { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests;
