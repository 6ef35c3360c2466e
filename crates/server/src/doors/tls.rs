//! TLS at the HTTPS door: who we are, and who may come with a certificate.
//!
//! TLS 1.2 and 1.3. The server certificate and the trust in client certificates are looked up in every
//! handshake, so both change at any moment without a restart, and connections that are open stay open.
//! A client certificate is asked for, and required only where the settings say so; no list of acceptable
//! authorities is sent, since clients pick the certificate they were told to use. Only the certificate itself is
//! looked at; whatever chain comes with it is ignored, because trust lies with the authorities that we know.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use base::{Clock, Explain, Kind};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::pki_types::{
    CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, SignatureVerificationAlgorithm,
    SubjectPublicKeyInfoDer, UnixTime,
};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::time_provider::TimeProvider;
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, OtherError, PeerIncompatible, ServerConfig,
    SignatureScheme,
};
use webpki::RawPublicKeyEntity;
use x509::VerifyError;

/// Who may present a client certificate. Asked in every handshake in which one is presented.
pub trait ClientTrust: Send + Sync + 'static {
    /// Whether `certificate` may be used now. An error makes the handshake fail.
    ///
    /// That the client holds the certificate's key is checked elsewhere.
    ///
    /// # Errors
    /// Why it may not.
    fn verify(&self, certificate: &x509::Certificate) -> Result<(), VerifyError>;
}

/// Whether a client has to show a certificate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ClientCertificates {
    /// It may.
    #[default]
    Asked,
    /// Without one the handshake fails.
    Required,
}

/// The server's own certificate and key, replaceable at any time without dropping a connection.
#[derive(Default)]
pub struct TlsIdentity(ArcSwapOption<CertifiedKey>);

/// Why a certificate and key cannot be used for TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// There is no certificate in the chain.
    #[error("the TLS certificate chain is empty")]
    NoCertificate,
    /// The key is of a kind, or a size, that TLS cannot use.
    #[error("the TLS private key cannot be used")]
    Key(#[source] rustls::Error),
    /// Certificate and key do not belong together, or the certificate cannot be read.
    #[error("the TLS certificate does not belong to its private key")]
    Mismatch(#[source] rustls::Error),
}

impl Explain for TlsError {
    fn kind(&self) -> Kind {
        match self {
            Self::NoCertificate | Self::Key(_) | Self::Mismatch(_) => Kind::Invalid,
        }
    }
}

impl TlsIdentity {
    /// No certificate yet: handshakes fail until one is [`set`](Self::set).
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// From now on, handshakes use the first certificate of `chain`, which belongs to `key`. The whole
    /// chain is sent.
    ///
    /// # Errors
    /// When they cannot be used together; what was used before stays in use.
    pub fn set(&self, chain: &[x509::Certificate], key: &x509::PrivateKey) -> Result<(), TlsError> {
        if chain.is_empty() {
            return Err(TlsError::NoCertificate);
        }
        let chain =
            chain.iter().map(|certificate| CertificateDer::from(certificate.der().to_vec())).collect();
        let der = key.to_pkcs8_der(); // lent, so that no copy of it stays behind
        let der = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(der.expose().as_slice()));
        let key = any_supported_type(&der).map_err(TlsError::Key)?;
        let certified = CertifiedKey::new(chain, key);
        certified.keys_match().map_err(TlsError::Mismatch)?;
        self.0.store(Some(Arc::new(certified)));
        Ok(())
    }
}

impl fmt::Debug for TlsIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.load().is_some() { "TlsIdentity(set)" } else { "TlsIdentity(empty)" })
    }
}

impl ResolvesServerCert for TlsIdentity {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.load_full()
    }
}

