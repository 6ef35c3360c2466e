//! Digests and signature algorithms, and how they are written (RFC 3279, 4055, 5758, 8410).

use aws_lc_rs::digest;

use crate::der_reader::{Reader, tag};
use crate::error::{ParseError, SignatureError};
use crate::oid::{self, ObjectIdentifier};

/// A hash of the SHA-2 family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Digest {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl Digest {
    /// What it is called in a message: `sha256`, `sha384` or `sha512`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        }
    }

    /// Reads what [`Digest::name`] writes.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Sha256, Self::Sha384, Self::Sha512].into_iter().find(|digest| digest.name() == name)
    }

    /// How long it is.
    #[must_use]
    pub fn bytes(self) -> u32 {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    /// The digest of `bytes`.
    #[must_use]
    pub fn of(self, bytes: &[u8]) -> Vec<u8> {
        let algorithm = match self {
            Self::Sha256 => &digest::SHA256,
            Self::Sha384 => &digest::SHA384,
            Self::Sha512 => &digest::SHA512,
        };
        digest::digest(algorithm, bytes).as_ref().to_vec()
    }

    fn from_oid(oid: ObjectIdentifier) -> Option<Self> {
        match oid {
            oid::SHA256 => Some(Self::Sha256),
            oid::SHA384 => Some(Self::Sha384),
            oid::SHA512 => Some(Self::Sha512),
            _ => None,
        }
    }
}

/// The SHA-1 of `bytes`, which names keys and protects nothing.
pub(crate) fn sha1(bytes: &[u8]) -> [u8; 20] {
    let digest = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, bytes);
    digest.as_ref().try_into().expect("SHA-1 has 20 bytes")
}

/// `sha256WithRSAEncryption` with NULL parameters, as DER.
pub(crate) const RSA_SHA256: &[u8] = &[0x30, 13, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 11, 5, 0];
/// `ecdsa-with-SHA256`, as DER.
pub(crate) const ECDSA_SHA256: &[u8] = &[0x30, 10, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
/// `ecdsa-with-SHA384`, as DER.
pub(crate) const ECDSA_SHA384: &[u8] = &[0x30, 10, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 3];
/// `Ed25519`, as DER.
pub(crate) const ED25519: &[u8] = &[0x30, 5, 6, 3, 0x2b, 0x65, 0x70];

/// How a signature is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SignatureAlgorithm {
    RsaPkcs1(Digest),
    RsaPss(Digest),
    Ecdsa(Digest),
    Ed25519,
}

impl SignatureAlgorithm {
    /// Reads the DER of an AlgorithmIdentifier.
    pub(crate) fn parse(der: &[u8]) -> Result<Self, SignatureError> {
        let malformed = |_: ParseError| SignatureError::Malformed;
        let mut reader = Reader::whole(der, tag::SEQUENCE, "signature algorithm").map_err(malformed)?;
        let oid = reader.oid().map_err(malformed)?;
        let (algorithm, may_be_null) = match oid {
            oid::RSASSA_PSS => {
                let digest = parse_pss(&mut reader).map_err(malformed)?;
                let digest =
                    digest.ok_or_else(|| SignatureError::Unsupported { algorithm: oid.to_string() })?;
                (Self::RsaPss(digest), false)
            }
            // NULL or absent: both must be taken (RFC 4055 §5).
            oid::RSA_SHA256 => (Self::RsaPkcs1(Digest::Sha256), true),
            oid::RSA_SHA384 => (Self::RsaPkcs1(Digest::Sha384), true),
            oid::RSA_SHA512 => (Self::RsaPkcs1(Digest::Sha512), true),
            oid::ECDSA_SHA256 => (Self::Ecdsa(Digest::Sha256), false),
            oid::ECDSA_SHA384 => (Self::Ecdsa(Digest::Sha384), false),
            oid::ECDSA_SHA512 => (Self::Ecdsa(Digest::Sha512), false),
            oid::ED25519 => (Self::Ed25519, false),
            _ => return Err(SignatureError::Unsupported { algorithm: oid.to_string() }),
        };
        if may_be_null {
            read_null(&mut reader).map_err(malformed)?;
        }
        reader.finish().map_err(malformed)?;
        Ok(algorithm)
    }
}

