//! X.509 certificates, version 3, and version 1 where a client shows one (RFC 5280 §4.1).

use std::fmt;
use std::sync::Arc;

use base::Timestamp;

use crate::der_reader::{Reader, tag};
use crate::der_writer::sequence;
use crate::error::{KeyError, ParseError, SignatureError};
use crate::extension::{self, BasicConstraints, Extension};
use crate::key::PrivateKey;
use crate::name::Name;
use crate::number::{KeyId, Serial};
use crate::oid::{self, ObjectIdentifier};
use crate::pem;
use crate::public_key::PublicKey;
use crate::signed::Signed;
use crate::time;
use crate::unsigned::Unsigned;

const WHAT: &str = "certificate";
const LABEL: &str = "CERTIFICATE";
/// What version 3 is written as.
const V3: u64 = 2;

/// A certificate. Two are equal when their bytes are. Cloning shares them.
///
/// Reading one says nothing about who signed it: see [`Certificate::verify_signature`] and
/// [`crate::verify`].
#[derive(Clone)]
pub struct Certificate(Arc<Inner>);

struct Inner {
    signed: Signed,
    serial: Serial,
    issuer: Name,
    subject: Name,
    not_before: Timestamp,
    not_after: Timestamp,
    public_key: PublicKey,
    extensions: Vec<Extension>,
}

impl Certificate {
    /// Reads PEM text with one block, `CERTIFICATE`, of at most [`pem::ONE_BYTES_MAX`] bytes. Text
    /// around the block is passed over.
    ///
    /// # Errors
    /// As [`Certificate::from_der`], and when there is no block, more than one, or one of another kind.
    pub fn from_pem(text: &[u8]) -> Result<Self, ParseError> {
        Self::from_der(&pem::read_one(text, &[LABEL], pem::ONE_BYTES_MAX)?)
    }

    /// Reads all `CERTIFICATE` blocks of PEM text of at most [`pem::SEVERAL_BYTES_MAX`] bytes, in order;
    /// blocks of other kinds, such as the key beside its certificate, are passed over.
    ///
    /// # Errors
    /// As [`Certificate::from_der`], and when any block is broken.
    pub fn all_from_pem(text: &[u8]) -> Result<Vec<Self>, ParseError> {
        let blocks = pem::read(text, pem::SEVERAL_BYTES_MAX)?;
        blocks
            .into_iter()
            .filter(|block| block.label == LABEL)
            .map(|block| Self::from_der(&block.der))
            .collect()
    }

    /// Reads DER.
    ///
    /// # Errors
    /// When it is malformed or not version 3, its serial number is not a positive one of at most 20
    /// octets, an extension comes twice, or the key is malformed or of a size that is not supported.
    pub fn from_der(der: &[u8]) -> Result<Self, ParseError> {
        Self::read(der, read_version_3, PublicKey::from_spki_der)
    }

    /// Reads the DER of a certificate that somebody shows as their own: as [`Certificate::from_der`], and of version
    /// 1 too, which `openssl x509 -req` makes unless it is told otherwise.
    ///
    /// A certificate of version 1 has no extensions. So it can be for anything, but it is never an authority's
    /// ([`Certificate::is_ca`]); those that are to be trusted as authorities are read by the other functions.
    ///
    /// # Errors
    /// As [`Certificate::from_der`]; version 2, which nobody uses, is refused too.
    pub fn from_holder_der(der: &[u8]) -> Result<Self, ParseError> {
        Self::read(der, read_version, PublicKey::from_spki_der)
    }

    /// Reads the DER of a certificate that others are to trust, and that is only looked at here: as
    /// [`Certificate::from_holder_der`], and with RSA keys from 512 to 16384 bits. What such a key signed is not
    /// verified: it is [`crate::KeyKind::UnfitRsa`].
    ///
    /// # Errors
    /// As [`Certificate::from_holder_der`].
    pub fn from_anchor_der(der: &[u8]) -> Result<Self, ParseError> {
        Self::read(der, read_version, PublicKey::carried)
    }

