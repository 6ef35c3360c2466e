//! Public keys: what kind they are, what they are called, and what they verify.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::signature::{
    self, EcdsaVerificationAlgorithm, RsaParameters, UnparsedPublicKey, VerificationAlgorithm,
};
use lc_rsa::Hash;

use crate::algorithm::{Digest, SignatureAlgorithm, sha1};
use crate::der_reader::{Reader, tag};
use crate::der_writer::sequence;
use crate::error::{KeyError, ParseError, SignatureError};
use crate::number::KeyId;
use crate::oid::{self, ObjectIdentifier};
use crate::scheme::Scheme;

/// What kind of key it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum KeyKind {
    /// RSA (RFC 8017).
    Rsa {
        /// The length of the modulus.
        bits: u32,
    },
    /// An elliptic curve key on P-256.
    EcP256,
    /// An elliptic curve key on P-384.
    EcP384,
    /// An elliptic curve key on P-521.
    EcP521,
    /// Ed25519 (RFC 8410).
    Ed25519,
    /// RSA of a size that can be carried but verifies nothing here. Only [`crate::Certificate::from_anchor_der`] takes it.
    UnfitRsa {
        /// The length of the modulus.
        bits: u32,
    },
    /// Something that can be carried but verifies nothing here: the object identifier of the curve if it
    /// is an elliptic curve key, else of the algorithm.
    Other(String),
}

/// A public key: its SubjectPublicKeyInfo, verbatim. Two are equal when their bytes are. Cloning shares
/// them.
///
/// RSA keys have from 2048 to 8192 bits and an odd exponent from 3 (small ones are common in old keys
/// and do no harm in verifying signatures) to 33 bits.
#[derive(Clone)]
pub struct PublicKey(Arc<Inner>);

struct Inner {
    spki: Vec<u8>,
    kind: KeyKind,
    /// Where the bits of the subjectPublicKey begin; they go on to the end.
    bits_at: usize,
}

impl PublicKey {
    /// Takes the DER of a SubjectPublicKeyInfo (RFC 5280 §4.1.2.7).
    ///
    /// # Errors
    /// When it is malformed, or an RSA key of a size that is not taken. Whether an elliptic curve point
    /// is on its curve is only seen when it verifies something.
    pub fn from_spki_der(der: &[u8]) -> Result<Self, KeyError> {
        let key = Self::carried(der)?;
        match key.kind() {
            KeyKind::UnfitRsa { bits } => Err(KeyError::Size { bits: u64::from(*bits) }),
            _ => Ok(key),
        }
    }

    /// The same, with RSA keys of sizes that verify nothing here, for those who only look.
    pub(crate) fn carried(der: &[u8]) -> Result<Self, KeyError> {
        let (kind, bits) = read_spki(der)?;
        Ok(Self(Arc::new(Inner { spki: der.to_vec(), kind, bits_at: der.len() - bits.len() })))
    }

    /// The SubjectPublicKeyInfo of an RSA key, from the DER of its RSAPublicKey.
    pub(crate) fn from_rsa(key: &[u8]) -> Result<Self, KeyError> {
        let spki = sequence(|spki| {
            spki.sequence(|algorithm| {
                algorithm.oid(&oid::RSA_ENCRYPTION);
                algorithm.element(tag::NULL, &[]);
            });
            spki.bit_string(key);
        });
        Self::from_spki_der(&spki)
    }

    /// An RSA key of these numbers, each an unsigned one of which the highest byte comes first.
    ///
    /// # Errors
    /// As [`PublicKey::from_spki_der`].
    pub fn from_rsa_numbers(modulus: &[u8], exponent: &[u8]) -> Result<Self, KeyError> {
        Self::from_rsa(&sequence(|key| {
            key.unsigned(modulus);
            key.unsigned(exponent);
        }))
    }

    /// The key that is an uncompressed point on P-256 or P-384, by how long it is.
    ///
    /// # Errors
    /// When it is as long as neither.
    pub fn from_uncompressed_point(point: &[u8]) -> Result<Self, KeyError> {
        match point.len() {
            65 => Self::from_point(&oid::P256, point),
            97 => Self::from_point(&oid::P384, point),
            _ => Err(KeyError::Malformed),
        }
    }

