//! Which web pages of other origins may use this server from a browser (caucase contract, section 5).
//!
//! A person grants or denies an origin once, in a form over HTTPS; a cookie remembers it in a token that
//! only this server can make.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::hmac;
use base::{Clock, Entropy, Explain, Kind, Secret, Span, Timestamp};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use store::private_file;

use crate::compat::percent;

/// How long a token secret is good.
const SECRET_LIFE: Span = Span::days(365);

/// What becomes of a request that names an origin.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Decision {
    Allowed,
    /// 403.
    Refused,
    /// 401: the person has to be asked. With what must happen to the cookie.
    Ask(Option<SetCookie>),
}

/// What the answer does to the cookie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum SetCookie {
    /// It could not be read: remove it.
    Remove,
    /// These tokens and no others.
    Tokens(BTreeMap<String, String>),
}

/// What is looked at.
pub(super) struct Asked<'a> {
    pub(super) origin: &'a str,
    /// Whether everybody may ask this: preflights and the documents that say what can be done.
    pub(super) harmless: bool,
    /// Whether this is the answer to the form.
    pub(super) is_form_answer: bool,
    /// The `Cookie` headers' value.
    pub(super) cookie: Option<&'a str>,
}

/// Makes and knows tokens, and the origins that need none.
pub(super) struct Cors {
    whitelist: Vec<String>,
    secrets: Mutex<Secrets>,
    path: PathBuf,
    clock: Clock,
    entropy: Entropy,
}

/// Why an answer cannot be remembered: the secret that would sign it could not be stored.
#[derive(Debug, thiserror::Error)]
pub(super) enum RememberError {
    /// There is no room left for it, or no more may be taken.
    #[error("the disk is full, so that the answer cannot be remembered")]
    Full,
    /// The system does not let us.
    #[error("could not store the CORS secrets in {}", path.display())]
    Files { path: PathBuf, source: io::Error },
}

impl Explain for RememberError {
    fn kind(&self) -> Kind {
        match self {
            Self::Full => Kind::Full,
            Self::Files { .. } => Kind::Internal,
        }
    }
}

#[derive(Default)]
struct Secrets(Vec<(Timestamp, Secret<Vec<u8>>)>);

impl Cors {
    /// Reads the secrets in the file at `path`; without one, or when it cannot be read, there are none yet.
    pub(super) fn open(whitelist: Vec<String>, path: PathBuf, clock: Clock, entropy: Entropy) -> Self {
        let secrets = match private_file::read(&path) {
            Ok(Some(text)) => Secrets::parse(text.expose()).unwrap_or_else(|| {
                tracing::warn!(path = %path.display(), "the CORS secrets cannot be read; people will be asked again");
                Secrets::default()
            }),
            Ok(None) => Secrets::default(),
            Err(error) => {
                let hint = error.help();
                tracing::warn!(error = %base::report(&error), hint, "the CORS secrets are not used; people will be asked again");
                Secrets::default()
            }
        };
        Self { whitelist, secrets: Mutex::new(secrets), path, clock, entropy }
    }

    /// The first rule that applies, as in section 5.1.
    pub(super) fn decide(&self, asked: &Asked<'_>) -> Decision {
        if asked.harmless || self.whitelist.iter().any(|listed| listed == asked.origin) {
            return Decision::Allowed;
        }
        if asked.is_form_answer || asked.origin == "null" {
            return Decision::Refused;
        }
        let mut tokens = match asked.cookie.map(read_cookie) {
            None | Some(Cookie::Absent) => return Decision::Ask(None),
            Some(Cookie::Unreadable) => return Decision::Ask(Some(SetCookie::Remove)),
            Some(Cookie::Tokens(tokens)) => tokens,
        };
        match tokens.get(asked.origin).map(|token| self.verify(token, asked.origin)) {
            None => Decision::Ask(None),
            Some(Some(true)) => Decision::Allowed,
            Some(Some(false)) => Decision::Refused,
            Some(None) => {
                tokens.remove(asked.origin);
                Decision::Ask(Some(SetCookie::Tokens(tokens)))
            }
        }
    }

    /// The cookie that remembers an answer, beside those given before.
    ///
    /// # Errors
    /// When a new secret could not be stored.
    pub(super) fn remember(
        &self,
        cookie: Option<&str>,
        origin: &str,
        granted: bool,
    ) -> Result<SetCookie, RememberError> {
        let mut tokens = match cookie.map(read_cookie) {
            Some(Cookie::Tokens(tokens)) => tokens,
            _ => BTreeMap::new(),
        };
        tokens.insert(origin.to_owned(), self.sign(origin, granted)?);
        Ok(SetCookie::Tokens(tokens))
    }

