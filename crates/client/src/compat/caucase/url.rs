//! Where a server of caucase's dialect is.

use std::fmt;
use std::str::FromStr;

use reqwest::Url;

/// The two doors of a server: plain HTTP at P, and HTTPS at P + 1, or at 443 beside 80 (caucase contract, section 2.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerUrl {
    given: String,
    plain: String,
    tls: String,
}

/// A text that does not say where a server is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadServerUrl {
    /// It is not the URL of a server.
    #[error("`{0}` is not the URL of a server: http://HOST[:PORT][/PREFIX]")]
    NotAServer(String),
    /// It names the door that is found by itself.
    #[error("`{0}` is HTTPS: give the URL of plain HTTP, whose port is one less (80 beside 443)")]
    Tls(String),
    /// It has a user's name in it.
    #[error("`{0}` has a user in it: a certificate says who asks")]
    UserInfo(String),
}

impl ServerUrl {
    /// The server that one of the two URLs names: that of plain HTTP, or that of HTTPS, whose port is one more.
    ///
    /// # Errors
    /// When it names neither.
    pub fn by_either_door(text: &str) -> Result<Self, BadServerUrl> {
        let plain = text.parse();
        let Err(BadServerUrl::Tls(shown)) = plain else { return plain };
        let bad = || BadServerUrl::NotAServer(shown.clone());
        let mut url = Url::parse(text.trim_end_matches('/')).map_err(|_| bad())?;
        let port = match url.port_or_known_default() {
            Some(443) => 80,
            Some(port) => port.checked_sub(1).filter(|port| *port > 0).ok_or_else(bad)?,
            None => return Err(bad()),
        };
        // The scheme first: the port of the other one would be left out.
        url.set_scheme("http").and_then(|()| url.set_port(Some(port))).map_err(|()| bad())?;
        url.as_str().trim_end_matches('/').parse()
    }

    /// Its URL of HTTPS.
    #[must_use]
    pub fn https(&self) -> &str {
        &self.tls
    }

    /// Whether it is the same server, however it was written.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        self.plain == other.plain
    }

    /// The URL of `path`, which begins with a slash, over plain HTTP.
    pub(super) fn plain(&self, path: &str) -> String {
        format!("{}{path}", self.plain)
    }

    /// The same over HTTPS.
    pub(super) fn tls(&self, path: &str) -> String {
        format!("{}{path}", self.tls)
    }
}

impl FromStr for ServerUrl {
    type Err = BadServerUrl;

    fn from_str(text: &str) -> Result<Self, BadServerUrl> {
        let shown = || text.rsplit_once('@').map_or(text.to_owned(), |(_, rest)| format!("…@{rest}"));
        let bad = || BadServerUrl::NotAServer(shown());
        let url = Url::parse(text.trim_end_matches('/')).map_err(|_| bad())?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(BadServerUrl::UserInfo(shown()));
        }
        if url.scheme() == "https" {
            return Err(BadServerUrl::Tls(shown()));
        }
        let fits =
            url.scheme() == "http" && url.has_host() && url.query().is_none() && url.fragment().is_none();
        if !fits {
            return Err(bad());
        }
        let port = url.port_or_known_default().ok_or_else(bad)?;
        let tls_port = if port == 80 { Some(443) } else { port.checked_add(1) };
        let host = url.host_str().ok_or_else(bad)?;
        let prefix = url.path().trim_end_matches('/');
        Ok(Self {
            given: text.to_owned(),
            plain: format!("http://{host}:{port}{prefix}"),
            tls: format!("https://{host}:{}{prefix}", tls_port.ok_or_else(bad)?),
        })
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.given)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_other_door_is_beside_the_one_that_is_named() {
        for (text, plain, tls) in [
            ("http://ca", "http://ca:80/cas", "https://ca:443/cas"),
            ("http://ca:80/", "http://ca:80/cas", "https://ca:443/cas"),
            ("http://ca:8000", "http://ca:8000/cas", "https://ca:8001/cas"),
            ("http://ca:443", "http://ca:443/cas", "https://ca:444/cas"),
            ("http://[2001:db8::1]:8009", "http://[2001:db8::1]:8009/cas", "https://[2001:db8::1]:8010/cas"),
            ("HTTP://CA:8000/under/it/", "http://ca:8000/under/it/cas", "https://ca:8001/under/it/cas"),
        ] {
            let url: ServerUrl = text.parse().unwrap();
            assert_eq!((url.plain("/cas").as_str(), url.tls("/cas").as_str()), (plain, tls));
            assert_eq!(url.to_string(), text);
        }
    }

    #[test]
    fn either_door_leads_to_the_server() {
        for (text, expected) in [
            ("http://ca:8000", "http://ca:8000"),
            ("https://ca:8001", "http://ca:8000"),
            ("https://ca:8001/under/it/", "http://ca:8000/under/it"),
            ("https://ca", "http://ca"),
            ("https://ca:81", "http://ca"),
            ("https://[2001:db8::1]:8010", "http://[2001:db8::1]:8009"),
        ] {
            let url = ServerUrl::by_either_door(text).unwrap();
            assert_eq!(url.plain("/"), expected.parse::<ServerUrl>().unwrap().plain("/"), "{text}");
        }
        for text in ["", "ca", "https://ca:1", "https://", "ftp://ca"] {
            assert!(ServerUrl::by_either_door(text).is_err(), "{text}");
        }
        let error = ServerUrl::by_either_door("https://u:secret@ca").unwrap_err().to_string();
        assert!(!error.contains("secret"), "{error}");
    }

    #[test]
    fn what_names_no_server_is_refused() {
        for text in
            ["", "ca", "ca:8000", "ftp://ca", "http://", "http://ca?x", "http://ca#x", "http://ca:65535"]
        {
            assert_eq!(text.parse::<ServerUrl>(), Err(BadServerUrl::NotAServer(text.to_owned())), "{text}");
        }
        assert!(matches!("https://ca:8001".parse::<ServerUrl>(), Err(BadServerUrl::Tls(_))));
        let error = "http://u:secret@ca".parse::<ServerUrl>().unwrap_err().to_string();
        assert!(error.starts_with("`…@ca` has a user in it"), "{error}");
    }
}
