//! The signature of an entry: RSASSA-PKCS1-v1_5 with SHA-1 over the text's UTF-8, in base64 (networkcache contract,
//! 4.2). Readers take ECDSA with SHA-1 on P-256 too, as old ones do; writers are always RSA.
//!
//! SHA-1 and keys of 1024 bits can be forged by somebody determined. This is what old readers know; what is better is
//! signed inside the text.

use aws_lc_rs::signature::{ECDSA_P256_SHA1_ASN1, ParsedPublicKey};
use base::{Explain, Kind, Secret, Timestamp};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use x509::bare::{self, BareKey};
use x509::oid;
use x509::{KeyError, Name, NameError, Serial};

/// A public key that signatures are tried against.
pub(crate) enum VerifyingKey {
    Rsa {
        key: lc_rsa::VerifyingKey,
        /// The DER of its RSAPublicKey: what two certificates over one key have in common.
        public_key: Vec<u8>,
    },
    EcP256(ParsedPublicKey),
}

impl VerifyingKey {
    /// `None` when no signature can be by a key of this kind, or its numbers make no sense.
    pub(crate) fn new(key: BareKey) -> Option<Self> {
        match key {
            BareKey::Rsa { public_key } => {
                Some(Self::Rsa { key: lc_rsa::VerifyingKey::from_der(&public_key)?, public_key })
            }
            BareKey::Ec { curve: oid::P256, point } => {
                ParsedPublicKey::new(&ECDSA_P256_SHA1_ASN1, point).ok().map(Self::EcP256)
            }
            BareKey::Ec { .. } | BareKey::Other { .. } => None,
        }
    }

    /// What two keys that are the same have in common.
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::Rsa { public_key, .. } => public_key,
            Self::EcP256(key) => key.as_ref(),
        }
    }

    /// Whether the owner of the key signed `text`.
    pub(crate) fn verifies(&self, text: &str, signature: &[u8]) -> bool {
        match self {
            Self::Rsa { key, .. } => key.verifies_sha1(text.as_bytes(), signature),
            Self::EcP256(key) => key.verify_sig(text.as_bytes(), signature).is_ok(),
        }
    }
}

/// Why a signing key was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SigningKeyError {
    /// A key of another kind. The words are the original's.
    #[error("Not an RSA key")]
    NotRsa,
    /// The file, or the key in it.
    #[error(transparent)]
    Key(KeyError),
    /// Too short for a signature with SHA-1.
    #[error("RSA keys of {bits} bits are too short to sign with")]
    Short {
        /// The length of the modulus.
        bits: u32,
    },
    /// A size that is not made.
    #[error("RSA keys of {bits} bits cannot be made")]
    Size {
        /// The length that was asked for.
        bits: u32,
    },
}

impl Explain for SigningKeyError {
    fn kind(&self) -> Kind {
        match self {
            Self::NotRsa | Self::Short { .. } | Self::Size { .. } => Kind::Invalid,
            Self::Key(source) => source.kind(),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::NotRsa => {
                Some("entries are signed with RSA; make a key with `generate-signature-key`".into())
            }
            Self::Short { .. } | Self::Size { .. } => None,
            Self::Key(source) => source.help(),
        }
    }
}

/// The fewest bits that a signing key has: what aws-lc still signs with, and half of what is in the field.
const BITS_MIN: u32 = 512;

/// An RSA key that signs entries. It is overwritten when dropped; `Debug` shows its size.
#[derive(Debug)]
pub struct SigningKey {
    key: lc_rsa::SigningKey,
}

impl SigningKey {
    /// Reads the only private key in `text`: PEM, PKCS#1 (`RSA PRIVATE KEY`) or PKCS#8 (`PRIVATE KEY`), RSA of 512 bits
    /// or more, without a passphrase.
    ///
    /// # Errors
    /// When there is none, or it is encrypted, malformed or not RSA.
    pub fn from_pem(text: &str) -> Result<Self, SigningKeyError> {
        let der = bare::rsa_private_key(text).map_err(|error| match error {
            KeyError::Unsupported { .. } => SigningKeyError::NotRsa,
            error => SigningKeyError::Key(error),
        })?;
        let key = lc_rsa::SigningKey::from_der(der.expose());
        let key = key.ok_or(SigningKeyError::Key(KeyError::Malformed))?;
        if key.bits() < BITS_MIN {
            return Err(SigningKeyError::Short { bits: key.bits() });
        }
        Ok(Self { key })
    }