    fn read(
        der: &[u8],
        version: impl FnOnce(&mut Reader<'_>) -> Result<Version, ParseError>,
        key: impl FnOnce(&[u8]) -> Result<PublicKey, KeyError>,
    ) -> Result<Self, ParseError> {
        let signed = Signed::parse(der.to_vec(), WHAT)?;
        let mut certificate = Reader::whole(signed.to_be_signed(), tag::SEQUENCE, WHAT)?;
        let version = version(&mut certificate)?;
        let serial = Serial::read(&mut certificate)?;
        if certificate.expect(tag::SEQUENCE)?.der != signed.algorithm() {
            return Err(ParseError::Algorithms { what: WHAT });
        }
        let issuer = Name::read(&mut certificate)?;
        let mut validity = certificate.inside(tag::SEQUENCE)?.named("validity of the certificate");
        let (not_before, not_after) = (time::read(&mut validity)?, time::read(&mut validity)?);
        validity.finish()?;
        let subject = Name::read(&mut certificate)?;
        let public_key = key(certificate.expect(tag::SEQUENCE)?.der)?;
        let extensions = match version {
            // What comes behind the key came with later versions.
            Version::One => Vec::new(),
            Version::Three => read_extensions(&mut certificate)?,
        };
        certificate.finish()?;
        let inner = Inner { serial, issuer, subject, not_before, not_after, public_key, extensions, signed };
        Ok(Self(Arc::new(inner)))
    }

    /// As PEM.
    #[must_use]
    pub fn to_pem(&self) -> String {
        pem::write(LABEL, self.der())
    }

    /// Its DER, as it was read or made.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        self.0.signed.der()
    }

    /// Its serial number, unique among those of its issuer.
    #[must_use]
    pub fn serial(&self) -> Serial {
        self.0.serial
    }

    /// Who signed it.
    #[must_use]
    pub fn issuer(&self) -> &Name {
        &self.0.issuer
    }

    /// Whom it is about; may be empty.
    #[must_use]
    pub fn subject(&self) -> &Name {
        &self.0.subject
    }

    /// The first second at which it is valid.
    #[must_use]
    pub fn not_before(&self) -> Timestamp {
        self.0.not_before
    }

    /// The last second at which it is valid.
    #[must_use]
    pub fn not_after(&self) -> Timestamp {
        self.0.not_after
    }

    /// The key of the subject.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        &self.0.public_key
    }

    /// Its extensions, in order, each at most once.
    #[must_use]
    pub fn extensions(&self) -> &[Extension] {
        &self.0.extensions
    }

    /// The extension with this identifier.
    #[must_use]
    pub fn extension(&self, oid: &ObjectIdentifier) -> Option<&Extension> {
        self.extensions().iter().find(|extension| extension.oid == *oid)
    }

    /// The key identifier that it gives its own key; `None` when it gives none, or one that is not of 20
    /// bytes.
    #[must_use]
    pub fn subject_key_id(&self) -> Option<KeyId> {
        self.subject_key_id_bytes()?.try_into().ok().map(KeyId::new)
    }

    /// The key identifier that it gives its own key, of whatever length.
    pub(crate) fn subject_key_id_bytes(&self) -> Option<&[u8]> {
        extension::parse_subject_key_id(&self.extension(&oid::SUBJECT_KEY_ID)?.value).ok()
    }

    /// The identifier of the key that signed it: the bytes of the keyIdentifier, of whatever length.
    #[must_use]
    pub fn authority_key_id(&self) -> Option<Vec<u8>> {
        extension::parse_authority_key_id(&self.extension(&oid::AUTHORITY_KEY_ID)?.value)
            .ok()?
            .map(<[u8]>::to_vec)
    }

    /// Whether basicConstraints says that its subject is a certificate authority.
    #[must_use]
    pub fn is_ca(&self) -> bool {
        let constraints = self.extension(&oid::BASIC_CONSTRAINTS);
        constraints.is_some_and(|held| BasicConstraints::parse(&held.value).is_ok_and(|held| held.ca))
    }

    /// The SHA-256 of its DER.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 32] {
        base::sha256(self.der())
    }

    /// What it was signed by; nothing where that is malformed.
    #[must_use]
    pub fn signature_algorithm(&self) -> Option<ObjectIdentifier> {
        Reader::whole(self.0.signed.algorithm(), tag::SEQUENCE, WHAT).ok()?.oid().ok()
    }

    /// Whether `issuer_key` signed it.
    ///
    /// # Errors
    /// As [`PublicKey::verify`].
    pub fn verify_signature(&self, issuer_key: &PublicKey) -> Result<(), SignatureError> {
        self.0.signed.verify(issuer_key)
    }
}

/// The versions that are read.
enum Version {
    One,
    Three,
}

/// `[0] EXPLICIT INTEGER`; without it the version is 1.
fn read_version(certificate: &mut Reader<'_>) -> Result<Version, ParseError> {
    let Some(explicit) = certificate.optional(tag::constructed(0))? else { return Ok(Version::One) };
    let mut explicit = Reader::new(explicit.content, WHAT);
    let version = explicit.number()?;
    explicit.finish()?;
    if version == V3 { Ok(Version::Three) } else { Err(ParseError::Version { what: WHAT }) }
}

