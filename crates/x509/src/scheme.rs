//! How something is signed by a key that is somewhere else, such as in a token, and never comes here.
//!
//! Such a key is given a digest and gives a signature. What it is asked for is what [`crate::PrivateKey`] does, so that
//! nobody who reads a certificate can tell where its issuer's key is.

use crate::algorithm::{self, Digest};
use crate::error::KeyError;

/// How a signature over a digest is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// RSASSA-PKCS1-v1_5 (RFC 8017 §8.2).
    RsaPkcs1(Digest),
    /// RSASSA-PSS (RFC 8017 §8.1), the same digest in MGF1.
    RsaPss {
        /// Of the message and in MGF1.
        digest: Digest,
        /// How long the salt is.
        salt_bytes: u32,
    },
    /// ECDSA (FIPS 186-5); the signature is DER (RFC 3279 §2.2.3).
    Ecdsa(Digest),
}

impl Scheme {
    /// The digest of the message.
    #[must_use]
    pub fn digest(self) -> Digest {
        match self {
            Self::RsaPkcs1(digest) | Self::RsaPss { digest, .. } | Self::Ecdsa(digest) => digest,
        }
    }

    /// As the DER of an AlgorithmIdentifier.
    pub(crate) fn algorithm(self) -> Result<&'static [u8], KeyError> {
        match self {
            Self::RsaPkcs1(Digest::Sha256) => Ok(algorithm::RSA_SHA256),
            Self::Ecdsa(Digest::Sha256) => Ok(algorithm::ECDSA_SHA256),
            Self::Ecdsa(Digest::Sha384) => Ok(algorithm::ECDSA_SHA384),
            Self::RsaPkcs1(digest) | Self::RsaPss { digest, .. } | Self::Ecdsa(digest) => {
                Err(KeyError::Digest { digest: digest.name() })
            }
        }
    }
}

/// A signature of ECDSA as DER, from the two numbers beside each other, as PKCS#11 has it; `None` when they are not
/// equally long.
#[must_use]
pub fn ecdsa_der(numbers: &[u8]) -> Option<Vec<u8>> {
    if numbers.is_empty() || !numbers.len().is_multiple_of(2) {
        return None;
    }
    let (r, s) = numbers.split_at(numbers.len() / 2);
    Some(crate::der_writer::sequence(|signature| {
        signature.unsigned(r);
        signature.unsigned(s);
    }))
}

#[cfg(test)]
mod tests {
    use crate::{
        CertificateTemplate, CrlTemplate, Extension, KeySpec, Name, PrivateKey, Serial, SignatureError,
    };
    use base::{Entropy, Timestamp};

    use super::*;

    fn template(key: &PrivateKey) -> CertificateTemplate {
        let name = Name::from_common_name("somebody").unwrap();
        CertificateTemplate {
            serial: Serial::random(&Entropy::seeded(1)),
            issuer: name.clone(),
            subject: name,
            not_before: Timestamp::from_unix(0),
            not_after: Timestamp::from_unix(9),
            public_key: key.public().clone(),
            extensions: Vec::<Extension>::new(),
        }
    }

    /// Whoever signs elsewhere makes the same bytes as whoever has the key, and cannot hand in anything else.
    #[test]
    fn what_is_signed_elsewhere_is_the_same() {
        for spec in [KeySpec::Rsa { bits: 2048 }, KeySpec::P256, KeySpec::P384] {
            let key = PrivateKey::generate(spec).unwrap();
            let unsigned = || template(&key).for_signature_by(key.public()).unwrap();
            assert_eq!(unsigned().signed(&key.sign(b"else")).unwrap_err(), SignatureError::Wrong, "{spec:?}");
            let made = unsigned().signed(&key.sign(unsigned().to_be_signed())).unwrap();
            if matches!(spec, KeySpec::Rsa { .. }) {
                assert_eq!(made.der(), template(&key).sign(&key).der());
            }
            assert_eq!(made.verify_signature(key.public()), Ok(()));
            let name = Name::from_common_name("somebody").unwrap();
            let list = || CrlTemplate {
                issuer: &name,
                authority_key_id: key.public().key_id(),
                number: 7,
                this_update: Timestamp::from_unix(0),
                next_update: Timestamp::from_unix(9),
                revoked: &[],
            };
            let unsigned = || list().for_signature_by(key.public()).unwrap();
            assert_eq!(unsigned().signed(&key.sign(b"else")).unwrap_err(), SignatureError::Wrong);
            let made = unsigned().signed(&key.sign(unsigned().to_be_signed())).unwrap();
            assert_eq!(made.verify_signature(key.public()), Ok(()));
        }
        let key = PrivateKey::generate(KeySpec::Ed25519).unwrap();
        assert!(template(&key).for_signature_by(key.public()).is_err());
    }

    #[test]
    fn two_numbers_become_der() {
        assert_eq!(ecdsa_der(&[0, 1, 0x80, 0]), Some(vec![0x30, 8, 2, 1, 1, 2, 3, 0, 0x80, 0]));
        assert_eq!(ecdsa_der(&[1, 2, 3]), None);
    }

    /// As long as those that [`PrivateKey::sign_statement`] makes: the verifiers of the original take no other.
    #[test]
    fn the_salt_is_as_long_as_fits() {
        let key = PrivateKey::generate(KeySpec::Rsa { bits: 2048 }).unwrap();
        let expected = Scheme::RsaPss { digest: Digest::Sha256, salt_bytes: 222 };
        assert_eq!(key.public().statement_scheme(), Ok(expected));
    }
}