/// The one configuration of the HTTPS doors; what may change stands behind `identity` and `trust`.
pub(super) fn configuration(
    identity: Arc<TlsIdentity>,
    trust: Arc<dyn ClientTrust>,
    client_certificates: ClientCertificates,
    clock: Clock,
) -> ServerConfig {
    let provider: CryptoProvider = rustls::crypto::aws_lc_rs::default_provider();
    let algorithms = provider.signature_verification_algorithms;
    let verifier = Verifier { trust, client_certificates, algorithms };
    let mut configuration = ServerConfig::builder_with_details(Arc::new(provider), Arc::new(TlsClock(clock)))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .expect("the provider has suites for both versions")
        .with_client_cert_verifier(Arc::new(verifier))
        .with_cert_resolver(identity);
    configuration.alpn_protocols = vec![HTTP_2.to_vec(), b"http/1.1".to_vec()];
    // A resumed session takes over the client certificate without asking the verifier again: someone
    // whose authority has expired since would still get in. So no session is ever resumed, neither from
    // a cache (TLS 1.2 session ids) nor from tickets.
    configuration.session_storage = Arc::new(NoServerSessionStorage {});
    configuration.send_tls13_tickets = 0;
    configuration
}

/// The name of HTTP/2 in ALPN.
pub(super) const HTTP_2: &[u8] = b"h2";

/// Asks [`ClientTrust`] about the certificate and rustls about the signature.
struct Verifier {
    trust: Arc<dyn ClientTrust>,
    client_certificates: ClientCertificates,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ClientCertVerifier for Verifier {
    fn offer_client_auth(&self) -> bool {
        true
    }

    fn client_auth_mandatory(&self) -> bool {
        self.client_certificates == ClientCertificates::Required
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let certificate =
            x509::Certificate::from_der(certificate).map_err(|_| CertificateError::BadEncoding)?;
        match self.trust.verify(&certificate) {
            Ok(()) => Ok(ClientCertVerified::assertion()),
            Err(error) => Err(alert(error).into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        // A scheme stands for several curves.
        self.verify_signature(message, certificate, signature, usize::MAX)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        // Not in handshakes any more (RFC 8446 §4.2.3).
        let of_tls12 = [
            SignatureScheme::RSA_PKCS1_SHA256,
            SignatureScheme::RSA_PKCS1_SHA384,
            SignatureScheme::RSA_PKCS1_SHA512,
        ];
        if of_tls12.contains(&signature.scheme) {
            return Err(PeerIncompatible::NoSignatureSchemesInCommon.into());
        }
        // A scheme stands for one curve, which rustls lists first.
        self.verify_signature(message, certificate, signature, 1)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl Verifier {
    /// Checks the client's signature in the handshake with the key of its certificate, and with nothing else
    /// of it: rustls' own way reads the whole certificate once more, and refuses critical extensions that
    /// users may well have, such as policies. At most `algorithms_max` of those that the scheme stands for
    /// are tried.
    fn verify_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
        algorithms_max: usize,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let certificate =
            x509::Certificate::from_der(certificate).map_err(|_| CertificateError::BadEncoding)?;
        let key = SubjectPublicKeyInfoDer::from(certificate.public_key().spki());
        let key = RawPublicKeyEntity::try_from(&key).map_err(|_| CertificateError::BadEncoding)?;
        let schemes = self.algorithms.mapping.iter();
        let fitting = schemes
            .filter(|(scheme, _)| *scheme == signature.scheme)
            .flat_map(|(_, algorithms)| algorithms.iter().take(algorithms_max));
        let verifies = |algorithm: &&dyn SignatureVerificationAlgorithm| {
            key.verify_signature(*algorithm, message, signature.signature()).is_ok()
        };
        if fitting.into_iter().any(verifies) {
            Ok(HandshakeSignatureValid::assertion())
        } else {
            Err(CertificateError::BadSignature.into())
        }
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verifier(..)")
    }
}

/// The word for `error` that picks the alert which the client is sent.
fn alert(error: VerifyError) -> CertificateError {
    match error {
        VerifyError::UnknownIssuer => CertificateError::UnknownIssuer,
        VerifyError::Expired => CertificateError::Expired,
        VerifyError::NotYetValid => CertificateError::NotValidYet,
        VerifyError::Signature => CertificateError::BadSignature,
        VerifyError::Revoked => CertificateError::Revoked,
        VerifyError::CriticalExtension => CertificateError::Other(OtherError(Arc::new(error))),
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
