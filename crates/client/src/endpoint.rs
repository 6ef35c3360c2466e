//! Where a server is.

use std::fmt;
use std::str::FromStr;

use reqwest::Url;

/// The base of a server's URLs, as the operator wrote it but for slashes at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint(String);

/// An endpoint that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("endpoint `{0}` is not the URL of a server: it begins with http:// or https:// and names a host")]
pub struct BadEndpoint(String);

impl Endpoint {
    /// Whether it is spoken to through TLS.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.0.get(..8).is_some_and(|start| start.eq_ignore_ascii_case("https://"))
    }

    /// The URL of `path`, which begins with a slash.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.0)
    }
}

impl FromStr for Endpoint {
    type Err = BadEndpoint;

    fn from_str(text: &str) -> Result<Self, BadEndpoint> {
        let trimmed = text.trim_end_matches('/');
        let bad = || BadEndpoint(text.to_owned());
        let url = Url::parse(trimmed).map_err(|_| bad())?;
        let fits = matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.query().is_none()
            && url.fragment().is_none();
        if fits { Ok(Self(trimmed.to_owned())) } else { Err(bad()) }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slashes_at_the_end_are_dropped() {
        for (text, url) in [
            ("http://a:8000", "http://a:8000/x"),
            ("http://a:8000/", "http://a:8000/x"),
            ("HTTPS://a/under//", "HTTPS://a/under/x"),
            ("http://[::1]:8000", "http://[::1]:8000/x"),
        ] {
            assert_eq!(text.parse::<Endpoint>().unwrap().url("/x"), url);
        }
        assert!("HTTPS://a".parse::<Endpoint>().unwrap().is_https());
        assert!(!"http://https".parse::<Endpoint>().unwrap().is_https());
    }

    #[test]
    fn what_is_no_server_is_refused() {
        for text in
            ["", "127.0.0.1:8000", "localhost:8000", "ftp://a", "http://", "http://a?b", "http://a#b", "é"]
        {
            assert_eq!(text.parse::<Endpoint>(), Err(BadEndpoint(text.to_owned())), "{text}");
        }
    }
}
