//! What is told of the authorities in a copy of their records, and what has to be done to a copy before it goes on.
//!
//! A copy that is put back knows nothing of what happened after it was made. Certificates issued since are valid and
//! unknown; revocations made since are lost. Serials do not repeat, as they are random. But the numbers of revocation
//! lists count, and a client that holds a list with a higher number may refuse one with a lower (RFC 5280 §5.2.3): so they
//! jump, further than they can have counted since.
//!
//! How far, the clock alone says, or the copy's date where that is later: by a distance from what the copy knows, whoever puts back an old copy, finds that it is
//! the wrong one, and puts back a younger one would go back.
//!
//! ```text
//! copy A: 5 ─────────── copy B: 9 ──── A is put back: t₁ · 2²⁰ ──── B is put back: t₂ · 2²⁰
//! ```

use std::sync::Arc;

use base::{Entropy, Timestamp};
use identity::Principal;
use store::{Batch, CommitError, Engine, Error, Event, History, Page, Prefix, Table};
use x509::Certificate;

use crate::authority::AuthorityName;
use crate::record::{CrlRecord, IssuerRecord, KeyRecord};
use crate::service::CRL;

/// All authorities.
const ALL: [AuthorityName; 3] = [AuthorityName::Services, AuthorityName::Users, AuthorityName::Server];

/// How many numbers of revocation lists there are for each second since 1970, and how far one jumps at least. A revocation
/// counts by one, and there cannot be so many in a second: what was counted before is lower than what is jumped to.
pub const CRL_NUMBERS_A_SECOND: u64 = 1 << 20;

/// A CA certificate of an authority.
#[derive(Debug, Clone)]
pub struct HeldIssuer {
    /// Whose it is.
    pub authority: AuthorityName,
    /// It.
    pub certificate: Certificate,
    /// The token that has its key, where that is in one, and not in the records.
    pub token: Option<String>,
}

/// All CA certificates in `engine`, the oldest of each authority first.
///
/// # Errors
/// The store's; a record that cannot be read.
pub async fn held_issuers(engine: &Arc<dyn Engine>) -> Result<Vec<HeldIssuer>, Error> {
    let mut held = Vec::new();
    for authority in ALL {
        let issuers = Table::<IssuerRecord>::new(Arc::clone(engine), &format!("/ca/{authority}/issuer/"))?;
        for (id, loaded) in issuers.all().await? {
            let parsed = Certificate::from_pem(loaded.record.certificate.as_bytes());
            let unreadable = |error| -> Error {
                match issuers.key(&id) {
                    Ok(key) => Error::Record { key, reason: base::report(&error) },
                    Err(error) => error,
                }
            };
            let certificate = parsed.map_err(unreadable)?;
            let token = match loaded.record.key {
                KeyRecord::Sealed { .. } => None,
                KeyRecord::InToken { token, .. } => Some(token),
            };
            held.push(HeldIssuer { authority, certificate, token });
        }
    }
    Ok(held)
}

/// Counts the numbers of all revocation lists on, for a copy that was made at `made_at` and is put back `now`. New lists
/// are made when somebody next asks for them. The history says so: what follows in it is of another run than what is
/// before. Gives the number that none is below.
///
/// # Errors
/// The store's. What was done then may be done again: the numbers only grow.
pub async fn jump_crl_numbers(
    engine: &Arc<dyn Engine>,
    made_at: Timestamp,
    now: Timestamp,
    entropy: &Entropy,
) -> Result<u64, CommitError> {
    let mut batch = Batch::new();
    // A clock that is behind the copy is wrong, or was when that was made.
    let from_when = now.max(made_at);
    if now < made_at {
        tracing::warn!(%now, %made_at, "the clock is behind the copy that is put back: one of both dates is wrong");
    }
    for authority in ALL {
        let lists = Table::<CrlRecord>::new(Arc::clone(engine), &format!("/ca/{authority}/"))?;
        let issuers = Prefix::new(format!("/ca/{authority}/issuer/"))?;
        let held = lists.get(CRL).await?.map(|held| held.record.number);
        // The first lists may have been told since the copy: wherever somebody could have signed some, they count on.
        let may_have_told =
            held.is_some() || !engine.list(&issuers, Page::first(1)).await?.entries.is_empty();
        if may_have_told {
            let number = jumped(held.unwrap_or(0), from_when);
            lists.put(&mut batch, CRL, &CrlRecord { number, this_update: 0 })?;
        }
    }
    let from = jumped(0, from_when);
    let facts = [("made_at", made_at.to_string()), ("crl_numbers_from", from.to_string())];
    let event = Event {
        at_milliseconds: now.as_unix().saturating_mul(1_000),
        what: "house restored".to_owned(),
        about: "house".to_owned(),
        by: Principal::house().name().to_owned(),
        from: None,
        facts: facts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
    };
    History::new(Arc::clone(engine))?.append(&mut batch, &event, entropy)?;
    engine.commit(batch).await?;
    Ok(from)
}

