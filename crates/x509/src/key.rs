//! Private keys: made, read, written, and used to sign.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    self, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _, RsaKeyPair, RsaPssSaltLength,
    RsaSignatureEncoding,
};
use base::Secret;

use crate::algorithm::{self, Digest};
use crate::der_reader::{Reader, tag};
use crate::error::{KeyError, ParseError};
use crate::oid::{self, ObjectIdentifier};
use crate::pem;
use crate::public_key::PublicKey;

/// What key to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeySpec {
    /// RSA with the exponent 65537.
    Rsa {
        /// The length of the modulus: 2048, 3072, 4096 or 8192.
        bits: u32,
    },
    /// An elliptic curve key on P-256.
    P256,
    /// An elliptic curve key on P-384.
    P384,
    /// Ed25519.
    Ed25519,
}

/// A private key and its public half. Cloning shares it; `Debug` shows the public half only.
#[derive(Clone)]
pub struct PrivateKey(Arc<Inner>);

struct Inner {
    pair: Pair,
    public: PublicKey,
}

enum Pair {
    Rsa(RsaKeyPair),
    Ecdsa(Curve, EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

/// The curves that keys are made on.
#[derive(Clone, Copy)]
enum Curve {
    P256,
    P384,
}

impl Curve {
    fn algorithm(self) -> &'static EcdsaSigningAlgorithm {
        match self {
            Self::P256 => &signature::ECDSA_P256_SHA256_ASN1_SIGNING,
            Self::P384 => &signature::ECDSA_P384_SHA384_ASN1_SIGNING,
        }
    }

    fn oid(self) -> &'static ObjectIdentifier {
        match self {
            Self::P256 => &oid::P256,
            Self::P384 => &oid::P384,
        }
    }

    /// The digest that signatures are made with: one as long as the curve is wide.
    fn digest(self) -> Digest {
        match self {
            Self::P256 => Digest::Sha256,
            Self::P384 => Digest::Sha384,
        }
    }
}

/// Why a signature cannot fail: what was checked when the key was made or read.
const CAN_SIGN: &str = "a key that was checked signs anything, unless memory runs out";

impl PrivateKey {
    /// Makes a new key. The cryptography library draws the numbers from the operating system.
    ///
    /// An RSA key takes long, from a tenth of a second for 2048 bits to minutes for 8192.
    ///
    /// # Errors
    /// When the size is none of those that are made, or the library fails.
    pub fn generate(spec: KeySpec) -> Result<Self, KeyError> {
        let failed = |_| KeyError::Generate;
        let pair = match spec {
            KeySpec::Rsa { bits } => {
                let size = match bits {
                    2048 => KeySize::Rsa2048,
                    3072 => KeySize::Rsa3072,
                    4096 => KeySize::Rsa4096,
                    8192 => KeySize::Rsa8192,
                    _ => return Err(KeyError::Size { bits: bits.into() }),
                };
                Pair::Rsa(RsaKeyPair::generate(size).map_err(failed)?)
            }
            KeySpec::P256 => {
                Pair::Ecdsa(Curve::P256, EcdsaKeyPair::generate(Curve::P256.algorithm()).map_err(failed)?)
            }
            KeySpec::P384 => {
                Pair::Ecdsa(Curve::P384, EcdsaKeyPair::generate(Curve::P384.algorithm()).map_err(failed)?)
            }
            KeySpec::Ed25519 => Pair::Ed25519(Ed25519KeyPair::generate().map_err(failed)?),
        };
        Self::new(pair)
    }

