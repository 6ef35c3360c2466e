//! Who asks: the one place in which a request of the fleet's interfaces becomes a principal.

use std::net::IpAddr;

use engine::{House, SignInFailed};
use identity::Principal;

use crate::doors::Peer;

/// What a request shows of whoever sends it.
pub(crate) struct Attempt<'a> {
    /// The connection, and the client certificate that was presented on it.
    pub(crate) peer: &'a Peer,
    /// Where the request comes from, as far as that is known.
    pub(crate) from: Option<IpAddr>,
}

/// Why somebody is not signed in.
#[derive(Debug)]
pub(crate) enum NotSignedIn {
    /// They did not prove who they are; why, in words.
    Denied(String),
    /// We could not look.
    Failed(SignInFailed),
}

/// Signs in whoever makes `attempt`: with a certificate of our own users authority.
pub(crate) async fn sign_in(house: &House, attempt: &Attempt<'_>) -> Result<Principal, NotSignedIn> {
    match house.sign_in(attempt.peer.certificate.as_deref(), attempt.from).await {
        Ok(principal) => Ok(principal),
        Err(SignInFailed::SignIn(error)) => Err(NotSignedIn::Denied(error.to_string())),
        Err(error @ SignInFailed::Authority(_)) => Err(NotSignedIn::Failed(error)),
    }
}
