//! Certificates that are to be trusted, as they are taken in beyond Juju (contract, section 9.5).
//!
//! What comes in is PEM with certificates and nothing else. What is kept of each is its DER, written as PEM in one way, so
//! that two spellings of a certificate are one, and equal sets are equal bytes.

use std::collections::BTreeMap;
use std::fmt;

use base::{Explain, Kind, Span, Timestamp, hex};
use x509::pem::{self, PemError};
use x509::{Certificate, KeyKind, ObjectIdentifier, ParseError, has_private_key};

/// The most certificates in one set.
pub const SET_MAX: usize = 4096;
/// The most certificates that are taken in one go, as PEM: what one change may bring.
pub const OFFER_BYTES_MAX: usize = 8 << 20;
/// The most bytes of one certificate, as PEM. Real ones have a few thousand.
pub(crate) const ONE_BYTES_MAX: usize = 64 << 10;
/// The bits of an RSA key that is not short.
const RSA_BITS_MIN: u32 = 2048;
/// How long before its end a certificate is said to be expiring.
const EXPIRING: Span = Span::days(30);

/// The SHA-256 of a certificate's DER, by which people tell certificates apart.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Reads 64 hexadecimal digits, in either case, with or without colons between pairs, as `openssl x509 -fingerprint`
    /// prints them.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let plain: String = text.split(':').collect::<String>().to_ascii_lowercase();
        let paired = text.len() == 64 || (text.len() == 95 && text.split(':').all(|pair| pair.len() == 2));
        let bytes = hex::decode(&plain).filter(|_| paired)?;
        Some(Self(bytes.try_into().ok()?))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One certificate that is to be trusted. Ordered as its PEM is, which is how sets are ordered everywhere.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Anchor {
    pem: String,
    fingerprint: Fingerprint,
}

impl Anchor {
    /// As PEM, in lines of 64 characters, with a line feed at the end of each.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// The SHA-256 of its DER.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// What is in it.
    ///
    /// # Errors
    /// Never for one that was taken in by [`read`]; a record may have been spoilt.
    pub fn certificate(&self) -> Result<Certificate, ParseError> {
        let block = pem::read(self.pem.as_bytes(), ONE_BYTES_MAX)?.into_iter().next();
        Certificate::from_anchor_der(&block.map(|block| block.der).unwrap_or_default())
    }
}

impl From<&Certificate> for Anchor {
    fn from(certificate: &Certificate) -> Self {
        Self { pem: certificate.to_pem(), fingerprint: Fingerprint(certificate.fingerprint()) }
    }
}

impl fmt::Debug for Anchor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Anchor({})", self.fingerprint)
    }
}

/// Something about a certificate that whoever trusts it would want to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Finding {
    /// It does not say that it is an authority's: what it is trusted for, depends on who reads it.
    NotAnAuthority,
    /// It is over.
    Expired,
    /// It is over within 30 days.
    Expiring,
    /// It is not yet valid.
    NotYetValid,
    /// It was signed with SHA-1 or MD5.
    WeakSignature,
    /// Its key is an RSA key below 2048 bits.
    ShortKey,
    /// Its key is of a kind that is not known here, or larger than any that is.
    UnknownKey,
    /// Another authority signed it: many clients do not take it for the end of a chain.
    NotSelfSigned,
}

/// All findings, with the words by which policies and lists name them.
const FINDINGS: [(Finding, &str); 8] = [
    (Finding::NotAnAuthority, "not-an-authority"),
    (Finding::Expired, "expired"),
    (Finding::Expiring, "expiring"),
    (Finding::NotYetValid, "not-yet-valid"),
    (Finding::WeakSignature, "weak-signature"),
    (Finding::ShortKey, "short-key"),
    (Finding::UnknownKey, "unknown-key"),
    (Finding::NotSelfSigned, "not-self-signed"),
];

impl Finding {
    /// The word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        FINDINGS.iter().find(|(finding, _)| *finding == self).map_or("", |(_, name)| name)
    }

    /// What [`Finding::name`] gives.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        FINDINGS.iter().find(|(_, known)| *known == name).map(|(finding, _)| *finding)
    }

    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        FINDINGS.into_iter().map(|(finding, _)| finding)
    }
}

