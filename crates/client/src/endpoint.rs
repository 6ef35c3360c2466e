//! Where a server is.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use reqwest::Url;

/// The base of a server's URLs, as the operator wrote it but for slashes at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint(String);

/// An endpoint that is none.
///
/// What stands before an `@` may be a password, and is never shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadEndpoint {
    /// It is not the URL of a server.
    #[error("endpoint `{0}` is not the URL of a server: it begins with http:// or https:// and names a host")]
    NotAServer(String),
    /// It has a user's name or password in it, which would be shown wherever the endpoint is.
    #[error("endpoint `{0}` has a user in it: who asks is said apart from whom")]
    UserInfo(String),
}

impl Endpoint {
    /// Whether it is spoken to through TLS.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.0.get(..8).is_some_and(|start| start.eq_ignore_ascii_case("https://"))
    }

    /// Whether what is said to it can be read on the way: it is on another machine, and not spoken to through TLS.
    #[must_use]
    pub fn is_exposed(&self) -> bool {
        !self.is_https() && !self.is_near()
    }

    /// Whether no proxy may come between: without TLS it would read what proves who asks, and this machine is
    /// reached without one.
    pub(crate) fn is_direct(&self) -> bool {
        !self.is_https() || self.is_near()
    }

    /// Whether it is on this machine.
    fn is_near(&self) -> bool {
        let url = Url::parse(&self.0).ok();
        let host = url.as_ref().and_then(Url::host_str).unwrap_or_default();
        match host.trim_matches(['[', ']']).parse::<IpAddr>() {
            Ok(address) => address.is_loopback(),
            Err(_) => host == "localhost" || host.ends_with(".localhost"),
        }
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
        let shown = || text.rsplit_once('@').map_or(text.to_owned(), |(_, rest)| format!("…@{rest}"));
        let bad = || BadEndpoint::NotAServer(shown());
        let url = Url::parse(trimmed).map_err(|_| bad())?;
        let fits = matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.query().is_none()
            && url.fragment().is_none();
        if !fits {
            return Err(bad());
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(BadEndpoint::UserInfo(shown()));
        }
        Ok(Self(trimmed.to_owned()))
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
            assert_eq!(text.parse::<Endpoint>(), Err(BadEndpoint::NotAServer(text.to_owned())), "{text}");
        }
    }

    #[test]
    fn users_are_refused_and_never_shown() {
        for text in
            ["https://u:pw@h", "http://u@h:8000", "https://u:pw@", "ftp://u:pw@h", "u:pw@h", "https://:pw@h"]
        {
            let error = text.parse::<Endpoint>().unwrap_err();
            assert!(!format!("{error} {error:?}").contains("pw"), "{error}");
            assert!(error.to_string().contains("`…@"), "{error}");
        }
    }

    #[test]
    fn proxies_get_only_what_they_cannot_read() {
        for (text, is_direct) in [
            ("http://fleet.example", true),
            ("https://fleet.example", false),
            ("https://10.0.0.1:8001", false),
            ("https://127.0.0.1:8001", true),
            ("https://127.9.9.9", true),
            ("https://[::1]:8001", true),
            ("https://LocalHost", true),
            ("https://localhost.example", false),
        ] {
            assert_eq!(text.parse::<Endpoint>().unwrap().is_direct(), is_direct, "{text}");
        }
    }
}
