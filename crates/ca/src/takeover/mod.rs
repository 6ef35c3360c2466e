//! Coming from caucase, and going back to it: what its database holds, as our records, and the other way round.
//!
//! ```text
//! rows ──► Taking::take ──► batches of records      (take.rs; pure)
//! records ──► give_back ──► rows                    (give_back.rs; reads tables)
//! ```
//! What comes is taken as it is, byte for byte where clients see bytes: requests, certificates. Nothing is lost that caucase
//! knew: keys, what waits, what was issued and until when that is kept, revocations whose certificates are gone, counters, the
//! number and the date of the lists. What would make an authority lie is refused.
//!
//! Source: the contract of caucase, sections 6.6 and 8.

mod brought;
mod give_back;
mod readers;
mod restored;
mod take;

use std::sync::Arc;

use base::Timestamp;
use caucase_files::Prefix;
use serde::{Deserialize, Serialize};
use store::{Batch, Engine, Error, Key, Record, Table};

use crate::authority::AuthorityName;
use crate::issuers::{FIRST_ISSUER, issuer_id};

pub use brought::{BroughtError, Revoked, Shelf};
pub use give_back::{GiveBackError, give_back};
pub use readers::keys_of_users;
pub use restored::RestoredError;
pub(crate) use take::leaf;
pub use take::{TakenAuthority, Taking, Unfit};

/// The record that says that an import was begun and is not finished. Whoever makes the first CA certificate of an
/// authority does it only where that is not.
pub const TAKING_OVER: &str = "/house/taking-over";

/// What remains of a takeover: whose users may sign in where nobody else was let in yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakenOver {
    /// Until when the last of the users who were taken over has a certificate, in seconds since 1970; 0 where none had one
    /// that was good.
    pub users_until: i64,
}

impl Record for TakenOver {
    const VERSION: u32 = 1;
}

impl TakenOver {
    const NAME: &'static str = "taken-over";

    fn table(engine: &Arc<dyn Engine>) -> Result<Table<Self>, Error> {
        Table::new(engine.clone(), "/house/")
    }

    /// Adds that the authorities of `engine` were taken over.
    ///
    /// # Errors
    /// The store's.
    pub fn stage(self, batch: &mut Batch, engine: &Arc<dyn Engine>) -> Result<(), Error> {
        Self::table(engine)?.put(batch, Self::NAME, &self)
    }

    /// Whether the authorities of `engine` were taken over.
    ///
    /// # Errors
    /// The store's.
    pub async fn load(engine: &Arc<dyn Engine>) -> Result<Option<Self>, Error> {
        Ok(Self::table(engine)?.get(Self::NAME).await?.map(|found| found.record))
    }

    /// Whether a user who was taken over can sign in at `now`.
    #[must_use]
    pub fn has_users(self, now: Timestamp) -> bool {
        now.as_unix() <= self.users_until
    }
}

/// Where each authority's first CA certificate is put: whoever begins an import does it only where none is.
///
/// # Errors
/// None that is met: these are keys.
pub fn first_issuers() -> Result<Vec<Key>, Error> {
    let names = [AuthorityName::Services, AuthorityName::Users, AuthorityName::Server];
    names.iter().map(|name| Key::new(format!("/ca/{name}/issuer/{}", issuer_id(FIRST_ISSUER)))).collect()
}

/// Which authority of ours a prefix of caucase's is.
#[must_use]
pub fn authority_of(prefix: Prefix) -> AuthorityName {
    match prefix {
        Prefix::Users => AuthorityName::Users,
        Prefix::Services => AuthorityName::Services,
        Prefix::Server => AuthorityName::Server,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_bytes() {
        let bytes = r#"{"v":1,"is":{"users_until":1790000000}}"#;
        let record: TakenOver = store::decode(bytes.as_bytes()).unwrap();
        assert_eq!(String::from_utf8(store::encode(&record).unwrap()).unwrap(), bytes);
        assert!(record.has_users(Timestamp::from_unix(1_790_000_000)));
        assert!(!record.has_users(Timestamp::from_unix(1_790_000_001)));
    }
}