/// Signatures that are made with SHA-1 or MD5 (RFC 3279 §2.2).
const WEAK: [ObjectIdentifier; 5] = [
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.2"),
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.4"),
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.5"),
    ObjectIdentifier::new_unwrap("1.2.840.10045.4.1"),
    ObjectIdentifier::new_unwrap("1.2.840.10040.4.3"),
];

/// What there is to say about `certificate` at `now`, in order.
#[must_use]
pub fn findings(certificate: &Certificate, now: Timestamp) -> Vec<Finding> {
    let own = certificate.subject() == certificate.issuer();
    let signed_otherwise = certificate.signature_algorithm().is_none_or(|oid| WEAK.contains(&oid));
    // SHA-1, short keys and unknown kinds of keys are not verified here; those say it with a finding of their own.
    let (short, unknown) = match certificate.public_key().kind() {
        KeyKind::UnfitRsa { bits } => (*bits < RSA_BITS_MIN, *bits >= RSA_BITS_MIN),
        KeyKind::Other(_) => (false, true),
        _ => (false, false),
    };
    let self_signed = own
        && (signed_otherwise
            || short
            || unknown
            || certificate.verify_signature(certificate.public_key()).is_ok());
    let over = now > certificate.not_after();
    [
        (!certificate.is_ca(), Finding::NotAnAuthority),
        (over, Finding::Expired),
        (!over && now + EXPIRING > certificate.not_after(), Finding::Expiring),
        (now < certificate.not_before(), Finding::NotYetValid),
        (signed_otherwise, Finding::WeakSignature),
        (short, Finding::ShortKey),
        (unknown, Finding::UnknownKey),
        (!self_signed, Finding::NotSelfSigned),
    ]
    .into_iter()
    .filter_map(|(is_so, finding)| is_so.then_some(finding))
    .collect()
}

