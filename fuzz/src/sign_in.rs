//! What somebody who wants in sends, and what operators write about users.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use identity::Role;
use identity::sign_in::{Offer, PasswordHash, Url, users};

/// Headers, users, hashes and URLs.
pub(crate) fn run(data: &[u8]) {
    if let Ok(value) = HeaderValue::from_bytes(data) {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, value.clone());
        headers.insert(HeaderName::from_static("x-auth-token"), value);
        let offer = Offer::read(&headers);
        assert!(offer.login().is_none() || offer.bearer().is_none(), "one header offers one thing");
        for token in [offer.bearer(), offer.auth_token()].into_iter().flatten() {
            assert!(
                HeaderValue::from_str(token.expose()).is_ok(),
                "what is passed on in a header fits into one"
            );
        }
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    login(text);
    if let Ok(value) = serde_json::from_str(text) {
        let (found, problems) = users(&value, Role::Reader);
        assert!(found.len() + problems.len() >= value.as_object().map_or(1, serde_json::Map::len));
    }
    if text.parse::<PasswordHash>().is_ok() {
        assert!(text.parse::<bcrypt::HashParts>().is_ok(), "what is taken for a hash can be compared to");
    }
    if let Ok(url) = text.parse::<Url>() {
        assert_eq!(url.to_string().parse(), Ok(url), "a URL that is written is read again");
    }
}

/// A name and a password come through as they are.
fn login(text: &str) {
    let value = format!("Basic {}", STANDARD.encode(text));
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, value.parse().expect("base64 fits into a header"));
    let offer = Offer::read(&headers);
    let login = offer.login().map(|login| (login.user.as_str(), login.password.expose().as_str()));
    assert_eq!(login, text.split_once(':'));
}
