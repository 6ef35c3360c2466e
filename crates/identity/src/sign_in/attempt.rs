//! Somebody who wants in, and what came of it.

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Response};
use x509::Certificate;

use super::method::Away;
use super::recent::Recent;
use crate::Principal;

/// What a sign-in is judged by: one request, without its body.
#[derive(Clone, Copy)]
pub struct Attempt<'a> {
    /// The path that is asked for, percent-decoded, without the query.
    pub path: &'a str,
    /// The request's header.
    pub headers: &'a HeaderMap,
    /// The client certificate of the TLS connection, whose key the client has proved to have. Whether it is
    /// anybody's who may come in is judged here.
    pub certificate: Option<&'a Certificate>,
    /// Where the request comes from: the connection's other end, or what a trusted proxy says. Nothing when
    /// there is no such address.
    pub source: Option<IpAddr>,
    /// The connection's other end: where those who guess are counted of whom there is no `source`. Nothing when
    /// there is no connection either; all those are counted together.
    pub peer: Option<IpAddr>,
    /// What was shown last over the same connection, when there is one.
    pub recent: Option<&'a Recent>,
}

impl Attempt<'_> {
    /// Where guesses are counted.
    #[cfg_attr(not(feature = "guard"), allow(dead_code))]
    pub(crate) fn counted_at(&self) -> Option<IpAddr> {
        self.source.or(self.peer)
    }
}

/// What came of an [`Attempt`].
#[derive(Debug)]
pub enum Outcome {
    /// We know who it is.
    SignedIn(SignedIn),
    /// A method answers the request itself: send this, as it is.
    Respond(Response<Bytes>),
    /// Nobody vouches for them.
    Denied(SignInDenied),
    /// Nobody vouches for them; but somebody might, who could not be asked because our store, or the service that
    /// judges, is out of reach. That is no failed attempt of theirs, unless they guess at those whom another method
    /// knows.
    Unavailable {
        /// Which; our store, if both are.
        away: Away,
        /// Whether another method found that what they offered is wrong, or did not look because too much was.
        guessed: bool,
    },
    /// Too much is going on to look at what they offer, which may be right: they come back after so long, in whole
    /// seconds.
    Busy(Duration),
}

/// Somebody whose identity was proven.
#[derive(Debug)]
pub struct SignedIn {
    /// Who it is, and what they may do.
    pub principal: Principal,
    /// Belongs into the answer to the request, whatever that is: Keystone's `X-Subject-Token`. Empty as a rule.
    pub headers: HeaderMap,
}

/// Nobody vouches for whoever asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignInDenied {
    /// How long passwords and tokens from the same source are not even looked at, when there were too many wrong
    /// ones: whole seconds, for `Retry-After`.
    pub retry_after: Option<Duration>,
    /// Whether anything was offered as a proof: who shows nothing has not tried to sign in.
    pub offered: bool,
}
