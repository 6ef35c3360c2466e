//! caucase's interface, as whoever trusts one of its authorities asks it: `/cas` and `/cau` (caucase contract, sections 3
//! and 3.3).
//!
//! An authority hands out the oldest of its CA certificates that is valid, and a chain of statements, each signed by one
//! of them, that another one follows it. Who knows any of them learns all later ones that way.

use std::fmt;
use std::str::FromStr;

use base::{Explain, Kind, Timestamp};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde::Deserialize;
use x509::{Certificate, Digest, ParseError};

use crate::request::Request;

/// One of a server's two authorities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Authority {
    /// `cas`, whose certificates services have.
    Services,
    /// `cau`, whose certificates users have.
    Users,
}

/// A text that is the name of neither.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no authority: there are `cas`, of services, and `cau`, of users")]
pub struct BadAuthority(String);

/// What a server says of its CA certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// The oldest one is no certificate.
    #[error("the CA certificate is not readable")]
    Certificate(#[source] ParseError),
    /// The chain is no list of statements.
    #[error("the chain of CA certificates is not readable: {0}")]
    Chain(String),
    /// A statement does not come from the certificate that it says it is from.
    #[error("a statement in the chain of CA certificates was not signed by the one it is about")]
    Signature,
    /// All of them have ended, and an authority always has one that has not.
    #[error("all CA certificates have ended; is the clock right?")]
    Ended,
}

impl Explain for Unusable {
    fn kind(&self) -> Kind {
        match self {
            Self::Certificate(_) | Self::Chain(_) | Self::Signature | Self::Ended => Kind::Invalid,
        }
    }
}

impl Authority {
    /// As it is called in paths.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Services => "cas",
            Self::Users => "cau",
        }
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Authority {
    type Err = BadAuthority;

    fn from_str(text: &str) -> Result<Self, BadAuthority> {
        [Self::Services, Self::Users]
            .into_iter()
            .find(|authority| authority.name() == text)
            .ok_or_else(|| BadAuthority(text.to_owned()))
    }
}

/// The oldest CA certificate that is valid, PEM.
#[must_use]
pub fn oldest(authority: Authority) -> Request {
    Request::new(Method::GET, "", &[authority.name(), "crt", "ca.crt.pem"], None)
}

/// The chain of those that followed.
#[must_use]
pub fn chain(authority: Authority) -> Request {
    Request::new(Method::GET, "", &[authority.name(), "crt", "ca.crt.json"], None)
}

/// The CA certificates that an authority has and that have not ended at `now`, oldest first: what is answered to [`oldest`]
/// and whatever follows it in what is answered to [`chain`].
///
/// # Errors
/// When one of the answers is not what it should be, or a statement is signed by somebody else: then none of it is believed.
/// And when all have ended.
pub fn certificates(oldest: &[u8], chain: &[u8], now: Timestamp) -> Result<Vec<Certificate>, Unusable> {
    let oldest = Certificate::from_pem(oldest).map_err(Unusable::Certificate)?;
    let statements: Vec<Statement> =
        serde_json::from_slice(chain).map_err(|error| Unusable::Chain(error.to_string()))?;
    let mut certificates = vec![oldest];
    // They come oldest first. Those about certificates that ended before the oldest one say nothing.
    for statement in &statements {
        let succession = statement.read()?;
        let is_known = |one: &Certificate| certificates.iter().any(|known| known.der() == one.der());
        if !is_known(&succession.old) {
            continue;
        }
        if !statement.is_signed_by(&succession.old)? {
            return Err(Unusable::Signature);
        }
        if !is_known(&succession.new) {
            certificates.push(succession.new);
        }
    }
    certificates.retain(|certificate| certificate.not_after() >= now);
    if certificates.is_empty() { Err(Unusable::Ended) } else { Ok(certificates) }
}

/// Signed JSON: the signature covers the very text.
#[derive(Deserialize)]
struct Statement {
    payload: String,
    digest: String,
    signature: String,
}

/// What a statement of the chain says.
struct Succession {
    old: Certificate,
    new: Certificate,
}

impl Statement {
    fn read(&self) -> Result<Succession, Unusable> {
        #[derive(Deserialize)]
        struct Payload {
            old_pem: String,
            new_pem: String,
        }
        let unreadable = |error: &dyn std::error::Error| Unusable::Chain(error.to_string());
        let payload: Payload = serde_json::from_str(&self.payload).map_err(|error| unreadable(&error))?;
        let certificate =
            |pem: &str| Certificate::from_pem(pem.as_bytes()).map_err(|error| unreadable(&error));
        Ok(Succession { old: certificate(&payload.old_pem)?, new: certificate(&payload.new_pem)? })
    }

