//! `--restore-backup`: a backup becomes a database of ours.
//!
//! ```text
//! BACKUP ─► .DB.restoring.sqlite, the original's database ─► .DB.restoring, our store ─► the user's new certificate,
//! the old one revoked ─► CRT grows ─► .DB.restoring is named DB
//! ```
//! All rows go the way that those of a running authority go that is taken over, so a backup is believed no more than a
//! database is. Until the last step nobody sees a database, and whatever fails before leaves nothing behind; who is killed
//! leaves files that the next restoration removes.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::{Clock, Entropy, Secret, Span, Timestamp};
use ca::takeover::Shelf;
use ca::{Admission, Authority, AuthorityName, Ground, Names, Profile, jump_crl_numbers};
use caucase_files::Database;
use caucase_files::backup::Reader;
use caucase_files::dump::Restorer;
use engine::{BACKUP_SUFFIX, Tasks};
use identity::Permit;
use store::{Engine, SealingKey, Sqlite, regular_file};
use x509::{Certificate, KeySpec, PrivateKey, SigningRequest, pem};

use super::error::ManageError;
use super::{Place, beside, folder_of};
use crate::compat::takeover::{Means, TakeOverError, switch};

/// What a new CA certificate's key is, should one be due.
const CA_KEY: KeySpec = KeySpec::Rsa { bits: 2048 };

/// What is to be restored, and for whom.
pub struct Wanted {
    /// The backup.
    pub backup: PathBuf,
    /// The private key that opens it.
    pub key: PathBuf,
    /// The signing request of its holder.
    pub csr: PathBuf,
    /// What the new certificate is appended to.
    pub crt: PathBuf,
}

/// Restores it to `place`.
pub async fn restore(
    place: &Place,
    wanted: &Wanted,
    user_life: Span,
    clock: &Clock,
    entropy: &Entropy,
) -> Result<(), ManageError> {
    let database = &place.database;
    let _lock = place.lock()?;
    let exists = || ManageError::Exists { path: database.clone() };
    if database.symlink_metadata().is_ok() {
        return Err(exists());
    }
    let key = private_key(&wanted.key)?;
    let (csr, text) = request(&wanted.csr)?;
    let file = regular_file::open(&wanted.backup).map_err(read(&wanted.backup))?;
    let backup = |source| ManageError::Backup { path: wanted.backup.clone(), source };
    let mut reader = Reader::open(file, &key).map_err(backup)?;

    let made = Made::begin(place)?;
    let dump = |source| ManageError::Dump { path: wanted.backup.clone(), source };
    let mut restorer = Restorer::into_file(&made.rows).map_err(dump)?;
    while let Some(block) = reader.next_block().map_err(backup)? {
        restorer.feed(block).map_err(dump)?;
    }
    drop(restorer.finish().map_err(dump)?);

    let sealing = Arc::new(SealingKey::load_or_create(&place.key, entropy)?);
    // A backup may be as old as it likes: it is asked for by its name, and all who held certificates begin anew.
    let means = Means { sealing: &sealing, clock, clock_is_right: true, entropy };
    let mut rows = Database::open(&made.rows)?;
    switch::fill(&mut rows, &wanted.backup, &made.store, &means, &mut |_| {}).await?;
    drop(rows);

    let restored = |source| ManageError::Restored { path: wanted.backup.clone(), source: Box::new(source) };
    let engine: Arc<dyn Engine> = Arc::new(Sqlite::open(&made.store)?);
    let ground = Ground {
        engine: engine.clone(),
        sealing: sealing.clone(),
        clock: clock.clone(),
        entropy: entropy.clone(),
        keys: Arc::new(|spec| {
            Box::pin(async move { Tasks::new().compute(move || PrivateKey::generate(spec)).await })
        }),
        // What is in a backup of caucase's has its keys beside it.
        token: None,
    };
    let shelf = Shelf { authority: AuthorityName::Users, sealing: &sealing, clock, entropy };
    let users = Authority::open(profile(&shelf, &engine, user_life).await?, ground).await?;
    let certificate =
        users.renew_restored(&Permit::house(), key.public(), &csr, &text).await.map_err(restored)?;
    drop(users);
    // Lists that were published since then may have counted further.
    let now = clock.now();
    let jumped = jump_crl_numbers(&engine, made_at(&wanted.backup).unwrap_or(now), now, entropy).await;
    jumped.map_err(TakeOverError::from)?;
    engine.close().await?;
    made.sync()?;

    let crt = Appended::to(&wanted.crt, &certificate)?;
    // Unlike a rename this replaces nothing.
    std::fs::hard_link(&made.store, database).map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => exists(),
        _ => ManageError::Write { path: database.clone(), source },
    })?;
    crt.keep();
    made.keep();
    let folder = folder_of(database);
    File::open(folder).and_then(|open| open.sync_all()).map_err(write(folder))
}

fn read(path: &Path) -> impl Fn(io::Error) -> ManageError {
    move |source| ManageError::Read { path: path.to_owned(), source }
}

fn write(path: &Path) -> impl Fn(io::Error) -> ManageError {
    move |source| ManageError::Write { path: path.to_owned(), source }
}

/// The only private key in the file at `path`, which may have its certificate beside it.
fn private_key(path: &Path) -> Result<PrivateKey, ManageError> {
    let text = Secret::new(regular_file::read(path).map_err(read(path))?);
    let text = String::from_utf8_lossy(text.expose());
    PrivateKey::from_pem(&text).map_err(|source| ManageError::Key { path: path.to_owned(), source })
}

