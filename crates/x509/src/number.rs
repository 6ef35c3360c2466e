//! The two numbers that certificates are called by: serial numbers and key identifiers.

use std::fmt;

use base::Entropy;

use crate::decimal;
use crate::der_reader::Reader;
use crate::der_writer::Writer;
use crate::error::ParseError;

/// A certificate's serial number: from 1 to 2¹⁵⁹−1, so that it takes at most 20 octets (RFC 5280
/// §4.1.2.2). `Display` is decimal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Serial([u8; decimal::BYTES]);

impl Serial {
    /// 159 random bits, not all zero.
    #[must_use]
    pub fn random(entropy: &Entropy) -> Self {
        loop {
            let mut bytes: [u8; decimal::BYTES] = entropy.bytes();
            bytes[0] &= 0x7f;
            if let Some(serial) = Self::new(bytes) {
                return serial;
            }
        }
    }

    /// Another one, which begins with the same 31 bits: the other 128 are random, twice as many as the CA/Browser
    /// Forum wants.
    #[must_use]
    pub fn random_neighbour(&self, entropy: &Entropy) -> Self {
        loop {
            let mut bytes = self.0;
            entropy.fill(&mut bytes[4..]);
            if let Some(serial) = Self::new(bytes) {
                return serial;
            }
        }
    }

    /// Reads decimal digits; `None` when it is anything else, begins with a zero, or is out of range.
    #[must_use]
    pub fn from_decimal(text: &str) -> Option<Self> {
        decimal::from_text(text).and_then(Self::new)
    }

    /// Exactly 40 lower-case hexadecimal digits, which sort as the numbers do.
    #[must_use]
    pub fn hex(&self) -> String {
        base::hex::encode(&self.0)
    }

    /// Reads what [`Serial::hex`] writes.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        base::hex::decode(text)?.try_into().ok().and_then(Self::new)
    }

    fn new(bytes: [u8; decimal::BYTES]) -> Option<Self> {
        let is_positive = bytes.iter().any(|byte| *byte != 0);
        (is_positive && bytes[0] < 0x80).then_some(Self(bytes))
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, ParseError> {
        let value = reader.unsigned().map_err(|_| ParseError::Serial)?;
        let mut bytes = [0; decimal::BYTES];
        let start = bytes.len().checked_sub(value.len()).ok_or(ParseError::Serial)?;
        bytes[start..].copy_from_slice(value);
        Self::new(bytes).ok_or(ParseError::Serial)
    }

    pub(crate) fn write(&self, writer: &mut Writer) {
        writer.unsigned(&self.0);
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&decimal::to_text(&self.0))
    }
}

impl fmt::Debug for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Serial({self})")
    }
}

/// The identifier of a key: the SHA-1 of its bits (RFC 5280 §4.2.1.2, method 1). `Display` is lower-case
/// hexadecimal.
///
/// SHA-1 names the key here and protects nothing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; decimal::BYTES]);

impl KeyId {
    /// From its 20 bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 20]) -> Self {
        Self(bytes)
    }

    /// As a big-endian unsigned integer in decimal.
    #[must_use]
    pub fn decimal(&self) -> String {
        decimal::to_text(&self.0)
    }

    /// Reads what [`KeyId::decimal`] writes; `None` when it is anything else or above 160 bits.
    #[must_use]
    pub fn from_decimal(text: &str) -> Option<Self> {
        decimal::from_text(text).map(Self)
    }

    /// Reads 40 hexadecimal digits.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        base::hex::decode(text)?.try_into().ok().map(Self)
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 20] {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base::hex::encode(&self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serials_are_positive_and_short() {
        let largest = "730750818665451459101842416358141509827966271487";
        for text in ["1", "42", largest] {
            let serial = Serial::from_decimal(text).unwrap();
            assert_eq!(serial.to_string(), text);
            assert_eq!(Serial::from_hex(&serial.hex()), Some(serial));
            let mut writer = Writer::default();
            serial.write(&mut writer);
            assert_eq!(Serial::read(&mut Reader::new(&writer.into_bytes(), "test")), Ok(serial));
        }
        for text in ["0", "01", "-1", "", "730750818665451459101842416358141509827966271488"] {
            assert_eq!(Serial::from_decimal(text), None, "{text}");
        }
        assert_eq!(Serial::from_decimal("255").unwrap().hex(), format!("{:0>40}", "ff"));
    }

    #[test]
    fn serials_of_certificates_are_checked() {
        let too_long = [&[2, 21, 0, 0x80][..], &[0; 19]].concat();
        for der in [&[2, 1, 0][..], &[2, 1, 0xff], &[2, 2, 0, 1], &[2, 0], &too_long] {
            assert_eq!(Serial::read(&mut Reader::new(der, "test")), Err(ParseError::Serial), "{der:?}");
        }
    }

    #[test]
    fn random_serials_use_159_bits() {
        let entropy = Entropy::seeded(1);
        let union = (0..64).fold([0; 20], |mut union: [u8; 20], _| {
            let serial = Serial::random(&entropy);
            union.iter_mut().zip(serial.0).for_each(|(all, byte)| *all |= byte);
            union
        });
        assert_eq!((union[0], &union[1..]), (0x7f, &[0xff; 19][..]));
    }

    #[test]
    fn neighbours_begin_alike_and_use_128_bits() {
        let entropy = Entropy::seeded(1);
        let first = Serial::random(&entropy);
        let union = (0..64).fold([0; 16], |mut union: [u8; 16], _| {
            let serial = first.random_neighbour(&entropy);
            assert_eq!(serial.0[..4], first.0[..4]);
            union.iter_mut().zip(&serial.0[4..]).for_each(|(all, byte)| *all |= byte);
            union
        });
        assert_eq!(union, [0xff; 16]);
    }

    #[test]
    fn key_ids_are_hex_and_decimal() {
        let mut bytes = [0; 20];
        bytes[18] = 1;
        let id = KeyId::new(bytes);
        assert_eq!((id.to_string(), id.decimal()), (format!("{:0>40}", "100"), "256".into()));
        assert_eq!(KeyId::from_decimal("256"), Some(id));
        assert_eq!(KeyId::from_hex(&id.to_string()), Some(id));
        assert_eq!(KeyId::from_decimal("0256"), None);
        assert_eq!(KeyId::from_decimal("0"), Some(KeyId::new([0; 20])));
    }
}
