//! Putting a copy back, and looking at one.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use archive::age::{Header, HeaderError, MAGIC};
use archive::read::{Part, ReadError, Reader};
use archive::{END, record};
use base::{Clock, Entropy, Sha512, Sha512Hasher, Timestamp};
use bytes::Bytes;
use futures_util::future::try_join_all;
use serde_json::{Value, json};
use store::blobs::{self, Blobs, CHUNK_BYTES, Local};
use store::{Batch, CommitError, Engine, Expect, Key, Sqlite, private_file};
use tokio::runtime::Runtime;

use super::error::BackupError;
use super::format::{BEGIN, Begin, CLAIMS, End, FORMAT, FileCopy, NAMED_MAX, PART_BYTES_MAX, blob_of, count};
use super::keys::Opener;
use super::make::SETTINGS;
use super::progress::Progress;
use super::target::{Target, is_there};
use crate::settings::{Settings, StoreEngine};
use crate::{artifacts, etcd, relocate};

/// How many batches of records are on their way at once.
const BATCHES: usize = 32;

/// Half of what a batch may have: another record fits in.
const BATCH_BYTES: usize = store::BATCH_BYTES_MAX / 2;
/// How often a batch is offered whose answer was lost.
const ATTEMPTS_MAX: usize = 5;

/// The files that a copy may have.
const FILES: [&str; 8] = [
    "store.key",
    "server.key.pem",
    "cors.key",
    "admin.pem",
    "server-ca.pem",
    ::cli::CLIENT_FILE,
    artifacts::PLACE_FILE,
    SETTINGS,
];

/// What came of it.
pub struct Restored {
    begin: Begin,
    end: End,
    /// Where it is; nothing when nothing was made.
    data: Option<PathBuf>,
    /// What number no revocation list is below.
    crl_numbers: Option<u64>,
    /// Why it would not be restored there, when that was only looked at.
    pub refused: Option<BackupError>,
}

impl Restored {
    /// As JSON.
    pub fn json(&self) -> Value {
        json!({
            "is_whole": true,
            "copy": self.begin,
            "holds": self.end,
            "restored_to": self.data,
            "crl_numbers_from": self.crl_numbers,
            "would_be_refused": self.refused.as_ref().map(|error| base::report(error)),
        })
    }

    /// In lines.
    pub fn lines(&self, is_dry: bool) -> Vec<String> {
        let Begin { made_by, made_at, store, artifacts, .. } = &self.begin;
        let mut lines =
            vec![format!("made {made_at} by {made_by} (records: {store}, artifacts: {artifacts})")];
        lines.extend(self.end.summary());
        let names: Vec<&str> = self.begin.files.iter().map(|file| file.name.as_str()).collect();
        lines.push(format!("  files: {}", names.join(", ")));
        match (&self.data, self.crl_numbers) {
            (Some(data), Some(from)) if !is_dry => {
                lines.push(format!("it is whole, and restored to {}", data.display()));
                for file in self.begin.files.iter().filter(|file| file.is_elsewhere) {
                    let name = &file.name;
                    lines.push(format!("note: {name} was elsewhere: put it where the settings look for it"));
                }
                lines.push(format!("note: the numbers of the revocation lists go on from {from}"));
                lines.push(format!(
                    "note: what happened after {made_at} is unknown to it: certificates issued since are valid until they \
                     end, and revocations made since have to be made again"
                ));
                lines.push(
                    "note: if a CA certificate was made since, the house does not know it, and its key is lost unless that is \
                     in a token: whoever trusts it takes it out, and who has a certificate of it begins anew"
                        .to_owned(),
                );
                lines.push(format!("next: provost up --data {}", data.display()));
            }
            _ => {
                if let Some(refused) = &self.refused {
                    lines.push(format!("note: it would not be restored there: {}", base::report(refused)));
                }
                lines.push("it is whole".to_owned());
            }
        }
        lines
    }
}