    /// How the private half signs certificates and lists: as [`crate::PrivateKey::sign`] does.
    ///
    /// # Errors
    /// When keys of this kind sign nothing that is made somewhere else.
    pub fn signing_scheme(&self) -> Result<Scheme, KeyError> {
        match self.kind() {
            KeyKind::Rsa { .. } => Ok(Scheme::RsaPkcs1(Digest::Sha256)),
            KeyKind::EcP256 => Ok(Scheme::Ecdsa(Digest::Sha256)),
            KeyKind::EcP384 => Ok(Scheme::Ecdsa(Digest::Sha384)),
            other => Err(KeyError::Unsupported { algorithm: other.to_string() }),
        }
    }

    /// How the private half signs statements: as [`crate::PrivateKey::sign_statement`] does, with a salt of the greatest
    /// length that fits.
    ///
    /// # Errors
    /// As [`PublicKey::signing_scheme`].
    pub fn statement_scheme(&self) -> Result<Scheme, KeyError> {
        match self.kind() {
            KeyKind::Rsa { bits } => {
                let digest = Digest::Sha256;
                // RFC 8017 §9.1.1: emLen - hLen - 2, where emLen is of a bit less than the modulus has.
                let salt_bytes = (bits - 1).div_ceil(8) - digest.bytes() - 2;
                Ok(Scheme::RsaPss { digest, salt_bytes })
            }
            _ => self.signing_scheme(),
        }
    }

    /// The SubjectPublicKeyInfo of a point on `curve`.
    pub(crate) fn from_point(curve: &ObjectIdentifier, point: &[u8]) -> Result<Self, KeyError> {
        let spki = sequence(|spki| {
            spki.sequence(|algorithm| {
                algorithm.oid(&oid::EC_PUBLIC_KEY);
                algorithm.oid(curve);
            });
            spki.bit_string(point);
        });
        Self::from_spki_der(&spki)
    }

    /// The SubjectPublicKeyInfo of an Ed25519 key.
    pub(crate) fn from_ed25519(key: &[u8]) -> Result<Self, KeyError> {
        let spki = sequence(|spki| {
            spki.sequence(|algorithm| algorithm.oid(&oid::ED25519));
            spki.bit_string(key);
        });
        Self::from_spki_der(&spki)
    }

    /// Its SubjectPublicKeyInfo as DER.
    #[must_use]
    pub fn spki(&self) -> &[u8] {
        &self.0.spki
    }

    /// What kind of key it is.
    #[must_use]
    pub fn kind(&self) -> &KeyKind {
        &self.0.kind
    }

    /// The SHA-1 of the subjectPublicKey's bits (RFC 5280 §4.2.1.2, method 1).
    #[must_use]
    pub fn key_id(&self) -> KeyId {
        KeyId::new(sha1(self.bits()))
    }

    /// The bits of the subjectPublicKey.
    fn bits(&self) -> &[u8] {
        &self.0.spki[self.0.bits_at..]
    }

    /// Verifies a signature over `message` made with the algorithm that the DER of an
    /// AlgorithmIdentifier names: RSA with PKCS#1 v1.5 or PSS, ECDSA, each with SHA-256, SHA-384 or
    /// SHA-512, and Ed25519.
    ///
    /// # Errors
    /// When the algorithm is another one (SHA-1 is not taken), is not one for this kind of key, or the
    /// signature is wrong.
    pub fn verify(&self, algorithm: &[u8], message: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
        match (SignatureAlgorithm::parse(algorithm)?, self.kind()) {
            (SignatureAlgorithm::RsaPkcs1(digest), KeyKind::Rsa { .. }) => {
                self.verify_with(rsa_pkcs1(digest), message, signature)
            }
            (SignatureAlgorithm::RsaPss(digest), KeyKind::Rsa { .. }) => {
                self.verify_pss(digest, message, signature)
            }
            (SignatureAlgorithm::Ecdsa(digest), kind) => {
                let algorithm = ecdsa(kind, digest).ok_or(SignatureError::Mismatch)?;
                self.verify_with(algorithm, message, signature)
            }
            (SignatureAlgorithm::Ed25519, KeyKind::Ed25519) => {
                self.verify_with(&signature::ED25519, message, signature)
            }
            _ => Err(SignatureError::Mismatch),
        }
    }