    fn verify(&self, token: &str, origin: &str) -> Option<bool> {
        let now = self.clock.now();
        let secrets = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        let valid = secrets.0.iter().filter(|(expiry, _)| *expiry >= now);
        valid
            .into_iter()
            .find_map(|(_, secret)| verify_token(token, secret.expose()))
            .and_then(|claims| (claims.p.o == origin).then_some(claims.p.a))
    }

    fn sign(&self, origin: &str, granted: bool) -> Result<String, RememberError> {
        let now = self.clock.now();
        let mut secrets = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        secrets.0.retain(|(expiry, _)| *expiry >= now);
        let newest = secrets.0.iter().map(|(expiry, _)| *expiry).max();
        if newest.is_none_or(|newest| newest - now < SECRET_LIFE.fraction(1, 2)) {
            let mut more = Secrets(secrets.0.clone());
            more.0.push((now + SECRET_LIFE, Secret::new(self.entropy.bytes::<32>().to_vec())));
            // Stored before it is used: what it signs must hold after a restart.
            private_file::replace(&self.path, &more.text()).map_err(|error| self.not_stored(error))?;
            *secrets = more;
        }
        let (_, secret) =
            secrets.0.iter().max_by_key(|(expiry, _)| *expiry).expect("one was made above if there was none");
        Ok(make_token(&Claims { p: Permission { a: granted, o: origin.to_owned() } }, secret.expose()))
    }

    fn not_stored(&self, source: io::Error) -> RememberError {
        match source.kind() {
            // A quota, and a limit on the size of files, are told like a full disk, as the store's are.
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                RememberError::Full
            }
            _ => RememberError::Files { path: self.path.clone(), source },
        }
    }
}

impl Secrets {
    /// `[[expiry, key in base64], …]`, expiry in seconds since 1970, perhaps with a fraction.
    fn parse(text: &[u8]) -> Option<Self> {
        let stored: Vec<(f64, String)> = serde_json::from_slice(text).ok()?;
        let secret = |(expiry, key): (f64, String)| {
            #[expect(clippy::cast_possible_truncation, reason = "`as` saturates, which is what is wanted")]
            Some((Timestamp::from_unix(expiry as i64), Secret::new(STANDARD.decode(key).ok()?)))
        };
        stored.into_iter().map(secret).collect::<Option<Vec<_>>>().map(Self)
    }

    fn text(&self) -> Vec<u8> {
        let stored: Vec<(i64, String)> =
            self.0.iter().map(|(expiry, key)| (expiry.as_unix(), STANDARD.encode(key.expose()))).collect();
        serde_json::to_vec(&stored).expect("numbers and text are always JSON")
    }
}

/// What a token says: whether this origin may.
#[derive(Serialize, Deserialize)]
struct Claims {
    p: Permission,
}

#[derive(Serialize, Deserialize)]
struct Permission {
    a: bool,
    o: String,
}

/// A JSON Web Token, HS256 only (RFC 7519, RFC 7515).
fn make_token(claims: &Claims, secret: &[u8]) -> String {
    let header = URL_SAFE_NO_PAD.encode(br#"{"alg":"HS256","typ":"JWT"}"#);
    let claims = serde_json::to_vec(claims).expect("text and a boolean are always JSON");
    let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag.as_ref()))
}

fn verify_token(token: &str, secret: &[u8]) -> Option<Claims> {
    #[derive(Deserialize)]
    struct Header {
        alg: String,
    }
    let (signed, tag) = token.rsplit_once('.')?;
    let (header, claims) = signed.split_once('.')?;
    let header: Header = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).ok()?).ok()?;
    let tag = URL_SAFE_NO_PAD.decode(tag).ok()?;
    if header.alg != "HS256" {
        return None;
    }
    // In constant time.
    hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, secret), signed.as_bytes(), &tag).ok()?;
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()
}

/// The cookie `cors` among all that a browser sent.
pub(super) enum Cookie {
    Absent,
    Unreadable,
    Tokens(BTreeMap<String, String>),
}

/// Finds it in the `Cookie` header's value.
pub(super) fn read_cookie(header: &str) -> Cookie {
    let Some(value) = header.split(';').find_map(|pair| pair.trim().strip_prefix("cors=")) else {
        return Cookie::Absent;
    };
    match unquote(value).and_then(|text| serde_json::from_str(&text).ok()) {
        Some(tokens) => Cookie::Tokens(tokens),
        None => Cookie::Unreadable,
    }
}

/// Reads a quoted cookie string: `\"`, `\\`, and octal escapes such as `\054` for a comma.
fn unquote(value: &str) -> Option<String> {
    let Some(quoted) = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return Some(value.to_owned());
    };
    let mut bytes = quoted.bytes();
    let mut text = Vec::with_capacity(quoted.len());
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            text.push(byte);
            continue;
        }
        match bytes.next()? {
            digit @ b'0'..=b'3' => {
                let octal = [digit, bytes.next()?, bytes.next()?];
                text.push(u8::from_str_radix(std::str::from_utf8(&octal).ok()?, 8).ok()?);
            }
            other => text.push(other),
        }
    }
    String::from_utf8(text).ok()
}

