//! TLS towards somebody else's server: whom we believe to be it, who we are to it, and by which clock.
//!
//! 1.2 and 1.3 are spoken (RFC 5246, RFC 8446), by the one cryptography of the process. Whoever connects makes a
//! [`config`] of what an operator said, and hands it to their HTTP client.
//!
//! **Invariant:** nobody is believed unseen but by [`Trust::Anyone`], which only an operator's own words may become.

mod unverified;

use std::sync::Arc;
use std::time::Duration;

use base::{Clock, Secret};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, RootCertStore};

use self::unverified::Unverified;

/// Whom we believe to be the server.
#[derive(Debug, Clone, Copy)]
pub enum Trust<'a> {
    /// Whoever one of this system's authorities vouches for.
    System,
    /// Whoever one of these vouches for: certificates, as PEM.
    Only(&'a [u8]),
    /// Anyone, because the operator said so in so many words. The other end must have its key all the same.
    Anyone,
    /// Nobody: TLS is not going to be spoken, and a machine without authorities can still speak plain HTTP.
    Nobody,
}

/// Who we are to the server.
#[derive(Debug, Clone, Copy)]
pub struct Identity<'a> {
    /// Our certificate, and those between it and an authority, as PEM.
    pub chain: &'a [u8],
    /// Its private key, as PEM.
    pub key: &'a Secret<Vec<u8>>,
}

/// Why TLS cannot be spoken as was said.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    /// This system trusts nobody.
    #[error("this system has no certificates of authorities that it trusts")]
    NoAuthorities,
    /// The authorities that were given cannot be used.
    #[error("the certificates of authorities cannot be used: {0}")]
    Authorities(String),
    /// Our own certificate cannot be used, or not with this key. What the key is stays out of it.
    #[error("the client certificate cannot be used: {0}")]
    Identity(String),
}

/// How TLS is spoken by whoever trusts so, and is `identity`, if anybody.
///
/// # Errors
/// [`TlsError`].
pub fn config(
    trust: Trust<'_>,
    identity: Option<Identity<'_>>,
    clock: Clock,
) -> Result<ClientConfig, TlsError> {
    let provider = Arc::new(default_provider());
    let builder = ClientConfig::builder_with_details(provider.clone(), Arc::new(TlsClock(clock)))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .expect("the provider has suites for both versions");
    let builder = match trust {
        Trust::System => builder.with_root_certificates(roots_of_the_system()?),
        Trust::Only(pem) => builder.with_root_certificates(roots_in(pem)?),
        Trust::Anyone => {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(Unverified::new(provider)))
        }
        Trust::Nobody => builder.with_root_certificates(RootCertStore::empty()),
    };
    let Some(identity) = identity else { return Ok(builder.with_no_client_auth()) };
    let bad = |what: &str| TlsError::Identity(what.to_owned());
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(identity.chain).collect();
    let chain = chain.map_err(|_| bad("it is not PEM"))?;
    if chain.is_empty() {
        return Err(bad("there is none"));
    }
    let key =
        PrivateKeyDer::from_pem_slice(identity.key.expose()).map_err(|_| bad("there is no private key"))?;
    builder.with_client_auth_cert(chain, key).map_err(|error| bad(&base::report(&error)))
}

fn roots_in(pem: &[u8]) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| TlsError::Authorities(error.to_string()))?;
        roots.add(certificate).map_err(|error| TlsError::Authorities(error.to_string()))?;
    }
    if roots.is_empty() {
        Err(TlsError::Authorities("there is no certificate in it".to_owned()))
    } else {
        Ok(roots)
    }
}

fn roots_of_the_system() -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    // A system has odd ones among its certificates; the others are good all the same.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() { Err(TlsError::NoAuthorities) } else { Ok(roots) }
}

/// TLS gets the same clock as everyone.
#[derive(Debug)]
struct TlsClock(Clock);

impl TimeProvider for TlsClock {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = u64::try_from(self.0.now().as_unix()).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_used_is_refused_without_the_key() {
        let told = |trust, identity| config(trust, identity, Clock::system()).unwrap_err().to_string();
        let certificates = "the certificates of authorities cannot be used: ";
        assert_eq!(
            told(Trust::Only(b"not PEM"), None),
            format!("{certificates}there is no certificate in it")
        );
        let torn = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(told(Trust::Only(torn), None).starts_with(certificates));
        let key = Secret::new(b"hunter2".to_vec());
        let identity = |chain| Some(Identity { chain, key: &key });
        for (chain, why) in [(&b"hunter2"[..], "there is none"), (torn, "there is no private key")] {
            let expected = format!("the client certificate cannot be used: {why}");
            assert_eq!(told(Trust::Nobody, identity(chain)), expected);
        }
    }
}
