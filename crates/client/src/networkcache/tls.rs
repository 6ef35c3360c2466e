//! TLS towards a server whose authorities are in a file.
//!
//! Old clients, with OpenSSL, take it when the file has the server's own certificate in it, as of a server that signed it
//! itself. The usual verifier takes a certificate of an authority for nothing else; here what was given is believed too, for
//! the names and the time that it says.

use std::sync::Arc;

use base::Secret;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use crate::client::BuildError;

/// What a client says and believes: the authorities, PEM, and its certificate with the key, PEM.
pub(super) fn config(
    authorities: &[u8],
    identity: Option<&Secret<Vec<u8>>>,
) -> Result<ClientConfig, BuildError> {
    let given: Vec<_> = CertificateDer::pem_slice_iter(authorities).filter_map(Result::ok).collect();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(given.iter().cloned());
    let provider = Arc::new(default_provider());
    let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build();
    let inner = inner.map_err(|_| BuildError::Trust(None))?;
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(BuildError::Identity)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(OrGiven { inner, given }));
    let Some(pem) = identity else { return Ok(config.with_no_client_auth()) };
    let chain = CertificateDer::pem_slice_iter(pem.expose()).filter_map(Result::ok).collect();
    let unusable = |_| BuildError::Identity(Error::General("the key cannot be read".to_owned()));
    let key = PrivateKeyDer::from_pem_slice(pem.expose()).map_err(unusable)?;
    config.with_client_auth_cert(chain, key).map_err(BuildError::Identity)
}

/// Believes what the inner one does, and the certificates that were given.
#[derive(Debug)]
struct OrGiven {
    inner: Arc<WebPkiServerVerifier>,
    given: Vec<CertificateDer<'static>>,
}

impl OrGiven {
    /// Whether this very certificate was given, is for this name, and is valid now.
    fn is_given(&self, certificate: &CertificateDer<'_>, name: &ServerName<'_>, now: UnixTime) -> bool {
        let is_for_name = || {
            ParsedCertificate::try_from(certificate)
                .is_ok_and(|parsed| verify_server_name(&parsed, name).is_ok())
        };
        let is_valid = || {
            let Ok(read) = x509::Certificate::from_holder_der(certificate) else { return false };
            let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
            (read.not_before().as_unix()..=read.not_after().as_unix()).contains(&seconds)
        };
        self.given.iter().any(|given| given == certificate) && is_for_name() && is_valid()
    }
}

impl ServerCertVerifier for OrGiven {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        above: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match self.inner.verify_server_cert(certificate, above, name, ocsp, now) {
            Err(_) if self.is_given(certificate, name, now) => Ok(ServerCertVerified::assertion()),
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