    /// Verifies a signature that comes without an algorithm identifier: for RSA, RSASSA-PSS with `digest`
    /// both for the message and in MGF1 and a salt of any length; for elliptic curves, ECDSA with
    /// `digest`; for Ed25519, of the message itself.
    ///
    /// # Errors
    /// When the key is of another kind, or the signature is wrong.
    pub fn verify_statement(
        &self,
        digest: Digest,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), SignatureError> {
        match self.kind() {
            KeyKind::Rsa { .. } => self.verify_pss(digest, message, signature),
            KeyKind::Ed25519 => self.verify_with(&signature::ED25519, message, signature),
            kind => {
                let algorithm = ecdsa(kind, digest).ok_or(SignatureError::Mismatch)?;
                self.verify_with(algorithm, message, signature)
            }
        }
    }

    fn verify_pss(&self, digest: Digest, message: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
        let hash = match digest {
            Digest::Sha256 => Hash::Sha256,
            Digest::Sha384 => Hash::Sha384,
            Digest::Sha512 => Hash::Sha512,
        };
        let is_right = lc_rsa::verify_any_salt(self.bits(), hash, message, signature);
        if is_right { Ok(()) } else { Err(SignatureError::Wrong) }
    }

    fn verify_with(
        &self,
        algorithm: &'static dyn VerificationAlgorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), SignatureError> {
        UnparsedPublicKey::new(algorithm, self.bits())
            .verify(message, signature)
            .map_err(|_| SignatureError::Wrong)
    }
}

/// The kind of key in a SubjectPublicKeyInfo, and the bits of its subjectPublicKey.
fn read_spki(der: &[u8]) -> Result<(KeyKind, &[u8]), KeyError> {
    let malformed = |_: ParseError| KeyError::Malformed;
    let mut spki = Reader::whole(der, tag::SEQUENCE, "public key").map_err(malformed)?;
    let mut algorithm = spki.inside(tag::SEQUENCE).map_err(malformed)?;
    let bits = spki.bit_string().map_err(malformed)?;
    spki.finish().map_err(malformed)?;
    let oid = algorithm.oid().map_err(malformed)?;
    let kind = match oid {
        oid::RSA_ENCRYPTION => {
            // RFC 3279 §2.3.1: the parameters are NULL, and not left out.
            if !algorithm.expect(tag::NULL).map_err(malformed)?.content.is_empty() {
                return Err(KeyError::Malformed);
            }
            rsa_kind(bits)?
        }
        oid::EC_PUBLIC_KEY => {
            // A named curve; RFC 5480 §2.1.1 forbids to spell the parameters out.
            let curve = algorithm.oid().map_err(malformed)?;
            let (kind, bytes) = match curve {
                oid::P256 => (KeyKind::EcP256, 32),
                oid::P384 => (KeyKind::EcP384, 48),
                oid::P521 => (KeyKind::EcP521, 66),
                _ => (KeyKind::Other(curve.to_string()), 0),
            };
            // A point is uncompressed (both coordinates) or compressed (one).
            let is_point = match bits.first() {
                Some(4) => bits.len() == 1 + 2 * bytes,
                Some(2 | 3) => bits.len() == 1 + bytes,
                _ => false,
            };
            if bytes > 0 && !is_point {
                return Err(KeyError::Malformed);
            }
            kind
        }
        oid::ED25519 if bits.len() == 32 => KeyKind::Ed25519,
        oid::ED25519 => return Err(KeyError::Malformed),
        _ => return Ok((KeyKind::Other(oid.to_string()), bits)),
    };
    algorithm.finish().map_err(malformed)?;
    Ok((kind, bits))
}