/// Puts the copy in the file `from` back as `settings` say, or only looks at it.
pub fn restore(
    settings: &Settings,
    from: &Path,
    opener: &Opener,
    is_dry: bool,
) -> Result<Restored, BackupError> {
    if !is_dry {
        // Before anybody is asked for a passphrase.
        is_there(settings.data.as_deref().ok_or(BackupError::NoData)?)?;
    }
    let source = open(from, opener)?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(BackupError::Runtime)?;
    let mut reading = Reading {
        reader: Reader::new(source),
        from,
        progress: Progress::new(),
        found: End::default(),
        damaged: HashSet::new(),
    };
    let begin = reading.begin()?;
    if is_dry {
        let end = reading.rest(&begin, &mut Look)?;
        // Where there is nothing to look at, nothing would be refused.
        let refused = settings.data.as_deref().and_then(|data| is_there(data).err());
        return Ok(Restored { begin, end, data: None, crl_numbers: None, refused });
    }
    let data = settings.data.as_deref().ok_or(BackupError::NoData)?;
    let clock = Clock::system();
    let house = Building::begin(&runtime, settings, data, &clock)?;
    let (end, from) = reading.make_house(&begin, house, clock.now())?;
    Ok(Restored { begin, end, data: Some(data.to_owned()), crl_numbers: Some(from), refused: None })
}

/// What is in the file, opened if it is encrypted.
fn open(path: &Path, opener: &Opener) -> Result<Box<dyn Read>, BackupError> {
    let failed = |source| BackupError::File { path: path.to_owned(), doing: "read", source };
    let from: Box<dyn Read> = if path.as_os_str() == "-" {
        Box::new(io::stdin())
    } else {
        Box::new(File::open(path).map_err(failed)?)
    };
    let mut from = BufReader::with_capacity(1 << 17, from);
    let begin = from.fill_buf().map_err(failed)?;
    if !begin.starts_with(&MAGIC[..MAGIC.len().min(begin.len().max(1))]) {
        return Ok(Box::new(from));
    }
    let header = Header::read(&mut from).map_err(BackupError::Header)?;
    let key = opener.key(&header)?;
    match header.open(&key, from) {
        Ok(opened) => Ok(Box::new(opened)),
        Err(HeaderError::Io(source)) => Err(failed(source)),
        Err(error) => Err(BackupError::Header(error)),
    }
}

fn not_whole(what: impl Into<String>) -> BackupError {
    BackupError::NotWhole { what: what.into() }
}

/// What is done with what is read.
trait Hand {
    fn file(&mut self, file: &FileCopy, bytes: &[u8]) -> Result<(), BackupError>;
    /// An object begins.
    fn blob(&mut self) -> Result<(), BackupError>;
    fn bytes(&mut self, bytes: &[u8]) -> Result<(), BackupError>;
    /// It ends, and is the one of this name or damaged.
    fn blob_ends(&mut self, digest: Sha512, is_damaged: bool) -> Result<(), BackupError>;
    fn record(&mut self, key: Key, value: Bytes) -> Result<(), BackupError>;
}

/// Looks only.
struct Look;

impl Hand for Look {
    fn file(&mut self, _: &FileCopy, _: &[u8]) -> Result<(), BackupError> {
        Ok(())
    }

    fn blob(&mut self) -> Result<(), BackupError> {
        Ok(())
    }

    fn bytes(&mut self, _: &[u8]) -> Result<(), BackupError> {
        Ok(())
    }

    fn blob_ends(&mut self, _: Sha512, _: bool) -> Result<(), BackupError> {
        Ok(())
    }

    fn record(&mut self, _: Key, _: Bytes) -> Result<(), BackupError> {
        Ok(())
    }
}

/// What has to come next: never what is before that.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Section {
    Files,
    Blobs,
    Records,
}

/// A copy that is being read.
struct Reading<'p> {
    reader: Reader<Box<dyn Read>>,
    from: &'p Path,
    progress: Progress,
    /// What was seen so far.
    found: End,
    /// The objects that were damaged.
    damaged: HashSet<Sha512>,
}

