//! Makes backups of the authorities, in the original's format: one a period, encrypted for all users who are there then.
//!
//! ```text
//! due ──► users with RSA keys ──► a look at the store ──► rows ──► SQL ──► backup ──► a file, whole or not at all
//! ```
//! Due is a period after the newest file came, and at once when there is none. Nothing is ever deleted. Where several
//! processes share a store one makes it, wherever it keeps it: the store remembers when the last one was made.
//!
//! A backup that fails harms nobody: it is told, counted, and tried again. Where nobody could read one it is tried again
//! after an hour, or when a certificate was issued.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use base::{Clock, Entropy, Secret, Span, Timestamp};
use ca::takeover::{GiveBackError, give_back, keys_of_users};
use caucase_files::backup::{Recipient, WriteError, Writer};
use caucase_files::dump;
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use store::{Batch, Engine, Event, History, Record, SealingKey, Still, Table};

use crate::reconciler::{Next, Reconciler, StepError};
use crate::tasks::{Stop, Tasks};

/// How long to wait when nobody could read a backup.
const NOBODY: Span = Span::seconds(3_600);
/// What the history says when somebody may be there who can read one.
const CERTIFICATE_ISSUED: &str = "certificate issued";
/// How far apart the looks are that this asks for: services get certificates as well.
const HINTS_APART: Duration = Duration::from_secs(1);
/// How long to wait after one that failed; no longer than a period.
const FAILED: Span = Span::seconds(600);
/// The longest time until it is looked again, for files that came or went meanwhile.
const LOOKED_AT: Span = Span::seconds(3_600);
/// Where the record of the last one is.
const LAST: &str = "backup";
/// What backups are called behind their date.
pub const BACKUP_SUFFIX: &str = ".sql.caucased";

/// Where backups go. Its methods are called where they may wait.
pub trait BackupFolder: Send + Sync {
    /// When the newest backup that is there was made, as far as the folder knows.
    ///
    /// # Errors
    /// When the folder cannot be read.
    fn newest(&self) -> io::Result<Option<Timestamp>>;

    /// Begins a backup that is to be called `name`.
    ///
    /// # Errors
    /// When there is one of this name, or it cannot be made.
    fn begin(&self, name: &str) -> io::Result<Box<dyn BackupFile>>;
}

/// A backup that is being written. Whoever drops it leaves nothing behind.
pub trait BackupFile: Write + Send {
    /// It is whole: from now on it is there, whatever happens.
    ///
    /// # Errors
    /// When it is not.
    fn keep(self: Box<Self>) -> io::Result<()>;
}

/// What came of a backup, for whoever counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backup {
    /// One was there already.
    Found {
        /// When it was made.
        at: Timestamp,
    },
    /// One was made.
    Made {
        /// When.
        at: Timestamp,
        /// How large it is.
        bytes: u64,
    },
    /// One could not be made.
    Failed,
}

/// Told what came of each backup.
pub type OnBackup = Arc<dyn Fn(Backup) + Send + Sync>;

/// How backups are made.
pub struct BackupParts {
    /// Where they go.
    pub folder: Arc<dyn BackupFolder>,
    /// How much time is between them.
    pub period: Span,
    /// Told what came of each.
    pub told: OnBackup,
}

/// When the last backup was made, for the other processes on the same store.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct LastBackup {
    at: i64,
    name: String,
}

impl Record for LastBackup {
    const VERSION: u32 = 1;
}

