//! Entries that whoever signed them took back.
//!
//! Readers of ours see withdrawals and heed them. Old readers do not know them, so that hiding what was withdrawn is all that
//! protects those. Whether a withdrawal is its signer's own cannot be seen from the entries: they name the signer's key and do
//! not contain it. So nothing is hidden unless the operator says whose keys are whose, in the form in which readers say whom
//! they believe (`entry::policy_file`); and then exactly what those readers would find withdrawn (`entry::verdict`).
//!
//! Anybody who may write can say of anything that it is withdrawn, as often as they like. So signatures come first, one at a
//! time, and only what somebody who is known signed is kept; and what was found is remembered as long as its key has the
//! same entries.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex as StdMutex, PoisonError};

use async_lock::{Mutex, MutexGuard};
use base::{Sha512, Timestamp};
use entry::{Attestation, Circumstances, Entry, Reason, SignerId, Strength, Trust, judge};
use store::Version;

use crate::error::ReadError;
use crate::key::EntryKey;
use crate::list::EntryList;
use crate::service::{Cache, place, turns};

/// What stands in each withdrawal, and in few other entries.
const REVOKES: &str = "\"revokes\"";
/// How much is remembered: keys, and entries that were withdrawn, some hundred bytes each.
const REMEMBERED_MAX: usize = 65_536;

/// What was withdrawn under a key.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Withdrawn {
    /// The SHA-512 of the texts of entries, and that of the text of the withdrawal.
    pub(crate) by: HashMap<Sha512, Sha512>,
    /// Those among them that are shown all the same: nothing else shows how far their signer is, and readers who are shown
    /// less than they saw before believe nothing of that signer.
    shown: HashSet<Sha512>,
}

impl Withdrawn {
    /// Whether the entry of this text is not shown.
    pub(crate) fn hides(&self, text: &Sha512) -> bool {
        self.by.contains_key(text) && !self.shown.contains(text)
    }
}

/// What was found to be withdrawn, each with the version of its key's record.
pub(crate) struct Remembered {
    found: StdMutex<HashMap<String, (Version, Arc<Withdrawn>)>>,
    /// Who looks through a key waits here for others who do, and then mostly finds what they found.
    turns: Vec<Mutex<()>>,
}

impl Default for Remembered {
    fn default() -> Self {
        Self { found: StdMutex::default(), turns: turns() }
    }
}

impl Remembered {
    async fn turn(&self, key: &EntryKey) -> MutexGuard<'_, ()> {
        self.turns[place(key.as_str())].lock().await
    }

    fn get(&self, key: &EntryKey, version: Version) -> Option<Arc<Withdrawn>> {
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        found.get(key.as_str()).filter(|(of, _)| *of == version).map(|(_, withdrawn)| Arc::clone(withdrawn))
    }

    fn keep(&self, key: &EntryKey, version: Version, withdrawn: &Arc<Withdrawn>) {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        found.remove(key.as_str());
        let held: usize = found.values().map(|(_, withdrawn)| 1 + withdrawn.by.len()).sum();
        // When it is very much, it is looked for again.
        if held + 1 + withdrawn.by.len() > REMEMBERED_MAX {
            found.clear();
        }
        found.insert(key.as_str().to_owned(), (version, Arc::clone(withdrawn)));
    }
}

/// How a root of trust knows who signed something: which of its signers, and how.
type Known = Option<(usize, Strength)>;

/// The withdrawals of a key that somebody signed who is known.
struct Withdrawals<'a> {
    trust: &'a Trust,
    key: &'a EntryKey,
    now: Timestamp,
    entries: Vec<Entry>,
    /// Which of them name an entry, by the SHA-512 of its text, and whose they are: the same word counts once, however
    /// often and in whatever spelling it is sent.
    names: HashMap<Sha512, Vec<(usize, Vec<Known>)>>,
    /// The highest sequence of those.
    sequences: HashMap<SignerId, u64>,
}

impl<'a> Withdrawals<'a> {
    fn new(trust: &'a Trust, key: &'a EntryKey, now: Timestamp) -> Self {
        let (names, sequences) = (HashMap::new(), HashMap::new());
        Self { trust, key, now, entries: Vec::new(), names, sequences }
    }