/// What kind of key is in the DER of an RSAPublicKey, by the length of its modulus. Below 512 bits nobody ever had one, and
/// above 16384 OpenSSL has none (`OPENSSL_RSA_MAX_MODULUS_BITS`).
fn rsa_kind(der: &[u8]) -> Result<KeyKind, KeyError> {
    let malformed = |_: ParseError| KeyError::Malformed;
    let mut key = Reader::whole(der, tag::SEQUENCE, "public key").map_err(malformed)?;
    let modulus = key.unsigned().map_err(malformed)?;
    let exponent = key.unsigned().map_err(malformed)?;
    key.finish().map_err(malformed)?;
    let is_odd = |number: &[u8]| number.last().is_some_and(|last| last & 1 == 1);
    let bits_of = |number: &[u8]| {
        number.first().map_or(0, |first| number.len() as u64 * 8 - u64::from(first.leading_zeros()))
    };
    if !is_odd(modulus) || !is_odd(exponent) || !(2..=33).contains(&bits_of(exponent)) {
        return Err(KeyError::Malformed);
    }
    match bits_of(modulus) {
        bits @ 2048..=8192 => Ok(KeyKind::Rsa { bits: bits as u32 }),
        bits @ 512..=16_384 => Ok(KeyKind::UnfitRsa { bits: bits as u32 }),
        bits => Err(KeyError::Size { bits }),
    }
}

fn rsa_pkcs1(digest: Digest) -> &'static RsaParameters {
    match digest {
        Digest::Sha256 => &signature::RSA_PKCS1_2048_8192_SHA256,
        Digest::Sha384 => &signature::RSA_PKCS1_2048_8192_SHA384,
        Digest::Sha512 => &signature::RSA_PKCS1_2048_8192_SHA512,
    }
}

/// ECDSA on the curve of `kind`; `None` when it is no such key.
fn ecdsa(kind: &KeyKind, digest: Digest) -> Option<&'static EcdsaVerificationAlgorithm> {
    Some(match (kind, digest) {
        (KeyKind::EcP256, Digest::Sha256) => &signature::ECDSA_P256_SHA256_ASN1,
        (KeyKind::EcP256, Digest::Sha384) => &signature::ECDSA_P256_SHA384_ASN1,
        (KeyKind::EcP256, Digest::Sha512) => &signature::ECDSA_P256_SHA512_ASN1,
        (KeyKind::EcP384, Digest::Sha256) => &signature::ECDSA_P384_SHA256_ASN1,
        (KeyKind::EcP384, Digest::Sha384) => &signature::ECDSA_P384_SHA384_ASN1,
        (KeyKind::EcP384, Digest::Sha512) => &signature::ECDSA_P384_SHA512_ASN1,
        (KeyKind::EcP521, Digest::Sha256) => &signature::ECDSA_P521_SHA256_ASN1,
        (KeyKind::EcP521, Digest::Sha384) => &signature::ECDSA_P521_SHA384_ASN1,
        (KeyKind::EcP521, Digest::Sha512) => &signature::ECDSA_P521_SHA512_ASN1,
        (KeyKind::Rsa { .. } | KeyKind::UnfitRsa { .. } | KeyKind::Ed25519 | KeyKind::Other(_), _) => {
            return None;
        }
    })
}

impl fmt::Display for KeyKind {
    /// As people call it: `RSA-2048`, `P-256`, `Ed25519`, or the object identifier.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rsa { bits } | Self::UnfitRsa { bits } => write!(f, "RSA-{bits}"),
            Self::EcP256 => f.write_str("P-256"),
            Self::EcP384 => f.write_str("P-384"),
            Self::EcP521 => f.write_str("P-521"),
            Self::Ed25519 => f.write_str("Ed25519"),
            Self::Other(oid) => f.write_str(oid),
        }
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.spki() == other.spki()
    }
}

