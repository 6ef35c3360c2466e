//! The cache at work: load, decide, commit.

use std::collections::HashSet;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, PoisonError};

use async_lock::{Mutex, MutexGuard};
use base::{Clock, Entropy, Sha512};
use entry::Trust;
use identity::{Action, Principal, Role};
use store::blobs::Blobs;
use store::{CommitError, Engine, History, Table};

use crate::fetched::Fetched;
use crate::record::{
    ArtifactRecord, EntryRecord, KeyRecord, MarkRecord, NamedRecord, PinRecord, RulesRecord, SameRecord,
    ScrubRecord, UsedRecord, WriterRecord,
};
use crate::refused::Refused;
use crate::resumable::OpenUploads;
use crate::room::Spare;
use crate::small::SmallOnes;
use crate::under_way::UnderWay;
use crate::used::Uses;
use crate::withdrawn::Remembered;

/// Reading artifacts, and what is said of them.
pub enum ReadArtifacts {}

impl Action for ReadArtifacts {
    const NAME: &'static str = "read from the cache";
    const ROLE: Role = Role::Reader;
}

/// Putting an artifact into the cache.
pub enum PutArtifact {}

impl Action for PutArtifact {
    const NAME: &'static str = "put an artifact into the cache";
    const ROLE: Role = Role::Publisher;
}

/// Adding an entry to a key.
pub enum PutEntry {}

impl Action for PutEntry {
    const NAME: &'static str = "add an entry to the cache";
    const ROLE: Role = Role::Publisher;
}

/// Listing what is in the cache, and looking for something.
pub enum ReadCatalog {}

impl Action for ReadCatalog {
    const NAME: &'static str = "list the cache";
    const ROLE: Role = Role::Reader;
}

/// Saying that something stays, and that it need not.
pub enum Pin {}

impl Action for Pin {
    const NAME: &'static str = "pin in the cache";
    const ROLE: Role = Role::Operator;
}

/// Removing what need not be kept, and looking whether what is kept is still whole.
pub enum Maintain {}

impl Action for Maintain {
    const NAME: &'static str = "maintain the cache";
    const ROLE: Role = Role::Operator;
}

/// How often a commit is tried again when others were faster, or when the store did not say whether it was done.
pub(crate) const ATTEMPTS_MAX: usize = 32;

/// How many of those who change something about one key or for one writer wait for each other, at least: two keys may
/// have the same place.
const TURNS: usize = 64;

/// How many damaged blobs are remembered to have been told.
const DAMAGED_MAX: usize = 4096;

/// What a cache stands on.
#[derive(Clone)]
pub struct Ground {
    /// Where records are kept.
    pub engine: Arc<dyn Engine>,
    /// Where bytes are kept.
    pub blobs: Arc<dyn Blobs>,
    /// What time it is.
    pub clock: Clock,
    /// Where the numbers of events come from.
    pub entropy: Entropy,
}

/// How much is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How large an artifact may be, in bytes.
    pub artifact_bytes_max: u64,
    /// How many bytes one writer may keep here, artifacts and entries together; as many as there is room for, where
    /// nothing is said.
    pub writer_bytes_max: Option<u64>,
    /// How many entries a key may have.
    pub key_entries_max: u64,
    /// How many bytes may be kept of what the house fetched for others; half of the room that there is, where nothing is
    /// said and that is known.
    pub fetched_bytes_max: Option<u64>,
    /// How many bytes are kept free where blobs are, for records and whatever else is there.
    pub reserve_bytes: u64,
}

impl Default for Limits {
    /// 64 GiB an artifact, no quotas, half of the room for what is fetched, 256 MiB kept free, and as many entries a key as a client reads of one list.
    fn default() -> Self {
        Self {
            artifact_bytes_max: 1 << 36,
            writer_bytes_max: None,
            fetched_bytes_max: None,
            key_entries_max: entry::LIST_ENTRIES_MAX as u64,
            reserve_bytes: 256 << 20,
        }
    }
}