/// Why a text is not taken in. Nothing of it is kept.
#[derive(Debug, thiserror::Error)]
pub enum NotAnchors {
    /// It is no PEM, or is too long.
    #[error("the certificates cannot be read")]
    Pem(#[from] PemError),
    /// There is a private key in it, or the beginning of one.
    #[error("there is a private key among the certificates; nothing of it was kept")]
    PrivateKey,
    /// There is something else in it.
    #[error("there is a `{label}` among the certificates")]
    Other {
        /// What its BEGIN line says.
        label: String,
    },
    /// A certificate has headers in front of its base64.
    #[error("certificate {number} has PEM headers, which no certificate has")]
    Headers {
        /// The how manieth it is, from 1.
        number: usize,
    },
    /// A certificate cannot be read.
    #[error("certificate {number} cannot be read")]
    Certificate {
        /// The how manieth it is, from 1.
        number: usize,
        /// Why not.
        #[source]
        source: ParseError,
    },
    /// A certificate is too long.
    #[error("certificate {number} has {bytes} bytes as PEM, and one has at most {ONE_BYTES_MAX}")]
    TooLong {
        /// The how manieth it is, from 1.
        number: usize,
        /// How long it is.
        bytes: usize,
    },
    /// There is none.
    #[error("there is no certificate in it")]
    None,
    /// There are too many.
    #[error("there are {count} certificates, and a set has at most {SET_MAX}")]
    TooMany {
        /// How many there are.
        count: usize,
    },
}

impl Explain for NotAnchors {
    fn kind(&self) -> Kind {
        match self {
            Self::Pem(source) => source.kind(),
            Self::TooMany { .. } | Self::TooLong { .. } => Kind::TooLarge,
            Self::PrivateKey
            | Self::Other { .. }
            | Self::Headers { .. }
            | Self::Certificate { .. }
            | Self::None => Kind::Invalid,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::PrivateKey => Some(
                "whoever sent it has shown the key to this server: send the certificate alone, and think about another key"
                    .into(),
            ),
            Self::Pem(source) => source.help(),
            Self::None => Some("DER is not read: convert it with `openssl x509 -inform DER`".into()),
            Self::Other { .. }
            | Self::Headers { .. }
            | Self::Certificate { .. }
            | Self::TooLong { .. }
            | Self::TooMany { .. } => None,
        }
    }
}

/// The certificates in `text`, PEM of at most [`OFFER_BYTES_MAX`] bytes, none twice. Text outside the blocks, such as the
/// names that bundles have there, is passed over.
///
/// # Errors
/// [`NotAnchors`]: nothing is taken where anything in it is not to be taken.
pub fn read(text: &[u8]) -> Result<BTreeMap<Fingerprint, Anchor>, NotAnchors> {
    // Looked for before anything is taken apart, so that half a key is found as well.
    if has_private_key(text) {
        return Err(NotAnchors::PrivateKey);
    }
    let blocks = pem::read(text, OFFER_BYTES_MAX)?;
    let mut anchors = BTreeMap::new();
    for (number, block) in (1..).zip(&blocks) {
        // Not OpenSSL's `TRUSTED CERTIFICATE`: it goes on with what it is trusted for, which nobody else reads.
        if !["CERTIFICATE", "X509 CERTIFICATE"].contains(&block.label.as_str()) {
            return Err(NotAnchors::Other { label: block.label.clone() });
        }
        if block.has_headers {
            return Err(NotAnchors::Headers { number });
        }
        let certificate = Certificate::from_anchor_der(&block.der)
            .map_err(|source| NotAnchors::Certificate { number, source })?;
        let anchor = Anchor::from(&certificate);
        if anchor.pem.len() > ONE_BYTES_MAX {
            return Err(NotAnchors::TooLong { number, bytes: anchor.pem.len() });
        }
        anchors.insert(anchor.fingerprint, anchor);
    }
    match anchors.len() {
        0 => Err(NotAnchors::None),
        1..=SET_MAX => Ok(anchors),
        count => Err(NotAnchors::TooMany { count }),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use x509::{CertificateTemplate, KeySpec, Name, PrivateKey, Serial, extension};

    use super::*;

    fn now() -> Timestamp {
        Timestamp::from_unix(1_800_000_000)
    }

    fn key() -> PrivateKey {
        PrivateKey::generate(KeySpec::Ed25519).unwrap()
    }

    fn signed(
        subject: &str,
        issuer: &str,
        signer: &PrivateKey,
        public: &PrivateKey,
        from: i64,
        to: i64,
    ) -> Certificate {
        let template = CertificateTemplate {
            serial: Serial::from_decimal("1").unwrap(),
            issuer: Name::from_common_name(issuer).unwrap(),
            subject: Name::from_common_name(subject).unwrap(),
            not_before: now() + Span::days(from),
            not_after: now() + Span::days(to),
            public_key: public.public().clone(),
            extensions: vec![extension::basic_constraints(subject != "leaf", None)],
        };
        template.sign(signer)
    }

    /// The certificate of an authority that signs for itself.
    pub(crate) fn authority(name: &str) -> Certificate {
        let key = key();
        signed(name, name, &key, &key, -1, 365)
    }

    #[test]
    fn two_spellings_are_one_certificate() {
        let (a, b) = (authority("a"), authority("b"));
        let (pem_a, pem_b) = (a.to_pem(), b.to_pem());
        let crlf = pem_a.replace('\n', "\r\n");
        let one_line = format!(
            "# the same again\n-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----",
            pem_a.lines().filter(|line| !line.starts_with('-')).collect::<String>()
        );
        let read = super::read(format!("{crlf}{pem_b}{one_line}").as_bytes()).unwrap();
        let expected: BTreeMap<_, _> =
            [Anchor::from(&a), Anchor::from(&b)].map(|anchor| (anchor.fingerprint(), anchor)).into();
        assert_eq!(read, expected);
        assert_eq!(read[&Anchor::from(&a).fingerprint()].pem(), pem_a);
        assert_eq!(read[&Anchor::from(&a).fingerprint()].certificate().unwrap().der(), a.der());
    }

    #[test]
    fn keys_and_strangers_are_refused() {
        let pem = authority("a").to_pem();
        let key = key().to_pem();
        let key = key.expose().as_str();
        let truncated = &key[..key.len() / 2];
        for text in [
            format!("{pem}{key}"),
            format!("{key}{pem}"),
            format!("{pem}{truncated}"),
            format!("{pem}-----BEGIN EC PRIVATE KEY"),
            format!("{pem}-----begin openssh private key-----\nAAAA"),
            format!("{pem}-----BEGIN ENCRYPTED PRIVATE KEY-----\rAAAA"),
            format!("{pem}AAAA\n-----END RSA PRIVATE KEY-----\n"),
            format!("{pem}PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\n"),
        ] {
            let refused = super::read(text.as_bytes()).unwrap_err();
            assert!(matches!(refused, NotAnchors::PrivateKey), "{refused:?} for {text}");
            assert!(!format!("{refused:?} {refused}").contains("MC4"), "nothing of the key is told");
        }
        let other = pem.replace("CERTIFICATE", "CERTIFICATE REQUEST");
        assert!(matches!(super::read(other.as_bytes()), Err(NotAnchors::Other { .. })));
        let trusted = pem.replace("CERTIFICATE", "TRUSTED CERTIFICATE");
        assert!(matches!(super::read(trusted.as_bytes()), Err(NotAnchors::Other { .. })));
        let headed = pem.replacen("-----\n", "-----\nProc-Type: 4,CLEAR\n\n", 1);
        assert!(matches!(super::read(headed.as_bytes()), Err(NotAnchors::Headers { number: 1 })));
        assert!(matches!(super::read(b"hello"), Err(NotAnchors::None)));
        assert!(matches!(super::read(&pem.as_bytes()[..pem.len() - 30]), Err(NotAnchors::Pem(_))));
        let broken = pem::write("CERTIFICATE", b"0\x03\x02\x01\x00");
        let refused = super::read(format!("{pem}{broken}").as_bytes());
        assert!(matches!(refused, Err(NotAnchors::Certificate { number: 2, .. })), "{refused:?}");
        assert!(matches!(super::read(&vec![b'\n'; OFFER_BYTES_MAX + 1]), Err(NotAnchors::Pem(_))));
    }

    #[test]
    fn what_is_odd_is_found() {
        use Finding::{Expired, Expiring, NotAnAuthority, NotSelfSigned, NotYetValid};
        let (own, other) = (key(), key());
        for (certificate, expected) in [
            (signed("a", "a", &own, &own, -10, 365), vec![]),
            (signed("a", "a", &own, &own, -10, -1), vec![Expired]),
            (signed("a", "a", &own, &own, -10, 29), vec![Expiring]),
            (signed("a", "a", &own, &own, 1, 365), vec![NotYetValid]),
            (signed("a", "b", &other, &own, -10, 365), vec![NotSelfSigned]),
            // The same name, and another key: a cross-signed one.
            (signed("a", "a", &other, &own, -10, 365), vec![NotSelfSigned]),
            (signed("leaf", "b", &other, &own, -10, 365), vec![NotAnAuthority, NotSelfSigned]),
        ] {
            assert_eq!(findings(&certificate, now()), expected);
        }
        for finding in Finding::all() {
            assert_eq!(Finding::from_name(finding.name()), Some(finding));
        }
    }

    #[test]
    fn fingerprints_are_read_as_openssl_prints_them() {
        let anchor = Anchor::from(&authority("a"));
        let plain = anchor.fingerprint().to_string();
        let pairs: Vec<&str> = (0..32).map(|at| &plain[2 * at..2 * at + 2]).collect();
        let colons = pairs.join(":").to_ascii_uppercase();
        for text in [&plain, &colons] {
            assert_eq!(Fingerprint::parse(text), Some(anchor.fingerprint()), "{text}");
        }
        for text in ["", "ab", &plain[1..], &format!("{plain}:"), &colons[..94], &colons.replacen(':', "", 1)]
        {
            assert_eq!(Fingerprint::parse(text), None, "{text}");
        }
    }
}
