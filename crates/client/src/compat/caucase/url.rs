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
