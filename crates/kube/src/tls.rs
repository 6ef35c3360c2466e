//! How TLS is spoken with an API server.

use std::sync::Arc;
use std::time::Duration;

use base::Clock;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use crate::settings::{ClientCertificate, Settings, SettingsError, Trust};

pub(crate) fn config(settings: &Settings, clock: &Clock) -> Result<ClientConfig, SettingsError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_details(provider.clone(), Arc::new(TlsClock(clock.clone())))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .expect("the provider has suites for both versions")
        .dangerous()
        .with_custom_certificate_verifier(verifier(settings, provider)?);
    match &settings.credentials.certificate {
        None => Ok(builder.with_no_client_auth()),
        Some(_) if !settings.server.is_https() => Err(SettingsError::CertificateWithoutTls),
        Some(certificate) => {
            let (chain, key) = parse(certificate)?;
            builder
                .with_client_auth_cert(chain, key)
                .map_err(|error| SettingsError::Certificate(base::report(&error)))
        }
    }
}

fn verifier(
    settings: &Settings,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, SettingsError> {
    let roots = match &settings.trust {
        // A machine without authorities can still speak plain HTTP.
        _ if !settings.server.is_https() => return Ok(Arc::new(Unverified(provider))),
        Trust::Anyone => return Ok(Arc::new(Unverified(provider))),
        Trust::Only(pem) => roots_in(pem)?,
        Trust::System => roots_of_the_system()?,
    };
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
    Ok(verifier.map_err(|error| SettingsError::Client(base::report(&error)))?)
}

fn parse(
    certificate: &ClientCertificate,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), SettingsError> {
    let bad = |what: &str| SettingsError::Certificate(what.to_owned());
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&certificate.chain).collect();
    let chain = chain.map_err(|_| bad("it is not PEM"))?;
    if chain.is_empty() {
        return Err(bad("there is none"));
    }
    let key = PrivateKeyDer::from_pem_slice(certificate.key.expose());
    Ok((chain, key.map_err(|_| bad("there is no private key"))?))
}

fn roots_in(pem: &[u8]) -> Result<RootCertStore, SettingsError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| SettingsError::Authorities(error.to_string()))?;
        roots.add(certificate).map_err(|error| SettingsError::Authorities(error.to_string()))?;
    }
    if roots.is_empty() { Err(SettingsError::Authorities("there is none".to_owned())) } else { Ok(roots) }
}

fn roots_of_the_system() -> Result<RootCertStore, SettingsError> {
    let mut roots = RootCertStore::empty();
    // A system has odd ones among its certificates; the others are good all the same.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() { Err(SettingsError::NoAuthorities) } else { Ok(roots) }
}

/// Believes any certificate. The other end must have its key all the same.
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
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
