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

use crate::authority::AuthorityName;

pub use brought::{BroughtError, Revoked, Shelf};
pub use give_back::{GiveBackError, give_back};
pub use readers::keys_of_users;
pub use restored::RestoredError;
pub use take::{TakenAuthority, Taking, Unfit};

/// Which authority of ours a prefix of caucase's is.
#[must_use]
pub fn authority_of(prefix: Prefix) -> AuthorityName {
    match prefix {
        Prefix::Users => AuthorityName::Users,
        Prefix::Services => AuthorityName::Services,
        Prefix::Server => AuthorityName::Server,
    }
}
