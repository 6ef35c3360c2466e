//! A requirer that is told at a URL of its own: what is posted there, how it is signed, and what an answer means.
//!
//! ```text
//! POST URL
//! Content-Type: application/json
//! Provost-Signature: t=1790000000,v1=HEX
//!
//! {"certificates": [PEM, …], "hash": HEX, "requirer": NAME, "revision": NUMBER}
//! ```
//! - `certificates` is the whole set, never a difference, in order and none twice. An empty one is a set too: whoever
//!   gets it trusts nobody on our account any more.
//! - `hash` is [`crate::hash`] of the set. The same set has the same hash, so a receiver that has applied it is done.
//! - `revision` grows with each change of the set, and may be missing.
//! - `HEX` of the signature is HMAC-SHA-256, with the secret that both know, of `t`, a dot, and the body as it came. A
//!   receiver makes it itself and compares; it refuses a `t` that is some minutes away from its own clock, and a revision
//!   that is less than the one that it has: who has listened could otherwise bring back what was withdrawn.
//!
//! An answer of 2xx is: taken. It may be a JSON object that has `applied`, the hash of what is trusted there now; then
//! that has to be the same. Whatever else is answered, or nothing, is: not delivered, and it is posted again later, so a
//! receiver has to take the same more than once. Redirections are not followed.
//!
//! Whose URL is given here, the server connects to: to hosts inside a network too, which others cannot reach. So only
//! operators give URLs. Plain HTTP goes to this very machine only. A URL often has a secret in its path: only scheme,
//! host and port are ever shown.

use core::net::{Ipv4Addr, Ipv6Addr};
use std::fmt;
use std::str::FromStr;

use base::{Explain, Kind, Secret, Timestamp, hex, hmac_sha256};
use serde_json::{Value, json};

use crate::Certificates;

/// The header with the signature.
pub const SIGNATURE: &str = "Provost-Signature";
/// What a notice is.
pub const MEDIA_TYPE: &str = "application/json";

/// The longest URL, in bytes.
const URL_BYTES_MAX: usize = 2048;
/// The shortest secret, in bytes.
const SECRET_BYTES_MIN: usize = 16;
/// How much of an answer goes into an error, in characters.
const QUOTED_MAX: usize = 200;

/// Where a requirer is told: `https://`, or `http://` on this very machine; without user and password.
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    text: String,
    /// Where its path begins, which may be at its end.
    path: usize,
}

/// A text that is not where a requirer can be told. What the text is stays out of it: there may be a secret in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadUrl {
    /// It is none, or of another kind.
    #[error("a webhook's URL is `https://host/path`")]
    Shape,
    /// It says who asks.
    #[error("a webhook's URL has neither user nor password")]
    User,
    /// It names a part of what is there.
    #[error("a webhook's URL has no fragment (`#`)")]
    Fragment,
    /// Everybody in between could change what is to be trusted.
    #[error("a webhook's URL is `https://`, but for this very machine")]
    Plain,
}

impl Explain for BadUrl {
    fn kind(&self) -> Kind {
        Kind::Invalid
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Shape | Self::Fragment => None,
            Self::User => Some(
                "what we send is signed: let the receiver look at the header `Provost-Signature`".to_owned(),
            ),
            Self::Plain => Some("`http://` goes to `localhost`, 127.0.0.1 and [::1] only".to_owned()),
        }
    }
}

impl Url {
    /// The whole, for whoever sends.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Scheme, host and port, for people.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.text[..self.path]
    }
}

impl FromStr for Url {
    type Err = BadUrl;

    /// Takes less than the standards do, so that nobody reads it as another URL than we do.
    fn from_str(text: &str) -> Result<Self, BadUrl> {
        let is_inside = |byte: u8| byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte);
        if text.len() > URL_BYTES_MAX || !text.bytes().all(is_inside) {
            return Err(BadUrl::Shape);
        }
        let (scheme, rest) = text.split_once("://").ok_or(BadUrl::Shape)?;
        let is_plain = match scheme {
            _ if scheme.eq_ignore_ascii_case("https") => false,
            _ if scheme.eq_ignore_ascii_case("http") => true,
            _ => return Err(BadUrl::Shape),
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let authority = &rest[..end];
        if authority.contains('@') {
            return Err(BadUrl::User);
        }
        if text.contains('#') {
            return Err(BadUrl::Fragment);
        }
        let is_loopback = host(authority).ok_or(BadUrl::Shape)?;
        if is_plain && !is_loopback {
            return Err(BadUrl::Plain);
        }
        Ok(Self { text: text.to_owned(), path: text.len() - rest.len() + end })
    }
}

