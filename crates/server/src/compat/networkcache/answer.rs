//! Answers and refusals. Clients look at the status alone; the body is for people.

use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use base::{Explain, Kind};
use engine::RelayError;
use http::header::{ALLOW, CONTENT_RANGE, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, StatusCode};

use super::route::Missed;
use crate::fault;
use crate::signing_in::{self, NotSignedIn};

/// When it is worth asking again for what could not be done for now.
const COME_BACK_IN: Duration = Duration::from_secs(2);

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// An answer of one text.
pub(super) fn text(status: StatusCode, text: String) -> Response {
    answer(status, TEXT, Body::from(text))
}

/// 200 with JSON.
pub(super) fn json(body: Body) -> Response {
    answer(StatusCode::OK, JSON, body)
}

fn answer(status: StatusCode, kind: HeaderValue, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

/// What is answered when something cannot be had or done.
pub(super) struct Refusal(Box<Response>);

impl Refusal {
    fn new(status: StatusCode, why: &str) -> Self {
        Self(Box::new(text(status, format!("{why}\n"))))
    }

    fn with(mut self, name: HeaderName, value: impl Into<HeaderValue>) -> Self {
        self.0.headers_mut().insert(name, value.into());
        self
    }

    fn after(self, wait: Duration) -> Self {
        self.with(RETRY_AFTER, wait.as_secs().max(1))
    }

    /// As much is being done as can be at once.
    pub(super) fn busy() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "too many are served at the moment").after(COME_BACK_IN)
    }

    /// A page of somebody else's wants to write, by the hands of whoever looks at it.
    pub(super) fn foreign_page() -> Self {
        Self::new(StatusCode::FORBIDDEN, "pages of other sites do not write here")
    }

    pub(super) fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, what)
    }

    /// There are no such bytes among the `size` that there are.
    pub(super) fn no_such_range(size: u64) -> Self {
        let refusal = Self::new(StatusCode::RANGE_NOT_SATISFIABLE, "there are no such bytes");
        match HeaderValue::try_from(format!("bytes */{size}")) {
            Ok(told) => refusal.with(CONTENT_RANGE, told),
            Err(_) => refusal,
        }
    }

    pub(super) fn not_signed_in(why: NotSignedIn) -> Self {
        match why {
            NotSignedIn::Unprotected => Self::new(StatusCode::FORBIDDEN, signing_in::UNPROTECTED),
            NotSignedIn::Unavailable(_) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, signing_in::UNAVAILABLE)
            }
            NotSignedIn::Busy(wait) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, signing_in::BUSY).after(wait)
            }
            NotSignedIn::Denied(denied) => match denied.retry_after {
                Some(wait) => {
                    Self::new(StatusCode::TOO_MANY_REQUESTS, "too many have guessed wrong").after(wait)
                }
                None => Self::new(StatusCode::UNAUTHORIZED, "a client certificate or a password is needed")
                    .with(
                        WWW_AUTHENTICATE,
                        HeaderValue::from_static("Basic realm=\"provost\", charset=\"UTF-8\""),
                    ),
            },
            NotSignedIn::NoConnection => {
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "the server could not do this")
            }
        }
    }

    /// 502 when it is the cache behind this one that has trouble, or sends what is too large.
    pub(super) fn of_relay(error: RelayError) -> Self {
        if error.is_upstreams() {
            // What exactly is for the log: it names machines that are nobody's business here.
            return Self::new(StatusCode::BAD_GATEWAY, "the cache behind this one has trouble");
        }
        match error.kind() {
            // It is not the reader who sent too much: they sent nothing.
            Kind::TooLarge => Self::new(StatusCode::BAD_GATEWAY, &base::report(&error)),
            _ => error.into(),
        }
    }

    /// What a method of signing in answers by itself.
    pub(super) fn by_method(response: Response) -> Self {
        Self(Box::new(response))
    }

    pub(super) fn into_response(self) -> Response {
        *self.0
    }
}

impl From<Missed> for Refusal {
    fn from(missed: Missed) -> Self {
        match missed {
            Missed::Path => Self::not_found("artifacts have 128 lower-case hexadecimal digits for a name"),
            Missed::NoKey => Self::not_found("there is no entry under this key"),
            Missed::Key(error) => Self::new(StatusCode::BAD_REQUEST, &error.to_string()),
            Missed::NoText => Self::new(StatusCode::BAD_REQUEST, "the path is not UTF-8"),
            Missed::Method(allowed) => Self::new(StatusCode::METHOD_NOT_ALLOWED, "that cannot be done here")
                .with(ALLOW, HeaderValue::from_static(allowed)),
        }
    }
}

impl<E: Explain> From<E> for Refusal {
    fn from(error: E) -> Self {
        let refusal = Self::new(fault::status_of(&error), &fault::told(&error));
        match error.kind() {
            Kind::Unavailable => refusal.after(COME_BACK_IN),
            _ => refusal,
        }
    }
}