/// What follows `number` in a copy that is put back `at`. Where the clock was ahead when that was done before, it counts
/// on from there.
fn jumped(number: u64, at: Timestamp) -> u64 {
    let seconds = u64::try_from(at.as_unix()).unwrap_or(0);
    let today = seconds.saturating_mul(CRL_NUMBERS_A_SECOND);
    today.max(number.saturating_add(CRL_NUMBERS_A_SECOND))
}

#[cfg(test)]
mod tests {
    use futures_executor::block_on;
    use store::{Key, Memory};

    use super::*;

    #[test]
    fn the_numbers_of_all_lists_jump() {
        let engine: Arc<dyn Engine> = Arc::new(Memory::new());
        let lists =
            |name: &str| Table::<CrlRecord>::new(Arc::clone(&engine), &format!("/ca/{name}/")).unwrap();
        let mut batch = Batch::new();
        for (name, number) in [("services", 7), ("users", u64::MAX - 1)] {
            lists(name).put(&mut batch, CRL, &CrlRecord { number, this_update: 9 }).unwrap();
        }
        block_on(engine.commit(batch)).unwrap();
        let at = Timestamp::from_unix;
        let entropy = Entropy::seeded(1);
        let jump = |now| block_on(jump_crl_numbers(&engine, at(1_000), at(now), &entropy)).unwrap();
        let today = 1_060 * CRL_NUMBERS_A_SECOND;
        assert_eq!(jump(1_060), today);
        let told = block_on(engine.list(&History::prefix(), Page::full())).unwrap().entries;
        assert_eq!(told.len(), 1);
        let told = String::from_utf8(told[0].1.value.to_vec()).unwrap();
        for word in ["house restored", "the house", "1970-01-01T00:16:40Z", &today.to_string()] {
            assert!(told.contains(word), "{word}: {told}");
        }
        let held = |name: &str| block_on(lists(name).get(CRL)).unwrap().map(|loaded| loaded.record);
        assert_eq!(
            held("services"),
            Some(CrlRecord { number: today, this_update: 0 }),
            "and they are made anew"
        );
        assert_eq!(held("users").unwrap().number, u64::MAX, "and never begin again");
        assert_eq!(held("server"), None, "where nobody could have signed any there is no number");
        jump(10);
        let then = held("services").unwrap().number;
        assert_eq!(then, today + CRL_NUMBERS_A_SECOND, "the clock was set back");
        let mut batch = Batch::new();
        lists("services").put(&mut batch, CRL, &CrlRecord { number: 9, this_update: 9 }).unwrap();
        block_on(engine.commit(batch)).unwrap();
        jump(10);
        let then = held("services").unwrap().number;
        assert_eq!(then, 1_000 * CRL_NUMBERS_A_SECOND, "a younger copy: it was not made after today");
    }

    /// A copy of before the first list knows no number, and would tell the first ones again.
    #[test]
    fn the_first_lists_of_all_count_on_as_well() {
        let engine: Arc<dyn Engine> = Arc::new(Memory::new());
        let mut batch = Batch::new();
        batch.put(Key::new("/ca/users/issuer/00000001").unwrap(), "{}");
        block_on(engine.commit(batch)).unwrap();
        let at = Timestamp::from_unix;
        let from = block_on(jump_crl_numbers(&engine, at(1_000), at(1_060), &Entropy::seeded(1))).unwrap();
        let lists = Table::<CrlRecord>::new(Arc::clone(&engine), "/ca/users/").unwrap();
        let held = block_on(lists.get(CRL)).unwrap().map(|loaded| loaded.record);
        assert_eq!(held, Some(CrlRecord { number: from, this_update: 0 }));
    }

    /// First the wrong copy, then the right one, which is younger, and knows nothing of the first.
    #[test]
    fn whoever_puts_back_one_copy_and_then_another_does_not_go_back() {
        let at = Timestamp::from_unix;
        let [first, second] = [jumped(5, at(1_800_000_000)), jumped(9, at(1_800_000_060))];
        assert!(second > first + 60 * 10_000, "not even if thousands are revoked a second: {first} {second}");
    }
}