impl Reading<'_> {
    /// The first part.
    fn begin(&mut self) -> Result<Begin, BackupError> {
        let foreign = || BackupError::Foreign { path: self.from.to_owned() };
        let part = match self.reader.next_part() {
            Ok(Some(part)) if part.name == BEGIN => part,
            // The encryption says what is wrong with itself.
            Err(ReadError::Io(source)) => return Err(BackupError::Read(ReadError::Io(source))),
            _ => return Err(foreign()),
        };
        let bytes = self.reader.all(&part, PART_BYTES_MAX).map_err(BackupError::Read)?;
        let value: Value = serde_json::from_slice(&bytes).map_err(|_| foreign())?;
        match value.get("format").and_then(Value::as_u64) {
            Some(FORMAT) => {}
            Some(format) if format > FORMAT => return Err(BackupError::Newer { format, known: FORMAT }),
            _ => return Err(foreign()),
        }
        let begin: Begin = serde_json::from_value(value).map_err(|error| not_whole(error.to_string()))?;
        let names: HashSet<&str> = begin.files.iter().map(|file| file.name.as_str()).collect();
        if names.len() != begin.files.len() || names.iter().any(|name| !FILES.contains(name)) {
            return Err(not_whole("it names files that do not belong to a house"));
        }
        if !names.contains("store.key") {
            return Err(not_whole("the key that its secrets are sealed with is not in it"));
        }
        Ok(begin)
    }

    /// All other parts become `house`. Gives what they are, and the number that no revocation list is below.
    fn make_house(
        &mut self,
        begin: &Begin,
        mut house: Building<'_>,
        now: Timestamp,
    ) -> Result<(End, u64), BackupError> {
        let end = match self.rest(begin, &mut house) {
            Ok(end) => end,
            Err(error) => {
                house.give_up();
                return Err(error);
            }
        };
        let made_at = Timestamp::from_rfc3339(&begin.made_at).ok_or_else(|| not_whole("its date is none"))?;
        Ok((end, house.finish(made_at, now)?))
    }

    /// All other parts, in their order, each given to `hand` as it is checked.
    fn rest(&mut self, begin: &Begin, hand: &mut dyn Hand) -> Result<End, BackupError> {
        let mut section = Section::Files;
        let mut files = begin.files.iter();
        let mut last_part = 0;
        let mut last_key: Option<String> = None;
        loop {
            let part = self.reader.next_part().map_err(BackupError::Read)?;
            let part = part.ok_or_else(|| not_whole("it has no end"))?;
            let strange = || not_whole(format!("`{}` is not what has to come there", part.name));
            let advance = |section: &mut Section, to| {
                let goes_on = *section <= to;
                *section = to;
                if goes_on { Ok(()) } else { Err(strange()) }
            };
            if let Some(before) = part.before {
                if files.next().is_some() {
                    return Err(strange());
                }
                return self.end(&part, before);
            } else if let Some(name) = part.name.strip_prefix("files/") {
                advance(&mut section, Section::Files)?;
                let file = files.next().filter(|file| file.name == name).ok_or_else(strange)?;
                let bytes = self.reader.all(&part, PART_BYTES_MAX).map_err(BackupError::Read)?;
                if bytes.len() as u64 != file.bytes || Sha512::of(&bytes).to_string() != file.sha512 {
                    return Err(not_whole(format!("`{}` has other bytes than it had", part.name)));
                }
                hand.file(file, &bytes)?;
            } else if let Some(digest) = blob_of(&part.name) {
                advance(&mut section, Section::Blobs)?;
                self.blob(&part, digest, hand)?;
            } else if let Some(number) = number_of(&part.name) {
                advance(&mut section, Section::Records)?;
                last_part += 1;
                if number != last_part {
                    return Err(strange());
                }
                self.records(&part, &mut last_key, hand)?;
            } else {
                return Err(strange());
            }
        }
    }

    fn blob(&mut self, part: &Part, digest: Sha512, hand: &mut dyn Hand) -> Result<(), BackupError> {
        hand.blob()?;
        let mut hash = Sha512Hasher::new();
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            let count = self.reader.read(&mut chunk).map_err(BackupError::Read)?;
            if count == 0 {
                break;
            }
            hash.update(&chunk[..count]);
            hand.bytes(&chunk[..count])?;
        }
        let is_damaged = hash.finish() != digest;
        if is_damaged {
            self.found.damaged += 1;
            self.damaged.insert(digest);
        }
        hand.blob_ends(digest, is_damaged)?;
        self.found.blobs += 1;
        self.found.blob_bytes = self.found.blob_bytes.saturating_add(part.size);
        let (found, at) = (&self.found, self.reader.at());
        self.progress.tell(|| format!("{at} bytes, {} artifacts", found.blobs));
        Ok(())
    }

    fn records(
        &mut self,
        part: &Part,
        last: &mut Option<String>,
        hand: &mut dyn Hand,
    ) -> Result<(), BackupError> {
        let lines = self.reader.all(part, PART_BYTES_MAX).map_err(BackupError::Read)?;
        for (number, found) in record::read(&lines).enumerate() {
            let strange = |what: &str| not_whole(format!("line {} of `{}` {what}", number + 1, part.name));
            let (key, value) = found.map_err(|_| strange("is no record"))?;
            if last.as_ref().is_some_and(|last| *last >= key) {
                return Err(strange("is not in its order"));
            }
            if key.starts_with(CLAIMS) || value.len() > store::VALUE_BYTES_MAX {
                return Err(strange("is no record of a house"));
            }
            *last = Some(key.clone());
            self.found.records += 1;
            count(&mut self.found.records_of, &key);
            let key = Key::new(key).map_err(|_| strange("has no key"))?;
            hand.record(key, value.into())?;
        }
        let (found, at) = (&self.found, self.reader.at());
        self.progress.tell(|| format!("{at} bytes, {} records", found.records));
        Ok(())
    }

    /// The last part: whether it says what was found.
    fn end(&mut self, part: &Part, before: Sha512) -> Result<End, BackupError> {
        let bytes = self.reader.all(part, PART_BYTES_MAX).map_err(BackupError::Read)?;
        let end: End = serde_json::from_slice(&bytes).map_err(|error| not_whole(error.to_string()))?;
        if self.reader.next_part().map_err(BackupError::Read)?.is_some() {
            return Err(not_whole("there is something behind its end"));
        }
        if end.sha512 != before.to_string() {
            return Err(not_whole("its bytes are not those that were written"));
        }
        let found = &self.found;
        let counts = |end: &End| (end.records, end.blobs, end.blob_bytes, end.damaged);
        if counts(&end) != counts(found) || end.records_of != found.records_of {
            return Err(not_whole("it does not hold what it says at its end"));
        }
        let is_known = |digest: &Sha512| end.damaged_first.contains(&digest.to_string());
        if end.damaged <= NAMED_MAX as u64 && !self.damaged.iter().all(is_known) {
            return Err(not_whole("other artifacts are damaged than it says at its end"));
        }
        Ok(end)
    }
}