/// The record of how far the blobs were looked through.
const ROUND: &str = "round";

/// What the keys of artifacts begin with.
pub(crate) const ARTIFACTS: &str = "/cache/artifact/";
/// What the keys begin with of what says how many entries a key has.
pub(crate) const KEYS: &str = "/cache/key/";
/// What the keys of entries begin with.
pub(crate) const ENTRIES: &str = "/cache/entry/";
/// What the keys begin with of what says which entries name an artifact.
pub(crate) const NAMED: &str = "/cache/named/";
/// What the keys begin with of what says that entries lie in blobs.
pub(crate) const LONG: &str = "/cache/long/";
/// What the keys begin with of what says that a key has an entry.
pub(crate) const SAME: &str = "/cache/same/";
/// What those of events begin with. The cache has a history of its own: whoever puts a million artifacts there does not
/// push out which certificates were issued.
const HISTORY: &str = "/cache/history/";

/// The cache's tables.
pub(crate) struct Tables {
    pub(crate) artifact: Table<ArtifactRecord>,
    pub(crate) key: Table<KeyRecord>,
    pub(crate) entry: Table<EntryRecord>,
    pub(crate) same: Table<SameRecord>,
    pub(crate) named: Table<NamedRecord>,
    pub(crate) long: Table<MarkRecord>,
    pub(crate) used: Table<UsedRecord>,
    pub(crate) pin: Table<PinRecord>,
    pub(crate) scrub: Table<ScrubRecord>,
    pub(crate) rules: Table<RulesRecord>,
    pub(crate) writer: Table<WriterRecord>,
}

impl Tables {
    fn new(engine: &Arc<dyn Engine>) -> Result<Self, store::Error> {
        Ok(Self {
            artifact: Table::new(Arc::clone(engine), ARTIFACTS)?,
            key: Table::new(Arc::clone(engine), KEYS)?,
            entry: Table::new(Arc::clone(engine), ENTRIES)?,
            same: Table::new(Arc::clone(engine), SAME)?,
            named: Table::new(Arc::clone(engine), NAMED)?,
            long: Table::new(Arc::clone(engine), LONG)?,
            used: Table::new(Arc::clone(engine), "/cache/used/")?,
            pin: Table::new(Arc::clone(engine), "/cache/pin/")?,
            scrub: Table::new(Arc::clone(engine), "/cache/scrub/")?,
            rules: Table::new(Arc::clone(engine), "/cache/rules/")?,
            writer: Table::new(Arc::clone(engine), "/cache/writer/")?,
        })
    }
}

/// All artifacts, and what is said of them.
pub struct Cache {
    pub(crate) ground: Ground,
    pub(crate) limits: Limits,
    /// Whose keys are whose, where what they withdraw is hidden.
    pub(crate) signers: Option<Trust>,
    /// What those withdrew, as far as it was looked for.
    pub(crate) withdrawn: Remembered,
    /// Under what name it is remembered how far the blobs were looked through: one place for blobs has one.
    pub(crate) round: String,
    pub(crate) tables: Tables,
    pub(crate) history: History,
    /// Which artifacts were read, and not yet written down.
    pub(crate) uses: Uses,
    /// The small artifacts that were read of late.
    pub(crate) small: SmallOnes,
    pub(crate) under_way: UnderWay,
    /// What came, and is coming, from the cache behind this one.
    pub(crate) fetched: Fetched,
    /// What goes first where room is short.
    pub(crate) spare: Spare,
    /// Who makes room for what is fetched, one at a time.
    pub(crate) trimming: Mutex<()>,
    /// The blobs that were kept for nothing.
    pub(crate) refused: Refused,
    /// What comes in several pieces.
    pub(crate) open: OpenUploads,
    /// Whether somebody asked for everything to be read again, as far as is known here.
    pub(crate) scrub_asked_for: AtomicBool,
    /// The blobs that were told to be damaged.
    damaged: std::sync::Mutex<HashSet<Sha512>>,
    /// Who changes something about the same key waits here for the others of this process, so that they do not
    /// overtake each other without end.
    turns: Vec<Mutex<()>>,
    /// The same for what counts for one writer.
    writers: Vec<Mutex<()>>,
}

