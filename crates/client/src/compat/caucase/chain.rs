//! Which CA certificates an authority has, from the one that is known to those that followed (caucase contract, section
//! 3.3).
//!
//! An authority hands out the oldest of its CA certificates that is valid, and a chain of statements, each signed by one
//! of them, that another one follows it. Who knows any of them learns all later ones that way.

use base::{Explain, Kind, Timestamp};
use serde::Deserialize;
use x509::{Certificate, ParseError};

use super::statement::Statement;

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
    /// A statement follows another one and is about another certificate.
    #[error("the chain of CA certificates does not go from each to the next")]
    Gap,
    /// All of them have ended, and an authority always has one that has not.
    #[error("all CA certificates have ended; is the clock right?")]
    Ended,
}

impl Explain for Unusable {
    fn kind(&self) -> Kind {
        match self {
            Self::Certificate(_) | Self::Chain(_) | Self::Signature | Self::Gap | Self::Ended => {
                Kind::Invalid
            }
        }
    }
}

/// The CA certificates that an authority has and that have not ended at `now`, oldest first: what is answered to [`super::oldest`]
/// and whatever follows it in what is answered to [`super::chain()`].
///
/// # Errors
/// When one of the answers is not what it should be, or a statement is signed by somebody else: then none of it is believed.
/// And when all have ended.
pub fn certificates(oldest: &[u8], chain: &[u8], now: Timestamp) -> Result<Vec<Certificate>, Unusable> {
    let oldest = Certificate::from_pem(oldest).map_err(Unusable::Certificate)?;
    let mut certificates = vec![oldest];
    // They come oldest first. Those about certificates that ended before the oldest one say nothing.
    for statement in &statements(chain)? {
        let succession = Succession::read(statement)?;
        let is_known = |one: &Certificate| certificates.iter().any(|known| known.der() == one.der());
        if !is_known(&succession.old) {
            continue;
        }
        if !statement.is_signed_by(&succession.old) {
            return Err(Unusable::Signature);
        }
        if !is_known(&succession.new) {
            certificates.push(succession.new);
        }
    }
    certificates.retain(|certificate| certificate.not_after() >= now);
    if certificates.is_empty() { Err(Unusable::Ended) } else { Ok(certificates) }
}

/// The CA certificates that are trusted from now on by whoever trusts `known`, which are valid and signed by themselves:
/// those, and behind them whatever the chain says that follows one of them and is valid at `now` (contract, section 7.1,
/// *updateCA*).
///
/// The original begins at the newest one that is known, and learns nothing where that is none of the chain's. What a key
/// signed that is not that of the certificate it is about says nothing, and is passed over.
///
/// # Errors
/// When the chain is no list of statements, or from those that are known on does not go from each certificate to the next.
pub fn follow(known: &[Certificate], chain: &[u8], now: Timestamp) -> Result<Vec<Certificate>, Unusable> {
    let mut trusted = known.to_vec();
    // Those that are known, and those that lead from them on: what has ended leads on, too.
    let mut led = known.to_vec();
    let mut has_begun = false;
    for statement in &statements(chain)? {
        let succession = Succession::read(statement)?;
        let is = |one: &Certificate, other: &Certificate| one.der() == other.der();
        let is_known = led.iter().any(|one| is(one, &succession.old));
        if !is_known && !has_begun || !statement.is_signed_by(&succession.old) {
            continue;
        }
        if !is_known {
            return Err(Unusable::Gap);
        }
        has_begun = true;
        let new = succession.new;
        let is_valid = new.not_before() <= now && now <= new.not_after();
        if is_valid && !trusted.iter().any(|one| is(one, &new)) {
            trusted.push(new.clone());
        }
        led.push(new);
    }
    Ok(trusted)
}

/// The CA certificate with this fingerprint, the SHA-256 of its DER, if the authority has it: the oldest one, or one of those
/// that the chain is about. Who says so does not matter, as the fingerprint does.
///
/// # Errors
/// When one of the answers is not what it should be.
pub fn pinned(oldest: &[u8], chain: &[u8], fingerprint: &[u8; 32]) -> Result<Option<Certificate>, Unusable> {
    let oldest = Certificate::from_pem(oldest).map_err(Unusable::Certificate)?;
    let followed = statements(chain)?;
    let mut all = vec![oldest];
    for statement in &followed {
        // The first old one may have ended, and is the oldest no more.
        let Succession { old, new } = Succession::read(statement)?;
        all.extend([old, new]);
    }
    Ok(all.into_iter().find(|one| one.fingerprint() == *fingerprint))
}

/// Of `certificates` those on which trust can rest at `now`: CA certificates that are valid and signed by their own key.
#[must_use]
pub fn anchors(certificates: &[Certificate], now: Timestamp) -> Vec<Certificate> {
    let is_anchor = |one: &&Certificate| {
        one.is_ca()
            && one.not_before() <= now
            && now <= one.not_after()
            && one.verify_signature(one.public_key()).is_ok()
    };
    certificates.iter().filter(is_anchor).cloned().collect()
}

fn statements(chain: &[u8]) -> Result<Vec<Statement>, Unusable> {
    serde_json::from_slice(chain).map_err(|error| Unusable::Chain(error.to_string()))
}

/// What a statement of the chain says.
struct Succession {
    old: Certificate,
    new: Certificate,
}

