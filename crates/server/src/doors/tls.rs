//! TLS at the HTTPS door: who we are, and who may come with a certificate.
//!
//! TLS 1.2 and 1.3. The server certificate and the trust in client certificates are looked up in every
//! handshake, so both change at any moment without a restart, and connections that are open stay open.
//! A client certificate is asked for, and required only where the settings say so; no list of acceptable
//! authorities is sent, since clients pick the certificate they were told to use. Only the certificate itself is
//! looked at; whatever chain comes with it is ignored, because trust lies with the authorities that we know. It may be
//! of version 1, which has no extensions; authorities are of version 3.

use std::fmt;
use std::io;
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
        let certificate = x509::Certificate::from_holder_der(certificate)
            .map_err(|error| CertificateError::Other(OtherError(Arc::new(error))))?;
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
            x509::Certificate::from_holder_der(certificate).map_err(|_| CertificateError::BadEncoding)?;
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

/// Why the client's certificate was refused, when that is what ended a handshake.
pub(super) fn refused_certificate(error: &io::Error) -> Option<String> {
    match error.get_ref()?.downcast_ref::<rustls::Error>()? {
        rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(reason))) => {
            Some(base::report(&**reason))
        }
        rustls::Error::InvalidCertificate(reason) => Some(reason.to_string()),
        _ => None,
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

#[cfg(test)]
mod tests {
    use rustls::pki_types::pem::PemObject as _;

    use super::*;

    struct Nobodys;

    impl ClientTrust for Nobodys {
        fn verify(&self, _: &x509::Certificate) -> Result<(), VerifyError> {
            Err(VerifyError::CriticalExtension)
        }
    }

    const VERSION_1: &str = "\
-----BEGIN CERTIFICATE-----
MIHcMIGPAhQ2CCXrz2a/Y/byCfbFgijhgVGRQTAFBgMrZXAwEDEOMAwGA1UEAwwF
YWxpY2UwIBcNMjYxMTIxMDczNTM4WhgPMjEyNjEwMjgwNzM1MzhaMBAxDjAMBgNV
BAMMBWFsaWNlMCowBQYDK2VwAyEAvNVE1TvhgmZXFDd8aaQbdXRsIkZtg8ROPbEV
GSJSiN8wBQYDK2VwA0EAfRqGeC6HGx5LsLEi1ZBAgVg35qncO6ab8Dw9tRbvpcGr
4MAfR7IyqEks3OyMEng4pkk5Blua+bq+g6RatdimDw==
-----END CERTIFICATE-----
";

    struct Everybodys;

    impl ClientTrust for Everybodys {
        fn verify(&self, _: &x509::Certificate) -> Result<(), VerifyError> {
            Ok(())
        }
    }

    fn verified(trust: Arc<dyn ClientTrust>, certificate: &CertificateDer<'_>) -> Result<(), rustls::Error> {
        let algorithms = rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms;
        let client_certificates = ClientCertificates::Asked;
        let verifier = Verifier { trust, client_certificates, algorithms };
        let now = UnixTime::since_unix_epoch(Duration::from_secs(1_800_000_000));
        verifier.verify_client_cert(certificate, &[], now).map(drop)
    }

    /// Certificates of version 1 are what `openssl x509 -req` makes of a request unless it is told otherwise.
    #[test]
    fn a_client_may_have_a_certificate_of_version_1_if_it_is_trusted() {
        let own = CertificateDer::from_pem_slice(VERSION_1.as_bytes()).unwrap();
        assert_eq!(verified(Arc::new(Everybodys), &own), Ok(()));
        assert!(verified(Arc::new(Nobodys), &own).is_err());
    }

    #[test]
    fn why_a_certificate_is_refused_can_be_logged() {
        let own = CertificateDer::from_pem_slice(VERSION_1.as_bytes()).unwrap();
        for (shown, expected) in [
            (own, "unhandled critical extension"),
            (CertificateDer::from(vec![0x30, 0]), "the certificate is malformed"),
        ] {
            let error = verified(Arc::new(Nobodys), &shown).unwrap_err();
            let reason = refused_certificate(&io::Error::new(io::ErrorKind::InvalidData, error));
            assert_eq!(reason.as_deref(), Some(expected));
        }
        let other = io::Error::new(io::ErrorKind::InvalidData, rustls::Error::DecryptError);
        assert_eq!(refused_certificate(&other), None);
        assert_eq!(refused_certificate(&io::ErrorKind::ConnectionReset.into()), None);
    }
}
