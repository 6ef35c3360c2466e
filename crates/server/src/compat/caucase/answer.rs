//! Answers and refusals, with the headers that clients look at.

use axum::body::Body;
use axum::response::Response;
use base::Explain;
use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ALLOW, CACHE_CONTROL,
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, SET_COOKIE, VARY, WWW_AUTHENTICATE,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::cors::SetCookie;
use crate::fault;

/// What is answered when all is well.
pub(super) struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

/// What is answered when it is not. The body says why, in a few words.
///
/// Boxed, because it is the error of almost every function here and rarely happens.
pub(super) struct Refusal(Box<Answer>);

fn text(value: &str) -> HeaderValue {
    HeaderValue::try_from(value).unwrap_or_else(|_| HeaderValue::from_static(""))
}

impl Answer {
    fn new(status: StatusCode, body: impl Into<Bytes>) -> Self {
        Self { status, headers: HeaderMap::new(), body: body.into() }
    }

    fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    pub(super) fn ok(content_type: &'static str, body: impl Into<Bytes>) -> Self {
        Self::new(StatusCode::OK, body).with(CONTENT_TYPE, HeaderValue::from_static(content_type))
    }

    pub(super) fn json(document: &serde_json::Value) -> Self {
        Self::ok("application/json", document.to_string())
    }

    pub(super) fn hal(document: &serde_json::Value) -> Self {
        Self::ok("application/hal+json", document.to_string())
    }

    /// 201 with a bare number for a location, as clients of the original take it.
    pub(super) fn created(location: &str) -> Self {
        Self::new(StatusCode::CREATED, "").with(LOCATION, text(location))
    }

    pub(super) fn no_content() -> Self {
        Self::new(StatusCode::NO_CONTENT, "")
    }

    pub(super) fn found(location: HeaderValue) -> Self {
        Self::new(StatusCode::FOUND, "").with(LOCATION, location)
    }

    /// An answer to somebody who signed in.
    pub(super) fn private(self) -> Self {
        self.with(CACHE_CONTROL, HeaderValue::from_static("private"))
    }

    /// A page that no other page may show inside itself.
    pub(super) fn unframed(self) -> Self {
        self.with(CONTENT_SECURITY_POLICY, HeaderValue::from_static("frame-ancestors 'none'"))
            .with(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"))
    }

    pub(super) fn cookie(self, cookie: &SetCookie) -> Self {
        self.with(SET_COOKIE, text(&cookie.header()))
    }

    pub(super) fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }
}

impl Refusal {
    pub(super) fn new(status: StatusCode, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        let answer = Answer::new(status, reason.clone());
        if reason.is_empty() {
            return Self(Box::new(answer));
        }
        Self(Box::new(
            answer
                .with(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"))
                .with(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        ))
    }

    pub(super) fn bad_request(reason: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::BAD_REQUEST, reason.to_string())
    }

    pub(super) fn unauthorized(challenge: &str, reason: &str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, reason).with(WWW_AUTHENTICATE, text(challenge))
    }

    pub(super) fn method_not_allowed(allowed: &str) -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "").with(ALLOW, text(allowed))
    }

    /// The refusal that an error stands for. What went wrong on our side is logged, and not shown.
    pub(super) fn of(error: impl Explain) -> Self {
        Self::new(fault::status_of(&error), fault::told(&error))
    }

    pub(super) fn cookie(self, cookie: Option<&SetCookie>) -> Self {
        match cookie {
            Some(cookie) => self.with(SET_COOKIE, text(&cookie.header())),
            None => self,
        }
    }

    fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.insert(name, value);
        self
    }

    pub(super) fn into_response(self) -> Response {
        self.0.into_response()
    }
}

/// Tells the browser that pages of `origin` may see this answer; with `methods`, what they may send.
pub(super) fn allow_origin(mut response: Response, origin: &str, methods: Option<&str>) -> Response {
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, text(origin));
    headers.append(VARY, HeaderValue::from_static("Origin"));
    match methods {
        Some(methods) => {
            headers.insert(ACCESS_CONTROL_ALLOW_METHODS, text(methods));
            headers
                .insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("Content-Type, User-Agent"));
        }
        None => {
            let exposed = HeaderValue::from_static("Location, WWW-Authenticate");
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
        }
    }
    response
}