impl Succession {
    fn read(statement: &Statement) -> Result<Self, Unusable> {
        #[derive(Deserialize)]
        struct Payload {
            old_pem: String,
            new_pem: String,
        }
        let unreadable = |error: &dyn std::error::Error| Unusable::Chain(error.to_string());
        let payload: Payload =
            serde_json::from_str(&statement.payload).map_err(|error| unreadable(&error))?;
        let certificate =
            |pem: &str| Certificate::from_pem(pem.as_bytes()).map_err(|error| unreadable(&error));
        Ok(Self { old: certificate(&payload.old_pem)?, new: certificate(&payload.new_pem)? })
    }
}

#[cfg(test)]
mod tests {
    use std::slice;

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
        let payload = json!({"old_pem": old.to_pem(), "new_pem": new.to_pem()});
        serde_json::to_value(Statement::sign(&payload, key)).unwrap()
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
    fn who_is_known_leads_to_those_who_followed() {
        let [(key_a, a), (key_b, b), (key_c, c), (key_x, x)] = [10, 20, 30, 40].map(ca);
        let (_, later) = ca(50);
        let (ab, bc, cx) = (follows(&a, &b, &key_a), follows(&b, &c, &key_b), follows(&c, &x, &key_c));
        let read = |known: &[&Certificate], statements: &[&Value], days| {
            let known: Vec<Certificate> = known.iter().map(|one| (*one).clone()).collect();
            let chain = json!(statements).to_string().into_bytes();
            follow(&known, &chain, START + Span::days(days)).map_err(|error| error.to_string())
        };
        let all = |all: &[&Certificate]| Ok(all.iter().map(|one| (*one).clone()).collect::<Vec<_>>());
        assert_eq!(read(&[&a], &[], 1), all(&[&a]));
        assert_eq!(read(&[&a], &[&ab, &bc, &cx], 1), all(&[&a, &b, &c, &x]));
        assert_eq!(read(&[&b], &[&ab, &bc], 1), all(&[&b, &c]));
        // What ended leads on, and is not trusted itself.
        assert_eq!(read(&[&a], &[&ab, &bc], 25), all(&[&a, &c]));
        // Nobody who is known, or nobody any more: nothing follows.
        assert_eq!(read(&[&x], &[&ab, &bc], 1), all(&[&x]));
        // Somebody newer is trusted as well, of whom the chain knows nothing.
        assert_eq!(read(&[&a, &x], &[&ab, &bc], 1), all(&[&a, &x, &b, &c]));
        assert_eq!(read(&[], &[&ab, &bc], 1), all(&[]));
        // Signed by somebody else, it was not said. What follows has lost its way, then.
        let forged = follows(&a, &later, &key_x);
        assert_eq!(read(&[&a], &[&forged], 1), all(&[&a]));
        assert_eq!(read(&[&a], &[&forged, &ab], 1), all(&[&a, &b]));
        assert_eq!(
            read(&[&a], &[&ab, &cx], 1),
            Err("the chain of CA certificates does not go from each to the next".into())
        );
        for (member, value) in [("digest", "md5"), ("signature", "é"), ("signature", "")] {
            let mut odd = ab.clone();
            odd[member] = value.into();
            assert_eq!(read(&[&a], &[&odd], 1), all(&[&a]));
        }
    }

    #[test]
    fn trust_rests_on_what_signed_itself_and_is_valid() {
        let ([(_, a), (_, b)], (key, _)) = ([10, 20].map(ca), ca(10));
        // Neither whom somebody else signed, nor who signed themselves and are no CA, stand for anybody.
        let other = PrivateKey::generate(KeySpec::P256).unwrap();
        let leaf = |own: &PrivateKey, signer: &PrivateKey| {
            let template = CertificateTemplate {
                serial: Serial::from_decimal("2").unwrap(),
                issuer: Name::from_common_name("ca").unwrap(),
                subject: Name::from_common_name("ca").unwrap(),
                not_before: START,
                not_after: START + Span::days(10),
                public_key: own.public().clone(),
                extensions: Vec::new(),
            };
            template.sign(signer)
        };
        let all = [a.clone(), leaf(&other, &key), leaf(&key, &key), b.clone()];
        let rest = |days| anchors(&all, START + Span::days(days));
        assert_eq!(rest(0), [a, b.clone()]);
        assert_eq!(rest(15), [b]);
        assert_eq!((rest(-1), rest(21)), (Vec::new(), Vec::new()));
    }

    #[test]
    fn who_is_pinned_is_found_wherever_it_stands() {
        let [(key_a, a), (key_b, b), (_, c), (_, x)] = [10, 20, 30, 40].map(ca);
        let chain = json!([follows(&a, &b, &key_a), follows(&b, &c, &key_b)]).to_string();
        let found =
            |one: &Certificate| pinned(a.to_pem().as_bytes(), chain.as_bytes(), &one.fingerprint()).unwrap();
        assert_eq!([&a, &b, &c].map(found), [Some(a.clone()), Some(b.clone()), Some(c.clone())]);
        assert_eq!(found(&x), None);
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
        ] {
            for read in [
                certificates(a.to_pem().as_bytes(), chain.as_bytes(), START),
                follow(slice::from_ref(&a), chain.as_bytes(), START),
            ] {
                assert!(matches!(read, Err(Unusable::Chain(_))), "{chain}: {read:?}");
            }
        }
        let error = certificates(b"<html>", b"[]", START).unwrap_err();
        assert!(matches!(error, Unusable::Certificate(_)), "{error}");
    }
}
