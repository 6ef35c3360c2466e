//! The server's own certificate: made by an authority of its own, renewed before it ends.
//!
//! It lives in one file, key first, certificate after it, mode 0600 (caucase contract, section 6.4). What
//! is in the file when the program starts is kept if it is still good.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use base::{Explain, Kind, Span, Timestamp};
use store::private_file;
use x509::{Certificate, Extension, KeyUsage, Name, NameError, PrivateKey, SigningRequest, extension};

/// What clients call the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerName {
    /// A DNS name.
    Dns(String),
    /// An address.
    Address(IpAddr),
}

impl ServerName {
    /// The one name the server authority may certify (caucase contract, section 6.1).
    ///
    /// # Errors
    /// When a DNS name has characters outside ASCII.
    pub fn constraint(&self) -> Result<Extension, NameError> {
        match self {
            Self::Dns(name) => extension::name_constraints_dns(name),
            Self::Address(address) => Ok(extension::name_constraints_address(*address)),
        }
    }

    fn alternative_name(&self) -> Result<Extension, NameError> {
        match self {
            Self::Dns(name) => extension::subject_alt_name_dns(name, true),
            Self::Address(address) => Ok(extension::subject_alt_name_address(*address, true)),
        }
    }
}

/// A certificate and its key.
#[derive(Debug, Clone)]
pub struct ServerIdentity {
    /// The certificate, without its issuer.
    pub certificate: Certificate,
    /// Its key.
    pub key: PrivateKey,
}

/// Why the server's certificate could not be had.
#[derive(Debug, thiserror::Error)]
pub enum ServerIdentityError {
    /// The file could not be read, or others may read it as well.
    #[error(transparent)]
    Read(#[from] private_file::ReadError),
    /// The file could not be written.
    #[error("could not write {}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A key could not be made.
    #[error("could not make a key for the server's certificate: {0}")]
    Key(x509::KeyError),
    /// The server's name cannot be written in a certificate.
    #[error("the server's name cannot be written in a certificate: {0}")]
    Name(NameError),
    /// The authority did not issue it.
    #[error("the server's certificate could not be issued")]
    Issue(#[from] ca::RenewError),
    /// The authority's certificates could not be read.
    #[error("the server authority could not be read")]
    Authority(#[from] ca::IssueError),
}

impl Explain for ServerIdentityError {
    fn kind(&self) -> Kind {
        match self {
            Self::Read(source) => source.kind(),
            Self::File { .. } | Self::Key(_) => Kind::Internal,
            Self::Name(_) => Kind::Invalid,
            Self::Issue(source) => source.kind(),
            Self::Authority(source) => source.kind(),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Read(source) => source.help(),
            Self::Issue(source) => source.help(),
            Self::Authority(source) => source.help(),
            Self::File { .. } => Some("see that its directory exists, may be written and has room".into()),
            Self::Key(_) | Self::Name(_) => None,
        }
    }
}

/// When a certificate is renewed: `threshold` before its end, but with no more than a third of its life
/// left, and not before half of what was left when it was made is over: dates are set back, so that of a
/// very short life most is past by then, and a new one would be due at once.
pub(crate) fn renew_at(certificate: &Certificate, threshold: Span) -> Timestamp {
    let (begin, end) = (certificate.not_before(), certificate.not_after());
    let made = begin + ca::BACK_DATED;
    (end - threshold.min((end - begin).fraction(1, 3))).max(made + (end - made).fraction(1, 2))
}

/// The identity in `file`, if it holds exactly one that is good now: a certificate under one of `anchors`
/// for `name`, and its key. Anything else in it is looked at as if there were no file.
pub(crate) fn load(
    path: &Path,
    anchors: &[Certificate],
    name: &ServerName,
    now: Timestamp,
) -> Result<Option<ServerIdentity>, ServerIdentityError> {
    let text = private_file::read(path)?;
    Ok(text.and_then(|text| parse(text.expose(), anchors, name, now)))
}

fn parse(text: &[u8], anchors: &[Certificate], name: &ServerName, now: Timestamp) -> Option<ServerIdentity> {
    let key = PrivateKey::from_pem(std::str::from_utf8(text).ok()?).ok()?;
    // Older files hold the CA certificate as well.
    let mut leaves = Certificate::all_from_pem(text).ok()?.into_iter().filter(|held| !held.is_ca());
    let certificate = leaves.next().filter(|held| held.public_key() == key.public())?;
    let names_us = certificate.extensions().contains(&name.alternative_name().ok()?);
    let is_good = leaves.next().is_none() && names_us && x509::verify(&certificate, anchors, now).is_ok();
    is_good.then_some(ServerIdentity { certificate, key })
}

/// Puts an identity into `file`, replacing what was there in one step.
pub(crate) fn save(path: &Path, identity: &ServerIdentity) -> Result<(), ServerIdentityError> {
    let text = [identity.key.to_pem().expose().as_str(), &identity.certificate.to_pem()].concat();
    private_file::replace(path, base::Secret::new(text.into_bytes()).expose())
        .map_err(|source| ServerIdentityError::File { path: path.to_owned(), source })
}

/// What the server asks its authority for: no subject, its one name, and signing in the handshake.
pub(crate) fn request(key: &PrivateKey, name: &ServerName) -> Result<SigningRequest, ServerIdentityError> {
    let usage = extension::key_usage(KeyUsage::DIGITAL_SIGNATURE, true);
    let alternative_name = name.alternative_name().map_err(ServerIdentityError::Name)?;
    Ok(SigningRequest::build(key, &Name::empty(), &[usage, alternative_name]))
}

#[cfg(test)]
mod tests {
    use base::Entropy;
    use x509::{CertificateTemplate, KeySpec, Serial};

    use super::*;

    /// A certificate with a life of `seconds`, made at 10 s.
    fn certificate(seconds: i64) -> Certificate {
        let key = PrivateKey::generate(KeySpec::Ed25519).expect("a key");
        let not_before = Timestamp::from_unix(0);
        let template = CertificateTemplate {
            serial: Serial::random(&Entropy::seeded(1)),
            issuer: Name::empty(),
            subject: Name::empty(),
            not_before,
            not_after: not_before + Span::seconds(seconds),
            public_key: key.public().clone(),
            extensions: Vec::new(),
        };
        template.sign(&key)
    }

    /// A threshold beyond the life made the original renew without end.
    #[test]
    fn a_certificate_is_never_due_when_it_is_made() {
        const DAY: i64 = 86_400;
        let check = |life: i64, threshold: i64, expected: i64| {
            let due = renew_at(&certificate(life), Span::seconds(threshold));
            assert_eq!(due.as_unix(), expected, "{life} s, {threshold} s before");
        };
        check(93 * DAY, 31 * DAY, 62 * DAY);
        check(93 * DAY, DAY, 92 * DAY);
        check(93 * DAY, 60 * DAY, 62 * DAY);
        check(21 * DAY, 31 * DAY, 14 * DAY);
        check(60, DAY, 40);
        check(22, DAY, 16);
        check(12, DAY, 11);
        check(11, DAY, 10);
    }
}
