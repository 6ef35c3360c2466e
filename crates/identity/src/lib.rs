//! Who asks, and what they may do.
//!
//! A sign-in method proves a [`Principal`]; its [`Role`] turns it into a [`Permit`] for one action; the
//! rooms demand the permit by value. So a door that forgets to check does not compile, and the history
//! knows who did what.
//!
//! **Invariant:** only this crate makes a [`Principal`] or a [`Permit`].

mod permit;
mod principal;
pub mod sign_in;

pub use permit::{Action, Denied, Permit};
pub use principal::{Principal, Role};
pub use sign_in::{SignInError, certificate, service_certificate};