/// Whether the host of `authority` is this very machine; nothing when it is none, or its port.
fn host(authority: &str) -> Option<bool> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(behind) => behind.split_once(']')?,
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    let is_port = port.is_empty()
        || port.strip_prefix(':').is_some_and(|port| {
            port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse().is_ok_and(|port: u16| port > 0)
        });
    if !is_port {
        return None;
    }
    if authority.starts_with('[') {
        return host.parse().ok().map(|address: Ipv6Addr| address.is_loopback());
    }
    let is_inside = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if host.is_empty() || host.starts_with('.') || !host.bytes().all(is_inside) {
        return None;
    }
    let is_loopback = host.parse().is_ok_and(|address: Ipv4Addr| address.is_loopback());
    Some(is_loopback || host.eq_ignore_ascii_case("localhost"))
}

/// The place alone: what else is in it may be a secret.
impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.place())
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Url({})", self.place())
    }
}

/// What both ends know, and nobody else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key(Secret<Vec<u8>>);

/// A secret that is too short to be one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a webhook's secret has at least {SECRET_BYTES_MIN} bytes")]
pub struct BadKey;

impl Explain for BadKey {
    fn kind(&self) -> Kind {
        Kind::Invalid
    }

    fn help(&self) -> Option<String> {
        Some("`openssl rand -hex 32` makes one".to_owned())
    }
}

impl Key {
    /// The one that is these bytes.
    ///
    /// # Errors
    /// When they are too few.
    pub fn new(secret: Secret<Vec<u8>>) -> Result<Self, BadKey> {
        if secret.expose().len() < SECRET_BYTES_MIN { Err(BadKey) } else { Ok(Self(secret)) }
    }

    /// The value of [`SIGNATURE`] for `body`, sent at `now`.
    #[must_use]
    pub fn sign(&self, now: Timestamp, body: &str) -> String {
        let time = now.as_unix();
        let code = hmac_sha256(self.0.expose(), format!("{time}.{body}").as_bytes());
        format!("t={time},v1={}", hex::encode(&code))
    }
}

/// What a requirer is told.
#[derive(Debug, Clone, Copy)]
pub struct Notice<'a> {
    /// The requirer's name.
    pub requirer: &'a str,
    /// Which state of its set this is, where states are counted.
    pub revision: Option<u64>,
    /// The whole set.
    pub certificates: &'a Certificates,
}

impl Notice<'_> {
    /// What is posted. The same notice is the same text.
    #[must_use]
    pub fn body(&self) -> String {
        let mut body = json!({
            "requirer": self.requirer,
            "hash": crate::hash(self.certificates),
            "certificates": self.certificates,
        });
        if let Some(revision) = self.revision {
            body["revision"] = revision.into();
        }
        body.to_string()
    }

    /// What an answer to it means: its status, and the beginning of its body. `url` is kept out of what is quoted.
    ///
    /// # Errors
    /// See [`Refused`].
    pub fn answered(&self, url: &Url, status: u16, body: &[u8]) -> Result<Taken, Refused> {
        match status {
            200..=299 => {}
            300..=399 => return Err(Refused::Elsewhere { status }),
            _ => return Err(Refused::Status { status, said: quoted(url, body) }),
        }
        let said: Value = serde_json::from_slice(body).unwrap_or_default();
        match said.get("applied") {
            None => Ok(Taken::Unsaid),
            Some(Value::String(applied)) if *applied == crate::hash(self.certificates) => Ok(Taken::Applied),
            Some(applied) => Err(Refused::Another { applied: quoted(url, applied.to_string().as_bytes()) }),
        }
    }
}

/// A notice was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// What became of it was not said.
    Unsaid,
    /// This very set is what is trusted there now.
    Applied,
}

/// A notice was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is to go elsewhere.
    #[error("it sends us elsewhere ({status}), and we do not go")]
    Elsewhere {
        /// The status of the answer.
        status: u16,
    },
    /// It was refused, or could not be dealt with.
    #[error("it answered {status}{}", if .said.is_empty() { String::new() } else { format!(": {said}") })]
    Status {
        /// The status of the answer.
        status: u16,
        /// How its body begins.
        said: String,
    },
    /// Something else is trusted there.
    #[error("it says that it has applied another set: {applied}")]
    Another {
        /// What it says.
        applied: String,
    },
}

impl Refused {
    /// Whether it may pass although nobody does anything about it.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Elsewhere { .. } => false,
            // Too slow, too early, too many.
            Self::Status { status, .. } => *status >= 500 || matches!(status, 408 | 425 | 429),
            Self::Another { .. } => true,
        }
    }
}

