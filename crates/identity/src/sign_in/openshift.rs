//! Sign-in by a bearer token with which an OpenShift lets one read a page (contract of `/api/v0`, section 7.5).
//!
//! If the page is a `User` object, as `…/apis/user.openshift.io/v1/users/~` is, it tells whose the token is.

use base::{Clock, Secret};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http::StatusCode;
use http::header::{ACCEPT, AUTHORIZATION, HeaderValue};
use serde_json::Value;
use zeroize::Zeroizing;

use super::attempt::Attempt;
use super::bearer::Owner;
use super::config::OpenShiftConfig;
use super::error::ServiceError;
use super::guard::{Found, Guard};
use super::method::{Method, Verdict};
use super::offer::Offer;
use super::service::{Answer, Asker};
use super::turns::Turn;

/// An OpenShift.
pub(crate) struct OpenShift {
    asker: Asker,
    config: OpenShiftConfig,
    guard: Guard,
}

impl OpenShift {
    pub(crate) fn new(config: OpenShiftConfig, guard: Guard, clock: &Clock) -> Result<Self, ServiceError> {
        Ok(Self { asker: Asker::new(&config.service, clock)?, config, guard })
    }

    async fn look(&self, attempt: &Attempt<'_>, offer: &Offer, token: &Secret<String>) -> Verdict {
        let token = token.expose().as_str();
        let look = async |turn: Turn| {
            let request = self.asker.get().header(ACCEPT, "application/json");
            let answer = self.asker.ask(request.header(AUTHORIZATION, bearer(token))).await;
            drop(turn);
            match answer {
                Ok(answer) if answer.status == StatusCode::OK => {
                    self.asker.judged();
                    owner(&answer).found("OpenShift", token, &self.config.roles)
                }
                Ok(_) => {
                    self.asker.judged();
                    Found::Nobody
                }
                Err(silence) => {
                    self.asker.tell("OpenShift could not be asked", &silence);
                    Found::Unavailable
                }
            }
        };
        self.guard.judge(attempt, offer, self.guard.key(&[token.as_bytes()]), look).await
    }
}

impl Method for OpenShift {
    fn name(&self) -> &'static str {
        "openshift"
    }

    fn judge<'a>(&'a self, attempt: &'a Attempt<'a>, offer: &'a Offer) -> BoxFuture<'a, Verdict> {
        match offer.bearer() {
            Some(token) => self.look(attempt, offer, token).boxed(),
            None => std::future::ready(Verdict::Failure).boxed(),
        }
    }
}

/// The header that shows `token`, which is visible ASCII.
pub(super) fn bearer(token: &str) -> HeaderValue {
    let text = Zeroizing::new(format!("Bearer {token}"));
    let mut value = HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static(""));
    value.set_sensitive(true);
    value
}

fn owner(answer: &Answer) -> Owner {
    let page = answer.json();
    // Any other page has names in it that are nobody's.
    if page["kind"] == "User" {
        Owner::read(&page["metadata"]["name"], &page["groups"])
    } else {
        Owner::read(&Value::Null, &Value::Null)
    }
}
