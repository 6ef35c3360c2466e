//! Writing: one thread, one connection, and everything that is queued in one transaction.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use async_lock::SemaphoreGuardArc;
use futures_channel::oneshot;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OptionalExtension, params};

use super::place::Place;
use super::settled::Settled;
use super::{failed, from_sql, open, sum, to_sql};
use crate::changes::Changes;
use crate::{Batch, Change, CommitError, Error, Expect, Key, Operation, Revision, Version};

/// The most batches in one transaction.
const GROUP_BATCHES_MAX: usize = 256;
/// The most bytes of keys and values in one transaction, but for its last batch.
const GROUP_BYTES_MAX: usize = 4 * 1024 * 1024;
/// After writing about so many pages to the log, they are copied to the file. The longer the log, the more
/// of them are copied once though they were written often; reading it after a crash takes longer.
const CHECKPOINT_PAGES: usize = 4_000;
/// A log that has grown to so many pages, because somebody was reading at each checkpoint, is not added to
/// until all have moved on; or, where somebody does not move on, for the time below. Then the next time is when the log
/// is twice as long: whoever holds a snapshot reads on for minutes, and nobody's commit is to wait for that.
const LOG_PAGES_MAX: i64 = 8 * 4_000;
/// How long commits wait for those who read.
const READERS_WAITED_FOR: Duration = Duration::from_millis(500);

/// Puts a key, whatever was there.
const PUT: &str = "INSERT INTO records (key, revision, value, sum) VALUES (?1, ?2, ?3, ?4)
                   ON CONFLICT (key) DO UPDATE SET revision = ?2, value = ?3, sum = ?4";
/// Puts a key that must not be there; changes nothing if it is.
const INSERT: &str = "INSERT INTO records (key, revision, value, sum) VALUES (?1, ?2, ?3, ?4)
                      ON CONFLICT (key) DO NOTHING";

/// A batch on its way.
pub(super) struct Job {
    pub(super) batch: Batch,
    pub(super) answer: oneshot::Sender<Result<Revision, CommitError>>,
    /// Its place in the queue, given back when it is dropped.
    #[expect(dead_code, reason = "held for its end")]
    pub(super) place: SemaphoreGuardArc,
}

/// The one that writes.
pub(super) struct Writer {
    connection: Connection,
    place: Arc<Place>,
    /// Of the last commit; further on while a transaction is being written.
    revision: Revision,
    settled: Arc<Settled>,
    changes: Changes,
    /// About how many pages were written to the log since it was last copied.
    pages: usize,
    /// How many pages of the log make it wait for those who read.
    log_pages_max: i64,
}

/// What a batch comes to, if its transaction commits: the changes it made, or why it was refused.
type Verdict = Result<(Revision, Vec<Change>), CommitError>;

/// When it is seen whether what a batch expects is so.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Look {
    /// Keys that are expected to be absent and are then put: as they are put. When one is not, the whole
    /// transaction is to be done again, for half a batch is written by then.
    AsItGoes,
    /// Before anything of the batch is written.
    First,
}

/// Why a transaction was not committed.
enum Failed {
    /// A key that was expected to be absent was not, after something of its batch was written.
    Spoilt,
    Sql(rusqlite::Error),
}

impl From<rusqlite::Error> for Failed {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl Writer {
    /// Goes on from `revision`, where `settled` is as well.
    pub(super) fn new(
        connection: Connection,
        place: Arc<Place>,
        revision: Revision,
        settled: Arc<Settled>,
        changes: Changes,
    ) -> Self {
        Self { connection, place, revision, settled, changes, pages: 0, log_pages_max: LOG_PAGES_MAX }
    }

    /// Commits what comes through `queue` until nobody holds its other end.
    pub(super) fn run(mut self, queue: &Receiver<Job>) {
        while let Ok(first) = queue.recv() {
            self.commit(gather(first, queue));
            if self.pages >= CHECKPOINT_PAGES {
                self.checkpoint("PASSIVE");
            }
        }
        if matches!(self.place.check(), Err(Error::Overwritten { .. })) {
            self.leave_log();
        } else {
            self.checkpoint("TRUNCATE");
        }
        if let Err((_, error)) = self.connection.close() {
            tracing::warn!(%error, "store not closed cleanly, which its next opening mends");
        }
    }