impl Cache {
    /// The cache on `ground`.
    ///
    /// # Errors
    /// None in practice: the prefixes of its keys are fair ones.
    pub fn new(ground: Ground, limits: Limits) -> Result<Self, store::Error> {
        let tables = Tables::new(&ground.engine)?;
        let history = Self::history(&ground.engine)?;
        Ok(Self {
            ground,
            limits,
            signers: None,
            withdrawn: Remembered::default(),
            round: ROUND.to_owned(),
            tables,
            history,
            uses: Uses::default(),
            small: SmallOnes::default(),
            under_way: UnderWay::default(),
            fetched: Fetched::default(),
            spare: Spare::default(),
            trimming: Mutex::default(),
            refused: Refused::default(),
            open: OpenUploads::default(),
            scrub_asked_for: AtomicBool::new(false),
            damaged: std::sync::Mutex::default(),
            turns: turns(),
            writers: turns(),
        })
    }

    /// The same, which hides what these signers withdrew.
    #[must_use]
    pub fn hiding(self, signers: Option<Trust>) -> Self {
        Self { signers, ..self }
    }

    /// The same, whose blobs are those of one process among several: they are looked through under a name of their own.
    #[must_use]
    pub fn with_blobs_of(self, place: Option<&str>) -> Self {
        let round = place.map_or_else(|| ROUND.to_owned(), |place| format!("{ROUND}-{place}"));
        Self { round, ..self }
    }

    /// What happened to the cache on `engine`.
    ///
    /// # Errors
    /// None in practice: the prefix of its keys is a fair one.
    pub fn history(engine: &Arc<dyn Engine>) -> Result<History, store::Error> {
        History::under(Arc::clone(engine), HISTORY)
    }

    /// Whether the commit is to be tried again, as others were faster or it is not known whether it was done: what is
    /// there says what is left to do.
    ///
    /// At once: in this process each waits for their turn, and between several each attempt waits for the store.
    pub(crate) fn again(error: CommitError, attempts: &mut usize) -> Result<(), CommitError> {
        *attempts += 1;
        match error {
            CommitError::Conflict { .. } | CommitError::Unknown { .. } if *attempts < ATTEMPTS_MAX => Ok(()),
            error => Err(error),
        }
    }

    /// Whether nobody was told yet that this blob is damaged.
    pub(crate) fn is_new_damage(&self, digest: Sha512) -> bool {
        let mut told = self.damaged.lock().unwrap_or_else(PoisonError::into_inner);
        // When there are very many, some are told again.
        if told.len() >= DAMAGED_MAX {
            told.clear();
        }
        told.insert(digest)
    }

    /// The turn of whoever changes something about the key `key`.
    pub(crate) async fn turn(&self, key: &str) -> MutexGuard<'_, ()> {
        self.turns[place(key)].lock().await
    }

    /// The turn of whoever changes how much `who` keeps here, where that is counted.
    pub(crate) async fn writers_turn(&self, who: &Principal) -> Option<MutexGuard<'_, ()>> {
        match self.quota_of(who) {
            Some(_) => Some(self.writers[place(who.account())].lock().await),
            None => None,
        }
    }
}

/// Where some wait for each other.
pub(crate) fn turns() -> Vec<Mutex<()>> {
    std::iter::repeat_with(Mutex::default).take(TURNS).collect()
}

/// Which of the turns is that of `name`.
pub(crate) fn place(name: &str) -> usize {
    name.bytes().fold(0_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into())) % TURNS
}
