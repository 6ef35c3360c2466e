//! The shape that certificates, requests and revocation lists share (RFC 5280 §4.1.1): what was signed,
//! how, and the signature.

use std::fmt;
use std::ops::Range;

use crate::der_reader::{Reader, tag};
use crate::der_writer::Writer;
use crate::error::{ParseError, SignatureError};
use crate::key::PrivateKey;
use crate::public_key::PublicKey;

/// All its DER, and where the parts are.
pub(crate) struct Signed {
    der: Vec<u8>,
    to_be_signed: Range<usize>,
    algorithm: Range<usize>,
    /// The bits of the signature; they go on to the end.
    signature_at: usize,
}

impl Signed {
    /// Reads the outer shape; `what` it is goes into the error.
    pub(crate) fn parse(der: Vec<u8>, what: &'static str) -> Result<Self, ParseError> {
        let mut parts = Reader::whole(&der, tag::SEQUENCE, what)?;
        let to_be_signed = parts.expect(tag::SEQUENCE)?.der.len();
        let algorithm = parts.expect(tag::SEQUENCE)?.der.len();
        // The length of the signature's element, and of the bits in it.
        let mut signature = parts.clone();
        let element = signature.any()?.der.len();
        let bits = parts.bit_string()?.len();
        parts.finish()?;
        let algorithm_end = der.len() - element;
        let to_be_signed_end = algorithm_end - algorithm;
        let signature_at = der.len() - bits;
        Ok(Self {
            to_be_signed: to_be_signed_end - to_be_signed..to_be_signed_end,
            algorithm: to_be_signed_end..algorithm_end,
            signature_at,
            der,
        })
    }

    /// Signs `to_be_signed`, which is DER.
    pub(crate) fn sign(to_be_signed: &[u8], key: &PrivateKey) -> Self {
        Self::put_together(to_be_signed, key.signature_algorithm(), &key.sign(to_be_signed))
    }

    /// Puts `to_be_signed`, which is DER, and the signature over it together.
    pub(crate) fn put_together(to_be_signed: &[u8], algorithm: &[u8], signature: &[u8]) -> Self {
        let mut writer = Writer::with_capacity(to_be_signed.len() + algorithm.len() + signature.len() + 16);
        writer.sequence(|parts| {
            parts.raw(to_be_signed);
            parts.raw(algorithm);
            parts.bit_string(signature);
        });
        Self::parse(writer.into_bytes(), "signed object").expect("it was just written in this shape")
    }

    /// All of it.
    pub(crate) fn der(&self) -> &[u8] {
        &self.der
    }

    /// The part that is signed: one SEQUENCE.
    pub(crate) fn to_be_signed(&self) -> &[u8] {
        &self.der[self.to_be_signed.clone()]
    }

    /// The AlgorithmIdentifier beside the signature.
    pub(crate) fn algorithm(&self) -> &[u8] {
        &self.der[self.algorithm.clone()]
    }

    /// Whether `key` signed it.
    pub(crate) fn verify(&self, key: &PublicKey) -> Result<(), SignatureError> {
        key.verify(self.algorithm(), self.to_be_signed(), &self.der[self.signature_at..])
    }
}

impl fmt::Debug for Signed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signed({} bytes)", self.der.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::KeySpec;

    #[test]
    fn parts_are_where_they_were_written() {
        let key = PrivateKey::generate(KeySpec::Ed25519).unwrap();
        for length in [0, 100, 200, 70_000] {
            let to_be_signed = crate::der_writer::element(tag::SEQUENCE, &vec![7; length]);
            let signed = Signed::sign(&to_be_signed, &key);
            assert_eq!(signed.to_be_signed(), to_be_signed);
            assert_eq!(signed.algorithm(), key.signature_algorithm());
            assert_eq!(signed.verify(key.public()), Ok(()));
        }
    }

    #[test]
    fn nothing_may_follow() {
        let key = PrivateKey::generate(KeySpec::Ed25519).unwrap();
        let mut der = Signed::sign(&[0x30, 0], &key).der().to_vec();
        assert!(Signed::parse(der.clone(), "test").is_ok());
        der.push(0);
        assert!(Signed::parse(der, "test").is_err());
    }
}