/// Writes a quoted cookie string; everything a cookie may not hold (RFC 6265 §4.1.1) as an octal escape.
fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for byte in text.bytes() {
        match byte {
            b'"' => quoted.push_str("\\\""),
            b'\\' => quoted.push_str("\\\\"),
            b',' | b';' | 0..=0x1f | 0x7f.. => quoted.push_str(&format!("\\{byte:03o}")),
            _ => quoted.push(char::from(byte)),
        }
    }
    quoted.push('"');
    quoted
}

impl SetCookie {
    /// The header's value. `SameSite=None`, because pages of other origins send it, which browsers accept
    /// only with `Secure`; no script needs to read it.
    pub(super) fn header(&self) -> String {
        match self {
            Self::Remove => {
                "cors=\"\"; expires=Thu, 01 Jan 1970 00:00:00 GMT; Path=/; SameSite=None; Secure; HttpOnly"
                    .into()
            }
            Self::Tokens(tokens) => {
                let json = serde_json::to_string(tokens).expect("text is always JSON");
                format!("cors={}; Max-Age=31536000; Path=/; SameSite=None; Secure; HttpOnly", quote(&json))
            }
        }
    }
}

/// The page that asks. Every value is escaped; nothing on it comes from elsewhere.
pub(super) fn form(origin: &str, return_to: &str) -> String {
    let (origin, return_to) = (escape(origin), escape(return_to));
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Access request</title></head>\n\
         <body><main><h1>Access request</h1>\n\
         <p>The site <strong>{origin}</strong> asks to use this certificate authority in your name.</p>\n\
         <form action=\"cors\" method=\"post\">\n\
         <input type=\"hidden\" name=\"return_to\" value=\"{return_to}\">\n\
         <input type=\"hidden\" name=\"origin\" value=\"{origin}\">\n\
         <button name=\"grant\" value=\"0\">Deny</button>\n\
         <button name=\"grant\" value=\"1\">Grant</button>\n\
         </form></main></body></html>\n"
    )
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#x27;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// Percent-encodes everything but letters, digits and `keep`.
fn percent_encode(text: &str, keep: &[u8]) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || keep.contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// What `WWW-Authenticate` says to a page that is not allowed yet: where to send the browser. The page
/// fills `return` into the template.
pub(super) fn challenge(https: &str, origin: &str) -> String {
    let template = format!("{https}/cors?origin={}{{&return}}", percent_encode(origin, b"_.-~"));
    format!("cors url={}", percent_encode(&template, b"_.-~/"))
}

/// The fields of a form or a query, in order: `a=1&b=x+y` (application/x-www-form-urlencoded).
pub(super) fn fields(text: &str) -> Vec<(String, String)> {
    let decode = |text: &str| percent::decode(&text.replace('+', " ")).into_owned();
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value))
        })
        .collect()
}