/// The same, of version 3 only.
fn read_version_3(certificate: &mut Reader<'_>) -> Result<Version, ParseError> {
    match read_version(certificate)? {
        Version::Three => Ok(Version::Three),
        Version::One => Err(ParseError::Version { what: WHAT }),
    }
}

/// What may come behind the key in version 3.
fn read_extensions(certificate: &mut Reader<'_>) -> Result<Vec<Extension>, ParseError> {
    // The unique identifiers of version 2, which nobody uses.
    certificate.optional(tag::context(1))?;
    certificate.optional(tag::context(2))?;
    let Some(explicit) = certificate.optional(tag::constructed(3))? else { return Ok(Vec::new()) };
    let mut explicit = Reader::new(explicit.content, WHAT);
    let extensions = extension::read_all(&mut explicit)?;
    explicit.finish()?;
    Ok(extensions)
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.der() == other.der()
    }
}

impl Eq for Certificate {}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({}, {:?})", self.serial(), self.subject())
    }
}

/// What a certificate shall say. Signing consumes it, so that nothing is signed twice.
#[derive(Debug)]
pub struct CertificateTemplate {
    /// Its serial number.
    pub serial: Serial,
    /// Who signs it: the subject of the issuer's certificate.
    pub issuer: Name,
    /// Whom it is about.
    pub subject: Name,
    /// The first second at which it is valid, in the years 1 to 9999.
    pub not_before: Timestamp,
    /// The last second at which it is valid.
    pub not_after: Timestamp,
    /// The key of the subject.
    pub public_key: PublicKey,
    /// Its extensions, in order. No two may have the same identifier: what is signed with two could not
    /// be read again.
    pub extensions: Vec<Extension>,
}

impl CertificateTemplate {
    /// The certificate, version 3, signed by `key`.
    #[must_use]
    pub fn sign(self, key: &PrivateKey) -> Certificate {
        let to_be_signed = self.to_be_signed(key.signature_algorithm());
        self.signed(Signed::sign(&to_be_signed, key))
    }

