//! Sign-in by a TLS client certificate of some authority (contract of `/api/v0`, section 7.5).
//!
//! The TLS handshake has proved that the client has the certificate's key. Who issued it is looked at here and with
//! each request: the connection may be older than the authority's end, or than the file that names it.

use std::path::Path;
use std::sync::Arc;

use base::{Clock, Timestamp};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use x509::{Certificate, ParseError, VerifyError, extension, oid, pem};

use super::attempt::Attempt;
use super::config::ClientCertificateConfig;
use super::error::BuildError;
use super::method::{Known, Method, Verdict};
use super::offer::Offer;
use super::roles::Roles;
use super::watched_file::{self, WatchedFile};
use crate::Role;

/// What PEM calls a certificate (RFC 7468 §5).
const PEM_LABEL: &str = "CERTIFICATE";

/// The certificates of some authorities.
pub(crate) struct ClientCertificate {
    common_name: Option<String>,
    anchors: Arc<Anchors>,
    roles: Roles,
    clock: Clock,
}

/// A file with the certificates of authorities.
pub(crate) struct Anchors(WatchedFile<Vec<Certificate>>);

impl Anchors {
    /// Whether one of the authorities in the file vouches for `certificate`, for a client.
    pub(crate) fn verify(&self, certificate: &Certificate, now: Timestamp) -> Result<(), VerifyError> {
        x509::verify(certificate, &self.0.now(), now)?;
        // One for a server only is not for signing in, though the same authority made it.
        if is_for_clients(certificate) { Ok(()) } else { Err(VerifyError::UnknownIssuer) }
    }
}

impl ClientCertificate {
    pub(crate) fn new(config: ClientCertificateConfig, clock: &Clock) -> Result<Self, BuildError> {
        check_authorities(&config.ca_file)?;
        let parse = |bytes: &[u8]| match Certificate::all_from_pem(bytes) {
            Ok(certificates) if certificates.is_empty() => Err("there is no certificate in it".to_owned()),
            Ok(certificates) => Ok(certificates),
            Err(error) => Err(error.to_string()),
        };
        let file = WatchedFile::new(config.ca_file, clock.clone(), Box::new(parse));
        let common_name = config.common_name.filter(|name| !name.is_empty());
        let anchors = Arc::new(Anchors(file));
        Ok(Self { common_name, anchors, roles: config.roles, clock: clock.clone() })
    }

    /// Whose certificates count.
    pub(crate) fn anchors(&self) -> &Arc<Anchors> {
        &self.anchors
    }

    fn look(&self, certificate: &Certificate) -> Verdict {
        if let Err(error) = self.anchors.verify(certificate, self.clock.now()) {
            tracing::debug!(serial = %certificate.serial(), %error, "a client certificate is not trusted");
            return Verdict::Failure;
        }
        match found(certificate, self.common_name.as_deref(), &self.roles) {
            Some((name, role)) => {
                let account = format!("client {name}");
                let name = format!("{account} (certificate {})", certificate.serial());
                Verdict::Success(Arc::new(Known::new(name, role).with_account(account)))
            }
            None => Verdict::Failure,
        }
    }
}

impl Method for ClientCertificate {
    fn name(&self) -> &'static str {
        "client-certificate"
    }

    fn judge<'a>(&'a self, attempt: &'a Attempt<'a>, _: &'a Offer) -> BoxFuture<'a, Verdict> {
        let verdict = attempt.certificate.map_or(Verdict::Failure, |certificate| self.look(certificate));
        std::future::ready(verdict).boxed()
    }
}

/// Looks for what is wrong with the file at `path`, whose certificates are to be those of authorities.
///
/// A file that cannot be read is none of that: it may come later, and nobody signs in by it until then.
///
/// # Errors
/// When there is no certificate in it, or one that cannot be an authority's.
pub fn check_authorities(path: &Path) -> Result<(), BuildError> {
    let Ok((_, bytes)) = watched_file::bytes(path) else { return Ok(()) };
    let refuse = |reason: String| BuildError::Authorities { path: path.to_owned(), reason };
    let blocks = pem::read(&bytes, pem::SEVERAL_BYTES_MAX).map_err(|error| refuse(base::report(&error)))?;
    let certificates: Vec<_> = blocks.iter().filter(|block| block.label == PEM_LABEL).collect();
    if certificates.is_empty() {
        return Err(refuse("there is no certificate in it".to_owned()));
    }
    for (index, block) in certificates.iter().enumerate() {
        if let Err(why) = may_be_authority(&block.der) {
            let whose = Certificate::from_holder_der(&block.der);
            let whose = whose.map_or_else(|_| String::new(), |found| format!(" ({})", found.subject()));
            let number = index + 1;
            return Err(refuse(format!("certificate {number} in it{whose} cannot be an authority's: {why}")));
        }
    }
    Ok(())
}

fn may_be_authority(der: &[u8]) -> Result<(), String> {
    match Certificate::from_der(der) {
        Ok(certificate) if certificate.is_ca() => Ok(()),
        Ok(_) => Err("it does not say CA:TRUE in its basicConstraints".to_owned()),
        Err(ParseError::Version { .. }) => Err("it is not of X.509 version 3".to_owned()),
        Err(error) => Err(base::report(&error)),
    }
}

/// The common name that `certificate` signs in with, and the role: `wanted`, or its last one.
fn found(certificate: &Certificate, wanted: Option<&str>, roles: &Roles) -> Option<(String, Role)> {
    let mut names = certificate.subject().texts(&oid::COMMON_NAME);
    let name = match wanted {
        Some(wanted) => names.into_iter().find(|name| name == wanted)?,
        None => names.pop()?,
    };
    let role = roles.of(Some(&name), [])?;
    Some((name, role))
}

/// Whether the extended key usage, if there is one, has TLS clients in it (RFC 5280 §4.2.1.12).
pub(crate) fn is_for_clients(certificate: &Certificate) -> bool {
    let Some(usage) = certificate.extension(&oid::EXTENDED_KEY_USAGE) else { return true };
    let purposes = extension::parse_extended_key_usage(&usage.value).unwrap_or_default();
    purposes.iter().any(|purpose| [oid::CLIENT_AUTH, oid::ANY_EXTENDED_KEY_USAGE].contains(purpose))
}