/// The only signing request in the file at `path`, and its text.
fn request(path: &Path) -> Result<(SigningRequest, String), ManageError> {
    let text = regular_file::read_to_string(path).map_err(read(path))?;
    let not_one = || ManageError::Request { path: path.to_owned() };
    let blocks = pem::read(text.as_bytes(), pem::ONE_BYTES_MAX).map_err(|_| not_one())?;
    if blocks.len() != 1 {
        return Err(not_one());
    }
    let csr = SigningRequest::from_pem(text.as_bytes()).map_err(|_| not_one())?;
    Ok((csr, text))
}

/// The policy of the users authority, as far as a restoration needs it. A CA certificate that is due meanwhile is called
/// as those before it.
async fn profile(shelf: &Shelf<'_>, engine: &Arc<dyn Engine>, life: Span) -> Result<Profile, ManageError> {
    let issuers = shelf.issuers(engine).await?;
    let name = issuers.last().and_then(|(certificate, _)| certificate.subject().common_name());
    Ok(Profile {
        name: AuthorityName::Users,
        issuer_common_name: name.unwrap_or_else(|| "Caucase CAU".to_owned()),
        issuer_extensions: Vec::new(),
        leaf_life: life,
        issuer_life: life.fraction(4, 1),
        issuer_key: CA_KEY,
        crl_addresses: Vec::new(),
        names: Names::Any,
        admission: Admission {
            pending_max: 0,
            automatic_max: 0,
            lock_automatic_max: false,
            keys_for_backup: true,
            keep_issued: life,
            keep_fetched: life,
        },
    })
}

/// When a backup was made, as its name says, if it still has its own.
fn made_at(path: &Path) -> Option<Timestamp> {
    let digits = path.file_name()?.to_str()?.strip_suffix(BACKUP_SUFFIX)?;
    if digits.len() != 14 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let two = |at: usize| digits[at..at + 2].parse::<u8>().ok();
    let fields = (digits[..4].parse().ok()?, two(4)?, two(6)?, two(8)?, two(10)?, two(12)?);
    Timestamp::from_fields(fields)
}

/// What a restoration makes, until it is kept.
struct Made {
    /// The original's database.
    rows: PathBuf,
    /// Our store.
    store: PathBuf,
    /// The key of it, unless it was there before.
    key: Option<PathBuf>,
}

impl Made {
    fn begin(place: &Place) -> Result<Self, ManageError> {
        let key = place.key.symlink_metadata().is_err().then(|| place.key.clone());
        let rows = beside(&place.database, ".", ".restoring.sqlite");
        let made = Self { rows, store: beside(&place.database, ".", ".restoring"), key };
        made.remove_files().map_err(write(&made.store))?;
        Ok(made)
    }

    /// Everything is in the store's one file, and on the disk.
    fn sync(&self) -> Result<(), ManageError> {
        let log = beside(&self.store, "", "-wal");
        if std::fs::metadata(&log).is_ok_and(|found| found.len() > 0) {
            return Err(write(&self.store)(io::Error::other("its log could not be copied to it")));
        }
        File::open(&self.store).and_then(|open| open.sync_all()).map_err(write(&self.store))
    }

    /// What an earlier restoration left, or this one. There are CA keys in it, in clear.
    fn remove_files(&self) -> io::Result<()> {
        for path in [&self.rows, &self.store] {
            for ending in ["", "-wal", "-shm", "-journal"] {
                match std::fs::remove_file(beside(path, "", ending)) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
        }
        Ok(())
    }

    fn keep(mut self) {
        self.key = None;
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        // The store has another name by now if it is kept.
        let _ = self.remove_files();
        if let Some(key) = &self.key {
            let _ = std::fs::remove_file(key);
        }
    }
}

/// A certificate at the end of a file, until it is kept.
struct Appended {
    path: PathBuf,
    file: File,
    /// How long it was; nothing when it was not there.
    before: Option<u64>,
    is_kept: bool,
}

impl Appended {
    fn to(path: &Path, certificate: &Certificate) -> Result<Self, ManageError> {
        let before = std::fs::metadata(path).ok().map(|found| found.len());
        let file = OpenOptions::new().append(true).create(true).open(path).map_err(write(path))?;
        let mut appended = Self { path: path.to_owned(), file, before, is_kept: false };
        let written = appended.file.write_all(certificate.to_pem().as_bytes());
        written.and_then(|()| appended.file.sync_all()).map_err(write(path))?;
        Ok(appended)
    }

    fn keep(mut self) {
        self.is_kept = true;
    }
}

impl Drop for Appended {
    fn drop(&mut self) {
        if self.is_kept {
            return;
        }
        let _ = match self.before {
            Some(length) => self.file.set_len(length),
            None => std::fs::remove_file(&self.path),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backup_says_when_it_was_made() {
        let at = |name: &str| made_at(Path::new(name)).map(Timestamp::as_unix);
        assert_eq!(at("/x/20260921141320.sql.caucased"), Some(1_790_000_000));
        for name in
            ["backup", "2026.sql.caucased", "20269921141320.sql.caucased", "2026092114132\u{e9}.sql.caucased"]
        {
            assert_eq!(at(name), None, "{name}");
        }
    }
}