    /// Reads the only private key in `text`: PKCS#1 (`RSA PRIVATE KEY`), PKCS#8 (`PRIVATE KEY`) or SEC 1
    /// (`EC PRIVATE KEY`), without a passphrase. Blocks that are no private keys are passed over: a
    /// certificate often stands beside its key.
    ///
    /// # Errors
    /// When there is no private key or more than one, or it is encrypted, malformed or of a kind or size
    /// that is not supported.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        const WANTED: &str = "PRIVATE KEY";
        let blocks = pem::read(text.as_bytes(), pem::ONE_BYTES_MAX)?;
        let mut keys = blocks.into_iter().filter(|block| block.label.ends_with(WANTED));
        let block = keys.next().ok_or(pem::PemError::Missing { wanted: WANTED })?;
        if keys.next().is_some() {
            return Err(pem::PemError::Several { wanted: WANTED }.into());
        }
        let read = Self::from_block(&block, None);
        // Wiped.
        drop(Secret::new(block.der));
        read
    }

    /// Whether PEM text is a private key that somebody could use: what [`PrivateKey::from_pem`] reads, and ECDSA keys on
    /// the curve P-521 besides, which nothing here signs with.
    ///
    /// # Errors
    /// As [`PrivateKey::from_pem`].
    pub fn check_pem(text: &str) -> Result<(), KeyError> {
        let Err(error) = Self::from_pem(text) else { return Ok(()) };
        if !matches!(&error, KeyError::Unsupported { algorithm } if *algorithm == oid::P521.to_string()) {
            return Err(error);
        }
        // It is the only one, or something else would be wrong.
        let blocks = pem::read(text.as_bytes(), pem::ONE_BYTES_MAX)?.into_iter();
        let keys = blocks.map(|block| (block.label, Secret::new(block.der)));
        let algorithm = &signature::ECDSA_P521_SHA512_ASN1_SIGNING;
        for (label, der) in keys {
            let read = match label.as_str() {
                "PRIVATE KEY" => EcdsaKeyPair::from_pkcs8(algorithm, der.expose()),
                "EC PRIVATE KEY" => EcdsaKeyPair::from_private_key_der(algorithm, der.expose()),
                _ => continue,
            };
            read.map_err(|_| KeyError::Malformed)?;
        }
        Ok(())
    }

    /// Reads what is in a block called `label`, which is under no passphrase.
    pub(crate) fn from_clear_block(label: &str, der: &[u8]) -> Result<Self, KeyError> {
        match label {
            "PRIVATE KEY" => Self::from_pkcs8_der(der),
            "RSA PRIVATE KEY" => Self::from_pkcs1_der(der),
            "EC PRIVATE KEY" => Self::from_sec1_der(der),
            _ => Err(pem::PemError::Unexpected { wanted: "PRIVATE KEY", found: label.to_owned() }.into()),
        }
    }

    /// Reads the DER of an unencrypted PKCS#8 key (RFC 5958): RSA, P-256, P-384 or Ed25519.
    ///
    /// # Errors
    /// When it is malformed, its numbers do not fit together, or it is of a kind or size that is not
    /// supported.
    pub fn from_pkcs8_der(der: &[u8]) -> Result<Self, KeyError> {
        let malformed = |_: ParseError| KeyError::Malformed;
        let mut key = Reader::whole(der, tag::SEQUENCE, "private key").map_err(malformed)?;
        key.number().map_err(malformed)?;
        let mut algorithm = key.inside(tag::SEQUENCE).map_err(malformed)?;
        let oid = algorithm.oid().map_err(malformed)?;
        let pair = match oid {
            oid::RSA_ENCRYPTION => {
                let key = key.expect(tag::OCTET_STRING).map_err(malformed)?;
                return Self::from_pkcs1_der(key.content);
            }
            oid::EC_PUBLIC_KEY => {
                let curve = curve(algorithm.oid().map_err(malformed)?)?;
                let pair =
                    EcdsaKeyPair::from_pkcs8(curve.algorithm(), der).map_err(|_| KeyError::Malformed)?;
                Pair::Ecdsa(curve, pair)
            }
            oid::ED25519 => Pair::Ed25519(Ed25519KeyPair::from_pkcs8(der).map_err(|_| KeyError::Malformed)?),
            _ => return Err(KeyError::Unsupported { algorithm: oid.to_string() }),
        };
        Self::new(pair)
    }

    /// Reads the DER of an RSAPrivateKey (RFC 8017 §A.1.2).
    fn from_pkcs1_der(der: &[u8]) -> Result<Self, KeyError> {
        let malformed = |_: ParseError| KeyError::Malformed;
        let mut key = Reader::whole(der, tag::SEQUENCE, "private key").map_err(malformed)?;
        key.number().map_err(malformed)?;
        let modulus = key.unsigned().map_err(malformed)?;
        let bits =
            modulus.len() as u64 * 8 - modulus.first().map_or(0, |first| u64::from(first.leading_zeros()));
        if !(2048..=8192).contains(&bits) {
            return Err(KeyError::Size { bits });
        }
        Self::new(Pair::Rsa(RsaKeyPair::from_der(der).map_err(|_| KeyError::Malformed)?))
    }

    /// Reads the DER of an ECPrivateKey (RFC 5915), which must name its curve.
    fn from_sec1_der(der: &[u8]) -> Result<Self, KeyError> {
        let malformed = |_: ParseError| KeyError::Malformed;
        let mut key = Reader::whole(der, tag::SEQUENCE, "private key").map_err(malformed)?;
        key.number().map_err(malformed)?;
        key.expect(tag::OCTET_STRING).map_err(malformed)?;
        let curve =
            curve(key.inside(tag::constructed(0)).and_then(|mut named| named.oid()).map_err(malformed)?)?;
        let pair =
            EcdsaKeyPair::from_private_key_der(curve.algorithm(), der).map_err(|_| KeyError::Malformed)?;
        Self::new(Pair::Ecdsa(curve, pair))
    }

    fn new(pair: Pair) -> Result<Self, KeyError> {
        let public = match &pair {
            Pair::Rsa(pair) => PublicKey::from_rsa(pair.public_key().as_ref())?,
            Pair::Ecdsa(curve, pair) => PublicKey::from_point(curve.oid(), pair.public_key().as_ref())?,
            Pair::Ed25519(pair) => PublicKey::from_ed25519(pair.public_key().as_ref())?,
        };
        Ok(Self(Arc::new(Inner { pair, public })))
    }

    /// The key as PKCS#8 (RFC 5958, version 1), DER.
    #[must_use]
    pub fn to_pkcs8_der(&self) -> Secret<Vec<u8>> {
        const CAN_BE_WRITTEN: &str = "a key that was checked can be written, unless memory runs out";
        Secret::new(match &self.0.pair {
            Pair::Rsa(pair) => pair.as_der().expect(CAN_BE_WRITTEN).as_ref().to_vec(),
            Pair::Ecdsa(_, pair) => pair.to_pkcs8v1().expect(CAN_BE_WRITTEN).as_ref().to_vec(),
            Pair::Ed25519(pair) => pair.to_pkcs8v1().expect(CAN_BE_WRITTEN).as_ref().to_vec(),
        })
    }

    /// The key as PEM: PKCS#1 (`RSA PRIVATE KEY`) for RSA, PKCS#8 (`PRIVATE KEY`) for the others.
    #[must_use]
    pub fn to_pem(&self) -> Secret<String> {
        let pkcs8 = self.to_pkcs8_der();
        Secret::new(match &self.0.pair {
            Pair::Rsa(_) => {
                let pkcs1 = pkcs1_in(pkcs8.expose()).expect("aws-lc writes PKCS#8 as RFC 5958 says");
                pem::write("RSA PRIVATE KEY", pkcs1)
            }
            Pair::Ecdsa(..) | Pair::Ed25519(_) => pem::write("PRIVATE KEY", pkcs8.expose()),
        })
    }

    /// The key as PEM, PKCS#8 (`PRIVATE KEY`) whatever its kind.
    #[must_use]
    pub fn to_pkcs8_pem(&self) -> Secret<String> {
        Secret::new(pem::write("PRIVATE KEY", self.to_pkcs8_der().expose()))
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> &PublicKey {
        &self.0.public
    }

    /// How [`PrivateKey::sign`] signs, as the DER of an AlgorithmIdentifier.
    #[must_use]
    pub fn signature_algorithm(&self) -> &'static [u8] {
        match &self.0.pair {
            Pair::Rsa(_) => algorithm::RSA_SHA256,
            Pair::Ecdsa(Curve::P256, _) => algorithm::ECDSA_SHA256,
            Pair::Ecdsa(Curve::P384, _) => algorithm::ECDSA_SHA384,
            Pair::Ed25519(_) => algorithm::ED25519,
        }
    }

    /// Signs the part of a certificate, request or list that is to be signed: RSA with PKCS#1 v1.5 and
    /// SHA-256 (always the same bytes), P-256 with ECDSA and SHA-256, P-384 with ECDSA and SHA-384,
    /// Ed25519.
    #[must_use]
    pub fn sign(&self, to_be_signed: &[u8]) -> Vec<u8> {
        match &self.0.pair {
            Pair::Rsa(pair) => sign_rsa(pair, &signature::RSA_PKCS1_SHA256, to_be_signed),
            Pair::Ecdsa(_, pair) => sign_ecdsa(pair, to_be_signed),
            Pair::Ed25519(pair) => pair.sign(to_be_signed).as_ref().to_vec(),
        }
    }

    /// The digest that [`PrivateKey::sign_statement`] can sign with, whatever the key: SHA-256, but for P-384.
    #[must_use]
    pub fn statement_digest(&self) -> Digest {
        match &self.0.pair {
            Pair::Ecdsa(curve, _) => curve.digest(),
            Pair::Rsa(_) | Pair::Ed25519(_) => Digest::Sha256,
        }
    }

    /// Signs what [`PublicKey::verify_statement`] verifies: RSA with RSASSA-PSS, `digest` both for the
    /// message and in MGF1, and a salt of the greatest length that fits (key bytes − digest bytes − 2);
    /// elliptic curves with ECDSA; Ed25519 without a digest of its own.
    ///
    /// # Errors
    /// When it is an elliptic curve key and `digest` is not the one of its width: P-256 signs with
    /// SHA-256, P-384 with SHA-384.
    pub fn sign_statement(&self, digest: Digest, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        const LONGEST: RsaPssSaltLength = RsaPssSaltLength::Max;
        match &self.0.pair {
            Pair::Rsa(pair) => {
                let encoding = match digest {
                    Digest::Sha256 => &const { signature::RSA_PSS_SHA256.with_pss_salt_length(LONGEST) },
                    Digest::Sha384 => &const { signature::RSA_PSS_SHA384.with_pss_salt_length(LONGEST) },
                    Digest::Sha512 => &const { signature::RSA_PSS_SHA512.with_pss_salt_length(LONGEST) },
                };
                Ok(sign_rsa(pair, encoding, message))
            }
            Pair::Ecdsa(curve, pair) if curve.digest() == digest => Ok(sign_ecdsa(pair, message)),
            Pair::Ecdsa(..) => Err(KeyError::Digest { digest: digest.name() }),
            Pair::Ed25519(pair) => Ok(pair.sign(message).as_ref().to_vec()),
        }
    }
}

