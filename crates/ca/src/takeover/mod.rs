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
use store::{Batch, Engine, Error, Key, Table};

use crate::authority::AuthorityName;
use crate::issuers::{FIRST_ISSUER, issuer_id};
use crate::record::TakenOverRecord;

pub use brought::{BroughtError, Revoked, Shelf};
pub use give_back::{GiveBackError, give_back};
pub use readers::keys_of_users;
pub use restored::RestoredError;
pub(crate) use take::leaf;
pub use take::{TakenAuthority, Taking, Unfit};

/// The record that says that an import was begun and is not finished. Whoever makes the first CA certificate of an
/// authority does it only where that is not.
pub const TAKING_OVER: &str = "/house/taking-over";

/// The name of the record of what was taken over.
const TAKEN_OVER: &str = "taken-over";

/// What remains of a takeover: whose users may sign in where nobody else was let in yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TakenOver {
    /// Until when the last of the users who were taken over has a certificate; none where none had one that was good.
    pub users_until: Option<Timestamp>,
}

impl TakenOver {
    fn table(engine: &Arc<dyn Engine>) -> Result<Table<TakenOverRecord>, Error> {
        Table::new(engine.clone(), "/house/")
    }

    /// Adds that the authorities of `engine` were taken over.
    ///
    /// # Errors
    /// The store's.
    pub fn stage(self, batch: &mut Batch, engine: &Arc<dyn Engine>) -> Result<(), Error> {
        let record = TakenOverRecord { users_until: self.users_until.map(Timestamp::as_unix) };
        Self::table(engine)?.put(batch, TAKEN_OVER, &record)
    }

    /// Whether the authorities of `engine` were taken over.
    ///
    /// # Errors
    /// The store's.
    pub async fn load(engine: &Arc<dyn Engine>) -> Result<Option<Self>, Error> {
        let found = Self::table(engine)?.get(TAKEN_OVER).await?;
        Ok(found.map(|found| Self { users_until: found.record.users_until.map(Timestamp::from_unix) }))
    }

    /// Whether a user who was taken over can sign in at `now`.
    #[must_use]
    pub fn has_users(self, now: Timestamp) -> bool {
        self.users_until.is_some_and(|until| now <= until)
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
