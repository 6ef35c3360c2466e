//! Claims: that of several processes only one does a piece of work, and that a dead one's is taken over.
//!
//! A claim is a record under `/claim/<name>` that names its holder and when it ends. It is taken, renewed and
//! taken over by compare-and-swap. Who holds one renews it well before its end and stops working when that
//! fails; as clocks differ, leases are much longer than they may.
//!
//! A holder that was suspended cannot know that its claim was taken over, so stopping is not enough. Beside each
//! claim stands a fence, `/fence/<name>`, which is written anew whenever somebody else takes the claim, and not when
//! it is renewed. A batch that expects it ([`Claim::expect`]) is done only while the claim is still that holder's.
//! One name for each piece of work (`operation/web`, `host/10.0.0.1`): a claim costs one commit to take, one to renew
//! and one to give up, and a batch one expectation.

use std::sync::Arc;

use base::{Span, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{Batch, CommitError, Engine, Error, Expect, Key, Record, Table, Version};

/// A piece of work that is one holder's for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// What is claimed.
    pub name: String,
    /// By whom.
    pub holder: String,
    /// From when on anybody may take it.
    pub until: Timestamp,
    /// Of its record; changes each time it is taken or renewed.
    version: Version,
    /// The record that is there as it is until somebody else has the claim, and its version.
    fence: (Key, Version),
}

impl Claim {
    /// Has `batch` done only while the claim is still this holder's: not any more once somebody else took it, or it
    /// was given up. Renewing it is no matter; nor is its end, until somebody makes use of it.
    pub fn expect(&self, batch: &mut Batch) {
        let (key, version) = &self.fence;
        batch.expect(key.clone(), Expect::At(*version));
    }

    /// Whether the claim is still this holder's; for those whose batch was refused, to tell why.
    ///
    /// # Errors
    /// The store's.
    pub async fn is_held(&self, engine: &dyn Engine) -> Result<bool, Error> {
        let (key, version) = &self.fence;
        Ok(engine.get(key).await?.is_some_and(|found| found.version == *version))
    }
}

/// That nobody holds a claim; see [`Claims::vacancy`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vacancy {
    key: Key,
    seen: Expect,
}

impl Vacancy {
    /// Has `batch` done only while nobody has taken the claim since.
    pub fn expect(&self, batch: &mut Batch) {
        batch.expect(self.key.clone(), self.seen);
    }
}

/// What is stored of a claim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Held {
    holder: String,
    /// Seconds since the epoch.
    until: i64,
}

impl Record for Held {
    const VERSION: u32 = 1;
}

/// What stands in for a claim in batches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Fence {
    holder: String,
}

impl Record for Fence {
    const VERSION: u32 = 1;
}

/// The claims in one store.
#[derive(Clone)]
pub struct Claims {
    held: Table<Held>,
    fence: Table<Fence>,
}

impl Claims {
    /// The claims in `engine`.
    ///
    /// # Errors
    /// None in practice: the prefix of their keys is a fair one.
    pub fn new(engine: Arc<dyn Engine>) -> Result<Self, Error> {
        Ok(Self { held: Table::new(Arc::clone(&engine), "/claim/")?, fence: Table::new(engine, "/fence/")? })
    }

    /// Takes `name` for `holder`, from `now` on and for as long as `lease`. Who holds it already renews it so.
    /// `None` when somebody else holds it, or was faster. No two processes have the same `holder`.
    ///
    /// # Errors
    /// The store's.
    pub async fn take(
        &self,
        name: &str,
        holder: &str,
        now: Timestamp,
        lease: Span,
    ) -> Result<Option<Claim>, Error> {
        let until = now + lease;
        let held = Held { holder: holder.into(), until: until.as_unix() };
        let mut batch = Batch::new();
        let mut fence = None;
        match self.held.get(name).await? {
            Some(found) if found.record.holder != holder && found.record.until > now.as_unix() => {
                return Ok(None);
            }
            Some(found) => {
                if found.record.holder == holder {
                    fence = self.fence.get(name).await?.map(|found| found.version);
                }
                self.held.update(&mut batch, name, &held, found.version)?;
            }
            None => self.held.create(&mut batch, name, &held)?,
        }
        match fence {
            Some(version) => self.fence.expect_at(&mut batch, name, version)?,
            // Whatever is there is another's.
            None => self.fence.put(&mut batch, name, &Fence { holder: holder.into() })?,
        }
        let Some(version) = self.commit(batch, "taking a claim").await? else { return Ok(None) };
        Ok(Some(Claim {
            name: name.into(),
            holder: holder.into(),
            until,
            version,
            fence: (self.fence.key(name)?, fence.unwrap_or(version)),
        }))
    }

