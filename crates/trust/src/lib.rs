//! Trust handed on: a provider says which CA certificates are to be trusted, and every requirer has exactly that set
//! (certificate_transfer contract).
//!
//! In Juju, over databags (sections 1 to 5):
//! ```text
//! provider    provide    the wanted change  ->  what is written into its databags, version 0 and 1
//! requirer    announce   what it can read   ->  its own databag
//!             read       the provider's databags  ->  the set
//!             report     the set, and what was reported before  ->  an event, if it is another one
//! webhook                the set  ->  what is posted to a requirer's URL; its answer  ->  whether it has it
//! ```
//! Beyond Juju, over records (section 9):
//! ```text
//! provider ──offer──► set ◄──names── relation ◄── requirer ──wanted──► bundle ──► its places, each with its own state
//! ```
//! What all relations of a provider have is one set, named by what is in it; a relation may have one of its own beside.
//! A bundle is the union over the relations of a requirer, and is computed whenever it is asked for.
//!
//! **Invariant:** a databag is read and written by pure functions over whatever holds it. A certificate is a text there,
//! compared byte for byte, and never altered; a record holds the certificate itself, spelled in one way. The same set is
//! the same bytes, so that nobody is woken for nothing; nothing that cannot be read is taken for an empty set. What a
//! requirer would lose much by is not done before somebody confirms it.

mod account;
mod anchor;
mod bundle;
mod confirm;
mod databag;
mod error;
mod event;
mod explain;
mod history;
mod json;
mod name;
mod note;
mod offer;
pub mod on_host;
mod outcome;
mod place;
mod provide;
mod provider;
mod record;
mod relation;
mod report;
mod require;
mod requirer;
mod service;
mod set;
mod tidy;
mod unit;
mod wanted;
pub mod webhook;
mod written;

pub use account::{BadAccounts, NotYours, Only};
pub use anchor::{
    Anchor, Finding, Fingerprint, NotAnchors, OFFER_BYTES_MAX, SET_MAX, findings, read as read_anchors,
};
pub use bundle::{Bundle, Wanted};
pub use confirm::ConfirmError;
pub use databag::{Changes, Databag};
pub use error::{ChangeError, ReadError};
pub use explain::{Brought, Explanation, Has};
pub use history::{EventId, InPlace, NoEventId, PlaceEvent};
pub use name::{BadName, ProviderName, RequirerName};
pub use note::{Level, Note};
pub use offer::{Offer, Offered, SetChange};
pub use outcome::{ANNOUNCED_MAX, Announced, OUTCOMES_MAX, Outcome, Put};
pub use place::{BadPlace, InKubernetes, Place, Webhook, WhichHosts};
pub use provide::{Change, Provided, Provider, stand_down};
pub use provider::{Provider as ProviderState, SetState, Terms};
pub use relation::Relation;
pub use report::{Event, fingerprint, hash, report};
pub use require::{Read, Requirer, Unreadable, announce, is_valid, looks_at_units, read};
pub use requirer::{Requirer as RequirerState, RequirerView};
pub use service::{Ground, KeyInWhy, ManageTrust, Moment, OfferTrust, ReadTrust, Trust, Why};
pub use unit::{Counts, Unit, UnitState};
pub use wanted::BundleSince;
pub use written::Written;

/// Certificates as they stand in a databag: in order, none twice.
pub type Certificates = std::collections::BTreeSet<String>;