/// The number of a part with records.
fn number_of(name: &str) -> Option<u64> {
    let number: u64 = name.strip_prefix("records/")?.strip_suffix(".jsonl")?.parse().ok()?;
    (super::format::records_part(number) == name && name != END).then_some(number)
}

/// A house that is being made.
struct Building<'r> {
    runtime: &'r Runtime,
    target: Target,
    engine: Arc<dyn Engine>,
    is_etcd: bool,
    /// Where artifacts go, once there are some.
    blobs: Option<Local>,
    clock: Clock,
    staged: Option<Box<dyn blobs::Staged>>,
    /// Records on their way.
    waiting: Vec<Waiting>,
}

impl<'r> Building<'r> {
    fn begin(
        runtime: &'r Runtime,
        settings: &Settings,
        data: &Path,
        clock: &Clock,
    ) -> Result<Self, BackupError> {
        let is_etcd = settings.store.engine == StoreEngine::Etcd;
        let target = Target::begin(data)?;
        let engine: Arc<dyn Engine> = if is_etcd {
            runtime.block_on(etcd::connect(&settings.store.etcd, clock, &Entropy::system()))?
        } else {
            Arc::new(Sqlite::open(&target.at("provost.db"))?)
        };
        Self::on(runtime, target, engine, is_etcd, clock)
    }

    /// Begins it in `engine`: one that others could use, or one that is in `target`.
    fn on(
        runtime: &'r Runtime,
        target: Target,
        engine: Arc<dyn Engine>,
        is_etcd: bool,
        clock: &Clock,
    ) -> Result<Self, BackupError> {
        if is_etcd && !runtime.block_on(relocate::begin_restoring(&engine)).map_err(BackupError::Commit)? {
            return Err(BackupError::EtcdInUse);
        }
        Ok(Self {
            runtime,
            target,
            engine,
            is_etcd,
            blobs: None,
            clock: clock.clone(),
            staged: None,
            waiting: vec![Waiting::default()],
        })
    }

    /// Lets go of the files, before they are removed.
    fn give_up(self) {
        let _ = self.runtime.block_on(self.engine.close());
        if let Some(blobs) = &self.blobs {
            let _ = self.runtime.block_on(blobs.close());
        }
    }

    fn finish(mut self, made_at: Timestamp, now: Timestamp) -> Result<u64, BackupError> {
        self.put()?;
        let Self { runtime, target, engine, is_etcd, blobs, .. } = self;
        let entropy = Entropy::system();
        let jumping = ca::jump_crl_numbers(&engine, made_at, now, &entropy);
        let from = runtime.block_on(jumping).map_err(BackupError::Commit)?;
        if let Some(blobs) = blobs {
            runtime.block_on(blobs.close()).map_err(BackupError::WriteBlobs)?;
        }
        // Whoever has the files has everything, also when the engine is another one.
        if !is_etcd {
            runtime.block_on(engine.close()).map_err(BackupError::Store)?;
        }
        target.finish()?;
        if is_etcd {
            runtime.block_on(relocate::end_restoring(&engine)).map_err(BackupError::Commit)?;
            runtime.block_on(engine.close()).map_err(BackupError::Store)?;
        }
        Ok(from)
    }