    /// That nobody holds `name` at `now`, for those who do something that may not be done beside such work; `None` when
    /// somebody does.
    ///
    /// # Errors
    /// The store's.
    pub async fn vacancy(&self, name: &str, now: Timestamp) -> Result<Option<Vacancy>, Error> {
        let key = self.held.key(name)?;
        Ok(match self.held.get(name).await? {
            None => Some(Vacancy { key, seen: Expect::Absent }),
            Some(found) if found.record.until <= now.as_unix() => {
                Some(Vacancy { key, seen: Expect::At(found.version) })
            }
            Some(_) => None,
        })
    }

    /// Makes `claim` last for as long as `lease` from `now` on, in one commit and without reading. `None` when it
    /// was renewed otherwise, taken over or given up since. After an error it may have been renewed all the same:
    /// [`Self::take`] finds out.
    ///
    /// # Errors
    /// The store's.
    pub async fn renew(&self, claim: &Claim, now: Timestamp, lease: Span) -> Result<Option<Claim>, Error> {
        let until = now + lease;
        let held = Held { holder: claim.holder.clone(), until: until.as_unix() };
        let mut batch = Batch::new();
        self.held.update(&mut batch, &claim.name, &held, claim.version)?;
        let renewed = self.commit(batch, "renewing a claim").await?;
        Ok(renewed.map(|version| Claim { until, version, ..claim.clone() }))
    }

    /// Gives `claim` up, so that nobody has to wait for its end. Nothing when it was renewed or taken over since.
    ///
    /// # Errors
    /// The store's.
    pub async fn release(&self, claim: Claim) -> Result<(), Error> {
        let mut batch = Batch::new();
        self.held.remove(&mut batch, &claim.name, claim.version)?;
        self.fence.delete(&mut batch, &claim.name)?;
        self.commit(batch, "releasing a claim").await.map(drop)
    }