/// The one value of a field; `None` when it is missing or given more than once.
pub(super) fn only<'f>(fields: &'f [(String, String)], name: &str) -> Option<&'f str> {
    let mut values = fields.iter().filter(|(known, _)| known == name);
    match (values.next(), values.next()) {
        (Some((_, value)), None) => Some(value),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault;

    fn cors(directory: &tempfile::TempDir) -> Cors {
        let clock = Clock::manual(Timestamp::from_unix(1_000_000));
        Cors::open(
            vec!["https://listed".into()],
            directory.path().join("cors.key"),
            clock,
            Entropy::seeded(1),
        )
    }

    fn asked<'a>(origin: &'a str, cookie: Option<&'a str>) -> Asked<'a> {
        Asked { origin, harmless: false, is_form_answer: false, cookie }
    }

    /// What a browser sends back of a `Set-Cookie` header.
    fn sent(cookie: &SetCookie) -> String {
        cookie.header().split(';').next().expect("there is always a first part").to_owned()
    }

    #[test]
    fn the_first_rule_that_applies_decides() {
        let directory = tempfile::tempdir().expect("a directory");
        let cors = cors(&directory);
        assert_eq!(cors.decide(&asked("https://listed", None)), Decision::Allowed);
        assert_eq!(cors.decide(&Asked { harmless: true, ..asked("null", None) }), Decision::Allowed);
        assert_eq!(
            cors.decide(&Asked { is_form_answer: true, ..asked("https://a", None) }),
            Decision::Refused
        );
        assert_eq!(cors.decide(&asked("null", None)), Decision::Refused);
        assert_eq!(cors.decide(&asked("https://a", None)), Decision::Ask(None));
        assert_eq!(cors.decide(&asked("https://a", Some("other=1"))), Decision::Ask(None));
        assert_eq!(cors.decide(&asked("https://a", Some("cors=x"))), Decision::Ask(Some(SetCookie::Remove)));
    }

    #[test]
    fn an_answer_is_remembered_for_its_origin_only() {
        let directory = tempfile::tempdir().expect("a directory");
        let cors = cors(&directory);
        let granted = sent(&cors.remember(None, "https://a,b;c", true).expect("the secret is stored"));
        let both = sent(&cors.remember(Some(&granted), "https://d", false).expect("the secret is there"));
        let both = format!("x=y; {both}");
        assert_eq!(cors.decide(&asked("https://a,b;c", Some(&both))), Decision::Allowed);
        assert_eq!(cors.decide(&asked("https://d", Some(&both))), Decision::Refused);
        assert_eq!(cors.decide(&asked("https://e", Some(&both))), Decision::Ask(None));
        // A token for one origin says nothing about another.
        let stolen = both.replace("https://d", "https://e");
        let Decision::Ask(Some(SetCookie::Tokens(left))) = cors.decide(&asked("https://e", Some(&stolen)))
        else {
            panic!("a stolen token was taken");
        };
        assert_eq!(left.len(), 1, "the stolen token is dropped");
    }

    #[test]
    fn secrets_survive_a_restart_and_expire_after_a_year() {
        let directory = tempfile::tempdir().expect("a directory");
        let first = cors(&directory);
        let cookie = sent(&first.remember(None, "https://a", true).expect("the secret is stored"));
        let second = cors(&directory);
        assert_eq!(second.decide(&asked("https://a", Some(&cookie))), Decision::Allowed);
        second.clock.advance(Span::days(366));
        assert!(matches!(second.decide(&asked("https://a", Some(&cookie))), Decision::Ask(Some(_))));
    }

    /// What could not be stored for want of room is told as that; any other cause is ours to know.
    #[test]
    fn a_secret_that_cannot_be_stored_signs_nothing() {
        let directory = tempfile::tempdir().expect("a directory");
        let cors = cors(&directory);
        let full = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded, io::ErrorKind::FileTooLarge];
        for kind in full {
            let error = cors.not_stored(kind.into());
            assert_eq!(
                (error.kind().http_status(), fault::told(&error).contains("disk is full")),
                (507, true)
            );
        }
        drop(directory);
        let error = cors.remember(None, "https://a", true).expect_err("the directory is gone");
        assert!(base::report(&error).contains("cors.key"), "{error:?}");
        assert_eq!(error.kind().http_status(), 500);
        assert_eq!(fault::told(&error), "the server could not do this; its log says why");
        assert!(cors.secrets.lock().expect("nobody panicked").0.is_empty());
    }

    #[test]
    fn an_empty_or_garbled_key_file_is_as_none() {
        let directory = tempfile::tempdir().expect("a directory");
        for text in ["", "[", "[[1]]", "[[1,\"é\"]]"] {
            private_file::replace(&directory.path().join("cors.key"), text.as_bytes()).expect("a file");
            let cookie = cors(&directory).remember(None, "https://a", true);
            assert!(cookie.is_ok(), "{text}");
        }
    }

    #[test]
    fn tokens_of_other_algorithms_are_refused() {
        let none =
            format!("{}.{}.", URL_SAFE_NO_PAD.encode(br#"{"alg":"none"}"#), URL_SAFE_NO_PAD.encode(b"{}"));
        assert!(verify_token(&none, b"secret").is_none());
        let good = make_token(&Claims { p: Permission { a: true, o: "o".into() } }, b"secret");
        assert!(verify_token(&good, b"secret").is_some());
        assert!(verify_token(&good, b"other").is_none());
        assert!(verify_token(&good[..good.len() - 1], b"secret").is_none());
    }

    #[test]
    fn values_on_the_page_are_escaped() {
        let page = form("https://a\"><script>", "https://b/'&");
        assert!(page.contains("value=\"https://a&quot;&gt;&lt;script&gt;\""));
        assert!(page.contains("value=\"https://b/&#x27;&amp;\""));
    }

    #[test]
    fn the_challenge_is_a_quoted_template() {
        assert_eq!(
            challenge("https://h:8001", "http://a:1"),
            "cors url=https%3A//h%3A8001/cors%3Forigin%3Dhttp%253A%252F%252Fa%253A1%7B%26return%7D"
        );
    }

    #[test]
    fn a_field_counts_when_it_is_given_once() {
        let parsed = fields("a=1+2&b=%26&c&b=2&");
        assert_eq!(only(&parsed, "a"), Some("1 2"));
        assert_eq!(only(&parsed, "b"), None);
        assert_eq!(only(&parsed, "c"), Some(""));
        assert_eq!(only(&parsed, "d"), None);
    }
}