    /// Puts the records that wait.
    fn put(&mut self) -> Result<(), BackupError> {
        let waiting = std::mem::replace(&mut self.waiting, vec![Waiting::default()]);
        let all = try_join_all(waiting.into_iter().map(|waiting| waiting.put(&self.engine)));
        self.runtime.block_on(all).map_err(BackupError::Commit).map(drop)
    }
}

impl Hand for Building<'_> {
    fn file(&mut self, file: &FileCopy, bytes: &[u8]) -> Result<(), BackupError> {
        let path = self.target.at(&file.name);
        private_file::replace(&path, bytes).map_err(|source| BackupError::File {
            path,
            doing: "write",
            source,
        })
    }

    fn blob(&mut self) -> Result<(), BackupError> {
        let blobs = match &self.blobs {
            Some(blobs) => blobs,
            None => {
                let blobs = Local::open(&self.target.at("artifacts"), self.clock.clone())?;
                self.blobs.insert(blobs)
            }
        };
        self.staged = Some(self.runtime.block_on(blobs.stage()).map_err(BackupError::WriteBlobs)?);
        Ok(())
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<(), BackupError> {
        let Some(staged) = &mut self.staged else { return Ok(()) };
        let bytes = Bytes::copy_from_slice(bytes);
        self.runtime.block_on(staged.write(bytes)).map_err(BackupError::WriteBlobs)
    }

    fn blob_ends(&mut self, digest: Sha512, is_damaged: bool) -> Result<(), BackupError> {
        let Some(staged) = self.staged.take().filter(|_| !is_damaged) else { return Ok(()) };
        let kept = self.runtime.block_on(staged.keep(Some(digest))).map_err(BackupError::WriteBlobs)?;
        if kept.was_there { Err(not_whole(format!("the artifact {digest} is in it twice"))) } else { Ok(()) }
    }

    fn record(&mut self, key: Key, value: Bytes) -> Result<(), BackupError> {
        let last = self.waiting.last_mut().expect("there is always one that is filled");
        last.add(key, value);
        if last.is_full() {
            if self.waiting.len() == BATCHES {
                return self.put();
            }
            self.waiting.push(Waiting::default());
        }
        Ok(())
    }
}

/// Records on their way, of which none is there yet.
#[derive(Default)]
struct Waiting {
    batch: Batch,
    records: Vec<(Key, Bytes)>,
}

impl Waiting {
    fn add(&mut self, key: Key, value: Bytes) {
        self.batch.expect(key.clone(), Expect::Absent).put(key.clone(), value.clone());
        self.records.push((key, value));
    }

    fn is_full(&self) -> bool {
        self.batch.len() == store::BATCH_OPERATIONS_MAX || self.batch.bytes() > BATCH_BYTES
    }

    /// Puts them; when an answer is lost, looks whether it was done.
    async fn put(self, engine: &Arc<dyn Engine>) -> Result<(), CommitError> {
        let mut attempts = 1;
        loop {
            match engine.commit(self.batch.clone()).await {
                Ok(_) => return Ok(()),
                Err(CommitError::Unknown { .. } | CommitError::Conflict { .. })
                    if attempts > 1 && self.are_there(engine).await? =>
                {
                    return Ok(());
                }
                Err(CommitError::Unknown { .. }) if attempts < ATTEMPTS_MAX => attempts += 1,
                Err(error) => return Err(error),
            }
        }
    }

