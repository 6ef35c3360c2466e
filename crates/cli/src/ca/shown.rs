//! Requests and certificates, as they are shown.

use base::{Timestamp, hex, sha256};
use serde_json::{Value, json};
use x509::{Certificate, Extension, GeneralName, Name, PublicKey, SigningRequest, general_name, oid};

use super::key_kind::kind_name;

/// What a request asks for.
pub(super) fn request_json(request: &SigningRequest) -> Value {
    json!({
        "subject": request.subject().to_string(),
        "names": names(request.extensions()),
        "key": kind_name(request.public_key().kind()),
        "key_fingerprint": key_fingerprint(request.public_key()),
        "fingerprint": hex::encode(&sha256(request.der())),
    })
}

/// The same for people.
pub(super) fn request_details(request: &SigningRequest) -> Vec<(&'static str, String)> {
    let mut others: Vec<String> = request.extensions().iter().map(|one| one.oid.to_string()).collect();
    others.retain(|one| *one != oid::SUBJECT_ALT_NAME.to_string());
    let mut details = vec![
        ("subject", subject(request.subject())),
        ("names", joined(&names(request.extensions()))),
        ("key", kind_name(request.public_key().kind())),
        ("key fingerprint", key_fingerprint(request.public_key())),
        ("fingerprint", hex::encode(&sha256(request.der()))),
    ];
    if !others.is_empty() {
        details.push(("other extensions", others.join(" ")));
    }
    details
}

/// A certificate.
pub(super) fn certificate_json(certificate: &Certificate) -> Value {
    json!({
        "subject": certificate.subject().to_string(),
        "names": names(certificate.extensions()),
        "serial": certificate.serial().to_string(),
        "key": kind_name(certificate.public_key().kind()),
        "not_before": certificate.not_before().to_string(),
        "not_after": certificate.not_after().to_string(),
        "fingerprint": hex::encode(&certificate.fingerprint()),
    })
}

/// A certificate in a few words.
pub(super) fn certificate_line(certificate: &Certificate, now: Timestamp) -> String {
    let names = names(certificate.extensions());
    let whose = match certificate.subject() {
        nobody if nobody.is_empty() && !names.is_empty() => names.join(" "),
        subject => self::subject(subject),
    };
    let subject = crate::table::one_line(&whose);
    let serial = certificate.serial();
    if certificate.not_after() < now {
        return format!("{subject}, serial {serial}, over since {}", certificate.not_after());
    }
    format!("{subject}, serial {serial}, valid for {}", certificate.not_after() - now)
}

/// `-` where there is nothing.
pub(super) fn joined(words: &[String]) -> String {
    if words.is_empty() { "-".into() } else { words.join(" ") }
}

pub(super) fn subject(name: &Name) -> String {
    if name.is_empty() { "-".into() } else { name.to_string() }
}

/// Whom something is about: a subject, and the names beside it.
pub(super) fn whom(subject: &Name, extensions: &[Extension]) -> String {
    joined(&[vec![self::subject(subject)], names(extensions)].concat())
}

/// Whether `certificate` is for all that `request` asks for. Whoever approves may add names.
pub(super) fn covers(certificate: &Certificate, request: &SigningRequest) -> bool {
    let has = names(certificate.extensions());
    certificate.subject() == request.subject()
        && names(request.extensions()).iter().all(|one| has.contains(one))
}

/// The SHA-256 of its SubjectPublicKeyInfo, which a key keeps from one certificate to the next.
fn key_fingerprint(key: &PublicKey) -> String {
    hex::encode(&sha256(key.spki()))
}

/// The names beside the subject.
pub(super) fn names(extensions: &[Extension]) -> Vec<String> {
    let Some(extension) = extensions.iter().find(|one| one.oid == oid::SUBJECT_ALT_NAME) else {
        return Vec::new();
    };
    match general_name::parse_all(&extension.value) {
        Ok(names) => names.iter().map(name).collect(),
        Err(error) => vec![format!("unreadable: {error}")],
    }
}

fn name(name: &GeneralName) -> String {
    match name {
        GeneralName::Email(text) | GeneralName::InternationalEmail(text) => format!("email:{text}"),
        GeneralName::Host(text) => format!("DNS:{text}"),
        GeneralName::Uri(text) => format!("URI:{text}"),
        GeneralName::Address(address) => format!("IP:{address}"),
        GeneralName::Directory(name) => format!("directory:{name}"),
        GeneralName::RegisteredId(oid) => format!("id:{oid}"),
        GeneralName::EdiParty => "EDI party".into(),
        GeneralName::Other(oid) => format!("other:{oid}"),
    }
}
