//! Makes backups of the authorities, in the original's format: one a period, encrypted for all users who are there then.
//!
//! ```text
//! due ──► users with RSA keys ──► a look at the store ──► rows ──► SQL ──► backup ──► a file, whole or not at all
//! ```
//! Due is a period after the newest file came, and at once when there is none. Nothing is ever deleted. Where several
//! processes share a store one makes it, wherever it keeps it: the store remembers when the last one was made.
//!
//! A backup that fails harms nobody: it is told, counted, and tried again.

use std::io::{self, Write};
use std::sync::Arc;

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
                let hint = "backups are made for RSA keys; have these users ask for certificates with one";
                tracing::warn!(users = skipped, hint, "users whose keys are not RSA cannot read backups");
            }
        }
        if recipients.is_empty() {
            return Ok(Attempt::Nobody);
        }
        let (folder, sealing) = (self.parts.folder.clone(), self.sealing.clone());
        let (entropy, stop) = (self.entropy.clone(), stop.clone());
        let runtime = tokio::runtime::Handle::current();
        // Page by page the store is waited for and the file written, so all of it is where waiting is no harm.
        let work = move || runtime.block_on(write(&still, &sealing, &recipients, folder, now, &entropy, &stop));
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
                self.failing = false;
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
                let hint = "a user with an RSA key and a good certificate has to be there";
                tracing::warn!(hint, "nobody could read a backup, so none was made");
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
