//! That all who share a store seal its secrets under the same key.
//!
//! The first one leaves a mark, sealed under its key, and whoever cannot open it is turned away before it reads or
//! writes anything else: it could not use the CA keys that are there, and nobody could use those it would make.

use std::sync::Arc;

use base::Entropy;
use serde::{Deserialize, Serialize};
use store::{Batch, CommitError, Engine, Error, Expect, Key, Page, Prefix, Record, SealingKey, Table};

use crate::house_error::HouseError;

/// The name of the record.
const MARK: &str = "seal";
/// The record that says that a store is being filled out of another, or out of a copy. Whoever puts it expects that there
/// is no mark, and whoever puts the mark expects that there is no such record: of two at once one is too late.
pub const MOVING: &str = "/house/moving";
/// What the mark is sealed about.
const ABOUT: &str = "/house/seal";
/// How often it is looked at again when somebody else makes the mark at the same time.
const ATTEMPTS_MAX: usize = 5;

/// Nothing, sealed.
#[derive(Serialize, Deserialize)]
struct Mark {
    sealed: String,
}

impl Record for Mark {
    const VERSION: u32 = 1;
}

/// Whether nobody has kept anything of a house in `engine` yet. What other programs keep there does not count.
///
/// # Errors
/// The store's.
pub async fn is_new(engine: &Arc<dyn Engine>) -> Result<bool, Error> {
    Ok(is_empty(engine, "/house/").await? && is_empty(engine, "/ca/").await?)
}

async fn is_empty(engine: &Arc<dyn Engine>, prefix: &str) -> Result<bool, Error> {
    Ok(engine.list(&Prefix::new(prefix)?, Page::first(1)).await?.entries.is_empty())
}

/// Whether there are secrets in `engine`, but no mark: earlier versions left none.
pub(crate) async fn is_unmarked(engine: &Arc<dyn Engine>) -> Result<bool, Error> {
    let marks = Table::<Mark>::new(engine.clone(), "/house/")?;
    Ok(marks.get(MARK).await?.is_none() && !is_empty(engine, "/ca/").await?)
}

/// Checks that `sealing` is the key of what is in `engine`, as far as a mark says so, and marks nothing.
///
/// # Errors
/// [`HouseError::OtherKey`]; the store's.
pub async fn fits(engine: &Arc<dyn Engine>, sealing: &SealingKey) -> Result<(), HouseError> {
    match Table::<Mark>::new(engine.clone(), "/house/")?.get(MARK).await? {
        Some(mark) => opens(&mark.record, sealing),
        None => Ok(()),
    }
}

fn opens(mark: &Mark, sealing: &SealingKey) -> Result<(), HouseError> {
    sealing.open(ABOUT, &mark.sealed).map(drop).map_err(HouseError::OtherKey)
}

/// Checks that `sealing` is the key of what is in `engine`, and marks it when it is the first.
pub(crate) async fn check(
    engine: &Arc<dyn Engine>,
    sealing: &SealingKey,
    entropy: &Entropy,
) -> Result<(), HouseError> {
    let marks = Table::<Mark>::new(engine.clone(), "/house/")?;
    let mut last = None;
    for _ in 0..ATTEMPTS_MAX {
        if let Some(mark) = marks.get(MARK).await? {
            return opens(&mark.record, sealing);
        }
        let mut batch = Batch::new();
        batch.expect(Key::new(MOVING)?, Expect::Absent);
        marks.create(&mut batch, MARK, &Mark { sealed: sealing.seal(ABOUT, b"", entropy) })?;
        match engine.commit(batch).await {
            Ok(_) => return Ok(()),
            // Somebody else was faster, or perhaps we were: it is there.
            Err(error @ (CommitError::Conflict { .. } | CommitError::Unknown { .. })) => last = Some(error),
            Err(error) => return Err(error.into_store("marking the store").into()),
        }
    }
    let last = last.expect("only after an error is it tried again");
    Err(last.into_store("marking the store").into())
}

#[cfg(test)]
mod tests {
    use store::Memory;

    use super::*;

    #[tokio::test]
    async fn who_has_another_key_is_turned_away() {
        let (entropy, engine) = (Entropy::seeded(1), Arc::new(Memory::new()));
        let engine: Arc<dyn Engine> = engine;
        let [ours, others] = [(); 2].map(|()| SealingKey::generate(&entropy));
        assert!(is_new(&engine).await.expect("the store works"));
        check(&engine, &ours, &entropy).await.expect("the first may come");
        assert!(!is_new(&engine).await.expect("the store works"));
        check(&engine, &ours, &entropy).await.expect("so may who has the same key");
        let error = check(&engine, &others, &entropy).await.expect_err("another key");
        assert!(matches!(error, HouseError::OtherKey(_)), "{error:?}");
    }

    #[tokio::test]
    async fn of_two_at_once_the_faster_ones_key_counts() {
        let (entropy, memory) = (Entropy::seeded(1), Arc::new(Memory::new()));
        let engine: Arc<dyn Engine> = memory.clone();
        let [faster, slower] = [(); 2].map(|()| SealingKey::generate(&entropy));
        let (rival, chance) = (engine.clone(), entropy.clone());
        memory.before_next_commit(async move {
            check(&rival, &faster, &chance).await.expect("the faster one may come");
        });
        assert!(check(&engine, &slower, &entropy).await.is_err());
    }

    #[tokio::test]
    async fn who_comes_while_the_store_is_filled_leaves_no_mark() {
        let (entropy, memory) = (Entropy::seeded(1), Arc::new(Memory::new()));
        let engine: Arc<dyn Engine> = memory.clone();
        let rival = engine.clone();
        memory.before_next_commit(async move {
            let mut batch = Batch::new();
            batch.put(Key::new(MOVING).expect("a key"), "restore");
            rival.commit(batch).await.expect("the store works");
        });
        assert!(check(&engine, &SealingKey::generate(&entropy), &entropy).await.is_err());
        assert!(engine.get(&Key::new(ABOUT).expect("a key")).await.expect("the store works").is_none());
    }

    #[tokio::test]
    async fn a_lost_answer_is_looked_up() {
        for done in [true, false] {
            let (entropy, memory) = (Entropy::seeded(1), Arc::new(Memory::new()));
            let engine: Arc<dyn Engine> = memory.clone();
            memory.lose_next_answers([done]);
            check(&engine, &SealingKey::generate(&entropy), &entropy).await.expect("it is marked in the end");
        }
    }

    #[test]
    fn golden_bytes() {
        let mark = store::decode::<Mark>(br#"{"v":1,"is":{"sealed":"a.b"}}"#).expect("golden bytes");
        assert_eq!(store::encode(&mark).expect("JSON"), br#"{"v":1,"is":{"sealed":"a.b"}}"#);
    }
}
