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

use caucase_files::Prefix;
use store::{Error, Key};

use crate::authority::AuthorityName;
use crate::issuers::{FIRST_ISSUER, issuer_id};

pub use brought::{BroughtError, Revoked, Shelf};
pub use give_back::{GiveBackError, give_back};
pub use readers::keys_of_users;
pub use restored::RestoredError;
pub use take::{TakenAuthority, Taking, Unfit};

/// The record that says that an import was begun and is not finished. Whoever makes the first CA certificate of an
/// authority does it only where that is not.
pub const TAKING_OVER: &str = "/house/taking-over";

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
