//! Claims: that of several processes only one does a piece of work, and that a dead one's is taken over.
//!
//! A claim is a record under `/claim/<name>` that names its holder and when it ends. It is taken, renewed and
//! taken over by compare-and-swap. Who holds one renews it well before its end and stops working when that
//! fails; as clocks differ, leases are much longer than they may.

use std::sync::Arc;

use base::{Span, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{Batch, CommitError, Engine, Error, Record, Table, Version};

/// A piece of work that is one holder's for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// What is claimed.
    pub name: String,
    /// By whom.
    pub holder: String,
    /// From when on anybody may take it.
    pub until: Timestamp,
    /// Of its record; changes each time it is taken.
    version: Version,
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

/// The claims in one store.
#[derive(Clone)]
pub struct Claims {
    held: Table<Held>,
}

impl Claims {
    /// The claims in `engine`.
    ///
    /// # Errors
    /// None in practice: the prefix of their keys is a fair one.
    pub fn new(engine: Arc<dyn Engine>) -> Result<Self, Error> {
        Ok(Self { held: Table::new(engine, "/claim/")? })
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
        match self.held.get(name).await? {
            Some(found) if found.record.holder != holder && found.record.until > now.as_unix() => {
                return Ok(None);
            }
            Some(found) => self.held.update(&mut batch, name, &held, found.version)?,
            None => self.held.create(&mut batch, name, &held)?,
        }
        match self.held.engine().commit(batch).await {
            Ok(revision) => Ok(Some(Claim {
                name: name.into(),
                holder: holder.into(),
                until,
                version: Version(revision),
            })),
            Err(CommitError::Conflict { .. }) => Ok(None),
            Err(error) => Err(error.into_store("taking a claim")),
        }
    }

    /// Gives `claim` up, so that nobody has to wait for its end. Nothing when it was renewed or taken over since.
    ///
    /// # Errors
    /// The store's.
    pub async fn release(&self, claim: Claim) -> Result<(), Error> {
        let mut batch = Batch::new();
        self.held.remove(&mut batch, &claim.name, claim.version)?;
        match self.held.engine().commit(batch).await {
            Ok(_) | Err(CommitError::Conflict { .. }) => Ok(()),
            Err(error) => Err(error.into_store("releasing a claim")),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_executor::block_on;

    use super::*;
    use crate::{Key, Memory};

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
    }
}
