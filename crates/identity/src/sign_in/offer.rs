//! What a request's header offers to prove who asks.
//!
//! ```text
//! Authorization: Basic BASE64        a name and a password, split at the first colon (RFC 7617)
//! Authorization: Bearer TOKEN        a token (RFC 6750 §2.1)
//! Authorization: bearer: TOKEN       the same, as Commissaire's plugin expected it
//! X-Auth-Token: TOKEN                a token of Keystone's
//! ```
//! Schemes are compared without regard to case. What is malformed, or there twice, offers nothing.

use std::sync::atomic::{AtomicBool, Ordering};

use base::Secret;
use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName};
use zeroize::Zeroizing;

/// Keystone's header for tokens (Identity API v3).
const X_AUTH_TOKEN: HeaderName = HeaderName::from_static("x-auth-token");

/// The standard alphabet. Clients differ about padding, and it says nothing.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What a request offers. Nothing of it is shown by `Debug`.
#[derive(Debug, Default)]
pub struct Offer {
    authorization: Option<Authorization>,
    auth_token: Option<Secret<String>>,
    is_counted: AtomicBool,
}

#[derive(Debug)]
enum Authorization {
    Basic(Login),
    Bearer(Secret<String>),
}

/// A name and a password.
#[derive(Debug)]
pub struct Login {
    /// The user's name, which may be empty.
    pub user: String,
    /// The password, which may be empty.
    pub password: Secret<String>,
}

impl Offer {
    /// Reads what `headers` offer.
    #[must_use]
    pub fn read(headers: &HeaderMap) -> Self {
        Self {
            authorization: only(headers, &AUTHORIZATION).and_then(authorization),
            auth_token: only(headers, &X_AUTH_TOKEN)
                .map(str::trim)
                .filter(|token| is_token(token))
                .map(|token| Secret::new(token.to_owned())),
            is_counted: AtomicBool::new(false),
        }
    }

    /// The name and password of HTTP's Basic authentication.
    #[must_use]
    pub fn login(&self) -> Option<&Login> {
        match &self.authorization {
            Some(Authorization::Basic(login)) => Some(login),
            _ => None,
        }
    }

    /// Whom a guess is about: the name beside the password, or nobody by name when it is a token.
    #[cfg_attr(not(feature = "guard"), allow(dead_code))]
    pub(crate) fn user(&self) -> &str {
        self.login().map_or("", |login| &login.user)
    }

    /// Whether it was counted as a wrong guess already. Several methods may find that of the same one.
    #[cfg_attr(not(feature = "guard"), allow(dead_code))]
    pub(crate) fn is_counted(&self) -> bool {
        self.is_counted.load(Ordering::Relaxed)
    }

    /// That it is counted now; whether it was not before.
    pub(crate) fn count(&self) -> bool {
        !self.is_counted.swap(true, Ordering::Relaxed)
    }

    /// Whether there is anything that could prove who asks.
    pub(crate) fn is_empty(&self) -> bool {
        self.authorization.is_none() && self.auth_token.is_none()
    }

    /// The bearer token. Visible ASCII.
    #[must_use]
    pub fn bearer(&self) -> Option<&Secret<String>> {
        match &self.authorization {
            Some(Authorization::Bearer(token)) => Some(token),
            _ => None,
        }
    }

    /// The token for Keystone. Visible ASCII.
    #[must_use]
    pub fn auth_token(&self) -> Option<&Secret<String>> {
        self.auth_token.as_ref()
    }
}

/// The value of a header that is there once, and is text.
pub(super) fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    if values.next().is_some() { None } else { value.to_str().ok() }
}

fn authorization(value: &str) -> Option<Authorization> {
    let (scheme, credentials) = value.trim().split_once(' ')?;
    let credentials = credentials.trim();
    if scheme.eq_ignore_ascii_case("basic") {
        basic(credentials).map(Authorization::Basic)
    } else if scheme.eq_ignore_ascii_case("bearer") || scheme.eq_ignore_ascii_case("bearer:") {
        is_token(credentials).then(|| Authorization::Bearer(Secret::new(credentials.to_owned())))
    } else {
        None
    }
}

fn basic(credentials: &str) -> Option<Login> {
    let bytes = Zeroizing::new(BASE64.decode(credentials).ok()?);
    let (user, password) = std::str::from_utf8(&bytes).ok()?.split_once(':')?;
    Some(Login { user: user.to_owned(), password: Secret::new(password.to_owned()) })
}

/// Whether it may be sent on in a header and in JSON as it is.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(headers: &[(&str, &[u8])]) -> Offer {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name: HeaderName = name.parse().unwrap();
            map.append(name, http::HeaderValue::from_bytes(value).unwrap());
        }
        Offer::read(&map)
    }

    #[test]
    fn basic_is_a_name_and_a_password() {
        let check = |value: &str, expected: Option<(&str, &str)>| {
            let offer = read(&[("authorization", value.as_bytes())]);
            let found = offer.login().map(|login| (login.user.as_str(), login.password.expose().as_str()));
            assert_eq!(found, expected, "{value}");
        };
        check("Basic YWxpY2U6c2VjcmV0", Some(("alice", "secret")));
        check("bAsIc   YWxpY2U6c2VjcmV0  ", Some(("alice", "secret")));
        check("Basic YTpiOmM=", Some(("a", "b:c")));
        check("Basic YTpiOmM", Some(("a", "b:c")));
        check("Basic Og==", Some(("", "")));
        check("Basic w6k6w7w=", Some(("é", "ü")));
        check("Basic YWxpY2U=", None); // no colon
        check("Basic /zr/", None); // not UTF-8
        check("Basic !!!!", None);
        check("Basic", None);
        check("Basic ", None);
        check("Digest YWxpY2U6c2VjcmV0", None);
        check("", None);
    }

    #[test]
    fn bearers_may_say_it_in_two_ways() {
        let check = |value: &str, expected: Option<&str>| {
            let offer = read(&[("authorization", value.as_bytes())]);
            assert_eq!(offer.bearer().map(|token| token.expose().as_str()), expected, "{value}");
        };
        check("Bearer abc.DEF-_~+/=", Some("abc.DEF-_~+/="));
        check("bearer: abc", Some("abc"));
        check("BEARER abc", Some("abc"));
        check("bearer:abc", None);
        check("Bearer a b", None);
        check("Bearer ", None);
        check("Basic YWxpY2U6c2VjcmV0", None);
    }

    #[test]
    fn what_is_there_twice_offers_nothing() {
        let offer = read(&[("authorization", b"Bearer a"), ("authorization", b"Bearer b")]);
        assert!(offer.bearer().is_none());
        let offer = read(&[("x-auth-token", b"a"), ("X-Auth-Token", b"b")]);
        assert!(offer.auth_token().is_none());
        let offer = read(&[("x-auth-token", b" a "), ("authorization", b"Bearer \xff")]);
        assert_eq!(offer.auth_token().map(|token| token.expose().as_str()), Some("a"));
        assert!(offer.bearer().is_none());
    }

    #[test]
    fn nothing_of_it_is_shown() {
        let offer = read(&[("authorization", b"Basic YWxpY2U6c2VjcmV0"), ("x-auth-token", b"hush")]);
        let shown = format!("{offer:?}");
        assert!(!shown.contains("secret") && !shown.contains("hush"), "{shown}");
    }
}