    /// The same for whoever cannot hand in the key: what it has to sign, so that the signature is handed in after.
    ///
    /// # Errors
    /// When keys of this kind sign no certificates here.
    pub fn for_signature_by(self, key: &PublicKey) -> Result<Unsigned<'static, Certificate>, KeyError> {
        let scheme = key.signing_scheme()?;
        let to_be_signed = self.to_be_signed(scheme.algorithm()?);
        Ok(Unsigned::new((key, scheme), to_be_signed, move |signed| self.signed(signed)))
    }

    fn to_be_signed(&self, algorithm: &[u8]) -> Vec<u8> {
        sequence(|certificate| {
            certificate.nested(tag::constructed(0), |version| version.unsigned(&V3.to_be_bytes()));
            self.serial.write(certificate);
            certificate.raw(algorithm);
            certificate.raw(self.issuer.der());
            certificate.sequence(|validity| {
                time::write(validity, self.not_before);
                time::write(validity, self.not_after);
            });
            certificate.raw(self.subject.der());
            certificate.raw(self.public_key.spki());
            if !self.extensions.is_empty() {
                certificate
                    .nested(tag::constructed(3), |explicit| extension::write_all(explicit, &self.extensions));
            }
        })
    }

    fn signed(self, signed: Signed) -> Certificate {
        Certificate(Arc::new(Inner {
            signed,
            serial: self.serial,
            issuer: self.issuer,
            subject: self.subject,
            not_before: self.not_before,
            not_after: self.not_after,
            public_key: self.public_key,
            extensions: self.extensions,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::der_writer::Writer;
    use crate::key::KeySpec;
    use base::Span;

    fn key() -> PrivateKey {
        PrivateKey::generate(KeySpec::Ed25519).unwrap()
    }

    fn template(key: &PrivateKey, extensions: Vec<Extension>) -> CertificateTemplate {
        CertificateTemplate {
            serial: Serial::from_decimal("1234567890123456789012345678901234567890").unwrap(),
            issuer: Name::from_common_name("issuer").unwrap(),
            subject: Name::from_common_name("subject").unwrap(),
            not_before: Timestamp::from_unix(1_700_000_000),
            not_after: Timestamp::from_unix(1_700_000_000) + Span::days(20_000),
            public_key: key.public().clone(),
            extensions,
        }
    }

    #[test]
    fn is_read_as_it_was_made() {
        let key = key();
        let id = key.public().key_id();
        let extensions = vec![
            extension::subject_key_id(id),
            extension::authority_key_id(KeyId::new([1; 20])),
            extension::basic_constraints(true, Some(0)),
        ];
        let made = template(&key, extensions.clone()).sign(&key);
        let read = Certificate::from_pem(made.to_pem().as_bytes()).unwrap();
        assert_eq!(read, made);
        assert_eq!(read.serial().to_string(), "1234567890123456789012345678901234567890");
        assert_eq!((read.issuer(), read.subject()), (made.issuer(), made.subject()));
        assert_eq!((read.not_before(), read.not_after()), (made.not_before(), made.not_after()));
        assert_eq!((read.public_key(), read.extensions()), (key.public(), &extensions[..]));
        assert_eq!((read.subject_key_id(), read.authority_key_id()), (Some(id), Some(vec![1; 20])));
        assert!(read.is_ca());
        assert_eq!(read.verify_signature(key.public()), Ok(()));
        assert_eq!(base::hex::encode(&read.fingerprint()).len(), 64);
    }

    #[test]
    fn says_nothing_that_was_not_said() {
        let key = key();
        let plain = template(&key, vec![]).sign(&key);
        let read = Certificate::from_der(plain.der()).unwrap();
        assert_eq!((read.extensions(), read.is_ca()), (&[][..], false));
        assert_eq!((read.subject_key_id(), read.authority_key_id()), (None, None));
    }

    #[test]
    fn several_are_read_from_one_text() {
        let key = key();
        let one = template(&key, vec![]).sign(&key);
        let text = key.to_pem().expose().clone() + &one.to_pem() + "text\n" + &one.to_pem();
        assert_eq!(Certificate::all_from_pem(text.as_bytes()).unwrap(), [one.clone(), one]);
        assert_eq!(Certificate::all_from_pem(b"").unwrap(), []);
        let several = pem::PemError::Several { wanted: LABEL };
        assert_eq!(Certificate::from_pem(text.as_bytes()).err(), Some(several.into()));
    }

    #[test]
    fn is_read_strictly() {
        let key = key();
        let made = template(&key, vec![]).sign(&key);
        let fields = |version: u64, serial: &[u8], algorithm: &[u8], after: &[u8]| {
            let to_be_signed = sequence(|certificate: &mut Writer| {
                if version > 0 {
                    certificate
                        .nested(tag::constructed(0), |explicit| explicit.unsigned(&version.to_be_bytes()));
                }
                certificate.element(tag::INTEGER, serial);
                certificate.raw(algorithm);
                certificate.raw(made.issuer().der());
                certificate.sequence(|validity| {
                    time::write(validity, made.not_before());
                    time::write(validity, made.not_after());
                });
                certificate.raw(made.subject().der());
                certificate.raw(key.public().spki());
                certificate.raw(after);
            });
            let signed = Signed::sign(&to_be_signed, &key);
            (Certificate::from_der(signed.der()).err(), Certificate::from_holder_der(signed.der()).err())
        };
        // Both ways of reading say the same.
        let both = |error: ParseError| (Some(error.clone()), Some(error));
        let ed25519 = key.signature_algorithm();
        let twice = {
            let mut writer = Writer::default();
            let one = extension::basic_constraints(false, None);
            writer
                .nested(tag::constructed(3), |explicit| extension::write_all(explicit, &[one.clone(), one]));
            writer.into_bytes()
        };
        assert_eq!(fields(2, &[1], ed25519, &[]), (None, None));
        assert_eq!(fields(2, &[1], ed25519, &[0x81, 2, 0, 1]), (None, None));
        let (version, form) = (ParseError::Version { what: WHAT }, ParseError::Der { what: WHAT });
        assert_eq!(fields(0, &[1], ed25519, &[]), (Some(version.clone()), None));
        // Version 1 has no more than that: neither unique identifiers nor extensions.
        let one = extension::basic_constraints(true, None);
        let mut is_ca = Writer::default();
        is_ca.nested(tag::constructed(3), |explicit| extension::write_all(explicit, &[one]));
        for after in [&[0x81, 2, 0, 1][..], &is_ca.into_bytes()] {
            assert_eq!(fields(0, &[1], ed25519, after), (Some(version.clone()), Some(form.clone())));
        }
        assert_eq!(fields(1, &[1], ed25519, &[]), both(version));
        for serial in [&[][..], &[0], &[0xff], &[1; 21]] {
            assert_eq!(fields(2, serial, ed25519, &[]), both(ParseError::Serial), "{serial:?}");
        }
        assert_eq!(
            fields(2, &[1], crate::algorithm::RSA_SHA256, &[]),
            both(ParseError::Algorithms { what: WHAT })
        );
        assert_eq!(fields(2, &[1], ed25519, &[5, 0]), both(form));
        let duplicate = ParseError::DuplicateExtension { oid: oid::BASIC_CONSTRAINTS };
        assert_eq!(fields(2, &[1], ed25519, &twice), both(duplicate));
    }
}