    /// Makes a new key of this many bits, 512 or more; aws-lc draws the numbers from the operating system. It takes
    /// longer than the blink of an eye.
    ///
    /// # Errors
    /// When there are no keys of this size.
    pub fn generate(bits: u32) -> Result<Self, SigningKeyError> {
        let key = (bits >= BITS_MIN).then(|| lc_rsa::SigningKey::generate(bits)).flatten();
        Ok(Self { key: key.ok_or(SigningKeyError::Size { bits })? })
    }

    /// The key as PEM, PKCS#8.
    #[must_use]
    pub fn to_pem(&self) -> Secret<String> {
        let der = Secret::new(self.key.to_der());
        Secret::new(x509::pem::write("PRIVATE KEY", bare::pkcs8_of_rsa(der.expose()).expose()))
    }

    /// A certificate of this name that its owner signs, PEM: what readers need to believe them.
    ///
    /// # Errors
    /// When no certificate can have this name.
    ///
    /// # Panics
    /// When memory runs out.
    pub fn certificate(
        &self,
        common_name: &str,
        serial: Serial,
        not_before: Timestamp,
        not_after: Timestamp,
    ) -> Result<String, NameError> {
        let name = Name::from_common_name(common_name)?;
        let der = bare::self_signed(&self.key, &name, serial, not_before, not_after);
        let der = der.expect("a key of 512 bits or more signs anything, unless memory runs out");
        Ok(x509::pem::write("CERTIFICATE", &der))
    }

    /// The signature over `text`, in base64, one line.
    ///
    /// # Panics
    /// When memory runs out: a key that was checked signs anything.
    #[must_use]
    pub fn sign(&self, text: &str) -> String {
        let signature = self.key.sign_sha1(text.as_bytes());
        STANDARD.encode(signature.expect("a key that was checked signs anything, unless memory runs out"))
    }

    /// The length of the modulus.
    #[must_use]
    pub fn bits(&self) -> u32 {
        self.key.bits()
    }

    /// The public half, as the DER of an RSAPublicKey.
    #[must_use]
    pub fn public_key(&self) -> Vec<u8> {
        self.key.public_der()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vector;

    #[test]
    fn keys_of_both_forms_sign_alike() {
        let [pkcs8, pkcs1] =
            [vector::KEY_PKCS8, vector::KEY_PKCS1].map(|text| SigningKey::from_pem(text).unwrap());
        assert_eq!(pkcs8.sign("message"), pkcs1.sign("message"));
        assert_eq!((pkcs8.bits(), format!("{pkcs8:?}").contains("..")), (1024, true));
        // Made by `openssl dgst -sha1 -sign` with the same key: there is no chance in this signature.
        assert_eq!(pkcs8.sign("message"), vector::SIGNATURE_OF_MESSAGE);
    }

    #[test]
    fn what_cannot_sign_is_refused() {
        let error = |text: &str| SigningKey::from_pem(text).unwrap_err().to_string();
        assert_eq!(error(vector::KEY_EC), "Not an RSA key");
        assert_eq!(error(vector::KEY_ED25519), "Not an RSA key");
        assert_eq!(error(""), "there is no PEM block `PRIVATE KEY`");
        assert_eq!(error(&x509::pem::write("RSA PRIVATE KEY", b"x")), "the key is malformed");
        assert_eq!(error(&x509::pem::write("ENCRYPTED PRIVATE KEY", b"x")), "the private key is encrypted");
    }
    #[test]
    fn a_new_key_is_believed_by_its_certificate() {
        let [begin, end] = [1_800_000_000, 4_900_000_000].map(Timestamp::from_unix);
        let serial = Serial::random(&base::Entropy::seeded(1));
        let key = SigningKey::generate(1024).unwrap();
        let certificate = key.certificate("COMP-1/x", serial, begin, end).unwrap();
        let trusted = crate::TrustList::parse(&certificate).unwrap();
        assert_eq!(trusted.check_signer(&key), Ok(()));
        let again = SigningKey::from_pem(key.to_pem().expose()).unwrap();
        assert_eq!(trusted.verified_text_by("a", &again.sign("a")), Some(0));
        assert!(key.certificate("", serial, begin, end).is_err());
        for bits in [0, 1, 511, u32::MAX] {
            assert_eq!(SigningKey::generate(bits).unwrap_err(), SigningKeyError::Size { bits });
        }
    }
}