    /// Commits a group and answers each of its batches.
    fn commit(&mut self, group: Vec<Job>) {
        let mut outcome = self.transact(&group);
        if matches!(outcome, Err(Error::Full)) {
            // The log holds many pages more than once, and gives back what it takes.
            self.checkpoint("TRUNCATE");
            outcome = self.transact(&group);
        }
        if let (Err(Error::Full), Some(read_only)) = (&outcome, self.place.is_read_only()) {
            outcome = Err(read_only);
        }
        match outcome {
            Ok(verdicts) => {
                let mut done = Vec::with_capacity(group.len());
                let answers = verdicts.into_iter().map(|verdict| {
                    let (revision, changes) = verdict?;
                    done.push(changes);
                    Ok(revision)
                });
                let answers: Vec<_> = answers.collect();
                // Told before it is answered, so that who was answered finds it told.
                self.changes.add(done);
                for (job, answer) in group.into_iter().zip(answers) {
                    // Whoever asked may have stopped waiting.
                    let _ = job.answer.send(answer);
                }
            }
            Err(error) => {
                for job in group {
                    let _ = job.answer.send(Err(error.clone().into()));
                }
            }
        }
    }

    /// The verdict on each batch, after the commit of all that were taken; or nothing was done.
    fn transact(&mut self, group: &[Job]) -> Result<Vec<Verdict>, Error> {
        if let Err(error) = self.place.check() {
            if matches!(error, Error::LogGone { .. }) {
                // It is still open: this saves what was answered.
                self.checkpoint("PASSIVE");
            }
            return Err(error);
        }
        let outcome = match self.attempt(group, Look::AsItGoes) {
            Err(Failed::Spoilt) => self.attempt(group, Look::First),
            outcome => outcome,
        };
        outcome.map_err(|error| match error {
            Failed::Sql(error) => failed("committing")(error),
            Failed::Spoilt => Error::Engine {
                doing: "committing",
                reason: "a key came to be while nobody else could write".into(),
            },
        })
    }

    /// One transaction, committed or rolled back.
    fn attempt(&mut self, group: &[Job], look: Look) -> Result<Vec<Verdict>, Failed> {
        let before = self.revision;
        let outcome = self.write(group, look);
        if outcome.is_err() {
            self.revision = before;
            // SQLite may have rolled back by itself.
            if !self.connection.is_autocommit()
                && let Err(error) = self.connection.execute_batch("ROLLBACK")
            {
                tracing::error!(%error, "a failed transaction could not be rolled back");
            }
        }
        outcome
    }

    /// As [`Self::attempt`], but may leave the transaction open when it fails.
    fn write(&mut self, group: &[Job], look: Look) -> Result<Vec<Verdict>, Failed> {
        execute(&self.connection, "BEGIN IMMEDIATE")?;
        let before = self.revision;
        let mut verdicts = Vec::with_capacity(group.len());
        for job in group {
            // Counted before it is known to be taken: too many rather than too few.
            self.pages += 1 + job.batch.len() + job.batch.bytes() / open::PAGE_BYTES;
            verdicts.push(self.apply(&job.batch, look)?);
        }
        if self.revision > before {
            self.connection
                .prepare_cached("UPDATE meta SET revision = ?1")?
                .execute([to_sql(self.revision)])?;
            self.pages += 1;
        }
        self.settled.change(|| match execute(&self.connection, "COMMIT") {
            Ok(()) => (self.revision, Ok(())),
            Err(error) => (before, Err(error)),
        })?;
        Ok(verdicts)
    }

