//! What a sign-in method is, and what it may say.

use std::any::Any;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderMap, Response};

use super::attempt::Attempt;
use super::offer::Offer;
use crate::{Principal, Role};

/// One way to prove who one is. [`Stack`](super::Stack) asks one after the other.
pub trait Method: Send + Sync {
    /// What the log calls it: `password file`.
    fn name(&self) -> &'static str;

    /// Whether whoever makes the `attempt` is somebody, by this method. `offer` is what its header offers. Takes
    /// no longer than a few seconds: what cannot be found out by then is [`Verdict::Unavailable`].
    fn judge<'a>(&'a self, attempt: &'a Attempt<'a>, offer: &'a Offer) -> BoxFuture<'a, Verdict>;

    /// Takes as long as [`Self::judge`] would have taken had it known whom the `offer` names, when it did not, and left
    /// them to the next method. Asked when nobody knows who makes the `attempt`, so that the time tells nobody whom this
    /// method knows.
    fn take_as_long<'a>(&'a self, attempt: &'a Attempt<'a>, offer: &'a Offer) -> BoxFuture<'a, ()> {
        let _ = (attempt, offer);
        Box::pin(std::future::ready(()))
    }

    /// Somebody whom this method remembers, who shows the same as when it left this `trace` in
    /// [`Attempt::recent`]. Nothing when there is the least doubt; then it is asked to judge.
    fn again(&self, attempt: &Attempt<'_>, trace: &(dyn Any + Send + Sync)) -> Option<Arc<Known>> {
        let _ = (attempt, trace);
        None
    }
}

/// What a method has found out (contract of `/api/v0`, section 7.4).
#[derive(Debug)]
pub enum Verdict {
    /// This is somebody. No other method is asked.
    Success(Arc<Known>),
    /// Nothing was offered that this method judges, it did not convince, or it could not be looked at. The next
    /// method is asked.
    Failure,
    /// As a failure; and it was a password or a token, such as one guesses.
    WrongGuess,
    /// As a failure; but it could not be looked at.
    Unavailable(Away),
    /// As a failure; it was not looked at, and will not be for so long.
    TooSoon(Duration),
    /// As a failure; it was not looked at because too many others wait, and may be after so long.
    Busy(Duration),
    /// The method answers by itself. No other method is asked.
    Respond(Response<Bytes>),
}

/// What is out of reach, so that nobody can say who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Away {
    /// A service that judges.
    Service,
    /// What we keep ourselves.
    Store,
}

/// Somebody whom a method knows. Made by this crate's methods alone.
#[derive(Debug, PartialEq, Eq)]
pub struct Known {
    name: Arc<str>,
    /// What stays when they come with a new certificate, where that is not the name.
    account: Option<Arc<str>>,
    role: Role,
    headers: HeaderMap,
}

impl Known {
    /// `name` is for the history and says by which means: `user alice`.
    pub(crate) fn new(name: String, role: Role) -> Self {
        Self { name: name.into(), account: None, role, headers: HeaderMap::new() }
    }

    /// The same; what they do is counted for `account`, whatever their name says besides.
    pub(crate) fn with_account(self, account: String) -> Self {
        Self { account: Some(account.into()), ..self }
    }

    /// The same, with headers for the answer.
    #[cfg(feature = "services")]
    pub(crate) fn with_headers(self, headers: HeaderMap) -> Self {
        Self { headers, ..self }
    }

    /// How the history names it.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The headers for the answer.
    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// As a principal who comes from `source`.
    pub(crate) fn principal(&self, source: Option<IpAddr>) -> Principal {
        let account = self.account.clone().unwrap_or_else(|| self.name.clone());
        Principal::new(self.name.clone(), self.role, source).with_account(account)
    }
}