/// A backup was not made.
#[derive(Debug, thiserror::Error)]
enum BackupError {
    #[error("the store could not be read")]
    Store(#[from] store::Error),
    #[error(transparent)]
    Give(#[from] GiveBackError<io::Error>),
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error("the file could not be written")]
    File(#[from] io::Error),
}

/// A backup that was made.
struct Made {
    name: String,
    bytes: u64,
    readers: usize,
}

/// What an attempt came to.
enum Attempt {
    Made(Made),
    /// Nobody could read it.
    Nobody,
    /// The house stops.
    Stopped,
}

pub(crate) struct Backups {
    engine: Arc<dyn Engine>,
    sealing: Arc<SealingKey>,
    history: History,
    last: Table<LastBackup>,
    parts: BackupParts,
    clock: Clock,
    entropy: Entropy,
    tasks: Tasks,
    /// Whether the attempt before failed, so that the history is told once.
    failing: bool,
    /// Whether nobody could read the one that was due, so that the first who could is worth another look.
    nobody: bool,
    /// Which one was told as found.
    found: Option<Timestamp>,
    /// How many users had no key that a backup can be made for, when that was told.
    skipped: usize,
}

impl Backups {
    pub(crate) fn new(
        engine: Arc<dyn Engine>,
        sealing: Arc<SealingKey>,
        parts: BackupParts,
        (clock, entropy): (Clock, Entropy),
        tasks: Tasks,
    ) -> Result<Self, store::Error> {
        Ok(Self {
            history: History::new(engine.clone())?,
            last: Table::new(engine.clone(), "/house/")?,
            engine,
            sealing,
            parts,
            clock,
            entropy,
            tasks,
            failing: false,
            nobody: false,
            found: None,
            skipped: 0,
        })
    }

    /// When the last one was made; `None` when there is none. One that is from the future would keep us waiting for as
    /// long: a clock was set.
    async fn newest(&mut self) -> Result<Option<Timestamp>, BackupError> {
        let folder = self.parts.folder.clone();
        let mut newest = self.tasks.compute(move || folder.newest()).await?;
        if self.engine.is_shared()
            && let Some(last) = self.last.get(LAST).await?
        {
            newest = newest.max(Some(Timestamp::from_unix(last.record.at)));
        }
        let newest = newest.map(|newest| newest.min(self.clock.now()));
        if let Some(at) = newest.filter(|_| self.found.is_none()) {
            self.found = Some(at);
            (self.parts.told)(Backup::Found { at });
        }
        Ok(newest)
    }

    async fn attempt(&mut self, stop: &Stop) -> Result<Attempt, BackupError> {
        let still = Still::of(self.engine.snapshot().await?);
        let now = self.clock.now();
        let keys = keys_of_users(&still, now).await?;
        let recipients: Vec<_> = keys.iter().filter_map(Recipient::new).collect();
        let skipped = keys.len() - recipients.len();
        if skipped != self.skipped {
            self.skipped = skipped;
            if skipped > 0 {
                let hint = "have these users ask for certificates with a key that can";
                tracing::warn!(
                    users = skipped,
                    hint,
                    "users whose keys are not RSA of 2048 to 8192 bits cannot read backups"
                );
            }
        }
        if recipients.is_empty() {
            return Ok(Attempt::Nobody);
        }
        let (folder, sealing) = (self.parts.folder.clone(), self.sealing.clone());
        let (entropy, stop) = (self.entropy.clone(), stop.clone());
        let runtime = tokio::runtime::Handle::current();
        // Page by page the store is waited for and the file written, so all of it is where waiting is no harm.
        let work =
            move || runtime.block_on(write(&still, &sealing, &recipients, folder, now, &entropy, &stop));
        self.tasks.compute(work).await
    }

    /// The record and the event of one that was made.
    async fn remember(&self, made: &Made, at: Timestamp) -> Result<(), store::Error> {
        let mut batch = Batch::new();
        self.last.put(&mut batch, LAST, &LastBackup { at: at.as_unix(), name: made.name.clone() })?;
        let facts = [("bytes", made.bytes.to_string()), ("readers", made.readers.to_string())];
        self.append(&mut batch, "backup made", &made.name, &facts)?;
        self.engine.commit(batch).await.map(drop).map_err(|error| error.into_store("remembering a backup"))
    }

    async fn tell_failure(&self, error: &BackupError) {
        let mut batch = Batch::new();
        let told = self.append(&mut batch, "backup failed", "backup", &[("reason", base::report(error))]);
        let told = match told {
            Ok(()) => {
                self.engine.commit(batch).await.map_err(|error| error.into_store("telling of a backup"))
            }
            Err(error) => Err(error),
        };
        if let Err(error) = told {
            tracing::warn!(error = %base::report(&error), "the history does not know of the failed backup");
        }
    }

    fn append(
        &self,
        batch: &mut Batch,
        what: &str,
        about: &str,
        facts: &[(&str, String)],
    ) -> Result<(), store::Error> {
        let event = Event {
            at_milliseconds: self.clock.now_milliseconds(),
            what: what.to_owned(),
            about: about.to_owned(),
            by: "the house".to_owned(),
            from: None,
            facts: facts.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect(),
        };
        self.history.append(batch, &event, &self.entropy).map(drop)
    }

    async fn step_at(&mut self, stop: &Stop) -> Result<Timestamp, BackupError> {
        let now = self.clock.now();
        if let Some(newest) = self.newest().await? {
            let due = newest + self.parts.period;
            if now < due {
                return Ok(due.min(now + LOOKED_AT));
            }
        }
        match self.attempt(stop).await? {
            Attempt::Made(made) => {
                (self.failing, self.nobody) = (false, false);
                self.found = Some(now);
                (self.parts.told)(Backup::Made { at: now, bytes: made.bytes });
                tracing::info!(file = made.name, bytes = made.bytes, readers = made.readers, "backup made");
                // It is there, and is found by its date.
                if let Err(error) = self.remember(&made, now).await {
                    tracing::warn!(error = %base::report(&error), "the history does not know of the backup");
                }
                Ok(now + self.parts.period)
            }
            Attempt::Nobody => {
                // Nothing to worry about as long as there never was a user, as at the first start.
                if !std::mem::replace(&mut self.nobody, true) {
                    tracing::info!("there is no user yet who could read a backup, so none was made");
                }
                Ok(now + NOBODY)
            }
            Attempt::Stopped => Ok(now),
        }
    }
}

/// Writes a backup of what is in `still`.
async fn write(
    still: &Arc<dyn Engine>,
    sealing: &SealingKey,
    recipients: &[Recipient],
    folder: Arc<dyn BackupFolder>,
    now: Timestamp,
    entropy: &Entropy,
    stop: &Stop,
) -> Result<Attempt, BackupError> {
    let (year, month, day, hour, minute, second) = now.fields();
    let name = format!("{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}{BACKUP_SUFFIX}");
    let counted = Counted { to: folder.begin(&name)?, bytes: 0 };
    let backup = Writer::new(counted, recipients, entropy)?;
    // Rows are small, and ciphers are not for small things.
    let mut dump = dump::Writer::new(Gathered { to: backup, held: Secret::new(Vec::new()) })?;
    let given = give_back(still, sealing, |prefix, row| {
        if stop.is_asked() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        dump.row(prefix, &row)
    });
    match given.await {
        Err(GiveBackError::Given(error)) if error.kind() == io::ErrorKind::Interrupted => {
            return Ok(Attempt::Stopped);
        }
        other => other?,
    }
    let file = dump.finish()?.finish()?.finish()?;
    let bytes = file.bytes;
    file.to.keep()?;
    Ok(Attempt::Made(Made { name, bytes, readers: recipients.len() }))
}

/// Counts what is written.
struct Counted {
    to: Box<dyn BackupFile>,
    bytes: u64,
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.write(bytes)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// How much is gathered before it is written.
const GATHERED_BYTES: usize = 256 * 1024;

/// Gathers small pieces to larger ones, and wipes them behind itself.
struct Gathered<W> {
    to: W,
    held: Secret<Vec<u8>>,
}

impl<W: Write> Gathered<W> {
    fn pass_on(&mut self) -> io::Result<()> {
        self.to.write_all(self.held.expose())?;
        self.held.expose_mut().clear();
        Ok(())
    }

    fn finish(mut self) -> io::Result<W> {
        self.pass_on()?;
        Ok(self.to)
    }
}

impl<W: Write> Write for Gathered<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.held.expose().capacity() == 0 {
            // Enough from the start: growing would leave copies of private keys behind.
            self.held = Secret::new(Vec::with_capacity(GATHERED_BYTES));
        }
        if self.held.expose().len() + bytes.len() > GATHERED_BYTES {
            self.pass_on()?;
        }
        if bytes.len() > GATHERED_BYTES {
            self.to.write_all(bytes)?;
        } else {
            self.held.expose_mut().extend_from_slice(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.pass_on()?;
        self.to.flush()
    }
}

impl Reconciler for Backups {
    fn name(&self) -> &'static str {
        "backups"
    }

    fn cares(&self, what: &str) -> bool {
        self.nobody && what == CERTIFICATE_ISSUED
    }

    fn hints_apart(&self) -> Duration {
        if self.nobody { HINTS_APART } else { Duration::ZERO }
    }

    fn step<'a>(&'a mut self, stop: &'a Stop) -> BoxFuture<'a, Result<Next, StepError>> {
        Box::pin(async move {
            let now = self.clock.now();
            match self.step_at(stop).await {
                Ok(at) => Ok(Next::At(at)),
                Err(error) => {
                    (self.parts.told)(Backup::Failed);
                    tracing::error!(error = %base::report(&error), "backup failed, trying again");
                    if !std::mem::replace(&mut self.failing, true) {
                        self.tell_failure(&error).await;
                    }
                    Ok(Next::At(now + FAILED.min(self.parts.period)))
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Mutex;

    use ca::{Admission, Authority, AuthorityName, Ground, Names, Profile};
    use caucase_files::backup::Reader;
    use caucase_files::dump::{Part, Statements};
    use identity::Permit;
    use store::Memory;
    use x509::{KeySpec, Name, PrivateKey, SigningRequest};

    use super::*;

    /// A folder in memory, which can be broken.
    #[derive(Default)]
    struct Shelf {
        files: Mutex<BTreeMap<String, Vec<u8>>>,
        newest: Mutex<Option<Timestamp>>,
        is_full: Mutex<bool>,
    }

    struct File(Arc<Shelf>, String, Vec<u8>);

    struct Folder(Arc<Shelf>);

    impl BackupFolder for Folder {
        fn newest(&self) -> io::Result<Option<Timestamp>> {
            Ok(*self.0.newest.lock().unwrap())
        }

        fn begin(&self, name: &str) -> io::Result<Box<dyn BackupFile>> {
            Ok(Box::new(File(self.0.clone(), name.to_owned(), Vec::new())))
        }
    }

    impl Write for File {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if *self.0.is_full.lock().unwrap() {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.2.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl BackupFile for File {
        fn keep(self: Box<Self>) -> io::Result<()> {
            let before = self.0.files.lock().unwrap().insert(self.1.clone(), self.2.clone());
            assert!(before.is_none(), "{} is written twice", self.1);
            Ok(())
        }
    }

    fn profile(name: AuthorityName) -> Profile {
        Profile {
            name,
            issuer_common_name: "test".to_owned(),
            issuer_extensions: Vec::new(),
            leaf_life: Span::days(93),
            issuer_life: Span::days(372),
            issuer_key: KeySpec::P256,
            crl_addresses: Vec::new(),
            names: Names::Any,
            admission: Admission {
                pending_max: 9,
                automatic_max: 9,
                lock_automatic_max: false,
                keys_for_backup: false,
                keep_issued: Span::days(93),
                keep_fetched: Span::days(93),
            },
        }
    }

    struct World {
        engine: Arc<dyn Engine>,
        sealing: Arc<SealingKey>,
        shelf: Arc<Shelf>,
        told: Arc<Mutex<Vec<Backup>>>,
        clock: Clock,
        users: Authority,
        history: History,
        backups: Backups,
    }

    impl World {
        async fn new() -> Self {
            Self::on(Arc::new(Memory::new())).await
        }

        async fn on(engine: Arc<dyn Engine>) -> Self {
            let (clock, entropy) = (Clock::manual(Timestamp::from_unix(1_790_000_000)), Entropy::seeded(3));
            let sealing = Arc::new(SealingKey::generate(&entropy));
            let ground = Ground {
                engine: engine.clone(),
                sealing: sealing.clone(),
                clock: clock.clone(),
                entropy: entropy.clone(),
                keys: Arc::new(|spec| Box::pin(async move { PrivateKey::generate(spec) })),
                token: None,
            };
            let users = Authority::open(profile(AuthorityName::Users), ground).await.unwrap();
            let (shelf, told) = (Arc::new(Shelf::default()), Arc::new(Mutex::new(Vec::new())));
            let backups = making(&engine, &sealing, &shelf, &told, &clock);
            let history = History::new(engine.clone()).unwrap();
            Self { engine, sealing, shelf, told, clock, users, history, backups }
        }

        /// A certificate for a user with this key.
        async fn issue(&self, key: &PrivateKey) {
            let csr = SigningRequest::build(key, &Name::from_common_name("user").unwrap(), &[]);
            self.users.issue(Permit::house(), &csr, &csr.to_pem()).await.unwrap();
        }

        /// One step, and in how many seconds the next one is.
        async fn step(&mut self) -> i64 {
            let Next::At(at) = self.backups.step(&Stop::new()).await.unwrap();
            (at - self.clock.now()).as_seconds()
        }

        fn files(&self) -> BTreeMap<String, Vec<u8>> {
            self.shelf.files.lock().unwrap().clone()
        }

        fn told(&self) -> Vec<Backup> {
            std::mem::take(&mut *self.told.lock().unwrap())
        }

        async fn events(&self, what: &str) -> usize {
            let page = self.history.page(None, 1_000).await.unwrap();
            page.entries.iter().filter(|(_, event)| event.record.what == what).count()
        }
    }

    /// What makes backups once a day, into `shelf`.
    fn making(
        engine: &Arc<dyn Engine>,
        sealing: &Arc<SealingKey>,
        shelf: &Arc<Shelf>,
        told: &Arc<Mutex<Vec<Backup>>>,
        clock: &Clock,
    ) -> Backups {
        let told = told.clone();
        let parts = BackupParts {
            folder: Arc::new(Folder(shelf.clone())),
            period: Span::days(1),
            told: Arc::new(move |backup| told.lock().unwrap().push(backup)),
        };
        let chance = (clock.clone(), Entropy::seeded(4));
        Backups::new(engine.clone(), sealing.clone(), parts, chance, Tasks::new()).unwrap()
    }

    /// The rows of a backup, as statements.
    fn statements(backup: &[u8], key: &PrivateKey) -> Vec<String> {
        let mut reader = Reader::open(backup, key).unwrap();
        let (mut statements, mut all) = (Statements::default(), Vec::new());
        while let Some(block) = reader.next_block().unwrap() {
            let each = |_: Part, text: &str, _: u64| -> Result<(), dump::DumpError> {
                all.push(text.to_owned());
                Ok(())
            };
            statements.feed(block, each).unwrap();
        }
        statements.end().unwrap();
        all
    }

    #[tokio::test]
    async fn one_is_made_each_period_for_all_who_are_there_then() {
        let mut world = World::new().await;
        assert_eq!(world.step().await, 3_600, "nobody could read one");
        assert!(world.backups.cares("certificate issued"));
        assert_eq!((world.files().len(), world.told()), (0, vec![]));

        // One whose key can seal nothing is passed over.
        world.issue(&PrivateKey::generate(KeySpec::P256).unwrap()).await;
        assert_eq!(world.step().await, 3_600);
        let one = PrivateKey::generate(KeySpec::Rsa { bits: 2048 }).unwrap();
        world.issue(&one).await;
        assert_eq!(world.step().await, 86_400);
        assert!(!world.backups.cares("certificate issued"));
        let files = world.files();
        let (name, first) = files.first_key_value().unwrap();
        assert_eq!(name, "20260921141320.sql.caucased");
        let made = Backup::Made { at: world.clock.now(), bytes: first.len() as u64 };
        assert_eq!(world.told(), [made]);
        assert_eq!(world.events("backup made").await, 1);
        let first = statements(first, &one);
        assert_eq!(first.iter().filter(|text| text.starts_with("INSERT INTO \"cauca\"")).count(), 1);
        assert_eq!(first.iter().filter(|text| text.starts_with("INSERT INTO \"caucrt\"")).count(), 2);

        // As long as the folder says so none is due, and a clock that was set keeps nobody waiting for longer than that.
        for (since, next) in [(Span::days(-30), 3_600), (Span::ZERO, 3_600), (Span::seconds(86_390), 10)] {
            *world.shelf.newest.lock().unwrap() = Some(world.clock.now() - since);
            assert_eq!(world.step().await, next, "{since}");
        }
        assert_eq!(world.files().len(), 1);
        let two = PrivateKey::generate(KeySpec::Rsa { bits: 2048 }).unwrap();
        world.issue(&two).await;
        world.clock.advance(Span::seconds(10));
        assert_eq!(world.step().await, 86_400);
        let files = world.files();
        let (_, second) = files.last_key_value().unwrap();
        assert_eq!(statements(second, &two), statements(second, &one));
    }

    #[tokio::test]
    async fn one_that_fails_is_told_once_and_tried_again() {
        let mut world = World::new().await;
        let key = PrivateKey::generate(KeySpec::Rsa { bits: 2048 }).unwrap();
        world.issue(&key).await;
        *world.shelf.is_full.lock().unwrap() = true;
        for _ in 0..3 {
            assert_eq!(world.step().await, 600);
            assert_eq!(world.told(), [Backup::Failed]);
        }
        assert_eq!((world.files().len(), world.events("backup failed").await), (0, 1));
        *world.shelf.is_full.lock().unwrap() = false;
        assert_eq!(world.step().await, 86_400);
        assert_eq!(world.files().len(), 1);
    }

    /// It is there once its file is, whatever becomes of the one commit that says so.
    #[tokio::test]
    async fn one_that_the_history_does_not_know_is_one() {
        for fate in [None, Some(true), Some(false)] {
            let store = Arc::new(Memory::new());
            let mut world = World::on(store.clone()).await;
            let key = PrivateKey::generate(KeySpec::Rsa { bits: 2048 }).unwrap();
            world.issue(&key).await;
            match fate {
                None => store.fail_next_commits(usize::MAX, store::Error::Closed),
                Some(done) => store.lose_next_answers([done]),
            }
            assert_eq!(world.step().await, 86_400);
            let files = world.files();
            statements(files.first_key_value().unwrap().1, &key);
            assert!(matches!(world.told()[..], [Backup::Made { .. }]));
            // Whoever starts then finds it by its date.
            let engine: Arc<dyn Engine> = store.reopen();
            *world.shelf.newest.lock().unwrap() = Some(world.clock.now());
            world.backups = making(&engine, &world.sealing, &world.shelf, &world.told, &world.clock);
            assert_eq!(world.step().await, 3_600);
            assert_eq!(world.files().len(), 1);
        }
    }

    /// Each has a folder of its own, and the store says when the last one was made.
    #[tokio::test]
    async fn of_several_processes_one_makes_it() {
        let mut world = World::on(Arc::new(Memory::shared())).await;
        world.issue(&PrivateKey::generate(KeySpec::Rsa { bits: 2048 }).unwrap()).await;
        assert_eq!(world.step().await, 86_400);
        let shelf = Arc::new(Shelf::default());
        let mut other = making(&world.engine, &world.sealing, &shelf, &world.told, &world.clock);
        world.clock.advance(Span::seconds(10));
        let Next::At(at) = other.step(&Stop::new()).await.unwrap();
        assert_eq!((at - world.clock.now()).as_seconds(), 3_600);
        assert!(shelf.files.lock().unwrap().is_empty());
        world.clock.advance(Span::days(1));
        other.step(&Stop::new()).await.unwrap();
        assert_eq!(shelf.files.lock().unwrap().len(), 1, "the one that dies is not waited for");
        assert_eq!(world.step().await, 3_600);
        assert_eq!(world.files().len(), 1);
    }

    #[tokio::test]
    async fn whoever_is_not_good_any_more_cannot_read_the_next_one() {
        let mut world = World::new().await;
        let [one, two] = [(); 2].map(|()| PrivateKey::generate(KeySpec::Rsa { bits: 2048 }).unwrap());
        world.issue(&one).await;
        world.clock.advance(Span::days(93));
        world.issue(&two).await;
        assert_eq!(world.step().await, 86_400);
        let files = world.files();
        let (_, backup) = files.last_key_value().unwrap();
        assert!(Reader::open(&backup[..], &one).is_err());
        statements(backup, &two);
    }
}