impl Eq for PublicKey {}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({:?}, {})", self.kind(), self.key_id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::der_writer::Writer;

    fn rsa(modulus: &[u8], exponent: &[u8]) -> Result<KeyKind, KeyError> {
        let key = sequence(|writer| {
            writer.unsigned(modulus);
            writer.unsigned(exponent);
        });
        PublicKey::from_rsa(&key).map(|key| key.kind().clone())
    }

    #[test]
    fn rsa_keys_have_bounds() {
        let (e, full) = ([1, 0, 1], |bytes| vec![0xff_u8; bytes]);
        assert_eq!(rsa(&full(256), &e), Ok(KeyKind::Rsa { bits: 2048 }));
        assert_eq!(rsa(&full(256), &[3]), Ok(KeyKind::Rsa { bits: 2048 }));
        assert_eq!(rsa(&full(1024), &e), Ok(KeyKind::Rsa { bits: 8192 }));
        assert_eq!(rsa(&full(128), &e), Err(KeyError::Size { bits: 1024 }));
        assert_eq!(rsa(&full(1025), &e), Err(KeyError::Size { bits: 8200 }));
        assert_eq!(rsa(&full(63), &e), Err(KeyError::Size { bits: 504 }));
        assert_eq!(rsa(&full(2049), &e), Err(KeyError::Size { bits: 16_392 }));
        let mut even = full(256);
        even[255] = 0xfe;
        for (modulus, exponent) in
            [(&even, &[1, 0, 1][..]), (&full(256), &[1]), (&full(256), &[2]), (&full(256), &[4, 0, 0, 0, 1])]
        {
            assert_eq!(rsa(modulus, exponent), Err(KeyError::Malformed), "{exponent:?}");
        }
    }

    #[test]
    fn rsa_keys_have_null_for_parameters() {
        let key = sequence(|key| {
            key.element(0x02, &[&[0][..], &[0xff; 256]].concat());
            key.element(0x02, &[3]);
        });
        assert!(PublicKey::from_rsa(&key).is_ok());
        for parameters in [&[][..], &[0x05, 1, 0], &[0x30, 0], &[0x05, 0, 0x05, 0]] {
            let spki = sequence(|spki| {
                spki.sequence(|algorithm| {
                    algorithm.oid(&oid::RSA_ENCRYPTION);
                    algorithm.raw(parameters);
                });
                spki.bit_string(&key);
            });
            assert_eq!(PublicKey::from_spki_der(&spki), Err(KeyError::Malformed), "{parameters:02x?}");
        }
    }

    #[test]
    fn points_have_the_length_of_their_curve() {
        let kind = |curve, length: usize, first: u8| {
            let mut point = vec![1; length];
            point[0] = first;
            PublicKey::from_point(&curve, &point).map(|key| key.kind().clone())
        };
        assert_eq!(kind(oid::P256, 65, 4), Ok(KeyKind::EcP256));
        assert_eq!(kind(oid::P256, 33, 3), Ok(KeyKind::EcP256));
        assert_eq!(kind(oid::P384, 97, 4), Ok(KeyKind::EcP384));
        assert_eq!(kind(oid::P521, 133, 4), Ok(KeyKind::EcP521));
        assert_eq!(kind(oid::P256, 64, 4), Err(KeyError::Malformed));
        assert_eq!(kind(oid::P256, 65, 6), Err(KeyError::Malformed));
        assert_eq!(kind(oid::SHA256, 5, 6), Ok(KeyKind::Other(oid::SHA256.to_string())));
    }

    #[test]
    fn other_kinds_are_carried() {
        let der = sequence(|spki| {
            spki.sequence(|algorithm| algorithm.oid(&ObjectIdentifier::new("1.3.101.110").unwrap()));
            spki.bit_string(&[1; 32]);
        });
        let key = PublicKey::from_spki_der(&der).unwrap();
        assert_eq!((key.kind(), key.spki()), (&KeyKind::Other("1.3.101.110".into()), &der[..]));
        assert_eq!(key.verify(crate::algorithm::ED25519, b"", b""), Err(SignatureError::Mismatch));
        assert_eq!(key.verify_statement(Digest::Sha256, b"", b""), Err(SignatureError::Mismatch));
    }

    #[test]
    fn refuses_other_shapes() {
        let mut trailing = Writer::default();
        trailing.raw(PublicKey::from_ed25519(&[1; 32]).unwrap().spki());
        trailing.raw(&[0]);
        for der in [&[][..], &[0x30, 0], &trailing.into_bytes()] {
            assert_eq!(PublicKey::from_spki_der(der), Err(KeyError::Malformed));
        }
        assert_eq!(PublicKey::from_ed25519(&[1; 31]), Err(KeyError::Malformed));
    }
}
