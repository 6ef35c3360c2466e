//! Sets of certificates, named by what is in them.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use base::{Span, Timestamp};
use store::{Batch, CommitError, Engine, Page, Table};

use crate::anchor::{self, Anchor};
use crate::record::{SetName, SetRecord};
use crate::report::hash;

/// How much of a set lies in one record, in bytes of PEM.
const PART_BYTES_MAX: usize = 256 << 10;
/// How much of all sets is held in memory, in bytes of PEM.
const HELD_BYTES_MAX: usize = 64 << 20;
/// How long a set that nobody names is left alone: whoever wrote it may be about to name it.
const UNNAMED_STAYS: Span = Span::seconds(3_600);

/// Certificates in order, none twice.
pub(crate) type Anchors = Arc<BTreeSet<Anchor>>;

/// The hash of a set (contract, section 4.5).
pub(crate) fn hash_of(set: &BTreeSet<Anchor>) -> String {
    hash(&set.iter().map(|anchor| anchor.pem().to_owned()).collect())
}

impl SetName {
    /// That of no certificates.
    pub(crate) fn none(now: Timestamp) -> Self {
        Self { hash: hash(&BTreeSet::new()), count: 0, revision: 0, at: now.as_unix() }
    }

    /// That of `set`, which takes the place of this one.
    pub(crate) fn followed_by(&self, set: &BTreeSet<Anchor>, now: Timestamp) -> Self {
        Self { hash: hash_of(set), count: set.len(), revision: self.revision + 1, at: now.as_unix() }
    }
}

/// All sets.
pub(crate) struct Sets {
    table: Table<SetRecord>,
    held: Mutex<Held>,
}

/// Sets in memory, so that they are not read and parsed again each time.
struct Held {
    /// Each with how long it is, and when it was put here.
    sets: HashMap<String, (Anchors, usize, u64)>,
    bytes: usize,
    bytes_max: usize,
    /// How many were ever put here.
    puts: u64,
}

impl Held {
    fn new(bytes_max: usize) -> Self {
        Self { sets: HashMap::new(), bytes: 0, bytes_max, puts: 0 }
    }

    /// Holds `set` as well, and lets go of those that have been here longest where there is no room for all.
    fn put(&mut self, hash: String, set: Anchors) {
        let bytes = set.iter().map(|anchor| anchor.pem().len()).sum();
        self.remove(&hash);
        if bytes > self.bytes_max {
            return;
        }
        while self.bytes.saturating_add(bytes) > self.bytes_max {
            let oldest = self.sets.iter().min_by_key(|(_, (_, _, put))| *put);
            let Some(oldest) = oldest.map(|(hash, _)| hash.clone()) else { return };
            self.remove(&oldest);
        }
        self.bytes += bytes;
        self.puts += 1;
        self.sets.insert(hash, (set, bytes, self.puts));
    }

    fn remove(&mut self, hash: &str) {
        if let Some((_, bytes, _)) = self.sets.remove(hash) {
            self.bytes -= bytes;
        }
    }
}

impl Sets {
    pub(crate) fn new(engine: &Arc<dyn Engine>) -> Result<Self, store::Error> {
        Ok(Self {
            table: Table::new(Arc::clone(engine), "/trust/set/")?,
            held: Mutex::new(Held::new(HELD_BYTES_MAX)),
        })
    }

    /// What is in the set `name`.
    ///
    /// # Errors
    /// [`store::Error::Record`] where not all of it is there; otherwise the store's.
    pub(crate) async fn load(&self, name: &SetName) -> Result<Anchors, store::Error> {
        if name.count == 0 {
            return Ok(Anchors::default());
        }
        if let Some((found, ..)) = self.lock().sets.get(&name.hash) {
            return Ok(Arc::clone(found));
        }
        let mut set = BTreeSet::new();
        let mut parts = 1;
        let mut part = 0;
        while part < parts {
            let id = id(&name.hash, part);
            let spoilt = |reason: &str| -> Result<store::Error, store::Error> {
                Ok(store::Error::Record { key: self.table.key(&id)?, reason: reason.to_owned() })
            };
            let Some(found) = self.table.get(&id).await? else {
                return Err(spoilt("a part of a set of certificates is not there")?);
            };
            parts = found.record.parts;
            for pem in found.record.certificates {
                let Ok(read) = anchor::read(pem.as_bytes()) else {
                    return Err(spoilt("what is in a set of certificates is none")?);
                };
                set.extend(read.into_values());
            }
            part += 1;
        }
        if hash_of(&set) != name.hash {
            let reason = "a set of certificates is not what its name says".to_owned();
            return Err(store::Error::Record { key: self.table.key(&name.hash)?, reason });
        }
        Ok(self.hold(name.hash.clone(), Arc::new(set)))
    }