    async fn are_there(&self, engine: &Arc<dyn Engine>) -> Result<bool, store::Error> {
        for (key, value) in &self.records {
            if engine.get(key).await?.is_none_or(|there| there.value != *value) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use futures_executor::block_on;
    use store::{Memory, Page, Prefix};

    use super::super::make;
    use super::*;

    /// More than one batch of them.
    const CERTIFICATES: usize = 5 * store::BATCH_OPERATIONS_MAX / 2;

    /// What was copied: the numbers of the revocation lists count on in what comes of it.
    fn original() -> Arc<dyn Engine> {
        let engine: Arc<dyn Engine> = Arc::new(Memory::new());
        let put = |key: String, value: &str| {
            let mut batch = Batch::new();
            batch.put(Key::new(key).unwrap(), value.to_owned());
            block_on(engine.commit(batch)).unwrap();
        };
        put("/ca/services/crl".to_owned(), r#"{"v":1,"is":{"number":7,"this_update":9}}"#);
        put("/house/seal".to_owned(), "as it was");
        for number in 0..CERTIFICATES {
            put(format!("/ca/services/certificate/{number:04}"), "one");
        }
        engine
    }

    fn records(engine: &Arc<dyn Engine>) -> Vec<(String, Bytes)> {
        let (mut records, mut next) = (Vec::new(), Some(Page::full()));
        while let Some(page) = next {
            let listing = block_on(engine.list(&Prefix::default(), page)).unwrap();
            records.extend(listing.entries.into_iter().map(|(key, held)| (key.to_string(), held.value)));
            next = listing.next;
        }
        records
    }

    /// Puts `copy` back into `engine`, beside files that are to be at `data`.
    fn restored(
        copy: &[u8],
        engine: &Arc<dyn Engine>,
        data: &Path,
        is_etcd: bool,
    ) -> Result<(End, u64), BackupError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let source: Box<dyn Read> = Box::new(io::Cursor::new(copy.to_vec()));
        let mut reading = Reading {
            reader: Reader::new(source),
            from: Path::new("a copy"),
            progress: Progress::new(),
            found: End::default(),
            damaged: HashSet::new(),
        };
        let begin = reading.begin()?;
        let clock = Clock::system();
        let house = Building::on(&runtime, Target::begin(data)?, engine.clone(), is_etcd, &clock)?;
        reading.make_house(&begin, house, clock.now())
    }

    /// Killed at any of its commits it leaves files that nobody takes for a house; and in an etcd, which has no other name
    /// that it could be filled under, what nobody starts on and nobody mixes anything with.
    #[test]
    fn whoever_dies_at_any_commit_leaves_nothing_that_passes_for_a_house() {
        let original = original();
        let copy = make::tests::copy_of(&original);
        let before = records(&original);
        for is_etcd in [false, true] {
            let mut died = 0;
            loop {
                let directory = tempfile::tempdir().unwrap();
                let data = directory.path().join("data");
                let store = Arc::new(if is_etcd { Memory::shared() } else { Memory::new() });
                for _ in 0..died {
                    store.before_next_commit(async {});
                }
                let dying = store.clone();
                store.before_next_commit(async move {
                    dying.fail_next_commits(usize::MAX, store::Error::Closed);
                });
                let done = restored(&copy, &(store.clone() as Arc<dyn Engine>), &data, is_etcd);
                let left: Arc<dyn Engine> = store.reopen();
                if let Ok((end, from)) = done {
                    assert!(died >= 4 + 2 * usize::from(is_etcd), "records, numbers, marks: {died}");
                    assert_eq!(end.records as usize, before.len());
                    assert_eq!(std::fs::read(data.join("store.key")).unwrap(), make::tests::STORE_KEY);
                    assert!(!block_on(relocate::is_unfinished(&left)).unwrap());
                    let mut after = records(&left);
                    after.retain(|(key, _)| !key.starts_with("/history/"));
                    let (number, crl) = (from.to_string(), "/ca/services/crl");
                    for ((key, value), (key_after, value_after)) in before.iter().zip(&after) {
                        assert_eq!(key, key_after);
                        let counts_on = String::from_utf8_lossy(value_after).contains(&number);
                        assert!(if key == crl { counts_on } else { value == value_after }, "{key}");
                    }
                    assert_eq!(before.len(), after.len());
                    break;
                }
                // The files come to their place before the last mark goes: nobody starts on either.
                let is_marked = block_on(relocate::is_unfinished(&left)).unwrap();
                if is_etcd {
                    assert_eq!(is_marked, died > 0, "after {died} commits");
                    let again = restored(&copy, &left, &directory.path().join("again"), true);
                    let is_refused = matches!(again, Err(BackupError::EtcdInUse));
                    assert!(if is_marked { is_refused } else { again.is_ok() }, "{:?}", again.err());
                } else {
                    assert!(!data.exists(), "after {died} commits");
                    restored(&copy, &(Arc::new(Memory::new()) as Arc<dyn Engine>), &data, false).unwrap();
                }
                died += 1;
            }
        }
    }
}