    /// Who signed `entry`, to each root that speaks for the key.
    fn known(&self, entry: &Entry, attestation: Option<&Attestation>) -> Vec<Known> {
        let policies = self.trust.policies.iter().filter(|policy| policy.speaks_for(self.key.as_str()));
        let known = policies.map(|policy| {
            let attester = attestation.and_then(|found| {
                let keys = policy.signers.iter().map(|signer| signer.key(found.signer));
                keys.enumerate().find_map(|(at, key)| Some((at, key?, found)))
            });
            match attester {
                Some((at, key, found)) => {
                    found.verify(entry.statement(), key).ok().map(|()| (at, Strength::Attested))
                }
                None => {
                    let is_by = |signer: &entry::Signer| signer.certificates().verified_by(entry).is_some();
                    policy.signers.iter().position(is_by).map(|at| (at, Strength::Weak))
                }
            }
        });
        known.collect()
    }

    /// Keeps a withdrawal, if it says anything that was not said yet.
    fn take(&mut self, entry: Entry) {
        let Ok(Some(found)) = Attestation::read(entry.statement()) else { return };
        if !found.is_withdrawal() || found.claims.key != self.key.as_str() {
            return;
        }
        let known = self.known(&entry, Some(&found));
        if known.iter().all(Option::is_none) {
            return;
        }
        if is_attested(&known) {
            let highest = self.sequences.entry(found.signer).or_default();
            *highest = found.claims.sequence.max(*highest);
        }
        let (at, mut is_new) = (self.entries.len(), false);
        for revoked in found.claims.revokes {
            let named = self.names.entry(revoked).or_default();
            if named.iter().all(|(_, by)| *by != known) {
                named.push((at, known.clone()));
                is_new = true;
            }
        }
        if is_new {
            self.entries.push(entry);
        }
    }

    /// The text of the withdrawal of `entry`, if readers who believe these signers find it withdrawn.
    fn withdrawal_of(&self, entry: &Entry) -> Option<Sha512> {
        let named: Vec<&Entry> =
            self.names.get(&entry.text_digest())?.iter().map(|(at, _)| &self.entries[*at]).collect();
        let is_withdrawn = |by: &[&Entry]| {
            let some: Vec<Entry> = by.iter().copied().chain([entry]).cloned().collect();
            self.judged(&some) == Some(Reason::Withdrawn)
        };
        if !is_withdrawn(&named) {
            return None;
        }
        // By which of them: mostly there is only one.
        let by = named.iter().find(|by| named.len() == 1 || is_withdrawn(&[**by])).or(named.first());
        by.map(|by| by.text_digest())
    }

    /// Why the last of these does not count.
    fn judged(&self, entries: &[Entry]) -> Option<Reason> {
        let circumstances = Circumstances {
            key: self.key.as_str(),
            url: None,
            now: self.now,
            seen: &BTreeMap::new(),
            platform: None,
            is_there: &|_| true,
        };
        judge(entries, self.trust, &circumstances).verdicts.pop().and_then(|verdict| verdict.refused)
    }
}

fn is_attested(known: &[Known]) -> bool {
    known.iter().flatten().any(|(_, strength)| *strength == Strength::Attested)
}

impl Cache {
    /// Which entries of `key` their signers withdrew; none where nobody is known.
    ///
    /// # Errors
    /// [`ReadError`].
    pub(crate) async fn withdrawn(self: &Arc<Self>, key: &EntryKey) -> Result<Arc<Withdrawn>, ReadError> {
        let Some(trust) = &self.signers else { return Ok(Arc::default()) };
        let Some(found) = self.tables.key.get(key.as_str()).await? else { return Ok(Arc::default()) };
        if let Some(known) = self.withdrawn.get(key, found.version) {
            return Ok(known);
        }
        let _turn = self.withdrawn.turn(key).await;
        let Some(found) = self.tables.key.get(key.as_str()).await? else { return Ok(Arc::default()) };
        if let Some(known) = self.withdrawn.get(key, found.version) {
            return Ok(known);
        }
        let (withdrawn, is_whole) = self.find_withdrawn(trust, key).await?;
        let withdrawn = Arc::new(withdrawn);
        // What is damaged may be mended, of which the key's record says nothing.
        if is_whole {
            self.withdrawn.keep(key, found.version, &withdrawn);
        }
        Ok(withdrawn)
    }

