//! What is answered when all is well.

use axum::body::Body;
use axum::response::Response;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, LOCATION, WARNING};
use http::{HeaderValue, Method, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;

use super::condition::{Condition, Current};
use super::refusal::Refusal;

/// What a segment of a path is written with (RFC 3986 §2.3).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Who may keep an answer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keeping {
    /// Whoever asked, if they ask again whether it still holds.
    Revalidated,
    /// Nobody.
    Never,
}

/// A status, and a document or none.
pub(super) struct Answer {
    status: StatusCode,
    document: Option<Vec<u8>>,
    tag: Option<String>,
    location: Option<String>,
    warning: Option<&'static str>,
    keeping: Keeping,
    media_type: &'static str,
}

impl Answer {
    /// 200 with a document.
    pub(super) fn ok(document: &impl Serialize) -> Self {
        let document =
            serde_json::to_vec(document).expect("documents have text for keys, and nothing in them fails");
        Self::text(document)
    }

    /// 200 with a document as text.
    pub(super) fn text(document: impl Into<Vec<u8>>) -> Self {
        let (status, document) = (StatusCode::OK, Some(document.into()));
        let (keeping, media_type) = (Keeping::Revalidated, wire::JSON);
        Self { status, document, tag: None, location: None, warning: None, keeping, media_type }
    }

    /// 200 with certificates as text.
    pub(super) fn pem(text: String) -> Self {
        Self { media_type: wire::PEM, ..Self::text(text) }
    }

    /// 204.
    pub(super) fn gone() -> Self {
        let status = StatusCode::NO_CONTENT;
        let (keeping, media_type) = (Keeping::Never, wire::JSON);
        Self { status, document: None, tag: None, location: None, warning: None, keeping, media_type }
    }

    /// What it is called in `ETag`. What has no name is called by its bytes when it is read.
    pub(super) fn tag(mut self, tag: String) -> Self {
        self.tag = Some(tag);
        self
    }

    /// What it is called when it is read: its tag, or else that of its bytes.
    pub(super) fn called(&self) -> Option<String> {
        self.tag.clone().or_else(|| self.document.as_deref().map(tag_of))
    }

    /// As [`Self::tag`], of what was just read or written.
    pub(super) fn of(self, current: Current) -> Self {
        self.tag(current.tag)
    }

    /// 201, and where it is: the segments behind `/v1`.
    pub(super) fn created(mut self, segments: &[&str]) -> Self {
        self.status = StatusCode::CREATED;
        let mut location = "/v1".to_owned();
        for segment in segments {
            location.push('/');
            location.extend(utf8_percent_encode(segment, SEGMENT));
        }
        self.location = Some(location);
        self
    }

    /// As [`Self::created`], if it is new.
    pub(super) fn created_if(self, is_new: bool, segments: &[&str]) -> Self {
        if is_new { self.created(segments) } else { self }
    }

    /// There are secrets in it.
    pub(super) fn secret(mut self) -> Self {
        self.keeping = Keeping::Never;
        self
    }

    /// Says that all is well but for this (RFC 7234 §5.5); ASCII.
    pub(super) fn warning(mut self, warning: Option<&'static str>) -> Self {
        self.warning = warning;
        self
    }

    /// The answer to a `method`; 304 when whoever reads has it already, and 412 when they want another.
    pub(super) fn into_response(mut self, method: &Method, condition: &Condition) -> Response {
        let reads = [Method::GET, Method::HEAD].contains(method);
        let may_be_kept = self.keeping == Keeping::Revalidated;
        if reads && may_be_kept {
            self.tag = self.called();
        }
        if reads && !condition.wants(self.tag.as_deref()) {
            return Refusal::not_as_expected().into_response(method);
        }
        let is_known = reads && may_be_kept && self.tag.as_deref().is_some_and(|tag| condition.has(tag));
        let mut response = Response::new(Body::empty());
        let headers = response.headers_mut();
        let keeping = if may_be_kept { "private, no-cache" } else { "no-store" };
        headers.insert(CACHE_CONTROL, HeaderValue::from_static(keeping));
        let texts = [(ETAG, self.tag.map(|tag| format!("\"{tag}\""))), (LOCATION, self.location)];
        for (name, text) in texts {
            if let Some(text) = text.and_then(|text| HeaderValue::try_from(text).ok()) {
                headers.insert(name, text);
            }
        }
        if let Some(warning) = self.warning {
            headers.insert(WARNING, HeaderValue::from_static(warning));
        }
        if is_known {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            return response;
        }
        if let Some(document) = self.document {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.media_type));
            headers.insert(CONTENT_LENGTH, document.len().into());
            if *method != Method::HEAD {
                *response.body_mut() = document.into();
            }
        }
        *response.status_mut() = self.status;
        response
    }
}

/// What bytes are called: half of their SHA-256.
pub(super) fn tag_of(bytes: &[u8]) -> String {
    base::hex::encode(&base::sha256(bytes)[..16])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_written_as_paths() {
        let answer = Answer::ok(&1).created(&["hosts", "fe80::1%eth0"]);
        let response = answer.into_response(&Method::PUT, &Condition::default());
        assert_eq!(response.status().as_u16(), 201);
        assert_eq!(response.headers()["location"], "/v1/hosts/fe80%3A%3A1%25eth0");
        assert!(!response.headers().contains_key("etag"));
    }

    #[test]
    fn what_is_read_has_a_name() {
        let read = |answer: Answer| {
            let response = answer.into_response(&Method::HEAD, &Condition::default());
            response.headers().get("etag").map(|tag| tag.to_str().unwrap().to_owned())
        };
        assert_eq!(read(Answer::ok(&1).tag("7".into())).unwrap(), "\"7\"");
        assert_ne!(read(Answer::ok(&1)).unwrap(), read(Answer::ok(&2)).unwrap());
        assert_eq!(read(Answer::ok(&1)).unwrap(), read(Answer::ok(&1)).unwrap());
        assert_eq!(read(Answer::ok(&1).secret()), None);
        assert_eq!(read(Answer::gone()), None);
    }
}
