//! What the holder of a certificate has on disk: the certificate and its key, whom it trusts, and what was revoked.
//!
//! ```text
//! pem_file       a file of PEM blocks, in any order (pem_file_error)
//! collection     authorities or revocation lists: in one file, or each in its own
//! pair           a certificate and its key, which are replaced together (unfinished: what a kill in between left)
//! append         a certificate behind the key that waited for it
//! folder_lock    two programs do not write into one folder at once
//!
//! trusted        whom a server of caucase's dialect says that is to be trusted, and what was revoked ──► collection, pin
//! pin            to whom trust has gone from the one that is pinned
//! renewal        a new certificate and key from it ──► pair
//! ```
//! Whoever reads any of these files finds what was there before or what is there now, whenever anybody pulls the plug.
//! The rules are those of caucase (its contract, 7.1 and 7.2). But for `trusted` and `renewal`, nobody is asked here, and nothing
//! waits but for another program that writes into the same folder.

mod append;
mod collection;
pub(crate) mod debt;
mod error;
mod folder_lock;
mod pair;
mod pair_error;
mod pem_file;
mod pem_file_error;
mod pin;
#[cfg(test)]
mod power_cut;
pub(crate) mod renewal;
mod trusted;
mod unfinished;
#[cfg(test)]
mod witness;

pub(crate) use append::{Appended, append, append_certificate};
pub(crate) use collection::Collection;
pub(crate) use error::HolderError;
pub(crate) use folder_lock::WriteError;
pub(crate) use pair::{LoadedPair, Pair};
pub(crate) use pair_error::{NotOnePair, PairError};
pub(crate) use pem_file::{Pem, exposed};
pub(crate) use pem_file_error::PemFileError;
pub(crate) use renewal::KeyMaker;
pub(crate) use trusted::{
    Trusted, refuse_other_authorities, update_authorities, update_lists, update_same_authorities,
};
pub(crate) use unfinished::Recovered;
