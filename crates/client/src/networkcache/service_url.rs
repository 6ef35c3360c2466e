//! Where one of the two services is, and who asks there.

use std::fmt;
use std::str::FromStr;

use base::Secret;
use percent_encoding::percent_decode_str;
use reqwest::Url;

use crate::credentials::Authorization;
use crate::endpoint::Endpoint;

/// The base URL of a service: `http://host/base` or `https://user:password@host:port/base`. A query and slashes at its end
/// are dropped, as old clients do. Shown without the user.
#[derive(Clone, PartialEq, Eq)]
pub struct ServiceUrl {
    base: String,
    user: Option<Authorization>,
}

/// A URL that is none of a service. What stands before an `@` may be a password, and is never shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not the URL of a cache: it begins with http:// or https:// and names a host")]
pub struct BadServiceUrl(String);

impl ServiceUrl {
    /// What a server of ours has under `path`, as `/shacache`, and who asks there.
    #[must_use]
    pub fn of(endpoint: &Endpoint, path: &str, user: Option<Authorization>) -> Self {
        Self { base: endpoint.url(path), user }
    }

    /// Whether it is spoken to through TLS.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.base.get(..8).is_some_and(|start| start.eq_ignore_ascii_case("https://"))
    }

    pub(super) fn user(&self) -> Option<&Authorization> {
        self.user.as_ref()
    }

    /// Where new bytes are posted to: no slash follows a base path.
    pub(super) fn base(&self) -> &str {
        &self.base
    }

    /// Where a server of ours takes uploads in pieces, if this may be one.
    pub(super) fn uploads(&self) -> Option<String> {
        self.base.strip_suffix("/shacache").map(|server| format!("{server}/v1/cache/uploads"))
    }

    /// Where a server of ours lists keys, if this may be one.
    pub(super) fn keys(&self) -> Option<String> {
        self.base.strip_suffix("/shadir").map(|server| format!("{server}/v1/cache/keys"))
    }

    /// The URL of what is under `path`, which is escaped.
    pub(super) fn under(&self, path: &str) -> String {
        format!("{}/{path}", self.base)
    }
}

impl FromStr for ServiceUrl {
    type Err = BadServiceUrl;

    fn from_str(text: &str) -> Result<Self, BadServiceUrl> {
        let bad =
            || BadServiceUrl(text.rsplit_once('@').map_or(text.to_owned(), |(_, rest)| format!("…@{rest}")));
        let mut url = Url::parse(text.trim()).map_err(|_| bad())?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(bad());
        }
        let decoded = |text: &str| {
            percent_decode_str(text).decode_utf8().map(|text| text.into_owned()).map_err(|_| bad())
        };
        let user = match (url.username(), url.password()) {
            ("", None) => None,
            (name, password) => Some(Authorization::Basic {
                username: decoded(name)?,
                password: Secret::new(decoded(password.unwrap_or_default())?),
            }),
        };
        url.set_username("").and_then(|()| url.set_password(None)).map_err(|()| bad())?;
        url.set_query(None);
        url.set_fragment(None);
        Ok(Self { base: url.as_str().trim_end_matches('/').to_owned(), user })
    }
}

impl fmt::Display for ServiceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.base)
    }
}

impl fmt::Debug for ServiceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServiceUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_has_no_slash_no_query_and_no_user() {
        for (text, base, user) in [
            ("http://a", "http://a", None),
            ("http://a/", "http://a", None),
            ("HTTPS://A:443/under//", "https://a/under", None),
            ("http://[::1]:8000/x?y=z#f", "http://[::1]:8000/x", None),
            ("http://a/%7Ex/\n", "http://a/%7Ex", None),
            ("https://us%40er:p%3Aw%C3%A9@a/b", "https://a/b", Some(("us@er", "p:wé"))),
            ("https://name@a", "https://a", Some(("name", ""))),
        ] {
            let url: ServiceUrl = text.parse().unwrap();
            assert_eq!((url.base(), url.to_string().as_str()), (base, base), "{text}");
            assert_eq!(url.is_https(), base.starts_with("https"));
            let expected = user.map(|(name, password): (&str, &str)| Authorization::Basic {
                username: name.into(),
                password: Secret::new(password.into()),
            });
            assert_eq!(url.user(), expected.as_ref(), "{text}");
            assert!(!format!("{url:?}").contains('@'));
        }
    }

    #[test]
    fn what_is_no_service_is_refused_and_no_password_shown() {
        for text in [
            "",
            "a:8000",
            "ftp://u:pw@a",
            "http://",
            "/shacache",
            "file:///x",
            "http://u:pw@",
            "http://%ff:pw@a",
        ] {
            let error = text.parse::<ServiceUrl>().unwrap_err();
            assert!(!format!("{error} {error:?}").contains("pw"), "{error}");
        }
    }
}