    /// Does `batch` within the transaction, if what it expects is so after the batches before it.
    fn apply(&mut self, batch: &Batch, look: Look) -> Result<Verdict, Failed> {
        // Looking a key up and then putting it would find its place twice.
        let new: HashSet<&Key> = if look == Look::AsItGoes { created(batch) } else { HashSet::new() };
        for (key, expectation) in batch.expectations() {
            if new.contains(key) {
                continue;
            }
            let found = self.version(key)?;
            let holds = match expectation {
                Expect::Absent => found.is_none(),
                Expect::At(version) => found == Some(*version),
            };
            if !holds {
                return Ok(Err(CommitError::Conflict { key: key.clone() }));
            }
        }
        if batch.is_empty() {
            return Ok(Ok((self.revision, Vec::new())));
        }
        let revision = Revision(self.revision.0 + 1);
        let mut changes = Vec::with_capacity(batch.len());
        for operation in batch.operations() {
            let (key, value) = match operation {
                Operation::Put(key, value) => {
                    let sql = if new.contains(key) { INSERT } else { PUT };
                    let number = to_sql(revision);
                    let put = params![key.as_str(), number, &value[..], sum::of(key.as_str(), number, value)];
                    if self.connection.prepare_cached(sql)?.execute(put)? == 0 {
                        return Err(Failed::Spoilt);
                    }
                    (key, Some(value.clone()))
                }
                Operation::Delete(key) => {
                    let mut delete = self.connection.prepare_cached("DELETE FROM records WHERE key = ?1")?;
                    if delete.execute([key.as_str()])? == 0 {
                        continue;
                    }
                    (key, None)
                }
            };
            changes.push(Change { key: key.clone(), value, revision });
        }
        self.revision = revision;
        Ok(Ok((revision, changes)))
    }

    /// The version of `key` within the transaction.
    fn version(&self, key: &Key) -> rusqlite::Result<Option<Version>> {
        self.connection
            .prepare_cached("SELECT revision FROM records WHERE key = ?1")?
            .query_row([key.as_str()], |row| Ok(Version(from_sql(row.get(0)?))))
            .optional()
    }

    /// Lets the log be as it is, also when the connection is closed: copied to what is no database any more, it would
    /// make a file that looks like one, and be gone itself.
    fn leave_log(&self) {
        if let Err(error) = self.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true) {
            tracing::warn!(%error, "the store's log cannot be kept");
        }
    }

    /// Copies the log to the file. When that fails nothing is lost, the log only grows.
    fn checkpoint(&mut self, mode: &str) {
        self.pages = 0;
        let outcome = match self.copy_log(mode) {
            Ok((_, log_pages)) if log_pages > self.log_pages_max => self.begin_log_anew(log_pages),
            outcome => outcome.map(drop),
        };
        if let Err(error) = outcome {
            tracing::warn!(%error, "the store's log could not be copied to its file, and grows");
        }
    }

    /// Waits, but not for ever, until nobody reads from the log, which has `log_pages` pages.
    fn begin_log_anew(&mut self, log_pages: i64) -> rusqlite::Result<()> {
        self.connection.busy_timeout(READERS_WAITED_FOR)?;
        let outcome = self.copy_log("RESTART");
        self.connection.busy_timeout(open::BUSY)?;
        let (is_busy, _) = outcome?;
        self.log_pages_max = if is_busy { 2 * log_pages } else { LOG_PAGES_MAX };
        Ok(())
    }

    /// Whether somebody who reads stood against it, and how many pages the log has.
    fn copy_log(&self, mode: &str) -> rusqlite::Result<(bool, i64)> {
        let sql = format!("PRAGMA wal_checkpoint({mode})");
        self.connection.query_row(&sql, [], |row| Ok((row.get("busy")?, row.get("log")?)))
    }
}

/// The keys that `batch` expects to be absent and puts: whether they are absent shows as they are put.
fn created(batch: &Batch) -> HashSet<&Key> {
    let absent: HashSet<&Key> = batch
        .expectations()
        .iter()
        .filter_map(|(key, expectation)| (*expectation == Expect::Absent).then_some(key))
        .collect();
    let put = batch.operations().iter().filter_map(|operation| match operation {
        Operation::Put(key, _) => Some(key),
        Operation::Delete(_) => None,
    });
    put.filter(|key| absent.contains(key)).collect()
}

/// `first` and what else is queued, within bounds.
fn gather(first: Job, queue: &Receiver<Job>) -> Vec<Job> {
    let mut bytes = first.batch.bytes();
    let mut group = vec![first];
    while group.len() < GROUP_BATCHES_MAX
        && bytes < GROUP_BYTES_MAX
        && let Ok(job) = queue.try_recv()
    {
        bytes += job.batch.bytes();
        group.push(job);
    }
    group
}

fn execute(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute([]).map(drop)
}