fn sign_rsa(pair: &RsaKeyPair, encoding: &'static RsaSignatureEncoding, message: &[u8]) -> Vec<u8> {
    let mut signature = vec![0; pair.public_modulus_len()];
    // The generator is there for the sake of the signature; aws-lc uses its own.
    pair.sign(encoding, &SystemRandom::new(), message, &mut signature).expect(CAN_SIGN);
    signature
}

fn sign_ecdsa(pair: &EcdsaKeyPair, message: &[u8]) -> Vec<u8> {
    pair.sign(&SystemRandom::new(), message).expect(CAN_SIGN).as_ref().to_vec()
}

fn curve(oid: ObjectIdentifier) -> Result<Curve, KeyError> {
    match oid {
        oid::P256 => Ok(Curve::P256),
        oid::P384 => Ok(Curve::P384),
        _ => Err(KeyError::Unsupported { algorithm: oid.to_string() }),
    }
}

/// The RSAPrivateKey inside a PKCS#8 key.
fn pkcs1_in(pkcs8: &[u8]) -> Result<&[u8], ParseError> {
    let mut key = Reader::whole(pkcs8, tag::SEQUENCE, "private key")?;
    key.number()?;
    key.expect(tag::SEQUENCE)?;
    Ok(key.expect(tag::OCTET_STRING)?.content)
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey(.., {:?})", self.public())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::SignatureError;

    const SPECS: [KeySpec; 4] = [KeySpec::Rsa { bits: 2048 }, KeySpec::P256, KeySpec::P384, KeySpec::Ed25519];

    #[test]
    fn keys_are_read_as_they_are_written() {
        for spec in SPECS {
            let key = PrivateKey::generate(spec).unwrap();
            for again in [
                PrivateKey::from_pem(key.to_pem().expose()),
                PrivateKey::from_pkcs8_der(key.to_pkcs8_der().expose()),
            ] {
                assert_eq!(again.unwrap().public(), key.public(), "{spec:?}");
            }
        }
    }

    #[test]
    fn signatures_verify_with_their_key_only() {
        for spec in SPECS {
            let [key, other] = [(); 2].map(|()| PrivateKey::generate(spec).unwrap());
            let signature = key.sign(b"message");
            let verify = |key: &PrivateKey, message| {
                key.public().verify(key.signature_algorithm(), message, &signature)
            };
            assert_eq!(verify(&key, b"message"), Ok(()), "{spec:?}");
            assert_eq!(verify(&key, b"massage"), Err(SignatureError::Wrong), "{spec:?}");
            assert_eq!(verify(&other, b"message"), Err(SignatureError::Wrong), "{spec:?}");
        }
    }

    #[test]
    fn algorithms_belong_to_a_kind_of_key() {
        let keys = SPECS.map(|spec| PrivateKey::generate(spec).unwrap());
        for key in &keys {
            for other in &keys {
                let result = other.public().verify(key.signature_algorithm(), b"", &key.sign(b""));
                let (is_ec, is_same) = (other.signature_algorithm(), key.public() == other.public());
                match result {
                    Ok(()) => assert!(is_same),
                    Err(SignatureError::Wrong) => assert!(is_ec.starts_with(&algorithm::ECDSA_SHA256[..10])),
                    Err(error) => assert_eq!(error, SignatureError::Mismatch),
                }
            }
        }
    }

    #[test]
    fn statements() {
        for spec in SPECS {
            let key = PrivateKey::generate(spec).unwrap();
            for digest in [Digest::Sha256, Digest::Sha384, Digest::Sha512] {
                match key.sign_statement(digest, b"message") {
                    Ok(signature) => {
                        let verify = |message| key.public().verify_statement(digest, message, &signature);
                        assert_eq!(verify(b"message"), Ok(()), "{spec:?} {digest:?}");
                        assert_eq!(verify(b"massage"), Err(SignatureError::Wrong), "{spec:?} {digest:?}");
                    }
                    Err(error) => {
                        assert_eq!(error, KeyError::Digest { digest: digest.name() });
                        assert!(matches!(spec, KeySpec::P256 | KeySpec::P384));
                    }
                }
            }
        }
    }

    #[test]
    fn others_may_use_a_curve_that_is_not_signed_with_here() {
        let pair = EcdsaKeyPair::generate(&signature::ECDSA_P521_SHA512_ASN1_SIGNING).unwrap();
        let der = pair.to_pkcs8v1().unwrap().as_ref().to_vec();
        let text = pem::write("PRIVATE KEY", &der);
        assert_eq!(PrivateKey::check_pem(&text), Ok(()));
        let unsupported = KeyError::Unsupported { algorithm: oid::P521.to_string() };
        assert_eq!(PrivateKey::from_pem(&text).err(), Some(unsupported));
        let mut broken = der;
        // Somewhere in its public half, which ends it.
        let last = broken.len() - 1;
        broken[last] ^= 1;
        assert_eq!(PrivateKey::check_pem(&pem::write("PRIVATE KEY", &broken)), Err(KeyError::Malformed));
        for spec in SPECS {
            let text = PrivateKey::generate(spec).unwrap().to_pem();
            assert_eq!(PrivateKey::check_pem(text.expose()), Ok(()), "{spec:?}");
        }
        assert!(PrivateKey::check_pem("").is_err());
    }

    #[test]
    fn refuses_what_is_no_key() {
        assert_eq!(
            PrivateKey::generate(KeySpec::Rsa { bits: 1024 }).err(),
            Some(KeyError::Size { bits: 1024 })
        );
        let error = |text: &str| PrivateKey::from_pem(text).err();
        let (missing, several) = (
            pem::PemError::Missing { wanted: "PRIVATE KEY" },
            pem::PemError::Several { wanted: "PRIVATE KEY" },
        );
        let key = PrivateKey::generate(KeySpec::P256).unwrap();
        let text = key.to_pem();
        assert_eq!(error(""), Some(missing.clone().into()));
        assert_eq!(error(&pem::write("CERTIFICATE", b"x")), Some(missing.into()));
        assert_eq!(error(&text.expose().repeat(2)), Some(several.into()));
        assert_eq!(error(&pem::write("ENCRYPTED PRIVATE KEY", b"x")), Some(KeyError::Encrypted));
        for label in ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"] {
            assert_eq!(error(&pem::write(label, b"x")), Some(KeyError::Malformed), "{label}");
        }
        let mut cut = key.to_pkcs8_der().expose().clone();
        cut.pop();
        assert_eq!(PrivateKey::from_pkcs8_der(&cut).err(), Some(KeyError::Malformed));
    }

    #[test]
    fn shows_its_public_half_only() {
        let key = PrivateKey::generate(KeySpec::Ed25519).unwrap();
        assert_eq!(
            format!("{key:?}"),
            format!("PrivateKey(.., PublicKey(Ed25519, {}))", key.public().key_id())
        );
    }
}