    /// The version of what was written; `None` when somebody was faster.
    async fn commit(&self, batch: Batch, doing: &'static str) -> Result<Option<Version>, Error> {
        match self.held.engine().commit(batch).await {
            Ok(revision) => Ok(Some(Version(revision))),
            Err(CommitError::Conflict { .. }) => Ok(None),
            Err(error) => Err(error.into_store(doing)),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_executor::block_on;

    use super::*;
    use crate::Memory;

    const LEASE: Span = Span::seconds(60);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix(1_700_000_000 + seconds)
    }

    fn claims() -> (Arc<Memory>, Claims) {
        let store = Arc::new(Memory::new());
        (Arc::clone(&store), Claims::new(store).unwrap())
    }

    fn take(claims: &Claims, holder: &str, seconds: i64) -> Option<Claim> {
        block_on(claims.take("investigate", holder, at(seconds), LEASE)).unwrap()
    }

    #[test]
    fn one_of_two_rivals_has_it() {
        let (_, claims) = claims();
        let ours = take(&claims, "a", 0).unwrap();
        assert_eq!(ours.until, at(60));
        assert_eq!(take(&claims, "b", 59), None);

        let renewed = take(&claims, "a", 59).unwrap();
        assert_eq!(renewed.until, at(119));
        block_on(claims.release(ours)).unwrap();
        assert_eq!(take(&claims, "b", 60), None, "releasing what was renewed since is nothing");

        block_on(claims.release(renewed)).unwrap();
        assert!(take(&claims, "b", 60).is_some());
    }

    #[test]
    fn a_dead_one_is_taken_over() {
        let (_, claims) = claims();
        let dead = take(&claims, "dead", 0).unwrap();
        assert_eq!(take(&claims, "b", 59), None);
        assert!(take(&claims, "b", 60).is_some());
        // Not dead after all: it has lost its claim, and cannot give away another's.
        assert_eq!(take(&claims, "dead", 61), None);
        block_on(claims.release(dead)).unwrap();
        assert_eq!(take(&claims, "c", 61), None);
    }

    #[test]
    fn who_is_slower_by_a_moment_does_not_have_it() {
        for lapsed in [false, true] {
            let (store, claims) = claims();
            if lapsed {
                take(&claims, "dead", -60).unwrap();
            }
            let rival = claims.clone();
            store.before_next_commit(async move {
                assert!(rival.take("investigate", "rival", at(0), LEASE).await.unwrap().is_some());
            });
            assert_eq!(take(&claims, "slow", 0), None);
            assert!(take(&claims, "rival", 1).is_some());
        }
    }

    /// Whether a commit under `claim` is done.
    fn commits(store: &Memory, claim: &Claim) -> bool {
        let mut batch = Batch::new();
        claim.expect(&mut batch);
        batch.put(Key::new("/done").unwrap(), claim.holder.clone());
        let committed = block_on(store.commit(batch));
        assert!(matches!(committed, Ok(_) | Err(CommitError::Conflict { .. })), "{committed:?}");
        assert_eq!(block_on(claim.is_held(store)).unwrap(), committed.is_ok());
        committed.is_ok()
    }

    /// Who was suspended and comes back writes nothing, whatever it believes.
    #[test]
    fn who_lost_the_claim_commits_nothing() {
        let (store, claims) = claims();
        let suspended = take(&claims, "suspended", 0).unwrap();
        assert!(commits(&store, &suspended));
        let again = take(&claims, "suspended", 30).unwrap();
        let renewed = block_on(claims.renew(&again, at(40), LEASE)).unwrap().unwrap();
        assert_eq!(renewed.until, at(100));
        assert_eq!(block_on(claims.renew(&again, at(41), LEASE)).unwrap(), None, "it was renewed since");
        for claim in [&suspended, &again, &renewed] {
            assert!(commits(&store, claim), "renewing is no matter");
        }
        let taken = take(&claims, "b", 100).unwrap();
        for claim in [&suspended, &again, &renewed] {
            assert!(!commits(&store, claim), "it is another's");
        }
        assert_eq!(block_on(claims.renew(&renewed, at(101), LEASE)).unwrap(), None);
        block_on(claims.release(renewed)).unwrap();
        assert!(commits(&store, &taken), "nobody gives away what is another's");
        let stored = block_on(store.get(&Key::new("/done").unwrap())).unwrap().unwrap();
        assert_eq!(&stored.value[..], b"b");

        let given_up = taken.clone();
        block_on(claims.release(taken)).unwrap();
        assert!(!commits(&store, &given_up));
        let back = take(&claims, "suspended", 102).unwrap();
        assert!(commits(&store, &back) && !commits(&store, &suspended), "no fence comes back");
    }

    #[test]
    fn what_may_only_be_done_while_nobody_works_is_not_done_beside_it() {
        let (store, claims) = claims();
        let vacancy = |seconds| block_on(claims.vacancy("investigate", at(seconds))).unwrap();
        let commits = |vacancy: &Vacancy| {
            let mut batch = Batch::new();
            vacancy.expect(&mut batch);
            batch.put(Key::new("/done").unwrap(), "");
            block_on(store.commit(batch)).is_ok()
        };
        let before = vacancy(0).unwrap();
        assert!(commits(&before) && commits(&before));
        take(&claims, "a", 0).unwrap();
        assert!(!commits(&before), "somebody has begun since");
        assert_eq!(vacancy(59), None);
        let dead = vacancy(60).unwrap();
        assert!(commits(&dead));
        take(&claims, "b", 60).unwrap();
        assert!(!commits(&dead));
    }

    #[test]
    fn names_are_apart() {
        let (_, claims) = claims();
        assert!(take(&claims, "a", 0).is_some());
        assert!(block_on(claims.take("operations", "b", at(0), LEASE)).unwrap().is_some());
    }

    #[test]
    fn a_store_that_fails_is_an_error() {
        let (store, claims) = claims();
        store.fail_next_commits(1, Error::Full);
        let failed = block_on(claims.take("investigate", "a", at(0), LEASE));
        assert!(matches!(failed, Err(Error::Full)));
    }

    #[test]
    fn golden_bytes() {
        let (store, claims) = claims();
        take(&claims, "a", 0).unwrap();
        let stored = block_on(store.get(&Key::new("/claim/investigate").unwrap())).unwrap().unwrap();
        assert_eq!(&stored.value[..], br#"{"v":1,"is":{"holder":"a","until":1700000060}}"#);
        let fence = block_on(store.get(&Key::new("/fence/investigate").unwrap())).unwrap().unwrap();
        assert_eq!(&fence.value[..], br#"{"v":1,"is":{"holder":"a"}}"#);
    }
}