    /// The same, looked for; and whether all entries could be read.
    async fn find_withdrawn(
        self: &Arc<Self>,
        trust: &Trust,
        key: &EntryKey,
    ) -> Result<(Withdrawn, bool), ReadError> {
        let mut withdrawals = Withdrawals::new(trust, key, self.ground.clock.now());
        let mut is_whole = true;
        let mut list = self.all_entries(key).await?;
        while let Some((text, signature)) = next(&mut list, &mut is_whole).await? {
            if text.contains(REVOKES)
                && let Ok(entry) = Entry::new(text, signature)
            {
                withdrawals.take(entry);
                others_turn().await;
            }
        }
        let mut withdrawn = Withdrawn::default();
        if withdrawals.entries.is_empty() {
            return Ok((withdrawn, is_whole));
        }
        // How far each signer is by what they withdrew, where no withdrawal is further.
        let mut last: HashMap<SignerId, (u64, Vec<Sha512>)> = HashMap::new();
        let mut list = self.all_entries(key).await?;
        while let Some((text, signature)) = next(&mut list, &mut is_whole).await? {
            let digest = Sha512::of(text.as_bytes());
            if !withdrawals.names.contains_key(&digest) || withdrawn.by.contains_key(&digest) {
                continue;
            }
            others_turn().await;
            let Ok(entry) = Entry::new(text, signature) else { continue };
            let Some(by) = withdrawals.withdrawal_of(&entry) else { continue };
            withdrawn.by.insert(digest, by);
            let Ok(Some(found)) = Attestation::read(entry.statement()) else { continue };
            let (signer, sequence) = (found.signer, found.claims.sequence);
            if withdrawals.sequences.get(&signer).is_none_or(|said| *said < sequence)
                && is_attested(&withdrawals.known(&entry, Some(&found)))
            {
                let (highest, texts) = last.entry(signer).or_default();
                if *highest < sequence {
                    (*highest, *texts) = (sequence, Vec::new());
                }
                if *highest == sequence {
                    texts.push(digest);
                }
            }
        }
        let mut list = if last.is_empty() { None } else { self.all_entries(key).await? };
        while let Some((text, signature)) = next(&mut list, &mut is_whole).await? {
            if withdrawn.by.contains_key(&Sha512::of(text.as_bytes())) {
                continue;
            }
            let Ok(entry) = Entry::new(text, signature) else { continue };
            let Ok(Some(found)) = Attestation::read(entry.statement()) else { continue };
            if found.claims.key == key.as_str()
                && last.get(&found.signer).is_some_and(|(highest, _)| *highest <= found.claims.sequence)
            {
                others_turn().await;
                if is_attested(&withdrawals.known(&entry, Some(&found))) {
                    last.remove(&found.signer);
                }
            }
        }
        withdrawn.shown = last.into_values().flat_map(|(_, texts)| texts).collect();
        Ok((withdrawn, is_whole))
    }
}

/// The next entry of `list`, if there is one.
async fn next(
    list: &mut Option<EntryList>,
    is_whole: &mut bool,
) -> Result<Option<(String, String)>, ReadError> {
    let Some(list) = list else { return Ok(None) };
    let pair = list.next().await?;
    *is_whole &= !list.is_damaged();
    Ok(pair)
}

