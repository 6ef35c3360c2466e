//! What a request asks for: a subject, and the names beside it.

use std::net::IpAddr;

use clap::Args;
use x509::{Extension, GeneralName, Name, PrivateKey, SigningRequest, general_name, oid};

use super::error::CaCommandError;

/// Whom a certificate is to be about.
#[derive(Debug, Default, Clone, PartialEq, Eq, Args)]
pub(super) struct Subject {
    /// The common name of the subject
    #[arg(long, value_name = "CN")]
    pub(super) name: Option<String>,
    /// A host name that it is to be valid for, perhaps with `*` as its first label; repeatable
    #[arg(long, value_name = "HOST")]
    pub(super) dns: Vec<String>,
    /// An address that it is to be valid for; repeatable
    #[arg(long, value_name = "ADDRESS")]
    pub(super) ip: Vec<IpAddr>,
    /// A mailbox that it is to be valid for; repeatable
    #[arg(long, value_name = "MAILBOX")]
    pub(super) email: Vec<String>,
    /// A URI that it is to be valid for; repeatable
    #[arg(long, value_name = "URI")]
    pub(super) uri: Vec<String>,
}

impl Subject {
    /// Whether it says anything.
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The request for it, signed by `key`.
    pub(super) fn request(&self, key: &PrivateKey) -> Result<SigningRequest, CaCommandError> {
        let (subject, extensions) = self.parts()?;
        Ok(SigningRequest::build(key, &subject, &extensions))
    }

    /// The subject and the extensions that it asks for.
    pub(super) fn parts(&self) -> Result<(Name, Vec<Extension>), CaCommandError> {
        let subject = match &self.name {
            Some(name) => Name::from_common_name(name)?,
            None => Name::empty(),
        };
        let mut names: Vec<GeneralName> = self.dns.iter().cloned().map(GeneralName::Host).collect();
        names.extend(self.ip.iter().copied().map(GeneralName::Address));
        names.extend(self.email.iter().cloned().map(GeneralName::Email));
        names.extend(self.uri.iter().cloned().map(GeneralName::Uri));
        if names.is_empty() {
            return Ok((subject, Vec::new()));
        }
        let value = general_name::write_all(&names)?;
        // Where nothing else says who it is, nobody may pass it over (RFC 5280, section 4.2.1.6).
        Ok((subject, vec![Extension { oid: oid::SUBJECT_ALT_NAME, critical: self.name.is_none(), value }]))
    }
}

#[cfg(test)]
mod tests {
    use x509::KeySpec;

    use super::super::shown::names;
    use super::*;

    #[test]
    fn what_is_asked_for_stands_in_the_request() {
        let key = PrivateKey::generate(KeySpec::P256).unwrap();
        let subject = Subject {
            name: Some("web".into()),
            dns: vec!["web.example".into(), "*.web.example".into()],
            ip: vec!["::1".parse().unwrap()],
            email: vec!["a@example.org".into()],
            uri: vec!["urn:x:y".into()],
        };
        let request = subject.request(&key).unwrap();
        let request = SigningRequest::from_pem(request.to_pem().as_bytes()).unwrap();
        assert_eq!(request.subject().to_string(), "CN=web");
        let expected =
            ["DNS:web.example", "DNS:*.web.example", "IP:::1", "email:a@example.org", "URI:urn:x:y"];
        assert_eq!(names(request.extensions()), expected);
        let alone = Subject { dns: vec!["web.example".into()], ..Subject::default() }.request(&key).unwrap();
        assert!(alone.subject().is_empty() && alone.extensions()[0].critical);
        for bad in [
            Subject { dns: vec!["two words".into()], ..Subject::default() },
            Subject { email: vec!["nobody".into()], ..Subject::default() },
            Subject { name: Some(String::new()), ..Subject::default() },
            Subject { name: Some("x".repeat(65)), ..Subject::default() },
        ] {
            assert!(bad.request(&key).is_err(), "{bad:?}");
        }
    }
}