impl Explain for Refused {
    fn kind(&self) -> Kind {
        match self {
            Self::Elsewhere { .. } => Kind::Invalid,
            Self::Status { .. } => Kind::Unavailable,
            Self::Another { .. } => Kind::Conflict,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Elsewhere { .. } => Some("give the requirer the URL that it leads to".to_owned()),
            Self::Status { status: 401 | 403, .. } => {
                Some("look whether the receiver has the same secret, and the right time".to_owned())
            }
            Self::Status { .. } | Self::Another { .. } => None,
        }
    }
}

/// How a text of the receiver's begins, fit to be shown: on one line, and without what it may repeat of our URL.
fn quoted(url: &Url, text: &[u8]) -> String {
    let mut text = String::from_utf8_lossy(text).into_owned();
    let (whole, behind) = (url.as_str(), &url.as_str()[url.path..]);
    let path = behind.split('?').next().unwrap_or_default();
    for part in [whole, behind, path] {
        if part.len() > 1 {
            text = base::hide(&text, part, "(our URL)");
        }
    }
    let one_line = text.trim().chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut cut: String = one_line.take(QUOTED_MAX + 1).collect();
    if cut.chars().count() > QUOTED_MAX {
        cut.pop();
        cut.push('…');
    }
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(texts: &[&str]) -> Certificates {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    #[test]
    fn urls_are_of_somebody_who_can_be_believed() {
        for (text, expected) in [
            ("https://hooks.example.com", Ok("https://hooks.example.com")),
            ("https://hooks.example.com/a/S3CRET?b=c", Ok("https://hooks.example.com")),
            ("HTTPS://10.0.0.1:8443/", Ok("HTTPS://10.0.0.1:8443")),
            ("https://[fd00::1]:8443?x", Ok("https://[fd00::1]:8443")),
            ("http://localhost:8080/x", Ok("http://localhost:8080")),
            ("http://LocalHost/x", Ok("http://LocalHost")),
            ("http://127.1.2.3/x", Ok("http://127.1.2.3")),
            ("http://[::1]/x", Ok("http://[::1]")),
            ("http://hooks.example.com/", Err(BadUrl::Plain)),
            ("http://10.0.0.1/", Err(BadUrl::Plain)),
            ("http://localhost.example.com/", Err(BadUrl::Plain)),
            ("http://127.0.0.1.example.com/", Err(BadUrl::Plain)),
            ("http://0177.0.0.1/", Err(BadUrl::Plain)),
            ("http://2130706433/", Err(BadUrl::Plain)),
            ("http://[::ffff:10.0.0.1]/", Err(BadUrl::Plain)),
            ("https://me:S3CRET@hooks.example.com/", Err(BadUrl::User)),
            ("https://me@hooks.example.com/", Err(BadUrl::User)),
            ("http://127.0.0.1@hooks.example.com/", Err(BadUrl::User)),
            ("https://hooks.example.com/@x", Ok("https://hooks.example.com")),
            ("https://hooks.example.com/#x", Err(BadUrl::Fragment)),
            ("http://127.0.0.1\\@hooks.example.com/", Err(BadUrl::Shape)),
            ("https://a%62c/", Err(BadUrl::Shape)),
            ("https://a b/", Err(BadUrl::Shape)),
            ("https://a\n/", Err(BadUrl::Shape)),
            ("https://é/", Err(BadUrl::Shape)),
            ("https://", Err(BadUrl::Shape)),
            ("https:///x", Err(BadUrl::Shape)),
            ("https://:443/", Err(BadUrl::Shape)),
            ("https://a:/", Err(BadUrl::Shape)),
            ("https://a:0/", Err(BadUrl::Shape)),
            ("https://a:+1/", Err(BadUrl::Shape)),
            ("https://a:65536/", Err(BadUrl::Shape)),
            ("https://a:1:2/", Err(BadUrl::Shape)),
            ("https://[::1/", Err(BadUrl::Shape)),
            ("https://[::1]x/", Err(BadUrl::Shape)),
            ("https://[a]/", Err(BadUrl::Shape)),
            ("https:a", Err(BadUrl::Shape)),
            ("ftp://a/", Err(BadUrl::Shape)),
            ("file:///etc/passwd", Err(BadUrl::Shape)),
            ("", Err(BadUrl::Shape)),
        ] {
            let found: Result<Url, _> = text.parse();
            assert_eq!(found.as_ref().map(Url::place).map_err(|bad| *bad), expected, "{text}");
            if let Ok(found) = found {
                assert_eq!(found.as_str(), text);
                assert!(!format!("{found} {found:?}").contains("S3CRET"), "{found:?}");
            }
        }
        let longest = format!("https://a/{}", "x".repeat(URL_BYTES_MAX - 10));
        assert!(longest.parse::<Url>().is_ok() && format!("{longest}x").parse::<Url>().is_err());
    }

    /// Made with `printf '%s' "1790000000.$BODY" | openssl dgst -sha256 -hmac 0123456789abcdef`.
    #[test]
    fn what_is_posted_is_the_whole_set_and_is_signed() {
        let certificates = set(&["b\n", "a\n"]);
        let notice = Notice { requirer: "shop", revision: Some(7), certificates: &certificates };
        let body = notice.body();
        let hash = crate::hash(&certificates);
        assert_eq!(
            body,
            format!(r#"{{"certificates":["a\n","b\n"],"hash":"{hash}","requirer":"shop","revision":7}}"#)
        );
        let none = set(&[]);
        let bare = Notice { requirer: "shop", revision: None, certificates: &none };
        let hash = "4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945";
        assert_eq!(bare.body(), format!(r#"{{"certificates":[],"hash":"{hash}","requirer":"shop"}}"#));
        let key = |text: &[u8]| Key::new(Secret::new(text.to_vec()));
        let now = Timestamp::from_unix(1_790_000_000);
        assert_eq!(
            key(b"0123456789abcdef").unwrap().sign(now, &bare.body()),
            "t=1790000000,v1=c2199e8ab51f7c5505943723efabe4ecafa1884410d947b1aa80f9fa65478f2d"
        );
        assert_eq!(key(b"0123456789abcde"), Err(BadKey));
        assert_eq!(format!("{:?}", key(b"0123456789abcdef").unwrap()), "Key(Secret(..))");
    }

    #[test]
    fn an_answer_may_say_what_was_applied() {
        let certificates = set(&["a"]);
        let notice = Notice { requirer: "shop", revision: None, certificates: &certificates };
        let url = url("https://a/hook");
        let applied = |hash: &str| format!(r#"{{"applied":"{hash}"}}"#);
        let (this, other) = (applied(&crate::hash(&certificates)), applied(&crate::hash(&set(&[]))));
        for (status, body, expected) in [
            (200, "", Ok(Taken::Unsaid)),
            (204, "", Ok(Taken::Unsaid)),
            (202, "thanks", Ok(Taken::Unsaid)),
            (200, "{}", Ok(Taken::Unsaid)),
            (200, "[]", Ok(Taken::Unsaid)),
            (200, r#"{"applied":"#, Ok(Taken::Unsaid)),
            (200, &this, Ok(Taken::Applied)),
            (200, &other, Err(true)),
            (200, r#"{"applied":null}"#, Err(true)),
            (200, r#"{"applied":true}"#, Err(true)),
            (301, &this, Err(false)),
            (304, "", Err(false)),
            (400, &this, Err(false)),
            (404, "", Err(false)),
            (410, "", Err(false)),
            (429, "", Err(true)),
            (500, &this, Err(true)),
            (503, "", Err(true)),
            (100, "", Err(false)),
        ] {
            let found = notice.answered(&url, status, body.as_bytes()).map_err(|refused| refused.may_pass());
            assert_eq!(found, expected, "{status} {body}");
        }
    }

    #[test]
    fn what_is_quoted_is_short_and_without_our_url() {
        let certificates = set(&[]);
        let notice = Notice { requirer: "shop", revision: None, certificates: &certificates };
        let url = url("https://a.example/hooks/S3CRET?token=T0KEN");
        let long = "é".repeat(1000);
        for (body, expected) in [
            ("Cannot POST /hooks/S3CRET", "it answered 404: Cannot POST (our URL)".to_owned()),
            ("no /hooks/S3CRET?token=T0KEN here", "it answered 404: no (our URL) here".to_owned()),
            ("https://a.example/hooks/S3CRET?token=T0KEN", "it answered 404: (our URL)".to_owned()),
            (" a\r\nb\u{1b}[1m \n", "it answered 404: a  b [1m".to_owned()),
            ("", "it answered 404".to_owned()),
            (&long, format!("it answered 404: {}…", "é".repeat(QUOTED_MAX))),
        ] {
            let refused = notice.answered(&url, 404, body.as_bytes()).unwrap_err();
            assert_eq!(refused.to_string(), expected);
        }
        let refused = notice.answered(&url, 200, br#"{"applied":"/hooks/S3CRET"}"#).unwrap_err();
        assert_eq!(refused.to_string(), "it says that it has applied another set: \"(our URL)\"");
    }
}
