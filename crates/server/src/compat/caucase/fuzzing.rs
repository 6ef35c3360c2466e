//! The dialect's readers of what strangers send, for those who try to break them. Nothing else has them.

use ca::Statement;
use http::{HeaderValue, Method};
use x509::{Certificate, SigningRequest};

use super::cors::{Cookie, SetCookie};
use super::{cors, envelope, hal, route};

/// What came in an envelope.
#[derive(Debug)]
pub enum Envelope {
    /// A text and a signature, not verified.
    Signed(Statement),
    /// A text.
    Unsigned(String),
}

/// Opens an envelope.
#[must_use]
pub fn envelope(body: &[u8]) -> Option<Envelope> {
    Some(match envelope::open(body).ok()? {
        envelope::Envelope::Signed(statement) => Envelope::Signed(statement),
        envelope::Envelope::Unsigned(text) => Envelope::Unsigned(text),
    })
}

/// An envelope, as JSON.
#[must_use]
pub fn seal(statement: &Statement) -> String {
    envelope::seal(statement).to_string()
}

/// Reads the payload of a renewal: the old certificate, the request, and the text that it was read from.
#[must_use]
pub fn renewal(payload: &str) -> Option<(Certificate, SigningRequest, String)> {
    let renewal = envelope::renewal(payload).ok()?;
    Some((renewal.old, renewal.request, renewal.request_text))
}

/// Reads the payload of a revocation. Whether it is one.
#[must_use]
pub fn revocation(payload: &str) -> bool {
    envelope::revocation(payload).is_ok()
}

/// Finds the handler for a path, with every method.
pub fn route(path: &str) {
    let found = route::find(path);
    for method in [Method::GET, Method::PUT, Method::POST, Method::DELETE, Method::OPTIONS] {
        let _ = route::route(&found, &method);
    }
    let _ = (route::allowed(found.node), route::allowed_cross_origin(found.node));
    if let route::Node::Authority(_) = found.node {
        let _ = hal::authority(&found.path, "https://ca.example");
    }
}

/// The fields of a form or a query.
#[must_use]
pub fn fields(text: &str) -> Vec<(String, String)> {
    let fields = cors::fields(text);
    for (name, value) in fields.iter().take(8) {
        let _ = (cors::only(&fields, name), super::return_address(value));
    }
    fields
}

/// The tokens in a `Cookie` header, as the `Set-Cookie` header that would remember them.
#[must_use]
pub fn cookie(header: &str) -> Option<String> {
    let Cookie::Tokens(tokens) = cors::read_cookie(header) else { return None };
    let header = SetCookie::Tokens(tokens).header();
    HeaderValue::try_from(&header).expect("a cookie is written with signs that a header may have");
    Some(header)
}

/// The page that asks a person.
#[must_use]
pub fn form(origin: &str, return_to: &str) -> String {
    HeaderValue::try_from(cors::challenge("https://ca.example", origin))
        .expect("a challenge is written with signs that a header may have");
    cors::form(origin, return_to)
}
