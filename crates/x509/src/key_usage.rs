//! What a key may be used for (RFC 5280 §4.2.1.3).

use std::fmt;
use std::ops::{BitAnd, BitOr};

use crate::der_reader::{Reader, tag};
use crate::der_writer::element;
use crate::error::ParseError;

/// A set of uses.
#[derive(Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct KeyUsage(u16);

impl KeyUsage {
    /// Signing what is neither a certificate nor a revocation list.
    pub const DIGITAL_SIGNATURE: Self = Self(1);
    /// nonRepudiation, later called contentCommitment.
    pub const NON_REPUDIATION: Self = Self(1 << 1);
    /// Encrypting keys.
    pub const KEY_ENCIPHERMENT: Self = Self(1 << 2);
    /// Encrypting data.
    pub const DATA_ENCIPHERMENT: Self = Self(1 << 3);
    /// Agreeing on a key.
    pub const KEY_AGREEMENT: Self = Self(1 << 4);
    /// Signing certificates.
    pub const KEY_CERT_SIGN: Self = Self(1 << 5);
    /// Signing revocation lists.
    pub const CRL_SIGN: Self = Self(1 << 6);
    /// With key agreement: only for encrypting.
    pub const ENCIPHER_ONLY: Self = Self(1 << 7);
    /// With key agreement: only for decrypting.
    pub const DECIPHER_ONLY: Self = Self(1 << 8);

    /// No use at all; as an extension it is not allowed.
    #[must_use]
    pub const fn empty() -> Self {
        Self(0)
    }

    /// Whether all of `uses` are in it.
    #[must_use]
    pub const fn contains(self, uses: Self) -> bool {
        self.0 & uses.0 == uses.0
    }

    /// Whether no use is in it.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Takes `uses` out, as far as they are in it.
    pub const fn remove(&mut self, uses: Self) {
        self.0 &= !uses.0;
    }

    /// Reads the value of the extension. Zeros at the end, which DER forbids, are tolerated.
    ///
    /// # Errors
    /// When it is no BIT STRING, or has bits beyond those defined.
    pub fn from_der(value: &[u8]) -> Result<Self, ParseError> {
        let mut reader = Reader::new(value, "keyUsage extension");
        let content = reader.expect(tag::BIT_STRING)?.content;
        let malformed = reader.malformed();
        reader.finish()?;
        let (unused, first, second) = match *content {
            [0] => (0, 0, 0),
            [unused @ 0..=7, first] => (unused, first, 0),
            [unused @ 0..=7, first, second] => (unused, first, second),
            _ => return Err(malformed),
        };
        // The named bits are counted from the most significant one, ours from the least.
        let uses = u16::from_be_bytes([first, second]).reverse_bits();
        let last = if content.len() == 2 { first } else { second };
        let is_padded_with_zeros = last & !(0xff_u8 << unused) == 0;
        if !is_padded_with_zeros || uses > 0x1ff {
            return Err(malformed);
        }
        Ok(Self(uses))
    }

    /// The value of the extension: a BIT STRING without zeros at its end (X.690 §11.2.2).
    #[must_use]
    pub fn to_der(self) -> Vec<u8> {
        let [first, second] = self.0.reverse_bits().to_be_bytes();
        let unused = |last: u8| last.trailing_zeros() as u8;
        match (first, second) {
            (0, 0) => element(tag::BIT_STRING, &[0]),
            (first, 0) => element(tag::BIT_STRING, &[unused(first), first]),
            (first, second) => element(tag::BIT_STRING, &[unused(second), first, second]),
        }
    }
}

impl BitOr for KeyUsage {
    type Output = Self;
    /// Both sets together.
    fn bitor(self, more: Self) -> Self {
        Self(self.0 | more.0)
    }
}

impl BitAnd for KeyUsage {
    type Output = Self;
    /// What is in both sets.
    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl fmt::Debug for KeyUsage {
    /// The names of RFC 5280.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [&str; 9] = [
            "digitalSignature",
            "nonRepudiation",
            "keyEncipherment",
            "dataEncipherment",
            "keyAgreement",
            "keyCertSign",
            "cRLSign",
            "encipherOnly",
            "decipherOnly",
        ];
        let names = NAMES.iter().enumerate().filter(|(bit, _)| self.0 >> bit & 1 == 1).map(|(_, name)| name);
        f.debug_set().entries(names).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let table: &[(KeyUsage, &[u8])] = &[
            (KeyUsage::empty(), &[3, 1, 0]),
            (KeyUsage::DIGITAL_SIGNATURE, &[3, 2, 7, 0x80]),
            (KeyUsage::DIGITAL_SIGNATURE | KeyUsage::KEY_ENCIPHERMENT, &[3, 2, 5, 0xa0]),
            (KeyUsage::KEY_CERT_SIGN | KeyUsage::CRL_SIGN, &[3, 2, 1, 0x06]),
            (KeyUsage::ENCIPHER_ONLY, &[3, 2, 0, 0x01]),
            (KeyUsage::KEY_AGREEMENT | KeyUsage::DECIPHER_ONLY, &[3, 3, 7, 0x08, 0x80]),
        ];
        for (uses, der) in table {
            assert_eq!(uses.to_der(), *der, "{uses:?}");
            assert_eq!(KeyUsage::from_der(der), Ok(*uses));
        }
    }

    #[test]
    fn tolerates_zeros_at_the_end() {
        for der in [&[3, 2, 0, 0x80][..], &[3, 3, 7, 0x80, 0], &[3, 3, 0, 0x80, 0]] {
            assert_eq!(KeyUsage::from_der(der), Ok(KeyUsage::DIGITAL_SIGNATURE), "{der:02x?}");
        }
    }

    #[test]
    fn refuses_the_rest() {
        let table: [&[u8]; 8] = [
            &[],
            &[3, 0],
            &[3, 1, 1],
            &[3, 2, 8, 0],
            &[3, 2, 7, 0xc0],
            &[3, 3, 6, 0, 0x40],
            &[3, 4, 0, 0x80, 0, 0],
            &[4, 2, 7, 0x80],
        ];
        for der in table {
            assert!(KeyUsage::from_der(der).is_err(), "{der:02x?}");
        }
        assert!(KeyUsage::from_der(&[3, 2, 7, 0x80, 0]).is_err());
    }

    #[test]
    fn is_a_set() {
        let both = KeyUsage::DIGITAL_SIGNATURE | KeyUsage::CRL_SIGN;
        assert!(both.contains(KeyUsage::CRL_SIGN) && !both.contains(KeyUsage::KEY_AGREEMENT));
        assert_eq!(format!("{both:?}"), r#"{"digitalSignature", "cRLSign"}"#);
        assert_eq!(both & (KeyUsage::CRL_SIGN | KeyUsage::KEY_AGREEMENT), KeyUsage::CRL_SIGN);
        let mut left = both;
        left.remove(KeyUsage::CRL_SIGN | KeyUsage::KEY_AGREEMENT);
        assert_eq!(left, KeyUsage::DIGITAL_SIGNATURE);
        left.remove(both);
        assert!(left.is_empty());
    }
}