    /// What is in the set that has this hash, where one is written down.
    ///
    /// # Errors
    /// As for [`Self::load`].
    pub(crate) async fn find(&self, hash: &str) -> Result<Option<Anchors>, store::Error> {
        if hash == hash_of(&BTreeSet::new()) {
            return Ok(Some(Anchors::default()));
        }
        if let Some((found, ..)) = self.lock().sets.get(hash) {
            return Ok(Some(Arc::clone(found)));
        }
        if self.table.get(&id(hash, 0)).await?.is_none() {
            return Ok(None);
        }
        // How many there are does not matter where there is any.
        self.load(&SetName { hash: hash.to_owned(), count: 1, revision: 0, at: 0 }).await.map(Some)
    }

    /// Writes `set` down, unless it is empty, so that a record may name it.
    ///
    /// # Errors
    /// The store's.
    pub(crate) async fn keep(&self, set: &BTreeSet<Anchor>, now: Timestamp) -> Result<(), CommitError> {
        if set.is_empty() {
            return Ok(());
        }
        let hash = hash_of(set);
        let parts = parts(set);
        for (number, part) in parts.iter().enumerate() {
            let certificates = part.iter().map(|anchor| anchor.pem().to_owned()).collect();
            let record = SetRecord { at: now.as_unix(), parts: parts.len(), certificates };
            let mut batch = Batch::new();
            self.table.put(&mut batch, &id(&hash, number), &record)?;
            // An answer that was lost leaves a set that nobody names; the caller begins again.
            self.table.engine().commit(batch).await?;
        }
        self.hold(hash, Arc::new(set.clone()));
        Ok(())
    }

    /// Removes the sets that are not among `named`.
    ///
    /// # Errors
    /// The store's.
    pub(crate) async fn forget_all_but(
        &self,
        named: &BTreeSet<String>,
        now: Timestamp,
    ) -> Result<(), CommitError> {
        let mut next = Some(Page::first(100));
        while let Some(page) = next {
            let found = self.table.list(page).await?;
            let mut batch = Batch::new();
            for (id, loaded) in &found.entries {
                let is_named = id.split_once('/').is_some_and(|(hash, _)| named.contains(hash));
                let written = Timestamp::from_unix(loaded.record.at);
                if !is_named && written + UNNAMED_STAYS < now {
                    // Whoever writes it anew meanwhile is not robbed of it.
                    self.table.remove(&mut batch, id, loaded.version)?;
                }
            }
            if !batch.is_empty() {
                match self.table.engine().commit(batch).await {
                    // The next time is soon enough.
                    Ok(_) | Err(CommitError::Conflict { .. } | CommitError::Unknown { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
            next = found.next;
        }
        let mut held = self.lock();
        let unnamed: Vec<String> = held.sets.keys().filter(|hash| !named.contains(*hash)).cloned().collect();
        unnamed.iter().for_each(|hash| held.remove(hash));
        Ok(())
    }

    fn hold(&self, hash: String, set: Anchors) -> Anchors {
        self.lock().put(hash, Arc::clone(&set));
        set
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn id(hash: &str, part: usize) -> String {
    format!("{hash}/{part:04}")
}

/// `set`, cut so that each part fits into a record.
fn parts(set: &BTreeSet<Anchor>) -> Vec<Vec<&Anchor>> {
    let mut parts: Vec<Vec<&Anchor>> = Vec::new();
    let mut bytes = usize::MAX;
    for anchor in set {
        bytes = bytes.saturating_add(anchor.pem().len());
        match parts.last_mut() {
            Some(part) if bytes <= PART_BYTES_MAX => part.push(anchor),
            _ => {
                bytes = anchor.pem().len();
                parts.push(vec![anchor]);
            }
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::anchor::tests::authority;

    #[test]
    fn the_oldest_make_room() {
        let set = |name: &str| -> Anchors { Arc::new([Anchor::from(&authority(name))].into()) };
        let (one, long) = (set("a"), set(&"long".repeat(10)));
        let bytes = |set: &Anchors| -> usize { set.iter().map(|anchor| anchor.pem().len()).sum() };
        let mut held = Held::new(3 * bytes(&one) + bytes(&one) / 2);
        for hash in ["1", "2", "3", "1", "4"] {
            held.put(hash.to_owned(), Arc::clone(&one));
        }
        let names = |held: &Held| held.sets.keys().cloned().collect::<BTreeSet<_>>();
        assert_eq!(names(&held), ["1", "3", "4"].map(String::from).into());
        held.put("5".to_owned(), Arc::clone(&long));
        assert!(names(&held).contains("5") && held.sets.len() < 4, "{:?}", names(&held));
        assert_eq!(held.bytes, held.sets.values().map(|(set, ..)| bytes(set)).sum::<usize>());
        let all: Vec<Anchor> =
            ["a", "b", "c", "d", "e"].iter().map(|name| Anchor::from(&authority(name))).collect();
        let before = names(&held);
        held.put("all".to_owned(), Arc::new(all.into_iter().collect()));
        assert_eq!(names(&held), before, "what does not fit at all pushes nobody out");
    }
}