    fn is_signed_by(&self, signer: &Certificate) -> Result<bool, Unusable> {
        let odd = |what: &str| Unusable::Chain(what.to_owned());
        let digest = Digest::from_name(&self.digest).ok_or_else(|| odd("an unknown digest"))?;
        let signature: String = self.signature.chars().filter(|one| !one.is_ascii_whitespace()).collect();
        let signature = STANDARD.decode(signature).map_err(|_| odd("a signature is not base64"))?;
        let said = format!("{}{} ", self.payload, self.digest);
        Ok(signer.public_key().verify_statement(digest, said.as_bytes(), &signature).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use base::Span;
    use serde_json::{Value, json};
    use x509::{CertificateTemplate, Extension, KeySpec, Name, PrivateKey, Serial, extension};

    use super::*;

    const START: Timestamp = Timestamp::from_unix(1_700_000_000);

    /// A CA certificate and its key, which ends after so many days.
    fn ca(days: i64) -> (PrivateKey, Certificate) {
        let key = PrivateKey::generate(KeySpec::P256).unwrap();
        let extensions: Vec<Extension> = vec![
            extension::subject_key_id(key.public().key_id()),
            extension::basic_constraints(true, Some(0)),
        ];
        let template = CertificateTemplate {
            serial: Serial::from_decimal("1").unwrap(),
            issuer: Name::from_common_name("ca").unwrap(),
            subject: Name::from_common_name("ca").unwrap(),
            not_before: START,
            not_after: START + Span::days(days),
            public_key: key.public().clone(),
            extensions,
        };
        let certificate = template.sign(&key);
        (key, certificate)
    }

    fn follows(old: &Certificate, new: &Certificate, key: &PrivateKey) -> Value {
        let payload = json!({"old_pem": old.to_pem(), "new_pem": new.to_pem()}).to_string();
        let signature = key.sign_statement(Digest::Sha256, format!("{payload}sha256 ").as_bytes()).unwrap();
        json!({"payload": payload, "digest": "sha256", "signature": format!("{}\n", STANDARD.encode(signature))})
    }

    #[test]
    fn whoever_follows_is_known_by_a_signature() {
        let [(key_a, a), (key_b, b), (key_c, c), (key_x, x)] = [10, 20, 30, 40].map(ca);
        let (ab, bc) = (follows(&a, &b, &key_a), follows(&b, &c, &key_b));
        let chain = |statements: &[&Value]| json!(statements).to_string().into_bytes();
        let read = |oldest: &Certificate, statements: &[&Value], days| {
            certificates(oldest.to_pem().as_bytes(), &chain(statements), START + Span::days(days))
                .map_err(|error| error.to_string())
        };
        assert_eq!(read(&a, &[], 1), Ok(vec![a.clone()]));
        assert_eq!(read(&a, &[&ab, &bc], 1), Ok(vec![a.clone(), b.clone(), c.clone()]));
        // Of one that ended there may still be a statement.
        assert_eq!(read(&b, &[&ab, &bc], 15), Ok(vec![b.clone(), c.clone()]));
        assert_eq!(read(&a, &[&ab, &bc], 15), Ok(vec![b.clone(), c.clone()]));
        assert_eq!(
            read(&a, &[&ab, &bc], 31),
            Err("all CA certificates have ended; is the clock right?".into())
        );
        // Somebody else's statement about a known one: nothing is believed.
        let wrong = "a statement in the chain of CA certificates was not signed by the one it is about";
        assert_eq!(read(&a, &[&ab, &follows(&b, &x, &key_x)], 1), Err(wrong.into()));
        assert_eq!(read(&a, &[&follows(&a, &b, &key_c)], 1), Err(wrong.into()));
        // One about somebody unknown leads nowhere.
        assert_eq!(read(&a, &[&ab, &follows(&x, &c, &key_x)], 1), Ok(vec![a, b]));
    }

    #[test]
    fn what_is_no_chain_is_not_believed() {
        let (key, a) = ca(10);
        let good = follows(&a, &a, &key);
        let with = |name: &str, value: Value| {
            let mut statement = good.clone();
            statement[name] = value;
            json!([statement]).to_string()
        };
        for chain in [
            String::new(),
            "null".into(),
            "{}".into(),
            "[1]".into(),
            with("payload", json!({})),
            with("payload", json!("{}")),
            with("payload", json!(r#"{"old_pem": "x", "new_pem": "x"}"#)),
            with("digest", json!(null)),
            with("digest", json!("md5")),
            with("signature", json!("é")),
        ] {
            let error = certificates(a.to_pem().as_bytes(), chain.as_bytes(), START).unwrap_err();
            assert!(matches!(error, Unusable::Chain(_)), "{chain}: {error}");
        }
        let error = certificates(b"<html>", b"[]", START).unwrap_err();
        assert!(matches!(error, Unusable::Certificate(_)), "{error}");
    }

    #[test]
    fn authorities_have_names() {
        assert_eq!(
            (oldest(Authority::Services).path(), "cas".parse()),
            ("/cas/crt/ca.crt.pem", Ok(Authority::Services))
        );
        assert_eq!(
            (chain(Authority::Users).path(), "cau".parse()),
            ("/cau/crt/ca.crt.json", Ok(Authority::Users))
        );
        assert!("CAS".parse::<Authority>().unwrap_err().to_string().contains("`CAS` is no authority"));
    }
}