/// RSASSA-PSS-params (RFC 4055 §3.1): the digest, if it is one of ours and MGF1 has the same. Its
/// default, SHA-1, is not. The declared length of the salt is passed over: it authenticates nothing,
/// and verifying recovers the real one.
fn parse_pss(reader: &mut Reader<'_>) -> Result<Option<Digest>, ParseError> {
    let mut parameters = reader.inside(tag::SEQUENCE)?;
    let (mut hash, mut mask_hash) = (None, None);
    if let Some(explicit) = parameters.optional(tag::constructed(0))? {
        hash = read_digest(&mut Reader::new(explicit.content, "signature algorithm"))?;
    }
    if let Some(explicit) = parameters.optional(tag::constructed(1))? {
        let mut mask = Reader::whole(explicit.content, tag::SEQUENCE, "signature algorithm")?;
        let is_mgf1 = mask.oid()? == oid::MGF1;
        mask_hash = if is_mgf1 { read_digest(&mut mask)? } else { None };
    }
    parameters.optional(tag::constructed(2))?;
    // The trailer is always 0xbc, which DER leaves out.
    parameters.finish()?;
    Ok(hash.filter(|_| hash == mask_hash))
}

/// The AlgorithmIdentifier of a digest; `None` when it is another one.
fn read_digest(reader: &mut Reader<'_>) -> Result<Option<Digest>, ParseError> {
    let mut algorithm = reader.inside(tag::SEQUENCE)?;
    let oid = algorithm.oid()?;
    read_null(&mut algorithm)?;
    algorithm.finish()?;
    Ok(Digest::from_oid(oid))
}

/// NULL, or nothing.
fn read_null(reader: &mut Reader<'_>) -> Result<(), ParseError> {
    match reader.optional(tag::NULL)? {
        Some(null) if !null.content.is_empty() => Err(reader.malformed()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::der_writer::sequence;

    #[test]
    fn digests_have_names() {
        for digest in [Digest::Sha256, Digest::Sha384, Digest::Sha512] {
            assert_eq!(Digest::from_name(digest.name()), Some(digest));
        }
        for name in ["sha1", "SHA256", ""] {
            assert_eq!(Digest::from_name(name), None);
        }
    }

    #[test]
    fn constants_say_what_they_are_called() {
        let table = [
            (RSA_SHA256, SignatureAlgorithm::RsaPkcs1(Digest::Sha256)),
            (ECDSA_SHA256, SignatureAlgorithm::Ecdsa(Digest::Sha256)),
            (ECDSA_SHA384, SignatureAlgorithm::Ecdsa(Digest::Sha384)),
            (ED25519, SignatureAlgorithm::Ed25519),
        ];
        for (der, algorithm) in table {
            assert_eq!(SignatureAlgorithm::parse(der), Ok(algorithm));
        }
    }

    #[test]
    fn parameters_are_checked() {
        let with = |oid: ObjectIdentifier, parameters: &[u8]| {
            let der = sequence(|writer| {
                writer.oid(&oid);
                writer.raw(parameters);
            });
            SignatureAlgorithm::parse(&der)
        };
        assert_eq!(with(oid::RSA_SHA512, &[]), Ok(SignatureAlgorithm::RsaPkcs1(Digest::Sha512)));
        assert_eq!(with(oid::RSA_SHA512, &[5, 1, 0]), Err(SignatureError::Malformed));
        assert_eq!(with(oid::RSA_SHA512, &[5, 0, 5, 0]), Err(SignatureError::Malformed));
        assert_eq!(with(oid::ED25519, &[5, 0]), Err(SignatureError::Malformed));
        assert_eq!(with(oid::RSASSA_PSS, &[]), Err(SignatureError::Malformed));
        // Nothing said means SHA-1.
        let sha1 = Err(SignatureError::Unsupported { algorithm: oid::RSASSA_PSS.to_string() });
        assert_eq!(with(oid::RSASSA_PSS, &[0x30, 0]), sha1);
    }

    #[test]
    fn sha_1_is_refused() {
        let oid = ObjectIdentifier::new("1.2.840.113549.1.1.5").unwrap();
        let der = sequence(|writer| writer.oid(&oid));
        let unsupported = SignatureError::Unsupported { algorithm: oid.to_string() };
        assert_eq!(SignatureAlgorithm::parse(&der), Err(unsupported));
    }
}