/// Lets others have the thread: signatures take their time, and a key may have tens of thousands.
async fn others_turn() {
    let mut is_later = false;
    std::future::poll_fn(|context| {
        if is_later {
            return std::task::Poll::Ready(());
        }
        is_later = true;
        context.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await;
}

#[cfg(test)]
mod tests {
    use base::{Clock, Entropy};
    use entry::new::withdrawal;
    use entry::{Claims, New, Object, Policy, Signer, TrustList, Value};
    use futures_executor::block_on;
    use identity::{Permit, Principal, Role};
    use x509::{KeySpec, PrivateKey};

    use super::*;
    use crate::{Ground, Limits};

    fn claims(sequence: u64) -> Claims {
        let created = Timestamp::from_unix(1000);
        Claims { key: "a".into(), size: 5, created, expires: None, sequence, revokes: Vec::new() }
    }

    fn attested(sequence: u64, by: &PrivateKey) -> Entry {
        let mut metadata = Object::new();
        metadata.insert("url", Value::text("http://example.invalid/"));
        let attestation = Some((&claims(sequence), by));
        New { sha512: Sha512::of(b"hello"), metadata, attestation }.sign(None).unwrap()
    }

    fn trust(key: &PrivateKey) -> Trust {
        let signer = Signer::new("anna", vec![key.public().clone()], TrustList::parse("").unwrap()).unwrap();
        Trust { policies: vec![Policy { name: "root".into(), signers: vec![signer], ..Policy::default() }] }
    }

    /// However often it is sent, and by whom: what is kept is as much as those said who are known.
    #[test]
    fn only_what_somebody_known_signed_is_kept_and_once() {
        let [anna, bert] = [(); 2].map(|()| PrivateKey::generate(KeySpec::Ed25519).unwrap());
        let (hers, his) = (attested(1, &anna), attested(1, &bert));
        let by = |key, sequence| withdrawal(&claims(sequence), [&hers, &his], key, None).unwrap();
        let id = |key: &PrivateKey| SignerId::of(key.public()).to_string();
        let of = |text: String, signature: &str| Entry::new(text, signature.to_owned()).unwrap();
        let (trust, key) = (trust(&anna), "a".parse().unwrap());
        let mut withdrawals = Withdrawals::new(&trust, &key, Timestamp::from_unix(2000));
        withdrawals.take(hers.clone());
        withdrawals.take(by(&bert, 2));
        withdrawals.take(of(by(&bert, 9).text().replace(&id(&bert), &id(&anna)), ""));
        assert_eq!((withdrawals.entries.len(), withdrawals.names.len()), (0, 0));
        assert_eq!(withdrawals.sequences, HashMap::new());
        let hers_taken_back = by(&anna, 2);
        let text = hers_taken_back.text().to_owned();
        withdrawals.take(hers_taken_back);
        withdrawals.take(of(text.clone(), "YQ=="));
        withdrawals.take(of(format!("{text} "), ""));
        withdrawals.take(by(&anna, 3));
        assert_eq!((withdrawals.entries.len(), withdrawals.names.len()), (1, 2));
        assert_eq!(withdrawals.sequences, HashMap::from([(SignerId::of(anna.public()), 3)]));
        assert_eq!(withdrawals.withdrawal_of(&hers), Some(Sha512::of(text.as_bytes())));
        assert_eq!(withdrawals.withdrawal_of(&his), None);
    }

    #[test]
    fn what_was_found_is_remembered_until_the_key_changes() {
        let anna = PrivateKey::generate(KeySpec::Ed25519).unwrap();
        let clock = Clock::manual(Timestamp::from_unix(1_790_000_000));
        let ground = Ground {
            engine: Arc::new(store::Memory::new()),
            blobs: Arc::new(store::blobs::Memory::new(clock.clone())),
            clock,
            entropy: Entropy::seeded(1),
        };
        let cache = Arc::new(Cache::new(ground, Limits::default()).unwrap().hiding(Some(trust(&anna))));
        let key: EntryKey = "a".parse().unwrap();
        let put = |entry: &Entry| {
            let permit = Permit::grant(Principal::pretended("anna", Role::Publisher, None)).unwrap();
            block_on(cache.put_entry(permit, &key, entry)).unwrap();
        };
        let withdrawn = || block_on(cache.withdrawn(&key)).unwrap();
        let hers = attested(1, &anna);
        put(&hers);
        let before = withdrawn();
        assert!(Arc::ptr_eq(&before, &withdrawn()), "looked for again");
        put(&withdrawal(&claims(2), [&hers], &anna, None).unwrap());
        let after = withdrawn();
        assert!(!before.hides(&hers.text_digest()) && after.hides(&hers.text_digest()));
        assert!(Arc::ptr_eq(&after, &withdrawn()), "looked for again");
    }

    #[test]
    fn so_much_is_remembered_and_no_more() {
        let remembered = Remembered::default();
        let version = Version(store::Revision(1));
        let some = |count: u32| {
            let by = (0..count).map(|n| (Sha512::of(&n.to_be_bytes()), Sha512::of(b"")));
            Arc::new(Withdrawn { by: by.collect(), ..Withdrawn::default() })
        };
        let half = u32::try_from(REMEMBERED_MAX / 2).unwrap();
        let [a, b, c]: [EntryKey; 3] = ["a", "b", "c"].map(|key| key.parse().unwrap());
        for key in [&a, &a, &b] {
            remembered.keep(key, version, &some(half - 1));
        }
        assert!([&a, &b].iter().all(|key| remembered.get(key, version).is_some()));
        assert!(remembered.get(&a, Version(store::Revision(2))).is_none());
        remembered.keep(&c, version, &some(0));
        let is_known = [&a, &b, &c].map(|key| remembered.get(key, version).is_some());
        assert_eq!(is_known, [false, false, true]);
    }
}
